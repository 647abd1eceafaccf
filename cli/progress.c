/* SPDX-License-Identifier: Apache-2.0 */
/* See progress.h. */
#include "cli/progress.h"

#include "cli/interrupt.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define EVERY_MS 200

static uint64_t shown_ms;
static bool line_open;

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void progress_show(const char *what, uint64_t done, uint64_t total)
{
	uint64_t now = now_ms();

	if (!shown_ms)
		shown_ms = now; /* what is done at once shows nothing */
	if (now - shown_ms < EVERY_MS || !isatty(STDERR_FILENO))
		return;
	shown_ms = now;
	line_open = true;
	fprintf(stderr, "\r\033[K%s %" PRIu64 " of %" PRIu64, what, done, total);
}

void progress_end(void)
{
	if (line_open)
		fputs("\r\033[K", stderr);
	line_open = false;
}

int progress_step(void *context, uint64_t done, uint64_t total)
{
	progress_show(context, done, total);
	return interrupt_seen();
}
