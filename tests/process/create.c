/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making pools, against others and against death.
 *
 *   race  - several processes create at one path at once: exactly one wins, and what is there is its pool
 *   live  - a pool that somebody has open is not overwritten, not even by force
 *   death - killed before each single call by which create writes (pwrite, fsync, fallocate, ftruncate pass through
 *           this program) and at seeded times: what is left is no pool or a whole one; by force over an old pool: the
 *           old one whole, none, or the new one whole - never parts of both
 */
#include "helpers.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CREATORS = 4, OLD_BLOCKS = 40, LENGTH = 30000 };

/* ---- death before the n-th writing call ---- */

static struct {
	atomic_uint_fast64_t calls, kill_at, finished;
} *shared;
static bool counting;

static void one_more_call(void)
{
	if (counting && atomic_fetch_add(&shared->calls, 1) == atomic_load(&shared->kill_at))
		kill(getpid(), SIGKILL);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
	one_more_call();
	return syscall(SYS_pwrite64, fd, bytes, length, offset);
}

int fsync(int fd)
{
	one_more_call();
	return (int)syscall(SYS_fsync, fd);
}

int fallocate(int fd, int mode, off_t offset, off_t length)
{
	one_more_call();
	return (int)syscall(SYS_fallocate, fd, mode, offset, length);
}

int ftruncate(int fd, off_t length)
{
	one_more_call();
	return (int)syscall(SYS_ftruncate, fd, length);
}

/* ---- */

struct job {
	const char *path;
	uint64_t bytes;
	uint32_t flags;
};

static int create_body(void *context)
{
	const struct job *job = context;
	struct memkv_create_options options = {.size = sizeof(options), .flags = job->flags, .bytes = job->bytes};

	counting = true;
	int err = memkv_pool_create(job->path, &options);
	EXPECT(err == 0, "create: %s", memkv_code_name(err));
	atomic_store(&shared->finished, 1);
	return 0;
}

static void put_old_blocks(const char *path)
{
	struct memkv_pool *pool = pool_attach(path, 0);
	static uint8_t bytes[LENGTH];

	for (uint64_t number = 0; number < OLD_BLOCKS; number++) {
		struct memkv_key key = key_of(number);
		payload_fill(bytes, LENGTH, number, 0);
		EXPECT(memkv_put(pool, &key, bytes, LENGTH, NULL) == 0, "put");
	}
	memkv_pool_close(pool);
}

static uint64_t old_blocks_there(struct memkv_pool *pool)
{
	static uint8_t bytes[LENGTH];
	uint64_t there = 0;

	for (uint64_t number = 0; number < OLD_BLOCKS; number++) {
		struct memkv_key key = key_of(number);
		int64_t got = memkv_get(pool, &key, bytes, LENGTH, NULL);
		EXPECT(got == MEMKV_MISS || (got == LENGTH && payload_right(bytes, LENGTH, number, 0)), "wrong bytes");
		there += got > 0;
	}
	return there;
}

enum left { LEFT_NOTHING, LEFT_OLD, LEFT_NEW };

/* no pool, or a whole one; @old_uuid: of the one that was there before, or NULL */
static enum left look_what_is_left(const char *path, const uint8_t *old_uuid, const char *when)
{
	struct memkv_pool_options options = {.size = sizeof(options), .flags = MEMKV_OPEN_NO_FOLLOWER};
	struct memkv_pool *pool = NULL;
	int err = memkv_pool_open(path, &options, &pool);

	if (err) {
		EXPECT(err == MEMKV_NOT_A_POOL || err == -ENOENT, "%s: open: %s", when, memkv_code_name(err));
		return LEFT_NOTHING;
	}
	struct memkv_pool_info info = describe_of(pool);
	bool old = old_uuid && memcmp(info.uuid, old_uuid, sizeof(info.uuid)) == 0;
	struct memkv_check_report report;
	EXPECT(memkv_pool_check(pool, NULL, &report) == 0 && report.bad == 0, "%s: check", when);
	/* between its two superblocks the pool is whole, and the check says that one copy is missing */
	EXPECT(report.records_bad <= 1 && report.records_mended == report.records_bad, "%s: %llu bad records", when,
	       (unsigned long long)report.records_bad);
	uint64_t there = old_blocks_there(pool);
	EXPECT(there == (old ? OLD_BLOCKS : 0), "%s: the %s pool with %llu of the old blocks", when, old ? "old" : "new",
	       (unsigned long long)there);
	EXPECT(info.blocks == there && (old || info.segments_free == info.segments), "%s: not a whole pool", when);
	memkv_pool_close(pool);
	pool = pool_attach(path, 0);
	pool_expect_clean(pool, "attached once more");
	memkv_pool_close(pool);
	return old ? LEFT_OLD : LEFT_NEW;
}

/* and a pool can be made there again, without force where none is */
static void make_again(const char *path, enum left left)
{
	struct memkv_create_options options = {.size = sizeof(options), .bytes = MIB(16)};

	if (left != LEFT_NOTHING)
		options.flags = MEMKV_CREATE_FORCE;
	pool_make(path, &options);
	EXPECT(look_what_is_left(path, NULL, "made again") == LEFT_NEW, "no pool after create");
	unlink(path);
}

struct tally {
	uint64_t nothing, old, new, kills;
};

static void killed_create(const char *path, uint64_t old_bytes, uint64_t new_bytes, uint64_t kill_at, uint64_t after_us,
			  struct tally *tally)
{
	struct job job = {path, new_bytes, old_bytes ? MEMKV_CREATE_FORCE : 0};
	uint8_t uuid[16];
	char when[96];
	int status;

	if (old_bytes) {
		pool_make_bytes(path, old_bytes, KIB(64));
		put_old_blocks(path);
		struct memkv_pool *pool = pool_attach(path, MEMKV_OPEN_READ_ONLY);
		memcpy(uuid, describe_of(pool).uuid, sizeof(uuid));
		memkv_pool_close(pool);
	}
	atomic_store(&shared->calls, 0);
	atomic_store(&shared->finished, 0);
	atomic_store(&shared->kill_at, kill_at);
	pid_t child = child_start(create_body, &job);
	if (after_us) {
		sleep_us(after_us);
		kill(child, SIGKILL);
	}
	EXPECT(waitpid(child, &status, 0) == child && (WIFSIGNALED(status) || WEXITSTATUS(status) == 0), "create failed");
	snprintf(when, sizeof(when), "killed before writing call %lld, after %llu us", (long long)kill_at,
		 (unsigned long long)after_us);
	enum left left = look_what_is_left(path, old_bytes ? uuid : NULL, when);
	EXPECT(left == LEFT_NEW || !atomic_load(&shared->finished), "%s: create had returned 0", when);
	tally->nothing += left == LEFT_NOTHING;
	tally->old += left == LEFT_OLD;
	tally->new += left == LEFT_NEW;
	tally->kills++;
	make_again(path, left);
}

static void test_death(const char *name, uint64_t old_bytes, uint64_t new_bytes, uint64_t moments)
{
	const char *path = scratch_path("death");
	struct tally tally = {0};
	uint64_t random = old_bytes + new_bytes;

	for (uint64_t n = 0; !atomic_load(&shared->finished); n++)
		killed_create(path, old_bytes, new_bytes, n, 0, &tally);
	atomic_store(&shared->finished, 0);
	for (uint64_t i = 0; i < moments; i++)
		killed_create(path, old_bytes, new_bytes, UINT64_MAX, 1 + random_below(&random, 8000), &tally);
	atomic_store(&shared->finished, 0);
	printf("death: %s: killed %llu times: left no pool %llu times, the old one %llu times, the new one %llu times\n", name,
	       (unsigned long long)tally.kills, (unsigned long long)tally.nothing, (unsigned long long)tally.old,
	       (unsigned long long)tally.new);
	fflush(stdout);
	scratch_remove(path);
}

/* ---- race, live ---- */

static struct race {
	const char *path;
	atomic_uint_fast64_t go, wins, losses;
} *race;

static int racer(void *context)
{
	const uint64_t *bytes = context;
	struct memkv_create_options options = {.size = sizeof(options), .bytes = *bytes};

	while (!atomic_load(&race->go))
		;
	int err = memkv_pool_create(race->path, &options);
	EXPECT(err == 0 || err == MEMKV_IN_USE || err == MEMKV_POOL_EXISTS, "a losing create: %s", memkv_code_name(err));
	atomic_fetch_add(err ? &race->losses : &race->wins, 1);
	return 0;
}

static void test_race(uint64_t rounds)
{
	const char *path = scratch_path("race");
	uint64_t bytes[CREATORS];
	pid_t children[CREATORS];

	race = shared_alloc(sizeof(*race));
	race->path = path;
	for (uint64_t round = 0; round < rounds; round++) {
		atomic_store(&race->go, 0);
		atomic_store(&race->wins, 0);
		for (uint64_t i = 0; i < CREATORS; i++) {
			bytes[i] = MIB(12) + i * MIB(1);
			children[i] = child_start(racer, &bytes[i]);
		}
		atomic_store(&race->go, 1);
		for (int i = 0; i < CREATORS; i++)
			child_join(children[i], "a creator");
		EXPECT(atomic_load(&race->wins) == 1, "%llu creators won", (unsigned long long)atomic_load(&race->wins));
		EXPECT(look_what_is_left(path, NULL, "after the race") == LEFT_NEW, "nobody's pool is there");
		unlink(path);
	}
	printf("race: %llu rounds of %d creators, one winner each\n", (unsigned long long)rounds, CREATORS);
}

static void test_live(void)
{
	const char *path = scratch_path("live");
	struct memkv_create_options options = {.size = sizeof(options), .bytes = MIB(16)};

	pool_make(path, &options);
	put_old_blocks(path);
	struct memkv_pool *pool = pool_attach(path, 0);
	int err = memkv_pool_create(path, &options);
	EXPECT(err == MEMKV_POOL_EXISTS, "create over a pool: %s", memkv_code_name(err));
	options.flags = MEMKV_CREATE_FORCE;
	err = memkv_pool_create(path, &options);
	EXPECT(err == MEMKV_IN_USE && strstr(memkv_error_detail(), path), "create by force over a live pool: %s (\"%s\")",
	       memkv_code_name(err), memkv_error_detail());
	err = memkv_pool_destroy(path, 0);
	EXPECT(err == MEMKV_IN_USE, "destroy of a live pool: %s", memkv_code_name(err));
	EXPECT(old_blocks_there(pool) == OLD_BLOCKS, "a block is gone");
	pool_expect_clean(pool, "after the refusals");
	memkv_pool_close(pool);
	pool_make(path, &options);
	EXPECT(look_what_is_left(path, NULL, "by force") == LEFT_NEW, "by force");
	EXPECT(memkv_pool_destroy(path, 0) == 0 && access(path, F_OK) != 0, "destroy");
	printf("live: a pool in use was left alone, whatever was asked\n");
}

int main(int argc, char **argv)
{
	uint64_t moments = argument_number(argc, argv, "--moments", 30), rounds = argument_number(argc, argv, "--rounds", 20);

	shared = shared_alloc(sizeof(*shared));
	test_live();
	test_race(rounds);
	test_death("a new file", 0, MIB(32), moments);
	test_death("by force over a pool of the same size", MIB(32), MIB(32), moments);
	test_death("by force over a larger pool", MIB(48), MIB(32), moments);
	test_death("by force over a smaller pool", MIB(16), MIB(32), moments);
	return 0;
}
