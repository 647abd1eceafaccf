/* SPDX-License-Identifier: Apache-2.0 */
/* See holds.h and include/memkv/hold.h. */
#include "core/pool/holds.h"
#include "core/base/fail.h"
#include "core/pool/locate.h"
#include "core/slot/own.h"

#include <memkv/hold.h>

#include <errno.h>
#include <string.h>

_Static_assert((int)MEMKV_HOLD_SEGMENTS == (int)HOLDS_PER_CELL, "as many as a cell has places");

enum { TRIES = 8 /* for a copy that stays where it is while it is being held */ };

void holds_open(struct holdings *holds)
{
	*holds = (struct holdings){0};
	pthread_mutex_init(&holds->lock, NULL);
}

void holds_close(struct holdings *holds)
{
	pthread_mutex_destroy(&holds->lock);
}

bool holds_there(struct memkv_pool *pool, uint64_t segment)
{
	const struct control *c = &pool->control;
	struct table_header header;

	if (!pool->media->caps.mappable || MUTANT(HOLDS_UNSEEN))
		return false;
	words_settle(); /* the segment is LEAVING, and now we look */
	bool known = table_header(c, segment, &header) != CHECK_BAD;
	bool held = hold_cell_held(c, &pool->slot, segment, known ? header.generation : 0);
	count(&pool->counters.segments_held, held);
	return held;
}

/* ---- places ---- */

static bool same_place(const struct hold *a, const struct hold *b)
{
	return a->segment == b->segment && a->generation == b->generation;
}

/* under the lock: a place for @hold in the cell, shared where its segment has one; -EAGAIN: none is left */
static int take_place(struct memkv_pool *pool, const struct hold *hold, uint32_t *place)
{
	struct holdings *holds = &pool->holds;
	uint32_t n = HOLDS_PER_CELL;

	for (uint32_t i = HOLDS_PER_CELL; i-- > 0;) {
		if (holds->users[i] && same_place(&holds->cell.holds[i], hold)) {
			holds->users[i]++;
			*place = i;
			return 0;
		}
		n = holds->users[i] ? n : i;
	}
	if (n == HOLDS_PER_CELL)
		return fail(-EAGAIN, "%s: blocks of %d segments are held already, which is all that a process can; release some, or "
				     "copy with get", pool->media->path, HOLDS_PER_CELL);
	holds->cell.holds[n] = *hold;
	holds->users[n] = 1;
	hold_cell_store(&pool->control, &pool->slot, &holds->cell);
	*place = n;
	return 0;
}

/* under the lock */
static void give_place(struct memkv_pool *pool, uint32_t place)
{
	struct holdings *holds = &pool->holds;

	if (--holds->users[place])
		return;
	holds->cell.holds[place].generation = 0; /* the rest of it stays: no moment shows it with another segment */
	hold_cell_store(&pool->control, &pool->slot, &holds->cell);
}

/* ---- looking ---- */

enum look { LOOK_HELD, LOOK_LEAVING, LOOK_GONE };

/* the table shows the generation, and the block lives in it; what was read before was that block */
static bool stands(const struct memkv_pool *pool, uint64_t segment, uint64_t generation, uint32_t index, uint64_t birth)
{
	const struct control *c = &pool->control;
	struct table_header header;

	if (atomic_load(&pool->media->failed))
		return false;
	return table_header(c, segment, &header) != CHECK_BAD && header.generation == generation &&
	       life_counts(table_life(c, segment, index, birth));
}

/* the place is taken; now look */
static enum look look(struct memkv_pool *pool, const struct block_header *h)
{
	struct owned owned;

	words_settle();
	if (!MUTANT(HOLDS_AT_RETIRE) && (!own_look(&pool->control, h->segment, &owned) || owned.word.state == OWNER_LEAVING))
		return LOOK_LEAVING;
	if (!MUTANT(HOLDS_AT_RETIRE) && owned.word.state == OWNER_FREE)
		return LOOK_GONE;
	return stands(pool, h->segment, h->generation, h->index, h->birth) ? LOOK_HELD : LOOK_GONE;
}

static bool bytes_verify(const struct block_header *h, const uint8_t *bytes)
{
	uint64_t offset;
	uint32_t length;

	for (uint32_t i = 0; i < h->chunks; i++) {
		chunk_extent(h, i, &offset, &length);
		if (chunk_bind(chunk_digest(bytes + offset, length), h->key, h->birth, i) != le64_get(h->digests[i]))
			return false;
	}
	return true;
}

static int not_now(const struct memkv_pool *pool, const char *why)
{
	return fail(-EAGAIN, "%s: %s; copy the block with get", pool->media->path, why);
}

static void unhold(struct memkv_pool *pool, uint32_t place)
{
	pthread_mutex_lock(&pool->holds.lock);
	give_place(pool, place);
	pthread_mutex_unlock(&pool->holds.lock);
}

/* of header_seek(): hold this copy.  1: it is not there any more, look for another */
static int hold_copy(void *context, const struct block_header *h, struct place at)
{
	struct memkv_hold *hold = context;
	struct memkv_pool *pool = (void *)(uintptr_t)hold->data;
	const struct control *c = &pool->control;
	struct hold want = {.segment = h->segment, .page = (uint32_t)(at.page - (layout_segment(&c->layout, h->segment) >> PAGE_SHIFT)),
			    .generation = h->generation};
	uint32_t place = 0;

	pthread_mutex_lock(&pool->holds.lock);
	int err = take_place(pool, &want, &place);
	pthread_mutex_unlock(&pool->holds.lock);
	if (err)
		return err;
	enum look looked = look(pool, h);
	const uint8_t *bytes = pool->media->payload + (at.page + h->header_pages) * PAGE;
	if (looked != LOOK_HELD)
		err = looked == LOOK_GONE ? 1 : not_now(pool, "the block is on its way out");
	else if (hold_cell_over(c, &pool->slot, c->layout.segments / 2))
		err = not_now(pool, "half of the pool is held, which is the limit");
	else if (!bytes_verify(h, bytes))
		err = not_now(pool, "its bytes do not verify where they lie");
	if (err) {
		unhold(pool, place);
		return err;
	}
	*hold = (struct memkv_hold){
		.data = bytes,
		.length = h->length,
		.birth = h->birth,
		.generation = h->generation,
		.segment = h->segment,
		.index = h->index,
		.place = place,
	};
	return 0;
}

static int ready(struct memkv_pool *pool, bool good_arguments)
{
	int err = pool_usable(pool);

	if (err)
		return err;
	if (!good_arguments)
		return fail(-EINVAL, "hold: a key or a locator, and a place for the hold, are needed");
	if (pool->read_only)
		return fail(MEMKV_READ_ONLY, "%s was opened read-only; a hold needs it open for writing", pool->media->path);
	if (pool->media->payload)
		return 0;
	fork_hold(); /* no child sees a mapping that is not kept out of children yet */
	pthread_mutex_lock(&pool->holds.lock);
	err = pool->media->payload ? 0 : media_map_payload(pool->media);
	pthread_mutex_unlock(&pool->holds.lock);
	fork_release();
	return err;
}

static int hold_any(struct memkv_pool *pool, const struct memkv_key *key, const struct memkv_locator *locator,
		    struct memkv_hold *hold)
{
	struct memkv_hold made;
	int err = 1;

	for (int i = 0; err > 0 && i < TRIES; i++) {
		made.data = pool;
		err = header_seek(pool, key, locator, hold_copy, &made);
	}
	if (err > 0)
		err = not_now(pool, "the block is being moved again and again");
	count(&pool->counters.holds, err == 0);
	count(&pool->counters.holds_refused, err == -EAGAIN);
	if (!err)
		*hold = made;
	return err;
}

int memkv_hold(struct memkv_pool *pool, const struct memkv_key *key, struct memkv_hold *hold)
{
	if (hold)
		*hold = (struct memkv_hold){0};
	int err = ready(pool, key && hold);
	return err ? err : hold_any(pool, key, NULL, hold);
}

int memkv_hold_at(struct memkv_pool *pool, const struct memkv_locator *locator, struct memkv_hold *hold)
{
	if (hold)
		*hold = (struct memkv_hold){0};
	int err = ready(pool, locator && hold);
	return err ? err : hold_any(pool, NULL, locator, hold);
}

static bool of_this_pool(const struct memkv_pool *pool, const struct memkv_hold *hold)
{
	const struct geometry *geo = &pool->sb.geo;

	return hold && hold->data && hold->segment < geo->segments && hold->index < geo->entries && hold->place < HOLDS_PER_CELL;
}

int memkv_hold_valid(const struct memkv_pool *pool, const struct memkv_hold *hold)
{
	int err = pool_usable(pool);

	if (err)
		return err;
	if (!of_this_pool(pool, hold))
		return fail(-EINVAL, "hold: nothing is held by this");
	loads_done();
	return stands(pool, hold->segment, hold->generation, hold->index, hold->birth);
}

int memkv_release(struct memkv_pool *pool, struct memkv_hold *hold)
{
	int valid = memkv_hold_valid(pool, hold);

	if (valid < 0)
		return valid;
	struct holdings *holds = &pool->holds;
	struct hold was = {.segment = hold->segment, .generation = hold->generation};
	pthread_mutex_lock(&holds->lock);
	bool mine = holds->users[hold->place] && same_place(&holds->cell.holds[hold->place], &was);
	if (mine)
		give_place(pool, hold->place);
	pthread_mutex_unlock(&holds->lock);
	if (!mine)
		return fail(-EINVAL, "hold: nothing is held by this; it was released before, or is another handle's");
	*hold = (struct memkv_hold){0};
	return valid ? 0 : MEMKV_LAPSED;
}
