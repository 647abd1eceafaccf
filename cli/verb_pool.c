/* SPDX-License-Identifier: Apache-2.0 */
/* memkv pool info, destroy. */
#include "cli/access.h"
#include "cli/in_time.h"
#include "cli/pool_text.h"
#include "cli/report.h"
#include "cli/verbs.h"

#include <inttypes.h>
#include <memkv/fabric.h>
#include <memkv/namespace.h>
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

static const char *state_text(int state)
{
	return state == MEMKV_NAMESPACE_THERE ? "there" : state == MEMKV_NAMESPACE_LOST ? "lost" : "removed";
}

static void namespaces_json(struct json_object *into, const struct memkv_namespace *list, int64_t count)
{
	struct json_object *all = json_object_new_array();
	bool degraded = false;

	for (int64_t i = 0; i < count; i++) {
		struct json_object *one = json_object_new_object();
		char id[POOL_UUID_TEXT];
		pool_uuid_text(list[i].id, id);
		report_add_number(one, "number", list[i].number);
		report_add_text(one, "path", list[i].path);
		report_add_text(one, "state", state_text(list[i].state));
		report_add_text(one, "id", id);
		report_add_number(one, "bytes", list[i].bytes);
		report_add_number(one, "control_bytes", list[i].control_bytes);
		report_add_number(one, "segments", list[i].segments);
		report_add_number(one, "segments_free", list[i].segments_free);
		report_add_number(one, "segments_retired", list[i].segments_retired);
		json_object_array_add(all, one);
		degraded |= list[i].state == MEMKV_NAMESPACE_LOST;
	}
	report_add_flag(into, "degraded", degraded);
	json_object_object_add(into, "namespaces", all);
}

static void namespaces_table(const struct memkv_namespace *list, int64_t count)
{
	char size[REPORT_SIZE_TEXT];

	for (int64_t i = 0; count > 1 && i < count; i++) {
		printf("%s %2u  %s  ", i ? "         " : "namespace", list[i].number, report_size_text(list[i].bytes, size));
		report_safe_text(stdout, list[i].path);
		if (list[i].state == MEMKV_NAMESPACE_LOST)
			printf("  LOST: its blocks are misses until it is back\n");
		else if (list[i].state == MEMKV_NAMESPACE_REMOVED)
			printf("  removed\n");
		else
			printf("  segments %" PRIu64 ", free %" PRIu64 ", retired %" PRIu64 "\n", list[i].segments,
			       list[i].segments_free, list[i].segments_retired);
	}
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

/**
 * struct described - what is told of a pool
 */
struct described {
	struct memkv_pool_info info;
	uint64_t block_size, room;
	struct memkv_namespace list[MEMKV_NAMESPACES_MAX];
};

/* the number of namespaces; job->context: the blocks' size that room is told for, 0: the largest */
static int64_t call_describe(struct memkv_pool *pool, struct in_time *job)
{
	struct described *d = job->buffer;
	int err = memkv_pool_describe_by(pool, &d->info, in_time_left(job));

	if (err)
		return err;
	d->info.path = NULL; /* the handle's */
	d->block_size = *(const uint64_t *)job->context ? *(const uint64_t *)job->context : d->info.max_block;
	d->room = memkv_pool_room(pool, d->block_size);
	return memkv_pool_namespaces_by(pool, d->list, MEMKV_NAMESPACES_MAX, in_time_left(job));
}

int pool_describe(const char *path, uint64_t block_size, uint64_t deadline_us, struct json_object *document)
{
	struct in_time job = {.path = path,
			      .flags = MEMKV_OPEN_READ_ONLY,
			      .deadline_us = deadline_us,
			      .reads = true,
			      .call = call_describe,
			      .context = &block_size,
			      .room = sizeof(struct described)};
	int rc = in_time_run(&job);

	if (!rc && job.result < 0) {
		rc = in_time_report(&job, IN_TIME_LATE);
	} else if (!rc) {
		struct described *d = job.buffer;
		d->info.path = path;
		if (document) {
			info_json(document, &d->info, d->block_size, d->room);
			namespaces_json(document, d->list, job.result);
		} else {
			info_table(&d->info, d->block_size, d->room);
			namespaces_table(d->list, job.result);
		}
	}
	in_time_fini(&job);
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
	rc = pool_describe(path, args->number[OPT_BLOCK_SIZE], args->number[OPT_DEADLINE], document);
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
