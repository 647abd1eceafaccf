/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reclaim: which segment goes, and which of its blocks stay (room.h has the policy and why; move.h how a block moves).
 *
 * A victim is made LEAVING, and only then the facts are looked at: a pin that was stated before is known, a later one
 * sees that the segment is LEAVING.  Its pinned blocks move, whatever their heat; a victim whose pinned blocks do not
 * fit into the room that there is for moves is not chosen.  Before it is opened anew the facts are looked at once more.
 * Likewise the hold cells (holds.h): what somebody uses in place is not chosen, and looked at once more.
 */
#include "core/base/environ.h"
#include "core/pool/generation.h"
#include "core/pool/keep.h"
#include "core/pool/move.h"
#include "core/pool/remove.h"
#include "core/pool/share_pins.h"

#include <errno.h>
#include <string.h>

enum { SECOND_CHANCES = 16 };

/* what there is in a segment */
struct survey {
	struct memkv_pool *pool;
	uint64_t segment;
	bool cool; /* lower the heat of what is hot */
	bool unread; /* there are pins, and its table cannot be read now: nobody knows what of it they are about */
	uint64_t hot_pages, live_pages, pinned_pages, pinned_blocks, blocks, bytes; /* live: not pinned */
};

static bool pins_there(const struct memkv_pool *pool)
{
	return atomic_load_explicit(&pool->factbook.pins, memory_order_acquire) > 0;
}

static uint64_t pages_of(const struct entry *e) { return e->header_pages + block_pages(e->length); }

static bool is_pinned(struct memkv_pool *pool, const struct entry *e)
{
	return factbook_pinned(&pool->factbook, e->key, e->session_id);
}

static bool expired(const struct entry *e) { return e->expires_s && e->expires_s <= clock_utc_s(); }

static bool count_block(void *context, const struct entry *e)
{
	struct survey *s = context;

	if (is_pinned(s->pool, e)) {
		s->pinned_pages += pages_of(e);
		s->pinned_blocks++;
		return false;
	}
	if (expired(e))
		return false;
	s->blocks++;
	s->bytes += e->length;
	s->live_pages += pages_of(e);
	unsigned heat = heat_read(s->pool, s->segment, e->page);
	if (heat)
		s->hot_pages += pages_of(e);
	if (heat && s->cool)
		heat_set(s->pool, s->segment, e->page, heat - 1);
	return false;
}

/* the victim is LEAVING and ours: nothing is published into it */
static struct survey survey(struct memkv_pool *pool, uint64_t segment, bool cool)
{
	struct survey s = {.pool = pool, .segment = segment, .cool = cool};
	uint64_t generation, unread = atomic_load(&pool->media->unread);

	entries_collect(pool, segment, count_block, &s, pool->room.entries, &generation);
	s.unread = atomic_load(&pool->media->unread) != unread && pins_there(pool);
	if (pool->control.shared && s.pinned_blocks) { /* what moved away keeps its old place there */
		uint32_t excused, left = share_pinned(pool, segment, &excused);
		s.pinned_pages = s.pinned_blocks = 0;
		for (; left; left--, s.pinned_blocks++)
			s.pinned_pages += pages_of(&pool->room.entries[left - 1]);
	}
	return s;
}

/*
 * A device may have learned of the next generation, with the places that it has reserved ahead, and its opener have died before
 * it learned that the segment is OPEN.  So nothing was put there, and nobody will make those places void.
 */
static void give_places_back(struct memkv_pool *pool, uint64_t segment)
{
	const struct control *c = &pool->control;
	const struct follower_recover *recover = &pool->follower.recover;
	struct table_header header;
	struct entry first;

	pthread_mutex_lock(&pool->follower.lock);
	bool begun = table_refresh(c, segment) && table_header(c, segment, &header) != CHECK_BAD && header.generation &&
		     table_unused(c, segment, header.generation);
	/* a table that was wiped is not one that was never used */
	if (begun && !recover->entry(recover->context, segment, header.generation, 0, 1, &first))
		table_reserve(c, segment, header.generation, 0);
	pthread_mutex_unlock(&pool->follower.lock);
}

void reclaim_leave(struct room *room, struct owned *victim)
{
	const struct control *c = &room->pool->control;

	if (victim->orphan) { /* the dead may have got as far as this, and not told */
		table_tell(c, victim->segment);
		if (!room->pool->control.shared) /* nothing was written there before its OPEN */
			generation_mend_header(room, victim->segment);
		if (!room->pool->media->caps.mappable && !room->pool->control.shared && !MUTANT(PLACES_NOT_GIVEN_BACK))
			give_places_back(room->pool, victim->segment);
	}
	/* nobody takes what a living incarnation owns: a lost race here means a damaged word, which others rebuild */
	(void)own_move(c, victim, OWNER_SEALED, &room->pool->slot);
}

static uint64_t half_of_segment(const struct memkv_pool *pool, uint64_t segment)
{
	return layout_segment_pages(&pool->control.layout, segment) / 2;
}

/* half of it or less is left: that moves, rather than that something of others goes */
static bool sparse(const struct memkv_pool *pool, const struct survey *s)
{
	return s->live_pages + s->pinned_pages <= half_of_segment(pool, s->segment);
}

static void spare(struct room *room, struct owned *victim)
{
	spent_forget(&room->pool->follower.spent[victim->segment]); /* else it would be the next one again */
	control_renew_age(&room->pool->control, victim->segment);
	reclaim_leave(room, victim);
}

void reclaim_refuse(struct room *room, struct owned *victim)
{
	generation_mend_header(room, victim->segment);
	spare(room, victim);
}

struct taste {
	struct memkv_pool *pool;
	uint64_t now_s;
	bool moves; /* what is left of a victim will move */
};

static unsigned rank_of(void *context, uint64_t segment)
{
	const struct taste *taste = context;
	const struct memkv_pool *pool = taste->pool;
	enum spent_rank rank = spent_rank(&pool->follower.spent[segment], layout_segment_pages(&pool->control.layout, segment),
					  taste->now_s);

	return rank == SPENT_HALF && !taste->moves ? SPENT_LITTLE : rank;
}

/*
 * The most spent, else the oldest that is not mostly in use - after some second chances, the oldest - and with at most so much pinned.  0,
 * MEMKV_NO_ROOM, or -errno: then the dead have moved what cannot be flushed, and the segment stays LEAVING, ours, until we are
 * dead in our turn.
 */
static int choose(struct room *room, struct owned *victim, struct room_left pinned_max, bool moves)
{
	struct memkv_pool *pool = room->pool;
	struct taste taste = {pool, clock_utc_s(), moves};
	const struct control *c = &pool->control;
	uint64_t passed_over = 0, first_passed = UINT64_MAX;

	if (MUTANT(PIN_LOOK_AT_RETIRE_ONLY))
		factbook_refresh(&pool->factbook);
	for (int chance = 0; own_take_oldest(c, &pool->slot, rank_of, &taste, victim);) {
		bool hinted = rank_of(&taste, victim->segment) != SPENT_LITTLE;
		uint64_t half = half_of_segment(pool, victim->segment);
		int err = victim->orphan && !MUTANT(MOVED_UNFLUSHED) ? pool->media->ops->flush(pool->media) : 0;
		if (err)
			return err;
		if (!MUTANT(PIN_LOOK_AT_RETIRE_ONLY))
			factbook_refresh(&pool->factbook); /* it is LEAVING: now look */
		struct survey s = survey(pool, victim->segment, false);
		if (s.unread || s.pinned_pages > pinned_max.pages || s.pinned_blocks > pinned_max.blocks ||
		    holds_there(pool, victim->segment)) {
			spare(room, victim);
			if (victim->segment == first_passed || ++passed_over > c->layout.segments)
				return MEMKV_NO_ROOM; /* it was made the youngest then: all the others have been looked at */
			if (passed_over == 1)
				first_passed = victim->segment;
			continue;
		}
		if (hinted && !sparse(pool, &s)) { /* it was opened anew, or told wrongly */
			spent_forget(&pool->follower.spent[victim->segment]);
			reclaim_leave(room, victim);
			continue;
		}
		if (chance == SECOND_CHANCES || s.hot_pages + s.pinned_pages <= half)
			return 0;
		(void)survey(pool, victim->segment, true);
		spare(room, victim);
		chance++;
	}
	return control_published(c) ? MEMKV_NO_ROOM : -EIO;
}

static bool want_pinned(void *context, const struct entry *e) { return is_pinned(context, e); }

/* every pinned block into the rest of the current segment; false: one of them is still here, or may be */
static bool move_pinned(struct room *room, uint64_t segment)
{
	struct memkv_pool *pool = room->pool;
	uint64_t generation, unread = atomic_load(&pool->media->unread);
	uint32_t excused, n = pool->control.shared
				      ? share_pinned(pool, segment, &excused)
				      : entries_collect(pool, segment, want_pinned, pool, room->entries, &generation);

	for (uint32_t i = 0; i < n; i++) {
		enum move_result result = move_to_rest(pool, segment, &room->entries[i]);
		if (result == MOVE_FAILED || result == MOVE_NO_ROOM)
			return false;
	}
	return atomic_load(&pool->media->unread) == unread || !pins_there(pool);
}

struct used {
	struct memkv_pool *pool;
	uint64_t segment;
	bool all;
};

static bool want_used(void *context, const struct entry *e)
{
	struct used *used = context;

	return !expired(e) && (used->all || heat_read(used->pool, used->segment, e->page) > 0);
}

/* what was used since it was written, or all that there is */
static void move_used(struct room *room, uint64_t segment, bool all, uint64_t pages_left)
{
	struct used used = {room->pool, segment, all};
	uint64_t generation;
	uint32_t n = entries_collect(room->pool, segment, want_used, &used, room->entries, &generation);

	for (uint32_t i = 0; i < n; i++) {
		uint64_t pages = pages_of(&room->entries[i]);
		if (pages <= pages_left && move_to_rest(room->pool, segment, &room->entries[i]) == MOVE_DONE)
			pages_left -= pages;
	}
}

/* not emptied after all: what has moved has its one place before others may take the segment; else it stays LEAVING */
static void leave(struct room *room, struct owned *victim)
{
	if (moves_settle(room->pool, victim->segment) == 0)
		spare(room, victim);
}

bool reclaim_keeps_free(const struct room *room)
{
	factbook_refresh(&room->pool->factbook);
	return pins_there(room->pool);
}

static void prepare_one(struct room *room)
{
	struct memkv_pool *pool = room->pool;

	if (room->next_ready || own_any_ready(&pool->control, &pool->slot, pins_there(pool)) ||
	    choose(room, &room->next, room_rest(room), true))
		return;
	room->next_since_us = clock_monotonic_us();
	uint64_t rest = room_rest(room).pages, segment = room->next.segment;
	uint64_t half = half_of_segment(pool, segment);
	struct survey s = survey(pool, segment, false);
	bool all = sparse(pool, &s);
	if (!move_pinned(room, segment)) {
		leave(room, &room->next);
		return;
	}
	uint64_t taken = rest - min_u64(rest, room_rest(room).pages); /* other threads' puts among it */
	move_used(room, segment, all, half - min_u64(half, taken));
	room->next_ready = true;
	(void)reclaim_secure(room); /* when it fails it is tried again before the segment goes */
}

void reclaim_prepare(struct room *room)
{
	enum { AT_ONCE = 2 };

	for (uint32_t i = 0, wanted = keep_wanted(room); i < AT_ONCE && room->early_count < wanted; i++) {
		prepare_one(room);
		if (!room->next_ready || reclaim_secure(room))
			break;
		room->early[room->early_count++] = (struct early){room->next, room->next_since_us};
		room->next_ready = false;
	}
	if (!room->early_count)
		prepare_one(room);
}

void reclaim_reconsider(struct room *room)
{
	struct taste taste = {room->pool, clock_utc_s(), false};
	uint64_t segments = room->pool->control.layout.segments, s = 0;

	struct owned owned;

	if (!room->next_ready || rank_of(&taste, room->next.segment) != SPENT_LITTLE)
		return;
	while (s < segments && (rank_of(&taste, s) == SPENT_LITTLE || !own_look(&room->pool->control, s, &owned) ||
				owned.word.state != OWNER_SEALED))
		s++;
	if (s == segments || moves_settle(room->pool, room->next.segment))
		return;
	reclaim_leave(room, &room->next);
	room->next_ready = false;
}

bool reclaim_chosen(const struct room *room, uint64_t *wait_us)
{
	*wait_us = keep_wait(room->pool, room->early_count ? room->early[0].since_us : room->next_since_us);
	return room->early_count || room->next_ready;
}

int reclaim_next(struct room *room, struct owned *victim)
{
	if (room->early_count) {
		*victim = room->early[0].owned;
		memmove(room->early, room->early + 1, --room->early_count * sizeof(room->early[0]));
		return 0;
	}
	int err = reclaim_secure(room);
	if (err)
		return err == -EAGAIN ? -EIO : err;
	*victim = room->next;
	room->next_ready = false;
	return 0;
}

int reclaim_secure(struct room *room)
{
	return moves_settle(room->pool, room->next.segment);
}

int reclaim_take(struct room *room, struct owned *owned)
{
	return choose(room, owned, (struct room_left){0}, false);
}

static void withdraw(struct memkv_pool *pool, uint64_t segment)
{
	removal_lock(pool);
	table_withdraw(&pool->control, segment);
	removal_unlock(pool);
}

bool reclaim_confirm(struct room *room, struct owned *victim, struct gone *gone)
{
	struct memkv_pool *pool = room->pool;

	follower_step(&pool->follower);
	if (!MUTANT(PIN_LOOK_AT_RETIRE_ONLY))
		factbook_refresh(&pool->factbook);
	struct survey s = survey(pool, victim->segment, false);
	if (s.unread || s.pinned_pages || (!MUTANT(HOLDS_AT_RETIRE) && holds_there(pool, victim->segment))) { /* since it was chosen */
		reclaim_refuse(room, victim);
		return false;
	}
	*gone = (struct gone){s.blocks, s.bytes};
	/* before the owner word says OPEN: who sees OPEN, and this generation, knows that it is not being emptied */
	if (pool->media->caps.mappable)
		withdraw(pool, victim->segment);
	return true;
}

static struct room_left half_of(const struct room *room)
{
	const struct geometry *geo = &room->pool->sb.geo;

	return (struct room_left){geo->segment_pages / 2, geo->entries / 2};
}

static struct room_left smaller(struct room_left a, struct room_left b)
{
	return (struct room_left){min_u64(a.pages, b.pages), min_u64(a.blocks, b.blocks)};
}

/* a victim, emptied: one without pinned blocks; else with few; else one whose pinned blocks fit at all */
static bool empty_one(struct room *room, struct owned *victim, struct room_left left)
{
	if (choose(room, victim, (struct room_left){0}, false) &&
	    (!left.blocks || (choose(room, victim, smaller(left, half_of(room)), false) && choose(room, victim, left, false))))
		return false;
	if (move_pinned(room, victim->segment))
		return moves_settle(room->pool, victim->segment) == 0;
	leave(room, victim);
	return false;
}

/* an emptied victim becomes FREE: room that is kept for moves; or RETIRED */
static bool set_empty(struct room *room, struct owned *victim, enum owner_state state)
{
	struct memkv_pool *pool = room->pool;
	uint64_t segment = victim->segment;

	struct gone gone;

	if (!reclaim_confirm(room, victim, &gone))
		return false;
	count(&pool->counters.evicted_blocks, gone.blocks);
	count(&pool->counters.evicted_bytes, gone.bytes);
	count(&pool->counters.grace_cut, keep_in_use(pool)); /* room for moves is needed now */
	if (pool->control.shared)
		return state == OWNER_FREE && share_keep_free(pool, victim);
	withdraw(pool, segment);
	bool freed = own_move(&pool->control, victim, state, &pool->slot);
	control_ring(&pool->control, segment);
	return freed;
}

/* what is left when a put of @pages has taken its part */
static struct room_left beside(struct room_left left, uint32_t pages)
{
	return (struct room_left){left.pages - min_u64(left.pages, pages), left.blocks - min_u64(left.blocks, 1)};
}

static bool reserve(struct room *room, uint32_t pages)
{
	struct memkv_pool *pool = room->pool;
	struct room_left left = room_rest(room);
	struct owned victim;

	if (own_any_free(&pool->control))
		return true;
	/* where a put needs the most of a segment it goes into another emptied one, not beside what is moved */
	bool big = pages > half_of(room).pages;
	if (big && !room->next_ready && empty_one(room, &room->next, left)) {
		room->next_ready = true;
		left = room_rest(room);
	}
	return empty_one(room, &victim, big ? left : beside(left, pages)) && set_empty(room, &victim, OWNER_FREE);
}

/* on a shared device we may hold too little for that: then there is more to hold, or others are told that we want some */
bool reclaim_reserve(struct room *room, uint32_t pages)
{
	const struct control *c = &room->pool->control;

	for (uint32_t n = 0; !reserve(room, pages); n++)
		if (!c->share || MUTANT(RESERVED_OF_OWN) || n == c->layout.geo.slots || !c->share->adopt(c->share_context, false))
			return false;
	return true;
}

bool reclaim_retire(struct room *room, struct owned *victim)
{
	return set_empty(room, victim, OWNER_RETIRED);
}
