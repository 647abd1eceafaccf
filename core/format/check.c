/* SPDX-License-Identifier: Apache-2.0 */
/* See check.h. */
#include "core/format/check.h"

#include <string.h>
#include <xxhash.h>

enum { WORD = 8, BODY = 16 };

static uint64_t word_at(const void *structure, size_t offset)
{
	le64 word;

	memcpy(&word, (const uint8_t *)structure + offset, sizeof(word));
	return le64_get(word);
}

uint64_t check_seed(uint64_t pool_seed, enum check_kind kind, uint64_t place, uint64_t subplace)
{
	le64 parts[3] = {le64_of(kind), le64_of(place), le64_of(subplace)};

	return XXH3_64bits_withSeed(parts, sizeof(parts), pool_seed);
}

uint64_t check_value(const void *structure, size_t length, uint64_t seed)
{
	/* an odd multiplier spreads the name over the seed, so that a change of either changes the hash */
	uint64_t named = seed ^ (word_at(structure, 0) * 0x9E3779B97F4A7C15ULL);

	return XXH3_64bits_withSeed((const uint8_t *)structure + BODY, length - BODY, named);
}

void check_set(void *structure, size_t length, uint64_t seed)
{
	le64 value = le64_of(check_value(structure, length, seed));

	memcpy((uint8_t *)structure + WORD, &value, sizeof(value));
}

bool check_holds(const void *structure, size_t length, uint64_t seed)
{
	return word_at(structure, WORD) == check_value(structure, length, seed);
}

enum check_result check_or_mend(void *structure, size_t length, uint64_t seed)
{
	uint8_t *bytes = structure;
	uint64_t difference = word_at(structure, WORD) ^ check_value(structure, length, seed);

	if (difference == 0)
		return CHECK_GOOD;
	if ((difference & (difference - 1)) == 0) {
		check_set(structure, length, seed); /* the flipped bit was in the check value itself */
		return CHECK_MENDED;
	}
	for (size_t bit = 0; bit < length * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		if (check_holds(structure, length, seed))
			return CHECK_MENDED;
		bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	}
	return CHECK_BAD;
}

uint64_t check_short(uint64_t value, uint64_t seed, unsigned bits)
{
	le64 word = le64_of(value);

	return XXH3_64bits_withSeed(&word, sizeof(word), seed) & ((1ULL << bits) - 1);
}
