/* SPDX-License-Identifier: Apache-2.0 */
/* What the two halves of `stall` share: one pool on one disk, whose I/O hangs on command.  See stall.c. */
#ifndef CRASH_STALL_H
#define CRASH_STALL_H

#include "workload.h"

#include "core/pool/handle.h"

enum { ROUNDS_MAX = 64, SOON_US = 20000, LONG_US = 60000000, CANARY = 0xA5 };

/* what a medium is asked for; queues, locks and mappings are the kernel's own */
#define HANGS (1u << DISK_READ | 1u << DISK_WRITE | 1u << DISK_FLUSH | 1u << DISK_PUBLISH | 1u << DISK_REFRESH)

extern struct disk *disk;
extern struct memkv_pool *pool;
extern uint8_t buffer[2 * BLOCK_BYTES]; /* a caller's memory */
extern uint8_t right[2 * BLOCK_BYTES];	/* what should be in it */

/* hang() - of the I/Os of @kinds to come those from number @from to @to; let_go() - all of them end, and nobody is late any more */
void hang(uint64_t from, uint64_t to, unsigned kinds);
void let_go(void);

/* get() - into @buffer, which is all canary before */
int64_t get(uint32_t block, uint64_t deadline_us);
void expect_canary(const char *when);
void expect_right(int64_t got, uint32_t block, const char *when);

/* stall_calls() - every call but put, get, open and close */
void stall_calls(bool device);

#endif
