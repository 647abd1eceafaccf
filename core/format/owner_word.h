/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One 64-bit word a segment says who may write to it; on coherent media it is changed by compare-and-swap only.
 *
 *   63      61 60      52 51      42 41                12 11       0
 *   [ state 3 | turn 9   | slot 10  | epoch 30          | check 12 ]
 *
 * The check is a CRC (up to four flipped bits never pass, one can be undone) bound to the segment and the pool.
 *
 * Legal moves (OWNER_MOVES asserts them):
 *   FREE -> OPEN           whoever needs room takes it
 *   OPEN -> SEALED         full; every write in it is resolved
 *   OPEN -> PARKED         its agent leaves, there is room left
 *   OPEN -> OPEN           the owner is proven dead: another continues it
 *   PARKED -> OPEN|SEALED  another continues it; or there is no room for anything
 *   SEALED -> LEAVING      chosen for reclaim: from now on this agent's alone
 *   LEAVING -> OPEN        emptied: a new generation begins
 *   LEAVING -> SEALED      the reclaimer changed its mind, or is proven dead
 *   LEAVING -> LEAVING     the reclaimer is proven dead: another goes on
 *   LEAVING -> FREE        emptied, its table withdrawn: kept as room for moves
 *   FREE, LEAVING -> RETIRED  its namespace is to be removed: empty, and nobody takes it
 *   RETIRED -> FREE        it is not to be removed after all
 */
#ifndef MEMKV_FORMAT_OWNER_WORD_H
#define MEMKV_FORMAT_OWNER_WORD_H

#include "core/format/check.h"

enum owner_state { OWNER_FREE = 1, OWNER_OPEN = 2, OWNER_SEALED = 3, OWNER_LEAVING = 4, OWNER_PARKED = 5, OWNER_RETIRED = 6 };

enum { OWNER_EPOCH_BITS = 30, OWNER_SLOT_BITS = 10, OWNER_TURN_BITS = 9, OWNER_CHECK_BITS = 12, OWNER_STATE_SHIFT = 61 };
#define EPOCH_MAX ((1u << OWNER_EPOCH_BITS) - 1)

struct owner_word {
	enum owner_state state;
	uint32_t turn, slot, epoch; /* slot and epoch: whose it is; of FREE, SEALED and PARKED: who left it so */
};

uint64_t owner_word_encode(struct owner_word word, uint64_t segment, uint64_t pool_seed);
bool owner_word_decode(uint64_t raw, uint64_t segment, uint64_t pool_seed, struct owner_word *word);
/* owner_word_mend() - undo one flipped bit: there is one word, or none, that close */
bool owner_word_mend(uint64_t raw, uint64_t segment, uint64_t pool_seed, struct owner_word *word);
bool owner_move_legal(enum owner_state from, enum owner_state to);
const char *owner_state_name(enum owner_state state);

/* Generation: names one opening of one segment, never repeated in the pool's life. */
enum { GENERATION_COUNTER_BITS = 24 };
static inline uint64_t generation_make(uint32_t slot, uint32_t epoch, uint32_t counter)
{
	return (uint64_t)slot << 54 | (uint64_t)epoch << GENERATION_COUNTER_BITS | counter;
}
static inline uint32_t generation_slot(uint64_t generation) { return (uint32_t)(generation >> 54); }
static inline uint32_t generation_epoch(uint64_t generation)
{
	return (uint32_t)(generation >> GENERATION_COUNTER_BITS) & EPOCH_MAX;
}

#endif
