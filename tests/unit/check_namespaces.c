/* SPDX-License-Identifier: Apache-2.0 */
/* Pools of several namespaces: where things lie, and the superblock's table. */
#include "core/format/superblock.h"
#include "tests/unit/unit.h"

#include <memkv/error.h>
#include <string.h>

enum { FURTHER = 3 };

/* home and three more, of unlike sizes; the second was removed */
static struct superblock example(void)
{
	struct superblock sb = {
		.major = FORMAT_MAJOR,
		.features_incompatible = FEATURE_NAMESPACES,
		.seed = 0x1122334455667788,
		.instance = 0x99AABBCCDDEEFF00,
		.version = 7,
		.name = "several",
		.further = FURTHER,
	};
	struct geometry_wish wish = {.bytes = MIB(256)};
	static const uint64_t sizes[FURTHER] = {MIB(96), MIB(700) + 3 * PAGE, MIB(40) + 511};
	struct layout layout;

	for (uint8_t i = 0; i < 16; i++)
		sb.uuid[i] = (uint8_t)(0xA0 + i);
	ck_assert_int_eq(geometry_choose(&wish, &sb.geo), 0);
	ck_assert_int_eq(layout_compute(&sb.geo, &layout), 0);
	for (uint32_t n = 0; n < FURTHER; n++) {
		struct namespace_entry *ns = &sb.namespaces[n];
		ck_assert_int_eq(namespace_choose(&layout, sizes[n], &ns->geo), 0);
		ck_assert_int_eq(layout_add(&layout, &ns->geo), 0);
		ns->state = n == 1 ? NAMESPACE_REMOVED : NAMESPACE_USED;
		memset(ns->id, (int)n + 1, sizeof(ns->id));
		memset(ns->device, (int)n + 17, sizeof(ns->device));
		snprintf(ns->path, sizeof(ns->path), "/pools/part.%u", n + 1);
	}
	return sb;
}

/* every part of every segment lies inside its namespace, and none over another */
START_TEST(places)
{
	struct superblock sb = example();
	struct layout l;
	uint64_t end = 0;

	ck_assert_int_eq(superblock_layout(&sb, &l), 0);
	ck_assert_uint_eq(l.extent_count, FURTHER + 1);
	for (unsigned n = 0; n < l.extent_count; n++) {
		const struct extent *e = &l.extents[n];
		uint64_t last = e->first_segment + e->segments - 1;
		ck_assert_uint_ge(e->base, end);
		end = e->base + e->bytes;
		ck_assert_uint_eq(layout_namespace_at(&l, e->base), n);
		ck_assert_uint_eq(layout_namespace_at(&l, end - 1), n);
		ck_assert_uint_eq(layout_namespace(&l, e->first_segment), n);
		ck_assert_uint_eq(layout_namespace(&l, last), n);
		ck_assert_uint_le(layout_segment(&l, last) + (uint64_t)layout_segment_pages(&l, last) * PAGE, end - PAGE);
		ck_assert_uint_le(layout_table(&l, last) + l.table_bytes, layout_segment(&l, e->first_segment));
		ck_assert_uint_ge(layout_owner_word(&l, e->first_segment), e->base + PAGE);
		if (n) {
			ck_assert_uint_lt(layout_owner_word(&l, last), layout_age(&l, e->first_segment));
			ck_assert_uint_lt(layout_age(&l, last), layout_pulse(&l, e->first_segment));
			ck_assert_uint_lt(layout_pulse(&l, last), layout_heat(&l, e->first_segment));
			ck_assert_uint_le(layout_heat(&l, last) + sb.geo.heat_units, layout_table(&l, e->first_segment));
			/* not one more would fit */
			ck_assert_uint_gt(layout_segment(&l, last) + 2ULL * sb.geo.segment_pages * PAGE + l.table_bytes + PAGE,
					  end - l.table_bytes);
		}
		ck_assert_uint_eq(layout_segment_of(&l, e->base >> PAGE_SHIFT), UINT64_MAX);
		ck_assert_uint_eq(layout_segment_of(&l, (end >> PAGE_SHIFT) - 1), UINT64_MAX);
	}
	for (uint64_t s = 0; s < l.segments; s++) {
		uint64_t first = layout_segment(&l, s) >> PAGE_SHIFT;
		ck_assert_uint_eq(layout_segment_of(&l, first), s);
		ck_assert_uint_eq(layout_segment_of(&l, first + layout_segment_pages(&l, s) - 1), s);
		ck_assert(s == 0 || layout_table(&l, s) >= layout_table(&l, s - 1) + l.table_bytes);
	}
	uint64_t room = 0;
	for (unsigned n = 0; n < l.extent_count; n++)
		room += layout_room(&l, n, sb.geo.max_block);
	ck_assert_uint_ge(room, l.segments);
}
END_TEST

static void assert_same(const struct superblock *a, const struct superblock *b)
{
	ck_assert_uint_eq(a->ordinal, b->ordinal);
	ck_assert_mem_eq(a->id, b->id, sizeof(a->id));
	ck_assert_uint_eq(a->further, b->further);
	for (uint32_t n = 0; n < a->further; n++) {
		const struct namespace_entry *x = &a->namespaces[n], *y = &b->namespaces[n];
		ck_assert_uint_eq(x->geo.base, y->geo.base);
		ck_assert_uint_eq(x->geo.bytes, y->geo.bytes);
		ck_assert_uint_eq(x->geo.first_segment, y->geo.first_segment);
		ck_assert_uint_eq(x->geo.segments, y->geo.segments);
		ck_assert_uint_eq(x->geo.last_pages, y->geo.last_pages);
		ck_assert_int_eq(x->state, y->state);
		ck_assert_mem_eq(x->id, y->id, sizeof(x->id));
		ck_assert_mem_eq(x->device, y->device, sizeof(x->device));
		ck_assert_str_eq(x->path, y->path);
	}
}

START_TEST(round_trip)
{
	struct superblock sb = example(), back;
	uint8_t page[PAGE];
	bool mended;

	for (unsigned n = 0; n <= FURTHER; n++)
		for (unsigned copy = 0; copy < 2; copy++) {
			struct superblock on = superblock_on(&sb, n);
			superblock_encode(&on, copy, page);
			ck_assert_int_eq(superblock_decode(page, copy, &back, &mended), 0);
			ck_assert(!mended);
			assert_same(&on, &back);
			ck_assert_uint_eq(superblock_bytes(&back), n ? sb.namespaces[n - 1].geo.bytes : sb.geo.bytes);
			ck_assert(namespace_in_pool(&back, n) == (n != 2));
		}
}
END_TEST

/* one bit of the table is mended; more than one, or entries of another version, are damage */
START_TEST(flips)
{
	struct superblock sb = example(), newer = example(), back;
	uint8_t page[PAGE], other[PAGE];
	bool mended;

	superblock_encode(&sb, 0, page);
	for (size_t bit = SUPERBLOCK_LIVE * 8; bit < (SUPERBLOCK_LIVE + FURTHER * NAMESPACE_ENTRY_BYTES) * 8; bit += 5) {
		page[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert_int_eq(superblock_decode(page, 0, &back, &mended), 0);
		ck_assert(mended);
		assert_same(&sb, &back);
		size_t second = bit < (SUPERBLOCK_LIVE + NAMESPACE_ENTRY_BYTES / 2) * 8 ? bit + 600 : bit - 600;
		bool together = second / 8 / NAMESPACE_ENTRY_BYTES == bit / 8 / NAMESPACE_ENTRY_BYTES;
		page[second / 8] ^= (uint8_t)(1 << second % 8);
		ck_assert(!together || superblock_decode(page, 0, &back, &mended) == MEMKV_DAMAGED);
		page[second / 8] ^= (uint8_t)(1 << second % 8);
		page[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	newer.version++;
	superblock_encode(&newer, 0, other);
	for (size_t sector = SUPERBLOCK_LIVE; sector < SUPERBLOCK_LIVE + FURTHER * NAMESPACE_ENTRY_BYTES; sector += 512) {
		uint8_t torn[PAGE];
		memcpy(torn, other, sector);
		memcpy(torn + sector, page + sector, PAGE - sector);
		ck_assert_int_eq(superblock_decode(torn, 0, &back, &mended), MEMKV_DAMAGED);
	}
}
END_TEST

START_TEST(refused)
{
	struct superblock sb = example(), back;
	struct layout l;
	uint8_t page[PAGE];
	bool mended;

	/* without the feature nothing of it means anything, and an older memkv refuses it */
	sb.features_incompatible = 0;
	superblock_encode(&sb, 0, page);
	ck_assert_int_eq(superblock_decode(page, 0, &back, &mended), 0);
	ck_assert_uint_eq(back.further, 0);
	for (int row = 0; row < 9; row++) {
		struct superblock bad = example();
		struct namespace_entry *ns = &bad.namespaces[row % FURTHER];
		switch (row) {
		case 0: ns->geo.base += PAGE; break;
		case 1: ns->geo.base = 0; break;
		case 2: ns->geo.bytes += 1; break;
		case 3: ns->geo.first_segment++; break;
		case 4: ns->geo.segments = 0; break;
		case 5: ns->geo.segments++; break;
		case 6: ns->geo.last_pages = bad.geo.segment_pages + 1; break;
		case 7: ns->geo.bytes = UINT64_MAX & ~(uint64_t)(PAGE - 1); break;
		default: ns->geo.segments = UINT32_MAX; break;
		}
		ck_assert_msg(superblock_layout(&bad, &l) == MEMKV_GEOMETRY, "row %d was taken", row);
	}
	struct superblock many = example();
	many.ordinal = FURTHER + 1;
	superblock_encode(&many, 0, page);
	ck_assert_int_eq(superblock_decode(page, 0, &back, &mended), MEMKV_DAMAGED);
	many = example();
	many.namespaces[0].state = (enum namespace_state)3;
	superblock_encode(&many, 0, page);
	ck_assert_int_eq(superblock_decode(page, 0, &back, &mended), MEMKV_DAMAGED);
	/* as many as there may be, and no more */
	ck_assert_int_eq(superblock_layout(&sb, &l), 0);
	struct namespace_geometry ns;
	while (l.extent_count < NAMESPACES_MAX) {
		ck_assert_int_eq(namespace_choose(&l, MIB(20), &ns), 0);
		ck_assert_int_eq(layout_add(&l, &ns), 0);
	}
	ck_assert_int_eq(namespace_choose(&l, MIB(20), &ns), MEMKV_GEOMETRY);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {places, round_trip, flips, refused, NULL};
	return unit_run("namespaces", tests);
}
