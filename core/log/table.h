/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segment tables in the control region: begin a generation, reserve places, publish entries, read them.
 *
 * The writer of an OPEN segment: table_begin once, then for every put table_reserve -> (block written, completed) ->
 * table_publish.  Readers and followers: table_header, table_count, table_entry.  What is below the count and does
 * not verify as an entry of the table's generation is a put that has not finished, or damage; only when nobody can
 * be writing any more (the segment is not OPEN) is it one or the other for good.
 */
#ifndef MEMKV_LOG_TABLE_H
#define MEMKV_LOG_TABLE_H

#include "core/slot/control.h"

/*
 * table_header() - the header of a segment's table
 *
 * Return: CHECK_GOOD; CHECK_MENDED; CHECK_BAD.  A table that was never begun, or is just being begun, has generation
 * 0: what it described before is gone.
 */
enum check_result table_header(const struct control *c, uint64_t segment, struct table_header *header);

/* table_withdrawn() - a writer is just beginning the segment's table, or died at it: what it described is given up */
bool table_withdrawn(const struct control *c, uint64_t segment);

/* table_never_begun() - the header is blank: nobody began a table here, or it was wiped, or lost with the power */
bool table_never_begun(const struct control *c, uint64_t segment);

/*
 * On mirrored media (media.h) a table is brought in before it is looked at: its first page (header, tail, changes),
 * entries, or all of it; false: unreadable now, and what is in memory means nothing.  table_forget() gives its memory
 * back.  On mapped media these do nothing.
 */
bool table_refresh_header(const struct control *c, uint64_t segment);
bool table_refresh_entries(const struct control *c, uint64_t segment, uint32_t from, uint32_t end);
bool table_refresh(const struct control *c, uint64_t segment);
void table_forget(const struct control *c, uint64_t segment);

/* table_begin() - a new generation; @reserved: places that are reserved from the start */
void table_begin(const struct control *c, const struct table_header *header, uint32_t reserved);

/*
 * table_begun() - of a table whose header is blank: is there anything of the generation that the segment's own header names?
 * If not, its opener has died before it began the table, and nothing is lost.  All of the table must be at hand.
 */
bool table_begun(const struct control *c, uint64_t segment, uint64_t generation);

/* table_count() - reserved places of the generation; when the tail word is lost, counted from the entries */
uint32_t table_count(const struct control *c, uint64_t segment, uint64_t generation, enum check_result *result);

/* table_unused() - places are reserved, and none of them holds anything, whole or damaged */
bool table_unused(const struct control *c, uint64_t segment, uint64_t generation);

/* table_reserve() - raise the tail to @count places; the segment's writer only */
void table_reserve(const struct control *c, uint64_t segment, uint64_t generation, uint32_t count);

/* table_publish() - live, or void when it says so; table_publish_moving() - not live until table_settle() */
void table_publish(const struct control *c, uint64_t segment, const struct entry *entry);
void table_publish_moving(const struct control *c, uint64_t segment, const struct entry *entry);
/* table_publish_sent() - while the block is still on the way; table_landed() when it has landed, table_publish() as void when not */
void table_publish_sent(const struct control *c, uint64_t segment, const struct entry *entry);
/* table_landed() - sent -> live; nobody waits for it to reach a mirrored medium.  False: it was removed meanwhile */
bool table_landed(const struct control *c, uint64_t segment, uint32_t index, uint64_t birth);

/*
 * table_clear_rest() - entries of this generation, whole or damaged, at places that are not reserved, @from on, are made
 * to say nothing, life words and all.  Power loss may leave such: entries reached the medium, the tail did not.
 * table_clear_life() - so is the life word of a place of which nothing is known, where it is not that of a whole entry of this generation.
 * Likewise: of an entry the life word reached the medium, and the rest did not.  Mapped media only.
 * true: there was any, and the caller flushes that.
 */
bool table_clear_life(const struct control *c, uint64_t segment, uint64_t generation, uint32_t index);
bool table_clear_rest(const struct control *c, uint64_t segment, uint64_t generation, uint32_t from);

/* table_settle() - moving -> live; false: it was removed meanwhile */
bool table_settle(const struct control *c, uint64_t segment, uint32_t index, uint64_t birth);

enum entry_state {
	ENTRY_HERE,    /* verified, of the generation asked for */
	ENTRY_NOT_YET, /* of another generation, or nothing */
	ENTRY_DAMAGED, /* neither */
};

/*
 * table_entry() - read one entry
 * @mended: a flipped bit was undone in what is returned (may be NULL: then nothing is mended).
 */
enum entry_state table_entry(const struct control *c, uint64_t segment, uint64_t generation, uint32_t index,
			     struct entry *entry, bool *mended);

/* table_find() - the entry of the block at @page of the segment; void ones are none */
bool table_find(const struct control *c, uint64_t segment, uint64_t generation, uint32_t page, struct entry *entry);

/* table_mend_header(), table_mend_entry() - write again what is known from elsewhere; while nobody else writes */
void table_mend_header(const struct control *c, const struct table_header *header);
void table_mend_entry(const struct control *c, uint64_t segment, const struct entry *entry, enum life life);

/*
 * table_stands() - is it still this generation that the table describes?  Old entries are not wiped: of a segment that
 * is being opened anew only this tells.  When the header is lost nobody knows, and it counts as standing.
 */
bool table_stands(const struct control *c, uint64_t segment, uint64_t generation);

/* table_life() - live, removed, or another birth's place by now */
enum life table_life(const struct control *c, uint64_t segment, uint32_t index, uint64_t birth);

/* table_life_raw() - the word itself, 0 where no life word says anything like it: of no birth at all */
uint64_t table_life_raw(const struct control *c, uint64_t segment, uint32_t index);

/* table_life_exact() - false: a flipped bit is being forgiven, or there is nothing to forgive */
bool table_life_exact(const struct control *c, uint64_t segment, uint32_t index, uint64_t birth);

/*
 * table_tell() - tell every follower that life words of the segment have changed; table_kill() and table_decide() do
 */
void table_tell(const struct control *c, uint64_t segment);

/*
 * table_doubt() - live (or sent) -> removing: readers still find the block; false: it was not live
 * table_decide() - removing -> removed, which is rung; false: somebody else has decided.  There is no way back to live: whoever
 *	decides by what was true before a pin would take a second doubt for the first one.
 * table_retire() - live, or in doubt, -> removed in a segment that is being emptied, when the block has its copy; then table_tell().
 */
bool table_doubt(const struct control *c, uint64_t segment, uint32_t index, uint64_t birth);
bool table_decide(const struct control *c, uint64_t segment, uint32_t index, uint64_t birth);
void table_retire(const struct control *c, uint64_t segment, uint32_t index, uint64_t birth);

/* table_withdraw() - what an emptied segment's table described is given up; before the segment is opened anew */
void table_withdraw(const struct control *c, uint64_t segment);

/*
 * table_withdraw_left_over() - the same for a segment that nobody owns, when its table describes something or is damaged, or,
 * @told, was lost and the segment's own header tells of one: whoever begins one there at this moment keeps it.  Returns whether
 * there was anything
 */
bool table_withdraw_left_over(const struct control *c, uint64_t segment, bool told);

/*
 * table_kill() - live, removing, moving or sent -> removed; true when this call did it.  Never touches another birth's
 * word.
 */
bool table_kill(const struct control *c, uint64_t segment, uint32_t index, uint64_t birth);
/* table_kill_moving() - a copy that does not count yet; false: it does by now, or is removed */
bool table_kill_moving(const struct control *c, uint64_t segment, uint32_t index, uint64_t birth);

#endif
