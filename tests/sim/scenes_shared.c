/* SPDX-License-Identifier: Apache-2.0 */
/* Scenes of hosts that share a device: see stage.h. */
#include "core/format/record.h"
#include "stage.h"

void hosts(struct setup *s, struct geometry *geo, uint32_t slots)
{
	(void)s;
	geo->slots = slots;
	geo->ring_bytes = 2 * PAGE;
	geo->checkpoint_bytes = 6 * PAGE;
	for (int i = 0; i < AGENTS_MAX; i++) {
		world.agents[i].rate = 1024;
		world.agents[i].boots = 1;
	}
}

static void two_slots(struct setup *s, struct geometry *geo) { hosts(s, geo, 2); }
static void many_slots(struct setup *s, struct geometry *geo) { hosts(s, geo, AGENTS_MAX); }

/* ---- claims ---- */

static uint64_t cell(uint32_t copy, uint32_t slot) { return layout_slot_cell(&world.layout, copy, slot); }

/* it has found the slot free, and stands still before it writes this copy of its cell */
static void claims_late(player p, uint32_t copy, uint32_t slot)
{
	begins_to_open(p);
	goes_to_store(p, cell(copy, slot), PAGE, 1);
	stands_still(p);
}

/* what it was about to write has landed */
static void writes_late(player p)
{
	goes_until(p, EVENT_LAND, 1);
	stands_still(p);
}

/* host 1 stands still in its claim of slot 1, which host 2 wins then */
static void two_claim(void)
{
	opens(0);
	(void)calls(0, CALL_PUT, 0);
	claims_late(1, 0, 1);
	opens(2);
}

/*
 * Host 1 stands still in its claim of slot 1, which host 2 wins then, and removes what host 0 has put.  Host 0 has not heard of it when
 * host 1 writes its cell over that of host 2.
 */
static void stale_claim_believed(void)
{
	two_claim();
	stands_still(0);
	(void)calls(2, CALL_REMOVE, 0);
	stands_still(2);
	writes_late(1);
	stage.stale = true;
	(void)calls(0, CALL_GET, 0);
}

/*
 * Hosts 1 and 2 stand still in their claims of slot 1, the one before its ACTIVE, the other before its JOINING.  Host 3 has the slot
 * twice meanwhile, and leaves.  Both write then, and nothing but the second copy tells of host 3's epochs.
 */
static void joined_in_cell(void)
{
	opens(0);
	(void)calls(0, CALL_PUT, 0);
	begins_to_open(2);
	goes_to(2, MUTANT_JOINED_IN_CELL, 2);
	stands_still(2);
	claims_late(1, 0, 1);
	opens(3);
	closes(3);
	opens(3);
	(void)calls(3, CALL_REMOVE, 0);
	closes(3);
	writes_late(2);
	(void)goes_for(1, 3000); /* and it gives up */
	stands_still(1);
	opens(3);
}

/*
 * Host 1 has the slot, and stands still before its first heartbeat, until the slot has passed on to host 2.  It writes that over host
 * 2's cell, and must not take it for its lease.
 */
static void late_beat_believed(void)
{
	opens(0);
	begins_to_open(1);
	goes_to(1, MUTANT_LATE_BEAT_BELIEVED, 1);
	stands_still(1);
	opens(2);
	(void)ends(1);
	(void)calls(2, CALL_PUT, 0);
}

/* copy 1 of the cells, for host 1 */
static bool second_copies(const struct agent *a, uint64_t offset)
{
	return a->number == 1 && offset - cell(1, 0) < cell(1, 1) + PAGE - cell(1, 0);
}

/*
 * Host 1 stands still until its slot has passed on to host 2, which removes what host 0 has put, and then stands still.  Host 1 wakes up, and
 * cannot read whether the slot is its own.  Were it to write its heartbeat, host 0 would see nothing new.
 */
static void kept_unread(void)
{
	opens(0);
	(void)calls(0, CALL_PUT, 0);
	opens(1);
	(void)calls(0, CALL_GET, 0);
	stands_still(1);
	opens(2);
	stands_still(0);
	(void)calls(2, CALL_REMOVE, 0);
	stands_still(2);
	stage.unread = second_copies;
	begins(1, CALL_GET, 1);
	(void)ends(1);
	(void)calls(1, CALL_REFRESH, 0);
	(void)calls(1, CALL_REFRESH, 0);
	stands_still(1);
	stage.unread = NULL;
	stage.stale = true;
	(void)calls(0, CALL_GET, 0);
}

/*
 * Host 1 removes a block, and stands still before it tells of that, until its slot has passed on to host 2, which removes another.  It tells
 * of it over host 2's cell, and sees then that the slot is another's; but gets read the one copy of the cell only.
 */
static void own_cell_believed(void)
{
	opens(0);
	(void)calls(0, CALL_PUT, 0);
	(void)calls(0, CALL_PUT, 1);
	opens(1);
	(void)calls(1, CALL_GET, 0);
	begins(1, CALL_REMOVE, 1);
	goes_to(1, MUTANT_LATE_BEAT_BELIEVED, 1);
	stands_still(1);
	opens(2);
	(void)calls(2, CALL_REMOVE, 0);
	stands_still(2);
	helpers_stand_still(1); /* it has not noticed yet */
	(void)ends(1);
	stage.stale = true;
	(void)calls(1, CALL_GET, 0);
}

/* host 1 stands still until its slot has passed on to host 2, which makes a call, and has not noticed when it goes on */
static void slot_passes_on(enum call_kind call, uint32_t key)
{
	opens(0);
	(void)calls(0, CALL_PUT, 0);
	opens(1);
	stands_still(1);
	opens(2);
	(void)calls(2, call, key);
	helpers_stand_still(1);
}

/*
 * Host 1 stands still until its slot has passed on to host 2, which puts a block; then it removes that, and does not read host 2's log: it
 * cannot say that there is none.
 */
static void missed_by_own_cell(void)
{
	slot_passes_on(CALL_PUT, 1);
	(void)calls(1, CALL_REMOVE, 1);
	(void)calls(2, CALL_GET, 1);
}

/*
 * Host 1 has won slot 1, and stands still before it says so in the other copy of its cell, until the slot has passed on to host 2, which checks
 * the pool.  Host 1 writes that copy, and takes it back; and host 2 is just about to tell of a removal, with the first copy half written in
 * its memory, when the check looks at it.
 */
static void cell_halfway(void)
{
	opens(0);
	(void)calls(0, CALL_PUT, 0);
	claims_late(1, 1, 1);
	opens(2);
	begins(12, CALL_CHECK, 0);
	goes_to(12, MUTANT_CELL_HALFWAY, 1);
	begins(2, CALL_REMOVE, 0);
	goes_to(2, MUTANT_LATE_BEAT_BELIEVED, 1);
	writes_late(1);
	writes_late(1);
	goes_to_store(2, cell(0, 1), PAGE, 3);
	helpers_stand_still(2);
	(void)goes_for(12, 2000);
	(void)ends(2);
	(void)ends(12);
}

/* ---- removals ---- */

static bool log_of_another(const struct agent *a, uint64_t offset)
{
	return a->number == 0 && offset - world.layout.offset[REGION_LOG_RINGS] < world.layout.length[REGION_LOG_RINGS];
}

/* host 1 removes what host 0 asks for then, which cannot read any log */
static void logs_unread(void)
{
	opens(0);
	opens(1);
	(void)calls(0, CALL_PUT, 0);
	stands_still(0);
	(void)calls(1, CALL_REMOVE, 0);
	stage.unread = log_of_another;
	(void)calls(0, CALL_GET, 0);
}

/*
 * Host 1 states a removal, and cannot flush that; so it does not tell of it in its cell, and others need not know of it.  Nor may it go
 * by that itself, when it is asked once more.
 */
static void untold_believed(void)
{
	opens(0);
	opens(1);
	(void)calls(0, CALL_PUT, 0);
	helpers_stand_still(0);
	begins(1, CALL_REMOVE, 0);
	goes_until(1, EVENT_LAND, 2);
	stage.unflushed = &world.agents[1];
	(void)ends(1);
	stage.unflushed = NULL;
	(void)calls(1, CALL_REMOVE, 0);
	stage.stale = true;
	(void)calls(0, CALL_GET, 0);
}

static uint32_t headless; /* the segment whose table's header power loss has taken */

/* once */
static bool its_header(const struct agent *a, uint64_t offset)
{
	bool hit = a->number == 1 && offset == layout_table(&world.layout, headless);

	if (hit)
		stage.unread = NULL;
	return hit;
}

/*
 * Power loss has taken a table's header, and the segment's own tells.  Host 0 has adopted the segment, is about to go on in it, and closes it
 * as it is, since it cannot read the logs: so nobody looks there again.  Host 1 removes the block; it has read the table, without a
 * header, and cannot read that once more: it cannot tell what is there.
 */
static void header_unread(void)
{
	headless = header_is_lost();
	opens(0);
	time_passes(60000); /* who had the segment is proven gone */
	begins(0, CALL_PUT, 1);
	goes_to(0, MUTANT_NO_LOOK_AFTER_OPEN, 1);
	scene_must(world.stated[headless].kind == RECORD_OPEN && world.stated[headless].slot == world.agents[0].slot, "it is opened");
	stage.unread = log_of_another;
	(void)ends(0);
	stage.unread = NULL;
	opens(1);
	(void)calls(1, CALL_REFRESH, 0);
	scene_must(world.stated[headless].kind == RECORD_SEAL, "it is closed");
	begins(1, CALL_REMOVE, 0);
	goes_to(1, MUTANT_NOTE_ONCE, 1);
	goes_to(1, MUTANT_UNSEEN_NOT_LOST, 1);
	stage.unread = its_header;
	(void)ends(1);
	scene_must(!stage.unread, "a header is not read");
	stage.stale = true;
	(void)calls(0, CALL_GET, 0);
}

/* ---- pins ---- */

/* host 1 stands still until its slot has passed on to host 2, which pins; then it lists the pins, and does not read host 2's log */
static void pins_unread(void)
{
	slot_passes_on(CALL_PIN, 0);
	(void)calls(1, CALL_PINS, 0);
}

static void much_to_put(struct setup *s, struct geometry *geo)
{
	hosts(s, geo, 2);
	s->keys = 60;
	s->durable = 65536;
}

static bool no_block(uint64_t offset) { return offset < layout_segment(&world.layout, 0); }

/*
 * A host moves a pinned block out of a segment that it empties.  Before the copy is flushed power fails, which takes the copy and leaves
 * its entry; the old place is as it was.  Where that is
 */
static uint32_t copy_is_lost(void)
{
	opens(0);
	(void)calls(0, CALL_PUT, 0);
	(void)calls(0, CALL_PIN, 0);
	uint32_t segment = segment_of_key(0);
	for (uint32_t key = 1; key < 30; key++) {
		begins(0, CALL_PUT, key);
		if (gets_to(0, MUTANT_MOVE_BLIND, 1))
			break;
	}
	scene_must(segment_of_key(0) == segment, "a copy is about to be made");
	goes_to(0, MUTANT_MOVED_UNFLUSHED, 1);
	stage.keeps = no_block;
	power_fails();
	stage.keeps = NULL;
	return segment;
}

/* the segment of the old place is emptied once more */
static void elsewhere_unread(void)
{
	uint32_t segment = copy_is_lost();
	uint64_t generation = world.shadow[segment].generation;

	opens(0);
	time_passes(12000); /* what had the segment is given up */
	for (uint32_t key = 30; key < 60 && world.shadow[segment].generation == generation; key++)
		(void)calls(0, CALL_PUT, key);
	scene_must(world.shadow[segment].generation != generation, "the old place is given up");
	(void)calls(0, CALL_GET, 0);
}

/* has it stated that it opens the segment anew, and looked whether anything there is pinned? */
static bool gives_up(player p, uint32_t segment)
{
	while (gets_to(p, MUTANT_PIN_UNSEEN_AFTER_OPEN, 1))
		if (world.stated[segment].kind == RECORD_OPEN && world.stated[segment].gives_up)
			return true;
	return false;
}

/* the block is unpinned; the segment of the old place is just being given up when another host pins the block once more */
static void pin_by_entry(void)
{
	uint32_t segment = copy_is_lost(), key = 30;

	opens(0);
	opens(1);
	(void)calls(1, CALL_UNPIN, 0);
	for (bool found = false; !found && key < 60; key++) {
		begins(0, CALL_PUT, key);
		found = gives_up(0, segment);
	}
	scene_must(key < 60, "the old place is about to be given up");
	goes_until(0, EVENT_LAND, 1);
	stands_still(0);
	(void)calls(1, CALL_PIN, 0);
	(void)ends(0);
	(void)calls(1, CALL_GET, 0);
}

/* ---- room ---- */

enum { SEGMENTS = 14 };

static void blocks_of_sizes(struct setup *s, struct geometry *geo)
{
	hosts(s, geo, 2);
	s->keys = 100;
	s->max_block = 4 * PAGE;
	geo->max_block = s->max_block;
	geo->segments = SEGMENTS;
	geo->entries = 4;
	geo->segment_pages = geo->last_pages = 6;
	geo->segment_room = geo->max_block;
}

/* how many segments nobody has had */
static uint32_t never_opened(void)
{
	uint32_t count = 0;

	for (uint32_t s = 0; s < SEGMENTS; s++)
		count += world.stated[s].version == 0;
	return count;
}

/* how many segments were opened since their generations were these; *most_once: how many there would be if none had been twice */
static uint64_t opened_since(const uint64_t *generations, uint64_t *most_once)
{
	enum { OPENING_BITS = 24 };
	uint64_t before = 0, now = 0, mask = (1U << OPENING_BITS) - 1;

	*most_once = 0;
	for (uint32_t s = 0; s < SEGMENTS; s++) {
		before = max_u64(before, generations[s] & mask);
		now = max_u64(now, world.shadow[s].generation & mask);
		*most_once += world.shadow[s].generation != generations[s];
	}
	return now - before;
}

/*
 * Host 0 has half of the segments.  All that host 1 puts is pinned, until nothing fits any more: then a put need not move the same blocks
 * round in the same segments twice.
 */
static void round_by_first(void)
{
	enum { REFUSED = 5 };
	uint64_t generations[SEGMENTS], most_once;
	uint32_t key = 0, refused = 0;

	opens(0);
	while (never_opened() > SEGMENTS / 2 && key < 40)
		(void)calls(0, CALL_PUT, key++);
	opens(1);
	for (; refused < REFUSED && key < 100; key++) {
		for (uint32_t s = 0; s < SEGMENTS; s++)
			generations[s] = world.shadow[s].generation;
		int64_t result = calls(1, CALL_PUT, key);
		if (opened_since(generations, &most_once) > most_once + 1)
			broken("a put opens the same segments again and again");
		if (result == 0)
			(void)calls(1, CALL_PIN, key);
		refused += result == MEMKV_NO_ROOM;
	}
	scene_must(refused == REFUSED, "nothing fits any more");
}

const struct scene scenes_shared[] = {
	{MUTANT_ROUND_BY_FIRST, "again and again", MEDIUM_SHARED, round_by_first, blocks_of_sizes},
	{MUTANT_ELSEWHERE_UNREAD, "is pinned", MEDIUM_SHARED, elsewhere_unread, much_to_put},
	{MUTANT_PIN_BY_ENTRY, "is pinned", MEDIUM_SHARED, pin_by_entry, much_to_put},
	{MUTANT_STALE_CLAIM_BELIEVED, "was removed before the get began", MEDIUM_SHARED, stale_claim_believed, two_slots},
	{MUTANT_JOINED_IN_CELL, "comes a second time", MEDIUM_SHARED, joined_in_cell, two_slots},
	{MUTANT_LATE_BEAT_BELIEVED, "comes a second time", MEDIUM_SHARED, late_beat_believed, two_slots},
	{MUTANT_KEPT_UNREAD, "was removed before the get began", MEDIUM_SHARED, kept_unread, two_slots},
	{MUTANT_OWN_CELL_BELIEVED, "was removed before the get began", MEDIUM_SHARED, own_cell_believed, two_slots},
	{MUTANT_OWN_CELL_BELIEVED, "was removed before the get began", MEDIUM_SHARED, missed_by_own_cell, two_slots},
	{MUTANT_CELL_HALFWAY, "damaged records", MEDIUM_SHARED, cell_halfway, two_slots},
	{MUTANT_PINS_UNREAD, "the list of pins does not know", MEDIUM_SHARED, pins_unread, two_slots},
	{MUTANT_SILENCE_BELIEVED, "was removed before the get began", MEDIUM_SHARED, header_unread, many_slots},
	{MUTANT_LOGS_UNREAD, "was removed before the get began", MEDIUM_SHARED, logs_unread, many_slots},
	{MUTANT_UNTOLD_BELIEVED, "was removed before the get began", MEDIUM_SHARED, untold_believed, many_slots},
	{.play = NULL},
};
