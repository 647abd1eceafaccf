/* SPDX-License-Identifier: Apache-2.0 */
/* Scenes of logs: who writes into its own first, and reads those of the others then.  See stage.h. */
#include "core/format/record.h"
#include "stage.h"

enum { BLOCKS = 4 };

static void three_hosts(struct setup *s, struct geometry *geo)
{
	hosts(s, geo, 3);
	s->keys = 60;
}

/* and four blocks in a segment, so that one that is removed leaves more than half of it */
static void two_hosts(struct setup *s, struct geometry *geo)
{
	hosts(s, geo, 2);
	s->keys = 60;
	geo->entries = BLOCKS;
	geo->segment_pages = geo->last_pages = 1 + 2 * BLOCKS;
	geo->segment_room = BLOCKS * geo->max_block;
}

static void some_keys(struct setup *s, struct geometry *geo)
{
	(void)geo;
	s->keys = 40;
}

static bool on_the_way(bool (*is)(const struct command *command))
{
	for (uint32_t i = 0; i < world.active_count; i++)
		if (is(&world.commands[world.active[i]]))
			return true;
	return false;
}

static bool of_rings(uint64_t offset)
{
	return offset - world.layout.offset[REGION_LOG_RINGS] < world.layout.length[REGION_LOG_RINGS];
}

/* host 0 puts until it comes to the spot while it opens a segment anew, which has a live block: its key */
static uint32_t opens_anew_up_to(enum sim_mutant spot, bool stated)
{
	uint32_t key = 0, found = UINT32_MAX;

	opens(0);
	opens(1);
	(void)calls(1, CALL_PUT, 40);
	for (; found == UINT32_MAX && key < 40 && !world.failed; key++) {
		begins(0, CALL_PUT, key);
		while (found == UINT32_MAX && gets_to(0, spot, 1)) {
			uint32_t segment = stated ? segment_given_up() : segment_leaving(0);
			found = segment != UINT32_MAX ? key_in(segment) : UINT32_MAX;
		}
	}
	scene_must(found != UINT32_MAX, "a segment with a block is opened anew");
	return world.failed ? 0 : found;
}

/* ---- opening and pins ---- */

/* host 0 has looked whether anything in a segment is pinned, and stands still before it says OPEN; host 1 pins what is there */
static void pin_unseen_after_open(void)
{
	uint32_t key = opens_anew_up_to(MUTANT_HOLDS_AT_RETIRE, false);

	(void)calls(1, CALL_PIN, key);
	(void)ends(0);
}

/* host 0 has said OPEN, looked, and begun the table in its mirror; the device does not know yet when host 1 pins what was there */
static void pin_open_unseen(void)
{
	uint32_t key = opens_anew_up_to(MUTANT_DOORBELL_EARLY, true);

	(void)calls(1, CALL_PIN, key);
	(void)ends(0);
}

/* host 2 has said what it removes, looked, and found no pin; host 1 pins it then, which must read the log of who owns nothing of it as well */
static void pin_owner_log_only(void)
{
	opens(0);
	opens(1);
	opens(2);
	(void)calls(0, CALL_PUT, 0);
	begins(2, CALL_REMOVE, 0);
	goes_until(2, EVENT_LAND, 1);
	goes_to_store(2, world.layout.offset[REGION_LOG_RINGS], world.layout.length[REGION_LOG_RINGS], 1);
	(void)calls(1, CALL_PIN, 0);
	(void)ends(2);
}

/* ---- opening and adoption ---- */

static bool open_of_host_0(const struct command *c)
{
	return c->agent->number == 0 && c->direction == MEDIA_WRITE && of_rings(c->page * PAGE);
}

static bool block_of_host_1(const struct command *c)
{
	return c->agent->number == 1 && c->direction == MEDIA_WRITE && c->segment != NEVER &&
	       c->page * PAGE != layout_segment(&world.layout, c->segment);
}

static uint32_t adopted_by_host_0(void)
{
	for (uint32_t s = 0; s < world.layout.geo.segments; s++)
		if (world.stated[s].kind == RECORD_ADOPT && world.stated[s].slot == 0)
			return s;
	return UINT32_MAX;
}

/*
 * Host 0 has read that a segment is its own, and stands still before it says OPEN.  Host 1 adopts it, opens it, and is just writing to it when
 * host 0 goes on.
 */
static void no_look_after_open(void)
{
	enum { SUSPECT = 12000 };
	uint32_t key = 1;

	opens(0);
	opens(1);
	begins(0, CALL_PUT, 0);
	for (int tries = 0; adopted_by_host_0() == UINT32_MAX && tries < 4; tries++)
		goes_until(0, EVENT_LAND, 1);
	uint32_t segment = adopted_by_host_0();
	scene_must(segment != UINT32_MAX, "host 0 has adopted a segment");
	stage.late = open_of_host_0;
	(void)goes_for(0, SUSPECT);
	stands_still(0);
	time_passes(SUSPECT);
	for (; !world.failed && key < 30; key++) {
		stage.late = block_of_host_1;
		begins(1, CALL_PUT, key);
		goes_until(1, EVENT_ENTRY, 1);
		if (medium_writes_by(segment, &world.agents[1]))
			break;
		stage.late = NULL;
		(void)ends(1);
	}
	scene_must(key < 30, "host 1 writes to the segment that host 0 had");
	(void)ends(0);
	stage.late = NULL;
	(void)ends(1);
}

/* ---- removals ---- */

/* host 1 has stated a removal, and stands still before it tells of it; host 2 finds it done, and says so: then all must know */
static void not_vouched(void)
{
	opens(0);
	opens(1);
	opens(2);
	(void)calls(0, CALL_PUT, 0);
	helpers_stand_still(0);
	begins(1, CALL_REMOVE, 0);
	goes_until(1, EVENT_LAND, 2);
	stands_still(1);
	(void)calls(2, CALL_REMOVE, 0);
	stage.stale = true;
	(void)calls(0, CALL_GET, 0);
}

static bool nothing(const struct command *c)
{
	(void)c;
	return false;
}

/* host 0 puts until it has looked whether anything in the segment is pinned, and stands still before it says OPEN; the key behind the last */
static uint32_t is_about_to_give_up(uint32_t segment, uint32_t key)
{
	bool about_to = false;

	for (; !about_to && key < 40 && !world.failed; key++) {
		begins(0, CALL_PUT, key);
		while (!about_to && gets_to(0, MUTANT_HOLDS_AT_RETIRE, 1))
			about_to = segment_leaving(0) == segment;
	}
	scene_must(about_to, "the segment is about to be given up");
	return key;
}

/*
 * Of two blocks of one session host 1 removes the first.  Power fails when that has been sent, and it lands.  So nothing is owed of that block when
 * the session is pinned, but of the other one, while host 0 is about to open their segment anew.
 */
static void removed_with_the_power(void)
{
	enum { PROVEN_GONE = 12000 };

	opens(0);
	opens(1);
	for (uint32_t key = 0; key < BLOCKS; key++) {
		stage.session = key < 2;
		(void)calls(0, CALL_PUT, key);
	}
	uint32_t segment = segment_of_key(0);
	scene_must(segment == segment_of_key(BLOCKS - 1), "all of them lie in one segment");
	helpers_stand_still(0);
	helpers_stand_still(1);
	begins(1, CALL_REMOVE, 0);
	goes_until(1, EVENT_LAND, 1); /* in doubt */
	goes_to_store(1, world.layout.offset[REGION_LOG_RINGS], world.layout.length[REGION_LOG_RINGS], 1);
	goes_until(1, EVENT_SUBMIT, 1);
	scene_must(!world.instances[0].deleted, "the removal is on its way");
	stage.sinks = nothing;
	power_fails();
	stage.sinks = NULL;
	opens(0);
	opens(1);
	time_passes(PROVEN_GONE);
	uint32_t key = is_about_to_give_up(segment, 10);
	(void)calls(1, CALL_PIN_SESSION, 1);
	(void)ends(0);
	(void)puts_until_anew(0, segment, key);
	(void)calls(0, CALL_GET, 0);
	(void)calls(0, CALL_GET, 1);
}

/* ---- rings ---- */

/*
 * A process reads the log of another: there is no record.  Before it looks whether there are any behind that place, the other one writes two: the
 * first of them was never lost.  It tells of a pin.
 */
static void ring_one_look(void)
{
	enum { WORD_OF_POSITION = 16 };
	uint32_t key = 2;

	opens(0);
	opens(1);
	(void)calls(0, CALL_PUT, 0);
	(void)calls(0, CALL_PUT, 1);
	begins(0, CALL_PINS, 0);
	goes_to_load(0, layout_ring(&world.layout, world.agents[1].slot, world.agents[1].epoch) + RECORD_BYTES + WORD_OF_POSITION);
	(void)calls(1, CALL_PIN, 0);
	(void)calls(1, CALL_PIN, 1);
	(void)ends(0);
	for (; !world.failed && key < 40; key++)
		(void)calls(0, CALL_PUT, key);
}

/* ---- what is left of a log ---- */

/* a sector has four records, and each of two hosts eight segments that nobody ever had */
static void many_to_adopt(struct setup *s, struct geometry *geo)
{
	hosts(s, geo, 2);
	s->sector = SECTOR;
	geo->segments = 16;
}

static bool of_its_log(const struct command *c)
{
	return c->agent->number == 1 && c->direction == MEDIA_WRITE && of_rings(c->page * PAGE);
}

static uint32_t second_sector(const struct command *c)
{
	return of_its_log(c) ? 2 : UINT32_MAX;
}

/* not its first part */
static bool the_rest(const struct command *c) { return of_its_log(c) && c->left == 0; }

/*
 * Host 1 adopts what nobody ever had, and dies while all of that is on its way to its log: the second sector lands, the first does not.
 * Host 2 gets the slot then, and has not read that log yet when host 0 checks the pool: nothing is missing that host 1 had told of.
 */
static void owed_tail_ignored(void)
{
	opens(0);
	opens(1);
	begins(1, CALL_PUT, 0);
	helpers_stand_still(1);
	stage.late = of_its_log;
	for (int tries = 0; !on_the_way(of_its_log) && tries < 8; tries++)
		goes_until(1, EVENT_SUBMIT, 1);
	scene_must(on_the_way(of_its_log), "a host writes to its log");
	stage.late = NULL;
	stage.part = second_sector;
	stage.sinks = the_rest;
	dies(1);
	stage.part = NULL;
	stage.sinks = NULL;
	begins_to_open(2);
	goes_to(2, MUTANT_HEIR_WITHOUT_FACTS, 1);
	(void)calls(0, CALL_CHECK, 0);
	(void)ends(2);
	(void)calls(0, CALL_CHECK, 0);
}

const struct scene scenes_logs[] = {
	{MUTANT_OWED_TAIL_IGNORED, "damaged records", MEDIUM_SHARED, owed_tail_ignored, many_to_adopt},
	{MUTANT_RING_ONE_LOOK, "is pinned", MEDIUM_FILE, ring_one_look, some_keys},
	{MUTANT_PIN_UNSEEN_AFTER_OPEN, "is pinned", MEDIUM_SHARED, pin_unseen_after_open, three_hosts},
	{MUTANT_PIN_OPEN_UNSEEN, "is pinned", MEDIUM_SHARED, pin_open_unseen, three_hosts},
	{MUTANT_PIN_OWNER_LOG_ONLY, "is pinned", MEDIUM_SHARED, pin_owner_log_only, three_hosts},
	{MUTANT_PIN_UNSEEN_AFTER_OPEN, "put 1 of key 1 is gone", MEDIUM_SHARED, removed_with_the_power, two_hosts},
	{MUTANT_NO_LOOK_AFTER_OPEN, "while another's write into it is on the way", MEDIUM_SHARED, no_look_after_open, three_hosts},
	{MUTANT_NOT_VOUCHED, "was removed before the get began", MEDIUM_SHARED, not_vouched, three_hosts},
	{.play = NULL},
};
