/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims (Disk Paxos): whatever the order in which cells are read and written, however long somebody stops between two
 * steps, and though slots pass from holder to holder in between, at most one value is decided; and one alone decides.
 * The same schedules find the disagreement at once when somebody does not look at what others accepted.
 */
#include "core/slot/claims.h"
#include "tests/unit/unit.h"

#include <string.h>

enum { SLOTS = 4, RUNS = 20000, STEPS = 400, CLAIMED = 2, EPOCH = 7 };

/* one claimant: reads the cells one by one, each at a moment of its own */
struct claimant {
	struct claim claim;
	struct claim_cell seen[SLOTS];
	unsigned read;	  /* of the scan */
	unsigned pausing; /* steps to stand still */
	bool writing;	  /* claim.cell is on its way */
	bool done;
	uint64_t wish;
};

struct race {
	struct claim_cell cells[SLOTS];
	struct claimant claimants[SLOTS];
	uint64_t random, next_wish;
	bool blind; /* planted: nobody sees what others have accepted */
	uint64_t decided; /* 0: nothing yet */
	bool disagreed;
};

static void begin(struct race *race, uint32_t n)
{
	struct claimant *c = &race->claimants[n];

	*c = (struct claimant){.wish = ++race->next_wish};
	claim_begin(&c->claim, n, SLOTS, CLAIMED, EPOCH, c->wish);
}

static void look(struct race *race, struct claimant *c)
{
	for (unsigned i = 0; race->blind && i < SLOTS; i++)
		if (i != c->claim.me)
			c->seen[i].accepted_ballot = 0;
	c->read = 0;
	switch (claim_look(&c->claim, c->seen)) {
	case CLAIM_WRITE:
		c->writing = true;
		break;
	case CLAIM_AGAIN:
		c->pausing = (unsigned)(random_next(&race->random) % 40);
		break;
	case CLAIM_DECIDED:
		c->done = true;
		ck_assert_uint_le(c->claim.cell.accepted, race->next_wish);
		ck_assert_uint_ne(c->claim.cell.accepted, 0);
		race->disagreed |= race->decided && race->decided != c->claim.cell.accepted;
		race->decided = c->claim.cell.accepted;
		break;
	default:
		ck_abort_msg("no later epoch was claimed");
	}
}

static void step(struct race *race, uint32_t n)
{
	struct claimant *c = &race->claimants[n];
	uint64_t dice = random_next(&race->random) % 200;

	if (dice == 0) { /* it ends: whoever has the slot next goes on with its cell; its write has landed or not */
		if (c->writing && random_next(&race->random) % 2)
			race->cells[n] = c->claim.cell;
		begin(race, n);
	} else if (dice < 4) {
		c->pausing += 60;
	} else if (c->pausing > 0) {
		c->pausing--;
	} else if (c->writing) {
		race->cells[n] = c->claim.cell;
		c->writing = false;
	} else if (c->read < SLOTS) {
		c->seen[c->read] = race->cells[c->read];
		c->read++;
	} else if (!c->done) {
		look(race, c);
	}
}

static bool run_race(uint64_t seed, bool blind, bool *decided)
{
	struct race race = {.random = seed, .blind = blind};

	for (uint32_t n = 0; n < SLOTS; n++)
		begin(&race, n);
	for (int i = 0; i < STEPS; i++)
		step(&race, (uint32_t)(random_next(&race.random) % SLOTS));
	*decided = race.decided != 0;
	return !race.disagreed;
}

START_TEST(one_value)
{
	unsigned decisions = 0;

	for (uint64_t seed = 0; seed < RUNS; seed++) {
		bool decided;
		ck_assert_msg(run_race(seed, false, &decided), "seed %lu: two values were decided", (unsigned long)seed);
		decisions += decided;
	}
	ck_assert_uint_gt(decisions, RUNS / 2);
}
END_TEST

START_TEST(planted_race_is_found)
{
	unsigned disagreements = 0;

	for (uint64_t seed = 0; seed < RUNS / 10; seed++) {
		bool decided;
		disagreements += !run_race(seed, true, &decided);
	}
	ck_assert_uint_gt(disagreements, 20);
}
END_TEST

START_TEST(alone)
{
	struct claim_cell cells[SLOTS] = {0};
	struct claim claim;

	claim_begin(&claim, 1, SLOTS, CLAIMED, EPOCH, 42);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(claim_look(&claim, cells), CLAIM_WRITE);
		cells[1] = claim.cell;
	}
	ck_assert_int_eq(claim_look(&claim, cells), CLAIM_DECIDED);
	ck_assert_uint_eq(claim.cell.accepted, 42);
	/* whoever comes later learns it */
	claim_begin(&claim, 3, SLOTS, CLAIMED, EPOCH, 43);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(claim_look(&claim, cells), CLAIM_WRITE);
		cells[3] = claim.cell;
	}
	ck_assert_int_eq(claim_look(&claim, cells), CLAIM_DECIDED);
	ck_assert_uint_eq(claim.cell.accepted, 42);
	/* the next epoch is a register of its own, and ends this one */
	claim_begin(&claim, 0, SLOTS, CLAIMED, EPOCH + 1, 44);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(claim_look(&claim, cells), CLAIM_WRITE);
		cells[0] = claim.cell;
	}
	ck_assert_int_eq(claim_look(&claim, cells), CLAIM_DECIDED);
	ck_assert_uint_eq(claim.cell.accepted, 44);
	claim_begin(&claim, 2, SLOTS, CLAIMED, EPOCH, 45);
	ck_assert_int_eq(claim_look(&claim, cells), CLAIM_OVER);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {one_value, planted_race_is_found, alone, NULL};

	return unit_run("claims", tests);
}
