/* SPDX-License-Identifier: Apache-2.0 */
/* Log-linear histogram. */
#include "cli/latency.h"

#include <math.h>
#include <time.h>

uint64_t latency_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* Times under LATENCY_PARTS have a bucket each; octave o from there on starts at bucket (o + 1) * LATENCY_PARTS. */
static unsigned bucket_of(uint64_t ns)
{
	if (ns < LATENCY_PARTS)
		return (unsigned)ns;
	unsigned octave = 63U - (unsigned)__builtin_clzll(ns) - LATENCY_PARTS_BITS;
	return (octave << LATENCY_PARTS_BITS) + (unsigned)(ns >> octave);
}

static double middle_of(unsigned bucket)
{
	if (bucket < LATENCY_PARTS)
		return bucket;
	unsigned octave = (bucket >> LATENCY_PARTS_BITS) - 1;
	uint64_t part = LATENCY_PARTS + (bucket & (LATENCY_PARTS - 1));
	return ldexp((double)part + 0.5, (int)octave);
}

void latency_add(struct latency *latency, uint64_t ns)
{
	latency->count++;
	latency->bucket[bucket_of(ns)]++;
}

void latency_merge(struct latency *into, const struct latency *from)
{
	into->count += from->count;
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
		into->bucket[i] += from->bucket[i];
}

double latency_percentile_us(const struct latency *latency, double percent)
{
	uint64_t rank = (uint64_t)ceil((double)latency->count * percent / 100), seen = 0;

	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		seen += latency->bucket[i];
		if (latency->bucket[i] && seen >= rank)
			return middle_of(i) / 1000;
	}
	return 0;
}
