/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a replay's processes share: the plan, made before the fork and only read afterwards, and one anonymous shared
 * mapping, made of a header, a slot for each agent, the state of each unit and a flag for each distinct block.
 *
 * Any agent can be killed at any instruction.  Who takes which unit is decided under a robust mutex; the words that
 * it guards are meaningful after each single store (hand-out repairs the rest from unit_owner), so that a death under
 * the mutex loses nothing; they are atomic so that the stores keep their order.  Counters are written by their agent
 * alone and read by the parent after its death or end.
 */
#ifndef CLI_REPLAY_SHARED_H
#define CLI_REPLAY_SHARED_H

#include "cli/latency.h"
#include "cli/trace.h"

#include <memkv/memkv.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define REPLAY_AGENTS_MAX 256
#define REPLAY_TEXT_MAX 512
#define REPLAY_NO_TICKET UINT64_MAX

/* Values of unit_owner beside agent + 1. */
#define UNIT_FREE 0U
#define UNIT_RETURNED (UINT32_MAX - 1) /* a conversation whose agent died in the middle */
#define UNIT_DONE UINT32_MAX

/**
 * struct replay_plan - what to do
 * @trace: the requests.
 * @keys: of each distinct block.
 * @pool: path.
 * @block_size: bytes of every block.
 * @agents: processes.
 * @kill: how many of them to kill halfway.
 * @seed: which of them.
 * @run: a number of this run, stored with each block, so that an earlier run's request numbers are not compared.
 * @room_for_all: whether the pool holds every distinct block beside what is in it, so that nothing need be evicted.
 */
struct replay_plan {
	struct trace trace;
	struct memkv_key *keys;
	const char *pool;
	size_t block_size;
	uint32_t agents;
	uint32_t kill;
	uint64_t seed;
	uint64_t run;
	bool room_for_all;
};

/** struct replay_counts - sums of uint64_t only, which replay_counts_add() relies on */
struct replay_counts {
	uint64_t requests, block_refs, hit_blocks, late_blocks, refresh_blocks;
	uint64_t puts, puts_exist, puts_no_room, puts_failed;
	uint64_t gets, get_misses_after_match, gets_failed;
	uint64_t bytes_read, bytes_written, wrong_bytes;
	uint64_t tokens_reused, tokens_total;
	uint64_t evicted_blocks, moved_blocks;
};

/**
 * struct replay_failure - the first thing that went wrong in a process, in its own words
 * @result: memkv code or -errno; 0: nothing.
 * @text: the sentence.
 */
struct replay_failure {
	int result;
	char text[REPLAY_TEXT_MAX];
};

enum replay_phase {
	PHASE_STARTING,
	PHASE_READY, /* the pool is open */
	PHASE_ENDED, /* ran to its end */
};

/**
 * struct replay_agent - one agent's slot
 * @phase: enum replay_phase.
 * @gone: set by the parent when the process has ended, however.
 * @ticket: place in the order of hand-out of the request in progress, or REPLAY_NO_TICKET; under the mutex.
 * @unit: the unit that it holds; under the mutex, valid while unit_owner names the agent.
 * @finished_ns: when its last request ended.
 */
struct replay_agent {
	_Atomic int phase;
	_Atomic bool gone;
	_Atomic uint32_t unit;
	_Atomic uint64_t ticket;
	_Atomic uint64_t finished_ns;
	struct replay_failure failure;
	struct replay_counts counts;
	struct latency get, put, match, refresh;
} __attribute__((aligned(64)));

/**
 * struct replay_shared - head of the mapping
 * @mutex: robust; guards @cursor, @floor, @tickets, the units, and the agents' tickets.
 * @go: the parent lets the agents begin.
 * @stop: everybody is to end.
 * @hold: no ticket beyond this one is handed out; UINT64_MAX: no limit.  Keeps work for after the kill.
 * @cursor: units before it are taken.
 * @floor: units before it are done.
 * @tickets: requests handed out.
 * @agent: one for each agent.
 * @unit_owner: of each unit: UNIT_FREE, agent + 1, UNIT_RETURNED or UNIT_DONE.
 * @unit_next: of each unit: requests handed out.
 * @acknowledged: of each distinct block: a put returned 0 or MEMKV_EXISTS.
 * @bytes: size of the mapping.
 */
struct replay_shared {
	pthread_mutex_t mutex;
	_Atomic bool go;
	_Atomic bool stop;
	_Atomic uint64_t hold;
	_Atomic uint32_t cursor;
	_Atomic uint32_t floor;
	_Atomic uint64_t tickets;
	struct replay_agent *agent;
	_Atomic uint32_t *unit_owner;
	_Atomic uint32_t *unit_next;
	_Atomic uint8_t *acknowledged;
	size_t bytes;
};

/**
 * replay_shared_open() - make the mapping
 * @plan: sizes.
 * @shared: receives it; free with replay_shared_close().
 *
 * Return: 0 or -errno.
 */
int replay_shared_open(const struct replay_plan *plan, struct replay_shared **shared);

/** replay_shared_close() - unmap; NULL is fine */
void replay_shared_close(struct replay_shared *shared);

/** replay_counts_add() - add each of @from to @into */
void replay_counts_add(struct replay_counts *into, const struct replay_counts *from);

/** replay_fail() - keep the first failure of a process; later ones are dropped */
void replay_fail(struct replay_failure *failure, int result, const char *text);

enum replay_take {
	TAKE_REQUEST, /* here is one */
	TAKE_WAIT,    /* none at the moment; ask again */
	TAKE_END,     /* all is done */
};

/**
 * replay_take() - hand the next request to an agent
 * @plan, @shared: the run.
 * @agent: the agent's number; the request that it took before must be finished.
 * @request: receives the request's number.
 *
 * A conversation that the agent holds goes on; else one that a dead agent left is taken over; else the next unit.
 * Nothing is handed out while the slowest unfinished request is 2 * agents behind.
 *
 * Return: enum replay_take.
 */
enum replay_take replay_take(const struct replay_plan *plan, struct replay_shared *shared, uint32_t agent,
			     uint32_t *request);

/** replay_finish() - the request that @agent took last is finished */
void replay_finish(const struct replay_plan *plan, struct replay_shared *shared, uint32_t agent);

/** replay_bury() - @agent's process has ended: nobody waits for it, its conversation goes to another */
void replay_bury(const struct replay_plan *plan, struct replay_shared *shared, uint32_t agent);

/** replay_agent_main() - an agent's whole life, in its own process; returns its exit status */
int replay_agent_main(const struct replay_plan *plan, struct replay_shared *shared, uint32_t agent);

/**
 * struct replay_outcome - what the parent found beside the agents' counts
 * @killed: agents killed on purpose.
 * @seconds: from the start to the end of the last request.
 * @verified: whether @acknowledged and @lost were found out.
 * @acknowledged: distinct blocks that a put said are stored.
 * @lost: of them, those that cannot be read; when the pool was too small for all, they may have been evicted.
 * @failure: what went wrong in the first agent in which something did.
 */
struct replay_outcome {
	uint32_t killed;
	double seconds;
	bool verified;
	uint64_t acknowledged;
	uint64_t lost;
	struct replay_failure failure;
};

/**
 * replay_run() - fork the agents, watch them, kill those to be killed, and wait for the end
 * @plan, @shared: the run.
 * @outcome: receives @killed, @seconds and @failure.
 *
 * Return: 0, or an exit code after the error was reported (EXIT_INTERRUPTED after a signal).
 */
int replay_run(const struct replay_plan *plan, struct replay_shared *shared, struct replay_outcome *outcome);

/**
 * replay_verify() - read every acknowledged block with a handle of the parent's own
 * @plan, @shared: the run, ended.
 * @outcome: receives the rest.
 * @wrong_bytes: receives bytes that were wrong.
 *
 * Return: 0, or an exit code after the error was reported.
 */
int replay_verify(const struct replay_plan *plan, const struct replay_shared *shared, struct replay_outcome *outcome,
		  uint64_t *wrong_bytes);

/**
 * replay_print() - the report
 * @plan, @shared, @outcome: the run.
 * @wrong_bytes: those that replay_verify() found.
 *
 * Return: EXIT_DONE; EXIT_DAMAGE when a byte was wrong or a block was lost; or what an agent's failure stands for.
 */
int replay_print(const struct replay_plan *plan, const struct replay_shared *shared,
		 const struct replay_outcome *outcome, uint64_t wrong_bytes);

#endif
