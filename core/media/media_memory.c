/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Media that are memory: files whose pages are the medium itself (tmpfs, DAX file systems), and DAX devices.  The whole
 * of it is mapped by libpmem2, and payload moves by loads and stores (queue_memory.c).
 *
 * A DAX device has no page cache, no read(), no write() and no fsync().  Locks are taken on its node: they hold between
 * processes that open the same node, and neither against other nodes of the device (a container's own /dev) nor
 * against other hosts that map the same memory.
 *
 * Durability there.  Payload is stored past the caches and drained when its command completes.  The words and entries of
 * the control region are plain stores, which may stay in a processor's cache; `flush` writes back all lines of the
 * control region and drains.  All, and not only those that this process stored to, since what it acknowledges may rest
 * on another's stores: the segment that a dead agent opened, a block that is there already.  Writing back a line that
 * is not dirty is cheap, but a flush costs time by the pool's size (core/README.md has figures).  What arrives in the
 * *persistence domain* by that survives power loss: libpmem2 leaves the write-back out where the platform says that the
 * domain includes the caches (eADR).  Whether anything behind it is persistent is the device's affair: memory that is
 * volatile (CXL RAM, hmem) keeps its pool until power is lost, durable or not.
 */
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/media/media_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { MEMORY_PAGE = 4096, MEMORY_CUT = 1 << 16 };

/* libpmem2 has codes of its own, and those of the system */
static int pmem2_code(int err)
{
	return err > -MEMKV_CODE_BASE ? err : -EIO;
}

/* all of it by libpmem2, which knows how to store to it; see media_file_is_memory() for where that is safe */
static int map_memory(struct media_file *f, size_t bytes)
{
	struct pmem2_config *config = NULL;
	int err = f->source ? 0 : pmem2_source_from_fd(&f->source, f->fd);

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
		return fail(pmem2_code(err), "%s: cannot be mapped: %s", f->base.path, pmem2_errormsg());
	f->mapped = pmem2_map_get_address(f->map);
	f->copy_in = pmem2_get_memcpy_fn(f->map);
	f->persist = pmem2_get_persist_fn(f->map);
	return 0;
}

/* is MAP_SYNC to be had: stores reach the medium without the kernel's help? */
static bool sync_works(int fd)
{
	void *page = mmap(NULL, MEMORY_PAGE, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0);

	return page != MAP_FAILED && munmap(page, MEMORY_PAGE) == 0;
}

/*
 * Only these are mapped by pmem2_map_new().  It maps by force over a range that it has reserved, at first with MAP_SYNC;
 * where a file system refuses that late (ext4 without DAX), Linux has freed the range already, and the second attempt
 * may replace what another thread was given there meanwhile.  tmpfs refuses early, DAX does not refuse.
 */
bool media_file_is_memory(int fd)
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

static int memory_queue_open(struct media *media, unsigned depth, struct media_queue **queue)
{
	(void)depth; /* one command at a time: what was copied is digested while it is in the cache */
	return queue_memory_open(media, queue);
}

int media_file_become_memory(struct media_file *f)
{
	struct media_caps *caps = &f->base.caps;

	f->ops.name = "memory";
	f->ops.queue_open = memory_queue_open;
	caps->memory_align = 1;
	caps->cut = MEMORY_CUT;
	caps->instant = true;
	caps->lines = true;
	caps->direct = true;
	/* below two pages it is no pool, which is for upper layers to say */
	return caps->bytes < 2 * MEMORY_PAGE ? 0 : media_file_map(f, caps->bytes, map_memory);
}

/* ---- DAX devices ---- */

bool media_is_dax(const struct stat *st)
{
	char link[64], target[4096];

	if (!S_ISCHR(st->st_mode))
		return false;
	snprintf(link, sizeof(link), "/sys/dev/char/%u:%u/subsystem", major(st->st_rdev), minor(st->st_rdev));
	ssize_t length = readlink(link, target, sizeof(target) - 1);
	if (length <= 0)
		return false;
	target[length] = 0;
	const char *last = strrchr(target, '/');
	return strcmp(last ? last + 1 : target, "dax") == 0;
}

static int dax_flush(struct media *media)
{
	if (media->control)
		media_file_of(media)->persist(media->control, media->control_bytes);
	return atomic_load(&media->failed) ? -EIO : 0;
}

/* there is no size to look at; of a device that was taken away the mapping faults, and its node goes from devtmpfs */
static bool dax_alive(struct media *media)
{
	struct stat st;

	if (fstat(media_file_of(media)->fd, &st) || st.st_nlink == 0)
		atomic_store(&media->failed, true);
	return !atomic_load(&media->failed);
}

static int dax_measure(struct media_file *f)
{
	size_t bytes = 0, unit = 0;
	int err = pmem2_source_from_fd(&f->source, f->fd);

	if (!err)
		err = pmem2_source_size(f->source, &bytes);
	if (!err)
		err = pmem2_source_alignment(f->source, &unit);
	if (err)
		return fail(pmem2_code(err), "%s: the DAX device does not tell its size: %s", f->base.path, pmem2_errormsg());
	if (unit < MEMORY_PAGE || unit % page_bytes() || bytes < unit)
		return fail(MEMKV_GEOMETRY, "%s: %zu bytes in units of %zu cannot be mapped", f->base.path, bytes, unit);
	f->map_unit = unit;
	f->base.caps.bytes = round_down(bytes, unit);
	return 0;
}

int media_dax_open(const char *path, unsigned flags, struct media **media)
{
	struct media_file *f;

	if (flags & MEDIA_OPEN_BUFFERED)
		return fail(MEMKV_CONFLICT, "%s is a DAX device: it has no page cache to go through", path);
	int fd = open(path, (flags & MEDIA_OPEN_READ_ONLY ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (fd < 0)
		return fail(-errno, "%s: cannot open the pool: %s", path, strerror(errno));
	int err = media_file_make(path, fd, flags, 0, &f);
	if (err)
		return err;
	err = dax_measure(f);
	if (!err)
		err = media_file_become_memory(f);
	if (err) {
		f->ops.close(&f->base);
		return err;
	}
	f->ops.name = "dax";
	f->ops.flush = dax_flush;
	f->ops.alive = dax_alive;
	f->ops.ahead = media_forget_nothing; /* it is all there already, and the kernel refuses such advice */
	*media = &f->base;
	return 0;
}
