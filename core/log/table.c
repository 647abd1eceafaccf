/* SPDX-License-Identifier: Apache-2.0 */
/* See table.h. */
#include "core/log/table.h"
#include "core/format/cells.h"
#include "core/slot/own.h"

enum { HEADER_WORDS = TABLE_HEADER_BYTES / 8 };

bool table_refresh_header(const struct control *c, uint64_t segment)
{
	return control_there(c, segment) && control_refresh(c, control_table(c, segment), PAGE);
}

bool table_refresh_entries(const struct control *c, uint64_t segment, uint32_t from, uint32_t end)
{
	return from >= end || control_refresh(c, control_entry(c, segment, from), (size_t)(end - from) * ENTRY_BYTES);
}

bool table_refresh(const struct control *c, uint64_t segment)
{
	return control_there(c, segment) && control_refresh(c, control_table(c, segment), c->layout.table_bytes);
}

void table_forget(const struct control *c, uint64_t segment)
{
	c->media->ops->forget(c->media, layout_table(&c->layout, segment), c->layout.table_bytes);
}

enum check_result table_header(const struct control *c, uint64_t segment, struct table_header *header)
{
	uint64_t words[HEADER_WORDS];

	if (!checked_load(words, control_table(c, segment), HEADER_WORDS) ||
	    cell_blank((const uint8_t *)words, sizeof(words))) {
		*header = (struct table_header){.segment = (uint32_t)segment};
		return CHECK_GOOD;
	}
	return table_header_decode((const uint8_t *)words, segment, c->seed, header);
}

bool table_withdrawn(const struct control *c, uint64_t segment)
{
	return checked_withdrawn(control_table(c, segment));
}

bool table_never_begun(const struct control *c, uint64_t segment)
{
	struct table_header header;

	return table_header(c, segment, &header) == CHECK_GOOD && header.generation == 0 && !table_withdrawn(c, segment);
}

bool table_stands(const struct control *c, uint64_t segment, uint64_t generation)
{
	enum { GENERATION_WORD = 2 };
	const uint64_t *at = (const uint64_t *)(const void *)control_table(c, segment);
	struct table_header header;

	if (checked_withdrawn(at))
		return false;
	if (le64toh(word_load(at + GENERATION_WORD)) == generation)
		return true;
	return table_header(c, segment, &header) == CHECK_BAD || (header.generation == 0 && !checked_withdrawn(at)) ||
	       header.generation == generation;
}

static void store_tail(const struct control *c, uint64_t segment, uint64_t generation, uint32_t count)
{
	word_publish(control_table(c, segment) + TABLE_TAIL_OFFSET, tail_encode(count, segment, generation, c->seed));
}

void table_begin(const struct control *c, const struct table_header *header, uint32_t reserved)
{
	uint64_t words[HEADER_WORDS];

	/* the tail is bound to the generation: it changes while no header stands that it could contradict */
	checked_withdraw(control_table(c, header->segment));
	store_tail(c, header->segment, header->generation, reserved);
	table_header_encode(header, c->seed, (uint8_t *)words);
	checked_store(control_table(c, header->segment), words, HEADER_WORDS);
	control_publish_later(c, control_table(c, header->segment), PAGE); /* all in the first sector of one block */
}

/* without the tail word: one past the last entry that verifies */
static uint32_t count_entries(const struct control *c, uint64_t segment, uint64_t generation)
{
	struct entry entry;
	bool mended;

	for (uint32_t n = c->layout.geo.entries; n > 0; n--)
		if (table_entry(c, segment, generation, n - 1, &entry, &mended) == ENTRY_HERE)
			return n;
	return 0;
}

bool table_begun(const struct control *c, uint64_t segment, uint64_t generation)
{
	return word_load(control_table(c, segment) + TABLE_TAIL_OFFSET) != 0 || count_entries(c, segment, generation) > 0;
}

uint32_t table_count(const struct control *c, uint64_t segment, uint64_t generation, enum check_result *result)
{
	uint32_t count = 0;
	uint64_t raw = word_load(control_table(c, segment) + TABLE_TAIL_OFFSET);
	enum check_result got = generation ? tail_decode(raw, segment, generation, c->seed, &count) : CHECK_GOOD;

	if (got == CHECK_BAD || count > c->layout.geo.entries)
		count = count_entries(c, segment, generation);
	if (result)
		*result = got;
	return count;
}

bool table_unused(const struct control *c, uint64_t segment, uint64_t generation)
{
	struct entry entry;
	uint32_t count = table_count(c, segment, generation, NULL), i = 0;

	while (i < count && table_entry(c, segment, generation, i, &entry, NULL) == ENTRY_NOT_YET)
		i++;
	return count > 0 && i == count;
}

void table_reserve(const struct control *c, uint64_t segment, uint64_t generation, uint32_t count)
{
	store_tail(c, segment, generation, count);
	if (!MUTANT(TAIL_UNPUBLISHED))
		control_publish(c, control_table(c, segment) + TABLE_TAIL_OFFSET, 8);
}

static void publish(const struct control *c, uint64_t segment, const struct entry *entry, enum life life)
{
	uint64_t words[ENTRY_WORDS];

	entry_encode(entry, segment, c->seed, (uint8_t *)words);
	words[ENTRY_LIFE_OFFSET / 8] = life_word(life, entry->birth);
	checked_store(control_entry(c, segment, entry->index), words, ENTRY_WORDS);
	if (!c->media->caps.mappable)
		SIM_SITE(PIN_UNPUBLISHED);
	control_publish(c, control_entry(c, segment, entry->index), ENTRY_BYTES);
}

void table_publish(const struct control *c, uint64_t segment, const struct entry *entry)
{
	publish(c, segment, entry, entry->flags & ENTRY_VOID ? LIFE_REMOVED : LIFE_LIVE);
}

void table_publish_moving(const struct control *c, uint64_t segment, const struct entry *entry)
{
	publish(c, segment, entry, LIFE_MOVING);
}

void table_publish_sent(const struct control *c, uint64_t segment, const struct entry *entry)
{
	publish(c, segment, entry, LIFE_SENT);
}

/* what lies here looks as if it was meant for this generation */
static bool meant_for(const uint64_t *words, uint64_t generation)
{
	return words[0] != 0 || __builtin_popcountll(le64toh(words[2]) ^ generation) <= 1;
}

enum entry_state table_entry(const struct control *c, uint64_t segment, uint64_t generation, uint32_t index,
			     struct entry *entry, bool *mended)
{
	uint64_t words[ENTRY_WORDS];

	if (mended)
		*mended = false;
	if (!checked_load(words, control_entry(c, segment, index), ENTRY_WORDS) ||
	    cell_blank((const uint8_t *)words, sizeof(words)))
		return ENTRY_NOT_YET;
	enum check_result result =
		entry_decode((const uint8_t *)words, segment, index, c->seed, mended != NULL, entry);
	if (mended)
		*mended = result == CHECK_MENDED;
	if (result == CHECK_BAD)
		return meant_for(words, generation) ? ENTRY_DAMAGED : ENTRY_NOT_YET;
	return entry->generation == generation ? ENTRY_HERE : ENTRY_NOT_YET;
}

/* places are in the order of pages, but one may tell nothing */
bool table_find(const struct control *c, uint64_t segment, uint64_t generation, uint32_t page, struct entry *entry)
{
	uint32_t low = 0, high = table_count(c, segment, generation, NULL);

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (table_entry(c, segment, generation, middle, entry, NULL) != ENTRY_HERE)
			break;
		if (entry->page == page)
			return !(entry->flags & ENTRY_VOID);
		if (entry->page < page)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < high; low++)
		if (table_entry(c, segment, generation, low, entry, NULL) == ENTRY_HERE && entry->page == page &&
		    !(entry->flags & ENTRY_VOID))
			return true;
	return false;
}

void table_mend_header(const struct control *c, const struct table_header *header)
{
	uint64_t words[HEADER_WORDS];

	table_header_encode(header, c->seed, (uint8_t *)words);
	if (MUTANT(MEND_WITHDRAWS))
		checked_withdraw(control_table(c, header->segment));
	checked_mend(control_table(c, header->segment), words, HEADER_WORDS);
	control_publish(c, control_table(c, header->segment), TABLE_HEADER_BYTES);
}

void table_mend_entry(const struct control *c, uint64_t segment, const struct entry *entry, enum life life)
{
	publish(c, segment, entry, life);
}

static void *life_at(const struct control *c, uint64_t segment, uint32_t index)
{
	return control_entry(c, segment, index) + ENTRY_LIFE_OFFSET;
}

enum life table_life(const struct control *c, uint64_t segment, uint32_t index, uint64_t birth)
{
	return life_read(word_load(life_at(c, segment, index)), birth);
}

uint64_t table_life_raw(const struct control *c, uint64_t segment, uint32_t index)
{
	uint64_t raw = word_load(life_at(c, segment, index));

	return life_read(raw, le64toh(raw)) == LIFE_OTHER ? 0 : raw;
}

bool table_life_exact(const struct control *c, uint64_t segment, uint32_t index, uint64_t birth)
{
	uint64_t raw = word_load(life_at(c, segment, index));

	enum life life = life_read(raw, birth);

	return life != LIFE_OTHER && raw == life_word(life, birth);
}

/*
 * It belongs to another entry than the one that lies there; or that is of another generation, of a block that was moved away and is back
 * in its place with the birth that it had: then it goes with both.
 */
static bool life_strays(const struct control *c, uint64_t segment, uint64_t generation, uint32_t index)
{
	uint64_t words[ENTRY_WORDS], raw = word_load(life_at(c, segment, index));
	struct entry entry;

	return raw && (!checked_load(words, control_entry(c, segment, index), ENTRY_WORDS) ||
		       entry_decode((const uint8_t *)words, segment, index, c->seed, true, &entry) == CHECK_BAD ||
		       (entry.generation != generation && !MUTANT(CAME_BACK_LEFT)) || life_read(raw, entry.birth) == LIFE_OTHER);
}

bool table_clear_life(const struct control *c, uint64_t segment, uint64_t generation, uint32_t index)
{
	bool strays = life_strays(c, segment, generation, index);

	if (strays)
		word_publish(life_at(c, segment, index), 0);
	return strays;
}

bool table_clear_rest(const struct control *c, uint64_t segment, uint64_t generation, uint32_t from)
{
	struct entry entry;
	bool any = false;

	for (uint32_t i = from; i < c->layout.geo.entries; i++)
		if (table_entry(c, segment, generation, i, &entry, NULL) != ENTRY_NOT_YET) {
			checked_withdraw(control_entry(c, segment, i));
			word_publish(life_at(c, segment, i), 0);
			control_publish(c, control_entry(c, segment, i), ENTRY_BYTES);
			any = true;
		}
	return any;
}

static bool become_live(const struct control *c, uint64_t segment, uint32_t index, uint64_t birth, enum life from)
{
	return word_swap(life_at(c, segment, index), life_word(from, birth), life_word(LIFE_LIVE, birth));
}

bool table_settle(const struct control *c, uint64_t segment, uint32_t index, uint64_t birth)
{
	bool live = become_live(c, segment, index, birth, LIFE_MOVING);

	if (live)
		control_publish(c, life_at(c, segment, index), 8);
	return live;
}

bool table_landed(const struct control *c, uint64_t segment, uint32_t index, uint64_t birth)
{
	bool live = become_live(c, segment, index, birth, LIFE_SENT);

	if (live)
		control_publish_later(c, life_at(c, segment, index), 8);
	return live;
}

void table_tell(const struct control *c, uint64_t segment)
{
	word_add(control_table(c, segment) + TABLE_CHANGES_OFFSET, 1);
	control_publish(c, control_table(c, segment) + TABLE_CHANGES_OFFSET, 8);
	control_ring(c, segment);
}

/* the life word goes to the medium first */
static void tell_removed(const struct control *c, uint64_t segment, uint32_t index)
{
	control_publish(c, life_at(c, segment, index), 8);
	table_tell(c, segment);
}

/* @from, a flipped bit forgiven, -> @to */
static bool change_life(const struct control *c, uint64_t segment, uint32_t index, uint64_t birth, enum life from,
			enum life to)
{
	for (;;) {
		uint64_t raw = word_load(life_at(c, segment, index));
		if (life_read(raw, birth) != from)
			return false;
		if (word_swap(life_at(c, segment, index), raw, life_word(to, birth)))
			return true;
	}
}

bool table_doubt(const struct control *c, uint64_t segment, uint32_t index, uint64_t birth)
{
	if (!change_life(c, segment, index, birth, LIFE_LIVE, LIFE_REMOVING) &&
	    !change_life(c, segment, index, birth, LIFE_SENT, LIFE_REMOVING))
		return false;
	control_publish(c, life_at(c, segment, index), 8);
	return true;
}

bool table_decide(const struct control *c, uint64_t segment, uint32_t index, uint64_t birth)
{
	if (!change_life(c, segment, index, birth, LIFE_REMOVING, LIFE_REMOVED))
		return false;
	SIM_SITE(FLAG_UNLOCKED);
	tell_removed(c, segment, index);
	return true;
}

void table_retire(const struct control *c, uint64_t segment, uint32_t index, uint64_t birth)
{
	if (change_life(c, segment, index, birth, LIFE_LIVE, LIFE_REMOVED) ||
	    change_life(c, segment, index, birth, LIFE_REMOVING, LIFE_REMOVED) ||
	    change_life(c, segment, index, birth, LIFE_SENT, LIFE_REMOVED))
		control_publish_later(c, life_at(c, segment, index), 8);
}

void table_withdraw(const struct control *c, uint64_t segment)
{
	checked_withdraw(control_table(c, segment));
	control_publish(c, control_table(c, segment), PAGE);
}

bool table_withdraw_left_over(const struct control *c, uint64_t segment, bool told)
{
	uint64_t *at = (uint64_t *)(void *)control_table(c, segment);
	uint64_t check = word_load(at + CHECK_WORD); /* before the look at its owner: what is begun after that has another */
	struct table_header header;
	struct owned owned;

	if (checked_withdrawn(at) || (table_header(c, segment, &header) == CHECK_GOOD && !header.generation && !told))
		return false;
	if (!own_look(c, segment, &owned) || owned.word.state != OWNER_FREE)
		return false;
	if (checked_withdraw_seen(at, check))
		control_publish(c, at, PAGE);
	return true;
}

bool table_kill_moving(const struct control *c, uint64_t segment, uint32_t index, uint64_t birth)
{
	bool killed = change_life(c, segment, index, birth, LIFE_MOVING, LIFE_REMOVED);

	if (killed)
		tell_removed(c, segment, index);
	return killed;
}

bool table_kill(const struct control *c, uint64_t segment, uint32_t index, uint64_t birth)
{
	for (;;) {
		uint64_t raw = word_load(life_at(c, segment, index));
		enum life life = life_read(raw, MUTANT(KILL_BY_PLACE) ? le64toh(raw) : birth);
		if (life == LIFE_REMOVED || life == LIFE_OTHER || (life == LIFE_MOVING && MUTANT(REMOVE_SPARES_MOVING)))
			return false;
		if (word_swap(life_at(c, segment, index), raw, life_word(LIFE_REMOVED, birth))) {
			tell_removed(c, segment, index);
			return true;
		}
	}
}
