/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One agent: opens the pool for itself and works like an engine on one request after the other: looks the chain up,
 * gets what is there, puts the rest.  Nothing is allocated between the first request and the last.
 *
 * A lookup that does not find the whole chain looks once more, fresh: recomputing costs far more than that look, and
 * others may have put blocks that this process has not heard of yet.
 *
 * Each block carries 16 bytes of metadata: the number of the request that put it, and the run's number.  A block that
 * a later request of the same run put is a late hit: in the order of the trace it would not have been there.
 */
#include "cli/payload.h"
#include "cli/replay_shared.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define WAIT_NS 50000

/**
 * struct origin - the metadata that a block carries
 * @request, @run: little-endian.
 */
struct origin {
	uint64_t request;
	uint64_t run;
};

/**
 * struct worker - an agent's own state
 * @self: its slot in the mapping.
 * @chain: keys of the request in progress.
 * @buffer: one block.
 */
struct worker {
	const struct replay_plan *plan;
	struct replay_shared *shared;
	struct replay_agent *self;
	struct memkv_pool *pool;
	struct memkv_key *chain;
	void *buffer;
};

static void wait_a_little(void)
{
	struct timespec pause = {.tv_nsec = WAIT_NS};

	nanosleep(&pause, NULL);
}

static void fail(struct worker *worker, int result, const char *what)
{
	const char *detail = memkv_error_detail();
	char text[REPLAY_TEXT_MAX];

	snprintf(text, sizeof(text), "%s: %s", what, detail[0] ? detail : memkv_strerror(result));
	replay_fail(&worker->self->failure, result, text);
}

/* How many blocks of the chain are there. */
static size_t look_up(struct worker *worker, size_t count)
{
	uint64_t start = latency_now();
	int found = memkv_match(worker->pool, worker->chain, count, 0);
	latency_add(&worker->self->match, latency_now() - start);

	if (found >= 0 && (size_t)found < count) {
		start = latency_now();
		int fresh = memkv_match(worker->pool, worker->chain, count, MEMKV_LOOK_FRESH);
		latency_add(&worker->self->refresh, latency_now() - start);
		if (fresh > found)
			worker->self->counts.refresh_blocks += (uint64_t)(fresh - found);
		found = fresh;
	}
	if (found < 0) {
		fail(worker, found, "match");
		return 0;
	}
	return (size_t)found;
}

enum get_answer { GET_HIT, GET_LATE, GET_MISS };

static enum get_answer get_block(struct worker *worker, const struct memkv_key *key, uint32_t request)
{
	const struct replay_plan *plan = worker->plan;
	struct replay_counts *counts = &worker->self->counts;
	struct origin origin = {0};
	struct memkv_get_options options = {.size = sizeof(options), .meta = &origin, .meta_room = sizeof(origin)};

	uint64_t start = latency_now();
	int64_t got = memkv_get(worker->pool, key, worker->buffer, plan->block_size, &options);
	uint64_t took = latency_now() - start;
	counts->gets++;
	if (got < 0) {
		counts->get_misses_after_match += got == MEMKV_MISS;
		counts->gets_failed += got != MEMKV_MISS;
		if (got != MEMKV_MISS)
			fail(worker, (int)got, "get");
		return GET_MISS;
	}
	latency_add(&worker->self->get, took);
	counts->bytes_read += (uint64_t)got;
	counts->wrong_bytes += payload_differences(key, worker->buffer, plan->block_size);
	bool ours = options.meta_length >= sizeof(origin) && le64toh(origin.run) == plan->run;
	return ours && le64toh(origin.request) > request ? GET_LATE : GET_HIT;
}

/* Get the first @there blocks of the chain; returns how many could be read.  @hits receives those not late. */
static size_t get_chain(struct worker *worker, uint32_t request, size_t there, uint64_t *hits, uint64_t *late)
{
	for (size_t i = 0; i < there && !atomic_load(&worker->shared->stop); i++) {
		enum get_answer answer = get_block(worker, &worker->chain[i], request);
		if (answer == GET_MISS)
			return i;
		if (answer == GET_LATE)
			(*late)++;
		else
			(*hits)++;
	}
	return there;
}

static void put_block(struct worker *worker, uint32_t request, uint32_t block, size_t at)
{
	const struct replay_plan *plan = worker->plan;
	struct replay_counts *counts = &worker->self->counts;
	struct origin origin = {.request = htole64(request), .run = htole64(plan->run)};
	struct memkv_put_options options = {
		.size = sizeof(options),
		.depth = (uint32_t)at,
		.meta = &origin,
		.meta_length = sizeof(origin),
		.parent = at ? &worker->chain[at - 1] : NULL,
	};

	payload_fill(&worker->chain[at], worker->buffer, plan->block_size);
	uint64_t start = latency_now();
	int rc = memkv_put(worker->pool, &worker->chain[at], worker->buffer, plan->block_size, &options);
	uint64_t took = latency_now() - start;
	if (rc == 0 || rc == MEMKV_EXISTS)
		worker->shared->acknowledged[block] = 1; /* at once: a kill may come any time */
	if (rc == 0) {
		latency_add(&worker->self->put, took);
		counts->puts++;
		counts->bytes_written += plan->block_size;
	} else if (rc == MEMKV_EXISTS) {
		counts->puts_exist++;
	} else if (rc == MEMKV_NO_ROOM) {
		counts->puts_no_room++;
	} else {
		counts->puts_failed++;
		fail(worker, rc, "put");
	}
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void do_request(struct worker *worker, uint32_t number)
{
	const struct trace *trace = &worker->plan->trace;
	const struct trace_request *request = &trace->request[number];
	const uint32_t *blocks = &trace->ref[request->first_ref];
	struct replay_counts *counts = &worker->self->counts;
	uint64_t hits = 0, late = 0;
	struct memkv_counters seen;

	for (size_t i = 0; i < request->refs; i++)
		worker->chain[i] = worker->plan->keys[blocks[i]];
	size_t there = request->refs ? look_up(worker, request->refs) : 0;
	size_t got = get_chain(worker, number, there, &hits, &late);
	for (size_t i = got; i < request->refs && !atomic_load(&worker->shared->stop); i++)
		put_block(worker, number, blocks[i], i);

	/* What makes up the ratios is added in one go, so that a killed agent's half request does not bend them. */
	counts->requests++;
	counts->block_refs += request->refs;
	counts->hit_blocks += hits;
	counts->late_blocks += late;
	counts->tokens_total += request->input_tokens;
	counts->tokens_reused += smaller(hits * request->block_tokens, request->input_tokens);
	if (!memkv_pool_counters(worker->pool, &seen)) {
		counts->evicted_blocks = seen.evicted_blocks;
		counts->moved_blocks = seen.moved_blocks;
	}
	worker->self->finished_ns = latency_now();
}

static void work(struct worker *worker, uint32_t agent)
{
	for (;;) {
		uint32_t request;
		enum replay_take take = replay_take(worker->plan, worker->shared, agent, &request);
		if (take == TAKE_END)
			return;
		if (take == TAKE_WAIT) {
			wait_a_little();
			continue;
		}
		do_request(worker, request);
		replay_finish(worker->plan, worker->shared, agent);
	}
}

static int worker_open(struct worker *worker)
{
	const struct replay_plan *plan = worker->plan;

	worker->chain = calloc(plan->trace.longest ? plan->trace.longest : 1, sizeof(*worker->chain));
	worker->buffer =
		mmap(NULL, plan->block_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (worker->buffer == MAP_FAILED)
		worker->buffer = NULL;
	if (!worker->chain || !worker->buffer) {
		replay_fail(&worker->self->failure, -ENOMEM, "an agent has no memory for its buffers");
		return -ENOMEM;
	}
	int rc = memkv_pool_open(plan->pool, NULL, &worker->pool);
	if (rc < 0) {
		const char *detail = memkv_error_detail();
		replay_fail(&worker->self->failure, rc, detail[0] ? detail : memkv_strerror(rc));
	}
	return rc;
}

static void worker_close(struct worker *worker)
{
	memkv_pool_close(worker->pool);
	if (worker->buffer)
		munmap(worker->buffer, worker->plan->block_size);
	free(worker->chain);
}

int replay_agent_main(const struct replay_plan *plan, struct replay_shared *shared, uint32_t agent)
{
	struct worker worker = {.plan = plan, .shared = shared, .self = &shared->agent[agent]};
	int rc = worker_open(&worker);

	if (!rc) {
		atomic_store(&worker.self->phase, PHASE_READY);
		while (!atomic_load(&shared->go) && !atomic_load(&shared->stop))
			wait_a_little();
		work(&worker, agent);
		atomic_store(&worker.self->phase, PHASE_ENDED);
	}
	worker_close(&worker);
	return rc ? 1 : 0;
}
