/* SPDX-License-Identifier: Apache-2.0 */
/* See nvme_command.h.  Numbers are those of the NVM Command Set specification. */
#include "core/media/nvme_command.h"
#include "core/base/bytes.h"

#include <errno.h>
#include <string.h>

enum {
	/* Identify Namespace */
	ID_SIZE = 0,	/* logical blocks, 8 bytes */
	ID_FORMAT = 26, /* low nibble, and bits 5 and 6 above it: which format */
	ID_FORMATS = 128,
	FORMAT_BYTES = 4, /* metadata's bytes (2), exponent of the block's bytes (1), speed */
	LBA_SHIFT_MIN = 9,
	LBA_SHIFT_MAX = 12,
	MOST_UNKNOWN = 128 << 10, /* what every controller that memkv knows of takes */
	MOST = (1 << 20) + (1 << 16), /* the largest cut of a transfer, and a header */
	PAGE_BYTES = 4096, /* of the device: on kernels with larger pages no more are needed */
	BLOCKS_MAX = 1 << 16,
};

/* a status, without the bits that say "do not retry" and "more" */
enum {
	STATUS_MASK = 0x7ff,
	INVALID_OPCODE = 0x001,
	INVALID_FIELD = 0x002,
	INVALID_NAMESPACE = 0x00b,
	WRITE_PROTECTED = 0x020,
	OUT_OF_RANGE = 0x080,
	CAPACITY_EXCEEDED = 0x081,
	RESERVATION_CONFLICT = 0x083,
	READ_ONLY_RANGE = 0x182,
	WRITE_FAULT = 0x280,
	READ_ERROR = 0x281,
	GUARD_CHECK = 0x282,
	REFERENCE_CHECK = 0x284,
	ACCESS_DENIED = 0x286,
	PATH_TYPE = 0x300, /* this and all above: the way there */
};

const char *nvme_shape_of(const uint8_t *answer, uint32_t nsid, uint64_t bytes, uint64_t transfer, uint64_t segments,
			  struct nvme_shape *shape)
{
	unsigned format = (answer[ID_FORMAT] & 0xf) | (answer[ID_FORMAT] >> 5 & 3) << 4;
	const uint8_t *f = answer + ID_FORMATS + (size_t)format * FORMAT_BYTES;
	uint64_t most = transfer ? transfer : MOST_UNKNOWN;
	le64 blocks;

	memcpy(&blocks, answer + ID_SIZE, sizeof(blocks));
	if (f[0] || f[1])
		return "has metadata beside its blocks";
	if (f[2] < LBA_SHIFT_MIN || f[2] > LBA_SHIFT_MAX)
		return "has logical blocks that are not 512 to 4096 bytes";
	if (le64_get(blocks) != bytes >> f[2])
		return "is not as large as its block device";
	most = min_u64(round_down(min_u64(most, MOST), PAGE_BYTES), (uint64_t)BLOCKS_MAX << f[2]);
	if (most == 0 || segments == 1)
		return "takes less than 4 KiB with a command";
	segments = segments ? min_u64(segments, UINT32_MAX) : MOST_UNKNOWN / PAGE_BYTES;
	*shape = (struct nvme_shape){
		.nsid = nsid, .lba_shift = f[2], .most = (uint32_t)most, .segments = (uint32_t)segments};
	return NULL;
}

size_t nvme_command_bytes(const struct nvme_shape *shape, const struct iovec *pieces, unsigned count)
{
	uint64_t pages = shape->segments, bytes = 0;

	for (unsigned i = 0; i < count && pages > 0 && bytes < shape->most; i++) {
		uint64_t within = (uintptr_t)pieces[i].iov_base % PAGE_BYTES;
		uint64_t fits = min_u64(pieces[i].iov_len, pages * PAGE_BYTES - within);
		bytes += fits;
		pages -= div_up(within + fits, PAGE_BYTES);
		if (fits < pieces[i].iov_len)
			break;
	}
	return round_down(min_u64(bytes, shape->most), 1ULL << shape->lba_shift);
}

int nvme_command_io(const struct nvme_shape *shape, uint8_t opcode, uint64_t offset, size_t bytes,
		    struct nvme_uring_cmd *command)
{
	uint64_t block = 1ULL << shape->lba_shift;

	if (bytes == 0 || bytes > shape->most || offset % block || bytes % block)
		return -EINVAL;
	uint64_t first = offset >> shape->lba_shift, count = bytes >> shape->lba_shift;
	*command = (struct nvme_uring_cmd){
		.opcode = opcode,
		.nsid = shape->nsid,
		.cdw10 = (uint32_t)first,
		.cdw11 = (uint32_t)(first >> 32),
		.cdw12 = (uint32_t)(count - 1), /* counted from 0; no other bit is set */
	};
	return 0;
}

void nvme_command_flush(const struct nvme_shape *shape, struct nvme_uring_cmd *command)
{
	*command = (struct nvme_uring_cmd){.opcode = NVME_FLUSH, .nsid = shape->nsid};
}

int nvme_command_errno(int result)
{
	/* cancelled, since its connection broke or nothing answered in time; the others: there is no path at this moment */
	if (result == -EINTR || result == -EINVAL || result == -EAGAIN)
		return -ENOLINK;
	if (result <= 0)
		return result;
	int status = result & STATUS_MASK;
	switch (status) {
	case INVALID_OPCODE:
	case INVALID_FIELD:
		return -EPROTO;
	case INVALID_NAMESPACE:
		return -ENODEV;
	case WRITE_PROTECTED:
	case READ_ONLY_RANGE:
		return -EROFS;
	case OUT_OF_RANGE:
	case CAPACITY_EXCEEDED:
		return -ENOSPC;
	case RESERVATION_CONFLICT:
	case ACCESS_DENIED:
		return -EBADE;
	case WRITE_FAULT:
	case READ_ERROR:
		return -ENODATA;
	default:
		if (status >= GUARD_CHECK && status <= REFERENCE_CHECK)
			return -EILSEQ;
		return status >= PATH_TYPE ? -ENOLINK : -EIO;
	}
}

bool nvme_command_refused(int result)
{
	return result == -EACCES || result == -EPERM || result == -EOPNOTSUPP || result == -ENOTTY || result == -ENOSYS;
}
