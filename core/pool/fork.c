/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fork: a child must not keep the parent's promises alive.  The slot lock belongs to the open file description, which
 * a child shares; so in the child every open pool's descriptors are closed at once and the handle is dead
 * (MEMKV_EFORK).  Mappings were never inherited (MADV_DONTFORK).
 *
 * While a descriptor is being opened or closed it is not written down in its pool yet, or no more; fork waits for that
 * moment to pass, and for no other: opening a pool as a whole may take as long as the medium does.
 */
#include "core/base/fail.h"
#include "core/pool/handle.h"

#include <errno.h>

static pthread_mutex_t open_lock = PTHREAD_MUTEX_INITIALIZER;
static struct memkv_pool *open_pools;
static pthread_once_t installed = PTHREAD_ONCE_INIT;

static void before_fork(void) { pthread_mutex_lock(&open_lock); }
static void after_fork_parent(void) { pthread_mutex_unlock(&open_lock); }

static void abandon_lane(struct lane *lane)
{
	if (lane->queue)
		lane->queue->ops->abandon(lane->queue);
}

static void after_fork_child(void)
{
	for (struct memkv_pool *pool = open_pools; pool; pool = pool->next_open) {
		atomic_store(&pool->forked, true);
		for (uint32_t i = 0; i < LANES_MAX; i++) /* those that are there: the rest is zero */
			abandon_lane(&pool->lanes.lanes[i]);
		for (uint32_t i = 0; i < DEPUTIES_MAX; i++)
			abandon_lane(&pool->deputies.each[i].lane);
		abandon_lane(&pool->recover_lane);
		abandon_lane(&pool->room.lane);
		abandon_lane(&pool->namespaces.visits.lane);
		for (uint32_t n = 0; n < NAMESPACES_MAX; n++)
			if (pool->namespaces.visits.media[n])
				pool->namespaces.visits.media[n]->ops->abandon(pool->namespaces.visits.media[n]);
		if (pool->media)
			pool->media->ops->abandon(pool->media);
		holds_abandon(&pool->holds);
	}
	open_pools = NULL;
	pthread_mutex_unlock(&open_lock);
}

static void install(void)
{
	pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

void fork_hold(void)
{
	pthread_once(&installed, install);
	pthread_mutex_lock(&open_lock);
}

void fork_release(void)
{
	pthread_mutex_unlock(&open_lock);
}

void fork_register(struct memkv_pool *pool)
{
	pool->next_open = open_pools;
	open_pools = pool;
}

void fork_unregister(struct memkv_pool *pool)
{
	struct memkv_pool **at = &open_pools;

	while (*at && *at != pool)
		at = &(*at)->next_open;
	if (*at)
		*at = pool->next_open;
}

int pool_usable(const struct memkv_pool *pool)
{
	if (!pool)
		return fail(-EINVAL, "a pool handle is needed");
	if (atomic_load_explicit(&pool->forked, memory_order_relaxed))
		return fail(MEMKV_EFORK, "%s was opened before fork(); open it again in the child", pool->path);
	return 0;
}
