/* SPDX-License-Identifier: Apache-2.0 */
/* See host_drain.h. */
#include "core/pool/host_drain.h"
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/base/log.h"
#include "core/base/options_take.h"
#include "core/pool/handle.h"

#include <memkv/host.h>

#include <errno.h>
#include <stddef.h>

enum { LOOK_US = 5000, RING_US = 250000 };

void host_drain_init(struct host_drain *drain)
{
	*drain = (struct host_drain){0};
	pthread_mutex_init(&drain->ask_lock, NULL);
	pthread_mutex_init(&drain->lock, NULL);
}

void host_drain_fini(struct host_drain *drain)
{
	pthread_mutex_destroy(&drain->ask_lock);
	pthread_mutex_destroy(&drain->lock);
}

/* where agents meet in one mapping, and a slot's lock proves that its holder lives */
static bool possible(const struct memkv_pool *pool)
{
	return pool->media->caps.mappable && !pool->control.shared;
}

static void ring(const struct control *c)
{
	word_add(control_bell(c), 1);
	control_publish(c, control_bell(c), 8);
}

/* under lock.  In copy 0 alone, as a leave is told: at each moment one copy is whole */
static void write_cell(struct memkv_pool *pool)
{
	slot_write_copy(&pool->control, &pool->slot.cell, 0);
	ring(&pool->control);
}

static void tell(struct memkv_pool *pool, enum slot_drain state)
{
	pool->slot.cell.drain = state;
	write_cell(pool);
}

/* ---- who is asked; under lock ---- */

static void begin(struct memkv_pool *pool)
{
	if (pool->drain.wanted)
		return;
	pool->drain.wanted = true;
	tell(pool, SLOT_DRAIN_UNDER_WAY);
	log_say("%s: this agent (%u@%u) is drained: it puts no more", pool->path, pool->slot.number, pool->slot.epoch);
}

static void go_on(struct memkv_pool *pool)
{
	if (pool->drain.wanted && pool->slot.cell.drain == SLOT_DRAIN_UNDER_WAY && room_give_back(&pool->room))
		tell(pool, SLOT_DRAIN_DONE);
}

static void take_back(struct memkv_pool *pool)
{
	if (!pool->drain.wanted || !room_reopen(&pool->room))
		return;
	pool->drain.wanted = false;
	tell(pool, SLOT_DRAIN_NONE);
	log_say("%s: this agent (%u@%u) puts again", pool->path, pool->slot.number, pool->slot.epoch);
}

static bool asks_us(const struct memkv_pool *pool, uint32_t n, struct slot_cell *cell)
{
	const struct control *c = &pool->control;

	return n != pool->slot.number && slot_read(c, n, cell) != CHECK_BAD && cell->state == SLOT_ACTIVE && cell->ask &&
	       cell->ask_slot == pool->slot.number && cell->ask_epoch == pool->slot.epoch && slot_locked(c, n);
}

static void listen(struct memkv_pool *pool)
{
	struct slot_cell cell;

	for (uint32_t n = 0; n < pool->sb.geo.slots; n++) {
		if (!asks_us(pool, n, &cell))
			continue;
		if (cell.ask == SLOT_ASK_DRAIN)
			begin(pool);
		else if (cell.ask == SLOT_ASK_UNDO)
			take_back(pool);
	}
}

void host_drain_tend(struct memkv_pool *pool)
{
	struct host_drain *d = &pool->drain;

	if (pool->read_only || !pool->slot.epoch || !possible(pool) || pthread_mutex_trylock(&d->lock))
		return;
	uint64_t bell = word_load(control_bell(&pool->control));
	if (bell != d->bell)
		listen(pool);
	d->bell = bell;
	go_on(pool);
	pthread_mutex_unlock(&d->lock);
}

void host_drain_attached(struct memkv_pool *pool)
{
	struct host_drain *d = &pool->drain;

	pthread_mutex_lock(&d->lock);
	d->bell = word_load(control_bell(&pool->control)) - 1;
	if (d->wanted) {
		tell(pool, SLOT_DRAIN_UNDER_WAY);
		go_on(pool);
	}
	pthread_mutex_unlock(&d->lock);
}

/* ---- who asks ---- */

struct asking {
	struct memkv_pool *pool;
	uint32_t slot, epoch;
	bool undo;
	struct slot_cell cell; /* of the one that is asked, as seen last */
};

static int check(const struct asking *a, bool dry)
{
	const struct memkv_pool *pool = a->pool;
	const char *path = pool->media->path;

	if (a->slot >= pool->sb.geo.slots || a->epoch == 0)
		return MEMKV_MISS;
	if (pool->control.shared)
		return fail(MEMKV_CONFLICT, "%s was made with --share: agents there are not drained yet; stop the process: what it owns others "
					    "take over as they need it", path);
	if (!possible(pool))
		return fail(MEMKV_CONFLICT, "%s has one writing agent at a time, so nobody could take what it gives back; stop the process: it "
					    "leaves nothing open", path);
	if (pool->read_only && !dry)
		return fail(MEMKV_READ_ONLY, "%s was opened read-only; to drain an agent it must be open for writing", path);
	return 0;
}

static bool is_me(const struct asking *a)
{
	return a->slot == a->pool->slot.number && a->epoch == a->pool->slot.epoch;
}

/*
 * MEMKV_MISS; 0: it is gone; 1: it has done it; -EAGAIN: it has not; -EIO: that cannot be told.  What it tells of that stands in copy 0 alone; while that
 * is being written the other one says who it is, and nothing else.
 */
static int look(struct asking *a)
{
	const struct control *c = &a->pool->control;
	bool known;

	if (slot_read_by(c, a->slot, a->epoch, &a->cell) == CHECK_BAD)
		return fail(-EIO, "%s: whose slot %u is cannot be told: what says so is damaged; memkv pool check says more",
			    a->pool->media->path, a->slot);
	if (a->cell.epoch < a->epoch)
		return MEMKV_MISS;
	if (!is_me(a) && (slot_gone(c, a->slot, a->epoch) || a->cell.state == SLOT_LEFT))
		return 0;
	if (slot_read_copy(c, a->slot, 0, &a->cell, &known) == CHECK_BAD || !known || a->cell.epoch != a->epoch)
		return -EAGAIN;
	return a->cell.drain == (a->undo ? SLOT_DRAIN_NONE : SLOT_DRAIN_DONE) ? 1 : -EAGAIN;
}

/* 0: nothing is asked any more */
static void ask(const struct asking *a, enum slot_ask what)
{
	struct memkv_pool *pool = a->pool;
	struct slot_cell *cell = &pool->slot.cell;

	pthread_mutex_lock(&pool->drain.lock);
	cell->ask = what;
	cell->ask_slot = what ? a->slot : 0;
	cell->ask_epoch = what ? a->epoch : 0;
	write_cell(pool);
	pthread_mutex_unlock(&pool->drain.lock);
}

/* this handle's own agent */
static void do_it(const struct asking *a)
{
	pthread_mutex_lock(&a->pool->drain.lock);
	if (a->undo)
		take_back(a->pool);
	else
		begin(a->pool);
	go_on(a->pool);
	pthread_mutex_unlock(&a->pool->drain.lock);
}

static int wait_for_it(struct asking *a, uint64_t wait_us)
{
	uint64_t from = clock_monotonic_us(), rung = from;
	int seen = look(a);

	while (seen == -EAGAIN && clock_monotonic_us() < from + wait_us) {
		if (is_me(a))
			do_it(a);
		pause_us(LOOK_US);
		seen = look(a);
		if (clock_monotonic_us() > rung + RING_US) {
			rung = clock_monotonic_us();
			ring(&a->pool->control);
		}
	}
	return seen;
}

static int not_in_time(const struct asking *a)
{
	const char *path = a->pool->media->path;

	if (a->cell.drain == SLOT_DRAIN_UNDER_WAY && !a->undo)
		return fail(MEMKV_IN_USE, "%s: %u@%u (process %u) puts no more, but puts that it had begun have not ended yet; it goes on by "
					  "itself, and memkv host ls says when it is drained", path, a->slot, a->epoch, a->cell.pid);
	return fail(MEMKV_IN_USE, "%s: %u@%u (process %u) does not answer, and was left as it is: it is stopped, or its handle has no thread "
				  "that follows the pool, or it runs a memkv that knows nothing of this (%s)", path, a->slot, a->epoch,
		    a->cell.pid, a->cell.version);
}

int memkv_host_drain(struct memkv_pool *pool, uint32_t slot, uint32_t epoch, const struct memkv_host_drain_options *options)
{
	bool dry = options && options->size >= offsetof(struct memkv_host_drain_options, wait_us) &&
		   options->flags & MEMKV_HOST_DRAIN_DRY_RUN;
	POOL_USE use = pool_enter(pool, dry ? ENTRY_CALL : ENTRY_WRITE);
	struct memkv_host_drain_options o = {.size = sizeof(o)};
	struct asking a = {.pool = pool, .slot = slot, .epoch = epoch};

	if (!use.inside)
		return use.result;
	int err = options_take(&o, sizeof(o), options, "host drain");
	if (!err)
		err = check(&a, dry);
	if (err)
		return err;
	a.undo = o.flags & MEMKV_HOST_DRAIN_UNDO;
	pthread_mutex_lock(&pool->drain.ask_lock);
	int seen = look(&a);
	if (seen == -EAGAIN && dry) {
		seen = 1;
	} else if (seen == -EAGAIN) {
		bool me = is_me(&a);
		if (!me)
			ask(&a, a.undo ? SLOT_ASK_UNDO : SLOT_ASK_DRAIN);
		seen = wait_for_it(&a, o.wait_us ? o.wait_us : MEMKV_HOST_DRAIN_WAIT_US);
		if (!me)
			ask(&a, SLOT_ASK_NOTHING);
	}
	pthread_mutex_unlock(&pool->drain.ask_lock);
	return seen == -EAGAIN ? not_in_time(&a) : seen;
}
