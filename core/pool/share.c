/* SPDX-License-Identifier: Apache-2.0 */
/* See share.h. */
#include "core/pool/share.h"
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/log/checkpoint.h"
#include "core/media/late_write.h"
#include "core/pool/handle.h"
#include "core/pool/share_pins.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool is_me(const struct memkv_pool *pool, uint32_t slot, uint32_t epoch)
{
	return pool->slot.epoch && slot == pool->slot.number && (epoch == pool->slot.epoch || MUTANT(OWN_EPOCH_IGNORED));
}

/* ---- the words ---- */

static void set_word(const struct control *c, uint64_t segment, enum owner_state state, uint32_t slot, uint32_t epoch)
{
	struct owner_word word = {.state = state, .slot = slot % (1u << OWNER_SLOT_BITS), .epoch = epoch & EPOCH_MAX};

	word_publish(control_owner_word(c, segment), owner_word_encode(word, segment, c->seed));
}

static bool word_is_mine(const struct memkv_pool *pool, uint64_t segment, struct owned *owned)
{
	return own_look(&pool->control, segment, owned) && is_me(pool, owned->word.slot, owned->word.epoch);
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
static void ownership_changed(void *context, uint64_t segment)
{
	struct memkv_pool *pool = context;
	const struct ownership *o = &pool->factbook.ownership;
	struct holding h = ownership_of(o, segment);
	struct owned owned;
	bool mine = is_me(pool, h.slot, h.epoch), marked = false;
	bool word_mine = word_is_mine(pool, segment, &owned);
	struct own_mark mark;

	for (uint32_t n = 0; !marked && ownership_mark(o, segment, n, &mark); n++)
		marked = !is_me(pool, mark.slot, mark.epoch);
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

static void set_all_words(struct memkv_pool *pool)
{
	for (uint64_t s = 0; s < pool->sb.geo.segments; s++)
		ownership_changed(pool, s);
}

/* ---- lease ---- */

/* our slot's other copy, read anew; MEMKV_IN_USE: the slot is another's by now, and nothing that is its is ours to write any more */
static int guard_slot(struct memkv_pool *pool)
{
	if (MUTANT(SLOT_LOST_UNSEEN))
		return 0;
	pthread_mutex_lock(&pool->share.beat_lock);
	int err = lease_guard(&pool->control, &pool->slot);
	pthread_mutex_unlock(&pool->share.beat_lock);
	if (err == MEMKV_IN_USE)
		atomic_store(&pool->media->unpublished, true);
	return err;
}

/*
 * Who was asked whether the slot is his, and stood still before this, wrote over the cell of its next holder, who mends that; one that
 * comes late, or is the first, is no sign that the slot is ours: so then it counts for the lease only when it is ours behind it as well.
 */
static int beat(struct memkv_pool *pool, uint64_t tail)
{
	struct share *share = &pool->share;
	uint64_t began = clock_boot_us();

	SIM_SITE(LATE_BEAT_BELIEVED); /* whoever stands still here */
	pthread_mutex_lock(&share->beat_lock);
	/* a tail that is already told is not taken back */
	int err = lease_beat(&pool->control, &pool->slot, max_u64(tail, pool->slot.cell.log_tail));
	pthread_mutex_unlock(&share->beat_lock);
	if (!err && !share_in_lease(pool) && !MUTANT(LATE_BEAT_BELIEVED) && !MUTANT(ATTACH_UNGUARDED))
		err = guard_slot(pool);
	if (!err)
		atomic_store(&share->good_us, began);
	return err;
}

/* likewise, when that could be read; else nothing is to be written that a next holder might have there by now */
static bool may_write_cell(struct memkv_pool *pool)
{
	int err = guard_slot(pool);

	return !err || (err != MEMKV_IN_USE && (share_in_lease(pool) || MUTANT(KEPT_UNREAD)));
}

bool share_slot_ours(struct memkv_pool *pool) { return share_in_lease(pool) || guard_slot(pool) == 0; }

static bool still_ours_to_write(void *context) { return share_slot_ours(context); }

/* a removal stands in the log: now the cell says so; the factbook's lock is held */
static int tell_tail(void *context, uint64_t tail)
{
	struct memkv_pool *pool = context;
	bool in_lease = share_in_lease(pool);
	int err = beat(pool, tail);

	if (!err && !MUTANT(DEL_UNFLUSHED))
		err = pool->media->ops->flush(pool->media);
	/* else the slot may have passed on, and its next holder have read our log before that record was there */
	if (err == MEMKV_IN_USE)
		return -EIO;
	return err || in_lease || guard_slot(pool) == 0 ? err : -EIO;
}

/* do we write to it?  Then our mirror of its table is ahead of the medium; the factbook's lock is held */
static bool marked_by_us(const struct memkv_pool *pool, uint64_t segment)
{
	struct own_mark mark;

	for (uint32_t n = 0; ownership_mark(&pool->factbook.ownership, segment, n, &mark); n++)
		if (is_me(pool, mark.slot, mark.epoch))
			return true;
	return false;
}

/*
 * What a removal was about is gone for good when its segment describes another generation, or the entry says so itself: on the
 * medium, for it is whoever reads that who must not need the log any more.  The factbook's lock is held.
 */
static bool removal_settled(void *context, const struct record *r)
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

bool share_in_lease(const struct memkv_pool *pool)
{
	const struct share *share = &pool->share;

	uint64_t good = atomic_load(&share->good_us); /* 0: there was none yet */

	return !pool->control.shared || (good && clock_boot_us() - good < share->timing.self_ms * 1000ULL);
}

static void watch_others(struct memkv_pool *pool)
{
	struct share *share = &pool->share;

	const struct control *c = &pool->control;
	uint64_t now = clock_boot_us(), silent_us = share->timing.beat_ms * 2500ULL;

	if (lease_refresh(c) < 0)
		return;
	pthread_mutex_lock(&share->watch_lock);
	lease_look(&share->watch, c, now);
	/* the quarantine of who is proven gone begins when that is seen, not when somebody needs its segments */
	for (uint32_t n = 0; n < c->layout.geo.slots; n++) {
		uint32_t epoch = share->watch.slots[n].epoch;
		if (epoch && !is_me(pool, n, epoch) && lease_still_us(&share->watch, n, epoch) >= silent_us)
			(void)lease_quiet(&share->watch, c, &share->timing, n, epoch);
	}
	pthread_mutex_unlock(&share->watch_lock);
}

void share_listen(struct memkv_pool *pool)
{
	struct share *share = &pool->share;
	const struct control *c = &pool->control;
	struct slot_cell cell;
	bool any = false;

	watch_others(pool);
	for (uint32_t n = 0; n < c->layout.geo.slots; n++)
		any |= slot_read(c, n, &cell) != CHECK_BAD && cell.state == SLOT_ACTIVE && !is_me(pool, n, cell.epoch);
	if (share->keeping || !any)
		return;
	clock_sleep_us(share->timing.beat_ms * 3000ULL);
	watch_others(pool);
}

bool share_silent(struct memkv_pool *pool, uint32_t slot)
{
	struct share *share = &pool->share;
	struct slot_cell cell;

	if (slot_read(&pool->control, slot, &cell) == CHECK_BAD)
		return false;
	pthread_mutex_lock(&share->watch_lock);
	uint64_t still = lease_still_us(&share->watch, slot, cell.epoch);
	pthread_mutex_unlock(&share->watch_lock);
	return still >= share->timing.beat_ms * 2500ULL;
}

enum check_result share_read_cell(struct memkv_pool *pool, uint32_t slot, struct slot_cell *cell)
{
	const struct control *c = &pool->control;
	bool ours = c->shared && slot == pool->slot.number && !MUTANT(CELL_HALFWAY);

	if (ours)
		pthread_mutex_lock(&pool->share.beat_lock);
	enum check_result result = slot_refresh(c, slot) ? slot_read(c, slot, cell) : CHECK_BAD;
	if (ours)
		pthread_mutex_unlock(&pool->share.beat_lock);
	return result;
}

bool share_quiet(void *context, uint32_t slot, uint32_t epoch)
{
	struct memkv_pool *pool = context;
	struct share *share = &pool->share;

	if (is_me(pool, slot, epoch))
		return false;
	if (MUTANT(REOPEN_AT_RISK))
		return true;
	pthread_mutex_lock(&share->watch_lock);
	bool quiet = lease_quiet(&share->watch, &pool->control, &share->timing, slot, epoch);
	pthread_mutex_unlock(&share->watch_lock);
	return quiet;
}

/* ---- stating ---- */

static void *table_at(const struct control *c, uint64_t segment) { return control_table(c, segment); }

/* SEALs that were put off: what was written to those tables has landed, then nobody here writes to them any more */
static bool state_seals(struct memkv_pool *pool)
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
		ownership_changed(pool, records[i].subject);
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
		if (is_me(pool, mark.slot, mark.epoch) || (MUTANT(TWO_ADOPTERS) && is_of_holders_level(pool, segment, &mark)))
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

	if (!is_me(pool, h.slot, h.epoch) || h.offered || at_risk(pool, segment, &level))
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

	if (!state_seals(pool) || !share_in_lease(pool))
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
	if (looked && is_me(pool, h.slot, h.epoch) && h.version == r.version && !at_risk(pool, segment, &level) &&
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
	(void)state_seals(pool);
}

void share_settle_now(struct memkv_pool *pool)
{
	pthread_mutex_lock(&pool->room.refill);
	while (adopt_ended(pool))
		;
	share_settle(pool);
	pthread_mutex_unlock(&pool->room.refill);
}

static bool share_state(void *context, const struct owned *owned, enum owner_state to)
{
	struct memkv_pool *pool = context;
	bool was_open = owned->word.state == OWNER_OPEN && is_me(pool, owned->word.slot, owned->word.epoch);

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

static bool share_mine(void *context, uint64_t segment)
{
	struct memkv_pool *pool = context;
	struct holding h = factbook_holding(&pool->factbook, segment);

	return is_me(pool, h.slot, h.epoch) && !h.offered;
}

static bool share_writing(void *context, uint64_t segment)
{
	const struct memkv_pool *pool = context;
	struct owned owned;

	return is_noted(pool->share.open, segment) && word_is_mine(pool, segment, &owned) && owned.word.state == OWNER_OPEN;
}

/* ---- the keeper ---- */

static void nap(struct share *share)
{
	struct timespec until;
	uint64_t us = share->timing.beat_ms * 1000ULL;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(us / 1000000);
	until.tv_nsec += (long)(us % 1000000) * 1000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&share->nap_lock);
	while (!atomic_load(&share->stop) && pthread_cond_timedwait(&share->nap, &share->nap_lock, &until) == 0)
		;
	pthread_mutex_unlock(&share->nap_lock);
}

/* is it still our pool, and not one that was made over it while we were stopped, or cut off? */
static bool still_ours(struct memkv_pool *pool)
{
	const struct control *c = &pool->control;
	struct superblock sb;
	bool mended;

	if (!control_refresh(c, c->base, PAGE))
		return true; /* that says nothing */
	int err = superblock_decode(c->base, 0, &sb, &mended);
	if (err == MEMKV_NOT_A_POOL || (!err && (sb.seed != pool->sb.seed || sb.instance != pool->sb.instance)))
		atomic_store(&pool->media->failed, true);
	return !atomic_load(&pool->media->failed);
}

static void *keep(void *context)
{
	struct memkv_pool *pool = context;

	while (!atomic_load(&pool->share.stop) && still_ours(pool)) {
		if (may_write_cell(pool))
			(void)beat(pool, factbook_tail(&pool->factbook));
		if (lease_lost(&pool->control, &pool->slot) && !MUTANT(SLOT_LOST_UNSEEN))
			break;
		watch_others(pool);
		nap(&pool->share);
	}
	return NULL;
}

static void settle_if_many(struct memkv_pool *pool)
{
	struct share *share = &pool->share;

	if (!factbook_crowded(&pool->factbook))
		return;
	pthread_mutex_lock(&share->give_lock);
	if (share->giving && pthread_mutex_trylock(&pool->room.refill) == 0) {
		share_settle(pool);
		pthread_mutex_unlock(&pool->room.refill);
	}
	pthread_mutex_unlock(&share->give_lock);
}

/* what may have to wait for others in this process, so that no heartbeat does */
static void *do_chores(void *context)
{
	struct memkv_pool *pool = context;

	while (!atomic_load(&pool->share.stop)) {
		(void)state_seals(pool);
		give_answer(pool);
		settle_if_many(pool);
		nap(&pool->share);
	}
	return NULL;
}

static int start_keeper(struct memkv_pool *pool)
{
	struct share *share = &pool->share;
	int err = pthread_create(&share->keeper, NULL, keep, pool);

	share->keeping = err == 0;
	if (!err) {
		err = pthread_create(&share->helper, NULL, do_chores, pool);
		share->helping = err == 0;
	}
	return err ? fail(-err, "%s: cannot start the thread that keeps the lease: %s", pool->media->path, strerror(err)) : 0;
}

static void stop_keeper(struct share *share)
{
	if (!share->keeping)
		return;
	pthread_mutex_lock(&share->nap_lock);
	atomic_store(&share->stop, true);
	pthread_cond_broadcast(&share->nap);
	pthread_mutex_unlock(&share->nap_lock);
	pthread_join(share->keeper, NULL);
	if (share->helping)
		pthread_join(share->helper, NULL);
	share->keeping = share->helping = false;
}

/* ---- coming and going ---- */

static void keep_local(struct memkv_pool *pool)
{
	const struct layout *l = &pool->control.layout;

	pool->media->local[0] = (struct media_range){l->offset[REGION_OWNER_WORDS],
						      l->offset[REGION_OWNER_WORDS] + l->length[REGION_OWNER_WORDS]};
	pool->media->local[1] = (struct media_range){l->offset[REGION_HEAT],
						      l->offset[REGION_STATISTICS] + l->length[REGION_STATISTICS]};
}

/* how late a write of ours may land follows from this host's connection; our cell says so to those who out-wait it */
static void out_wait(struct memkv_pool *pool)
{
	enum { MARGIN_S = 15 };
	struct lease_timing *t = &pool->share.timing;
	struct late_write late;

	if (t->given || !late_write_of_device("", pool->media->path, &late) || !late.fabric)
		return;
	t->quarantine_ms = late.bounded ? (uint32_t)min_u64(max_u64(t->quarantine_ms, (late.seconds + MARGIN_S) * 1000ULL),
							    UINT32_MAX)
					: UINT32_MAX;
}

int share_open(struct memkv_pool *pool)
{
	struct share *share = &pool->share;
	struct control *c = &pool->control;
	pthread_condattr_t attributes;
	struct identity id;

	share->pool = pool;
	identity_read(&id);
	memcpy(c->machine, id.machine, sizeof(c->machine));
	memcpy(c->boot, id.boot, sizeof(c->boot));
	int err = pool->media->ops->node(pool->media, &c->node_device, &c->node_inode);
	if (!err)
		err = lease_timing_read(&share->timing);
	if (err)
		return err;
	out_wait(pool);
	c->pass_us = share->timing.claim_ms * 1000ULL;
	share->lost = calloc(div_up(pool->sb.geo.segments, 64), sizeof(*share->lost));
	share->open = calloc(div_up(pool->sb.geo.segments, 64), sizeof(*share->open));
	if (!share->lost || !share->open) {
		free(share->lost);
		free(share->open);
		share->lost = share->open = NULL;
		return fail(-ENOMEM, "%s: no memory to attach", pool->media->path);
	}
	keep_local(pool);
	pthread_mutex_init(&share->beat_lock, NULL);
	pthread_mutex_init(&share->watch_lock, NULL);
	pthread_mutex_init(&share->adopt_lock, NULL);
	pthread_mutex_init(&share->give_lock, NULL);
	pthread_mutex_init(&share->seal_lock, NULL);
	pthread_mutex_init(&share->flush_lock, NULL);
	pthread_mutex_init(&share->nap_lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&share->nap, &attributes);
	pthread_condattr_destroy(&attributes);
	share->ops = (struct own_share){
		.mine = share_mine, .writing = share_writing, .gone = share_quiet, .state = share_state, .still = still_ours_to_write,
		.adopt = share_adopt};
	return 0;
}

void share_words(struct memkv_pool *pool)
{
	pool->factbook.share = (struct factbook_share){
		.changed = ownership_changed, .quiet = share_quiet, .settled = removal_settled, .tell = tell_tail,
		.still = still_ours_to_write, .context = pool};
	pthread_mutex_lock(&pool->factbook.lock);
	set_all_words(pool);
	pthread_mutex_unlock(&pool->factbook.lock);
}

/*
 * What stands in the log before ours cannot be brought over: the next one may try, and finds it named still.  Or the slot is another's
 * by now: then nothing is written any more.
 */
static int give_slot_back(struct memkv_pool *pool, int err)
{
	bool unread = !may_write_cell(pool), lost = unread && lease_lost(&pool->control, &pool->slot);

	if (unread)
		atomic_store(&pool->media->unpublished, true); /* it ends, and does not leave */
	slot_leave(&pool->control, &pool->slot);
	pool->control.share = NULL;
	pool->slot.epoch = 0;
	if (lost)
		return fail(MEMKV_IN_USE, "%s: this host stood still for so long while it attached that its slot has passed on; open it again",
			    pool->media->path);
	return fail(err, "%s: the slot cannot be taken: what its log says is not brought over, or no heartbeat written: %s",
		    pool->media->path, memkv_strerror(err));
}

/* the log before ours is ours; then the first heartbeat.  Until then, nobody hears of us, so the slot is looked at before each write. */
static int settle_in(struct memkv_pool *pool)
{
	int err = factbook_bring_over(&pool->factbook, &pool->slot);

	if (!err)
		err = lease_brought_over(&pool->control, &pool->slot);
	if (!err && !MUTANT(ATTACH_UNGUARDED))
		err = guard_slot(pool);
	return err ? err : beat(pool, 0);
}

int share_attach(struct memkv_pool *pool, const struct slot_guard *guard)
{
	struct share *share = &pool->share;
	const struct control *c = &pool->control;
	int err = lease_claim(c, &share->timing, guard, &pool->slot);

	if (err)
		return err;
	struct log_identity me = {.slot = pool->slot.number, .epoch = pool->slot.epoch, .nonce = pool->slot.nonce};
	if (!ring_hold(c, &me) || !checkpoint_hold(c, me.slot))
		return fail(-EIO, "%s: the slot's log cannot be read", pool->media->path);
	pool->control.share_context = pool;
	pool->control.share = &share->ops;
	err = settle_in(pool);
	if (err)
		return give_slot_back(pool, err);
	factbook_attach(&pool->factbook, &pool->slot);
	share->attached = true;
	watch_others(pool);
	return start_keeper(pool);
}

void share_leave(struct memkv_pool *pool)
{
	if (!pool->share.attached)
		return;
	(void)state_seals(pool);
	stop_keeper(&pool->share);
	if (!may_write_cell(pool))
		atomic_store(&pool->media->unpublished, true); /* it ends, and does not leave */
	if (control_published(&pool->control))
		(void)pool->media->ops->flush(pool->media);
}

void share_close(struct memkv_pool *pool)
{
	struct share *share = &pool->share;

	if (!share->lost)
		return;
	stop_keeper(share);
	free(share->lost);
	free(share->open);
	share->lost = share->open = NULL;
	pthread_mutex_destroy(&share->beat_lock);
	pthread_mutex_destroy(&share->watch_lock);
	pthread_mutex_destroy(&share->adopt_lock);
	pthread_mutex_destroy(&share->give_lock);
	pthread_mutex_destroy(&share->seal_lock);
	pthread_mutex_destroy(&share->flush_lock);
	pthread_mutex_destroy(&share->nap_lock);
	pthread_cond_destroy(&share->nap);
}
