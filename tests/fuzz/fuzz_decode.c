/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every decoder of the format, behind its check: the input is put into the structure's bytes, which are then named and
 * sealed as the right ones would be (first bytes of the input: which structure, and which of these to leave out).
 *
 * Must hold: no fault; what is decoded lies within its bounds; what is encoded again is what was read, but for reserved
 * bytes and the ends of texts, which are zero; and it is decoded to the same again.
 */
#include "fuzz.h"

#include "core/format/block_header.h"
#include "core/format/cells.h"
#include "core/format/owner_word.h"
#include "core/format/record.h"
#include "core/format/superblock.h"
#include "core/format/table_format.h"

enum { SEGMENT = 5, INDEX = 3, SLOT = 2, CLAIMED = 7, TENANT = 9, POSITION = 77, HEADER_PAGES = 3, BYTES_MAX = HEADER_PAGES * PAGE };
enum { FLAG_UNNAMED = 1, FLAG_UNSEALED = 2, FLAG_FLIPPED = 4, FLAG_COPY = 8 };
#define POOL_SEED 0x0123456789ABCDEFULL
#define POOL_PAGE 4321ULL

static const struct log_identity whose = {.slot = SLOT, .epoch = 11, .nonce = 0x1122334455667788ULL};

union decoded {
	struct superblock superblock;
	struct slot_cell slot;
	struct hold_cell hold;
	struct claim_cell claim;
	struct key_cell key;
	struct record record;
	struct checkpoint_header checkpoint;
	struct table_header table;
	struct entry entry;
	struct segment_header segment;
};

/* ---- one row a structure: how it is read, written, what must hold of it ---- */

static bool read_superblock(const uint8_t *at, unsigned copy, union decoded *d)
{
	bool mended;

	return superblock_decode(at, copy, &d->superblock, &mended) == 0;
}

static void write_superblock(const union decoded *d, unsigned copy, uint8_t *at)
{
	superblock_encode(&d->superblock, copy, at);
}

static void sane_layout(const struct geometry *geo)
{
	struct layout layout;
	uint64_t end = 0;

	if (layout_compute(geo, &layout))
		return;
	for (int r = 0; r < REGIONS; r++) {
		MUST(layout.offset[r] % PAGE == 0 && layout.offset[r] >= end);
		end = layout.offset[r] + layout.length[r];
		MUST(end >= layout.offset[r] && (geo->bytes == 0 || end <= geo->bytes));
	}
	for (uint64_t s = 0; s < geo->segments; s += 1 + geo->segments / 7) {
		uint64_t first = layout_segment(&layout, s) >> PAGE_SHIFT;
		MUST(layout_segment_of(&layout, first) == s);
		MUST(layout_segment_of(&layout, first + layout_segment_pages(&layout, s) - 1) == s);
		MUST(layout_table(&layout, s) + layout.table_bytes <= layout.offset[REGION_HEAT]);
	}
	MUST(layout_segment_of(&layout, (layout.offset[REGION_SEGMENTS] >> PAGE_SHIFT) - 1) == UINT64_MAX);
	for (uint64_t size = 1; size <= geo->max_block; size *= 3)
		MUST(geometry_room(geo, size) <= (uint64_t)geo->segments * geo->segment_pages);
}

static void sane_superblock(const union decoded *d)
{
	const struct superblock *sb = &d->superblock;

	MUST(sb->major == FORMAT_MAJOR && (sb->features_incompatible & ~FEATURES_INCOMPATIBLE) == 0);
	MUST(memchr(sb->name, 0, sizeof(sb->name)));
	sane_layout(&sb->geo);
}

static bool read_slot(const uint8_t *at, unsigned copy, union decoded *d)
{
	return slot_cell_decode(at, SLOT, copy, POOL_SEED, &d->slot) != CHECK_BAD;
}

static void write_slot(const union decoded *d, unsigned copy, uint8_t *at)
{
	slot_cell_encode(&d->slot, copy, POOL_SEED, at);
}

static void sane_slot(const union decoded *d)
{
	const struct slot_cell *cell = &d->slot;

	MUST(cell->slot == SLOT && cell->epoch <= EPOCH_MAX);
	MUST(memchr(cell->host_nqn, 0, sizeof(cell->host_nqn)) && memchr(cell->version, 0, sizeof(cell->version)));
}

static bool read_hold(const uint8_t *at, unsigned copy, union decoded *d)
{
	(void)copy;
	return hold_cell_decode(at, SLOT, POOL_SEED, &d->hold) != CHECK_BAD;
}

static void write_hold(const union decoded *d, unsigned copy, uint8_t *at)
{
	(void)copy;
	hold_cell_encode(&d->hold, POOL_SEED, at);
}

static void sane_hold(const union decoded *d) { MUST(d->hold.slot == SLOT && d->hold.count <= HOLDS_PER_CELL); }

static bool read_claim(const uint8_t *at, unsigned copy, union decoded *d)
{
	(void)copy;
	return claim_cell_decode(at, SLOT, CLAIMED, POOL_SEED, &d->claim) != CHECK_BAD;
}

static void write_claim(const union decoded *d, unsigned copy, uint8_t *at)
{
	(void)copy;
	claim_cell_encode(&d->claim, SLOT, POOL_SEED, at);
}

static void sane_claim(const union decoded *d) { MUST(d->claim.slot == CLAIMED); }

static bool read_key(const uint8_t *at, unsigned copy, union decoded *d)
{
	(void)copy;
	return key_cell_decode(at, TENANT, POOL_SEED, &d->key) != CHECK_BAD;
}

static void write_key(const union decoded *d, unsigned copy, uint8_t *at)
{
	(void)copy;
	key_cell_encode(&d->key, POOL_SEED, at);
}

static void sane_key(const union decoded *d) { MUST(d->key.tenant == TENANT && d->key.wrapped_length <= WRAPPED_KEY_BYTES); }

static bool read_record(const uint8_t *at, unsigned copy, union decoded *d)
{
	return record_decode(at, &whose, POSITION, POOL_SEED, copy, &d->record) != CHECK_BAD;
}

static void write_record(const union decoded *d, unsigned copy, uint8_t *at)
{
	(void)copy;
	record_encode(&d->record, &whose, POOL_SEED, at);
}

static void sane_record(const union decoded *d)
{
	MUST(d->record.position == POSITION && d->record.kind >= RECORD_NOP && d->record.kind < RECORD_KINDS);
	MUST(record_kind_name(d->record.kind)[0] != '?');
}

static bool read_checkpoint(const uint8_t *at, unsigned copy, union decoded *d)
{
	return checkpoint_header_decode(at, SLOT, copy, POOL_SEED, &d->checkpoint) != CHECK_BAD;
}

static void write_checkpoint(const union decoded *d, unsigned copy, uint8_t *at)
{
	checkpoint_header_encode(&d->checkpoint, copy, POOL_SEED, at);
}

static void sane_checkpoint(const union decoded *d) { MUST(d->checkpoint.slot == SLOT); }

static bool read_table(const uint8_t *at, unsigned copy, union decoded *d)
{
	(void)copy;
	return table_header_decode(at, SEGMENT, POOL_SEED, &d->table) != CHECK_BAD;
}

static void write_table(const union decoded *d, unsigned copy, uint8_t *at)
{
	(void)copy;
	table_header_encode(&d->table, POOL_SEED, at);
}

static void sane_table(const union decoded *d) { MUST(d->table.segment == SEGMENT); }

static bool read_entry(const uint8_t *at, unsigned copy, union decoded *d)
{
	return entry_decode(at, SEGMENT, INDEX, POOL_SEED, copy, &d->entry) != CHECK_BAD;
}

static void write_entry(const union decoded *d, unsigned copy, uint8_t *at)
{
	(void)copy;
	entry_encode(&d->entry, SEGMENT, POOL_SEED, at);
}

static void sane_entry(const union decoded *d) { MUST(d->entry.index == INDEX && d->entry.header_pages <= 255); }

static bool read_segment(const uint8_t *at, unsigned copy, union decoded *d)
{
	(void)copy;
	return segment_header_decode(at, SEGMENT, POOL_SEED, &d->segment);
}

static void write_segment(const union decoded *d, unsigned copy, uint8_t *at)
{
	(void)copy;
	segment_header_encode(&d->segment, POOL_SEED, at);
}

static void sane_segment(const union decoded *d) { MUST(d->segment.segment == SEGMENT); }

static const struct structure {
	const char *name;
	size_t bytes;	/* that are checked */
	size_t written; /* that an encoder writes */
	unsigned named; /* bytes of word 0 that are the same in each of its kind */
	enum check_kind kind;
	uint64_t a, b;
	bool copies; /* b is the copy */
	bool (*read)(const uint8_t *at, unsigned copy, union decoded *d);
	void (*write)(const union decoded *d, unsigned copy, uint8_t *at);
	void (*sane)(const union decoded *d);
} structures[] = {
	{"superblock", SUPERBLOCK_LIVE, PAGE, 8, CHECK_SUPERBLOCK, 0, 0, false, read_superblock, write_superblock, sane_superblock},
	{"slot cell", CELL_LIVE, CELL_LIVE, 6, CHECK_SLOT_CELL, SLOT, 0, true, read_slot, write_slot, sane_slot},
	{"hold cell", CELL_LIVE, CELL_LIVE, 6, CHECK_HOLD_CELL, SLOT, 0, false, read_hold, write_hold, sane_hold},
	{"claim cell", CLAIM_BYTES, CLAIM_BYTES, 6, CHECK_CLAIM_CELL, SLOT, CLAIMED, false, read_claim, write_claim, sane_claim},
	{"key cell", CELL_LIVE, CELL_LIVE, 6, CHECK_KEY_CELL, TENANT, 0, false, read_key, write_key, sane_key},
	{"record", RECORD_BYTES, RECORD_BYTES, 3, CHECK_RECORD, POSITION, 0, false, read_record, write_record, sane_record},
	{"checkpoint", RECORD_BYTES, RECORD_BYTES, 6, CHECK_CHECKPOINT, SLOT, 0, true, read_checkpoint, write_checkpoint,
	 sane_checkpoint},
	{"table header", TABLE_HEADER_BYTES, TABLE_HEADER_BYTES, 6, CHECK_TABLE_HEADER, SEGMENT, 0, false, read_table, write_table,
	 sane_table},
	{"entry", ENTRY_CHECKED, ENTRY_BYTES, 3, CHECK_ENTRY, SEGMENT, INDEX, false, read_entry, write_entry, sane_entry},
	{"segment header", SEGMENT_HEADER_LIVE, PAGE, 6, CHECK_SEGMENT_HEADER, SEGMENT, 0, false, read_segment, write_segment,
	 sane_segment},
};

/* ---- what every input goes through ---- */

static uint64_t seed_of(const struct structure *s, unsigned copy)
{
	if (s->kind == CHECK_SUPERBLOCK)
		return check_seed(0x6D656D6B76706F6FULL, s->kind, copy, 0);
	if (s->kind == CHECK_RECORD)
		return check_seed(check_seed(POOL_SEED, s->kind, (uint64_t)whose.slot << 32 | whose.epoch, whose.nonce), s->kind,
				  POSITION, 0);
	return check_seed(POOL_SEED, s->kind, s->a, s->copies ? copy : s->b);
}

/* the bytes that say what it is and where it lies, as an encoder writes them */
static void name_it(const struct structure *s, unsigned copy, uint8_t *bytes)
{
	static _Alignas(8) uint8_t right[PAGE];
	union decoded d;

	memset(&d, 0, sizeof(d));
	s->write(&d, copy, right);
	memcpy(bytes, right, s->named);
}

static void fuzz_structure(const struct structure *s, unsigned flags, uint8_t *bytes)
{
	static _Alignas(8) uint8_t first[PAGE], second[PAGE];
	unsigned copy = flags & FLAG_COPY ? 1 : 0;
	union decoded d, again;

	memset(first, 0, sizeof(first));
	memset(second, 0, sizeof(second));
	if (!(flags & FLAG_UNNAMED))
		name_it(s, copy, bytes);
	if (!(flags & FLAG_UNSEALED))
		check_set(bytes, s->bytes, seed_of(s, copy));
	if (flags & FLAG_FLIPPED)
		bytes[bytes[BYTES_MAX - 1] % s->bytes] ^= (uint8_t)(1 << bytes[BYTES_MAX - 2] % 8);
	memset(&d, 0xA5, sizeof(d));
	memset(&again, 0x5A, sizeof(again));
	if (!s->read(bytes, copy, &d))
		return;
	s->sane(&d);
	s->write(&d, copy, first);
	MUST(s->read(first, copy, &again));
	s->write(&again, copy, second);
	MUST(memcmp(first, second, s->written) == 0);
	if (flags & (FLAG_FLIPPED | FLAG_UNNAMED))
		return;
	for (size_t i = 0; i < s->bytes; i++)
		MUST(i / 8 == 1 || first[i] == bytes[i] || first[i] == 0);
}

static void fuzz_block_header(unsigned flags, uint8_t *bytes)
{
	static _Alignas(8) uint8_t again[BYTES_MAX];
	struct block_header h;
	uint32_t pages = (uint32_t)(bytes[6] | bytes[7] << 8);
	size_t room = (size_t)PAGE * (1 + (flags >> 4) % HEADER_PAGES);
	uint64_t covered = 0, offset;
	uint32_t length;

	if (!(flags & FLAG_UNNAMED)) {
		memcpy(bytes, "MBLK\1\0", 6);
		pages = 1 + pages % HEADER_PAGES;
		bytes[6] = (uint8_t)pages;
		bytes[7] = 0;
		le64 page = le64_of(POOL_PAGE);
		memcpy(bytes + 72, &page, sizeof(page));
	}
	if (!(flags & FLAG_UNSEALED) && pages >= 1 && pages * PAGE <= BYTES_MAX)
		check_set(bytes, (size_t)pages * PAGE, check_seed(POOL_SEED, CHECK_BLOCK_HEADER, POOL_PAGE, 0));
	if (!block_header_decode(bytes, room, POOL_PAGE, POOL_SEED, &h))
		return;
	MUST(h.header_pages >= 1 && (size_t)h.header_pages * PAGE <= room && h.page == POOL_PAGE);
	MUST(h.length >= 1 && h.length <= BLOCK_BYTES_MAX && h.chunks >= 1 && h.chunks <= BLOCK_CHUNKS_MAX);
	MUST(h.meta_length <= BLOCK_META_MAX && memchr(h.session, 0, sizeof(h.session)));
	const uint8_t *end = bytes + (size_t)h.header_pages * PAGE;
	MUST((const uint8_t *)(h.digests + h.chunks) <= end && h.meta + h.meta_length <= end);
	MUST(h.chunk_bytes || (const uint8_t *)(h.ends + h.chunks) <= end);
	for (uint32_t i = 0; i < h.chunks; i++) {
		chunk_extent(&h, i, &offset, &length);
		MUST(offset == covered && length > 0 && chunk_at(&h, offset) == i && chunk_at(&h, offset + length - 1) == i);
		covered += length;
	}
	MUST(covered == h.length && chunk_at(&h, h.length) == h.chunks);
	memcpy(again, bytes, sizeof(again));
	block_header_encode(&h, NULL, POOL_SEED, again);
	for (size_t i = 0; i < (size_t)h.header_pages * PAGE; i++)
		MUST(i / 8 == 1 || again[i] == bytes[i] || again[i] == 0);
}

/* single words, and sizes that a person or a superblock states */
static void fuzz_numbers(unsigned flags, struct bytes_in in)
{
	struct owner_word word;
	struct geometry geo;
	uint64_t raw = eat(&in, 8), segment = eat(&in, 4);
	uint32_t count;

	if (!(flags & FLAG_UNSEALED))
		raw = owner_word_encode((struct owner_word){1 + (raw & 3), (uint32_t)(raw >> 2) & 511, (uint32_t)(raw >> 11) & 1023,
							    (uint32_t)(raw >> 21) & EPOCH_MAX}, segment, POOL_SEED) ^
		      (flags & FLAG_FLIPPED ? 1ULL << (raw & 63) : 0);
	if (owner_word_decode(raw, segment, POOL_SEED, &word) || owner_word_mend(raw, segment, POOL_SEED, &word)) {
		MUST(word.state >= OWNER_FREE && word.state <= OWNER_RETIRED && word.epoch <= EPOCH_MAX);
		uint64_t back = owner_word_encode(word, segment, POOL_SEED);
		MUST(__builtin_popcountll(back ^ raw) <= 1);
	}
	MUST((flags & (FLAG_UNSEALED | FLAG_FLIPPED)) || owner_word_decode(raw, segment, POOL_SEED, &word));
	if (tail_decode(raw, segment, POSITION, POOL_SEED, &count) != CHECK_BAD)
		MUST(__builtin_popcountll(tail_encode(count, segment, POSITION, POOL_SEED) ^ raw) <= 1);
	for (enum life life = LIFE_LIVE; life <= LIFE_MOVING; life++)
		MUST(life_read(life_word(life, raw), raw) == life);
	MUST(life_read(raw, segment) <= LIFE_OTHER);
	struct geometry_wish wish = {.bytes = eat(&in, 8), .max_block = eat(&in, 4), .segment = eat(&in, 5), .blocks = eat(&in, 5),
				     .block_size = eat(&in, 4), .slots = (uint32_t)eat(&in, 2)};
	if (flags & FLAG_COPY)
		wish.bytes = wish.max_block = wish.segment = 0;
	else
		wish.blocks = wish.block_size = 0;
	if (geometry_choose(&wish, &geo))
		return;
	sane_layout(&geo);
	MUST(!wish.bytes || geo.bytes <= wish.bytes);
	MUST(!wish.blocks || geometry_room(&geo, wish.block_size) == wish.blocks);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static _Alignas(8) uint8_t bytes[BYTES_MAX];
	enum { STRUCTURES = sizeof(structures) / sizeof(structures[0]) };
	struct bytes_in in = {data, size};
	unsigned which = (unsigned)eat(&in, 1) % (STRUCTURES + 2), flags = (unsigned)eat(&in, 1);

	memset(bytes, 0, sizeof(bytes));
	memcpy(bytes, in.at, in.left < sizeof(bytes) ? in.left : sizeof(bytes));
	if (which < STRUCTURES)
		fuzz_structure(&structures[which], flags, bytes);
	else if (which == STRUCTURES)
		fuzz_block_header(flags, bytes);
	else
		fuzz_numbers(flags, in);
	return 0;
}
