/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evicting all there is, on a medium that says no, or has lost something: it says 0 only when it has looked at all of it, and counts what
 * could be found.
 *
 *   left over   power loss took the word of a segment, which is FREE by that: what its table describes nobody finds, and it is not counted
 *   headers     a table's header is wiped, and the segment's own, which would tell, cannot be read: what is there stays, and goes
 *               when it can be.  A list of blocks says so as well
 *   tables      a device that answers for fewer and fewer of them: likewise
 *
 * usage: evict_unread [--device 1]
 */
#include "workload.h"

#include "core/pool/handle.h"

#include <errno.h>
#include <memkv/pin.h>
#include <stdlib.h>
#include <string.h>

enum { POOL_BLOCKS = 64, BLOCKS = 40 };

static struct disk *disk;
static struct memkv_pool *pool;
static uint8_t *empty, *full; /* images of the pool: as it was made, and with all blocks */

static void attach(void)
{
	if (crash_open(disk, 0, &pool))
		crash_fail("nobody can attach: %s", memkv_error_detail());
}

static void fill(bool device)
{
	struct memkv_create_options options = {.size = sizeof(options), .blocks = POOL_BLOCKS, .block_size = BLOCK_BYTES, .slots = 2};
	uint64_t bytes;

	empty = scratch_pool(&options, &bytes);
	disk = disk_of_image(empty, bytes, device);
	attach();
	for (uint32_t block = 0; block < BLOCKS; block++)
		if (crash_put(pool, block, 0, 0))
			crash_fail("put: %s", memkv_error_detail());
	memkv_pool_close(pool);
	full = malloc(bytes);
	if (!full)
		crash_fail("no memory");
	memcpy(full, disk->image, bytes);
}

static void refuse_from(uint64_t first, unsigned kinds)
{
	struct disk_fault fault = {.kinds = kinds, .from = first, .to = UINT64_MAX, .error = EIO};

	disk_strike(disk, kinds ? &fault : NULL);
}

static uint32_t how_many_there(void)
{
	uint32_t there = 0;

	for (uint32_t block = 0; block < BLOCKS; block++)
		there += block_look(pool, block, 0) == 1;
	return there;
}

/* how many; *result: what it answered */
static uint64_t evict(bool dry_run, int *result)
{
	struct memkv_evict_options options = {.size = sizeof(options), .dry_run = dry_run};
	struct memkv_evict_report report;

	*result = memkv_evict(pool, &options, &report);
	return report.blocks;
}

/* by now the medium answers: what is left goes */
static void evict_rest(uint64_t gone, uint64_t all)
{
	int result;
	uint64_t rest = evict(false, &result);

	if (result || gone + rest != all || how_many_there())
		crash_fail("once more: %d, %llu blocks after %llu of %llu, %u are there: %s", result, (unsigned long long)rest,
			   (unsigned long long)gone, (unsigned long long)all, (unsigned)how_many_there(), memkv_error_detail());
}

/* the pool's layout; *segment: where the first block lies */
static struct layout look_where(uint64_t *segment)
{
	struct memkv_block_info info;
	struct memkv_key key;

	attach();
	struct layout layout = pool->control.layout;
	block_name(0, &key);
	if (memkv_stat(pool, &key, &info))
		crash_fail("the first block is not there");
	*segment = info.segment;
	memkv_pool_close(pool);
	return layout;
}

static void left_over(const struct layout *layout, uint64_t segment)
{
	int result;

	snprintf(crash_context, sizeof(crash_context), "left over");
	disk_load(disk, full);
	uint64_t word = layout->offset[REGION_OWNER_WORDS] + segment * 8;
	memcpy(disk->image + word, empty + word, 8);
	attach();
	uint32_t there = how_many_there();
	if (there == BLOCKS || there == 0)
		crash_fail("%u blocks are found", (unsigned)there);
	uint64_t counted = evict(true, &result);
	if (result || counted != there)
		crash_fail("dry: %d, %llu blocks counted, %u can be found", result, (unsigned long long)counted, (unsigned)there);
	evict_rest(0, there);
	memkv_pool_close(pool);
	printf("%u blocks of %u can be found, and so many are counted\n", (unsigned)there, BLOCKS);
}

/* the list of blocks says so as well, once, and has the others */
static void list_all_but(uint64_t missing)
{
	struct memkv_block_info info;
	struct memkv_iter *iter;
	uint64_t listed = 0, unread = 0;
	int got;

	if (memkv_iter_open(pool, NULL, &iter))
		crash_fail("iterate: %s", memkv_error_detail());
	while ((got = memkv_iter_next(iter, &info)) != 0) {
		if (got < 0 && got != -EIO)
			crash_fail("iterate: %d", got);
		listed += got > 0;
		unread += got < 0;
	}
	memkv_iter_close(iter);
	if (listed != BLOCKS - missing || unread != (missing > 0))
		crash_fail("%llu blocks are listed, %llu segments not read", (unsigned long long)listed, (unsigned long long)unread);
}

static void headers(const struct layout *layout, uint64_t segment)
{
	uint64_t counted[2];

	snprintf(crash_context, sizeof(crash_context), "headers cannot be read");
	disk_load(disk, full);
	memset(disk->image + layout_table(layout, segment), 0, TABLE_HEADER_BYTES);
	attach();
	list_all_but(0);
	refuse_from(0, 1U << DISK_READ);
	list_all_but(1);
	for (int dry = 1; dry >= 0; dry--) {
		int result;
		counted[dry] = evict(dry, &result);
		if (result != -EIO || !counted[dry] || counted[dry] >= BLOCKS || !strstr(memkv_error_detail(), "1 of "))
			crash_fail("%s: %d, %llu blocks: \"%s\"", dry ? "dry" : "for good", result, (unsigned long long)counted[dry],
				   memkv_error_detail());
	}
	refuse_from(0, 0);
	if (counted[0] != counted[1])
		crash_fail("dry %llu, for good %llu", (unsigned long long)counted[1], (unsigned long long)counted[0]);
	evict_rest(counted[0], BLOCKS);
	memkv_pool_close(pool);
	printf("%llu blocks go while one segment cannot be read, and the others later\n", (unsigned long long)counted[0]);
}

/* who has just attached has no table at hand */
static void tables(bool dry)
{
	uint64_t struck = 1, refused = 0;

	snprintf(crash_context, sizeof(crash_context), "tables cannot be read, %s", dry ? "dry" : "for good");
	for (uint64_t first = 0; struck; first++) {
		int result;
		disk_load(disk, full);
		attach();
		refuse_from(first, 1U << DISK_REFRESH);
		uint64_t counted = evict(dry, &result);
		struck = atomic_load(&disk->struck);
		refuse_from(0, 0);
		if (result == 0 ? counted != BLOCKS : result != -EIO || !struck || counted > BLOCKS)
			crash_fail("with %llu answers: %d, %llu blocks: \"%s\"", (unsigned long long)first, result, (unsigned long long)counted,
				   memkv_error_detail());
		refused += result != 0;
		evict_rest(dry ? 0 : counted, BLOCKS);
		memkv_pool_close(pool);
	}
	if (!refused)
		crash_fail("no table was needed");
	printf("%llu times a device did not answer for a table, and that was said\n", (unsigned long long)refused);
}

int main(int argc, char **argv)
{
	bool device = argc > 2 && strcmp(argv[1], "--device") == 0 && strcmp(argv[2], "0") != 0;

	fill(device);
	uint64_t segment;
	struct layout layout = look_where(&segment);
	left_over(&layout, segment);
	if (device) {
		tables(true);
		tables(false);
	} else {
		headers(&layout, segment);
	}
	free(empty);
	free(full);
	disk_free(disk);
	return 0;
}
