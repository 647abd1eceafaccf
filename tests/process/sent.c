/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries that went to the medium together with their blocks, by a writer that was killed before it knew whether those
 * had landed.  On mirrored media every put is like that; the life word means the same on a file, where this can be staged
 * exactly.
 *
 * One block has landed whole, of the second the payload is missing, of the third only the last page.  Whoever attaches:
 * gets the first, exactly, and misses the others; a check finds no damage; a put of the first key stores it again rather
 * than trust a header; a put of the second key works.  Whoever writes next continues the segment: then the first is live,
 * the others are gone.
 */
#include "core/pool/block_io.h"
#include "helpers.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BLOCK = 3 * PAGE_BYTES, BLOCKS = 3 };

static uint8_t *buffer;

/* the writer's steps of put.c up to the moment of its death */
static void send_block(struct memkv_pool *pool, uint64_t number, uint64_t landed)
{
	struct lane *lane = lane_acquire(&pool->lanes);
	struct memkv_key key = key_of(number);
	struct room_place place;
	struct block_write write;
	struct entry entry;
	uint64_t digest;

	payload_fill(buffer, BLOCK, number, 0);
	digest = chunk_digest(buffer, BLOCK);
	EXPECT(room_reserve(&pool->room, 1 + BLOCK / PAGE_BYTES, &place) == 0, "reserve");
	struct block_header h = {
		.length = BLOCK, .chunk_bytes = chunk_bytes_for(BLOCK), .chunks = 1, .header_pages = 1,
		.generation = place.generation, .birth = slot_new_birth(&pool->slot), .segment = (uint32_t)place.segment,
		.index = place.index,
		.page = layout_segment(&pool->control.layout, place.segment) / PAGE_BYTES + place.page};
	memcpy(h.key, key.bytes, sizeof(h.key));
	payload_digest(&digest, 1, BLOCK, h.payload_digest);
	block_header_encode(&h, &digest, pool->sb.seed, lane->header);
	if (landed) {
		block_write_init(&write, lane, h.page, 1, buffer, landed);
		op_run(&write.op);
	} else {
		struct iovec header = {lane->header, PAGE_BYTES};
		EXPECT(lane_transfer(lane, MEDIA_WRITE, h.page * PAGE_BYTES, &header, 1) == 0, "header");
	}
	entry_of_header(&h, place.page, &entry);
	table_publish_sent(&pool->control, place.segment, &entry);
	control_ring(&pool->control, place.segment);
	lane_release(&pool->lanes, lane);
}

static int writer(void *context)
{
	struct memkv_pool *pool = pool_attach(context, MEMKV_OPEN_NO_FOLLOWER);

	send_block(pool, 1, BLOCK);
	send_block(pool, 2, 0);
	send_block(pool, 3, BLOCK - PAGE_BYTES);
	kill(getpid(), SIGKILL);
	return 1;
}

static void expect_get(struct memkv_pool *pool, uint64_t number, bool there)
{
	struct memkv_key key = key_of(number);
	int64_t got = memkv_get(pool, &key, buffer, BLOCK, NULL);

	EXPECT(got == (there ? BLOCK : MEMKV_MISS), "get %llu: %lld", (unsigned long long)number, (long long)got);
	EXPECT(!there || payload_right(buffer, BLOCK, number, 0), "get %llu: wrong bytes", (unsigned long long)number);
}

static void expect_check(struct memkv_pool *pool, uint64_t blocks)
{
	uint64_t found = pool_expect_clean(pool, "sent");

	EXPECT(found == blocks, "a check finds %llu blocks, not %llu", (unsigned long long)found, (unsigned long long)blocks);
}

static void read_only(const char *path)
{
	struct memkv_pool *pool = pool_attach(path, MEMKV_OPEN_READ_ONLY | MEMKV_OPEN_NO_FOLLOWER);

	expect_get(pool, 1, true);
	expect_get(pool, 2, false);
	expect_get(pool, 3, false);
	expect_check(pool, 1);
	memkv_pool_close(pool);
}

static int put_number(struct memkv_pool *pool, uint64_t number)
{
	struct memkv_key key = key_of(number);

	payload_fill(buffer, BLOCK, number, 0);
	return memkv_put(pool, &key, buffer, BLOCK, NULL);
}

/* an untrusted copy is not answered with "exists"; continuing the segment settles all three */
static void continued(const char *path)
{
	struct memkv_pool *pool = pool_attach(path, MEMKV_OPEN_NO_FOLLOWER);

	EXPECT(put_number(pool, 1) == 0, "a copy whose payload nobody has read was trusted");
	EXPECT(put_number(pool, 1) == MEMKV_EXISTS, "a block that was put is there");
	expect_get(pool, 1, true);
	expect_get(pool, 3, false);
	EXPECT(put_number(pool, 2) == 0, "put");
	expect_get(pool, 2, true);
	expect_check(pool, 3); /* the first twice: both are whole */
	memkv_pool_close(pool);
	pool = pool_attach(path, MEMKV_OPEN_READ_ONLY | MEMKV_OPEN_NO_FOLLOWER);
	expect_get(pool, 1, true);
	expect_get(pool, 2, true);
	expect_get(pool, 3, false);
	memkv_pool_close(pool);
}

int main(void)
{
	const char *path = scratch_path("sent.pool");
	int status;

	buffer = pages_alloc(BLOCK);
	pool_make_bytes(path, MIB(16), KIB(64));
	pid_t child = child_start(writer, (void *)(uintptr_t)path);
	EXPECT(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
	       "the writer ended with %d", status);
	read_only(path);
	continued(path);
	puts("sent: 1 landed, 2 did not; read, checked and continued");
	return 0;
}
