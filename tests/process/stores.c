/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill -9 before each single store into the shared control region: every state that a dying process can leave there.
 *
 * Each store of the child faults (faults.h) and is counted; at the chosen one the child is killed.  All of them are
 * visited, one after the other, until a call comes to its end.
 * Afterwards, each time:
 *   a read-only attach finds nothing wrong, and the block in question in one of the two versions that are allowed;
 *   a writing attach (which continues what the dead one left open) puts a block, and still nothing is wrong;
 *   an acknowledged block is there exactly, a removed one is gone for good.
 *
 * --every N visits every N-th store.  With --memory 1, where /dev/shm is, payload is stored as well and counted in.
 */
#include "faults.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static uint32_t attach_flags = MEMKV_OPEN_NO_FOLLOWER | MEMKV_OPEN_BUFFERED;

enum { BLOCK = 9000, TARGET = 2, FIRST_FILLER = 100, PUTS_A_SEGMENT = 5 };

struct scenario {
	const char *name;
	void (*prepare)(const char *path); /* before each kill, in the parent */
	int (*act)(struct memkv_pool *pool, const char *path);
	bool opens;	        /* the call attaches by itself */
	uint32_t before, after; /* version of the target's block: before the call, and when it was acknowledged */
};

static struct store_watch *shared;

static uint64_t next_filler = FIRST_FILLER;
static uint8_t *buffer, payloads[3][BLOCK];

/* ---- the child ---- */

static int child(void *context)
{
	const struct scenario *scenario = ((const void **)context)[0];
	const char *path = ((const void **)context)[1];
	struct memkv_pool_options options = {.size = sizeof(options), .flags = attach_flags, .lanes = 1};
	struct memkv_pool *pool = NULL;

	faults_record();
	int err = scenario->opens ? 0 : memkv_pool_open(path, &options, &pool);

	EXPECT(err == 0, "child: open: %s", memkv_code_name(err));
	faults_arm(shared);
	err = scenario->act(pool, path);
	if (err == 0)
		atomic_store(&shared->acknowledged, 1);
	kill(getpid(), SIGKILL);
	return 1;
}

/* ---- what it does ---- */

static int put_version(struct memkv_pool *pool, uint64_t number, uint32_t version, uint32_t flags)
{
	struct memkv_put_options options = {.size = sizeof(options), .flags = flags};
	struct memkv_key key = key_of(number);

	payload_fill(payloads[version], BLOCK, number, version);
	return memkv_put(pool, &key, payloads[version], BLOCK, &options);
}

static void put_fillers(struct memkv_pool *pool, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		EXPECT(put_version(pool, next_filler++, 1, 0) == 0, "filling");
}

static void make_once(const char *path, uint64_t fill)
{
	struct memkv_create_options options = {.size = sizeof(options), .bytes = MIB(12), .max_block = KIB(64)};

	if (access(path, F_OK) == 0)
		return;
	pool_make(path, &options);
	struct memkv_pool *pool = pool_attach(path, attach_flags);
	put_fillers(pool, fill);
	memkv_pool_close(pool);
}

/* the target's block as the scenario wants it: version 0: not there */
static void set_target(const char *path, uint32_t version)
{
	struct memkv_pool *pool = pool_attach(path, attach_flags);
	struct memkv_key key = key_of(TARGET);

	memkv_remove(pool, &key);
	if (version)
		EXPECT(put_version(pool, TARGET, version, 0) == 0, "preparing the target");
	memkv_pool_close(pool);
}

static void prepare_absent(const char *path)
{
	make_once(path, 3);
	set_target(path, 0);
}

static void prepare_present(const char *path)
{
	make_once(path, 3);
	set_target(path, 1);
}

/* full; and of the oldest blocks, which go next, some were used again and are worth moving */
static void prepare_full(const char *path)
{
	make_once(path, 1500);
	set_target(path, 0);
	struct memkv_pool *pool = pool_attach(path, attach_flags);
	struct memkv_iter *iter;
	struct memkv_block_info info;

	put_fillers(pool, 1);
	EXPECT(memkv_iter_open(pool, NULL, &iter) == 0, "iterate");
	while (memkv_iter_next(iter, &info) == 1)
		if (info.page % 4 == 1)
			memkv_get(pool, &info.key, buffer, BLOCK, NULL);
	memkv_iter_close(iter);
	memkv_pool_close(pool);
}

static int act_put(struct memkv_pool *pool, const char *path)
{
	(void)path;
	return put_version(pool, TARGET, 1, 0);
}

static int act_replace(struct memkv_pool *pool, const char *path)
{
	(void)path;
	return put_version(pool, TARGET, 2, MEMKV_PUT_REPLACE);
}

static int act_remove(struct memkv_pool *pool, const char *path)
{
	struct memkv_key key = key_of(TARGET);

	(void)path;
	return memkv_remove(pool, &key) > 0 ? 0 : 1;
}

/* joins, puts, leaves */
static int act_attach(struct memkv_pool *pool, const char *path)
{
	struct memkv_pool_options options = {.size = sizeof(options), .flags = attach_flags, .lanes = 1};
	int err = memkv_pool_open(path, &options, &pool);

	if (!err)
		err = put_version(pool, TARGET, 1, 0);
	memkv_pool_close(pool);
	return err;
}

/* over a whole segment: at half of it a victim is chosen and its used blocks move, at its end the victim is opened */
static int act_reclaim(struct memkv_pool *pool, const char *path)
{
	(void)path;
	for (uint64_t i = 0; i < PUTS_A_SEGMENT; i++)
		if (put_version(pool, (next_filler << 20) + i, 1, 0))
			return 1;
	return put_version(pool, TARGET, 1, 0);
}

static const struct scenario scenarios[] = {
	{.name = "put", .prepare = prepare_absent, .act = act_put, .before = 0, .after = 1},
	{.name = "replace", .prepare = prepare_present, .act = act_replace, .before = 1, .after = 2},
	{.name = "remove", .prepare = prepare_present, .act = act_remove, .before = 1, .after = 0},
	{.name = "attach", .prepare = prepare_absent, .act = act_attach, .opens = true, .before = 0, .after = 1},
	{.name = "reclaim", .prepare = prepare_full, .act = act_reclaim, .before = 0, .after = 1},
};

/* ---- what must hold afterwards ---- */

static int64_t get_block(struct memkv_pool *pool, uint64_t number)
{
	struct memkv_key key = key_of(number);

	return memkv_get(pool, &key, buffer, BLOCK, NULL);
}

/* the version of the target's block that is there, 0: none */
static uint32_t target_version(struct memkv_pool *pool)
{
	int64_t got = get_block(pool, TARGET);

	if (got == MEMKV_MISS)
		return 0;
	EXPECT(got == BLOCK, "get: %s", memkv_code_name((int)got));
	for (uint32_t version = 1; version <= 2; version++)
		if (payload_right(buffer, BLOCK, TARGET, version))
			return version;
	EXPECT(false, "wrong bytes");
}

static void expect_after(const struct scenario *s, struct memkv_pool *pool, const char *when)
{
	uint32_t version = target_version(pool);

	pool_expect_clean(pool, when);
	if (atomic_load(&shared->acknowledged))
		EXPECT(version == s->after, "%s: acknowledged, but version %u is there", when, version);
	EXPECT(version == s->before || version == s->after, "%s: version %u is there", when, version);
}

static void look_afterwards(const struct scenario *s, const char *path, uint64_t store)
{
	char when[128];
	uint64_t filler = next_filler++;

	snprintf(when, sizeof(when), "%s, killed before store %llu, read-only attach", s->name, (unsigned long long)store);
	struct memkv_pool *pool = pool_attach(path, attach_flags | MEMKV_OPEN_READ_ONLY);
	expect_after(s, pool, when);
	memkv_pool_close(pool);
	snprintf(when, sizeof(when), "%s, killed before store %llu, next writer", s->name, (unsigned long long)store);
	pool = pool_attach(path, attach_flags);
	EXPECT(put_version(pool, filler, 1, 0) == 0, "%s: put", when);
	EXPECT(get_block(pool, filler) == BLOCK && payload_right(buffer, BLOCK, filler, 1), "%s: get", when);
	expect_after(s, pool, when);
	memkv_pool_close(pool);
	snprintf(when, sizeof(when), "%s, killed before store %llu, in the end", s->name, (unsigned long long)store);
	pool = pool_attach(path, attach_flags | MEMKV_OPEN_READ_ONLY);
	expect_after(s, pool, when);
	memkv_pool_close(pool);
}

/* returns whether the call came to its end before that store */
static bool kill_before(const struct scenario *s, const char *path, uint64_t store)
{
	const void *context[2] = {s, path};

	s->prepare(path);
	atomic_store(&shared->stores, 0);
	atomic_store(&shared->acknowledged, 0);
	atomic_store(&shared->kill_at, store);
	atomic_store(&shared->stop_at, UINT64_MAX);
	pid_t pid = child_start(child, context);
	int status = 0;
	EXPECT(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
	       "the child ended by itself (wait status %#x)", (unsigned)status);
	look_afterwards(s, path, store);
	return atomic_load(&shared->stores) <= store;
}

static void run_scenario(const struct scenario *s, uint64_t every)
{
	const char *path = scratch_fast_path(s->name);
	uint64_t kills = 0, store = 0;

	while (!kill_before(s, path, store)) {
		store += every;
		kills++;
	}
	EXPECT(atomic_load(&shared->acknowledged), "%s: the call failed", s->name);
	printf("%-8s %llu stores into the pool's memory, killed before %llu of them\n", s->name,
	       (unsigned long long)atomic_load(&shared->stores), (unsigned long long)kills);
	fflush(stdout);
	scratch_remove(path);
}

int main(int argc, char **argv)
{
	uint64_t every = argument_number(argc, argv, "--every", 1);
	const char *only = argument_text(argc, argv, "--only", NULL);

	if (argument_number(argc, argv, "--memory", 0))
		attach_flags &= ~(uint32_t)MEMKV_OPEN_BUFFERED;
	faults_need();
	buffer = pages_alloc(BLOCK);
	shared = shared_alloc(sizeof(*shared));
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++)
		if (!only || strcmp(only, scenarios[i].name) == 0)
			run_scenario(&scenarios[i], every);
	return 0;
}
