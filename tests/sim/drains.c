/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Agents that are drained, and put again (memkv_host_drain()): who asks whom, and what is promised.
 *
 *   - from the answer that an agent is drained until somebody may ask that it puts again: no put of it succeeds, it opens no segment, writes
 *     to none and publishes nothing; nothing that it wrote to or emptied is its own any more
 *   - a put is refused for that reason only when somebody has asked for it
 *   - "it is gone" is said of nobody who is there, "there is none" of nobody who was
 *
 * Asks of both kinds may meet, and one that was given up may be heard late; while that can be nothing is promised.  Nor is anything
 * by an answer that met one of the other kind: it may have been true before that was heard, and come late.  Random numbers are drains'
 * own, so a seed without drains is as if there were none.
 */
#include "core/pool/handle.h"
#include "sim.h"

#include <memkv/host.h>

#include <string.h>

enum { DRAIN, UNDO };

/* what is known of a process: it puts, it is drained, or nobody can tell */
static struct standing {
	uint32_t life;
	enum drain_standing knows;
	uint64_t changes;	   /* counts what was learnt */
	uint32_t unsettled[2];	   /* asks that run, or may be heard yet */
	uint64_t heard[2];	   /* world.order when an ask was answered last */
} standings[AGENTS_MAX];

static uint64_t random_numbers[2];
static bool on;

static uint32_t pick(uint32_t n) { return draw_from(random_numbers, n); }

void drains_begin(uint64_t seed, bool possible)
{
	enum { ONE_OF = 8 };

	memset(standings, 0, sizeof(standings));
	random_seed(random_numbers, seed ^ 0xD4A1D4A1D4A1D4A1ULL);
	on = possible && pick(ONE_OF) == 0;
}

/* a process is not drained when it starts */
static struct standing *of(const struct agent *a)
{
	struct standing *s = &standings[a->number];

	if (s->life != a->life)
		*s = (struct standing){.life = a->life, .knows = DRAIN_PUTS, .changes = s->changes + 1};
	return s;
}

static void learn(struct standing *s, enum drain_standing what)
{
	s->changes += s->knows != what;
	s->knows = what;
}

static bool surely(const struct agent *a, enum drain_standing what) { return on && of(a)->knows == what; }

/* ---- what is promised ---- */

void drains_put_begins(struct thread *t)
{
	if (!on)
		return;
	t->call.drain_knows = of(t->agent)->knows;
	t->call.drain_changes = of(t->agent)->changes;
}

static bool all_the_time(const struct thread *t, enum drain_standing what)
{
	return surely(t->agent, what) && t->call.drain_knows == what && t->call.drain_changes == of(t->agent)->changes;
}

void drains_put_done(const struct thread *t, int result)
{
	if (result == MEMKV_DRAINED)
		cover(COVER_DRAIN_REFUSES);
	if (result == 0 && all_the_time(t, DRAIN_DRAINED))
		broken("agent %u is drained, and puts", t->agent->number);
	else if (result == MEMKV_DRAINED && (!on || all_the_time(t, DRAIN_PUTS)))
		broken("agent %u refuses a put as drained, and nobody has drained it", t->agent->number);
}

bool drains_may_refuse(const struct agent *a) { return on && of(a)->knows != DRAIN_PUTS; }

void drains_writes(const struct agent *a, uint64_t segment, const char *what)
{
	if (surely(a, DRAIN_DRAINED))
		broken("agent %u is drained, and %s segment %llu", a->number, what, (unsigned long long)segment);
}

/* then a segment may be emptied, as room for moves */
static bool pins(const struct agent *a)
{
	bool so = false;

	for (uint32_t n = 0; n < world.setup.threads; n++)
		so |= a->threads[n].call.kind == CALL_PIN || a->threads[n].call.kind == CALL_PIN_SESSION;
	return so;
}

/* what could not be flushed stays LEAVING until its agent is dead (core/pool/reclaim.c): not judged where the medium said no to it */
static void nothing_is_left(const struct agent *a)
{
	for (uint32_t s = 0; s < world.layout.geo.segments; s++) {
		const struct owner_word *o = &world.shadow[s].owner;
		bool left = o->state == OWNER_OPEN || (o->state == OWNER_LEAVING && !a->troubled && !pins(a));
		if (left && o->slot == a->slot && o->epoch == a->epoch)
			broken("agent %u is drained, and segment %u is %s, and its own", a->number, s, owner_state_name(o->state));
		if (medium_writes_by(s, a))
			broken("agent %u is drained, and writes into segment %u are on the way", a->number, s);
	}
}

/* ---- who asks whom ---- */

static bool is_there(const struct agent *a, uint32_t life)
{
	return a->state == AGENT_UP && a->life == life && a->attached && a->pool && a->threads[0].call.kind != CALL_CLOSE;
}

static struct agent *somebody(struct agent *self)
{
	struct agent *a = pick(3) ? &world.agents[pick(world.setup.agents)] : self;

	return is_there(a, a->life) && !a->read_only ? a : NULL;
}

static void answered(const struct thread *t, struct agent *asked, uint32_t life, int kind, uint64_t begun, int result)
{
	struct standing *s = of(asked);
	bool there = is_there(asked, life);

	if (result == 1 && s->life == life) {
		s->unsettled[kind]--;
		s->heard[kind] = world.order;
		if (s->unsettled[!kind] == 0 && s->heard[!kind] < begun)
			learn(s, kind == UNDO ? DRAIN_PUTS : DRAIN_DRAINED);
		cover(kind == UNDO ? COVER_DRAIN_UNDONE : COVER_DRAINED);
		if (there && s->knows == DRAIN_DRAINED)
			nothing_is_left(asked);
	} else if (result == MEMKV_IN_USE) {
		cover(COVER_DRAIN_LATE);
	} else if (result == 0 && there) {
		broken("agent %u is there, and to be drained it is gone", asked->number);
	} else if (result != 0 && result != 1 && !t->call.troubled) {
		broken("drain of agent %u fails with %s (%s), and nothing was wrong", asked->number, memkv_code_name(result),
		       memkv_error_detail());
	}
}

static void do_drain(struct thread *t, struct agent *asked)
{
	int kind = pick(surely(asked, DRAIN_DRAINED) ? 2 : 4) == 0 ? UNDO : DRAIN;
	uint32_t life = asked->life;
	struct standing *s = of(asked);
	struct memkv_host_drain_options o = {
		.size = sizeof(o), .flags = kind == UNDO ? MEMKV_HOST_DRAIN_UNDO : 0, .wait_us = 1 + pick(pick(2) ? 30000 : 1000)};

	call_begin(t, CALL_DRAIN, UINT32_MAX);
	uint64_t begun = t->call.begin;
	s->unsettled[kind]++;
	if (s->knows != (kind == UNDO ? DRAIN_PUTS : DRAIN_DRAINED))
		learn(s, DRAIN_UNSURE);
	int result = memkv_host_drain(t->agent->pool, asked->slot, asked->epoch, &o);
	answered(t, asked, life, kind, begun, result);
	call_end(t, result);
}

/* as the thread does that follows the pool */
static void tend(struct thread *t)
{
	call_begin(t, CALL_TEND, UINT32_MAX);
	host_drain_tend(t->agent->pool);
	call_end(t, 0);
}

void drains_turn(struct thread *t)
{
	enum { ASKS = 12 };

	if (!on || t->agent->read_only)
		return;
	if (pick(2))
		tend(t);
	struct agent *asked = pick(ASKS) == 0 ? somebody(t->agent) : NULL;
	if (asked)
		do_drain(t, asked);
}
