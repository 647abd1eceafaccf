/* SPDX-License-Identifier: Apache-2.0 */
/* Threads of the library's own inside somebody else's process. */
#ifndef MEMKV_CORE_WORKER_H
#define MEMKV_CORE_WORKER_H

#include <pthread.h>

/**
 * worker_start() - pthread_create() for a thread that takes none of the program's signals
 *
 * A handler of the program's would otherwise run on our stack, and beside the thread that the program thinks of when it
 * blocks a signal. Faults (SIGBUS, SIGSEGV, SIGFPE, SIGILL) stay open: they belong to the thread that makes them.
 *
 * Return: 0, or a negative errno.
 */
int worker_start(pthread_t *thread, void *(*run)(void *), void *argument);

#endif
