/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking whether a copy of a pinned block holds, once the fact is stated and flushed (pins.h), and moving it where it does not.
 */
#ifndef MEMKV_POOL_PIN_HOLD_H
#define MEMKV_POOL_PIN_HOLD_H

#include "core/pool/move.h"

struct births;

/* of several copies that do not hold the last of these counts */
enum pins_copy {
	PINS_COPY_HOLDS,
	PINS_COPY_MOVED,   /* of pin_hold() alone: it holds, in a new place */
	PINS_COPY_LOST,	   /* likewise: its entry is there, and power loss has taken the block */
	PINS_COPY_NONE,	   /* there is no such block any more */
	PINS_COPY_UNSURE,  /* there is one, and it may yet go */
	PINS_COPY_LAPSED,  /* likewise, and this host was out of its lease, and might open no segment to move it to */
	PINS_COPY_FAILED,  /* likewise, and the medium refused to read it, or to write it elsewhere */
	PINS_COPY_NO_ROOM, /* likewise, and there is no room to move it to */
};

/*
 * pins_copy_of() - the key is pinned, and that is stated: does a copy hold, if need be in a new place?
 * pin_any_copy() - likewise; @entries: room for a whole table
 * @only, @below: of the blocks with these births, and with lower ones than that; NULL: of all.
 */
enum pins_copy pins_copy_of(struct memkv_pool *pool, const uint8_t key[32], const struct births *only, uint64_t below);
enum pins_copy pin_any_copy(struct memkv_pool *pool, struct entry *entries, const uint8_t *key, const struct births *only,
			    uint64_t below);

/*
 * pin_hold() - does this very copy hold, if need be in a new place?
 * @alone: the key is to be held by it, and by no other (shared devices).
 *
 * Return: never PINS_COPY_UNSURE.
 */
enum pins_copy pin_hold(struct memkv_pool *pool, uint64_t segment, uint64_t generation, const struct entry *e, bool alone);

/* pins_find_entry() - the entry of the copy at @place into entries[0] (room for a whole table); false: there is none */
bool pins_find_entry(struct memkv_pool *pool, struct entry *entries, const uint8_t *key, struct place place,
		     uint64_t *segment, uint64_t *generation);

/* pin_pages_of_key() - pages of the first copy of a key that is there; 0: none.  pin_pages() - of a block, with its header */
uint64_t pin_pages_of_key(struct memkv_pool *pool, struct entry *entries, const uint8_t *key);
static inline uint64_t pin_pages(const struct entry *e) { return e->header_pages + block_pages(e->length); }

#endif
