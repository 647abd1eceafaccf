/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that end by a deadline, of those that have no options to say it in.
 *
 * A medium that hangs neither ends a command nor fails it.  @deadline_us is how many microseconds after its beginning a call
 * returns whatever the medium does; 0: when the medium has done, as the call without _by.  Put, get, pin, evict, check and open take
 * it among their options.
 *
 * When the deadline passes, a call that only reads answers MEMKV_TIMEDOUT, which is a miss.  One that changes something answers
 *
 *   MEMKV_TIMEDOUT  nothing was changed, and nothing will be: the library had not begun;
 *   MEMKV_UNKNOWN   it was begun, and the library still waits for the medium.  What was asked for may take place, wholly or
 *                   in part, at once or whenever the medium answers, or not at all.  Asking once more is safe, and tells:
 *                   who removes, pins or unpins twice has done it once.
 *
 * Either way all memory of the caller's is its own again: nothing is written to it after the return, and nothing that it
 * holds is read any more.  Keys and ranges are copied, answers come from memory of the library's.  How many calls with a
 * deadline can be under way in a handle, those included that were left: struct memkv_pool_options.
 *
 * Return: as the call without _by; MEMKV_TIMEDOUT and MEMKV_UNKNOWN as above; -ENOMEM or -EAGAIN: no memory or no thread.
 * Context: any thread, which is held for no longer than the deadline.
 */
#ifndef MEMKV_TIMED_H
#define MEMKV_TIMED_H

#include <memkv/host.h>
#include <memkv/namespace.h>
#include <memkv/pin.h>
#include <memkv/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

/** memkv_exists_by() - memkv_exists() by a deadline: 1, 0, or MEMKV_TIMEDOUT: it could not be told */
int memkv_exists_by(struct memkv_pool *pool, const struct memkv_key *key, uint32_t flags, uint64_t deadline_us);

/** memkv_match_by() - memkv_match() by a deadline */
int memkv_match_by(struct memkv_pool *pool, const struct memkv_key *keys, size_t count, uint32_t flags, uint64_t deadline_us);

/** memkv_stat_by() - memkv_stat() by a deadline */
int memkv_stat_by(struct memkv_pool *pool, const struct memkv_key *key, struct memkv_block_info *info, uint64_t deadline_us);

/** memkv_get_ranges_by() - memkv_get_ranges() by a deadline; what is at the pieces' @dst is undefined after anything but success */
int64_t memkv_get_ranges_by(struct memkv_pool *pool, const struct memkv_key *key, const struct memkv_range *ranges, size_t count,
			    uint64_t deadline_us);

/** memkv_remove_by() - memkv_remove_with() by a deadline */
int memkv_remove_by(struct memkv_pool *pool, const struct memkv_key *key, uint32_t flags, uint64_t deadline_us);

/** memkv_unpin_by() - memkv_unpin() by a deadline; @results is written only when it did not pass */
int64_t memkv_unpin_by(struct memkv_pool *pool, const struct memkv_key *keys, size_t count, int *results, uint64_t deadline_us);

/** memkv_unpin_session_by() - memkv_unpin_session() by a deadline */
int memkv_unpin_session_by(struct memkv_pool *pool, const char *session, uint64_t deadline_us);

/** memkv_pool_refresh_by() - memkv_pool_refresh() by a deadline; after MEMKV_TIMEDOUT what others have published may be seen, or not */
int memkv_pool_refresh_by(struct memkv_pool *pool, uint64_t deadline_us);

/** memkv_iter_open_by() - memkv_iter_open() by a deadline; after MEMKV_TIMEDOUT there is no iterator */
int memkv_iter_open_by(struct memkv_pool *pool, const struct memkv_filter *filter, struct memkv_iter **iter, uint64_t deadline_us);

/**
 * memkv_iter_next_by() - memkv_iter_next() by a deadline
 *
 * After MEMKV_TIMEDOUT the iterator stays where it was: the next call tries the same segment again.
 */
int memkv_iter_next_by(struct memkv_iter *iter, struct memkv_block_info *info, uint64_t deadline_us);

/** memkv_pins_by() - memkv_pins() by a deadline */
int64_t memkv_pins_by(struct memkv_pool *pool, struct memkv_pin_info *pins, size_t room, uint64_t deadline_us);

/** memkv_pin_room_by() - memkv_pin_room() by a deadline */
int memkv_pin_room_by(struct memkv_pool *pool, struct memkv_pin_limits *limits, uint64_t deadline_us);

/** memkv_hosts_by() - memkv_hosts() by a deadline */
int64_t memkv_hosts_by(struct memkv_pool *pool, struct memkv_host *hosts, size_t room, uint64_t deadline_us);

/** memkv_pool_describe_by() - memkv_pool_describe() by a deadline */
int memkv_pool_describe_by(struct memkv_pool *pool, struct memkv_pool_info *info, uint64_t deadline_us);

/** memkv_pool_namespaces_by() - memkv_pool_namespaces() by a deadline */
int64_t memkv_pool_namespaces_by(struct memkv_pool *pool, struct memkv_namespace *list, size_t room, uint64_t deadline_us);

#ifdef __cplusplus
}
#endif
#endif
