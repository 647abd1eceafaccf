/* SPDX-License-Identifier: Apache-2.0 */
/* Locators and the pool that they are about. */
#ifndef MEMKV_POOL_LOCATE_H
#define MEMKV_POOL_LOCATE_H

#include "core/pool/handle.h"
#include "core/pool/located.h"

#include <memkv/locator.h>

/*
 * locate() - what a locator says about this pool, and the place that it names
 *
 * Return: 0; MEMKV_LOCATOR, MEMKV_NEWER, MEMKV_OTHER_POOL with a sentence.  The place lies within one segment.
 */
int locate(const struct memkv_pool *pool, const struct memkv_locator *token, struct located *at);

/* locate_make() - a token of what @l says; the pool is filled in */
void locate_make(const struct memkv_pool *pool, struct locator *l, struct memkv_locator *token);

/*
 * header_seek() - find a block as a get does, by key or by locator (the other is NULL), but read only its header
 * @use: called with the header of the copy that is there; what it points to lives that long.
 *
 * Return: what @use says; MEMKV_MISS, counted; what locate() says.
 */
int header_seek(struct memkv_pool *pool, const struct memkv_key *key, const struct memkv_locator *locator,
		int (*use)(void *context, const struct block_header *h, struct place place), void *context);

#endif
