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

struct wanted {
	struct memkv_filter filter;
	const struct memkv_key *after; /* or NULL */
};

/* Everything that the filter passes and that lies behind @after: the number of segments that could not be read. */
static int64_t call_ls(struct memkv_pool *pool, struct in_time *job)
{
	const struct wanted *wanted = job->context;
	struct memkv_iter *iter = NULL;
	struct memkv_block_info info;
	int64_t unread = 0;
	int got, err = memkv_iter_open_by(pool, &wanted->filter, &iter, in_time_left(job));

	while (!err && (got = memkv_iter_next_by(iter, &info, in_time_left(job))) != 0) {
		struct listed one = {
			.key = info.key,
			.length = info.length,
			.stored_s = info.stored_s,
			.expires_s = info.expires_s,
			.session_id = info.session_id,
			.class_id = info.class_id,
			.depth = info.depth,
		};
		if (got == -EIO)
			unread++;
		else if (got < 0)
			err = got;
		else if (!wanted->after || memcmp(info.key.bytes, wanted->after->bytes, MEMKV_KEY_BYTES) > 0)
			err = in_time_add(job, &one, sizeof(one));
	}
	memkv_iter_close(iter);
	return err ? err : unread;
}

static int by_key(const void *a, const void *b)
{
	const struct listed *const *x = a, *const *y = b;

	return memcmp((*x)->key.bytes, (*y)->key.bytes, MEMKV_KEY_BYTES);
}

/* @count blocks in the order of their keys; free() it */
static const struct listed **in_order(const struct listed *blocks, size_t count)
{
	const struct listed **order = calloc(count + 1, sizeof(const struct listed *));

	for (size_t i = 0; order && i < count; i++)
		order[i] = &blocks[i];
	if (order && count)
		qsort(order, count, sizeof(const struct listed *), by_key);
	return order;
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

static int print_all(const struct in_time *job, const char *session, uint64_t limit)
{
	size_t count = job->added_bytes / sizeof(struct listed);
	const struct listed **order = in_order(job->added, count);
	int rc = order ? 0 : report_failed(-ENOMEM, "no memory to sort %zu blocks", count);

	if (!rc && !count && report_json() && !job->result) {
		struct json_object *document = report_document();
		report_add_number(document, "count", 0);
		report_print(document);
	}
	for (size_t i = 0; !rc && i < count && i < limit && !report_output_fails(); i++) {
		if (interrupt_seen())
			rc = report_failed(-EINTR, "interrupted");
		else if (report_json())
			print_listed_json(order[i], session);
		else
			print_listed(order[i]);
	}
	free(order);
	return rc;
}

int verb_ls(const struct cli_args *args)
{
	struct wanted wanted = {.filter = {.size = sizeof(wanted.filter),
					   .has_class = args->given[OPT_CLASS],
					   .class_id = (uint32_t)args->number[OPT_CLASS],
					   .session = args->text[OPT_SESSION]}};
	struct in_time job = {.flags = MEMKV_OPEN_READ_ONLY,
			      .deadline_us = args->number[OPT_DEADLINE],
			      .reads = true,
			      .call = call_ls,
			      .context = &wanted};
	struct memkv_key after;

	int rc = access_pool(args, &job.path);
	if (rc)
		return rc;
	if (args->given[OPT_AFTER] && memkv_key_from_hex(args->text[OPT_AFTER], &after) < 0)
		return report_usage(args->verb, "--after: '%s' is not a key: 64 hex digits", args->text[OPT_AFTER]);
	wanted.after = args->given[OPT_AFTER] ? &after : NULL;
	rc = in_time_run(&job);
	if (!rc && job.result < 0)
		rc = in_time_report(&job, IN_TIME_LATE);
	else if (!rc)
		rc = print_all(&job, wanted.filter.session, args->given[OPT_LIMIT] ? args->number[OPT_LIMIT] : UINT64_MAX);
	if (!rc && job.result > 0)
		rc = report_failed(-EIO, "%s: the medium does not answer for %" PRId64 " segment%s; what they hold is not listed", job.path,
				   job.result, job.result == 1 ? "" : "s");
	in_time_fini(&job);
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
		rc = in_time_report(&job, IN_TIME_LATE);
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
