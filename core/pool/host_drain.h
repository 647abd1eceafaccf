/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Draining an agent: it puts no more, gives back the segments that it writes to or empties, and goes on reading.  Then it can be
 * stopped, and killed, with nothing left behind.  For media whose agents share one mapping; elsewhere nobody else could take
 * what it gives back.
 *
 *   who asks         into the own slot cell: drain (slot, epoch) -> the bell -> looks at that one's cell until it tells that it is done
 *   who is asked     its follower hears the bell, and looks at all cells -> tells "under way" in its own cell -> no place is reserved
 *                    any more -> every write is resolved -> OPEN -> PARKED (full: SEALED), LEAVING -> SEALED -> tells "drained"
 *
 * Each cell keeps its one writer.  An ask counts while its author is attached, and is heard as often as somebody looks, so it
 * may be lost, or found twice; who asks rings again and again.  What was told to be drained stays so until it is undone, also when
 * the handle has to attach anew.
 */
#ifndef MEMKV_POOL_HOST_DRAIN_H
#define MEMKV_POOL_HOST_DRAIN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct memkv_pool;

struct host_drain {
	pthread_mutex_t ask_lock; /* one ask at a time; outermost */
	pthread_mutex_t lock;	  /* over what is told in the own cell; before room.refill */
	uint64_t bell;		  /* when the cells were looked at last; under lock */
	bool wanted;		  /* this agent is drained, or on the way there; under lock */
};

void host_drain_init(struct host_drain *drain);
void host_drain_fini(struct host_drain *drain);

/* host_drain_attached() - a new incarnation, whose room is there: it is drained as the one before was */
void host_drain_attached(struct memkv_pool *pool);

/* host_drain_tend() - now and then: is something asked of us?  And what is left to do of it */
void host_drain_tend(struct memkv_pool *pool);

#endif
