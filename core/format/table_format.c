/* SPDX-License-Identifier: Apache-2.0 */
/* See table_format.h and FORMAT.md. */
#include "core/format/table_format.h"

#include <string.h>

enum { MAGIC_TABLE = 0x4C424154, ENTRY_MAGIC = 0x4E45, TABLE_VERSION = 1, ENTRY_VERSION = 1 };
/* any two differ in at least 8 bits */
static const uint64_t life_bits[LIFE_OTHER] = {
	[LIFE_LIVE] = 0x5A5AULL << 48,
	[LIFE_REMOVED] = 0xA5A5ULL << 48,
	[LIFE_MOVING] = 0x3C3CULL << 48,
	[LIFE_REMOVING] = 0xC3C3ULL << 48,
	[LIFE_SENT] = 0x9999ULL << 48,
};
#define LIFE_BIRTH_MASK ((1ULL << 48) - 1)
#define TAIL_COUNT_MASK ((1ULL << TAIL_COUNT_BITS) - 1)

struct table_header_disk {
	le32 magic;
	le16 version, reserved0;
	le64 check, generation;
	le32 segment, class_id;
	le64 opened_s;
	uint8_t reserved[24];
};
_Static_assert(sizeof(struct table_header_disk) == TABLE_HEADER_BYTES, "table header");

struct entry_disk {
	le16 magic;
	uint8_t version, header_pages;
	le32 index;
	le64 check, generation, birth;
	uint8_t key[32];
	le32 page, length;
	le64 expires_s, session_id, group;
	le32 model;
	le16 tenant;
	uint8_t class_id, flags;
	le64 stored_s;
	le32 depth, reserved0;
	le64 life;
};
_Static_assert(sizeof(struct entry_disk) == ENTRY_BYTES, "entry");
_Static_assert(offsetof(struct entry_disk, check) == ENTRY_CHECK_OFFSET, "check is word 1");
_Static_assert(offsetof(struct entry_disk, life) == ENTRY_LIFE_OFFSET, "life is the last word");

void table_header_encode(const struct table_header *h, uint64_t pool_seed, uint8_t bytes[TABLE_HEADER_BYTES])
{
	struct table_header_disk disk = {
		.magic = le32_of(MAGIC_TABLE),
		.version = le16_of(TABLE_VERSION),
		.generation = le64_of(h->generation),
		.segment = le32_of(h->segment),
		.class_id = le32_of(h->class_id),
		.opened_s = le64_of(h->opened_s),
	};

	check_set(&disk, sizeof(disk), check_seed(pool_seed, CHECK_TABLE_HEADER, h->segment, 0));
	memcpy(bytes, &disk, sizeof(disk));
}

enum check_result table_header_decode(const uint8_t bytes[TABLE_HEADER_BYTES], uint64_t segment, uint64_t pool_seed,
				      struct table_header *h)
{
	struct table_header_disk disk;

	memcpy(&disk, bytes, sizeof(disk));
	enum check_result result =
		check_or_mend(&disk, sizeof(disk), check_seed(pool_seed, CHECK_TABLE_HEADER, segment, 0));
	if (result == CHECK_BAD || le32_get(disk.magic) != MAGIC_TABLE || le32_get(disk.segment) != segment)
		return CHECK_BAD;
	*h = (struct table_header){
		.generation = le64_get(disk.generation),
		.segment = le32_get(disk.segment),
		.class_id = le32_get(disk.class_id),
		.opened_s = le64_get(disk.opened_s),
	};
	return result;
}

static uint64_t tail_check(uint64_t count, uint64_t segment, uint64_t generation, uint64_t pool_seed)
{
	return check_short(count, check_seed(pool_seed, CHECK_TAIL_WORD, segment, generation), 64 - TAIL_COUNT_BITS);
}

uint64_t tail_encode(uint32_t count, uint64_t segment, uint64_t generation, uint64_t pool_seed)
{
	return htole64(tail_check(count, segment, generation, pool_seed) << TAIL_COUNT_BITS | count);
}

enum check_result tail_decode(uint64_t raw, uint64_t segment, uint64_t generation, uint64_t pool_seed, uint32_t *count)
{
	uint64_t value = le64toh(raw);

	for (int bit = -1; bit < 64; bit++) {
		uint64_t candidate = bit < 0 ? value : value ^ 1ULL << bit;
		uint64_t n = candidate & TAIL_COUNT_MASK;
		if (candidate >> TAIL_COUNT_BITS != tail_check(n, segment, generation, pool_seed))
			continue;
		*count = (uint32_t)n;
		return bit < 0 ? CHECK_GOOD : CHECK_MENDED;
	}
	return CHECK_BAD;
}

void entry_encode(const struct entry *e, uint64_t segment, uint64_t pool_seed, uint8_t bytes[ENTRY_BYTES])
{
	struct entry_disk disk = {
		.magic = le16_of(ENTRY_MAGIC),
		.version = ENTRY_VERSION,
		.header_pages = (uint8_t)e->header_pages,
		.index = le32_of(e->index),
		.generation = le64_of(e->generation),
		.birth = le64_of(e->birth),
		.page = le32_of(e->page),
		.length = le32_of(e->length),
		.expires_s = le64_of(e->expires_s),
		.session_id = le64_of(e->session_id),
		.group = le64_of(e->group),
		.model = le32_of(e->model),
		.tenant = le16_of(e->tenant),
		.class_id = e->class_id,
		.flags = e->flags,
		.stored_s = le64_of(e->stored_s),
		.depth = le32_of(e->depth),
		.life = le64_of(le64toh(life_word(e->flags & ENTRY_VOID ? LIFE_REMOVED : LIFE_LIVE, e->birth))),
	};

	memcpy(disk.key, e->key, sizeof(disk.key));
	check_set(&disk, ENTRY_CHECKED, check_seed(pool_seed, CHECK_ENTRY, segment, e->index));
	memcpy(bytes, &disk, sizeof(disk));
}

enum check_result entry_decode(const uint8_t bytes[ENTRY_BYTES], uint64_t segment, uint32_t index, uint64_t pool_seed,
			       bool mend, struct entry *e)
{
	struct entry_disk disk;
	uint64_t seed = check_seed(pool_seed, CHECK_ENTRY, segment, index);
	enum check_result result = CHECK_GOOD;

	memcpy(&disk, bytes, sizeof(disk));
	if (!check_holds(&disk, ENTRY_CHECKED, seed))
		result = mend ? check_or_mend(&disk, ENTRY_CHECKED, seed) : CHECK_BAD;
	if (result == CHECK_BAD || le16_get(disk.magic) != ENTRY_MAGIC || le32_get(disk.index) != index)
		return CHECK_BAD;
	*e = (struct entry){
		.index = index,
		.header_pages = disk.header_pages,
		.generation = le64_get(disk.generation),
		.birth = le64_get(disk.birth),
		.page = le32_get(disk.page),
		.length = le32_get(disk.length),
		.expires_s = le64_get(disk.expires_s),
		.session_id = le64_get(disk.session_id),
		.group = le64_get(disk.group),
		.model = le32_get(disk.model),
		.tenant = le16_get(disk.tenant),
		.class_id = disk.class_id,
		.flags = disk.flags,
		.stored_s = le64_get(disk.stored_s),
		.depth = le32_get(disk.depth),
	};
	memcpy(e->key, disk.key, sizeof(e->key));
	return result;
}

uint64_t life_word(enum life life, uint64_t birth)
{
	return htole64(life_bits[life] | (birth & LIFE_BIRTH_MASK));
}

/* one flipped bit is forgiven */
enum life life_read(uint64_t raw, uint64_t birth)
{
	for (enum life life = LIFE_LIVE; life < LIFE_OTHER; life++)
		if (__builtin_popcountll(raw ^ life_word(life, birth)) <= 1)
			return life;
	return LIFE_OTHER;
}
