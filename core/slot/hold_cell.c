/* SPDX-License-Identifier: Apache-2.0 */
/* See hold_cell.h. */
#include "core/slot/hold_cell.h"

#include <string.h>

static void *cell_at(const struct control *c, uint32_t slot)
{
	return control_at(c, c->layout.offset[REGION_HOLD_CELLS] + (uint64_t)slot * PAGE);
}

void hold_cell_store(const struct control *c, const struct slot *me, struct hold_cell *cell)
{
	uint64_t words[CELL_WORDS];

	cell->slot = me->number;
	cell->epoch = me->epoch;
	cell->count = 0;
	for (uint32_t i = 0; i < HOLDS_PER_CELL; i++)
		if (cell->holds[i].generation)
			cell->count = i + 1;
	hold_cell_encode(cell, c->seed, (uint8_t *)words);
	checked_store(cell_at(c, me->number), words, CELL_WORDS); /* in the order of the words: a place's generation after its segment */
}

/* false: nothing was ever held by the slot */
static bool read_cell(const struct control *c, uint32_t slot, struct hold_cell *cell)
{
	const uint64_t *at = cell_at(c, slot);
	uint64_t words[CELL_WORDS];

	if (word_load(at + CHECK_WORD) == 0)
		return false;
	if (!checked_load(words, at, CELL_WORDS) ||
	    hold_cell_decode((const uint8_t *)words, slot, c->seed, cell) == CHECK_BAD) {
		words_load(words, at, CELL_WORDS);
		hold_cell_take((const uint8_t *)words, cell);
	}
	return true;
}

static bool lives(const struct control *c, const struct slot *me, uint32_t slot, uint32_t epoch)
{
	struct slot_cell cell;

	if (me->epoch && slot == me->number) /* a lock does not show to the description that holds it */
		return epoch == me->epoch;
	return slot_locked(c, slot) && (slot_read(c, slot, &cell) == CHECK_BAD || cell.epoch == epoch);
}

static bool names(const struct hold_cell *cell, uint64_t segment, uint64_t generation)
{
	for (uint32_t i = 0; i < cell->count; i++)
		if (cell->holds[i].segment == segment && cell->holds[i].generation &&
		    (generation == 0 || cell->holds[i].generation == generation))
			return true;
	return false;
}

bool hold_cell_held(const struct control *c, const struct slot *me, uint64_t segment, uint64_t generation)
{
	struct hold_cell cell;

	for (uint32_t n = 0; n < c->layout.geo.slots; n++)
		if (read_cell(c, n, &cell) && names(&cell, segment, generation) && lives(c, me, n, cell.epoch))
			return true;
	return false;
}

static uint32_t used(const struct hold_cell *cell)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < cell->count; i++)
		count += cell->holds[i].generation != 0;
	return count;
}

uint32_t hold_cell_count(const struct control *c, uint32_t slot, uint32_t epoch)
{
	struct hold_cell cell;

	return read_cell(c, slot, &cell) && cell.epoch == epoch ? used(&cell) : 0;
}

bool hold_cell_over(const struct control *c, const struct slot *me, uint64_t most)
{
	enum { ALL = SLOTS_MAX * HOLDS_PER_CELL, BITS = 64 };
	uint64_t seen[2 * ALL / BITS] = {0};
	struct hold_cell cell;
	uint64_t count = 0;

	if (most >= ALL)
		return false; /* there are not so many places; and fewer than 2 * ALL segments below */
	for (uint32_t n = 0; n < c->layout.geo.slots; n++) {
		if (!read_cell(c, n, &cell) || !used(&cell) || !lives(c, me, n, cell.epoch))
			continue;
		for (uint32_t i = 0; i < cell.count; i++) {
			uint32_t s = cell.holds[i].segment;
			if (!cell.holds[i].generation || s >= 2 * ALL || seen[s / BITS] >> s % BITS & 1)
				continue;
			seen[s / BITS] |= 1ULL << s % BITS;
			count++;
		}
	}
	return count > most;
}
