/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making and destroying pools on files and block devices.
 *
 * A device is opened exclusively, which excludes its writing agent, mounts and mkfs, and without the page cache; what
 * else it may hold is asked of libblkid as well as looked at.  It has its size and is never removed.
 *
 * Order of create: lock -> look what is there -> allocate every byte (nothing can run out of space later) -> wipe the
 * superblocks of a pool that was there -> flush -> wipe the control region -> owner words -> flush -> superblock B ->
 * superblock A -> flush.  Interrupted anywhere before the last steps there is no pool, or still the old one; a file that
 * this call made is removed again when it fails.
 */
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/format/owner_word.h"
#include "core/media/signature.h"
#include "core/pool/handle.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ZERO_CHUNK = 1 << 20, PEEK_BYTES = 64 << 10 };
#define DEFAULT_BYTES GIB(4)

struct creation {
	const char *path;
	const struct memkv_create_options *options;
	int fd;
	bool made; /* the file is ours to remove */
	bool device;
	uint64_t size; /* of the file or device */
	uint8_t *pages; /* PEEK_BYTES, aligned, through which all bytes go */
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

/* whole pages to the file or device; the last one padded with zeros */
static int write_pages(const struct creation *c, const void *bytes, size_t length, uint64_t offset)
{
	const uint8_t *from = bytes;
	int err = 0;

	for (size_t at = 0; !err && at < length; at += PEEK_BYTES) {
		size_t piece = min_u64(length - at, PEEK_BYTES), padded = round_up(piece, PAGE);
		memcpy(c->pages, from + at, piece);
		memset(c->pages + piece, 0, padded - piece);
		err = write_all(c->fd, c->pages, padded, offset + at);
	}
	return err;
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

static int open_device(struct creation *c)
{
	int sector = 0;

	c->device = true;
	c->fd = media_block_claim(c->path, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (c->fd == -EBUSY)
		return fail(MEMKV_IN_USE, "%s is in use: an agent writes to it, it is mounted, or it is part of another device",
			    c->path);
	if (c->fd < 0)
		return fail(c->fd, "%s: cannot open: %s", c->path, strerror(-c->fd));
	if (fstat(c->fd, &c->st) || ioctl(c->fd, BLKGETSIZE64, &c->size) || ioctl(c->fd, BLKSSZGET, &sector))
		return fail(-errno, "%s: %s", c->path, strerror(errno));
	if (sector > PAGE)
		return fail(MEMKV_GEOMETRY, "%s has logical blocks of %d bytes; at most %d are supported", c->path, sector, PAGE);
	c->size = round_down(c->size, PAGE);
	return lock_file(c);
}

static int open_file(struct creation *c)
{
	c->pages = aligned_alloc(PAGE, PEEK_BYTES);
	if (!c->pages)
		return fail(-ENOMEM, "%s: no memory", c->path);
	if (stat(c->path, &c->st) == 0 && S_ISBLK(c->st.st_mode))
		return open_device(c);
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
		return fail(MEMKV_NOT_A_POOL, "%s is neither a regular file nor a block device", c->path);
	if (c->st.st_nlink == 0)
		return fail(MEMKV_IN_USE, "%s vanished while it was opened; try again", c->path);
	c->size = (uint64_t)c->st.st_size;
	return 0;
}

/* as open_file(), to destroy what is there */
static int open_existing(struct creation *c)
{
	struct stat st;

	c->pages = aligned_alloc(PAGE, PEEK_BYTES);
	if (!c->pages)
		return fail(-ENOMEM, "%s: no memory", c->path);
	memset(c->pages, 0, PEEK_BYTES);
	if (stat(c->path, &st) == 0 && S_ISBLK(st.st_mode))
		return open_device(c);
	c->fd = open(c->path, O_RDWR | O_CLOEXEC);
	if (c->fd < 0)
		return fail(-errno, "%s: cannot open: %s", c->path, strerror(errno));
	off_t end = lseek(c->fd, 0, SEEK_END);
	c->size = end > 0 ? (uint64_t)end : 0;
	return lock_file(c);
}

/* 1 yes, 0 no, -errno */
static int holds_data(const struct creation *c)
{
	uint64_t peek = min_u64(c->size, PEEK_BYTES);
	uint64_t starts[2] = {0, c->size - peek};

	for (int part = 0; part < 2; part++) {
		ssize_t got = pread(c->fd, c->pages, peek, (off_t)starts[part]);
		if (got < 0)
			return -errno;
		for (ssize_t i = 0; i < got; i++)
			if (c->pages[i])
				return 1;
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
	bool force = c->options->flags & MEMKV_CREATE_FORCE;
	char name[64] = "";

	if (c->size == 0)
		return 0;
	memset(c->pages, 0, PAGE);
	if (pread(c->fd, c->pages, PAGE, 0) < 0)
		return fail(-errno, "%s: cannot read: %s", c->path, strerror(errno));
	if (superblock_magic(c->pages)) {
		if (!force)
			return fail(MEMKV_POOL_EXISTS, "%s holds a pool already; destroy it first, or use --force", c->path);
		return check_unused(c->path);
	}
	int known = c->device ? signature_look(c->path, name, sizeof(name)) : 0;
	if (known > 0 && !force)
		return fail(MEMKV_FOREIGN, "%s holds data that is not memkv's (%s); use --force to overwrite it", c->path, name);
	int data = known < 0 ? known : holds_data(c);
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
		wish.bytes = c->size ? c->size : DEFAULT_BYTES;
	int err = geometry_choose(&wish, &c->sb.geo);
	return err ? err : layout_compute(&c->sb.geo, &c->layout);
}

static int wipe_page(const struct creation *c, uint64_t offset)
{
	static const uint8_t zero[PAGE];

	return offset + PAGE <= c->size ? write_pages(c, zero, sizeof(zero), offset) : 0;
}

/* both superblocks of the pool that was there, so that neither is ever taken for one of what is made now */
static int wipe_old_superblocks(struct creation *c)
{
	uint64_t size = round_down(c->size, PAGE);
	struct superblock old;
	bool mended;

	if (size < 2 * PAGE)
		return 0;
	int err = pread(c->fd, c->pages, PAGE, 0) < 0 ? -errno : 0;
	if (!err && superblock_decode(c->pages, 0, &old, &mended) == 0 && old.geo.bytes >= PAGE && old.geo.bytes < size)
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
	uint8_t *zero = aligned_alloc(PAGE, ZERO_CHUNK);
	int err = zero ? 0 : -ENOMEM;
	if (zero)
		memset(zero, 0, ZERO_CHUNK);
	for (uint64_t at = 0; !err && at < length; at += ZERO_CHUNK)
		err = write_all(fd, zero, min_u64(ZERO_CHUNK, length - at), offset + at);
	free(zero);
	return err;
}

static int allocate(struct creation *c)
{
	uint64_t bytes = c->sb.geo.bytes;
	int err = 0;

	if (c->device && c->size < bytes)
		return fail(MEMKV_GEOMETRY, "%s has %" PRIu64 " bytes, the pool would need %" PRIu64, c->path, c->size, bytes);
	if (c->size < bytes && ftruncate(c->fd, (off_t)bytes))
		err = -errno;
	uint64_t now = c->options->flags & MEMKV_CREATE_THIN ? c->layout.control_bytes : bytes;
	if (!err && !c->device && fallocate(c->fd, 0, 0, (off_t)now)) {
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
	int err = write_pages(c, words, n * sizeof(*words), c->layout.offset[REGION_OWNER_WORDS]);
	free(words);
	return err;
}

static int write_superblocks(struct creation *c)
{
	uint8_t page[PAGE];
	int err;

	superblock_encode(&c->sb, 1, page);
	err = write_pages(c, page, sizeof(page), c->layout.offset[REGION_SUPERBLOCK_B]);
	if (err)
		return err;
	superblock_encode(&c->sb, 0, page);
	return write_pages(c, page, sizeof(page), 0);
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
	free(c.pages);
	if (!err && !c.device)
		flush_directory(path);
	return err;
}

/* a file goes; of a device both ends are wiped, so that it looks empty */
static int wipe(struct creation *c)
{
	uint64_t peek = min_u64(c->size, PEEK_BYTES);
	int err;

	memset(c->pages, 0, PEEK_BYTES);
	err = write_all(c->fd, c->pages, c->device ? peek : PAGE, 0);
	if (!err && c->size > PAGE)
		err = write_all(c->fd, c->pages, c->device ? peek : PAGE, c->size - (c->device ? peek : PAGE));
	if (!err && (fsync(c->fd) || (!c->device && unlink(c->path))))
		err = -errno;
	return err ? fail(err, "%s: could not be wiped and removed: %s", c->path, strerror(-err)) : 0;
}

static int destroy(struct creation *c, bool dry_run)
{
	int err = open_existing(c);

	if (!err && pread(c->fd, c->pages, PAGE, 0) < 0)
		err = fail(-errno, "%s: cannot read: %s", c->path, strerror(errno));
	if (!err && !superblock_magic(c->pages))
		err = fail(MEMKV_NOT_A_POOL, "%s is not a memkv pool: nothing was destroyed", c->path);
	if (!err)
		err = check_unused(c->path);
	return err || dry_run ? err : wipe(c);
}

int memkv_pool_destroy(const char *path, int dry_run)
{
	struct creation c = {.path = path, .fd = -1};

	if (!path || !*path)
		return fail(-EINVAL, "destroy: a path is needed");
	int err = destroy(&c, dry_run);
	if (c.fd >= 0)
		close(c.fd);
	free(c.pages);
	return err;
}
