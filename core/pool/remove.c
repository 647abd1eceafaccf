/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two replacing puts of one key at once: each writes, then looks.  At least one of them sees the other; whoever sees removes
 * the one with the lower birth, its own as well, so exactly the highest stays, for every reader.  The other put is as if it had
 * come before.  What a put found when it began has a lower birth (put.c), so every removal is for something higher that is
 * there already, and the highest of all is never removed.
 *
 * remove: flag every copy's life word, then look for copies that turned up meanwhile, until none does.  A mover
 * publishes its copy as moving and then looks at the old life word; so one of the two sees the other (move.h).  The
 * flag is in force at once for every get in every process; it is flushed before the call returns.
 */
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/pool/deadline.h"
#include "core/pool/remove.h"
#include "core/pool/share_pins.h"

#include <memkv/timed.h>

#include <errno.h>
#include <string.h>

enum { COPIES_MAX = 64 };

void removal_lock(struct memkv_pool *pool)
{
	if (!MUTANT(FLAG_UNLOCKED))
		pthread_mutex_lock(&pool->follower.lock);
}

void removal_unlock(struct memkv_pool *pool)
{
	if (!MUTANT(FLAG_UNLOCKED))
		pthread_mutex_unlock(&pool->follower.lock);
}

/* the copy is live, or in doubt: put it in doubt, look, decide; 0: somebody else has changed it */
static int doubt_and_decide(struct memkv_pool *pool, uint64_t segment, const struct entry *e)
{
	const struct control *c = &pool->control;
	bool mine = table_doubt(c, segment, e->index, e->birth);

	factbook_refresh(&pool->factbook);
	bool pinned = factbook_pinned(&pool->factbook, e->key, e->session_id);
	if (pinned)
		return life_counts(table_life(c, segment, e->index, e->birth)) ? MEMKV_PINNED : 0;
	if (table_decide(c, segment, e->index, e->birth))
		return 1;
	/* another has decided what we put in doubt */
	return mine && table_life(c, segment, e->index, e->birth) == LIFE_REMOVED ? 1 : 0;
}

struct stating {
	struct memkv_pool *pool;
	struct record *r;
};

static int state_it(void *context)
{
	const struct stating *stating = context;
	int err = factbook_state(&stating->pool->factbook, stating->r);

	return err ? err : 1;
}

/* a shared device: not the block is flagged, which may be another's, but its birth is stated to be removed */
static int state_removal(struct memkv_pool *pool, uint64_t segment, const struct entry *e, bool force)
{
	struct record r = {.kind = RECORD_DEL, .birth = e->birth, .subject = segment, .generation = e->generation,
			    .class_id = e->index};
	if (!table_refresh_entries(&pool->control, segment, e->index, e->index + 1))
		return -EIO;
	enum life life = table_life(&pool->control, segment, e->index, e->birth);
	/* one for each segment: each is forgotten when that segment is written anew */
	if (life == LIFE_REMOVED || life == LIFE_OTHER || factbook_removed_in(&pool->factbook, e->key, e->birth, segment))
		return 0;
	bool before = factbook_removed(&pool->factbook, e->key, e->birth);
	memcpy(r.key, e->key, sizeof(r.key));
	struct stating stating = {pool, &r};
	int result = before ? state_it(&stating) : share_remove(pool, e, force, state_it, &stating);
	return result < 0 ? result : !before;
}

int removal_try(struct memkv_pool *pool, uint64_t segment, const struct entry *e, bool force)
{
	const struct control *c = &pool->control;

	if (c->shared)
		return state_removal(pool, segment, e, force);

	for (;;) {
		enum life life = table_life(c, segment, e->index, e->birth);
		if (force || MUTANT(KILL_BY_PLACE))
			return table_kill(c, segment, e->index, e->birth);
		if (life == LIFE_MOVING && MUTANT(REMOVE_SPARES_MOVING))
			return 0;
		if (life == LIFE_MOVING && table_kill_moving(c, segment, e->index, e->birth))
			return 1;
		if (life == LIFE_MOVING)
			continue; /* it has arrived, and may be pinned */
		if (life == LIFE_REMOVED || life == LIFE_OTHER)
			return 0;
		int result = doubt_and_decide(pool, segment, e);
		if (result)
			return result;
	}
}

struct hunt {
	struct memkv_pool *pool;
	const uint8_t *key;
	const struct births *only; /* NULL: all */
	uint64_t mine;		   /* birth of the replacing block; 0: none */
	struct births *note;	   /* not NULL: kill nothing, write down what is there */
	uint64_t segment;
	uint32_t page; /* in the segment */
	bool force, killed, spared, pinned;
	int error; /* a removal could not be stated */
	bool outdone; /* a copy with a higher birth than @mine is live */
	bool unread; /* the medium did not answer: it may be there */
};

bool births_has(const struct births *births, uint64_t birth)
{
	for (uint32_t i = 0; i < births->count; i++)
		if (births->births[i] == birth)
			return true;
	return false;
}

static void note_birth(struct births *births, const struct entry *e)
{
	if (e->session_id)
		births->session_id = e->session_id;
	if (births->count < BIRTHS_MAX && !births_has(births, e->birth))
		births->births[births->count++] = e->birth;
}

static void remove_copy(struct hunt *hunt, const struct entry *entry)
{
	int result = removal_try(hunt->pool, hunt->segment, entry, hunt->force);

	hunt->killed |= result > 0;
	hunt->pinned |= result == MEMKV_PINNED;
	if (result < 0 && result != MEMKV_PINNED) {
		hunt->error = result;
		hunt->spared = true;
	}
	/* another process has flagged it, and may stand still, or have died, before it told */
	if (result == 0 && !hunt->pool->control.shared)
		table_tell(&hunt->pool->control, hunt->segment);
}

static void spare(struct hunt *hunt, uint32_t index, const struct entry *entry)
{
	bool live = life_counts(table_life(&hunt->pool->control, hunt->segment, index, entry->birth)) &&
		    !(hunt->pool->control.shared && factbook_removed(&hunt->pool->factbook, entry->key, entry->birth)) &&
		    !(entry->expires_s && entry->expires_s <= clock_utc_s());

	hunt->spared = true;
	hunt->outdone |= hunt->mine && entry->birth > hunt->mine && live;
}

static void meet_entry(void *context, uint32_t index, enum entry_state state, const struct entry *entry, bool mended)
{
	struct hunt *hunt = context;

	(void)mended;
	if (state != ENTRY_HERE || entry->flags & ENTRY_VOID || entry->page != hunt->page ||
	    memcmp(entry->key, hunt->key, sizeof(entry->key)) != 0)
		return;
	if (hunt->note) {
		note_birth(hunt->note, entry);
		hunt->spared = true;
	} else if (hunt->only && !births_has(hunt->only, entry->birth) && entry->birth >= hunt->mine) {
		spare(hunt, index, entry);
	} else {
		remove_copy(hunt, entry);
	}
}

/* the copy at @place, through its segment's table */
static void meet_copy(struct hunt *hunt, struct place place)
{
	struct memkv_pool *pool = hunt->pool;
	const struct layout *layout = &pool->control.layout;
	struct table_header header;
	bool mended, unread = false;

	hunt->segment = layout_segment_of(layout, place.page);
	hunt->page = (uint32_t)(place.page - (layout_segment(layout, hunt->segment) >> PAGE_SHIFT));
	hunt->killed = hunt->spared = hunt->pinned = false;
	pthread_mutex_lock(&pool->follower.lock); /* the second sources use the follower's lane */
	uint64_t before = pool->recover_unread;
	hunt->unread = !table_refresh(&pool->control, hunt->segment);
	if (!hunt->unread &&
	    table_header_told(&pool->control, &pool->follower.recover, hunt->segment, &header, &mended, &unread)) {
		uint32_t n = table_count(&pool->control, hunt->segment, header.generation, NULL);
		table_walk(&pool->control, &pool->follower.recover, hunt->segment, header.generation, 0, n, meet_entry, hunt);
	}
	/* what only a header, or a second source, tells that did not answer: not found, and not known to be gone */
	unread = (unread && !MUTANT(SILENCE_BELIEVED)) || pool->recover_unread != before;
	hunt->unread |= unread && !hunt->killed && !hunt->spared;
	follower_give_back(&pool->follower, hunt->segment);
	pthread_mutex_unlock(&pool->follower.lock);
}

/*
 * What is indexed now: each copy is noted, spared or killed, up to one that is pinned.  Returns whether there was anything
 * that is gone now, killed or not found where it was: then it may have moved meanwhile, and a further look is due.
 */
static bool meet_indexed(struct hunt *hunt, int *removed, bool *unread)
{
	struct follower *f = &hunt->pool->follower;
	struct place places[COPIES_MAX];
	bool gone = false;

	uint64_t before = atomic_load(&hunt->pool->media->unread);
	follower_step(f);
	/* shared devices: the logs, or a table, could not be read, so there may be copies that we do not know of */
	*unread = hunt->pool->control.shared && atomic_load(&hunt->pool->media->unread) != before && !MUTANT(LOGS_UNREAD);
	uint32_t count = follower_copies(f, hunt->key, places, COPIES_MAX);
	SIM_SITE(NOTE_ONCE);
	for (uint32_t i = 0; i < count; i++) {
		meet_copy(hunt, places[i]);
		*removed += hunt->killed;
		*unread |= hunt->unread;
		if (hunt->pinned || hunt->error)
			return false;
		if (hunt->spared || hunt->unread)
			continue;
		follower_drop(f, hunt->key, places[i]);
		gone = true;
	}
	return gone;
}

int births_note(struct memkv_pool *pool, const uint8_t *key, struct births *births)
{
	struct hunt hunt = {.pool = pool, .key = key, .note = births};
	int none = 0;
	bool unread;

	*births = (struct births){0};
	while (meet_indexed(&hunt, &none, &unread) && !MUTANT(NOTE_ONCE))
		;
	return unread ? -EIO : 0;
}

/* a shared device: nothing was passed over that another may have acknowledged; and what another has removed is acknowledged */
static bool told_of_all(struct memkv_pool *pool, const uint8_t *key)
{
	/* the log of the slot's next holder is not read by who had it before: what that has put would count as gone */
	return (MUTANT(OWN_CELL_BELIEVED) || share_slot_ours(pool)) && factbook_vouch(&pool->factbook, key) == 0;
}

/* whether what was changed could be published is asked by those who call */
int births_remove(struct memkv_pool *pool, const uint8_t *key, const struct births *only, uint64_t mine, bool force)
{
	struct hunt hunt = {.pool = pool, .key = key, .only = only, .mine = mine, .force = force};
	int removed = 0;
	bool unread;

	while (meet_indexed(&hunt, &removed, &unread) && !MUTANT(REMOVE_ONCE))
		;
	if (hunt.pinned)
		return MEMKV_PINNED;
	if (hunt.error)
		return hunt.error;
	if (hunt.outdone && !unread) {
		struct births own = {.births = {mine}, .count = 1};
		/* whoever has pinned the key meanwhile may go by this copy, and the higher one be gone: then both stay */
		int more = births_remove(pool, key, &own, 0, MUTANT(OUTDONE_FORCED));
		unread = more < 0 && more != MEMKV_PINNED;
		removed += more > 0 ? more : 0;
	}
	/* copies that were passed over since their segment is just being opened anew: mirrored media must know that as well */
	if (!MUTANT(BEGUN_UNSETTLED))
		(void)pool->media->ops->settle(pool->media);
	return unread || (pool->control.shared && !told_of_all(pool, key)) ? -EIO : removed;
}

static int unpin_first(struct memkv_pool *pool, const uint8_t *key)
{
	struct record r;

	factbook_refresh(&pool->factbook);
	if (!factbook_of_key(&pool->factbook, key, &r) || r.kind != RECORD_PIN)
		return 0;
	r.kind = RECORD_UNPIN;
	return factbook_state(&pool->factbook, &r);
}

static int remove_refused(const struct memkv_pool *pool)
{
	return fail(MEMKV_PINNED, "%s: the block is pinned, or its session is; unpin it first, or remove it with --unpin",
		    pool->media->path);
}

static int64_t make_remove(struct memkv_pool *pool, struct chore *chore)
{
	const uint8_t *key = chore->key.bytes;
	bool force = chore->flags & MEMKV_REMOVE_UNPIN;
	int err = force ? unpin_first(pool, key) : 0;

	if (err)
		return err;
	int removed = births_remove(pool, key, NULL, 0, force);
	if (removed == MEMKV_NO_ROOM) {
		share_settle_now(pool);
		removed = births_remove(pool, key, NULL, 0, force);
	}
	if (removed == MEMKV_PINNED)
		return remove_refused(pool);
	if (removed == MEMKV_NO_ROOM)
		return removed;
	if (removed < 0)
		return fail(MEMKV_UNKNOWN, "%s: what describes a copy of the block cannot be read, so the block may still be there; "
					   "try again", pool->media->path);
	if (removed)
		count(&pool->counters.removes, (uint64_t)removed);
	if (!control_published(&pool->control))
		return fail(MEMKV_UNKNOWN, "%s: the removal could not be written, and may come back", pool->media->path);
	/* also when nothing was there: another's removal, or the eviction, that we have seen need not be on the medium yet */
	bool unflushed = removed == 0 ? MUTANT(MISS_UNFLUSHED) : pool->control.shared && MUTANT(DEL_UNFLUSHED);
	err = unflushed ? 0 : pool->media->ops->flush(pool->media);
	if (!err && !control_whole(&pool->control))
		return fail(MEMKV_DEGRADED, "%s: a namespace of the pool is lost: what it holds under this key comes back with it; what "
					    "could be reached is removed", pool->media->path);
	if (!err && removed == 0)
		return MEMKV_MISS;
	return err ? fail(err, "%s: the removal is in force, but could not be flushed: %s", pool->media->path,
			  memkv_strerror(err))
		   : removed;
}

int memkv_remove_by(struct memkv_pool *pool, const struct memkv_key *key, uint32_t flags, uint64_t deadline_us)
{
	POOL_USE use = pool_enter(pool, ENTRY_WRITE);

	if (!use.inside)
		return use.result;
	if (!key)
		return fail(-EINVAL, "remove: a key is needed");
	if (pool->read_only)
		return fail(MEMKV_READ_ONLY, "%s was opened read-only; remove needs it open for writing", pool->media->path);
	struct chore chore = {.make = make_remove, .changes = true, .key = *key, .flags = flags};
	return (int)deadline_make(pool, &chore, deadline_us);
}

int memkv_remove_with(struct memkv_pool *pool, const struct memkv_key *key, uint32_t flags)
{
	return memkv_remove_by(pool, key, flags, 0);
}

int memkv_remove(struct memkv_pool *pool, const struct memkv_key *key)
{
	return memkv_remove_by(pool, key, 0, 0);
}
