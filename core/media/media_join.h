/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several namespaces as one medium.
 *
 * Each lies at its own place in one address space; the first is *home*, where the locks are, and without which there is no
 * pool.  Offsets tell which one is meant: a command never crosses from one into the next.  Control regions are mapped, or
 * mirrored, at the same distances, so that what lies at an offset is at media->control + offset.
 *
 * A further one may be *lost*: not there when the pool is opened, or gone since.  Then what is read there fails, what is
 * published there goes nowhere, and its control region, as far as it can be seen, says nothing.  That is no failure of the
 * pool.  When it is found again it takes its place (media_join_return()).  Its `failed` says which it is, and changes last.
 *
 * A flush after a loss fails as long as those who wrote there have not drawn their conclusions (`mourned`): so nobody
 * takes what lies there for safe, or throws away what it was copied from.
 */
#ifndef MEMKV_MEDIA_MEDIA_JOIN_H
#define MEMKV_MEDIA_MEDIA_JOIN_H

#include "core/media/media.h"

struct media_part {
	uint64_t base, bytes;
	uint64_t control_bytes; /* from its start */
	struct media *medium;	/* NULL: it is not there, or removed; home always is */
	const char *path;	/* where it was seen last */
	bool removed;
};

/*
 * media_join() - @parts[0] is home
 * @flags: with which they were opened.
 *
 * Return: 0, and the parts' media belong to the new one; MEMKV_CONFLICT: they are not of one kind; or another negative
 * code with a sentence.
 */
int media_join(const struct media_part *parts, unsigned count, unsigned flags, struct media **media);

/*
 * media_join_return() - @found, just opened, is a member that was lost.  It is there from media_join_there() on.
 *
 * Return: 0 or a negative code with a sentence; @found stays the caller's.
 */
int media_join_return(struct media *media, unsigned member, struct media *found);
void media_join_there(struct media *media, unsigned member);

/* media_join_lost() - it cannot be reached from now on; not home */
void media_join_lost(struct media *media, unsigned member);

/* media_join_suspect() - a command has failed: where there are members, its member is to be looked at */
void media_join_suspect(struct media *media, const struct media_io *io);

#endif
