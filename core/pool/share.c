/* SPDX-License-Identifier: Apache-2.0 */
/* Coming to a shared device, and going: see share.h. */
#include "core/pool/share.h"
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/log/checkpoint.h"
#include "core/media/late_write.h"
#include "core/pool/handle.h"
#include "core/pool/share_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void keep_local(struct memkv_pool *pool)
{
	const struct layout *l = &pool->control.layout;

	pool->media->local[0] = (struct media_range){l->offset[REGION_OWNER_WORDS],
						      l->offset[REGION_OWNER_WORDS] + l->length[REGION_OWNER_WORDS]};
	pool->media->local[1] = (struct media_range){l->offset[REGION_HEAT],
						      l->offset[REGION_STATISTICS] + l->length[REGION_STATISTICS]};
}

/* how late a write of ours may land follows from this host's connection; our cell says so to those who out-wait it */
static void out_wait(struct memkv_pool *pool)
{
	enum { MARGIN_S = 15 };
	struct lease_timing *t = &pool->share.timing;
	struct late_write late;

	if (t->given || !late_write_of_device("", pool->media->path, &late) || !late.fabric)
		return;
	t->quarantine_ms = late.bounded ? (uint32_t)min_u64(max_u64(t->quarantine_ms, (late.seconds + MARGIN_S) * 1000ULL),
							    UINT32_MAX)
					: UINT32_MAX;
}

int share_open(struct memkv_pool *pool)
{
	struct share *share = &pool->share;
	struct control *c = &pool->control;
	pthread_condattr_t attributes;
	struct identity id;

	share->pool = pool;
	identity_read(&id);
	memcpy(c->machine, id.machine, sizeof(c->machine));
	memcpy(c->boot, id.boot, sizeof(c->boot));
	int err = pool->media->ops->node(pool->media, &c->node_device, &c->node_inode);
	if (!err)
		err = lease_timing_read(&share->timing);
	if (err)
		return err;
	out_wait(pool);
	c->pass_us = share->timing.claim_ms * 1000ULL;
	share->lost = calloc(div_up(pool->sb.geo.segments, 64), sizeof(*share->lost));
	share->open = calloc(div_up(pool->sb.geo.segments, 64), sizeof(*share->open));
	if (!share->lost || !share->open) {
		free(share->lost);
		free(share->open);
		share->lost = share->open = NULL;
		return fail(-ENOMEM, "%s: no memory to attach", pool->media->path);
	}
	keep_local(pool);
	pthread_mutex_init(&share->beat_lock, NULL);
	pthread_mutex_init(&share->watch_lock, NULL);
	pthread_mutex_init(&share->adopt_lock, NULL);
	pthread_mutex_init(&share->give_lock, NULL);
	pthread_mutex_init(&share->seal_lock, NULL);
	pthread_mutex_init(&share->flush_lock, NULL);
	pthread_mutex_init(&share->nap_lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&share->nap, &attributes);
	pthread_condattr_destroy(&attributes);
	share->ops = (struct own_share){
		.mine = share_mine, .writing = share_writing, .gone = share_quiet, .state = share_state, .still = share_still,
		.adopt = share_adopt};
	return 0;
}

static void set_all_words(struct memkv_pool *pool)
{
	for (uint64_t s = 0; s < pool->sb.geo.segments; s++)
		share_owner_changed(pool, s);
}

void share_words(struct memkv_pool *pool)
{
	pool->factbook.share = (struct factbook_share){
		.changed = share_owner_changed, .quiet = share_quiet, .settled = share_removal_settled, .tell = share_tell_tail,
		.still = share_still, .context = pool};
	pthread_mutex_lock(&pool->factbook.lock);
	set_all_words(pool);
	pthread_mutex_unlock(&pool->factbook.lock);
}

/*
 * What stands in the log before ours cannot be brought over: the next one may try, and finds it named still.  Or the slot is another's
 * by now: then nothing is written any more.
 */
static int give_slot_back(struct memkv_pool *pool, int err)
{
	bool unread = !share_may_write_cell(pool), lost = unread && lease_lost(&pool->control, &pool->slot);

	if (unread)
		atomic_store(&pool->media->unpublished, true); /* it ends, and does not leave */
	slot_leave(&pool->control, &pool->slot);
	pool->control.share = NULL;
	pool->slot.epoch = 0;
	if (lost)
		return fail(MEMKV_IN_USE, "%s: this host stood still for so long while it attached that its slot has passed on; open it again",
			    pool->media->path);
	return fail(err, "%s: the slot cannot be taken: what its log says is not brought over, or no heartbeat written: %s",
		    pool->media->path, memkv_strerror(err));
}

/* the log before ours is ours; then the first heartbeat.  Until then, nobody hears of us, so the slot is looked at before each write. */
static int settle_in(struct memkv_pool *pool)
{
	int err = factbook_bring_over(&pool->factbook, &pool->slot);

	if (!err)
		err = lease_brought_over(&pool->control, &pool->slot);
	if (!err && !MUTANT(ATTACH_UNGUARDED))
		err = share_guard_slot(pool);
	return err ? err : share_beat(pool, 0);
}

int share_attach(struct memkv_pool *pool, const struct slot_guard *guard)
{
	struct share *share = &pool->share;
	const struct control *c = &pool->control;
	int err = lease_claim(c, &share->timing, guard, &pool->slot);

	if (err)
		return err;
	struct log_identity me = {.slot = pool->slot.number, .epoch = pool->slot.epoch, .nonce = pool->slot.nonce};
	if (!ring_hold(c, &me) || !checkpoint_hold(c, me.slot))
		return fail(-EIO, "%s: the slot's log cannot be read", pool->media->path);
	pool->control.share_context = pool;
	pool->control.share = &share->ops;
	err = settle_in(pool);
	if (err)
		return give_slot_back(pool, err);
	factbook_attach(&pool->factbook, &pool->slot);
	share->attached = true;
	share_watch(pool);
	return keeper_start(pool);
}

void share_leave(struct memkv_pool *pool)
{
	if (!pool->share.attached)
		return;
	(void)share_state_seals(pool);
	keeper_stop(&pool->share);
	if (!share_may_write_cell(pool))
		atomic_store(&pool->media->unpublished, true); /* it ends, and does not leave */
	pool->slot.cell.log_tail = max_u64(pool->slot.cell.log_tail, factbook_tail(&pool->factbook)); /* told as it leaves */
	if (control_published(&pool->control))
		(void)pool->media->ops->flush(pool->media);
}

void share_close(struct memkv_pool *pool)
{
	struct share *share = &pool->share;

	if (!share->lost)
		return;
	keeper_stop(share);
	free(share->lost);
	free(share->open);
	share->lost = share->open = NULL;
	pthread_mutex_destroy(&share->beat_lock);
	pthread_mutex_destroy(&share->watch_lock);
	pthread_mutex_destroy(&share->adopt_lock);
	pthread_mutex_destroy(&share->give_lock);
	pthread_mutex_destroy(&share->seal_lock);
	pthread_mutex_destroy(&share->flush_lock);
	pthread_mutex_destroy(&share->nap_lock);
	pthread_cond_destroy(&share->nap);
}
