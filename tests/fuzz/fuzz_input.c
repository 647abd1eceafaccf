/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes from people and other programs: trace files (first byte 0 to 2: .jsonl, .json, and as a stranger's name), specs of
 * made-up traces, sizes, counts, durations, classes, keys.
 *
 * Must hold: no fault; a trace that was read is whole (every request's chain, every unit and every scope lies within it);
 * what is refused has a sentence; a value that is accepted is that value.
 */
#include "fuzz.h"

#include "cli/blockfile.h"
#include "cli/options.h"
#include "cli/report.h"
#include "cli/trace.h"

#include <memkv/key.h>

#include <errno.h>
#include <stdarg.h>

static const uint8_t *file;
static size_t file_bytes;

/* ---- in place of the tool's own: sentences are made and looked at, not printed; the file is the input ---- */

static void make_sentence(const char *format, va_list args)
{
	char sentence[4096];
	int length = vsnprintf(sentence, sizeof(sentence), format, args);

	MUST(length > 0);
}

int report_usage(const char *verb, const char *format, ...)
{
	va_list args;

	(void)verb;
	va_start(args, format);
	make_sentence(format, args);
	va_end(args);
	return 2;
}

int report_failed(int result, const char *format, ...)
{
	va_list args;

	MUST(result < 0);
	va_start(args, format);
	make_sentence(format, args);
	va_end(args);
	return 4;
}

void report_note(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	make_sentence(format, args);
	va_end(args);
}

int blockfile_read(struct blockfile *to, const char *path, size_t most)
{
	(void)path;
	MUST(file_bytes <= most);
	*to = (struct blockfile){.data = malloc(file_bytes + 1), .length = file_bytes, .room = file_bytes + 1};
	MUST(to->data);
	memcpy(to->data, file, file_bytes);
	((char *)to->data)[file_bytes] = 0; /* as there: room behind the last byte, and that is zero */
	return 0;
}

void blockfile_fini(struct blockfile *of)
{
	free(of->data);
}

/* ---- traces ---- */

static void whole(const struct trace *trace)
{
	size_t in_units = 0, longest = 0;

	for (size_t i = 0; i < trace->requests; i++) {
		const struct trace_request *r = &trace->request[i];
		MUST(r->first_ref <= trace->refs && r->refs <= trace->refs - r->first_ref && r->block_tokens > 0);
		longest = r->refs > longest ? r->refs : longest;
	}
	MUST(trace->longest == longest);
	for (size_t i = 0; i < trace->refs; i++)
		MUST(trace->ref[i] < trace->blocks);
	for (size_t i = 0; i < trace->blocks; i++)
		MUST(trace->block[i].scope < trace->scopes);
	for (size_t i = 0; i < trace->units; i++) {
		MUST(trace->unit[i].scope < trace->scopes && trace->unit[i].first == in_units);
		in_units += trace->unit[i].count;
	}
	MUST(in_units == trace->requests);
	double ceiling = trace_prefix_ceiling(trace);
	MUST(ceiling <= 1);
}

static void fuzz_trace(unsigned kind, const char *path)
{
	struct trace trace;

	MUST(trace_init(&trace) == 0);
	int rc = trace_read(&trace, path, kind & 8);
	MUST(rc >= 0);
	if (!rc && !(kind & 16))
		rc = trace_read(&trace, path, false); /* a second file of the same name */
	if (!rc) {
		whole(&trace);
		trace_cut(&trace, trace.requests / 2);
		whole(&trace);
	}
	trace_fini(&trace);
}

static void fuzz_spec(const char *text)
{
	struct trace trace;

	size_t digits = 0;
	for (const char *c = text; *c; c++) {
		digits = *c >= '0' && *c <= '9' ? digits + 1 : 0;
		if (digits > 2)
			return; /* it would be made, and take its time */
	}
	MUST(trace_init(&trace) == 0);
	if (trace_make(&trace, text, 1) == 0)
		whole(&trace);
	trace_fini(&trace);
}

/* ---- values ---- */

static void fuzz_values(const char *text)
{
	char again[32], hex[MEMKV_KEY_HEX];
	struct memkv_key key, other;
	uint64_t value = 77, size = 77;
	const char *wrong = cli_parse_count(text, &value), *digits = text;

	MUST(wrong ? *wrong && value == 77 : 1);
	if (!wrong) {
		while (*digits == '0' && digits[1])
			digits++;
		snprintf(again, sizeof(again), "%llu", (unsigned long long)value);
		MUST(strcmp(again, digits) == 0);
		MUST(cli_parse_size(text, &size) == NULL && size == value);
		MUST(cli_parse_duration(text, &size) == NULL && size == value);
	}
	wrong = cli_parse_size(text, &size);
	MUST(wrong ? *wrong != 0 : strspn(text, "0123456789") + 1 >= strlen(text));
	wrong = cli_parse_duration(text, &size);
	MUST(wrong ? *wrong != 0 : strspn(text, "0123456789") + 1 >= strlen(text));
	wrong = cli_parse_class(text, &value); /* its bounds are the option's */
	MUST(wrong ? *wrong != 0 : true);
	if (memkv_key_from_hex(text, &key) == 0) {
		memkv_key_to_hex(&key, hex);
		MUST(strlen(text) == 64 && memkv_key_from_hex(hex, &other) == 0 && memcmp(&key, &other, sizeof(key)) == 0);
	}
	if (memkv_key_from_name("fuzz", text, strlen(text), &key) == 0)
		MUST(memkv_key_from_name("fuzz", text, strlen(text), &other) == 0 && memcmp(&key, &other, sizeof(key)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const paths[] = {"a/b.jsonl", "a/b.json", "b"};
	struct bytes_in in = {data, size};
	unsigned kind = (unsigned)eat(&in, 1);

	file = in.at;
	file_bytes = in.left;
	if (kind % 5 < 3) {
		fuzz_trace(kind, paths[kind % 5]);
		return 0;
	}
	char *text = strndup((const char *)in.at, in.left);
	MUST(text);
	if (kind % 5 == 3)
		fuzz_spec(text);
	else
		fuzz_values(text);
	free(text);
	return 0;
}
