/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One `memkv put` process after another: each joins the pool, puts a block and leaves.  Each must end with 0 (none ever
 * waits for a slot or is refused one), afterwards every block is there exactly, and nothing was evicted from a pool
 * with room.  --loops N runs N such loops side by side, so that agents beyond the kept slot are joining and leaving.
 *
 * usage: putloop MEMKV [--puts N] [--loops N]
 */
#include "helpers.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { LENGTH_MAX = 64 << 10, LOOPS_MAX = 16 };

struct loop {
	const char *program, *path, *payload;
	uint64_t first, count;
	uint64_t *took_us; /* shared, one a put */
};

static void write_payload(const char *path, const void *bytes, size_t length)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	EXPECT(fd >= 0 && write(fd, bytes, length) == (ssize_t)length, "cannot write %s", path);
	close(fd);
}

static void put_by_program(const struct loop *loop, uint64_t number)
{
	char hex[MEMKV_KEY_HEX], verb[] = "put";
	struct memkv_key key = key_of(number);
	pid_t pid;
	int status = 0;

	memkv_key_to_hex(&key, hex);
	char *arguments[] = {(char *)loop->program, verb, (char *)loop->path, hex, (char *)loop->payload, NULL};
	uint64_t start = now_us();
	EXPECT(posix_spawn(&pid, loop->program, NULL, NULL, arguments, environ) == 0, "cannot run %s", loop->program);
	EXPECT(waitpid(pid, &status, 0) == pid, "no such child");
	loop->took_us[number] = now_us() - start;
	EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0, "put %llu ended with wait status %#x",
	       (unsigned long long)number, (unsigned)status);
}

static int run_loop(void *context)
{
	const struct loop *loop = context;
	void *buffer = pages_alloc(LENGTH_MAX);

	for (uint64_t number = loop->first; number < loop->first + loop->count; number++) {
		size_t length = length_of(number, LENGTH_MAX);
		payload_fill(buffer, length, number, 0);
		write_payload(loop->payload, buffer, length);
		put_by_program(loop, number);
	}
	return 0;
}

static void expect_all(const char *path, uint64_t count)
{
	struct memkv_pool *pool = pool_attach(path, MEMKV_OPEN_READ_ONLY);
	uint8_t *buffer = pages_alloc(LENGTH_MAX);

	for (uint64_t number = 0; number < count; number++) {
		struct memkv_key key = key_of(number);
		size_t length = length_of(number, LENGTH_MAX);
		int64_t got = memkv_get(pool, &key, buffer, length, NULL);
		EXPECT(got == (int64_t)length && payload_right(buffer, length, number, 0), "block %llu: %s",
		       (unsigned long long)number, memkv_code_name((int)got));
	}
	struct memkv_pool_info info = describe_of(pool);
	EXPECT(info.blocks == count, "%llu blocks are in the pool instead of %llu", (unsigned long long)info.blocks,
	       (unsigned long long)count);
	EXPECT(info.segments_free > 0 && info.segments_leaving == 0, "something was reclaimed in a pool with room");
	EXPECT(info.slots_live == 0, "%u slots are still held", info.slots_live);
	EXPECT(pool_expect_clean(pool, "afterwards") == count, "the check counts otherwise");
	memkv_pool_close(pool);
}

int main(int argc, char **argv)
{
	EXPECT(argc > 1, "usage: putloop MEMKV [--puts N] [--loops N]");
	uint64_t puts = argument_number(argc, argv, "--puts", 100), loops = argument_number(argc, argv, "--loops", 1);
	const char *path = scratch_path("putloop");
	uint64_t *took_us = shared_alloc(puts * sizeof(*took_us));
	struct loop loop[LOOPS_MAX];
	pid_t children[LOOPS_MAX];

	EXPECT(loops <= LOOPS_MAX, "at most %d loops", LOOPS_MAX);
	pool_make_bytes(path, MIB(64) + puts * KIB(24), KIB(256));
	uint64_t start = now_us();
	for (uint64_t i = 0; i < loops; i++) {
		uint64_t first = puts * i / loops, end = puts * (i + 1) / loops;
		char name[32];
		snprintf(name, sizeof(name), "payload%d", (int)i);
		loop[i] = (struct loop){argv[1], path, scratch_path(name), first, end - first, took_us};
		children[i] = child_start(run_loop, &loop[i]);
	}
	for (uint64_t i = 0; i < loops; i++)
		child_join(children[i], "a loop");
	double seconds = (double)(now_us() - start) / 1e6;
	expect_all(path, puts);
	struct figures f = figures_of(took_us, puts);
	printf("%llu put processes in %llu loop%s: %.1f s; one process p50 %.1f ms, p99 %.1f ms, max %.1f ms\n",
	       (unsigned long long)puts, (unsigned long long)loops, loops > 1 ? "s" : "", seconds, (double)f.p50 / 1e3,
	       (double)f.p99 / 1e3, (double)f.max / 1e3);
	return 0;
}
