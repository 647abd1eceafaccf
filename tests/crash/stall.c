/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A medium that hangs: commands neither end nor fail before they are let go.  Calls with a deadline return all the same,
 * and nothing is written to, or read from, their caller's memory afterwards.
 *
 *   gets      each I/O of a get hangs: TIMEDOUT, counted; the buffer keeps its canary, also when the I/O has ended at last;
 *             then the same deputy brings the exact bytes
 *   race      the I/O ends around the deadline: exact bytes, or TIMEDOUT and the canary
 *   all       every deputy waits: a further get is answered at once, one of an absent key is a plain miss; all come back
 *   puts      each I/O of a put hangs, and the caller's bytes change at once: TIMEDOUT means that it never happens, UNKNOWN that
 *             the block is exact or a miss; the pool is without fault afterwards and takes the block
 *   calls     each I/O of a removal, pin, unpin, eviction, stat, look, get of pieces, refresh, list, check and the like hangs:
 *             TIMEDOUT, or UNKNOWN of what changes something; nothing is written to the caller's memory, then or later.  Asked once more it is done, or was done already
 *   follower  the follower's own read hangs, in its thread: gets of what is indexed go on
 *   fork      a child of a process with a deputy that waits
 *   close     returns within its bound, and what was left gives back what it had when the I/O ends
 *   opens     likewise; four wait, the fifth is refused at once
 */
#include "stall.h"

#include <memkv/timed.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BLOCKS = 24, PATIENCE_US = 20000000, RACES = 150 };

_Alignas(4096) uint8_t buffer[2 * BLOCK_BYTES], right[2 * BLOCK_BYTES];
struct disk *disk;
struct memkv_pool *pool;
static uint64_t attempts; /* to open the pool, which wait for the disk */

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void patiently(bool (*over)(void), const char *what)
{
	for (uint64_t until = now_us() + PATIENCE_US; !over();) {
		if (now_us() > until)
			crash_fail("%s: not after %d s", what, PATIENCE_US / 1000000);
		usleep(100);
	}
}

static bool none_late(void) { return !deputies_late(&pool->deputies); }
static bool no_handles(void) { return !atomic_load(&disk->handles); }
static bool one_more_waits(void) { return atomic_load(&disk->waiting) > attempts; }
static bool no_locks(void)
{
	bool none = true;

	pthread_mutex_lock(&disk->guard);
	for (size_t i = 0; i < ARRAY_COUNT(disk->locks); i++)
		none &= !disk->locks[i].holder;
	pthread_mutex_unlock(&disk->guard);
	return none;
}

void hang(uint64_t from, uint64_t to, unsigned kinds)
{
	struct disk_fault fault = {.kinds = kinds, .from = from, .to = to, .late = true};

	disk_strike(disk, &fault);
}

void let_go(void)
{
	disk_let_go(disk);
	patiently(none_late, "deputies that were let go");
	disk_strike(disk, NULL);
}

int64_t get(uint32_t block, uint64_t deadline_us)
{
	struct memkv_get_options o = {.size = sizeof(o), .flags = MEMKV_GET_UPTO, .deadline_us = deadline_us};
	struct memkv_key key;

	block_name(block, &key);
	memset(buffer, CANARY, sizeof(buffer));
	return memkv_get(pool, &key, buffer, sizeof(buffer), &o);
}

void expect_canary(const char *when)
{
	for (size_t i = 0; i < sizeof(buffer); i++)
		if (buffer[i] != CANARY)
			crash_fail("%s: byte %zu of the caller's buffer was written to", when, i);
}

void expect_right(int64_t got, uint32_t block, const char *when)
{
	size_t length = block_bytes(block, 0, right);

	if (got != (int64_t)length || memcmp(buffer, right, length))
		crash_fail("%s: block %u: %lld", when, block, (long long)got);
}

static void expect_timedout(int64_t got, uint64_t counted_before, const char *when)
{
	struct memkv_counters c;

	if (got != MEMKV_TIMEDOUT)
		crash_fail("%s: %lld instead of TIMEDOUT", when, (long long)got);
	memkv_pool_counters(pool, &c);
	if (c.miss_timedout != counted_before + 1)
		crash_fail("%s: not counted", when);
	expect_canary(when);
}

static uint64_t timedout(void)
{
	struct memkv_counters c;

	memkv_pool_counters(pool, &c);
	return c.miss_timedout;
}

static uint64_t hung_gets(void)
{
	uint64_t n = 0, soon = SOON_US;

	for (; n < ROUNDS_MAX; n++) {
		snprintf(crash_context, sizeof(crash_context), "get, I/O %llu hangs", (unsigned long long)n);
		uint64_t before = timedout();
		hang(n, UINT64_MAX, HANGS);
		int64_t got = get(3, soon);
		if (!atomic_load(&disk->struck) && got == MEMKV_TIMEDOUT && soon < LONG_US) {
			let_go(); /* the machine was slow, not the disk */
			soon *= 4;
			n--;
			continue;
		}
		if (!atomic_load(&disk->struck)) {
			expect_right(got, 3, "a get that met nothing");
			break;
		}
		expect_timedout(got, before, "while the I/O hangs");
		let_go();
		expect_canary("the I/O has ended");
		expect_right(get(3, LONG_US), 3, "afterwards");
	}
	let_go();
	return n;
}

static void *let_go_later(void *context)
{
	usleep(*(unsigned *)context);
	disk_let_go(disk);
	return NULL;
}

static void race(void)
{
	enum { DEADLINE_US = 2000 };
	uint64_t chance = 5, late = 0;

	snprintf(crash_context, sizeof(crash_context), "race");
	for (unsigned i = 0; i < RACES; i++) {
		unsigned pause = (unsigned)chance_below(&chance, 2 * DEADLINE_US);
		uint32_t block = (uint32_t)chance_below(&chance, BLOCKS);
		pthread_t thread;
		hang(chance_below(&chance, 2), UINT64_MAX, 1u << DISK_READ);
		if (pthread_create(&thread, NULL, let_go_later, &pause))
			crash_fail("no thread");
		int64_t got = get(block, DEADLINE_US);
		if (got == MEMKV_TIMEDOUT)
			expect_canary("when it returned");
		else
			expect_right(got, block, "it was in time");
		late += got == MEMKV_TIMEDOUT;
		pthread_join(thread, NULL);
		let_go();
		if (got == MEMKV_TIMEDOUT)
			expect_canary("later");
	}
	printf("race: %u gets whose I/O ended around the deadline, %llu of them too late\n", RACES, (unsigned long long)late);
}

static void all_wait(void)
{
	snprintf(crash_context, sizeof(crash_context), "all deputies wait");
	hang(0, UINT64_MAX, HANGS);
	for (unsigned i = 0; i < DEPUTIES_DEFAULT; i++)
		expect_timedout(get(i, SOON_US), timedout(), "one of those that hang");
	uint64_t began = now_us();
	expect_timedout(get(9, LONG_US), timedout(), "one more");
	if (get(BLOCKS + 7, LONG_US) != MEMKV_MISS)
		crash_fail("an absent key is no plain miss");
	struct memkv_key key;
	struct memkv_put_options o = {.size = sizeof(o), .deadline_us = LONG_US};
	block_name(BLOCKS + 7, &key);
	if (memkv_put(pool, &key, right, 100, &o) != MEMKV_TIMEDOUT)
		crash_fail("a put while all hang");
	block_name(3, &key);
	if (memkv_remove_by(pool, &key, 0, LONG_US) != MEMKV_TIMEDOUT)
		crash_fail("a removal while all hang");
	if (now_us() - began > LONG_US / 2)
		crash_fail("they were waited for");
	let_go();
	for (unsigned i = 0; i < BLOCKS; i++)
		expect_right(get(i, LONG_US), i, "all are back");
}

static int put(uint32_t block, uint64_t deadline_us, uint32_t flags)
{
	struct memkv_put_options o = {.size = sizeof(o), .deadline_us = deadline_us, .flags = flags, .session = "s", .meta = "meta",
				      .meta_length = 4};
	struct memkv_key key;
	size_t length = block_bytes(block, 0, right);

	block_name(block, &key);
	int result = memkv_put(pool, &key, right, length, &o);
	memset(right, CANARY, sizeof(right)); /* it is ours again */
	return result;
}

static uint64_t hung_puts(uint32_t flags, uint32_t *next, uint64_t outcomes[2])
{
	uint64_t n = 0, soon = SOON_US;

	for (; n < ROUNDS_MAX; n++) {
		uint32_t block = (*next)++;
		snprintf(crash_context, sizeof(crash_context), "put with flags %u, I/O %llu hangs", flags, (unsigned long long)n);
		hang(n, UINT64_MAX, HANGS);
		int result = put(block, soon, flags);
		if (!atomic_load(&disk->struck) && result && soon < LONG_US) {
			let_go();
			soon *= 4;
			n--;
			continue;
		}
		if (!atomic_load(&disk->struck)) {
			if (result)
				crash_fail("a put that met nothing: %d", result);
			break;
		}
		if (result != MEMKV_TIMEDOUT && result != MEMKV_UNKNOWN)
			crash_fail("%d", result);
		outcomes[result == MEMKV_UNKNOWN]++;
		let_go();
		int64_t got = get(block, LONG_US);
		if (got != MEMKV_MISS)
			expect_right(got, block, "it came to be there");
		if (result == MEMKV_TIMEDOUT && got != MEMKV_MISS)
			crash_fail("it was called off, and is there");
		int again = put(block, LONG_US, flags);
		if (again != (got == MEMKV_MISS ? 0 : MEMKV_EXISTS))
			crash_fail("once more: %d", again);
		expect_right(get(block, LONG_US), block, "put once more");
	}
	let_go();
	return n;
}

static void expect_sound(const char *when)
{
	struct memkv_check_report report;

	if (memkv_pool_check(pool, NULL, &report) || report.bad || report.records_bad)
		crash_fail("%s: a check finds %llu bad blocks and %llu records", when, (unsigned long long)report.bad,
			   (unsigned long long)report.records_bad);
}

static void child_of_a_late_one(void)
{
	snprintf(crash_context, sizeof(crash_context), "fork");
	hang(0, UINT64_MAX, 1u << DISK_READ);
	expect_timedout(get(1, SOON_US), timedout(), "before the fork");
	pid_t child = fork();
	if (child == 0) {
		int64_t got = get(2, SOON_US);
		memkv_pool_close(pool);
		_exit(got == MEMKV_EFORK ? 0 : 1);
	}
	int status = -1;
	if (child < 0 || waitpid(child, &status, 0) != child || status)
		crash_fail("the child: %d", status);
	let_go();
	expect_right(get(2, LONG_US), 2, "the parent, afterwards");
}

static void open_pool(uint32_t flags, uint64_t deadline_us)
{
	struct memkv_pool_options o = {.size = sizeof(o), .flags = flags, .lanes = 4, .deadline_us = deadline_us, .poll_us = 1000};
	int err = memkv_pool_open(disk->path, &o, &pool);

	if (err)
		crash_fail("open: %s", memkv_error_detail());
}

/* a reader of a device, whose follower's thread hangs */
static void follower_hangs(void)
{
	snprintf(crash_context, sizeof(crash_context), "the follower hangs");
	open_pool(MEMKV_OPEN_READ_ONLY, 0);
	hang(0, UINT64_MAX, 1u << DISK_REFRESH);
	while (!atomic_load(&disk->waiting))
		usleep(100);
	for (unsigned i = 0; i < BLOCKS; i++)
		expect_right(get(i, LONG_US), i, "meanwhile");
	let_go();
	memkv_pool_close(pool);
}

static void close_while_it_hangs(void)
{
	snprintf(crash_context, sizeof(crash_context), "close");
	open_pool(0, 0);
	hang(0, UINT64_MAX, HANGS);
	expect_timedout(get(1, SOON_US), timedout(), "before the close");
	uint64_t began = now_us();
	memkv_pool_close(pool);
	if (now_us() - began > PATIENCE_US)
		crash_fail("it took %llu ms", (unsigned long long)(now_us() - began) / 1000);
	if (no_locks())
		crash_fail("its locks are free though its I/O is on the way");
	disk_let_go(disk);
	patiently(no_handles, "what close left behind");
	disk_strike(disk, NULL);
	expect_canary("long after the close");
	open_pool(0, 0);
	for (unsigned i = 0; i < BLOCKS; i++)
		expect_right(get(i, LONG_US), i, "opened anew");
}

static void opens(void)
{
	struct memkv_pool_options o = {.size = sizeof(o), .flags = MEMKV_OPEN_NO_FOLLOWER, .deadline_us = SOON_US};
	struct memkv_pool *none = NULL;

	snprintf(crash_context, sizeof(crash_context), "open");
	hang(0, UINT64_MAX, HANGS);
	for (attempts = 0; attempts < 4; attempts++) {
		if (memkv_pool_open(disk->path, &o, &none) != MEMKV_TIMEDOUT || none)
			crash_fail("attempt %llu: %s", (unsigned long long)attempts, memkv_error_detail());
		patiently(one_more_waits, "an attempt that was left"); /* on a slow machine it was left before it came to the disk */
	}
	o.deadline_us = LONG_US;
	uint64_t began = now_us();
	if (memkv_pool_open(disk->path, &o, &none) != MEMKV_TIMEDOUT || now_us() - began > LONG_US / 2)
		crash_fail("the fifth attempt: %s", memkv_error_detail());
	pid_t child = fork(); /* nobody's fork waits for an open */
	if (child == 0)
		_exit(0);
	int status = -1;
	if (child < 0 || waitpid(child, &status, 0) != child || status)
		crash_fail("the child: %d", status);
	disk_let_go(disk);
	uint64_t until = now_us() + PATIENCE_US;
	while (memkv_pool_open(disk->path, &o, &pool)) /* one after the other ends */
		if (now_us() > until || usleep(1000))
			crash_fail("it stays shut: %s", memkv_error_detail());
	disk_strike(disk, NULL);
	expect_right(get(5, LONG_US), 5, "open at last");
	memkv_pool_close(pool);
	patiently(no_handles, "what came too late was closed");
}

static void run(const uint8_t *image, uint64_t bytes, bool device)
{
	uint64_t outcomes[2] = {0, 0};
	uint32_t next = BLOCKS + 8;

	disk = disk_of_image(image, bytes, device);
	open_pool(MEMKV_OPEN_NO_FOLLOWER, LONG_US);
	for (uint32_t block = 0; block < BLOCKS; block++)
		if (put(block, block % 2 ? LONG_US : 0, 0))
			crash_fail("put: %s", memkv_error_detail());
	uint64_t in_get = hung_gets();
	race();
	all_wait();
	uint64_t in_put = hung_puts(0, &next, outcomes), in_durable = hung_puts(MEMKV_PUT_DURABLE, &next, outcomes);
	stall_calls(device);
	child_of_a_late_one();
	expect_sound("after all of this");
	memkv_pool_close(pool);
	printf("%s: each of %llu I/Os of a get, %llu of a put, %llu of a durable put hung: %llu puts called off, %llu unknown\n",
	       device ? "device" : "file", (unsigned long long)in_get, (unsigned long long)in_put, (unsigned long long)in_durable,
	       (unsigned long long)outcomes[0], (unsigned long long)outcomes[1]);
	if (!in_get || !in_put || in_durable <= in_put || !outcomes[1])
		crash_fail("less hung than there was");
	if (device) {
		follower_hangs();
		close_while_it_hangs();
		memkv_pool_close(pool);
		opens();
	}
	disk_free(disk);
}

int main(void)
{
	struct memkv_create_options options = {.size = sizeof(options), .blocks = 256, .block_size = BLOCK_BYTES, .slots = 6};
	uint64_t bytes;
	uint8_t *image = scratch_pool(&options, &bytes);

	run(image, bytes, false);
	run(image, bytes, true);
	free(image);
	return 0;
}
