/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Damaged entries behind a place whose put never ended, so that nobody knows where their blocks begin: their life words
 * tell which blocks they are, and these are found wherever they lie.  On a file and on a device:
 *
 *   several at once  behind two such places: all are there, check counts them as mended, one that is removed stays away, also when
 *		      another agent has continued the segment and put behind them
 *   without its life word, or with that of another block: a miss, and it stays one
 *   a medium that does not answer: a removal does not say that nothing is there
 */
#include "workload.h"

#include "core/pool/handle.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 24, GAP_1 = 3, GAP_2 = 15, FRESH = 100, GONE = 9, LIFELESS = 11, STRANGE = 12, LAST_TORN = 20 };

static struct memkv_pool *volatile dead[2]; /* never touched again */
static unsigned dead_count;

static struct memkv_pool *attached(struct disk *disk)
{
	struct memkv_pool *pool;

	if (crash_open(disk, 0, &pool))
		crash_fail("attach");
	return pool;
}

/* a place whose put never ends */
static void leave_open(struct memkv_pool *pool)
{
	struct room_place place;

	if (room_reserve(&pool->room, 2, &place))
		crash_fail("reserve");
}

static bool is_torn(uint32_t block)
{
	return (block >= GAP_1 + 2 && block < GAP_2 && block != GAP_1 + 4) || block == GAP_2 || block == LAST_TORN;
}

static bool is_lost(uint32_t block)
{
	return block == LIFELESS || block == STRANGE;
}

/* of place @index in its table; entries of blocks behind the gaps come one or two places later than their blocks' numbers */
static uint8_t *entry_at(struct disk *disk, const struct layout *layout, uint64_t segment, uint32_t block)
{
	uint32_t index = block + (block >= GAP_1) + (block >= GAP_2);

	return disk->image + layout_table(layout, segment) + PAGE + (uint64_t)index * ENTRY_BYTES;
}

/* all but its first word and its life word */
static void tear(uint8_t *entry)
{
	memset(entry + 8, 0x77, ENTRY_LIFE_OFFSET - 8);
}

/* an agent dies with two puts under way, and then entries are damaged; returns how many */
static uint32_t damage(struct disk *disk)
{
	struct memkv_pool *pool = attached(disk);
	const struct layout layout = pool->control.layout;
	struct memkv_block_info info;
	struct memkv_key key;
	uint64_t segment = 0;
	uint32_t torn = 0;

	for (uint32_t block = 0; block < BLOCKS; block++) {
		if (block == GAP_1 || block == GAP_2)
			leave_open(pool);
		block_name(block, &key);
		if (crash_put(pool, block, 0, MEMKV_PUT_DURABLE) || memkv_stat(pool, &key, &info))
			crash_fail("put");
		if (block && info.segment != segment)
			crash_fail("the blocks lie in more than one segment");
		segment = info.segment;
	}
	memset(disk->locks, 0, sizeof(disk->locks)); /* it is dead */
	dead[dead_count++] = pool;
	for (uint32_t block = 0; block < BLOCKS; block++) {
		if (!is_torn(block))
			continue;
		tear(entry_at(disk, &layout, segment, block));
		torn++;
	}
	memset(entry_at(disk, &layout, segment, LIFELESS) + ENTRY_LIFE_OFFSET, 0, 8);
	memcpy(entry_at(disk, &layout, segment, STRANGE) + ENTRY_LIFE_OFFSET, entry_at(disk, &layout, segment, 1) + ENTRY_LIFE_OFFSET, 8);
	return torn;
}

static void expect(struct memkv_pool *pool, bool gone)
{
	for (uint32_t block = 0; block < BLOCKS; block++) {
		bool there = !is_lost(block) && !(gone && block == GONE);
		int seen = block_look(pool, block, 0);
		if (seen != (there ? 1 : 0))
			crash_fail("block %u: %s", block, seen < 0 ? "wrong bytes" : there ? "it is lost" : "it is there");
	}
}

static void expect_checked(struct memkv_pool *pool, uint32_t bad, uint32_t mended)
{
	struct memkv_check_report report;

	if (memkv_pool_check(pool, NULL, &report) || report.bad || report.records_bad != bad || report.records_mended != mended)
		crash_fail("check: %u blocks bad, %u records bad, %u mended; %u and %u are", (unsigned)report.bad,
			   (unsigned)report.records_bad, (unsigned)report.records_mended, bad, mended);
}

static void no_answer(struct disk *disk, struct memkv_pool *pool, const struct memkv_key *key)
{
	const struct disk_fault silent = {.kinds = 1u << DISK_READ, .to = UINT64_MAX, .error = -EIO};

	disk_strike(disk, &silent);
	int removed = memkv_remove(pool, key);
	disk_strike(disk, NULL);
	if (removed >= 0 || removed == MEMKV_MISS)
		crash_fail("a removal says %d, and the medium did not answer", removed);
}

static void unplaced(const uint8_t *image, uint64_t bytes, bool device)
{
	struct disk *disk = disk_of_image(image, bytes, device);
	struct memkv_key key;

	snprintf(crash_context, sizeof(crash_context), "on a %s", device ? "device" : "file");
	uint32_t torn = damage(disk);
	struct memkv_pool *pool;
	if (crash_open(disk, MEMKV_OPEN_READ_ONLY, &pool))
		crash_fail("attach");
	expect(pool, false);
	memkv_pool_close(pool);
	pool = attached(disk);
	expect_checked(pool, torn + 2, torn); /* of the two lost ones the life words are bad as well, for good */
	block_name(GONE, &key);
	no_answer(disk, pool, &key);
	expect(pool, false);
	if (memkv_remove(pool, &key) != 1)
		crash_fail("remove");
	expect(pool, true);
	memkv_pool_close(pool);
	for (uint32_t time = 0; time < 2; time++) { /* the segment is continued */
		pool = attached(disk);
		for (uint32_t i = 0; i < 3; i++)
			if (crash_put(pool, FRESH + 3 * time + i, 0, MEMKV_PUT_DURABLE))
				crash_fail("put");
		expect(pool, true);
		for (uint32_t i = 0; i < 3 * (time + 1); i++)
			if (block_look(pool, FRESH + i, 0) != 1)
				crash_fail("block %u is lost", FRESH + i);
		memkv_pool_close(pool);
	}
	disk_free(disk);
	printf("on a %s: %u entries torn behind puts that never ended: all blocks are there but the 2 whose life words were lost as well\n",
	       device ? "device" : "file", torn);
}

int main(void)
{
	struct memkv_create_options options = {.size = sizeof(options), .blocks = 4096, .block_size = BLOCK_BYTES, .slots = 6};
	uint64_t bytes;
	uint8_t *image = scratch_pool(&options, &bytes);

	unplaced(image, bytes, false);
	unplaced(image, bytes, true);
	free(image);
	return 0;
}
