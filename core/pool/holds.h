/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holds in the pool: a place in the own hold cell is taken, then the holder looks.
 *
 *              writes                              then looks at
 *   holder     hold cell: segment, generation      owner word: not LEAVING, not FREE; then the table's generation; the life word
 *   reclaimer  owner word: LEAVING                 the hold cells of all living slots, right before it gives the table up
 *
 * One of them sees the other: a holder that found its segment SEALED, OPEN or PARKED is seen by whoever makes it LEAVING
 * afterwards, and who has made it LEAVING before is seen by the holder, who takes its hold back.  Between the write and the
 * look both change memory by a locked operation.
 *
 * Safety does not rest on that.  A segment's table is withdrawn, for good, before any page of its blocks is written again.  So
 * bytes that were read before the table showed the hold's generation were the block's, whoever did not look at cells: that
 * is what hold_valid() asks.  Looking at cells is what makes holds last.
 *
 * A process that is stopped keeps what it holds, and delays nobody: others empty other segments.  Holds of the dead do
 * not count (their slot's lock is free, or the slot has another epoch).
 *
 * Several blocks of one segment share a place.
 *
 * What is held belongs to one attachment of the handle (rejoin.h).  When that is given up its holds have lapsed; but their bytes
 * may be read as long as they are not released, so the medium's mappings stay until then.
 */
#ifndef MEMKV_POOL_HOLDS_H
#define MEMKV_POOL_HOLDS_H

#include "core/slot/hold_cell.h"

#include <pthread.h>

struct memkv_pool;
struct media;

/* what is left of an attachment that was given up */
struct relic {
	struct media *media; /* NULL: it is just being given up */
	uint32_t attachment;
	struct hold holds[HOLDS_PER_CELL];
	uint32_t users[HOLDS_PER_CELL];
	struct relic *next;
};

struct holdings {
	pthread_mutex_t lock;
	struct hold_cell cell; /* as it was written */
	uint32_t users[HOLDS_PER_CELL];
	uint32_t attachment;  /* that they are of; 0: there is none */
	struct relic *spare;  /* for the end of this attachment */
	struct relic *relics; /* of earlier ones; changed with fork held as well (fork.h), which is taken first */
};

/* holds_open(), holds_close() - with the handle */
void holds_open(struct holdings *holds);
void holds_close(struct memkv_pool *pool);

/*
 * holds_attach() - an attachment begins; 0 or -ENOMEM
 * holds_detach() - it ends: nothing is held by it any more
 * holds_keep() - its medium would be closed now; true: somebody may still read there, so that the last release does that.  Fork
 * is held.
 * holds_abandon() - in a forked child
 */
int holds_attach(struct memkv_pool *pool);
void holds_detach(struct memkv_pool *pool);
bool holds_keep(struct memkv_pool *pool);
void holds_abandon(struct holdings *holds);

/* holds_there() - under room.refill: does anybody hold this segment, so that it must not be opened anew? */
bool holds_there(struct memkv_pool *pool, uint64_t segment);

#endif
