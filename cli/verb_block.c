/* SPDX-License-Identifier: Apache-2.0 */
/* memkv put, get, stat, rm: verbs on named blocks. */
#include "cli/access.h"
#include "cli/blockfile.h"
#include "cli/in_time.h"
#include "cli/report.h"
#include "cli/verbs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BLOCK_MOST ((size_t)256 << 20) /* no pool takes larger blocks */

/* A miss: a sentence on stderr, nothing on stdout but with --json. */
static int report_missing(const char *path, const struct memkv_key *key)
{
	char hex[MEMKV_KEY_HEX];

	memkv_key_to_hex(key, hex);
	return report_failed(MEMKV_MISS, "%s: no such block in %s", hex, path);
}

/* ---- put --------------------------------------------------------------------------------------------------- */

static int report_input(int rc, const char *path, size_t most)
{
	const char *name = path ? path : "standard input";

	if (rc == -EFBIG)
		return report_failed(MEMKV_TOO_LARGE, "%s: more than %zu bytes", name, most);
	if (rc == -ENOENT)
		return report_usage("put", "%s: %s", name, strerror(ENOENT));
	return report_failed(rc, "%s: %s", name, strerror(-rc));
}

/* The block and its metadata into memory, before any slot of the pool is taken: standard input may be slow. */
static int read_inputs(const struct cli_args *args, const char *file, struct blockfile *block, struct blockfile *meta)
{
	int rc;

	if (args->given[OPT_META]) {
		rc = blockfile_read(meta, args->text[OPT_META], MEMKV_META_MAX);
		if (rc)
			return report_input(rc, args->text[OPT_META], MEMKV_META_MAX);
	}
	rc = blockfile_read(block, file, BLOCK_MOST);
	if (rc)
		return report_input(rc, file, BLOCK_MOST);
	if (!block->length)
		return report_usage(args->verb, "%s is empty: a block has at least 1 byte",
				    file ? file : "standard input");
	return 0;
}

static int report_put(int rc, const struct memkv_key *key, size_t length)
{
	char hex[MEMKV_KEY_HEX];

	memkv_key_to_hex(key, hex);
	if (report_json()) {
		struct json_object *document = report_document();
		report_add_text(document, "result", rc == MEMKV_EXISTS ? "exists" : "stored");
		report_add_key(document, "key", key);
		report_add_number(document, "length", length);
		report_print(document);
	} else if (rc == MEMKV_EXISTS) {
		report_note("%s: the same bytes are stored already", hex);
	}
	return EXIT_DONE;
}

struct put_job {
	const struct memkv_key *key;
	const struct blockfile *block;
	struct memkv_put_options options;
	bool pin;
};

static int64_t call_put(struct memkv_pool *pool, struct in_time *job)
{
	struct put_job put = *(const struct put_job *)job->context;

	put.options.deadline_us = in_time_left(job);
	int rc = memkv_put(pool, put.key, put.block->data, put.block->length, &put.options);
	if ((rc == 0 || rc == MEMKV_EXISTS) && put.pin) {
		struct memkv_pin_options pin = {.size = sizeof(pin), .deadline_us = in_time_left(job)};
		int64_t pinned = memkv_pin(pool, put.key, 1, &pin, NULL);
		rc = pinned < 0 ? (int)pinned : pinned == 0 ? MEMKV_MISS : rc;
	}
	return rc;
}

static int put_block(const struct cli_args *args, const char *path, const struct memkv_key *key,
		     const struct blockfile *block, const struct blockfile *meta)
{
	struct memkv_put_options options = {
		.size = sizeof(options),
		.flags = (args->given[OPT_REPLACE] ? MEMKV_PUT_REPLACE : 0U) |
			 (args->given[OPT_DURABLE] ? MEMKV_PUT_DURABLE : 0U),
		.class_id = (uint32_t)args->number[OPT_CLASS],
		.ttl_s = args->number[OPT_TTL],
		.session = args->text[OPT_SESSION],
		.meta = meta->data,
		.meta_length = meta->length,
	};
	struct put_job put = {key, block, options, args->given[OPT_PIN]};
	struct in_time job = {.path = path,
			      .flags = MEMKV_OPEN_CLI,
			      .deadline_us = args->number[OPT_DEADLINE],
			      .call = call_put,
			      .context = &put};
	int rc = in_time_run(&job);

	if (!rc && (job.result >= 0 || job.result == MEMKV_EXISTS))
		rc = report_put((int)job.result, key, block->length);
	else if (!rc)
		rc = in_time_report(&job, job.result == MEMKV_TIMEDOUT
						  ? "the medium did not answer by the deadline; nothing was stored"
						  : "the deadline passed while the block was being written: it may be there or not");
	in_time_fini(&job);
	return rc;
}

int verb_put(const struct cli_args *args)
{
	struct blockfile block = {0}, meta = {0};
	struct memkv_key key;
	const char *path, *file;

	int rc = access_pool_key(args, &path, &key, &file);
	if (rc)
		return rc;
	if (args->given[OPT_SESSION] && strlen(args->text[OPT_SESSION]) > MEMKV_SESSION_MAX)
		return report_usage(args->verb, "--session: at most %d bytes", MEMKV_SESSION_MAX);
	rc = read_inputs(args, file, &block, &meta);
	if (!rc)
		rc = put_block(args, path, &key, &block, &meta);
	blockfile_fini(&meta);
	blockfile_fini(&block);
	return rc;
}

/* ---- get --------------------------------------------------------------------------------------------------- */

static int write_out(const struct cli_args *args, const struct memkv_key *key, const void *data, size_t length)
{
	const char *output = args->text[OPT_OUTPUT];

	if (!output) {
		fwrite(data, 1, length, stdout);
		(void)report_output_fails(); /* report_finish() says so */
		return EXIT_DONE;
	}
	int rc = blockfile_write(output, data, length);
	if (rc)
		return report_failed(rc, "cannot write %s: %s", output, strerror(-rc));
	if (report_json()) {
		struct json_object *document = report_document();
		report_add_key(document, "key", key);
		report_add_number(document, "length", length);
		report_add_text(document, "output", output);
		report_print(document);
	}
	return EXIT_DONE;
}

static int64_t call_get(struct memkv_pool *pool, struct in_time *job)
{
	struct memkv_get_options options = {.size = sizeof(options), .flags = MEMKV_GET_UPTO, .deadline_us = in_time_left(job)};

	return memkv_get(pool, job->context, job->buffer, job->room, &options);
}

int verb_get(const struct cli_args *args)
{
	struct memkv_key key;
	const char *path;

	int rc = access_pool_key(args, &path, &key, NULL);
	if (rc)
		return rc;
	if (report_json() && !args->given[OPT_OUTPUT])
		return report_usage(args->verb, "with --json say where the bytes go: -o FILE");
	struct in_time job = {.path = path,
			      .flags = MEMKV_OPEN_READ_ONLY,
			      .deadline_us = args->number[OPT_DEADLINE],
			      .reads = true,
			      .call = call_get,
			      .context = &key,
			      .room = BLOCK_MOST};
	rc = in_time_run(&job);
	if (!rc && job.result == MEMKV_MISS)
		rc = report_missing(path, &key);
	else if (!rc && job.result < 0)
		rc = in_time_report(&job, IN_TIME_LATE);
	else if (!rc)
		rc = write_out(args, &key, job.buffer, (size_t)job.result);
	in_time_fini(&job);
	return rc;
}

/* ---- stat -------------------------------------------------------------------------------------------------- */

static void hex_text(const uint8_t *bytes, size_t count, char *text)
{
	for (size_t i = 0; i < count; i++)
		sprintf(text + 2 * i, "%02x", bytes[i]);
	text[2 * count] = '\0';
}

/* All 64 bits may be set, which many readers of JSON cannot take as a number. */
static void add_hex(struct json_object *into, const char *name, uint64_t value)
{
	char text[17];

	snprintf(text, sizeof(text), "%016" PRIx64, value);
	report_add_text(into, name, text);
}

static void stat_json(const struct memkv_block_info *info, const char *meta)
{
	struct json_object *document = report_document();
	char class_text[CLI_CLASS_TEXT];

	report_add_key(document, "key", &info->key);
	report_add_number(document, "length", info->length);
	report_add_text(document, "class", cli_class_text(info->class_id, class_text));
	report_add_number(document, "class_id", info->class_id);
	report_add_number(document, "depth", info->depth);
	if (info->session[0])
		report_add_text(document, "session", info->session);
	else
		json_object_object_add(document, "session", NULL);
	report_add_time(document, "stored_s", info->stored_s);
	report_add_time(document, "expires_s", info->expires_s);
	if (info->has_parent)
		report_add_key(document, "parent", &info->parent);
	else
		json_object_object_add(document, "parent", NULL);
	add_hex(document, "birth", info->birth);
	add_hex(document, "generation", info->generation);
	report_add_number(document, "segment", info->segment);
	report_add_number(document, "page", info->page);
	report_add_number(document, "meta_length", info->meta_length);
	report_add_text(document, "meta_hex", meta);
	report_print(document);
}

static void print_time(const char *label, uint64_t utc_s)
{
	time_t seconds = (time_t)utc_s;
	struct tm tm;
	char text[32] = "never";

	if (utc_s && gmtime_r(&seconds, &tm))
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	printf("%-11s %s\n", label, text);
}

static void stat_table(const struct memkv_block_info *info, const char *meta)
{
	char hex[MEMKV_KEY_HEX], text[CLI_CLASS_TEXT];

	memkv_key_to_hex(&info->key, hex);
	printf("key         %s\n", hex);
	printf("length      %" PRIu64 "\n", info->length);
	printf("class       %s\n", cli_class_text(info->class_id, text));
	printf("depth       %u\n", info->depth);
	printf("session     ");
	report_safe_text(stdout, info->session[0] ? info->session : "-");
	putchar('\n');
	print_time("stored", info->stored_s);
	print_time("expires", info->expires_s);
	if (info->has_parent)
		memkv_key_to_hex(&info->parent, hex);
	printf("parent      %s\n", info->has_parent ? hex : "-");
	printf("birth       %016" PRIx64 "\n", info->birth);
	printf("place       segment %" PRIu64 ", page %" PRIu64 ", generation %016" PRIx64 "\n", info->segment,
	       info->page, info->generation);
	printf("meta        %s\n", meta[0] ? meta : "-");
}

static int64_t call_stat(struct memkv_pool *pool, struct in_time *job)
{
	return memkv_stat_by(pool, job->context, job->buffer, in_time_left(job));
}

int verb_stat(const struct cli_args *args)
{
	char meta[2 * MEMKV_META_MAX + 1];
	struct memkv_key key;
	const char *path;

	int rc = access_pool_key(args, &path, &key, NULL);
	if (rc)
		return rc;
	struct in_time job = {.path = path,
			      .flags = MEMKV_OPEN_READ_ONLY,
			      .deadline_us = args->number[OPT_DEADLINE],
			      .reads = true,
			      .call = call_stat,
			      .context = &key,
			      .room = sizeof(struct memkv_block_info)};
	rc = in_time_run(&job);
	if (!rc && job.result == MEMKV_MISS) {
		rc = report_missing(path, &key);
	} else if (!rc && job.result < 0) {
		rc = in_time_report(&job, IN_TIME_LATE);
	} else if (!rc) {
		const struct memkv_block_info *info = job.buffer;
		hex_text(info->meta, info->meta_length < MEMKV_META_MAX ? info->meta_length : MEMKV_META_MAX, meta);
		if (report_json())
			stat_json(info, meta);
		else
			stat_table(info, meta);
	}
	in_time_fini(&job);
	return rc;
}

/* ---- rm ---------------------------------------------------------------------------------------------------- */

/**
 * struct removal - what rm is to do
 * @keys, @count: these; 0: all of @filter.
 * @flags: of memkv_remove_with().
 * @dry_run: only look.
 */
struct removal {
	const struct memkv_key *keys;
	size_t count;
	struct memkv_filter filter;
	uint32_t flags;
	bool dry_run;
};

/**
 * struct removed - what it has done so far
 * @blocks: removed.
 * @pinned: blocks that stay because they are pinned.
 * @misses: keys that were not there.
 * @missed: by key.
 */
struct removed {
	uint64_t blocks, pinned, misses;
	bool missed[];
};

static int remove_one(struct memkv_pool *pool, struct in_time *job, const struct memkv_key *key)
{
	const struct removal *removal = job->context;
	struct removed *removed = job->buffer;
	uint64_t left_us = in_time_left(job);
	int rc = !removal->dry_run ? memkv_remove_by(pool, key, removal->flags, left_us)
		 : removal->count  ? memkv_exists_by(pool, key, MEMKV_LOOK_FRESH, left_us)
				   : 1;

	if (rc > 0)
		removed->blocks += (uint64_t)rc;
	else if (rc == MEMKV_PINNED)
		removed->pinned++;
	return rc == MEMKV_PINNED ? 1 : rc;
}

static int64_t call_rm(struct memkv_pool *pool, struct in_time *job)
{
	const struct removal *removal = job->context;
	struct removed *removed = job->buffer;
	struct memkv_block_info info;
	struct memkv_iter *iter = NULL;
	int rc = 0, got = 1, unread = 0;

	for (size_t i = 0; i < removal->count && rc >= 0; i++) {
		rc = remove_one(pool, job, &removal->keys[i]);
		removed->missed[i] = rc == MEMKV_MISS || rc == 0;
		removed->misses += removed->missed[i];
		rc = rc == MEMKV_MISS ? 0 : rc;
	}
	if (removal->count)
		return rc;
	/* removing while walking is fine: each block that was there at the start appears exactly once */
	rc = memkv_iter_open_by(pool, &removal->filter, &iter, in_time_left(job));
	while (rc >= 0 && (got = memkv_iter_next_by(iter, &info, in_time_left(job))) != 0) {
		if (got == -EIO)
			unread = got; /* of one segment: the others are looked through */
		else
			rc = got < 0 ? got : remove_one(pool, job, &info.key);
		rc = rc == MEMKV_MISS ? 0 : rc;
	}
	memkv_iter_close(iter);
	return rc < 0 ? rc : unread;
}

static void report_misses(const struct removal *removal, const struct removed *removed, struct json_object *missing)
{
	char hex[MEMKV_KEY_HEX];

	for (size_t i = 0; i < removal->count; i++) {
		if (!removed->missed[i])
			continue;
		memkv_key_to_hex(&removal->keys[i], hex);
		if (missing)
			json_object_array_add(missing, json_object_new_string(hex));
		else
			report_note("%s: no such block", hex);
	}
}

static int print_removal(const struct removal *removal, const struct removed *removed, const char *path)
{
	struct json_object *missing = report_json() ? json_object_new_array() : NULL;

	report_misses(removal, removed, missing);
	if (removed->pinned && !removed->blocks) {
		json_object_put(missing);
		return report_failed(MEMKV_PINNED, "%s: %" PRIu64 " of these blocks are pinned; unpin them first, or say --unpin",
				     path, removed->pinned);
	}
	if (missing) {
		struct json_object *document = report_document();
		report_add_number(document, "removed", removed->blocks);
		report_add_number(document, "pinned", removed->pinned);
		report_add_flag(document, "dry_run", removal->dry_run);
		json_object_object_add(document, "missing", missing);
		report_print(document);
	} else if (removed->blocks) {
		printf("%s %" PRIu64 " block%s\n", removal->dry_run ? "would remove" : "removed", removed->blocks,
		       removed->blocks == 1 ? "" : "s");
	}
	if (removed->pinned)
		report_note("%" PRIu64 " pinned blocks were left alone; --unpin takes them as well", removed->pinned);
	return removed->pinned ? EXIT_REFUSED : removed->misses ? EXIT_MISS : EXIT_DONE;
}

/* it did not come to its end */
static int report_cut_short(const struct in_time *job)
{
	uint64_t blocks = ((const struct removed *)job->buffer)->blocks;
	char late[128];

	if (job->result == MEMKV_TIMEDOUT)
		snprintf(late, sizeof(late), "the medium did not answer by the deadline; blocks removed: %" PRIu64, blocks);
	else
		snprintf(late, sizeof(late), "the deadline passed; blocks removed by then: %" PRIu64 "; one more may go or stay", blocks);
	return in_time_report(job, late);
}

static int remove_blocks(const struct cli_args *args, const char *path, const struct removal *removal)
{
	struct in_time job = {.path = path,
			      .flags = removal->dry_run ? MEMKV_OPEN_READ_ONLY : MEMKV_OPEN_CLI,
			      .deadline_us = args->number[OPT_DEADLINE],
			      .reads = removal->dry_run,
			      .call = call_rm,
			      .context = removal,
			      .room = sizeof(struct removed) + removal->count * sizeof(bool)};
	int rc = in_time_run(&job);

	if (!rc)
		rc = job.result < 0 ? report_cut_short(&job) : print_removal(removal, job.buffer, path);
	in_time_fini(&job);
	return rc;
}

static int check_rm_args(const struct cli_args *args, size_t count, bool filtered)
{
	if (filtered && count)
		return report_usage(args->verb, "give either keys or --session and --class");
	if (!filtered && !count)
		return report_usage(args->verb, "KEY is missing: 64 hex digits, --name TEXT, --session S or --class C");
	if (filtered && !args->given[OPT_DRY_RUN])
		return access_confirm(args, "Remove all blocks of this %s?",
				      args->given[OPT_SESSION] ? "session" : "class");
	return 0;
}

int verb_rm(const struct cli_args *args)
{
	struct removal removal = {
		.filter = {.size = sizeof(removal.filter),
			   .has_class = args->given[OPT_CLASS],
			   .class_id = (uint32_t)args->number[OPT_CLASS],
			   .session = args->text[OPT_SESSION]},
		.flags = args->given[OPT_UNPIN] ? MEMKV_REMOVE_UNPIN : 0U,
		.dry_run = args->given[OPT_DRY_RUN],
	};
	struct memkv_key *keys = NULL;
	const char *path;

	int rc = access_pool_keys(args, &path, &keys, &removal.count);
	removal.keys = keys;
	if (!rc)
		rc = check_rm_args(args, removal.count, args->given[OPT_CLASS] || args->given[OPT_SESSION]);
	if (!rc)
		rc = remove_blocks(args, path, &removal);
	free(keys);
	return rc;
}
