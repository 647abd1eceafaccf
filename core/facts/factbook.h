/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The factbook: how facts get onto the media, and from there to everybody.
 *
 * Stating a fact: record into the own ring -> flush.  A ring is overwritten only as far as its facts stand in the own
 * checkpoint, which carries the facts of the whole pool (merging is a maximum, so copies are harmless): when the ring
 * is full, a checkpoint is written first.
 *
 * Refreshing: for every slot, the cell -> its log onward until a position does not verify -> the cell again.  Where the
 * log has gone on without us (a whole round, or a new incarnation), the slot's checkpoint is read.  What was stated
 * before the refresh began is known after it.  That rests on nothing advisory; the bell in the statistics page only
 * tells the follower that it is worth while.
 *
 * A new incarnation, before it takes the cell over (whose nonce its predecessor's records cannot be verified
 * without): if the predecessor stated something that stands in no checkpoint, a checkpoint with everything is written
 * into the slot.  Where no facts are, that costs nothing.
 *
 * How many facts there can be: what a checkpoint holds, less one for each slot, since so many agents may state their
 * last one at once.  More are refused; nothing that stands is given up for them.
 *
 * Every record has one writer, and nothing here needs coherent memory.
 *
 * On shared devices the logs also say who owns which segment (ownership.h), and which blocks were removed.  There a
 * removal, before it is acknowledged, also raises the log's tail in its author's slot cell: so who reads all cells after the
 * moment that matters knows whether a log has anything new.  Removed births stand besides in a set that is looked at
 * without the lock.
 *
 * And there each incarnation has a *doubt*: the one block that it is about to remove, unless that turns out to be pinned
 * (core/pool/share_pins.h).  DOUBT says which, or none; the DEL of the block ends it as well.
 *
 * Threads: any; the lock is this process's, and is held over flushes.  Get and match never come here.
 */
#ifndef MEMKV_FACTS_FACTBOOK_H
#define MEMKV_FACTS_FACTBOOK_H

#include "core/facts/facts.h"
#include "core/facts/ownership.h"
#include "core/log/log_ring.h"
#include "core/slot/slot.h"

#include <pthread.h>
#include <stdatomic.h>

/* what we know of a slot's log */
struct factbook_source {
	uint64_t cell_checks[SLOT_COPIES]; /* check words of the cells as last looked at: unchanged, nothing to decode */
	struct ring_reader reader;
	struct ring_reader owed; /* shared devices: of an incarnation before, while its cell says so */
	bool owes;
	uint64_t owed_told; /* as told, of that one */
	bool known;
	uint32_t unread; /* how often in a row the medium did not answer: what it has stated is not all known */
	bool final; /* its author has left, and all of it is read */
	uint64_t told; /* shared devices: so many records are on the medium for certain, as its author said */
	atomic_uint_fast64_t nonce, tail; /* how far it was read, for looks without the lock */
};

/* shared devices: what a slot's holder has stated last about needing segments; version 0: nothing */
struct want {
	uint64_t version, count;
	uint32_t epoch;
};

/* shared devices: what an incarnation is about to remove; birth 0: nothing */
struct doubt {
	uint8_t key[32];
	uint64_t birth, version;
	uint32_t epoch;
};

/* shared devices: what the owner of the book wants to know, and can tell; called under the lock */
struct factbook_share {
	void (*changed)(void *context, uint64_t segment); /* something about its ownership */
	bool (*quiet)(void *context, uint32_t slot, uint32_t epoch); /* gone for good */
	bool (*settled)(void *context, const struct record *r); /* is what a removal removed overwritten? */
	int (*tell)(void *context, uint64_t tail); /* the log's tail into the slot cell; 0 or -errno */
	bool (*still)(void *context);		   /* is the slot ours still, before anything is written to its log? */
	void *context;
};

struct factbook {
	const struct control *control;
	pthread_mutex_t lock;
	struct facts facts;
	struct factbook_source *sources;
	/* of this process's own incarnation */
	struct log_identity me;
	bool writing, ring_known;
	uint64_t next;		     /* position */
	uint64_t checkpointed;	     /* positions below stand in the own checkpoint */
	struct record *scratch;	     /* a checkpoint's worth */
	uint64_t bell;
	/* for looks without the lock: are there pins at all?  A moment late */
	atomic_uint pins, session_pins;
	atomic_uint_fast64_t damaged, mended; /* records */
	/* shared devices: */
	struct ownership ownership;
	struct want *wants; /* by slot */
	struct doubt *doubts; /* likewise, two for each: of an incarnation, and of the one before, which need not be proven gone */
	struct factbook_share share;
	atomic_uint_fast64_t tail; /* records of ours that are on the medium */
	atomic_uint used; /* slots that were ever used, at least */
	_Atomic uint64_t *removed; /* set of births; 0: empty place */
	uint64_t removed_places, removed_count;
	atomic_bool removed_full; /* not all of them are in the set */
	struct record *gone; /* removals that the index was not told of yet */
	uint32_t gone_count, gone_room;
};

/* factbook_open() - read everything that is there; 0 or -ENOMEM */
int factbook_open(struct factbook *l, const struct control *c);
void factbook_close(struct factbook *l);

/*
 * factbook_take_over() - of a struct slot_guard: before incarnation @next takes the cell of @before over
 *
 * Return: 0; -EAGAIN: its facts do not fit into a checkpoint, the slot must be left alone; -errno.
 */
int factbook_take_over(void *context, const struct slot *next, const struct slot_cell *before);

/* factbook_bring_over() - shared devices: we have the slot, and nobody states anything in it before this has returned 0 */
int factbook_bring_over(struct factbook *l, const struct slot *slot);

/* factbook_attach() - from now on this process states facts as @slot */
void factbook_attach(struct factbook *l, const struct slot *slot);

/*
 * factbook_refresh() - fold in everything that anybody has stated before the call
 *
 * Return: false: some of it could not be read.  What is known stays so; nobody may conclude anything from what is not.
 */
bool factbook_refresh(struct factbook *l);

/* factbook_poll() - the same when the bell has rung; for the follower */
void factbook_poll(struct factbook *l);

/*
 * factbook_state() - state a fact: version and author are filled in
 *
 * When it returns 0 the fact is on the medium and flushed: whoever refreshes knows it.
 *
 * Return: 0; MEMKV_PIN_LIMIT: there are as many facts as the pool can keep (about a new subject; nothing was written);
 * -errno with a sentence: it may count or not.
 */
int factbook_state(struct factbook *l, struct record *r);

/* factbook_room() - how many facts about new subjects could still be stated */
uint32_t factbook_room(struct factbook *l);

/*
 * factbook_pinned() - by what is known now; refresh first where it must be exact.  While a log cannot be read all may be pinned
 * factbook_pins() - is a pin of it known?
 */
bool factbook_pinned(struct factbook *l, const uint8_t key[32], uint64_t session_id);
bool factbook_pins(struct factbook *l, const uint8_t key[32], uint64_t session_id);

/* factbook_of_key(), factbook_of_session() - the fact that holds; false: none */
bool factbook_of_key(struct factbook *l, const uint8_t key[32], struct record *r);
bool factbook_of_session(struct factbook *l, uint64_t session_id, struct record *r);

/* ---- shared devices ---- */

/*
 * factbook_log() - state what becomes of segments: versions are given, authors and positions filled in; all in one go
 *
 * Return: 0: on the medium, and flushed if @flush; -errno.
 */
int factbook_log(struct factbook *l, struct record *records, uint32_t count, bool flush);

/* factbook_holding() - who holds a segment, by what is known now; factbook_mark() - ownership_mark() */
struct holding factbook_holding(struct factbook *l, uint64_t segment);
bool factbook_mark(struct factbook *l, uint64_t segment, uint32_t n, struct own_mark *mark);
/* factbook_gives_up() - ownership_gives_up() */
bool factbook_gives_up(struct factbook *l, uint64_t segment, uint64_t generation);
/* factbook_last() - ownership_last() of this process's own incarnation */
uint64_t factbook_last(struct factbook *l, uint64_t segment);

/* factbook_wants() - what every slot's holder wants, into room for all slots */
void factbook_wants(struct factbook *l, struct want *wants);

/* factbook_tail() - the position behind the last record that this process has stated, and that is on the medium; no lock */
uint64_t factbook_tail(struct factbook *l);

/* factbook_removed() - was this birth removed, by what is known now?  Takes no lock, but for a rare overflow */
bool factbook_removed(struct factbook *l, const uint8_t key[32], uint64_t birth);

/*
 * factbook_vouch() - whoever was told here that the blocks of @key are removed, by somebody whose removal is not acknowledged yet:
 * state them as well, so that everybody knows.  0 or -errno.
 */
int factbook_vouch(struct factbook *l, const uint8_t key[32]);

/* factbook_removed_in() - facts_removed_in() */
bool factbook_removed_in(struct factbook *l, const uint8_t key[32], uint64_t birth, uint64_t segment);

/*
 * factbook_doubt() - state that this process is about to remove a block, flushed; @birth 0: that it is not any more.  One at a time
 * factbook_doubted() - is somebody about to remove it, who is not proven gone?  What such a one has still stated is known afterwards
 *
 * Return: of the first: 0 or -errno.
 */
int factbook_doubt(struct factbook *l, const uint8_t key[32], uint64_t birth);
bool factbook_doubted(struct factbook *l, const uint8_t key[32], uint64_t birth);

/* factbook_crowded() - are there so many removals that it is time to write them down? */
bool factbook_crowded(struct factbook *l);

/* factbook_current() - does this slot's cell, as it was read, tell of nothing that we have not read?  No lock. */
bool factbook_current(const struct factbook *l, const struct slot_cell *cell);

/* factbook_take_gone() - removals that were learnt since the last call, at most @room; for the index */
uint32_t factbook_take_gone(struct factbook *l, struct record *to, uint32_t room);

/* factbook_copy() - facts_copy() */
uint32_t factbook_copy(struct factbook *l, struct record *to, uint32_t room);

#endif
