/* SPDX-License-Identifier: Apache-2.0 */
/* See share_pins.h. */
#include "core/pool/share_pins.h"
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/pool/move.h"
#include "core/pool/pin_hold.h"
#include "core/pool/remove.h"

#include <memkv/pin.h>

#include <errno.h>

/* ---- copies ---- */

enum share_copy share_look(struct memkv_pool *pool, uint64_t segment, uint64_t generation, const struct entry *e)
{
	const struct control *c = &pool->control;
	/* what the logs say first: a mark that is gone by then has left its table on the device */
	bool given_up = !MUTANT(PIN_OPEN_UNSEEN) && factbook_gives_up(&pool->factbook, segment, generation);
	struct table_header header;

	if (factbook_removed(&pool->factbook, e->key, e->birth))
		return SHARE_COPY_GONE;
	if (!table_refresh_header(c, segment) || table_header(c, segment, &header) == CHECK_BAD)
		return SHARE_COPY_GIVEN_UP; /* damaged: better to have the block elsewhere */
	if (header.generation != generation || !table_refresh_entries(c, segment, e->index, e->index + 1))
		return SHARE_COPY_GONE;
	enum life life = table_life(c, segment, e->index, e->birth);
	if (!life_counts(life))
		return SHARE_COPY_GONE;
	if (given_up)
		return SHARE_COPY_GIVEN_UP;
	return life == LIFE_SENT ? SHARE_COPY_SENT : SHARE_COPY_STANDS;
}

/* all of the block, by its bytes */
static enum share_block read_all(struct memkv_pool *pool, struct lane *lane, uint64_t segment, const struct entry *e)
{
	struct block_read read;

	block_read_init(&read, pool, lane, e->key, place_of_entry(&pool->control, segment, e));
	read.any_time = true;
	switch (block_read_bytes(&read)) {
	case BLOCK_GOOD:
		return read.header.birth == e->birth ? SHARE_BLOCK_WHOLE : SHARE_BLOCK_LOST;
	case BLOCK_IO:
		return SHARE_BLOCK_UNREAD;
	default:
		return SHARE_BLOCK_LOST;
	}
}

/* likewise, in a lane of its own, since whoever has room.refill, and its lane, may be at it for long */
static enum share_block read_apart(struct memkv_pool *pool, uint64_t segment, const struct entry *e)
{
	struct lane *lane = lane_acquire(&pool->lanes);
	enum share_block block = read_all(pool, lane, segment, e);

	lane_release(&pool->lanes, lane);
	return block;
}

enum share_block share_read(struct memkv_pool *pool, uint64_t segment, uint64_t generation, const struct entry *e)
{
	enum share_block block = read_apart(pool, segment, e);

	/* what has been given up or removed meanwhile is not lost: it may be elsewhere by now */
	if (block == SHARE_BLOCK_LOST && share_look(pool, segment, generation, e) != SHARE_COPY_STANDS)
		return SHARE_BLOCK_UNREAD;
	return block;
}

bool share_landed(struct memkv_pool *pool, uint64_t segment, const struct entry *e)
{
	return MUTANT(PIN_SENT) || read_apart(pool, segment, e) == SHARE_BLOCK_WHOLE;
}

bool share_elsewhere(struct memkv_pool *pool, uint64_t segment, const struct entry *e)
{
	enum { COPIES_MAX = 32 };
	struct place places[COPIES_MAX];
	struct entry *found = entries_alloc(pool);
	uint64_t other, generation;
	bool stands = false;

	uint32_t count = found ? follower_copies(&pool->follower, e->key, places, COPIES_MAX) : 0;
	for (uint32_t n = 0; !stands && n < count; n++) {
		if (layout_segment_of(&pool->control.layout, places[n].page) == segment ||
		    !pins_find_entry(pool, found, e->key, places[n], &other, &generation) || found->birth != e->birth)
			continue;
		struct entry copy = *found;
		follower_keep(&pool->follower);
		stands = share_look(pool, other, generation, &copy) == SHARE_COPY_STANDS;
		follower_unkeep(&pool->follower, other);
		/* power loss may have left its entry, and not the block */
		stands = stands && (MUTANT(ELSEWHERE_UNREAD) || read_all(pool, &pool->room.lane, other, &copy) == SHARE_BLOCK_WHOLE);
	}
	entries_free(pool, found);
	return stands;
}

/* ---- pinning ---- */

bool share_look_again(struct memkv_pool *pool, int looks)
{
	enum { FIRST_US = 500, TIMES = 6 };

	if (looks > 0)
		clock_sleep_us(FIRST_US << min_u64((uint64_t)looks, TIMES));
	return MUTANT(PIN_LOGS_UNREAD) || factbook_refresh(&pool->factbook);
}

bool share_out_of_doubt(struct memkv_pool *pool, const struct entry *e)
{
	enum { LOOKS = 16 };
	int looks = 0;

	while (factbook_doubted(&pool->factbook, e->key, e->birth))
		if (++looks == LOOKS || !share_look_again(pool, looks))
			return false;
	return true;
}

int share_unsure(const struct memkv_pool *pool)
{
	return fail(-EAGAIN, "%s: whether what was pinned stays cannot be told: another host is removing some of it, or logs cannot be "
			     "read; try again", pool->media->path);
}

/* ---- emptying ---- */

static bool want_pinned(void *context, const struct entry *e)
{
	struct memkv_pool *pool = context;

	return factbook_pinned(&pool->factbook, e->key, e->session_id);
}

uint32_t share_pinned(struct memkv_pool *pool, uint64_t segment, uint32_t *excused)
{
	struct entry *entries = pool->room.entries;
	uint64_t generation;
	uint32_t all = entries_collect(pool, segment, want_pinned, pool, entries, &generation), left = 0;

	for (uint32_t i = 0; i < all; i++)
		if (!share_elsewhere(pool, segment, &entries[i]))
			entries[left++] = entries[i];
	*excused = all - left;
	return left;
}

bool share_describes(struct memkv_pool *pool, uint64_t segment, uint64_t *generation)
{
	const struct control *c = &pool->control;
	struct table_header header;
	bool mended;

	pthread_mutex_lock(&pool->follower.lock);
	bool read = table_refresh(c, segment);
	*generation = GENERATION_ANY;
	if (read && table_header_known(c, &pool->follower.recover, segment, &header, &mended))
		*generation = header.generation;
	follower_give_back(&pool->follower, segment);
	pthread_mutex_unlock(&pool->follower.lock);
	return read;
}

bool share_spares(struct memkv_pool *pool, uint64_t segment)
{
	uint32_t excused = 0;

	uint64_t before = atomic_load(&pool->media->unread);

	if (MUTANT(PIN_LOOK_AT_RETIRE_ONLY) || MUTANT(PIN_UNSEEN_AFTER_OPEN))
		return false;
	if (share_pinned(pool, segment, &excused) || atomic_load(&pool->media->unread) != before)
		return true;
	return excused && pool->media->ops->flush(pool->media) != 0;
}

bool share_keep_free(struct memkv_pool *pool, struct owned *victim)
{
	const struct control *c = &pool->control;
	struct media *media = pool->media;

	if (!own_move(c, victim, OWNER_OPEN, &pool->slot))
		return false;
	removal_lock(pool);
	table_withdraw(c, victim->segment);
	removal_unlock(pool);
	bool good = media->ops->settle(media) == 0 && control_published(c) && media->ops->flush(media) == 0;
	share_close_again(pool, victim->segment, good ? OWNER_FREE : OWNER_SEALED);
	return good;
}

/* ---- removing ---- */

int share_remove(struct memkv_pool *pool, const struct entry *e, bool force, int (*state)(void *context), void *context)
{
	struct factbook *book = &pool->factbook;

	if (MUTANT(REMOVE_UNDOUBTED)) {
		factbook_refresh(book);
		return !force && factbook_pinned(book, e->key, e->session_id) ? MEMKV_PINNED : state(context);
	}
	int err = factbook_doubt(book, e->key, e->birth);
	if (!err && (!factbook_refresh(book) || (lease_lost(&pool->control, &pool->slot) && !MUTANT(SLOT_LOST_UNSEEN))))
		err = -EIO; /* pins are not all known; or nobody needs to have read our doubt */
	if (!err && !force && factbook_pinned(book, e->key, e->session_id))
		err = MEMKV_PINNED;
	int result = err ? err : state(context);
	if (result < 0) /* else the DEL has ended it */
		(void)factbook_doubt(book, e->key, 0);
	return result;
}
