/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding 22: what an attach reads.
 *
 * A pool of 16 GiB (sparse) with few blocks, its page cache dropped: then a reader attaches, and the pages of the file that
 * are in memory are what it read, read-ahead included.  It must not touch tables of segments that nobody has opened, nor
 * payload; and what it reads grows with the blocks, not with the pool.
 */
#include "helpers.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 8000, BATCH = 200, MAP_PAGE = 4096, AHEAD = 8 << 20 };

static const char *path;

/* bytes of the file from @from to @to that are in memory */
static uint64_t in_memory(uint64_t from, uint64_t to)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	enum { PIECE = 1 << 30 };
	static unsigned char pages[PIECE / MAP_PAGE];
	uint64_t bytes = 0;

	for (uint64_t at = from; at < to; at += PIECE) {
		size_t length = (size_t)(to - at < PIECE ? to - at : PIECE);
		void *map = mmap(NULL, length, PROT_READ, MAP_SHARED, fd, (off_t)at);
		EXPECT(map != MAP_FAILED && mincore(map, length, pages) == 0, "mincore");
		for (size_t i = 0; i < (length + MAP_PAGE - 1) / MAP_PAGE; i++)
			bytes += (pages[i] & 1) * MAP_PAGE;
		munmap(map, length);
	}
	close(fd);
	return bytes;
}

static void drop(void)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	EXPECT(fsync(fd) == 0 && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0, "dropping the page cache");
	close(fd);
}

static uint64_t attach_reads(uint64_t control, uint64_t *payload)
{
	struct stat st;

	EXPECT(stat(path, &st) == 0, "stat");
	drop();
	uint64_t before = in_memory(0, (uint64_t)st.st_size);
	if (before > MIB(1))
		skip_test("the page cache of this file system does not let go of %llu bytes", (unsigned long long)before);
	struct memkv_pool *pool = pool_attach(path, MEMKV_OPEN_READ_ONLY | MEMKV_OPEN_NO_FOLLOWER);
	uint64_t all = in_memory(0, control);
	*payload = in_memory(control, (uint64_t)st.st_size);
	memkv_pool_close(pool);
	return all;
}

static void put_more(uint64_t from)
{
	struct memkv_pool *pool = pool_attach(path, 0);
	uint8_t *buffer = pages_alloc(BLOCK);

	for (uint64_t n = from; n < from + BATCH; n++) {
		struct memkv_key key = key_of(n);
		payload_fill(buffer, BLOCK, n, 0);
		EXPECT(memkv_put(pool, &key, buffer, BLOCK, NULL) == 0, "put: %s", memkv_error_detail());
	}
	memkv_pool_close(pool);
}

int main(void)
{
	struct memkv_create_options options = {.size = sizeof(options), .flags = MEMKV_CREATE_THIN, .bytes = 16ULL << 30,
					       .max_block = MIB(1), .segment = MIB(1)};
	uint64_t payload[3], reads[3];

	path = scratch_path("finding-22");
	pool_make(path, &options);
	struct memkv_pool *pool = pool_attach(path, MEMKV_OPEN_READ_ONLY);
	struct memkv_pool_info info = describe_of(pool);
	memkv_pool_close(pool);
	reads[0] = attach_reads(info.control_bytes, &payload[0]);
	for (int i = 1; i < 3; i++) {
		put_more((uint64_t)i * BATCH);
		reads[i] = attach_reads(info.control_bytes, &payload[i]);
	}
	printf("%llu segments, control structures of %llu MiB; attach reads %llu KiB of an empty pool, %llu KiB with %d blocks, "
	       "%llu KiB with %d; beyond them %llu, %llu, %llu KiB\n", (unsigned long long)info.segments,
	       (unsigned long long)(info.control_bytes >> 20), (unsigned long long)(reads[0] >> 10),
	       (unsigned long long)(reads[1] >> 10), BATCH, (unsigned long long)(reads[2] >> 10), 2 * BATCH,
	       (unsigned long long)(payload[0] >> 10), (unsigned long long)(payload[1] >> 10), (unsigned long long)(payload[2] >> 10));
	/* slots, words of 24 bytes a segment, the superblocks; and what is read ahead around three places: 8 MiB on some disks */
	EXPECT(reads[0] < info.segments * 24 + info.slots * 3 * 4096ULL + 2 * AHEAD, "an empty pool is read");
	EXPECT(reads[1] < reads[0] + AHEAD + MIB(1) && reads[2] < reads[1] + MIB(1), "attach reads more than the tables in use");
	EXPECT(payload[2] <= AHEAD, "attach reads payload");
	scratch_remove(path);
	return 0;
}
