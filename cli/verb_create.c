/* SPDX-License-Identifier: Apache-2.0 */
/* memkv pool create. */
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
#include <string.h>

static int check_create_args(const struct cli_args *args, const char *path)
{
	if (!strncmp(path, "name:", 5) || !strncmp(path, "uuid:", 5))
		return report_usage(args->verb, "'%s' says no place: give a path or a device, and --name for its name", path);
	if (args->given[OPT_BLOCKS] != args->given[OPT_BLOCK_SIZE])
		return report_usage(args->verb, "--blocks and --block-size go together");
	if (args->given[OPT_BLOCKS] &&
	    (args->given[OPT_SIZE] || args->given[OPT_MAX_BLOCK] || args->given[OPT_SEGMENT]))
		return report_usage(args->verb, "--blocks sets the sizes: leave out --size, --max-block and --segment");
	if (args->given[OPT_POOL_NAME] && strlen(args->text[OPT_POOL_NAME]) > MEMKV_NAME_MAX)
		return report_usage(args->verb, "--name: at most %d bytes", MEMKV_NAME_MAX);
	return 0;
}

static void print_plan_json(const char *path, const struct memkv_create_plan *plan)
{
	struct json_object *document = report_document();

	report_add_flag(document, "created", false);
	report_add_flag(document, "dry_run", true);
	report_add_text(document, "path", path);
	report_add_flag(document, "over_pool", plan->over_pool != 0);
	report_add_flag(document, "over_data", plan->over_data != 0);
	report_add_number(document, "bytes", plan->bytes);
	report_add_number(document, "control_bytes", plan->control_bytes);
	report_add_number(document, "max_block", plan->max_block);
	report_add_number(document, "block_size", plan->room_block_size);
	report_add_number(document, "room_blocks", plan->room_blocks);
	report_add_number(document, "room_bytes", plan->room_blocks * plan->room_block_size);
	report_add_number(document, "slots", plan->slots);
	report_add_number(document, "segments", plan->segments);
	report_add_number(document, "segment_room", plan->segment_room);
	report_add_number(document, "entries_per_segment", plan->entries_per_segment);
	report_print(document);
}

static void print_plan(const char *path, const struct memkv_create_plan *plan)
{
	char a[REPORT_SIZE_TEXT], b[REPORT_SIZE_TEXT];

	report_safe_text(stdout, path);
	printf(" would be %s\n", plan->over_pool   ? "formatted, over a pool"
				 : plan->over_data ? "formatted, over data that is not memkv's"
				 : plan->new_file  ? "created"
						   : "formatted");
	printf("size      %s, of it control %s\n", report_size_text(plan->bytes, a),
	       report_size_text(plan->control_bytes, b));
	printf("block     at most %s\n", report_size_text(plan->max_block, a));
	printf("room      %s: %" PRIu64 " blocks of %s\n",
	       report_size_text(plan->room_blocks * plan->room_block_size, a), plan->room_blocks,
	       report_size_text(plan->room_block_size, b));
	printf("slots     %u\n", plan->slots);
	printf("segments  %" PRIu64 " of %s\n", plan->segments, report_size_text(plan->segment_room, a));
}

/* What would be made, or why not; and, before something is overwritten, a yes. */
static int plan_create(const struct cli_args *args, const char *path, const struct memkv_create_options *options)
{
	struct memkv_create_plan plan = {.size = sizeof(plan)};
	int rc = memkv_pool_plan(path, options, &plan);

	if (rc < 0)
		return report_library(rc, path);
	if (args->given[OPT_DRY_RUN]) {
		if (report_json())
			print_plan_json(path, &plan);
		else
			print_plan(path, &plan);
		return EXIT_DONE;
	}
	if (!plan.over_pool && !plan.over_data)
		return 0;
	return access_confirm(args, "Format over %s, which holds %s?", path,
			      plan.over_pool ? "a pool" : "data that is not memkv's");
}

static uint32_t create_flags(const struct cli_args *args)
{
	bool incoherent = args->given[OPT_COHERENT] && !args->number[OPT_COHERENT];

	return (args->given[OPT_FORCE] ? MEMKV_CREATE_FORCE : 0u) | (args->given[OPT_SHARE] ? MEMKV_CREATE_SHARE : 0u) |
	       (incoherent ? MEMKV_CREATE_INCOHERENT : 0u);
}

/* --namespace, as often as it was said; each in memory of its own, since a place stays until the next is looked for */
static int take_namespaces(const struct cli_args *args, const char **list, size_t *count)
{
	static char kept[MEMKV_NAMESPACES_MAX][PATH_MAX];

	*count = 0;
	for (size_t i = 0; i < args->words; i++) {
		if (!args->word[i].is_name)
			continue;
		if (*count == MEMKV_NAMESPACES_MAX)
			return report_usage(args->verb, "a pool has at most %d namespaces", MEMKV_NAMESPACES_MAX);
		const char *place;
		int rc = address_place(args->verb, args->word[i].text, &place);
		if (rc)
			return rc;
		snprintf(kept[*count], PATH_MAX, "%s", place);
		list[*count] = kept[*count];
		++*count;
	}
	return 0;
}

int verb_pool_create(const struct cli_args *args)
{
	const char *path, *namespaces[MEMKV_NAMESPACES_MAX];
	size_t namespace_count;

	if (access_place(args, &path) || check_create_args(args, path))
		return EXIT_USAGE;
	char home[PATH_MAX];
	snprintf(home, sizeof(home), "%s", path);
	path = home;
	if (take_namespaces(args, namespaces, &namespace_count))
		return EXIT_USAGE;
	struct memkv_create_options options = {
		.size = sizeof(options),
		.flags = create_flags(args),
		.slots = (uint32_t)args->number[OPT_SLOTS],
		.bytes = args->number[OPT_SIZE],
		.max_block = args->number[OPT_MAX_BLOCK],
		.segment = args->number[OPT_SEGMENT],
		.blocks = args->number[OPT_BLOCKS],
		.block_size = args->number[OPT_BLOCK_SIZE],
		.name = args->text[OPT_POOL_NAME],
		.progress = progress_step,
		.context = (void *)"written bytes",
		.namespaces = namespaces,
		.namespace_count = namespace_count,
	};
	int rc = plan_create(args, path, &options);
	if (rc || args->given[OPT_DRY_RUN])
		return rc;
	interrupt_defer();
	rc = memkv_pool_create(path, &options);
	progress_end();
	if (rc < 0)
		return report_library(rc, path);
	if (!report_json())
		return pool_describe(path, options.block_size, 0, NULL);
	struct json_object *document = report_document();
	report_add_flag(document, "created", true);
	report_add_flag(document, "dry_run", false);
	rc = pool_describe(path, options.block_size, 0, document);
	if (rc)
		json_object_put(document);
	else
		report_print(document);
	return rc;
}
