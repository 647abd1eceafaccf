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

void fold_note_generation(struct follower *f, uint64_t s)
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

void follower_stirred(struct follower *f, uint64_t segment)
{
	if (f->stirred)
		atomic_fetch_or(&f->stirred[segment / 64], 1ULL << segment % 64);
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

/* what was removed goes from the index; where its block does not tell that it is the one, its table is asked behind this */
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
				bool told = f->recover.birth(f->recover.context, gone[i].key, place, &birth);
				if (told && birth == gone[i].birth)
					index_forget(f->index, hash, place);
				else
					n++;
				if (!told && !MUTANT(GONE_UNREAD))
					follower_stirred(f, layout_segment_of(&f->control->layout, place.page));
			}
		}
}

/* fold what has changed since the last pass; false: a further pass has nothing to add */
static bool step_pass(struct follower *f)
{
	bool late = f->control->shared && MUTANT(GONE_LATE);

	f->lost = false;
	if (f->control->shared)
		factbook_refresh(f->factbook); /* which stirs */
	if (f->control->shared && !late)
		drop_removed(f); /* likewise: before the tables, which are asked about what its block does not tell */
	bool complete = f->control->shared ? fold_stirred(f) : fold_rung(f);
	if (f->watched_count)
		SIM_SITE(GROWTH_NOT_LOST);
	for (uint32_t i = f->watched_count; i-- > 0;) /* from the end: one that is not watched any more gives its place to the last */
		if (!written_here(f, f->watched[i]))
			fold_growth(f, f->watched[i]);
	if (late)
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
	fold_lose_end(f);
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
		fold_lose(f);
		index_turn(f->index, segment);
		fold_watch(f, segment, false);
		*seen = (struct follower_segment){.generation = entry->generation};
		fold_note_generation(f, segment);
		spent_forget(&f->spent[segment]);
	}
	if (!f->control->media->caps.mappable)
		atomic_fetch_add(&f->settlements, 1); /* a step of ours may have found it before its block had landed */
	/* it may have been removed since, and the removal folded already, or read in a log; what comes later rings, or is read */
	enum life life = table_life(f->control, segment, entry->index, entry->birth);
	if (f->control->shared && factbook_removed(f->factbook, entry->key, entry->birth) && !MUTANT(ADDED_UNASKED))
		life = LIFE_REMOVED;
	if (life_counts(life) || life == LIFE_MOVING)
		index_insert(f->index, index_hash(f->index, entry->key), place_of_entry(f->control, segment, entry));
	if (turned)
		step(f); /* what was moved out of it by others */
	fold_lose_end(f);
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
	fold_lose(f);
	if (MUTANT(FORGET_BY_PLACE))
		index_drop(f->index, index_hash(f->index, key), place);
	else
		index_forget(f->index, index_hash(f->index, key), place);
	fold_lose_end(f);
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
	fold_lose(f);
	for (uint64_t s = first; s < first + count; s++) {
		fold_watch(f, s, false);
		index_turn(f->index, s);
		f->segments[s] = (struct follower_segment){0};
	}
	fold_lose_end(f);
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
	fold_lose_end(f);
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
	fold_lose_end(f);
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
