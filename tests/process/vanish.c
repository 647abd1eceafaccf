/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The medium goes away, or is not what it should be, under a living agent.
 *
 *   truncated to half, to nothing; unlinked - gets are exact or misses, puts end with a code and a sentence, nothing
 *                                             crashes, the counters say why
 *   a full file system                      - create leaves nothing behind; a pool's puts never needed the space;
 *                                             when the pool itself lost its space, as above
 *   a read-only file                        - writing is refused with a sentence, reading works
 *   no O_DIRECT                             - the same bytes either way
 */
#include "helpers.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LENGTH_MAX = 60000, KEYS = 300, THREADS = 3, POOL_BYTES = 32 << 20 };

struct agent {
	const char *path;
	uint32_t flags;
	atomic_uint_fast64_t gone; /* the parent is about to do it */
	atomic_uint_fast64_t ready, exact, missed, stored, refused, last_code;
};

static struct memkv_pool *pool;
static struct agent *agent;

static void put_number(struct memkv_pool *in, uint64_t number, uint8_t *buffer)
{
	struct memkv_key key = key_of(number);
	size_t length = length_of(number, LENGTH_MAX);

	payload_fill(buffer, length, number, 0);
	int err = memkv_put(in, &key, buffer, length, NULL);
	EXPECT(err == 0, "put: %s", memkv_code_name(err));
}

/* exact, or a miss */
static bool get_number(struct memkv_pool *in, uint64_t number, uint8_t *buffer)
{
	struct memkv_key key = key_of(number);
	size_t length = length_of(number, LENGTH_MAX);
	int64_t got = memkv_get(in, &key, buffer, length, NULL);

	EXPECT(got == MEMKV_MISS || got == (int64_t)length, "get: %s", memkv_code_name((int)got));
	EXPECT(got == MEMKV_MISS || payload_right(buffer, length, number, 0), "wrong bytes");
	return got > 0;
}

/* ---- gone under a living agent ---- */

static void *live_on(void *argument)
{
	uint64_t number = 1000000 * (1 + (uint64_t)(uintptr_t)argument), random = number, until = 0;
	uint8_t *buffer = pages_alloc(LENGTH_MAX + PAGE_BYTES);

	while (!until || now_us() < until) {
		if (!until && atomic_load(&agent->gone))
			until = now_us() + 700000;
		bool hit = get_number(pool, random_below(&random, KEYS), buffer);
		if (until)
			atomic_fetch_add(hit ? &agent->exact : &agent->missed, 1);
		struct memkv_key key = key_of(++number);
		size_t length = length_of(number, LENGTH_MAX);
		payload_fill(buffer, length, number, 0);
		int err = memkv_put(pool, &key, buffer, length, NULL);
		EXPECT(err <= 0, "put returned %d", err);
		EXPECT(err == 0 || atomic_load(&agent->gone), "put, while all was well: %s", memkv_code_name(err));
		if (until)
			atomic_fetch_add(err ? &agent->refused : &agent->stored, 1);
		if (err) {
			EXPECT(strstr(memkv_error_detail(), agent->path), "the sentence: \"%s\"", memkv_error_detail());
			atomic_store(&agent->last_code, (uint64_t)-err);
		}
		memkv_exists(pool, &key, MEMKV_LOOK_FRESH);
	}
	return NULL;
}

static int agent_body(void *context)
{
	pthread_t threads[THREADS];
	struct memkv_check_report report;
	struct memkv_block_info info;
	uint8_t *buffer = pages_alloc(LENGTH_MAX);

	agent = context;
	pool = pool_attach(agent->path, agent->flags);
	for (uint64_t number = 0; number < KEYS; number++)
		put_number(pool, number, buffer);
	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, live_on, (void *)i);
	sleep_us(100000);
	atomic_store(&agent->ready, 1);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	/* every other call has to survive it as well */
	struct memkv_key key = key_of(1);
	struct memkv_iter *iter;
	memkv_stat(pool, &key, &info);
	memkv_remove(pool, &key);
	EXPECT(memkv_pool_check(pool, NULL, &report) <= 0, "check");
	EXPECT(memkv_iter_open(pool, NULL, &iter) == 0, "iterate");
	while (memkv_iter_next(iter, &info) == 1)
		;
	memkv_iter_close(iter);
	EXPECT(memkv_pool_refresh(pool) == MEMKV_FAILED, "refresh notices nothing");
	struct memkv_counters c = counters_of(pool);
	EXPECT(c.miss_io > 0, "no miss was counted as the medium's (absent %llu, damaged %llu)",
	       (unsigned long long)c.miss_absent, (unsigned long long)c.miss_damaged);
	EXPECT(c.puts_failed > 0, "no put was counted as failed");
	memkv_pool_close(pool);
	return 0;
}

static void take_away(const char *what, const char *path)
{
	if (strcmp(what, "half") == 0)
		EXPECT(truncate(path, POOL_BYTES / 2) == 0, "truncate");
	else if (strcmp(what, "nothing") == 0)
		EXPECT(truncate(path, 0) == 0, "truncate");
	else
		EXPECT(unlink(path) == 0, "unlink");
}

static void test_gone(const char *what, const char *path, uint32_t flags, const char *medium)
{
	struct agent *shared = shared_alloc(sizeof(*shared));

	*shared = (struct agent){.path = path, .flags = flags};
	pool_make_bytes(path, POOL_BYTES, KIB(64));
	pid_t child = child_start(agent_body, shared);
	EXPECT(wait_until(&shared->ready, 1, 60000000), "the agent does not begin");
	atomic_store(&shared->gone, 1);
	take_away(what, path);
	child_join(child, "the agent whose medium went away");
	EXPECT(atomic_load(&shared->missed) > 0 && atomic_load(&shared->refused) > 0, "nothing was noticed");
	printf("%-8s (%s): afterwards %llu exact gets, %llu misses; %llu puts stored, %llu refused (%s)\n", what, medium,
	       (unsigned long long)atomic_load(&shared->exact), (unsigned long long)atomic_load(&shared->missed),
	       (unsigned long long)atomic_load(&shared->stored), (unsigned long long)atomic_load(&shared->refused),
	       memkv_code_name(-(int)atomic_load(&shared->last_code)));
	unlink(path);
}

/* ---- a full file system ---- */

static void fill_up(const char *directory)
{
	char path[512], block[65536];

	memset(block, 1, sizeof(block));
	snprintf(path, sizeof(path), "%s/ballast", directory);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	EXPECT(fd >= 0, "ballast");
	for (size_t piece = sizeof(block); piece >= 512; piece /= 2)
		while (write(fd, block, piece) == (ssize_t)piece)
			;
	close(fd);
}

/* the pool's segments give their space back, and the ballast takes it */
static void lose_space(const char *directory, const char *path, uint64_t from, uint64_t bytes)
{
	int fd = open(path, O_RDWR);

	EXPECT(fd >= 0 && fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)bytes) == 0,
	       "punching holes");
	close(fd);
	fill_up(directory);
}

static int puts_without_space(void *context)
{
	struct agent *a = context;
	uint8_t *buffer = pages_alloc(LENGTH_MAX);
	struct memkv_pool *in = pool_attach(a->path, a->flags);
	uint64_t refused = 0;

	for (uint64_t number = 0; number < KEYS; number++)
		get_number(in, number, buffer);
	for (uint64_t number = 0; number < KEYS; number++) {
		struct memkv_key key = key_of(5000 + number);
		size_t length = length_of(5000 + number, LENGTH_MAX);
		payload_fill(buffer, length, 5000 + number, 0);
		int err = memkv_put(in, &key, buffer, length, NULL);
		EXPECT(err <= 0, "put returned %d", err);
		refused += err != 0;
		bool hit = get_number(in, 5000 + number, buffer);
		EXPECT(hit || err, "an acknowledged block is not there");
		if (err)
			EXPECT(strstr(memkv_error_detail(), a->path), "the sentence: \"%s\"", memkv_error_detail());
	}
	EXPECT(refused > 0, "every put found space");
	memkv_pool_close(in);
	printf("full     (%s): %llu of %d puts were refused: %s\n", a->flags & MEMKV_OPEN_BUFFERED ? "buffered" : "memory",
	       (unsigned long long)refused, KEYS, memkv_error_detail());
	return 0;
}

static void test_full(const char *directory, uint32_t flags)
{
	struct agent a = {.flags = flags};
	char path[512], ballast[512];
	struct memkv_create_options large = {.size = sizeof(large), .bytes = MIB(256)};
	uint8_t *buffer = pages_alloc(LENGTH_MAX);

	a.path = path;
	snprintf(path, sizeof(path), "%s/pool", directory);
	snprintf(ballast, sizeof(ballast), "%s/ballast", directory);
	int err = memkv_pool_create(path, &large);
	EXPECT(err == -ENOSPC && access(path, F_OK) != 0, "create on too small a file system: %s", memkv_code_name(err));
	EXPECT(strstr(memkv_error_detail(), path), "the sentence: \"%s\"", memkv_error_detail());
	pool_make_bytes(path, MIB(24), KIB(64));
	fill_up(directory);
	struct memkv_pool *in = pool_attach(path, flags);
	struct memkv_pool_info info = describe_of(in);
	for (uint64_t number = 0; number < KEYS; number++) { /* all its space was its own from the beginning */
		put_number(in, number, buffer);
		EXPECT(get_number(in, number, buffer), "a block on a full file system");
	}
	memkv_pool_close(in);
	lose_space(directory, path, info.control_bytes, MIB(24) - info.control_bytes - PAGE_BYTES);
	child_join(child_start(puts_without_space, &a), "the agent without space");
	unlink(path);
	unlink(ballast);
}

static void test_full_file_system(void)
{
	char directory[] = "/tmp/memkv-full-XXXXXX";

	if (geteuid() != 0 || !mkdtemp(directory)) {
		printf("full     skipped: mounting a small file system needs root\n");
		return;
	}
	if (mount("memkv-full", directory, "tmpfs", 0, "size=64m") != 0) {
		printf("full     skipped: no tmpfs can be mounted: %s\n", strerror(errno));
		rmdir(directory);
		return;
	}
	test_full(directory, MEMKV_OPEN_BUFFERED);
	test_full(directory, 0);
	umount2(directory, MNT_DETACH);
	rmdir(directory);
}

/* ---- read-only ---- */

static int read_only_body(void *context)
{
	const char *path = context;
	struct memkv_pool_options options = {.size = sizeof(options)};
	struct memkv_pool *in = NULL;
	uint8_t *buffer = pages_alloc(LENGTH_MAX);

	if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0)
		return SKIPPED;
	int err = memkv_pool_open(path, &options, &in);
	EXPECT(err == -EACCES && strstr(memkv_error_detail(), path), "open for writing: %s", memkv_code_name(err));
	options.flags = MEMKV_OPEN_READ_ONLY;
	err = memkv_pool_open(path, &options, &in);
	EXPECT(err == 0, "open read-only: %s", memkv_code_name(err));
	for (uint64_t number = 0; number < 50; number++)
		EXPECT(get_number(in, number, buffer), "a block is missing");
	struct memkv_key key = key_of(1);
	EXPECT(memkv_put(in, &key, buffer, 10, NULL) == MEMKV_READ_ONLY, "put");
	EXPECT(memkv_remove(in, &key) == MEMKV_READ_ONLY, "remove");
	EXPECT(pool_expect_clean(in, "read-only") == 50, "blocks");
	memkv_pool_close(in);
	printf("readonly %s\n", memkv_error_detail());
	return 0;
}

static void test_read_only(void)
{
	const char *path = scratch_path("readonly");
	uint8_t *buffer = pages_alloc(LENGTH_MAX);
	int status = 0;

	pool_make_bytes(path, POOL_BYTES, KIB(64));
	struct memkv_pool *in = pool_attach(path, 0);
	for (uint64_t number = 0; number < 50; number++)
		put_number(in, number, buffer);
	memkv_pool_close(in);
	EXPECT(chmod(path, 0444) == 0, "chmod");
	pid_t child = child_start(read_only_body, (void *)(uintptr_t)path);
	waitpid(child, &status, 0);
	EXPECT(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == SKIPPED), "read-only: %#x",
	       (unsigned)status);
	if (WEXITSTATUS(status) == SKIPPED)
		printf("readonly skipped: cannot become another user\n");
}

/* ---- no O_DIRECT ---- */

static void test_either_way(const char *path, const char *where)
{
	uint8_t *buffer = pages_alloc(LENGTH_MAX);

	pool_make_bytes(path, POOL_BYTES, KIB(64));
	struct memkv_pool *usual = pool_attach(path, 0), *buffered = pool_attach(path, MEMKV_OPEN_BUFFERED);
	EXPECT(!describe_of(buffered).direct_io, "buffered is not");
	for (uint64_t number = 0; number < KEYS; number++)
		put_number(number % 2 ? usual : buffered, number, buffer);
	EXPECT(memkv_pool_refresh(usual) == 0 && memkv_pool_refresh(buffered) == 0, "refresh");
	for (uint64_t number = 0; number < KEYS; number++)
		EXPECT(get_number(usual, number, buffer) && get_number(buffered, number, buffer), "block %llu",
		       (unsigned long long)number);
	printf("buffered (%s): the same bytes with and without O_DIRECT (%d beside 0; medium \"%s\")\n", where,
	       describe_of(usual).direct_io, describe_of(usual).medium);
	pool_expect_clean(usual, where);
	memkv_pool_close(buffered);
	memkv_pool_close(usual);
}

int main(void)
{
	static const char *const ways[] = {"half", "nothing", "unlinked"};

	for (int i = 0; i < 3; i++) {
		test_gone(ways[i], scratch_path(ways[i]), 0, "file");
		test_gone(ways[i], scratch_path(ways[i]), MEMKV_OPEN_BUFFERED, "file, buffered");
		test_gone(ways[i], scratch_fast_path(ways[i]), 0, "memory");
	}
	test_read_only();
	test_either_way(scratch_path("either"), "file");
	test_either_way(scratch_fast_path("either"), "memory");
	test_full_file_system();
	return 0;
}
