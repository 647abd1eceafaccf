/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a check that repairs does with what it finds: facts that are known from a second source are written back, what
 * nobody can read is taken out of the index.  Only while no other agent is attached, so that every word has one writer.
 */
#ifndef MEMKV_POOL_REPAIR_H
#define MEMKV_POOL_REPAIR_H

#include "core/pool/handle.h"

/* repair_begin() - keep every other agent out; 0, MEMKV_IN_USE (the sentence names who), MEMKV_READ_ONLY.  repair_end() */
int repair_begin(struct memkv_pool *pool);
void repair_end(struct memkv_pool *pool);

/* Each tells whether it is right now.  The follower's lock is held, or nobody else looks. */

/* repair_slot() - the lost copy of a slot's cell; with both lost nobody knows the next epoch, and the slot stays unused */
bool repair_slot(struct memkv_pool *pool, uint32_t number);
bool repair_owner_word(struct memkv_pool *pool, uint64_t segment);
bool repair_table_header(struct memkv_pool *pool, const struct table_header *header);
/* repair_blank_table() - of a FREE segment: withdrawn, since it describes nothing, and its owner word could not be rebuilt from it */
bool repair_blank_table(struct memkv_pool *pool, uint64_t segment);
bool repair_tail(struct memkv_pool *pool, uint64_t segment, uint64_t generation, uint32_t count);
/* repair_entry() - as it must be; the life word as it is read, or removed when that is beyond recognition */
bool repair_entry(struct memkv_pool *pool, uint64_t segment, const struct entry *entry);
/* repair_place() - of an entry that nobody knows, behind @page: void, so that it does not count as damage any more */
bool repair_place(struct memkv_pool *pool, uint64_t segment, uint64_t generation, uint32_t index, uint32_t page);
bool repair_segment_header(struct memkv_pool *pool, struct lane *lane, const struct table_header *header);
/* repair_block() - a block that cannot be read back is removed, pinned or not: it could never be put again */
bool repair_block(struct memkv_pool *pool, uint64_t segment, const struct entry *entry);

#endif
