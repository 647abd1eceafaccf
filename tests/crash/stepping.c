/* SPDX-License-Identifier: Apache-2.0 */
/* See stepping.h. */
#include "stepping.h"

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { STEP_PAGE = 4096, TRAP_FLAG = 0x100 };

static struct {
	uint8_t *base;
	size_t bytes;
	void (*stored)(void *context, uint64_t page);
	void *context;
	uint64_t pages[2]; /* that the instruction met: it may cross from one into the next */
	int page_count;
} step;

bool stepping_possible(void)
{
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
	return true;
#else
	return false;
#endif
}

static void set_trap(void *context, bool on)
{
#ifdef __x86_64__
	ucontext_t *user = context;

	if (on)
		user->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
	else
		user->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
#else
	(void)context;
	(void)on;
#endif
}

static void on_fault(int number, siginfo_t *info, void *context)
{
	uintptr_t base = (uintptr_t)step.base, at = (uintptr_t)info->si_addr;

	if (!step.base || at < base || at >= base + step.bytes || step.page_count == 2) {
		signal(number, SIG_DFL); /* not ours: it repeats and ends the process */
		return;
	}
	uint64_t page = (at - base) / STEP_PAGE * STEP_PAGE;
	step.pages[step.page_count++] = page;
	mprotect(step.base + page, STEP_PAGE, PROT_READ | PROT_WRITE);
	set_trap(context, true);
}

static void on_trap(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	set_trap(context, false);
	for (int i = 0; i < step.page_count; i++) {
		mprotect(step.base + step.pages[i], STEP_PAGE, PROT_READ);
		step.stored(step.context, step.pages[i]);
	}
	step.page_count = 0;
}

void stepping_begin(uint8_t *base, size_t bytes, void (*stored)(void *context, uint64_t page), void *context)
{
	struct sigaction fault = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
	struct sigaction trap = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};

	step.base = base;
	step.bytes = bytes;
	step.stored = stored;
	step.context = context;
	step.page_count = 0;
	sigaction(SIGSEGV, &fault, NULL);
	sigaction(SIGTRAP, &trap, NULL);
	mprotect(base, bytes, PROT_READ);
}

void stepping_end(void)
{
	mprotect(step.base, step.bytes, PROT_READ | PROT_WRITE);
	step.base = NULL;
	signal(SIGSEGV, SIG_DFL);
	signal(SIGTRAP, SIG_DFL);
}
