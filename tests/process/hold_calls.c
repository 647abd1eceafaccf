/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the calls about holds answer.
 *
 *   refused - read-only handles, files that are written past the page cache (with the mend), nothing to hold, no block
 *   limits  - blocks in 20 segments a handle, more of them in those; half of the pool's segments for all
 *   lapsed  - removed, replaced, evicted on request: the hold says so, and its bytes are not another block's
 *   forked  - a child can neither use nor end its parent's holds; one that outlives its parent keeps none of them
 *   cut     - a file that is cut short under a hold: no fault, and the hold is not valid
 */
#include "helpers.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BLOCK = 20000, BLOCKS = 700, HANDLES = 5 };

static const char *path;
static uint8_t *buffer;

static void put_version(struct memkv_pool *pool, uint64_t number, uint32_t version, uint32_t flags)
{
	struct memkv_put_options options = {.size = sizeof(options), .flags = flags};
	struct memkv_key key = key_of(number);

	payload_fill(buffer, BLOCK, number, version);
	int err = memkv_put(pool, &key, buffer, BLOCK, &options);
	EXPECT(err == 0 || err == MEMKV_EXISTS, "put: %s", memkv_error_detail());
}

static int hold_number(struct memkv_pool *pool, uint64_t number, struct memkv_hold *hold)
{
	struct memkv_key key = key_of(number);

	return memkv_hold(pool, &key, hold);
}

static void expect_version(const struct memkv_hold *hold, uint64_t number, uint32_t version)
{
	EXPECT(hold->length == BLOCK && payload_right(hold->data, BLOCK, number, version), "block %llu", (unsigned long long)number);
}

static struct memkv_pool *make(const char *name)
{
	path = scratch_fast_path(name);
	pool_make_bytes(path, MIB(32), KIB(64));
	return pool_attach(path, 0);
}

static void test_refused(void)
{
	struct memkv_pool *pool = make("hold-refused"), *reader = pool_attach(path, MEMKV_OPEN_READ_ONLY);
	struct memkv_hold hold, none = {0};
	struct memkv_locator token;
	struct memkv_key key = key_of(1);

	put_version(pool, 1, 0, 0);
	EXPECT(hold_number(reader, 1, &hold) == MEMKV_READ_ONLY && !hold.data, "read-only");
	EXPECT(hold_number(pool, 2, &hold) == MEMKV_MISS && !hold.data, "no such block");
	EXPECT(counters_of(pool).miss_absent == 1, "the miss is not counted");
	EXPECT(memkv_hold(pool, NULL, &hold) == -EINVAL && memkv_hold(pool, &key, NULL) == -EINVAL, "nothing to hold");
	EXPECT(memkv_hold_valid(pool, &none) == -EINVAL && memkv_release(pool, &none) == -EINVAL, "nothing is held");
	EXPECT(hold_number(pool, 1, &hold) == 0 && hold.data, "hold: %s", memkv_error_detail());
	expect_version(&hold, 1, 0);
	struct memkv_hold copy = hold;
	EXPECT(memkv_hold_valid(pool, &hold) == 1 && memkv_release(pool, &hold) == 0 && !hold.data, "release");
	EXPECT(memkv_release(pool, &copy) == -EINVAL, "released twice");
	/* by locator, which needs no index */
	EXPECT(memkv_locator_of(pool, &key, &token) == 0 && memkv_hold_at(pool, &token, &hold) == 0, "by locator");
	expect_version(&hold, 1, 0);
	EXPECT(memkv_release(pool, &hold) == 0, "release");
	token.bytes[20] ^= 1;
	EXPECT(memkv_hold_at(pool, &token, &hold) == MEMKV_LOCATOR && !hold.data, "a damaged locator");
	memkv_pool_close(reader);
	memkv_pool_close(pool);
	const char *on_disk = scratch_path("hold-direct");
	pool_make_bytes(on_disk, MIB(24), KIB(64));
	pool = pool_attach(on_disk, 0);
	struct memkv_pool_info info = describe_of(pool);
	put_version(pool, 1, 0, 0);
	if (info.direct_io && strcmp(info.medium, "file") == 0) {
		EXPECT(hold_number(pool, 1, &hold) == -EOPNOTSUPP && !hold.data, "a file past the page cache");
		EXPECT(strstr(memkv_error_detail(), "buffered") && strstr(memkv_error_detail(), "tmpfs"), "no mend: %s",
		       memkv_error_detail());
	} else {
		printf("not looked at: %s is not written past the page cache\n", on_disk);
	}
	memkv_pool_close(pool);
	pool = pool_attach(on_disk, MEMKV_OPEN_BUFFERED);
	EXPECT(hold_number(pool, 1, &hold) == 0, "through the page cache: %s", memkv_error_detail());
	expect_version(&hold, 1, 0);
	memkv_pool_close(pool); /* a hold ends with its handle */
}

/* all that can be held through this handle; returns segments */
static unsigned hold_all(struct memkv_pool *pool, uint64_t first, struct memkv_hold *holds, unsigned *count)
{
	unsigned segments = 0;

	*count = 0;
	for (uint64_t n = first; n < first + BLOCKS; n++) {
		bool seen = false;
		int result = hold_number(pool, n, &holds[*count]);
		EXPECT(result == 0 || result == -EAGAIN, "hold of %llu: %s", (unsigned long long)n, memkv_code_name(result));
		for (unsigned i = 0; result == 0 && i < *count; i++)
			seen |= holds[i].segment == holds[*count].segment;
		segments += result == 0 && !seen;
		*count += result == 0;
	}
	return segments;
}

static void test_limits(void)
{
	struct memkv_pool *pool = make("hold-limits"), *second = pool_attach(path, 0);
	static struct memkv_hold holds[BLOCKS], others[BLOCKS];
	unsigned count, more, most = (unsigned)describe_of(pool).segments / 2;

	for (uint64_t n = 0; n < BLOCKS; n++)
		put_version(pool, n, 0, 0);
	unsigned segments = hold_all(pool, 0, holds, &count);
	EXPECT(segments == MEMKV_HOLD_SEGMENTS && count > 2 * segments, "%u segments, %u blocks", segments, count);
	EXPECT(counters_of(pool).holds == count && counters_of(pool).holds_refused == BLOCKS - count, "counters");
	struct memkv_host hosts[64];
	int64_t slots = memkv_hosts(second, hosts, 64);
	EXPECT(slots > 0 && hosts[0].holds == segments && hosts[1].holds == 0, "hosts: %llu", (unsigned long long)hosts[0].holds);
	/* the second one finds the same blocks first: they count once */
	EXPECT(memkv_pool_refresh(second) == 0, "refresh");
	EXPECT(hold_all(second, 0, others, &more) == MEMKV_HOLD_SEGMENTS && more == count, "the same blocks: %u", more);
	for (unsigned i = 0; i < more; i++)
		EXPECT(memkv_release(second, &others[i]) == 0, "release");
	/* further ones from elsewhere, until no more may be held */
	struct memkv_pool *handles[HANDLES] = {second};
	bool seen[1024] = {false};
	unsigned all = 0;
	for (unsigned i = 0; i < count; i++)
		seen[holds[i].segment] = true;
	for (unsigned h = 0; h < HANDLES; h++) {
		handles[h] = h ? pool_attach(path, 0) : second;
		for (uint64_t n = h * BLOCKS / HANDLES; n < BLOCKS; n++)
			if (hold_number(handles[h], n, &others[0]) == 0)
				seen[others[0].segment] = true;
	}
	for (unsigned i = 0; i < most * 2; i++)
		all += seen[i];
	EXPECT(all == most, "%u segments are held by all, and %u is the limit", all, most);
	for (unsigned h = 1; h < HANDLES; h++)
		memkv_pool_close(handles[h]);
	for (uint64_t n = 0; n < 4 * BLOCKS; n++)
		put_version(second, BLOCKS + n, 0, 0);
	EXPECT(counters_of(second).segments_held > 0, "nobody passed over what is held");
	for (unsigned i = 0; i < count; i++) {
		EXPECT(memkv_hold_valid(pool, &holds[i]) == 1, "a hold has lapsed");
		EXPECT(memkv_release(pool, &holds[i]) == 0, "release");
	}
	memkv_pool_close(second);
	EXPECT(memkv_pool_refresh(pool) == 0 && hold_all(pool, 4 * BLOCKS, holds, &count) == MEMKV_HOLD_SEGMENTS,
	       "after the others have left");
	memkv_pool_close(pool);
}

static void test_lapsed(void)
{
	struct memkv_pool *pool = make("hold-lapsed");
	struct memkv_evict_report report;
	struct memkv_key key = key_of(1);
	struct memkv_hold hold[3];

	for (uint64_t n = 1; n <= 3; n++) {
		put_version(pool, n, 0, 0);
		EXPECT(hold_number(pool, n, &hold[n - 1]) == 0, "hold: %s", memkv_error_detail());
	}
	EXPECT(memkv_remove(pool, &key) == 1, "remove");
	EXPECT(memkv_hold_valid(pool, &hold[0]) == 0 && memkv_hold_valid(pool, &hold[1]) == 1, "one is removed");
	expect_version(&hold[0], 1, 0); /* nobody writes there while it is held */
	put_version(pool, 2, 1, MEMKV_PUT_REPLACE);
	EXPECT(memkv_hold_valid(pool, &hold[1]) == 0, "one is replaced");
	expect_version(&hold[1], 2, 0);
	EXPECT(memkv_evict(pool, NULL, &report) == 0 && memkv_hold_valid(pool, &hold[2]) == 0, "one is evicted");
	for (uint64_t n = 0; n < 3 * BLOCKS; n++)
		put_version(pool, 1000 + n, 0, 0);
	expect_version(&hold[2], 3, 0);
	for (int i = 0; i < 3; i++)
		EXPECT(memkv_release(pool, &hold[i]) == MEMKV_LAPSED && !hold[i].data, "release of what has lapsed");
	memkv_pool_close(pool);
}

/* ---- fork ---- */

struct forked {
	struct memkv_pool *pool;
	struct memkv_hold hold;
};

static int child_of_holder(void *context)
{
	struct forked *f = context;

	EXPECT(memkv_hold_valid(f->pool, &f->hold) == MEMKV_EFORK, "valid in a child");
	EXPECT(memkv_release(f->pool, &f->hold) == MEMKV_EFORK, "release in a child");
	EXPECT(hold_number(f->pool, 1, &f->hold) == MEMKV_EFORK, "hold in a child");
	memkv_pool_close(f->pool);
	return 0;
}

static atomic_uint_fast64_t *said;

/* holds, has a child that stays, and is killed */
static int parent(void *context)
{
	struct forked f = {.pool = pool_attach(path, 0)};

	(void)context;
	EXPECT(hold_number(f.pool, 1, &f.hold) == 0, "hold: %s", memkv_error_detail());
	pid_t orphan = fork();
	if (orphan == 0) {
		setsid();
		for (;;)
			pause();
	}
	atomic_store(said, (uint64_t)orphan);
	for (;;)
		pause();
}

static void test_forked(void)
{
	struct forked f = {.pool = make("hold-forked")};

	put_version(f.pool, 1, 0, 0);
	EXPECT(hold_number(f.pool, 1, &f.hold) == 0, "hold: %s", memkv_error_detail());
	child_join(child_start(child_of_holder, &f), "a child");
	for (uint64_t n = 0; n < 2 * BLOCKS; n++)
		put_version(f.pool, 1000 + n, 0, 0);
	EXPECT(memkv_hold_valid(f.pool, &f.hold) == 1, "the child has ended the parent's hold");
	expect_version(&f.hold, 1, 0);
	EXPECT(memkv_release(f.pool, &f.hold) == 0, "release");
	memkv_pool_close(f.pool);

	f.pool = pool_attach(path, 0);
	put_version(f.pool, 1, 0, MEMKV_PUT_REPLACE);
	pid_t holder = child_start(parent, NULL);
	EXPECT(wait_until(said, 1, 60000000), "the parent does not hold");
	child_kill(holder);
	struct memkv_counters before = counters_of(f.pool);
	for (uint64_t n = 0; n < 2 * BLOCKS; n++)
		put_version(f.pool, 100000 + n, 0, 0);
	EXPECT(counters_of(f.pool).segments_held == before.segments_held, "a child keeps what its dead parent held");
	kill((pid_t)atomic_load(said), SIGKILL);
	memkv_pool_close(f.pool);
}

static void test_cut(void)
{
	struct memkv_pool *pool = make("hold-cut");
	struct memkv_hold hold;
	uint64_t sum = 0;

	for (uint64_t n = 0; n < BLOCKS; n++)
		put_version(pool, n, 0, 0);
	EXPECT(hold_number(pool, BLOCKS - 1, &hold) == 0, "hold: %s", memkv_error_detail());
	EXPECT(truncate(path, MIB(4)) == 0, "cutting");
	for (uint64_t i = 0; i < hold.length; i++)
		sum += ((const uint8_t *)hold.data)[i];
	EXPECT(memkv_hold_valid(pool, &hold) == 0, "valid, and the bytes are gone (sum %llu)", (unsigned long long)sum);
	EXPECT(memkv_release(pool, &hold) == MEMKV_LAPSED, "release");
	EXPECT(hold_number(pool, 1, &hold) == MEMKV_MISS, "hold of a medium that is gone");
	memkv_pool_close(pool);
}

int main(void)
{
	if (access("/dev/shm", W_OK))
		skip_test("there is no /dev/shm, whose files are memory");
	buffer = pages_alloc(BLOCK);
	said = shared_alloc(sizeof(*said));
	test_refused();
	test_limits();
	test_lapsed();
	test_forked();
	test_cut();
	return 0;
}
