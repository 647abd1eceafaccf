/* SPDX-License-Identifier: Apache-2.0 */
/* See in_time.h.  The child says one byte on a pipe when the answer is in the shared memory, and ends after it has closed. */
#include "cli/in_time.h"

#include "cli/interrupt.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* what the child may take beyond the deadline, to say what it knows */
enum { SLACK_US = 100000 };

enum stage { BEFORE_CALL, IN_CALL, CALLED_OFF };

struct answer {
	atomic_int stage; /* enum stage: either the child makes the call, or its parent has given up before */
	int64_t result;
	char detail[sizeof(((struct in_time *)0)->detail)];
};

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static uint64_t left_of(uint64_t until)
{
	uint64_t now = now_us();

	return until > now ? until - now : 1; /* 0 would be no deadline */
}

static void *share(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static _Noreturn void be_child(struct in_time *job, struct answer *answer, int said, uint64_t until)
{
	struct memkv_pool_options options = {
		.size = sizeof(options), .flags = job->flags | MEMKV_OPEN_NO_FOLLOWER, .deadline_us = left_of(until)};
	struct memkv_pool *pool = NULL;
	int before = BEFORE_CALL;

	interrupt_ignore();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	answer->result = memkv_pool_open(job->path, &options, &pool);
	if (answer->result == 0 && !atomic_compare_exchange_strong(&answer->stage, &before, IN_CALL))
		_exit(0);
	if (answer->result == 0)
		answer->result = job->call(pool, job, left_of(until));
	if (answer->result < 0)
		snprintf(answer->detail, sizeof(answer->detail), "%s", memkv_error_detail());
	(void)!write(said, "", 1);
	memkv_pool_close(pool);
	_exit(0);
}

/* until @fd can be read or has ended; false: not by then */
static bool wait_for(int fd, uint64_t until)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	int got;

	do {
		uint64_t ms = (left_of(until) + 999) / 1000;
		got = poll(&ready, 1, ms > INT32_MAX ? INT32_MAX : (int)ms);
	} while (got < 0 && errno == EINTR);
	return got > 0;
}

/* the child has spoken, has died, or is late */
static void hear(struct in_time *job, struct answer *answer, pid_t child, int from, uint64_t until)
{
	int before = BEFORE_CALL, status = 0;
	char byte;

	if (!wait_for(from, until)) {
		bool called_off = atomic_compare_exchange_strong(&answer->stage, &before, CALLED_OFF);
		job->result = called_off ? MEMKV_TIMEDOUT : MEMKV_UNKNOWN;
		kill(child, SIGKILL); /* it ends when the kernel lets it */
	} else if (read(from, &byte, 1) == 1) {
		job->result = answer->result;
		memcpy(job->detail, answer->detail, sizeof(job->detail));
		if (wait_for(from, until)) /* closed, usually at once: the pool is free for the next command */
			waitpid(child, NULL, 0);
	} else {
		waitpid(child, &status, 0);
		job->result = -EIO;
		snprintf(job->detail, sizeof(job->detail), "%s: the process that used it died of signal %d", job->path,
			 WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	}
}

int in_time_run(struct in_time *job)
{
	uint64_t begun = now_us();
	uint64_t until = job->deadline_us > UINT64_MAX / 2 - begun ? UINT64_MAX / 2 : begun + job->deadline_us;
	struct answer *answer = share(sizeof(*answer));
	int ends[2];

	job->buffer = job->room ? share(job->room) : NULL;
	job->detail[0] = '\0';
	if (!answer || (job->room && !job->buffer) || pipe(ends))
		return errno ? -errno : -ENOMEM;
	fflush(stdout);
	fflush(stderr);
	pid_t child = fork();
	if (child == 0) {
		close(ends[0]);
		be_child(job, answer, ends[1], until);
	}
	int err = child < 0 ? -errno : 0;
	close(ends[1]);
	if (!err)
		hear(job, answer, child, ends[0], until + SLACK_US);
	close(ends[0]);
	return err;
}

void in_time_fini(struct in_time *job)
{
	if (job->buffer)
		munmap(job->buffer, job->room);
	job->buffer = NULL;
}
