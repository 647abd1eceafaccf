/* SPDX-License-Identifier: Apache-2.0 */
/* See keep.h and include/memkv/locator.h. */
#include "core/pool/keep.h"
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/pool/locate.h"
#include "core/pool/newest.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

_Static_assert((uint64_t)MEMKV_KEEP_MAX_MS * 1000 == GRACE_US, "the grace is the longest keep");

enum { IN_USE_US = 2 * GRACE_US /* told at a time */, COPIES_MAX = 32 };

/* a time further ahead than anybody tells is damage, or of another boot */
static bool ahead(uint64_t until, uint64_t now, uint64_t by) { return until > now + by && until <= now + IN_USE_US; }

bool keep_in_use(const struct memkv_pool *pool)
{
	return ahead(word_load(control_kept_until(&pool->control)), clock_monotonic_us(), 0);
}

/* it stays in use for at least another grace */
static void tell(struct memkv_pool *pool)
{
	uint64_t now = clock_monotonic_us(), until = word_load(control_kept_until(&pool->control));

	if (!ahead(until, now, GRACE_US))
		word_swap(control_kept_until(&pool->control), until, now + IN_USE_US);
}

uint64_t keep_wait(const struct memkv_pool *pool, uint64_t since_us)
{
	uint64_t now = clock_monotonic_us();

	return keep_in_use(pool) && now < since_us + GRACE_US ? since_us + GRACE_US - now : 0;
}

static uint64_t segments_leaving(const struct control *c)
{
	struct owned owned;
	uint64_t leaving = 0;

	for (uint64_t s = 0; s < c->layout.segments; s++)
		leaving += own_look(c, s, &owned) && owned.word.state == OWNER_LEAVING;
	return leaving;
}

uint32_t keep_wanted(const struct room *room)
{
	const struct control *c = &room->pool->control;
	uint64_t segments = c->layout.segments;

	if (!keep_in_use(room->pool) || segments_leaving(c) >= segments / 8)
		return 0;
	/* chosen in the middle of a segment, the last of n is opened (n - 1/2) segments later */
	uint64_t needed = room->pace_us ? GRACE_US / room->pace_us + 2 : 1;
	return (uint32_t)min_u64(needed, min_u64(EARLY_MAX, segments / 16));
}

/* ---- giving out ---- */

static bool over(struct memkv_pool *pool, const struct entry *e)
{
	return e->expires_s && e->expires_s <= clock_utc_s() && !factbook_pinned(&pool->factbook, e->key, e->session_id);
}

/* a copy that stays: first the owner word, then the table that it is about */
static bool keep_copy(struct memkv_pool *pool, const uint8_t *key, struct place place, struct memkv_locator *token)
{
	const struct control *c = &pool->control;
	uint64_t segment = layout_segment_of(&c->layout, place.page);
	struct owned owned;
	struct entry e;

	if (!own_look(c, segment, &owned) || owned.word.state == OWNER_LEAVING || owned.word.state == OWNER_FREE)
		return false;
	if (!copy_entry(pool, key, place, &segment, &e) || over(pool, &e))
		return false;
	struct locator l = {
		.header_pages = e.header_pages,
		.length = e.length,
		.generation = e.generation,
		.birth = e.birth,
		.segment = (uint32_t)segment,
		.page = e.page,
	};
	memcpy(l.key, key, sizeof(l.key));
	locate_make(pool, &l, token);
	return true;
}

static bool keep_key(struct memkv_pool *pool, const struct memkv_key *key, struct memkv_locator *token)
{
	struct key_hash hash = index_hash(pool->index, key->bytes);
	struct place place;

	for (unsigned i = 0; i < COPIES_MAX && index_find(pool->index, hash, i, &place); i++)
		if (keep_copy(pool, key->bytes, place, token))
			return true;
	return false;
}

static int check_arguments(struct memkv_pool *pool, bool good_pointers, uint32_t keep_ms)
{
	if (!good_pointers)
		return fail(-EINVAL, "keep: keys and a place for a locator of each are needed");
	if (keep_ms > MEMKV_KEEP_MAX_MS)
		return fail(-EINVAL, "keep: %u ms are longer than %d, which is the longest", keep_ms, MEMKV_KEEP_MAX_MS);
	if (pool->read_only && !(pool->options.flags & MEMKV_OPEN_READ_ONLY))
		return rejoin_refuse(pool);
	if (pool->read_only)
		return fail(MEMKV_READ_ONLY, "%s was opened read-only; keep needs it open for writing, to tell that it is in use",
			    pool->media->path);
	return pool->media->caps.mappable
		       ? 0
		       : fail(-EOPNOTSUPP, "%s: nothing can be kept on a medium that is not mapped; use locators without a time",
			      pool->media->path);
}

int memkv_match_keep(struct memkv_pool *pool, const struct memkv_key *keys, size_t key_count, uint32_t keep_ms, uint32_t flags,
		     struct memkv_locator *locators)
{
	POOL_USE use = pool_enter(pool, ENTRY_LOOK);
	uint64_t found = 0;

	if (!use.inside)
		return use.result;
	int err = check_arguments(pool, !key_count || (keys && locators), keep_ms);
	if (err)
		return err;
	if (atomic_load(&pool->media->failed))
		return 0;
	tell(pool); /* first, so that who makes a segment LEAVING after our look lets the grace pass */
	if (flags & MEMKV_LOOK_FRESH)
		follower_step(&pool->follower);
	while (found < min_u64(key_count, INT_MAX) && keep_key(pool, &keys[found], &locators[found]))
		found++;
	count(&pool->counters.keeps, found);
	return (int)found;
}

int memkv_exists_keep(struct memkv_pool *pool, const struct memkv_key *key, uint32_t keep_ms, uint32_t flags,
		      struct memkv_locator *locator)
{
	return memkv_match_keep(pool, key, 1, keep_ms, flags, locator);
}
