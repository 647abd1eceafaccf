/* SPDX-License-Identifier: Apache-2.0 */
/* See block_header.h and FORMAT.md. */
#include "core/format/block_header.h"

#include <string.h>
#define XXH_STATIC_LINKING_ONLY /* the streaming state on the stack: no allocation */
#include <xxhash.h>
#if defined(__x86_64__)
#include <xxh_x86dispatch.h> /* the same functions, by the widest vectors that the processor has */
#endif

enum { BLOCK_MAGIC = 0x4B4C424D, BLOCK_VERSION = 1, SEGMENT_MAGIC = 0x4745534D, SEGMENT_VERSION = 1 };
enum { CHUNKS_COMMON = 256 };

struct block_header_disk {
	le32 magic;
	le16 version, header_pages;
	le64 check; /* over all header pages */
	le64 generation, birth;
	uint8_t key[32];
	le32 segment, index;
	le64 page, length;
	le32 chunk_bytes, chunks; /* chunk_bytes 0: chunk ends are listed at ends_offset */
	uint8_t digest_kind, digest_bytes;
	le16 flags;
	uint8_t class_id, reserved0;
	le16 tenant;
	le32 model, depth;
	le64 group, session_id, expires_s, stored_s;
	uint8_t parent[32];
	le64 payload_digest[2];
	char session[BLOCK_SESSION_BYTES];
	le32 meta_offset, meta_length, digest_offset, ends_offset; /* ends_offset 0: none */
	uint8_t signature[BLOCK_SIGNATURE_BYTES]; /* zero: unsigned */
	uint8_t reserved[176];
};
_Static_assert(sizeof(struct block_header_disk) == BLOCK_HEADER_FIXED, "fixed part");
_Static_assert(offsetof(struct block_header_disk, check) == 8, "check is word 1");
_Static_assert(offsetof(struct block_header_disk, key) == 32, "as FORMAT.md says");
_Static_assert(offsetof(struct block_header_disk, payload_digest) == 176, "as FORMAT.md says");
_Static_assert(offsetof(struct block_header_disk, meta_offset) == 256, "as FORMAT.md says");

struct segment_header_disk {
	le32 magic;
	le16 version, reserved0;
	le64 check;
	le64 generation;
	le32 segment, class_id;
	le64 opened_s;
	uint8_t reserved[24];
};
_Static_assert(sizeof(struct segment_header_disk) == SEGMENT_HEADER_LIVE, "segment header");

uint32_t block_header_index(const uint8_t *page)
{
	le32 index;

	memcpy(&index, page + offsetof(struct block_header_disk, index), sizeof(index));
	return le32_get(index);
}

bool block_header_claimed(const uint8_t *page)
{
	le32 magic;

	memcpy(&magic, page, sizeof(magic));
	return le32_get(magic) == BLOCK_MAGIC;
}

uint32_t chunk_bytes_for(uint64_t length)
{
	uint32_t bytes = CHUNK_BYTES_MIN;

	while (div_up(length, bytes) > CHUNKS_COMMON)
		bytes *= 2;
	return bytes;
}

uint32_t chunk_count(uint64_t length, uint32_t chunk_bytes)
{
	return (uint32_t)div_up(length, chunk_bytes);
}

bool chunk_ends_valid(const le32 *ends, uint32_t chunks, uint64_t length)
{
	uint32_t before = 0;

	if (chunks < 1 || chunks > BLOCK_CHUNKS_MAX)
		return false;
	for (uint32_t i = 0; i < chunks; i++) {
		uint32_t end = le32_get(ends[i]);
		if (end <= before)
			return false;
		before = end;
	}
	return before == length;
}

void chunk_extent(const struct block_header *h, uint32_t chunk, uint64_t *offset, uint32_t *length)
{
	uint64_t begin = h->length, end = h->length;

	if (chunk < h->chunks && h->chunk_bytes) {
		begin = min_u64((uint64_t)chunk * h->chunk_bytes, h->length);
		end = min_u64(begin + h->chunk_bytes, h->length);
	} else if (chunk < h->chunks) {
		begin = chunk ? le32_get(h->ends[chunk - 1]) : 0;
		end = le32_get(h->ends[chunk]);
	}
	*offset = begin;
	*length = (uint32_t)(end - begin);
}

uint32_t chunk_at(const struct block_header *h, uint64_t offset)
{
	uint32_t low = 0, high = h->chunks;

	if (offset >= h->length)
		return h->chunks;
	if (h->chunk_bytes)
		return (uint32_t)(offset / h->chunk_bytes);
	while (low < high) { /* the first chunk that ends behind the byte */
		uint32_t middle = low + (high - low) / 2;
		if (le32_get(h->ends[middle]) > offset)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static uint64_t digests_at(uint64_t meta_length)
{
	return BLOCK_HEADER_FIXED + round_up(meta_length, 8);
}

uint32_t header_pages_listed(uint32_t chunks, uint32_t meta_length)
{
	return (uint32_t)div_up(digests_at(meta_length) + (sizeof(le64) + sizeof(le32)) * (uint64_t)chunks, PAGE);
}

uint64_t chunk_digest(const void *bytes, size_t length)
{
	return XXH3_64bits(bytes, length);
}

uint64_t chunk_bind(uint64_t digest, const uint8_t key[32], uint64_t birth, uint32_t chunk)
{
	struct {
		le64 digest, birth;
		uint8_t key[32];
	} bound = {.digest = le64_of(digest), .birth = le64_of(birth)};

	memcpy(bound.key, key, sizeof(bound.key));
	return XXH3_64bits_withSeed(&bound, sizeof(bound), ((uint64_t)CHECK_DIGEST << 56) | chunk);
}

void payload_digest(const uint64_t *digests, uint32_t chunks, uint64_t length, uint64_t out[2])
{
	XXH3_state_t state;
	le64 word = le64_of(length);

	XXH3_128bits_reset(&state);
	XXH3_128bits_update(&state, &word, sizeof(word));
	for (uint32_t i = 0; i < chunks; i++) {
		word = le64_of(digests[i]);
		XXH3_128bits_update(&state, &word, sizeof(word));
	}
	XXH128_hash_t hash = XXH3_128bits_digest(&state);
	out[0] = hash.low64;
	out[1] = hash.high64;
}

void block_header_encode(const struct block_header *h, const uint64_t *digests, uint64_t pool_seed, uint8_t *pages)
{
	size_t bytes = (size_t)h->header_pages * PAGE;
	uint64_t digest_offset = digests_at(h->meta_length);
	uint64_t ends_offset = h->chunk_bytes ? 0 : digest_offset + sizeof(le64) * h->chunks;
	struct block_header_disk disk = {
		.magic = le32_of(BLOCK_MAGIC),
		.version = le16_of(BLOCK_VERSION),
		.header_pages = le16_of(h->header_pages),
		.generation = le64_of(h->generation),
		.birth = le64_of(h->birth),
		.segment = le32_of(h->segment),
		.index = le32_of(h->index),
		.page = le64_of(h->page),
		.length = le64_of(h->length),
		.chunk_bytes = le32_of(h->chunk_bytes),
		.chunks = le32_of(h->chunks),
		.digest_kind = DIGEST_XXH3_64,
		.digest_bytes = 8,
		.flags = le16_of(h->flags),
		.class_id = h->class_id,
		.tenant = le16_of(h->tenant),
		.model = le32_of(h->model),
		.depth = le32_of(h->depth),
		.group = le64_of(h->group),
		.session_id = le64_of(h->session_id),
		.expires_s = le64_of(h->expires_s),
		.stored_s = le64_of(h->stored_s),
		.payload_digest = {le64_of(h->payload_digest[0]), le64_of(h->payload_digest[1])},
		.meta_offset = le32_of(BLOCK_HEADER_FIXED),
		.meta_length = le32_of(h->meta_length),
		.digest_offset = le32_of(digest_offset),
		.ends_offset = le32_of(ends_offset),
	};

	memcpy(disk.key, h->key, sizeof(disk.key));
	memcpy(disk.parent, h->parent, sizeof(disk.parent));
	memcpy(disk.session, h->session, sizeof(disk.session));
	if (digests) {
		memset(pages, 0, bytes);
		if (h->meta_length)
			memcpy(pages + BLOCK_HEADER_FIXED, h->meta, h->meta_length);
		le64 *table = (le64 *)(void *)(pages + digest_offset);
		for (uint32_t i = 0; i < h->chunks; i++)
			table[i] = le64_of(chunk_bind(digests[i], h->key, h->birth, i));
		if (ends_offset)
			memcpy(pages + ends_offset, h->ends, sizeof(le32) * h->chunks);
	}
	memcpy(pages, &disk, sizeof(disk));
	check_set(pages, bytes, check_seed(pool_seed, CHECK_BLOCK_HEADER, h->page, 0));
}

/* every offset and count lies inside the header's pages, and the chunks add up to the payload */
static bool header_sane(const struct block_header_disk *d, uint64_t bytes)
{
	uint64_t length = le64_get(d->length), meta_length = le32_get(d->meta_length);
	uint64_t digests = le32_get(d->digest_offset), ends = le32_get(d->ends_offset);
	uint32_t chunk_bytes = le32_get(d->chunk_bytes), chunks = le32_get(d->chunks);

	if (length < 1 || length > BLOCK_BYTES_MAX || d->digest_kind != DIGEST_XXH3_64 || d->digest_bytes != 8 ||
	    chunks < 1 || chunks > BLOCK_CHUNKS_MAX)
		return false;
	if (meta_length > BLOCK_META_MAX || le32_get(d->meta_offset) != BLOCK_HEADER_FIXED ||
	    digests != digests_at(meta_length) || digests + sizeof(le64) * chunks > bytes)
		return false;
	if (chunk_bytes)
		return chunk_bytes >= PAGE && chunk_bytes % PAGE == 0 && chunks == chunk_count(length, chunk_bytes) &&
		       ends == 0;
	return ends == digests + sizeof(le64) * chunks && ends + sizeof(le32) * chunks <= bytes &&
	       chunk_ends_valid((const le32 *)(const void *)((const uint8_t *)d + ends), chunks, length);
}

bool block_header_decode(const uint8_t *pages, size_t room, uint64_t page, uint64_t pool_seed, struct block_header *h)
{
	const struct block_header_disk *d = (const void *)pages;
	size_t bytes = room < PAGE ? 0 : (size_t)le16_get(d->header_pages) * PAGE;

	if (bytes == 0 || bytes > room || bytes > (size_t)BLOCK_HEADER_PAGES_MAX * PAGE ||
	    le32_get(d->magic) != BLOCK_MAGIC || le16_get(d->version) != BLOCK_VERSION)
		return false;
	if (!check_holds(pages, bytes, check_seed(pool_seed, CHECK_BLOCK_HEADER, page, 0)))
		return false;
	if (le64_get(d->page) != page || !header_sane(d, bytes))
		return false;
	*h = (struct block_header){
		.header_pages = le16_get(d->header_pages),
		.generation = le64_get(d->generation),
		.birth = le64_get(d->birth),
		.segment = le32_get(d->segment),
		.index = le32_get(d->index),
		.page = page,
		.length = le64_get(d->length),
		.chunk_bytes = le32_get(d->chunk_bytes),
		.chunks = le32_get(d->chunks),
		.flags = le16_get(d->flags),
		.tenant = le16_get(d->tenant),
		.class_id = d->class_id,
		.model = le32_get(d->model),
		.depth = le32_get(d->depth),
		.group = le64_get(d->group),
		.session_id = le64_get(d->session_id),
		.expires_s = le64_get(d->expires_s),
		.stored_s = le64_get(d->stored_s),
		.payload_digest = {le64_get(d->payload_digest[0]), le64_get(d->payload_digest[1])},
		.meta_length = le32_get(d->meta_length),
		.meta = pages + BLOCK_HEADER_FIXED,
		.digests = (const le64 *)(const void *)(pages + le32_get(d->digest_offset)),
		.ends = le32_get(d->chunk_bytes) ? NULL : (const le32 *)(const void *)(pages + le32_get(d->ends_offset)),
	};
	memcpy(h->key, d->key, sizeof(h->key));
	memcpy(h->parent, d->parent, sizeof(h->parent));
	memcpy(h->session, d->session, sizeof(h->session));
	h->session[BLOCK_SESSION_BYTES - 1] = 0;
	return true;
}

void segment_header_encode(const struct segment_header *h, uint64_t pool_seed, uint8_t page[PAGE])
{
	struct segment_header_disk disk = {
		.magic = le32_of(SEGMENT_MAGIC),
		.version = le16_of(SEGMENT_VERSION),
		.generation = le64_of(h->generation),
		.segment = le32_of(h->segment),
		.class_id = le32_of(h->class_id),
		.opened_s = le64_of(h->opened_s),
	};

	check_set(&disk, sizeof(disk), check_seed(pool_seed, CHECK_SEGMENT_HEADER, h->segment, 0));
	memset(page, 0, PAGE);
	memcpy(page, &disk, sizeof(disk));
}

bool segment_header_decode(const uint8_t page[PAGE], uint64_t segment, uint64_t pool_seed, struct segment_header *h)
{
	struct segment_header_disk disk;

	memcpy(&disk, page, sizeof(disk));
	if (check_or_mend(&disk, sizeof(disk), check_seed(pool_seed, CHECK_SEGMENT_HEADER, segment, 0)) == CHECK_BAD ||
	    le32_get(disk.magic) != SEGMENT_MAGIC || le32_get(disk.segment) != segment)
		return false;
	*h = (struct segment_header){
		.generation = le64_get(disk.generation),
		.segment = le32_get(disk.segment),
		.class_id = le32_get(disk.class_id),
		.opened_s = le64_get(disk.opened_s),
	};
	return true;
}
