/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where everything lies in a pool: one arithmetic for create, open, check and tests.
 *
 *   superblock A | slot cells x 2 | hold cells | claim rows | owner words | key cells | log rings x 2 |
 *   checkpoints x 2 | segment tables | heat | ages | pulses | statistics | segments ... | superblock B
 *
 * All offsets are multiples of PAGE (4096), the default logical block, so that any image opens on any medium.
 *
 * A pool of several namespaces has one address space of pages.  The first namespace, *home*, is what a pool of one is; each
 * further one is an extent behind it, with what belongs to its own segments:
 *
 *   superblock A | owner words | ages | pulses | heat | segment tables | segments ... | superblock B
 *
 * Segment numbers go on over the namespaces.  What belongs to a segment is found by layout_extent(), through the functions
 * below; the regions that have no segment (slots, logs, statistics) are at home.
 */
#ifndef MEMKV_FORMAT_LAYOUT_H
#define MEMKV_FORMAT_LAYOUT_H

#include "core/base/bytes.h"

#ifndef MEMKV_SEGMENTS_MIN
#define MEMKV_SEGMENTS_MIN 64 /* the format's; simulated pools are smaller */
#endif

enum {
	PAGE_SHIFT = 12,
	PAGE = 1 << PAGE_SHIFT,
	SEGMENTS_MIN = MEMKV_SEGMENTS_MIN,
	SLOTS_MAX = 256,
	SLOT_COPIES = 2,
	RINGS_PER_SLOT = 2,
	CHECKPOINTS_PER_SLOT = 2,
	TENANTS_MAX = 64,
	CLAIM_BYTES = 64,
	ENTRY_BYTES = 128,
	NAMESPACES_MAX = 15, /* of a pool, in all its life, the first included */
};
#define SEGMENTS_MAX (1ULL << 24)
#define BLOCK_BYTES_MAX MIB(256)
#define SEGMENT_PAGES_MAX (1ULL << 31)
#define POOL_PAGES_MAX (1ULL << 40)
#define ENTRIES_MAX (1ULL << 24)

/* What a pool is made of: the numbers that the superblock stores, from which all offsets follow. */
struct geometry {
	uint64_t bytes;		  /* of the medium that the pool uses, superblocks included */
	uint64_t max_block;	  /* largest payload */
	uint64_t segment_room;	  /* payload bytes of a segment, in largest blocks' terms; informative */
	uint32_t segments;
	uint32_t segment_pages;	  /* stride, segment header included */
	uint32_t last_pages;	  /* of the last segment, at most segment_pages */
	uint32_t entries;	  /* per segment table */
	uint32_t slots;
	uint32_t ring_bytes;	  /* one log ring */
	uint32_t checkpoint_bytes; /* one checkpoint area */
	uint32_t heat_units;	  /* heat bytes a segment, a multiple of 64 */
};

enum region {
	REGION_SUPERBLOCK,
	REGION_SLOT_CELLS,
	REGION_HOLD_CELLS,
	REGION_CLAIM_ROWS,
	REGION_OWNER_WORDS,
	REGION_KEY_CELLS,
	REGION_LOG_RINGS,
	REGION_CHECKPOINTS,
	REGION_TABLES,
	REGION_HEAT,
	REGION_AGES,
	REGION_PULSES,
	REGION_STATISTICS,
	REGION_SEGMENTS, /* not part of the control region */
	REGION_SUPERBLOCK_B,
	REGIONS,
};

/* A further namespace, as the superblock tells of it. */
struct namespace_geometry {
	uint64_t base;	/* where its first byte is in the pool's address space */
	uint64_t bytes; /* superblocks included */
	uint32_t first_segment, segments;
	uint32_t last_pages;
};

/* The segments of one namespace, and where in the address space what belongs to them lies. */
struct extent {
	uint64_t first_segment, segments;
	uint64_t base, bytes;	/* of the namespace */
	uint64_t control_bytes; /* from @base to the first segment */
	uint64_t owner_words, ages, pulses, heat, tables, first_page;
	uint32_t last_pages;
};

struct layout {
	struct geometry geo; /* of home */
	uint64_t offset[REGIONS];  /* of home, as is length */
	uint64_t length[REGIONS];
	uint64_t table_bytes;	   /* one segment's table: header page and entries */
	uint64_t claim_row_bytes;  /* one slot's claims */
	uint64_t control_bytes;	   /* of home: everything before the segments */
	uint64_t heat_unit_pages;  /* pages that share a heat byte */
	uint64_t segments;	   /* of all namespaces */
	uint32_t extent_count;
	struct extent extents[NAMESPACES_MAX];
};

/* What a person asks for; 0 means "choose". */
struct geometry_wish {
	uint64_t bytes, max_block, segment, blocks, block_size;
	uint32_t slots;
	bool shared; /* checkpoints also hold who owns which segment */
};

/*
 * geometry_choose() - turn a wish into a geometry
 *
 * Return: 0; MEMKV_GEOMETRY or MEMKV_CONFLICT with a sentence.
 */
int geometry_choose(const struct geometry_wish *wish, struct geometry *geo);

/*
 * layout_compute() - all offsets of a geometry
 *
 * Return: 0; MEMKV_GEOMETRY when the numbers contradict each other (they may come from a damaged superblock).
 */
int layout_compute(const struct geometry *geo, struct layout *layout);

/*
 * layout_add() - one more namespace, behind those that there are
 *
 * Return: 0; MEMKV_GEOMETRY when the numbers contradict each other or what is there.
 */
int layout_add(struct layout *layout, const struct namespace_geometry *ns);

/*
 * namespace_choose() - where a further namespace of @bytes would lie, and how many segments fit there
 *
 * Return: 0; MEMKV_GEOMETRY with a sentence.
 */
int namespace_choose(const struct layout *layout, uint64_t bytes, struct namespace_geometry *ns);

const char *region_name(enum region region);

/* layout_extent() - the namespace of a segment; of one that is none, the last */
static inline const struct extent *layout_extent(const struct layout *layout, uint64_t segment)
{
	const struct extent *e = &layout->extents[layout->extent_count - 1];

	while (segment < e->first_segment)
		e--;
	return e;
}

/* layout_namespace() - likewise, its number; layout_namespace_at() - the one at an offset, reserved gaps included */
static inline unsigned layout_namespace(const struct layout *layout, uint64_t segment)
{
	return (unsigned)(layout_extent(layout, segment) - layout->extents);
}
unsigned layout_namespace_at(const struct layout *layout, uint64_t offset);

/* Offsets of single things, in bytes from the start of the pool. */
uint64_t layout_slot_cell(const struct layout *layout, unsigned copy, unsigned slot);
/* layout_slot_joining() - shared devices: who is about to claim the slot; the first page of its claim row */
static inline uint64_t layout_slot_joining(const struct layout *layout, unsigned slot)
{
	return layout->offset[REGION_CLAIM_ROWS] + slot * layout->claim_row_bytes;
}
/* ring of a slot's even or odd epochs; checkpoint area A (0) or B (1) of a slot */
uint64_t layout_ring(const struct layout *layout, unsigned slot, uint32_t epoch);
uint64_t layout_checkpoint(const struct layout *layout, unsigned slot, unsigned area);
uint64_t layout_owner_word(const struct layout *layout, uint64_t segment);
uint64_t layout_age(const struct layout *layout, uint64_t segment);
uint64_t layout_pulse(const struct layout *layout, uint64_t segment);
uint64_t layout_heat(const struct layout *layout, uint64_t segment);
uint64_t layout_table(const struct layout *layout, uint64_t segment);
uint64_t layout_segment(const struct layout *layout, uint64_t segment);
/* layout_segment_of() - the segment that holds a pool page; UINT64_MAX when none does */
uint64_t layout_segment_of(const struct layout *layout, uint64_t page);
uint32_t layout_segment_pages(const struct layout *layout, uint64_t segment);

/* block_pages() - pages that a payload takes; header_pages() - pages of its header */
uint64_t block_pages(uint64_t length);
uint32_t header_pages(uint64_t length, uint32_t meta_length);

/* geometry_room() - how many blocks of one size home can hold; layout_room() - how many one of the namespaces can */
uint64_t geometry_room(const struct geometry *geo, uint64_t block_size);
uint64_t layout_room(const struct layout *layout, unsigned number, uint64_t block_size);

#endif
