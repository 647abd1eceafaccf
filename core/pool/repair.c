/* SPDX-License-Identifier: Apache-2.0 */
/* See repair.h. */
#include "core/pool/repair.h"
#include "core/base/fail.h"
#include "core/log/table.h"
#include "core/slot/own.h"

#include <inttypes.h>

static void release_slots(struct memkv_pool *pool, uint32_t end)
{
	for (uint32_t n = 0; n < end; n++)
		if (n != pool->slot.number)
			slot_bar_lift(&pool->control, n);
}

int repair_begin(struct memkv_pool *pool)
{
	const struct control *c = &pool->control;
	struct slot_cell cell;

	if (pool->control.shared)
		return fail(MEMKV_CONFLICT, "%s was made with --share: other hosts may write to it, and nobody can keep them all out; check it "
					    "without --repair", pool->media->path);
	if (pool->read_only)
		return fail(MEMKV_READ_ONLY, "%s: to repair, the pool must be open for writing", pool->media->path);
	for (uint32_t n = 0; n < c->layout.geo.slots; n++) {
		if (n == pool->slot.number || slot_bar(c, n) == 0)
			continue;
		release_slots(pool, n);
		if (slot_read(c, n, &cell) == CHECK_BAD)
			return fail(MEMKV_IN_USE, "%s: slot %u is in use; a repair needs the pool for itself", pool->media->path, n);
		return fail(MEMKV_IN_USE,
			    "%s: %u@%u is attached (process %u); a repair needs the pool for itself: stop that agent first",
			    pool->media->path, n, cell.epoch, cell.pid);
	}
	return 0;
}

void repair_end(struct memkv_pool *pool)
{
	release_slots(pool, pool->control.layout.geo.slots);
}

bool repair_slot(struct memkv_pool *pool, uint32_t number)
{
	return slot_mend(&pool->control, number);
}

bool repair_owner_word(struct memkv_pool *pool, uint64_t segment)
{
	struct owned owned;

	return own_mend(&pool->control, &pool->slot, segment, &owned);
}

bool repair_table_header(struct memkv_pool *pool, const struct table_header *header)
{
	struct table_header now;

	table_mend_header(&pool->control, header);
	return table_header(&pool->control, header->segment, &now) == CHECK_GOOD && now.generation == header->generation;
}

bool repair_blank_table(struct memkv_pool *pool, uint64_t segment)
{
	const struct control *c = &pool->control;
	uint64_t *check = (uint64_t *)(void *)control_table(c, segment) + CHECK_WORD;
	uint64_t seen = word_load(check);
	struct table_header header;

	if (table_header(c, segment, &header) != CHECK_BAD)
		return true;
	/* the very word that was damaged: another thread of ours may be opening the segment */
	if (!word_swap(check, seen, htole64(CHECK_WRITING)))
		return table_header(c, segment, &header) != CHECK_BAD;
	control_publish(c, control_table(c, segment), TABLE_HEADER_BYTES);
	return true;
}

bool repair_tail(struct memkv_pool *pool, uint64_t segment, uint64_t generation, uint32_t count)
{
	enum check_result result;

	table_reserve(&pool->control, segment, generation, count);
	return table_count(&pool->control, segment, generation, &result) == count && result == CHECK_GOOD;
}

bool repair_entry(struct memkv_pool *pool, uint64_t segment, const struct entry *entry)
{
	enum life life = table_life(&pool->control, segment, entry->index, entry->birth);

	table_mend_entry(&pool->control, segment, entry, life == LIFE_OTHER ? LIFE_REMOVED : life);
	return table_life_exact(&pool->control, segment, entry->index, entry->birth);
}

bool repair_place(struct memkv_pool *pool, uint64_t segment, uint64_t generation, uint32_t index, uint32_t page)
{
	struct entry nothing = {.index = index,
				.generation = generation,
				.birth = slot_new_birth(&pool->slot),
				.page = page,
				.flags = ENTRY_VOID};
	struct entry now;

	table_publish(&pool->control, segment, &nothing);
	return table_entry(&pool->control, segment, generation, index, &now, NULL) == ENTRY_HERE;
}

bool repair_segment_header(struct memkv_pool *pool, struct lane *lane, const struct table_header *header)
{
	struct iovec piece = {lane->header, PAGE};
	struct segment_header page = {
		.generation = header->generation,
		.segment = header->segment,
		.class_id = header->class_id,
		.opened_s = header->opened_s,
	};

	segment_header_encode(&page, pool->sb.seed, lane->header);
	return lane_transfer(lane, MEDIA_WRITE, layout_segment(&pool->control.layout, header->segment), &piece, 1) == 0;
}

bool repair_block(struct memkv_pool *pool, uint64_t segment, const struct entry *entry)
{
	return table_kill(&pool->control, segment, entry->index, entry->birth);
}
