/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a pool must leave the rest of the process alone.
 *
 * A mapping by force (MAP_FIXED) is safe only over addresses that are held.  Where a first attempt fails, Linux may have
 * freed the range already; whatever another thread is given there before the second attempt is then silently replaced
 * - its heap by the pool's file.  Here mmap passes through this program, which plays that other thread: whenever a
 * mapping at a wanted address fails and the range is free, it takes it and marks it.  The marks must survive.
 */
#include "helpers.h"

#include <errno.h>
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

static void open_and_close(const char *path, uint32_t flags, const char *name)
{
	watching = true;
	struct memkv_pool *pool = pool_attach(path, flags);
	expect_marks(name);
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
