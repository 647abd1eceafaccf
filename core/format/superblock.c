/* SPDX-License-Identifier: Apache-2.0 */
/* See superblock.h and FORMAT.md. */
#include "core/format/superblock.h"
#include "core/base/fail.h"

#include <string.h>

struct superblock_disk {
	uint8_t magic[8];
	le64 check;
	le32 major, minor;
	le64 features_compatible, features_read_only, features_incompatible;
	uint8_t uuid[16];
	le64 seed, instance, version, created_s, home_device, home_inode;
	char name[POOL_NAME_BYTES];
	le64 bytes, max_block, segment_room;
	le32 segments, segment_pages, last_pages, entries, slots, ring_bytes, checkpoint_bytes, heat_units;
	le32 logical_block, reserved0;
	uint8_t reserved[272];
};
_Static_assert(sizeof(struct superblock_disk) == SUPERBLOCK_LIVE, "superblock is 512 live bytes");
_Static_assert(offsetof(struct superblock_disk, check) == 8, "check is word 1");
_Static_assert(offsetof(struct superblock_disk, uuid) == 48, "as FORMAT.md says");
_Static_assert(offsetof(struct superblock_disk, bytes) == 176, "as FORMAT.md says");

static const uint8_t magic_bytes[8] = {'M', 'E', 'M', 'K', 'V', 'P', 'L', '1'};

/* the superblock's own seed cannot be inside its seed: a constant of the format */
static uint64_t seed_of_copy(unsigned copy)
{
	return check_seed(0x6D656D6B76706F6FULL, CHECK_SUPERBLOCK, copy, 0);
}

void superblock_encode(const struct superblock *sb, unsigned copy, uint8_t page[PAGE])
{
	struct superblock_disk disk = {
		.major = le32_of(sb->major),
		.minor = le32_of(sb->minor),
		.features_compatible = le64_of(sb->features_compatible),
		.features_read_only = le64_of(sb->features_read_only),
		.features_incompatible = le64_of(sb->features_incompatible),
		.seed = le64_of(sb->seed),
		.instance = le64_of(sb->instance),
		.version = le64_of(sb->version),
		.created_s = le64_of(sb->created_s),
		.home_device = le64_of(sb->home_device),
		.home_inode = le64_of(sb->home_inode),
		.bytes = le64_of(sb->geo.bytes),
		.max_block = le64_of(sb->geo.max_block),
		.segment_room = le64_of(sb->geo.segment_room),
		.segments = le32_of(sb->geo.segments),
		.segment_pages = le32_of(sb->geo.segment_pages),
		.last_pages = le32_of(sb->geo.last_pages),
		.entries = le32_of(sb->geo.entries),
		.slots = le32_of(sb->geo.slots),
		.ring_bytes = le32_of(sb->geo.ring_bytes),
		.checkpoint_bytes = le32_of(sb->geo.checkpoint_bytes),
		.heat_units = le32_of(sb->geo.heat_units),
		.logical_block = le32_of(PAGE),
	};

	memcpy(disk.magic, magic_bytes, sizeof(disk.magic));
	memcpy(disk.uuid, sb->uuid, sizeof(disk.uuid));
	memcpy(disk.name, sb->name, sizeof(disk.name));
	check_set(&disk, sizeof(disk), seed_of_copy(copy));
	memset(page, 0, PAGE);
	memcpy(page, &disk, sizeof(disk));
}

bool superblock_magic(const uint8_t page[PAGE])
{
	int off = 0;

	for (size_t i = 0; i < sizeof(magic_bytes); i++)
		off += __builtin_popcount(page[i] ^ magic_bytes[i]);
	return off <= 2;
}

static void geometry_decode(const struct superblock_disk *disk, struct geometry *geo)
{
	*geo = (struct geometry){
		.bytes = le64_get(disk->bytes),
		.max_block = le64_get(disk->max_block),
		.segment_room = le64_get(disk->segment_room),
		.segments = le32_get(disk->segments),
		.segment_pages = le32_get(disk->segment_pages),
		.last_pages = le32_get(disk->last_pages),
		.entries = le32_get(disk->entries),
		.slots = le32_get(disk->slots),
		.ring_bytes = le32_get(disk->ring_bytes),
		.checkpoint_bytes = le32_get(disk->checkpoint_bytes),
		.heat_units = le32_get(disk->heat_units),
	};
}

int superblock_decode(const uint8_t page[PAGE], unsigned copy, struct superblock *sb, bool *mended)
{
	struct superblock_disk disk;

	if (!superblock_magic(page))
		return MEMKV_NOT_A_POOL;
	memcpy(&disk, page, sizeof(disk));
	enum check_result result = check_or_mend(&disk, sizeof(disk), seed_of_copy(copy));
	if (result == CHECK_BAD)
		return MEMKV_DAMAGED;
	if (le32_get(disk.major) > FORMAT_MAJOR || (le64_get(disk.features_incompatible) & ~FEATURES_INCOMPATIBLE))
		return MEMKV_NEWER;
	if (le32_get(disk.major) < FORMAT_MAJOR || le64_get(disk.bytes) == 0 || le32_get(disk.logical_block) != PAGE)
		return MEMKV_DAMAGED; /* no such format was ever written; whoever made this did not follow FORMAT.md */
	*mended = result == CHECK_MENDED;
	*sb = (struct superblock){
		.major = le32_get(disk.major),
		.minor = le32_get(disk.minor),
		.features_compatible = le64_get(disk.features_compatible),
		.features_read_only = le64_get(disk.features_read_only),
		.features_incompatible = le64_get(disk.features_incompatible),
		.seed = le64_get(disk.seed),
		.instance = le64_get(disk.instance),
		.version = le64_get(disk.version),
		.created_s = le64_get(disk.created_s),
		.home_device = le64_get(disk.home_device),
		.home_inode = le64_get(disk.home_inode),
	};
	memcpy(sb->uuid, disk.uuid, sizeof(sb->uuid));
	memcpy(sb->name, disk.name, sizeof(sb->name));
	sb->name[POOL_NAME_BYTES - 1] = 0;
	geometry_decode(&disk, &sb->geo);
	return 0;
}
