/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reclaim: which segment goes, and which of its blocks stay (room.h has the policy and why).
 *
 * A block moves by being written again, with the same birth, into the rest of the current segment: read and verify
 * -> write -> publish as moving, which nobody is given -> look at the old life word: still live -> the copy is made live.
 * A removal marks first and then looks for copies, moving ones too; so either it finds the copy, or the mover finds the
 * mark.  A mover that dies before the last step leaves the block where it was.
 *
 * A block that was put durably stays durable: before the victim is opened anew, which overwrites the old copy, the new one
 * is flushed.  One flush a victim, and only where something moved.
 */
#include "core/base/environ.h"
#include "core/pool/block_io.h"

#include <errno.h>
#include <string.h>

enum { SECOND_CHANCES = 16 };

struct hot_list {
	struct memkv_pool *pool;
	uint64_t segment;
	uint64_t hot_pages;
	bool cool; /* lower the heat of what is hot */
	struct room *room; /* move what is hot; NULL: only count */
	uint64_t pages_left, moved, moved_bytes;
};

static bool is_live(const struct memkv_pool *pool, uint64_t segment, enum entry_state state, const struct entry *e)
{
	return state == ENTRY_HERE && !(e->flags & ENTRY_VOID) &&
	       life_counts(table_life(&pool->control, segment, e->index, e->birth)) &&
	       (e->expires_s == 0 || e->expires_s > clock_utc_s());
}

/* false: the block was removed meanwhile, or could not be written */
static bool publish_copy(struct hot_list *list, const struct entry *old, const struct room_place *to, struct entry *e,
			 bool good)
{
	struct memkv_pool *pool = list->pool;
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
	bool live = MUTANT(MOVE_BLIND) || life_counts(table_life(c, list->segment, old->index, old->birth));
	if (live && (table_settle(c, to->segment, e->index, e->birth) || MUTANT(MOVE_LIVE)))
		return true;
	table_kill(c, to->segment, e->index, e->birth);
	return false;
}

/* true when the block now also lies in the current segment */
static bool move_block(struct hot_list *list, const struct entry *old)
{
	struct memkv_pool *pool = list->pool;
	struct room *room = list->room;
	struct room_place to;
	struct block_read read;
	struct block_write write;
	struct entry copy;

	block_read_init(&read, pool, &room->lane, old->key, place_of_entry(&pool->control, list->segment, old));
	read.to = room->move_buffer;
	read.length = old->length;
	op_run(&read.op);
	if (read.verdict != BLOCK_GOOD)
		return false;
	struct block_header h = read.header;
	if (!room_reserve_rest(room, h.header_pages + (uint32_t)block_pages(h.length), &to))
		return false;
	h.generation = to.generation;
	h.segment = (uint32_t)to.segment;
	h.index = to.index;
	h.page = (layout_segment(&pool->control.layout, to.segment) >> PAGE_SHIFT) + to.page;
	block_header_encode(&h, NULL, pool->sb.seed, room->lane.header); /* metadata and digests stay as read */
	block_write_init(&write, &room->lane, h.page, h.header_pages, room->move_buffer, h.length);
	op_run(&write.op);
	entry_of_header(&h, to.page, &copy);
	bool moved = publish_copy(list, old, &to, &copy, write.result == 0);
	room_release(room, &to);
	if (!moved)
		return false;
	heat_set(pool, list->segment, old->page, 0); /* should this victim be spared after all, it is not moved twice */
	count(&pool->counters.moved_blocks, 1);
	count(&pool->counters.moved_bytes, h.length);
	return true;
}

static void visit_hot(void *context, uint32_t index, enum entry_state state, const struct entry *e, bool mended)
{
	struct hot_list *list = context;

	(void)index;
	(void)mended;
	if (!is_live(list->pool, list->segment, state, e))
		return;
	unsigned heat = heat_read(list->pool, list->segment, e->page);
	uint64_t pages = e->header_pages + block_pages(e->length);
	if (heat == 0)
		return;
	list->hot_pages += pages;
	if (list->cool)
		heat_set(list->pool, list->segment, e->page, heat - 1);
	if (list->room && pages <= list->pages_left && move_block(list, e)) {
		list->pages_left -= pages;
		list->moved++;
		list->moved_bytes += e->length;
	}
}

/* the victim is LEAVING and ours: nothing is published into it; what only second sources tell is let go */
static void walk_victim(struct memkv_pool *pool, uint64_t segment, table_visit visit, void *context)
{
	struct table_header header;
	const struct control *c = &pool->control;
	bool mended;

	follower_keep(&pool->follower);
	if (table_refresh(c, segment) && table_header_known(c, NULL, segment, &header, &mended))
		table_walk(c, NULL, segment, header.generation, 0, table_count(c, segment, header.generation, NULL), visit,
			   context);
	follower_unkeep(&pool->follower, segment);
}

static uint64_t hot_pages(struct memkv_pool *pool, uint64_t segment, bool cool)
{
	struct hot_list list = {.pool = pool, .segment = segment, .cool = cool};

	walk_victim(pool, segment, visit_hot, &list);
	return list.hot_pages;
}

/*
 * The oldest that is not mostly in use; after some second chances, the oldest.  0, MEMKV_NO_ROOM, or -errno: then the
 * dead have moved what cannot be flushed, and the segment stays LEAVING, ours, until we are dead in our turn.
 */
static int choose(struct memkv_pool *pool, struct owned *victim)
{
	const struct control *c = &pool->control;

	for (int chance = 0; own_take_oldest(c, &pool->slot, victim); chance++) {
		uint64_t half = layout_segment_pages(&c->layout, victim->segment) / 2;
		int err = victim->orphan && !MUTANT(MOVED_UNFLUSHED) ? pool->media->ops->flush(pool->media) : 0;
		if (err || chance == SECOND_CHANCES || hot_pages(pool, victim->segment, false) <= half)
			return err;
		hot_pages(pool, victim->segment, true);
		control_renew_age(c, victim->segment);
		(void)own_move(c, victim, OWNER_SEALED, &pool->slot);
	}
	return control_published(c) ? MEMKV_NO_ROOM : -EIO;
}

int reclaim_secure(struct room *room)
{
	struct media *media = room->pool->media;
	int err = room->next_safe || MUTANT(MOVED_UNFLUSHED) ? 0 : media->ops->flush(media);

	room->next_safe = err == 0;
	return err;
}

void reclaim_prepare(struct room *room)
{
	struct memkv_pool *pool = room->pool;

	if (room->next_ready || own_any_ready(&pool->control, &pool->slot) || choose(pool, &room->next))
		return;
	struct hot_list list = {
		.pool = pool,
		.segment = room->next.segment,
		.room = room,
		.pages_left = layout_segment_pages(&pool->control.layout, room->next.segment) / 2,
	};
	walk_victim(pool, list.segment, visit_hot, &list);
	room->next_moved = (struct moved){list.moved, list.moved_bytes};
	room->next_ready = true;
	room->next_safe = list.moved == 0;
	(void)reclaim_secure(room); /* when it fails it is tried again before the segment goes */
}

int reclaim_take(struct room *room, struct owned *owned)
{
	return choose(room->pool, owned);
}

struct account {
	struct memkv_pool *pool;
	uint64_t segment, blocks, bytes;
};

static void visit_account(void *context, uint32_t index, enum entry_state state, const struct entry *e, bool mended)
{
	struct account *account = context;

	(void)index;
	(void)mended;
	if (!is_live(account->pool, account->segment, state, e))
		return;
	account->blocks++;
	account->bytes += e->length;
}

struct moved reclaim_account(struct room *room, uint64_t segment, struct moved moved)
{
	struct account account = {.pool = room->pool, .segment = segment};

	walk_victim(room->pool, segment, visit_account, &account);
	return (struct moved){account.blocks - min_u64(moved.blocks, account.blocks),
			      account.bytes - min_u64(moved.bytes, account.bytes)};
}
