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
	return 0;
}

static void tend(void *context) { namespaces_tend(context); }

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
	if (!err && pool->namespaces.several) {
		pool->follower.tend = tend;
		pool->follower.tend_context = pool;
	}
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
static int open_medium(struct memkv_pool *pool, const char *path, unsigned flags)
{
	fork_hold();
	int err = media_open(path, flags, &pool->media);
	if (!err)
		fork_register(pool);
	fork_release();
	return err;
}

static void close_medium(struct memkv_pool *pool)
{
	fork_hold();
	fork_unregister(pool);
	pool->media->ops->close(pool->media);
	fork_release();
}

static void tear_down(struct memkv_pool *pool)
{
	deputies_close(&pool->deputies);
	follower_stop(&pool->follower);
	give_end(pool);
	room_close(&pool->room); /* gives segments back, under the follower's lock */
	share_leave(pool);
	follower_close(&pool->follower);
	if (pool->slot.epoch)
		slot_leave(&pool->control, &pool->slot);
	factbook_close(&pool->factbook);
	share_close(pool);
	lane_set_close(&pool->lanes);
	lane_close(&pool->recover_lane);
	index_close(pool->index);
	close_medium(pool);
	namespaces_close(pool);
	pins_close(&pool->pins);
	holds_close(&pool->holds);
	free(pool);
}

/*
 * Is this a device that many hosts write to?  That must be known before it is opened for writing, which claims any other one.
 * What cannot be told is found out by the opening proper.
 */
static bool is_shared_device(const char *path)
{
	struct stat st;
	struct superblock sb = {0};
	struct lane lane;
	struct media *media;
	bool mended;

	if (stat(path, &st) || !S_ISBLK(st.st_mode))
		return false;
	int err = media_open(path, MEDIA_OPEN_READ_ONLY, &media); /* no lock, no claim: a child may keep it */
	if (!err) {
		err = lane_open(&lane, media);
		if (!err) {
			err = superblocks_read(&lane, &sb, &mended);
			lane_close(&lane);
		}
		media->ops->close(media);
	}
	return !err && sb.features_incompatible & FEATURE_SHARED;
}

/* all options are complete */
static int open_pool(const char *path, const struct memkv_pool_options *o, struct memkv_pool **out)
{
	unsigned flags = o->flags & MEMKV_OPEN_BUFFERED ? MEDIA_OPEN_BUFFERED : 0;
	struct memkv_pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return fail(-ENOMEM, "%s: no memory", path);
	pins_open(&pool->pins);
	holds_open(&pool->holds);
	pool->read_only = o->flags & MEMKV_OPEN_READ_ONLY;
	if (pool->read_only)
		flags |= MEDIA_OPEN_READ_ONLY;
	else if (is_shared_device(path))
		flags |= MEDIA_OPEN_SHARED;
	int err = pool->read_only ? 0 : file_system_check(path, path);
	if (!err)
		err = open_medium(pool, path, flags);
	if (err) {
		pins_close(&pool->pins);
		holds_close(&pool->holds);
		free(pool);
		return err;
	}
	deputies_open(&pool->deputies, pool, o->deadline_calls);
	err = attach(pool, path, flags, o);
	if (err)
		tear_down(pool);
	else
		*out = pool;
	return err;
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
	struct memkv_pool *pool = path && label && label->size >= sizeof(label->size) ? calloc(1, sizeof(*pool)) : NULL;

	if (!pool)
		return fail(-EINVAL, "probe: a path and a place for the answer, with its size, are needed");
	pool->read_only = true;
	int err = open_medium(pool, path, MEDIA_OPEN_READ_ONLY | MEDIA_OPEN_BUFFERED);
	if (err == MEMKV_CONFLICT) /* devices are never read through the page cache */
		err = open_medium(pool, path, MEDIA_OPEN_READ_ONLY);
	if (!err) {
		err = read_superblocks(pool);
		if (!err) {
			const struct superblock *sb = &pool->sb;
			struct memkv_pool_label found = {
				.size = label->size,
				.format_major = sb->major,
				.format_minor = sb->minor,
				.bytes = sb->geo.bytes,
				.created_s = sb->created_s,
			};
			memcpy(found.uuid, sb->uuid, sizeof(found.uuid));
			memcpy(found.name, sb->name, sizeof(found.name));
			memcpy(label, &found, min_u64(label->size, sizeof(found)));
		}
		lane_close(&pool->recover_lane);
		close_medium(pool);
	}
	free(pool);
	return err;
}

void memkv_pool_close(struct memkv_pool *pool)
{
	if (!pool || atomic_load(&pool->forked))
		return; /* in a child there is nothing to give back: descriptors are closed, the rest is the parent's */
	deadline_close(tear_down, pool);
}

int memkv_pool_refresh(struct memkv_pool *pool)
{
	int err = pool_usable(pool);

	if (err)
		return err;
	if (!pool->media->ops->alive(pool->media))
		return fail(MEMKV_FAILED, "%s: the pool's file is gone or was cut short", pool->media->path);
	namespaces_tend(pool);
	follower_step(&pool->follower);
	return 0;
}
