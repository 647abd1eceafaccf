/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A simulated disk behind the media seam, so that what a real one does once in a year can be done at each of its I/Os.
 *
 * The disk is memory.  memkv opens it like any medium: the tests are linked with media_open() wrapped, and a path
 * "disk:..." is one of these.  All handles of one disk are processes of one machine: they share what it holds now.
 *
 * Two kinds, as memkv knows them (media.h):
 *   file    the control region is mapped, stores count at once (the page cache); payload is written by commands
 *   device  the control region is a mirror in each handle; publish writes 4 KiB blocks, refresh reads them
 *
 * Commands move their bytes when they are reaped, in an order that follows from a seed, as io_uring might.
 *
 * Recording: everything that could reach the medium goes to a journal (journal.h).  Faults: the n-th I/O is refused,
 * wholly, half done or done all the same; or it does not end before somebody lets it.
 */
#ifndef MEMKV_TESTS_CRASH_DISK_H
#define MEMKV_TESTS_CRASH_DISK_H

#include "core/media/media.h"
#include "journal.h"

enum disk_io { DISK_READ, DISK_WRITE, DISK_FLUSH, DISK_PUBLISH, DISK_REFRESH, DISK_QUEUE, DISK_MAP, DISK_LOCK, DISK_KINDS };
#define DISK_ALL ((1u << DISK_KINDS) - 1)

/* what a refused write has done to the medium */
enum disk_effect { EFFECT_NONE, EFFECT_HALF, EFFECT_WHOLE };

struct disk_fault {
	unsigned kinds;	   /* bits of enum disk_io that are counted */
	uint64_t from, to; /* of them, the n-th to n-th fail, counted from 0; from == to: none */
	int error;
	enum disk_effect effect;
	bool late; /* it does not fail, but ends only after disk_let_go() */
};

enum { DISK_HANDLES = 8 };

struct disk {
	char path[32];
	uint8_t *image; /* what the machine sees: the page cache, and what commands have written */
	uint64_t bytes;
	bool device;
	uint64_t seed;
	struct journal *journal; /* or NULL */
	struct disk_fault fault;
	bool calm;		      /* nothing is counted, nothing fails */
	atomic_uint_fast64_t counted; /* I/Os of fault.kinds */
	atomic_uint_fast64_t struck;  /* of them, the ones that failed */
	atomic_bool go;		      /* late commands may end */
	atomic_uint_fast64_t waiting; /* late commands that were met */
	atomic_uint handles;	      /* that have it open, those that nobody waits for included */
	struct disk_lock {
		uint64_t offset;
		const struct media *holder; /* NULL: free */
	} locks[DISK_HANDLES * 2];
	pthread_mutex_t guard; /* locks */
	struct disk *next;
};

/* disk_of_image() - a disk that holds a copy of @image */
struct disk *disk_of_image(const uint8_t *image, uint64_t bytes, bool device);
/* disk_load() - other content, when nobody has it open; disk_free() - when no thread uses it any more */
void disk_load(struct disk *disk, const uint8_t *image);
void disk_free(struct disk *disk);

/* disk_strike() - from now on this fault, counted anew; NULL: none */
void disk_strike(struct disk *disk, const struct disk_fault *fault);
void disk_let_go(struct disk *disk);

#endif
