/* SPDX-License-Identifier: Apache-2.0 */
/* Geometry and layout: from what a person asks for to where every byte lies, and what is refused. */
#include "core/format/layout.h"
#include "core/format/block_header.h"
#include "tests/unit/unit.h"

#include <inttypes.h>
#include <memkv/error.h>
#include <string.h>

#define TIB(n) ((uint64_t)(n) << 40)

/* Everything that must hold of a layout that layout_compute() accepted, whatever numbers it came from. */
static void assert_layout(const struct geometry *geo, const struct layout *layout)
{
	uint64_t at = 0;

	for (int i = 0; i < REGIONS; i++) {
		ck_assert_uint_eq(layout->offset[i] % PAGE, 0);
		ck_assert_uint_eq(layout->length[i] % PAGE, 0);
		ck_assert_uint_ge(layout->length[i], PAGE);
		ck_assert_uint_lt(layout->length[i], TIB(4096));
		ck_assert_msg(layout->offset[i] >= at, "%s overlaps what is before it", region_name((enum region)i));
		if (i != REGION_SUPERBLOCK_B)
			ck_assert_uint_eq(layout->offset[i], at);
		at = layout->offset[i] + layout->length[i];
	}
	ck_assert_uint_lt(at, TIB(4096));
	if (geo->bytes)
		ck_assert_uint_eq(at, geo->bytes);
	ck_assert_uint_eq(layout->offset[REGION_SUPERBLOCK], 0);
	ck_assert_uint_eq(layout->control_bytes, layout->offset[REGION_SEGMENTS]);
	ck_assert_uint_ge(layout->length[REGION_TABLES], geo->segments * layout->table_bytes);
	ck_assert_uint_ge(layout->table_bytes, PAGE + (uint64_t)geo->entries * ENTRY_BYTES);
	ck_assert_uint_ge(layout->length[REGION_OWNER_WORDS], geo->segments * 8ULL);
	ck_assert_uint_ge(layout->length[REGION_AGES], geo->segments * 8ULL);
	ck_assert_uint_ge(layout->length[REGION_PULSES], geo->segments * 8ULL);
	ck_assert_uint_ge(layout->length[REGION_HEAT], (uint64_t)geo->segments * geo->heat_units);
	ck_assert_uint_ge(layout->heat_unit_pages * geo->heat_units, geo->segment_pages);
	ck_assert_uint_ge(layout->length[REGION_LOG_RINGS], (uint64_t)geo->slots * RINGS_PER_SLOT * geo->ring_bytes);
	ck_assert_uint_ge(layout->length[REGION_CHECKPOINTS],
			  (uint64_t)geo->slots * CHECKPOINTS_PER_SLOT * geo->checkpoint_bytes);
	ck_assert_uint_ge(layout->claim_row_bytes, (uint64_t)geo->slots * CLAIM_BYTES);
	ck_assert_uint_eq(layout->length[REGION_SEGMENTS],
			  ((geo->segments - 1ULL) * geo->segment_pages + geo->last_pages) * PAGE);
	for (unsigned copy = 0; copy < SLOT_COPIES; copy++)
		for (unsigned slot = 0; slot < geo->slots; slot++)
			ck_assert_uint_eq(layout_slot_cell(layout, copy, slot),
					  layout->offset[REGION_SLOT_CELLS] + (copy * geo->slots + slot) * PAGE);
}

static void assert_segments(const struct layout *layout)
{
	uint64_t last = layout->geo.segments - 1ULL, before = layout->offset[REGION_SEGMENTS] / PAGE - 1;
	uint64_t tries[] = {0, 1, last / 2, last - 1, last};

	for (size_t i = 0; i < ARRAY_COUNT(tries); i++) {
		uint64_t first = layout_segment(layout, tries[i]) / PAGE;
		uint64_t pages = layout_segment_pages(layout, tries[i]);
		ck_assert_uint_eq(pages, tries[i] == last ? layout->geo.last_pages : layout->geo.segment_pages);
		ck_assert_uint_eq(layout_segment_of(layout, first), tries[i]);
		ck_assert_uint_eq(layout_segment_of(layout, first + pages - 1), tries[i]);
		ck_assert_uint_eq(layout_table(layout, tries[i]),
				  layout->offset[REGION_TABLES] + tries[i] * layout->table_bytes);
	}
	uint64_t behind = (layout->offset[REGION_SEGMENTS] + layout->length[REGION_SEGMENTS]) / PAGE;
	ck_assert_uint_eq(layout_segment_of(layout, before), UINT64_MAX);
	ck_assert_uint_eq(layout_segment_of(layout, 0), UINT64_MAX);
	ck_assert_uint_eq(layout_segment_of(layout, behind), UINT64_MAX);
	ck_assert_uint_eq(layout_segment_of(layout, layout->offset[REGION_SUPERBLOCK_B] / PAGE), UINT64_MAX);
	ck_assert_uint_eq(layout_segment_of(layout, UINT64_MAX), UINT64_MAX);
}

static void assert_choice(const struct geometry_wish *wish, const struct geometry *geo)
{
	struct layout layout;

	ck_assert_int_eq(layout_compute(geo, &layout), 0);
	assert_layout(geo, &layout);
	assert_segments(&layout);
	ck_assert_uint_ge(geo->segments, SEGMENTS_MIN);
	ck_assert_uint_eq(geo->slots, wish->slots ? wish->slots : min_u64(SLOTS_MAX, geo->segments / 4));
	ck_assert_uint_ge(geo->segment_room, geo->max_block);
	/* every segment takes a largest block with all its metadata */
	uint64_t largest = block_pages(geo->max_block) + header_pages(geo->max_block, BLOCK_META_MAX);
	ck_assert_uint_lt(largest, geo->segment_pages);
	ck_assert_uint_ge(geometry_room(geo, geo->max_block), geo->segments - 1ULL);
	ck_assert_uint_eq(geometry_room(geo, geo->max_block + 1), 0);
	ck_assert_uint_eq(geometry_room(geo, 0), 0);
}

START_TEST(sizes_from_8M_to_1P)
{
	struct geometry geo;

	for (uint64_t base = MIB(8); base <= TIB(1024); base *= 2) {
		const uint64_t sizes[] = {base, base + 1, base + PAGE, base + base / 3, base + base / 2 + 4095};
		for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
			struct geometry_wish wish = {.bytes = sizes[i]};
			ck_assert_msg(geometry_choose(&wish, &geo) == 0, "%" PRIu64 ": %s", sizes[i],
				      memkv_error_detail());
			assert_choice(&wish, &geo);
			ck_assert_uint_eq(geo.bytes, round_down(sizes[i], PAGE));
			/* what a default pool is for: its largest blocks fill it but for headers and control */
			double used = (double)(geometry_room(&geo, geo.max_block) * geo.max_block) / (double)geo.bytes;
			ck_assert_msg(used >= (base < MIB(512) ? 0.60 : 0.90), "%" PRIu64 " bytes: %.3f of it is room",
				      sizes[i], used);
		}
	}
}
END_TEST

/* the documented defaults */
START_TEST(default_block_and_control)
{
	static const struct {
		uint64_t bytes, max_block;
	} rows[] = {{MIB(8), KIB(64)}, {MIB(100), KIB(768)}, {GIB(1), MIB(8)}, {GIB(2), MIB(16)}, {TIB(1), MIB(16)}};
	struct geometry geo;
	struct layout layout;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct geometry_wish wish = {.bytes = rows[i].bytes};
		ck_assert_int_eq(geometry_choose(&wish, &geo), 0);
		ck_assert_uint_eq(geo.max_block, rows[i].max_block);
		ck_assert_int_eq(layout_compute(&geo, &layout), 0);
		ck_assert_uint_le(layout.control_bytes, geo.bytes / (geo.bytes < MIB(256) ? 3 : 25));
	}
}
END_TEST

START_TEST(wishes_are_kept)
{
	static const uint64_t bytes[] = {MIB(8), MIB(64), GIB(1), GIB(10), TIB(2)};
	static const uint64_t blocks[] = {0, 1, 4096, KIB(16), KIB(64), KIB(100), MIB(1), MIB(16), MIB(256)};
	static const uint64_t segments[] = {0, KIB(64), MIB(1), MIB(64), GIB(1), GIB(64)};
	static const uint32_t slots[] = {0, 2, 17, 256};
	unsigned made = 0;

	for (size_t i = 0; i < ARRAY_COUNT(bytes) * ARRAY_COUNT(blocks) * ARRAY_COUNT(segments) * ARRAY_COUNT(slots);
	     i++) {
		size_t n = i;
		struct geometry_wish wish = {.bytes = bytes[n % ARRAY_COUNT(bytes)]};
		n /= ARRAY_COUNT(bytes);
		wish.max_block = blocks[n % ARRAY_COUNT(blocks)];
		n /= ARRAY_COUNT(blocks);
		wish.segment = segments[n % ARRAY_COUNT(segments)];
		n /= ARRAY_COUNT(segments);
		wish.slots = slots[n];
		struct geometry geo;
		int err = geometry_choose(&wish, &geo);
		ck_assert(err == 0 || err == MEMKV_GEOMETRY);
		if (err)
			continue;
		made++;
		assert_choice(&wish, &geo);
		ck_assert(!wish.max_block || geo.max_block == wish.max_block);
		ck_assert(!wish.segment || geo.segment_room == wish.segment);
	}
	ck_assert_uint_ge(made, 200);
}
END_TEST

/* no room is left over for another segment, but for what rounding of the control sizes may cost */
START_TEST(segments_fill_the_pool)
{
	for (uint64_t bytes = MIB(8); bytes <= TIB(64); bytes = bytes * 7 / 4) {
		struct geometry_wish wish = {.bytes = bytes};
		struct geometry geo;
		struct layout layout;
		ck_assert_int_eq(geometry_choose(&wish, &geo), 0);
		ck_assert_int_eq(layout_compute(&geo, &layout), 0);
		uint64_t end = layout.offset[REGION_SEGMENTS] + layout.length[REGION_SEGMENTS];
		uint64_t stride = (uint64_t)geo.segment_pages * PAGE;
		ck_assert_uint_lt(layout.offset[REGION_SUPERBLOCK_B] - end, 4 * stride + geo.bytes / 128);
	}
}
END_TEST

static void assert_exact(uint64_t blocks, uint64_t size)
{
	struct geometry_wish wish = {.blocks = blocks, .block_size = size};
	struct geometry geo;

	ck_assert_msg(geometry_choose(&wish, &geo) == 0, "%" PRIu64 " x %" PRIu64 ": %s", blocks, size,
		      memkv_error_detail());
	ck_assert_uint_eq(geometry_room(&geo, size), blocks);
	ck_assert_uint_eq(geo.max_block, size);
	assert_choice(&wish, &geo);
	struct layout layout;
	ck_assert_int_eq(layout_compute(&geo, &layout), 0);
	ck_assert_uint_eq(layout.offset[REGION_SUPERBLOCK_B],
			  layout.offset[REGION_SEGMENTS] + layout.length[REGION_SEGMENTS]); /* nothing left over */
}

START_TEST(exact_room)
{
	static const uint64_t counts[] = {64,	65,   66,   100,  127,	 128,	129,	191,	192,
					  1000, 4095, 4096, 4097, 18279, 65537, 100000, 1000003};
	static const uint64_t sizes[] = {1,	      100,    4095,	  4096,	   4097,    KIB(16), KIB(64),
					 KIB(64) + 1, MIB(1), MIB(2) + 3, MIB(16), MIB(17), MIB(256)};
	uint64_t state = 1;

	assert_exact(18279, KIB(16));
	assert_exact(64, MIB(1));
	for (size_t i = 0; i < ARRAY_COUNT(counts); i++)
		for (size_t j = 0; j < ARRAY_COUNT(sizes); j++)
			assert_exact(counts[i], sizes[j]);
	for (int round = 0; round < 3000; round++)
		assert_exact(64 + random_next(&state) % 3000000, 1 + random_next(&state) % MIB(64));
}
END_TEST

START_TEST(refused_wishes)
{
	static const struct {
		struct geometry_wish wish;
		int code;
	} rows[] = {
		{{0}, MEMKV_GEOMETRY},
		{{.bytes = 1}, MEMKV_GEOMETRY},
		{{.bytes = MIB(4)}, MEMKV_GEOMETRY},
		{{.bytes = MIB(8), .slots = 1}, MEMKV_GEOMETRY},
		{{.bytes = MIB(8), .slots = 256}, MEMKV_GEOMETRY}, /* their cells and logs alone are more */
		{{.bytes = GIB(1), .slots = 257}, MEMKV_GEOMETRY},
		{{.bytes = GIB(1), .max_block = MIB(256) + 1}, MEMKV_GEOMETRY},
		{{.bytes = GIB(1), .max_block = MIB(16)}, MEMKV_GEOMETRY}, /* 64 of them do not fit */
		{{.bytes = GIB(4), .max_block = MIB(16), .segment = MIB(16) - 1}, MEMKV_GEOMETRY},
		{{.bytes = GIB(4), .segment = MIB(64)}, MEMKV_GEOMETRY},
		{{.bytes = TIB(64), .segment = GIB(65)}, MEMKV_GEOMETRY},
		{{.bytes = TIB(1024), .max_block = 1, .segment = GIB(64)}, MEMKV_GEOMETRY},
		{{.bytes = UINT64_MAX}, MEMKV_GEOMETRY},
		{{.blocks = 100}, MEMKV_CONFLICT},
		{{.block_size = 100}, MEMKV_CONFLICT},
		{{.blocks = 100, .block_size = 100, .bytes = MIB(64)}, MEMKV_CONFLICT},
		{{.blocks = 100, .block_size = 100, .max_block = 100}, MEMKV_CONFLICT},
		{{.blocks = 100, .block_size = 100, .segment = MIB(1)}, MEMKV_CONFLICT},
		{{.blocks = 63, .block_size = KIB(16)}, MEMKV_GEOMETRY},
		{{.blocks = 64, .block_size = MIB(256) + 1}, MEMKV_GEOMETRY},
		{{.blocks = UINT64_MAX, .block_size = KIB(16)}, MEMKV_GEOMETRY},
		{{.blocks = 1ULL << 36, .block_size = MIB(256)}, MEMKV_GEOMETRY},
		{{.blocks = 100, .block_size = UINT64_MAX}, MEMKV_GEOMETRY},
	};
	struct geometry geo;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		int err = geometry_choose(&rows[i].wish, &geo);
		ck_assert_msg(err == rows[i].code, "row %zu: %s, not %s", i, memkv_code_name(err),
			      memkv_code_name(rows[i].code));
		ck_assert_uint_gt(strlen(memkv_error_detail()), 10);
	}
}
END_TEST

static const struct geometry sound = {
	.bytes = MIB(64),
	.max_block = KIB(512),
	.segment_room = KIB(512),
	.segments = 64,
	.segment_pages = 130,
	.last_pages = 130,
	.entries = 32,
	.slots = 16,
	.ring_bytes = KIB(16),
	.checkpoint_bytes = KIB(16),
	.heat_units = 64,
};

START_TEST(contradictions)
{
	struct geometry bad[] = {sound, sound, sound, sound, sound, sound, sound, sound, sound, sound, sound, sound,
				 sound, sound, sound, sound, sound, sound, sound, sound, sound, sound, sound, sound};
	size_t n = 0;
	struct layout layout;

	ck_assert_int_eq(layout_compute(&sound, &layout), 0);
	assert_layout(&sound, &layout);
	bad[n++].bytes = MIB(16);
	bad[n++].bytes = MIB(64) + 1;
	bad[n++].bytes = 1; /* would wrap below the last page */
	bad[n++].bytes = UINT64_MAX;
	bad[n++].max_block = 0;
	bad[n++].max_block = MIB(1);
	bad[n++].max_block = UINT64_MAX;
	bad[n++].segments = 63;
	bad[n++].segments = UINT32_MAX;
	bad[n++].segment_pages = 0;
	bad[n++].segment_pages = 129;
	bad[n++].segment_pages = 1u << 31;
	bad[n++].last_pages = 131;
	bad[n++].last_pages = 2;
	bad[n++].entries = 0;
	bad[n++].entries = UINT32_MAX;
	bad[n++].slots = 1;
	bad[n++].slots = 257;
	bad[n++].ring_bytes = 0;
	bad[n++].ring_bytes = KIB(16) + 8;
	bad[n++].checkpoint_bytes = UINT32_MAX;
	bad[n++].heat_units = 65;
	bad[n++].heat_units = 0;
	bad[n].bytes = TIB(1);
	bad[n].segments = 1u << 23; /* times pages times 4096 is over 2^64 */
	bad[n].segment_pages = 1u << 30;
	bad[n++].last_pages = 1u << 30;
	ck_assert_uint_eq(n, ARRAY_COUNT(bad));
	for (size_t i = 0; i < n; i++)
		ck_assert_msg(layout_compute(&bad[i], &layout) == MEMKV_GEOMETRY, "row %zu was taken", i);
}
END_TEST

/* numbers from a damaged superblock: refused, or a layout without overlap and overflow */
START_TEST(any_numbers_are_safe)
{
	uint64_t state = 7;
	struct layout layout;
	unsigned taken = 0;

	for (int round = 0; round < 300000; round++) {
		struct geometry geo = sound;
		uint32_t *fields[] = {&geo.segments, &geo.segment_pages, &geo.last_pages,	&geo.entries,
				      &geo.slots,    &geo.ring_bytes,	 &geo.checkpoint_bytes, &geo.heat_units};
		for (int changes = 0; changes < 3; changes++) {
			uint64_t v = random_next(&state) >> random_next(&state) % 64;
			size_t field = random_next(&state) % (ARRAY_COUNT(fields) + 2);
			if (field < ARRAY_COUNT(fields))
				*fields[field] = (uint32_t)(random_next(&state) % 2 ? v : round_down(v, PAGE));
			else if (field == ARRAY_COUNT(fields))
				geo.max_block = v;
			else
				geo.bytes = random_next(&state) % 2 ? v : round_down(v, PAGE);
		}
		if (layout_compute(&geo, &layout) == 0) {
			taken++;
			assert_layout(&geo, &layout);
			assert_segments(&layout);
		}
	}
	ck_assert_uint_ge(taken, 1000);
}
END_TEST

START_TEST(pages)
{
	ck_assert_uint_eq(block_pages(1), 1);
	ck_assert_uint_eq(block_pages(PAGE), 1);
	ck_assert_uint_eq(block_pages(PAGE + 1), 2);
	ck_assert_uint_eq(header_pages(1, 0), 1);
	/* the largest block with all its metadata still has a header of one page */
	ck_assert_uint_eq(header_pages(BLOCK_BYTES_MAX, BLOCK_META_MAX), 1);
	for (uint64_t length = 1; length <= BLOCK_BYTES_MAX; length = length * 3 / 2 + 1) {
		uint32_t bytes = chunk_bytes_for(length);
		ck_assert_uint_ge(bytes, CHUNK_BYTES_MIN);
		ck_assert_uint_le(chunk_count(length, bytes), 256);
		ck_assert_uint_ge((uint64_t)chunk_count(length, bytes) * bytes, length);
	}
	ck_assert_str_eq(region_name(REGION_SUPERBLOCK), "superblock");
	ck_assert_str_eq(region_name(REGION_SUPERBLOCK_B), "superblock B");
	ck_assert_str_eq(region_name(REGIONS), "?");
	for (int i = 0; i < REGIONS; i++)
		ck_assert_uint_gt(strlen(region_name((enum region)i)), 3);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {sizes_from_8M_to_1P,
				      default_block_and_control,
				      wishes_are_kept,
				      segments_fill_the_pool,
				      exact_room,
				      refused_wishes,
				      contradictions,
				      any_numbers_are_safe,
				      pages,
				      NULL};
	return unit_run("layout", tests);
}
