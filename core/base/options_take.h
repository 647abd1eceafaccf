/* SPDX-License-Identifier: Apache-2.0 */
/* Option structs of callers that were built with another version of the headers: `size_t size` first. */
#ifndef MEMKV_CORE_OPTIONS_TAKE_H
#define MEMKV_CORE_OPTIONS_TAKE_H

#include <stddef.h>

/*
 * options_take() - a caller's options as this library knows them
 * @into: receives them; fields that the caller does not know are zero.
 * @into_size: its size.
 * @given: the caller's, which starts with its own size; or NULL for all defaults.
 * @call: for the sentence.
 *
 * Return: 0; -EINVAL when the size was not set; -E2BIG when a field that this library does not know is not zero.
 */
int options_take(void *into, size_t into_size, const void *given, const char *call);

#endif
