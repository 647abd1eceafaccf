/* SPDX-License-Identifier: Apache-2.0 */
/* Scenes of files and memory: see stage.h. */
#include "stage.h"

/* the pool is full but for the segment that is kept while there is a pin; key 0 lies in the oldest one */
static void fill(player p)
{
	for (uint32_t key = 0; key < 10; key++)
		(void)calls(p, CALL_PUT, key);
}

static void many_keys(struct setup *s, struct geometry *geo)
{
	(void)geo;
	s->keys = 40;
}

/*
 * Process 0 empties a segment, and has looked for pins.  Process 1 pins a block there, and reads it to move it; then the table is
 * withdrawn, and process 2 removes the key: it finds nothing, and leaves the old life word as it is.
 */
static void move_from_withdrawn(void)
{
	opens(0);
	opens(1);
	opens(2);
	fill(0);
	(void)calls(1, CALL_PUT, 10);
	(void)calls(1, CALL_PIN, 9);
	(void)calls(2, CALL_REFRESH, 0);
	(void)calls(0, CALL_PUT, 20);
	uint32_t victim = key_in(segment_that_is(OWNER_LEAVING));
	(void)calls(0, CALL_PUT, 21);
	begins(0, CALL_PUT, 22);
	goes_to(0, MUTANT_HOLDS_AT_RETIRE, 1);
	begins(1, CALL_PIN, victim);
	goes_to(1, MUTANT_MOVE_LIVE, 1);
	goes_until(0, EVENT_OWNER, 1);
	(void)calls(2, CALL_REMOVE, victim);
	(void)ends(1);
	(void)ends(0);
	all_look();
}

const struct scene scenes_files[] = {
	{MUTANT_MOVE_FROM_WITHDRAWN, "becomes live again, and was removed", MEDIUM_FILE, move_from_withdrawn, many_keys},
	{.play = NULL},
};
