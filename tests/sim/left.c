/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What power loss leaves.
 *
 * Blocks that are whole, with a life word that says live, and of which no entry tells.  A removal does not
 * meet them, so they must not be told of ever again; and what tells of a damaged entry is its block and its life word.  So in the
 * generation of such a block nothing is put over it, nor over its life word, while these two go together.
 *
 * Tables whose header is lost: the segment's own header alone tells of the generation, and is not written over while anything lives there.
 * Tables of segments that are FREE again: nobody has in its index what they say.
 * Checkpoints: before one is withdrawn the other one of the slot, if it counts, would survive power loss.
 *
 * Files and memory: there words of a structure reach the medium one by one, and in any order.
 */
#include "core/format/block_header.h"
#include "core/format/cells.h"
#include "core/pool/handle.h"
#include "sim.h"

#include <string.h>

static uint64_t lives[SEGMENTS_LIMIT][PLACES_LIMIT];

static uint64_t life_at(uint32_t segment, uint32_t index)
{
	uint64_t at = layout_table(&world.layout, segment) + PAGE + (uint64_t)index * ENTRY_BYTES + ENTRY_LIFE_OFFSET, raw;

	memcpy(&raw, world.image + at, sizeof(raw));
	return raw;
}

/* a header of the generation that stands in its segment */
static bool header_on(uint64_t page, uint32_t segment, struct block_header *h)
{
	return block_header_decode(world.image + page * PAGE, PAGE, page, world.pool_seed, h) && h->segment == segment &&
	       h->generation == world.shadow[segment].generation && h->index < world.layout.geo.entries;
}

void left_reset(void)
{
	for (uint32_t s = 0; s < world.layout.geo.segments; s++)
		for (uint32_t i = 0; i < world.layout.geo.entries; i++)
			lives[s][i] = life_at(s, i);
}

void left_stored(uint32_t segment, uint32_t index)
{
	uint64_t before = lives[segment][index], raw = life_at(segment, index);
	uint64_t first = layout_segment(&world.layout, segment) / PAGE;
	struct block_header h;

	lives[segment][index] = raw;
	if (!before || !raw || before == raw || !world.shadow[segment].generation)
		return;
	for (uint64_t page = first + 1; page < first + layout_segment_pages(&world.layout, segment); page++)
		if (header_on(page, segment, &h) && h.index == index && life_counts(life_read(before, h.birth)) &&
		    life_read(raw, h.birth) == LIFE_OTHER)
			broken("segment %u, place %u: made another's, while a block of page %llu is there with its life word", segment, index,
			       (unsigned long long)(page - first));
}

static uint64_t word_at(uint64_t offset)
{
	uint64_t word;

	memcpy(&word, world.image + offset, sizeof(word));
	return word;
}

/* the table's header says nothing, and was not withdrawn */
static bool is_lost(uint32_t segment)
{
	uint64_t at = layout_table(&world.layout, segment);
	struct table_header header;

	return word_at(at + 8) != htole64(CHECK_WRITING) &&
	       (cell_blank(world.image + at, TABLE_HEADER_BYTES) ||
		table_header_decode(world.image + at, segment, world.pool_seed, &header) == CHECK_BAD);
}

static void own_header_lands(uint32_t segment, const uint8_t *bytes)
{
	const struct shadow_segment *s = &world.shadow[segment];
	struct segment_header header;

	if (!s->generation || !is_lost(segment) || !segment_header_decode(bytes, segment, world.pool_seed, &header) ||
	    header.generation == s->generation)
		return;
	for (uint32_t i = 0; i < world.layout.geo.entries; i++)
		if (s->places[i].generation == s->generation && s->places[i].life == SHADOW_LIVE && !s->places[i].damaged)
			broken("segment %u: its own header is written over, and alone tells of its table", segment);
}

/* of a segment that is FREE: power loss has taken its owner word */
static bool is_left_over(uint32_t segment)
{
	uint64_t at = layout_table(&world.layout, segment);
	struct table_header header;

	return world.shadow[segment].owner.state == OWNER_FREE && word_at(at + 8) != htole64(CHECK_WRITING) &&
	       !cell_blank(world.image + at, TABLE_HEADER_BYTES) &&
	       table_header_decode(world.image + at, segment, world.pool_seed, &header) != CHECK_BAD && header.generation;
}

void left_looked(struct memkv_pool *pool)
{
	bool left[SEGMENTS_LIMIT], any = false;
	struct place place;

	for (uint32_t s = 0; s < world.layout.geo.segments; s++)
		any |= left[s] = is_left_over(s);
	for (uint32_t key = 0; any && key < world.setup.keys; key++) {
		struct memkv_key k = key_of(key);
		struct key_hash hash = index_hash(pool->index, k.bytes);
		for (unsigned n = 0; index_find(pool->index, hash, n, &place); n++) {
			uint64_t s = watch_segment_of_page(place.page);
			if (s < world.layout.geo.segments && left[s])
				broken("key %u is in the index, in segment %u, which is FREE: power loss has left its table", key, (uint32_t)s);
		}
	}
}

void left_withdraws_checkpoint(uint64_t offset)
{
	uint64_t bytes = world.layout.geo.checkpoint_bytes, area = offset / bytes, at = world.layout.offset[REGION_CHECKPOINTS];
	uint64_t other = at + (area ^ 1) * bytes;
	struct checkpoint_header header;

	if (checkpoint_header_decode(world.image + other, (uint32_t)(area / 2), area % 2 ? 0 : 1, world.pool_seed, &header) == CHECK_GOOD &&
	    memcmp(world.image + other, world.durable + other, RECORD_BYTES) != 0)
		broken("slot %u: a checkpoint is withdrawn, and the other one is not flushed", (uint32_t)(area / 2));
}

/*
 * The entry that is there, of another page, goes with the block's life word: it is of another copy of the same put, which power loss took
 * from that place and which has been moved there again.  Whoever removes it flags that word.
 */
static bool told_elsewhere(uint32_t segment, const struct block_header *h, uint64_t page)
{
	uint64_t at = layout_table(&world.layout, segment) + PAGE + (uint64_t)h->index * ENTRY_BYTES;
	struct entry entry;

	return entry_decode(world.image + at, segment, h->index, world.pool_seed, false, &entry) == CHECK_GOOD &&
	       entry.generation == h->generation && entry.birth == h->birth && entry.page != page;
}

void left_lands(uint32_t segment, uint64_t page, const uint8_t *bytes)
{
	uint64_t first = layout_segment(&world.layout, segment) / PAGE;
	struct block_header h;

	if (page == first)
		own_header_lands(segment, bytes);
	if (page != first && memcmp(world.image + page * PAGE, bytes, PAGE) != 0 && header_on(page, segment, &h) &&
	    life_counts(life_read(life_at(segment, h.index), h.birth)) && !told_elsewhere(segment, &h, page - first))
		broken("segment %u, place %u: page %llu is written over, while its block is there with its life word", segment, h.index,
		       (unsigned long long)(page - first));
}
