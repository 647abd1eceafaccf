/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools in files that vanish under their handles, and come back: the same handles go on.
 *
 *   removed  - the file is unlinked, and later a copy of it is there: gets are misses, puts are refused with the reason, and
 *              everything is there again; with a follower and without; a hold of before has lapsed, and can be read and released
 *   replaced - another pool is at the path: it is left alone, with a sentence, until the right one is back
 *   cut      - the file is cut short, and its bytes come back into the same file
 *   lazy     - opened before there is a pool, or while what is there is none
 *   drained  - an agent that was drained comes back drained, as a new incarnation, and puts again when that is undone
 *   ended    - closed while it cannot be attached; a child of that time has a dead handle, its parent goes on
 */
#include "helpers.h"

#include <errno.h>
#include <fcntl.h>
#include <memkv/hold.h>
#include <memkv/host.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BLOCK = 20000, BLOCKS = 40, PATIENCE_US = 20000000, STEP_US = 5000, PROMPT_US = 2000000 };

static uint8_t *buffer;
static const char *path;
static char copy[600];
static atomic_uint said;

static void hear(void *context, const char *sentence)
{
	(void)context;
	EXPECT(*sentence, "an empty sentence");
	atomic_fetch_add(&said, 1);
}

static int put_number(struct memkv_pool *pool, uint64_t number)
{
	struct memkv_key key = key_of(number);

	payload_fill(buffer, BLOCK, number, 0);
	return memkv_put(pool, &key, buffer, BLOCK, NULL);
}

static int64_t get_number(struct memkv_pool *pool, uint64_t number)
{
	struct memkv_key key = key_of(number);
	int64_t got = memkv_get(pool, &key, buffer, BLOCK, NULL);

	EXPECT(got == MEMKV_MISS || (got == BLOCK && payload_right(buffer, BLOCK, number, 0)), "get: %lld", (long long)got);
	return got;
}

static void expect_all(struct memkv_pool *pool, bool there)
{
	struct memkv_key key = key_of(0);

	for (uint64_t n = 0; n < BLOCKS; n++)
		EXPECT((get_number(pool, n) == BLOCK) == there, "block %llu", (unsigned long long)n);
	EXPECT(memkv_exists(pool, &key, 0) == there, "exists");
}

static struct memkv_pool *make(const char *name, uint32_t flags)
{
	path = scratch_fast_path(name);
	pool_make_bytes(path, MIB(32), KIB(64));
	struct memkv_pool *pool = pool_attach(path, flags);
	for (uint64_t n = 0; n < BLOCKS; n++)
		EXPECT(put_number(pool, n) == 0, "put: %s", memkv_error_detail());
	snprintf(copy, sizeof(copy), "%s-copy", path);
	return pool;
}

static void copy_bytes(const char *from, const char *to, int flags)
{
	static uint8_t bytes[1 << 20];
	int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CLOEXEC | flags, 0600);
	ssize_t got;

	EXPECT(in >= 0 && out >= 0, "copy of %s", from);
	while ((got = read(in, bytes, sizeof(bytes))) > 0)
		EXPECT(write(out, bytes, (size_t)got) == got, "copy");
	close(in);
	close(out);
}

/* the handle has noticed: puts are refused, and the sentence has @why in it */
static void expect_down(struct memkv_pool *pool, const char *why)
{
	uint64_t until = now_us() + PATIENCE_US;
	int err;

	while (((err = put_number(pool, BLOCKS + 1)) != MEMKV_FAILED || !strstr(memkv_error_detail(), why)) && now_us() < until)
		sleep_us(STEP_US);
	EXPECT(err == MEMKV_FAILED && strstr(memkv_error_detail(), why), "a put is answered with %d; \"%s\" is wanted", err, why);
	EXPECT(counters_of(pool).puts_failed > 0, "the refused put is not counted");
	uint64_t before = counters_of(pool).miss_io;
	expect_all(pool, false);
	EXPECT(counters_of(pool).miss_io == before + BLOCKS, "misses are not counted as the medium's");
}

static void expect_back(struct memkv_pool *pool, uint64_t number)
{
	uint64_t until = now_us() + PATIENCE_US;
	int err;

	while ((err = put_number(pool, number)) && err != MEMKV_EXISTS && now_us() < until)
		sleep_us(STEP_US);
	EXPECT(err == 0 || err == MEMKV_EXISTS, "it does not come back: %s", memkv_error_detail());
	expect_all(pool, true);
	EXPECT(get_number(pool, number) == BLOCK, "what was put then");
}

static void test_removed(uint32_t flags)
{
	struct memkv_pool *pool = make("back-removed", flags);
	struct memkv_key key = key_of(3);
	struct memkv_hold hold;

	EXPECT(memkv_hold(pool, &key, &hold) == 0, "hold: %s", memkv_error_detail());
	unsigned before = atomic_load(&said);
	for (uint64_t round = 1; round <= 3; round++) {
		copy_bytes(path, copy, O_CREAT | O_TRUNC);
		EXPECT(unlink(path) == 0, "unlink");
		/* without a follower nobody looks at the file but who asks for it */
		while (flags & MEMKV_OPEN_NO_FOLLOWER && memkv_pool_refresh(pool) != MEMKV_FAILED)
			;
		expect_down(pool, "No such file");
		EXPECT(rename(copy, path) == 0, "rename");
		expect_back(pool, BLOCKS + 10 + round);
		EXPECT(counters_of(pool).rejoins == round, "%llu rejoins are counted", (unsigned long long)counters_of(pool).rejoins);
	}
	for (uint64_t until = now_us() + PATIENCE_US; atomic_load(&said) < before + 6 && now_us() < until;)
		sleep_us(STEP_US); /* the last one comes when others are inside already */
	EXPECT(atomic_load(&said) >= before + 6, "it says %u sentences", atomic_load(&said) - before);
	EXPECT(memkv_hold_valid(pool, &hold) == 0 && payload_right(hold.data, BLOCK, 3, 0), "the hold of before");
	struct memkv_hold again = hold;
	EXPECT(memkv_release(pool, &hold) == MEMKV_LAPSED && memkv_release(pool, &again) == -EINVAL, "it is released once");
	EXPECT(memkv_hold(pool, &key, &hold) == 0 && memkv_hold_valid(pool, &hold) == 1, "a new hold");
	pool_expect_clean(pool, "afterwards");
	memkv_pool_close(pool);
	scratch_remove(path);
}

static void test_replaced(void)
{
	struct memkv_pool *pool = make("back-replaced", 0);

	EXPECT(rename(path, copy) == 0 && link(copy, path) == 0, "aside");
	char aside[700];
	snprintf(aside, sizeof(aside), "%s-aside", copy);
	copy_bytes(path, aside, O_CREAT | O_TRUNC);
	EXPECT(unlink(path) == 0 && unlink(copy) == 0, "unlink");
	pool_make_bytes(path, MIB(32), KIB(64));
	expect_down(pool, "another pool");
	struct memkv_pool *other = pool_attach(path, 0);
	EXPECT(describe_of(other).blocks == 0 && describe_of(other).slots_live == 1, "the other pool is not left alone");
	memkv_pool_close(other);
	EXPECT(rename(aside, path) == 0, "rename");
	expect_back(pool, BLOCKS + 2);
	memkv_pool_close(pool);
	scratch_remove(path);
}

static void test_cut(void)
{
	struct memkv_pool *pool = make("back-cut", 0), *reader = pool_attach(path, MEMKV_OPEN_READ_ONLY);

	copy_bytes(path, copy, O_CREAT | O_TRUNC);
	EXPECT(truncate(path, 8192) == 0, "truncate");
	expect_down(pool, "");
	copy_bytes(copy, path, O_TRUNC);
	expect_back(pool, BLOCKS + 3);
	for (uint64_t until = now_us() + PATIENCE_US; get_number(reader, BLOCKS + 3) < 0 && now_us() < until;)
		sleep_us(STEP_US);
	expect_all(reader, true);
	EXPECT(counters_of(reader).rejoins > 0, "the reader never attached anew");
	memkv_pool_close(reader);
	memkv_pool_close(pool);
	unlink(copy);
	scratch_remove(path);
}

static void test_lazy(uint32_t flags)
{
	struct memkv_pool_options options = {.size = sizeof(options), .flags = MEMKV_OPEN_LAZY | flags};
	struct memkv_pool *pool = NULL;

	path = scratch_fast_path("back-lazy");
	EXPECT(memkv_pool_open(path, &options, &pool) == 0, "a lazy open: %s", memkv_error_detail());
	expect_down(pool, "No such file");
	struct memkv_pool_info info;
	struct memkv_iter *it;
	EXPECT(memkv_pool_describe(pool, &info) == MEMKV_FAILED && memkv_iter_open(pool, NULL, &it) == MEMKV_FAILED, "no pool is described");
	int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	EXPECT(file >= 0 && ftruncate(file, 1 << 20) == 0 && close(file) == 0, "a file that is no pool");
	expect_down(pool, "not a memkv pool");
	EXPECT(unlink(path) == 0, "unlink");
	pool_make_bytes(path, MIB(32), KIB(64));
	uint64_t until = now_us() + PATIENCE_US;
	for (uint64_t n = 0; n < BLOCKS; n++)
		while (put_number(pool, n) && now_us() < until)
			sleep_us(STEP_US);
	expect_all(pool, true);
	EXPECT(counters_of(pool).rejoins == 0, "to attach for the first time is not to rejoin");
	memkv_pool_close(pool);
	scratch_remove(path);
}

static void test_drained(uint32_t flags)
{
	struct memkv_pool *pool = make("back-drained", flags);
	struct memkv_host before = host_of_mine(pool);
	const struct memkv_host_drain_options undo = {.size = sizeof(undo), .flags = MEMKV_HOST_DRAIN_UNDO};
	uint64_t until = now_us() + PATIENCE_US;
	int err;

	EXPECT(memkv_host_drain(pool, before.slot, before.epoch, NULL) == 1, "drain: %s", memkv_error_detail());
	EXPECT(put_number(pool, BLOCKS + 1) == MEMKV_DRAINED, "a drained agent puts");
	copy_bytes(path, copy, O_CREAT | O_TRUNC);
	EXPECT(unlink(path) == 0, "unlink");
	while (flags & MEMKV_OPEN_NO_FOLLOWER && memkv_pool_refresh(pool) != MEMKV_FAILED)
		;
	expect_down(pool, "No such file");
	EXPECT(rename(copy, path) == 0, "rename");
	while ((err = put_number(pool, BLOCKS + 1)) == MEMKV_FAILED && now_us() < until)
		sleep_us(STEP_US);
	EXPECT(err == MEMKV_DRAINED, "back, a put is answered with %d", err);
	expect_all(pool, true);
	struct memkv_host after = host_of_mine(pool);
	EXPECT(after.state == MEMKV_HOST_DRAINED && (after.epoch != before.epoch || after.slot != before.slot), "back as %u@%u, %d",
	       after.slot, after.epoch, after.state);
	EXPECT(memkv_host_drain(pool, after.slot, after.epoch, &undo) == 1, "undo: %s", memkv_error_detail());
	EXPECT(put_number(pool, BLOCKS + 1) == 0, "undone: %s", memkv_error_detail());
	memkv_pool_close(pool);
	scratch_remove(path);
}

static void test_ended(void)
{
	struct memkv_pool *pool = make("back-ended", 0);
	int status = 0;

	copy_bytes(path, copy, O_CREAT | O_TRUNC);
	EXPECT(unlink(path) == 0, "unlink");
	expect_down(pool, "No such file");
	pid_t child = fork();
	if (child == 0) {
		bool dead = put_number(pool, 1) == MEMKV_EFORK && memkv_exists(pool, &(struct memkv_key){{0}}, 0) == MEMKV_EFORK;
		memkv_pool_close(pool);
		_exit(dead ? 0 : 1);
	}
	EXPECT(child > 0 && waitpid(child, &status, 0) == child, "fork");
	EXPECT(rename(copy, path) == 0, "rename");
	expect_back(pool, BLOCKS + 4);
	EXPECT(unlink(path) == 0, "unlink");
	expect_down(pool, "No such file");
	uint64_t began = now_us();
	memkv_pool_close(pool);
	EXPECT(now_us() - began < PROMPT_US, "close took %llu us", (unsigned long long)(now_us() - began));
	scratch_remove(path);
}

int main(void)
{
	buffer = pages_alloc(BLOCK + PAGE_BYTES);
	memkv_set_log(hear, NULL);
	test_removed(0);
	test_removed(MEMKV_OPEN_NO_FOLLOWER);
	test_replaced();
	test_cut();
	test_lazy(0);
	test_lazy(MEMKV_OPEN_NO_FOLLOWER);
	test_drained(0);
	test_drained(MEMKV_OPEN_NO_FOLLOWER);
	test_ended();
	printf("files that vanish and come back: %u sentences said\n", atomic_load(&said));
	return 0;
}
