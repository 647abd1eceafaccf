/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the oracle knows of pins.  A pin is owed from its acknowledgement until something begins that may end it: unpin, a
 * removal that was told to, the clock at its end, a power cut when what it pins was not durable.  While it is owed:
 *
 *   - of a key that is pinned there is a live copy, at every moment
 *   - so there is of each block of a pinned session that was there when the pin was acknowledged, or was put later
 *   - a fresh get finds the key, expired or not; the list of pins shows it
 *
 * "There" means in a segment that nobody empties at that moment: what is on its way out may still go.
 */
#include "core/pool/handle.h"
#include "oracle.h"

#include <memkv/pin.h>

#include <stdio.h>
#include <string.h>

enum { PINS_MAX = 1500 };

struct pin {
	uint32_t subject; /* key, or session */
	bool is_session;
	uint64_t begin, acked; /* world.order; acked 0: not */
	uint64_t until;	       /* 0: for ever */
	bool over;	       /* something began that may end it */
};

static struct pin pins[PINS_MAX];
static uint32_t pin_count;
static uint32_t ending[2][KEYS_LIMIT + SESSIONS_MAX + 1]; /* calls that go on and may end pins of a subject */
static bool ever[2][KEYS_LIMIT + SESSIONS_MAX + 1];

void oracle_pins_reset(void)
{
	pin_count = 0;
	memset(ending, 0, sizeof(ending));
	memset(ever, 0, sizeof(ever));
}

void session_name(uint32_t session, char name[16])
{
	snprintf(name, 16, "session %u", session);
}

bool oracle_pins_room(void) { return pin_count < PINS_MAX - 32; }

static bool owed(const struct pin *p) { return p->acked && !p->over; }

static bool about(const struct pin *p, bool is_session, uint32_t subject)
{
	return p->is_session == is_session && p->subject == subject;
}

bool oracle_pinnable(uint32_t key)
{
	if (key >= KEYS_LIMIT)
		return false;
	if (ever[0][key])
		return true;
	for (uint32_t n = 0; n < world.instance_count; n++)
		if (world.instances[n].key == key && ever[1][world.instances[n].session])
			return true;
	return false;
}

static const struct pin *owed_about(bool is_session, uint32_t subject, uint64_t before)
{
	for (uint32_t n = 0; n < pin_count; n++)
		if (owed(&pins[n]) && pins[n].acked < before && about(&pins[n], is_session, subject))
			return &pins[n];
	return NULL;
}

int sim_owner_log(unsigned slot)
{
	const struct call *call = &world.thread->call;
	bool any = false;

	if (call->kind != CALL_PIN && call->kind != CALL_PIN_SESSION)
		return 1;
	for (uint32_t s = 0; s < world.layout.geo.segments; s++)
		for (uint32_t n = 0; n < world.layout.geo.entries; n++) {
			const struct shadow_place *p = &world.shadow[s].places[n];
			if (p->generation != world.shadow[s].generation || p->life != SHADOW_LIVE || p->instance == UINT32_MAX)
				continue;
			const struct instance *i = &world.instances[p->instance];
			if (call->kind == CALL_PIN ? i->key != call->key : !i->session)
				continue;
			any = true;
			if (world.stated[s].slot == slot)
				return 1;
		}
	return !any;
}

bool oracle_owed(uint32_t key, uint32_t session)
{
	return owed_about(false, key, NEVER) || (session && owed_about(true, session, NEVER));
}

bool oracle_owed_key(uint32_t key, uint64_t before) { return owed_about(false, key, before) != NULL; }

/* ---- pinning ---- */

void oracle_pin(struct thread *t, bool is_session, uint32_t subject, uint64_t ttl)
{
	pins[pin_count] = (struct pin){.subject = subject,
				       .is_session = is_session,
				       .begin = ++world.order,
				       .until = ttl ? world.clock + ttl : 0,
				       .over = ending[is_session][subject] > 0};
	ever[is_session][subject] = true;
	t->call.pin = pin_count++;
}

/* is the segment being emptied, or the block flagged?  Of a device only its writer knows */
static bool leaving(uint32_t segment, uint32_t index, uint64_t birth)
{
	const uint64_t life = layout_table(&world.layout, segment) + PAGE + index * (uint64_t)ENTRY_BYTES + ENTRY_LIFE_OFFSET;
	const uint64_t offset = world.layout.offset[REGION_OWNER_WORDS] + segment * 8ULL;
	struct owner_word word = world.shadow[segment].owner;
	uint64_t raw;

	if (on_shared()) /* whoever empties it looks for pins once more when this is stated */
		return world.stated[segment].gives_up == world.shadow[segment].generation;
	for (int i = 0; on_device() && i < AGENTS_MAX; i++) {
		const struct agent *a = &world.agents[i];
		if (a->state != AGENT_UP || !a->attached || !a->device)
			continue;
		memcpy(&raw, a->device->control + offset, sizeof(raw));
		(void)owner_word_decode(raw, segment, world.pool_seed, &word);
		memcpy(&raw, a->device->control + life, sizeof(raw));
		if (raw && life_read(raw, birth) == LIFE_REMOVED)
			return true;
	}
	return word.state == OWNER_LEAVING || word.state == OWNER_FREE;
}

/* has a copy where nobody is about to take it away */
static bool settled(const struct instance *i)
{
	for (uint32_t n = 0; n < i->copy_count && n < COPIES_MAX && !i->deleted; n++) {
		const struct copy *c = &i->copies[n];
		const struct shadow_segment *s = &world.shadow[c->segment];
		const struct shadow_place *p = &s->places[c->index];
		if (s->generation == c->generation && p->birth == i->birth && p->life == SHADOW_LIVE && !p->damaged &&
		    !s->begun_by && !leaving(c->segment, c->index, i->birth))
			return true;
	}
	return false;
}

void oracle_kept(struct instance *i)
{
	if (i->session && owed_about(true, i->session, NEVER))
		i->kept = settled(i);
}

bool oracle_there(uint32_t key)
{
	for (uint32_t n = 0; n < world.instance_count; n++)
		if (world.instances[n].key == key && oracle_present(&world.instances[n]))
			return true;
	return false;
}

void oracle_pin_done(struct thread *t, bool done)
{
	struct pin *p = &pins[t->call.pin];

	t->call.pin = UINT32_MAX;
	if (!done)
		return;
	p->acked = ++world.order;
	p->over |= p->until && world.clock >= p->until;
	/* what a power cut has left of a block may be enough for who pins, who does not read it, but where hosts share a device */
	p->over |= world.cuts && !p->is_session && !on_shared() && !oracle_there(p->subject);
	if (p->over)
		return;
	cover(p->is_session ? COVER_PIN_SESSION : COVER_PIN);
	for (uint32_t n = 0; p->is_session && n < world.instance_count; n++)
		if (world.instances[n].session == p->subject)
			world.instances[n].kept = world.instances[n].acked && settled(&world.instances[n]);
	oracle_pins_hold();
}

/* ---- what ends pins ---- */

void oracle_unpin(struct thread *t, bool is_session, uint32_t subject)
{
	for (uint32_t n = 0; n < pin_count; n++)
		if (about(&pins[n], is_session, subject))
			pins[n].over = true;
	ending[is_session][subject]++;
	t->call.unpins = true;
	t->call.unpins_session = is_session;
	t->call.unpins_subject = subject;
}

/* it has returned, or died: what it has stated is there or never will be */
void oracle_unpin_done(struct thread *t)
{
	if (t->call.unpins)
		ending[t->call.unpins_session][t->call.unpins_subject]--;
	t->call.unpins = false;
}

void oracle_pins_clock(void)
{
	for (uint32_t n = 0; n < pin_count; n++)
		pins[n].over |= pins[n].until && world.clock >= pins[n].until;
}

/* ---- do they hold? ---- */

/* told to remove it, pinned or not */
static bool forced(const struct instance *i)
{
	for (uint32_t n = 0; n < world.removal_count; n++) {
		const struct removal *r = &world.removals[n];
		if (r->forced && r->key == i->key && r->end >= i->begin)
			return true;
	}
	return false;
}

void oracle_pins_hold(void)
{
	for (uint32_t n = 0; n < pin_count && !world.failed; n++) {
		const struct pin *p = &pins[n];
		if (!owed(p))
			continue;
		if (!p->is_session && !oracle_there(p->subject))
			broken("key %u is pinned (pin %u), and no copy is left", p->subject, n);
		for (uint32_t m = 0; p->is_session && m < world.instance_count && !world.failed; m++) {
			const struct instance *i = &world.instances[m];
			if (i->session == p->subject && i->kept && !oracle_present(i) && !forced(i))
				broken("session %u is pinned (pin %u), and put %u of key %u is gone", p->subject, n, m, i->key);
		}
	}
}

static bool survives(const struct instance *i)
{
	if (!i->acked || !i->durable || i->unowed || !oracle_present(i))
		return false;
	for (uint32_t n = 0; n < world.removal_count; n++)
		if (world.removals[n].key == i->key && world.removals[n].end >= i->begin &&
		    world.removals[n].instance != (uint32_t)(i - world.instances))
			return false;
	return true;
}

static bool any_survives(uint32_t key)
{
	for (uint32_t n = 0; n < world.instance_count; n++)
		if (world.instances[n].key == key && survives(&world.instances[n]))
			return true;
	return false;
}

void oracle_pins_before_cut(void)
{
	for (uint32_t n = 0; n < pin_count; n++)
		pins[n].over |= !pins[n].acked || (!pins[n].is_session && !any_survives(pins[n].subject));
	for (uint32_t n = 0; n < world.instance_count; n++)
		world.instances[n].kept &= survives(&world.instances[n]);
}

/* ---- the list of pins ---- */

static bool listed(const struct pin *p, const struct memkv_pin_info *infos, int64_t count)
{
	struct memkv_key key = key_of(p->subject);
	char name[16];

	session_name(p->subject, name);
	for (int64_t i = 0; i < count; i++)
		if (infos[i].is_session == p->is_session &&
		    (p->is_session ? strcmp(infos[i].session, name) == 0 : memcmp(&infos[i].key, &key, sizeof(key)) == 0))
			return true;
	return false;
}

void oracle_listed(struct thread *t, const struct memkv_pin_info *infos, int64_t count)
{
	/* a writer that could not publish looks no further; what it knows stays */
	for (uint32_t n = 0; n < pin_count && !t->call.troubled && !device_fenced(t->agent); n++)
		if (owed(&pins[n]) && pins[n].acked < t->call.begin && !listed(&pins[n], infos, count))
			broken("%s %u is pinned (pin %u), and the list of pins does not know", pins[n].is_session ? "session" : "key",
			       pins[n].subject, n);
}
