/* SPDX-License-Identifier: Apache-2.0 */
/* A locator that is about this pool, and the place that it names (locate.h). */
#ifndef MEMKV_POOL_LOCATED_H
#define MEMKV_POOL_LOCATED_H

#include "core/format/locator_bytes.h"
#include "core/index/index.h"

struct located {
	struct locator l;
	struct place place;
};

#endif
