/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the fuzz targets share.  A target is a program with LLVMFuzzerTestOneInput(); with clang and MEMKV_FUZZ it is linked
 * with libFuzzer, else with driver.c, which runs it over a folder of inputs.
 */
#ifndef MEMKV_TESTS_FUZZ_H
#define MEMKV_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* MUST(condition) - what every input must leave true */
#define MUST(condition)                                                                                              \
	do {                                                                                                         \
		if (!(condition)) {                                                                                  \
			fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);                    \
			abort();                                                                                     \
		}                                                                                                    \
	} while (0)

/* an input is eaten from its front; what is not there is zero */
struct bytes_in {
	const uint8_t *at;
	size_t left;
};

static inline uint64_t eat(struct bytes_in *in, unsigned count)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < count; i++, in->at += in->left > 0, in->left -= in->left > 0)
		value |= (in->left ? (uint64_t)*in->at : 0) << 8 * i;
	return value;
}

#endif
