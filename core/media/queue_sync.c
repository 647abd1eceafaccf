/* SPDX-License-Identifier: Apache-2.0 */
/* A queue without a kernel queue: submit does the I/O at once, reap hands it back. */
#include "core/media/media.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct queue_sync {
	struct media_queue base;
	int fd;
	unsigned head;
	struct media_io *done[]; /* ring of depth */
};

/* moves the whole range or says why not */
static int transfer(struct media_spot spot, struct media_io *io)
{
	struct iovec pieces[MEDIA_IO_PIECES];
	struct iovec *at = pieces;
	unsigned count = io->piece_count;
	uint64_t offset = spot.offset;
	int fd = spot.fd;

	memcpy(pieces, io->pieces, sizeof(pieces));
	while (count > 0) {
		ssize_t moved = io->direction == MEDIA_READ ? preadv(fd, at, (int)count, (off_t)offset)
							    : pwritev(fd, at, (int)count, (off_t)offset);
		if (moved < 0 && errno == EINTR)
			continue;
		if (moved < 0)
			return -errno;
		if (moved == 0)
			return -EIO; /* the medium ends here */
		offset += (uint64_t)moved;
		while (count > 0 && (size_t)moved >= at->iov_len) {
			moved -= (ssize_t)at->iov_len;
			at++;
			count--;
		}
		if (count > 0) {
			at->iov_base = (char *)at->iov_base + moved;
			at->iov_len -= (size_t)moved;
		}
	}
	return 0;
}

static int sync_submit(struct media_queue *queue, struct media_io *io)
{
	struct queue_sync *q = CONTAINER_OF(queue, struct queue_sync, base);

	if (queue->used == queue->depth)
		return -EAGAIN;
	media_io_measure(io);
	io->result = transfer(media_spot(queue->media, q->fd, io->offset), io);
	q->done[(q->head + queue->used++) % queue->depth] = io;
	return 0;
}

static void sync_kick(struct media_queue *queue)
{
	(void)queue; /* nothing waits */
}

static struct media_io *sync_reap(struct media_queue *queue, unsigned wait_for)
{
	struct queue_sync *q = CONTAINER_OF(queue, struct queue_sync, base);

	(void)wait_for; /* whatever was submitted has finished */
	if (queue->used == 0)
		return NULL;
	struct media_io *io = q->done[q->head];
	q->head = (q->head + 1) % queue->depth;
	queue->used--;
	return io;
}

static void sync_close(struct media_queue *queue)
{
	free(CONTAINER_OF(queue, struct queue_sync, base));
}

static void sync_abandon(struct media_queue *queue)
{
	(void)queue; /* the descriptor is the medium's, which closes it */
}

static const struct media_queue_ops sync_ops = {
	.close = sync_close,
	.submit = sync_submit,
	.kick = sync_kick,
	.reap = sync_reap,
	.abandon = sync_abandon,
};

int queue_sync_open(struct media *media, int fd, unsigned depth, struct media_queue **queue)
{
	struct queue_sync *q = calloc(1, sizeof(*q) + depth * sizeof(q->done[0]));

	if (!q)
		return -ENOMEM;
	q->base = (struct media_queue){.ops = &sync_ops, .media = media, .depth = depth};
	q->fd = fd;
	*queue = &q->base;
	return 0;
}
