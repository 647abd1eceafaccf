/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the process tests share: keys and payload that follow from a number, scratch pools, children, figures.
 *
 * Payload: a block's bytes follow from its key's number and a version, so that any process can tell whether what it
 * read is exactly what was put, without keeping it.  Failure: EXPECT prints where and ends the process with 1; a parent
 * that waits with child_join() fails as well.
 */
#ifndef MEMKV_TESTS_PROCESS_HELPERS_H
#define MEMKV_TESTS_PROCESS_HELPERS_H

#include <memkv/memkv.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

enum { SKIPPED = 77, PAGE_BYTES = 4096 };

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)

/* EXPECT(condition, format, ...) - or say so and end this process with 1 */
#define EXPECT(condition, ...)                                                                                       \
	do {                                                                                                         \
		if (!(condition))                                                                                    \
			fail_test(__FILE__, __LINE__, #condition, __VA_ARGS__);                                      \
	} while (0)
_Noreturn void fail_test(const char *file, int line, const char *condition, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* skip_test() - end this process as "skipped", visibly */
_Noreturn void skip_test(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- numbers ---- */

/* random_next() - splitmix64: the same numbers in every run */
uint64_t random_next(uint64_t *state);
static inline uint64_t random_below(uint64_t *state, uint64_t bound) { return random_next(state) % bound; }

uint64_t now_us(void); /* CLOCK_MONOTONIC */
void sleep_us(uint64_t us);

struct figures {
	uint64_t p50, p99, max;
};
/* figures_of() - sorts @samples */
struct figures figures_of(uint64_t *samples, size_t count);

/* argument_number() - "--name N" among the arguments, or @otherwise; argument_text() likewise */
uint64_t argument_number(int argc, char **argv, const char *name, uint64_t otherwise);
const char *argument_text(int argc, char **argv, const char *name, const char *otherwise);

/* ---- keys and payload ---- */

struct memkv_key key_of(uint64_t number);
/* length_of() - 1 to @max bytes, mostly small, now and then exactly @max or a whole number of pages */
size_t length_of(uint64_t number, size_t max);
void payload_fill(void *to, size_t length, uint64_t number, uint32_t version);
/* payload_right() - are these the bytes of exactly that put? */
bool payload_right(const void *bytes, size_t length, uint64_t number, uint32_t version);
/* pages_alloc() - page-aligned, touched; never freed by anybody but the end of the process */
void *pages_alloc(size_t bytes);

/* ---- pools ---- */

/* scratch_path() - a fresh path in $MEMKV_TEST_DIR, or the working directory; what lies there is removed at exit */
const char *scratch_path(const char *name);
/* scratch_fast_path() - on /dev/shm where that has room: for tests that attach thousands of times */
const char *scratch_fast_path(const char *name);
/* scratch_remove() - now, and free the path */
void scratch_remove(const char *path);
void pool_make(const char *path, const struct memkv_create_options *options);
/* pool_make_bytes() - a pool of @bytes with blocks of at most @max_block */
void pool_make_bytes(const char *path, uint64_t bytes, uint64_t max_block);
struct memkv_pool *pool_attach(const char *path, uint32_t flags);
/* pool_expect_clean() - a check finds nothing; returns the number of blocks */
uint64_t pool_expect_clean(struct memkv_pool *pool, const char *when);
struct memkv_counters counters_of(struct memkv_pool *pool);
struct memkv_pool_info describe_of(struct memkv_pool *pool);
/* host_of_mine() - what memkv_hosts() tells of this handle itself; where it tells nothing the test fails */
struct memkv_host host_of_mine(struct memkv_pool *pool);

/* ---- processes ---- */

/* child_start() - run @body in a child that dies with its parent; what it returns is its exit status */
pid_t child_start(int (*body)(void *context), void *context);
/* child_join() - wait; anything but exit status 0 fails the test */
void child_join(pid_t child, const char *who);
/* child_kill() - kill -9, and wait for the end */
void child_kill(pid_t child);
/* shared_alloc() - zeroed memory that children share */
void *shared_alloc(size_t bytes);
/* wait_until() - until *@word is at least @value; false after @limit_us */
bool wait_until(const atomic_uint_fast64_t *word, uint64_t value, uint64_t limit_us);

#endif
