/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control facts of a pool, merged in memory: what is pinned, by key and by session.
 *
 * A fact is a record (core/format/record.h) about one subject, with a version and its author.  What is taken back makes void
 * every pin of the subject with a lower version, and no other; of those that are left the latest end holds.  For two may pin
 * at the same moment without having seen each other, and either may be told that it has: neither must shorten the other.
 * So records may be folded in any order, with gaps, twice: who has folded the same ones agrees on what is pinned.  (On the end
 * likewise, unless what was taken back lies between two pins that did not see it: then somebody may keep the later end.)
 *
 *   subject		said by			holds until
 *   a key		PIN, UNPIN		until_s, 0: for ever
 *   a session		SESSION and its state	likewise
 *   a block (key, birth) in a segment	DEL	it was removed, wherever else it is (shared devices only)
 *
 * UNPIN (and a session's state PLAIN) carries the latest end of all that it makes void: until then an older PIN may still
 * lie about and come up again, afterwards it would be expired as well.  A pin carries the version up to which pins before
 * it are void (generation), and until when that must be known (birth; 0: until its end, UINT64_MAX: for ever).  So a fact of
 * which that moment has passed can be forgotten by everybody for himself.
 *
 * No I/O, no locks: factbook.h has both.
 */
#ifndef MEMKV_FACTS_FACTS_H
#define MEMKV_FACTS_FACTS_H

#include "core/format/record.h"

#include <stdbool.h>

/*
 * A pin's end is UTC as its author's clock has it.  It counts as expired only when one's own clock is past it by this
 * margin: then a clock that is that much ahead lets nothing go early.
 */
enum { FACTS_MARGIN_S = 10 };

struct facts {
	struct record *table; /* open addressing; RECORD_NONE: empty */
	uint32_t places, count;
	uint32_t pins, session_pins; /* facts that pin, expired ones included until they are dropped */
	uint32_t removals;
	uint64_t version;	     /* the highest that was seen */
	bool blind;		     /* a fact had to be left out for want of memory: everything counts as pinned */
};

void facts_close(struct facts *f);

/* facts_fold() - merge one record; kinds that say nothing about a subject above are ignored.  True: it changed something */
bool facts_fold(struct facts *f, const struct record *r);

/* facts_of_key(), facts_of_session() - the fact that holds; NULL: none was ever stated */
const struct record *facts_of_key(const struct facts *f, const uint8_t key[32]);
const struct record *facts_of_session(const struct facts *f, uint64_t session_id);

/* facts_follow() - fill into a new fact what it must carry of those that stand: it makes void, or adds to, them */
void facts_follow(const struct facts *f, struct record *r);

/* facts_pins() - does this fact pin its subject at @now_s?  facts_over() - need it not be known any more? */
bool facts_pins(const struct record *r, uint64_t now_s);
bool facts_over(const struct record *r, uint64_t now_s);

/* facts_pinned() - is a block of this key and session (0: none) pinned? */
bool facts_pinned(const struct facts *f, const uint8_t key[32], uint64_t session_id, uint64_t now_s);

/* facts_removed() - was the block of this key and birth removed?  facts_removed_in() - and does that say so of this segment? */
bool facts_removed(const struct facts *f, const uint8_t key[32], uint64_t birth);
bool facts_removed_in(const struct facts *f, const uint8_t key[32], uint64_t birth, uint64_t segment);

/* facts_forget() - forget the removals that @settled says yes to; returns how many */
uint32_t facts_forget(struct facts *f, bool (*settled)(void *context, const struct record *r), void *context);

/* facts_drop_over() - forget the facts that are over */
void facts_drop_over(struct facts *f, uint64_t now_s);

/* facts_copy() - all of them, at most @room, in no order; returns how many there are */
uint32_t facts_copy(const struct facts *f, struct record *to, uint32_t room);

#endif
