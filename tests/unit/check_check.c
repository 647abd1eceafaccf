/* SPDX-License-Identifier: Apache-2.0 */
/* The checksum: what it covers, what it is bound to, and that one flipped bit is mended to the very same bytes. */
#include "core/format/check.h"
#include "tests/unit/unit.h"

#include <string.h>
#include <xxhash.h>

static const size_t lengths[] = {32, 48, 64, 120, 128, 512, 4096};
static uint8_t structure[4096];

static void put_le64(uint8_t *to, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		to[i] = (uint8_t)(v >> 8 * i);
}

/* The arithmetic as FORMAT.md states it, written a second time. */
START_TEST(as_specified)
{
	uint64_t state = 1;

	for (int round = 0; round < 1000; round++) {
		uint64_t pool = random_next(&state), place = random_next(&state), sub = random_next(&state);
		enum check_kind kind = (enum check_kind)(1 + random_next(&state) % CHECK_DIGEST);
		size_t length = lengths[random_next(&state) % ARRAY_COUNT(lengths)];
		uint8_t parts[24];

		put_le64(parts, kind);
		put_le64(parts + 8, place);
		put_le64(parts + 16, sub);
		uint64_t seed = XXH3_64bits_withSeed(parts, 24, pool);
		ck_assert_uint_eq(check_seed(pool, kind, place, sub), seed);

		random_bytes(&state, structure, length);
		uint64_t word0 = 0;
		for (int i = 7; i >= 0; i--)
			word0 = word0 << 8 | structure[i];
		uint64_t value =
			XXH3_64bits_withSeed(structure + 16, length - 16, seed ^ word0 * 0x9E3779B97F4A7C15ULL);
		ck_assert_uint_eq(check_value(structure, length, seed), value);

		check_set(structure, length, seed);
		uint8_t stored[8];
		put_le64(stored, value);
		ck_assert_mem_eq(structure + 8, stored, 8);
		put_le64(parts, place);
		ck_assert_uint_eq(check_short(place, seed, 12), XXH3_64bits_withSeed(parts, 8, seed) & 0xFFF);
	}
}
END_TEST

START_TEST(covers_every_bit)
{
	uint64_t state = 2;

	for (size_t i = 0; i < ARRAY_COUNT(lengths); i++) {
		random_bytes(&state, structure, lengths[i]);
		check_set(structure, lengths[i], 77);
		ck_assert(check_holds(structure, lengths[i], 77));
		for (size_t bit = 0; bit < lengths[i] * 8; bit++) {
			flip_bit(structure, bit);
			ck_assert_msg(!check_holds(structure, lengths[i], 77), "length %zu bit %zu", lengths[i], bit);
			flip_bit(structure, bit);
		}
	}
}
END_TEST

START_TEST(bound_to_pool_kind_and_place)
{
	uint64_t seed = check_seed(1, CHECK_ENTRY, 2, 3);

	ck_assert_uint_ne(seed, check_seed(2, CHECK_ENTRY, 2, 3));
	ck_assert_uint_ne(seed, check_seed(1, CHECK_RECORD, 2, 3));
	ck_assert_uint_ne(seed, check_seed(1, CHECK_ENTRY, 3, 3));
	ck_assert_uint_ne(seed, check_seed(1, CHECK_ENTRY, 2, 4));
	ck_assert_uint_ne(seed, check_seed(1, CHECK_ENTRY, 3, 2));
	check_set(structure, 128, seed);
	ck_assert(check_holds(structure, 128, seed));
	ck_assert(!check_holds(structure, 128, seed + 1));
	ck_assert_int_eq(check_or_mend(structure, 128, check_seed(1, CHECK_ENTRY, 2, 4)), CHECK_BAD);
}
END_TEST

START_TEST(one_flip_is_mended)
{
	uint64_t state = 3;
	uint8_t good[512];

	for (size_t i = 0; i < ARRAY_COUNT(lengths) - 1; i++) {
		size_t length = lengths[i];
		random_bytes(&state, structure, length);
		check_set(structure, length, 5);
		memcpy(good, structure, length);
		ck_assert_int_eq(check_or_mend(structure, length, 5), CHECK_GOOD);
		for (size_t bit = 0; bit < length * 8; bit++) {
			flip_bit(structure, bit);
			ck_assert_int_eq(check_or_mend(structure, length, 5), CHECK_MENDED);
			ck_assert_mem_eq(structure, good, length);
		}
	}
}
END_TEST

START_TEST(more_damage_is_told_and_left_alone)
{
	uint64_t state = 4;
	uint8_t damaged[128];

	for (int round = 0; round < 2000; round++) {
		random_bytes(&state, structure, 128);
		check_set(structure, 128, 5);
		size_t first = random_next(&state) % 1024, second = random_next(&state) % 1024;
		if (first == second)
			continue;
		flip_bit(structure, first);
		flip_bit(structure, second);
		memcpy(damaged, structure, 128);
		ck_assert_int_eq(check_or_mend(structure, 128, 5), CHECK_BAD);
		ck_assert_mem_eq(structure, damaged, 128);
	}
}
END_TEST

START_TEST(blank_and_random_bytes_do_not_verify)
{
	uint64_t state = 5;

	memset(structure, 0, sizeof(structure));
	for (uint64_t place = 0; place < 1000; place++)
		ck_assert(!check_holds(structure, 64, check_seed(9, CHECK_TABLE_HEADER, place, 0)));
	for (int round = 0; round < 20000; round++) {
		random_bytes(&state, structure, 64);
		ck_assert(!check_holds(structure, 64, 6));
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {as_specified,
				      covers_every_bit,
				      bound_to_pool_kind_and_place,
				      one_flip_is_mended,
				      more_damage_is_told_and_left_alone,
				      blank_and_random_bytes_do_not_verify,
				      NULL};
	return unit_run("check", tests);
}
