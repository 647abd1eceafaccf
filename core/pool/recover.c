/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Second sources: what a damaged table said is still written in the segment itself - its header page tells the
 * generation, each block's header tells what its entry told.  Used by whoever holds the follower's lock, with a lane
 * of its own.
 */
#include "core/pool/handle.h"

#include <stdlib.h>
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

/* the header at @page of the segment into the lane's memory, and read; *pages: how many are there now, 0: the medium did not answer */
static bool read_header(struct memkv_pool *pool, uint64_t segment, uint64_t generation, uint32_t page, uint32_t *pages,
			struct block_header *h)
{
	const struct layout *layout = &pool->control.layout;
	uint64_t first = layout_segment(layout, segment) / PAGE + page;

	*pages = (uint32_t)min_u64(layout_segment_pages(layout, segment) - page, LANE_HEADER_PAGES);
	if (!read_pages(pool, first * PAGE, *pages)) {
		*pages = 0;
		return false;
	}
	return block_header_decode(pool->recover_lane.header, (size_t)*pages * PAGE, first, pool->sb.seed, h) &&
	       h->generation == generation && h->segment == segment;
}

static bool recover_entry(void *context, uint64_t segment, uint64_t generation, uint32_t index, uint32_t page,
			  struct entry *entry)
{
	struct memkv_pool *pool = context;
	struct block_header h;
	uint32_t pages;

	if (page >= layout_segment_pages(&pool->control.layout, segment) ||
	    !read_header(pool, segment, generation, page, &pages, &h) || h.index != index)
		return false;
	entry_of_header(&h, page, entry);
	return true;
}

static bool same_run(const struct unplaced *a, const struct unplaced *b)
{
	return a->first == b->first && a->last == b->last && a->from == b->from && a->end == b->end;
}

static void forget_search(struct memkv_pool *pool)
{
	free(pool->searched.places);
	pool->searched.places = NULL;
}

/* a header of the run: does the life word of its place go with it? */
static void note_header(struct memkv_pool *pool, const struct block_header *h, uint32_t page)
{
	struct searched *s = &pool->searched;
	uint32_t n = h->index - s->run.first;

	if (h->index >= s->run.first && h->index < s->run.last && s->places[n].life && life_read(s->places[n].life, h->birth) != LIFE_OTHER)
		s->places[n].page = page;
}

/* page by page, for all places of the run at once; false: the medium did not answer */
static bool search_pages(struct memkv_pool *pool)
{
	const struct searched *s = &pool->searched;
	struct block_header h;
	uint32_t pages, next;

	for (uint32_t page = s->run.from; page < s->run.end; page += next) {
		if (read_header(pool, s->segment, s->generation, page, &pages, &h))
			note_header(pool, &h, page);
		if (pages == 0)
			return false;
		for (next = 1; next < pages; next++)
			if (block_header_claimed(pool->recover_lane.header + (size_t)next * PAGE))
				break;
	}
	return true;
}

static bool search_run(struct memkv_pool *pool, uint64_t segment, uint64_t generation, const struct unplaced *run)
{
	struct searched *s = &pool->searched;
	uint32_t places = run->last - run->first;

	forget_search(pool);
	*s = (struct searched){.segment = segment, .generation = generation, .run = *run};
	s->places = calloc(places, sizeof(*s->places));
	for (uint32_t n = 0; s->places && n < places; n++)
		s->places[n].life = table_life_raw(&pool->control, segment, run->first + n);
	if (!s->places || !search_pages(pool)) {
		pool->recover_unread += !s->places;
		forget_search(pool);
		return false;
	}
	/* a block is there before its life word, so what is not there will not come; but where that says sent it may */
	for (uint32_t n = 0; n < places; n++)
		if (!s->places[n].page && life_read(s->places[n].life, le64toh(s->places[n].life)) == LIFE_SENT)
			s->places[n].life = 0;
	return true;
}

/* Followers of devices look at what is not settled again and again: what was found out is kept, and one read is enough then, or none. */
static bool recover_search(void *context, uint64_t segment, uint64_t generation, const struct unplaced *run, uint32_t index,
			   uint64_t life, struct entry *entry)
{
	struct memkv_pool *pool = context;
	struct searched *s = &pool->searched;
	uint32_t n = index - run->first;
	bool known = s->places && s->segment == segment && s->generation == generation && same_run(&s->run, run) && s->places[n].life == life;

	if (!known && !search_run(pool, segment, generation, run))
		return false;
	if (s->places[n].page == 0)
		return false;
	if (recover_entry(pool, segment, generation, index, s->places[n].page, entry) && life_read(life, entry->birth) != LIFE_OTHER)
		return true;
	forget_search(pool);
	return false;
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
		.context = pool, .header = recover_header, .entry = recover_entry, .search = recover_search, .unread = recover_unread,
		.birth = recover_birth};
}

void recover_close(struct memkv_pool *pool)
{
	forget_search(pool);
}
