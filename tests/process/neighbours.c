/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a pool must leave the rest of the process alone.
 *
 * A mapping by force (MAP_FIXED) is safe only over addresses that are held.  Where a first attempt fails, Linux may have
 * freed the range already; whatever another thread is given there before the second attempt is then silently replaced
 * - its heap by the pool's file.  Here mmap passes through this program, which plays that other thread: whenever a
 * mapping at a wanted address fails and the range is free, it takes it and marks it.  The marks must survive.
 *
 * Nor do its threads take the program's signals.
 */
#include "helpers.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { TAKEN_MAX = 64 };
#define MARK 0x6E65696768626F72ULL

static struct {
	uint64_t *base;
	size_t length;
} taken[TAKEN_MAX];
static int taken_count, by_force;
static bool watching;

static void *real_mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
	return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
	void *base = real_mmap(address, length, protection, flags, fd, offset);

	if (!watching)
		return base;
	by_force += (flags & MAP_FIXED) != 0 && base != MAP_FAILED;
	if (base != MAP_FAILED || !address || taken_count == TAKEN_MAX)
		return base;
	int saved = errno;
	uint64_t *theirs = real_mmap(address, length, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (theirs != MAP_FAILED) {
		*theirs = MARK;
		taken[taken_count].base = theirs;
		taken[taken_count++].length = length;
	}
	errno = saved;
	return base;
}

static void expect_marks(const char *when)
{
	for (int i = 0; i < taken_count; i++)
		EXPECT(*taken[i].base == MARK, "%s: memory that another thread may have been given now belongs to the pool",
		       when);
}

/* The signals that a thread has blocked; @kernel: it is a worker of io_uring's, which take none at all. */
static uint64_t blocked_by(const char *task, bool *kernel)
{
	char path[300], line[256];
	uint64_t blocked = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%s/status", task);
	FILE *status = fopen(path, "r");
	EXPECT(status, "%s", path);
	while (fgets(line, sizeof(line), status)) {
		*kernel |= !strncmp(line, "Name:\tiou-", 10);
		if (!strncmp(line, "SigBlk:", 7))
			blocked = strtoull(line + 7, NULL, 16);
	}
	fclose(status);
	return blocked;
}

/* The program's signals go to the program's threads; a fault goes to the thread that makes it. */
static void expect_signals_refused(const char *when)
{
	const uint64_t faults = 1U << (SIGBUS - 1) | 1U << (SIGSEGV - 1) | 1U << (SIGFPE - 1) | 1U << (SIGILL - 1);
	const uint64_t fixed = 1U << (SIGKILL - 1) | 1U << (SIGSTOP - 1), usual = (UINT64_C(1) << 31) - 1;
	DIR *tasks = opendir("/proc/self/task");
	int others = 0;

	for (struct dirent *task; (task = readdir(tasks));) {
		bool kernel = false;
		if (task->d_name[0] == '.' || atoi(task->d_name) == getpid())
			continue;
		uint64_t blocked = blocked_by(task->d_name, &kernel);
		for (int tries = 0; (blocked & faults) && !kernel && tries < 2000; tries++) { /* it is being made */
			sleep_us(5000);
			blocked = blocked_by(task->d_name, &kernel);
		}
		EXPECT(kernel || (blocked & usual & ~fixed) == (usual & ~fixed & ~faults), "%s: thread %s blocks %" PRIx64, when,
		       task->d_name, blocked);
		others += !kernel;
	}
	closedir(tasks);
	EXPECT(others > 0, "%s: the library has no thread", when);
}

static void open_and_close(const char *path, uint32_t flags, const char *name)
{
	watching = true;
	struct memkv_pool *pool = pool_attach(path, flags);
	expect_marks(name);
	expect_signals_refused(name);
	memkv_pool_close(pool);
	expect_marks(name);
	watching = false;
}

int main(void)
{
	const char *path = scratch_path("neighbours"), *fast = scratch_fast_path("neighbours");

	pool_make_bytes(path, MIB(16), KIB(64));
	pool_make_bytes(fast, MIB(16), KIB(64));
	open_and_close(path, 0, "writing");
	open_and_close(path, MEMKV_OPEN_READ_ONLY, "read-only");
	open_and_close(fast, 0, "in memory");
	printf("pools opened and closed; %d mappings by force, %d failed and left their addresses free, none was taken\n",
	       by_force, taken_count);
	return 0;
}
