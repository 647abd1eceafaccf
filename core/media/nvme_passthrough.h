/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVMe passthrough: commands of our own to a namespace, by its character device (/dev/ng0n1 for /dev/nvme0n1), beside the
 * kernel's block layer.
 *
 * Why: the block layer takes a write over.  When the way to the device is lost it holds the write, and sends it again when
 * the way is back, or another way, perhaps while the first is still under way: so an old image can land over what was
 * written later.  A command of one's own fails when its way is lost and is never sent a second time.  What was under way in
 * the network and in the target still lands late; that is what late_write.h bounds.
 *
 * Used for writes and flushes wherever it can be: the kernel has the character device (5.19 and later, for io_uring), the
 * process may open it, the kernel lets it send such commands (before 6.2 it must be root), the namespace has no metadata.
 * Where not, block I/O does the same work, and a sentence says why.  Reads go this way where no network is between, since there
 * they measure better so, and over a network not (tests/lab/README.md); one that fails goes to the block layer, which may repeat
 * it as it likes, and by another path.  MEMKV_PASSTHROUGH=all sends all reads this way, =writes none, =off nothing at all.
 *
 * A process that gives root up after it has opened a pool is refused by older kernels from then on: the command has not been
 * sent then, and it and all later ones go by the block layer.
 */
#ifndef MEMKV_MEDIA_NVME_PASSTHROUGH_H
#define MEMKV_MEDIA_NVME_PASSTHROUGH_H

#include "core/media/nvme_command.h"

#include <stdatomic.h>

enum { NVME_WAY_ROOM = 320 };

/**
 * struct nvme_passthrough - the way to a namespace
 * @fd: its character device; -1: block I/O only.
 * @reads, @writes: what goes by it.
 * @shape: what commands need.
 * @refused: the kernel has refused a command: block I/O from now on.
 * @way: how I/O goes and why, as a sentence without its full stop; "": it is no NVMe namespace.
 */
struct nvme_passthrough {
	int fd;
	bool reads, writes;
	struct nvme_shape shape;
	atomic_bool refused;
	char way[NVME_WAY_ROOM];
};

/**
 * nvme_passthrough_open() - find the way
 * @block: descriptor of the block device.
 * @bytes: its size.
 * @read_only: nothing is to be written.
 * @p: is set, whatever comes of it; nvme_passthrough_close() ends it.
 */
void nvme_passthrough_open(int block, uint64_t bytes, bool read_only, struct nvme_passthrough *p);

/** nvme_passthrough_renew() - the namespace was lost and is there again, perhaps as another device, to which @found leads */
void nvme_passthrough_renew(struct nvme_passthrough *p, const struct nvme_passthrough *found);

/** nvme_passthrough_close() - also of one that has none */
void nvme_passthrough_close(struct nvme_passthrough *p);

/**
 * nvme_passthrough_prepare() - put a command into an entry of a ring
 * @sqe: of a ring with IORING_SETUP_SQE128 and IORING_SETUP_CQE32.
 * @list: its addr and data_len are a list of pieces of memory, which stay as they are until it is completed.
 */
struct io_uring_sqe;
void nvme_passthrough_prepare(const struct nvme_passthrough *p, const struct nvme_uring_cmd *command, bool list,
			      struct io_uring_sqe *sqe);

/** nvme_goes() - does a read (a write) go this way? */
static inline bool nvme_goes(const struct nvme_passthrough *p, bool write)
{
	return p->fd >= 0 && (write ? p->writes : p->reads) && !atomic_load_explicit(&p->refused, memory_order_relaxed);
}

/**
 * nvme_passthrough_write() - one write, whose end is waited for
 * @bytes: at most 4 KiB, which every namespace takes at once.
 *
 * Return: 0, -errno; where nvme_command_refused() nothing was sent.
 */
int nvme_passthrough_write(struct nvme_passthrough *p, const void *memory, size_t bytes, uint64_t offset);

/** nvme_passthrough_flush() - likewise, a flush */
int nvme_passthrough_flush(struct nvme_passthrough *p);

/** nvme_passthrough_refuse() - the kernel has refused one: from now on the block layer does it, and the log says so once */
void nvme_passthrough_refuse(struct nvme_passthrough *p, int result);

#endif
