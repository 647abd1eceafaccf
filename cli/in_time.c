/* SPDX-License-Identifier: Apache-2.0 */
/* See in_time.h.  The child says one byte on a pipe when the answer is in the shared memory, and ends after it has closed. */
#include "cli/in_time.h"

#include "cli/access.h"
#include "cli/interrupt.h"
#include "cli/report.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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
enum { SLACK_US = 100000, FIRST_ADDED = 1 << 16 };

enum stage { BEFORE_CALL, IN_CALL, CALLED_OFF };

struct answer {
	atomic_int stage; /* enum stage: either the child makes the call, or its parent has given up before */
	int64_t result;
	atomic_size_t added_bytes;
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

uint64_t in_time_left(const struct in_time *job) { return job->deadline_us ? left_of(job->until_us) : 0; }

/* @sharing: MAP_SHARED, with a child; or MAP_PRIVATE */
static void *map(size_t bytes, int sharing)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

/* room for more: of a child's in memory that its parent has as well, by a descriptor */
static int grow(struct in_time *job, size_t bytes)
{
	size_t room = job->mapped ? job->mapped : FIRST_ADDED;

	while (room < bytes)
		room *= 2;
	if (job->store >= 0 && ftruncate(job->store, (off_t)room))
		return -ENOMEM;
	int flags = job->store >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
	void *at = job->mapped ? mremap(job->added, job->mapped, room, MREMAP_MAYMOVE)
			       : mmap(NULL, room, PROT_READ | PROT_WRITE, flags, job->store, 0);
	if (at == MAP_FAILED)
		return -ENOMEM;
	job->added = at;
	job->mapped = room;
	return 0;
}

int in_time_add(struct in_time *job, const void *bytes, size_t count)
{
	if (job->added_bytes + count > job->mapped && grow(job, job->added_bytes + count))
		return -ENOMEM;
	memcpy((char *)job->added + job->added_bytes, bytes, count);
	job->added_bytes += count;
	if (job->told)
		atomic_store(job->told, job->added_bytes);
	return 0;
}

/* the parent: what its child has brought by now */
static int take_added(struct in_time *job, size_t bytes)
{
	if (!bytes)
		return 0;
	void *at = mmap(NULL, bytes, PROT_READ, MAP_SHARED, job->store, 0);
	if (at == MAP_FAILED)
		return -errno;
	job->added = at;
	job->added_bytes = job->mapped = bytes;
	return 0;
}

/* @stage: NULL: nobody waits */
static int64_t open_and_call(struct in_time *job, atomic_int *stage, struct memkv_pool **pool)
{
	struct memkv_pool_options options = {
		.size = sizeof(options), .flags = job->flags | MEMKV_OPEN_NO_FOLLOWER, .deadline_us = in_time_left(job)};
	int before = BEFORE_CALL;
	int err = memkv_pool_open(job->path, &options, pool);

	if (err)
		return err;
	if (stage && !atomic_compare_exchange_strong(stage, &before, IN_CALL))
		_exit(0);
	return job->call(*pool, job);
}

/*
 * Whoever reads what the tool says, or waits for a lock that it was given, must not wait for a child that cannot end.  Kept are
 * the pipe and the memory for what is brought.
 */
static void let_go_of_files(int *said, int *store)
{
	enum { SAID = STDERR_FILENO + 1, STORE, REST };
	int nothing = open("/dev/null", O_RDWR | O_CLOEXEC), keep_said = fcntl(*said, F_DUPFD, REST), keep_store = fcntl(*store, F_DUPFD, REST);

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO && nothing >= 0; fd++)
		(void)dup2(nothing, fd);
	*said = dup2(keep_said, SAID);
	*store = dup2(keep_store, STORE);
	(void)close_range(REST, UINT_MAX, 0);
}

static _Noreturn void be_child(struct in_time *job, struct answer *answer, int said)
{
	struct memkv_pool *pool = NULL;

	interrupt_ignore();
	let_go_of_files(&said, &job->store);
	job->told = &answer->added_bytes;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	answer->result = open_and_call(job, &answer->stage, &pool);
	bool left = answer->result == MEMKV_UNKNOWN && now_us() >= job->until_us; /* nobody can say more than the verb */
	if (answer->result < 0 && !left)
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
		job->result = called_off || job->reads ? MEMKV_TIMEDOUT : MEMKV_UNKNOWN;
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

static int run_child(struct in_time *job)
{
	struct answer *answer = map(sizeof(*answer), MAP_SHARED);
	int ends[2];

	job->store = memfd_create("memkv", MFD_CLOEXEC);
	if (!answer || job->store < 0 || pipe(ends))
		return errno ? -errno : -ENOMEM;
	fflush(stdout);
	fflush(stderr);
	pid_t child = fork();
	if (child == 0) {
		close(ends[0]);
		be_child(job, answer, ends[1]);
	}
	int err = child < 0 ? -errno : 0;
	close(ends[1]);
	if (!err)
		hear(job, answer, child, ends[0], job->until_us + SLACK_US);
	close(ends[0]);
	if (!err)
		err = take_added(job, atomic_load(&answer->added_bytes));
	munmap(answer, sizeof(*answer));
	return err;
}

static void run_here(struct in_time *job)
{
	struct memkv_pool *pool = NULL;

	job->alone = true;
	job->result = open_and_call(job, NULL, &pool);
	if (job->result < 0)
		snprintf(job->detail, sizeof(job->detail), "%s", memkv_error_detail());
	memkv_pool_close(pool);
}

int in_time_run(struct in_time *job)
{
	uint64_t begun = now_us();
	int err = 0;

	job->until_us = job->deadline_us > UINT64_MAX / 2 - begun ? UINT64_MAX / 2 : begun + job->deadline_us;
	job->buffer = job->room ? map(job->room, job->deadline_us ? MAP_SHARED : MAP_PRIVATE) : NULL;
	job->detail[0] = '\0';
	job->store = -1;
	if (job->room && !job->buffer)
		return report_failed(-ENOMEM, "out of memory");
	if (job->deadline_us)
		err = run_child(job);
	else
		run_here(job);
	return err ? report_failed(err, "no process can be started to wait for the medium: %s", strerror(-err)) : 0;
}

int in_time_report(const struct in_time *job, const char *late)
{
	bool passed = job->result == MEMKV_TIMEDOUT || (job->result == MEMKV_UNKNOWN && !job->detail[0]);
	int rc = passed ? report_failed((int)job->result, "%s: %s", job->path, late)
		 : job->detail[0] && job->result != MEMKV_MISS
			 ? report_failed((int)job->result, "%s", job->detail)
			 : report_failed((int)job->result, "%s: %s", job->path, memkv_strerror((int)job->result));

	return passed && job->reads ? EXIT_MISS : rc;
}

int in_time_list(const struct cli_args *args, int64_t (*call)(struct memkv_pool *pool, struct in_time *job), size_t size,
		 void (*print)(const struct cli_args *args, const void *one))
{
	struct in_time job = {.flags = MEMKV_OPEN_READ_ONLY, .deadline_us = args->number[OPT_DEADLINE], .reads = true, .call = call};

	int rc = access_pool(args, &job.path);
	if (!rc)
		rc = in_time_run(&job);
	if (rc)
		return rc;
	if (job.result < 0)
		rc = in_time_report(&job, IN_TIME_LATE);
	for (size_t at = 0; !rc && at < job.added_bytes; at += size)
		print(args, (const char *)job.added + at);
	in_time_fini(&job);
	return rc;
}

void in_time_fini(struct in_time *job)
{
	if (job->buffer)
		munmap(job->buffer, job->room);
	if (job->mapped)
		munmap(job->added, job->mapped);
	if (job->store >= 0)
		close(job->store);
	job->buffer = job->added = NULL;
	job->mapped = 0;
	job->store = -1;
}
