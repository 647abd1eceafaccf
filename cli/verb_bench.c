/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memkv bench: memkv beside the raw medium, on a scratch pool in a directory (default $TMPDIR or /var/tmp) or on a block
 * device that is given up for it.  What is measured and how: bench.h.
 */
#include "cli/access.h"
#include "cli/bench.h"
#include "cli/interrupt.h"
#include "cli/report.h"
#include "cli/verbs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PAIRS_DEFAULT = 41, BLOCKS_DEFAULT = 50000 };
#define SLICE_S 0.25

static const char *const names[BENCH_OPS] = {"get", "put", "digest", "match", "attach", "visibility", "memory",
					       "full", "flood", "amplify", "amplify_pinned"};

const char *bench_op_name(enum bench_op op)
{
	return names[op];
}

static void print_transfer(const struct bench_result *r)
{
	char size[REPORT_SIZE_TEXT];

	printf("%-7s %11s x%-3u %7.3f %7.3f   %5.3f (%5.3f)  %5.3f (%5.3f)  %8.1f %8.1f  %8.1f %8.1f  %6.3f %6.3f\n", names[r->op],
	       report_size_text(r->block_size, size), r->threads, r->gbps, r->raw_gbps, r->ratio, r->ratio_iqr, r->control_ratio,
	       r->control_iqr, latency_percentile_us(&r->us, 50), latency_percentile_us(&r->us, 99),
	       latency_percentile_us(&r->raw_us, 50), latency_percentile_us(&r->raw_us, 99), r->cpu_s_per_gb,
	       r->raw_cpu_s_per_gb);
}

static void print_look(const struct bench_result *r)
{
	printf("%-10s %10.2f %s, raw %.2f: ratio %5.3f (%5.3f), control %5.3f (%5.3f); p50 %.1f p99 %.1f us, raw %.1f %.1f\n",
	       names[r->op], r->value, r->unit, r->raw_value, r->ratio, r->ratio_iqr, r->control_ratio, r->control_iqr,
	       latency_percentile_us(&r->us, 50), latency_percentile_us(&r->us, 99), latency_percentile_us(&r->raw_us, 50),
	       latency_percentile_us(&r->raw_us, 99));
	if (r->op == BENCH_FLOOD)
		printf("%-10s %10.1f times the pool was written, in %u pairs\n", "", r->times, r->pairs);
	if (r->op >= BENCH_AMPLIFY)
		printf("%-10s %10.2f of it moved\n", "", r->moved);
}

static struct json_object *row_json(const struct bench_result *r)
{
	struct json_object *row = json_object_new_object();

	report_add_text(row, "op", names[r->op]);
	report_add_number(row, "block_size", r->block_size);
	report_add_number(row, "threads", r->threads);
	report_add_number(row, "pairs", r->pairs);
	report_add_real(row, "gbps", r->gbps);
	report_add_real(row, "raw_gbps", r->raw_gbps);
	if (r->unit) {
		report_add_text(row, "unit", r->unit);
		report_add_real(row, "value", r->value);
		report_add_real(row, "raw_value", r->raw_value);
	}
	if (r->op == BENCH_FLOOD)
		report_add_real(row, "times", r->times);
	if (r->op >= BENCH_AMPLIFY) {
		report_add_real(row, "moved", r->moved);
	}
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
	return row;
}

static void print_row(const struct bench_result *r, struct json_object *rows)
{
	if (rows)
		json_object_array_add(rows, row_json(r));
	else if (r->unit)
		print_look(r);
	else
		print_transfer(r);
	fflush(stdout);
}

static int one_row(struct bench_setup *setup, struct json_object *rows)
{
	struct bench_result *result = malloc(sizeof(*result));
	int err = result ? 0 : -ENOMEM;

	if (!err)
		err = setup->op >= BENCH_FULL	 ? bench_full(setup, result)
		      : setup->op >= BENCH_MATCH ? bench_look(setup, result)
						 : bench_compare(setup, result);
	if (!err && result->failed)
		err = report_failed(-EIO, "%" PRIu64 " operations of the benchmark failed", result->failed);
	else if (!err)
		print_row(result, rows);
	free(result);
	return err;
}

/* what the rows of one operation and size share */
static int prepare(struct bench_setup *setup)
{
	uint64_t next_key = atomic_load(&setup->next_key);
	int err = setup->op == BENCH_DIGEST ? 0 : bench_scratch_renew(setup->scratch, BENCH_LARGEST);

	if (!err && setup->op == BENCH_GET)
		err = bench_scratch_store(setup->scratch, setup->block_size, &next_key);
	else if (!err && setup->op == BENCH_PUT)
		err = bench_scratch_fill(setup->scratch, &next_key);
	atomic_store(&setup->next_key, next_key);
	return err;
}

struct wish {
	bool op[BENCH_OPS];
	uint64_t block_size; /* 0: the usual three */
	unsigned threads;    /* 0: 1, 4 and 16 */
};

static int transfers(struct bench_setup *setup, const struct wish *wish, struct json_object *rows)
{
	static const size_t sizes[] = {64 << 10, 2 << 20, 16 << 20};
	static const unsigned threads[] = {1, 4, 16};
	int err = 0;

	if (!rows && (wish->op[BENCH_GET] || wish->op[BENCH_PUT] || wish->op[BENCH_DIGEST]))
		printf("op       block size      GB/s     raw   ratio   (iqr)  control (iqr)       p50      p99   raw p50      p99   "
		       "CPU s/GB    raw\n");
	for (int op = BENCH_GET; !err && op <= BENCH_DIGEST; op++)
		for (size_t s = 0; !err && wish->op[op] && s < (wish->block_size || op == BENCH_DIGEST ? 1 : 3); s++) {
			setup->op = (enum bench_op)op;
			setup->block_size = wish->block_size ? wish->block_size : op == BENCH_DIGEST ? sizes[1] : sizes[s];
			err = prepare(setup);
			for (size_t t = 0; !err && t < (wish->threads || op == BENCH_DIGEST ? 1 : 3); t++) {
				setup->threads = wish->threads ? wish->threads : threads[t];
				err = one_row(setup, rows);
			}
		}
	return err;
}

static int looks(struct bench_setup *setup, const struct wish *wish, struct json_object *rows)
{
	int err = 0;
	bool filled = false;

	for (int op = BENCH_MATCH; !err && op <= BENCH_MEMORY; op++) {
		if (!wish->op[op])
			continue;
		setup->op = (enum bench_op)op;
		if (!filled)
			err = bench_fill_small(setup);
		filled = true;
		if (!err)
			err = one_row(setup, rows);
	}
	return err;
}

static int full_pools(struct bench_setup *setup, const struct wish *wish, struct json_object *rows)
{
	int err = 0;

	setup->block_size = wish->block_size ? wish->block_size : 2 << 20;
	for (int op = BENCH_FULL; !err && op < BENCH_OPS; op++)
		if (wish->op[op] && op >= BENCH_AMPLIFY && setup->scratch->memory) {
			report_note("%s: skipped: the kernel does not count what is written to memory", names[op]);
		} else if (wish->op[op]) {
			setup->op = (enum bench_op)op;
			err = one_row(setup, rows);
		}
	return err;
}

/* --only get,match: which operations */
static int parse_only(const struct cli_args *args, struct wish *wish)
{
	const char *at = args->text[OPT_ONLY];

	for (int op = 0; op < BENCH_OPS; op++)
		wish->op[op] = !at;
	while (at && *at) {
		size_t length = strcspn(at, ",");
		int op = 0;
		while (op < BENCH_OPS && (strlen(names[op]) != length || memcmp(names[op], at, length) != 0))
			op++;
		if (op == BENCH_OPS)
			return report_usage(args->verb,
					    "--only: '%.*s' is none of get, put, digest, match, attach, visibility, memory, "
					    "full, flood, amplify, amplify_pinned",
					    (int)length, at);
		wish->op[op] = true;
		at += length + (at[length] == ',');
	}
	return 0;
}

static int parse(const struct cli_args *args, struct bench_setup *setup, struct wish *wish)
{
	if (args->words > 1)
		return report_usage(args->verb, "one directory or device at most");
	if (args->given[OPT_PAIRS] && (args->number[OPT_PAIRS] < 3 || args->number[OPT_PAIRS] > BENCH_PAIRS_MAX))
		return report_usage(args->verb, "--pairs takes 3 to %d", BENCH_PAIRS_MAX);
	if (args->given[OPT_BLOCK_SIZE] && (args->number[OPT_BLOCK_SIZE] % 4096 || args->number[OPT_BLOCK_SIZE] > 16 << 20))
		return report_usage(args->verb, "--block-size takes multiples of 4096 up to 16M here");
	if (args->given[OPT_BLOCKS] && (args->number[OPT_BLOCKS] < 1000 || args->number[OPT_BLOCKS] > 200000))
		return report_usage(args->verb, "--blocks takes 1000 to 200000 here");
	setup->pairs = args->given[OPT_PAIRS] ? (unsigned)args->number[OPT_PAIRS] : PAIRS_DEFAULT;
	setup->blocks = args->given[OPT_BLOCKS] ? args->number[OPT_BLOCKS] : BLOCKS_DEFAULT;
	wish->block_size = args->given[OPT_BLOCK_SIZE] ? args->number[OPT_BLOCK_SIZE] : 0;
	wish->threads = args->given[OPT_THREADS] ? (unsigned)args->number[OPT_THREADS] : 0;
	return parse_only(args, wish);
}

/* a device loses what it holds: that is asked for, never assumed */
static int may_use(const struct cli_args *args, const char *where)
{
	struct stat st;

	if (stat(where, &st))
		return report_failed(-errno, "%s: %s", where, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return 0;
	if (!S_ISBLK(st.st_mode))
		return report_usage(args->verb, "'%s' is neither a directory nor a block device", where);
	if (!args->given[OPT_YES])
		return report_failed(-EPERM, "%s: bench overwrites the first 4 GiB of a device; say --yes to give it up", where);
	return 0;
}

int verb_bench(const struct cli_args *args)
{
	struct bench_scratch scratch = {.pool_fd = -1, .raw_fd = -1};
	struct bench_setup setup = {.slice_s = SLICE_S, .scratch = &scratch, .next_key = 1};
	struct wish wish;
	const char *where = args->words ? args->word[0].text : getenv("TMPDIR");
	bool incoherent = args->given[OPT_COHERENT] && !args->number[OPT_COHERENT];
	int err = parse(args, &setup, &wish);

	where = where && *where ? where : "/var/tmp";
	err = err ? err : may_use(args, where);
	if (err)
		return err;
	interrupt_defer();
	struct json_object *document = report_json() ? report_document() : NULL;
	struct json_object *rows = document ? json_object_new_array() : NULL;
	err = bench_scratch_open(&scratch, where, incoherent ? MEMKV_CREATE_INCOHERENT : 0);
	if (!err)
		err = transfers(&setup, &wish, rows);
	if (!err)
		err = looks(&setup, &wish, rows);
	if (!err)
		err = full_pools(&setup, &wish, rows);
	bench_scratch_close(&scratch);
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
