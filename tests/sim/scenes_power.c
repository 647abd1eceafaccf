/* SPDX-License-Identifier: Apache-2.0 */
/* Scenes of what power loss leaves, mostly of several generations of a segment: see stage.h. */
#include "oracle.h"
#include "stage.h"

static void many_keys(struct setup *s, struct geometry *geo)
{
	geo->segments = 8;
	s->keys = 64;
}

static uint32_t torn; /* the segment of which something is lost */

static uint64_t table_of(uint32_t segment) { return layout_table(&world.layout, segment); }

static uint64_t page_of(uint32_t segment) { return layout_segment(&world.layout, segment) / PAGE; }

static bool is_header(uint64_t at) { return at / PAGE == table_of(torn) / PAGE; }

static bool is_owner(uint64_t at) { return at == world.layout.offset[REGION_OWNER_WORDS] + torn * 8ULL; }

static bool is_entry(uint64_t at) { return at - (table_of(torn) + PAGE) < world.layout.table_bytes - PAGE; }

static bool is_block(uint64_t at) { return at - (page_of(torn) + 1) * PAGE < 4ULL * PAGE; }

/* process 0 fills the pool with what is durable; the next put opens a segment anew, and is not: that segment */
static void opens_anew(uint32_t key)
{
	opens(0);
	world.setup.durable = 65536;
	for (uint32_t n = 0; n < world.layout.segments * 2; n++)
		(void)calls(0, CALL_PUT, n);
	world.setup.durable = 0;
	(void)calls(0, CALL_PUT, key);
	torn = segment_of_key(key);
}

static bool keeps_no_word_and_entry(uint64_t at)
{
	return !is_owner(at) && (!is_entry(at) || at == table_of(torn) + PAGE + ENTRY_LIFE_OFFSET);
}

/* of the next generation: the check of the first entry */
static bool keeps_a_check(uint64_t at) { return !is_header(at) && !is_block(at) && (!is_entry(at) || at == table_of(torn) + PAGE + 8); }

/*
 * Power loss takes the entry of a block but for its life word, and the word that says that the segment is OPEN: so nobody continues it.
 * The key is removed, and the segment opened anew: of that power loss leaves nothing but a torn entry, of which the old block tells.
 */
static void victims_lives_left(void)
{
	uint32_t n = 20;

	opens_anew(n++);
	stage.keeps = keeps_no_word_and_entry;
	power_fails();
	opens(1);
	(void)calls(1, CALL_REMOVE, 20);
	(void)puts_until_anew(1, torn, n);
	stage.keeps = keeps_a_check;
	power_fails();
	opens(2);
	(void)calls(2, CALL_GET, 20);
	all_look();
}

static uint32_t key_of_second(uint32_t segment)
{
	const struct shadow_segment *s = &world.shadow[segment];

	scene_must(s->places[1].generation == s->generation && s->places[1].instance != UINT32_MAX, "a segment has no second block");
	return world.failed ? 0 : world.instances[s->places[1].instance].key;
}

static bool keeps_no_entry(uint64_t at) { return !is_entry(at) || at % ENTRY_BYTES == ENTRY_LIFE_OFFSET; }

static bool keeps_no_tail_and_entry(uint64_t at) { return at != table_of(torn) + TABLE_TAIL_OFFSET && keeps_no_entry(at); }

static bool keeps_no_header_and_block(uint64_t at) { return !is_header(at) && !is_block(at); }

/*
 * The second block of a segment is pinned away, the segment opened anew by process 0, and the block, which is used, moved out of what process 0
 * empties next: to where it was, with the birth that it had.  Nothing of that is flushed when the power goes.
 */
static void came_back(bool (*keeps)(uint64_t at))
{
	opens(0);
	opens(1);
	world.setup.durable = 65536;
	(void)calls(1, CALL_PUT, 30);
	for (uint32_t key = 0; key < 20 && !world.failed && !any_segment_is(OWNER_LEAVING); key++)
		(void)calls(0, CALL_PUT, key);
	torn = segment_that_is(OWNER_LEAVING);
	uint32_t key = key_of_second(torn);
	(void)calls(1, CALL_PIN, key);
	(void)calls(1, CALL_UNPIN, key);
	scene_must(segment_of_key(key) != torn, "the block has not moved");
	(void)calls(1, CALL_PUT, 31); /* its segment is full */
	(void)calls(1, CALL_GET, key);
	(void)calls(0, CALL_PUT, 20);
	world.setup.durable = 0;
	begins(0, CALL_PUT, 21);
	goes_to(0, MUTANT_MOVE_LIVE, 1);
	goes_until(0, EVENT_LIFE, 1);
	scene_must(key_of_second(torn) == key, "the block does not come back");
	stage.keeps = keeps;
	power_fails();
	opens(1);
	for (uint32_t n = 32; n < 36; n++)
		(void)calls(1, CALL_PUT, n);
	all_look();
}

/* power loss leaves the older header and block, and the newer entry */
static void came_back_older(void) { came_back(keeps_no_header_and_block); }

/* the older entry but for its life word, and the newer header and block; the tail as well, or not */
static void came_back_newer(void) { came_back(keeps_no_entry); }

static void came_back_behind(void) { came_back(keeps_no_tail_and_entry); }

static bool nothing(uint64_t at)
{
	(void)at;
	return false;
}

static void durable(struct setup *s, struct geometry *geo)
{
	(void)geo;
	s->durable = 65536;
}

/*
 * Process 1 flags a block as removed, and stands still before that is flushed.  Process 0 removes it as well, finds nothing, and says so: that must
 * last.
 */
static void miss_unflushed(void)
{
	opens(0);
	opens(1);
	(void)calls(0, CALL_PUT, 0);
	begins(1, CALL_REMOVE, 0);
	goes_until(1, EVENT_LIFE, 2); /* in doubt, removed */
	(void)calls(0, CALL_REMOVE, 0);
	stage.keeps = nothing;
	power_fails();
	stage.keeps = NULL;
	opens(2);
	(void)calls(2, CALL_GET, 0);
}

/* ---- hosts that share a device ---- */

static void two_hosts(struct setup *s, struct geometry *geo)
{
	durable(s, geo);
	hosts(s, geo, 2);
}

static void power_takes_all(void)
{
	stage.keeps = nothing;
	power_fails();
	stage.keeps = NULL;
	opens(0);
	opens(1);
}

/*
 * Host 1 has stated a removal, and not flushed it: power loss takes that, so nobody ever stated it; the block stands, and may be pinned.  Another
 * one that it has acknowledged lasts.
 */
static void del_unflushed(void)
{
	opens(0);
	opens(1);
	(void)calls(0, CALL_PUT, 0);
	(void)calls(0, CALL_PUT, 1);
	begins(1, CALL_REMOVE, 0);
	goes_until(1, EVENT_LAND, 2);
	power_takes_all();
	(void)calls(1, CALL_PIN, 0);
	scene_must(oracle_owed(0, 0), "the block is pinned");
	(void)calls(1, CALL_REMOVE, 1);
	power_takes_all();
	(void)calls(0, CALL_GET, 0);
	(void)calls(0, CALL_GET, 1);
}

const struct scene scenes_power[] = {
	{MUTANT_MISS_UNFLUSHED, "a power cut brought it back", MEDIUM_FILE, miss_unflushed, durable},
	{MUTANT_DEL_UNFLUSHED, "a power cut brought it back", MEDIUM_SHARED, del_unflushed, two_hosts},
	{MUTANT_CAME_BACK_LEFT, "is there with its life word", MEDIUM_FILE, came_back_older, many_keys},
	{MUTANT_CAME_BACK_LEFT, "is there with its life word", MEDIUM_FILE, came_back_newer, many_keys},
	{MUTANT_CAME_BACK_LEFT, "is there with its life word", MEDIUM_FILE, came_back_behind, many_keys},
	{MUTANT_VICTIMS_LIVES_LEFT, "is returned, and was removed", MEDIUM_FILE, victims_lives_left, many_keys},
	{.play = NULL},
};
