/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and closing a pool: medium -> superblocks -> control region -> index -> slot -> room. */
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/base/options_take.h"
#include "core/log/checkpoint.h"
#include "core/media/file_system.h"
#include "core/pool/deadline.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { LANES_DEFAULT = 16, POLL_DEFAULT_US = 1000, POLL_MIRRORED_US = 10000 };

const char *memkv_version(void)
{
	return MEMKV_VERSION;
}

static int read_superblocks(struct memkv_pool *pool)
{
	struct lane *lane = &pool->recover_lane;
	int err = lane_open(lane, pool->media);

	if (err)
		return fail(err, "%s: no queue to the medium: %s", pool->media->path, strerror(-err));
	err = superblocks_read(lane, &pool->sb, &pool->superblock_mended);
	if (!err)
		err = rejoin_same(pool, &pool->sb);
	if (err)
		return err;
	if (!pool->read_only && (pool->sb.features_read_only & ~FEATURES_READ_ONLY))
		return fail(MEMKV_NEWER, "%s uses features (%#" PRIx64 ") that this memkv can only read; open it read-only",
			    pool->media->path, pool->sb.features_read_only);
	if (pool->sb.features_incompatible & FEATURE_SHARED && pool->media->caps.mappable)
		return fail(MEMKV_CONFLICT, "%s was made with --share, which is for block devices, and is a file; copy it back to a device",
			    pool->media->path);
	if (pool->sb.features_incompatible & FEATURE_SHARED && pool->sb.further)
		return fail(MEMKV_CONFLICT, "%s: a pool of several namespaces cannot be shared by several hosts' agents", pool->media->path);
	/* the device did not answer when it was asked before it was opened; as it is open now, nothing of others' would ever be seen */
	if (!pool->read_only && pool->sb.features_incompatible & FEATURE_SHARED && pool->media->caps.exact_death &&
	    !MUTANT(PEEK_BELIEVED))
		return fail(-EIO, "%s could not be read when it was asked whether several hosts share it, which they do; open it again",
			    pool->media->path);
	pool->media->caps.bytes = superblock_bytes(&pool->sb);
	return 0;
}

/* home, of several: the others go with it */
static int check_home(const struct memkv_pool *pool)
{
	if (pool->sb.ordinal == 0)
		return 0;
	return fail(MEMKV_CONFLICT, "%s is namespace %u of the pool%s%s, and not its first one: open that", pool->media->path,
		    pool->sb.ordinal, pool->sb.name[0] ? " " : "", pool->sb.name);
}

/* where structures lie, for media that write them line by line; and none of another kind may pass for them */
static int settle_coherence(struct memkv_pool *pool, const struct layout *layout)
{
	struct media *media = pool->media;
	bool incoherent = pool->sb.features_incompatible & FEATURE_INCOHERENT;
	uint64_t last = layout->offset[REGION_STATISTICS] + layout->length[REGION_STATISTICS];

	if (incoherent && (media->caps.coherent || !media->caps.lines))
		return fail(MEMKV_CONFLICT,
			    "%s was made with --coherent no, which is for memory that hosts share, and is not used as such here; copy it "
			    "to a DAX device or a file in memory, and do not ask for buffering", media->path);
	media->withdrawn = htole64(CHECK_WRITING);
	media->words[0] = (struct media_range){layout->offset[REGION_OWNER_WORDS],
					       layout->offset[REGION_OWNER_WORDS] + layout->length[REGION_OWNER_WORDS]};
	media->words[1] = (struct media_range){layout->offset[REGION_HEAT], last};
	return 0;
}

static int attach_control(struct memkv_pool *pool)
{
	struct control *c = &pool->control;

	*c = (struct control){.media = pool->media,
			      .seed = pool->sb.seed,
			      .read_only = pool->read_only,
			      .grouped = pool->sb.features_read_only & FEATURE_GROUPS,
			      .shared = pool->sb.features_incompatible & FEATURE_SHARED};
	int err = superblock_layout(&pool->sb, &c->layout);
	if (!err)
		err = settle_coherence(pool, &c->layout);
	if (!err)
		err = pool->media->ops->map_control(pool->media, c->layout.control_bytes);
	c->base = pool->media->control;
	if (!err && c->shared)
		err = share_open(pool);
	/* mirrored media: what is looked at without asking; tables are brought in by whoever looks into them */
	if (!err && !(control_refresh_regions(c, REGION_SLOT_CELLS, REGION_SLOT_CELLS) &&
		      control_refresh_regions(c, REGION_STATISTICS, REGION_STATISTICS) &&
		      control_refresh_words(c, CONTROL_OWNER_WORDS | CONTROL_AGES | CONTROL_PULSES)))
		err = fail(-EIO, "%s: the pool's control structures cannot be read", pool->media->path);
	return err;
}

static int attach_index(struct memkv_pool *pool)
{
	const struct layout *layout = &pool->control.layout;
	struct follower_recover recover = recover_source(pool);
	int err = index_open(pool->sb.seed, layout->segments * layout->geo.entries, (uint32_t)layout->segments,
			     layout->offset[REGION_SEGMENTS] >> PAGE_SHIFT, layout->geo.segment_pages, &pool->index);
	for (unsigned n = 1; !err && n < layout->extent_count; n++)
		index_add_span(pool->index, layout->extents[n].first_page, layout->extents[n].first_segment);

	bool shared = pool->control.shared;
	if (!err && shared) /* there the logs tell what the words say */
		err = factbook_open(&pool->factbook, &pool->control);
	if (!err && shared)
		share_words(pool);
	if (!err)
		err = follower_open(&pool->follower, &pool->control, pool->index, &pool->factbook, &recover);
	if (!err && !shared)
		err = factbook_open(&pool->factbook, &pool->control);
	return err ? fail(err, "%s: no memory for the index", pool->media->path) : 0;
}

/* the slot's lock is held, for whoever formats to see (target.h): does nobody, and did nobody since we looked first? */
static int still_the_pool(void *context)
{
	struct memkv_pool *pool = context;
	struct media *media = pool->media;
	struct superblock now;
	bool mended;

	if (media->ops->lock_held(media, 0) > 0)
		return fail(MEMKV_IN_USE, "%s is just being formatted or destroyed", media->path);
	int err = superblocks_read(&pool->recover_lane, &now, &mended);
	if (!err && (now.seed != pool->sb.seed || now.instance != pool->sb.instance))
		err = fail(MEMKV_IN_USE, "%s was formatted anew while it was opened; open it again", media->path);
	return err;
}

static int attach_writer(struct memkv_pool *pool, uint32_t flags)
{
	const struct slot_guard guard = {still_the_pool, pool, factbook_take_over, &pool->factbook};
	bool shared = pool->control.shared;

	if (pool->read_only)
		return 0;
	int err = shared ? share_attach(pool, &guard) : slot_claim(&pool->control, flags & MEMKV_OPEN_CLI, &guard, &pool->slot);
	if (err)
		return err;
	struct log_identity me = {.slot = pool->slot.number, .epoch = pool->slot.epoch, .nonce = pool->slot.nonce};
	if (!shared && (!ring_hold(&pool->control, &me) || !checkpoint_hold(&pool->control, me.slot)))
		return fail(-EIO, "%s: the slot's log cannot be read", pool->media->path);
	if (!shared)
		factbook_attach(&pool->factbook, &pool->slot);
	/* where namespaces come and go one copy may be older; on shared devices it has no one writer */
	if ((pool->superblock_mended || pool->sb.further) && !shared)
		superblocks_mend(&pool->recover_lane, &pool->sb);
	namespaces_mend(pool);
	err = room_open(&pool->room, pool);
	if (err) {
		share_leave(pool);
		slot_leave(&pool->control, &pool->slot);
		pool->slot.epoch = 0;
		return fail(err, "%s: no memory for writing", pool->media->path);
	}
	if (shared)
		give_begin(pool);
	host_drain_attached(pool);
	return 0;
}

static void tend(void *context)
{
	namespaces_tend(context);
	host_drain_tend(context);
}

static int attach(struct memkv_pool *pool, const char *path, unsigned flags, const struct memkv_pool_options *o)
{
	int err = read_superblocks(pool);

	if (!err)
		err = check_home(pool);
	if (!err)
		err = namespaces_join(pool, path, flags);
	if (!err)
		err = attach_control(pool);
	if (!err)
		err = lane_set_open(&pool->lanes, pool->media, o->lanes);
	for (uint32_t i = 0; !err && pool->control.shared && i < pool->lanes.count; i++)
		err = lane_add_cells(&pool->lanes.lanes[i], pool->sb.geo.slots);
	if (!err)
		err = attach_index(pool);
	if (!err)
		err = attach_writer(pool, o->flags);
	pool->follower.tend = tend;
	pool->follower.tend_context = pool;
	if (!err && !(o->flags & MEMKV_OPEN_NO_FOLLOWER)) {
		uint32_t usual = pool->media->caps.mappable ? POLL_DEFAULT_US : POLL_MIRRORED_US;
		err = follower_start(&pool->follower, o->poll_us ? o->poll_us : usual);
		if (err)
			fail(err, "%s: cannot start the follower thread: %s", pool->media->path, strerror(-err));
	}
	return err;
}

static int complete_options(const struct memkv_pool_options *given, struct memkv_pool_options *o)
{
	int err = options_take(o, sizeof(*o), given, "open");

	if (err)
		return err;
	if (o->lanes == 0)
		o->lanes = LANES_DEFAULT;
	if (o->lanes > LANES_MAX)
		return fail(-EINVAL, "open: %u lanes are more than %d", o->lanes, LANES_MAX);
	if (o->deadline_calls == 0)
		o->deadline_calls = DEPUTIES_DEFAULT;
	if (o->deadline_calls > DEPUTIES_MAX)
		return fail(-EINVAL, "open: %u calls with a deadline at a time are more than %d", o->deadline_calls, DEPUTIES_MAX);
	return 0;
}

/* from here on descriptors and locks exist that a child must not keep */
static int open_medium(struct memkv_pool *pool, unsigned flags)
{
	fork_hold();
	int err = media_open(pool->path, flags, &pool->media);
	fork_release();
	return err;
}

static bool may_be_lines(const struct media *media)
{
	return media->caps.lines && media->caps.bytes >= 2 * PAGE;
}

/*
 * Memory that hosts share without coherent caches is told by its superblock, which is read as such memory is: what the
 * host's caches have of it may be of another pool.  What cannot be told is found out by the opening proper.
 */
static int open_by_lines(struct memkv_pool *pool)
{
	struct superblock sb = {0};
	struct media *lines;
	struct lane lane;
	bool mended;

	if (!may_be_lines(pool->media))
		return 0;
	if (media_lines_over(pool->media, &lines))
		return 0; /* then no pool opens that needs it */
	int err = lane_open(&lane, lines);
	if (!err) {
		err = superblocks_read(&lane, &sb, &mended);
		lane_close(&lane);
	}
	if (err || !(sb.features_incompatible & FEATURE_INCOHERENT)) {
		(void)media_lines_off(lines);
		return 0;
	}
	pool->media = lines;
	return pool->read_only ? 0 : media_lines_claim(lines);
}

static void close_medium(struct memkv_pool *pool)
{
	fork_hold();
	if (pool->media && !holds_keep(pool))
		pool->media->ops->close(pool->media);
	pool->media = NULL;
	fork_release();
}

/* what has happened is counted on */
static void keep_counts(struct memkv_pool *pool)
{
	const struct follower *f = &pool->follower;

	count(&pool->counters.entries_damaged, atomic_load(&f->entries_damaged));
	count(&pool->counters.entries_mended, atomic_load(&f->entries_mended));
	count(&pool->counters.words_mended, atomic_load(&f->words_mended));
}

void detach_pool(struct memkv_pool *pool)
{
	deputies_close(&pool->deputies);
	follower_stop(&pool->follower);
	give_end(pool);
	room_close(&pool->room); /* gives segments back, under the follower's lock */
	share_leave(pool);
	holds_detach(pool);
	keep_counts(pool);
	follower_close(&pool->follower);
	if (pool->slot.epoch)
		slot_leave(&pool->control, &pool->slot);
	factbook_close(&pool->factbook);
	share_close(pool);
	lane_set_close(&pool->lanes);
	recover_close(pool);
	lane_close(&pool->recover_lane);
	index_close(pool->index);
	close_medium(pool);
	namespaces_close(pool);
	pins_close(&pool->pins);
	fork_hold(); /* a child sees all of this, or zeros */
	memset(pool, 0, offsetof(struct memkv_pool, path));
	fork_release();
}

int pool_peek(const char *path, unsigned flags, struct superblock *sb)
{
	struct media *media, *lines;
	struct lane lane;
	bool mended;
	int err = media_open(path, flags | MEDIA_OPEN_READ_ONLY, &media); /* no lock, no claim: a child may keep it */

	if (err)
		return err;
	if (may_be_lines(media) && media_lines_over(media, &lines) == 0)
		media = lines; /* what the caches have of it may be of another pool */
	err = lane_open(&lane, media);
	if (err)
		fail(err, "%s: no queue to the medium: %s", path, strerror(-err));
	else
		err = superblocks_read(&lane, sb, &mended);
	if (lane.queue)
		lane_close(&lane);
	media->ops->close(media);
	return err;
}

/*
 * Is this a device that many hosts write to?  That must be known before it is opened for writing, which claims any other one.
 * What cannot be told is found out by the opening proper, which is refused then.
 */
static bool is_shared_device(const char *path)
{
	struct stat st;
	struct superblock sb;

	return stat(path, &st) == 0 && S_ISBLK(st.st_mode) && pool_peek(path, 0, &sb) == 0 &&
	       sb.features_incompatible & FEATURE_SHARED;
}

int attach_pool(struct memkv_pool *pool, bool read_only)
{
	unsigned flags = pool->options.flags & MEMKV_OPEN_BUFFERED ? MEDIA_OPEN_BUFFERED : 0;

	pool->rejoin.attachments++;
	pool->read_only = read_only;
	pins_open(&pool->pins);
	if (read_only)
		flags |= MEDIA_OPEN_READ_ONLY;
	else if (is_shared_device(pool->path))
		flags |= MEDIA_OPEN_SHARED;
	int err = read_only ? 0 : file_system_check(pool->path, pool->path);
	if (!err)
		err = holds_attach(pool);
	if (!err)
		err = open_medium(pool, flags);
	if (!err)
		err = open_by_lines(pool);
	if (!err)
		deputies_open(&pool->deputies, pool, pool->options.deadline_calls);
	if (!err)
		err = attach(pool, pool->path, flags, &pool->options);
	if (err)
		detach_pool(pool);
	return err;
}

/* ---- handles ---- */

static void free_handle(struct memkv_pool *pool)
{
	fork_hold();
	fork_unregister(pool);
	fork_release();
	holds_close(pool);
	rejoin_fini(&pool->rejoin);
	host_drain_fini(&pool->drain);
	free(pool->path);
	free(pool);
}

static struct memkv_pool *new_handle(const char *path, const struct memkv_pool_options *o)
{
	struct memkv_pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return NULL;
	pool->options = *o;
	pool->path = strdup(path);
	rejoin_init(&pool->rejoin);
	host_drain_init(&pool->drain);
	holds_open(&pool->holds);
	fork_hold();
	fork_register(pool);
	fork_release();
	if (pool->path)
		return pool;
	free_handle(pool);
	return NULL;
}

static void tear_down(struct memkv_pool *pool)
{
	rejoin_stop(pool);
	entrance_shut(&pool->entrance);
	if (pool->rejoin.attached)
		detach_pool(pool);
	free_handle(pool);
}

/* all options are complete */
static int open_pool(const char *path, const struct memkv_pool_options *o, struct memkv_pool **out)
{
	struct memkv_pool *pool = new_handle(path, o);

	if (!pool)
		return fail(-ENOMEM, "%s: no memory", path);
	int err = o->flags & MEMKV_OPEN_LAZY ? 0 : attach_pool(pool, o->flags & MEMKV_OPEN_READ_ONLY);
	if (err) {
		free_handle(pool);
		return err;
	}
	if (!(o->flags & MEMKV_OPEN_LAZY))
		rejoin_attached(pool);
	err = o->flags & MEMKV_OPEN_NO_FOLLOWER ? 0 : rejoin_start(pool);
	if (err) {
		fail(err, "%s: cannot start the thread that keeps the pool attached: %s", path, strerror(-err));
		tear_down(pool);
		return err;
	}
	*out = pool;
	return 0;
}

int memkv_pool_open(const char *path, const struct memkv_pool_options *options, struct memkv_pool **out)
{
	struct memkv_pool_options o;
	int err = complete_options(options, &o);

	if (err)
		return err;
	if (!path || !out)
		return fail(-EINVAL, "open: a path and a place for the handle are needed");
	return o.deadline_us ? deadline_open(open_pool, path, &o, out) : open_pool(path, &o, out);
}

int memkv_pool_probe(const char *path, struct memkv_pool_label *label)
{
	struct superblock sb;

	if (!path || !label || label->size < sizeof(label->size))
		return fail(-EINVAL, "probe: a path and a place for the answer, with its size, are needed");
	int err = pool_peek(path, MEDIA_OPEN_BUFFERED, &sb);
	if (err == MEMKV_CONFLICT) /* devices are never read through the page cache */
		err = pool_peek(path, 0, &sb);
	if (err)
		return err;
	struct memkv_pool_label found = {
		.size = label->size,
		.format_major = sb.major,
		.format_minor = sb.minor,
		.bytes = superblock_bytes(&sb),
		.created_s = sb.created_s,
		.namespaces = sb.further + 1,
		.namespace_number = sb.ordinal,
	};
	memcpy(found.uuid, sb.uuid, sizeof(found.uuid));
	memcpy(found.name, sb.name, sizeof(found.name));
	memcpy(label, &found, min_u64(label->size, sizeof(found)));
	return 0;
}

void memkv_pool_close(struct memkv_pool *pool)
{
	if (!pool || atomic_load(&pool->forked))
		return; /* in a child there is nothing to give back: descriptors are closed, the rest is the parent's */
	deadline_close(tear_down, pool);
}

static int64_t make_refresh(struct memkv_pool *pool, struct chore *chore)
{
	(void)chore;
	if (!pool->media->ops->alive(pool->media))
		return fail(MEMKV_FAILED, "%s: the pool's file is gone or was cut short", pool->media->path);
	tend(pool);
	follower_step(&pool->follower);
	return 0;
}

int memkv_pool_refresh_by(struct memkv_pool *pool, uint64_t deadline_us)
{
	POOL_USE use = pool_enter(pool, ENTRY_CALL);
	struct chore chore = {.make = make_refresh};

	return use.inside ? (int)deadline_make(pool, &chore, deadline_us) : use.result;
}

int memkv_pool_refresh(struct memkv_pool *pool) { return memkv_pool_refresh_by(pool, 0); }
