/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tool says: data on stdout, everything else on stderr, one exit code for each kind of ending.
 *
 * With --json every ending is one JSON document on stdout that carries "schema"; an error is
 * {"schema":1,"error":{"code","message"}}, and its sentence goes to stderr as well.
 */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include <json-c/json.h>
#include <memkv/memkv.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define REPORT_SCHEMA 1

enum cli_exit {
	EXIT_DONE = 0,
	EXIT_MISS = 1,
	EXIT_USAGE = 2,
	EXIT_REFUSED = 3, /* by policy or permission */
	EXIT_DAMAGE = 4,  /* the medium failed, or damage was found */
	EXIT_BUSY = 5,	  /* busy, fenced, or the outcome is unknown */
	EXIT_NO_SPACE = 6,
	EXIT_INTERRUPTED = 130,
};

/** report_init() - choose the form of all later output; call once, first */
void report_init(bool json);

/** report_json() - whether --json was given */
bool report_json(void);

/**
 * report_exit_code() - the exit code for a result
 * @result: of a memkv call, or -errno.
 *
 * Return: enum cli_exit.
 */
int report_exit_code(int result);

/**
 * report_usage() - the command line is wrong
 * @verb: the verb whose help would explain it, or NULL.
 * @format: one sentence without a full stop, printf style.
 *
 * Return: EXIT_USAGE.
 */
int report_usage(const char *verb, const char *format, ...) __attribute__((format(printf, 2, 3)));

/**
 * report_failed() - the verb failed; the sentence is the caller's
 * @result: what kind of failure: a memkv code or -errno.
 * @format: the sentence, printf style.
 *
 * Return: report_exit_code(@result).
 */
int report_failed(int result, const char *format, ...) __attribute__((format(printf, 2, 3)));

/**
 * report_library() - a memkv call failed; the sentence is the library's
 * @result: what the call returned; memkv_error_detail() is still about it.
 * @thing: what it was about (a path, a key), used when the library has no sentence.
 *
 * Return: report_exit_code(@result).
 */
int report_library(int result, const char *thing);

/** report_note() - a sentence on stderr that is neither data nor an ending */
void report_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** report_document() - a new JSON object that carries the schema; report_print() takes it */
struct json_object *report_document(void);

/** report_print() - write one JSON document as one line and free it */
void report_print(struct json_object *document);

/** report_add_*() - add one member to a JSON object */
void report_add_number(struct json_object *object, const char *name, uint64_t value);
void report_add_real(struct json_object *object, const char *name, double value);
void report_add_flag(struct json_object *object, const char *name, bool value);
void report_add_key(struct json_object *object, const char *name, const struct memkv_key *key);

/** report_add_text() - the same for text from anywhere: bytes that are not UTF-8 become U+FFFD */
void report_add_text(struct json_object *object, const char *name, const char *text);

/** report_add_time() - add UTC seconds as a number, or null for 0 */
void report_add_time(struct json_object *object, const char *name, uint64_t utc_s);

/** report_safe_text() - print text from anywhere to a terminal: control characters and broken UTF-8 as \\n or \\xHH */
void report_safe_text(FILE *out, const char *text);

#define REPORT_SIZE_TEXT 32

/** report_size_text() - a size for people, such as "1.5 GiB"; returns @text, REPORT_SIZE_TEXT bytes */
const char *report_size_text(uint64_t bytes, char *text);

/**
 * report_output_fails() - does standard output take no more?  Ask after each larger piece, and stop then
 *
 * Return: whether it failed; the reason of the first time is kept for report_finish().
 */
bool report_output_fails(void);

/**
 * report_finish() - make sure that all output arrived
 * @code: the exit code so far.
 *
 * Return: @code, or the code of the failure to write when @code is EXIT_DONE.
 */
int report_finish(int code);

#endif
