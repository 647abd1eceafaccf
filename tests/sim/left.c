/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What power loss has left: blocks that are whole, with a life word that says live, and of which no entry tells.  A removal does not
 * meet them, so they must not be told of ever again; and what tells of a damaged entry is its block and its life word.  So in the
 * generation of such a block nothing is put over it, nor over its life word, while these two go together.
 *
 * Files and memory: there words of an entry reach the medium one by one.
 */
#include "core/format/block_header.h"
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

void left_lands(uint32_t segment, uint64_t page, const uint8_t *bytes)
{
	uint64_t first = layout_segment(&world.layout, segment) / PAGE;
	struct block_header h;

	if (page != first && memcmp(world.image + page * PAGE, bytes, PAGE) != 0 && header_on(page, segment, &h) &&
	    life_counts(life_read(life_at(segment, h.index), h.birth)))
		broken("segment %u, place %u: page %llu is written over, while its block is there with its life word", segment, h.index,
		       (unsigned long long)(page - first));
}
