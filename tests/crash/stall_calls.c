/* SPDX-License-Identifier: Apache-2.0 */
/* The part of `stall` that is about calls with neither a block to put nor one to get; see stall.c. */
#include "stall.h"

#include <memkv/timed.h>
#include <string.h>

enum { EVICTED_CLASS = 7, TARGET = 5 };

static struct memkv_key target(void)
{
	struct memkv_key key;

	block_name(TARGET, &key);
	return key;
}

static int put_target(uint32_t class_id)
{
	struct memkv_put_options o = {.size = sizeof(o), .class_id = class_id};
	struct memkv_key key = target();

	return memkv_put(pool, &key, right, block_bytes(TARGET, 0, right), &o);
}

/* what a call writes to its caller lies in @buffer, before and after it */
static int64_t do_remove(uint64_t deadline_us)
{
	struct memkv_key key = target();
	return memkv_remove_by(pool, &key, 0, deadline_us);
}

static int64_t do_pin(uint64_t deadline_us)
{
	struct memkv_pin_options o = {.size = sizeof(o), .deadline_us = deadline_us};
	struct memkv_key key = target();
	return memkv_pin(pool, &key, 1, &o, (int *)(void *)buffer);
}

static int64_t do_pin_prefix(uint64_t deadline_us)
{
	struct memkv_pin_options o = {.size = sizeof(o), .deadline_us = deadline_us};
	struct memkv_key key = target();
	return memkv_pin_prefix(pool, &key, 1, &o);
}

static int64_t do_unpin(uint64_t deadline_us)
{
	struct memkv_key key = target();
	return memkv_unpin_by(pool, &key, 1, (int *)(void *)buffer, deadline_us);
}

static int64_t do_pin_session(uint64_t deadline_us)
{
	struct memkv_pin_options o = {.size = sizeof(o), .deadline_us = deadline_us};
	return memkv_pin_session(pool, "quiet", &o);
}

static int64_t do_unpin_session(uint64_t deadline_us) { return memkv_unpin_session_by(pool, "quiet", deadline_us); }

static int64_t do_evict(uint64_t deadline_us)
{
	struct memkv_evict_options o = {
		.size = sizeof(o), .has_class = 1, .class_id = EVICTED_CLASS, .deadline_us = deadline_us};
	struct memkv_evict_report report;
	int64_t result = memkv_evict(pool, &o, &report);

	if (result == MEMKV_UNKNOWN && report.blocks)
		crash_fail("a late eviction reports what it cannot know");
	return result;
}

static int64_t do_stat(uint64_t deadline_us)
{
	struct memkv_key key = target();
	int64_t result = memkv_stat_by(pool, &key, (struct memkv_block_info *)(void *)buffer, deadline_us);

	if (result == 0 && ((struct memkv_block_info *)(void *)buffer)->length != block_bytes(TARGET, 0, right))
		crash_fail("stat tells another length");
	return result;
}

static int64_t do_match(uint64_t deadline_us)
{
	struct memkv_key key = target();
	return memkv_match_by(pool, &key, 1, MEMKV_LOOK_FRESH, deadline_us);
}

static int64_t do_ranges(uint64_t deadline_us)
{
	struct memkv_range ranges[2] = {{100, 50, buffer}, {0, 10, buffer + 4096}};
	struct memkv_key key = target();
	int64_t result = memkv_get_ranges_by(pool, &key, ranges, 2, deadline_us);

	block_bytes(TARGET, 0, right);
	if (result > 0 && (memcmp(buffer, right + 100, 50) || memcmp(buffer + 4096, right, 10)))
		crash_fail("other bytes in the pieces");
	return result;
}

/* after UNKNOWN: both outcomes are allowed, and once more makes it certain */
static void removed_for_sure(int64_t (*again)(uint64_t deadline_us))
{
	int64_t got = get(TARGET, LONG_US);

	if (got != MEMKV_MISS)
		expect_right(got, TARGET, "a removal that did not take place");
	int64_t result = again(LONG_US);
	if (result < 0 && result != MEMKV_MISS)
		crash_fail("once more: %lld", (long long)result);
	if (get(TARGET, LONG_US) != MEMKV_MISS)
		crash_fail("it is there after the second time");
}

static void pinned_for_sure(int64_t (*again)(uint64_t deadline_us), int64_t (*back)(uint64_t deadline_us), bool session)
{
	struct memkv_pin_info pins[4];

	if (again(LONG_US) < 0 || memkv_pins(pool, pins, 4) != 1)
		crash_fail("pinned once more: %s", memkv_error_detail());
	if (!session && do_remove(0) != MEMKV_PINNED)
		crash_fail("a pinned block can be removed");
	int64_t result = back(LONG_US);
	if (result < 0 || memkv_pins(pool, pins, 4) != 0)
		crash_fail("it stays pinned: %lld", (long long)result);
}

static void unpinned_for_sure(int64_t (*again)(uint64_t deadline_us))
{
	struct memkv_pin_info pins[4];
	int64_t result = again(LONG_US);

	if ((result < 0 && result != MEMKV_MISS) || memkv_pins(pool, pins, 4) != 0)
		crash_fail("unpinned once more: %lld", (long long)result);
}

struct attempt {
	const char *name;
	int64_t (*make)(uint64_t deadline_us);
	bool changes;
	int64_t (*before)(uint64_t deadline_us); /* makes room for it to change something */
	uint64_t hung[2];			   /* of files, of devices */
};

static void settle_call(const struct attempt *call)
{
	if (call->make == do_remove || call->make == do_evict)
		removed_for_sure(call->make);
	else if (call->make == do_pin || call->make == do_pin_prefix)
		pinned_for_sure(call->make, do_unpin, false);
	else if (call->make == do_pin_session)
		pinned_for_sure(call->make, do_unpin_session, true);
	else if (call->make == do_unpin || call->make == do_unpin_session)
		unpinned_for_sure(call->make);
	else if (call->make(LONG_US) < 0)
		crash_fail("afterwards: %s", memkv_error_detail());
}

static uint64_t hung_call(const struct attempt *call)
{
	uint64_t n = 0, soon = SOON_US;

	for (; n < ROUNDS_MAX; n++) {
		snprintf(crash_context, sizeof(crash_context), "%s, I/O %llu hangs", call->name, (unsigned long long)n);
		int there = put_target(call->make == do_evict ? EVICTED_CLASS : 0);
		if ((there && there != MEMKV_EXISTS) || (call->before && call->before(0) < 0))
			crash_fail("nothing to begin with: %s", memkv_error_detail());
		memset(buffer, CANARY, sizeof(buffer));
		hang(n, UINT64_MAX, HANGS);
		int64_t result = call->make(soon);
		bool late = result == MEMKV_TIMEDOUT || result == MEMKV_UNKNOWN;
		bool struck = atomic_load(&disk->struck);
		if (struck && (!late || (result == MEMKV_UNKNOWN && !call->changes)))
			crash_fail("while the I/O hangs: %lld", (long long)result);
		if (late)
			expect_canary("while the I/O hangs");
		else if (result < 0)
			crash_fail("a call that met nothing: %s", memkv_error_detail());
		let_go();
		if (late)
			expect_canary("the I/O has ended");
		settle_call(call);
		if (!struck && !late)
			break;
		if (!struck) { /* the machine was slow, not the disk */
			soon *= 4;
			n--;
		}
	}
	return n;
}

void stall_calls(bool device)
{
	static struct attempt all[] = {
		{"remove", do_remove, true, NULL, {0}},
		{"evict", do_evict, true, NULL, {0}},
		{"pin", do_pin, true, NULL, {0}},
		{"pin a prefix", do_pin_prefix, true, NULL, {0}},
		{"pin a session", do_pin_session, true, NULL, {0}},
		{"unpin", do_unpin, true, do_pin, {0}},
		{"unpin a session", do_unpin_session, true, do_pin_session, {0}},
		{"stat", do_stat, false, NULL, {0}},
		{"match", do_match, false, NULL, {0}},
		{"pieces", do_ranges, false, NULL, {0}},
	};

	for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
		all[i].hung[device] = hung_call(&all[i]);
		printf("%s: %llu I/Os hung; ", all[i].name, (unsigned long long)all[i].hung[device]);
		if (!all[i].hung[device] && all[i].make != do_match)
			crash_fail("nothing hung");
	}
	putchar('\n');
	int there = put_target(0);
	if (there && there != MEMKV_EXISTS)
		crash_fail("the block, once more: %s", memkv_error_detail());
}
