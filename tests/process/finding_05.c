/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding 5: facts have a carrier when a ring laps, a slot is taken over, an agent dies.
 *
 * One agent after the other attaches, pins and unpins - keys and sessions, more than a ring holds - and leaves, or is
 * killed.  All of them get the same few slots.  After each of them a process that knows nothing finds exactly the pins
 * that were acknowledged (of the call that was interrupted: either), and none that was taken back.
 *
 * --agents N, --seed S
 */
#include "helpers.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KEYS = 30, SESSIONS = 4, CALLS_MOST = 300, BLOCK = 3000 };

static struct {
	atomic_int pinned[KEYS + SESSIONS]; /* acknowledged: 1 pinned, 0 not */
	atomic_int at_work;		    /* on this one, or -1 */
	atomic_uint_fast64_t calls, seed;
} *shared;

static const char *path;

static int call(struct memkv_pool *pool, int subject, bool pin)
{
	char session[16];
	int64_t result;

	snprintf(session, sizeof(session), "s%d", subject - KEYS);
	if (subject >= KEYS) {
		result = pin ? memkv_pin_session(pool, session, NULL) : memkv_unpin_session(pool, session);
	} else {
		struct memkv_key key = key_of((uint64_t)subject);
		struct memkv_pin_options options = {.size = sizeof(options), .flags = subject % 2 ? MEMKV_PIN_FOR_EVER : 0};
		result = pin ? memkv_pin(pool, &key, 1, &options, NULL) : memkv_unpin(pool, &key, 1, NULL);
	}
	return (int)result;
}

static int agent(void *context)
{
	uint64_t state = atomic_load(&shared->seed), calls = 1 + random_below(&state, CALLS_MOST);
	struct memkv_pool *pool = pool_attach(path, MEMKV_OPEN_NO_FOLLOWER);

	(void)context;
	for (uint64_t i = 0; i < calls; i++) {
		int subject = (int)random_below(&state, KEYS + SESSIONS);
		bool pin = random_below(&state, 2);
		atomic_store(&shared->at_work, subject);
		int result = call(pool, subject, pin);
		EXPECT(result >= 0 || (!pin && result == MEMKV_MISS), "%s: %s", pin ? "pin" : "unpin", memkv_code_name(result));
		atomic_store(&shared->pinned[subject], pin);
		atomic_store(&shared->at_work, -1);
		atomic_fetch_add(&shared->calls, 1);
	}
	memkv_pool_close(pool);
	return 0;
}

static bool listed(const struct memkv_pin_info *pins, int64_t count, int subject)
{
	struct memkv_key key = key_of((uint64_t)subject);
	char session[16];

	snprintf(session, sizeof(session), "s%d", subject - KEYS);
	for (int64_t i = 0; i < count; i++) {
		if (subject >= KEYS ? pins[i].is_session && strcmp(pins[i].session, session) == 0
				    : !pins[i].is_session && memcmp(&pins[i].key, &key, sizeof(key)) == 0)
			return true;
	}
	return false;
}

static void look(uint64_t round)
{
	struct memkv_pool *pool = pool_attach(path, MEMKV_OPEN_NO_FOLLOWER | MEMKV_OPEN_READ_ONLY);
	struct memkv_pin_info pins[KEYS + SESSIONS + 8];
	int64_t count = memkv_pins(pool, pins, KEYS + SESSIONS + 8);
	int open = atomic_load(&shared->at_work);

	EXPECT(count >= 0 && count <= KEYS + SESSIONS, "pins: %lld", (long long)count);
	for (int subject = 0; subject < KEYS + SESSIONS; subject++) {
		bool there = listed(pins, count, subject);
		if (subject == open)
			atomic_store(&shared->pinned[subject], there); /* its call was interrupted */
		else
			EXPECT(there == (bool)atomic_load(&shared->pinned[subject]), "round %llu: subject %d is %s",
			       (unsigned long long)round, subject, there ? "pinned again" : "not pinned any more");
	}
	atomic_store(&shared->at_work, -1);
	pool_expect_clean(pool, "a fresh reader");
	memkv_pool_close(pool);
}

int main(int argc, char **argv)
{
	struct memkv_create_options options = {.size = sizeof(options), .bytes = MIB(12), .max_block = KIB(64), .slots = 3};
	uint64_t agents = argument_number(argc, argv, "--agents", 150), state = argument_number(argc, argv, "--seed", 1);
	uint64_t killed = 0;
	static uint8_t block[BLOCK];

	shared = shared_alloc(sizeof(*shared));
	atomic_store(&shared->at_work, -1);
	path = scratch_fast_path("finding-05");
	pool_make(path, &options);
	struct memkv_pool *pool = pool_attach(path, MEMKV_OPEN_NO_FOLLOWER);
	for (uint64_t n = 0; n < KEYS; n++) {
		struct memkv_key key = key_of(n);
		EXPECT(memkv_put(pool, &key, block, BLOCK, NULL) == 0, "put");
	}
	memkv_pool_close(pool);
	for (uint64_t round = 0; round < agents; round++) {
		atomic_store(&shared->seed, random_next(&state));
		uint64_t until = atomic_load(&shared->calls) + random_below(&state, CALLS_MOST);
		pid_t child = child_start(agent, NULL);
		int status;
		if (random_below(&state, 2)) {
			child_join(child, "an agent");
		} else {
			while (atomic_load(&shared->calls) < until && waitpid(child, &status, WNOHANG) == 0)
				sleep_us(20);
			kill(child, SIGKILL);
			waitpid(child, &status, 0);
			killed++;
		}
		look(round);
	}
	printf("%llu agents, %llu of them killed, %llu pins and unpins: what was acknowledged holds\n",
	       (unsigned long long)agents, (unsigned long long)killed, (unsigned long long)atomic_load(&shared->calls));
	return 0;
}
