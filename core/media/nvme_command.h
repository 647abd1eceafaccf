/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVMe commands as the kernel takes them from a program (passthrough): built here, sent by nvme_passthrough.h and by
 * queue_uring.c.  No I/O here.
 *
 * A command is a read or a write of whole logical blocks, of at most what controller, transport and kernel let one
 * command carry; nobody splits it further on, so whoever has more sends several.  Writes do not ask to survive power loss one
 * by one (FUA): a block is several, devices that have no such write of their own (nvmet on a file) flush for each, and one flush
 * for all of them is what a durable put needs.
 */
#ifndef MEMKV_MEDIA_NVME_COMMAND_H
#define MEMKV_MEDIA_NVME_COMMAND_H

#include <linux/nvme_ioctl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum { NVME_FLUSH = 0x00, NVME_WRITE = 0x01, NVME_READ = 0x02 };

/**
 * struct nvme_shape - what has to be known of a namespace to build commands for it
 * @nsid: its number.
 * @lba_shift: its logical block has 1 << lba_shift bytes.
 * @most: bytes that one command carries; whole pages of 4 KiB, at least one.
 * @segments: how many pages its memory may lie in, at least two.
 */
struct nvme_shape {
	uint32_t nsid;
	unsigned lba_shift;
	uint32_t most;
	uint32_t segments;
};

/**
 * nvme_shape_of() - take it from what Identify Namespace answers
 * @answer: its 4096 bytes.
 * @bytes: size of the namespace's block device.
 * @transfer, @segments: what a command may carry here: bytes (0: the kernel does not say), pieces of memory (likewise).
 * @shape: is set.
 *
 * Return: NULL; or why such a namespace is not used by commands of our own, to follow its name in a sentence.
 */
const char *nvme_shape_of(const uint8_t *answer, uint32_t nsid, uint64_t bytes, uint64_t transfer, uint64_t segments,
			  struct nvme_shape *shape);

/**
 * nvme_command_bytes() - how much of what is left the next command carries
 * @pieces, @count: memory.
 *
 * Return: bytes from their start on; whole logical blocks.  0: memory is scattered too much for that.
 */
size_t nvme_command_bytes(const struct nvme_shape *shape, const struct iovec *pieces, unsigned count);

/**
 * nvme_command_io() - a read or a write
 * @opcode: NVME_READ or NVME_WRITE.
 * @offset, @bytes: of the namespace; whole logical blocks, at most nvme_command_bytes().
 * @command: receives it, but for the memory: addr and data_len (bytes; or, of a list, its length) are the caller's.
 *
 * Return: 0; -EINVAL: not whole blocks, nothing, or too much.
 */
int nvme_command_io(const struct nvme_shape *shape, uint8_t opcode, uint64_t offset, size_t bytes,
		    struct nvme_uring_cmd *command);

/** nvme_command_flush() - what was completed before survives power loss after it */
void nvme_command_flush(const struct nvme_shape *shape, struct nvme_uring_cmd *command);

/**
 * nvme_command_errno() - what a command's result means
 * @result: as the kernel gives it: 0, a status of the device (positive), or -errno.
 *
 * A command that was cut off, whether it reached the device or not, is -ENOLINK; it must not be sent again.  So is one for
 * which there is no path now (-EINVAL or -EAGAIN of a device over several paths).
 *
 * Return: 0 or -errno; of what the device answers, none for which nvme_command_refused() is true.
 */
int nvme_command_errno(int result);

/**
 * nvme_command_refused() - did the kernel refuse to send it at all, for what it is or who asks?
 *
 * Such a command has not reached the device, and may go another way.
 */
bool nvme_command_refused(int result);

#endif
