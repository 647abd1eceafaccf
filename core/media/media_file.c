/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file medium.
 *
 * One open file description does it all: payload by io_uring (O_DIRECT where possible), the control region through a
 * libpmem2 mapping, the slot locks (open file description locks).  Because queued I/O keeps the description alive,
 * a lock that is free proves that no write of its holder is still on the way.
 *
 * In a forked child the description would keep a killed parent's locks: `abandon` closes it there, and neither the
 * mapping nor the rings are inherited (MADV_DONTFORK).
 *
 * Buffered fallback: one description cannot be both, so the choice is made once, at open, by a trial read.
 */
#include "core/base/fail.h"
#include "core/media/media.h"
#include "core/media/sigbus_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <libpmem2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_BLOCK = 4096, FILE_MEMORY_ALIGN = 512, FILE_CUT = 1 << 18 };

struct media_file {
	struct media base;
	int fd;
	bool read_only;
	struct pmem2_source *source;
	struct pmem2_map *map;
};

static struct media_file *file_of(struct media *media)
{
	return CONTAINER_OF(media, struct media_file, base);
}

static int map_with_pmem2(struct media_file *f, size_t bytes)
{
	struct pmem2_config *config = NULL;
	int err = pmem2_source_from_fd(&f->source, f->fd);

	if (err)
		return err;
	err = pmem2_config_new(&config);
	if (err)
		return err;
	err = pmem2_config_set_length(config, bytes);
	if (!err)
		err = pmem2_config_set_required_store_granularity(config, PMEM2_GRANULARITY_PAGE);
	if (!err && f->read_only)
		err = pmem2_config_set_protection(config, PMEM2_PROT_READ);
	if (!err)
		err = pmem2_map_new(&f->map, config, f->source);
	pmem2_config_delete(&config);
	return err;
}

static int file_map_control(struct media *media, size_t bytes)
{
	struct media_file *f = file_of(media);
	int err = map_with_pmem2(f, bytes);

	if (err)
		return fail(err > -MEMKV_CODE_BASE ? err : -EIO, "%s: cannot map the control region: %s", media->path,
			    pmem2_errormsg());
	media->control = pmem2_map_get_address(f->map);
	media->control_bytes = bytes;
	if (madvise(media->control, bytes, MADV_DONTFORK))
		return fail(-errno, "%s: cannot keep the mapping out of children: %s", media->path, strerror(errno));
	return sigbus_guard_add(media->control, bytes, &media->failed);
}

static int file_queue_open(struct media *media, unsigned depth, struct media_queue **queue)
{
	struct media_file *f = file_of(media);
	int err = queue_uring_open(media, f->fd, depth, queue);

	if (err == -ENOSYS || err == -EPERM || err == -ENOMEM)
		err = queue_sync_open(media, f->fd, depth, queue);
	return err;
}

static int file_flush(struct media *media)
{
	/* stores through the mapping dirty the same page cache, so this covers both regions */
	return fdatasync(file_of(media)->fd) ? -errno : 0;
}

static bool file_alive(struct media *media)
{
	struct stat st;

	if (fstat(file_of(media)->fd, &st) || (uint64_t)st.st_size < media->caps.bytes || st.st_nlink == 0)
		atomic_store(&media->failed, true);
	return !atomic_load(&media->failed);
}

static int lock_command(struct media *media, int command, short type, uint64_t offset, struct flock *lock)
{
	*lock = (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)offset, .l_len = 1};
	if (fcntl(file_of(media)->fd, command, lock) == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

static int file_lock(struct media *media, uint64_t offset)
{
	struct flock lock;

	return lock_command(media, F_OFD_SETLK, F_WRLCK, offset, &lock);
}

static int file_unlock(struct media *media, uint64_t offset)
{
	struct flock lock;

	return lock_command(media, F_OFD_SETLK, F_UNLCK, offset, &lock);
}

static int file_lock_held(struct media *media, uint64_t offset)
{
	struct flock lock;
	int err = lock_command(media, F_OFD_GETLK, F_WRLCK, offset, &lock);

	return err ? err : lock.l_type != F_UNLCK;
}

static void file_abandon(struct media *media)
{
	struct media_file *f = file_of(media);

	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}

static void file_close(struct media *media)
{
	struct media_file *f = file_of(media);

	if (media->control)
		sigbus_guard_remove(media->control);
	if (f->map)
		pmem2_map_delete(&f->map);
	if (f->source)
		pmem2_source_delete(&f->source);
	if (f->fd >= 0)
		close(f->fd);
	free(media->path);
	free(f);
}

static const struct media_ops file_ops = {
	.name = "file",
	.close = file_close,
	.map_control = file_map_control,
	.queue_open = file_queue_open,
	.flush = file_flush,
	.alive = file_alive,
	.lock = file_lock,
	.unlock = file_unlock,
	.lock_held = file_lock_held,
	.abandon = file_abandon,
};

/* does a direct read of the first block, into memory of the least alignment that we would use, work? */
static bool direct_works(int fd)
{
	uint8_t *memory = aligned_alloc(FILE_BLOCK, 2 * (size_t)FILE_BLOCK);
	ssize_t got = memory ? pread(fd, memory + FILE_MEMORY_ALIGN, FILE_BLOCK, 0) : -1;

	free(memory);
	return got == FILE_BLOCK;
}

static int open_descriptor(const char *path, unsigned flags, bool *direct)
{
	int mode = (flags & MEDIA_OPEN_READ_ONLY ? O_RDONLY : O_RDWR) | O_CLOEXEC;
	int fd = -1;

	*direct = false;
	if (!(flags & MEDIA_OPEN_BUFFERED)) {
		fd = open(path, mode | O_DIRECT);
		*direct = fd >= 0 && direct_works(fd);
		if (*direct)
			return fd;
		if (fd >= 0)
			close(fd);
	}
	fd = open(path, mode);
	return fd < 0 ? -errno : fd;
}

int media_file_open(const char *path, unsigned flags, struct media **media)
{
	bool direct;
	struct stat st;
	int fd = open_descriptor(path, flags, &direct);

	if (fd < 0)
		return fail(fd, "%s: cannot open the pool: %s", path, strerror(-fd));
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return fail(MEMKV_NOT_A_POOL, "%s is not a regular file; a pool on a device is not supported yet", path);
	}
	struct media_file *f = calloc(1, sizeof(*f));
	char *name = strdup(path);
	if (!f || !name) {
		free(f);
		free(name);
		close(fd);
		return fail(-ENOMEM, "%s: no memory to open the pool", path);
	}
	f->fd = fd;
	f->read_only = flags & MEDIA_OPEN_READ_ONLY;
	f->base = (struct media){
		.ops = &file_ops,
		.path = name,
		.caps = {.bytes = (uint64_t)st.st_size,
			 .logical_block = FILE_BLOCK,
			 .memory_align = direct ? FILE_MEMORY_ALIGN : 1,
			 .cut = FILE_CUT,
			 .mappable = true,
			 .coherent = true,
			 .exact_death = true,
			 .volatile_cache = true,
			 .direct = direct},
	};
	*media = &f->base;
	return 0;
}
