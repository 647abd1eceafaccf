/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The superblock: what a pool is, in two copies (first and last page) on each of its namespaces.
 *
 * A pool of several namespaces has a table of the further ones behind the superblock's 512 bytes, in the same page.  Its
 * entries are bound to the superblock's version, so that a page that was torn between two of them does not verify.
 */
#ifndef MEMKV_FORMAT_SUPERBLOCK_H
#define MEMKV_FORMAT_SUPERBLOCK_H

#include "core/format/check.h"
#include "core/format/layout.h"

enum { FORMAT_MAJOR = 1, FORMAT_MINOR = 0, SUPERBLOCK_LIVE = 512, POOL_NAME_BYTES = 64 };

/* Feature masks.  An unknown bit: compatible - ignore; read-only compatible - open read-only; incompatible - refuse. */
#define FEATURES_COMPATIBLE 0ULL
#define FEATURE_GROUPS (1ULL << 0) /* large pools: who changes a segment's table rings its group as well (FORMAT.md, section 8) */
#define FEATURES_READ_ONLY FEATURE_GROUPS
enum { GROUPS_FROM = 8192 }; /* segments of a pool that is made with groups */
#define FEATURE_SHARED (1ULL << 1) /* many hosts write; ownership is what the logs say (FORMAT.md, section 11) */
#define FEATURE_NAMESPACES (1ULL << 3) /* several namespaces: FORMAT.md, section 16 */
#define FEATURE_INCOHERENT (1ULL << 2) /* memory, by hosts whose caches are not coherent (section 15) */
#define FEATURES_INCOMPATIBLE (FEATURE_SHARED | FEATURE_INCOHERENT | FEATURE_NAMESPACES)

enum { NAMESPACE_ENTRY_BYTES = 256, NAMESPACE_PATH_BYTES = 128 };
enum namespace_state { NAMESPACE_USED = 1, NAMESPACE_REMOVED = 2 };

/* A further namespace of a pool. */
struct namespace_entry {
	struct namespace_geometry geo;
	enum namespace_state state;
	uint8_t id[16];	    /* random; stands in its own superblocks as well */
	uint8_t device[16]; /* NGUID or UUID of an NVMe namespace; all zero: none */
	char path[NAMESPACE_PATH_BYTES]; /* where it was seen last: a hint */
};

struct superblock {
	uint32_t major, minor;
	uint64_t features_compatible, features_read_only, features_incompatible;
	uint8_t uuid[16];
	uint64_t seed;	    /* of all checks and of the index hash; random */
	uint64_t instance;  /* random; renewed when a pool is found copied */
	uint64_t version;   /* grows with every rewrite (grow, name) */
	uint64_t created_s; /* UTC */
	uint64_t home_device, home_inode; /* where it was made, to notice copies */
	char name[POOL_NAME_BYTES];
	struct geometry geo; /* of home */
	uint32_t ordinal; /* which namespace of the pool this superblock lies on: 0 is home */
	uint8_t id[16];	  /* of that namespace; home's is all zero */
	uint32_t further; /* namespaces besides home */
	struct namespace_entry namespaces[NAMESPACES_MAX - 1];
};

/* namespace_in_pool() - is this one, 0 for home, still there, and not removed? */
static inline bool namespace_in_pool(const struct superblock *sb, unsigned number)
{
	return number == 0 || sb->namespaces[number - 1].state == NAMESPACE_USED;
}

/* superblock_on() - as it stands on one of the namespaces */
struct superblock superblock_on(const struct superblock *sb, unsigned number);

/* superblock_layout() - of all namespaces; 0, or MEMKV_GEOMETRY: the numbers contradict each other */
int superblock_layout(const struct superblock *sb, struct layout *layout);

/* superblock_bytes() - length of the namespace that this superblock lies on: copy 1 is in its last page */
uint64_t superblock_bytes(const struct superblock *sb);

/* superblock_encode() - into PAGE bytes; @copy is 0 (first page) or 1 (last page) */
void superblock_encode(const struct superblock *sb, unsigned copy, uint8_t page[PAGE]);

/*
 * superblock_decode() - from PAGE bytes; a single flipped bit is mended in @sb and told by *mended.
 *
 * Return: 0; MEMKV_NOT_A_POOL (no magic); MEMKV_DAMAGED; MEMKV_NEWER (major version or incompatible features).
 */
int superblock_decode(const uint8_t page[PAGE], unsigned copy, struct superblock *sb, bool *mended);

/* superblock_magic() - do these bytes start like a superblock (at most two bits off)? */
bool superblock_magic(const uint8_t page[PAGE]);

#endif
