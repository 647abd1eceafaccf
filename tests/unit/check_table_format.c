/* SPDX-License-Identifier: Apache-2.0 */
/* Segment tables: header, tail word, entries and life words, with every single flipped bit. */
#include "core/format/table_format.h"
#include "tests/unit/unit.h"

#include <string.h>

static const uint64_t seed = 0xABCDEF, segment = 12;

static struct entry example(void)
{
	struct entry e = {.index = 34,
			  .header_pages = 1,
			  .generation = 0x123456789,
			  .birth = 0xFEDCBA9876543210,
			  .page = 1000,
			  .length = 65536,
			  .expires_s = 1800000000,
			  .session_id = 5,
			  .group = 6,
			  .stored_s = 1700000000,
			  .model = 7,
			  .depth = 8,
			  .tenant = 9,
			  .class_id = 2};

	for (uint8_t i = 0; i < 32; i++)
		e.key[i] = (uint8_t)(i * 7);
	return e;
}

static void assert_same(const struct entry *a, const struct entry *b)
{
	ck_assert_uint_eq(a->index, b->index);
	ck_assert_uint_eq(a->header_pages, b->header_pages);
	ck_assert_uint_eq(a->generation, b->generation);
	ck_assert_uint_eq(a->birth, b->birth);
	ck_assert_mem_eq(a->key, b->key, 32);
	ck_assert_uint_eq(a->page, b->page);
	ck_assert_uint_eq(a->length, b->length);
	ck_assert_uint_eq(a->expires_s, b->expires_s);
	ck_assert_uint_eq(a->session_id, b->session_id);
	ck_assert_uint_eq(a->group, b->group);
	ck_assert_uint_eq(a->stored_s, b->stored_s);
	ck_assert_uint_eq(a->model, b->model);
	ck_assert_uint_eq(a->depth, b->depth);
	ck_assert_uint_eq(a->tenant, b->tenant);
	ck_assert_uint_eq(a->class_id, b->class_id);
	ck_assert_uint_eq(a->flags, b->flags);
}

static uint64_t life_of(const uint8_t bytes[ENTRY_BYTES])
{
	uint64_t raw;

	memcpy(&raw, bytes + ENTRY_LIFE_OFFSET, sizeof(raw));
	return raw;
}

START_TEST(entries)
{
	struct entry e = example(), back;
	uint8_t bytes[ENTRY_BYTES];

	entry_encode(&e, segment, seed, bytes);
	ck_assert_int_eq(entry_decode(bytes, segment, 34, seed, false, &back), CHECK_GOOD);
	assert_same(&e, &back);
	ck_assert_int_eq(life_read(life_of(bytes), e.birth), LIFE_LIVE);
	ck_assert_int_eq(entry_decode(bytes, segment, 35, seed, true, &back), CHECK_BAD);
	ck_assert_int_eq(entry_decode(bytes, segment + 1, 34, seed, true, &back), CHECK_BAD);
	ck_assert_int_eq(entry_decode(bytes, segment, 34, seed + 1, true, &back), CHECK_BAD);
	e.flags = ENTRY_VOID;
	entry_encode(&e, segment, seed, bytes);
	ck_assert_int_eq(entry_decode(bytes, segment, 34, seed, false, &back), CHECK_GOOD);
	ck_assert_uint_eq(back.flags, ENTRY_VOID);
	ck_assert_int_eq(life_read(life_of(bytes), e.birth), LIFE_REMOVED);
}
END_TEST

START_TEST(every_entry_flip)
{
	struct entry e = example(), back;
	uint8_t bytes[ENTRY_BYTES];

	entry_encode(&e, segment, seed, bytes);
	for (size_t bit = 0; bit < ENTRY_BYTES * 8; bit++) {
		bool in_life = bit >= ENTRY_LIFE_OFFSET * 8;
		flip_bit(bytes, bit);
		ck_assert_int_eq(entry_decode(bytes, segment, 34, seed, false, &back),
				 in_life ? CHECK_GOOD : CHECK_BAD);
		ck_assert_int_eq(entry_decode(bytes, segment, 34, seed, true, &back),
				 in_life ? CHECK_GOOD : CHECK_MENDED);
		assert_same(&e, &back);
		ck_assert_int_eq(life_read(life_of(bytes), e.birth), LIFE_LIVE);
		flip_bit(bytes, bit);
	}
}
END_TEST

/* what a reader can see while the writer stores the words one by one over an older entry */
START_TEST(half_written_entries_do_not_verify)
{
	struct entry old = example(), new = example(), back;
	uint64_t from[ENTRY_WORDS], to[ENTRY_WORDS], mix[ENTRY_WORDS];
	uint64_t state = 3;

	new.generation++;
	new.birth = 1;
	new.length = 9;
	new.page = 2;
	memset(new.key, 0x5C, sizeof(new.key));
	entry_encode(&old, segment, seed, (uint8_t *)from);
	entry_encode(&new, segment, seed, (uint8_t *)to);
	for (int round = 0; round < 20000; round++) {
		uint64_t taken = random_next(&state);
		bool all_old = true, all_new = true;
		for (int i = 0; i < ENTRY_WORDS; i++) {
			mix[i] = taken >> i & 1 ? to[i] : from[i];
			if (i == ENTRY_WORDS - 1)
				continue;
			all_old &= mix[i] == from[i];
			all_new &= mix[i] == to[i];
		}
		enum check_result result = entry_decode((const uint8_t *)mix, segment, 34, seed, false, &back);
		ck_assert_int_eq(result, all_old || all_new ? CHECK_GOOD : CHECK_BAD);
	}
}
END_TEST

START_TEST(life)
{
	uint64_t state = 4;

	for (int round = 0; round < 50; round++) {
		uint64_t birth = random_next(&state), other = random_next(&state);
		for (enum life which = LIFE_LIVE; which < LIFE_OTHER; which++) {
			uint64_t word = life_word(which, birth);
			ck_assert_int_eq(life_read(word, birth), which);
			ck_assert_int_eq(life_read(word, other), LIFE_OTHER);
			for (enum life second = LIFE_LIVE; second < which; second++)
				ck_assert_int_ge(__builtin_popcountll(word ^ life_word(second, birth)), 8);
			for (int bit = 0; bit < 64; bit++) {
				ck_assert_int_eq(life_read(word ^ 1ULL << bit, birth), which);
				for (int second = 0; second < bit; second++)
					ck_assert_int_eq(life_read(word ^ 1ULL << bit ^ 1ULL << second, birth), LIFE_OTHER);
			}
		}
		ck_assert_int_eq(__builtin_popcountll(life_word(LIFE_LIVE, birth) ^ life_word(LIFE_REMOVED, birth)), 16);
		ck_assert_int_eq(__builtin_popcountll(life_word(LIFE_MOVING, birth) ^ life_word(LIFE_REMOVING, birth)), 16);
	}
	ck_assert_int_eq(life_read(0, 0), LIFE_OTHER);
	ck_assert_int_eq(life_read(UINT64_MAX, UINT64_MAX), LIFE_OTHER);
	ck_assert(life_counts(LIFE_LIVE) && life_counts(LIFE_REMOVING));
	ck_assert(!life_counts(LIFE_REMOVED) && !life_counts(LIFE_MOVING) && !life_counts(LIFE_OTHER));
}
END_TEST

START_TEST(headers)
{
	struct table_header h = {.generation = 5, .segment = 12, .class_id = 3, .opened_s = 1700000000}, back;
	uint8_t bytes[TABLE_HEADER_BYTES];

	table_header_encode(&h, seed, bytes);
	ck_assert_int_eq(table_header_decode(bytes, segment, seed, &back), CHECK_GOOD);
	ck_assert_int_eq(table_header_decode(bytes, segment + 1, seed, &back), CHECK_BAD);
	ck_assert_int_eq(table_header_decode(bytes, segment, seed + 1, &back), CHECK_BAD);
	for (size_t bit = 0; bit < TABLE_HEADER_BYTES * 8; bit++) {
		flip_bit(bytes, bit);
		ck_assert_int_eq(table_header_decode(bytes, segment, seed, &back), CHECK_MENDED);
		ck_assert_uint_eq(back.generation, 5);
		ck_assert_uint_eq(back.segment, 12);
		ck_assert_uint_eq(back.class_id, 3);
		ck_assert_uint_eq(back.opened_s, 1700000000);
		flip_bit(bytes, bit);
	}
	memset(bytes, 0, sizeof(bytes));
	ck_assert_int_eq(table_header_decode(bytes, segment, seed, &back), CHECK_BAD);
}
END_TEST

START_TEST(tails)
{
	static const uint32_t counts[] = {0, 1, 2, 4095, 65536, 1u << 24};
	uint64_t state = 6;
	uint32_t count = 1;

	for (size_t i = 0; i < ARRAY_COUNT(counts); i++) {
		uint64_t raw = tail_encode(counts[i], segment, 99, seed);
		ck_assert_int_eq(tail_decode(raw, segment, 99, seed, &count), CHECK_GOOD);
		ck_assert_uint_eq(count, counts[i]);
		for (int bit = 0; bit < 64; bit++) {
			count = 12345;
			ck_assert_int_eq(tail_decode(raw ^ 1ULL << bit, segment, 99, seed, &count), CHECK_MENDED);
			ck_assert_uint_eq(count, counts[i]);
		}
		count = 12345;
		ck_assert_int_eq(tail_decode(raw, segment, 98, seed, &count), CHECK_BAD);
		ck_assert_int_eq(tail_decode(raw, segment + 1, 99, seed, &count), CHECK_BAD);
		ck_assert_int_eq(tail_decode(raw, segment, 99, seed + 1, &count), CHECK_BAD);
		ck_assert_uint_eq(count, 12345);
	}
	for (int round = 0; round < 100000; round++)
		ck_assert_int_eq(tail_decode(random_next(&state), segment, 99, seed, &count), CHECK_BAD);
	ck_assert_int_eq(tail_decode(0, segment, 99, seed, &count), CHECK_BAD);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		entries, every_entry_flip, half_written_entries_do_not_verify, life, headers, tails, NULL};
	return unit_run("table_format", tests);
}
