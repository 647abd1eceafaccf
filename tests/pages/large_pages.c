/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into a program: a kernel with pages of 64 KiB, as far as mappings show it.  Addresses and offsets that do
 * not lie on one are refused, lengths are rounded up, as ARM64 kernels with such pages do.  What it cannot show is the
 * page cache of such a kernel.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LARGE = 65536 };

static uintptr_t up(uintptr_t v) { return (v + LARGE - 1) / LARGE * LARGE; }
static int astray(const void *address) { return (uintptr_t)address % LARGE != 0; }

static int refuse(void)
{
	errno = EINVAL;
	return -1;
}

long sysconf(int name)
{
	static long (*next)(int name);

	if (name == _SC_PAGESIZE)
		return LARGE;
	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "sysconf");
	return next(name);
}

static void *map(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
	return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
	if (offset % LARGE || (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) && astray(address)))
		return refuse(), MAP_FAILED;
	if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) /* in one step: others may be reading there */
		return map(address, flags & MAP_ANONYMOUS ? up(length) : length, protection, flags, fd, offset);
	/* room to align in; what is over is given back */
	uintptr_t room = (uintptr_t)map(NULL, up(length) + LARGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uintptr_t at = up(room);
	if ((void *)room == MAP_FAILED)
		return MAP_FAILED;
	if (at > room)
		syscall(SYS_munmap, room, at - room);
	if (room + LARGE > at)
		syscall(SYS_munmap, at + up(length), room + LARGE - at);
	void *got = map((void *)at, flags & MAP_ANONYMOUS ? up(length) : length, protection, flags | MAP_FIXED, fd, offset);
	if (got == MAP_FAILED)
		syscall(SYS_munmap, at, up(length));
	return got;
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
	return mmap(address, length, protection, flags, fd, offset);
}

int munmap(void *address, size_t length)
{
	return astray(address) ? refuse() : (int)syscall(SYS_munmap, address, up(length));
}

int madvise(void *address, size_t length, int advice)
{
	return astray(address) ? refuse() : (int)syscall(SYS_madvise, address, up(length), advice);
}
