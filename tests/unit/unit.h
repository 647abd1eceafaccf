/* SPDX-License-Identifier: Apache-2.0 */
/* What every unit test needs: a suite in one call, repeatable random numbers, and a way to say "skipped". */
#ifndef MEMKV_TESTS_UNIT_H
#define MEMKV_TESTS_UNIT_H

#include <check.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { UNIT_SKIPPED = 77, UNIT_TIMEOUT_S = 240 };

/* unit_skip() - end the program as skipped (before any suite runs), with the reason */
static inline _Noreturn void unit_skip(const char *why)
{
	printf("skipped: %s\n", why);
	fflush(stdout);
	exit(UNIT_SKIPPED);
}

/* unit_run() - run NULL-ended @tests as one suite; returns main()'s result */
static inline int unit_run(const char *name, const TTest *const *tests)
{
	Suite *suite = suite_create(name);
	TCase *group = tcase_create(name);

	tcase_set_timeout(group, UNIT_TIMEOUT_S);
	for (; *tests; tests++)
		tcase_add_test(group, *tests);
	suite_add_tcase(suite, group);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner), ran = srunner_ntests_run(runner);
	srunner_free(runner);
	return failed || !ran ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* random_next() - splitmix64: the same numbers in every run */
static inline uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9E3779B97F4A7C15ULL;

	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ULL;
	z = (z ^ z >> 27) * 0x94D049BB133111EBULL;
	return z ^ z >> 31;
}

/* random_bytes() - @length of them; not to be confused with unpredictable ones */
static inline void random_bytes(uint64_t *state, void *to, size_t length)
{
	for (size_t i = 0; i < length; i++)
		((uint8_t *)to)[i] = (uint8_t)random_next(state);
}

static inline void flip_bit(void *bytes, size_t bit)
{
	((uint8_t *)bytes)[bit / 8] ^= (uint8_t)(1u << bit % 8);
}

#endif
