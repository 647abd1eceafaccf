/* SPDX-License-Identifier: Apache-2.0 */
/* See follower.h. */
#include "core/index/follower.h"
#include "core/base/worker.h"
#include "core/index/fold_all.h"
#include "core/slot/own.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

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

/* from now on to the end of the step, what is not in the index may still be there */
static void lose(struct follower *f)
{
	uint64_t losses = atomic_load_explicit(&f->losses, memory_order_relaxed);

	f->lost = true;
	if (losses & 1)
		return;
	atomic_store_explicit(&f->losses, losses + 1, memory_order_release);
}

static void lose_end(struct follower *f)
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
	lose(f);
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

static void watch(struct follower *f, uint64_t s, bool open)
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

/* before anything of it is put into the index */
static void note_generation(struct follower *f, uint64_t s)
{
	if (f->generations)
		atomic_store_explicit(&f->generations[s], f->segments[s].generation, memory_order_release);
}

void follower_give_back(struct follower *f, uint64_t s)
{
	struct owned owned;

	if (f->control->media->caps.mappable || f->keep)
		return;
	/* OPEN: it is written to; LEAVING: it will be soon */
	if (f->control->read_only || (own_look(f->control, s, &owned) && owned.word.state != OWNER_OPEN &&
				      owned.word.state != OWNER_LEAVING))
		table_forget(f->control, s);
}

bool follower_refresh_table(struct follower *f, uint64_t segment)
{
	pthread_mutex_lock(&f->lock);
	bool good = table_refresh(f->control, segment);
	pthread_mutex_unlock(&f->lock);
	return good;
}

void follower_keep(struct follower *f)
{
	pthread_mutex_lock(&f->lock);
	f->keep++;
	pthread_mutex_unlock(&f->lock);
}

void follower_unkeep(struct follower *f, uint64_t segment)
{
	pthread_mutex_lock(&f->lock);
	f->keep--;
	follower_give_back(f, segment);
	pthread_mutex_unlock(&f->lock);
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
		lose(f); /* copies that came and went since the last look */
	if (watches(f) && fold.unsettled > from)
		atomic_fetch_add(&f->settlements, 1);
	spent_note(&f->spent[s], &fold.spent, from == 0);
	seen->next = fold.unsettled;
	seen->unsettled_page = fold.unsettled_page;
	seen->gone = fold.gone_left;
}

void follower_stirred(struct follower *f, uint64_t segment)
{
	if (f->stirred)
		atomic_fetch_or(&f->stirred[segment / 64], 1ULL << segment % 64);
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

/* See the head of follower.h for why the loads come in this order. */
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
		watch(f, s, c->shared); /* nobody rings there */
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
	if (!brought && (!table_refresh_header(c, s) || !table_refresh_entries(c, s, from, count)))
		return false;
	bool same = (table_header_told(c, &f->recover, s, &again, &mended_again, &unread) && again.generation == header.generation) ||
		    MUTANT(FOLD_NO_SECOND_LOOK);
	if (!same && unread && !MUTANT(SILENCE_BELIEVED))
		return false;
	seen->pulse = pulse;
	if (!same) {
		lose(f);
		return !c->shared; /* reopened under our eyes: its opener rings again, but on shared devices */
	}
	/* places that were reserved ahead, and given up meanwhile: their number is not final until it stays */
	settled = settled && table_count(c, s, header.generation, NULL) == count;
	if (header.generation != seen->generation) {
		if (seen->generation || !MUTANT(UNSEEN_NOT_LOST)) /* one that we never saw may have come and gone before this */
			lose(f);
		index_turn(f->index, s);
		watch(f, s, false);
		*seen = (struct follower_segment){.generation = header.generation, .pulse = pulse};
		note_generation(f, s);
		spent_forget(&f->spent[s]);
		if (c->shared) /* ages and their clock are everybody's own there */
			age_by_time(c, s, header.opened_s);
	}
	uint64_t before = f->recover.unread(f->recover.context);
	/* what was brought may tell of a removal before it shows it: the next ring is a reason to look at all of it again */
	seen->changes = brought && !MUTANT(BROUGHT_IN_ORDER) ? changes - 1 : changes;
	fold_places(f, s, header.generation, from, count, settled);
	watch(f, s, !settled);
	follower_give_back(f, s);
	if (f->recover.unread(f->recover.context) == before || MUTANT(SILENCE_BELIEVED))
		return true;
	seen->next = 0; /* an entry that only its block could tell of */
	seen->pulse = pulse - 1;
	return false;
}

/* a segment that was OPEN: are there entries behind those that we know?  Other changes ring. */
static void fold_growth(struct follower *f, uint64_t s)
{
	const struct control *c = f->control;
	struct follower_segment *seen = &f->segments[s];
	struct table_header header;

	if (!table_refresh_header(c, s) || table_header(c, s, &header) != CHECK_GOOD)
		return; /* cannot be told now */
	if (header.generation != seen->generation) { /* opened anew: that rings, but on shared devices */
		if (c->shared) {
			follower_fold(f, s, NULL);
		} else if (!MUTANT(GROWTH_NOT_LOST)) {
			lose(f); /* what came behind the places that we know has moved, and may be where this pass has been */
			watch(f, s, false);
		}
		return;
	}
	enum check_result tail;
	uint32_t count = table_count(c, s, header.generation, &tail);
	if (c->shared && tail == CHECK_BAD && table_refresh(c, s))
		count = table_count(c, s, header.generation, NULL), tail = CHECK_MENDED;
	if (tail != CHECK_BAD && table_refresh_entries(c, s, seen->next, count))
		fold_places(f, s, header.generation, seen->next, count, false);
}

/* those of @count segments from @first on whose pulse has moved */
static bool fold_pulses(struct follower *f, uint64_t first, uint64_t count)
{
	const struct control *c = f->control;
	bool complete = true;

	for (uint64_t s = first, end; s < first + count; s = end) { /* each namespace has its own */
		const struct extent *e = layout_extent(&c->layout, s);
		end = min_u64(first + count, e->first_segment + e->segments);
		complete &= !control_there(c, s) || control_refresh(c, control_pulse(c, s), (end - s) * 8);
	}
	for (uint64_t s = first; s < first + count; s++)
		if (word_load(control_pulse(c, s)) != f->segments[s].pulse)
			complete &= follower_fold(f, s, NULL);
	return complete;
}

static bool fold_groups(struct follower *f)
{
	const struct control *c = f->control;
	uint64_t size = control_group_segments(c);
	bool complete = true;

	for (uint64_t g = 0, last = control_group_of(c, c->layout.segments - 1); g <= last; g++) {
		uint64_t rung = word_load(control_group(c, g)), end = g == last ? c->layout.segments : (g + 1) * size;
		if (rung == f->groups[g])
			continue;
		if (fold_pulses(f, g * size, end - g * size))
			f->groups[g] = rung;
		else
			complete = false;
	}
	return complete;
}

/* every segment that has rung; returns whether all of it could be read */
static bool fold_rung(struct follower *f)
{
	enum { LOOK_AT_ALL = 4096 };
	const struct control *c = f->control;
	bool complete = control_refresh_regions(c, REGION_STATISTICS, REGION_STATISTICS);
	uint64_t doorbell = word_load(control_doorbell(c));
	bool torn = f->groups && !c->media->caps.mappable; /* the doorbell's sector may come before the groups' */

	if (!complete || (doorbell == f->doorbell && !torn))
		return complete;
	bool all = !f->groups || (doorbell != f->doorbell && ++f->looks % LOOK_AT_ALL == 0);
	complete = all ? fold_pulses(f, 0, c->layout.segments) : fold_groups(f);
	if (complete)
		f->doorbell = doorbell;
	return complete;
}

/* is this process writing to the segment?  What it put there it has told already */
static bool written_here(const struct follower *f, uint64_t s)
{
	const struct control *c = f->control;

	return c->share && c->share->writing(c->share_context, s);
}

static bool fold_stirred(struct follower *f)
{
	bool complete = true;

	for (uint64_t word = 0; word < div_up(f->control->layout.segments, 64); word++) {
		uint64_t bits = atomic_exchange(&f->stirred[word], 0);
		while (bits) {
			uint64_t s = word * 64 + (unsigned)__builtin_ctzll(bits);
			bits &= bits - 1;
			/* also where we write now: who had it before us may have put more than we have seen */
			if (MUTANT(RESUMED_UNSEEN) && written_here(f, s))
				continue;
			/* it may have been folded before this was read: then places count as settled that were not */
			f->segments[s].next = 0;
			if (follower_fold(f, s, NULL))
				continue;
			follower_stirred(f, s); /* the medium did not answer */
			complete = false;
		}
	}
	return complete;
}

/* what was removed goes from the index; where that cannot be told now, gets will find out */
static void drop_removed(struct follower *f)
{
	enum { SOME = 32, COPIES = 16 };
	struct record gone[SOME];
	struct place place;
	uint64_t birth;
	uint32_t count;

	while ((count = factbook_take_gone(f->factbook, gone, SOME)) > 0)
		for (uint32_t i = 0; i < count; i++) {
			struct key_hash hash = index_hash(f->index, gone[i].key);
			for (unsigned n = 0; n < COPIES && index_find(f->index, hash, n, &place);) {
				if (f->recover.birth(f->recover.context, gone[i].key, place, &birth) && birth == gone[i].birth)
					index_forget(f->index, hash, place);
				else
					n++;
			}
		}
}

/* fold what has changed since the last pass; false: a further pass has nothing to add */
static bool step_pass(struct follower *f)
{
	f->lost = false;
	if (f->control->shared)
		factbook_refresh(f->factbook); /* which stirs */
	bool complete = f->control->shared ? fold_stirred(f) : fold_rung(f);
	if (f->watched_count)
		SIM_SITE(GROWTH_NOT_LOST);
	for (uint32_t i = f->watched_count; i-- > 0;) /* from the end: one that is not watched any more gives its place to the last */
		if (!written_here(f, f->watched[i]))
			fold_growth(f, f->watched[i]);
	if (f->control->shared)
		drop_removed(f);
	return complete && f->lost && !MUTANT(FOLD_ONCE);
}

/* under the lock */
static void step(struct follower *f)
{
	enum { STEP_PASSES = 16 };
	const struct control *c = f->control;

	/* a mirror's one writer that could not publish: its mirror is ahead of the medium, which is what counts */
	if (!c->media->caps.mappable && !c->read_only && !control_published(c))
		return;
	for (int pass = 0; pass < STEP_PASSES && step_pass(f); pass++)
		if (c->media->caps.mappable && word_load(control_doorbell(c)) == f->doorbell)
			break;
	lose_end(f);
}

void follower_step(struct follower *f)
{
	pthread_mutex_lock(&f->lock);
	step(f);
	pthread_mutex_unlock(&f->lock);
}

void follower_add(struct follower *f, uint64_t segment, const struct entry *entry)
{
	pthread_mutex_lock(&f->lock);
	struct follower_segment *seen = &f->segments[segment];
	bool turned = seen->generation != entry->generation;
	if (turned) {
		/* our own new opening: nothing of it was folded yet */
		lose(f);
		index_turn(f->index, segment);
		watch(f, segment, false);
		*seen = (struct follower_segment){.generation = entry->generation};
		note_generation(f, segment);
		spent_forget(&f->spent[segment]);
	}
	if (!f->control->media->caps.mappable)
		atomic_fetch_add(&f->settlements, 1); /* a step of ours may have found it before its block had landed */
	/* it may have been removed since, and the removal folded already; what comes later rings */
	enum life life = table_life(f->control, segment, entry->index, entry->birth);
	if (life_counts(life) || life == LIFE_MOVING)
		index_insert(f->index, index_hash(f->index, entry->key), place_of_entry(f->control, segment, entry));
	if (turned)
		step(f); /* what was moved out of it by others */
	lose_end(f);
	pthread_mutex_unlock(&f->lock);
}

bool follower_turning(struct follower *f, uint64_t segment)
{
	struct table_header header;

	pthread_mutex_lock(&f->lock);
	bool turning = table_withdrawn(f->control, segment) ||
		       (table_header(f->control, segment, &header) == CHECK_GOOD &&
			header.generation != f->segments[segment].generation);
	pthread_mutex_unlock(&f->lock);
	return turning;
}

uint32_t follower_copies(struct follower *f, const uint8_t key[32], struct place *places, uint32_t max)
{
	struct key_hash hash = index_hash(f->index, key);
	uint32_t count = 0;

	pthread_mutex_lock(&f->lock);
	while (count < max && index_find(f->index, hash, count, &places[count]))
		count++;
	pthread_mutex_unlock(&f->lock);
	return count;
}

static void drop(struct follower *f, const uint8_t key[32], struct place place)
{
	lose(f);
	if (MUTANT(FORGET_BY_PLACE))
		index_drop(f->index, index_hash(f->index, key), place);
	else
		index_forget(f->index, index_hash(f->index, key), place);
	lose_end(f);
}

void follower_drop(struct follower *f, const uint8_t key[32], struct place place)
{
	pthread_mutex_lock(&f->lock);
	drop(f, key, place);
	pthread_mutex_unlock(&f->lock);
}

/* the next step brings it back; in between, who has just looked would not find what has landed meanwhile */
static bool comes_back(const struct follower *f, struct place place)
{
	uint64_t segment = layout_segment_of(&f->control->layout, place.page);
	const struct follower_segment *seen = &f->segments[segment];

	return seen->watched && place.page - layout_segment(&f->control->layout, segment) / PAGE >= seen->unsettled_page &&
	       !MUTANT(DROP_SENT);
}

void follower_drop_read(struct follower *f, const uint8_t key[32], struct place place, uint64_t settlements)
{
	pthread_mutex_lock(&f->lock);
	if ((atomic_load(&f->settlements) == settlements && !comes_back(f, place)) || MUTANT(DROP_UNSETTLED))
		drop(f, key, place);
	pthread_mutex_unlock(&f->lock);
}

void follower_lose(struct follower *f, uint64_t first, uint64_t count)
{
	pthread_mutex_lock(&f->lock);
	lose(f);
	for (uint64_t s = first; s < first + count; s++) {
		watch(f, s, false);
		index_turn(f->index, s);
		f->segments[s] = (struct follower_segment){0};
	}
	lose_end(f);
	pthread_mutex_unlock(&f->lock);
}

bool follower_regain(struct follower *f, uint64_t first, uint64_t count)
{
	bool complete = true;

	pthread_mutex_lock(&f->lock);
	for (uint64_t s = first; s < first + count; s++)
		complete &= follower_fold(f, s, NULL);
	if (!complete) { /* look again */
		f->doorbell--;
		for (uint64_t g = 0; f->groups && g < MEMKV_GROUPS; g++)
			f->groups[g]--;
	}
	lose_end(f);
	pthread_mutex_unlock(&f->lock);
	return complete;
}

static void follower_free(struct follower *f)
{
	free(f->segments);
	free(f->generations);
	free(f->spent);
	free(f->watched);
	free(f->stirred);
	free(f->groups);
	f->segments = NULL;
	f->generations = NULL;
	f->spent = NULL;
	f->watched = NULL;
	f->stirred = NULL;
	f->groups = NULL;
}

int follower_open(struct follower *f, const struct control *c, struct index *index, struct factbook *factbook,
		  const struct follower_recover *recover)
{
	*f = (struct follower){.control = c, .index = index, .recover = *recover};
	f->segments = calloc(c->layout.segments, sizeof(*f->segments));
	f->generations = c->media->caps.mappable ? NULL : calloc(c->layout.segments, sizeof(*f->generations));
	f->spent = calloc(c->layout.segments, sizeof(*f->spent));
	f->watched = calloc(c->layout.segments, sizeof(*f->watched));
	f->stirred = c->shared ? calloc(div_up(c->layout.segments, 64), sizeof(*f->stirred)) : NULL;
	f->groups = c->grouped ? calloc(MEMKV_GROUPS, sizeof(*f->groups)) : NULL;
	f->factbook = factbook;
	if (!f->segments || (!f->generations && !c->media->caps.mappable) || !f->spent || !f->watched || (c->shared && !f->stirred) || (c->grouped && !f->groups)) {
		follower_free(f);
		return -ENOMEM;
	}
	pthread_mutex_init(&f->lock, NULL);
	pthread_mutex_lock(&f->lock);
	f->doorbell = word_load(control_doorbell(c));
	for (uint64_t g = 0; f->groups && g < MEMKV_GROUPS; g++)
		f->groups[g] = word_load(control_group(c, g));
	int err = fold_all(f);
	step(f); /* what was missed, since the pool is alive */
	lose_end(f);
	pthread_mutex_unlock(&f->lock);
	if (err)
		follower_close(f);
	return err;
}

static void *follow(void *argument)
{
	struct follower *f = argument;
	struct timespec pause = {.tv_sec = f->poll_us / 1000000, .tv_nsec = (long)(f->poll_us % 1000000) * 1000};
	struct media *media = f->control->media;
	uint32_t steps = 0;

	while (!atomic_load(&f->stop)) {
		clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
		if (steps++ % 64 == 0) {
			bool alive = media->ops->alive(media);
			if (f->tend)
				f->tend(f->tend_context);
			if (!alive)
				continue;
		}
		(void)media->ops->settle(media);
		follower_step(f);
		if (f->factbook && !f->control->shared)
			factbook_poll(f->factbook);
	}
	return NULL;
}

int follower_start(struct follower *f, uint32_t poll_us)
{
	f->poll_us = poll_us;
	int err = worker_start(&f->thread, follow, f);
	f->running = err == 0;
	return err;
}

void follower_stop(struct follower *f)
{
	if (!f->running)
		return;
	atomic_store(&f->stop, true);
	pthread_join(f->thread, NULL);
	f->running = false;
}

void follower_close(struct follower *f)
{
	follower_stop(f);
	if (f->segments)
		pthread_mutex_destroy(&f->lock);
	follower_free(f);
}
