/* SPDX-License-Identifier: Apache-2.0 */
/* What several verbs print about a pool. */
#ifndef CLI_POOL_TEXT_H
#define CLI_POOL_TEXT_H

#include <json-c/json.h>
#include <stdint.h>

#define POOL_UUID_TEXT 37

/** pool_uuid_text() - a UUID as people write it */
void pool_uuid_text(const uint8_t uuid[16], char text[POOL_UUID_TEXT]);

/**
 * pool_describe() - describe a pool as "pool info" does
 * @path: the pool.
 * @block_size: of the blocks that its room is counted in; 0: the largest.
 * @deadline_us: for opening and looking together; 0: none.
 * @document: receives it; NULL: print a table.
 *
 * Return: 0, or an exit code after the error was reported.
 */
int pool_describe(const char *path, uint64_t block_size, uint64_t deadline_us, struct json_object *document);

#endif
