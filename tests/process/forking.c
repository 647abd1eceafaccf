/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fork, and what becomes of slots.
 *
 *   child   - fork while other threads put and get (and open and close): in the child every call on the inherited
 *             handle says MEMKV_EFORK, closing it harms nothing, and the parent never notices that the child ended
 *   orphan  - a parent is killed while its child lives on: the child keeps neither its slot nor its locks
 *   twice   - one process opens a pool twice and closes one: the other works on and its slot stays held
 *   full    - every slot taken: MEMKV_NO_SLOT with a sentence; the slot kept for commands is still to be had
 */
#include "helpers.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LENGTH = 20000, THREADS = 3, SLOTS = 6 };

static struct memkv_pool *pool, *other;
static struct memkv_iter *iter;
static const char *path;
static atomic_uint_fast64_t stop, operations, opens;

static void make_pool(const char *name, uint32_t slots)
{
	struct memkv_create_options options = {
		.size = sizeof(options), .bytes = MIB(24), .max_block = KIB(64), .slots = slots};

	path = scratch_path(name);
	pool_make(path, &options);
}

static void put_and_get(struct memkv_pool *in, uint64_t number)
{
	uint8_t bytes[LENGTH];
	struct memkv_key key = key_of(number);

	payload_fill(bytes, LENGTH, number, 0);
	int err = memkv_put(in, &key, bytes, LENGTH, NULL);
	EXPECT(err == 0, "put: %s", memkv_code_name(err));
	memset(bytes, 0, LENGTH);
	int64_t got = memkv_get(in, &key, bytes, LENGTH, NULL);
	EXPECT(got == LENGTH && payload_right(bytes, LENGTH, number, 0), "get: %s", memkv_code_name((int)got));
}

/* ---- child ---- */

static void *work(void *argument)
{
	uint64_t number = 1000000 * (1 + (uint64_t)(uintptr_t)argument);

	while (!atomic_load(&stop)) {
		put_and_get(pool, number++);
		atomic_fetch_add(&operations, 1);
	}
	return NULL;
}

/* handles that are just being opened or closed when the fork comes */
static void *open_and_close(void *argument)
{
	(void)argument;
	while (!atomic_load(&stop)) {
		struct memkv_pool *brief = pool_attach(path, 0);
		atomic_fetch_add(&opens, 1);
		memkv_pool_close(brief);
	}
	return NULL;
}

static void expect_efork(struct memkv_pool *in)
{
	struct memkv_key key = key_of(1);
	struct memkv_block_info info;
	struct memkv_pool_info pool_info;
	struct memkv_counters counters;
	struct memkv_check_report report;
	struct memkv_iter *fresh;
	uint8_t bytes[LENGTH] = {0};
	struct memkv_range range = {0, 10, bytes};

	EXPECT(memkv_put(in, &key, bytes, LENGTH, NULL) == MEMKV_EFORK, "put");
	EXPECT(strlen(memkv_error_detail()) > 10, "no sentence");
	EXPECT(memkv_get(in, &key, bytes, LENGTH, NULL) == MEMKV_EFORK, "get");
	EXPECT(memkv_get_ranges(in, &key, &range, 1) == MEMKV_EFORK, "ranges");
	EXPECT(memkv_exists(in, &key, 0) == MEMKV_EFORK, "exists");
	EXPECT(memkv_match(in, &key, 1, MEMKV_LOOK_FRESH) == MEMKV_EFORK, "match");
	EXPECT(memkv_remove(in, &key) == MEMKV_EFORK, "remove");
	EXPECT(memkv_stat(in, &key, &info) == MEMKV_EFORK, "stat");
	EXPECT(memkv_pool_refresh(in) == MEMKV_EFORK, "refresh");
	EXPECT(memkv_pool_describe(in, &pool_info) == MEMKV_EFORK, "describe");
	EXPECT(memkv_pool_counters(in, &counters) == MEMKV_EFORK, "counters");
	EXPECT(memkv_pool_check(in, NULL, &report) == MEMKV_EFORK, "check");
	EXPECT(memkv_pool_room(in, 4096) == 0, "room");
	EXPECT(memkv_iter_open(in, NULL, &fresh) == MEMKV_EFORK, "iterate");
}

static int child_body(void *context)
{
	struct memkv_block_info info;

	(void)context;
	expect_efork(pool);
	expect_efork(other);
	EXPECT(memkv_iter_next(iter, &info) == MEMKV_EFORK, "an inherited iterator");
	memkv_iter_close(iter);
	memkv_pool_close(pool);
	memkv_pool_close(other);
	/* and it may open the pool for itself */
	struct memkv_pool *own = pool_attach(path, 0);
	put_and_get(own, 77000000 + (uint64_t)getpid());
	memkv_pool_close(own);
	return 0;
}

static void test_child(uint64_t forks)
{
	pthread_t threads[THREADS + 1];

	make_pool("child", 16);
	pool = pool_attach(path, 0);
	other = pool_attach(path, 0);
	put_and_get(pool, 1);
	EXPECT(memkv_iter_open(pool, NULL, &iter) == 0, "iterate");
	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, work, (void *)i);
	pthread_create(&threads[THREADS], NULL, open_and_close, NULL);
	for (uint64_t i = 0; i < forks; i++) {
		child_join(child_start(child_body, NULL), "the forked child");
		sleep_us(i % 7 * 300);
	}
	atomic_store(&stop, 1);
	for (int i = 0; i <= THREADS; i++)
		pthread_join(threads[i], NULL);
	put_and_get(pool, 2);
	EXPECT(describe_of(pool).slots_live == 2, "%u slots are held instead of two", describe_of(pool).slots_live);
	pool_expect_clean(pool, "after the children");
	memkv_iter_close(iter);
	memkv_pool_close(other);
	memkv_pool_close(pool);
	printf("child: %llu forks beside %llu puts and %llu opens\n", (unsigned long long)forks,
	       (unsigned long long)atomic_load(&operations), (unsigned long long)atomic_load(&opens));
}

/* ---- orphan ---- */

static struct {
	atomic_uint_fast64_t grandchild, ready;
} *shared;

static int parent_body(void *context)
{
	pthread_t thread;

	(void)context;
	pool = pool_attach(path, 0);
	put_and_get(pool, 10000 + atomic_load(&shared->ready));
	atomic_store(&stop, 0);
	/* the fork comes while another thread opens: no descriptor may slip through */
	pthread_create(&thread, NULL, open_and_close, NULL);
	sleep_us(atomic_load(&shared->ready) * 211 % 5000);
	pid_t grandchild = fork();
	if (grandchild == 0) {
		atomic_store(&shared->grandchild, (uint64_t)getpid());
		for (;;)
			pause();
	}
	for (;;)
		pause();
	return 0;
}

/* returns how long it took */
static uint64_t expect_slots_free(const char *when)
{
	struct memkv_pool *look = pool_attach(path, MEMKV_OPEN_READ_ONLY | MEMKV_OPEN_NO_FOLLOWER);
	uint64_t start = now_us();
	uint32_t live = describe_of(look).slots_live;

	while (live > 0 && now_us() - start < 1000000) {
		sleep_us(200);
		live = describe_of(look).slots_live;
	}
	uint64_t took = now_us() - start;
	EXPECT(live == 0, "%s: %u slots are still held after 1 s", when, live);
	memkv_pool_close(look);
	return took;
}

static void test_orphan(uint64_t rounds)
{
	uint64_t *took_us = shared_alloc(rounds * sizeof(*took_us));

	make_pool("orphan", SLOTS);
	shared = shared_alloc(sizeof(*shared));
	for (uint64_t round = 0; round < rounds; round++) {
		struct memkv_pool *handles[SLOTS];
		atomic_store(&shared->grandchild, 0);
		atomic_store(&shared->ready, round);
		pid_t parent = child_start(parent_body, NULL);
		EXPECT(wait_until(&shared->grandchild, 1, 10000000), "no grandchild");
		child_kill(parent);
		took_us[round] = expect_slots_free("a killed parent whose child lives on");
		for (uint32_t i = 0; i < SLOTS; i++) /* the kept slot is the last */
			handles[i] = pool_attach(path, i + 1 < SLOTS ? 0 : MEMKV_OPEN_CLI);
		put_and_get(handles[0], 100 + round);
		for (uint32_t i = 0; i < SLOTS; i++)
			memkv_pool_close(handles[i]);
		kill((pid_t)atomic_load(&shared->grandchild), SIGKILL);
	}
	struct figures f = figures_of(took_us, rounds);
	printf("orphan: %llu parents killed whose children lived on; slots free after p50 %.1f ms, p99 %.1f ms, max %.1f ms\n",
	       (unsigned long long)rounds, (double)f.p50 / 1e3, (double)f.p99 / 1e3, (double)f.max / 1e3);
}

/* ---- twice, full ---- */

static void test_twice(void)
{
	make_pool("twice", SLOTS);
	struct memkv_pool *first = pool_attach(path, 0), *second = pool_attach(path, 0);

	put_and_get(first, 1);
	EXPECT(describe_of(first).slots_live == 2, "two handles hold %u slots", describe_of(first).slots_live);
	memkv_pool_close(first);
	EXPECT(describe_of(second).slots_live == 1, "the other handle's slot is gone with the first");
	put_and_get(second, 2);
	struct memkv_pool *look = pool_attach(path, MEMKV_OPEN_READ_ONLY);
	EXPECT(describe_of(look).slots_live == 1, "the remaining slot is not locked");
	memkv_pool_close(look);
	put_and_get(second, 3);
	memkv_pool_close(second);
	printf("twice: closing one handle leaves the other its slot\n");
}

static void test_full(void)
{
	struct memkv_pool_options options = {.size = sizeof(options)};
	struct memkv_pool *handles[SLOTS] = {0}, *none = NULL;

	make_pool("full", SLOTS);
	for (uint32_t i = 0; i + 1 < SLOTS; i++)
		handles[i] = pool_attach(path, 0);
	int err = memkv_pool_open(path, &options, &none);
	EXPECT(err == MEMKV_NO_SLOT && !none, "one agent too many: %s", memkv_code_name(err));
	EXPECT(strstr(memkv_error_detail(), "slots") && strstr(memkv_error_detail(), path), "the sentence: \"%s\"",
	       memkv_error_detail());
	handles[SLOTS - 1] = pool_attach(path, MEMKV_OPEN_CLI);
	put_and_get(handles[SLOTS - 1], 5);
	options.flags = MEMKV_OPEN_CLI;
	err = memkv_pool_open(path, &options, &none);
	EXPECT(err == MEMKV_NO_SLOT, "now the kept slot is taken, too: %s", memkv_code_name(err));
	options.flags = MEMKV_OPEN_READ_ONLY;
	err = memkv_pool_open(path, &options, &none);
	EXPECT(err == 0, "reading needs no slot: %s", memkv_code_name(err));
	memkv_pool_close(none);
	for (uint32_t i = 0; i < SLOTS; i++)
		memkv_pool_close(handles[i]);
	expect_slots_free("everybody left");
	printf("full: %d slots, one kept for commands\n", SLOTS);
}

int main(int argc, char **argv)
{
	uint64_t rounds = argument_number(argc, argv, "--rounds", 40);

#ifdef __SANITIZE_THREAD__
	skip_test("the thread sanitizer allows no new thread in the child of a process with threads");
#endif
	test_twice();
	test_full();
	test_orphan(rounds);
	test_child(rounds);
	return 0;
}
