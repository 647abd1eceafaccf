/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys: 32 opaque bytes.  Equal bytes are the very same key; memkv never looks inside.
 */
#ifndef MEMKV_KEY_H
#define MEMKV_KEY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MEMKV_KEY_BYTES 32
#define MEMKV_KEY_HEX 65 /* 64 hex digits and the closing NUL */

struct memkv_key {
	uint8_t bytes[MEMKV_KEY_BYTES];
};

/**
 * memkv_key_from_name() - the key of a text in a name space
 * @ns: name space, a C string that keeps users apart ("" is one as well).  Not NULL.
 * @text: the name's bytes; may contain anything.
 * @length: their number.
 * @key: receives the key.
 *
 * SHA-256 (FIPS 180-4) over "memkv-name-v1" NUL, the length of @ns as 8 bytes little-endian, @ns, the length of
 * @text likewise, @text.  The lengths keep ("a", "bc") and ("ab", "c") apart.
 *
 * Return: 0; -EINVAL when a pointer is NULL; -ENOMEM when the crypto library has no memory.
 * Context: any thread.
 */
int memkv_key_from_name(const char *ns, const void *text, size_t length, struct memkv_key *key);

/**
 * memkv_key_from_hex() - read a key from 64 hex digits
 * @hex: a C string of exactly 64 digits, either case.
 * @key: receives the key; unchanged on failure.
 *
 * Return: 0, or -EINVAL (memkv_error_detail() names the first thing wrong).
 * Context: any thread.
 */
int memkv_key_from_hex(const char *hex, struct memkv_key *key);

/**
 * memkv_key_to_hex() - write a key as 64 lower-case hex digits and a NUL
 * @key: the key.
 * @hex: room for MEMKV_KEY_HEX bytes.
 *
 * Context: any thread.
 */
void memkv_key_to_hex(const struct memkv_key *key, char hex[MEMKV_KEY_HEX]);

#ifdef __cplusplus
}
#endif
#endif
