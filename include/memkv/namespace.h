/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool's namespaces: the files or block devices that it lies on.
 *
 * The first one is its home: agents, pins and all that is not of a single block are there, and without it the pool cannot be
 * opened.  Any other may be lost, and come back: meanwhile its blocks are misses (miss_lost of struct memkv_counters), puts
 * go elsewhere, and what must know all copies of a key (a removal, a put that replaces) answers MEMKV_DEGRADED.  An open
 * handle sees to that by itself, within seconds.
 */
#ifndef MEMKV_NAMESPACE_H
#define MEMKV_NAMESPACE_H

#include <memkv/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MEMKV_NAMESPACES_MAX 15 /* of a pool in all its life, its home and those that were removed included */
#define MEMKV_NAMESPACE_PATH_MAX 127

enum memkv_namespace_state {
	MEMKV_NAMESPACE_THERE = 1,
	MEMKV_NAMESPACE_LOST = 2,    /* it cannot be reached: the pool is degraded */
	MEMKV_NAMESPACE_REMOVED = 3, /* it is no part of the pool any more */
};

/**
 * struct memkv_namespace - one of a pool's namespaces
 * @number: 0 is home.
 * @state: enum memkv_namespace_state.
 * @id: random, made with it; all zero: home's.
 * @path: where it was seen last, or "" (a path that is longer than MEMKV_NAMESPACE_PATH_MAX counts by its last part).
 * @bytes, @control_bytes: its size, and how much of that is not for blocks.
 * @segments, @segments_free: how many it has, and how many are FREE; of a lost one that is not known, and 0.
 * @segments_retired: emptied by a drain, and not to be used again; likewise.
 */
struct memkv_namespace {
	uint32_t number;
	int state;
	uint8_t id[16];
	char path[MEMKV_NAMESPACE_PATH_MAX + 1];
	uint64_t bytes;
	uint64_t control_bytes;
	uint64_t segments;
	uint64_t segments_free;
	uint64_t segments_retired;
};

/**
 * memkv_pool_namespaces() - what the pool lies on
 * @pool: the pool.
 * @list: receives one for each namespace, in their order; or NULL.
 * @room: number that fit there.
 *
 * Return: their number, which may be more than @room; MEMKV_FAILED; MEMKV_EFORK.
 * Context: any thread; looks fresh.
 */
int64_t memkv_pool_namespaces(struct memkv_pool *pool, struct memkv_namespace *list, size_t room);

/**
 * struct memkv_grow_options - how to grow
 * @size: sizeof(struct memkv_grow_options).
 * @flags: enum memkv_create_flag; MEMKV_CREATE_SHARE is not allowed.
 * @bytes: size of a file; 0: an existing file's own, 4 GiB for a new one.  A device is used whole.
 * @progress, @context: as for memkv_pool_create().
 * @dry_run: not 0: only see whether it could be done.
 */
struct memkv_grow_options {
	size_t size;
	uint32_t flags;
	int dry_run;
	uint64_t bytes;
	int (*progress)(void *context, uint64_t done, uint64_t total);
	void *context;
};

/**
 * memkv_pool_grow() - add a namespace to a pool
 * @path: of the pool's home.
 * @name: the file or block device to add; of the same sort as the pool's others.
 * @options: or NULL.
 *
 * No agent may have the pool open.  Who has it open for reading does not see what is put on the new namespace until it opens
 * the pool again.  Killed at any moment the pool has grown or has not, and nothing is lost.
 *
 * Return: the new namespace's number; MEMKV_IN_USE, MEMKV_GEOMETRY, MEMKV_CONFLICT, MEMKV_FOREIGN, MEMKV_POOL_EXISTS,
 * MEMKV_NOT_A_POOL, -ENOSPC, -ECANCELED or -errno.
 * Context: any thread.
 */
int memkv_pool_grow(const char *path, const char *name, const struct memkv_grow_options *options);

enum memkv_drain_flag {
	MEMKV_DRAIN_EVICT = 1 << 0, /* blocks for which the other namespaces have no room go; not pinned ones */
	MEMKV_DRAIN_UNDO = 1 << 1,  /* what a drain has emptied may be used again; nothing is moved */
};

/**
 * struct memkv_drain_options - how to drain
 * @size: sizeof(struct memkv_drain_options).
 * @flags: enum memkv_drain_flag.
 * @progress: called with segments looked at and to look at, or NULL.  Not 0 stops the drain; what was done stays.
 * @context: handed to @progress.
 */
struct memkv_drain_options {
	size_t size;
	uint32_t flags;
	int (*progress)(void *context, uint64_t done, uint64_t total);
	void *context;
};

/**
 * struct memkv_drain_report - what a drain did
 * @segments, @segments_left: of the namespace: retired, and not.
 * @blocks, @bytes: that were moved.
 * @evicted: blocks that went, with MEMKV_DRAIN_EVICT.
 */
struct memkv_drain_report {
	uint64_t segments, segments_left, blocks, bytes, evicted;
};

/**
 * memkv_pool_drain() - move what is on a namespace to the others, so that it can be removed
 * @pool: open for writing.
 * @number: of the namespace; not 0.
 * @options: or NULL.
 * @report: receives what was done, also when it was not all; or NULL.
 *
 * Other agents may go on; while it runs this handle must not be used for anything else.
 *
 * Return: 0: it is empty, and nobody opens a segment there; MEMKV_NO_ROOM: not all blocks fit elsewhere, and none is lost;
 * MEMKV_IN_USE: living agents write there; MEMKV_DEGRADED: it is lost; MEMKV_CONFLICT: there is no such namespace, or it is
 * home; MEMKV_READ_ONLY; -ECANCELED; or -errno.
 * Context: any thread.
 */
int memkv_pool_drain(struct memkv_pool *pool, uint32_t number, const struct memkv_drain_options *options,
		     struct memkv_drain_report *report);

/**
 * memkv_pool_namespace_of() - the number of a namespace, by what a person calls it
 * @pool: the pool.
 * @name: its path, number or id.
 *
 * Return: the number; MEMKV_CONFLICT: there is none; MEMKV_FAILED; MEMKV_EFORK; -EINVAL.
 * Context: any thread; no I/O.
 */
int memkv_pool_namespace_of(struct memkv_pool *pool, const char *name);

enum memkv_shrink_flag {
	MEMKV_SHRINK_LOST = 1 << 0,    /* it is lost, and what is on it goes with it */
	MEMKV_SHRINK_UNPIN = 1 << 1,   /* also when pinned blocks may be on it */
	MEMKV_SHRINK_DRY_RUN = 1 << 2, /* only see whether it could be done */
};

/**
 * memkv_pool_shrink() - a namespace that was drained, or is lost, is no part of the pool any more
 * @path: of the pool's home.
 * @name: the namespace's path, number or id.
 * @flags: enum memkv_shrink_flag.
 *
 * No agent may have the pool open.  A file is removed, of a device both ends are wiped.
 *
 * Return: 0; MEMKV_NOT_EMPTY: drain it first; MEMKV_PINNED: it is lost, and pinned blocks have no copy elsewhere; MEMKV_DEGRADED:
 * it is lost, and MEMKV_SHRINK_LOST was not said; MEMKV_IN_USE; MEMKV_CONFLICT: there is no such namespace, or it is home; -EINVAL; or
 * -errno.
 * Context: any thread.
 */
int memkv_pool_shrink(const char *path, const char *name, uint32_t flags);

#ifdef __cplusplus
}
#endif
#endif
