/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hold cells: which segments a process uses in place, so that nobody opens them anew (core/pool/hold.h has the protocol).
 *
 * One cell a slot, written by the slot's holder alone; a place in it names a segment and its generation, and counts
 * while that incarnation lives.  A place that is not used has generation 0.
 *
 * Places are whole words, changed one at a time, the generation last when a place is taken and first when it is given up.  So
 * a cell that is just being written, or whose writer was stopped at it, still shows every hold that was made before: its
 * words are taken as they are.  So are those of a cell that is damaged.
 *
 * Coherent, mapped media only.
 */
#ifndef MEMKV_SLOT_HOLD_CELL_H
#define MEMKV_SLOT_HOLD_CELL_H

#include "core/slot/slot.h"

/* hold_cell_store() - the holder's own cell; slot and epoch are filled in */
void hold_cell_store(const struct control *c, const struct slot *me, struct hold_cell *cell);

/* hold_cell_held() - does any living incarnation hold this segment?  @generation 0: in whichever generation */
bool hold_cell_held(const struct control *c, const struct slot *me, uint64_t segment, uint64_t generation);

/* hold_cell_count() - segments that the slot's incarnation holds; it need not live */
uint32_t hold_cell_count(const struct control *c, uint32_t slot, uint32_t epoch);

/* hold_cell_over() - do the living hold more than @most segments? */
bool hold_cell_over(const struct control *c, const struct slot *me, uint64_t most);

#endif
