/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adopting what ended incarnations own on a shared device; see share.h, and facts/ownership.h for why several may do so at once.
 * An incarnation has ended also when its slot has passed on; whoever adopts it adopts those before it in its slot as well.
 *
 * Nobody takes everything: the last sixteenth of the segments, when they were never used, is left to newcomers by an agent
 * that has enough to go on with.
 */
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/pool/handle.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	ENOUGH = 4, /* segments to go on with: one that is written to, the next, and some to empty */
	NEWCOMERS = 16,
	RETRY_BEATS = 5, /* a fifth of a heartbeat */
};

static bool is_me(const struct memkv_pool *pool, uint32_t slot, uint32_t epoch)
{
	return pool->slot.epoch && slot == pool->slot.number && epoch == pool->slot.epoch;
}

/* ---- who has ended ---- */

enum life_of_agent { AGENT_LIVES, AGENT_VIRGIN, AGENT_LEFT, AGENT_GONE, AGENT_SUSPECT };

static enum life_of_agent look_at(struct memkv_pool *pool, uint32_t slot, uint32_t epoch)
{
	struct share *share = &pool->share;
	const struct control *c = &pool->control;
	struct slot_cell cell;

	if (slot >= c->layout.geo.slots || is_me(pool, slot, epoch) || slot_read(c, slot, &cell) == CHECK_BAD)
		return AGENT_LIVES;
	if (epoch == 0)
		return AGENT_VIRGIN;
	if (cell.epoch != epoch) /* its slot has passed on; or it has just come, and the cell was read before */
		return cell.epoch > epoch ? AGENT_LEFT : AGENT_LIVES;
	if (cell.state == SLOT_LEFT)
		return AGENT_LEFT;
	if (slot_gone(c, slot, epoch))
		return AGENT_GONE;
	pthread_mutex_lock(&share->watch_lock);
	uint64_t still = lease_still_us(&share->watch, slot, epoch);
	pthread_mutex_unlock(&share->watch_lock);
	return still >= max_u64(share->timing.suspect_ms, cell.suspect_ms) * 1000ULL ? AGENT_SUSPECT : AGENT_LIVES;
}

/* ---- taking over ---- */

static bool held_by(const struct holding *h, uint32_t slot, uint32_t epoch)
{
	return h->slot == slot && h->epoch <= epoch;
}

static uint64_t count_held(struct memkv_pool *pool, uint32_t slot, uint32_t epoch)
{
	uint64_t count = 0;

	for (uint64_t s = 0; s < pool->sb.geo.segments; s++) {
		struct holding h = factbook_holding(&pool->factbook, s);
		count += held_by(&h, slot, epoch);
	}
	return count;
}

/* do we still write to it, or owe its SEAL?  Then it is not ours to call closed */
static bool marked_by_us(struct memkv_pool *pool, uint64_t segment)
{
	struct own_mark mark;

	for (uint32_t n = 0; factbook_mark(&pool->factbook, segment, n, &mark); n++)
		if (is_me(pool, mark.slot, mark.epoch))
			return true;
	return false;
}

/* every log is read to its end, then ADOPT for each segment; others may be at it as well: who has them is seen behind that */
static bool take_segments(struct memkv_pool *pool, uint32_t slot, uint32_t epoch)
{
	struct factbook *book = &pool->factbook;
	struct record *records;
	uint32_t count = 0, ours = 0;

	if (!factbook_refresh(book))
		return false;
	uint64_t room = count_held(pool, slot, epoch);
	records = calloc(room + 1, sizeof(*records));
	if (!records)
		return false;
	for (uint64_t s = 0; s < pool->sb.geo.segments && count < room; s++) {
		struct holding h = factbook_holding(book, s);
		if (held_by(&h, slot, epoch) && !marked_by_us(pool, s))
			records[count++] = (struct record){
				.kind = RECORD_ADOPT,
				.subject = s,
				.version = ownership_adopted(&h),
				.state = h.state == OWNER_OPEN ? OWNER_SEALED : h.state,
			};
	}
	bool good = count == 0 || (factbook_log(book, records, count, true) == 0 && factbook_refresh(book));
	for (uint32_t i = 0; good && i < count; i++) {
		struct holding h = factbook_holding(book, records[i].subject);
		ours += is_me(pool, h.slot, h.epoch);
	}
	free(records);
	return ours > 0;
}

/* ---- choosing ---- */

struct candidate {
	uint32_t slot, epoch;
	enum life_of_agent life;
};

/* what comes first: what was left, what was never used, what may come back last */
static int rank(enum life_of_agent life)
{
	static const int ranks[] = {
		[AGENT_LIVES] = 0, [AGENT_SUSPECT] = 1, [AGENT_GONE] = 2, [AGENT_VIRGIN] = 3, [AGENT_LEFT] = 4};

	return ranks[life];
}

struct census {
	uint64_t mine, virgin;
};

static struct census take_census(struct memkv_pool *pool)
{
	struct census census = {0};

	for (uint64_t s = 0; s < pool->sb.geo.segments; s++) {
		struct holding h = factbook_holding(&pool->factbook, s);
		census.mine += is_me(pool, h.slot, h.epoch);
		census.virgin += h.version == 0;
	}
	return census;
}

static bool left_to_newcomers(const struct memkv_pool *pool, const struct census *census)
{
	return census->mine >= ENOUGH && census->virgin <= pool->sb.geo.segments / NEWCOMERS;
}

static bool choose(struct memkv_pool *pool, struct candidate *best)
{
	const struct census census = take_census(pool);
	uint64_t now = clock_boot_us();
	struct candidate seen[SLOTS_MAX] = {0}; /* each is asked about once */

	*best = (struct candidate){0};
	for (uint64_t s = 0; s < pool->sb.geo.segments; s++) {
		struct holding h = factbook_holding(&pool->factbook, s);
		struct candidate *known = &seen[h.slot];
		if (is_me(pool, h.slot, h.epoch) || pool->share.not_before_us[h.slot] > now ||
		    (known->slot && known->epoch == h.epoch))
			continue;
		enum life_of_agent life = look_at(pool, h.slot, h.epoch);
		*known = (struct candidate){1, h.epoch, life};
		if (life == AGENT_VIRGIN && left_to_newcomers(pool, &census))
			continue;
		if (rank(life) > rank(best->life))
			*best = (struct candidate){h.slot, h.epoch, life};
	}
	return best->life != AGENT_LIVES;
}

static bool adopt_one(struct memkv_pool *pool, bool look)
{
	struct share *share = &pool->share;
	struct candidate candidate;
	bool got = false;

	if (!look) {
		(void)lease_refresh(&pool->control);
		factbook_refresh(&pool->factbook);
	}
	if (give_accept(pool, look))
		return true;
	pthread_mutex_lock(&share->adopt_lock);
	while (!got && choose(pool, &candidate)) {
		got = look || take_segments(pool, candidate.slot, candidate.epoch);
		if (!got)
			share->not_before_us[candidate.slot] = clock_boot_us() + share->timing.beat_ms * 1000ULL / RETRY_BEATS;
	}
	pthread_mutex_unlock(&share->adopt_lock);
	return got;
}

bool adopt_ended(struct memkv_pool *pool)
{
	return share_in_lease(pool) && control_published(&pool->control) && adopt_one(pool, false);
}

bool share_adopt(void *context, bool look)
{
	struct memkv_pool *pool = context;

	if (!share_in_lease(pool) || !control_published(&pool->control))
		return false;
	if (adopt_one(pool, look))
		return true;
	if (look)
		return false;
	give_want(pool);
	return give_wait(pool);
}
