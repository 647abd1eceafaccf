/* SPDX-License-Identifier: Apache-2.0 */
/* See own.h. */
#include "core/slot/own.h"

#include <assert.h>

/* what one pass over the words remembers about slots: asking the kernel once a slot is enough */
struct death_notes {
	const struct slot *me;	  /* alive: a lock does not show to the description that holds it */
	uint8_t known[SLOTS_MAX]; /* 0 unknown, 1 gone, 2 alive */
	uint32_t epoch[SLOTS_MAX];
	enum { OTHERS_UNKNOWN, OTHERS_NONE, OTHERS_ATTACHED } others;
};

static bool gone(const struct control *c, struct death_notes *notes, uint32_t slot, uint32_t epoch)
{
	if (slot >= SLOTS_MAX)
		return true;
	if (slot == notes->me->number && (epoch == notes->me->epoch || MUTANT(EPOCH_IGNORED)))
		return false;
	if (c->share)
		return c->share->gone(c->share_context, slot, epoch);
	if (MUTANT(TAKE_LIVE))
		return true;
	if (notes->known[slot] == 0 || notes->epoch[slot] != epoch) {
		notes->known[slot] = slot_gone(c, slot, epoch) ? 1 : 2;
		notes->epoch[slot] = epoch;
	}
	return notes->known[slot] == 1;
}

bool own_look(const struct control *c, uint64_t segment, struct owned *owned)
{
	owned->segment = segment;
	owned->raw = word_load(control_owner_word(c, segment));
	return control_there(c, segment) && owner_word_decode(owned->raw, segment, c->seed, &owned->word);
}

/* may we take or empty it, as far as others, and its namespace, have a say? */
static bool ours_to_take(const struct control *c, uint64_t segment)
{
	return control_takes(c, segment) && (!c->share || c->share->mine(c->share_context, segment));
}

/*
 * Shared devices: words are this process's own, but its threads that read logs change them.  What was adopted from us meanwhile is
 * another's from then on, and may be OPEN: it must not be called closed for what we did with it before.
 */
static bool swap_own_word(const struct control *c, struct owned *owned, uint64_t raw, const struct owner_word *next)
{
	struct owned now = *owned;

	if (next->state == OWNER_OPEN || MUTANT(WORD_BY_FORCE)) { /* stated, and looked at once more: ours alone */
		word_publish(control_owner_word(c, owned->segment), raw);
		return true;
	}
	while (!word_swap(control_owner_word(c, owned->segment), now.raw, raw))
		if (!own_look(c, owned->segment, &now) || now.word.slot != next->slot || now.word.epoch != next->epoch)
			return false;
	return true;
}

static bool swap_word(const struct control *c, struct owned *owned, struct owner_word next)
{
	uint64_t raw = owner_word_encode(next, owned->segment, c->seed);

	if (c->share ? !swap_own_word(c, owned, raw, &next) : !word_swap(control_owner_word(c, owned->segment), owned->raw, raw))
		return false;
	owned->raw = raw;
	owned->word = next;
	/* who opens a segment settles before anything is written to it; what is closed a moment later harms nobody */
	control_publish_later(c, control_owner_word(c, owned->segment), 8);
	return control_published(c) && control_there(c, owned->segment); /* else it is nobody's business to write there */
}

bool own_refresh(const struct control *c, uint64_t segment)
{
	return control_refresh(c, control_owner_word(c, segment), 8);
}

void own_keep(const struct control *c, const struct owned *owned)
{
	uint64_t raw = word_load(control_owner_word(c, owned->segment));
	struct owner_word word;

	if (raw != owned->raw && !owner_word_decode(raw, owned->segment, c->seed, &word))
		word_swap(control_owner_word(c, owned->segment), raw, owned->raw);
}

bool own_move(const struct control *c, struct owned *owned, enum owner_state to, const struct slot *me)
{
	const struct owner_word *old = &owned->word;
	bool mine = (old->state == OWNER_OPEN || old->state == OWNER_LEAVING) && old->slot == me->number &&
		    old->epoch == me->epoch;
	struct owner_word next = {.state = to, .turn = old->turn + 1, .slot = me->number, .epoch = me->epoch};

	assert(owner_move_legal(old->state, to));
	if (mine)
		own_keep(c, owned);
	if (c->share && !c->share->state(c->share_context, owned, to))
		return false;
	return swap_word(c, owned, next);
}

static bool others_attached(const struct control *c, struct death_notes *notes)
{
	for (uint32_t n = 0; notes->others == OTHERS_UNKNOWN && n < c->layout.geo.slots; n++)
		if (n != notes->me->number && slot_locked(c, n))
			notes->others = OTHERS_ATTACHED;
	if (notes->others == OTHERS_UNKNOWN)
		notes->others = OTHERS_NONE;
	return notes->others == OTHERS_ATTACHED;
}

/*
 * A damaged word.  One flipped bit is undone.  With more than that nobody knows whose the segment is - whoever opened
 * it need not be the one who continues it - so it is left alone while anybody else is attached.  Then it is PARKED:
 * whoever takes it looks what there is in it, settles the places that were left open, and seals it when it is full.
 */
static bool rebuild(const struct control *c, struct owned *owned, struct death_notes *notes)
{
	uint64_t words[TABLE_HEADER_BYTES / 8];
	struct table_header header = {0}; /* never opened */
	struct owner_word word;

	if (c->shared || !control_there(c, owned->segment) ||
	    !control_refresh(c, control_table(c, owned->segment), TABLE_HEADER_BYTES))
		return false;
	words_load(words, control_table(c, owned->segment), TABLE_HEADER_BYTES / 8);
	/* a table that is withdrawn describes as little as one that was never begun */
	bool blank = cell_blank((const uint8_t *)words, sizeof(words)) || words[CHECK_WORD] == htole64(CHECK_WRITING);
	if (owner_word_mend(owned->raw, owned->segment, c->seed, &word) && (word.state != OWNER_FREE || blank))
		return swap_word(c, owned, word);
	if (others_attached(c, notes))
		return false;
	if (!blank && table_header_decode((const uint8_t *)words, owned->segment, c->seed, &header) == CHECK_BAD)
		return false;
	word = (struct owner_word){
		.state = blank ? OWNER_FREE : OWNER_PARKED,
		.slot = generation_slot(header.generation),
		.epoch = generation_epoch(header.generation),
	};
	return swap_word(c, owned, word);
}

/*
 * What a word says without its check, for passes over all of them: a tenth of the time.  It may pass a word over, never choose
 * one: those that may be chosen are looked at.  So a damaged word is met when it says that it matters.
 */
static enum owner_state says(const struct control *c, uint64_t segment)
{
	return (enum owner_state)(le64toh(word_load(control_owner_word(c, segment))) >> OWNER_STATE_SHIFT);
}

/* nothing that could be written to at once; other states there are not, so those are looked at */
static bool says_full(const struct control *c, uint64_t segment)
{
	enum owner_state state = says(c, segment);

	return state == OWNER_SEALED || state == OWNER_LEAVING;
}

static bool look_or_rebuild(const struct control *c, uint64_t segment, struct owned *owned, struct death_notes *notes)
{
	return own_look(c, segment, owned) || rebuild(c, owned, notes);
}

bool own_mend(const struct control *c, const struct slot *me, uint64_t segment, struct owned *owned)
{
	struct death_notes notes = {.me = me, .others = OTHERS_NONE};

	return look_or_rebuild(c, segment, owned, &notes);
}

static bool can_resume(const struct control *c, const struct owned *owned, struct death_notes *notes)
{
	if (!ours_to_take(c, owned->segment))
		return false;
	if (owned->word.state == OWNER_PARKED)
		return true;
	return owned->word.state == OWNER_OPEN && gone(c, notes, owned->word.slot, owned->word.epoch);
}

bool own_resumable_anywhere(const struct control *c, const struct slot *me, const struct owned *owned)
{
	struct death_notes notes = {.me = me};

	return owned->word.state == OWNER_PARKED ||
	       (owned->word.state == OWNER_OPEN && gone(c, &notes, owned->word.slot, owned->word.epoch));
}

bool own_orphan(const struct control *c, const struct slot *me, const struct owned *owned)
{
	struct death_notes notes = {.me = me};

	return owned->word.state == OWNER_LEAVING && gone(c, &notes, owned->word.slot, owned->word.epoch);
}

bool own_resumable(const struct control *c, const struct slot *me, const struct owned *owned)
{
	struct death_notes notes = {.me = me};

	return can_resume(c, owned, &notes);
}

bool own_any_ready(const struct control *c, const struct slot *me, bool keep_free)
{
	struct death_notes notes = {.me = me};
	struct owned owned;
	uint64_t free = 0;

	for (uint64_t s = 0; s < c->layout.segments; s++) {
		if (says_full(c, s) || !look_or_rebuild(c, s, &owned, &notes))
			continue;
		free += owned.word.state == OWNER_FREE && ours_to_take(c, s);
		if (free > keep_free || can_resume(c, &owned, &notes))
			return true;
	}
	return c->share && c->share->adopt(c->share_context, true);
}

bool own_is_free(const struct control *c, uint64_t segment)
{
	struct owned owned;

	return own_look(c, segment, &owned) && owned.word.state == OWNER_FREE;
}

bool own_any_free(const struct control *c)
{
	for (uint64_t s = 0; s < c->layout.segments; s++)
		if (says(c, s) == OWNER_FREE && own_is_free(c, s) && ours_to_take(c, s))
			return true;
	return false;
}

/* the first FREE segment from @first on, below @end, but for the one to be kept; *kept: there is one that is left alone */
static bool take_free_of(const struct control *c, const struct slot *me, uint64_t first, uint64_t end, bool keep_one, bool *kept,
			 const struct own_clear *clear, struct owned *owned)
{
	for (uint64_t s = first; s < end; s++) {
		if (says(c, s) != OWNER_FREE || !own_look(c, s, owned) || owned->word.state != OWNER_FREE || !ours_to_take(c, s))
			continue;
		if (keep_one && !*kept)
			*kept = true;
		else if (clear->clear(clear->context, s) && own_move(c, owned, OWNER_OPEN, me))
			return true;
	}
	return false;
}

static uint64_t count_free(const struct control *c, const struct extent *e)
{
	uint64_t n = 0;

	for (uint64_t s = e->first_segment; s < e->first_segment + e->segments; s++)
		n += says(c, s) == OWNER_FREE && own_is_free(c, s) && ours_to_take(c, s);
	return n;
}

/*
 * Several namespaces: one of that which has the largest part of its segments FREE.  So all of them fill at the same pace,
 * whatever their sizes, and what is evicted later, the oldest first, is spread as well.
 */
static bool take_spread(const struct control *c, const struct slot *me, bool keep_one, const struct own_clear *clear,
			struct owned *owned)
{
	uint64_t free[NAMESPACES_MAX];
	bool kept = false;

	for (unsigned n = 0; n < c->layout.extent_count; n++)
		free[n] = count_free(c, &c->layout.extents[n]);
	for (unsigned tries = 0; tries < c->layout.extent_count; tries++) {
		const struct extent *e = c->layout.extents;
		unsigned best = 0;
		for (unsigned n = 1; n < c->layout.extent_count; n++) /* by cross-multiplication: no fractions */
			if (free[n] * e[best].segments > free[best] * e[n].segments)
				best = n;
		if (free[best] == 0)
			return false;
		free[best] = 0;
		if (take_free_of(c, me, e[best].first_segment, e[best].first_segment + e[best].segments, keep_one, &kept, clear,
				 owned))
			return true;
	}
	return false;
}

/* a FREE segment; none is below @first */
static bool take_free(const struct control *c, const struct slot *me, bool keep_one, uint64_t first,
		      const struct own_clear *clear, struct owned *owned)
{
	bool kept = false;

	return c->layout.extent_count > 1 ? take_spread(c, me, keep_one, clear, owned)
					   : take_free_of(c, me, first, c->layout.segments, keep_one, &kept, clear, owned);
}

static bool take_ready(const struct control *c, const struct slot *me, bool keep_free, const struct own_clear *clear,
		       struct owned *owned, bool *resumed)
{
	struct death_notes notes = {.me = me};
	uint64_t first_free = UINT64_MAX;

	for (uint64_t s = 0; s < c->layout.segments; s++) {
		bool more_free = first_free != UINT64_MAX && says(c, s) == OWNER_FREE;
		if (more_free || says_full(c, s) || !look_or_rebuild(c, s, owned, &notes))
			continue;
		if (owned->word.state == OWNER_FREE && first_free == UINT64_MAX)
			first_free = s;
		*resumed = true;
		if (can_resume(c, owned, &notes) && own_move(c, owned, OWNER_OPEN, me))
			return true;
	}
	*resumed = false;
	return take_free(c, me, keep_free, first_free, clear, owned);
}

bool own_take_ready(const struct control *c, const struct slot *me, bool keep_free, const struct own_clear *clear,
		    struct owned *owned, bool *resumed)
{
	do {
		if (take_ready(c, me, keep_free, clear, owned, resumed))
			return true;
	} while (c->share && control_published(c) && c->share->adopt(c->share_context, false));
	return false;
}

/*
 * An age ahead of the clock is damage, of one or the other.  It counts as now, and says so from then on: left as it is
 * its segment would never be the oldest.  The clock is read second, so a segment that is just being opened is not taken
 * for damaged.
 */
static uint64_t age_of(const struct control *c, uint64_t segment)
{
	uint64_t age = word_load(control_age(c, segment));
	uint64_t now = word_load(control_clock(c));

	if (age <= now)
		return age;
	word_swap(control_age(c, segment), age, now);
	return now;
}

bool own_take_oldest(const struct control *c, const struct slot *me, unsigned (*rank)(void *context, uint64_t segment),
		     void *context, struct owned *owned)
{
	struct death_notes notes = {.me = me};

	for (;;) {
		struct owned best = {.segment = UINT64_MAX};
		uint64_t best_age = UINT64_MAX;
		unsigned best_rank = UINT32_MAX;

		for (uint64_t s = 0; s < c->layout.segments; s++) {
			struct owned seen = {0};
			enum owner_state state = says(c, s);
			bool writable = state == OWNER_FREE || state == OWNER_OPEN || state == OWNER_PARKED;
			if (writable)
				continue;
			unsigned ranked = state == OWNER_SEALED ? rank(context, s) : 0;
			if (ranked > best_rank || (state == OWNER_SEALED && ranked == best_rank && age_of(c, s) >= best_age))
				continue;
			if (!look_or_rebuild(c, s, &seen, &notes) || !ours_to_take(c, s))
				continue;
			bool orphan = seen.word.state == OWNER_LEAVING &&
				      gone(c, &notes, seen.word.slot, seen.word.epoch);
			uint64_t age = orphan ? 0 : age_of(c, s);
			ranked = orphan ? 0 : rank(context, s); /* its word may have changed, or been damaged */
			bool better = ranked < best_rank || (ranked == best_rank && age < best_age);
			if ((seen.word.state == OWNER_SEALED || orphan) && better) {
				best = seen;
				best.orphan = orphan;
				best_age = age;
				best_rank = ranked;
			}
		}
		if (best.segment == UINT64_MAX || !control_published(c))
			return false;
		if (own_move(c, &best, OWNER_LEAVING, me)) {
			*owned = best;
			return true;
		}
		if (c->share && !c->share->mine(c->share_context, best.segment))
			return false; /* it was taken from us */
	}
}
