/* SPDX-License-Identifier: Apache-2.0 */
/* The signal handler touches only lock-free words and makes only async-signal-safe calls. */
#include "cli/interrupt.h"

#include "cli/report.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

static const char *_Atomic guarded, *_Atomic last_words;
static volatile sig_atomic_t deferred, seen;

static void on_signal(int number)
{
	(void)number;
	seen = 1;
	if (deferred)
		return;
	const char *path = atomic_load(&guarded);
	if (path)
		unlink(path);
	static const char message[] = "memkv: interrupted\n";
	const char *document = atomic_load(&last_words);
	(void)!write(STDERR_FILENO, message, sizeof(message) - 1);
	if (document)
		(void)!write(STDOUT_FILENO, document, strlen(document));
	_exit(EXIT_INTERRUPTED);
}

static void catch_signal(int number)
{
	struct sigaction action = {.sa_handler = on_signal}, old;

	sigemptyset(&action.sa_mask);
	if (!sigaction(number, NULL, &old) && old.sa_handler != SIG_IGN)
		sigaction(number, &action, NULL);
}

void interrupt_init(void)
{
	catch_signal(SIGINT);
	catch_signal(SIGTERM);
	catch_signal(SIGHUP);
}

void interrupt_say(const char *document)
{
	atomic_store(&last_words, document);
}

void interrupt_guard_file(const char *path)
{
	atomic_store(&guarded, path);
}

void interrupt_defer(void)
{
	deferred = 1;
}

bool interrupt_seen(void)
{
	return seen != 0;
}

void interrupt_ignore(void)
{
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	signal(SIGHUP, SIG_IGN);
}
