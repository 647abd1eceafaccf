/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Findings 20 and 15: a session is pinned, and unpinned, as a whole; and pins against clocks.
 *
 *   session: a process that pins (unpins) a session is killed before each of its stores: it is pinned, or it is not; a
 *            block that is put into it afterwards is kept like those before.
 *   clock:   a pin is in force until its end, and ten seconds longer; a block that expires while it is pinned is there;
 *            removal, evict and replacing are refused meanwhile, and work when it has ended (--clock 1: takes a while)
 */
#include "scene.h"

enum { LATER = 70002 };

static struct store_watch *watch;

static int pin_session(struct memkv_pool *pool) { return memkv_pin_session(pool, SCENE_SESSION, NULL) < 0; }
static int unpin_session(struct memkv_pool *pool) { return memkv_unpin_session(pool, SCENE_SESSION) < 0; }

static uint64_t count_session(struct memkv_pool *pool)
{
	struct memkv_filter filter = {.size = sizeof(filter), .session = SCENE_SESSION};
	struct memkv_block_info info;
	struct memkv_iter *iter;
	uint64_t count = 0;

	EXPECT(memkv_iter_open(pool, &filter, &iter) == 0, "iterate");
	while (memkv_iter_next(iter, &info) == 1)
		count++;
	memkv_iter_close(iter);
	return count;
}

/* all of it stays, what came later too; or nobody says that it is pinned */
static void expect_whole(bool acknowledged, bool pinning, uint64_t store)
{
	struct memkv_pool *pool = scene_attach(0);
	bool pinned = memkv_pins(pool, NULL, 0) == 1;

	EXPECT(!acknowledged || pinned == pinning, "store %llu: acknowledged, but not so", (unsigned long long)store);
	EXPECT(scene_in_session(LATER) && scene_put(pool, LATER) == 0, "put into the session");
	uint64_t before = count_session(pool);
	EXPECT(before > 50, "%llu blocks of the session", (unsigned long long)before);
	scene_flood(pool, 2 * scene_room(pool));
	uint64_t after = count_session(pool);
	EXPECT(pinned ? after == before && scene_get(pool, LATER) : after == 0,
	       "store %llu: %spinned, and %llu of %llu blocks are left", (unsigned long long)store, pinned ? "" : "not ",
	       (unsigned long long)after, (unsigned long long)before);
	memkv_pool_close(pool);
}

static void session_rounds(bool pinning, uint64_t every)
{
	uint64_t rounds = 0;

	for (uint64_t store = 0;; store += every, rounds++) {
		scene_reset();
		if (!pinning) {
			struct memkv_pool *pool = scene_attach(0);
			EXPECT(pin_session(pool) == 0, "pin");
			memkv_pool_close(pool);
		}
		EXPECT(scene_start(watch, UINT64_MAX, store, pinning ? pin_session : unpin_session) == 0, "it was to be killed");
		bool acknowledged = atomic_load(&watch->acknowledged);
		expect_whole(acknowledged, pinning, store);
		if (acknowledged)
			break;
	}
	printf("session %s: %llu stores, killed before %llu of them: whole, or not at all\n", pinning ? "pinned" : "unpinned",
	       (unsigned long long)atomic_load(&watch->stores), (unsigned long long)rounds);
	fflush(stdout);
}

static void clock_rounds(void)
{
	struct memkv_pin_options short_pin = {.size = sizeof(short_pin), .ttl_s = 2};
	struct memkv_put_options short_block = {.size = sizeof(short_block), .ttl_s = 2};
	struct memkv_evict_options all = {.size = sizeof(all)};
	struct memkv_evict_report report;
	struct memkv_key key = key_of(1), other = key_of(2);
	static uint8_t bytes[SCENE_BLOCK], got[SCENE_BLOCK];

	scene_reset();
	struct memkv_pool *pool = scene_attach(0);
	EXPECT(memkv_put(pool, &key, bytes, sizeof(bytes), &short_block) == 0, "put");
	EXPECT(memkv_put(pool, &other, bytes, sizeof(bytes), &short_block) == 0, "put");
	EXPECT(memkv_pin(pool, &key, 1, &short_pin, NULL) == 1, "pin");
	sleep_us(5000000); /* past its end, not past the margin */
	EXPECT(memkv_get(pool, &other, got, sizeof(got), NULL) == MEMKV_MISS, "an expired block is there");
	EXPECT(memkv_get(pool, &key, got, sizeof(got), NULL) == (int64_t)sizeof(got), "a pinned block has expired");
	EXPECT(memkv_put(pool, &key, bytes, sizeof(bytes), NULL) == MEMKV_EXISTS, "a pinned block is not there for a put");
	EXPECT(memkv_remove(pool, &key) == MEMKV_PINNED, "removed though pinned");
	bytes[0] = 1;
	struct memkv_put_options replace = {.size = sizeof(replace), .flags = MEMKV_PUT_REPLACE};
	EXPECT(memkv_put(pool, &key, bytes, sizeof(bytes), &replace) == MEMKV_PINNED, "replaced though pinned");
	EXPECT(memkv_evict(pool, &all, &report) == 0 && report.pinned == 1 && report.blocks > 100, "evict of everything");
	EXPECT(memkv_get(pool, &key, got, sizeof(got), NULL) == (int64_t)sizeof(got), "a pinned block was evicted");
	EXPECT(describe_of(pool).blocks == 1, "more is left than what is pinned");
	sleep_us(9000000);
	EXPECT(memkv_pins(pool, NULL, 0) == 0, "a pin does not end");
	EXPECT(memkv_get(pool, &key, got, sizeof(got), NULL) == MEMKV_MISS, "an expired block is there");
	EXPECT(memkv_remove(pool, &key) == 1, "a pin that has ended is in the way");
	printf("clock: in force until its end and the margin, and then no more\n");
	memkv_pool_close(pool);
}

int main(int argc, char **argv)
{
	uint64_t every = argument_number(argc, argv, "--every", 1);

	watch = shared_alloc(sizeof(*watch));
	if (argument_number(argc, argv, "--clock", 0)) {
		scene_make("finding-15", 0);
		clock_rounds();
		return 0;
	}
	faults_need();
	scene_make("finding-20", 0);
	session_rounds(true, every);
	session_rounds(false, every);
	return 0;
}
