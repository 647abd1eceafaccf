/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log rings: the control facts that one incarnation states, as an array of self-verifying records.
 *
 * Each slot has two rings, for its even and its odd epochs.  Record n of an incarnation lies in place n mod (places of
 * a ring); its check is seeded with the incarnation and n, so nothing that lay there before is taken for it.  The one
 * writer appends; when the ring is full it overwrites what stands in its checkpoint, and only that (factbook.h).
 *
 * Reading goes onward until a position does not verify.  That is the end, unless a good record follows within
 * RING_WINDOW positions, or the place holds a record of a later round: then the reader is behind, or something is
 * damaged.  The checkpoint tells which: what lies before its log position stands in it.  A place that is just being written
 * may be so for a later round, too: then the place before it tells (tests/model/fact_ring.pml).
 */
#ifndef MEMKV_LOG_LOG_RING_H
#define MEMKV_LOG_LOG_RING_H

#include "core/format/record.h"
#include "core/slot/control.h"

enum { RING_WINDOW = 64 };

/* where a reader is in the log of one incarnation */
struct ring_reader {
	struct log_identity who;
	uint64_t next; /* position */
	uint64_t dud;  /* check word of what lies there and could not be mended: not to be tried again and again */
	bool gap;      /* of RING_BEHIND: the log was not overwritten, what follows is of the same round */
};

/* ring_records() - places of a ring */
uint64_t ring_records(const struct control *c);

/* ring_refresh() - bring an incarnation's ring in, where it is mirrored; false: unreadable now */
bool ring_refresh(const struct control *c, const struct log_identity *who);

/* ring_refresh_at() - likewise, only what lies at @position and a block more */
bool ring_refresh_at(const struct control *c, const struct log_identity *who, uint64_t position);

/* ring_hold() - shared devices: an incarnation's ring is this process's to write; ring_let_go() - no more */
bool ring_hold(const struct control *c, const struct log_identity *who);
void ring_let_go(const struct control *c, const struct log_identity *who);

/* ring_store() - store a record, without publishing it; ring_publish() - what was stored from @first on, @count records */
void ring_store(const struct control *c, const struct log_identity *who, const struct record *r);
void ring_publish(const struct control *c, const struct log_identity *who, uint64_t first, uint64_t count);

/* ring_write() - store and publish a record at its position; the incarnation itself only */
void ring_write(const struct control *c, const struct log_identity *who, const struct record *r);

enum ring_result {
	RING_RECORD, /* the next record; the reader has moved on */
	RING_END,
	RING_BEHIND, /* the next position is lost, the log goes on *ahead positions further */
};
/* ring_next() - *mended: a flipped bit was undone */
enum ring_result ring_next(const struct control *c, struct ring_reader *reader, struct record *r, bool *mended,
			   uint64_t *ahead);

#endif
