/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Payload that is memory, by an instant queue.  Reads are plain loads into the caller's
 * (cached) memory; writes are non-temporal stores by libpmem2, which do not pull the destination through the cache,
 * followed by its drain, so that a completed write is ordered before whatever publishes it.
 */
#include "core/media/media.h"
#include "core/media/media_file.h"

#include <errno.h>
#include <string.h>

static int copy(struct media *media, const struct media_io *io)
{
	struct media_file *f = CONTAINER_OF(media, struct media_file, base);
	uint64_t at = io->offset;

	if (io->length > f->mapped_bytes || at > f->mapped_bytes - io->length)
		return -EIO; /* the medium ends before that */
	for (uint32_t i = 0; i < io->piece_count; i++) {
		const struct iovec *piece = &io->pieces[i];
		if (io->direction == MEDIA_READ)
			memcpy(piece->iov_base, f->mapped + at, piece->iov_len);
		else
			f->copy_in(f->mapped + at, piece->iov_base, piece->iov_len, PMEM2_F_MEM_NONTEMPORAL);
		at += piece->iov_len;
	}
	return atomic_load_explicit(&f->base.failed, memory_order_relaxed) ? -EIO : 0;
}

int queue_memory_open(struct media *media, struct media_queue **queue)
{
	return queue_instant_open(media, copy, queue);
}
