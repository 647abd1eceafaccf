/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A queue on io_uring.  Submit only prepares; reap hands everything prepared to the kernel in one call and takes a
 * completion.  A command that moved less than asked is continued from where it stopped; one that moves nothing has
 * met the end of the medium.
 *
 * The file is not registered with the ring.  The kernel takes the ring of a process that ended apart later, by a worker
 * (20 ms, under load several hundred), and a registered description would keep its locks until then; so only what is in
 * flight keeps it.
 */
#include "core/media/media.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <unistd.h>

struct command {
	struct media_io *io;
	struct iovec pieces[MEDIA_IO_PIECES]; /* what is still to move */
	struct iovec *at;
	unsigned count;
	uint64_t offset;
	struct command *next_free;
};

struct queue_uring {
	struct media_queue base;
	struct io_uring ring;
	int fd;
	unsigned prepared;
	struct command *free;
	struct command commands[];
};

static void prepare(struct queue_uring *q, struct command *c)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&q->ring); /* never NULL: one a command, depth of them */

	if (c->io->direction == MEDIA_READ)
		io_uring_prep_readv(sqe, q->fd, c->at, c->count, c->offset);
	else
		io_uring_prep_writev(sqe, q->fd, c->at, c->count, c->offset);
	io_uring_sqe_set_data(sqe, c);
	q->prepared++;
}

static int uring_submit(struct media_queue *queue, struct media_io *io)
{
	struct queue_uring *q = CONTAINER_OF(queue, struct queue_uring, base);
	struct command *c = q->free;

	if (!c)
		return -EAGAIN;
	q->free = c->next_free;
	*c = (struct command){.io = io, .at = c->pieces, .count = io->piece_count, .offset = io->offset};
	io->length = 0;
	for (uint32_t i = 0; i < io->piece_count; i++) {
		c->pieces[i] = io->pieces[i];
		io->length += io->pieces[i].iov_len;
	}
	prepare(q, c);
	queue->used++;
	return 0;
}

/* what is left after @moved bytes; false: nothing */
static bool advance(struct command *c, size_t moved)
{
	c->offset += moved;
	while (c->count > 0 && moved >= c->at->iov_len) {
		moved -= c->at->iov_len;
		c->at++;
		c->count--;
	}
	if (c->count == 0)
		return false;
	c->at->iov_base = (char *)c->at->iov_base + moved;
	c->at->iov_len -= moved;
	return true;
}

static struct media_io *finish(struct queue_uring *q, struct command *c, int result)
{
	struct media_io *io = c->io;

	io->result = result;
	c->next_free = q->free;
	q->free = c;
	q->base.used--;
	return io;
}

/* a completion's command when it is done, NULL when it goes on */
static struct media_io *take(struct queue_uring *q, struct io_uring_cqe *cqe)
{
	struct command *c = io_uring_cqe_get_data(cqe);
	int moved = cqe->res;

	io_uring_cqe_seen(&q->ring, cqe);
	if (moved == -EINTR || moved == -EAGAIN) {
		prepare(q, c);
		return NULL;
	}
	if (moved < 0)
		return finish(q, c, moved);
	if (moved == 0)
		return finish(q, c, -EIO);
	if (!advance(c, (size_t)moved))
		return finish(q, c, 0);
	prepare(q, c);
	return NULL;
}

static void uring_kick(struct media_queue *queue)
{
	struct queue_uring *q = CONTAINER_OF(queue, struct queue_uring, base);
	int taken = q->prepared ? io_uring_submit(&q->ring) : 0;

	if (taken > 0)
		q->prepared -= (unsigned)taken < q->prepared ? (unsigned)taken : q->prepared;
}

static struct media_io *uring_reap(struct media_queue *queue, unsigned wait_for)
{
	struct queue_uring *q = CONTAINER_OF(queue, struct queue_uring, base);

	while (queue->used > 0) {
		struct io_uring_cqe *cqe = NULL;
		int err;

		if (q->prepared > 0 || wait_for) {
			err = io_uring_submit_and_wait(&q->ring, io_uring_cq_ready(&q->ring) ? 0 : wait_for);
			if (err < 0 && err != -EINTR && err != -EAGAIN && err != -EBUSY)
				return NULL; /* the ring itself is broken: the caller gives the queue up */
			if (err > 0)
				q->prepared -= (unsigned)err < q->prepared ? (unsigned)err : q->prepared;
		}
		if (io_uring_peek_cqe(&q->ring, &cqe) != 0) {
			if (!wait_for)
				return NULL;
			continue;
		}
		struct media_io *io = take(q, cqe);
		if (io)
			return io;
	}
	return NULL;
}

static void uring_close(struct media_queue *queue)
{
	struct queue_uring *q = CONTAINER_OF(queue, struct queue_uring, base);

	while (queue->used > 0 && uring_reap(queue, 1))
		;
	io_uring_queue_exit(&q->ring);
	free(q);
}

static void uring_abandon(struct media_queue *queue)
{
	close(CONTAINER_OF(queue, struct queue_uring, base)->ring.ring_fd);
}

static const struct media_queue_ops uring_ops = {
	.close = uring_close,
	.submit = uring_submit,
	.kick = uring_kick,
	.reap = uring_reap,
	.abandon = uring_abandon,
};

int queue_uring_open(struct media *media, int fd, unsigned depth, struct media_queue **queue)
{
	struct queue_uring *q = calloc(1, sizeof(*q) + depth * sizeof(q->commands[0]));
	int err;

	if (!q)
		return -ENOMEM;
	q->base = (struct media_queue){.ops = &uring_ops, .media = media, .depth = depth};
	err = io_uring_queue_init(depth, &q->ring, 0);
	if (err) {
		free(q);
		return err;
	}
	q->fd = fd;
	io_uring_ring_dontfork(&q->ring); /* a child must not keep the ring alive */
	for (unsigned i = 0; i < depth; i++) {
		q->commands[i].next_free = q->free;
		q->free = &q->commands[i];
	}
	*queue = &q->base;
	return 0;
}
