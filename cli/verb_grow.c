/* SPDX-License-Identifier: Apache-2.0 */
/* memkv pool grow. */
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
