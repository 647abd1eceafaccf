/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two formats of trace files.
 *
 *   .jsonl  one request a line: {"timestamp", "input_length", "output_length", "hash_ids"}, ids global
 *   .json   one object: {"block_size", "hash_id_scope", "requests": [{"t", "in", "out", "hash_ids"}, ...]};
 *           a request may hold a sub-agent's own "requests", which come right after it
 *
 * A request that cannot be understood is named and skipped; a .json file that cannot be parsed at all has nothing to
 * skip to and is refused.
 */
#include "cli/blockfile.h"
#include "cli/report.h"
#include "cli/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MOST ((size_t)INT32_MAX) /* the JSON parser takes an int */
#define BROKEN_NAMED 20		      /* broken lines of one file that are named; further ones are counted */

/**
 * struct reader - one file being read
 * @trace: receives the requests.
 * @path: the file.
 * @strict: a broken request ends it.
 * @scope, @block_tokens: of its requests.
 * @broken: broken requests so far.
 * @seen: requests so far, nested ones included, for messages.
 * @id, @ids_room: scratch for one chain.
 */
struct reader {
	struct trace *trace;
	const char *path;
	bool strict;
	uint32_t scope;
	uint64_t block_tokens;
	uint64_t broken;
	uint64_t seen;
	uint64_t *id;
	size_t ids_room;
};

/* Bad input is damage of the data, not of the command line. */
static int refuse(const struct reader *reader, const char *unit, uint64_t number, const char *why)
{
	return report_failed(-EBADMSG, "%s, %s %" PRIu64 ": %s", reader->path, unit, number, why);
}

static int skip(struct reader *reader, const char *unit, uint64_t number, const char *why)
{
	if (reader->strict)
		return refuse(reader, unit, number, why);
	reader->broken++;
	reader->trace->lines_skipped++;
	if (reader->broken <= BROKEN_NAMED)
		report_note("%s, %s %" PRIu64 ": %s; skipped", reader->path, unit, number, why);
	return 0;
}

/* A member that is a number of 0 or more; a fraction is cut off. */
static bool take_number(struct json_object *from, const char *name, uint64_t *value)
{
	struct json_object *member;

	if (!json_object_object_get_ex(from, name, &member))
		return false;
	if (json_object_is_type(member, json_type_int)) {
		if (json_object_get_int64(member) < 0)
			return false;
		*value = json_object_get_uint64(member);
		return true;
	}
	double real = json_object_is_type(member, json_type_double) ? json_object_get_double(member) : -1;
	if (!(real >= 0 && real < 9e18))
		return false;
	*value = (uint64_t)real;
	return true;
}

/* The chain into the scratch; returns what is wrong with it or NULL. */
static const char *take_ids(struct reader *reader, struct json_object *request, size_t *count)
{
	struct json_object *list;

	if (!json_object_object_get_ex(request, "hash_ids", &list) || !json_object_is_type(list, json_type_array))
		return "there is no array \"hash_ids\"";
	*count = json_object_array_length(list);
	if (*count > reader->ids_room) {
		uint64_t *more = reallocarray(reader->id, *count, sizeof(*more));
		if (!more)
			return "no memory for its chain";
		reader->id = more;
		reader->ids_room = *count;
	}
	for (size_t i = 0; i < *count; i++) {
		struct json_object *one = json_object_array_get_idx(list, i);
		if (!json_object_is_type(one, json_type_int) || json_object_get_int64(one) < 0)
			return "\"hash_ids\" holds something that is not a number of 0 or more";
		reader->id[i] = json_object_get_uint64(one);
	}
	return NULL;
}

/* One request whose fields have these names; returns what is wrong with it or NULL. */
static const char *take_request(struct reader *reader, struct json_object *request, const char *in, const char *out)
{
	struct trace_request head = {.block_tokens = reader->block_tokens};
	uint64_t seconds = 0;
	size_t count;

	const char *why = take_ids(reader, request, &count);
	if (why)
		return why;
	if (!take_number(request, in, &head.input_tokens))
		return "its input length is missing or not a number";
	(void)take_number(request, out, &head.output_tokens);
	if (!take_number(request, "timestamp", &head.timestamp_ms) && take_number(request, "t", &seconds))
		head.timestamp_ms = seconds * 1000;
	int rc = trace_add_request(reader->trace, reader->scope, &head, reader->id, count);
	return rc == -E2BIG ? "there are too many requests or blocks" : rc ? "no memory" : NULL;
}

/* ---- .jsonl ------------------------------------------------------------------------------------------------ */

static bool only_space(const char *text, size_t length)
{
	return strspn(text, " \t\r\n") >= length;
}

static const char *take_line(struct reader *reader, struct json_tokener *parser, const char *line, size_t length)
{
	json_tokener_reset(parser);
	struct json_object *request = json_tokener_parse_ex(parser, line, (int)length);
	enum json_tokener_error error = json_tokener_get_error(parser);
	const char *why = NULL;

	if (error == json_tokener_continue)
		why = "the line ends inside a JSON value";
	else if (error != json_tokener_success)
		why = json_tokener_error_desc(error);
	else if (!only_space(line + json_tokener_get_parse_end(parser), length - json_tokener_get_parse_end(parser)))
		why = "something follows the JSON object";
	else if (!json_object_is_type(request, json_type_object))
		why = "this is not a JSON object";
	else
		why = take_request(reader, request, "input_length", "output_length");
	json_object_put(request);
	return why;
}

/* @text ends in a NUL behind @length, so that strspn() stops. */
static int read_lines(struct reader *reader, struct json_tokener *parser, const char *text, size_t length)
{
	uint64_t number = 0;

	for (const char *line = text; line < text + length;) {
		const char *end = memchr(line, '\n', (size_t)(text + length - line));
		size_t bytes = end ? (size_t)(end - line) : (size_t)(text + length - line);
		number++;
		const char *why = only_space(line, bytes) ? NULL : take_line(reader, parser, line, bytes);
		int rc = why ? skip(reader, "line", number, why) : 0;
		if (rc)
			return rc;
		line += bytes + 1;
	}
	return 0;
}

/* ---- .json ------------------------------------------------------------------------------------------------- */

static int read_requests(struct reader *reader, struct json_object *list)
{
	size_t count = json_object_array_length(list);

	for (size_t i = 0; i < count; i++) {
		struct json_object *request = json_object_array_get_idx(list, i), *nested = NULL;
		const char *why = NULL;
		reader->seen++;
		bool holds = json_object_is_type(request, json_type_object) &&
			     json_object_object_get_ex(request, "requests", &nested) &&
			     json_object_is_type(nested, json_type_array);
		if (!json_object_is_type(request, json_type_object))
			why = "this is not a JSON object";
		else if (!holds || json_object_object_get_ex(request, "hash_ids", NULL))
			why = take_request(reader, request, "in", "out");
		int rc = why ? skip(reader, "request", reader->seen, why) : 0;
		if (!rc && holds)
			rc = read_requests(reader, nested); /* as deep as the parser went, which has a limit */
		if (rc)
			return rc;
	}
	return 0;
}

static int read_conversation(struct reader *reader, struct json_object *file, struct json_object *requests)
{
	struct json_object *scope;
	const char *scope_text = "local", *slash = strrchr(reader->path, '/');

	if (!take_number(file, "block_size", &reader->block_tokens) || !reader->block_tokens)
		return report_failed(-EBADMSG, "%s: \"block_size\" is missing or not a number of 1 or more",
				     reader->path);
	if (json_object_object_get_ex(file, "hash_id_scope", &scope))
		scope_text = json_object_get_string(scope);
	if (scope_text && !strcmp(scope_text, "local")) {
		int number = trace_add_scope(reader->trace, slash ? slash + 1 : reader->path);
		if (number < 0)
			return report_failed(-ENOMEM, "no memory for %s", reader->path);
		reader->scope = (uint32_t)number;
	} else if (!scope_text || strcmp(scope_text, "global")) {
		return report_failed(-EBADMSG, "%s: \"hash_id_scope\" is neither \"local\" nor \"global\"",
				     reader->path);
	}
	return read_requests(reader, requests);
}

static uint64_t line_of(const char *text, size_t offset)
{
	uint64_t line = 1;

	for (size_t i = 0; i < offset; i++)
		line += text[i] == '\n';
	return line;
}

static int read_file(struct reader *reader, struct json_tokener *parser, const char *text, size_t length)
{
	size_t name = strlen(reader->path);
	struct json_object *requests;
	int rc;

	if (name > 6 && !strcmp(reader->path + name - 6, ".jsonl"))
		return read_lines(reader, parser, text, length);
	struct json_object *first = json_tokener_parse_ex(parser, text, (int)length);
	size_t end = json_tokener_get_parse_end(parser);
	enum json_tokener_error error = json_tokener_get_error(parser);
	if (error == json_tokener_continue)
		rc = report_failed(-EBADMSG, "%s ends inside a JSON value", reader->path);
	else if (error != json_tokener_success)
		rc = refuse(reader, "line", line_of(text, end), json_tokener_error_desc(error));
	else if (!json_object_is_type(first, json_type_object) ||
		 !json_object_object_get_ex(first, "requests", &requests) ||
		 !json_object_is_type(requests, json_type_array))
		rc = read_lines(reader, parser, text, length); /* lines of requests under another name */
	else if (!only_space(text + end, length - end))
		rc = refuse(reader, "line", line_of(text, end), "something follows the JSON object");
	else
		rc = read_conversation(reader, first, requests);
	json_object_put(first);
	return rc;
}

static int read_text(struct reader *reader, const char *text, size_t length)
{
	struct json_tokener *parser = json_tokener_new();

	if (!parser)
		return report_failed(-ENOMEM, "no memory for %s", reader->path);
	int rc = read_file(reader, parser, text, length);
	json_tokener_free(parser);
	if (reader->broken > BROKEN_NAMED)
		report_note("%s: %" PRIu64 " more were skipped", reader->path, reader->broken - BROKEN_NAMED);
	return rc;
}

int trace_read(struct trace *trace, const char *path, bool strict)
{
	struct reader reader = {.trace = trace, .path = path, .strict = strict, .block_tokens = TRACE_BLOCK_TOKENS};
	struct blockfile file;
	int rc = blockfile_read(&file, path, FILE_MOST - 1);

	if (rc == -ENOENT)
		return report_usage("replay", "%s: %s", path, strerror(ENOENT));
	if (rc)
		return report_failed(rc, "%s: %s", path, strerror(-rc));
	/* blockfile_read() reads until there is room behind the last byte, and that room is zero. */
	rc = read_text(&reader, file.data, file.length);
	blockfile_fini(&file);
	free(reader.id);
	return rc;
}
