/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One segment's table is folded into the index: what its entries say goes in, what is gone goes out.  All of it under the follower's
 * lock; which segments, and when, is follower.c's.
 */
#ifndef MEMKV_INDEX_FOLD_H
#define MEMKV_INDEX_FOLD_H

#include "core/index/follower.h"

/*
 * A table that is in memory already, and the owner word from before it was read: when that is still the same and not
 * OPEN, nobody wrote meanwhile, and it does not matter in which order the parts came.
 */
struct brought {
	uint64_t owner;
};

/*
 * follower_fold() - one segment, under the follower's lock; @brought: or NULL
 *
 * Return: false: the medium did not answer; then nothing of the segment has changed, and its pulse counts as not seen.
 */
bool follower_fold(struct follower *f, uint64_t s, const struct brought *brought);

/*
 * follower_pass_over() - a FREE segment's table, most of a large pool that is young, is not looked at: true.  Not on shared devices,
 * where nothing rings and owner words are computed.
 */
bool follower_pass_over(struct follower *f, uint64_t s);

/*
 * fold_growth() - a segment that was OPEN, on mirrored media: are there entries behind those that we know?  Other changes ring, but on
 * shared devices, where all of it is folded when it was opened anew
 */
void fold_growth(struct follower *f, uint64_t s);

/* fold_note_generation() - a segment has another one, before anything of it is put into the index: follower_generation() */
void fold_note_generation(struct follower *f, uint64_t s);

/* fold_watch() - look into the segment at each step, where that is needed, or not any more */
void fold_watch(struct follower *f, uint64_t s, bool open);

/*
 * fold_lose() - something is taken out of the index: from now on to the end of the step, what is not there may be back elsewhere
 * fold_lose_end() - the step's end
 */
void fold_lose(struct follower *f);
void fold_lose_end(struct follower *f);

#endif
