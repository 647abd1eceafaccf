/* SPDX-License-Identifier: Apache-2.0 */
/* See log_ring.h. */
#include "core/log/log_ring.h"
#include "core/format/cells.h"

enum { RECORD_WORDS = RECORD_BYTES / 8 };

uint64_t ring_records(const struct control *c)
{
	return c->layout.geo.ring_bytes / RECORD_BYTES;
}

static uint8_t *place_of(const struct control *c, const struct log_identity *who, uint64_t position)
{
	uint64_t ring = layout_ring(&c->layout, who->slot, who->epoch);

	return control_at(c, ring + position % ring_records(c) * RECORD_BYTES);
}

bool ring_refresh(const struct control *c, const struct log_identity *who)
{
	return control_refresh(c, control_at(c, layout_ring(&c->layout, who->slot, who->epoch)), c->layout.geo.ring_bytes);
}

bool ring_refresh_at(const struct control *c, const struct log_identity *who, uint64_t position)
{
	enum { BLOCK_RECORDS = PAGE / RECORD_BYTES };
	uint64_t first = round_down(position, BLOCK_RECORDS), second = first + BLOCK_RECORDS;

	if (second % ring_records(c))
		return control_refresh(c, place_of(c, who, first), 2 * (size_t)PAGE);
	return control_refresh(c, place_of(c, who, first), PAGE) && control_refresh(c, place_of(c, who, second), PAGE);
}

bool ring_hold(const struct control *c, const struct log_identity *who)
{
	return control_hold(c, control_at(c, layout_ring(&c->layout, who->slot, who->epoch)), c->layout.geo.ring_bytes);
}

void ring_let_go(const struct control *c, const struct log_identity *who)
{
	control_let_go(c, control_at(c, layout_ring(&c->layout, who->slot, who->epoch)), c->layout.geo.ring_bytes);
}

void ring_store(const struct control *c, const struct log_identity *who, const struct record *r)
{
	uint64_t words[RECORD_WORDS];

	record_encode(r, who, c->seed, (uint8_t *)words);
	checked_store(place_of(c, who, r->position), words, RECORD_WORDS);
}

void ring_publish(const struct control *c, const struct log_identity *who, uint64_t first, uint64_t count)
{
	for (uint64_t at = first; at < first + count; at = round_down(at, PAGE / RECORD_BYTES) + PAGE / RECORD_BYTES)
		control_publish(c, place_of(c, who, at), RECORD_BYTES); /* whole blocks, one after the other */
}

void ring_write(const struct control *c, const struct log_identity *who, const struct record *r)
{
	ring_store(c, who, r);
	control_publish(c, place_of(c, who, r->position), RECORD_BYTES);
}

/* the position that what lies in a place states */
static uint64_t stated(const uint8_t *at)
{
	uint64_t words[3] = {0, 0, word_load((const uint64_t *)(const void *)at + 2)};

	return record_position(words);
}

/* does the very record of @position lie here? */
static bool lies_here(const struct control *c, const struct log_identity *who, uint64_t position, struct record *r)
{
	uint64_t words[RECORD_WORDS];
	uint8_t *at = place_of(c, who, position);

	return stated(at) == position && checked_load(words, at, RECORD_WORDS) &&
	       record_decode((const uint8_t *)words, who, position, c->seed, false, r) == CHECK_GOOD;
}

/* what lies in the next place was not the next record: is it, by now, or that record with a flipped bit? */
static enum check_result mend(const struct control *c, struct ring_reader *reader, struct record *r)
{
	uint64_t words[RECORD_WORDS];
	uint8_t *at = place_of(c, &reader->who, reader->next);

	if (!checked_load(words, at, RECORD_WORDS) || words[CHECK_WORD] == reader->dud ||
	    __builtin_popcountll(record_position(words) ^ reader->next) > 1)
		return CHECK_BAD;
	enum check_result result = record_decode((const uint8_t *)words, &reader->who, reader->next, c->seed, true, r);
	if (result == CHECK_BAD)
		reader->dud = words[CHECK_WORD];
	return result;
}

/*
 * The next place does not verify, and stated @there: is it, or was it a moment ago, being written for a later round?  Then
 * the place before it is of that round.  The writer may go on while we look, as far as it likes.
 */
static bool came_past(const struct control *c, const struct ring_reader *reader, uint64_t there, uint64_t *ahead, bool *again)
{
	const struct log_identity *who = &reader->who;
	uint64_t records = ring_records(c), before = stated(place_of(c, who, reader->next + records - 1));
	struct record other;
	bool later = before > reader->next && lies_here(c, who, before, &other);

	*again = lies_here(c, who, reader->next, &other) || (!later && stated(place_of(c, who, reader->next)) != there);
	if (later)
		*ahead = before + 2 - records > reader->next ? before + 2 - records - reader->next : 1;
	return later;
}

static enum ring_result look_once(const struct control *c, struct ring_reader *reader, struct record *r, bool *mended,
				  uint64_t *ahead, bool *again)
{
	const struct log_identity *who = &reader->who;
	uint64_t next = reader->next, records = ring_records(c);
	struct record other;

	*mended = *again = reader->gap = false;
	if (lies_here(c, who, next, r)) {
		reader->next++;
		return RING_RECORD;
	}
	/* the place of a later round? */
	uint64_t there = stated(place_of(c, who, next));
	*ahead = there - next - records + 1; /* the oldest that can still be there */
	if (there > next && (there - next) % records == 0 && lies_here(c, who, there, &other))
		return RING_BEHIND;
	/* of the round before: the usual end; else perhaps damaged */
	bool before = next >= records && there == next - records && lies_here(c, who, there, &other);
	enum check_result result = before ? CHECK_BAD : mend(c, reader, r);
	if (result != CHECK_BAD) {
		reader->next++;
		*mended = result == CHECK_MENDED;
		return RING_RECORD;
	}
	for (*ahead = 1; *ahead < RING_WINDOW && *ahead < records; (*ahead)++)
		if (lies_here(c, who, next + *ahead, &other)) {
			reader->gap = true;
			return RING_BEHIND;
		}
	return !before && came_past(c, reader, there, ahead, again) ? RING_BEHIND : RING_END;
}

enum ring_result ring_next(const struct control *c, struct ring_reader *reader, struct record *r, bool *mended,
			   uint64_t *ahead)
{
	enum { LOOKS = 8 };
	enum ring_result result;
	bool again;
	int looks = 0;

	do
		result = look_once(c, reader, r, mended, ahead, &again);
	while (again && ++looks < LOOKS);
	return result;
}
