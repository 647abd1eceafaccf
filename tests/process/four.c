/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Four agent processes on one pool: each puts its own keys and gets everybody's, every byte compared.
 *
 *   room    - nothing acknowledged may ever be missing (a look that is fresh finds it)
 *   reclaim - a small pool, all four reclaiming at once: a miss is fine, wrong bytes are not; the last that an agent
 *             put is there when it returns, and counters account for what went
 *   contest - all four replace the same few keys: whatever is read is one of the acknowledged versions, and a key
 *             that was put is never missing
 */
#include "helpers.h"

enum { AGENTS = 4, LENGTH_MAX = 96 << 10, CONTESTED = 2, VERSIONS = 256 };

struct run {
	const char *path;
	uint64_t agent, puts;
	bool reclaim;
	atomic_uint_fast64_t *done;  /* how many of its keys each agent has put */
	atomic_uint_fast64_t *begun; /* contest: the highest version that each agent has begun to put */
	atomic_uint_fast64_t hits, misses;
};

static struct memkv_pool *attach_together(const struct run *run)
{
	return pool_attach(run->path, 0);
}

static uint64_t number_of(uint64_t agent, uint64_t n) { return agent * 10000000 + n; }

/* a key that some agent has acknowledged */
static void get_one(struct run *run, struct memkv_pool *pool, uint64_t *random, uint8_t *buffer)
{
	uint64_t agent = random_below(random, AGENTS), done = atomic_load(&run->done[agent]);

	if (!done)
		return;
	uint64_t number = number_of(agent, random_below(random, 4) ? done - 1 - random_below(random, done < 50 ? done : 50)
								    : random_below(random, done));
	struct memkv_key key = key_of(number);
	size_t length = length_of(number, LENGTH_MAX);
	bool there = memkv_exists(pool, &key, MEMKV_LOOK_FRESH) == 1;
	/* now and then into memory that the medium cannot reach directly */
	uint8_t *to = buffer + (random_below(random, 4) == 0 ? 8 + random_below(random, 100) : 0);
	int64_t got = memkv_get(pool, &key, to, length, NULL);

	if (got == (int64_t)length) {
		EXPECT(payload_right(to, length, number, 0), "wrong bytes under key %llu", (unsigned long long)number);
		atomic_fetch_add(&run->hits, 1);
		return;
	}
	EXPECT(got == MEMKV_MISS, "get of key %llu: %s", (unsigned long long)number, memkv_code_name((int)got));
	EXPECT(run->reclaim, "key %llu was acknowledged and is missing (match said %d)", (unsigned long long)number, there);
	atomic_fetch_add(&run->misses, 1);
}

static int agent_body(void *context)
{
	struct run *run = context;
	uint64_t random = run->agent + 1, missing_at_once = 0;
	uint8_t *buffer = pages_alloc(LENGTH_MAX + PAGE_BYTES);
	struct memkv_pool *pool = attach_together(run);

	for (uint64_t n = 0; n < run->puts; n++) {
		uint64_t number = number_of(run->agent, n);
		struct memkv_key key = key_of(number);
		size_t length = length_of(number, LENGTH_MAX);
		uint8_t *from = buffer + (n % 5 == 0 ? 3 : 0);
		payload_fill(from, length, number, 0);
		int err = memkv_put(pool, &key, from, length, NULL);
		EXPECT(err == 0, "put: %s", memkv_code_name(err));
		atomic_store(&run->done[run->agent], n + 1);
		missing_at_once += memkv_get(pool, &key, buffer, length, NULL) != (int64_t)length;
		for (int i = 0; i < 4; i++)
			get_one(run, pool, &random, buffer);
	}
	struct memkv_counters c = counters_of(pool);
	EXPECT(missing_at_once == 0, "%llu blocks were gone right after they were put", (unsigned long long)missing_at_once);
	EXPECT(c.miss_damaged == 0 && c.miss_io == 0, "misses: %llu damaged, %llu by I/O", (unsigned long long)c.miss_damaged,
	       (unsigned long long)c.miss_io);
	if (!run->reclaim)
		EXPECT(c.evicted_blocks == 0, "%llu blocks were evicted", (unsigned long long)c.evicted_blocks);
	else
		EXPECT(c.segments_reclaimed > 0, "this agent has reclaimed nothing: the pool is too large for the test");
	printf("agent %llu: evicted %llu blocks, moved %llu; misses: absent %llu, reclaimed %llu\n",
	       (unsigned long long)run->agent, (unsigned long long)c.evicted_blocks, (unsigned long long)c.moved_blocks,
	       (unsigned long long)c.miss_absent, (unsigned long long)c.miss_reclaimed);
	memkv_pool_close(pool);
	return 0;
}

/* ---- the contest ---- */

static void note_begun(const struct run *run, uint64_t begun[AGENTS])
{
	for (uint64_t agent = 0; agent < AGENTS; agent++)
		begun[agent] = atomic_load(&run->begun[agent]);
}

/* one of the versions that were the last ones before the get, or that anybody has begun to put since? */
static bool one_of_the_versions(const struct run *run, const uint64_t before[AGENTS], const uint8_t *bytes, size_t length,
				uint64_t number)
{
	for (uint64_t agent = 0; agent < AGENTS; agent++) {
		uint64_t begun = atomic_load(&run->begun[agent]);
		for (uint64_t n = before[agent] > VERSIONS ? before[agent] - VERSIONS : 0; n <= begun; n++)
			if (payload_right(bytes, length, number, (uint32_t)(agent << 20 | n)))
				return true;
	}
	return false;
}

static int contest_body(void *context)
{
	struct run *run = context;
	struct memkv_put_options replace = {.size = sizeof(replace), .flags = MEMKV_PUT_REPLACE};
	uint64_t random = run->agent + 77, before[AGENTS];
	uint8_t *buffer = pages_alloc(LENGTH_MAX);
	struct memkv_pool *pool = attach_together(run);

	for (uint64_t n = 1; n <= run->puts; n++) {
		uint64_t number = random_below(&random, CONTESTED);
		struct memkv_key key = key_of(number);
		size_t length = length_of(number, LENGTH_MAX);
		atomic_store(&run->begun[run->agent], n);
		payload_fill(buffer, length, number, (uint32_t)(run->agent << 20 | n));
		int err = memkv_put(pool, &key, buffer, length, &replace);
		EXPECT(err == 0, "replace: %s", memkv_code_name(err));
		atomic_store(&run->done[number], 1);
		number = random_below(&random, CONTESTED);
		if (!atomic_load(&run->done[number]))
			continue;
		key = key_of(number);
		length = length_of(number, LENGTH_MAX);
		note_begun(run, before); /* however long this process then has to wait for its turn */
		memkv_pool_refresh(pool);
		int64_t got = memkv_get(pool, &key, buffer, length, NULL);
		EXPECT(got == (int64_t)length, "contested key %llu was put and replaced only, yet: %s",
		       (unsigned long long)number, memkv_code_name((int)got));
		EXPECT(one_of_the_versions(run, before, buffer, length, number), "contested key %llu: not the bytes of any put",
		       (unsigned long long)number);
		atomic_fetch_add(&run->hits, 1);
	}
	memkv_pool_close(pool);
	return 0;
}

static void expect_contested(const char *path, struct run *run)
{
	struct memkv_pool *pool = pool_attach(path, 0);
	uint8_t *buffer = pages_alloc(LENGTH_MAX);
	const uint64_t before[AGENTS] = {0}; /* whoever ended first may have put the last */

	for (uint64_t number = 0; number < CONTESTED; number++) {
		struct memkv_key key = key_of(number);
		size_t length = length_of(number, LENGTH_MAX);
		int64_t got = memkv_get(pool, &key, buffer, length, NULL);
		EXPECT(got == (int64_t)length, "contested key %llu was put and replaced only, yet: %s",
		       (unsigned long long)number, memkv_code_name((int)got));
		EXPECT(one_of_the_versions(run, before, buffer, length, number), "contested key %llu: not the bytes of any put",
		       (unsigned long long)number);
		/* the last word is one agent's alone: then it is exact */
		struct memkv_put_options replace = {.size = sizeof(replace), .flags = MEMKV_PUT_REPLACE};
		payload_fill(buffer, length, number, UINT32_MAX);
		EXPECT(memkv_put(pool, &key, buffer, length, &replace) == 0, "the last replace");
		got = memkv_get(pool, &key, buffer, length, NULL);
		EXPECT(got == (int64_t)length && payload_right(buffer, length, number, UINT32_MAX),
		       "contested key %llu: not what was put last", (unsigned long long)number);
		EXPECT(memkv_remove(pool, &key) >= 1, "remove");
		EXPECT(memkv_get(pool, &key, buffer, length, NULL) == MEMKV_MISS, "a removed key is there");
	}
	memkv_pool_close(pool);
}

/* ---- */

static void four_agents(const char *name, int (*body)(void *), uint64_t bytes, uint64_t puts, bool reclaim)
{
	const char *path = body == contest_body ? scratch_fast_path(name) : scratch_path(name);
	struct run *runs = shared_alloc(AGENTS * sizeof(*runs));
	atomic_uint_fast64_t *done = shared_alloc(4096), *begun = done + 256;
	pid_t children[AGENTS];
	uint64_t hits = 0, misses = 0, start = now_us();

	pool_make_bytes(path, bytes, LENGTH_MAX);
	for (uint64_t agent = 0; agent < AGENTS; agent++) {
		runs[agent] = (struct run){
			.path = path, .agent = agent, .puts = puts, .reclaim = reclaim, .done = done, .begun = begun};
		children[agent] = child_start(body, &runs[agent]);
	}
	for (uint64_t agent = 0; agent < AGENTS; agent++) {
		child_join(children[agent], name);
		hits += atomic_load(&runs[agent].hits);
		misses += atomic_load(&runs[agent].misses);
	}
	if (body == contest_body)
		expect_contested(path, &runs[0]);
	struct memkv_pool *pool = pool_attach(path, 0);
	pool_expect_clean(pool, name);
	memkv_pool_close(pool);
	scratch_remove(path);
	printf("%s: %d agents, %llu puts each, %llu exact gets, %llu misses, %.1f s\n", name, AGENTS,
	       (unsigned long long)puts, (unsigned long long)hits, (unsigned long long)misses,
	       (double)(now_us() - start) / 1e6);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	uint64_t puts = argument_number(argc, argv, "--puts", 500);

	four_agents("room", agent_body, MIB(96) + 4 * puts * KIB(40), puts, false);
	four_agents("reclaim", agent_body, MIB(16), puts, true);
	four_agents("contest", contest_body, MIB(64), 10 * puts, false);
	return 0;
}
