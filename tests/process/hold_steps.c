/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hold that meets a reclaim lasts, or was refused.
 *
 *   reclaimer: an agent that writes, and empties segments for it, is stopped before each of its stores in turn: before it
 *              opens a segment anew as well.  Then blocks are held, as many as may be.  It goes on, or is killed some stores later.
 *   holder:    an agent that holds blocks is stopped before each of its stores; meanwhile others write more than the pool
 *              holds, and find room for all of it.  It goes on, or is killed.
 * Afterwards more than the pool holds is written, and every hold that was made is valid, its bytes exact.  What the dead held
 * is nobody's.
 *
 * --every N: stop before every N-th store; --deaths D, --step S: then kill before the S-th, 2S-th, ... of the next D.
 */
#include "scene.h"

#include <errno.h>

enum { CHILD_FIRST = 50000, CHILD_PUTS = 14, CHILD_HOLDS = 24, HOLDS_MAX = SCENE_BLOCKS };

static struct {
	struct store_watch watch;
	atomic_uint_fast64_t held; /* by children */
} *shared;

static struct held {
	struct memkv_hold hold;
	uint64_t number;
} held[HOLDS_MAX];
static uint64_t held_count, holds_made, refused, rounds;

static int fill_segments(struct memkv_pool *pool)
{
	for (uint64_t i = 0; i < CHILD_PUTS; i++)
		if (scene_put(pool, CHILD_FIRST + 3 * i + 1))
			return 1;
	return 0;
}

/* the oldest that are there, which go first */
static void hold_blocks(struct memkv_pool *pool, uint64_t most)
{
	held_count = 0;
	for (uint64_t n = SCENE_FIRST; n < SCENE_FIRST + SCENE_BLOCKS && held_count < most; n++) {
		struct held *h = &held[held_count];
		struct memkv_key key = key_of(n);
		int result = memkv_hold(pool, &key, &h->hold);
		EXPECT(result == 0 || result == MEMKV_MISS || result == -EAGAIN, "hold: %s", memkv_error_detail());
		refused += result == -EAGAIN;
		h->number = n;
		held_count += result == 0;
	}
	holds_made += held_count;
}

static void expect_held(struct memkv_pool *pool, const char *when, uint64_t stop_at, uint64_t kill_at)
{
	for (uint64_t i = 0; i < held_count; i++) {
		const struct memkv_hold *hold = &held[i].hold;
		bool right = hold->length == SCENE_BLOCK && payload_right(hold->data, SCENE_BLOCK, held[i].number, 0);
		EXPECT(memkv_hold_valid(pool, hold) == 1 && right,
		       "%s: the hold of block %llu in segment %u %s; stopped before store %lld, killed before %lld", when,
		       (unsigned long long)held[i].number, hold->segment, right ? "has lapsed" : "shows wrong bytes",
		       (long long)stop_at, (long long)kill_at);
	}
}

static void release_all(struct memkv_pool *pool)
{
	for (uint64_t i = 0; i < held_count; i++)
		EXPECT(memkv_release(pool, &held[i].hold) == 0, "release: %s", memkv_error_detail());
}

/* nobody holds anything any more: every segment can be opened anew */
static void expect_nothing_held(struct memkv_pool *pool)
{
	struct memkv_counters before = counters_of(pool);

	EXPECT(scene_flood(pool, 2 * scene_room(pool)) == 0, "no room though nothing is held");
	EXPECT(counters_of(pool).segments_held == before.segments_held, "something is held still");
	pool_expect_clean(pool, "in the end");
}

/* false: the reclaimer makes fewer stores than @stop_at */
static bool reclaimer_round(uint64_t stop_at, uint64_t kill_at)
{
	scene_reset();
	pid_t child = scene_start(&shared->watch, stop_at, kill_at, fill_segments);
	if (!child) {
		EXPECT(atomic_load(&shared->watch.acknowledged), "the reclaimer failed");
		return false;
	}
	struct memkv_pool *pool = scene_attach(0);
	hold_blocks(pool, HOLDS_MAX);
	scene_go_on(child);
	expect_held(pool, "the reclaimer has gone on", stop_at, kill_at);
	EXPECT(scene_flood(pool, scene_room(pool) / 2) == 0, "no room beside what is held");
	expect_held(pool, "after a flood", stop_at, kill_at);
	release_all(pool);
	if (rounds++ % 16 == 0)
		expect_nothing_held(pool);
	memkv_pool_close(pool);
	return true;
}

static int hold_in_child(struct memkv_pool *pool)
{
	hold_blocks(pool, CHILD_HOLDS);
	expect_held(pool, "the holder has gone on", 0, 0);
	atomic_fetch_add(&shared->held, held_count); /* what was there to hold may be gone by now */
	return 0;
}

static bool holder_round(uint64_t stop_at, uint64_t kill_at)
{
	scene_reset();
	pid_t child = scene_start(&shared->watch, stop_at, kill_at, hold_in_child);
	if (!child) {
		EXPECT(atomic_load(&shared->watch.acknowledged), "the holder failed");
		return false;
	}
	struct memkv_pool *pool = scene_attach(0);
	EXPECT(scene_flood(pool, 2 * scene_room(pool)) == 0, "a holder that is stopped before store %llu leaves no room",
	       (unsigned long long)stop_at);
	scene_go_on(child);
	EXPECT(kill_at != UINT64_MAX || atomic_load(&shared->watch.acknowledged), "the holder failed");
	if (rounds++ % 8 == 0)
		expect_nothing_held(pool);
	memkv_pool_close(pool);
	return true;
}

static void run(const char *name, bool (*round)(uint64_t, uint64_t), uint64_t every, uint64_t deaths, uint64_t step)
{
	rounds = holds_made = refused = 0;
	scene_rounds(round, every, deaths, step);
	printf("%s: %llu stores, %llu rounds, %llu holds made, none lapsed; %llu answers 'not now'\n", name,
	       (unsigned long long)atomic_load(&shared->watch.stores), (unsigned long long)rounds,
	       (unsigned long long)(holds_made + atomic_load(&shared->held)), (unsigned long long)refused);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	uint64_t every = argument_number(argc, argv, "--every", 1), deaths = argument_number(argc, argv, "--deaths", 0);
	uint64_t step = argument_number(argc, argv, "--step", 1);

	faults_need();
	shared = shared_alloc(sizeof(*shared));
	scene_make("hold-steps", 4);
	run("reclaimer", reclaimer_round, every, deaths, step);
	EXPECT(holds_made > 20 * rounds && refused > rounds, "hardly anything was held: the test tests little");
	run("holder", holder_round, every, deaths, step);
	EXPECT(atomic_load(&shared->held) > 4 * rounds, "the holders held hardly anything");
	return 0;
}
