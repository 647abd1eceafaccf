/* SPDX-License-Identifier: Apache-2.0 */
/* See pin_hold.h. */
#include "core/pool/pin_hold.h"
#include "core/pool/newest.h"
#include "core/pool/remove.h"
#include "core/pool/share_pins.h"
#include "core/slot/own.h"

#include <string.h>

enum { TRIES = 16 /* looks for a copy that holds, while copies come and go */, COPIES_MAX = 32 };

enum holds { HOLDS, HOLDS_ELSEWHERE, HOLDS_NOT, HOLDS_LOST };

/* a shared device; all logs were read since the fact was stated */
static enum holds look_shared(struct memkv_pool *pool, uint64_t segment, uint64_t generation, const struct entry *e, bool alone)
{
	static const enum holds by_bytes[] = {
		[SHARE_BLOCK_WHOLE] = HOLDS, [SHARE_BLOCK_LOST] = HOLDS_LOST, [SHARE_BLOCK_UNREAD] = HOLDS_NOT};

	switch (share_look(pool, segment, generation, e)) {
	case SHARE_COPY_STANDS:
		return alone && !MUTANT(PIN_BY_ENTRY) ? by_bytes[share_read(pool, segment, generation, e)] : HOLDS;
	case SHARE_COPY_SENT:
		return share_landed(pool, segment, e) ? HOLDS : HOLDS_NOT;
	case SHARE_COPY_GIVEN_UP:
		return HOLDS_ELSEWHERE;
	case SHARE_COPY_GONE:
		break;
	}
	return HOLDS_NOT;
}

static enum holds look_at(struct memkv_pool *pool, uint64_t segment, uint64_t generation, const struct entry *e, bool alone)
{
	const struct control *c = &pool->control;
	struct table_header header;
	struct owned owned;

	if (c->shared)
		return look_shared(pool, segment, generation, e, alone);
	if (MUTANT(PIN_BLIND))
		return life_counts(table_life(c, segment, e->index, e->birth)) ? HOLDS : HOLDS_NOT;
	bool known = own_refresh(c, segment) && own_look(c, segment, &owned);
	if (!table_refresh_header(c, segment) || table_header(c, segment, &header) == CHECK_BAD)
		known = false; /* damaged: better to have the block elsewhere */
	else if (header.generation != generation)
		return HOLDS_NOT;
	if (!table_refresh_entries(c, segment, e->index, e->index + 1))
		return HOLDS_NOT;
	enum life life = table_life(c, segment, e->index, e->birth);
	if (!life_counts(life) || (known && owned.word.state == OWNER_FREE))
		return HOLDS_NOT;
	/* sent: only its entry is known to be there, and who sent it may be dead; moved, it is read */
	if (life == LIFE_SENT && !MUTANT(PIN_SENT))
		return HOLDS_ELSEWHERE;
	/* in doubt: somebody may have looked at the facts before ours was stated, and decide by that at any time */
	return known && owned.word.state != OWNER_LEAVING && life != LIFE_REMOVING ? HOLDS : HOLDS_ELSEWHERE;
}

static enum pins_copy hold_elsewhere(struct memkv_pool *pool, uint64_t segment, const struct entry *e)
{
	switch (move_anywhere(pool, segment, e)) {
	case MOVE_DONE:
		return PINS_COPY_MOVED;
	case MOVE_NO_ROOM:
		return PINS_COPY_NO_ROOM;
	case MOVE_FAILED:
		return PINS_COPY_FAILED;
	case MOVE_LAPSED:
		return PINS_COPY_LAPSED;
	case MOVE_GONE:
		break;
	}
	return PINS_COPY_NONE;
}

enum pins_copy pin_hold(struct memkv_pool *pool, uint64_t segment, uint64_t generation, const struct entry *e, bool alone)
{
	enum pins_copy copy = PINS_COPY_NONE;

	follower_keep(&pool->follower); /* mirrored media: the table is not given back while it is looked at */
	enum holds holds = look_at(pool, segment, generation, e, alone);

	/* whoever put it may have died, or stand still, before it told: what is pinned others must find, and look for */
	if (holds == HOLDS && !MUTANT(PIN_UNTOLD))
		control_ring_entry(&pool->control, segment);
	/* likewise before its entry has left the mirror, which another thread of this process is just about to see to */
	if (holds == HOLDS && !MUTANT(PIN_UNPUBLISHED)) {
		if (pool->control.shared)
			share_publish_entry(pool, segment, e->index);
		else
			control_publish(&pool->control, control_entry(&pool->control, segment, e->index), ENTRY_BYTES);
		holds = control_published(&pool->control) ? HOLDS : HOLDS_NOT;
	}
	if (holds == HOLDS)
		copy = PINS_COPY_HOLDS;
	else if (holds == HOLDS_LOST)
		copy = PINS_COPY_LOST;
	else if (holds == HOLDS_ELSEWHERE)
		copy = hold_elsewhere(pool, segment, e);
	follower_unkeep(&pool->follower, segment);
	return copy;
}

struct by_key {
	const uint8_t *key;
	uint32_t page;
};

static bool is_copy(void *context, const struct entry *e)
{
	const struct by_key *want = context;

	return e->page == want->page && memcmp(e->key, want->key, sizeof(e->key)) == 0;
}

/*
 * Where tables are at hand it is found by halves; what that does
 * not find, for damage or because the table has to be brought in, is looked for in all of it.
 */
bool pins_find_entry(struct memkv_pool *pool, struct entry *entries, const uint8_t *key, struct place place,
		     uint64_t *segment, uint64_t *generation)
{
	const struct layout *layout = &pool->control.layout;

	if (pool->media->caps.mappable && copy_entry(pool, key, place, segment, &entries[0])) {
		*generation = entries[0].generation;
		return true;
	}
	*segment = layout_segment_of(layout, place.page);
	struct by_key want = {key, (uint32_t)(place.page - (layout_segment(layout, *segment) >> PAGE_SHIFT))};
	return entries_collect(pool, *segment, is_copy, &want, entries, generation) > 0;
}

uint64_t pin_pages_of_key(struct memkv_pool *pool, struct entry *entries, const uint8_t *key)
{
	struct key_hash hash = index_hash(pool->index, key);
	uint64_t segment, generation;
	struct place place;

	for (unsigned i = 0; index_find(pool->index, hash, i, &place); i++)
		if (pins_find_entry(pool, entries, key, place, &segment, &generation))
			return pin_pages(&entries[0]);
	return 0;
}

enum pins_copy pin_any_copy(struct memkv_pool *pool, struct entry *entries, const uint8_t *key,
				     const struct births *only, uint64_t below)
{
	struct place places[COPIES_MAX];
	enum pins_copy last = PINS_COPY_UNSURE; /* of the copies that do not hold */
	uint64_t segment, generation;

	/* where there was no room, all of the pool was gone through for some; each try on a medium that fails may cost a place */
	for (int i = 0; i < TRIES && (last == PINS_COPY_UNSURE || last == PINS_COPY_LAPSED); i++) {
		bool any = false;
		last = PINS_COPY_UNSURE;
		follower_step(&pool->follower);
		if (pool->control.shared && !share_look_again(pool, i))
			continue;
		uint32_t count = follower_copies(&pool->follower, key, places, COPIES_MAX);
		SIM_SITE(GONE_BELIEVED); /* they may move now */
		for (uint32_t n = 0; n < count; n++) {
			if (!pins_find_entry(pool, entries, key, places[n], &segment, &generation)) {
				any |= !follower_turning(&pool->follower, segment); /* else it has just moved */
				continue;
			}
			if (only && !births_has(only, entries[0].birth) && entries[0].birth >= below)
				continue;
			struct entry e = entries[0];
			if (pool->control.shared && factbook_doubted(&pool->factbook, key, e.birth)) {
				any = true;
				continue; /* it may be gone in a moment, whatever was pinned */
			}
			enum pins_copy copy = pin_hold(pool, segment, generation, &e, true);
			if (copy == PINS_COPY_LOST)
				continue;
			any = true;
			if (copy == PINS_COPY_HOLDS || copy == PINS_COPY_MOVED)
				return PINS_COPY_HOLDS;
			last = copy > last ? copy : last;
		}
		if (!any)
			return PINS_COPY_NONE;
	}
	return last;
}

enum pins_copy pins_copy_of(struct memkv_pool *pool, const uint8_t key[32], const struct births *only, uint64_t below)
{
	struct entry *entries = entries_alloc(pool);
	enum pins_copy copy = entries ? pin_any_copy(pool, entries, key, only, below) : PINS_COPY_UNSURE;

	entries_free(pool, entries);
	return copy;
}
