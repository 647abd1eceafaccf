/* SPDX-License-Identifier: Apache-2.0 */
/* See sigbus_guard.h.  The table is fixed and atomic: a signal handler may take no lock and allocate nothing. */
#include "core/media/sigbus_guard.h"
#include "core/base/bytes.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>

enum { GUARDS = 64 };

static struct guard {
	atomic_uintptr_t base; /* 0: free; 1: being filled */
	atomic_size_t length, unit;
	_Atomic(atomic_bool *) failed;
} guards[GUARDS];

static struct sigaction previous;
static pthread_once_t installed = PTHREAD_ONCE_INIT;

static bool cover(uintptr_t address)
{
	for (int i = 0; i < GUARDS; i++) {
		uintptr_t base = atomic_load(&guards[i].base);
		if (base <= 1 || address < base || address >= base + atomic_load(&guards[i].length))
			continue;
		size_t unit = atomic_load(&guards[i].unit);
		void *page = (void *)round_down(address, unit);
		/* first the flag: whoever sees the zeros, in any thread, and asks afterwards, is told */
		atomic_store(atomic_load(&guards[i].failed), true);
		return mmap(page, unit, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED;
	}
	return false;
}

static void on_sigbus(int number, siginfo_t *info, void *context)
{
	int saved = errno;

	if (cover((uintptr_t)info->si_addr)) {
		errno = saved;
		return;
	}
	if (previous.sa_flags & SA_SIGINFO) {
		previous.sa_sigaction(number, info, context);
	} else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
		previous.sa_handler(number);
	} else {
		sigaction(SIGBUS, &previous, NULL); /* not ours: the access repeats and takes its usual course */
	}
}

static void install(void)
{
	struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_NODEFER};

	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, &previous);
}

int sigbus_guard_add(void *base, size_t length, size_t unit, atomic_bool *failed)
{
	pthread_once(&installed, install);
	for (int i = 0; i < GUARDS; i++) {
		uintptr_t none = 0;
		if (!atomic_compare_exchange_strong(&guards[i].base, &none, 1))
			continue;
		atomic_store(&guards[i].length, length);
		atomic_store(&guards[i].unit, unit);
		atomic_store(&guards[i].failed, failed);
		atomic_store(&guards[i].base, (uintptr_t)base);
		return 0;
	}
	return -ENOSPC;
}

void sigbus_guard_remove(const void *base)
{
	for (int i = 0; i < GUARDS; i++)
		if (atomic_load(&guards[i].base) == (uintptr_t)base)
			atomic_store(&guards[i].base, 0);
}
