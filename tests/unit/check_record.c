/* SPDX-License-Identifier: Apache-2.0 */
/* Log records and checkpoint headers. */
#include "core/format/record.h"
#include "tests/unit/unit.h"

#include <string.h>

static const uint64_t seed = 0xFACE;
static const struct log_identity log_of = {.slot = 1, .epoch = 2, .nonce = 3};

static struct record example(void)
{
	struct record r = {.kind = RECORD_PIN,
			   .position = 1000,
			   .version = 5,
			   .subject = 6,
			   .generation = 7,
			   .birth = 8,
			   .until_s = 1900000000,
			   .class_id = 9,
			   .tenant = 10,
			   .slot = 11,
			   .epoch = 12,
			   .state = SESSION_PINNED};

	memset(r.key, 0x3D, sizeof(r.key));
	return r;
}

static void assert_same(const struct record *a, const struct record *b)
{
	ck_assert_int_eq(a->kind, b->kind);
	ck_assert_uint_eq(a->position, b->position);
	ck_assert_uint_eq(a->version, b->version);
	ck_assert_mem_eq(a->key, b->key, 32);
	ck_assert_uint_eq(a->subject, b->subject);
	ck_assert_uint_eq(a->generation, b->generation);
	ck_assert_uint_eq(a->birth, b->birth);
	ck_assert_uint_eq(a->until_s, b->until_s);
	ck_assert_uint_eq(a->class_id, b->class_id);
	ck_assert_uint_eq(a->tenant, b->tenant);
	ck_assert_uint_eq(a->slot, b->slot);
	ck_assert_uint_eq(a->epoch, b->epoch);
	ck_assert_uint_eq(a->state, b->state);
}

START_TEST(every_kind)
{
	struct record r = example(), back;
	uint8_t bytes[RECORD_BYTES];

	for (int kind = RECORD_NOP; kind < RECORD_KINDS; kind++) {
		r.kind = (enum record_kind)kind;
		record_encode(&r, &log_of, seed, bytes);
		ck_assert_int_eq(record_decode(bytes, &log_of, 1000, seed, false, &back), CHECK_GOOD);
		assert_same(&r, &back);
		ck_assert_str_ne(record_kind_name(r.kind), "?");
		for (int other = RECORD_NOP; other < kind; other++)
			ck_assert_str_ne(record_kind_name(r.kind), record_kind_name((enum record_kind)other));
	}
	r.kind = RECORD_KINDS;
	record_encode(&r, &log_of, seed, bytes);
	ck_assert_int_eq(record_decode(bytes, &log_of, 1000, seed, true, &back), CHECK_BAD);
	r.kind = (enum record_kind)0;
	record_encode(&r, &log_of, seed, bytes);
	ck_assert_int_eq(record_decode(bytes, &log_of, 1000, seed, true, &back), CHECK_BAD);
	ck_assert_str_eq(record_kind_name(RECORD_KINDS), "?");
	ck_assert_str_eq(record_kind_name((enum record_kind)0), "?");
}
END_TEST

START_TEST(bound_to_its_log_and_position)
{
	struct record r = example(), back;
	uint8_t bytes[RECORD_BYTES];
	const struct log_identity others[] = {{2, 2, 3, 0}, {1, 3, 3, 0}, {1, 2, 4, 0}, {1, 2, 3, 1}};

	record_encode(&r, &log_of, seed, bytes);
	ck_assert_uint_eq(record_position(bytes), 1000);
	for (size_t i = 0; i < ARRAY_COUNT(others); i++)
		ck_assert_int_eq(record_decode(bytes, &others[i], 1000, seed, true, &back), CHECK_BAD);
	ck_assert_int_eq(record_decode(bytes, &log_of, 1001, seed, true, &back), CHECK_BAD);
	ck_assert_int_eq(record_decode(bytes, &log_of, 1000, seed + 1, true, &back), CHECK_BAD);
}
END_TEST

START_TEST(every_flip)
{
	struct record r = example(), back;
	uint8_t bytes[RECORD_BYTES];

	record_encode(&r, &log_of, seed, bytes);
	for (size_t bit = 0; bit < RECORD_BYTES * 8; bit++) {
		flip_bit(bytes, bit);
		ck_assert_int_eq(record_decode(bytes, &log_of, 1000, seed, false, &back), CHECK_BAD);
		ck_assert_int_eq(record_decode(bytes, &log_of, 1000, seed, true, &back), CHECK_MENDED);
		assert_same(&r, &back);
		flip_bit(bytes, bit);
	}
	memset(bytes, 0, sizeof(bytes));
	ck_assert_int_eq(record_decode(bytes, &log_of, 0, seed, true, &back), CHECK_BAD);
}
END_TEST

START_TEST(checkpoint_headers)
{
	struct checkpoint_header h = {.slot = 4, .epoch = 5, .nonce = 6, .sequence = 7, .facts = 8, .log_position = 9};
	struct checkpoint_header back;
	uint8_t bytes[RECORD_BYTES];

	checkpoint_header_encode(&h, 1, seed, bytes);
	for (size_t bit = 0; bit <= RECORD_BYTES * 8; bit++) {
		if (bit)
			flip_bit(bytes, bit - 1);
		ck_assert_int_eq(checkpoint_header_decode(bytes, 4, 1, seed, &back), bit ? CHECK_MENDED : CHECK_GOOD);
		ck_assert_uint_eq(back.slot, 4);
		ck_assert_uint_eq(back.epoch, 5);
		ck_assert_uint_eq(back.nonce, 6);
		ck_assert_uint_eq(back.sequence, 7);
		ck_assert_uint_eq(back.facts, 8);
		ck_assert_uint_eq(back.log_position, 9);
		if (bit)
			flip_bit(bytes, bit - 1);
	}
	ck_assert_int_eq(checkpoint_header_decode(bytes, 4, 0, seed, &back), CHECK_BAD);
	ck_assert_int_eq(checkpoint_header_decode(bytes, 5, 1, seed, &back), CHECK_BAD);
	ck_assert_int_eq(checkpoint_header_decode(bytes, 4, 1, seed + 1, &back), CHECK_BAD);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {every_kind, bound_to_its_log_and_position, every_flip, checkpoint_headers, NULL};
	return unit_run("record", tests);
}
