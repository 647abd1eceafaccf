/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device that loses its volatile cache while its writer lives on, as a target does that loses power and is back before
 * the writing host has noticed: what was not flushed is gone from the device, and the writer's mirror says otherwise.
 *
 * A durable put that is acknowledged afterwards is there for everybody; so is every durable one before.
 */
#include "workload.h"

#include "core/pool/handle.h"

#include <stdlib.h>
#include <string.h>

enum { KEPT = 3, PLAIN = KEPT, PLAIN_MAX = 90, AFTER = PLAIN + PLAIN_MAX, NEXT = AFTER + 2 };

static struct memkv_pool *volatile dead[PLAIN_MAX + 1]; /* never touched again */
static unsigned dead_count, lost;

static struct memkv_pool *attached(struct disk *disk, unsigned flags)
{
	struct memkv_pool *pool;

	if (crash_open(disk, flags, &pool))
		crash_fail("attach: %s", memkv_error_detail());
	return pool;
}

static void put(struct memkv_pool *pool, uint32_t block, uint32_t flags)
{
	int err = crash_put(pool, block, 0, flags);

	if (err)
		crash_fail("put of block %u: %s", block, memkv_error_detail());
}

static void durable_ones(struct memkv_pool *pool, const char *whose, uint32_t after)
{
	for (uint32_t block = 0; block < KEPT; block++)
		if (block_look(pool, block, 0) != 1)
			crash_fail("%s: durable block %u of before is lost", whose, block);
	for (uint32_t block = AFTER; block < AFTER + after; block++)
		if (block_look(pool, block, 0) != 1)
			crash_fail("%s: block %u, durable and acknowledged afterwards, is not there", whose, block);
}

/* @plain puts that no flush followed are lost; then two durable ones */
static void lose(const uint8_t *image, uint64_t bytes, uint32_t plain)
{
	struct disk *disk = disk_of_image(image, bytes, true);
	struct memkv_pool *writer = attached(disk, 0);
	uint8_t *flushed = malloc(bytes);

	snprintf(crash_context, sizeof(crash_context), "%u puts lost", plain);
	for (uint32_t block = 0; block < KEPT; block++)
		put(writer, block, MEMKV_PUT_DURABLE);
	memcpy(flushed, disk->image, bytes);
	for (uint32_t block = PLAIN; block < PLAIN + plain; block++)
		put(writer, block, 0);
	memcpy(disk->image, flushed, bytes);
	for (uint32_t after = 1; after <= 2; after++) {
		put(writer, AFTER + after - 1, MEMKV_PUT_DURABLE);
		struct memkv_pool *reader = attached(disk, MEMKV_OPEN_READ_ONLY);
		durable_ones(reader, "a fresh reader", after);
		for (uint32_t block = PLAIN; block < PLAIN + plain; block++) {
			int there = block_look(reader, block, 0);
			if (there < 0)
				crash_fail("block %u: wrong bytes", block);
			lost += there == 0;
		}
		memkv_pool_close(reader);
	}
	durable_ones(writer, "the writer", 2);
	memset(disk->locks, 0, sizeof(disk->locks)); /* it is dead */
	dead[dead_count++] = writer;
	writer = attached(disk, 0);
	durable_ones(writer, "the next writer", 2);
	put(writer, NEXT, MEMKV_PUT_DURABLE);
	durable_ones(writer, "the next writer, afterwards", 2);
	memkv_pool_close(writer);
	disk_free(disk);
	free(flushed);
}

int main(void)
{
	struct memkv_create_options options = {.size = sizeof(options), .blocks = 2048, .block_size = BLOCK_BYTES, .slots = 6};
	uint64_t bytes;
	uint8_t *image = scratch_pool(&options, &bytes);

	for (uint32_t plain = 0; plain <= PLAIN_MAX; plain++)
		lose(image, bytes, plain);
	free(image);
	if (lost < PLAIN_MAX)
		crash_fail("only %u blocks were lost: nothing is shown", lost);
	printf("a cache lost after 0 to %u puts: every durable put before and afterwards is there; %u times a plain one is not\n",
	       PLAIN_MAX, lost);
	return 0;
}
