/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding 8: small pools, and newcomers that depend on the living.
 *
 * The smallest pools, filled by agents that stay and do nothing more (some of them stopped): a newcomer's first put ends at
 * once, in a segment of its own.  One agent too many is refused, and told who has the slots.  When all agents but one were killed
 * that one can use all of the pool: it opens every segment.
 */
#include "helpers.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { AGENTS = 64, BLOCK = 30000 };

static struct {
	atomic_uint_fast64_t full; /* agents that have put what they should */
	atomic_uint_fast64_t next;
} *shared;

static const char *path;
static uint8_t *buffer;

static int put(struct memkv_pool *pool)
{
	struct memkv_key key = key_of(atomic_fetch_add(&shared->next, 1));

	return memkv_put(pool, &key, buffer, BLOCK, NULL);
}

static int idle_agent(void *context)
{
	uint64_t room = *(uint64_t *)context;
	struct memkv_pool *pool = pool_attach(path, 0);

	for (uint64_t i = 0; i < room / 4; i++) /* together nearly four times the pool */
		EXPECT(put(pool) == 0, "put: %s", memkv_error_detail());
	atomic_fetch_add(&shared->full, 1);
	for (;;)
		pause();
	return 0;
}

static void newcomer(uint32_t slots)
{
	struct memkv_pool *pool = pool_attach(path, 0), *more;

	uint64_t before = now_us();
	EXPECT(put(pool) == 0, "the newcomer's first put: %s", memkv_error_detail());
	uint64_t took = now_us() - before;
	struct memkv_counters c = counters_of(pool);
	EXPECT(c.segments_opened + c.segments_resumed >= 1, "the newcomer put without a segment");
	printf("first put of a newcomer to a full pool with %u slots, all but one taken: %llu us\n", slots, (unsigned long long)took);
	int err = memkv_pool_open(path, NULL, &more);
	EXPECT(err == MEMKV_NO_SLOT && strstr(memkv_error_detail(), "slot"), "one too many: %s: %s", memkv_code_name(err),
	       memkv_error_detail());
	memkv_pool_close(pool);
}

/* each segment that is there is opened by the survivor */
static void survivor(uint64_t room)
{
	struct memkv_pool *pool = pool_attach(path, 0);
	struct memkv_pool_info info = describe_of(pool);
	uint8_t *opened = calloc(info.segments, 1);
	struct memkv_block_info block;
	uint64_t count = 0;

	for (uint64_t i = 0; i < 4 * room; i++) {
		EXPECT(put(pool) == 0, "the survivor's put: %s", memkv_error_detail());
		struct memkv_key key = key_of(atomic_load(&shared->next) - 1);
		EXPECT(memkv_stat(pool, &key, &block) == 0, "what was just put is a miss");
		count += !opened[block.segment];
		opened[block.segment] = 1;
	}
	printf("the survivor wrote to %llu of %llu segments\n", (unsigned long long)count, (unsigned long long)info.segments);
	EXPECT(count == info.segments, "segments that the dead had are nobody's");
	free(opened);
	pool_expect_clean(pool, "afterwards");
	memkv_pool_close(pool);
}

int main(void)
{
	pid_t agents[AGENTS];

	shared = shared_alloc(sizeof(*shared));
	buffer = pages_alloc(BLOCK);
	path = scratch_fast_path("finding-08");
	pool_make_bytes(path, MIB(8), 0); /* the least there is */
	struct memkv_pool *pool = pool_attach(path, MEMKV_OPEN_READ_ONLY);
	struct memkv_pool_info info = describe_of(pool);
	memkv_pool_close(pool);
	uint64_t room = info.segments * info.segment_room / BLOCK;
	uint32_t idle = info.slots - 2; /* one is kept for commands, one is the newcomer's */
	EXPECT(idle <= AGENTS, "%u slots", info.slots);
	for (uint32_t i = 0; i < idle; i++)
		agents[i] = child_start(idle_agent, &room);
	EXPECT(wait_until(&shared->full, idle, 120000000), "agents do not get on with each other");
	for (uint32_t i = 0; i < idle; i += 2)
		kill(agents[i], SIGSTOP);
	newcomer(info.slots);
	for (uint32_t i = 0; i < idle; i++)
		child_kill(agents[i]);
	survivor(room);
	scratch_remove(path);
	return 0;
}
