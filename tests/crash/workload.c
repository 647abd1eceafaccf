/* SPDX-License-Identifier: Apache-2.0 */
/* See workload.h. */
#include "workload.h"
#include "stepping.h"

#include "core/pool/handle.h"

#include <stdlib.h>
#include <string.h>

enum { FILL_BLOCKS = OLD_BLOCKS + NEW_BLOCKS, HOT_EVERY = 5 };

int crash_open(const struct disk *disk, unsigned flags, struct memkv_pool **pool)
{
	struct memkv_pool_options options = {.size = sizeof(options), .flags = flags | MEMKV_OPEN_NO_FOLLOWER, .lanes = 1};

	return memkv_pool_open(disk->path, &options, pool);
}

int crash_put(struct memkv_pool *pool, uint32_t block, uint32_t version, uint32_t flags)
{
	static _Alignas(4096) uint8_t bytes[BLOCK_BYTES];
	struct memkv_put_options options = {.size = sizeof(options), .flags = flags};
	struct memkv_key key;
	size_t length = block_bytes(block, version, bytes);

	block_name(block, &key);
	return memkv_put(pool, &key, bytes, length, &options);
}

/* ---- agents ---- */

static uint64_t moment_of(void *context)
{
	struct run *run = context;

	if (!run->disk->device && !run->journal.stepping)
		journal_compare(&run->journal, 0, run->journal.control_bytes);
	return run->journal.count;
}

static void add_counters(struct run *run, struct memkv_pool *pool)
{
	struct memkv_counters c;

	if (memkv_pool_counters(pool, &c))
		crash_fail("counters");
	uint64_t *to = (uint64_t *)&run->sum, *from = (uint64_t *)&c;
	for (size_t i = 0; i < sizeof(c) / sizeof(*to); i++)
		to[i] += from[i];
}

/* an agent to work with: the given one, or on a device the one that there is */
static struct memkv_pool *agent(struct run *run, unsigned which)
{
	if (run->disk->device)
		which = 0;
	if (!run->agents[which] && crash_open(run->disk, 0, &run->agents[which]))
		crash_fail("agent %u cannot attach", which);
	return run->agents[which];
}

static void leave(struct run *run, unsigned which)
{
	if (!run->agents[which])
		return;
	add_counters(run, run->agents[which]);
	memkv_pool_close(run->agents[which]);
	run->agents[which] = NULL;
}

/* the kernel takes its locks; nothing of it writes any more */
static void die(struct run *run, unsigned which)
{
	if (!run->agents[which] || run->dead_count == DEAD_MAX)
		return;
	add_counters(run, run->agents[which]);
	for (size_t i = 0; i < ARRAY_COUNT(run->disk->locks); i++)
		if (run->disk->locks[i].holder == run->agents[which]->media)
			run->disk->locks[i].holder = NULL;
	run->dead[run->dead_count++] = run->agents[which];
	run->agents[which] = NULL;
}

/* ---- steps ---- */

static void put(struct run *run, uint32_t block, uint32_t version, uint32_t flags, unsigned which)
{
	struct memkv_pool *pool = agent(run, which);
	struct ledger *l = &run->ledger;
	uint32_t call = ledger_begin(l, CALL_PUT, block, flags & MEMKV_PUT_DURABLE, flags & MEMKV_PUT_REPLACE);

	l->calls[call].version = version;
	if (version > l->versions[block])
		l->versions[block] = version;
	ledger_end(l, call, crash_put(pool, block, version, flags));
	ledger_observe(l, call, run->observer);
}

static uint32_t any_block(struct run *run)
{
	return (uint32_t)chance_below(&run->chance, run->ledger.blocks);
}

static unsigned any_agent(struct run *run)
{
	return (unsigned)chance_below(&run->chance, AGENTS);
}

static void step_put_new(struct run *run)
{
	if (run->ledger.blocks < BLOCKS_MAX)
		put(run, run->ledger.blocks, 0, 0, any_agent(run));
}

static void step_put_durable(struct run *run)
{
	if (run->ledger.blocks < BLOCKS_MAX)
		put(run, run->ledger.blocks, 0, MEMKV_PUT_DURABLE, any_agent(run));
}

/* the same bytes again: EXISTS, or stored anew when they were evicted */
static void step_put_again(struct run *run)
{
	uint32_t block = any_block(run);

	put(run, block, run->ledger.versions[block], MEMKV_PUT_DURABLE, any_agent(run));
}

static void step_replace(struct run *run)
{
	uint32_t block = any_block(run);

	put(run, block, run->ledger.versions[block] + 1, MEMKV_PUT_REPLACE, any_agent(run));
}

static void step_replace_durable(struct run *run)
{
	uint32_t block = any_block(run);

	put(run, block, run->ledger.versions[block] + 1, MEMKV_PUT_REPLACE | MEMKV_PUT_DURABLE, any_agent(run));
}

static void step_remove(struct run *run)
{
	struct memkv_pool *pool = agent(run, any_agent(run));
	uint32_t block = any_block(run);
	uint32_t call = ledger_begin(&run->ledger, CALL_REMOVE, block, true, false);
	struct memkv_key key;

	block_name(block, &key);
	ledger_end(&run->ledger, call, memkv_remove(pool, &key));
	ledger_observe(&run->ledger, call, run->observer);
}

/* blocks that are used stay when their segment goes: they move */
static void step_use(struct run *run)
{
	struct memkv_pool *pool = agent(run, any_agent(run));
	uint32_t call = ledger_begin(&run->ledger, CALL_OTHER, 0, false, false);

	for (uint32_t block = (uint32_t)chance_below(&run->chance, HOT_EVERY); block < run->ledger.blocks; block += HOT_EVERY)
		if (block_look(pool, block, run->ledger.versions[block]) < 0)
			crash_fail("block %u: wrong bytes", block);
	ledger_end(&run->ledger, call, 0);
	ledger_observe(&run->ledger, call, run->observer);
}

static void step_leave(struct run *run)
{
	uint32_t call = ledger_begin(&run->ledger, CALL_OTHER, 0, false, false);

	leave(run, any_agent(run));
	ledger_end(&run->ledger, call, 0);
	ledger_observe(&run->ledger, call, run->observer);
}

static void step_die(struct run *run)
{
	die(run, any_agent(run));
}

static const struct step {
	const char *name;
	unsigned weight;
	void (*make)(struct run *run);
} steps[] = {
	{"put", 20, step_put_new},
	{"durable put", 12, step_put_durable},
	{"put again", 6, step_put_again},
	{"replace", 6, step_replace},
	{"durable replace", 6, step_replace_durable},
	{"remove", 8, step_remove},
	{"use", 6, step_use},
	{"leave", 3, step_leave},
	{"die", 3, step_die},
};

static void any_step(struct run *run)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < ARRAY_COUNT(steps); i++)
		sum += steps[i].weight;
	uint64_t chance = chance_below(&run->chance, sum);
	for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
		if (chance < steps[i].weight) {
			run->made[i]++;
			steps[i].make(run);
			return;
		}
		chance -= steps[i].weight;
	}
}

void run_promise(struct run *run, void (*check)(void *context, struct memkv_pool *pool), void *context)
{
	if (run->promise_count == PROMISES_MAX)
		crash_fail("more than %d promises", PROMISES_MAX);
	run->promises[run->promise_count++] = (struct promise){moment_of(run), UINT64_MAX, check, context};
}

/* ---- recording ---- */

/* nearly full, before the recording: everything in it counts as flushed */
static void fill(struct run *run)
{
	struct memkv_pool *pool;

	if (crash_open(run->disk, 0, &pool))
		crash_fail("the new pool cannot be opened");
	for (uint32_t block = 0; block < OLD_BLOCKS; block++) {
		uint32_t call = ledger_begin(&run->ledger, CALL_PUT, block, true, false);
		ledger_end(&run->ledger, call, crash_put(pool, block, 0, MEMKV_PUT_DURABLE));
	}
	memkv_pool_close(pool);
}

static void stored(void *context, uint64_t page)
{
	journal_compare(context, page, PAGE);
}

static void begin_recording(struct run *run)
{
	struct memkv_pool *pool = run->observer;
	bool stepping = !run->disk->device && stepping_possible();

	run->begin = malloc(run->disk->bytes);
	if (!run->begin)
		abort();
	memcpy(run->begin, run->disk->image, run->disk->bytes);
	journal_init(&run->journal);
	run->disk->journal = &run->journal;
	if (run->disk->device)
		return;
	journal_watch(&run->journal, run->disk->image, pool->control.layout.control_bytes, stepping);
	if (stepping)
		stepping_begin(run->disk->image, pool->control.layout.control_bytes, stored, &run->journal);
}

void run_record(struct run *run, uint64_t seed, unsigned count, bool device)
{
	struct memkv_create_options options = {.size = sizeof(options), .blocks = 256, .block_size = BLOCK_BYTES, .slots = 6};
	uint64_t bytes;

	memset(run, 0, sizeof(*run));
	run->chance = seed;
	uint8_t *image = scratch_pool(&options, &bytes);
	run->disk = disk_of_image(image, bytes, device);
	run->disk->seed = seed;
	free(image);
	ledger_init(&run->ledger, moment_of, run);
	fill(run);
	if (crash_open(run->disk, MEMKV_OPEN_READ_ONLY, &run->observer))
		crash_fail("the observer cannot attach");
	for (uint32_t call = 0; call < run->ledger.count; call++) {
		memset(run->ledger.calls[call].live, 0xFF, sizeof(run->ledger.calls[call].live));
		run->ledger.calls[call].begin = run->ledger.calls[call].end = 0;
	}
	begin_recording(run);
	for (unsigned i = 0; i < count; i++)
		any_step(run);
	for (unsigned i = 0; i < AGENTS; i++)
		leave(run, i);
	if (run->journal.stepping)
		stepping_end();
	run->disk->journal = NULL;
	printf("recorded: %llu events of %u steps:", (unsigned long long)run->journal.count, count);
	for (size_t i = 0; i < ARRAY_COUNT(steps); i++)
		printf(" %s %u%s", steps[i].name, run->made[i], i + 1 < ARRAY_COUNT(steps) ? "," : "\n");
}

void run_free(struct run *run)
{
	memkv_pool_close(run->observer);
	journal_fini(&run->journal);
	ledger_fini(&run->ledger);
	disk_free(run->disk);
	free(run->begin);
}
