/* SPDX-License-Identifier: Apache-2.0 */
/* See helpers.h. */
#include "helpers.h"

#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SCRATCH_MAX = 64 };

void fail_test(const char *file, int line, const char *condition, const char *format, ...)
{
	const char *detail = memkv_error_detail();
	va_list args;

	flockfile(stdout);
	printf("FAILED %s:%d (process %d): %s: ", file, line, (int)getpid(), condition);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("%s%s\n", *detail ? "; last error: " : "", detail);
	fflush(stdout);
	funlockfile(stdout);
	exit(1);
}

void skip_test(const char *format, ...)
{
	va_list args;

	printf("SKIPPED: ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	exit(SKIPPED);
}

/* ---- numbers ---- */

uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9E3779B97F4A7C15ULL;

	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ULL;
	z = (z ^ z >> 27) * 0x94D049BB133111EBULL;
	return z ^ z >> 31;
}

uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void sleep_us(uint64_t us)
{
	struct timespec pause = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};

	nanosleep(&pause, NULL);
}

static int compare_numbers(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

struct figures figures_of(uint64_t *samples, size_t count)
{
	if (count == 0)
		return (struct figures){0};
	qsort(samples, count, sizeof(*samples), compare_numbers);
	return (struct figures){
		.p50 = samples[count / 2], .p99 = samples[count - 1 - (count - 1) / 100], .max = samples[count - 1]};
}

const char *argument_text(int argc, char **argv, const char *name, const char *otherwise)
{
	for (int i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return argv[i + 1];
	return otherwise;
}

uint64_t argument_number(int argc, char **argv, const char *name, uint64_t otherwise)
{
	const char *text = argument_text(argc, argv, name, NULL);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

/* ---- keys and payload ---- */

struct memkv_key key_of(uint64_t number)
{
	uint64_t state = number ^ 0x6B65796E756D6265ULL, words[4];
	struct memkv_key key;

	for (int i = 0; i < 4; i++)
		words[i] = random_next(&state);
	memcpy(key.bytes, words, sizeof(key.bytes));
	return key;
}

size_t length_of(uint64_t number, size_t max)
{
	uint64_t state = number ^ 0x6C656E677468ULL;
	size_t pages = max / PAGE_BYTES;

	switch (random_below(&state, 16)) {
	case 0:
		return max;
	case 1:
		return pages ? PAGE_BYTES * (1 + random_below(&state, pages)) : max;
	case 2:
		return 1 + random_below(&state, max);
	case 3:
		return 1 + random_below(&state, max < 16 ? max : 16);
	default:
		return 1 + random_below(&state, max / 8 + 1);
	}
}

/* the @n-th word of a payload */
static uint64_t payload_word(uint64_t seed, uint64_t n)
{
	uint64_t z = (seed + n) * 0x9E3779B97F4A7C15ULL;

	return (z ^ z >> 32) * 0xD6E8FEB86659FD93ULL;
}

static uint64_t payload_seed(uint64_t number, uint32_t version)
{
	uint64_t state = number * 0x100000001B3ULL ^ ((uint64_t)version << 40);

	return random_next(&state);
}

void payload_fill(void *to, size_t length, uint64_t number, uint32_t version)
{
	uint64_t seed = payload_seed(number, version), word;
	uint8_t *at = to;

	for (uint64_t n = 0; n < length / 8; n++) {
		word = payload_word(seed, n);
		memcpy(at + n * 8, &word, 8);
	}
	word = payload_word(seed, length / 8);
	memcpy(at + length / 8 * 8, &word, length % 8);
}

bool payload_right(const void *bytes, size_t length, uint64_t number, uint32_t version)
{
	uint64_t seed = payload_seed(number, version), word, difference = 0;
	const uint8_t *at = bytes;

	for (uint64_t n = 0; n < length / 8; n++) {
		memcpy(&word, at + n * 8, 8);
		difference |= word ^ payload_word(seed, n);
	}
	word = payload_word(seed, length / 8);
	return difference == 0 && memcmp(at + length / 8 * 8, &word, length % 8) == 0;
}

void *pages_alloc(size_t bytes)
{
	void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	EXPECT(pages != MAP_FAILED, "no memory for %zu bytes", bytes);
	return pages;
}

/* ---- pools ---- */

static char *scratch[SCRATCH_MAX];
static int scratch_count;
static pid_t scratch_owner;

static void remove_scratch(void)
{
	if (getpid() != scratch_owner)
		return;
	for (int i = 0; i < scratch_count; i++)
		unlink(scratch[i]);
}

static const char *scratch_in(const char *directory, const char *name)
{
	char *path = NULL;

	EXPECT(scratch_count < SCRATCH_MAX, "more than %d scratch files", SCRATCH_MAX);
	if (asprintf(&path, "%s/memkv-%d-%s", directory, (int)getpid(), name) < 0)
		abort();
	unlink(path);
	if (!scratch_owner)
		atexit(remove_scratch);
	scratch_owner = getpid();
	scratch[scratch_count++] = path;
	return path;
}

const char *scratch_path(const char *name)
{
	const char *directory = getenv("MEMKV_TEST_DIR");

	return scratch_in(directory ? directory : ".", name);
}

const char *scratch_fast_path(const char *name)
{
	struct statvfs fs;
	bool room = statvfs("/dev/shm", &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize > MIB(256);

	return room && access("/dev/shm", W_OK) == 0 ? scratch_in("/dev/shm", name) : scratch_path(name);
}

void scratch_remove(const char *path)
{
	for (int i = 0; i < scratch_count; i++) {
		if (scratch[i] != path)
			continue;
		unlink(path);
		free(scratch[i]);
		scratch[i] = scratch[--scratch_count];
		return;
	}
}

void pool_make(const char *path, const struct memkv_create_options *options)
{
	int err = memkv_pool_create(path, options);

	EXPECT(err == 0, "create %s: %s", path, memkv_code_name(err));
}

void pool_make_bytes(const char *path, uint64_t bytes, uint64_t max_block)
{
	struct memkv_create_options options = {.size = sizeof(options), .bytes = bytes, .max_block = max_block};

	pool_make(path, &options);
}

struct memkv_pool *pool_attach(const char *path, uint32_t flags)
{
	struct memkv_pool_options options = {.size = sizeof(options), .flags = flags};
	struct memkv_pool *pool = NULL;
	int err = memkv_pool_open(path, &options, &pool);

	EXPECT(err == 0, "open %s: %s", path, memkv_code_name(err));
	return pool;
}

static void print_bad(void *context, const struct memkv_key *key, uint64_t page, const char *why)
{
	char hex[MEMKV_KEY_HEX];

	(void)context;
	memkv_key_to_hex(key, hex);
	printf("  bad block %s at page %llu: %s\n", hex, (unsigned long long)page, why);
}

uint64_t pool_expect_clean(struct memkv_pool *pool, const char *when)
{
	struct memkv_check_options options = {.size = sizeof(options), .bad_block = print_bad};
	struct memkv_check_report report;
	int err = memkv_pool_check(pool, &options, &report);

	EXPECT(err == 0, "%s: check: %s", when, memkv_code_name(err));
	EXPECT(report.bad == 0 && report.records_bad == 0, "%s: check found %llu bad blocks, %llu bad records (%llu mended)",
	       when, (unsigned long long)report.bad, (unsigned long long)report.records_bad,
	       (unsigned long long)report.records_mended);
	return report.blocks;
}

struct memkv_counters counters_of(struct memkv_pool *pool)
{
	struct memkv_counters counters;
	int err = memkv_pool_counters(pool, &counters);

	EXPECT(err == 0, "counters: %s", memkv_code_name(err));
	return counters;
}

struct memkv_host host_of_mine(struct memkv_pool *pool)
{
	static struct memkv_host hosts[256];
	int64_t slots = memkv_hosts(pool, hosts, 256);

	for (int64_t i = 0; i < slots; i++)
		if (hosts[i].is_me)
			return hosts[i];
	fail_test(__FILE__, __LINE__, "is_me", "no slot is mine");
}

struct memkv_pool_info describe_of(struct memkv_pool *pool)
{
	struct memkv_pool_info info;
	int err = memkv_pool_describe(pool, &info);

	EXPECT(err == 0, "describe: %s", memkv_code_name(err));
	return info;
}

/* ---- processes ---- */

pid_t child_start(int (*body)(void *context), void *context)
{
	pid_t parent = getpid();

	fflush(stdout);
	pid_t child = fork();
	EXPECT(child >= 0, "fork failed");
	if (child > 0)
		return child;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1); /* it died before the line above */
	int status = body(context);
	fflush(stdout);
	_exit(status);
}

void child_join(pid_t child, const char *who)
{
	int status = 0;

	EXPECT(waitpid(child, &status, 0) == child, "%s: no such child", who);
	EXPECT(!WIFSIGNALED(status), "%s was killed by signal %d", who, WTERMSIG(status));
	EXPECT(WEXITSTATUS(status) == 0, "%s ended with %d", who, WEXITSTATUS(status));
}

void child_kill(pid_t child)
{
	int status = 0;

	kill(child, SIGKILL);
	EXPECT(waitpid(child, &status, 0) == child, "no such child");
	EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
	       "the child ended by itself before it was killed (wait status %#x)", (unsigned)status);
}

void *shared_alloc(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	EXPECT(memory != MAP_FAILED, "no shared memory");
	return memory;
}

bool wait_until(const atomic_uint_fast64_t *word, uint64_t value, uint64_t limit_us)
{
	uint64_t end = now_us() + limit_us;

	while (atomic_load(word) < value) {
		if (now_us() > end)
			return false;
		sleep_us(50);
	}
	return true;
}
