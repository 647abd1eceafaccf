/* SPDX-License-Identifier: Apache-2.0 */
/* Owner words: the table of moves, the bits, and that flipped bits and words of other places are noticed. */
#include "core/format/owner_word.h"
#include "tests/unit/unit.h"

#include <string.h>

START_TEST(round_trip)
{
	uint64_t state = 1;

	for (int round = 0; round < 100000; round++) {
		uint64_t segment = random_next(&state) % (1 << 24), seed = random_next(&state);
		struct owner_word in =
					  {
						  .state = (enum owner_state)(1 + random_next(&state) % 5),
						  .turn = (uint32_t)random_next(&state) & 0x1FF,
						  .slot = (uint32_t)random_next(&state) & 0x3FF,
						  .epoch = (uint32_t)random_next(&state) & EPOCH_MAX,
					  },
				  out;
		uint64_t raw = owner_word_encode(in, segment, seed), value = le64toh(raw);
		ck_assert(owner_word_decode(raw, segment, seed, &out));
		ck_assert_int_eq(out.state, in.state);
		ck_assert_uint_eq(out.turn, in.turn);
		ck_assert_uint_eq(out.slot, in.slot);
		ck_assert_uint_eq(out.epoch, in.epoch);
		/* the bits as FORMAT.md draws them */
		ck_assert_uint_eq(value >> 61, (unsigned)in.state);
		ck_assert_uint_eq(value >> 52 & 0x1FF, in.turn);
		ck_assert_uint_eq(value >> 42 & 0x3FF, in.slot);
		ck_assert_uint_eq(value >> 12 & 0x3FFFFFFF, in.epoch);
	}
}
END_TEST

START_TEST(up_to_four_flips_never_pass)
{
	struct owner_word word = {OWNER_OPEN, 17, 3, 123456}, out;
	uint64_t raw = owner_word_encode(word, 5, 42), passed = 0;

	for (int a = 0; a < 64; a++)
		for (int b = a; b < 64; b++)
			for (int c = b; c < 64; c++)
				for (int d = c; d < 64; d++) {
					/* equal positions cancel out or repeat: 1 to 4 flips */
					uint64_t flips = 1ULL << a | 1ULL << b | 1ULL << c | 1ULL << d;
					passed += owner_word_decode(raw ^ flips, 5, 42, &out);
				}
	ck_assert_uint_eq(passed, 0);
}
END_TEST

START_TEST(one_flip_never_passes_anywhere)
{
	uint64_t state = 2;
	struct owner_word out;

	for (int round = 0; round < 20000; round++) {
		uint64_t segment = random_next(&state) % (1 << 24), seed = random_next(&state);
		struct owner_word word = {(enum owner_state)(1 + random_next(&state) % 5),
					  (uint32_t)random_next(&state), (uint32_t)random_next(&state),
					  (uint32_t)random_next(&state)};
		uint64_t raw = owner_word_encode(word, segment, seed);
		unsigned passed = 0;
		for (int bit = 0; bit < 64; bit++)
			passed += owner_word_decode(raw ^ 1ULL << bit, segment, seed, &out);
		ck_assert_uint_eq(passed, 0);
	}
}
END_TEST

/* twelve bits of binding: one word in 4096 of another segment or pool passes, no more */
START_TEST(bound_to_segment_and_pool)
{
	struct owner_word word = {OWNER_SEALED, 1, 2, 3}, out;
	uint64_t raw = owner_word_encode(word, 0, 42), other_segment = 0, other_pool = 0;

	for (uint64_t i = 1; i <= 40960; i++) {
		other_segment += owner_word_decode(raw, i, 42, &out);
		other_pool += owner_word_decode(raw, 0, 42 + i, &out);
	}
	ck_assert_uint_le(other_segment, 40);
	ck_assert_uint_le(other_pool, 40);
}
END_TEST

START_TEST(blank_is_not_a_word)
{
	struct owner_word out;

	for (uint64_t segment = 0; segment < 10000; segment++) {
		ck_assert(!owner_word_decode(0, segment, 42, &out));
		ck_assert(!owner_word_decode(UINT64_MAX, segment, 42, &out));
	}
}
END_TEST

START_TEST(moves)
{
	static const struct {
		enum owner_state from, to;
	} legal[] = {
		{OWNER_FREE, OWNER_OPEN},	{OWNER_OPEN, OWNER_SEALED},  {OWNER_OPEN, OWNER_PARKED},
		{OWNER_OPEN, OWNER_OPEN},	{OWNER_PARKED, OWNER_OPEN},  {OWNER_PARKED, OWNER_SEALED},
		{OWNER_SEALED, OWNER_LEAVING},	{OWNER_LEAVING, OWNER_OPEN}, {OWNER_LEAVING, OWNER_SEALED},
		{OWNER_LEAVING, OWNER_LEAVING},	{OWNER_LEAVING, OWNER_FREE},
		{OWNER_FREE, OWNER_RETIRED},	{OWNER_LEAVING, OWNER_RETIRED}, {OWNER_RETIRED, OWNER_FREE},
	};
	unsigned found = 0;

	for (int from = 0; from <= 7; from++)
		for (int to = 0; to <= 7; to++) {
			bool expected = false;
			for (size_t i = 0; i < ARRAY_COUNT(legal); i++)
				expected |= (int)legal[i].from == from && (int)legal[i].to == to;
			ck_assert_msg(owner_move_legal((enum owner_state)from, (enum owner_state)to) == expected,
				      "%d -> %d", from, to);
			found += expected;
		}
	ck_assert_uint_eq(found, ARRAY_COUNT(legal));
}
END_TEST

START_TEST(names)
{
	ck_assert_str_eq(owner_state_name(OWNER_FREE), "free");
	ck_assert_str_eq(owner_state_name(OWNER_OPEN), "open");
	ck_assert_str_eq(owner_state_name(OWNER_SEALED), "sealed");
	ck_assert_str_eq(owner_state_name(OWNER_LEAVING), "leaving");
	ck_assert_str_eq(owner_state_name(OWNER_PARKED), "parked");
	ck_assert_str_eq(owner_state_name(OWNER_RETIRED), "retired");
	ck_assert_str_eq(owner_state_name((enum owner_state)0), "damaged");
	ck_assert_str_eq(owner_state_name((enum owner_state)7), "damaged");
}
END_TEST

START_TEST(one_flip_is_mended)
{
	struct owner_word word = {.state = OWNER_OPEN, .turn = 300, .slot = 17, .epoch = 123456}, mended;
	uint64_t raw = owner_word_encode(word, 9, 0x1234);

	for (unsigned bit = 0; bit < 64; bit++) {
		ck_assert(owner_word_mend(raw ^ 1ULL << bit, 9, 0x1234, &mended));
		ck_assert_int_eq(mended.state, word.state);
		ck_assert_uint_eq(mended.turn, word.turn);
		ck_assert_uint_eq(mended.slot, word.slot);
		ck_assert_uint_eq(mended.epoch, word.epoch);
	}
	for (unsigned bit = 0; bit + 1 < 64; bit++)
		ck_assert(!owner_word_mend(raw ^ 3ULL << bit, 9, 0x1234, &mended)); /* two are not taken for one */
}
END_TEST

START_TEST(generations)
{
	uint64_t generation = generation_make(255, EPOCH_MAX, (1u << GENERATION_COUNTER_BITS) - 1);

	ck_assert_uint_eq(generation_slot(generation), 255);
	ck_assert_uint_eq(generation_epoch(generation), EPOCH_MAX);
	ck_assert_uint_eq(generation & 0xFFFFFF, 0xFFFFFF);
	ck_assert_uint_eq(generation_slot(generation_make(1023, 1, 0)), 1023);
	ck_assert_uint_lt(generation_make(3, 4, 5), generation_make(3, 4, 6));
	ck_assert_uint_lt(generation_make(3, 4, 0xFFFFFF), generation_make(3, 5, 0));
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {round_trip,
				      up_to_four_flips_never_pass,
				      one_flip_never_passes_anywhere,
				      bound_to_segment_and_pool,
				      blank_is_not_a_word,
				      moves,
				      names,
				      one_flip_is_mended,
				      generations,
				      NULL};
	return unit_run("owner_word", tests);
}
