/* SPDX-License-Identifier: Apache-2.0 */
/* What a segment's table tells, with the help of its second sources: see follower.h. */
#include "core/index/follower.h"
#include "core/base/simulate.h"
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
 * (its entry names no pages) tells nothing, as before: were the next one damaged, its block would be there again by its own
 * header, though it had been gone, and perhaps removed.
 */
static uint32_t page_behind(enum entry_state state, const struct entry *entry)
{
	return state == ENTRY_HERE && entry->header_pages
		       ? entry->page + entry->header_pages + (uint32_t)block_pages(entry->length)
		       : 0;
}

void table_walk(const struct control *c, const struct follower_recover *recover, uint64_t segment, uint64_t generation,
		uint32_t from, uint32_t count, table_visit visit, void *context)
{
	uint32_t next_page = 1;
	struct entry entry;
	bool mended;

	if (from > 0)
		next_page = page_behind(table_entry(c, segment, generation, from - 1, &entry, &mended), &entry);
	for (uint32_t i = from; i < count; i++) {
		enum entry_state state = table_entry(c, segment, generation, i, &entry, &mended);
		if (state == ENTRY_HERE && !(entry.flags & ENTRY_VOID) && !entry_fits(c, segment, &entry))
			state = ENTRY_DAMAGED;
		if (state == ENTRY_DAMAGED && next_page && recover &&
		    recover->entry(recover->context, segment, generation, i, next_page, &entry) &&
		    entry_fits(c, segment, &entry)) {
			state = ENTRY_HERE;
			mended = true;
		}
		next_page = page_behind(state, &entry);
		visit(context, i, state, &entry, mended);
	}
}
