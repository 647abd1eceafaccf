/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of bench.h that compare times: match, attach, visibility, memory. */
#include "cli/bench.h"
#include "cli/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { CHAIN = 1000, CHAINS = 100, SMALL = 4096, SMALL_LARGEST = 64 << 10, AHEAD = 8, INDEX_ENTRY = 16, POLL_US = 1000, RAW_PIECE = 1 << 20 };
#define ABSENT (UINT64_C(1) << 40)

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9ULL;
	x = (x ^ x >> 27) * 0x94D049BB133111EBULL;
	return x ^ x >> 31;
}

/* ---- the small pool ---- */

struct filler {
	struct bench_setup *setup;
	atomic_uint_fast64_t *next;
	int err;
};

static void *fill(void *argument)
{
	struct filler *f = argument;
	void *bytes = aligned_alloc(SMALL, SMALL);

	f->err = bytes ? 0 : -ENOMEM;
	if (bytes)
		memset(bytes, 0x3C, SMALL);
	while (!f->err && !interrupt_seen()) {
		uint64_t n = atomic_fetch_add(f->next, 1);
		if (n >= f->setup->blocks)
			break;
		struct memkv_key key = bench_key(n);
		f->err = memkv_put(f->setup->scratch->handle, &key, bytes, SMALL, NULL);
	}
	free(bytes);
	return NULL;
}

int bench_fill_small(struct bench_setup *setup)
{
	enum { FILLERS = 4 };
	struct filler fillers[FILLERS];
	pthread_t threads[FILLERS];
	atomic_uint_fast64_t next = 0;
	int err = bench_scratch_renew(setup->scratch, SMALL_LARGEST), started = 0;

	for (; !err && started < FILLERS; started++) {
		fillers[started] = (struct filler){.setup = setup, .next = &next};
		if (pthread_create(&threads[started], NULL, fill, &fillers[started]))
			err = -EAGAIN;
	}
	for (int i = 0; i < started; i++) {
		pthread_join(threads[i], NULL);
		err = err ? err : fillers[i].err;
	}
	return interrupt_seen() ? -EINTR : err;
}

/* ---- match ---- */

struct chains {
	struct memkv_key *keys;
	size_t holes[CHAINS];
	uint64_t *array; /* as many bytes as the index has in entries */
	uint64_t lines, sum;
};

/* every chain is there up to a hole at a random place */
static int make_chains(struct chains *c, uint64_t blocks)
{
	c->lines = blocks * INDEX_ENTRY / 64 + 1;
	c->keys = calloc((size_t)CHAINS * CHAIN, sizeof(*c->keys));
	c->array = aligned_alloc(64, c->lines * 64);
	if (!c->keys || !c->array)
		return -ENOMEM;
	memset(c->array, 1, c->lines * 64);
	for (size_t i = 0; i < CHAINS; i++) {
		c->holes[i] = mix(i + 1) % CHAIN;
		for (size_t k = 0; k < CHAIN; k++)
			c->keys[i * CHAIN + k] = bench_key(k == c->holes[i] ? ABSENT + i : mix(i * CHAIN + k) % blocks);
	}
	return 0;
}

static bool match_chain(struct memkv_pool *pool, struct chains *c, size_t i)
{
	return memkv_match(pool, c->keys + i * CHAIN, CHAIN, 0) == (int)c->holes[i];
}

/* the memory accesses of the same look-ups and nothing else */
static bool touch_chain(struct chains *c, size_t i)
{
	for (size_t k = 0; k <= c->holes[i]; k++) {
		size_t next = k + AHEAD;
		__builtin_prefetch(&c->array[mix(i * CHAIN + next) % c->lines * 8]);
		c->sum += c->array[mix(i * CHAIN + k) % c->lines * 8];
	}
	return true;
}

/* nanoseconds a key over all chains */
static double match_pass(struct memkv_pool *pool, struct chains *c, enum bench_side side, struct bench_result *r)
{
	uint64_t start = latency_now(), keys = 0, before = start;

	for (size_t i = 0; i < CHAINS; i++) {
		bool good = side == BENCH_MEMKV ? match_chain(pool, c, i) : touch_chain(c, i);
		uint64_t now = latency_now();
		r->failed += !good;
		keys += c->holes[i] + 1;
		latency_add(side == BENCH_MEMKV ? &r->us : &r->raw_us, now - before);
		before = now;
	}
	return (double)(latency_now() - start) / (double)keys;
}

static int look_match(struct bench_setup *setup, struct bench_series *series, struct bench_result *r)
{
	struct chains c = {0};
	int err = make_chains(&c, setup->blocks);

	r->unit = "ns a key";
	for (unsigned pair = 0; !err && pair < r->pairs; pair++)
		for (unsigned turn = 0; turn < BENCH_SIDES; turn++) {
			enum bench_side side = (enum bench_side)((pair + turn) % BENCH_SIDES);
			series->value[side][pair] = match_pass(setup->scratch->handle, &c, side, r);
		}
	free(c.keys);
	free(c.array);
	return err;
}

/* ---- attach ---- */

static bool attach_once(const struct bench_scratch *s)
{
	struct memkv_pool_options options = {.size = sizeof(options), .flags = MEMKV_OPEN_READ_ONLY};
	struct memkv_pool *pool;

	if (memkv_pool_open(s->pool, &options, &pool))
		return false;
	memkv_pool_close(pool);
	return true;
}

static bool read_control(const struct bench_scratch *s, void *buffer, uint64_t bytes)
{
	for (uint64_t at = 0; at < bytes; at += RAW_PIECE)
		if (pread(s->pool_fd, buffer, RAW_PIECE, (off_t)at) <= 0)
			return false;
	return true;
}

static int look_attach(struct bench_setup *setup, struct bench_series *series, struct bench_result *r)
{
	struct memkv_pool_info *info = malloc(sizeof(*info));
	void *buffer = aligned_alloc(SMALL, RAW_PIECE);
	int err = info && buffer ? memkv_pool_describe(setup->scratch->handle, info) : -ENOMEM;

	r->unit = "ms";
	for (unsigned pair = 0; !err && pair < r->pairs; pair++)
		for (unsigned turn = 0; turn < BENCH_SIDES; turn++) {
			enum bench_side side = (enum bench_side)((pair + turn) % BENCH_SIDES);
			uint64_t start = latency_now();
			bool good = side == BENCH_MEMKV ? attach_once(setup->scratch)
							: read_control(setup->scratch, buffer, info->control_bytes);
			uint64_t ns = latency_now() - start;
			r->failed += !good;
			latency_add(side == BENCH_MEMKV ? &r->us : &r->raw_us, ns);
			series->value[side][pair] = (double)ns / 1e6;
		}
	free(info);
	free(buffer);
	return err;
}

/* ---- visibility ---- */

struct echo {
	atomic_uint_fast64_t asked, seen;
	atomic_bool stop;
};

/* what a follower does, without a pool: looks at a word once a millisecond */
static void *poll_word(void *argument)
{
	struct echo *e = argument;
	struct timespec pause = {.tv_nsec = POLL_US * 1000L};

	while (!atomic_load(&e->stop)) {
		clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
		atomic_store(&e->seen, atomic_load(&e->asked));
	}
	return NULL;
}

/* so that puts come at all phases of the polling */
static void wait_a_little(uint64_t turn)
{
	struct timespec pause = {.tv_nsec = (long)(mix(turn) % 1500000)};

	clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
}

static bool put_and_find(struct bench_setup *setup, struct memkv_pool *other, void *bytes, uint64_t *ns)
{
	struct memkv_key key = bench_key(ABSENT * 2 + atomic_fetch_add(&setup->next_key, 1));

	if (memkv_put(setup->scratch->handle, &key, bytes, SMALL, NULL))
		return false;
	uint64_t start = latency_now();
	while (memkv_exists(other, &key, 0) != 1 && latency_now() - start < 1000000000)
		sched_yield();
	*ns = latency_now() - start;
	return *ns < 1000000000;
}

static bool store_and_see(struct echo *e, uint64_t *ns)
{
	uint64_t start = latency_now(), mine = atomic_fetch_add(&e->asked, 1) + 1;

	while (atomic_load(&e->seen) < mine)
		sched_yield();
	*ns = latency_now() - start;
	return true;
}

/* median of a few, since one is anything between 0 and the interval */
static double visibility_pass(struct bench_setup *setup, struct memkv_pool *other, struct echo *e, enum bench_side side,
			      struct bench_result *r, void *bytes)
{
	enum { TRIES = 25 };
	double values[TRIES];

	for (int i = 0; i < TRIES; i++) {
		uint64_t ns = 0;
		wait_a_little(atomic_fetch_add(&setup->cursor, 1));
		bool good = side == BENCH_MEMKV ? put_and_find(setup, other, bytes, &ns) : store_and_see(e, &ns);
		r->failed += !good;
		latency_add(side == BENCH_MEMKV ? &r->us : &r->raw_us, ns);
		values[i] = (double)ns / 1e3;
	}
	return bench_median(values, TRIES, NULL);
}

static int look_visibility(struct bench_setup *setup, struct bench_series *series, struct bench_result *r)
{
	struct memkv_pool_options options = {.size = sizeof(options), .flags = MEMKV_OPEN_READ_ONLY, .poll_us = POLL_US};
	struct memkv_pool *other = NULL;
	struct echo echo = {0};
	pthread_t thread;
	void *bytes = aligned_alloc(SMALL, SMALL);
	int err = bytes ? memkv_pool_open(setup->scratch->pool, &options, &other) : -ENOMEM;

	r->unit = "us";
	if (!err && pthread_create(&thread, NULL, poll_word, &echo))
		err = -EAGAIN;
	if (!err) {
		memset(bytes, 0x77, SMALL);
		for (unsigned pair = 0; pair < r->pairs && !interrupt_seen(); pair++)
			for (unsigned turn = 0; turn < BENCH_SIDES; turn++) {
				enum bench_side side = (enum bench_side)((pair + turn) % BENCH_SIDES);
				series->value[side][pair] = visibility_pass(setup, other, &echo, side, r, bytes);
			}
		atomic_store(&echo.stop, true);
		pthread_join(thread, NULL);
	}
	memkv_pool_close(other);
	free(bytes);
	return err;
}

/* ---- memory ---- */

static long anonymous_bytes(void)
{
	char line[256];
	long kib = 0;
	FILE *f = fopen("/proc/self/status", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "RssAnon: %ld", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib * 1024;
}

/* what opening the pool adds to this process */
static long memory_of_attach(const char *path, uint32_t flags, int *err)
{
	struct memkv_pool_options options = {.size = sizeof(options), .flags = flags, .lanes = 1};
	struct memkv_pool *pool = NULL;
	long before = anonymous_bytes();

	*err = *err ? *err : memkv_pool_open(path, &options, &pool);
	long after = anonymous_bytes();
	memkv_pool_close(pool);
	return after - before;
}

/*
 * The pool with its blocks, then a new one without any, each attached by this process as the only writer (so that a
 * device's mirror counts).  There is nothing to repeat: the figure does not depend on time.
 */
static int look_memory(struct bench_setup *setup, struct bench_series *series, struct bench_result *r)
{
	struct bench_scratch *s = setup->scratch;
	int err = 0;

	r->unit = "bytes a block";
	r->pairs = 1;
	memkv_pool_close(s->handle);
	s->handle = NULL;
	long full = memory_of_attach(s->pool, MEMKV_OPEN_NO_FOLLOWER, &err);
	err = err ? err : bench_scratch_renew(s, SMALL_LARGEST);
	if (!err) {
		memkv_pool_close(s->handle);
		s->handle = NULL;
	}
	long empty = memory_of_attach(s->pool, MEMKV_OPEN_NO_FOLLOWER, &err);
	series->value[BENCH_MEMKV][0] = (double)(full - empty) / (double)setup->blocks;
	series->value[BENCH_RAW][0] = series->value[BENCH_CONTROL][0] = INDEX_ENTRY;
	return err;
}

int bench_look(struct bench_setup *setup, struct bench_result *r)
{
	struct bench_series *series = calloc(1, sizeof(*series));
	int err = series ? 0 : -ENOMEM;

	*r = (struct bench_result){.op = setup->op, .block_size = SMALL, .threads = 1, .pairs = setup->pairs};
	if (!err && setup->op == BENCH_MATCH)
		err = look_match(setup, series, r);
	else if (!err && setup->op == BENCH_ATTACH)
		err = look_attach(setup, series, r);
	else if (!err && setup->op == BENCH_VISIBILITY)
		err = look_visibility(setup, series, r);
	else if (!err)
		err = look_memory(setup, series, r);
	if (!err && interrupt_seen())
		err = -EINTR;
	if (!err)
		bench_judge(series, 1, r, &r->value, &r->raw_value);
	free(series);
	return err;
}
