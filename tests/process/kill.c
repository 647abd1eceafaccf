/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill -9 of agents, at seeded moments, beside one that lives on.
 *
 * Each key has one writer.  What it was told stands in memory that it shares with the parent, one word a key:
 * acknowledged version << 32 | version being put.  The word is written before a call and after it returned; so what
 * may be there after the kill follows from the word alone:
 *   nothing pending  - the acknowledged version exactly, or (none, or removed) a miss
 *   pending          - the acknowledged or the pending version
 * After every kill: a fresh attach (timed), everything read back and compared, a check that finds nothing.  The agent
 * that is not killed puts, reads and compares all along.
 *
 * --mode room: there is room for all, so nothing acknowledged may be missing.  --mode reclaim: a small pool; any block
 * may be evicted, but bytes must be right, removed blocks stay away, and at the end the surviving agent can still use
 * the whole pool.
 */
#include "helpers.h"

#include <signal.h>
#include <sys/wait.h>

enum {
	VICTIMS = 2,
	KEYS = 120, /* of a victim, per moment */
	BATCH = 15, /* moments that share a pool and a survivor */
	SURVIVOR_KEYS = 40,	  /* per moment */
	RECORDS = BATCH * VICTIMS * KEYS + BATCH * SURVIVOR_KEYS,
	FRESH_KEYS = RECORDS, /* numbers from here on: filling the pool at the end */
	LOST_SEGMENTS_MAX = 3, /* one open, one being emptied, one cut short by a kill */
};
#define VERSION_REMOVED UINT32_MAX

struct shared {
	atomic_uint_fast64_t records[RECORDS]; /* acknowledged version << 32 | pending version */
	atomic_uint_fast64_t acks[VICTIMS], attached[VICTIMS];
	atomic_uint_fast64_t moment, stop, survivor_ready, survivor_puts, survivor_gets;
};

struct run {
	struct shared *shared;
	const char *path;
	size_t max_block;
	uint64_t pool_bytes, seed;
	bool reclaim;
	uint64_t moment, victim; /* within the batch */
	uint64_t *attach_us;
	void *buffer; /* the parent's */
	uint64_t moments_done, blocks_checked, blocks_ambiguous;
};

static uint32_t acked_of(uint64_t state) { return (uint32_t)(state >> 32); }
static uint32_t pending_of(uint64_t state) { return (uint32_t)state; }
static uint64_t state_of(uint32_t acked, uint32_t pending) { return (uint64_t)acked << 32 | pending; }

static size_t version_length(const struct run *run, uint64_t number, uint32_t version)
{
	return length_of(number * 31 + version, run->max_block);
}

/* ---- what a writer does ---- */

static void put_version(struct run *run, struct memkv_pool *pool, uint64_t number, uint32_t version, void *buffer)
{
	struct memkv_put_options options = {.size = sizeof(options), .flags = MEMKV_PUT_REPLACE};
	struct memkv_key key = key_of(run->seed + number);
	size_t length = version_length(run, number, version);
	uint32_t acked = acked_of(atomic_load(&run->shared->records[number]));

	payload_fill(buffer, length, number, version);
	atomic_store(&run->shared->records[number], state_of(acked, version));
	int err = memkv_put(pool, &key, buffer, length, acked ? &options : NULL);
	EXPECT(err == 0, "put of key %llu: %s", (unsigned long long)number, memkv_code_name(err));
	atomic_store(&run->shared->records[number], state_of(version, 0));
}

static void remove_key(struct run *run, struct memkv_pool *pool, uint64_t number)
{
	struct memkv_key key = key_of(run->seed + number);
	uint32_t acked = acked_of(atomic_load(&run->shared->records[number]));

	atomic_store(&run->shared->records[number], state_of(acked, VERSION_REMOVED));
	int removed = memkv_remove(pool, &key);
	EXPECT(removed > 0 || (run->reclaim && removed == MEMKV_MISS), "remove of key %llu: %s",
	       (unsigned long long)number, memkv_code_name(removed));
	atomic_store(&run->shared->records[number], state_of(VERSION_REMOVED, 0));
}

/* is what a get answered allowed by the key's word? */
static bool allowed(const struct run *run, uint64_t number, uint32_t version, const uint8_t *bytes, int64_t got)
{
	if (version == 0 || version == VERSION_REMOVED)
		return got == MEMKV_MISS;
	if (got == MEMKV_MISS)
		return run->reclaim;
	return got == (int64_t)version_length(run, number, version) && payload_right(bytes, (size_t)got, number, version);
}

static void verify_key(const struct run *run, struct memkv_pool *pool, uint64_t number, void *buffer, const char *who)
{
	struct memkv_get_options upto = {.size = sizeof(upto), .flags = MEMKV_GET_UPTO};
	struct memkv_key key = key_of(run->seed + number);
	uint64_t before = atomic_load(&run->shared->records[number]);

	memkv_pool_refresh(pool);
	int64_t got = memkv_get(pool, &key, buffer, run->max_block, &upto);
	if (atomic_load(&run->shared->records[number]) != before)
		return; /* its writer is at it */
	bool right = allowed(run, number, acked_of(before), buffer, got) ||
		     (pending_of(before) && allowed(run, number, pending_of(before), buffer, got));
	EXPECT(right, "%s: key %llu, acknowledged version %u, pending %u: got %lld (%s)", who, (unsigned long long)number,
	       acked_of(before), pending_of(before), (long long)got, memkv_code_name((int)got));
}

/* one of the keys from @first on, of which @used are used so far */
static void act(struct run *run, struct memkv_pool *pool, uint64_t first, uint64_t *used, uint64_t keys,
		uint64_t *random, void *buffer)
{
	uint64_t dice = random_below(random, 16);

	if (*used < keys && (dice < 11 || *used == 0)) {
		put_version(run, pool, first + (*used)++, 1, buffer);
		return;
	}
	uint64_t number = first + random_below(random, *used);
	uint32_t acked = acked_of(atomic_load(&run->shared->records[number]));
	if (acked == VERSION_REMOVED)
		return;
	if (dice == 15)
		remove_key(run, pool, number);
	else if (dice >= 13 && acked < 50)
		put_version(run, pool, number, acked + 1, buffer);
	else
		verify_key(run, pool, number, buffer, "a writer");
}

static int victim(void *context)
{
	struct run *run = context;
	uint64_t random = run->seed * 977 + run->moment * 7 + run->victim, used = 0;
	uint64_t first = (run->moment * VICTIMS + run->victim) * KEYS;
	void *buffer = pages_alloc(run->max_block + PAGE_BYTES);
	struct memkv_pool *pool = pool_attach(run->path, 0);

	atomic_store(&run->shared->attached[run->victim], 1);
	while (!atomic_load(&run->shared->stop)) { /* it is killed long before */
		act(run, pool, first, &used, KEYS, &random, buffer);
		atomic_fetch_add(&run->shared->acks[run->victim], 1);
	}
	return 0;
}

/* the pool is the survivor's alone now: does all of it serve? */
static void fill_whole_pool(struct run *run, struct memkv_pool *pool, void *buffer)
{
	size_t length = run->max_block;
	uint64_t room = memkv_pool_room(pool, length), present = 0, puts = 3 * room;
	struct memkv_pool_info info = describe_of(pool);
	uint64_t per_segment = (room + info.segments - 1) / info.segments;

	for (uint64_t i = 0; i < puts; i++) {
		struct memkv_key key = key_of(run->seed + FRESH_KEYS + i);
		payload_fill(buffer, length, FRESH_KEYS + i, 1);
		int err = memkv_put(pool, &key, buffer, length, NULL);
		EXPECT(err == 0, "filling the pool: put %llu: %s", (unsigned long long)i, memkv_code_name(err));
	}
	for (uint64_t i = puts - room; i < puts; i++) {
		struct memkv_key key = key_of(run->seed + FRESH_KEYS + i);
		int64_t got = memkv_get(pool, &key, buffer, length, NULL);
		EXPECT(got == MEMKV_MISS || got == (int64_t)length, "filling: get: %s", memkv_code_name((int)got));
		if (got > 0)
			EXPECT(payload_right(buffer, length, FRESH_KEYS + i, 1), "filling: wrong bytes");
		present += got > 0;
	}
	EXPECT(present + LOST_SEGMENTS_MAX * per_segment >= room,
	       "of the %llu youngest blocks only %llu are there, the pool should hold all", (unsigned long long)room,
	       (unsigned long long)present);
	pool_expect_clean(pool, "the survivor, having filled the pool");
}

static int survivor(void *context)
{
	struct run *run = context;
	struct shared *shared = run->shared;
	uint64_t random = run->seed ^ 0x5EED, used = 0, first = BATCH * VICTIMS * KEYS;
	void *buffer = pages_alloc(run->max_block + PAGE_BYTES);
	struct memkv_pool *pool = pool_attach(run->path, 0);

	atomic_store(&shared->survivor_ready, 1);
	while (!atomic_load(&shared->stop)) {
		uint64_t quota = (atomic_load(&shared->moment) + 1) * SURVIVOR_KEYS;
		act(run, pool, first, &used, quota, &random, buffer);
		atomic_fetch_add(&shared->survivor_puts, 1);
		for (int i = 0; i < 4; i++)
			verify_key(run, pool, random_below(&random, RECORDS), buffer, "the survivor");
		atomic_fetch_add(&shared->survivor_gets, 4);
		if (used >= quota)
			sleep_us(200);
	}
	for (uint64_t number = 0; number < RECORDS; number++)
		verify_key(run, pool, number, buffer, "the survivor, at the end");
	if (run->reclaim)
		fill_whole_pool(run, pool, buffer);
	memkv_pool_close(pool);
	return 0;
}

/* ---- the parent ---- */

static void verify_all(struct run *run, uint64_t *random)
{
	struct memkv_pool_options options = {.size = sizeof(options)};
	struct memkv_pool *pool = NULL;
	void *buffer = run->buffer;

	uint64_t start = now_us();
	int err = memkv_pool_open(run->path, &options, &pool);
	run->attach_us[run->moments_done] = now_us() - start;
	EXPECT(err == 0, "attach after the kill: %s", memkv_code_name(err));
	uint64_t end = (run->moment + 1) * VICTIMS * KEYS;
	for (uint64_t number = 0; number < end; number++) {
		uint64_t state = atomic_load(&run->shared->records[number]);
		if (!state)
			continue;
		run->blocks_checked++;
		run->blocks_ambiguous += pending_of(state) != 0;
		verify_key(run, pool, number, buffer, "after the kill");
	}
	pool_expect_clean(pool, "after the kill");
	if (random_below(random, 2)) /* a put of the fresh agent continues what the killed one left open */
		put_version(run, pool, run->moment * VICTIMS * KEYS + KEYS - 1, 51, buffer);
	memkv_pool_close(pool);
}

/* at a seeded time, or a little after a seeded number of acknowledgements */
static void wait_for_moment(struct run *run, uint64_t *random)
{
	if (random_below(random, 2)) {
		sleep_us(random_below(random, 40000));
		return;
	}
	uint64_t acks = 1 + random_below(random, 150);
	EXPECT(wait_until(&run->shared->acks[0], acks, 20000000), "no progress: %llu acknowledgements after 20 s",
	       (unsigned long long)atomic_load(&run->shared->acks[0]));
	sleep_us(random_below(random, 300));
}

static void one_moment(struct run *run, uint64_t *random)
{
	pid_t victims[VICTIMS];
	uint64_t count = 1 + random_below(random, VICTIMS);

	atomic_store(&run->shared->moment, run->moment);
	for (run->victim = 0; run->victim < count; run->victim++) {
		atomic_store(&run->shared->acks[run->victim], 0);
		victims[run->victim] = child_start(victim, run);
	}
	wait_for_moment(run, random);
	for (uint64_t i = 0; i < count; i++)
		kill(victims[i], SIGKILL);
	for (uint64_t i = 0; i < count; i++)
		child_kill(victims[i]);
	verify_all(run, random);
	run->moments_done++;
}

/* up to BATCH moments on one pool, beside one survivor */
static void one_batch(struct run *run, uint64_t moments, uint64_t *random)
{
	memset(run->shared, 0, sizeof(*run->shared));
	run->path = scratch_path("kill");
	run->seed += RECORDS * 16;
	pool_make_bytes(run->path, run->pool_bytes, run->max_block);
	pid_t alive = child_start(survivor, run);
	EXPECT(wait_until(&run->shared->survivor_ready, 1, 20000000), "the survivor does not attach");
	for (run->moment = 0; run->moment < moments; run->moment++)
		one_moment(run, random);
	atomic_store(&run->shared->stop, 1);
	child_join(alive, "the survivor");
	struct memkv_pool *pool = pool_attach(run->path, MEMKV_OPEN_READ_ONLY);
	if (!run->reclaim)
		EXPECT(describe_of(pool).segments_free > 0, "the test's pool was too small: it had to evict");
	memkv_pool_close(pool);
	scratch_remove(run->path);
}

int main(int argc, char **argv)
{
	uint64_t moments = argument_number(argc, argv, "--moments", 30), random = argument_number(argc, argv, "--seed", 1);
	bool reclaim = strcmp(argument_text(argc, argv, "--mode", "room"), "reclaim") == 0;
	struct run run = {
		.shared = shared_alloc(sizeof(struct shared)),
		.reclaim = reclaim,
		.max_block = reclaim ? KIB(96) : KIB(256),
		.pool_bytes = reclaim ? MIB(12) : MIB(640),
		.attach_us = shared_alloc(moments * sizeof(uint64_t)),
		.seed = random * 1000003,
	};
	run.buffer = pages_alloc(run.max_block);

	uint64_t survivor_puts = 0, survivor_gets = 0;
	while (run.moments_done < moments) {
		uint64_t left = moments - run.moments_done;
		one_batch(&run, left < BATCH ? left : BATCH, &random);
		survivor_puts += atomic_load(&run.shared->survivor_puts);
		survivor_gets += atomic_load(&run.shared->survivor_gets);
	}
	struct figures attach = figures_of(run.attach_us, moments);
	printf("killed at %llu moments (%s): %llu keys read back exactly or as allowed, of them %llu in flight at the "
	       "kill\n", (unsigned long long)moments, reclaim ? "under reclaim" : "room for all",
	       (unsigned long long)run.blocks_checked, (unsigned long long)run.blocks_ambiguous);
	printf("the surviving agents: %llu operations, %llu verified looks\n", (unsigned long long)survivor_puts,
	       (unsigned long long)survivor_gets);
	printf("attach after the kill: p50 %.1f ms, p99 %.1f ms, max %.1f ms (promised: 200 ms)\n", (double)attach.p50 / 1e3,
	       (double)attach.p99 / 1e3, (double)attach.max / 1e3);
	return 0;
}
