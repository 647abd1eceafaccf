/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command that does not end until it is let go, for each I/O of a put and of a get: the call that waits for it waits,
 * and ends rightly when it has come; meanwhile other threads get and put through the same handle and another process
 * gets, puts and removes, all as if nothing were.  And with a late payload two replacing puts of one key meet.
 */
#include "workload.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCKS = 24, LATE_BLOCK = 300, ROUNDS_MAX = 64, PATIENCE_US = 10000000 };

struct late {
	struct memkv_pool *pool;
	bool put;
	atomic_int done;
	int result;
};

static void *call(void *context)
{
	struct late *late = context;

	late->result = late->put ? crash_put(late->pool, LATE_BLOCK, 0, MEMKV_PUT_DURABLE) : block_look(late->pool, 3, 0);
	atomic_store(&late->done, 1);
	return NULL;
}

static void others(struct memkv_pool *pool, uint32_t *next, const char *who)
{
	struct memkv_key key;

	for (uint32_t block = 0; block < BLOCKS; block++) {
		/* block_look() and crash_put() have memory of their own, so one thread at a time: the late one holds none of it */
		static _Alignas(4096) uint8_t found[BLOCK_BYTES], right[BLOCK_BYTES];
		struct memkv_get_options options = {.size = sizeof(options), .flags = MEMKV_GET_UPTO};
		block_name(block, &key);
		int64_t got = memkv_get(pool, &key, found, sizeof(found), &options);
		if (got != (int64_t)block_bytes(block, 0, right) || memcmp(found, right, (size_t)got))
			crash_fail("%s: block %u while a command is late: %lld", who, block, (long long)got);
	}
	static _Alignas(4096) uint8_t fresh[BLOCK_BYTES];
	size_t length = block_bytes(*next, 0, fresh);
	block_name(*next, &key);
	if (memkv_put(pool, &key, fresh, length, NULL) || memkv_exists(pool, &key, 0) != 1)
		crash_fail("%s: a put while a command is late", who);
	if (memkv_remove(pool, &key) != 1)
		crash_fail("%s: a removal while a command is late", who);
	(*next)++;
}

/* 0: there is no n-th I/O in this call */
static bool one(struct disk *disk, struct memkv_pool *mine, struct memkv_pool *theirs, bool put, uint64_t n, uint32_t *next)
{
	struct late late = {.pool = mine, .put = put};
	struct disk_fault fault = {.kinds = 1u << DISK_READ | 1u << DISK_WRITE, .from = n, .to = n + 1, .late = true};
	pthread_t thread;
	unsigned waited = 0;

	snprintf(crash_context, sizeof(crash_context), "%s, I/O %llu is late", put ? "put" : "get", (unsigned long long)n);
	disk_strike(disk, &fault);
	if (pthread_create(&thread, NULL, call, &late))
		crash_fail("no thread");
	while (!atomic_load(&late.done) && !atomic_load(&disk->waiting) && waited < PATIENCE_US)
		waited += usleep(100) == 0 ? 100 : 100;
	bool met = atomic_load(&disk->struck) > 0;
	if (met) {
		others(mine, next, "another thread");
		others(theirs, next, "another process");
		if (atomic_load(&late.done))
			crash_fail("it did not wait for its command");
	}
	disk_let_go(disk);
	pthread_join(thread, NULL);
	disk_strike(disk, NULL);
	if (put ? late.result != 0 || block_look(theirs, LATE_BLOCK, 0) != 0 : late.result != 1)
		if (!put || memkv_pool_refresh(theirs) || block_look(theirs, LATE_BLOCK, 0) != 1)
			crash_fail("the late call: %d", late.result);
	if (put) {
		struct memkv_key key;
		block_name(LATE_BLOCK, &key);
		if (memkv_remove(mine, &key) != 1)
			crash_fail("the late block cannot be removed");
	}
	return met;
}

/* ---- two replace one block at once ---- */

struct replacer {
	struct memkv_pool *pool;
	uint32_t block, version;
	int result;
};

static void *replace(void *context)
{
	struct replacer *r = context;

	r->result = crash_put(r->pool, r->block, r->version, MEMKV_PUT_REPLACE);
	return NULL;
}

/*
 * The first one's payload is late, so that both have looked before either is published.  Which of them stays is for their
 * births to decide; that one of them stays, and not both, is asserted.  Returns which.
 */
static uint32_t two_replace(struct disk *disk, struct memkv_pool *first, struct memkv_pool *second, uint32_t block)
{
	static _Alignas(4096) uint8_t bytes[BLOCK_BYTES];
	struct memkv_put_options options = {.size = sizeof(options), .flags = MEMKV_PUT_REPLACE};
	struct disk_fault fault = {.kinds = 1u << DISK_WRITE, .to = 1, .late = true};
	struct replacer r = {.pool = first, .block = block, .version = 1};
	struct memkv_key key;
	pthread_t thread;

	snprintf(crash_context, sizeof(crash_context), "two replace block %u", block);
	disk_strike(disk, &fault);
	if (pthread_create(&thread, NULL, replace, &r))
		crash_fail("no thread");
	while (!atomic_load(&disk->waiting))
		usleep(100);
	size_t length = block_bytes(block, 2, bytes);
	block_name(block, &key);
	int err = memkv_put(second, &key, bytes, length, &options);
	disk_let_go(disk);
	pthread_join(thread, NULL);
	disk_strike(disk, NULL);
	if (err || r.result)
		crash_fail("%d and %d", r.result, err);
	int found[2] = {0, 0};
	struct memkv_pool *both[2] = {first, second};
	for (int i = 0; i < 2; i++) {
		if (memkv_pool_refresh(both[i]))
			crash_fail("refresh");
		found[i] = block_look(both[i], block, 2);
	}
	if (found[0] != found[1] || found[0] < 2)
		crash_fail("one finds version %d, the other %d", found[0] - 1, found[1] - 1);
	if (memkv_remove(first, &key) != 1)
		crash_fail("both of them stayed");
	return (uint32_t)found[0] - 1;
}

static void replaces(struct disk *disk)
{
	struct memkv_pool *agents[2];
	uint32_t stayed[3] = {0};

	for (uint32_t block = 0; block < BLOCKS; block++) {
		if (crash_open(disk, 0, &agents[0]) || crash_open(disk, 0, &agents[1]))
			crash_fail("attach");
		stayed[two_replace(disk, agents[0], agents[1], block)]++;
		memkv_pool_close(agents[0]);
		memkv_pool_close(agents[1]);
	}
	printf("two replace a block at once, %d times: the first one stayed %u times, the second %u, never both or none\n", BLOCKS,
	       stayed[1], stayed[2]);
	if (!stayed[1] || !stayed[2])
		crash_fail("always the same one stayed: the other order was not tried");
}

int main(void)
{
	struct memkv_create_options options = {.size = sizeof(options), .blocks = 256, .block_size = BLOCK_BYTES, .slots = 6};
	struct memkv_pool_options open = {.size = sizeof(open), .flags = MEMKV_OPEN_NO_FOLLOWER, .lanes = 4};
	struct memkv_pool *mine, *theirs;
	uint64_t bytes, met[2] = {0};
	uint32_t next = BLOCKS;

	uint8_t *image = scratch_pool(&options, &bytes);
	struct disk *disk = disk_of_image(image, bytes, false);
	if (memkv_pool_open(disk->path, &open, &mine) || memkv_pool_open(disk->path, &open, &theirs))
		crash_fail("no pool");
	for (uint32_t block = 0; block < BLOCKS; block++)
		if (crash_put(mine, block, 0, 0))
			crash_fail("put");
	if (memkv_pool_refresh(theirs))
		crash_fail("refresh");
	for (int put = 0; put < 2; put++)
		while (met[put] < ROUNDS_MAX && one(disk, mine, theirs, put, met[put], &next))
			met[put]++;
	printf("late: each of %llu I/Os of a get and %llu of a put; nobody else waited\n", (unsigned long long)met[0],
	       (unsigned long long)met[1]);
	if (!met[0] || !met[1])
		crash_fail("no command was ever late");
	memkv_pool_close(mine);
	memkv_pool_close(theirs);
	replaces(disk);
	disk_free(disk);
	free(image);
	return 0;
}
