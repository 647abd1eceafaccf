/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pools that are damaged, and what must be in them.
 *
 * Two pools, built once by several agents, some of which are killed:
 *   young  - segments FREE, SEALED, PARKED, and OPEN of the dead with a place whose put never finished
 *   cycled - every segment was opened several times, so tables and segments are full of stale generations;
 *	      one segment is LEAVING of the dead, and its hot blocks have moved
 * Every payload, metadata and attribute follows from the block's number and version, so that whatever a get returns
 * can be compared byte for byte.
 */
#ifndef MEMKV_FLIP_BASE_H
#define MEMKV_FLIP_BASE_H

#include "core/format/layout.h"

#include <memkv/memkv.h>

enum { BLOCK_SIZE = 80 << 10, POOL_BLOCKS = 256, SEGMENTS = 64, BASES = 2, COPIES_MAX = 4, BY_KEY = 8192 };

enum fate {
	FATE_LIVE,    /* a get must return it */
	FATE_REMOVED, /* must never come back */
	FATE_GONE,    /* evicted to make room */
	FATE_NEVER,   /* the agent died before it put it */
};

/* what an agent that comes to write would do with a segment, or what holds for the places in its table */
enum segment_use {
	USE_CLOSED, /* every place holds something: one that does not is damage */
	USE_PARKED, /* likewise; an agent would continue it, and settle places that hold nothing */
	USE_OPEN,   /* of the dead: a place may hold nothing, as a put may not have come to its end */
};

/* a place on the media where a live block lies */
struct copy {
	uint64_t segment, page; /* page of the header, from the start of the pool */
	uint32_t index, header_pages, pages;
	enum segment_use use;
};

struct block {
	uint32_t number, version;
	uint32_t length, meta_length;
	struct memkv_key key;
	enum fate fate;
	uint8_t *payload; /* of the live */
	struct copy copies[COPIES_MAX];
	uint32_t copy_count;
};

/* where damage can be done, as the table at the end names it */
#define SPOTS(X)                                                                                                    \
	X(SUPERBLOCK_A, "superblock A")                                                                              \
	X(SUPERBLOCK_B, "superblock B")                                                                              \
	X(SLOT_CELL, "slot cells")                                                                                   \
	X(OWNER_WORD, "owner words")                                                                                 \
	X(TABLE_HEADER, "table headers")                                                                             \
	X(TAIL, "tail words")                                                                                        \
	X(CHANGES, "changes words")                                                                                  \
	X(ENTRY, "live entries")                                                                                     \
	X(LIFE, "life words")                                                                                        \
	X(SEGMENT_HEADER, "segment headers")                                                                         \
	X(BLOCK_HEADER, "block headers")                                                                             \
	X(PAYLOAD, "payload")                                                                                        \
	X(HEAT, "heat")                                                                                              \
	X(AGES, "ages")                                                                                              \
	X(PULSES, "pulses")                                                                                          \
	X(STATISTICS, "statistics")                                                                                  \
	X(UNUSED, "without use")                                                                        \
	X(DEAD, "dead entries, padding")

enum spot {
#define SPOT_ENUM(name, text) SPOT_##name,
	SPOTS(SPOT_ENUM)
#undef SPOT_ENUM
	SPOT_COUNT,
};

enum page_kind { PAGE_DEAD, PAGE_BLOCK_HEADER, PAGE_PAYLOAD };

/* live bytes of one structure */
struct target {
	uint64_t offset;
	uint32_t length;
	enum spot spot;
};

struct base {
	const char *name;
	uint8_t *image; /* the whole file */
	uint64_t bytes;
	struct layout layout;
	uint64_t seed;
	struct block *blocks;
	uint32_t block_count, live;
	uint32_t *by_key; /* hash table of numbers + 1, 0: empty */
	struct target *targets; /* live metadata, sorted by place */
	uint32_t target_count;
	uint32_t first_target[SPOT_COUNT + 1];
	uint64_t generations[SEGMENTS]; /* 0: never opened */
	uint8_t *page_kinds;	        /* enum page_kind of every page */
	uint8_t *entry_used;	        /* of every segment x index: live or removed in the segment's generation */
};

/* base_build() - make pool number @which at @path, read it, remove the file; exits with a sentence when it cannot */
void base_build(struct base *base, unsigned which, const char *path);

/* base_find() - the block of a key, NULL when the base pool never had it */
const struct block *base_find(const struct base *base, const struct memkv_key *key);

void base_free(struct base *base);

/* base_scan() - learn from the image where everything lies and what is live (base_build() calls it) */
void base_scan(struct base *base);

/* base_spot() - what lies at an offset */
enum spot base_spot(const struct base *base, uint64_t offset);

/* what a block is made of; numbers are dense from 0, versions from 0 */
uint64_t mix(uint64_t x);
void block_key(uint32_t number, struct memkv_key *key);
uint32_t block_length(uint32_t number, uint32_t version);
void block_fill(uint32_t number, uint32_t version, uint8_t *payload);
uint32_t block_meta(uint32_t number, uint8_t meta[MEMKV_META_MAX]);
int block_put(struct memkv_pool *pool, uint32_t number, uint32_t version);
uint32_t block_class(uint32_t number);
/* block_session() - "" when it has none */
void block_session(uint32_t number, char session[MEMKV_SESSION_MAX + 1]);

void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif
