/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a benchmark works: a scratch pool and space for raw writes beside it, in files of a directory, or on a block
 * device that is given up for it (the pool in front, raw behind it).
 */
#ifndef CLI_BENCH_SCRATCH_H
#define CLI_BENCH_SCRATCH_H

#include <memkv/memkv.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* largest block of the transfers */
#define BENCH_LARGEST (UINT64_C(16) << 20)

/**
 * struct bench_extent - a block that get reads, and where its payload lies
 */
struct bench_extent {
	struct memkv_key key;
	uint64_t offset; /* bytes in the pool's file */
};

/**
 * struct bench_scratch - the place
 * @device: a block device, else a directory.
 * @made: there is a pool on the device that is ours to destroy.
 * @memory: the directory's file system is memory.
 * @create_flags: what its pools are, beyond what their place makes of them.
 * @handle: the pool, NULL between rows; @pool_fd: its file, opened with O_DIRECT.
 * @raw_fd, @raw_at, @raw_bytes: space that was written before, for raw to write to.
 * @pool_memory, @raw_memory: the two files mapped, where the medium is memory; else NULL.
 * @extents, @extent_count: blocks of bench_scratch_store().
 */
struct bench_scratch {
	char directory[4096], pool[4096 + 16], raw[4096 + 16];
	bool device, made, memory;
	uint32_t create_flags;
	uint64_t pool_bytes;
	struct memkv_pool *handle;
	int pool_fd, raw_fd;
	uint64_t raw_at, raw_bytes;
	uint8_t *pool_memory, *raw_memory;
	struct bench_extent *extents;
	size_t extent_count;
};

/**
 * bench_scratch_open() - prepare the place
 * @where: a directory, or a block device, whose contents are lost.
 *
 * Return: 0 or negative, with the sentence in memkv_error_detail() or errno's; bench_scratch_close() in any case.
 */
int bench_scratch_open(struct bench_scratch *scratch, const char *where, uint32_t create_flags);

/** bench_scratch_close() - remove what was made; a device is left without a pool */
void bench_scratch_close(struct bench_scratch *scratch);

/**
 * bench_scratch_renew() - a new, empty pool: what a row left behind must neither be evicted nor stay instead of what comes
 * @max_block: its largest block in bytes.
 */
int bench_scratch_renew(struct bench_scratch *scratch, uint64_t max_block);

/** bench_scratch_fill() - fill the pool once over, so that puts meet extents that were written before, and reclaim */
int bench_scratch_fill(struct bench_scratch *scratch, uint64_t *next_key);

/** bench_scratch_store() - a gigabyte (on small devices less) of blocks of one size for get, and where they lie */
int bench_scratch_store(struct bench_scratch *scratch, size_t block_size, uint64_t *next_key);

/** bench_key() - a key by number */
struct memkv_key bench_key(uint64_t number);

#endif
