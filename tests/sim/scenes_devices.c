/* SPDX-License-Identifier: Apache-2.0 */
/* Scenes of block devices, whose one writer has a mirror that all of its threads see: see stage.h. */
#include "stage.h"

enum { OTHER = 10 /* the writer's second thread */ };

static void three_threads(struct setup *s, struct geometry *geo)
{
	(void)geo;
	s->threads = THREADS_MAX;
}

/*
 * Of process 0 one thread puts key 2: the entry stands in the mirror, and is not written yet.  The other one removes key 1, which lies
 * beside it: its write had begun before that, and by its ring this process has the new entry in its index.
 */
static void met_in_the_mirror(uint32_t durable, enum event event)
{
	opens(0);
	(void)calls(0, CALL_PUT, 1);
	(void)calls(0, CALL_REMOVE, 3); /* what was put off is written */
	world.setup.durable = durable;
	begins(0, CALL_PUT, 2);
	goes_until(0, event, 1);
	begins(OTHER, CALL_REMOVE, 1);
	goes_to(OTHER, MUTANT_FLAG_UNLOCKED, 1);
	goes_until(OTHER, EVENT_COMPLETE, 1);
	goes_to(0, MUTANT_PIN_UNPUBLISHED, 1);
	(void)ends(OTHER);
}

/* that key is pinned */
static void pin_unpublished(void)
{
	met_in_the_mirror(65536, EVENT_FLUSH);
	(void)calls(OTHER, CALL_PIN, 2);
	(void)ends(0);
	all_look();
}

static bool table_page(const struct command *c)
{
	uint64_t offset = c->page * PAGE - world.layout.offset[REGION_TABLES];

	return c->direction == MEDIA_WRITE && offset < world.layout.length[REGION_TABLES];
}

/* likewise; its block is known to have landed by no one yet, so the pinner moves it.  The put's entry, and so the copy's, cannot be written. */
static void pin_unwritten(void)
{
	met_in_the_mirror(0, EVENT_SUBMIT);
	begins(OTHER, CALL_PIN, 2);
	goes_to(OTHER, MUTANT_MOVE_LIVE, 1);
	stage.fails = table_page;
	(void)ends(0);
	stage.fails = NULL;
	(void)ends(OTHER);
	all_look();
}

static void segments_of_three(struct setup *s, struct geometry *geo)
{
	s->keys = 40;
	geo->entries = 3;
	geo->segment_pages = geo->last_pages = 7;
	geo->segment_room = 3ULL * geo->max_block;
}

/*
 * Process 1 looks, and has heard no ring; then process 0 fills the segment that it writes to, empties it, as little is left of it, and
 * opens it anew.  Key 1, which came there since the last look, has moved to where this look has been.
 */
static void growth(enum sim_mutant spot, uint32_t nth, uint32_t more)
{
	opens(0);
	for (uint32_t key = 10; key < 25; key++)
		(void)calls(0, CALL_PUT, key);
	(void)calls(0, CALL_PUT, 0);
	uint32_t segment = segment_of_key(0);
	opens(1);
	(void)calls(0, CALL_PUT, 1);
	uint64_t generation = world.shadow[segment].generation;
	begins(1, CALL_REFRESH, 0);
	goes_to(1, spot, nth);
	(void)calls(0, CALL_PUT, 2);
	(void)calls(0, CALL_REMOVE, 0);
	(void)calls(0, CALL_REMOVE, 2);
	uint32_t key = 25;
	while (key < 40 && world.shadow[segment].generation == generation)
		(void)calls(0, CALL_PUT, key++);
	while (more--)
		(void)calls(0, CALL_PUT, key++);
	scene_must(segment_of_key(1) != UINT32_MAX && segment_of_key(1) != segment, "a block is moved");
	(void)ends(1);
	all_look();
}

static void growth_not_lost(void) { growth(MUTANT_GROWTH_NOT_LOST, 1, 0); }

/* likewise, and it has read the header when it stands still: when it reads the entries there are others */
static void growth_looks_before(void) { growth(MUTANT_FOLD_LOOKS_BEFORE, 2, 5); }

static bool owner_words(const struct command *c)
{
	return c->page * PAGE - world.layout.offset[REGION_OWNER_WORDS] < world.layout.length[REGION_OWNER_WORDS];
}

/*
 * Process 0 dies when a segment's next table has landed, with a place that is reserved ahead, and the word that says OPEN has not.  The next
 * one takes the segment over, and leaves it when it closes.
 */
static void places_not_given_back(void)
{
	opens(0);
	for (uint32_t key = 0; key < 21; key++)
		(void)calls(0, CALL_PUT, key);
	begins(0, CALL_PUT, 21);
	goes_to(0, MUTANT_TABLE_UNSETTLED, 1);
	uint32_t segment = segment_that_is(OWNER_LEAVING);
	goes_until(0, EVENT_SUBMIT, 3);
	stage.sinks = owner_words;
	dies(0);
	stage.sinks = NULL;
	scene_must(segment == segment_that_is(OWNER_LEAVING), "the segment stays LEAVING");
	opens(0);
	(void)calls(0, CALL_PUT, 30);
	closes(0);
	opens(0);
	all_look();
}

static bool any_write(const struct command *c) { return c->direction == MEDIA_WRITE; }

/*
 * A segment is opened anew in the writer's mirror, and the device does not know yet.  Another thread removes what was there, and finds nothing: that
 * must last, also when the process dies at once.
 */
static void begun_unsettled(void)
{
	uint32_t key = 0, segment = UINT32_MAX;

	opens(0);
	for (; segment == UINT32_MAX && key < 39 && !world.failed; key++) {
		begins(0, CALL_PUT, key);
		while (segment == UINT32_MAX && gets_to(0, MUTANT_DOORBELL_EARLY, 1))
			for (uint32_t s = 0; s < world.layout.geo.segments; s++)
				if (world.shadow[s].begun_by && world.shadow[s].generation)
					segment = s;
	}
	uint32_t gone = world.failed ? 0 : key_in(segment);
	(void)calls(OTHER, CALL_REMOVE, gone);
	stage.sinks = any_write;
	dies(0);
	stage.sinks = NULL;
	opens(0);
	(void)calls(0, CALL_GET, gone);
}

static void threads_and_keys(struct setup *s, struct geometry *geo)
{
	three_threads(s, geo);
	s->keys = 40;
}

static void one_segment(struct setup *s, struct geometry *geo)
{
	(void)s;
	geo->entries = 5;
	geo->segment_pages = geo->last_pages = 11;
	geo->segment_room = 5ULL * geo->max_block;
}

/*
 * Process 1 attaches, and reads the only table there is: its entries, and then (in every second seed) its first page, which tells how often anything
 * was removed.  In between process 0 removes the block.
 */
static void brought_in_order(void)
{
	opens(0);
	(void)calls(0, CALL_PUT, 0);
	(void)calls(0, CALL_REMOVE, 3); /* what was put off is written */
	begins_to_open(1);
	goes_to_read(1, layout_table(&world.layout, 0) + PAGE, 1);
	(void)calls(0, CALL_REMOVE, 0);
	(void)ends(1);
	(void)calls(1, CALL_REFRESH, 0);
}

static void two_threads_of_three(struct setup *s, struct geometry *geo)
{
	three_threads(s, geo);
	segments_of_three(s, geo);
}

/*
 * Process 1 has key 1 in its index.  That is moved, as little is left of its segment; its old place is flagged in the writer's mirror, and
 * another thread removes the key.  Process 1 hears what that one rings, and looks at the old place before the flag is written there.
 */
static void retired_untold(void)
{
	bool met = false;

	opens(0);
	for (uint32_t key = 10; key < 25; key++)
		(void)calls(0, CALL_PUT, key);
	for (uint32_t key = 0; key < 3; key++)
		(void)calls(0, CALL_PUT, key);
	(void)calls(0, CALL_REMOVE, 0);
	(void)calls(0, CALL_REMOVE, 2);
	opens(1);
	for (uint32_t key = 25; key < 40 && !met; key++) {
		begins(0, CALL_PUT, key);
		met = gets_to(0, MUTANT_RETIRED_UNTOLD, 2);
	}
	scene_must(met, "a block is moved");
	begins(OTHER, CALL_REMOVE, 1);
	if (gets_to(OTHER, MUTANT_BEGUN_UNSETTLED, 1)) { /* else it waits until they are told */
		(void)calls(1, CALL_REFRESH, 0);
		(void)ends(OTHER);
		(void)calls(1, CALL_GET, 0);
	}
	(void)ends(0);
	(void)ends(OTHER);
	all_look();
}

/*
 * Power loss has taken a table's header, and process 1 has found its block by the segment's own.  The block is removed.  Process 1 hears of
 * that, and has just read the segment's own header again when the writer goes on in the segment, and mends that of the table.
 */
static void mend_unseen(void)
{
	(void)header_is_lost();
	opens(0);
	opens(1);
	(void)calls(0, CALL_REMOVE, 0);
	begins(1, CALL_GET, 1);
	goes_to(1, MUTANT_MEND_UNSEEN, 1);
	begins(0, CALL_PUT, 2);
	goes_until(0, EVENT_HEADER, 1);
	(void)ends(1);
	(void)ends(0);
	all_look();
}

const struct scene scenes_devices[] = {
	{MUTANT_BROUGHT_IN_ORDER, "left it in the index", MEDIUM_BLOCK, brought_in_order, one_segment},
	{MUTANT_BEGUN_UNSETTLED, "its removal has been acknowledged", MEDIUM_BLOCK, begun_unsettled, threads_and_keys},
	{MUTANT_PLACES_NOT_GIVEN_BACK, "was never written", MEDIUM_BLOCK, places_not_given_back, segments_of_three},
	{MUTANT_RETIRED_UNTOLD, "which left it in the index", MEDIUM_BLOCK, retired_untold, two_threads_of_three},
	{MUTANT_MEND_UNSEEN, "which left it in the index", MEDIUM_BLOCK, mend_unseen, NULL},
	{MUTANT_GROWTH_NOT_LOST, "a fresh look does not see it", MEDIUM_BLOCK, growth_not_lost, segments_of_three},
	{MUTANT_FOLD_LOOKS_BEFORE, "a fresh look does not see it", MEDIUM_BLOCK, growth_looks_before, segments_of_three},
	{MUTANT_PIN_UNPUBLISHED, "is pinned", MEDIUM_BLOCK, pin_unpublished, three_threads},
	{MUTANT_PIN_UNWRITTEN, "is pinned", MEDIUM_BLOCK, pin_unwritten, three_threads},
	{.play = NULL},
};
