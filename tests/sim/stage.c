/* SPDX-License-Identifier: Apache-2.0 */
/* See stage.h. */
#include "stage.h"
#include "core/format/record.h"
#include "oracle.h"

#include <stdio.h>
#include <string.h>

enum { SECOND = 10, ROUNDS_MAX = 1000000 };

struct stage stage;

static struct order {
	enum call_kind kind;
	uint32_t key;
	bool given, answered;
	int64_t result;
} orders[AGENTS_MAX][THREADS_MAX];

static struct thread *thread_of(player p) { return &world.agents[p % SECOND].threads[p / SECOND]; }

static struct order *order_of(const struct thread *t) { return &orders[t->agent->number][t->number]; }

void scene_must(bool so, const char *what)
{
	if (!so)
		broken("the scene does not go as it is written: %s", what);
}

/* ---- players ---- */

void stage_player(void *context)
{
	struct thread *t = context;
	struct order *o = order_of(t);

	if (t->number == 0 && actor_open(t)) {
		agent_gone(t->agent);
		world_pause(THREAD_ENDED);
	}
	for (;;) {
		while (!o->given)
			world_pause(THREAD_READY);
		o->given = false;
		if (o->kind == CALL_CLOSE)
			break;
		actor_call(t, o->kind, o->key);
	}
	actor_close(t);
	agent_gone(t->agent);
	world_pause(THREAD_ENDED);
}

void stage_answered(const struct thread *t, int64_t result)
{
	struct order *o;

	if (!stage.on)
		return;
	o = order_of(t);
	o->answered = true;
	o->result = result;
	world.budget = -1;
}

static void reach(void)
{
	if (!stage.reached && --stage.left == 0) {
		stage.reached = true;
		world.budget = -1;
	}
}

void stage_spot(enum sim_mutant spot)
{
	if (world.thread != stage.runs || !stage.runs || spot != stage.spot)
		return;
	reach();
	if (stage.reached)
		world_pause(THREAD_READY);
}

void stage_load(const void *at)
{
	if (stage.load && world.thread == stage.runs && (const uint8_t *)at == world.image + stage.load)
		reach();
}

void stage_event(enum event event, const struct agent *agent, uint64_t at)
{
	if (stage.runs && agent == stage.runs->agent && event == stage.event &&
	    (event != EVENT_WORD || (at >= stage.from && at < stage.to)))
		reach();
}

bool stage_unread(const struct agent *agent, uint64_t offset) { return stage.on && stage.unread && stage.unread(agent, offset); }

void stage_read(uint64_t page)
{
	if (stage.on && stage.read && world.thread == stage.runs && page * PAGE == stage.read)
		reach();
}

bool stage_fails(const struct command *command) { return stage.on && stage.fails && stage.fails(command); }

bool stage_sinks(const struct command *command) { return stage.on && stage.sinks && stage.sinks(command); }

void stage_cut(uint64_t page)
{
	for (uint64_t at = page * PAGE; stage.keeps && at < (page + 1) * PAGE; at += 8)
		if (!stage.keeps(at))
			memcpy(world.image + at, world.durable + at, 8);
}

/* ---- the director ---- */

static bool lands_something(const struct thread *t)
{
	for (uint32_t i = 0; i < world.active_count; i++)
		if (world.commands[world.active[i]].agent == t->agent &&
		    !(stage.late && stage.late(&world.commands[world.active[i]]))) {
			world.now++;
			medium_event(i);
			return true;
		}
	return false;
}

static void resume(struct thread *t)
{
	world.now = max_u64(world.now, t->asleep_until);
	world.budget = INT64_MAX;
	world.thread = world.last = t;
	fiber_resume(&t->fiber);
	world.thread = NULL;
}

/* of the threads that the library has started, the one that is due first, up to then */
static struct thread *own_thread_due(uint64_t until)
{
	struct thread *first = NULL;

	for (uint32_t i = 0; i < world.setup.agents * THREADS_ALL; i++) {
		struct thread *t = &world.agents[i / THREADS_ALL].threads[i % THREADS_ALL];
		if (i % THREADS_ALL < THREADS_MAX || t->agent->state != AGENT_UP || t->agent->stopped_until ||
		    (t->state != THREAD_READY && t->state != THREAD_WAITS_IO) || t->asleep_until > until)
			continue;
		if (!first || t->asleep_until < first->asleep_until)
			first = t;
	}
	return first;
}

/* heartbeats are written, and what was put off is stated, by all who do not stand still */
static void own_threads_go_on(uint64_t until)
{
	struct thread *t;

	while (!world.failed && !stage.reached && (t = own_thread_due(until))) {
		if (t->state == THREAD_READY)
			resume(t);
		else if (!lands_something(t))
			return;
	}
}

/* one turn of the thread, or of what it waits for; false: it cannot go on */
static bool turn(struct thread *t)
{
	if (world.failed)
		return false;
	t->agent->stopped_until = 0;
	own_threads_go_on(max_u64(world.now, t->asleep_until));
	if (t->state == THREAD_WAITS_IO)
		return lands_something(t);
	if (t->state != THREAD_READY || stage.reached)
		return stage.reached;
	resume(t);
	return true;
}

static bool run_up_to(player p, enum sim_mutant spot, enum event event, uint32_t nth)
{
	struct thread *t = thread_of(p);
	const struct order *o = order_of(t);

	stage.runs = t;
	stage.spot = spot;
	stage.event = event;
	stage.left = nth;
	stage.reached = false;
	for (uint32_t n = 0; !stage.reached && !o->answered && n < ROUNDS_MAX && turn(t); n++)
		;
	bool reached = stage.reached;
	stage.runs = NULL;
	stage.spot = MUTANT_NONE;
	stage.event = EVENT_NONE;
	stage.reached = false;
	return reached;
}

static void place_order(player p, enum call_kind kind, uint32_t key)
{
	struct thread *t = thread_of(p);

	scene_must(t->agent->state == AGENT_UP || kind == CALL_OPEN, "a process has not opened the pool");
	if (t->state == THREAD_NONE && t->number)
		thread_start(t, stage_player);
	*order_of(t) = (struct order){.kind = kind, .key = key, .given = kind != CALL_OPEN};
}

void begins_to_open(player p)
{
	struct thread *t = thread_of(p);

	scene_must(t->agent->state == AGENT_DOWN, "a process is there already");
	place_order(p, CALL_OPEN, 0);
	agent_spawn(t->agent);
}

void begins(player p, enum call_kind kind, uint32_t key)
{
	if (!world.failed)
		place_order(p, kind, key);
}

bool gets_to(player p, enum sim_mutant spot, uint32_t nth)
{
	return !world.failed && run_up_to(p, spot, EVENT_NONE, nth);
}

void goes_to(player p, enum sim_mutant spot, uint32_t nth)
{
	char what[100];

	snprintf(what, sizeof(what), "process %u does not come to %s", p, mutant_name(spot));
	scene_must(gets_to(p, spot, nth), what);
}

void goes_to_store(player p, uint64_t offset, uint64_t bytes, uint32_t nth)
{
	stage.from = offset;
	stage.to = offset + bytes;
	goes_until(p, EVENT_WORD, nth);
}

void goes_to_read(player p, uint64_t offset, uint32_t nth)
{
	stage.read = offset;
	bool reached = !world.failed && run_up_to(p, MUTANT_NONE, EVENT_NONE, nth);
	stage.read = 0;
	scene_must(reached, "what a mirror has is not read");
}

void goes_to_load(player p, uint64_t offset)
{
	stage.load = offset;
	bool reached = !world.failed && run_up_to(p, MUTANT_NONE, EVENT_NONE, 1);
	stage.load = 0;
	scene_must(reached, "a word is not loaded");
}

void goes_to_sleep(player p)
{
	struct thread *t = thread_of(p);
	const struct order *o = order_of(t);

	while (!world.failed && !o->answered && t->asleep_until <= world.now && turn(t))
		;
	scene_must(!o->answered, "a call does not wait");
}

void goes_until(player p, enum event event, uint32_t nth)
{
	char what[100];

	if (world.failed)
		return;
	bool reached = run_up_to(p, MUTANT_NONE, event, nth);
	snprintf(what, sizeof(what), "process %u does not come to event %d", p, event);
	scene_must(reached, what);
}

int64_t ends(player p)
{
	char what[100];

	if (world.failed)
		return 0;
	(void)run_up_to(p, MUTANT_NONE, EVENT_NONE, UINT32_MAX);
	snprintf(what, sizeof(what), "the call of process %u does not end", p);
	scene_must(order_of(thread_of(p))->answered, what);
	return order_of(thread_of(p))->result;
}

bool goes_for(player p, uint64_t points)
{
	struct thread *t = thread_of(p);
	uint64_t end = world.now + points;

	while (!world.failed && !order_of(t)->answered && world.now < end && turn(t))
		;
	return !order_of(t)->answered;
}

void time_passes(uint64_t points)
{
	uint64_t end = world.now + points;

	own_threads_go_on(end);
	world.now = max_u64(world.now, end);
}

void helpers_stand_still(player p)
{
	enum { LONG = 20000 };

	for (int i = THREADS_MAX; i < THREADS_ALL; i++)
		thread_of(p)->agent->threads[i].asleep_until = world.now + LONG;
}

void stands_still(player p) { thread_of(p)->agent->stopped_until = NEVER; }

void opens(player p)
{
	if (world.failed)
		return;
	begins_to_open(p);
	(void)ends(p);
}

int64_t calls(player p, enum call_kind kind, uint32_t key)
{
	begins(p, kind, key);
	return ends(p);
}

void closes(player p)
{
	struct thread *t = thread_of(p);

	if (world.failed)
		return;
	place_order(p, CALL_CLOSE, 0);
	while (t->agent->state == AGENT_UP && turn(t))
		;
}

void dies(player p)
{
	struct agent *a = thread_of(p)->agent;

	if (world.failed)
		return;
	agent_kill(a);
	while (lands_something(&a->threads[0]))
		;
	world_bury();
}

void power_fails(void)
{
	if (!world.failed)
		fortune_cut();
}

static uint32_t headless; /* the segment whose table's header power loss takes */

static bool keeps_but_header(uint64_t at) { return at / PAGE != layout_table(&world.layout, headless) / PAGE; }

uint32_t header_is_lost(void)
{
	opens(0);
	begins(0, CALL_PUT, 0);
	goes_until(0, EVENT_HEADER, 1);
	stage.unflushed = &world.agents[0]; /* of hosts that share a device each opening is, and the next one is ahead */
	scene_must(ends(0) == 0, "a block is put");
	stage.unflushed = NULL;
	headless = segment_of_key(0);
	stage.keeps = keeps_but_header;
	power_fails();
	stage.keeps = NULL;
	return headless;
}

void all_look(void)
{
	for (player p = 0; p < world.setup.agents; p++)
		if (world.agents[p].state == AGENT_UP)
			(void)calls(p, CALL_REFRESH, 0);
	if (!world.failed)
		oracle_agreed();
	for (player p = 0; p < world.setup.agents; p++) {
		for (uint32_t key = 0; world.agents[p].state == AGENT_UP && key < world.setup.keys; key++)
			(void)calls(p, CALL_GET, key);
		if (world.agents[p].state == AGENT_UP)
			(void)calls(p, CALL_CHECK, 0);
		if (world.agents[p].state == AGENT_UP && world.setup.medium != MEDIUM_LINES)
			(void)calls(p, CALL_PINS, 0);
	}
}

static uint32_t key_at(uint32_t segment, uint32_t index)
{
	const struct shadow_segment *s = &world.shadow[segment];
	const struct shadow_place *p = &s->places[index];
	bool there = s->generation && p->generation == s->generation && p->life == SHADOW_LIVE && p->instance != UINT32_MAX;

	return there ? world.instances[p->instance].key : UINT32_MAX;
}

uint32_t segment_of_key(uint32_t key)
{
	for (uint32_t s = 0; s < world.layout.geo.segments; s++)
		for (uint32_t n = 0; n < world.layout.geo.entries; n++)
			if (key_at(s, n) == key)
				return s;
	return UINT32_MAX;
}

uint32_t puts_until_anew(player p, uint32_t segment, uint32_t key)
{
	for (uint64_t generation = world.shadow[segment].generation; !world.failed && world.shadow[segment].generation == generation;)
		(void)calls(p, CALL_PUT, key++);
	return key;
}

static uint32_t first_that_is(enum owner_state state)
{
	uint32_t s = 0;

	while (s < world.layout.geo.segments && world.shadow[s].owner.state != state)
		s++;
	return s;
}

bool any_segment_is(enum owner_state state) { return first_that_is(state) < world.layout.geo.segments; }

uint32_t segment_that_is(enum owner_state state)
{
	uint32_t s = first_that_is(state);

	scene_must(s < world.layout.geo.segments, "no segment is in the state that is wanted");
	return s < world.layout.geo.segments ? s : UINT32_MAX;
}

uint32_t key_in(uint32_t segment)
{
	uint32_t key = UINT32_MAX;

	for (uint32_t n = world.layout.geo.entries; segment != UINT32_MAX && n-- > 0;)
		if (key_at(segment, n) != UINT32_MAX)
			key = key_at(segment, n);
	scene_must(key != UINT32_MAX, "a segment has no live block");
	return key;
}

uint32_t segment_given_up(void)
{
	for (uint32_t s = 0; s < world.layout.geo.segments; s++)
		if (world.stated[s].kind == RECORD_OPEN && world.stated[s].gives_up &&
		    world.stated[s].gives_up == world.shadow[s].generation)
			return s;
	return UINT32_MAX;
}

uint32_t segment_leaving(player p)
{
	const struct agent *a = thread_of(p)->agent;
	struct owner_word word;
	uint64_t raw;

	for (uint32_t s = 0; a->device && s < world.layout.geo.segments; s++) {
		memcpy(&raw, a->device->control + layout_owner_word(&world.layout, s), sizeof(raw));
		if (owner_word_decode(raw, s, world.pool_seed, &word) && word.state == OWNER_LEAVING)
			return s;
	}
	return UINT32_MAX;
}

/* ---- the programme ---- */

/* six segments of two blocks of a page, and nothing that goes wrong by itself */
static void choose(struct setup *s, struct geometry *geo)
{
	struct layout layout;

	*s = (struct setup){
		.medium = stage.scene->medium,
		.agents = AGENTS_MAX,
		.threads = 1,
		.keys = 8,
		.hot_keys = 1,
		.distance = 1,
		.points_end = 1ULL << 40,
		.max_block = PAGE - 100,
		.memory_align = 1,
		.sector = PAGE,
	};
	*geo = (struct geometry){
		.segments = 6,
		.entries = 2,
		.slots = AGENTS_MAX + 1,
		.ring_bytes = PAGE,
		.checkpoint_bytes = PAGE,
		.heat_units = 64,
		.segment_pages = 5,
		.last_pages = 5,
		.max_block = PAGE - 100,
		.segment_room = 2ULL * (PAGE - 100),
	};
	if (stage.scene->choose)
		stage.scene->choose(s, geo);
	geo->bytes = 0;
	if (layout_compute(geo, &layout))
		broken("a scene's geometry: %s", memkv_error_detail());
	geo->bytes = layout.offset[REGION_SUPERBLOCK_B] + PAGE;
}

static bool plays(const struct scene *scene, uint64_t seed, enum sim_mutant mutant, bool trace)
{
	stage = (struct stage){.on = true, .scene = scene};
	memset(orders, 0, sizeof(orders));
	trace_reset(trace);
	sim_mutant = mutant;
	sim_kind_wanted = scene->medium;
	world_stage(seed, choose);
	scene->play();
	sim_mutant = MUTANT_NONE;
	stage.on = false;
	return !world.failed;
}

/* as it is no rule is broken, and with the bug the one that is named; what a seed decides is how births lie, and how large blocks are */
static bool shows(const struct scene *scene, bool trace)
{
	enum { SEEDS = 8 };
	const char *name = mutant_name(scene->mutant);
	uint64_t seed = 0;

	do {
		if (++seed > SEEDS) {
			printf("%-22s SURVIVED its scene\n", name);
			return false;
		}
		if (!plays(scene, seed, MUTANT_NONE, trace)) {
			printf("%-22s as the code is: %s\n", name, world.why);
			return false;
		}
		if (trace)
			printf("---- with %s ----\n", name);
	} while (plays(scene, seed, scene->mutant, trace));
	if (!strstr(world.why, scene->rule)) {
		printf("%-22s breaks another rule than \"%s\": %s\n", name, scene->rule, world.why);
		return false;
	}
	printf("%-22s caught in its scene: %s\n", name, world.why);
	return true;
}

static const struct scene *const lists[] = {scenes_files,  scenes_power,     scenes_devices,
					    scenes_shared, scenes_overtaken, scenes_logs};

bool scene_shows(enum sim_mutant mutant)
{
	for (size_t i = 0; i < ARRAY_COUNT(lists); i++)
		for (const struct scene *s = lists[i]; s->play; s++)
			if (s->mutant == mutant && shows(s, false))
				return true;
	return false;
}

int scenes_play(enum sim_mutant only, bool trace)
{
	int bad = 0, played = 0;

	for (size_t i = 0; i < ARRAY_COUNT(lists); i++)
		for (const struct scene *s = lists[i]; s->play; s++)
			if (!only || s->mutant == only) {
				played++;
				bad += !shows(s, trace);
			}
	printf("%d scenes, %d not as they must be\n", played, bad);
	return bad + !played;
}
