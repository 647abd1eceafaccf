/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many hosts on one large pool of which only the metadata is real: the pool's file is sparse, its tables are filled as in
 * fill.h.  Every "host" is a process with a handle of its own.  Printed as JSON, one line a verb:
 *
 *   large make POOL BYTES SEGMENT BLOCK BLOCKS PER_SEGMENT    a pool of BYTES with BLOCKS blocks
 *   large attach POOL BLOCKS                     one attach: milliseconds, memory; 10,000 keys are looked up and checked
 *   large many POOL HOSTS SECONDS                HOSTS processes attach, and follow idly, then beside one that puts;
 *                                                processor time a host, and when a block put last is there for all
 *   large put POOL BLOCKS                        puts of 4 KiB: microseconds each, and what the longest were
 */
#include "fill.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HOSTS_MAX = 256, PUT_BYTES = 4096, LOOKS = 10000, PUTS_A_SECOND = 200 };

/* what the hosts and their parent tell each other */
struct shared {
	atomic_uint attached, done;
	atomic_int phase; /* 0 attach, 1 idle, 2 beside puts, 3 look, 4 end */
	atomic_uint_fast64_t last;  /* number of the block that was put last */
	double attach_ms[HOSTS_MAX], idle_cpu[HOSTS_MAX], busy_cpu[HOSTS_MAX], seen_ms[HOSTS_MAX];
	atomic_uint wrong;
};

static double cpu_s(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double at_rank(double *values, size_t count, double rank)
{
	qsort(values, count, sizeof(*values), by_value);
	return values[(size_t)((double)(count - 1) * rank)];
}

static int make(char **argv)
{
	uint64_t block = strtoull(argv[5], NULL, 10), blocks = strtoull(argv[6], NULL, 10);
	struct geometry_wish wish = {
		.bytes = strtoull(argv[3], NULL, 10), .segment = strtoull(argv[4], NULL, 10), .max_block = block};
	struct memkv_pool_options open = {.size = sizeof(open), .flags = MEMKV_OPEN_NO_FOLLOWER, .lanes = 1};
	struct memkv_pool *pool;

	double start = fill_now_s();
	fill_sparse(argv[2], &wish);
	double created = fill_now_s();
	if (memkv_pool_open(argv[2], &open, &pool))
		fill_die("open");
	uint64_t filled = fill_pool(pool, blocks, block, strtoull(argv[7], NULL, 10));
	printf("{\"segments\":%u,\"slots\":%u,\"control_bytes\":%" PRIu64 ",\"blocks\":%" PRIu64
	       ",\"create_ms\":%.1f,\"fill_s\":%.1f}\n",
	       pool->sb.geo.segments, pool->sb.geo.slots, pool->control.layout.control_bytes, filled, (created - start) * 1e3,
	       fill_now_s() - created);
	memkv_pool_close(pool);
	return filled != blocks;
}

static unsigned look_all(struct memkv_pool *pool, uint64_t blocks)
{
	unsigned wrong = 0;

	for (uint64_t i = 0; i < LOOKS; i++) {
		struct memkv_key there = fill_key(fill_mix(i) % blocks), absent = fill_key((uint64_t)1 << 40 | i);
		wrong += memkv_exists(pool, &there, 0) != 1;
		wrong += memkv_exists(pool, &absent, 0) != 0;
	}
	return wrong;
}

static int attach(char **argv)
{
	struct memkv_pool_options open = {.size = sizeof(open), .flags = MEMKV_OPEN_NO_FOLLOWER, .lanes = 1};
	uint64_t blocks = strtoull(argv[3], NULL, 10);
	struct memkv_pool *pool;
	struct rusage u;
	long before = fill_status_bytes("RssAnon");
	double start = fill_now_s();

	if (memkv_pool_open(argv[2], &open, &pool))
		fill_die("attach");
	double ms = (fill_now_s() - start) * 1e3;
	long memory = fill_status_bytes("RssAnon") - before;
	unsigned wrong = look_all(pool, blocks);
	getrusage(RUSAGE_SELF, &u);
	printf("{\"blocks\":%" PRIu64 ",\"attach_ms\":%.1f,\"cpu_s\":%.2f,\"anon_bytes\":%ld,\"wrong\":%u}\n", blocks, ms, cpu_s(),
	       memory, wrong);
	memkv_pool_close(pool);
	return wrong != 0;
}

static int put_number(struct memkv_pool *pool, uint64_t number)
{
	static _Alignas(4096) uint8_t bytes[PUT_BYTES];
	struct memkv_key key = fill_key(number);

	memcpy(bytes, &number, sizeof(number));
	return memkv_put(pool, &key, bytes, sizeof(bytes), NULL);
}

static void wait_phase(struct shared *s, int phase)
{
	while (atomic_load(&s->phase) < phase)
		usleep(1000);
}

static void host(const char *path, struct shared *s, unsigned n)
{
	struct memkv_pool_options open = {.size = sizeof(open), .lanes = 1};
	struct memkv_pool *pool;
	double start = fill_now_s();

	if (memkv_pool_open(path, &open, &pool))
		fill_die("host");
	s->attach_ms[n] = (fill_now_s() - start) * 1e3;
	atomic_fetch_add(&s->attached, 1);
	wait_phase(s, 1);
	double cpu = cpu_s();
	wait_phase(s, 2);
	s->idle_cpu[n] = cpu_s() - cpu;
	cpu = cpu_s();
	wait_phase(s, 3);
	s->busy_cpu[n] = cpu_s() - cpu;
	struct memkv_key key = fill_key(atomic_load(&s->last));
	double from = fill_now_s();
	while (memkv_exists(pool, &key, 0) != 1 && fill_now_s() < from + 60)
		usleep(1000);
	s->seen_ms[n] = (fill_now_s() - from) * 1e3;
	if (memkv_exists(pool, &key, 0) != 1)
		atomic_fetch_add(&s->wrong, 1);
	atomic_fetch_add(&s->done, 1);
	wait_phase(s, 4);
	memkv_pool_close(pool);
	exit(0);
}

static int many(char **argv)
{
	unsigned count = (unsigned)strtoul(argv[3], NULL, 10);
	double seconds = strtod(argv[4], NULL);
	struct shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pids[HOSTS_MAX];
	struct memkv_pool *pool;

	if (s == MAP_FAILED || !count || count > HOSTS_MAX)
		return 2;
	for (unsigned n = 0; n < count; n++) {
		pids[n] = fork();
		if (pids[n] == 0)
			host(argv[2], s, n);
		while (atomic_load(&s->attached) <= n && waitpid(pids[n], NULL, WNOHANG) == 0)
			usleep(100);
		if (atomic_load(&s->attached) <= n)
			fill_die("a host ended");
	}
	if (memkv_pool_open(argv[2], NULL, &pool))
		fill_die("the host that puts");
	(void)put_number(pool, (uint64_t)getpid() << 32 | UINT32_MAX); /* it has a segment */
	double last_attach = s->attach_ms[count - 1];
	atomic_store(&s->phase, 1);
	usleep((useconds_t)(seconds * 1e6));
	atomic_store(&s->phase, 2);
	double from = fill_now_s(), cpu = cpu_s();
	uint64_t puts = 0, refused = 0, numbers = (uint64_t)getpid() << 32; /* new ones in every run */
	for (; fill_now_s() < from + seconds; puts++) {
		atomic_store(&s->last, numbers + puts);
		refused += put_number(pool, numbers + puts) != 0;
		double due = from + (double)(puts + 1) / PUTS_A_SECOND, now = fill_now_s();
		if (due > now)
			usleep((useconds_t)((due - now) * 1e6));
	}
	double writer = (cpu_s() - cpu) / (double)puts;
	atomic_store(&s->phase, 3);
	while (atomic_load(&s->done) < count)
		usleep(1000);
	atomic_store(&s->phase, 4);
	for (unsigned n = 0; n < count; n++)
		waitpid(pids[n], NULL, 0);
	unsigned wrong = atomic_load(&s->wrong);
	printf("{\"hosts\":%u,\"attach_first_ms\":%.1f,\"attach_last_ms\":%.1f,\"idle_cpu_percent\":%.3f,"
	       "\"busy_cpu_percent\":%.3f,\"busy_cpu_percent_max\":%.3f,\"puts_s\":%.0f,\"put_cpu_us\":%.0f,\"seen_ms_max\":%.1f,"
	       "\"refused\":%" PRIu64 ",\"wrong\":%u}\n",
	       count, s->attach_ms[0], last_attach, at_rank(s->idle_cpu, count, 0.5) / seconds * 100,
	       at_rank(s->busy_cpu, count, 0.5) / seconds * 100, at_rank(s->busy_cpu, count, 1) / seconds * 100,
	       (double)puts / seconds, writer * 1e6, at_rank(s->seen_ms, count, 1), refused, wrong);
	memkv_pool_close(pool);
	return wrong || refused;
}

static int put(char **argv)
{
	uint64_t count = strtoull(argv[3], NULL, 10), refused = 0;
	double *us = calloc(count, sizeof(*us));
	struct memkv_counters c;
	struct memkv_pool *pool;

	if (!us || memkv_pool_open(argv[2], NULL, &pool))
		fill_die("put");
	double cpu = cpu_s(), start = fill_now_s();
	for (uint64_t i = 0; i < count; i++) {
		double from = fill_now_s();
		refused += put_number(pool, (uint64_t)getpid() << 43 | i) != 0;
		us[i] = (fill_now_s() - from) * 1e6;
	}
	double took = fill_now_s() - start;
	memkv_pool_counters(pool, &c);
	printf("{\"puts\":%" PRIu64 ",\"us\":%.1f,\"cpu_us\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f,"
	       "\"opened\":%" PRIu64 ",\"reclaimed\":%" PRIu64 ",\"refused\":%" PRIu64 "}\n",
	       count, took / (double)count * 1e6, (cpu_s() - cpu) / (double)count * 1e6, at_rank(us, count, 0.5),
	       at_rank(us, count, 0.99), at_rank(us, count, 1), c.segments_opened, c.segments_reclaimed, refused);
	free(us);
	memkv_pool_close(pool);
	return refused != 0;
}

int main(int argc, char **argv)
{
	if (argc == 8 && strcmp(argv[1], "make") == 0)
		return make(argv);
	if (argc == 4 && strcmp(argv[1], "attach") == 0)
		return attach(argv);
	if (argc == 5 && strcmp(argv[1], "many") == 0)
		return many(argv);
	if (argc == 4 && strcmp(argv[1], "put") == 0)
		return put(argv);
	fprintf(stderr, "usage: large make POOL BYTES SEGMENT BLOCK BLOCKS PER_SEGMENT | attach POOL BLOCKS | "
			"many POOL HOSTS SECONDS | put POOL BLOCKS\n");
	return 2;
}
