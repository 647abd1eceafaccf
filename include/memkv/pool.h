/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools: create, open, and the plain (waiting) calls on blocks.
 *
 * Promise: a get is the exact bytes of one acknowledged put of that very key, or a miss.  Every failure of the
 * medium ends in a counted miss; no call prints, exits or aborts.
 *
 * Units: sizes and offsets are bytes; pages are 4096 of them.  Points in time are seconds since 1970, UTC, by this machine's clock
 * (names that end in _s, as for lengths of time); _ms and _us are milliseconds and microseconds, on a clock that nobody sets.
 * Texts are C strings; what a path names may be a file, a block device, or a DAX device, unless a call says less.
 *
 * Memory: what a call is given is its caller's again when it returns, and what it fills in is the caller's; strings in answers
 * belong to whom the struct's description says.  Handles and iterators are given back by the call that their opening names.
 * Pointers that a call's description does not call optional must not be NULL: -EINVAL, but for handles of iterators.
 *
 * Results: 0 or a count, or negative (error.h).  Beside what its description lists, any call on a pool answers MEMKV_EFORK on
 * an inherited handle, -EINVAL for a NULL pool, and, but for gets, stat, exists and match, MEMKV_FAILED while the pool cannot
 * be used ("Failure" below); one that takes options -EINVAL or -E2BIG for them; and one that has to allocate -ENOMEM.
 *
 * Option structs: set `size` to sizeof the struct as you compiled it; NULL means all defaults.  A library that is newer
 * than the program takes the fields that the program does not know as zero; one that is older answers -E2BIG when a
 * field that it does not know is not zero, and -EINVAL when `size` was not set at all.
 *
 * Threads: a `struct memkv_pool *` may be used from any number of threads at once; open and close are the exception
 * (nobody may use a handle that is being closed).
 * Failure: when the medium is gone, was cut short or failed, or the agent has lost its slot, the handle stays good.  Gets are
 * misses (counted as the medium's), exists and match find nothing, whatever would write answers MEMKV_FAILED (puts are
 * counted) with a sentence that says why; what can still be read may be found for some time.  A thread of the handle's looks for
 * the pool at the path it was opened by, and attaches it anew when it answers, as a new incarnation; then everything goes on.
 * Holds of before have lapsed.  On a network not before the last of the writes that failed can have landed; and while
 * the medium takes no writes, or all slots are taken, the pool is attached for reading only.  Another pool at the path (another uuid) is left
 * alone.  memkv_counters tells how often that was (@rejoins), memkv_set_log() hears of it.  A handle without a follower
 * (MEMKV_OPEN_NO_FOLLOWER) has no such thread: calls that write, and memkv_pool_refresh(), do it on their way.
 * Fork: in a child every call on an inherited handle returns MEMKV_EFORK; memkv_pool_close() in the child frees
 * nothing that the parent uses.
 */
#ifndef MEMKV_POOL_H
#define MEMKV_POOL_H

#include <memkv/error.h>
#include <memkv/key.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct memkv_pool;
struct memkv_iter;

#define MEMKV_META_MAX 1024   /* bytes of the caller's own metadata a block can carry */
#define MEMKV_SESSION_MAX 63  /* bytes of a session name */
#define MEMKV_NAME_MAX 63     /* bytes of a pool name */

/* ---- create and destroy ------------------------------------------------------------------------------------ */

enum memkv_create_flag {
	MEMKV_CREATE_FORCE = 1 << 0, /* overwrite foreign data, or a pool that nobody has open */
	MEMKV_CREATE_THIN = 1 << 1,  /* allocate the control region only: a full file system fails puts later on */
	MEMKV_CREATE_SHARE = 1 << 2, /* a block device that agents on several hosts write to at once */
	MEMKV_CREATE_INCOHERENT = 1 << 3, /* memory that hosts share whose caches are not coherent with each other */
};

/**
 * struct memkv_create_options - what pool to make
 * @size: sizeof(struct memkv_create_options).
 * @flags: enum memkv_create_flag.
 * @bytes: the medium's size; 0: 4 GiB for a new file, an existing file's or a device's whole size.
 * @max_block: largest block in bytes; 0: 16 MiB (size/128 rounded down to 64 KiB for pools under 2 GiB).
 * @segment: room of a segment in bytes; 0: follows from the pool's size and @max_block.
 * @slots: agents at a time; 0: min(256, segments / 4).
 * @blocks: with @block_size, a pool with room for exactly this many blocks of that size (@bytes, @max_block and
 *          @segment must be 0).
 * @block_size: see @blocks.
 * @name: up to MEMKV_NAME_MAX bytes, or NULL.
 * @progress: called now and then with bytes written and to write, or NULL.  Not 0 stops the create, which then leaves
 *            behind what a failed one does: nothing in a new file; where data or a pool was, either that or no pool.
 * @context: handed to @progress.
 * @namespaces, @namespace_count: further files, or further block devices, that the pool lies on as well.  @bytes is the size
 *          of each file then; devices are used whole.
 */
struct memkv_create_options {
	size_t size;
	uint32_t flags;
	uint32_t slots;
	uint64_t bytes;
	uint64_t max_block;
	uint64_t segment;
	uint64_t blocks;
	uint64_t block_size;
	const char *name;
	int (*progress)(void *context, uint64_t done, uint64_t total);
	void *context;
	const char *const *namespaces;
	size_t namespace_count;
};

/**
 * memkv_pool_create() - format a pool
 * @path: a file to make or to format, or a block device.
 * @options: or NULL.
 *
 * The superblocks are written last: an interrupted create leaves no pool.
 *
 * Return: 0; MEMKV_GEOMETRY, MEMKV_CONFLICT, MEMKV_FOREIGN, MEMKV_POOL_EXISTS, MEMKV_IN_USE, MEMKV_NETWORK, -ENOSPC
 * (nothing is left behind in a new file), -ECANCELED (@progress said so), or -errno.
 * Context: any thread; another process may create at the same path: one of them wins, the other gets MEMKV_IN_USE
 * or MEMKV_POOL_EXISTS.
 */
int memkv_pool_create(const char *path, const struct memkv_create_options *options);

/**
 * struct memkv_create_plan - what a create would make
 * @size: sizeof(struct memkv_create_plan), set by the caller.
 * @bytes, @control_bytes, @segments, @segment_room, @max_block, @entries_per_segment, @slots: as struct memkv_pool_info.
 * @room_block_size: of the blocks that @room_blocks counts: the options' block_size, else @max_block.
 * @room_blocks: how many of them the pool would hold.
 * @bytes, @control_bytes, @segments and @room_blocks are of all namespaces together.
 * @over_pool, @over_data: not 0: a pool, or other data, is there and would be overwritten (by force).
 * @new_file: not 0: nothing is there yet.
 */
struct memkv_create_plan {
	size_t size;
	uint64_t bytes;
	uint64_t control_bytes;
	uint64_t segments;
	uint64_t segment_room;
	uint64_t max_block;
	uint64_t entries_per_segment;
	uint64_t room_block_size;
	uint64_t room_blocks;
	uint32_t slots;
	int over_pool;
	int over_data;
	int new_file;
};

/**
 * memkv_pool_plan() - all that memkv_pool_create() does before it changes anything
 * @path, @options: as for memkv_pool_create().
 * @plan: receives what would be made; its size says what the caller knows of it.
 *
 * Return: 0; or what memkv_pool_create() would answer, as far as it can be told before: permissions, what is there and
 * who uses it, the sizes, and, for what has to be allocated on a file system, its free space now.
 * Context: any thread; changes nothing.
 */
int memkv_pool_plan(const char *path, const struct memkv_create_options *options, struct memkv_create_plan *plan);

/**
 * struct memkv_pool_label - what a pool's superblock says about it
 * @size: sizeof(struct memkv_pool_label), set by the caller.
 * @format_major, @format_minor: version of the format.
 * @bytes: size of the medium that the pool uses.
 * @created_s: UTC seconds when it was made.
 * @uuid, @name: identity.
 * @namespaces: files or devices that it lies on, those that were removed included; 1: on this one alone.
 * @namespace_number: which of them this is; only the first, 0, stands for the pool.
 */
struct memkv_pool_label {
	size_t size;
	uint32_t format_major;
	uint32_t format_minor;
	uint64_t bytes;
	uint64_t created_s;
	uint8_t uuid[16];
	char name[MEMKV_NAME_MAX + 1];
	uint32_t namespaces;
	uint32_t namespace_number;
};

/**
 * memkv_pool_probe() - is there a pool, and which?
 * @path: a file or block device.
 * @label: receives what its superblock says.
 *
 * Reads two pages, takes no slot and no lock, changes nothing.
 *
 * Return: 0; MEMKV_NOT_A_POOL, MEMKV_NEWER, MEMKV_DAMAGED (there is a pool that cannot be opened), or -errno.
 * Context: any thread.
 */
int memkv_pool_probe(const char *path, struct memkv_pool_label *label);

/**
 * memkv_pool_destroy() - wipe a pool's superblocks and remove its file; of a device, wipe both ends
 * @path: of the pool (of several namespaces: its home).
 * @dry_run: not 0: only tell whether it could be done.
 *
 * Return: 0; MEMKV_NOT_A_POOL; MEMKV_IN_USE while any agent has it open; MEMKV_NETWORK; or -errno.
 * Context: any thread.
 */
int memkv_pool_destroy(const char *path, int dry_run);

/* ---- open and close ---------------------------------------------------------------------------------------- */

enum memkv_open_flag {
	MEMKV_OPEN_READ_ONLY = 1 << 0,   /* takes no slot; put and remove answer MEMKV_READ_ONLY */
	MEMKV_OPEN_CLI = 1 << 1,         /* may use the slot kept for short-lived commands */
	MEMKV_OPEN_NO_FOLLOWER = 1 << 2, /* no thread: others' puts appear at memkv_pool_refresh() and fresh calls */
	MEMKV_OPEN_BUFFERED = 1 << 3,    /* payload through the page cache even where O_DIRECT works */
	MEMKV_OPEN_LAZY = 1 << 4,        /* returns at once, and misses until the pool can be reached */
};

/**
 * struct memkv_pool_options - how to open
 * @size: sizeof(struct memkv_pool_options).
 * @flags: enum memkv_open_flag.  With MEMKV_OPEN_LAZY only options are looked at before the call returns: the pool is attached
 *         in the background, and the handle is as one whose pool has failed until it can be (see above).
 * @lanes: payload operations that can be in flight at once from all threads; 0: 16, at most 64.
 * @poll_us: the follower's polling interval in microseconds; 0: 1000, on block devices 10000.
 * @deadline_us: microseconds after which memkv_pool_open() returns whatever the medium does; 0: when it has done.
 * @deadline_calls: calls with a deadline that can be under way at once, those included that were given up and still
 *                  wait for the medium; 0: 4, at most 16.  Each has memory for a largest block, and a thread, from the
 *                  first time that it is needed.
 */
struct memkv_pool_options {
	size_t size;
	uint32_t flags;
	uint32_t lanes;
	uint32_t poll_us;
	uint64_t deadline_us;
	uint32_t deadline_calls;
};

/**
 * memkv_pool_open() - attach a pool
 * @path: of the pool (of several namespaces: its home); copied.
 * @options: or NULL.
 * @pool: receives the handle; free with memkv_pool_close().
 *
 * Reads the whole index from the media before it returns: what is on the media can be found at once.
 *
 * Return: 0; MEMKV_NOT_A_POOL, MEMKV_NEWER, MEMKV_DAMAGED, MEMKV_NO_SLOT; MEMKV_IN_USE while somebody formats or
 * destroys it, or, for writing on a medium that one process writes to at a time, while another does; MEMKV_NETWORK: for writing, on a file system that other machines may share; MEMKV_TIMEDOUT: the medium
 * did not answer by the deadline (what is opened later is closed again; four such attempts at a time wait in a process,
 * further ones end at once); or -errno.
 * Context: any thread.  Starts one follower thread, and one that sees to it that the pool stays attached, unless told not to.
 */
int memkv_pool_open(const char *path, const struct memkv_pool_options *options, struct memkv_pool **pool);

/**
 * memkv_pool_close() - leave the pool
 * @pool: from memkv_pool_open(), or NULL.  Nobody else may be using it.
 *
 * On a block device, and where a call with a deadline was given up, it returns after 5 s at the latest.  What was not
 * done by then goes on in a thread of the library, which ends, and gives all memory and descriptors back, when the
 * medium's I/O ends; until then this process still counts as an agent of the pool.
 */
void memkv_pool_close(struct memkv_pool *pool);

/**
 * memkv_pool_refresh() - fold in everything that any host has published before the call
 * @pool: the pool.
 *
 * Return: 0, MEMKV_FAILED or MEMKV_EFORK.  What the medium does not answer for in that moment is looked at again by later looks.
 * Context: any thread; waits only for this process's own follower, and for the medium.
 */
int memkv_pool_refresh(struct memkv_pool *pool);

/* ---- blocks ------------------------------------------------------------------------------------------------ */

enum memkv_class {
	MEMKV_CLASS_DEFAULT = 0,
	MEMKV_CLASS_SHARED = 1,  /* prefixes that many sessions use */
	MEMKV_CLASS_SESSION = 2, /* one conversation's own state */
};

enum memkv_put_flag {
	MEMKV_PUT_REPLACE = 1 << 0, /* other bytes are replaced instead of answered with MEMKV_DIFFERS; of two at once one stays */
	MEMKV_PUT_DURABLE = 1 << 1, /* acknowledged only when it survives power loss of the medium's machine */
};

/**
 * struct memkv_put_options - what to store beside the payload
 * @size: sizeof(struct memkv_put_options).
 * @flags: enum memkv_put_flag.
 * @class_id: enum memkv_class, or 3..31 for classes of your own.
 * @depth: the block's position in its prefix chain, for `ls` and provenance; 0 when unknown.
 * @ttl_s: seconds until the block expires; 0: never.
 * @session: C string of up to MEMKV_SESSION_MAX bytes, or NULL.
 * @meta: up to MEMKV_META_MAX bytes of your own, returned by get and stat; or NULL.
 * @meta_length: their number.
 * @parent: key of the block before this one in its chain, or NULL.
 * @deadline_us: microseconds after which the call returns whatever the medium does; 0: when the medium has done.  Such a
 *               put copies @data first, and the copy is what is written: @data is the caller's again when it returns.
 */
struct memkv_put_options {
	size_t size;
	uint32_t flags;
	uint32_t class_id;
	uint32_t depth;
	uint64_t ttl_s;
	const char *session;
	const void *meta;
	size_t meta_length;
	const struct memkv_key *parent;
	uint64_t deadline_us;
};

/**
 * memkv_put() - store a block
 * @pool: the pool.
 * @key: its key.
 * @data: its bytes; must not change until the call returns.  Page-aligned memory avoids a copy.
 * @length: 1 to the pool's largest block.
 * @options: or NULL.
 *
 * When the call returns 0 every process that looks afterwards (memkv_pool_refresh(), or a few milliseconds later
 * without) finds the block.
 *
 * Return: 0 stored; MEMKV_EXISTS (equal bytes are stored; nothing was written); MEMKV_DIFFERS (other bytes are stored
 * and stay); MEMKV_PINNED (likewise: they are pinned, and are not replaced); MEMKV_TOO_LARGE; MEMKV_NO_ROOM; MEMKV_PIN_LIMIT (its
 * session is pinned, and the block would be more than may be); MEMKV_DRAINED (this agent was); MEMKV_DEGRADED (to replace, all
 * namespaces must be there); MEMKV_FENCED; MEMKV_READ_ONLY; MEMKV_FAILED; MEMKV_EFORK; -EINVAL; -errno of the medium: it is not there; MEMKV_UNKNOWN: the medium failed, or the deadline passed while the block was being written: it may be
 * there, or come to be there, or not, and what it was to replace as well; MEMKV_TIMEDOUT: the deadline passed before
 * anything was written, and nothing will be.
 * Context: any thread; waits for its own I/O, never for another process.
 */
int memkv_put(struct memkv_pool *pool, const struct memkv_key *key, const void *data, size_t length,
	      const struct memkv_put_options *options);

enum memkv_get_flag {
	MEMKV_GET_UPTO = 1 << 0, /* @length is "at most" instead of the block's exact size */
	/*
	 * Believe the index: on a block device, and on memory of hosts that are not coherent, read header and payload and nothing
	 * else.  Without it a get also reads whether the block was removed since this process last looked (4 to 8 KiB; on a
	 * device that several hosts write to besides 4 KiB for each slot in use).  With it the bytes are those of one put of
	 * this key all the same, but one that was removed or replaced lately may still be returned: until this process has
	 * learnt of it, which each step of the follower, and memkv_pool_refresh(), sees to.
	 *
	 * That holds for removals that were acknowledged.  One that never was, since its process died or its device failed in it, may
	 * or may not have taken place: gets without the flag then find no block, while this process may not learn of it, and return
	 * the block by the flag until its place is used again; also when a later removal of the key has found nothing left to remove
	 * (MEMKV_MISS), and when another block was put under the key and removed since.  Any get of the key without the flag
	 * in this process ends that.
	 *
	 * So it is meant for keys that are made of what they stand for, as those of KV caches are: there a block that comes once
	 * too often is still the right one.  On files and coherent memory the flag changes nothing.
	 */
	MEMKV_GET_BY_INDEX = 1 << 1,
};

/**
 * struct memkv_get_options - what else a get returns
 * @size: sizeof(struct memkv_get_options).
 * @flags: enum memkv_get_flag.
 * @meta: receives the block's metadata when not NULL.
 * @meta_room: bytes at @meta.
 * @meta_length: receives the metadata's length (which may exceed @meta_room; then only that much is copied).
 * @deadline_us: microseconds after which the call returns whatever the medium does; 0: when the medium has done.  The
 *               block is then read into memory of the library's and copied: nothing is ever written to the caller's
 *               after the return.
 */
struct memkv_get_options {
	size_t size;
	uint32_t flags;
	void *meta;
	size_t meta_room;
	size_t meta_length;
	uint64_t deadline_us;
};

/**
 * memkv_get() - read a whole block
 * @pool: the pool.
 * @key: its key.
 * @buffer: receives the bytes.  Undefined after anything but success.  Page-aligned memory avoids a copy.
 * @length: the block's exact size, or an upper bound with MEMKV_GET_UPTO.
 * @options: or NULL; meta_length is written.
 *
 * Return: the block's size in bytes; MEMKV_MISS (not there, or unreadable: counted by cause); MEMKV_SIZE;
 * MEMKV_EFORK; -EINVAL; with a deadline also MEMKV_TIMEDOUT, a miss: the medium has not answered by then, or all calls
 * with a deadline that there may be at once wait for it already; -ENOMEM or -EAGAIN: no memory or no thread for one.
 * A medium that is gone is a miss.
 * Context: any thread; no lock, no allocation, no system call but the read itself.  With a deadline, locks of the library
 * that are held for moments, and a thread of the library.
 */
int64_t memkv_get(struct memkv_pool *pool, const struct memkv_key *key, void *buffer, size_t length,
		  struct memkv_get_options *options);

/**
 * struct memkv_range - one piece of a block
 * @offset: first byte in the block.
 * @length: bytes.
 * @dst: receives them.
 */
struct memkv_range {
	uint64_t offset;
	uint64_t length;
	void *dst;
};

/**
 * memkv_get_ranges() - read pieces of a block
 * @pool: the pool.
 * @key: the block's key.
 * @ranges: the pieces, in any order.
 * @count: their number, at least 1.
 *
 * All pieces come from one put.  Only the chunks that they touch are read and verified.
 *
 * Return: the block's size; MEMKV_MISS; MEMKV_SIZE when a piece reaches past the block's end; MEMKV_EFORK; -EINVAL.
 * Context: as memkv_get().
 */
int64_t memkv_get_ranges(struct memkv_pool *pool, const struct memkv_key *key, const struct memkv_range *ranges,
			 size_t count);

enum memkv_look_flag {
	MEMKV_LOOK_FRESH = 1 << 0, /* first fold in what others have published */
};

/**
 * memkv_exists() - is a block there?
 * @pool: the pool.
 * @key: its key.
 * @flags: enum memkv_look_flag.
 *
 * An answer from memory: a block that expires, is removed or evicted in this moment, or cannot be read back, may count as there.
 *
 * Return: 1 or 0, which is also the answer while the pool cannot be used; MEMKV_EFORK; -EINVAL.
 * Context: any thread; without MEMKV_LOOK_FRESH no lock, no system call, no I/O, but where what was just taken out of the index may be
 * back elsewhere.
 */
int memkv_exists(struct memkv_pool *pool, const struct memkv_key *key, uint32_t flags);

/**
 * memkv_match() - the longest stored prefix of a chain of keys
 * @pool: the pool.
 * @keys: the chain.
 * @count: its length.
 * @flags: enum memkv_look_flag.
 *
 * Return: how many keys, from the first, are there (at most INT_MAX); 0 also while the pool cannot be used; MEMKV_EFORK; -EINVAL.
 * Context: as memkv_exists().
 */
int memkv_match(struct memkv_pool *pool, const struct memkv_key *keys, size_t count, uint32_t flags);

/**
 * memkv_remove() - remove a block, every copy of it
 * @pool: the pool.
 * @key: its key.
 *
 * After it returns no get in any process returns the bytes that were stored.
 *
 * Return: the number of blocks (births) removed, at least 1; MEMKV_MISS; MEMKV_PINNED: the block, or its session, is pinned, and stays
 * (memkv_remove_with() can say otherwise); MEMKV_DEGRADED: a namespace is lost, and a copy there would come back with it; MEMKV_NO_ROOM: on
 * a device that several hosts write to, there is no place to say it in just now, and nothing was removed; MEMKV_READ_ONLY;
 * MEMKV_FAILED; MEMKV_EFORK; -EINVAL;
 * MEMKV_UNKNOWN when the medium failed, so that a copy may still be there; -errno when the removal could not be made durable
 * (it is in force all the same).
 * Context: any thread.
 */
int memkv_remove(struct memkv_pool *pool, const struct memkv_key *key);

/**
 * struct memkv_block_info - what is known about a stored block
 * @key: its key.
 * @birth: number given once to this put, kept when the block moves.
 * @generation: the opening of the segment that it lies in.
 * @length: payload bytes.
 * @segment, @page: where it lies: segment number, and page of 4096 bytes within the pool.
 * @class_id, @depth: as put.
 * @expires_s: UTC seconds since 1970, 0: never.
 * @stored_s: UTC seconds when it was put.
 * @session_id: hash of the session's name, 0: none.
 * @session: its name ("" from memkv_iter_next(), which reads no payload region).
 * @has_parent: whether @parent is set (memkv_stat() only).
 * @parent: the key before it in its chain.
 * @meta_length, @meta: the caller's metadata (memkv_stat() only).
 */
struct memkv_block_info {
	struct memkv_key key;
	uint64_t birth;
	uint64_t generation;
	uint64_t length;
	uint64_t segment;
	uint64_t page;
	uint32_t class_id;
	uint32_t depth;
	uint64_t expires_s;
	uint64_t stored_s;
	uint64_t session_id;
	char session[MEMKV_SESSION_MAX + 1];
	int has_parent;
	struct memkv_key parent;
	size_t meta_length;
	uint8_t meta[MEMKV_META_MAX];
};

/**
 * memkv_stat() - describe a block
 * @pool: the pool.
 * @key: its key.
 * @info: receives the description.
 *
 * Looks fresh and reads the block's header, not its payload.
 *
 * Return: 0; MEMKV_MISS, counted as for memkv_get(); MEMKV_EFORK; -EINVAL.
 * Context: any thread; waits for the medium.
 */
int memkv_stat(struct memkv_pool *pool, const struct memkv_key *key, struct memkv_block_info *info);

/**
 * struct memkv_filter - which blocks (all that is set must hold)
 * @size: sizeof(struct memkv_filter).
 * @has_class: not 0: only @class_id.
 * @class_id: see @has_class.
 * @session: only this session, or NULL; not needed any more once memkv_iter_open() has returned.
 */
struct memkv_filter {
	size_t size;
	int has_class;
	uint32_t class_id;
	const char *session;
};

/**
 * memkv_iter_open() - walk over the stored blocks
 * @pool: the pool.
 * @filter: or NULL for all.
 * @iter: receives the iterator; free with memkv_iter_close() before the pool is closed.
 *
 * Looks fresh first.  A block that is put, moved or removed meanwhile may or may not appear; one that was there all
 * the time appears exactly once.
 *
 * Return: 0; -ENOMEM; -EINVAL; MEMKV_FAILED; MEMKV_EFORK.  After anything but 0 there is no iterator.
 * Context: any thread; an iterator belongs to one thread at a time.
 */
int memkv_iter_open(struct memkv_pool *pool, const struct memkv_filter *filter, struct memkv_iter **iter);

/**
 * memkv_iter_next() - the next block
 * @iter: the iterator.
 * @info: receives it (fields that need the payload region stay empty).
 *
 * Return: 1; 0 at the end; -EIO: a segment's table cannot be read now, so not all of its blocks are listed: the next call goes on with the next
 * segment; MEMKV_FAILED: the pool's medium is gone, or the handle has attached another form of it since: close the iterator and begin
 * again; MEMKV_EFORK.
 * Context: as memkv_iter_open(); reads a table at a time.
 */
int memkv_iter_next(struct memkv_iter *iter, struct memkv_block_info *info);

/** memkv_iter_close() - free an iterator (NULL is fine); also of a pool that has failed, and in a child of the process */
void memkv_iter_close(struct memkv_iter *iter);

/* ---- the pool as a whole ----------------------------------------------------------------------------------- */

enum memkv_feature_text { MEMKV_FEATURE_TEXT = 128 };

/**
 * struct memkv_pool_info - sizes, room and use
 * @uuid, @name: identity.
 * @path: as opened; belongs to the handle.
 * @format_major, @format_minor: version of the format on the media.
 * @bytes: size of the medium that the pool uses.
 * @control_bytes: of it, what is not segments.
 * @segments, @segment_room: number and payload room of segments (the last may be smaller).
 * @max_block: largest block in bytes.
 * @entries_per_segment: blocks that a segment can describe.
 * @slots, @slots_live: agents that can be and are attached.
 * @segments_free, @segments_open, @segments_sealed, @segments_parked, @segments_leaving: by state.
 * @blocks, @block_bytes: live blocks and their payload bytes.
 * @direct_io: whether payload goes past the page cache (O_DIRECT).
 * @medium: "file", "memory", "dax", "incoherent memory", "block device"; a static string.
 * @coherent: whether whoever has the medium sees the others' stores at once: all but block devices and memory that was made with
 *            MEMKV_CREATE_INCOHERENT.
 */
struct memkv_pool_info {
	uint8_t uuid[16];
	char name[MEMKV_NAME_MAX + 1];
	const char *path;
	const char *medium;
	uint32_t format_major;
	uint32_t format_minor;
	uint64_t bytes;
	uint64_t control_bytes;
	uint64_t segments;
	uint64_t segment_room;
	uint64_t max_block;
	uint64_t entries_per_segment;
	uint32_t slots;
	uint32_t slots_live;
	uint64_t segments_free;
	uint64_t segments_open;
	uint64_t segments_sealed;
	uint64_t segments_parked;
	uint64_t segments_leaving;
	uint64_t blocks;
	uint64_t block_bytes;
	int direct_io;
	int coherent;
};

/**
 * memkv_pool_describe() - sizes, room and use
 * @pool: the pool.
 * @info: receives them.
 *
 * Return: 0; MEMKV_FAILED; MEMKV_EFORK; -EINVAL; -EIO: the medium does not answer for what says who has which segment.  Blocks in tables
 * that it does not answer for are not counted.
 * Context: any thread; looks fresh, through every table.
 */
int memkv_pool_describe(struct memkv_pool *pool, struct memkv_pool_info *info);

/**
 * memkv_pool_room() - how many blocks of one size the whole pool can hold
 * @pool: the pool.
 * @block_size: payload bytes of such a block, without metadata.
 *
 * Return: the number, open segments included; 0 when the size is over the pool's largest block, and while the pool cannot be used.
 * Context: any thread; no I/O.
 */
uint64_t memkv_pool_room(struct memkv_pool *pool, uint64_t block_size);

/**
 * struct memkv_counters - what this handle has seen since it was opened
 *
 * Every miss has one cause: absent (never found in the index), expired, removed, damaged (bytes did not verify),
 * reclaimed (the block was evicted while it was being looked at), io (the medium answered with an error), timedout (it
 * did not answer by the deadline), lost (a namespace of the pool is lost, and the block may be there).
 * @segments_held: how often a segment was not emptied because somebody held a block of it.
 * @holds, @holds_refused: holds made; answered with -EAGAIN.
 * @rejoins: how often the handle has attached its pool anew, since that had failed; @rejoins_failed: attempts that came to nothing.
 * @keeps: locators given out with a time to keep; @grace_cut: segments opened anew before such a time had to be over.
 */
struct memkv_counters {
	uint64_t puts, put_bytes, puts_exist, puts_differ, puts_no_room, puts_failed;
	uint64_t gets, get_bytes;
	uint64_t miss_absent, miss_expired, miss_removed, miss_damaged, miss_reclaimed, miss_io;
	uint64_t removes;
	uint64_t evicted_blocks, evicted_bytes, moved_blocks, moved_bytes;
	uint64_t segments_opened, segments_resumed, segments_reclaimed, segments_held;
	uint64_t holds, holds_refused, keeps, grace_cut;
	uint64_t entries_damaged, entries_mended, words_mended;
	uint64_t miss_timedout;
	uint64_t rejoins, rejoins_failed;
	uint64_t miss_lost;
};

/** memkv_pool_counters() - read the counters: 0, also while the pool cannot be used; MEMKV_EFORK.  Any thread; no I/O */
int memkv_pool_counters(struct memkv_pool *pool, struct memkv_counters *counters);

/**
 * struct memkv_check_options - how to check
 * @size: sizeof(struct memkv_check_options).
 * @meta_only: not 0: headers and tables only, no payload.
 * @bad_block: called for every damaged block, or NULL.  @why is a static string.
 * @progress: called now and then with segments done and to do, or NULL.  Not 0 stops the check.
 * @context: handed to both.
 * @sample_percent: read that many percent of the blocks, chosen at random anew by every check; 0: all.  Tables and
 *                  headers of segments are always checked, all of them.
 * @max_rate: bytes to read a second at most; 0: as fast as it goes.
 * @pause_percent: 1 to 99: after each piece of reading rest so long that only the rest of the time is spent reading,
 *                 which leaves the medium to others; 0: no rest.
 * @repair: not 0: put right what is found.  The pool must be open for writing and no other agent attached; readers may be.
 *          What is known from a second source is written back; blocks that cannot be read back exactly are removed, pinned
 *          or not, so that they can be put again; blocks that the medium answers with an error for are left.
 * @deadline_us: microseconds after which the call returns whatever the medium does; 0: when all is read.  With one, @bad_block and
 *          @progress are called from a thread of the library's, while the call waits, one at a time, and never again once it has
 *          returned; they must not wait for the caller's thread.  After MEMKV_TIMEDOUT, or MEMKV_UNKNOWN of a repair (timed.h), the
 *          report tells what was found in the segments that were done by then, and what was begun stops as soon as the medium lets it.
 */
struct memkv_check_options {
	size_t size;
	int meta_only;
	void (*bad_block)(void *context, const struct memkv_key *key, uint64_t page, const char *why);
	int (*progress)(void *context, uint64_t done, uint64_t total);
	void *context;
	double sample_percent;
	uint64_t max_rate;
	uint32_t pause_percent;
	int repair;
	uint64_t deadline_us;
};

/**
 * struct memkv_check_report - what a check found
 * @blocks, @bytes: live blocks read and their payload.
 * @bad: of them, how many can't be read back exactly.
 * @records_bad: metadata that did not verify (superblock copies, cells, words, table headers, entries), mended or not.
 * @records_mended: of @records_bad, those whose fact was recovered from a second source.
 * @gone: blocks that vanished by removal or eviction while the check ran; not damage.
 * @skipped: blocks that were not read because of @sample_percent.
 * @repaired, @removed, @left: of a repair: records written back, blocks taken out, and what is as bad as it was.
 */
struct memkv_check_report {
	uint64_t blocks, bytes, bad, records_bad, records_mended, gone, skipped, repaired, removed, left;
};

/**
 * memkv_pool_check() - read and verify everything, while the pool is in use
 * @pool: the pool.
 * @options: or NULL.
 * @report: receives the findings.
 *
 * Takes a lane for each piece of reading, so that gets and puts of the same handle come between.
 *
 * Return: 0 when it ran to its end (look at the report); MEMKV_IN_USE and MEMKV_READ_ONLY of a repair; MEMKV_FENCED on a device that
 * hosts share, when this one stood still for so long that its slot is another's: open it again; MEMKV_FAILED; MEMKV_EFORK; -ENOMEM;
 * -EINVAL; -ECANCELED when @progress stopped it (the report tells what was found until then); with a deadline MEMKV_TIMEDOUT, of a
 * repair that was begun MEMKV_UNKNOWN, -ENOMEM or -EAGAIN.
 * Context: any thread.
 */
int memkv_pool_check(struct memkv_pool *pool, const struct memkv_check_options *options,
		     struct memkv_check_report *report);

/** memkv_version() - "major.minor.patch" of the library, a static string; any thread */
const char *memkv_version(void);

#ifdef __cplusplus
}
#endif
#endif
