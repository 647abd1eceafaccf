/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Agents that are stopped (SIGSTOP) at seeded moments and wake up (SIGCONT) when the world has gone on without them.
 *
 * Four agents put, replace, remove and read on one small pool, so that segments are emptied all the time.  At each
 * moment some of them are stopped wherever they are, the others must get on - each makes a number of puts before anybody
 * is woken - and then the zombies go on where they were: with a write on its way to a place, an entry half stored, a
 * segment half emptied.
 *
 * What each agent was told stands in memory that all share (as in kill.c): a key's one writer notes acknowledged version
 * << 32 | pending version around each call.  Everybody compares what it reads, its own keys and the others'.  At the end
 * a fresh attach compares everything, check finds nothing, and no more acknowledged blocks are missing than the agents
 * have counted as evicted.
 *
 * Then "delays nobody": all agents but one are stopped at once, and its gets, matches and puts are timed, beside the
 * same with the others attached and idle, in turn.  Printed, not asserted: that each ends is.
 *
 * usage: zombie [--moments N] [--stops N] [--seed N]
 */
#include "helpers.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { AGENTS = 4, KEYS = 60, PROGRESS = 12, SAMPLES_MAX = 200000, BATCH_GETS = 40, BATCH_PUTS = 6, LIMIT_US = 60000000 };
#define MAX_BLOCK KIB(64)
#define POOL_BYTES MIB(12)
#define GONE UINT32_MAX

struct shared {
	atomic_uint_fast64_t records[AGENTS * KEYS]; /* acknowledged version << 32 | pending version */
	atomic_uint_fast64_t puts[AGENTS], evicted[AGENTS], ready, stop, idle, asked, done;
	uint64_t get_us[2][SAMPLES_MAX], put_us[2][SAMPLES_MAX], match_us[2][SAMPLES_MAX];
	uint64_t gets[2], puts_timed[2];
	atomic_uint_fast64_t phase; /* 0: the others are idle, 1: they are stopped */
};

struct agent {
	struct shared *shared;
	const char *path;
	unsigned which;
	uint64_t seed;
};

static size_t length_for(uint64_t number, uint32_t version) { return length_of(number * 31 + version, MAX_BLOCK); }

static void put_next(struct agent *a, struct memkv_pool *pool, uint64_t number, void *buffer)
{
	struct memkv_put_options replace = {.size = sizeof(replace), .flags = MEMKV_PUT_REPLACE};
	struct memkv_key key = key_of(number);
	uint32_t acked = (uint32_t)(atomic_load(&a->shared->records[number]) >> 32);
	uint32_t version = acked == GONE ? 1000 + (uint32_t)atomic_load(&a->shared->puts[a->which]) : acked + 1;
	size_t length = length_for(number, version);

	payload_fill(buffer, length, number, version);
	atomic_store(&a->shared->records[number], (uint64_t)acked << 32 | version);
	int err = memkv_put(pool, &key, buffer, length, &replace);
	EXPECT(err == 0, "put of key %llu: %s", (unsigned long long)number, memkv_code_name(err));
	atomic_store(&a->shared->records[number], (uint64_t)version << 32);
	atomic_fetch_add(&a->shared->puts[a->which], 1);
}

static void remove_one(struct agent *a, struct memkv_pool *pool, uint64_t number)
{
	struct memkv_key key = key_of(number);
	uint64_t acked = atomic_load(&a->shared->records[number]) >> 32;

	atomic_store(&a->shared->records[number], acked << 32 | GONE);
	int removed = memkv_remove(pool, &key);
	EXPECT(removed > 0 || removed == MEMKV_MISS, "remove: %s", memkv_code_name(removed));
	atomic_store(&a->shared->records[number], (uint64_t)GONE << 32);
}

static bool is_version(uint64_t number, uint32_t version, const void *bytes, int64_t got)
{
	if (got == MEMKV_MISS)
		return true; /* removed, evicted, or never there */
	return version && version != GONE && got == (int64_t)length_for(number, version) &&
	       payload_right(bytes, (size_t)got, number, version);
}

/* true: it was there */
static bool look(const struct shared *shared, struct memkv_pool *pool, uint64_t number, void *buffer, const char *who)
{
	struct memkv_get_options upto = {.size = sizeof(upto), .flags = MEMKV_GET_UPTO};
	struct memkv_key key = key_of(number);
	uint64_t before = atomic_load(&shared->records[number]);

	int64_t got = memkv_get(pool, &key, buffer, MAX_BLOCK, &upto);
	if (atomic_load(&shared->records[number]) != before)
		return got > 0; /* its writer is at it, or was: any of its versions */
	bool right = is_version(number, (uint32_t)(before >> 32), buffer, got) ||
		     is_version(number, (uint32_t)before, buffer, got);
	EXPECT(right, "%s: key %llu, acknowledged version %u, pending %u: got %lld", who, (unsigned long long)number,
	       (uint32_t)(before >> 32), (uint32_t)before, (long long)got);
	return got > 0;
}

static int agent_body(void *context)
{
	struct agent *a = context;
	struct memkv_pool *pool = pool_attach(a->path, 0);
	uint8_t *buffer = pages_alloc(MAX_BLOCK);
	uint64_t random = a->seed * 1000 + a->which;

	atomic_fetch_add(&a->shared->ready, 1);
	while (!atomic_load(&a->shared->stop)) {
		uint64_t number = a->which * KEYS + random_below(&random, KEYS), dice = random_below(&random, 16);
		if (atomic_load(&a->shared->idle))
			sleep_us(1000);
		else if (dice < 9)
			put_next(a, pool, number, buffer);
		else if (dice == 9)
			remove_one(a, pool, number);
		else
			look(a->shared, pool, dice < 13 ? number : random_below(&random, AGENTS * KEYS), buffer, "an agent");
	}
	atomic_store(&a->shared->evicted[a->which], counters_of(pool).evicted_blocks);
	memkv_pool_close(pool);
	return 0;
}

/* the agents in @who stop wherever they are; the others get on; they wake up */
static void stop_some(struct shared *shared, const pid_t *agents, unsigned who, uint64_t *random)
{
	uint64_t before[AGENTS];

	sleep_us(random_below(random, 4000));
	for (int i = 0; i < AGENTS; i++)
		if (who >> i & 1)
			kill(agents[i], SIGSTOP);
	for (int i = 0; i < AGENTS; i++)
		before[i] = atomic_load(&shared->puts[i]);
	for (int i = 0; i < AGENTS; i++)
		if (!(who >> i & 1))
			EXPECT(wait_until(&shared->puts[i], before[i] + PROGRESS + random_below(random, PROGRESS * 4), LIMIT_US),
			       "agent %d waits for one that is stopped", i);
	for (int i = 0; i < AGENTS; i++)
		kill(agents[i], SIGCONT);
}

static void final_look(struct shared *shared, const char *path)
{
	struct memkv_pool *pool = pool_attach(path, 0);
	uint8_t *buffer = pages_alloc(MAX_BLOCK);
	uint64_t missing = 0, there = 0, evicted = 0, puts = 0;

	for (uint64_t number = 0; number < AGENTS * KEYS; number++) {
		bool found = look(shared, pool, number, buffer, "at the end");
		uint32_t acked = (uint32_t)(atomic_load(&shared->records[number]) >> 32);
		there += found;
		missing += acked && acked != GONE && !found;
	}
	for (int i = 0; i < AGENTS; i++) {
		evicted += atomic_load(&shared->evicted[i]);
		puts += atomic_load(&shared->puts[i]);
	}
	pool_expect_clean(pool, "after the zombies");
	EXPECT(missing <= evicted, "%llu acknowledged blocks are missing, only %llu were evicted", (unsigned long long)missing,
	       (unsigned long long)evicted);
	printf("%llu puts, %llu blocks evicted; at the end %llu blocks there and exact, %llu evicted\n", (unsigned long long)puts,
	       (unsigned long long)evicted, (unsigned long long)there, (unsigned long long)missing);
	memkv_pool_close(pool);
}

static void zombies(struct shared *shared, uint64_t moments, uint64_t seed)
{
	const char *path = scratch_path("zombie");
	struct agent agents[AGENTS];
	pid_t children[AGENTS];
	uint64_t random = seed, stopped = 0;

	pool_make_bytes(path, POOL_BYTES, MAX_BLOCK);
	for (unsigned i = 0; i < AGENTS; i++) {
		agents[i] = (struct agent){shared, path, i, seed};
		children[i] = child_start(agent_body, &agents[i]);
	}
	EXPECT(wait_until(&shared->ready, AGENTS, LIMIT_US), "the agents do not begin");
	for (uint64_t moment = 0; moment < moments; moment++) {
		unsigned who = 1 + (unsigned)random_below(&random, (1u << AGENTS) - 2); /* not all */
		stop_some(shared, children, who, &random);
		stopped += (unsigned)__builtin_popcount(who);
	}
	atomic_store(&shared->stop, 1);
	for (unsigned i = 0; i < AGENTS; i++)
		child_join(children[i], "an agent");
	printf("%llu moments, %llu agents stopped and woken: 0 wrong bytes, nobody waited\n", (unsigned long long)moments,
	       (unsigned long long)stopped);
	final_look(shared, path);
	scratch_remove(path);
}

/* ---- delays nobody ---- */

static void timed_batch(struct agent *a, struct memkv_pool *pool, void *buffer, uint64_t *random)
{
	struct shared *shared = a->shared;
	uint64_t phase = atomic_load(&shared->phase);
	struct memkv_key keys[AGENTS * KEYS];

	for (uint64_t i = 0; i < AGENTS * KEYS; i++)
		keys[i] = key_of(i);
	for (int i = 0; i < BATCH_GETS && shared->gets[phase] < SAMPLES_MAX; i++) {
		uint64_t begin = now_us();
		look(shared, pool, random_below(random, AGENTS * KEYS), buffer, "the survivor");
		shared->get_us[phase][shared->gets[phase]] = now_us() - begin;
		begin = now_us();
		EXPECT(memkv_match(pool, keys, AGENTS * KEYS, 0) >= 0, "match");
		shared->match_us[phase][shared->gets[phase]++] = now_us() - begin;
	}
	for (int i = 0; i < BATCH_PUTS && shared->puts_timed[phase] < SAMPLES_MAX; i++) {
		uint64_t begin = now_us();
		put_next(a, pool, a->which * KEYS + random_below(random, KEYS), buffer);
		shared->put_us[phase][shared->puts_timed[phase]++] = now_us() - begin;
	}
}

static int survivor_body(void *context)
{
	struct agent *a = context;
	struct memkv_pool *pool = pool_attach(a->path, 0);
	uint8_t *buffer = pages_alloc(MAX_BLOCK);
	uint64_t random = a->seed, asked;

	atomic_fetch_add(&a->shared->ready, 1);
	while (!atomic_load(&a->shared->stop)) {
		asked = atomic_load(&a->shared->asked);
		if (asked == atomic_load(&a->shared->done)) {
			sleep_us(50);
			continue;
		}
		timed_batch(a, pool, buffer, &random);
		atomic_store(&a->shared->done, asked);
	}
	memkv_pool_close(pool);
	return 0;
}

static void ask(struct shared *shared, uint64_t phase)
{
	atomic_store(&shared->phase, phase);
	uint64_t asked = atomic_fetch_add(&shared->asked, 1) + 1;
	EXPECT(wait_until(&shared->done, asked, LIMIT_US), "a call of the survivor does not end");
}

static void print_ratio(const char *what, uint64_t samples[2][SAMPLES_MAX], const uint64_t counts[2])
{
	struct figures idle = figures_of(samples[0], counts[0]), stopped = figures_of(samples[1], counts[1]);

	printf("  %-6s others idle: p50 %llu us, p99 %llu us; others stopped: p50 %llu us, p99 %llu us, max %llu us; p99 ratio %.2f\n",
	       what, (unsigned long long)idle.p50, (unsigned long long)idle.p99, (unsigned long long)stopped.p50,
	       (unsigned long long)stopped.p99, (unsigned long long)stopped.max,
	       (double)stopped.p99 / (double)(idle.p99 ? idle.p99 : 1));
}

static void survivors(struct shared *shared, uint64_t stops, uint64_t seed)
{
	const char *path = scratch_path("survivor");
	struct agent agents[AGENTS];
	pid_t children[AGENTS];
	uint64_t random = seed ^ 0x737276ULL;

	pool_make_bytes(path, POOL_BYTES, MAX_BLOCK);
	for (unsigned i = 0; i < AGENTS; i++) {
		agents[i] = (struct agent){shared, path, i, seed};
		children[i] = child_start(i ? agent_body : survivor_body, &agents[i]);
	}
	EXPECT(wait_until(&shared->ready, AGENTS, LIMIT_US), "the agents do not begin");
	for (uint64_t i = 0; i < stops; i++) {
		sleep_us(1000 + random_below(&random, 4000));
		atomic_store(&shared->idle, 1);
		sleep_us(5000); /* the calls that are on the way end */
		ask(shared, 0);
		atomic_store(&shared->idle, 0);
		sleep_us(1000 + random_below(&random, 4000));
		for (int n = 1; n < AGENTS; n++)
			kill(children[n], SIGSTOP);
		ask(shared, 1);
		for (int n = 1; n < AGENTS; n++)
			kill(children[n], SIGCONT);
	}
	atomic_store(&shared->stop, 1);
	for (unsigned i = 0; i < AGENTS; i++)
		child_join(children[i], "an agent");
	printf("all others stopped at %llu moments: every call of the survivor ended\n", (unsigned long long)stops);
	print_ratio("get", shared->get_us, shared->gets);
	print_ratio("match", shared->match_us, shared->gets);
	print_ratio("put", shared->put_us, shared->puts_timed);
	scratch_remove(path);
}

int main(int argc, char **argv)
{
	uint64_t seed = argument_number(argc, argv, "--seed", 1);

	zombies(shared_alloc(sizeof(struct shared)), argument_number(argc, argv, "--moments", 40), seed);
	survivors(shared_alloc(sizeof(struct shared)), argument_number(argc, argv, "--stops", 20), seed);
	return 0;
}
