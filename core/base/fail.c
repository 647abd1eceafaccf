/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of results, and the thread's last sentence (see fail.h). */
#include "core/base/fail.h"
#include "core/base/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DETAIL_BYTES 768

static _Thread_local char detail[DETAIL_BYTES];

static const struct {
	int code;
	const char *name;
	const char *text;
} codes[] = {
#define CODE_ROW(name, number, text) {MEMKV_##name, #name, text},
	MEMKV_CODES(CODE_ROW)
#undef CODE_ROW
};

const char *memkv_strerror(int result)
{
	if (result >= 0)
		return "done";
	for (size_t i = 0; i < ARRAY_COUNT(codes); i++)
		if (codes[i].code == result)
			return codes[i].text;
	return result > -MEMKV_CODE_BASE ? strerror(-result) : "unknown memkv code";
}

const char *memkv_code_name(int result)
{
	if (result >= 0)
		return "OK";
	for (size_t i = 0; i < ARRAY_COUNT(codes); i++)
		if (codes[i].code == result)
			return codes[i].name;
	const char *name = result > -MEMKV_CODE_BASE ? strerrorname_np(-result) : NULL;
	return name ? name : "UNKNOWN_CODE";
}

const char *memkv_error_detail(void)
{
	return detail;
}

int fail(int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(detail, sizeof(detail), format, args);
	va_end(args);
	return code;
}

int fail_within(int code, const char *format, ...)
{
	char inner[DETAIL_BYTES], outer[DETAIL_BYTES];
	va_list args;

	memcpy(inner, detail, sizeof(inner));
	va_start(args, format);
	vsnprintf(outer, sizeof(outer), format, args);
	va_end(args);
	/* a sentence longer than the room is cut; the outer, general part comes first and survives */
	size_t used = strlen(outer);
	memcpy(detail, outer, used);
	snprintf(detail + used, sizeof(detail) - used, ": %s", inner);
	return code;
}
