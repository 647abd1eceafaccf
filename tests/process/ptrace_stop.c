/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A writer that is stopped for good at an arbitrary instruction delays nobody.
 *
 * A child is stepped (ptrace) through one put in a full pool - reserve, payload, header, entry, the emptying of a
 * segment - and held behind some of its instructions.  While it is held this process gets, matches, puts under the same
 * key and under as many others as it takes to need fresh segments, removes, and checks: everything ends, exact, and what
 * was acknowledged is there.  Behind the last one the child stays where it is until it is killed, and the next one comes.
 *
 * usage: ptrace_stop [--stops N] [--seed N]
 */
#include "helpers.h"

#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BLOCKS = 40, PUTS_BESIDE = 12, HOLDS = 12 /* of a child, on its way through one put */ };
#define MAX_BLOCK KIB(8)

static const char *path;
static uint64_t next_number = BLOCKS;
static uint64_t evicted_misses;

static size_t length_for(uint64_t number) { return length_of(number, MAX_BLOCK); }

static int put_number(struct memkv_pool *pool, uint64_t number, void *buffer)
{
	struct memkv_key key = key_of(number);

	payload_fill(buffer, length_for(number), number, 0);
	return memkv_put(pool, &key, buffer, length_for(number), NULL);
}

/* true: there, and exact */
static bool get_number(struct memkv_pool *pool, uint64_t number, void *buffer)
{
	struct memkv_key key = key_of(number);
	int64_t got = memkv_get(pool, &key, buffer, length_for(number), NULL);

	if (got == MEMKV_MISS)
		return false;
	EXPECT(got == (int64_t)length_for(number) && payload_right(buffer, (size_t)got, number, 0), "block %llu: %lld",
	       (unsigned long long)number, (long long)got);
	return true;
}

static int child_body(void *context)
{
	uint64_t number = *(uint64_t *)context;
	uint8_t *buffer = pages_alloc(MAX_BLOCK);
	struct memkv_pool *pool = pool_attach(path, MEMKV_OPEN_NO_FOLLOWER);

	if (ptrace(PTRACE_TRACEME, 0, 0, 0) != 0)
		return SKIPPED;
	/* once, so that what follows is the put and not the dynamic linker */
	if (put_number(pool, number ^ (uint64_t)1 << 49, buffer) != 0)
		return 1;
	struct memkv_key key = key_of(number);
	payload_fill(buffer, length_for(number), number, 0);
	raise(SIGSTOP);
	int err = memkv_put(pool, &key, buffer, length_for(number), NULL);
	raise(SIGSTOP);
	return err == 0 ? 0 : 1;
}

/* steps until @most instructions are done or the put is over; returns their number, and in *over whether it is */
static uint64_t step_through(pid_t child, uint64_t most, bool *over)
{
	uint64_t steps = 0;
	int status;

	*over = false;
	while (steps < most) {
		if (ptrace(PTRACE_SINGLESTEP, child, 0, 0) != 0 || waitpid(child, &status, 0) != child)
			fail_test(__FILE__, __LINE__, "ptrace", "the child cannot be stepped: %s", strerror(errno));
		EXPECT(WIFSTOPPED(status), "the child ended: %#x", (unsigned)status);
		if (WSTOPSIG(status) == SIGSTOP) {
			*over = true;
			break;
		}
		steps++;
	}
	return steps;
}

static pid_t stepped_child(uint64_t *number)
{
	int status;
	pid_t child = child_start(child_body, number);

	EXPECT(waitpid(child, &status, 0) == child, "wait");
	if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
		skip_test("ptrace is refused here");
	EXPECT(WIFSTOPPED(status), "the child ended: %#x", (unsigned)status);
	return child;
}

/* what everybody else does while one is held */
static uint64_t beside(struct memkv_pool *pool, uint64_t held, void *buffer)
{
	uint64_t begin = now_us(), first = next_number;
	struct memkv_key key = key_of(held);
	struct memkv_key chain[BLOCKS];

	for (uint64_t i = 0; i < BLOCKS; i++)
		chain[i] = key_of(i);
	EXPECT(memkv_match(pool, chain, BLOCKS, MEMKV_LOOK_FRESH) >= 0, "match");
	get_number(pool, held, buffer);
	int err = put_number(pool, held, buffer);
	EXPECT(err == 0 || err == MEMKV_EXISTS, "a put under the same key: %s", memkv_code_name(err));
	EXPECT(get_number(pool, held, buffer), "the same key, acknowledged");
	while (next_number < first + PUTS_BESIDE) {
		err = put_number(pool, next_number, buffer);
		EXPECT(err == 0, "a put beside it: %s", memkv_code_name(err));
		next_number++;
	}
	for (uint64_t number = first; number < next_number; number++)
		EXPECT(get_number(pool, number, buffer), "block %llu, acknowledged just now", (unsigned long long)number);
	for (uint64_t number = 0; number < BLOCKS; number++)
		evicted_misses += !get_number(pool, number, buffer);
	int removed = memkv_remove(pool, &key);
	EXPECT(removed >= 1 && !get_number(pool, held, buffer), "remove: %d", removed);
	return now_us() - begin;
}

int main(int argc, char **argv)
{
	uint64_t stops = argument_number(argc, argv, "--stops", 36), random = argument_number(argc, argv, "--seed", 1);
	uint64_t longest = 0, held = 0, children = 0;
	uint8_t *buffer = pages_alloc(MAX_BLOCK);
	uint64_t *times = calloc(stops, sizeof(*times));

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
	skip_test("stepping through a sanitizer takes for ever");
#endif
	path = scratch_path("ptrace");
	struct memkv_create_options options = {.size = sizeof(options), .blocks = 192, .block_size = MAX_BLOCK};
	pool_make(path, &options);
	struct memkv_pool *pool = pool_attach(path, MEMKV_OPEN_NO_FOLLOWER);
	for (uint64_t number = 0; number < 250; number++)
		EXPECT(put_number(pool, number < BLOCKS ? number : (uint64_t)1 << 40 | number, buffer) == 0, "filling");
	while (held < stops) {
		uint64_t number = (uint64_t)1 << 50 | children++;
		pid_t child = stepped_child(&number);
		bool over = false;
		uint64_t steps = 0;
		/* the first one is for its length */
		while (!over && held < stops) {
			uint64_t most = longest ? 1 + random_below(&random, 2 * longest / HOLDS) : UINT64_MAX;
			steps += step_through(child, most, &over);
			if (longest && !over)
				times[held++] = beside(pool, number, buffer);
		}
		longest = steps > longest ? steps : longest;
		child_kill(child);
	}
	pool_expect_clean(pool, "after all of them");
	memkv_pool_close(pool);
	struct figures f = figures_of(times, stops);
	printf("%llu puts of up to %llu instructions, held behind %llu of them: nobody waited; what others did meanwhile took p50 "
	       "%llu us, p99 %llu us, max %llu us\n", (unsigned long long)children, (unsigned long long)longest,
	       (unsigned long long)held, (unsigned long long)f.p50, (unsigned long long)f.p99, (unsigned long long)f.max);
	free(times);
	return 0;
}
