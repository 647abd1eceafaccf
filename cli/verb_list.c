/* SPDX-License-Identifier: Apache-2.0 */
/* memkv ls, match: verbs on many blocks. */
#include "cli/access.h"
#include "cli/in_time.h"
#include "cli/interrupt.h"
#include "cli/report.h"
#include "cli/verbs.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/**
 * struct listed - what ls keeps of a block while it collects them; the library's own record is far larger
 */
struct listed {
	struct memkv_key key;
	uint64_t length;
	uint64_t stored_s;
	uint64_t expires_s;
	uint64_t session_id;
	uint32_t class_id;
	uint32_t depth;
};

struct listing {
	struct listed *block;
	size_t count;
	size_t room;
};

static int by_key(const void *a, const void *b)
{
	return memcmp(((const struct listed *)a)->key.bytes, ((const struct listed *)b)->key.bytes, MEMKV_KEY_BYTES);
}

static int listing_add(struct listing *list, const struct memkv_block_info *info)
{
	if (list->count == list->room) {
		size_t room = list->room ? list->room * 2 : 1024;
		struct listed *more = reallocarray(list->block, room, sizeof(*more));
		if (!more)
			return report_failed(-ENOMEM, "no memory to list more than %zu blocks", list->count);
		list->block = more;
		list->room = room;
	}
	list->block[list->count++] = (struct listed){
		.key = info->key,
		.length = info->length,
		.stored_s = info->stored_s,
		.expires_s = info->expires_s,
		.session_id = info->session_id,
		.class_id = info->class_id,
		.depth = info->depth,
	};
	return 0;
}

/* Everything that the filter passes and that lies behind @after (or NULL). */
static int collect(struct listing *list, struct memkv_pool *pool, const char *path, const struct memkv_filter *filter,
		   const struct memkv_key *after)
{
	struct memkv_block_info info;
	struct memkv_iter *iter;
	int rc = memkv_iter_open(pool, filter, &iter);

	if (rc < 0)
		return report_library(rc, path);
	while (!rc && memkv_iter_next(iter, &info) > 0)
		if (!after || memcmp(info.key.bytes, after->bytes, MEMKV_KEY_BYTES) > 0)
			rc = listing_add(list, &info);
	memkv_iter_close(iter);
	return rc;
}

static void print_listed_json(const struct listed *block, const char *session)
{
	struct json_object *line = report_document();
	char text[CLI_CLASS_TEXT], id[17];

	report_add_key(line, "key", &block->key);
	report_add_number(line, "length", block->length);
	report_add_text(line, "class", cli_class_text(block->class_id, text));
	report_add_number(line, "class_id", block->class_id);
	report_add_number(line, "depth", block->depth);
	if (session)
		report_add_text(line, "session", session);
	snprintf(id, sizeof(id), "%016" PRIx64, block->session_id);
	if (block->session_id)
		report_add_text(line, "session_id", id);
	else
		json_object_object_add(line, "session_id", NULL);
	report_add_time(line, "stored_s", block->stored_s);
	report_add_time(line, "expires_s", block->expires_s);
	report_print(line);
}

static const char *time_text(uint64_t utc_s, char text[32])
{
	time_t seconds = (time_t)utc_s;
	struct tm tm;

	if (!utc_s || !gmtime_r(&seconds, &tm) || !strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &tm))
		strcpy(text, "-");
	return text;
}

static void print_listed(const struct listed *block)
{
	char hex[MEMKV_KEY_HEX], class_text[CLI_CLASS_TEXT], stored[32], expires[32];

	memkv_key_to_hex(&block->key, hex);
	printf("%s %10" PRIu64 " %-8s %5u %s %s\n", hex, block->length, cli_class_text(block->class_id, class_text),
	       block->depth, time_text(block->stored_s, stored), time_text(block->expires_s, expires));
}

int verb_ls(const struct cli_args *args)
{
	struct memkv_filter filter = {
		.size = sizeof(filter),
		.has_class = args->given[OPT_CLASS],
		.class_id = (uint32_t)args->number[OPT_CLASS],
		.session = args->text[OPT_SESSION],
	};
	uint64_t limit = args->given[OPT_LIMIT] ? args->number[OPT_LIMIT] : UINT64_MAX;
	struct listing list = {0};
	struct memkv_pool *pool;
	struct memkv_key after;
	const char *path;

	int rc = access_pool(args, &path);
	if (rc)
		return rc;
	if (args->given[OPT_AFTER] && memkv_key_from_hex(args->text[OPT_AFTER], &after) < 0)
		return report_usage(args->verb, "--after: '%s' is not a key: 64 hex digits", args->text[OPT_AFTER]);
	rc = access_open(path, ACCESS_READ, &pool);
	if (rc)
		return rc;
	rc = collect(&list, pool, path, &filter, args->given[OPT_AFTER] ? &after : NULL);
	memkv_pool_close(pool);
	if (!rc && list.count)
		qsort(list.block, list.count, sizeof(*list.block), by_key);
	if (!rc && !list.count && report_json()) {
		struct json_object *document = report_document();
		report_add_number(document, "count", 0);
		report_print(document);
	}
	for (size_t i = 0; !rc && i < list.count && i < limit && !report_output_fails(); i++) {
		if (interrupt_seen())
			rc = report_failed(-EINTR, "interrupted");
		else if (report_json())
			print_listed_json(&list.block[i], filter.session);
		else
			print_listed(&list.block[i]);
	}
	free(list.block);
	return rc;
}

/* ---- match ------------------------------------------------------------------------------------------------- */

/* Cut white space at both ends of @line, in place. */
static char *trim(char *line)
{
	size_t length = strlen(line);

	while (length && isspace((unsigned char)line[length - 1]))
		line[--length] = '\0';
	while (isspace((unsigned char)*line))
		line++;
	return line;
}

/* Keys from standard input, one a line; empty lines are passed over. */
static int read_keys(const struct cli_args *args, struct memkv_key **keys, size_t *count)
{
	size_t room = 0, line_room = 0, number = 0;
	char *line = NULL;
	int rc = 0;

	while (!rc && getline(&line, &line_room, stdin) >= 0) {
		char *text = trim(line);
		number++;
		if (!*text)
			continue;
		if (*count == room) {
			room = room ? room * 2 : 256;
			struct memkv_key *more = reallocarray(*keys, room, sizeof(*more));
			if (!more) {
				rc = report_failed(-ENOMEM, "no memory for more than %zu keys", *count);
				break;
			}
			*keys = more;
		}
		if (memkv_key_from_hex(text, &(*keys)[*count]) < 0)
			rc = report_usage(args->verb, "line %zu: '%.80s' is not a key: 64 hex digits", number, text);
		else
			(*count)++;
	}
	if (!rc && ferror(stdin))
		rc = report_failed(-EIO, "cannot read standard input");
	free(line);
	return rc;
}

struct chain {
	const struct memkv_key *keys;
	size_t count;
};

static int64_t call_match(struct memkv_pool *pool, struct in_time *job)
{
	const struct chain *chain = job->context;

	return chain->count ? memkv_match_by(pool, chain->keys, chain->count, MEMKV_LOOK_FRESH, in_time_left(job)) : 0;
}

static int match_keys(const struct cli_args *args, const char *path, const struct memkv_key *keys, size_t count)
{
	struct chain chain = {keys, count};
	struct in_time job = {.path = path,
			      .flags = MEMKV_OPEN_READ_ONLY,
			      .deadline_us = args->number[OPT_DEADLINE],
			      .reads = true,
			      .call = call_match,
			      .context = &chain};
	int rc = in_time_run(&job);

	if (!rc && job.result < 0) {
		rc = in_time_report(&job, "the medium did not answer by the deadline");
	} else if (!rc && report_json()) {
		struct json_object *document = report_document();
		report_add_number(document, "matched", (uint64_t)job.result);
		report_add_number(document, "keys", count);
		report_print(document);
	} else if (!rc) {
		printf("%" PRId64 "\n", job.result);
	}
	in_time_fini(&job);
	return rc;
}

int verb_match(const struct cli_args *args)
{
	struct memkv_key *keys = NULL;
	const char *path;
	size_t count = 0;
	int rc = access_pool_keys(args, &path, &keys, &count);

	if (rc)
		return rc;
	if (!count)
		rc = read_keys(args, &keys, &count);
	if (!rc)
		rc = match_keys(args, path, keys, count);
	free(keys);
	return rc;
}
