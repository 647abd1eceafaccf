/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lanes: what one payload operation needs while it runs - a queue to the medium and memory for headers, for the last
 * partial page, and for callers whose memory the medium cannot reach directly.  All of it is allocated when the pool
 * is opened.  A lane is taken by setting its bit; with all bits set the caller yields the processor and tries again.
 *
 * Transfer: one contiguous range of the medium against up to three pieces of memory, cut into commands of at most
 * max_transfer that are in flight together.
 */
#ifndef MEMKV_POOL_LANE_H
#define MEMKV_POOL_LANE_H

#include "core/format/layout.h"
#include "core/media/media.h"

enum { LANES_MAX = 64, LANE_DEPTH = 16, LANE_HEADER_PAGES = 16, LANE_STAGING = 1 << 20 };

struct transfer {
	enum media_direction direction;
	uint64_t offset;
	struct iovec pieces[MEDIA_IO_PIECES];
	uint32_t piece_count, piece; /* @piece: first that is not handed out whole */
	uint32_t in_flight;
	int result; /* first error */
};

struct lane {
	struct media *media;
	struct media_queue *queue;
	uint8_t *header;  /* LANE_HEADER_PAGES pages */
	uint8_t *tail;	  /* one page */
	uint8_t *staging; /* LANE_STAGING bytes */
	struct media_io ios[LANE_DEPTH];
	uint32_t free_ios; /* bitmap */
	struct transfer transfer;
};

int lane_open(struct lane *lane, struct media *media);
void lane_close(struct lane *lane);

/* lane_begin() - start a transfer; lane_finish() - wait for it.  Return of the latter: 0 or -errno. */
void lane_begin(struct lane *lane, enum media_direction direction, uint64_t offset, const struct iovec *pieces,
		uint32_t count);
bool lane_idle(const struct lane *lane);
/* lane_advance() - take one completion and hand out what is left; waits for one */
void lane_advance(struct lane *lane);
int lane_transfer(struct lane *lane, enum media_direction direction, uint64_t offset, const struct iovec *pieces,
		  uint32_t count);

struct lane_set {
	struct lane lanes[LANES_MAX];
	uint32_t count;
	_Atomic uint64_t taken;
};

int lane_set_open(struct lane_set *set, struct media *media, uint32_t count);
void lane_set_close(struct lane_set *set);
struct lane *lane_acquire(struct lane_set *set);
void lane_release(struct lane_set *set, struct lane *lane);

#endif
