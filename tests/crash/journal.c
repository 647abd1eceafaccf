/* SPDX-License-Identifier: Apache-2.0 */
/* See journal.h. */
#include "journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CUT_PAGE = 4096, CUT_SECTOR = 512, CUT_WORD = 8 };

static void *grown(void *memory, uint64_t count, uint64_t *room, size_t unit)
{
	if (count <= *room)
		return memory;
	*room = count * 2 + 4096;
	void *more = realloc(memory, *room * unit);
	if (!more)
		abort();
	return more;
}

void journal_init(struct journal *j)
{
	*j = (struct journal){0};
}

void journal_fini(struct journal *j)
{
	free(j->events);
	free(j->bytes);
	free(j->shadow);
	*j = (struct journal){0};
}

void journal_watch(struct journal *j, uint8_t *control, uint64_t bytes, bool stepping)
{
	j->control = control;
	j->control_bytes = bytes;
	j->stepping = stepping;
	j->shadow = malloc(bytes);
	if (!j->shadow)
		abort();
	memcpy(j->shadow, control, bytes);
}

uint64_t journal_note(struct journal *j, enum event_kind kind, uint64_t offset, const void *bytes, uint32_t length, uint64_t of)
{
	uint64_t at = j->count;

	j->events = grown(j->events, at + 1, &j->room, sizeof(*j->events));
	j->bytes = grown(j->bytes, j->used + length, &j->bytes_room, 1);
	j->events[at] = (struct event){
		.kind = kind, .offset = offset, .length = length, .bytes_at = j->used, .of = of, .done_at = UINT64_MAX};
	if (length)
		memcpy(j->bytes + j->used, bytes, length);
	j->used += length;
	j->count++;
	if (kind == EVENT_DONE)
		j->events[of].done_at = at;
	return at;
}

void journal_compare(struct journal *j, uint64_t offset, uint64_t bytes)
{
	uint64_t end = offset + bytes;

	if (!j->control || memcmp(j->control + offset, j->shadow + offset, bytes) == 0)
		return;
	for (uint64_t at = offset; at < end; at += CUT_WORD) {
		if (memcmp(j->control + at, j->shadow + at, CUT_WORD) == 0)
			continue;
		memcpy(j->shadow + at, j->control + at, CUT_WORD);
		journal_note(j, EVENT_STORE, at, j->shadow + at, CUT_WORD, 0);
	}
}

/* ---- replay ---- */

void replay_init(struct replay *r, const struct journal *j, const uint8_t *image, uint64_t bytes)
{
	*r = (struct replay){.journal = j, .bytes = bytes};
	r->flushed = malloc(bytes);
	r->settled = calloc(j->count + 1, 1);
	if (!r->flushed || !r->settled)
		abort();
	memcpy(r->flushed, image, bytes);
}

void replay_fini(struct replay *r)
{
	free(r->flushed);
	free(r->settled);
}

static void apply(const struct journal *j, const struct event *e, uint8_t *image)
{
	memcpy(image + e->offset, j->bytes + e->bytes_at, e->length);
}

/* the flush at event @at came back: what had been stored, and what had completed, is on the medium */
static void settle(struct replay *r, uint64_t at)
{
	const struct journal *j = r->journal;

	for (uint64_t i = r->pending; i < at; i++) {
		const struct event *e = &j->events[i];
		bool sure = e->kind == EVENT_STORE || (e->kind == EVENT_WRITE && e->done_at < at);
		if (r->settled[i] || !sure)
			continue;
		apply(j, e, r->flushed);
		r->settled[i] = 1;
	}
	while (r->pending < at && (r->settled[r->pending] || r->journal->events[r->pending].kind == EVENT_DONE ||
				   r->journal->events[r->pending].kind == EVENT_FLUSH))
		r->pending++;
}

void replay_to(struct replay *r, uint64_t moment)
{
	for (; r->moment < moment; r->moment++)
		if (r->journal->events[r->moment].kind == EVENT_FLUSH)
			settle(r, r->moment);
}

static uint64_t mixed(uint64_t a, uint64_t b)
{
	uint64_t z = a * 0x9E3779B97F4A7C15ULL + b;

	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ULL;
	z = (z ^ z >> 27) * 0x94D049BB133111EBULL;
	return z ^ z >> 31;
}

/* up to which event the part that @offset lies in has come: a third of the parts nothing, a third all, the rest any */
static uint64_t part_moment(const struct replay *r, uint64_t seed, uint64_t part)
{
	uint64_t chance = mixed(seed, part), span = r->moment - r->pending;

	if (chance % 3 == 0)
		return r->pending;
	return chance % 3 == 1 ? r->moment : r->pending + chance / 3 % (span + 1);
}

static void cut_command(const struct replay *r, const struct event *e, uint64_t index, uint64_t part, uint64_t seed,
			uint8_t *image)
{
	uint64_t chance = mixed(seed, index ^ 0x6E6F7768ULL);

	/* a third of the commands whole, a third not at all, a third torn */
	for (uint64_t at = 0; at < e->length; at += part) {
		uint64_t length = e->length - at < part ? e->length - at : part;
		bool here = chance % 3 == 0 || (chance % 3 == 1 && mixed(chance, at) & 1);
		if (here)
			memcpy(image + e->offset + at, r->journal->bytes + e->bytes_at + at, length);
	}
}

void replay_cut(const struct replay *r, enum cut_mode mode, uint64_t seed, uint8_t *image)
{
	static const uint64_t parts[CUT_MODES] = {[JOURNAL_PAGES] = CUT_PAGE, [JOURNAL_SECTORS] = CUT_SECTOR,
						  [JOURNAL_WORDS] = CUT_WORD};
	const struct journal *j = r->journal;
	uint64_t part = parts[mode];

	memcpy(image, r->flushed, r->bytes);
	for (uint64_t i = r->pending; i < r->moment && mode != JOURNAL_NOTHING; i++) {
		const struct event *e = &j->events[i];
		if (r->settled[i])
			continue;
		if (e->kind == EVENT_STORE && mode != JOURNAL_COMMANDS &&
		    (!part || i < part_moment(r, seed, e->offset / part)))
			apply(j, e, image);
		if (e->kind == EVENT_WRITE && mode != JOURNAL_STORES && !part && (e->done_at < r->moment || mode == JOURNAL_COMMANDS))
			apply(j, e, image);
		if (e->kind == EVENT_WRITE && part)
			cut_command(r, e, i, part == CUT_PAGE ? CUT_PAGE : CUT_SECTOR, seed, image);
	}
}

const char *cut_mode_name(enum cut_mode mode)
{
	static const char *const names[CUT_MODES] = {"everything", "what was flushed", "stores only", "commands only",
						     "chance, pages", "chance, sectors", "chance, words"};

	return names[mode];
}
