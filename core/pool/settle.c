/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removals that are owed on a shared device: what logs say was removed is written into the tables, so that the logs can
 * forget it; see share.h.
 *
 * Only a segment's holder can, and only while it has the segment open: so a segment that is closed is opened for that (OPEN
 * stated, looked at once more, as ever), its life words are flagged, and it is closed again.
 */
#include "core/pool/handle.h"
#include "core/pool/share_parts.h"

#include <stdlib.h>

/* do we write to it?  Then our mirror of its table is ahead of the medium; the factbook's lock is held */
static bool marked_by_us(const struct memkv_pool *pool, uint64_t segment)
{
	struct own_mark mark;

	for (uint32_t n = 0; ownership_mark(&pool->factbook.ownership, segment, n, &mark); n++)
		if (share_is_me(pool, mark.slot, mark.epoch))
			return true;
	return false;
}

/*
 * What a removal was about is gone for good when its segment describes another generation, or the entry says so itself: on the
 * medium, for it is whoever reads that who must not need the log any more.  The factbook's lock is held.
 */
bool share_removal_settled(void *context, const struct record *r)
{
	struct memkv_pool *pool = context;
	const struct control *c = &pool->control;
	struct table_header header;

	if (r->subject >= pool->sb.geo.segments || r->class_id >= pool->sb.geo.entries)
		return true;
	if (marked_by_us(pool, r->subject) && !MUTANT(DEL_FORGOTTEN_EARLY))
		return false;
	if (!table_refresh_header(c, r->subject) || table_header(c, r->subject, &header) != CHECK_GOOD || !header.generation)
		return false;
	return header.generation != r->generation ||
	       (table_refresh_entries(c, r->subject, r->class_id, r->class_id + 1) &&
		table_life(c, r->subject, r->class_id, r->birth) == LIFE_REMOVED);
}

static int by_segment(const void *a, const void *b)
{
	const struct record *x = a, *y = b;

	return x->subject < y->subject ? -1 : x->subject > y->subject;
}

/* the removals, by segment; free() them */
static struct record *owed(struct memkv_pool *pool, uint32_t *count)
{
	uint32_t all = factbook_copy(&pool->factbook, NULL, 0) + 64, kept = 0;
	struct record *facts = calloc(all, sizeof(*facts));

	*count = 0;
	if (!facts)
		return NULL;
	all = (uint32_t)min_u64(factbook_copy(&pool->factbook, facts, all), all);
	for (uint32_t i = 0; i < all; i++)
		if (facts[i].kind == RECORD_DEL && facts[i].subject < pool->sb.geo.segments)
			facts[kept++] = facts[i];
	qsort(facts, kept, sizeof(*facts), by_segment);
	*count = kept;
	return facts;
}

static bool is_owed(struct memkv_pool *pool, const struct record *r)
{
	pthread_mutex_lock(&pool->factbook.lock);
	bool settled = pool->factbook.share.settled(pool, r);
	pthread_mutex_unlock(&pool->factbook.lock);
	return !settled;
}

/* the table is ours to write */
static void flag(struct memkv_pool *pool, const struct record *facts, uint32_t count)
{
	const struct control *c = &pool->control;
	struct table_header header;

	if (table_header(c, facts->subject, &header) == CHECK_BAD)
		return;
	for (uint32_t i = 0; i < count; i++)
		if (facts[i].generation == header.generation && facts[i].class_id < pool->sb.geo.entries)
			(void)table_kill(c, facts[i].subject, facts[i].class_id, facts[i].birth);
}

/* all removals of one segment; under room.refill: nobody here takes it meanwhile */
static void settle_segment(struct memkv_pool *pool, const struct record *facts, uint32_t count)
{
	const struct control *c = &pool->control;
	uint64_t s = facts->subject;
	struct owned owned;

	if (!c->share->mine(c->share_context, s) || !own_look(c, s, &owned) || !is_owed(pool, facts))
		return;
	if (c->share->writing(c->share_context, s)) {
		flag(pool, facts, count);
		return;
	}
	if ((owned.word.state != OWNER_SEALED && owned.word.state != OWNER_PARKED) || !share_open_closed(pool, s))
		return;
	flag(pool, facts, count);
	share_close_again(pool, s, owned.word.state);
}

void share_settle(struct memkv_pool *pool)
{
	uint32_t count, end;

	factbook_refresh(&pool->factbook);
	struct record *facts = owed(pool, &count);
	for (uint32_t i = 0; facts && i < count && control_published(&pool->control); i = end) {
		for (end = i + 1; end < count && facts[end].subject == facts[i].subject;)
			end++;
		settle_segment(pool, facts + i, end - i);
	}
	free(facts);
}

void share_settle_now(struct memkv_pool *pool)
{
	pthread_mutex_lock(&pool->room.refill);
	while (adopt_ended(pool))
		;
	share_settle(pool);
	pthread_mutex_unlock(&pool->room.refill);
}
