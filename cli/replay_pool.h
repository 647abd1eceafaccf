/* SPDX-License-Identifier: Apache-2.0 */
/* The pool of a replay: a scratch pool of its own, or a look at the user's before anything is written to it. */
#ifndef CLI_REPLAY_POOL_H
#define CLI_REPLAY_POOL_H

#include "cli/replay_shared.h"

#include <limits.h>

/**
 * struct scratch_pool - a pool that lives as long as the replay
 * @directory, @path: "" when there is none.
 */
struct scratch_pool {
	char directory[PATH_MAX];
	char path[PATH_MAX + 16];
};

/**
 * scratch_pool_open() - make one with room for every distinct block and a quarter more
 * @scratch: receives it; free with scratch_pool_close().
 * @plan: block size, agents and trace.
 *
 * Return: 0, or an exit code after the error was reported (nothing is left behind).
 */
int scratch_pool_open(struct scratch_pool *scratch, const struct replay_plan *plan);

/** scratch_pool_close() - remove it; the zeroed struct is fine */
void scratch_pool_close(struct scratch_pool *scratch);

/**
 * replay_pool_check() - refuse at once what cannot work
 * @plan: the run; room_for_all is set.
 * @live: others may have the pool open.
 *
 * Return: 0, or an exit code after the error was reported.
 */
int replay_pool_check(struct replay_plan *plan, bool live);

#endif
