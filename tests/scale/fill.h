/* SPDX-License-Identifier: Apache-2.0 */
/* Pools that have only metadata: tables filled through the functions that a put uses, no payload written. */
#ifndef MEMKV_TESTS_SCALE_FILL_H
#define MEMKV_TESTS_SCALE_FILL_H

#include "core/pool/handle.h"

double fill_now_s(void);
uint64_t fill_mix(uint64_t x);
struct memkv_key fill_key(uint64_t number);
/* ends the program with what memkv said last */
_Noreturn void fill_die(const char *what);
/* memory of this process, in bytes; @field: "RssAnon": what no file stands behind; "RssFile": what is mapped of files */
long fill_status_bytes(const char *field);
/*
 * fill_sparse() - a pool of which nothing is allocated but its superblocks and owner words: what a create allocates of a
 * petabyte is terabytes
 */
void fill_sparse(const char *path, const struct geometry_wish *wish);
/*
 * fill_pool() - blocks 0 to @blocks - 1, each of @block_size bytes
 * @per_segment: at most so many in a segment; 0: as many as fit.
 *
 * Return: how many there are then.
 */
uint64_t fill_pool(struct memkv_pool *pool, uint64_t blocks, uint64_t block_size, uint64_t per_segment);

#endif
