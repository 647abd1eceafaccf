/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What looks and gets answer, and what is in a process's index behind them: the rules of the oracle about finding (oracle.c has what was put
 * and removed).
 */
#include "core/pool/handle.h"
#include "oracle.h"

#include <string.h>

/* ---- looks ---- */

static bool indexed(const struct memkv_pool *pool, uint32_t key, uint64_t page)
{
	struct memkv_key k = key_of(key);
	struct place place;

	for (unsigned n = 0; index_find(pool->index, index_hash(pool->index, k.bytes), n, &place); n++)
		if (place.page == page)
			return true;
	return false;
}

static bool must_be_found(const struct thread *t, uint64_t before)
{
	for (uint32_t n = 0; n < world.instance_count; n++)
		if (world.instances[n].key == t->call.key && oracle_firm(&world.instances[n], before))
			return true;
	return oracle_owed_key(t->call.key, before);
}

static void missed(struct thread *t, const char *how)
{
	if (world.reopenings != t->call.reopened)
		cover(COVER_STOP_RECLAIM);
	/*
	 * A writer that could not publish does not look any more (it still answers of what it knew).  Nor does a host
	 * whose slot has passed on read what the slot's next holder states: its keeper's next beat tells it.
	 */
	if (!t->call.troubled && !device_fenced(t->agent) && !stated_passed_on(t->agent) &&
	    must_be_found(t, t->call.begin))
		broken("key %u: %s, though it was acknowledged, not removed, and is there", t->call.key, how);
}

/* what this process has looked for and met it does not lose again, but where it could not read what has changed since */
static void missed_since(struct thread *t)
{
	if (t->call.kind == CALL_GET && t->call.looked && !t->agent->troubled && !device_fenced(t->agent) && !on_shared() &&
	    must_be_found(t, t->call.looked))
		broken("key %u: a get misses what was acknowledged before a look of this process began, not removed, and is there",
		       t->call.key);
}

/*
 * What an acknowledged removal has taken, which ended before the look began, was told, so it is in the index no more.  Of one device it is
 * what was flagged during the removal.  Of hosts that share one a log says what was removed, whoever flags that when; who finds that
 * said already, and answers, has seen to it that it is told.
 */
static void forgotten(const struct thread *t, const struct shadow_place *p, uint32_t segment)
{
	const struct instance *i = &world.instances[p->instance];
	uint64_t taken = on_shared() ? i->deleted : p->flagged;

	if (!on_device() || p->untold || !i->acked || !taken || taken >= t->call.begin || world.shadow[segment].begun_by ||
	    !indexed(t->agent->pool, i->key, layout_segment(&world.layout, segment) / PAGE + p->page))
		return;
	for (uint32_t n = 0; n < world.removal_count; n++) {
		const struct removal *r = &world.removals[n];
		if (r->key == i->key && r->holds && i->acked < r->begin && taken <= r->end && r->end < t->call.begin &&
		    (on_shared() || r->begin <= taken))
			broken("key %u: put %u was removed from segment %u before a fresh look began, which left it in the index", i->key,
			       p->instance, segment);
	}
}

/* what a call asks for by its key holds for all: whatever was there when the look began is in the index now */
void oracle_looked(struct thread *t)
{
	struct memkv_pool *pool = t->agent->pool;
	struct place place;

	if (t->call.troubled || device_fenced(t->agent) || follower_losses(&pool->follower) & 1 || stated_passed_on(t->agent))
		return;
	t->agent->looked = max_u64(t->agent->looked, t->call.begin);
	if (!on_device())
		left_looked(pool);
	for (uint32_t s = 0; s < world.layout.geo.segments; s++)
		for (uint32_t n = 0; world.shadow[s].generation && n < world.layout.geo.entries; n++) {
			const struct shadow_place *p = &world.shadow[s].places[n];
			if (p->generation != world.shadow[s].generation || p->instance == UINT32_MAX)
				continue;
			if (p->life == SHADOW_REMOVED || on_shared())
				forgotten(t, p, s);
			if (p->life != SHADOW_LIVE ||
			    !(oracle_stays(&world.instances[p->instance], t->call.begin) ||
			      oracle_owed_key(world.instances[p->instance].key, t->call.begin)))
				continue;
			struct memkv_key k = key_of(world.instances[p->instance].key);
			if (!index_find(pool->index, index_hash(pool->index, k.bytes), 0, &place))
				broken("key %u: put %u was acknowledged, or pinned, and is in segment %u, place %u; a fresh look does not see it",
				       world.instances[p->instance].key, p->instance, s, n);
		}
}

/* a place that a look of this process has met stays in the index as long as it is live; the running call has just let go of a lock */
void oracle_unlocked(const struct thread *t)
{
	const struct agent *a = t->agent;

	if (t->call.kind != CALL_GET || !a->looked || world.setup.medium != MEDIUM_BLOCK || !a->pool || t->call.troubled || device_fenced(a) ||
	    follower_losses(&a->pool->follower) & 1)
		return;
	for (uint32_t s = 0; s < world.layout.geo.segments; s++)
		for (uint32_t n = 0; world.shadow[s].generation && n < world.layout.geo.entries; n++) {
			const struct shadow_place *p = &world.shadow[s].places[n];
			if (p->generation != world.shadow[s].generation || p->life != SHADOW_LIVE || p->damaged || p->instance == UINT32_MAX ||
			    world.instances[p->instance].key != t->call.key || !p->whole || p->whole >= a->looked ||
			    !oracle_firm(&world.instances[p->instance], a->looked) || world.shadow[s].begun_by)
				continue;
			if (!indexed(a->pool, t->call.key, layout_segment(&world.layout, s) / PAGE + p->page))
				broken("key %u: put %u is in segment %u, place %u, a look of this process has met it, and a get drops it", t->call.key,
				       p->instance, s, n);
		}
}

/* UINT32_MAX: a miss, or broken; else the version whose bytes these are, exactly */
static uint32_t version_got(struct thread *t, int64_t result, const uint8_t *bytes, bool fresh)
{
	uint32_t key = t->call.key;

	if (result == MEMKV_MISS) {
		if (fresh)
			missed(t, "a fresh get misses");
		else
			missed_since(t);
		return UINT32_MAX;
	}
	if (result < 0) {
		broken("key %u: get fails with %s", key, memkv_code_name((int)result));
		return UINT32_MAX;
	}
	uint32_t version = payload_version(bytes, result);
	if (version < world.version_count && world.versions[version].key == key &&
	    world.versions[version].length == (uint64_t)result && payload_right(bytes, (uint64_t)result, version))
		return version;
	broken("key %u: wrong bytes", key);
	return UINT32_MAX;
}

/* what a get may return by its metadata, however late it has learnt of removals */
static void metadata_right(const struct call *call, uint32_t version, uint32_t instance)
{
	const struct instance *i = &world.instances[instance];

	if (instance >= world.instance_count || i->version != version)
		broken("key %u: the bytes are of one put, the metadata of another", call->key);
	else if (i->expires && i->expires <= call->clock_low && oracle_pinnable(i->key))
		cover(COVER_PIN_KEEPS_EXPIRED);
	else if (i->expires && i->expires <= call->clock_low)
		broken("key %u: put %u is returned, and had expired", call->key, instance);
}

/*
 * The index has a copy of which a look must have heard that it was removed (its segment stands, so nobody has to ring for that).  One that
 * was never live is taken back by who moves, whenever that is.
 */
static bool was_told(const struct memkv_pool *pool, const struct instance *i)
{
	for (uint32_t n = 0; n < i->copy_count && n < COPIES_MAX; n++) {
		const struct copy *c = &i->copies[n];
		const struct shadow_segment *s = &world.shadow[c->segment];
		const struct shadow_place *p = &s->places[c->index];
		if (s->generation == c->generation && !s->begun_by && p->birth == i->birth && p->life == SHADOW_REMOVED && !p->untold && p->flagged &&
		    indexed(pool, i->key, layout_segment(&world.layout, c->segment) / PAGE + p->page))
			return true;
	}
	return false;
}

/*
 * Hosts that share a device: it went with its segment, so no log says that it was removed, and a mover who does not know that yet has a copy
 * of it on the way, which he takes back when he has looked.  A get by the index does not ask whether a copy is live.
 */
static bool being_copied(const struct instance *i)
{
	for (uint32_t n = 0; n < i->copy_count && n < COPIES_MAX && !i->deleted; n++) {
		const struct copy *c = &i->copies[n];
		const struct shadow_place *p = &world.shadow[c->segment].places[c->index];
		if (world.shadow[c->segment].generation == c->generation && p->birth == i->birth && p->life == SHADOW_MOVING)
			return true;
	}
	return false;
}

void oracle_get_by_index_done(struct thread *t, int64_t result, const uint8_t *bytes, const uint32_t *instance, bool fresh)
{
	uint32_t version = version_got(t, result, bytes, fresh);

	if (version == UINT32_MAX)
		return;
	metadata_right(&t->call, version, *instance);
	if (*instance >= world.instance_count || !oracle_gone_before(&world.instances[*instance], t->call.begin))
		return;
	cover(COVER_BY_INDEX_LATE);
	if (fresh && !t->call.troubled && !device_fenced(t->agent) && !stated_passed_on(t->agent) &&
	    ((on_shared() && !being_copied(&world.instances[*instance])) || was_told(t->agent->pool, &world.instances[*instance])))
		broken("key %u: put %u is returned by the index after a fresh look, and was removed before that began", t->call.key,
		       *instance);
}

void oracle_get_done(struct thread *t, int64_t result, const uint8_t *bytes, const uint32_t *instance, bool fresh)
{
	const struct call *call = &t->call;
	uint32_t version = version_got(t, result, bytes, fresh);

	if (version == UINT32_MAX)
		return;
	if (!instance) {
		if (!oracle_plausible(t, call->key, version))
			broken("key %u: bytes that were removed", call->key);
		return;
	}
	metadata_right(call, version, *instance);
	if (*instance < world.instance_count && oracle_gone_before(&world.instances[*instance], call->begin))
		broken("key %u: put %u is returned, and was removed before the get began", call->key, *instance);
}

void oracle_found(struct thread *t, int found, bool fresh)
{
	if (found < 0)
		broken("key %u: a look fails with %s", t->call.key, memkv_code_name(found));
	else if (found == 0 && fresh)
		missed(t, "a fresh look misses");
}

/* ---- agreement ---- */

/* a device's writer has given up a copy, and owes the device the news */
static bool given_up(const struct agent *a, uint32_t segment, uint32_t index, uint64_t birth)
{
	uint64_t at = layout_table(&world.layout, segment) + PAGE + (uint64_t)index * ENTRY_BYTES + ENTRY_LIFE_OFFSET, raw;

	if (!a->device || a->read_only)
		return false;
	memcpy(&raw, a->device->control + at, sizeof(raw));
	return life_read(raw, birth) == LIFE_REMOVED;
}

static void agent_agrees(const struct agent *a)
{
	/* of a segment whose opener died at it (generation 0) nobody was told: its blocks are misses, and may be indexed */
	for (uint32_t s = 0; s < world.layout.geo.segments; s++)
		for (uint32_t n = 0; world.shadow[s].generation && n < world.layout.geo.entries; n++) {
			const struct shadow_place *p = &world.shadow[s].places[n];
			if (p->generation == 0 || p->is_void || p->instance == UINT32_MAX || p->damaged || p->life == SHADOW_SENT)
				continue;
			uint32_t key = world.instances[p->instance].key;
			uint64_t page = layout_segment(&world.layout, s) / PAGE + p->page;
			bool live = p->generation == world.shadow[s].generation && p->life == SHADOW_LIVE;
			bool there = indexed(a->pool, key, page);
			/* a process that died before it told of a put or a removal: that was not acknowledged */
			const struct instance *put = &world.instances[p->instance];
			/* a power cut took the word that says OPEN, and left the table: who attaches passes FREE segments over */
			bool lost = world.shadow[s].owner.state == OWNER_FREE;
			if (live && !there && (lost || !put->acked || given_up(a, s, n, p->birth)))
				continue;
			if (!live && there && (p->untold || !oracle_gone_before(put, NEVER)))
				continue;
			if (live != there && p->life != SHADOW_MOVING)
				broken("agent %u, after it looked: key %u (put %u) in segment %u, place %u is %s, its index says %s",
				       a->number, key, p->instance, s, n, live ? "live" : "not live", there ? "there" : "absent");
		}
}

void oracle_agreed(void)
{
	for (int i = 0; i < AGENTS_MAX && !on_shared(); i++)
		if (world.agents[i].state == AGENT_UP && world.agents[i].pool &&
		    !device_fenced(&world.agents[i]) &&
		    !world.failed) {
			cover(COVER_AGREED);
			agent_agrees(&world.agents[i]);
		}
}
