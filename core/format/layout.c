/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See layout.h.
 *
 * A segment's stride is its room, plus one page of segment header, plus pages for block headers: one for every
 * 512 KiB of room (0.8 %), at least what its largest blocks need.  Blocks smaller than that spend room on headers,
 * which is why room is always stated for a block size.
 */
#include "core/format/layout.h"
#include "core/base/fail.h"
#include "core/format/block_header.h"

#include <inttypes.h>

enum { TYPICAL_BLOCK = 16 << 10, TYPICAL_BLOCK_BIG = 256 << 10, HEADER_SPACING = 512 << 10 };
enum { RECORD = 128, SHARED_FACTS = 512 };
#define BIG_POOL (1ULL << 40)

uint64_t block_pages(uint64_t length)
{
	return div_up(length, PAGE);
}

uint32_t header_pages(uint64_t length, uint32_t meta_length)
{
	uint64_t bytes = BLOCK_HEADER_FIXED + round_up(meta_length, 8) + 8ULL * chunk_count(length, chunk_bytes_for(length));

	return (uint32_t)div_up(bytes, PAGE);
}

/* a block of the largest size with as much metadata as it may carry */
static uint64_t pages_with_header(uint64_t length)
{
	return block_pages(length) + header_pages(length, BLOCK_META_MAX);
}

static void choose_control_sizes(const struct geometry_wish *wish, struct geometry *geo)
{
	uint64_t per_slot = geo->bytes / geo->slots / 512; /* both rings and checkpoints: at most 1/128 of the pool */
	uint64_t bytes = min_u64(max_u64(round_down(per_slot, PAGE), KIB(16)), KIB(128));

	geo->ring_bytes = (uint32_t)bytes;
	/* what can be pinned at a time grows with the pool: a fact is 128 bytes */
	geo->checkpoint_bytes = (uint32_t)min_u64(max_u64(round_down(per_slot, PAGE), KIB(16)), MIB(1));
	/* who owns what: a statement a segment, more where the dead had them open; and removals that are still owed */
	uint64_t shared = (3ULL * geo->segments + 2ULL * geo->slots + SHARED_FACTS) * RECORD;
	if (wish->shared)
		geo->checkpoint_bytes = (uint32_t)min_u64(round_up(geo->checkpoint_bytes + shared, PAGE), MIB(256));
	geo->heat_units = (uint32_t)round_up(min_u64(max_u64(geo->entries, 64), geo->segment_pages), 64);
}

static uint32_t default_slots(uint64_t segments)
{
	return (uint32_t)min_u64(SLOTS_MAX, segments / 4);
}

/* exactly @blocks blocks of @size: full segments of equal stride and one short one for the rest */
static int choose_exact(const struct geometry_wish *wish, struct geometry *geo)
{
	uint64_t pages = pages_with_header(wish->block_size);
	uint64_t per_segment = wish->blocks / SEGMENTS_MIN;
	uint64_t segment_cap = max_u64(1, GIB(1) / (pages * PAGE)); /* segments of at most 1 GiB */

	if (wish->blocks < SEGMENTS_MIN)
		return fail(MEMKV_GEOMETRY, "--blocks %" PRIu64 " is too few: a pool has at least %d segments of one block",
			    wish->blocks, SEGMENTS_MIN);
	per_segment = min_u64(per_segment, segment_cap);
	uint64_t rest = wish->blocks % per_segment;
	geo->max_block = wish->block_size;
	geo->segment_room = per_segment * wish->block_size;
	geo->segments = (uint32_t)min_u64(div_up(wish->blocks, per_segment), UINT32_MAX);
	geo->segment_pages = (uint32_t)(1 + per_segment * pages);
	geo->last_pages = rest ? (uint32_t)(1 + rest * pages) : geo->segment_pages;
	geo->entries = (uint32_t)max_u64(per_segment, min_u64(geo->segment_room / TYPICAL_BLOCK, ENTRIES_MAX));
	geo->slots = wish->slots ? wish->slots : default_slots(geo->segments);
	geo->bytes = ((uint64_t)(geo->segments - 1) * geo->segment_pages + geo->last_pages) * PAGE;
	choose_control_sizes(wish, geo);
	geo->bytes = 0;

	struct layout layout;
	int err = layout_compute(geo, &layout); /* bytes 0: "as long as it comes" */
	geo->bytes = layout.offset[REGION_SUPERBLOCK_B] + PAGE;
	return err;
}

static uint64_t default_max_block(uint64_t bytes)
{
	return bytes >= GIB(2) ? MIB(16) : round_down(bytes / 128, KIB(64));
}

/* a segment of that much room; false when it has more pages than the format can count */
static bool set_segment(struct geometry *geo, uint64_t room)
{
	uint64_t typical = geo->bytes > BIG_POOL ? TYPICAL_BLOCK_BIG : TYPICAL_BLOCK;
	uint64_t largest = div_up(room, geo->max_block) * header_pages(geo->max_block, BLOCK_META_MAX);
	uint64_t spaced = room / HEADER_SPACING;
	uint64_t pages = 1 + block_pages(room) + max_u64(largest, spaced);

	typical = min_u64(typical, round_up(geo->max_block, PAGE)); /* where no block is larger, more of them fit */
	geo->segment_room = room;
	geo->segment_pages = geo->last_pages = (uint32_t)min_u64(pages, UINT32_MAX);
	geo->entries = (uint32_t)max_u64(1, min_u64(room / typical, ENTRIES_MAX));
	return pages < SEGMENT_PAGES_MAX;
}

static bool segments_fit(const struct geometry_wish *wish, struct geometry *geo, uint64_t segments)
{
	struct layout layout;

	geo->segments = (uint32_t)segments;
	geo->slots = wish->slots ? wish->slots : default_slots(segments);
	choose_control_sizes(wish, geo);
	return layout_compute(geo, &layout) == 0;
}

/* as many segments of the set size as fit beside their share of the control region */
static int fill_with_segments(const struct geometry_wish *wish, struct geometry *geo)
{
	uint64_t low = SEGMENTS_MIN;
	uint64_t high = min_u64(geo->bytes / PAGE / geo->segment_pages, SEGMENTS_MAX - 1);

	if (high < low || !segments_fit(wish, geo, low))
		return fail(MEMKV_GEOMETRY,
			    "%" PRIu64 " bytes do not hold %d segments with room for %" PRIu64
			    " bytes each; use a larger --size, fewer --slots, or a smaller --max-block or --segment",
			    geo->bytes, SEGMENTS_MIN, geo->segment_room);
	while (low < high) {
		uint64_t middle = high - (high - low) / 2;
		if (segments_fit(wish, geo, middle))
			low = middle;
		else
			high = middle - 1;
	}
	return segments_fit(wish, geo, low) ? 0 : MEMKV_GEOMETRY;
}

/*
 * About 4096 segments of up to 1 GiB; in smaller pools room for up to four largest blocks, so that opening a segment,
 * which costs writes, is rare; in small ones at least 80 segments, of one largest block when need be.
 */
static uint64_t default_room(const struct geometry *geo)
{
	uint64_t room = max_u64(4 * geo->max_block, min_u64(GIB(1), round_down(geo->bytes / 4096, MIB(1))));

	room = min_u64(room, max_u64(geo->max_block, round_down(geo->bytes / 80, KIB(64))));
	return round_down(room, geo->max_block); /* what is over would hold no largest block */
}

static int choose_by_size(const struct geometry_wish *wish, struct geometry *geo)
{
	geo->bytes = round_down(wish->bytes, PAGE);
	geo->max_block = wish->max_block ? wish->max_block : default_max_block(geo->bytes);
	if (geo->max_block == 0)
		return fail(MEMKV_GEOMETRY, "a pool of %" PRIu64 " bytes is too small; the least is 8M", wish->bytes);
	if (geo->max_block > BLOCK_BYTES_MAX)
		return fail(MEMKV_GEOMETRY, "--max-block %" PRIu64 " is over the format's limit of 256M", geo->max_block);
	uint64_t room = wish->segment ? wish->segment : default_room(geo);
	if (room < geo->max_block)
		return fail(MEMKV_GEOMETRY, "--segment %" PRIu64 " is smaller than the largest block (%" PRIu64 ")", room,
			    geo->max_block);
	if (room > GIB(64))
		return fail(MEMKV_GEOMETRY, "--segment %" PRIu64 " is over the limit of 64G", room);
	while (!wish->segment && room > geo->max_block && !(set_segment(geo, room) && fill_with_segments(wish, geo) == 0))
		room = max_u64(geo->max_block, round_down(room / 2, geo->max_block));
	if (!set_segment(geo, room))
		return fail(MEMKV_GEOMETRY, "a segment of %" PRIu64 " bytes in blocks of at most %" PRIu64
			    " has too many pages; use a smaller --segment", room, geo->max_block);
	return fill_with_segments(wish, geo);
}

int geometry_choose(const struct geometry_wish *wish, struct geometry *geo)
{
	*geo = (struct geometry){0};
	if (wish->slots > SLOTS_MAX || wish->slots == 1)
		return fail(MEMKV_GEOMETRY, "--slots %u: a pool has 2 to %d slots", wish->slots, SLOTS_MAX);
	if (!wish->blocks != !wish->block_size)
		return fail(MEMKV_CONFLICT, "--blocks and --block-size go together");
	if (!wish->blocks)
		return choose_by_size(wish, geo);
	if (wish->bytes || wish->max_block || wish->segment)
		return fail(MEMKV_CONFLICT, "--blocks with --block-size settles all sizes: leave --size, --max-block and "
					    "--segment out");
	if (wish->block_size > BLOCK_BYTES_MAX || wish->blocks > (1ULL << 36))
		return fail(MEMKV_GEOMETRY, "--blocks %" PRIu64 " --block-size %" PRIu64 " is over the format's limits",
			    wish->blocks, wish->block_size);
	return choose_exact(wish, geo);
}

static bool geometry_sane(const struct geometry *geo)
{
	return geo->bytes % PAGE == 0 && geo->segments >= SEGMENTS_MIN && geo->segments < SEGMENTS_MAX && geo->slots >= 2 &&
	       geo->slots <= SLOTS_MAX && geo->segment_pages >= 3 && geo->segment_pages < SEGMENT_PAGES_MAX &&
	       geo->last_pages >= 3 && geo->last_pages <= geo->segment_pages && geo->entries >= 1 &&
	       geo->entries <= ENTRIES_MAX && geo->max_block >= 1 && geo->max_block <= BLOCK_BYTES_MAX &&
	       (geo->segments - 1ULL) * geo->segment_pages + geo->last_pages < POOL_PAGES_MAX &&
	       pages_with_header(geo->max_block) < geo->segment_pages && geo->ring_bytes >= PAGE &&
	       geo->ring_bytes % PAGE == 0 && geo->ring_bytes <= MIB(256) && geo->checkpoint_bytes >= PAGE &&
	       geo->checkpoint_bytes % PAGE == 0 && geo->checkpoint_bytes <= MIB(256) && geo->heat_units >= 64 &&
	       geo->heat_units % 64 == 0 && geo->heat_units <= ENTRIES_MAX;
}

int layout_compute(const struct geometry *geo, struct layout *layout)
{
	uint64_t at = 0;

	*layout = (struct layout){.geo = *geo};
	if (!geometry_sane(geo))
		return fail(MEMKV_GEOMETRY, "the pool's sizes contradict each other");
	layout->table_bytes = PAGE + round_up((uint64_t)geo->entries * ENTRY_BYTES, PAGE);
	layout->claim_row_bytes = round_up((uint64_t)geo->slots * CLAIM_BYTES, PAGE);
	layout->heat_unit_pages = max_u64(1, div_up(geo->segment_pages, geo->heat_units));

	uint64_t slots = geo->slots, segments = geo->segments;
	uint64_t length[REGIONS] = {
		[REGION_SUPERBLOCK] = PAGE,
		[REGION_SLOT_CELLS] = slots * SLOT_COPIES * PAGE,
		[REGION_HOLD_CELLS] = slots * PAGE,
		[REGION_CLAIM_ROWS] = slots * layout->claim_row_bytes,
		[REGION_OWNER_WORDS] = segments * 8,
		[REGION_KEY_CELLS] = (uint64_t)TENANTS_MAX * PAGE,
		[REGION_LOG_RINGS] = slots * RINGS_PER_SLOT * geo->ring_bytes,
		[REGION_CHECKPOINTS] = slots * CHECKPOINTS_PER_SLOT * geo->checkpoint_bytes,
		[REGION_TABLES] = segments * layout->table_bytes,
		[REGION_HEAT] = segments * geo->heat_units,
		[REGION_AGES] = segments * 8,
		[REGION_PULSES] = segments * 8,
		[REGION_STATISTICS] = PAGE,
		[REGION_SEGMENTS] = ((segments - 1) * geo->segment_pages + geo->last_pages) * PAGE,
		[REGION_SUPERBLOCK_B] = PAGE,
	};
	for (int i = 0; i < REGIONS; i++) {
		if (i == REGION_SUPERBLOCK_B && geo->bytes)
			at = max_u64(at, geo->bytes - PAGE); /* the last page of the medium */
		layout->offset[i] = at;
		layout->length[i] = round_up(length[i], PAGE);
		at += layout->length[i];
	}
	layout->control_bytes = layout->offset[REGION_SEGMENTS];
	if (geo->bytes && at > geo->bytes)
		return fail(MEMKV_GEOMETRY, "the pool's parts need %" PRIu64 " bytes, more than its %" PRIu64, at, geo->bytes);
	if (at / PAGE >= POOL_PAGES_MAX)
		return fail(MEMKV_GEOMETRY, "a pool is limited to 4 PiB");
	return 0;
}

const char *region_name(enum region region)
{
	static const char *const names[REGIONS] = {
		"superblock",	"slot cells",	  "hold cells", "claim rows", "owner words",
		"key cells",	"log rings",	  "checkpoints", "segment tables", "heat",
		"ages",		"pulses",	  "statistics", "segments",   "superblock B",
	};
	return region < REGIONS ? names[region] : "?";
}

uint64_t layout_slot_cell(const struct layout *layout, unsigned copy, unsigned slot)
{
	return layout->offset[REGION_SLOT_CELLS] + ((uint64_t)copy * layout->geo.slots + slot) * PAGE;
}

uint64_t layout_ring(const struct layout *layout, unsigned slot, uint32_t epoch)
{
	return layout->offset[REGION_LOG_RINGS] +
	       ((uint64_t)slot * RINGS_PER_SLOT + epoch % RINGS_PER_SLOT) * layout->geo.ring_bytes;
}

uint64_t layout_checkpoint(const struct layout *layout, unsigned slot, unsigned area)
{
	return layout->offset[REGION_CHECKPOINTS] +
	       ((uint64_t)slot * CHECKPOINTS_PER_SLOT + area) * layout->geo.checkpoint_bytes;
}

uint64_t layout_table(const struct layout *layout, uint64_t segment)
{
	return layout->offset[REGION_TABLES] + segment * layout->table_bytes;
}

uint64_t layout_segment(const struct layout *layout, uint64_t segment)
{
	return layout->offset[REGION_SEGMENTS] + segment * layout->geo.segment_pages * PAGE;
}

uint64_t layout_segment_of(const struct layout *layout, uint64_t page)
{
	uint64_t first = layout->offset[REGION_SEGMENTS] >> PAGE_SHIFT;

	if (page < first)
		return UINT64_MAX;
	uint64_t segment = (page - first) / layout->geo.segment_pages;
	uint64_t within = (page - first) % layout->geo.segment_pages;
	return segment < layout->geo.segments && within < layout_segment_pages(layout, segment) ? segment : UINT64_MAX;
}

uint32_t layout_segment_pages(const struct layout *layout, uint64_t segment)
{
	return segment + 1 == layout->geo.segments ? layout->geo.last_pages : layout->geo.segment_pages;
}

uint64_t geometry_room(const struct geometry *geo, uint64_t block_size)
{
	if (block_size == 0 || block_size > geo->max_block)
		return 0;
	uint64_t pages = block_pages(block_size) + header_pages(block_size, 0);
	uint64_t full = min_u64((geo->segment_pages - 1) / pages, geo->entries);
	uint64_t last = min_u64((geo->last_pages - 1) / pages, geo->entries);
	return full * (geo->segments - 1) + last;
}
