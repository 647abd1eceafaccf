/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A check that its caller may leave (deadline.h): what the two have in common lives until both have done with it.  The caller's
 * callbacks are made in the check's thread, under a lock, and not any more when the caller has left; the next of them stops the check.
 */
#ifndef MEMKV_POOL_CHECK_WATCH_H
#define MEMKV_POOL_CHECK_WATCH_H

#include <memkv/pool.h>
#include <pthread.h>
#include <stdbool.h>

/*
 * @seen: the options for the check, whose callbacks come here.
 * @found: the check's own report.
 * @given, @told, @left, @users: under the lock; @told is what the report was when the check told of its progress last.
 */
struct check_watch {
	struct memkv_check_options seen;
	struct memkv_check_report found;
	pthread_mutex_t lock;
	struct memkv_check_options given;
	struct memkv_check_report told;
	bool left;
	unsigned users;
};

/* check_watch_new() - for a caller, and for a check that is to be begun; NULL: no memory */
struct check_watch *check_watch_new(const struct memkv_check_options *given);
/* check_watch_over() - the check has come to its end */
void check_watch_over(struct check_watch *watch);
/* check_watch_leave() - the caller goes, with what was found by now; @begun: the check was, and says itself when it is over */
void check_watch_leave(struct check_watch *watch, struct memkv_check_report *report, bool begun);

#endif
