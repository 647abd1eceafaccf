/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memkv pool check.
 *
 * Pace: while others have the pool open the check rests between blocks, so that most of the medium's time is theirs;
 * --max-rate sets a limit instead.  A repair has the pool for itself.
 */
#include "cli/access.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/verbs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define REST_PERCENT 75 /* see OPERATION.md for what it costs those who use the pool */

static void on_bad_block(void *context, const struct memkv_key *key, uint64_t page, const char *why)
{
	char hex[MEMKV_KEY_HEX];
	struct json_object *list = context, *one;

	progress_end();
	memkv_key_to_hex(key, hex);
	report_note("bad block %s at page %" PRIu64 ": %s", hex, page, why);
	if (!list)
		return;
	one = json_object_new_object();
	report_add_key(one, "key", key);
	report_add_number(one, "page", page);
	report_add_text(one, "why", why);
	json_object_array_add(list, one);
}

/* The library hands one context to both callbacks. */
static int on_progress(void *context, uint64_t done, uint64_t total)
{
	(void)context;
	return progress_step((void *)"checked segment", done, total);
}

/* namespaces that are lost: what lies there was not read */
static uint64_t count_lost(struct memkv_pool *pool)
{
	struct memkv_namespace list[MEMKV_NAMESPACES_MAX];
	int64_t count = memkv_pool_namespaces(pool, list, MEMKV_NAMESPACES_MAX);
	uint64_t lost = 0;

	for (int64_t i = 0; i < count; i++)
		lost += list[i].state == MEMKV_NAMESPACE_LOST;
	return lost;
}

static void print_check(const struct memkv_check_report *found, bool repair, uint64_t lost, struct json_object *bad_blocks)
{
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
		json_object_object_add(document, "bad_blocks", json_object_get(bad_blocks));
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

static void choose_pace(const struct cli_args *args, struct memkv_pool *pool, struct memkv_check_options *options)
{
	struct memkv_pool_info info;

	options->max_rate = args->number[OPT_MAX_RATE];
	if (!options->repair && !args->given[OPT_MAX_RATE] && !memkv_pool_describe(pool, &info) && info.slots_live)
		options->pause_percent = REST_PERCENT;
}

static int check_pool(const struct cli_args *args, const char *path, struct memkv_pool *pool,
		      struct json_object *bad_blocks)
{
	struct memkv_check_options options = {
		.size = sizeof(options),
		.meta_only = args->given[OPT_META_ONLY],
		.repair = args->given[OPT_REPAIR] && !args->given[OPT_DRY_RUN],
		.sample_percent = (double)args->number[OPT_SAMPLE] / CLI_PERCENT,
		.bad_block = on_bad_block,
		.progress = on_progress,
		.context = bad_blocks,
	};
	struct memkv_check_report found;

	choose_pace(args, pool, &options);
	interrupt_defer();
	int rc = memkv_pool_check(pool, &options, &found);
	progress_end();
	if (rc == -ECANCELED)
		return report_failed(rc, "%s: interrupted after %" PRIu64 " blocks, of which %" PRIu64 " are bad", path,
				     found.blocks, found.bad);
	if (rc < 0)
		return report_library(rc, path);
	print_check(&found, options.repair, count_lost(pool), bad_blocks);
	if (options.repair)
		return found.left ? EXIT_DAMAGE : EXIT_DONE;
	return found.bad || found.records_bad ? EXIT_DAMAGE : EXIT_DONE;
}

int verb_pool_check(const struct cli_args *args)
{
	struct memkv_pool *pool;
	const char *path;

	bool repair = args->given[OPT_REPAIR] && !args->given[OPT_DRY_RUN];

	int rc = access_pool(args, &path);
	if (!rc && repair && (args->given[OPT_META_ONLY] || args->given[OPT_SAMPLE]))
		rc = report_usage(args->verb, "--repair reads everything: leave out --sample and --meta-only");
	if (!rc && repair)
		rc = access_confirm(args, "Repair %s, and remove the blocks that cannot be read back?", path);
	if (!rc)
		rc = access_open(path, repair ? ACCESS_WRITE : ACCESS_READ, &pool);
	if (rc)
		return rc;
	struct json_object *bad_blocks = report_json() ? json_object_new_array() : NULL;
	rc = check_pool(args, path, pool, bad_blocks);
	json_object_put(bad_blocks);
	memkv_pool_close(pool);
	return rc;
}
