/* SPDX-License-Identifier: Apache-2.0 */
/* See holds.h and include/memkv/hold.h. */
#include "core/pool/holds.h"
#include "core/base/fail.h"
#include "core/pool/handle.h"
#include "core/pool/locate.h"
#include "core/slot/own.h"

#include <memkv/hold.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

_Static_assert((int)MEMKV_HOLD_SEGMENTS == (int)HOLDS_PER_CELL, "as many as a cell has places");

enum { TRIES = 8 /* for a copy that stays where it is while it is being held */ };

/* ---- with the handle, and with what it is attached to ---- */

void holds_open(struct holdings *holds)
{
	*holds = (struct holdings){0};
	pthread_mutex_init(&holds->lock, NULL);
}

/* under the lock, and with fork held */
static void drop_relic(struct holdings *holds, struct relic *relic)
{
	struct relic **at = &holds->relics;

	while (*at != relic)
		at = &(*at)->next;
	*at = relic->next;
	if (relic->media)
		relic->media->ops->close(relic->media);
	free(relic);
}

static bool in_use(const struct relic *relic)
{
	for (uint32_t i = 0; i < HOLDS_PER_CELL; i++)
		if (relic->users[i])
			return true;
	return false;
}

void holds_close(struct memkv_pool *pool)
{
	struct holdings *holds = &pool->holds;

	fork_hold();
	while (holds->relics)
		drop_relic(holds, holds->relics);
	fork_release();
	pthread_mutex_destroy(&holds->lock);
}

int holds_attach(struct memkv_pool *pool)
{
	struct holdings *holds = &pool->holds;
	struct relic *spare = calloc(1, sizeof(*spare));

	if (!spare)
		return fail(-ENOMEM, "%s: no memory to open the pool", pool->path);
	pthread_mutex_lock(&holds->lock);
	holds->cell = (struct hold_cell){0};
	memset(holds->users, 0, sizeof(holds->users));
	holds->attachment = pool->rejoin.attachments;
	holds->spare = spare;
	pthread_mutex_unlock(&holds->lock);
	return 0;
}

void holds_detach(struct memkv_pool *pool)
{
	struct holdings *holds = &pool->holds;
	bool held = false;

	fork_hold();
	pthread_mutex_lock(&holds->lock);
	struct relic *relic = holds->spare;
	for (uint32_t i = 0; i < HOLDS_PER_CELL; i++)
		held |= holds->users[i] > 0;
	if (held) {
		relic->attachment = holds->attachment;
		memcpy(relic->holds, holds->cell.holds, sizeof(relic->holds));
		memcpy(relic->users, holds->users, sizeof(relic->users));
		relic->next = holds->relics;
		holds->relics = relic;
	} else {
		free(relic);
	}
	holds->spare = NULL;
	holds->attachment = 0;
	memset(holds->users, 0, sizeof(holds->users));
	pthread_mutex_unlock(&holds->lock);
	fork_release();
}

bool holds_keep(struct memkv_pool *pool)
{
	struct holdings *holds = &pool->holds;
	struct relic *relic;

	pthread_mutex_lock(&holds->lock);
	for (relic = holds->relics; relic && relic->media; relic = relic->next)
		;
	if (relic && !in_use(relic)) {
		drop_relic(holds, relic);
		relic = NULL;
	}
	if (relic)
		relic->media = pool->media;
	pthread_mutex_unlock(&holds->lock);
	return relic != NULL;
}

void holds_abandon(struct holdings *holds)
{
	for (struct relic *relic = holds->relics; relic; relic = relic->next)
		if (relic->media)
			relic->media->ops->abandon(relic->media);
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
		.reserved = {pool->rejoin.attachments},
	};
	return 0;
}

/* inside */
static int ready(struct memkv_pool *pool, bool good_arguments)
{
	if (!good_arguments)
		return fail(-EINVAL, "hold: a key or a locator, and a place for the hold, are needed");
	if (pool->read_only)
		return fail(MEMKV_READ_ONLY, "%s was opened read-only; a hold needs it open for writing", pool->media->path);
	fork_hold(); /* no child sees a mapping that is not kept out of children yet */
	pthread_mutex_lock(&pool->holds.lock);
	int err = pool->media->payload ? 0 : media_map_payload(pool->media);
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

static int enter_and_hold(struct memkv_pool *pool, const struct memkv_key *key, const struct memkv_locator *locator,
			  struct memkv_hold *hold)
{
	if (hold)
		*hold = (struct memkv_hold){0};
	POOL_USE use = pool_enter(pool, ENTRY_HOLD);
	if (!use.inside)
		return use.result;
	int err = ready(pool, (key || locator) && hold);
	return err ? err : hold_any(pool, key, locator, hold);
}

int memkv_hold(struct memkv_pool *pool, const struct memkv_key *key, struct memkv_hold *hold)
{
	return enter_and_hold(pool, key, NULL, hold);
}

int memkv_hold_at(struct memkv_pool *pool, const struct memkv_locator *locator, struct memkv_hold *hold)
{
	return enter_and_hold(pool, NULL, locator, hold);
}

static int no_hold(void)
{
	return fail(-EINVAL, "hold: nothing is held by this");
}

static bool of_this_pool(const struct memkv_pool *pool, const struct memkv_hold *hold)
{
	const struct geometry *geo = &pool->sb.geo;

	return hold->segment < geo->segments && hold->index < geo->entries && hold->place < HOLDS_PER_CELL;
}

int memkv_hold_valid(const struct memkv_pool *pool, const struct memkv_hold *hold)
{
	POOL_USE use = pool_enter(pool, ENTRY_LOOK);

	if (use.result)
		return use.result;
	if (!hold || !hold->data)
		return no_hold();
	if (!use.inside || hold->reserved[0] != pool->rejoin.attachments)
		return 0; /* what it was held by has been given up */
	if (!of_this_pool(pool, hold))
		return no_hold();
	loads_done();
	return stands(pool, hold->segment, hold->generation, hold->index, hold->birth);
}

/* under the lock, and with fork held: a hold of an attachment that was given up; false: there is none like it */
static bool release_relic(struct holdings *holds, const struct memkv_hold *hold, const struct hold *was)
{
	struct relic *relic = holds->relics;

	while (relic && relic->attachment != hold->reserved[0])
		relic = relic->next;
	if (!relic || !relic->users[hold->place] || !same_place(&relic->holds[hold->place], was))
		return false;
	relic->users[hold->place]--;
	if (relic->media && !in_use(relic))
		drop_relic(holds, relic);
	return true;
}

/* a hold of what is attached; *current: it says so */
static bool release_current(struct memkv_pool *pool, const struct memkv_hold *hold, const struct hold *was, bool *current)
{
	struct holdings *holds = &pool->holds;

	pthread_mutex_lock(&holds->lock);
	*current = hold->reserved[0] == holds->attachment;
	bool mine = *current && holds->users[hold->place] && same_place(&holds->cell.holds[hold->place], was);
	if (mine)
		give_place(pool, hold->place);
	pthread_mutex_unlock(&holds->lock);
	return mine;
}

int memkv_release(struct memkv_pool *pool, struct memkv_hold *hold)
{
	int valid = memkv_hold_valid(pool, hold);

	if (valid < 0)
		return valid;
	struct hold was = {.segment = hold->segment, .generation = hold->generation};
	bool sane = hold->place < HOLDS_PER_CELL, current = false;
	bool mine = sane && release_current(pool, hold, &was, &current);
	if (sane && !current) {
		fork_hold();
		pthread_mutex_lock(&pool->holds.lock);
		mine = release_relic(&pool->holds, hold, &was);
		pthread_mutex_unlock(&pool->holds.lock);
		fork_release();
	}
	if (!mine)
		return fail(-EINVAL, "hold: nothing is held by this; it was released before, or is another handle's");
	*hold = (struct memkv_hold){0};
	return valid ? 0 : MEMKV_LAPSED;
}
