/* SPDX-License-Identifier: Apache-2.0 */
/* What a pool is and holds: memkv_pool_describe, room, counters. */
#include "core/base/fail.h"
#include "core/pool/deadline.h"
#include "core/slot/own.h"

#include <memkv/timed.h>

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

	for (uint64_t s = 0; s < c->layout.segments; s++) {
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

	for (usage.segment = 0; usage.segment < c->layout.segments; usage.segment++) {
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

static int64_t make_describe(struct memkv_pool *pool, struct chore *chore)
{
	struct memkv_pool_info *info = chore->out;
	const struct control *c = &pool->control;
	const struct geometry *geo = &c->layout.geo;
	*info = (struct memkv_pool_info){
		.path = pool->path,
		.medium = pool->media->ops->name,
		.format_major = pool->sb.major,
		.format_minor = pool->sb.minor,
		.segment_room = geo->segment_room,
		.max_block = geo->max_block,
		.entries_per_segment = geo->entries,
		.slots = geo->slots,
		.direct_io = pool->media->caps.direct,
		.coherent = pool->media->caps.coherent,
	};
	for (unsigned n = 0; n < c->layout.extent_count; n++) {
		const struct extent *e = &c->layout.extents[n];
		info->bytes += namespace_in_pool(&pool->sb, n) ? e->bytes : 0;
		info->control_bytes += namespace_in_pool(&pool->sb, n) ? e->control_bytes : 0;
		info->segments += namespace_in_pool(&pool->sb, n) ? e->segments : 0;
	}
	memcpy(info->uuid, pool->sb.uuid, sizeof(info->uuid));
	memcpy(info->name, pool->sb.name, sizeof(info->name));
	for (uint32_t n = 0; n < geo->slots; n++)
		info->slots_live += slot_locked(c, n) || (pool->slot.epoch && n == pool->slot.number);
	if (!control_refresh_words(c, CONTROL_OWNER_WORDS))
		return fail(-EIO, "%s: the pool's control structures cannot be read", pool->media->path);
	count_states(c, info);
	count_blocks(pool, info);
	return 0;
}

int memkv_pool_describe_by(struct memkv_pool *pool, struct memkv_pool_info *info, uint64_t deadline_us)
{
	POOL_USE use = pool_enter(pool, ENTRY_CALL);
	struct chore chore = {.make = make_describe, .out = info, .out_bytes = sizeof(*info)};

	if (!use.inside)
		return use.result;
	if (!info)
		return fail(-EINVAL, "describe: a place for the answer is needed");
	return (int)deadline_make(pool, &chore, deadline_us);
}

int memkv_pool_describe(struct memkv_pool *pool, struct memkv_pool_info *info) { return memkv_pool_describe_by(pool, info, 0); }

uint64_t memkv_pool_room(struct memkv_pool *pool, uint64_t block_size)
{
	POOL_USE use = pool_enter(pool, ENTRY_LOOK);
	uint64_t room = 0;

	for (unsigned n = 0; use.inside && n < pool->control.layout.extent_count; n++)
		if (namespace_in_pool(&pool->sb, n))
			room += layout_room(&pool->control.layout, n, block_size);
	return room;
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

static void describe_namespace(const struct memkv_pool *pool, unsigned n, struct memkv_namespace *ns)
{
	const struct control *c = &pool->control;
	const struct extent *e = &c->layout.extents[n];
	const char *path = n ? pool->sb.namespaces[n - 1].path : pool->media->path;
	bool there = n == 0 || media_there(pool->media, n);
	struct owned owned;

	*ns = (struct memkv_namespace){
		.number = n,
		.state = !namespace_in_pool(&pool->sb, n) ? MEMKV_NAMESPACE_REMOVED
			 : there			   ? MEMKV_NAMESPACE_THERE
							   : MEMKV_NAMESPACE_LOST,
		.bytes = e->bytes,
		.control_bytes = e->control_bytes,
		.segments = e->segments,
	};
	memcpy(ns->path, path, min_u64(strlen(path), MEMKV_NAMESPACE_PATH_MAX));
	if (n)
		memcpy(ns->id, pool->sb.namespaces[n - 1].id, sizeof(ns->id));
	for (uint64_t s = e->first_segment; there && s < e->first_segment + e->segments; s++) {
		bool known = own_look(c, s, &owned);
		ns->segments_free += known && owned.word.state == OWNER_FREE;
		ns->segments_retired += known && owned.word.state == OWNER_RETIRED;
	}
}

static int64_t make_namespaces(struct memkv_pool *pool, struct chore *chore)
{
	struct memkv_namespace *list = chore->out;

	(void)control_refresh_words(&pool->control, CONTROL_OWNER_WORDS);
	for (unsigned n = 0; n < pool->control.layout.extent_count && n < chore->number; n++)
		describe_namespace(pool, n, &list[n]);
	return pool->control.layout.extent_count;
}

int64_t memkv_pool_namespaces_by(struct memkv_pool *pool, struct memkv_namespace *list, size_t room, uint64_t deadline_us)
{
	POOL_USE use = pool_enter(pool, ENTRY_CALL);

	if (!use.inside)
		return use.result;
	room = list ? (size_t)min_u64(room, pool->control.layout.extent_count) : 0;
	struct chore chore = {.make = make_namespaces, .number = room, .out = list, .out_bytes = room * sizeof(*list)};
	return deadline_make(pool, &chore, deadline_us);
}

int64_t memkv_pool_namespaces(struct memkv_pool *pool, struct memkv_namespace *list, size_t room)
{
	return memkv_pool_namespaces_by(pool, list, room, 0);
}
