/* SPDX-License-Identifier: Apache-2.0 */
/* See room.h. */
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/pool/keep.h"
#include "core/pool/move.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MEMKV_AHEAD_SHARE
#define MEMKV_AHEAD_SHARE 32 /* simulated tables have fewer places than that */
#endif

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

static void give_up(struct room *room, struct owned *owned, enum owner_state state)
{
	/* nobody takes what a living incarnation owns: a lost race here means a damaged word, which others rebuild */
	(void)own_move(&room->pool->control, owned, state, &room->pool->slot);
	control_ring_later(&room->pool->control, owned->segment);
}

/* give up a segment that was written to: first the table says what was really reserved */
static void close_writer(struct room *room, struct writer *w, enum owner_state state)
{
	if (w->tail != w->next_index)
		table_reserve(&room->pool->control, w->owned.segment, w->generation, w->next_index);
	give_up(room, &w->owned, state);
}

static bool writer_full(const struct room *room, const struct writer *w)
{
	/* less than a smallest block, or no place to describe one */
	return w->pages - w->next_page < 2 || w->next_index >= room->pool->control.layout.geo.entries;
}

void room_close(struct room *room)
{
	if (!room->move_buffer)
		return;
	for (int i = 0; i < WRITERS_MAX; i++) {
		struct writer *w = &room->writers[i];
		if (w->used && !w->lost)
			close_writer(room, w, writer_full(room, w) ? OWNER_SEALED : OWNER_PARKED);
	}
	if (room->fresh_ready)
		close_writer(room, &room->fresh, OWNER_PARKED);
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
		close_writer(room, w, OWNER_SEALED);
	w->used = false;
}

static bool fits(const struct room *room, const struct writer *w, uint32_t pages)
{
	return w->pages - w->next_page >= pages && w->next_index < room->pool->control.layout.geo.entries;
}

/*
 * Where raising the tail costs a write, it is raised for some places at a time.  Those that a crash leaves unused are
 * void for good: at most one in 32.
 */
static uint32_t places_ahead(const struct room *room, const struct writer *w)
{
	enum { AHEAD_MAX = 31, AHEAD_SHARE = MEMKV_AHEAD_SHARE };
	uint32_t entries = room->pool->control.layout.geo.entries;

	if (room->pool->media->caps.mappable)
		return 0;
	uint64_t ahead = min_u64(entries / AHEAD_SHARE, AHEAD_MAX);
	/* blocks are alike: what would not fit need not be given back when the segment is full */
	ahead = min_u64(ahead, (w->pages - w->next_page) / max_u64(room->usual_pages, 2));
	return (uint32_t)min_u64(ahead, entries - w->next_index);
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
	w->tail = w->next_index + places_ahead(room, w);
	table_reserve(&room->pool->control, w->owned.segment, w->generation, w->tail);
}

/*
 * Writes the segment's header, and with it, all on the way together, what was put off: its owner word, and what was
 * closed before.  In which order these reach a mirrored medium does not matter, whatever a crash leaves out: an owner word
 * that comes late leaves the segment to others as it was.
 */
static int write_segment_header(struct room *room, const struct table_header *table)
{
	struct media *media = room->pool->media;
	struct segment_header header = {
		.generation = table->generation,
		.segment = table->segment,
		.class_id = table->class_id,
		.opened_s = table->opened_s,
	};
	struct iovec piece = {room->lane.header, PAGE};

	segment_header_encode(&header, room->pool->sb.seed, room->lane.header);
	lane_begin(&room->lane, MEDIA_WRITE, layout_segment(&room->pool->control.layout, table->segment), &piece, 1);
	lane_kick(&room->lane);
	int err = media->ops->settle(media);
	while (!lane_idle(&room->lane))
		lane_advance(&room->lane);
	return room->lane.transfer.result ? room->lane.transfer.result : err;
}

/* only what is not zero: a mirror's untouched pages cost nothing */
static void clear_heat(const struct control *c, uint64_t segment)
{
	uint64_t *heat = control_at(c, layout_heat(&c->layout, segment));

	for (uint32_t i = 0; i < c->layout.geo.heat_units / sizeof(*heat); i++)
		if (word_load(&heat[i]))
			word_publish(&heat[i], 0);
}

/*
 * A new generation in a segment that is ours, in two steps.  Its header page first: when the medium refuses that, the table
 * has not been touched, and what it describes is still there.
 */
static int announce_generation(struct room *room, uint64_t s, struct table_header *header)
{
	struct memkv_pool *pool = room->pool;

	*header = (struct table_header){
		.generation = slot_new_generation(&pool->slot),
		.segment = (uint32_t)s,
		.opened_s = clock_utc_s(),
	};
	if (!header->generation)
		return fail(MEMKV_FENCED, "%s: this agent has opened all the segments that one attach may; open the pool again",
			    pool->media->path);
	/* an OPEN segment's whole table is in memory, and stays: from now on the follower leaves it alone */
	if (!follower_refresh_table(&pool->follower, s))
		return fail(-EIO, "%s: a segment's table cannot be read", pool->media->path);
	int err = write_segment_header(room, header);
	return err ? fail(err, "%s: a segment cannot be written to: %s", pool->media->path, strerror(-err)) : 0;
}

/* how fast segments are needed */
static void note_pace(struct room *room)
{
	uint64_t now = clock_monotonic_us(), took = room->opened_us ? now - room->opened_us + 1 : 0;

	room->pace_us = room->pace_us ? (3 * room->pace_us + took) / 4 : took;
	room->opened_us = now;
}

/* Then, when it is OPEN, the table: until the tail rises, it describes nothing. */
static int begin_generation(struct room *room, struct writer *w, const struct table_header *header)
{
	struct memkv_pool *pool = room->pool;
	const struct control *c = &pool->control;
	uint64_t s = w->owned.segment;

	control_renew_age(c, s);
	clear_heat(c, s);
	w->generation = header->generation;
	w->next_page = 1;
	w->next_index = 0;
	w->tail = places_ahead(room, w);
	table_begin(c, header, w->tail);
	if (MUTANT(DOORBELL_EARLY))
		control_ring_later(c, s);
	int err = MUTANT(TABLE_UNSETTLED) ? 0 : c->media->ops->settle(c->media);
	if (!MUTANT(DOORBELL_EARLY))
		control_ring(c, s); /* whoever hears it finds the table begun, and the owner word OPEN */
	note_pace(room);
	count(&pool->counters.segments_opened, err == 0);
	return err ? fail(err, "%s: a segment's table cannot be written: %s", pool->media->path, strerror(-err)) : 0;
}

void room_mend_header(struct room *room, uint64_t segment)
{
	struct memkv_pool *pool = room->pool;
	struct table_header header, second;

	pthread_mutex_lock(&pool->follower.lock);
	bool wrong = table_refresh_header(&pool->control, segment) &&
		     table_header(&pool->control, segment, &header) != CHECK_BAD && header.generation &&
		     !(pool->follower.recover.header(pool, segment, &second) && second.generation == header.generation);
	pthread_mutex_unlock(&pool->follower.lock);
	if (wrong)
		(void)write_segment_header(room, &header); /* else the table has no second source */
}

struct resume {
	struct room *room;
	struct writer *writer;
	uint64_t unread;
};

/* the medium did not answer for a second source: there may be a block where nothing shows, and its pages are not free */
static bool is_silent(const struct resume *resume)
{
	return resume->room->pool->recover_unread != resume->unread && !MUTANT(SILENT_RESUMED);
}

/* an entry that was sent together with its block: did that land?  Where the medium does not answer it stays open. */
static void resume_sent(struct room *room, struct writer *w, const struct entry *entry)
{
	struct memkv_pool *pool = room->pool;
	struct block_read read;

	block_read_init(&read, pool, &room->lane, entry->key, place_of_entry(&pool->control, w->owned.segment, entry));
	read.to = room->move_buffer;
	read.length = entry->length;
	read.any_time = true;
	op_run(&read.op);
	if (read.verdict == BLOCK_GOOD || MUTANT(SENT_TRUSTED))
		table_landed(&pool->control, w->owned.segment, entry->index, entry->birth);
	else if (read.verdict != BLOCK_IO)
		table_kill(&pool->control, w->owned.segment, entry->index, entry->birth);
}

/* places of the incarnation before: what it published stays, what it only reserved is void for good */
static void resume_entry(void *context, uint32_t index, enum entry_state state, const struct entry *entry, bool mended)
{
	struct resume *resume = context;
	const struct control *c = &resume->room->pool->control;
	struct writer *w = resume->writer;

	(void)mended;
	if (state == ENTRY_HERE) {
		enum life life = table_life(c, w->owned.segment, index, entry->birth);
		w->next_page = entry->page + entry->header_pages + (uint32_t)block_pages(entry->length);
		if (life == LIFE_MOVING)
			table_kill(c, w->owned.segment, index, entry->birth); /* the mover died: it never came here */
		else if (life == LIFE_SENT || (life == LIFE_REMOVING && !c->media->caps.mappable)) /* who doubted it may not have waited */
			resume_sent(resume->room, w, entry);
	} else if (state == ENTRY_NOT_YET && !is_silent(resume) && !MUTANT(PLACES_NOT_VOIDED)) {
		struct entry empty = {.index = index,
				      .generation = w->generation,
				      .birth = slot_new_birth(&resume->room->pool->slot),
				      .page = w->next_page,
				      .flags = ENTRY_VOID};
		table_publish(c, w->owned.segment, &empty);
	}
	w->next_index = index + 1;
}

/* continue where another ended; false: nothing can be written here (full, or its header is lost) */
static bool resume_generation(struct room *room, struct writer *w)
{
	struct memkv_pool *pool = room->pool;
	struct resume resume = {room, w, 0};
	struct table_header header, second;
	bool mended = false;

	pthread_mutex_lock(&pool->follower.lock);
	resume.unread = pool->recover_unread;
	bool known = table_refresh(&pool->control, w->owned.segment) &&
		     table_header_known(&pool->control, &pool->follower.recover, w->owned.segment, &header, &mended);
	w->next_page = 1;
	w->next_index = 0;
	w->tail = 0;
	w->generation = known ? header.generation : 0;
	uint32_t n = w->generation ? table_count(&pool->control, w->owned.segment, w->generation, NULL) : 0;
	if (n == 0 && mended)
		w->generation = 0; /* its opener died before it began the table, which was lost before: it is begun anew */
	if (w->generation) {
		if (mended) /* lost with the power: readers go by it to what is put from now on */
			table_mend_header(&pool->control, &header);
		table_walk(&pool->control, &pool->follower.recover, w->owned.segment, w->generation, 0, n, resume_entry, &resume);
		w->tail = w->next_index;
		if (!MUTANT(REST_NOT_CLEARED) && !is_silent(&resume))
			table_clear_rest(&pool->control, w->owned.segment, w->generation, w->next_index);
		if (MUTANT(RING_UNSETTLED))
			control_ring(&pool->control, w->owned.segment);
	}
	known = known && !is_silent(&resume);
	bool second_right = !known || !w->generation || (pool->follower.recover.header(pool, w->owned.segment, &second) &&
						second.generation == w->generation);
	pthread_mutex_unlock(&pool->follower.lock);
	count(&pool->counters.segments_resumed, 1);
	if (!second_right && write_segment_header(room, &header)) /* its opener died before it wrote the page */
		return false;
	return known && !writer_full(room, w);
}

/*
 * A FREE segment whose table describes something: power loss has left a word that is older than the table.  Nobody goes by such a
 * table, removals pass it over, and nobody must continue it.  So it is withdrawn, and that flushed, before the segment is taken:
 * who has taken it may die, or power fail, at once.
 */
static bool drop_left_over(void *context, uint64_t segment)
{
	struct memkv_pool *pool = context;
	const struct control *c = &pool->control;

	if (c->shared || MUTANT(LEFT_OVER_CONTINUED))
		return true;
	pthread_mutex_lock(&pool->follower.lock);
	bool read = table_refresh_header(c, segment), dropped = read && table_withdraw_left_over(c, segment);
	pthread_mutex_unlock(&pool->follower.lock);
	return read && (!dropped || (c->media->ops->settle(c->media) == 0 && c->media->ops->flush(c->media) == 0));
}

/*
 * Make a segment that was ready, and is OPEN now, ready to write to.  On failure it is given back: a fresh one for another
 * attempt; one that fails twice is passed over.
 */
static int take_up(struct room *room, struct writer *w, bool resumed)
{
	const struct control *c = &room->pool->control;
	struct table_header header;
	int err = 0;

	w->pages = layout_segment_pages(&c->layout, w->owned.segment);
	if (resumed && !resume_generation(room, w)) {
		give_up(room, &w->owned, OWNER_SEALED);
		return -EAGAIN;
	}
	if (!resumed || !w->generation) {
		err = announce_generation(room, w->owned.segment, &header);
		if (!err)
			err = begin_generation(room, w, &header);
	} else if (c->media->ops->settle(c->media)) {
		err = -EIO;
	} else if (!MUTANT(RING_UNSETTLED)) {
		control_ring(c, w->owned.segment); /* the medium knows that it is OPEN again: followers look into it by themselves */
	}
	if (err)
		give_up(room, &w->owned, resumed ? OWNER_SEALED : OWNER_PARKED);
	if (err && resumed)
		return -EAGAIN;
	if (!err && !control_published(c))
		err = -EIO;
	return err;
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
		give_up(room, victim, OWNER_SEALED);
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
	int err = take_up(room, w, false);
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
	int err = announce_generation(room, victim->segment, &header);
	if (err) {
		reclaim_refuse(room, victim);
		return err;
	}
	if (!reclaim_confirm(room, victim, &gone) || !own_move(c, victim, OWNER_OPEN, &pool->slot))
		return -EAGAIN;
	w->owned = *victim;
	w->reclaimed = true;
	w->pages = layout_segment_pages(&c->layout, w->owned.segment);
	err = begin_generation(room, w, &header);
	if (err || !control_published(c)) {
		give_up(room, &w->owned, OWNER_SEALED); /* emptied */
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
	const struct own_clear clear = {drop_left_over, pool};
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
			err = take_up(room, w, resumed);
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
			} else if (err == MEMKV_NO_ROOM && keep && own_take_ready(c, &pool->slot, false, &clear, &w->owned, &resumed)) {
				err = take_up(room, w, resumed); /* the room that was kept */
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
			close_writer(room, w, OWNER_PARKED);
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
	if (place->prepare)
		reclaim_prepare(room);
	if (open_ahead(room, place))
		room->fresh_ready = fetch(room, &room->fresh) == 0;
	pthread_mutex_unlock(&room->refill);
}

int room_reserve(struct room *room, uint32_t pages, struct room_place *place)
{
	/* a segment may be too full of what must move into it; when all of them are, there is no room */
	for (uint64_t tries = 0; tries <= room->pool->control.layout.segments; tries++) {
		pthread_mutex_lock(&room->lock);
		struct writer *w = room->current;
		bool got = w && may_go_on(room, w, pages);
		if (got) {
			reserve_in(room, w, pages, place);
			note_ahead(room, w, place);
		}
		pthread_mutex_unlock(&room->lock);
		if (got)
			return 0;
		int err = refill(room, pages);
		if (err)
			return err;
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
		} else if (w.owned.word.state == OWNER_OPEN && resume_generation(room, &w)) {
			close_writer(room, &w, OWNER_PARKED);
		} else if (w.owned.word.state == OWNER_OPEN) {
			give_up(room, &w.owned, OWNER_SEALED);
		}
	}
	pthread_mutex_unlock(&room->refill);
	return true;
}

bool room_close_dead(struct room *room, struct owned *owned)
{
	const struct control *c = &room->pool->control;
	struct writer w = {.owned = *owned, .pages = layout_segment_pages(&c->layout, owned->segment)};

	if (!own_resumable_anywhere(c, &room->pool->slot, owned) || !own_move(c, &w.owned, OWNER_OPEN, &room->pool->slot))
		return false;
	if (resume_generation(room, &w))
		close_writer(room, &w, OWNER_SEALED);
	else
		give_up(room, &w.owned, OWNER_SEALED);
	*owned = w.owned;
	return owned->word.state == OWNER_SEALED;
}
