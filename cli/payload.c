/* SPDX-License-Identifier: Apache-2.0 */
/* The test pattern, a vector of words at a time; the compiler lowers it to what the target has. */
#include "cli/payload.h"

#include <stdbool.h>
#include <string.h>

#define LANES 2 /* wider ones make gcc spill them */
#define STEP UINT64_C(0x9e3779b97f4a7c15)

typedef uint64_t lanes __attribute__((vector_size(LANES * 8)));

#define LANES_BYTES sizeof(lanes)

/* All 32 bytes of the key count. */
static uint64_t seed_of(const struct memkv_key *key)
{
	uint64_t seed = 0, word;

	for (size_t i = 0; i < MEMKV_KEY_BYTES; i += sizeof(word)) {
		memcpy(&word, key->bytes + i, sizeof(word));
		seed = (seed ^ word) * UINT64_C(0xbf58476d1ce4e5b9);
		seed ^= seed >> 31;
		seed *= UINT64_C(0x94d049bb133111eb);
		seed ^= seed >> 29;
	}
	return seed;
}

static void first_lanes(const struct memkv_key *key, lanes *base)
{
	uint64_t seed = seed_of(key);

	for (int i = 0; i < LANES; i++)
		(*base)[i] = seed + (uint64_t)(i + 1) * STEP;
}

/* The lanes' words; xorshift, a bijection of each. */
#define MIX(x)                                                                                                         \
	do {                                                                                                           \
		(x) ^= (x) << 13;                                                                                      \
		(x) ^= (x) >> 7;                                                                                       \
		(x) ^= (x) << 17;                                                                                      \
	} while (0)

void payload_fill(const struct memkv_key *key, void *data, size_t length)
{
	char *out = data;
	lanes base, x;

	first_lanes(key, &base);
	for (; length; base += LANES * STEP) {
		size_t bytes = length < LANES_BYTES ? length : LANES_BYTES;
		x = base;
		MIX(x);
		if (bytes == LANES_BYTES)
			memcpy(out, &x, LANES_BYTES);
		else
			memcpy(out, &x, bytes);
		out += bytes;
		length -= bytes;
	}
}

static uint64_t count_differences(const void *a, const void *b, size_t length)
{
	const unsigned char *x = a, *y = b;
	uint64_t count = 0;

	for (size_t i = 0; i < length; i++)
		count += x[i] != y[i];
	return count;
}

/* Whether the whole lanes of the block are right; fast because it only ORs. */
static bool whole_lanes_equal(const struct memkv_key *key, const char *in, size_t length)
{
	lanes base, x, y, bad = {0};

	first_lanes(key, &base);
	for (size_t at = 0; at + LANES_BYTES <= length; at += LANES_BYTES, base += LANES * STEP) {
		x = base;
		MIX(x);
		memcpy(&y, in + at, LANES_BYTES);
		bad |= x ^ y;
	}
	uint64_t any = 0;
	for (int i = 0; i < LANES; i++)
		any |= bad[i];
	return !any;
}

uint64_t payload_differences(const struct memkv_key *key, const void *data, size_t length)
{
	const char *in = data;
	uint64_t count = 0;
	lanes base, x;

	if (!(length % LANES_BYTES) && whole_lanes_equal(key, in, length))
		return 0;
	first_lanes(key, &base);
	for (size_t at = 0; at < length; at += LANES_BYTES, base += LANES * STEP) {
		x = base;
		MIX(x);
		count += count_differences(in + at, &x, length - at < LANES_BYTES ? length - at : LANES_BYTES);
	}
	return count;
}
