/* SPDX-License-Identifier: Apache-2.0 */
/* What every verb on a pool needs: the pool opened the right way, keys out of words, a yes before harm. */
#ifndef CLI_ACCESS_H
#define CLI_ACCESS_H

#include "cli/options.h"

#include <memkv/memkv.h>

enum access_mode {
	ACCESS_READ,  /* takes no slot */
	ACCESS_WRITE, /* takes the slot that is kept for short-lived commands */
};

/**
 * access_open() - open a pool for one verb
 * @path: the pool's file.
 * @mode: enum access_mode.
 * @pool: receives the handle; close with memkv_pool_close().
 *
 * Return: 0, or an exit code after the error was reported.
 */
int access_open(const char *path, enum access_mode mode, struct memkv_pool **pool);

/**
 * access_pool() - the words of a verb that takes only POOL
 * @args: the command line.
 * @path: receives the pool's path, what "name:" and "uuid:" stand for found (address.h).
 *
 * Return: 0, or an exit code after the error was reported.
 */
int access_pool(const struct cli_args *args, const char **path);

/** access_place() - likewise, for a pool that is to be made: a path as it is, a namespace's device (address_place()) */
int access_place(const struct cli_args *args, const char **path);

/**
 * access_pool_key() - the words of a verb that takes POOL KEY, and perhaps FILE
 * @args: the command line; KEY may be --name TEXT anywhere.
 * @path: receives the pool's path.
 * @key: receives the key.
 * @file: receives FILE or NULL; NULL where the verb takes none.
 *
 * Return: 0, or an exit code after the error was reported.
 */
int access_pool_key(const struct cli_args *args, const char **path, struct memkv_key *key, const char **file);

/**
 * access_pool_keys() - the words of a verb that takes POOL and any number of keys
 * @args: the command line; each KEY may be --name TEXT.
 * @path: receives the pool's path.
 * @keys, @count: receive the keys in their order; free() them.
 *
 * Return: 0, or an exit code after the error was reported.
 */
int access_pool_keys(const struct cli_args *args, const char **path, struct memkv_key **keys, size_t *count);

/**
 * access_confirm() - make sure that the user wants it
 * @args: the command line; --yes answers.
 * @question: one sentence that ends in a question mark, printf style.
 *
 * Return: 0; EXIT_USAGE when there is neither --yes nor a terminal; EXIT_REFUSED after a no.  Both are reported.
 */
int access_confirm(const struct cli_args *args, const char *question, ...) __attribute__((format(printf, 2, 3)));

#endif
