/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locators that come from anywhere, against a pool of three blocks: garbage, a right one with bytes changed, the same
 * sealed anew, texts.
 *
 * Must hold: no fault; refused, a miss, or the exact bytes of the put that the locator names; what is read from a text is what
 * a text is written of.
 */
#include "fuzz.h"

#include "core/format/locator_bytes.h"

#include <memkv/memkv.h>
#include <unistd.h>

enum { BLOCKS = 3, BLOCK = 9000 };
enum { FLAG_GARBAGE = 1, FLAG_UNSEALED = 2, FLAG_TEXT = 4 };

static struct memkv_pool *pool;
static struct memkv_locator tokens[BLOCKS];
static uint8_t blocks[BLOCKS][BLOCK];
static char path[64];

static void remove_pool(void)
{
	memkv_pool_close(pool);
	unlink(path);
}

static void make_pool(void)
{
	struct memkv_create_options options = {.size = sizeof(options), .bytes = 9 << 20, .max_block = 64 << 10,
					       .flags = MEMKV_CREATE_FORCE};
	struct memkv_key key = {{0}};

	snprintf(path, sizeof(path), "fuzz_locator.%d", (int)getpid());
	MUST(memkv_pool_create(path, &options) == 0 && memkv_pool_open(path, NULL, &pool) == 0);
	for (int i = 0; i < BLOCKS; i++) {
		key.bytes[0] = (uint8_t)(i + 1);
		memset(blocks[i], 'a' + i, BLOCK);
		MUST(memkv_put(pool, &key, blocks[i], BLOCK, NULL) == 0);
		MUST(memkv_locator_of(pool, &key, &tokens[i]) == 0);
	}
	atexit(remove_pool);
}

static void fuzz_text(struct bytes_in in)
{
	char text[MEMKV_LOCATOR_TEXT + 8] = "", again[MEMKV_LOCATOR_TEXT];
	struct memkv_locator token;

	memcpy(text, in.at, in.left < sizeof(text) - 1 ? in.left : sizeof(text) - 1);
	if (memkv_locator_from_text(text, &token))
		return;
	memkv_locator_to_text(&token, again);
	for (size_t i = 0; i < sizeof(again); i++)
		MUST(text[i] == again[i] || (text[i] >= 'A' && text[i] <= 'F' && text[i] + 32 == again[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct memkv_get_options upto = {.size = sizeof(upto), .flags = MEMKV_GET_UPTO};
	static uint8_t got[64 << 10];
	struct memkv_locator_info info;
	struct memkv_locator token;
	struct bytes_in in = {data, size};
	unsigned flags = (unsigned)eat(&in, 1), which = (unsigned)eat(&in, 1) % BLOCKS;

	if (!pool)
		make_pool();
	if (flags & FLAG_TEXT) {
		fuzz_text(in);
		return 0;
	}
	token = tokens[which];
	for (unsigned at = (unsigned)eat(&in, 1) % LOCATOR_BYTES; in.left && at < LOCATOR_BYTES; at++)
		token.bytes[at] = (uint8_t)((flags & FLAG_GARBAGE ? 0 : token.bytes[at]) ^ eat(&in, 1));
	if (!(flags & FLAG_UNSEALED))
		check_set(token.bytes, LOCATOR_BYTES, check_seed(0x6D656D6B766C6F63ULL, CHECK_LOCATOR, 0, 0));
	int known = memkv_locator_describe(&token, &info);
	int64_t result = memkv_get_at(pool, &token, got, sizeof(got), &upto);
	MUST(result == BLOCK || result == MEMKV_MISS || result == MEMKV_SIZE || result == MEMKV_LOCATOR ||
	     result == MEMKV_NEWER || result == MEMKV_OTHER_POOL);
	MUST(known == 0 || result == known);
	if (result == BLOCK)
		MUST(info.key.bytes[0] >= 1 && info.key.bytes[0] <= BLOCKS &&
		     memcmp(got, blocks[info.key.bytes[0] - 1], BLOCK) == 0);
	return 0;
}
