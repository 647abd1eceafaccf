/* SPDX-License-Identifier: Apache-2.0 */
/* See scene.h. */
#include "scene.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

const uint32_t scene_flags = MEMKV_OPEN_NO_FOLLOWER | MEMKV_OPEN_BUFFERED;
static const char *template, *path;
static uint8_t *buffer;
static uint64_t next_other = SCENE_OTHERS;

bool scene_in_session(uint64_t number) { return number % 3 == 0; }

int scene_put(struct memkv_pool *pool, uint64_t number)
{
	struct memkv_put_options options = {.size = sizeof(options),
					    .session = scene_in_session(number) ? SCENE_SESSION : NULL};
	struct memkv_key key = key_of(number);

	payload_fill(buffer, SCENE_BLOCK, number, 0);
	return memkv_put(pool, &key, buffer, SCENE_BLOCK, &options);
}

bool scene_get(struct memkv_pool *pool, uint64_t number)
{
	struct memkv_key key = key_of(number);
	int64_t got = memkv_get(pool, &key, buffer, SCENE_BLOCK, NULL);

	EXPECT(got == MEMKV_MISS || (got == SCENE_BLOCK && payload_right(buffer, SCENE_BLOCK, number, 0)), "get: %lld",
	       (long long)got);
	return got > 0;
}

static struct memkv_pool *attach_at(const char *at, uint32_t flags)
{
	struct memkv_pool_options options = {.size = sizeof(options), .flags = scene_flags | flags, .lanes = 2};
	struct memkv_pool *pool = NULL;
	int err = memkv_pool_open(at, &options, &pool);

	EXPECT(err == 0, "open: %s", memkv_code_name(err));
	return pool;
}

struct memkv_pool *scene_attach(uint32_t flags) { return attach_at(path, flags); }

uint64_t scene_flood(struct memkv_pool *pool, uint64_t count)
{
	uint64_t refused = 0;

	for (uint64_t i = 0; i < count; i++) {
		next_other += next_other % 3 == 2 ? 2 : 1; /* none of them is of the session */
		int err = scene_put(pool, next_other);
		EXPECT(err == 0 || err == MEMKV_NO_ROOM, "flood: %s", memkv_code_name(err));
		refused += err != 0;
	}
	return refused;
}

uint64_t scene_room(struct memkv_pool *pool) { return memkv_pool_room(pool, SCENE_BLOCK); }

void scene_make(const char *name, uint64_t hot_of)
{
	char other[128];

	buffer = pages_alloc(SCENE_BLOCK);
	snprintf(other, sizeof(other), "%s-template", name);
	template = scratch_fast_path(other);
	path = scratch_fast_path(name);
	pool_make_bytes(template, MIB(9), KIB(64));
	struct memkv_pool *pool = attach_at(template, 0);
	uint64_t number = SCENE_FIRST;
	for (; counters_of(pool).evicted_blocks == 0; number++)
		EXPECT(scene_put(pool, number) == 0, "filling");
	EXPECT(number <= SCENE_FIRST + SCENE_BLOCKS, "the pool holds %llu blocks", (unsigned long long)number - SCENE_FIRST);
	for (uint64_t n = SCENE_FIRST; hot_of && n < number; n += hot_of)
		scene_get(pool, n);
	memkv_pool_close(pool);
}

void scene_reset(void)
{
	static uint8_t bytes[1 << 20];
	int from = open(template, O_RDONLY), to = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ssize_t got;

	EXPECT(from >= 0 && to >= 0, "copying the template");
	while ((got = read(from, bytes, sizeof(bytes))) > 0)
		EXPECT(write(to, bytes, (size_t)got) == got, "copying the template");
	close(from);
	close(to);
}

struct job {
	struct store_watch *watch;
	int (*act)(struct memkv_pool *pool);
};

static int child(void *context)
{
	const struct job *job = context;

	faults_record();
	struct memkv_pool *pool = scene_attach(0);
	faults_arm(job->watch);
	if (job->act(pool) == 0)
		atomic_store(&job->watch->acknowledged, 1);
	kill(getpid(), SIGKILL);
	return 1;
}

pid_t scene_start(struct store_watch *watch, uint64_t stop_at, uint64_t kill_at, int (*act)(struct memkv_pool *pool))
{
	struct job job = {watch, act};
	int status = 0;

	atomic_store(&watch->stores, 0);
	atomic_store(&watch->acknowledged, 0);
	atomic_store(&watch->stop_at, stop_at);
	atomic_store(&watch->kill_at, kill_at);
	pid_t pid = child_start(child, &job);
	EXPECT(waitpid(pid, &status, WUNTRACED) == pid, "no child");
	if (WIFSTOPPED(status))
		return pid;
	EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the child failed (wait status %#x)", (unsigned)status);
	return 0;
}

void scene_go_on(pid_t pid)
{
	int status = 0;

	kill(pid, SIGCONT);
	EXPECT(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
	       "the child failed (wait status %#x)", (unsigned)status);
}

void scene_rounds(bool (*round)(uint64_t stop_at, uint64_t kill_at), uint64_t every, uint64_t deaths, uint64_t step)
{
	for (uint64_t stop_at = 0; round(stop_at, UINT64_MAX); stop_at += every)
		for (uint64_t death = step; death <= deaths; death += step)
			round(stop_at, stop_at + death);
}
