/* SPDX-License-Identifier: Apache-2.0 */
/* The superblock: what a pool is, in two copies (first and last page). */
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
#define FEATURE_INCOHERENT (1ULL << 2) /* memory, by hosts whose caches are not coherent (section 15) */
#define FEATURES_INCOMPATIBLE (FEATURE_SHARED | FEATURE_INCOHERENT)

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
	struct geometry geo;
};

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
