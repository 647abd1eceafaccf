/* SPDX-License-Identifier: Apache-2.0 */
/* See spent.h. */
#include "core/index/spent.h"

#define NEVER ((uint32_t)SPENT_NEVER)

void spent_meet(struct spent_pass *pass, uint64_t expires_s)
{
	uint32_t ends = expires_s && expires_s < NEVER ? (uint32_t)expires_s : NEVER;

	if (ends > pass->ends_s)
		pass->ends_s = ends;
}

void spent_note(struct spent *spent, const struct spent_pass *pass, bool whole)
{
	uint32_t pages = whole ? 0 : atomic_load_explicit(&spent->pages, memory_order_relaxed);
	uint32_t ends = whole ? SPENT_UNKNOWN : atomic_load_explicit(&spent->ends_s, memory_order_relaxed);

	atomic_store_explicit(&spent->pages, pages + pass->pages, memory_order_relaxed);
	atomic_store_explicit(&spent->ends_s, pass->ends_s > ends ? pass->ends_s : ends, memory_order_relaxed);
}

void spent_forget(struct spent *spent)
{
	atomic_store_explicit(&spent->pages, 0, memory_order_relaxed);
	atomic_store_explicit(&spent->ends_s, SPENT_UNKNOWN, memory_order_relaxed);
}

enum spent_rank spent_rank(const struct spent *spent, uint32_t segment_pages, uint64_t now_s)
{
	uint64_t pages = atomic_load_explicit(&spent->pages, memory_order_relaxed);
	uint32_t ends = atomic_load_explicit(&spent->ends_s, memory_order_relaxed);

	if (pages >= segment_pages - segment_pages / 8 || (ends != SPENT_UNKNOWN && ends != NEVER && ends <= now_s))
		return SPENT_ALL;
	return pages >= segment_pages - segment_pages / 2 ? SPENT_HALF : SPENT_LITTLE;
}
