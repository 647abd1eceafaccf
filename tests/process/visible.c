/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long after a put has returned in one process does another one see the block?
 *
 * Asserted: a look that is fresh sees it at once, always; a plain one within 5 s.  The time until a plain
 * memkv_exists() (no lock, no system call: fed by the follower's thread alone) says yes is printed, idle and beside two
 * agents that put and get without pause.  No time is asserted: a busy machine must not fail this test.
 */
#include "helpers.h"

#include <sched.h>

enum { LENGTH = 16 << 10, LIMIT_US = 5000000, LOADERS = 2 };

struct shared {
	atomic_uint_fast64_t announced;	   /* number of the key that the watcher waits for, from 1 */
	atomic_uint_fast64_t returned_us;  /* when its put returned */
	atomic_uint_fast64_t returned;	   /* its number, after returned_us was written */
	atomic_uint_fast64_t seen, watching, stop, loaded;
	uint64_t samples_us[];
};

struct run {
	struct shared *shared;
	const char *path;
	uint64_t samples, first, loader;
};

/* the process that looks */
static int watcher(void *context)
{
	struct run *run = context;
	struct shared *s = run->shared;
	struct memkv_pool *pool = pool_attach(run->path, 0), *fresh = pool_attach(run->path, MEMKV_OPEN_NO_FOLLOWER);

	for (uint64_t n = 1; n <= run->samples; n++) {
		struct memkv_key key = key_of(run->first + n);
		EXPECT(memkv_exists(pool, &key, 0) == 0, "a key is there before it was put");
		atomic_store(&s->watching, n);
		while (atomic_load(&s->returned) < n)
			sched_yield();
		int found = memkv_match(fresh, &key, 1, MEMKV_LOOK_FRESH);
		EXPECT(found == 1, "put has returned, and a fresh look does not find the block (%d)", found);
		uint64_t returned = atomic_load(&s->returned_us), now = now_us();
		while (memkv_exists(pool, &key, 0) != 1) {
			EXPECT(now - returned < LIMIT_US, "not visible after %d s", LIMIT_US / 1000000);
			sched_yield();
			now = now_us();
		}
		s->samples_us[n - 1] = now > returned ? now - returned : 0;
		atomic_store(&s->seen, n);
	}
	memkv_pool_close(fresh);
	memkv_pool_close(pool);
	return 0;
}

/* puts and gets without pause, in a pool that has to reclaim for it */
static int loader(void *context)
{
	struct run *run = context;
	struct memkv_pool *pool = pool_attach(run->path, 0);
	uint8_t *buffer = pages_alloc(LENGTH);

	for (uint64_t n = 0; !atomic_load(&run->shared->stop); n++) {
		uint64_t number = (1 + run->loader) * 100000000 + n;
		struct memkv_key key = key_of(number);
		payload_fill(buffer, LENGTH, number, 0);
		int err = memkv_put(pool, &key, buffer, LENGTH, NULL);
		EXPECT(err == 0, "loader: put: %s", memkv_code_name(err));
		int64_t got = memkv_get(pool, &key, buffer, LENGTH, NULL);
		EXPECT(got == LENGTH && payload_right(buffer, LENGTH, number, 0), "loader: get: %s",
		       memkv_code_name((int)got));
		atomic_fetch_add(&run->shared->loaded, 1);
	}
	memkv_pool_close(pool);
	return 0;
}

static void put_samples(struct run *run)
{
	struct memkv_pool *pool = pool_attach(run->path, 0);
	uint8_t *buffer = pages_alloc(LENGTH);
	uint64_t random = 5;

	for (uint64_t n = 1; n <= run->samples; n++) {
		struct memkv_key key = key_of(run->first + n);
		payload_fill(buffer, LENGTH, run->first + n, 0);
		EXPECT(wait_until(&run->shared->watching, n, 60 * LIMIT_US), "the watcher has stopped");
		sleep_us(random_below(&random, 2000)); /* at any time of the follower's rhythm */
		int err = memkv_put(pool, &key, buffer, LENGTH, NULL);
		uint64_t returned = now_us();
		EXPECT(err == 0, "put: %s", memkv_code_name(err));
		atomic_store(&run->shared->returned_us, returned);
		atomic_store(&run->shared->returned, n);
		EXPECT(wait_until(&run->shared->seen, n, 60 * LIMIT_US), "the watcher has stopped");
	}
	memkv_pool_close(pool);
}

static void measure(const char *name, const char *path, uint64_t samples, uint64_t first, uint64_t loaders)
{
	struct shared *shared = shared_alloc(sizeof(*shared) + samples * sizeof(shared->samples_us[0]));
	struct run run = {.shared = shared, .path = path, .samples = samples, .first = first};
	pid_t watch = child_start(watcher, &run), loads[LOADERS];

	for (run.loader = 0; run.loader < loaders; run.loader++)
		loads[run.loader] = child_start(loader, &run);
	if (loaders)
		EXPECT(wait_until(&shared->loaded, 100, 12 * LIMIT_US), "the loaders have not begun");
	put_samples(&run);
	atomic_store(&shared->stop, 1);
	child_join(watch, "the watcher");
	for (uint64_t i = 0; i < loaders; i++)
		child_join(loads[i], "a loader");
	struct figures f = figures_of(shared->samples_us, samples);
	printf("%s: %llu samples, visible to a plain look after p50 %.2f ms, p99 %.2f ms, max %.2f ms; to a fresh one at "
	       "once\n", name, (unsigned long long)samples, (double)f.p50 / 1e3, (double)f.p99 / 1e3, (double)f.max / 1e3);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	uint64_t samples = argument_number(argc, argv, "--samples", 1000);
	const char *path = scratch_path("visible");

	pool_make_bytes(path, MIB(96), KIB(128));
	measure("idle", path, samples, 0, 0);
	measure("beside two loaded agents", path, samples, 1000000, LOADERS);
	return 0;
}
