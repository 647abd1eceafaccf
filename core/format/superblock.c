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
	le32 logical_block, ordinal, further, reserved0;
	uint8_t id[16];
	uint8_t reserved[248];
};

struct namespace_disk {
	le32 magic, ordinal;
	le64 check;
	le64 base, bytes;
	le32 first_segment, segments, last_pages, state;
	uint8_t id[16], device[16];
	char path[NAMESPACE_PATH_BYTES];
	uint8_t reserved[48];
};
_Static_assert(sizeof(struct namespace_disk) == NAMESPACE_ENTRY_BYTES, "an entry is 256 bytes");
_Static_assert(offsetof(struct namespace_disk, check) == 8, "check is word 1");
_Static_assert(SUPERBLOCK_LIVE + (NAMESPACES_MAX - 1) * NAMESPACE_ENTRY_BYTES <= PAGE, "the table fits behind the superblock");

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

#define NAMESPACE_MAGIC 0x4350534E /* "NSPC" */

static uint64_t seed_of_entry(uint64_t pool_seed, uint64_t version, uint32_t ordinal)
{
	return check_seed(pool_seed, CHECK_NAMESPACE, ordinal, version);
}

static void namespace_encode(const struct superblock *sb, uint32_t ordinal, uint8_t *at)
{
	const struct namespace_entry *ns = &sb->namespaces[ordinal - 1];
	struct namespace_disk disk = {
		.magic = le32_of(NAMESPACE_MAGIC),
		.ordinal = le32_of(ordinal),
		.base = le64_of(ns->geo.base),
		.bytes = le64_of(ns->geo.bytes),
		.first_segment = le32_of(ns->geo.first_segment),
		.segments = le32_of(ns->geo.segments),
		.last_pages = le32_of(ns->geo.last_pages),
		.state = le32_of(ns->state),
	};

	memcpy(disk.id, ns->id, sizeof(disk.id));
	memcpy(disk.device, ns->device, sizeof(disk.device));
	memcpy(disk.path, ns->path, sizeof(disk.path));
	check_set(&disk, sizeof(disk), seed_of_entry(sb->seed, sb->version, ordinal));
	memcpy(at, &disk, sizeof(disk));
}

/* false: damaged, or no such numbers were ever written */
static bool namespace_decode(struct superblock *sb, uint32_t ordinal, const uint8_t *at, bool *mended)
{
	struct namespace_entry *ns = &sb->namespaces[ordinal - 1];
	struct namespace_disk disk;

	memcpy(&disk, at, sizeof(disk));
	enum check_result result = check_or_mend(&disk, sizeof(disk), seed_of_entry(sb->seed, sb->version, ordinal));
	uint32_t state = le32_get(disk.state);
	if (result == CHECK_BAD || le32_get(disk.magic) != NAMESPACE_MAGIC || le32_get(disk.ordinal) != ordinal ||
	    (state != NAMESPACE_USED && state != NAMESPACE_REMOVED))
		return false;
	*mended |= result == CHECK_MENDED;
	*ns = (struct namespace_entry){
		.geo = {.base = le64_get(disk.base),
			.bytes = le64_get(disk.bytes),
			.first_segment = le32_get(disk.first_segment),
			.segments = le32_get(disk.segments),
			.last_pages = le32_get(disk.last_pages)},
		.state = (enum namespace_state)state,
	};
	memcpy(ns->id, disk.id, sizeof(ns->id));
	memcpy(ns->device, disk.device, sizeof(ns->device));
	memcpy(ns->path, disk.path, sizeof(ns->path));
	ns->path[sizeof(ns->path) - 1] = 0;
	return true;
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
		.ordinal = le32_of(sb->ordinal),
		.further = le32_of(sb->further),
	};

	memcpy(disk.id, sb->id, sizeof(disk.id));
	memcpy(disk.magic, magic_bytes, sizeof(disk.magic));
	memcpy(disk.uuid, sb->uuid, sizeof(disk.uuid));
	memcpy(disk.name, sb->name, sizeof(disk.name));
	check_set(&disk, sizeof(disk), seed_of_copy(copy));
	memset(page, 0, PAGE);
	memcpy(page, &disk, sizeof(disk));
	for (uint32_t n = 1; n <= sb->further; n++)
		namespace_encode(sb, n, page + SUPERBLOCK_LIVE + (n - 1) * (size_t)NAMESPACE_ENTRY_BYTES);
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

/* the table of namespaces, where there is one; false: damaged */
static bool table_decode(const struct superblock_disk *disk, const uint8_t page[PAGE], struct superblock *sb, bool *mended)
{
	if (!(sb->features_incompatible & FEATURE_NAMESPACES))
		return true; /* whatever stands there means nothing */
	sb->ordinal = le32_get(disk->ordinal);
	sb->further = le32_get(disk->further);
	memcpy(sb->id, disk->id, sizeof(sb->id));
	if (sb->further >= NAMESPACES_MAX || sb->ordinal > sb->further)
		return false;
	for (uint32_t n = 1; n <= sb->further; n++)
		if (!namespace_decode(sb, n, page + SUPERBLOCK_LIVE + (n - 1) * (size_t)NAMESPACE_ENTRY_BYTES, mended))
			return false;
	return sb->ordinal == 0 || memcmp(sb->id, sb->namespaces[sb->ordinal - 1].id, sizeof(sb->id)) == 0;
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
	return table_decode(&disk, page, sb, mended) ? 0 : MEMKV_DAMAGED;
}

struct superblock superblock_on(const struct superblock *sb, unsigned number)
{
	struct superblock on = *sb;

	on.ordinal = number;
	memset(on.id, 0, sizeof(on.id));
	if (number)
		memcpy(on.id, sb->namespaces[number - 1].id, sizeof(on.id));
	return on;
}

int superblock_layout(const struct superblock *sb, struct layout *layout)
{
	int err = layout_compute(&sb->geo, layout);

	for (uint32_t n = 0; !err && n < sb->further; n++)
		err = layout_add(layout, &sb->namespaces[n].geo);
	return err;
}

uint64_t superblock_bytes(const struct superblock *sb)
{
	return sb->ordinal ? sb->namespaces[sb->ordinal - 1].geo.bytes : sb->geo.bytes;
}
