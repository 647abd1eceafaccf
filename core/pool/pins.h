/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pins in the pool: the fact is stated and flushed, then the pinner looks.
 *
 * A copy holds when its segment's owner word is neither LEAVING nor FREE, its table then still has the copy's
 * generation, and the copy's life word then is live.  For who empties a segment makes it LEAVING first and looks at the
 * facts then; and withdraws the table before the word says OPEN.  A copy in a segment that is LEAVING is moved by the
 * pinner itself.  Where no copy holds any more the answer is a miss, and the fact stays until its end: taking it back
 * would take back what others pin at that moment.
 */
#ifndef MEMKV_POOL_PINS_H
#define MEMKV_POOL_PINS_H

#include "core/index/index.h"

#include <pthread.h>
#include <stdint.h>

struct memkv_pool;

/* what pinned sessions take, as it was counted last, and what this handle has put since */
struct pins {
	pthread_mutex_t lock;
	uint64_t counted_us; /* 0: never */
	uint64_t pages;
};

void pins_open(struct pins *pins);
void pins_close(struct pins *pins);

/*
 * pins_admit() - a put of @pages in a session: does it fit, should the session be pinned?
 *
 * Return: 0 or MEMKV_PIN_LIMIT with a sentence.
 */
int pins_admit(struct memkv_pool *pool, uint64_t session_id, uint64_t pages);

#endif
