/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One agent, driven by lines on stdin; every answer is a line on stdout.
 *
 *   block_hand POOL rw|ro|live|lazy
 *     put SEED   get SEED   rm SEED   fresh SEED   wait SEED MILLISECONDS   burst FIRST COUNT
 *     fill FIRST COUNT   flags   memory   quit   misses (by cause: absent, lost, io, other)
 *     durable SEED   replace SEED: put so
 *     other SEED: replaced by other bytes of that length   index SEED: get by the index; says which bytes
 *     refresh   length SEED   fetched: bytes that this process has read from storage
 *     by SEED MILLISECONDS   putby SEED MILLISECONDS: get and put with a deadline, and how long they took in microseconds
 *     timer COUNT MILLISECONDS: p50 and p99 of what a bare timer takes beyond that, in microseconds
 *     canary: is the memory of the last get by a deadline, which failed, as it was?
 *
 * A block's key and bytes follow from its seed, so every get is compared byte for byte.  ro: no follower; live: read
 * only, with a follower, and nothing but the follower brings news.
 */
#include <memkv/memkv.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LARGEST = 700 << 10, CANARY = 0xA5 };

static struct memkv_pool *pool;
static uint8_t *expected, *received;

static uint64_t mix(uint64_t x)
{
	x += 0x9E3779B97F4A7C15;
	x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9;
	x = (x ^ x >> 27) * 0x94D049BB133111EB;
	return x ^ x >> 31;
}

static size_t length_of(uint64_t seed)
{
	uint64_t roll = mix(seed ^ 0xABCD);

	return roll % 4 ? 1 + roll % 30000 : 1 + roll % LARGEST;
}

static size_t block_of_seed(uint64_t seed, struct memkv_key *key)
{
	size_t length = length_of(seed);
	char name[32];

	snprintf(name, sizeof(name), "%" PRIu64, seed);
	memkv_key_from_name("block_hand", name, strlen(name), key);
	for (size_t i = 0; i < length; i += sizeof(uint64_t)) {
		uint64_t word = mix(seed * 1000003 + i);
		memcpy(expected + i, &word, sizeof(word));
	}
	return length;
}

static const char *outcome(int64_t result)
{
	return result >= 0 ? "ok" : memkv_code_name((int)result);
}

static const char *put_with(uint64_t seed, uint32_t flags)
{
	struct memkv_put_options options = {.size = sizeof(options), .flags = flags};
	struct memkv_key key;
	size_t length = block_of_seed(seed, &key);

	return outcome(memkv_put(pool, &key, expected, length, &options));
}

static const char *put(uint64_t seed) { return put_with(seed, 0); }

static void misses(void)
{
	struct memkv_counters c;

	memkv_pool_counters(pool, &c);
	printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", c.miss_absent, c.miss_lost, c.miss_io,
	       c.miss_expired + c.miss_removed + c.miss_damaged + c.miss_reclaimed + c.miss_timedout);
}

static const char *get(uint64_t seed)
{
	struct memkv_key key;
	size_t length = block_of_seed(seed, &key);
	/* now into memory that the medium reaches, now not: both ways to read */
	uint8_t *to = received + (seed % 2 ? 0 : 1);
	int64_t got = memkv_get(pool, &key, to, length, NULL);

	if (got < 0)
		return outcome(got);
	return (size_t)got == length && memcmp(to, expected, length) == 0 ? "ok" : "WRONG";
}

/* the block's bytes, all of them turned round */
static void turn_round(uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		bytes[i] = (uint8_t)~bytes[i];
}

static const char *put_other(uint64_t seed)
{
	struct memkv_put_options options = {.size = sizeof(options), .flags = MEMKV_PUT_REPLACE};
	struct memkv_key key;
	size_t length = block_of_seed(seed, &key);

	turn_round(expected, length);
	return outcome(memkv_put(pool, &key, expected, length, &options));
}

static const char *get_by_index(uint64_t seed)
{
	struct memkv_get_options options = {.size = sizeof(options), .flags = MEMKV_GET_BY_INDEX};
	struct memkv_key key;
	size_t length = block_of_seed(seed, &key);
	uint8_t *to = received + (seed % 2 ? 0 : 1);
	int64_t got = memkv_get(pool, &key, to, length, &options);

	if (got < 0)
		return outcome(got);
	if ((size_t)got == length && memcmp(to, expected, length) == 0)
		return "ok";
	turn_round(to, length);
	return (size_t)got == length && memcmp(to, expected, length) == 0 ? "other" : "WRONG";
}

static void fetched(void)
{
	FILE *f = fopen("/proc/self/io", "re");
	char line[64];
	uint64_t bytes = 0;

	while (f && fgets(line, sizeof(line), f))
		(void)sscanf(line, "read_bytes: %" SCNu64, &bytes);
	if (f)
		fclose(f);
	printf("%" PRIu64 "\n", bytes);
}

static const char *take_away(uint64_t seed)
{
	struct memkv_key key;

	block_of_seed(seed, &key);
	return outcome(memkv_remove(pool, &key));
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void get_by(uint64_t seed, uint64_t limit_ms)
{
	struct memkv_get_options options = {.size = sizeof(options), .deadline_us = limit_ms * 1000};
	struct memkv_key key;
	size_t length = block_of_seed(seed, &key);

	memset(received, CANARY, LARGEST);
	double begin = now_ms();
	int64_t got = memkv_get(pool, &key, received, length, &options);
	double took = now_ms() - begin;
	bool right = got < 0 || ((size_t)got == length && memcmp(received, expected, length) == 0);
	printf("%s %.0f\n", right ? outcome(got) : "WRONG", took * 1e3);
}

static void put_by(uint64_t seed, uint64_t limit_ms)
{
	struct memkv_put_options options = {.size = sizeof(options), .deadline_us = limit_ms * 1000};
	struct memkv_key key;
	size_t length = block_of_seed(seed, &key);
	double begin = now_ms();
	int result = memkv_put(pool, &key, expected, length, &options);
	double took = now_ms() - begin;

	memset(expected, CANARY, length); /* whatever is still on the way must not be read from here */
	printf("%s %.0f\n", outcome(result), took * 1e3);
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void timer(uint64_t count, uint64_t limit_ms)
{
	enum { SAMPLES = 1000 };
	static double over[SAMPLES];
	struct timespec pause = {.tv_sec = (time_t)(limit_ms / 1000), .tv_nsec = (long)(limit_ms % 1000) * 1000000};

	count = count < 1 ? 1 : count < SAMPLES ? count : SAMPLES;
	for (uint64_t i = 0; i < count; i++) {
		double begin = now_ms();
		clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
		over[i] = (now_ms() - begin - (double)limit_ms) * 1e3;
	}
	qsort(over, count, sizeof(*over), ascending);
	printf("%.0f %.0f\n", over[count / 2], over[count * 99 / 100]);
}

static bool canary(void)
{
	for (size_t i = 0; i < LARGEST; i++)
		if (received[i] != CANARY)
			return false;
	return true;
}

/* how long until the follower has brought a block */
static void wait_for(uint64_t seed, uint64_t limit_ms)
{
	struct timespec pause = {.tv_nsec = 100000};
	double begin = now_ms();
	const char *got;

	do {
		got = get(seed);
		nanosleep(&pause, NULL);
	} while (strcmp(got, "MISS") == 0 && now_ms() - begin < (double)limit_ms);
	printf("%s %.1f\n", got, now_ms() - begin);
}

/* puts whose answers appear one by one, for somebody to interrupt */
static void burst(uint64_t first, uint64_t count)
{
	for (uint64_t seed = first; seed < first + count; seed++) {
		printf("%" PRIu64 " %s\n", seed, put(seed));
		fflush(stdout);
	}
	printf("done\n");
}

static void fill(uint64_t first, uint64_t count)
{
	const char *result = "ok";

	for (uint64_t seed = first; seed < first + count && strcmp(result, "ok") == 0; seed++)
		result = put(seed);
	printf("%s\n", result);
}

/* every descriptor of the device must be past the page cache */
static void flags(const char *path)
{
	struct stat device, st;
	unsigned direct = 0, buffered = 0;

	if (stat(path, &device))
		device = (struct stat){0};
	for (int fd = 3; fd < 256; fd++) {
		if (fstat(fd, &st) || !S_ISBLK(st.st_mode) || st.st_rdev != device.st_rdev)
			continue;
		if (fcntl(fd, F_GETFL) & O_DIRECT)
			direct++;
		else
			buffered++;
	}
	printf("direct %u buffered %u\n", direct, buffered);
}

static void memory(void)
{
	FILE *f = fopen("/proc/self/smaps_rollup", "re");
	char line[256];
	unsigned long kib = 0, value;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Anonymous: %lu kB", &value) == 1)
			kib = value;
	if (f)
		fclose(f);
	printf("%lu\n", kib);
}

static bool obey(const char *path, const char *line)
{
	uint64_t a = 0, b = 0;
	char verb[16] = "";

	sscanf(line, "%15s %" SCNu64 " %" SCNu64, verb, &a, &b);
	if (strcmp(verb, "put") == 0)
		puts(put(a));
	else if (strcmp(verb, "get") == 0)
		puts(get(a));
	else if (strcmp(verb, "rm") == 0)
		puts(take_away(a));
	else if (strcmp(verb, "fresh") == 0)
		puts(memkv_pool_refresh(pool) ? "failed" : get(a));
	else if (strcmp(verb, "wait") == 0)
		wait_for(a, b);
	else if (strcmp(verb, "by") == 0)
		get_by(a, b);
	else if (strcmp(verb, "putby") == 0)
		put_by(a, b);
	else if (strcmp(verb, "timer") == 0)
		timer(a, b);
	else if (strcmp(verb, "canary") == 0)
		puts(canary() ? "untouched" : "written to");
	else if (strcmp(verb, "burst") == 0)
		burst(a, b);
	else if (strcmp(verb, "fill") == 0)
		fill(a, b);
	else if (strcmp(verb, "flags") == 0)
		flags(path);
	else if (strcmp(verb, "memory") == 0)
		memory();
	else if (strcmp(verb, "misses") == 0)
		misses();
	else if (strcmp(verb, "durable") == 0)
		puts(put_with(a, MEMKV_PUT_DURABLE));
	else if (strcmp(verb, "replace") == 0)
		puts(put_with(a, MEMKV_PUT_REPLACE));
	else if (strcmp(verb, "other") == 0)
		puts(put_other(a));
	else if (strcmp(verb, "index") == 0)
		puts(get_by_index(a));
	else if (strcmp(verb, "refresh") == 0)
		puts(outcome(memkv_pool_refresh(pool)));
	else if (strcmp(verb, "length") == 0)
		printf("%zu\n", length_of(a));
	else if (strcmp(verb, "fetched") == 0)
		fetched();
	else
		return false;
	fflush(stdout);
	return true;
}

int main(int argc, char **argv)
{
	struct memkv_pool_options options = {.size = sizeof(options)};
	char line[128];

	if (argc != 3)
		return 2;
	if (strcmp(argv[2], "lazy") == 0)
		options.flags = MEMKV_OPEN_LAZY;
	else if (strcmp(argv[2], "rw") != 0)
		options.flags = MEMKV_OPEN_READ_ONLY;
	if (strcmp(argv[2], "ro") == 0)
		options.flags |= MEMKV_OPEN_NO_FOLLOWER;
	expected = aligned_alloc(4096, LARGEST + 4096);
	received = aligned_alloc(4096, LARGEST + 8192);
	int err = memkv_pool_open(argv[1], &options, &pool);
	if (err || !expected || !received) {
		printf("%s %s\n", memkv_code_name(err), memkv_error_detail());
		return 1;
	}
	puts("open");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) && obey(argv[1], line))
		;
	memkv_pool_close(pool);
	puts("closed");
	fflush(stdout);
	free(expected);
	free(received);
	return 0;
}
