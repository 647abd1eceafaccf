/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plain and JSON output, and the map from results to exit codes.
 *
 * The map is the only place that knows which failure is whose fault: the command line's (2), a rule's (3), the
 * medium's (4), the moment's (5) or the room's (6).
 */
#include "cli/report.h"

#include "cli/interrupt.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_MAX 1024

static bool json_wanted;
static int output_errno; /* why standard output failed first */

void report_init(bool json)
{
	json_wanted = json;
	json_c_set_serialization_double_format("%.6f", JSON_C_OPTION_GLOBAL);
}

bool report_json(void)
{
	return json_wanted;
}

static int exit_code_of_memkv(int result)
{
	switch (result) {
	case MEMKV_MISS:
		return EXIT_MISS;
	case MEMKV_GEOMETRY:
	case MEMKV_CONFLICT:
	case MEMKV_SIZE:
		return EXIT_USAGE;
	case MEMKV_DIFFERS:
	case MEMKV_TOO_LARGE:
	case MEMKV_READ_ONLY:
	case MEMKV_FOREIGN:
	case MEMKV_POOL_EXISTS:
	case MEMKV_PINNED:
	case MEMKV_DRAINED:
	case MEMKV_NOT_EMPTY:
	case MEMKV_NETWORK:
	case MEMKV_NO_FABRIC:
	case MEMKV_HOST_REFUSED:
		return EXIT_REFUSED;
	case MEMKV_NOT_A_POOL:
	case MEMKV_NEWER:
	case MEMKV_DAMAGED:
	case MEMKV_FAILED:
		return EXIT_DAMAGE;
	case MEMKV_NO_SLOT:
	case MEMKV_IN_USE:
	case MEMKV_FENCED:
	case MEMKV_UNKNOWN:
	case MEMKV_DEGRADED:
	case MEMKV_TIMEDOUT:
	case MEMKV_EFORK:
		return EXIT_BUSY;
	case MEMKV_NO_ROOM:
	case MEMKV_PIN_LIMIT:
		return EXIT_NO_SPACE;
	default:
		return EXIT_DAMAGE;
	}
}

int report_exit_code(int result)
{
	if (result >= 0 || result == MEMKV_EXISTS)
		return EXIT_DONE;
	if (result <= -MEMKV_CODE_BASE)
		return exit_code_of_memkv(result);
	switch (-result) {
	case EINVAL:
	case EISDIR:
	case ENOTDIR:
	case ENAMETOOLONG:
	case ELOOP:
		return EXIT_USAGE;
	case EACCES:
	case EPERM:
	case EROFS:
		return EXIT_REFUSED;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return EXIT_NO_SPACE;
	case EBUSY:
	case EAGAIN:
	case ETXTBSY:
	case ETIMEDOUT:
	case ENOMEM:
	case EMFILE:
	case ENFILE:
		return EXIT_BUSY;
	case EINTR:
	case ECANCELED: /* a library call that its progress callback stopped */
		return EXIT_INTERRUPTED;
	default: /* ENOENT, EIO, ENXIO, ...: the medium is not there or does not answer */
		return EXIT_DAMAGE;
	}
}

static void say(const char *message)
{
	fputs("memkv: ", stderr);
	report_safe_text(stderr, message);
	fputc('\n', stderr);
}

static void print_error(const char *code, const char *message)
{
	say(message);
	if (!json_wanted)
		return;
	struct json_object *document = report_document();
	struct json_object *error = json_object_new_object();
	report_add_text(error, "code", code);
	report_add_text(error, "message", message);
	json_object_object_add(document, "error", error);
	report_print(document);
}

int report_usage(const char *verb, const char *format, ...)
{
	char sentence[MESSAGE_MAX], message[MESSAGE_MAX + 256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(sentence, sizeof(sentence), format, arguments);
	va_end(arguments);
	if (verb)
		snprintf(message, sizeof(message), "%s: %s; see 'memkv help %s'", verb, sentence, verb);
	else
		snprintf(message, sizeof(message), "%s; see 'memkv help'", sentence);
	print_error("USAGE", message);
	return EXIT_USAGE;
}

int report_failed(int result, const char *format, ...)
{
	char message[MESSAGE_MAX];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	print_error(memkv_code_name(result), message);
	return report_exit_code(result);
}

int report_library(int result, const char *thing)
{
	const char *detail = memkv_error_detail();

	if (detail[0] && result != MEMKV_MISS)
		return report_failed(result, "%s", detail);
	return report_failed(result, "%s: %s", thing, memkv_strerror(result));
}

void report_note(const char *format, ...)
{
	char message[MESSAGE_MAX];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	say(message);
}

struct json_object *report_document(void)
{
	struct json_object *document = json_object_new_object();

	report_add_number(document, "schema", REPORT_SCHEMA);
	return document;
}

void report_print(struct json_object *document)
{
	const char *text =
		json_object_to_json_string_ext(document, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);

	interrupt_answering();
	if (text)
		puts(text);
	(void)report_output_fails();
	json_object_put(document);
}

void report_add_number(struct json_object *object, const char *name, uint64_t value)
{
	json_object_object_add(object, name, json_object_new_uint64(value));
}

void report_add_real(struct json_object *object, const char *name, double value)
{
	json_object_object_add(object, name, json_object_new_double(value));
}

void report_add_flag(struct json_object *object, const char *name, bool value)
{
	json_object_object_add(object, name, json_object_new_boolean(value));
}

void report_add_key(struct json_object *object, const char *name, const struct memkv_key *key)
{
	char hex[MEMKV_KEY_HEX];

	memkv_key_to_hex(key, hex);
	json_object_object_add(object, name, json_object_new_string(hex));
}

/* Bytes of the well-formed UTF-8 sequence at @text, or 0 (RFC 3629: no overlong forms, no surrogates). */
static size_t utf8_sequence(const unsigned char *text)
{
	if (text[0] < 0x80)
		return 1;
	size_t length = text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;
	if (text[0] < 0xc2 || text[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
	    (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f))
		return 0;
	return length;
}

void report_add_text(struct json_object *object, const char *name, const char *text)
{
	const unsigned char *in = (const unsigned char *)text;
	char *clean = malloc(strlen(text) * 3 + 1), *out = clean;

	if (!clean) {
		json_object_object_add(object, name, NULL);
		return;
	}
	while (*in) {
		size_t length = utf8_sequence(in);
		if (length) {
			memcpy(out, in, length);
			out += length;
			in += length;
		} else {
			memcpy(out, "\xef\xbf\xbd", 3);
			out += 3;
			in++;
		}
	}
	*out = '\0';
	json_object_object_add(object, name, json_object_new_string(clean));
	free(clean);
}

void report_add_time(struct json_object *object, const char *name, uint64_t utc_s)
{
	json_object_object_add(object, name, utc_s ? json_object_new_uint64(utc_s) : NULL);
}

void report_safe_text(FILE *out, const char *text)
{
	const unsigned char *c = (const unsigned char *)text;

	while (*c) {
		size_t length = utf8_sequence(c);
		bool control = *c < 0x20 || *c == 0x7f || !length || (length == 2 && *c == 0xc2 && c[1] < 0xa0);
		size_t bytes = length ? length : 1;
		for (size_t i = 0; i < bytes; i++, c++) {
			if (!control)
				fputc(*c, out);
			else if (*c == '\n')
				fputs("\\n", out);
			else
				fprintf(out, "\\x%02x", *c);
		}
	}
}

const char *report_size_text(uint64_t bytes, char *text)
{
	static const char *const unit[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
	double value = (double)bytes;
	size_t u = 0;

	while (value >= 1024 && u + 1 < sizeof(unit) / sizeof(unit[0])) {
		value /= 1024;
		u++;
	}
	snprintf(text, REPORT_SIZE_TEXT, u ? "%.2f %s" : "%.0f %s", value, unit[u]);
	return text;
}

bool report_output_fails(void)
{
	if (!ferror(stdout))
		return false;
	if (!output_errno)
		output_errno = errno ? errno : EIO;
	return true;
}

int report_finish(int code)
{
	bool failed = ferror(stdout) != 0;

	interrupt_answering();
	errno = 0;
	if (fflush(stdout) || failed || fclose(stdout)) {
		int saved = output_errno ? output_errno : errno ? errno : EIO;
		fprintf(stderr, "memkv: cannot write to standard output: %s\n", strerror(saved));
		if (code == EXIT_DONE)
			code = report_exit_code(-saved);
	}
	return code;
}
