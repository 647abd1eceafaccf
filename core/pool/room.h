/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room to write in: this agent's own open segment, and how it gets the next one.
 *
 * A place is reserved (page, index, table tail) under a lock of this process; then the block is written and its entry
 * published without it.  A full segment closes; it becomes SEALED when its last write is resolved.
 *
 * Getting the next segment (own.h): one that is ready (parked, of the dead, free), else the oldest sealed one is
 * emptied.  When the current segment is half full and nothing is ready, the victim is chosen early (LEAVING) and its
 * blocks that were used again since they were written move into the rest of the current one - up to half a segment;
 * a victim with more than that is given a second chance instead: its heat is lowered, its age renewed.  A victim's
 * other blocks stay readable until it is opened anew.  A segment of which half or more is removed, replaced or expired
 * (core/index/spent.h) goes before any older one, and all that is left of it moves: so nothing is evicted while there is
 * such room.  That is when a block or two are all that the current one still
 * takes: early enough that puts need not wait for it, late enough that a process hardly ever has two of them empty.
 * Both are done by a put whose own block is on its way to the medium meanwhile: room_ahead().
 *
 * Pins (facts/facts.h): a pinned block moves whenever its segment is emptied.  While there are pins one FREE segment
 * is kept as room for that.  It is used when no segment without pinned blocks is left: it becomes the current one, the
 * pinned blocks of others (at most half a segment's worth) move into it, and one of those is FREE then.
 *
 * Why half: measured on a chat service's trace at room for 10 % of its blocks, moving nothing hits 0.248, at most a
 * fifth 0.263, a half 0.279 (exact LRU: 0.278), for 19 % more blocks written.
 */
#ifndef MEMKV_POOL_ROOM_H
#define MEMKV_POOL_ROOM_H

#include "core/pool/lane.h"
#include "core/slot/own.h"

#include <pthread.h>

struct memkv_pool;

enum { WRITERS_MAX = LANES_MAX + 2 };

/* a segment that this agent writes to */
struct writer {
	bool used, closing;
	bool lost; /* its namespace is: nothing of it is written any more, and whoever comes back settles it */
	struct owned owned;
	uint64_t generation;
	uint32_t next_page, next_index, pages;
	uint32_t tail; /* places that the table says are reserved: next_index, or some ahead on mirrored media */
	uint32_t in_flight;
	bool prepared; /* the next segment was thought of, */
	bool followed; /* and opened */
	bool reclaimed; /* it was a victim: the pool is full, and the next one will be as well */
};

/* blocks that go with a victim */
struct gone {
	uint64_t blocks, bytes;
};

struct room_place {
	struct writer *writer;
	uint64_t segment, generation;
	uint32_t page, index; /* page within the segment */
	bool prepare, open;   /* this is the place at which to think of the next segment, or to open it: room_ahead() */
	bool reclaimed;	      /* as the writer */
};

/* a victim that was chosen ahead of need, so that its grace is over in time (keep.h); moved blocks are settled */
enum { EARLY_MAX = 16 };
struct early {
	struct owned owned;
	uint64_t since_us;
};

struct room {
	struct memkv_pool *pool;
	pthread_mutex_t lock;	/* current, writers; held for moments */
	pthread_mutex_t refill; /* taken before lock; held while a segment is fetched or emptied */
	struct writer writers[WRITERS_MAX];
	struct writer *current;
	struct writer *target; /* the next current one, while only moves go there; NULL: none.  Set under refill and lock */
	uint32_t usual_pages; /* of the last block */
	bool next_ready;
	struct owned next; /* LEAVING and ours, its hot blocks moved away */
	uint64_t next_since_us;
	struct early early[EARLY_MAX]; /* likewise, what was chosen before; first in, first out */
	uint32_t early_count;
	uint64_t opened_us, pace_us; /* when a generation was begun last, and the time since the one before */
	bool shut;    /* nothing is put any more: the agent is drained; under refill and lock */
	bool sparing; /* room is taken where there is some, and nothing is evicted for it */
	bool fresh_ready;
	struct writer fresh; /* the segment after the current one, OPEN and ours; under refill */
	struct lane lane;  /* for headers and moves; under refill */
	uint8_t *move_buffer;
	size_t move_bytes;
	/* under refill: */
	struct entry *entries; /* of one table */
	struct entry *moved;   /* blocks that have moved out of a victim, and whose old places still say live */
	uint32_t moved_count;
	uint64_t moved_from;
};

int room_open(struct room *room, struct memkv_pool *pool);
void room_close(struct room *room);

/*
 * room_reserve() - a place for a block of @pages pages, header included
 *
 * Return: 0; MEMKV_NO_ROOM when every other segment is open in, or being emptied by, living agents; MEMKV_DRAINED; -errno.
 */
int room_reserve(struct room *room, uint32_t pages, struct room_place *place);

/*
 * room_ahead() - with a place reserved, before waiting for the block's I/O: prepare what comes after this segment, where
 * the place says that it is time.  Nothing depends on it but speed, and that blocks in use are moved before they go.
 */
void room_ahead(struct room *room, const struct room_place *place);

/* room_release() - the write into the place is resolved, its entry published */
void room_release(struct room *room, struct room_place *place);

/*
 * room_lose() - the namespace of these segments is lost: what this agent had there it has no more; false: try again
 * room_regain() - it is back: what is in this agent's name there is settled, as if its owner had died; false: try again
 */
bool room_lose(struct room *room, uint64_t first, uint64_t count);
bool room_regain(struct room *room, uint64_t first, uint64_t count);

/*
 * room_give_back() - no place is reserved any more, and what this agent writes to or empties is given back as its writes end; again
 * and again until it returns true: all of it is
 * room_reopen() - places are reserved again; false: try again
 */
bool room_give_back(struct room *room);
bool room_reopen(struct room *room);

/* ---- between room.c and reclaim.c ---- */

/* room_reserve_rest() - like room_reserve(), but only in what is left of the current segment; false: it is full */
bool room_reserve_rest(struct room *room, uint32_t pages, struct room_place *place);

/* room_rest() - what is left in the current segment, or in the one that moves go to */
struct room_left {
	uint64_t pages, blocks;
};
struct room_left room_rest(struct room *room);

/* All of these under refill: */
/* reclaim_keeps_free() - looks fresh: is the last FREE segment kept for moves, because there are pins? */
bool reclaim_keeps_free(const struct room *room);
/* reclaim_prepare() - choose the next victim and move its pinned and hot blocks; while keeping is in use, further ones */
void reclaim_prepare(struct room *room);
/* reclaim_take() - a LEAVING segment without pinned blocks, nothing moved; MEMKV_NO_ROOM: none; -errno of a flush */
int reclaim_take(struct room *room, struct owned *owned);
/*
 * reclaim_secure() - what moved out of room->next survives power loss, as far as it did before: 0, or -errno of the flush.
 * Before that the segment is neither opened anew nor given back: who takes it then knows nothing of the moves.
 */
int reclaim_secure(struct room *room);
/*
 * reclaim_confirm() - "before every OPEN, look once more": may the victim's blocks go?  Then its table is withdrawn, for good,
 * and what goes is in @gone; else it is SEALED again.
 */
bool reclaim_confirm(struct room *room, struct owned *victim, struct gone *gone);
/* reclaim_refuse() - the victim cannot be opened: SEALED again, as the youngest, so that the next attempt meets another one */
void reclaim_refuse(struct room *room, struct owned *victim);
/* reclaim_leave() - a LEAVING segment of ours that is not emptied after all is SEALED again */
void reclaim_leave(struct room *room, struct owned *victim);
/* reclaim_retire() - a LEAVING segment of ours becomes RETIRED, and what is left in it goes; false: it is SEALED again */
bool reclaim_retire(struct room *room, struct owned *victim);
/* reclaim_reconsider() - the victim that was chosen before is given back when a spent segment has turned up since */
void reclaim_reconsider(struct room *room);
/* reclaim_chosen() - is there a victim that was chosen before?  *wait_us: how long it should stay readable still (keep.h) */
bool reclaim_chosen(const struct room *room, uint64_t *wait_us);
/* reclaim_next() - take the one that was chosen first; 0, or -errno of the flush that it needs (and it stays) */
int reclaim_next(struct room *room, struct owned *victim);
/*
 * reclaim_reserve() - make sure that a segment is FREE, as room for moves; pinned blocks go into the rest of the
 * current one
 * @pages: what the next put needs of that.
 */
bool reclaim_reserve(struct room *room, uint32_t pages);

#endif
