/* SPDX-License-Identifier: Apache-2.0 */
/* See generation.h. */
#include "core/pool/generation.h"
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/pool/block_io.h"
#include "core/pool/remove.h"

#include <errno.h>
#include <string.h>

#ifndef MEMKV_AHEAD_SHARE
#define MEMKV_AHEAD_SHARE 32 /* simulated tables have fewer places than that */
#endif

void writer_give_up(struct room *room, struct owned *owned, enum owner_state state)
{
	/* nobody takes what a living incarnation owns: a lost race here means a damaged word, which others rebuild */
	(void)own_move(&room->pool->control, owned, state, &room->pool->slot);
	control_ring_later(&room->pool->control, owned->segment);
}

void writer_close(struct room *room, struct writer *w, enum owner_state state)
{
	if (w->tail != w->next_index)
		table_reserve(&room->pool->control, w->owned.segment, w->generation, w->next_index);
	writer_give_up(room, &w->owned, state);
}

bool writer_full(const struct room *room, const struct writer *w)
{
	/* less than a smallest block, or no place to describe one */
	return w->pages - w->next_page < 2 || w->next_index >= room->pool->control.layout.geo.entries;
}

/*
 * Where raising the tail costs a write, it is raised for some places at a time.  Those that a crash leaves unused are
 * void for good: at most one in 32.
 */
uint32_t writer_places_ahead(const struct room *room, const struct writer *w)
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

int generation_keep_told(struct room *room, uint64_t segment)
{
	struct memkv_pool *pool = room->pool;
	struct table_header header;
	bool mended, unread;

	pthread_mutex_lock(&pool->follower.lock);
	bool known = table_header_told(&pool->control, &pool->follower.recover, segment, &header, &mended, &unread);
	bool alone = known && mended && table_count(&pool->control, segment, header.generation, NULL) > 0;
	if (alone && !MUTANT(ONLY_SOURCE_OVERWRITTEN))
		table_mend_header(&pool->control, &header);
	pthread_mutex_unlock(&pool->follower.lock);
	return unread ? fail(-EIO, "%s: a segment's header cannot be read", pool->media->path) : 0;
}

struct strays {
	struct memkv_pool *pool;
	uint64_t segment, generation, unread;
	bool any; /* a life word was cleared */
};

static void clear_life(void *context, uint32_t index, enum entry_state state, const struct entry *entry, bool mended)
{
	struct strays *strays = context;

	(void)entry;
	(void)mended;
	if (state != ENTRY_HERE && strays->pool->recover_unread == strays->unread)
		strays->any |= table_clear_life(&strays->pool->control, strays->segment, strays->generation, index);
}

/*
 * What power loss has left of places where nothing is known to be: blocks that nobody finds, and that may have been removed since.
 * They would be told of once more when what comes there now - an entry, or one that makes the place void, or the one before - was torn
 * or lost by the next power loss: by their life word and their own header.  So life words that go with no entry are cleared, for good,
 * before anything is written: there, and before the segment is opened anew, since power loss may leave this generation's header beside
 * the next one's entries.  On mirrored media an entry and its life word stay or go together.  true: there was any
 */
static bool clear_lives(struct memkv_pool *pool, uint64_t segment, uint64_t generation, uint32_t count)
{
	struct strays strays = {.pool = pool, .segment = segment, .generation = generation, .unread = pool->recover_unread};

	table_walk(&pool->control, &pool->follower.recover, segment, generation, 0, count, clear_life, &strays);
	return strays.any;
}

int generation_clear_strays(struct room *room, uint64_t segment)
{
	struct memkv_pool *pool = room->pool;
	const struct control *c = &pool->control;
	struct table_header header;
	enum check_result tail;

	if (!pool->media->caps.mappable || c->shared)
		return 0;
	pthread_mutex_lock(&pool->follower.lock);
	uint64_t unread = pool->recover_unread;
	bool known = table_header(c, segment, &header) != CHECK_BAD && header.generation;
	uint32_t count = known ? table_count(c, segment, header.generation, &tail) : 0;
	bool left = known && !MUTANT(VICTIMS_LIVES_LEFT) && clear_lives(pool, segment, header.generation, count);
	if (known && tail != CHECK_BAD && !MUTANT(BEHIND_TAIL_LEFT))
		left |= table_clear_rest(c, segment, header.generation, count);
	bool silent = pool->recover_unread != unread;
	pthread_mutex_unlock(&pool->follower.lock);
	int err = silent ? -EIO : left ? pool->media->ops->flush(pool->media) : 0;
	return err ? fail(err, "%s: a segment's table cannot be %s: %s", pool->media->path, silent ? "told" : "flushed", strerror(-err)) : 0;
}

/*
 * A table that was withdrawn describes nothing, and removals have passed its blocks over.  Power loss may leave the header of the
 * next one half begun: then the segment's own header tells, and must not be the one from before, which tells of those blocks.
 * Where the table is withdrawn after the page was written, each flush behind such a removal sees to it; here it was withdrawn before.
 */
static int secure_page(struct room *room, uint64_t segment)
{
	struct media *media = room->pool->media;
	bool before = media->caps.mappable && !room->pool->control.shared && table_withdrawn(&room->pool->control, segment);

	return before && !MUTANT(OWN_HEADER_UNFLUSHED) ? media->ops->flush(media) : 0;
}

int generation_announce(struct room *room, uint64_t s, struct table_header *header)
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
	if (!err)
		err = secure_page(room, s);
	return err ? fail(err, "%s: a segment cannot be written to: %s", pool->media->path, strerror(-err)) : 0;
}

/* how fast segments are needed */
static void note_pace(struct room *room)
{
	uint64_t now = clock_monotonic_us(), took = room->opened_us ? now - room->opened_us + 1 : 0;

	room->pace_us = room->pace_us ? (3 * room->pace_us + took) / 4 : took;
	room->opened_us = now;
}

int generation_begin(struct room *room, struct writer *w, const struct table_header *header)
{
	struct memkv_pool *pool = room->pool;
	const struct control *c = &pool->control;
	uint64_t s = w->owned.segment;

	control_renew_age(c, s);
	clear_heat(c, s);
	w->generation = header->generation;
	w->next_page = 1;
	w->next_index = 0;
	w->tail = writer_places_ahead(room, w);
	removal_lock(pool);
	table_begin(c, header, w->tail);
	removal_unlock(pool);
	if (MUTANT(DOORBELL_EARLY))
		control_ring_later(c, s);
	int err = MUTANT(TABLE_UNSETTLED) ? 0 : c->media->ops->settle(c->media);
	if (!MUTANT(DOORBELL_EARLY))
		control_ring(c, s); /* whoever hears it finds the table begun, and the owner word OPEN */
	note_pace(room);
	count(&pool->counters.segments_opened, err == 0);
	return err ? fail(err, "%s: a segment's table cannot be written: %s", pool->media->path, strerror(-err)) : 0;
}

void generation_mend_header(struct room *room, uint64_t segment)
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

static bool is_flushed(struct memkv_pool *pool)
{
	return pool->control.shared || MUTANT(LIVES_LEFT) || pool->media->ops->flush(pool->media) == 0;
}

/* nothing of the places that this segment's next blocks come to, or that are void now, is told of once more; false: it could not be flushed */
static bool clear_places(const struct writer *w, struct memkv_pool *pool, uint32_t count)
{
	const struct control *c = &pool->control;

	if (!pool->media->caps.mappable || MUTANT(LIVES_LEFT))
		return true;
	bool left = clear_lives(pool, w->owned.segment, w->generation, count);
	for (uint32_t i = count; i < c->layout.geo.entries; i++) /* what is an entry there is cleared with its life word */
		left |= table_clear_life(c, w->owned.segment, w->generation, i);
	return !left || is_flushed(pool);
}

bool generation_resume(struct room *room, struct writer *w)
{
	struct memkv_pool *pool = room->pool;
	struct resume resume = {.room = room, .writer = w};
	struct table_header header, second;
	bool mended = false, cleared = true;

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
		cleared = clear_places(w, pool, n);
		if (cleared)
			table_walk(&pool->control, &pool->follower.recover, w->owned.segment, w->generation, 0, n, resume_entry,
				   &resume);
		w->tail = n;
		if (cleared && !MUTANT(REST_NOT_CLEARED) && !is_silent(&resume) &&
		    table_clear_rest(&pool->control, w->owned.segment, w->generation, n))
			cleared = is_flushed(pool);
		if (MUTANT(RING_UNSETTLED))
			control_ring(&pool->control, w->owned.segment);
	}
	known = known && cleared && !is_silent(&resume);
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
 * who has taken it may die, or power fail, at once.  Likewise one without a table's header, of which its own header tells: it has
 * lost that together with its word, and once it is taken it would count as wiped.
 */
bool generation_drop_left_over(void *context, uint64_t segment)
{
	struct memkv_pool *pool = context;
	const struct control *c = &pool->control;
	struct table_header second;

	if (c->shared || MUTANT(LEFT_OVER_CONTINUED))
		return true;
	pthread_mutex_lock(&pool->follower.lock);
	uint64_t unread = pool->recover_unread;
	bool read = table_refresh_header(c, segment);
	bool told = read && table_never_begun(c, segment) && !MUTANT(BLANK_LEFT_OVER) &&
		    pool->follower.recover.header(pool, segment, &second);
	read = read && pool->recover_unread == unread;
	bool dropped = read && table_withdraw_left_over(c, segment, told);
	pthread_mutex_unlock(&pool->follower.lock);
	return read && (!dropped || (c->media->ops->settle(c->media) == 0 && c->media->ops->flush(c->media) == 0));
}

int generation_take_up(struct room *room, struct writer *w, bool resumed)
{
	const struct control *c = &room->pool->control;
	struct table_header header;
	int err = 0;

	w->pages = layout_segment_pages(&c->layout, w->owned.segment);
	if (resumed && !generation_resume(room, w)) {
		writer_give_up(room, &w->owned, OWNER_SEALED);
		return -EAGAIN;
	}
	if (!resumed || !w->generation) {
		err = generation_announce(room, w->owned.segment, &header);
		if (!err)
			err = generation_begin(room, w, &header);
	} else if (c->media->ops->settle(c->media)) {
		err = -EIO;
	} else if (!MUTANT(RING_UNSETTLED)) {
		control_ring(c, w->owned.segment); /* the medium knows that it is OPEN again: followers look into it by themselves */
	}
	if (err)
		writer_give_up(room, &w->owned, resumed ? OWNER_SEALED : OWNER_PARKED);
	if (err && resumed)
		return -EAGAIN;
	if (!err && !control_published(c))
		err = -EIO;
	return err;
}

bool generation_close_dead(struct room *room, struct owned *owned)
{
	const struct control *c = &room->pool->control;
	struct writer w = {.owned = *owned, .pages = layout_segment_pages(&c->layout, owned->segment)};

	if (!own_resumable_anywhere(c, &room->pool->slot, owned) || !own_move(c, &w.owned, OWNER_OPEN, &room->pool->slot))
		return false;
	if (generation_resume(room, &w))
		writer_close(room, &w, OWNER_SEALED);
	else
		writer_give_up(room, &w.owned, OWNER_SEALED);
	*owned = w.owned;
	return owned->word.state == OWNER_SEALED;
}
