/* SPDX-License-Identifier: Apache-2.0 */
/* Block and segment headers: round trip, binding to the place, both kinds of chunks, and bytes of any kind. */
#include "core/format/block_header.h"
#include "tests/unit/unit.h"

#include <string.h>

static const uint64_t seed = 0xB10C;
enum { PAGES_MAX = 16, PLACE = 5000 };

static _Alignas(8) uint8_t pages[PAGES_MAX * PAGE];
static _Alignas(8) uint8_t copy[PAGES_MAX * PAGE];
static uint64_t digests[BLOCK_CHUNKS_MAX];
static le32 ends[BLOCK_CHUNKS_MAX];
static uint8_t meta[BLOCK_META_MAX];

static struct block_header example(uint64_t length, uint32_t meta_length)
{
	struct block_header h = {
		.header_pages = header_pages(length, meta_length),
		.generation = 11,
		.birth = 0x22334455,
		.segment = 33,
		.index = 44,
		.page = PLACE,
		.length = length,
		.chunk_bytes = chunk_bytes_for(length),
		.chunks = chunk_count(length, chunk_bytes_for(length)),
		.flags = BLOCK_HAS_PARENT,
		.tenant = 55,
		.class_id = 2,
		.model = 66,
		.depth = 77,
		.group = 88,
		.session_id = 99,
		.expires_s = 1800000000,
		.stored_s = 1700000000,
		.session = "conversation 42",
		.meta = meta,
		.meta_length = meta_length,
	};
	uint64_t state = length + meta_length;

	random_bytes(&state, h.key, sizeof(h.key));
	random_bytes(&state, h.parent, sizeof(h.parent));
	random_bytes(&state, meta, sizeof(meta));
	for (uint32_t i = 0; i < BLOCK_CHUNKS_MAX; i++)
		digests[i] = random_next(&state);
	payload_digest(digests, h.chunks, length, h.payload_digest);
	return h;
}

/* the same with @chunks listed chunks of uneven size; @length is at least @chunks */
static struct block_header listed(uint64_t length, uint32_t chunks, uint32_t meta_length)
{
	struct block_header h = example(length, meta_length);

	h.chunk_bytes = 0;
	h.chunks = chunks;
	h.header_pages = header_pages_listed(chunks, meta_length);
	for (uint32_t i = 0; i < chunks; i++)
		ends[i] = le32_of(length * (i + 1) / chunks);
	h.ends = ends;
	payload_digest(digests, h.chunks, length, h.payload_digest);
	return h;
}

static void assert_same(const struct block_header *a, const struct block_header *b)
{
	ck_assert_uint_eq(a->header_pages, b->header_pages);
	ck_assert_uint_eq(a->generation, b->generation);
	ck_assert_uint_eq(a->birth, b->birth);
	ck_assert_mem_eq(a->key, b->key, 32);
	ck_assert_uint_eq(a->segment, b->segment);
	ck_assert_uint_eq(a->index, b->index);
	ck_assert_uint_eq(a->page, b->page);
	ck_assert_uint_eq(a->length, b->length);
	ck_assert_uint_eq(a->chunk_bytes, b->chunk_bytes);
	ck_assert_uint_eq(a->chunks, b->chunks);
	ck_assert_uint_eq(a->flags, b->flags);
	ck_assert_uint_eq(a->tenant, b->tenant);
	ck_assert_uint_eq(a->class_id, b->class_id);
	ck_assert_uint_eq(a->model, b->model);
	ck_assert_uint_eq(a->depth, b->depth);
	ck_assert_uint_eq(a->group, b->group);
	ck_assert_uint_eq(a->session_id, b->session_id);
	ck_assert_uint_eq(a->expires_s, b->expires_s);
	ck_assert_uint_eq(a->stored_s, b->stored_s);
	ck_assert_mem_eq(a->parent, b->parent, 32);
	ck_assert_mem_eq(a->payload_digest, b->payload_digest, 16);
	ck_assert_str_eq(a->session, b->session);
	ck_assert_uint_eq(a->meta_length, b->meta_length);
	if (a->meta_length)
		ck_assert_mem_eq(a->meta, b->meta, a->meta_length);
	ck_assert_int_eq(a->ends == NULL, b->ends == NULL);
	if (a->ends)
		ck_assert_mem_eq(a->ends, b->ends, a->chunks * sizeof(le32));
}

/* chunks follow each other from 0 to the length, and chunk_at() finds each of their bytes (one assertion: it is slow)
 */
static void assert_chunks_tile(const struct block_header *h)
{
	uint64_t at = 0, offset;
	uint32_t length;
	bool tile = h->chunks >= 1;

	for (uint32_t i = 0; i < h->chunks; i++) {
		chunk_extent(h, i, &offset, &length);
		tile &= offset == at && length > 0 && chunk_at(h, offset) == i && chunk_at(h, offset + length - 1) == i;
		at += length;
	}
	tile &= at == h->length && chunk_at(h, h->length) == h->chunks && chunk_at(h, UINT64_MAX) == h->chunks;
	for (uint32_t i = 0; i < 3; i++) {
		chunk_extent(h, i ? h->chunks + i : UINT32_MAX, &offset, &length);
		tile &= offset == h->length && length == 0;
	}
	ck_assert(tile);
}

static void assert_round_trip(const struct block_header *h)
{
	struct block_header back;

	memset(pages, 0xEE, sizeof(pages));
	block_header_encode(h, digests, seed, pages);
	ck_assert_uint_eq(pages[h->header_pages * PAGE], 0xEE);
	ck_assert(block_header_decode(pages, sizeof(pages), PLACE, seed, &back));
	assert_same(h, &back);
	uint32_t right = 0;
	for (uint32_t i = 0; i < h->chunks; i++)
		right += le64_get(back.digests[i]) == chunk_bind(digests[i], h->key, h->birth, i);
	ck_assert_uint_eq(right, h->chunks);
	ck_assert(back.meta >= pages);
	ck_assert((const uint8_t *)(back.digests + back.chunks) <= pages + h->header_pages * PAGE);
	assert_chunks_tile(&back);
	/* enough room, and only in its place and pool */
	ck_assert(block_header_decode(pages, (size_t)h->header_pages * PAGE, PLACE, seed, &back));
	ck_assert(!block_header_decode(pages, (size_t)h->header_pages * PAGE - 1, PLACE, seed, &back));
	ck_assert(!block_header_decode(pages, 0, PLACE, seed, &back));
	ck_assert(!block_header_decode(pages, sizeof(pages), PLACE + 1, seed, &back));
	ck_assert(!block_header_decode(pages, sizeof(pages), PLACE, seed + 1, &back));
}

START_TEST(round_trip_uniform)
{
	static const uint64_t lengths[] = {1, 4095, 4096, KIB(64), KIB(64) + 1, MIB(1), MIB(16), MIB(16) + 1, MIB(256)};
	static const uint32_t metas[] = {0, 1, 7, 8, 100, 1023, 1024};

	for (size_t i = 0; i < ARRAY_COUNT(lengths); i++)
		for (size_t j = 0; j < ARRAY_COUNT(metas); j++) {
			struct block_header h = example(lengths[i], metas[j]);
			assert_round_trip(&h);
		}
}
END_TEST

START_TEST(round_trip_listed)
{
	static const uint32_t counts[] = {1, 2, 3, 80, 255, 256, 257, 1000, BLOCK_CHUNKS_MAX};

	for (size_t i = 0; i < ARRAY_COUNT(counts); i++)
		for (uint32_t meta_length = 0; meta_length <= BLOCK_META_MAX; meta_length += 341) {
			struct block_header h = listed(MIB(3) + 17, counts[i], meta_length);
			ck_assert_uint_le(h.header_pages, 13);
			assert_round_trip(&h);
			h = listed(counts[i], counts[i], meta_length); /* chunks of one byte */
			assert_round_trip(&h);
		}
	ck_assert_uint_eq(header_pages_listed(1, 0), 1);
	/* 512 fixed + 12 a chunk: 298 fit into a page, 299 do not */
	ck_assert_uint_eq(header_pages_listed(298, 0), 1);
	ck_assert_uint_eq(header_pages_listed(299, 0), 2);
}
END_TEST

START_TEST(lists_that_are_none)
{
	le32 list[4] = {le32_of(1), le32_of(5), le32_of(6), le32_of(10)};

	ck_assert(chunk_ends_valid(list, 4, 10));
	ck_assert(!chunk_ends_valid(list, 4, 11));
	ck_assert(!chunk_ends_valid(list, 3, 10));
	ck_assert(!chunk_ends_valid(list, 0, 0));
	ck_assert(!chunk_ends_valid(NULL, BLOCK_CHUNKS_MAX + 1, 10));
	list[0] = le32_of(0);
	ck_assert(!chunk_ends_valid(list, 4, 10));
	list[0] = le32_of(5);
	ck_assert(!chunk_ends_valid(list, 4, 10));
	list[0] = le32_of(7);
	ck_assert(!chunk_ends_valid(list, 4, 10));
}
END_TEST

/* a move: the place changes, everything behind the fixed part stays */
START_TEST(moved)
{
	struct block_header forms[] = {example(MIB(2), 100), listed(MIB(2), 33, 100)};

	for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
		struct block_header there = i ? listed(MIB(2), 33, 100) : example(MIB(2), 100), back;
		block_header_encode(&there, digests, seed, pages);
		ck_assert(block_header_decode(pages, sizeof(pages), PLACE, seed, &there));
		there.page = PLACE + 700;
		there.generation = 12;
		there.segment = 34;
		there.index = 1;
		block_header_encode(&there, NULL, seed, pages);
		ck_assert(!block_header_decode(pages, sizeof(pages), PLACE, seed, &back));
		ck_assert(block_header_decode(pages, sizeof(pages), PLACE + 700, seed, &back));
		assert_same(&there, &back);
		for (uint32_t c = 0; c < back.chunks; c++)
			ck_assert_uint_eq(le64_get(back.digests[c]), chunk_bind(digests[c], back.key, back.birth, c));
		assert_chunks_tile(&back);
	}
}
END_TEST

START_TEST(every_flip_is_rejected)
{
	struct block_header forms[] = {example(MIB(1), 100), listed(MIB(1), 80, 100), listed(MIB(1), 600, 9)}, back;

	for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
		struct block_header h = forms[i];
		if (h.chunk_bytes == 0)
			h = listed(h.length, h.chunks, h.meta_length); /* the list is shared: make it anew */
		block_header_encode(&h, digests, seed, pages);
		ck_assert(block_header_decode(pages, sizeof(pages), PLACE, seed, &back));
		size_t passed = 0;
		for (size_t bit = 0; bit < (size_t)h.header_pages * PAGE * 8; bit++) {
			flip_bit(pages, bit);
			passed += block_header_decode(pages, sizeof(pages), PLACE, seed, &back);
			flip_bit(pages, bit);
		}
		ck_assert_uint_eq(passed, 0);
	}
}
END_TEST

static uint32_t le32_in(size_t offset)
{
	le32 v;

	memcpy(&v, pages + offset, sizeof(v));
	return le32_get(v);
}

static void le32_into(size_t offset, uint32_t value)
{
	le32 v = le32_of(value);

	memcpy(pages + offset, &v, sizeof(v));
}

/* offsets as FORMAT.md gives them */
enum {
	AT_PAGE = 72,
	AT_LENGTH = 80,
	AT_CHUNK_BYTES = 88,
	AT_CHUNKS = 92,
	AT_DIGEST_KIND = 96,
	AT_META_OFFSET = 256,
	AT_META_LENGTH = 260,
	AT_DIGEST_OFFSET = 264,
	AT_ENDS_OFFSET = 268,
};

static bool forged_passes(void)
{
	struct block_header back;
	le16 count;

	memcpy(&count, pages + 6, sizeof(count));
	size_t bytes = (size_t)le16_get(count) * PAGE;
	if (bytes == 0 || bytes > sizeof(pages))
		return false;
	check_set(pages, bytes, check_seed(seed, CHECK_BLOCK_HEADER, PLACE, 0));
	if (!block_header_decode(pages, sizeof(pages), PLACE, seed, &back))
		return false;
	/* whoever passes may be used: read everything that it points to */
	ck_assert_ptr_eq(back.meta, pages + BLOCK_HEADER_FIXED);
	ck_assert(back.meta + back.meta_length <= (const uint8_t *)back.digests);
	ck_assert((const uint8_t *)(back.digests + back.chunks) <= pages + bytes);
	if (back.ends)
		ck_assert((const uint8_t *)(back.ends + back.chunks) <= pages + bytes);
	ck_assert_uint_le(strlen(back.session), BLOCK_SESSION_BYTES - 1);
	assert_chunks_tile(&back);
	return true;
}

/* contradictions with a check that holds: as if made by a faulty or hostile writer */
START_TEST(contradictions_with_a_right_check)
{
	static const struct {
		size_t at;
		uint32_t value;
	} rows[] = {
		{AT_PAGE, PLACE + 1},
		{AT_LENGTH, 0},
		{AT_LENGTH, MIB(256) + 1},
		{AT_LENGTH + 4, 1},
		{AT_CHUNK_BYTES, 1},
		{AT_CHUNK_BYTES, 4095},
		{AT_CHUNK_BYTES, 65537},
		{AT_CHUNK_BYTES, UINT32_MAX},
		{AT_CHUNKS, 0},
		{AT_CHUNKS, 15},
		{AT_CHUNKS, 17},
		{AT_CHUNKS, UINT32_MAX},
		{AT_CHUNK_BYTES, 0},
		{AT_DIGEST_KIND, 0},
		{AT_DIGEST_KIND, 0x0802},
		{AT_META_OFFSET, 0},
		{AT_META_OFFSET, 520},
		{AT_META_LENGTH, 1025},
		{AT_META_LENGTH, UINT32_MAX},
		{AT_DIGEST_OFFSET, 0},
		{AT_DIGEST_OFFSET, 4096},
		{AT_DIGEST_OFFSET, UINT32_MAX},
		{AT_ENDS_OFFSET, 8},
		{AT_ENDS_OFFSET, UINT32_MAX},
	};
	struct block_header h = example(MIB(1), 100);

	block_header_encode(&h, digests, seed, pages);
	memcpy(copy, pages, sizeof(copy));
	ck_assert_uint_eq(le32_in(AT_LENGTH), MIB(1));
	ck_assert_uint_eq(le32_in(AT_CHUNKS), 16);
	ck_assert_uint_eq(le32_in(AT_META_LENGTH), 100);
	ck_assert(forged_passes());
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		memcpy(pages, copy, sizeof(pages));
		le32_into(rows[i].at, rows[i].value);
		ck_assert_msg(!forged_passes(), "row %zu passed", i);
	}
}
END_TEST

START_TEST(listed_contradictions_with_a_right_check)
{
	struct block_header h = listed(MIB(1), 16, 100);

	block_header_encode(&h, digests, seed, pages);
	memcpy(copy, pages, sizeof(copy));
	uint32_t list = le32_in(AT_ENDS_OFFSET);
	ck_assert_uint_eq(list, 512 + 104 + 16 * 8);
	ck_assert(forged_passes());
	const struct {
		size_t at;
		uint32_t value;
	} rows[] = {
		{AT_ENDS_OFFSET, 0},
		{AT_ENDS_OFFSET, list - 4},
		{AT_ENDS_OFFSET, UINT32_MAX - 3},
		{AT_CHUNK_BYTES, KIB(32)},
		{AT_CHUNK_BYTES, KIB(64)},
		{AT_CHUNKS, 15},
		{AT_CHUNKS, 4097},
		{list, 0},
		{list, UINT32_MAX},
		{list + 4, KIB(64)},
		{list + 60, MIB(1) - 1},
		{list + 60, MIB(1) + 1},
		{AT_LENGTH, MIB(1) + 1},
		{AT_LENGTH + 4, 1},
	};
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		memcpy(pages, copy, sizeof(pages));
		le32_into(rows[i].at, rows[i].value);
		ck_assert_msg(!forged_passes(), "row %zu passed", i);
	}
}
END_TEST

/* counts that agree with each other and are still too many */
START_TEST(too_much)
{
	static uint8_t long_meta[BLOCK_META_MAX + 8];
	struct block_header h = example(4096ULL * BLOCK_CHUNKS_MAX, 0);

	h.chunk_bytes = PAGE;
	h.chunks = BLOCK_CHUNKS_MAX;
	h.header_pages = 9;
	block_header_encode(&h, digests, seed, pages);
	ck_assert(forged_passes());
	le32_into(AT_CHUNKS, BLOCK_CHUNKS_MAX + 1);
	le32_into(AT_LENGTH, 4096 * (BLOCK_CHUNKS_MAX + 1));
	ck_assert(!forged_passes());
	h = example(100, BLOCK_META_MAX);
	h.meta = long_meta;
	block_header_encode(&h, digests, seed, pages);
	ck_assert(forged_passes());
	h.meta_length += 8;
	block_header_encode(&h, digests, seed, pages);
	ck_assert(!forged_passes());
}
END_TEST

/* what is described lies behind the header's pages, in memory that is there by chance */
START_TEST(beyond_the_pages)
{
	struct block_header h = example(MIB(256), 0);

	h.chunk_bytes = KIB(256);
	h.chunks = 1024;
	h.header_pages = 3;
	block_header_encode(&h, digests, seed, pages);
	ck_assert(forged_passes());
	pages[6] = 2; /* header pages */
	ck_assert(!forged_passes());
	h = listed(MIB(1), 400, 0); /* digests in the first page, ends in the second */
	block_header_encode(&h, digests, seed, pages);
	ck_assert_uint_eq(pages[6], 2);
	ck_assert(forged_passes());
	pages[6] = 1;
	ck_assert(!forged_passes());
}
END_TEST

/* random damage to both forms, made to verify: never a crash, and what passes stays inside its pages */
START_TEST(any_bytes_are_safe)
{
	uint64_t state = 9;
	unsigned passed = 0;
	struct block_header back;

	for (int round = 0; round < 200000; round++) {
		if (round % 50 == 0) {
			struct block_header h = round % 100
							? example(1 + random_next(&state) % MIB(20), 100)
							: listed(MIB(2), 1 + (uint32_t)random_next(&state) % 600, 9);
			memset(copy, 0, sizeof(copy));
			block_header_encode(&h, digests, seed, copy);
		}
		memcpy(pages, copy, sizeof(pages));
		for (int changes = 0; changes < 2; changes++) {
			size_t at = 4 * (random_next(&state) % 2 ? 20 + random_next(&state) % 60
								 : random_next(&state) % 400);
			uint32_t value = (uint32_t)(random_next(&state) >> random_next(&state) % 64);
			if (at == 0 || at == 4)
				continue;
			le32_into(at, value);
		}
		passed += forged_passes();
	}
	ck_assert_uint_ge(passed, 1000);
	for (int round = 0; round < 20000; round++) {
		random_bytes(&state, pages, PAGE);
		ck_assert(!block_header_decode(pages, PAGE, PLACE, seed, &back));
	}
}
END_TEST

START_TEST(digests_are_bound)
{
	uint8_t key[32] = {1}, other[32] = {2};
	uint64_t digest = chunk_digest("some bytes", 10), bound = chunk_bind(digest, key, 5, 0), out[2], again[2];

	ck_assert_uint_ne(digest, chunk_digest("some bytez", 10));
	ck_assert_uint_eq(bound, chunk_bind(digest, key, 5, 0));
	ck_assert_uint_ne(bound, chunk_bind(digest, other, 5, 0));
	ck_assert_uint_ne(bound, chunk_bind(digest, key, 6, 0));
	ck_assert_uint_ne(bound, chunk_bind(digest, key, 5, 1));
	ck_assert_uint_ne(bound, chunk_bind(digest + 1, key, 5, 0));
	payload_digest(digests, 4, 100, out);
	payload_digest(digests, 4, 100, again);
	ck_assert_mem_eq(out, again, 16);
	payload_digest(digests, 4, 101, again);
	ck_assert_mem_ne(out, again, 16);
	payload_digest(digests, 3, 100, again);
	ck_assert_mem_ne(out, again, 16);
}
END_TEST

START_TEST(segment_headers)
{
	struct segment_header h = {.generation = 1, .segment = 2, .class_id = 3, .opened_s = 4}, back;
	uint8_t page[PAGE];

	segment_header_encode(&h, seed, page);
	for (size_t bit = 0; bit <= 64 * 8; bit++) {
		if (bit)
			flip_bit(page, bit - 1);
		ck_assert(segment_header_decode(page, 2, seed, &back));
		ck_assert_uint_eq(back.generation, 1);
		ck_assert_uint_eq(back.segment, 2);
		ck_assert_uint_eq(back.class_id, 3);
		ck_assert_uint_eq(back.opened_s, 4);
		if (bit)
			flip_bit(page, bit - 1);
	}
	ck_assert(!segment_header_decode(page, 3, seed, &back));
	ck_assert(!segment_header_decode(page, 2, seed + 1, &back));
	memset(page, 0, sizeof(page));
	ck_assert(!segment_header_decode(page, 2, seed, &back));
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {round_trip_uniform,
				      round_trip_listed,
				      lists_that_are_none,
				      moved,
				      every_flip_is_rejected,
				      contradictions_with_a_right_check,
				      listed_contradictions_with_a_right_check,
				      too_much,
				      beyond_the_pages,
				      any_bytes_are_safe,
				      digests_are_bound,
				      segment_headers,
				      NULL};
	return unit_run("block_header", tests);
}
