/* SPDX-License-Identifier: Apache-2.0 */
/* See faults.h. */
#include "faults.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { RANGES_MAX = 4, TRAP_FLAG = 0x100 };

static struct range {
	void *base;
	size_t length;
} ranges[RANGES_MAX];
static int range_count;
static bool recording, armed;
static struct store_watch *watch;

static void protect(int protection)
{
	for (int i = 0; i < range_count; i++)
		mprotect(ranges[i].base, ranges[i].length, protection);
}

/* the library's mappings of the pool's file pass through here */
void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
	void *base = (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
	struct stat st;

	if (!recording || base == MAP_FAILED || !(flags & MAP_SHARED) || !(protection & PROT_WRITE) || fd < 0 || fstat(fd, &st) ||
	    !S_ISREG(st.st_mode) || range_count == RANGES_MAX)
		return base;
	ranges[range_count++] = (struct range){base, length};
	if (armed)
		protect(PROT_READ);
	return base;
}

static void on_fault(int number, siginfo_t *info, void *context)
{
#ifdef __x86_64__
	ucontext_t *user = context;

	for (int i = 0; i < range_count; i++) {
		uintptr_t base = (uintptr_t)ranges[i].base, at = (uintptr_t)info->si_addr;
		if (at < base || at >= base + ranges[i].length)
			continue;
		uint64_t store = atomic_fetch_add(&watch->stores, 1);
		if (store == atomic_load(&watch->stop_at))
			kill(getpid(), SIGSTOP);
		if (store == atomic_load(&watch->kill_at))
			kill(getpid(), SIGKILL);
		protect(PROT_READ | PROT_WRITE);
		user->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
		return;
	}
#endif
	(void)number;
	(void)info;
	(void)context;
	signal(SIGSEGV, SIG_DFL); /* not ours: it repeats and ends the process */
}

static void on_trap(int number, siginfo_t *info, void *context)
{
#ifdef __x86_64__
	ucontext_t *user = context;

	user->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
#endif
	(void)number;
	(void)info;
	(void)context;
	protect(PROT_READ);
}

void faults_arm(struct store_watch *shared)
{
	struct sigaction fault = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
	struct sigaction trap = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};

	sigaction(SIGSEGV, &fault, NULL);
	sigaction(SIGTRAP, &trap, NULL);
	watch = shared;
	armed = true;
	protect(PROT_READ);
}

void faults_record(void)
{
	recording = true;
}

void faults_need(void)
{
#if !defined(__x86_64__) || defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
	skip_test("needs an x86-64 build without sanitizers: it lets single instructions through a fault");
#endif
}
