/* SPDX-License-Identifier: Apache-2.0 */
/* See lease.h. */
#include "core/slot/lease.h"
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/base/log.h"
#include "core/format/owner_word.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLAIMS_MAX = 50, QUARANTINE_MS = 60000 };

int lease_timing_read(struct lease_timing *t)
{
	const char *given = getenv("MEMKV_LEASE_MS");

	*t = (struct lease_timing){.beat_ms = 1000, .self_ms = 5000, .suspect_ms = 10000, .quarantine_ms = QUARANTINE_MS, .claim_ms = 100};
	if (!given)
		return 0;
	t->given = true;
	if (sscanf(given, "%u,%u,%u,%u,%u", &t->beat_ms, &t->self_ms, &t->suspect_ms, &t->quarantine_ms, &t->claim_ms) != 5 ||
	    t->beat_ms == 0 || t->claim_ms == 0 || t->self_ms < 2 * t->beat_ms || t->suspect_ms < t->self_ms)
		return fail(-EINVAL, "MEMKV_LEASE_MS=%s: five numbers of milliseconds are needed (beat, self, suspect, quarantine, "
				     "claim), with self at least twice the beat and suspect at least self", given);
	return 0;
}

static void *cell_at(const struct control *c, unsigned copy, uint32_t number) { return slot_copy_at(c, number, copy); }

int lease_refresh(const struct control *c)
{
	uint32_t slots = c->layout.geo.slots, read = 0;
	struct slot_cell cell;
	bool any = true;

	for (; any && read < slots; read += (uint32_t)min_u64(slots - read, LEASE_STEP)) {
		uint32_t end = read + (uint32_t)min_u64(slots - read, LEASE_STEP);
		if (!control_refresh(c, cell_at(c, 0, read), (size_t)(end - read) * PAGE) ||
		    !control_refresh(c, cell_at(c, 1, read), (size_t)(end - read) * PAGE))
			return -EIO;
		any = false;
		for (uint32_t n = read; n < end; n++)
			any |= slot_read(c, n, &cell) == CHECK_BAD || cell.state != SLOT_VIRGIN;
	}
	return (int)read;
}

/* ---- watching ---- */

void lease_look(struct lease_watch *watch, const struct control *c, uint64_t asked_us)
{
	struct slot_cell cell;
	uint64_t now_us = clock_boot_us();

	/* whoever stood still since, here or in between, has seen nothing meanwhile */
	watch->asked_us = asked_us;

	for (uint32_t n = 0; n < c->layout.geo.slots; n++) {
		if (slot_read(c, n, &cell) == CHECK_BAD || cell.epoch == 0)
			continue;
		if (cell.epoch == watch->slots[n].epoch && cell.heartbeat == watch->slots[n].heartbeat)
			continue;
		if (cell.epoch != watch->slots[n].epoch)
			watch->slots[n].gone_us = 0;
		watch->slots[n].epoch = cell.epoch;
		watch->slots[n].heartbeat = cell.heartbeat;
		watch->slots[n].since_us = now_us;
	}
}

uint64_t lease_still_us(const struct lease_watch *watch, uint32_t slot, uint32_t epoch)
{
	uint64_t until_us = MUTANT(SILENCE_GUESSED) ? clock_boot_us() : watch->asked_us;

	if (slot >= SLOTS_MAX || watch->slots[slot].epoch != epoch || until_us <= watch->slots[slot].since_us)
		return 0;
	return until_us - watch->slots[slot].since_us;
}

/* is what this machine, in another boot, once was */
static bool of_boot_before(const struct control *c, const uint8_t machine[16], const uint8_t boot[16])
{
	static const uint8_t unknown[16];

	return memcmp(machine, unknown, sizeof(unknown)) != 0 && memcmp(boot, unknown, sizeof(unknown)) != 0 &&
	       memcmp(c->boot, unknown, sizeof(unknown)) != 0 && memcmp(machine, c->machine, sizeof(unknown)) == 0 &&
	       memcmp(boot, c->boot, sizeof(unknown)) != 0;
}

/* another boot of its machine: it is gone with all it had, unless two machines have one id; then its heartbeat moves */
static bool rebooted(const struct lease_watch *watch, const struct control *c, const struct lease_timing *t,
		     const struct slot_cell *cell)
{
	return of_boot_before(c, cell->machine, cell->boot) &&
	       lease_still_us(watch, cell->slot, cell->epoch) >= max_u64(t->suspect_ms, cell->suspect_ms) * 1000ULL;
}

/* its slot passed on while nobody could prove its death; it was quiet for long by then */
static bool still_unproven(const struct control *c, const struct slot_cell *cell)
{
	return cell->unproven_epoch && !of_boot_before(c, cell->unproven_machine, cell->unproven_boot);
}

uint64_t lease_reuse_us(const struct lease_timing *t, const struct slot_cell *cell)
{
	uint64_t quarantine_ms = max_u64(t->quarantine_ms, cell->quarantine_ms);

	return quarantine_ms >= UINT32_MAX ? UINT64_MAX : (max_u64(t->suspect_ms, cell->suspect_ms) + quarantine_ms) * 1000ULL;
}

bool lease_reusable(const struct lease_watch *watch, const struct control *c, const struct lease_timing *t, uint32_t slot)
{
	struct slot_cell cell;

	return slot_read(c, slot, &cell) != CHECK_BAD && cell.state == SLOT_ACTIVE && !still_unproven(c, &cell) &&
	       lease_still_us(watch, slot, cell.epoch) >= lease_reuse_us(t, &cell);
}

bool lease_quiet(struct lease_watch *watch, const struct control *c, const struct lease_timing *t, uint32_t slot,
		 uint32_t epoch)
{
	uint64_t now = clock_boot_us();
	struct slot_cell cell;

	if (slot >= c->layout.geo.slots || slot_read(c, slot, &cell) == CHECK_BAD)
		return false;
	if (cell.epoch > epoch && cell.unproven_epoch == epoch)
		return !still_unproven(c, &cell);
	if (cell.epoch > epoch || (cell.epoch == epoch && (cell.state == SLOT_LEFT || cell.state == SLOT_VIRGIN)))
		return true; /* it had to be quiet before */
	bool gone = slot_gone(c, slot, epoch), again = !gone && rebooted(watch, c, t, &cell);
	if (!gone && !again)
		return false;
	if (watch->slots[slot].epoch != epoch)
		return false; /* not seen yet */
	if (!watch->slots[slot].gone_us)
		watch->slots[slot].gone_us = now;
	uint32_t quarantine_ms = cell.epoch == epoch ? (uint32_t)max_u64(t->quarantine_ms, cell.quarantine_ms) : t->quarantine_ms;
	if (again && quarantine_ms == UINT32_MAX)
		quarantine_ms = QUARANTINE_MS; /* what its kernel held back for ever went with that boot */
	return quarantine_ms != UINT32_MAX && now - watch->slots[slot].gone_us >= quarantine_ms * 1000ULL;
}

/* ---- claiming ---- */

struct joining {
	const struct control *c;
	const struct lease_timing *timing;
	struct lease_watch watch;
	uint64_t joiner[SLOTS_MAX]; /* nonce of somebody else's claim, */
	uint64_t since[SLOTS_MAX];  /* and since when we see it */
	uint8_t pass[SLOTS_MAX];    /* it did not want to pass on: that many looks without it */
	uint64_t began_us;
	uint64_t patience_us; /* until when somebody silent is waited for; 0: that was not needed yet */
	struct slot_cell first;	    /* copy 0 of what was chosen; its state need not follow from that one */
	struct slot_cell chosen;
	bool unproven;		    /* what was chosen has a holder whose death nobody has proven */
};

static bool refresh_all(const struct control *c)
{
	return control_refresh_regions(c, REGION_SLOT_CELLS, REGION_SLOT_CELLS);
}

/* where a claimer says that it joins: beside the cell, so that who comes late with that takes no word of who has the slot */
static unsigned joins_in(void) { return MUTANT(JOINED_IN_CELL) ? 1 : SLOT_JOINS; }

/*
 * Is somebody else in the middle of a claim?  One that stands still for long has been given up, and one for an epoch that is used has
 * come late, or to its end.
 */
static bool being_joined(struct joining *j, uint32_t n, uint32_t epoch, uint64_t now)
{
	unsigned where = joins_in();
	struct slot_cell copy;
	bool known;

	if (!control_refresh(j->c, cell_at(j->c, where, n), PAGE))
		return true;
	(void)slot_read_copy(j->c, n, where, &copy, &known);
	if (!known || copy.state != SLOT_JOINING || copy.epoch <= epoch)
		return false;
	if (copy.nonce != j->joiner[n]) {
		j->joiner[n] = copy.nonce;
		j->since[n] = now;
	}
	return now - j->since[n] < j->timing->claim_ms * 8000ULL;
}

enum choice { CHOSEN, BUSY, WAITS, NONE }; /* WAITS: all are taken, and somebody silent will be out of its time */

/* for as long as a heartbeat takes to be seen, nobody can be told from one that is silent */
static bool listens_still(const struct joining *j)
{
	return j->watch.asked_us < j->began_us + j->timing->beat_ms * 4000ULL;
}

/* how long until the next of the silent ones is free, as things look now; UINT64_MAX: none will be */
static uint64_t next_reuse_us(const struct joining *j)
{
	uint64_t soonest = UINT64_MAX;
	struct slot_cell cell;

	for (uint32_t n = 0; n < j->c->layout.geo.slots; n++) {
		if (slot_read(j->c, n, &cell) == CHECK_BAD || cell.state != SLOT_ACTIVE || still_unproven(j->c, &cell))
			continue;
		uint64_t still = lease_still_us(&j->watch, n, cell.epoch), need = lease_reuse_us(j->timing, &cell);
		if ((still >= j->timing->beat_ms * 3000ULL || listens_still(j)) && need != UINT64_MAX)
			soonest = min_u64(soonest, need > still ? need - still : 0);
	}
	return soonest;
}

/*
 * The lowest slot whose holder has left, or a virgin one, or one whose holder was proven gone long enough ago; @silent_too: or one
 * whose holder has been silent for longer than it may
 */
static enum choice choose_among(struct joining *j, bool silent_too)
{
	const struct control *c = j->c;
	uint64_t now = clock_boot_us();
	struct slot_cell cell, first;
	bool waits = false, known;
	uint32_t virgins = 0; /* one after the other */

	for (uint32_t n = 0; n < c->layout.geo.slots && virgins <= LEASE_STEP; n++) {
		(void)slot_read_copy(c, n, 0, &first, &known);
		if (!known || slot_read(c, n, &cell) == CHECK_BAD || cell.epoch >= EPOCH_MAX)
			continue;
		bool free = cell.state == SLOT_LEFT || cell.state == SLOT_VIRGIN;
		virgins = cell.state == SLOT_VIRGIN ? virgins + 1 : 0;
		if (virgins > LEASE_STEP)
			return BUSY; /* those before it will do, in a while */
		waits |= !free && slot_gone(c, n, cell.epoch);
		bool proven = free || lease_quiet(&j->watch, c, j->timing, n, cell.epoch);
		if (!proven && (!silent_too || !lease_reusable(&j->watch, c, j->timing, n)))
			continue;
		if (j->pass[n] && j->pass[n]--) {
			waits = true;
			continue;
		}
		if (being_joined(j, n, cell.epoch, now)) {
			waits = true;
			continue;
		}
		cell.slot = n;
		j->chosen = cell;
		j->first = first;
		j->unproven = !proven;
		return CHOSEN;
	}
	return waits ? BUSY : NONE;
}

/* all cells, as they are now */
static bool look_round(struct joining *j)
{
	uint64_t asked_us = clock_boot_us();
	bool good = refresh_all(j->c);

	if (good)
		lease_look(&j->watch, j->c, asked_us);
	return good;
}

static enum choice choose(struct joining *j)
{
	enum choice choice = choose_among(j, false);

	if (choice != NONE)
		return choice;
	choice = choose_among(j, true);
	return choice == NONE && next_reuse_us(j) != UINT64_MAX ? WAITS : choice;
}

/* of the incarnations before in this slot, the one that nobody has proven gone; there is one at most */
static void carry_unproven(const struct joining *j, const struct slot_cell *before, struct slot_cell *cell)
{
	if (j->unproven) {
		cell->unproven_epoch = before->epoch;
		memcpy(cell->unproven_machine, before->machine, sizeof(before->machine));
		memcpy(cell->unproven_boot, before->boot, sizeof(before->boot));
	} else if (still_unproven(j->c, before)) {
		cell->unproven_epoch = before->unproven_epoch;
		memcpy(cell->unproven_machine, before->unproven_machine, sizeof(before->machine));
		memcpy(cell->unproven_boot, before->unproven_boot, sizeof(before->boot));
	}
}

static bool write_copy(const struct control *c, const struct slot_cell *cell, unsigned copy)
{
	void *at = cell_at(c, copy, cell->slot);

	if (!control_hold(c, at, PAGE))
		return false;
	slot_write_copy(c, cell, copy);
	return control_published(c) && c->media->ops->flush(c->media) == 0;
}

/* is this copy, as it stands on the medium, what we think it is? */
static bool reads_back(const struct control *c, uint32_t number, unsigned copy, uint32_t epoch, uint64_t nonce)
{
	struct slot_cell cell;
	bool known;

	control_let_go(c, cell_at(c, copy, number), PAGE);
	if (!control_refresh(c, cell_at(c, copy, number), PAGE))
		return false;
	(void)slot_read_copy(c, number, copy, &cell, &known);
	return known && cell.epoch == epoch && cell.nonce == nonce;
}

static bool in_time(const struct lease_timing *t, uint64_t since_us)
{
	return clock_boot_us() - since_us < t->claim_ms * 1000ULL;
}

static bool same_cell(const struct control *c, const struct slot_cell *a, const struct slot_cell *b)
{
	uint8_t one[CELL_LIVE], other[CELL_LIVE];

	slot_cell_encode(a, 0, c->seed, one);
	slot_cell_encode(b, 0, c->seed, other);
	return memcmp(one, other, sizeof(one)) == 0 ||
	       (MUTANT(CHOSEN_BELIEVED) && a->epoch == b->epoch && a->nonce == b->nonce);
}

/* copy 0, as it stands on the medium: word for word what it was, for a heartbeat is a sign of life, and our cell says what it owes */
static bool first_stands(const struct joining *j)
{
	const struct control *c = j->c;
	uint32_t number = j->chosen.slot;
	struct slot_cell first;
	bool known;

	control_let_go(c, cell_at(c, 0, number), PAGE);
	if (!control_refresh(c, cell_at(c, 0, number), PAGE))
		return false;
	(void)slot_read_copy(c, number, 0, &first, &known);
	return known && same_cell(c, &first, &j->first);
}

/*
 * The two copies were brought in one after the other, perhaps long ago; and again while we asked whether somebody is gone.  Is what was
 * chosen what stands there now?  By its word we name the log that is owed.
 */
static bool stands_as_chosen(const struct joining *j)
{
	const struct control *c = j->c;
	struct slot_cell now;

	control_let_go(c, cell_at(c, 1, j->chosen.slot), PAGE);
	return control_refresh(c, cell_at(c, 1, j->chosen.slot), PAGE) && first_stands(j) &&
	       slot_read(c, j->chosen.slot, &now) != CHECK_BAD && same_cell(c, &now, &j->chosen);
}

/* JOINING is written, and after a while still there, and both copies as they were: nobody else goes on with this slot */
static int join(struct joining *j, struct slot *slot, uint64_t *looked_us)
{
	const struct control *c = j->c;
	struct slot_cell joining = slot->cell;

	joining.state = SLOT_JOINING;
	uint64_t began = clock_boot_us();
	if (!stands_as_chosen(j))
		return -EAGAIN;
	unsigned where = joins_in();
	if (!write_copy(c, &joining, where))
		return -EIO;
	if (!in_time(j->timing, began))
		return -EAGAIN;
	clock_sleep_us(2000ULL * j->timing->claim_ms);
	*looked_us = clock_boot_us();
	bool first = reads_back(c, slot->number, where, slot->epoch, slot->nonce);
	return first && (where == 1 ? first_stands(j) : stands_as_chosen(j)) ? 0 : -EAGAIN;
}

static void let_all_go(const struct control *c, uint32_t number)
{
	control_let_go(c, cell_at(c, 0, number), PAGE);
	control_let_go(c, cell_at(c, 1, number), PAGE);
	control_let_go(c, cell_at(c, SLOT_JOINS, number), PAGE);
}

/*
 * Copy 0 is written, and somebody else was at it.  Where it names us still, and copy 1 nobody who has won, nobody has the slot.  Else
 * copy 0 is left alone: its holder writes it anew at the next heartbeat, and one that has left stands in copy 1.
 */
static int give_up(const struct control *c, const struct slot *slot)
{
	struct slot_cell left = slot->cell, other;
	bool known = control_refresh(c, cell_at(c, 1, slot->number), PAGE);

	left.state = SLOT_LEFT;
	if (known)
		(void)slot_read_copy(c, slot->number, 1, &other, &known);
	bool nobody = known && (other.state == SLOT_JOINING || other.epoch < slot->epoch);
	if (nobody && reads_back(c, slot->number, 0, slot->epoch, slot->nonce))
		(void)write_copy(c, &left, 0);
	return -EAGAIN;
}

/* has somebody won who stood still before he said so in copy 1? */
static bool is_won(const struct control *c, const struct slot *slot)
{
	struct slot_cell other;
	bool known;

	control_let_go(c, cell_at(c, 1, slot->number), PAGE);
	if (!control_refresh(c, cell_at(c, 1, slot->number), PAGE))
		return true;
	(void)slot_read_copy(c, slot->number, 1, &other, &known);
	return known && other.state != SLOT_JOINING && other.epoch >= slot->epoch;
}

/* copy 1 says that we have won, and we have not: take that back, for nobody would have the slot */
static int take_back(const struct control *c, const struct slot *slot)
{
	struct slot_cell joining = slot->cell;

	joining.state = SLOT_JOINING;
	if (reads_back(c, slot->number, 1, slot->epoch, slot->nonce))
		(void)write_copy(c, &joining, 1);
	return -EAGAIN;
}

/* won: copy 0, then copy 1 */
static int take(struct joining *j, struct slot *slot)
{
	const struct control *c = j->c;
	uint64_t looked;

	for (int tries = 0; tries < 4; tries++) {
		int err = join(j, slot, &looked);
		if (err)
			return err;
		if (!in_time(j->timing, looked))
			continue; /* that took long: look again */
		if (!write_copy(c, &slot->cell, 0))
			return -EIO;
		clock_sleep_us(1000ULL * j->timing->claim_ms);
		/* that we join as well: whoever stood still before that write may have come after others' whole lives */
		if (!reads_back(c, slot->number, 0, slot->epoch, slot->nonce) ||
		    !reads_back(c, slot->number, joins_in(), slot->epoch, slot->nonce) || is_won(c, slot))
			return give_up(c, slot);
		if (!write_copy(c, &slot->cell, 1))
			return -EIO;
		/* whoever stood still before that write may have been given up meanwhile, and its slot be another's */
		if (!reads_back(c, slot->number, 0, slot->epoch, slot->nonce))
			return take_back(c, slot);
		return control_hold(c, cell_at(c, 0, slot->number), PAGE) ? 0 : -EIO;
	}
	return -EAGAIN;
}

static int try_claim(struct joining *j, const struct slot_guard *guard, struct slot *slot)
{
	const struct slot_cell *before = &j->chosen;
	const struct control *c = j->c;
	uint32_t n = before->slot;
	int err = c->media->ops->lock(c->media, slot_lock_offset(c, n));

	if (err)
		return err; /* -EAGAIN: a neighbour is at it */
	err = guard->look(guard->context);
	if (!err)
		err = slot_begin(c, n, before->epoch + 1, slot);
	if (!err) {
		slot->cell.suspect_ms = j->timing->suspect_ms;
		slot->cell.quarantine_ms = j->timing->quarantine_ms;
		/* nothing but cells is written before the slot is ours: what stands in its log is brought over after that */
		bool owes = before->owed_epoch != 0; /* it never came so far */
		slot->cell.owed_epoch = owes ? before->owed_epoch : before->epoch;
		slot->cell.owed_nonce = owes ? before->owed_nonce : before->nonce;
		slot->cell.owed_tail = owes ? before->owed_tail : before->log_tail;
		carry_unproven(j, before, &slot->cell);
		err = take(j, slot);
	}
	if (err == -EAGAIN)
		j->pass[n] = 8;
	if (err) {
		let_all_go(c, n);
		slot->epoch = 0;
		c->media->ops->unlock(c->media, slot_lock_offset(c, n));
	}
	return err;
}

/* heartbeats of agents of a machine with our id, in another boot; UINT32_MAX: none; false: there is none at all */
static bool beats_of_twins(const struct control *c, uint32_t *beats)
{
	static const uint8_t unknown[16];
	struct slot_cell cell;
	bool any = false;

	for (uint32_t n = 0; n < c->layout.geo.slots; n++) {
		beats[n] = UINT32_MAX;
		if (slot_read(c, n, &cell) == CHECK_BAD || cell.state != SLOT_ACTIVE ||
		    memcmp(cell.machine, unknown, sizeof(unknown)) == 0 ||
		    memcmp(cell.machine, c->machine, sizeof(unknown)) != 0 || memcmp(cell.boot, c->boot, sizeof(unknown)) == 0)
			continue;
		beats[n] = (uint32_t)(cell.heartbeat & INT32_MAX);
		any = true;
	}
	return any;
}

/*
 * A machine with our id, in another boot, whose heartbeat moves before our eyes: each time that we look, for the last one that our
 * machine wrote before it was booted may land late.
 */
static int find_twin(struct joining *j)
{
	enum { LOOKS = 3 };
	const struct control *c = j->c;
	uint32_t before[SLOTS_MAX], now[SLOTS_MAX], moved = SLOTS_MAX;
	struct slot_cell cell;

	for (int look = 0; look < LOOKS && moved; look++) {
		if (!beats_of_twins(c, before))
			return 0;
		clock_sleep_us(2500ULL * j->timing->beat_ms);
		if (!refresh_all(c))
			return fail(-EIO, "%s: the slots cannot be read", c->media->path);
		(void)beats_of_twins(c, now);
		moved = 0;
		for (uint32_t n = 0; n < c->layout.geo.slots && !moved; n++)
			if (before[n] != UINT32_MAX && now[n] != UINT32_MAX && before[n] != now[n])
				moved = n + 1;
		if (MUTANT(TWIN_AT_ONCE))
			break;
	}
	if (!moved)
		return 0;
	(void)slot_read(c, moved - 1, &cell);
	return fail(MEMKV_IN_USE, "%s: another machine with this one's machine id is using the pool (slot %u, NVMe host %s); give one of "
				  "them a new /etc/machine-id, and NVMe host NQN and id of its own, and boot it again", c->media->path,
		    moved - 1, cell.host_nqn);
}

static int no_slot(const struct control *c)
{
	return fail(MEMKV_NO_SLOT, "%s: all %u slots are taken by agents that live, or whose death nobody can prove ('memkv host ls' "
				   "shows them); stop one, let its host come back, or make the pool with more --slots",
		    c->media->path, c->layout.geo.slots);
}

/* all slots are taken: is it worth while to go on until one that is silent is out of its time? */
static bool wait_for_silent(struct joining *j)
{
	uint64_t now = clock_boot_us(), wait = next_reuse_us(j);

	if (!j->patience_us && !listens_still(j)) {
		j->patience_us = now + wait + j->timing->claim_ms * 50000ULL;
		log_say("%s: all %u slots are taken; one of a host that is silent is free in %llu s, unless it is heard of", j->c->media->path,
			j->c->layout.geo.slots, (unsigned long long)(wait / 1000000 + 1));
	}
	return !j->patience_us || now < j->patience_us;
}

int lease_claim(const struct control *c, const struct lease_timing *timing, const struct slot_guard *guard, struct slot *slot)
{
	struct joining *j = calloc(1, sizeof(*j));
	int err = -EAGAIN;

	if (!j)
		return fail(-ENOMEM, "%s: no memory to attach", c->media->path);
	j->c = c;
	j->timing = timing;
	j->began_us = clock_boot_us();
	slot->epoch = 0;
	if (refresh_all(c))
		err = find_twin(j) ? MEMKV_IN_USE : -EAGAIN;
	for (int i = 0; err == -EAGAIN && i < CLAIMS_MAX; i++) {
		enum choice choice = look_round(j) ? choose(j) : BUSY;
		if (choice == WAITS && wait_for_silent(j))
			i = 0;
		if (choice == NONE)
			err = no_slot(c);
		else
			err = choice == CHOSEN ? try_claim(j, guard, slot) : -EAGAIN;
		if (err == -EAGAIN) { /* not in step with others who try */
			uint64_t random = 0;
			(void)random_fill(&random, sizeof(random));
			clock_sleep_us(timing->claim_ms * (500 + random % 2500) + (choice == WAITS ? timing->beat_ms * 2000ULL : 0));
		}
	}
	if (err == -EAGAIN)
		err = no_slot(c);
	else if (err == -EIO)
		fail(err, "%s: cannot write the slot claim", c->media->path);
	free(j);
	return err;
}

/* ---- heartbeats ---- */

/* to be written as the holder has it */
static bool write_own(const struct control *c, const struct slot_cell *cell, unsigned copy)
{
	bool good = write_copy(c, cell, copy);

	if (copy == 1)
		control_let_go(c, cell_at(c, 1, cell->slot), PAGE); /* others may be at it: lease_guard() */
	return good;
}

int lease_brought_over(const struct control *c, struct slot *slot)
{
	int err = 0;

	slot->cell.owed_epoch = 0;
	slot->cell.owed_nonce = 0;
	slot->cell.owed_tail = 0;
	/* no heartbeat was written yet: who stood still since its claim may have lost the slot */
	for (unsigned copy = 0; copy < SLOT_COPIES && !err; copy++) {
		err = MUTANT(ATTACH_UNGUARDED) ? 0 : lease_guard(c, slot);
		if (!err && !write_own(c, &slot->cell, copy))
			err = -EIO;
	}
	return err;
}

bool lease_lost(const struct control *c, const struct slot *slot)
{
	struct slot_cell cell;
	bool known, lost = false;

	for (unsigned copy = 0; copy < SLOT_COPIES; copy++) {
		(void)slot_read_copy(c, slot->number, copy, &cell, &known);
		/* whoever joins with the epoch after ours has not got it: he finds that we live */
		uint32_t had = cell.state == SLOT_JOINING ? cell.epoch - 1 : cell.epoch;
		lost |= known && had > slot->epoch;
	}
	return lost;
}

/* both copies, as they are on the medium; then copy 0 is held again.  As lease_guard() */
static int ask(const struct control *c, const struct slot *slot)
{
	bool good = true;

	for (unsigned copy = 0; copy < SLOT_COPIES; copy++) {
		control_let_go(c, cell_at(c, copy, slot->number), PAGE);
		good = good && control_refresh(c, cell_at(c, copy, slot->number), PAGE);
	}
	if (good && lease_lost(c, slot))
		return MEMKV_IN_USE;
	return control_hold(c, cell_at(c, 0, slot->number), PAGE) && good ? 0 : -EIO;
}

int lease_guard(const struct control *c, const struct slot *slot)
{
	struct slot_cell cell;
	bool known;
	int err = ask(c, slot);

	if (err)
		return err;
	(void)slot_read_copy(c, slot->number, 1, &cell, &known);
	if (known && cell.epoch == slot->epoch && cell.nonce == slot->nonce)
		return 0;
	/* who stands still before that write may have written over its next holder's, whom copy 0 tells then */
	return write_own(c, &slot->cell, 1) ? ask(c, slot) : -EIO;
}

int lease_beat(const struct control *c, struct slot *slot, uint64_t log_tail)
{
	slot->cell.heartbeat++;
	slot->cell.log_tail = log_tail;
	slot->cell.seen_s = clock_utc_s();
	slot_write_copy(c, &slot->cell, 0);
	return control_published(c) ? 0 : -EIO;
}
