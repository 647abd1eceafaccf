/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments of a shared device, for this process: the words that say who owns them, which are computed from what logs state; opening one to
 * write to it, and closing it, which are stated.  See share.h.
 */
#include "core/pool/handle.h"
#include "core/pool/share_parts.h"
#include "core/pool/share_pins.h"

/* ---- the words ---- */

static void set_word(const struct control *c, uint64_t segment, enum owner_state state, uint32_t slot, uint32_t epoch)
{
	struct owner_word word = {.state = state, .slot = slot % (1u << OWNER_SLOT_BITS), .epoch = epoch & EPOCH_MAX};

	word_publish(control_owner_word(c, segment), owner_word_encode(word, segment, c->seed));
}

static bool word_is_mine(const struct memkv_pool *pool, uint64_t segment, struct owned *owned)
{
	return own_look(&pool->control, segment, owned) && share_is_me(pool, owned->word.slot, owned->word.epoch);
}

static void note(_Atomic uint64_t *bitmap, uint64_t segment, bool on)
{
	if (on)
		atomic_fetch_or(&bitmap[segment / 64], 1ULL << segment % 64);
	else
		atomic_fetch_and(&bitmap[segment / 64], ~(1ULL << segment % 64));
}

static bool is_noted(const _Atomic uint64_t *bitmap, uint64_t segment)
{
	return atomic_load(&bitmap[segment / 64]) >> segment % 64 & 1;
}

bool share_lost(const struct memkv_pool *pool, uint64_t segment)
{
	return pool->control.shared && is_noted(pool->share.lost, segment);
}

/*
 * Something about a segment's ownership was read; the factbook's lock is held.  What is ours, and nobody else's mark is on, we
 * know best.
 */
void share_owner_changed(void *context, uint64_t segment)
{
	struct memkv_pool *pool = context;
	const struct ownership *o = &pool->factbook.ownership;
	struct holding h = ownership_of(o, segment);
	struct owned owned;
	bool mine = share_is_me(pool, h.slot, h.epoch), marked = false;
	bool word_mine = word_is_mine(pool, segment, &owned);
	struct own_mark mark;

	for (uint32_t n = 0; !marked && ownership_mark(o, segment, n, &mark); n++)
		marked = !share_is_me(pool, mark.slot, mark.epoch);
	if (is_noted(pool->share.open, segment) && (mine || !MUTANT(ADOPTED_SETTLED))) { /* also when it was adopted from us meanwhile */
		if (!word_mine)
			set_word(&pool->control, segment, OWNER_OPEN, pool->slot.number, pool->slot.epoch);
	} else if (marked) {
		set_word(&pool->control, segment, OWNER_OPEN, mark.slot, mark.epoch);
	} else if (!mine || !word_mine) {
		set_word(&pool->control, segment, h.state, h.slot, h.epoch);
	}
	if (pool->slot.epoch)
		note(pool->share.lost, segment, !mine && ownership_last(o, segment, pool->slot.number, pool->slot.epoch));
	follower_stirred(&pool->follower, segment);
}

/* ---- stating ---- */

static void *table_at(const struct control *c, uint64_t segment) { return control_table(c, segment); }

/* SEALs that were put off: what was written to those tables has landed, then nobody here writes to them any more */
bool share_state_seals(struct memkv_pool *pool)
{
	struct share *share = &pool->share;
	const struct control *c = &pool->control;
	struct record records[SEALS_MAX];
	unsigned count;

	pthread_mutex_lock(&share->flush_lock);
	pthread_mutex_lock(&share->seal_lock);
	count = share->seal_count;
	for (unsigned i = 0; i < count; i++)
		records[i] = (struct record){
			.kind = RECORD_SEAL, .subject = share->seals[i].segment, .state = share->seals[i].state};
	share->seal_count = 0;
	pthread_mutex_unlock(&share->seal_lock);
	bool good = count == 0 || c->media->ops->settle(c->media) == 0;
	for (unsigned i = 0; good && i < count; i++)
		records[i].version = factbook_last(&pool->factbook, records[i].subject) + 1;
	good = good && (count == 0 || factbook_log(&pool->factbook, records, count, false) == 0);
	for (unsigned i = 0; good && i < count; i++) {
		note(share->open, records[i].subject, false);
		control_let_go(c, table_at(c, records[i].subject), c->layout.table_bytes);
		pthread_mutex_lock(&pool->factbook.lock);
		share_owner_changed(pool, records[i].subject);
		pthread_mutex_unlock(&pool->factbook.lock);
		note(share->lost, records[i].subject, false);
	}
	pthread_mutex_unlock(&share->flush_lock);
	return good;
}

static void put_off_seal(struct memkv_pool *pool, uint64_t segment, enum owner_state state)
{
	struct share *share = &pool->share;

	pthread_mutex_lock(&share->seal_lock);
	if (share->seal_count < SEALS_MAX) {
		share->seals[share->seal_count].segment = (uint32_t)segment;
		share->seals[share->seal_count++].state = state;
	} /* else it stays open for the others: at risk until we have left */
	pthread_mutex_unlock(&share->seal_lock);
}

/* somebody who adopted the segment from the same as its holder has left that mark */
static bool is_of_holders_level(struct memkv_pool *pool, uint64_t segment, const struct own_mark *mark)
{
	struct holding h = factbook_holding(&pool->factbook, segment);

	return ownership_level(mark->version) == ownership_level(h.version);
}

/* is somebody's mark on it who may be writing there?  *level: the highest of the marks of those who are gone */
static bool at_risk(struct memkv_pool *pool, uint64_t segment, uint64_t *level)
{
	struct own_mark mark;

	*level = 0;
	for (uint32_t n = 0; factbook_mark(&pool->factbook, segment, n, &mark); n++) {
		if (share_is_me(pool, mark.slot, mark.epoch) || (MUTANT(TWO_ADOPTERS) && is_of_holders_level(pool, segment, &mark)))
			continue;
		if (!share_quiet(pool, mark.slot, mark.epoch)) {
			set_word(&pool->control, segment, OWNER_OPEN, mark.slot, mark.epoch);
			return true;
		}
		*level = max_u64(*level, ownership_level(mark.version));
	}
	return false;
}

/* by what is known now: is it ours, and nobody else's mark on it that might be meant?  *raise: see facts/ownership.h */
static bool may_open(struct memkv_pool *pool, uint64_t segment, bool *raise)
{
	struct holding h = factbook_holding(&pool->factbook, segment);
	uint64_t level;

	if (!share_is_me(pool, h.slot, h.epoch) || h.offered || at_risk(pool, segment, &level))
		return false;
	*raise = level && level >= ownership_level(h.version);
	return true;
}

/* adopt it from ourselves, so that our OPEN voids the marks of those who are gone; then look again */
static bool raise_level(struct memkv_pool *pool, uint64_t segment)
{
	struct holding h = factbook_holding(&pool->factbook, segment);
	struct record r = {.kind = RECORD_ADOPT,
			    .subject = segment,
			    .version = ownership_adopted(&h),
			    .state = h.state == OWNER_OPEN ? OWNER_SEALED : h.state};
	bool again;

	return factbook_log(&pool->factbook, &r, 1, true) == 0 && factbook_refresh(&pool->factbook) &&
	       may_open(pool, segment, &again) && !again;
}

/* look -> OPEN, flushed -> look again; @anew: what it describes is given up, unless some of that is pinned */
static bool open_segment(struct memkv_pool *pool, uint64_t segment, bool anew)
{
	const struct control *c = &pool->control;
	struct factbook *book = &pool->factbook;

	uint64_t level, gives_up = 0;
	bool raise;

	if (!share_state_seals(pool) || !share_in_lease(pool))
		return false;
	if (!factbook_refresh(book) || !may_open(pool, segment, &raise) || (raise && !raise_level(pool, segment)))
		return false;
	if (anew && !share_describes(pool, segment, &gives_up))
		return false;
	struct holding h = factbook_holding(book, segment);
	struct record r = {.kind = RECORD_OPEN, .subject = segment, .version = ownership_next(&h), .state = h.state,
			    .generation = gives_up};
	if (factbook_log(book, &r, 1, true))
		return false;
	bool looked = MUTANT(NO_LOOK_AFTER_OPEN) || factbook_refresh(book);
	looked = looked && (!lease_lost(c, &pool->slot) || MUTANT(SLOT_LOST_UNSEEN)); /* else others need not have read our OPEN */
	h = factbook_holding(book, segment);
	if (looked && share_is_me(pool, h.slot, h.epoch) && h.version == r.version && !at_risk(pool, segment, &level) &&
	    !(gives_up && share_spares(pool, segment)) &&
	    control_hold(c, table_at(c, segment), c->layout.table_bytes)) {
		note(pool->share.open, segment, true);
		return true;
	}
	put_off_seal(pool, segment, r.state == OWNER_OPEN ? OWNER_SEALED : r.state); /* nothing was written */
	return false;
}

void share_publish_entry(struct memkv_pool *pool, uint64_t segment, uint32_t index)
{
	pthread_mutex_lock(&pool->share.flush_lock); /* it is not closed meanwhile */
	if (is_noted(pool->share.open, segment))
		control_publish(&pool->control, control_entry(&pool->control, segment, index), ENTRY_BYTES);
	pthread_mutex_unlock(&pool->share.flush_lock);
}

bool share_open_closed(struct memkv_pool *pool, uint64_t segment) { return open_segment(pool, segment, false); }

void share_close_again(struct memkv_pool *pool, uint64_t segment, enum owner_state state)
{
	struct owned owned;

	if (word_is_mine(pool, segment, &owned) && owned.word.state == OWNER_OPEN) /* settle.c leaves the word as it was */
		set_word(&pool->control, segment, state, pool->slot.number, pool->slot.epoch);
	put_off_seal(pool, segment, state);
	(void)share_state_seals(pool);
}

bool share_state(void *context, const struct owned *owned, enum owner_state to)
{
	struct memkv_pool *pool = context;
	bool was_open = owned->word.state == OWNER_OPEN && share_is_me(pool, owned->word.slot, owned->word.epoch);

	switch (to) {
	case OWNER_OPEN:
		return open_segment(pool, owned->segment, owned->word.state == OWNER_LEAVING || owned->word.state == OWNER_FREE);
	case OWNER_SEALED:
	case OWNER_PARKED:
		if (was_open)
			put_off_seal(pool, owned->segment, to);
		return true;
	case OWNER_LEAVING: /* nobody else's business: for the others it stays SEALED */
		return true;
	default:
		return false; /* FREE: share_keep_free() */
	}
}

bool share_mine(void *context, uint64_t segment)
{
	struct memkv_pool *pool = context;
	struct holding h = factbook_holding(&pool->factbook, segment);

	return share_is_me(pool, h.slot, h.epoch) && !h.offered;
}

bool share_writing(void *context, uint64_t segment)
{
	const struct memkv_pool *pool = context;
	struct owned owned;

	return is_noted(pool->share.open, segment) && word_is_mine(pool, segment, &owned) && owned.word.state == OWNER_OPEN;
}
