/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three agents replace one key, stopped before chosen stores.
 *
 * B is stopped before a store of its put; A replaces; C begins and is stopped before one of its stores; B goes on and is
 * stopped again some stores later; a reader that has followed all the time looks; C goes on to its end, then B.  All of them
 * were acknowledged and nobody removed the key, so whoever looks fresh, at any of these moments, finds one of the versions; in
 * the end all find the same one, and A's next replace is what is read.
 *
 * --every N: of the stores before which B and C are stopped first; B's second stop takes each of them in turn.
 */
#include "faults.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BLOCK = 3000, KEY = 7, FIRST = 1, BY_A, BY_B, BY_C, LAST };

static struct store_watch *watches; /* of B and C */
static const char *path;
static uint8_t *buffer;

static struct memkv_pool *attach(uint32_t flags)
{
	struct memkv_pool_options options = {
		.size = sizeof(options), .flags = MEMKV_OPEN_NO_FOLLOWER | MEMKV_OPEN_BUFFERED | flags, .lanes = 2};
	struct memkv_pool *pool = NULL;
	int err = memkv_pool_open(path, &options, &pool);

	EXPECT(err == 0, "open: %s", memkv_code_name(err));
	return pool;
}

static int replace(struct memkv_pool *pool, uint32_t version)
{
	struct memkv_put_options options = {.size = sizeof(options), .flags = MEMKV_PUT_REPLACE};
	struct memkv_key key = key_of(KEY);

	payload_fill(buffer, BLOCK, KEY, version);
	return memkv_put(pool, &key, buffer, BLOCK, &options);
}

/* a fresh look, which must hit; returns the version */
static uint32_t version_now(struct memkv_pool *pool, const char *when, const uint64_t at[3])
{
	struct memkv_key key = key_of(KEY);

	memkv_pool_refresh(pool);
	int64_t got = memkv_get(pool, &key, buffer, BLOCK, NULL);
	EXPECT(got == BLOCK, "%s: the key was put and replaced only, yet: %s (B before stores %llu and %llu, C before %llu)",
	       when, memkv_code_name((int)got), (unsigned long long)at[0], (unsigned long long)at[2],
	       (unsigned long long)at[1]);
	for (uint32_t version = FIRST; version <= LAST; version++)
		if (payload_right(buffer, BLOCK, KEY, version))
			return version;
	EXPECT(false, "%s: not the bytes of any put", when);
	return 0;
}

struct agent {
	uint32_t version;
	struct store_watch *watch;
};

static int agent_body(void *context)
{
	struct agent *agent = context;

	faults_record();
	struct memkv_pool *pool = attach(0);
	faults_arm(agent->watch);
	if (replace(pool, agent->version))
		return 1;
	atomic_store(&agent->watch->acknowledged, 1);
	kill(getpid(), SIGKILL); /* whatever it holds stays as it is */
	return 1;
}

/* true: it is stopped; false: it has acknowledged before that store */
static bool run_to_stop(pid_t child, const struct store_watch *watch)
{
	int status = 0;

	EXPECT(waitpid(child, &status, WUNTRACED) == child, "no agent");
	if (WIFSTOPPED(status))
		return true;
	EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && atomic_load(&watch->acknowledged),
	       "an agent failed (wait status %#x)", (unsigned)status);
	return false;
}

static bool start(struct agent *agent, uint64_t stop_at, pid_t *child)
{
	atomic_store(&agent->watch->stores, 0);
	atomic_store(&agent->watch->acknowledged, 0);
	atomic_store(&agent->watch->stop_at, stop_at);
	atomic_store(&agent->watch->kill_at, UINT64_MAX);
	*child = child_start(agent_body, agent);
	return run_to_stop(*child, agent->watch);
}

static bool go_on(const struct agent *agent, pid_t child, uint64_t stop_at)
{
	atomic_store(&agent->watch->stop_at, stop_at);
	kill(child, SIGCONT);
	return run_to_stop(child, agent->watch);
}

/* @at: B's first stop, C's, B's second; returns whether B made so many stores */
static bool one_round(const uint64_t at[3])
{
	struct agent b = {BY_B, &watches[0]}, c = {BY_C, &watches[1]};
	pid_t b_child, c_child;

	path = scratch_fast_path("replaces");
	pool_make_bytes(path, MIB(9), KIB(64));
	struct memkv_pool *pool = attach(0), *reader = attach(MEMKV_OPEN_READ_ONLY);
	EXPECT(replace(pool, FIRST) == 0, "the first put");
	bool b_stopped = start(&b, at[0], &b_child), b_again = false;
	EXPECT(replace(pool, BY_A) == 0, "A's replace");
	bool c_stopped = start(&c, at[1], &c_child);
	version_now(reader, "B and C stopped", at);
	if (b_stopped)
		b_again = go_on(&b, b_child, at[2]);
	version_now(reader, "B stopped again", at);
	if (c_stopped)
		go_on(&c, c_child, UINT64_MAX);
	version_now(reader, "C done", at);
	if (b_again)
		go_on(&b, b_child, UINT64_MAX);
	uint32_t left = version_now(reader, "all done", at);
	struct memkv_pool *fresh = attach(MEMKV_OPEN_READ_ONLY);
	EXPECT(version_now(fresh, "opened later", at) == left && version_now(pool, "A", at) == left, "two versions stayed");
	EXPECT(pool_expect_clean(fresh, "all done") == 1, "more than one block stayed");
	EXPECT(replace(pool, LAST) == 0, "the last replace");
	EXPECT(version_now(reader, "at the end", at) == LAST, "not what was put last");
	memkv_pool_close(fresh);
	memkv_pool_close(reader);
	memkv_pool_close(pool);
	scratch_remove(path);
	return b_again;
}

int main(int argc, char **argv)
{
	uint64_t every = argument_number(argc, argv, "--every", 1), rounds = 0, again = 0;
	uint64_t at[3], stores;

	faults_need();
	watches = shared_alloc(2 * sizeof(*watches));
	buffer = pages_alloc(BLOCK);
	one_round((uint64_t[]){UINT64_MAX, UINT64_MAX, UINT64_MAX});
	stores = atomic_load(&watches[0].stores);
	EXPECT(stores > 10, "a replace makes %llu stores only", (unsigned long long)stores);
	for (at[0] = 0; at[0] < stores; at[0] += every)
		for (at[1] = 0; at[1] < stores; at[1] += every)
			for (at[2] = at[0] + 1; at[2] < stores + 8; at[2]++, rounds++)
				again += one_round(at);
	EXPECT(again > 0, "B was never stopped twice: the test tests nothing");
	printf("a replace makes %llu stores; %llu rounds of three agents, %llu with a second stop: always found, one version left\n",
	       (unsigned long long)stores, (unsigned long long)rounds, (unsigned long long)again);
	return 0;
}
