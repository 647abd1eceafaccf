/* SPDX-License-Identifier: Apache-2.0 */
/* The table at the end, and one line for machines. */
#ifndef MEMKV_FLIP_TALLY_H
#define MEMKV_FLIP_TALLY_H

#include "tests/flip/visit.h"

/* tally_print() - of @count seeds from @first; returns the number of seeds that failed or were never run */
uint64_t tally_print(const struct outcome *outcomes, uint64_t first, uint64_t count, double seconds);

#endif
