/* SPDX-License-Identifier: Apache-2.0 */
/* See lane.h. */
#include "core/pool/lane.h"

#include "core/base/environ.h"
#include "core/base/simulate.h"
#include "core/media/media_join.h"
#include "core/pool/fork.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

int lane_open(struct lane *lane, struct media *media)
{
	size_t bytes = (size_t)LANE_HEADER_PAGES * PAGE + 3 * (size_t)PAGE + LANE_STAGING + LANE_DIGESTS * sizeof(uint64_t);

	*lane = (struct lane){.media = media, .free_ios = UINT64_MAX};
	lane->header = aligned_alloc(PAGE, bytes);
	if (!lane->header)
		return -ENOMEM;
	lane->tail = lane->header + (size_t)LANE_HEADER_PAGES * PAGE;
	lane->life = lane->tail + PAGE;
	lane->table = lane->life + PAGE;
	lane->staging = lane->table + PAGE;
	lane->digests = (uint64_t *)(void *)(lane->staging + LANE_STAGING);
	fork_hold();
	int err = media->ops->queue_open(media, LANE_DEPTH, &lane->queue);
	fork_release();
	if (err) {
		free(lane->header);
		lane->header = NULL;
	}
	return err;
}

void lane_close(struct lane *lane)
{
	while (lane->queue && !lane_idle(lane))
		lane_advance(lane); /* as long as it takes; nobody's fork waits for that */
	fork_hold();
	if (lane->queue)
		lane->queue->ops->close(lane->queue);
	lane->queue = NULL;
	fork_release();
	free(lane->header);
	free(lane->cells);
	*lane = (struct lane){0};
}

int lane_add_cells(struct lane *lane, uint32_t slots)
{
	lane->cells = aligned_alloc(PAGE, (size_t)slots * PAGE);
	return lane->cells ? 0 : -ENOMEM;
}

_Static_assert(LANE_DEPTH == 64, "free_ios has a bit for each");

/* the next command's worth of the transfer, in @io; false: all is handed out */
static bool next_command(struct lane *lane, struct media_io *io)
{
	struct transfer *t = &lane->transfer;
	const struct media_caps *caps = &lane->media->caps;
	bool own_cut = t->direction == MEDIA_WRITE && caps->write_cut;
	uint64_t room = (own_cut ? caps->write_cut : caps->cut) + t->first_extra;

	t->first_extra = 0;
	io->direction = t->direction;
	io->offset = t->offset;
	io->piece_count = 0;
	while (t->piece < t->piece_count && room > 0) {
		struct iovec *piece = &t->pieces[t->piece];
		uint64_t bytes = min_u64(piece->iov_len, room);
		if (bytes > 0)
			io->pieces[io->piece_count++] = (struct iovec){piece->iov_base, bytes};
		piece->iov_base = (uint8_t *)piece->iov_base + bytes;
		piece->iov_len -= bytes;
		t->offset += bytes;
		room -= bytes;
		if (piece->iov_len == 0)
			t->piece++;
	}
	return io->piece_count > 0;
}

static void submit(struct lane *lane, uint32_t n)
{
	struct transfer *t = &lane->transfer;

	t->result = lane->queue->ops->submit(lane->queue, &lane->ios[n]);
	if (t->result == 0) {
		lane->free_ios &= ~(1ULL << n);
		t->in_flight++;
	}
}

static bool has_room(const struct lane *lane)
{
	return lane->free_ios && lane->queue->used < lane->queue->depth;
}

static void hand_out(struct lane *lane)
{
	while (has_room(lane) && lane->transfer.result == 0) {
		uint32_t n = (uint32_t)__builtin_ctzll(lane->free_ios);
		if (!next_command(lane, &lane->ios[n]))
			return;
		submit(lane, n);
	}
}

void lane_begin(struct lane *lane, enum media_direction direction, uint64_t offset, const struct iovec *pieces,
		uint32_t count)
{
	struct transfer *t = &lane->transfer;

	*t = (struct transfer){.direction = direction, .offset = offset, .piece_count = count};
	for (uint32_t i = 0; i < count; i++)
		t->pieces[i] = pieces[i];
	if (count > 1) {
		t->first_extra = pieces[0].iov_len;
		t->payload_at = offset + pieces[0].iov_len;
		t->payload_end = t->payload_at + pieces[1].iov_len;
	}
	hand_out(lane);
}

void lane_watch(struct lane *lane, lane_landed landed, void *context)
{
	lane->transfer.landed = landed;
	lane->transfer.context = context;
}

void lane_kick(struct lane *lane)
{
	lane->queue->ops->kick(lane->queue);
}

void lane_join(struct lane *lane, uint64_t offset, void *memory, size_t length)
{
	while (!has_room(lane))
		lane_advance(lane);
	if (lane->transfer.result)
		return;
	uint32_t n = (uint32_t)__builtin_ctzll(lane->free_ios);
	lane->ios[n] = (struct media_io){
		.direction = lane->transfer.direction, .offset = offset, .pieces = {{memory, length}}, .piece_count = 1};
	submit(lane, n);
}

bool lane_idle(const struct lane *lane)
{
	return lane->transfer.in_flight == 0;
}

void lane_advance(struct lane *lane)
{
	struct transfer *t = &lane->transfer;
	/* one by one only where that lets us digest, or hand out more, meanwhile */
	bool all = !t->landed && t->piece == t->piece_count;
	struct media_io *io = lane->queue->ops->reap(lane->queue, all ? t->in_flight : 1);

	if (!io) {
		/* cannot be: a queue keeps what it was given until it comes back, its memory is not ours before */
		t->result = -EIO;
		t->in_flight = 0;
		return;
	}
	uint64_t from = max_u64(io->offset, t->payload_at), to = min_u64(io->offset + io->length, t->payload_end);
	bool tell = t->landed && io->result == 0 && from < to;
	lane->free_ios |= 1ULL << (io - lane->ios);
	t->in_flight--;
	if (io->result)
		media_join_suspect(lane->media, io);
	if (io->result && t->result == 0)
		t->result = io->result == -EBADF ? -EIO : io->result; /* a namespace that is lost has no descriptor */
	hand_out(lane); /* may use @io again */
	if (tell) {
		lane_kick(lane); /* the medium works on while we digest */
		t->landed(t->context, from - t->payload_at, to - from);
	}
}

int lane_transfer(struct lane *lane, enum media_direction direction, uint64_t offset, const struct iovec *pieces,
		  uint32_t count)
{
	lane_begin(lane, direction, offset, pieces, count);
	while (!lane_idle(lane))
		lane_advance(lane);
	return lane->transfer.result;
}

int lane_set_open(struct lane_set *set, struct media *media, uint32_t count)
{
	for (set->count = 0; set->count < count; set->count++) {
		int err = lane_open(&set->lanes[set->count], media);
		if (err && set->count == 0)
			return err;
		if (err)
			break; /* fewer lanes (locked memory, descriptors) work as well */
	}
	if (set->count < LANES_MAX)
		atomic_store(&set->taken, ~0ULL << set->count);
	return 0;
}

void lane_set_close(struct lane_set *set)
{
	while (set->count > 0)
		lane_close(&set->lanes[--set->count]);
}

struct lane *lane_acquire(struct lane_set *set)
{
	enum { YIELDS = 1000, PAUSE_US = 100 };

	for (unsigned turns = 0;; turns++) {
		uint64_t taken = atomic_load(&set->taken);
		while (~taken) {
			uint64_t bit = ~taken & (taken + 1);
			if (!atomic_compare_exchange_weak(&set->taken, &taken, taken | bit))
				continue;
			struct lane *lane = &set->lanes[__builtin_ctzll(bit)];
			while (MUTANT(ACK_EARLY) && !lane_idle(lane))
				lane_advance(lane); /* what nobody waited for */
			return lane;
		}
		if (turns < YIELDS)
			sched_yield();
		else
			pause_us(PAUSE_US); /* the medium hangs, or is very slow: the processor is better left to others */
	}
}

void lane_release(struct lane_set *set, struct lane *lane)
{
	atomic_fetch_and(&set->taken, ~(1ULL << (lane - set->lanes)));
}
