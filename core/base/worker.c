/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/worker.h"

#include <signal.h>

int worker_start(pthread_t *thread, void *(*run)(void *), void *argument)
{
	sigset_t ours, before;

	sigfillset(&ours);
	sigdelset(&ours, SIGBUS);
	sigdelset(&ours, SIGSEGV);
	sigdelset(&ours, SIGFPE);
	sigdelset(&ours, SIGILL);
	pthread_sigmask(SIG_SETMASK, &ours, &before);
	int err = pthread_create(thread, NULL, run, argument); /* a thread begins with its maker's mask */
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -err;
}
