/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segment tables: what describes a block lives with its segment.
 *
 *   page 0:  header (64 bytes) | tail word | changes word          live bytes in the first 512
 *   then:    one entry of 128 bytes per reserved place, in page order
 *
 * The table's one writer reserves a place (raises the tail), writes the block, then publishes the entry: all words,
 * then the check word.  An entry of another generation, or none, below the tail is a place whose put did not finish.
 *
 * The last word of an entry, the life word, lies outside the check and is the only one that anybody but the writer
 * may change (by compare-and-swap): two equal bytes tell live from removed, the other 48 bits are the birth's.  So a
 * removal that comes late cannot hit the next block that is described in the same place.  A block that is being moved is
 * described in its new place as moving at first, which is not live, and made live when the old place still is.  On
 * media where publishing is a write, an entry may go together with its block, as sent, and becomes live some time after
 * both have landed; until then only bytes that verify count.
 */
#ifndef MEMKV_FORMAT_TABLE_FORMAT_H
#define MEMKV_FORMAT_TABLE_FORMAT_H

#include "core/format/check.h"
#include "core/format/layout.h"

enum { TABLE_HEADER_BYTES = 64, TABLE_TAIL_OFFSET = 64, TABLE_CHANGES_OFFSET = 128, ENTRY_WORDS = ENTRY_BYTES / 8 };
enum { ENTRY_CHECKED = ENTRY_BYTES - 8, ENTRY_LIFE_OFFSET = ENTRY_BYTES - 8, ENTRY_CHECK_OFFSET = 8 };
enum { TAIL_COUNT_BITS = 25 };

struct table_header {
	uint64_t generation;
	uint32_t segment, class_id;
	uint64_t opened_s;
};

void table_header_encode(const struct table_header *h, uint64_t pool_seed, uint8_t bytes[TABLE_HEADER_BYTES]);
enum check_result table_header_decode(const uint8_t bytes[TABLE_HEADER_BYTES], uint64_t segment, uint64_t pool_seed,
				      struct table_header *h);

/* Tail word: number of reserved places | check, bound to segment and generation.  Decode mends one bit. */
uint64_t tail_encode(uint32_t count, uint64_t segment, uint64_t generation, uint64_t pool_seed);
enum check_result tail_decode(uint64_t raw, uint64_t segment, uint64_t generation, uint64_t pool_seed,
			      uint32_t *count);

enum entry_flag { ENTRY_VOID = 1 << 0 /* a place whose put was abandoned */ };

struct entry {
	uint32_t index, header_pages;
	uint64_t generation, birth;
	uint8_t key[32];
	uint32_t page; /* of the header, within the segment */
	uint32_t length;
	uint64_t expires_s, session_id, group, stored_s;
	uint32_t model, depth;
	uint16_t tenant;
	uint8_t class_id, flags;
};

void entry_encode(const struct entry *e, uint64_t segment, uint64_t pool_seed, uint8_t bytes[ENTRY_BYTES]);
/* entry_decode() - does not look at the life word */
enum check_result entry_decode(const uint8_t bytes[ENTRY_BYTES], uint64_t segment, uint32_t index, uint64_t pool_seed,
			       bool mend, struct entry *e);

enum life {
	LIFE_LIVE,
	LIFE_REMOVED,
	LIFE_MOVING,
	/*
	 * A remover is about to look whether the block is pinned, or found that it is, or died: the block is there, and
	 * stays so until a remover finds it unpinned.
	 */
	LIFE_REMOVING,
	LIFE_SENT,  /* the entry went to the medium together with its block: whether that landed, its bytes tell */
	LIFE_OTHER, /* of another birth, or beyond recognition */
};
uint64_t life_word(enum life life, uint64_t birth);
enum life life_read(uint64_t raw, uint64_t birth);

/* life_counts() - may the block be handed out, when all of it verifies? */
static inline bool life_counts(enum life life)
{
	return life == LIFE_LIVE || life == LIFE_REMOVING || life == LIFE_SENT;
}

#endif
