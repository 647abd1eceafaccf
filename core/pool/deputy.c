/* SPDX-License-Identifier: Apache-2.0 */
/* See deputy.h. */
#include "core/pool/deputy.h"
#include "core/base/fail.h"
#include "core/base/worker.h"
#include "core/pool/handle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

size_t deputy_memory_bytes(const struct memkv_pool *pool)
{
	return round_up(pool->sb.geo.max_block, PAGE) + 2 * (size_t)PAGE;
}

void deputy_cond_open(pthread_cond_t *cond)
{
	pthread_condattr_t monotonic;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

void deputies_open(struct deputies *all, struct memkv_pool *pool, uint32_t count)
{
	all->pool = pool;
	all->count = count;
	pthread_mutex_init(&all->lock, NULL);
	deputy_cond_open(&all->freed);
	for (uint32_t i = 0; i < count; i++) {
		all->each[i].all = all;
		deputy_cond_open(&all->each[i].asked);
		deputy_cond_open(&all->each[i].done);
	}
}

void deputies_close(struct deputies *all)
{
	bool started[DEPUTIES_MAX];

	if (!all->pool)
		return;
	pthread_mutex_lock(&all->lock);
	all->stop = true;
	for (uint32_t i = 0; i < all->count; i++) {
		started[i] = all->each[i].state != DEPUTY_NONE;
		pthread_cond_signal(&all->each[i].asked);
	}
	pthread_mutex_unlock(&all->lock);
	for (uint32_t i = 0; i < all->count; i++) {
		struct deputy *d = &all->each[i];
		if (started[i])
			pthread_join(d->thread, NULL);
		if (d->lane.queue)
			lane_close(&d->lane);
		if (d->memory)
			munmap(d->memory, deputy_memory_bytes(all->pool));
		pthread_cond_destroy(&d->asked);
		pthread_cond_destroy(&d->done);
	}
	pthread_cond_destroy(&all->freed);
	pthread_mutex_destroy(&all->lock);
	all->pool = NULL;
}

bool deputies_late(struct deputies *all)
{
	if (!all->pool)
		return false;
	pthread_mutex_lock(&all->lock);
	bool late = all->late > 0;
	pthread_mutex_unlock(&all->lock);
	return late;
}

/* ---- the deputy's side ---- */

int deputy_memory(struct deputy *d)
{
	if (d->memory)
		return 0;
	void *memory = mmap(NULL, deputy_memory_bytes(d->all->pool), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return -ENOMEM;
	d->memory = memory;
	return 0;
}

/* what could not be had is asked for again at the next errand */
static int prepare(struct deputy *d)
{
	struct memkv_pool *pool = d->all->pool;
	int err = deputy_memory(d);

	if (err || d->lane.queue)
		return err;
	err = lane_open(&d->lane, pool->media);
	if (!err && pool->control.shared)
		err = lane_add_cells(&d->lane, pool->sb.geo.slots);
	if (err && d->lane.queue)
		lane_close(&d->lane);
	return err;
}

static void make_errand(struct deputy *d)
{
	struct errand *e = &d->errand;

	e->result = prepare(d);
	if (e->result)
		fail(e->result, "%s: no memory for a call with a deadline", d->all->pool->media->path);
	else
		e->make(d->all->pool, &d->lane, d->memory, e);
	snprintf(e->detail, sizeof(e->detail), "%s", memkv_error_detail());
}

/* under the lock */
static void set_free(struct deputy *d)
{
	d->state = DEPUTY_FREE;
	pthread_cond_signal(&d->all->freed);
}

static void *serve(void *argument)
{
	struct deputy *d = argument;
	struct deputies *all = d->all;

	pthread_mutex_lock(&all->lock);
	for (;;) {
		while (d->state != DEPUTY_ASKED && !all->stop)
			pthread_cond_wait(&d->asked, &all->lock);
		if (d->state != DEPUTY_ASKED)
			break;
		pthread_mutex_unlock(&all->lock);
		make_errand(d);
		pthread_mutex_lock(&all->lock);
		if (d->left) {
			free(d->errand.chore);
			all->late--;
			set_free(d);
		} else {
			d->state = DEPUTY_DONE;
			pthread_cond_signal(&d->done);
		}
	}
	pthread_mutex_unlock(&all->lock);
	return NULL;
}

/* ---- the caller's side ---- */

bool deputy_wait(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t until_us)
{
	struct timespec until = {.tv_sec = (time_t)min_u64(until_us / 1000000, INT32_MAX),
				 .tv_nsec = (long)(until_us % 1000000) * 1000};

	return pthread_cond_timedwait(cond, lock, &until) != ETIMEDOUT;
}

/* under the lock: one that is free, or that has not been started yet; NULL: none */
static struct deputy *find_free(struct deputies *all)
{
	struct deputy *none = NULL;

	for (uint32_t i = 0; i < all->count; i++) {
		if (all->each[i].state == DEPUTY_FREE)
			return &all->each[i];
		if (all->each[i].state == DEPUTY_NONE && !none)
			none = &all->each[i];
	}
	return none;
}

int deputy_take(struct deputies *all, uint64_t until_us, struct deputy **deputy)
{
	struct deputy *d;
	bool in_time = true;
	int err = 0;

	pthread_mutex_lock(&all->lock);
	while (!(d = find_free(all)) && all->late < all->count && in_time)
		in_time = deputy_wait(&all->freed, &all->lock, until_us);
	if (!d)
		err = MEMKV_TIMEDOUT;
	else if (d->state == DEPUTY_NONE)
		err = worker_start(&d->thread, serve, d);
	if (!err) {
		d->state = DEPUTY_TAKEN;
		d->left = false;
		d->errand.chore = NULL;
		atomic_store(&d->errand.gate, GATE_OPEN);
		*deputy = d;
	}
	pthread_mutex_unlock(&all->lock);
	return err;
}

enum deputy_back deputy_send(struct deputy *d, uint64_t until_us)
{
	struct deputies *all = d->all;
	enum deputy_back back = DEPUTY_BACK;
	bool in_time = true;

	pthread_mutex_lock(&all->lock);
	d->state = DEPUTY_ASKED;
	pthread_cond_signal(&d->asked);
	while (d->state == DEPUTY_ASKED && in_time)
		in_time = deputy_wait(&d->done, &all->lock, until_us);
	if (d->state == DEPUTY_ASKED) {
		int open = GATE_OPEN;
		bool closed = atomic_compare_exchange_strong(&d->errand.gate, &open, GATE_CLOSED);
		back = closed ? DEPUTY_CALLED_OFF : DEPUTY_LEFT;
		d->left = true;
		if (++all->late == all->count) /* who waits for one to become free waits for nothing */
			pthread_cond_broadcast(&all->freed);
	}
	pthread_mutex_unlock(&all->lock);
	return back;
}

void deputy_release(struct deputy *d)
{
	pthread_mutex_lock(&d->all->lock);
	set_free(d);
	pthread_mutex_unlock(&d->all->lock);
}
