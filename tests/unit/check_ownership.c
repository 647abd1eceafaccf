/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ownership of segments on shared devices: whoever has folded the same statements knows the same, whatever the order, also
 * from checkpoints; a zombie's later statements outdo no adoption; what somebody left open stays marked until that
 * incarnation is gone.
 */
#include "core/facts/ownership.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

enum { SEGMENTS = 6, SLOTS = 4, EPOCHS = 2, RECORDS = 300, ORDERS = 40 };

static struct record state(enum record_kind kind, uint64_t segment, uint64_t version, uint32_t slot, uint32_t epoch)
{
	return (struct record){.kind = kind, .subject = segment, .version = version, .slot = slot, .epoch = epoch,
			       .state = OWNER_SEALED};
}

static struct record random_statement(uint64_t *random, uint64_t number)
{
	static const enum record_kind kinds[] = {RECORD_OPEN, RECORD_SEAL, RECORD_ADOPT, RECORD_XFER, RECORD_ACCEPT};
	static const enum owner_state states[] = {OWNER_FREE, OWNER_SEALED, OWNER_PARKED};
	struct record r = state(kinds[random_next(random) % 5], random_next(random) % SEGMENTS, 1 + number / 4,
				(uint32_t)(random_next(random) % SLOTS), (uint32_t)(1 + random_next(random) % EPOCHS));

	r.state = states[random_next(random) % 3];
	r.generation = r.kind == RECORD_XFER ? 1 + random_next(random) % 9 : 0;
	return r;
}

/* an author states a version of a segment once */
static uint32_t make_statements(uint64_t *random, struct record *records)
{
	uint32_t n = 0;

	for (uint64_t i = 0; i < RECORDS; i++) {
		struct record r = random_statement(random, i);
		bool twice = false;
		for (uint32_t k = 0; k < n; k++)
			twice |= records[k].subject == r.subject && records[k].version == r.version &&
				 records[k].slot == r.slot && records[k].epoch == r.epoch;
		if (!twice)
			records[n++] = r;
	}
	return n;
}

/* does @o show this mark, at whatever place? */
static bool has_mark(const struct ownership *o, uint64_t segment, const struct own_mark *wanted)
{
	struct own_mark mark;

	for (uint32_t n = 0; ownership_mark(o, segment, n, &mark); n++)
		if (mark.version == wanted->version && mark.slot == wanted->slot && mark.epoch == wanted->epoch)
			return true;
	return false;
}

static void assert_marks_of(const struct ownership *a, const struct ownership *b, uint64_t segment)
{
	struct own_mark mark;

	for (uint32_t n = 0; ownership_mark(a, segment, n, &mark); n++)
		ck_assert(has_mark(b, segment, &mark));
}

static void assert_equal(const struct ownership *a, const struct ownership *b)
{
	for (uint64_t s = 0; s < SEGMENTS; s++) {
		struct holding x = ownership_of(a, s), y = ownership_of(b, s);
		ck_assert_uint_eq(x.version, y.version);
		ck_assert_uint_eq(x.offered, y.offered);
		ck_assert_uint_eq(x.slot, y.slot);
		ck_assert_uint_eq(x.epoch, y.epoch);
		ck_assert_int_eq(x.state, y.state);
		assert_marks_of(a, b, s);
		assert_marks_of(b, a, s);
	}
}

static void shuffle(uint64_t *random, struct record *records, uint32_t n)
{
	for (uint32_t i = n; i > 1; i--) {
		uint32_t k = (uint32_t)(random_next(random) % i);
		struct record r = records[i - 1];
		records[i - 1] = records[k];
		records[k] = r;
	}
}

START_TEST(any_order)
{
	uint64_t random = 0x0117;
	static struct record records[RECORDS];

	for (int round = 0; round < ORDERS; round++) {
		struct ownership first, other;
		uint32_t n = make_statements(&random, records);
		ck_assert_int_eq(ownership_open(&first, SEGMENTS, SLOTS), 0);
		ck_assert_int_eq(ownership_open(&other, SEGMENTS, SLOTS), 0);
		for (uint32_t i = 0; i < n; i++)
			(void)ownership_fold(&first, &records[i]);
		shuffle(&random, records, n);
		for (uint32_t i = 0; i < n; i++) {
			(void)ownership_fold(&other, &records[i]);
			(void)ownership_fold(&other, &records[random_next(&random) % (i + 1)]); /* twice */
		}
		assert_equal(&first, &other);
		ownership_close(&first);
		ownership_close(&other);
	}
}
END_TEST

/* everybody's checkpoint, in any order, says what the logs said */
START_TEST(checkpoints)
{
	static struct record records[RECORDS], copies[SLOTS * EPOCHS * SEGMENTS * 4];
	uint64_t random = 0xC0FFEE;

	for (int round = 0; round < ORDERS; round++) {
		struct ownership first, other;
		uint32_t n = make_statements(&random, records), count = 0;
		ck_assert_int_eq(ownership_open(&first, SEGMENTS, SLOTS), 0);
		ck_assert_int_eq(ownership_open(&other, SEGMENTS, SLOTS), 0);
		for (uint32_t i = 0; i < n; i++)
			(void)ownership_fold(&first, &records[i]);
		for (uint32_t slot = 0; slot < SLOTS; slot++)
			for (uint32_t epoch = 1; epoch <= EPOCHS; epoch++) {
				count += ownership_copy(&first, slot, epoch, copies + count, ARRAY_COUNT(copies) - count);
				ck_assert_uint_le(count, ARRAY_COUNT(copies));
			}
		shuffle(&random, copies, count);
		for (uint32_t i = 0; i < count; i++)
			(void)ownership_fold(&other, &copies[i]);
		assert_equal(&first, &other);
		ownership_close(&first);
		ownership_close(&other);
	}
}
END_TEST

static bool gone(void *context, uint32_t slot, uint32_t epoch)
{
	(void)epoch;
	return slot == *(uint32_t *)context;
}

START_TEST(zombies)
{
	struct ownership o;
	struct own_mark mark;
	uint32_t dead = 1;

	ck_assert_int_eq(ownership_open(&o, SEGMENTS, SLOTS), 0);
	struct holding h = ownership_of(&o, 5);
	ck_assert_uint_eq(h.slot, 5 % SLOTS);
	ck_assert_uint_eq(h.epoch, 0);
	ck_assert_int_eq(h.state, OWNER_FREE);
	struct record adopt = state(RECORD_ADOPT, 5, ownership_adopted(&h), 1, 1);
	ck_assert(ownership_fold(&o, &adopt));
	h = ownership_of(&o, 5);
	struct record open = state(RECORD_OPEN, 5, ownership_next(&h), 1, 1);
	ck_assert(ownership_fold(&o, &open));
	h = ownership_of(&o, 5);
	ck_assert_int_eq(h.state, OWNER_OPEN);
	struct record heir = state(RECORD_ADOPT, 5, ownership_adopted(&h), 2, 1);
	ck_assert(ownership_fold(&o, &heir));
	for (uint64_t later = 1; later < 50; later++) { /* the zombie goes on: it opens and seals */
		struct record again = state(later % 2 ? RECORD_SEAL : RECORD_OPEN, 5, open.version + later, 1, 1);
		(void)ownership_fold(&o, &again);
		h = ownership_of(&o, 5);
		ck_assert_uint_eq(h.slot, 2);
		ck_assert_int_eq(h.state, OWNER_SEALED);
		ck_assert_int_eq(ownership_mark(&o, 5, 0, &mark), later % 2 == 0);
	}
	struct record late = state(RECORD_OPEN, 5, open.version + 60, 1, 1);
	ck_assert(ownership_fold(&o, &late));
	ck_assert(ownership_mark(&o, 5, 0, &mark));
	ck_assert_uint_eq(mark.slot, 1);
	ck_assert_uint_eq(mark.epoch, 1);
	ownership_prune(&o, gone, &dead); /* the highest OPEN stays: it voids others, and whoever looks proves its author gone */
	ck_assert(ownership_mark(&o, 5, 0, &mark));
	/* the heir opens it, and seals it: the zombie's mark is void also for whoever did not know that it is gone */
	h = ownership_of(&o, 5);
	struct record heirs[] = {state(RECORD_OPEN, 5, ownership_next(&h), 2, 1), state(RECORD_SEAL, 5, ownership_next(&h) + 1, 2, 1)};
	ck_assert(!ownership_fold(&o, &late));
	ck_assert(ownership_fold(&o, &heirs[1]));
	ck_assert(ownership_mark(&o, 5, 0, &mark));
	ck_assert(ownership_fold(&o, &heirs[0])); /* older than what is known of its author, and yet news */
	ck_assert(!ownership_fold(&o, &heirs[0]));
	ck_assert(!ownership_mark(&o, 5, 0, &mark));
	ownership_prune(&o, gone, &dead);
	ck_assert(ownership_fold(&o, &late)); /* it was forgotten by now, and comes up again */
	ck_assert(!ownership_mark(&o, 5, 0, &mark));
	dead = 2; /* a holder is never forgotten */
	ownership_prune(&o, gone, &dead);
	ck_assert_uint_eq(ownership_of(&o, 5).slot, 2);
	ownership_close(&o);
}
END_TEST

/* two adopt the same segment and open it: each is seen by the other, whichever of them holds it */
START_TEST(two_adopters)
{
	struct ownership o;
	struct own_mark mark;

	ck_assert_int_eq(ownership_open(&o, SEGMENTS, SLOTS), 0);
	struct holding h = ownership_of(&o, 3);
	uint64_t adopted = ownership_adopted(&h);
	struct record records[] = {
		state(RECORD_ADOPT, 3, adopted, 1, 1),	state(RECORD_ADOPT, 3, adopted, 2, 1),
		state(RECORD_OPEN, 3, adopted + 5, 2, 1), state(RECORD_OPEN, 3, adopted + 1, 1, 1),
	};
	for (unsigned i = 0; i < ARRAY_COUNT(records); i++)
		ck_assert(ownership_fold(&o, &records[i]));
	ck_assert_uint_eq(ownership_of(&o, 3).slot, 2);
	ck_assert(ownership_mark(&o, 3, 0, &mark) && mark.slot == 2);
	ck_assert(ownership_mark(&o, 3, 1, &mark) && mark.slot == 1);
	ck_assert(!ownership_mark(&o, 3, 2, &mark));
	/* the one that gives way says so; the other's mark stays, also when it does not hold the segment */
	struct record way = state(RECORD_SEAL, 3, adopted + 6, 2, 1);
	ck_assert(ownership_fold(&o, &way));
	ck_assert(ownership_mark(&o, 3, 0, &mark) && mark.slot == 1);
	ck_assert(!ownership_mark(&o, 3, 1, &mark));
	/* the next adoption's OPEN voids it */
	h = ownership_of(&o, 3);
	struct record next[] = {state(RECORD_ADOPT, 3, ownership_adopted(&h), 2, 1),
				state(RECORD_OPEN, 3, ownership_adopted(&h) + 1, 2, 1)};
	ck_assert(ownership_fold(&o, &next[0]));
	ck_assert(ownership_mark(&o, 3, 0, &mark) && mark.slot == 1);
	ck_assert(ownership_fold(&o, &next[1]));
	ck_assert(ownership_mark(&o, 3, 0, &mark) && mark.slot == 2);
	ck_assert(!ownership_mark(&o, 3, 1, &mark));
	ownership_close(&o);
}
END_TEST

START_TEST(nonsense)
{
	struct ownership o;
	struct own_mark mark;

	ck_assert_int_eq(ownership_open(&o, SEGMENTS, SLOTS), 0);
	struct record bad[] = {
		state(RECORD_OPEN, SEGMENTS, 1, 0, 1), state(RECORD_OPEN, UINT64_MAX, 1, 0, 1),
		state(RECORD_OPEN, 0, 1, SLOTS, 1),    state(RECORD_PIN, 0, 1, 0, 1),
		state(RECORD_SEAL, 0, 1, 0, 1),
	};
	bad[4].state = OWNER_LEAVING;
	for (unsigned i = 0; i < ARRAY_COUNT(bad); i++)
		ck_assert(!ownership_fold(&o, &bad[i]));
	for (uint64_t s = 0; s < SEGMENTS; s++)
		ck_assert(!ownership_mark(&o, s, 0, &mark));
	ownership_close(&o);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {any_order, checkpoints, zombies, two_adopters, nonsense, NULL};

	return unit_run("ownership", tests);
}
