/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locators: a small token that says where a block is, for a producer to hand to a consumer together with the request
 * (prefill to decode).  The consumer reads at once: no index, no waiting until it has heard of the block.
 *
 * A locator names one put (its birth), and where it was when the locator was made.  Reading by it goes to that place, with
 * all the checks of a get; only when the block is not there any more the index is asked whether this very put has moved.  So
 * what it returns are the exact bytes of that put, or a miss, counted by its cause: never those of a later put of the
 * key.  Whoever wants that asks memkv_get() next.
 *
 * A locator is 96 bytes without pointers, the same on every machine (format/FORMAT.md), and carries its version, its pool
 * and a check.  It is no secret and gives no rights: who can read by it could read the pool anyway.
 */
#ifndef MEMKV_LOCATOR_H
#define MEMKV_LOCATOR_H

#include <memkv/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MEMKV_LOCATOR_BYTES 96
#define MEMKV_LOCATOR_TEXT 198 /* "mkvl:", 192 hex digits and the closing NUL */
#define MEMKV_KEEP_MAX_MS 2000 /* the grace: how long what was chosen to go stays readable, while somebody asks for it */

struct memkv_locator {
	uint8_t bytes[MEMKV_LOCATOR_BYTES];
};

/**
 * struct memkv_locator_info - what a locator says
 * @key: of the block.
 * @length: payload bytes.
 * @birth: number of the put.
 * @generation, @segment, @page: where it was; @page counts pages of 4096 bytes within the segment.
 * @pool_uuid: of the pool.
 */
struct memkv_locator_info {
	struct memkv_key key;
	uint64_t length;
	uint64_t birth;
	uint64_t generation;
	uint32_t segment;
	uint32_t page;
	uint8_t pool_uuid[16];
};

/**
 * memkv_locator_of() - where a block is
 * @pool: the pool, open for reading or writing.
 * @key: its key.
 * @locator: receives the token.
 *
 * Reads the block's header, not its payload.
 *
 * Return: 0; MEMKV_MISS, counted as for memkv_get(); MEMKV_EFORK; -EINVAL.
 * Context: any thread; as memkv_get().
 */
int memkv_locator_of(struct memkv_pool *pool, const struct memkv_key *key, struct memkv_locator *locator);

/**
 * memkv_get_at() - read a whole block by its locator
 * @pool: the pool, open for reading or writing.
 * @locator: from memkv_locator_of(), memkv_match_keep() or memkv_exists_keep(), in any process.
 * @buffer: receives the bytes.  Undefined after anything but success.  Page-aligned memory avoids a copy.
 * @length: the block's exact size (memkv_locator_describe() tells it), or an upper bound with MEMKV_GET_UPTO.
 * @options: or NULL; meta_length is written.
 *
 * Return: the block's size; MEMKV_MISS: that put is not there any more (the counters of memkv_pool_counters() tell why:
 * removed, reclaimed, expired, damaged, the medium); MEMKV_TIMEDOUT by the options' deadline; MEMKV_SIZE; MEMKV_LOCATOR: these bytes are no locator, or were damaged on
 * their way; MEMKV_NEWER: a later memkv has made it; MEMKV_OTHER_POOL; MEMKV_EFORK; -EINVAL.
 * Context: any thread; no lock, no allocation, no system call but the read itself.
 */
int64_t memkv_get_at(struct memkv_pool *pool, const struct memkv_locator *locator, void *buffer, size_t length,
		     struct memkv_get_options *options);

/**
 * memkv_match_keep() - the longest stored prefix of a chain of keys, to stay readable for a while
 * @pool: the pool, open for writing.
 * @keys: the chain.
 * @count: its length.
 * @keep_ms: how long, at most MEMKV_KEEP_MAX_MS.
 * @flags: enum memkv_look_flag.
 * @locators: receives one for each key that is there; room for @count.
 *
 * Each block that a locator is given for can be read by it for that long, though the pool is full and others put: who makes
 * room lets that time pass first.  It is cut short only when there is no other room (counted as grace_cut, by whoever does it);
 * then the locator is a clean miss.  So it is when the block is removed, replaced or evicted on request.
 *
 * Nothing is written for a block; that keeping is in use is told about every two seconds, in one word for the whole pool.  A
 * block that is just on its way out counts as not there.
 *
 * Return: how many keys, from the first; MEMKV_READ_ONLY; -EOPNOTSUPP on media that are not mapped; MEMKV_EFORK; -EINVAL.
 * Context: any thread; without MEMKV_LOOK_FRESH no system call, no I/O, and no lock but where what is found has expired.
 */
int memkv_match_keep(struct memkv_pool *pool, const struct memkv_key *keys, size_t count, uint32_t keep_ms, uint32_t flags,
		     struct memkv_locator *locators);

/**
 * memkv_exists_keep() - is a block there, and to stay readable for a while?
 * @pool: the pool, open for writing.
 * @key: its key.
 * @keep_ms, @flags: as for memkv_match_keep().
 * @locator: receives the token when it is there.
 *
 * Return: 1 or 0; else as memkv_match_keep().
 * Context: as memkv_match_keep().
 */
int memkv_exists_keep(struct memkv_pool *pool, const struct memkv_key *key, uint32_t keep_ms, uint32_t flags,
		      struct memkv_locator *locator);

/**
 * memkv_locator_describe() - what a locator says; no pool is needed
 * @locator: the token.
 * @info: receives it.
 *
 * Return: 0; MEMKV_LOCATOR; MEMKV_NEWER; -EINVAL.
 * Context: any thread.
 */
int memkv_locator_describe(const struct memkv_locator *locator, struct memkv_locator_info *info);

/**
 * memkv_locator_to_text() - write a locator as text, for requests that are text
 * @locator: the token.
 * @text: room for MEMKV_LOCATOR_TEXT bytes.
 *
 * Context: any thread.
 */
void memkv_locator_to_text(const struct memkv_locator *locator, char text[MEMKV_LOCATOR_TEXT]);

/**
 * memkv_locator_from_text() - read a locator from its text
 * @text: a C string.
 * @locator: receives it; unchanged on failure.
 *
 * Return: 0; MEMKV_LOCATOR: this is not the text of a locator, or was damaged on its way; MEMKV_NEWER; -EINVAL.
 * Context: any thread.
 */
int memkv_locator_from_text(const char *text, struct memkv_locator *locator);

#ifdef __cplusplus
}
#endif
#endif
