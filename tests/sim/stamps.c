/* SPDX-License-Identifier: Apache-2.0 */
/* Payloads: a stamp in each page, and bytes of a fixed noise.  By these a payload tells which put it is of. */
#include "oracle.h"

#include <string.h>

enum { NOISE_BYTES = 1 << 16, STAMP_BYTES = 16 };

struct stamp {
	uint64_t seed;
	uint32_t version, page;
};
_Static_assert(sizeof(struct stamp) == STAMP_BYTES, "stamp");

static const uint8_t *noise(uint32_t version, uint64_t at)
{
	static uint8_t bytes[NOISE_BYTES + PAGE];
	static bool made;

	for (uint64_t i = 0, x = 1; !made && i < sizeof(bytes); i++) {
		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
		bytes[i] = (uint8_t)(x >> 56);
	}
	made = true;
	return bytes + (version * 61 + at / PAGE * 17) % NOISE_BYTES;
}

static struct stamp stamp_of(uint32_t version, uint64_t at)
{
	return (struct stamp){.seed = world.pool_seed, .version = version, .page = (uint32_t)(at / PAGE)};
}

void payload_fill(uint8_t *to, uint32_t version)
{
	uint32_t length = world.versions[version].length;

	for (uint32_t at = 0; at < length; at += PAGE) {
		struct stamp stamp = stamp_of(version, at);
		memcpy(to + at, noise(version, at), min_u64(PAGE, length - at));
		memcpy(to + at, &stamp, min_u64(STAMP_BYTES, length - at));
	}
}

bool payload_right(const uint8_t *bytes, uint64_t length, uint32_t version)
{
	for (uint64_t at = 0; at < length; at += PAGE) {
		struct stamp stamp = stamp_of(version, at);
		uint64_t rest = min_u64(PAGE, length - at), stamped = min_u64(STAMP_BYTES, rest);
		if (memcmp(bytes + at, &stamp, stamped) != 0 ||
		    memcmp(bytes + at + stamped, noise(version, at) + stamped, rest - stamped) != 0)
			return false;
	}
	return true;
}

uint32_t payload_version(const uint8_t *bytes, int64_t length)
{
	struct stamp stamp = {.version = UINT32_MAX};

	memcpy(&stamp, bytes, min_u64(sizeof(stamp), (uint64_t)length));
	return stamp.version;
}
