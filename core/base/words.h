/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that other processes change while we look at it (the mapped control region) is read and written as whole
 * 64-bit words, each atomic; what belongs together is held together by a check value or a publishing word.  These
 * helpers are the only way the code touches such memory.
 *
 * Nothing here leans on the order in which x86 happens to do things: every load acquires and every store releases, so
 * that whoever sees a store sees all that its writer did before, on ARM64 too.  It costs nothing on x86-64.  What must
 * not be missed in either direction (write first, then look) goes through word_swap() or word_add() on a word that both
 * sides change, such as the doorbell: of two such changes the later one sees all that came before the earlier one.
 */
#ifndef MEMKV_CORE_WORDS_H
#define MEMKV_CORE_WORDS_H

#include "core/base/simulate.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef _Atomic uint64_t shared_word;

/* Copies in and out, a word at a time from the first: a later word is at least as new.  @count is in words. */
static inline void words_load(void *dst, const void *src, size_t count)
{
	const shared_word *from = src;
	uint64_t *to = dst;
	size_t passed = sim_pass(count);

	for (size_t i = 0; i < count; i++) {
		if (i >= passed)
			sim_point(SIM_LOAD, &from[i]);
		to[i] = atomic_load_explicit(&from[i], memory_order_acquire);
	}
}

static inline void words_store(void *dst, const void *src, size_t count)
{
	shared_word *to = dst;
	const uint64_t *from = src;

	for (size_t i = 0; i < count; i++) {
		sim_point(SIM_STORE, &to[i]);
		atomic_store_explicit(&to[i], from[i], memory_order_release);
		sim_after(SIM_STORE, &to[i], true);
	}
}

static inline void words_clear(void *dst, size_t count)
{
	shared_word *to = dst;

	for (size_t i = 0; i < count; i++) {
		sim_point(SIM_STORE, &to[i]);
		atomic_store_explicit(&to[i], 0, memory_order_release);
		sim_after(SIM_STORE, &to[i], true);
	}
}

static inline uint64_t word_load(const void *at)
{
	sim_point(SIM_LOAD, at);
	return atomic_load_explicit((const shared_word *)at, memory_order_acquire);
}

/* Everything stored before is visible to whoever loads this word (with word_load) and sees the value. */
static inline void word_publish(void *at, uint64_t value)
{
	sim_point(SIM_STORE, at);
	atomic_store_explicit((shared_word *)at, value, memory_order_release);
	sim_after(SIM_STORE, at, true);
}

static inline bool word_swap(void *at, uint64_t expected, uint64_t value)
{
	sim_point(SIM_SWAP, at);
	bool done = atomic_compare_exchange_strong((shared_word *)at, &expected, value);
	sim_after(SIM_SWAP, at, done);
	return done;
}

static inline uint64_t word_add(void *at, uint64_t n)
{
	sim_point(SIM_ADD, at);
	uint64_t before = atomic_fetch_add((shared_word *)at, n);
	sim_after(SIM_ADD, at, true);
	return before;
}

/* words_settle() - what was stored before is there for all who look, before anything behind this is loaded */
static inline void words_settle(void)
{
#ifdef __SANITIZE_THREAD__
	static _Atomic uint64_t settled; /* it knows no fences */
	atomic_fetch_add(&settled, 1);
#else
	atomic_thread_fence(memory_order_seq_cst);
#endif
}

/* loads_done() - what was loaded before, from memory of any kind, was loaded before anything behind this is */
static inline void loads_done(void)
{
#ifndef __SANITIZE_THREAD__
	atomic_thread_fence(memory_order_acquire);
#endif
}

#endif
