/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rejoining: a handle whose pool has failed, or was not there when it was opened lazily, goes on by itself when the pool can be
 * used again.  What is attached is never mended in place: it is given up wholly and attached anew, as by close and open, under a
 * handle that stays, while nobody is inside (entrance.h).
 *
 *   well -> it has failed: noted, what writes is refused, gets go on as far as they can
 *        -> nobody who writes is inside any more -> the medium's quarantine: the last of its failed writes has landed, or never will
 *        -> what is at the path is read: is it this pool, and does it answer?
 *        -> entrance shut -> nobody is inside -> given up -> attached anew: a new incarnation, a new index -> entrance open: well
 *
 * What cannot be attached for writing (the medium takes no writes, all slots are taken) is attached for reading meanwhile.
 * After an attempt that failed the next one waits twice as long, up to PAUSE_MOST_US.
 *
 * To be correct it needs nothing that close and open do not: the incarnation that failed ends, what it had open is a dead
 * one's, and a put whose outcome was unknown is there for good or is not.  Another pool at the path is left alone: a handle has one
 * pool, by its uuid, for life.
 *
 * A thread of the handle's does it; where there is none (MEMKV_OPEN_NO_FOLLOWER) whoever calls what may write, or refreshes, does
 * when it is time, if nobody else is inside.
 */
#ifndef MEMKV_POOL_REJOIN_H
#define MEMKV_POOL_REJOIN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct memkv_pool;
struct superblock;

enum { REJOIN_WHY = 768 };

struct rejoin {
	pthread_mutex_t lock; /* over a step, the medium's I/O included */
	/* under it: */
	bool attached;
	bool noted;		/* that it has failed, */
	bool quiet;		/* and nobody who writes is inside any more */
	uint64_t since_us;	/* when it was noted */
	uint64_t due_us;	/* the next attempt */
	uint64_t pause_us;	/* before the one after that */
	uint64_t quarantine_us; /* of what is attached: how long its failed writes may still land; UINT64_MAX: for ever */
	bool known;		/* which pool it is: */
	uint8_t uuid[16];
	uint32_t attachments; /* how many there were; only changes while nobody is inside */

	pthread_mutex_t nap_lock; /* the rest under this one, for moments */
	pthread_cond_t nap;
	bool stop;
	bool roused; /* somebody was refused: look now */
	char why[REJOIN_WHY]; /* it cannot be used now */
	bool running;	      /* there is a thread; set once */
	pthread_t thread;
};

void rejoin_init(struct rejoin *rejoin);
void rejoin_fini(struct rejoin *rejoin);

/* rejoin_attached() - the handle's first attachment is there */
void rejoin_attached(struct memkv_pool *pool);
/*
 * rejoin_step() - under the lock: look how it is, and do what is due
 * @patience_us: how long it may wait for those who are inside to leave.
 */
void rejoin_step(struct memkv_pool *pool, uint64_t patience_us);

/* ---- rejoin_steps.c */
/* rejoin_start() - the thread; 0 or -errno.  rejoin_stop() - it ends, when the medium lets it */
int rejoin_start(struct memkv_pool *pool);
void rejoin_stop(struct memkv_pool *pool);
/* rejoin_by_caller() - no thread does it: a step, unless it would have to wait for others */
void rejoin_by_caller(struct memkv_pool *pool);

/* ---- rejoin.c */
/* rejoin_same() - is that the handle's pool?  0, or MEMKV_FAILED with a sentence; while attaching, or under the lock */
int rejoin_same(const struct memkv_pool *pool, const struct superblock *sb);

/* rejoin_writable() - by one who is inside: can what is written be acknowledged?  Handles that are open for reading say true */
bool rejoin_writable(const struct memkv_pool *pool);
/* rejoin_refuse() - MEMKV_FAILED with a sentence */
int rejoin_refuse(struct memkv_pool *pool);
/* rejoin_may_hang() - may giving up take as long as a medium that does not answer? */
bool rejoin_may_hang(struct memkv_pool *pool);

#endif
