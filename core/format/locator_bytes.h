/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locators: where a block was put, in 96 bytes that travel between processes (include/memkv/locator.h).
 *
 * They never lie on the media, but are of the same make: named, versioned, checked.  The check tells damage, not
 * forgery: whoever reads by a locator verifies the block all the same.
 */
#ifndef MEMKV_FORMAT_LOCATOR_BYTES_H
#define MEMKV_FORMAT_LOCATOR_BYTES_H

#include "core/format/check.h"

enum { LOCATOR_BYTES = 96 };

struct locator {
	uint32_t header_pages, length;
	uint8_t uuid[16];
	uint64_t instance; /* of the pool */
	uint64_t generation, birth;
	uint32_t segment, page; /* of the block's header, within the segment */
	uint8_t key[32];
};

void locator_encode(const struct locator *l, uint8_t bytes[LOCATOR_BYTES]);

enum locator_verdict { LOCATOR_GOOD, LOCATOR_NEWER, LOCATOR_BAD };

/* locator_decode() - any bytes are safe; nothing is mended, since a second copy is a question away */
enum locator_verdict locator_decode(const uint8_t bytes[LOCATOR_BYTES], struct locator *l);

#endif
