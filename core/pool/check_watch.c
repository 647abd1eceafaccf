/* SPDX-License-Identifier: Apache-2.0 */
/* See check_watch.h. */
#include "core/pool/check_watch.h"

#include <stdlib.h>

static void on_bad_block(void *context, const struct memkv_key *key, uint64_t page, const char *why)
{
	struct check_watch *watch = context;

	pthread_mutex_lock(&watch->lock);
	if (!watch->left)
		watch->given.bad_block(watch->given.context, key, page, why);
	pthread_mutex_unlock(&watch->lock);
}

static int on_progress(void *context, uint64_t done, uint64_t total)
{
	struct check_watch *watch = context;
	int stop = 1;

	pthread_mutex_lock(&watch->lock);
	watch->told = watch->found;
	if (!watch->left)
		stop = watch->given.progress ? watch->given.progress(watch->given.context, done, total) : 0;
	pthread_mutex_unlock(&watch->lock);
	return stop;
}

struct check_watch *check_watch_new(const struct memkv_check_options *given)
{
	struct check_watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return NULL;
	watch->given = watch->seen = *given;
	watch->seen.bad_block = given->bad_block ? on_bad_block : NULL;
	watch->seen.progress = on_progress;
	watch->seen.context = watch;
	watch->users = 2;
	pthread_mutex_init(&watch->lock, NULL);
	return watch;
}

/* unlocks it */
static void drop(struct check_watch *watch, unsigned users)
{
	watch->users -= users;
	bool last = watch->users == 0;
	pthread_mutex_unlock(&watch->lock);
	if (!last)
		return;
	pthread_mutex_destroy(&watch->lock);
	free(watch);
}

void check_watch_over(struct check_watch *watch)
{
	pthread_mutex_lock(&watch->lock);
	watch->told = watch->found;
	drop(watch, 1);
}

void check_watch_leave(struct check_watch *watch, struct memkv_check_report *report, bool begun)
{
	pthread_mutex_lock(&watch->lock);
	*report = watch->told;
	watch->left = true;
	drop(watch, begun ? 1 : 2);
}
