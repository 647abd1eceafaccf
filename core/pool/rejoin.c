/* SPDX-License-Identifier: Apache-2.0 */
/* See rejoin.h. */
#include "core/pool/rejoin.h"
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/base/log.h"
#include "core/media/late_write.h"
#include "core/pool/handle.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { PAUSE_LEAST_US = 100000, PAUSE_MOST_US = 10000000, DRAIN_STEP_US = 1000 };

void rejoin_init(struct rejoin *r)
{
	*r = (struct rejoin){.pause_us = PAUSE_LEAST_US};
	pthread_mutex_init(&r->lock, NULL);
	pthread_mutex_init(&r->nap_lock, NULL);
	deputy_cond_open(&r->nap);
}

void rejoin_fini(struct rejoin *r)
{
	pthread_mutex_destroy(&r->lock);
	pthread_mutex_destroy(&r->nap_lock);
	pthread_cond_destroy(&r->nap);
}

static bool asked_to_read(const struct memkv_pool *pool) { return pool->options.flags & MEMKV_OPEN_READ_ONLY; }

/* ---- why ---- */

/* says it as well, when it is news */
static void note_why(struct memkv_pool *pool, const char *why)
{
	struct rejoin *r = &pool->rejoin;

	pthread_mutex_lock(&r->nap_lock);
	bool news = strncmp(r->why, why, sizeof(r->why) - 1) != 0;
	snprintf(r->why, sizeof(r->why), "%s", why);
	pthread_mutex_unlock(&r->nap_lock);
	if (news)
		log_say("%s cannot be used now: %s", pool->path, why);
}

int rejoin_refuse(struct memkv_pool *pool)
{
	struct rejoin *r = &pool->rejoin;
	char why[REJOIN_WHY];

	pthread_mutex_lock(&r->nap_lock);
	snprintf(why, sizeof(why), "%s", *r->why ? r->why : "its medium is gone, was cut short or failed");
	r->roused = true;
	pthread_cond_signal(&r->nap);
	pthread_mutex_unlock(&r->nap_lock);
	return fail(MEMKV_FAILED, "%s cannot be used now: %s; the handle goes on by itself when that is mended", pool->path, why);
}

/* ---- is it well? ---- */

bool rejoin_writable(const struct memkv_pool *pool)
{
	if (asked_to_read(pool))
		return true;
	return !pool->read_only && !atomic_load(&pool->media->failed) && control_published(&pool->control);
}

static bool is_well(const struct memkv_pool *pool)
{
	return rejoin_writable(pool) && !atomic_load(&pool->media->failed) && !slot_worn(&pool->slot);
}

static uint64_t quarantine_of(const struct memkv_pool *pool)
{
	struct late_write late;

	if (pool->read_only || pool->control.shared || !late_write_of_device("", pool->media->path, &late) || !late.fabric)
		return 0;
	return late.bounded ? late.seconds * UINT64_C(1000000) : UINT64_MAX;
}

static void note_attached(struct memkv_pool *pool)
{
	struct rejoin *r = &pool->rejoin;

	r->attached = true;
	r->known = true;
	memcpy(r->uuid, pool->sb.uuid, sizeof(r->uuid));
	r->quarantine_us = quarantine_of(pool);
	if (!is_well(pool))
		return;
	r->noted = r->quiet = false;
	r->pause_us = PAUSE_LEAST_US;
	pthread_mutex_lock(&r->nap_lock);
	r->why[0] = 0;
	pthread_mutex_unlock(&r->nap_lock);
}

void rejoin_attached(struct memkv_pool *pool)
{
	pthread_mutex_lock(&pool->rejoin.lock);
	note_attached(pool);
	pthread_mutex_unlock(&pool->rejoin.lock);
	entrance_open(&pool->entrance);
}

/* ---- a step ---- */

static void note_failed(struct memkv_pool *pool, uint64_t now)
{
	struct rejoin *r = &pool->rejoin;

	r->noted = true;
	r->since_us = now;
	if (slot_worn(&pool->slot)) {
		note_why(pool, "it has opened all the segments that one attach may, and attaches anew");
		return;
	}
	/* nothing more of it is written, so what may still land late is from before */
	atomic_store(&pool->media->unpublished, true);
	note_why(pool, r->quarantine_us == UINT64_MAX
			       ? "its device has failed, and its connection sets no end to when writes land that were given up; open it "
				 "again when none is under way any more, and set fast_io_fail_tmo or ctrl_loss_tmo"
			       : "its medium is gone, was cut short or failed");
}

static uint64_t later(uint64_t now, uint64_t wait) { return wait > UINT64_MAX - now ? UINT64_MAX : now + wait; }

static void postpone(struct rejoin *r)
{
	r->due_us = later(clock_monotonic_us(), r->pause_us);
	r->pause_us = min_u64(2 * r->pause_us, PAUSE_MOST_US);
}

static bool stopped(struct rejoin *r)
{
	pthread_mutex_lock(&r->nap_lock);
	bool stop = r->stop;
	pthread_mutex_unlock(&r->nap_lock);
	return stop;
}

/* the entrance is shut */
static bool drained(struct memkv_pool *pool, uint64_t patience_us)
{
	for (uint64_t waited = 0; !entrance_empty(&pool->entrance); waited += DRAIN_STEP_US) {
		if (waited >= patience_us || stopped(&pool->rejoin))
			return false;
		clock_sleep_us(DRAIN_STEP_US);
	}
	return true;
}

static int attach_anew(struct memkv_pool *pool)
{
	int err = attach_pool(pool, asked_to_read(pool));

	if (!err || asked_to_read(pool))
		return err;
	count(&pool->counters.rejoins_failed, 1);
	note_why(pool, memkv_error_detail());
	return attach_pool(pool, true); /* for now */
}

/* what can be had at the path instead of what there is */
static int exchange(struct memkv_pool *pool, uint64_t patience_us)
{
	struct rejoin *r = &pool->rejoin;

	entrance_shut(&pool->entrance);
	if (!drained(pool, patience_us)) {
		if (r->attached)
			entrance_open(&pool->entrance);
		return -EBUSY;
	}
	if (r->attached) {
		if (atomic_load(&pool->media->failed) && pool->media->ops->forsake)
			pool->media->ops->forsake(pool->media);
		detach_pool(pool);
		r->attached = false;
	}
	int err = attach_anew(pool);
	if (err) {
		count(&pool->counters.rejoins_failed, 1);
		note_why(pool, memkv_error_detail());
		return err;
	}
	note_attached(pool);
	bool well = is_well(pool);
	if (well) /* before anybody can be inside: who is finds it counted */
		count(&pool->counters.rejoins, r->attachments > 1);
	entrance_open(&pool->entrance);
	if (!well)
		return MEMKV_FAILED;
	if (pool->slot.epoch)
		log_say("%s is attached again after %.1f s, as %u@%u", pool->path, (double)(clock_monotonic_us() - r->since_us) / 1e6,
			pool->slot.number, pool->slot.epoch);
	else
		log_say("%s is attached again after %.1f s", pool->path, (double)(clock_monotonic_us() - r->since_us) / 1e6);
	return 0;
}

/* does what is there now answer, and is it our pool? */
static int look(struct memkv_pool *pool)
{
	struct superblock sb;
	int err = pool_peek(pool->path, pool->options.flags & MEMKV_OPEN_BUFFERED ? MEDIA_OPEN_BUFFERED : 0, &sb);

	if (!err)
		err = rejoin_same(pool, &sb);
	if (err)
		note_why(pool, memkv_error_detail());
	return err;
}

void rejoin_step(struct memkv_pool *pool, uint64_t patience_us)
{
	struct rejoin *r = &pool->rejoin;
	uint64_t now = clock_monotonic_us();

	if (r->attached && is_well(pool))
		return;
	if (r->attached && !r->noted)
		note_failed(pool, now);
	if (r->attached && !r->quiet) {
		if (!entrance_unwritten(&pool->entrance) || deputies_late(&pool->deputies))
			return;
		r->quiet = true;
		r->due_us = slot_worn(&pool->slot) ? now : later(now, r->quarantine_us);
	}
	if (now < r->due_us)
		return;
	int err = look(pool);
	if (!err)
		err = exchange(pool, patience_us);
	if (err)
		postpone(r);
}

int rejoin_same(const struct memkv_pool *pool, const struct superblock *sb)
{
	const struct rejoin *r = &pool->rejoin;

	if (!r->known || memcmp(r->uuid, sb->uuid, sizeof(r->uuid)) == 0)
		return 0;
	return fail(MEMKV_FAILED, "another pool is at %s now than the one that was opened there; bring that one back, or close the handle "
				  "and open this one", pool->path);
}

bool rejoin_may_hang(struct memkv_pool *pool)
{
	struct rejoin *r = &pool->rejoin;

	if (pthread_mutex_trylock(&r->lock))
		return true; /* it is just at it */
	bool may = pool->media && (!pool->media->caps.mappable || deputies_late(&pool->deputies));
	pthread_mutex_unlock(&r->lock);
	return may;
}
