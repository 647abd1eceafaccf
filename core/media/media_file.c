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
 * Memory variant: where the file *is* memory (tmpfs, a DAX file system), the whole of it is mapped and payload moves
 * by loads and stores (queue_memory.c); everything else is the same, so both see the same pool.
 */
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/media/media.h"
#include "core/media/media_file.h"
#include "core/media/sigbus_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { FILE_BLOCK = 4096, FILE_MEMORY_ALIGN = 512, FILE_CUT = 1 << 18, MEMORY_CUT = 1 << 16 };

static struct media_file *file_of(struct media *media)
{
	return CONTAINER_OF(media, struct media_file, base);
}

/* the whole file by libpmem2, which knows how to store to it; see is_memory() for where that is safe */
static int map_memory(struct media_file *f, size_t bytes)
{
	struct pmem2_config *config = NULL;
	int err = pmem2_source_from_fd(&f->source, f->fd);

	if (!err)
		err = pmem2_config_new(&config);
	if (!err)
		err = pmem2_config_set_length(config, bytes);
	if (!err)
		err = pmem2_config_set_required_store_granularity(config, PMEM2_GRANULARITY_PAGE);
	if (!err && f->read_only)
		err = pmem2_config_set_protection(config, PMEM2_PROT_READ);
	if (!err)
		err = pmem2_map_new(&f->map, config, f->source);
	if (config)
		pmem2_config_delete(&config);
	if (err)
		return fail(err > -MEMKV_CODE_BASE ? err : -EIO, "%s: cannot be mapped: %s", f->base.path, pmem2_errormsg());
	f->mapped = pmem2_map_get_address(f->map);
	f->copy_in = pmem2_get_memcpy_fn(f->map);
	return 0;
}

static int map_file(struct media_file *f, size_t bytes)
{
	void *at = mmap(NULL, bytes, f->read_only ? PROT_READ : PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);

	if (at == MAP_FAILED)
		return fail(-errno, "%s: cannot be mapped: %s", f->base.path, strerror(errno));
	f->mapped = at;
	return 0;
}

/* the mapping of the first @bytes, guarded against a file that is cut short, and kept out of children */
static int map_guarded(struct media_file *f, size_t bytes, int (*map)(struct media_file *f, size_t bytes))
{
	int err = map(f, bytes);

	if (err)
		return err;
	f->mapped_bytes = bytes;
	if (madvise(f->mapped, bytes, MADV_DONTFORK))
		return fail(-errno, "%s: cannot keep the mapping out of children: %s", f->base.path, strerror(errno));
	err = sigbus_guard_add(f->mapped, bytes, &f->base.failed);
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
	struct media_file *f = file_of(media);
	int err = buffer_shared_page(f, bytes);

	if (!err && !f->mapped)
		err = map_guarded(f, bytes, map_file);
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

static int memory_queue_open(struct media *media, unsigned depth, struct media_queue **queue)
{
	(void)depth; /* one command at a time: what was copied is digested while it is in the cache */
	return queue_memory_open(media, queue);
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

static int file_lock(struct media *media, uint64_t offset) { return media_lock(file_of(media)->fd, offset); }
static int file_unlock(struct media *media, uint64_t offset) { return media_unlock(file_of(media)->fd, offset); }
static int file_lock_held(struct media *media, uint64_t offset) { return media_lock_held(file_of(media)->fd, offset); }

static void file_abandon(struct media *media)
{
	struct media_file *f = file_of(media);

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
	struct media_file *f = file_of(media);

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
};

static const struct media_ops memory_ops = {
	.name = "memory",
	.close = file_close,
	.map_control = file_map_control,
	.publish = media_range_nothing,
	.publish_later = media_range_nothing,
	.settle = media_settle_nothing,
	.refresh = media_range_nothing,
	.forget = media_forget_nothing,
	.ahead = file_ahead,
	.queue_open = memory_queue_open,
	.flush = file_flush,
	.alive = file_alive,
	.lock = file_lock,
	.unlock = file_unlock,
	.lock_held = file_lock_held,
	.abandon = file_abandon,
};

/* is MAP_SYNC to be had: stores reach the medium without the kernel's help? */
static bool sync_works(int fd)
{
	void *page = mmap(NULL, FILE_BLOCK, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0);

	return page != MAP_FAILED && munmap(page, FILE_BLOCK) == 0;
}

/*
 * A file whose pages are the medium itself.
 *
 * Only these are mapped by pmem2_map_new().  It maps by force over a range that it has reserved, at first with MAP_SYNC;
 * where a file system refuses that late (ext4 without DAX), Linux has freed the range already, and the second attempt
 * may replace what another thread was given there meanwhile.  tmpfs refuses early, DAX does not refuse.
 */
static bool is_memory(int fd)
{
	struct statx stx;
	struct statfs fs;
	struct stat st;

	if (fstat(fd, &st) || (uint64_t)st.st_size % page_bytes())
		return false; /* libpmem2 maps whole pages of the kernel's only */
	if (fstatfs(fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC)
		return true;
	return statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx) == 0 && stx.stx_attributes & STATX_ATTR_DAX &&
	       sync_works(fd);
}

static int become_memory(struct media_file *f)
{
	struct media_caps *caps = &f->base.caps;

	f->base.ops = &memory_ops;
	caps->memory_align = 1;
	caps->cut = MEMORY_CUT;
	caps->instant = true;
	caps->direct = true;
	/* below two pages it is no pool, which is for upper layers to say */
	return caps->bytes < 2 * FILE_BLOCK ? 0 : map_guarded(f, caps->bytes, map_memory);
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

int media_file_open(const char *path, unsigned flags, struct media **media)
{
	bool direct;
	struct stat st;
	int fd = open_descriptor(path, flags, &direct);

	if (fd < 0)
		return fail(fd, "%s: cannot open the pool: %s", path, strerror(-fd));
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return fail(MEMKV_NOT_A_POOL, "%s is neither a regular file nor a block device", path);
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
	int err = !(flags & MEDIA_OPEN_BUFFERED) && is_memory(fd) ? become_memory(f) : 0;
	if (err) {
		file_close(&f->base);
		return err;
	}
	*media = &f->base;
	return 0;
}
