/* SPDX-License-Identifier: Apache-2.0 */
/* What the machine tells us: clocks, random numbers, its own and this process's identity. */
#ifndef MEMKV_CORE_ENVIRON_H
#define MEMKV_CORE_ENVIRON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

uint64_t clock_utc_s(void);	   /* seconds since 1970, for expiry only; never compared for safety */
uint64_t clock_monotonic_us(void); /* for intervals */
uint64_t clock_boot_us(void);	   /* likewise, and it goes on while the machine sleeps: for leases */
void clock_sleep_us(uint64_t us);

/* The kernel's page: 4 KiB on x86-64; on ARM64 also 16 or 64 KiB.  What is mapped or given back goes by it. */
size_t page_bytes(void);

/* random_fill() - unpredictable bytes.  Return: 0 or -errno. */
int random_fill(void *to, size_t length);

struct identity {
	uint8_t machine[16]; /* /etc/machine-id, zero when unknown */
	uint8_t boot[16];    /* this boot of the kernel, zero when unknown */
	uint8_t host_id[16]; /* /etc/nvme/hostid, zero when unknown */
	char host_nqn[224];  /* /etc/nvme/hostnqn, else derived from the machine id, "" when neither is known */
	uint32_t pid;
	uint64_t process_start; /* clock ticks since boot: pid + start name a process for good */
};

void identity_read(struct identity *id);

/* process_stopped() - is that process of this machine stopped (by a signal, or a tracer)?  False when it is not there. */
bool process_stopped(uint32_t pid, uint64_t process_start);

/* process_ended() - has that process of this machine ended?  Not a proof: who is in another container is not seen. */
bool process_ended(uint32_t pid, uint64_t process_start);

/* pause_us() - leave the processor to others; the simulator lets the other threads run */
void pause_us(uint32_t us);

#endif
