/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Second sources: what a damaged table said is still written in the segment itself - its header page tells the
 * generation, each block's header tells what its entry told.  Used by whoever holds the follower's lock, with a lane
 * of its own.
 */
#include "core/pool/handle.h"

#include <string.h>

void entry_of_header(const struct block_header *h, uint32_t page, struct entry *e)
{
	*e = (struct entry){
		.index = h->index,
		.header_pages = h->header_pages,
		.generation = h->generation,
		.birth = h->birth,
		.page = page,
		.length = (uint32_t)h->length,
		.expires_s = h->expires_s,
		.session_id = h->session_id,
		.group = h->group,
		.stored_s = h->stored_s,
		.model = h->model,
		.depth = h->depth,
		.tenant = h->tenant,
		.class_id = h->class_id,
	};
	memcpy(e->key, h->key, sizeof(e->key));
}

static bool read_pages(struct memkv_pool *pool, uint64_t offset, uint32_t pages)
{
	struct iovec piece = {pool->recover_lane.header, (size_t)pages * PAGE};

	int err = lane_transfer(&pool->recover_lane, MEDIA_READ, offset, &piece, 1);
	pool->recover_unread += err != 0;
	return err == 0;
}

static uint64_t recover_unread(void *context)
{
	const struct memkv_pool *pool = context;

	return pool->recover_unread;
}

static bool recover_header(void *context, uint64_t segment, struct table_header *header)
{
	struct memkv_pool *pool = context;
	struct segment_header found;

	if (!read_pages(pool, layout_segment(&pool->control.layout, segment), 1) ||
	    !segment_header_decode(pool->recover_lane.header, segment, pool->sb.seed, &found))
		return false;
	*header = (struct table_header){
		.generation = found.generation,
		.segment = found.segment,
		.class_id = found.class_id,
		.opened_s = found.opened_s,
	};
	return true;
}

static bool recover_entry(void *context, uint64_t segment, uint64_t generation, uint32_t index, uint32_t page,
			  struct entry *entry)
{
	struct memkv_pool *pool = context;
	const struct layout *layout = &pool->control.layout;
	uint32_t left = layout_segment_pages(layout, segment) - page;
	uint64_t first = layout_segment(layout, segment) / PAGE + page;
	uint32_t pages = (uint32_t)min_u64(left, LANE_HEADER_PAGES);
	struct block_header h;

	if (page >= layout_segment_pages(layout, segment) || !read_pages(pool, first * PAGE, pages) ||
	    !block_header_decode(pool->recover_lane.header, (size_t)pages * PAGE, first, pool->sb.seed, &h))
		return false;
	if (h.generation != generation || h.index != index || h.segment != segment)
		return false;
	entry_of_header(&h, page, entry);
	return true;
}

static bool recover_birth(void *context, const uint8_t key[32], struct place place, uint64_t *birth)
{
	struct memkv_pool *pool = context;
	struct block_header h;

	if (place.header_pages == 0 || place.header_pages > LANE_HEADER_PAGES ||
	    !read_pages(pool, place.page * PAGE, place.header_pages) ||
	    !block_header_decode(pool->recover_lane.header, (size_t)place.header_pages * PAGE, place.page, pool->sb.seed, &h) ||
	    memcmp(h.key, key, sizeof(h.key)) != 0)
		return false;
	*birth = h.birth;
	return true;
}

struct follower_recover recover_source(struct memkv_pool *pool)
{
	return (struct follower_recover){
		.context = pool, .header = recover_header, .entry = recover_entry, .unread = recover_unread, .birth = recover_birth};
}
