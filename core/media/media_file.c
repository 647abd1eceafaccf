/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file medium.
 *
 * One open file description does it all: payload by io_uring (O_DIRECT where possible), the control region through a
 * mapping, the slot locks (open file description locks).  Because queued I/O keeps the description alive,
 * a lock that is free proves that no write of its holder is still on the way.
 *
 * In a forked child the description would keep a killed parent's locks: `abandon` closes it there, and neither the
 * mapping nor the rings are inherited (MADV_DONTFORK).
 *
 * Buffered fallback: one description cannot be both, so the choice is made once, at open, by a trial read.
 *
 * Where the file *is* memory (tmpfs, a DAX file system), or a DAX device, media_memory.c changes what differs in the
 * medium's own copy of the ops; everything else is the same, so all see the same pool.
 */
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/media/media.h"
#include "core/media/media_file.h"
#include "core/media/sigbus_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_BLOCK = 4096, FILE_MEMORY_ALIGN = 512, FILE_CUT = 1 << 18 };

static int map_file(struct media_file *f, size_t bytes)
{
	int protection = f->read_only && !f->lost ? PROT_READ : PROT_READ | PROT_WRITE;
	int flags = f->lost ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE : MAP_SHARED;
	void *at = mmap(f->base.place, bytes, protection, flags | (f->base.place ? MAP_FIXED : 0), f->lost ? -1 : f->fd, 0);

	if (at == MAP_FAILED)
		return fail(-errno, "%s: cannot be mapped: %s", f->base.path, strerror(errno));
	f->mapped = at;
	return 0;
}

int media_file_map(struct media_file *f, size_t bytes, int (*map)(struct media_file *f, size_t bytes))
{
	int err = map(f, bytes);

	if (err)
		return err;
	f->mapped_bytes = bytes;
	if (madvise(f->mapped, bytes, MADV_DONTFORK))
		return fail(-errno, "%s: cannot keep the mapping out of children: %s", f->base.path, strerror(errno));
	err = sigbus_guard_add(f->mapped, bytes, f->map_unit, f->base.fate ? f->base.fate : &f->base.failed);
	return err ? fail(err, "%s: this process has too many pools open", f->base.path) : 0;
}

/*
 * Where the kernel's pages are larger than ours (ARM64), the control region may end inside one of them.  The rest of it
 * is payload, and whenever the page is written back that is written too, as it was when the page was read.  Then all
 * payload goes through the page cache as well, in every process of the machine, and is the same as what is mapped.
 */
static int buffer_shared_page(struct media_file *f, size_t bytes)
{
	if (!f->base.caps.direct || f->base.caps.instant || bytes % page_bytes() == 0)
		return 0;
	int flags = fcntl(f->fd, F_GETFL);
	if (flags < 0 || fcntl(f->fd, F_SETFL, flags & ~O_DIRECT))
		return fail(-errno, "%s: cannot be used through the page cache: %s", f->base.path, strerror(errno));
	f->base.caps.direct = false;
	f->base.caps.memory_align = 1;
	return 0;
}

static int file_map_control(struct media *media, size_t bytes)
{
	struct media_file *f = media_file_of(media);
	int err = buffer_shared_page(f, bytes);

	if (!err && !f->mapped)
		err = media_file_map(f, bytes, map_file);
	if (err)
		return err;
	media->control = f->mapped;
	media->control_bytes = bytes;
	return 0;
}

static void file_ahead(struct media *media, uint64_t offset, size_t length)
{
	uint64_t first = round_down(offset, page_bytes());

	(void)madvise(media->control + first, offset + length - first, MADV_WILLNEED);
}

static int file_queue_open(struct media *media, unsigned depth, struct media_queue **queue)
{
	struct media_file *f = media_file_of(media);
	int err = queue_uring_open(media, f->fd, NULL, depth, queue);

	if (err == -ENOSYS || err == -EPERM || err == -ENOMEM)
		err = queue_sync_open(media, f->fd, depth, queue);
	return err;
}

static int file_flush(struct media *media)
{
	/* stores through the mapping dirty the same page cache, so this covers both regions */
	return fdatasync(media_file_of(media)->fd) ? -errno : 0;
}

static bool file_alive(struct media *media)
{
	struct stat st;

	if (fstat(media_file_of(media)->fd, &st) || (uint64_t)st.st_size < media->caps.bytes || st.st_nlink == 0)
		atomic_store(&media->failed, true);
	return !atomic_load(&media->failed);
}

static int file_lock(struct media *media, uint64_t offset) { return media_lock(media_file_of(media)->fd, offset); }
static int file_unlock(struct media *media, uint64_t offset) { return media_unlock(media_file_of(media)->fd, offset); }
static int file_lock_held(struct media *media, uint64_t offset) { return media_lock_held(media_file_of(media)->fd, offset); }

/*
 * A second mapping of all of it, for callers to read only.  Past the page cache other processes' writes need not show in
 * it (the kernel drops the pages it has as well as it can), so that is refused.
 */
static int file_map_payload(struct media *media)
{
	struct media_file *f = media_file_of(media);
	size_t bytes = round_up(media->caps.bytes, f->map_unit);

	if (media->caps.direct && !media->caps.instant)
		return fail(-EOPNOTSUPP,
			    "%s: blocks of this pool are written past the page cache and cannot be held in place; keep the pool on "
			    "tmpfs or DAX, open it buffered, or copy with get", media->path);
	void *at = mmap(NULL, bytes, PROT_READ, MAP_SHARED, f->fd, 0);
	if (at == MAP_FAILED)
		return fail(-errno, "%s: cannot be mapped for holds: %s", media->path, strerror(errno));
	int err = madvise(at, bytes, MADV_DONTFORK) ? -errno : sigbus_guard_add(at, bytes, f->map_unit, &media->failed);
	if (err) {
		munmap(at, bytes);
		return fail(err, "%s: cannot be mapped for holds: %s", media->path, strerror(-err));
	}
	f->payload_bytes = bytes;
	media->payload = at;
	return 0;
}

/* one mapping takes the place of the other at once: whoever reads there meanwhile sees one or the other */
static int file_renew(struct media *media, struct media *found)
{
	struct media_file *f = media_file_of(media);
	bool lost = f->lost;

	if (dup3(media_file_of(found)->fd, f->fd, O_CLOEXEC) < 0)
		return -errno;
	f->lost = false;
	if (f->mapped && map_file(f, f->mapped_bytes)) {
		f->lost = lost;
		return -EIO;
	}
	return f->mapped && madvise(f->mapped, f->mapped_bytes, MADV_DONTFORK) ? -errno : 0;
}

/* as if all of it had been cut off (sigbus_guard.h) */
static void file_forsake(struct media *media)
{
	struct media_file *f = media_file_of(media);

	if (f->mapped && !f->read_only)
		(void)mmap(f->mapped, f->mapped_bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

static void file_abandon(struct media *media)
{
	struct media_file *f = media_file_of(media);

	if (media->payload)
		sigbus_guard_remove(media->payload);

	if (f->mapped)
		sigbus_guard_remove(f->mapped); /* the mapping was not inherited; other things may come to lie there */
	if (f->map)
		pmem2_map_delete(&f->map); /* likewise: else a pool that the child opens could not lie there */
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}

static void file_close(struct media *media)
{
	struct media_file *f = media_file_of(media);

	if (media->payload) {
		sigbus_guard_remove(media->payload);
		munmap((void *)(uintptr_t)media->payload, f->payload_bytes);
	}
	if (f->mapped)
		sigbus_guard_remove(f->mapped);
	if (f->map)
		pmem2_map_delete(&f->map);
	else if (f->mapped)
		munmap(f->mapped, f->mapped_bytes);
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
	.publish = media_range_nothing,
	.publish_later = media_range_nothing,
	.settle = media_settle_nothing,
	.refresh = media_range_nothing,
	.forget = media_forget_nothing,
	.ahead = file_ahead,
	.queue_open = file_queue_open,
	.flush = file_flush,
	.alive = file_alive,
	.lock = file_lock,
	.unlock = file_unlock,
	.lock_held = file_lock_held,
	.abandon = file_abandon,
	.map_payload = file_map_payload,
	.renew = file_renew,
	.forsake = file_forsake,
};

int media_file_descriptor(const struct media *media)
{
	return CONTAINER_OF(media, const struct media_file, base)->fd;
}

int media_file_lost(const char *path, unsigned flags, uint64_t bytes, struct media **media)
{
	struct media_file *f;
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	int err = fd < 0 ? fail(-errno, "%s: no descriptor: %s", path, strerror(errno)) : media_file_make(path, fd, flags, bytes, &f);

	if (err)
		return err;
	f->lost = true;
	f->base.caps.direct = !(flags & MEDIA_OPEN_BUFFERED);
	f->base.caps.memory_align = f->base.caps.direct ? FILE_MEMORY_ALIGN : 1;
	atomic_store(&f->base.failed, true);
	*media = &f->base;
	return 0;
}

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

int media_file_make(const char *path, int fd, unsigned flags, uint64_t bytes, struct media_file **file)
{
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
	f->map_unit = page_bytes();
	f->ops = file_ops;
	f->base = (struct media){
		.ops = &f->ops,
		.path = name,
		.caps = {.bytes = bytes,
			 .logical_block = FILE_BLOCK,
			 .memory_align = 1,
			 .cut = FILE_CUT,
			 .mappable = true,
			 .coherent = true,
			 .exact_death = true,
			 .volatile_cache = true},
	};
	*file = f;
	return 0;
}

int media_file_open(const char *path, unsigned flags, struct media **media)
{
	bool direct;
	struct stat st;
	struct media_file *f;
	int fd = open_descriptor(path, flags, &direct);

	if (fd < 0)
		return fail(fd, "%s: cannot open the pool: %s", path, strerror(-fd));
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return fail(MEMKV_NOT_A_POOL, "%s is neither a regular file nor a block or DAX device", path);
	}
	int err = media_file_make(path, fd, flags, (uint64_t)st.st_size, &f);
	if (err)
		return err;
	f->base.caps.direct = direct;
	f->base.caps.memory_align = direct ? FILE_MEMORY_ALIGN : 1;
	if (!(flags & MEDIA_OPEN_BUFFERED) && media_file_is_memory(fd))
		err = media_file_become_memory(f);
	if (err) {
		f->ops.close(&f->base);
		return err;
	}
	*media = &f->base;
	return 0;
}
