/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots: one per agent process.  An incarnation is (slot, epoch); epochs grow at every attach and are never repeated.
 *
 * Exact death (media whose caps say so): the holder keeps an exclusive lock on the slot's byte, through the very file
 * description that all its writes use.  An incarnation is proven gone when the lock is free or the cell shows a newer
 * epoch; then none of its writes is still on the way.  A holder that is merely stopped keeps its lock.
 *
 * Shared devices have no exact death, and are claimed otherwise: lease.h.
 *
 * Claim: lock -> look that nobody formats the pool (struct slot_guard) -> flush -> epoch + 1 in the copy of the cell that
 * does not hold -> flush -> in the other -> flush -> first use.  Claimers never wait: a slot whose lock is held is passed over.
 */
#ifndef MEMKV_SLOT_SLOT_H
#define MEMKV_SLOT_SLOT_H

#include "core/format/cells.h"
#include "core/slot/control.h"

struct slot {
	uint32_t number, epoch;
	uint64_t nonce;
	atomic_uint_fast64_t next_birth; /* births count up from a random start */
	atomic_uint_fast32_t openings;	 /* of segments, by this incarnation */
	struct slot_cell cell;
};

/*
 * Asked when the lock of a slot is held and nothing was written yet: is this still the pool?  0, or why not.  Then, before the
 * new incarnation takes the cell over: may it?  -EAGAIN: this slot is left alone.
 */
struct slot_guard {
	int (*look)(void *context);
	void *context;
	int (*take_over)(void *facts, const struct slot *next, const struct slot_cell *before); /* not on shared devices */
	void *facts;
};

/*
 * slot_claim() - become an agent
 * @cli: may use the slot that is kept for short-lived commands.
 * @guard: see there; its answer ends the claim.
 *
 * Return: 0; what @guard said; MEMKV_NO_SLOT (all locked: the sentence names holders); -errno of flush or random numbers.
 */
int slot_claim(const struct control *c, bool cli, const struct slot_guard *guard, struct slot *slot);

/* slot_mend() - write both copies of the cell as the one that holds says; false: neither does.  Nobody may hold the slot. */
bool slot_mend(const struct control *c, uint32_t number);

/* slot_bar() - nobody becomes agent in this slot until slot_bar_lift(); 0, or -EAGAIN when somebody is */
int slot_bar(const struct control *c, uint32_t number);
void slot_bar_lift(const struct control *c, uint32_t number);

/* ---- between slot.c and lease.c ---- */
/* slot_begin() - fill in a new incarnation, with random nonce and births; 0 or -errno with a sentence */
int slot_begin(const struct control *c, uint32_t number, uint32_t epoch, struct slot *slot);
/* shared devices: beside the copies of a cell, and of the same form, what says who is about to claim the slot */
enum { SLOT_JOINS = SLOT_COPIES };
/* slot_copy_at() - where it is in memory; @copy may be SLOT_JOINS, here and below */
void *slot_copy_at(const struct control *c, uint32_t number, unsigned copy);
/* slot_write_copy() - store and publish one copy of a cell */
void slot_write_copy(const struct control *c, const struct slot_cell *cell, unsigned copy);
/* slot_read_copy() - one copy; *known: it tells something */
enum check_result slot_read_copy(const struct control *c, uint32_t number, unsigned copy, struct slot_cell *cell,
				 bool *known);
uint64_t slot_lock_offset(const struct control *c, uint32_t number);

/* slot_leave() - clean leave: nothing of this incarnation is on the way any more */
void slot_leave(const struct control *c, struct slot *slot);

/* slot_gone() - is (number, epoch) proven gone? */
bool slot_gone(const struct control *c, uint32_t number, uint32_t epoch);

/*
 * slot_read() - the better of a slot's two cells
 *
 * Return: CHECK_GOOD (also for a virgin slot), CHECK_MENDED (a copy was damaged, the fact is known), CHECK_BAD.
 */
enum check_result slot_read(const struct control *c, uint32_t number, struct slot_cell *cell);

/*
 * slot_read_by() - likewise, by somebody who was told that @epoch is there, or was (0: of nobody).  When a slot passes on, both copies are
 * written, one after the other: each may be met while it is, or an older one alone.  At each moment one is whole, so that is
 * waited for, for a moment.  Mapped media.
 *
 * Return: as slot_read(); CHECK_BAD: that does not pass.
 */
enum check_result slot_read_by(const struct control *c, uint32_t number, uint32_t epoch, struct slot_cell *cell);

/* slot_refresh() - before slot_read(), where others may have changed the cells on mirrored media; false: unreadable */
bool slot_refresh(const struct control *c, uint32_t number);

/*
 * slot_locked() - does any process hold the slot (this one through another handle included)?  On shared devices: it does
 * unless it has left, or is proven gone.
 */
bool slot_locked(const struct control *c, uint32_t number);

/*
 * slot_new_birth() - never given before.  Mixed (by a bijection): a life word forgives a flipped bit, so births that
 * follow each other, and may lie in the same place one after the other, must differ in more than one.
 */
static inline uint64_t slot_new_birth(struct slot *slot)
{
	uint64_t n = atomic_fetch_add(&slot->next_birth, 1);

	if (MUTANT(BIRTHS_COUNTED))
		return n;
	n = (n ^ n >> 32) * 0x9E3779B97F4A7C15ULL;
	n = (n ^ n >> 29) * 0xBF58476D1CE4E5B9ULL;
	return n ^ n >> 32;
}

/* slot_new_generation() - 0 when the incarnation has used up its openings (2^24 - 1): leave and attach again */
uint64_t slot_new_generation(struct slot *slot);
/* slot_worn() - has slot_new_generation() said 0? */
bool slot_worn(const struct slot *slot);

#endif
