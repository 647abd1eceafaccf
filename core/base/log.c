/* SPDX-License-Identifier: Apache-2.0 */
/* See log.h. */
#include "core/base/log.h"

#include <memkv/error.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

enum { SENTENCE_BYTES = 768 };

typedef void (*log_call)(void *context, const char *sentence);

static _Atomic(log_call) call;
static _Atomic(void *) call_context;

void memkv_set_log(void (*log)(void *context, const char *sentence), void *context)
{
	atomic_store(&call, NULL); /* a call meanwhile says nothing rather than with the other's context */
	atomic_store(&call_context, context);
	atomic_store(&call, log);
}

void log_say(const char *format, ...)
{
	log_call to = atomic_load(&call);
	char sentence[SENTENCE_BYTES];
	va_list arguments;

	if (!to)
		return;
	va_start(arguments, format);
	vsnprintf(sentence, sizeof(sentence), format, arguments);
	va_end(arguments);
	to(atomic_load(&call_context), sentence);
}
