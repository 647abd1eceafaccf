/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/pool_text.h"

#include <stdio.h>

void pool_uuid_text(const uint8_t uuid[16], char text[POOL_UUID_TEXT])
{
	char *out = text;

	for (int i = 0; i < 16; i++)
		out += sprintf(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
}
