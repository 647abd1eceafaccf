/* SPDX-License-Identifier: Apache-2.0 */
/* Who makes the steps of rejoin.h, and when. */
#include "core/base/environ.h"
#include "core/base/worker.h"
#include "core/pool/handle.h"

enum { WATCH_US = 50000, DRAIN_US = 1000000 };

void rejoin_by_caller(struct memkv_pool *pool)
{
	struct rejoin *r = &pool->rejoin;

	if (r->running || pthread_mutex_trylock(&r->lock))
		return;
	rejoin_step(pool, 0);
	pthread_mutex_unlock(&r->lock);
}

/* false: it is to end */
static bool nap(struct rejoin *r)
{
	uint64_t until = clock_monotonic_us() + WATCH_US;
	bool in_time = true;

	pthread_mutex_lock(&r->nap_lock);
	while (!r->stop && !r->roused && in_time)
		in_time = deputy_wait(&r->nap, &r->nap_lock, until);
	bool stop = r->stop;
	r->roused = false;
	pthread_mutex_unlock(&r->nap_lock);
	return !stop;
}

static void *keep_attached(void *context)
{
	struct memkv_pool *pool = context;

	do {
		pthread_mutex_lock(&pool->rejoin.lock);
		rejoin_step(pool, DRAIN_US);
		pthread_mutex_unlock(&pool->rejoin.lock);
	} while (nap(&pool->rejoin));
	return NULL;
}

int rejoin_start(struct memkv_pool *pool)
{
	struct rejoin *r = &pool->rejoin;

	r->running = true; /* before anybody uses the handle */
	int err = worker_start(&r->thread, keep_attached, pool);
	if (err)
		r->running = false;
	return err;
}

void rejoin_stop(struct memkv_pool *pool)
{
	struct rejoin *r = &pool->rejoin;

	if (!r->running)
		return;
	pthread_mutex_lock(&r->nap_lock);
	r->stop = true;
	pthread_cond_broadcast(&r->nap);
	pthread_mutex_unlock(&r->nap_lock);
	pthread_join(r->thread, NULL);
	r->running = false;
}
