/* SPDX-License-Identifier: Apache-2.0 */
/* What media that keep a mirror share: block devices, and memory by cache lines (media_lines.c); of no interest above. */
#ifndef MEMKV_MEDIA_MEDIA_BLOCK_H
#define MEMKV_MEDIA_MEDIA_BLOCK_H

#include "core/media/media.h"
#include "core/media/nvme_passthrough.h"

#include <pthread.h>

enum {
	MIRROR_BLOCK = 4096,
	MIRROR_WORDS = MIRROR_BLOCK / sizeof(uint64_t),
	PASSAGES = 16,
	LATER_MAX = 32,
	REFRESH_BYTES = 1 << 20,
};

/* where blocks go to the medium: those of one passage one after the other, so that no older image lands last */
struct passage {
	pthread_mutex_t lock; /* held over I/O of this process */
	atomic_uint_fast64_t asked;
	uint64_t block, covered; /* written last, and up to which request its image counts */
	uint8_t *image;
};

struct media_block {
	struct media base;
	struct media_ops ops; /* those of devices, but for what is different with memory */
	/*
	 * To and from the medium: whole blocks, one of them when it is a write.  When it returns 0 a write is there for all who
	 * read from then on; a read brings each 512 bytes as they were at one moment since it began.
	 */
	int (*move)(struct media_block *b, enum media_direction direction, uint8_t *memory, size_t length, uint64_t offset);
	int fd;
	struct nvme_passthrough nvme;
	bool writer, shared;
	_Atomic uint64_t *held;	   /* bitmap; shared: blocks that this process alone writes */
	_Atomic uint64_t *present; /* bitmap: mirrored blocks that were read or are written here */
	pthread_mutex_t refresh_lock; /* over a read and its stores: the mirror never goes back in time */
	uint8_t *bounce;
	uint8_t *images; /* of the passages */
	struct passage passages[PASSAGES];
	pthread_mutex_t settle_lock; /* over the writes of a settle: it ends when all that was put off before is written */
	struct media_queue *queue;   /* under settle_lock; NULL: blocks go one after the other */
	pthread_mutex_t later_lock;
	uint64_t later[LATER_MAX]; /* blocks to publish at the next settle */
	unsigned later_count;
	/* memory by cache lines: what is mapped, and the medium that it belongs to */
	struct media *memory;
	uint8_t *mapped;
};

static inline struct media_block *media_block_of(struct media *media) { return CONTAINER_OF(media, struct media_block, base); }

/* media_block_new() - a medium with a mirror and the ops of a device, without a device; NULL: no memory */
struct media_block *media_block_new(const char *path);

/* media_block_free() - and all that it has itself; what is below memory by cache lines stays */
void media_block_free(struct media_block *b);

#endif
