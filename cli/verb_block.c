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

static int report_put(int rc, const char *path, const struct memkv_key *key, size_t length)
{
	char hex[MEMKV_KEY_HEX];

	memkv_key_to_hex(key, hex);
	if (rc < 0 && rc != MEMKV_EXISTS)
		return report_library(rc, path);
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

/* What the child said; @late says it when it was not heard. */
static int report_in_time(const struct in_time *job, const char *late)
{
	if (job->result == MEMKV_TIMEDOUT || (job->result == MEMKV_UNKNOWN && !job->detail[0]))
		return report_failed((int)job->result, "%s: %s", job->path, late);
	return report_failed((int)job->result, "%s", job->detail[0] ? job->detail : memkv_strerror((int)job->result));
}

static int report_no_child(int rc)
{
	return report_failed(rc, "no process can be started to wait for the medium: %s", strerror(-rc));
}

struct put_job {
	const struct memkv_key *key;
	const struct blockfile *block;
	struct memkv_put_options options;
	bool pin;
};

static int put_and_pin(struct memkv_pool *pool, const struct put_job *put)
{
	int rc = memkv_put(pool, put->key, put->block->data, put->block->length, &put->options);

	if ((rc == 0 || rc == MEMKV_EXISTS) && put->pin) {
		int64_t pinned = memkv_pin(pool, put->key, 1, NULL, NULL);
		rc = pinned < 0 ? (int)pinned : pinned == 0 ? MEMKV_MISS : rc;
	}
	return rc;
}

static int64_t put_in_child(struct memkv_pool *pool, struct in_time *job, uint64_t left_us)
{
	struct put_job put = *(const struct put_job *)job->context;

	put.options.deadline_us = left_us;
	return put_and_pin(pool, &put);
}

static int put_in_time(const char *path, const struct put_job *put, uint64_t deadline_us)
{
	struct in_time job = {
		.path = path, .flags = MEMKV_OPEN_CLI, .deadline_us = deadline_us, .call = put_in_child, .context = put};
	int rc = in_time_run(&job);

	if (rc)
		rc = report_no_child(rc);
	else if (job.result < 0 && job.result != MEMKV_EXISTS)
		rc = report_in_time(&job, job.result == MEMKV_TIMEDOUT
						  ? "the medium did not answer by the deadline; nothing was stored"
						  : "the deadline passed while the block was being written: it may be there or not");
	else
		rc = report_put((int)job.result, path, put->key, put->block->length);
	in_time_fini(&job);
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
	struct memkv_pool *pool;

	if (args->given[OPT_DEADLINE])
		return put_in_time(path, &put, args->number[OPT_DEADLINE]);
	int rc = access_open(path, ACCESS_WRITE, &pool);
	if (rc)
		return rc;
	rc = report_put(put_and_pin(pool, &put), path, key, block->length);
	memkv_pool_close(pool);
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

static int get_block(const struct cli_args *args, const char *path, const struct memkv_key *key,
		     struct memkv_pool *pool)
{
	struct memkv_get_options options = {.size = sizeof(options), .flags = MEMKV_GET_UPTO};
	struct memkv_pool_info info;
	struct blockfile block;
	int rc = memkv_pool_describe(pool, &info);

	if (rc < 0)
		return report_library(rc, path);
	if (blockfile_alloc(&block, info.max_block))
		return report_failed(-ENOMEM, "no memory for a block of %" PRIu64 " bytes", info.max_block);
	int64_t got = memkv_get(pool, key, block.data, info.max_block, &options);
	if (got == MEMKV_MISS)
		rc = report_missing(path, key);
	else if (got < 0)
		rc = report_library((int)got, path);
	else
		rc = write_out(args, key, block.data, (size_t)got);
	blockfile_fini(&block);
	return rc;
}

static int64_t get_in_child(struct memkv_pool *pool, struct in_time *job, uint64_t left_us)
{
	struct memkv_get_options options = {.size = sizeof(options), .flags = MEMKV_GET_UPTO, .deadline_us = left_us};

	return memkv_get(pool, job->context, job->buffer, job->room, &options);
}

static int get_in_time(const struct cli_args *args, const char *path, const struct memkv_key *key)
{
	struct in_time job = {.path = path,
			      .flags = MEMKV_OPEN_READ_ONLY,
			      .deadline_us = args->number[OPT_DEADLINE],
			      .call = get_in_child,
			      .context = key,
			      .room = BLOCK_MOST};
	int rc = in_time_run(&job);

	if (!rc && job.result == MEMKV_UNKNOWN) /* of a get nothing is unknown but when it ends */
		job.result = MEMKV_TIMEDOUT;
	if (rc) {
		rc = report_no_child(rc);
	} else if (job.result == MEMKV_MISS) {
		rc = report_missing(path, key);
	} else if (job.result == MEMKV_TIMEDOUT) {
		(void)report_in_time(&job, "the medium did not answer by the deadline");
		rc = EXIT_MISS;
	} else if (job.result < 0) {
		rc = report_in_time(&job, "");
	} else {
		rc = write_out(args, key, job.buffer, (size_t)job.result);
	}
	in_time_fini(&job);
	return rc;
}

int verb_get(const struct cli_args *args)
{
	struct memkv_pool *pool;
	struct memkv_key key;
	const char *path;

	int rc = access_pool_key(args, &path, &key, NULL);
	if (rc)
		return rc;
	if (report_json() && !args->given[OPT_OUTPUT])
		return report_usage(args->verb, "with --json say where the bytes go: -o FILE");
	if (args->given[OPT_DEADLINE])
		return get_in_time(args, path, &key);
	rc = access_open(path, ACCESS_READ, &pool);
	if (rc)
		return rc;
	rc = get_block(args, path, &key, pool);
	memkv_pool_close(pool);
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

int verb_stat(const struct cli_args *args)
{
	char meta[2 * MEMKV_META_MAX + 1];
	struct memkv_block_info info;
	struct memkv_pool *pool;
	struct memkv_key key;
	const char *path;

	int rc = access_pool_key(args, &path, &key, NULL);
	if (!rc)
		rc = access_open(path, ACCESS_READ, &pool);
	if (rc)
		return rc;
	rc = memkv_stat(pool, &key, &info);
	if (rc == MEMKV_MISS) {
		rc = report_missing(path, &key);
	} else if (rc < 0) {
		rc = report_library(rc, path);
	} else {
		hex_text(info.meta, info.meta_length < MEMKV_META_MAX ? info.meta_length : MEMKV_META_MAX, meta);
		if (report_json())
			stat_json(&info, meta);
		else
			stat_table(&info, meta);
		rc = EXIT_DONE;
	}
	memkv_pool_close(pool);
	return rc;
}

/* ---- rm ---------------------------------------------------------------------------------------------------- */

/**
 * struct removal - what rm did so far
 * @removed: blocks removed.
 * @missing: JSON array of the keys that were not there, or NULL without --json.
 * @misses: their number.
 * @pinned: blocks that stay because they are pinned.
 * @flags: of memkv_remove_with().
 */
struct removal {
	uint64_t removed;
	uint64_t misses;
	uint64_t pinned;
	uint32_t flags;
	struct json_object *missing;
};

static void note_missing(struct removal *removal, const struct memkv_key *key)
{
	char hex[MEMKV_KEY_HEX];

	memkv_key_to_hex(key, hex);
	removal->misses++;
	if (removal->missing)
		json_object_array_add(removal->missing, json_object_new_string(hex));
	else
		report_note("%s: no such block", hex);
}

static int remove_keys(struct removal *removal, struct memkv_pool *pool, const char *path, const struct memkv_key *keys,
		       size_t count, bool dry_run)
{
	for (size_t i = 0; i < count; i++) {
		int rc = dry_run ? memkv_exists(pool, &keys[i], MEMKV_LOOK_FRESH)
				 : memkv_remove_with(pool, &keys[i], removal->flags);
		if (rc == MEMKV_MISS || rc == 0)
			note_missing(removal, &keys[i]);
		else if (rc == MEMKV_PINNED)
			removal->pinned++;
		else if (rc < 0)
			return report_library(rc, path);
		else
			removal->removed += (uint64_t)rc;
	}
	return EXIT_DONE;
}

/* Removing while walking is fine: each block that was there at the start appears exactly once. */
static int remove_filtered(struct removal *removal, struct memkv_pool *pool, const char *path,
			   const struct cli_args *args)
{
	struct memkv_filter filter = {
		.size = sizeof(filter),
		.has_class = args->given[OPT_CLASS],
		.class_id = (uint32_t)args->number[OPT_CLASS],
		.session = args->text[OPT_SESSION],
	};
	struct memkv_block_info info;
	struct memkv_iter *iter;
	int rc = memkv_iter_open(pool, &filter, &iter);

	if (rc < 0)
		return report_library(rc, path);
	while (!rc && memkv_iter_next(iter, &info) > 0) {
		int gone = args->given[OPT_DRY_RUN] ? 1 : memkv_remove_with(pool, &info.key, removal->flags);
		if (gone > 0)
			removal->removed += (uint64_t)gone;
		else if (gone == MEMKV_PINNED)
			removal->pinned++;
		else if (gone < 0 && gone != MEMKV_MISS)
			rc = report_library(gone, path);
	}
	memkv_iter_close(iter);
	return rc;
}

static int print_removal(struct removal *removal, const char *path, bool dry_run)
{
	if (removal->pinned && !removal->removed)
		return report_failed(MEMKV_PINNED, "%s: %" PRIu64 " of these blocks are pinned; unpin them first, or say --unpin",
				     path, removal->pinned);
	if (removal->missing) {
		struct json_object *document = report_document();
		report_add_number(document, "removed", removal->removed);
		report_add_number(document, "pinned", removal->pinned);
		report_add_flag(document, "dry_run", dry_run);
		json_object_object_add(document, "missing", removal->missing);
		removal->missing = NULL;
		report_print(document);
	} else if (removal->removed) {
		printf("%s %" PRIu64 " block%s\n", dry_run ? "would remove" : "removed", removal->removed,
		       removal->removed == 1 ? "" : "s");
	}
	if (removal->pinned)
		report_note("%" PRIu64 " pinned blocks were left alone; --unpin takes them as well", removal->pinned);
	return removal->pinned ? EXIT_REFUSED : removal->misses ? EXIT_MISS : EXIT_DONE;
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
	bool filtered = args->given[OPT_CLASS] || args->given[OPT_SESSION], dry_run = args->given[OPT_DRY_RUN];
	struct removal removal = {.missing = report_json() ? json_object_new_array() : NULL,
				  .flags = args->given[OPT_UNPIN] ? MEMKV_REMOVE_UNPIN : 0U};
	struct memkv_pool *pool = NULL;
	struct memkv_key *keys = NULL;
	const char *path;
	size_t count;

	int rc = access_pool_keys(args, &path, &keys, &count);
	if (!rc)
		rc = check_rm_args(args, count, filtered);
	if (!rc)
		rc = access_open(path, dry_run ? ACCESS_READ : ACCESS_WRITE, &pool);
	if (!rc && filtered)
		rc = remove_filtered(&removal, pool, path, args);
	else if (!rc)
		rc = remove_keys(&removal, pool, path, keys, count, dry_run);
	if (!rc)
		rc = print_removal(&removal, path, dry_run);
	json_object_put(removal.missing);
	memkv_pool_close(pool);
	free(keys);
	return rc;
}
