/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deputies: threads that make calls for others, so that these return by their deadline whatever the medium does.
 *
 * A medium that hangs neither finishes a command nor fails it, and a command cannot be taken back.  So a call with a
 * deadline never gives its caller's memory to the medium: a deputy makes it, from its own thread, on its own lane, with
 * memory of its own, and what it brought is copied when it is back.  The caller waits for no longer than its deadline;
 * whatever the deputy is waiting for - a command, another thread of this process - it waits alone.
 *
 *   FREE -> TAKEN (by a caller, who writes down the errand) -> ASKED -> DONE (the caller copies) -> FREE
 *                                                                 \-> left -> FREE
 *
 * A deputy that was left is late: it, its lane and its memory stay out of use until what it waits for has ended; then it is
 * free again, and what it brought is dropped.  So the memory that late I/O may touch is bounded.  When all are late,
 * calls with a deadline are answered at once.
 *
 * Threads, lanes and memory come with the first calls that need them.  The deputies' lock is held for moments only.
 */
#ifndef MEMKV_POOL_DEPUTY_H
#define MEMKV_POOL_DEPUTY_H

#include "core/format/block_header.h"
#include "core/pool/lane.h"
#include "core/pool/located.h"

#include <memkv/pool.h>
#include <pthread.h>

struct memkv_pool;
struct deputies;

enum { DEPUTIES_MAX = 16, DEPUTIES_DEFAULT = 4, DEPUTY_DETAIL = 768 };

enum deputy_state { DEPUTY_NONE, DEPUTY_FREE, DEPUTY_TAKEN, DEPUTY_ASKED, DEPUTY_DONE };

/* what cannot be undone begins behind the gate: its deputy passes it, or its caller, who leaves, closes it before */
enum gate { GATE_OPEN, GATE_PASSED, GATE_CLOSED };

/* get.c: what a get found.  The header's pointers point into the lane. */
struct get_answer {
	int64_t result; /* as memkv_get() */
	atomic_uint_fast64_t *counter; /* of the cause, when it is a miss */
	struct block_header header;
};

struct chore; /* deadline.h */

struct errand {
	void (*make)(struct memkv_pool *pool, struct lane *lane, uint8_t *memory, struct errand *errand);
	struct memkv_key key;
	bool by_locator;   /* a get */
	struct located at;
	uint64_t length;
	uint32_t flags;		  /* of a get */
	struct get_answer answer; /* of a get */
	struct memkv_put_options put;
	struct memkv_key parent;
	char session[MEMKV_SESSION_MAX + 1];
	uint8_t meta[MEMKV_META_MAX];
	struct chore *chore; /* of any other call; whoever the deputy is with at the end frees it */
	atomic_int gate; /* enum gate */
	int result;	 /* of a put; or why the errand could not be made at all */
	char detail[DEPUTY_DETAIL]; /* its last sentence */
};

struct deputy {
	struct deputies *all;
	enum deputy_state state; /* this and the next under the lock */
	bool left;
	pthread_t thread;
	pthread_cond_t asked, done;
	struct lane lane;
	uint8_t *memory; /* a largest block, and two pages */
	struct errand errand; /* the caller's while TAKEN and DONE, the deputy's while ASKED */
};

struct deputies {
	struct memkv_pool *pool;
	uint32_t count; /* that there may be */
	uint32_t late;
	bool stop;
	pthread_mutex_t lock;
	pthread_cond_t freed;
	struct deputy each[DEPUTIES_MAX];
};

/* deputies_open() - @count: that there may be at most; nothing is started yet */
void deputies_open(struct deputies *all, struct memkv_pool *pool, uint32_t count);
/* deputies_close() - waits for all of them, as long as it takes */
void deputies_close(struct deputies *all);
/* deputies_late() - is one waiting for what nobody waits for any more? */
bool deputies_late(struct deputies *all);

/*
 * deputy_take() - a free one, whose errand the caller may write down
 * @until_us: on the monotonic clock.
 *
 * Return: 0; MEMKV_TIMEDOUT: none by then, or all are late; -errno: no thread can be started.
 */
int deputy_take(struct deputies *all, uint64_t until_us, struct deputy **deputy);

enum deputy_back {
	DEPUTY_BACK,	   /* the errand was made; deputy_release() when the answer was copied */
	DEPUTY_CALLED_OFF, /* left before it passed the gate: it will not any more */
	DEPUTY_LEFT,	   /* left on the other side of the gate */
};

/* deputy_send() - let it make its errand, and wait until @until_us; but for DEPUTY_BACK it is not the caller's any more */
enum deputy_back deputy_send(struct deputy *deputy, uint64_t until_us);
void deputy_release(struct deputy *deputy);

/* deputy_memory_bytes() - what a deputy's memory holds */
size_t deputy_memory_bytes(const struct memkv_pool *pool);

/* deputy_memory() - of one that was taken, for an errand that brings something along: its memory is there; 0 or -ENOMEM */
int deputy_memory(struct deputy *deputy);

/* deputy_cond_open() - a condition that is waited for by the monotonic clock; deputy_wait() - false: the time is up */
void deputy_cond_open(pthread_cond_t *cond);
bool deputy_wait(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t until_us);

/* gate_pass() - NULL: there is none.  False: it was closed */
static inline bool gate_pass(atomic_int *gate)
{
	int open = GATE_OPEN;

	return !gate || atomic_compare_exchange_strong(gate, &open, GATE_PASSED);
}

#endif
