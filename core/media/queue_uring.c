/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A queue on io_uring.  Submit only prepares; reap hands everything prepared to the kernel in one call and takes a
 * completion.  A command that moved less than asked is continued from where it stopped; one that moves nothing has
 * met the end of the medium.
 *
 * The file is not registered with the ring.  The kernel takes the ring of a process that ended apart later, by a worker
 * (20 ms, under load several hundred), and a registered description would keep its locks until then; so only what is in
 * flight keeps it.
 *
 * NVMe passthrough (nvme_passthrough.h): the same ring, with larger entries, takes commands of our own to the device.  They
 * move all or nothing, are cut to what one carries, one part after the other.  A write that fails is never sent again; a read
 * that fails, and what the kernel has refused to send, goes as block I/O.  They hold the character device and not the block device, on whose description
 * claim and locks are.  So here the latter *is* registered with the ring, which the kernel takes apart when all commands are
 * back: after a kill the claim falls that much later, and still says that nothing is under way any more.
 *
 * A ring that refuses system calls (somebody closed its descriptor) is broken for good.  What the kernel has not taken
 * over by then fails, as does whatever is submitted later.  What it has taken over is waited for nevertheless, by looking
 * at the completion ring, which stays mapped: until a command has come back its memory is the kernel's to write.
 */
#include "core/media/media.h"
#include "core/media/nvme_passthrough.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct command {
	struct media_io *io;
	struct iovec pieces[MEDIA_IO_PIECES]; /* what is still to move */
	struct iovec *at;
	unsigned count;
	uint64_t offset;
	unsigned number; /* of its last submission, counted by the ring */
	bool plain;	 /* as block I/O, whatever else could be */
	size_t sent;	 /* as a command of our own, so many bytes; 0: as block I/O */
	struct iovec parts[MEDIA_IO_PIECES]; /* these */
	struct command *next_free;
};

struct queue_uring {
	struct media_queue base;
	struct io_uring ring;
	int fd;
	struct nvme_passthrough *nvme; /* or NULL */
	unsigned prepared;
	bool broken;
	struct command *free;
	struct command commands[];
};

/* the next part of what is left, as a command of our own; false: such a one it cannot be */
static bool build_part(struct queue_uring *q, struct command *c, struct nvme_uring_cmd *command)
{
	bool write = c->io->direction == MEDIA_WRITE;
	unsigned parts = 0;

	c->sent = 0;
	if (!q->nvme || c->plain || !nvme_goes(q->nvme, write))
		return false;
	size_t sent = nvme_command_bytes(&q->nvme->shape, c->at, c->count);
	if (nvme_command_io(&q->nvme->shape, write ? NVME_WRITE : NVME_READ, c->offset, sent, command))
		return false;
	c->sent = sent;
	for (; sent > 0; parts++) {
		size_t bytes = c->at[parts].iov_len < sent ? c->at[parts].iov_len : sent;
		c->parts[parts] = (struct iovec){c->at[parts].iov_base, bytes};
		sent -= bytes;
	}
	command->addr = (uint64_t)(uintptr_t)c->parts;
	command->data_len = parts;
	return true;
}

static void prepare(struct queue_uring *q, struct command *c)
{
	c->number = q->ring.sq.sqe_tail;
	struct io_uring_sqe *sqe = io_uring_get_sqe(&q->ring); /* never NULL: one a command, depth of them */
	struct media_spot spot = media_spot(q->base.media, q->fd, c->offset);
	struct nvme_uring_cmd command;

	if (build_part(q, c, &command))
		nvme_passthrough_prepare(q->nvme, &command, true, sqe);
	else if (c->io->direction == MEDIA_READ)
		io_uring_prep_readv(sqe, spot.fd, c->at, c->count, spot.offset);
	else
		io_uring_prep_writev(sqe, spot.fd, c->at, c->count, spot.offset);
	io_uring_sqe_set_data(sqe, c);
	q->prepared++;
}

static int uring_submit(struct media_queue *queue, struct media_io *io)
{
	struct queue_uring *q = CONTAINER_OF(queue, struct queue_uring, base);
	struct command *c = q->free;

	if (q->broken)
		return -EIO;
	if (!c)
		return -EAGAIN;
	q->free = c->next_free;
	*c = (struct command){.io = io, .at = c->pieces, .count = io->piece_count, .offset = io->offset};
	media_io_measure(io);
	for (uint32_t i = 0; i < io->piece_count; i++)
		c->pieces[i] = io->pieces[i];
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
	c->io = NULL;
	c->next_free = q->free;
	q->free = c;
	q->base.used--;
	return io;
}

/* what a command of our own has moved, or -errno; -EAGAIN: it has not been sent, or may be once more */
static int moved_by_command(struct queue_uring *q, struct command *c, int result)
{
	if (result == 0)
		return (int)c->sent;
	if (result == -EAGAIN)
		return result;
	if (nvme_command_refused(result)) {
		nvme_passthrough_refuse(q->nvme, result);
		return -EAGAIN;
	}
	if (c->io->direction == MEDIA_WRITE)
		return nvme_command_errno(result);
	c->plain = true; /* the kernel knows of other paths, and when this one is back */
	return -EAGAIN;
}

/* a completion's command when it is done, NULL when it goes on */
static struct media_io *take(struct queue_uring *q, struct io_uring_cqe *cqe)
{
	struct command *c = io_uring_cqe_get_data(cqe);
	int moved = c->sent ? moved_by_command(q, c, cqe->res) : cqe->res;

	io_uring_cqe_seen(&q->ring, cqe);
	bool again = moved == -EINTR || moved == -EAGAIN; /* of block I/O; a command of ours is not sent again */
	if (moved < 0 && !again)
		return finish(q, c, moved);
	if (moved == 0)
		return finish(q, c, -EIO);
	if (!again && !advance(c, (size_t)moved))
		return finish(q, c, 0);
	if (q->broken)
		return finish(q, c, -EIO);
	prepare(q, c);
	return NULL;
}

/* of a broken ring: a command that the kernel has not taken over, and never will; NULL: none */
static struct media_io *withdraw(struct queue_uring *q)
{
	unsigned taken = io_uring_smp_load_acquire(q->ring.sq.khead);

	for (unsigned i = 0; i < q->base.depth; i++)
		if (q->commands[i].io && (int)(taken - q->commands[i].number) <= 0)
			return finish(q, &q->commands[i], -EIO);
	return NULL;
}

/* hand over what is prepared and, wait for @wait_for completions */
static void enter(struct queue_uring *q, unsigned wait_for)
{
	int err = io_uring_submit_and_wait(&q->ring, io_uring_cq_ready(&q->ring) ? 0 : wait_for);

	if (err > 0)
		q->prepared -= (unsigned)err < q->prepared ? (unsigned)err : q->prepared;
	q->broken = err < 0 && err != -EINTR && err != -EAGAIN && err != -EBUSY;
}

static void uring_kick(struct media_queue *queue)
{
	struct queue_uring *q = CONTAINER_OF(queue, struct queue_uring, base);

	if (q->prepared && !q->broken)
		enter(q, 0);
}

static struct media_io *uring_reap(struct media_queue *queue, unsigned wait_for)
{
	static const struct timespec pause = {.tv_nsec = 1000000};
	struct queue_uring *q = CONTAINER_OF(queue, struct queue_uring, base);

	while (queue->used > 0) {
		struct io_uring_cqe *cqe = NULL;
		struct media_io *io = NULL;

		if (!q->broken && (q->prepared > 0 || wait_for))
			enter(q, wait_for);
		if (io_uring_peek_cqe(&q->ring, &cqe) == 0)
			io = take(q, cqe);
		else if (q->broken)
			io = withdraw(q);
		else if (!wait_for)
			return NULL;
		if (io)
			return io;
		if (q->broken && !cqe) {
			if (!wait_for)
				return NULL;
			nanosleep(&pause, NULL); /* a system call, as the kernel needs to complete what it does for us */
		}
	}
	return NULL;
}

static void uring_close(struct media_queue *queue)
{
	struct queue_uring *q = CONTAINER_OF(queue, struct queue_uring, base);

	while (queue->used > 0 && uring_reap(queue, 1))
		;
	if (q->nvme)
		(void)io_uring_unregister_files(&q->ring); /* else the claim would be given up some time later */
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

/* a ring that takes commands of our own; where it cannot be, one that does not */
static int open_ring(struct queue_uring *q, unsigned depth, struct nvme_passthrough *nvme)
{
	if (!nvme || nvme->fd < 0)
		return io_uring_queue_init(depth, &q->ring, 0);
	int err = io_uring_queue_init(depth, &q->ring, IORING_SETUP_SQE128 | IORING_SETUP_CQE32);
	if (err)
		return err;
	if (io_uring_register_files(&q->ring, &q->fd, 1)) {
		io_uring_queue_exit(&q->ring);
		return io_uring_queue_init(depth, &q->ring, 0);
	}
	q->nvme = nvme;
	return 0;
}

int queue_uring_open(struct media *media, int fd, struct nvme_passthrough *nvme, unsigned depth, struct media_queue **queue)
{
	struct queue_uring *q = calloc(1, sizeof(*q) + depth * sizeof(q->commands[0]));
	int err;

	if (!q)
		return -ENOMEM;
	q->base = (struct media_queue){.ops = &uring_ops, .media = media, .depth = depth};
	q->fd = fd;
	err = open_ring(q, depth, nvme);
	if (err) {
		free(q);
		return err;
	}
	io_uring_ring_dontfork(&q->ring); /* a child must not keep the ring alive */
	for (unsigned i = 0; i < depth; i++) {
		q->commands[i].next_free = q->free;
		q->free = &q->commands[i];
	}
	*queue = &q->base;
	return 0;
}
