/* SPDX-License-Identifier: Apache-2.0 */
/* See factbook.h. */
#include "core/facts/factbook.h"
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/log/checkpoint.h"
#include "core/slot/lease.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { REREADS = 4, BLOCK_RECORDS = PAGE / RECORD_BYTES };

/* ---- reading; all under the lock ---- */

static bool is_shared(const struct factbook *l) { return l->control->shared; }

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

static void fold(void *context, const struct record *r)
{
	struct factbook *l = context;

	if (!is_shared(l)) {
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
	if (ownership_about(r)) {
		if (ownership_fold(&l->ownership, r) && l->share.changed)
			l->share.changed(l->share.context, r->subject);
		return;
	}
	if (facts_fold(&l->facts, r) && r->kind == RECORD_DEL)
		note_removed(l, r);
}

static struct log_identity identity_of_cell(const struct slot_cell *cell)
{
	return (struct log_identity){.slot = cell->slot, .epoch = cell->epoch, .nonce = cell->nonce};
}

static bool same_identity(const struct log_identity *a, uint32_t epoch, uint64_t nonce)
{
	return a->epoch == epoch && a->nonce == nonce;
}

static uint64_t unread(const struct factbook *l) { return atomic_load(&l->control->media->unread); }

/*
 * Everything in the slot's checkpoint; the reader goes on behind what stands in it.  True: it is of a later incarnation, which
 * has read all of this log, so nothing is lost that cannot be read any more.
 */
static bool read_checkpoint(struct factbook *l, struct ring_reader *reader)
{
	struct checkpoint_header h;
	uint64_t damaged = 0, mended = 0, before = unread(l);

	bool any = checkpoint_read(l->control, reader->who.slot, fold, l, &h, &damaged, &mended);
	if (unread(l) != before)
		return false; /* that says nothing; it is read again */
	atomic_fetch_add(&l->damaged, damaged);
	atomic_fetch_add(&l->mended, mended);
	if (any && same_identity(&reader->who, h.epoch, h.nonce) && h.log_position > reader->next)
		reader->next = h.log_position;
	return any && h.epoch > reader->who.epoch;
}

/* the block that the reader is in, and the next one; false: it cannot be read now */
static bool bring(const struct factbook *l, const struct ring_reader *reader, uint64_t *at_hand)
{
	if (!is_shared(l) || reader->next / BLOCK_RECORDS == *at_hand)
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

	if (!is_shared(l) && !ring_refresh(l->control, &reader->who))
		return;
	while (bring(l, at, &at_hand)) {
		enum ring_result result = ring_next(l->control, at, &r, &mended, &ahead);
		if (result == RING_END)
			return;
		if (result == RING_RECORD) {
			fold(l, &r);
			atomic_fetch_add(&l->mended, mended);
			continue;
		}
		uint64_t before = at->next, unread_before = unread(l);
		/* it may have been written, and the next ones as well, while we looked on; now that those are there it is whole */
		if (!is_shared(l) && looked_again != before && !MUTANT(RING_ONE_LOOK) && ring_refresh(l->control, &at->who)) {
			looked_again = before;
			continue;
		}
		if (is_shared(l) && at->gap && before >= told && !MUTANT(GAP_SKIPPED)) {
			peek = *at;
			at = &peek;
			at->next += ahead;
			continue;
		}
		inherited = inherited || read_checkpoint(l, at);
		if (unread(l) != unread_before)
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
	bool at_hand = is_shared(l) && slot_read(l->control, slot, &cell) != CHECK_BAD;
	if ((!at_hand && !slot_refresh(l->control, slot)) || slot_read(l->control, slot, &cell) == CHECK_BAD)
		return false; /* what we know of it stays */
	*left = cell.state == SLOT_LEFT;
	bool same = source->known && same_identity(&source->reader.who, cell.epoch, cell.nonce);
	source->told = *left ? UINT64_MAX : same ? max_u64(source->told, cell.log_tail) : cell.log_tail;
	if (same)
		return true;
	uint64_t before = unread(l);
	source->final = false;
	source->reader = (struct ring_reader){.who = identity_of_cell(&cell)};
	source->reader.who.slot = slot;
	source->owes = is_shared(l) && cell.owed_epoch && !MUTANT(OWED_LOG_UNREAD);
	source->owed = (struct ring_reader){.who = {.slot = slot, .epoch = cell.owed_epoch, .nonce = cell.owed_nonce}};
	if (cell.epoch)
		(void)read_checkpoint(l, &source->reader);
	if (source->owes)
		(void)read_checkpoint(l, &source->owed);
	source->known = unread(l) == before;
	return source->known;
}

/* the log of the incarnation before, which has ended: once, to its end */
static bool read_owed(struct factbook *l, struct factbook_source *source)
{
	uint64_t before = unread(l);

	if (source->owes) {
		read_ring(l, &source->owed, UINT64_MAX);
		source->owes = unread(l) != before;
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
	uint64_t before = unread(l);
	read_ring(l, &source->reader, source->told);
	source->final = left && unread(l) == before; /* as it was before we read: nothing came behind that */
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
		    !same_identity(&source->reader.who, cell.epoch, cell.nonce))
			return false;
	}
	return true;
}

/*
 * A slot passes on in some multiple of the claim's wait, and only the second one after that overwrites a ring: a refresh that
 * took that long asks whether the cells are as they were, and else looks once more.
 */
static bool refresh_shared(struct factbook *l)
{
	for (int i = 0; i < REREADS; i++) {
		uint64_t began = clock_boot_us(), before = unread(l);
		int used = lease_refresh(l->control);
		for (int slot = 0; slot < used; slot++)
			refresh_shared_slot(l, (uint32_t)slot);
		if (used >= 0)
			atomic_store(&l->used, (unsigned)used);
		if (used < 0 || unread(l) != before)
			return false;
		if (clock_boot_us() - began < l->control->pass_us || cells_as_read(l, used))
			return true;
	}
	return false;
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
			if (!read_cell(l, source, slot, &left) && !source->known)
				return;
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
	uint64_t before = unread(l);

	if (l->writing && slot == l->me.slot)
		return;
	if (source->known && !media->caps.mappable && !l->control->read_only)
		return; /* such a medium has one writer: this process */
	read_slot(l, source, slot);
	if (unread(l) == before || MUTANT(LOG_UNREAD_ENDS)) {
		source->unread = 0;
	} else if (++source->unread < UNREAD_MAX) {
		source->known = false;
	} else {
		source->unread = 0;
		atomic_fetch_add(&l->damaged, 1);
	}
}

/* everything counts as pinned */
static bool is_blind(const struct factbook *l)
{
	bool silent = false;

	for (uint32_t slot = 0; slot < l->control->layout.geo.slots; slot++)
		silent |= l->sources[slot].unread > 0;
	return l->facts.blind || silent;
}

static void tell(struct factbook *l)
{
	bool blind = is_blind(l);

	atomic_store_explicit(&l->pins, blind ? UINT32_MAX : l->facts.pins, memory_order_release);
	atomic_store_explicit(&l->session_pins, blind ? UINT32_MAX : l->facts.session_pins, memory_order_release);
}

static bool refresh(struct factbook *l)
{
	uint64_t before = unread(l);

	atomic_thread_fence(memory_order_seq_cst); /* what the caller has written before is there for all who look */
	bool good = !is_shared(l) || refresh_shared(l);
	for (uint32_t slot = 0; !is_shared(l) && slot < l->control->layout.geo.slots; slot++)
		refresh_slot(l, slot);
	tell(l);
	return good && unread(l) == before;
}

bool factbook_refresh(struct factbook *l)
{
	pthread_mutex_lock(&l->lock);
	bool good = refresh(l);
	pthread_mutex_unlock(&l->lock);
	return good;
}

void factbook_poll(struct factbook *l)
{
	uint64_t bell = word_load(control_bell(l->control));

	pthread_mutex_lock(&l->lock);
	if (bell != l->bell || is_blind(l)) {
		(void)refresh(l);
		l->bell = bell;
	}
	pthread_mutex_unlock(&l->lock);
}

static int open_shared(struct factbook *l)
{
	const struct control *c = l->control;

	for (l->removed_places = 64; l->removed_places < 16ULL * checkpoint_records(c);)
		l->removed_places *= 2;
	l->removed = calloc(l->removed_places, sizeof(*l->removed));
	l->wants = calloc(c->layout.geo.slots, sizeof(*l->wants));
	return l->removed && l->wants ? ownership_open(&l->ownership, c->layout.segments, c->layout.geo.slots) : -ENOMEM;
}

int factbook_open(struct factbook *l, const struct control *c)
{
	*l = (struct factbook){.control = c};
	l->sources = calloc(c->layout.geo.slots, sizeof(*l->sources));
	l->scratch = calloc(checkpoint_records(c), sizeof(*l->scratch));
	if (!l->sources || !l->scratch || (c->shared && open_shared(l))) {
		free(l->sources);
		free(l->scratch);
		free(l->removed);
		free(l->wants);
		l->sources = NULL;
		return -ENOMEM;
	}
	pthread_mutex_init(&l->lock, NULL);
	l->bell = word_load(control_bell(c));
	(void)factbook_refresh(l);
	return 0;
}

void factbook_close(struct factbook *l)
{
	if (!l->sources)
		return;
	facts_close(&l->facts);
	ownership_close(&l->ownership);
	free(l->removed);
	free(l->wants);
	free(l->gone);
	free(l->sources);
	free(l->scratch);
	l->sources = NULL;
	pthread_mutex_destroy(&l->lock);
}

/* ---- writing; all under the lock ---- */

static uint32_t fact_limit(const struct factbook *l)
{
	uint32_t records = checkpoint_records(l->control), slots = l->control->layout.geo.slots;

	if (is_shared(l)) { /* ownership is not refused: at most that much (ownership_copy) */
		uint64_t owned = 3ULL * l->control->layout.segments;
		records = (uint32_t)(owned < records ? records - owned : 0);
	}
	return records - (slots < records / 2 ? slots : records / 2);
}

/* removals are forgotten when they must be, and what they removed has been overwritten */
static void forget_settled(struct factbook *l)
{
	if (is_shared(l) && l->share.settled)
		(void)facts_forget(&l->facts, l->share.settled, l->share.context);
}

/* everything that is known, into the area of @who's slot that does not hold; -ENOSPC: it does not fit */
static int write_checkpoint(struct factbook *l, const struct log_identity *who, uint64_t log_position)
{
	const struct control *c = l->control;
	struct checkpoint_header held;
	unsigned area = 0;
	uint64_t before = unread(l);
	bool any = checkpoint_best(c, who->slot, &held, &area);

	if (unread(l) != before)
		return -EIO; /* one that holds need not have answered */
	facts_drop_over(&l->facts, clock_utc_s());
	tell(l);
	if (is_shared(l) && l->facts.count >= fact_limit(l))
		forget_settled(l); /* some may have come back from what others have written down */
	uint32_t count = facts_copy(&l->facts, l->scratch, checkpoint_records(c));
	if (is_shared(l) && count <= checkpoint_records(c)) {
		if (l->share.quiet)
			ownership_prune(&l->ownership, l->share.quiet, l->share.context);
		count += ownership_copy(&l->ownership, who->slot, who->epoch, l->scratch + count, checkpoint_records(c) - count);
	}
	if (count > checkpoint_records(c) || is_blind(l))
		return -ENOSPC;
	struct checkpoint_header h = {
		.slot = who->slot,
		.epoch = who->epoch,
		.nonce = who->nonce,
		.sequence = any ? held.sequence + 1 : 1,
		.facts = count,
		.log_position = log_position,
	};
	return checkpoint_write(c, any ? !area : 0, &h, l->scratch);
}

/* is there anything in the log that its checkpoint does not hold? */
static bool owes_checkpoint(const struct factbook *l, const struct ring_reader *reader)
{
	struct checkpoint_header h;
	unsigned area;
	uint64_t covered = 0;

	if (checkpoint_best(l->control, reader->who.slot, &h, &area) && same_identity(&reader->who, h.epoch, h.nonce))
		covered = h.log_position;
	return reader->next > covered;
}

int factbook_take_over(void *context, const struct slot *next, const struct slot_cell *before)
{
	struct factbook *l = context;
	struct log_identity heir = {.slot = next->number, .epoch = next->epoch, .nonce = next->nonce};
	int err = 0;

	if (before->epoch == 0)
		return 0;
	pthread_mutex_lock(&l->lock);
	bool good = refresh(l);
	struct factbook_source *source = &l->sources[next->number];
	if (!good || !source->known || !same_identity(&source->reader.who, before->epoch, before->nonce))
		err = -EAGAIN; /* its cell cannot be read now, or is not what the caller saw */
	else if (owes_checkpoint(l, &source->reader))
		err = write_checkpoint(l, &heir, 0);
	pthread_mutex_unlock(&l->lock);
	return err == -ENOSPC ? -EAGAIN : err;
}

int factbook_bring_over(struct factbook *l, const struct slot *slot)
{
	struct log_identity me = {.slot = slot->number, .epoch = slot->epoch, .nonce = slot->nonce};

	if (!slot->cell.owed_epoch)
		return 0;
	pthread_mutex_lock(&l->lock);
	/* what is known now has that log in it, whoever's cell names it */
	int err = refresh(l) ? 0 : -EIO;
	const struct factbook_source *source = &l->sources[slot->number];
	if (!err && (!source->known || !same_identity(&source->reader.who, me.epoch, me.nonce) || source->owes))
		err = -EAGAIN;
	if (!err)
		err = write_checkpoint(l, &me, 0);
	pthread_mutex_unlock(&l->lock);
	return err;
}

void factbook_attach(struct factbook *l, const struct slot *slot)
{
	pthread_mutex_lock(&l->lock);
	l->me = (struct log_identity){.slot = slot->number, .epoch = slot->epoch, .nonce = slot->nonce};
	l->next = l->checkpointed = 0;
	atomic_store(&l->tail, 0);
	l->ring_known = false;
	l->writing = true;
	pthread_mutex_unlock(&l->lock);
}

static bool is_new(const struct factbook *l, const struct record *r)
{
	if (r->kind == RECORD_DEL)
		return !facts_removed_in(&l->facts, r->key, r->birth, r->subject);
	return !(r->kind == RECORD_SESSION ? facts_of_session(&l->facts, r->subject) : facts_of_key(&l->facts, r->key));
}

static int make_room(struct factbook *l)
{
	if (l->next - l->checkpointed < ring_records(l->control) || MUTANT(RING_LAP_BEFORE_CHECKPOINT))
		return 0;
	int err = write_checkpoint(l, &l->me, l->next);
	if (!err)
		l->checkpointed = l->next;
	return err;
}

static int append(struct factbook *l, struct record *r)
{
	const struct control *c = l->control;
	int err = make_room(l);

	if (err)
		return fail(err, "%s: the fact could not be written: %s", c->media->path, memkv_strerror(err));
	/* where it is mirrored, what lies in the ring must be known before any of it is written again */
	if (!l->ring_known && !is_shared(l) && !ring_refresh(c, &l->me))
		return fail(-EIO, "%s: the log that the fact goes into cannot be read", c->media->path);
	l->ring_known = true;
	facts_follow(&l->facts, r);
	r->version = l->facts.version + 1;
	r->slot = l->me.slot;
	r->epoch = l->me.epoch;
	r->position = l->next++;
	ring_write(c, &l->me, r);
	fold(l, r);
	tell(l);
	err = control_published(c) ? c->media->ops->flush(c->media) : -EIO;
	if (!err)
		atomic_store(&l->tail, l->next);
	if (!err && is_shared(l))
		err = l->share.tell(l->share.context, l->next);
	/* others may read it or not, and this process goes by it: nothing more is to be answered by what it knows */
	if (err && is_shared(l) && !MUTANT(UNTOLD_BELIEVED))
		atomic_store(&c->media->unpublished, true);
	word_add(control_bell(c), 1);
	control_publish(c, control_bell(c), 8);
	return err ? fail(err, "%s: the fact could not be written: %s", c->media->path, memkv_strerror(err)) : 0;
}

int factbook_state(struct factbook *l, struct record *r)
{
	const char *path = l->control->media->path;
	int err = 0;

	pthread_mutex_lock(&l->lock);
	(void)refresh(l);
	if (is_new(l, r) && l->facts.count >= fact_limit(l)) {
		facts_drop_over(&l->facts, clock_utc_s());
		forget_settled(l);
		if (l->facts.count >= fact_limit(l) && r->kind == RECORD_DEL)
			err = fail(MEMKV_NO_ROOM, "%s: the logs keep at most %u removals at a time, and have them; they are forgotten as "
						  "segments are written anew, so put something first", path, fact_limit(l));
		else if (l->facts.count >= fact_limit(l))
			err = fail(MEMKV_PIN_LIMIT,
				   "%s: the pool keeps at most %u pins and unpins at a time, and has them; unpin some, pin by "
				   "session, or make a larger pool", path, fact_limit(l));
	}
	if (!err) {
		err = append(l, r);
	}
	atomic_thread_fence(memory_order_seq_cst); /* written; now the caller looks */
	pthread_mutex_unlock(&l->lock);
	return err;
}

/* is there a record that we have read, and that its author has not told of? */
static bool any_untold(const struct factbook *l)
{
	for (uint32_t n = 0; n < l->control->layout.geo.slots; n++) {
		const struct factbook_source *source = &l->sources[n];
		if ((n != l->me.slot || !l->writing) && source->known && source->reader.next > source->told)
			return true;
	}
	return false;
}

int factbook_vouch(struct factbook *l, const uint8_t key[32])
{
	enum { SOME = 16 };
	struct record again[SOME];
	uint32_t count = 0;
	int err = 0;

	pthread_mutex_lock(&l->lock);
	for (uint32_t i = 0; any_untold(l) && i < l->facts.places && count < SOME; i++)
		if (l->facts.table[i].kind == RECORD_DEL && l->facts.table[i].slot != l->me.slot &&
		    memcmp(l->facts.table[i].key, key, sizeof(again->key)) == 0)
			again[count++] = l->facts.table[i];
	for (uint32_t i = 0; !err && i < count && !MUTANT(NOT_VOUCHED); i++)
		err = append(l, &again[i]);
	pthread_mutex_unlock(&l->lock);
	return err;
}

/* ---- looking ---- */

uint32_t factbook_room(struct factbook *l)
{
	pthread_mutex_lock(&l->lock);
	facts_drop_over(&l->facts, clock_utc_s());
	uint32_t limit = fact_limit(l), room = l->facts.count < limit ? limit - l->facts.count : 0;
	pthread_mutex_unlock(&l->lock);
	return room;
}

static bool pinned(struct factbook *l, const uint8_t key[32], uint64_t session_id, bool in_doubt)
{
	if (atomic_load_explicit(&l->pins, memory_order_acquire) == 0)
		return false;
	pthread_mutex_lock(&l->lock);
	bool is = (in_doubt && is_blind(l)) || facts_pinned(&l->facts, key, session_id, clock_utc_s());
	pthread_mutex_unlock(&l->lock);
	return is;
}

bool factbook_pinned(struct factbook *l, const uint8_t key[32], uint64_t session_id)
{
	return pinned(l, key, session_id, true);
}

bool factbook_pins(struct factbook *l, const uint8_t key[32], uint64_t session_id)
{
	return pinned(l, key, session_id, false);
}

static bool copy_fact(struct factbook *l, const struct record *there, struct record *r)
{
	if (there)
		*r = *there;
	pthread_mutex_unlock(&l->lock);
	return there != NULL;
}

bool factbook_of_key(struct factbook *l, const uint8_t key[32], struct record *r)
{
	pthread_mutex_lock(&l->lock);
	return copy_fact(l, facts_of_key(&l->facts, key), r);
}

bool factbook_of_session(struct factbook *l, uint64_t session_id, struct record *r)
{
	pthread_mutex_lock(&l->lock);
	return copy_fact(l, facts_of_session(&l->facts, session_id), r);
}

uint32_t factbook_copy(struct factbook *l, struct record *to, uint32_t room)
{
	pthread_mutex_lock(&l->lock);
	uint32_t count = facts_copy(&l->facts, to, room);
	pthread_mutex_unlock(&l->lock);
	return count;
}

/* ---- shared devices ---- */

int factbook_log(struct factbook *l, struct record *records, uint32_t count, bool flush)
{
	const struct control *c = l->control;
	int err = 0;

	pthread_mutex_lock(&l->lock);
	for (uint32_t done = 0; !err && done < count;) {
		uint64_t first = l->next;
		err = make_room(l);
		uint64_t room = ring_records(c) - (l->next - l->checkpointed);
		uint32_t some = (uint32_t)(room < count - done ? room : count - done);
		for (uint32_t i = 0; !err && i < some; i++) {
			struct record *r = &records[done + i];
			r->slot = l->me.slot;
			r->epoch = l->me.epoch;
			r->position = l->next++;
			ring_store(c, &l->me, r);
		}
		if (!err)
			ring_publish(c, &l->me, first, some);
		for (uint32_t i = 0; !err && i < some; i++)
			fold(l, &records[done + i]);
		done += some;
	}
	if (!err)
		err = !control_published(c) ? -EIO : flush ? c->media->ops->flush(c->media) : 0;
	if (!err)
		atomic_store(&l->tail, l->next);
	pthread_mutex_unlock(&l->lock);
	return err;
}

struct holding factbook_holding(struct factbook *l, uint64_t segment)
{
	pthread_mutex_lock(&l->lock);
	struct holding h = ownership_of(&l->ownership, segment);
	pthread_mutex_unlock(&l->lock);
	return h;
}

uint64_t factbook_last(struct factbook *l, uint64_t segment)
{
	pthread_mutex_lock(&l->lock);
	uint64_t version = ownership_last(&l->ownership, segment, l->me.slot, l->me.epoch);
	pthread_mutex_unlock(&l->lock);
	return version;
}

bool factbook_mark(struct factbook *l, uint64_t segment, uint32_t n, struct own_mark *mark)
{
	pthread_mutex_lock(&l->lock);
	bool marked = ownership_mark(&l->ownership, segment, n, mark);
	pthread_mutex_unlock(&l->lock);
	return marked;
}

void factbook_wants(struct factbook *l, struct want *wants)
{
	pthread_mutex_lock(&l->lock);
	memcpy(wants, l->wants, l->control->layout.geo.slots * sizeof(*wants));
	pthread_mutex_unlock(&l->lock);
}

uint64_t factbook_tail(struct factbook *l)
{
	return atomic_load(&l->tail);
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

bool factbook_current(const struct factbook *l, const struct slot_cell *cell)
{
	const struct factbook_source *source = &l->sources[cell->slot];

	if (cell->epoch == 0 || (l->writing && cell->slot == l->me.slot))
		return true;
	return atomic_load(&source->nonce) == cell->nonce && atomic_load(&source->tail) >= cell->log_tail;
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

bool factbook_removed_in(struct factbook *l, const uint8_t key[32], uint64_t birth, uint64_t segment)
{
	pthread_mutex_lock(&l->lock);
	bool removed = facts_removed_in(&l->facts, key, birth, segment);
	pthread_mutex_unlock(&l->lock);
	return removed;
}

bool factbook_crowded(struct factbook *l)
{
	pthread_mutex_lock(&l->lock);
	bool crowded = l->facts.removals > fact_limit(l) / 4;
	pthread_mutex_unlock(&l->lock);
	return crowded;
}
