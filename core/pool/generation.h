/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A generation of a segment, seen by whoever writes to it: begun anew, or continued where another agent ended, and given
 * up.  Which segment that is, and what was in it before, is for room.h.
 *
 * Beginning has two steps, so that a medium that refuses leaves what was there: the header page, while the segment is still
 * what it was; then, when it is OPEN, the table, which describes nothing until its tail rises.
 *
 * All of these under room.refill, but for the looks at a writer, which are under room.lock.
 */
#ifndef MEMKV_POOL_GENERATION_H
#define MEMKV_POOL_GENERATION_H

#include "core/pool/room.h"

/* writer_full() - there is no room for a smallest block, or no place to describe one */
bool writer_full(const struct room *room, const struct writer *w);

/* writer_places_ahead() - how many further places the table says are reserved: on mirrored media raising that is a write */
uint32_t writer_places_ahead(const struct room *room, const struct writer *w);

/* writer_give_up() - a segment of ours that nothing was written to gets this state */
void writer_give_up(struct room *room, struct owned *owned, enum owner_state state);

/* writer_close() - likewise one that was written to: first the table says what was really reserved */
void writer_close(struct room *room, struct writer *w, enum owner_state state);

/*
 * generation_keep_told() - of a victim, before its header page is written over: what of the table's header only that page still
 * tells goes into the table, which stands if its opening fails, or its opener dies; 0, or -EIO with a sentence
 */
int generation_keep_told(struct room *room, uint64_t segment);

/*
 * generation_clear_strays() - of a victim, before it is opened anew: no entry stands behind its tail any more, and no life word
 * where nothing is known to be, on the medium either; 0, or -errno with a sentence
 */
int generation_clear_strays(struct room *room, uint64_t segment);

/* generation_announce() - a new generation's header page: *@header for generation_begin(); 0, MEMKV_FENCED, -errno, with a sentence */
int generation_announce(struct room *room, uint64_t segment, struct table_header *header);

/* generation_begin() - the segment is OPEN and ours: its table begins; 0 or -errno with a sentence */
int generation_begin(struct room *room, struct writer *w, const struct table_header *header);

/* generation_resume() - continue where another ended; false: nothing can be written here (full, or its header is lost) */
bool generation_resume(struct room *room, struct writer *w);

/*
 * generation_take_up() - make a segment that was ready, and is OPEN and ours now, ready to write to
 * @resumed: somebody wrote to it before.
 *
 * On failure it is given back: a fresh one for another attempt; one that fails twice is passed over.
 *
 * Return: 0; -EAGAIN: take another; -errno or MEMKV_FENCED with a sentence.
 */
int generation_take_up(struct room *room, struct writer *w, bool resumed);

/* generation_drop_left_over() - of a struct own_clear; @pool: a memkv_pool.  A FREE segment's table describes nothing; false: it may */
bool generation_drop_left_over(void *pool, uint64_t segment);

/* generation_mend_header() - the segment's own header says again what its table says; the segment is ours */
void generation_mend_header(struct room *room, uint64_t segment);

/* generation_close_dead() - what an agent that has ended left OPEN or PARKED is SEALED; false: it is not to be had */
bool generation_close_dead(struct room *room, struct owned *owned);

#endif
