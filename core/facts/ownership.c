/* SPDX-License-Identifier: Apache-2.0 */
/* See ownership.h. */
#include "core/facts/ownership.h"
#include "core/base/simulate.h"

#include <errno.h>
#include <stdlib.h>

int ownership_open(struct ownership *o, uint64_t segments, uint32_t slots)
{
	*o = (struct ownership){.count = segments, .slots = slots};
	o->segments = calloc(segments, sizeof(*o->segments));
	return o->segments ? 0 : -ENOMEM;
}

void ownership_close(struct ownership *o)
{
	for (uint64_t s = 0; o->segments && s < o->count; s++)
		free(o->segments[s].more);
	free(o->segments);
	*o = (struct ownership){0};
}

bool ownership_about(const struct record *r)
{
	return r->kind == RECORD_OPEN || r->kind == RECORD_SEAL || r->kind == RECORD_ADOPT || r->kind == RECORD_XFER ||
	       r->kind == RECORD_ACCEPT;
}

static struct statement statement_of(const struct record *r)
{
	return (struct statement){
		.version = r->version,
		.about = r->kind == RECORD_XFER || r->kind == RECORD_OPEN ? r->generation : 0,
		.slot = r->slot,
		.epoch = r->epoch,
		.kind = (uint8_t)r->kind,
		.state = (uint8_t)r->state,
	};
}

static bool same_author(const struct statement *a, const struct statement *b)
{
	return a->slot == b->slot && a->epoch == b->epoch;
}

static bool newer(const struct statement *a, const struct statement *b)
{
	if (b->kind == RECORD_NONE || a->version != b->version)
		return b->kind == RECORD_NONE || a->version > b->version;
	return a->slot != b->slot ? a->slot > b->slot : a->epoch > b->epoch;
}

/* an author's own statement about the segment; NULL: none that is kept */
static struct statement *find(struct owned_segment *seg, const struct statement *like)
{
	if (seg->top.kind != RECORD_NONE && same_author(&seg->top, like))
		return &seg->top;
	for (unsigned i = 0; i < seg->count; i++)
		if (same_author(&seg->more[i], like))
			return &seg->more[i];
	return NULL;
}

/* the OPEN that a record tells of: itself, or the author's last one before it */
static bool note_opening(struct owned_segment *seg, const struct record *r)
{
	uint64_t version = r->kind == RECORD_OPEN ? r->version : r->birth;
	struct own_opening *top = &seg->opening;

	if (version < top->version || !version)
		return false;
	if (version == top->version && (r->slot != top->slot ? r->slot < top->slot : r->epoch <= top->epoch))
		return false;
	*top = (struct own_opening){version, r->slot, r->epoch};
	return true;
}

static void drop(struct owned_segment *seg, const struct statement *like)
{
	for (unsigned i = 0; i < seg->count; i++)
		if (same_author(&seg->more[i], like))
			seg->more[i--] = seg->more[--seg->count];
}

static void keep(struct owned_segment *seg, struct statement s)
{
	if (seg->count == seg->room) {
		uint16_t room = (uint16_t)(seg->room ? seg->room * 2 : 2);
		struct statement *more = room > seg->room ? realloc(seg->more, room * sizeof(*more)) : NULL;
		if (!more) {
			seg->blind = true;
			return;
		}
		seg->more = more;
		seg->room = room;
	}
	seg->more[seg->count++] = s;
}

/* the states that each kind can carry; others were never stated */
static bool sensible(const struct ownership *o, const struct record *r)
{
	bool rest = r->state == OWNER_FREE || r->state == OWNER_SEALED || r->state == OWNER_PARKED;

	return r->subject < o->count && r->slot < o->slots && (r->kind == RECORD_OPEN || rest);
}

bool ownership_fold(struct ownership *o, const struct record *r)
{
	if (!ownership_about(r) || !sensible(o, r))
		return false;
	struct owned_segment *seg = &o->segments[r->subject];
	struct statement s = statement_of(r);
	bool opened = note_opening(seg, r);
	const struct statement *own = find(seg, &s);
	if (own && own->version >= s.version)
		return opened;
	if (!newer(&s, &seg->top)) { /* outdone by another author: kept, so that an older one of its own changes nothing */
		drop(seg, &s);
		keep(seg, s);
		return true;
	}
	struct statement before = seg->top;
	drop(seg, &s);
	seg->top = s;
	if (before.kind != RECORD_NONE && !same_author(&before, &s))
		keep(seg, before);
	return true;
}

struct holding ownership_of(const struct ownership *o, uint64_t segment)
{
	const struct statement *top = &o->segments[segment].top;

	if (top->kind == RECORD_NONE)
		return (struct holding){.slot = (uint32_t)(segment % o->slots), .state = OWNER_FREE};
	return (struct holding){
		.version = top->version,
		.offered = top->kind == RECORD_XFER ? top->about : 0,
		.slot = top->slot,
		.epoch = top->epoch,
		.state = top->kind == RECORD_OPEN ? OWNER_OPEN : (enum owner_state)top->state,
	};
}

static struct statement author_of(const struct own_opening *opening)
{
	return (struct statement){.slot = opening->slot, .epoch = opening->epoch};
}

static bool marks(const struct owned_segment *seg, const struct statement *s)
{
	return s->kind == RECORD_OPEN && ownership_level(s->version) >= ownership_level(seg->opening.version);
}

bool ownership_mark(const struct ownership *o, uint64_t segment, uint32_t n, struct own_mark *mark)
{
	const struct owned_segment *seg = &o->segments[segment];

	if (seg->blind) { /* somebody whom nobody can prove gone */
		*mark = (struct own_mark){UINT64_MAX, UINT32_MAX, UINT32_MAX};
		return n == 0;
	}
	for (uint32_t i = 0; i <= seg->count; i++) {
		const struct statement *s = i == 0 ? &seg->top : &seg->more[i - 1];
		if (!marks(seg, s) || n--)
			continue;
		*mark = (struct own_mark){s->version, s->slot, s->epoch};
		return true;
	}
	return false;
}

bool ownership_gives_up(const struct ownership *o, uint64_t segment, uint64_t generation)
{
	const struct owned_segment *seg = &o->segments[segment];

	for (uint32_t i = 0; i <= seg->count; i++) {
		const struct statement *s = i == 0 ? &seg->top : &seg->more[i - 1];
		if (marks(seg, s) && (s->about == generation || s->about == GENERATION_ANY))
			return true;
	}
	return seg->blind;
}

uint64_t ownership_last(const struct ownership *o, uint64_t segment, uint32_t slot, uint32_t epoch)
{
	const struct statement like = {.slot = slot, .epoch = epoch};
	const struct statement *s = find(&o->segments[segment], &like);

	return s ? s->version : 0;
}

void ownership_prune(struct ownership *o, bool (*gone)(void *context, uint32_t slot, uint32_t epoch), void *context)
{
	for (uint64_t s = 0; s < o->count; s++) {
		struct owned_segment *seg = &o->segments[s];
		const struct statement opener = author_of(&seg->opening); /* its OPEN voids others */
		for (unsigned i = 0; i < seg->count; i++)
			if (!same_author(&seg->more[i], &opener) && gone(context, seg->more[i].slot, seg->more[i].epoch))
				seg->more[i--] = seg->more[--seg->count];
	}
}

static void put_record(struct record *to, uint32_t room, uint32_t at, uint64_t segment, const struct statement *s,
		       const struct own_opening *opening)
{
	bool opened = opening->version && s->slot == opening->slot && s->epoch == opening->epoch;

	if (at < room)
		to[at] = (struct record){
			.kind = (enum record_kind)s->kind,
			.version = s->version,
			.subject = segment,
			.generation = s->about,
			.slot = s->slot,
			.epoch = s->epoch,
			.state = s->state,
			.birth = s->kind != RECORD_OPEN && opened ? opening->version : 0,
		};
}

uint32_t ownership_copy(const struct ownership *o, uint32_t slot, uint32_t epoch, struct record *to, uint32_t room)
{
	const struct statement author = {.slot = slot, .epoch = epoch};
	uint32_t count = 0;

	for (uint64_t s = 0; s < o->count; s++) {
		const struct owned_segment *seg = &o->segments[s];
		const struct statement opener = author_of(&seg->opening);
		if (seg->top.kind != RECORD_NONE)
			put_record(to, room, count++, s, &seg->top, &seg->opening);
		for (unsigned i = 0; i < seg->count; i++)
			if (same_author(&seg->more[i], &opener) || same_author(&seg->more[i], &author) ||
			    (seg->more[i].slot == slot && seg->more[i].kind == RECORD_OPEN)) /* one before it, that is not proven gone */
				put_record(to, room, count++, s, &seg->more[i], &seg->opening);
	}
	return count;
}

uint64_t ownership_next(const struct holding *h) { return h->version + 1; }

uint64_t ownership_adopted(const struct holding *h)
{
	return ((h->version >> ADOPTION_SHIFT) + 1) << ADOPTION_SHIFT;
}
