/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scheduler.  A slice runs one thread for some points, or lets one event of the medium happen; what goes wrong
 * between slices is in fortune.c.  Every decision is drawn from
 * the seed's random numbers, in the order in which it is needed, so a seed is one run, whatever the machine.
 */
#include "core/pool/handle.h"
#include "oracle.h"
#include "stage.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { CALL_POINTS_MAX = 400000, STACKS = AGENTS_MAX * THREADS_ALL, QUIET_SLICES_MAX = 4000000 };

struct world world;

/* ---- random numbers: xoroshiro128+ ---- */

static uint64_t rotate(uint64_t x, int k) { return x << k | x >> (64 - k); }

static uint64_t next_random(uint64_t *s)
{
	uint64_t a = s[0], b = s[1] ^ s[0];
	uint64_t result = a + s[1];

	s[0] = rotate(a, 24) ^ b ^ b << 16;
	s[1] = rotate(b, 37);
	return result;
}

uint32_t draw(uint32_t n)
{
	return draw_from(world.random, n);
}

uint32_t draw_from(uint64_t random[2], uint32_t n)
{
	return n ? (uint32_t)((next_random(random) >> 32) * n >> 32) : 0;
}

void random_seed(uint64_t random[2], uint64_t seed)
{
	for (int i = 0; i < 2; i++) { /* splitmix64 */
		uint64_t z = seed += 0x9E3779B97F4A7C15ULL;
		z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ULL;
		z = (z ^ z >> 27) * 0x94D049BB133111EBULL;
		random[i] = z ^ z >> 31;
	}
}

/* ---- what a run is told by its threads ---- */

void broken(const char *format, ...)
{
	va_list args;

	if (world.failed)
		return;
	world.failed = world.ended = true;
	va_start(args, format);
	vsnprintf(world.why, sizeof(world.why), format, args);
	va_end(args);
}

void world_pause(enum thread_state state)
{
	world.thread->state = state;
	fiber_pause();
}

void world_sleep(uint64_t points)
{
	world.thread->asleep_until = world.now + points;
	world_pause(THREAD_READY);
}

void world_point(int weight)
{
	if (!world.thread)
		return;
	world.now += (uint64_t)weight;
	world.budget -= weight;
	world.thread->ran++;
	/* several hosts: who empties a segment reads all logs some ten times, and each load of a word is a point of the call */
	if (++world.thread->call.points > CALL_POINTS_MAX * (on_shared() ? 2 : 1) && world.thread->call.kind)
		broken("agent %u: %s does not come to an end", world.thread->agent->number, call_name(world.thread->call.kind));
	if (world.thread->due && --world.thread->due == 0)
		sites_due(world.thread);
	if (world.budget < 0)
		world_pause(THREAD_READY);
}

void sim_point(enum sim_kind kind, const void *at)
{
	int weight = kind == SIM_LOAD ? 1 : 4;

	if (stage.on && kind == SIM_LOAD)
		stage_load(at);
	/* several hosts: leases are shorter than runs, so what a host does in its own memory takes next to no time */
	world_point(on_shared() ? kind != SIM_LOAD : weight);
}

size_t sim_pass(size_t loads)
{
	struct thread *t = world.thread;
	uint64_t n = loads, weight = !on_shared();

	if (!t)
		return loads;
	if (world.budget < 0 || t->call.points >= CALL_POINTS_MAX)
		return 0;
	n = min_u64(n, CALL_POINTS_MAX - t->call.points);
	if (weight)
		n = min_u64(n, (uint64_t)world.budget);
	if (t->due)
		n = min_u64(n, t->due - 1);
	t->due -= t->due ? (uint32_t)n : 0;
	t->call.points += n;
	t->ran += n;
	world.now += n * weight;
	world.budget -= (int64_t)(n * weight);
	return n;
}

/* ---- processes ---- */

bool agent_stopped(const struct agent *a)
{
	return a->state == AGENT_UP && a->stopped_until > world.now;
}

void thread_start(struct thread *t, void (*run)(void *context))
{
	t->state = THREAD_READY;
	t->asleep_until = 0;
	t->held = 0;
	t->due = t->answered = 0;
	t->stood_from = t->ran = 0;
	t->wakes_on = EVENT_NONE;
	t->naps = false;
	t->rank = world.setup.ranked ? draw(RANKS) : 0;
	t->call = (struct call){.instance = UINT32_MAX, .removal = UINT32_MAX, .pin = UINT32_MAX};
	fiber_start(&t->fiber, run, t);
}

void agent_spawn(struct agent *a)
{
	process_reset(a);
	a->life++;
	a->state = AGENT_UP;
	a->stopped_until = a->drowsy_until = 0;
	a->quit = a->rests = a->troubled = a->attached = a->read_only = a->checkpoints = a->slot_lost = false;
	a->lapsed = false;
	a->claim_epoch = 0;
	a->role = on_shared() || draw(2) ? ROLE_ANY : (enum role)draw(world.setup.pin ? ROLES : ROLE_PINS);
	a->looked = 0;
	a->pool = NULL;
	a->device = NULL;
	a->threads_running = a->in_flight = 0;
	trace(EVENT_SPAWN, a, a->life, 0, 0);
	sites_attach();
	thread_start(&a->threads[0], stage.on ? stage_player : actor_main);
}

void agent_gone(struct agent *a)
{
	a->state = AGENT_DOWN;
	a->attached = false;
	a->pool = NULL;
	a->device = NULL;
	a->up_at = world.now + (draw(3) ? draw(2000) : draw(40000));
	for (int i = 0; i < THREADS_ALL; i++)
		if (&a->threads[i] != world.thread)
			a->threads[i].state = THREAD_NONE;
	trace(EVENT_GONE, a, a->life, 0, 0);
}

void agent_kill(struct agent *a)
{
	trace(EVENT_KILL, a, a->life, a->in_flight, 0);
	world.steps++;
	if (a->checkpoints)
		cover(COVER_CHECKPOINT_KILL);
	landed_died(a);
	watch_died(a);
	a->state = AGENT_DYING;
	a->boots += on_shared() && draw(4) == 0 && !stage.on; /* its host as well */
	for (int i = 0; i < THREADS_ALL; i++) {
		struct thread *t = &a->threads[i];
		if (t->state != THREAD_NONE && t->state != THREAD_ENDED)
			oracle_died(t);
		t->state = THREAD_NONE;
	}
	if (world.setup.medium == MEDIUM_LINES)
		lines_died(a, draw(4) == 0);
	medium_orphan(a);
}

void world_bury(void)
{
	for (int i = 0; i < AGENTS_MAX; i++)
		if (world.agents[i].state == AGENT_DYING && world.agents[i].in_flight == 0) {
			medium_unlock_all(&world.agents[i]);
			device_close_all(&world.agents[i]);
			agent_gone(&world.agents[i]);
		}
}

/* ---- slices ---- */

static bool can_run(const struct thread *t)
{
	return t->state == THREAD_READY && t->asleep_until <= world.now;
}

/* threads and commands that something can happen to now; returns how many, the threads first */
static uint32_t candidates(struct thread **threads, uint32_t *thread_count, uint32_t *commands)
{
	uint32_t n = 0, m = 0;

	for (uint32_t i = 0; i < world.setup.agents; i++) {
		struct agent *a = &world.agents[i];
		if (a->state != AGENT_UP || a->stopped_until > world.now)
			continue;
		for (uint32_t k = 0; k < THREADS_ALL; k++)
			if (can_run(&a->threads[k]))
				threads[n++] = &a->threads[k];
	}
	for (uint32_t i = 0; i < world.active_count; i++)
		if (world.commands[world.active[i]].late_until <= world.now)
			commands[m++] = i;
	*thread_count = n;
	return n + m;
}

static void earlier(uint64_t *earliest, uint64_t when)
{
	if (when > world.now && when < *earliest)
		*earliest = when;
}

/* nothing can happen now: when can it? */
static uint64_t next_moment(void)
{
	uint64_t earliest = NEVER;

	for (uint32_t i = 0; i < world.setup.agents; i++) {
		const struct agent *a = &world.agents[i];
		if (a->state == AGENT_DOWN && world.phase == PHASE_RUN)
			earlier(&earliest, a->up_at);
		if (a->state != AGENT_UP)
			continue;
		earlier(&earliest, a->stopped_until);
		for (uint32_t k = 0; k < THREADS_ALL; k++)
			if (a->threads[k].state == THREAD_READY)
				earlier(&earliest, a->threads[k].asleep_until);
	}
	for (uint32_t i = 0; i < world.active_count; i++)
		earlier(&earliest, world.commands[world.active[i]].late_until);
	return earliest;
}

/* hosts that share a device: who is out of its lease promises nothing, in any of its calls */
static void note_lapse(struct agent *a)
{
	if (!on_shared() || !a->attached || !a->pool || a->pool->read_only || share_in_lease(a->pool))
		return;
	a->lapsed = true;
	for (int i = 0; i < THREADS_MAX; i++)
		a->threads[i].call.lapsed = true;
}

static void run_thread(struct thread *t)
{
	world.budget = draw(2 * world.setup.distance);
	world.thread = world.last = t;
	note_lapse(t->agent);
	fiber_resume(&t->fiber);
	if (t->agent->state == AGENT_UP)
		note_lapse(t->agent);
	world.thread = NULL;
}

static void start_processes(void)
{
	for (uint32_t i = 0; i < world.setup.agents; i++)
		if (world.agents[i].state == AGENT_DOWN && world.agents[i].up_at <= world.now)
			agent_spawn(&world.agents[i]);
}

/* ranked threads: one that does not come to its turn for long falls behind what the others do, and meets what they left */
static struct thread *choose(struct thread **threads, uint32_t count, uint32_t pick)
{
	struct thread *best = threads[pick];

	if (!world.setup.ranked || draw(16) == 0)
		return best;
	for (uint32_t i = 0; i < count; i++)
		if (threads[i]->rank > best->rank)
			best = threads[i];
	return best;
}

/* all sleep: where threads are made to stand still at chosen spots, that does not shorten the run */
static void pass_time(uint64_t moment)
{
	if (world.sites.on && world.setup.medium <= MEDIUM_BLOCK)
		world.setup.points_end += moment - world.now;
	world.now = moment;
}

static void slice(void)
{
	struct thread *threads[STACKS];
	uint32_t commands[COMMANDS_MAX], thread_count;
	uint32_t n = candidates(threads, &thread_count, commands);

	world.slices++;
	if (n == 0) {
		uint64_t moment = next_moment();
		if (moment == NEVER)
			broken("nothing can go on: processes wait for each other");
		else
			pass_time(moment);
		return;
	}
	uint32_t pick = draw(n);
	if (pick < thread_count) {
		run_thread(choose(threads, thread_count, pick));
	} else {
		world.now++;
		medium_event(commands[pick - thread_count]);
	}
}

/* ---- a run ---- */

static void begin(uint64_t seed, void (*chooses)(struct setup *setup, struct geometry *geo))
{
	struct geometry geo;
	uint8_t *image = world.image, *durable = world.durable;
	struct agent agents[AGENTS_MAX];

	memcpy(agents, world.agents, sizeof(agents));
	if (!image) {
		image = mmap(NULL, 2 * IMAGE_PAGES_MAX * (size_t)PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (image == MAP_FAILED) {
			perror("memory for the medium");
			exit(1);
		}
		durable = image + IMAGE_PAGES_MAX * (size_t)PAGE;
		for (int i = 0; i < AGENTS_MAX; i++)
			agents[i].buffers = aligned_alloc(PAGE, THREADS_MAX * 2 * (size_t)PAYLOAD_MAX);
	}
	medium_reset(); /* what was on its way at the end of the run before has memory of its own */
	memset(&world, 0, offsetof(struct world, versions));
	world.version_count = world.instance_count = world.removal_count = 0;
	world.acks_first_half = world.acks_second_half = 0;
	world.failed = false;
	memcpy(world.agents, agents, sizeof(agents));
	world.image = image;
	world.durable = durable;
	world.seed = seed;
	random_seed(world.random, seed);
	world.pool_seed = next_random(world.random);
	world.clock = 1000000;
	world.sites.on = sites_begin(seed) && chooses == setup_choose;
	chooses(&world.setup, &geo);
	sites_choose(&world.setup);
	drains_begin(seed, chooses == setup_choose && world.setup.medium <= MEDIUM_MEMORY);
	setup_format(&geo);
	medium_reset();
	device_reset();
	lines_reset();
	watch_reset();
	oracle_pins_reset();
	for (uint32_t i = 0; i < AGENTS_MAX; i++) {
		struct agent *a = &world.agents[i];
		a->number = i;
		a->life = 0;
		a->state = AGENT_DOWN;
		a->up_at = draw(4) ? 0 : draw(4000);
		a->attached = false;
		a->device = NULL;
		for (uint32_t k = 0; k < THREADS_ALL; k++) {
			a->threads[k].agent = a;
			a->threads[k].number = k;
			a->threads[k].state = THREAD_NONE;
		}
	}
}

static bool all_down(void)
{
	for (int i = 0; i < AGENTS_MAX; i++)
		if (world.agents[i].state != AGENT_DOWN)
			return false;
	return true;
}

static bool all_rest(void)
{
	for (int i = 0; i < AGENTS_MAX; i++)
		if (world.agents[i].state == AGENT_DYING || (world.agents[i].state == AGENT_UP && !world.agents[i].rests))
			return false;
	return true;
}

/* slices without misfortunes until it is so */
static void until(bool (*so)(void))
{
	world_bury();
	for (uint64_t n = 0; !world.failed && !so(); n++) {
		slice();
		world_bury();
		if (n > QUIET_SLICES_MAX)
			broken("the processes do not come to rest");
	}
}

static void enter(enum phase phase)
{
	world.phase = phase;
	for (int i = 0; i < AGENTS_MAX; i++)
		world.agents[i].rests = false;
	trace(EVENT_PHASE, NULL, phase, 0, 0);
}

static void come_to_rest(void)
{
	world.errors_over = true;
	for (int i = 0; i < AGENTS_MAX; i++) {
		world.agents[i].stopped_until = 0;
		for (int k = 0; k < THREADS_ALL; k++)
			world.agents[i].threads[k].asleep_until = 0;
	}
	enter(PHASE_QUIET);
	until(all_rest);
	enter(PHASE_LOOK);
	until(all_rest);
	if (!world.failed)
		oracle_agreed();
	enter(PHASE_READ);
	for (int i = 0; i < AGENTS_MAX; i++)
		if (world.setup.survivor && world.agents[i].state == AGENT_UP && draw(2))
			agent_kill(&world.agents[i]);
	until(all_down);
}

void world_stage(uint64_t seed, void (*chooses)(struct setup *setup, struct geometry *geo))
{
	begin(seed, chooses);
}

bool world_run(uint64_t seed)
{
	begin(seed, setup_choose);
	while (!world.ended && world.now < world.setup.points_end) {
		start_processes();
		slice();
		fortune_befalls();
		world_bury();
	}
	if (!world.failed)
		come_to_rest();
	if (!world.failed && world.setup.survivor) {
		enter(PHASE_SURVIVE);
		agent_spawn(&world.agents[0]);
		until(all_down);
	}
	return !world.failed;
}
