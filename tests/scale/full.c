/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a full pool of many blocks costs the process that uses it: `scale build` made one that has only metadata.
 *
 *   full use POOL BLOCKS SECONDS    attach; look idly for SECONDS; find keys; put blocks of 4 KiB until two segments that were
 *                                   full have been opened anew, and get some of them; every answer and byte is checked
 *   full cold POOL                  the page cache forgets what it can
 *
 * The file is sparse and its blocks have no payload: only those that are put here are got.
 */
#include "fill.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { PUT_BYTES = 4096, LOOKS = 200000, PUTS_MAX = 1 << 20, GOT = 20000, REOPENED = 2 };

struct figures {
	double attach_ms, attach_cpu_s, idle_percent, exists_ns, absent_ns;
	double put[PUTS_MAX], reopen[REOPENED], chosen, got[GOT];
	uint32_t puts, reopened;
	long anonymous, mapped;
	uint64_t wrong;
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
	return count ? values[(size_t)((double)(count - 1) * rank)] : 0;
}

/* one key at a time: a look-up in an index that no cache holds */
static double look(struct memkv_pool *pool, uint64_t blocks, bool there, uint64_t *wrong)
{
	struct memkv_key *keys = calloc(LOOKS, sizeof(*keys));

	if (!keys)
		fill_die("memory");
	for (uint64_t i = 0; i < LOOKS; i++)
		keys[i] = fill_key(there ? fill_mix(i) % blocks : (uint64_t)1 << 40 | i);
	double from = fill_now_s();
	for (uint64_t i = 0; i < LOOKS; i++)
		*wrong += memkv_exists(pool, &keys[i], 0) != (int)there;
	double ns = (fill_now_s() - from) * 1e9 / LOOKS;
	free(keys);
	return ns;
}

static uint64_t number_of(uint32_t put) { return (uint64_t)getpid() << 43 | put; }

static uint64_t reopened(struct memkv_pool *pool)
{
	struct memkv_counters c;

	memkv_pool_counters(pool, &c);
	return c.segments_reclaimed;
}

static void put_until_reopened(struct memkv_pool *pool, struct figures *f)
{
	static _Alignas(4096) uint64_t bytes[PUT_BYTES / 8];

	while (f->reopened < REOPENED && f->puts < PUTS_MAX) {
		uint64_t number = number_of(f->puts);
		struct memkv_key key = fill_key(number);
		for (size_t i = 0; i < PUT_BYTES / 8; i++)
			bytes[i] = fill_mix(number + i);
		double from = fill_now_s();
		f->wrong += memkv_put(pool, &key, bytes, sizeof(bytes), NULL) != 0;
		double us = (fill_now_s() - from) * 1e6;
		if (reopened(pool) > f->reopened)
			f->reopen[f->reopened++] = us;
		else
			f->put[f->puts] = us;
		f->puts++;
	}
}

static void get_some(struct memkv_pool *pool, struct figures *f)
{
	static _Alignas(4096) uint64_t bytes[PUT_BYTES / 8];

	for (uint32_t i = 0; i < GOT; i++) {
		uint64_t number = number_of((uint32_t)(fill_mix(i) % f->puts));
		struct memkv_key key = fill_key(number);
		memset(bytes, 0, sizeof(bytes));
		double from = fill_now_s();
		f->wrong += memkv_get(pool, &key, bytes, sizeof(bytes), NULL) != PUT_BYTES;
		f->got[i] = (fill_now_s() - from) * 1e6;
		for (size_t k = 0; k < PUT_BYTES / 8; k++)
			f->wrong += bytes[k] != fill_mix(number + k);
	}
}

static void print(struct figures *f, uint64_t blocks)
{
	double most = at_rank(f->put, f->puts, 1); /* choosing a victim half a segment before it is needed */

	printf("{\"blocks\":%" PRIu64 ",\"attach_ms\":%.1f,\"attach_cpu_s\":%.2f,\"anon_bytes\":%ld,\"mapped_bytes\":%ld,"
	       "\"idle_cpu_percent\":%.3f,\"exists_ns\":%.0f,\"absent_ns\":%.0f,\"puts\":%u,\"put_p50_us\":%.1f,\"put_p99_us\":%.1f,"
	       "\"put_max_us\":%.0f,\"reopened\":%u,\"first_put_us\":%.0f,\"reopen_put_us\":%.0f,\"get_p50_us\":%.1f,"
	       "\"get_p99_us\":%.1f,\"wrong\":%" PRIu64 "}\n",
	       blocks, f->attach_ms, f->attach_cpu_s, f->anonymous, f->mapped, f->idle_percent, f->exists_ns, f->absent_ns, f->puts,
	       at_rank(f->put, f->puts, 0.5), at_rank(f->put, f->puts, 0.99), most, f->reopened, f->reopen[0],
	       f->reopen[REOPENED - 1], at_rank(f->got, GOT, 0.5), at_rank(f->got, GOT, 0.99), f->wrong);
}

static int use(const char *path, uint64_t blocks, double seconds)
{
	static struct figures f;
	struct memkv_pool_options open = {.size = sizeof(open), .lanes = 1};
	long before = fill_status_bytes("RssAnon");
	double cpu = cpu_s(), start = fill_now_s();
	struct memkv_pool *pool;

	if (memkv_pool_open(path, &open, &pool))
		fill_die("attach");
	f.attach_ms = (fill_now_s() - start) * 1e3;
	f.attach_cpu_s = cpu_s() - cpu;
	f.anonymous = fill_status_bytes("RssAnon") - before;
	f.mapped = fill_status_bytes("RssFile");
	cpu = cpu_s();
	usleep((useconds_t)(seconds * 1e6));
	f.idle_percent = (cpu_s() - cpu) / seconds * 100;
	f.exists_ns = look(pool, blocks, true, &f.wrong);
	f.absent_ns = look(pool, blocks, false, &f.wrong);
	put_until_reopened(pool, &f);
	get_some(pool, &f);
	print(&f, blocks);
	memkv_pool_close(pool);
	return f.wrong || f.reopened < REOPENED;
}

static int forget(const char *path)
{
	int file = open(path, O_RDONLY | O_CLOEXEC), all = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	sync();
	int err = file < 0 ? 1 : posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
	if (all >= 0)
		err |= write(all, "1", 1) != 1;
	close(file);
	close(all);
	return err != 0;
}

int main(int argc, char **argv)
{
	if (argc == 5 && strcmp(argv[1], "use") == 0)
		return use(argv[2], strtoull(argv[3], NULL, 10), strtod(argv[4], NULL));
	if (argc == 3 && strcmp(argv[1], "cold") == 0)
		return forget(argv[2]);
	fprintf(stderr, "usage: full use POOL BLOCKS SECONDS | cold POOL\n");
	return 2;
}
