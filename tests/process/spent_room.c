/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room of removed, replaced and expired blocks is used before anything live is evicted, however old that is.
 *
 * A pool is filled to the last block; then the younger half is removed, or two of every three blocks are, or the younger half
 * has expired.  As much is put as went, less what moving takes: nothing of what was live is gone, and no block was evicted.
 * Of two in three there may be: the rest of the one segment that was chosen when all was full.
 * --mode half|spread|expired; default: all
 */
#include "helpers.h"

#include <string.h>

enum { BLOCKS = 1024, BLOCK = 16 << 10, MARGIN = 128 /* blocks: segments that are open, or being emptied */, ALREADY_CHOSEN = 6 };

static uint8_t *buffer;

static void put(struct memkv_pool *pool, uint64_t number, uint64_t ttl_s)
{
	struct memkv_key key = key_of(number);
	struct memkv_put_options options = {.size = sizeof(options), .ttl_s = ttl_s};

	payload_fill(buffer, BLOCK, number, 0);
	int err = memkv_put(pool, &key, buffer, BLOCK, &options);
	EXPECT(err == 0, "put %llu: %s", (unsigned long long)number, memkv_error_detail());
}

static bool there(struct memkv_pool *pool, uint64_t number)
{
	struct memkv_key key = key_of(number);
	int64_t got = memkv_get(pool, &key, buffer, BLOCK, NULL);

	EXPECT(got == MEMKV_MISS || (got == BLOCK && payload_right(buffer, BLOCK, number, 0)), "block %llu: %lld",
	       (unsigned long long)number, (long long)got);
	return got == BLOCK;
}

enum mode { HALF, SPREAD, EXPIRED };

static bool goes(enum mode mode, uint64_t number)
{
	return mode == SPREAD ? number % 3 != 0 : number >= BLOCKS / 2;
}

static void play(enum mode mode, const char *name)
{
	const char *path = scratch_fast_path("spent");
	struct memkv_create_options options = {.size = sizeof(options), .blocks = BLOCKS, .block_size = BLOCK, .slots = 4};
	uint64_t gone = 0, lost = 0;

	pool_make(path, &options);
	struct memkv_pool *pool = pool_attach(path, 0);
	for (uint64_t n = 0; n < BLOCKS; n++)
		put(pool, n, mode == EXPIRED && goes(mode, n) ? 1 : 0);
	EXPECT(counters_of(pool).evicted_blocks == 0, "the pool does not hold what it was made for");
	for (uint64_t n = 0; n < BLOCKS; n++) {
		struct memkv_key key = key_of(n);
		if (!goes(mode, n))
			continue;
		gone++;
		if (mode != EXPIRED)
			EXPECT(memkv_remove(pool, &key) >= 0, "remove: %s", memkv_error_detail());
		else
			while (there(pool, n))
				sleep_us(10000);
	}
	for (uint64_t n = 0; n < gone - MARGIN; n++)
		put(pool, BLOCKS + n, 0);
	for (uint64_t n = 0; n < BLOCKS; n++)
		lost += !goes(mode, n) && !there(pool, n);
	for (uint64_t n = 0; n < gone - MARGIN; n++)
		lost += !there(pool, BLOCKS + n);
	struct memkv_counters c = counters_of(pool);
	printf("%s: %llu of %d blocks went, %llu were put; %llu moved, %llu evicted, %llu lost\n", name, (unsigned long long)gone,
	       BLOCKS, (unsigned long long)(gone - MARGIN), (unsigned long long)c.moved_blocks,
	       (unsigned long long)c.evicted_blocks, (unsigned long long)lost);
	/* the victim that was chosen when all was full has nowhere to put what is left in it */
	uint64_t allowed = mode == SPREAD ? ALREADY_CHOSEN : 0;
	EXPECT(lost <= allowed && c.evicted_blocks <= allowed, "%s: live blocks went while there was room that nobody used", name);
	pool_expect_clean(pool, "afterwards");
	memkv_pool_close(pool);
	scratch_remove(path);
}

int main(int argc, char **argv)
{
	static const char *const names[] = {"half", "spread", "expired"};
	const char *only = argument_text(argc, argv, "--mode", "");

	buffer = pages_alloc(BLOCK);
	for (int mode = HALF; mode <= EXPIRED; mode++)
		if (!*only || strcmp(only, names[mode]) == 0)
			play((enum mode)mode, names[mode]);
	return 0;
}
