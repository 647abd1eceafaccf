/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where everything lies in a base pool (base.h), read from its image through the library's format and table layers -
 * not through the calls under test.
 */
#include "core/format/cells.h"
#include "core/log/table.h"
#include "core/pool/handle.h"
#include "core/slot/own.h"
#include "tests/flip/base.h"

#include <stdlib.h>
#include <string.h>

enum { TARGETS_MAX = 32 << 10 };

static void add(struct base *base, uint64_t offset, uint64_t length, enum spot spot)
{
	if (base->target_count == TARGETS_MAX)
		die("too many targets");
	base->targets[base->target_count++] = (struct target){offset, (uint32_t)length, spot};
}

static uint32_t home(const uint8_t *key)
{
	uint32_t word;

	memcpy(&word, key, sizeof(word)); /* keys are SHA-256 */
	return word % BY_KEY;
}

static void index_keys(struct base *base)
{
	base->by_key = calloc(BY_KEY, sizeof(*base->by_key));
	if (!base->by_key)
		die("no memory");
	for (uint32_t i = 0; i < base->block_count; i++) {
		uint32_t at = home(base->blocks[i].key.bytes);
		while (base->by_key[at])
			at = (at + 1) % BY_KEY;
		base->by_key[at] = i + 1;
	}
}

const struct block *base_find(const struct base *base, const struct memkv_key *key)
{
	for (uint32_t at = home(key->bytes); base->by_key[at]; at = (at + 1) % BY_KEY) {
		const struct block *block = &base->blocks[base->by_key[at] - 1];
		if (memcmp(block->key.bytes, key->bytes, MEMKV_KEY_BYTES) == 0)
			return block;
	}
	return NULL;
}

static void add_copy(struct base *base, const struct control *c, uint64_t segment, const struct entry *e)
{
	struct memkv_key key;
	struct owned owned;
	uint64_t page = layout_segment(&base->layout, segment) / PAGE + e->page;
	uint32_t pages = (uint32_t)block_pages(e->length);

	memcpy(key.bytes, e->key, sizeof(key.bytes));
	const struct block *found = base_find(base, &key);
	if (!found)
		die("%s: a block that nobody put", base->name);
	struct block *block = &base->blocks[found->number];
	if (!own_look(c, segment, &owned))
		die("%s: a damaged owner word to begin with", base->name);
	if (block->fate == FATE_REMOVED || e->length != block_length(block->number, block->version))
		die("%s: block %u is not what was put last", base->name, block->number);
	if (block->copy_count == COPIES_MAX)
		die("%s: block %u lies in too many places", base->name, block->number);
	block->fate = FATE_LIVE;
	block->length = e->length;
	block->copies[block->copy_count++] = (struct copy){
		.segment = segment,
		.page = page,
		.index = e->index,
		.header_pages = e->header_pages,
		.pages = pages,
		.use = owned.word.state == OWNER_OPEN	  ? USE_OPEN
		       : owned.word.state == OWNER_PARKED ? USE_PARKED
							  : USE_CLOSED,
	};
	memset(base->page_kinds + page, PAGE_BLOCK_HEADER, e->header_pages);
	memset(base->page_kinds + page + e->header_pages, PAGE_PAYLOAD, pages);
	uint64_t used = BLOCK_HEADER_FIXED + 8 + 8 * chunk_count(e->length, chunk_bytes_for(e->length));
	add(base, page * PAGE, used, SPOT_BLOCK_HEADER);
}

static void scan_table(struct base *base, const struct control *c, uint64_t segment)
{
	uint64_t at = layout_table(&base->layout, segment);
	struct table_header header;

	if (table_header(c, segment, &header) != CHECK_GOOD)
		die("%s: segment %u has a damaged table to begin with", base->name, (unsigned)segment);
	base->generations[segment] = header.generation;
	if (!header.generation)
		return;
	add(base, at, TABLE_HEADER_BYTES, SPOT_TABLE_HEADER);
	add(base, at + TABLE_TAIL_OFFSET, 8, SPOT_TAIL);
	add(base, at + TABLE_CHANGES_OFFSET, 8, SPOT_CHANGES);
	add(base, layout_segment(&base->layout, segment), 64, SPOT_SEGMENT_HEADER);
	uint32_t count = table_count(c, segment, header.generation, NULL);
	for (uint32_t i = 0; i < count; i++) {
		struct entry e;
		uint64_t entry_at = at + PAGE + i * ENTRY_BYTES;
		if (table_entry(c, segment, header.generation, i, &e, NULL) != ENTRY_HERE)
			continue;
		base->entry_used[segment * base->layout.geo.entries + i] = 1;
		add(base, entry_at, ENTRY_CHECKED, SPOT_ENTRY);
		add(base, entry_at + ENTRY_LIFE_OFFSET, 8, SPOT_LIFE);
		if (!(e.flags & ENTRY_VOID) && table_life(c, segment, i, e.birth) == LIFE_LIVE)
			add_copy(base, c, segment, &e);
	}
}

static void scan_cells(struct base *base, const struct control *c)
{
	const struct layout *l = &base->layout;

	add(base, l->offset[REGION_SUPERBLOCK], SUPERBLOCK_LIVE, SPOT_SUPERBLOCK_A);
	add(base, l->offset[REGION_SUPERBLOCK_B], SUPERBLOCK_LIVE, SPOT_SUPERBLOCK_B);
	for (unsigned copy = 0; copy < SLOT_COPIES; copy++) {
		for (unsigned slot = 0; slot < l->geo.slots; slot++) {
			uint64_t at = layout_slot_cell(l, copy, slot);
			if (!cell_blank(c->base + at, CELL_LIVE))
				add(base, at, CELL_LIVE, SPOT_SLOT_CELL);
		}
	}
	add(base, l->offset[REGION_HEAT], l->geo.segments * l->geo.heat_units, SPOT_HEAT);
	add(base, l->offset[REGION_STATISTICS], 128, SPOT_STATISTICS);
	for (uint64_t s = 0; s < l->geo.segments; s++) {
		add(base, l->offset[REGION_OWNER_WORDS] + s * 8, 8, SPOT_OWNER_WORD);
		add(base, l->offset[REGION_AGES] + s * 8, 8, SPOT_AGES);
		add(base, l->offset[REGION_PULSES] + s * 8, 8, SPOT_PULSES);
	}
}

static int by_spot(const void *a, const void *b)
{
	const struct target *x = a, *y = b;

	if (x->spot != y->spot)
		return x->spot < y->spot ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static void sort_targets(struct base *base)
{
	uint32_t at = 0;

	qsort(base->targets, base->target_count, sizeof(*base->targets), by_spot);
	for (int spot = 0; spot <= SPOT_COUNT; spot++) {
		while (at < base->target_count && (int)base->targets[at].spot < spot)
			at++;
		base->first_target[spot] = at;
	}
}

void base_scan(struct base *base)
{
	struct superblock sb;
	bool mended;

	if (superblock_decode(base->image, 0, &sb, &mended) || layout_compute(&sb.geo, &base->layout))
		die("%s: no superblock", base->name);
	if (sb.geo.segments != SEGMENTS)
		die("%s: %u segments instead of %d", base->name, sb.geo.segments, SEGMENTS);
	struct control c = {.base = base->image, .layout = base->layout, .seed = sb.seed, .read_only = true};
	base->seed = sb.seed;
	base->targets = calloc(TARGETS_MAX, sizeof(*base->targets));
	base->page_kinds = calloc(base->bytes / PAGE, 1);
	base->entry_used = calloc((size_t)SEGMENTS * sb.geo.entries, 1);
	if (!base->targets || !base->page_kinds || !base->entry_used)
		die("no memory");
	index_keys(base);
	scan_cells(base, &c);
	for (uint64_t s = 0; s < SEGMENTS; s++)
		scan_table(base, &c, s);
	sort_targets(base);
	for (uint32_t i = 0; i < base->block_count; i++) {
		struct block *block = &base->blocks[i];
		if (block->fate != FATE_LIVE)
			continue;
		base->live++;
		block->payload = malloc(block->length);
		if (!block->payload)
			die("no memory");
		block_fill(i, block->version, block->payload);
	}
}

static enum spot spot_in_table(const struct base *base, uint64_t within)
{
	uint64_t segment = within / base->layout.table_bytes, at = within % base->layout.table_bytes;

	if (at < PAGE && !base->generations[segment])
		return SPOT_DEAD;
	if (at < TABLE_HEADER_BYTES)
		return SPOT_TABLE_HEADER;
	if (at < TABLE_TAIL_OFFSET + 8)
		return SPOT_TAIL;
	if (at >= TABLE_CHANGES_OFFSET && at < TABLE_CHANGES_OFFSET + 8)
		return SPOT_CHANGES;
	if (at < PAGE || (at - PAGE) / ENTRY_BYTES >= base->layout.geo.entries)
		return SPOT_DEAD;
	if (!base->entry_used[segment * base->layout.geo.entries + (at - PAGE) / ENTRY_BYTES])
		return SPOT_DEAD;
	return (at - PAGE) % ENTRY_BYTES >= ENTRY_LIFE_OFFSET ? SPOT_LIFE : SPOT_ENTRY;
}

static enum spot spot_in_segment(const struct base *base, uint64_t offset)
{
	uint64_t page = offset / PAGE;
	uint64_t segment = layout_segment_of(&base->layout, page);

	if (base->page_kinds[page] == PAGE_BLOCK_HEADER)
		return SPOT_BLOCK_HEADER;
	if (base->page_kinds[page] == PAGE_PAYLOAD)
		return SPOT_PAYLOAD;
	if (segment != UINT64_MAX && base->generations[segment] && offset - layout_segment(&base->layout, segment) < 64)
		return SPOT_SEGMENT_HEADER;
	return SPOT_DEAD;
}

enum spot base_spot(const struct base *base, uint64_t offset)
{
	static const enum spot plain[REGIONS] = {
		[REGION_SUPERBLOCK] = SPOT_SUPERBLOCK_A, [REGION_SLOT_CELLS] = SPOT_SLOT_CELL,
		[REGION_HOLD_CELLS] = SPOT_UNUSED,	  [REGION_CLAIM_ROWS] = SPOT_UNUSED,
		[REGION_OWNER_WORDS] = SPOT_OWNER_WORD,  [REGION_KEY_CELLS] = SPOT_UNUSED,
		[REGION_LOG_RINGS] = SPOT_UNUSED,	  [REGION_CHECKPOINTS] = SPOT_UNUSED,
		[REGION_HEAT] = SPOT_HEAT,		  [REGION_AGES] = SPOT_AGES,
		[REGION_PULSES] = SPOT_PULSES,		  [REGION_STATISTICS] = SPOT_STATISTICS,
		[REGION_SUPERBLOCK_B] = SPOT_SUPERBLOCK_B,
	};

	static const uint32_t live_bytes[REGIONS] = {
		/* of the region's pages; 0: all of it */
		[REGION_SUPERBLOCK] = SUPERBLOCK_LIVE, [REGION_SUPERBLOCK_B] = SUPERBLOCK_LIVE,
		[REGION_OWNER_WORDS] = SEGMENTS * 8,   [REGION_AGES] = SEGMENTS * 8,
		[REGION_PULSES] = SEGMENTS * 8,	       [REGION_STATISTICS] = 128,
	};

	for (int region = 0; region < REGIONS; region++) {
		uint64_t start = base->layout.offset[region];
		if (offset < start || offset >= start + base->layout.length[region])
			continue;
		if (region == REGION_SLOT_CELLS && (offset - start) % PAGE >= CELL_LIVE)
			return SPOT_UNUSED;
		if (live_bytes[region] && offset - start >= live_bytes[region])
			return SPOT_UNUSED;
		if (region == REGION_TABLES)
			return spot_in_table(base, offset - start);
		return region == REGION_SEGMENTS ? spot_in_segment(base, offset) : plain[region];
	}
	return SPOT_DEAD;
}
