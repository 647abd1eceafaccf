/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seeing each single store into a piece of memory: it is kept read-only, so that each store faults; the handler lets this
 * one instruction through (writable page, trap flag), and the trap behind it tells which page was stored to.
 * One range, one thread, x86-64, no sanitizer.
 */
#ifndef MEMKV_TESTS_CRASH_STEPPING_H
#define MEMKV_TESTS_CRASH_STEPPING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* stepping_possible() - false: this build or machine cannot do it */
bool stepping_possible(void);
/* stepping_begin() - @stored is called behind each instruction that stored, with the page's offset in the range */
void stepping_begin(uint8_t *base, size_t bytes, void (*stored)(void *context, uint64_t page), void *context);
void stepping_end(void);

#endif
