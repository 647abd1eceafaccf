/* SPDX-License-Identifier: Apache-2.0 */
/* See entrance.h. */
#include "core/pool/entrance.h"
#include "core/base/fail.h"
#include "core/pool/handle.h"

#include <errno.h>

static struct entrance_cell *cell_of(struct entrance *entrance)
{
	static atomic_uint threads;
	static _Thread_local unsigned mine __attribute__((tls_model("initial-exec"))); /* from 1; 0: not given yet */

	if (!mine)
		mine = 1 + atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) % ENTRANCE_CELLS;
	return &entrance->cells[mine - 1];
}

void entrance_open(struct entrance *entrance) { atomic_store(&entrance->open, true); }
void entrance_shut(struct entrance *entrance) { atomic_store(&entrance->open, false); }

bool entrance_empty(const struct entrance *entrance)
{
	for (int i = 0; i < ENTRANCE_CELLS; i++)
		if (atomic_load(&entrance->cells[i].inside))
			return false;
	return true;
}

bool entrance_unwritten(const struct entrance *entrance)
{
	for (int i = 0; i < ENTRANCE_CELLS; i++)
		if (atomic_load(&entrance->cells[i].writing))
			return false;
	return true;
}

/* the entrance is shut */
static int answer_outside(struct memkv_pool *pool, enum entry_kind kind)
{
	if (kind == ENTRY_GET || kind == ENTRY_HOLD) {
		count(&pool->counters.miss_io, 1);
		return MEMKV_MISS;
	}
	return kind == ENTRY_LOOK ? 0 : rejoin_refuse(pool);
}

struct pool_use pool_enter(const struct memkv_pool *handle, enum entry_kind kind)
{
	struct memkv_pool *pool = (struct memkv_pool *)(uintptr_t)handle; /* only what the handle itself keeps is changed */
	struct pool_use use = {.result = pool_usable(handle)};

	if (use.result)
		return use;
	use.writing = kind == ENTRY_WRITE || kind == ENTRY_HOLD;
	if (use.writing || kind == ENTRY_CALL)
		rejoin_by_caller(pool);
	struct entrance_cell *cell = cell_of(&pool->entrance);
	if (use.writing)
		atomic_fetch_add(&cell->writing, 1);
	atomic_fetch_add(&cell->inside, 1);
	use.inside = cell;
	if (!atomic_load(&pool->entrance.open)) {
		pool_leave(&use);
		use.result = answer_outside(pool, kind);
	} else if (use.writing && !rejoin_writable(pool)) {
		bool gone = atomic_load(&pool->media->failed);
		pool_leave(&use);
		use.result = kind == ENTRY_HOLD && !gone
				     ? fail(-EAGAIN, "%s: nothing can be held while the pool cannot be written to; copy with get", pool->path)
				     : answer_outside(pool, kind);
	}
	return use;
}

void pool_leave(struct pool_use *use)
{
	struct entrance_cell *cell = use->inside;

	use->inside = NULL;
	if (!cell)
		return;
	atomic_fetch_sub(&cell->inside, 1);
	if (use->writing)
		atomic_fetch_sub(&cell->writing, 1);
}
