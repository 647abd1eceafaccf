/* SPDX-License-Identifier: Apache-2.0 */
/* See room.h. */
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/pool/generation.h"
#include "core/pool/keep.h"
#include "core/pool/move.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

int room_open(struct room *room, struct memkv_pool *pool)
{
	*room = (struct room){.pool = pool};
	/* a whole largest block with its header; pages are touched only by moves of such blocks */
	room->move_bytes = round_up(pool->sb.geo.max_block, PAGE);
	room->move_buffer =
		mmap(NULL, room->move_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (room->move_buffer == MAP_FAILED) {
		room->move_buffer = NULL;
		return -ENOMEM;
	}
	room->entries = entries_alloc(pool);
	room->moved = entries_alloc(pool);
	int err = room->entries && room->moved ? lane_open(&room->lane, pool->media) : -ENOMEM;
	if (!err && pool->control.shared)
		err = lane_add_cells(&room->lane, pool->sb.geo.slots);
	if (err) {
		entries_free(pool, room->entries);
		entries_free(pool, room->moved);
		munmap(room->move_buffer, room->move_bytes);
		room->move_buffer = NULL;
		return err;
	}
	pthread_mutex_init(&room->lock, NULL);
	pthread_mutex_init(&room->refill, NULL);
	return 0;
}

void room_close(struct room *room)
{
	if (!room->move_buffer)
		return;
	for (int i = 0; i < WRITERS_MAX; i++) {
		struct writer *w = &room->writers[i];
		if (w->used && !w->lost)
			writer_close(room, w, writer_full(room, w) ? OWNER_SEALED : OWNER_PARKED);
	}
	if (room->fresh_ready)
		writer_close(room, &room->fresh, OWNER_PARKED);
	if (room->next_ready && reclaim_secure(room) == 0)
		reclaim_leave(room, &room->next);
	while (room->early_count)
		reclaim_leave(room, &room->early[--room->early_count].owned);
	(void)room->pool->media->ops->settle(room->pool->media);
	lane_close(&room->lane);
	entries_free(room->pool, room->entries);
	entries_free(room->pool, room->moved);
	munmap(room->move_buffer, room->move_bytes);
	pthread_mutex_destroy(&room->lock);
	pthread_mutex_destroy(&room->refill);
	room->move_buffer = NULL;
}

static struct writer *writer_new(struct room *room)
{
	for (int i = 0; i < WRITERS_MAX; i++)
		if (!room->writers[i].used)
			return &room->writers[i];
	/* each closing writer holds a lane's put, there are more writers than lanes */
	assert(!"more closing segments than puts in flight");
	return NULL;
}

/* under lock */
static void seal_if_resolved(struct room *room, struct writer *w)
{
	if (!w->closing || (w->in_flight && !MUTANT(SEAL_EARLY)))
		return;
	if (!w->lost)
		writer_close(room, w, room->shut && !writer_full(room, w) ? OWNER_PARKED : OWNER_SEALED);
	w->used = false;
}

static bool fits(const struct room *room, const struct writer *w, uint32_t pages)
{
	return w->pages - w->next_page >= pages && w->next_index < room->pool->control.layout.geo.entries;
}

/* under lock */
static void reserve_in(struct room *room, struct writer *w, uint32_t pages, struct room_place *place)
{
	*place = (struct room_place){
		.writer = w,
		.segment = w->owned.segment,
		.generation = w->generation,
		.page = w->next_page,
		.index = w->next_index,
	};
	w->next_page += pages;
	w->next_index++;
	w->in_flight++;
	room->usual_pages = pages;
	if (w->next_index <= w->tail)
		return;
	w->tail = w->next_index + writer_places_ahead(room, w);
	table_reserve(&room->pool->control, w->owned.segment, w->generation, w->tail);
}

static void count_reclaimed(struct memkv_pool *pool, const struct gone *gone)
{
	count(&pool->counters.segments_reclaimed, 1);
	count(&pool->counters.evicted_blocks, gone->blocks);
	count(&pool->counters.evicted_bytes, gone->bytes);
}

static void give_up_untouched(struct room *room, struct owned *victim)
{
	const struct control *c = &room->pool->control;
	struct owned now;

	if (own_look(c, victim->segment, &now) && now.raw == victim->raw && c->share->mine(c->share_context, victim->segment)) {
		control_renew_age(c, victim->segment);
		writer_give_up(room, victim, OWNER_SEALED);
	}
}

/*
 * A shared device: nothing is written before OPEN is stated and looked at once more (share.h), so the header comes behind
 * that.  Nobody withdraws anything there.
 */
static int open_shared_victim(struct room *room, struct writer *w, struct owned *victim)
{
	struct memkv_pool *pool = room->pool;
	struct gone gone;

	if (!reclaim_confirm(room, victim, &gone))
		return -EAGAIN;
	if (!own_move(&pool->control, victim, OWNER_OPEN, &pool->slot)) {
		/* it was adopted, or cannot be stated; or somebody may still write to it */
		give_up_untouched(room, victim);
		return -EAGAIN;
	}
	w->owned = *victim;
	int err = generation_take_up(room, w, false);
	if (!err)
		count_reclaimed(pool, &gone);
	return err;
}

/*
 * A victim, LEAVING and ours.  What the medium may refuse comes before its table is withdrawn, and what others may have
 * said comes right before it; so a table that is withdrawn never comes back, and whoever removes a block may take it for
 * gone.
 */
static int open_victim(struct room *room, struct writer *w, struct owned *victim)
{
	struct memkv_pool *pool = room->pool;
	const struct control *c = &pool->control;
	struct table_header header;
	struct gone gone;

	if (c->shared)
		return open_shared_victim(room, w, victim);
	int err = generation_keep_told(room, victim->segment);
	if (!err)
		err = generation_clear_strays(room, victim->segment);
	if (!err)
		err = generation_announce(room, victim->segment, &header);
	if (err) {
		reclaim_refuse(room, victim);
		return err;
	}
	if (!reclaim_confirm(room, victim, &gone) || !own_move(c, victim, OWNER_OPEN, &pool->slot))
		return -EAGAIN;
	w->owned = *victim;
	w->reclaimed = true;
	w->pages = layout_segment_pages(&c->layout, w->owned.segment);
	err = generation_begin(room, w, &header);
	if (err || !control_published(c)) {
		writer_give_up(room, &w->owned, OWNER_SEALED); /* emptied */
		return err ? err : -EIO;
	}
	count_reclaimed(pool, &gone);
	return 0;
}

static int no_room(const struct room *room)
{
	return fail(MEMKV_NO_ROOM,
		    "%s: no room: every segment is being written to by a living agent, full of pinned blocks, or held; unpin or "
		    "release some, use a larger pool, or fewer agents", room->pool->media->path);
}

static int open_chosen(struct room *room, struct writer *w)
{
	struct owned victim;
	int err = reclaim_next(room, &victim);

	return err ? err : open_victim(room, w, &victim);
}

/* under refill: a segment into @w, from wherever there is one; what waits for the end of a grace only when there is no other */
static int fetch(struct room *room, struct writer *w)
{
	struct memkv_pool *pool = room->pool;
	const struct control *c = &pool->control;
	const struct own_clear clear = {generation_drop_left_over, pool};
	bool keep = reclaim_keeps_free(room) || room->sparing, resumed;
	uint64_t wait_us;
	int err = -EAGAIN;

	reclaim_reconsider(room);
	for (uint64_t tries = 0; err == -EAGAIN && control_published(c); tries++) {
		struct owned victim;
		if (!share_in_lease(pool))
			return fail(MEMKV_UNKNOWN, "%s: this agent could not write its heartbeat for too long", pool->media->path);
		if (c->shared && tries > 2 * c->layout.segments)
			return no_room(room);
		bool chosen = reclaim_chosen(room, &wait_us);
		*w = (struct writer){0};
		if (chosen && !wait_us) {
			err = open_chosen(room, w);
		} else if (own_take_ready(c, &pool->slot, keep, &clear, &w->owned, &resumed)) {
			err = generation_take_up(room, w, resumed);
		} else if (chosen) {
			err = open_chosen(room, w);
			count(&pool->counters.grace_cut, err == 0);
		} else if (room->sparing) {
			return no_room(room);
		} else {
			err = reclaim_take(room, &victim);
			if (!err) {
				err = open_victim(room, w, &victim);
				count(&pool->counters.grace_cut, err == 0 && keep_in_use(pool));
			} else if (err == MEMKV_NO_ROOM && keep && (!c->shared || own_any_free(c)) && /* others were waited for already */
				   own_take_ready(c, &pool->slot, false, &clear, &w->owned, &resumed)) {
				err = generation_take_up(room, w, resumed); /* the room that was kept */
			} else {
				break;
			}
		}
	}
	if (err == MEMKV_NO_ROOM)
		return no_room(room);
	return err == -EAGAIN ? -EIO : err;
}

/* our own words, before we or others take them for anything else; under refill */
static void keep_words(struct room *room)
{
	pthread_mutex_lock(&room->lock);
	for (int i = 0; i < WRITERS_MAX; i++)
		if (room->writers[i].used)
			own_keep(&room->pool->control, &room->writers[i].owned);
	pthread_mutex_unlock(&room->lock);
	if (room->next_ready)
		own_keep(&room->pool->control, &room->next);
	for (uint32_t i = 0; i < room->early_count; i++)
		own_keep(&room->pool->control, &room->early[i].owned);
	if (room->fresh_ready)
		own_keep(&room->pool->control, &room->fresh.owned);
}

/* is the current segment still ours, where it can be written to, and is there room? */
static bool may_go_on(const struct room *room, const struct writer *w, uint32_t pages)
{
	return fits(room, w, pages) && !share_lost(room->pool, w->owned.segment) &&
	       control_takes(&room->pool->control, w->owned.segment);
}

/* the current segment is too full for @pages: bring the next; nothing is locked */
static int refill(struct room *room, uint32_t pages)
{
	struct writer fresh;
	int err = 0;

	pthread_mutex_lock(&room->refill);
	if (room->shut) {
		pthread_mutex_unlock(&room->refill);
		return fail(MEMKV_DRAINED, "%s: this agent was drained (memkv host drain), and puts no more; others do, and it still reads",
			    room->pool->media->path);
	}
	keep_words(room);
	pthread_mutex_lock(&room->lock);
	struct writer *w = room->current;
	bool enough = w && may_go_on(room, w, pages); /* another thread was faster */
	if (!enough && w) {
		w->closing = true;
		room->current = NULL;
		seal_if_resolved(room, w);
	}
	pthread_mutex_unlock(&room->lock);
	if (!enough && room->fresh_ready) {
		fresh = room->fresh;
		room->fresh_ready = false;
	} else if (!enough) {
		err = fetch(room, &fresh);
	}
	if (!enough && !err) {
		pthread_mutex_lock(&room->lock);
		w = writer_new(room);
		*w = fresh;
		w->used = true;
		room->target = w;
		pthread_mutex_unlock(&room->lock);
		/*
		 * Taken, now look: this may have been the segment that was kept for moves.  Nobody puts into it before what
		 * must move into it has.
		 */
		bool last = !room->sparing && reclaim_keeps_free(room) && !reclaim_reserve(room, pages) && w->next_index == 0;
		pthread_mutex_lock(&room->lock);
		room->target = NULL;
		room->current = last ? NULL : w;
		if (last) { /* the only room for moves is not for puts */
			writer_close(room, w, OWNER_PARKED);
			w->used = false;
			err = no_room(room);
		}
		pthread_mutex_unlock(&room->lock);
	}
	pthread_mutex_unlock(&room->refill);
	return err;
}

/* under lock: is it time to think of the next segment, or to open it?  Each is said once a segment */
static void note_ahead(const struct room *room, struct writer *w, struct room_place *place)
{
	uint32_t left = w->pages - w->next_page;
	bool places = w->next_index + 2 < room->pool->control.layout.geo.entries;

	place->prepare = !w->prepared && left <= w->pages / 2;
	place->open = !w->followed && (left / 2 < room->usual_pages || !places);
	place->reclaimed = w->reclaimed;
	w->prepared |= place->prepare;
	w->followed |= place->open;
}

/*
 * Is the next segment to be opened before it is needed?  Not when it would be the first to be emptied: a pool with room for N
 * blocks holds all of them until there is one more.
 */
static bool open_ahead(const struct room *room, const struct room_place *place)
{
	const struct memkv_pool *pool = room->pool;
	uint64_t wait_us;

	if (!place->open || room->fresh_ready || reclaim_keeps_free(room))
		return false;
	return place->reclaimed || (!reclaim_chosen(room, &wait_us) && own_any_ready(&pool->control, &pool->slot, false));
}

void room_ahead(struct room *room, const struct room_place *place)
{
	if (!place->prepare && !place->open)
		return;
	pthread_mutex_lock(&room->refill);
	keep_words(room);
	if (place->prepare && !room->shut)
		reclaim_prepare(room);
	if (!room->shut && open_ahead(room, place))
		room->fresh_ready = fetch(room, &room->fresh) == 0;
	pthread_mutex_unlock(&room->refill);
}

/* those that we may take: on a shared device, what is ours */
static uint64_t segments_to_try(const struct room *room)
{
	struct memkv_pool *pool = room->pool;

	return pool->control.shared ? give_count(pool) : pool->control.layout.segments;
}

enum { ROUND = 16 };

/* segments that one put has found too full, as many as are remembered */
struct round {
	uint64_t segments[ROUND];
	unsigned count;
};

/*
 * On a shared device few segments may be ours that can be emptied: what must move goes round in them, and each costs flushes.  The first
 * that was too full need not be one of those: it may be full of what we may not empty.
 */
static bool comes_again(struct round *round, uint64_t full)
{
	for (unsigned i = 0; i < round->count && !(MUTANT(ROUND_BY_FIRST) && i); i++)
		if (round->segments[i] == full)
			return true;
	if (round->count < ROUND)
		round->segments[round->count++] = full;
	return false;
}

int room_reserve(struct room *room, uint32_t pages, struct room_place *place)
{
	struct round round = {.count = 0};

	/* a segment may be too full of what must move into it; when all of them are, there is no room */
	for (uint64_t tries = 0, most = 0; tries <= most; tries++) {
		pthread_mutex_lock(&room->lock);
		struct writer *w = room->current;
		uint64_t full = w ? w->owned.segment : UINT64_MAX;
		bool got = w && may_go_on(room, w, pages);
		if (got) {
			reserve_in(room, w, pages, place);
			note_ahead(room, w, place);
		}
		pthread_mutex_unlock(&room->lock);
		if (got)
			return 0;
		if (room->pool->control.shared && w && comes_again(&round, full))
			break;
		int err = refill(room, pages);
		if (err)
			return err;
		if (tries == 0)
			most = max_u64(segments_to_try(room), 1);
	}
	return no_room(room);
}

bool room_reserve_rest(struct room *room, uint32_t pages, struct room_place *place)
{
	pthread_mutex_lock(&room->lock);
	struct writer *w = room->target ? room->target : room->current;
	bool got = w && fits(room, w, pages);
	if (got)
		reserve_in(room, w, pages, place);
	pthread_mutex_unlock(&room->lock);
	return got;
}

struct room_left room_rest(struct room *room)
{
	struct room_left left = {0};

	pthread_mutex_lock(&room->lock);
	const struct writer *w = room->target ? room->target : room->current;
	if (w)
		left = (struct room_left){w->pages - w->next_page, room->pool->control.layout.geo.entries - w->next_index};
	pthread_mutex_unlock(&room->lock);
	return left;
}

void room_release(struct room *room, struct room_place *place)
{
	pthread_mutex_lock(&room->lock);
	place->writer->in_flight--;
	seal_if_resolved(room, place->writer);
	pthread_mutex_unlock(&room->lock);
}

/* ---- an agent that is drained ---- */

/* under lock: no more is reserved; is anything still being written? */
static bool shut(struct room *room)
{
	bool busy = false;

	room->shut = true;
	room->current = NULL;
	for (int i = 0; i < WRITERS_MAX; i++) {
		struct writer *w = &room->writers[i];
		if (!w->used)
			continue;
		w->closing = true;
		seal_if_resolved(room, w);
		busy |= w->used;
	}
	return busy;
}

/* as room_close(), under living threads */
bool room_give_back(struct room *room)
{
	if (pthread_mutex_trylock(&room->refill))
		return false;
	pthread_mutex_lock(&room->lock);
	bool busy = shut(room);
	pthread_mutex_unlock(&room->lock);
	if (room->fresh_ready)
		writer_close(room, &room->fresh, OWNER_PARKED);
	room->fresh_ready = false;
	if (room->next_ready && reclaim_secure(room) == 0) {
		reclaim_leave(room, &room->next);
		room->next_ready = false;
	}
	while (room->early_count)
		reclaim_leave(room, &room->early[--room->early_count].owned);
	bool done = !busy && !room->next_ready;
	pthread_mutex_unlock(&room->refill);
	return done && room->pool->media->ops->settle(room->pool->media) == 0;
}

bool room_reopen(struct room *room)
{
	if (pthread_mutex_trylock(&room->refill))
		return false;
	pthread_mutex_lock(&room->lock);
	room->shut = false;
	pthread_mutex_unlock(&room->lock);
	pthread_mutex_unlock(&room->refill);
	return true;
}

/* ---- a namespace that is lost, and back ---- */

static bool lies_in(const struct owned *owned, uint64_t first, uint64_t count)
{
	return owned->segment >= first && owned->segment - first < count;
}

bool room_lose(struct room *room, uint64_t first, uint64_t count)
{
	uint32_t kept = 0;

	if (pthread_mutex_trylock(&room->refill))
		return false; /* somebody may be waiting for the very medium */
	pthread_mutex_lock(&room->lock);
	for (int i = 0; i < WRITERS_MAX; i++) {
		struct writer *w = &room->writers[i];
		if (!w->used || !lies_in(&w->owned, first, count))
			continue;
		w->lost = w->closing = true;
		room->current = room->current == w ? NULL : room->current;
		room->target = room->target == w ? NULL : room->target;
		seal_if_resolved(room, w);
	}
	pthread_mutex_unlock(&room->lock);
	if (room->fresh_ready && lies_in(&room->fresh.owned, first, count))
		room->fresh_ready = false;
	if (room->next_ready && lies_in(&room->next, first, count))
		room->next_ready = false;
	for (uint32_t i = 0; i < room->early_count; i++)
		if (!lies_in(&room->early[i].owned, first, count))
			room->early[kept++] = room->early[i];
	room->early_count = kept;
	if (room->moved_from >= first && room->moved_from - first < count)
		room->moved_count = 0; /* what was copied has two places, and both count */
	pthread_mutex_unlock(&room->refill);
	return true;
}

/* under refill: is this segment in use by this very process? */
static bool in_hand(struct room *room, uint64_t segment)
{
	bool found = (room->fresh_ready && room->fresh.owned.segment == segment) ||
		     (room->next_ready && room->next.segment == segment);

	for (uint32_t i = 0; i < room->early_count; i++)
		found |= room->early[i].owned.segment == segment;
	pthread_mutex_lock(&room->lock);
	for (int i = 0; i < WRITERS_MAX; i++)
		found |= room->writers[i].used && room->writers[i].owned.segment == segment;
	pthread_mutex_unlock(&room->lock);
	return found;
}

bool room_regain(struct room *room, uint64_t first, uint64_t count)
{
	const struct control *c = &room->pool->control;

	if (pthread_mutex_trylock(&room->refill))
		return false;
	for (uint64_t s = first; s < first + count; s++) {
		struct writer w = {.pages = layout_segment_pages(&c->layout, s)};
		if (!own_look(c, s, &w.owned) || w.owned.word.slot != room->pool->slot.number ||
		    w.owned.word.epoch != room->pool->slot.epoch || in_hand(room, s))
			continue;
		if (w.owned.word.state == OWNER_LEAVING && room->pool->media->ops->flush(room->pool->media) == 0) {
			w.owned.orphan = true;
			reclaim_leave(room, &w.owned);
		} else if (w.owned.word.state == OWNER_OPEN && generation_resume(room, &w)) {
			writer_close(room, &w, OWNER_PARKED);
		} else if (w.owned.word.state == OWNER_OPEN) {
			writer_give_up(room, &w.owned, OWNER_SEALED);
		}
	}
	pthread_mutex_unlock(&room->refill);
	return true;
}
