/* SPDX-License-Identifier: Apache-2.0 */
/* See newest.h.  It is a preference: whatever is chosen is verified like any copy, and the others are tried after it. */
#include "core/pool/newest.h"
#include "core/log/table.h"
#include "core/pool/block_io.h"

#include <string.h>

bool copy_entry(const struct memkv_pool *pool, const uint8_t *key, struct place place, uint64_t *segment, struct entry *e)
{
	const struct control *c = &pool->control;
	struct table_header header;

	*segment = layout_segment_of(&c->layout, place.page);
	uint32_t page = (uint32_t)(place.page - (layout_segment(&c->layout, *segment) >> PAGE_SHIFT));
	return table_header(c, *segment, &header) != CHECK_BAD && header.generation &&
	       table_find(c, *segment, header.generation, page, e) && memcmp(e->key, key, sizeof(e->key)) == 0 &&
	       life_counts(table_life(c, *segment, e->index, e->birth));
}

static uint64_t birth_in_table(const struct memkv_pool *pool, const uint8_t *key, struct place place)
{
	uint64_t segment;
	struct entry e;

	return copy_entry(pool, key, place, &segment, &e) ? e.birth : 0;
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
