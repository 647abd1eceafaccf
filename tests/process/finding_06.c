/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding 6: "there already" for a block that is not.
 *
 * Two handles on one pool; the one that puts has the block in its index, and never looks by itself.  Then the block goes, in every
 * way there is: removed, evicted, expired, written over by others, its header or its payload damaged on the medium.  A put
 * that answers EXISTS must be followed by a get that returns the block; when it is not there the put stores it.
 */
#include "helpers.h"

#include <fcntl.h>
#include <unistd.h>

enum { BLOCK = 20000, ROUNDS = 3 };

static const char *path;
static uint8_t *buffer;
static struct memkv_pool *first; /* who stored the block: what lies in its open segment nobody else can displace */

static int put(struct memkv_pool *pool, uint64_t number, uint64_t ttl_s)
{
	struct memkv_key key = key_of(number);
	struct memkv_put_options options = {.size = sizeof(options), .ttl_s = ttl_s};

	payload_fill(buffer, BLOCK, number, 0);
	return memkv_put(pool, &key, buffer, BLOCK, &options);
}

static int64_t get(struct memkv_pool *pool, uint64_t number)
{
	struct memkv_key key = key_of(number);
	int64_t got = memkv_get(pool, &key, buffer, BLOCK, NULL);

	EXPECT(got != BLOCK || payload_right(buffer, BLOCK, number, 0), "block %llu has other bytes", (unsigned long long)number);
	return got;
}

static void flip(struct memkv_pool *pool, uint64_t number, uint64_t offset)
{
	struct memkv_key key = key_of(number);
	struct memkv_block_info info;
	uint8_t bytes[64];
	int fd = open(path, O_RDWR | O_CLOEXEC);

	EXPECT(memkv_stat(pool, &key, &info) == 0, "stat: %s", memkv_error_detail());
	off_t at = (off_t)(info.page * 4096 + offset);
	EXPECT(pread(fd, bytes, sizeof(bytes), at) == sizeof(bytes), "pread");
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] ^= 0xA5;
	EXPECT(pwrite(fd, bytes, sizeof(bytes), at) == sizeof(bytes) && fdatasync(fd) == 0, "pwrite");
	close(fd);
}

static void remove_it(struct memkv_pool *other, uint64_t number)
{
	struct memkv_key key = key_of(number);

	EXPECT(memkv_remove(other, &key) >= 0, "remove: %s", memkv_error_detail());
}

static void evict_it(struct memkv_pool *other, uint64_t number)
{
	struct memkv_evict_options options = {.size = sizeof(options)};
	struct memkv_evict_report report;

	(void)number;
	EXPECT(memkv_evict(other, &options, &report) == 0 && report.blocks >= 1, "evict: %s", memkv_error_detail());
}

/* until its segment was opened anew */
static void displace_it(struct memkv_pool *other, uint64_t number)
{
	struct memkv_pool *reader = pool_attach(path, MEMKV_OPEN_READ_ONLY);
	struct memkv_key key = key_of(number);
	uint64_t filler = number << 20;

	for (; memkv_exists(reader, &key, 0) == 1; filler++) /* a get would make it stay longer */
		EXPECT(memkv_pool_refresh(reader) == 0 && put(filler % 2 ? first : other, filler + 1, 0) == 0, "put: %s",
		       memkv_error_detail());
	memkv_pool_close(reader);
}

static void expire_it(struct memkv_pool *other, uint64_t number)
{
	while (get(other, number) == BLOCK)
		sleep_us(10000);
}

static void damage_header(struct memkv_pool *other, uint64_t number) { flip(other, number, 0); }
static void damage_payload(struct memkv_pool *other, uint64_t number)
{
	flip(other, number, 4096 + 5000);
	/* whose bytes are wrong is known when they were read: until then the header vouches for them */
	EXPECT(get(other, number) == MEMKV_MISS, "damaged bytes were returned");
}

static void play(const char *how, void (*go)(struct memkv_pool *other, uint64_t number), uint64_t number, uint64_t ttl_s)
{
	struct memkv_pool *putter = pool_attach(path, MEMKV_OPEN_NO_FOLLOWER), *other = pool_attach(path, MEMKV_OPEN_NO_FOLLOWER);

	first = putter;
	EXPECT(put(putter, number, ttl_s) == 0, "%s: the first put: %s", how, memkv_error_detail());
	EXPECT(put(putter, number, 0) == MEMKV_EXISTS && get(putter, number) == BLOCK, "%s: it is not there at once", how);
	EXPECT(put(other, number, 0) == MEMKV_EXISTS && get(other, number) == BLOCK, "%s: it is not there for the other", how);
	go(other, number);
	if (go == damage_payload)
		EXPECT(get(putter, number) == MEMKV_MISS, "damaged bytes were returned");
	int again = put(putter, number, 0);
	EXPECT(again == 0, "%s: a block that is not there: put says %s", how, memkv_code_name(again));
	EXPECT(get(putter, number) == BLOCK, "%s: it was stored, and is a miss", how);
	EXPECT(memkv_pool_refresh(other) == 0 && get(other, number) == BLOCK, "%s: it was stored, and is a miss for the other", how);
	EXPECT(put(other, number, 0) == MEMKV_EXISTS, "%s: the other stores it twice", how);
	memkv_pool_close(putter);
	memkv_pool_close(other);
}

int main(void)
{
	buffer = pages_alloc(BLOCK);
	path = scratch_fast_path("finding-06");
	pool_make_bytes(path, MIB(16), MIB(1) / 16);
	for (uint64_t round = 0; round < ROUNDS; round++) {
		uint64_t number = 1 + round * 10;
		play("removed", remove_it, number, 0);
		play("evicted", evict_it, number + 1, 0);
		play("written over", displace_it, number + 2, 0);
		play("its header damaged", damage_header, number + 3, 0);
		play("its payload damaged", damage_payload, number + 4, 0);
	}
	play("expired", expire_it, 7, 1);
	scratch_remove(path);
	return 0;
}
