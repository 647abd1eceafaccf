/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Benchmarks that say how near to the raw medium memkv comes.
 *
 * A comparison has three sides that take turns in short slices: memkv, raw, and raw once more (the control).  Both
 * raws do what memkv's payload I/O does and nothing else: O_DIRECT through io_uring on the same extents, same block
 * size, same number of threads with one operation in flight each.  On a file system that is memory, raw is memcpy from
 * and to the same file, and the other side of every copy rotates through a gigabyte.  A ratio is the median over the pairs of
 * neighbouring slices; the control's ratio says how much of it is noise.
 */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include "cli/latency.h"

#include <memkv/memkv.h>
#include <stdatomic.h>
#include <stddef.h>

enum bench_op { BENCH_GET, BENCH_PUT };

/**
 * struct bench_extent - a block that get reads, and where its payload lies
 */
struct bench_extent {
	struct memkv_key key;
	uint64_t offset; /* bytes in the pool's file */
};

/**
 * struct bench_setup - what one comparison works on
 * @pool, @pool_fd: the pool, and its file opened with O_DIRECT.
 * @extents, @extent_count: get only: the blocks.
 * @raw_fd, @raw_bytes: put only: a file that was written before, for raw to write to.
 * @pool_memory, @raw_memory: the two files mapped, where the medium is memory; else NULL.
 * @buffer_bytes: memory that a thread's operations rotate through, at least a block.
 * @next_key: put only: keys that were not used yet.
 */
struct bench_setup {
	enum bench_op op;
	size_t block_size;
	unsigned threads;
	double slice_s;
	unsigned pairs;
	struct memkv_pool *pool;
	int pool_fd;
	struct bench_extent *extents;
	size_t extent_count;
	int raw_fd;
	uint64_t raw_bytes;
	uint8_t *pool_memory, *raw_memory;
	size_t buffer_bytes;
	atomic_uint_fast64_t next_key;
	atomic_uint_fast64_t cursor;
};

/**
 * struct bench_result - one row
 * @gbps, @raw_gbps: medians over the slices, 10^9 bytes a second.
 * @ratio, @ratio_iqr: memkv to raw; @control_ratio, @control_iqr: raw to raw.
 * @us: latencies of memkv's operations, @raw_us: of raw's.
 * @cpu_s_per_gb, @raw_cpu_s_per_gb: processor time, kernel's included, for 10^9 bytes.
 * @failed: operations that did not do what they should.
 */
struct bench_result {
	enum bench_op op;
	size_t block_size;
	unsigned threads, pairs;
	double gbps, raw_gbps, ratio, ratio_iqr, control_ratio, control_iqr;
	double cpu_s_per_gb, raw_cpu_s_per_gb;
	struct latency us, raw_us;
	uint64_t failed;
};

/**
 * bench_compare() - run one comparison
 * @setup: see there; next_key and cursor move on.
 * @result: receives the row.
 *
 * Return: 0; -ENOMEM; -errno when raw I/O does not work; -EINTR when it was interrupted.
 */
int bench_compare(struct bench_setup *setup, struct bench_result *result);

/** bench_key() - a key by number */
struct memkv_key bench_key(uint64_t number);

/** bench_median() - of @count values, which it sorts; @iqr receives the interquartile range when not NULL */
double bench_median(double *values, size_t count, double *iqr);

#endif
