/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holds: a block's bytes where they lie, without a copy.
 *
 *     struct memkv_hold hold;
 *     if (memkv_hold(pool, &key, &hold) == 0) {
 *             use(hold.data, hold.length);
 *             good = memkv_hold_valid(pool, &hold) == 1;     // after the use: else it was for nothing
 *             memkv_release(pool, &hold);
 *     }
 *
 * While a block is held nobody reuses its place, in any process.  A hold can lapse all the same: the block is removed,
 * replaced, moved or evicted on request, the medium vanishes.  So bytes behind a hold count only if memkv_hold_valid() says so
 * *after* they were used.
 *
 * Holds belong to the handle, and end with it, or with its process, however that dies.  They exist where other processes'
 * writes are seen in a mapping: on tmpfs, DAX file systems and DAX devices; on other files only through a handle that was opened
 * MEMKV_OPEN_BUFFERED.  They need a handle that is open for writing, for that one has a slot to say them in.
 *
 * What a process can hold is limited: blocks in 20 segments at a time, and all processes together half of the pool's
 * segments.  Past that, or while a block is just on its way out, the answer is -EAGAIN: copy with memkv_get() instead.
 */
#ifndef MEMKV_HOLD_H
#define MEMKV_HOLD_H

#include <memkv/locator.h>
#include <memkv/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MEMKV_HOLD_SEGMENTS 20 /* whose blocks one handle can hold at a time */

/**
 * struct memkv_hold - a block that is held; the caller's memory
 * @data: its bytes, for reading only; NULL when nothing is held.
 * @length: their number.
 * @birth: number of the put that they are of.
 * @generation, @segment, @index, @place, @reserved: the library's own.
 */
struct memkv_hold {
	const void *data;
	uint64_t length;
	uint64_t birth;
	uint64_t generation;
	uint32_t segment;
	uint32_t index;
	uint32_t place;
	uint32_t reserved[5];
};

/**
 * memkv_hold() - hold a block
 * @pool: the pool, open for writing.
 * @key: its key.
 * @hold: receives it; @data is NULL after anything but success.
 *
 * All of its bytes are read once, and verified, before this returns.
 *
 * Return: 0; MEMKV_MISS, counted as for memkv_get(); -EAGAIN: not now (its segment is being emptied, or as much is held as may
 * be), copy with memkv_get(); -EOPNOTSUPP: not on this medium (memkv_error_detail() tells the mend); MEMKV_READ_ONLY;
 * MEMKV_EFORK; -EINVAL; -errno of mapping.
 * Context: any thread; waits for no other process.
 */
int memkv_hold(struct memkv_pool *pool, const struct memkv_key *key, struct memkv_hold *hold);

/**
 * memkv_hold_at() - hold a block by its locator
 * @pool: the pool, open for writing.
 * @locator: the token.
 * @hold: as for memkv_hold().
 *
 * Return: as memkv_hold(); MEMKV_LOCATOR, MEMKV_NEWER, MEMKV_OTHER_POOL as memkv_get_at().
 * Context: as memkv_hold().
 */
int memkv_hold_at(struct memkv_pool *pool, const struct memkv_locator *locator, struct memkv_hold *hold);

/**
 * memkv_hold_valid() - were the bytes behind a hold, up to now, those of the block?
 * @pool: the pool.
 * @hold: the hold.
 *
 * Return: 1; 0: it has lapsed, and what was done with the bytes is to be thrown away; MEMKV_EFORK; -EINVAL.
 * Context: any thread; no lock, no system call.  What used the bytes must have finished, a device's transfer included.
 */
int memkv_hold_valid(const struct memkv_pool *pool, const struct memkv_hold *hold);

/**
 * memkv_release() - end a hold
 * @pool: the pool.
 * @hold: the hold; its @data is NULL afterwards, and must not be used any more.
 *
 * Return: 0; MEMKV_LAPSED: it had lapsed before (it is released all the same); MEMKV_EFORK; -EINVAL: this is no hold of this
 * handle.
 * Context: any thread.
 */
int memkv_release(struct memkv_pool *pool, struct memkv_hold *hold);

#ifdef __cplusplus
}
#endif
#endif
