/* SPDX-License-Identifier: Apache-2.0 */
/* See options_take.h. */
#include "core/base/options_take.h"
#include "core/base/bytes.h"
#include "core/base/fail.h"

#include <errno.h>
#include <string.h>

int options_take(void *into, size_t into_size, const void *given, const char *call)
{
	const uint8_t *from = given;
	size_t size = 0;

	memset(into, 0, into_size);
	if (!given)
		return 0;
	memcpy(&size, given, sizeof(size));
	if (size < sizeof(size))
		return fail(-EINVAL, "%s: the options' size is %zu; set it to sizeof the struct", call, size);
	for (size_t i = into_size; i < size; i++)
		if (from[i])
			return fail(-E2BIG, "%s: the options of a newer memkv ask for something that this one (%s) cannot do", call,
				    MEMKV_VERSION);
	memcpy(into, given, min_u64(size, into_size));
	return 0;
}
