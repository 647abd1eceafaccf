/* SPDX-License-Identifier: Apache-2.0 */
/* Attach: the whole pool is folded into the index for the first time, in large reads. */
#ifndef MEMKV_INDEX_FOLD_ALL_H
#define MEMKV_INDEX_FOLD_ALL_H

#include "core/index/fold.h"

/* fold_all() - every segment, by follower_open(); 0 or -ENOMEM */
int fold_all(struct follower *f);

#endif
