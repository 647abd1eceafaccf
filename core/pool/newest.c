/* SPDX-License-Identifier: Apache-2.0 */
/* See newest.h.  It is a preference: whatever is chosen is verified like any copy, and the others are tried after it. */
#include "core/pool/newest.h"
#include "core/log/table.h"
#include "core/pool/block_io.h"

#include <string.h>

/* Entries lie in the order of their pages; from one on that does not verify they are looked at one by one. */
static bool find_entry(const struct control *c, uint64_t segment, uint32_t page, struct entry *entry, uint32_t *index)
{
	struct table_header header;

	if (table_header(c, segment, &header) == CHECK_BAD || !header.generation)
		return false;
	uint32_t from = 0, end = table_count(c, segment, header.generation, NULL);
	bool halves = true;
	while (from < end) {
		*index = halves ? from + (end - from) / 2 : from;
		bool here = table_entry(c, segment, header.generation, *index, entry, NULL) == ENTRY_HERE;
		if (here && entry->page == page)
			return true;
		halves = halves && here;
		if (halves && entry->page > page)
			end = *index;
		else if (halves || *index == from)
			from = *index + 1;
	}
	return false;
}

static uint64_t birth_in_table(const struct memkv_pool *pool, const uint8_t *key, struct place place)
{
	const struct control *c = &pool->control;
	uint64_t segment = layout_segment_of(&c->layout, place.page);
	uint32_t page = (uint32_t)(place.page - (layout_segment(&c->layout, segment) >> PAGE_SHIFT)), index;
	struct entry entry;

	if (!find_entry(c, segment, page, &entry, &index) || entry.flags & ENTRY_VOID ||
	    memcmp(entry.key, key, sizeof(entry.key)) != 0)
		return 0;
	return life_counts(table_life(c, segment, index, entry.birth)) ? entry.birth : 0;
}

static uint64_t birth_in_header(struct memkv_pool *pool, struct lane *lane, const uint8_t *key, struct place place)
{
	struct block_read read;

	block_read_init(&read, pool, lane, key, place);
	read.any_time = true;
	op_run(&read.op);
	return read.verdict == BLOCK_GOOD ? read.header.birth : 0;
}

struct place newest_copy(struct memkv_pool *pool, struct lane *lane, const uint8_t *key, const struct place *places,
			 unsigned count)
{
	struct place newest = places[0];
	uint64_t highest = 0;

	for (unsigned i = 0; i < count; i++) {
		uint64_t birth = pool->media->caps.mappable ? birth_in_table(pool, key, places[i])
							    : birth_in_header(pool, lane, key, places[i]);
		if (birth > highest) {
			highest = birth;
			newest = places[i];
		}
	}
	return newest;
}
