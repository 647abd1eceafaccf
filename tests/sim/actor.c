/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the processes do: open the pool, call whatever comes to mind from some threads at once, close it again.  All calls
 * are the public ones, as any user would make them.
 */
#include "core/pool/handle.h"
#include "oracle.h"
#include "stage.h"

#include <memkv/host.h>

#include <errno.h>
#include <string.h>

enum { LIVE_CALLS_MIN = 3, LIVE_CALLS = 250, BRIEF_CALLS = 12, SURVIVOR_ROUNDS = 3 };

struct memkv_key key_of(uint32_t key)
{
	struct memkv_key k;
	uint64_t words[4] = {world.pool_seed, key, world.pool_seed ^ key, key * 0x9E3779B97F4A7C15ULL};

	memcpy(k.bytes, words, sizeof(k.bytes));
	return k;
}

void call_begin(struct thread *t, enum call_kind kind, uint32_t key)
{
	t->call = (struct call){
		.kind = kind,
		.key = key,
		.instance = UINT32_MAX,
		.removal = UINT32_MAX,
		.pin = UINT32_MAX,
		.begin = ++world.order,
		.clock_low = NEVER,
		.reopened = world.reopenings,
		.looked = t->agent->looked,
	};
	trace(EVENT_CALL, t->agent, kind, key, t->number);
	sites_call(t);
}

void call_end(struct thread *t, int64_t result)
{
	/* hosts that share a device: whoever was silent for so long that its slot is another's */
	if (device_fenced(t->agent) && !t->agent->troubled &&
	    !(on_shared() && (t->call.kind == CALL_CLOSE || (t->call.kind == CALL_OPEN && result == MEMKV_IN_USE) ||
			      stated_passed_on(t->agent))))
		broken("agent %u writes no more, and nothing was wrong", t->agent->number);
	if (t->agent->slot_lost && device_fenced(t->agent)) {
		cover(COVER_REUSED_AWAKE);
		t->agent->slot_lost = false;
	}
	trace(EVENT_RETURN, t->agent, t->call.kind, t->call.key, (uint64_t)result);
	t->call = (struct call){.instance = UINT32_MAX, .removal = UINT32_MAX, .pin = UINT32_MAX};
	stage_answered(t, result);
	fortune_hot(t->agent);
	sites_answered(t);
}

static uint32_t some_key(void)
{
	const struct setup *s = &world.setup;

	return sites_key(chance(s->hot) ? draw(s->hot_keys) : draw(s->keys));
}

static uint8_t *buffer_of(const struct thread *t, bool put)
{
	return t->agent->buffers + (size_t)(t->number * 2 + put) * PAYLOAD_MAX + world.setup.misaligned;
}

/* ---- the calls ---- */

/* new bytes, or some that were put under this key before */
static uint32_t choose_version(uint32_t key)
{
	if (chance(world.setup.again))
		for (uint32_t tries = 0; world.version_count && tries < 4; tries++) {
			uint32_t v = draw(world.version_count);
			if (world.versions[v].key == key)
				return v;
		}
	uint32_t max = world.setup.max_block - PAYLOAD_MIN;
	return oracle_version(key, PAYLOAD_MIN + (draw(4) ? max / (1 + draw(3)) : draw(max + 1)));
}

/* most of what is put is not there yet */
static uint32_t rather_absent(uint32_t key)
{
	for (int tries = 0; tries < 4 && oracle_there(key) && draw(4); tries++)
		key = some_key();
	return key;
}

static int do_put(struct thread *t, uint32_t key)
{
	const struct setup *s = &world.setup;
	bool durable = chance(s->durable), replace = chance(s->replace);
	if (!replace && world.phase == PHASE_RUN && !on_shared() && !stage.on)
		key = rather_absent(key);
	struct memkv_key k = key_of(key);
	uint64_t ttl = chance(s->ttl) ? 1 + draw(30) : 0;
	uint32_t version = choose_version(key);
	uint32_t session = stage.on ? stage.session : s->pin && !draw(3) ? 1 + draw(SESSIONS_MAX) : 0;
	uint8_t *data = buffer_of(t, true);
	char name[16];

	call_begin(t, CALL_PUT, key);
	drains_put_begins(t);
	uint32_t instance = oracle_put(t, key, version, ttl ? world.clock + ttl : 0, durable, replace);
	oracle_put_in(t, session);
	session_name(session, name);
	struct memkv_put_options o = {
		.size = sizeof(o),
		.session = session ? name : NULL,
		.flags = (replace ? MEMKV_PUT_REPLACE : 0u) | (durable ? MEMKV_PUT_DURABLE : 0u),
		.ttl_s = ttl,
		.meta = &instance,
		.meta_length = sizeof(instance),
	};
	payload_fill(data, version);
	int result = memkv_put(t->agent->pool, &k, data, world.versions[version].length, &o);
	oracle_put_done(t, result, replace);
	call_end(t, result);
	return result;
}

static void do_get(struct thread *t, uint32_t key, bool fresh)
{
	bool by_index = (draw(6) == 0 && !stage.on) || stage.by_index;
	struct memkv_key k = key_of(key);
	uint32_t instance = UINT32_MAX;
	struct memkv_get_options o = {
		.size = sizeof(o),
		.flags = MEMKV_GET_UPTO | (by_index ? MEMKV_GET_BY_INDEX : 0u),
		.meta = &instance,
		.meta_room = sizeof(instance),
	};

	call_begin(t, CALL_GET, key);
	if (fresh) {
		(void)memkv_pool_refresh(t->agent->pool);
		oracle_looked(t);
	}
	int64_t result = memkv_get(t->agent->pool, &k, buffer_of(t, false), PAYLOAD_MAX - PAGE, &o);
	if (result == MEMKV_MISS && world.clock > 0 && t->call.clock_low != NEVER)
		cover(COVER_EXPIRED);
	if (by_index && on_device())
		oracle_get_by_index_done(t, result, buffer_of(t, false), &instance, fresh);
	else
		oracle_get_done(t, result, buffer_of(t, false), &instance, fresh);
	call_end(t, result);
}

/* the whole block in two pieces */
static void do_ranges(struct thread *t, uint32_t key)
{
	struct memkv_key k = key_of(key);
	struct memkv_block_info info;
	uint8_t *to = buffer_of(t, false);

	call_begin(t, CALL_STAT, key);
	int stat = memkv_stat(t->agent->pool, &k, &info);
	oracle_found(t, stat == MEMKV_MISS ? 0 : stat == 0 ? 1 : stat, true);
	call_end(t, stat);
	if (stat)
		return;
	uint64_t cut = draw((uint32_t)info.length);
	struct memkv_range ranges[2] = {{.offset = 0, .length = cut, .dst = to},
					{.offset = cut, .length = info.length - cut, .dst = to + cut}};
	call_begin(t, CALL_RANGES, key);
	int64_t result = memkv_get_ranges(t->agent->pool, &k, ranges, 2);
	if (result == MEMKV_SIZE || (result > 0 && (uint64_t)result != info.length))
		result = MEMKV_MISS; /* another block by now */
	oracle_get_done(t, result, to, NULL, false);
	call_end(t, result);
}

/* a block is used in place for a while; its bytes count when the hold is valid afterwards */
static void do_hold(struct thread *t, uint32_t key)
{
	struct memkv_pool *pool = t->agent->pool;
	struct memkv_key k = key_of(key);
	struct memkv_hold hold;
	uint8_t *to = buffer_of(t, false);

	call_begin(t, CALL_HOLD, key);
	int64_t result = memkv_hold(pool, &k, &hold);
	if (result == 0) {
		t->held_segment = hold.segment;
		t->held = hold.generation;
		world_sleep(draw(6000));
		memcpy(to, hold.data, hold.length);
		int valid = memkv_hold_valid(pool, &hold);
		result = valid == 1 ? (int64_t)hold.length : MEMKV_MISS;
		t->held = 0;
		int released = memkv_release(pool, &hold);
		if (valid < 0 || (released != 0 && released != MEMKV_LAPSED))
			broken("key %u: a hold ends with %s", key, memkv_code_name(released));
		cover(valid == 1 ? COVER_HOLD : COVER_HOLD_LAPSED);
	} else if (result == -EAGAIN) {
		cover(COVER_HOLD_REFUSED);
		result = MEMKV_MISS;
	}
	oracle_get_done(t, result, to, NULL, false);
	call_end(t, result);
}

static void do_remove(struct thread *t, uint32_t key)
{
	struct memkv_key k = key_of(key);

	call_begin(t, CALL_REMOVE, key);
	oracle_remove(t, key, false);
	int result = memkv_remove(t->agent->pool, &k);
	oracle_remove_done(t, result);
	call_end(t, result);
}

static void do_match(struct thread *t, uint32_t key)
{
	struct memkv_key k = key_of(key);

	call_begin(t, CALL_MATCH, key);
	int result = memkv_exists(t->agent->pool, &k, MEMKV_LOOK_FRESH);
	oracle_found(t, result, true);
	call_end(t, result);
}

static void do_refresh(struct thread *t)
{
	call_begin(t, CALL_REFRESH, UINT32_MAX);
	int result = memkv_pool_refresh(t->agent->pool);
	oracle_looked(t);
	call_end(t, result);
}

static void bad_block(void *context, const struct memkv_key *key, uint64_t page, const char *why)
{
	(void)context;
	(void)key;
	(void)page;
	(void)why;
}

static void do_check(struct thread *t)
{
	struct memkv_check_options o = {.size = sizeof(o), .bad_block = bad_block, .meta_only = draw(2) != 0};
	struct memkv_check_report r;

	call_begin(t, CALL_CHECK, UINT32_MAX);
	uint64_t cuts = world.cuts;
	int result = memkv_pool_check(t->agent->pool, &o, &r);
	bool lost = result == MEMKV_FENCED &&
		    (stated_passed_on(t->agent) || (on_shared() && world.epochs[t->agent->slot] > t->agent->epoch));
	if (result && !lost)
		broken("check fails with %s", memkv_code_name(result));
	/* a device that did not answer who continued a segment: a block that never landed stays sent, also when it is sealed */
	bool left_open = on_device() && world.troubles;
	if (!result && !cuts && !t->call.troubled && ((r.bad && !left_open) || (r.records_bad && !world.troubles)))
		broken("check finds %llu damaged blocks, %llu damaged records, and nothing was damaged",
		       (unsigned long long)r.bad, (unsigned long long)r.records_bad);
	call_end(t, result);
}

static void do_list(struct thread *t)
{
	struct memkv_iter *iter;
	struct memkv_block_info info;
	uint64_t count = 0;

	call_begin(t, CALL_LIST, UINT32_MAX);
	if (memkv_iter_open(t->agent->pool, NULL, &iter) == 0) {
		while (memkv_iter_next(iter, &info) == 1)
			count++;
		memkv_iter_close(iter);
	}
	call_end(t, (int64_t)count);
}

void actor_call(struct thread *t, enum call_kind kind, uint32_t key)
{
	switch (kind) {
	case CALL_PUT:
		(void)do_put(t, key);
		break;
	case CALL_GET:
		do_get(t, key, !stage.stale);
		break;
	case CALL_HOLD:
		do_hold(t, key);
		break;
	case CALL_REMOVE:
		do_remove(t, key);
		break;
	case CALL_MATCH:
		do_match(t, key);
		break;
	case CALL_REFRESH:
		do_refresh(t);
		break;
	case CALL_CHECK:
		do_check(t);
		break;
	case CALL_PIN:
		do_pin(t, key);
		break;
	case CALL_UNPIN:
		do_unpin(t, key);
		break;
	case CALL_PIN_SESSION:
		do_pin_session(t, key);
		break;
	case CALL_PINS:
		do_list_pins(t);
		break;
	default:
		do_evict(t);
		break;
	}
}

/* half of the processes do a bit of everything, the others mostly one thing; false: this time it is something else */
static bool in_role(struct thread *t, uint32_t key)
{
	const struct agent *a = t->agent;

	if (a->role == ROLE_ANY || draw(4) == 0)
		return false;
	if (a->role == ROLE_LAZY) /* never follows: what it knows becomes old */
		do_get(t, key, false);
	else if (a->role == ROLE_LOOKS)
		do_refresh(t);
	else if (a->read_only)
		return false;
	else if (a->role == ROLE_REMOVES)
		do_remove(t, key);
	else if (a->role == ROLE_PUTS)
		(void)do_put(t, key);
	else
		pin_call(t, key);
	return true;
}

/* one of the few kinds of calls that nearly all of such a run is made of; false: something else */
static bool on_the_menu(struct thread *t, uint32_t key)
{
	bool writes = !t->agent->read_only;

	switch (sites_menu()) {
	case CALL_PUT:
		return writes && (do_put(t, key), true);
	case CALL_GET:
		do_get(t, key, draw(2));
		return true;
	case CALL_REMOVE:
		return writes && (do_remove(t, key), true);
	case CALL_REFRESH:
		do_refresh(t);
		return true;
	case CALL_HOLD:
		return writes && !on_device() && (do_hold(t, key), true);
	case CALL_PIN:
		return writes && (pin_call(t, key), true);
	case CALL_EVICT:
		return writes && (do_evict(t), true);
	default:
		return false;
	}
}

static void some_call(struct thread *t)
{
	uint32_t key = some_key(), what = draw(1000);

	if (sites_press() && !t->agent->read_only) { /* room is wanted while somebody stands still */
		(void)do_put(t, draw(world.setup.keys));
		return;
	}
	if (on_the_menu(t, key) || in_role(t, key))
		return;
	if (chance(world.setup.pin) && !t->agent->read_only)
		pin_call(t, key);
	else if (chance(world.setup.remove) && !t->agent->read_only)
		do_remove(t, key);
	else if (what < 480 && !t->agent->read_only)
		(void)do_put(t, key);
	else if (what < 660)
		do_get(t, key, true);
	else if (what < 800)
		do_get(t, key, false);
	else if (what < 820 && !t->agent->read_only && !on_device())
		do_hold(t, key);
	else if (what < 860)
		do_match(t, key);
	else if (what < 900)
		do_ranges(t, key);
	else if (what < 980)
		do_refresh(t);
	else if (what < 984)
		do_check(t);
	else if (what < 988)
		do_list(t);
	else
		world_sleep(draw(2000));
}

/* ---- a process ---- */

static bool room_to_remember(void)
{
	return world.instance_count < INSTANCES_MAX - 64 && world.removal_count < REMOVALS_MAX - 64 && oracle_pins_room();
}

static void note_adopted(const struct agent *a)
{
	for (uint64_t s = 0; on_shared() && a->pool && s < world.layout.geo.segments; s++)
		if (share_lost(a->pool, s)) {
			cover(COVER_WRONG);
			return;
		}
}

/* lines that are read while they change: whoever looks again finds them whole, and calls nothing damage */
static void no_damage(const struct agent *a)
{
	const struct follower *f = &a->pool->follower;

	if (world.setup.medium == MEDIUM_LINES && !world.cuts &&
	    (atomic_load(&f->entries_damaged) || atomic_load(&f->entries_mended)))
		broken("agent %u counts damage, and nothing was damaged", a->number);
}

static void work(struct thread *t)
{
	struct agent *a = t->agent;
	bool poller = world.setup.poller && t->number > 0 && t->number == world.setup.threads - 1;

	while (world.phase == PHASE_RUN && !world.failed && !a->quit && room_to_remember()) {
		if (poller) {
			if (a->device) /* as core/index/follower.c's thread does */
				(void)a->device->ops->settle(a->device);
			do_refresh(t);
			drains_turn(t);
			world_sleep(50 + draw(500));
			continue;
		}
		if (a->calls_left == 0)
			a->quit = true;
		else
			a->calls_left--;
		drains_turn(t);
		some_call(t);
		a->quit |= device_fenced(a) && draw(4) == 0;
		note_adopted(a);
		no_damage(a);
		while (a->drowsy_until > world.now && world.phase == PHASE_RUN)
			world_sleep(20);
	}
}

static void other_thread(void *context)
{
	struct thread *t = context;

	work(t);
	t->agent->threads_running--;
	world_pause(THREAD_ENDED);
}

int actor_open(struct thread *t)
{
	struct agent *a = t->agent;
	struct memkv_pool_options o = {
		.size = sizeof(o), .flags = MEMKV_OPEN_NO_FOLLOWER, .lanes = 1 + draw(world.setup.threads)};
	struct memkv_pool *pool;

	a->read_only = world.phase == PHASE_RUN && chance(world.setup.read_only);
	if (one_writer() && world.phase == PHASE_RUN)
		a->read_only = stage.on ? device_has_writer() : device_has_writer() ? draw(8) != 0 : draw(4) == 0;
	if (a->read_only)
		o.flags |= MEMKV_OPEN_READ_ONLY;
	if (draw(8) == 0 && !stage.on)
		o.flags |= MEMKV_OPEN_CLI;
	if (stage.on && on_device())
		o.lanes = THREADS_MAX;
	call_begin(t, CALL_OPEN, UINT32_MAX);
	int err = memkv_pool_open("pool", &o, &pool);
	bool claimed = one_writer() && (err == MEMKV_NO_SLOT || err == MEMKV_IN_USE);
	if (claimed)
		cover(COVER_CLAIM_HELD);
	else if (err == MEMKV_NO_SLOT)
		cover(COVER_NO_SLOT);
	else if (err && !t->call.troubled && !(on_shared() && err == MEMKV_IN_USE && stated_claim_passed_on(a)))
		broken("open fails with %s (%s), and nothing was wrong", memkv_code_name(err), memkv_error_detail());
	call_end(t, err);
	if (err)
		return err;
	a->pool = pool;
	if (a->read_only)
		return 0;
	a->slot = pool->slot.number;
	a->epoch = pool->slot.epoch;
	a->attached = true;
	for (uint32_t i = 0; on_shared() && i < world.setup.agents; i++)
		if (&world.agents[i] != a && world.agents[i].attached && world.agents[i].slot == a->slot)
			world.agents[i].slot_lost = true;
	if (pool->slot.cell.unproven_epoch && pool->slot.cell.unproven_epoch + 1 == a->epoch)
		cover(COVER_REUSED);
	a->slot_lost = false;
	if (a->epoch <= world.epochs[a->slot])
		broken("slot %u: epoch %u comes a second time", a->slot, a->epoch);
	world.epochs[a->slot] = a->epoch;
	return 0;
}

void actor_close(struct thread *t)
{
	struct agent *a = t->agent;

	call_begin(t, CALL_CLOSE, UINT32_MAX);
	struct memkv_pool *pool = a->pool;
	memkv_pool_close(pool);
	landed_left(a);
	a->pool = NULL;
	call_end(t, 0);
}

static void rest(struct thread *t, enum phase phase)
{
	t->agent->rests = true;
	while (world.phase == phase)
		world_sleep(10);
	t->agent->rests = false;
}

/* after all is quiet: everybody looks once, then reads every key */
static void read_all(struct thread *t)
{
	rest(t, PHASE_QUIET);
	do_refresh(t);
	rest(t, PHASE_LOOK);
	for (uint32_t key = 0; key < world.setup.keys && !world.failed; key++)
		do_get(t, key, true);
	do_check(t);
}

/* where death is not exact, what the dead had open must have been quiet for some time */
static bool put_at_last(struct thread *t, uint32_t key)
{
	enum { PATIENCE = 200 };

	for (int tries = 0; tries < (on_shared() ? PATIENCE : 1); tries++) {
		int result = do_put(t, key);
		if (result == 0 || (result != MEMKV_NO_ROOM && !on_shared()))
			return true;
		world_sleep(1000);
	}
	return world.failed;
}

/*
 * Hosts that share a device: one that is silent, and whose death nobody can prove from another machine, keeps what it had open from all
 * others until it is ended there, or boots (memkv_host_fence() says so).  Its slot passes on; what it may still write to does not.
 */
static bool held_by_the_silent(struct thread *t)
{
	struct memkv_host hosts[AGENTS_MAX * 2];
	int64_t count = on_shared() ? memkv_hosts(t->agent->pool, hosts, ARRAY_COUNT(hosts)) : 0;
	bool silent = false;

	for (int64_t i = 0; i < count && i < (int64_t)ARRAY_COUNT(hosts); i++)
		silent |= hosts[i].state == MEMKV_HOST_SILENT;
	return silent;
}

/* the only one left: it must be able to use the whole pool */
static void survive(struct thread *t)
{
	uint64_t room = 2ULL * world.layout.geo.segments * world.layout.geo.entries + 8;

	for (uint32_t key = 0; key < world.setup.keys && !world.failed; key++)
		do_get(t, key, true);
	unpin_all(t);
	for (uint64_t n = 0; n < room && !world.failed && room_to_remember(); n++)
		if (!put_at_last(t, KEYS_LIMIT + (uint32_t)n)) {
			if (!held_by_the_silent(t))
				broken("the survivor finds no room");
			return;
		}
	if (room_to_remember() && !on_shared())
		watch_all_takeable(t->agent);
	cover(COVER_SURVIVOR);
}

void actor_main(void *context)
{
	struct thread *t = context;
	struct agent *a = t->agent;

	if (actor_open(t) == 0) {
		a->calls_left = LIVE_CALLS_MIN + draw(world.setup.brief ? BRIEF_CALLS : LIVE_CALLS);
		if (world.phase == PHASE_SURVIVE) {
			survive(t);
		} else {
			for (uint32_t n = 1; n < world.setup.threads; n++) {
				a->threads_running++;
				thread_start(&a->threads[n], other_thread);
			}
			work(t);
			while (a->threads_running > 0)
				world_sleep(10);
			if (world.phase != PHASE_RUN && !world.failed)
				read_all(t);
		}
		if (!world.failed)
			actor_close(t);
	}
	agent_gone(a);
	world_pause(THREAD_ENDED);
}
