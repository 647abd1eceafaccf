/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lanes: what one payload operation needs while it runs - a queue to the medium and memory for headers, for the last
 * partial page, and for callers whose memory the medium cannot reach directly.  All of it is allocated when the pool
 * is opened.  A lane is taken by setting its bit; with all bits set the caller yields the processor, later sleeps for
 * moments, and tries again.
 *
 * Transfer: one contiguous range of the medium against up to three pieces of memory, cut into commands that are in
 * flight together.  A cut never goes through a chunk: what lies before the payload (the header) comes on top of the
 * first command.  As commands land, their payload can be digested while the others are still on the way.
 */
#ifndef MEMKV_POOL_LANE_H
#define MEMKV_POOL_LANE_H

#include "core/format/layout.h"
#include "core/media/media.h"

enum { LANES_MAX = 64, LANE_DEPTH = 64, LANE_HEADER_PAGES = 16, LANE_STAGING = 1 << 20, LANE_DIGESTS = 4096 };

/* @offset, @length: bytes of the second piece of memory (the payload) that have been transferred */
typedef void (*lane_landed)(void *context, uint64_t offset, uint64_t length);

struct transfer {
	enum media_direction direction;
	uint64_t offset;
	uint64_t first_extra; /* bytes that the first command may carry beyond a cut */
	uint64_t payload_at;  /* where the second piece begins on the medium */
	uint64_t payload_end;
	lane_landed landed;
	void *context;
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
	uint8_t *life;	  /* one page: the block of a table that holds an entry, where tables are mirrored */
	uint8_t *table;	  /* one page: likewise, the one with the table's header */
	uint8_t *staging; /* LANE_STAGING bytes */
	uint8_t *cells;	   /* slot cells as they are read with a block, on shared devices; else NULL */
	uint64_t *digests; /* LANE_DIGESTS: of the chunks that landed */
	struct media_io ios[LANE_DEPTH];
	uint64_t free_ios; /* bitmap */
	struct transfer transfer;
};

int lane_open(struct lane *lane, struct media *media);
void lane_close(struct lane *lane);
/* lane_add_cells() - room for @slots slot cells; 0 or -ENOMEM */
int lane_add_cells(struct lane *lane, uint32_t slots);

/* lane_begin() - start a transfer; lane_finish() - wait for it.  Return of the latter: 0 or -errno. */
void lane_begin(struct lane *lane, enum media_direction direction, uint64_t offset, const struct iovec *pieces,
		uint32_t count);
/* lane_watch() - after lane_begin(): be told what lands; lane_kick(): let the medium begin now */
void lane_watch(struct lane *lane, lane_landed landed, void *context);
void lane_kick(struct lane *lane);
/* lane_join() - more to the transfer in flight: one more command, of at most a cut */
void lane_join(struct lane *lane, uint64_t offset, void *memory, size_t length);
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
