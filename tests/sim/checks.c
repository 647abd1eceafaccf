/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Most structures that are verified are those that were verified a moment ago, by another process or in the last round: of hosts
 * that share a device, cells and records.  check_or_mend() is a function of what it is given and nothing else; so what it
 * said of the same bytes under the same name is said again, without hashing them.  What it mends is not remembered.
 */
#include "core/format/check.h"

#include <string.h>

enum { LENGTH_MAX = 512, PLACES_BITS = 10, CHECK_WORD = 1 };

enum check_result production_check_or_mend(void *structure, size_t length, uint64_t seed);

static struct {
	uint64_t seed, words[LENGTH_MAX / 8];
	size_t length; /* 0: nothing is remembered here */
	enum check_result result;
} remembered[1 << PLACES_BITS];

enum check_result check_or_mend(void *structure, size_t length, uint64_t seed)
{
	uint64_t check;

	if (length > LENGTH_MAX || length < sizeof(check) * (CHECK_WORD + 1))
		return production_check_or_mend(structure, length, seed);
	memcpy(&check, (const uint8_t *)structure + sizeof(check) * CHECK_WORD, sizeof(check));
	size_t place = (size_t)((check ^ seed) * 0x9E3779B97F4A7C15ULL >> (64 - PLACES_BITS));
	if (remembered[place].seed == seed && remembered[place].length == length &&
	    memcmp(remembered[place].words, structure, length) == 0)
		return remembered[place].result;
	enum check_result result = production_check_or_mend(structure, length, seed);
	if (result == CHECK_MENDED)
		return result;
	memcpy(remembered[place].words, structure, length);
	remembered[place].seed = seed;
	remembered[place].length = length;
	remembered[place].result = result;
	return result;
}
