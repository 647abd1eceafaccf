/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that runs out: every call that allocates, once for each of its allocations (malloc, calloc, aligned_alloc, strdup,
 * realloc, mmap, pthread_create) with that one refused: the call says so, or works all the same; nothing is lost, and - under
 * the address sanitizer - nothing leaks.  What the library's own libraries allocate is not refused.
 */
#include "workload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BLOCKS = 40 };

static bool counting;
static uint64_t allocations, refuse_at = UINT64_MAX;

static bool refused(void)
{
	return counting && allocations++ == refuse_at;
}

void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
void *__real_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*body)(void *), void *context);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*body)(void *), void *context);

static void *none(void)
{
	errno = ENOMEM;
	return NULL;
}

void *__wrap_malloc(size_t bytes) { return refused() ? none() : __real_malloc(bytes); }
void *__wrap_calloc(size_t count, size_t bytes) { return refused() ? none() : __real_calloc(count, bytes); }
void *__wrap_realloc(void *memory, size_t bytes) { return refused() ? none() : __real_realloc(memory, bytes); }
void *__wrap_aligned_alloc(size_t alignment, size_t bytes) { return refused() ? none() : __real_aligned_alloc(alignment, bytes); }
char *__wrap_strdup(const char *text) { return refused() ? none() : __real_strdup(text); }

void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
	if (!refused())
		return __real_mmap(at, bytes, protection, flags, fd, offset);
	errno = ENOMEM;
	return MAP_FAILED;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*body)(void *), void *context)
{
	return refused() ? EAGAIN : __real_pthread_create(thread, attr, body, context);
}

/* ---- the calls ---- */

static char path[64], other[64];
static struct memkv_pool *pool;

static int do_create(void)
{
	struct memkv_create_options options = {.size = sizeof(options), .blocks = 256, .block_size = BLOCK_BYTES, .name = "memory"};

	return memkv_pool_create(other, &options);
}

static void after_create(int result)
{
	if (result && access(other, F_OK) == 0)
		crash_fail("a create that failed leaves a file");
	unlink(other);
}

static int do_open(void)
{
	struct memkv_pool_options options = {.size = sizeof(options), .lanes = 3};

	return memkv_pool_open(path, &options, &pool);
}

static int do_open_buffered(void)
{
	struct memkv_pool_options options = {
		.size = sizeof(options), .lanes = 2, .flags = MEMKV_OPEN_BUFFERED | MEMKV_OPEN_READ_ONLY | MEMKV_OPEN_NO_FOLLOWER};

	return memkv_pool_open(path, &options, &pool);
}

static void after_open(int result)
{
	if (result)
		return;
	for (uint32_t block = 0; block < BLOCKS; block++)
		if (block_look(pool, block, 0) != 1)
			crash_fail("block %u is lost", block);
	memkv_pool_close(pool);
}

static int do_iterate(void)
{
	struct memkv_iter *it;
	struct memkv_block_info info;
	uint32_t listed = 0;
	int err = memkv_iter_open(pool, NULL, &it);

	if (err)
		return err;
	while (memkv_iter_next(it, &info) > 0)
		listed++;
	memkv_iter_close(it);
	return listed == BLOCKS ? 0 : -EPROTO;
}

static int do_check(void)
{
	struct memkv_check_report report;
	int err = memkv_pool_check(pool, NULL, &report);

	return err ? err : report.blocks == BLOCKS && !report.bad && !report.records_bad ? 0 : -EPROTO;
}

static int do_describe(void)
{
	struct memkv_pool_info info;
	int err = memkv_pool_describe(pool, &info);

	return err ? err : info.blocks == BLOCKS ? 0 : -EPROTO;
}

static int do_destroy(void) { return memkv_pool_destroy(other, 0); }

static void before_destroy(void)
{
	if (access(other, F_OK) && do_create())
		crash_fail("no pool to destroy");
}

static void before_look(void)
{
	if (do_open())
		crash_fail("open");
}

static void after_look(int result)
{
	(void)result;
	memkv_pool_close(pool);
}

static const struct subject {
	const char *name;
	void (*before)(void);
	int (*call)(void);
	void (*after)(int result);
} subjects[] = {
	{"create", NULL, do_create, after_create},
	{"open", NULL, do_open, after_open},
	{"open, buffered", NULL, do_open_buffered, after_open},
	{"iterate", before_look, do_iterate, after_look},
	{"check", before_look, do_check, after_look},
	{"describe", before_look, do_describe, after_look},
	{"destroy", before_destroy, do_destroy, NULL},
};

/* false: the call does not allocate that often */
static bool refuse(const struct subject *s, uint64_t n, uint64_t *failures)
{
	snprintf(crash_context, sizeof(crash_context), "%s, allocation %llu", s->name, (unsigned long long)n);
	if (s->before)
		s->before();
	allocations = 0;
	refuse_at = n;
	counting = true;
	int result = s->call();
	counting = false;
	bool met = allocations > n;
	if (!met && result)
		crash_fail("without a refusal: %s", memkv_code_name(result));
	if (result && result != -ENOMEM && result != -EAGAIN && result != -EIO)
		crash_fail("%s", memkv_code_name(result));
	if (result && !*memkv_error_detail())
		crash_fail("%s without a sentence", memkv_code_name(result));
	*failures += result != 0;
	if (s->after)
		s->after(result);
	return met;
}

int main(int argc, char **argv)
{
	const char *folder = argc > 1 ? argv[1] : ".";
	struct memkv_create_options options = {.size = sizeof(options), .blocks = 256, .block_size = BLOCK_BYTES};

	snprintf(path, sizeof(path), "%s/memkv-alloc-%d", folder, (int)getpid());
	snprintf(other, sizeof(other), "%s/memkv-alloc-%d-other", folder, (int)getpid());
	if (memkv_pool_create(path, &options) || do_open())
		crash_fail("no pool");
	for (uint32_t block = 0; block < BLOCKS; block++)
		if (crash_put(pool, block, 0, 0))
			crash_fail("put");
	memkv_pool_close(pool);
	for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++) {
		uint64_t n = 0, failures = 0;
		while (refuse(&subjects[i], n, &failures))
			n++;
		printf("%s: %llu allocations, %llu of them needed\n", subjects[i].name, (unsigned long long)n,
		       (unsigned long long)failures);
	}
	unlink(path);
	unlink(other);
	return 0;
}
