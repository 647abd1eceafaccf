/* SPDX-License-Identifier: Apache-2.0 */
/* What medium.c and medium_faults.c share: parts of pages, commands that end. */
#ifndef MEMKV_TESTS_SIM_MEDIUM_FAULTS_H
#define MEMKV_TESTS_SIM_MEDIUM_FAULTS_H

#include "sim.h"

#include <string.h>

enum { ALL_SECTORS = (1 << PAGE_SECTORS) - 1 };

/* what of a page of a command has not landed yet */
static inline uint32_t rest_of(const struct command *c, uint32_t page)
{
	return c->rest[page] ? c->rest[page] : ALL_SECTORS;
}

static inline void copy_sectors(uint8_t *to, const uint8_t *from, uint32_t sectors)
{
	if (sectors == ALL_SECTORS) {
		memcpy(to, from, PAGE);
		return;
	}
	for (uint32_t i = 0; i < PAGE_SECTORS; i++)
		if (sectors >> i & 1)
			memcpy(to + i * SECTOR, from + i * SECTOR, SECTOR);
}

/* faults_of() - does a command come late, does it fail? */
void faults_of(struct command *c);

/* medium.c: a command's place among those in flight is free again */
void medium_deactivate(uint32_t active);

#endif
