/* SPDX-License-Identifier: Apache-2.0 */
/* What the file medium and those that are memory (media_memory.c) share; of no interest above this folder. */
#ifndef MEMKV_MEDIA_MEDIA_FILE_H
#define MEMKV_MEDIA_MEDIA_FILE_H

#include "core/media/media.h"

#include <libpmem2.h>

struct media_file {
	struct media base;
	struct media_ops ops; /* those of files, but for what is different with memory */
	int fd;
	bool read_only;
	bool lost; /* there is no file (yet): what is mapped is nothing */
	size_t map_unit; /* the kernel's unit of this mapping: a page, or a DAX device's alignment */
	struct pmem2_source *source;
	struct pmem2_map *map;
	uint8_t *mapped; /* memory: the whole of it; else the control region */
	size_t mapped_bytes;
	size_t payload_bytes; /* of media->payload */
	pmem2_memcpy_fn copy_in;
	pmem2_persist_fn persist;
};

static inline struct media_file *media_file_of(struct media *media) { return CONTAINER_OF(media, struct media_file, base); }

/*
 * media_file_make() - a medium with the ops of a file, around an open descriptor
 * @fd: taken over, and closed when this fails.
 *
 * Return: 0, or a negative code with a sentence.
 */
int media_file_make(const char *path, int fd, unsigned flags, uint64_t bytes, struct media_file **file);

/*
 * media_file_map() - map the first @bytes by @map, guarded against what vanishes under the mapping, and kept out of
 * children
 */
int media_file_map(struct media_file *f, size_t bytes, int (*map)(struct media_file *f, size_t bytes));

/* media_file_become_memory() - such a file is mapped whole, and payload moves by loads and stores */
int media_file_become_memory(struct media_file *f);

/* queue_memory_open() - payload by loads and non-temporal stores through the mapping */
int queue_memory_open(struct media *media, struct media_queue **queue);

#endif
