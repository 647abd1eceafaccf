/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Write the golden file to standard output: for each structure a line "name length", then its bytes in rows of 32
 * ("offset: hex"), rows of zeros left out.  Used once for each version of the format; check_golden compares ever after.
 */
#include "tests/golden/golden_examples.h"

#include <stdio.h>
#include <string.h>

enum { ROW = 32 };

static void print_rows(const uint8_t *bytes, size_t length)
{
	static const uint8_t zeros[ROW];

	for (size_t at = 0; at < length; at += ROW) {
		size_t n = length - at < ROW ? length - at : ROW;
		if (!memcmp(bytes + at, zeros, n))
			continue;
		printf("%04zx: ", at);
		for (size_t i = 0; i < n; i++)
			printf("%02x", bytes[at + i]);
		printf("\n");
	}
}

int main(void)
{
	static _Alignas(8) uint8_t bytes[GOLDEN_BYTES_MAX];

	printf("# memkv format %d.%d: one of each structure, as golden_examples.c fills them\n", FORMAT_MAJOR,
	       FORMAT_MINOR);
	for (size_t i = 0; i < golden_count; i++) {
		golden_table[i].encode(bytes);
		printf("%s %zu\n", golden_table[i].name, golden_table[i].length);
		print_rows(bytes, golden_table[i].length);
	}
	return 0;
}
