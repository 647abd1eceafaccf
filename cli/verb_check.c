/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memkv pool check.
 *
 * Pace: while others have the pool open the check rests between blocks, so that most of the medium's time is theirs;
 * --max-rate sets a limit instead.  A repair has the pool for itself.
 *
 * With a deadline the check is a child's (in_time.h), which says nothing itself: bad blocks are told of when it is over, and there is
 * no progress to be seen.
 */
#include "cli/access.h"
#include "cli/in_time.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/verbs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define REST_PERCENT 75 /* see OPERATION.md for what it costs those who use the pool */

/**
 * struct bad_block - one that the check found
 * @why: a static string, or a copy's.
 */
struct bad_block {
	struct memkv_key key;
	uint64_t page;
	char why[64];
};

/**
 * struct checked - what came of it
 * @lost: namespaces that are lost: what lies there was not read.
 */
struct checked {
	struct memkv_check_report found;
	uint64_t lost;
};

static void say_bad_block(const struct bad_block *bad)
{
	char hex[MEMKV_KEY_HEX];

	progress_end();
	memkv_key_to_hex(&bad->key, hex);
	report_note("bad block %s at page %" PRIu64 ": %s", hex, bad->page, bad->why);
}

static void on_bad_block(void *context, const struct memkv_key *key, uint64_t page, const char *why)
{
	struct in_time *job = context;
	struct bad_block bad = {.key = *key, .page = page};

	snprintf(bad.why, sizeof(bad.why), "%s", why);
	if (job->alone)
		say_bad_block(&bad);
	(void)in_time_add(job, &bad, sizeof(bad)); /* without memory for it, it is counted all the same */
}

/* The library hands one context to both callbacks. */
static int on_progress(void *context, uint64_t done, uint64_t total)
{
	const struct in_time *job = context;

	return job->alone ? progress_step((void *)"checked segment", done, total) : 0;
}

static uint64_t count_lost(struct memkv_pool *pool, struct in_time *job)
{
	struct memkv_namespace list[MEMKV_NAMESPACES_MAX];
	int64_t count = memkv_pool_namespaces_by(pool, list, MEMKV_NAMESPACES_MAX, in_time_left(job));
	uint64_t lost = 0;

	for (int64_t i = 0; i < count; i++)
		lost += list[i].state == MEMKV_NAMESPACE_LOST;
	return lost;
}

static struct json_object *bad_blocks_json(const struct bad_block *bad, size_t count)
{
	struct json_object *list = json_object_new_array(), *one;

	for (size_t i = 0; i < count; i++) {
		one = json_object_new_object();
		report_add_key(one, "key", &bad[i].key);
		report_add_number(one, "page", bad[i].page);
		report_add_text(one, "why", bad[i].why);
		json_object_array_add(list, one);
	}
	return list;
}

static void print_check(const struct in_time *job, bool repair)
{
	const struct memkv_check_report *found = &((const struct checked *)job->buffer)->found;
	uint64_t lost = ((const struct checked *)job->buffer)->lost;
	char size[REPORT_SIZE_TEXT];

	if (report_json()) {
		struct json_object *document = report_document();
		report_add_number(document, "blocks", found->blocks);
		report_add_number(document, "bytes", found->bytes);
		report_add_number(document, "bad", found->bad);
		report_add_number(document, "records_bad", found->records_bad);
		report_add_number(document, "records_mended", found->records_mended);
		report_add_number(document, "gone", found->gone);
		report_add_number(document, "skipped", found->skipped);
		report_add_number(document, "namespaces_lost", lost);
		if (repair) {
			report_add_number(document, "repaired", found->repaired);
			report_add_number(document, "removed", found->removed);
			report_add_number(document, "left", found->left);
		}
		json_object_object_add(document, "bad_blocks",
				       bad_blocks_json(job->added, job->added_bytes / sizeof(struct bad_block)));
		report_print(document);
		return;
	}
	printf("blocks          %" PRIu64 " (%s)\n", found->blocks, report_size_text(found->bytes, size));
	printf("bad             %" PRIu64 "\n", found->bad);
	printf("records bad     %" PRIu64 "\n", found->records_bad);
	printf("records mended  %" PRIu64 "\n", found->records_mended);
	printf("gone            %" PRIu64 "\n", found->gone);
	if (found->skipped)
		printf("not in sample   %" PRIu64 "\n", found->skipped);
	if (lost)
		printf("not looked at   %" PRIu64 " namespace%s, lost\n", lost, lost == 1 ? "" : "s");
	if (repair)
		printf("repaired        %" PRIu64 "\nremoved         %" PRIu64 "\nleft            %" PRIu64 "\n", found->repaired,
		       found->removed, found->left);
}

static bool is_repair(const struct cli_args *args) { return args->given[OPT_REPAIR] && !args->given[OPT_DRY_RUN]; }

static void choose_pace(const struct cli_args *args, struct memkv_pool *pool, struct memkv_check_options *options)
{
	struct memkv_pool_info info;

	options->max_rate = args->number[OPT_MAX_RATE];
	if (!options->repair && !args->given[OPT_MAX_RATE] && !memkv_pool_describe_by(pool, &info, options->deadline_us) &&
	    info.slots_live)
		options->pause_percent = REST_PERCENT;
}

static int64_t call_check(struct memkv_pool *pool, struct in_time *job)
{
	const struct cli_args *args = job->context;
	struct checked *checked = job->buffer;
	struct memkv_check_options options = {
		.size = sizeof(options),
		.meta_only = args->given[OPT_META_ONLY],
		.repair = is_repair(args),
		.sample_percent = (double)args->number[OPT_SAMPLE] / CLI_PERCENT,
		.bad_block = on_bad_block,
		.progress = on_progress,
		.context = job,
		.deadline_us = in_time_left(job),
	};

	choose_pace(args, pool, &options);
	if (job->alone)
		interrupt_defer();
	options.deadline_us = in_time_left(job);
	int err = memkv_pool_check(pool, &options, &checked->found);
	if (job->alone)
		progress_end();
	if (!err)
		checked->lost = count_lost(pool, job);
	return err;
}

/* it did not come to its end */
static int report_stopped(const struct in_time *job)
{
	const struct memkv_check_report *found = &((const struct checked *)job->buffer)->found;
	bool late = job->result == MEMKV_TIMEDOUT || (job->result == MEMKV_UNKNOWN && !job->detail[0]);

	if (job->result != -ECANCELED && !late)
		return in_time_report(job, "");
	return report_failed((int)job->result, "%s: %s after %" PRIu64 " blocks, of which %" PRIu64 " are bad%s", job->path,
			     late ? "the deadline passed" : "interrupted", found->blocks, found->bad,
			     job->result == MEMKV_UNKNOWN ? "; one more piece may be repaired, or not" : "");
}

static int check_pool(const struct cli_args *args, const char *path)
{
	struct in_time job = {.path = path,
			      .flags = is_repair(args) ? MEMKV_OPEN_CLI : MEMKV_OPEN_READ_ONLY,
			      .deadline_us = args->number[OPT_DEADLINE],
			      .reads = !is_repair(args),
			      .call = call_check,
			      .context = args,
			      .room = sizeof(struct checked)};
	int rc = in_time_run(&job);

	if (rc)
		return rc;
	const struct memkv_check_report *found = &((const struct checked *)job.buffer)->found;
	const struct bad_block *bad = job.added;
	for (size_t i = 0; !job.alone && i < job.added_bytes / sizeof(*bad); i++)
		say_bad_block(&bad[i]);
	if (job.result < 0) {
		rc = report_stopped(&job);
	} else {
		print_check(&job, is_repair(args));
		bool damage = is_repair(args) ? found->left > 0 : found->bad || found->records_bad;
		rc = damage ? EXIT_DAMAGE : EXIT_DONE;
	}
	in_time_fini(&job);
	return rc;
}

int verb_pool_check(const struct cli_args *args)
{
	const char *path;

	int rc = access_pool(args, &path);
	if (!rc && is_repair(args) && (args->given[OPT_META_ONLY] || args->given[OPT_SAMPLE]))
		rc = report_usage(args->verb, "--repair reads everything: leave out --sample and --meta-only");
	if (!rc && is_repair(args))
		rc = access_confirm(args, "Repair %s, and remove the blocks that cannot be read back?", path);
	return rc ? rc : check_pool(args, path);
}
