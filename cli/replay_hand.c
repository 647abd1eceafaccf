/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handing out requests, and the mapping in which that happens.
 *
 *   unit_owner   FREE --take--> agent + 1 --last request finished--> DONE
 *                               agent + 1 --death, requests left--> RETURNED --take--> agent + 1
 *                               agent + 1 --death, none left------> DONE
 *
 * Spread: a request gets the next ticket when it is taken.  It is not taken while ticket - (smallest ticket in
 * progress) would exceed 2 * agents; so no two requests in progress are ever further apart.  For a trace of single
 * requests the ticket is the request's number.
 */
#include "cli/replay_shared.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static size_t aligned(size_t bytes)
{
	return (bytes + 63) & ~(size_t)63;
}

static int init_mutex(pthread_mutex_t *mutex)
{
	pthread_mutexattr_t attributes;
	int rc = pthread_mutexattr_init(&attributes);

	if (rc)
		return -rc;
	rc = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	if (!rc)
		rc = pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	if (!rc)
		rc = pthread_mutex_init(mutex, &attributes);
	pthread_mutexattr_destroy(&attributes);
	return -rc;
}

int replay_shared_open(const struct replay_plan *plan, struct replay_shared **shared)
{
	size_t agents_at = aligned(sizeof(struct replay_shared));
	size_t owner_at = agents_at + aligned(plan->agents * sizeof(struct replay_agent));
	size_t next_at = owner_at + aligned(plan->trace.units * sizeof(uint32_t));
	size_t acknowledged_at = next_at + aligned(plan->trace.units * sizeof(uint32_t));
	size_t bytes = acknowledged_at + aligned(plan->trace.blocks);

	char *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (base == MAP_FAILED)
		return -errno;
	struct replay_shared *made = (void *)base;
	made->agent = (void *)(base + agents_at);
	made->unit_owner = (void *)(base + owner_at);
	made->unit_next = (void *)(base + next_at);
	made->acknowledged = (void *)(base + acknowledged_at);
	made->bytes = bytes;
	atomic_store(&made->hold, UINT64_MAX);
	for (uint32_t a = 0; a < plan->agents; a++)
		made->agent[a].ticket = REPLAY_NO_TICKET;
	int rc = init_mutex(&made->mutex);
	if (rc) {
		munmap(base, bytes);
		return rc;
	}
	*shared = made;
	return 0;
}

void replay_shared_close(struct replay_shared *shared)
{
	if (shared)
		munmap(shared, shared->bytes);
}

void replay_counts_add(struct replay_counts *into, const struct replay_counts *from)
{
	uint64_t *sum = (void *)into;
	const uint64_t *one = (const void *)from;

	_Static_assert(sizeof(*into) % sizeof(*sum) == 0, "counts are uint64_t only");
	for (size_t i = 0; i < sizeof(*into) / sizeof(*sum); i++)
		sum[i] += one[i];
}

void replay_fail(struct replay_failure *failure, int result, const char *text)
{
	if (failure->result)
		return;
	snprintf(failure->text, sizeof(failure->text), "%s", text);
	failure->result = result;
}

static void lock(struct replay_shared *shared)
{
	if (pthread_mutex_lock(&shared->mutex) == EOWNERDEAD)
		pthread_mutex_consistent(&shared->mutex);
}

static void unlock(struct replay_shared *shared)
{
	pthread_mutex_unlock(&shared->mutex);
}

static uint64_t slowest_ticket(const struct replay_plan *plan, const struct replay_shared *shared)
{
	uint64_t slowest = REPLAY_NO_TICKET;

	for (uint32_t a = 0; a < plan->agents; a++)
		if (!shared->agent[a].gone && shared->agent[a].ticket < slowest)
			slowest = shared->agent[a].ticket;
	return slowest;
}

/* The unit that @agent goes on with or takes now, or -1. */
static int64_t pick_unit(const struct replay_plan *plan, struct replay_shared *shared, uint32_t agent)
{
	const struct trace *trace = &plan->trace;
	uint32_t held = shared->agent[agent].unit;

	if (shared->unit_owner[held] == agent + 1)
		return held;
	/* Only conversations are ever returned, so this is short, or has single requests to pass over. */
	for (uint32_t u = shared->floor; u < shared->cursor; u++)
		if (shared->unit_owner[u] == UNIT_RETURNED)
			return u;
	/* A death between taking a unit and moving the cursor leaves taken units at the cursor. */
	while (shared->cursor < trace->units && shared->unit_owner[shared->cursor] != UNIT_FREE)
		shared->cursor++;
	return shared->cursor < trace->units ? (int64_t)shared->cursor : -1;
}

static enum replay_take take_locked(const struct replay_plan *plan, struct replay_shared *shared, uint32_t agent,
				    uint32_t *request)
{
	const struct trace *trace = &plan->trace;
	uint64_t ticket = atomic_load(&shared->tickets), slowest = slowest_ticket(plan, shared);

	while (shared->floor < trace->units && shared->unit_owner[shared->floor] == UNIT_DONE)
		shared->floor++;
	/* Agents stay until all is done: a conversation may yet be returned. */
	if (shared->floor == trace->units)
		return TAKE_END;
	if (ticket >= atomic_load(&shared->hold))
		return TAKE_WAIT;
	if (slowest != REPLAY_NO_TICKET && ticket > slowest && ticket - slowest > 2 * (uint64_t)plan->agents)
		return TAKE_WAIT;
	int64_t unit = pick_unit(plan, shared, agent);
	if (unit < 0)
		return TAKE_WAIT;

	/* In this order: whatever a death leaves undone, the owner is known and no request is handed out twice
	 * but the one that was never begun. */
	shared->agent[agent].unit = (uint32_t)unit;
	shared->agent[agent].ticket = ticket;
	shared->unit_owner[unit] = agent + 1;
	*request = trace->unit[unit].first + shared->unit_next[unit];
	shared->unit_next[unit]++;
	if (unit == shared->cursor)
		shared->cursor++;
	atomic_store(&shared->tickets, ticket + 1);
	return TAKE_REQUEST;
}

enum replay_take replay_take(const struct replay_plan *plan, struct replay_shared *shared, uint32_t agent,
			     uint32_t *request)
{
	if (atomic_load(&shared->stop))
		return TAKE_END;
	lock(shared);
	enum replay_take take = take_locked(plan, shared, agent, request);
	unlock(shared);
	return take;
}

void replay_finish(const struct replay_plan *plan, struct replay_shared *shared, uint32_t agent)
{
	lock(shared);
	uint32_t unit = shared->agent[agent].unit;
	if (shared->unit_next[unit] >= plan->trace.unit[unit].count)
		shared->unit_owner[unit] = UNIT_DONE;
	shared->agent[agent].ticket = REPLAY_NO_TICKET;
	unlock(shared);
}

void replay_bury(const struct replay_plan *plan, struct replay_shared *shared, uint32_t agent)
{
	lock(shared);
	for (uint32_t u = shared->floor; u < plan->trace.units; u++) {
		if (shared->unit_owner[u] != agent + 1)
			continue;
		bool left = shared->unit_next[u] < plan->trace.unit[u].count;
		shared->unit_owner[u] = left ? UNIT_RETURNED : UNIT_DONE;
	}
	shared->agent[agent].gone = true;
	shared->agent[agent].ticket = REPLAY_NO_TICKET;
	unlock(shared);
}
