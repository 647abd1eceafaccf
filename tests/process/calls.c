/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the hot paths ask of the system.
 *
 * This program counts by standing in between: its own malloc family and pthread_mutex_lock take the place of the C
 * library's, in the library as well.  Asserted, after everything was used once:
 *   get, match, exists - no allocation, no mutex; put - no allocation
 * Run under strace by calls.sh, it also draws lines with a write to descriptor -1 between a number of gets, matches and
 * puts; what lies between them is asserted there.
 *
 * usage: calls [--count N] [--path P] [--sync 1: without io_uring, which a filter refuses]
 */
#include "helpers.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LENGTH = 256 << 10, KEYS = 16 };

/* ---- standing in between ---- */

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void *memory);

static _Thread_local uint64_t allocations, locks;

void *malloc(size_t bytes)
{
	allocations++;
	return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
	allocations++;
	return __libc_calloc(count, bytes);
}

void *realloc(void *memory, size_t bytes)
{
	allocations++;
	return __libc_realloc(memory, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
	allocations++;
	return __libc_memalign(alignment, bytes);
}

void free(void *memory)
{
	allocations += memory != NULL;
	__libc_free(memory);
}

static int (*real_lock)(pthread_mutex_t *);

__attribute__((constructor)) static void find_real_lock(void)
{
	*(void **)&real_lock = dlsym(RTLD_NEXT, "pthread_mutex_lock");
}

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
	locks++;
	return real_lock ? real_lock(mutex) : 0; /* before main there is one thread */
}

/* ---- the calls ---- */

static struct memkv_pool *pool;
static uint8_t *buffer;
static uint64_t next_number;

static void put_next(void)
{
	struct memkv_key key = key_of(next_number);

	memcpy(buffer, &next_number, sizeof(next_number));
	int err = memkv_put(pool, &key, buffer, LENGTH, NULL);
	EXPECT(err == 0, "put: %s", memkv_code_name(err));
	next_number++;
}

static void get_any(uint64_t number)
{
	struct memkv_key key = key_of(number % KEYS);

	EXPECT(memkv_get(pool, &key, buffer, LENGTH, NULL) == LENGTH, "get");
}

static void get_range(uint64_t number)
{
	struct memkv_key key = key_of(number % KEYS);
	struct memkv_range range = {100000, 5000, buffer};

	EXPECT(memkv_get_ranges(pool, &key, &range, 1) == LENGTH, "get of a range");
}

static void match_all(uint64_t number)
{
	static struct memkv_key keys[KEYS + 1];

	if (number == 0)
		for (uint64_t i = 0; i <= KEYS; i++)
			keys[i] = key_of(i < KEYS ? i : 1ULL << 60);
	EXPECT(memkv_match(pool, keys, KEYS + 1, 0) == KEYS, "match");
	EXPECT(memkv_exists(pool, &keys[0], 0) == 1 && memkv_exists(pool, &keys[KEYS], 0) == 0, "exists");
}

static struct memkv_locator locators[KEYS];

static void keep_all(uint64_t number)
{
	static struct memkv_key keys[KEYS];

	if (number == 0)
		for (uint64_t i = 0; i < KEYS; i++)
			keys[i] = key_of(i);
	EXPECT(memkv_match_keep(pool, keys, KEYS, 1000, 0, locators) == KEYS, "keep");
}

static void get_at(uint64_t number)
{
	EXPECT(memkv_get_at(pool, &locators[number % KEYS], buffer, LENGTH, NULL) == LENGTH, "get by locator");
}

static void put_one(uint64_t number)
{
	(void)number;
	put_next();
}

/* a line for strace between two stretches */
static void draw_line(const char *name)
{
	if (write(-1, name, strlen(name)) >= 0 || errno != EBADF)
		abort();
}

static void stretch(const char *name, void (*call)(uint64_t number), uint64_t count, bool no_locks)
{
	call(0); /* once, so that every function is bound */
	uint64_t allocations_before = allocations, locks_before = locks;
	draw_line(name);
	for (uint64_t i = 1; i <= count; i++)
		call(i);
	draw_line("end");
	uint64_t made = allocations - allocations_before, taken = locks - locks_before;
	printf("%s: %llu calls, %llu allocations, %llu mutexes\n", name, (unsigned long long)count,
	       (unsigned long long)made, (unsigned long long)taken);
	EXPECT(made == 0, "%s allocates", name);
	EXPECT(!no_locks || taken == 0, "%s locks", name);
}

static void refuse_io_uring(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		skip_test("no filter can be set here: %s", strerror(errno));
}

int main(int argc, char **argv)
{
	uint64_t count = argument_number(argc, argv, "--count", 200);
	const char *path = scratch_path("calls");

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
	skip_test("a sanitizer stands in between already");
#endif
	if (argument_number(argc, argv, "--sync", 0))
		refuse_io_uring();
	pool_make_bytes(path, MIB(64) + count * (LENGTH + MIB(1) / 16), LENGTH);
	pool = pool_attach(path, MEMKV_OPEN_NO_FOLLOWER);
	buffer = pages_alloc(LENGTH + PAGE_BYTES);
	for (int i = 0; i < KEYS; i++)
		put_next();
	stretch("gets", get_any, count, true);
	stretch("ranges", get_range, count, true);
	stretch("matches", match_all, count, true);
	stretch("keeps", keep_all, count, true);
	stretch("gets by locator", get_at, count, true);
	stretch("puts", put_one, count, false);
	buffer += 8;
	stretch("unaligned gets", get_any, count, true);
	memkv_pool_close(pool);
	return 0;
}
