/* SPDX-License-Identifier: Apache-2.0 */
/* See factbook.h. */
#include "core/facts/factbook_read.h"
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/log/checkpoint.h"
#include "core/slot/lease.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool factbook_refresh(struct factbook *l)
{
	pthread_mutex_lock(&l->lock);
	bool good = factbook_read(l);
	pthread_mutex_unlock(&l->lock);
	return good;
}

void factbook_poll(struct factbook *l)
{
	uint64_t bell = word_load(control_bell(l->control));

	pthread_mutex_lock(&l->lock);
	if (bell != l->bell || factbook_blind(l)) {
		(void)factbook_read(l);
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
	l->doubts = calloc(2ULL * c->layout.geo.slots, sizeof(*l->doubts));
	return l->removed && l->wants && l->doubts ? ownership_open(&l->ownership, c->layout.segments, c->layout.geo.slots) : -ENOMEM;
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
		free(l->doubts);
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
	free(l->doubts);
	free(l->gone);
	free(l->sources);
	free(l->scratch);
	l->sources = NULL;
	pthread_mutex_destroy(&l->lock);
}

/* ---- writing; all under the lock ---- */

enum { LEFT_OPEN_MAX = 16 }; /* segments, by an incarnation before in the slot that is not proven gone */

static uint32_t fact_limit(const struct factbook *l)
{
	uint32_t records = checkpoint_records(l->control), slots = l->control->layout.geo.slots;

	if (factbook_shared(l)) { /* ownership is not refused: at most that much (ownership_copy) */
		uint64_t owned = 3ULL * l->control->layout.segments + LEFT_OPEN_MAX + 1; /* the last: what we are about to remove */
		records = (uint32_t)(owned < records ? records - owned : 0);
	}
	return records - (slots < records / 2 ? slots : records / 2);
}

/* pins of a shared device leave half of the places to removals */
static uint32_t places_left(const struct factbook *l, bool for_removal)
{
	uint32_t limit = fact_limit(l), pins = l->facts.count - l->facts.removals;
	uint32_t left = l->facts.count < limit ? limit - l->facts.count : 0;
	uint32_t half = pins < limit / 2 ? limit / 2 - pins : 0;

	return factbook_shared(l) && !for_removal && half < left ? half : left;
}

/* removals are forgotten when they must be, and what they removed has been overwritten */
static void forget_settled(struct factbook *l)
{
	if (factbook_shared(l) && l->share.settled)
		(void)facts_forget(&l->facts, l->share.settled, l->share.context);
}

/* what this process is about to remove */
static struct record doubt_record(const struct factbook *l)
{
	const struct doubt *d = factbook_doubt_of(l, l->me.slot, l->me.epoch);
	struct record r = {.kind = RECORD_DOUBT, .birth = d->birth, .version = d->version, .slot = l->me.slot, .epoch = d->epoch};

	memcpy(r.key, d->key, sizeof(r.key));
	return r;
}

/* everything that is known, into the area of @who's slot that does not hold; -ENOSPC: it does not fit */
static int write_checkpoint(struct factbook *l, const struct log_identity *who, uint64_t log_position)
{
	const struct control *c = l->control;
	struct checkpoint_header held;
	unsigned area = 0;
	uint64_t before = factbook_unread(l);
	bool any = checkpoint_best(c, who->slot, &held, &area);
	int err;

	if (factbook_unread(l) != before)
		return -EIO; /* one that holds need not have answered */
	/* it may be of one who was killed before it flushed that: then power loss would leave neither of the two */
	if (any && !MUTANT(CHECKPOINT_UNFLUSHED) && (err = c->media->ops->flush(c->media)))
		return err;
	facts_drop_over(&l->facts, clock_utc_s());
	factbook_tell(l);
	if (factbook_shared(l) && l->facts.count >= fact_limit(l))
		forget_settled(l); /* some may have come back from what others have written down */
	uint32_t count = facts_copy(&l->facts, l->scratch, checkpoint_records(c));
	if (factbook_shared(l) && count <= checkpoint_records(c)) {
		if (l->share.quiet)
			ownership_prune(&l->ownership, l->share.quiet, l->share.context);
		count += ownership_copy(&l->ownership, who->slot, who->epoch, l->scratch + count, checkpoint_records(c) - count);
	}
	if (factbook_shared(l) && l->writing && count < checkpoint_records(c) && factbook_doubt_of(l, l->me.slot, l->me.epoch)->birth)
		l->scratch[count++] = doubt_record(l);
	if (count > checkpoint_records(c) || factbook_blind(l))
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

	if (checkpoint_best(l->control, reader->who.slot, &h, &area) && log_is_of(&reader->who, h.epoch, h.nonce))
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
	bool good = factbook_read(l);
	struct factbook_source *source = &l->sources[next->number];
	if (!good || !source->known || !log_is_of(&source->reader.who, before->epoch, before->nonce))
		err = -EAGAIN; /* its cell cannot be read now, or is not what the caller saw */
	else if (owes_checkpoint(l, &source->reader))
		err = write_checkpoint(l, &heir, 0);
	pthread_mutex_unlock(&l->lock);
	return err == -ENOSPC ? -EAGAIN : err;
}

int factbook_bring_over(struct factbook *l, const struct slot *slot)
{
	struct log_identity me = {.slot = slot->number, .epoch = slot->epoch, .nonce = slot->nonce};

	if (!slot->cell.owed_epoch || MUTANT(HEIR_WITHOUT_FACTS))
		return 0;
	pthread_mutex_lock(&l->lock);
	/* what is known now has that log in it, whoever's cell names it */
	int err = factbook_read(l) ? 0 : -EIO;
	const struct factbook_source *source = &l->sources[slot->number];
	if (!err && (!source->known || !log_is_of(&source->reader.who, me.epoch, me.nonce) || source->owes))
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
	if (factbook_shared(l) && l->share.still && !l->share.still(l->share.context))
		return -EIO;
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
	if (!l->ring_known && !factbook_shared(l) && !ring_refresh(c, &l->me))
		return fail(-EIO, "%s: the log that the fact goes into cannot be read", c->media->path);
	l->ring_known = true;
	facts_follow(&l->facts, r);
	r->version = l->facts.version + 1;
	r->slot = l->me.slot;
	r->epoch = l->me.epoch;
	r->position = l->next++;
	ring_write(c, &l->me, r);
	factbook_fold(l, r);
	factbook_tell(l);
	bool unflushed = r->kind == RECORD_DEL && MUTANT(DEL_UNFLUSHED);
	err = !control_published(c) ? -EIO : unflushed ? 0 : c->media->ops->flush(c->media);
	if (!err)
		atomic_store(&l->tail, l->next);
	if (!err && factbook_shared(l))
		err = l->share.tell(l->share.context, l->next);
	/* others may read it or not, and this process goes by it: nothing more is to be answered by what it knows */
	if (err && factbook_shared(l) && !MUTANT(UNTOLD_BELIEVED))
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
	(void)factbook_read(l);
	if (is_new(l, r) && places_left(l, r->kind == RECORD_DEL) == 0) {
		facts_drop_over(&l->facts, clock_utc_s());
		forget_settled(l);
		bool full = places_left(l, r->kind == RECORD_DEL) == 0;
		if (full && r->kind == RECORD_DEL)
			err = fail(MEMKV_NO_ROOM, "%s: the logs keep at most %u removals at a time, and have them; they are forgotten as "
						  "segments are written anew, so put something first", path, fact_limit(l));
		else if (full)
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
	uint32_t room = places_left(l, false);
	pthread_mutex_unlock(&l->lock);
	return room;
}

static bool pinned(struct factbook *l, const uint8_t key[32], uint64_t session_id, bool in_doubt)
{
	if (atomic_load_explicit(&l->pins, memory_order_acquire) == 0)
		return false;
	pthread_mutex_lock(&l->lock);
	bool is = (in_doubt && factbook_blind(l)) || facts_pinned(&l->facts, key, session_id, clock_utc_s());
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
			factbook_fold(l, &records[done + i]);
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

bool factbook_gives_up(struct factbook *l, uint64_t segment, uint64_t generation)
{
	pthread_mutex_lock(&l->lock);
	bool gives_up = ownership_gives_up(&l->ownership, segment, generation);
	pthread_mutex_unlock(&l->lock);
	return gives_up;
}

int factbook_doubt(struct factbook *l, const uint8_t key[32], uint64_t birth)
{
	struct record r = {.kind = RECORD_DOUBT, .birth = birth};

	memcpy(r.key, key, sizeof(r.key));
	pthread_mutex_lock(&l->lock);
	r.version = l->facts.version + 1; /* nobody else here states facts meanwhile, or a lower one only */
	pthread_mutex_unlock(&l->lock);
	return factbook_log(l, &r, 1, true);
}

bool factbook_doubted(struct factbook *l, const uint8_t key[32], uint64_t birth)
{
	bool doubted = false, again = false;

	pthread_mutex_lock(&l->lock);
	for (uint32_t n = 0; !doubted && n < 2 * l->control->layout.geo.slots; n++) {
		const struct doubt *d = &l->doubts[n];
		if (!d->birth || d->birth != birth || memcmp(d->key, key, sizeof(d->key)) != 0)
			continue;
		bool mine = l->writing && n / 2 == l->me.slot && d->epoch == l->me.epoch;
		if (mine || !l->share.quiet || !l->share.quiet(l->share.context, n / 2, d->epoch))
			doubted = true;
		again = true;
	}
	if (!doubted && again && !factbook_read(l))
		doubted = true; /* what the dead have said last is not known */
	pthread_mutex_unlock(&l->lock);
	return doubted;
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

bool factbook_current(const struct factbook *l, const struct slot_cell *cell)
{
	const struct factbook_source *source = &l->sources[cell->slot];

	if (cell->epoch == 0 || (l->writing && cell->slot == l->me.slot && cell->epoch <= l->me.epoch))
		return true;
	return atomic_load(&source->nonce) == cell->nonce && atomic_load(&source->tail) >= cell->log_tail;
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
