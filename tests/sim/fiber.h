/* SPDX-License-Identifier: Apache-2.0 */
/* Coroutines of one thread: the scheduler switches into one, it switches back.  One that is killed is just left. */
#ifndef MEMKV_TESTS_SIM_FIBER_H
#define MEMKV_TESTS_SIM_FIBER_H

#include <stddef.h>

struct fiber {
	void *stack;
	void *at; /* where it goes on */
	void (*run)(void *context);
	void *context;
};

/* fiber_start() - begin anew at @run; the stack is allocated once */
void fiber_start(struct fiber *fiber, void (*run)(void *context), void *context);
/* fiber_resume() - from the scheduler: returns when the coroutine pauses */
void fiber_resume(struct fiber *fiber);
/* fiber_pause() - from a coroutine: back to the scheduler */
void fiber_pause(void);

#endif
