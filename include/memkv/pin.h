/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pins: blocks that no agent may evict, until they are unpinned or their pin expires.
 *
 * A pin belongs to a key, or to a session; it follows the block wherever it is moved, and outlives whoever stated it.
 * When a call here returns success the pin is flushed, and in force for every agent of every process.
 *
 * Pins end at a point in time, UTC as the pinning machine's clock has it.  A machine takes a pin for expired only when
 * its own clock is more than ten seconds past that.
 *
 * What can be pinned is limited: half of the pool's room, and a number of pins that memkv_pin_limits() tells.  More is
 * refused before anything is changed.
 */
#ifndef MEMKV_PIN_H
#define MEMKV_PIN_H

#include <memkv/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MEMKV_PIN_TTL_S 1800 /* 30 minutes: how long a pin lasts when nothing is said */

enum memkv_pin_flag {
	MEMKV_PIN_FOR_EVER = 1 << 0, /* until it is unpinned; @ttl_s must be 0 */
};

/**
 * struct memkv_pin_options - how long
 * @size: sizeof(struct memkv_pin_options).
 * @flags: enum memkv_pin_flag.
 * @ttl_s: seconds from now; 0: MEMKV_PIN_TTL_S.  A pin that is there already and ends later stays as long as it would.
 * @deadline_us: microseconds after which the call returns whatever the medium does; 0: when the medium has done.  timed.h
 *               says what MEMKV_TIMEDOUT and MEMKV_UNKNOWN mean then; after those results of keys are not written.
 */
struct memkv_pin_options {
	size_t size;
	uint32_t flags;
	uint64_t ttl_s;
	uint64_t deadline_us;
};

/**
 * memkv_pin() - pin blocks by key
 * @pool: the pool, open for writing.
 * @keys: their keys.
 * @count: number of keys.
 * @options: or NULL.
 * @results: receives for each key 0, MEMKV_MISS (no such block; where it went in this very moment the pin may stay, for what
 *           is put under the key) or the error that ended the call; or NULL.
 *
 * Return: how many are pinned now; MEMKV_PIN_LIMIT when all of them together would be too much (none is pinned);
 * MEMKV_READ_ONLY; MEMKV_FAILED; MEMKV_EFORK; -EINVAL; -errno of the medium: those with result 0 are pinned.  -EIO also for a
 * block that was just being removed or evicted when the medium failed, so that it could not be moved out of the way: it may go, and
 * its pin, which stays, may be stated once more.  -EAGAIN on a device that hosts share: whether what is pinned stays cannot be told
 * now (another host is removing it, logs cannot be read, or this agent's heartbeat is late); the pin stays, and may be stated once more.
 * Context: any thread; flushes the medium, and reads the blocks where hosts share a device; waits for no other process.
 */
int64_t memkv_pin(struct memkv_pool *pool, const struct memkv_key *keys, size_t count,
		  const struct memkv_pin_options *options, int *results);

/**
 * memkv_pin_prefix() - pin the longest stored prefix of a chain of keys
 * @pool: the pool, open for writing.
 * @keys: the chain.
 * @count: its length.
 * @options: or NULL.
 *
 * Return: how many keys, from the first, are stored and pinned now; else as memkv_pin().
 * Context: as memkv_pin().
 */
int64_t memkv_pin_prefix(struct memkv_pool *pool, const struct memkv_key *keys, size_t count,
			 const struct memkv_pin_options *options);

/**
 * memkv_pin_session() - pin what is stored of a session, and what will be until the pin ends
 * @pool: the pool, open for writing.
 * @session: its name.
 * @options: or NULL.
 *
 * One fact says all of it: nobody ever sees half of a session pinned.  While it holds, a put of that session that would
 * take the pool over its limit is answered with MEMKV_PIN_LIMIT.
 *
 * Return: how many of its blocks are stored now; else as memkv_pin().  MEMKV_PIN_LIMIT also when one of its blocks was just being
 * removed or evicted and there is no room to move it to, and -EIO when it could not be moved since the medium failed, or when the
 * medium did not say what there is of the session: then the pin stays, for the others and for what is put, and may be stated once
 * more.
 * Context: as memkv_pin().
 */
int64_t memkv_pin_session(struct memkv_pool *pool, const char *session, const struct memkv_pin_options *options);

/**
 * memkv_unpin() - take the pins of keys back
 * @pool: the pool, open for writing.
 * @keys: the keys.
 * @count: number of keys.
 * @results: receives for each key 0, or MEMKV_MISS when it had no pin of its own; or NULL.
 *
 * Blocks of a pinned session stay pinned by it.
 *
 * Return: how many were pinned; MEMKV_READ_ONLY; MEMKV_FAILED; MEMKV_EFORK; -EINVAL; -errno of the medium: those with result 0 are not
 * pinned any more, of the first other one it is not known.
 * Context: as memkv_pin().
 */
int64_t memkv_unpin(struct memkv_pool *pool, const struct memkv_key *keys, size_t count, int *results);

/**
 * memkv_unpin_session() - take the pin of a session back
 * @pool: the pool, open for writing.
 * @session: its name.
 *
 * Return: 0; MEMKV_MISS when it was not pinned; else as memkv_unpin().
 * Context: as memkv_pin().
 */
int memkv_unpin_session(struct memkv_pool *pool, const char *session);

/**
 * struct memkv_pin_info - one pin
 * @is_session: not 0: it pins a session, else a key.
 * @key: of a key's pin.
 * @session_id: of a session's pin: hash of its name.
 * @session: the first 32 bytes of its name, and a NUL.
 * @expires_s: UTC seconds since 1970 when it ends; 0: never.
 * @pages: of a key's pin: pages of 4096 bytes that the block takes, header included.
 * @slot, @epoch: of the agent that stated it.
 */
struct memkv_pin_info {
	int is_session;
	struct memkv_key key;
	uint64_t session_id;
	char session[MEMKV_KEY_BYTES + 1];
	uint64_t expires_s;
	uint64_t pages;
	uint32_t slot;
	uint32_t epoch;
};

/**
 * memkv_pins() - what is pinned
 * @pool: the pool.
 * @pins: receives the pins that hold, by key and then by session; or NULL.
 * @room: number that fit there.
 *
 * Looks fresh.
 *
 * Return: how many there are, which may be more than @room; on a device that hosts share MEMKV_FENCED, when this one stood still for so
 * long that its slot is another's (open it again), or -EIO, when the logs of others cannot all be read; MEMKV_FAILED; MEMKV_EFORK; -ENOMEM.
 * Context: any thread; waits for the medium.
 */
int64_t memkv_pins(struct memkv_pool *pool, struct memkv_pin_info *pins, size_t room);

/**
 * struct memkv_pin_limits - what could be pinned, and what is
 * @bytes: how much may be pinned, whole pages of 4096 bytes, block headers included.
 * @bytes_pinned: how much is.  Sessions count with what is stored of them; a block pinned twice counts twice.
 * @pins: how many pins there can be, as far as they are not yet used up; ended ones count until their time is over.
 */
struct memkv_pin_limits {
	uint64_t bytes;
	uint64_t bytes_pinned;
	uint64_t pins;
};

/**
 * memkv_pin_room() - how much more can be pinned
 * @pool: the pool.
 * @limits: receives it.
 *
 * Return: 0; MEMKV_FENCED and -EIO as memkv_pins(); MEMKV_FAILED; MEMKV_EFORK; -EINVAL; -ENOMEM.
 * Context: any thread; looks through the tables when a session is pinned.
 */
int memkv_pin_room(struct memkv_pool *pool, struct memkv_pin_limits *limits);

enum memkv_remove_flag {
	MEMKV_REMOVE_UNPIN = 1 << 0, /* pinned or not */
};

/**
 * memkv_remove_with() - memkv_remove(), with a say about pins
 * @pool: the pool, open for writing.
 * @key: its key.
 * @flags: enum memkv_remove_flag.  MEMKV_REMOVE_UNPIN takes a pin of the key back first; that of its session stays, for the session's
 *         other blocks.
 *
 * Return: as memkv_remove().
 * Context: any thread.
 */
int memkv_remove_with(struct memkv_pool *pool, const struct memkv_key *key, uint32_t flags);

/**
 * struct memkv_evict_options - what to let go
 * @size: sizeof(struct memkv_evict_options).
 * @has_class: not 0: only @class_id.
 * @class_id: see @has_class.
 * @bytes: stop when that much payload is gone; 0: all that matches.
 * @older_than_s: only blocks that were stored at least so many seconds ago; 0: any.
 * @dry_run: not 0: only count.
 * @deadline_us: microseconds after which the call returns whatever the medium does; 0: when the medium has done.  After
 *               MEMKV_UNKNOWN (timed.h) any of the blocks that match may be gone, or go, and the report is all zero.
 */
struct memkv_evict_options {
	size_t size;
	int has_class;
	uint32_t class_id;
	uint64_t bytes;
	uint64_t older_than_s;
	int dry_run;
	uint64_t deadline_us;
};

/**
 * struct memkv_evict_report - what an evict has done
 * @blocks, @bytes: let go.
 * @pinned: matching blocks that stay because they are pinned.
 */
struct memkv_evict_report {
	uint64_t blocks;
	uint64_t bytes;
	uint64_t pinned;
};

/**
 * memkv_evict() - let blocks go now, those of the oldest segments first
 * @pool: the pool, open for writing (unless it is a dry run).
 * @options: or NULL for everything.
 * @report: receives what was done, also after an error.
 *
 * Return: 0.  Or, where it ended before @bytes were gone, or before all that matches was looked at: MEMKV_PINNED: pinned blocks that match
 * are left; -EIO: what some segments hold cannot be read, and stays; MEMKV_DEGRADED: a namespace is lost; MEMKV_NO_ROOM: hosts that share
 * a device, the logs take no further removal.  MEMKV_READ_ONLY; MEMKV_FAILED; MEMKV_EFORK; -EINVAL; -ENOMEM; -errno of the medium.
 * Context: any thread.
 */
int memkv_evict(struct memkv_pool *pool, const struct memkv_evict_options *options, struct memkv_evict_report *report);

#ifdef __cplusplus
}
#endif
#endif
