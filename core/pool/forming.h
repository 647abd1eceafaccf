/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forming a namespace: what create does to each of a pool's namespaces, and grow to a new one.
 *
 * Order: look what is there -> lock, and look again -> allocate every byte (nothing can run out of space later) -> wipe the
 * superblocks of a pool that was there -> flush -> wipe the control region -> owner words -> flush -> superblock B ->
 * superblock A -> flush.  A new file gets its name last; a further namespace's before its superblocks, since the pool that
 * tells of it must find it.
 */
#ifndef MEMKV_POOL_FORMING_H
#define MEMKV_POOL_FORMING_H

#include "core/pool/target.h"

#define DEFAULT_BYTES GIB(4)

/* told now and then with bytes written and to write; not 0 stops */
struct forming_progress {
	int (*tell)(void *context, uint64_t done, uint64_t total);
	void *context;
	uint64_t done, total;
};

struct forming {
	struct target target;
	enum target_holds holds;
	bool named; /* a new file that has got its name */
	struct extent extent;
	uint64_t allocate; /* bytes that a file system has to find now */
	struct forming_progress *progress;
	int (*opened)(struct target *t, void *context); /* called when it is open, before it is looked at; or NULL */
	void *opened_context;
};

/*
 * forming_open() - open, and see whether it may be overwritten
 * @ours: a superblock of a pool to which this may have been meant to be added before, which is no reason against it; or NULL.
 */
int forming_open(struct forming *f, const char *path, bool look_only, bool force, const struct superblock *ours);
/* forming_close() - @failed: a new file goes */
void forming_close(struct forming *f, bool failed);

/* forming_choose() - its extent, and what is to be allocated: all, or, @thin, the control region */
void forming_choose(struct forming *f, const struct extent *extent, bool thin);

/* forming_check_space() - is there room for what would be allocated?  0 or -ENOSPC with a sentence */
int forming_check_space(const struct forming *f);

/* forming_clear() - allocate and wipe: nobody's from now on.  0, -ECANCELED, or another negative code; with a sentence */
int forming_clear(struct forming *f);

/* forming_name() - a new file's, and its directory's entry is flushed */
int forming_name(struct forming *f);

/* forming_finish() - owner words, then both superblocks, and all of it flushed */
int forming_finish(struct forming *f, const struct superblock *sb);

/* forming_superblocks() - write both, B first, each flushed; 0 or -errno */
int forming_superblocks(struct target *t, const struct superblock *sb);

#endif
