/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attach of a whole image.  The input is a list of changes to a small pool: fields of any structure, sealed again so that
 * the change reaches behind the check; structures put in another's place; plain bytes anywhere.  The pool is then opened,
 * read, checked, written to, closed and opened once more.
 *
 * Must hold: no fault, no hang; each get is the bytes that were put under that very key, or a miss; whatever is refused
 * is refused with a sentence; a put that is acknowledged can be got.  That holds even though seals are forged: payload is
 * bound to its key by digests, which are left as they are.
 */
#include "fuzz.h"

#include "tests/crash/workload.h"

#include "core/format/block_header.h"
#include "core/format/cells.h"
#include "core/format/owner_word.h"
#include "core/format/superblock.h"
#include "core/format/table_format.h"
#include "core/pool/handle.h"

enum { POOL_BLOCKS = 192, PUT_BLOCKS = 60, ROOM = 4096, NEW_BLOCK = 390, CHANGES_MAX = 24 };

static uint8_t *base;
static uint64_t base_bytes;
static struct disk *disk;
static struct layout layout;
static uint64_t seed;

/* ---- blocks that fit: as block_bytes(), but smaller ---- */

static size_t small_bytes(uint32_t block, uint8_t *to)
{
	return block_bytes(block, 0, to) % ROOM + 1;
}

static int small_put(struct memkv_pool *pool, uint32_t block)
{
	static _Alignas(4096) uint8_t bytes[BLOCK_BYTES];
	struct memkv_key key;
	size_t length = small_bytes(block, bytes);

	block_name(block, &key);
	return memkv_put(pool, &key, bytes, length, NULL);
}

static bool small_look(struct memkv_pool *pool, uint32_t block)
{
	static _Alignas(4096) uint8_t found[BLOCK_BYTES], right[BLOCK_BYTES];
	struct memkv_get_options options = {.size = sizeof(options), .flags = MEMKV_GET_UPTO};
	struct memkv_key key;
	size_t length = small_bytes(block, right);

	block_name(block, &key);
	int64_t got = memkv_get(pool, &key, found, sizeof(found), &options);
	if (got == MEMKV_MISS || got == MEMKV_SIZE)
		return false;
	MUST(got == (int64_t)length && memcmp(found, right, length) == 0);
	return true;
}

/* sealed segments, an open one of the dead, a parked one, removed blocks */
static void make_base(void)
{
	struct memkv_create_options options = {.size = sizeof(options), .blocks = POOL_BLOCKS, .block_size = ROOM, .slots = 4};
	struct memkv_pool *pool;
	struct superblock sb;
	struct memkv_key key;
	bool mended;

	base = scratch_pool(&options, &base_bytes);
	disk = disk_of_image(base, base_bytes, false);
	for (uint32_t block = 0; block < PUT_BLOCKS; block += 20) {
		MUST(crash_open(disk, 0, &pool) == 0);
		for (uint32_t i = block; i < block + 20; i++)
			MUST(small_put(pool, i) == 0);
		block_name(block + 3, &key);
		MUST(memkv_remove(pool, &key) == 1);
		if (block == 40) /* it dies now: what follows is not in the image */
			memcpy(base, disk->image, base_bytes);
		memkv_pool_close(pool);
	}
	MUST(superblock_decode(base, 0, &sb, &mended) == 0 && layout_compute(&sb.geo, &layout) == 0);
	seed = sb.seed;
}

/* ---- changes ---- */

struct structure {
	uint64_t offset;
	size_t bytes, checked;
	uint64_t check; /* its seed; 0: no check word */
};

static uint64_t generation_of(uint64_t segment)
{
	struct table_header header;

	return table_header_decode(disk->image + layout_table(&layout, segment), segment, seed, &header) == CHECK_BAD
		       ? 0
		       : header.generation;
}

static struct structure any_structure(struct bytes_in *in)
{
	uint64_t kind = eat(in, 1), segment = eat(in, 1) % layout.geo.segments, index = eat(in, 1);
	uint32_t slot = (uint32_t)index % layout.geo.slots, entry = (uint32_t)index % layout.geo.entries;
	unsigned copy = index >> 4 & 1;
	uint64_t table = layout_table(&layout, segment), first = layout_segment(&layout, segment);

	switch (kind % 6) {
	case 0:
		return (struct structure){copy ? layout.offset[REGION_SUPERBLOCK_B] : 0, SUPERBLOCK_LIVE, SUPERBLOCK_LIVE,
					  check_seed(0x6D656D6B76706F6FULL, CHECK_SUPERBLOCK, copy, 0)};
	case 1:
		return (struct structure){layout_slot_cell(&layout, copy, slot), CELL_LIVE, CELL_LIVE,
					  check_seed(seed, CHECK_SLOT_CELL, slot, copy)};
	case 2:
		return (struct structure){table, TABLE_HEADER_BYTES, TABLE_HEADER_BYTES, check_seed(seed, CHECK_TABLE_HEADER, segment, 0)};
	case 3:
		return (struct structure){table + PAGE + (uint64_t)entry * ENTRY_BYTES, ENTRY_BYTES, ENTRY_CHECKED,
					  check_seed(seed, CHECK_ENTRY, segment, entry)};
	case 4:
		return (struct structure){first, SEGMENT_HEADER_LIVE, SEGMENT_HEADER_LIVE,
					  check_seed(seed, CHECK_SEGMENT_HEADER, segment, 0)};
	default: {
		uint64_t page = first / PAGE + 1 + index % (layout_segment_pages(&layout, segment) - 1);
		return (struct structure){page * PAGE, PAGE, PAGE, check_seed(seed, CHECK_BLOCK_HEADER, page, 0)};
	}
	}
}

static void change_field(struct bytes_in *in)
{
	struct structure s = any_structure(in);
	uint64_t at = eat(in, 2), count = 1 + eat(in, 1) % 8, value = eat(in, 8);
	uint8_t *bytes = disk->image + s.offset;
	/* where fields are: the digests of a block header are left alone, the rest of it would be a forgery of bytes */
	at %= s.bytes == PAGE ? 512 : s.bytes;

	for (uint64_t i = 0; i < count && at + i < s.bytes; i++)
		bytes[at + i] = (uint8_t)(value >> 8 * i);
	check_set(bytes, s.checked, s.check);
}

static void change_words(struct bytes_in *in)
{
	uint64_t kind = eat(in, 1), segment = eat(in, 1) % layout.geo.segments, value = eat(in, 8);
	struct owner_word word = {(enum owner_state)(value & 7), (uint32_t)(value >> 3) & 511, (uint32_t)(value >> 12) & 1023,
				  (uint32_t)(value >> 22) & EPOCH_MAX};
	uint8_t *table = disk->image + layout_table(&layout, segment);
	static const enum region advisory[] = {REGION_HEAT, REGION_AGES, REGION_PULSES, REGION_STATISTICS};
	uint64_t raw;

	switch (kind % 5) {
	case 0:
		word.state = (enum owner_state)(1 + word.state % 5);
		raw = owner_word_encode(word, segment, seed);
		memcpy(disk->image + layout.offset[REGION_OWNER_WORDS] + segment * 8, &raw, 8);
		return;
	case 1:
		raw = tail_encode((uint32_t)value & ((1u << TAIL_COUNT_BITS) - 1), segment, generation_of(segment), seed);
		memcpy(table + TABLE_TAIL_OFFSET, &raw, 8);
		return;
	case 2:
		memcpy(table + PAGE + value % layout.geo.entries * ENTRY_BYTES + ENTRY_LIFE_OFFSET, &value, 8);
		return;
	case 3:
		memcpy(disk->image + layout.offset[advisory[value % 4]] + (segment * 8) % layout.length[advisory[value % 4]], &value, 8);
		return;
	default: /* withdrawn: its writer died at it */
		raw = CHECK_WRITING;
		memcpy(disk->image + any_structure(in).offset + 8, &raw, 8);
	}
}

static void change(struct bytes_in *in)
{
	switch (eat(in, 1) % 4) {
	case 0:
	case 1:
		change_field(in);
		return;
	case 2:
		change_words(in);
		return;
	default: {
		struct structure from = any_structure(in), to = any_structure(in);
		memmove(disk->image + to.offset, disk->image + from.offset, from.bytes < to.bytes ? from.bytes : to.bytes);
		if (eat(in, 1) & 1)
			check_set(disk->image + to.offset, to.checked, to.check);
	}
	}
}

/* ---- what is done with it ---- */

static void look_at_all(struct memkv_pool *pool)
{
	struct memkv_check_report report;
	struct memkv_pool_info info;
	struct memkv_block_info block;
	struct memkv_iter *it;
	uint64_t listed = 0;

	for (uint32_t i = 0; i < PUT_BLOCKS; i++)
		(void)small_look(pool, i);
	MUST(memkv_pool_check(pool, NULL, &report) == 0 && report.records_mended <= report.records_bad && report.bad <= report.blocks);
	MUST(memkv_pool_describe(pool, &info) == 0 && info.segments == pool->sb.geo.segments);
	MUST(memkv_iter_open(pool, NULL, &it) == 0);
	while (memkv_iter_next(it, &block) > 0)
		MUST(++listed <= (uint64_t)pool->sb.geo.segments * pool->sb.geo.entries && block.length <= pool->sb.geo.max_block);
	memkv_iter_close(it);
}

static void write_to(struct memkv_pool *pool)
{
	struct memkv_key key;

	for (uint32_t i = 0; i < 6; i++) {
		int err = small_put(pool, NEW_BLOCK + i);
		if (err == 0)
			MUST(small_look(pool, NEW_BLOCK + i));
		else
			MUST(err == MEMKV_EXISTS || (err < 0 && *memkv_error_detail()));
	}
	block_name(NEW_BLOCK, &key);
	if (memkv_remove(pool, &key) > 0)
		MUST(!small_look(pool, NEW_BLOCK));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes_in in = {data, size};
	struct memkv_pool *pool;

	if (!base)
		make_base();
	disk_load(disk, base);
	for (unsigned i = 0; in.left && i < CHANGES_MAX; i++)
		change(&in);
	for (int time = 0; time < 2; time++) {
		int err = crash_open(disk, time ? MEMKV_OPEN_READ_ONLY : 0, &pool);
		MUST(err == 0 || (err < 0 && *memkv_error_detail()));
		if (err)
			continue;
		look_at_all(pool);
		if (time == 0)
			write_to(pool);
		memkv_pool_close(pool);
	}
	return 0;
}
