/* SPDX-License-Identifier: Apache-2.0 */
/* What a damaged entry's block may tell instead of it, and when it may not: what has been gone stays gone. */
#include "core/index/follower.h"
#include "core/log/table.h"
#include "tests/unit/fake_media.h"
#include "tests/unit/unit.h"

enum { SEGMENT = 0, GENERATION = 0x3000001, LENGTH = PAGE, PAGES = 2 };

/* the headers of blocks, all there: place 0 at page 1, and so on */
struct blocks {
	struct fake_media media;
	uint32_t asked, here;
	uint32_t seen[4];
	struct unplaced run; /* where a block was searched for last */
};

static struct entry block_at(uint32_t index)
{
	return (struct entry){.index = index,
			      .header_pages = 1,
			      .generation = GENERATION,
			      .birth = 0x6AA261A1308917C3 + index,
			      .key = {0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, (uint8_t)(index + 1)},
			      .page = 1 + index * PAGES,
			      .length = LENGTH};
}

static bool entry_of_block(void *context, uint64_t segment, uint64_t generation, uint32_t index, uint32_t page, struct entry *entry)
{
	struct blocks *blocks = context;

	blocks->asked++;
	*entry = block_at(index);
	return segment == SEGMENT && generation == GENERATION && page == entry->page;
}

/* as block headers tell it: the one of the birth that the life word says */
static bool search_block(void *context, uint64_t segment, uint64_t generation, const struct unplaced *run, uint32_t index,
			 uint64_t life, struct entry *entry)
{
	struct blocks *blocks = context;

	*entry = block_at(index);
	blocks->asked++;
	blocks->run = *run;
	return segment == SEGMENT && generation == GENERATION && entry->page >= run->from && entry->page < run->end &&
	       life_read(life, entry->birth) != LIFE_OTHER;
}

static void see(void *context, uint32_t index, enum entry_state state, const struct entry *entry, bool mended)
{
	struct blocks *blocks = context;

	(void)mended;
	if (state == ENTRY_HERE && !(entry->flags & ENTRY_VOID))
		blocks->seen[blocks->here++] = index;
}

static void walk(struct blocks *blocks, uint32_t from, uint32_t count)
{
	struct follower_recover recover = {.context = blocks, .entry = entry_of_block, .search = search_block};

	blocks->asked = blocks->here = 0;
	table_walk(&blocks->media.control, &recover, SEGMENT, GENERATION, from, count, see, blocks);
}

static void begin(struct blocks *blocks, uint32_t count)
{
	struct table_header header = {.generation = GENERATION, .segment = SEGMENT, .opened_s = 1};

	fake_open(&blocks->media, 2);
	table_begin(&blocks->media.control, &header, count);
}

static void put(struct blocks *blocks, uint32_t index)
{
	struct entry entry = block_at(index);

	table_publish(&blocks->media.control, SEGMENT, &entry);
}

/* power loss has kept other words of it only: more than one bit is wrong */
static void tear(struct blocks *blocks, uint32_t index)
{
	memset(control_entry(&blocks->media.control, SEGMENT, index) + 32, 0, 32);
}

START_TEST(a_block_tells_what_its_entry_lost)
{
	struct blocks blocks;

	begin(&blocks, 3);
	for (uint32_t i = 0; i < 3; i++)
		put(&blocks, i);
	tear(&blocks, 1);
	walk(&blocks, 0, 3);
	ck_assert_uint_eq(blocks.here, 3);
	ck_assert_uint_eq(blocks.asked, 1);
	walk(&blocks, 1, 3);
	ck_assert_uint_eq(blocks.here, 2);
	tear(&blocks, 2); /* also behind one that only its block tells of */
	walk(&blocks, 0, 3);
	ck_assert_uint_eq(blocks.here, 3);
	fake_close(&blocks.media);
}
END_TEST

static void lose_life(struct blocks *blocks, uint32_t index)
{
	memset(control_entry(&blocks->media.control, SEGMENT, index) + ENTRY_LIFE_OFFSET, 0, 8);
}

static void expect(struct blocks *blocks, uint32_t asked, uint32_t here, uint32_t first)
{
	for (uint32_t from = 0; from < 2; from++) {
		walk(blocks, from, 3);
		ck_assert_uint_eq(blocks->asked, asked);
		ck_assert_uint_eq(blocks->here, here);
		ck_assert_uint_eq(blocks->seen[0], first);
	}
}

/* a put that never ended lies before it, so nobody knows where it begins: the life word tells which block it is, wherever it lies */
START_TEST(a_block_is_searched_for_where_nobody_knows_its_page)
{
	struct blocks blocks;
	struct entry empty = {.index = 0, .generation = GENERATION, .birth = 5, .page = 1, .flags = ENTRY_VOID};

	begin(&blocks, 3);
	put(&blocks, 1);
	put(&blocks, 2);
	tear(&blocks, 1);
	expect(&blocks, 1, 2, 1);
	ck_assert_uint_eq(blocks.run.from, 1);
	ck_assert_uint_eq(blocks.run.end, block_at(2).page);
	table_publish(&blocks.media.control, SEGMENT, &empty); /* somebody continues the segment: nothing comes, nothing goes */
	expect(&blocks, 1, 2, 1);
	fake_close(&blocks.media);
}
END_TEST

/* behind what is known: as far as the two places can reach that nobody knows of, and not beyond the segment */
START_TEST(a_search_is_as_long_as_the_blocks_can_be)
{
	struct blocks blocks;
	uint32_t largest = 16 + 13; /* of 64 KiB, with the longest header */

	begin(&blocks, 4);
	put(&blocks, 0);
	put(&blocks, 2);
	tear(&blocks, 2);
	walk(&blocks, 0, 4);
	ck_assert_uint_eq(blocks.here, 2);
	ck_assert_uint_eq(blocks.run.from, block_at(1).page);
	ck_assert_uint_eq(blocks.run.end, min_u64(blocks.run.from + 2 * largest, layout_segment_pages(&blocks.media.control.layout, SEGMENT)));
	fake_close(&blocks.media);
}
END_TEST

/* nobody knew of the block, and it may have been removed: whoever continues the segment must not bring it back */
START_TEST(a_place_made_void_brings_nothing_back)
{
	struct blocks blocks;
	struct entry empty = {.index = 0, .generation = GENERATION, .birth = 5, .page = block_at(1).page, .flags = ENTRY_VOID};

	begin(&blocks, 3);
	put(&blocks, 1);
	put(&blocks, 2);
	tear(&blocks, 1);
	lose_life(&blocks, 1);
	expect(&blocks, 0, 1, 2);
	table_publish(&blocks.media.control, SEGMENT, &empty);
	expect(&blocks, 0, 1, 2);
	fake_close(&blocks.media);
}
END_TEST

/* what was put there since lies where the block would be */
START_TEST(what_lies_before_the_next_block_is_searched_only)
{
	struct blocks blocks;
	struct entry next = block_at(2);

	begin(&blocks, 3);
	put(&blocks, 1);
	tear(&blocks, 1);
	next.page = block_at(1).page + 1; /* over its last page */
	table_publish(&blocks.media.control, SEGMENT, &next);
	walk(&blocks, 0, 3);
	ck_assert_uint_eq(blocks.run.end, next.page);
	ck_assert_uint_eq(blocks.here, 1);
	ck_assert_uint_eq(blocks.seen[0], 2);
	fake_close(&blocks.media);
}
END_TEST

/* who reserved a place and could not write it knows where the next one begins */
START_TEST(a_failed_put_tells_where_it_ends)
{
	struct blocks blocks;
	struct entry failed = block_at(0);

	failed.flags = ENTRY_VOID;
	begin(&blocks, 2);
	table_publish(&blocks.media.control, SEGMENT, &failed);
	put(&blocks, 1);
	tear(&blocks, 1);
	for (uint32_t from = 0; from < 2; from++) {
		walk(&blocks, from, 2);
		ck_assert_uint_eq(blocks.here, 1);
		ck_assert_uint_eq(blocks.seen[0], 1);
	}
	fake_close(&blocks.media);
}
END_TEST

/*
 * A block was moved away and came back to its place, with the birth that it had, and power loss has taken the newer table's header or the newer
 * entry: a whole entry of one generation, the block of the other, and one life word that says live of both.
 */
START_TEST(a_life_word_of_another_generation_is_cleared)
{
	struct blocks blocks;
	struct entry other = block_at(1), here = block_at(0);

	begin(&blocks, 2);
	put(&blocks, 0);
	for (uint32_t newer = 0; newer < 2; newer++) {
		other.generation = newer ? GENERATION + 0x1000000 : GENERATION - 0x1000000;
		table_publish(&blocks.media.control, SEGMENT, &other);
		ck_assert_int_eq(table_life(&blocks.media.control, SEGMENT, 1, block_at(1).birth), LIFE_LIVE);
		ck_assert(table_clear_life(&blocks.media.control, SEGMENT, GENERATION, 1));
		ck_assert_int_eq(table_life(&blocks.media.control, SEGMENT, 1, block_at(1).birth), LIFE_OTHER);
		ck_assert(!table_clear_life(&blocks.media.control, SEGMENT, GENERATION, 1)); /* once */
	}
	ck_assert(!table_clear_life(&blocks.media.control, SEGMENT, GENERATION, 0));
	ck_assert_int_eq(table_life(&blocks.media.control, SEGMENT, 0, here.birth), LIFE_LIVE);
	fake_close(&blocks.media);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_block_tells_what_its_entry_lost,
		a_block_is_searched_for_where_nobody_knows_its_page,
		a_search_is_as_long_as_the_blocks_can_be,
		what_lies_before_the_next_block_is_searched_only,
		a_place_made_void_brings_nothing_back,
		a_failed_put_tells_where_it_ends,
		a_life_word_of_another_generation_is_cleared,
		NULL};
	return unit_run("table_walk", tests);
}
