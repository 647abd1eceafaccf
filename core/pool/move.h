/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving a block: it is written again, with the same birth, into a segment of this agent's.
 *
 *   read and verify -> write -> publish as moving, which nobody is given -> look at the old life word and table:
 *     still live: the copy is made live; flushed; the old one removed    removed, withdrawn meanwhile: the copy is removed too
 *
 * A removal marks first and then looks for copies, moving ones too; so either it finds the copy, or the mover finds the
 * mark.  A mover that dies before the copy is live leaves the block where it was; before the old one is removed, in both
 * places.  From then on the block has one place again, so that no two agents ever give up a copy each because of the
 * other's.
 */
#ifndef MEMKV_POOL_MOVE_H
#define MEMKV_POOL_MOVE_H

#include "core/pool/block_io.h"

enum move_result {
	MOVE_DONE,
	MOVE_GONE,    /* there is no such block any more, or nothing of it can be read */
	MOVE_FAILED,  /* the medium said no, now */
	MOVE_LAPSED,  /* hosts that share a device: ours was out of its lease, and may open no segment for it */
	MOVE_NO_ROOM, /* the rest of the current segment is too small */
};

/* move_to_rest() - into the rest of the current segment; under room.refill */
enum move_result move_to_rest(struct memkv_pool *pool, uint64_t segment, const struct entry *old);

/* move_anywhere() - into the current segment or the next one, whatever it takes to get it; nothing is locked */
enum move_result move_anywhere(struct memkv_pool *pool, uint64_t segment, const struct entry *old);

/* move_out() - likewise, and the old place is settled later: moves_settle() */
enum move_result move_out(struct memkv_pool *pool, uint64_t segment, const struct entry *old);

/*
 * moves_settle() - what moved out of @segment is flushed; then its old places say removed; under room.refill
 *
 * Return: 0 or -errno of the flush: the blocks have two places.
 */
int moves_settle(struct memkv_pool *pool, uint64_t segment);

/* ---- looking at entries by segment ---- */

/*
 * entries_collect() - the blocks that a segment's table describes and @wanted says yes to, into @to (room for a whole
 * table); second sources are asked.  Returns how many; *generation is theirs, 0: the segment describes nothing.
 */
uint32_t entries_collect(struct memkv_pool *pool, uint64_t segment,
			 bool (*wanted)(void *context, const struct entry *e), void *context, struct entry *to,
			 uint64_t *generation);

/* entries_told() - likewise; *unread: the medium did not answer for the table, or a second source: there may be more */
uint32_t entries_told(struct memkv_pool *pool, uint64_t segment, bool (*wanted)(void *context, const struct entry *e), void *context,
		      struct entry *to, uint64_t *generation, bool *unread);

/* entries_alloc() - room for a whole table; touched as it is filled.  NULL: no memory */
struct entry *entries_alloc(const struct memkv_pool *pool);
void entries_free(const struct memkv_pool *pool, struct entry *entries);

#endif
