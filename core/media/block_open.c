/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a block device: the claim of its one writer, what the device can do, how long commands are.  For media_block.c. */
#include "core/base/fail.h"
#include "core/media/media_block.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	BLOCK_MEMORY_ALIGN = 512, /* where the kernel does not tell */
	BLOCK_CUT = 1 << 18,
	COMMAND_CUT = 1 << 20,
	BLOCK_CUT_LEAST = 1 << 16,
	CLAIM_PAUSE_US = 5000,
	CLAIM_WAIT_US = 2000000,
};

int media_block_claim(const char *path, int flags)
{
	struct timespec pause = {.tv_nsec = (long)CLAIM_PAUSE_US * 1000};

	for (int waited = 0;; waited += CLAIM_PAUSE_US) {
		int fd = open(path, flags | O_EXCL);
		if (fd >= 0 || errno != EBUSY || waited >= CLAIM_WAIT_US)
			return fd < 0 ? -errno : fd;
		clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
	}
}

/* somebody else has the device: a writing agent, or what is no business of ours? */
static int explain_claim(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	bool agent = fd >= 0 && media_lock_held(fd, MEDIA_WRITER_BYTE) == 1;

	if (fd >= 0)
		close(fd);
	if (agent)
		return fail(MEMKV_NO_SLOT, "%s: another agent writes to this device, and for now a device has one; stop it, or "
					   "open the pool read-only", path);
	return fail(MEMKV_IN_USE, "%s is claimed by somebody else: it is mounted, part of another device, or just being "
				  "formatted or written to; open it read-only, or wait", path);
}

static int open_device(const char *path, unsigned flags)
{
	bool writer = !(flags & (MEDIA_OPEN_READ_ONLY | MEDIA_OPEN_SHARED));
	int access = flags & MEDIA_OPEN_READ_ONLY ? O_RDONLY : O_RDWR;

	if (flags & MEDIA_OPEN_BUFFERED)
		return fail(MEMKV_CONFLICT, "%s is a block device, which is never used through the page cache", path);
	int fd = writer ? media_block_claim(path, O_RDWR | O_DIRECT | O_CLOEXEC) : open(path, access | O_DIRECT | O_CLOEXEC);
	if (fd == -EBUSY)
		return explain_claim(path);
	if (fd < 0)
		return fail(writer ? fd : -errno, "%s: cannot open the pool: %s", path, strerror(writer ? -fd : errno));
	if (writer && media_lock(fd, MEDIA_WRITER_BYTE)) {
		close(fd);
		return explain_claim(path);
	}
	return fd;
}

static uint32_t memory_align(int fd)
{
#ifdef STATX_DIOALIGN
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) == 0 && stx.stx_mask & STATX_DIOALIGN &&
	    stx.stx_dio_mem_align)
		return (uint32_t)max_u64(stx.stx_dio_mem_align, sizeof(uint64_t));
#else
	(void)fd;
#endif
	return BLOCK_MEMORY_ALIGN;
}

/*
 * What one command of ours carries: nobody splits or merges it.  Of less than the least the queue makes several, one after
 * the other.
 */
static uint32_t command_cut(const struct nvme_passthrough *nvme)
{
	uint32_t cut = COMMAND_CUT;

	while (cut > BLOCK_CUT_LEAST && cut > nvme->shape.most)
		cut /= 2;
	return cut;
}

int media_block_open(const char *path, unsigned flags, struct media **media)
{
	uint64_t bytes = 0;
	int sector = 0;
	int fd = open_device(path, flags);

	if (fd < 0)
		return fd;
	struct media_block *b = media_block_new(path);
	if (!b) {
		close(fd);
		return fail(-ENOMEM, "%s: no memory to open the pool", path);
	}
	b->fd = fd;
	b->writer = !(flags & MEDIA_OPEN_READ_ONLY);
	b->shared = flags & MEDIA_OPEN_SHARED;
	if (ioctl(fd, BLKGETSIZE64, &bytes) || ioctl(fd, BLKSSZGET, &sector)) {
		int err = fail(-errno, "%s: cannot ask for the device's size: %s", path, strerror(errno));
		media_block_free(b);
		return err;
	}
	if (sector > MIRROR_BLOCK) {
		media_block_free(b);
		return fail(MEMKV_GEOMETRY, "%s has logical blocks of %d bytes; at most %d are supported", path, sector,
			    MIRROR_BLOCK);
	}
	b->base.caps = (struct media_caps){
		.bytes = bytes,
		.logical_block = MIRROR_BLOCK,
		.memory_align = memory_align(fd),
		.cut = BLOCK_CUT,
		.exact_death = !b->shared,
		.volatile_cache = true,
		.direct = true,
	};
	nvme_passthrough_open(fd, bytes, !b->writer, b->shared, &b->nvme);
	if (nvme_goes(&b->nvme, true))
		b->base.caps.write_cut = command_cut(&b->nvme);
	if (nvme_goes(&b->nvme, false))
		b->base.caps.cut = command_cut(&b->nvme);
	int err = b->writer ? b->ops.queue_open(&b->base, PASSAGES, &b->queue) : 0;
	if (err) {
		media_block_free(b);
		return fail(err, "%s: no memory to open the pool", path);
	}
	*media = &b->base;
	return 0;
}

int media_block_lost(const char *path, unsigned flags, uint64_t bytes, struct media **media)
{
	struct media_block *b = media_block_new(path);

	if (!b)
		return fail(-ENOMEM, "%s: no memory to open the pool", path);
	b->fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	b->writer = !(flags & MEDIA_OPEN_READ_ONLY);
	b->base.caps = (struct media_caps){
		.bytes = bytes,
		.logical_block = MIRROR_BLOCK,
		.memory_align = BLOCK_MEMORY_ALIGN,
		.cut = BLOCK_CUT,
		.exact_death = true,
		.volatile_cache = true,
		.direct = true,
	};
	int err = b->fd < 0 ? -errno : b->writer ? b->ops.queue_open(&b->base, PASSAGES, &b->queue) : 0;
	if (err) {
		media_block_free(b);
		return fail(err, "%s: no memory to open the pool", path);
	}
	atomic_store(&b->base.failed, true);
	*media = &b->base;
	return 0;
}
