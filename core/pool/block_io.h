/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading and writing one block at one place, as stepped operations: `step` is called when nothing of the operation
 * is in flight; it starts I/O on the lane and returns OP_WAIT, or it is finished.  Plain calls drive one operation
 * (op_run); queues drive many.
 */
#ifndef MEMKV_POOL_BLOCK_IO_H
#define MEMKV_POOL_BLOCK_IO_H

#include "core/pool/handle.h"

enum op_progress { OP_WAIT, OP_DONE };

struct op {
	enum op_progress (*step)(struct op *op);
	struct lane *lane;
};

/* op_run() - drive an operation to its end in this thread */
void op_run(struct op *op);

/* What became of a read.  Each but BLOCK_GOOD is a miss with its own cause. */
enum block_verdict {
	BLOCK_GOOD,
	BLOCK_IO,	/* the medium said no */
	BLOCK_MISMATCH, /* no such block there (any more), or damaged bytes */
	BLOCK_EXPIRED,
	BLOCK_REMOVED,
	BLOCK_MOVING, /* a copy that does not count yet; the block is where it was */
	BLOCK_SIZE, /* the right block, but not the caller's size */
};

/*
 * Read a block: header and payload as one range, straight into the caller's memory where the medium reaches it.
 * Order: read, verify header, verify every chunk, and only then look at the life word: what was removed before the
 * read began is never returned.
 *
 * Where the tables are mirrored, the mirror is not asked: the entry's block is read from the medium, together with the
 * block where it can be guessed, else as soon as the block's header has landed and tells which.  By the index (@by_index)
 * nothing but the block is read: it was there when the index learnt of it, its bytes are as whole as ever, and whether it was
 * removed since is as known as the follower knows.
 */
struct block_read {
	struct op op;
	struct memkv_pool *pool;
	const uint8_t *key;
	struct place place;
	uint8_t *to;	 /* payload; NULL: header only */
	uint64_t length; /* of @to */
	bool upto;	 /* @length is an upper bound */
	bool any_time;	 /* expired blocks too (moves, checks) */
	bool by_index;	 /* MEMKV_GET_BY_INDEX: the index is believed that the block lives */
	/* results */
	enum block_verdict verdict;
	struct block_header header; /* points into the lane */
	bool sent; /* good, but its payload may not have landed: only what was read and verified is known to be there */
	/* inside */
	int state;
	uint64_t done; /* payload bytes in @to, when staged */
	uint32_t chunk_bytes;	 /* of a payload of the expected length: to digest what lands */
	uint64_t digested[4];	 /* bitmap: which of lane->digests are there */
	uint32_t cells;		 /* shared devices: so many slot cells are read into lane->cells */
	bool table_asked;	 /* lane->table holds the table's header, or will when the lane is idle */
	bool life_asked;	 /* lane->life holds, or will when the lane is idle: */
	uint64_t life_block;	 /* this part of the medium */
	enum block_verdict otherwise; /* the verdict, should the block turn out to be alive */
};

/* block_kept() - the verdict was BLOCK_EXPIRED: is the block pinned, so that it is there all the same? */
bool block_kept(const struct block_read *read);

void block_read_init(struct block_read *read, struct memkv_pool *pool, struct lane *lane, const uint8_t *key,
		     struct place place);

/*
 * block_read_ranges() - pieces of a block: header first, then the chunks that the ranges touch, each verified before
 * its bytes are handed over; the life word last, as for whole reads.  @read is initialised, @to NULL.  Waits.
 */
enum block_verdict block_read_ranges(struct block_read *read, const struct memkv_range *ranges, size_t count);

/* block_read_bytes() - likewise, all of it, piece by piece, and it goes nowhere: is it there?  @read is initialised, @to NULL.  Waits. */
enum block_verdict block_read_bytes(struct block_read *read);

/*
 * Write a block: header (encoded in lane->header) and payload as one range, straight from the caller's memory where
 * the medium reaches it.
 */
struct block_write {
	struct op op;
	uint64_t page; /* from the start of the pool */
	uint32_t header_pages;
	const uint8_t *from;
	uint64_t length;
	bool header_later; /* the caller joins the header itself, while the payload is on the way */
	int result; /* 0 or -errno */
	/* inside */
	int state;
	uint64_t done; /* payload bytes handed out, when staged */
};

void block_write_init(struct block_write *write, struct lane *lane, uint64_t page, uint32_t header_pages,
		      const void *from, uint64_t length);

/* block_write_direct() - can the medium read the payload where it is? */
bool block_write_direct(const struct lane *lane, const void *from);

/* heat_touch() - the block at @place was used; heat_cool() - lower it; heat_read() */
void heat_touch(const struct memkv_pool *pool, struct place place);
unsigned heat_read(const struct memkv_pool *pool, uint64_t segment, uint32_t page_in_segment);
void heat_set(const struct memkv_pool *pool, uint64_t segment, uint32_t page_in_segment, unsigned heat);
enum { HEAT_MAX = 3 };

#endif
