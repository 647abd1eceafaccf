/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: which one incarnation may adopt what an ended one owned, on media without compare-and-swap.
 *
 * For each ended incarnation there is a register that is decided once.  It is Disk Paxos (Gafni and Lamport) with one
 * disk: each slot has a cell for it that only that slot's holder writes, and everybody reads all of them:
 *
 *   own cell: ballot, higher than any that was seen     -> written -> all cells read: a higher ballot? from the start
 *   the accepted value of the highest accepted ballot, or our own, is accepted with our ballot
 *                                                       -> written -> all cells read: a higher ballot? from the start
 *   decided
 *
 * A slot's next holder goes on with the cells of the one before, as that one left them.  Cells about an earlier epoch of
 * the claimed slot count as blank: that epoch is over and done with before the slot passes on.
 *
 * Stepped, without I/O: claim_look() is given all cells as they are now, and says what to do.
 */
#ifndef MEMKV_SLOT_CLAIMS_H
#define MEMKV_SLOT_CLAIMS_H

#include "core/format/cells.h"

struct claim {
	uint32_t me, slots;    /* the claiming slot, number of slots */
	uint32_t slot, epoch;  /* the incarnation that has ended */
	uint64_t wish;	       /* what we would have decided */
	struct claim_cell cell; /* ours, to be written when claim_look() says so */
	int phase;
};

enum claim_step {
	CLAIM_WRITE,   /* write claim.cell, wait until it is there, then look again */
	CLAIM_AGAIN,   /* somebody is ahead: wait a while, different for everybody, then look again */
	CLAIM_DECIDED, /* claim.cell.accepted is the value */
	CLAIM_OVER,    /* a later epoch of the slot is being claimed: this one is done with */
};

/* incarnations as values */
static inline uint64_t claim_value(uint32_t slot, uint32_t epoch) { return (uint64_t)slot << 32 | epoch; }

void claim_begin(struct claim *claim, uint32_t me, uint32_t slots, uint32_t slot, uint32_t epoch, uint64_t wish);

/* claim_look() - @cells: one a slot, read after the last write was completed; ballot 0: blank */
enum claim_step claim_look(struct claim *claim, const struct claim_cell *cells);

#endif
