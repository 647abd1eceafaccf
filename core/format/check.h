/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one checksum of the format: XXH3-64 (https://github.com/Cyan4973/xxHash, doc/xxhash_spec.md), seeded with the
 * pool's own random seed, the kind of structure and the place where it lies.  So a structure that is right but in
 * the wrong place, or of another pool, does not verify.
 *
 * Common shape of every checked structure: word 0 names it (magic, version), word 1 is the check value, the rest
 * follows.  The check covers word 0 and everything from word 2 on.
 */
#ifndef MEMKV_FORMAT_CHECK_H
#define MEMKV_FORMAT_CHECK_H

#include "core/base/bytes.h"

enum check_kind {
	CHECK_SUPERBLOCK = 1,
	CHECK_SLOT_CELL,
	CHECK_HOLD_CELL,
	CHECK_CLAIM_CELL,
	CHECK_OWNER_WORD,
	CHECK_KEY_CELL,
	CHECK_RECORD,
	CHECK_CHECKPOINT,
	CHECK_TABLE_HEADER,
	CHECK_TAIL_WORD,
	CHECK_ENTRY,
	CHECK_SEGMENT_HEADER,
	CHECK_BLOCK_HEADER,
	CHECK_DIGEST,
	CHECK_LOCATOR, /* travels, and is never on the media */
	CHECK_NAMESPACE,
};

/* check_seed() - the seed for a structure of @kind at @place (two numbers, for instance segment and index) */
uint64_t check_seed(uint64_t pool_seed, enum check_kind kind, uint64_t place, uint64_t subplace);

/*
 * check_value() - what word 1 of a structure of @length bytes should be.  @length is a multiple of 8, at least
 * 32: with a single word behind the check a flip in it could be taken for one in word 0.
 */
uint64_t check_value(const void *structure, size_t length, uint64_t seed);

/*
 * Stands in word 1 of a structure in shared memory while its writer is at it, or died there: what lies around it says
 * nothing, and that is not damage.  ("Writing!")
 */
#define CHECK_WRITING 0x21676E6974697257ULL

/* check_set() - write word 1; check_holds() - is it right? */
void check_set(void *structure, size_t length, uint64_t seed);
bool check_holds(const void *structure, size_t length, uint64_t seed);

enum check_result { CHECK_GOOD = 0, CHECK_MENDED = 1, CHECK_BAD = -1 };

/*
 * check_or_mend() - verify, and undo a single flipped bit in memory if there is just that.
 *
 * Tries every bit of the structure (8 x @length hashes: 20 us for 128 bytes, 2 ms for 4 KiB).  Another content that
 * is one bit away and verifies has probability 2^-64 x 8 x @length.
 */
enum check_result check_or_mend(void *structure, size_t length, uint64_t seed);

/* check_short() - a few bits of check for values that live in one word: the low @bits of the hash of @value */
uint64_t check_short(uint64_t value, uint64_t seed, unsigned bits);

#endif
