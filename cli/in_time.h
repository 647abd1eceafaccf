/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The medium's part of a verb that may have a deadline.  The library's calls return in time, but a process whose threads wait
 * for a medium that hangs cannot end before the kernel lets them go; so with a deadline that part is done by a child, and the
 * tool ends without waiting for it when it is late.  Without one it is done here.
 */
#ifndef CLI_IN_TIME_H
#define CLI_IN_TIME_H

#include "cli/options.h"

#include <memkv/memkv.h>
#include <stdatomic.h>
#include <stdbool.h>

/**
 * struct in_time - what is to be done, and what came of it
 * @path, @flags: the pool and how to open it (enum memkv_open_flag).
 * @deadline_us: for opening and the call together; 0: none.
 * @reads: the call changes nothing.
 * @call: the call; what it returns is @result, and memkv_error_detail() comes along.  in_time_left() tells what it may take.
 * @context: of the caller's; what @call changes there is seen by nobody.
 * @buffer: memory for what @call brings, of @room bytes, all zero before; or NULL when that is 0.
 * @added, @added_bytes: what @call brought with in_time_add(), in its order; NULL, 0: nothing.
 * @result: of opening or of @call; when a child did not come back in time MEMKV_TIMEDOUT, or, where a @call that changes something
 *          was begun, MEMKV_UNKNOWN.  What is in @buffer then is what it had written there by that time.
 * @detail: the sentence that goes with @result, or "".
 * @alone: for @call: nobody waits for it, so it has the terminal and the signals; else it is a child, which has neither.
 * @until_us: in_time_left()'s.  @store, @mapped, @told: in_time_add()'s.
 */
struct in_time {
	const char *path;
	uint32_t flags;
	uint64_t deadline_us;
	bool reads;
	int64_t (*call)(struct memkv_pool *pool, struct in_time *job);
	const void *context;
	void *buffer;
	size_t room;
	void *added;
	size_t added_bytes;
	int64_t result;
	char detail[1024];
	bool alone;
	uint64_t until_us;
	int store;
	size_t mapped;
	atomic_size_t *told;
};

/**
 * in_time_run() - open the pool and make the call, and wait for that no longer than the deadline
 * @job: path to room are given, the others received.  Free with in_time_fini().
 *
 * Return: 0, or an exit code when there is no child or no memory, which was reported.
 */
int in_time_run(struct in_time *job);

/** in_time_left() - for @call: the microseconds until the deadline, at least 1; 0: there is none */
uint64_t in_time_left(const struct in_time *job);

/**
 * in_time_add() - for @call: bring something of which it is not known before how much it is
 * @job: the job.
 * @bytes, @count: what comes behind what was brought before.  Records whose size is no multiple of 8 are the caller's to copy out.
 *
 * Return: 0; -ENOMEM.
 */
int in_time_add(struct in_time *job, const void *bytes, size_t count);

/**
 * in_time_report() - say what went wrong: @job's result is an error
 * @job: the job.
 * @late: the sentence for a deadline that has passed, after the path; the library's is taken for all others.
 *
 * Return: the exit code; EXIT_MISS when a call that reads was late.
 */
int in_time_report(const struct in_time *job, const char *late);

#define IN_TIME_LATE "the medium did not answer by the deadline"

/**
 * in_time_list() - a verb that takes POOL and prints what there is, one record a line
 * @args: the command line.
 * @call: brings them, by in_time_add(); negative: an error.
 * @size: of a record, a multiple of 8.
 * @print: prints one, or not.
 *
 * Return: 0, or an exit code after the error was reported.
 */
int in_time_list(const struct cli_args *args, int64_t (*call)(struct memkv_pool *pool, struct in_time *job), size_t size,
		 void (*print)(const struct cli_args *args, const void *one));

/** in_time_fini() - give the memory back */
void in_time_fini(struct in_time *job);

#endif
