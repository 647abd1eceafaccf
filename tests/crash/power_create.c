/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts while a pool is made: on a new file, and by force over a pool that is there, of another shape.
 *
 * What create does to the file (pwrite, ftruncate, fsync) is recorded; a cut before each of these leaves what was synced,
 * and of the rest all, nothing, or any sectors and either length.  What it leaves is no pool, said in a sentence; or the old
 * one, with all its blocks; or the new one, empty and whole.  Never parts of both; and when create had returned, the new one.
 *
 * usage: create [--rounds N]
 */
#include "workload.h"

#include "core/pool/handle.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EVENTS_MAX = 4096, OLD = 40, SECTOR = 512 };

enum kind { WRITTEN, RESIZED, SYNCED };

static struct {
	enum kind kind;
	uint64_t offset, length;
	uint8_t *bytes;
} events[EVENTS_MAX];
static uint32_t event_count;
static bool recording;

static void note(enum kind kind, uint64_t offset, const void *bytes, uint64_t length)
{
	if (!recording)
		return;
	if (event_count == EVENTS_MAX)
		crash_fail("more than %d events", EVENTS_MAX);
	uint8_t *copy = bytes ? malloc(length) : NULL;
	if (copy)
		memcpy(copy, bytes, length);
	events[event_count].kind = kind;
	events[event_count].offset = offset;
	events[event_count].length = length;
	events[event_count++].bytes = copy;
}

ssize_t __real_pwrite(int fd, const void *bytes, size_t length, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t length, off_t offset);
int __real_ftruncate(int fd, off_t length);
int __wrap_ftruncate(int fd, off_t length);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_fallocate(int fd, int mode, off_t offset, off_t length);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t length);

ssize_t __wrap_pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
	note(WRITTEN, (uint64_t)offset, bytes, length);
	return __real_pwrite(fd, bytes, length, offset);
}

int __wrap_ftruncate(int fd, off_t length)
{
	note(RESIZED, 0, NULL, (uint64_t)length);
	return __real_ftruncate(fd, length);
}

int __wrap_fsync(int fd)
{
	note(SYNCED, 0, NULL, 0);
	return __real_fsync(fd);
}

int __wrap_fallocate(int fd, int mode, off_t offset, off_t length)
{
	if (!recording)
		return __real_fallocate(fd, mode, offset, length);
	errno = EOPNOTSUPP; /* zeros are written, which shows them to us */
	return -1;
}

/* ---- what a cut leaves ---- */

struct remains {
	uint8_t *image;
	uint64_t bytes, room;
};

static void apply(struct remains *r, uint32_t i, uint64_t chance, bool sure)
{
	uint64_t length = events[i].length;

	if (events[i].kind == RESIZED && (sure || chance % 2)) {
		if (length < r->bytes)
			memset(r->image + length, 0, r->bytes - length);
		r->bytes = length;
	}
	for (uint64_t at = 0; events[i].kind == WRITTEN && at < length; at += SECTOR) {
		bool here = sure || chance % 3 == 0 || (chance % 3 == 1 && chance_next(&chance) % 2);
		uint64_t piece = min_u64(length - at, SECTOR), to = events[i].offset + at;
		if (!here || to + piece > r->room)
			continue;
		memcpy(r->image + to, events[i].bytes + at, piece);
		if (to + piece > r->bytes)
			r->bytes = to + piece; /* the file has grown to hold it */
	}
}

/* @how 0: everything had arrived; 1: only what was synced; else chance */
static void leave(struct remains *r, const uint8_t *before, uint64_t before_bytes, uint32_t moment, uint64_t how)
{
	uint32_t synced = 0;

	memset(r->image, 0, r->room);
	memcpy(r->image, before, before_bytes);
	r->bytes = before_bytes;
	for (uint32_t i = 0; i < moment; i++)
		if (events[i].kind == SYNCED)
			synced = i;
	for (uint32_t i = 0; i < moment; i++) {
		uint64_t chance = how * 1000003 + i;
		chance = chance_next(&chance);
		if (i < synced || how == 0)
			apply(r, i, 0, true);
		else if (how > 1)
			apply(r, i, chance, false);
	}
}

/* ---- what it must be ---- */

static uint64_t tally[3]; /* none, old, new */

static void judge(const struct remains *r, const uint8_t *old_uuid, bool finished)
{
	struct disk *disk = disk_of_image(r->image, r->bytes ? r->bytes : 1, false);
	struct memkv_check_report report;
	struct memkv_pool *pool;
	int err = crash_open(disk, 0, &pool);

	if (err) {
		if (finished || !*memkv_error_detail() ||
		    (err != MEMKV_NOT_A_POOL && err != MEMKV_DAMAGED))
			crash_fail("open: %s", memkv_code_name(err));
		tally[0]++;
		disk_free(disk);
		return;
	}
	bool old = old_uuid && memcmp(pool->sb.uuid, old_uuid, sizeof(pool->sb.uuid)) == 0;
	if (old && finished)
		crash_fail("the old pool is still there");
	for (uint32_t block = 0; block < OLD; block++)
		if (block_look(pool, block, 0) != (old ? 1 : 0))
			crash_fail("block %u in the %s pool", block, old ? "old" : "new");
	if (memkv_pool_check(pool, NULL, &report) || report.bad || report.records_bad != report.records_mended ||
	    report.blocks != (old ? OLD : 0))
		crash_fail("check of the %s pool: %u blocks, %u bad, %u records bad", old ? "old" : "new", (unsigned)report.blocks,
			   (unsigned)report.bad, (unsigned)report.records_bad);
	if (crash_put(pool, OLD + 1, 0, MEMKV_PUT_DURABLE) || block_look(pool, OLD + 1, 0) != 1)
		crash_fail("a put into the %s pool", old ? "old" : "new");
	memkv_pool_close(pool);
	tally[old ? 1 : 2]++;
	disk_free(disk);
}

static void record(const char *path, const struct memkv_create_options *options)
{
	event_count = 0;
	recording = true;
	int err = memkv_pool_create(path, options);
	recording = false;
	if (err)
		crash_fail("create: %s", memkv_code_name(err));
}

static void cut_all(const char *what, const uint8_t *before, uint64_t before_bytes, const uint8_t *old_uuid, uint64_t rounds,
		    uint64_t room)
{
	struct remains r = {.image = malloc(room), .room = room};
	uint64_t cuts = 0;

	memset(tally, 0, sizeof(tally));
	for (uint32_t moment = 0; moment <= event_count; moment++)
		for (uint64_t how = 0; how < rounds + 2; how++, cuts++) {
			snprintf(crash_context, sizeof(crash_context), "%s, cut before event %u of %u, how %llu", what, moment,
				 event_count, (unsigned long long)how);
			leave(&r, before, before_bytes, moment, how);
			judge(&r, old_uuid, moment == event_count);
		}
	printf("%s: %llu power cuts at %u writes: %llu left no pool, %llu the old one, %llu the new one\n", what,
	       (unsigned long long)cuts, event_count, (unsigned long long)tally[0], (unsigned long long)tally[1],
	       (unsigned long long)tally[2]);
	if (!tally[0] || !tally[2] || (old_uuid && !tally[1]))
		crash_fail("%s: not all of the outcomes were met", what);
	for (uint32_t i = 0; i < event_count; i++)
		free(events[i].bytes);
	free(r.image);
}

int main(int argc, char **argv)
{
	struct memkv_create_options first = {.size = sizeof(first), .blocks = 256, .block_size = BLOCK_BYTES, .slots = 6};
	struct memkv_create_options second = {
		.size = sizeof(second), .blocks = 300, .block_size = BLOCK_BYTES, .slots = 9, .flags = MEMKV_CREATE_FORCE};
	uint64_t rounds = argc > 2 && strcmp(argv[1], "--rounds") == 0 ? strtoull(argv[2], NULL, 0) : 4, bytes;
	char path[] = "/dev/shm/memkv-create-XXXXXX";
	struct memkv_pool *pool;
	uint8_t uuid[16];

	int fd = mkstemp(path);
	if (fd < 0) {
		printf("SKIPPED: /dev/shm cannot be written to\n");
		return 77;
	}
	record(path, &first);
	cut_all("a new file", (const uint8_t *)"", 0, NULL, rounds, 8 << 20);
	unlink(path);
	uint8_t *old = scratch_pool(&first, &bytes);
	struct disk *disk = disk_of_image(old, bytes, false);
	if (crash_open(disk, 0, &pool))
		crash_fail("open");
	for (uint32_t block = 0; block < OLD; block++)
		if (crash_put(pool, block, 0, 0))
			crash_fail("put");
	memcpy(uuid, pool->sb.uuid, sizeof(uuid));
	memkv_pool_close(pool);
	close(fd);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0 || pwrite(fd, disk->image, bytes, 0) != (ssize_t)bytes)
		crash_fail("the old pool cannot be written");
	close(fd);
	record(path, &second);
	cut_all("by force over a pool", disk->image, bytes, uuid, rounds, 8 << 20);
	unlink(path);
	disk_free(disk);
	free(old);
	return 0;
}
