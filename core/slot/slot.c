/* SPDX-License-Identifier: Apache-2.0 */
/* See slot.h. */
#include "core/slot/slot.h"
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/format/owner_word.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

uint64_t slot_lock_offset(const struct control *c, uint32_t number)
{
	return layout_slot_cell(&c->layout, 0, number);
}

void *slot_copy_at(const struct control *c, uint32_t number, unsigned copy)
{
	return control_at(c, copy < SLOT_COPIES ? layout_slot_cell(&c->layout, copy, number) : layout_slot_joining(&c->layout, number));
}

/* one copy; *known: it tells something.  Withdrawn, it is not damaged, but only the other copy tells. */
enum check_result slot_read_copy(const struct control *c, uint32_t number, unsigned copy, struct slot_cell *cell,
				 bool *known)
{
	uint64_t words[CELL_WORDS];
	const uint8_t *live = (const uint8_t *)words;
	enum check_result result = CHECK_GOOD;

	*cell = (struct slot_cell){.slot = number, .state = SLOT_VIRGIN};
	*known = checked_load(words, slot_copy_at(c, number, copy), CELL_WORDS);
	if (*known && !cell_blank(live, CELL_LIVE))
		result = slot_cell_decode(live, number, copy, c->seed, cell);
	*known &= result != CHECK_BAD;
	return result;
}

/*
 * On shared devices: who stood still in its claim may write over copy 0 of the one who has won meanwhile.  That one has written copy
 * 1, which says ACTIVE only of who has won.
 */
static bool outlived(const struct control *c, const struct slot_cell *first, const struct slot_cell *second)
{
	return c->shared && !MUTANT(STALE_CLAIM_BELIEVED) && second->epoch == first->epoch && second->nonce != first->nonce;
}

/*
 * Likewise: a claimer whose JOINING stands in copy 1 had found the incarnation before in the slot, and found it ended.  What stands in
 * copy 0, of an older epoch, or of that epoch and of another, came late, of one that never had the slot.  Else an epoch would come
 * again, or the name of a log be lost.  (Where JOINING owes an older log than that of the one before, that one never stated anything.)
 */
static void found_by_next(const struct control *c, struct slot_cell *first, const struct slot_cell *second)
{
	if (!c->shared || second->state != SLOT_JOINING || second->epoch <= first->epoch)
		return;
	uint32_t before = second->epoch - 1;
	bool named = second->owed_epoch == before;
	if (first->epoch == before && (!named || second->owed_nonce == first->nonce))
		return; /* as it is while somebody joins */
	first->epoch = before;
	first->nonce = named ? second->owed_nonce : 0;
	first->log_tail = named ? second->owed_tail : 0;
	first->owed_epoch = named ? 0 : second->owed_epoch;
	first->owed_nonce = named ? 0 : second->owed_nonce;
	first->owed_tail = named ? 0 : second->owed_tail;
	first->state = SLOT_LEFT;
	if (!before || second->unproven_epoch != before)
		return;
	first->state = SLOT_ACTIVE; /* it was silent, and no more is known */
	memcpy(first->machine, second->unproven_machine, sizeof(first->machine));
	memcpy(first->boot, second->unproven_boot, sizeof(first->boot));
}

/* *holds: which copy the cell was taken from */
static enum check_result read_copies(const struct control *c, uint32_t number, struct slot_cell *cell, unsigned *holds)
{
	struct slot_cell copies[SLOT_COPIES];
	bool known[SLOT_COPIES];
	enum check_result a = slot_read_copy(c, number, 0, &copies[0], &known[0]);
	enum check_result b = slot_read_copy(c, number, 1, &copies[1], &known[1]);

	if (known[0] && known[1])
		found_by_next(c, &copies[0], &copies[1]);
	if (c->shared) /* whoever joins writes into copy 1, and has not got the slot yet */
		known[1] = known[1] && copies[1].state != SLOT_JOINING;
	if (!known[0] && !known[1])
		return CHECK_BAD;
	*holds = !known[0] || (known[1] && (copies[1].epoch > copies[0].epoch || outlived(c, &copies[0], &copies[1])));
	*cell = copies[*holds];
	return a == CHECK_GOOD && b == CHECK_GOOD ? CHECK_GOOD : CHECK_MENDED;
}

enum check_result slot_read(const struct control *c, uint32_t number, struct slot_cell *cell)
{
	unsigned holds;

	return read_copies(c, number, cell, &holds);
}

enum check_result slot_read_by(const struct control *c, uint32_t number, uint32_t epoch, struct slot_cell *cell)
{
	enum { LOOKS = 20, LOOK_US = 5000 };

	for (int looks = 0; looks < LOOKS; looks++) {
		if (looks)
			pause_us(LOOK_US);
		enum check_result result = slot_read(c, number, cell);
		if (result == CHECK_GOOD || (result != CHECK_BAD && cell->epoch >= epoch))
			return result;
	}
	return CHECK_BAD;
}

bool slot_refresh(const struct control *c, uint32_t number)
{
	return control_refresh(c, control_at(c, layout_slot_cell(&c->layout, 0, number)), CELL_LIVE) &&
	       control_refresh(c, control_at(c, layout_slot_cell(&c->layout, 1, number)), CELL_LIVE);
}

void slot_write_copy(const struct control *c, const struct slot_cell *cell, unsigned copy)
{
	void *at = slot_copy_at(c, cell->slot, copy);
	uint64_t words[CELL_WORDS];

	slot_cell_encode(cell, copy, c->seed, (uint8_t *)words);
	checked_store(at, words, CELL_WORDS);
	control_publish(c, at, sizeof(words));
}

static int flush_claim(const struct control *c)
{
	if (MUTANT(CLAIM_UNFLUSHED))
		return 0;
	return control_published(c) ? c->media->ops->flush(c->media) : -EIO;
}

/*
 * At each moment one copy is whole, on the medium too: what was found is flushed, since it may be of one who was killed
 * before it did so; then the copy that does not hold is written and flushed, then the other.  So whoever dies here, one after
 * the other, and wherever the power goes, the last epoch stays known (tests/model/slot_claim_locks.pml).
 */
static int write_claim(const struct control *c, const struct slot_cell *cell, unsigned holds)
{
	unsigned first = MUTANT(CLAIM_IN_ORDER) ? 0 : !holds;
	bool virgin = cell->epoch == 1;

	int err = virgin ? 0 : flush_claim(c);
	if (err)
		return err;
	slot_write_copy(c, cell, first);
	err = flush_claim(c);
	if (err)
		return err;
	slot_write_copy(c, cell, !first);
	return flush_claim(c);
}

/*
 * On a shared device.  A slot passes on only when its holder has left or was proven gone, so a newer epoch is a proof.  A lock
 * is one when it is on the very inode that the holder locked, in the same boot: that inode lives, and the lock is held, until
 * the holder's last I/O has ended.
 */
static bool gone_from_shared(const struct control *c, uint32_t number, uint32_t epoch)
{
	struct slot_cell cell;

	if (!slot_refresh(c, number) || slot_read(c, number, &cell) == CHECK_BAD)
		return false;
	if (cell.epoch != epoch)
		return cell.epoch > epoch;
	if (cell.state == SLOT_LEFT || cell.state == SLOT_VIRGIN)
		return true;
	return cell.node_inode && cell.node_inode == c->node_inode && cell.node_device == c->node_device &&
	       memcmp(cell.boot, c->boot, sizeof(cell.boot)) == 0 &&
	       c->media->ops->lock_held(c->media, slot_lock_offset(c, number)) == 0;
}

bool slot_locked(const struct control *c, uint32_t number)
{
	struct slot_cell cell;

	if (c->shared)
		return slot_refresh(c, number) &&
		       (slot_read(c, number, &cell) == CHECK_BAD || !gone_from_shared(c, number, cell.epoch));
	/* an error is not a proof of death */
	return c->media->ops->lock_held(c->media, slot_lock_offset(c, number)) != 0;
}

bool slot_gone(const struct control *c, uint32_t number, uint32_t epoch)
{
	struct slot_cell cell;

	if (number >= c->layout.geo.slots)
		return true; /* such a slot cannot exist: the word that named it was damaged */
	if (c->shared)
		return gone_from_shared(c, number, epoch);
	if (!slot_locked(c, number))
		return true;
	return !MUTANT(EPOCH_IGNORED) && slot_read(c, number, &cell) != CHECK_BAD && cell.epoch > epoch;
}

int slot_begin(const struct control *c, uint32_t number, uint32_t epoch, struct slot *slot)
{
	struct identity id;
	uint64_t random[2];
	int err = random_fill(random, sizeof(random));

	if (err)
		return fail(err, "no random numbers: %s", strerror(-err));
	identity_read(&id);
	*slot = (struct slot){.number = number, .epoch = epoch, .nonce = random[0]};
	atomic_store(&slot->next_birth, random[1] | 1); /* never 0 for the first 2^63 */
	slot->cell = (struct slot_cell){
		.slot = number,
		.state = SLOT_ACTIVE,
		.epoch = slot->epoch,
		.pid = id.pid,
		.nonce = slot->nonce,
		.process_start = id.process_start,
		.attached_s = clock_utc_s(),
		.seen_s = clock_utc_s(),
		.node_device = c->node_device,
		.node_inode = c->node_inode,
	};
	memcpy(slot->cell.machine, id.machine, sizeof(id.machine));
	memcpy(slot->cell.boot, id.boot, sizeof(id.boot));
	memcpy(slot->cell.host_nqn, id.host_nqn, sizeof(slot->cell.host_nqn));
	snprintf(slot->cell.version, sizeof(slot->cell.version), "%s", MEMKV_VERSION);
	return 0;
}

/* the lock is ours: start the next incarnation */
static int begin_incarnation(const struct control *c, uint32_t number, const struct slot_guard *guard,
			     struct slot *slot)
{
	struct slot_cell cell;
	unsigned holds;

	if (read_copies(c, number, &cell, &holds) == CHECK_BAD || cell.epoch >= EPOCH_MAX)
		return -EAGAIN; /* both copies lost, so its next epoch is unknown: leave the slot alone */
	int err = slot_begin(c, number, cell.epoch + 1, slot);
	if (!err)
		err = guard->take_over(guard->facts, slot, &cell);
	if (err)
		return err;
	err = write_claim(c, &slot->cell, holds);
	return err ? fail(err, "%s: cannot write the slot claim: %s", c->media->path, strerror(-err)) : 0;
}

static int try_claim(const struct control *c, uint32_t number, const struct slot_guard *guard, struct slot *slot)
{
	int err = c->media->ops->lock(c->media, slot_lock_offset(c, number));

	if (err)
		return err;
	err = guard->look(guard->context);
	if (!err)
		err = begin_incarnation(c, number, guard, slot);
	if (err) {
		slot->epoch = 0; /* there is nothing to leave: the slot may be another's by now */
		c->media->ops->unlock(c->media, slot_lock_offset(c, number));
	}
	return err;
}

/* some of those who hold the slots, for people */
static void name_holders(const struct control *c, char *text, size_t room)
{
	enum { NAMED = 4 };
	struct slot_cell cell;
	unsigned named = 0;
	size_t at = 0;

	*text = 0;
	for (uint32_t n = 0; n < c->layout.geo.slots && named < NAMED; n++) {
		if (!slot_locked(c, n) || slot_read(c, n, &cell) == CHECK_BAD || !cell.epoch)
			continue;
		int put = snprintf(text + at, room - at, "%sprocess %u", named++ ? ", " : "", cell.pid);
		at = min_u64(at + (size_t)put, room - 1);
	}
	if (named == NAMED)
		snprintf(text + at, room - at, ", ...");
}

static int claim_any(const struct control *c, bool cli, const struct slot_guard *guard, struct slot *slot)
{
	uint32_t kept = c->layout.geo.slots - 1;
	int err = cli ? try_claim(c, kept, guard, slot) : -EAGAIN;

	for (uint32_t n = 0; err == -EAGAIN && n < kept; n++)
		err = try_claim(c, n, guard, slot);
	return err;
}

/* a process that was killed keeps its lock until the kernel has ended its I/O: some milliseconds, more under load */
static bool somebody_ends(const struct control *c)
{
	struct slot_cell cell;
	struct identity me;

	identity_read(&me);
	for (uint32_t n = 0; n < c->layout.geo.slots; n++)
		if (slot_locked(c, n) && slot_read(c, n, &cell) != CHECK_BAD && cell.epoch &&
		    !memcmp(cell.machine, me.machine, sizeof(me.machine)) && !memcmp(cell.boot, me.boot, sizeof(me.boot)) &&
		    process_ended(cell.pid, cell.process_start))
			return true;
	return false;
}

int slot_claim(const struct control *c, bool cli, const struct slot_guard *guard, struct slot *slot)
{
	enum { ENDING_MS = 3000, STEP_MS = 5 };
	uint32_t slots = c->layout.geo.slots;
	char holders[128];
	int err = claim_any(c, cli, guard, slot);

	for (uint32_t waited = 0; err == -EAGAIN && waited < ENDING_MS && somebody_ends(c); waited += STEP_MS) {
		pause_us(STEP_MS * 1000);
		err = claim_any(c, cli, guard, slot);
	}
	if (err == -EAGAIN) {
		name_holders(c, holders, sizeof(holders));
		return fail(MEMKV_NO_SLOT, "%s: all %u slots are taken by live agents (%s; 'memkv host ls' shows all of them); stop "
					   "one, or make the pool with more --slots", c->media->path, slots, holders);
	}
	return err;
}

bool slot_mend(const struct control *c, uint32_t number)
{
	struct slot_cell cell;
	unsigned holds;

	if (read_copies(c, number, &cell, &holds) == CHECK_BAD)
		return false;
	slot_write_copy(c, &cell, !holds);
	slot_write_copy(c, &cell, holds);
	return read_copies(c, number, &cell, &holds) == CHECK_GOOD;
}

int slot_bar(const struct control *c, uint32_t number)
{
	return c->media->ops->lock(c->media, slot_lock_offset(c, number));
}

void slot_bar_lift(const struct control *c, uint32_t number)
{
	c->media->ops->unlock(c->media, slot_lock_offset(c, number));
}

void slot_leave(const struct control *c, struct slot *slot)
{
	slot->cell.state = SLOT_LEFT;
	slot->cell.seen_s = clock_utc_s();
	/*
	 * Whose it was, should a late claimer write over copy 0; as others may be at that copy, it is not held all the time.  First,
	 * so that what comes late, when somebody else has the slot, comes into copy 0, which that one writes anew.
	 */
	if (c->shared && control_published(c) && !MUTANT(LEFT_ONCE) && control_hold(c, slot_copy_at(c, slot->number, 1), CELL_LIVE))
		slot_write_copy(c, &slot->cell, 1);
	if (!c->shared || control_published(c)) /* else something of it may still be on the way: it ends, but does not leave */
		slot_write_copy(c, &slot->cell, 0); /* of equal epochs copy 0 tells; the other keeps the epoch should this be lost */
	c->media->ops->unlock(c->media, slot_lock_offset(c, slot->number));
}

uint64_t slot_new_generation(struct slot *slot)
{
	uint32_t counter = (uint32_t)atomic_fetch_add(&slot->openings, MUTANT(GENERATION_REUSED) ? 0 : 1) + 1;

	if (counter >> GENERATION_COUNTER_BITS)
		return 0;
	return generation_make(slot->number, slot->epoch, counter);
}

bool slot_worn(const struct slot *slot)
{
	return atomic_load_explicit(&slot->openings, memory_order_relaxed) >> GENERATION_COUNTER_BITS;
}
