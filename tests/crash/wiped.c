/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metadata that is wiped to zero while nobody looks, and what is not restored on purpose.
 *
 *   table headers   the segment's own header tells: all blocks are there, describe counts them, check says mended
 *   of a full pool  whoever needs room empties such a segment, and the medium fails when it writes the next generation's header
 *                   over the only one that tells: nothing is lost
 *   entries in a    an entry that is all zero there is a put that never ended, even when a block with the right generation
 *   dead agent's    and index lies in its place: that put may never have been acknowledged, its key may have been removed,
 *   open segment    found missing, or put again since, and the life word that would tell is gone.  So it stays away:
 *                   a miss; the next agent settles the place; what is removed stays removed
 */
#include "workload.h"

#include "core/format/cells.h"
#include "core/pool/handle.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 100, DYING = 6 };

static struct memkv_pool *volatile dead[2]; /* never touched again */
static unsigned dead_count;

static struct memkv_pool_info described(struct memkv_pool *pool)
{
	struct memkv_pool_info info;

	if (memkv_pool_describe(pool, &info))
		crash_fail("describe");
	return info;
}

static struct memkv_pool *attached(struct disk *disk)
{
	struct memkv_pool *pool;

	if (crash_open(disk, 0, &pool))
		crash_fail("attach");
	return pool;
}

static void table_headers(struct disk *disk)
{
	struct memkv_pool *pool = attached(disk);
	uint8_t *kept = malloc(disk->bytes);
	uint32_t wiped = 0;

	for (uint32_t block = 0; block < BLOCKS; block++)
		if (crash_put(pool, block, 0, 0))
			crash_fail("put");
	memkv_pool_close(pool);
	memcpy(kept, disk->image, disk->bytes);
	pool = attached(disk);
	struct layout layout = pool->control.layout;
	memkv_pool_close(pool);
	for (uint64_t s = 0; s < layout.geo.segments; s++) {
		struct memkv_check_report report;
		disk_load(disk, kept);
		uint8_t *table = disk->image + layout_table(&layout, s);
		if (cell_blank(table, TABLE_HEADER_BYTES))
			continue;
		memset(table, 0, TABLE_HEADER_BYTES);
		wiped++;
		snprintf(crash_context, sizeof(crash_context), "table header %u wiped", (unsigned)s);
		pool = attached(disk);
		if (described(pool).blocks != BLOCKS)
			crash_fail("describe: %u blocks of %u", (unsigned)described(pool).blocks, BLOCKS);
		for (uint32_t block = 0; block < BLOCKS; block++)
			if (block_look(pool, block, 0) != 1)
				crash_fail("block %u is lost", block);
		if (memkv_pool_check(pool, NULL, &report) || report.bad || report.records_bad != 1 || report.records_mended != 1)
			crash_fail("check: %u records bad, %u mended", (unsigned)report.records_bad, (unsigned)report.records_mended);
		memkv_pool_close(pool);
	}
	disk_load(disk, kept);
	free(kept);
	if (wiped < BLOCKS / 8)
		crash_fail("only %u tables", wiped);
	printf("%u table headers wiped, one at a time: nothing lost, counted rightly\n", wiped);
}

static uint32_t how_many_there(struct memkv_pool *pool, uint32_t blocks)
{
	uint32_t there = 0;

	for (uint32_t block = 0; block < blocks; block++)
		there += block_look(pool, block, 0) == 1;
	return there;
}

/* a pool so full that the next segment has to be emptied; returns how many blocks were put */
static uint32_t fill_up(struct disk *disk)
{
	struct memkv_pool *pool = attached(disk);
	struct memkv_counters counters = {0};
	uint32_t blocks = 0;

	while (!counters.segments_reclaimed) {
		if (crash_put(pool, blocks++, 0, 0) || memkv_pool_counters(pool, &counters))
			crash_fail("put");
	}
	memkv_pool_close(pool);
	return blocks;
}

/* @landed: what the medium says has failed is there all the same */
static void victims(struct disk *disk, bool landed)
{
	const struct disk_fault refused = {
		.kinds = 1u << DISK_WRITE, .to = UINT64_MAX, .error = -EIO, .effect = landed ? EFFECT_WHOLE : EFFECT_NONE};
	uint32_t blocks = fill_up(disk), failed = 0, wiped = 0;
	struct memkv_pool *pool = attached(disk);
	struct layout layout = pool->control.layout;
	uint32_t there = how_many_there(pool, blocks);

	memkv_pool_close(pool);
	snprintf(crash_context, sizeof(crash_context), "all table headers of a full pool wiped, and %s", landed ? "torn writes" : "no write");
	for (uint64_t s = 0; s < layout.geo.segments; s++) {
		uint8_t *table = disk->image + layout_table(&layout, s);
		wiped += !cell_blank(table, TABLE_HEADER_BYTES);
		memset(table, 0, TABLE_HEADER_BYTES);
	}
	pool = attached(disk);
	disk_strike(disk, &refused);
	for (uint32_t i = 0; i < BLOCKS; i++)
		failed += crash_put(pool, blocks + i, 0, 0) != 0;
	disk_strike(disk, NULL);
	memkv_pool_close(pool);
	if (failed < BLOCKS)
		crash_fail("%u of %d puts failed", failed, BLOCKS);
	pool = attached(disk);
	if (how_many_there(pool, blocks) != there)
		crash_fail("%u blocks of %u are there", how_many_there(pool, blocks), there);
	memkv_pool_close(pool);
	printf("%u table headers wiped at once, %u puts refused: all of %u blocks are there\n", wiped, failed, there);
}

/* an agent dies in its open segment; the entry of one of its blocks is wiped; @removed: which it had removed before */
static void dead_entries(struct disk *disk, bool removed)
{
	struct memkv_pool *pool = attached(disk);
	struct memkv_block_info info;
	struct memkv_check_report report;
	struct memkv_key key;
	uint32_t first = BLOCKS + (removed ? DYING : 0), victim = first + 1;

	snprintf(crash_context, sizeof(crash_context), "an entry of a %s block wiped", removed ? "removed" : "stored");
	for (uint32_t block = first; block < first + 3; block++)
		if (crash_put(pool, block, 0, MEMKV_PUT_DURABLE))
			crash_fail("put");
	block_name(victim, &key);
	if (memkv_stat(pool, &key, &info))
		crash_fail("stat");
	if (removed && memkv_remove(pool, &key) != 1)
		crash_fail("remove");
	const struct control *c = &pool->control;
	for (uint32_t i = 0; i < c->layout.geo.entries; i++) {
		struct entry e;
		if (table_entry(c, info.segment, info.generation, i, &e, NULL) == ENTRY_HERE && e.birth == info.birth)
			memset(disk->image + layout_table(&c->layout, info.segment) + PAGE + (uint64_t)i * ENTRY_BYTES, 0, ENTRY_BYTES);
	}
	memset(disk->locks, 0, sizeof(disk->locks)); /* it is dead */
	dead[dead_count++] = pool;
	for (int time = 0; time < 2; time++) {
		pool = attached(disk); /* first it is open, then settled */
		if (block_look(pool, victim, 0) != 0)
			crash_fail("it came back");
		if (block_look(pool, first, 0) != 1 || block_look(pool, first + 2, 0) != 1)
			crash_fail("its neighbours are lost");
		if (memkv_remove(pool, &key) != MEMKV_MISS)
			crash_fail("it can be removed though it is not there");
		if (memkv_pool_check(pool, NULL, &report) || report.bad)
			crash_fail("check");
		if (crash_put(pool, first + 4 + (uint32_t)time, 0, 0) || block_look(pool, victim, 0) != 0)
			crash_fail("it came back with the next put");
		memkv_pool_close(pool);
	}
	pool = attached(disk);
	if (crash_put(pool, victim, 1, MEMKV_PUT_DURABLE) || block_look(pool, victim, 1) != 2)
		crash_fail("it cannot be put again");
	memkv_pool_close(pool);
}

int main(void)
{
	struct memkv_create_options options = {.size = sizeof(options), .blocks = 256, .block_size = BLOCK_BYTES, .slots = 6};
	uint64_t bytes;
	uint8_t *image = scratch_pool(&options, &bytes);
	struct disk *disk = disk_of_image(image, bytes, false);

	table_headers(disk);
	dead_entries(disk, false);
	dead_entries(disk, true);
	printf("entries wiped in the open segment of the dead: they stay away, their neighbours stay\n");
	for (int landed = 0; landed < 2; landed++) {
		disk_load(disk, image);
		victims(disk, landed);
	}
	disk_free(disk);
	free(image);
	return 0;
}
