/* SPDX-License-Identifier: Apache-2.0 */
/* Is the slot ours still, and who else is there?  See share.h, slot/lease.h. */
#include "core/base/environ.h"
#include "core/pool/handle.h"
#include "core/pool/share_parts.h"

#include <errno.h>

bool share_is_me(const struct memkv_pool *pool, uint32_t slot, uint32_t epoch)
{
	return pool->slot.epoch && slot == pool->slot.number && (epoch == pool->slot.epoch || MUTANT(OWN_EPOCH_IGNORED));
}

/* our slot's other copy, read anew; MEMKV_IN_USE: the slot is another's by now, and nothing that is its is ours to write any more */
int share_guard_slot(struct memkv_pool *pool)
{
	if (MUTANT(SLOT_LOST_UNSEEN))
		return 0;
	pthread_mutex_lock(&pool->share.beat_lock);
	int err = lease_guard(&pool->control, &pool->slot);
	pthread_mutex_unlock(&pool->share.beat_lock);
	if (err == MEMKV_IN_USE)
		atomic_store(&pool->media->unpublished, true);
	return err;
}

/*
 * Who was asked whether the slot is his, and stood still before this, wrote over the cell of its next holder, who mends that; one that
 * comes late, or is the first, is no sign that the slot is ours: so then it counts for the lease only when it is ours behind it as well.
 */
int share_beat(struct memkv_pool *pool, uint64_t tail)
{
	struct share *share = &pool->share;
	uint64_t began = clock_boot_us();

	SIM_SITE(LATE_BEAT_BELIEVED); /* whoever stands still here */
	pthread_mutex_lock(&share->beat_lock);
	/* a tail that is already told is not taken back */
	int err = lease_beat(&pool->control, &pool->slot, max_u64(tail, pool->slot.cell.log_tail));
	pthread_mutex_unlock(&share->beat_lock);
	if (!err && !share_in_lease(pool) && !MUTANT(LATE_BEAT_BELIEVED) && !MUTANT(ATTACH_UNGUARDED))
		err = share_guard_slot(pool);
	if (!err)
		atomic_store(&share->good_us, began);
	return err;
}

/* likewise, when that could be read; else nothing is to be written that a next holder might have there by now */
bool share_may_write_cell(struct memkv_pool *pool)
{
	int err = share_guard_slot(pool);

	return !err || (err != MEMKV_IN_USE && (share_in_lease(pool) || MUTANT(KEPT_UNREAD)));
}

bool share_slot_ours(struct memkv_pool *pool) { return share_in_lease(pool) || share_guard_slot(pool) == 0; }

bool share_still(void *context) { return share_slot_ours(context); }

/* a removal stands in the log: now the cell says so; the factbook's lock is held */
int share_tell_tail(void *context, uint64_t tail)
{
	struct memkv_pool *pool = context;
	bool in_lease = share_in_lease(pool);
	int err = share_beat(pool, tail);

	if (!err && !MUTANT(DEL_UNFLUSHED))
		err = pool->media->ops->flush(pool->media);
	/* else the slot may have passed on, and its next holder have read our log before that record was there */
	if (err == MEMKV_IN_USE)
		return -EIO;
	return err || in_lease || share_guard_slot(pool) == 0 ? err : -EIO;
}

bool share_in_lease(const struct memkv_pool *pool)
{
	const struct share *share = &pool->share;

	uint64_t good = atomic_load(&share->good_us); /* 0: there was none yet */

	return !pool->control.shared || (good && clock_boot_us() - good < share->timing.self_ms * 1000ULL);
}

void share_watch(struct memkv_pool *pool)
{
	struct share *share = &pool->share;

	const struct control *c = &pool->control;
	uint64_t now = clock_boot_us(), silent_us = share->timing.beat_ms * 2500ULL;

	if (lease_refresh(c) < 0)
		return;
	pthread_mutex_lock(&share->watch_lock);
	lease_look(&share->watch, c, now);
	/* the quarantine of who is proven gone begins when that is seen, not when somebody needs its segments */
	for (uint32_t n = 0; n < c->layout.geo.slots; n++) {
		uint32_t epoch = share->watch.slots[n].epoch;
		if (epoch && !share_is_me(pool, n, epoch) && lease_still_us(&share->watch, n, epoch) >= silent_us)
			(void)lease_quiet(&share->watch, c, &share->timing, n, epoch);
	}
	pthread_mutex_unlock(&share->watch_lock);
}

void share_listen(struct memkv_pool *pool)
{
	struct share *share = &pool->share;
	const struct control *c = &pool->control;
	struct slot_cell cell;
	bool any = false;

	share_watch(pool);
	for (uint32_t n = 0; n < c->layout.geo.slots; n++)
		any |= slot_read(c, n, &cell) != CHECK_BAD && cell.state == SLOT_ACTIVE && !share_is_me(pool, n, cell.epoch);
	if (share->keeping || !any)
		return;
	clock_sleep_us(share->timing.beat_ms * 3000ULL);
	share_watch(pool);
}

bool share_silent(struct memkv_pool *pool, uint32_t slot)
{
	struct share *share = &pool->share;
	struct slot_cell cell;

	if (slot_read(&pool->control, slot, &cell) == CHECK_BAD)
		return false;
	pthread_mutex_lock(&share->watch_lock);
	uint64_t still = lease_still_us(&share->watch, slot, cell.epoch);
	pthread_mutex_unlock(&share->watch_lock);
	return still >= share->timing.beat_ms * 2500ULL;
}

enum check_result share_read_cell(struct memkv_pool *pool, uint32_t slot, struct slot_cell *cell)
{
	const struct control *c = &pool->control;
	bool ours = c->shared && slot == pool->slot.number && !MUTANT(CELL_HALFWAY);

	if (ours)
		pthread_mutex_lock(&pool->share.beat_lock);
	enum check_result result = slot_refresh(c, slot) ? slot_read(c, slot, cell) : CHECK_BAD;
	if (ours)
		pthread_mutex_unlock(&pool->share.beat_lock);
	return result;
}

bool share_quiet(void *context, uint32_t slot, uint32_t epoch)
{
	struct memkv_pool *pool = context;
	struct share *share = &pool->share;

	if (share_is_me(pool, slot, epoch))
		return false;
	if (MUTANT(REOPEN_AT_RISK))
		return true;
	pthread_mutex_lock(&share->watch_lock);
	bool quiet = lease_quiet(&share->watch, &pool->control, &share->timing, slot, epoch);
	pthread_mutex_unlock(&share->watch_lock);
	return quiet;
}
