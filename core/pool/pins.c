/* SPDX-License-Identifier: Apache-2.0 */
/* See pins.h. */
#include "core/pool/pin_hold.h"
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/base/options_take.h"
#include "core/pool/deadline.h"
#include "core/pool/move.h"
#include "core/pool/newest.h"
#include "core/pool/remove.h"
#include "core/pool/share_pins.h"
#include "core/slot/lease.h"
#include "core/slot/own.h"

#include <memkv/timed.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { TRIES = 16 /* facts that others take back at the same moment */, CENSUS_US = 1000000 };

void pins_open(struct pins *pins)
{
	*pins = (struct pins){0};
	pthread_mutex_init(&pins->lock, NULL);
}

void pins_close(struct pins *pins)
{
	pthread_mutex_destroy(&pins->lock);
}

/* ---- how much is pinned ---- */

struct census {
	struct memkv_pool *pool;
	uint64_t session_id; /* counted as well, pinned or not; 0: none */
	uint64_t pages, blocks;
};

static bool census_block(void *context, const struct entry *e)
{
	struct census *census = context;
	struct record r;

	if (!e->session_id)
		return false;
	if (e->session_id != census->session_id &&
	    !(factbook_of_session(&census->pool->factbook, e->session_id, &r) && facts_pins(&r, clock_utc_s())))
		return false;
	census->pages += pin_pages(e);
	census->blocks += e->session_id == census->session_id;
	return false;
}

/* what the pinned sessions, and one more, take */
static int take_census(struct census *census)
{
	struct memkv_pool *pool = census->pool;
	struct entry *entries = entries_alloc(pool);
	uint64_t generation;

	if (!entries)
		return fail(-ENOMEM, "%s: no memory to count what is pinned", pool->media->path);
	for (uint64_t s = 0; s < pool->control.layout.segments; s++)
		(void)entries_collect(pool, s, census_block, census, entries, &generation);
	entries_free(pool, entries);
	return 0;
}

/* all facts as they stand; free() them */
static struct record *copy_facts(struct memkv_pool *pool, uint32_t *count)
{
	uint32_t room = factbook_copy(&pool->factbook, NULL, 0) + 64;
	struct record *facts = calloc(room, sizeof(*facts));

	if (!facts) {
		fail(-ENOMEM, "%s: no memory for the pins", pool->media->path);
		return NULL;
	}
	*count = (uint32_t)min_u64(factbook_copy(&pool->factbook, facts, room), room);
	return facts;
}

/* pages that are pinned by key */
static int pages_by_key(struct memkv_pool *pool, uint64_t *pages)
{
	uint64_t now = clock_utc_s();
	uint32_t count;
	struct record *facts = copy_facts(pool, &count);

	if (!facts)
		return -ENOMEM;
	*pages = 0;
	for (uint32_t i = 0; i < count; i++)
		if (facts[i].kind == RECORD_PIN && facts_pins(&facts[i], now))
			*pages += facts[i].subject;
	free(facts);
	return 0;
}

/* all logs, read now.  On a shared device what some of them say may be unknown, and then what is known is no answer */
static int read_facts(struct memkv_pool *pool)
{
	if (factbook_refresh(&pool->factbook) || !pool->control.shared || MUTANT(PINS_UNREAD))
		return 0;
	if (pool->slot.epoch && lease_lost(&pool->control, &pool->slot))
		return fail(MEMKV_FENCED, "%s: this agent was silent for so long that its slot is another's, and it does not learn any more what is "
					  "pinned; open the pool anew", pool->media->path);
	return fail(-EIO, "%s: what is pinned cannot be told: the logs of other hosts cannot all be read now; try again", pool->media->path);
}

/* half of the pool's pages; the rest is what moves live on */
static uint64_t page_limit(const struct memkv_pool *pool)
{
	const struct layout *layout = &pool->control.layout;
	uint64_t pages = 0;

	for (unsigned n = 0; n < layout->extent_count; n++) {
		const struct extent *e = &layout->extents[n];
		if (namespace_in_pool(&pool->sb, n))
			pages += (e->segments - 1) * (layout->geo.segment_pages - 1ULL) + e->last_pages - 1;
	}
	return pages / 2;
}

static int over_limit(const struct memkv_pool *pool, uint64_t pinned, uint64_t more)
{
	return fail(MEMKV_PIN_LIMIT,
		    "%s: %" PRIu64 " bytes more would be pinned, %" PRIu64 " are, and half of the pool (%" PRIu64
		    ") is the limit; unpin some, or use a larger pool", pool->media->path, more * PAGE, pinned * PAGE,
		    page_limit(pool) * PAGE);
}

int pins_admit(struct memkv_pool *pool, uint64_t session_id, uint64_t pages)
{
	struct pins *pins = &pool->pins;
	struct record r;
	uint64_t by_key = 0;

	if (!session_id || atomic_load_explicit(&pool->factbook.session_pins, memory_order_acquire) == 0 ||
	    !factbook_of_session(&pool->factbook, session_id, &r) || !facts_pins(&r, clock_utc_s()))
		return 0;
	pthread_mutex_lock(&pins->lock);
	uint64_t now = clock_monotonic_us();
	int err = pages_by_key(pool, &by_key);
	if (!err && (!pins->counted_us || now - pins->counted_us > CENSUS_US)) {
		struct census census = {.pool = pool};
		err = take_census(&census);
		pins->pages = census.pages;
		pins->counted_us = now;
	}
	uint64_t pinned = by_key + pins->pages;
	if (!err && pinned + pages > page_limit(pool))
		err = over_limit(pool, pinned, pages);
	if (!err)
		pins->pages += pages;
	pthread_mutex_unlock(&pins->lock);
	return err;
}

static int64_t make_pin_room(struct memkv_pool *pool, struct chore *chore)
{
	struct memkv_pin_limits *limits = chore->out;
	struct census census = {.pool = pool};
	uint64_t by_key;

	int err = read_facts(pool);
	if (!err)
		err = pages_by_key(pool, &by_key);
	if (!err && atomic_load(&pool->factbook.session_pins))
		err = take_census(&census);
	if (!err)
		*limits = (struct memkv_pin_limits){
			.bytes = page_limit(pool) * PAGE,
			.bytes_pinned = (by_key + census.pages) * PAGE,
			.pins = factbook_room(&pool->factbook),
		};
	return err;
}

int memkv_pin_room_by(struct memkv_pool *pool, struct memkv_pin_limits *limits, uint64_t deadline_us)
{
	POOL_USE use = pool_enter(pool, ENTRY_CALL);
	struct chore chore = {.make = make_pin_room, .out = limits, .out_bytes = sizeof(*limits)};

	if (!use.inside)
		return use.result;
	if (!limits)
		return fail(-EINVAL, "pins: a place for the answer is needed");
	return (int)deadline_make(pool, &chore, deadline_us);
}

int memkv_pin_room(struct memkv_pool *pool, struct memkv_pin_limits *limits) { return memkv_pin_room_by(pool, limits, 0); }

/* ---- stating ---- */

/* @use: the call's own */
static int ready(struct memkv_pool *pool, const struct pool_use *use, bool good_arguments, const char *what)
{
	if (!use->inside)
		return use->result;
	if (!good_arguments)
		return fail(-EINVAL, "%s: a key, or the name of a session of 1 to %d bytes, is needed", what, MEMKV_SESSION_MAX);
	if (pool->read_only)
		return fail(MEMKV_READ_ONLY, "%s was opened read-only; %s needs it open for writing", pool->media->path, what);
	return 0;
}

/* @o receives them, @until_s when the pin ends */
static int take_options(const struct memkv_pin_options *options, struct memkv_pin_options *o, uint64_t *until_s)
{
	int err = options_take(o, sizeof(*o), options, "pin");

	if (err)
		return err;
	if (o->flags & MEMKV_PIN_FOR_EVER && o->ttl_s)
		return fail(-EINVAL, "pin: either for ever or for some seconds");
	uint64_t now = clock_utc_s(), ttl = o->ttl_s ? o->ttl_s : MEMKV_PIN_TTL_S;
	*until_s = o->flags & MEMKV_PIN_FOR_EVER ? 0 : ttl > UINT64_MAX - now ? UINT64_MAX : now + ttl;
	return 0;
}

/* a call about @count keys, with a result for each when @results are wanted */
static struct chore about_keys(int64_t (*make)(struct memkv_pool *pool, struct chore *chore), const struct memkv_key *keys,
			       size_t count, int *results)
{
	return (struct chore){.make = make,
			      .changes = true,
			      .in = keys,
			      .in_bytes = count * sizeof(*keys),
			      .out = results,
			      .out_bytes = results ? count * sizeof(*results) : 0};
}

static struct chore about_session(int64_t (*make)(struct memkv_pool *pool, struct chore *chore), const char *session)
{
	return (struct chore){.make = make, .changes = true, .in = session, .in_bytes = strlen(session) + 1};
}

static uint64_t later_end(uint64_t a, uint64_t b) { return a == 0 || b == 0 ? 0 : max_u64(a, b); }

static bool fact_of(struct memkv_pool *pool, const struct record *like, struct record *r)
{
	return like->kind == RECORD_SESSION ? factbook_of_session(&pool->factbook, like->subject, r)
					    : factbook_of_key(&pool->factbook, like->key, r);
}

static bool covers(const struct record *there, const struct record *pin)
{
	return there->kind == pin->kind && there->state == pin->state &&
	       later_end(there->until_s, pin->until_s) == there->until_s;
}

/* state a pin until the fact that holds covers it: another may have taken something back at the same moment */
static int state_pin(struct memkv_pool *pool, const struct record *pin)
{
	struct record there;

	for (int i = 0; i < TRIES; i++) {
		struct record fact = *pin;
		int err = factbook_state(&pool->factbook, &fact);
		if (err)
			return err;
		factbook_refresh(&pool->factbook);
		if (fact_of(pool, pin, &there) && covers(&there, pin))
			return 0;
	}
	return fail(-EAGAIN, "%s: others unpin this again and again; try again", pool->media->path);
}

/* mirrored media: what this process knows has reached the medium; else others need not find what is to be pinned */
static int seen_by_others(const struct memkv_pool *pool)
{
	if (control_published(&pool->control) || MUTANT(PIN_UNWRITTEN))
		return 0;
	return fail(-EIO, "%s: what says that the block is there, or where it was moved, could not be written, so it may be lost; try again",
		    pool->media->path);
}

/* the fact stays (pin_one()); but whoever removes the block, or empties its segment, need not have seen it in time */
static int no_room_to_hold(const struct memkv_pool *pool)
{
	return fail(MEMKV_PIN_LIMIT, "%s: a block is being removed, or its segment emptied, and there is no room to move it to; "
				     "try again, unpin some, or use a larger pool", pool->media->path);
}

/* likewise; the medium refused to read the block, or to write it elsewhere, or to say what is there */
static int cannot_hold(const struct memkv_pool *pool, enum pins_copy copy)
{
	if (copy == PINS_COPY_LAPSED || !share_in_lease(pool))
		return fail(-EAGAIN, "%s: this agent could not write its heartbeat for too long, and may move no block out of a removal's "
				     "way; try again", pool->media->path);
	return fail(-EIO, "%s: a block is being removed, or its segment emptied, and the medium failed when it was to be moved out of the "
			  "way; the pin stays for what is there, and may be stated once more", pool->media->path);
}

static int pin_one(struct memkv_pool *pool, struct entry *entries, const struct memkv_key *key, uint64_t pages,
		   uint64_t until_s)
{
	struct record pin = {.kind = RECORD_PIN, .subject = pages, .until_s = until_s};

	if (!pages)
		return MEMKV_MISS;
	memcpy(pin.key, key->bytes, sizeof(pin.key));
	int err = state_pin(pool, &pin);
	if (err)
		return err;
	/* else the fact stays: to take it back would take back what others pin at this moment as well */
	enum pins_copy copy = pin_any_copy(pool, entries, key->bytes, NULL, 0);
	if (copy == PINS_COPY_NO_ROOM)
		return no_room_to_hold(pool);
	if (copy == PINS_COPY_FAILED || copy == PINS_COPY_LAPSED)
		return cannot_hold(pool, copy);
	err = seen_by_others(pool);
	if (err)
		return err;
	if (copy == PINS_COPY_UNSURE && pool->control.shared)
		return share_unsure(pool);
	return copy == PINS_COPY_HOLDS ? 0 : MEMKV_MISS;
}

/* a segment is FREE as room for moves; else there must be pins already, and it is made when there is room again */
static int reserve(struct memkv_pool *pool)
{
	if (pool->control.shared) /* each keeps its own, as it learns of pins */
		return 0;
	pthread_mutex_lock(&pool->room.refill);
	bool good = reclaim_reserve(&pool->room, 0) || atomic_load(&pool->factbook.pins) > 0;
	pthread_mutex_unlock(&pool->room.refill);
	return good ? 0
		    : fail(MEMKV_PIN_LIMIT, "%s: no segment can be kept free for moving what is pinned: all are being written to by "
					    "living agents; use a larger pool, or fewer agents", pool->media->path);
}

/* does all of it fit?  @pages receives each block's, 0: not there */
static int check_room(struct memkv_pool *pool, struct entry *entries, const struct memkv_key *keys, size_t count,
		      uint64_t *pages)
{
	struct census census = {.pool = pool};
	uint64_t by_key = 0, more = 0, facts = 0;
	struct record r;
	int err = pages_by_key(pool, &by_key);

	if (!err && atomic_load(&pool->factbook.session_pins))
		err = take_census(&census);
	for (size_t i = 0; !err && i < count; i++) {
		pages[i] = pin_pages_of_key(pool, entries, keys[i].bytes);
		bool known = factbook_of_key(&pool->factbook, keys[i].bytes, &r);
		facts += pages[i] && !known;
		more += known && facts_pins(&r, clock_utc_s()) ? 0 : pages[i];
	}
	if (!err && more && by_key + census.pages + more > page_limit(pool))
		err = over_limit(pool, by_key + census.pages, more);
	if (!err && facts > factbook_room(&pool->factbook))
		err = fail(MEMKV_PIN_LIMIT,
			   "%s: %" PRIu64 " pins more are over the number that the pool keeps, which has room for %u; pin by "
			   "session, or use a larger pool", pool->media->path, facts, factbook_room(&pool->factbook));
	return err;
}

static int64_t pin_keys(struct memkv_pool *pool, struct entry *entries, const struct memkv_key *keys, size_t count,
			uint64_t until_s, int *results)
{
	uint64_t *pages = calloc(count, sizeof(*pages));
	int64_t pinned = 0;
	int err = pages ? 0 : fail(-ENOMEM, "%s: no memory for %zu pins", pool->media->path, count);

	follower_step(&pool->follower);
	factbook_refresh(&pool->factbook);
	if (!err)
		err = check_room(pool, entries, keys, count, pages);
	if (!err)
		err = reserve(pool);
	for (size_t i = 0; i < count; i++) {
		int result = err ? err : pin_one(pool, entries, &keys[i], pages[i], until_s);
		pinned += result == 0;
		if (result && result != MEMKV_MISS)
			err = result;
		if (results)
			results[i] = result;
	}
	free(pages);
	return err ? err : pinned;
}

static int64_t make_pin(struct memkv_pool *pool, struct chore *chore)
{
	struct entry *entries = entries_alloc(pool);

	if (!entries)
		return fail(-ENOMEM, "%s: no memory to pin", pool->media->path);
	int64_t pinned =
		pin_keys(pool, entries, chore->in, chore->in_bytes / sizeof(struct memkv_key), chore->number, chore->out);
	entries_free(pool, entries);
	return pinned;
}

int64_t memkv_pin(struct memkv_pool *pool, const struct memkv_key *keys, size_t count,
		  const struct memkv_pin_options *options, int *results)
{
	POOL_USE use = pool_enter(pool, ENTRY_WRITE);
	struct chore chore = about_keys(make_pin, keys, count, results);
	struct memkv_pin_options o;
	int err = ready(pool, &use, keys && count, "pin");

	if (!err)
		err = take_options(options, &o, &chore.number);
	return err ? err : deadline_make(pool, &chore, o.deadline_us);
}

static int64_t make_pin_prefix(struct memkv_pool *pool, struct chore *chore)
{
	const struct memkv_key *keys = chore->in;
	int found = memkv_match(pool, keys, chore->in_bytes / sizeof(*keys), MEMKV_LOOK_FRESH);

	if (found <= 0)
		return found;
	int *results = calloc((size_t)found, sizeof(*results));
	if (!results)
		return fail(-ENOMEM, "%s: no memory for %d pins", pool->media->path, found);
	struct chore pin = about_keys(make_pin, keys, (size_t)found, results);
	pin.number = chore->number;
	int64_t pinned = make_pin(pool, &pin);
	for (int i = 0; i < found && i < pinned; i++)
		if (results[i])
			pinned = i; /* it went in between: what lies behind is no prefix any more, and pinned all the same */
	free(results);
	return pinned;
}

int64_t memkv_pin_prefix(struct memkv_pool *pool, const struct memkv_key *keys, size_t count,
			 const struct memkv_pin_options *options)
{
	POOL_USE use = pool_enter(pool, ENTRY_WRITE);
	struct chore chore = about_keys(make_pin_prefix, keys, count, NULL);
	struct memkv_pin_options o;
	int err = ready(pool, &use, keys && count, "pin");

	if (!err)
		err = take_options(options, &o, &chore.number);
	return err ? err : deadline_make(pool, &chore, o.deadline_us);
}

/* ---- sessions ---- */

struct session_look {
	uint64_t id;
};

static bool of_session(void *context, const struct entry *e)
{
	const struct session_look *look = context;

	return e->session_id == look->id;
}

static int64_t count_session(struct memkv_pool *pool, uint64_t id)
{
	struct census census = {.pool = pool, .session_id = id};
	int err = take_census(&census);

	return err ? err : (int64_t)census.blocks;
}

static int unread_for_pin(const struct memkv_pool *pool)
{
	return fail(-EIO, "%s: what there is of the session cannot all be read; the pin stays for what is there, and may be stated once more",
		    pool->media->path);
}

/* the fact stands: every block of the session that is there holds, if need be in a new place; else it is not promised */
static int64_t hold_session(struct memkv_pool *pool, struct entry *entries, uint64_t id)
{
	struct session_look look = {id};
	uint64_t generation;
	int64_t held = 0;
	bool moved = false;
	uint64_t before = atomic_load(&pool->media->unread);

	if (pool->control.shared && !share_look_again(pool, 0))
		return share_unsure(pool);
	for (uint64_t s = 0; s < pool->control.layout.segments; s++) {
		uint32_t n = entries_collect(pool, s, of_session, &look, entries, &generation);
		for (uint32_t i = 0; i < n; i++) {
			if (pool->control.shared && !share_out_of_doubt(pool, &entries[i]))
				return share_unsure(pool);
			enum pins_copy copy = pin_hold(pool, s, generation, &entries[i], false);
			if (copy == PINS_COPY_NO_ROOM)
				return no_room_to_hold(pool);
			if (copy == PINS_COPY_FAILED || copy == PINS_COPY_LAPSED)
				return cannot_hold(pool, copy);
			held += copy == PINS_COPY_HOLDS;
			moved |= copy == PINS_COPY_MOVED;
		}
	}
	if (atomic_load(&pool->media->unread) != before) /* what is in a table that cannot be read nobody knows */
		return pool->control.shared ? share_unsure(pool) : unread_for_pin(pool);
	return moved ? count_session(pool, id) : held; /* new places lie behind what was looked at, or before it */
}

static bool session_name_fits(const char *session)
{
	return session && *session && strlen(session) <= MEMKV_SESSION_MAX;
}

static int admit_session(struct memkv_pool *pool, const struct record *pin)
{
	struct census census = {.pool = pool, .session_id = pin->subject};
	struct record r;
	uint64_t by_key = 0;

	follower_step(&pool->follower);
	factbook_refresh(&pool->factbook);
	int err = pages_by_key(pool, &by_key);
	if (!err)
		err = take_census(&census);
	if (!err && by_key + census.pages > page_limit(pool) && census.blocks)
		err = over_limit(pool, by_key, census.pages);
	if (!err && !factbook_of_session(&pool->factbook, pin->subject, &r) && factbook_room(&pool->factbook) == 0)
		err = fail(MEMKV_PIN_LIMIT, "%s: the pool keeps no more pins than it has; unpin some, or use a larger pool",
			   pool->media->path);
	return err ? err : reserve(pool);
}

static int64_t make_pin_session(struct memkv_pool *pool, struct chore *chore)
{
	const char *session = chore->in;
	struct record pin = {.kind = RECORD_SESSION,
			     .state = SESSION_PINNED,
			     .until_s = chore->number,
			     .subject = session_id_of(session)};

	memcpy(pin.key, session, min_u64(strlen(session), sizeof(pin.key)));
	struct entry *entries = entries_alloc(pool);
	if (!entries)
		return fail(-ENOMEM, "%s: no memory to pin", pool->media->path);
	int err = admit_session(pool, &pin);
	if (!err)
		err = state_pin(pool, &pin);
	follower_step(&pool->follower);
	int64_t held = err ? err : hold_session(pool, entries, pin.subject);
	if (held >= 0 && (err = seen_by_others(pool)))
		held = err;
	entries_free(pool, entries);
	return held;
}

int64_t memkv_pin_session(struct memkv_pool *pool, const char *session, const struct memkv_pin_options *options)
{
	POOL_USE use = pool_enter(pool, ENTRY_WRITE);
	struct memkv_pin_options o;
	uint64_t until_s = 0;
	int err = ready(pool, &use, session_name_fits(session), "pin");

	if (!err)
		err = take_options(options, &o, &until_s);
	if (err)
		return err;
	struct chore chore = about_session(make_pin_session, session);
	chore.number = until_s;
	return deadline_make(pool, &chore, o.deadline_us);
}

static int64_t make_unpin_session(struct memkv_pool *pool, struct chore *chore)
{
	const char *session = chore->in;
	struct record r;

	factbook_refresh(&pool->factbook);
	if (!factbook_of_session(&pool->factbook, session_id_of(session), &r) || !facts_pins(&r, clock_utc_s()))
		return MEMKV_MISS;
	r.state = SESSION_PLAIN;
	return factbook_state(&pool->factbook, &r);
}

int memkv_unpin_session_by(struct memkv_pool *pool, const char *session, uint64_t deadline_us)
{
	POOL_USE use = pool_enter(pool, ENTRY_WRITE);
	int err = ready(pool, &use, session_name_fits(session), "unpin");

	if (err)
		return err;
	struct chore chore = about_session(make_unpin_session, session);
	return (int)deadline_make(pool, &chore, deadline_us);
}

int memkv_unpin_session(struct memkv_pool *pool, const char *session)
{
	return memkv_unpin_session_by(pool, session, 0);
}

static int64_t make_unpin(struct memkv_pool *pool, struct chore *chore)
{
	const struct memkv_key *keys = chore->in;
	size_t count = chore->in_bytes / sizeof(*keys);
	int *results = chore->out, err = 0;
	struct record r;
	int64_t unpinned = 0;

	factbook_refresh(&pool->factbook);
	for (size_t i = 0; i < count; i++) {
		int result = err ? err : MEMKV_MISS;
		if (!err && factbook_of_key(&pool->factbook, keys[i].bytes, &r) && facts_pins(&r, clock_utc_s())) {
			r.kind = RECORD_UNPIN;
			err = result = factbook_state(&pool->factbook, &r);
		}
		unpinned += result == 0;
		if (results)
			results[i] = result;
	}
	return err ? err : unpinned;
}

int64_t memkv_unpin_by(struct memkv_pool *pool, const struct memkv_key *keys, size_t count, int *results, uint64_t deadline_us)
{
	POOL_USE use = pool_enter(pool, ENTRY_WRITE);
	struct chore chore = about_keys(make_unpin, keys, count, results);
	int err = ready(pool, &use, keys && count, "unpin");

	return err ? err : deadline_make(pool, &chore, deadline_us);
}

int64_t memkv_unpin(struct memkv_pool *pool, const struct memkv_key *keys, size_t count, int *results)
{
	return memkv_unpin_by(pool, keys, count, results, 0);
}

/* ---- listing ---- */

static int by_kind_and_key(const void *a, const void *b)
{
	const struct record *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	int order = memcmp(x->key, y->key, sizeof(x->key));
	return order ? order : x->subject < y->subject ? -1 : x->subject > y->subject;
}

static void describe(const struct record *r, struct memkv_pin_info *info)
{
	*info = (struct memkv_pin_info){
		.is_session = r->kind == RECORD_SESSION,
		.expires_s = r->until_s,
		.slot = r->slot,
		.epoch = r->epoch,
	};
	if (info->is_session) {
		info->session_id = r->subject;
		memcpy(info->session, r->key, sizeof(r->key));
	} else {
		info->pages = r->subject;
		memcpy(info->key.bytes, r->key, sizeof(r->key));
	}
}

static int64_t make_pins(struct memkv_pool *pool, struct chore *chore)
{
	struct memkv_pin_info *pins = chore->out;
	uint64_t now = clock_utc_s(), room = chore->number;
	int64_t found = read_facts(pool);
	uint32_t count;

	if (found)
		return found;
	struct record *facts = copy_facts(pool, &count);
	if (!facts)
		return -ENOMEM;
	qsort(facts, count, sizeof(*facts), by_kind_and_key);
	for (uint32_t i = 0; i < count; i++) {
		if (!facts_pins(&facts[i], now))
			continue;
		if (pins && (uint64_t)found < room)
			describe(&facts[i], &pins[found]);
		found++;
	}
	free(facts);
	return found;
}

int64_t memkv_pins_by(struct memkv_pool *pool, struct memkv_pin_info *pins, size_t room, uint64_t deadline_us)
{
	POOL_USE use = pool_enter(pool, ENTRY_CALL);

	if (!use.inside)
		return use.result;
	room = pins ? (size_t)min_u64(room, UINT32_MAX) : 0;
	struct chore chore = {.make = make_pins, .number = room, .out = pins, .out_bytes = room * sizeof(*pins)};
	return deadline_make(pool, &chore, deadline_us);
}

int64_t memkv_pins(struct memkv_pool *pool, struct memkv_pin_info *pins, size_t room) { return memkv_pins_by(pool, pins, room, 0); }
