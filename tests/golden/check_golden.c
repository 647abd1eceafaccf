/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The format stays what it is: today's encoders give the committed bytes, today's decoders read the committed bytes
 * as the values that went in, and bytes that must be refused are refused for the right reason.
 *
 * The golden file's path is the environment variable GOLDEN_FILE.
 */
#include "tests/golden/golden_examples.h"
#include "tests/unit/unit.h"

#include <memkv/error.h>
#include <string.h>

static _Alignas(8) uint8_t golden[32][GOLDEN_BYTES_MAX];
static size_t golden_lengths[32];

static int index_of(const char *name)
{
	for (size_t i = 0; i < golden_count; i++)
		if (!strcmp(golden_table[i].name, name))
			return (int)i;
	return -1;
}

/* the committed bytes of a structure */
static uint8_t *bytes_of(const char *name)
{
	int i = index_of(name);

	ck_assert_msg(i >= 0 && golden_lengths[i], "the golden file has no %s", name);
	return golden[i];
}

static uint64_t word_of(const char *name)
{
	uint64_t raw;

	memcpy(&raw, bytes_of(name), sizeof(raw));
	return raw;
}

static void read_row(int current, size_t at, const char *hex)
{
	for (; hex[0] && hex[1] && hex[0] != '\n'; hex += 2, at++) {
		unsigned byte;
		if (at >= golden_lengths[current] || sscanf(hex, "%2x", &byte) != 1) {
			fprintf(stderr, "golden file: %s: bad row\n", golden_table[current].name);
			exit(EXIT_FAILURE);
		}
		golden[current][at] = (uint8_t)byte;
	}
}

static void read_golden_file(const char *path)
{
	FILE *file = path ? fopen(path, "r") : NULL;
	char line[256], name[64];
	size_t number;
	int current = -1, used;

	if (!file || golden_count > ARRAY_COUNT(golden)) {
		fprintf(stderr, "GOLDEN_FILE does not name the golden file\n");
		exit(EXIT_FAILURE);
	}
	while (fgets(line, sizeof(line), file)) {
		if (line[0] == '#')
			continue;
		if (sscanf(line, "%zx: %n", &number, &used) == 1 && strchr(line, ':') && current >= 0) {
			read_row(current, number, line + used);
		} else if (sscanf(line, "%63s %zu", name, &number) == 2 && number <= GOLDEN_BYTES_MAX &&
			   (current = index_of(name)) >= 0) {
			golden_lengths[current] = number;
		} else {
			fprintf(stderr, "golden file: cannot read: %s", line);
			exit(EXIT_FAILURE);
		}
	}
	fclose(file);
}

START_TEST(encoders_give_the_committed_bytes)
{
	static _Alignas(8) uint8_t bytes[GOLDEN_BYTES_MAX];

	for (size_t i = 0; i < golden_count; i++) {
		memset(bytes, 0xEE, sizeof(bytes));
		golden_table[i].encode(bytes);
		ck_assert_uint_eq(golden_lengths[i], golden_table[i].length);
		for (size_t at = 0; at < golden_lengths[i]; at++)
			if (bytes[at] != golden[i][at])
				ck_abort_msg("%s: byte %zu is %02x, was %02x", golden_table[i].name, at, bytes[at],
					     golden[i][at]);
	}
}
END_TEST

START_TEST(superblock_values)
{
	const struct superblock *g = &golden_superblock;
	struct superblock sb;
	struct layout layout;
	bool mended = true;

	for (unsigned copy = 0; copy < 2; copy++) {
		ck_assert_int_eq(
			superblock_decode(bytes_of(copy ? "superblock_b" : "superblock_a"), copy, &sb, &mended), 0);
		ck_assert(!mended);
		ck_assert_uint_eq(sb.major, 1);
		ck_assert_uint_eq(sb.minor, 0);
		ck_assert_uint_eq(sb.features_compatible, 0x8000000000000001);
		ck_assert_uint_eq(sb.features_read_only, 0x4000000000000002);
		ck_assert_uint_eq(sb.features_incompatible, 0);
		ck_assert_mem_eq(sb.uuid, g->uuid, 16);
		ck_assert_uint_eq(sb.seed, GOLDEN_SEED);
		ck_assert_uint_eq(sb.instance, g->instance);
		ck_assert_uint_eq(sb.version, 7);
		ck_assert_uint_eq(sb.created_s, 1767225600);
		ck_assert_uint_eq(sb.home_device, 0x10302);
		ck_assert_uint_eq(sb.home_inode, 424242);
		ck_assert_str_eq(sb.name, "golden");
		ck_assert_uint_eq(sb.geo.bytes, 268435456);
		ck_assert_uint_eq(sb.geo.max_block, 2097152);
		ck_assert_uint_eq(sb.geo.segment_room, 2097152);
		ck_assert_uint_eq(sb.geo.segments, 120);
		ck_assert_uint_eq(sb.geo.segment_pages, 517);
		ck_assert_uint_eq(sb.geo.last_pages, 300);
		ck_assert_uint_eq(sb.geo.entries, 128);
		ck_assert_uint_eq(sb.geo.slots, 30);
		ck_assert_uint_eq(sb.geo.ring_bytes, 16384);
		ck_assert_uint_eq(sb.geo.checkpoint_bytes, 20480);
		ck_assert_uint_eq(sb.geo.heat_units, 192);
		ck_assert_int_eq(layout_compute(&sb.geo, &layout), 0);
	}
}
END_TEST

START_TEST(cell_values)
{
	struct slot_cell slot;
	struct hold_cell hold;
	struct claim_cell claim;
	struct key_cell key;

	for (unsigned copy = 0; copy < 2; copy++) {
		const uint8_t *bytes = bytes_of(copy ? "slot_cell_1" : "slot_cell_0");
		ck_assert_int_eq(slot_cell_decode(bytes, 5, copy, GOLDEN_SEED, &slot), CHECK_GOOD);
		ck_assert_int_eq(memcmp(&slot, &golden_slot_cell, sizeof(slot)), 0);
	}
	ck_assert_int_eq(hold_cell_decode(bytes_of("hold_cell"), 5, GOLDEN_SEED, &hold), CHECK_GOOD);
	ck_assert_uint_eq(hold.slot, 5);
	ck_assert_uint_eq(hold.epoch, 0x2ABCDEF1);
	ck_assert_uint_eq(hold.count, 2);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(memcmp(&hold.holds[i], &golden_hold_cell.holds[i], sizeof(struct hold)), 0);
	ck_assert_int_eq(claim_cell_decode(bytes_of("claim_cell"), GOLDEN_CLAIMER, 5, GOLDEN_SEED, &claim), CHECK_GOOD);
	ck_assert_int_eq(memcmp(&claim, &golden_claim_cell, sizeof(claim)), 0);
	ck_assert_int_eq(key_cell_decode(bytes_of("key_cell"), 9, GOLDEN_SEED, &key), CHECK_GOOD);
	ck_assert_int_eq(memcmp(&key, &golden_key_cell, sizeof(key)), 0);
}
END_TEST

START_TEST(log_values)
{
	struct record r;
	struct checkpoint_header c;

	ck_assert_int_eq(record_decode(bytes_of("record"), &golden_log, 1000001, GOLDEN_SEED, false, &r), CHECK_GOOD);
	ck_assert_int_eq(r.kind, RECORD_PIN);
	ck_assert_int_eq((int)r.kind, 9);
	ck_assert_uint_eq(r.version, 77);
	ck_assert_mem_eq(r.key, golden_record.key, 32);
	ck_assert_uint_eq(r.subject, 78);
	ck_assert_uint_eq(r.generation, golden_record.generation);
	ck_assert_uint_eq(r.birth, golden_record.birth);
	ck_assert_uint_eq(r.until_s, 1798761600);
	ck_assert_uint_eq(r.class_id, 2);
	ck_assert_uint_eq(r.tenant, 9);
	ck_assert_uint_eq(r.slot, 6);
	ck_assert_uint_eq(r.epoch, 13);
	struct log_identity in = golden_log;
	in.sequence = 14;
	ck_assert_int_eq(record_decode(bytes_of("record_session"), &in, 3, GOLDEN_SEED, false, &r), CHECK_GOOD);
	ck_assert_int_eq((int)r.kind, 12);
	ck_assert_str_eq((const char *)r.key, "conversation 42");
	ck_assert_uint_eq(r.subject, 0x0A0B0C0D0E0F1011);
	ck_assert_uint_eq(r.version, 79);
	ck_assert_int_eq((int)r.state, 1);
	ck_assert_int_eq(record_decode(bytes_of("record_session"), &golden_log, 3, GOLDEN_SEED, false, &r), CHECK_BAD);
	ck_assert_int_eq(checkpoint_header_decode(bytes_of("checkpoint_header"), 5, GOLDEN_AREA, GOLDEN_SEED, &c),
			 CHECK_GOOD);
	ck_assert_uint_eq(c.epoch, 0x2ABCDEF1);
	ck_assert_uint_eq(c.nonce, golden_checkpoint.nonce);
	ck_assert_uint_eq(c.sequence, 14);
	ck_assert_uint_eq(c.facts, 15);
	ck_assert_uint_eq(c.log_position, 1000000);
}
END_TEST

static void assert_entry(const struct entry *e, unsigned flags)
{
	ck_assert_uint_eq(e->index, 34);
	ck_assert_uint_eq(e->header_pages, 1);
	ck_assert_uint_eq(e->generation, 0x0140000000000001);
	ck_assert_uint_eq(e->birth, 0x5566778899AABBCC);
	ck_assert_mem_eq(e->key, golden_entry.key, 32);
	ck_assert_uint_eq(e->page, 17);
	ck_assert_uint_eq(e->length, 1048577);
	ck_assert_uint_eq(e->expires_s, 1798761600);
	ck_assert_uint_eq(e->session_id, 0x0A0B0C0D0E0F1011);
	ck_assert_uint_eq(e->group, 0x1213141516171819);
	ck_assert_uint_eq(e->stored_s, 1767225604);
	ck_assert_uint_eq(e->model, 0x21222324);
	ck_assert_uint_eq(e->depth, 25);
	ck_assert_uint_eq(e->tenant, 9);
	ck_assert_uint_eq(e->class_id, 2);
	ck_assert_uint_eq(e->flags, flags);
}

START_TEST(table_values)
{
	struct table_header h;
	struct owner_word word;
	struct entry e;
	struct segment_header s;
	uint32_t tail = 0;
	uint64_t life;

	ck_assert(owner_word_decode(word_of("owner_word"), 119, GOLDEN_SEED, &word));
	ck_assert_int_eq(word.state, OWNER_LEAVING);
	ck_assert_uint_eq(word.turn, 300);
	ck_assert_uint_eq(word.slot, 5);
	ck_assert_uint_eq(word.epoch, 0x2ABCDEF1);
	ck_assert_int_eq(table_header_decode(bytes_of("table_header"), 119, GOLDEN_SEED, &h), CHECK_GOOD);
	ck_assert_int_eq(memcmp(&h, &golden_table_header, sizeof(h)), 0);
	ck_assert_int_eq(tail_decode(word_of("tail_word"), 119, golden_entry.generation, GOLDEN_SEED, &tail),
			 CHECK_GOOD);
	ck_assert_uint_eq(tail, GOLDEN_TAIL);
	for (int voided = 0; voided < 2; voided++) {
		const uint8_t *bytes = bytes_of(voided ? "entry_void" : "entry");
		ck_assert_int_eq(entry_decode(bytes, 119, 34, GOLDEN_SEED, false, &e), CHECK_GOOD);
		assert_entry(&e, voided ? ENTRY_VOID : 0);
		memcpy(&life, bytes + ENTRY_LIFE_OFFSET, sizeof(life));
		ck_assert_int_eq(life_read(life, e.birth), voided ? LIFE_REMOVED : LIFE_LIVE);
	}
	ck_assert_int_eq(life_read(word_of("life_removed"), golden_entry.birth), LIFE_REMOVED);
	ck_assert_int_eq(life_read(word_of("life_moving"), golden_entry.birth), LIFE_MOVING);
	ck_assert_int_eq(life_read(word_of("life_removing"), golden_entry.birth), LIFE_REMOVING);
	ck_assert(segment_header_decode(bytes_of("segment_header"), 119, GOLDEN_SEED, &s));
	ck_assert_uint_eq(s.generation, golden_segment_header.generation);
	ck_assert_uint_eq(s.class_id, 2);
	ck_assert_uint_eq(s.opened_s, 1767225603);
}
END_TEST

START_TEST(block_values)
{
	static uint8_t chunk[65536];

	for (int listed = 0; listed < 2; listed++) {
		const uint64_t *digests;
		struct block_header g = golden_block(listed, &digests), h;
		const uint8_t *bytes = bytes_of(listed ? "block_header_listed" : "block_header_uniform");
		ck_assert(block_header_decode(bytes, (size_t)g.header_pages * PAGE, GOLDEN_PAGE, GOLDEN_SEED, &h));
		ck_assert_uint_eq(h.header_pages, listed ? 2 : 1);
		ck_assert_uint_eq(h.generation, golden_entry.generation);
		ck_assert_uint_eq(h.birth, golden_entry.birth);
		ck_assert_mem_eq(h.key, golden_entry.key, 32);
		ck_assert_uint_eq(h.segment, 119);
		ck_assert_uint_eq(h.index, 34);
		ck_assert_uint_eq(h.length, 1048577);
		ck_assert_uint_eq(h.chunk_bytes, listed ? 0 : 65536);
		ck_assert_uint_eq(h.flags, BLOCK_HAS_PARENT);
		ck_assert_uint_eq(h.tenant, 9);
		ck_assert_uint_eq(h.class_id, 2);
		ck_assert_uint_eq(h.model, 0x21222324);
		ck_assert_uint_eq(h.depth, 25);
		ck_assert_uint_eq(h.group, golden_entry.group);
		ck_assert_uint_eq(h.session_id, golden_entry.session_id);
		ck_assert_uint_eq(h.expires_s, 1798761600);
		ck_assert_uint_eq(h.stored_s, 1767225604);
		ck_assert_mem_eq(h.parent, g.parent, 32);
		ck_assert_mem_eq(h.payload_digest, g.payload_digest, 16);
		ck_assert_str_eq(h.session, "conversation 42");
		ck_assert_uint_eq(h.meta_length, GOLDEN_META);
		ck_assert_mem_eq(h.meta, "caller's own metadata", GOLDEN_META);
		ck_assert_uint_eq(h.chunks, listed ? GOLDEN_CHUNKS_LISTED : GOLDEN_CHUNKS_UNIFORM);
		for (uint32_t i = 0; i < h.chunks; i++) { /* the committed digests verify the payload */
			uint64_t offset;
			uint32_t length;
			chunk_extent(&h, i, &offset, &length);
			ck_assert_uint_le(length, sizeof(chunk));
			for (uint32_t b = 0; b < length; b++)
				chunk[b] = golden_payload(offset + b);
			ck_assert_uint_eq(le64_get(h.digests[i]),
					  chunk_bind(chunk_digest(chunk, length), h.key, h.birth, i));
		}
	}
}
END_TEST

START_TEST(joined_superblock_values)
{
	const struct superblock g = golden_joined();
	uint8_t *page = bytes_of("superblock_joined");
	struct superblock sb;
	struct layout layout;
	bool mended = true;

	ck_assert_int_eq(superblock_decode(page, 0, &sb, &mended), 0);
	ck_assert(!mended);
	ck_assert_uint_eq(sb.features_incompatible, 8);
	ck_assert_uint_eq(sb.ordinal, 2);
	ck_assert_uint_eq(sb.further, 3);
	ck_assert_mem_eq(sb.id, g.id, sizeof(sb.id));
	for (unsigned n = 0; n < 3; n++) {
		const struct namespace_entry *got = &sb.namespaces[n], *was = &g.namespaces[n];
		ck_assert_mem_eq(&got->geo, &was->geo, sizeof(got->geo));
		ck_assert_int_eq(got->state, was->state);
		ck_assert_mem_eq(got->id, was->id, sizeof(got->id));
		ck_assert_mem_eq(got->device, was->device, sizeof(got->device));
		ck_assert_str_eq(got->path, was->path);
	}
	ck_assert_int_eq(superblock_layout(&sb, &layout), 0);
	ck_assert_uint_eq(superblock_bytes(&sb), 134217728 - 4096);
	page[SUPERBLOCK_LIVE + 256 + 24] ^= 3; /* two bits of an entry: the copy counts as damaged */
	ck_assert_int_eq(superblock_decode(page, 0, &sb, &mended), MEMKV_DAMAGED);
	page[SUPERBLOCK_LIVE + 256 + 24] ^= 3;
}
END_TEST

/* ---- rejects: a golden superblock with one thing wrong, sealed again so that nothing but that thing speaks --------
 */

static void seal_superblock(uint8_t *page, unsigned copy)
{
	check_set(page, SUPERBLOCK_LIVE, check_seed(0x6D656D6B76706F6FULL, CHECK_SUPERBLOCK, copy, 0));
}

/* open a pool as far as the format goes: read the superblock, lay out the regions */
static int open_superblock(const uint8_t *page, unsigned copy)
{
	struct superblock sb;
	struct layout layout;
	bool mended;
	int err = superblock_decode(page, copy, &sb, &mended);

	return err ? err : layout_compute(&sb.geo, &layout);
}

/* offsets as FORMAT.md gives them; little-endian values of @bytes bytes */
static const struct superblock_reject {
	const char *name;
	unsigned offset, bytes;
	uint64_t value;
	int code;
} superblock_rejects[] = {
	{"nothing wrong", 16, 4, 1, 0},
	{"minor version of the future", 20, 4, 9, 0},
	{"wrong magic", 0, 4, 0x54534F4C, MEMKV_NOT_A_POOL},
	{"newer major", 16, 4, 2, MEMKV_NEWER},
	{"major 0", 16, 4, 0, MEMKV_DAMAGED},
	{"unknown incompatible feature", 40, 8, 1, MEMKV_NEWER},
	{"unknown incompatible feature, last bit", 40, 8, 1ULL << 63, MEMKV_NEWER},
	{"unknown compatible feature", 24, 8, 4, 0},
	{"unknown read-only feature", 32, 8, 4, 0},
	{"no bytes", 176, 8, 0, MEMKV_DAMAGED},
	{"shorter than its parts", 176, 8, 16777216, MEMKV_GEOMETRY},
	{"not whole pages", 176, 8, 268435457, MEMKV_GEOMETRY},
	{"largest block over the segment", 184, 8, 2097152 + 16384, MEMKV_GEOMETRY},
	{"too few segments", 200, 4, 63, MEMKV_GEOMETRY},
	{"more segments than room", 200, 4, 130, MEMKV_GEOMETRY},
	{"segments without pages", 204, 4, 0, MEMKV_GEOMETRY},
	{"last segment longer than the others", 208, 4, 518, MEMKV_GEOMETRY},
	{"no entries", 212, 4, 0, MEMKV_GEOMETRY},
	{"one slot", 216, 4, 1, MEMKV_GEOMETRY},
	{"too many slots", 216, 4, 257, MEMKV_GEOMETRY},
	{"no ring", 220, 4, 0, MEMKV_GEOMETRY},
	{"ring of half a page", 220, 4, 2048, MEMKV_GEOMETRY},
	{"checkpoint of 1.5 pages", 224, 4, 6144, MEMKV_GEOMETRY},
	{"heat units that are no multiple of 64", 228, 4, 100, MEMKV_GEOMETRY},
};

START_TEST(superblock_rejected)
{
	uint8_t page[PAGE];

	for (size_t i = 0; i < ARRAY_COUNT(superblock_rejects); i++) {
		const struct superblock_reject *r = &superblock_rejects[i];
		memcpy(page, bytes_of("superblock_a"), PAGE);
		for (unsigned b = 0; b < r->bytes; b++)
			page[r->offset + b] = (uint8_t)(r->value >> 8 * b);
		seal_superblock(page, 0);
		int code = open_superblock(page, 0);
		ck_assert_msg(code == r->code, "%s: %s, not %s", r->name, memkv_code_name(code),
			      memkv_code_name(r->code));
	}
	memcpy(page, bytes_of("superblock_a"), PAGE);
	ck_assert_int_eq(open_superblock(page, 1), MEMKV_DAMAGED); /* a copy of A at B's place */
	page[100] ^= 3;
	ck_assert_int_eq(open_superblock(page, 0), MEMKV_DAMAGED);
}
END_TEST

/* every structure in the place next to its own, and in a pool with another seed */
START_TEST(wrong_place_and_wrong_pool)
{
	struct slot_cell slot;
	struct hold_cell hold;
	struct claim_cell claim;
	struct key_cell key;
	struct record r;
	struct checkpoint_header c;
	struct table_header t;
	struct segment_header s;
	struct block_header b;
	struct entry e;
	uint32_t tail;

	for (int pool = 0; pool < 2; pool++) {
		uint64_t seed = pool ? GOLDEN_SEED + 1 : GOLDEN_SEED,
			 off = !pool; /* either the seed is wrong or the place */
		unsigned next = (unsigned)off;
		ck_assert_int_eq(slot_cell_decode(bytes_of("slot_cell_0"), 5 + next, 0, seed, &slot), CHECK_BAD);
		ck_assert_int_eq(hold_cell_decode(bytes_of("hold_cell"), 5 + next, seed, &hold), CHECK_BAD);
		ck_assert_int_eq(claim_cell_decode(bytes_of("claim_cell"), GOLDEN_CLAIMER, 5 + next, seed, &claim),
				 CHECK_BAD);
		ck_assert_int_eq(key_cell_decode(bytes_of("key_cell"), 9 + next, seed, &key), CHECK_BAD);
		ck_assert_int_eq(record_decode(bytes_of("record"), &golden_log, 1000001 + off, seed, true, &r),
				 CHECK_BAD);
		ck_assert_int_eq(
			checkpoint_header_decode(bytes_of("checkpoint_header"), 5 + next, GOLDEN_AREA, seed, &c),
			CHECK_BAD);
		ck_assert_int_eq(table_header_decode(bytes_of("table_header"), 119 + off, seed, &t), CHECK_BAD);
		ck_assert_int_eq(tail_decode(word_of("tail_word"), 119 + off, golden_entry.generation, seed, &tail),
				 CHECK_BAD);
		ck_assert_int_eq(entry_decode(bytes_of("entry"), 119, 34 + next, seed, true, &e), CHECK_BAD);
		ck_assert_int_eq(entry_decode(bytes_of("entry"), 119 + off, 34, seed, true, &e), CHECK_BAD);
		ck_assert(!segment_header_decode(bytes_of("segment_header"), 119 + off, seed, &s));
		ck_assert(!block_header_decode(bytes_of("block_header_uniform"), PAGE, GOLDEN_PAGE + off, seed, &b));
		ck_assert(!block_header_decode(bytes_of("block_header_listed"), (size_t)2 * PAGE, GOLDEN_PAGE + off,
					       seed, &b));
	}
	ck_assert_int_eq(tail_decode(word_of("tail_word"), 119, golden_entry.generation + 1, GOLDEN_SEED, &tail),
			 CHECK_BAD);
}
END_TEST

START_TEST(locator_values)
{
	uint8_t *bytes = bytes_of("locator");
	struct locator l;

	ck_assert_int_eq(locator_decode(bytes, &l), LOCATOR_GOOD);
	ck_assert_int_eq(memcmp(&l, &golden_locator, sizeof(l)), 0);
	uint64_t seed = check_seed(0x6D656D6B766C6F63ULL, CHECK_LOCATOR, 0, 0);
	bytes[2]++;
	ck_assert_int_eq(locator_decode(bytes, &l), LOCATOR_BAD);
	check_set(bytes, LOCATOR_BYTES, seed);
	ck_assert_int_eq(locator_decode(bytes, &l), LOCATOR_NEWER);
	bytes[0]++;
	check_set(bytes, LOCATOR_BYTES, seed);
	ck_assert_int_eq(locator_decode(bytes, &l), LOCATOR_BAD);
}
END_TEST

/* the magic says what a structure is, even where the check holds */
START_TEST(wrong_magic)
{
	struct table_header t;
	struct entry e;
	struct record r;
	struct segment_header s;
	struct block_header b;
	uint8_t *bytes = bytes_of("table_header");

	bytes[0]++;
	check_set(bytes, TABLE_HEADER_BYTES, check_seed(GOLDEN_SEED, CHECK_TABLE_HEADER, 119, 0));
	ck_assert_int_eq(table_header_decode(bytes, 119, GOLDEN_SEED, &t), CHECK_BAD);
	bytes = bytes_of("entry");
	bytes[0]++;
	check_set(bytes, ENTRY_CHECKED, check_seed(GOLDEN_SEED, CHECK_ENTRY, 119, 34));
	ck_assert_int_eq(entry_decode(bytes, 119, 34, GOLDEN_SEED, true, &e), CHECK_BAD);
	bytes = bytes_of("record");
	bytes[0]++;
	uint64_t whose = check_seed(GOLDEN_SEED, CHECK_RECORD, 5ULL << 32 | 0x2ABCDEF1, 0x1122334455667788);
	check_set(bytes, RECORD_BYTES, check_seed(whose, CHECK_RECORD, 1000001, 0));
	ck_assert_int_eq(record_decode(bytes, &golden_log, 1000001, GOLDEN_SEED, true, &r), CHECK_BAD);
	bytes = bytes_of("segment_header");
	bytes[0]++;
	check_set(bytes, 64, check_seed(GOLDEN_SEED, CHECK_SEGMENT_HEADER, 119, 0));
	ck_assert(!segment_header_decode(bytes, 119, GOLDEN_SEED, &s));
	for (unsigned at = 0; at <= 4; at += 4) { /* magic, then version */
		static _Alignas(8) uint8_t page[PAGE];
		memcpy(page, bytes_of("block_header_uniform"), PAGE);
		page[at]++;
		check_set(page, PAGE, check_seed(GOLDEN_SEED, CHECK_BLOCK_HEADER, GOLDEN_PAGE, 0));
		ck_assert(!block_header_decode(page, PAGE, GOLDEN_PAGE, GOLDEN_SEED, &b));
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {encoders_give_the_committed_bytes,
				      superblock_values,
				      joined_superblock_values,
				      cell_values,
				      log_values,
				      table_values,
				      block_values,
				      superblock_rejected,
				      wrong_place_and_wrong_pool,
				      wrong_magic,
				      locator_values,
				      NULL};

	read_golden_file(getenv("GOLDEN_FILE"));
	return unit_run("golden", tests);
}
