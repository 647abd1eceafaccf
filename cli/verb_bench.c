/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memkv bench: get and put beside the raw medium, match, and attach, on a scratch pool in the directory of POOL, in
 * $TMPDIR or in /var/tmp.  What is measured and how: bench.h.
 */
#include "cli/access.h"
#include "cli/bench.h"
#include "cli/interrupt.h"
#include "cli/report.h"
#include "cli/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

enum { PAIRS_DEFAULT = 41, MATCH_CHAIN = 1000, MATCH_ROUNDS = 200 };
#define POOL_BYTES (3072 * MIB)
#define GET_BYTES (1024 * MIB)
#define RAW_BYTES (1024 * MIB)
#define SLICE_S 0.25

struct bench_files {
	char directory[4096], pool[4096 + 16], raw[4096 + 16];
	struct memkv_pool *handle;
	int pool_fd, raw_fd;
	bool memory; /* the directory's file system is memory */
	uint8_t *pool_memory, *raw_memory;
	struct bench_extent *extents;
};

/* a file whose every block has been written, so that writing it again allocates nothing */
static int write_raw_file(struct bench_files *f)
{
	size_t piece = 4 * MIB;
	void *bytes = aligned_alloc(4096, piece);
	int err = bytes ? 0 : -ENOMEM;

	f->raw_fd = open(f->raw, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | (f->memory ? 0 : O_DIRECT), 0600);
	if (f->raw_fd < 0)
		err = -errno;
	if (!err)
		memset(bytes, 0x5A, piece);
	for (uint64_t at = 0; !err && at < RAW_BYTES; at += piece)
		if (pwrite(f->raw_fd, bytes, piece, (off_t)at) != (ssize_t)piece)
			err = errno ? -errno : -ENOSPC;
	free(bytes);
	return err;
}

/* fill the pool once over, so that puts meet extents that were written before, and reclaim */
static int fill_pool(struct bench_files *f, uint64_t *next_key)
{
	size_t piece = 2 * MIB;
	void *bytes = aligned_alloc(4096, piece);
	int err = bytes ? 0 : -ENOMEM;

	if (!err)
		memset(bytes, 0xA5, piece);
	for (uint64_t done = 0; !err && done < POOL_BYTES + POOL_BYTES / 8; done += piece) {
		struct memkv_key key = bench_key((*next_key)++);
		err = memkv_put(f->handle, &key, bytes, piece, NULL);
		if (interrupt_seen())
			err = -EINTR;
	}
	free(bytes);
	return err;
}

static int map_one(int fd, size_t bytes, uint8_t **memory)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);

	if (at == MAP_FAILED)
		return -errno;
	*memory = at;
	return 0;
}

static bool is_memory(const char *directory)
{
	struct statfs fs;

	return statfs(directory, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
}

static void pool_close(struct bench_files *f)
{
	memkv_pool_close(f->handle);
	f->handle = NULL;
	if (f->pool_memory)
		munmap(f->pool_memory, POOL_BYTES);
	f->pool_memory = NULL;
	if (f->pool_fd >= 0)
		close(f->pool_fd);
	f->pool_fd = -1;
	unlink(f->pool);
}

/* a new, empty pool: what an earlier row left behind must neither be evicted nor stay instead of what comes */
static int pool_renew(struct bench_files *f)
{
	struct memkv_create_options options = {.size = sizeof(options), .bytes = POOL_BYTES, .max_block = 16 * MIB};

	pool_close(f);
	int err = memkv_pool_create(f->pool, &options);
	if (!err)
		err = memkv_pool_open(f->pool, NULL, &f->handle);
	if (!err)
		f->pool_fd = open(f->pool, O_RDWR | O_CLOEXEC | (f->memory ? 0 : O_DIRECT));
	if (!err && f->pool_fd < 0)
		err = -errno;
	return err || !f->memory ? err : map_one(f->pool_fd, POOL_BYTES, &f->pool_memory);
}

static int files_open(struct bench_files *f, const char *where)
{
	f->pool_fd = f->raw_fd = -1;
	snprintf(f->directory, sizeof(f->directory), "%s/memkv-bench-XXXXXX", where);
	if (!mkdtemp(f->directory)) {
		f->directory[0] = 0;
		return -errno;
	}
	snprintf(f->pool, sizeof(f->pool), "%s/pool", f->directory);
	snprintf(f->raw, sizeof(f->raw), "%s/raw", f->directory);
	f->memory = is_memory(where);
	int err = write_raw_file(f);
	return err || !f->memory ? err : map_one(f->raw_fd, RAW_BYTES, &f->raw_memory);
}

static void files_close(struct bench_files *f)
{
	pool_close(f);
	if (f->raw_memory)
		munmap(f->raw_memory, RAW_BYTES);
	if (f->raw_fd >= 0)
		close(f->raw_fd);
	unlink(f->raw);
	if (f->directory[0])
		rmdir(f->directory);
	free(f->extents);
}

/* blocks of one size for get, and where they lie */
static int store_extents(struct bench_files *f, struct bench_setup *setup)
{
	size_t count = (size_t)(GET_BYTES / setup->block_size), size = setup->block_size;
	uint8_t *bytes = aligned_alloc(4096, size);
	struct memkv_block_info *info = malloc(sizeof(*info));
	int err = bytes && info ? 0 : -ENOMEM;

	free(f->extents);
	f->extents = calloc(count, sizeof(*f->extents));
	if (!f->extents)
		err = -ENOMEM;
	for (size_t i = 0; !err && i < count; i++) {
		struct bench_extent *e = &f->extents[i];
		e->key = bench_key(atomic_fetch_add(&setup->next_key, 1));
		memset(bytes, (int)i, size);
		err = memkv_put(f->handle, &e->key, bytes, size, NULL);
		if (!err)
			err = memkv_stat(f->handle, &e->key, info);
		if (!err)
			e->offset = (info->page + 1) * 4096; /* behind a header of one page */
	}
	free(bytes);
	free(info);
	setup->extents = f->extents;
	setup->extent_count = count;
	return err;
}

static void print_row(const struct bench_result *r, struct json_object *rows)
{
	const char *op = r->op == BENCH_GET ? "get" : "put";
	char size[REPORT_SIZE_TEXT];

	if (!rows) {
		printf("%-4s %11s x%-3u %7.3f %7.3f   %5.3f (%5.3f)  %5.3f (%5.3f)  %8.1f %8.1f  %8.1f %8.1f  %6.3f %6.3f\n", op,
		       report_size_text(r->block_size, size), r->threads, r->gbps, r->raw_gbps, r->ratio, r->ratio_iqr,
		       r->control_ratio, r->control_iqr, latency_percentile_us(&r->us, 50),
		       latency_percentile_us(&r->us, 99), latency_percentile_us(&r->raw_us, 50),
		       latency_percentile_us(&r->raw_us, 99), r->cpu_s_per_gb, r->raw_cpu_s_per_gb);
		fflush(stdout);
		return;
	}
	struct json_object *row = json_object_new_object();
	json_object_object_add(row, "op", json_object_new_string(op));
	report_add_number(row, "block_size", r->block_size);
	report_add_number(row, "threads", r->threads);
	report_add_number(row, "pairs", r->pairs);
	report_add_real(row, "gbps", r->gbps);
	report_add_real(row, "raw_gbps", r->raw_gbps);
	report_add_real(row, "ratio", r->ratio);
	report_add_real(row, "ratio_iqr", r->ratio_iqr);
	report_add_real(row, "control_ratio", r->control_ratio);
	report_add_real(row, "control_iqr", r->control_iqr);
	report_add_real(row, "us_p50", latency_percentile_us(&r->us, 50));
	report_add_real(row, "us_p99", latency_percentile_us(&r->us, 99));
	report_add_real(row, "raw_us_p50", latency_percentile_us(&r->raw_us, 50));
	report_add_real(row, "raw_us_p99", latency_percentile_us(&r->raw_us, 99));
	report_add_real(row, "cpu_s_per_gb", r->cpu_s_per_gb);
	report_add_real(row, "raw_cpu_s_per_gb", r->raw_cpu_s_per_gb);
	json_object_array_add(rows, row);
}

/* what the rows of one operation and size share */
static int prepare(struct bench_files *f, struct bench_setup *setup)
{
	uint64_t next_key = atomic_load(&setup->next_key);
	int err = pool_renew(f);

	setup->pool = f->handle;
	setup->pool_fd = f->pool_fd;
	setup->pool_memory = f->pool_memory;
	if (!err && setup->op == BENCH_GET)
		return store_extents(f, setup);
	if (!err)
		err = fill_pool(f, &next_key);
	atomic_store(&setup->next_key, next_key);
	return err;
}

static int compare_one(struct bench_setup *setup, struct json_object *rows)
{
	struct bench_result result;
	int err = bench_compare(setup, &result);

	if (!err && result.failed)
		return report_failed(-EIO, "%" PRIu64 " operations of the benchmark failed", result.failed);
	if (!err)
		print_row(&result, rows);
	return err;
}

static int compare_all(const struct cli_args *args, struct bench_files *f, struct json_object *rows)
{
	static const size_t sizes[] = {64 << 10, 2 << 20, 16 << 20};
	static const unsigned threads[] = {1, 4};
	struct bench_setup setup = {
		.slice_s = SLICE_S,
		.pairs = args->given[OPT_PAIRS] ? (unsigned)args->number[OPT_PAIRS] : PAIRS_DEFAULT,
		.raw_fd = f->raw_fd,
		.raw_bytes = RAW_BYTES,
		.raw_memory = f->raw_memory,
		.buffer_bytes = f->memory ? 1024 * MIB : 0,
		.next_key = 1,
	};
	int err = 0;

	if (!rows)
		printf("op    block size      GB/s     raw   ratio   (iqr)  control (iqr)       p50      p99   raw p50      p99   "
		       "CPU s/GB    raw\n");
	for (size_t row = 0; !err && row < 6; row++) {
		setup.op = row < 3 ? BENCH_GET : BENCH_PUT;
		setup.block_size = sizes[row % 3];
		err = prepare(f, &setup);
		for (size_t t = 0; !err && t < 2; t++) {
			setup.threads = threads[t];
			err = compare_one(&setup, rows);
		}
	}
	return err;
}

int verb_bench(const struct cli_args *args)
{
	struct bench_files files = {.pool_fd = -1, .raw_fd = -1};
	const char *where = args->words ? args->word[0].text : getenv("TMPDIR");

	if (args->words > 1)
		return report_usage(args->verb, "one directory at most");
	if (args->given[OPT_PAIRS] && (args->number[OPT_PAIRS] < 3 || args->number[OPT_PAIRS] > 255))
		return report_usage(args->verb, "--pairs takes 3 to 255");
	interrupt_defer();
	struct json_object *document = report_json() ? report_document() : NULL;
	struct json_object *rows = document ? json_object_new_array() : NULL;
	int err = files_open(&files, where && *where ? where : "/var/tmp");
	if (!err)
		err = compare_all(args, &files, rows);
	files_close(&files);
	if (document)
		json_object_object_add(document, "results", rows);
	if (document && !err)
		report_print(document);
	else if (document)
		json_object_put(document);
	if (err < 0)
		return err == -EINTR ? report_failed(-EINTR, "interrupted") : report_library(err, "bench");
	return err;
}
