/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A handle whose pool fails again and again while threads use it: gets, pieces, holds, puts, chains and lists fly while what it is
 * attached to is given up and attached anew.
 *
 * The medium is a file in memory that stays as it is; that it has failed is said to the handle, from inside of it, in turns as
 * by a medium that is gone and as by one that took a write and did not tell.  So every block that was acknowledged must be
 * there in the end, through the same handle, exact; and at any moment a get is exact or a miss, bytes behind a hold that
 * counts are exact, a put is acknowledged or refused as failed.
 *
 * usage: rejoin_storm [--rejoins N] [--seed N]
 */
#include "helpers.h"

#include "core/pool/handle.h"

#include <errno.h>
#include <memkv/hold.h>
#include <pthread.h>

#undef KIB
#undef MIB
#define MIB(n) ((uint64_t)(n) << 20)

enum { BLOCK = 9000, KEYS = 1200, LOOKERS = 2, LONGEST_S = 300, PAUSE_US = 300 };

static struct memkv_pool *pool;
static atomic_bool over;
static atomic_bool there[KEYS]; /* acknowledged */
static atomic_uint_fast64_t hits, misses, stored, refused, held, lapsed, chains, listed;

static uint64_t seed_of(const void *number) { return (uint64_t)(uintptr_t)number * 0x9E3779B97F4A7C15ULL + 1; }

static void get_one(uint8_t *buffer, uint64_t number)
{
	struct memkv_key key = key_of(number);
	int64_t got = memkv_get(pool, &key, buffer, BLOCK, NULL);

	EXPECT(got == BLOCK || got == MEMKV_MISS, "get: %lld", (long long)got);
	EXPECT(got < 0 || payload_right(buffer, BLOCK, number, 0), "get of %llu: wrong bytes", (unsigned long long)number);
	atomic_fetch_add(got < 0 ? &misses : &hits, 1);
	if (got < 0)
		sleep_us(PAUSE_US); /* the processors are needed to come back */
}

static void get_piece(uint8_t *buffer, uint64_t number)
{
	static const uint64_t from = 4000, length = 3000;
	uint8_t piece[3000];
	struct memkv_range range = {from, length, piece};
	struct memkv_key key = key_of(number);
	int64_t got = memkv_get_ranges(pool, &key, &range, 1);

	EXPECT(got == BLOCK || got == MEMKV_MISS, "ranges: %lld", (long long)got);
	payload_fill(buffer, BLOCK, number, 0);
	EXPECT(got < 0 || memcmp(buffer + from, piece, length) == 0, "ranges of %llu: wrong bytes", (unsigned long long)number);
}

static void *look(void *number)
{
	uint64_t chance = seed_of(number);
	uint8_t *buffer = pages_alloc(2 * BLOCK);
	struct memkv_key chain[8];
	struct memkv_block_info info;

	while (!atomic_load(&over)) {
		uint64_t n = random_below(&chance, KEYS);
		get_one(buffer, n);
		get_piece(buffer, random_below(&chance, KEYS));
		for (uint64_t i = 0; i < 8; i++)
			chain[i] = key_of((n + i) % KEYS);
		int found = memkv_match(pool, chain, 8, n % 4 ? 0 : MEMKV_LOOK_FRESH);
		EXPECT(found >= 0 && found <= 8, "match: %d", found);
		atomic_fetch_add(&chains, (uint64_t)found);
		int err = memkv_stat(pool, &chain[0], &info);
		EXPECT(err == MEMKV_MISS || (err == 0 && info.length == BLOCK), "stat: %d", err);
	}
	return NULL;
}

static void *hold(void *number)
{
	uint64_t chance = seed_of(number);
	struct memkv_hold h;

	while (!atomic_load(&over)) {
		uint64_t n = random_below(&chance, KEYS);
		struct memkv_key key = key_of(n);
		int err = memkv_hold(pool, &key, &h);
		EXPECT(err == 0 || err == MEMKV_MISS || err == -EAGAIN, "hold: %d, %s", err, memkv_error_detail());
		if (err) {
			sleep_us(PAUSE_US);
			continue;
		}
		bool right = payload_right(h.data, BLOCK, n, 0);
		if (n % 8 == 0)
			sleep_us(random_below(&chance, 20000)); /* it outlives what it is of */
		right &= ((const uint8_t *)h.data)[BLOCK - 1] == ((const volatile uint8_t *)h.data)[BLOCK - 1];
		int valid = memkv_hold_valid(pool, &h);
		EXPECT(valid == 0 || (valid == 1 && right), "a hold of %llu counts (%d), and its bytes are wrong", (unsigned long long)n, valid);
		err = memkv_release(pool, &h);
		EXPECT(err == 0 || err == MEMKV_LAPSED, "release: %d, %s", err, memkv_error_detail());
		atomic_fetch_add(err ? &lapsed : &held, 1);
	}
	return NULL;
}

static void *put(void *number)
{
	uint64_t chance = seed_of(number);
	uint8_t *bytes = pages_alloc(2 * BLOCK);

	while (!atomic_load(&over)) {
		uint64_t n = random_below(&chance, KEYS);
		struct memkv_key key = key_of(n);
		payload_fill(bytes, BLOCK, n, 0);
		int err = memkv_put(pool, &key, bytes, BLOCK, NULL);
		EXPECT(err == 0 || err == MEMKV_EXISTS || err == MEMKV_FAILED || err == MEMKV_UNKNOWN || err == -EIO, "put: %d, %s", err,
		       memkv_error_detail());
		if (err == 0 || err == MEMKV_EXISTS) {
			atomic_store(&there[n], true);
			atomic_fetch_add(&stored, 1);
		} else {
			atomic_fetch_add(&refused, 1);
			sleep_us(500);
		}
	}
	return NULL;
}

static void *list(void *number)
{
	struct memkv_block_info info;

	(void)number;
	while (!atomic_load(&over)) {
		struct memkv_iter *it = NULL;
		int err = memkv_iter_open(pool, NULL, &it);
		while (!err && (err = memkv_iter_next(it, &info)) > 0) {
			err = 0;
			atomic_fetch_add(&listed, 1);
		}
		EXPECT(err == 0 || err == MEMKV_FAILED, "list: %d", err);
		memkv_iter_close(it);
		sleep_us(5000);
	}
	return NULL;
}

static uint64_t rejoins(void)
{
	struct memkv_counters c;

	EXPECT(memkv_pool_counters(pool, &c) == 0, "counters");
	return c.rejoins;
}

/* as the medium would say it; false: there is none just now */
static bool fail_it(bool gone)
{
	POOL_USE use = pool_enter(pool, ENTRY_LOOK);

	if (use.inside)
		atomic_store(gone ? &pool->media->failed : &pool->media->unpublished, true);
	return use.inside;
}

static uint64_t storm(uint64_t wanted)
{
	uint64_t began = now_us(), done = 0;

	while (done < wanted) {
		sleep_us(2000);
		if (!fail_it(done % 3 > 0))
			continue;
		while (rejoins() == done && now_us() < began + LONGEST_S * 1000000ULL)
			sleep_us(200);
		EXPECT(rejoins() > done, "%llu rejoins, and then no more: %s", (unsigned long long)done, memkv_error_detail());
		done = rejoins();
	}
	return now_us() - began;
}

int main(int argc, char **argv)
{
	uint64_t wanted = argument_number(argc, argv, "--rejoins", 200), seed = argument_number(argc, argv, "--seed", 1);
	void *(*const bodies[])(void *) = {look, look, hold, hold, put, put, list};
	pthread_t threads[ARRAY_COUNT(bodies)];
	const char *path = scratch_fast_path("rejoin-storm");
	uint8_t *buffer = pages_alloc(2 * BLOCK);
	uint64_t acknowledged = 0;

	pool_make_bytes(path, MIB(48), 64 << 10);
	pool = pool_attach(path, 0);
	uint32_t epoch = pool->slot.epoch;
	for (size_t i = 0; i < ARRAY_COUNT(threads); i++)
		EXPECT(pthread_create(&threads[i], NULL, bodies[i], (void *)(uintptr_t)(seed * 100 + i)) == 0, "thread");
	uint64_t took = storm(wanted);
	atomic_store(&over, true);
	for (size_t i = 0; i < ARRAY_COUNT(threads); i++)
		pthread_join(threads[i], NULL);
	for (uint64_t n = 0; n < KEYS; n++) {
		if (!atomic_load(&there[n]))
			continue;
		uint64_t before = atomic_load(&hits);
		get_one(buffer, n);
		EXPECT(atomic_load(&hits) == before + 1, "block %llu was acknowledged, and is lost", (unsigned long long)n);
		acknowledged++;
	}
	EXPECT(pool->slot.epoch > epoch && rejoins() >= wanted, "the handle has not come back as another incarnation");
	EXPECT(hits && stored && held && lapsed && chains && listed && refused, "something was never seen");
	printf("%llu rejoins in %.1f s: %llu gets hit, %llu missed; %llu puts, %llu refused; %llu holds, %llu of them lapsed; "
	       "%llu blocks acknowledged, all there\n",
	       (unsigned long long)rejoins(), (double)took / 1e6, (unsigned long long)hits, (unsigned long long)misses,
	       (unsigned long long)stored, (unsigned long long)refused, (unsigned long long)(held + lapsed),
	       (unsigned long long)lapsed, (unsigned long long)acknowledged);
	pool_expect_clean(pool, "after the storm");
	memkv_pool_close(pool);
	scratch_remove(path);
	return 0;
}
