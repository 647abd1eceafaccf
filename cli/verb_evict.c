/* SPDX-License-Identifier: Apache-2.0 */
/* memkv evict: let blocks go now. */
#include "cli/access.h"
#include "cli/in_time.h"
#include "cli/report.h"
#include "cli/verbs.h"

#include <inttypes.h>

static void print_report(const struct memkv_evict_report *report, bool dry_run)
{
	char size[REPORT_SIZE_TEXT];

	if (report_json()) {
		struct json_object *document = report_document();
		report_add_number(document, "evicted", report->blocks);
		report_add_number(document, "bytes", report->bytes);
		report_add_number(document, "pinned", report->pinned);
		report_add_flag(document, "dry_run", dry_run);
		report_print(document);
		return;
	}
	printf("%s %" PRIu64 " block%s, %s\n", dry_run ? "would evict" : "evicted", report->blocks,
	       report->blocks == 1 ? "" : "s", report_size_text(report->bytes, size));
	if (report->pinned)
		report_note("%" PRIu64 " pinned block%s left alone", report->pinned, report->pinned == 1 ? " was" : "s were");
}

static int64_t call_evict(struct memkv_pool *pool, struct in_time *job)
{
	struct memkv_evict_options options = *(const struct memkv_evict_options *)job->context;

	options.deadline_us = in_time_left(job);
	return memkv_evict(pool, &options, job->buffer);
}

int verb_evict(const struct cli_args *args)
{
	struct memkv_evict_options options = {
		.size = sizeof(options),
		.has_class = args->given[OPT_CLASS],
		.class_id = (uint32_t)args->number[OPT_CLASS],
		.bytes = args->number[OPT_BYTES],
		.older_than_s = args->number[OPT_OLDER_THAN],
		.dry_run = args->given[OPT_DRY_RUN],
	};
	const char *path;

	int rc = access_pool(args, &path);
	if (!rc && !args->given[OPT_CLASS] && !args->given[OPT_BYTES] && !args->given[OPT_OLDER_THAN])
		rc = report_usage(args->verb, "say what: --class, --bytes, --older-than, or several of them");
	if (!rc && !options.bytes && !options.dry_run)
		rc = access_confirm(args, "Evict all blocks that match?");
	if (rc)
		return rc;
	struct in_time job = {.path = path,
			      .flags = options.dry_run ? MEMKV_OPEN_READ_ONLY : MEMKV_OPEN_CLI,
			      .deadline_us = args->number[OPT_DEADLINE],
			      .reads = options.dry_run,
			      .call = call_evict,
			      .context = &options,
			      .room = sizeof(struct memkv_evict_report)};
	rc = in_time_run(&job);
	const struct memkv_evict_report *report = job.buffer;
	if (!rc && job.result < 0) {
		if (report->blocks || report->pinned)
			print_report(report, options.dry_run);
		rc = in_time_report(&job, job.result == MEMKV_TIMEDOUT ? "the medium did not answer by the deadline; nothing was evicted"
								       : "the deadline passed: any of these blocks may be gone, or go");
	} else if (!rc) {
		print_report(report, options.dry_run);
		rc = !options.bytes && report->pinned && !report->blocks ? EXIT_REFUSED : EXIT_DONE;
	}
	in_time_fini(&job);
	return rc;
}
