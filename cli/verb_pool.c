/* SPDX-License-Identifier: Apache-2.0 */
/* memkv pool info, destroy. */
#include "cli/access.h"
#include "cli/pool_text.h"
#include "cli/report.h"
#include "cli/verbs.h"

#include <inttypes.h>
#include <memkv/fabric.h>
#include <stdio.h>

enum { WAY_ROOM = 320 };

static void info_json(struct json_object *into, const struct memkv_pool_info *info, uint64_t block_size, uint64_t room)
{
	char uuid[POOL_UUID_TEXT], way[WAY_ROOM];

	pool_uuid_text(info->uuid, uuid);
	report_add_text(into, "path", info->path);
	report_add_text(into, "name", info->name);
	report_add_text(into, "uuid", uuid);
	report_add_text(into, "medium", info->medium);
	report_add_number(into, "format_major", info->format_major);
	report_add_number(into, "format_minor", info->format_minor);
	report_add_number(into, "bytes", info->bytes);
	report_add_number(into, "control_bytes", info->control_bytes);
	report_add_number(into, "max_block", info->max_block);
	report_add_number(into, "block_size", block_size);
	report_add_number(into, "room_blocks", room);
	report_add_number(into, "room_bytes", room * block_size);
	report_add_number(into, "used_blocks", info->blocks);
	report_add_number(into, "used_bytes", info->block_bytes);
	report_add_number(into, "slots", info->slots);
	report_add_number(into, "slots_live", info->slots_live);
	report_add_number(into, "segment_room", info->segment_room);
	report_add_number(into, "entries_per_segment", info->entries_per_segment);
	struct json_object *segments = json_object_new_object();
	report_add_number(segments, "total", info->segments);
	report_add_number(segments, "free", info->segments_free);
	report_add_number(segments, "open", info->segments_open);
	report_add_number(segments, "sealed", info->segments_sealed);
	report_add_number(segments, "parked", info->segments_parked);
	report_add_number(segments, "leaving", info->segments_leaving);
	json_object_object_add(into, "segments", segments);
	report_add_flag(into, "direct_io", info->direct_io != 0);
	report_add_flag(into, "coherent", info->coherent != 0);
	if (memkv_fabric_way(info->path, way, sizeof(way)) >= 0)
		report_add_text(into, "way", way);
}

static void info_table(const struct memkv_pool_info *info, uint64_t block_size, uint64_t room)
{
	char uuid[POOL_UUID_TEXT], a[REPORT_SIZE_TEXT], b[REPORT_SIZE_TEXT], way[WAY_ROOM];

	pool_uuid_text(info->uuid, uuid);
	printf("pool      ");
	report_safe_text(stdout, info->path);
	printf("\nname      ");
	report_safe_text(stdout, info->name[0] ? info->name : "-");
	printf("\nuuid      %s\n", uuid);
	printf("format    %u.%u on a %s%s\n", info->format_major, info->format_minor, info->medium,
	       info->direct_io ? ", direct I/O" : ", through the page cache");
	if (memkv_fabric_way(info->path, way, sizeof(way)) >= 0)
		printf("I/O       %s\n", way);
	printf("size      %s, of it control %s\n", report_size_text(info->bytes, a),
	       report_size_text(info->control_bytes, b));
	printf("block     at most %s\n", report_size_text(info->max_block, a));
	printf("room      %s: %" PRIu64 " blocks of %s\n", report_size_text(room * block_size, a), room,
	       report_size_text(block_size, b));
	printf("used      %s: %" PRIu64 " blocks\n", report_size_text(info->block_bytes, a), info->blocks);
	printf("slots     %u, attached %u\n", info->slots, info->slots_live);
	printf("segments  %" PRIu64 " of %s: free %" PRIu64 ", open %" PRIu64 ", sealed %" PRIu64 ", parked %" PRIu64
	       ", leaving %" PRIu64 "\n",
	       info->segments, report_size_text(info->segment_room, a), info->segments_free, info->segments_open,
	       info->segments_sealed, info->segments_parked, info->segments_leaving);
}

int pool_describe(const char *path, uint64_t block_size, struct json_object *document)
{
	struct memkv_pool_info info;
	struct memkv_pool *pool;
	int rc = access_open(path, ACCESS_READ, &pool);

	if (rc)
		return rc;
	rc = memkv_pool_describe(pool, &info);
	if (rc < 0) {
		rc = report_library(rc, path);
	} else {
		uint64_t size = block_size ? block_size : info.max_block;
		uint64_t room = memkv_pool_room(pool, size);
		if (document)
			info_json(document, &info, size, room);
		else
			info_table(&info, size, room);
	}
	memkv_pool_close(pool);
	return rc;
}

int verb_pool_info(const struct cli_args *args)
{
	struct json_object *document = NULL;
	const char *path;

	int rc = access_pool(args, &path);
	if (rc)
		return rc;
	if (report_json())
		document = report_document();
	rc = pool_describe(path, args->number[OPT_BLOCK_SIZE], document);
	if (document && !rc)
		report_print(document);
	else
		json_object_put(document);
	return rc;
}

/* ---- destroy ----------------------------------------------------------------------------------------------- */

int verb_pool_destroy(const struct cli_args *args)
{
	bool dry_run = args->given[OPT_DRY_RUN];
	const char *path;

	int rc = access_pool(args, &path);
	if (!rc && !dry_run)
		rc = access_confirm(args, "Destroy the pool %s and everything in it?", path);
	if (rc)
		return rc;
	rc = memkv_pool_destroy(path, dry_run);
	if (rc < 0)
		return report_library(rc, path);
	if (report_json()) {
		struct json_object *document = report_document();
		report_add_flag(document, "destroyed", !dry_run);
		report_add_flag(document, "dry_run", dry_run);
		report_add_text(document, "path", path);
		report_print(document);
	} else {
		report_safe_text(stdout, path);
		puts(dry_run ? " would be destroyed" : " is destroyed");
	}
	return EXIT_DONE;
}
