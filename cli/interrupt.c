/* SPDX-License-Identifier: Apache-2.0 */
/* The signal handler touches only lock-free words and makes only async-signal-safe calls. */
#include "cli/interrupt.h"

#include "cli/report.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const int caught[] = {SIGINT, SIGTERM, SIGHUP};
static const char *_Atomic guarded, *_Atomic last_words;
static volatile sig_atomic_t deferred, seen, answering;

static void on_signal(int number)
{
	(void)number;
	bool again = seen;
	seen = 1;
	if (deferred || (answering && !again))
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
	for (size_t i = 0; i < sizeof(caught) / sizeof(*caught); i++)
		catch_signal(caught[i]);
}

void interrupt_say(const char *document)
{
	atomic_store(&last_words, document);
}

int interrupt_make_file(char *path)
{
	sigset_t ours, before;

	sigemptyset(&ours);
	for (size_t i = 0; i < sizeof(caught) / sizeof(*caught); i++)
		sigaddset(&ours, caught[i]);
	sigprocmask(SIG_BLOCK, &ours, &before);
	int fd = mkostemp(path, O_CLOEXEC), err = errno;
	if (fd >= 0)
		atomic_store(&guarded, path);
	sigprocmask(SIG_SETMASK, &before, NULL); /* one that came meanwhile finds the file guarded */
	return fd < 0 ? -err : fd;
}

void interrupt_keep_file(void)
{
	atomic_store(&guarded, NULL);
}

void interrupt_defer(void)
{
	deferred = 1;
}

void interrupt_answering(void)
{
	atomic_store(&last_words, NULL);
	answering = 1;
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
