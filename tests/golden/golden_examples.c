/* SPDX-License-Identifier: Apache-2.0 */
/* See golden_examples.h. */
#include "tests/golden/golden_examples.h"

#include <stdio.h>
#include <string.h>

const struct superblock golden_superblock = {
	.major = 1,
	.minor = 0,
	.features_compatible = 0x8000000000000001,
	.features_read_only = 0x4000000000000002,
	.uuid = {0xA0, 0xA1, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7, 0xA8, 0xA9, 0xAA, 0xAB, 0xAC, 0xAD, 0xAE, 0xAF},
	.seed = GOLDEN_SEED,
	.instance = 0xFEDCBA9876543210,
	.version = 7,
	.created_s = 1767225600,
	.home_device = 0x10302,
	.home_inode = 424242,
	.name = "golden",
	.geo = {.bytes = 268435456,
		.max_block = 2097152,
		.segment_room = 2097152,
		.segments = 120,
		.segment_pages = 517,
		.last_pages = 300,
		.entries = 128,
		.slots = 30,
		.ring_bytes = 16384,
		.checkpoint_bytes = 20480,
		.heat_units = 192},
};

/* on the third of four namespaces, of which the second was removed */
struct superblock golden_joined(void)
{
	struct superblock sb = golden_superblock;

	sb.features_compatible = sb.features_read_only = 0;
	sb.features_incompatible = FEATURE_NAMESPACES;
	sb.version = 9;
	sb.ordinal = 2;
	sb.further = 3;
	for (unsigned n = 0; n < 3; n++) {
		struct namespace_entry *ns = &sb.namespaces[n];
		*ns = (struct namespace_entry){
			.geo = {.base = 268435456 + n * 134217728ULL,
				.bytes = 134217728 - n * 4096ULL,
				.first_segment = 120 + 60 * n,
				.segments = 60,
				.last_pages = 517 - 100 * n},
			.state = n ? NAMESPACE_USED : NAMESPACE_REMOVED,
		};
		memset(ns->id, (int)(0x91 + n), sizeof(ns->id));
		memset(ns->device, n == 2 ? 0x5D : 0, sizeof(ns->device));
		snprintf(ns->path, sizeof(ns->path), "/srv/pools/golden.%u", n + 1);
	}
	memcpy(sb.id, sb.namespaces[1].id, sizeof(sb.id));
	return sb;
}

const struct slot_cell golden_slot_cell = {
	.slot = 5,
	.state = SLOT_ACTIVE,
	.epoch = 0x2ABCDEF1,
	.pid = 4711,
	.nonce = 0x1122334455667788,
	.process_start = 987654321,
	.attached_s = 1767225601,
	.seen_s = 1767225602,
	.heartbeat = 603,
	.log_tail = 604,
	.machine = {0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1A, 0x1B, 0x1C, 0x1D, 0x1E, 0x1F},
	.boot = {0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2A, 0x2B, 0x2C, 0x2D, 0x2E, 0x2F},
	.host_nqn = "nqn.2014-08.org.nvmexpress:uuid:10111213-1415-1617-1819-1a1b1c1d1e1f",
	.version = "1.0.0",
};

const struct hold_cell golden_hold_cell = {
	.slot = 5,
	.epoch = 0x2ABCDEF1,
	.count = 2,
	.holds = {{.segment = 3, .page = 17, .generation = 0x0140000000000001, .lease_until = 605},
		  {.segment = 119, .page = 299, .generation = 0x0140000000000002, .lease_until = 606}},
};

const struct claim_cell golden_claim_cell = {
	.slot = 5, .epoch = 0x2ABCDEF1, .ballot = 12, .accepted_ballot = 11, .accepted = 0x000000060000000D};

const struct key_cell golden_key_cell = {
	.tenant = 9,
	.version = 2,
	.state = 1,
	.wrapped_length = 8,
	.wrapped = {0x71, 0x72, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78},
	.salt = {0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F},
};

const struct owner_word golden_owner_word = {.state = OWNER_LEAVING, .turn = 300, .slot = 5, .epoch = 0x2ABCDEF1};

const struct record golden_record = {
	.kind = RECORD_PIN,
	.position = 1000001,
	.version = 77,
	.key = {0xC0, 0xC1, 0xC2, 0xC3, 0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9, 0xCA, 0xCB, 0xCC, 0xCD, 0xCE, 0xCF,
		0xD0, 0xD1, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF},
	.subject = 78,
	.generation = 0x0140000000000001,
	.birth = 0x5566778899AABBCC,
	.until_s = 1798761600,
	.class_id = 2,
	.tenant = 9,
	.slot = 6,
	.epoch = 13,
};

const struct record golden_session = {
	.kind = RECORD_SESSION,
	.position = 3,
	.version = 79,
	.key = "conversation 42",
	.subject = 0x0A0B0C0D0E0F1011,
	.until_s = 1798761600,
	.slot = 5,
	.epoch = 0x2ABCDEF1,
	.state = SESSION_PINNED,
};

const struct log_identity golden_log = {.slot = 5, .epoch = 0x2ABCDEF1, .nonce = 0x1122334455667788};

const struct checkpoint_header golden_checkpoint = {.slot = 5,
						    .epoch = 0x2ABCDEF1,
						    .nonce = 0x1122334455667788,
						    .sequence = 14,
						    .facts = 15,
						    .log_position = 1000000};

const struct table_header golden_table_header = {
	.generation = 0x0140000000000001, .segment = 119, .class_id = 2, .opened_s = 1767225603};

const struct entry golden_entry = {
	.index = 34,
	.header_pages = 1,
	.generation = 0x0140000000000001,
	.birth = 0x5566778899AABBCC,
	.key = {0xC0, 0xC1, 0xC2, 0xC3, 0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9, 0xCA, 0xCB, 0xCC, 0xCD, 0xCE, 0xCF,
		0xD0, 0xD1, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF},
	.page = 17,
	.length = 1048577,
	.expires_s = 1798761600,
	.session_id = 0x0A0B0C0D0E0F1011,
	.group = 0x1213141516171819,
	.stored_s = 1767225604,
	.model = 0x21222324,
	.depth = 25,
	.tenant = 9,
	.class_id = 2,
};

const struct segment_header golden_segment_header = {
	.generation = 0x0140000000000001, .segment = 119, .class_id = 2, .opened_s = 1767225603};

uint8_t golden_payload(uint64_t at)
{
	return (uint8_t)(at * 31 + at / 251);
}

static const uint8_t meta[GOLDEN_META] = "caller's own metadata";

struct block_header golden_block(bool listed, const uint64_t **digests)
{
	static uint64_t chunk_digests[2][GOLDEN_CHUNKS_LISTED];
	static le32 ends[GOLDEN_CHUNKS_LISTED];
	static uint8_t payload[1048577];
	uint32_t chunks = listed ? GOLDEN_CHUNKS_LISTED : GOLDEN_CHUNKS_UNIFORM;
	struct block_header h = {
		.header_pages = listed ? 2 : 1,
		.generation = golden_entry.generation,
		.birth = golden_entry.birth,
		.segment = 119,
		.index = 34,
		.page = GOLDEN_PAGE,
		.length = sizeof(payload),
		.chunk_bytes = listed ? 0 : 65536,
		.chunks = chunks,
		.flags = BLOCK_HAS_PARENT,
		.tenant = 9,
		.class_id = 2,
		.model = golden_entry.model,
		.depth = 25,
		.group = golden_entry.group,
		.session_id = golden_entry.session_id,
		.expires_s = golden_entry.expires_s,
		.stored_s = golden_entry.stored_s,
		.session = "conversation 42",
		.meta = meta,
		.meta_length = GOLDEN_META,
		.ends = listed ? ends : NULL,
	};

	memcpy(h.key, golden_entry.key, sizeof(h.key));
	memset(h.parent, 0x9A, sizeof(h.parent));
	for (uint64_t i = 0; i < sizeof(payload); i++)
		payload[i] = golden_payload(i);
	for (uint32_t i = 0; i < GOLDEN_CHUNKS_LISTED; i++) /* uneven, the last one ends the payload */
		ends[i] = le32_of(i + 1 == GOLDEN_CHUNKS_LISTED ? sizeof(payload) : (i + 1) * 3495ULL + i % 7);
	for (uint32_t i = 0; i < chunks; i++) {
		uint64_t offset;
		uint32_t length;
		chunk_extent(&h, i, &offset, &length);
		chunk_digests[listed][i] = chunk_digest(payload + offset, length);
	}
	payload_digest(chunk_digests[listed], chunks, h.length, h.payload_digest);
	*digests = chunk_digests[listed];
	return h;
}

static void word_into(uint8_t *bytes, uint64_t raw)
{
	memcpy(bytes, &raw, sizeof(raw)); /* the encoders of words return them as they lie on the media */
}

static void superblock_a(uint8_t *bytes)
{
	superblock_encode(&golden_superblock, 0, bytes);
}

static void superblock_b(uint8_t *bytes)
{
	superblock_encode(&golden_superblock, 1, bytes);
}

static void superblock_joined(uint8_t *bytes)
{
	struct superblock sb = golden_joined();

	superblock_encode(&sb, 0, bytes);
}

static void slot_cell_0(uint8_t *bytes)
{
	slot_cell_encode(&golden_slot_cell, 0, GOLDEN_SEED, bytes);
}

static void slot_cell_1(uint8_t *bytes)
{
	slot_cell_encode(&golden_slot_cell, 1, GOLDEN_SEED, bytes);
}

static void hold_cell(uint8_t *bytes)
{
	hold_cell_encode(&golden_hold_cell, GOLDEN_SEED, bytes);
}

static void claim_cell(uint8_t *bytes)
{
	claim_cell_encode(&golden_claim_cell, GOLDEN_CLAIMER, GOLDEN_SEED, bytes);
}

static void key_cell(uint8_t *bytes)
{
	key_cell_encode(&golden_key_cell, GOLDEN_SEED, bytes);
}

static void owner(uint8_t *bytes)
{
	word_into(bytes, owner_word_encode(golden_owner_word, 119, GOLDEN_SEED));
}

static void record(uint8_t *bytes)
{
	record_encode(&golden_record, &golden_log, GOLDEN_SEED, bytes);
}

/* a fact in a checkpoint: bound to its sequence */
static void record_session(uint8_t *bytes)
{
	struct log_identity in = golden_log;

	in.sequence = golden_checkpoint.sequence;
	record_encode(&golden_session, &in, GOLDEN_SEED, bytes);
}

static void checkpoint(uint8_t *bytes)
{
	checkpoint_header_encode(&golden_checkpoint, GOLDEN_AREA, GOLDEN_SEED, bytes);
}

static void table_header(uint8_t *bytes)
{
	table_header_encode(&golden_table_header, GOLDEN_SEED, bytes);
}

static void tail(uint8_t *bytes)
{
	word_into(bytes, tail_encode(GOLDEN_TAIL, 119, golden_entry.generation, GOLDEN_SEED));
}

static void entry_live(uint8_t *bytes)
{
	entry_encode(&golden_entry, 119, GOLDEN_SEED, bytes);
}

static void entry_void(uint8_t *bytes)
{
	struct entry e = golden_entry;

	e.flags = ENTRY_VOID;
	entry_encode(&e, 119, GOLDEN_SEED, bytes);
}

static void life_removed(uint8_t *bytes)
{
	word_into(bytes, life_word(LIFE_REMOVED, golden_entry.birth));
}

static void life_moving(uint8_t *bytes)
{
	word_into(bytes, life_word(LIFE_MOVING, golden_entry.birth));
}

static void life_removing(uint8_t *bytes)
{
	word_into(bytes, life_word(LIFE_REMOVING, golden_entry.birth));
}

static void segment_header(uint8_t *bytes)
{
	segment_header_encode(&golden_segment_header, GOLDEN_SEED, bytes);
}

static void block(uint8_t *bytes, bool listed)
{
	const uint64_t *digests;
	struct block_header h = golden_block(listed, &digests);

	block_header_encode(&h, digests, GOLDEN_SEED, bytes);
}

static void block_uniform(uint8_t *bytes)
{
	block(bytes, false);
}

static void block_listed(uint8_t *bytes)
{
	block(bytes, true);
}

/* not bytes of a pool, but as fixed: offset and length of every region of the superblock's geometry */
static void layout_of_geometry(uint8_t *bytes)
{
	struct layout layout;

	memset(bytes, 0, (size_t)REGIONS * 16);
	if (layout_compute(&golden_superblock.geo, &layout))
		return;
	for (size_t i = 0; i < REGIONS; i++) {
		word_into(bytes + 16 * i, le64_of(layout.offset[i]).raw);
		word_into(bytes + 16 * i + 8, le64_of(layout.length[i]).raw);
	}
}

const struct locator golden_locator = {
	.header_pages = 3,
	.length = 1048577,
	.uuid = {0xA0, 0xA1, 0xA2, 0xA3, 0xA4, 0xA5, 0x46, 0xA7, 0x88, 0xA9, 0xAA, 0xAB, 0xAC, 0xAD, 0xAE, 0xAF},
	.instance = 0x3132333435363738,
	.generation = 0x0140000000000001,
	.birth = 0x4142434445464748,
	.segment = 119,
	.page = 17,
	.key = {0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5A, 0x5B, 0x5C, 0x5D, 0x5E, 0x5F, 0x60,
		0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6A, 0x6B, 0x6C, 0x6D, 0x6E, 0x6F, 0x70},
};

/* not bytes of a pool either, but they travel between versions */
static void locator(uint8_t *bytes)
{
	locator_encode(&golden_locator, bytes);
}

const struct golden golden_table[] = {
	{"superblock_a", PAGE, superblock_a},
	{"superblock_b", PAGE, superblock_b},
	{"layout", (size_t)REGIONS * 16, layout_of_geometry},
	{"slot_cell_0", CELL_LIVE, slot_cell_0},
	{"slot_cell_1", CELL_LIVE, slot_cell_1},
	{"hold_cell", CELL_LIVE, hold_cell},
	{"claim_cell", CLAIM_BYTES, claim_cell},
	{"owner_word", 8, owner},
	{"key_cell", CELL_LIVE, key_cell},
	{"record", RECORD_BYTES, record},
	{"record_session", RECORD_BYTES, record_session},
	{"checkpoint_header", RECORD_BYTES, checkpoint},
	{"table_header", TABLE_HEADER_BYTES, table_header},
	{"tail_word", 8, tail},
	{"entry", ENTRY_BYTES, entry_live},
	{"entry_void", ENTRY_BYTES, entry_void},
	{"life_removed", 8, life_removed},
	{"life_moving", 8, life_moving},
	{"life_removing", 8, life_removing},
	{"segment_header", PAGE, segment_header},
	{"block_header_uniform", PAGE, block_uniform},
	{"block_header_listed", (size_t)2 * PAGE, block_listed},
	{"locator", LOCATOR_BYTES, locator},
	{"superblock_joined", PAGE, superblock_joined},
};
const size_t golden_count = ARRAY_COUNT(golden_table);
