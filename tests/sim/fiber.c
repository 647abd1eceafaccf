/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See fiber.h.  On x86-64 a switch is a dozen instructions; elsewhere it is swapcontext(), which makes two system calls.
 */
#include "fiber.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

enum { STACK_BYTES = 256 << 10, STACK_GUARD = 4096 };

static struct fiber *current;

/* ---- what the address sanitizer wants to know ---- */

#if defined(__SANITIZE_ADDRESS__)
static const void *scheduler_stack;
static size_t scheduler_bytes;
static void *fake;

static void entering(struct fiber *f) { __sanitizer_start_switch_fiber(&fake, f->stack, STACK_BYTES); }
static void back(void) { __sanitizer_finish_switch_fiber(fake, NULL, NULL); }
static void begun(void) { __sanitizer_finish_switch_fiber(NULL, &scheduler_stack, &scheduler_bytes); }
static void leaving(void) { __sanitizer_start_switch_fiber(NULL, scheduler_stack, scheduler_bytes); }
static void fresh(struct fiber *f) { __asan_unpoison_memory_region(f->stack, STACK_BYTES); }
#else
static void entering(struct fiber *f) { (void)f; }
static void back(void) {}
static void begun(void) {}
static void leaving(void) {}
static void fresh(struct fiber *f) { (void)f; }
#endif

static void body(void)
{
	begun();
	current->run(current->context);
	for (;;)
		fiber_pause(); /* it has ended: nobody resumes it */
}

#if defined(__x86_64__)

static void *scheduler_at;

/* save where we are at *from, go on at @to */
void fiber_swap(void **from, void *to);
__asm__(".text\n"
	".globl fiber_swap\n"
	".type fiber_swap,@function\n"
	"fiber_swap:\n"
	"	pushq %rbp\n"
	"	pushq %rbx\n"
	"	pushq %r12\n"
	"	pushq %r13\n"
	"	pushq %r14\n"
	"	pushq %r15\n"
	"	movq %rsp, (%rdi)\n"
	"	movq %rsi, %rsp\n"
	"	popq %r15\n"
	"	popq %r14\n"
	"	popq %r13\n"
	"	popq %r12\n"
	"	popq %rbx\n"
	"	popq %rbp\n"
	"	ret\n"
	".size fiber_swap,.-fiber_swap\n");

enum { SAVED = 6 };

static void prepare(struct fiber *f)
{
	void **top = (void **)(void *)((uint8_t *)f->stack + STACK_BYTES);

	*--top = NULL;
	*--top = (void *)body; /* returned to, with the stack as after a call */
	for (int i = 0; i < SAVED; i++)
		*--top = NULL;
	f->at = top;
}

static void go(struct fiber *f) { fiber_swap(&scheduler_at, f->at); }
static void stay(struct fiber *f) { fiber_swap(&f->at, scheduler_at); }

#else
#include <ucontext.h>

static ucontext_t scheduler_context;

static void prepare(struct fiber *f)
{
	ucontext_t *c = f->at ? f->at : calloc(1, sizeof(*c));

	if (!c || getcontext(c))
		abort();
	c->uc_stack.ss_sp = f->stack;
	c->uc_stack.ss_size = STACK_BYTES;
	makecontext(c, body, 0);
	f->at = c;
}

static void go(struct fiber *f) { swapcontext(&scheduler_context, f->at); }
static void stay(struct fiber *f) { swapcontext(f->at, &scheduler_context); }
#endif

static void *new_stack(void)
{
	uint8_t *base = mmap(NULL, STACK_GUARD + STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (base == MAP_FAILED || mprotect(base, STACK_GUARD, PROT_NONE)) {
		perror("memory for a coroutine");
		exit(1);
	}
	return base + STACK_GUARD;
}

void fiber_start(struct fiber *f, void (*run)(void *context), void *context)
{
	if (!f->stack)
		f->stack = new_stack();
	fresh(f);
	f->run = run;
	f->context = context;
	prepare(f);
}

void fiber_resume(struct fiber *f)
{
	struct fiber *before = current;

	current = f;
	entering(f);
	go(f);
	back();
	current = before;
}

void fiber_pause(void)
{
	struct fiber *f = current;

	leaving();
	stay(f);
	begun();
}
