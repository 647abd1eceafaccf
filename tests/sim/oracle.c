/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle stands outside of the pool.  It knows each put that was issued, what was acknowledged and what was removed,
 * and judges what calls answer:
 *
 *   - a get is a miss, or the exact bytes of one issued put of that very key, whole
 *   - what was acknowledged before a removal began is not returned by a get that begins after it was acknowledged
 *   - what was acknowledged, and not removed, and whose segment was not reopened, is found by a look that is fresh
 *   - an expired block is not returned
 *   - "there already" is answered only when such bytes could be there
 *
 * A put is recognized by a number in the block's metadata, which moves with it; where a call does not return metadata,
 * by its bytes.
 */
#include "core/pool/handle.h"
#include "oracle.h"

#include <string.h>

/* ---- removals ---- */

static uint32_t removal_begin(uint32_t key, uint32_t instance, bool forced)
{
	world.removals[world.removal_count] = (struct removal){
		.key = key, .instance = instance, .forced = forced, .begin = ++world.order, .end = NEVER};
	return world.removal_count++;
}

/* is anything still there that was acknowledged before @r began?  It would be found once what is above it has gone. */
static void nothing_left(const struct removal *r)
{
	for (uint32_t s = 0; s < world.layout.geo.segments; s++)
		for (uint32_t n = 0; world.shadow[s].generation && n < world.layout.geo.entries; n++) {
			const struct shadow_place *p = &world.shadow[s].places[n];
			if (p->generation != world.shadow[s].generation || p->life != SHADOW_LIVE || p->damaged || p->instance == UINT32_MAX)
				continue;
			const struct instance *i = &world.instances[p->instance];
			if (i->key == r->key && i->acked && i->acked < r->begin && !i->unowed && p->instance != r->instance)
				broken("segment %u, place %u: put %u of key %u is live, and its removal has been acknowledged", s, n,
				       p->instance, i->key);
		}
}

static void removal_end(struct thread *t, bool holds)
{
	struct removal *r;

	if (t->call.removal == UINT32_MAX)
		return;
	r = &world.removals[t->call.removal];
	r->end = ++world.order;
	r->holds = holds;
	if (holds && !on_shared() && r->key != UINT32_MAX)
		nothing_left(r);
}

/* was it acknowledged before a removal began that was acknowledged before @before? */
const struct removal *oracle_gone_before(const struct instance *i, uint64_t before)
{
	for (uint32_t n = 0; i->acked && n < world.removal_count; n++) {
		const struct removal *r = &world.removals[n];
		if (r->key == i->key && r->holds && i->acked < r->begin && r->end < before &&
		    r->instance != (uint32_t)(i - world.instances))
			return r;
	}
	return NULL;
}

bool oracle_present(const struct instance *i)
{
	if (i->deleted)
		return false;
	for (uint32_t n = 0; n < i->copy_count && n < COPIES_MAX; n++) {
		const struct copy *c = &i->copies[n];
		const struct shadow_segment *s = &world.shadow[c->segment];
		if (s->generation == c->generation && !s->begun_by && s->places[c->index].birth == i->birth &&
		    s->places[c->index].life == SHADOW_LIVE && !s->places[c->index].damaged)
			return true;
	}
	return false;
}

static bool removed_since(const struct instance *i, bool or_by_itself)
{
	for (uint32_t n = 0; n < world.removal_count; n++) {
		const struct removal *r = &world.removals[n];
		if ((r->key == i->key || r->key == UINT32_MAX) && r->end >= i->begin &&
		    (or_by_itself || r->instance != (uint32_t)(i - world.instances)))
			return true;
	}
	return false;
}

static bool removed_meanwhile(const struct instance *i) { return removed_since(i, false); }

bool oracle_asked(uint32_t instance) { return removed_since(&world.instances[instance], true); }

/* acknowledged, there, and nobody was about to take it: be it owed, or left by a power cut that could have taken it */
bool oracle_stays(const struct instance *i, uint64_t before)
{
	return i->acked && i->acked < before && !i->expires && oracle_present(i) && !removed_meanwhile(i);
}

bool oracle_firm(const struct instance *i, uint64_t before)
{
	return !i->unowed && oracle_stays(i, before);
}

/* may a call fail?  The medium said no; or its host was out of its lease, and can promise nothing (then: MEMKV_UNKNOWN) */
static bool excused(const struct thread *t)
{
	return t->call.troubled || device_fenced(t->agent) || t->call.lapsed || (on_shared() && !share_in_lease(t->agent->pool));
}

void oracle_remove(struct thread *t, uint32_t key, bool force)
{
	t->call.removal = removal_begin(key, UINT32_MAX, force);
	if (force)
		oracle_unpin(t, false, key);
}

void oracle_remove_done(struct thread *t, int result)
{
	removal_end(t, result > 0 || result == MEMKV_MISS);
	oracle_unpin_done(t);
	if (result > 0)
		cover(COVER_REMOVE_OK);
	else if (result == MEMKV_PINNED && oracle_pinnable(t->call.key))
		cover(COVER_PIN_KEEPS);
	else if (result != MEMKV_MISS && !excused(t))
		broken("key %u: remove fails with %s, and nothing was wrong", t->call.key, memkv_code_name(result));
}

/* ---- puts ---- */

uint32_t oracle_version(uint32_t key, uint32_t length)
{
	uint32_t n = world.version_count;

	world.versions[world.version_count++] = (struct version){.key = key, .length = length};
	return n;
}

uint32_t oracle_put(struct thread *t, uint32_t key, uint32_t version, uint64_t expires, bool durable, bool replace)
{
	uint32_t n = world.instance_count++;

	world.instances[n] = (struct instance){
		.key = key, .version = version, .begin = ++world.order, .expires = expires, .durable = durable};
	t->call.instance = n;
	if (replace)
		t->call.removal = removal_begin(key, n, false);
	return n;
}

void oracle_put_in(struct thread *t, uint32_t session)
{
	world.instances[t->call.instance].session = session;
}

static void acknowledged(struct thread *t)
{
	struct instance *i = &world.instances[t->call.instance];

	i->acked = ++world.order;
	if (world.now * 2 < world.setup.points_end)
		world.acks_first_half++;
	else if (world.phase == PHASE_RUN)
		world.acks_second_half++;
	oracle_kept(i);
	if (!i->published)
		broken("put %u is acknowledged and was never published", t->call.instance);
	else if (on_device() && !i->whole && !removed_meanwhile(i))
		broken("put %u is acknowledged, and has not been on the device", t->call.instance);
}

/* could such bytes have been there at some time during the call? */
bool oracle_plausible(const struct thread *t, uint32_t key, uint32_t version)
{
	for (uint32_t n = 0; n < world.instance_count; n++) {
		const struct instance *i = &world.instances[n];
		/*
		 * What was on its way when the power went may be there: of an entry that is half old, half new, the block's own header
		 * tells.  A block of which a power cut took bytes is not found by a remove in a process that has tried to read it.
		 */
		if (i->key == key && (version == UINT32_MAX || i->version == version) && (i->published || i->unowed) &&
		    n != t->call.instance && (i->unowed || !oracle_gone_before(i, t->call.begin)))
			return true;
	}
	return false;
}

void oracle_put_done(struct thread *t, int result, bool replace)
{
	const struct instance *i = &world.instances[t->call.instance];

	drains_put_done(t, result);
	removal_end(t, result == 0 && replace);
	if (result == 0) {
		if (replace)
			cover(COVER_REPLACED);
		acknowledged(t);
	} else if (result == MEMKV_EXISTS || result == MEMKV_DIFFERS) {
		cover(result == MEMKV_EXISTS ? COVER_EXISTS : COVER_DIFFERS);
		if (!oracle_plausible(t, i->key, result == MEMKV_EXISTS ? i->version : UINT32_MAX))
			broken("put %u is answered %s, and nothing of the kind was there", t->call.instance,
			       memkv_code_name(result));
	} else if (result == MEMKV_NO_ROOM) {
		cover(COVER_NO_ROOM);
	} else if (result == MEMKV_DRAINED) {
		/* drains.c */
	} else if (((result == MEMKV_PINNED || result == MEMKV_UNKNOWN) && replace && oracle_pinnable(i->key)) ||
		   (result == MEMKV_PIN_LIMIT && i->session)) {
		cover(COVER_PIN_KEEPS);
	} else if (!excused(t)) {
		broken("put %u fails with %s, and nothing was wrong", t->call.instance, memkv_code_name(result));
	}
}

static uint32_t instance_of(uint64_t birth)
{
	for (uint32_t n = world.instance_count; n-- > 0;)
		if (world.instances[n].birth == birth)
			return n;
	return UINT32_MAX;
}

/* a birth that is not known yet is that of the put which runs */
static uint32_t instance_born(const struct thread *t, const struct entry *e)
{
	if (!t || t->call.kind != CALL_PUT || world.instances[t->call.instance].birth)
		return UINT32_MAX;
	struct instance *i = &world.instances[t->call.instance];
	struct memkv_key key = key_of(i->key);
	if (memcmp(key.bytes, e->key, sizeof(e->key)) != 0)
		return UINT32_MAX;
	i->birth = e->birth;
	i->expires = e->expires_s; /* the clock may have jumped since the call began */
	i->published = true;
	return t->call.instance;
}

void oracle_born(struct thread *t, const struct entry *e)
{
	if (instance_of(e->birth) == UINT32_MAX)
		(void)instance_born(t, e);
}

void oracle_written(const struct thread *t, const uint8_t *bytes, uint64_t page)
{
	struct block_header h;

	if (t->call.kind != CALL_PUT || world.instances[t->call.instance].published ||
	    !block_header_decode(bytes, PAGE, page, world.pool_seed, &h))
		return;
	struct instance *i = &world.instances[t->call.instance];
	struct memkv_key key = key_of(i->key);
	if (memcmp(key.bytes, h.key, sizeof(h.key)) == 0)
		i->written = h.birth;
}

/* no entry of it was ever there, and it was found by its own header: its put died, and power loss took the table */
static uint32_t instance_found(const struct entry *e)
{
	for (uint32_t n = world.instance_count; n-- > 0;)
		if (world.instances[n].written == e->birth && !world.instances[n].published) {
			world.instances[n].birth = e->birth;
			world.instances[n].expires = e->expires_s;
			world.instances[n].published = true;
			return n;
		}
	return UINT32_MAX;
}

static bool is_over(const struct copy *c)
{
	const struct shadow_segment *s = &world.shadow[c->segment];
	const struct shadow_place *p = &s->places[c->index];

	return s->begun != c->generation || (p->generation == c->generation && p->life == SHADOW_REMOVED);
}

/* in the place of one whose segment was opened anew, if any: a pinned block may move for ever */
static void note_copy(struct instance *i, struct copy copy)
{
	uint32_t at = i->copy_count;

	for (uint32_t n = 0; n < i->copy_count && at == i->copy_count; n++)
		if (is_over(&i->copies[n]))
			at = n;
	i->copy_count += at == i->copy_count && at < COPIES_MAX;
	i->copies[at % COPIES_MAX] = copy;
}

uint32_t oracle_published(struct thread *t, const struct entry *e, uint32_t segment)
{
	uint32_t n = instance_of(e->birth);

	if (n == UINT32_MAX)
		n = instance_born(t, e);
	if (n == UINT32_MAX)
		n = instance_found(e);
	if (n == UINT32_MAX) {
		broken("segment %u, place %u: the published block was never put", segment, e->index);
		return n;
	}
	note_copy(&world.instances[n], (struct copy){.segment = segment, .index = e->index, .generation = e->generation});
	return n;
}

void oracle_live(uint32_t instance, uint32_t segment, uint32_t index)
{
	const struct instance *i = &world.instances[instance];
	const struct removal *r = oracle_gone_before(i, world.order + 1);

	if (r)
		broken("segment %u, place %u: put %u becomes live again, and was removed", segment, index, instance);
}

/*
 * A replacing put that meets a higher one removes itself.  In a segment that is being emptied a block may go anyway: the old place
 * of a copy is flagged when that could be flushed at last, and the copy may have been evicted meanwhile.
 */
void oracle_flagged(uint32_t instance, uint32_t segment, uint32_t index)
{
	const struct instance *i = &world.instances[instance];

	if (!oracle_present(i) && !removed_since(i, true) && world.shadow[segment].owner.state != OWNER_LEAVING)
		broken("segment %u, place %u: put %u is flagged as removed, and nobody removes key %u", segment, index, instance, i->key);
}

/* ---- what happens to all ---- */

static void cover_death(const struct thread *t)
{
	static const enum covered of_stage[PUT_STAGES] = {
		[PUT_LOOKS] = COVER_KILL_PUT_LOOKS,	    [PUT_RESERVED] = COVER_KILL_PUT_RESERVED,
		[PUT_WRITES] = COVER_KILL_PUT_WRITES,	    [PUT_WRITTEN] = COVER_KILL_PUT_WRITTEN,
		[PUT_PUBLISHES] = COVER_KILL_PUT_PUBLISHES, [PUT_PUBLISHED] = COVER_KILL_PUT_PUBLISHED,
	};

	if (t->call.kind == CALL_OPEN)
		cover(COVER_KILL_OPEN);
	if (t->call.kind == CALL_CLOSE)
		cover(COVER_KILL_CLOSE);
	if (t->call.kind == CALL_REMOVE)
		cover(COVER_KILL_REMOVE);
	if (t->call.moving)
		cover(COVER_KILL_MOVE);
	if (t->call.kind == CALL_PUT)
		cover(of_stage[t->call.stage]);
}

void oracle_died(struct thread *t)
{
	cover_death(t);
	removal_end(t, false);
	oracle_unpin_done(t);
	t->call = (struct call){.instance = UINT32_MAX, .removal = UINT32_MAX, .pin = UINT32_MAX};
}

/* ---- power cuts ---- */

/* before: what is durable and there stays; what was acknowledged without being durable is not owed any more */
void oracle_before_cut(void)
{
	oracle_pins_before_cut();
	for (uint32_t n = 0; n < world.instance_count; n++) {
		struct instance *i = &world.instances[n];
		i->survives = i->durable && oracle_firm(i, world.order + 1);
		i->unowed |= !i->survives;
	}
	for (uint32_t n = 0; n < world.removal_count; n++) {
		struct removal *r = &world.removals[n];
		if (r->instance != UINT32_MAX && !world.instances[r->instance].durable)
			r->holds = false; /* what it replaced may be back */
	}
}

/* where hosts share a device an entry says live until it is written down what the logs say; they are asked for what is left of them */
void oracle_after_cut(void)
{
	for (uint32_t n = 0; n < world.instance_count; n++)
		if (world.instances[n].survives && !oracle_present(&world.instances[n]))
			broken("key %u: put %u was acknowledged as durable, and a power cut took it", world.instances[n].key, n);
	for (uint32_t s = 0; s < world.layout.geo.segments; s++)
		for (uint32_t n = 0; world.shadow[s].generation && n < world.layout.geo.entries; n++) {
			const struct shadow_place *p = &world.shadow[s].places[n];
			if (p->generation == world.shadow[s].generation && p->life == SHADOW_LIVE && p->instance != UINT32_MAX &&
			    !p->damaged && !world.instances[p->instance].deleted && oracle_gone_before(&world.instances[p->instance], NEVER))
				broken("segment %u, place %u: put %u of key %u was removed, and a power cut brought it back", s, n, p->instance,
				       world.instances[p->instance].key);
		}
	oracle_pins_hold();
}
