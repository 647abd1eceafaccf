/* SPDX-License-Identifier: Apache-2.0 */
/* What a block of a given number and version is: key, payload, metadata and attributes (base.h). */
#include "tests/flip/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TTL_FAR = 10 * 365 * 86400 };

void die(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("flip: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	exit(2);
}

/* splitmix64: https://prng.di.unimi.it/splitmix64.c */
uint64_t mix(uint64_t x)
{
	x += 0x9E3779B97F4A7C15ULL;
	x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9ULL;
	x = (x ^ x >> 27) * 0x94D049BB133111EBULL;
	return x ^ x >> 31;
}

void block_key(uint32_t number, struct memkv_key *key)
{
	char text[32];
	int length = snprintf(text, sizeof(text), "block %u", number);

	if (memkv_key_from_name("flip", text, (size_t)length, key))
		die("no key: %s", memkv_error_detail());
}

uint32_t block_length(uint32_t number, uint32_t version)
{
	static const uint32_t edges[] = {1,	7,     511,   512,   4095,  4096,  4097,  8191,
					 8193,	12288, 32768, 65535, 65536, 65537, 70001, BLOCK_SIZE};
	uint64_t r = mix((uint64_t)version << 32 | number);

	if (r % 3 == 0)
		return edges[(r >> 8) % ARRAY_COUNT(edges)];
	return 1 + (uint32_t)(r >> 8) % (r % 3 == 1 ? 9000 : 40000);
}

void block_fill(uint32_t number, uint32_t version, uint8_t *payload)
{
	uint32_t length = block_length(number, version);
	uint64_t state = mix((uint64_t)version << 40 | (uint64_t)number << 8 | 1);

	for (uint32_t at = 0; at < length; at += sizeof(state)) {
		uint64_t word = mix(state + at);
		memcpy(payload + at, &word, min_u64(sizeof(word), length - at));
	}
}

uint32_t block_meta(uint32_t number, uint8_t meta[MEMKV_META_MAX])
{
	uint32_t length = number % 5 == 0 ? number * 37 % (MEMKV_META_MAX + 1) : number % 3 == 0 ? 17 : 0;

	for (uint32_t i = 0; i < length; i++)
		meta[i] = (uint8_t)mix(number * 4099ULL + i);
	return length;
}

uint32_t block_class(uint32_t number)
{
	return number % 6;
}

void block_session(uint32_t number, char session[MEMKV_SESSION_MAX + 1])
{
	session[0] = 0;
	if (number % 4 == 0)
		snprintf(session, MEMKV_SESSION_MAX + 1, "session %u", number / 16);
}

int block_put(struct memkv_pool *pool, uint32_t number, uint32_t version)
{
	static _Alignas(PAGE) uint8_t payload[BLOCK_SIZE + PAGE];
	uint8_t meta[MEMKV_META_MAX], *data = payload + (number % 7 == 0 ? 13 : 0); /* some from unaligned memory */
	char session[MEMKV_SESSION_MAX + 1];
	struct memkv_key key, parent;
	struct memkv_put_options options = {
		.size = sizeof(options),
		.flags = version ? MEMKV_PUT_REPLACE : 0,
		.class_id = block_class(number),
		.depth = number % 100,
		.ttl_s = number % 7 == 0 ? TTL_FAR : 0,
		.session = session,
		.meta = meta,
	};

	options.meta_length = block_meta(number, meta);
	block_session(number, session);
	if (number % 3 == 1) {
		block_key(number - 1, &parent);
		options.parent = &parent;
	}
	block_key(number, &key);
	block_fill(number, version, data);
	return memkv_put(pool, &key, data, block_length(number, version), &options);
}
