/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One corruption: where and what, settled by its seed.  Half of the seeds aim at live metadata (first a kind of
 * structure, then one of its instances, then a byte); the others take a region of the format, then a byte in it.
 * Half are a single flipped bit, the kind of damage against which the format promises most.
 */
#ifndef MEMKV_FLIP_HURT_H
#define MEMKV_FLIP_HURT_H

#include "tests/flip/base.h"

enum hurt_kind { HURT_BIT, HURT_BYTE, HURT_RUN, HURT_SECTOR_ZERO, HURT_SECTOR_OTHER, HURT_PAGE_ZERO, HURT_KINDS };

struct hurt {
	uint64_t offset;
	uint32_t length;
	enum hurt_kind kind;
	enum spot spot;
	bool idle;	     /* what was written is what was there */
	uint8_t bit;	     /* the one that is flipped */
	uint8_t after[PAGE]; /* what lies there when it is done to a pool that nobody has written to meanwhile */
};

void hurt_choose(const struct base *base, uint64_t seed, struct hurt *hurt);
const char *hurt_kind_name(enum hurt_kind kind);
const char *spot_name(enum spot spot);

/* hurt_write() - do it to an open file; coherent with mappings and with direct reads */
void hurt_write(int fd, const struct hurt *hurt);

/* which of a copy's bytes were changed */
bool hurt_touches(const struct base *base, const struct hurt *hurt, uint64_t offset, uint64_t length);

#endif
