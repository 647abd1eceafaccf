/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of several copies of a key is the one to read.
 *
 * There are several while a block moves, when two agents put the same key without having seen each other's block, and when
 * a replacing put was killed between publishing its block and removing the old one.  Replacing puts have births above
 * those of what they replace; so all readers that know the same copies agree when each takes the highest birth.
 */
#ifndef MEMKV_POOL_NEWEST_H
#define MEMKV_POOL_NEWEST_H

#include "core/format/table_format.h"
#include "core/index/index.h"
#include "core/pool/lane.h"

struct memkv_pool;

/* copy_entry() - the entry of the live copy of a key at @place, from tables that are at hand; false: there is none */
bool copy_entry(const struct memkv_pool *pool, const uint8_t *key, struct place place, uint64_t *segment, struct entry *entry);

/*
 * newest_copy() - the place with the highest birth among the live ones; the first when none can be told
 * @lane: idle; used on mirrored media, where tables are not at hand and the blocks' headers are read instead.
 * @places: at least two.
 */
struct place newest_copy(struct memkv_pool *pool, struct lane *lane, const uint8_t *key, const struct place *places,
			 unsigned count);

#endif
