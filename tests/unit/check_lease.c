/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims of a slot on a shared device, with somebody who stood still in its claim for long: what it writes when it wakes up must not
 * cost the log of who had the slot meanwhile, nor the slot.  And what proves a death without a lock, and what does not.
 */
#include "core/base/environ.h"
#include "core/slot/lease.h"
#include "fake_media.h"
#include "unit.h"

#include <memkv/memkv.h>

#include <stdio.h>

enum { SLOTS = 4, LATE = 0x1A7E, WINNER = 0x3133, NEXT = 0x4E87, TOLD = 12, TOLD_LATE = 34 };

/* a claim takes some tenths of a second, and is begun again when the machine is slow; nobody is silent for long; and where it is short */
static const struct lease_timing timing = {.beat_ms = 10, .self_ms = 50, .suspect_ms = 60000, .quarantine_ms = 80000, .claim_ms = 40};
static const struct lease_timing quick = {.beat_ms = 10, .self_ms = 50, .suspect_ms = 60, .quarantine_ms = 80, .claim_ms = 40};

static struct fake_media fake;
static struct control *c;

/* called behind each flush, with how many there were */
static void (*behind_flush)(unsigned count);
static unsigned flushes;

static int flush(struct media *media)
{
	(void)media;
	flushes++;
	if (behind_flush)
		behind_flush(flushes);
	return 0;
}

/* pages of cells that are held: as on a device, no others are written; only while it is asked for */
static bool held[(SLOT_COPIES + 2) * SLOTS], strict; /* hold cells and claim rows lie behind */

static bool *held_at(struct media *media, uint64_t offset) { return &held[fake_slot(media, offset)]; }

static int hold(struct media *media, uint64_t offset, size_t length)
{
	(void)length;
	*held_at(media, offset) = true;
	return 0;
}

static void let_go(struct media *media, uint64_t offset, size_t length)
{
	(void)length;
	*held_at(media, offset) = false;
}

static int publish(struct media *media, uint64_t offset, size_t length)
{
	(void)length;
	if (!strict || *held_at(media, offset))
		return 0;
	atomic_store(&media->unpublished, true);
	return -EROFS;
}

static struct slot_cell *twin;	/* its heartbeat moves with each look */
static struct slot_cell *leaver; /* it leaves while somebody asks whether it is gone */

static int refresh(struct media *media, uint64_t offset, size_t length)
{
	if (leaver && length == CELL_LIVE && fake_slot(media, offset) == leaver->slot) {
		slot_write_copy(c, leaver, 0);
		slot_write_copy(c, leaver, 1);
	}
	if (twin) {
		twin->heartbeat++;
		slot_write_copy(&fake.control, twin, 0);
	}
	return fake_range(media, offset, length);
}

static struct media_ops ops;

static void open_pool(void)
{
	fake_open(&fake, SLOTS);
	ops = *fake.base.ops;
	ops.flush = flush;
	ops.hold = hold;
	ops.publish = publish;
	ops.refresh = refresh;
	ops.let_go = let_go;
	fake.base.ops = &ops;
	c = &fake.control;
	c->shared = true;
	memset(c->machine, 7, sizeof(c->machine));
	memset(c->boot, 8, sizeof(c->boot));
	memset(held, 0, sizeof(held));
	strict = false;
	twin = leaver = NULL;
	behind_flush = NULL;
	flushes = 0;
}

static void close_pool(void) { fake_close(&fake); }

static struct slot_cell cell_of(uint32_t slot, uint32_t epoch, uint64_t nonce, uint32_t state)
{
	struct slot_cell cell = {.slot = slot, .epoch = epoch, .nonce = nonce, .state = state};

	memset(cell.machine, 1, sizeof(cell.machine));
	memset(cell.boot, 2, sizeof(cell.boot));
	return cell;
}

static void put_copy(unsigned copy, const struct slot_cell *cell) { slot_write_copy(c, cell, copy); }

static int there(void *context)
{
	(void)context;
	return 0;
}

static int claim_by(const struct lease_timing *t, struct slot *slot)
{
	const struct slot_guard guard = {.look = there};

	return lease_claim(c, t, &guard, slot);
}

static int claim(struct slot *slot) { return claim_by(&timing, slot); }

/* and that one's log, as far as it had @told of it */
static void must_owe(uint32_t slot, uint32_t epoch, uint64_t nonce, uint64_t told)
{
	struct slot mine;

	for (uint32_t n = 0; n < SLOTS; n++) { /* there is no other */
		struct slot_cell cell = cell_of(n, 1, 100 + n, SLOT_ACTIVE);
		if (n == slot)
			continue;
		put_copy(0, &cell);
		put_copy(1, &cell);
	}
	ck_assert_int_eq(claim(&mine), 0);
	ck_assert_uint_eq(mine.number, slot);
	ck_assert_uint_eq(mine.epoch, epoch + 1);
	ck_assert_uint_eq(mine.cell.owed_epoch, epoch);
	ck_assert_uint_eq(mine.cell.owed_nonce, nonce);
	ck_assert_uint_eq(mine.cell.owed_tail, told);
	ck_assert_int_eq(lease_brought_over(c, &mine), 0);
	ck_assert_uint_eq(mine.cell.owed_epoch | mine.cell.owed_nonce | mine.cell.owed_tail, 0);
}

START_TEST(late_copy_over_one_who_left)
{
	for (int state = SLOT_ACTIVE; state <= SLOT_LEFT; state++) {
		open_pool();
		struct slot_cell late = cell_of(0, 1, LATE, (uint32_t)state);
		struct slot winner = {.epoch = 1, .nonce = WINNER, .cell = cell_of(0, 1, WINNER, SLOT_ACTIVE)};
		winner.cell.log_tail = TOLD;
		fake.locked[0] = true;
		strict = held[0] = true; /* copy 0, as a holder has it */
		slot_leave(c, &winner);
		ck_assert(!atomic_load(&fake.base.unpublished)); /* both copies */
		strict = false;
		late.log_tail = TOLD_LATE;
		put_copy(0, &late);
		must_owe(0, 1, WINNER, TOLD);
		close_pool();
	}
}
END_TEST

/*
 * A cell that was read while its holder named the log before its own as owed; and it has left since, when its own log was all there
 * was.  That one must be named.
 */
START_TEST(chosen_by_what_stands_there)
{
	struct slot_cell before = cell_of(0, 3, WINNER, SLOT_ACTIVE), left = cell_of(0, 3, WINNER, SLOT_LEFT);

	open_pool();
	before.owed_epoch = 2;
	before.owed_nonce = LATE;
	before.owed_tail = TOLD_LATE;
	left.log_tail = TOLD;
	put_copy(0, &before);
	put_copy(1, &before);
	leaver = &left;
	must_owe(0, 3, WINNER, TOLD);
	close_pool();
}
END_TEST

/* the next one is in its claim, and gave up when copy 0 changed; or died */
START_TEST(late_copy_under_the_next_claim)
{
	for (int state = SLOT_ACTIVE; state <= SLOT_LEFT; state++) {
		open_pool();
		struct slot_cell late = cell_of(0, 1, LATE, (uint32_t)state), next = cell_of(0, 2, NEXT, SLOT_JOINING);
		next.owed_epoch = 1;
		next.owed_nonce = WINNER;
		next.owed_tail = TOLD;
		late.log_tail = TOLD_LATE;
		put_copy(0, &late);
		put_copy(1, &next);
		must_owe(0, 1, WINNER, TOLD);
		close_pool();
	}
}
END_TEST

/* likewise, and the late one had found the slot some epochs ago: none of those between comes again */
START_TEST(late_copy_of_an_epoch_long_past)
{
	struct slot_cell late = cell_of(0, 3, LATE, SLOT_LEFT), next = cell_of(0, 19, NEXT, SLOT_JOINING);

	open_pool();
	next.owed_epoch = 18;
	next.owed_nonce = WINNER;
	next.owed_tail = TOLD;
	late.log_tail = TOLD_LATE;
	put_copy(0, &late);
	put_copy(1, &next);
	must_owe(0, 18, WINNER, TOLD);
	close_pool();
}
END_TEST

static struct slot_cell on_the_way; /* the slot's holder, who won while we stood still */

/* behind our copy 0: it has had the slot since before we wrote that */
static void another_has_won(unsigned count)
{
	struct slot_cell ours;
	bool known;

	(void)slot_read_copy(c, 0, 0, &ours, &known);
	if (known && ours.state == SLOT_ACTIVE && ours.nonce != WINNER && count < 10 && !on_the_way.epoch) {
		on_the_way = cell_of(0, 1, WINNER, SLOT_ACTIVE);
		put_copy(1, &on_the_way);
	}
}

START_TEST(who_gives_up_leaves_the_winner_alone)
{
	struct slot mine;
	struct slot_cell cell;
	bool known;

	open_pool();
	on_the_way = (struct slot_cell){0};
	behind_flush = another_has_won;
	ck_assert_int_eq(claim(&mine), 0);
	ck_assert_uint_eq(on_the_way.epoch, 1); /* it came to that */
	ck_assert_uint_ne(mine.number, 0);
	ck_assert_int_eq(slot_read(c, 0, &cell), CHECK_GOOD);
	ck_assert_uint_eq(cell.nonce, WINNER);
	ck_assert_uint_eq(cell.state, SLOT_ACTIVE);
	(void)slot_read_copy(c, 0, 0, &cell, &known);
	ck_assert_uint_ne(cell.state, SLOT_LEFT); /* not "left", over what that one may have written by then */
	close_pool();
}
END_TEST

START_TEST(holder_writes_its_copy_anew)
{
	struct slot mine;
	struct slot_cell cell, late = cell_of(0, 1, LATE, SLOT_JOINING);
	bool known;

	open_pool();
	ck_assert_int_eq(claim(&mine), 0);
	ck_assert_int_eq(lease_guard(c, &mine), 0);
	put_copy(1, &late);
	ck_assert_int_eq(lease_guard(c, &mine), 0);
	(void)slot_read_copy(c, mine.number, 1, &cell, &known);
	ck_assert(known && cell.nonce == mine.nonce && cell.state == SLOT_ACTIVE);
	/* who joins has not got it; who is there in a higher epoch has */
	late = cell_of(0, 2, NEXT, SLOT_JOINING);
	put_copy(1, &late);
	ck_assert_int_eq(lease_guard(c, &mine), 0);
	/* who joins behind another has found that it was there */
	late = cell_of(0, 3, NEXT, SLOT_JOINING);
	put_copy(1, &late);
	ck_assert_int_eq(lease_guard(c, &mine), MEMKV_IN_USE);
	late = cell_of(0, 2, NEXT, SLOT_ACTIVE);
	put_copy(1, &late);
	ck_assert_int_eq(lease_guard(c, &mine), MEMKV_IN_USE);
	ck_assert(lease_lost(c, &mine));
	close_pool();
}
END_TEST

/* behind the copy that the holder mends: the slot has passed on while it stood still before that */
static void passes_on(unsigned count)
{
	struct slot_cell next = cell_of(0, 2, NEXT, SLOT_ACTIVE);

	if (count == 1)
		put_copy(0, &next);
}

START_TEST(holder_mends_too_late)
{
	struct slot mine;
	struct slot_cell late = cell_of(0, 1, LATE, SLOT_ACTIVE);

	open_pool();
	ck_assert_int_eq(claim(&mine), 0);
	put_copy(1, &late);
	flushes = 0;
	behind_flush = passes_on;
	ck_assert_int_eq(lease_guard(c, &mine), MEMKV_IN_USE);
	ck_assert_uint_eq(flushes, 1);
	close_pool();
}
END_TEST

/* ---- proofs of death ---- */

/* after how many microseconds it counted as gone and quiet; 0: not within @ms */
static uint64_t quiet_after(const struct slot_cell *like, unsigned ms, bool beats)
{
	struct lease_watch *watch = calloc(1, sizeof(*watch));
	struct slot_cell cell = *like;
	uint64_t began = clock_boot_us(), took = 0;

	open_pool();
	put_copy(1, &cell);
	while (!took && clock_boot_us() - began < ms * 1000ULL) {
		cell.heartbeat += beats;
		put_copy(0, &cell);
		lease_look(watch, c, clock_boot_us());
		if (lease_quiet(watch, c, &quick, cell.slot, cell.epoch))
			took = clock_boot_us() - began;
		clock_sleep_us(2000);
	}
	free(watch);
	close_pool();
	return took;
}

START_TEST(another_boot_proves_death)
{
	struct slot_cell cell = cell_of(1, 3, WINNER, SLOT_ACTIVE);

	memset(cell.machine, 7, sizeof(cell.machine)); /* this machine, in the boot before */
	/* suspicion first, then the quarantine */
	ck_assert_uint_ge(quiet_after(&cell, 20000, false), (quick.suspect_ms + quick.quarantine_ms) * 1000ULL);
	ck_assert(!quiet_after(&cell, 250, true)); /* two machines with one id: it lives */
	memset(cell.boot, 8, sizeof(cell.boot));
	ck_assert(!quiet_after(&cell, 250, false)); /* this very boot: it may be stopped */
	cell = cell_of(1, 3, WINNER, SLOT_ACTIVE);
	ck_assert(!quiet_after(&cell, 250, false)); /* another machine */
	memset(cell.machine, 0, sizeof(cell.machine));
	ck_assert(!quiet_after(&cell, 250, false)); /* one that does not say which it is */
}
END_TEST

START_TEST(unbounded_connection_waits_for_its_boot)
{
	struct slot_cell cell = cell_of(1, 3, WINNER, SLOT_ACTIVE);

	cell.quarantine_ms = UINT32_MAX;
	ck_assert(!quiet_after(&cell, 250, false));
	memset(cell.machine, 7, sizeof(cell.machine));
	ck_assert(!quiet_after(&cell, 250, false)); /* proven; then a minute */
}
END_TEST

/* a slot that passed on since its holder was silent proves nothing, but to that holder's machine in another boot */
START_TEST(silence_proves_nothing)
{
	struct lease_watch *watch = calloc(1, sizeof(*watch));
	struct slot_cell cell = cell_of(1, 5, WINNER, SLOT_ACTIVE);

	open_pool();
	cell.unproven_epoch = 4;
	memset(cell.unproven_machine, 1, sizeof(cell.unproven_machine));
	memset(cell.unproven_boot, 2, sizeof(cell.unproven_boot));
	put_copy(0, &cell);
	ck_assert(!lease_quiet(watch, c, &quick, 1, 4));
	ck_assert(lease_quiet(watch, c, &quick, 1, 3));
	memset(cell.unproven_machine, 7, sizeof(cell.unproven_machine));
	put_copy(0, &cell);
	ck_assert(lease_quiet(watch, c, &quick, 1, 4));
	cell.unproven_epoch = 0;
	put_copy(0, &cell);
	ck_assert(lease_quiet(watch, c, &quick, 1, 4));
	close_pool();
	free(watch);
}
END_TEST

/* each slot once, after suspicion and quarantine; not a second time, nor that of one whose writes may land at any time */
START_TEST(silent_slots_pass_on_once)
{
	struct slot mine;

	open_pool();
	for (uint32_t n = 0; n < SLOTS; n++) {
		struct slot_cell cell = cell_of(n, 1, 100 + n, SLOT_ACTIVE);
		cell.quarantine_ms = n == SLOTS - 1 ? UINT32_MAX : 0;
		put_copy(0, &cell);
		put_copy(1, &cell);
	}
	for (uint32_t n = 0; n < SLOTS - 1; n++) {
		uint64_t began = clock_boot_us();
		ck_assert_int_eq(claim_by(&quick, &mine), 0);
		ck_assert_uint_ge(clock_boot_us() - began, (quick.suspect_ms + quick.quarantine_ms) * 1000ULL);
		ck_assert_uint_lt(mine.number, SLOTS - 1);
		ck_assert_uint_eq(mine.epoch, 2);
		ck_assert_uint_eq(mine.cell.unproven_epoch, 1);
		ck_assert_uint_eq(mine.cell.unproven_machine[0], 1);
		ck_assert_uint_eq(mine.cell.unproven_boot[0], 2);
		ck_assert_uint_eq(mine.cell.owed_epoch, 1);
		ck_assert_uint_eq(mine.cell.owed_nonce, 100 + mine.number);
	}
	ck_assert_int_eq(claim_by(&quick, &mine), MEMKV_NO_SLOT);
	close_pool();
}
END_TEST

/* a machine that was cloned with its id: refused with the mend, while it lives */
START_TEST(twins_are_refused)
{
	struct slot_cell cell = cell_of(2, 5, WINNER, SLOT_ACTIVE);
	struct slot mine;

	open_pool();
	memset(cell.machine, 7, sizeof(cell.machine));
	put_copy(0, &cell);
	put_copy(1, &cell);
	twin = &cell;
	ck_assert_int_eq(claim(&mine), MEMKV_IN_USE);
	ck_assert_ptr_nonnull(strstr(memkv_error_detail(), "give one of them a new /etc/machine-id"));
	ck_assert_ptr_nonnull(strstr(memkv_error_detail(), "slot 2"));
	twin = NULL;
	ck_assert_int_eq(claim(&mine), 0); /* it stands still: that machine's boot before this one */
	close_pool();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {late_copy_over_one_who_left, late_copy_under_the_next_claim, late_copy_of_an_epoch_long_past, chosen_by_what_stands_there,
					     who_gives_up_leaves_the_winner_alone, holder_writes_its_copy_anew, holder_mends_too_late,
					     another_boot_proves_death, unbounded_connection_waits_for_its_boot, twins_are_refused,
					     silence_proves_nothing, silent_slots_pass_on_once,
					     NULL};

	return unit_run("lease", tests);
}
