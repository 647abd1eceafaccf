/* SPDX-License-Identifier: Apache-2.0 */
/* See fold.h. */
#include "core/index/fold.h"
#include "core/slot/own.h"

enum { PLACES = 0x7fffffff }; /* follower_segment.places */
enum { FOLD_AHEAD = 16 }; /* inserts whose memory is on its way while the next entries are verified */

struct fold {
	struct follower *f;
	uint64_t segment;
	struct {
		struct key_hash hash;
		struct place place;
	} ahead[FOLD_AHEAD];
	uint32_t ahead_count;
	uint32_t known;	    /* places below were settled before: a copy that went from there was in the index */
	uint32_t gone;	    /* copies above them that are removed */
	uint32_t gone_left; /* of these, above the first unsettled place */
	bool settled;	    /* nobody is writing: what is not there never will be */
	uint32_t unsettled; /* first place to look at again */
	uint32_t unsettled_page; /* of the first block there, in the segment */
	struct spent_pass spent; /* of settled places */
};

static void insert_ahead(struct fold *fold, uint32_t at)
{
	index_insert(fold->f->index, fold->ahead[at].hash, fold->ahead[at].place);
}

static void insert_later(struct fold *fold, struct key_hash hash, struct place place)
{
	uint32_t at = fold->ahead_count++ % FOLD_AHEAD;

	if (fold->ahead_count > FOLD_AHEAD)
		insert_ahead(fold, at);
	index_prefetch(fold->f->index, hash);
	fold->ahead[at].hash = hash;
	fold->ahead[at].place = place;
}

static void insert_rest(struct fold *fold)
{
	uint32_t rest = fold->ahead_count < FOLD_AHEAD ? fold->ahead_count : FOLD_AHEAD;

	for (uint32_t i = 0; i < rest; i++)
		insert_ahead(fold, i);
}

void fold_lose(struct follower *f)
{
	uint64_t losses = atomic_load_explicit(&f->losses, memory_order_relaxed);

	f->lost = true;
	if (losses & 1)
		return;
	atomic_store_explicit(&f->losses, losses + 1, memory_order_release);
}

void fold_lose_end(struct follower *f)
{
	uint64_t losses = atomic_load_explicit(&f->losses, memory_order_relaxed);

	if (losses & 1)
		atomic_store_explicit(&f->losses, losses + 1, memory_order_release);
}

static void fold_gone(struct fold *fold, uint32_t index, struct key_hash hash, struct place place)
{
	struct follower *f = fold->f;

	fold->gone += index >= fold->known;
	fold->gone_left += index > fold->unsettled;
	if (!index_has_page(f->index, hash, place.page)) /* never seen, or dropped before */
		return;
	fold_lose(f);
	index_drop(f->index, hash, place);
}

static void fold_entry(void *context, uint32_t index, enum entry_state state, const struct entry *entry, bool mended)
{
	struct fold *fold = context;
	struct follower *f = fold->f;

	if (state != ENTRY_HERE) {
		if (!fold->settled && index < fold->unsettled)
			fold->unsettled = index;
		if (fold->settled && state == ENTRY_DAMAGED)
			atomic_fetch_add(&f->entries_damaged, 1);
		return;
	}
	if (mended)
		atomic_fetch_add(&f->entries_mended, 1);
	/* a damaged entry of old, and the block of whoever has just reserved its place: the entry proper is still to come */
	if (mended && !fold->settled && index < fold->unsettled)
		fold->unsettled = index;
	if (entry->flags & ENTRY_VOID)
		return;
	struct key_hash hash = index_hash(f->index, entry->key);
	struct place place = place_of_entry(f->control, fold->segment, entry);
	enum life life = table_life(f->control, fold->segment, index, entry->birth);
	if (f->control->shared && factbook_removed(f->factbook, entry->key, entry->birth))
		life = LIFE_REMOVED;
	if (life == LIFE_SENT && !fold->settled && index < fold->unsettled)
		fold->unsettled = index; /* whoever reads it too early fails: look again until it is live */
	if (index >= fold->unsettled && entry->page < fold->unsettled_page)
		fold->unsettled_page = entry->page;
	/* one that is moving will be live in a moment, unless its mover died: then it stays behind in a settled segment */
	bool there = life_counts(life) || (life == LIFE_MOVING && !fold->settled);
	if (there)
		insert_later(fold, hash, place);
	else
		fold_gone(fold, index, hash, place);
	if (index >= fold->unsettled)
		return;
	if (there)
		spent_meet(&fold->spent, entry->expires_s);
	else
		fold->spent.pages += place.header_pages + place.pages;
}

static bool watches(const struct follower *f)
{
	if (f->control->shared)
		return true;
	/* a writing process knows what it wrote itself; nobody else writes */
	return !f->control->media->caps.mappable && f->control->read_only;
}

void fold_watch(struct follower *f, uint64_t s, bool open)
{
	struct follower_segment *seen = &f->segments[s];

	if (!watches(f) || seen->watched == open)
		return;
	seen->watched = open;
	if (open) {
		f->watched[f->watched_count++] = (uint32_t)s;
		return;
	}
	for (uint32_t i = 0; i < f->watched_count; i++)
		if (f->watched[i] == s)
			f->watched[i--] = f->watched[--f->watched_count];
}

/* fold the places from @from on that are below @count */
static void fold_places(struct follower *f, uint64_t s, uint64_t generation, uint32_t from, uint32_t count, bool settled)
{
	struct follower_segment *seen = &f->segments[s];
	struct fold fold = {.f = f, .segment = s, .known = seen->next, .settled = settled, .unsettled = count,
			    .unsettled_page = UINT32_MAX};

	table_walk(f->control, &f->recover, s, generation, from, count, fold_entry, &fold);
	insert_rest(&fold);
	if (fold.gone > seen->gone)
		fold_lose(f); /* copies that came and went since the last look */
	if (watches(f) && fold.unsettled > from)
		atomic_fetch_add(&f->settlements, 1);
	spent_note(&f->spent[s], &fold.spent, from == 0);
	seen->next = fold.unsettled;
	seen->places = count & PLACES;
	seen->unsettled_page = fold.unsettled_page;
	seen->gone = fold.gone_left;
}

static void age_by_time(const struct control *c, uint64_t s, uint64_t opened_s)
{
	if (word_load(control_clock(c)) < opened_s)
		word_publish(control_clock(c), opened_s);
	word_publish(control_age(c, s), opened_s);
}

/* what was brought tells of a generation at once; else it is looked at again, in the usual order */
static bool tells(const struct control *c, uint64_t segment)
{
	struct table_header header;

	return table_header(c, segment, &header) == CHECK_GOOD && header.generation;
}

/* a FREE segment describes nothing, and whoever opens it rings; @pulse was taken before */
static bool passes_over(struct follower *f, uint64_t s, uint64_t pulse)
{
	if (!own_is_free(f->control, s))
		return false;
	if (f->segments[s].pulse != pulse) /* memory that is zero already is not touched */
		f->segments[s].pulse = pulse;
	return true;
}

bool follower_pass_over(struct follower *f, uint64_t s)
{
	uint64_t pulse = word_load(control_pulse(f->control, s));

	return !f->control->shared && passes_over(f, s, pulse);
}

/* mirrored media: entries, and behind them the header once more: while that stands nothing was put over them */
static bool refresh_again(const struct control *c, uint64_t s, uint32_t from, uint32_t count)
{
	bool early = MUTANT(FOLD_LOOKS_BEFORE);

	if (early ? !table_refresh_header(c, s) : !table_refresh_entries(c, s, from, count))
		return false;
	SIM_SITE(FOLD_LOOKS_BEFORE);
	return early ? table_refresh_entries(c, s, from, count) : table_refresh_header(c, s);
}

/* mapped media: entries were read in place, and what was there may have moved to where this pass has been when they were put over */
static void look_behind(struct follower *f, uint64_t s, uint64_t generation)
{
	if (f->control->media->caps.mappable && !table_stands(f->control, s, generation) && !MUTANT(FOLD_NO_SECOND_LOOK) &&
	    !MUTANT(FOLD_LOOKS_BEFORE))
		fold_lose(f);
}

/* see the head of follower.h for why the loads come in this order */
bool follower_fold(struct follower *f, uint64_t s, const struct brought *brought)
{
	const struct control *c = f->control;
	struct follower_segment *seen = &f->segments[s];
	struct table_header header, again;
	struct owned owned;
	bool mended, mended_again, unread;
	uint64_t pulse = word_load(control_pulse(c, s));

	if (!control_there(c, s))
		return true; /* when it is, follower_regain() follows */

	/* a table that power loss has left there describes nothing, whoever rings for it */
	bool left_over = c->media->caps.mappable && !c->shared && !MUTANT(LEFT_OVER_FOLDED);
	if ((left_over || (brought && table_never_begun(c, s))) && passes_over(f, s, pulse))
		return true;
	if (brought && !tells(c, s))
		brought = NULL;
	if (!brought && !table_refresh_header(c, s))
		return false;
	uint64_t changes = word_load(control_table(c, s) + TABLE_CHANGES_OFFSET);
	bool known = table_header_told(c, &f->recover, s, &header, &mended, &unread);
	if (unread && !MUTANT(SILENCE_BELIEVED))
		return false;
	if (!known) {
		seen->pulse = pulse;
		fold_watch(f, s, c->shared); /* nobody rings there */
		return true;
	}
	if (mended)
		atomic_fetch_add(&f->words_mended, 1);
	enum check_result tail;
	uint32_t count = table_count(c, s, header.generation, &tail);
	if (tail == CHECK_BAD && !brought) { /* it was counted from the entries, which may not be in memory */
		if (!table_refresh(c, s))
			return false;
		count = table_count(c, s, header.generation, NULL);
	}
	if (!brought && !own_refresh(c, s))
		return false;
	bool settled = own_look(c, s, &owned) && own_closed(c, &owned) && (!brought || owned.raw == brought->owner);
	uint32_t from = changes != seen->changes || header.generation != seen->generation ? 0 : seen->next;
	if (!brought && !refresh_again(c, s, from, count))
		return false;
	bool same = (table_header_told(c, &f->recover, s, &again, &mended_again, &unread) && again.generation == header.generation) ||
		    MUTANT(FOLD_NO_SECOND_LOOK);
	if (!same && unread && !MUTANT(SILENCE_BELIEVED))
		return false;
	seen->pulse = pulse;
	if (!same) {
		fold_lose(f);
		if (!c->shared)
			return true; /* reopened under our eyes: its opener rings again */
		follower_stirred(f, s); /* nobody rings there; the pass that follows what was lost looks again */
		return !MUTANT(REOPENED_UNREAD);
	}
	/* places that were reserved ahead, and given up meanwhile: their number is not final until it stays */
	settled = settled && table_count(c, s, header.generation, NULL) == count;
	if (header.generation != seen->generation) {
		if (seen->generation || !MUTANT(UNSEEN_NOT_LOST)) /* one that we never saw may have come and gone before this */
			fold_lose(f);
		index_turn(f->index, s);
		fold_watch(f, s, false);
		*seen = (struct follower_segment){.generation = header.generation, .pulse = pulse};
		fold_note_generation(f, s);
		spent_forget(&f->spent[s]);
		if (c->shared) /* ages and their clock are everybody's own there */
			age_by_time(c, s, header.opened_s);
	}
	uint64_t before = f->recover.unread(f->recover.context);
	/* what was brought may tell of a removal before it shows it: the next ring is a reason to look at all of it again */
	seen->changes = brought && !MUTANT(BROUGHT_IN_ORDER) ? changes - 1 : changes;
	SIM_SITE(FOLD_LOOKS_BEFORE);
	fold_places(f, s, header.generation, from, count, settled);
	look_behind(f, s, header.generation);
	fold_watch(f, s, !settled);
	follower_give_back(f, s);
	if (f->recover.unread(f->recover.context) == before || MUTANT(SILENCE_BELIEVED))
		return true;
	seen->next = 0; /* an entry that only its block could tell of */
	seen->pulse = pulse - 1;
	return false;
}

/* places that were reserved since the last look; false: it cannot be told now, or another generation was put over them meanwhile */
static bool refresh_grown(struct follower *f, uint64_t s, uint32_t known, uint32_t count)
{
	const struct control *c = f->control;

	if (count <= known)
		return true;
	if (!table_refresh_entries(c, s, known, count) || !table_refresh_header(c, s))
		return false;
	if (table_stands(c, s, f->segments[s].generation) || MUTANT(FOLD_LOOKS_BEFORE))
		return true;
	fold_lose(f);
	return false;
}

void fold_growth(struct follower *f, uint64_t s)
{
	const struct control *c = f->control;
	struct follower_segment *seen = &f->segments[s];
	struct table_header header;

	uint32_t known = seen->places;
	bool late = MUTANT(FOLD_LOOKS_BEFORE);
	/* the places that are known come before the header: while that stands nothing was put over them */
	if (!late && !table_refresh_entries(c, s, seen->next, known))
		return; /* cannot be told now */
	if (!table_refresh_header(c, s) || table_header(c, s, &header) != CHECK_GOOD)
		return; /* likewise */
	SIM_SITE(FOLD_LOOKS_BEFORE);
	if (late && !table_refresh_entries(c, s, seen->next, known))
		return;
	if (header.generation != seen->generation) { /* opened anew: that rings, but on shared devices */
		if (c->shared) {
			follower_fold(f, s, NULL);
		} else if (!MUTANT(GROWTH_NOT_LOST)) {
			fold_lose(f); /* what came behind the places that we know has moved, and may be where this pass has been */
			fold_watch(f, s, false);
		}
		return;
	}
	enum check_result tail;
	uint32_t count = table_count(c, s, header.generation, &tail);
	if (c->shared && tail == CHECK_BAD && table_refresh(c, s))
		count = table_count(c, s, header.generation, NULL), tail = CHECK_MENDED;
	if (tail == CHECK_BAD || !refresh_grown(f, s, known, count))
		return;
	fold_places(f, s, header.generation, seen->next, count, false);
}
