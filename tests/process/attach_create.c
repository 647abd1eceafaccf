/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What create and destroy must respect.
 *
 *   beside   - agents attach and leave while others format by force: whoever is attached keeps his pool
 *   half     - a pool with one superblock is a pool: it is not formatted without force, nor by force under an agent; it
 *              can be destroyed; the next writer mends it
 *   plan     - says what create would do, and changes nothing
 *   options  - structs of callers with older and newer headers
 */
#include "helpers.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { AGENTS = 3, POOL_MIB = 8, LENGTH = 20000 };

static struct beside {
	const char *path;
	atomic_uint_fast64_t stop, attached, refused, made, in_use;
} *beside;

static struct memkv_pool_label label_of(const char *path)
{
	struct memkv_pool_label label = {.size = sizeof(label)};
	int err = memkv_pool_probe(path, &label);

	EXPECT(err == 0, "probe: %s", memkv_error_detail());
	return label;
}

/* attach; as long as we are, the pool at the path must be the one that we opened */
static int agent(void *context)
{
	struct memkv_pool_options options = {.size = sizeof(options), .flags = MEMKV_OPEN_NO_FOLLOWER, .lanes = 1};
	struct memkv_pool *pool;

	(void)context;
	while (!atomic_load(&beside->stop)) {
		int err = memkv_pool_open(beside->path, &options, &pool);
		EXPECT(err == 0 || err == MEMKV_IN_USE || err == MEMKV_NOT_A_POOL || err == MEMKV_DAMAGED, "open: %s (%s)",
		       memkv_code_name(err), memkv_error_detail());
		if (err) {
			atomic_fetch_add(&beside->refused, 1);
			continue;
		}
		struct memkv_pool_info mine = describe_of(pool);
		for (int i = 0; i < 3; i++) {
			struct memkv_pool_label there = label_of(beside->path);
			EXPECT(!memcmp(there.uuid, mine.uuid, sizeof(mine.uuid)), "formatted under an agent");
		}
		atomic_fetch_add(&beside->attached, 1);
		memkv_pool_close(pool);
		sleep_us(200);
	}
	return 0;
}

static void test_beside(uint64_t rounds)
{
	struct memkv_create_options options = {
		.size = sizeof(options), .flags = MEMKV_CREATE_FORCE, .bytes = MIB(POOL_MIB)};
	pid_t agents[AGENTS];

	beside = shared_alloc(sizeof(*beside));
	beside->path = scratch_fast_path("beside");
	pool_make_bytes(beside->path, MIB(POOL_MIB), KIB(64));
	for (int i = 0; i < AGENTS; i++)
		agents[i] = child_start(agent, NULL);
	uint64_t until = now_us() + 60000000;
	while (atomic_load(&beside->made) < rounds && now_us() < until) {
		int err = memkv_pool_create(beside->path, &options);
		EXPECT(err == 0 || err == MEMKV_IN_USE, "create: %s (%s)", memkv_code_name(err), memkv_error_detail());
		atomic_fetch_add(err ? &beside->in_use : &beside->made, 1);
	}
	atomic_store(&beside->stop, 1);
	for (int i = 0; i < AGENTS; i++)
		child_join(agents[i], "an agent");
	EXPECT(atomic_load(&beside->made) > 0 && atomic_load(&beside->attached) > 0, "nothing met");
	struct memkv_pool *pool = pool_attach(beside->path, 0);
	pool_expect_clean(pool, "afterwards");
	EXPECT(describe_of(pool).slots_live == 1, "a slot is lost");
	memkv_pool_close(pool);
	printf("beside: made %llu times, refused %llu; attached %llu times, refused %llu\n",
	       (unsigned long long)atomic_load(&beside->made), (unsigned long long)atomic_load(&beside->in_use),
	       (unsigned long long)atomic_load(&beside->attached), (unsigned long long)atomic_load(&beside->refused));
	scratch_remove(beside->path);
}

/* ---- half ---- */

static void zero_first_page(const char *path)
{
	static const uint8_t zero[PAGE_BYTES];
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	EXPECT(fd >= 0 && pwrite(fd, zero, sizeof(zero), 0) == PAGE_BYTES && !fsync(fd) && !close(fd), "zero");
}

static uint64_t records_bad(const char *path, uint32_t flags)
{
	struct memkv_pool *pool = pool_attach(path, flags);
	struct memkv_check_report report;

	EXPECT(memkv_pool_check(pool, NULL, &report) == 0 && report.bad == 0, "check");
	EXPECT(report.records_bad == report.records_mended, "not mended");
	memkv_pool_close(pool);
	return report.records_bad;
}

static void test_half(void)
{
	const char *path = scratch_path("half");
	struct memkv_create_options options = {.size = sizeof(options), .bytes = MIB(POOL_MIB)};
	struct memkv_key key = key_of(1);
	static uint8_t bytes[LENGTH], back[LENGTH];

	pool_make_bytes(path, MIB(POOL_MIB), KIB(64));
	struct memkv_pool *pool = pool_attach(path, 0);
	payload_fill(bytes, LENGTH, 1, 0);
	EXPECT(memkv_put(pool, &key, bytes, LENGTH, NULL) == 0, "put");
	zero_first_page(path);
	EXPECT(memkv_pool_create(path, &options) == MEMKV_POOL_EXISTS, "made over a pool: %s", memkv_error_detail());
	options.flags = MEMKV_CREATE_FORCE;
	EXPECT(memkv_pool_create(path, &options) == MEMKV_IN_USE, "made by force under an agent");
	EXPECT(memkv_pool_destroy(path, 0) == MEMKV_IN_USE, "destroyed under an agent");
	EXPECT(memkv_get(pool, &key, back, LENGTH, NULL) == LENGTH && !memcmp(bytes, back, LENGTH), "get");
	memkv_pool_close(pool);

	EXPECT(records_bad(path, MEMKV_OPEN_READ_ONLY) == 1 && records_bad(path, MEMKV_OPEN_READ_ONLY) == 1,
	       "a reader mended, or saw nothing");
	EXPECT(records_bad(path, 0) == 1, "the writer that mends says so");
	EXPECT(records_bad(path, 0) == 0 && records_bad(path, MEMKV_OPEN_READ_ONLY) == 0, "not mended for good");

	zero_first_page(path);
	EXPECT(memkv_pool_destroy(path, 1) == 0 && access(path, F_OK) == 0, "destroy, dry");
	EXPECT(memkv_pool_destroy(path, 0) == 0 && access(path, F_OK) != 0, "destroy: %s", memkv_error_detail());
	printf("half: a pool with one superblock is one, and is mended by who writes\n");
}

/* ---- plan ---- */

static void test_plan(void)
{
	const char *path = scratch_path("plan");
	struct memkv_create_options options = {.size = sizeof(options), .blocks = 300, .block_size = 65536};
	struct memkv_create_plan plan = {.size = sizeof(plan)};
	struct stat before, after;

	int err = memkv_pool_plan(path, &options, &plan);
	EXPECT(err == 0 && plan.new_file && access(path, F_OK) != 0, "a plan made something: %s", memkv_error_detail());
	EXPECT(plan.room_block_size == 65536 && plan.room_blocks == 300, "room for %llu",
	       (unsigned long long)plan.room_blocks);
	EXPECT(memkv_pool_create(path, &options) == 0, "create: %s", memkv_error_detail());
	struct memkv_pool *pool = pool_attach(path, 0);
	struct memkv_pool_info info = describe_of(pool);
	EXPECT(info.bytes == plan.bytes && info.segments == plan.segments && info.slots == plan.slots &&
		       info.segment_room == plan.segment_room && info.control_bytes == plan.control_bytes,
	       "what was made is not what was planned");
	EXPECT(memkv_pool_plan(path, &options, &plan) == MEMKV_POOL_EXISTS, "over a pool");
	options.flags = MEMKV_CREATE_FORCE;
	EXPECT(memkv_pool_plan(path, &options, &plan) == MEMKV_IN_USE, "over a live pool");
	memkv_pool_close(pool);
	EXPECT(stat(path, &before) == 0 && memkv_pool_plan(path, &options, &plan) == 0 && plan.over_pool, "by force");
	EXPECT(stat(path, &after) == 0 && before.st_size == after.st_size &&
		       before.st_mtim.tv_nsec == after.st_mtim.tv_nsec && before.st_mtim.tv_sec == after.st_mtim.tv_sec,
	       "a plan wrote");
	EXPECT(unlink(path) == 0, "unlink");
	options.bytes = UINT64_C(1) << 49;
	options.blocks = options.block_size = 0;
	EXPECT(memkv_pool_plan(path, &options, &plan) == -ENOSPC, "no room for 512 TiB: %s", memkv_error_detail());
	scratch_remove(path);
	printf("plan: says what create does, and changes nothing\n");
}

/* ---- options ---- */

struct newer_get {
	struct memkv_get_options known;
	uint64_t more;
};

/* the same of every call that takes some: no size, and a wish of a newer caller's */
static void test_other_options(struct memkv_pool *pool, const struct memkv_key *key)
{
	union {
		size_t size;
		uint8_t bytes[512];
		struct memkv_pin_options pin;
		struct memkv_evict_options evict;
		struct memkv_check_options check;
		struct memkv_filter filter;
	} o;
	struct memkv_evict_report evicted;
	struct memkv_check_report checked;
	struct memkv_iter *iter;

	for (int newer = 0; newer < 2; newer++) {
		int wanted = newer ? -E2BIG : -EINVAL;
		memset(&o, 0, sizeof(o));
		o.size = newer ? sizeof(o) : 0;
		o.bytes[sizeof(o) - 1] = 1;
		EXPECT(memkv_pin(pool, key, 1, &o.pin, NULL) == wanted, "pin: %s", memkv_error_detail());
		EXPECT(memkv_pin_prefix(pool, key, 1, &o.pin) == wanted, "pin a prefix: %s", memkv_error_detail());
		EXPECT(memkv_pin_session(pool, "s", &o.pin) == wanted, "pin a session: %s", memkv_error_detail());
		EXPECT(memkv_evict(pool, &o.evict, &evicted) == wanted, "evict: %s", memkv_error_detail());
		EXPECT(memkv_pool_check(pool, &o.check, &checked) == wanted, "check: %s", memkv_error_detail());
		EXPECT(memkv_iter_open(pool, &o.filter, &iter) == wanted, "iterate: %s", memkv_error_detail());
	}
	EXPECT(memkv_exists(pool, key, 0) == 1 && memkv_pins(pool, NULL, 0) == 0, "a call with bad options did something");
}

static void test_options(void)
{
	const char *path = scratch_path("options");
	struct memkv_key key = key_of(7);
	static uint8_t bytes[LENGTH], back[LENGTH];
	char meta[16] = "";
	struct memkv_put_options put = {.size = sizeof(put), .meta = "meta", .meta_length = 4};
	struct memkv_get_options get = {.size = sizeof(get), .meta = meta, .meta_room = sizeof(meta)};
	struct newer_get newer = {.known = get};
	struct memkv_pool *pool;

	pool_make_bytes(path, MIB(POOL_MIB), KIB(64));
	pool = pool_attach(path, 0);
	payload_fill(bytes, LENGTH, 7, 0);
	EXPECT(memkv_put(pool, &key, bytes, LENGTH, &put) == 0, "put");
	EXPECT(memkv_get(pool, &key, back, LENGTH, &get) == LENGTH && get.meta_length == 4 && !strcmp(meta, "meta"), "get");

	put.size = 0;
	EXPECT(memkv_put(pool, &key, bytes, LENGTH, &put) == -EINVAL, "a put whose options have no size");
	put.size = sizeof(put);

	get.size = offsetof(struct memkv_get_options, meta_length); /* an older caller has no such field */
	get.meta_length = 77;
	EXPECT(memkv_get(pool, &key, back, LENGTH, &get) == LENGTH && get.meta_length == 77, "wrote behind a short struct");
	get.size = offsetof(struct memkv_get_options, meta); /* nor anything but flags */
	meta[0] = 0;
	EXPECT(memkv_get(pool, &key, back, LENGTH, &get) == LENGTH && !meta[0], "read behind a short struct");
	get.size = 0;
	EXPECT(memkv_get(pool, &key, back, LENGTH, &get) == -EINVAL && strstr(memkv_error_detail(), "size"), "no size");

	newer.known.size = sizeof(newer);
	EXPECT(memkv_get(pool, &key, back, LENGTH, &newer.known) == LENGTH && newer.known.meta_length == 4, "newer, unused");
	newer.more = 1;
	EXPECT(memkv_get(pool, &key, back, LENGTH, &newer.known) == -E2BIG && strstr(memkv_error_detail(), "newer"),
	       "a wish that is not known was granted");
	test_other_options(pool, &key);
	memkv_pool_close(pool);
	scratch_remove(path);
	printf("options: older and newer callers get what they mean\n");
}

int main(int argc, char **argv)
{
	test_half();
	test_plan();
	test_options();
	test_beside(argument_number(argc, argv, "--rounds", 100));
	return 0;
}
