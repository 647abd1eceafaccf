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

static int64_t do_refresh(uint64_t deadline_us) { return memkv_pool_refresh_by(pool, deadline_us); }

static uint64_t stored; /* blocks */

static int64_t count_stored(uint64_t deadline_us)
{
	struct memkv_pool_info info;
	int result = memkv_pool_describe_by(pool, &info, deadline_us);

	stored = info.blocks;
	return result;
}

/* late, its iterator stays where it was, and the next one goes on from there: all blocks in the end, each once */
static int64_t do_list(uint64_t deadline_us)
{
	static struct memkv_iter *iter;
	static uint64_t listed;
	int result = iter ? 0 : memkv_iter_open_by(pool, NULL, &iter, deadline_us);

	while (result >= 0 && (result = memkv_iter_next_by(iter, (struct memkv_block_info *)(void *)buffer, deadline_us)) > 0) {
		memset(buffer, CANARY, sizeof(struct memkv_block_info));
		listed++;
	}
	if (result)
		return result;
	if (listed != stored)
		crash_fail("%llu blocks of %llu were listed", (unsigned long long)listed, (unsigned long long)stored);
	memkv_iter_close(iter);
	iter = NULL;
	listed = 0;
	return 0;
}

static int64_t do_pins(uint64_t deadline_us) { return memkv_pins_by(pool, (struct memkv_pin_info *)(void *)buffer, 4, deadline_us); }

static int64_t do_pin_room(uint64_t deadline_us)
{
	return memkv_pin_room_by(pool, (struct memkv_pin_limits *)(void *)buffer, deadline_us);
}

static int64_t do_hosts(uint64_t deadline_us)
{
	return memkv_hosts_by(pool, (struct memkv_host *)(void *)buffer, sizeof(buffer) / sizeof(struct memkv_host), deadline_us);
}

static int64_t do_describe(uint64_t deadline_us)
{
	return memkv_pool_describe_by(pool, (struct memkv_pool_info *)(void *)buffer, deadline_us);
}

static int64_t do_namespaces(uint64_t deadline_us)
{
	return memkv_pool_namespaces_by(pool, (struct memkv_namespace *)(void *)buffer, 2, deadline_us);
}

static atomic_bool in_check;

static int on_progress(void *context, uint64_t done, uint64_t total)
{
	(void)context;
	if (!atomic_load(&in_check) || done > total)
		crash_fail("a check that was left tells of its progress");
	return 0;
}

static int64_t do_check(uint64_t deadline_us)
{
	struct memkv_check_options o = {.size = sizeof(o), .progress = on_progress, .deadline_us = deadline_us};
	struct memkv_check_report report;

	atomic_store(&in_check, true);
	int result = memkv_pool_check(pool, &o, &report);
	atomic_store(&in_check, false);
	if (report.blocks > stored || (!result && report.blocks != stored) || report.bad || report.records_bad)
		crash_fail("a check of %llu blocks: %llu, %llu of them bad, %llu records", (unsigned long long)stored,
			   (unsigned long long)report.blocks, (unsigned long long)report.bad, (unsigned long long)report.records_bad);
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

/* the others may find in memory what they need */
static bool must_ask(const struct attempt *call, bool device)
{
	return call->changes || call->make == do_stat || call->make == do_ranges || call->make == do_check ||
	       (device && (call->make == do_refresh || call->make == do_list || call->make == do_hosts || call->make == do_describe));
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
		{"refresh", do_refresh, false, NULL, {0}},
		{"list", do_list, false, count_stored, {0}},
		{"pins", do_pins, false, NULL, {0}},
		{"room for pins", do_pin_room, false, NULL, {0}},
		{"hosts", do_hosts, false, NULL, {0}},
		{"describe", do_describe, false, NULL, {0}},
		{"namespaces", do_namespaces, false, NULL, {0}},
		{"check", do_check, false, count_stored, {0}},
	};

	for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
		all[i].hung[device] = hung_call(&all[i]);
		printf("%s: %llu I/Os hung; ", all[i].name, (unsigned long long)all[i].hung[device]);
		if (must_ask(&all[i], device) && !all[i].hung[device])
			crash_fail("%s: nothing hung", all[i].name);
	}
	putchar('\n');
	int there = put_target(0);
	if (there && there != MEMKV_EXISTS)
		crash_fail("the block, once more: %s", memkv_error_detail());
}
