/* SPDX-License-Identifier: Apache-2.0 */
/* Scenes of hosts that share a device, and stand still while another goes on in their place: see stage.h. */
#include "stage.h"

static void two_hosts(struct setup *s, struct geometry *geo)
{
	hosts(s, geo, 2);
	s->keys = 60;
}

enum { SUSPECT = 12000 }; /* longer than it takes until a host that is silent is given up */

/* host 0 empties the segment of key 0, which is moved since it was read; it stands still at the spot, and host 1 is there */
static uint32_t moves_key_0_up_to(enum sim_mutant spot)
{
	uint32_t key = 1;

	opens(0);
	opens(1);
	(void)calls(0, CALL_PUT, 0);
	uint32_t segment = segment_of_key(0);
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

const struct scene scenes_overtaken[] = {
	{MUTANT_STANDS_FROM_MIRROR, "was removed before the get began", MEDIUM_SHARED, stands_from_mirror, two_hosts},
	{MUTANT_ADOPTED_SETTLED, "a fresh look does not see it", MEDIUM_SHARED, adopted_settled, two_hosts},
	{.play = NULL},
};
