/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts (journal.h has the model, ledger.h what they may take, workload.h what is recorded).
 *
 * The pool that a cut leaves is attached and asked: every block is what it may be, byte for byte; nothing that was
 * removed is back; check ends, finds nothing after a kill, and calls no block bad that was promised; puts, replacing ones
 * and removals work; and after leaving and attaching again all that still holds.
 *
 * usage: power [--seed N] [--steps N] [--every N] [--modes N] [--device 1] [--verbose 1]
 *   --every N: cut at each N-th event, --modes N: that many of the ways to lose what was not flushed, drawn by chance
 *   (0: each of them).  A failure names the one cut that fails: repeat it with --moment, --mode and --how.
 */
#include "workload.h"

#include <stdlib.h>
#include <string.h>

enum { AFTER_BLOCK = BLOCKS_MAX - 1 };

struct cut {
	struct run *run;
	struct disk *disk;
	uint64_t moment;
	enum cut_mode mode;
	bool kill; /* nothing is lost: what a kill leaves */
	struct expectation expected[BLOCKS_MAX];
	uint32_t bad;
};

static uint64_t tally_cuts, tally_there, tally_lost, tally_bad, tally_records, tally_clean;

static uint64_t number(int argc, char **argv, const char *name, uint64_t otherwise)
{
	for (int i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return strtoull(argv[i + 1], NULL, 0);
	return otherwise;
}

/* what became of a block, for a person who looks for the reason */
static void tell(const struct cut *cut, uint32_t block)
{
	const struct ledger *l = &cut->run->ledger;

	for (uint32_t i = 0; i < l->count && l->calls[i].begin < cut->moment; i++) {
		const struct call *c = &l->calls[i];
		if (c->block == block && c->kind != CALL_OTHER)
			printf("  events %llu to %llu: %s%s%s version %u: %d\n", (unsigned long long)c->begin,
			       (unsigned long long)c->end, c->durable ? "durable " : "", c->replace ? "replacing " : "",
			       c->kind == CALL_PUT ? "put" : "remove", c->version, c->result);
	}
}

static void look(struct cut *cut, struct memkv_pool *pool, const char *when)
{
	const struct ledger *l = &cut->run->ledger;

	for (uint32_t block = 0; block < l->blocks; block++) {
		const struct expectation *x = &cut->expected[block];
		int found = block_look(pool, block, l->versions[block]);
		if (found < 0 || (found ? !x->versions[found - 1] : !x->absent))
			tell(cut, block);
		if (found < 0)
			crash_fail("%s: block %u: WRONG BYTES", when, block);
		if (found > 0 && !x->versions[found - 1])
			crash_fail("%s: block %u is there as version %d, which was replaced or removed", when, block, found - 1);
		if (!found && !x->absent)
			crash_fail("%s: block %u is LOST", when, block);
		tally_there += found > 0;
		tally_lost += found == 0;
	}
}

static void meet_bad(void *context, const struct memkv_key *key, uint64_t page, const char *why)
{
	struct cut *cut = context;
	struct memkv_key name;

	(void)page;
	cut->bad++;
	for (uint32_t block = 0; block < cut->run->ledger.blocks; block++) {
		block_name(block, &name);
		if (memcmp(&name, key, sizeof(name)) == 0 && cut->kill)
			crash_fail("check calls block %u bad: %s", block, why);
	}
}

static void check(struct cut *cut, struct memkv_pool *pool)
{
	struct memkv_check_options options = {.size = sizeof(options), .bad_block = meet_bad, .context = cut};
	struct memkv_check_report report;
	int err = memkv_pool_check(pool, &options, &report);

	if (err)
		crash_fail("check: %d", err);
	if (cut->kill && (report.bad || report.records_bad))
		crash_fail("check after a kill: %u blocks and %u records bad", (unsigned)report.bad, (unsigned)report.records_bad);
	if (report.bad != cut->bad || report.records_mended > report.records_bad)
		crash_fail("check: its report contradicts itself");
	tally_bad += report.bad;
	tally_records += report.records_bad - report.records_mended;
	tally_clean += !report.bad && !report.records_bad;
}

/* what the pool is for, afterwards */
static void work(struct cut *cut, struct memkv_pool *pool)
{
	const struct ledger *l = &cut->run->ledger;
	uint32_t block = (uint32_t)(cut->moment % l->blocks);
	struct memkv_key key;

	if (crash_put(pool, AFTER_BLOCK, 0, MEMKV_PUT_DURABLE) || block_look(pool, AFTER_BLOCK, 0) != 1)
		crash_fail("afterwards: a new block cannot be put and got");
	uint32_t version = l->versions[block] + 1;
	int err = crash_put(pool, block, version, MEMKV_PUT_REPLACE | MEMKV_PUT_DURABLE);
	int found = err ? 0 : block_look(pool, block, version);
	if (found != (int)version + 1) {
		tell(cut, block);
		crash_fail("afterwards: block %u cannot be replaced: %d, then found %d", block, err, found - 1);
	}
	block_name(block, &key);
	if (memkv_remove(pool, &key) < 1 || block_look(pool, block, version) != 0)
		crash_fail("afterwards: block %u cannot be removed", block);
	memset(cut->expected[block].versions, 0, sizeof(cut->expected[block].versions));
	cut->expected[block].absent = true;
}

static void evicted(struct cut *cut, struct memkv_pool *pool)
{
	struct memkv_counters c;

	if (memkv_pool_counters(pool, &c))
		crash_fail("counters");
	for (uint32_t block = 0; c.segments_reclaimed && block < cut->run->ledger.blocks; block++)
		cut->expected[block].absent = true;
}

static void promises(const struct cut *cut, struct memkv_pool *pool)
{
	for (uint32_t i = 0; i < cut->run->promise_count; i++) {
		const struct promise *p = &cut->run->promises[i];
		if (p->from <= cut->moment && cut->moment < p->until)
			p->check(p->context, pool);
	}
}

static void recover(struct cut *cut)
{
	struct memkv_pool *pool;

	for (uint32_t block = 0; block < cut->run->ledger.blocks; block++)
		ledger_expect(&cut->run->ledger, block, cut->moment, cut->kill, &cut->expected[block]);
	if (crash_open(cut->disk, 0, &pool))
		crash_fail("the pool cannot be attached");
	look(cut, pool, "at once");
	check(cut, pool);
	promises(cut, pool);
	work(cut, pool);
	evicted(cut, pool);
	memkv_pool_close(pool);
	if (crash_open(cut->disk, 0, &pool))
		crash_fail("the pool cannot be attached again");
	look(cut, pool, "attached again");
	memkv_pool_close(pool);
	tally_cuts++;
}

static void cut_once(struct cut *cut, const struct replay *replay, enum cut_mode mode, uint64_t how)
{
	const struct journal *j = replay->journal;

	cut->mode = mode;
	cut->bad = 0;
	/* where stores are found by comparing, those between two other events have no order that was ever seen */
	bool seen = j->stepping || !j->control || cut->moment == 0 || cut->moment == j->count ||
		    j->events[cut->moment].kind != EVENT_STORE || j->events[cut->moment - 1].kind != EVENT_STORE;
	cut->kill = mode == JOURNAL_WHOLE && seen;
	snprintf(crash_context, sizeof(crash_context), "%s, --moment %llu --mode %d --how %#llx", cut_mode_name(cut->mode),
		 (unsigned long long)cut->moment, (int)mode, (unsigned long long)how);
	memset(cut->disk->locks, 0, sizeof(cut->disk->locks));
	replay_cut(replay, cut->mode, how, cut->disk->image);
	recover(cut);
}

static void cut_all(struct cut *cut, struct replay *replay, uint64_t seed, uint64_t every, uint64_t modes)
{
	uint64_t chance = seed ^ 0x637574ULL;

	for (cut->moment = seed % every; cut->moment <= cut->run->journal.count; cut->moment += every) {
		replay_to(replay, cut->moment);
		for (uint64_t i = 0; i < (modes ? modes : CUT_MODES); i++) {
			uint64_t how = chance_next(&chance);
			cut_once(cut, replay, (enum cut_mode)(modes ? how % CUT_MODES : i), how);
		}
	}
}

int main(int argc, char **argv)
{
	static struct run run;
	static struct cut cut = {.run = &run};
	struct replay replay;
	uint64_t seed = number(argc, argv, "--seed", 1);

	snprintf(crash_context, sizeof(crash_context), "seed %llu, recording", (unsigned long long)seed);
	run_record(&run, seed, (unsigned)number(argc, argv, "--steps", 200), number(argc, argv, "--device", 0));
	const struct memkv_counters *c = &run.sum;
	printf("it crossed: %llu blocks moved, %llu evicted, %llu segments emptied, %llu continued, %llu opened\n",
	       (unsigned long long)c->moved_blocks, (unsigned long long)c->evicted_blocks,
	       (unsigned long long)c->segments_reclaimed, (unsigned long long)c->segments_resumed,
	       (unsigned long long)c->segments_opened);
	if (!c->moved_blocks || !c->evicted_blocks || !c->segments_reclaimed || !c->segments_resumed || !c->removes)
		crash_fail("the workload did not cross all that it should");
	cut.disk = disk_of_image(run.begin, run.disk->bytes, run.disk->device);
	replay_init(&replay, &run.journal, run.begin, run.disk->bytes);
	cut.moment = number(argc, argv, "--moment", UINT64_MAX);
	if (cut.moment != UINT64_MAX) {
		replay_to(&replay, cut.moment);
		cut_once(&cut, &replay, (enum cut_mode)number(argc, argv, "--mode", 0), number(argc, argv, "--how", 0));
	} else {
		cut_all(&cut, &replay, seed, number(argc, argv, "--every", 1), number(argc, argv, "--modes", 1));
	}
	replay_fini(&replay);
	disk_free(cut.disk);
	printf("%llu power cuts: blocks found %llu times, missed %llu times, 0 wrong, 0 lost; check: clean after %llu, else "
	       "%llu blocks unreadable and %llu records lost in all\n", (unsigned long long)tally_cuts,
	       (unsigned long long)tally_there, (unsigned long long)tally_lost, (unsigned long long)tally_clean,
	       (unsigned long long)tally_bad, (unsigned long long)tally_records);
	run_free(&run);
	return 0;
}
