/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is missing in the log of a host that has died on a shared device.  Of what it wrote last a part may have landed, and what lies
 * before that not: nobody was told of it, so it is no damage.  What it had told of must be there, whoever names that log by now.
 */
#include "core/facts/factbook.h"
#include "core/log/log_ring.h"
#include "fake_media.h"
#include "unit.h"

enum { SLOTS = 4, NONCE = 0xD1ED, NEXT = 0x4E87, LATE = 0x1A7E, HOLE = 5, BEHIND = 8, RECORDS = 10 };

static struct fake_media fake;
static struct media_ops ops;
static struct control *c;

static void let_go(struct media *media, uint64_t offset, size_t length) { (void)fake_range(media, offset, length); }

/* ten records by slot 0, epoch 1, that name segments; three of them never landed */
static void open_pool(void)
{
	const struct log_identity who = {.slot = 0, .epoch = 1, .nonce = NONCE};

	fake_open(&fake, SLOTS);
	ops = *fake.base.ops;
	ops.hold = fake_range;
	ops.let_go = let_go;
	fake.base.ops = &ops;
	c = &fake.control;
	c->shared = true;
	c->pass_us = UINT64_MAX;
	ck_assert_uint_ge(c->layout.segments, RECORDS);
	for (uint64_t n = 0; n < RECORDS; n++) {
		struct record r = {.kind = RECORD_ADOPT, .slot = 0, .epoch = 1, .position = n, .subject = n, .version = 1ULL << ADOPTION_SHIFT,
				   .state = OWNER_FREE};
		if (n < HOLE || n >= BEHIND)
			ring_store(c, &who, &r);
	}
}

static struct slot_cell cell_of(uint32_t epoch, uint64_t nonce, uint32_t state)
{
	return (struct slot_cell){.slot = 0, .epoch = epoch, .nonce = nonce, .state = state};
}

static void put_copies(const struct slot_cell *first, const struct slot_cell *second)
{
	slot_write_copy(c, first, 0);
	slot_write_copy(c, second, 1);
}

/* so many records are missing for who knows nothing yet; what is there he knows in any case */
static void must_miss(uint64_t records)
{
	struct factbook book;

	ck_assert_int_eq(factbook_open(&book, c), 0);
	ck_assert_uint_eq(atomic_load(&book.damaged), records);
	for (uint64_t n = 0; n < RECORDS; n++)
		ck_assert_uint_eq(factbook_holding(&book, n).epoch, n < HOLE || n >= BEHIND);
	factbook_close(&book);
	fake_close(&fake);
}

/* its slot has passed on, and who has it now has not brought the log over */
START_TEST(named_by_the_next)
{
	for (uint64_t told = 0; told <= RECORDS; told++) {
		open_pool();
		struct slot_cell next = cell_of(2, NEXT, SLOT_ACTIVE);
		next.owed_epoch = 1;
		next.owed_nonce = NONCE;
		next.owed_tail = told;
		put_copies(&next, &next);
		must_miss(told > HOLE ? BEHIND - HOLE : 0);
	}
}
END_TEST

/* by who joins, over whose slot's first copy a late claimer has written */
START_TEST(named_by_who_joins)
{
	for (uint64_t told = 0; told <= RECORDS; told++) {
		open_pool();
		struct slot_cell late = cell_of(1, LATE, SLOT_ACTIVE), next = cell_of(2, NEXT, SLOT_JOINING);
		late.log_tail = RECORDS;
		next.owed_epoch = 1;
		next.owed_nonce = NONCE;
		next.owed_tail = told;
		put_copies(&late, &next);
		must_miss(told > HOLE ? BEHIND - HOLE : 0);
	}
}
END_TEST

/* its cell is still its own: it lives, or has died, or has left, and told of all then */
START_TEST(told_by_itself)
{
	for (uint32_t state = SLOT_ACTIVE; state <= SLOT_LEFT; state++) {
		for (uint64_t told = 0; told <= RECORDS; told++) {
			open_pool();
			struct slot_cell own = cell_of(1, NONCE, state);
			own.log_tail = told;
			put_copies(&own, &own);
			must_miss(told > HOLE ? BEHIND - HOLE : 0);
		}
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {named_by_the_next, named_by_who_joins, told_by_itself, NULL};

	return unit_run("owed_log", tests);
}
