/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Iterating over the stored blocks: table by table, a segment's entries copied out at a time.  A block that lies in
 * two places (two agents put it at once, or a mover has died) is shown where the index finds it first.
 */
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/base/options_take.h"
#include "core/pool/handle.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct memkv_iter {
	struct memkv_pool *pool;
	struct memkv_filter filter;
	uint64_t session_id;
	uint64_t segment; /* next to read */
	uint32_t at, count, room;
	struct entry entries[];
};

static bool wanted(const struct memkv_iter *it, const struct entry *e)
{
	if (it->filter.has_class && e->class_id != it->filter.class_id)
		return false;
	return !it->filter.session || e->session_id == it->session_id;
}

struct copy_look {
	const struct memkv_iter *it;
	uint64_t segment;
	struct place place;
	const uint8_t *key;
	bool live;
};

static void look_at_copy(void *context, uint32_t index, enum entry_state state, const struct entry *e, bool mended)
{
	struct copy_look *look = context;
	const struct control *c = &look->it->pool->control;

	(void)mended;
	if (state == ENTRY_HERE && memcmp(e->key, look->key, sizeof(e->key)) == 0 &&
	    place_of_entry(c, look->segment, e).page == look->place.page)
		look->live = life_counts(table_life(c, look->segment, index, e->birth));
}

/* a block that has moved: the index may still know where it was */
static bool copy_lives(const struct memkv_iter *it, struct place place, const uint8_t *key)
{
	const struct control *c = &it->pool->control;
	struct copy_look look = {it, layout_segment_of(&c->layout, place.page), place, key, false};
	struct table_header header;

	if (look.segment == UINT64_MAX || !table_refresh(c, look.segment) ||
	    table_header(c, look.segment, &header) == CHECK_BAD)
		return false;
	table_walk(c, NULL, look.segment, header.generation, 0, table_count(c, look.segment, header.generation, NULL),
		   look_at_copy, &look);
	follower_give_back(&it->pool->follower, look.segment);
	return look.live;
}

static bool shown_here(const struct memkv_iter *it, const struct entry *e)
{
	struct memkv_pool *pool = it->pool;
	struct place other, here = place_of_entry(&pool->control, it->segment, e);
	struct key_hash hash = index_hash(pool->index, e->key);

	for (unsigned i = 0; index_find(pool->index, hash, i, &other); i++) {
		if (other.page == here.page)
			return true;
		if (copy_lives(it, other, e->key))
			return false;
	}
	return false;
}

static void collect(void *context, uint32_t index, enum entry_state state, const struct entry *e, bool mended)
{
	struct memkv_iter *it = context;

	(void)mended;
	if (state != ENTRY_HERE || e->flags & ENTRY_VOID || !wanted(it, e) ||
	    !life_counts(table_life(&it->pool->control, it->segment, index, e->birth)) ||
	    (it->pool->control.shared && factbook_removed(&it->pool->factbook, e->key, e->birth)) ||
	    (e->expires_s && e->expires_s <= clock_utc_s() &&
	     !factbook_pins(&it->pool->factbook, e->key, e->session_id)) ||
	    !shown_here(it, e))
		return;
	it->entries[it->count++] = *e;
}

/* the next segment's blocks into it->entries; false: there is no further segment */
static bool load_segment(struct memkv_iter *it)
{
	struct memkv_pool *pool = it->pool;
	const struct control *c = &pool->control;
	struct table_header header;
	bool mended;

	if (it->segment >= c->layout.segments)
		return false;
	it->at = it->count = 0;
	pthread_mutex_lock(&pool->follower.lock);
	if (table_refresh(c, it->segment) &&
	    table_header_known(c, &pool->follower.recover, it->segment, &header, &mended))
		table_walk(c, &pool->follower.recover, it->segment, header.generation, 0,
			   table_count(c, it->segment, header.generation, NULL), collect, it);
	follower_give_back(&pool->follower, it->segment);
	pthread_mutex_unlock(&pool->follower.lock);
	it->segment++;
	return true;
}

int memkv_iter_open(struct memkv_pool *pool, const struct memkv_filter *filter, struct memkv_iter **out)
{
	POOL_USE use = pool_enter(pool, ENTRY_CALL);
	struct memkv_filter wish;

	if (!use.inside)
		return use.result;
	int err = options_take(&wish, sizeof(wish), filter, "iterate");
	if (err)
		return err;
	if (!out)
		return fail(-EINVAL, "iterate: a place for the iterator is needed");
	struct memkv_iter *it = calloc(1, sizeof(*it) + pool->sb.geo.entries * sizeof(it->entries[0]));
	if (!it)
		return fail(-ENOMEM, "%s: no memory to iterate", pool->media->path);
	it->pool = pool;
	it->room = pool->sb.geo.entries;
	it->filter = wish;
	it->session_id = session_id_of(it->filter.session);
	follower_step(&pool->follower);
	*out = it;
	return 0;
}

int memkv_iter_next(struct memkv_iter *it, struct memkv_block_info *info)
{
	POOL_USE use = pool_enter(it->pool, ENTRY_CALL);

	if (!use.inside)
		return use.result;
	if (it->pool->sb.geo.entries != it->room)
		return fail(MEMKV_FAILED, "%s was made anew while its blocks were listed; begin again", it->pool->path);
	while (it->at == it->count)
		if (!load_segment(it))
			return 0;
	const struct entry *e = &it->entries[it->at++];
	uint64_t segment = it->segment - 1;
	*info = (struct memkv_block_info){
		.birth = e->birth,
		.generation = e->generation,
		.length = e->length,
		.segment = segment,
		.page = place_of_entry(&it->pool->control, segment, e).page,
		.class_id = e->class_id,
		.depth = e->depth,
		.expires_s = e->expires_s,
		.stored_s = e->stored_s,
		.session_id = e->session_id,
	};
	memcpy(info->key.bytes, e->key, sizeof(info->key.bytes));
	return 1;
}

void memkv_iter_close(struct memkv_iter *it)
{
	free(it);
}
