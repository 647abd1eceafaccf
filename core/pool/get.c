/* SPDX-License-Identifier: Apache-2.0 */
/*
 * get, exists, match, stat: reading by key.  get_at: by locator, which names a place and a birth.
 *
 * A get walks over the copies that the index knows.  A copy that cannot be read back exactly is forgotten for good
 * (a damaged one) or was on its way out (reclaimed): then the next copy is tried, and a miss is answered when there
 * is none left.  Only that failing path takes the follower's lock; and what has expired is looked up in the facts, since
 * a pin keeps it.
 *
 * A key may be replaced while its copies are tried.  So "none left" is believed of the index as it is only when nothing was
 * tried and nothing was taken out of it meanwhile (follower.h, losses); else it is said after a last look: at the end of a
 * step that began after the last copy failed.  That step finds what was live when it began.
 *
 * By locator its place is tried first, and the index is asked only when the block is not there; of what the index knows
 * only a copy of the same birth counts.
 */
#include "core/base/fail.h"
#include "core/base/options_take.h"
#include "core/pool/block_io.h"
#include "core/pool/deadline.h"
#include "core/pool/locate.h"
#include "core/pool/newest.h"

#include <memkv/timed.h>

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { COPIES_TRIED_MAX = 32, MATCH_AHEAD = 8 };
enum { MOVING_LOOKS = 2 /* each further one needs another move of the same block meanwhile */ };

struct get {
	struct memkv_pool *pool;
	const struct memkv_key *key;
	struct key_hash hash;
	struct lane *lane;
	bool own_lane;
	struct block_read read;
	atomic_uint_fast64_t *cause; /* of a miss: the counter */
	uint64_t settlements; /* when the copy was found (follower.h) */
	unsigned tried, skipped, dropped;
	unsigned moving, moving_looks; /* copies that were not live yet; by now they may be, and the ones before them gone */
	enum block_verdict worst; /* of the copies tried: the cause of the miss */
	/* what is wanted: pieces, the whole into @to, or neither: the header only */
	const struct memkv_range *ranges;
	size_t range_count;
	void *to;
	size_t length;
	bool upto, by_index;
	const struct located *at; /* by locator; NULL: by key */
	bool at_tried;
	struct place skips[COPIES_TRIED_MAX]; /* copies that failed but stay in the index; these two last: not cleared */
	struct place drops[COPIES_TRIED_MAX]; /* copies that failed and were taken out of it */
};

static atomic_uint_fast64_t *cause_of(struct memkv_pool *pool, const struct get *get, bool reclaimed)
{
	struct pool_counters *c = &pool->counters;

	if ((get->worst == BLOCK_IO || get->tried == 0) && !atomic_load(&pool->media->failed) && !control_whole(&pool->control))
		return &c->miss_lost; /* as far as anybody can tell */
	if (get->worst == BLOCK_IO || atomic_load(&pool->media->failed))
		return &c->miss_io;
	if (get->tried == 0)
		return &c->miss_absent;
	if (get->worst == BLOCK_EXPIRED)
		return &c->miss_expired;
	if (get->worst == BLOCK_REMOVED)
		return &c->miss_removed;
	return reclaimed || get->worst == BLOCK_MOVING ? &c->miss_reclaimed : &c->miss_damaged;
}

static bool is_same(struct place a, struct place b)
{
	return a.page == b.page && (a.turn == b.turn || MUTANT(FORGET_BY_PLACE));
}

/* is the index still of the opinion that this place holds the key? */
static bool still_indexed(const struct get *get, struct place place)
{
	struct place there;

	for (unsigned i = 0; index_find(get->pool->index, get->hash, i, &there); i++)
		if (is_same(there, place))
			return true;
	return false;
}

/* by the index: a locator may name a place that it has long forgotten, and then that it lives is not known by it */
static bool believes_index(const struct get *get)
{
	bool by_locator = get->at && !get->tried;

	return get->by_index && (!by_locator || index_has_page(get->pool->index, get->hash, get->read.place.page));
}

static bool is_among(const struct place *places, unsigned count, struct place place)
{
	for (unsigned i = 0; i < count; i++)
		if (is_same(places[i], place))
			return true;
	return false;
}

/* a copy failed: find out why, and make sure that it is not tried again; returns whether it was reclaimed */
static bool put_aside(struct get *get)
{
	struct memkv_pool *pool = get->pool;
	struct place place = get->read.place;

	get->worst = get->read.verdict;
	if (get->worst == BLOCK_IO || get->worst == BLOCK_EXPIRED || get->worst == BLOCK_MOVING) {
		get->skips[get->skipped++] = place; /* may be readable later, for this or for a put that looks */
		get->moving += get->worst == BLOCK_MOVING;
		return false;
	}
	if (!pool->media->caps.mappable)
		SIM_SITE(DROP_SENT);
	follower_step(&pool->follower);
	if (!still_indexed(get, place))
		return true;
	/* its table says each time that it is there: an entry of somebody who died at it, and which hides others */
	if (is_among(get->drops, get->dropped, place) && !MUTANT(DROP_AND_MEET))
		get->skips[get->skipped++] = place;
	else
		get->drops[get->dropped++] = place;
	bool turning = follower_turning(&pool->follower, layout_segment_of(&pool->control.layout, place.page));
	follower_drop_read(&pool->follower, get->key->bytes, place, get->settlements);
	return turning;
}

static void get_init(struct get *get, struct memkv_pool *pool, struct lane *lane, const struct memkv_key *key)
{
	memset(get, 0, offsetof(struct get, skips));
	get->pool = pool;
	get->key = key;
	get->hash = index_hash(pool->index, key->bytes);
	get->lane = lane;
}

/* @lane: the caller's; NULL: one of the pool's, until get_end() */
static void get_begin(struct get *get, struct memkv_pool *pool, struct lane *lane, const struct memkv_key *key)
{
	get_init(get, pool, lane ? lane : lane_acquire(&pool->lanes), key);
	get->own_lane = !lane;
}

static void get_end(struct get *get)
{
	if (get->own_lane)
		lane_release(&get->pool->lanes, get->lane);
}

/* of those that are not skipped the newest (newest.h) */
static bool choose(const struct get *get, struct place *places, unsigned count, struct place *place)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < count; i++)
		if (!is_among(get->skips, get->skipped, places[i]))
			places[kept++] = places[i];
	if (kept)
		*place = kept > 1 ? newest_copy(get->pool, get->lane, get->key->bytes, places, kept) : places[0];
	return kept > 0;
}

static bool find_untried(const struct get *get, struct place *place)
{
	struct place places[COPIES_TRIED_MAX];
	unsigned count = 0;

	while (count < COPIES_TRIED_MAX && index_find(get->pool->index, get->hash, count, &places[count]))
		count++;
	return choose(get, places, count, place);
}

/* nothing is left of what was known */
static bool look_again(struct get *get, struct place *place)
{
	struct place places[COPIES_TRIED_MAX];

	follower_step(&get->pool->follower);
	uint32_t count = follower_copies(&get->pool->follower, get->key->bytes, places, COPIES_TRIED_MAX);
	if (choose(get, places, count, place))
		return true;
	if (!count || !get->moving || get->moving_looks++ >= MOVING_LOOKS)
		return false;
	get->moving = get->skipped = 0; /* once more, from the first */
	return choose(get, places, count, place);
}

/* the next copy into get->read, not yet run; false: none left */
static bool next_copy(struct get *get)
{
	struct follower *f = &get->pool->follower;
	uint64_t losses = follower_losses(f);
	struct place place;

	get->settlements = follower_settlements(f);
	if (get->tried >= COPIES_TRIED_MAX || atomic_load(&get->pool->media->failed))
		return false;
	if (get->at && !get->at_tried) {
		get->at_tried = true;
		block_read_init(&get->read, get->pool, get->lane, get->key->bytes, get->at->place);
		return true;
	}
	if (!find_untried(get, &place) && !((get->tried || follower_lost(f, losses)) && look_again(get, &place)))
		return false;
	block_read_init(&get->read, get->pool, get->lane, get->key->bytes, place);
	return true;
}

static enum block_verdict read_once(struct get *get)
{
	struct block_read *read = &get->read;

	if (get->ranges)
		return read->verdict = block_read_ranges(read, get->ranges, get->range_count);
	read->to = get->to;
	read->length = get->length;
	read->upto = get->upto;
	read->by_index = believes_index(get);
	op_run(&read->op);
	return read->verdict;
}

static enum block_verdict read_copy(struct get *get)
{
	struct block_read *read = &get->read;

	if (read_once(get) != BLOCK_EXPIRED || !block_kept(read))
		return read->verdict;
	block_read_init(read, get->pool, get->lane, get->key->bytes, read->place);
	read->any_time = true;
	return read_once(get);
}

/* by locator: what was read is another put's */
static bool is_other_put(const struct get *get)
{
	return get->at && get->read.header.birth != get->at->l.birth;
}

/* the place that a locator names has failed: was it reclaimed?  The index need not know that place. */
static bool put_locator_aside(struct get *get)
{
	get->worst = get->read.verdict;
	get->moving += get->worst == BLOCK_MOVING;
	return !table_stands(&get->pool->control, get->at->l.segment, get->at->l.generation);
}

/* read copies until one is good: 0 and get->read; MEMKV_SIZE; MEMKV_MISS and get->cause */
static int read_any(struct get *get)
{
	bool reclaimed = false;

	while (next_copy(get)) {
		bool by_locator = get->at && get->tried == 0;
		enum block_verdict verdict = read_copy(get);
		bool found = verdict == BLOCK_GOOD || verdict == BLOCK_SIZE;
		if (found && !is_other_put(get))
			return verdict == BLOCK_GOOD ? 0 : MEMKV_SIZE;
		if (by_locator)
			reclaimed = put_locator_aside(get);
		else if (found)
			get->skips[get->skipped++] = get->read.place;
		else
			reclaimed = put_aside(get);
		get->tried++;
	}
	get->cause = cause_of(get->pool, get, reclaimed);
	return MEMKV_MISS;
}

/* the same, counted; the block's size */
static int64_t get_any(struct get *get)
{
	struct memkv_pool *pool = get->pool;
	int err = read_any(get);

	if (err == MEMKV_MISS)
		count(get->cause, 1);
	if (err)
		return err;
	heat_touch(pool, get->read.place);
	count(&pool->counters.gets, 1);
	count(&pool->counters.get_bytes, get->read.header.length);
	return (int64_t)get->read.header.length;
}

void get_block(struct memkv_pool *pool, struct lane *lane, const struct memkv_key *key, const struct located *at, void *to,
	       uint64_t length, uint32_t flags, struct get_answer *answer)
{
	struct get get;

	get_init(&get, pool, lane, key);
	get.at = at;
	get.to = to;
	get.length = length;
	get.upto = flags & MEMKV_GET_UPTO;
	get.by_index = flags & MEMKV_GET_BY_INDEX;
	answer->result = read_any(&get);
	answer->counter = get.cause;
	if (answer->result)
		return;
	heat_touch(pool, get.read.place);
	answer->header = get.read.header;
	answer->result = (int64_t)get.read.header.length;
}

void get_count(struct memkv_pool *pool, const struct get_answer *answer)
{
	if (answer->result == MEMKV_MISS)
		count(answer->counter, 1);
	if (answer->result < 0)
		return;
	count(&pool->counters.gets, 1);
	count(&pool->counters.get_bytes, (uint64_t)answer->result);
}

void get_meta(const struct block_header *h, const struct memkv_get_options *o, struct memkv_get_options *given)
{
	if (given->size >= offsetof(struct memkv_get_options, meta_length) + sizeof(given->meta_length))
		given->meta_length = h->meta_length;
	if (o->meta && h->meta_length)
		memcpy(o->meta, h->meta, min_u64(h->meta_length, o->meta_room));
}

/* by key, or by locator as well; what else @given asks for, as @o */
static int64_t get_whole(struct memkv_pool *pool, const struct memkv_key *key, const struct located *at, void *buffer,
			 size_t length, const struct memkv_get_options *o, struct memkv_get_options *given)
{
	struct get get;

	get_begin(&get, pool, NULL, key);
	get.at = at;
	get.to = buffer;
	get.length = length;
	get.upto = o->flags & MEMKV_GET_UPTO;
	get.by_index = o->flags & MEMKV_GET_BY_INDEX;
	int64_t result = get_any(&get);
	if (result > 0 && given)
		get_meta(&get.read.header, o, given);
	get_end(&get);
	return result;
}

/* a get of this key ends without the medium: as a miss, counted */
static bool known_absent(struct memkv_pool *pool, const struct memkv_key *key)
{
	uint64_t losses = follower_losses(&pool->follower);
	bool failed = atomic_load(&pool->media->failed);
	struct place place;

	if (!failed && (index_find(pool->index, index_hash(pool->index, key->bytes), 0, &place) ||
			follower_lost(&pool->follower, losses)))
		return false;
	count(failed				 ? &pool->counters.miss_io
	      : control_whole(&pool->control) ? &pool->counters.miss_absent
					       : &pool->counters.miss_lost, 1);
	return true;
}

int64_t memkv_get(struct memkv_pool *pool, const struct memkv_key *key, void *buffer, size_t length,
		  struct memkv_get_options *options)
{
	POOL_USE use = pool_enter(pool, ENTRY_GET);
	struct memkv_get_options o;

	if (!use.inside)
		return use.result;
	int err = options_take(&o, sizeof(o), options, "get");
	if (err)
		return err;
	if (!key || !buffer || length == 0)
		return fail(-EINVAL, "get: a key and a buffer of at least one byte are needed");
	if (o.deadline_us)
		return known_absent(pool, key) ? MEMKV_MISS : deadline_get(pool, key, NULL, buffer, length, &o, options);
	return get_whole(pool, key, NULL, buffer, length, &o, options);
}

int64_t memkv_get_at(struct memkv_pool *pool, const struct memkv_locator *locator, void *buffer, size_t length,
		     struct memkv_get_options *options)
{
	POOL_USE use = pool_enter(pool, ENTRY_GET);
	struct memkv_get_options o;
	struct memkv_key key;
	struct located at;

	if (!use.inside)
		return use.result;
	int err = options_take(&o, sizeof(o), options, "get");
	if (err)
		return err;
	if (!locator || !buffer || length == 0)
		return fail(-EINVAL, "get: a locator and a buffer of at least one byte are needed");
	err = locate(pool, locator, &at);
	if (err)
		return err;
	memcpy(key.bytes, at.l.key, sizeof(key.bytes));
	if (o.deadline_us)
		return deadline_get(pool, &key, &at, buffer, length, &o, options);
	return get_whole(pool, &key, &at, buffer, length, &o, options);
}

/* @lane: NULL: one of the pool's */
static int seek(struct memkv_pool *pool, struct lane *lane, const struct memkv_key *key, const struct located *at,
		int (*use)(void *context, const struct block_header *h, struct place place), void *context)
{
	struct get get;

	get_begin(&get, pool, lane, key);
	get.at = at;
	int result = read_any(&get);
	if (result == MEMKV_MISS)
		count(get.cause, 1);
	if (result == 0)
		result = use(context, &get.read.header, get.read.place);
	get_end(&get);
	return result;
}

int header_seek(struct memkv_pool *pool, const struct memkv_key *key, const struct memkv_locator *locator,
		int (*use)(void *context, const struct block_header *h, struct place place), void *context)
{
	struct memkv_key of_locator;
	struct located at;
	int err = locator ? locate(pool, locator, &at) : 0;

	if (err)
		return err;
	if (locator)
		memcpy(of_locator.bytes, at.l.key, sizeof(of_locator.bytes));
	return seek(pool, NULL, locator ? &of_locator : key, locator ? &at : NULL, use, context);
}

static int64_t get_pieces(struct memkv_pool *pool, struct lane *lane, const struct memkv_key *key,
			  const struct memkv_range *ranges, size_t range_count)
{
	struct get get;

	get_begin(&get, pool, lane, key);
	get.ranges = ranges;
	get.range_count = range_count;
	int64_t result = get_any(&get);
	get_end(&get);
	return result;
}

int64_t memkv_get_ranges(struct memkv_pool *pool, const struct memkv_key *key, const struct memkv_range *ranges,
			 size_t range_count)
{
	POOL_USE use = pool_enter(pool, ENTRY_GET);

	if (!use.inside)
		return use.result;
	if (!key || !ranges || range_count == 0)
		return fail(-EINVAL, "get: a key and at least one range are needed");
	return get_pieces(pool, NULL, key, ranges, range_count);
}

/* the pieces come one behind the other into what is the chore's, whose ranges are copies */
static int64_t make_get_ranges(struct memkv_pool *pool, struct chore *chore)
{
	struct memkv_range *ranges = (struct memkv_range *)(uintptr_t)chore->in;
	uint8_t *to = chore->out;

	for (uint64_t i = 0; i < chore->number; i++) {
		ranges[i].dst = to;
		to += ranges[i].length;
	}
	return get_pieces(pool, chore->lane, &chore->key, ranges, chore->number);
}

int64_t memkv_get_ranges_by(struct memkv_pool *pool, const struct memkv_key *key, const struct memkv_range *ranges, size_t count,
			    uint64_t deadline_us)
{
	if (!deadline_us)
		return memkv_get_ranges(pool, key, ranges, count);
	POOL_USE use = pool_enter(pool, ENTRY_GET);
	uint64_t bytes = 0;
	if (!use.inside)
		return use.result;
	if (!key || !ranges || count == 0)
		return fail(-EINVAL, "get: a key and at least one range are needed");
	for (size_t i = 0; i < count; i++) {
		if (ranges[i].length > pool->sb.geo.max_block)
			return MEMKV_SIZE;
		bytes += ranges[i].length;
	}
	uint8_t *pieces = malloc(max_u64(bytes, 1)), *from = pieces;
	if (!pieces)
		return fail(-ENOMEM, "%s: no memory for %" PRIu64 " bytes in pieces", pool->media->path, bytes);
	struct chore chore = {.make = make_get_ranges,
			      .key = *key,
			      .number = count,
			      .in = ranges,
			      .in_bytes = count * sizeof(*ranges),
			      .out = pieces,
			      .out_bytes = bytes};
	int64_t result = deadline_make(pool, &chore, deadline_us);
	for (size_t i = 0; i < count && result >= 0; from += ranges[i++].length)
		memcpy(ranges[i].dst, from, ranges[i].length);
	free(pieces);
	return result;
}

/* each key's memory is on its way while those before it are looked up */
static uint64_t match_chain(const struct index *index, const struct memkv_key *keys, uint64_t key_count)
{
	struct key_hash ahead[MATCH_AHEAD];
	uint64_t hashed = 0, found = 0;

	while (found < key_count) {
		while (hashed < key_count && hashed < found + MATCH_AHEAD) {
			ahead[hashed % MATCH_AHEAD] = index_hash(index, keys[hashed].bytes);
			index_prefetch(index, ahead[hashed++ % MATCH_AHEAD]);
		}
		if (!index_has(index, ahead[found % MATCH_AHEAD]))
			break;
		found++;
	}
	return found;
}

/* the chain ends where a step had taken something out: is the key there after all? */
static bool match_again(struct memkv_pool *pool, const struct memkv_key *key)
{
	struct place place;

	follower_step(&pool->follower);
	return follower_copies(&pool->follower, key->bytes, &place, 1) > 0;
}

static int match(struct memkv_pool *pool, const struct memkv_key *keys, size_t key_count, uint32_t flags)
{
	if (atomic_load(&pool->media->failed))
		return 0;
	if (flags & MEMKV_LOOK_FRESH)
		follower_step(&pool->follower);
	uint64_t count = min_u64(key_count, INT_MAX), found = 0;
	for (;;) {
		uint64_t losses = follower_losses(&pool->follower);
		found += match_chain(pool->index, keys + found, count - found);
		if (found == count || !follower_lost(&pool->follower, losses) || !match_again(pool, &keys[found]))
			return (int)found;
		found++;
	}
}

int memkv_match(struct memkv_pool *pool, const struct memkv_key *keys, size_t key_count, uint32_t flags)
{
	POOL_USE use = pool_enter(pool, ENTRY_LOOK);

	if (!use.inside)
		return use.result;
	if (!keys && key_count)
		return fail(-EINVAL, "match: keys are needed");
	return match(pool, keys, key_count, flags);
}

int memkv_exists(struct memkv_pool *pool, const struct memkv_key *key, uint32_t flags)
{
	return memkv_match(pool, key, 1, flags);
}

static int64_t make_match(struct memkv_pool *pool, struct chore *chore)
{
	return match(pool, chore->in, chore->number, chore->flags);
}

int memkv_match_by(struct memkv_pool *pool, const struct memkv_key *keys, size_t key_count, uint32_t flags, uint64_t deadline_us)
{
	POOL_USE use = pool_enter(pool, ENTRY_LOOK);

	if (!use.inside)
		return use.result;
	if (!keys && key_count)
		return fail(-EINVAL, "match: keys are needed");
	struct chore chore = {
		.make = make_match, .number = key_count, .flags = flags, .in = keys, .in_bytes = key_count * sizeof(*keys)};
	return (int)deadline_make(pool, &chore, deadline_us);
}

int memkv_exists_by(struct memkv_pool *pool, const struct memkv_key *key, uint32_t flags, uint64_t deadline_us)
{
	return memkv_match_by(pool, key, 1, flags, deadline_us);
}

static void describe(const struct block_header *h, struct memkv_block_info *info)
{
	*info = (struct memkv_block_info){
		.birth = h->birth,
		.generation = h->generation,
		.length = h->length,
		.segment = h->segment,
		.page = h->page,
		.class_id = h->class_id,
		.depth = h->depth,
		.expires_s = h->expires_s,
		.stored_s = h->stored_s,
		.session_id = h->session_id,
		.has_parent = h->flags & BLOCK_HAS_PARENT,
		.meta_length = h->meta_length,
	};
	memcpy(info->key.bytes, h->key, sizeof(info->key.bytes));
	memcpy(info->parent.bytes, h->parent, sizeof(info->parent.bytes));
	memcpy(info->session, h->session, sizeof(info->session));
	memcpy(info->meta, h->meta, min_u64(h->meta_length, sizeof(info->meta)));
}

static int describe_found(void *context, const struct block_header *h, struct place place)
{
	(void)place;
	describe(h, context);
	return 0;
}

static int64_t make_stat(struct memkv_pool *pool, struct chore *chore)
{
	follower_step(&pool->follower);
	return seek(pool, chore->lane, &chore->key, NULL, describe_found, chore->out);
}

int memkv_stat_by(struct memkv_pool *pool, const struct memkv_key *key, struct memkv_block_info *info, uint64_t deadline_us)
{
	POOL_USE use = pool_enter(pool, ENTRY_GET);

	if (!use.inside)
		return use.result;
	if (!key || !info)
		return fail(-EINVAL, "stat: a key and a place for the answer are needed");
	struct memkv_block_info found = {0};
	struct chore chore = {.make = make_stat, .key = *key, .out = &found, .out_bytes = sizeof(found)};
	int result = (int)deadline_make(pool, &chore, deadline_us);
	if (!result)
		*info = found;
	return result;
}

int memkv_stat(struct memkv_pool *pool, const struct memkv_key *key, struct memkv_block_info *info)
{
	return memkv_stat_by(pool, key, info, 0);
}
