/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A histogram of times that needs no allocation and adds up: each power of two of nanoseconds is cut into
 * LATENCY_PARTS equal parts, so that a percentile is off by at most 1 in 2 * LATENCY_PARTS.  Zeroed memory is an
 * empty one.
 */
#ifndef CLI_LATENCY_H
#define CLI_LATENCY_H

#include <stdint.h>

#define LATENCY_PARTS_BITS 5
#define LATENCY_PARTS (1 << LATENCY_PARTS_BITS)
#define LATENCY_BUCKETS ((64 - LATENCY_PARTS_BITS + 1) * LATENCY_PARTS)

struct latency {
	uint64_t count;
	uint64_t bucket[LATENCY_BUCKETS];
};

/** latency_now() - nanoseconds of the monotonic clock */
uint64_t latency_now(void);

/** latency_add() - count one time */
void latency_add(struct latency *latency, uint64_t ns);

/** latency_merge() - add all of @from to @into */
void latency_merge(struct latency *into, const struct latency *from);

/** latency_percentile_us() - microseconds that @percent of the times do not exceed; 0 when there are none */
double latency_percentile_us(const struct latency *latency, double percent);

#endif
