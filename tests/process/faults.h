/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stopping a process before a chosen store into a pool's shared memory.
 *
 * The mapping is made read-only, so that each store faults.  The handler counts; at the chosen stores it stops or kills
 * the process, else it lets this one instruction through (writable, trap flag) and protects the mapping again.
 */
#ifndef MEMKV_TESTS_PROCESS_FAULTS_H
#define MEMKV_TESTS_PROCESS_FAULTS_H

#include "helpers.h"

struct store_watch {
	atomic_uint_fast64_t stores;	       /* made so far */
	atomic_uint_fast64_t stop_at, kill_at; /* before which store; UINT64_MAX: none */
	atomic_uint_fast64_t acknowledged;     /* the call has returned 0 */
};

/* faults_need() - skip the test where this cannot work */
void faults_need(void);
/* faults_record() - from now on remember this process's mappings of pools */
void faults_record(void);
/* faults_arm() - from now on each store into them counts, those into later mappings as well */
void faults_arm(struct store_watch *shared);

#endif
