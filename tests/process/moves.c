/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A removal while the block is being moved.
 *
 * An agent that empties a segment moves blocks that are still used.  Before each of its stores in turn it is stopped,
 * and another agent removes every block that may move.  Then the first one goes on: to its end, or until it is killed
 * some stores later.  In between and afterwards no get in any process may return a block whose removal has returned,
 * and a check finds nothing.  A block that was not removed and not evicted is exact.
 *
 * --every N: stop before every N-th store; --deaths D, --step S: then kill before the S-th, 2S-th, ... of the next D
 * stores.
 */
#include "faults.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BLOCK = 5000, BLOCKS = 500, FIRST = 1000, CHILD_FIRST = 100000, CHILD_PUTS = 12, HOT_OF = 4 };

static struct {
	struct store_watch watch;
	atomic_uint_fast64_t moved;
} *shared;

static const uint32_t attach_flags = MEMKV_OPEN_NO_FOLLOWER | MEMKV_OPEN_BUFFERED;
static const char *template, *path;
static uint8_t *buffer;

static bool is_hot(uint64_t number) { return number % HOT_OF == 0; }

static int put_number(struct memkv_pool *pool, uint64_t number)
{
	struct memkv_key key = key_of(number);

	payload_fill(buffer, BLOCK, number, 0);
	return memkv_put(pool, &key, buffer, BLOCK, NULL);
}

static bool get_number(struct memkv_pool *pool, uint64_t number)
{
	struct memkv_key key = key_of(number);
	int64_t got = memkv_get(pool, &key, buffer, BLOCK, NULL);

	EXPECT(got == MEMKV_MISS || (got == BLOCK && payload_right(buffer, BLOCK, number, 0)), "get: %lld", (long long)got);
	return got > 0;
}

static struct memkv_pool *attach(uint32_t flags)
{
	struct memkv_pool_options options = {.size = sizeof(options), .flags = attach_flags | flags, .lanes = 2};
	struct memkv_pool *pool = NULL;
	int err = memkv_pool_open(path, &options, &pool);

	EXPECT(err == 0, "open: %s", memkv_code_name(err));
	return pool;
}

/* full; a quarter of the blocks is hot */
static void make_template(void)
{
	path = template;
	pool_make_bytes(template, MIB(9), KIB(64));
	struct memkv_pool *pool = attach(0);
	struct memkv_pool_info info = describe_of(pool);
	for (uint64_t number = FIRST; number < FIRST + 2 * BLOCKS; number++)
		EXPECT(put_number(pool, number) == 0, "filling");
	EXPECT(counters_of(pool).evicted_blocks > 0, "the template is not full");
	for (uint64_t number = FIRST; number < FIRST + 2 * BLOCKS; number++)
		if (is_hot(number))
			get_number(pool, number);
	(void)info;
	memkv_pool_close(pool);
}

static void copy_template(void)
{
	static uint8_t bytes[1 << 20];
	int from = open(template, O_RDONLY), to = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ssize_t got;

	EXPECT(from >= 0 && to >= 0, "copying the template");
	while ((got = read(from, bytes, sizeof(bytes))) > 0)
		EXPECT(write(to, bytes, (size_t)got) == got, "copying the template");
	close(from);
	close(to);
}

static int mover(void *context)
{
	(void)context;
	faults_record();
	struct memkv_pool *pool = attach(0);
	faults_arm(&shared->watch);
	for (uint64_t i = 0; i < CHILD_PUTS; i++)
		if (put_number(pool, CHILD_FIRST + i))
			return 1;
	atomic_store(&shared->moved, counters_of(pool).moved_blocks);
	atomic_store(&shared->watch.acknowledged, 1);
	kill(getpid(), SIGKILL);
	return 1;
}

static uint64_t remove_hot(struct memkv_pool *pool, bool *removed)
{
	uint64_t count = 0;

	for (uint64_t n = 0; n < 2 * BLOCKS; n++) {
		struct memkv_key key = key_of(FIRST + n);
		if (!is_hot(FIRST + n))
			continue;
		int result = memkv_remove(pool, &key);
		EXPECT(result > 0 || result == MEMKV_MISS, "remove: %s", memkv_code_name(result));
		removed[n] = result > 0;
		count += removed[n];
	}
	return count;
}

static void expect_removed(struct memkv_pool *pool, const bool *removed, uint64_t stop_at, uint64_t kill_at,
			   const char *who)
{
	memkv_pool_refresh(pool);
	for (uint64_t n = 0; n < 2 * BLOCKS; n++)
		EXPECT(!removed[n] || !get_number(pool, FIRST + n),
		       "%s: block %llu came back: removed before store %llu of a mover that was killed before store %lld", who,
		       (unsigned long long)n, (unsigned long long)stop_at, (long long)kill_at);
}

/* returns false when the mover made fewer stores than @stop_at */
static bool one_round(uint64_t stop_at, uint64_t kill_at)
{
	static bool removed[2 * BLOCKS];
	int status = 0;

	copy_template();
	atomic_store(&shared->watch.stores, 0);
	atomic_store(&shared->watch.acknowledged, 0);
	atomic_store(&shared->watch.stop_at, stop_at);
	atomic_store(&shared->watch.kill_at, kill_at);
	pid_t child = child_start(mover, NULL);
	EXPECT(waitpid(child, &status, WUNTRACED) == child, "no mover");
	if (!WIFSTOPPED(status)) {
		EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && atomic_load(&shared->watch.acknowledged),
		       "the mover failed (wait status %#x)", (unsigned)status);
		return false;
	}
	struct memkv_pool *pool = attach(0);
	remove_hot(pool, removed);
	kill(child, SIGCONT);
	EXPECT(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the mover failed");
	expect_removed(pool, removed, stop_at, kill_at, "an agent that was there");
	memkv_pool_close(pool);
	pool = attach(MEMKV_OPEN_READ_ONLY);
	expect_removed(pool, removed, stop_at, kill_at, "a fresh reader");
	pool_expect_clean(pool, "a fresh reader");
	memkv_pool_close(pool);
	pool = attach(0);
	EXPECT(put_number(pool, CHILD_FIRST + 50) == 0, "put afterwards");
	expect_removed(pool, removed, stop_at, kill_at, "the next writer");
	pool_expect_clean(pool, "the next writer");
	memkv_pool_close(pool);
	return true;
}

int main(int argc, char **argv)
{
	uint64_t every = argument_number(argc, argv, "--every", 1), deaths = argument_number(argc, argv, "--deaths", 0);
	uint64_t step = argument_number(argc, argv, "--step", 1), rounds = 0;

	faults_need();
	shared = shared_alloc(sizeof(*shared));
	buffer = pages_alloc(BLOCK);
	template = scratch_fast_path("moves-template");
	make_template();
	path = scratch_fast_path("moves");
	for (uint64_t stop_at = 0; one_round(stop_at, UINT64_MAX); stop_at += every) {
		rounds++;
		for (uint64_t death = step; death <= deaths; death += step, rounds++)
			one_round(stop_at, stop_at + death);
	}
	EXPECT(atomic_load(&shared->moved) > 0, "the mover moved nothing: the test tests nothing");
	printf("a mover of %llu blocks makes %llu stores; removals before each %llu. of them, %llu rounds: none came back\n",
	       (unsigned long long)atomic_load(&shared->moved), (unsigned long long)atomic_load(&shared->watch.stores),
	       (unsigned long long)every, (unsigned long long)rounds);
	return 0;
}
