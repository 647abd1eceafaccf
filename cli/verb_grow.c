/* SPDX-License-Identifier: Apache-2.0 */
/* memkv pool grow, drain, remove. */
#include "cli/access.h"
#include "cli/address.h"
#include "cli/interrupt.h"
#include "cli/pool_text.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/verbs.h"

#include <inttypes.h>
#include <limits.h>
#include <memkv/namespace.h>
#include <stdio.h>

/* POOL and NAMESPACE, as they stand */
static int two_words(const struct cli_args *args, const char **pool, const char **name)
{
	static char kept[PATH_MAX];

	if (args->words < 1)
		return report_usage(args->verb, "POOL is missing");
	if (args->words < 2)
		return report_usage(args->verb, "NAMESPACE is missing");
	if (args->words > 2)
		return report_usage(args->verb, "'%s' is one word too many", args->word[2].text);
	*name = args->word[1].text;
	int rc = address_resolve(args->verb, args->word[0].text, pool);
	snprintf(kept, sizeof(kept), "%s", rc ? "" : *pool); /* it stays until the next place is looked for */
	*pool = kept;
	return rc;
}

static int report_grown(const char *pool, const char *name, int number, bool dry_run)
{
	if (report_json()) {
		struct json_object *document = report_document();
		report_add_flag(document, "grown", !dry_run);
		report_add_flag(document, "dry_run", dry_run);
		report_add_text(document, "path", pool);
		report_add_text(document, "namespace", name);
		report_add_number(document, "number", (uint64_t)number);
		report_print(document);
		return EXIT_DONE;
	}
	report_safe_text(stdout, name);
	printf(dry_run ? " would be namespace %d of " : " is namespace %d of ", number);
	report_safe_text(stdout, pool);
	putchar('\n');
	return EXIT_DONE;
}

int verb_pool_grow(const struct cli_args *args)
{
	const char *pool, *name;
	int rc = two_words(args, &pool, &name);

	if (!rc)
		rc = address_place(args->verb, name, &name);
	struct memkv_grow_options options = {
		.size = sizeof(options),
		.flags = args->given[OPT_FORCE] ? MEMKV_CREATE_FORCE : 0u,
		.dry_run = args->given[OPT_DRY_RUN],
		.bytes = args->number[OPT_SIZE],
		.progress = progress_step,
		.context = (void *)"written bytes",
	};
	if (!rc && args->given[OPT_FORCE] && !options.dry_run)
		rc = access_confirm(args, "Format over %s, whatever it holds?", name);
	if (rc)
		return rc;
	interrupt_defer();
	rc = memkv_pool_grow(pool, name, &options);
	progress_end();
	if (rc < 0)
		return report_library(rc, name);
	return report_grown(pool, name, rc, options.dry_run);
}

/* ---- drain -------------------------------------------------------------------------------------------------- */

static int report_drained(const char *pool, const char *name, const struct memkv_drain_report *r, bool undone)
{
	char size[REPORT_SIZE_TEXT];

	if (report_json()) {
		struct json_object *document = report_document();
		report_add_text(document, "path", pool);
		report_add_text(document, "namespace", name);
		report_add_flag(document, "undone", undone);
		report_add_number(document, "segments", r->segments);
		report_add_number(document, "blocks", r->blocks);
		report_add_number(document, "bytes", r->bytes);
		report_add_number(document, "evicted", r->evicted);
		report_print(document);
		return EXIT_DONE;
	}
	report_safe_text(stdout, name);
	if (undone)
		puts(" may be used again");
	else
		printf(" is empty: %" PRIu64 " blocks moved (%s), %" PRIu64 " evicted\n", r->blocks, report_size_text(r->bytes, size),
		       r->evicted);
	return EXIT_DONE;
}

int verb_pool_drain(const struct cli_args *args)
{
	struct memkv_drain_report done = {0};
	struct memkv_pool *pool;
	const char *path, *name;
	int rc = two_words(args, &path, &name);

	if (!rc && args->given[OPT_EVICT])
		rc = access_confirm(args, "Let blocks of %s go that find no room elsewhere?", name);
	if (!rc)
		rc = access_open(path, ACCESS_WRITE, &pool);
	if (rc)
		return rc;
	struct memkv_drain_options options = {
		.size = sizeof(options),
		.flags = (args->given[OPT_EVICT] ? MEMKV_DRAIN_EVICT : 0u) | (args->given[OPT_UNDO] ? MEMKV_DRAIN_UNDO : 0u),
		.progress = progress_step,
		.context = (void *)"segments",
	};
	int number = memkv_pool_namespace_of(pool, name);
	interrupt_defer();
	rc = number < 0 ? number : memkv_pool_drain(pool, (uint32_t)number, &options, &done);
	progress_end();
	if (rc < 0)
		rc = report_library(rc, path);
	else
		rc = report_drained(path, name, &done, args->given[OPT_UNDO]);
	memkv_pool_close(pool);
	return rc;
}

/* ---- remove ------------------------------------------------------------------------------------------------- */

int verb_pool_remove(const struct cli_args *args)
{
	bool dry_run = args->given[OPT_DRY_RUN];
	uint32_t flags = (args->given[OPT_LOST] ? MEMKV_SHRINK_LOST : 0u) | (args->given[OPT_UNPIN] ? MEMKV_SHRINK_UNPIN : 0u);
	const char *path, *name;
	int rc = two_words(args, &path, &name);

	int plan = rc ? 0 : memkv_pool_shrink(path, name, flags | MEMKV_SHRINK_DRY_RUN);
	if (plan < 0)
		return report_library(plan, path);
	if (!rc && !dry_run)
		rc = access_confirm(args, "Take %s out of the pool?", name);
	if (rc)
		return rc;
	rc = dry_run ? 0 : memkv_pool_shrink(path, name, flags);
	if (rc < 0)
		return report_library(rc, path);
	if (report_json()) {
		struct json_object *document = report_document();
		report_add_flag(document, "removed", !dry_run);
		report_add_flag(document, "dry_run", dry_run);
		report_add_text(document, "path", path);
		report_add_text(document, "namespace", name);
		report_print(document);
	} else {
		report_safe_text(stdout, name);
		printf(dry_run ? " would be taken out of " : " is no part of ");
		report_safe_text(stdout, path);
		puts(dry_run ? "" : " any more");
	}
	return EXIT_DONE;
}
