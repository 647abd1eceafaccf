/* SPDX-License-Identifier: Apache-2.0 */
/* See factbook_read.h. */
#include "core/facts/factbook_read.h"
#include "core/base/environ.h"
#include "core/log/checkpoint.h"
#include "core/log/table.h"
#include "core/slot/lease.h"

#include <stdlib.h>
#include <string.h>

enum { REREADS = 4, BLOCK_RECORDS = PAGE / RECORD_BYTES };

static _Atomic uint64_t *removed_place(const struct factbook *l, uint64_t birth)
{
	uint64_t at = birth * 0x9E3779B97F4A7C15ULL >> 20;

	for (;; at++) {
		_Atomic uint64_t *place = &l->removed[at & (l->removed_places - 1)];
		uint64_t there = atomic_load_explicit(place, memory_order_acquire);
		if (there == birth || there == 0)
			return place;
	}
}

/* nothing is ever taken out: a birth that was removed stays removed */
static void note_removed(struct factbook *l, const struct record *r)
{
	if (l->removed_count + 1 > l->removed_places / 2) {
		atomic_store(&l->removed_full, true);
	} else if (r->birth && atomic_load(removed_place(l, r->birth)) == 0) {
		atomic_store_explicit(removed_place(l, r->birth), r->birth, memory_order_release);
		l->removed_count++;
	}
	if (l->gone_count == l->gone_room) {
		uint32_t room = l->gone_room ? l->gone_room * 2 : 64;
		struct record *gone = realloc(l->gone, room * sizeof(*gone));
		if (!gone)
			return; /* the index knows it still; a get will find out */
		l->gone = gone;
		l->gone_room = room;
	}
	l->gone[l->gone_count++] = *r;
}

/* what its author is about to remove, or has just removed */
static void fold_doubt(struct factbook *l, const struct record *r)
{
	struct doubt *d = r->slot < l->control->layout.geo.slots ? factbook_doubt_of(l, r->slot, r->epoch) : NULL;

	if (r->kind == RECORD_DOUBT && r->version > l->facts.version)
		l->facts.version = r->version;
	if (!d || r->epoch < d->epoch || (r->epoch == d->epoch && r->version <= d->version))
		return;
	if (r->kind == RECORD_DEL && (r->epoch != d->epoch || r->birth != d->birth))
		return; /* of something else, removed by force or on behalf of another */
	*d = (struct doubt){.birth = r->kind == RECORD_DOUBT ? r->birth : 0, .version = r->version, .epoch = r->epoch};
	memcpy(d->key, r->key, sizeof(d->key));
}

/* a mutant: a removal does not name its block, but where it was */
static bool what_lies_there(const struct control *c, struct record *r)
{
	struct table_header header;
	struct entry e;

	if (r->kind != RECORD_DEL || r->subject >= c->layout.segments || r->class_id >= c->layout.geo.entries ||
	    !table_refresh(c, r->subject) || table_header(c, r->subject, &header) == CHECK_BAD || !header.generation ||
	    table_entry(c, r->subject, header.generation, r->class_id, &e, NULL) != ENTRY_HERE)
		return false;
	r->birth = e.birth;
	memcpy(r->key, e.key, sizeof(r->key));
	return true;
}

void factbook_fold(void *context, const struct record *r)
{
	struct factbook *l = context;

	if (!factbook_shared(l)) {
		if (r->kind != RECORD_DEL)
			(void)facts_fold(&l->facts, r);
		return;
	}
	if (r->kind == RECORD_WANT) {
		struct want *w = r->slot < l->control->layout.geo.slots ? &l->wants[r->slot] : NULL;
		if (w && (r->epoch > w->epoch || (r->epoch == w->epoch && r->version > w->version)))
			*w = (struct want){.version = r->version, .count = r->subject, .epoch = r->epoch};
		return;
	}
	if (r->kind == RECORD_DOUBT || r->kind == RECORD_DEL)
		fold_doubt(l, r);
	if (r->kind == RECORD_DOUBT)
		return;
	if (ownership_about(r)) {
		if (ownership_fold(&l->ownership, r) && l->share.changed)
			l->share.changed(l->share.context, r->subject);
		return;
	}
	struct record place = *r;
	if (MUTANT(DEL_BY_PLACE) && what_lies_there(l->control, &place))
		r = &place;
	if (facts_fold(&l->facts, r) && r->kind == RECORD_DEL)
		note_removed(l, r);
}

static struct log_identity identity_of_cell(const struct slot_cell *cell)
{
	return (struct log_identity){.slot = cell->slot, .epoch = cell->epoch, .nonce = cell->nonce};
}

/*
 * Everything in the slot's checkpoint; the reader goes on behind what stands in it.  True: it is of a later incarnation, which
 * has read all of this log, so nothing is lost that cannot be read any more.
 */
static bool read_checkpoint(struct factbook *l, struct ring_reader *reader)
{
	struct checkpoint_header h;
	uint64_t damaged = 0, mended = 0, before = factbook_unread(l);

	bool any = checkpoint_read(l->control, reader->who.slot, factbook_fold, l, &h, &damaged, &mended);
	if (factbook_unread(l) != before)
		return false; /* that says nothing; it is read again */
	atomic_fetch_add(&l->damaged, damaged);
	atomic_fetch_add(&l->mended, mended);
	if (any && log_is_of(&reader->who, h.epoch, h.nonce) && h.log_position > reader->next)
		reader->next = h.log_position;
	return any && h.epoch > reader->who.epoch;
}

/* the block that the reader is in, and the next one; false: it cannot be read now */
static bool bring(const struct factbook *l, const struct ring_reader *reader, uint64_t *at_hand)
{
	if (!factbook_shared(l) || reader->next / BLOCK_RECORDS == *at_hand)
		return true;
	*at_hand = reader->next / BLOCK_RECORDS;
	return ring_refresh_at(l->control, &reader->who, reader->next);
}

/*
 * The log from where we are to its end.  Shared devices: a place that does not verify, at or behind @told, may still be on its
 * way, after others that were written with it; so those count already, and the place is looked at again next time.
 */
static void read_ring(struct factbook *l, struct ring_reader *reader, uint64_t told)
{
	struct ring_reader peek = {0}, *at = reader;
	struct record r;
	uint64_t ahead, looked_again = UINT64_MAX;
	uint64_t at_hand = UINT64_MAX; /* which block, and the next one, was brought in */
	bool mended, inherited = false;

	if (!factbook_shared(l) && !ring_refresh(l->control, &reader->who))
		return;
	while (bring(l, at, &at_hand)) {
		enum ring_result result = ring_next(l->control, at, &r, &mended, &ahead);
		if (result == RING_END)
			return;
		if (result == RING_RECORD) {
			factbook_fold(l, &r);
			atomic_fetch_add(&l->mended, mended);
			continue;
		}
		uint64_t before = at->next, unread_before = factbook_unread(l);
		/* it may have been written, and the next ones as well, while we looked on; now that those are there it is whole */
		if (!factbook_shared(l) && looked_again != before && !MUTANT(RING_ONE_LOOK) && ring_refresh(l->control, &at->who)) {
			looked_again = before;
			continue;
		}
		if (factbook_shared(l) && at->gap && before >= told && !MUTANT(GAP_SKIPPED)) {
			peek = *at;
			at = &peek;
			at->next += ahead;
			continue;
		}
		inherited = inherited || read_checkpoint(l, at);
		if (factbook_unread(l) != unread_before)
			return;
		if (at->next == before) { /* what is gone stands nowhere, or with the heir */
			atomic_fetch_add(&l->damaged, inherited ? 0 : ahead);
			at->next += ahead;
		}
	}
}

static void cell_checks(const struct control *c, uint32_t slot, uint64_t checks[SLOT_COPIES])
{
	for (unsigned copy = 0; copy < SLOT_COPIES; copy++)
		checks[copy] = word_load((uint64_t *)control_at(c, layout_slot_cell(&c->layout, copy, slot)) + CHECK_WORD);
}

/* who holds, or held last, the slot?  A new incarnation is read from its checkpoint on. */
static bool read_cell(struct factbook *l, struct factbook_source *source, uint32_t slot, bool *left)
{
	struct slot_cell cell;

	/* all first copies were brought in together */
	bool at_hand = factbook_shared(l) && slot_read(l->control, slot, &cell) != CHECK_BAD;
	if ((!at_hand && !slot_refresh(l->control, slot)) || slot_read(l->control, slot, &cell) == CHECK_BAD)
		return false; /* what we know of it stays */
	*left = cell.state == SLOT_LEFT;
	bool same = source->known && (log_is_of(&source->reader.who, cell.epoch, cell.nonce) ||
				      (MUTANT(LOG_EPOCH_IGNORED) && source->reader.who.epoch));
	source->told = same ? max_u64(source->told, cell.log_tail) : cell.log_tail; /* who leaves tells of all (share_leave()) */
	if (same)
		return true;
	uint64_t before = factbook_unread(l);
	source->final = false;
	source->reader = (struct ring_reader){.who = identity_of_cell(&cell)};
	source->reader.who.slot = slot;
	source->owes = factbook_shared(l) && cell.owed_epoch && !MUTANT(OWED_LOG_UNREAD);
	source->owed = (struct ring_reader){.who = {.slot = slot, .epoch = cell.owed_epoch, .nonce = cell.owed_nonce}};
	source->owed_told = source->owes && MUTANT(OWED_TAIL_IGNORED) ? UINT64_MAX : cell.owed_tail;
	if (cell.epoch)
		(void)read_checkpoint(l, &source->reader);
	if (source->owes)
		(void)read_checkpoint(l, &source->owed);
	source->known = factbook_unread(l) == before;
	return source->known;
}

/*
 * The log of the incarnation before, which has ended: once, to its end.  What it was just writing when it died need not be there, though
 * what was written with that is: only what it had told of is missing then.
 */
static bool read_owed(struct factbook *l, struct factbook_source *source)
{
	uint64_t before = factbook_unread(l);

	if (source->owes) {
		read_ring(l, &source->owed, source->owed_told);
		source->owes = factbook_unread(l) != before;
	}
	return !source->owes;
}

static void refresh_shared_slot(struct factbook *l, uint32_t slot)
{
	struct factbook_source *source = &l->sources[slot];
	bool left = false;

	if ((l->writing && slot == l->me.slot) || !read_cell(l, source, slot, &left) || !source->reader.who.epoch ||
	    source->final || !read_owed(l, source))
		return;
	uint64_t before = factbook_unread(l);
	read_ring(l, &source->reader, source->told);
	source->final = left && factbook_unread(l) == before; /* as it was before we read: nothing came behind that */
	atomic_store(&source->tail, source->reader.next);
	atomic_store(&source->nonce, source->reader.who.nonce);
}

/* do the cells still name the incarnations whose logs were read? */
static bool cells_as_read(struct factbook *l, int used)
{
	struct slot_cell cell;

	if (lease_refresh(l->control) != used)
		return false;
	for (int n = 0; n < used; n++) {
		const struct factbook_source *source = &l->sources[n];
		if ((!l->writing || (uint32_t)n != l->me.slot) && slot_read(l->control, (uint32_t)n, &cell) != CHECK_BAD &&
		    !log_is_of(&source->reader.who, cell.epoch, cell.nonce))
			return false;
	}
	return true;
}

/* our own slot is another's, whose log we do not read: nothing that we know is all that was stated */
static bool passed_on(const struct factbook *l)
{
	struct slot_cell cell;

	return l->writing && slot_read(l->control, l->me.slot, &cell) != CHECK_BAD && cell.epoch > l->me.epoch;
}

/*
 * A slot passes on in some multiple of the claim's wait, and only the second one after that overwrites a ring: a refresh that
 * took that long asks whether the cells are as they were, and else looks once more.
 */
static bool refresh_shared(struct factbook *l)
{
	for (int i = 0; i < REREADS; i++) {
		uint64_t began = clock_boot_us(), before = factbook_unread(l);
		int used = lease_refresh(l->control);
		for (int slot = 0; slot < used && !(slot == 2 && MUTANT(THIRD_LOG_SKIPPED)); slot++)
			if (!MUTANT(PIN_OWNER_LOG_ONLY) || sim_owner_log((unsigned)slot))
				refresh_shared_slot(l, (uint32_t)slot);
		if (used >= 0)
			atomic_store(&l->used, (unsigned)used);
		if (used < 0 || passed_on(l) || factbook_unread(l) != before)
			return false;
		if (clock_boot_us() - began < l->control->pass_us || cells_as_read(l, used))
			return true;
	}
	return false;
}

/*
 * At each moment one copy of a cell is whole; who reads the first while that is written, and stands still until the second one is, finds none.
 * Then they have changed, and tell when they are read once more; else they are damaged.
 */
static bool written_meanwhile(const struct control *c, uint32_t slot, const uint64_t before[SLOT_COPIES])
{
	uint64_t checks[SLOT_COPIES];

	cell_checks(c, slot, checks);
	return memcmp(checks, before, sizeof(checks)) != 0;
}

static void read_slot(struct factbook *l, struct factbook_source *source, uint32_t slot)
{
	const struct control *c = l->control;
	uint64_t checks[SLOT_COPIES];

	for (int i = 0; i < REREADS; i++) {
		cell_checks(c, slot, checks);
		bool same = memcmp(checks, source->cell_checks, sizeof(checks)) == 0;
		if (!source->known || !same || !c->media->caps.mappable) {
			bool left;
			SIM_SITE(CELLS_TORN); /* whoever stands still here, and between the copies */
			if (!read_cell(l, source, slot, &left) && !source->known) {
				if (written_meanwhile(c, slot, checks) && !MUTANT(CELLS_TORN))
					continue;
				return;
			}
			memcpy(source->cell_checks, checks, sizeof(checks));
		}
		if (source->reader.who.epoch)
			read_ring(l, &source->reader, 0);
		cell_checks(c, slot, checks);
		if (memcmp(checks, source->cell_checks, sizeof(checks)) == 0)
			return; /* nobody has taken the slot, and perhaps the ring, meanwhile */
	}
}

/* A log that did not answer is read again from its checkpoint on, at each refresh; what never answers is damaged. */
static void refresh_slot(struct factbook *l, uint32_t slot)
{
	enum { UNREAD_MAX = 64 };
	const struct media *media = l->control->media;
	struct factbook_source *source = &l->sources[slot];
	uint64_t before = factbook_unread(l);

	if (l->writing && slot == l->me.slot)
		return;
	if (source->known && !media->caps.mappable && !l->control->read_only)
		return; /* such a medium has one writer: this process */
	read_slot(l, source, slot);
	if (factbook_unread(l) == before || MUTANT(LOG_UNREAD_ENDS)) {
		source->unread = 0;
	} else if (++source->unread < UNREAD_MAX) {
		source->known = false;
	} else {
		source->unread = 0;
		atomic_fetch_add(&l->damaged, 1);
	}
}

bool factbook_blind(const struct factbook *l)
{
	bool silent = false;

	for (uint32_t slot = 0; slot < l->control->layout.geo.slots; slot++)
		silent |= l->sources[slot].unread > 0;
	return l->facts.blind || silent;
}

void factbook_tell(struct factbook *l)
{
	bool blind = factbook_blind(l);

	atomic_store_explicit(&l->pins, blind ? UINT32_MAX : l->facts.pins, memory_order_release);
	atomic_store_explicit(&l->session_pins, blind ? UINT32_MAX : l->facts.session_pins, memory_order_release);
}

bool factbook_read(struct factbook *l)
{
	uint64_t before = factbook_unread(l);

	atomic_thread_fence(memory_order_seq_cst); /* what the caller has written before is there for all who look */
	bool good = !factbook_shared(l) || refresh_shared(l);
	for (uint32_t slot = 0; !factbook_shared(l) && slot < l->control->layout.geo.slots; slot++)
		refresh_slot(l, slot);
	factbook_tell(l);
	return good && factbook_unread(l) == before;
}

bool factbook_removed(struct factbook *l, const uint8_t key[32], uint64_t birth)
{
	if (atomic_load_explicit(removed_place(l, birth), memory_order_acquire) == birth && birth)
		return true;
	if (!atomic_load(&l->removed_full))
		return false;
	pthread_mutex_lock(&l->lock);
	bool removed = facts_removed(&l->facts, key, birth);
	pthread_mutex_unlock(&l->lock);
	return removed;
}

uint32_t factbook_take_gone(struct factbook *l, struct record *to, uint32_t room)
{
	pthread_mutex_lock(&l->lock);
	uint32_t count = l->gone_count < room ? l->gone_count : room;
	for (uint32_t i = 0; i < count; i++)
		to[i] = l->gone[--l->gone_count];
	pthread_mutex_unlock(&l->lock);
	return count;
}
