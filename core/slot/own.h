/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may write to a segment, on coherent media: one word a segment, changed by compare-and-swap of the exact old
 * word (core/format/owner_word.h has the states and legal moves).  Nobody sweeps; whoever needs room takes it:
 *
 *   PARKED, or OPEN of the proven dead  - continue it where it ended
 *   FREE                                - begin it
 *   SEALED, the oldest first            - LEAVING: empty it, then begin it anew
 *
 * A word with a flipped bit is mended.  One that is damaged beyond that is left alone while any other agent is attached;
 * then it is PARKED (FREE when the table was never begun).  Agents put their own words right.  Readers never look at
 * owner words.
 */
#ifndef MEMKV_SLOT_OWN_H
#define MEMKV_SLOT_OWN_H

#include "core/format/owner_word.h"
#include "core/slot/slot.h"

/*
 * On shared devices there is no compare-and-swap, and the words are this process's own: computed from what the logs state
 * (core/facts/ownership.h), by whoever stands behind this seam (core/pool/share.h).  An agent takes and empties only what it
 * holds; what it needs beyond that it has to adopt.  A word says OPEN, with slot and epoch, also of a segment that somebody
 * may still be writing to, whoever holds it.
 */
struct owned;
struct own_share {
	/* do we hold it? */
	bool (*mine)(void *context, uint64_t segment);
	/* do we have it open? */
	bool (*writing)(void *context, uint64_t segment);
	/* is (slot, epoch) proven gone, and quiet? */
	bool (*gone)(void *context, uint32_t slot, uint32_t epoch);
	/* before the word changes from @owned's to @to: state it, where it must be stated first; false: not to be had */
	bool (*state)(void *context, const struct owned *owned, enum owner_state to);
	/* is our slot ours to write to?  asked before each write of a checkpoint */
	bool (*still)(void *context);
	/* hold more: adopt what somebody left who has ended; false: nothing came.  @look: only say whether there is something */
	bool (*adopt)(void *context, bool look);
};

struct owned {
	uint64_t segment;
	uint64_t raw; /* the exact word, for the next move */
	struct owner_word word;
	bool orphan; /* own_take_oldest(): it was LEAVING of the dead, who may have moved blocks out of it */
};

/* own_look() - read a segment's word; false: damaged */
bool own_look(const struct control *c, uint64_t segment, struct owned *owned);

/* own_is_free() - the word verifies, and says FREE */
bool own_is_free(const struct control *c, uint64_t segment);

/*
 * own_closed() - nobody publishes in the segment any more, as the word says
 *
 * On mirrored media a table that is begun may be there before the word that says OPEN: the one before it says LEAVING.
 */
static inline bool own_closed(const struct control *c, const struct owned *owned)
{
	bool opening = owned->word.state == OWNER_LEAVING && !c->media->caps.mappable && !MUTANT(LEAVING_SETTLED);

	return owned->word.state != OWNER_OPEN && !opening;
}

/* own_refresh() - before own_look(), where others may have changed the word on mirrored media; false: unreadable */
bool own_refresh(const struct control *c, uint64_t segment);

/* own_move() - change what we have just seen; false: somebody was faster.  @owned is updated. */
bool own_move(const struct control *c, struct owned *owned, enum owner_state to, const struct slot *me);

/* own_keep() - put the word of a segment that is ours right, when it was damaged under us */
void own_keep(const struct control *c, const struct owned *owned);

/* own_resumable() - PARKED, or OPEN of the dead: nobody is writing to it */
bool own_resumable(const struct control *c, const struct slot *me, const struct owned *owned);

/*
 * own_resumable_anywhere() - likewise, also where this process takes no segments (control.avoided)
 * own_orphan() - LEAVING of the dead
 */
bool own_resumable_anywhere(const struct control *c, const struct slot *me, const struct owned *owned);
bool own_orphan(const struct control *c, const struct slot *me, const struct owned *owned);

/* own_mend() - look, and put a damaged word right when nobody else is attached; false: its state cannot be known */
bool own_mend(const struct control *c, const struct slot *me, uint64_t segment, struct owned *owned);

/* own_any_ready() - would own_take_ready() find one?  own_any_free() - is any segment FREE? */
bool own_any_ready(const struct control *c, const struct slot *me, bool keep_free);
bool own_any_free(const struct control *c);

/*
 * own_take_ready() - a segment that can be written to at once
 * @keep_free: the last FREE one is left alone: it is kept as room for moves.
 * @clear: what is done to a FREE one before it is taken, by whoever comes first; false: it is passed over.
 *
 * Return: true; then @owned is OPEN and ours, and *resumed tells whether it has content (else it was FREE).
 */
struct own_clear {
	bool (*clear)(void *context, uint64_t segment);
	void *context;
};
bool own_take_ready(const struct control *c, const struct slot *me, bool keep_free, const struct own_clear *clear,
		    struct owned *owned, bool *resumed);

/*
 * own_take_oldest() - a SEALED segment (or LEAVING of the dead) becomes our LEAVING; false: there is none
 * @rank: those of the lowest rank go first, and of these the oldest; LEAVING ones of the dead before all.
 */
bool own_take_oldest(const struct control *c, const struct slot *me, unsigned (*rank)(void *context, uint64_t segment),
		     void *context, struct owned *owned);

#endif
