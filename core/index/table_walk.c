/* SPDX-License-Identifier: Apache-2.0 */
/* What a segment's table tells, with the help of its second sources: see follower.h. */
#include "core/index/follower.h"
#include "core/base/simulate.h"
#include "core/format/block_header.h"
#include "core/slot/own.h"

#include <sched.h>

struct place place_of_entry(const struct control *c, uint64_t segment, const struct entry *entry)
{
	return (struct place){
		.page = (layout_segment(&c->layout, segment) >> PAGE_SHIFT) + entry->page,
		.pages = (uint32_t)block_pages(entry->length),
		.header_pages = entry->header_pages,
	};
}

/* an entry whose numbers could not be those of a block in this segment is treated as damaged */
static bool entry_fits(const struct control *c, uint64_t segment, const struct entry *e)
{
	uint64_t end = (uint64_t)e->page + e->header_pages + block_pages(e->length);

	return e->page >= 1 && e->header_pages >= 1 && e->length >= 1 && e->length <= c->layout.geo.max_block &&
	       end <= layout_segment_pages(&c->layout, segment);
}

bool table_header_told(const struct control *c, const struct follower_recover *recover, uint64_t segment,
		       struct table_header *header, bool *mended, bool *unread)
{
	uint64_t before = recover ? recover->unread(recover->context) : 0;
	struct table_header again;
	bool blank = false;

	*unread = false;
	SIM_SITE(UNSEEN_NOT_LOST);

	for (int tries = 0; tries < 3; tries++) { /* a table that is just being begun is whole a moment later */
		enum check_result result = table_header(c, segment, header);
		*mended = result == CHECK_MENDED;
		SIM_SITE(FOLD_NO_SECOND_LOOK);
		if (result != CHECK_BAD && (header->generation || !recover || table_withdrawn(c, segment)))
			return true;
		blank = result != CHECK_BAD;
		*unread = blank && !own_refresh(c, segment);
		if (!*unread && blank && own_is_free(c, segment)) /* never opened; else it was wiped */
			return true;
		sched_yield();
		if (*unread || (*unread = !table_refresh_header(c, segment)))
			return false;
	}
	*mended = recover && recover->header(recover->context, segment, header);
	*unread = recover && recover->unread(recover->context) != before;
	if (*mended && table_header(c, segment, &again) == CHECK_GOOD && again.generation == header->generation) {
		*mended = false; /* it came to be while we read */
		return true;
	}
	if (blank && *mended && table_refresh(c, segment)) {
		SIM_SITE(MEND_UNSEEN);
		*mended = table_begun(c, segment, header->generation);
		/*
		 * Whoever begins it has withdrawn the header before tail and entries are there: look at it behind these.  One that is whole may
		 * have been mended by now: that rings for nobody, and the blocks are there as before.
		 */
		if (*mended && table_refresh_header(c, segment) && table_header(c, segment, &again) == CHECK_GOOD &&
		    (again.generation || table_withdrawn(c, segment))) {
			*header = again;
			*mended = false;
			if (!MUTANT(MEND_UNSEEN))
				return true;
		}
	}
	if (blank && !*mended)
		*header = (struct table_header){.segment = (uint32_t)segment}; /* it is just being opened */
	return blank || *mended;
}

bool table_header_known(const struct control *c, const struct follower_recover *recover, uint64_t segment,
			struct table_header *header, bool *mended)
{
	bool unread;

	return table_header_told(c, recover, segment, header, mended, &unread);
}

/*
 * Where the next place's header must lie; 0: nobody knows.  A place that was made void by another than who reserved it
 * (its entry names no pages) tells nothing, as before it was made so: what can be known of the one behind it stays the same.
 */
static uint32_t page_behind(enum entry_state state, const struct entry *entry)
{
	return state == ENTRY_HERE && entry->header_pages
		       ? entry->page + entry->header_pages + (uint32_t)block_pages(entry->length)
		       : 0;
}

static bool is_told(const struct control *c, uint64_t segment, enum entry_state state, const struct entry *entry)
{
	return state == ENTRY_HERE && (entry->flags & ENTRY_VOID || entry_fits(c, segment, entry));
}

/*
 * The run of place @index.  Places are in the order of their pages: so their blocks lie behind the last place before the run that
 * tells its end, not further than they can reach, and before the next place that is known.
 */
static void run_of(const struct control *c, uint64_t segment, uint64_t generation, uint32_t index, uint32_t count, struct unplaced *run)
{
	uint64_t largest = block_pages(c->layout.geo.max_block) + header_pages_listed(BLOCK_CHUNKS_MAX, BLOCK_META_MAX);
	uint64_t end = layout_segment_pages(&c->layout, segment);
	uint32_t page = 0;
	struct entry entry;
	bool mended;

	if (index < run->last) /* of one walk: as before */
		return;
	for (run->first = index; run->first > 0; run->first--) {
		enum entry_state state = table_entry(c, segment, generation, run->first - 1, &entry, &mended);
		page = is_told(c, segment, state, &entry) ? page_behind(state, &entry) : 0;
		if (page)
			break;
	}
	for (run->last = index + 1; run->last < count; run->last++) {
		enum entry_state state = table_entry(c, segment, generation, run->last, &entry, &mended);
		if (!is_told(c, segment, state, &entry))
			continue;
		end = min_u64(end, entry.page);
		break;
	}
	run->from = page ? page : 1;
	run->end = (uint32_t)min_u64(run->from + (run->last - run->first) * largest, end);
}

struct walk {
	const struct control *c;
	const struct follower_recover *recover;
	uint64_t segment, generation;
	uint32_t count;
	struct unplaced run;
};

/* a damaged entry, by its block's header: at @page, or, where nobody knows (0), wherever it is, if the life word tells its birth */
static bool recovered(struct walk *w, uint32_t index, uint32_t page, struct entry *entry)
{
	const struct follower_recover *recover = w->recover;
	uint64_t life;

	if (page)
		return recover->entry(recover->context, w->segment, w->generation, index, page, entry) &&
		       entry_fits(w->c, w->segment, entry);
	life = table_life_raw(w->c, w->segment, index);
	if (!life)
		return false;
	run_of(w->c, w->segment, w->generation, index, w->count, &w->run);
	return recover->search(recover->context, w->segment, w->generation, &w->run, index, life, entry) &&
	       entry_fits(w->c, w->segment, entry) && page_behind(ENTRY_HERE, entry) <= w->run.end;
}

void table_walk(const struct control *c, const struct follower_recover *recover, uint64_t segment, uint64_t generation,
		uint32_t from, uint32_t count, table_visit visit, void *context)
{
	struct walk w = {.c = c, .recover = recover, .segment = segment, .generation = generation, .count = count};
	uint32_t next_page = 1;
	struct entry entry;
	bool mended;

	if (from > 0)
		next_page = page_behind(table_entry(c, segment, generation, from - 1, &entry, &mended), &entry);
	for (uint32_t i = from; i < count; i++) {
		enum entry_state state = table_entry(c, segment, generation, i, &entry, &mended);
		if (state == ENTRY_HERE && !(entry.flags & ENTRY_VOID) && !entry_fits(c, segment, &entry))
			state = ENTRY_DAMAGED;
		if (state == ENTRY_DAMAGED && recover && recovered(&w, i, next_page, &entry)) {
			state = ENTRY_HERE;
			mended = true;
		}
		next_page = page_behind(state, &entry);
		visit(context, i, state, &entry, mended);
	}
}
