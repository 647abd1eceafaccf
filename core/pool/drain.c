/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Draining a namespace: its blocks move to the others, and its segments become RETIRED, one by one.
 *
 * Each step is one that agents take anyway, but for the last: FREE -> RETIRED, and SEALED -> LEAVING -> moved -> RETIRED.  So it
 * goes on beside living agents, and stopped anywhere it leaves a pool as good as before, part of it retired; a further drain goes
 * on, and an undo sets RETIRED -> FREE.  What a living agent writes to just now it keeps; who drains waits a while and then
 * says so.
 *
 * Nothing is evicted elsewhere to make room.  A block that finds none stays, and ends the drain, with its segment SEALED again; or,
 * when that is allowed, goes with its segment, unless it is pinned.
 */
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/base/options_take.h"
#include "core/pool/generation.h"
#include "core/pool/move.h"

#include <memkv/namespace.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { WAIT_US = 3000000, PAUSE_US = 50000 };

struct drain {
	struct memkv_pool *pool;
	struct memkv_drain_options options;
	struct memkv_drain_report *report;
	const struct extent *extent;
	struct entry *entries;
	uint64_t segment, busy, retired;
};

static bool any_block(void *context, const struct entry *e)
{
	const struct drain *d = context;

	return !(e->expires_s && e->expires_s <= clock_utc_s()) ||
	       factbook_pinned(&d->pool->factbook, e->key, e->session_id);
}

static bool any_pinned(void *context, const struct entry *e)
{
	const struct drain *d = context;

	return factbook_pinned(&d->pool->factbook, e->key, e->session_id);
}

static unsigned worth(const struct drain *d, const struct entry *e)
{
	return any_pinned((void *)(uintptr_t)d, e) ? HEAT_MAX + 1U : heat_read(d->pool, d->segment, e->page);
}

/* pinned blocks first, then those that are used most */
static int by_worth(const void *a, const void *b, void *context)
{
	unsigned x = worth(context, a), y = worth(context, b);

	return (x < y) - (x > y);
}

/* into other namespaces; false: there is no room for one of them */
static bool move_blocks(struct drain *d)
{
	struct memkv_pool *pool = d->pool;
	uint64_t generation;
	uint32_t n = entries_collect(pool, d->segment, any_block, d, d->entries, &generation);
	bool all = true;

	qsort_r(d->entries, n, sizeof(d->entries[0]), by_worth, d);
	for (uint32_t i = 0; i < n; i++) {
		enum move_result result = move_out(pool, d->segment, &d->entries[i]);
		d->report->blocks += result == MOVE_DONE;
		d->report->bytes += result == MOVE_DONE ? d->entries[i].length : 0;
		all &= result == MOVE_DONE || result == MOVE_GONE;
	}
	return all;
}

/* under refill: what has not moved stays, or goes; 0: the segment is RETIRED */
static int retire(struct drain *d, struct owned *victim)
{
	struct memkv_pool *pool = d->pool;
	uint64_t generation;
	int err = moves_settle(pool, d->segment);

	if (err)
		return fail(err, "%s: what was moved could not be flushed: %s", pool->media->path, strerror(-err));
	/* a table that cannot be read is not an empty one; what was read of it stays while it is LEAVING */
	if (!follower_refresh_table(&pool->follower, d->segment)) {
		reclaim_leave(&pool->room, victim);
		return fail(-EIO, "%s: a segment's table cannot be read; nothing is lost: drain once more", pool->media->path);
	}
	uint32_t left = entries_collect(pool, d->segment, any_block, d, d->entries, &generation);
	uint32_t pinned = entries_collect(pool, d->segment, any_pinned, d, d->entries, &generation);
	if (pinned || (left && !(d->options.flags & MEMKV_DRAIN_EVICT))) {
		reclaim_leave(&pool->room, victim);
		return fail(MEMKV_NO_ROOM, "%s: the other namespaces have no room for all blocks, of which %s; nothing is lost: grow the pool, "
					   "evict or unpin some, %s", pool->media->path, pinned ? "some are pinned" : "none is pinned",
			    pinned ? "and drain once more" : "or drain with --evict");
	}
	if (!reclaim_retire(&pool->room, victim))
		return -EAGAIN;
	d->report->evicted += left;
	return 0;
}

/* ours, LEAVING: empty it; 0, -EAGAIN: later, or why the drain ends */
static int empty_it(struct drain *d, struct owned *victim)
{
	struct memkv_pool *pool = d->pool;
	int err = 0;

	if (victim->orphan)
		err = pool->media->ops->flush(pool->media);
	factbook_refresh(&pool->factbook);
	pthread_mutex_lock(&pool->room.refill);
	bool held = holds_there(pool, d->segment);
	if (held || err)
		reclaim_leave(&pool->room, victim);
	pthread_mutex_unlock(&pool->room.refill);
	if (held || err)
		return err ? err : -EAGAIN;
	(void)move_blocks(d);
	pthread_mutex_lock(&pool->room.refill);
	err = retire(d, victim);
	pthread_mutex_unlock(&pool->room.refill);
	return err;
}

static int drain_segment(struct drain *d)
{
	struct memkv_pool *pool = d->pool;
	const struct control *c = &pool->control;
	struct owned owned = {0};

	if (!own_mend(c, &pool->slot, d->segment, &owned))
		return -EAGAIN;
	if (owned.word.state == OWNER_RETIRED)
		return 0;
	if (owned.word.state == OWNER_FREE)
		return own_move(c, &owned, OWNER_RETIRED, &pool->slot) ? 0 : -EAGAIN;
	if (owned.word.state == OWNER_OPEN || owned.word.state == OWNER_PARKED) {
		pthread_mutex_lock(&pool->room.refill);
		bool closed = generation_close_dead(&pool->room, &owned);
		pthread_mutex_unlock(&pool->room.refill);
		if (!closed)
			return -EAGAIN;
	}
	owned.orphan = own_orphan(c, &pool->slot, &owned);
	if (owned.word.state == OWNER_LEAVING && !owned.orphan)
		return -EAGAIN;
	return own_move(c, &owned, OWNER_LEAVING, &pool->slot) ? empty_it(d, &owned) : -EAGAIN;
}

/* all of its segments once; 0, or why it ends */
static int pass(struct drain *d)
{
	const struct extent *e = d->extent;
	int err = 0;

	d->busy = d->retired = 0;
	for (uint64_t s = e->first_segment; !err && s < e->first_segment + e->segments; s++) {
		d->segment = s;
		err = drain_segment(d);
		d->retired += err == 0;
		d->busy += err == -EAGAIN;
		if (err == -EAGAIN && control_there(&d->pool->control, s))
			err = 0;
		if (err == -EAGAIN)
			err = fail(MEMKV_DEGRADED, "%s: the namespace is lost; see memkv pool remove --lost", d->pool->media->path);
		if (!err && d->options.progress && d->options.progress(d->options.context, s - e->first_segment + 1, e->segments))
			err = fail(-ECANCELED, "%s: the drain was stopped; what was done stays", d->pool->media->path);
	}
	return err;
}

static int drain(struct drain *d)
{
	uint64_t from = clock_monotonic_us();
	int err = 0;

	/* those that are FREE first, so that nobody opens them meanwhile */
	for (uint64_t s = d->extent->first_segment; s < d->extent->first_segment + d->extent->segments; s++) {
		struct owned owned;
		if (own_look(&d->pool->control, s, &owned) && owned.word.state == OWNER_FREE)
			(void)own_move(&d->pool->control, &owned, OWNER_RETIRED, &d->pool->slot);
	}
	do {
		err = pass(d);
		if (!err && d->busy)
			pause_us(PAUSE_US);
	} while (!err && d->busy && clock_monotonic_us() < from + WAIT_US);
	if (!err && d->busy)
		err = fail(MEMKV_IN_USE, "%s: %" PRIu64 " segments of the namespace are being written to, or held, by living agents (memkv host "
					 "ls tells whom); what was moved stays moved: drain once more when they have ended", d->pool->media->path,
			   d->busy);
	int settled = d->pool->media->ops->settle(d->pool->media);
	int flushed = settled ? settled : d->pool->media->ops->flush(d->pool->media);
	return err ? err : flushed ? fail(flushed, "%s: the drain could not be flushed", d->pool->media->path) : 0;
}

static int undo(struct drain *d)
{
	const struct control *c = &d->pool->control;

	for (uint64_t s = d->extent->first_segment; s < d->extent->first_segment + d->extent->segments; s++) {
		struct owned owned;
		if (own_look(c, s, &owned) && owned.word.state == OWNER_RETIRED)
			(void)own_move(c, &owned, OWNER_FREE, &d->pool->slot);
	}
	int err = c->media->ops->settle(c->media);
	return err ? err : c->media->ops->flush(c->media);
}

static int check_drain(struct memkv_pool *pool, uint32_t number)
{
	if (pool->read_only)
		return fail(MEMKV_READ_ONLY, "%s was opened read-only; a drain needs it open for writing", pool->media->path);
	if (number == 0)
		return fail(MEMKV_CONFLICT, "%s: namespace 0 is the pool's home, and stays as long as the pool does", pool->media->path);
	if (number >= pool->control.layout.extent_count || !namespace_in_pool(&pool->sb, number))
		return fail(MEMKV_CONFLICT, "%s has no namespace %u", pool->media->path, number);
	if (!media_there(pool->media, number))
		return fail(MEMKV_DEGRADED, "%s: namespace %u is lost, and cannot be drained; see memkv pool remove --lost",
			    pool->media->path, number);
	return 0;
}

int memkv_pool_drain(struct memkv_pool *pool, uint32_t number, const struct memkv_drain_options *options,
		     struct memkv_drain_report *report)
{
	struct drain d = {.pool = pool};
	struct memkv_drain_report ignored;
	POOL_USE use = pool_enter(pool, ENTRY_WRITE);
	int err = use.inside ? 0 : use.result;

	if (!err)
		err = options_take(&d.options, sizeof(d.options), options, "drain");
	if (!err)
		err = check_drain(pool, number);
	if (err)
		return err;
	d.report = report ? report : &ignored;
	*d.report = (struct memkv_drain_report){0};
	d.extent = &pool->control.layout.extents[number];
	d.entries = entries_alloc(pool);
	if (!d.entries)
		return fail(-ENOMEM, "%s: no memory to drain", pool->media->path);
	if (d.options.flags & MEMKV_DRAIN_UNDO) {
		err = undo(&d);
	} else {
		atomic_fetch_or(&pool->control.avoided, 1U << number);
		pool->room.sparing = true;
		err = drain(&d);
		pool->room.sparing = false;
		atomic_fetch_and(&pool->control.avoided, ~(1U << number));
	}
	d.report->segments = d.retired;
	d.report->segments_left = d.extent->segments - d.retired;
	entries_free(pool, d.entries);
	return err;
}
