/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One process of a guest, driven by lines on stdin; every answer is a line on stdout.
 *
 *   lab_hand raw DEVICE                        the device itself, in stamps: 8-byte words that are all alike
 *     write OFFSET LENGTH STAMP                  ok|ERROR MILLISECONDS
 *     overwrite OFFSET LENGTH FIRST COUNT        the same with COUNT rising stamps, one after the other
 *     read OFFSET LENGTH                         LOWEST HIGHEST MILLISECONDS: past the page cache
 *     cached OFFSET LENGTH                       the same, through the page cache
 *     tears OFFSET LENGTH COUNT                  COUNT reads past the page cache: TORN of COUNT, LOWEST HIGHEST
 *     flush                                      ok|ERROR
 *   lab_hand pool POOL rw|ro|live [BYTES]      a pool; its blocks have BYTES, or lengths that follow from their seeds
 *     put SEED VERSION [d][r]                    ok|RESULT MILLISECONDS; d: durable, r: replace
 *     get SEED, fresh SEED                       VERSION|MISS|WRONG MILLISECONDS
 *     burst FIRST COUNT [d][r]                   a line for each put, as it is acknowledged; then "done"
 *     churn FIRST COUNT ROUNDS [d][r]            puts versions 1 to ROUNDS of each: PUTS FAILED LONGEST-MILLISECONDS
 *     watch FIRST COUNT MILLISECONDS             gets one after the other: HITS MISSES WRONG LONGEST-MILLISECONDS
 *     check FIRST COUNT                          a fresh look, then one get of each: the same
 *     causes                                     why gets missed: absent N expired N removed N damaged N reclaimed N io N
 *     drop                                       this process is not root any more: ok|ERROR
 *     reopen                                     open (anew, in this process), or why not
 *   quit
 *
 * ro: no follower; live: read only, with one.  Bytes follow from seed and version, and the first word is the version,
 * so every byte that a get returns is compared.
 */
#include <memkv/memkv.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LARGEST = 8 << 20, MIXED_LARGEST = 256 << 10, NOBODY = 65534 };

static struct memkv_pool *pool;
static const char *pool_path, *pool_mode;
static uint64_t *memory;
static uint64_t *received;
static size_t block_bytes;
static int direct_fd = -1, cached_fd = -1;

static uint64_t mix(uint64_t x)
{
	x += 0x9E3779B97F4A7C15;
	x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9;
	x = (x ^ x >> 27) * 0x94D049BB133111EB;
	return x ^ x >> 31;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- the device itself ---- */

static const char *errno_name(int err)
{
	return err ? strerrorname_np(err) : "ok";
}

/* waits for all of it; an error's number, or 0 */
static int move(int fd, bool write, uint64_t offset, size_t length)
{
	uint8_t *at = (uint8_t *)memory;

	while (length > 0) {
		ssize_t moved = write ? pwrite(fd, at, length, (off_t)offset) : pread(fd, at, length, (off_t)offset);
		if (moved <= 0)
			return moved < 0 ? errno : ENODATA;
		at += moved;
		offset += (uint64_t)moved;
		length -= (size_t)moved;
	}
	return 0;
}

static void overwrite(uint64_t offset, size_t length, uint64_t first, uint64_t count)
{
	uint64_t begin = now_ms();
	int err = 0;

	for (uint64_t stamp = first; stamp < first + count && !err; stamp++) {
		for (size_t i = 0; i < length / 8; i++)
			memory[i] = stamp;
		err = move(direct_fd, true, offset, length);
	}
	printf("%s %" PRIu64 "\n", errno_name(err), now_ms() - begin);
}

/* widens *lowest..*highest by what was read; true: not all words are alike */
static bool span(size_t length, uint64_t *lowest, uint64_t *highest)
{
	uint64_t low = memory[0], high = memory[0];

	for (size_t i = 1; i < length / 8; i++) {
		low = memory[i] < low ? memory[i] : low;
		high = memory[i] > high ? memory[i] : high;
	}
	*lowest = low < *lowest ? low : *lowest;
	*highest = high > *highest ? high : *highest;
	return low != high;
}

static void look(int fd, uint64_t offset, size_t length)
{
	uint64_t begin = now_ms(), low = UINT64_MAX, high = 0;
	int err = move(fd, false, offset, length);

	if (err) {
		printf("%s %" PRIu64 "\n", errno_name(err), now_ms() - begin);
		return;
	}
	span(length, &low, &high);
	printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", low, high, now_ms() - begin);
}

static void tears(uint64_t offset, size_t length, uint64_t count)
{
	uint64_t torn = 0, low = UINT64_MAX, high = 0;
	int err = 0;

	for (uint64_t i = 0; i < count && !err; i++) {
		err = move(direct_fd, false, offset, length);
		torn += !err && span(length, &low, &high);
	}
	if (err)
		printf("%s\n", errno_name(err));
	else
		printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", torn, low, high);
}

static bool obey_raw(const char *verb, const uint64_t n[4])
{
	if (n[1] > LARGEST)
		return false;
	if (strcmp(verb, "write") == 0)
		overwrite(n[0], n[1], n[2], 1);
	else if (strcmp(verb, "overwrite") == 0)
		overwrite(n[0], n[1], n[2], n[3]);
	else if (strcmp(verb, "read") == 0)
		look(direct_fd, n[0], n[1]);
	else if (strcmp(verb, "cached") == 0)
		look(cached_fd, n[0], n[1]);
	else if (strcmp(verb, "tears") == 0)
		tears(n[0], n[1], n[2]);
	else if (strcmp(verb, "flush") == 0)
		puts(errno_name(fdatasync(direct_fd) ? errno : 0));
	else
		return false;
	return true;
}

/* ---- a pool ---- */

static void key_of_seed(uint64_t seed, struct memkv_key *key)
{
	char name[32];

	snprintf(name, sizeof(name), "%" PRIu64, seed);
	memkv_key_from_name("lab_hand", name, strlen(name), key);
}

static size_t length_of(uint64_t seed)
{
	return block_bytes ? block_bytes : 8 + mix(seed ^ 0xABCD) % (MIXED_LARGEST - 8);
}

static void fill(uint64_t seed, uint64_t version)
{
	memory[0] = version;
	for (size_t i = 1; i < length_of(seed) / 8 + 1; i++)
		memory[i] = mix((seed * 1000003 + version) * 1000003 + i);
}

static int put(uint64_t seed, uint64_t version, const char *flags)
{
	struct memkv_put_options options = {.size = sizeof(options)};
	struct memkv_key key;

	options.flags = (strchr(flags, 'd') ? MEMKV_PUT_DURABLE : 0) | (strchr(flags, 'r') ? MEMKV_PUT_REPLACE : 0);
	key_of_seed(seed, &key);
	fill(seed, version);
	return memkv_put(pool, &key, memory, length_of(seed), &options);
}

enum { HIT, MISS, WRONG };

static int get(uint64_t seed, uint64_t *version)
{
	struct memkv_key key;

	key_of_seed(seed, &key);
	int64_t got = memkv_get(pool, &key, received, length_of(seed), NULL);
	if (got < 0)
		return MISS;
	*version = received[0];
	fill(seed, *version);
	return (size_t)got == length_of(seed) && memcmp(received, memory, (size_t)got) == 0 ? HIT : WRONG;
}

static void answer_get(uint64_t seed)
{
	uint64_t begin = now_ms(), version = 0;
	int got = get(seed, &version);

	if (got == HIT)
		printf("%" PRIu64 " %" PRIu64 "\n", version, now_ms() - begin);
	else
		printf("%s %" PRIu64 "\n", got == MISS ? "MISS" : "WRONG", now_ms() - begin);
}

static void answer_put(uint64_t seed, uint64_t version, const char *flags)
{
	uint64_t begin = now_ms();
	int err = put(seed, version, flags);

	printf("%s %" PRIu64 "\n", err ? memkv_code_name(err) : "ok", now_ms() - begin);
}

static void burst(uint64_t first, uint64_t count, const char *flags)
{
	for (uint64_t seed = first; seed < first + count; seed++) {
		int err = put(seed, 1, flags);
		printf("%" PRIu64 " %s\n", seed, err ? memkv_code_name(err) : "ok");
		fflush(stdout);
	}
	printf("done\n");
}

static void churn(uint64_t first, uint64_t count, uint64_t rounds, const char *flags)
{
	uint64_t puts = 0, failed = 0, longest = 0;

	for (uint64_t version = 1; version <= rounds; version++) {
		for (uint64_t seed = first; seed < first + count; seed++) {
			uint64_t begin = now_ms();
			int err = put(seed, version, flags);
			failed += err != 0 && err != MEMKV_EXISTS;
			puts++;
			longest = now_ms() - begin > longest ? now_ms() - begin : longest;
		}
	}
	printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", puts, failed, longest);
}

/* one round when @limit_ms is 0 */
static void watch(uint64_t first, uint64_t count, uint64_t limit_ms)
{
	uint64_t began = now_ms(), version = 0, tally[3] = {0}, longest = 0;

	for (uint64_t i = 0; limit_ms ? now_ms() - began < limit_ms : i < count; i++) {
		uint64_t begin = now_ms();
		tally[get(first + i % count, &version)]++;
		longest = now_ms() - begin > longest ? now_ms() - begin : longest;
	}
	printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", tally[HIT], tally[MISS], tally[WRONG], longest);
}

static void causes(void)
{
	struct memkv_counters c = {0};

	memkv_pool_counters(pool, &c);
	printf("absent %" PRIu64 " expired %" PRIu64 " removed %" PRIu64 " damaged %" PRIu64 " reclaimed %" PRIu64 " io %" PRIu64
	       "\n", c.miss_absent, c.miss_expired, c.miss_removed, c.miss_damaged, c.miss_reclaimed, c.miss_io);
}

static int open_pool(const char *path, const char *mode)
{
	struct memkv_pool_options options = {.size = sizeof(options)};

	if (strcmp(mode, "rw") != 0)
		options.flags = MEMKV_OPEN_READ_ONLY;
	if (strcmp(mode, "ro") == 0)
		options.flags |= MEMKV_OPEN_NO_FOLLOWER;
	int err = memkv_pool_open(path, &options, &pool);
	if (err)
		printf("%s %s\n", memkv_code_name(err), memkv_error_detail());
	return err;
}

/* without a pool there is nothing left to do */
static bool reopen(void)
{
	memkv_pool_close(pool);
	pool = NULL;
	if (open_pool(pool_path, pool_mode))
		return false;
	puts("open");
	return true;
}

static bool obey_pool(const char *verb, const uint64_t n[4], const char *flags)
{
	if (strcmp(verb, "put") == 0)
		answer_put(n[0], n[1], flags);
	else if (strcmp(verb, "get") == 0)
		answer_get(n[0]);
	else if (strcmp(verb, "fresh") == 0 && memkv_pool_refresh(pool))
		puts("FAILED 0");
	else if (strcmp(verb, "fresh") == 0)
		answer_get(n[0]);
	else if (strcmp(verb, "burst") == 0)
		burst(n[0], n[1], flags);
	else if (strcmp(verb, "churn") == 0)
		churn(n[0], n[1], n[2], flags);
	else if (strcmp(verb, "watch") == 0)
		watch(n[0], n[1], n[2]);
	else if (strcmp(verb, "check") == 0 && memkv_pool_refresh(pool))
		puts("0 0 0 0 FAILED");
	else if (strcmp(verb, "check") == 0)
		watch(n[0], n[1], 0);
	else if (strcmp(verb, "causes") == 0)
		causes();
	else if (strcmp(verb, "drop") == 0)
		puts(errno_name(setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY) ? errno : 0));
	else if (strcmp(verb, "reopen") == 0)
		return reopen();
	else
		return false;
	return true;
}

static bool obey(const char *line)
{
	uint64_t n[4] = {0};
	char verb[16] = "", flags[8] = "", words[4][32] = {""};

	sscanf(line, "%15s %31s %31s %31s %31s", verb, words[0], words[1], words[2], words[3]);
	for (int i = 0; i < 4; i++) {
		char *end;
		n[i] = strtoull(words[i], &end, 0);
		if (*end) /* what is not a number is flags */
			snprintf(flags, sizeof(flags), "%.7s", words[i]);
	}
	bool known = pool ? obey_pool(verb, n, flags) : obey_raw(verb, n);
	fflush(stdout);
	return known;
}

static int open_raw(const char *path)
{
	direct_fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	cached_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (direct_fd < 0 || cached_fd < 0)
		printf("%s %s\n", errno_name(errno), path);
	return direct_fd < 0 || cached_fd < 0;
}

int main(int argc, char **argv)
{
	char line[256];

	if (argc < 3)
		return 2;
	block_bytes = argc > 4 ? strtoull(argv[4], NULL, 0) : 0;
	memory = aligned_alloc(4096, LARGEST + 4096);
	received = aligned_alloc(4096, LARGEST + 4096);
	if (!memory || !received || block_bytes > LARGEST)
		return 2;
	pool_path = argv[2];
	pool_mode = argc > 3 ? argv[3] : "rw";
	if (strcmp(argv[1], "raw") == 0 ? open_raw(pool_path) : open_pool(pool_path, pool_mode))
		return 1;
	puts("open");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) && obey(line))
		;
	memkv_pool_close(pool);
	free(memory);
	free(received);
	return 0;
}
