/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device fails for a while, and one handle of its writer goes on: each I/O of a run over puts (plain, durable, replacing),
 * removals and pins fails, and those behind it, with nothing, half or all of it done; then the device answers again.
 *
 * While it fails gets are exact or misses, and what writes is refused.  Afterwards the same handle rejoins, by itself: it
 * takes puts again, under a new incarnation; everything that was acknowledged is there, exact, and what was removed is gone,
 * for it and for whoever opens the pool afterwards; a check finds at most what the old incarnation left half done.  What was
 * unknown is one or the other.
 *
 * usage: comeback [--every N]
 */
#include "workload.h"

#include "core/pool/handle.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LEFT_MOST = 2, OLD = 20, STEPS = 60, FAILING = 40, TRIES = 200 };

/* time goes by while nobody waits; ahead of the kernel's clock, which ends waits for other threads */
uint64_t __real_clock_monotonic_us(void);
uint64_t __wrap_clock_monotonic_us(void);
uint64_t __wrap_clock_monotonic_us(void)
{
	static atomic_uint_fast64_t ahead;

	return __real_clock_monotonic_us() + atomic_fetch_add(&ahead, 50000);
}

/* what may be found of a block: bits of its versions, bit 0 for a miss */
static uint32_t may[OLD + STEPS + 1];
static uint64_t pinned;

static bool refused(int result)
{
	return result == MEMKV_FAILED || result == MEMKV_UNKNOWN || result == -EIO || result == MEMKV_MISS || result == -ENOSPC;
}

/* one step; what it may have done is noted */
static void step(struct memkv_pool *pool, uint32_t n)
{
	struct memkv_key key;
	uint32_t block = n % 4 == 0 ? OLD + n : n % OLD;
	uint32_t version = may[block] > 1 ? 32 - (uint32_t)__builtin_clz(may[block]) : 1; /* the next one: bit version */
	int result;

	block_name(block, &key);
	switch (n % 4) {
	case 0: /* a new one, now and then durably */
		result = crash_put(pool, block, 0, n % 8 ? 0 : MEMKV_PUT_DURABLE);
		if (result == 0)
			may[block] = 1u << 1;
		else if (result == MEMKV_UNKNOWN)
			may[block] |= 1u << 1;
		break;
	case 1:
		result = crash_put(pool, block, version - 1, MEMKV_PUT_REPLACE);
		if (result == 0)
			may[block] = 1u << version;
		else if (result == MEMKV_UNKNOWN)
			may[block] |= 1u << version | 1;
		break;
	case 2:
		result = memkv_remove(pool, &key);
		if (result > 0)
			may[block] = 1, result = 0;
		else if (result != MEMKV_MISS && result != MEMKV_FAILED)
			may[block] |= 1;
		break;
	default:
		result = (int)memkv_pin(pool, &key, 1, NULL, NULL);
		pinned += result == 1;
		if (result >= 0)
			result = memkv_unpin(pool, &key, 1, NULL) < 0 ? MEMKV_UNKNOWN : 0;
	}
	if (result && result != MEMKV_EXISTS && !refused(result))
		crash_fail("step %u: %d (%s)", n, result, memkv_error_detail());
}

static void expect_all(struct memkv_pool *pool, bool failing, const char *who)
{
	for (uint32_t block = 0; block < OLD + STEPS; block++) {
		int found = block_look(pool, block, 30);
		if (found < 0 || (!(may[block] >> found & 1) && !(failing && found == 0)))
			crash_fail("%s: block %u: found %d, and what may be found is %x", who, block, found, may[block]);
	}
}

static void expect_sound(struct memkv_pool *pool, const char *who)
{
	struct memkv_check_report report;

	/* of the two segments that the old incarnation had open one may not have been continued yet: what was half done there,
	 * and what a torn write left, still shows; all that was acknowledged is looked at by expect_all() */
	if (memkv_pool_check(pool, NULL, &report) || report.bad + report.records_bad > LEFT_MOST)
		crash_fail("%s: a check finds %llu bad blocks and %llu records", who, (unsigned long long)report.bad,
			   (unsigned long long)report.records_bad);
}

static bool comes_back(struct memkv_pool *pool)
{
	for (unsigned i = 0; i < TRIES; i++) {
		int result = crash_put(pool, OLD + STEPS, 0, MEMKV_PUT_REPLACE);
		if (result == 0 || result == MEMKV_EXISTS)
			return true;
	}
	return false;
}

/* false: there is no n-th I/O */
static bool one(const uint8_t *image, struct disk *disk, uint64_t n, enum disk_effect effect, uint64_t *rejoined)
{
	struct disk_fault fault = {.kinds = DISK_ALL & ~(1u << DISK_LOCK), .from = n, .to = n + FAILING, .error = -EIO,
				   .effect = effect};
	struct memkv_pool *pool, *fresh;
	struct memkv_counters c;

	snprintf(crash_context, sizeof(crash_context), "I/O %llu and %d more fail, effect %d", (unsigned long long)n, FAILING - 1,
		 effect);
	disk_load(disk, image);
	if (crash_open(disk, 0, &pool))
		crash_fail("attach");
	for (uint32_t block = 0; block < OLD + STEPS; block++)
		may[block] = block < OLD ? 2 : 1;
	uint32_t epoch = pool->slot.epoch;
	disk_strike(disk, &fault);
	for (uint32_t i = 0; i < STEPS; i++) {
		step(pool, i);
		if (i % 16 == 5)
			expect_all(pool, true, "while it fails");
	}
	bool met = atomic_load(&disk->struck) > 0;
	disk_strike(disk, NULL);
	if (!comes_back(pool))
		crash_fail("it does not come back: %s", memkv_error_detail());
	memkv_pool_counters(pool, &c);
	*rejoined += c.rejoins;
	if (c.rejoins && pool->slot.epoch <= epoch)
		crash_fail("it came back as epoch %u after %u", pool->slot.epoch, epoch);
	expect_all(pool, false, "the same handle");
	expect_sound(pool, "the same handle");
	memkv_pool_close(pool);
	if (crash_open(disk, 0, &fresh))
		crash_fail("attach afterwards: %s", memkv_error_detail());
	expect_all(fresh, false, "another handle");
	expect_sound(fresh, "another handle");
	if (block_look(fresh, OLD + STEPS, 0) != 1)
		crash_fail("what the handle put when it was back is not there");
	memkv_pool_close(fresh);
	return met;
}

int main(int argc, char **argv)
{
	struct memkv_create_options options = {.size = sizeof(options), .blocks = 256, .block_size = BLOCK_BYTES, .slots = 6};
	uint64_t every = argc > 2 ? strtoull(argv[2], NULL, 10) : 1, bytes, runs = 0, rejoined = 0;
	struct memkv_pool *pool;

	uint8_t *image = scratch_pool(&options, &bytes);
	struct disk *disk = disk_of_image(image, bytes, true);
	if (crash_open(disk, 0, &pool))
		crash_fail("attach");
	for (uint32_t block = 0; block < OLD; block++)
		if (crash_put(pool, block, 0, 0))
			crash_fail("put");
	memkv_pool_close(pool);
	memcpy(image, disk->image, bytes);
	for (uint64_t n = 0; one(image, disk, n, (enum disk_effect)(runs % 3), &rejoined); n += every)
		runs++;
	printf("%llu runs with a device that failed for a while; handles came back %llu times\n", (unsigned long long)runs,
	       (unsigned long long)rejoined);
	if (runs < 10 || rejoined < runs / 2 || rejoined > 2 * runs || pinned < runs)
		crash_fail("less has failed than should have");
	disk_free(disk);
	free(image);
	return 0;
}
