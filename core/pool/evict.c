/* SPDX-License-Identifier: Apache-2.0 */
/* evict: let blocks go on purpose, those of the oldest segments first; what is pinned stays (remove.h). */
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/base/options_take.h"
#include "core/pool/deadline.h"
#include "core/pool/move.h"
#include "core/pool/remove.h"
#include "core/slot/own.h"

#include <memkv/pin.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct evict {
	struct memkv_pool *pool;
	struct memkv_evict_options o;
	struct memkv_evict_report *report;
	uint64_t stored_before; /* UTC */
	struct entry *entries;
	uint64_t unread; /* segments of which something cannot be read, or not be let go */
	bool full;	 /* a shared device: the logs take no further removal */
};

struct aged {
	uint64_t segment, age;
};

static int by_age(const void *a, const void *b)
{
	const struct aged *x = a, *y = b;

	if (x->age != y->age)
		return x->age < y->age ? -1 : 1;
	return x->segment < y->segment ? -1 : x->segment > y->segment;
}

static struct aged *segments_by_age(struct memkv_pool *pool)
{
	uint64_t segments = pool->control.layout.segments;
	struct aged *order = calloc(segments, sizeof(*order));

	for (uint64_t s = 0; order && s < segments; s++)
		order[s] = (struct aged){s, word_load(control_age(&pool->control, s))};
	if (order)
		qsort(order, segments, sizeof(*order), by_age);
	return order;
}

static bool matches(void *context, const struct entry *e)
{
	const struct evict *evict = context;

	return (!evict->o.has_class || e->class_id == evict->o.class_id) && e->stored_s <= evict->stored_before;
}

static bool enough(const struct evict *evict)
{
	return evict->o.bytes && evict->report->bytes >= evict->o.bytes;
}

static int let_go(struct memkv_pool *pool, uint64_t segment, const struct entry *e)
{
	removal_lock(pool);
	int result = removal_try(pool, segment, e, false);
	removal_unlock(pool);
	return result;
}

/* false: it stays, and nobody knows whether it should */
static bool evict_one(struct evict *evict, uint64_t segment, const struct entry *e)
{
	struct memkv_pool *pool = evict->pool;
	int result;

	if (evict->o.dry_run)
		result = factbook_pinned(&pool->factbook, e->key, e->session_id) ? MEMKV_PINNED : 1;
	else
		result = let_go(pool, segment, e);
	if (result == MEMKV_NO_ROOM) {
		share_settle_now(pool);
		result = let_go(pool, segment, e);
		evict->full = result == MEMKV_NO_ROOM;
	}
	if (result == MEMKV_PINNED)
		evict->report->pinned++;
	if (result <= 0)
		return result == 0 || result == MEMKV_PINNED;
	evict->report->blocks++;
	evict->report->bytes += e->length;
	if (!evict->o.dry_run) {
		count(&pool->counters.evicted_blocks, 1);
		count(&pool->counters.evicted_bytes, e->length);
	}
	return true;
}

static void evict_segment(struct evict *evict, uint64_t segment)
{
	const struct control *c = &evict->pool->control;
	struct follower *f = &evict->pool->follower;
	uint64_t generation;
	bool unread, good = true;

	/* what power loss has left in a segment that is FREE again nobody finds; on a shared device words are computed, and its OPEN is flushed */
	if (!control_there(c, segment) || (!c->shared && own_refresh(c, segment) && own_is_free(c, segment)))
		return;
	follower_keep(f); /* mirrored media: what is to be flagged stays at hand */
	uint32_t n = entries_told(evict->pool, segment, matches, evict, evict->entries, &generation, &unread);

	for (uint32_t i = 0; i < n && !enough(evict) && !evict->full; i++)
		good &= evict_one(evict, segment, &evict->entries[i]);
	evict->unread += unread || (!good && !evict->full);
	follower_unkeep(f, segment);
}

/* what was asked for, or as far as it went: 0, or what kept it from getting there */
static int how_far(const struct evict *evict)
{
	const struct memkv_pool *pool = evict->pool;
	const char *path = pool->media->path;

	if (enough(evict))
		return 0;
	if (evict->full)
		return fail(MEMKV_NO_ROOM, "%s: the logs take no further removal; they are forgotten as segments are written anew, so put "
					   "something first; what was counted is gone", path);
	if (atomic_load(&pool->media->failed))
		return fail(MEMKV_FAILED, "%s: the pool's file or device is gone, or was cut short; what was counted is gone", path);
	if (evict->unread)
		return fail(-EIO, "%s: what %" PRIu64 " of %" PRIu64 " segments hold cannot be read or removed, and stays; what the others hold %s; try again "
				  "when the medium answers", path, evict->unread, pool->control.layout.segments,
			    evict->o.dry_run ? "was counted" : "and matches is gone");
	if (!control_whole(&pool->control) && !evict->o.dry_run)
		return fail(MEMKV_DEGRADED, "%s: a namespace of the pool is lost: what it holds comes back with it; what could be reached, and "
					    "matches, is gone", path);
	if (evict->o.bytes && evict->report->pinned)
		return fail(MEMKV_PINNED, "%s: what is left of these blocks is pinned; unpin some first", path);
	return 0;
}

static int run(struct evict *evict)
{
	struct memkv_pool *pool = evict->pool;
	struct media *media = pool->media;
	struct aged *order = segments_by_age(pool);
	int err = 0;

	if (!order || !evict->entries) {
		free(order);
		return fail(-ENOMEM, "%s: no memory to evict", media->path);
	}
	follower_step(&pool->follower);
	factbook_refresh(&pool->factbook);
	for (uint64_t s = 0; s < pool->control.layout.segments && !enough(evict) && !evict->full; s++)
		evict_segment(evict, order[s].segment);
	free(order);
	follower_step(&pool->follower);
	if (!evict->o.dry_run && evict->report->blocks)
		err = control_published(&pool->control) ? media->ops->flush(media) : -EIO;
	if (err)
		return fail(err, "%s: the blocks are gone, but that could not be flushed: %s", media->path, memkv_strerror(err));
	return how_far(evict);
}

static int64_t make_evict(struct memkv_pool *pool, struct chore *chore)
{
	struct evict evict = {.pool = pool, .report = chore->out};
	uint64_t now = clock_utc_s();

	memcpy(&evict.o, chore->in, sizeof(evict.o));
	evict.stored_before = evict.o.older_than_s > now ? 0 : now - evict.o.older_than_s;
	evict.entries = entries_alloc(pool);
	int err = run(&evict);
	entries_free(pool, evict.entries);
	return err;
}

int memkv_evict(struct memkv_pool *pool, const struct memkv_evict_options *options, struct memkv_evict_report *report)
{
	bool dry = options && options->size >= offsetof(struct memkv_evict_options, dry_run) + sizeof(int) && options->dry_run;
	POOL_USE use = pool_enter(pool, dry ? ENTRY_CALL : ENTRY_WRITE);
	struct memkv_evict_options o;

	if (!use.inside)
		return use.result;
	if (!report)
		return fail(-EINVAL, "evict: a place for the report is needed");
	*report = (struct memkv_evict_report){0};
	int err = options_take(&o, sizeof(o), options, "evict");
	if (err)
		return err;
	if (o.has_class && o.class_id > 31)
		return fail(-EINVAL, "evict: class %u is over 31", o.class_id);
	if (pool->read_only && !o.dry_run)
		return fail(MEMKV_READ_ONLY, "%s was opened read-only; evict needs it open for writing", pool->media->path);
	struct chore chore = {.make = make_evict,
			      .changes = !o.dry_run,
			      .in = &o,
			      .in_bytes = sizeof(o),
			      .out = report,
			      .out_bytes = sizeof(*report)};
	return (int)deadline_make(pool, &chore, o.deadline_us);
}
