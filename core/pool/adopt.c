/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adopting what ended incarnations own on a shared device; see share.h.
 *
 * Who may adopt (z, e) is decided once (slot/claims.h).  When that was v, and v has ended in its turn, whoever adopts v may
 * go on with (z, e).  A slot passes on only when that does not cut such a chain: nothing is held by its last incarnation or
 * an earlier one, or the new one has won it; and what its last incarnation has won holds nothing any more.  So also: the
 * incarnation of a slot inherits from all before it, and whoever adopts it does.
 *
 * Nobody takes everything: the last sixteenth of the segments, when they were never used, is left to newcomers by an agent
 * that has enough to go on with.
 */
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/pool/handle.h"
#include "core/slot/claims.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	CHAIN_MAX = 8,
	ROUNDS_MAX = 64,
	ENOUGH = 4, /* segments to go on with: one that is written to, the next, and some to empty */
	NEWCOMERS = 16,
	RETRY_US = 200000,
};

static bool is_me(const struct memkv_pool *pool, uint32_t slot, uint32_t epoch)
{
	return pool->slot.epoch && slot == pool->slot.number && epoch == pool->slot.epoch;
}

/* ---- claims ---- */

static uint8_t *row_of(const struct control *c, uint32_t slot)
{
	return control_at(c, c->layout.offset[REGION_CLAIM_ROWS] + slot * c->layout.claim_row_bytes);
}

bool adopt_hold_row(const struct control *c, uint32_t slot)
{
	return control_hold(c, row_of(c, slot), c->layout.claim_row_bytes);
}

static struct claim_cell read_claim(const struct control *c, uint32_t claimer, uint32_t slot)
{
	uint64_t words[CLAIM_BYTES / 8];
	struct claim_cell cell = {0};

	words_load(words, row_of(c, claimer) + (size_t)slot * CLAIM_BYTES, CLAIM_BYTES / 8);
	if (cell_blank((const uint8_t *)words, CLAIM_BYTES) ||
	    claim_cell_decode((const uint8_t *)words, claimer, slot, c->seed, &cell) == CHECK_BAD)
		cell = (struct claim_cell){0};
	return cell;
}

static bool read_claims(const struct control *c, uint32_t slot, struct claim_cell *cells)
{
	if (!control_refresh_regions(c, REGION_CLAIM_ROWS, REGION_CLAIM_ROWS))
		return false;
	for (uint32_t n = 0; n < c->layout.geo.slots; n++)
		cells[n] = read_claim(c, n, slot);
	return true;
}

/* a claim that is damaged must not be taken for blank: it may have been accepted */
static bool claims_whole(const struct control *c, uint32_t slot)
{
	uint64_t words[CLAIM_BYTES / 8];
	struct claim_cell cell;

	for (uint32_t n = 0; n < c->layout.geo.slots; n++) {
		words_load(words, row_of(c, n) + (size_t)slot * CLAIM_BYTES, CLAIM_BYTES / 8);
		if (!cell_blank((const uint8_t *)words, CLAIM_BYTES) &&
		    claim_cell_decode((const uint8_t *)words, n, slot, c->seed, &cell) == CHECK_BAD)
			return false;
	}
	return true;
}

static bool write_claim(const struct control *c, uint32_t me, const struct claim_cell *cell)
{
	uint64_t words[CLAIM_BYTES / 8];
	uint8_t *at = row_of(c, me) + (size_t)cell->slot * CLAIM_BYTES;

	claim_cell_encode(cell, me, c->seed, (uint8_t *)words);
	words_store(at, words, CLAIM_BYTES / 8);
	control_publish(c, at, CLAIM_BYTES);
	return control_published(c) && c->media->ops->flush(c->media) == 0;
}

/* decide who adopts (@slot, @epoch), as the holder of slot @me; 0: not now */
static uint64_t decide(const struct control *c, uint32_t me, uint32_t slot, uint32_t epoch, uint64_t wish)
{
	struct claim_cell cells[SLOTS_MAX];
	struct claim claim;
	uint64_t random = 0;

	claim_begin(&claim, me, c->layout.geo.slots, slot, epoch, wish);
	for (int i = 0; i < ROUNDS_MAX; i++) {
		if (!read_claims(c, slot, cells) || !claims_whole(c, slot))
			return 0;
		switch (claim_look(&claim, cells)) {
		case CLAIM_WRITE:
			if (!write_claim(c, me, &claim.cell))
				return 0;
			break;
		case CLAIM_DECIDED:
			return claim.cell.accepted;
		case CLAIM_AGAIN:
			(void)random_fill(&random, sizeof(random));
			clock_sleep_us(500 + random % 8000);
			break;
		default:
			return 0;
		}
	}
	return 0;
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
	if (cell.epoch > epoch) /* its successor has inherited, or whoever won it is at it */
		return slot == pool->slot.number && cell.epoch == pool->slot.epoch ? AGENT_LEFT : AGENT_LIVES;
	if (epoch == 0)
		return AGENT_VIRGIN;
	if (cell.state == SLOT_LEFT)
		return AGENT_LEFT;
	if (slot_gone(c, slot, epoch))
		return AGENT_GONE;
	pthread_mutex_lock(&share->watch_lock);
	uint64_t still = lease_still_us(&share->watch, slot, epoch, clock_boot_us());
	pthread_mutex_unlock(&share->watch_lock);
	return still >= max_u64(share->timing.suspect_ms, cell.suspect_ms) * 1000ULL ? AGENT_SUSPECT : AGENT_LIVES;
}

/* ---- taking over ---- */

static bool held_by(const struct holding *h, uint32_t slot, uint32_t epoch)
{
	return h->slot == slot && h->epoch <= epoch; /* who adopts an incarnation inherits what it had inherited */
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

/* the claim is ours: every log is read to its end, then ADOPT for each segment */
static bool take_segments(struct memkv_pool *pool, uint32_t slot, uint32_t epoch)
{
	struct factbook *book = &pool->factbook;
	struct record *records;
	uint32_t count = 0;

	factbook_refresh(book);
	uint64_t room = count_held(pool, slot, epoch);
	records = calloc(room + 1, sizeof(*records));
	if (!records)
		return false;
	for (uint64_t s = 0; s < pool->sb.geo.segments && count < room; s++) {
		struct holding h = factbook_holding(book, s);
		if (held_by(&h, slot, epoch))
			records[count++] = (struct record){
				.kind = RECORD_ADOPT,
				.subject = s,
				.version = ownership_adopted(&h),
				.state = h.state == OWNER_OPEN ? OWNER_SEALED : h.state,
			};
	}
	bool good = count == 0 || factbook_log(book, records, count, true) == 0;
	free(records);
	return good && count > 0;
}

/* may we adopt (@slot, @epoch)?  Win its claim, or the claims of whoever has won it and ended since */
static bool win(struct memkv_pool *pool, uint32_t slot, uint32_t epoch, int depth)
{
	const struct control *c = &pool->control;
	uint64_t mine = claim_value(pool->slot.number, pool->slot.epoch);

	if (slot == pool->slot.number) /* an earlier epoch of our slot: won when we took it */
		return epoch < pool->slot.epoch;
	uint64_t winner = decide(c, pool->slot.number, slot, epoch, mine);
	if (winner == mine)
		return true;
	uint32_t winner_slot = (uint32_t)(winner >> 32), winner_epoch = (uint32_t)winner;
	if (!winner || depth >= CHAIN_MAX)
		return false;
	enum life_of_agent life = look_at(pool, winner_slot, winner_epoch);
	if (life == AGENT_LIVES || !win(pool, winner_slot, winner_epoch, depth + 1))
		return false;
	(void)take_segments(pool, winner_slot, winner_epoch);
	return true;
}

/* ---- choosing ---- */

struct candidate {
	uint32_t slot, epoch;
	enum life_of_agent life;
};

/* what comes first: what is ours by inheritance or left, what was never used, what may come back last */
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
		got = look || (win(pool, candidate.slot, candidate.epoch, 0) &&
			       take_segments(pool, candidate.slot, candidate.epoch));
		if (!got)
			share->not_before_us[candidate.slot] = clock_boot_us() + RETRY_US;
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

/* has the last incarnation of the slot won something that still holds segments? */
static bool has_unfinished_claims(struct memkv_pool *pool, uint32_t slot, uint32_t epoch)
{
	const struct control *c = &pool->control;

	for (uint32_t t = 0; t < c->layout.geo.slots; t++) {
		struct claim_cell cell = read_claim(c, slot, t);
		if (cell.accepted_ballot && cell.accepted == claim_value(slot, epoch) && t != slot &&
		    count_held(pool, t, cell.epoch))
			return true;
	}
	return false;
}

int share_inherit(void *context, const struct slot *next, const struct slot_cell *before)
{
	struct memkv_pool *pool = context;
	const struct control *c = &pool->control;
	uint32_t slot = next->number;

	factbook_refresh(&pool->factbook);
	if (!control_refresh_regions(c, REGION_CLAIM_ROWS, REGION_CLAIM_ROWS))
		return -EIO;
	if (has_unfinished_claims(pool, slot, before->epoch))
		return -EAGAIN;
	if (count_held(pool, slot, before->epoch) == 0)
		return 0;
	if (!adopt_hold_row(c, slot))
		return -EIO;
	uint64_t winner = decide(c, slot, slot, before->epoch, claim_value(slot, next->epoch));
	return winner == claim_value(slot, next->epoch) ? 0 : control_published(c) ? -EAGAIN : -EIO;
}
