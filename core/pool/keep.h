/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keep: what a look has found stays readable for a while, without a lease for each block.
 *
 * A segment is made LEAVING first and opened anew later, and its blocks are readable until then.  A keeper gives out only
 * blocks of segments that are not LEAVING, looked at after it has told that keeping is in use; who empties a segment lets the
 * grace pass between the two, as long as keeping is in use.  So what was given out can be read that long, and what moves
 * meanwhile is found by its birth.
 *
 * What a keeper tells is one word for the whole pool (statistics page): keeping is in use until then.  It is raised when
 * it is nearly over, so about every two seconds, whatever is kept; nothing is written for a block or a look.  Without the
 * word everybody would have to pay for keeping always: with segments that are chosen earlier than they need be, which is
 * when they are less known to be cold.
 *
 * Puts do not wait for a grace.  While keeping is in use, segments are chosen ahead, as many as are written in that time (at most
 * EARLY_MAX, a sixteenth of the pool for one agent, an eighth for all).  When that does not do, because the pool is small for
 * the rate of puts, the grace is cut, and counted; then what was kept is a clean miss.
 *
 * The word is advisory, as all of that page is, and so are clocks: CLOCK_MONOTONIC of one machine.
 */
#ifndef MEMKV_POOL_KEEP_H
#define MEMKV_POOL_KEEP_H

#include "core/pool/handle.h"

enum { GRACE_US = 2000000 };

/* keep_in_use() - must a grace be let pass now? */
bool keep_in_use(const struct memkv_pool *pool);

/* keep_wait() - how long a segment that is LEAVING since then should wait still, us; 0: it need not */
uint64_t keep_wait(const struct memkv_pool *pool, uint64_t since_us);

/* keep_wanted() - under room.refill: how many segments to choose ahead, now */
uint32_t keep_wanted(const struct room *room);

#endif
