/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIGINT and SIGTERM: by default remove the one temporary file and end with 130; a verb with processes of its own
 * asks to be told instead.
 */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

#include <stdbool.h>

/** interrupt_init() - catch the signals, unless the caller of the process has them ignored */
void interrupt_init(void);

/**
 * interrupt_guard_file() - a file to remove when a signal ends the process
 * @path: must stay as it is until the next call; NULL: none any more.
 */
void interrupt_guard_file(const char *path);

/**
 * interrupt_say() - what goes to stdout when a signal ends the process at once
 * @document: must stay as it is until the next call; NULL: nothing.
 */
void interrupt_say(const char *document);

/** interrupt_defer() - from now on a signal only sets a flag */
void interrupt_defer(void);

/** interrupt_seen() - the flag of interrupt_defer() */
bool interrupt_seen(void);

/** interrupt_ignore() - in a child: the parent decides; a signal from the terminal is not for us */
void interrupt_ignore(void);

#endif
