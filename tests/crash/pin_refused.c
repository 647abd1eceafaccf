/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pins on a medium that says no: a pin that is acknowledged holds for what is there, and what the medium keeps from being held
 * makes it fail, with a sentence.
 *
 *   moves     a block that somebody may be removing (its life word says so, and he is dead) holds only where it is moved to: its
 *             read is refused, then its write.  The pin of its session, and that of its key, fail; asked for once more when the
 *             medium takes it they hold, against a removal and against what fills the pool several times over
 *   tables    a device that does not answer for tables: nobody knows what there is of the session, and its pin fails
 *   evictions likewise, while puts evict: what is pinned in those tables is not let go
 *
 * usage: pin_refused [--device 1]
 */
#include "workload.h"

#include "core/pool/handle.h"

#include <errno.h>
#include <memkv/pin.h>
#include <stdlib.h>
#include <string.h>

enum { POOL_BLOCKS = 64, FLOODS = 3, TARGET = 1, OTHERS = 1000, SEEN = 40, WINDOWS = 9600, FIRSTS = 12, LENGTHS = 40 };

static const char session[] = "a conversation";
static struct disk *disk;
static struct memkv_pool *pool;

static void attach(void)
{
	if (crash_open(disk, 0, &pool))
		crash_fail("nobody can attach: %s", memkv_error_detail());
}

static void begin(bool device)
{
	struct memkv_create_options options = {.size = sizeof(options), .blocks = POOL_BLOCKS, .block_size = BLOCK_BYTES, .slots = 6};
	uint64_t bytes;
	uint8_t *image = scratch_pool(&options, &bytes);

	disk = disk_of_image(image, bytes, device);
	free(image);
	attach();
}

static void end(void)
{
	memkv_pool_close(pool);
	disk_free(disk);
}

/* the I/Os of these kinds from one number to another; 0: none */
static void refuse_some(uint64_t first, uint64_t end, unsigned kinds)
{
	struct disk_fault fault = {.kinds = kinds, .from = first, .to = end, .error = EIO};

	disk_strike(disk, kinds ? &fault : NULL);
}

static void refuse(unsigned kinds) { refuse_some(0, UINT64_MAX, kinds); }

static struct memkv_key key_of(uint32_t block)
{
	struct memkv_key key;

	block_name(block, &key);
	return key;
}

static int put_of_session(uint32_t block)
{
	static _Alignas(4096) uint8_t bytes[BLOCK_BYTES];
	struct memkv_put_options options = {.size = sizeof(options), .session = session};
	struct memkv_key key = key_of(block);

	return memkv_put(pool, &key, bytes, block_bytes(block, 0, bytes), &options);
}

static int64_t pin_session(void) { return memkv_pin_session(pool, session, NULL); }

static int64_t pin_key(void)
{
	struct memkv_key key = key_of(TARGET);

	return memkv_pin(pool, &key, 1, NULL, NULL);
}

static void unpin_all(void)
{
	struct memkv_key key = key_of(TARGET);

	if (memkv_unpin_session(pool, session) < 0 && memkv_unpin(pool, &key, 1, NULL) != 1)
		crash_fail("it cannot be unpinned: %s", memkv_error_detail());
}

/* so much is put that all that is not pinned has to go; returns how many puts were answered with 0 */
static unsigned flood(void)
{
	static uint32_t next = OTHERS;
	unsigned good = 0;

	for (unsigned i = 0; i < FLOODS * POOL_BLOCKS; i++)
		good += crash_put(pool, next++, 0, 0) == 0;
	return good;
}

static void expect_there(const char *when)
{
	if (block_look(pool, TARGET, 0) != 1)
		crash_fail("%s: a pinned block is gone", when);
}

/* its remover marked it, and died */
static void put_in_doubt(void)
{
	const struct control *c = &pool->control;
	struct memkv_key key = key_of(TARGET);
	struct memkv_block_info info;
	struct table_header header;
	struct entry e;

	if (memkv_stat(pool, &key, &info))
		crash_fail("the block is not there");
	uint32_t page = (uint32_t)(info.page - (layout_segment(&c->layout, info.segment) >> PAGE_SHIFT));
	follower_keep(&pool->follower);
	if (!table_refresh(c, info.segment) || table_header(c, info.segment, &header) != CHECK_GOOD ||
	    !table_find(c, info.segment, header.generation, page, &e) || !table_doubt(c, info.segment, e.index, e.birth))
		crash_fail("the block cannot be put in doubt");
	follower_unkeep(&pool->follower, info.segment);
}

static void expect_refused(int64_t result, const char *when)
{
	if (result != -EIO || !strstr(memkv_error_detail(), "may be stated once more"))
		crash_fail("%s: %lld, \"%s\"", when, (long long)result, memkv_error_detail());
}

static void moves(int64_t (*pin)(void), const char *name)
{
	static const unsigned kinds[] = {1u << DISK_READ, 1u << DISK_WRITE};

	for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
		snprintf(crash_context, sizeof(crash_context), "pin a %s, %s are refused", name, i ? "writes" : "reads");
		struct memkv_key key = key_of(TARGET);
		int there = put_of_session(TARGET);
		if (there && there != MEMKV_EXISTS)
			crash_fail("nothing to begin with: %s", memkv_error_detail());
		put_in_doubt();
		refuse(kinds[i]);
		expect_refused(pin(), "its block cannot be moved");
		refuse(0);
		int64_t pinned = pin();
		if (pinned != 1)
			crash_fail("once more: %lld, %s", (long long)pinned, memkv_error_detail());
		if (memkv_remove(pool, &key) != MEMKV_PINNED)
			crash_fail("a pinned block can be removed");
		if (!flood())
			crash_fail("nothing can be put: %s", memkv_error_detail());
		expect_there("after the flood");
		unpin_all();
		if (memkv_remove(pool, &key) < 0)
			crash_fail("it cannot be removed: %s", memkv_error_detail());
	}
}

/* who has just attached has no table at hand; the device answers for fewer and fewer of them */
static void tables(void)
{
	uint64_t struck = 1, refused = 0;

	snprintf(crash_context, sizeof(crash_context), "tables cannot be read");
	if (put_of_session(TARGET))
		crash_fail("nothing to begin with: %s", memkv_error_detail());
	for (uint32_t i = 1; i < SEEN; i++)
		(void)crash_put(pool, TARGET + i, 0, 0);
	for (uint64_t first = 0; struck; first++) {
		memkv_pool_close(pool);
		attach();
		refuse_some(first, UINT64_MAX, 1u << DISK_REFRESH);
		int64_t pinned = pin_session();
		struck = atomic_load(&disk->struck);
		refuse(0);
		if (pinned != 1 && (pinned >= 0 || !struck))
			crash_fail("with %llu answers: %lld, \"%s\"", (unsigned long long)first, (long long)pinned, memkv_error_detail());
		refused += pinned < 0;
		if (pin_session() != 1)
			crash_fail("once more: %s", memkv_error_detail());
		unpin_all();
	}
	printf("%llu pins of a session were refused by a device that does not answer\n", (unsigned long long)refused);
}

static void evictions(void)
{
	struct memkv_counters counters;
	uint64_t struck = 0, good = 0;

	snprintf(crash_context, sizeof(crash_context), "tables cannot be read while puts evict");
	int there = put_of_session(TARGET);
	if ((there && there != MEMKV_EXISTS) || pin_key() != 1)
		crash_fail("nothing to begin with: %s", memkv_error_detail());
	memkv_pool_close(pool);
	attach();
	for (uint32_t i = 0; i < WINDOWS; i++) {
		uint64_t first = i % FIRSTS, end = first + 1 + i / FIRSTS % LENGTHS;
		refuse_some(first, end, 1u << DISK_REFRESH);
		good += crash_put(pool, 2 * OTHERS + i, 0, 0) == 0;
		refuse_some(first, end, 1u << DISK_REFRESH);
		(void)pin_key();
		struck += atomic_load(&disk->struck);
		refuse(0);
		expect_there("after puts that could not read some tables");
	}
	if (memkv_pool_counters(pool, &counters) || !counters.evicted_blocks || good < POOL_BLOCKS)
		crash_fail("nothing was evicted");
	printf("%llu reads of what puts look at were refused, %llu blocks evicted; what is pinned is there\n", (unsigned long long)struck,
	       (unsigned long long)counters.evicted_blocks);
}

int main(int argc, char **argv)
{
	bool device = argc > 2 && strcmp(argv[1], "--device") == 0 && strcmp(argv[2], "0") != 0;

	begin(device);
	if (device)
		tables(); /* first, while there are FREE segments */
	moves(pin_session, "session");
	moves(pin_key, "key");
	if (device)
		evictions();
	end();
	printf("pins on a medium that says no: none was acknowledged that does not hold\n");
	return 0;
}
