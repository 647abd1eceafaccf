/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the parts of an agent on a shared device (share.h):
 *
 *   share.c           coming and going             share_lease.c   is the slot ours still, and who else is there?
 *   share_segments.c  who owns which segment, and opening one       share_keeper.c  the threads
 *   settle.c          removals that are owed
 */
#ifndef MEMKV_POOL_SHARE_PARTS_H
#define MEMKV_POOL_SHARE_PARTS_H

#include "core/format/record.h"
#include "core/pool/share.h"

/* ---- share_lease.c ---- */

/* share_is_me() - is that this process, while it is an agent? */
bool share_is_me(const struct memkv_pool *pool, uint32_t slot, uint32_t epoch);
/*
 * share_guard_slot() - our slot's other copy, read anew; MEMKV_IN_USE: the slot is another's by now, and nothing that is its is ours to write
 * any more; -errno: it cannot be read
 */
int share_guard_slot(struct memkv_pool *pool);
/* share_beat() - a heartbeat, which tells of our log up to @tail as well; 0: and that counts for the lease; as lease_beat(), share_guard_slot() */
int share_beat(struct memkv_pool *pool, uint64_t tail);
/* share_may_write_cell() - is the slot ours still, or, where that cannot be read, may we go by our lease? */
bool share_may_write_cell(struct memkv_pool *pool);
/* share_watch() - read all cells, and note who has moved */
void share_watch(struct memkv_pool *pool);
/* share_still(), share_tell_tail() - of struct own_share, struct factbook_share; @context: the pool */
bool share_still(void *context);
int share_tell_tail(void *context, uint64_t tail);

/* ---- share_segments.c ---- */

/* share_owner_changed() - of struct factbook_share: something about a segment's ownership was read; the factbook's lock is held */
void share_owner_changed(void *context, uint64_t segment);
/* share_state_seals() - state what was put off; false: it could not be */
bool share_state_seals(struct memkv_pool *pool);
/* of struct own_share */
bool share_state(void *context, const struct owned *owned, enum owner_state to);
bool share_mine(void *context, uint64_t segment);
bool share_writing(void *context, uint64_t segment);

/* ---- settle.c ---- */

/* share_removal_settled() - of struct factbook_share */
bool share_removal_settled(void *context, const struct record *r);

/* ---- share_keeper.c ---- */

/* keeper_start() - both threads; 0; -errno, with an error text.  keeper_stop() - and wait until they have ended */
int keeper_start(struct memkv_pool *pool);
void keeper_stop(struct share *share);

#endif
