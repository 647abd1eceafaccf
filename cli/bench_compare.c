/* SPDX-License-Identifier: Apache-2.0 */
/* The comparison of bench.h: slices, the threads in them, and the arithmetic. */
#include "cli/bench.h"
#include "cli/bench_raw.h"
#include "cli/interrupt.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum side { SIDE_MEMKV, SIDE_RAW, SIDE_CONTROL, SIDES };
enum { THREADS_MAX = 64, BUFFER_ALIGN = 4096 };

struct worker {
	struct bench_setup *setup;
	enum side side;
	uint8_t *buffers;
	size_t turn;
	struct bench_raw raw;
	uint64_t deadline, bytes, failed;
	struct latency latency;
};

struct slice {
	double gbps, cpu_s, seconds;
	uint64_t bytes, failed;
};

struct memkv_key bench_key(uint64_t number)
{
	struct memkv_key key = {{'b', 'e', 'n', 'c', 'h'}};

	memcpy(key.bytes + 8, &number, sizeof(number));
	return key;
}

/* the next of the thread's buffers */
static uint8_t *buffer_of(struct worker *w)
{
	size_t size = w->setup->block_size, count = w->setup->buffer_bytes / size;

	return w->buffers + w->turn++ % (count ? count : 1) * size;
}

static bool memkv_operation(struct worker *w)
{
	struct bench_setup *s = w->setup;

	if (s->op == BENCH_PUT) {
		struct memkv_key key = bench_key(atomic_fetch_add(&s->next_key, 1));
		return memkv_put(s->pool, &key, buffer_of(w), s->block_size, NULL) == 0;
	}
	size_t n = (size_t)atomic_fetch_add(&s->cursor, 1) % s->extent_count;
	return memkv_get(s->pool, &s->extents[n].key, buffer_of(w), s->block_size, NULL) == (int64_t)s->block_size;
}

static bool raw_operation(struct worker *w)
{
	struct bench_setup *s = w->setup;
	uint64_t n = atomic_fetch_add(&s->cursor, 1);

	if (s->op == BENCH_PUT)
		return bench_raw_write(&w->raw, buffer_of(w), s->block_size,
				       n * s->block_size % (s->raw_bytes / s->block_size * s->block_size)) == 0;
	return bench_raw_read(&w->raw, buffer_of(w), s->block_size, s->extents[n % s->extent_count].offset) == 0;
}

static void *work(void *argument)
{
	struct worker *w = argument;
	uint64_t now = latency_now();

	while (now < w->deadline) {
		uint64_t start = now;
		bool good = w->side == SIDE_MEMKV ? memkv_operation(w) : raw_operation(w);
		now = latency_now();
		latency_add(&w->latency, now - start);
		w->bytes += w->setup->block_size;
		w->failed += !good;
	}
	return NULL;
}

static double cpu_seconds(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static struct slice run_slice(struct bench_setup *setup, struct worker *workers, enum side side)
{
	pthread_t threads[THREADS_MAX];
	struct slice slice = {.cpu_s = cpu_seconds()};
	uint64_t start = latency_now();
	unsigned started = 0;

	for (unsigned i = 0; i < setup->threads; i++) {
		workers[i].side = side;
		workers[i].bytes = workers[i].failed = 0;
		workers[i].deadline = start + (uint64_t)(setup->slice_s * 1e9);
	}
	for (; started + 1 < setup->threads; started++)
		if (pthread_create(&threads[started], NULL, work, &workers[started + 1]))
			break;
	work(&workers[0]);
	for (unsigned i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	slice.seconds = (double)(latency_now() - start) / 1e9;
	slice.cpu_s = cpu_seconds() - slice.cpu_s;
	for (unsigned i = 0; i <= started; i++) {
		slice.bytes += workers[i].bytes;
		slice.failed += workers[i].failed;
	}
	slice.gbps = (double)slice.bytes / slice.seconds / 1e9;
	return slice;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(double *values, size_t count, double *iqr)
{
	qsort(values, count, sizeof(*values), ascending);
	if (iqr)
		*iqr = values[count * 3 / 4] - values[count / 4];
	return values[count / 2];
}

static int open_workers(struct bench_setup *setup, struct worker *workers)
{
	for (unsigned i = 0; i < setup->threads; i++) {
		struct worker *w = &workers[i];
		w->setup = setup;
		size_t bytes = setup->buffer_bytes > setup->block_size ? setup->buffer_bytes : setup->block_size;
		w->buffers = aligned_alloc(BUFFER_ALIGN, (bytes + BUFFER_ALIGN - 1) / BUFFER_ALIGN * BUFFER_ALIGN);
		if (!w->buffers)
			return -ENOMEM;
		memset(w->buffers, (int)i + 1, bytes);
		bool put = setup->op == BENCH_PUT;
		int err = bench_raw_open(&w->raw, put ? setup->raw_fd : setup->pool_fd,
					 put ? setup->raw_memory : setup->pool_memory);
		if (err)
			return err;
	}
	return 0;
}

static void close_workers(struct bench_setup *setup, struct worker *workers)
{
	for (unsigned i = 0; i < setup->threads; i++) {
		free(workers[i].buffers);
		bench_raw_close(&workers[i].raw);
	}
}

struct series {
	double gbps[SIDES][256], ratio[256], control[256];
	double cpu_s[SIDES];
	uint64_t bytes[SIDES];
};

/* the three sides in turn, each pair beginning with another */
static void run_pair(struct bench_setup *setup, struct worker *workers, struct series *series, unsigned pair,
		     struct bench_result *result)
{
	for (unsigned turn = 0; turn < SIDES; turn++) {
		enum side side = (enum side)((pair + turn) % SIDES);
		for (unsigned i = 0; i < setup->threads; i++)
			memset(&workers[i].latency, 0, sizeof(workers[i].latency));
		struct slice slice = run_slice(setup, workers, side);
		series->gbps[side][pair] = slice.gbps;
		series->cpu_s[side] += slice.cpu_s;
		series->bytes[side] += slice.bytes;
		result->failed += slice.failed;
		for (unsigned i = 0; i < setup->threads; i++)
			latency_merge(side == SIDE_MEMKV ? &result->us : &result->raw_us, &workers[i].latency);
	}
	series->ratio[pair] = series->gbps[SIDE_MEMKV][pair] / series->gbps[SIDE_RAW][pair];
	series->control[pair] = series->gbps[SIDE_CONTROL][pair] / series->gbps[SIDE_RAW][pair];
}

int bench_compare(struct bench_setup *setup, struct bench_result *result)
{
	struct worker *workers = calloc(setup->threads, sizeof(*workers));
	struct series *series = calloc(1, sizeof(*series));
	int err = workers && series ? open_workers(setup, workers) : -ENOMEM;

	*result = (struct bench_result){
		.op = setup->op, .block_size = setup->block_size, .threads = setup->threads, .pairs = setup->pairs};
	if (!err)
		run_slice(setup, workers, SIDE_MEMKV); /* warm up: not counted */
	for (unsigned pair = 0; !err && pair < setup->pairs; pair++) {
		run_pair(setup, workers, series, pair, result);
		if (interrupt_seen())
			err = -EINTR;
	}
	if (!err) {
		result->gbps = bench_median(series->gbps[SIDE_MEMKV], setup->pairs, NULL);
		result->raw_gbps = bench_median(series->gbps[SIDE_RAW], setup->pairs, NULL);
		result->ratio = bench_median(series->ratio, setup->pairs, &result->ratio_iqr);
		result->control_ratio = bench_median(series->control, setup->pairs, &result->control_iqr);
		result->cpu_s_per_gb = series->cpu_s[SIDE_MEMKV] * 1e9 / (double)series->bytes[SIDE_MEMKV];
		result->raw_cpu_s_per_gb = series->cpu_s[SIDE_RAW] * 1e9 / (double)series->bytes[SIDE_RAW];
	}
	if (workers)
		close_workers(setup, workers);
	free(workers);
	free(series);
	return err;
}
