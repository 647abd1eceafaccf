/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that hosts share whose caches are not coherent, as core/media/cache_lines.h asks a processor for it.  The sources
 * above (core/media/media_lines.c, media_block.c) run as they are.
 *
 * Each process is a host of its own, with a cache of all of the memory.  A load fills a line, and from then on it is what
 * that host sees, until the line is dropped or leaves the cache by itself; lines nearby may be filled as well, whenever the
 * cache likes.  A store changes the host's line only; it lands when it is written back, or whenever the cache likes, whole or
 * some words of it first.  Write-backs and drops that were asked for happen some time, in any order, and for sure at a fence of
 * the thread that asked.
 * A host that dies leaves behind what has landed and, of the rest, some words or none; its clean lines stay, as stale as
 * they are, unless it was booted anew.
 *
 * On top of the rules for devices (landed.c): a structure that stands in the memory is whole, or says that it is being
 * written.
 */
#define SIM_NO_REDIRECT
#include "redirect_device.h"

#include "core/format/cells.h"
#include "core/media/cache_lines.h"
#include "core/media/media_block.h"
#include "core/pool/handle.h"
#include "sim.h"

enum {
	LINES_MAX = IMAGE_PAGES_MAX * PAGE / CACHE_LINE,
	PAGE_LINES = PAGE / CACHE_LINE,
	BUSY_MAX = 4096, /* lines of a host that something may happen to */
	NEARBY = 4,
	ALL_WORDS = 0xFF,
};
#define NO_LINE UINT32_MAX

struct host_cache {
	uint8_t *bytes;
	uint64_t valid[LINES_MAX / 64];
	uint8_t stored[LINES_MAX]; /* words that the memory does not have yet */
	uint8_t write_back[LINES_MAX], drop[LINES_MAX]; /* asked for by these threads */
	bool is_busy[LINES_MAX];
	uint32_t busy[BUSY_MAX], busy_count;
	uint64_t generation[IMAGE_PAGES_MAX]; /* that payload was stored for */
};

static struct host_cache caches[AGENTS_MAX];

static struct host_cache *mine(void) { return &caches[world.thread->agent->number]; }
static bool is_valid(const struct host_cache *c, uint32_t line) { return c->valid[line / 64] >> line % 64 & 1; }
static void set_valid(struct host_cache *c, uint32_t line) { c->valid[line / 64] |= 1ULL << line % 64; }
static void set_invalid(struct host_cache *c, uint32_t line) { c->valid[line / 64] &= ~(1ULL << line % 64); }
static uint32_t line_of(const void *at) { return (uint32_t)((uint64_t)((const uint8_t *)at - world.image) / CACHE_LINE); }
static uint32_t lines_of_pool(void) { return (uint32_t)(world.layout.geo.bytes / CACHE_LINE); }

void lines_reset(void)
{
	for (int i = 0; i < AGENTS_MAX; i++) {
		struct host_cache *c = &caches[i];
		uint8_t *bytes = c->bytes ? c->bytes : aligned_alloc(PAGE, IMAGE_PAGES_MAX * (size_t)PAGE);
		memset(c, 0, sizeof(*c));
		c->bytes = bytes;
		if (world.setup.medium != MEDIUM_LINES)
			continue;
		/* what was there before the pool was made */
		for (uint32_t line = 0; draw(2) && line < lines_of_pool(); line += 1 + draw(8)) {
			set_valid(c, line);
			memset(bytes + (size_t)line * CACHE_LINE, 0, CACHE_LINE);
		}
	}
}

/* ---- what has landed ---- */

static bool whole_or_marked(uint64_t at, enum check_result found)
{
	uint64_t words[2];

	memcpy(words, world.image + at, sizeof(words));
	return found != CHECK_BAD || words[1] == htole64(CHECK_WRITING) || (words[0] == 0 && words[1] == 0);
}

static void look_at_table(uint64_t offset)
{
	const struct layout *l = &world.layout;
	uint64_t within = offset - l->offset[REGION_TABLES], segment = within / l->table_bytes, at = within % l->table_bytes;
	uint64_t table = offset - at;
	struct table_header header;
	struct entry entry;

	if (at < TABLE_HEADER_BYTES &&
	    !whole_or_marked(table, table_header_decode(world.image + table, segment, world.pool_seed, &header)))
		broken("segment %llu: the lines of a table header are torn", (unsigned long long)segment);
	if (at < PAGE)
		return;
	uint32_t index = (uint32_t)((at - PAGE) / ENTRY_BYTES);
	uint64_t place = table + PAGE + (uint64_t)index * ENTRY_BYTES;
	if (index < l->geo.entries && !whole_or_marked(place, entry_decode(world.image + place, segment, index, world.pool_seed,
									       false, &entry)))
		broken("segment %llu, place %u: the lines of an entry are torn", (unsigned long long)segment, index);
}

static void look_at_cell(uint64_t offset)
{
	uint64_t page = (offset - world.layout.offset[REGION_SLOT_CELLS]) / PAGE, slots = world.layout.geo.slots;
	uint64_t at = world.layout.offset[REGION_SLOT_CELLS] + page * PAGE;
	struct slot_cell cell;

	if (!whole_or_marked(at, slot_cell_decode(world.image + at, (unsigned)(page % slots), (unsigned)(page / slots),
						  world.pool_seed, &cell)))
		broken("slot %llu: the lines of copy %llu of its cell are torn", (unsigned long long)(page % slots),
		       (unsigned long long)(page / slots));
}

static void look_at(uint64_t offset)
{
	const struct layout *l = &world.layout;

	if (offset - l->offset[REGION_TABLES] < l->length[REGION_TABLES])
		look_at_table(offset);
	else if (offset - l->offset[REGION_SLOT_CELLS] < l->length[REGION_SLOT_CELLS])
		look_at_cell(offset);
}

static void merge(uint8_t *to, const uint8_t *from, uint32_t words)
{
	for (uint32_t w = 0; w < CACHE_LINE_WORDS; w++)
		if (words >> w & 1)
			memcpy(to + w * sizeof(uint64_t), from + w * sizeof(uint64_t), sizeof(uint64_t));
}

/* some of what a host has stored to a line reaches the memory */
static void land(struct host_cache *c, uint32_t line, uint8_t words)
{
	struct agent *a = &world.agents[c - caches];
	struct command command = {.agent = a, .life = a->life, .direction = MEDIA_WRITE, .page = line / PAGE_LINES};
	uint8_t *page = world.image + command.page * PAGE;
	uint8_t before[PAGE], after[PAGE];

	words &= c->stored[line];
	if (!words)
		return;
	world.steps++;
	command.segment = watch_segment_of_page(command.page);
	command.generation = c->generation[command.page];
	memcpy(before, page, PAGE);
	memcpy(after, page, PAGE);
	merge(after + line % PAGE_LINES * CACHE_LINE, c->bytes + (size_t)line * CACHE_LINE, words);
	if (command.segment != NEVER && command.page * PAGE != layout_segment(&world.layout, command.segment))
		watch_land(&command, command.page, after);
	memcpy(page, after, PAGE);
	c->stored[line] &= (uint8_t)~words;
	trace(EVENT_LAND, a, command.page, command.segment, line % PAGE_LINES << 8 | words);
	if (command.segment != NEVER) {
		landed_payload(&command, command.page);
	} else {
		landed_control(&command, command.page, before);
		look_at((uint64_t)line * CACHE_LINE);
	}
}

/* ---- what a cache does by itself ---- */

static void make_busy(struct host_cache *c, uint32_t line)
{
	if (c->is_busy[line])
		return;
	if (c->busy_count == BUSY_MAX) {
		broken("a host's cache has more to do than the simulator remembers");
		return;
	}
	c->is_busy[line] = true;
	c->busy[c->busy_count++] = line;
}

static void not_busy(struct host_cache *c, uint32_t at)
{
	uint32_t line = c->busy[at];

	c->is_busy[line] = false;
	c->write_back[line] = c->drop[line] = 0;
	c->busy[at] = c->busy[--c->busy_count];
}

/* the line lands and, where that was asked for or the cache needs the place, leaves */
static void settle(struct host_cache *c, uint32_t at, bool leaves)
{
	uint32_t line = c->busy[at];

	leaves |= c->drop[line] != 0;
	land(c, line, ALL_WORDS);
	if (leaves)
		set_invalid(c, line);
	not_busy(c, at);
}

static void by_itself(struct host_cache *c)
{
	uint32_t any = draw(lines_of_pool());

	if (!c->is_busy[any])
		set_invalid(c, any);
	if (!c->busy_count || draw(4))
		return;
	uint32_t at = draw(c->busy_count), line = c->busy[at];
	if (draw(4) == 0)
		land(c, line, (uint8_t)draw(ALL_WORDS + 1));
	else
		settle(c, at, draw(2));
}

static void fill(struct host_cache *c, uint32_t line)
{
	if (is_valid(c, line) || line >= lines_of_pool())
		return;
	memcpy(c->bytes + (size_t)line * CACHE_LINE, world.image + (size_t)line * CACHE_LINE, CACHE_LINE);
	set_valid(c, line);
}

/* ---- what a processor is asked for ---- */

/* calls @each for the lines of a range, now and then with a moment for others in between */
static void for_lines(const void *at, size_t length, void (*each)(struct host_cache *c, uint32_t line))
{
	struct host_cache *c = mine();
	uint32_t first = line_of(at), end = line_of((const uint8_t *)at + length - 1) + 1, pause = draw(4) ? NO_LINE : first + draw(end - first);

	for (uint32_t line = first; length && line < end && !world.failed; line++) {
		if (line == pause)
			world_point(1);
		each(c, line);
	}
}

static uint8_t me(void) { return (uint8_t)(1u << world.thread->number); }

static void drop_some_time(struct host_cache *c, uint32_t line)
{
	make_busy(c, line);
	c->drop[line] |= me();
}

static void write_back_some_time(struct host_cache *c, uint32_t line)
{
	if (!c->stored[line])
		return;
	make_busy(c, line);
	c->write_back[line] |= me();
}

void cache_lines_drop(const void *at, size_t length)
{
	for_lines(at, length, drop_some_time);
	by_itself(mine());
}

void cache_lines_write_back(const void *at, size_t length)
{
	for_lines(at, length, write_back_some_time);
	by_itself(mine());
}

static bool asked_for(const struct host_cache *c, uint32_t at)
{
	return (c->write_back[c->busy[at]] | c->drop[c->busy[at]]) & me();
}

void cache_lines_fence(void)
{
	struct host_cache *c = mine();
	struct call *call = &world.thread->call;

	for (uint32_t n = c->busy_count; n-- > 0 && c->busy_count && !world.failed;) {
		uint32_t at = draw(c->busy_count);
		if (asked_for(c, at))
			settle(c, at, false);
		if (draw(16) == 0)
			world_point(1);
	}
	for (uint32_t at = c->busy_count; at-- > 0 && !world.failed;) /* whatever the draws have passed over */
		if (at < c->busy_count && asked_for(c, at))
			settle(c, at, false);
	if (call->stage == PUT_WRITES)
		call->stage = PUT_WRITTEN;
	if (draw(4) == 0)
		world_point(1);
}

void cache_lines_load(void *to, const void *from, size_t length)
{
	uint64_t offset = (uint64_t)((const uint8_t *)from - world.image);
	struct host_cache *c = mine();

	if (length == 0)
		return;
	for (uint32_t line = line_of(from), end = line_of((const uint8_t *)from + length - 1); line <= end; line++)
		if (draw(2)) /* in any order: some first */
			fill(c, line);
	if (draw(2))
		world_point(1);
	if (draw(8) == 0) { /* what lies behind is fetched ahead */
		uint32_t behind = line_of((const uint8_t *)from + length - 1) + 1;
		for (uint32_t i = 0; i < NEARBY; i++)
			fill(c, behind + i);
	}
	for (size_t done = 0; done < length;) { /* a line may have left since: each is loaded as it is found */
		uint32_t line = (uint32_t)((offset + done) / CACHE_LINE);
		size_t piece = min_u64(length - done, CACHE_LINE - (offset + done) % CACHE_LINE);
		fill(c, line);
		memcpy((uint8_t *)to + done, c->bytes + offset + done, piece);
		done += piece;
	}
	by_itself(c);
}

/* whose is it that is written to, and may it? */
static void note_payload(struct host_cache *c, uint64_t offset, size_t length)
{
	for (uint64_t page = offset / PAGE; page * PAGE < offset + length && !world.failed; page++) {
		struct command command = {
			.agent = world.thread->agent, .life = world.thread->agent->life, .direction = MEDIA_WRITE, .page = page, .sectors = 1};
		watch_submit(&command);
		if (command.segment != NEVER)
			c->generation[page] = command.generation;
	}
}

void cache_lines_store(void *to, const void *from, size_t length)
{
	uint64_t offset = (uint64_t)((uint8_t *)to - world.image);
	struct host_cache *c = mine();

	world_point(4);
	note_payload(c, offset, length);
	for (size_t done = 0; done < length && !world.failed;) {
		uint32_t line = (uint32_t)((offset + done) / CACHE_LINE);
		size_t into = (offset + done) % CACHE_LINE, piece = min_u64(length - done, CACHE_LINE - into);
		fill(c, line);
		memcpy(c->bytes + offset + done, (const uint8_t *)from + done, piece);
		for (size_t w = into / sizeof(uint64_t); w <= (into + piece - 1) / sizeof(uint64_t); w++)
			c->stored[line] |= (uint8_t)(1u << w);
		make_busy(c, line);
		done += piece;
	}
	by_itself(c);
}

bool cache_lines_usable(void) { return true; }
const char *cache_lines_instructions(void) { return "simulated"; }

/* ---- hosts ---- */

bool lines_on_the_way(uint64_t segment)
{
	for (int i = 0; i < AGENTS_MAX; i++)
		for (uint32_t n = 0; n < caches[i].busy_count; n++) {
			uint32_t line = caches[i].busy[n], page = line / PAGE_LINES;
			if (caches[i].stored[line] && watch_segment_of_page(page) == segment &&
			    page * (uint64_t)PAGE != layout_segment(&world.layout, segment))
				return true;
		}
	return false;
}

void lines_died(const struct agent *a, bool booted)
{
	struct host_cache *c = &caches[a->number];

	while (c->busy_count && !world.failed) {
		uint32_t at = draw(c->busy_count), line = c->busy[at];
		bool lost = draw(2);
		if (c->stored[line])
			cover(lost ? COVER_LOST_AFTER_KILL : COVER_LAND_AFTER_KILL);
		land(c, line, (uint8_t)(lost ? draw(2) * draw(ALL_WORDS + 1) : ALL_WORDS));
		if (c->stored[line] || booted)
			set_invalid(c, line); /* what never landed is gone with the write buffer that had it */
		c->stored[line] = 0;
		not_busy(c, at);
	}
	if (booted)
		memset(c->valid, 0, sizeof(c->valid));
}

/* the mirror that stores are seen in (watch.c) */
int media_lines_over(struct media *memory, struct media **media)
{
	int err = production_lines_over(memory, media);

	world.thread->agent->device = err ? NULL : *media;
	return err;
}

struct media *media_lines_off(struct media *media)
{
	world.thread->agent->device = NULL;
	return production_lines_off(media);
}
