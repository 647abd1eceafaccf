/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments that pass from one living agent to another on a shared device; see share.h.
 *
 *   who has too few:   WANT in its own log, once a heartbeat at most
 *   who has more than its part, at its next heartbeat:  XFER in its own log, of what is FREE, else of what is SEALED and the
 *                      oldest; from then on it does nothing with the segment any more, but holds it still
 *   who wanted:        ACCEPT in its own log, and holds it
 *
 * The giver holds the segment until it is accepted, so nothing is lost with a receiver that dies; then the giver takes the
 * offer back, by stating the segment's state once more, when the receiver is gone.  Blocks in a segment that passes on stay
 * readable until its new holder empties it.
 */
#include "core/base/environ.h"
#include "core/pool/handle.h"

#include <string.h>

enum { WANTED = 4 };

static uint64_t value_of_me(const struct memkv_pool *pool)
{
	return incarnation_value(pool->slot.number, pool->slot.epoch);
}

static bool is_mine(const struct memkv_pool *pool, const struct holding *h)
{
	return h->slot == pool->slot.number && h->epoch == pool->slot.epoch;
}

/* agents that are attached and whose heartbeat moves, we among them */
static uint64_t count_agents(struct memkv_pool *pool)
{
	struct slot_cell cell;
	uint64_t agents = 1;

	for (uint32_t n = 0; n < pool->sb.geo.slots; n++)
		if (n != pool->slot.number && slot_read(&pool->control, n, &cell) != CHECK_BAD && cell.state == SLOT_ACTIVE &&
		    !share_silent(pool, n))
			agents++;
	return agents;
}

uint64_t give_count(struct memkv_pool *pool)
{
	uint64_t mine = 0;

	for (uint64_t s = 0; s < pool->sb.geo.segments; s++) {
		struct holding h = factbook_holding(&pool->factbook, s);
		mine += is_mine(pool, &h) && !h.offered;
	}
	return mine;
}

bool give_accept(struct memkv_pool *pool, bool look)
{
	struct record records[WANTED];
	uint32_t count = 0;

	for (uint64_t s = 0; s < pool->sb.geo.segments && count < WANTED; s++) {
		struct holding h = factbook_holding(&pool->factbook, s);
		if (h.offered == value_of_me(pool))
			records[count++] = (struct record){
				.kind = RECORD_ACCEPT, .subject = s, .version = ownership_next(&h), .state = h.state};
	}
	if (count == 0 || look)
		return count > 0;
	return factbook_log(&pool->factbook, records, count, true) == 0;
}

void give_want(struct memkv_pool *pool)
{
	struct share *share = &pool->share;
	uint64_t now = clock_boot_us();
	struct record r = {.kind = RECORD_WANT, .subject = WANTED};

	if (share->wanted_us && now - share->wanted_us < share->timing.beat_ms * 1000ULL)
		return;
	if (give_count(pool) * 2 >= pool->sb.geo.segments / count_agents(pool))
		return; /* half of our part will do: we empty our own */
	share->wanted_us = now;
	r.version = ++share->wants;
	(void)factbook_log(&pool->factbook, &r, 1, false);
}

bool give_wait(struct memkv_pool *pool)
{
	enum { BEATS = 4, LOOKS = 8 };
	struct share *share = &pool->share;
	uint64_t step = share->timing.beat_ms * 1000ULL / LOOKS;

	if ((share->waited || give_count(pool)) && !MUTANT(GIVE_WAITED_FOR))
		return false;
	share->waited = true;
	for (int i = 0; i < BEATS * LOOKS && share_in_lease(pool); i++) {
		give_want(pool);
		clock_sleep_us(step);
		factbook_refresh(&pool->factbook);
		if (give_accept(pool, false))
			return true;
	}
	return false;
}

/* ---- giving ---- */

/* the next segment to give: FREE, else the oldest that is SEALED; UINT64_MAX: none */
static uint64_t choose(struct memkv_pool *pool)
{
	const struct control *c = &pool->control;
	uint64_t best = UINT64_MAX, best_age = UINT64_MAX;
	struct owned owned;

	for (uint64_t s = 0; s < c->layout.segments; s++) {
		struct holding h = factbook_holding(&pool->factbook, s);
		if (!is_mine(pool, &h) || h.offered || h.state == OWNER_OPEN || !own_look(c, s, &owned) ||
		    (owned.word.state != OWNER_FREE && owned.word.state != OWNER_SEALED))
			continue;
		uint64_t age = owned.word.state == OWNER_FREE ? 0 : 1 + word_load(control_age(c, s));
		if (age >= best_age)
			continue;
		best = s;
		best_age = age;
	}
	return best;
}

/* under room.refill: nobody here takes the segment meanwhile */
static bool give_one(struct memkv_pool *pool, uint32_t slot, uint32_t epoch)
{
	uint64_t s = choose(pool);
	struct record r = {.kind = RECORD_XFER, .subject = s, .generation = incarnation_value(slot, epoch)};

	if (s == UINT64_MAX)
		return false;
	struct holding h = factbook_holding(&pool->factbook, s);
	r.version = ownership_next(&h);
	r.state = h.state;
	return factbook_log(&pool->factbook, &r, 1, true) == 0;
}

/* offers to those who are gone are taken back */
static void take_back(struct memkv_pool *pool)
{
	for (uint64_t s = 0; s < pool->sb.geo.segments; s++) {
		struct holding h = factbook_holding(&pool->factbook, s);
		if (!h.offered || !is_mine(pool, &h) || !slot_gone(&pool->control, (uint32_t)(h.offered >> 32), (uint32_t)h.offered))
			continue;
		struct record r = {.kind = RECORD_SEAL, .subject = s, .version = ownership_next(&h), .state = h.state};
		(void)factbook_log(&pool->factbook, &r, 1, false);
	}
}

static void answer(struct memkv_pool *pool)
{
	struct share *share = &pool->share;
	struct want wants[SLOTS_MAX];
	bool any = false;

	factbook_wants(&pool->factbook, wants);
	for (uint32_t n = 0; n < pool->sb.geo.slots; n++)
		any |= n != pool->slot.number && wants[n].version &&
		       (wants[n].epoch != share->answered[n].epoch || wants[n].version != share->answered[n].version);
	if (!any || pthread_mutex_trylock(&pool->room.refill))
		return;
	take_back(pool);
	uint64_t mine = give_count(pool), part = max_u64(pool->sb.geo.segments / count_agents(pool), WANTED);
	for (uint32_t n = 0; n < pool->sb.geo.slots; n++) {
		struct want want = wants[n];
		if (n == pool->slot.number || !want.version ||
		    (want.epoch == share->answered[n].epoch && want.version == share->answered[n].version))
			continue;
		share->answered[n] = want;
		if (slot_gone(&pool->control, n, want.epoch))
			continue;
		for (uint64_t given = 0; given < want.count && mine > part && give_one(pool, n, want.epoch); given++)
			mine--;
	}
	pthread_mutex_unlock(&pool->room.refill);
}

void give_answer(struct memkv_pool *pool)
{
	struct share *share = &pool->share;

	pthread_mutex_lock(&share->give_lock);
	if (share->giving)
		answer(pool);
	pthread_mutex_unlock(&share->give_lock);
}

void give_begin(struct memkv_pool *pool)
{
	struct share *share = &pool->share;

	pthread_mutex_lock(&share->give_lock);
	factbook_wants(&pool->factbook, share->answered); /* those before us are others' business */
	share->giving = true;
	pthread_mutex_unlock(&share->give_lock);
}

void give_end(struct memkv_pool *pool)
{
	struct share *share = &pool->share;

	if (!share->attached)
		return;
	pthread_mutex_lock(&share->give_lock);
	share->giving = false;
	pthread_mutex_unlock(&share->give_lock);
}
