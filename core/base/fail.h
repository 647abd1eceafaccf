/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors that carry a sentence.  A result is a number; the sentence that names the thing and the mend is kept per
 * thread (memkv_error_detail).  It is written where the cause is known and may be wrapped as it rises.  Hot paths
 * return bare numbers and never come here.
 */
#ifndef MEMKV_CORE_FAIL_H
#define MEMKV_CORE_FAIL_H

#include <memkv/error.h>

/* fail() - remember a sentence for this thread; returns @code, so that "return fail(...)" reads well. */
int fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* fail_within() - put "@context: " before the sentence that is there; returns @code. */
int fail_within(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
