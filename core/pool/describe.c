/* SPDX-License-Identifier: Apache-2.0 */
/* What a pool is and holds: memkv_pool_describe, room, counters. */
#include "core/base/fail.h"
#include "core/pool/handle.h"
#include "core/slot/own.h"

#include <errno.h>
#include <string.h>

struct usage {
	const struct control *control;
	struct factbook *factbook;
	uint64_t segment, blocks, bytes;
};

static void add_entry(void *context, uint32_t index, enum entry_state state, const struct entry *e, bool mended)
{
	struct usage *usage = context;

	(void)mended;
	if (state != ENTRY_HERE || e->flags & ENTRY_VOID ||
	    !life_counts(table_life(usage->control, usage->segment, index, e->birth)) ||
	    (usage->control->shared && factbook_removed(usage->factbook, e->key, e->birth)))
		return;
	usage->blocks++;
	usage->bytes += e->length;
}

static void count_states(const struct control *c, struct memkv_pool_info *info)
{
	struct owned owned;

	for (uint64_t s = 0; s < c->layout.geo.segments; s++) {
		if (!own_look(c, s, &owned))
			continue;
		info->segments_free += owned.word.state == OWNER_FREE;
		info->segments_open += owned.word.state == OWNER_OPEN;
		info->segments_sealed += owned.word.state == OWNER_SEALED;
		info->segments_parked += owned.word.state == OWNER_PARKED;
		info->segments_leaving += owned.word.state == OWNER_LEAVING;
	}
}

/* a table whose header was lost is read by its second source, as everywhere */
static void count_blocks(struct memkv_pool *pool, struct memkv_pool_info *info)
{
	const struct control *c = &pool->control;
	const struct follower_recover *recover = &pool->follower.recover;
	struct usage usage = {.control = c, .factbook = &pool->factbook};
	struct table_header header;
	bool mended;

	for (usage.segment = 0; usage.segment < c->layout.geo.segments; usage.segment++) {
		pthread_mutex_lock(&pool->follower.lock);
		if (table_refresh(c, usage.segment) && table_header_known(c, recover, usage.segment, &header, &mended))
			table_walk(c, recover, usage.segment, header.generation, 0,
				   table_count(c, usage.segment, header.generation, NULL), add_entry, &usage);
		follower_give_back(&pool->follower, usage.segment);
		pthread_mutex_unlock(&pool->follower.lock);
	}
	info->blocks = usage.blocks;
	info->block_bytes = usage.bytes;
}

int memkv_pool_describe(struct memkv_pool *pool, struct memkv_pool_info *info)
{
	POOL_USE use = pool_enter(pool, ENTRY_CALL);

	if (!use.inside)
		return use.result;
	if (!info)
		return fail(-EINVAL, "describe: a place for the answer is needed");
	const struct control *c = &pool->control;
	const struct geometry *geo = &c->layout.geo;
	*info = (struct memkv_pool_info){
		.path = pool->path,
		.medium = pool->media->ops->name,
		.format_major = pool->sb.major,
		.format_minor = pool->sb.minor,
		.bytes = geo->bytes,
		.control_bytes = c->layout.control_bytes,
		.segments = geo->segments,
		.segment_room = geo->segment_room,
		.max_block = geo->max_block,
		.entries_per_segment = geo->entries,
		.slots = geo->slots,
		.direct_io = pool->media->caps.direct,
		.coherent = pool->media->caps.coherent,
	};
	memcpy(info->uuid, pool->sb.uuid, sizeof(info->uuid));
	memcpy(info->name, pool->sb.name, sizeof(info->name));
	for (uint32_t n = 0; n < geo->slots; n++)
		info->slots_live += slot_locked(c, n) || (pool->slot.epoch && n == pool->slot.number);
	if (!control_refresh_regions(c, REGION_OWNER_WORDS, REGION_OWNER_WORDS))
		return fail(-EIO, "%s: the pool's control structures cannot be read", pool->media->path);
	count_states(c, info);
	count_blocks(pool, info);
	return 0;
}

uint64_t memkv_pool_room(struct memkv_pool *pool, uint64_t block_size)
{
	POOL_USE use = pool_enter(pool, ENTRY_LOOK);

	return use.inside ? geometry_room(&pool->sb.geo, block_size) : 0;
}

int memkv_pool_counters(struct memkv_pool *pool, struct memkv_counters *out)
{
	int err = pool_usable(pool);

	if (err)
		return err;
	*out = (struct memkv_counters){
#define COUNTER_READ(name) .name = atomic_load_explicit(&pool->counters.name, memory_order_relaxed),
		POOL_COUNTERS(COUNTER_READ)
#undef COUNTER_READ
	};
	POOL_USE use = pool_enter(pool, ENTRY_LOOK);
	if (use.inside) {
		out->entries_damaged += atomic_load(&pool->follower.entries_damaged);
		out->entries_mended += atomic_load(&pool->follower.entries_mended);
		out->words_mended += atomic_load(&pool->follower.words_mended);
	}
	return 0;
}
