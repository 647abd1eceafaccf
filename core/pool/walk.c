/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Iterating over the stored blocks: table by table, a segment's entries copied out at a time.  A block that lies in
 * two places (two agents put it at once, or a mover has died) is shown where the index finds it first.
 */
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/base/options_take.h"
#include "core/pool/deadline.h"

#include <memkv/timed.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* what of a segment's blocks is wanted */
struct wish {
	bool has_class, has_session;
	uint32_t class_id;
	uint64_t session_id;
};

/* the wanted blocks of one segment, behind which it goes on with @next */
struct part {
	uint64_t next;
	uint32_t count;
	struct entry entries[];
};

struct memkv_iter {
	struct memkv_pool *pool;
	struct wish wish;
	uint32_t at, room;
	struct part part;
};

/* one segment's table is being gone through */
struct look {
	struct memkv_pool *pool;
	const struct wish *wish;
	uint64_t segment;
	struct part *part;
};

static bool wanted(const struct wish *wish, const struct entry *e)
{
	if (wish->has_class && e->class_id != wish->class_id)
		return false;
	return !wish->has_session || e->session_id == wish->session_id;
}

struct copy_look {
	struct memkv_pool *pool;
	uint64_t segment;
	struct place place;
	const uint8_t *key;
	bool live;
};

static void look_at_copy(void *context, uint32_t index, enum entry_state state, const struct entry *e, bool mended)
{
	struct copy_look *look = context;
	const struct control *c = &look->pool->control;

	(void)mended;
	if (state == ENTRY_HERE && memcmp(e->key, look->key, sizeof(e->key)) == 0 &&
	    place_of_entry(c, look->segment, e).page == look->place.page)
		look->live = life_counts(table_life(c, look->segment, index, e->birth));
}

/* a block that has moved: the index may still know where it was */
static bool copy_lives(struct memkv_pool *pool, struct place place, const uint8_t *key)
{
	const struct control *c = &pool->control;
	struct copy_look look = {pool, layout_segment_of(&c->layout, place.page), place, key, false};
	struct table_header header;

	if (look.segment == UINT64_MAX || !table_refresh(c, look.segment) ||
	    table_header(c, look.segment, &header) == CHECK_BAD)
		return false;
	table_walk(c, NULL, look.segment, header.generation, 0, table_count(c, look.segment, header.generation, NULL),
		   look_at_copy, &look);
	follower_give_back(&pool->follower, look.segment);
	return look.live;
}

static bool shown_here(const struct look *look, const struct entry *e)
{
	struct memkv_pool *pool = look->pool;
	struct place other, here = place_of_entry(&pool->control, look->segment, e);
	struct key_hash hash = index_hash(pool->index, e->key);

	for (unsigned i = 0; index_find(pool->index, hash, i, &other); i++) {
		if (other.page == here.page)
			return true;
		if (copy_lives(pool, other, e->key))
			return false;
	}
	return false;
}

static void collect(void *context, uint32_t index, enum entry_state state, const struct entry *e, bool mended)
{
	struct look *look = context;
	struct memkv_pool *pool = look->pool;

	(void)mended;
	if (state != ENTRY_HERE || e->flags & ENTRY_VOID || !wanted(look->wish, e) ||
	    !life_counts(table_life(&pool->control, look->segment, index, e->birth)) ||
	    (pool->control.shared && factbook_removed(&pool->factbook, e->key, e->birth)) ||
	    (e->expires_s && e->expires_s <= clock_utc_s() && !factbook_pins(&pool->factbook, e->key, e->session_id)) ||
	    !shown_here(look, e))
		return;
	look->part->entries[look->part->count++] = *e;
}

static int cannot_tell(const struct memkv_pool *pool, uint64_t segment)
{
	if (atomic_load(&pool->media->failed))
		return fail(MEMKV_FAILED, "%s: the pool's file or device is gone, or was cut short, while its blocks were listed", pool->media->path);
	return fail(-EIO, "%s: what segment %" PRIu64 " holds cannot be read; the others can be listed", pool->media->path, segment);
}

/* the next segment's blocks; -EIO: there may be more, and the medium does not answer for its table, or for what tells instead */
static int load_segment(struct memkv_pool *pool, const struct wish *wish, struct part *part)
{
	const struct control *c = &pool->control;
	struct look look = {pool, wish, part->next++, part};
	struct table_header header;
	bool mended;

	part->count = 0;
	pthread_mutex_lock(&pool->follower.lock);
	uint64_t before = pool->recover_unread;
	bool unread = !table_refresh(c, look.segment);
	if (!unread && table_header_told(c, &pool->follower.recover, look.segment, &header, &mended, &unread))
		table_walk(c, &pool->follower.recover, look.segment, header.generation, 0,
			   table_count(c, look.segment, header.generation, NULL), collect, &look);
	unread |= pool->recover_unread != before; /* what only a second source tells */
	follower_give_back(&pool->follower, look.segment);
	pthread_mutex_unlock(&pool->follower.lock);
	return unread && control_there(c, look.segment) ? cannot_tell(pool, look.segment) : 0;
}

static int64_t make_part(struct memkv_pool *pool, struct chore *chore)
{
	struct part *part = chore->out;
	int err = 0;

	part->next = chore->number;
	part->count = 0;
	while (!err && !part->count && part->next < pool->control.layout.segments)
		err = load_segment(pool, chore->in, part);
	return err;
}

static int64_t make_fresh(struct memkv_pool *pool, struct chore *chore)
{
	(void)chore;
	follower_step(&pool->follower);
	return 0;
}

int memkv_iter_open_by(struct memkv_pool *pool, const struct memkv_filter *filter, struct memkv_iter **out, uint64_t deadline_us)
{
	POOL_USE use = pool_enter(pool, ENTRY_CALL);
	struct chore fresh = {.make = make_fresh};
	struct memkv_filter f;

	if (!use.inside)
		return use.result;
	int err = options_take(&f, sizeof(f), filter, "iterate");
	if (err)
		return err;
	if (!out)
		return fail(-EINVAL, "iterate: a place for the iterator is needed");
	struct memkv_iter *it = calloc(1, sizeof(*it) + pool->sb.geo.entries * sizeof(it->part.entries[0]));
	if (!it)
		return fail(-ENOMEM, "%s: no memory to iterate", pool->media->path);
	it->pool = pool;
	it->room = pool->sb.geo.entries;
	it->wish = (struct wish){.has_class = f.has_class,
				 .class_id = f.class_id,
				 .has_session = f.session != NULL,
				 .session_id = session_id_of(f.session)};
	err = (int)deadline_make(pool, &fresh, deadline_us);
	if (err)
		free(it);
	else
		*out = it;
	return err;
}

int memkv_iter_open(struct memkv_pool *pool, const struct memkv_filter *filter, struct memkv_iter **out)
{
	return memkv_iter_open_by(pool, filter, out, 0);
}

static int next_part(struct memkv_iter *it, uint64_t deadline_us)
{
	struct chore chore = {.make = make_part,
			      .number = it->part.next,
			      .in = &it->wish,
			      .in_bytes = sizeof(it->wish),
			      .out = &it->part,
			      .out_bytes = sizeof(it->part) + it->room * sizeof(it->part.entries[0])};
	int err = (int)deadline_make(it->pool, &chore, deadline_us);

	if (err != MEMKV_TIMEDOUT)
		it->at = 0;
	return err;
}

int memkv_iter_next_by(struct memkv_iter *it, struct memkv_block_info *info, uint64_t deadline_us)
{
	POOL_USE use = pool_enter(it->pool, ENTRY_CALL);

	if (!use.inside)
		return use.result;
	if (it->pool->sb.geo.entries != it->room)
		return fail(MEMKV_FAILED, "%s was made anew while its blocks were listed; begin again", it->pool->path);
	int err = it->at == it->part.count ? next_part(it, deadline_us) : 0;
	if (err || it->at == it->part.count)
		return err;
	const struct entry *e = &it->part.entries[it->at++];
	uint64_t segment = it->part.next - 1;
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

int memkv_iter_next(struct memkv_iter *it, struct memkv_block_info *info) { return memkv_iter_next_by(it, info, 0); }

void memkv_iter_close(struct memkv_iter *it)
{
	free(it);
}
