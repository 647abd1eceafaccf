/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keep in a full pool: what a look has kept can be read as long as was asked for, while others put.
 *
 *   paced - puts at a rate that the pool can let the grace pass for: no kept block is a miss in its time, no grace is cut.
 *           Looks fall on the oldest blocks, which go next.  (After a while: segments have to be chosen ahead first.)
 *   flood - puts as fast as they go: misses are clean, and graces are cut and counted; nobody waits.  --pairs N: how many puts a
 *           second there are, while nobody keeps and while somebody does, in turns.
 *
 * Time decides only which looks count: one that comes when its time is over is passed over.
 */
#include "helpers.h"

#include <unistd.h>

enum { BLOCK = 16000, KEPT_MAX = 256, WARM_US = 6000000, PACED_US = 7000000, KEEP_MS = 1500, PUT_EVERY_US = 80000, TURN_US = 400000 };

static struct {
	atomic_uint_fast64_t put, kept, read, late, missed, cut, waits;
	atomic_bool keep, over, counts;
} *shared;

static const char *path;
static uint64_t room;

static void put_number(struct memkv_pool *pool, uint8_t *buffer, uint64_t number)
{
	struct memkv_key key = key_of(number);

	payload_fill(buffer, BLOCK, number, 0);
	int err = memkv_put(pool, &key, buffer, BLOCK, NULL);
	EXPECT(err == 0, "put: %s", memkv_error_detail());
}

struct kept {
	struct memkv_locator token;
	uint64_t number, until_us;
};

/* reads what was kept; false: it is not there */
static bool read_kept(struct memkv_pool *pool, uint8_t *buffer, const struct kept *k)
{
	int64_t got = memkv_get_at(pool, &k->token, buffer, BLOCK, NULL);

	EXPECT(got == MEMKV_MISS || (got == BLOCK && payload_right(buffer, BLOCK, k->number, 0)), "get: %lld", (long long)got);
	return got > 0;
}

static void keep_one(struct memkv_pool *pool, struct kept *k, uint64_t *random)
{
	uint64_t put = atomic_load(&shared->put), age = room - random_below(random, room / 4);

	k->number = put > age ? put - age : 0;
	struct memkv_key key = key_of(k->number);
	int found = memkv_exists_keep(pool, &key, KEEP_MS, MEMKV_LOOK_FRESH, &k->token);
	EXPECT(found == 0 || found == 1, "keep: %s", memkv_error_detail());
	k->until_us = found ? now_us() + KEEP_MS * 1000 : 0;
	atomic_fetch_add(&shared->kept, (uint64_t)found);
}

static int keeper(void *context)
{
	struct memkv_pool *pool = pool_attach(path, 0);
	uint8_t *buffer = pages_alloc(BLOCK);
	static struct kept kept[KEPT_MAX];
	uint64_t random = 3;

	(void)context;
	while (!atomic_load(&shared->over)) {
		struct kept *k = &kept[random_below(&random, KEPT_MAX)];
		if (!atomic_load(&shared->keep)) {
			sleep_us(1000);
		} else if (!k->until_us) {
			keep_one(pool, k, &random);
		} else if (now_us() + random_below(&random, 300000) > k->until_us) {
			bool there = read_kept(pool, buffer, k);
			bool in_time = now_us() < k->until_us && atomic_load(&shared->counts);
			atomic_fetch_add(in_time ? &shared->read : &shared->late, 1);
			atomic_fetch_add(&shared->missed, in_time && !there);
			k->until_us = 0;
		} else {
			sleep_us(200);
		}
	}
	memkv_pool_close(pool);
	return 0;
}

static struct memkv_pool *fill(const char *name, uint8_t *buffer)
{
	path = scratch_fast_path(name);
	pool_make_bytes(path, MIB(28), KIB(64));
	struct memkv_pool *pool = pool_attach(path, 0);
	room = memkv_pool_room(pool, BLOCK);
	while (counters_of(pool).segments_reclaimed < 4)
		put_number(pool, buffer, atomic_fetch_add(&shared->put, 1));
	return pool;
}

static void paced(uint8_t *buffer)
{
	struct memkv_pool *pool = fill("keep-paced", buffer);

	atomic_store(&shared->keep, true);
	pid_t child = child_start(keeper, NULL);
	uint64_t begin = now_us(), before = 0;
	while (now_us() < begin + WARM_US + PACED_US) {
		if (now_us() > begin + WARM_US && !atomic_exchange(&shared->counts, true))
			before = counters_of(pool).grace_cut;
		put_number(pool, buffer, atomic_fetch_add(&shared->put, 1));
		sleep_us(PUT_EVERY_US);
	}
	uint64_t cut = counters_of(pool).grace_cut - before;
	atomic_store(&shared->over, true);
	child_join(child, "the keeper");
	printf("paced: %llu kept, %llu read in time, %llu of them gone; %llu graces cut, %llu segments opened anew\n",
	       (unsigned long long)atomic_load(&shared->kept), (unsigned long long)atomic_load(&shared->read),
	       (unsigned long long)atomic_load(&shared->missed), (unsigned long long)cut,
	       (unsigned long long)counters_of(pool).segments_reclaimed);
	EXPECT(atomic_load(&shared->missed) == 0 && cut == 0, "what was kept is gone in its time");
	EXPECT(atomic_load(&shared->read) > 100, "hardly anything was kept");
	memkv_pool_close(pool);
}

/* puts a second */
static uint64_t flood_for(struct memkv_pool *pool, uint8_t *buffer, uint64_t us)
{
	uint64_t begin = now_us(), puts = 0;

	for (; now_us() < begin + us; puts++)
		put_number(pool, buffer, atomic_fetch_add(&shared->put, 1));
	return puts * 1000000 / (now_us() - begin);
}

static void flood(uint8_t *buffer, uint64_t pairs)
{
	struct memkv_pool *pool = fill("keep-flood", buffer);
	uint64_t without[64], with[64];

	atomic_store(&shared->counts, true);
	pid_t child = child_start(keeper, NULL);
	uint64_t unused = counters_of(pool).grace_cut;
	EXPECT(unused == 0, "a grace is cut though nobody keeps");
	for (uint64_t i = 0; i < pairs; i++) {
		sleep_us(i ? 4100000 : 0); /* until keeping is not in use any more */
		uint64_t before = counters_of(pool).grace_cut;
		without[i] = flood_for(pool, buffer, TURN_US);
		EXPECT(counters_of(pool).grace_cut == before, "a grace is cut though nobody keeps");
		atomic_store(&shared->keep, true);
		sleep_us(50000);
		with[i] = flood_for(pool, buffer, TURN_US);
		atomic_store(&shared->keep, false);
	}
	atomic_store(&shared->keep, true);
	flood_for(pool, buffer, 2000000);
	atomic_store(&shared->over, true);
	child_join(child, "the keeper");
	uint64_t cut = counters_of(pool).grace_cut;
	printf("flood: %llu kept, %llu read in time, %llu of them gone; %llu graces cut; puts a second %llu while nobody keeps, %llu "
	       "while somebody does\n", (unsigned long long)atomic_load(&shared->kept), (unsigned long long)atomic_load(&shared->read),
	       (unsigned long long)atomic_load(&shared->missed), (unsigned long long)cut,
	       (unsigned long long)figures_of(without, pairs).p50, (unsigned long long)figures_of(with, pairs).p50);
	EXPECT(cut > 0 && atomic_load(&shared->kept) > 50, "the flood floods nothing");
	pool_expect_clean(pool, "after the flood");
	memkv_pool_close(pool);
}

int main(int argc, char **argv)
{
	uint64_t pairs = argument_number(argc, argv, "--pairs", 1);
	uint8_t *buffer = pages_alloc(BLOCK);

	if (access("/dev/shm", W_OK))
		skip_test("there is no /dev/shm, whose files are memory");
	shared = shared_alloc(sizeof(*shared));
	if (strcmp(argument_text(argc, argv, "--mode", "flood"), "paced") == 0)
		paced(buffer);
	else
		flood(buffer, pairs < 64 ? pairs : 64);
	return 0;
}
