/* SPDX-License-Identifier: Apache-2.0 */
/* The two threads of an agent on a shared device: the keeper of its lease, and the helper.  See share.h. */
#include "core/base/fail.h"
#include "core/pool/handle.h"
#include "core/pool/share_parts.h"

#include <string.h>
#include <time.h>

static void nap(struct share *share)
{
	struct timespec until;
	uint64_t us = share->timing.beat_ms * 1000ULL;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(us / 1000000);
	until.tv_nsec += (long)(us % 1000000) * 1000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&share->nap_lock);
	while (!atomic_load(&share->stop) && pthread_cond_timedwait(&share->nap, &share->nap_lock, &until) == 0)
		;
	pthread_mutex_unlock(&share->nap_lock);
}

/* is it still our pool, and not one that was made over it while we were stopped, or cut off? */
static bool still_ours(struct memkv_pool *pool)
{
	const struct control *c = &pool->control;
	struct superblock sb;
	bool mended;

	if (!control_refresh(c, c->base, PAGE))
		return true; /* that says nothing */
	int err = superblock_decode(c->base, 0, &sb, &mended);
	if (err == MEMKV_NOT_A_POOL || (!err && (sb.seed != pool->sb.seed || sb.instance != pool->sb.instance)))
		atomic_store(&pool->media->failed, true);
	return !atomic_load(&pool->media->failed);
}

static void *keep(void *context)
{
	struct memkv_pool *pool = context;

	while (!atomic_load(&pool->share.stop) && still_ours(pool)) {
		if (share_may_write_cell(pool))
			(void)share_beat(pool, factbook_tail(&pool->factbook));
		if (lease_lost(&pool->control, &pool->slot) && !MUTANT(SLOT_LOST_UNSEEN))
			break;
		share_watch(pool);
		nap(&pool->share);
	}
	return NULL;
}

static void settle_if_many(struct memkv_pool *pool)
{
	struct share *share = &pool->share;

	if (!factbook_crowded(&pool->factbook))
		return;
	pthread_mutex_lock(&share->give_lock);
	if (share->giving && pthread_mutex_trylock(&pool->room.refill) == 0) {
		share_settle(pool);
		pthread_mutex_unlock(&pool->room.refill);
	}
	pthread_mutex_unlock(&share->give_lock);
}

/* what may have to wait for others in this process, so that no heartbeat does */
static void *do_chores(void *context)
{
	struct memkv_pool *pool = context;

	while (!atomic_load(&pool->share.stop)) {
		(void)share_state_seals(pool);
		give_answer(pool);
		settle_if_many(pool);
		nap(&pool->share);
	}
	return NULL;
}

int keeper_start(struct memkv_pool *pool)
{
	struct share *share = &pool->share;
	int err = pthread_create(&share->keeper, NULL, keep, pool);

	share->keeping = err == 0;
	if (!err) {
		err = pthread_create(&share->helper, NULL, do_chores, pool);
		share->helping = err == 0;
	}
	return err ? fail(-err, "%s: cannot start the thread that keeps the lease: %s", pool->media->path, strerror(err)) : 0;
}

void keeper_stop(struct share *share)
{
	if (!share->keeping)
		return;
	pthread_mutex_lock(&share->nap_lock);
	atomic_store(&share->stop, true);
	pthread_cond_broadcast(&share->nap);
	pthread_mutex_unlock(&share->nap_lock);
	pthread_join(share->keeper, NULL);
	if (share->helping)
		pthread_join(share->helper, NULL);
	share->keeping = share->helping = false;
}
