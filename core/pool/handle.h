/* SPDX-License-Identifier: Apache-2.0 */
/* The open pool: everything a handle owns, and what the files of this layer share. */
#ifndef MEMKV_POOL_HANDLE_H
#define MEMKV_POOL_HANDLE_H

#include "core/format/block_header.h"
#include "core/facts/factbook.h"
#include "core/format/superblock.h"
#include "core/index/follower.h"
#include "core/pool/deputy.h"
#include "core/pool/fork.h"
#include "core/pool/entrance.h"
#include "core/pool/holds.h"
#include "core/pool/host_drain.h"
#include "core/pool/lane.h"
#include "core/pool/several.h"
#include "core/pool/pins.h"
#include "core/pool/rejoin.h"
#include "core/pool/room.h"
#include "core/pool/share.h"
#include "core/slot/slot.h"

#include <memkv/pool.h>

/* memkv_counters, each an atomic: X(name) */
#define POOL_COUNTERS(X)                                                                                             \
	X(puts) X(put_bytes) X(puts_exist) X(puts_differ) X(puts_no_room) X(puts_failed) X(gets) X(get_bytes)        \
	X(miss_absent) X(miss_expired) X(miss_removed) X(miss_damaged) X(miss_reclaimed) X(miss_io) X(removes)       \
	X(evicted_blocks) X(evicted_bytes) X(moved_blocks) X(moved_bytes) X(segments_opened) X(segments_resumed)     \
	X(segments_reclaimed) X(segments_held) X(holds) X(holds_refused) X(keeps) X(grace_cut) X(miss_timedout) \
	X(entries_damaged) X(entries_mended) X(words_mended) X(rejoins) X(rejoins_failed) X(miss_lost)

struct pool_counters {
#define COUNTER_FIELD(name) atomic_uint_fast64_t name;
	POOL_COUNTERS(COUNTER_FIELD)
#undef COUNTER_FIELD
};

/* what was found the last time that blocks were searched for whose pages nobody knows (recover.c) */
struct searched {
	uint64_t segment, generation;
	struct unplaced run;
	struct {
		uint64_t life; /* of the place; 0: none, or not known */
		uint32_t page; /* of the header whose birth it has; 0: there is none */
	} *places;	       /* of the run; NULL: nothing was found out */
};

/*
 * A handle, and what it is attached to now.  The first part is made by attach_pool() and given up by detach_pool(), which may
 * happen again and again while the handle is open, but never while a call is inside (entrance.h); it is all zero in between.
 */
struct memkv_pool {
	struct media *media;
	struct superblock sb;
	bool superblock_mended;
	struct control control;
	struct index *index;
	struct factbook factbook;
	struct follower follower;
	struct lane recover_lane; /* of the follower's second sources; under its lock */
	uint64_t recover_unread;  /* how often the medium did not answer it; likewise */
	struct searched searched; /* likewise */
	struct lane_set lanes;
	struct slot slot;
	struct room room;
	struct share share; /* shared devices */
	struct namespaces namespaces;
	struct deputies deputies; /* for calls with a deadline */
	struct pins pins;
	bool read_only; /* asked for, or all that can be had for now */
	atomic_int life_guesses; /* mirrored media: is it worth while to guess where a block's entry lies? (block_io.c) */

	/* ---- from open to close */
	char *path; /* first of this part: detach_pool() */
	struct memkv_pool_options options; /* complete */
	atomic_bool forked;
	struct entrance entrance;
	struct rejoin rejoin;
	struct host_drain drain;
	struct holdings holds;
	struct pool_counters counters;
	struct memkv_pool *next_open; /* list for fork */
};

static inline void count(atomic_uint_fast64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* pool_usable() - 0, MEMKV_EFORK, or -EINVAL for NULL */
int pool_usable(const struct memkv_pool *pool);

/*
 * pool_open.c: attach_pool() - everything that a handle needs, by what it was opened with; @read_only: no slot, nothing is written
 * detach_pool() - nobody is inside: leave the pool as far as the medium lets us, and give all of it back
 *
 * Return: 0; what memkv_pool_open() says; MEMKV_FAILED: there is another pool than the one that the handle had.
 */
int attach_pool(struct memkv_pool *pool, bool read_only);
void detach_pool(struct memkv_pool *pool);
/* pool_open.c: what stands in the superblocks of what is at a path now; nothing is claimed, changed or kept */
int pool_peek(const char *path, unsigned flags, struct superblock *sb);

/* superblocks.c: the better of the two copies; *mended when one of them was not right */
int superblocks_read(struct lane *lane, struct superblock *sb, bool *mended);
/*
 * superblocks.c: write the copy that is not right anew, from the one that is.  Done by whoever attaches for writing and
 * holds a slot by then, so that nobody formats; two at once write the same.  What fails is tried by the next one.
 */
void superblocks_mend(struct lane *lane, const struct superblock *sb);

/*
 * get.c: a whole block into @to, by key, or by locator when @at is not NULL, on a lane of the caller's; get_count() counts it,
 * once somebody has got the answer
 * get_meta() - a block's metadata into what @o says; the caller's own struct, @given, may be too short for an answer
 */
void get_block(struct memkv_pool *pool, struct lane *lane, const struct memkv_key *key, const struct located *at, void *to,
	       uint64_t length, uint32_t flags, struct get_answer *answer);
void get_count(struct memkv_pool *pool, const struct get_answer *answer);
void get_meta(const struct block_header *h, const struct memkv_get_options *o, struct memkv_get_options *given);
/* put.c: a put on a lane of the caller's, not counted; @gate (or NULL) is passed before a byte of the block is written */
int put_block(struct memkv_pool *pool, struct lane *lane, const struct memkv_key *key, const void *data, uint64_t length,
	      const struct memkv_put_options *o, atomic_int *gate);

/* recover.c: what an entry says, from its block's header; and the follower's second sources */
void entry_of_header(const struct block_header *h, uint32_t page, struct entry *e);
struct follower_recover recover_source(struct memkv_pool *pool);
void recover_close(struct memkv_pool *pool);

/* session_id_of() - hash of a session's name; 0 for none */
uint64_t session_id_of(const char *session);

#endif
