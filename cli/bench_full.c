/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows of bench.h that ask what a full pool costs: full, flood, amplify, amplify_pinned.
 *
 * All work on a pool of 1 GiB that has been written over once, so that both sides meet extents that the file system has
 * placed.  An agent is a handle with a slot of its own.
 */
#include "cli/bench.h"
#include "cli/bench_raw.h"
#include "cli/interrupt.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define GIB (UINT64_C(1) << 30)
enum { AGENTS = 2, READERS = 2, FLOOD_TIMES = 20, AMPLIFY_TIMES = 3 };

/* one thread of a slice */
struct hand {
	struct bench_setup *setup;
	enum bench_side side;
	struct memkv_pool *pool;
	struct bench_raw raw;
	uint8_t *buffer;
	uint64_t deadline, pace_bytes_s; /* 0: as fast as it goes */
	uint64_t bytes, failed;
	struct latency us;
};

static int put_next(struct hand *h)
{
	struct memkv_key key = bench_key(atomic_fetch_add(&h->setup->next_key, 1));

	return memkv_put(h->pool, &key, h->buffer, h->setup->block_size, NULL);
}

static void wait_for_pace(const struct hand *h, uint64_t start)
{
	if (!h->pace_bytes_s)
		return;
	uint64_t due = start + (uint64_t)((double)h->bytes * 1e9 / (double)h->pace_bytes_s), now = latency_now();
	struct timespec rest = {.tv_nsec = 0};

	if (due <= now)
		return;
	rest.tv_sec = (time_t)((due - now) / 1000000000);
	rest.tv_nsec = (long)((due - now) % 1000000000);
	nanosleep(&rest, NULL);
}

static void *write_blocks(void *argument)
{
	struct hand *h = argument;
	struct bench_scratch *s = h->setup->scratch;
	uint64_t start = latency_now(), size = h->setup->block_size;

	while (latency_now() < h->deadline) {
		uint64_t n = atomic_fetch_add(&h->setup->cursor, 1), begin = latency_now();
		int err = h->raw.open || h->raw.memory
				  ? bench_raw_write(&h->raw, h->buffer, size, s->raw_at + n * size % (s->raw_bytes / size * size))
				  : put_next(h);
		latency_add(&h->us, latency_now() - begin);
		h->failed += err != 0;
		h->bytes += size;
		wait_for_pace(h, start);
	}
	return NULL;
}

/* every pinned block must be exactly what was put: each 8 bytes say whose they are */
static void fill_marked(uint8_t *bytes, size_t size, uint64_t mark)
{
	uint64_t *words = (uint64_t *)(void *)bytes;

	for (size_t i = 0; i < size / 8; i++)
		words[i] = mark + i;
}

static bool is_marked(const uint8_t *bytes, size_t size, uint64_t mark)
{
	const uint64_t *words = (const uint64_t *)(const void *)bytes;
	uint64_t off = 0;

	for (size_t i = 0; i < size / 8; i++)
		off |= words[i] ^ (mark + i);
	return !off;
}

static void *read_blocks(void *argument)
{
	struct hand *h = argument;
	struct bench_scratch *s = h->setup->scratch;
	uint64_t size = h->setup->block_size;

	while (latency_now() < h->deadline) {
		uint64_t n = atomic_fetch_add(&h->setup->cursor, 1) * 7919 % s->extent_count, begin = latency_now();
		bool good = h->side == BENCH_MEMKV
				    ? memkv_get(h->pool, &s->extents[n].key, h->buffer, size, NULL) == (int64_t)size
				    : bench_raw_read(&h->raw, h->buffer, size, s->extents[n].offset) == 0;
		latency_add(&h->us, latency_now() - begin);
		h->failed += !good || (h->side == BENCH_MEMKV && !is_marked(h->buffer, size, n << 32));
		h->bytes += size;
	}
	return NULL;
}

static void run_hands(struct hand *hands, const bool *reads, unsigned count, double seconds)
{
	pthread_t threads[AGENTS + READERS + 1];
	uint64_t deadline = latency_now() + (uint64_t)(seconds * 1e9);
	unsigned started = 0;

	for (unsigned i = 0; i < count; i++)
		hands[i].deadline = deadline;
	for (; started < count; started++)
		if (pthread_create(&threads[started], NULL, reads[started] ? read_blocks : write_blocks, &hands[started]))
			break;
	for (unsigned i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = started; i < count; i++)
		hands[i].failed++;
}

static int open_hand(struct hand *h, struct bench_setup *setup, enum bench_side side, bool writes)
{
	struct bench_scratch *s = setup->scratch;

	*h = (struct hand){.setup = setup, .side = side, .buffer = aligned_alloc(4096, setup->block_size)};
	if (!h->buffer)
		return -ENOMEM;
	memset(h->buffer, 0x5A, setup->block_size);
	if (side == BENCH_MEMKV)
		return memkv_pool_open(s->pool, NULL, &h->pool);
	return bench_raw_open(&h->raw, writes ? s->raw_fd : s->pool_fd, writes ? s->raw_memory : s->pool_memory);
}

static void clear_hand(struct hand *h)
{
	h->bytes = 0;
	memset(&h->us, 0, sizeof(h->us));
}

static void close_hand(struct hand *h)
{
	memkv_pool_close(h->pool);
	bench_raw_close(&h->raw);
	free(h->buffer);
}

/* 1 GiB, written over once */
static int small_pool(struct bench_setup *setup)
{
	struct bench_scratch *s = setup->scratch;
	uint64_t whole = s->pool_bytes, next_key = atomic_load(&setup->next_key);

	s->pool_bytes = whole < GIB ? whole : GIB;
	int err = bench_scratch_renew(s, setup->block_size);
	if (!err)
		err = bench_scratch_fill(s, &next_key);
	atomic_store(&setup->next_key, next_key);
	s->pool_bytes = whole;
	return err;
}

/* ---- full: two agents put into a full pool, and into one that is as large and empty ---- */

static uint64_t reclaimed(struct memkv_pool *pool)
{
	struct memkv_counters c;

	memkv_pool_counters(pool, &c);
	return c.segments_reclaimed;
}

/* until room is had only by emptying segments */
static int make_full(struct hand *hand)
{
	uint64_t before = reclaimed(hand->pool);

	while (reclaimed(hand->pool) < before + 2)
		if (put_next(hand) || interrupt_seen())
			return interrupt_seen() ? -EINTR : -EIO;
	return 0;
}

static int make_empty(struct hand *hands)
{
	struct memkv_evict_options all = {.size = sizeof(all), .bytes = UINT64_MAX};
	struct memkv_evict_report report;

	return memkv_evict(hands[0].pool, &all, &report);
}

static int look_full(struct bench_setup *setup, struct bench_series *series, struct bench_result *r)
{
	struct hand hands[AGENTS] = {{0}};
	const bool reads[AGENTS] = {false, false};
	int err = 0;

	for (unsigned i = 0; !err && i < AGENTS; i++)
		err = open_hand(&hands[i], setup, BENCH_MEMKV, true);
	for (unsigned turn = 0; !err && turn < r->pairs * BENCH_SIDES; turn++) {
		unsigned pair = turn / BENCH_SIDES;
		enum bench_side side = (enum bench_side)((pair + turn) % BENCH_SIDES);
		err = side == BENCH_MEMKV ? make_full(&hands[0]) : make_empty(hands);
		for (unsigned i = 0; i < AGENTS; i++)
			clear_hand(&hands[i]);
		uint64_t start = latency_now();
		if (!err)
			run_hands(hands, reads, AGENTS, setup->slice_s);
		double seconds = (double)(latency_now() - start) / 1e9;
		series->value[side][pair] = (double)(hands[0].bytes + hands[1].bytes) / seconds / 1e9;
		for (unsigned i = 0; i < AGENTS; i++)
			latency_merge(side == BENCH_MEMKV ? &r->us : &r->raw_us, &hands[i].us);
		err = err ? err : interrupt_seen() ? -EINTR : 0;
	}
	for (unsigned i = 0; i < AGENTS; i++) {
		r->failed += hands[i].failed;
		close_hand(&hands[i]);
	}
	return err;
}

/* ---- flood: gets of pinned blocks beside an agent that writes all the time ---- */

/* a third of the room, pinned, and where it lies */
static int store_pinned(struct bench_setup *setup)
{
	struct bench_scratch *s = setup->scratch;
	size_t size = setup->block_size, count = (size_t)(GIB / 3 / size);
	uint8_t *bytes = aligned_alloc(4096, size);
	struct memkv_pin_options for_ever = {.size = sizeof(for_ever), .flags = MEMKV_PIN_FOR_EVER};
	struct memkv_block_info info;
	int err = bytes ? 0 : -ENOMEM;

	free(s->extents);
	s->extents = calloc(count, sizeof(*s->extents));
	s->extent_count = s->extents ? count : 0;
	if (!s->extents)
		err = -ENOMEM;
	for (size_t i = 0; !err && i < count; i++) {
		struct bench_extent *e = &s->extents[i];
		e->key = bench_key(atomic_fetch_add(&setup->next_key, 1));
		fill_marked(bytes, size, (uint64_t)i << 32);
		err = memkv_put(s->handle, &e->key, bytes, size, NULL);
		int64_t pinned = err ? 0 : memkv_pin(s->handle, &e->key, 1, &for_ever, NULL);
		err = err ? err : pinned < 0 ? (int)pinned : memkv_stat(s->handle, &e->key, &info);
		e->offset = (info.page + 1) * 4096;
		err = err ? err : interrupt_seen() ? -EINTR : 0;
	}
	free(bytes);
	return err;
}

static int look_flood(struct bench_setup *setup, struct bench_series *series, struct bench_result *r)
{
	enum { ALL = READERS + 1 };
	struct hand hands[2][ALL] = {{{0}}}; /* of memkv, of raw; the last one writes */
	bool reads[ALL] = {true, true, false};
	uint64_t written = 0, rate = 0;
	int err = store_pinned(setup);

	for (unsigned i = 0; !err && i < 2 * ALL; i++)
		err = open_hand(&hands[i / ALL][i % ALL], setup, i < ALL ? BENCH_MEMKV : BENCH_RAW, i % ALL == READERS);
	unsigned pair = 0;
	for (; !err && pair < BENCH_PAIRS_MAX && (pair < r->pairs || written < FLOOD_TIMES * GIB); pair++)
		for (unsigned turn = 0; !err && turn < BENCH_SIDES; turn++) {
			struct hand *side = hands[turn > 0];
			struct latency all = {0};
			for (unsigned i = 0; i < ALL; i++)
				clear_hand(&side[i]);
			side[READERS].pace_bytes_s = turn ? rate : 0; /* raw writes as fast as memkv just did */
			uint64_t start = latency_now();
			run_hands(side, reads, ALL, setup->slice_s * 2);
			if (!turn) {
				rate = (uint64_t)((double)side[READERS].bytes * 1e9 / (double)(latency_now() - start)) + 1;
				written += side[READERS].bytes;
			}
			for (unsigned i = 0; i < READERS; i++)
				latency_merge(&all, &side[i].us);
			latency_merge(turn ? &r->raw_us : &r->us, &all);
			series->value[turn][pair] = latency_percentile_us(&all, 99);
			err = interrupt_seen() ? -EINTR : 0;
		}
	r->pairs = pair;
	r->times = (double)written / (double)GIB;
	for (unsigned i = 0; i < 2 * ALL; i++) {
		r->failed += hands[i / ALL][i % ALL].failed;
		close_hand(&hands[i / ALL][i % ALL]);
	}
	return err;
}

/* ---- amplify: what the medium is given for what was put ---- */

static uint64_t bytes_to_media(void)
{
	unsigned long long bytes = 0;
	char line[128];
	FILE *f = fopen("/proc/self/io", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "write_bytes: %llu", &bytes) == 1)
			break;
	if (f)
		fclose(f);
	return bytes;
}

/* one in three of the blocks that are there, at random */
static int pin_third(struct bench_setup *setup, uint64_t first, uint64_t last)
{
	struct memkv_pin_options for_ever = {.size = sizeof(for_ever), .flags = MEMKV_PIN_FOR_EVER};
	struct memkv_pool *pool = setup->scratch->handle;
	struct memkv_pin_limits room = {0}; /* the limit is half of the room */
	uint64_t random = 1;
	int err = 0;

	while (!err && room.bytes_pinned <= room.bytes * 2 / 3) {
		random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
		struct memkv_key key = bench_key(first + (random >> 33) % (last - first));
		int64_t done = memkv_pin(pool, &key, 1, &for_ever, NULL);
		err = done < 0 ? (int)done : memkv_pin_room(pool, &room);
	}
	return err;
}

static int look_amplify(struct bench_setup *setup, struct bench_series *series, struct bench_result *r)
{
	struct hand hand = {.setup = setup, .pool = setup->scratch->handle};
	uint64_t size = setup->block_size, last = atomic_load(&setup->next_key), count = AMPLIFY_TIMES * GIB / size;
	struct memkv_counters before, after;
	int err = setup->op == BENCH_AMPLIFY ? 0 : pin_third(setup, last - GIB * 9 / 10 / size, last);

	hand.buffer = aligned_alloc(4096, size);
	if (!hand.buffer)
		return -ENOMEM;
	memset(hand.buffer, 0x5A, size);
	memkv_pool_counters(hand.pool, &before);
	uint64_t start = bytes_to_media();
	for (uint64_t i = 0; !err && i < count; i++)
		err = put_next(&hand) ? -EIO : interrupt_seen() ? -EINTR : 0;
	double written = (double)(bytes_to_media() - start), put = (double)(count * size);
	memkv_pool_counters(hand.pool, &after);
	r->moved = (double)(after.moved_bytes - before.moved_bytes) / put;
	r->pairs = 1;
	r->unit = "bytes written a byte put";
	series->value[BENCH_MEMKV][0] = written / put;
	series->value[BENCH_RAW][0] = series->value[BENCH_CONTROL][0] = 1;
	free(hand.buffer);
	return err;
}

int bench_full(struct bench_setup *setup, struct bench_result *r)
{
	struct bench_series *series = calloc(1, sizeof(*series));
	int err = series ? small_pool(setup) : -ENOMEM;
	bool rates = setup->op == BENCH_FULL;

	*r = (struct bench_result){.op = setup->op, .block_size = setup->block_size, .pairs = setup->pairs};
	r->threads = setup->op == BENCH_FULL ? AGENTS : setup->op == BENCH_FLOOD ? READERS : 1;
	if (!err && setup->op == BENCH_FULL)
		err = look_full(setup, series, r);
	else if (!err && setup->op == BENCH_FLOOD)
		err = look_flood(setup, series, r);
	else if (!err)
		err = look_amplify(setup, series, r);
	if (setup->op == BENCH_FLOOD)
		r->unit = "us p99";
	if (!err)
		bench_judge(series, !rates, r, rates ? &r->gbps : &r->value, rates ? &r->raw_gbps : &r->raw_value);
	free(series);
	return err;
}
