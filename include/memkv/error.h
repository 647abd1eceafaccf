/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Results of every memkv call: 0 or a count when it worked, a negative number when it did not.
 *
 * A negative number is either -errno (the operating system's answer, such as -ENOMEM) or one code of memkv's own
 * range, each of which names one cause.  The list below is the only home of those codes and of their one-line texts.
 */
#ifndef MEMKV_ERROR_H
#define MEMKV_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

#define MEMKV_CODE_BASE 5000 /* memkv's own codes are -(MEMKV_CODE_BASE + n), outside every errno */

/* X(name, number, text) */
#define MEMKV_CODES(X)                                                                              \
	X(MISS, 1, "no such block in the pool")                                                     \
	X(EXISTS, 2, "the same bytes are already stored under this key")                            \
	X(DIFFERS, 3, "other bytes are already stored under this key")                              \
	X(TOO_LARGE, 4, "the block is larger than the pool's largest block")                        \
	X(SIZE, 5, "the buffer does not have the block's size")                                     \
	X(NO_ROOM, 6, "no room left in the pool")                                                   \
	X(NO_SLOT, 7, "every slot of the pool is taken")                                            \
	X(READ_ONLY, 8, "the pool was opened read-only")                                            \
	X(NOT_A_POOL, 9, "this is not a memkv pool")                                                \
	X(NEWER, 10, "the pool's format is newer than this memkv")                                  \
	X(DAMAGED, 11, "the pool's metadata is damaged")                                            \
	X(FOREIGN, 12, "the medium carries data that is not memkv's")                               \
	X(POOL_EXISTS, 13, "there is a pool here already")                                          \
	X(IN_USE, 14, "live agents have the pool open")                                             \
	X(GEOMETRY, 15, "these sizes do not make a pool")                                           \
	X(FAILED, 16, "the pool's medium is gone or was cut short")                                 \
	X(FENCED, 17, "this agent lost its slot")                                                   \
	X(UNKNOWN, 18, "the outcome is unknown: the block may or may not be stored")                \
	X(EFORK, 19, "the handle was inherited across fork and is unusable in the child")           \
	X(CONFLICT, 20, "the options contradict each other")                                        \
	X(NO_FABRIC, 50, "this machine or this build cannot attach namespaces over a network")      \
	X(NO_SUBSYSTEM, 51, "the target has no such subsystem or namespace")                        \
	X(HOST_REFUSED, 52, "the target does not let this host in")                                 \
	X(PINNED, 21, "the block is pinned")                                                        \
	X(PIN_LIMIT, 22, "this is more than the pool may keep pinned")                              \
	X(DRAINED, 23, "this agent was drained, and puts no more")                                  \
	X(TIMEDOUT, 30, "the medium did not answer by the deadline")                                \
	X(LAPSED, 31, "the hold has lapsed: the bytes behind it do not count")                      \
	X(LOCATOR, 32, "this is no locator, or it was damaged on its way")                          \
	X(OTHER_POOL, 33, "the locator is of another pool")                                         \
	X(NETWORK, 40, "the file system cannot prove that a writer is gone")                        \
	X(DEGRADED, 41, "a namespace of the pool is lost, and what is there cannot be told")            \
	X(NOT_EMPTY, 42, "the namespace still holds blocks")

enum memkv_code {
#define MEMKV_CODE_ENUM(name, number, text) MEMKV_##name = -(MEMKV_CODE_BASE + (number)),
	MEMKV_CODES(MEMKV_CODE_ENUM)
#undef MEMKV_CODE_ENUM
};

/**
 * memkv_strerror() - one line of text for a result
 * @result: what a memkv call returned.
 *
 * Return: a static string, never NULL; for -errno the C library's text.
 * Context: any thread.  For -errno the string lives until the thread's next call.
 */
const char *memkv_strerror(int result);

/**
 * memkv_code_name() - the symbolic name of a result, as "--json" prints it
 * @result: what a memkv call returned.
 *
 * Return: for instance "MISS" or "EACCES"; "OK" for 0 or more; never NULL.
 * Context: any thread.
 */
const char *memkv_code_name(int result);

/**
 * memkv_error_detail() - the full sentence about this thread's last failed call
 *
 * It names the thing that was wrong and the mend, as the command line tool prints it.
 *
 * Return: a string that belongs to the thread and lives until its next failing memkv call; "" before any.
 * Context: any thread.  Calls on the get path that end in MEMKV_MISS leave it unchanged.
 */
const char *memkv_error_detail(void);

/**
 * memkv_set_log() - hear what is worth a word and is no error
 * @log: called with one sentence; it may be kept only by copying it, and no memkv call may be made from there.  NULL: none.
 * @context: handed to @log.
 *
 * memkv never prints.  What it has to say beside results, for instance that a pool lies on a connection that lets writes
 * land late, goes here; without a @log it is not said.
 *
 * Context: any thread; @log is called in threads that are in a memkv call or belong to memkv, never by a get or put.
 */
void memkv_set_log(void (*log)(void *context, const char *sentence), void *context);

#ifdef __cplusplus
}
#endif
#endif
