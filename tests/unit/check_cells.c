/* SPDX-License-Identifier: Apache-2.0 */
/* Slot, hold, claim and key cells: round trip, mending, and that a cell passes only as itself and in its place. */
#include "core/format/cells.h"
#include "tests/unit/unit.h"

#include <string.h>

static const uint64_t seed = 0x5EED;

static struct slot_cell slot_example(void)
{
	struct slot_cell cell = {.slot = 3,
				 .state = SLOT_ACTIVE,
				 .epoch = 77,
				 .pid = 4242,
				 .nonce = 0x1234567890ABCDEF,
				 .process_start = 987654321,
				 .attached_s = 1700000000,
				 .seen_s = 1700000100,
				 .heartbeat = 55,
				 .log_tail = 66,
				 .host_nqn = "nqn.2014-08.org.nvmexpress:uuid:example",
				 .version = "0.1.0",
				 .drain = SLOT_DRAIN_DONE,
				 .ask = SLOT_ASK_UNDO,
				 .ask_slot = 9,
				 .ask_epoch = 0x3FFFFFFF,
				 .owed_epoch = 76,
				 .owed_nonce = 0xFEDCBA0987654321,
				 .owed_tail = 0x1122334455667788};

	memset(cell.machine, 0x11, sizeof(cell.machine));
	memset(cell.boot, 0x22, sizeof(cell.boot));
	return cell;
}

static void assert_same_slot(const struct slot_cell *a, const struct slot_cell *b)
{
	ck_assert_uint_eq(a->slot, b->slot);
	ck_assert_uint_eq(a->state, b->state);
	ck_assert_uint_eq(a->epoch, b->epoch);
	ck_assert_uint_eq(a->pid, b->pid);
	ck_assert_uint_eq(a->nonce, b->nonce);
	ck_assert_uint_eq(a->process_start, b->process_start);
	ck_assert_uint_eq(a->attached_s, b->attached_s);
	ck_assert_uint_eq(a->seen_s, b->seen_s);
	ck_assert_uint_eq(a->heartbeat, b->heartbeat);
	ck_assert_uint_eq(a->log_tail, b->log_tail);
	ck_assert_uint_eq(a->drain, b->drain);
	ck_assert_uint_eq(a->ask, b->ask);
	ck_assert_uint_eq(a->ask_slot, b->ask_slot);
	ck_assert_uint_eq(a->ask_epoch, b->ask_epoch);
	ck_assert_uint_eq(a->owed_epoch, b->owed_epoch);
	ck_assert_uint_eq(a->owed_nonce, b->owed_nonce);
	ck_assert_uint_eq(a->owed_tail, b->owed_tail);
	ck_assert_mem_eq(a->machine, b->machine, sizeof(a->machine));
	ck_assert_mem_eq(a->boot, b->boot, sizeof(a->boot));
	ck_assert_str_eq(a->host_nqn, b->host_nqn);
	ck_assert_str_eq(a->version, b->version);
}

START_TEST(slot_cells)
{
	struct slot_cell cell = slot_example(), back;
	uint8_t live[CELL_LIVE];

	for (unsigned copy = 0; copy < SLOT_COPIES; copy++) {
		slot_cell_encode(&cell, copy, seed, live);
		ck_assert_int_eq(slot_cell_decode(live, 3, copy, seed, &back), CHECK_GOOD);
		assert_same_slot(&cell, &back);
		ck_assert_int_eq(slot_cell_decode(live, 3, !copy, seed, &back), CHECK_BAD);
		ck_assert_int_eq(slot_cell_decode(live, 4, copy, seed, &back), CHECK_BAD);
		ck_assert_int_eq(slot_cell_decode(live, 3, copy, seed + 1, &back), CHECK_BAD);
	}
	for (size_t bit = 0; bit < CELL_LIVE * 8; bit++) {
		flip_bit(live, bit);
		ck_assert_int_eq(slot_cell_decode(live, 3, 1, seed, &back), CHECK_MENDED);
		assert_same_slot(&cell, &back);
		flip_bit(live, bit);
	}
	flip_bit(live, 1000);
	flip_bit(live, 2000);
	ck_assert_int_eq(slot_cell_decode(live, 3, 1, seed, &back), CHECK_BAD);
}
END_TEST

START_TEST(slot_texts_always_end)
{
	struct slot_cell cell = slot_example(), back;
	uint8_t live[CELL_LIVE];

	memset(cell.host_nqn, 'x', sizeof(cell.host_nqn));
	memset(cell.version, 'y', sizeof(cell.version));
	slot_cell_encode(&cell, 0, seed, live);
	ck_assert_int_eq(slot_cell_decode(live, 3, 0, seed, &back), CHECK_GOOD);
	ck_assert_uint_eq(strlen(back.host_nqn), HOST_NQN_BYTES - 1);
	ck_assert_uint_eq(strlen(back.version), sizeof(back.version) - 1);
}
END_TEST

START_TEST(hold_cells)
{
	struct hold_cell cell = {.slot = 5, .epoch = 6, .count = HOLDS_PER_CELL}, back;
	uint8_t live[CELL_LIVE];

	for (uint32_t i = 0; i < HOLDS_PER_CELL; i++)
		cell.holds[i] =
			(struct hold){.segment = i, .page = 10 + i, .generation = 100 + i, .lease_until = 1000 + i};
	hold_cell_encode(&cell, seed, live);
	for (size_t bit = 0; bit <= CELL_LIVE * 8; bit += 3) {
		if (bit)
			flip_bit(live, bit - 1);
		ck_assert_int_eq(hold_cell_decode(live, 5, seed, &back), bit ? CHECK_MENDED : CHECK_GOOD);
		ck_assert_uint_eq(back.slot, 5);
		ck_assert_uint_eq(back.epoch, 6);
		ck_assert_uint_eq(back.count, HOLDS_PER_CELL);
		for (uint32_t i = 0; i < HOLDS_PER_CELL; i++) {
			ck_assert_uint_eq(back.holds[i].segment, i);
			ck_assert_uint_eq(back.holds[i].page, 10 + i);
			ck_assert_uint_eq(back.holds[i].generation, 100 + i);
			ck_assert_uint_eq(back.holds[i].lease_until, 1000 + i);
		}
		if (bit)
			flip_bit(live, bit - 1);
	}
	ck_assert_int_eq(hold_cell_decode(live, 6, seed, &back), CHECK_BAD);
	cell.count = HOLDS_PER_CELL + 1; /* says more than it can carry */
	hold_cell_encode(&cell, seed, live);
	ck_assert_int_eq(hold_cell_decode(live, 5, seed, &back), CHECK_BAD);
}
END_TEST

START_TEST(claim_cells)
{
	struct claim_cell cell = {
		.slot = 7, .epoch = 8, .ballot = 9, .accepted_ballot = 10, .accepted = 11ULL << 32 | 12};
	struct claim_cell back;
	uint8_t live[CLAIM_BYTES];

	claim_cell_encode(&cell, 2, seed, live);
	for (size_t bit = 0; bit <= CLAIM_BYTES * 8; bit++) {
		if (bit)
			flip_bit(live, bit - 1);
		ck_assert_int_eq(claim_cell_decode(live, 2, 7, seed, &back), bit ? CHECK_MENDED : CHECK_GOOD);
		ck_assert_uint_eq(back.slot, 7);
		ck_assert_uint_eq(back.epoch, 8);
		ck_assert_uint_eq(back.ballot, 9);
		ck_assert_uint_eq(back.accepted_ballot, 10);
		ck_assert_uint_eq(back.accepted, 11ULL << 32 | 12);
		if (bit)
			flip_bit(live, bit - 1);
	}
	ck_assert_int_eq(claim_cell_decode(live, 3, 7, seed, &back), CHECK_BAD);
	ck_assert_int_eq(claim_cell_decode(live, 2, 8, seed, &back), CHECK_BAD);
}
END_TEST

START_TEST(key_cells)
{
	struct key_cell cell = {.tenant = 9, .version = 2, .state = 1, .wrapped_length = 60}, back;
	uint8_t live[CELL_LIVE];

	memset(cell.wrapped, 0x77, 60);
	memset(cell.salt, 0x88, sizeof(cell.salt));
	key_cell_encode(&cell, seed, live);
	ck_assert_int_eq(key_cell_decode(live, 9, seed, &back), CHECK_GOOD);
	ck_assert_uint_eq(back.tenant, 9);
	ck_assert_uint_eq(back.version, 2);
	ck_assert_uint_eq(back.state, 1);
	ck_assert_uint_eq(back.wrapped_length, 60);
	ck_assert_mem_eq(back.wrapped, cell.wrapped, WRAPPED_KEY_BYTES);
	ck_assert_mem_eq(back.salt, cell.salt, sizeof(cell.salt));
	flip_bit(live, 2222);
	ck_assert_int_eq(key_cell_decode(live, 9, seed, &back), CHECK_MENDED);
	ck_assert_int_eq(key_cell_decode(live, 8, seed, &back), CHECK_BAD);
	cell.wrapped_length = WRAPPED_KEY_BYTES + 1;
	key_cell_encode(&cell, seed, live);
	ck_assert_int_eq(key_cell_decode(live, 9, seed, &back), CHECK_BAD);
}
END_TEST

START_TEST(blank)
{
	uint8_t live[CELL_LIVE] = {0};
	struct slot_cell slot;
	struct hold_cell hold;
	struct claim_cell claim;
	struct key_cell key;

	ck_assert(cell_blank(live, sizeof(live)));
	ck_assert_int_eq(slot_cell_decode(live, 0, 0, seed, &slot), CHECK_BAD);
	ck_assert_int_eq(hold_cell_decode(live, 0, seed, &hold), CHECK_BAD);
	ck_assert_int_eq(claim_cell_decode(live, 0, 0, seed, &claim), CHECK_BAD);
	ck_assert_int_eq(key_cell_decode(live, 0, seed, &key), CHECK_BAD);
	for (size_t bit = 0; bit < sizeof(live) * 8; bit++) {
		flip_bit(live, bit);
		ck_assert(!cell_blank(live, sizeof(live)));
		flip_bit(live, bit);
	}
}
END_TEST

/* a cell of one kind never passes as another, even with its own check made to hold there */
START_TEST(kinds_are_told_apart)
{
	struct slot_cell slot = slot_example(), slot_back;
	struct hold_cell hold_back;
	struct key_cell key_back;
	uint8_t live[CELL_LIVE];

	slot.epoch = 5; /* small enough for a count of holds, and for the length of a key */
	slot.pid = 9;
	slot_cell_encode(&slot, 0, seed, live);
	check_set(live, CELL_LIVE, check_seed(seed, CHECK_HOLD_CELL, 3, 0));
	ck_assert_int_eq(hold_cell_decode(live, 3, seed, &hold_back), CHECK_BAD);
	check_set(live, CELL_LIVE, check_seed(seed, CHECK_KEY_CELL, 3, 0));
	ck_assert_int_eq(key_cell_decode(live, 3, seed, &key_back), CHECK_BAD);
	check_set(live, CELL_LIVE, check_seed(seed, CHECK_SLOT_CELL, 3, 0));
	ck_assert_int_eq(slot_cell_decode(live, 3, 0, seed, &slot_back), CHECK_GOOD);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {slot_cells, slot_texts_always_end, hold_cells, claim_cells, key_cells,
				      blank,	  kinds_are_told_apart,	 NULL};
	return unit_run("cells", tests);
}
