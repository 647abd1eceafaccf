/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is done with a damaged pool, and what must hold.
 *
 * Every seed: attach, ls, match, get, get_ranges, stat, check.
 *   exact   - what a get returns is the block's last version, byte for byte; a removed key is a miss for ever
 *   bounded - a block that is lost had bytes of its own damaged that nothing else tells: header, payload or life word.
 *	       One flipped bit loses nothing at all unless it lies in a block's header or payload
 *   found   - check names every lost block, or counts damage for it
 * A share of the seeds also writes: new blocks, a removal, then so many blocks that every segment has to be used
 * again; at the end check is content with everything that was written anew.
 * Another share repairs, and looks again: nothing more is lost, what was removed can be put, and a check finds nothing that
 * the repair has not named as left.
 */
#ifndef MEMKV_FLIP_VISIT_H
#define MEMKV_FLIP_VISIT_H

#include "tests/flip/hurt.h"

enum progress { PROGRESS_NONE, PROGRESS_RUNNING, PROGRESS_DONE };

/* of one seed; lies in memory that is shared with the process that sums up */
struct outcome {
	enum progress progress;
	enum spot spot;
	enum hurt_kind kind;
	bool idle, writing, found;
	uint32_t touched; /* live blocks that had a byte changed in their entry, header or payload */
	uint32_t lost;	  /* of them, how many cannot be read any more */
	uint32_t hidden;  /* lost blocks that no check can know of */
	uint32_t wrong;	  /* answers with wrong bytes */
	uint32_t faults;  /* violations, wrong bytes included */
	char why[240];	  /* the first of them */
};

struct visit {
	const struct base *base;
	const struct hurt *hurt;
	const char *path;
	int fd;
	uint64_t seed;
	bool verbose, under; /* @under: the damage happens under a handle that writes */
	struct outcome *out;
	bool *lost, *listed, *named; /* of every block of the base */
	uint32_t fresh;		     /* blocks that the visit itself has put: numbers from base->block_count */
	uint64_t misses;	     /* answered by get */
	uint64_t evicted; /* by the handle that looks: a pool whose ages or clock are damaged may reclaim for a few puts */
};

void fault(struct visit *v, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* visit_look() - everything that reads, on an open pool */
void visit_look(struct visit *v, struct memkv_pool *pool);
/* visit_get() - one block of the base or a fresh one; true when it was returned, and right */
bool visit_get(struct visit *v, struct memkv_pool *pool, uint32_t number);
struct memkv_pool *visit_open(struct visit *v, uint32_t flags);
/* visit_generation() - of a segment, as its table tells now, damaged or not; 0: it is being emptied */
uint64_t visit_generation(const struct visit *v, uint64_t segment);
/* visit_press() - by an agent that comes later: put until every segment was used again, then see that all is well */
void visit_press(struct visit *v);
/* visit_pair() - two agents, and damage to the owner word of the segment that one of them writes to, of its own choice
 */
void visit_pair(struct visit *v);
/* visit_read() and visit_write() - a whole iteration; the damage is done by them */
void visit_read(struct visit *v);
void visit_repair(struct visit *v);
void visit_write(struct visit *v);

#endif
