/* SPDX-License-Identifier: Apache-2.0 */
/* Keys from names and from hex (include/memkv/key.h). */
#include "core/base/bytes.h"
#include "core/base/fail.h"

#include <errno.h>
#include <memkv/key.h>
#include <openssl/evp.h>
#include <string.h>

static const char domain[] = "memkv-name-v1"; /* its closing NUL is hashed as well */

static int add(EVP_MD_CTX *ctx, const void *bytes, size_t length)
{
	le64 size = le64_of(length);

	return EVP_DigestUpdate(ctx, &size, sizeof(size)) && (length == 0 || EVP_DigestUpdate(ctx, bytes, length));
}

int memkv_key_from_name(const char *ns, const void *text, size_t length, struct memkv_key *key)
{
	if (!ns || (!text && length) || !key)
		return fail(-EINVAL, "key: a name space, a text and a place for the key are needed");
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int good = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) && EVP_DigestUpdate(ctx, domain, sizeof(domain)) &&
		   add(ctx, ns, strlen(ns)) && add(ctx, text, length) && EVP_DigestFinal_ex(ctx, key->bytes, NULL);
	EVP_MD_CTX_free(ctx);
	return good ? 0 : fail(-ENOMEM, "key: the crypto library has no memory");
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int memkv_key_from_hex(const char *hex, struct memkv_key *key)
{
	struct memkv_key read;
	size_t length = hex ? strlen(hex) : 0;

	if (!hex || !key)
		return fail(-EINVAL, "key: digits and a place for the key are needed");
	if (length != 2 * MEMKV_KEY_BYTES)
		return fail(-EINVAL, "\"%.80s\" is not a key: it has %zu characters, a key has 64 hex digits", hex, length);
	for (size_t i = 0; i < MEMKV_KEY_BYTES; i++) {
		int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);
		if (high < 0 || low < 0)
			return fail(-EINVAL, "\"%s\" is not a key: character %zu is not a hex digit", hex,
				    2 * i + (high < 0 ? 1 : 2));
		read.bytes[i] = (uint8_t)(high << 4 | low);
	}
	*key = read;
	return 0;
}

void memkv_key_to_hex(const struct memkv_key *key, char hex[MEMKV_KEY_HEX])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < MEMKV_KEY_BYTES; i++) {
		hex[2 * i] = digits[key->bytes[i] >> 4];
		hex[2 * i + 1] = digits[key->bytes[i] & 15];
	}
	hex[MEMKV_KEY_HEX - 1] = 0;
}
