/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One of each structure with fixed values.  golden_make writes their bytes, check_golden compares them with the
 * bytes that were committed when the format was fixed, and reads those back.  The values never change; a new
 * structure or a new field gets a new row and a new file.
 */
#ifndef MEMKV_TESTS_GOLDEN_EXAMPLES_H
#define MEMKV_TESTS_GOLDEN_EXAMPLES_H

#include "core/format/block_header.h"
#include "core/format/cells.h"
#include "core/format/locator_bytes.h"
#include "core/format/owner_word.h"
#include "core/format/record.h"
#include "core/format/superblock.h"
#include "core/format/table_format.h"

enum { GOLDEN_BYTES_MAX = 2 * PAGE, GOLDEN_CHUNKS_UNIFORM = 17, GOLDEN_CHUNKS_LISTED = 300, GOLDEN_META = 21 };
#define GOLDEN_SEED 0x0123456789ABCDEFULL
#define GOLDEN_PAGE 70000ULL /* where the block headers lie */

extern const struct superblock golden_superblock;
extern const struct slot_cell golden_slot_cell;
extern const struct hold_cell golden_hold_cell;
extern const struct claim_cell golden_claim_cell;
extern const struct key_cell golden_key_cell;
extern const struct owner_word golden_owner_word;
extern const struct record golden_record, golden_session;
extern const struct log_identity golden_log;
extern const struct checkpoint_header golden_checkpoint;
extern const struct table_header golden_table_header;
extern const struct entry golden_entry;
extern const struct segment_header golden_segment_header;
extern const struct locator golden_locator;

enum { GOLDEN_CLAIMER = 6, GOLDEN_TAIL = 35, GOLDEN_AREA = 1 };

/* golden_joined() - the superblock of a namespace of a pool of several */
struct superblock golden_joined(void);

/* golden_payload() - the byte at @at of the payload that the block headers describe */
uint8_t golden_payload(uint64_t at);

/* golden_block() - the header of a block in uniform chunks, or the same in listed ones; static memory */
struct block_header golden_block(bool listed, const uint64_t **digests);

struct golden {
	const char *name;
	size_t length; /* of the bytes that @encode writes */
	void (*encode)(uint8_t *bytes);
};

extern const struct golden golden_table[];
extern const size_t golden_count;

#endif
