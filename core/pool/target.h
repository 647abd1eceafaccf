/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pool is made on or destroyed on: a file, a block device or a DAX device, and what it holds now.
 *
 * Who formats or destroys holds a lock on byte 0, and then looks for the locks of agents; who attaches holds its slot's
 * lock, and then looks for one on byte 0 (pool_open.c).  Locks are taken at once for all to see, so at least one of two
 * that meet sees the other; nobody waits.
 */
#ifndef MEMKV_POOL_TARGET_H
#define MEMKV_POOL_TARGET_H

#include "core/format/superblock.h"
#include "core/media/media.h"

#include <sys/stat.h>

enum { TARGET_PEEK = 64 << 10 };

struct target {
	const char *path;
	int fd;
	bool device;		 /* has its size, and stays */
	bool incoherent;	 /* what is written to a file leaves this host's caches with target_flush() */
	struct media *memory;	 /* DAX devices: what it is read and written through; fd is for locks then */
	struct media_queue *queue; /* of it */
	bool unnamed;   /* a new file that has no name yet: target_name() */
	bool made;      /* a new file that has one already: to be removed when the create fails */
	bool look_only; /* nothing will be written: take no lock, make no file */
	uint64_t size;  /* of the file or device */
	uint64_t control_bytes; /* for incoherent files: how much of the beginning is written */
	uint8_t *pages; /* TARGET_PEEK bytes, aligned, through which all bytes go */
	struct stat st;
};

/* target_open() - for create: what is at the path, or a new file (fd stays -1 for one when only looking) */
int target_open(struct target *t, const char *path, bool look_only);
/* target_open_existing() - for destroy */
int target_open_existing(struct target *t, const char *path, bool look_only);
void target_close(struct target *t);

/* target_lock() - against others that format or destroy, until target_close() */
int target_lock(struct target *t);

enum target_holds { HOLDS_NOTHING, HOLDS_DATA, HOLDS_POOL, HOLDS_UNFINISHED };

/*
 * target_look() - what is there?  A pool is one when either superblock says so; what a create left that was killed
 * half-way counts as nobody's.
 * @name: receives what kind of data, for a sentence; "" when nobody knows it.
 *
 * Return: enum target_holds, or a negative code with a sentence.
 */
int target_look(struct target *t, char *name, size_t name_room);

/* target_check_unused() - a pool is there: does anybody use it?  MEMKV_IN_USE with a sentence when so */
int target_check_unused(struct target *t);

/* target_read() - up to TARGET_PEEK bytes at the start of pages.  Return: how many there are, or -errno. */
ssize_t target_read(const struct target *t, size_t length, uint64_t offset);

/* target_flush() - all that was written survives power loss.  Return: 0 or -errno. */
int target_flush(const struct target *t);

/* target_zero_range() - by the kernel, without writing: 0; -EOPNOTSUPP where it has to be written; -errno */
int target_zero_range(const struct target *t, uint64_t offset, uint64_t length);

/* target_write() - whole pages; the last one is padded with zeros.  Return: 0 or -errno. */
int target_write(const struct target *t, const void *bytes, size_t length, uint64_t offset);

/*
 * target_wipe_superblocks() - both, so that neither is ever taken for one of what is made now
 * @unfinished: leave the sign of a create that is under way in the first page.
 */
int target_wipe_superblocks(struct target *t, bool unfinished);

/* target_directory() - the directory that a path lies in; free() it; NULL: no memory */
char *target_directory(const char *path);

/* target_name() - an unnamed file gets its name: MEMKV_POOL_EXISTS when somebody was faster */
int target_name(struct target *t);

#endif
