/* SPDX-License-Identifier: Apache-2.0 */
/* memkv pin, unpin, pins: what no agent may evict. */
#include "cli/access.h"
#include "cli/in_time.h"
#include "cli/report.h"
#include "cli/verbs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/**
 * struct pin_words - the command line of pin and unpin
 * @path: the pool.
 * @keys, @count: the keys.
 * @session: or NULL.
 * @prefix: --prefix-of was given.
 * @options: of pin.
 */
struct pin_words {
	const char *path;
	struct memkv_key *keys;
	size_t count;
	const char *session;
	bool prefix;
	struct memkv_pin_options options;
};

static int take_words(const struct cli_args *args, struct pin_words *words)
{
	int rc = access_pool_keys(args, &words->path, &words->keys, &words->count);

	if (rc)
		return rc;
	words->session = args->text[OPT_SESSION];
	words->prefix = args->given[OPT_PREFIX_OF];
	if (words->session && (words->count || words->prefix))
		return report_usage(args->verb, "give either --session or keys");
	if (!words->session && !words->count)
		return report_usage(args->verb, "KEY is missing: 64 hex digits, --name TEXT, --prefix-of KEY... or --session S");
	return 0;
}

static int print_done(const char *what, int64_t done, const struct pin_words *words, const int *results)
{
	struct json_object *missing = json_object_new_array();
	char hex[MEMKV_KEY_HEX];
	uint64_t misses = 0;

	for (size_t i = 0; results && i < words->count; i++) {
		if (results[i] != MEMKV_MISS)
			continue;
		memkv_key_to_hex(&words->keys[i], hex);
		misses++;
		json_object_array_add(missing, json_object_new_string(hex));
		if (!report_json())
			report_note("%s: %s", hex, *what == 'u' ? "not pinned" : "no such block");
	}
	if (report_json()) {
		struct json_object *document = report_document();
		report_add_number(document, what, (uint64_t)done);
		json_object_object_add(document, "missing", missing);
		report_print(document);
		return misses ? EXIT_MISS : EXIT_DONE;
	}
	json_object_put(missing);
	if (words->session)
		printf("%s session ", what);
	if (words->session)
		report_safe_text(stdout, words->session);
	if (words->session && *what == 'p')
		printf(", %" PRId64 " block%s of it stored\n", done, done == 1 ? "" : "s");
	else if (words->session)
		putchar('\n');
	else if (done)
		printf("%s %" PRId64 " block%s\n", what, done, done == 1 ? "" : "s");
	return misses ? EXIT_MISS : EXIT_DONE;
}

static int parse_ttl(const struct cli_args *args, struct memkv_pin_options *options)
{
	const char *text = args->text[OPT_PIN_TTL];

	if (!text)
		return 0;
	if (!strcmp(text, "none")) {
		options->flags |= MEMKV_PIN_FOR_EVER;
		return 0;
	}
	const char *wrong = cli_parse_duration(text, &options->ttl_s);
	if (!wrong && options->ttl_s == 0)
		wrong = "is too small";
	return wrong ? report_usage(args->verb, "--ttl: '%s' %s, nor none", text, wrong) : 0;
}

static int64_t call_pin(struct memkv_pool *pool, struct in_time *job)
{
	const struct pin_words *words = job->context;
	struct memkv_pin_options options = words->options;

	options.deadline_us = in_time_left(job);
	if (words->session)
		return memkv_pin_session(pool, words->session, &options);
	if (words->prefix)
		return memkv_pin_prefix(pool, words->keys, words->count, &options);
	return memkv_pin(pool, words->keys, words->count, &options, job->buffer);
}

static int64_t call_unpin(struct memkv_pool *pool, struct in_time *job)
{
	const struct pin_words *words = job->context;
	int64_t count = (int64_t)words->count;

	if (words->session)
		return memkv_unpin_session_by(pool, words->session, in_time_left(job));
	if (words->prefix) /* what lies behind the longest stored prefix is left alone */
		count = memkv_match_by(pool, words->keys, words->count, MEMKV_LOOK_FRESH, in_time_left(job));
	return count > 0 ? memkv_unpin_by(pool, words->keys, (size_t)count, job->buffer, in_time_left(job)) : count;
}

static int do_words(const struct cli_args *args, const char *what, struct pin_words *words,
		    int64_t (*call)(struct memkv_pool *pool, struct in_time *job))
{
	bool told = words->count && !(words->prefix && call == call_pin); /* of each key */
	struct in_time job = {.path = words->path,
			      .flags = MEMKV_OPEN_CLI,
			      .deadline_us = args->number[OPT_DEADLINE],
			      .call = call,
			      .context = words,
			      .room = told ? words->count * sizeof(int) : 0};
	int rc = in_time_run(&job);

	if (!rc && job.result == MEMKV_MISS)
		rc = report_failed(MEMKV_MISS, "%s: this session is not pinned", words->path);
	else if (!rc && job.result < 0)
		rc = in_time_report(&job, job.result == MEMKV_TIMEDOUT
						  ? "the medium did not answer by the deadline; nothing was changed"
						  : "the deadline passed: what was asked for may be in force, or come to be, wholly or in part, or not");
	else if (!rc && words->prefix && job.result == 0)
		rc = report_failed(MEMKV_MISS, "%s: not even the first of these blocks is stored", words->path);
	else if (!rc)
		rc = print_done(what, job.result, words, job.buffer);
	in_time_fini(&job);
	return rc;
}

int verb_pin(const struct cli_args *args)
{
	struct pin_words words = {.options = {.size = sizeof(words.options)}};

	int rc = take_words(args, &words);
	if (!rc)
		rc = parse_ttl(args, &words.options);
	if (!rc)
		rc = do_words(args, "pinned", &words, call_pin);
	free(words.keys);
	return rc;
}

int verb_unpin(const struct cli_args *args)
{
	struct pin_words words = {0};

	int rc = take_words(args, &words);
	if (!rc)
		rc = do_words(args, "unpinned", &words, call_unpin);
	free(words.keys);
	return rc;
}

/* ---- pins -------------------------------------------------------------------------------------------------- */

static void print_pin_json(const struct memkv_pin_info *pin)
{
	struct json_object *line = report_document();
	char text[32];

	report_add_text(line, "kind", pin->is_session ? "session" : "key");
	if (pin->is_session) {
		snprintf(text, sizeof(text), "%016" PRIx64, pin->session_id);
		report_add_text(line, "session_id", text);
		report_add_text(line, "session", pin->session);
	} else {
		report_add_key(line, "key", &pin->key);
		report_add_number(line, "bytes", pin->pages * 4096);
	}
	report_add_time(line, "expires_s", pin->expires_s);
	snprintf(text, sizeof(text), "%u@%u", pin->slot, pin->epoch);
	report_add_text(line, "by", text);
	report_print(line);
}

static void print_pin(const struct memkv_pin_info *pin)
{
	time_t seconds = (time_t)pin->expires_s;
	char hex[MEMKV_KEY_HEX], ends[32] = "-";
	struct tm tm;

	if (pin->expires_s && gmtime_r(&seconds, &tm))
		strftime(ends, sizeof(ends), "%Y-%m-%dT%H:%M:%SZ", &tm);
	memkv_key_to_hex(&pin->key, hex);
	if (!pin->is_session) {
		printf("%s %10" PRIu64 " %-20s %u@%u\n", hex, pin->pages * 4096, ends, pin->slot, pin->epoch);
		return;
	}
	printf("session %-56.32s %10s %-20s %u@%u\n", pin->session, "", ends, pin->slot, pin->epoch);
}

static int64_t call_pins(struct memkv_pool *pool, struct in_time *job)
{
	int64_t room = memkv_pins_by(pool, NULL, 0, in_time_left(job));
	struct memkv_pin_info *pins = room > 0 ? calloc((size_t)room, sizeof(*pins)) : NULL;
	int64_t count = room > 0 ? pins ? memkv_pins_by(pool, pins, (size_t)room, in_time_left(job)) : -ENOMEM : room;

	if (count > 0 && in_time_add(job, pins, (size_t)(count < room ? count : room) * sizeof(*pins)))
		count = -ENOMEM;
	free(pins);
	return count;
}

static void print_one(const struct cli_args *args, const void *one)
{
	(void)args;
	if (report_json())
		print_pin_json(one);
	else
		print_pin(one);
}

int verb_pins(const struct cli_args *args) { return in_time_list(args, call_pins, sizeof(struct memkv_pin_info), print_one); }
