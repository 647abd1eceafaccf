/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entrance of a handle: what a pool is attached to may be given up and attached anew under a handle that is in use, but only
 * while nobody is inside (rejoin.h).
 *
 *   call    its cell: one more -> is the entrance open?  then it is inside; else one less, and it is answered without the pool
 *   rejoin  entrance shut -> are all cells zero?  each, once seen so, stays so but for moments: nobody is inside
 *
 * Both write first, then look, so one of two that meet sees the other.  A thread has a cell of its own as far as there are
 * cells, so that calls of different threads touch no memory in common; there is no lock, and nobody waits here: who finds the
 * entrance shut is told so at once.
 *
 * What is written is refused, though the entrance is open, when it could not be acknowledged: the medium has failed, or what is
 * attached can only be read for now.  Those who write are counted apart, so that the end of the last one can be seen while
 * others go on reading.
 *
 * A call that goes through the entrance again inside another one is counted twice, and may be refused the second time.
 */
#ifndef MEMKV_POOL_ENTRANCE_H
#define MEMKV_POOL_ENTRANCE_H

#include <stdatomic.h>
#include <stdbool.h>

struct memkv_pool;

enum { ENTRANCE_CELLS = 32, ENTRANCE_CELL_BYTES = 128 };

struct entrance_cell {
	atomic_uint inside, writing;
	char own_lines[ENTRANCE_CELL_BYTES - 2 * sizeof(atomic_uint)];
};

struct entrance {
	atomic_bool open;
	struct entrance_cell cells[ENTRANCE_CELLS];
};

/* what a call wants, and how it is answered when the entrance is shut */
enum entry_kind {
	ENTRY_GET,   /* MEMKV_MISS, counted as the medium's */
	ENTRY_LOOK,  /* 0: nothing is there */
	ENTRY_CALL,  /* MEMKV_FAILED, with a sentence */
	ENTRY_WRITE, /* likewise; also when nothing can be written for now */
	ENTRY_HOLD,  /* as ENTRY_GET; when nothing can be written for now -EAGAIN, with a sentence */
};

/* a call that is inside */
struct pool_use {
	struct entrance_cell *inside; /* NULL: it is not; @result is its answer */
	bool writing;
	int result;
};

/*
 * pool_enter() - a public call begins; MEMKV_EFORK and -EINVAL (NULL) as pool_usable()
 * pool_leave() - it ends; by POOL_USE at the end of its scope
 */
struct pool_use pool_enter(const struct memkv_pool *pool, enum entry_kind kind);
void pool_leave(struct pool_use *use);
#define POOL_USE __attribute__((cleanup(pool_leave))) struct pool_use

/* entrance_open(), entrance_shut(); entrance_empty() - is nobody inside?  entrance_unwritten() - is nobody who writes? */
void entrance_open(struct entrance *entrance);
void entrance_shut(struct entrance *entrance);
bool entrance_empty(const struct entrance *entrance);
bool entrance_unwritten(const struct entrance *entrance);

#endif
