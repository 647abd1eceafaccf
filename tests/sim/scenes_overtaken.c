/* SPDX-License-Identifier: Apache-2.0 */
/* Scenes of hosts that share a device: what others do while one of them stands still, or is not there yet.  See stage.h. */
#include "core/format/record.h"
#include "core/pool/handle.h"
#include "stage.h"

#include <string.h>

static void two_hosts(struct setup *s, struct geometry *geo)
{
	hosts(s, geo, 2);
	s->keys = 160;
}

/* host 0 puts key 0: into this segment */
static uint32_t puts_key_0(void)
{
	(void)calls(0, CALL_PUT, 0);
	uint32_t segment = segment_of_key(0);
	scene_must(segment != UINT32_MAX, "a block is put");
	return world.failed ? 0 : segment;
}

enum { SUSPECT = 12000 }; /* longer than it takes until a host that is silent is given up */

/* host 0 empties the segment of key 0, which is moved since it was read; it stands still at the spot, and host 1 is there */
static uint32_t moves_key_0_up_to(enum sim_mutant spot)
{
	uint32_t key = 1;

	opens(0);
	opens(1);
	uint32_t segment = puts_key_0();
	for (; key < 30; key++) {
		(void)calls(0, CALL_GET, 0);
		begins(0, CALL_PUT, key);
		if (gets_to(0, spot, 1))
			break;
	}
	scene_must(segment_of_key(0) == segment, "a copy is about to be made");
	stands_still(0);
	time_passes(SUSPECT);
	return segment;
}

/* host 1 puts until the segment is opened anew, and what was in it gone */
static void empties(uint32_t segment)
{
	uint64_t generation = world.shadow[segment].generation;
	uint32_t key = 30;

	for (; key < 60 && world.shadow[segment].generation == generation; key++)
		(void)calls(1, CALL_PUT, key);
	scene_must(world.shadow[segment].generation != generation, "the old place is given up");
}

/*
 * Host 0 stands still while it moves a block.  Host 1 adopts its segments, opens that of the block anew, and finds nothing to remove.  Host 0
 * must not go on by what it knew.
 */
static void stands_from_mirror(void)
{
	empties(moves_key_0_up_to(MUTANT_MOVE_LIVE));
	(void)calls(1, CALL_REMOVE, 0);
	(void)ends(0);
	(void)calls(0, CALL_GET, 0);
}

/*
 * Host 0 stands still while a copy is moving into the segment that it has open, which host 1 adopts.  Another thread of host 0 reads that; who
 * looks then must see the copy when it counts, though nobody tells of it.
 */
static void adopted_settled(void)
{
	uint32_t segment = moves_key_0_up_to(MUTANT_STANDS_FROM_MIRROR);

	begins(1, CALL_PUT, 30);
	goes_to(1, MUTANT_PIN_LOOK_AT_RETIRE_ONLY, 1);
	(void)calls(10, CALL_REFRESH, 0);
	(void)ends(0);
	(void)ends(1);
	empties(segment);
	(void)calls(0, CALL_GET, 0);
}

/* host 0 puts until the first segment was opened, since it had this generation, and sealed, and key 0 is elsewhere */
static uint32_t opens_and_seals(uint64_t generation, uint32_t key)
{
	const struct shadow_segment *first = &world.shadow[0];

	while (key < 160 && (first->generation == generation || world.stated[0].kind != RECORD_SEAL || segment_of_key(0) == 0))
		(void)calls(0, CALL_PUT, key++);
	scene_must(first->generation != generation && segment_of_key(0) != 0, "the first segment is opened, and sealed");
	return key;
}

/*
 * Host 1 looks, and stands still behind the entries of the first segment.  That is opened anew, a block that host 1 has not come to yet moves
 * there, and its old place is given up.  Host 1 has to look at all of it once more.
 */
static void reopened_unread(void)
{
	const struct shadow_segment *first = &world.shadow[0];
	uint32_t before = UINT32_MAX;

	opens(0);
	opens(1);
	(void)puts_key_0();
	(void)calls(0, CALL_PIN, 0);
	uint32_t key = opens_and_seals(0, 1);
	(void)calls(1, CALL_REFRESH, 0);
	key = opens_and_seals(first->generation, key);
	uint64_t generation = first->generation;
	begins(1, CALL_REFRESH, 0);
	goes_to(1, MUTANT_FOLD_LOOKS_BEFORE, 1);
	while (key < 160 && segment_of_key(0) != 0) {
		before = segment_of_key(0);
		(void)calls(0, CALL_PUT, key++);
	}
	scene_must(first->generation != generation && before != UINT32_MAX, "the block moves to where host 1 looks");
	while (key < 160 && !world.failed && world.stated[before].kind != RECORD_OPEN)
		(void)calls(0, CALL_PUT, key++);
	scene_must(segment_of_key(0) == 0, "its old place is given up");
	(void)ends(1);
}

/* host 0 has chosen a segment to empty, finds that all in it was read, and stands still before it gives it back */
static uint32_t gives_back(void)
{
	uint32_t key = 0, segment = UINT32_MAX;

	for (; segment == UINT32_MAX && key < 30; key++) {
		for (uint32_t before = 0; before < key; before++)
			(void)calls(0, CALL_GET, before);
		begins(0, CALL_PUT, key);
		while (segment == UINT32_MAX && gets_to(0, MUTANT_WORD_BY_FORCE, 1))
			segment = segment_leaving(0);
	}
	scene_must(segment != UINT32_MAX, "a segment is given back");
	return world.failed ? 0 : segment;
}

/*
 * Host 0 stands still while it gives a segment back, which host 1 adopts, and opens anew.  Another thread of host 0 has read that; so the word
 * must stay what that thread has made it: else what host 1 puts there is seen by nobody on host 0.
 */
static void word_by_force(void)
{
	opens(0);
	opens(1);
	uint32_t segment = gives_back();
	const struct shadow_segment *shadow = &world.shadow[segment];
	stands_still(0);
	time_passes(SUSPECT);
	empties(segment);
	(void)calls(10, CALL_PINS, 0);
	(void)ends(0);
	(void)calls(0, CALL_REFRESH, 0);
	for (uint32_t key = 60; key < 63 && shadow->places[1].generation != shadow->generation; key++)
		(void)calls(1, CALL_PUT, key);
	(void)calls(0, CALL_REFRESH, 0);
}

/* ---- removals ---- */

static void small_checkpoints(struct setup *s, struct geometry *geo)
{
	two_hosts(s, geo);
	geo->checkpoint_bytes = 2 * PAGE;
}

/* host 0 has so many removals to remember that one more is all, the blocks long overwritten; and its pool is full */
static void many_removals(uint32_t most, uint32_t known)
{
	const struct facts *facts = &world.agents[0].pool->factbook.facts;
	uint32_t key = 0;

	(void)calls(0, CALL_PUT, known);
	(void)calls(0, CALL_PIN, known);
	(void)calls(0, CALL_UNPIN, known);
	for (; facts->count + 1 < most && key < 100; key++) {
		(void)calls(0, CALL_PUT, key);
		(void)calls(0, CALL_REMOVE, key);
	}
	for (key = 100; key < 120; key++)
		(void)calls(0, CALL_PUT, key);
	(void)calls(0, CALL_PUT, known);
	scene_must(facts->count + 1 == most, "the removals are remembered");
}

/*
 * A host remembers as many removals as it can; the last is of a segment that it is just beginning anew, in its own mirror, when it writes a
 * checkpoint.  It dies before the device knows, so that the removed block lies there as ever.  Its ring has room for the OPEN and the removal,
 * and for not much more.
 */
static void del_forgotten_early(void)
{
	enum { RECORDS = 2 * PAGE / RECORD_BYTES - 1, OF_SEGMENTS = 3 * 6 + 17, SLOTS = 2, MOST = RECORDS - OF_SEGMENTS - SLOTS, KNOWN = 150,
	       RING = 2 * PAGE / RECORD_BYTES, SPARE = 5 };
	uint32_t key = 120;

	opens(0);
	const struct factbook *book = &world.agents[0].pool->factbook;
	many_removals(MOST, KNOWN);
	do {
		for (uint32_t i = 0; i < 2 * RING && (i % 2 == 0 || book->next - book->checkpointed + SPARE < RING); i++)
			(void)calls(0, i % 2 ? CALL_UNPIN : CALL_PIN, KNOWN);
		begins(0, CALL_PUT, key);
	} while (!gets_to(0, MUTANT_NO_LOOK_AFTER_OPEN, 1) && key++ < 130);
	uint32_t segment = segment_given_up(), removed = world.failed ? 0 : key_in(segment);
	(void)calls(10, CALL_REMOVE, removed);
	scene_must(book->facts.count == MOST, "there is no room for another removal");
	goes_to(0, MUTANT_DOORBELL_EARLY, 1);
	uint64_t before = book->checkpointed;
	(void)calls(10, CALL_UNPIN, KNOWN);
	begins(10, CALL_PIN, KNOWN);
	(void)goes_for(10, 1000); /* it is stated; then it waits for room that the put has */
	scene_must(book->checkpointed != before, "a checkpoint is written");
	dies(0);
	opens(1);
	stage.stale = true;
	(void)calls(1, CALL_GET, removed);
}

/* ---- attaching ---- */

/*
 * Host 1 has won a slot, and stands still before it writes anything else there.  Host 2 waits until that slot is its own.  Host 1 wakes up, and
 * must not write to it any more.
 */
static void attach_unguarded(void)
{
	opens(0);
	(void)calls(0, CALL_PUT, 0);
	begins_to_open(1);
	goes_to(1, MUTANT_ATTACH_UNGUARDED, 1);
	stands_still(1);
	opens(2);
	(void)calls(2, CALL_REMOVE, 0);
	stands_still(2);
	(void)ends(1);
	(void)calls(0, CALL_GET, 0);
}

static uint64_t cell(uint32_t copy, uint32_t slot) { return layout_slot_cell(&world.layout, copy, slot); }

/*
 * Host 1 stands still in its claim of slot 1, which host 2 wins then, and leaves.  Host 1 writes its cell over one copy of that.  The other must
 * say that host 2 has left: else nobody has the slot until it has been silent for long.
 */
static void left_once(void)
{
	enum { AT_ONCE = 20000 };

	opens(0);
	begins_to_open(1);
	goes_to_store(1, cell(0, 1), PAGE, 1);
	stands_still(1);
	opens(2);
	closes(2);
	goes_until(1, EVENT_LAND, 1);
	dies(1);
	begins_to_open(3);
	if (goes_for(3, AT_ONCE))
		broken("a slot whose holder has left is not to be had");
}

/*
 * Slot 1 is of host 3, which leaves; then of host 1, which owes that one's log when host 2 reads its cell.  Host 2 stands still until host 1 has
 * removed a block, and left; then it finds the slot free, and must not claim it by what it had read: else it names the wrong log as owed.
 */
static void chosen_believed(void)
{
	opens(0);
	(void)calls(0, CALL_PUT, 0);
	opens(3);
	closes(3);
	begins_to_open(1);
	goes_to(1, MUTANT_ATTACH_UNGUARDED, 1);
	stands_still(1);
	begins_to_open(2);
	goes_to_sleep(2);
	goes_to_read(2, cell(1, 0), 2); /* with all others, and once more: is the holder of slot 0 gone? */
	stands_still(2);
	(void)ends(1);
	(void)calls(1, CALL_REMOVE, 0);
	closes(1);
	goes_to(2, MUTANT_ATTACH_UNGUARDED, 1);
	stands_still(2);
	stage.stale = true;
	(void)calls(0, CALL_GET, 0);
}

/* ---- what was removed goes from the index ---- */

/* host 0 removes what host 1 puts, before host 1 says that it is there; another thread of host 1 hears of that first */
static void added_unasked(void)
{
	opens(0);
	opens(1);
	begins(1, CALL_PUT, 0);
	goes_to(1, MUTANT_RING_EARLY, 1);
	scene_must(calls(0, CALL_REMOVE, 0) == 1, "a block is removed that is not acknowledged yet");
	(void)calls(11, CALL_REFRESH, 0);
	scene_must(ends(1) == 0, "a block is acknowledged");
	(void)calls(0, CALL_REMOVE, 0);
	(void)calls(1, CALL_REFRESH, 0);
}

static bool reads_of_host_1(const struct command *c) { return c->agent->number == 1 && c->direction == MEDIA_READ; }

/* host 1 hears that a block was removed that it has in its index, and cannot read which one lies there; later it can */
static void gone_unread(void)
{
	opens(0);
	opens(1);
	(void)calls(0, CALL_PUT, 0);
	(void)calls(0, CALL_PUT, 1); /* from now on the device says that the first is live */
	(void)calls(1, CALL_REFRESH, 0);
	stage.fails = reads_of_host_1;
	(void)calls(0, CALL_REMOVE, 0);
	(void)calls(1, CALL_REFRESH, 0);
	stage.fails = NULL;
	(void)calls(1, CALL_REFRESH, 0);
}

/* the medium has lost a block's header, but not its entry; host 1 has it in its index, and hears that host 0 has removed it: one look is enough */
static void gone_late(void)
{
	opens(0);
	opens(1);
	(void)calls(0, CALL_PUT, 0);
	(void)calls(0, CALL_PUT, 1); /* as above */
	(void)calls(1, CALL_REFRESH, 0);
	uint32_t segment = segment_of_key(0);
	scene_must(segment != UINT32_MAX && world.shadow[segment].places[0].instance == 0, "the block is not the first of its segment");
	if (world.failed)
		return;
	memset(world.image + layout_segment(&world.layout, segment) + world.shadow[segment].places[0].page * PAGE, 0, PAGE);
	scene_must(calls(0, CALL_REMOVE, 0) == 1, "what is left of the block is removed");
	(void)calls(1, CALL_REFRESH, 0);
}

/* ---- pins ---- */

static bool log_of_another(const struct agent *a, uint64_t offset)
{
	return a->number == 1 && offset - world.layout.offset[REGION_LOG_RINGS] < world.layout.length[REGION_LOG_RINGS];
}

/*
 * Host 1 pins a block; it has read all logs, and stands still before its pin lands.  Host 0 says that it opens the block's segment anew, finds no
 * pin, and stands still before the table is begun.  Host 1 must read the logs once more, which the device does not answer for: then it
 * may not say that the block is pinned.
 */
static void pin_logs_unread(void)
{
	uint32_t key = 1;

	opens(0);
	opens(1);
	uint32_t segment = puts_key_0();
	do
		begins(0, CALL_PUT, key);
	while (!gets_to(0, MUTANT_PIN_LOOK_AT_RETIRE_ONLY, 1) && key++ < 30);
	(void)ends(0);
	begins(1, CALL_PIN, 0);
	goes_to_store(1, world.layout.offset[REGION_LOG_RINGS], world.layout.length[REGION_LOG_RINGS], 1);
	do
		begins(0, CALL_PUT, ++key);
	while (!gets_to(0, MUTANT_DOORBELL_EARLY, 1) && key < 60);
	scene_must(segment_given_up() == segment, "the block's segment is given up");
	stage.unread = log_of_another;
	(void)ends(1);
	stage.unread = NULL;
	(void)ends(0);
}

/*
 * The segment of a block is given up, by host 0, which stands still then; so host 1 pins it, and has to move it.  It stands still until it is
 * out of its lease, and may open no segment; and once more, until its heartbeats go on: nothing is wrong with the medium.
 */
static void lapse_asked_late(void)
{
	enum { STILL = 25000 };
	uint32_t key = 1;

	opens(0);
	opens(1);
	uint32_t segment = puts_key_0();
	do
		begins(0, CALL_PUT, key);
	while (!(gets_to(0, MUTANT_DOORBELL_EARLY, 1) && segment_given_up() == segment) && key++ < 30);
	scene_must(segment_given_up() == segment, "the block's segment is given up");
	stands_still(0);
	begins(1, CALL_PIN, 0);
	goes_to(1, MUTANT_GONE_BELIEVED, 1);
	helpers_stand_still(1);
	stands_still(1);
	time_passes(SUSPECT);
	goes_to(1, MUTANT_LAPSE_ASKED_LATE, 1);
	time_passes(STILL);
	scene_must(ends(1) == 1, "the block is moved, and pinned");
	(void)ends(0);
	(void)calls(0, CALL_GET, 0);
}

/* ---- reading by the index ---- */

static bool block_of_host_0(const struct command *c)
{
	return c->agent->number == 0 && c->direction == MEDIA_WRITE && c->segment != NEVER &&
	       c->page * PAGE != layout_segment(&world.layout, c->segment);
}

/*
 * A block went with its segment, which was opened anew, so that nothing tells of its removal after that; then its key is put in the very place
 * where it lay.  The entry has landed, the block has not, when host 1 reads it by its index.
 */
static void index_of_before(void)
{
	uint32_t key = 2;

	opens(0);
	opens(1);
	(void)calls(0, CALL_PUT, 1);
	const struct shadow_segment *shadow = &world.shadow[puts_key_0()];
	uint64_t generation = shadow->generation;
	while ((shadow->generation == generation || shadow->places[0].generation != shadow->generation) && key < 40)
		(void)calls(0, CALL_PUT, key++);
	scene_must(shadow->generation != generation && segment_of_key(0) == UINT32_MAX, "the segment is opened anew");
	(void)calls(0, CALL_REMOVE, 0);
	stage.late = block_of_host_0;
	begins(0, CALL_PUT, 0);
	goes_until(0, EVENT_ENTRY, 1);
	stage.by_index = true;
	(void)calls(1, CALL_GET, 0);
	stage.by_index = false;
	stage.late = NULL;
	(void)ends(0);
}

/* ---- room ---- */

static void many_slots(struct setup *s, struct geometry *geo)
{
	hosts(s, geo, AGENTS_MAX);
	s->keys = 60;
}

/* segments that nobody has had */
static uint32_t virgins(void)
{
	uint32_t count = 0;

	for (uint32_t s = 0; s < world.layout.geo.segments; s++)
		count += world.stated[s].version == 0;
	return count;
}

/* there is a pin; host 0 has all segments but one, which host 1 finds when it puts, and may not fill: it is kept for moves */
static void one_segment_each(void)
{
	opens(0);
	(void)calls(0, CALL_PUT, 0);
	(void)calls(0, CALL_PIN, 0);
	for (uint32_t key = 1; virgins() > 1 && key < 30; key++)
		(void)calls(0, CALL_PUT, key);
	scene_must(virgins() == 1, "there is one segment that nobody has had");
	stands_still(0);
	opens(1);
	scene_must(calls(1, CALL_PUT, 30) == MEMKV_NO_ROOM, "what host 1 has is kept for moves");
}

/* host 0 leaves: what it had is there for host 1 */
static void reserved_of_own(void)
{
	one_segment_each();
	closes(0);
	if (calls(1, CALL_PUT, 31) == MEMKV_NO_ROOM)
		broken("a host finds no room, and has not looked what another has left");
}

/* a newcomer that has nothing waits for others, once; no other put does */
static void give_waited_for(void)
{
	enum { BEAT = 1000 };

	one_segment_each();
	begins(1, CALL_PUT, 31);
	if (goes_for(1, BEAT))
		broken("a put waits for other hosts to give it room");
}

/* ---- silence ---- */

/* host 1 stands still while it asks whether host 0 is silent, and goes on before it has looked again; all that time host 0 was heard of */
static void silence_guessed(void)
{
	opens(0);
	for (uint32_t key = 0; virgins() > 0 && key < 30; key++)
		(void)calls(0, CALL_PUT, key);
	scene_must(virgins() == 0, "host 0 has all segments");
	opens(1);
	begins(1, CALL_PUT, 30);
	goes_to(1, MUTANT_SILENCE_GUESSED, 1);
	stands_still(1);
	helpers_stand_still(1);
	time_passes(SUSPECT);
	(void)ends(1);
	for (uint32_t s = 0; s < world.layout.geo.segments; s++)
		if (world.stated[s].kind == RECORD_ADOPT && world.stated[s].slot == 1)
			broken("segment %u is adopted from a host that is heard of", s);
}

const struct scene scenes_overtaken[] = {
	{MUTANT_ADDED_UNASKED, "which left it in the index", MEDIUM_SHARED, added_unasked, two_hosts},
	{MUTANT_GONE_UNREAD, "which left it in the index", MEDIUM_SHARED, gone_unread, two_hosts},
	{MUTANT_GONE_LATE, "which left it in the index", MEDIUM_SHARED, gone_late, two_hosts},
	{MUTANT_LEFT_ONCE, "is not to be had", MEDIUM_SHARED, left_once, two_hosts},
	{MUTANT_CHOSEN_BELIEVED, "was removed before the get began", MEDIUM_SHARED, chosen_believed, two_hosts},
	{MUTANT_WORD_BY_FORCE, "a fresh look does not see it", MEDIUM_SHARED, word_by_force, two_hosts},
	{MUTANT_SILENCE_GUESSED, "is adopted from a host that is heard of", MEDIUM_SHARED, silence_guessed, two_hosts},
	{MUTANT_INDEX_OF_BEFORE, "is returned by the index", MEDIUM_SHARED, index_of_before, two_hosts},
	{MUTANT_RESERVED_OF_OWN, "finds no room", MEDIUM_SHARED, reserved_of_own, many_slots},
	{MUTANT_GIVE_WAITED_FOR, "waits for other hosts", MEDIUM_SHARED, give_waited_for, many_slots},
	{MUTANT_ATTACH_UNGUARDED, "comes a second time", MEDIUM_SHARED, attach_unguarded, two_hosts},
	{MUTANT_LAPSE_ASKED_LATE, "nothing was wrong", MEDIUM_SHARED, lapse_asked_late, two_hosts},
	{MUTANT_PIN_LOGS_UNREAD, "is pinned", MEDIUM_SHARED, pin_logs_unread, two_hosts},
	{MUTANT_DEL_FORGOTTEN_EARLY, "was removed before the get began", MEDIUM_SHARED, del_forgotten_early, small_checkpoints},
	{MUTANT_REOPENED_UNREAD, "a fresh look does not see it", MEDIUM_SHARED, reopened_unread, two_hosts},
	{MUTANT_STANDS_FROM_MIRROR, "was removed before the get began", MEDIUM_SHARED, stands_from_mirror, two_hosts},
	{MUTANT_ADOPTED_SETTLED, "a fresh look does not see it", MEDIUM_SHARED, adopted_settled, two_hosts},
	{.play = NULL},
};
