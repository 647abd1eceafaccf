/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making and destroying pools on files.
 *
 * Order of create: lock -> look what is there -> allocate every byte (nothing can run out of space later) -> wipe the
 * superblocks of a pool that was there -> flush -> wipe the control region -> owner words -> flush -> superblock B ->
 * superblock A -> flush.  Interrupted anywhere before the last steps there is no pool, or still the old one; a file that
 * this call made is removed again when it fails.
 */
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/format/owner_word.h"
#include "core/pool/handle.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ZERO_CHUNK = 1 << 20, PEEK_BYTES = 64 << 10 };
#define DEFAULT_BYTES GIB(4)

struct creation {
	const char *path;
	const struct memkv_create_options *options;
	int fd;
	bool made; /* the file is ours to remove */
	struct stat st;
	struct superblock sb;
	struct layout layout;
};

static int write_all(int fd, const void *bytes, size_t length, uint64_t offset)
{
	const uint8_t *at = bytes;

	while (length > 0) {
		ssize_t put = pwrite(fd, at, length, (off_t)offset);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		at += put;
		offset += (uint64_t)put;
		length -= (size_t)put;
	}
	return 0;
}

static int lock_file(struct creation *c)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};

	if (fcntl(c->fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		return fail(MEMKV_IN_USE, "%s: somebody else is just creating or destroying a pool there; try again", c->path);
	return fail(-errno, "%s: cannot lock the file: %s", c->path, strerror(errno));
}

static int open_file(struct creation *c)
{
	c->fd = open(c->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0660);
	c->made = c->fd >= 0;
	if (c->fd < 0 && errno == EEXIST)
		c->fd = open(c->path, O_RDWR | O_CLOEXEC);
	if (c->fd < 0)
		return fail(-errno, "%s: cannot create the pool's file: %s", c->path, strerror(errno));
	int err = lock_file(c);
	if (err) {
		c->made = false; /* whoever holds the lock found the file in our place */
		return err;
	}
	if (fstat(c->fd, &c->st))
		return fail(-errno, "%s: %s", c->path, strerror(errno));
	if (!S_ISREG(c->st.st_mode))
		return fail(MEMKV_NOT_A_POOL, "%s is not a regular file; a pool on a device is not supported yet", c->path);
	if (c->st.st_nlink == 0)
		return fail(MEMKV_IN_USE, "%s vanished while it was opened; try again", c->path);
	return 0;
}

/* 1 yes, 0 no, -errno */
static int holds_data(const struct creation *c)
{
	static const uint8_t zero[4096];
	uint8_t bytes[4096];
	uint64_t size = (uint64_t)c->st.st_size, peek = min_u64(size, PEEK_BYTES);
	uint64_t starts[2] = {0, size - peek};

	for (int part = 0; part < 2; part++) {
		for (uint64_t at = 0; at < peek; at += sizeof(bytes)) {
			ssize_t got = pread(c->fd, bytes, sizeof(bytes), (off_t)(starts[part] + at));
			if (got < 0)
				return -errno;
			if (memcmp(bytes, zero, (size_t)got) != 0)
				return 1;
		}
	}
	return 0;
}

/* a pool is there: does anybody use it? */
static int check_unused(const char *path)
{
	struct memkv_pool_options options = {
		.size = sizeof(options), .flags = MEMKV_OPEN_READ_ONLY | MEMKV_OPEN_NO_FOLLOWER, .lanes = 1};
	struct memkv_pool *pool;
	int err = memkv_pool_open(path, &options, &pool);

	if (err)
		return err == MEMKV_DAMAGED || err == MEMKV_NEWER ? 0 : err; /* nobody can have it open */
	struct slot_cell cell = {0};
	uint32_t live = 0;
	for (uint32_t n = 0; n < pool->sb.geo.slots; n++) {
		if (!slot_locked(&pool->control, n))
			continue;
		live++;
		slot_read(&pool->control, n, &cell);
	}
	memkv_pool_close(pool);
	if (live)
		return fail(MEMKV_IN_USE, "%s is in use by %u live agent%s (one is process %u on %s); stop them first", path,
			    live, live == 1 ? "" : "s", cell.pid, cell.host_nqn[0] ? cell.host_nqn : "this machine");
	return 0;
}

static int look_what_is_there(struct creation *c)
{
	uint8_t page[PAGE] = {0};
	bool force = c->options->flags & MEMKV_CREATE_FORCE;

	if (c->st.st_size == 0)
		return 0;
	if (pread(c->fd, page, sizeof(page), 0) < 0)
		return fail(-errno, "%s: cannot read: %s", c->path, strerror(errno));
	if (superblock_magic(page)) {
		if (!force)
			return fail(MEMKV_POOL_EXISTS, "%s holds a pool already; destroy it first, or use --force", c->path);
		return check_unused(c->path);
	}
	int data = holds_data(c);
	if (data < 0)
		return fail(data, "%s: cannot read: %s", c->path, strerror(-data));
	if (data && !force)
		return fail(MEMKV_FOREIGN, "%s holds data that is not memkv's; use --force to overwrite it", c->path);
	return 0;
}

static int choose_sizes(struct creation *c)
{
	const struct memkv_create_options *o = c->options;
	struct geometry_wish wish = {
		.bytes = o->bytes,
		.max_block = o->max_block,
		.segment = o->segment,
		.blocks = o->blocks,
		.block_size = o->block_size,
		.slots = o->slots,
	};

	if (!wish.bytes && !wish.blocks)
		wish.bytes = c->st.st_size ? (uint64_t)c->st.st_size : DEFAULT_BYTES;
	int err = geometry_choose(&wish, &c->sb.geo);
	return err ? err : layout_compute(&c->sb.geo, &c->layout);
}

static int wipe_page(const struct creation *c, uint64_t offset)
{
	static const uint8_t zero[PAGE];

	return offset + PAGE <= (uint64_t)c->st.st_size ? write_all(c->fd, zero, sizeof(zero), offset) : 0;
}

/* both superblocks of the pool that was there, so that neither is ever taken for one of what is made now */
static int wipe_old_superblocks(struct creation *c)
{
	uint64_t size = round_down((uint64_t)c->st.st_size, PAGE);
	uint8_t page[PAGE] = {0};
	struct superblock old;
	bool mended;

	if (size < 2 * PAGE)
		return 0;
	int err = pread(c->fd, page, sizeof(page), 0) < 0 ? -errno : 0;
	if (!err && superblock_decode(page, 0, &old, &mended) == 0 && old.geo.bytes >= PAGE && old.geo.bytes < size)
		err = wipe_page(c, round_down(old.geo.bytes, PAGE) - PAGE); /* the medium has grown since */
	if (!err)
		err = wipe_page(c, size - PAGE);
	if (!err)
		err = wipe_page(c, 0);
	if (!err && fsync(c->fd))
		err = -errno;
	return err ? fail(err, "%s: cannot wipe what was there: %s", c->path, strerror(-err)) : 0;
}

static int zero_range(int fd, uint64_t offset, uint64_t length)
{
	if (fallocate(fd, FALLOC_FL_ZERO_RANGE, (off_t)offset, (off_t)length) == 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != ENOSYS)
		return -errno;
	uint8_t *zero = calloc(1, ZERO_CHUNK);
	int err = zero ? 0 : -ENOMEM;
	for (uint64_t at = 0; !err && at < length; at += ZERO_CHUNK)
		err = write_all(fd, zero, min_u64(ZERO_CHUNK, length - at), offset + at);
	free(zero);
	return err;
}

static int allocate(struct creation *c)
{
	uint64_t bytes = c->sb.geo.bytes;
	int err = 0;

	if ((uint64_t)c->st.st_size < bytes && ftruncate(c->fd, (off_t)bytes))
		err = -errno;
	uint64_t now = c->options->flags & MEMKV_CREATE_THIN ? c->layout.control_bytes : bytes;
	if (!err && fallocate(c->fd, 0, 0, (off_t)now)) {
		err = -errno;
		if (err == -EOPNOTSUPP || err == -ENOSYS)
			err = 0; /* the file system cannot promise space; the control region is written below in any case */
	}
	if (err)
		return fail(err, "%s: cannot allocate %" PRIu64 " bytes: %s; choose a smaller --size or free some space",
			    c->path, bytes, strerror(-err));
	return 0;
}

static int wipe_control(struct creation *c)
{
	int err = zero_range(c->fd, 0, c->layout.control_bytes);

	return err ? fail(err, "%s: cannot write %" PRIu64 " bytes: %s", c->path, c->layout.control_bytes, strerror(-err)) : 0;
}

static int write_owner_words(struct creation *c)
{
	uint64_t n = c->sb.geo.segments;
	uint64_t *words = calloc(n, sizeof(*words));

	if (!words)
		return -ENOMEM;
	for (uint64_t s = 0; s < n; s++)
		words[s] = owner_word_encode((struct owner_word){.state = OWNER_FREE}, s, c->sb.seed);
	int err = write_all(c->fd, words, n * sizeof(*words), c->layout.offset[REGION_OWNER_WORDS]);
	free(words);
	return err;
}

static int write_superblocks(struct creation *c)
{
	uint8_t page[PAGE];
	int err;

	superblock_encode(&c->sb, 1, page);
	err = write_all(c->fd, page, sizeof(page), c->layout.offset[REGION_SUPERBLOCK_B]);
	if (err)
		return err;
	superblock_encode(&c->sb, 0, page);
	return write_all(c->fd, page, sizeof(page), 0);
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
	sb->created_s = clock_utc_s();
	sb->home_device = (uint64_t)c->st.st_dev;
	sb->home_inode = (uint64_t)c->st.st_ino;
	if (c->options->name)
		memcpy(sb->name, c->options->name, strlen(c->options->name));
	if (!err)
		err = write_owner_words(c);
	if (!err && fsync(c->fd))
		err = -errno;
	if (!err)
		err = write_superblocks(c);
	if (!err && fsync(c->fd))
		err = -errno;
	return err ? fail(err, "%s: cannot write the pool: %s", c->path, strerror(-err)) : 0;
}

/* the directory entry of a new file must survive as well */
static void flush_directory(const char *path)
{
	char *copy = strdup(path);
	char *slash = copy ? strrchr(copy, '/') : NULL;

	if (slash)
		*(slash == copy ? slash + 1 : slash) = 0;
	int fd = copy ? open(slash ? copy : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (fd >= 0) {
		(void)fsync(fd);
		close(fd);
	}
	free(copy);
}

int memkv_pool_create(const char *path, const struct memkv_create_options *options)
{
	struct memkv_create_options o = {.size = sizeof(o)};
	struct creation c = {.path = path, .options = &o, .fd = -1};

	if (!path || !*path)
		return fail(-EINVAL, "create: a path is needed");
	if (options)
		memcpy(&o, options, min_u64(options->size, sizeof(o)));
	if (o.name && strlen(o.name) > MEMKV_NAME_MAX)
		return fail(MEMKV_CONFLICT, "--name is longer than %d bytes", MEMKV_NAME_MAX);
	int err = open_file(&c);
	if (!err)
		err = look_what_is_there(&c);
	if (!err)
		err = choose_sizes(&c);
	if (!err)
		err = allocate(&c);
	if (!err)
		err = wipe_old_superblocks(&c);
	if (!err)
		err = wipe_control(&c);
	if (!err)
		err = format(&c);
	if (err && c.made)
		unlink(path);
	if (c.fd >= 0)
		close(c.fd);
	if (!err)
		flush_directory(path);
	return err;
}

int memkv_pool_destroy(const char *path, int dry_run)
{
	struct creation c = {.path = path, .fd = -1};
	uint8_t page[PAGE] = {0};
	int err;

	if (!path || !*path)
		return fail(-EINVAL, "destroy: a path is needed");
	c.fd = open(path, O_RDWR | O_CLOEXEC);
	if (c.fd < 0)
		return fail(-errno, "%s: cannot open: %s", path, strerror(errno));
	err = lock_file(&c);
	if (!err && pread(c.fd, page, sizeof(page), 0) < 0)
		err = fail(-errno, "%s: cannot read: %s", path, strerror(errno));
	if (!err && !superblock_magic(page))
		err = fail(MEMKV_NOT_A_POOL, "%s is not a memkv pool: nothing was destroyed", path);
	if (!err)
		err = check_unused(path);
	if (!err && !dry_run) {
		memset(page, 0, sizeof(page));
		off_t end = lseek(c.fd, 0, SEEK_END);
		err = write_all(c.fd, page, sizeof(page), 0);
		if (!err && end > PAGE)
			err = write_all(c.fd, page, sizeof(page), (uint64_t)end - PAGE);
		if (!err && (fsync(c.fd) || unlink(path)))
			err = -errno;
		if (err)
			fail(err, "%s: could not be wiped and removed: %s", path, strerror(-err));
	}
	close(c.fd);
	return err;
}
