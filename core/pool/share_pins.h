/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pins on a shared device, where no word tells a pinner that a segment is being emptied, and no flag that a block is being
 * removed: all of that stands in logs.  Whoever changes something writes first, flushed, and then reads all logs to their ends:
 *
 *			writes				then looks, after all logs, at
 *   pinner		PIN, SESSION			OPENs; the block's table and entry, on the device; doubts
 *   who opens anew	OPEN, naming the generation	pins of the blocks that lie there still
 *			that it gives up
 *   remover		DOUBT, naming the block		pins of it; then DEL; or DOUBT of nothing: refused
 *
 * Of a pinner and another, one at least sees the other.
 *
 * - *Opening.*  Who sees a pin after its OPEN writes nothing, and says SEAL.  Who pins, and sees an OPEN that gives the block's
 *   generation up and is not ended by SEAL, cannot tell whether its author has looked before: it takes the block into its own
 *   room, while it can still be read there; a copy that is published after the old table was begun anew is taken back (move.c), and
 *   the answer is a miss.  When SEAL has been said the table on the device tells which it was.  An OPEN that continues a
 *   generation gives nothing up.  It does not matter who owns the segment meanwhile, or whether its owner was wrongly taken for
 *   dead: an OPEN is seen by whoever it is, and at risk is what the dead have left open (share.h).
 * - *Emptying.*  A pinned block that lies elsewhere as well need not move: where another copy of the same birth is live, in a generation
 *   that no OPEN gives up, by a look behind the own OPEN; and where its block is there, which is read: power loss may have left an
 *   entry that says live, and taken the block.  Two agents may each hold one copy, and empty at the same time: the one
 *   whose look comes second sees the other's OPEN, or the other's new table.  What is gone by is flushed first: its author may
 *   not have done so.  So copies that pinners, and movers that died, have made do not grow in number.  The old place of a moved
 *   block stays as it was: its table is nobody's to write.
 * - *Pinning* a key by one of its copies: that is read as well, for the same reason; of a session each copy is held for itself.
 * - *Removing.*  A DEL cannot be taken back, so it is stated only after a look.  A pinner that sees a block in doubt waits for a
 *   moment, looks again, and at last answers that somebody is removing it.  A removal that ignores pins says so as well: its DEL may
 *   land late, when its author is dead and others have pinned the block since.  The doubt of a remover that is proven gone, and quiet,
 *   counts for nothing, once its log was read to the end behind that; until then nobody pins that one block.
 * - *Logs that cannot be read*: nothing is opened, removed or acknowledged as pinned.
 * - *A log's end*: what its author has flushed before the look begins is found, though a record before it may be missing still
 *   (factbook_read.c), for such a record is not flushed: nobody was told anything by it.
 * - *Silent hosts.*  A pin does not need its author.  It stands in a ring, or in a checkpoint of that slot, until the slot has
 *   another holder, who writes all that it knows into its own checkpoint before the ring is used again; and until then the cell
 *   names both logs (slot/lease.h).  Checkpoints carry the pins of the whole pool.
 * - *Clocks* are asked only whether a pin has ended, by each host for itself, with FACTS_MARGIN_S to spare: hosts whose clocks differ by no
 *   more than that let no pin end early.
 * - *Room.*  While there are pins each agent keeps one of its own segments FREE for moves, as on other media (room.h): withdrawn,
 *   and that flushed, before it is stated to be FREE.
 */
#ifndef MEMKV_POOL_SHARE_PINS_H
#define MEMKV_POOL_SHARE_PINS_H

#include "core/format/table_format.h"
#include "core/slot/own.h"

struct memkv_pool;

/* does a copy stand, by what the logs said last, and the device now? */
enum share_copy {
	SHARE_COPY_GONE,
	SHARE_COPY_STANDS,
	SHARE_COPY_SENT,     /* likewise, if the block has landed */
	SHARE_COPY_GIVEN_UP, /* it may be overwritten at any moment */
};
enum share_copy share_look(struct memkv_pool *pool, uint64_t segment, uint64_t generation, const struct entry *e);

/* share_landed() - of one that was sent: is the block there? */
bool share_landed(struct memkv_pool *pool, uint64_t segment, const struct entry *e);

/* share_read() - of one that stands: is the block there, all of it?  Power loss may have taken it, and left the entry */
enum share_block { SHARE_BLOCK_WHOLE, SHARE_BLOCK_LOST, SHARE_BLOCK_UNREAD };
enum share_block share_read(struct memkv_pool *pool, uint64_t segment, uint64_t generation, const struct entry *e);

/* share_elsewhere() - is there another copy of the block that stands, and is whole by its bytes?  Under room.refill */
bool share_elsewhere(struct memkv_pool *pool, uint64_t segment, const struct entry *e);

/*
 * A pinner's, when its fact is stated: share_look_again() - all logs are read once more, since others may be at something, which is
 * waited for for a moment when it is not the first of its @looks; false: they cannot be
 * share_out_of_doubt() - nobody is about to remove the block who may not have seen the pin; false: that cannot be told
 * share_unsure() - the answer then
 */
bool share_look_again(struct memkv_pool *pool, int looks);
bool share_out_of_doubt(struct memkv_pool *pool, const struct entry *e);
int share_unsure(const struct memkv_pool *pool);

/* share_describes() - the generation that an OPEN of the segment gives up; false: it cannot be read */
bool share_describes(struct memkv_pool *pool, uint64_t segment, uint64_t *generation);

/*
 * share_spares() - the OPEN is stated, and all logs were read: is there a pinned block in the segment that is nowhere else?
 * Under room.refill, whose entries it uses.
 */
bool share_spares(struct memkv_pool *pool, uint64_t segment);

/* share_pinned() - pinned blocks of a segment that are nowhere else, into room.entries; under room.refill.  How many */
uint32_t share_pinned(struct memkv_pool *pool, uint64_t segment, uint32_t *excused);

/* share_keep_free() - a victim that was emptied becomes FREE, room that is kept for moves; under room.refill */
bool share_keep_free(struct memkv_pool *pool, struct owned *victim);

/*
 * share_remove() - DOUBT, the look, and @state when the block is not pinned, or @force; under removal_lock(), so one at a time
 *
 * Return: what @state returns; MEMKV_PINNED; -errno.
 */
int share_remove(struct memkv_pool *pool, const struct entry *e, bool force, int (*state)(void *context), void *context);

#endif
