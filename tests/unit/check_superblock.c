/* SPDX-License-Identifier: Apache-2.0 */
/* The superblock: both copies, mending, and which versions and features are refused. */
#include "core/format/superblock.h"
#include "tests/unit/unit.h"

#include <memkv/error.h>
#include <string.h>

static struct superblock example(void)
{
	struct superblock sb = {
		.major = FORMAT_MAJOR,
		.minor = FORMAT_MINOR,
		.seed = 0x1122334455667788,
		.instance = 0x99AABBCCDDEEFF00,
		.version = 3,
		.created_s = 1700000000,
		.home_device = 0xFD01,
		.home_inode = 1234567,
		.name = "a pool",
	};
	struct geometry_wish wish = {.bytes = GIB(1)};

	for (uint8_t i = 0; i < 16; i++)
		sb.uuid[i] = (uint8_t)(0xA0 + i);
	ck_assert_int_eq(geometry_choose(&wish, &sb.geo), 0);
	return sb;
}

static void assert_same(const struct superblock *a, const struct superblock *b)
{
	ck_assert_uint_eq(a->major, b->major);
	ck_assert_uint_eq(a->minor, b->minor);
	ck_assert_uint_eq(a->features_compatible, b->features_compatible);
	ck_assert_uint_eq(a->features_read_only, b->features_read_only);
	ck_assert_uint_eq(a->features_incompatible, b->features_incompatible);
	ck_assert_mem_eq(a->uuid, b->uuid, sizeof(a->uuid));
	ck_assert_uint_eq(a->seed, b->seed);
	ck_assert_uint_eq(a->instance, b->instance);
	ck_assert_uint_eq(a->version, b->version);
	ck_assert_uint_eq(a->created_s, b->created_s);
	ck_assert_uint_eq(a->home_device, b->home_device);
	ck_assert_uint_eq(a->home_inode, b->home_inode);
	ck_assert_str_eq(a->name, b->name);
	ck_assert_uint_eq(a->geo.bytes, b->geo.bytes);
	ck_assert_uint_eq(a->geo.max_block, b->geo.max_block);
	ck_assert_uint_eq(a->geo.segment_room, b->geo.segment_room);
	ck_assert_uint_eq(a->geo.segments, b->geo.segments);
	ck_assert_uint_eq(a->geo.segment_pages, b->geo.segment_pages);
	ck_assert_uint_eq(a->geo.last_pages, b->geo.last_pages);
	ck_assert_uint_eq(a->geo.entries, b->geo.entries);
	ck_assert_uint_eq(a->geo.slots, b->geo.slots);
	ck_assert_uint_eq(a->geo.ring_bytes, b->geo.ring_bytes);
	ck_assert_uint_eq(a->geo.checkpoint_bytes, b->geo.checkpoint_bytes);
	ck_assert_uint_eq(a->geo.heat_units, b->geo.heat_units);
}

START_TEST(round_trip)
{
	struct superblock sb = example(), back;
	uint8_t page[PAGE];
	bool mended = true;

	for (unsigned copy = 0; copy < 2; copy++) {
		superblock_encode(&sb, copy, page);
		ck_assert(superblock_magic(page));
		ck_assert_int_eq(superblock_decode(page, copy, &back, &mended), 0);
		ck_assert(!mended);
		assert_same(&sb, &back);
		ck_assert_int_eq(superblock_decode(page, !copy, &back, &mended), MEMKV_DAMAGED);
	}
}
END_TEST

START_TEST(every_flip_is_mended)
{
	struct superblock sb = example(), back;
	uint8_t page[PAGE];
	bool mended;

	superblock_encode(&sb, 0, page);
	for (size_t bit = 0; bit < SUPERBLOCK_LIVE * 8; bit++) {
		flip_bit(page, bit);
		mended = false;
		ck_assert_int_eq(superblock_decode(page, 0, &back, &mended), 0);
		ck_assert(mended);
		assert_same(&sb, &back);
		flip_bit(page, bit);
	}
	memset(page + SUPERBLOCK_LIVE, 0xFF, PAGE - SUPERBLOCK_LIVE); /* not part of it */
	ck_assert_int_eq(superblock_decode(page, 0, &back, &mended), 0);
	ck_assert(!mended);
}
END_TEST

START_TEST(damage)
{
	struct superblock sb = example(), back;
	uint8_t page[PAGE];
	uint64_t state = 1;
	bool mended;

	superblock_encode(&sb, 0, page);
	for (int round = 0; round < 300; round++) {
		size_t a = random_next(&state) % (SUPERBLOCK_LIVE * 8), b = random_next(&state) % (SUPERBLOCK_LIVE * 8);
		if (a == b)
			continue;
		flip_bit(page, a);
		flip_bit(page, b);
		ck_assert_int_eq(superblock_decode(page, 0, &back, &mended), MEMKV_DAMAGED);
		flip_bit(page, a);
		flip_bit(page, b);
	}
	for (int bit = 0; bit < 3; bit++)
		flip_bit(page, (size_t)bit);
	ck_assert(!superblock_magic(page));
	ck_assert_int_eq(superblock_decode(page, 0, &back, &mended), MEMKV_NOT_A_POOL);
	memset(page, 0, sizeof(page));
	ck_assert_int_eq(superblock_decode(page, 0, &back, &mended), MEMKV_NOT_A_POOL);
}
END_TEST

START_TEST(versions_and_features)
{
	struct superblock back;
	uint8_t page[PAGE];
	bool mended;

	for (int bit = 0; bit < 64; bit++) {
		struct superblock sb = example();
		sb.features_incompatible = 1ULL << bit;
		superblock_encode(&sb, 0, page);
		ck_assert_int_eq(superblock_decode(page, 0, &back, &mended),
				 FEATURES_INCOMPATIBLE >> bit & 1 ? 0 : MEMKV_NEWER);
		sb.features_incompatible = 0;
		sb.features_compatible = 1ULL << bit;
		sb.features_read_only = 1ULL << bit; /* the opener's business: open read-only */
		superblock_encode(&sb, 0, page);
		ck_assert_int_eq(superblock_decode(page, 0, &back, &mended), 0);
		assert_same(&sb, &back);
	}
	struct superblock sb = example();
	sb.minor = 99;
	superblock_encode(&sb, 0, page);
	ck_assert_int_eq(superblock_decode(page, 0, &back, &mended), 0);
	sb.major = FORMAT_MAJOR + 1;
	superblock_encode(&sb, 0, page);
	ck_assert_int_eq(superblock_decode(page, 0, &back, &mended), MEMKV_NEWER);
	sb.major = 0;
	superblock_encode(&sb, 0, page);
	ck_assert_int_eq(superblock_decode(page, 0, &back, &mended), MEMKV_DAMAGED);
	sb = example();
	sb.geo.bytes = 0;
	superblock_encode(&sb, 0, page);
	ck_assert_int_eq(superblock_decode(page, 0, &back, &mended), MEMKV_DAMAGED);
}
END_TEST

START_TEST(name_always_ends)
{
	struct superblock sb = example(), back;
	uint8_t page[PAGE];
	bool mended;

	memset(sb.name, 'x', sizeof(sb.name));
	superblock_encode(&sb, 1, page);
	ck_assert_int_eq(superblock_decode(page, 1, &back, &mended), 0);
	ck_assert_uint_eq(strlen(back.name), POOL_NAME_BYTES - 1);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {round_trip, every_flip_is_mended, damage, versions_and_features, name_always_ends,
				      NULL};
	return unit_run("superblock", tests);
}
