/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pool lives through while it is recorded: two agents that put (plain, durable), replace, remove and get at
 * chance on a pool that is nearly full, so that segments are sealed, emptied, opened anew and blocks move; they leave,
 * die in the middle of a segment, and come back.  A reader looks at all blocks after each call.
 *
 * More kinds of step go into the table in workload.c; what they promise goes into the ledger, or into a promise: a
 * check that a recovered pool must pass when the cut came at or behind its moment.
 */
#ifndef MEMKV_TESTS_CRASH_WORKLOAD_H
#define MEMKV_TESTS_CRASH_WORKLOAD_H

#include "disk.h"
#include "ledger.h"

enum { AGENTS = 2, DEAD_MAX = 64, PROMISES_MAX = 256, NEW_BLOCKS = 100, OLD_BLOCKS = 200 };

struct promise {
	uint64_t from, until; /* moments between which a cut must find it kept */
	void (*check)(void *context, struct memkv_pool *pool);
	void *context;
};

struct run {
	struct disk *disk;
	struct journal journal;
	struct ledger ledger;
	uint64_t chance;
	struct memkv_pool *agents[AGENTS];
	struct memkv_pool *observer;
	struct memkv_pool *dead[DEAD_MAX]; /* killed: never touched again */
	uint32_t dead_count;
	struct promise promises[PROMISES_MAX];
	uint32_t promise_count;
	uint8_t *begin; /* the image before the first event */
	struct memkv_counters sum; /* of all agents that were */
	uint32_t made[16];	   /* steps, by kind */
};

/* run_record() - a pool, filled, and @steps steps on it, recorded */
void run_record(struct run *run, uint64_t seed, unsigned steps, bool device);
void run_free(struct run *run);
/* run_promise() - for steps: this must hold after any cut from now on */
void run_promise(struct run *run, void (*check)(void *context, struct memkv_pool *pool), void *context);

/* crash_open() - a handle without a thread of its own, on one lane */
int crash_open(const struct disk *disk, unsigned flags, struct memkv_pool **pool);
/* crash_put() - version @version of a block */
int crash_put(struct memkv_pool *pool, uint32_t block, uint32_t version, uint32_t flags);

#endif
