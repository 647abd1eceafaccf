/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs: one row each in a table that dispatch, help and the parser of options share. */
#ifndef CLI_VERBS_H
#define CLI_VERBS_H

#include "cli/options.h"

#include <stddef.h>
#include <stdint.h>

/**
 * struct cli_verb - one verb
 * @name: one or two words.
 * @usage: what follows the name; shell completion takes from it what kind of word may stand where (complete.h).
 * @summary: one line.
 * @text: further help, or NULL.
 * @options: OPT_BIT() of what it takes.
 * @run: does it; returns an exit code, every error reported.
 */
struct cli_verb {
	const char *name;
	const char *usage;
	const char *summary;
	const char *text;
	uint64_t options;
	int (*run)(const struct cli_args *args);
};

/** cli_verb_find() - the verb that the words begin with; @words receives how many of them are its name; NULL: none */
const struct cli_verb *cli_verb_find(int argc, char **argv, int *words);

extern const struct cli_verb cli_verbs[];
extern const size_t cli_verb_count;

int verb_pool_create(const struct cli_args *args);
int verb_pool_info(const struct cli_args *args);
int verb_pool_scan(const struct cli_args *args);
int verb_pool_grow(const struct cli_args *args);
int verb_pool_drain(const struct cli_args *args);
int verb_pool_remove(const struct cli_args *args);
int verb_pool_check(const struct cli_args *args);
int verb_pool_destroy(const struct cli_args *args);
int verb_put(const struct cli_args *args);
int verb_get(const struct cli_args *args);
int verb_rm(const struct cli_args *args);
int verb_stat(const struct cli_args *args);
int verb_ls(const struct cli_args *args);
int verb_match(const struct cli_args *args);
int verb_pin(const struct cli_args *args);
int verb_unpin(const struct cli_args *args);
int verb_pins(const struct cli_args *args);
int verb_evict(const struct cli_args *args);
int verb_host_ls(const struct cli_args *args);
int verb_host_fence(const struct cli_args *args);
int verb_host_drain(const struct cli_args *args);
int verb_replay(const struct cli_args *args);
int verb_bench(const struct cli_args *args);
int verb_attach(const struct cli_args *args);
int verb_detach(const struct cli_args *args);
int verb_discover(const struct cli_args *args);
int verb_doctor(const struct cli_args *args);
int verb_help(const struct cli_args *args);
int verb_version(const struct cli_args *args);

#endif
