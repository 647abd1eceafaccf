/* SPDX-License-Identifier: Apache-2.0 */
/* See move.h. */
#include "core/pool/move.h"
#include "core/pool/remove.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* its old place says removed when the copy survives power loss: moves_settle() */
static void note_moved(struct memkv_pool *pool, uint64_t segment, const struct entry *old)
{
	struct room *room = &pool->room;

	room->moved_from = segment;
	if (room->moved_count < pool->sb.geo.entries)
		room->moved[room->moved_count++] = *old;
}

int moves_settle(struct memkv_pool *pool, uint64_t segment)
{
	struct room *room = &pool->room;

	if (room->moved_from != segment || room->moved_count == 0)
		return 0;
	int err = MUTANT(MOVED_UNFLUSHED) ? 0 : pool->media->ops->flush(pool->media);
	/* the segment need not be ours: mirrored media may have given its table back */
	follower_keep(&pool->follower);
	if (!err && !pool->control.shared && !follower_refresh_table(&pool->follower, segment))
		err = -EIO;
	/* the table of a closed segment on a shared device is nobody's to write: there the old places stay until it is opened anew */
	removal_lock(pool);
	for (uint32_t i = 0; !err && !pool->control.shared && i < room->moved_count; i++)
		table_retire(&pool->control, segment, room->moved[i].index, room->moved[i].birth);
	room->moved_count = err ? room->moved_count : 0;
	if (MUTANT(RETIRED_UNTOLD))
		removal_unlock(pool);
	SIM_SITE(RETIRED_UNTOLD);
	/*
	 * A device has to know what the ring tells of before it rings.  Until then nobody goes by the old places' being removed: who
	 * removes the block would find them so, and answer while others have them in their index, and hear of it later.
	 */
	if (!err && !pool->control.shared && !(err = pool->media->ops->settle(pool->media)))
		table_tell(&pool->control, segment);
	if (!MUTANT(RETIRED_UNTOLD))
		removal_unlock(pool);
	follower_unkeep(&pool->follower, segment);
	return err;
}

/*
 * Does its table still describe the block?  A shared device is asked: the segment may have been adopted from us, opened anew by its
 * next holder, and the key removed since, which found nothing here; our mirror knows nothing of all that.
 */
static bool still_described(struct memkv_pool *pool, uint64_t segment, uint64_t generation)
{
	const struct control *c = &pool->control;

	if (c->shared)
		follower_keep(&pool->follower); /* what was asked is not given back before it is looked at */
	bool asked = !c->shared || MUTANT(STANDS_FROM_MIRROR) || table_refresh_header(c, segment);
	bool stands = asked && table_stands(c, segment, generation);
	if (c->shared)
		follower_unkeep(&pool->follower, segment);
	return stands || MUTANT(MOVE_FROM_WITHDRAWN);
}

/* false: the block was removed meanwhile, or could not be written */
static bool publish_copy(struct memkv_pool *pool, uint64_t segment, const struct entry *old,
			 const struct room_place *to, struct entry *e, bool good)
{
	const struct control *c = &pool->control;

	if (!good) {
		e->flags |= ENTRY_VOID;
		table_publish(c, to->segment, e);
		control_ring_entry(c, to->segment);
		return false;
	}
	if (MUTANT(MOVE_LIVE))
		table_publish(c, to->segment, e);
	else
		table_publish_moving(c, to->segment, e);
	control_ring_entry(c, to->segment);
	follower_add(&pool->follower, to->segment, e);
	/* in doubt it counts: whoever is removing it looks for copies once more when it has decided */
	enum life life = table_life(c, segment, old->index, old->birth);
	/*
	 * The segment need not be ours (pins.c).  Once it is withdrawn for its next generation, a removal takes what was in it
	 * for gone, and leaves the old life word as it is.
	 */
	bool stands = still_described(pool, segment, old->generation);
	bool live = MUTANT(MOVE_BLIND) || (life_counts(life) && stands);
	if (c->shared) { /* a removal does not flag: it stands in a log */
		factbook_refresh(&pool->factbook);
		live = live && !factbook_removed(&pool->factbook, old->key, old->birth);
	}
	if (live && (table_settle(c, to->segment, e->index, e->birth) || MUTANT(MOVE_LIVE))) {
		note_moved(pool, segment, old);
		return true;
	}
	table_kill(c, to->segment, e->index, e->birth);
	return false;
}

/* into the room's buffer, when earlier moves out of another segment are settled; under room.refill */
static enum move_result read_block(struct memkv_pool *pool, uint64_t segment, const struct entry *old,
				   struct block_header *h)
{
	struct room *room = &pool->room;
	struct block_read read;

	if (room->moved_count && room->moved_from != segment && moves_settle(pool, room->moved_from))
		return MOVE_FAILED;
	block_read_init(&read, pool, &room->lane, old->key, place_of_entry(&pool->control, segment, old));
	read.to = room->move_buffer;
	read.length = old->length;
	read.any_time = true; /* a pinned block does not expire */
	op_run(&read.op);
	*h = read.header;
	if (read.verdict == BLOCK_IO)
		return MOVE_FAILED;
	return read.verdict == BLOCK_GOOD && h->birth == old->birth ? MOVE_DONE : MOVE_GONE;
}

static void fill_place(const struct memkv_pool *pool, const struct room_place *to, struct block_header *h)
{
	h->generation = to->generation;
	h->segment = (uint32_t)to->segment;
	h->index = to->index;
	h->page = (layout_segment(&pool->control.layout, to->segment) >> PAGE_SHIFT) + to->page;
}

/* what read_block() has read goes to @to; under room.refill */
static enum move_result write_copy(struct memkv_pool *pool, uint64_t segment, const struct entry *old,
				   struct block_header *h, struct room_place *to)
{
	struct room *room = &pool->room;
	struct block_write write;
	struct entry copy;

	fill_place(pool, to, h);
	block_header_encode(h, NULL, pool->sb.seed, room->lane.header); /* metadata and digests stay as read */
	block_write_init(&write, &room->lane, h->page, h->header_pages, room->move_buffer, h->length);
	op_run(&write.op);
	entry_of_header(h, to->page, &copy);
	if (MUTANT(PIN_DROPPED_AT_MOVE))
		copy.session_id = 0;
	bool moved = publish_copy(pool, segment, old, to, &copy, write.result == 0);
	if (moved) {
		count(&pool->counters.moved_blocks, 1);
		count(&pool->counters.moved_bytes, h->length);
	}
	return moved ? MOVE_DONE : write.result ? MOVE_FAILED : MOVE_GONE;
}

enum move_result move_to_rest(struct memkv_pool *pool, uint64_t segment, const struct entry *old)
{
	struct room_place to;
	struct block_header h;
	enum move_result result = read_block(pool, segment, old, &h);

	if (result != MOVE_DONE)
		return result;
	if (!room_reserve_rest(&pool->room, h.header_pages + (uint32_t)block_pages(h.length), &to))
		return MOVE_NO_ROOM;
	result = write_copy(pool, segment, old, &h, &to);
	room_release(&pool->room, &to);
	return result;
}

/* a place that is not needed after all */
static void give_place_up(struct memkv_pool *pool, const struct room_place *to)
{
	struct entry empty = {.index = to->index,
			      .generation = to->generation,
			      .birth = slot_new_birth(&pool->slot),
			      .page = to->page,
			      .flags = ENTRY_VOID};

	table_publish(&pool->control, to->segment, &empty);
	control_ring_entry(&pool->control, to->segment);
}

static enum move_result move_where_room_is(struct memkv_pool *pool, uint64_t segment, const struct entry *old, bool settle)
{
	struct room_place to;
	struct block_header h;

	int err = room_reserve(&pool->room, old->header_pages + (uint32_t)block_pages(old->length), &to);
	if (err == MEMKV_UNKNOWN && !MUTANT(LAPSE_ASKED_LATE))
		return MOVE_LAPSED; /* who asks for the lease later may find it kept again */
	if (err)
		return err == MEMKV_NO_ROOM || err == MEMKV_DRAINED ? MOVE_NO_ROOM : MOVE_FAILED;
	pthread_mutex_lock(&pool->room.refill);
	enum move_result result = read_block(pool, segment, old, &h);
	if (result == MOVE_DONE)
		result = write_copy(pool, segment, old, &h, &to);
	else
		give_place_up(pool, &to);
	if (result == MOVE_DONE && settle)
		(void)moves_settle(pool, segment); /* else it has two places, and both count */
	pthread_mutex_unlock(&pool->room.refill);
	room_release(&pool->room, &to);
	return result;
}

enum move_result move_anywhere(struct memkv_pool *pool, uint64_t segment, const struct entry *old)
{
	return move_where_room_is(pool, segment, old, true);
}

enum move_result move_out(struct memkv_pool *pool, uint64_t segment, const struct entry *old)
{
	return move_where_room_is(pool, segment, old, false);
}

/* ---- entries ---- */

struct collection {
	struct memkv_pool *pool;
	uint64_t segment;
	bool (*wanted)(void *context, const struct entry *e);
	void *context;
	struct entry *to;
	uint32_t count;
};

static void collect_one(void *context, uint32_t index, enum entry_state state, const struct entry *e, bool mended)
{
	struct collection *c = context;

	(void)mended;
	if (state == ENTRY_HERE && !(e->flags & ENTRY_VOID) &&
	    life_counts(table_life(&c->pool->control, c->segment, index, e->birth)) &&
	    !(c->pool->control.shared && factbook_removed(&c->pool->factbook, e->key, e->birth)) && c->wanted(c->context, e))
		c->to[c->count++] = *e;
}

uint32_t entries_told(struct memkv_pool *pool, uint64_t segment, bool (*wanted)(void *context, const struct entry *e), void *context,
		      struct entry *to, uint64_t *generation, bool *unread)
{
	struct collection collection = {pool, segment, wanted, context, to, 0};
	const struct control *c = &pool->control;
	struct table_header header;
	bool mended;

	*generation = 0;
	pthread_mutex_lock(&pool->follower.lock);
	uint64_t before = pool->recover_unread;
	*unread = !table_refresh(c, segment);
	if (!*unread && table_header_told(c, &pool->follower.recover, segment, &header, &mended, unread)) {
		*generation = header.generation;
		table_walk(c, &pool->follower.recover, segment, header.generation, 0,
			   table_count(c, segment, header.generation, NULL), collect_one, &collection);
	}
	*unread |= pool->recover_unread != before;
	follower_give_back(&pool->follower, segment);
	pthread_mutex_unlock(&pool->follower.lock);
	return collection.count;
}

uint32_t entries_collect(struct memkv_pool *pool, uint64_t segment,
			 bool (*wanted)(void *context, const struct entry *e), void *context, struct entry *to,
			 uint64_t *generation)
{
	bool unread;

	return entries_told(pool, segment, wanted, context, to, generation, &unread);
}

static size_t table_room(const struct memkv_pool *pool)
{
	return pool->sb.geo.entries * sizeof(struct entry);
}

struct entry *entries_alloc(const struct memkv_pool *pool)
{
	void *at = mmap(NULL, table_room(pool), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

void entries_free(const struct memkv_pool *pool, struct entry *entries)
{
	if (entries)
		munmap(entries, table_room(pool));
}
