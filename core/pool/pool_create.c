/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making and destroying pools on files, block devices and DAX devices (target.h).
 *
 * Order of create: look what is there -> lock, and look again -> allocate every byte (nothing can run out of space
 * later) -> wipe the superblocks of a pool that was there -> flush -> wipe the control region -> owner words -> flush ->
 * superblock B -> superblock A -> flush -> a new file gets its name.  Interrupted anywhere before the last steps there is
 * no pool, or still the old one.
 */
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/base/options_take.h"
#include "core/format/owner_word.h"
#include "core/media/cache_lines.h"
#include "core/pool/handle.h"
#include "core/pool/target.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { ZERO_CHUNK = 1 << 20 };
#define DEFAULT_BYTES GIB(4)
#define ALLOCATE_CHUNK GIB(1)

struct creation {
	struct target target;
	struct memkv_create_options options;
	struct superblock sb;
	struct layout layout;
	enum target_holds holds;
	uint64_t done, total; /* bytes, for progress */
};

static int progress(struct creation *c, uint64_t bytes)
{
	c->done += bytes;
	if (c->options.progress && c->options.progress(c->options.context, c->done, c->total))
		return -ECANCELED;
	return 0;
}

/* may it be overwritten? */
static int look_what_is_there(struct creation *c)
{
	struct target *t = &c->target;
	bool force = c->options.flags & MEMKV_CREATE_FORCE;
	char name[64];
	int holds = t->fd < 0 || t->unnamed ? HOLDS_NOTHING : target_look(t, name, sizeof(name));

	if (holds < 0)
		return holds;
	c->holds = (enum target_holds)holds;
	if (holds == HOLDS_POOL && !force)
		return fail(MEMKV_POOL_EXISTS, "%s holds a pool already; destroy it first, or use --force", t->path);
	if (holds == HOLDS_POOL)
		return target_check_unused(t);
	if (holds == HOLDS_DATA && !force)
		return fail(MEMKV_FOREIGN, "%s holds data that is not memkv's%s%s%s; use --force to overwrite it", t->path,
			    name[0] ? " (" : "", name, name[0] ? ")" : "");
	return 0;
}

static int choose_sizes(struct creation *c)
{
	const struct memkv_create_options *o = &c->options;
	struct geometry_wish wish = {
		.bytes = o->bytes,
		.max_block = o->max_block,
		.segment = o->segment,
		.blocks = o->blocks,
		.block_size = o->block_size,
		.slots = o->slots,
		.shared = o->flags & MEMKV_CREATE_SHARE,
	};

	if (!wish.bytes && !wish.blocks)
		wish.bytes = c->target.size ? c->target.size : DEFAULT_BYTES;
	int err = geometry_choose(&wish, &c->sb.geo);
	if (!err)
		err = layout_compute(&c->sb.geo, &c->layout);
	if (!err && c->target.device && c->target.size < c->sb.geo.bytes)
		err = fail(MEMKV_GEOMETRY, "%s has %" PRIu64 " bytes, the pool would need %" PRIu64, c->target.path,
			   c->target.size, c->sb.geo.bytes);
	return err;
}

/* bytes that a file system has to find for the pool now */
static uint64_t bytes_to_allocate(const struct creation *c)
{
	if (c->target.device)
		return 0;
	return c->options.flags & MEMKV_CREATE_THIN ? c->layout.control_bytes : c->sb.geo.bytes;
}

/* no compare-and-swap, no page cache: for memory alone */
static int check_incoherent(struct creation *c)
{
	struct target *t = &c->target;

	if (!(c->options.flags & MEMKV_CREATE_INCOHERENT))
		return 0;
	if (c->options.flags & MEMKV_CREATE_SHARE)
		return fail(MEMKV_CONFLICT, "%s: --coherent no and --share cannot go together yet: one agent writes to such memory, others "
					    "read", t->path);
	if (!cache_lines_usable())
		return fail(-EOPNOTSUPP, "%s: this build does not know the cache instructions of its processor", t->path);
	t->incoherent = true;
	return t->memory || t->fd < 0 || media_file_is_memory(t->fd)
		       ? 0
		       : fail(MEMKV_CONFLICT, "%s is not memory: --coherent no is for DAX devices (and files on tmpfs or a DAX file system) "
					      "that hosts share whose caches are not coherent", t->path);
}

/* everything up to the first change; with look_only, also whether there would be room */
static int prepare(struct creation *c, const char *path, const struct memkv_create_options *options, bool look_only)
{
	*c = (struct creation){.target = {.fd = -1}};
	if (!path || !*path)
		return fail(-EINVAL, "create: a path is needed");
	int err = options_take(&c->options, sizeof(c->options), options, "create");
	if (!err && c->options.name && strlen(c->options.name) > MEMKV_NAME_MAX)
		err = fail(MEMKV_CONFLICT, "--name is longer than %d bytes", MEMKV_NAME_MAX);
	if (!err)
		err = target_open(&c->target, path, look_only);
	if (!err && c->options.flags & MEMKV_CREATE_SHARE && !c->target.device)
		err = fail(MEMKV_CONFLICT, "%s is not a block device: --share is for devices that several hosts write to; files and memory "
					   "are shared by the processes of one machine as they are", path);
	if (!err)
		err = check_incoherent(c);
	if (!err)
		err = look_what_is_there(c); /* without a lock, which would get into the way of those who attach */
	if (!err && !look_only)
		err = target_lock(&c->target);
	if (!err && !look_only && !c->target.unnamed)
		err = look_what_is_there(c);
	return err ? err : choose_sizes(c);
}

static int cannot_allocate(const struct creation *c, int err)
{
	return fail(err, "%s: cannot allocate %" PRIu64 " bytes: %s; choose a smaller --size or free some space",
		    c->target.path, c->sb.geo.bytes, strerror(-err));
}

static int allocate(struct creation *c)
{
	uint64_t bytes = c->sb.geo.bytes, now = bytes_to_allocate(c);
	int err = 0;

	if (c->target.size < bytes && ftruncate(c->target.fd, (off_t)bytes))
		err = -errno;
	for (uint64_t at = 0, piece; !err && at < now; at += piece) {
		piece = min_u64(ALLOCATE_CHUNK, now - at);
		if (fallocate(c->target.fd, 0, (off_t)at, (off_t)piece))
			err = -errno;
		if (err == -EOPNOTSUPP || err == -ENOSYS)
			return 0; /* no space can be promised; the control region is written below in any case */
		if (err == -EINTR)
			err = 0, piece = 0; /* a signal: whoever caught it says so now, else once more */
		if (!err && progress(c, piece))
			return fail(-ECANCELED, "%s: the create was stopped", c->target.path);
	}
	return err ? cannot_allocate(c, err) : 0;
}

static int zero_chunks(struct creation *c, uint64_t offset, uint64_t end)
{
	uint8_t *zero = aligned_alloc(PAGE, ZERO_CHUNK);
	int err = zero ? 0 : -ENOMEM;

	if (zero)
		memset(zero, 0, ZERO_CHUNK);
	while (!err && offset < end) {
		uint64_t piece = min_u64(ZERO_CHUNK, end - offset);
		err = target_write(&c->target, zero, piece, offset);
		if (!err)
			err = progress(c, piece);
		offset += piece;
	}
	free(zero);
	return err;
}

/* all but the first page, which says what is going on */
static int wipe_control(struct creation *c)
{
	uint64_t length = c->layout.control_bytes - PAGE;
	int err = target_zero_range(&c->target, PAGE, length);

	if (err == -EOPNOTSUPP || err == -ENOSYS || err == -EINTR)
		err = zero_chunks(c, PAGE, c->layout.control_bytes);
	else if (!err)
		err = progress(c, length);
	if (err == -ECANCELED)
		return fail(err, "%s: the create was stopped", c->target.path);
	return err ? fail(err, "%s: cannot write %" PRIu64 " bytes: %s", c->target.path, c->layout.control_bytes,
			  strerror(-err))
		   : 0;
}

static int write_owner_words(struct creation *c)
{
	uint64_t n = c->sb.geo.segments;
	uint64_t *words = calloc(n, sizeof(*words));

	if (!words)
		return -ENOMEM;
	for (uint64_t s = 0; s < n; s++)
		words[s] = owner_word_encode((struct owner_word){.state = OWNER_FREE}, s, c->sb.seed);
	int err = target_write(&c->target, words, n * sizeof(*words), c->layout.offset[REGION_OWNER_WORDS]);
	free(words);
	return err;
}

static int write_superblocks(struct creation *c)
{
	uint8_t page[PAGE];
	int err;

	superblock_encode(&c->sb, 1, page);
	err = target_write(&c->target, page, sizeof(page), c->layout.offset[REGION_SUPERBLOCK_B]);
	if (err)
		return err;
	superblock_encode(&c->sb, 0, page);
	return target_write(&c->target, page, sizeof(page), 0);
}

static int format(struct creation *c)
{
	struct superblock *sb = &c->sb;
	uint64_t random[2];
	int err = random_fill(random, sizeof(random));

	if (!err)
		err = random_fill(sb->uuid, sizeof(sb->uuid));
	sb->uuid[6] = (uint8_t)((sb->uuid[6] & 0x0F) | 0x40); /* RFC 9562 version 4 */
	sb->uuid[8] = (uint8_t)((sb->uuid[8] & 0x3F) | 0x80);
	sb->major = FORMAT_MAJOR;
	sb->minor = FORMAT_MINOR;
	sb->seed = random[0];
	sb->instance = random[1];
	sb->version = 1;
	if (c->options.flags & MEMKV_CREATE_SHARE)
		sb->features_incompatible |= FEATURE_SHARED;
	if (c->options.flags & MEMKV_CREATE_INCOHERENT)
		sb->features_incompatible |= FEATURE_INCOHERENT;
	if (!(c->options.flags & MEMKV_CREATE_SHARE) && sb->geo.segments >= GROUPS_FROM)
		sb->features_read_only |= FEATURE_GROUPS;
	sb->created_s = clock_utc_s();
	sb->home_device = (uint64_t)c->target.st.st_dev;
	sb->home_inode = (uint64_t)c->target.st.st_ino;
	if (c->options.name)
		memcpy(sb->name, c->options.name, strlen(c->options.name));
	if (!err)
		err = write_owner_words(c);
	if (!err)
		err = target_flush(&c->target);
	if (!err)
		err = write_superblocks(c);
	if (!err)
		err = target_flush(&c->target);
	return err ? fail(err, "%s: cannot write the pool: %s", c->target.path, strerror(-err)) : 0;
}

/* the directory entry of a new file must survive as well */
static void flush_directory(const char *path)
{
	char *directory = target_directory(path);
	int fd = directory ? open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (fd >= 0) {
		(void)fsync(fd);
		close(fd);
	}
	free(directory);
}

int memkv_pool_create(const char *path, const struct memkv_create_options *options)
{
	struct creation c;
	int err = prepare(&c, path, options, false);

	c.target.control_bytes = c.layout.control_bytes;
	c.total = err ? 0 : bytes_to_allocate(&c) + c.layout.control_bytes - PAGE;
	if (!err)
		err = allocate(&c);
	if (!err)
		err = target_wipe_superblocks(&c.target, true);
	if (!err)
		err = wipe_control(&c);
	if (!err)
		err = format(&c);
	if (!err)
		err = target_name(&c.target);
	if (err && c.target.made)
		unlink(path);
	bool device = c.target.device;
	target_close(&c.target);
	if (!err && !device)
		flush_directory(path);
	return err;
}

/* is there room for what a create would allocate? */
static int check_space(const struct creation *c)
{
	uint64_t need = bytes_to_allocate(c), has = c->target.fd < 0 ? 0 : (uint64_t)c->target.st.st_blocks * 512;
	char *directory = target_directory(c->target.path);
	struct statvfs vfs;
	bool known = directory && statvfs(directory, &vfs) == 0;

	free(directory);
	if (known && need > has && need - has > (uint64_t)vfs.f_bavail * vfs.f_frsize)
		return cannot_allocate(c, -ENOSPC);
	return 0;
}

int memkv_pool_plan(const char *path, const struct memkv_create_options *options, struct memkv_create_plan *plan)
{
	struct creation c;

	if (!plan || plan->size < sizeof(plan->size))
		return fail(-EINVAL, "plan: a place for the answer is needed, with its size");
	int err = prepare(&c, path, options, true);
	if (!err)
		err = check_space(&c);
	if (!err) {
		const struct geometry *geo = &c.sb.geo;
		uint64_t block = c.options.block_size ? c.options.block_size : geo->max_block;
		struct memkv_create_plan made = {
			.size = plan->size,
			.bytes = geo->bytes,
			.control_bytes = c.layout.control_bytes,
			.segments = geo->segments,
			.segment_room = geo->segment_room,
			.max_block = geo->max_block,
			.entries_per_segment = geo->entries,
			.room_block_size = block,
			.room_blocks = geometry_room(geo, block),
			.slots = geo->slots,
			.over_pool = c.holds == HOLDS_POOL,
			.over_data = c.holds == HOLDS_DATA,
			.new_file = c.target.fd < 0,
		};
		memcpy(plan, &made, min_u64(plan->size, sizeof(made)));
	}
	target_close(&c.target);
	return err;
}

/* a file goes; of a device both ends are wiped, so that it looks empty */
static int wipe(struct target *t)
{
	uint64_t peek = min_u64(t->size, TARGET_PEEK);
	int err = target_wipe_superblocks(t, false);

	if (err)
		return err;
	if (t->device) {
		uint8_t *zero = calloc(1, TARGET_PEEK);
		err = zero ? target_write(t, zero, peek, 0) : -ENOMEM;
		if (!err)
			err = target_write(t, zero, peek, t->size - peek);
		free(zero);
	}
	if (!err)
		err = target_flush(t);
	if (!err && !t->device && unlink(t->path))
		err = -errno;
	return err ? fail(err, "%s: could not be wiped and removed: %s", t->path, strerror(-err)) : 0;
}

static int check_is_pool(struct target *t)
{
	int holds = target_look(t, NULL, 0);

	if (holds == HOLDS_UNFINISHED)
		return fail(MEMKV_NOT_A_POOL, "%s holds a pool that was never finished: nothing was destroyed; create it again%s",
			    t->path, t->device ? "" : ", or remove the file");
	if (holds >= 0 && holds != HOLDS_POOL)
		return fail(MEMKV_NOT_A_POOL, "%s is not a memkv pool: nothing was destroyed", t->path);
	return holds < 0 ? holds : 0;
}

int memkv_pool_destroy(const char *path, int dry_run)
{
	struct target t = {.fd = -1};

	if (!path || !*path)
		return fail(-EINVAL, "destroy: a path is needed");
	int err = target_open_existing(&t, path, dry_run);
	if (!err)
		err = check_is_pool(&t);
	if (!err)
		err = target_lock(&t);
	if (!err)
		err = target_check_unused(&t);
	if (!err && !dry_run)
		err = wipe(&t);
	target_close(&t);
	return err;
}
