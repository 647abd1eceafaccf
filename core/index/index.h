/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The in-memory index: from a key's hash to places on the media.  One writer at a time, any number of readers that
 * take no lock, make no system call and never wait.
 *
 * Entry: two 64-bit words,
 *   word 0:  tag 44 | turn 20           tag: bits of a pool-seeded 128-bit hash of all 32 key bytes
 *   word 1:  page 40 | pages-1 16 | header pages 8       0: empty; 1: deleted
 * `turn` is this process's own count of how often it has seen the segment reopened; an entry whose turn is not its
 * segment's current one is stale, counts as absent, and is dropped when its shard is rebuilt.  So reopening a segment
 * costs nothing here.
 *
 * The table is split into shards of some thousands of entries.  A shard lives in one of two halves of its reserved
 * address space; when it is too full it is rebuilt, without the dead, into the other half, a quarter larger if need
 * be, and the old half's memory goes back to the system.  Steps of a quarter, at different times in different shards,
 * keep the memory near 20 bytes a block at any size.
 *
 * Readers: shard word -> probe -> shard word again; when it moved, once more.  A pair of words is read as word 0,
 * word 1, word 0 again; the writer clears word 0 before it changes word 1.
 */
#ifndef MEMKV_INDEX_INDEX_H
#define MEMKV_INDEX_INDEX_H

#include "core/base/bytes.h"
#include <stdatomic.h>

struct place {
	uint64_t page;	 /* of the header, from the start of the pool */
	uint32_t pages;	 /* payload */
	uint32_t header_pages;
	uint32_t turn;	 /* index_find(): of its segment, by this process's own count */
};

struct key_hash {
	uint64_t low, high;
};

struct index;

/* index_hash() - of a key, in this index */
struct key_hash index_hash(const struct index *index, const uint8_t key[32]);

enum { INDEX_SPANS_MAX = 16 };

/*
 * index_open() - an empty index
 * @seed: the pool's.
 * @entries_max: most live entries there can be.
 * @segments: number of segments; @first_page, @segment_pages: where they lie, to find a place's segment.
 *
 * Return: 0 or -ENOMEM.
 */
int index_open(uint64_t seed, uint64_t entries_max, uint32_t segments, uint64_t first_page, uint32_t segment_pages,
	       struct index **index);
/* index_add_span() - the segments from @first_segment on lie from @first_page on, behind all others; before it is used */
void index_add_span(struct index *index, uint64_t first_page, uint64_t first_segment);
void index_close(struct index *index);

/* ---- writer: the caller makes sure there is one at a time ---- */

/* index_reserve() - @entries more will come: make room at once instead of growing step by step.  Before any insert. */
void index_reserve(struct index *index, uint64_t entries);

/* index_insert() - 0; -ENOSPC when a shard is at its limit (the block is then a miss); the very same entry twice is one */
int index_insert(struct index *index, struct key_hash hash, struct place place);

/* index_prefetch() - bring the memory that an insert of @hash will touch nearer, without waiting for it */
void index_prefetch(const struct index *index, struct key_hash hash);

/* index_drop() - remove exactly this entry, if it is there */
void index_drop(struct index *index, struct key_hash hash, struct place place);

/*
 * index_forget() - remove the entry that index_find() has told.  Not the next block of the same key, which may lie in
 * the same place since the segment was reopened.
 */
void index_forget(struct index *index, struct key_hash hash, struct place found);

/* index_turn() - the segment was reopened: all its entries are stale from now on */
void index_turn(struct index *index, uint64_t segment);

/* ---- readers: any thread ---- */

/*
 * index_find() - copies of a key (or of another with the same tag), one a call
 * @skip: how many to pass over.
 *
 * Return: true and *place.
 */
bool index_find(const struct index *index, struct key_hash hash, unsigned skip, struct place *place);

static inline bool index_has(const struct index *index, struct key_hash hash)
{
	struct place place;

	return index_find(index, hash, 0, &place);
}

/* index_has_page() - does a copy of the key lie at this page? */
static inline bool index_has_page(const struct index *index, struct key_hash hash, uint64_t page)
{
	struct place place;

	for (unsigned i = 0; index_find(index, hash, i, &place); i++)
		if (place.page == page)
			return true;
	return false;
}

struct index_figures {
	uint64_t used, capacity, memory_bytes, refused;
};
void index_figures(const struct index *index, struct index_figures *figures);

#endif
