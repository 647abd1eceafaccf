/* SPDX-License-Identifier: Apache-2.0 */
/* Attach: the whole pool is folded into the index for the first time, in large reads. */
#ifndef MEMKV_INDEX_FOLD_ALL_H
#define MEMKV_INDEX_FOLD_ALL_H

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

/* fold_all() - every segment, by follower_open(); 0 or -ENOMEM */
int fold_all(struct follower *f);

#endif
