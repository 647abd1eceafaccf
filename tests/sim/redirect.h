/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Included before each production source that is compiled for the simulator: memory comes from the simulated process
 * (it goes when that dies), and locks and waits of its threads are the scheduler's business.
 */
#ifndef MEMKV_TESTS_SIM_REDIRECT_H
#define MEMKV_TESTS_SIM_REDIRECT_H

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

void *sim_malloc(size_t bytes);
void *sim_calloc(size_t count, size_t bytes);
void *sim_aligned_alloc(size_t align, size_t bytes);
char *sim_strdup(const char *text);
void *sim_realloc(void *memory, size_t bytes);
void sim_free(void *memory);
void *sim_mmap(void *at, size_t bytes, int protection, int flags, int fd, long offset);
int sim_munmap(void *at, size_t bytes);
int sim_madvise(void *at, size_t bytes, int advice);

int sim_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes);
int sim_mutex_destroy(pthread_mutex_t *mutex);
int sim_mutex_lock(pthread_mutex_t *mutex);
int sim_mutex_unlock(pthread_mutex_t *mutex);
int sim_yield(void);
int sim_thread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context);
int sim_thread_join(pthread_t thread, void **result);
int sim_cond_init(pthread_cond_t *cond, const pthread_condattr_t *attributes);
int sim_cond_destroy(pthread_cond_t *cond);
int sim_cond_signal(pthread_cond_t *cond);
int sim_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until);
int sim_stat(const char *path, struct stat *st);
int sim_clock_gettime(clockid_t clock, struct timespec *time);

#ifndef SIM_NO_REDIRECT
#define malloc sim_malloc
#define calloc sim_calloc
#define aligned_alloc sim_aligned_alloc
#undef strdup
#define strdup sim_strdup
#define realloc sim_realloc
#define free sim_free
#define mmap sim_mmap
#define munmap sim_munmap
#define madvise sim_madvise
#define pthread_mutex_init sim_mutex_init
#define pthread_mutex_destroy sim_mutex_destroy
#define pthread_mutex_lock sim_mutex_lock
#define pthread_mutex_unlock sim_mutex_unlock
#define sched_yield sim_yield
#define pthread_create sim_thread_create
#define pthread_join sim_thread_join
#define pthread_cond_init sim_cond_init
#define pthread_cond_destroy sim_cond_destroy
#define pthread_cond_signal sim_cond_signal
#define pthread_cond_timedwait sim_cond_timedwait
#define clock_gettime sim_clock_gettime
#define stat(path, to) sim_stat(path, to)
#endif

#endif
