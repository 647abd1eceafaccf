/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool check beside others in one process: with a single lane it lets gets through; it stops when it is told to; a
 * sample is one; a rate is kept (only its lower bound on time is asserted).
 */
#include "helpers.h"

#include <errno.h>

enum { BLOCKS = 400, LENGTH = 32768 };

struct beside {
	struct memkv_pool *pool;
	uint64_t gets, told, stop_at;
};

static int get_one(void *context, uint64_t done, uint64_t total)
{
	static uint8_t bytes[LENGTH];
	struct beside *beside = context;
	struct memkv_key key = key_of(done % BLOCKS);

	EXPECT(done <= total, "progress %llu of %llu", (unsigned long long)done, (unsigned long long)total);
	beside->told++;
	if (memkv_get(beside->pool, &key, bytes, LENGTH, NULL) == LENGTH)
		beside->gets++; /* would wait for ever if the check kept its lane */
	return beside->stop_at && beside->told >= beside->stop_at;
}

static struct memkv_check_report check(struct memkv_pool *pool, struct memkv_check_options options, int wanted)
{
	struct memkv_check_report report;

	options.size = sizeof(options);
	int err = memkv_pool_check(pool, &options, &report);
	EXPECT(err == wanted, "check: %s, not %s", memkv_code_name(err), memkv_code_name(wanted));
	EXPECT(report.bad == 0 && report.records_bad == 0, "false damage");
	return report;
}

int main(void)
{
	const char *path = scratch_path("online");
	struct memkv_pool_options one_lane = {.size = sizeof(one_lane), .lanes = 1};
	struct beside beside = {0};
	static uint8_t bytes[LENGTH];
	int err;

	pool_make_bytes(path, MIB(64), KIB(64));
	EXPECT(memkv_pool_open(path, &one_lane, &beside.pool) == 0, "open");
	for (uint64_t number = 0; number < BLOCKS; number++) {
		struct memkv_key key = key_of(number);
		payload_fill(bytes, LENGTH, number, 0);
		EXPECT(memkv_put(beside.pool, &key, bytes, LENGTH, NULL) == 0, "put");
	}

	struct memkv_check_report all =
		check(beside.pool, (struct memkv_check_options){.progress = get_one, .context = &beside}, 0);
	EXPECT(all.blocks == BLOCKS && all.skipped == 0, "%llu blocks", (unsigned long long)all.blocks);
	EXPECT(beside.gets == beside.told && beside.gets > 0, "%llu of %llu gets", (unsigned long long)beside.gets,
	       (unsigned long long)beside.told);

	beside.told = 0;
	beside.stop_at = 2;
	struct memkv_check_report some =
		check(beside.pool, (struct memkv_check_options){.progress = get_one, .context = &beside}, -ECANCELED);
	EXPECT(some.blocks < BLOCKS, "it was not stopped");
	beside.stop_at = 0;

	some = check(beside.pool, (struct memkv_check_options){.sample_percent = 30}, 0);
	EXPECT(some.blocks + some.skipped == BLOCKS && some.blocks > 60 && some.blocks < 200, "a sample of 30 %%: %llu",
	       (unsigned long long)some.blocks);
	some = check(beside.pool, (struct memkv_check_options){.sample_percent = 1e-15}, 0);
	EXPECT(some.skipped == BLOCKS, "next to nothing is nothing here: %llu", (unsigned long long)some.blocks);
	check(beside.pool, (struct memkv_check_options){.sample_percent = 100.5}, -EINVAL);
	check(beside.pool, (struct memkv_check_options){.sample_percent = -1}, -EINVAL);
	check(beside.pool, (struct memkv_check_options){.pause_percent = 100}, -EINVAL);

	uint64_t begin = now_us();
	some = check(beside.pool, (struct memkv_check_options){.max_rate = MIB(20)}, 0);
	uint64_t least_us = BLOCKS * (uint64_t)LENGTH * 1000000 / MIB(20), took_us = now_us() - begin;
	EXPECT(some.blocks == BLOCKS && took_us >= least_us, "%llu us, at least %llu", (unsigned long long)took_us,
	       (unsigned long long)least_us);
	some = check(beside.pool, (struct memkv_check_options){.pause_percent = 50}, 0);
	EXPECT(some.blocks == BLOCKS, "with rests");
	/* a repair has the pool for itself */
	struct memkv_pool *other = pool_attach(path, 0);
	check(beside.pool, (struct memkv_check_options){.repair = 1}, MEMKV_IN_USE);
	EXPECT(strstr(memkv_error_detail(), "stop that agent"), "'%s'", memkv_error_detail());
	memkv_pool_close(other);
	check(beside.pool, (struct memkv_check_options){.repair = 1, .sample_percent = 3}, -EINVAL);
	some = check(beside.pool, (struct memkv_check_options){.repair = 1}, 0);
	EXPECT(some.blocks == BLOCKS && !some.repaired && !some.removed && !some.left, "there was nothing to repair");
	memkv_pool_close(pool_attach(path, 0)); /* and lets others in again */
	other = pool_attach(path, MEMKV_OPEN_READ_ONLY);
	check(other, (struct memkv_check_options){.repair = 1}, MEMKV_READ_ONLY);
	memkv_pool_close(other);

	err = memkv_pool_check(beside.pool, NULL, NULL);
	EXPECT(err == -EINVAL, "no place for the report");
	memkv_pool_close(beside.pool);
	printf("check: %llu gets came between; stopped, sampled and slowed down as told\n",
	       (unsigned long long)beside.gets);
	return 0;
}
