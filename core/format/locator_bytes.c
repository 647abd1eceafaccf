/* SPDX-License-Identifier: Apache-2.0 */
/* See locator_bytes.h and FORMAT.md. */
#include "core/format/locator_bytes.h"

#include <string.h>

enum { MAGIC_LOCATOR = 0x4F4C, LOCATOR_VERSION = 1 };

/* a locator says which pool it belongs to; so that it can be told from garbage without that pool, its seed is no pool's */
#define LOCATOR_SEED 0x6D656D6B766C6F63ULL

struct locator_disk {
	le16 magic;
	uint8_t version, header_pages;
	le32 length;
	le64 check;
	uint8_t uuid[16];
	le64 instance, generation, birth;
	le32 segment, page;
	uint8_t key[32];
};
_Static_assert(sizeof(struct locator_disk) == LOCATOR_BYTES, "locator");
_Static_assert(offsetof(struct locator_disk, check) == 8, "check is word 1");

static uint64_t seed(void) { return check_seed(LOCATOR_SEED, CHECK_LOCATOR, 0, 0); }

void locator_encode(const struct locator *l, uint8_t bytes[LOCATOR_BYTES])
{
	struct locator_disk disk = {
		.magic = le16_of(MAGIC_LOCATOR),
		.version = LOCATOR_VERSION,
		.header_pages = (uint8_t)l->header_pages,
		.length = le32_of(l->length),
		.instance = le64_of(l->instance),
		.generation = le64_of(l->generation),
		.birth = le64_of(l->birth),
		.segment = le32_of(l->segment),
		.page = le32_of(l->page),
	};

	memcpy(disk.uuid, l->uuid, sizeof(disk.uuid));
	memcpy(disk.key, l->key, sizeof(disk.key));
	check_set(&disk, sizeof(disk), seed());
	memcpy(bytes, &disk, sizeof(disk));
}

enum locator_verdict locator_decode(const uint8_t bytes[LOCATOR_BYTES], struct locator *l)
{
	struct locator_disk disk;

	memcpy(&disk, bytes, sizeof(disk));
	/* the name and the check stay where they are in every version to come */
	if (le16_get(disk.magic) != MAGIC_LOCATOR || !check_holds(&disk, sizeof(disk), seed()))
		return LOCATOR_BAD;
	if (disk.version > LOCATOR_VERSION)
		return LOCATOR_NEWER;
	if (disk.version == 0 || disk.header_pages == 0 || le32_get(disk.length) == 0 || le32_get(disk.page) == 0 ||
	    le64_get(disk.generation) == 0)
		return LOCATOR_BAD;
	*l = (struct locator){
		.header_pages = disk.header_pages,
		.length = le32_get(disk.length),
		.instance = le64_get(disk.instance),
		.generation = le64_get(disk.generation),
		.birth = le64_get(disk.birth),
		.segment = le32_get(disk.segment),
		.page = le32_get(disk.page),
	};
	memcpy(l->uuid, disk.uuid, sizeof(l->uuid));
	memcpy(l->key, disk.key, sizeof(l->key));
	return LOCATOR_GOOD;
}
