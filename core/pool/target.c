/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See target.h.
 *
 * A new file has no name (O_TMPFILE) until the pool in it is whole: a create that dies leaves nothing.  Where the file
 * system cannot do that, and on what is there already, the first page says that a create is under way.
 *
 * A device is opened exclusively, which excludes its writing agent, mounts and mkfs, and without the page cache; what
 * else it may hold is asked of libblkid as well as looked at.  It has its size and is never removed.
 *
 * A DAX device cannot be read or written: all goes through a mapping.  Nothing claims it for one process, but its node's
 * locks are seen by whoever opens the same node.
 */
#include "core/pool/target.h"
#include "core/base/fail.h"
#include "core/media/cache_lines.h"
#include "core/media/file_system.h"
#include "core/media/signature.h"
#include "core/pool/handle.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* the first page while a create is under way; see FORMAT.md */
static const char unfinished_sign[8] = {'M', 'E', 'M', 'K', 'V', 'N', 'E', 'W'};

/* ---- opening ---- */

/* is what was opened still what the path names?  Somebody may have destroyed it, and made it anew, before we had the lock */
static bool still_there(const struct target *t)
{
	struct stat ours, named;

	return fstat(t->fd, &ours) == 0 && stat(t->path, &named) == 0 && ours.st_dev == named.st_dev &&
	       ours.st_ino == named.st_ino;
}

int target_lock(struct target *t)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};

	if (t->look_only || t->unnamed)
		return 0;
	if (fcntl(t->fd, F_OFD_SETLK, &lock) == 0) {
		if (t->device || still_there(t))
			return 0;
		t->made = false;
		return fail(MEMKV_IN_USE, "%s vanished while it was opened; try again", t->path);
	}
	if (errno == EAGAIN || errno == EACCES)
		return fail(MEMKV_IN_USE, "%s: somebody else is just creating or destroying a pool there; try again", t->path);
	return fail(-errno, "%s: cannot lock the file: %s", t->path, strerror(errno));
}

static int open_device(struct target *t)
{
	int sector = 0;

	t->device = true;
	t->fd = media_block_claim(t->path, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (t->fd == -EBUSY)
		return fail(MEMKV_IN_USE, "%s is in use: an agent writes to it, it is mounted, or it is part of another device",
			    t->path);
	if (t->fd < 0)
		return fail(t->fd, "%s: cannot open: %s", t->path, strerror(-t->fd));
	if (fstat(t->fd, &t->st) || ioctl(t->fd, BLKGETSIZE64, &t->size) || ioctl(t->fd, BLKSSZGET, &sector))
		return fail(-errno, "%s: %s", t->path, strerror(errno));
	if (sector > PAGE)
		return fail(MEMKV_GEOMETRY, "%s has logical blocks of %d bytes; at most %d are supported", t->path, sector, PAGE);
	t->size = round_down(t->size, PAGE);
	return 0;
}

static int open_dax(struct target *t)
{
	t->device = true;
	t->fd = open(t->path, O_RDWR | O_CLOEXEC);
	if (t->fd < 0)
		return fail(-errno, "%s: cannot open: %s", t->path, strerror(errno));
	struct media *lines;
	int err = media_dax_open(t->path, 0, &t->memory);
	if (err)
		return err;
	if (media_lines_over(t->memory, &lines) == 0) /* it may be shared, and this host's caches be of long ago */
		t->memory = lines;
	t->size = t->memory->caps.bytes;
	err = t->memory->ops->queue_open(t->memory, 1, &t->queue);
	return err ? fail(err, "%s: no memory", t->path) : 0;
}

char *target_directory(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return strdup(".");
	return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

static int make_file(struct target *t, const char *directory)
{
	if (t->look_only)
		return access(directory, W_OK | X_OK) ? fail(-errno, "%s: cannot create the pool's file: %s", t->path,
							      strerror(errno))
						      : 0;
	if (access("/proc/self/fd", X_OK) == 0)
		t->fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0660);
	t->unnamed = t->fd >= 0;
	if (t->fd < 0)
		t->fd = open(t->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0660);
	if (t->fd < 0 && errno == EEXIST)
		return fail(MEMKV_IN_USE, "%s: somebody else is just creating or destroying a pool there; try again", t->path);
	if (t->fd < 0)
		return fail(-errno, "%s: cannot create the pool's file: %s", t->path, strerror(errno));
	t->made = !t->unnamed;
	int err = target_lock(t);
	if (err)
		t->made = false; /* whoever holds the lock found the file in our place */
	return err;
}

static int open_new(struct target *t)
{
	struct stat dangling;
	char *directory = target_directory(t->path);
	int err = directory ? file_system_check(t->path, directory) : fail(-ENOMEM, "%s: no memory", t->path);

	if (!err && lstat(t->path, &dangling) == 0)
		err = S_ISLNK(dangling.st_mode)
			      ? fail(-ENOENT, "%s is a symbolic link to what is not there", t->path)
			      : fail(MEMKV_IN_USE, "%s: somebody else is just creating a pool there; try again", t->path);
	if (!err)
		err = make_file(t, directory);
	if (!err && t->fd >= 0 && fstat(t->fd, &t->st))
		err = fail(-errno, "%s: %s", t->path, strerror(errno));
	free(directory);
	return err;
}

static int open_file(struct target *t)
{
	int err = file_system_check(t->path, t->path);

	if (err)
		return err;
	if (!S_ISREG(t->st.st_mode))
		return fail(MEMKV_NOT_A_POOL, "%s is neither a regular file nor a block or DAX device", t->path);
	t->fd = open(t->path, O_RDWR | O_CLOEXEC);
	if (t->fd < 0)
		return fail(-errno, "%s: cannot open it for writing: %s", t->path, strerror(errno));
	if (fstat(t->fd, &t->st))
		return fail(-errno, "%s: %s", t->path, strerror(errno));
	t->size = (uint64_t)t->st.st_size;
	return 0;
}

static int open_any(struct target *t, const char *path, bool look_only)
{
	*t = (struct target){.path = path, .fd = -1, .look_only = look_only, .pages = aligned_alloc(PAGE, TARGET_PEEK)};
	if (!t->pages)
		return fail(-ENOMEM, "%s: no memory", path);
	memset(t->pages, 0, TARGET_PEEK);
	if (stat(path, &t->st))
		return errno == ENOENT ? 1 : fail(-errno, "%s: %s", path, strerror(errno));
	if (media_is_dax(&t->st))
		return open_dax(t);
	return S_ISBLK(t->st.st_mode) ? open_device(t) : open_file(t);
}

int target_open(struct target *t, const char *path, bool look_only)
{
	int err = open_any(t, path, look_only);

	return err == 1 ? open_new(t) : err;
}

int target_open_existing(struct target *t, const char *path, bool look_only)
{
	int err = open_any(t, path, look_only);

	return err == 1 ? fail(-ENOENT, "%s: cannot open: %s", path, strerror(ENOENT)) : err;
}

void target_close(struct target *t)
{
	if (t->queue)
		t->queue->ops->close(t->queue);
	if (t->memory)
		t->memory->ops->close(t->memory);
	t->queue = NULL;
	t->memory = NULL;
	if (t->fd >= 0)
		close(t->fd);
	free(t->pages);
	t->fd = -1;
	t->pages = NULL;
}

int target_name(struct target *t)
{
	char from[64];

	if (!t->unnamed)
		return 0;
	snprintf(from, sizeof(from), "/proc/self/fd/%d", t->fd);
	if (linkat(AT_FDCWD, from, AT_FDCWD, t->path, AT_SYMLINK_FOLLOW)) {
		if (errno == EEXIST)
			return fail(MEMKV_POOL_EXISTS, "%s: somebody else has made a file there meanwhile", t->path);
		return fail(-errno, "%s: cannot name the pool's file: %s", t->path, strerror(errno));
	}
	t->unnamed = false;
	return 0;
}

/* ---- what is there ---- */

static int move_memory(const struct target *t, enum media_direction direction, size_t length, uint64_t offset)
{
	struct media_io io = {
		.direction = direction, .offset = offset, .pieces = {{t->pages, length}}, .piece_count = 1};
	int err = t->queue->ops->submit(t->queue, &io);

	return err || !t->queue->ops->reap(t->queue, 1) ? -EIO : io.result;
}

ssize_t target_read(const struct target *t, size_t length, uint64_t offset)
{
	if (!t->memory) {
		ssize_t got = pread(t->fd, t->pages, length, (off_t)offset);
		return got < 0 ? -errno : got;
	}
	int err = move_memory(t, MEDIA_READ, length, offset);
	return err ? err : (ssize_t)length;
}

/* 1 yes, 0 no, -errno */
static int holds_data(const struct target *t)
{
	uint64_t peek = min_u64(t->size, TARGET_PEEK);
	uint64_t starts[2] = {0, t->size - peek};

	for (int part = 0; part < 2; part++) {
		ssize_t got = target_read(t, peek, starts[part]);
		if (got < 0)
			return (int)got;
		for (ssize_t i = 0; i < got; i++)
			if (t->pages[i])
				return 1;
	}
	return 0;
}

/* one page; what lies behind the end reads as zero */
static int read_page(const struct target *t, uint64_t offset)
{
	memset(t->pages, 0, PAGE);
	ssize_t got = target_read(t, PAGE, offset);
	return got < 0 ? fail((int)got, "%s: cannot read: %s", t->path, strerror((int)-got)) : 0;
}

int target_look(struct target *t, char *name, size_t name_room)
{
	uint64_t whole = round_down(t->size, PAGE);

	if (name_room)
		name[0] = 0;
	if (t->size == 0)
		return HOLDS_NOTHING;
	int err = read_page(t, 0);
	if (err)
		return err;
	if (superblock_magic(t->pages))
		return HOLDS_POOL;
	bool unfinished = memcmp(t->pages, unfinished_sign, sizeof(unfinished_sign)) == 0;
	if (whole >= 2 * PAGE) {
		err = read_page(t, whole - PAGE);
		if (err)
			return err;
		if (superblock_magic(t->pages))
			return HOLDS_POOL;
	}
	if (unfinished)
		return HOLDS_UNFINISHED;
	int known = t->device && !t->memory ? signature_look(t->path, name, name_room) : 0;
	int data = known ? known : holds_data(t);
	if (data < 0)
		return fail(data, "%s: cannot read: %s", t->path, strerror(-data));
	return data ? HOLDS_DATA : HOLDS_NOTHING;
}

/* the locks of agents, of whatever kind of pool: 1 there is one, 0 none, -errno */
static int any_lock(const struct target *t)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0};

	return fcntl(t->fd, F_OFD_GETLK, &lock) ? -errno : lock.l_type != F_UNLCK;
}

/* live agents of a pool that can be opened, and one of them; 0 when it cannot: any_lock() tells then */
static int count_agents(const char *path, uint32_t *live, struct slot_cell *cell)
{
	struct memkv_pool_options options = {
		.size = sizeof(options), .flags = MEMKV_OPEN_READ_ONLY | MEMKV_OPEN_NO_FOLLOWER, .lanes = 1};
	struct memkv_pool *pool;
	int err = memkv_pool_open(path, &options, &pool);

	*live = 0;
	if (err)
		return err == MEMKV_DAMAGED || err == MEMKV_NEWER || err == MEMKV_NOT_A_POOL ? 0 : err;
	if (pool->control.shared)
		share_listen(pool);
	for (uint32_t n = 0; n < pool->sb.geo.slots; n++) {
		if (!slot_locked(&pool->control, n) || (pool->control.shared && share_silent(pool, n)))
			continue;
		++*live;
		slot_read(&pool->control, n, cell);
	}
	memkv_pool_close(pool);
	return 0;
}

int target_check_unused(struct target *t)
{
	struct slot_cell cell = {0};
	uint32_t live;
	int err = count_agents(t->path, &live, &cell);

	if (err)
		return err;
	if (live)
		return fail(MEMKV_IN_USE, "%s is in use by %u live agent%s (one is process %u on %s); stop them first",
			    t->path, live, live == 1 ? "" : "s", cell.pid, cell.host_nqn[0] ? cell.host_nqn : "this machine");
	int locked = any_lock(t);
	if (locked < 0)
		return fail(locked, "%s: cannot look for locks: %s", t->path, strerror(-locked));
	return locked ? fail(MEMKV_IN_USE, "%s is in use by a live agent; stop it first", t->path) : 0;
}

/* ---- writing ---- */

static int write_all(int fd, const uint8_t *at, size_t length, uint64_t offset)
{
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

int target_write(const struct target *t, const void *bytes, size_t length, uint64_t offset)
{
	const uint8_t *from = bytes;
	int err = 0;

	for (size_t at = 0; !err && at < length; at += TARGET_PEEK) {
		size_t piece = min_u64(length - at, TARGET_PEEK), padded = round_up(piece, PAGE);
		memcpy(t->pages, from + at, piece);
		memset(t->pages + piece, 0, padded - piece);
		err = t->memory ? move_memory(t, MEDIA_WRITE, padded, offset + at)
				: write_all(t->fd, t->pages, padded, offset + at);
	}
	return err;
}

/* a file in memory: the kernel has written through this host's caches */
static int write_back(const struct target *t)
{
	struct stat st;

	if (fstat(t->fd, &st))
		return -errno;
	size_t bytes = (size_t)st.st_size;
	void *at = bytes ? mmap(NULL, bytes, PROT_READ, MAP_SHARED, t->fd, 0) : NULL;
	if (at == MAP_FAILED)
		return -errno;
	if (bytes) {
		cache_lines_write_back(at, min_u64(bytes, t->control_bytes));
		cache_lines_write_back((uint8_t *)at + bytes - min_u64(bytes, PAGE), min_u64(bytes, PAGE));
		cache_lines_fence();
		munmap(at, bytes);
	}
	return 0;
}

int target_flush(const struct target *t)
{
	if (t->memory)
		return t->memory->ops->flush(t->memory); /* each write was drained */
	if (fsync(t->fd))
		return -errno;
	return t->incoherent ? write_back(t) : 0;
}

int target_zero_range(const struct target *t, uint64_t offset, uint64_t length)
{
	if (t->memory)
		return -EOPNOTSUPP;
	return fallocate(t->fd, FALLOC_FL_ZERO_RANGE, (off_t)offset, (off_t)length) ? -errno : 0;
}

static int wipe_page(const struct target *t, uint64_t offset)
{
	static const uint8_t zero[PAGE];

	return offset + PAGE <= t->size ? target_write(t, zero, sizeof(zero), offset) : 0;
}

int target_wipe_superblocks(struct target *t, bool unfinished)
{
	uint64_t whole = round_down(t->size, PAGE);
	uint8_t first[PAGE] = {0};
	struct superblock old;
	bool mended;
	ssize_t got = target_read(t, PAGE, 0);
	int err = got < 0 ? (int)got : 0;

	if (!err && whole >= 2 * PAGE) {
		if (superblock_decode(t->pages, 0, &old, &mended) == 0 && superblock_bytes(&old) >= PAGE && superblock_bytes(&old) < whole)
			err = wipe_page(t, round_down(superblock_bytes(&old), PAGE) - PAGE); /* the medium has grown since */
		if (!err)
			err = wipe_page(t, whole - PAGE);
	}
	if (unfinished)
		memcpy(first, unfinished_sign, sizeof(unfinished_sign));
	if (!err)
		err = target_write(t, first, sizeof(first), 0);
	if (!err)
		err = target_flush(t);
	return err ? fail(err, "%s: cannot wipe what was there: %s", t->path, strerror(-err)) : 0;
}
