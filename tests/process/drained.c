/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An agent is drained while it puts from several threads, beside another one that does as well:
 *
 *   - its puts answer MEMKV_DRAINED, and no other failure; what was acknowledged is there; it reads on, also what comes later
 *   - it writes to no segment any more, and what it gave back the other one fills: a whole pool's worth of segments
 *   - it is killed, and leaves nothing behind; a check finds nothing
 *   - undone it puts again; one that is stopped by a signal does not answer, and stays as it was; a handle can drain itself
 *
 * usage: process_drained [--seed N] [--threads N]
 */
#include "helpers.h"

#include <memkv/host.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

enum { BLOCK = 64 << 10, THREADS_MAX = 8, AGENTS = 2 };
#define AGENT_KEYS (UINT64_C(1) << 32)

/* what the test and its agents tell each other */
struct shared {
	struct agent {
		atomic_uint_fast64_t acknowledged[THREADS_MAX]; /* numbers below are stored */
		atomic_uint_fast64_t refused, slot, epoch, seen;
	} agents[AGENTS];
	atomic_uint_fast64_t stop[AGENTS], look_for;
	const char *path;
	uint64_t threads;
};

struct putter {
	struct shared *s;
	struct memkv_pool *pool;
	uint64_t agent, thread;
};

static uint64_t number_of(uint64_t agent, uint64_t thread, uint64_t n)
{
	return (agent + 1) * AGENT_KEYS + thread * (AGENT_KEYS / THREADS_MAX) + n;
}

static void *put_on(void *context)
{
	const struct putter *p = context;
	struct agent *me = &p->s->agents[p->agent];
	uint8_t *bytes = pages_alloc(BLOCK);

	while (!atomic_load(&p->s->stop[p->agent])) {
		uint64_t n = atomic_load(&me->acknowledged[p->thread]), number = number_of(p->agent, p->thread, n);
		struct memkv_key key = key_of(number);
		payload_fill(bytes, BLOCK, number, 0);
		int result = memkv_put(p->pool, &key, bytes, BLOCK, NULL);
		EXPECT(result == 0 || result == MEMKV_DRAINED, "agent %llu: %s: %s", (unsigned long long)p->agent,
		       memkv_code_name(result), memkv_error_detail());
		if (result == 0)
			atomic_fetch_add(&me->acknowledged[p->thread], 1);
		else
			atomic_fetch_add(&me->refused, 1);
		sleep_us(result ? 1000 : 200);
	}
	return NULL;
}

/* gets what it is told to look for, until that is there */
static void *look_on(void *context)
{
	const struct putter *p = context;
	struct agent *me = &p->s->agents[p->agent];
	uint8_t *bytes = pages_alloc(BLOCK);

	while (!atomic_load(&p->s->stop[p->agent])) {
		uint64_t number = atomic_load(&p->s->look_for);
		struct memkv_key key = key_of(number);
		if (number && atomic_load(&me->seen) != number && memkv_get(p->pool, &key, bytes, BLOCK, NULL) == BLOCK) {
			EXPECT(payload_right(bytes, BLOCK, number, 0), "wrong bytes in %llu", (unsigned long long)number);
			atomic_store(&me->seen, number);
		}
		sleep_us(1000);
	}
	return NULL;
}

static struct memkv_host host_at(struct memkv_pool *pool, uint64_t slot)
{
	static struct memkv_host hosts[256];

	EXPECT(memkv_hosts(pool, hosts, 256) > (int64_t)slot, "no slot %llu", (unsigned long long)slot);
	return hosts[slot];
}

static int agent_run(void *context)
{
	struct putter *base = context, all[THREADS_MAX + 1];
	struct shared *s = base->s;
	pthread_t threads[THREADS_MAX + 1];
	struct memkv_pool *pool = pool_attach(s->path, 0);
	struct memkv_host me = host_of_mine(pool);

	atomic_store(&s->agents[base->agent].slot, me.slot);
	atomic_store(&s->agents[base->agent].epoch, me.epoch);
	for (uint64_t i = 0; i <= s->threads; i++) {
		all[i] = (struct putter){s, pool, base->agent, i};
		EXPECT(pthread_create(&threads[i], NULL, i < s->threads ? put_on : look_on, &all[i]) == 0, "no thread");
	}
	for (uint64_t i = 0; i <= s->threads; i++)
		pthread_join(threads[i], NULL);
	memkv_pool_close(pool);
	return 0;
}

static uint64_t acknowledged(struct shared *s, uint64_t agent)
{
	uint64_t sum = 0;

	for (uint64_t t = 0; t < s->threads; t++)
		sum += atomic_load(&s->agents[agent].acknowledged[t]);
	return sum;
}

static void wait_for_puts(struct shared *s, uint64_t agent, uint64_t more)
{
	uint64_t from = acknowledged(s, agent), end = now_us() + 60000000;

	while (acknowledged(s, agent) < from + more) {
		EXPECT(now_us() < end, "agent %llu puts no more", (unsigned long long)agent);
		sleep_us(1000);
	}
}

static void expect_all_there(struct shared *s, struct memkv_pool *pool, uint64_t agent)
{
	uint8_t *bytes = pages_alloc(BLOCK);

	for (uint64_t t = 0; t < s->threads; t++)
		for (uint64_t n = 0; n < atomic_load(&s->agents[agent].acknowledged[t]); n++) {
			uint64_t number = number_of(agent, t, n);
			struct memkv_key key = key_of(number);
			EXPECT(memkv_get(pool, &key, bytes, BLOCK, NULL) == BLOCK, "%llu of agent %llu is gone",
			       (unsigned long long)n, (unsigned long long)agent);
			EXPECT(payload_right(bytes, BLOCK, number, 0), "wrong bytes in %llu", (unsigned long long)number);
		}
}

static int drain(struct memkv_pool *pool, struct agent *a, uint32_t flags, uint64_t wait_us)
{
	struct memkv_host_drain_options options = {.size = sizeof(options), .flags = flags, .wait_us = wait_us};

	return memkv_host_drain(pool, (uint32_t)atomic_load(&a->slot), (uint32_t)atomic_load(&a->epoch), &options);
}

/* everything that an agent put is still there when nothing is evicted */
static void beside_another(struct shared *s)
{
	pid_t pids[AGENTS];
	struct memkv_pool *pool;

	pool_make_bytes(s->path, MIB(512), BLOCK);
	for (uint64_t i = 0; i < AGENTS; i++)
		pids[i] = child_start(agent_run, &(struct putter){.s = s, .agent = i});
	pool = pool_attach(s->path, 0);
	for (uint64_t i = 0; i < AGENTS; i++)
		wait_for_puts(s, i, 40);
	struct agent *a = &s->agents[0];
	EXPECT(drain(pool, a, MEMKV_HOST_DRAIN_DRY_RUN, 0) == 1, "dry run: %s", memkv_error_detail());
	wait_for_puts(s, 0, 5); /* it was one */
	uint64_t from = now_us();
	EXPECT(drain(pool, a, 0, 0) == 1, "drain: %s", memkv_error_detail());
	uint64_t took = now_us() - from, stored = acknowledged(s, 0);
	struct memkv_host host = host_at(pool, atomic_load(&a->slot));
	EXPECT(host.state == MEMKV_HOST_DRAINED && host.segments == 0, "state %d, %llu segments", host.state,
	       (unsigned long long)host.segments);
	EXPECT(wait_until(&a->refused, s->threads + 1, 10000000), "its puts are not refused");
	wait_for_puts(s, 1, 40); /* the other goes on, and the drained one reads that */
	EXPECT(acknowledged(s, 0) <= stored + s->threads, "it puts on");
	stored = acknowledged(s, 0);
	atomic_store(&s->look_for, number_of(1, 0, atomic_load(&s->agents[1].acknowledged[0]) - 1));
	EXPECT(wait_until(&a->seen, atomic_load(&s->look_for), 10000000), "it does not read what came later");
	EXPECT(drain(pool, a, 0, 0) == 1 && acknowledged(s, 0) == stored, "once more");
	EXPECT(drain(pool, a, MEMKV_HOST_DRAIN_UNDO, 0) == 1, "undo: %s", memkv_error_detail());
	wait_for_puts(s, 0, 20);
	EXPECT(host_at(pool, atomic_load(&a->slot)).state == MEMKV_HOST_ALIVE, "undone, and not alive");
	EXPECT(drain(pool, a, 0, 0) == 1, "drain again: %s", memkv_error_detail());
	child_kill(pids[0]);
	EXPECT(drain(pool, a, 0, 0) == 0, "it is gone");
	host = host_at(pool, atomic_load(&a->slot));
	EXPECT(host.state == MEMKV_HOST_DEAD && host.segments == 0, "it left %llu segments", (unsigned long long)host.segments);
	atomic_store(&s->stop[1], 1);
	child_join(pids[1], "the other agent");
	for (uint64_t i = 0; i < AGENTS; i++)
		expect_all_there(s, pool, i);
	uint64_t blocks = pool_expect_clean(pool, "afterwards");
	EXPECT(blocks >= acknowledged(s, 0) + acknowledged(s, 1), "%llu blocks", (unsigned long long)blocks);
	memkv_pool_close(pool);
	printf("drained in %llu us beside another agent: %llu and %llu blocks, all there\n", (unsigned long long)took,
	       (unsigned long long)acknowledged(s, 0), (unsigned long long)acknowledged(s, 1));
	scratch_remove(s->path);
}

/* the pool is full and turns over: the drained one has victims, and a segment ahead */
static void in_a_full_pool(struct shared *s)
{
	struct memkv_pool *pool;
	struct memkv_pool_info info;

	memset(s->agents, 0, sizeof(s->agents));
	atomic_store(&s->look_for, 0);
	s->path = scratch_path("full");
	pool_make_bytes(s->path, MIB(24), BLOCK);
	pid_t pid = child_start(agent_run, &(struct putter){.s = s, .agent = 0});
	pool = pool_attach(s->path, 0);
	wait_for_puts(s, 0, 600);
	struct agent *a = &s->agents[0];
	EXPECT(host_at(pool, atomic_load(&a->slot)).segments > 0, "it writes to no segment");
	EXPECT(drain(pool, a, 0, 0) == 1, "drain: %s", memkv_error_detail());
	EXPECT(host_at(pool, atomic_load(&a->slot)).segments == 0, "it keeps segments");
	info = describe_of(pool);
	EXPECT(info.segments_open == 0 && info.segments_leaving == 0, "%u open, %u leaving", (unsigned)info.segments_open,
	       (unsigned)info.segments_leaving);
	EXPECT(kill(pid, SIGSTOP) == 0, "stop");
	EXPECT(drain(pool, a, MEMKV_HOST_DRAIN_UNDO, 300000) == MEMKV_IN_USE, "a stopped one answers");
	EXPECT(host_at(pool, atomic_load(&a->slot)).state == MEMKV_HOST_DRAINED, "stopped");
	EXPECT(kill(pid, SIGCONT) == 0, "continue");
	sleep_us(300000);
	EXPECT(host_at(pool, atomic_load(&a->slot)).state == MEMKV_HOST_DRAINED, "what was not answered in time counts later");
	/* this handle itself */
	struct memkv_host me = host_of_mine(pool);
	struct memkv_key key = key_of(7);
	static uint8_t bytes[BLOCK];
	EXPECT(memkv_put(pool, &key, bytes, BLOCK, NULL) == 0, "put: %s", memkv_error_detail());
	EXPECT(memkv_host_drain(pool, me.slot, me.epoch, NULL) == 1, "itself: %s", memkv_error_detail());
	EXPECT(host_of_mine(pool).state == MEMKV_HOST_DRAINED && host_of_mine(pool).segments == 0, "itself");
	key = key_of(8);
	EXPECT(memkv_put(pool, &key, bytes, BLOCK, NULL) == MEMKV_DRAINED, "it puts");
	key = key_of(7);
	EXPECT(memkv_put(pool, &key, bytes, BLOCK, NULL) == MEMKV_EXISTS && memkv_remove(pool, &key) == 1, "it looks and removes");
	EXPECT(memkv_host_drain(pool, me.slot, me.epoch + 1, NULL) == MEMKV_MISS, "nobody's epoch");
	atomic_store(&s->stop[0], 1);
	child_join(pid, "the agent");
	pool_expect_clean(pool, "a full pool");
	memkv_pool_close(pool);
	scratch_remove(s->path);
}

int main(int argc, char **argv)
{
	struct shared *s = shared_alloc(sizeof(*s));

	s->threads = argument_number(argc, argv, "--threads", 3);
	EXPECT(s->threads >= 1 && s->threads <= THREADS_MAX, "--threads 1 to %d", THREADS_MAX);
	s->path = scratch_path("drained");
	beside_another(s);
	in_a_full_pool(s);
	return 0;
}
