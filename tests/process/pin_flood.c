/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many processes and pins.  A third of a full pool is pinned as a session, from the start; then writers put sixty times what the pool holds, and are killed at seeded moments and replaced; a pinner pins
 * and unpins others by key, and is killed as well; a remover tries to remove what may be pinned.  A reader
 * compares all along: a block whose pin was acknowledged and not taken back is there, exactly.  At the end all pins are
 * taken back and the pool can be filled from end to end.
 *
 * --mib N, --times N, --seed S, --threads T: (writers only) each with T threads
 */
#include "helpers.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WRITERS = 3, KEPT_MOST = 4000, MAX_BLOCK = 64 << 10, HELD = 2 };
#define SESSION "kept"
enum { FREE_TO_GO, PINNING, PINNED, UNPINNING };

static struct {
	atomic_int state[KEPT_MOST];
	atomic_uint_fast64_t changes[KEPT_MOST]; /* of the state */
	atomic_uint_fast64_t written, refused, next, pins, removals_refused, removed, stop;
} *shared;

static const char *path;
static uint64_t kept, threads, seed;

static size_t length_at(uint64_t number) { return length_of(number, MAX_BLOCK); }

static bool in_session(uint64_t number) { return number < KEPT_MOST && number % 3 == 0; }

static int put_one(struct memkv_pool *pool, uint8_t *buffer, uint64_t number)
{
	struct memkv_put_options options = {.size = sizeof(options), .session = in_session(number) ? SESSION : NULL};
	struct memkv_key key = key_of(number);

	payload_fill(buffer, length_at(number), number, 0);
	return memkv_put(pool, &key, buffer, length_at(number), &options);
}

static bool get_one(struct memkv_pool *pool, uint8_t *buffer, uint64_t number)
{
	struct memkv_key key = key_of(number);
	int64_t got = memkv_get(pool, &key, buffer, length_at(number), NULL);

	EXPECT(got == MEMKV_MISS || (got == (int64_t)length_at(number) && payload_right(buffer, length_at(number), number, 0)),
	       "get: %s", got < 0 ? memkv_code_name((int)got) : "wrong bytes");
	return got > 0;
}

/* ---- the processes ---- */

static void *write_blocks(void *context)
{
	struct memkv_pool *pool = context;
	uint8_t *buffer = pages_alloc(MAX_BLOCK);

	while (!atomic_load(&shared->stop)) {
		uint64_t number = KEPT_MOST + atomic_fetch_add(&shared->next, 1);
		int err = put_one(pool, buffer, number);
		EXPECT(err == 0 || err == MEMKV_NO_ROOM, "put: %s", memkv_code_name(err));
		atomic_fetch_add(err ? &shared->refused : &shared->written, err ? 1 : length_at(number));
	}
	return NULL;
}

static int writer(void *context)
{
	struct memkv_pool *pool = pool_attach(path, 0);
	pthread_t others[16];

	(void)context;
	for (uint64_t i = 1; i < threads; i++)
		pthread_create(&others[i], NULL, write_blocks, pool);
	write_blocks(pool);
	for (uint64_t i = 1; i < threads; i++)
		pthread_join(others[i], NULL);
	memkv_pool_close(pool);
	return 0;
}

static void change(uint64_t number, int state)
{
	atomic_fetch_add(&shared->changes[number], 1);
	atomic_store(&shared->state[number], state);
	atomic_fetch_add(&shared->changes[number], 1);
}

static int pinner(void *context)
{
	struct memkv_pool *pool = pool_attach(path, 0);
	uint64_t random = seed + (uint64_t)getpid();

	(void)context;
	while (!atomic_load(&shared->stop)) {
		uint64_t number = random_below(&random, kept / 3) * 3 + 1;
		struct memkv_key key = key_of(number);
		int before = atomic_load(&shared->state[number]);
		if (before == PINNED && random_below(&random, HELD) == 0) {
			change(number, UNPINNING);
			EXPECT(memkv_unpin(pool, &key, 1, NULL) == 1, "unpin of a pinned block");
			change(number, FREE_TO_GO);
		} else if (before != PINNED) { /* also what a killed one was at */
			change(number, PINNING);
			int64_t result = memkv_pin(pool, &key, 1, NULL, NULL);
			EXPECT(result >= 0 || result == MEMKV_PIN_LIMIT, "pin: %s", memkv_code_name((int)result));
			change(number, result == 1 ? PINNED : FREE_TO_GO);
			atomic_fetch_add(&shared->pins, result == 1);
		}
		sleep_us(500);
	}
	memkv_pool_close(pool);
	return 0;
}

static int remover(void *context)
{
	struct memkv_pool *pool = pool_attach(path, 0);
	uint64_t random = seed + (uint64_t)getpid();

	(void)context;
	while (!atomic_load(&shared->stop)) {
		uint64_t number = random_below(&random, kept);
		struct memkv_key key = key_of(number);
		if (random_below(&random, 8) && atomic_load(&shared->state[number]) != PINNED)
			continue;
		uint64_t before = atomic_load(&shared->changes[number]);
		bool pinned = atomic_load(&shared->state[number]) == PINNED;
		int result = memkv_remove(pool, &key);
		bool same = before % 2 == 0 && atomic_load(&shared->changes[number]) == before;
		EXPECT(!(pinned && same) || result == MEMKV_PINNED, "remove of pinned block %llu: %s", (unsigned long long)number,
		       memkv_code_name(result));
		atomic_fetch_add(&shared->removals_refused, result == MEMKV_PINNED);
		atomic_fetch_add(&shared->removed, result > 0);
		sleep_us(1000);
	}
	memkv_pool_close(pool);
	return 0;
}

/* ---- the reader ---- */

static uint64_t look_at_all(struct memkv_pool *pool, uint8_t *buffer)
{
	uint64_t held = 0;

	for (uint64_t number = 0; number < kept; number++) {
		uint64_t before = atomic_load(&shared->changes[number]);
		bool pinned = before % 2 == 0 && atomic_load(&shared->state[number]) == PINNED;
		bool there = get_one(pool, buffer, number);
		if (!there && pinned) { /* as fresh as can be, before anything is said */
			memkv_pool_refresh(pool);
			there = get_one(pool, buffer, number);
		}
		bool same = atomic_load(&shared->changes[number]) == before;
		EXPECT(there || !pinned || !same, "block %llu is pinned and gone", (unsigned long long)number);
		held += pinned && same;
	}
	return held;
}

static void restart(pid_t *child, int (*body)(void *))
{
	int status;

	kill(*child, SIGKILL);
	EXPECT(waitpid(*child, &status, 0) == *child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
	       "a process has failed (wait status %#x)", (unsigned)status);
	*child = child_start(body, NULL);
}

static uint64_t fill(struct memkv_pool *pool, uint8_t *buffer)
{
	uint64_t bytes = 0;

	while (counters_of(pool).evicted_blocks == 0) {
		bytes += length_at(kept);
		EXPECT(kept < KEPT_MOST && put_one(pool, buffer, kept++) == 0, "filling");
	}
	return bytes;
}

/* nobody else is there, nothing is pinned: everything can be written over */
static void expect_whole_room(uint8_t *buffer, uint64_t room)
{
	struct memkv_pool *pool = pool_attach(path, MEMKV_OPEN_NO_FOLLOWER);
	uint64_t first = 1ULL << 40, count = 0, there = 1, bytes = 0;

	for (uint64_t number = 0; number < kept; number++) {
		struct memkv_key key = key_of(number);
		memkv_unpin(pool, &key, 1, NULL);
	}
	EXPECT(memkv_unpin_session(pool, SESSION) == 0, "unpin of the session");
	EXPECT(memkv_pins(pool, NULL, 0) == 0, "pins are left");
	/* what was read all the time has some second chances left */
	for (int rounds = 0; there && rounds < 12; rounds++) {
		for (bytes = 0; bytes < room; bytes += length_at(first + count++))
			EXPECT(put_one(pool, buffer, first + count) == 0, "put when nothing is pinned any more");
		there = 0;
		for (uint64_t number = 0; number < kept; number++) {
			struct memkv_key key = key_of(number);
			there += memkv_exists(pool, &key, 0) == 1;
		}
	}
	EXPECT(there == 0, "%llu blocks stay though nobody pins them", (unsigned long long)there);
	pool_expect_clean(pool, "in the end");
	memkv_pool_close(pool);
}

int main(int argc, char **argv)
{
	uint64_t mib = argument_number(argc, argv, "--mib", 24), times = argument_number(argc, argv, "--times", 60);
	uint8_t *buffer = pages_alloc(MAX_BLOCK);
	pid_t writers[WRITERS], pinning, removing;
	uint64_t kills = 0, next_kill = 0, held = 0;

	seed = argument_number(argc, argv, "--seed", 1);
	threads = argument_number(argc, argv, "--threads", 1);
	shared = shared_alloc(sizeof(*shared));
	path = scratch_fast_path("pin-flood");
	pool_make_bytes(path, MIB(mib), MAX_BLOCK);
	struct memkv_pool *pool = pool_attach(path, MEMKV_OPEN_NO_FOLLOWER); /* one thread: this process forks */
	uint64_t room = fill(pool, buffer), random = seed;
	int64_t pinned = memkv_pin_session(pool, SESSION, NULL);
	EXPECT(pinned > (int64_t)kept / 4, "%lld blocks of the session are pinned", (long long)pinned);
	for (uint64_t number = 0; number < kept; number += 3) /* some had to go for the others */
		atomic_store(&shared->state[number], get_one(pool, buffer, number) ? PINNED : FREE_TO_GO);
	for (int i = 0; i < WRITERS; i++)
		writers[i] = child_start(writer, NULL);
	pinning = child_start(pinner, NULL);
	removing = child_start(remover, NULL);
	while (atomic_load(&shared->written) < times * room) {
		memkv_pool_refresh(pool);
		held += look_at_all(pool, buffer);
		if (atomic_load(&shared->written) < next_kill)
			continue;
		next_kill = atomic_load(&shared->written) + 1 + random_below(&random, room);
		uint64_t who = random_below(&random, WRITERS + 2);
		pid_t *victim = who < WRITERS ? &writers[who] : who == WRITERS ? &pinning : &removing;
		restart(victim, who < WRITERS ? writer : who == WRITERS ? pinner : remover);
		kills++;
	}
	atomic_store(&shared->stop, 1);
	for (int i = 0; i < WRITERS; i++)
		child_join(writers[i], "a writer");
	child_join(pinning, "the pinner");
	child_join(removing, "the remover");
	look_at_all(pool, buffer);
	struct memkv_counters c = counters_of(pool);
	EXPECT(c.miss_damaged == 0 && c.miss_io == 0, "misses: %llu damaged, %llu by I/O", (unsigned long long)c.miss_damaged,
	       (unsigned long long)c.miss_io);
	memkv_pool_close(pool);
	EXPECT(held > 0 && atomic_load(&shared->removals_refused) > 0, "nothing was pinned: the test tests nothing");
	printf("%llu MiB written over a room of %llu MiB, %llu kills; %llu pins, %llu looks at pinned blocks, each exact; %llu "
	       "removals refused, %llu done; %llu puts found no room\n",
	       (unsigned long long)(atomic_load(&shared->written) >> 20), (unsigned long long)(room >> 20),
	       (unsigned long long)kills, (unsigned long long)atomic_load(&shared->pins), (unsigned long long)held,
	       (unsigned long long)atomic_load(&shared->removals_refused), (unsigned long long)atomic_load(&shared->removed),
	       (unsigned long long)atomic_load(&shared->refused));
	expect_whole_room(buffer, room);
	return 0;
}
