/* SPDX-License-Identifier: Apache-2.0 */
/* What the file medium and its memory variant share; of no interest above this folder. */
#ifndef MEMKV_MEDIA_MEDIA_FILE_H
#define MEMKV_MEDIA_MEDIA_FILE_H

#include "core/media/media.h"

#include <libpmem2.h>

struct media_file {
	struct media base;
	int fd;
	bool read_only;
	struct pmem2_source *source;
	struct pmem2_map *map;
	uint8_t *mapped; /* memory variant: the whole file; else the control region */
	size_t mapped_bytes;
	pmem2_memcpy_fn copy_in;
};

/* queue_memory_open() - payload by loads and non-temporal stores through the mapping */
int queue_memory_open(struct media *media, struct media_queue **queue);

#endif
