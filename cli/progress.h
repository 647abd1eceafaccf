/* SPDX-License-Identifier: Apache-2.0 */
/* One line on stderr that tells how far long work has come; only when that is a terminal. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdint.h>

/**
 * progress_show() - how far it has come, a few times a second at most
 * @what: "checked segment", "allocated MiB", ...
 * @done, @total: numbers to print.
 */
void progress_show(const char *what, uint64_t done, uint64_t total);

/** progress_end() - clear the line; before anything else is written to the terminal */
void progress_end(void);

/**
 * progress_step() - the progress callback of library calls: shows, and stops the call when a signal came
 * @context: @what of progress_show().
 *
 * Return: not 0 to stop.
 */
int progress_step(void *context, uint64_t done, uint64_t total);

#endif
