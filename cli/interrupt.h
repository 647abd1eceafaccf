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
 * interrupt_make_file() - mkostemp(), and from then on a signal that ends the process removes the file
 * @path: the template; must stay as it is until interrupt_keep_file().
 *
 * For a process whose other threads take no signals, as those of the library do not.
 *
 * Return: a descriptor, or a negative errno.
 */
int interrupt_make_file(char *path);

/** interrupt_keep_file() - that file has its own name now, or is gone */
void interrupt_keep_file(void);

/**
 * interrupt_say() - what goes to stdout when a signal ends the process at once
 * @document: must stay as it is until the next call; NULL: nothing.
 */
void interrupt_say(const char *document);

/** interrupt_defer() - from now on a signal only sets a flag */
void interrupt_defer(void);

/**
 * interrupt_answering() - the answer goes out from now on: half of it, or all of it and "interrupted", would be neither
 *
 * A signal only sets the flag, and ends a write that waits for its reader (EINTR); a second one ends the process.
 */
void interrupt_answering(void);

/** interrupt_seen() - the flag of interrupt_defer() and interrupt_answering() */
bool interrupt_seen(void);

/** interrupt_ignore() - in a child: the parent decides; a signal from the terminal is not for us */
void interrupt_ignore(void);

#endif
