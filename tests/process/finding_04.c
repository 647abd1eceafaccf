/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding 4: removals, pins and moves of one block.
 *
 * One process is stopped before each of its stores in turn - a remover, a pinner, or an agent that moves blocks -
 * while another one pins, removes, or both.  It goes on, or is killed some stores later.  Of one block never both its
 * removal and its pin are acknowledged; a pinned one is there, a removed one is not: for those who were there, for a
 * fresh reader, and when the next writer has filled the pool once more.
 *
 * --every N, --deaths D, --step S: as in finding_03.c.
 */
#include "scene.h"

enum { SOME = 6, CHILD_FIRST = 50000, CHILD_PUTS = 14 };

static struct {
	struct store_watch watch;
	atomic_int pinned[SCENE_BLOCKS], removed[SCENE_BLOCKS]; /* acknowledged */
	atomic_uint_fast64_t refused;
} *shared;

static uint64_t chosen[SCENE_BLOCKS], chosen_count;
static uint64_t pins, removals, refusals;

static void pin_one(struct memkv_pool *pool, uint64_t number)
{
	struct memkv_key key = key_of(number);
	int64_t result = memkv_pin(pool, &key, 1, NULL, NULL);

	EXPECT(result == 0 || result == 1, "pin: %s", memkv_code_name((int)result));
	if (result == 1)
		atomic_store(&shared->pinned[number - SCENE_FIRST], 1);
}

static void remove_one(struct memkv_pool *pool, uint64_t number)
{
	struct memkv_key key = key_of(number);
	int result = memkv_remove(pool, &key);

	EXPECT(result > 0 || result == MEMKV_MISS || result == MEMKV_PINNED, "remove: %s", memkv_code_name(result));
	if (result > 0)
		atomic_store(&shared->removed[number - SCENE_FIRST], 1);
	atomic_fetch_add(&shared->refused, result == MEMKV_PINNED);
}

/* the oldest blocks, which move first */
static void choose(struct memkv_pool *pool, uint64_t count)
{
	chosen_count = 0;
	for (uint64_t n = SCENE_FIRST; n < SCENE_FIRST + SCENE_BLOCKS && chosen_count < count; n++)
		if (scene_get(pool, n))
			chosen[chosen_count++] = n;
}

static int remove_chosen(struct memkv_pool *pool)
{
	choose(pool, SOME);
	for (uint64_t i = 0; i < chosen_count; i++)
		remove_one(pool, chosen[i]);
	return 0;
}

static int pin_chosen(struct memkv_pool *pool)
{
	choose(pool, SOME);
	for (uint64_t i = 0; i < chosen_count; i++)
		pin_one(pool, chosen[i]);
	return 0;
}

static int fill_segments(struct memkv_pool *pool)
{
	for (uint64_t i = 0; i < CHILD_PUTS; i++)
		if (scene_put(pool, CHILD_FIRST + 3 * i + 1))
			return 1;
	return 0;
}

/* both, in turns, and each of them on blocks of the other as well */
static int pin_and_remove(struct memkv_pool *pool)
{
	choose(pool, (uint64_t)6 * SOME);
	for (uint64_t i = 0; i < chosen_count; i++)
		(i % 2 ? pin_one : remove_one)(pool, chosen[i]);
	for (uint64_t i = 0; i < chosen_count; i += 3)
		(i % 2 ? remove_one : pin_one)(pool, chosen[i]);
	return 0;
}

static void expect_right(struct memkv_pool *pool, const char *what, const char *who, uint64_t stop_at, uint64_t kill_at)
{
	memkv_pool_refresh(pool);
	for (uint64_t n = 0; n < SCENE_BLOCKS; n++) {
		bool pinned = atomic_load(&shared->pinned[n]), removed = atomic_load(&shared->removed[n]);
		EXPECT(!(pinned && removed), "%s: block %llu: pinned and removed; stopped before store %llu, killed before %lld",
		       what, (unsigned long long)n, (unsigned long long)stop_at, (long long)kill_at);
		if (!pinned && !removed)
			continue;
		EXPECT(scene_get(pool, SCENE_FIRST + n) == pinned,
		       "%s, %s: block %llu is %s; stopped before store %llu, killed before %lld", what, who,
		       (unsigned long long)n, pinned ? "pinned and gone" : "removed and there", (unsigned long long)stop_at,
		       (long long)kill_at);
	}
}

struct play {
	const char *name;
	int (*stopped)(struct memkv_pool *pool);
	int (*meanwhile)(struct memkv_pool *pool);
};

static const struct play plays[] = {
	{"remover", remove_chosen, pin_chosen},
	{"pinner", pin_chosen, remove_chosen},
	{"mover", fill_segments, pin_and_remove},
};

static bool one_round(const struct play *play, uint64_t stop_at, uint64_t kill_at)
{
	scene_reset();
	for (uint64_t n = 0; n < SCENE_BLOCKS; n++) {
		atomic_store(&shared->pinned[n], 0);
		atomic_store(&shared->removed[n], 0);
	}
	pid_t child = scene_start(&shared->watch, stop_at, kill_at, play->stopped);
	if (!child) {
		EXPECT(atomic_load(&shared->watch.acknowledged), "%s failed", play->name);
		return false;
	}
	struct memkv_pool *pool = scene_attach(0);
	play->meanwhile(pool);
	scene_go_on(child);
	expect_right(pool, play->name, "an agent that was there", stop_at, kill_at);
	memkv_pool_close(pool);
	pool = scene_attach(MEMKV_OPEN_READ_ONLY);
	expect_right(pool, play->name, "a fresh reader", stop_at, kill_at);
	pool_expect_clean(pool, "a fresh reader");
	memkv_pool_close(pool);
	pool = scene_attach(0);
	scene_flood(pool, scene_room(pool) / 2);
	expect_right(pool, play->name, "the next writer", stop_at, kill_at);
	memkv_pool_close(pool);
	for (uint64_t n = 0; n < SCENE_BLOCKS; n++) {
		pins += (uint64_t)atomic_load(&shared->pinned[n]);
		removals += (uint64_t)atomic_load(&shared->removed[n]);
	}
	return true;
}

int main(int argc, char **argv)
{
	uint64_t every = argument_number(argc, argv, "--every", 1), deaths = argument_number(argc, argv, "--deaths", 0);
	uint64_t step = argument_number(argc, argv, "--step", 1);

	faults_need();
	shared = shared_alloc(sizeof(*shared));
	scene_make("finding-04", 2);
	for (size_t i = 0; i < sizeof(plays) / sizeof(plays[0]); i++) {
		uint64_t rounds = 0;
		pins = removals = 0;
		atomic_store(&shared->refused, 0);
		for (uint64_t stop_at = 0; one_round(&plays[i], stop_at, UINT64_MAX); stop_at += every) {
			rounds++;
			for (uint64_t death = step; death <= deaths; death += step, rounds++)
				one_round(&plays[i], stop_at, stop_at + death);
		}
		refusals = atomic_load(&shared->refused);
		EXPECT(pins > 0 && removals > 0 && refusals > 0, "%s: %llu pins, %llu removals, %llu refused: the test tests little",
		       plays[i].name, (unsigned long long)pins, (unsigned long long)removals, (unsigned long long)refusals);
		printf("%s: %llu stores, %llu rounds: %llu pins, %llu removals, %llu removals refused, never both\n", plays[i].name,
		       (unsigned long long)atomic_load(&shared->watch.stores), (unsigned long long)rounds,
		       (unsigned long long)pins, (unsigned long long)removals, (unsigned long long)refusals);
		fflush(stdout);
	}
	return 0;
}
