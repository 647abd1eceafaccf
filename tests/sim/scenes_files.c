/* SPDX-License-Identifier: Apache-2.0 */
/* Scenes of files and memory: see stage.h. */
#include "core/slot/control.h"
#include "stage.h"

static void many_keys(struct setup *s, struct geometry *geo)
{
	geo->segments = 8;
	s->keys = 40;
}

/*
 * Process 0 puts until it has chosen a segment to be emptied next: the key of a block there.  Processes 1 and 2 have room of their own,
 * and a segment is kept FREE for moves.
 */
static uint32_t victim_of_0(void)
{
	opens(0);
	opens(1);
	opens(2);
	(void)calls(1, CALL_PUT, 30);
	(void)calls(2, CALL_PUT, 31);
	(void)calls(1, CALL_PIN, 30);
	for (uint32_t key = 0; key < 20 && !world.failed && !any_segment_is(OWNER_LEAVING); key++)
		(void)calls(0, CALL_PUT, key);
	return key_in(segment_that_is(OWNER_LEAVING));
}

/* it goes on, up to where it has looked for pins there, and withdraws the table next */
static void empties_it(void)
{
	begins(0, CALL_PUT, 20);
	(void)ends(0);
	begins(0, CALL_PUT, 21);
	goes_to(0, MUTANT_HOLDS_AT_RETIRE, 1);
}

/*
 * Process 0 empties a segment, and has looked for pins.  Process 1 pins a block there, and reads it to move it; then the table is
 * withdrawn, and process 2 removes the key: it finds nothing, and leaves the old life word as it is.
 */
static void move_from_withdrawn(void)
{
	uint32_t key = victim_of_0();

	empties_it();
	begins(1, CALL_PIN, key);
	goes_to(1, MUTANT_MOVE_LIVE, 1);
	goes_until(0, EVENT_OWNER, 1);
	(void)calls(2, CALL_REMOVE, key);
	(void)ends(1);
	(void)ends(0);
	all_look();
}

/* ---- what power loss leaves ---- */

static uint32_t torn; /* the segment of which something is lost */

static uint64_t table_of(uint32_t segment) { return layout_table(&world.layout, segment); }

static uint64_t page_of(uint32_t segment) { return layout_segment(&world.layout, segment) / PAGE; }

static bool is_header(uint64_t at) { return at / PAGE == table_of(torn) / PAGE; }

static bool is_pulse(uint64_t at)
{
	return at - world.layout.offset[REGION_PULSES] < world.layout.length[REGION_PULSES];
}

static bool keeps_but_header(uint64_t at) { return !is_header(at); }

static bool keeps_but_header_and_pulses(uint64_t at) { return !is_header(at) && !is_pulse(at); }

static bool no_header_for_2(const struct command *c)
{
	return c->agent->number == 2 && c->direction == MEDIA_READ && c->page == page_of(torn);
}

/*
 * Power loss has taken a table's header.  Process 1 finds the block by the segment's own; process 2 cannot read that when it attaches.
 * It removes the key.
 */
static void attach_unread(bool (*keeps)(uint64_t offset))
{
	opens(0);
	(void)calls(0, CALL_PUT, 0);
	torn = segment_of_key(0);
	stage.keeps = keeps;
	power_fails();
	opens(1);
	stage.fails = no_header_for_2;
	opens(2);
	stage.fails = NULL;
	(void)calls(2, CALL_REMOVE, 0);
	(void)calls(1, CALL_GET, 0);
	all_look();
}

static void silence_believed(void) { attach_unread(keeps_but_header); }

static void unread_seen(void) { attach_unread(keeps_but_header_and_pulses); }

/*
 * Likewise; process 1 removes the key, and has just read the segment's own header when process 2 goes on in the segment, and mends that of
 * the table.
 */
static void mend_unseen(void)
{
	(void)header_is_lost();
	opens(1);
	opens(2);
	begins(1, CALL_REMOVE, 0);
	goes_to(1, MUTANT_MEND_UNSEEN, 1);
	begins(2, CALL_PUT, 1);
	goes_until(2, EVENT_HEADER, 1);
	(void)ends(1);
	(void)ends(2);
	(void)calls(2, CALL_GET, 0);
	all_look();
}

static bool keeps_but_owner(uint64_t at) { return at != world.layout.offset[REGION_OWNER_WORDS] + torn * 8ULL; }

/* pulses and bells are advisory: what is damaged there rings for a segment that nobody has touched */
static void rings_by_itself(uint32_t segment)
{
	uint64_t statistics = world.layout.offset[REGION_STATISTICS];

	world.image[layout_pulse(&world.layout, segment)] ^= 1;
	world.image[statistics + STATISTICS_DOORBELL] ^= 1;
	for (uint32_t group = 0; group < MEMKV_GROUPS; group++)
		world.image[statistics + STATISTICS_GROUPS + group * 8ULL] ^= 1;
}

/*
 * Power loss has left a table whose segment is FREE again.  Process 2 removes a key that was there, and does not meet it; then something
 * rings.
 */
static void left_over_folded(void)
{
	opens(0);
	(void)calls(0, CALL_PUT, 0);
	(void)calls(0, CALL_PUT, 1);
	torn = segment_of_key(0);
	stage.keeps = keeps_but_owner;
	power_fails();
	opens(1);
	opens(2);
	(void)calls(2, CALL_REMOVE, 1);
	rings_by_itself(torn);
	(void)calls(1, CALL_GET, 1);
	all_look();
}

static bool is_entry(uint64_t at) { return at - (table_of(torn) + PAGE) < world.layout.table_bytes - PAGE; }

static bool is_block(uint64_t at) { return at - (page_of(torn) + 1) * PAGE < 4ULL * PAGE; }

/* of the entry its life word is there */
static bool keeps_but_tail(uint64_t at)
{
	return at != table_of(torn) + TABLE_TAIL_OFFSET && (!is_entry(at) || at == table_of(torn) + PAGE + ENTRY_LIFE_OFFSET);
}

/* of an entry only the first word is there: it is damaged */
static bool keeps_but_blocks(uint64_t at) { return !is_block(at) && (!is_entry(at) || at == table_of(torn) + PAGE); }

/* power fails twice: of key 0 it leaves what @keeps; then that is removed, its segment continued, and what is put there lost */
static void lost_again(bool (*keeps)(uint64_t at))
{
	opens(0);
	(void)calls(0, CALL_PUT, 0);
	torn = segment_of_key(0);
	stage.keeps = keeps;
	power_fails();
	opens(1);
	(void)calls(1, CALL_REMOVE, 0);
	(void)calls(1, CALL_PUT, 1);
	stage.keeps = keeps_but_blocks;
	power_fails();
	opens(1);
	(void)calls(1, CALL_GET, 0);
	all_look();
}

/*
 * Power loss has taken tail and entry of key 0, and its block is there.  The key is removed, and the segment continued: the next
 * block and its entry are lost with the power again, and the new tail not.
 */
static void left_behind(void) { lost_again(keeps_but_tail); }

static bool keeps_but_entry(uint64_t at) { return !is_entry(at) || at == table_of(torn) + PAGE + ENTRY_LIFE_OFFSET; }

/*
 * Power loss has taken the entry of key 0 but for its life word; tail and block are there.  The key is removed, and the segment continued: the
 * entry that makes the place void is torn by the next power loss, which takes as well what was put over the block.
 */
static void left_open_voided(void) { lost_again(keeps_but_entry); }

/* of the second place */
static uint64_t second_entry(void) { return table_of(torn) + PAGE + ENTRY_BYTES; }

static bool keeps_but_tail_and_entries(uint64_t at)
{
	return at != table_of(torn) + TABLE_TAIL_OFFSET && (!is_entry(at) || at == second_entry() + ENTRY_LIFE_OFFSET) &&
	       at - (page_of(torn) + 1) * PAGE >= 2ULL * PAGE;
}

static bool keeps_but_second_block(uint64_t at)
{
	bool entry = at - second_entry() < ENTRY_BYTES, block = at - (page_of(torn) + 3) * PAGE < 2ULL * PAGE;

	return !block && (!entry || at == second_entry());
}

static bool writes_of_0(const struct command *c) { return c->agent->number == 0 && c->direction == MEDIA_WRITE && c->page > page_of(torn); }

/* the same behind the tail, and not at once behind it: the first place was void */
static void left_far_behind(void)
{
	opens(0);
	(void)calls(0, CALL_PUT, 7);
	torn = segment_that_is(OWNER_OPEN);
	(void)calls(0, CALL_PUT, 6);
	torn++;
	stage.fails = writes_of_0;
	(void)calls(0, CALL_PUT, 0);
	stage.fails = NULL;
	(void)calls(0, CALL_PUT, 1);
	scene_must(segment_of_key(1) == torn, "the block is elsewhere");
	stage.keeps = keeps_but_tail_and_entries;
	power_fails();
	opens(1);
	(void)calls(1, CALL_REMOVE, 1);
	(void)calls(1, CALL_PUT, 2);
	(void)calls(1, CALL_PUT, 3);
	scene_must(segment_of_key(3) == torn, "the block is not put over the other");
	stage.keeps = keeps_but_second_block;
	power_fails();
	opens(1);
	(void)calls(1, CALL_GET, 1);
	all_look();
}

/* one word of the key in the entry of its first place */
static bool keeps_but_word(uint64_t at) { return at != table_of(torn) + PAGE + 6 * 8; }

static bool no_block_for_2(const struct command *c)
{
	return c->agent->number == 2 && c->direction == MEDIA_READ && c->page == page_of(torn) + 1;
}

/*
 * Power loss has torn the entry of key 0, which its block tells of.  Process 1 holds it in place; process 2 continues the segment, and
 * cannot read the block.
 */
static void silent_resumed(void)
{
	opens(0);
	(void)calls(0, CALL_PUT, 0);
	torn = segment_of_key(0);
	stage.keeps = keeps_but_word;
	power_fails();
	opens(1);
	begins(1, CALL_HOLD, 0);
	goes_to_sleep(1);
	stage.fails = no_block_for_2;
	opens(2);
	(void)calls(2, CALL_PUT, 1);
	stage.fails = NULL;
	(void)ends(1);
	all_look();
}

/*
 * Power loss has taken a table's header, and process 1 has found its blocks by the segment's own.  Process 2 empties the segment and dies when
 * it has written over that; process 3 comes, and removes a key that was there.
 */
static void only_source_overwritten(void)
{
	opens(0);
	for (uint32_t key = 0; key < 16; key++)
		(void)calls(0, CALL_PUT, key);
	torn = 0;
	uint32_t key = key_in(torn);
	stage.keeps = keeps_but_header;
	power_fails();
	opens(1);
	opens(2);
	begins(2, CALL_PUT, 20);
	goes_to(2, MUTANT_HOLDS_AT_RETIRE, 1);
	dies(2);
	opens(3);
	(void)calls(3, CALL_REMOVE, key);
	(void)calls(1, CALL_GET, key);
	all_look();
}

/* of the table's header every second word, and nothing of the segment's own */
static bool keeps_half_of_header(uint64_t offset)
{
	bool half = offset - layout_table(&world.layout, torn) < TABLE_HEADER_BYTES && offset % 16 == 0;

	return !half && offset / PAGE != layout_segment(&world.layout, torn) / PAGE;
}

/*
 * A victim is emptied for moves that may come, and stays FREE; what was in it is removed.  Then it is begun, and of that power loss
 * leaves half of the table's header, and the segment's own header as it was.
 */
static void own_header_unflushed(void)
{
	uint32_t last = 0;

	opens(0);
	opens(1);
	for (uint32_t key = 0; key < world.layout.segments * 2; key++) {
		(void)calls(0, CALL_PUT, key);
		last = key;
	}
	(void)calls(1, CALL_PIN, last);
	torn = segment_that_is(OWNER_FREE);
	(void)calls(1, CALL_REMOVE, 2);
	(void)calls(1, CALL_REMOVE, 3);
	(void)calls(1, CALL_UNPIN, last);
	begins(1, CALL_PUT, 20);
	goes_until(1, EVENT_HEADER, 1);
	stage.keeps = keeps_half_of_header;
	power_fails();
	opens(2);
	all_look();
}

static bool keeps_but_words_and_header(uint64_t at)
{
	return at - world.layout.offset[REGION_OWNER_WORDS] >= world.layout.length[REGION_OWNER_WORDS] && !is_header(at);
}

/* power loss takes all words and a table's header; what is in it is removed, then somebody takes it, and dies at once */
static void blank_left_over(void)
{
	opens(0);
	(void)calls(0, CALL_PUT, 0);
	(void)calls(0, CALL_PUT, 1);
	torn = segment_of_key(0);
	stage.keeps = keeps_but_words_and_header;
	power_fails();
	opens(1);
	opens(2);
	(void)calls(1, CALL_REMOVE, 0);
	begins(2, CALL_PUT, 20);
	goes_until(2, EVENT_OWNER, 1);
	dies(2);
	opens(3);
	all_look();
}

static bool keeps_but_tail_word(uint64_t at) { return at != table_of(torn) + TABLE_TAIL_OFFSET; }

static bool keeps_but_header_and_entries(uint64_t at) { return at - table_of(torn) >= TABLE_HEADER_BYTES && !is_entry(at); }

/*
 * Power loss takes a tail, and leaves the entry behind it, which is removed.  When the segment is opened anew power fails again, and of
 * that nothing is left but the new tail: then places are counted by the entries that there are.
 */
static void behind_tail_left(void)
{
	uint32_t key = 0;

	opens(0);
	world.setup.durable = 65536;
	(void)calls(0, CALL_PUT, key++);
	world.setup.durable = 0;
	torn = segment_of_key(0);
	while (key < world.layout.segments * 2)
		(void)calls(0, CALL_PUT, key++);
	stage.keeps = keeps_but_tail_word;
	power_fails();
	opens(1);
	(void)calls(1, CALL_REMOVE, 1);
	(void)puts_until_anew(1, torn, key);
	stage.keeps = keeps_but_header_and_entries;
	power_fails();
	opens(2);
	all_look();
}

/* ---- replacing puts ---- */

/* what is there moves while a replacing put notes it, and its old place is opened anew; its birth is the higher one */
static void note_once(void)
{
	uint32_t key = victim_of_0();

	world.setup.replace = 65536;
	begins(1, CALL_PUT, key);
	goes_to(1, MUTANT_NOTE_ONCE, 1);
	(void)calls(2, CALL_PIN, key);
	(void)calls(2, CALL_UNPIN, key);
	(void)calls(0, CALL_PUT, 20);
	(void)calls(0, CALL_PUT, 21);
	(void)ends(1);
	all_look();
}

/*
 * A replacing put finds what it replaces pinned meanwhile, in a segment that is being emptied; while it looks whether a copy holds,
 * who pinned has moved it.
 */
static void gone_believed(void)
{
	uint32_t key = victim_of_0();

	world.setup.replace = 65536;
	begins(1, CALL_PUT, key);
	goes_to(1, MUTANT_PUBLISH_EARLY, 2);
	begins(0, CALL_PUT, 20);
	(void)ends(0);
	begins(0, CALL_PUT, 21);
	goes_to(0, MUTANT_HOLDS_AT_RETIRE, 1);
	begins(2, CALL_PIN, key);
	goes_to(2, MUTANT_MOVE_LIVE, 1);
	goes_to(1, MUTANT_GONE_BELIEVED, 2);
	(void)ends(2);
	goes_until(0, EVENT_OWNER, 1);
	(void)ends(1);
	(void)ends(0);
	all_look();
}

/* ---- pins ---- */

/* where process 0 was, the first who came, has its checkpoints */
static uint64_t checkpoint(unsigned area) { return layout_checkpoint(&world.layout, 0, area); }

static bool keeps_but_checkpoint(uint64_t at) { return at - checkpoint(1) >= world.layout.geo.checkpoint_bytes; }

/*
 * Processes that take a slot one after the other write down what is pinned.  The third dies before it has flushed that; the fourth has
 * just withdrawn the checkpoint before when the power goes.
 */
static void checkpoint_unflushed(void)
{
	world.setup.durable = 65536;
	opens(0);
	(void)calls(0, CALL_PUT, 0);
	(void)calls(0, CALL_PIN, 0);
	dies(0);
	opens(1);
	(void)calls(1, CALL_PUT, 1);
	(void)calls(1, CALL_PIN, 1);
	dies(1);
	begins_to_open(2);
	goes_to_store(2, checkpoint(1) + 8, 8, 3);
	dies(2);
	begins_to_open(3);
	goes_to_store(3, checkpoint(0) + 8, 8, 1);
	stage.keeps = keeps_but_checkpoint;
	power_fails();
	opens(0);
	all_look();
}

static uint32_t segments_with(uint32_t key)
{
	uint32_t count = 0;

	for (uint32_t s = 0; s < world.layout.geo.segments; s++)
		for (uint32_t n = 0; world.shadow[s].generation && n < world.layout.geo.entries; n++) {
			const struct shadow_place *p = &world.shadow[s].places[n];
			count += p->generation == world.shadow[s].generation && p->life == SHADOW_LIVE &&
				 p->instance != UINT32_MAX && world.instances[p->instance].key == key;
		}
	return count;
}

/*
 * A replacing put meets a higher one and gives way.  Before it has, the higher one is evicted, and the key pinned: by the lower one, which is all
 * that there is.
 */
static void outdone_forced(void)
{
	opens(0);
	opens(1);
	opens(3);
	(void)calls(1, CALL_PUT, 30);
	world.setup.replace = 65536;
	begins(1, CALL_PUT, 25);
	goes_to(1, MUTANT_PUBLISH_EARLY, 2);
	world.setup.replace = 0;
	(void)calls(0, CALL_PUT, 25);
	if (!gets_to(1, MUTANT_OUTDONE_FORCED, 1))
		return; /* its birth is the higher one */
	for (uint32_t key = 0; key < 24 && !world.failed && segments_with(25) > 1; key++)
		(void)calls(0, CALL_PUT, key);
	(void)calls(3, CALL_PIN, 25);
	(void)ends(1);
	all_look();
}

/* who has published a block stands still before it rings; who pins the block has found it by the ring of the one before */
static void pin_untold(void)
{
	opens(0);
	opens(1);
	opens(2);
	(void)calls(0, CALL_PUT, 1);
	(void)calls(2, CALL_REFRESH, 0);
	begins(0, CALL_PUT, 0);
	goes_until(0, EVENT_ENTRY, 1);
	(void)calls(1, CALL_PIN, 0);
	(void)calls(2, CALL_REFRESH, 0);
	(void)ends(0);
	all_look();
}

/* ---- followers ---- */

/*
 * Process 1 looks, and has passed the segment of process 2, which lies below all others.  Then process 2 moves a block there, out of a segment
 * that process 0 opens anew, and process 1 has never seen that one.
 */
static void unseen_not_lost(void)
{
	opens(1);
	opens(2);
	(void)calls(2, CALL_PUT, 30);
	(void)calls(2, CALL_PIN, 30);
	scene_must(segment_of_key(30) == 0, "the first segment that is taken is not the first one");
	opens(0);
	for (uint32_t key = 0; key < 20 && !world.failed && !any_segment_is(OWNER_LEAVING); key++)
		(void)calls(0, CALL_PUT, key);
	uint32_t victim = segment_that_is(OWNER_LEAVING), key = key_in(victim);
	begins(1, CALL_REFRESH, 0);
	goes_to(1, MUTANT_UNSEEN_NOT_LOST, 3); /* two for each that it folds */
	(void)calls(2, CALL_PIN, key);
	for (uint32_t n = 20; n < 23; n++)
		(void)calls(0, CALL_PUT, n);
	(void)ends(1);
	all_look();
}

/*
 * Process 1 has seen a segment when it had one block, and looks at it again: it has loaded the table's header when the second block
 * is moved to a segment that process 1 has passed, and others come in its place.
 */
static void fold_stands_at(enum sim_mutant spot, uint32_t nth)
{
	uint32_t n = 0;

	opens(1);
	opens(2);
	(void)calls(2, CALL_PUT, 30);
	(void)calls(2, CALL_PIN, 30);
	opens(0);
	for (; n < 20 && !world.failed && !any_segment_is(OWNER_LEAVING); n++)
		(void)calls(0, CALL_PUT, n);
	uint32_t victim = segment_of_key(n - 1);
	(void)calls(1, CALL_REFRESH, 0);
	(void)calls(0, CALL_PUT, n);
	scene_must(segment_of_key(n) == victim, "the second block comes to another segment");
	begins(1, CALL_REFRESH, 0);
	goes_to(1, spot, nth);
	uint32_t key = n + 1;
	for (; key < 29 && !world.failed && segment_that_is(OWNER_LEAVING) != victim; key++)
		(void)calls(0, CALL_PUT, key);
	(void)calls(2, CALL_PIN, n);
	for (uint32_t end = key + 3; key < end; key++)
		(void)calls(0, CALL_PUT, key);
	(void)ends(1);
	all_look();
}

static void fold_no_second_look(void) { fold_stands_at(MUTANT_FOLD_NO_SECOND_LOOK, 1); }

/* the same, and it has looked at the header once more when it stands still: the entries are next */
static void fold_looks_before(void) { fold_stands_at(MUTANT_FOLD_LOOKS_BEFORE, 3); }

static void expiring(struct setup *s, struct geometry *geo)
{
	(void)geo;
	s->ttl = 65536;
}

static uint64_t cell(uint32_t copy) { return layout_slot_cell(&world.layout, copy, 0); }

/*
 * Process 1 pins a block, and leaves; that expires.  Process 2 claims its slot, and dies while it writes the first copy of its cell, the second one being
 * written.  So process 0 is writing the first one when process 3 looks at that, and the second one when process 3 looks at that: it finds
 * none, and is to look again.
 */
static void cells_torn(void)
{
	opens(1);
	(void)calls(1, CALL_PUT, 0);
	(void)calls(1, CALL_PIN, 0);
	world.clock += 31;
	closes(1);
	begins_to_open(2);
	goes_to_store(2, cell(0) + 64, 8, 1);
	dies(2);
	begins_to_open(0);
	goes_to_store(0, cell(0) + 64, 8, 1);
	begins_to_open(3);
	goes_to(3, MUTANT_CELLS_TORN, 1);
	goes_to_load(3, cell(1) + 8);
	goes_to_store(0, cell(1) + 64, 8, 1);
	(void)ends(3);
	(void)calls(3, CALL_GET, 0);
}

const struct scene scenes_files[] = {
	{MUTANT_CELLS_TORN, "a fresh get misses", MEDIUM_FILE, cells_torn, expiring},
	{MUTANT_MOVE_FROM_WITHDRAWN, "becomes live again, and was removed", MEDIUM_FILE, move_from_withdrawn, many_keys},
	{MUTANT_SILENCE_BELIEVED, "is returned, and was removed", MEDIUM_FILE, silence_believed, NULL},
	{MUTANT_UNREAD_SEEN, "is returned, and was removed", MEDIUM_FILE, unread_seen, NULL},
	{MUTANT_MEND_UNSEEN, "is returned, and was removed", MEDIUM_FILE, mend_unseen, NULL},
	{MUTANT_LEFT_OVER_FOLDED, "which is FREE", MEDIUM_FILE, left_over_folded, NULL},
	{MUTANT_LIVES_LEFT, "is there with its life word", MEDIUM_FILE, left_behind, NULL},
	{MUTANT_LIVES_LEFT, "is there with its life word", MEDIUM_FILE, left_open_voided, NULL},
	{MUTANT_LIVES_LEFT, "is there with its life word", MEDIUM_FILE, left_far_behind, NULL},
	{MUTANT_SILENT_RESUMED, "is there with its life word", MEDIUM_FILE, silent_resumed, NULL},
	{MUTANT_ONLY_SOURCE_OVERWRITTEN, "alone tells of its table", MEDIUM_FILE, only_source_overwritten, many_keys},
	{MUTANT_OWN_HEADER_UNFLUSHED, "and a power cut brought it back", MEDIUM_FILE, own_header_unflushed, many_keys},
	{MUTANT_BEHIND_TAIL_LEFT, "and a power cut brought it back", MEDIUM_FILE, behind_tail_left, many_keys},
	{MUTANT_BLANK_LEFT_OVER, "is returned, and was removed", MEDIUM_FILE, blank_left_over, many_keys},
	{MUTANT_NOTE_ONCE, "its removal has been acknowledged", MEDIUM_FILE, note_once, many_keys},
	{MUTANT_GONE_BELIEVED, "its removal has been acknowledged", MEDIUM_FILE, gone_believed, many_keys},
	{MUTANT_CHECKPOINT_UNFLUSHED, "the other one is not flushed", MEDIUM_FILE, checkpoint_unflushed, NULL},
	{MUTANT_OUTDONE_FORCED, "is pinned", MEDIUM_FILE, outdone_forced, many_keys},
	{MUTANT_PIN_UNTOLD, "a fresh look does not see it", MEDIUM_FILE, pin_untold, many_keys},
	{MUTANT_UNSEEN_NOT_LOST, "a fresh look does not see it", MEDIUM_FILE, unseen_not_lost, many_keys},
	{MUTANT_FOLD_NO_SECOND_LOOK, "a fresh look does not see it", MEDIUM_FILE, fold_no_second_look, many_keys},
	{MUTANT_FOLD_LOOKS_BEFORE, "a fresh look does not see it", MEDIUM_FILE, fold_looks_before, many_keys},
	{.play = NULL},
};
