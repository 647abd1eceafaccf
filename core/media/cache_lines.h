/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that several hosts map, whose caches do not know of each other.  What a host stores stays in its own caches until
 * their lines are written back; what it has loaded stays there, however old it gets, until the lines are dropped.  So
 *
 *	to read:   drop the lines -> fence -> load
 *	to write:  store -> write the lines back -> fence
 *
 * and before the fence nothing of it has happened for sure, and all of it may have, in any order.  This is the only code
 * that touches such memory; the simulator has a model of it in its place (tests/sim/lines.c).
 *
 * A line belongs to one host at a time: whoever writes back a line that another host has changed takes that change back.
 */
#ifndef MEMKV_MEDIA_CACHE_LINES_H
#define MEMKV_MEDIA_CACHE_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CACHE_LINE = 64, CACHE_LINE_WORDS = CACHE_LINE / sizeof(uint64_t) };

/* cache_lines_load() - ordinary loads; of at most 4 KiB whole words, in rising order, where both sides lie on words */
void cache_lines_load(void *to, const void *from, size_t length);

/*
 * cache_lines_store() - each aligned word of the destination is stored whole (of at most 4 KiB), in any order
 *
 * Past the caches where the processor can: then a process that is killed right behind it leaves nothing in them that
 * would be written back much later, over what others have written meanwhile.
 */
void cache_lines_store(void *to, const void *from, size_t length);

/* cache_lines_write_back() - what was stored to the lines around the range is on its way to the memory */
void cache_lines_write_back(const void *at, size_t length);

/* cache_lines_drop() - the lines around the range leave the caches (written back if need be): the next load asks the memory */
void cache_lines_drop(const void *at, size_t length);

/* cache_lines_fence() - all of the above is done before anything behind this begins */
void cache_lines_fence(void);

/* cache_lines_usable() - does this build know its processor's instructions for that? */
bool cache_lines_usable(void);

/* cache_lines_instructions() - which ones, for people */
const char *cache_lines_instructions(void);

#endif
