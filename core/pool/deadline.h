/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that return by a deadline: see deputy.h for how. */
#ifndef MEMKV_POOL_DEADLINE_H
#define MEMKV_POOL_DEADLINE_H

#include "core/pool/handle.h"

/* deadline_get() - memkv_get(), or memkv_get_at() when @at is not NULL, with a deadline, all arguments checked; @answer points into what is @given */
int64_t deadline_get(struct memkv_pool *pool, const struct memkv_key *key, const struct located *at, void *buffer,
		     size_t length, const struct memkv_get_options *o, struct memkv_get_options *given);

/* deadline_put() - memkv_put() with a deadline, all arguments checked: its result, not counted yet */
int deadline_put(struct memkv_pool *pool, const struct memkv_key *key, const void *data, size_t length,
		 const struct memkv_put_options *o);

/*
 * struct chore - any other call, by a deadline or without one
 * @make: makes it: 0, a count or an error.  Without a deadline the caller does that, and everything is the caller's own; with one
 *	a deputy, who has copies of it all.
 * @changes: it changes something: left when it was begun, its outcome is unknown.
 * @lane: of the deputy's; NULL: none.
 * @key, @number, @flags: what it is about.
 * @in, @in_bytes: what has no fixed size: keys, ranges, a name.
 * @out, @out_bytes: for the answer; copied to the caller when it was made in time.
 * @begun: of the caller's own: @make was called, and may not be over.
 */
struct chore {
	int64_t (*make)(struct memkv_pool *pool, struct chore *chore);
	bool changes;
	struct lane *lane;
	struct memkv_key key;
	uint64_t number;
	uint32_t flags;
	const void *in;
	size_t in_bytes;
	void *out;
	size_t out_bytes;
	int64_t result;
	bool begun;
};

/* deadline_make() - @chore by a deadline, or when that is 0 at once; arguments checked.  Its result; MEMKV_TIMEDOUT, MEMKV_UNKNOWN; -errno */
int64_t deadline_make(struct memkv_pool *pool, struct chore *chore, uint64_t deadline_us);

/* deadline_open() - @open is called in a thread of its own; what it opens too late is closed again */
typedef int (*pool_opener)(const char *path, const struct memkv_pool_options *o, struct memkv_pool **pool);
int deadline_open(pool_opener open, const char *path, const struct memkv_pool_options *o, struct memkv_pool **pool);

/*
 * deadline_close() - @close ends with the medium's I/O.  Returns when it is done, or when it has gone on in a thread of its
 * own for longer than anybody should wait.
 */
enum { CLOSE_WAIT_US = 5000000 };
void deadline_close(void (*close)(struct memkv_pool *pool), struct memkv_pool *pool);

#endif
