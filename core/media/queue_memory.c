/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A queue for payload that is memory: submit copies, reap hands back.  Reads are plain loads into the caller's
 * (cached) memory; writes are non-temporal stores by libpmem2, which do not pull the destination through the cache,
 * followed by its drain, so that a completed write is ordered before whatever publishes it.
 */
#include "core/media/media.h"
#include "core/media/media_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct queue_memory {
	struct media_queue base;
	struct media_file *file;
	struct media_io *done;
};

static int copy(const struct media_file *f, const struct media_io *io)
{
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

static int memory_submit(struct media_queue *queue, struct media_io *io)
{
	struct queue_memory *q = CONTAINER_OF(queue, struct queue_memory, base);

	if (queue->used == queue->depth)
		return -EAGAIN;
	io->length = 0;
	for (uint32_t i = 0; i < io->piece_count; i++)
		io->length += io->pieces[i].iov_len;
	io->result = copy(q->file, io);
	q->done = io;
	queue->used = 1;
	return 0;
}

static struct media_io *memory_reap(struct media_queue *queue, unsigned wait_for)
{
	struct queue_memory *q = CONTAINER_OF(queue, struct queue_memory, base);

	(void)wait_for; /* whatever was submitted has finished */
	if (queue->used == 0)
		return NULL;
	queue->used = 0;
	return q->done;
}

static void memory_nothing(struct media_queue *queue)
{
	(void)queue; /* nothing waits, and the child shares nothing but the mapping, which it did not inherit */
}

static void memory_close(struct media_queue *queue)
{
	free(CONTAINER_OF(queue, struct queue_memory, base));
}

static const struct media_queue_ops memory_queue_ops = {
	.close = memory_close,
	.submit = memory_submit,
	.kick = memory_nothing,
	.reap = memory_reap,
	.abandon = memory_nothing,
};

int queue_memory_open(struct media *media, struct media_queue **queue)
{
	struct queue_memory *q = calloc(1, sizeof(*q));

	if (!q)
		return -ENOMEM;
	q->base = (struct media_queue){.ops = &memory_queue_ops, .media = media, .depth = 1};
	q->file = CONTAINER_OF(media, struct media_file, base);
	*queue = &q->base;
	return 0;
}
