/* SPDX-License-Identifier: Apache-2.0 */
/* The comparison of bench.h: slices, the threads in them, and the arithmetic. */
#include "cli/bench.h"
#include "cli/bench_raw.h"
#include "cli/interrupt.h"

#include <errno.h>
#include <pthread.h>
#include <xxhash.h>
#ifdef __x86_64__
#include <xxh_x86dispatch.h> /* as the library has it */
#endif
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { BUFFER_ALIGN = 4096, DIGEST_CHUNK = 64 << 10, DIGEST_BUFFERS = 256 << 20 };

struct worker {
	struct bench_setup *setup;
	enum bench_side side;
	uint8_t *buffers;
	size_t bytes_held, turn;
	uint64_t sum; /* of digests, so that they are computed */
	struct bench_raw raw;
	uint64_t deadline, bytes, failed;
	struct latency latency;
};

struct slice {
	double gbps, cpu_s, seconds;
	uint64_t bytes, failed;
};

/* the next of the thread's buffers */
static uint8_t *buffer_of(struct worker *w)
{
	size_t size = w->setup->block_size, count = w->bytes_held / size;

	return w->buffers + w->turn++ % (count ? count : 1) * size;
}

/* what a put or a get costs in digests, and nothing else; the control's other half is a copy */
static bool digest_operation(struct worker *w, bool copy)
{
	const uint8_t *from = buffer_of(w);
	size_t size = w->setup->block_size;

	if (copy)
		memcpy(buffer_of(w), from, size);
	for (size_t at = 0; !copy && at < size; at += DIGEST_CHUNK)
		w->sum += XXH3_64bits(from + at, size - at < DIGEST_CHUNK ? size - at : DIGEST_CHUNK);
	return true;
}

static bool memkv_operation(struct worker *w)
{
	struct bench_setup *s = w->setup;
	struct bench_scratch *scratch = s->scratch;

	if (s->op == BENCH_DIGEST)
		return digest_operation(w, false);
	if (s->op == BENCH_PUT) {
		struct memkv_key key = bench_key(atomic_fetch_add(&s->next_key, 1));
		return memkv_put(scratch->handle, &key, buffer_of(w), s->block_size, NULL) == 0;
	}
	size_t n = (size_t)atomic_fetch_add(&s->cursor, 1) % scratch->extent_count;
	return memkv_get(scratch->handle, &scratch->extents[n].key, buffer_of(w), s->block_size, NULL) ==
	       (int64_t)s->block_size;
}

static bool raw_operation(struct worker *w)
{
	struct bench_setup *s = w->setup;
	struct bench_scratch *scratch = s->scratch;
	uint64_t n = atomic_fetch_add(&s->cursor, 1);

	if (s->op == BENCH_DIGEST)
		return digest_operation(w, true);
	if (s->op == BENCH_PUT)
		return bench_raw_write(&w->raw, buffer_of(w), s->block_size,
				       scratch->raw_at + n * s->block_size %
					       (scratch->raw_bytes / s->block_size * s->block_size)) == 0;
	return bench_raw_read(&w->raw, buffer_of(w), s->block_size, scratch->extents[n % scratch->extent_count].offset) == 0;
}

static void *work(void *argument)
{
	struct worker *w = argument;
	uint64_t now = latency_now();

	while (now < w->deadline) {
		uint64_t start = now;
		bool good = w->side == BENCH_MEMKV ? memkv_operation(w) : raw_operation(w);
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

static struct slice run_slice(struct bench_setup *setup, struct worker *workers, enum bench_side side)
{
	pthread_t threads[BENCH_THREADS_MAX];
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

/* bytes that a thread's operations rotate through: on memory a working set that no cache holds */
static size_t buffer_bytes(const struct bench_setup *setup)
{
	size_t bytes = setup->op == BENCH_DIGEST ? DIGEST_BUFFERS : setup->scratch->memory ? (size_t)1 << 30 : 0;

	if (bytes < setup->block_size)
		bytes = setup->block_size;
	return (bytes + BUFFER_ALIGN - 1) / BUFFER_ALIGN * BUFFER_ALIGN;
}

static int open_workers(struct bench_setup *setup, struct worker *workers)
{
	struct bench_scratch *scratch = setup->scratch;
	bool put = setup->op == BENCH_PUT;

	for (unsigned i = 0; i < setup->threads; i++) {
		struct worker *w = &workers[i];
		w->setup = setup;
		w->bytes_held = buffer_bytes(setup);
		w->buffers = aligned_alloc(BUFFER_ALIGN, w->bytes_held);
		if (!w->buffers)
			return -ENOMEM;
		memset(w->buffers, (int)i + 1, w->bytes_held);
		int err = setup->op == BENCH_DIGEST ? 0
						    : bench_raw_open(&w->raw, put ? scratch->raw_fd : scratch->pool_fd,
								     put ? scratch->raw_memory : scratch->pool_memory);
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

void bench_judge(struct bench_series *series, int times, struct bench_result *r, double *value, double *raw_value)
{
	double ratio[BENCH_PAIRS_MAX + 1], control[BENCH_PAIRS_MAX + 1];

	for (unsigned i = 0; i < r->pairs; i++) {
		double memkv = series->value[BENCH_MEMKV][i], raw = series->value[BENCH_RAW][i];
		double again = series->value[BENCH_CONTROL][i];
		ratio[i] = times ? raw / memkv : memkv / raw;
		control[i] = times ? raw / again : again / raw;
	}
	r->ratio = bench_median(ratio, r->pairs, &r->ratio_iqr);
	r->control_ratio = bench_median(control, r->pairs, &r->control_iqr);
	*value = bench_median(series->value[BENCH_MEMKV], r->pairs, NULL);
	*raw_value = bench_median(series->value[BENCH_RAW], r->pairs, NULL);
}

struct cost {
	double cpu_s[BENCH_SIDES];
	uint64_t bytes[BENCH_SIDES];
};

/* the three sides in turn, each pair beginning with another */
static void run_pair(struct bench_setup *setup, struct worker *workers, struct bench_series *series, unsigned pair,
		     struct cost *cost, struct bench_result *result)
{
	for (unsigned turn = 0; turn < BENCH_SIDES; turn++) {
		enum bench_side side = (enum bench_side)((pair + turn) % BENCH_SIDES);
		for (unsigned i = 0; i < setup->threads; i++)
			memset(&workers[i].latency, 0, sizeof(workers[i].latency));
		struct slice slice = run_slice(setup, workers, side);
		series->value[side][pair] = slice.gbps;
		cost->cpu_s[side] += slice.cpu_s;
		cost->bytes[side] += slice.bytes;
		result->failed += slice.failed;
		for (unsigned i = 0; i < setup->threads; i++)
			latency_merge(side == BENCH_MEMKV ? &result->us : &result->raw_us, &workers[i].latency);
	}
}

int bench_compare(struct bench_setup *setup, struct bench_result *result)
{
	struct worker *workers = calloc(setup->threads, sizeof(*workers));
	struct bench_series *series = calloc(1, sizeof(*series));
	struct cost cost = {0};
	int err = workers && series ? open_workers(setup, workers) : -ENOMEM;

	*result = (struct bench_result){
		.op = setup->op, .block_size = setup->block_size, .threads = setup->threads, .pairs = setup->pairs};
	if (!err)
		run_slice(setup, workers, BENCH_MEMKV); /* warm up: not counted */
	for (unsigned pair = 0; !err && pair < setup->pairs; pair++) {
		run_pair(setup, workers, series, pair, &cost, result);
		if (interrupt_seen())
			err = -EINTR;
	}
	if (!err) {
		bench_judge(series, 0, result, &result->gbps, &result->raw_gbps);
		result->cpu_s_per_gb = cost.cpu_s[BENCH_MEMKV] * 1e9 / (double)cost.bytes[BENCH_MEMKV];
		result->raw_cpu_s_per_gb = cost.cpu_s[BENCH_RAW] * 1e9 / (double)cost.bytes[BENCH_RAW];
	}
	if (workers)
		close_workers(setup, workers);
	free(workers);
	free(series);
	return err;
}
