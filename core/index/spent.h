/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much of each segment is spent, as far as this process has folded it: removed or replaced blocks, and when the last of the
 * others ends.  A hint for whoever needs room (core/pool/reclaim.c looks at the table before it believes one).  Stored by
 * the follower, read by any thread.
 */
#ifndef MEMKV_INDEX_SPENT_H
#define MEMKV_INDEX_SPENT_H

#include "core/base/bytes.h"
#include <stdatomic.h>

struct spent {
	_Atomic uint32_t pages;  /* of removed blocks */
	_Atomic uint32_t ends_s; /* when all of the others have expired; SPENT_NEVER, SPENT_UNKNOWN */
};

enum { SPENT_UNKNOWN = 0, SPENT_NEVER = -1 };

/* what one pass over places of a segment has met */
struct spent_pass {
	uint32_t pages, ends_s; /* ends_s: of the living; SPENT_UNKNOWN: there were none */
};

/* spent_meet() - a block that ends at @expires_s (0: never) */
void spent_meet(struct spent_pass *pass, uint64_t expires_s);

/* spent_note() - @whole: the pass was over all of the segment, else over what came since the last one */
void spent_note(struct spent *spent, const struct spent_pass *pass, bool whole);

/* spent_forget() - nothing is known: a new generation, or the hint was wrong */
void spent_forget(struct spent *spent);

/* in this order they are emptied; of equal ones the oldest */
enum spent_rank { SPENT_ALL, SPENT_HALF, SPENT_LITTLE };
enum spent_rank spent_rank(const struct spent *spent, uint32_t segment_pages, uint64_t now_s);

#endif
