/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes wrong: processes are killed, stopped and resumed, threads stand still, the power goes, the clock jumps; between
 * slices, by a chance for each, and at hot points.
 */
#include "oracle.h"

enum { LONG_STOP = 14, AT_ONCE = 300 };

static struct agent *some_agent(void)
{
	/* rather the one that was just in the middle of something */
	struct agent *a = world.last && draw(2) ? world.last->agent : &world.agents[draw(world.setup.agents)];

	return a->state == AGENT_UP ? a : NULL;
}

static uint64_t long_time(void)
{
	return 1ULL << draw(LONG_STOP) << draw(3);
}

/*
 * On shared devices the protocol leaves it to time that nobody stands still for as long as a slot is kept for whoever is silent,
 * between a look at its slot and the write that was for (core/slot/lease.h).  So those who stand still again before they have come
 * to do anything stand still no longer in all than this: suspicion and quarantine are 36000 points for a clock that is fast; less the
 * lease, and what a write takes to land.
 */
static uint64_t no_longer(const struct thread *t, uint64_t until)
{
	enum { LONGEST = 24000 };

	if (!on_shared() || t->state == THREAD_NONE || t->state == THREAD_ENDED)
		return until;
	bool again = t->stood_from && t->ran < AT_ONCE;
	return min_u64(until, max_u64(world.now, (again ? t->stood_from : world.now) + LONGEST));
}

static void stands(struct thread *t)
{
	if (!t->stood_from || t->ran >= AT_ONCE)
		t->stood_from = world.now;
	t->ran = 0;
}

void fortune_stop(struct agent *a)
{
	uint64_t until = world.now + long_time();

	for (int i = 0; i < THREADS_ALL; i++)
		until = no_longer(&a->threads[i], until);
	for (int i = 0; i < THREADS_ALL; i++)
		stands(&a->threads[i]);
	a->stopped_until = until;
	world.steps++;
	trace(EVENT_STOP, a, a->stopped_until - world.now, 0, 0);
}

/* has it nothing on the way, and nothing that it has just looked at and goes by? */
static bool is_idle(const struct agent *a)
{
	bool idle = a->in_flight == 0 && !agent_stopped(a);

	for (int i = 0; i < THREADS_ALL; i++) {
		const struct thread *t = &a->threads[i];
		if (t->state != THREAD_NONE && t->state != THREAD_ENDED)
			idle = idle && (t->own_run ? t->naps : t->call.kind == CALL_NONE && t->state == THREAD_READY);
	}
	return idle;
}

/*
 * A slot passes on when its holder was silent for as long as suspicion and quarantine take together.  That is longer than whatever else
 * stands still here, since who stands still for that long between a look at its slot and a write is what the protocol leaves to time.
 */
static void sleep_long(void)
{
	struct agent *a = &world.agents[draw(world.setup.agents)];
	enum { DROWSY = 5000 };

	if (on_shared() && a->state == AGENT_UP && a->attached)
		a->drowsy_until = world.now + DROWSY;
}

static void fall_asleep(void)
{
	enum { LEAST = 60000, MORE = 60000 };

	for (uint32_t i = 0; i < world.setup.agents; i++) {
		struct agent *a = &world.agents[i];
		if (a->drowsy_until <= world.now || a->state != AGENT_UP || !is_idle(a))
			continue;
		a->drowsy_until = 0;
		a->stopped_until = world.now + LEAST + draw(MORE);
		world.steps++;
		trace(EVENT_STOP, a, a->stopped_until - world.now, 0, 0);
	}
}

void fortune_stall(struct thread *t)
{
	t->asleep_until = no_longer(t, world.now + long_time());
	stands(t);
	trace(EVENT_STALL, t->agent, t->number, t->asleep_until - world.now, 0);
}

void fortune_cut(void)
{
	enum { AFTERMATH = 3000 };

	world.cuts++;
	world.cut_until = on_shared() ? 0 : world.now + AFTERMATH;
	world.steps++;
	cover(COVER_CUT);
	trace(EVENT_CUT, NULL, world.cuts, 0, 0);
	oracle_before_cut();
	for (int i = 0; i < AGENTS_MAX; i++)
		if (world.agents[i].state == AGENT_UP)
			agent_kill(&world.agents[i]);
	medium_cut();
	stated_cut();
	device_reset();
	for (int i = 0; i < AGENTS_MAX; i++) {
		world.agents[i].in_flight = 0;
		if (world.agents[i].state == AGENT_DYING)
			agent_gone(&world.agents[i]);
	}
	watch_rebuild();
	oracle_after_cut();
}

static void clock_jump(void)
{
	uint64_t to = draw(2) ? world.clock + draw(40) : world.clock - min_u64(world.clock - 1000, draw(20));

	if (to < world.clock)
		cover(COVER_CLOCK_BACK);
	world.clock = to;
	oracle_pins_clock();
	trace(EVENT_CLOCK, NULL, to, 0, 0);
}

/* ---- hot points ---- */

/*
 * Most of what can go wrong goes wrong right behind a change that others go by, or right behind an answer: a point chosen at
 * random is seldom one of these.  So there misfortunes have chances of their own.
 */
void fortune_hot(struct agent *a)
{
	const struct setup *s = &world.setup;
	const struct call *call = world.thread ? &world.thread->call : NULL;
	enum { MOVING = 64, ANSWERED = 16, CUT_ANSWERED = 48 };
	uint32_t weight = call && call->moving ? MOVING : call && !call->kind ? ANSWERED : 1;

	if (world.phase != PHASE_RUN || a->state != AGENT_UP || world.fate)
		return;
	if (chance(s->hot_kill * weight))
		world.fate = FATE_KILL;
	else if (chance(s->hot_cut * (weight == ANSWERED ? CUT_ANSWERED : weight)))
		world.fate = FATE_CUT;
	else if (chance(s->hot_stop) && !agent_stopped(a))
		fortune_stop(a);
	else if (world.thread && chance(s->hot_stall + sites_ripple()))
		fortune_stall(world.thread);
	else
		return;
	world.fated = a;
	world.budget = -1; /* the next point is not passed */
}

/* what a thread has just learned under a lock may be old when it goes by it */
void fortune_unlocked(void)
{
	oracle_unlocked(world.thread);
	if (world.phase != PHASE_RUN || world.thread->agent->state != AGENT_UP || !chance(world.setup.hot_stall))
		return;
	fortune_stall(world.thread);
	world.budget = -1;
}

/* what a hot point has decided */
static void fulfil(void)
{
	enum fate fate = world.fate;

	world.fate = FATE_NONE;
	if (fate == FATE_KILL && world.fated->state == AGENT_UP)
		agent_kill(world.fated);
	else if (fate == FATE_CUT)
		fortune_cut();
}

void fortune_ranks(void)
{
	enum { CHANGES = 300 };

	if (world.setup.ranked && world.last && chance(CHANGES))
		world.last->rank = draw(RANKS);
}

/* ---- between slices ---- */

void fortune_befalls(void)
{
	const struct setup *s = &world.setup;
	struct agent *a;

	fulfil();
	sites_befalls();
	fortune_ranks();
	if (chance(s->kill) && (a = some_agent()))
		agent_kill(a);
	if (chance(s->stop) && (a = some_agent()) && !agent_stopped(a))
		fortune_stop(a);
	if (chance(s->stall) && world.last && world.last->state == THREAD_READY)
		fortune_stall(world.last);
	if (chance(s->clock_jump))
		clock_jump();
	if (chance(s->sleep))
		sleep_long();
	fall_asleep();
	if (chance(s->write_back))
		medium_write_back();
	if (chance(s->cut))
		fortune_cut();
}
