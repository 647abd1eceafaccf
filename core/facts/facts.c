/* SPDX-License-Identifier: Apache-2.0 */
/* See facts.h. */
#include "core/facts/facts.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { PLACES_MIN = 64 };

static bool about_key(const struct record *r) { return r->kind == RECORD_PIN || r->kind == RECORD_UNPIN; }
static bool about_session(const struct record *r) { return r->kind == RECORD_SESSION; }

static bool about_removal(const struct record *r) { return r->kind == RECORD_DEL; }

static bool same_subject(const struct record *a, const struct record *b)
{
	if (about_removal(a))
		return about_removal(b) && a->birth == b->birth && a->subject == b->subject && memcmp(a->key, b->key, sizeof(a->key)) == 0;
	if (about_key(a))
		return about_key(b) && memcmp(a->key, b->key, sizeof(a->key)) == 0;
	return about_session(b) && a->subject == b->subject;
}

static uint64_t hash_of(const struct record *r)
{
	if (about_removal(r))
		return r->birth * 0x9E3779B97F4A7C15ULL >> 16;
	return about_key(r) ? XXH3_64bits(r->key, sizeof(r->key)) : XXH3_64bits(&r->subject, sizeof(r->subject));
}

/* where the subject of @r stands, or would stand; the table has an empty place */
static struct record *place_of(const struct facts *f, const struct record *r)
{
	uint32_t at = (uint32_t)hash_of(r) & (f->places - 1);

	while (f->table[at].kind != RECORD_NONE && !same_subject(&f->table[at], r))
		at = (at + 1) & (f->places - 1);
	return &f->table[at];
}

static bool pins_at_all(const struct record *r)
{
	return r->kind == RECORD_PIN || (about_session(r) && r->state == SESSION_PINNED);
}

static void counted(struct facts *f, const struct record *r, bool in)
{
	uint32_t one = in ? 1 : UINT32_MAX; /* plus or minus */

	f->pins += pins_at_all(r) ? one : 0;
	f->session_pins += pins_at_all(r) && about_session(r) ? one : 0;
	f->removals += about_removal(r) ? one : 0;
}

static bool newer(const struct record *a, const struct record *b)
{
	if (a->version != b->version)
		return a->version > b->version;
	return a->slot != b->slot ? a->slot > b->slot : a->epoch > b->epoch;
}

static uint64_t later_end(uint64_t a, uint64_t b)
{
	return a == 0 || b == 0 ? 0 : a > b ? a : b;
}

/* pins up to this version are void */
static uint64_t void_up_to(const struct record *r)
{
	return pins_at_all(r) ? r->generation : r->version;
}

/* when nobody needs to know of it any more; 0: never */
static uint64_t memory_end(const struct record *r)
{
	if (!pins_at_all(r) || r->birth == 0)
		return r->until_s;
	return r->birth == UINT64_MAX ? 0 : r->birth;
}

static void remember(struct record *r, uint64_t end)
{
	if (pins_at_all(r))
		r->birth = end ? end : UINT64_MAX;
	else
		r->until_s = end;
}

static struct record merged(const struct record *a, const struct record *b)
{
	uint64_t void_to = void_up_to(a) > void_up_to(b) ? void_up_to(a) : void_up_to(b);
	bool a_pins = pins_at_all(a) && a->version > void_to, b_pins = pins_at_all(b) && b->version > void_to;
	struct record r = newer(a, b) ? *a : *b;

	if (a_pins && b_pins)
		r.until_s = later_end(a->until_s, b->until_s);
	else if (a_pins || b_pins)
		r = a_pins ? *a : *b;
	else if (pins_at_all(&r))
		r = newer(a, b) ? *b : *a;
	if (pins_at_all(&r))
		r.generation = void_to;
	remember(&r, later_end(memory_end(a), memory_end(b)));
	r.position = 0; /* where it was read says nothing about it */
	return r;
}

/* a table of @places for what is in the old one and not over at @now_s (0: for all) */
static bool resize(struct facts *f, uint32_t places, uint64_t now_s)
{
	struct facts old = *f;
	struct record *table = calloc(places, sizeof(*table));

	if (!table)
		return false;
	f->table = table;
	f->places = places;
	f->count = f->pins = f->session_pins = f->removals = 0;
	for (uint32_t i = 0; i < old.places; i++) {
		const struct record *r = &old.table[i];
		if (r->kind == RECORD_NONE || (now_s == UINT64_MAX ? about_removal(r) && r->until_s : now_s && facts_over(r, now_s)))
			continue;
		*place_of(f, r) = *r;
		f->count++;
		counted(f, r, true);
	}
	free(old.table);
	return true;
}

void facts_close(struct facts *f)
{
	free(f->table);
	*f = (struct facts){0};
}

bool facts_fold(struct facts *f, const struct record *r)
{
	if (!about_key(r) && !about_session(r) && !about_removal(r))
		return false;
	if (r->version > f->version)
		f->version = r->version;
	if (f->count + 1 > f->places / 4 * 3 && !resize(f, f->places ? f->places * 2 : PLACES_MIN, 0)) {
		f->blind = true;
		return false;
	}
	struct record *there = place_of(f, r);
	if (there->kind == RECORD_NONE) {
		f->count++;
		*there = *r;
		there->position = 0;
		remember(there, memory_end(r));
		counted(f, there, true);
		return true;
	}
	struct record holds = merged(r, there);
	if (memcmp(&holds, there, sizeof(holds)) == 0)
		return false;
	counted(f, there, false);
	*there = holds;
	counted(f, there, true);
	return true;
}

void facts_follow(const struct facts *f, struct record *r)
{
	if (about_removal(r))
		return;
	r->generation = r->birth = 0;
	const struct record *there = f->places ? place_of(f, r) : NULL;
	if (!there || there->kind == RECORD_NONE)
		return;
	if (pins_at_all(r))
		r->generation = void_up_to(there);
	remember(r, later_end(r->until_s, memory_end(there)));
}

static const struct record *find(const struct facts *f, const struct record *like)
{
	const struct record *there = f->places ? place_of(f, like) : NULL;

	return there && there->kind != RECORD_NONE ? there : NULL;
}

const struct record *facts_of_key(const struct facts *f, const uint8_t key[32])
{
	struct record like = {.kind = RECORD_PIN};

	memcpy(like.key, key, sizeof(like.key));
	return find(f, &like);
}

const struct record *facts_of_session(const struct facts *f, uint64_t session_id)
{
	return find(f, &(struct record){.kind = RECORD_SESSION, .subject = session_id});
}

bool facts_removed(const struct facts *f, const uint8_t key[32], uint64_t birth)
{
	const struct record like = {.kind = RECORD_DEL, .birth = birth};
	uint32_t at = (uint32_t)hash_of(&like);

	if (!f->removals)
		return false;
	/* all of one birth stand one behind the other, with others between them */
	for (at &= f->places - 1; f->table[at].kind != RECORD_NONE; at = (at + 1) & (f->places - 1))
		if (about_removal(&f->table[at]) && f->table[at].birth == birth && memcmp(f->table[at].key, key, 32) == 0)
			return true;
	return false;
}

bool facts_removed_in(const struct facts *f, const uint8_t key[32], uint64_t birth, uint64_t segment)
{
	struct record like = {.kind = RECORD_DEL, .birth = birth, .subject = segment};

	memcpy(like.key, key, sizeof(like.key));
	return f->removals && find(f, &like);
}

uint32_t facts_forget(struct facts *f, bool (*settled)(void *context, const struct record *r), void *context)
{
	uint32_t before = f->count;

	for (uint32_t i = 0; i < f->places; i++)
		if (about_removal(&f->table[i]) && settled(context, &f->table[i]))
			f->table[i].until_s = 1; /* over */
	(void)resize(f, f->places, UINT64_MAX); /* without memory they stay for now */
	return before - f->count;
}

static bool has_passed(uint64_t end_s, uint64_t now_s)
{
	return end_s && now_s > FACTS_MARGIN_S && now_s - FACTS_MARGIN_S > end_s;
}

bool facts_over(const struct record *r, uint64_t now_s)
{
	return has_passed(memory_end(r), now_s);
}

bool facts_pins(const struct record *r, uint64_t now_s)
{
	return pins_at_all(r) && !has_passed(r->until_s, now_s);
}

bool facts_pinned(const struct facts *f, const uint8_t key[32], uint64_t session_id, uint64_t now_s)
{
	if (f->blind)
		return true;
	if (f->pins == 0)
		return false;
	const struct record *r = facts_of_key(f, key);
	if (r && facts_pins(r, now_s))
		return true;
	r = session_id && f->session_pins ? facts_of_session(f, session_id) : NULL;
	return r && facts_pins(r, now_s);
}

void facts_drop_over(struct facts *f, uint64_t now_s)
{
	for (uint32_t i = 0; i < f->places; i++)
		if (f->table[i].kind != RECORD_NONE && facts_over(&f->table[i], now_s)) {
			(void)resize(f, f->places, now_s); /* without memory they stay for now */
			return;
		}
}

uint32_t facts_copy(const struct facts *f, struct record *to, uint32_t room)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < f->places; i++) {
		if (f->table[i].kind == RECORD_NONE)
			continue;
		if (count < room)
			to[count] = f->table[i];
		count++;
	}
	return count;
}
