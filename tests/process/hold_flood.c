/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holds against a flood of puts: while others write twenty times what the pool holds, bytes behind a hold that is valid after
 * its use are exact, and holds that nobody removes never lapse.
 *
 * One process holds blocks, as many as it may, checks their bytes again and again, releases and takes others.  Others put.  A
 * further one holds blocks and is killed, again and again: what it held is nobody's then.  A last one holds as much as it
 * may and is stopped: the others go on putting.  At the end puts find all of the pool's room again.
 *
 * --pool MIB, --rounds N (how often the pool is filled), --writers N, --buffered 1: on a file through the page cache.
 */
#include "helpers.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BLOCK_MAX = 24 << 10, HELD_MAX = 64, OLD = 1000000 };

static struct {
	atomic_uint_fast64_t put, no_room, verified, lapsed, refused, held, most, kills, stopped_held;
	atomic_bool over;
} *shared;

static const char *path;
static uint32_t attach_flags;

static size_t length_of_number(uint64_t number) { return length_of(number, BLOCK_MAX); }

static int put_number(struct memkv_pool *pool, uint8_t *buffer, uint64_t number)
{
	struct memkv_key key = key_of(number);
	size_t length = length_of_number(number);

	payload_fill(buffer, length, number, 0);
	int result = memkv_put(pool, &key, buffer, length, NULL);
	EXPECT(result == 0 || result == MEMKV_NO_ROOM, "put: %s", memkv_error_detail());
	return result;
}

struct writer {
	uint64_t first, count;
};

static int writer(void *context)
{
	const struct writer *w = context;
	struct memkv_pool *pool = pool_attach(path, attach_flags);
	uint8_t *buffer = pages_alloc(BLOCK_MAX);

	for (uint64_t i = 0; i < w->count; i++)
		atomic_fetch_add(put_number(pool, buffer, w->first + i) == 0 ? &shared->put : &shared->no_room, 1);
	memkv_pool_close(pool);
	return 0;
}

struct mine {
	struct memkv_hold hold;
	uint64_t number;
};

/* a block that was put lately, or long ago */
static bool hold_some(struct memkv_pool *pool, uint64_t *random, struct mine *m)
{
	uint64_t put = atomic_load(&shared->put);

	m->number = OLD + put - random_below(random, put < 400 ? put + 1 : 400);
	struct memkv_key key = key_of(m->number);
	int result = memkv_hold(pool, &key, &m->hold);
	EXPECT(result == 0 || result == MEMKV_MISS || result == -EAGAIN, "hold: %s", memkv_error_detail());
	EXPECT((result == 0) == (m->hold.data != NULL), "hold: %d, and bytes at %p", result, m->hold.data);
	atomic_fetch_add(&shared->refused, result == -EAGAIN);
	return result == 0;
}

static void expect_right(struct memkv_pool *pool, const struct mine *m, const char *when)
{
	size_t length = length_of_number(m->number);
	bool right = m->hold.length == length && payload_right(m->hold.data, length, m->number, 0);
	int valid = memkv_hold_valid(pool, &m->hold);

	EXPECT(valid == 0 || right, "%s: a valid hold of block %llu, and its bytes are wrong", when, (unsigned long long)m->number);
	/* nobody removes, replaces or evicts on request here */
	EXPECT(valid == 1, "%s: the hold of block %llu has lapsed", when, (unsigned long long)m->number);
	atomic_fetch_add(&shared->verified, 1);
}

static int holder(void *context)
{
	struct memkv_pool *pool = pool_attach(path, attach_flags);
	static struct mine mine[HELD_MAX];
	uint64_t random = 5, held = 0;

	(void)context;
	while (!atomic_load(&shared->over)) {
		struct mine *m = &mine[random_below(&random, HELD_MAX)];
		if (!m->hold.data) {
			bool good = hold_some(pool, &random, m);
			held += good;
			atomic_fetch_add(&shared->held, good);
		} else {
			expect_right(pool, m, "before release");
			int result = memkv_release(pool, &m->hold);
			EXPECT(result == 0 && !m->hold.data, "release: %s", memkv_code_name(result));
			held--;
		}
		if (held > atomic_load(&shared->most))
			atomic_store(&shared->most, held);
		for (int i = 0; i < HELD_MAX; i += 16)
			if (mine[i].hold.data)
				expect_right(pool, &mine[i], "while held");
	}
	for (int i = 0; i < HELD_MAX; i++)
		if (mine[i].hold.data) {
			expect_right(pool, &mine[i], "at the end");
			EXPECT(memkv_release(pool, &mine[i].hold) == 0, "release at the end");
		}
	memkv_pool_close(pool);
	return 0;
}

/* holds what it may, and is killed, or stopped, with it */
static int victim(void *context)
{
	struct memkv_pool *pool = pool_attach(path, attach_flags);
	struct mine m;
	uint64_t random = (uint64_t)getpid(), held = 0;

	for (int i = 0; i < 400; i++)
		held += hold_some(pool, &random, &m);
	if (context)
		atomic_store((atomic_uint_fast64_t *)context, held + 1);
	pause();
	return 1;
}

static void flood(uint64_t blocks, uint64_t rounds, uint64_t writers)
{
	struct writer w[8];
	pid_t pids[8];
	atomic_uint_fast64_t *said = shared_alloc(sizeof(*said));
	uint64_t each = blocks * rounds / writers;

	struct writer fill = {OLD, blocks};
	child_join(child_start(writer, &fill), "the first writer");
	pid_t holding = child_start(holder, NULL), stopped = child_start(victim, &shared->stopped_held);
	EXPECT(wait_until(&shared->stopped_held, 1, 60000000), "the one that will be stopped does not hold");
	kill(stopped, SIGSTOP);
	for (uint64_t i = 0; i < writers; i++) {
		w[i] = (struct writer){OLD + blocks + i * each, each};
		pids[i] = child_start(writer, &w[i]);
	}
	while (atomic_load(&shared->put) + atomic_load(&shared->no_room) < blocks + each * writers) {
		atomic_store(said, 0);
		pid_t dying = child_start(victim, said);
		if (!wait_until(said, 1, 60000000))
			EXPECT(false, "a holder does not come to its end");
		child_kill(dying);
		atomic_fetch_add(&shared->kills, 1);
	}
	for (uint64_t i = 0; i < writers; i++)
		child_join(pids[i], "a writer");
	atomic_store(&shared->over, true);
	child_join(holding, "the holder");
	child_kill(stopped);
}

int main(int argc, char **argv)
{
	uint64_t mib = argument_number(argc, argv, "--pool", 24), rounds = argument_number(argc, argv, "--rounds", 20);
	uint64_t writers = argument_number(argc, argv, "--writers", 2);

	if (argument_number(argc, argv, "--buffered", 0)) {
		attach_flags = MEMKV_OPEN_BUFFERED;
		path = scratch_path("hold-flood");
	} else {
		if (access("/dev/shm", W_OK))
			skip_test("there is no /dev/shm, whose files are memory");
		path = scratch_fast_path("hold-flood");
	}
	shared = shared_alloc(sizeof(*shared));
	pool_make_bytes(path, MIB(mib), 32 << 10);
	struct memkv_pool *pool = pool_attach(path, attach_flags | MEMKV_OPEN_READ_ONLY);
	struct memkv_pool_info info = describe_of(pool);
	uint64_t blocks = info.segments * info.segment_room / 12000;
	memkv_pool_close(pool);
	flood(blocks, rounds, writers);
	/* everything is free again: what was held by the dead and the stopped */
	pool = pool_attach(path, attach_flags);
	struct memkv_counters before = counters_of(pool);
	uint8_t *buffer = pages_alloc(BLOCK_MAX);
	for (uint64_t i = 0; i < 2 * blocks; i++)
		EXPECT(put_number(pool, buffer, 90000000 + i) == 0, "put at the end: %s", memkv_error_detail());
	EXPECT(counters_of(pool).segments_held == before.segments_held, "segments are still held at the end");
	EXPECT(counters_of(pool).segments_reclaimed > info.segments, "not every segment was opened anew at the end");
	pool_expect_clean(pool, "at the end");
	memkv_pool_close(pool);
	EXPECT(atomic_load(&shared->most) > 20 && atomic_load(&shared->verified) > 1000, "hardly anything was held");
	EXPECT(atomic_load(&shared->stopped_held) > 1, "the stopped one held nothing");
	printf("%llu puts (%llu times no room) into a pool of %llu blocks; %llu holds, up to %llu at a time, looked at %llu times, "
	       "none lapsed or wrong; %llu answers 'not now', %llu holders killed\n",
	       (unsigned long long)atomic_load(&shared->put), (unsigned long long)atomic_load(&shared->no_room),
	       (unsigned long long)blocks, (unsigned long long)atomic_load(&shared->held),
	       (unsigned long long)atomic_load(&shared->most), (unsigned long long)atomic_load(&shared->verified),
	       (unsigned long long)atomic_load(&shared->refused), (unsigned long long)atomic_load(&shared->kills));
	return 0;
}
