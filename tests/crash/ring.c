/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queues whose kernel misbehaves: io_uring and preadv/pwritev, with the system calls below them in the test's hands.
 *
 *   short    each command moves a part only, again and again: the queue goes on until all is moved
 *   broken   the ring's descriptor is closed behind it while commands are on the way, or its system call is refused before
 *            they are handed over: each command comes back, in time, and after it has nothing is written to its memory;
 *            what is submitted later is refused; the pool above says so, and does not hang
 *   end      a file that ends within the command
 */
#include "ledger.h"

#include "core/media/media.h"
#include "core/format/layout.h"
#include "core/pool/handle.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FILE_BYTES = 16 << 20, COMMANDS = 32, COMMAND_BYTES = 256 << 10, UNIT = 4096 };

/* ---- between the library and the kernel ---- */

static bool cut_short, refuse_enter;
static uint64_t shortened, refused_calls;
static uint64_t chance = 1;

ssize_t __real_preadv(int fd, const struct iovec *pieces, int count, off_t offset);
ssize_t __wrap_preadv(int fd, const struct iovec *pieces, int count, off_t offset);
ssize_t __real_pwritev(int fd, const struct iovec *pieces, int count, off_t offset);
ssize_t __wrap_pwritev(int fd, const struct iovec *pieces, int count, off_t offset);
int __real_io_uring_submit_and_wait(struct io_uring *ring, unsigned wait);
int __wrap_io_uring_submit_and_wait(struct io_uring *ring, unsigned wait);

/* the first piece, and of it a part */
static struct iovec shorter(const struct iovec *pieces)
{
	struct iovec piece = pieces[0];

	if (piece.iov_len > UNIT) {
		piece.iov_len = UNIT * (1 + chance_below(&chance, piece.iov_len / UNIT));
		shortened++;
	}
	return piece;
}

ssize_t __wrap_preadv(int fd, const struct iovec *pieces, int count, off_t offset)
{
	struct iovec piece = shorter(pieces);

	return cut_short ? __real_preadv(fd, &piece, 1, offset) : __real_preadv(fd, pieces, count, offset);
}

ssize_t __wrap_pwritev(int fd, const struct iovec *pieces, int count, off_t offset)
{
	struct iovec piece = shorter(pieces);

	return cut_short ? __real_pwritev(fd, &piece, 1, offset) : __real_pwritev(fd, pieces, count, offset);
}

int __wrap_io_uring_submit_and_wait(struct io_uring *ring, unsigned wait)
{
	static struct iovec pieces[COMMANDS * 4]; /* the kernel copies them when it takes the command */
	unsigned n = 0;

	if (refuse_enter) {
		refused_calls++;
		return -EBADF;
	}
	for (unsigned at = ring->sq.sqe_head; cut_short && at != ring->sq.sqe_tail && n < COMMANDS * 4; at++) {
		struct io_uring_sqe *sqe = &ring->sq.sqes[at & ring->sq.ring_mask];
		pieces[n] = shorter((const struct iovec *)(uintptr_t)sqe->addr);
		sqe->addr = (uintptr_t)&pieces[n++];
		sqe->len = 1;
	}
	return __real_io_uring_submit_and_wait(ring, wait);
}

/* ---- queues ---- */

static const char *path;
static uint8_t *expected;

static void make_file(void)
{
	static char name[] = "./memkv-ring-XXXXXX";
	int fd = mkstemp(name);
	uint64_t state = 7;

	path = name;
	expected = aligned_alloc(UNIT, FILE_BYTES);
	for (size_t i = 0; i < FILE_BYTES / 8; i++)
		((uint64_t *)(void *)expected)[i] = chance_next(&state);
	if (fd < 0 || pwrite(fd, expected, FILE_BYTES, 0) != FILE_BYTES || fsync(fd))
		crash_fail("no file to read");
	close(fd);
}

struct bench {
	int fd;
	struct media media;
	struct media_queue *queue;
	struct media_io ios[COMMANDS];
	uint8_t *memory;
};

static void bench_open(struct bench *b, bool ring)
{
	b->fd = open(path, O_RDWR | O_DIRECT);
	if (b->fd < 0)
		b->fd = open(path, O_RDWR);
	b->media = (struct media){.path = (char *)(uintptr_t)path};
	int err = ring ? queue_uring_open(&b->media, b->fd, NULL, COMMANDS, &b->queue) : queue_sync_open(&b->media, b->fd, COMMANDS, &b->queue);
	if (err == -EPERM || err == -ENOSYS) {
		printf("SKIPPED: io_uring is refused here\n");
		exit(77);
	}
	b->memory = aligned_alloc(UNIT, (size_t)COMMANDS * COMMAND_BYTES);
	if (err || !b->memory)
		crash_fail("no queue: %d", err);
	memset(b->memory, 0xEE, (size_t)COMMANDS * COMMAND_BYTES);
}

static void bench_close(struct bench *b)
{
	b->queue->ops->close(b->queue);
	close(b->fd);
	free(b->memory);
}

static int submit(struct bench *b, unsigned n, enum media_direction direction)
{
	uint8_t *at = b->memory + (size_t)n * COMMAND_BYTES;

	b->ios[n] = (struct media_io){.direction = direction, .offset = (uint64_t)n * COMMAND_BYTES,
				      .pieces = {{at, UNIT}, {at + UNIT, COMMAND_BYTES - UNIT}}, .piece_count = 2, .result = 1};
	return b->queue->ops->submit(b->queue, &b->ios[n]);
}

static unsigned reap_all(struct bench *b)
{
	unsigned good = 0;

	for (unsigned i = b->queue->used; i > 0; i--) {
		struct media_io *io = b->queue->ops->reap(b->queue, 1);
		if (!io)
			crash_fail("a command did not come back");
		good += io->result == 0;
	}
	return good;
}

static void all_right(const struct bench *b)
{
	for (unsigned n = 0; n < COMMANDS; n++)
		if (b->ios[n].result == 0 &&
		    memcmp(b->memory + (size_t)n * COMMAND_BYTES, expected + (size_t)n * COMMAND_BYTES, COMMAND_BYTES) != 0)
			crash_fail("command %u: wrong bytes", n);
}

static void test_short(bool ring)
{
	struct bench b = {0};

	bench_open(&b, ring);
	cut_short = true;
	for (unsigned n = 0; n < COMMANDS; n++)
		if (submit(&b, n, MEDIA_READ))
			crash_fail("submit");
	if (reap_all(&b) != COMMANDS)
		crash_fail("a short read was not continued");
	all_right(&b);
	for (unsigned n = 0; n < COMMANDS; n++)
		(void)submit(&b, n, MEDIA_WRITE);
	if (reap_all(&b) != COMMANDS)
		crash_fail("a short write was not continued");
	cut_short = false;
	memset(b.memory, 0, (size_t)COMMANDS * COMMAND_BYTES);
	for (unsigned n = 0; n < COMMANDS; n++)
		(void)submit(&b, n, MEDIA_READ);
	reap_all(&b);
	all_right(&b);
	bench_close(&b);
	printf("%s: %llu commands were cut short, all were continued\n", ring ? "io_uring" : "preadv", (unsigned long long)shortened);
	shortened = 0;
}

/* as somebody does who closes every descriptor that he does not know */
static void close_rings(void)
{
	char name[64], to[64];

	for (int fd = 3; fd < 256; fd++) {
		snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		ssize_t length = readlink(name, to, sizeof(to) - 1);
		to[length > 0 ? length : 0] = 0;
		if (strstr(to, "io_uring"))
			close(fd);
	}
}

/* the descriptor is taken away while commands are on the way; or before any was handed over */
static void test_broken(unsigned handed_over, unsigned round, bool closed)
{
	struct bench b = {0};
	unsigned good;

	bench_open(&b, true);
	for (unsigned n = 0; n < COMMANDS; n++) {
		if (n == handed_over)
			b.queue->ops->kick(b.queue);
		if (submit(&b, n, MEDIA_READ))
			crash_fail("submit");
	}
	if (handed_over == COMMANDS)
		b.queue->ops->kick(b.queue);
	if (closed)
		close_rings();
	refuse_enter = !closed;
	good = reap_all(&b);
	all_right(&b);
	uint8_t *kept = malloc((size_t)COMMANDS * COMMAND_BYTES);
	memcpy(kept, b.memory, (size_t)COMMANDS * COMMAND_BYTES);
	usleep(20000);
	if (memcmp(kept, b.memory, (size_t)COMMANDS * COMMAND_BYTES) != 0)
		crash_fail("memory was written to after its command had come back");
	free(kept);
	/* when all were done before anybody noticed, the next one finds out */
	int err = submit(&b, 0, MEDIA_READ);
	if (err != -EIO && good < COMMANDS)
		crash_fail("a broken queue takes commands");
	if (!err && (!b.queue->ops->reap(b.queue, 1) || b.ios[0].result != -EIO || submit(&b, 0, MEDIA_READ) != -EIO))
		crash_fail("a queue that broke unnoticed takes commands");
	if (good > handed_over)
		crash_fail("%u commands of %u that were handed over", good, handed_over);
	bench_close(&b);
	refuse_enter = false;
	if (round == 0)
		printf("ring %s with %u commands handed over: %u of them done, all came back\n", closed ? "closed" : "broken",
		       handed_over, good);
}

/* a pool whose rings all break under it */
static void test_pool(void)
{
	static uint8_t data[BLOCK_BYTES];
	char name[] = "./memkv-ring-pool-XXXXXX";
	struct memkv_create_options make = {.size = sizeof(make), .blocks = 256, .block_size = BLOCK_BYTES};
	struct memkv_pool_options options = {.size = sizeof(options), .flags = MEMKV_OPEN_NO_FOLLOWER, .lanes = 2};
	struct memkv_pool *pool;
	struct memkv_key key;
	struct memkv_counters c;

	int fd = mkstemp(name);
	close(fd);
	if (memkv_pool_create(name, &make) || memkv_pool_open(name, &options, &pool))
		crash_fail("no pool");
	block_name(1, &key);
	size_t length = block_bytes(1, 0, data);
	if (memkv_put(pool, &key, data, length, NULL))
		crash_fail("put");
	refuse_enter = true;
	for (int i = 0; i < 5; i++)
		if (block_look(pool, 1, 0) != 0)
			crash_fail("a get through a broken ring");
	block_name(2, &key);
	int err = memkv_put(pool, &key, data, length, NULL);
	refuse_enter = false;
	if (err != -EIO)
		crash_fail("a put through a broken ring: %d", err);
	memkv_pool_counters(pool, &c);
	if (c.miss_io != 5 || c.puts_failed != 1)
		crash_fail("a broken ring is not counted");
	memkv_pool_close(pool);
	if (memkv_pool_open(name, &options, &pool) || block_look(pool, 1, 0) != 1 || block_look(pool, 2, 0) != 0)
		crash_fail("after a broken ring");
	memkv_pool_close(pool);
	unlink(name);
	printf("a pool on broken rings: 5 misses, 1 put refused (%s), all there afterwards\n", memkv_code_name(err));
}

static void test_end(bool ring)
{
	struct bench b = {0};

	bench_open(&b, ring);
	if (ftruncate(b.fd, FILE_BYTES / 4 + UNIT))
		crash_fail("truncate");
	for (unsigned n = 0; n < COMMANDS; n++)
		(void)submit(&b, n, MEDIA_READ);
	unsigned good = reap_all(&b);
	all_right(&b);
	if (good != FILE_BYTES / 4 / COMMAND_BYTES)
		crash_fail("%u commands of a file that was cut", good);
	if (pwrite(b.fd, expected, FILE_BYTES, 0) != FILE_BYTES)
		crash_fail("the file cannot be restored");
	bench_close(&b);
}

int main(void)
{
	make_file();
	for (int ring = 0; ring < 2; ring++) {
		test_short(ring);
		test_end(ring);
	}
	for (unsigned round = 0; round < 5; round++)
		for (unsigned n = 0; n <= COMMANDS; n += COMMANDS / 4)
			for (int closed = 0; closed < 2; closed++)
				test_broken(n, round, closed);
	test_pool();
	unlink(path);
	free(expected);
	return 0;
}
