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
#define NAMESPACE_ALIGN MIB(2) /* what any kernel maps at */
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
	layout->segments = segments;
	layout->extent_count = 1;
	layout->extents[0] = (struct extent){
		.segments = segments,
		.bytes = geo->bytes,
		.control_bytes = layout->control_bytes,
		.owner_words = layout->offset[REGION_OWNER_WORDS],
		.ages = layout->offset[REGION_AGES],
		.pulses = layout->offset[REGION_PULSES],
		.heat = layout->offset[REGION_HEAT],
		.tables = layout->offset[REGION_TABLES],
		.first_page = layout->control_bytes >> PAGE_SHIFT,
		.last_pages = geo->last_pages,
	};
	if (geo->bytes && at > geo->bytes)
		return fail(MEMKV_GEOMETRY, "the pool's parts need %" PRIu64 " bytes, more than its %" PRIu64, at, geo->bytes);
	if (at / PAGE >= POOL_PAGES_MAX)
		return fail(MEMKV_GEOMETRY, "a pool is limited to 4 PiB");
	return 0;
}

/* ---- further namespaces ---- */

/* bytes before the segments of a namespace that has so many; and where its parts are, from its base */
static uint64_t place_parts(const struct layout *layout, uint64_t segments, struct extent *e)
{
	e->owner_words = PAGE;
	e->ages = e->owner_words + round_up(segments * 8, PAGE);
	e->pulses = e->ages + round_up(segments * 8, PAGE);
	e->heat = e->pulses + round_up(segments * 8, PAGE);
	e->tables = e->heat + round_up(segments * layout->geo.heat_units, PAGE);
	return e->tables + segments * layout->table_bytes;
}

static uint64_t end_of(const struct layout *layout)
{
	const struct extent *last = &layout->extents[layout->extent_count - 1];

	return last->base + last->bytes;
}

static uint64_t segments_bytes(const struct layout *layout, const struct namespace_geometry *ns)
{
	return ((ns->segments - 1ULL) * layout->geo.segment_pages + ns->last_pages) * PAGE;
}

int layout_add(struct layout *layout, const struct namespace_geometry *ns)
{
	struct extent *e = &layout->extents[layout->extent_count];

	if (layout->extent_count >= NAMESPACES_MAX)
		return fail(MEMKV_GEOMETRY, "a pool has at most %d namespaces in its life, those that were removed included",
			    NAMESPACES_MAX);
	if (ns->base % NAMESPACE_ALIGN || ns->bytes % PAGE || ns->base < end_of(layout) || ns->segments < 1 ||
	    ns->base / PAGE >= POOL_PAGES_MAX || ns->bytes / PAGE >= POOL_PAGES_MAX - ns->base / PAGE ||
	    ns->first_segment != layout->segments || ns->segments >= SEGMENTS_MAX - layout->segments ||
	    ns->last_pages < 3 || ns->last_pages > layout->geo.segment_pages)
		return fail(MEMKV_GEOMETRY, "the sizes of the pool's namespaces contradict each other");
	*e = (struct extent){.first_segment = ns->first_segment,
			     .segments = ns->segments,
			     .base = ns->base,
			     .bytes = ns->bytes,
			     .last_pages = ns->last_pages};
	e->control_bytes = place_parts(layout, ns->segments, e);
	if (e->control_bytes + segments_bytes(layout, ns) + PAGE > ns->bytes)
		return fail(MEMKV_GEOMETRY, "a namespace of the pool is shorter than its parts");
	uint64_t *parts[] = {&e->owner_words, &e->ages, &e->pulses, &e->heat, &e->tables};
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		*parts[i] += ns->base;
	e->first_page = (ns->base + e->control_bytes) >> PAGE_SHIFT;
	layout->extent_count++;
	layout->segments += ns->segments;
	return 0;
}

int namespace_choose(const struct layout *layout, uint64_t bytes, struct namespace_geometry *ns)
{
	struct extent parts;
	uint64_t stride = (uint64_t)layout->geo.segment_pages * PAGE, segments = 0, most = min_u64(bytes / stride, SEGMENTS_MAX);
	struct layout grown = *layout;

	if (layout->extent_count >= NAMESPACES_MAX)
		return layout_add(&grown, &(struct namespace_geometry){0});
	while (segments < most) { /* the largest number that fits: what it needs grows with it */
		uint64_t middle = most - (most - segments) / 2;
		if (place_parts(layout, middle, &parts) + middle * stride + PAGE <= bytes)
			segments = middle;
		else
			most = middle - 1;
	}
	if (segments == 0)
		return fail(MEMKV_GEOMETRY, "a namespace of %" PRIu64 " bytes does not hold one segment of this pool (%" PRIu64
					    " bytes); use a larger one", bytes, stride);
	*ns = (struct namespace_geometry){
		.base = round_up(end_of(layout), NAMESPACE_ALIGN),
		.bytes = round_down(bytes, PAGE),
		.first_segment = (uint32_t)layout->segments,
		.segments = (uint32_t)segments,
		.last_pages = layout->geo.segment_pages,
	};
	return layout_add(&grown, ns);
}

unsigned layout_namespace_at(const struct layout *layout, uint64_t offset)
{
	unsigned number = layout->extent_count - 1;

	while (offset < layout->extents[number].base)
		number--;
	return number;
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

uint64_t layout_owner_word(const struct layout *layout, uint64_t segment)
{
	const struct extent *e = layout_extent(layout, segment);

	return e->owner_words + (segment - e->first_segment) * 8;
}

uint64_t layout_age(const struct layout *layout, uint64_t segment)
{
	const struct extent *e = layout_extent(layout, segment);

	return e->ages + (segment - e->first_segment) * 8;
}

uint64_t layout_pulse(const struct layout *layout, uint64_t segment)
{
	const struct extent *e = layout_extent(layout, segment);

	return e->pulses + (segment - e->first_segment) * 8;
}

uint64_t layout_heat(const struct layout *layout, uint64_t segment)
{
	const struct extent *e = layout_extent(layout, segment);

	return e->heat + (segment - e->first_segment) * layout->geo.heat_units;
}

uint64_t layout_table(const struct layout *layout, uint64_t segment)
{
	const struct extent *e = layout_extent(layout, segment);

	return e->tables + (segment - e->first_segment) * layout->table_bytes;
}

uint64_t layout_segment(const struct layout *layout, uint64_t segment)
{
	const struct extent *e = layout_extent(layout, segment);

	return (e->first_page + (segment - e->first_segment) * layout->geo.segment_pages) * PAGE;
}

uint64_t layout_segment_of(const struct layout *layout, uint64_t page)
{
	const struct extent *e = &layout->extents[layout->extent_count - 1];

	while (e > layout->extents && page < e->base >> PAGE_SHIFT)
		e--;
	if (page < e->first_page)
		return UINT64_MAX;
	uint64_t segment = (page - e->first_page) / layout->geo.segment_pages;
	uint64_t within = (page - e->first_page) % layout->geo.segment_pages;
	bool there = segment < e->segments && within < layout_segment_pages(layout, e->first_segment + segment);
	return there ? e->first_segment + segment : UINT64_MAX;
}

uint32_t layout_segment_pages(const struct layout *layout, uint64_t segment)
{
	const struct extent *e = layout_extent(layout, segment);

	return segment + 1 == e->first_segment + e->segments ? e->last_pages : layout->geo.segment_pages;
}

static uint64_t room_of(const struct geometry *geo, uint64_t segments, uint64_t last_pages, uint64_t block_size)
{
	if (block_size == 0 || block_size > geo->max_block)
		return 0;
	uint64_t pages = block_pages(block_size) + header_pages(block_size, 0);
	uint64_t full = min_u64((geo->segment_pages - 1) / pages, geo->entries);
	uint64_t last = min_u64((last_pages - 1) / pages, geo->entries);
	return full * (segments - 1) + last;
}

uint64_t geometry_room(const struct geometry *geo, uint64_t block_size)
{
	return room_of(geo, geo->segments, geo->last_pages, block_size);
}

uint64_t layout_room(const struct layout *layout, unsigned number, uint64_t block_size)
{
	const struct extent *e = &layout->extents[number];

	return room_of(&layout->geo, e->segments, e->last_pages, block_size);
}
