/* SPDX-License-Identifier: Apache-2.0 */
/* Building the pools (base.h): agents put, remove, leave their segments, or are killed in the middle of something. */
#include "tests/flip/base.h"
#include "core/pool/handle.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { YOUNG_BLOCKS = 300, CYCLED_BLOCKS = 2100, DYING_BLOCKS = 9, DYING_BLOCKS_MAX = 150 };
enum { SLOTS = 12, LOCK_WAIT_MS = 10000 };

static struct memkv_pool *attach(const char *path)
{
	struct memkv_pool_options options = {.size = sizeof(options), .flags = MEMKV_OPEN_NO_FOLLOWER, .lanes = 2};
	struct memkv_pool *pool;

	if (memkv_pool_open(path, &options, &pool))
		die("cannot open the base pool: %s", memkv_error_detail());
	return pool;
}

static void put(struct base *base, struct memkv_pool *pool, uint32_t number, uint32_t version)
{
	if (block_put(pool, number, version))
		die("cannot fill the base pool: %s", memkv_error_detail());
	base->blocks[number].version = version;
	base->blocks[number].fate = FATE_GONE; /* until it is found */
}

static void forget(struct base *base, struct memkv_pool *pool, uint32_t number)
{
	struct memkv_key key;

	block_key(number, &key);
	if (memkv_remove(pool, &key) < 0)
		die("cannot remove: %s", memkv_error_detail());
	base->blocks[number].fate = FATE_REMOVED;
}

/* a get makes a block hot: when its segment's turn comes it moves */
static void use(struct memkv_pool *pool, uint32_t number)
{
	static uint8_t payload[BLOCK_SIZE];
	struct memkv_get_options options = {.size = sizeof(options), .flags = MEMKV_GET_UPTO};
	struct memkv_key key;

	block_key(number, &key);
	(void)memkv_get(pool, &key, payload, sizeof(payload), &options);
}

static uint32_t attached(const char *path)
{
	struct memkv_pool_options options = {.size = sizeof(options), .flags = MEMKV_OPEN_READ_ONLY, .lanes = 1};
	struct memkv_pool_info info;
	struct memkv_pool *pool;

	if (memkv_pool_open(path, &options, &pool) || memkv_pool_describe(pool, &info))
		die("cannot open the base pool: %s", memkv_error_detail());
	memkv_pool_close(pool);
	return info.slots_live;
}

/* the kernel gives a dead agent's lock back when the last of its I/O is torn down, a moment after its death */
static void reap(pid_t child, const char *path, uint32_t others)
{
	int status;

	if (child < 0 || waitpid(child, &status, 0) != child || !WIFSIGNALED(status))
		die("an agent that was to be killed ended otherwise");
	for (int i = 0; attached(path) > others; i++) {
		if (i == LOCK_WAIT_MS)
			die("the lock of a dead agent stays");
		usleep(1000);
	}
}

/* an agent that dies with a place reserved and nothing in it, and a block behind that place */
static void die_putting(struct base *base, const char *path, uint32_t first, uint32_t others)
{
	pid_t child = fork();

	if (child == 0) {
		struct memkv_pool *pool = attach(path);
		struct room_place place;
		for (uint32_t i = 0; i < DYING_BLOCKS; i++)
			put(base, pool, first + i, 0);
		if (room_reserve(&pool->room, 3, &place))
			die("cannot reserve");
		put(base, pool, first + DYING_BLOCKS, 0);
		raise(SIGKILL);
	}
	reap(child, path, others);
}

/* an agent that dies while it has a victim at hand, whose hot blocks have moved by then */
static void die_reclaiming(struct base *base, const char *path, uint32_t first)
{
	pid_t child = fork();

	if (child == 0) {
		struct memkv_pool *pool = attach(path);
		for (uint32_t i = 0; i < DYING_BLOCKS_MAX; i++) {
			uint64_t moved = atomic_load(&pool->counters.moved_blocks);
			put(base, pool, first + i, 0);
			if (pool->room.next_ready && atomic_load(&pool->counters.moved_blocks) > moved)
				break;
		}
		raise(SIGKILL);
	}
	reap(child, path, 0);
}

/* two agents at once leave parked segments; a third one is killed */
static void make_young(struct base *base, const char *path)
{
	struct memkv_pool *one = attach(path), *two = attach(path);

	for (uint32_t i = 0; i < YOUNG_BLOCKS; i++)
		put(base, i % 3 ? one : two, i, 0);
	for (uint32_t i = 0; i < YOUNG_BLOCKS; i += 11)
		forget(base, one, i);
	for (uint32_t i = 5; i < YOUNG_BLOCKS; i += 23)
		put(base, two, i, 1);
	for (uint32_t i = 22; i < YOUNG_BLOCKS; i += 44)
		put(base, two, i, 2); /* removed above: back with other bytes */
	die_putting(base, path, YOUNG_BLOCKS, 2);
	memkv_pool_close(one);
	memkv_pool_close(two);
}

/* two and a half times what the pool holds, by an agent that attaches again and again */
static void make_cycled(struct base *base, const char *path)
{
	struct memkv_pool *pool = attach(path);

	for (uint32_t i = 0; i < CYCLED_BLOCKS; i++) {
		put(base, pool, i, 0);
		if (i % 5 == 0)
			use(pool, i);
		if (i % 13 == 7)
			forget(base, pool, i);
		if (i % 500 == 499) {
			memkv_pool_close(pool);
			pool = attach(path);
		}
	}
	memkv_pool_close(pool);
	die_putting(base, path, CYCLED_BLOCKS, 0);
	die_reclaiming(base, path, CYCLED_BLOCKS + DYING_BLOCKS + 1);
}

static void load(struct base *base, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t end = lseek(fd, 0, SEEK_END);

	base->bytes = (uint64_t)end;
	base->image = aligned_alloc(PAGE, base->bytes);
	for (uint64_t at = 0; base->image && at < base->bytes;) {
		ssize_t got = pread(fd, base->image + at, base->bytes - at, (off_t)at);
		if (got <= 0)
			die("%s: cannot read the base pool", path);
		at += (uint64_t)got;
	}
	close(fd);
}

void base_build(struct base *base, unsigned which, const char *path)
{
	static const char *const names[BASES] = {"young", "cycled"};
	struct memkv_create_options options = {
		.size = sizeof(options), .blocks = POOL_BLOCKS, .block_size = BLOCK_SIZE, .slots = SLOTS, .name = names[which]};

	*base = (struct base){.name = names[which]};
	base->block_count = which ? CYCLED_BLOCKS + DYING_BLOCKS + 1 + DYING_BLOCKS_MAX : YOUNG_BLOCKS + DYING_BLOCKS + 1;
	/* shared: the agents that are killed write down what they have put */
	base->blocks = mmap(NULL, base->block_count * sizeof(*base->blocks), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (base->blocks == MAP_FAILED)
		die("no memory for the base pool");
	for (uint32_t i = 0; i < base->block_count; i++) {
		base->blocks[i] = (struct block){.number = i, .fate = FATE_NEVER};
		block_key(i, &base->blocks[i].key);
	}
	unlink(path);
	if (memkv_pool_create(path, &options))
		die("cannot create the base pool: %s", memkv_error_detail());
	if (which)
		make_cycled(base, path);
	else
		make_young(base, path);
	load(base, path);
	unlink(path);
	base_scan(base);
}

void base_free(struct base *base)
{
	for (uint32_t i = 0; i < base->block_count; i++)
		free(base->blocks[i].payload);
	munmap(base->blocks, base->block_count * sizeof(*base->blocks));
	free(base->image);
	free(base->by_key);
	free(base->targets);
	free(base->page_kinds);
	free(base->entry_used);
}
