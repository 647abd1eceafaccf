/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control facts: merging in any order; rings and checkpoints; and the factbook, as several agents that come, state facts,
 * die and are succeeded, against a model that knows everything that was stated.
 */
#include "core/facts/factbook.h"
#include "core/base/environ.h"
#include "core/log/checkpoint.h"
#include "tests/unit/fake_media.h"
#include "tests/unit/unit.h"

#include <memkv/error.h>

enum { SUBJECTS = 24, RECORDS = 400, ORDERS = 60, NOW = 1900000000 };

static struct record random_fact(uint64_t *state)
{
	static const enum record_kind kinds[] = {RECORD_PIN, RECORD_UNPIN, RECORD_SESSION};
	struct record r = {.kind = kinds[random_next(state) % 3],
			   .version = 1 + random_next(state) % 40,
			   .subject = random_next(state) % SUBJECTS,
			   .until_s = random_next(state) % 3 ? NOW - 100 + random_next(state) % 200 : 0,
			   .slot = (uint32_t)(random_next(state) % 4),
			   .epoch = (uint32_t)(1 + random_next(state) % 3)};

	if (r.kind == RECORD_SESSION)
		r.state = random_next(state) % 2 ? SESSION_PINNED : SESSION_PLAIN;
	else
		memset(r.key, (int)(random_next(state) % SUBJECTS), sizeof(r.key));
	return r;
}

static int by_subject(const void *a, const void *b)
{
	const struct record *x = a, *y = b;
	bool x_session = x->kind == RECORD_SESSION, y_session = y->kind == RECORD_SESSION;

	if (x_session != y_session)
		return x_session - y_session;
	if (x_session)
		return x->subject < y->subject ? -1 : x->subject > y->subject;
	return memcmp(x->key, y->key, sizeof(x->key));
}

static uint32_t sorted(const struct facts *f, struct record *to, uint32_t room)
{
	uint32_t n = facts_copy(f, to, room);

	ck_assert_uint_le(n, room);
	qsort(to, n, sizeof(*to), by_subject);
	return n;
}

static void assert_equal(const struct facts *a, const struct facts *b)
{
	static struct record left[2 * SUBJECTS + 200], right[2 * SUBJECTS + 200];
	uint32_t n = sorted(a, left, ARRAY_COUNT(left));

	ck_assert_uint_eq(n, sorted(b, right, ARRAY_COUNT(right)));
	for (uint32_t i = 0; i < n; i++) {
		/* ends may differ where pins overlap with what was taken back and did not see it */
		if (left[i].kind != RECORD_UNPIN && right[i].kind == left[i].kind && left[i].state == right[i].state)
			left[i].until_s = right[i].until_s;
		ck_assert_mem_eq(&left[i], &right[i], sizeof(left[i]));
	}
	ck_assert_uint_eq(a->pins, b->pins);
	ck_assert_uint_eq(a->session_pins, b->session_pins);
}

/* of two records with the same version and author only one was ever stated */
static uint32_t make_records(uint64_t *state, struct record *records)
{
	uint32_t n = 0;

	for (int i = 0; i < RECORDS; i++) {
		struct record r = random_fact(state);
		bool twice = false;
		for (uint32_t k = 0; k < n; k++)
			twice |= records[k].version == r.version && records[k].slot == r.slot && records[k].epoch == r.epoch &&
				 by_subject(&records[k], &r) == 0;
		if (!twice)
			records[n++] = r;
	}
	return n;
}

START_TEST(any_order_with_gaps_and_repeats)
{
	static struct record records[RECORDS];
	uint64_t state = 31;

	for (int round = 0; round < 10; round++) {
		uint32_t n = make_records(&state, records);
		struct facts straight = {0};
		for (uint32_t i = 0; i < n; i++)
			facts_fold(&straight, &records[i]);
		ck_assert_uint_gt(straight.pins, 0);
		for (int order = 0; order < ORDERS; order++) {
			struct facts mixed = {0};
			uint32_t gap = (uint32_t)(random_next(&state) % n);
			for (uint32_t i = n - 1; i > 0; i--) {
				uint32_t k = (uint32_t)(random_next(&state) % (i + 1));
				struct record r = records[i];
				records[i] = records[k];
				records[k] = r;
			}
			for (uint32_t i = gap; i < n; i++)
				facts_fold(&mixed, &records[i]);
			for (int again = 0; again < 50; again++)
				facts_fold(&mixed, &records[gap + random_next(&state) % (n - gap)]);
			for (uint32_t i = 0; i < gap; i++)
				facts_fold(&mixed, &records[i]);
			assert_equal(&straight, &mixed);
			facts_close(&mixed);
		}
		facts_close(&straight);
	}
}
END_TEST

START_TEST(ends_and_margins)
{
	struct record pin = {.kind = RECORD_PIN, .version = 1, .until_s = NOW, .subject = 5};
	struct record session = {.kind = RECORD_SESSION, .version = 2, .subject = 77, .state = SESSION_PINNED};
	uint8_t other[32] = {1};
	struct facts f = {0};

	ck_assert(!facts_pinned(&f, pin.key, 0, NOW));
	ck_assert(facts_fold(&f, &pin));
	ck_assert(!facts_fold(&f, &pin));
	ck_assert(facts_pinned(&f, pin.key, 0, NOW - 1000));
	ck_assert(facts_pinned(&f, pin.key, 0, NOW + FACTS_MARGIN_S));
	ck_assert(!facts_pinned(&f, pin.key, 0, NOW + FACTS_MARGIN_S + 1));
	ck_assert(!facts_pinned(&f, other, 77, NOW));
	ck_assert(facts_fold(&f, &session));
	ck_assert(facts_pinned(&f, other, 77, UINT64_MAX));
	ck_assert(!facts_pinned(&f, other, 78, NOW));
	ck_assert(!facts_pinned(&f, other, 0, NOW));
	ck_assert_uint_eq(f.pins, 2);
	ck_assert_uint_eq(f.session_pins, 1);
	facts_drop_over(&f, NOW + FACTS_MARGIN_S);
	ck_assert_uint_eq(f.count, 2);
	facts_drop_over(&f, NOW + FACTS_MARGIN_S + 1);
	ck_assert_uint_eq(f.count, 1);
	ck_assert_uint_eq(f.pins, 1);
	ck_assert_uint_eq(f.version, 2);
	session.state = SESSION_PLAIN;
	session.version = 3;
	ck_assert(facts_fold(&f, &session));
	ck_assert(!facts_pinned(&f, other, 77, NOW));
	ck_assert_uint_eq(f.pins, 0);
	f.blind = true;
	ck_assert(facts_pinned(&f, other, 0, NOW));
	facts_close(&f);
}
END_TEST

static struct record fact(enum record_kind kind, uint64_t version, uint32_t slot, uint64_t until_s)
{
	return (struct record){.kind = kind, .version = version, .slot = slot, .epoch = 1, .until_s = until_s};
}

static const struct record *fold_all(struct facts *f, const struct record *records, int count, bool backwards)
{
	facts_close(f);
	for (int i = 0; i < count; i++)
		facts_fold(f, &records[backwards ? count - 1 - i : i]);
	return facts_of_key(f, records[0].key);
}

/* two who pin at the same moment, and have not seen each other: neither shortens the other, whatever the versions */
START_TEST(pins_that_meet)
{
	struct record both[] = {fact(RECORD_PIN, 8, 1, 0), fact(RECORD_PIN, 9, 0, NOW)};
	struct record again[] = {fact(RECORD_PIN, 8, 1, 0), fact(RECORD_UNPIN, 9, 2, 0), fact(RECORD_PIN, 10, 0, NOW)};
	struct facts f = {0};

	for (int backwards = 0; backwards < 2; backwards++) {
		const struct record *r = fold_all(&f, both, 2, backwards);
		ck_assert(r->kind == RECORD_PIN && r->until_s == 0 && r->version == 9);
		/* what was taken back in between is void, in any order, though read last */
		fold_all(&f, again, 2, false);
		again[2].generation = again[2].birth = 0;
		facts_follow(&f, &again[2]);
		r = fold_all(&f, again, 3, backwards);
		ck_assert(r->kind == RECORD_PIN && r->until_s == NOW && r->version == 10);
		ck_assert(!facts_pins(r, NOW + 60));
		/* and must be known to be so for ever, for the pin that it made void was for ever */
		facts_drop_over(&f, NOW + 60);
		ck_assert_ptr_nonnull(facts_of_key(&f, again[0].key));
		ck_assert(!facts_fold(&f, &again[0]));
	}
	facts_close(&f);
}
END_TEST

/* ---- rings ---- */

static const struct log_identity writer = {.slot = 2, .epoch = 7, .nonce = 99};

static void write_record(const struct control *c, uint64_t position)
{
	struct record r = {.kind = RECORD_PIN, .position = position, .version = position + 1, .subject = position};

	ring_write(c, &writer, &r);
}

static uint8_t *record_at(const struct control *c, uint64_t position)
{
	return c->base + layout_ring(&c->layout, writer.slot, writer.epoch) + position % ring_records(c) * RECORD_BYTES;
}

static void expect_record(const struct control *c, struct ring_reader *reader, uint64_t position, bool flipped)
{
	struct record r;
	uint64_t ahead;
	bool mended;

	ck_assert_int_eq(ring_next(c, reader, &r, &mended, &ahead), RING_RECORD);
	ck_assert_uint_eq(r.subject, position);
	ck_assert_uint_eq(reader->next, position + 1);
	ck_assert(mended == flipped);
}

START_TEST(rings)
{
	struct fake_media f;
	struct ring_reader reader = {.who = writer}, slow = {.who = writer}, stranger = {.who = {2, 7, 98, 0}};
	struct record r;
	uint64_t ahead;
	bool mended;

	fake_open(&f, 4);
	const struct control *c = &f.control;
	uint64_t records = ring_records(c);
	ck_assert_uint_eq(records, 32);
	ck_assert_int_eq(ring_next(c, &reader, &r, &mended, &ahead), RING_END);
	for (uint64_t n = 0; n < 3 * records + 5; n++) {
		write_record(c, n);
		expect_record(c, &reader, n, false);
		ck_assert_int_eq(ring_next(c, &reader, &r, &mended, &ahead), RING_END);
		ck_assert_int_eq(ring_next(c, &stranger, &r, &mended, &ahead), RING_END);
	}
	ck_assert_int_eq(ring_next(c, &slow, &r, &mended, &ahead), RING_BEHIND);
	ck_assert_uint_eq(ahead, 2 * records + 1); /* the oldest that may be there; the next four have been overwritten as well */
	slow.next = 2 * records + 5;
	expect_record(c, &slow, 2 * records + 5, false);
	fake_close(&f);
}
END_TEST

/* the place that a slow reader looks at is being written for the next round but one, and all behind it is of the next */
START_TEST(later_round_begun)
{
	struct fake_media f;
	struct record r;
	uint64_t ahead;
	bool mended;

	fake_open(&f, 4);
	const struct control *c = &f.control;
	uint64_t records = ring_records(c);
	for (uint64_t first = 0; first < records; first++) {
		struct ring_reader reader = {.who = writer, .next = first}, abreast = {.who = writer, .next = first + 2 * records};
		for (uint64_t n = first; n < first + 2 * records; n++)
			write_record(c, n);
		checked_withdraw(record_at(c, first));
		ck_assert_int_eq(ring_next(c, &reader, &r, &mended, &ahead), RING_BEHIND);
		ck_assert_uint_eq(ahead, records + 1);
		ck_assert_int_eq(ring_next(c, &abreast, &r, &mended, &ahead), RING_END);
	}
	fake_close(&f);
}
END_TEST

START_TEST(damaged_records)
{
	struct fake_media f;
	struct record r;
	uint64_t ahead;
	bool mended;

	fake_open(&f, 4);
	const struct control *c = &f.control;
	for (uint64_t n = 0; n < 20; n++)
		write_record(c, n);
	for (size_t bit = 0; bit < RECORD_BYTES * 8; bit++) { /* one flipped bit anywhere costs nothing */
		struct ring_reader reader = {.who = writer, .next = 6};
		flip_bit(record_at(c, 6), bit);
		expect_record(c, &reader, 6, true);
		expect_record(c, &reader, 7, false);
		flip_bit(record_at(c, 6), bit);
	}
	struct ring_reader reader = {.who = writer, .next = 6};
	memset(record_at(c, 6), 0, (size_t)3 * RECORD_BYTES);
	ck_assert_int_eq(ring_next(c, &reader, &r, &mended, &ahead), RING_BEHIND);
	ck_assert_uint_eq(ahead, 3);
	reader.next = 19;
	memset(record_at(c, 19), 0, RECORD_BYTES); /* the last one: the log ends before it */
	ck_assert_int_eq(ring_next(c, &reader, &r, &mended, &ahead), RING_END);
	checked_withdraw(record_at(c, 18)); /* being written */
	reader.next = 18;
	ck_assert_int_eq(ring_next(c, &reader, &r, &mended, &ahead), RING_END);
	fake_close(&f);
}
END_TEST

/* ---- checkpoints ---- */

static void collect(void *context, const struct record *r) { facts_fold(context, r); }

static void write_area(const struct control *c, unsigned area, uint64_t sequence, uint32_t count, uint8_t fill)
{
	static struct record records[64];
	struct checkpoint_header h = {
		.slot = 1, .epoch = 3, .nonce = 4, .sequence = sequence, .facts = count, .log_position = sequence * 10};

	for (uint32_t i = 0; i < count; i++) {
		records[i] = (struct record){.kind = RECORD_PIN, .version = sequence};
		memset(records[i].key, fill + (int)i, sizeof(records[i].key));
	}
	ck_assert_int_eq(checkpoint_write(c, area, &h, records), 0);
}

START_TEST(checkpoints)
{
	struct fake_media f;
	struct checkpoint_header h;
	uint64_t damaged = 0, mended = 0;
	struct facts got = {0};
	unsigned area;

	fake_open(&f, 4);
	const struct control *c = &f.control;
	ck_assert(!checkpoint_best(c, 1, &h, &area));
	ck_assert_uint_eq(checkpoint_records(c), 31);
	write_area(c, 0, 1, 31, 0);
	write_area(c, 1, 2, 5, 100);
	ck_assert(checkpoint_read(c, 1, collect, &got, &h, &damaged, &mended));
	ck_assert_uint_eq(h.sequence, 2);
	ck_assert_uint_eq(h.log_position, 20);
	ck_assert_uint_eq(got.count, 5);
	ck_assert_uint_eq(damaged + mended, 0);
	uint8_t *at = c->base + layout_checkpoint(&c->layout, 1, 1);
	flip_bit(at + 2 * RECORD_BYTES, 77);
	facts_close(&got);
	ck_assert(checkpoint_read(c, 1, collect, &got, &h, &damaged, &mended));
	ck_assert_uint_eq(got.count, 5);
	ck_assert_uint_eq(mended, 1);
	memset(at + 2 * RECORD_BYTES, 0x11, RECORD_BYTES); /* lost: the other area is asked as well */
	facts_close(&got);
	ck_assert(checkpoint_read(c, 1, collect, &got, &h, &damaged, &mended));
	ck_assert_uint_eq(damaged, 1);
	ck_assert_uint_eq(got.count, 31 + 4);
	checkpoint_withdraw(c, 1, 1); /* its writer died at it: the other one holds */
	ck_assert(checkpoint_best(c, 1, &h, &area));
	ck_assert_uint_eq(h.sequence, 1);
	/* what is left of an older checkpoint in the area is not taken for records of the newer one */
	write_area(c, 1, 3, 2, 200);
	write_area(c, 0, 4, 4, 50);
	at = c->base + layout_checkpoint(&c->layout, 1, 0);
	memset(at + 4 * RECORD_BYTES, 0, RECORD_BYTES);
	facts_close(&got);
	damaged = 0;
	ck_assert(checkpoint_read(c, 1, collect, &got, &h, &damaged, &mended));
	ck_assert_uint_eq(damaged, 1);
	ck_assert_uint_eq(got.count, 3 + 2);
	facts_close(&got);
	fake_close(&f);
}
END_TEST

/* ---- the factbook ---- */

enum { AGENTS = 3, STEPS = 6000, KEYS = 12 };

struct agent {
	struct factbook factbook;
	struct slot slot;
	bool there;
};

static int still_there(void *context)
{
	(void)context;
	return 0;
}

static void agent_begin(struct agent *a, const struct control *c)
{
	const struct slot_guard guard = {still_there, NULL, factbook_take_over, &a->factbook};

	ck_assert_int_eq(factbook_open(&a->factbook, c), 0);
	ck_assert_int_eq(slot_claim(c, false, &guard, &a->slot), 0);
	factbook_attach(&a->factbook, &a->slot);
	a->there = true;
}

/* clean or not: the lock is free, and that is all that others see of it */
static void agent_end(struct agent *a, const struct control *c, bool clean)
{
	if (clean)
		slot_leave(c, &a->slot);
	else
		fake_unlock(c->media, layout_slot_cell(&c->layout, 0, a->slot.number));
	factbook_close(&a->factbook);
	a->there = false;
}

static void state_random(struct agent *a, struct facts *model, uint64_t *random)
{
	struct record r = {.kind = random_next(random) % 3 ? RECORD_PIN : RECORD_UNPIN, .subject = random_next(random) % 100};

	if (random_next(random) % 8 == 0)
		r = (struct record){.kind = RECORD_SESSION, .subject = random_next(random) % 4,
				    .state = (uint32_t)(random_next(random) % 2)};
	else
		memset(r.key, (int)(random_next(random) % KEYS), sizeof(r.key));
	ck_assert_int_eq(factbook_state(&a->factbook, &r), 0);
	facts_fold(model, &r);
}

static void assert_knows(struct factbook *l, const struct facts *model)
{
	factbook_refresh(l);
	assert_equal(&l->facts, model);
	ck_assert_uint_eq(atomic_load(&l->damaged), 0);
	ck_assert_uint_eq(atomic_load(&l->mended), 0);
}

START_TEST(agents_come_and_go)
{
	struct fake_media f;
	struct agent agents[AGENTS] = {0};
	struct factbook newcomer;
	struct facts model = {0};
	uint64_t random = 5, births = 0, lapped = 0;

	fake_open(&f, 5);
	const struct control *c = &f.control;
	for (int step = 0; step < STEPS; step++) {
		struct agent *a = &agents[random_next(&random) % AGENTS];
		if (!a->there) {
			agent_begin(a, c);
			births++;
			assert_knows(&a->factbook, &model);
			continue;
		}
		switch (random_next(&random) % 40) {
		case 0:
			lapped += a->factbook.checkpointed > 0;
			agent_end(a, c, random_next(&random) % 2);
			break;
		case 1:
		case 2:
			assert_knows(&a->factbook, &model);
			break;
		case 3: /* somebody who only reads, and knows nothing */
			ck_assert_int_eq(factbook_open(&newcomer, c), 0);
			assert_knows(&newcomer, &model);
			factbook_close(&newcomer);
			break;
		default:
			state_random(a, &model, &random);
		}
	}
	ck_assert_uint_gt(births, 100);
	ck_assert_uint_gt(lapped, 20);
	for (int i = 0; i < AGENTS; i++)
		if (agents[i].there)
			agent_end(&agents[i], c, true);
	facts_close(&model);
	fake_close(&f);
}
END_TEST


START_TEST(facts_are_refused_before_any_is_lost)
{
	struct fake_media f;
	struct agent a = {0};
	struct factbook reader;
	uint32_t stated = 0;
	int err = 0;

	fake_open(&f, 5);
	const struct control *c = &f.control;
	agent_begin(&a, c);
	for (; stated < 200 && !err; stated += err == 0) {
		struct record r = {.kind = RECORD_PIN, .subject = 1};
		r.key[0] = (uint8_t)(stated + 1);
		err = factbook_state(&a.factbook, &r);
	}
	ck_assert_int_eq(err, MEMKV_PIN_LIMIT);
	ck_assert_uint_eq(stated, 31 - 5);
	ck_assert_uint_eq(factbook_room(&a.factbook), 0);
	for (int i = 0; i < 100; i++) { /* what is there can still be taken back, and stated again, as often as one likes */
		struct record r = {.kind = i % 2 ? RECORD_PIN : RECORD_UNPIN, .subject = 1};
		r.key[0] = (uint8_t)(1 + (uint32_t)i / 2 % stated);
		ck_assert_int_eq(factbook_state(&a.factbook, &r), 0);
	}
	ck_assert_int_eq(factbook_open(&reader, c), 0);
	for (uint32_t i = 0; i < stated; i++) {
		uint8_t key[32] = {(uint8_t)(i + 1)};
		ck_assert(factbook_pinned(&reader, key, 0));
	}
	factbook_close(&reader);
	agent_end(&a, c, true);
	fake_close(&f);
	/* ended ones make room when their time is over */
	fake_open(&f, 5);
	agent_begin(&a, c);
	for (int i = 0; i < 200; i++) {
		struct record over = {.kind = RECORD_PIN, .until_s = clock_utc_s() - 60};
		over.key[0] = (uint8_t)(i + 1);
		ck_assert_int_eq(factbook_state(&a.factbook, &over), 0);
	}
	agent_end(&a, c, true);
	fake_close(&f);
}
END_TEST

/* pages of the log regions, damaged at random: nothing is made up, and nothing crashes */
START_TEST(damage_makes_nothing_up)
{
	struct fake_media f;
	struct factbook reader;
	uint64_t random = 9, lost = 0;

	fake_open(&f, 5);
	const struct control *c = &f.control;
	for (int i = 0; i < 3; i++) {
		struct agent a = {0};
		agent_begin(&a, c);
		for (uint8_t k = 0; k < 20; k++) {
			struct record r = {.kind = RECORD_PIN, .subject = k};
			r.key[0] = k;
			ck_assert_int_eq(factbook_state(&a.factbook, &r), 0);
		}
		agent_end(&a, c, i == 1);
	}
	uint64_t from = c->layout.offset[REGION_LOG_RINGS];
	uint64_t bytes = c->layout.length[REGION_LOG_RINGS] + c->layout.length[REGION_CHECKPOINTS];
	uint8_t *image = malloc(bytes);
	memcpy(image, c->base + from, bytes);
	for (int round = 0; round < 300; round++) {
		for (uint64_t hits = 1 + random_next(&random) % 40; hits; hits--) {
			uint64_t at = random_next(&random) % (bytes - 64);
			random_bytes(&random, c->base + from + at, 1 + random_next(&random) % 64);
		}
		ck_assert_int_eq(factbook_open(&reader, c), 0);
		lost += 20 - reader.facts.count;
		ck_assert_uint_le(reader.facts.count, 20);
		for (uint32_t i = 0; i < reader.facts.places; i++) {
			const struct record *r = &reader.facts.table[i];
			ck_assert(r->kind == RECORD_NONE || (r->kind == RECORD_PIN && r->subject == r->key[0] && r->subject < 20));
		}
		factbook_close(&reader);
		memcpy(c->base + from, image, bytes);
	}
	ck_assert_uint_lt(lost, 20 * 300 / 10); /* most of it is there twice, or was not hit */
	free(image);
	fake_close(&f);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {any_order_with_gaps_and_repeats,
				      ends_and_margins,
				      rings,
				      later_round_begun,
				      damaged_records,
				      checkpoints,
				      agents_come_and_go,
				      facts_are_refused_before_any_is_lost,
				      pins_that_meet,
				      damage_makes_nothing_up,
				      NULL};
	return unit_run("facts", tests);
}
