/* SPDX-License-Identifier: Apache-2.0 */
/* Locators: as bytes, as text, and against a real pool: what they find, what they refuse. */
#include "core/format/locator_bytes.h"
#include "tests/unit/unit.h"

#include <memkv/memkv.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 70000 };

static const struct locator example = {
	.header_pages = 1, .length = BLOCK, .instance = 3, .generation = 4, .birth = 5, .segment = 6, .page = 7};

START_TEST(every_flip_is_noticed)
{
	uint8_t bytes[LOCATOR_BYTES];
	struct locator l;

	locator_encode(&example, bytes);
	ck_assert_int_eq(locator_decode(bytes, &l), LOCATOR_GOOD);
	ck_assert_int_eq(memcmp(&l, &example, sizeof(l)), 0);
	for (size_t bit = 0; bit < sizeof(bytes) * 8; bit++) {
		flip_bit(bytes, bit);
		ck_assert_int_eq(locator_decode(bytes, &l), LOCATOR_BAD);
		flip_bit(bytes, bit);
	}
}
END_TEST

/* sealed as if they were right */
START_TEST(impossible_values_are_refused)
{
	struct locator cases[] = {example, example, example, example};
	uint8_t bytes[LOCATOR_BYTES];
	struct locator l;

	cases[0].header_pages = 0;
	cases[1].length = 0;
	cases[2].generation = 0;
	cases[3].page = 0;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		locator_encode(&cases[i], bytes);
		ck_assert_int_eq(locator_decode(bytes, &l), LOCATOR_BAD);
	}
}
END_TEST

START_TEST(as_text)
{
	struct memkv_locator token, back;
	struct memkv_locator_info info;
	char text[MEMKV_LOCATOR_TEXT];

	locator_encode(&example, token.bytes);
	memkv_locator_to_text(&token, text);
	ck_assert_uint_eq(strlen(text), MEMKV_LOCATOR_TEXT - 1);
	ck_assert_int_eq(memkv_locator_from_text(text, &back), 0);
	ck_assert_int_eq(memcmp(&token, &back, sizeof(back)), 0);
	ck_assert_int_eq(memkv_locator_describe(&back, &info), 0);
	ck_assert_uint_eq(info.length, BLOCK);
	ck_assert_uint_eq(info.birth, 5);
	memset(&back, 0, sizeof(back));
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		char was = text[i];
		for (const char *c = "g0 "; *c; c++) {
			text[i] = *c == was ? '1' : *c;
			ck_assert_int_eq(memkv_locator_from_text(text, &back), MEMKV_LOCATOR);
		}
		text[i] = was;
	}
	for (size_t i = 0; i < sizeof(back); i++)
		ck_assert_uint_eq(back.bytes[i], 0); /* unchanged on failure */
	ck_assert_int_eq(memkv_locator_from_text("", &back), MEMKV_LOCATOR);
	ck_assert_int_eq(memkv_locator_from_text(NULL, &back), -22);
}
END_TEST

/* ---- against a pool ---- */

static char path[64], other_path[64];
static uint8_t block[BLOCK], got[BLOCK];

static struct memkv_pool *make(char *at, const char *name)
{
	struct memkv_create_options options = {.size = sizeof(options), .bytes = 24 << 20, .max_block = 128 << 10};
	struct memkv_pool *pool = NULL;

	snprintf(at, 64, "check_locator_%s.%d", name, (int)getpid());
	unlink(at);
	ck_assert_int_eq(memkv_pool_create(at, &options), 0);
	ck_assert_int_eq(memkv_pool_open(at, NULL, &pool), 0);
	return pool;
}

static struct memkv_key key_of(uint64_t number)
{
	struct memkv_key key = {{0}};

	memcpy(key.bytes, &number, sizeof(number));
	return key;
}

static void fill(uint64_t number)
{
	random_bytes(&number, block, sizeof(block));
}

static void put(struct memkv_pool *pool, uint64_t number, uint64_t content, uint32_t flags)
{
	struct memkv_put_options options = {.size = sizeof(options), .flags = flags};
	struct memkv_key key = key_of(number);

	fill(content);
	ck_assert_int_eq(memkv_put(pool, &key, block, BLOCK, &options), 0);
}

static void locate_number(struct memkv_pool *pool, uint64_t number, struct memkv_locator *token)
{
	struct memkv_key key = key_of(number);

	ck_assert_int_eq(memkv_locator_of(pool, &key, token), 0);
}

static struct memkv_counters counters(struct memkv_pool *pool)
{
	struct memkv_counters c;

	ck_assert_int_eq(memkv_pool_counters(pool, &c), 0);
	return c;
}

START_TEST(finds_its_put_and_no_other)
{
	struct memkv_pool *pool = make(path, "a"), *other = make(other_path, "b"), *reader = NULL;
	struct memkv_pool_options blind = {.size = sizeof(blind), .flags = MEMKV_OPEN_READ_ONLY | MEMKV_OPEN_NO_FOLLOWER};
	struct memkv_key key = key_of(1), absent = key_of(99);
	struct memkv_get_options options = {.size = sizeof(options), .flags = MEMKV_GET_UPTO};
	struct memkv_locator token, replaced;

	ck_assert_int_eq(memkv_pool_open(path, &blind, &reader), 0);
	put(pool, 1, 11, 0);
	locate_number(pool, 1, &token);
	ck_assert_int_eq(memkv_locator_of(pool, &absent, &replaced), MEMKV_MISS);
	/* a process whose index has never heard of the block */
	ck_assert_int_eq(memkv_get(reader, &key, got, BLOCK, NULL), MEMKV_MISS);
	ck_assert_int_eq(memkv_get_at(reader, &token, got, BLOCK, NULL), BLOCK);
	ck_assert_int_eq(memcmp(got, block, BLOCK), 0);
	ck_assert_int_eq(memkv_get_at(reader, &token, got, BLOCK - 1, NULL), MEMKV_SIZE);
	ck_assert_int_eq(memkv_get_at(reader, &token, got, BLOCK, &options), BLOCK);
	ck_assert_int_eq(memkv_get_at(reader, NULL, got, BLOCK, NULL), -22);
	ck_assert_int_eq(memkv_get_at(other, &token, got, BLOCK, NULL), MEMKV_OTHER_POOL);
	struct memkv_get_options timed = {.size = sizeof(timed), .deadline_us = 60000000};
	memset(got, 0, sizeof(got));
	ck_assert_int_eq(memkv_get_at(reader, &token, got, BLOCK, &timed), BLOCK);
	ck_assert_int_eq(memcmp(got, block, BLOCK), 0);
	/* replaced: the later put's bytes are not what the locator is about */
	put(pool, 1, 12, MEMKV_PUT_REPLACE);
	locate_number(pool, 1, &replaced);
	uint64_t removed = counters(reader).miss_removed;
	ck_assert_int_eq(memkv_get_at(reader, &token, got, BLOCK, NULL), MEMKV_MISS);
	ck_assert_uint_eq(counters(reader).miss_removed, removed + 1);
	ck_assert_int_eq(memkv_get_at(reader, &replaced, got, BLOCK, NULL), BLOCK);
	ck_assert_int_eq(memcmp(got, block, BLOCK), 0);
	ck_assert_int_eq(memkv_remove(pool, &key), 1);
	ck_assert_int_eq(memkv_get_at(pool, &replaced, got, BLOCK, NULL), MEMKV_MISS);
	memkv_pool_close(reader);
	memkv_pool_close(other);
	memkv_pool_close(pool);
	unlink(path);
	unlink(other_path);
}
END_TEST

/* blocks that are used move when their segment is emptied, and their locators find them; the others are misses */
START_TEST(moved_or_reclaimed)
{
	enum { KEPT = 40, FLOOD = 900 };
	struct memkv_pool *pool = make(path, "c");
	struct memkv_locator tokens[KEPT];
	unsigned found = 0, gone = 0;

	for (uint64_t n = 0; n < KEPT; n++) {
		put(pool, n, n, 0);
		locate_number(pool, n, &tokens[n]);
	}
	for (uint64_t n = 0; n < FLOOD; n++) {
		put(pool, 1000 + n, 1000 + n, 0);
		for (uint64_t k = 0; k < KEPT; k += 4)
			memkv_get_at(pool, &tokens[k], got, BLOCK, NULL);
	}
	ck_assert_uint_gt(counters(pool).moved_blocks, 0);
	for (uint64_t n = 0; n < KEPT; n++) {
		int64_t result = memkv_get_at(pool, &tokens[n], got, BLOCK, NULL);
		ck_assert(result == BLOCK || result == MEMKV_MISS);
		fill(n);
		ck_assert(result == MEMKV_MISS || memcmp(got, block, BLOCK) == 0);
		found += result == BLOCK;
		gone += result == MEMKV_MISS;
	}
	ck_assert_uint_gt(found, 0);
	ck_assert_uint_gt(gone, KEPT / 2);
	ck_assert_uint_ge(counters(pool).miss_reclaimed, gone);
	ck_assert_uint_eq(counters(pool).miss_damaged, 0);
	memkv_pool_close(pool);
	unlink(path);
}
END_TEST

/* sealed anew after any change: misses, refusals, or the right bytes of what was asked for */
START_TEST(forged_ones)
{
	struct memkv_pool *pool = make(path, "d");
	struct memkv_locator token, forged;
	uint64_t random = 7;
	unsigned misses = 0, refused = 0;

	for (uint64_t n = 0; n < 20; n++)
		put(pool, n, n, 0);
	fill(3);
	locate_number(pool, 3, &token);
	for (int i = 0; i < 20000; i++) {
		struct locator l;
		ck_assert_int_eq(locator_decode(token.bytes, &l), LOCATOR_GOOD);
		uint64_t value = random_next(&random);
		value = i % 3 ? value % 256 : value;
		switch (random_next(&random) % 7) {
		case 0: l.header_pages = (uint32_t)(value & 255); break;
		case 1: l.length = (uint32_t)value; break;
		case 2: l.generation = value; break;
		case 3: l.birth = value; break;
		case 4: l.segment = (uint32_t)value; break;
		case 5: l.page = (uint32_t)value; break;
		default: l.key[value % 32] ^= (uint8_t)(1 + value % 255);
		}
		locator_encode(&l, forged.bytes);
		struct memkv_get_options upto = {.size = sizeof(upto), .flags = MEMKV_GET_UPTO};
		int64_t result = memkv_get_at(pool, &forged, got, BLOCK, &upto);
		misses += result == MEMKV_MISS;
		refused += result == MEMKV_LOCATOR;
		ck_assert(result == MEMKV_MISS || result == MEMKV_LOCATOR || result == MEMKV_SIZE ||
			  (result == BLOCK && memcmp(got, block, BLOCK) == 0));
	}
	ck_assert_uint_gt(misses, 1000);
	ck_assert_uint_gt(refused, 1000);
	memkv_pool_close(pool);
	unlink(path);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {every_flip_is_noticed, impossible_values_are_refused, as_text, finds_its_put_and_no_other,
				      moved_or_reclaimed,    forged_ones,		     NULL};

	return unit_run("locator", tests);
}
