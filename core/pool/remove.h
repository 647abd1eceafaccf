/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removing blocks, against pins.
 *
 *   live -> removing -> look at the facts -> pinned: refused, and it stays so     else: removed
 *
 * Who pins states the fact first and then looks at the life word; so either the remover sees the fact, or the pinner
 * sees that the block is gone or in doubt.  A block in doubt ("removing") is there for readers, movers and other removers,
 * who decide by a look of their own; so nobody waits for a remover that died.  It never becomes live again: a remover that
 * looked before there was a pin, and is slow to decide, could not tell a second doubt from its own.  For the same reason
 * a pinner takes such a block elsewhere.  (tests/model/pin_owner_words.pml)
 */
#ifndef MEMKV_POOL_REMOVE_H
#define MEMKV_POOL_REMOVE_H

#include "core/pool/handle.h"

/*
 * removal_lock() - the follower's lock, for whoever flags a life word, or withdraws a table, that counted until now
 *
 * What a copy is taken out of the index for is seen under this lock.  So who does not find a copy there knows that mirrored
 * media have been told why, or will be by settle(); else a removal would answer that nothing is there of what others can
 * still read.
 */
void removal_lock(struct memkv_pool *pool);
void removal_unlock(struct memkv_pool *pool);

/*
 * removal_try() - one copy; under removal_lock()
 * @force: pinned or not.
 *
 * Return: 1 removed by this call; 0 it was not there (any more); MEMKV_PINNED; on shared devices also MEMKV_NO_ROOM, -errno.
 */
int removal_try(struct memkv_pool *pool, uint64_t segment, const struct entry *e, bool force);

/* the births that are stored under a key (a block that moves keeps its birth) */
enum { BIRTHS_MAX = 32 };
struct births {
	uint64_t births[BIRTHS_MAX];
	uint32_t count;
	uint64_t session_id; /* of the last one that has a session */
};
bool births_has(const struct births *births, uint64_t birth);
/* births_note() - 0, or -EIO: not all can be read */
int births_note(struct memkv_pool *pool, const uint8_t *key, struct births *births);

/*
 * births_remove() - remove every copy of a key, or only those of births that were noted (@only not NULL) or are lower than
 * @mine, and @mine when a higher one is live
 *
 * Return: how many; MEMKV_PINNED: at least one stays (without @force); MEMKV_NO_ROOM (shared devices: no further removal can
 * be remembered); -EIO: there may be another one, which cannot be read.
 */
int births_remove(struct memkv_pool *pool, const uint8_t *key, const struct births *only, uint64_t mine, bool force);

#endif
