/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parent of a replay: forks the agents, watches them, kills those to be killed, and reads back what was
 * acknowledged.  It opens the pool only after the last agent has ended: an open pool must not go through a fork.
 *
 * The kill comes when half of the requests have been handed out, as soon as the parent notices.  Until then hand-out
 * stops at three quarters, so that a fast run is not over before its victims are dead.
 */
#include "cli/interrupt.h"
#include "cli/payload.h"
#include "cli/progress.h"
#include "cli/replay_shared.h"
#include "cli/report.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WATCH_NS 200000
#define STOP_PATIENCE_NS UINT64_C(3000000000) /* from the wish to stop to SIGKILL */

/**
 * struct watch - the parent's view of the agents
 * @pid: of each agent; 0: never started, or ended.
 * @live: processes that have not ended.
 * @kill_at: tickets at which to kill; UINT64_MAX: not (any more).
 * @stop_ns: when the agents were told to stop; 0: never.
 */
struct watch {
	const struct replay_plan *plan;
	struct replay_shared *shared;
	struct replay_outcome *outcome;
	pid_t pid[REPLAY_AGENTS_MAX];
	uint32_t live;
	uint64_t kill_at;
	uint64_t stop_ns;
};

static void pause_a_little(void)
{
	struct timespec pause = {.tv_nsec = WATCH_NS};

	nanosleep(&pause, NULL);
}

static void stop_all(struct watch *watch)
{
	atomic_store(&watch->shared->stop, true);
	if (!watch->stop_ns)
		watch->stop_ns = latency_now();
}

static void start_agents(struct watch *watch)
{
	pid_t parent = getpid();

	fflush(NULL);
	for (uint32_t a = 0; a < watch->plan->agents; a++) {
		pid_t pid = fork();
		if (!pid) {
			interrupt_ignore();
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (getppid() != parent)
				_exit(1);
			_exit(replay_agent_main(watch->plan, watch->shared, a));
		}
		if (pid < 0) {
			replay_fail(&watch->outcome->failure, -errno, "cannot start an agent process");
			stop_all(watch);
			watch->shared->agent[a].gone = true;
			continue;
		}
		watch->pid[a] = pid;
		watch->live++;
	}
}

/* Notice agents that ended. */
static void reap(struct watch *watch)
{
	for (uint32_t a = 0; a < watch->plan->agents; a++) {
		struct replay_agent *agent = &watch->shared->agent[a];
		char text[REPLAY_TEXT_MAX];
		int status;

		if (!watch->pid[a] || waitpid(watch->pid[a], &status, WNOHANG) != watch->pid[a])
			continue;
		watch->pid[a] = 0;
		watch->live--;
		replay_bury(watch->plan, watch->shared, a);
		if (agent->failure.result) {
			replay_fail(&watch->outcome->failure, agent->failure.result, agent->failure.text);
		} else if (agent->phase != PHASE_ENDED && !watch->stop_ns) {
			snprintf(text, sizeof(text), "agent %u died: %s", a,
				 WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "it ended too early");
			replay_fail(&watch->outcome->failure, -EIO, text);
		}
	}
}

/* Kill plan->kill of the living, chosen by the seed, and wait for their end, which is no failure. */
static void kill_some(struct watch *watch)
{
	uint64_t random = watch->plan->seed;

	for (uint32_t k = 0; k < watch->plan->kill && watch->live > 1; k++) {
		random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		uint32_t nth = (uint32_t)(random >> 33) % watch->live, a = 0;
		while (!watch->pid[a] || nth--)
			a++;
		kill(watch->pid[a], SIGKILL);
		if (waitpid(watch->pid[a], NULL, 0) == watch->pid[a])
			watch->outcome->killed++;
		watch->pid[a] = 0;
		watch->live--;
		replay_bury(watch->plan, watch->shared, a);
	}
	watch->kill_at = UINT64_MAX;
	atomic_store(&watch->shared->hold, UINT64_MAX);
}

static void plan_kill(struct watch *watch)
{
	uint64_t requests = watch->plan->trace.requests, half = requests / 2;

	watch->kill_at = UINT64_MAX;
	if (!watch->plan->kill)
		return;
	watch->kill_at = half;
	atomic_store(&watch->shared->hold, half + (requests - half) / 2);
}

static bool all_ready(const struct watch *watch)
{
	for (uint32_t a = 0; a < watch->plan->agents; a++)
		if (watch->pid[a] && atomic_load(&watch->shared->agent[a].phase) == PHASE_STARTING)
			return false;
	return true;
}

static void watch_step(struct watch *watch)
{
	reap(watch);
	if (interrupt_seen())
		stop_all(watch);
	if (watch->stop_ns && latency_now() - watch->stop_ns > STOP_PATIENCE_NS)
		for (uint32_t a = 0; a < watch->plan->agents; a++)
			if (watch->pid[a])
				kill(watch->pid[a], SIGKILL);
	if (!watch->stop_ns && atomic_load(&watch->shared->tickets) >= watch->kill_at)
		kill_some(watch);
}

static double seconds_since(const struct watch *watch, uint64_t start_ns)
{
	uint64_t end_ns = start_ns;

	for (uint32_t a = 0; a < watch->plan->agents; a++)
		if (watch->shared->agent[a].finished_ns > end_ns)
			end_ns = watch->shared->agent[a].finished_ns;
	return (double)(end_ns - start_ns) / 1e9;
}

int replay_run(const struct replay_plan *plan, struct replay_shared *shared, struct replay_outcome *outcome)
{
	struct watch watch = {.plan = plan, .shared = shared, .outcome = outcome, .kill_at = UINT64_MAX};

	start_agents(&watch);
	while (watch.live && !all_ready(&watch)) {
		watch_step(&watch);
		pause_a_little();
	}
	reap(&watch); /* one that could not open the pool may have ended since */
	if (outcome->failure.result)
		stop_all(&watch);
	plan_kill(&watch);
	uint64_t start_ns = latency_now();
	atomic_store(&shared->go, true);
	while (watch.live) {
		watch_step(&watch);
		progress_show("request", atomic_load(&watch.shared->tickets), plan->trace.requests);
		pause_a_little();
	}
	progress_end();
	outcome->seconds = seconds_since(&watch, start_ns);
	if (interrupt_seen())
		return report_failed(-EINTR, "interrupted");
	if (watch.stop_ns)
		return report_failed(outcome->failure.result, "%s", outcome->failure.text);
	return 0;
}

/* ---- verification ------------------------------------------------------------------------------------------ */

static int verify_blocks(const struct replay_plan *plan, const struct replay_shared *shared, struct memkv_pool *pool,
			 void *buffer, struct replay_outcome *outcome, uint64_t *wrong_bytes)
{
	for (size_t b = 0; b < plan->trace.blocks; b++) {
		if (!shared->acknowledged[b])
			continue;
		if (interrupt_seen())
			return report_failed(-EINTR, "interrupted");
		outcome->acknowledged++;
		int64_t got = memkv_get(pool, &plan->keys[b], buffer, plan->block_size, NULL);
		if (got == (int64_t)plan->block_size)
			*wrong_bytes += payload_differences(&plan->keys[b], buffer, plan->block_size);
		else
			outcome->lost++;
	}
	outcome->verified = true;
	return 0;
}

int replay_verify(const struct replay_plan *plan, const struct replay_shared *shared, struct replay_outcome *outcome,
		  uint64_t *wrong_bytes)
{
	struct memkv_pool_options options = {.size = sizeof(options),
					     .flags = MEMKV_OPEN_READ_ONLY | MEMKV_OPEN_NO_FOLLOWER};
	struct memkv_pool *pool;
	void *buffer = mmap(NULL, plan->block_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (buffer == MAP_FAILED)
		return report_failed(-ENOMEM, "no memory for a block of %zu bytes", plan->block_size);
	int rc = memkv_pool_open(plan->pool, &options, &pool);
	if (rc < 0) {
		rc = report_library(rc, plan->pool);
	} else {
		rc = verify_blocks(plan, shared, pool, buffer, outcome, wrong_bytes);
		memkv_pool_close(pool);
	}
	munmap(buffer, plan->block_size);
	return rc;
}
