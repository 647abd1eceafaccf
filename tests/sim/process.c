/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process has for itself: memory that goes when it dies, locks among its threads, the machine's clock, random
 * numbers.  Production sources are compiled against these (redirect.h); core/base/environ.c is replaced.
 */
#define SIM_NO_REDIRECT
#include "redirect.h"

#include "core/base/environ.h"
#include "core/media/late_write.h"
#include "core/pool/deadline.h"
#include "sim.h"

#include <errno.h>
#include <stdio.h>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, bytes) ((void)(at), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(at, bytes) ((void)(at), (void)(bytes))
#endif

enum { RED_ZONE = 64 };

static struct agent *self(void)
{
	return world.thread ? world.thread->agent : NULL;
}

/* ---- memory ---- */

static void *take(size_t bytes, size_t align)
{
	struct agent *a = self();

	if (!a)
		return aligned_alloc(align, round_up(bytes, align)); /* the simulator's own */
	size_t at = round_up(a->arena_used + RED_ZONE, align);
	if (at + bytes > ARENA_BYTES) {
		broken("a process uses more than %llu bytes", ARENA_BYTES);
		return NULL;
	}
	a->arena_last = at;
	a->arena_used = at + bytes;
	ASAN_UNPOISON_MEMORY_REGION(a->arena + at - sizeof(uint64_t), bytes + sizeof(uint64_t));
	memcpy(a->arena + at - sizeof(uint64_t), &(uint64_t){bytes}, sizeof(uint64_t)); /* for sim_realloc() */
	return a->arena + at;
}

void *sim_malloc(size_t bytes) { return take(bytes, 16); }

void *sim_calloc(size_t count, size_t bytes)
{
	void *memory = take(count * bytes, 16);

	return memory ? memset(memory, 0, count * bytes) : NULL;
}

void *sim_aligned_alloc(size_t align, size_t bytes) { return take(bytes, align); }

char *sim_strdup(const char *text)
{
	char *copy = sim_malloc(strlen(text) + 1);

	return copy ? strcpy(copy, text) : NULL;
}

static bool in_arena(const struct agent *a, const void *memory)
{
	return a && (const uint8_t *)memory >= a->arena && (const uint8_t *)memory < a->arena + ARENA_BYTES;
}

void sim_free(void *memory)
{
	struct agent *a = self();

	if (!memory)
		return;
	if (!in_arena(a, memory)) {
		free(memory);
		return;
	}
	size_t at = (size_t)((uint8_t *)memory - a->arena);
	if (at == a->arena_last) {
		ASAN_POISON_MEMORY_REGION(memory, a->arena_used - at);
		a->arena_used = at; /* what came last can be had again; the rest when the process has ended */
	}
}

void *sim_realloc(void *memory, size_t bytes)
{
	uint64_t before;

	if (!memory)
		return sim_malloc(bytes);
	if (!in_arena(self(), memory))
		return realloc(memory, bytes);
	memcpy(&before, (uint8_t *)memory - sizeof(before), sizeof(before));
	void *larger = sim_malloc(bytes);
	return larger ? memcpy(larger, memory, min_u64(before, bytes)) : NULL;
}

void *sim_mmap(void *at, size_t bytes, int protection, int flags, int fd, long offset)
{
	void *memory = take(bytes, PAGE);

	(void)at;
	(void)protection;
	(void)flags;
	(void)fd;
	(void)offset;
	return memory ? memset(memory, 0, bytes) : MAP_FAILED;
}

int sim_munmap(void *at, size_t bytes)
{
	(void)bytes;
	sim_free(at);
	return 0;
}

int sim_madvise(void *at, size_t bytes, int advice)
{
	if (advice == MADV_DONTNEED)
		memset(at, 0, bytes);
	return 0;
}

void process_reset(struct agent *a)
{
	if (!a->arena) {
		a->arena = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (a->arena == MAP_FAILED) {
			perror("memory for a process");
			exit(1);
		}
	}
	ASAN_POISON_MEMORY_REGION(a->arena, ARENA_BYTES);
	a->arena_used = 0;
	a->arena_last = 0;
}

/* ---- locks among threads of a process: only the scheduler's thread runs, so a flag is enough ---- */

static _Bool *locked(pthread_mutex_t *mutex) { return (_Bool *)(void *)mutex; }

int sim_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes)
{
	(void)attributes;
	memset(mutex, 0, sizeof(*mutex));
	return 0;
}

int sim_mutex_destroy(pthread_mutex_t *mutex)
{
	if (*locked(mutex))
		broken("a lock is destroyed while it is held");
	return 0;
}

int sim_mutex_lock(pthread_mutex_t *mutex)
{
	while (*locked(mutex)) {
		world.thread->waits_for = mutex;
		world_pause(THREAD_WAITS_LOCK);
	}
	*locked(mutex) = 1;
	return 0;
}

int sim_mutex_unlock(pthread_mutex_t *mutex)
{
	struct agent *a = self();

	if (!*locked(mutex))
		broken("a lock is given back that is not held");
	*locked(mutex) = 0;
	for (int i = 0; a && i < THREADS_ALL; i++)
		if (a->threads[i].state == THREAD_WAITS_LOCK && a->threads[i].waits_for == mutex)
			a->threads[i].state = THREAD_READY;
	if (a)
		fortune_unlocked();
	return 0;
}

int sim_yield(void)
{
	world_sleep(20);
	return 0;
}

/* ---- threads of the library, and how they wait ---- */

static void own_main(void *context)
{
	struct thread *t = context;

	(void)t->own_run(t->own_context);
	world_pause(THREAD_ENDED);
}

/* a pthread_t is the thread's number */
int sim_thread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context)
{
	(void)attributes;
	for (uint32_t n = THREADS_MAX; n < THREADS_ALL; n++) {
		struct thread *t = &self()->threads[n];
		if (t->state != THREAD_NONE && t->state != THREAD_ENDED)
			continue;
		t->own_run = run;
		t->own_context = context;
		thread_start(t, own_main);
		memset(thread, 0, sizeof(*thread));
		memcpy(thread, &n, sizeof(n));
		return 0;
	}
	broken("the library starts more threads than the simulator has");
	return EAGAIN;
}

int sim_thread_join(pthread_t thread, void **result)
{
	uint32_t n;

	memcpy(&n, &thread, sizeof(n));
	const struct thread *t = &self()->threads[n];
	(void)result;
	while (t->state != THREAD_ENDED && t->state != THREAD_NONE)
		world_sleep(10);
	return 0;
}

/* a condition counts its signals */
int sim_cond_init(pthread_cond_t *cond, const pthread_condattr_t *attributes)
{
	(void)attributes;
	memset(cond, 0, sizeof(*cond));
	return 0;
}

int sim_cond_destroy(pthread_cond_t *cond)
{
	(void)cond;
	return 0;
}

int sim_cond_signal(pthread_cond_t *cond)
{
	(*(uint32_t *)(void *)cond)++;
	return 0;
}

int sim_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until)
{
	const uint32_t *signals = (const uint32_t *)(const void *)cond, before = *signals;
	uint64_t end = (uint64_t)until->tv_sec * 1000000 + (uint64_t)until->tv_nsec / 1000;
	int result = 0;

	sim_mutex_unlock(mutex);
	while (*signals == before && !result) {
		uint64_t now = host_us(self());
		result = now >= end ? ETIMEDOUT : 0;
		world.thread->naps = true;
		if (!result)
			world_sleep(min_u64(end - now, 200));
		world.thread->naps = false;
	}
	sim_mutex_lock(mutex);
	return result;
}

/* ---- what the machine tells ---- */

uint64_t host_us(const struct agent *a)
{
	return a && on_shared() ? (world.now * a->rate >> 10) + a->ahead : world.now;
}

int sim_clock_gettime(clockid_t clock, struct timespec *time)
{
	uint64_t now = host_us(self());

	(void)clock;
	*time = (struct timespec){.tv_sec = (time_t)(now / 1000000), .tv_nsec = (long)(now % 1000000) * 1000};
	return 0;
}

uint64_t clock_utc_s(void)
{
	if (world.thread) {
		struct call *call = &world.thread->call;
		call->clock_low = min_u64(call->clock_low, world.clock);
		call->clock_high = max_u64(call->clock_high, world.clock);
	}
	return world.clock;
}

uint64_t clock_monotonic_us(void) { return host_us(self()); }

uint64_t clock_boot_us(void) { return host_us(self()); }

void clock_sleep_us(uint64_t us)
{
	world_sleep(on_shared() ? (us << 10) / self()->rate + 1 : us + 1);
}

/* asked for what the path is: see core/pool/pool_open.c */
int sim_stat(const char *path, struct stat *st)
{
	(void)path;
	memset(st, 0, sizeof(*st));
	st->st_mode = on_shared() ? S_IFBLK : S_IFREG;
	return 0;
}

size_t page_bytes(void) { return PAGE; }

int random_fill(void *to, size_t length)
{
	uint8_t *at = to;

	for (size_t i = 0; i < length; i++)
		at[i] = (uint8_t)draw(256);
	return 0;
}

void identity_read(struct identity *id)
{
	memset(id, 0, sizeof(*id));
	if (self()) {
		id->pid = self()->number;
		id->process_start = self()->life;
		if (on_shared()) {
			id->machine[0] = id->boot[0] = (uint8_t)(1 + self()->number);
			memcpy(id->boot + 4, &self()->boots, sizeof(self()->boots));
		}
	}
}

/* asked for what people are shown only */
bool process_stopped(uint32_t pid, uint64_t process_start)
{
	(void)pid;
	(void)process_start;
	return false;
}

bool process_ended(uint32_t pid, uint64_t process_start)
{
	(void)pid;
	(void)process_start;
	return false; /* a lock falls with its process here */
}

void pause_us(uint32_t us)
{
	(void)us;
	sim_yield();
}

/* ---- fork.c is about real processes ---- */

void fork_hold(void) {}
void fork_release(void) {}
void fork_register(struct memkv_pool *pool) { (void)pool; }
void fork_unregister(struct memkv_pool *pool) { (void)pool; }

/* ---- nor is any call of the simulated processes made with a deadline: deputies are real threads ---- */

void deputies_open(struct deputies *all, struct memkv_pool *pool, uint32_t limit)
{
	(void)all;
	(void)pool;
	(void)limit;
}
void deputies_close(struct deputies *all) { (void)all; }
bool deputies_late(struct deputies *all) { (void)all; return false; }
void deputy_cond_open(pthread_cond_t *cond) { (void)cond; }
bool deputy_wait(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t until_us)
{
	(void)cond, (void)lock, (void)until_us;
	return false;
}

/* a handle that has failed stays so here: its process ends, and another one attaches */
int rejoin_start(struct memkv_pool *pool) { (void)pool; return 0; }
void rejoin_stop(struct memkv_pool *pool) { (void)pool; }
void rejoin_by_caller(struct memkv_pool *pool) { (void)pool; }

/* no network is between a simulated process and its medium */
bool late_write_of_device(const char *root, const char *path, struct late_write *late)
{
	(void)root, (void)path, (void)late;
	return false;
}

void deadline_close(void (*close)(struct memkv_pool *pool), struct memkv_pool *pool) { close(pool); }

int deadline_open(pool_opener open, const char *path, const struct memkv_pool_options *o, struct memkv_pool **pool)
{
	return open(path, o, pool);
}

int64_t deadline_make(struct memkv_pool *pool, struct chore *chore, uint64_t deadline_us)
{
	(void)deadline_us;
	return chore->make(pool, chore);
}

int64_t deadline_get(struct memkv_pool *pool, const struct memkv_key *key, const struct located *at, void *buffer,
		     size_t length, const struct memkv_get_options *o, struct memkv_get_options *given)
{
	(void)pool, (void)key, (void)at, (void)buffer, (void)length, (void)o, (void)given;
	return -ENOTSUP;
}

int deadline_put(struct memkv_pool *pool, const struct memkv_key *key, const void *data, size_t length,
		 const struct memkv_put_options *o)
{
	(void)pool, (void)key, (void)data, (void)length, (void)o;
	return -ENOTSUP;
}

int pool_usable(const struct memkv_pool *pool)
{
	return pool ? 0 : -EINVAL;
}
