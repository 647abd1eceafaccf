/* SPDX-License-Identifier: Apache-2.0 */
/* See bench_scratch.h. */
#include "cli/bench_scratch.h"

#include "cli/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)
#define POOL_BYTES (3072 * MIB)
#define RAW_BYTES (1024 * MIB)
#define GET_BYTES (1024 * MIB)

struct memkv_key bench_key(uint64_t number)
{
	struct memkv_key key = {{'b', 'e', 'n', 'c', 'h'}};

	memcpy(key.bytes + 8, &number, sizeof(number));
	return key;
}

static int map_one(int fd, size_t bytes, uint8_t **memory)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);

	if (at == MAP_FAILED)
		return -errno;
	*memory = at;
	return 0;
}

/* every block of raw's space is written once, so that writing it again allocates nothing */
static int write_raw(struct bench_scratch *s)
{
	size_t piece = 4 * MIB;
	void *bytes = aligned_alloc(4096, piece);
	int err = bytes ? 0 : -ENOMEM;

	if (!err)
		memset(bytes, 0x5A, piece);
	for (uint64_t at = 0; !err && at < s->raw_bytes; at += piece) {
		ssize_t put = pwrite(s->raw_fd, bytes, piece, (off_t)(s->raw_at + at));
		if (put != (ssize_t)piece)
			err = put < 0 ? -errno : -ENOSPC;
		else if (interrupt_seen())
			err = -EINTR;
	}
	free(bytes);
	return err;
}

static int open_directory(struct bench_scratch *s, const char *where)
{
	struct statfs fs;

	snprintf(s->directory, sizeof(s->directory), "%s/memkv-bench-XXXXXX", where);
	if (!mkdtemp(s->directory)) {
		s->directory[0] = 0;
		return -errno;
	}
	snprintf(s->pool, sizeof(s->pool), "%s/pool", s->directory);
	snprintf(s->raw, sizeof(s->raw), "%s/raw", s->directory);
	s->memory = statfs(where, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
	s->pool_bytes = POOL_BYTES;
	s->raw_bytes = RAW_BYTES;
	s->raw_fd = open(s->raw, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | (s->memory ? 0 : O_DIRECT), 0600);
	return s->raw_fd < 0 ? -errno : 0;
}

static int open_device(struct bench_scratch *s, const char *where)
{
	uint64_t bytes = 0;

	s->device = true;
	snprintf(s->pool, sizeof(s->pool), "%s", where);
	s->raw_fd = open(where, O_RDWR | O_CLOEXEC | O_DIRECT);
	if (s->raw_fd < 0 || ioctl(s->raw_fd, BLKGETSIZE64, &bytes))
		return -errno;
	if (bytes < 512 * MIB)
		return -ENOSPC;
	if (bytes > POOL_BYTES + RAW_BYTES)
		bytes = POOL_BYTES + RAW_BYTES;
	s->raw_bytes = bytes / 4 / (64 * MIB) * (64 * MIB);
	s->pool_bytes = s->raw_at = (bytes - s->raw_bytes) / MIB * MIB;
	struct memkv_create_options options = {.size = sizeof(options), .bytes = s->pool_bytes, .max_block = BENCH_LARGEST};
	int err = memkv_pool_create(s->pool, &options); /* first: it refuses a device that holds something */
	s->made = err == 0;
	return err;
}

int bench_scratch_open(struct bench_scratch *s, const char *where, uint32_t create_flags)
{
	struct stat st;

	*s = (struct bench_scratch){.pool_fd = -1, .raw_fd = -1, .create_flags = create_flags};
	int err = stat(where, &st) ? -errno : S_ISBLK(st.st_mode) ? open_device(s, where) : open_directory(s, where);
	if (!err)
		err = write_raw(s);
	return err || !s->memory ? err : map_one(s->raw_fd, s->raw_bytes, &s->raw_memory);
}

static void close_pool(struct bench_scratch *s)
{
	memkv_pool_close(s->handle);
	s->handle = NULL;
	if (s->pool_memory)
		munmap(s->pool_memory, s->pool_bytes);
	s->pool_memory = NULL;
	if (s->pool_fd >= 0)
		close(s->pool_fd);
	s->pool_fd = -1;
	if (!s->device)
		unlink(s->pool);
}

void bench_scratch_close(struct bench_scratch *s)
{
	close_pool(s);
	if (s->raw_memory)
		munmap(s->raw_memory, s->raw_bytes);
	if (s->raw_fd >= 0)
		close(s->raw_fd);
	if (s->made)
		(void)memkv_pool_destroy(s->pool, 0);
	if (!s->device && s->raw[0])
		unlink(s->raw);
	if (s->directory[0])
		rmdir(s->directory);
	free(s->extents);
}

int bench_scratch_renew(struct bench_scratch *s, uint64_t max_block)
{
	struct memkv_create_options o = {
		.size = sizeof(o), .bytes = s->pool_bytes, .max_block = max_block,
		.flags = s->create_flags | (s->device ? MEMKV_CREATE_FORCE : 0)};

	close_pool(s);
	int err = memkv_pool_create(s->pool, &o);
	if (!err)
		err = memkv_pool_open(s->pool, NULL, &s->handle);
	if (!err)
		s->pool_fd = open(s->pool, O_RDWR | O_CLOEXEC | (s->memory ? 0 : O_DIRECT));
	if (!err && s->pool_fd < 0)
		err = -errno;
	return err || !s->memory ? err : map_one(s->pool_fd, s->pool_bytes, &s->pool_memory);
}

int bench_scratch_fill(struct bench_scratch *s, uint64_t *next_key)
{
	size_t piece = 2 * MIB;
	void *bytes = aligned_alloc(4096, piece);
	int err = bytes ? 0 : -ENOMEM;

	if (!err)
		memset(bytes, 0xA5, piece);
	for (uint64_t done = 0; !err && done < s->pool_bytes + s->pool_bytes / 8; done += piece) {
		struct memkv_key key = bench_key((*next_key)++);
		err = memkv_put(s->handle, &key, bytes, piece, NULL);
		if (interrupt_seen())
			err = -EINTR;
	}
	free(bytes);
	return err;
}

int bench_scratch_store(struct bench_scratch *s, size_t size, uint64_t *next_key)
{
	uint64_t most = s->pool_bytes / 3 < GET_BYTES ? s->pool_bytes / 3 : GET_BYTES;
	size_t count = (size_t)(most / size);
	uint8_t *bytes = aligned_alloc(4096, size);
	struct memkv_block_info *info = malloc(sizeof(*info));
	int err = bytes && info ? 0 : -ENOMEM;

	free(s->extents);
	s->extents = calloc(count, sizeof(*s->extents));
	if (!s->extents)
		err = -ENOMEM;
	for (size_t i = 0; !err && i < count; i++) {
		struct bench_extent *e = &s->extents[i];
		e->key = bench_key((*next_key)++);
		memset(bytes, (int)i, size);
		err = memkv_put(s->handle, &e->key, bytes, size, NULL);
		if (!err)
			err = memkv_stat(s->handle, &e->key, info);
		if (!err)
			e->offset = (info->page + 1) * 4096; /* behind a header of one page */
		if (interrupt_seen())
			err = -EINTR;
	}
	free(bytes);
	free(info);
	s->extent_count = count;
	return err;
}
