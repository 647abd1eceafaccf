/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Eight agents on one file pool, killed, stopped and started again at random, for as long as one likes.
 *
 * Each agent puts, replaces, removes, pins and unpins its own keys and reads everybody's.  The parent kills some (a new
 * one takes over the keys, and puts anew what its predecessor was at), stops some (SIGSTOP) and wakes them later.
 * An independent process knows from a ledger in shared memory what was acknowledged, reads everything all the time, and
 * attaches anew now and then:
 *   - what is there is exactly one of the versions that may be there,
 *   - a pinned block is there, exactly, whatever happens,
 *   - with room for all (--mode room) every acknowledged block is there.
 * In a pool that is too small (--mode full, the default) others may have been evicted.  Room for all means for all that is
 * ever put: replaced blocks take room until their segment is emptied, so puts end when the pool has been written once.  At the end all agents leave, a
 * fresh attach compares all, and a check finds nothing.
 *
 * usage: storm [--seconds N] [--mode room|full] [--seed N]
 */
#include "helpers.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { AGENTS = 8, KEYS = 48, ALL = AGENTS * KEYS, LIMIT_US = 60000000 };
#define MAX_BLOCK KIB(64)

/* a key's ledger: acknowledged version 24 | pending version 24 | pin 8; written by its agent alone */
enum pin { FREE_TO_GO, PINNING, PINNED, UNPINNING, UNSETTLED };
#define GONE 0xffffffU

static struct {
	atomic_uint_fast64_t record[ALL], changes[ALL];
	atomic_uint_fast64_t version, bytes, ready, stop, puts, pins, removes, refused, looks, pinned_looks, attaches, no_room, settled;
} *shared;

struct state {
	uint32_t acked, pending;
	enum pin pin;
};

static const char *path;
static bool room_for_all;
static uint64_t budget;
static uint64_t seed;

static struct state state_of(uint64_t record)
{
	return (struct state){(uint32_t)(record >> 40) & GONE, (uint32_t)(record >> 16) & GONE, (enum pin)(record & 0xff)};
}

static struct state read_state(uint64_t number) { return state_of(atomic_load(&shared->record[number])); }

static bool is_unsettled(uint64_t number)
{
	struct state s = read_state(number);

	return s.pending || s.pin == PINNING || s.pin == UNPINNING || s.pin == UNSETTLED;
}

static void note(uint64_t number, struct state s)
{
	atomic_store(&shared->record[number], (uint64_t)s.acked << 40 | (uint64_t)s.pending << 16 | (uint64_t)s.pin);
	atomic_fetch_add(&shared->changes[number], 1);
}

static size_t length_for(uint64_t number, uint32_t version) { return length_of(number * 31 + version, MAX_BLOCK); }

/* ---- an agent ---- */

static void put_new(struct memkv_pool *pool, uint64_t number, void *buffer)
{
	struct memkv_put_options replace = {.size = sizeof(replace), .flags = MEMKV_PUT_REPLACE};
	struct memkv_key key = key_of(number);
	struct state s = read_state(number);

	s.pending = (uint32_t)(atomic_fetch_add(&shared->version, 1) + 1) & 0x7fffff;
	size_t length = length_for(number, s.pending);
	atomic_fetch_add(&shared->bytes, length + 2 * PAGE_BYTES);
	payload_fill(buffer, length, number, s.pending);
	note(number, s);
	int err = memkv_put(pool, &key, buffer, length, &replace);
	EXPECT(err == 0 || err == MEMKV_NO_ROOM || err == MEMKV_PINNED, "put of key %llu: %s", (unsigned long long)number,
	       memkv_code_name(err));
	if (!err)
		s.acked = s.pending;
	s.pending = 0;
	note(number, s);
	atomic_fetch_add(err ? &shared->no_room : &shared->puts, 1);
}

static void remove_one(struct memkv_pool *pool, uint64_t number)
{
	struct memkv_key key = key_of(number);
	struct state s = read_state(number);
	bool pinned = s.pin == PINNED;

	s.pending = pinned ? 0 : GONE;
	note(number, s);
	int removed = memkv_remove(pool, &key);
	EXPECT(removed > 0 || removed == MEMKV_MISS || removed == MEMKV_PINNED, "remove: %s", memkv_code_name(removed));
	EXPECT(!pinned || removed == MEMKV_PINNED, "remove of a pinned block: %s", memkv_code_name(removed));
	if (removed != MEMKV_PINNED)
		s.acked = GONE;
	s.pending = 0;
	note(number, s);
	atomic_fetch_add(removed == MEMKV_PINNED ? &shared->refused : &shared->removes, 1);
}

static void pin_or_not(struct memkv_pool *pool, uint64_t number)
{
	struct memkv_key key = key_of(number);
	struct state s = read_state(number);
	bool pin = s.pin != PINNED;

	s.pin = pin ? PINNING : UNPINNING;
	note(number, s);
	int64_t done = pin ? memkv_pin(pool, &key, 1, NULL, NULL) : memkv_unpin(pool, &key, 1, NULL);
	EXPECT(done >= 0 || done == MEMKV_PIN_LIMIT, "%s: %s", pin ? "pin" : "unpin", memkv_code_name((int)done));
	s.pin = pin && done == 1 ? PINNED : FREE_TO_GO;
	note(number, s);
	atomic_fetch_add(&shared->pins, pin && done == 1);
}

/*
 * A predecessor was killed at something, and left the new version, the old one, or both: of which the new may be evicted before
 * the old.  Its successor does what anybody would who wants to know: it puts anew.  Until then nothing is said of the key.
 */
static void settle(struct memkv_pool *pool, uint64_t number, void *buffer)
{
	struct memkv_put_options replace = {.size = sizeof(replace), .flags = MEMKV_PUT_REPLACE};
	struct memkv_key key = key_of(number);
	struct state s = {.pin = UNSETTLED};

	note(number, s);
	EXPECT(memkv_unpin(pool, &key, 1, NULL) >= 0, "unpin of what was perhaps pinned");
	s.acked = (uint32_t)(atomic_fetch_add(&shared->version, 1) + 1) & 0x7fffff;
	size_t length = length_for(number, s.acked);
	payload_fill(buffer, length, number, s.acked);
	int err = memkv_put(pool, &key, buffer, length, &replace);
	EXPECT(err == 0 || err == MEMKV_NO_ROOM, "settling: %s", memkv_code_name(err));
	int removed = err ? memkv_remove_with(pool, &key, MEMKV_REMOVE_UNPIN) : MEMKV_MISS;
	EXPECT(removed > 0 || removed == MEMKV_MISS, "settling: %s", memkv_code_name(removed));
	note(number, (struct state){.acked = err ? GONE : s.acked});
	atomic_fetch_add(&shared->settled, 1);
}

static bool is_version(uint64_t number, uint32_t version, const void *bytes, int64_t got)
{
	return version && version != GONE && got == (int64_t)length_for(number, version) &&
	       payload_right(bytes, (size_t)got, number, version);
}

/* what is there may be there, and what must be there is; counts looks at pinned blocks */
static void look(struct memkv_pool *pool, uint64_t number, void *buffer, const char *who)
{
	struct memkv_get_options upto = {.size = sizeof(upto), .flags = MEMKV_GET_UPTO};
	struct memkv_key key = key_of(number);
	uint64_t changes = atomic_load(&shared->changes[number]);
	struct state s = read_state(number);
	if (s.pin == UNSETTLED)
		return;
	bool pinned = s.pin == PINNED, must = !s.pending && s.acked && s.acked != GONE && (pinned || room_for_all);

	int64_t got = memkv_get(pool, &key, buffer, MAX_BLOCK, &upto);
	bool known = got == MEMKV_MISS ? !must : is_version(number, s.acked, buffer, got) || is_version(number, s.pending, buffer, got);
	if (!known) { /* as fresh as can be, before anything is said: a put that was killed has not removed what it replaced */
		memkv_pool_refresh(pool);
		got = memkv_get(pool, &key, buffer, MAX_BLOCK, &upto);
	}
	if (atomic_load(&shared->changes[number]) != changes)
		return; /* its agent is at it */
	atomic_fetch_add(&shared->looks, 1);
	atomic_fetch_add(&shared->pinned_looks, pinned && must);
	EXPECT(got == MEMKV_MISS || is_version(number, s.acked, buffer, got) || is_version(number, s.pending, buffer, got),
	       "%s: key %llu, acknowledged %u, pending %u: got %lld", who, (unsigned long long)number, s.acked, s.pending,
	       (long long)got);
	EXPECT(!must || got > 0, "%s: key %llu, version %u, %s: gone", who, (unsigned long long)number, s.acked,
	       pinned ? "pinned" : "acknowledged, and there is room for all");
}

static int agent_body(void *context)
{
	unsigned which = (unsigned)(uintptr_t)context;
	struct memkv_pool *pool = pool_attach(path, 0);
	uint8_t *buffer = pages_alloc(MAX_BLOCK);
	uint64_t random = seed * 1000 + which + (uint64_t)getpid() * 7919;

	for (uint64_t number = which * KEYS; number < (which + 1) * KEYS; number++)
		if (is_unsettled(number))
			settle(pool, number, buffer);
	atomic_fetch_add(&shared->ready, 1);
	while (!atomic_load(&shared->stop)) {
		uint64_t number = which * KEYS + random_below(&random, KEYS), dice = random_below(&random, 32);
		struct state s = read_state(number);
		bool may_put = s.pin == FREE_TO_GO && (!room_for_all || atomic_load(&shared->bytes) < budget);
		if (dice < 14 && may_put)
			put_new(pool, number, buffer);
		else if (dice < 16)
			remove_one(pool, number);
		else if (dice < 19 && (s.pin == PINNED || number % 4 == 0))
			pin_or_not(pool, number);
		else
			look(pool, random_below(&random, ALL), buffer, "an agent");
	}
	memkv_pool_close(pool);
	return 0;
}

static int checker_body(void *context)
{
	struct memkv_pool *pool = pool_attach(path, MEMKV_OPEN_READ_ONLY);
	uint8_t *buffer = pages_alloc(MAX_BLOCK);

	(void)context;
	for (uint64_t round = 1; !atomic_load(&shared->stop); round++) {
		for (uint64_t number = 0; number < ALL; number++)
			look(pool, number, buffer, "the checker");
		if (round % 16)
			continue;
		memkv_pool_close(pool); /* what is in the index is on the media */
		pool = pool_attach(path, MEMKV_OPEN_READ_ONLY);
		atomic_fetch_add(&shared->attaches, 1);
	}
	memkv_pool_close(pool);
	return 0;
}

/* ---- the parent ---- */

struct weather {
	pid_t agent[AGENTS];
	bool stopped[AGENTS];
	uint64_t kills, stops, random;
};

static void expect_alive(pid_t child)
{
	int status;

	EXPECT(waitpid(child, &status, WNOHANG) == 0, "a process has failed");
}

static void strike(struct weather *w)
{
	unsigned who = (unsigned)random_below(&w->random, AGENTS);
	pid_t agent = w->agent[who];

	expect_alive(agent);
	if (w->stopped[who]) {
		w->stopped[who] = false;
		kill(agent, SIGCONT);
		if (random_below(&w->random, 2))
			return; /* a zombie goes on where it was */
	}
	if (random_below(&w->random, 3)) {
		w->stopped[who] = true;
		w->stops++;
		kill(agent, SIGSTOP);
		return;
	}
	child_kill(agent);
	w->kills++;
	w->agent[who] = child_start(agent_body, (void *)(uintptr_t)who);
}

static void end_all(struct weather *w, pid_t checker)
{
	atomic_store(&shared->stop, 1);
	for (unsigned i = 0; i < AGENTS; i++) {
		kill(w->agent[i], SIGCONT);
		child_join(w->agent[i], "an agent");
	}
	child_join(checker, "the checker");
}

static void final_look(void)
{
	struct memkv_pool *pool = pool_attach(path, 0);
	uint8_t *buffer = pages_alloc(MAX_BLOCK);

	for (uint64_t number = 0; number < ALL; number++) {
		if (is_unsettled(number))
			settle(pool, number, buffer);
		look(pool, number, buffer, "at the end");
	}
	pool_expect_clean(pool, "at the end");
	memkv_pool_close(pool);
}

int main(int argc, char **argv)
{
	uint64_t seconds = argument_number(argc, argv, "--seconds", 8);
	const char *mode = argument_text(argc, argv, "--mode", "full");
	struct weather w = {0};

	room_for_all = !strcmp(mode, "room");
	EXPECT(room_for_all || !strcmp(mode, "full"), "--mode is room or full");
	w.random = seed = argument_number(argc, argv, "--seed", 1);
	shared = shared_alloc(sizeof(*shared));
	path = scratch_path("storm");
	budget = MIB(30) * seconds;
	pool_make_bytes(path, room_for_all ? budget * 3 / 2 : MIB(16), MAX_BLOCK);
	for (unsigned i = 0; i < AGENTS; i++)
		w.agent[i] = child_start(agent_body, (void *)(uintptr_t)i);
	EXPECT(wait_until(&shared->ready, AGENTS, LIMIT_US), "the agents do not begin");
	pid_t checker = child_start(checker_body, NULL);
	for (uint64_t end = now_us() + seconds * 1000000; now_us() < end; strike(&w)) {
		sleep_us(random_below(&w.random, 40000));
		expect_alive(checker);
	}
	end_all(&w, checker);
	final_look();
	EXPECT(atomic_load(&shared->pinned_looks) > 0 && w.kills > 0 && w.stops > 0, "no storm");
	printf("%llu kills, %llu stops; %llu puts, %llu removals, %llu pins, %llu removals refused, %llu puts found no room; %llu "
	       "looks and %llu at pinned blocks, %llu fresh attaches, %llu keys settled after a kill: 0 wrong, 0 lost\n",
	       (unsigned long long)w.kills, (unsigned long long)w.stops, (unsigned long long)shared->puts,
	       (unsigned long long)shared->removes, (unsigned long long)shared->pins, (unsigned long long)shared->refused,
	       (unsigned long long)shared->no_room, (unsigned long long)shared->looks, (unsigned long long)shared->pinned_looks,
	       (unsigned long long)shared->attaches, (unsigned long long)shared->settled);
	scratch_remove(path);
	return 0;
}
