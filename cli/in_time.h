/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A verb that is to end by its deadline.  The library's calls return in time, but a process whose threads wait for a
 * medium that hangs cannot end before the kernel lets them go; so the medium's part is done by a child, and the tool ends
 * without waiting for it when it is late.
 */
#ifndef CLI_IN_TIME_H
#define CLI_IN_TIME_H

#include <memkv/memkv.h>

/**
 * struct in_time - what the child does, and what it brings
 * @path, @flags: the pool and how to open it (enum memkv_open_flag).
 * @deadline_us: for opening and the call together.
 * @call: the call, in the child; @left_us are left.  What it returns is @result; memkv_error_detail() comes along.
 * @context: of the caller's; what the child changes there is seen by nobody.
 * @buffer: memory that the child shares, of @room bytes, or NULL when that is 0.
 * @result: of opening or of @call; when the child did not come back in time MEMKV_TIMEDOUT, or, where @call was begun,
 *          MEMKV_UNKNOWN.
 * @detail: the sentence that goes with @result, or "".
 */
struct in_time {
	const char *path;
	uint32_t flags;
	uint64_t deadline_us;
	int64_t (*call)(struct memkv_pool *pool, struct in_time *job, uint64_t left_us);
	const void *context;
	void *buffer;
	size_t room;
	int64_t result;
	char detail[1024];
};

/**
 * in_time_run() - open the pool in a child, make the call, and wait for it no longer than the deadline
 * @job: path to room are given, the others received.  Free with in_time_fini().
 *
 * Return: 0, or -errno when there is no child or no memory.
 */
int in_time_run(struct in_time *job);

/** in_time_fini() - give the buffer back */
void in_time_fini(struct in_time *job);

#endif
