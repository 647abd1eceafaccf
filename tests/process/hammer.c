/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads on one small pool, everything at once: put, replace, get (whole, ranges, "at most", unaligned), match,
 * exists, remove, stat, iterate, check, describe; through two handles of the pool in one process, while further handles
 * come and go.  Reclaim runs all the time.  Every byte that is read is compared; a check that runs meanwhile finds
 * nothing.  Built with -DMEMKV_SANITIZE=thread this is the test for races.
 *
 * Keys are shared: a thread may put, replace or remove any of them, so a block's bytes carry their own version in
 * their first eight bytes; the rest must follow from key and version.
 */
#include "helpers.h"

#include <pthread.h>

enum { THREADS_MAX = 64, HANDLES = 2, KEYS = 900, LENGTH_MAX = 48 << 10, RANGES = 3 };

static struct {
	struct memkv_pool *pools[HANDLES];
	const char *path;
	atomic_uint_fast64_t stop, versions, operations, hits, misses, checks, opens, iterated;
} all;

struct hammer {
	pthread_t thread;
	uint64_t random;
	uint8_t *buffer; /* LENGTH_MAX and room to be unaligned in */
};

/* ---- blocks that tell their version ---- */

static size_t key_length(uint64_t number) { return 8 + length_of(number, LENGTH_MAX - 8); }

static void fill(uint8_t *to, uint64_t number, uint64_t version)
{
	memcpy(to, &version, 8);
	payload_fill(to + 8, key_length(number) - 8, number, (uint32_t)version);
}

static bool right(const uint8_t *bytes, uint64_t number)
{
	uint64_t version;

	memcpy(&version, bytes, 8);
	return version > 0 && version <= atomic_load(&all.versions) &&
	       payload_right(bytes + 8, key_length(number) - 8, number, (uint32_t)version);
}

static struct memkv_pool *any_pool(struct hammer *h) { return all.pools[random_below(&h->random, HANDLES)]; }

static uint8_t *any_alignment(struct hammer *h)
{
	static const size_t offsets[] = {0, 0, 0, 512, 1024, 8, 1, 4095};

	return h->buffer + offsets[random_below(&h->random, sizeof(offsets) / sizeof(offsets[0]))];
}

/* ---- operations ---- */

static void put_into(struct hammer *h, struct memkv_pool *pool, uint64_t number)
{
	bool replace = random_below(&h->random, 2);
	struct memkv_put_options options = {
		.size = sizeof(options),
		.flags = replace ? MEMKV_PUT_REPLACE : 0,
		.class_id = (uint32_t)(number % 3),
		.session = number % 2 ? "hammer" : NULL,
		.meta = &number,
		.meta_length = number % 5 ? sizeof(number) : 0,
	};
	struct memkv_key key = key_of(number);
	uint8_t *from = any_alignment(h);

	fill(from, number, atomic_fetch_add(&all.versions, 1) + 1);
	int err = memkv_put(pool, &key, from, key_length(number), &options);
	EXPECT(err == 0 || err == MEMKV_NO_ROOM || (err == MEMKV_DIFFERS && !replace), "put: %s", memkv_code_name(err));
}

static void count_get(int64_t got, bool hit)
{
	EXPECT(hit || got == MEMKV_MISS, "get: %lld (%s)", (long long)got, memkv_code_name((int)got));
	atomic_fetch_add(hit ? &all.hits : &all.misses, 1);
}

static void do_get(struct hammer *h, uint64_t number)
{
	uint64_t meta = 0;
	struct memkv_get_options options = {.size = sizeof(options), .meta = &meta, .meta_room = sizeof(meta)};
	struct memkv_key key = key_of(number);
	uint8_t *to = any_alignment(h);
	size_t length = key_length(number), asked = length;

	if (random_below(&h->random, 2)) {
		options.flags = MEMKV_GET_UPTO;
		asked = LENGTH_MAX;
	}
	int64_t got = memkv_get(any_pool(h), &key, to, asked, &options);
	if (got == (int64_t)length) {
		EXPECT(right(to, number), "wrong bytes under key %llu", (unsigned long long)number);
		EXPECT(options.meta_length == (number % 5 ? sizeof(number) : 0) && (!options.meta_length || meta == number),
		       "wrong metadata under key %llu", (unsigned long long)number);
	}
	count_get(got, got == (int64_t)length);
}

static void do_ranges(struct hammer *h, uint64_t number)
{
	struct memkv_key key = key_of(number);
	size_t length = key_length(number);
	uint8_t *whole = h->buffer;
	struct memkv_range ranges[RANGES];
	uint64_t version, cut[RANGES + 1] = {0, 8, 8 + random_below(&h->random, length - 8 + 1), length};

	/* pieces that make up the whole, in any order */
	for (uint64_t i = 0; i < RANGES; i++)
		ranges[(i + number) % RANGES] = (struct memkv_range){cut[i], cut[i + 1] - cut[i], whole + cut[i]};
	int64_t got = memkv_get_ranges(any_pool(h), &key, ranges, RANGES);
	if (got == (int64_t)length) {
		memcpy(&version, whole, 8);
		EXPECT(right(whole, number), "wrong bytes in ranges of key %llu (version %llu)", (unsigned long long)number,
		       (unsigned long long)version);
	}
	count_get(got, got == (int64_t)length);
}

static void do_look(struct hammer *h, uint64_t number)
{
	struct memkv_key keys[8];
	uint32_t flags = random_below(&h->random, 2) ? MEMKV_LOOK_FRESH : 0;
	struct memkv_block_info info;

	for (uint64_t i = 0; i < 8; i++)
		keys[i] = key_of((number + i) % KEYS);
	int found = memkv_match(any_pool(h), keys, 8, flags);
	EXPECT(found >= 0 && found <= 8, "match: %d", found);
	found = memkv_exists(any_pool(h), &keys[0], flags);
	EXPECT(found == 0 || found == 1, "exists: %d", found);
	int err = memkv_stat(any_pool(h), &keys[0], &info);
	EXPECT(err == MEMKV_MISS || (err == 0 && info.length == key_length(number) && info.class_id == number % 3 &&
				     memcmp(&info.key, &keys[0], sizeof(info.key)) == 0),
	       "stat: %s", memkv_code_name(err));
}

static void do_remove(struct hammer *h, uint64_t number)
{
	struct memkv_key key = key_of(number);
	int removed = memkv_remove(any_pool(h), &key);

	EXPECT(removed > 0 || removed == MEMKV_MISS, "remove: %s", memkv_code_name(removed));
}

static void do_iterate(struct hammer *h)
{
	struct memkv_filter filter = {.size = sizeof(filter), .has_class = 1, .class_id = (uint32_t)random_below(&h->random, 3)};
	struct memkv_iter *iter;
	struct memkv_block_info info;
	int err = memkv_iter_open(any_pool(h), random_below(&h->random, 2) ? &filter : NULL, &iter);

	EXPECT(err == 0, "iterate: %s", memkv_code_name(err));
	while (memkv_iter_next(iter, &info) == 1)
		atomic_fetch_add(&all.iterated, 1);
	memkv_iter_close(iter);
	describe_of(any_pool(h));
	counters_of(any_pool(h));
}

static void do_check(struct hammer *h)
{
	pool_expect_clean(any_pool(h), "while everything goes on");
	atomic_fetch_add(&all.checks, 1);
}

static void do_open(struct hammer *h, uint64_t number)
{
	bool reading = random_below(&h->random, 2);
	struct memkv_pool *pool = pool_attach(all.path, reading ? MEMKV_OPEN_READ_ONLY : 0);
	struct memkv_key key = key_of(number);
	size_t length = key_length(number);

	int64_t got = memkv_get(pool, &key, h->buffer, length, NULL);
	if (got > 0)
		EXPECT(got == (int64_t)length && right(h->buffer, number), "wrong bytes through a fresh handle");
	if (!reading)
		put_into(h, pool, number);
	memkv_pool_close(pool);
	atomic_fetch_add(&all.opens, 1);
}

static void *hammer(void *argument)
{
	struct hammer *h = argument;

	while (!atomic_load(&all.stop)) {
		/* few keys are used much, so that threads meet */
		uint64_t number = random_below(&h->random, random_below(&h->random, 2) ? KEYS : 16);
		uint64_t dice = random_below(&h->random, 1000);
		if (dice < 350)
			put_into(h, any_pool(h), number);
		else if (dice < 750)
			do_get(h, number);
		else if (dice < 850)
			do_ranges(h, number);
		else if (dice < 950)
			do_look(h, number);
		else if (dice < 985)
			do_remove(h, number);
		else if (dice < 992)
			do_iterate(h);
		else if (dice < 997)
			do_open(h, number);
		else
			do_check(h);
		atomic_fetch_add(&all.operations, 1);
	}
	return NULL;
}

static void expect_counters(void)
{
	struct memkv_counters sum = {0};

	for (int i = 0; i < HANDLES; i++) {
		struct memkv_counters c = counters_of(all.pools[i]);
		EXPECT(c.miss_damaged == 0 && c.miss_io == 0 && c.entries_damaged == 0 && c.puts_failed == 0,
		       "counters: %llu damaged, %llu by I/O, %llu entries damaged, %llu puts failed",
		       (unsigned long long)c.miss_damaged, (unsigned long long)c.miss_io,
		       (unsigned long long)c.entries_damaged, (unsigned long long)c.puts_failed);
		sum.puts += c.puts;
		sum.evicted_blocks += c.evicted_blocks;
		sum.moved_blocks += c.moved_blocks;
		sum.segments_reclaimed += c.segments_reclaimed;
		sum.miss_reclaimed += c.miss_reclaimed;
		sum.miss_removed += c.miss_removed;
	}
	printf("%llu operations: %llu puts, %llu exact gets, %llu misses (%llu reclaimed, %llu removed meanwhile)\n",
	       (unsigned long long)atomic_load(&all.operations), (unsigned long long)sum.puts,
	       (unsigned long long)atomic_load(&all.hits), (unsigned long long)atomic_load(&all.misses),
	       (unsigned long long)sum.miss_reclaimed, (unsigned long long)sum.miss_removed);
	printf("%llu segments reclaimed, %llu blocks evicted, %llu moved; %llu checks, %llu handles came and went\n",
	       (unsigned long long)sum.segments_reclaimed, (unsigned long long)sum.evicted_blocks,
	       (unsigned long long)sum.moved_blocks, (unsigned long long)atomic_load(&all.checks),
	       (unsigned long long)atomic_load(&all.opens));
	EXPECT(sum.segments_reclaimed > 0, "nothing was reclaimed: the pool is too large for the test");
}

int main(int argc, char **argv)
{
	static struct hammer hammers[THREADS_MAX];
	uint64_t seconds = argument_number(argc, argv, "--seconds", 4), threads = argument_number(argc, argv, "--threads", 8);
	uint64_t memory = argument_number(argc, argv, "--memory", 0);

	EXPECT(threads <= THREADS_MAX, "at most %d threads", THREADS_MAX);
	all.path = memory ? scratch_fast_path("hammer") : scratch_path("hammer");
	pool_make_bytes(all.path, MIB(12), LENGTH_MAX);
	for (int i = 0; i < HANDLES; i++)
		all.pools[i] = pool_attach(all.path, 0);
	for (uint64_t i = 0; i < threads; i++) {
		hammers[i] = (struct hammer){.random = i + 1, .buffer = pages_alloc(LENGTH_MAX + 2 * PAGE_BYTES)};
		EXPECT(pthread_create(&hammers[i].thread, NULL, hammer, &hammers[i]) == 0, "no thread");
	}
	sleep_us(seconds * 1000000);
	atomic_store(&all.stop, 1);
	for (uint64_t i = 0; i < threads; i++)
		pthread_join(hammers[i].thread, NULL);
	pool_expect_clean(all.pools[0], "in the end");
	expect_counters();
	for (int i = 0; i < HANDLES; i++)
		memkv_pool_close(all.pools[i]);
	return 0;
}
