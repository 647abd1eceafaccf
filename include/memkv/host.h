/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts: who is attached to a pool, or was last, slot by slot. */
#ifndef MEMKV_HOST_H
#define MEMKV_HOST_H

#include <memkv/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MEMKV_HOST_NQN_MAX 223

enum memkv_host_state {
	MEMKV_HOST_UNUSED = 0,  /* nobody ever held the slot */
	MEMKV_HOST_ALIVE = 1,   /* it holds its slot's lock */
	MEMKV_HOST_STOPPED = 2, /* alive, but stopped by a signal or a debugger */
	MEMKV_HOST_LEFT = 3,    /* it closed the pool */
	MEMKV_HOST_DEAD = 4,    /* it ended without; what it left open is anybody's */
	/*
	 * On a device that several hosts write to: its heartbeat stands still, so it is stopped, cut off or dead.  What it
	 * holds is taken over by whoever needs room; what it had open is not written to before its death is proven.
	 */
	MEMKV_HOST_SILENT = 6,
	MEMKV_HOST_DAMAGED = 5, /* who held the slot last cannot be read: it is not used any more */
	MEMKV_HOST_DRAINING = 7, /* alive; it puts no more, and still has segments to give back (memkv_host_drain()) */
	MEMKV_HOST_DRAINED = 8,	 /* alive, perhaps stopped; it puts no more, and writes to no segment: ended, it leaves nothing behind */
};

/**
 * struct memkv_host - who holds a slot, or held it last
 * @slot, @epoch: the incarnation; @epoch is 0 when the slot was never used.
 * @state: enum memkv_host_state.
 * @is_me: not 0: it is this handle.
 * @pid: process, on its machine.
 * @process_start: clock ticks after the machine's boot when it started; with @pid and @boot it names a process for good.
 * @attached_s: UTC seconds since 1970 when it attached.
 * @seen_s: UTC seconds when it wrote its cell last; when it left, if it did.
 * @machine: machine id; all zero: unknown.
 * @host_id: of the machine's NVMe host; of this machine only, all zero: unknown.
 * @boot: id of the machine's boot.
 * @local: not 0: of this machine, and this boot of it.
 * @nqn: NVMe host NQN, "": unknown.
 * @version: of the memkv that it runs.
 * @segments: segments that it writes to or empties.
 * @bytes: their payload room.
 * @pins: pins that it stated and that hold.
 * @holds: segments of which it uses blocks in place, as long as it lives.
 */
struct memkv_host {
	uint32_t slot;
	uint32_t epoch;
	int state;
	int is_me;
	uint32_t pid;
	uint64_t process_start;
	uint64_t attached_s;
	uint64_t seen_s;
	uint8_t machine[16];
	uint8_t host_id[16];
	uint8_t boot[16];
	int local;
	char nqn[MEMKV_HOST_NQN_MAX + 1];
	char version[24];
	uint64_t segments;
	uint64_t bytes;
	uint64_t pins;
	uint64_t holds;
};

/**
 * memkv_hosts() - the pool's slots
 * @pool: the pool.
 * @hosts: receives one for each slot, in their order; or NULL.
 * @room: number that fit there.
 *
 * Return: the number of slots, which may be more than @room; MEMKV_FAILED; MEMKV_EFORK; -EIO: the medium does not answer; -ENOMEM.
 * Context: any thread; looks fresh; waits for the medium.
 */
int64_t memkv_hosts(struct memkv_pool *pool, struct memkv_host *hosts, size_t room);

/**
 * memkv_host_fence() - make sure that an incarnation never writes to the pool again
 * @pool: the pool.
 * @slot, @epoch: the incarnation.
 *
 * Where a lock proves life and death, as on files and memory, there is nothing to do about a dead one; a living one is
 * not taken its slot away: end the process, and everything that it held is free at once.
 *
 * Return: 0: it is gone, with all of its writes; MEMKV_IN_USE: it lives (the sentence names the process); MEMKV_MISS:
 * there was no such incarnation; MEMKV_FAILED; MEMKV_EFORK; -EIO: what says whose slot it is cannot be read, or is damaged.
 * Context: any thread; waits for the medium.
 */
int memkv_host_fence(struct memkv_pool *pool, uint32_t slot, uint32_t epoch);

/* of struct memkv_host_drain_options: */
#define MEMKV_HOST_DRAIN_UNDO (1U << 0)	   /* it puts again */
#define MEMKV_HOST_DRAIN_DRY_RUN (1U << 1) /* only say whether there is such an agent, and whether it could be drained */
#define MEMKV_HOST_DRAIN_WAIT_US 10000000  /* wait_us when 0 is given */

/**
 * struct memkv_host_drain_options - options of memkv_host_drain()
 * @size: sizeof(struct memkv_host_drain_options).
 * @flags: MEMKV_HOST_DRAIN_...
 * @wait_us: how long to wait for the agent; 0: 10 s.
 */
struct memkv_host_drain_options {
	size_t size;
	uint32_t flags;
	uint64_t wait_us;
};

/**
 * memkv_host_drain() - an agent puts no more, so that it can be stopped with nothing left behind
 * @pool: the pool, open for writing (a dry run: open in any way).
 * @slot, @epoch: the incarnation; it may be this handle's own.
 * @options: or NULL.
 *
 * The agent is asked through the pool, and does it by itself within some hundredths of a second: its puts answer MEMKV_DRAINED
 * from then on, those that it had begun end as they would have, and every segment that it writes to or empties is given back, so
 * that others go on in it.  It still reads, holds, removes and pins; a pin whose block would have to move finds no room.  The handle
 * stays drained, also when it attaches anew, until it is closed or this is undone.
 *
 * Only where agents share one mapping: files, memory, DAX devices.
 *
 * Return: 1: it is drained now (with UNDO: it puts); 0: it is gone, and there is nothing to drain; MEMKV_MISS: there was no
 * such incarnation; MEMKV_IN_USE: not in time (the sentence says how it is); MEMKV_CONFLICT: the medium is none for this;
 * MEMKV_READ_ONLY; MEMKV_EFORK; MEMKV_FAILED; -EIO: what says whose slot it is is damaged; -EINVAL, -E2BIG.
 * Context: any thread; waits.
 */
int memkv_host_drain(struct memkv_pool *pool, uint32_t slot, uint32_t epoch, const struct memkv_host_drain_options *options);

#ifdef __cplusplus
}
#endif
#endif
