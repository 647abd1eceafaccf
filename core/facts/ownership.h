/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who owns which segment of a shared device, merged from what all logs state.
 *
 * Every incarnation states in its own log what it does with a segment.  A statement has a version; a segment's *holder*
 * is told by the highest one of all (equal ones: the higher slot, then epoch):
 *
 *   nothing stated	incarnation (segment mod slots, epoch 0), which nobody ever was: FREE
 *   OPEN		its author, who writes to it
 *   SEAL		its author; with the state that it has now: SEALED, PARKED or FREE
 *   ADOPT		its author, who took it over from an ended incarnation; likewise
 *   XFER		its author still, who offers it to another incarnation; it does nothing with it any more
 *   ACCEPT		its author, who took such an offer
 *
 * The holder alone states the next version; whoever adopts raises the version's upper part, so that nothing that the
 * ended one may still state can outdo it.
 *
 * An author whose last statement about a segment is OPEN has it *marked*: that incarnation may be writing there, whoever holds
 * the segment by now.  Nobody opens a segment that another has marked before that one is proven gone, and each states its OPEN
 * before it looks for the marks of the others.  So of two who would open at once, one at least sees the other; which of them is
 * the holder does not matter for that.  Hence any number of agents may adopt the same incarnation, without asking each other:
 * their statements have the same version, one of them is the holder for all who read both, and what the others do with the
 * segment until they have read that too is harmless.  (A register that is decided once, by Disk Paxos, names one adopter, and
 * asks for a second register when that one ends, and so on: two that had each won the other's lost their segments for ever.)
 *
 * The *level* of a version is its upper part, which each adoption raises.  An OPEN of a higher level voids the marks of lower
 * ones: whoever stated it had looked after the adoption was on the medium; so it has seen such a mark, and proven its author
 * gone, or its author sees the adoption when it looks in its turn, and does not write.  Of marks of one level none voids
 * another: whoever opens over the mark of somebody of its own level, who is gone, adopts from itself first.
 *
 * So the state is: for each segment and author the statement with the highest version, and the highest OPEN.  Merging is a
 * maximum; records may be folded in any order, with gaps, twice.  No I/O, no locks.
 */
#ifndef MEMKV_FACTS_OWNERSHIP_H
#define MEMKV_FACTS_OWNERSHIP_H

#include "core/format/layout.h"
#include "core/format/owner_word.h"
#include "core/format/record.h"

#include <stdbool.h>
#include <stdint.h>

enum { ADOPTION_SHIFT = 40 }; /* of a version: adoptions above, other changes below */

struct statement {
	uint64_t version;
	uint64_t offered; /* XFER: slot << 32 | epoch of the receiver */
	uint32_t slot, epoch;
	uint8_t kind, state; /* enum record_kind, enum owner_state */
};

struct own_opening {
	uint64_t version; /* 0: none */
	uint32_t slot, epoch;
};

struct owned_segment {
	struct statement top;	/* kind RECORD_NONE: nothing was stated */
	struct statement *more; /* of other authors */
	struct own_opening opening; /* the highest */
	uint16_t count, room;
	bool blind; /* a statement had to be left out for want of memory: nobody opens it any more */
};

struct ownership {
	struct owned_segment *segments;
	uint64_t count;
	uint32_t slots;
};

struct holding {
	uint64_t version, offered; /* 0: not offered */
	uint32_t slot, epoch;
	enum owner_state state; /* FREE, OPEN, SEALED, PARKED */
};

/* ownership_open() - 0 or -ENOMEM */
int ownership_open(struct ownership *o, uint64_t segments, uint32_t slots);
void ownership_close(struct ownership *o);

/* ownership_about() - is this a record about a segment's ownership? */
bool ownership_about(const struct record *r);

/* ownership_fold() - merge one statement; true: something about the segment has changed */
bool ownership_fold(struct ownership *o, const struct record *r);

/* ownership_of() - the holder and its state */
struct holding ownership_of(const struct ownership *o, uint64_t segment);

/* ownership_mark() - those who may be writing to the segment, the holder or others: the @n-th; false: there are not that many */
struct own_mark {
	uint64_t version;
	uint32_t slot, epoch;
};
bool ownership_mark(const struct ownership *o, uint64_t segment, uint32_t n, struct own_mark *mark);

/* ownership_last() - the version of what an incarnation stated last about a segment; 0: nothing */
uint64_t ownership_last(const struct ownership *o, uint64_t segment, uint32_t slot, uint32_t epoch);

/* ownership_prune() - forget what incarnations that are @gone for good stated, where it is outdone */
void ownership_prune(struct ownership *o, bool (*gone)(void *context, uint32_t slot, uint32_t epoch), void *context);

/*
 * ownership_copy() - as records, at most @room, what a checkpoint of incarnation (@slot, @epoch) holds: what every holder,
 * everybody who stated the highest OPEN, and that incarnation itself stated last; and what those before it in its slot left open.
 * Returns how many there are.
 */
uint32_t ownership_copy(const struct ownership *o, uint32_t slot, uint32_t epoch, struct record *to, uint32_t room);

/* ownership_next() - the version of the holder's next statement; ownership_adopted() - of one that adopts */
uint64_t ownership_next(const struct holding *h);
uint64_t ownership_adopted(const struct holding *h);
static inline uint64_t ownership_level(uint64_t version) { return version >> ADOPTION_SHIFT; }

/* incarnations as numbers */
static inline uint64_t incarnation_value(uint32_t slot, uint32_t epoch) { return (uint64_t)slot << 32 | epoch; }

#endif
