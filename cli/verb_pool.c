/* SPDX-License-Identifier: Apache-2.0 */
/* memkv pool create, info, check, destroy. */
#include "cli/access.h"
#include "cli/report.h"
#include "cli/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void uuid_text(const uint8_t uuid[16], char text[37])
{
	char *out = text;

	for (int i = 0; i < 16; i++)
		out += sprintf(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
}

static void info_json(struct json_object *into, const struct memkv_pool_info *info, uint64_t block_size, uint64_t room)
{
	char uuid[37];

	uuid_text(info->uuid, uuid);
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
}

static void info_table(const struct memkv_pool_info *info, uint64_t block_size, uint64_t room)
{
	char uuid[37], a[REPORT_SIZE_TEXT], b[REPORT_SIZE_TEXT];

	uuid_text(info->uuid, uuid);
	printf("pool      %s\n", info->path);
	printf("name      ");
	report_safe_text(stdout, info->name[0] ? info->name : "-");
	printf("\nuuid      %s\n", uuid);
	printf("format    %u.%u on a %s%s\n", info->format_major, info->format_minor, info->medium,
	       info->direct_io ? ", direct I/O" : ", through the page cache");
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

/* Describe the pool at @path in @document or, without one, as a table. */
static int describe(const char *path, uint64_t block_size, struct json_object *document)
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

	if (access_pool(args, &path))
		return EXIT_USAGE;
	if (report_json())
		document = report_document();
	int rc = describe(path, args->number[OPT_BLOCK_SIZE], document);
	if (document && !rc)
		report_print(document);
	else
		json_object_put(document);
	return rc;
}

/* ---- create ------------------------------------------------------------------------------------------------ */

/* What stands at a path where a pool is to be made. */
enum target { TARGET_NEW, TARGET_EMPTY, TARGET_POOL, TARGET_OTHER };

/* Anything at either end of a device?  What cannot be read counts as data. */
static bool device_holds_data(const char *path)
{
	enum { END_BYTES = 64 << 10 };
	static const uint8_t zero[END_BYTES];
	static uint8_t bytes[END_BYTES];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	bool data = end < END_BYTES || pread(fd, bytes, END_BYTES, 0) != END_BYTES ||
		    memcmp(bytes, zero, END_BYTES) != 0 || pread(fd, bytes, END_BYTES, end - END_BYTES) != END_BYTES ||
		    memcmp(bytes, zero, END_BYTES) != 0;

	if (fd >= 0)
		close(fd);
	return data;
}

/* No bytes, or nothing but a hole. */
static bool is_empty(const char *path, const struct stat *st)
{
	if (S_ISBLK(st->st_mode))
		return !device_holds_data(path);
	if (!S_ISREG(st->st_mode))
		return false;
	if (!st->st_size)
		return true;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	bool hole = lseek(fd, 0, SEEK_DATA) < 0 && errno == ENXIO;
	close(fd);
	return hole;
}

/*
 * Look at @path without harm.  Only a question of manners (shall we ask before overwriting?): whether it may be
 * overwritten is decided by memkv_pool_create(), under its own lock.
 */
static int look_at_target(const char *path, enum target *target, uint32_t *live)
{
	struct memkv_pool_options options = {.size = sizeof(options),
					     .flags = MEMKV_OPEN_READ_ONLY | MEMKV_OPEN_NO_FOLLOWER};
	struct memkv_pool_info info;
	struct memkv_pool *pool;
	struct stat st;

	*live = 0;
	*target = TARGET_NEW;
	if (stat(path, &st))
		return errno == ENOENT ? 0 : report_failed(-errno, "%s: %s", path, strerror(errno));
	*target = is_empty(path, &st) ? TARGET_EMPTY : TARGET_OTHER;
	if (*target == TARGET_EMPTY)
		return 0;
	int rc = memkv_pool_open(path, &options, &pool);
	if (rc == MEMKV_NEWER || rc == MEMKV_DAMAGED)
		*target = TARGET_POOL;
	if (rc < 0)
		return 0;
	*target = TARGET_POOL;
	if (!memkv_pool_describe(pool, &info))
		*live = info.slots_live;
	memkv_pool_close(pool);
	return 0;
}

/* What create would answer, as far as can be told without writing. */
static int create_dry_run(const struct cli_args *args, const char *path, enum target target, uint32_t live)
{
	char *copy = strdup(path);

	if (!copy)
		return report_failed(-ENOMEM, "out of memory");
	int refused = access(target == TARGET_NEW ? dirname(copy) : path, W_OK) ? errno : 0;
	free(copy);
	if (refused)
		return report_failed(-refused, "cannot write %s: %s", path, strerror(refused));
	if (live)
		return report_failed(MEMKV_IN_USE, "%s: %u live agents have the pool open; stop them first", path,
				     live);
	if (target == TARGET_POOL && !args->given[OPT_FORCE])
		return report_failed(MEMKV_POOL_EXISTS, "%s: there is a pool here already; --force formats over it",
				     path);
	if (target == TARGET_OTHER && !args->given[OPT_FORCE])
		return report_failed(MEMKV_FOREIGN, "%s carries data that is not memkv's; --force formats over it",
				     path);
	if (report_json()) {
		struct json_object *document = report_document();
		report_add_flag(document, "created", false);
		report_add_flag(document, "dry_run", true);
		report_add_text(document, "path", path);
		report_print(document);
	} else {
		printf("%s would be %s\n", path, target == TARGET_NEW ? "created" : "formatted");
	}
	return EXIT_DONE;
}

static int check_create_args(const struct cli_args *args)
{
	if (args->given[OPT_BLOCKS] != args->given[OPT_BLOCK_SIZE])
		return report_usage(args->verb, "--blocks and --block-size go together");
	if (args->given[OPT_BLOCKS] &&
	    (args->given[OPT_SIZE] || args->given[OPT_MAX_BLOCK] || args->given[OPT_SEGMENT]))
		return report_usage(args->verb, "--blocks sets the sizes: leave out --size, --max-block and --segment");
	if (args->given[OPT_POOL_NAME] && strlen(args->text[OPT_POOL_NAME]) > MEMKV_NAME_MAX)
		return report_usage(args->verb, "--name: at most %d bytes", MEMKV_NAME_MAX);
	return 0;
}

int verb_pool_create(const struct cli_args *args)
{
	const char *path;
	enum target target;
	uint32_t live;

	if (access_pool(args, &path) || check_create_args(args))
		return EXIT_USAGE;
	int rc = look_at_target(path, &target, &live);
	if (rc)
		return rc;
	if (args->given[OPT_DRY_RUN])
		return create_dry_run(args, path, target, live);
	if (args->given[OPT_FORCE] && (target == TARGET_POOL || target == TARGET_OTHER)) {
		char question[512];
		snprintf(question, sizeof(question), "Format over %s, which holds %s?", path,
			 target == TARGET_POOL ? "a pool" : "data that is not memkv's");
		rc = access_confirm(args, question);
		if (rc)
			return rc;
	}
	struct memkv_create_options options = {
		.size = sizeof(options),
		.flags = args->given[OPT_FORCE] ? MEMKV_CREATE_FORCE : 0,
		.slots = (uint32_t)args->number[OPT_SLOTS],
		.bytes = args->number[OPT_SIZE],
		.max_block = args->number[OPT_MAX_BLOCK],
		.segment = args->number[OPT_SEGMENT],
		.blocks = args->number[OPT_BLOCKS],
		.block_size = args->number[OPT_BLOCK_SIZE],
		.name = args->text[OPT_POOL_NAME],
	};
	rc = memkv_pool_create(path, &options);
	if (rc < 0)
		return report_library(rc, path);
	if (!report_json())
		return describe(path, options.block_size, NULL);
	struct json_object *document = report_document();
	report_add_flag(document, "created", true);
	report_add_flag(document, "dry_run", false);
	rc = describe(path, options.block_size, document);
	if (rc)
		json_object_put(document);
	else
		report_print(document);
	return rc;
}

/* ---- check ------------------------------------------------------------------------------------------------- */

static void on_bad_block(void *context, const struct memkv_key *key, uint64_t page, const char *why)
{
	char hex[MEMKV_KEY_HEX];

	(void)context;
	memkv_key_to_hex(key, hex);
	report_note("bad block %s at page %" PRIu64 ": %s", hex, page, why);
}

static int on_progress(void *context, uint64_t done, uint64_t total)
{
	(void)context;
	fprintf(stderr, "\rchecked %" PRIu64 " of %" PRIu64 " blocks%s", done, total, done >= total ? "\n" : "");
	return 0;
}

static void print_check(const struct memkv_check_report *found)
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
		report_print(document);
		return;
	}
	printf("blocks          %" PRIu64 " (%s)\n", found->blocks, report_size_text(found->bytes, size));
	printf("bad             %" PRIu64 "\n", found->bad);
	printf("records bad     %" PRIu64 "\n", found->records_bad);
	printf("records mended  %" PRIu64 "\n", found->records_mended);
	printf("gone            %" PRIu64 "\n", found->gone);
}

int verb_pool_check(const struct cli_args *args)
{
	struct memkv_check_options options = {
		.size = sizeof(options),
		.meta_only = args->given[OPT_META_ONLY],
		.bad_block = on_bad_block,
		.progress = isatty(STDERR_FILENO) ? on_progress : NULL,
	};
	struct memkv_check_report found;
	struct memkv_pool *pool;
	const char *path;

	if (access_pool(args, &path))
		return EXIT_USAGE;
	int rc = access_open(path, ACCESS_READ, &pool);
	if (rc)
		return rc;
	rc = memkv_pool_check(pool, &options, &found);
	memkv_pool_close(pool);
	if (rc < 0)
		return report_library(rc, path);
	print_check(&found);
	return found.bad || found.records_bad ? EXIT_DAMAGE : EXIT_DONE;
}

/* ---- destroy ----------------------------------------------------------------------------------------------- */

int verb_pool_destroy(const struct cli_args *args)
{
	bool dry_run = args->given[OPT_DRY_RUN];
	const char *path;

	if (access_pool(args, &path))
		return EXIT_USAGE;
	if (!dry_run) {
		char question[512];
		snprintf(question, sizeof(question), "Destroy the pool %s and everything in it?", path);
		int no = access_confirm(args, question);
		if (no)
			return no;
	}
	int rc = memkv_pool_destroy(path, dry_run);
	if (rc < 0)
		return report_library(rc, path);
	if (report_json()) {
		struct json_object *document = report_document();
		report_add_flag(document, "destroyed", !dry_run);
		report_add_flag(document, "dry_run", dry_run);
		report_add_text(document, "path", path);
		report_print(document);
	} else {
		printf("%s %s\n", path, dry_run ? "would be destroyed" : "is destroyed");
	}
	return EXIT_DONE;
}
