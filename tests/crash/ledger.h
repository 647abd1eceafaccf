/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was asked of a pool and what it answered, so that for each moment it can be told what a look at the pool may
 * find.  Blocks are numbers; a block's bytes follow from its number and a version that each put counts up.
 *
 * What a power cut may take (promise 2): of what was acknowledged only what no durable call vouches for.
 *   durable put acknowledged      that version, until it is removed, replaced or evicted
 *   remove acknowledged           gone, for good
 *   plain put acknowledged        that version or what was there before
 *   plain replacing put           that version, what was there before, or neither: the old one goes by a removal
 *   a call on the way             what was there before, or what it asks for; a durable replace: never neither
 */
#ifndef MEMKV_TESTS_CRASH_LEDGER_H
#define MEMKV_TESTS_CRASH_LEDGER_H

#include <memkv/memkv.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { BLOCKS_MAX = 1600, BLOCK_BYTES = 8192, CALLS_MAX = 4096, VERSIONS_MAX = 64 };

enum call_kind { CALL_PUT, CALL_REMOVE, CALL_OTHER };

struct call {
	enum call_kind kind;
	uint32_t block, version;
	bool durable, replace;
	uint64_t begin, end;	      /* moments; end UINT64_MAX: it has not returned */
	int result;
	uint8_t live[BLOCKS_MAX / 8]; /* who was found when it had returned */
};

struct ledger {
	uint64_t (*now)(void *context);
	void *context;
	struct call *calls;
	uint32_t count;
	uint32_t versions[BLOCKS_MAX]; /* last one that was handed out */
	uint32_t blocks;	       /* numbers in use are below */
};

void ledger_init(struct ledger *l, uint64_t (*now)(void *context), void *context);
void ledger_fini(struct ledger *l);

/* the call is about to be made; returns its number */
uint32_t ledger_begin(struct ledger *l, enum call_kind kind, uint32_t block, bool durable, bool replace);
/* it has returned @result */
void ledger_end(struct ledger *l, uint32_t call, int result);
/* who is found now, after @call; moves and evictions show here */
void ledger_observe(struct ledger *l, uint32_t call, struct memkv_pool *pool);

/* ledger_observe_index() - the same by what the index says, no block is read */
void ledger_observe_index(struct ledger *l, uint32_t call, struct memkv_pool *pool);

/* what may be found of a block */
struct expectation {
	bool absent;			      /* it may be a miss */
	bool versions[VERSIONS_MAX];	      /* these bytes may be there */
};
/* after a power cut at @moment; @kill: after a kill, where what was acknowledged stays, durable or not */
void ledger_expect(const struct ledger *l, uint32_t block, uint64_t moment, bool kill, struct expectation *x);

/* ---- blocks ---- */

void block_name(uint32_t block, struct memkv_key *key);
size_t block_bytes(uint32_t block, uint32_t version, uint8_t *to);
/* block_look() - 0 a miss, version + 1 when it is exactly that; -1: wrong bytes */
int block_look(struct memkv_pool *pool, uint32_t block, uint32_t newest);

/* FAIL - say why, with the run's seed and moment in it, and end with 1 */
_Noreturn void crash_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* crash_context() - what crash_fail() says in front */
extern char crash_context[256];

uint64_t chance_next(uint64_t *state);
static inline uint64_t chance_below(uint64_t *state, uint64_t bound) { return chance_next(state) % bound; }

/* scratch_pool() - a pool made by memkv_pool_create(), as an image; free() it */
uint8_t *scratch_pool(const struct memkv_create_options *options, uint64_t *bytes);

#endif
