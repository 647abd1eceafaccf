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
