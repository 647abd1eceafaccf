/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The block header: a whole number of pages in front of every payload.  It says what the block is (key, birth),
 * where it is (generation, segment, index, page), and how to verify it (a digest a chunk), so that a reader needs
 * nothing else to know whether the bytes behind it are the ones that were put.
 *
 *   fixed part (512 bytes) | caller's metadata, padded to 8 | digests | chunk ends (only when not uniform)
 */
#ifndef MEMKV_FORMAT_BLOCK_HEADER_H
#define MEMKV_FORMAT_BLOCK_HEADER_H

#include "core/format/check.h"
#include "core/format/layout.h"

enum {
	BLOCK_HEADER_FIXED = 512,
	BLOCK_META_MAX = 1024,
	BLOCK_SESSION_BYTES = 64,
	BLOCK_SIGNATURE_BYTES = 64,
	BLOCK_CHUNKS_MAX = 4096,
	BLOCK_HEADER_PAGES_MAX = 255,
	CHUNK_BYTES_MIN = 64 << 10,
	SEGMENT_HEADER_LIVE = 64,
};

enum digest_kind { DIGEST_XXH3_64 = 1 };
enum { BLOCK_HAS_PARENT = 1 << 0 };

/* block_header_index() - what @page claims to be the header of, before it is verified */
uint32_t block_header_index(const uint8_t *page);
/* block_header_claimed() - does @page claim to be one, before it is verified? */
bool block_header_claimed(const uint8_t *page);

struct block_header {
	uint32_t header_pages;
	uint64_t generation, birth;
	uint8_t key[32];
	uint32_t segment, index;
	uint64_t page;	 /* of this header, from the start of the pool */
	uint64_t length; /* payload bytes */
	uint32_t chunk_bytes, chunks; /* chunk_bytes 0: chunks end where @ends says */
	uint16_t flags, tenant;
	uint8_t class_id;
	uint32_t model, depth;
	uint64_t group, session_id, expires_s, stored_s;
	uint8_t parent[32];
	uint64_t payload_digest[2]; /* of the unbound chunk digests: equal for equal bytes with equal chunks */
	char session[BLOCK_SESSION_BYTES];
	uint32_t meta_length;
	const uint8_t *meta; /* encode: the caller's; decode: into the page */
	const le64 *digests; /* decode: into the page, @chunks of them */
	const le32 *ends;    /* where each chunk ends, @chunks of them, when @chunk_bytes is 0; decode: into the page */
};

/* chunk_bytes_for() - bytes a chunk of a payload: 64 KiB, doubled until at most 256 chunks are needed */
uint32_t chunk_bytes_for(uint64_t length);
uint32_t chunk_count(uint64_t length, uint32_t chunk_bytes);

/* chunk_ends_valid() - 1 to BLOCK_CHUNKS_MAX ends, strictly ascending from at least 1, the last one at @length */
bool chunk_ends_valid(const le32 *ends, uint32_t chunks, uint64_t length);

/* header_pages_listed() - header_pages() of a block whose chunk ends are listed */
uint32_t header_pages_listed(uint32_t chunks, uint32_t meta_length);

/*
 * chunk_extent() - where a chunk's bytes lie within the payload, for both kinds of chunks
 * @h: decoded, or about to be encoded.
 *
 * A chunk that the block does not have is empty and lies at the payload's end.
 */
void chunk_extent(const struct block_header *h, uint32_t chunk, uint64_t *offset, uint32_t *length);

/* chunk_at() - the chunk that holds the payload's byte @offset; h->chunks when that is past the end */
uint32_t chunk_at(const struct block_header *h, uint64_t offset);

/* Digest of a chunk's bytes alone, and the digest that is stored: bound to the block, so no other block's chunk passes. */
uint64_t chunk_digest(const void *bytes, size_t length);
uint64_t chunk_bind(uint64_t digest, const uint8_t key[32], uint64_t birth, uint32_t chunk);

/* payload_digest() - 128 bits over the unbound digests of all chunks and the length */
void payload_digest(const uint64_t *digests, uint32_t chunks, uint64_t length, uint64_t out[2]);

/*
 * block_header_encode() - into h->header_pages pages at @pages, which are aligned to 8
 * @digests: unbound chunk digests, h->chunks of them; NULL: keep what stands behind the fixed part in @pages
 *	     (metadata, digests, chunk ends: a move, which changes only the place).
 */
void block_header_encode(const struct block_header *h, const uint64_t *digests, uint64_t pool_seed, uint8_t *pages);

/*
 * block_header_decode() - verify and read
 * @pages, @room: bytes read at @page; at least one page, aligned to 8, and nobody else's to write.
 *
 * Return: true when it verifies as the header that belongs at @page of this pool.  Then every pointer and count in
 * @h lies inside the header's pages, whatever the bytes are.
 */
bool block_header_decode(const uint8_t *pages, size_t room, uint64_t page, uint64_t pool_seed, struct block_header *h);

/*
 * Segment header: the page in front of a segment's blocks; second source of the table header.
 */
struct segment_header {
	uint64_t generation;
	uint32_t segment, class_id;
	uint64_t opened_s;
};

void segment_header_encode(const struct segment_header *h, uint64_t pool_seed, uint8_t page[PAGE]);
/* segment_header_decode() - a single flipped bit is mended in @h */
bool segment_header_decode(const uint8_t page[PAGE], uint64_t segment, uint64_t pool_seed, struct segment_header *h);

#endif
