/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that return by a deadline.
 *
 * get: into the deputy's memory; what was read and verified in time is copied to the caller's, which nothing else ever
 * writes to.
 *
 * put: out of the deputy's memory, so the caller's is its own again when the call returns; a write that is still on the way
 * then may send whatever lies in its memory at that moment, and so it does when it was cancelled: memory that a write
 * failed on is left to the kernel and replaced by other pages.  A put whose caller leaves before a byte of the block was
 * written is called off; of a later one the outcome is unknown: its deputy waits for it, publishes the block if it lands,
 * and gives its place up if not.  Nothing is written there twice.
 *
 * chores, which are all other calls: likewise with copies of what they are given and of what they answer.  The deputy passes
 * the gate when it begins.
 *
 * open and close: in threads of their own, which end when the medium lets them.
 */
#include "core/pool/deadline.h"
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/base/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static uint64_t deadline_of(uint64_t deadline_us)
{
	uint64_t now = clock_monotonic_us();

	return deadline_us > UINT64_MAX - now ? UINT64_MAX : now + deadline_us;
}

/* ---- get ---- */

static void make_get(struct memkv_pool *pool, struct lane *lane, uint8_t *memory, struct errand *e)
{
	get_block(pool, lane, &e->key, e->by_locator ? &e->at : NULL, memory, e->length, e->flags, &e->answer);
}

static int64_t get_late(struct memkv_pool *pool)
{
	count(&pool->counters.miss_timedout, 1);
	return MEMKV_TIMEDOUT;
}

static int64_t take_answer(struct memkv_pool *pool, const struct deputy *d, void *buffer,
			   const struct memkv_get_options *o, struct memkv_get_options *given)
{
	const struct get_answer *answer = &d->errand.answer;

	if (d->errand.result)
		return fail(d->errand.result, "%s", d->errand.detail);
	get_count(pool, answer);
	if (answer->result <= 0)
		return answer->result;
	memcpy(buffer, d->memory, (size_t)answer->result);
	get_meta(&answer->header, o, given);
	return answer->result;
}

int64_t deadline_get(struct memkv_pool *pool, const struct memkv_key *key, const struct located *at, void *buffer,
		     size_t length, const struct memkv_get_options *o, struct memkv_get_options *given)
{
	uint64_t until = deadline_of(o->deadline_us);
	struct deputy *d;
	int err = deputy_take(&pool->deputies, until, &d);

	if (err == MEMKV_TIMEDOUT)
		return get_late(pool);
	if (err)
		return fail(err, "%s: no thread for a call with a deadline: %s", pool->media->path, strerror(-err));
	d->errand.make = make_get;
	d->errand.key = *key;
	d->errand.by_locator = at != NULL;
	if (at)
		d->errand.at = *at;
	d->errand.length = min_u64(length, deputy_memory_bytes(pool)); /* more has no block: as good as the exact number */
	d->errand.flags = o->flags;
	if (deputy_send(d, until) != DEPUTY_BACK)
		return get_late(pool);
	int64_t result = take_answer(pool, d, buffer, o, given);
	deputy_release(d);
	return result;
}

/* ---- put ---- */

static void make_put(struct memkv_pool *pool, struct lane *lane, uint8_t *memory, struct errand *e)
{
	e->result = put_block(pool, lane, &e->key, memory, e->length, &e->put, &e->gate);
	/* the pages go to whoever may still be sending them; fresh ones come */
	if (e->result < 0 && atomic_load(&e->gate) == GATE_PASSED)
		(void)madvise(memory, deputy_memory_bytes(pool), MADV_DONTNEED);
}

static void note_put(struct errand *e, const struct memkv_key *key, uint64_t length, const struct memkv_put_options *o)
{
	e->make = make_put;
	e->key = *key;
	e->length = length;
	e->put = *o;
	if (o->session)
		e->put.session = memcpy(e->session, o->session, strlen(o->session) + 1);
	if (o->meta)
		e->put.meta = memcpy(e->meta, o->meta, o->meta_length);
	if (o->parent) {
		e->parent = *o->parent;
		e->put.parent = &e->parent;
	}
}

int deadline_put(struct memkv_pool *pool, const struct memkv_key *key, const void *data, size_t length,
		 const struct memkv_put_options *o)
{
	uint64_t until = deadline_of(o->deadline_us);
	struct deputy *d;
	int err = deputy_take(&pool->deputies, until, &d);

	if (err)
		return err;
	err = deputy_memory(d);
	if (err) {
		deputy_release(d);
		return err;
	}
	note_put(&d->errand, key, length, o);
	memcpy(d->memory, data, length);
	switch (deputy_send(d, until)) {
	case DEPUTY_CALLED_OFF:
		return MEMKV_TIMEDOUT;
	case DEPUTY_LEFT:
		return MEMKV_UNKNOWN;
	case DEPUTY_BACK:
		break;
	}
	err = d->errand.result;
	if (err)
		fail(err, "%s", d->errand.detail);
	deputy_release(d);
	return err;
}

/* ---- all others ---- */

static void make_chore(struct memkv_pool *pool, struct lane *lane, uint8_t *memory, struct errand *e)
{
	(void)memory;
	if (!gate_pass(&e->gate))
		return;
	e->chore->lane = lane;
	e->chore->result = e->chore->make(pool, e->chore);
}

static struct chore *copy_chore(const struct chore *given)
{
	size_t in_bytes = round_up(given->in_bytes, sizeof(uint64_t));
	struct chore *chore = calloc(1, sizeof(*chore) + in_bytes + given->out_bytes);

	if (!chore)
		return NULL;
	*chore = *given;
	if (given->in_bytes)
		chore->in = memcpy(chore + 1, given->in, given->in_bytes);
	if (given->out)
		chore->out = (uint8_t *)(chore + 1) + in_bytes;
	return chore;
}

static int64_t chore_late(const struct memkv_pool *pool, const struct chore *chore, bool begun)
{
	if (begun && chore->changes)
		return fail(MEMKV_UNKNOWN, "%s: the medium did not answer by the deadline: what was asked for may still take place, or not",
			    pool->media->path);
	return fail(MEMKV_TIMEDOUT, "%s: the medium did not answer by the deadline%s", pool->media->path,
		    chore->changes ? "; nothing was changed" : "");
}

/* what came of a chore that was made in time */
static int64_t take_chore(struct errand *e, struct chore *given)
{
	const struct chore *made = e->chore;

	if (e->result)
		return fail(e->result, "%s", e->detail);
	if (made->result < 0)
		fail((int)made->result, "%s", e->detail);
	if (given->out)
		memcpy(given->out, made->out, given->out_bytes);
	return made->result;
}

int64_t deadline_make(struct memkv_pool *pool, struct chore *chore, uint64_t deadline_us)
{
	uint64_t until = deadline_of(deadline_us);
	struct deputy *d;

	if (!deadline_us)
		return chore->make(pool, chore);
	struct chore *copy = copy_chore(chore);
	int err = copy ? deputy_take(&pool->deputies, until, &d) : -ENOMEM;
	if (err) {
		free(copy);
		return err == MEMKV_TIMEDOUT ? chore_late(pool, chore, false)
					     : fail(err, "%s: no memory or no thread for a call with a deadline: %s", pool->media->path,
						    strerror(-err));
	}
	d->errand.make = make_chore;
	d->errand.chore = copy;
	enum deputy_back back = deputy_send(d, until);
	chore->begun = back == DEPUTY_LEFT || (back == DEPUTY_BACK && !d->errand.result);
	if (back != DEPUTY_BACK)
		return chore_late(pool, chore, back == DEPUTY_LEFT);
	int64_t result = take_chore(&d->errand, chore);
	deputy_release(d);
	free(copy);
	return result;
}

/* ---- open and close ---- */

/* a call in a thread of its own, which may outlive its caller's patience */
struct aside {
	pthread_mutex_t lock;
	pthread_cond_t over;
	bool done, left;
	void (*make)(struct aside *aside);
	void (*drop)(struct aside *aside); /* it was left: what it brought is nobody's */
};

static void *go_aside(void *argument)
{
	struct aside *aside = argument;

	aside->make(aside);
	pthread_mutex_lock(&aside->lock);
	aside->done = true;
	bool left = aside->left;
	pthread_cond_signal(&aside->over);
	pthread_mutex_unlock(&aside->lock);
	if (left)
		aside->drop(aside);
	return NULL;
}

static void aside_fini(struct aside *aside)
{
	pthread_mutex_destroy(&aside->lock);
	pthread_cond_destroy(&aside->over);
}

/* 0: made; MEMKV_TIMEDOUT: it goes on, and is not the caller's any more; -errno: no thread, nothing was made */
static int run_aside(struct aside *aside, uint64_t until_us)
{
	pthread_t thread;
	bool in_time = true;

	pthread_mutex_init(&aside->lock, NULL);
	deputy_cond_open(&aside->over);
	int err = worker_start(&thread, go_aside, aside);
	if (err) {
		aside_fini(aside);
		return err;
	}
	pthread_mutex_lock(&aside->lock);
	while (!aside->done && in_time)
		in_time = deputy_wait(&aside->over, &aside->lock, until_us);
	bool done = aside->done;
	aside->left = !done;
	pthread_mutex_unlock(&aside->lock);
	if (!done) {
		pthread_detach(thread);
		return MEMKV_TIMEDOUT;
	}
	pthread_join(thread, NULL);
	aside_fini(aside);
	return 0;
}

enum { OPENINGS_LATE_MAX = 4 };

static atomic_uint openings_late;

struct opening {
	struct aside aside;
	pool_opener open;
	char *path;
	struct memkv_pool_options o;
	struct memkv_pool *pool;
	int result;
	char detail[DEPUTY_DETAIL];
};

static void make_opening(struct aside *aside)
{
	struct opening *opening = CONTAINER_OF(aside, struct opening, aside);

	opening->result = opening->open(opening->path, &opening->o, &opening->pool);
	snprintf(opening->detail, sizeof(opening->detail), "%s", memkv_error_detail());
}

static void free_opening(struct opening *opening)
{
	free(opening->path);
	free(opening);
}

static void drop_opening(struct aside *aside)
{
	struct opening *opening = CONTAINER_OF(aside, struct opening, aside);

	if (opening->result == 0)
		memkv_pool_close(opening->pool);
	aside_fini(aside);
	free_opening(opening);
	atomic_fetch_sub(&openings_late, 1);
}

int deadline_open(pool_opener open, const char *path, const struct memkv_pool_options *o, struct memkv_pool **pool)
{
	uint64_t until = deadline_of(o->deadline_us);
	struct opening *opening;

	if (atomic_fetch_add(&openings_late, 1) >= OPENINGS_LATE_MAX) {
		atomic_fetch_sub(&openings_late, 1);
		return fail(MEMKV_TIMEDOUT, "%s: not opened: %d earlier attempts of this process still wait for their media", path,
			    OPENINGS_LATE_MAX);
	}
	opening = calloc(1, sizeof(*opening));
	if (opening)
		*opening = (struct opening){.aside = {.make = make_opening, .drop = drop_opening},
					    .open = open,
					    .path = strdup(path),
					    .o = *o};
	int err = opening && opening->path ? run_aside(&opening->aside, until) : -ENOMEM;
	if (err == MEMKV_TIMEDOUT)
		return fail(err, "%s: the medium did not answer in time; the pool was not opened", path);
	atomic_fetch_sub(&openings_late, 1);
	if (!err && opening->result)
		err = fail(opening->result, "%s", opening->detail);
	else if (err)
		fail(err, "%s: cannot be opened by a deadline: %s", path, strerror(-err));
	else
		*pool = opening->pool;
	if (opening)
		free_opening(opening);
	return err;
}

struct closing {
	struct aside aside;
	void (*close)(struct memkv_pool *pool);
	struct memkv_pool *pool;
};

static void make_closing(struct aside *aside)
{
	struct closing *closing = CONTAINER_OF(aside, struct closing, aside);

	closing->close(closing->pool);
}

static void drop_closing(struct aside *aside)
{
	aside_fini(aside);
	free(CONTAINER_OF(aside, struct closing, aside));
}

void deadline_close(void (*close)(struct memkv_pool *pool), struct memkv_pool *pool)
{
	struct closing *closing = rejoin_may_hang(pool) ? calloc(1, sizeof(*closing)) : NULL;
	int err = -ENOMEM;

	if (closing) {
		*closing = (struct closing){
			.aside = {.make = make_closing, .drop = drop_closing}, .close = close, .pool = pool};
		err = run_aside(&closing->aside, deadline_of(CLOSE_WAIT_US));
	}
	if (err && err != MEMKV_TIMEDOUT)
		close(pool); /* no thread is to be had: then it takes as long as it takes */
	if (err != MEMKV_TIMEDOUT)
		free(closing);
}
