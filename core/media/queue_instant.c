/* SPDX-License-Identifier: Apache-2.0 */
/* A queue for payload that is memory: submit copies, reap hands back.  One command at a time: what was copied is digested
 * while it is in the cache. */
#include "core/media/media.h"

#include <errno.h>
#include <stdlib.h>

struct queue_instant {
	struct media_queue base;
	media_copy *copy;
	struct media_io *done;
};

static int instant_submit(struct media_queue *queue, struct media_io *io)
{
	struct queue_instant *q = CONTAINER_OF(queue, struct queue_instant, base);

	if (queue->used == queue->depth)
		return -EAGAIN;
	media_io_measure(io);
	io->result = q->copy(queue->media, io);
	q->done = io;
	queue->used = 1;
	return 0;
}

static struct media_io *instant_reap(struct media_queue *queue, unsigned wait_for)
{
	struct queue_instant *q = CONTAINER_OF(queue, struct queue_instant, base);

	(void)wait_for; /* whatever was submitted has finished */
	if (queue->used == 0)
		return NULL;
	queue->used = 0;
	return q->done;
}

static void instant_nothing(struct media_queue *queue)
{
	(void)queue; /* nothing waits, and the child shares nothing but the mapping, which it did not inherit */
}

static void instant_close(struct media_queue *queue)
{
	free(CONTAINER_OF(queue, struct queue_instant, base));
}

static const struct media_queue_ops instant_queue_ops = {
	.close = instant_close,
	.submit = instant_submit,
	.kick = instant_nothing,
	.reap = instant_reap,
	.abandon = instant_nothing,
};

int queue_instant_open(struct media *media, media_copy *copy, struct media_queue **queue)
{
	struct queue_instant *q = calloc(1, sizeof(*q));

	if (!q)
		return -ENOMEM;
	q->base = (struct media_queue){.ops = &instant_queue_ops, .media = media, .depth = 1};
	q->copy = copy;
	*queue = &q->base;
	return 0;
}
