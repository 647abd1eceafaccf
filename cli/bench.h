/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Benchmarks that say how near to the raw medium memkv comes.
 *
 * A comparison has three sides that take turns in short slices: memkv, raw, and raw once more (the control).  Both
 * raws do what memkv's payload I/O does and nothing else: O_DIRECT through io_uring on the same extents, same block
 * size, same number of threads with one operation in flight each (so their number is the queue depth).  On a file
 * system that is memory, raw is memcpy from and to the same file, and the other side of every copy rotates through a
 * gigabyte.  A ratio is the median over the pairs of neighbouring slices; the control's ratio says how much is noise.
 *
 * Rows that are not transfers compare times in the same way (ratio = raw time / memkv time, so that 1 is as fast):
 *   match       a key of a chain of 1,000         | a random cache line of an array as large as the index, prefetched alike
 *   attach      open and close of the pool        | reading the pool's control region once, past the page cache
 *   visibility  put here until found there        | a word stored here until a thread there, which polls as often, saw it
 *   memory      anonymous bytes a block           | the 16 bytes of an index entry (ratio = raw / memkv)
 *   flood       p99 of two agents' gets of pinned | p99 of as many raw reads, beside a raw writer of the rate that memkv's just
 *               blocks beside one that writes     | had; goes on until twenty times the pool was written
 *   amplify     bytes given to the medium for a   | 1; after three times the pool was written into the full pool; the share
 *               byte that was put                 | that was moved is said; amplify_pinned: with a third of the room pinned
 * And of rates, full: two agents put into a full pool | the same into an equal one that was just evicted
 *   digest      one pass of XXH3-64 in chunks     | memcpy of the same bytes
 */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include "cli/bench_scratch.h"
#include "cli/latency.h"

enum bench_op {
	BENCH_GET, BENCH_PUT, BENCH_DIGEST, BENCH_MATCH, BENCH_ATTACH, BENCH_VISIBILITY, BENCH_MEMORY,
	BENCH_FULL, BENCH_FLOOD, BENCH_AMPLIFY, BENCH_AMPLIFY_PINNED, BENCH_OPS
};
enum { BENCH_PAIRS_MAX = 1023, BENCH_THREADS_MAX = 64 };

/** bench_op_name() - as in the table and on the command line */
const char *bench_op_name(enum bench_op op);

/**
 * struct bench_setup - what one comparison works on
 * @op, @block_size, @threads, @slice_s, @pairs: the row.
 * @blocks: of the small pool that match, attach, visibility and memory look at.
 * @scratch: where.
 * @next_key: numbers of keys that were not used yet.
 * @cursor: which block comes next.
 */
struct bench_setup {
	enum bench_op op;
	size_t block_size;
	unsigned threads;
	double slice_s;
	unsigned pairs;
	uint64_t blocks;
	struct bench_scratch *scratch;
	atomic_uint_fast64_t next_key;
	atomic_uint_fast64_t cursor;
};

/**
 * struct bench_result - one row
 * @gbps, @raw_gbps: medians over the slices, 10^9 bytes a second; 0 in rows that are not transfers.
 * @value, @raw_value, @unit: what those rows measure instead (medians); @unit NULL in transfers.
 * @ratio, @ratio_iqr: memkv to raw; @control_ratio, @control_iqr: raw to raw.
 * @us: latencies of memkv's operations, @raw_us: of raw's.
 * @cpu_s_per_gb, @raw_cpu_s_per_gb: processor time, kernel's included, for 10^9 bytes.
 * @moved: of amplify: bytes that were moved for a byte put.
 * @times: of flood: how often the pool was written.
 * @failed: operations that did not do what they should.
 */
struct bench_result {
	enum bench_op op;
	size_t block_size;
	unsigned threads, pairs;
	double gbps, raw_gbps, ratio, ratio_iqr, control_ratio, control_iqr;
	double value, raw_value;
	const char *unit;
	double moved, times;
	double cpu_s_per_gb, raw_cpu_s_per_gb;
	struct latency us, raw_us;
	uint64_t failed;
};

/**
 * struct bench_series - the pairs of one row
 * Sides: memkv, raw, raw again.  Values are rates or times, by whoever fills them.
 */
enum bench_side { BENCH_MEMKV, BENCH_RAW, BENCH_CONTROL, BENCH_SIDES };
struct bench_series {
	double value[BENCH_SIDES][BENCH_PAIRS_MAX + 1];
};

/**
 * bench_judge() - medians and ratios of the pairs into the row
 * @series: destroyed.
 * @times: not 0: the values are times, ratio = raw / memkv; else rates, ratio = memkv / raw.
 * @value, @raw_value: receive the medians.
 */
void bench_judge(struct bench_series *series, int times, struct bench_result *result, double *value, double *raw_value);

/**
 * bench_compare() - run one comparison of transfers (get, put, digest)
 * @setup: see there; next_key and cursor move on.
 * @result: receives the row.
 *
 * Return: 0; -ENOMEM; -errno when raw I/O does not work; -EINTR when it was interrupted.
 */
int bench_compare(struct bench_setup *setup, struct bench_result *result);

/** bench_look() - likewise, one of match, attach, visibility, memory; scratch->handle holds the blocks of bench_fill_small() */
int bench_look(struct bench_setup *setup, struct bench_result *result);

/** bench_full() - likewise, one of full, flood, amplify, amplify_pinned; makes its own pool (bench_full.c) */
int bench_full(struct bench_setup *setup, struct bench_result *result);

/** bench_fill_small() - a new pool with setup->blocks blocks of 4 KiB whose keys are numbered from 0 */
int bench_fill_small(struct bench_setup *setup);

/** bench_median() - of @count values, which it sorts; @iqr receives the interquartile range when not NULL */
double bench_median(double *values, size_t count, double *iqr);

#endif
