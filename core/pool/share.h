/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An agent on a shared device: a block device that many hosts write to, each past the others' caches, without
 * compare-and-swap and without a lock that they all see.
 *
 * Every sector has one writer: the holder of a slot writes its cell, log and checkpoints; whoever has a segment
 * open writes the segment and its table; nobody writes anything else.  Who owns which segment is what all logs together say
 * (facts/ownership.h).  Safety rests on no clock (slots that pass on: slot/lease.h):
 *
 *   open:    read all logs: is it mine, and has nobody else left it open?  -> OPEN logged, completed, flushed -> read all logs
 *            once more: still mine?  else nothing is written, and SEAL logged -> segment header, table, payload
 *   close:   every write in it resolved -> SEAL logged.  Its table is never written again in this generation
 *   adopt:   an incarnation that has left, or never was; is proven gone; or has not been heard of for long: read all logs
 *            -> ADOPT logged for each of its segments, completed, flushed -> read all logs: whose are they now?
 *
 * The last is safe though the adopted one may live on: a segment that it left open is *at risk*: readable, but opened by
 * nobody until its writer is proven gone, and quiet (slot/lease.h); and one that it opens from now on it will find adopted
 * when it reads the logs after its OPEN.  Either its OPEN was there before the adopter read, or the ADOPT before it read.
 * The adopted goes on under the same epoch, without those segments.  Several may adopt the same ones: facts/ownership.h.
 *
 * Removal: a DEL record of key and birth in the remover's log, and its tail in the remover's cell, both flushed, before it
 * is acknowledged.  A get reads all cells in use together with the block, and what is new in the logs when they tell of
 * any; so it returns nothing that was removed before it began, and moved copies, which keep their birth, go as well.  A
 * removal names each segment where the block was found, and is forgotten when that says so itself: its holder writes it into
 * the table when many are owed (settle.c), or writes the segment anew.
 *
 * The keeper, a thread, writes heartbeats, and watches those of the others; the helper, another, states what was put off and
 * answers those who want segments.  What is in which file: share_parts.h.
 */
#ifndef MEMKV_POOL_SHARE_H
#define MEMKV_POOL_SHARE_H

#include "core/facts/factbook.h"
#include "core/slot/lease.h"
#include "core/slot/own.h"

#include <pthread.h>

struct memkv_pool;

enum { SEALS_MAX = 256 };

struct share {
	struct memkv_pool *pool;
	struct lease_timing timing;
	bool attached;
	pthread_mutex_t beat_lock;	 /* over writing the own cell */
	pthread_mutex_t watch_lock;	 /* for moments */
	struct lease_watch watch;
	pthread_mutex_t adopt_lock;
	uint64_t not_before_us[SLOTS_MAX]; /* an adoption that came to nothing is not tried again at once */
	pthread_mutex_t seal_lock; /* over the list, for moments */
	struct {
		uint32_t segment;
		enum owner_state state;
	} seals[SEALS_MAX];
	unsigned seal_count;
	pthread_mutex_t flush_lock; /* over stating them */
	atomic_uint_fast64_t good_us; /* when the last heartbeat that was completed began */
	_Atomic uint64_t *lost;	      /* bitmap: segments that we had open and that were adopted by another */
	_Atomic uint64_t *open;	      /* likewise: that we may write to: from the look behind OPEN until SEAL is stated */
	struct own_share ops;
	uint64_t wants, wanted_us;	  /* of ours: how many, and when the last; under room.refill */
	bool waited;			  /* likewise: for somebody to give, once */
	struct want answered[SLOTS_MAX]; /* of others; the helper's */
	pthread_mutex_t give_lock;	  /* over giving */
	bool giving;			  /* under it: there is a room */
	pthread_t keeper, helper;
	bool keeping, helping;
	atomic_bool stop;
	pthread_mutex_t nap_lock;
	pthread_cond_t nap;
};

/* share_open() - what any process on a shared device needs, before its logs are read; 0, -ENOMEM, -EINVAL */
int share_open(struct memkv_pool *pool);
/* share_attach() - become an agent: slot, logs, what the slot's last holder owned; as slot_claim() */
int share_attach(struct memkv_pool *pool, const struct slot_guard *guard);
/* share_leave() - the room was closed: state what is owed, stop; the slot can be left then */
void share_leave(struct memkv_pool *pool);
void share_close(struct memkv_pool *pool);

/* share_in_lease() - may anything be acknowledged?  False: no heartbeat was completed for too long */
bool share_in_lease(const struct memkv_pool *pool);
/* share_slot_ours() - likewise, or, out of the lease, the slot was just seen to be no other's: then no log was left unread either */
bool share_slot_ours(struct memkv_pool *pool);

/* share_lost() - was this segment, that we write to, adopted by another? */
bool share_lost(const struct memkv_pool *pool, uint64_t segment);

/* share_words() - the logs were read: from now on every change of ownership is told to the words, and to the follower */
void share_words(struct memkv_pool *pool);

/*
 * share_listen() - know who is there: where nobody has watched the heartbeats, watch them for a moment
 * share_silent() - after that: does this slot's heartbeat stand still?
 */
void share_listen(struct memkv_pool *pool);
bool share_silent(struct memkv_pool *pool, uint32_t slot);

/*
 * share_read_cell() - slot_refresh() and slot_read() of any slot, for whoever tells of damage; not on shared devices too.  While another
 * thread of this process writes our own cell, copy 0 is not whole in memory, and copy 1 may be that of a late claimer: neither tells.
 */
enum check_result share_read_cell(struct memkv_pool *pool, uint32_t slot, struct slot_cell *cell);

/* share_publish_entry() - where we write to the segment: the entry, as we know it, is on the device; else it was read from there */
void share_publish_entry(struct memkv_pool *pool, uint64_t segment, uint32_t index);

/*
 * share_settle() - under room.refill: write what was removed from our segments into their tables
 * share_settle_now() - a removal was refused since so many are remembered: write down what we can, whoever has ended
 */
void share_settle(struct memkv_pool *pool);
void share_settle_now(struct memkv_pool *pool);

/* ---- between share_segments.c, settle.c: a closed segment of ours is open for writing to its table; and closed again */
bool share_open_closed(struct memkv_pool *pool, uint64_t segment);
void share_close_again(struct memkv_pool *pool, uint64_t segment, enum owner_state state);

/* ---- between share_lease.c, share_keeper.c, settle.c, adopt.c and give.c ---- */
/* give_begin() - we are an agent, and have a room, until give_end(); give_answer() - the helper's: give to those who want, if we have more than our part */
void give_begin(struct memkv_pool *pool);
void give_answer(struct memkv_pool *pool);
void give_end(struct memkv_pool *pool);
/*
 * Under room.refill: give_accept() - take what is offered to us; false: nothing is (@look: only say so).  give_want() - say
 * that we have too few, if so.  give_wait() - a newcomer that has nothing at all waits some heartbeats for somebody to give, once, which
 * belongs to attaching; no other put waits for others: it empties what is ours, or there is no room
 */
bool give_accept(struct memkv_pool *pool, bool look);
void give_want(struct memkv_pool *pool);
bool give_wait(struct memkv_pool *pool);
/* give_count() - how many segments are ours */
uint64_t give_count(struct memkv_pool *pool);
bool share_quiet(void *context, uint32_t slot, uint32_t epoch);
bool share_adopt(void *context, bool look);
/* adopt_ended() - only from those who have ended, or offer something; nobody is waited for.  Under room.refill */
bool adopt_ended(struct memkv_pool *pool);

#endif
