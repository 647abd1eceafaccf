/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The follower folds what any host publishes into the index: one a process, stepped by its own thread every
 * millisecond, by callers who want to look fresh, and by nobody else.  It is the index's one writer; its lock is
 * taken inside the process only, never on the get or match path.
 *
 * Whoever changes a segment's table raises the segment's pulse, then the pool's doorbell.  A step reads the doorbell;
 * when it moved, it compares every pulse and folds the segments whose pulse moved.  A step that finds nothing new is
 * one load.  In pools of very many segments the pulses lie in groups with a doorbell of their own, between pulse and
 * doorbell, and only those of groups that rang are compared; all of them now and then, since nothing vouches for these words.
 *
 * Folding a segment: header -> count -> owner state -> entries -> header again.  In this order, when the state is not
 * OPEN every place below the count is settled: it holds an entry, or nothing for good.  While it is OPEN, places that
 * hold nothing yet are looked at again next time.  The header comes last since what is read of entries that the next
 * generation is written over is nothing: then the fold has lost what was there.
 *
 * What a step takes out of the index may be back elsewhere.  A block that is replaced, or moved, is published in its new
 * place before the old one goes; but a step looks at one segment after the other, and may pass the new place before and
 * the old one after that happened.  So when a pass over the changed segments has lost something - a copy that it knew, or
 * that came and went since, or a whole generation - and the doorbell has moved since it began, another pass follows.
 *   After a pass that lost nothing, whatever was live and had rung when it began is in the index.  So is it when the
 *   doorbell stands still: of the copies that were live at the beginning take the one that lives longest; had it gone
 *   during the pass, then only after another one had rung.  So a key that has a live copy at every moment is found.
 * On mirrored media entries do not ring, and only the first of the two ends it.  At most STEP_PASSES: to be missed after
 * that, this very key must have been replaced or moved during each of them.
 *
 * Within a step the index may be without a key whose copy has gone, until the place of the next one is folded.  `losses`
 * tells: it is odd from the first loss of a step to the step's end.  A lookup that finds nothing, and sees that losses is
 * odd or has moved since before it looked, looks again after a step of its own, and under the lock.
 *
 * On mirrored media (media.h) each of these looks is a read.  A new entry of an OPEN segment does not ring there:
 * every step also looks behind the settled places of the segments that were OPEN when last folded.  Tables are given
 * back when they are folded, but for those that this process writes to.
 *
 * On shared devices nothing rings.  A step reads the logs, and with them which segments have changed hands or state (they
 * are *stirred*): those are folded again, and those that anybody may be writing to are looked into at each step.  A segment that
 * is opened anew while it is folded is stirred by that, for the pass that follows.  It also learns which blocks were removed.
 *
 * What the tables lost to damage is asked from the second source (the segment's own headers) through `recover`.
 */
#ifndef MEMKV_INDEX_FOLLOWER_H
#define MEMKV_INDEX_FOLLOWER_H

#include "core/facts/factbook.h"
#include "core/index/index.h"
#include "core/index/spent.h"
#include "core/log/table.h"

#include <pthread.h>

/* places one behind the other that tell no end, and where their blocks may lie; @last and @end not included */
struct unplaced {
	uint32_t first, last; /* places */
	uint32_t from, end;   /* pages of the segment */
};

struct follower_recover {
	void *context;
	/* the generation that the segment's own header tells; false: unreadable */
	bool (*header)(void *context, uint64_t segment, struct table_header *header);
	/* the block header at @page of the segment, as an entry; false: not that of place @index of this generation */
	bool (*entry)(void *context, uint64_t segment, uint64_t generation, uint32_t index, uint32_t page,
		      struct entry *entry);
	/* likewise where nobody knows the page: the header of the birth that the place's life word, @life, has, on one of the run's pages */
	bool (*search)(void *context, uint64_t segment, uint64_t generation, const struct unplaced *run, uint32_t index, uint64_t life,
		       struct entry *entry);
	/* the birth that the block header at a place tells; false: there is none of this key.  Shared devices only */
	bool (*birth)(void *context, const uint8_t key[32], struct place place, uint64_t *birth);
	/* how often either of them was told "no" since the medium did not answer: then it is not known, and no damage */
	uint64_t (*unread)(void *context);
};

struct follower_segment {
	uint64_t generation, pulse, changes;
	uint32_t next; /* places below are settled */
	uint32_t gone; /* of those above: how many held a copy that was removed, when last looked at */
	uint32_t watched : 1;  /* OPEN when last folded: in follower.watched */
	uint32_t places : 31;  /* how many there were then */
	uint32_t unsettled_page; /* then: of the first block in an unsettled place, in the segment */
};

struct follower {
	const struct control *control;
	struct index *index;
	struct factbook *factbook; /* stepped as well; NULL: none */
	struct follower_recover recover;
	struct follower_segment *segments;
	_Atomic uint64_t *generations; /* mirrored media: of each segment, as the index has it; for looks without the lock */
	struct spent *spent; /* one a segment */
	uint64_t doorbell;
	uint64_t *groups;    /* large pools: the doorbell of each group, as last folded; NULL: there are none */
	uint32_t looks;	     /* how often the doorbell had moved */
	uint32_t *watched, watched_count; /* mirrored media, reading processes: segments to look into at each step */
	_Atomic uint64_t *stirred;	  /* shared devices: bitmap of segments to fold again */
	uint32_t keep;			  /* somebody walks over tables without the lock: none is given back */
	pthread_mutex_t lock;
	pthread_t thread;
	bool running;
	atomic_bool stop;
	bool lost; /* something was taken out of the index in this pass */
	atomic_uint_fast64_t losses;
	atomic_uint_fast64_t settlements; /* places of OPEN segments that were looked at again, and settled */
	uint32_t poll_us;
	void (*tend)(void *context); /* called by the thread now and then, without a lock; NULL: nothing to tend */
	void *tend_context;
	atomic_uint_fast64_t entries_damaged, entries_mended, words_mended;
};

/* follower_open() - fold the whole pool once, @factbook before that on shared devices; 0 or -ENOMEM */
int follower_open(struct follower *f, const struct control *c, struct index *index, struct factbook *factbook,
		  const struct follower_recover *recover);
/* follower_stop() - its thread ends; what it has and its lock stay until follower_close() */
void follower_stop(struct follower *f);
void follower_close(struct follower *f);

/* follower_stirred() - shared devices: something about the segment was read in the logs; any thread, no lock */
void follower_stirred(struct follower *f, uint64_t segment);

/*
 * follower_lose() - the namespace of these segments is lost: what they hold is in the index no more
 * follower_regain() - it is there again; false: not all of it could be read, and the next steps look again
 */
void follower_lose(struct follower *f, uint64_t first, uint64_t count);
bool follower_regain(struct follower *f, uint64_t first, uint64_t count);

/* follower_start() - a thread that steps every @poll_us; 0 or -errno */
int follower_start(struct follower *f, uint32_t poll_us);

/* follower_step() - fold in what has changed since the last step; everything published before the call is found after */
void follower_step(struct follower *f);

/* follower_losses() - before looking into the index; follower_lost() - is "not there" in doubt, since losses was that? */
static inline uint64_t follower_losses(const struct follower *f)
{
	return atomic_load_explicit(&f->losses, memory_order_acquire);
}

static inline bool follower_lost(const struct follower *f, uint64_t losses)
{
	/* the index is loaded with acquire, and what is taken out of it is stored with release: this load is the later one */
	return losses & 1 || atomic_load_explicit(&f->losses, memory_order_relaxed) != losses;
}

/* follower_generation() - mirrored media: of what the index has in this segment; no lock */
static inline uint64_t follower_generation(const struct follower *f, uint64_t segment)
{
	return atomic_load_explicit(&f->generations[segment], memory_order_acquire);
}

/* follower_refresh_table() - mirrored media: bring a segment's whole table into memory, under the lock; false: unreadable */
bool follower_refresh_table(struct follower *f, uint64_t segment);

/*
 * follower_keep() - while tables are walked over without the lock, their memory stays
 * follower_unkeep() - @segment was walked over
 */
void follower_keep(struct follower *f);
void follower_unkeep(struct follower *f, uint64_t segment);

/*
 * follower_give_back() - under the lock: this segment's table was looked at.  On mirrored media a table that nobody in
 * this process writes to costs memory only that long.
 */
void follower_give_back(struct follower *f, uint64_t segment);

/* follower_add() - fold in an entry that this process has just published */
void follower_add(struct follower *f, uint64_t segment, const struct entry *entry);

/*
 * follower_copies() - all copies of a key that are indexed, as they stand at one moment; returns how many
 *
 * Going through them by index_find() one by one would pass over some when others are folded away meanwhile.
 */
uint32_t follower_copies(struct follower *f, const uint8_t key[32], struct place *places, uint32_t max);

/* follower_turning() - is the segment being opened anew, so that what was in it is gone, and its opener has not told yet? */
bool follower_turning(struct follower *f, uint64_t segment);

/* follower_drop() - forget one copy, as index_find() told it, that turned out to be unreadable or removed */
void follower_drop(struct follower *f, const uint8_t key[32], struct place place);

/*
 * follower_drop_read() - likewise, by what was read on the medium since follower_settlements() was @settlements
 *
 * On mirrored media an entry may be there before its block.  As long as its place is not settled each step brings it back, so it
 * is not forgotten at all: somebody may have looked when the block had landed, and be about to find it.  When any was settled
 * since, nothing is forgotten either: what was read may be older than that.
 */
void follower_drop_read(struct follower *f, const uint8_t key[32], struct place place, uint64_t settlements);

static inline uint64_t follower_settlements(const struct follower *f)
{
	return atomic_load_explicit(&f->settlements, memory_order_acquire);
}

/*
 * table_walk() - every entry of a segment that can be known, from the table or from its second source
 *
 * @recover: NULL: the table alone.  Calls @visit for each place below the count, with state ENTRY_HERE, or ENTRY_DAMAGED / ENTRY_NOT_YET and no entry.
 * @mended tells that the table alone would not have yielded the fact.
 */
typedef void (*table_visit)(void *context, uint32_t index, enum entry_state state, const struct entry *entry,
			    bool mended);
void table_walk(const struct control *c, const struct follower_recover *recover, uint64_t segment, uint64_t generation,
		uint32_t from, uint32_t count, table_visit visit, void *context);

/* table_header_known() - a segment's table header, from its second source where need be; false: nobody knows */
bool table_header_known(const struct control *c, const struct follower_recover *recover, uint64_t segment,
			struct table_header *header, bool *mended);

/* table_header_told() - likewise; *unread: the medium did not answer, so the header may be whole nevertheless */
bool table_header_told(const struct control *c, const struct follower_recover *recover, uint64_t segment,
		       struct table_header *header, bool *mended, bool *unread);

struct place place_of_entry(const struct control *c, uint64_t segment, const struct entry *entry);

#endif
