/* SPDX-License-Identifier: Apache-2.0 */
/* More namespaces for a pool: what create and grow have in common (grow.c). */
#ifndef MEMKV_POOL_GROW_H
#define MEMKV_POOL_GROW_H

#include "core/pool/target.h"

/*
 * namespace_plan() - one more namespace, on @t, in superblock and layout
 * @bytes: that a file is to have; 0: what it has, or the default.  A device has its size.
 *
 * Return: 0 or a negative code with a sentence.
 */
int namespace_plan(struct superblock *sb, struct layout *layout, const struct target *t, uint64_t bytes);

/* namespace_kind() - are they alike enough to be namespaces of one pool?  0 or MEMKV_CONFLICT */
int namespace_kind(const struct target *home, const struct target *other);

/* target_superblock() - of what is there: the better copy; 0 or a negative code with a sentence */
int target_superblock(struct target *t, struct superblock *sb);

/* target_open_home() - a pool's first namespace, for a change of its superblock: locked, and no agent uses the pool */
int target_open_home(struct target *t, const char *path, bool look_only, struct superblock *sb);

/* target_wipe() - a file goes; of a device both ends are wiped, so that it looks empty.  pool_create.c */
int target_wipe(struct target *t);

/*
 * pool_commit() - home's superblocks, and with B the change is made; then the others', but @but's, as far as they are there
 *
 * Return: 0 or a negative code with a sentence.
 */
int pool_commit(struct target *home, const struct superblock *sb, unsigned but);

#endif
