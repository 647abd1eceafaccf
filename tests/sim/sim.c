/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim - run seeds
 *
 *   sim [--seed S] [--seeds N]       N seeds from S; the first that breaks a rule ends it with its trace
 *   sim --seed S --trace             one seed, every event
 *   sim --steps N                    as many seeds as give N steps
 *   sim --mutants [--seeds N]        each deliberate bug must be caught within N seeds, or, the rare ones, in its scene
 *   sim --mutants --whole            likewise, beginning with the first seed also where it is known which one catches it
 *   sim --mutants --jobs N           likewise, in so many processes
 *   sim --rare [--seeds N]           the rare ones by seeds
 *   sim --scenes [--mutant NAME] [--trace]   the schedules by hand, each with the code as it is and with its bug (stage.h)
 *   sim --mutant NAME ...            runs with that bug, on the kind of medium that shows it (or that a later --kind says)
 *   sim --floor N                    a row of the coverage table under N fails
 *   sim --kind file|memory|block|shared|lines  all seeds with this medium
 *   sim --repeat N                   of every Nth seed the run is made twice, and must be the same
 */
#include "stage.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct wish {
	uint64_t seed, seeds, steps, floor, repeat, tail, jobs;
	bool trace, mutants, rare, whole, scenes;
};

struct totals {
	uint64_t seeds, steps, points, puts, first_half, second_half;
	double seconds;
};

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static const struct {
	const char *name, *text;
	enum medium_kind kind; /* that shows it */
} mutants[MUTANT_COUNT] = {
	{"none", "the code as it is", MEDIUM_KINDS},
#define MAPPED_ROW(name, text) {#name, text, MEDIUM_FILE},
#define DEVICE_ROW(name, text) {#name, text, MEDIUM_BLOCK},
#define LINES_ROW(name, text) {#name, text, MEDIUM_LINES},
#define SHARED_ROW(name, text) {#name, text, MEDIUM_SHARED},
	SIM_MAPPED_MUTANTS(MAPPED_ROW) SIM_DEVICE_MUTANTS(DEVICE_ROW) SIM_LINES_MUTANTS(LINES_ROW) SIM_SHARED_MUTANTS(SHARED_ROW)
#undef LINES_ROW
#undef MAPPED_ROW
#undef DEVICE_ROW
#undef SHARED_ROW
};

const char *mutant_name(enum sim_mutant mutant) { return mutants[mutant].name ? mutants[mutant].name : "?"; }

static const char *const kinds[MEDIUM_KINDS] = {"file", "memory", "block", "shared", "lines"};

/* not caught within 10,000 seeds: what shows them takes more than one coincidence.  Each has a scene (stage.h). */
static const enum sim_mutant rare[] = {
	MUTANT_NOTE_ONCE, MUTANT_MOVE_FROM_WITHDRAWN, MUTANT_FOLD_NO_SECOND_LOOK, MUTANT_UNSEEN_NOT_LOST,
	MUTANT_UNREAD_SEEN, MUTANT_GONE_BELIEVED, MUTANT_LEFT_OVER_FOLDED, MUTANT_OUTDONE_FORCED, MUTANT_PIN_UNTOLD,
	MUTANT_OWN_HEADER_UNFLUSHED, MUTANT_BEHIND_TAIL_LEFT, MUTANT_BLANK_LEFT_OVER, MUTANT_MEND_UNSEEN,
	MUTANT_CAME_BACK_LEFT, MUTANT_VICTIMS_LIVES_LEFT, MUTANT_FOLD_LOOKS_BEFORE,
	MUTANT_MISS_UNFLUSHED, MUTANT_SILENT_RESUMED, MUTANT_CELLS_TORN, MUTANT_BEGUN_UNSETTLED, MUTANT_SILENCE_BELIEVED,
	MUTANT_PIN_UNPUBLISHED, MUTANT_PLACES_NOT_GIVEN_BACK, MUTANT_GROWTH_NOT_LOST, MUTANT_PIN_UNWRITTEN, MUTANT_RETIRED_UNTOLD,
	/* of hosts that share a device */
	MUTANT_STALE_CLAIM_BELIEVED, MUTANT_ADOPTED_SETTLED,
	MUTANT_DEL_FORGOTTEN_EARLY, MUTANT_UNTOLD_BELIEVED, MUTANT_STANDS_FROM_MIRROR,
	MUTANT_JOINED_IN_CELL, MUTANT_REOPENED_UNREAD, MUTANT_WORD_BY_FORCE, MUTANT_RESERVED_OF_OWN,
	MUTANT_CHOSEN_BELIEVED, MUTANT_ATTACH_UNGUARDED, MUTANT_LEFT_ONCE, MUTANT_INDEX_OF_BEFORE, MUTANT_GIVE_WAITED_FOR,
	MUTANT_PIN_LOGS_UNREAD, MUTANT_NOT_VOUCHED, MUTANT_SILENCE_GUESSED, MUTANT_ELSEWHERE_UNREAD, MUTANT_LATE_BEAT_BELIEVED, MUTANT_PINS_UNREAD,
	MUTANT_KEPT_UNREAD, MUTANT_OWN_CELL_BELIEVED, MUTANT_PIN_BY_ENTRY, MUTANT_CELL_HALFWAY,
	MUTANT_OWED_TAIL_IGNORED, MUTANT_ROUND_BY_FIRST, MUTANT_LAPSE_ASKED_LATE, MUTANT_GONE_LATE,
};

static bool is_rare(int m)
{
	for (size_t i = 0; i < ARRAY_COUNT(rare); i++)
		if (rare[i] == (enum sim_mutant)m)
			return true;
	return false;
}

/*
 * The seeds that have caught those that are caught late.  They are tried first, and some that follow.  Where draws have changed since, its
 * scene is played, or all seeds are tried where it has none; "sim --mutants --whole" says which seeds belong here then.
 */
enum { NEAR = 20 };
static const struct {
	enum sim_mutant mutant;
	uint32_t seed;
} late[] = {
	{MUTANT_CLAIM_IN_ORDER, 239}, {MUTANT_REST_NOT_CLEARED, 172}, {MUTANT_BIRTHS_COUNTED, 4798},
	{MUTANT_REMOVE_ONCE, 57}, {MUTANT_MOVE_BLIND, 312}, {MUTANT_MOVE_LIVE, 286}, {MUTANT_RING_ONE_LOOK, 1707},
	{MUTANT_PIN_LOOK_AT_RETIRE_ONLY, 1220}, {MUTANT_PIN_BLIND, 610}, {MUTANT_LEFT_OVER_CONTINUED, 600},
	{MUTANT_ONLY_SOURCE_OVERWRITTEN, 889}, {MUTANT_RING_LAP_BEFORE_CHECKPOINT, 150},
	{MUTANT_GENERATION_UNSEEN, 97}, {MUTANT_FORGET_BY_PLACE, 1557}, {MUTANT_MOVED_UNFLUSHED, 362},
	{MUTANT_HOLDS_AT_RETIRE, 342}, {MUTANT_HOLDS_UNSEEN, 421}, {MUTANT_FOLD_ONCE, 1351},
	{MUTANT_LIVES_LEFT, 105}, {MUTANT_LEAVING_SETTLED, 103}, {MUTANT_RING_UNSETTLED, 328},
	{MUTANT_DROP_UNSETTLED, 220}, {MUTANT_DROP_SENT, 2005}, {MUTANT_LOG_UNREAD_ENDS, 674},
	{MUTANT_CHECKPOINT_UNFLUSHED, 58}, {MUTANT_BROUGHT_IN_ORDER, 1069}, {MUTANT_PIN_SENT, 748},
	{MUTANT_HEADER_FROM_MIRROR, 1308}, {MUTANT_REFRESH_ONE_LOOK, 446}, {MUTANT_PAYLOAD_UNFENCED, 211},
	{MUTANT_TWO_ADOPTERS, 272}, {MUTANT_OWN_EPOCH_IGNORED, 922}, {MUTANT_NO_LOOK_AFTER_OPEN, 97},
	{MUTANT_LOGS_UNREAD, 1170}, {MUTANT_PEEK_BELIEVED, 60}, {MUTANT_TWIN_AT_ONCE, 108},
	{MUTANT_SLOT_LOST_UNSEEN, 103}, {MUTANT_DROP_AND_MEET, 1402}, {MUTANT_DEL_UNFLUSHED, 119},
	{MUTANT_ADDED_UNASKED, 801}, {MUTANT_GONE_UNREAD, 715}, {MUTANT_RESUMED_UNSEEN, 114},
	{MUTANT_GAP_SKIPPED, 551}, {MUTANT_PIN_OPEN_UNSEEN, 267}, {MUTANT_PIN_OWNER_LOG_ONLY, 160},
	{MUTANT_PIN_UNSEEN_AFTER_OPEN, 237}, {MUTANT_REMOVE_UNDOUBTED, 428},
};

static uint64_t late_seed(int m)
{
	for (size_t i = 0; i < ARRAY_COUNT(late); i++)
		if (late[i].mutant == (enum sim_mutant)m)
			return late[i].seed;
	return 0;
}

static bool run(uint64_t seed, bool print)
{
	trace_reset(print);
	return world_run(seed);
}

static void explain(uint64_t seed, const struct wish *w)
{
	if (!w->trace) {
		printf("the last events:\n");
		trace_tail((unsigned)w->tail);
	}
	bool forced = sim_kind_wanted < MEDIUM_KINDS;
	printf("seed %" PRIu64 ": %s\nagain, with every event: sim --seed %" PRIu64 " --trace%s%s%s%s\n", seed, world.why, seed,
	       forced ? " --kind " : "", forced ? kinds[sim_kind_wanted] : "", sim_mutant ? " --mutant " : "",
	       sim_mutant ? mutants[sim_mutant].name : "");
}

static bool same_again(uint64_t seed)
{
	uint64_t before = trace_hash();

	if (run(seed, false) && trace_hash() == before)
		return true;
	printf("seed %" PRIu64 ": a second run is another one\n", seed);
	return false;
}

static void report(const struct totals *t)
{
	printf("%" PRIu64 " seeds, %" PRIu64 " steps (%" PRIu64 " points), %" PRIu64 " puts acknowledged, %.1f s: %.2f million steps "
	       "a second\n",
	       t->seeds, t->steps, t->points, t->first_half + t->second_half, t->seconds,
	       t->seconds > 0 ? (double)t->steps / t->seconds / 1e6 : 0);
	printf("acknowledged in the second half of the runs: %.3f\n",
	       (double)t->second_half / (double)max_u64(1, t->first_half + t->second_half));
}

static void add(struct totals *t)
{
	t->seeds++;
	t->steps += world.steps;
	t->points += world.now;
	t->first_half += world.acks_first_half;
	t->second_half += world.acks_second_half;
}

static int run_seeds(const struct wish *w)
{
	struct totals t = {0};
	double start = now_s();

	for (uint64_t n = 0; w->steps ? t.steps < w->steps : n < w->seeds; n++) {
		if (!run(w->seed + n, w->trace)) {
			explain(w->seed + n, w);
			return 1;
		}
		add(&t);
		if (w->repeat && n % w->repeat == 0 && !same_again(w->seed + n))
			return 1;
	}
	t.seconds = now_s() - start;
	unsigned under = coverage_print(w->floor);
	report(&t);
	if (under)
		printf("%u rows of the coverage table are under %" PRIu64 "\n", under, w->floor);
	/* a pool that dies early proves nothing */
	/* what hosts had open that fell silent, and are not proven gone, is written to by nobody: there it may be less */
	uint64_t percent = sim_kind_wanted == MEDIUM_SHARED ? 30 : 40;
	bool lively = w->floor == 0 || t.second_half * 100 > (t.first_half + t.second_half) * percent;
	if (!lively)
		printf("too few acknowledgements lie in the second half of the runs\n");
	return under || !lively;
}

/* some that only a device was said to show are shown by files as well, and sooner; one of all media sooner in memory */
static enum medium_kind shown_by(int m)
{
	if (m == MUTANT_BIRTHS_COUNTED)
		return MEDIUM_MEMORY;
	return m == MUTANT_CHECKPOINT_UNFLUSHED || m == MUTANT_UNREAD_SEEN ? MEDIUM_FILE : mutants[m].kind;
}

/* the first seed from @first on, below @end, that breaks a rule; @end: none does */
static uint64_t first_broken(uint64_t first, uint64_t end)
{
	while (first < end && run(first, false))
		first++;
	return first;
}

/* with the bug that is on; the end: none, but its scene may show it */
static uint64_t catching_seed(int m, const struct wish *w, bool *by_scene)
{
	uint64_t end = w->seed + w->seeds, near = late_seed(m), n;

	*by_scene = false;
	if (w->whole || near < w->seed || near + NEAR > end)
		return first_broken(w->seed, end);
	n = first_broken(near, near + NEAR);
	if (n < near + NEAR)
		return n;
	printf("%-22s is not caught any more where it was, at seed %" PRIu64 "\n", mutants[m].name, near);
	fflush(stdout);
	sim_mutant = MUTANT_NONE;
	*by_scene = scene_shows((enum sim_mutant)m);
	sim_mutant = (enum sim_mutant)m;
	sim_kind_wanted = shown_by(m);
	return *by_scene ? end : first_broken(w->seed, end);
}

/* 1: it survives; 2: the seed that would have caught it fails without it as well */
static int try_mutant(int m, const struct wish *w)
{
	double start = now_s();

	sim_mutant = (enum sim_mutant)m;
	sim_kind_wanted = shown_by(m);
	bool by_scene;
	uint64_t n = catching_seed(m, w, &by_scene);
	bool caught = n < w->seed + w->seeds;
	char why[sizeof(world.why)];
	memcpy(why, world.why, sizeof(why));
	sim_mutant = MUTANT_NONE;
	if (caught && !run(n, false)) {
		printf("seed %" PRIu64 " fails without any mutant: %s\n", n, world.why);
		return 2;
	}
	if (!caught && (by_scene || scene_shows((enum sim_mutant)m))) {
		fflush(stdout);
		return 0;
	}
	printf("%-22s %s", mutants[m].name, caught ? "caught" : "SURVIVED");
	if (caught)
		printf(" at seed %" PRIu64 " (%.1f s): %s", n, now_s() - start, why);
	printf("\n");
	fflush(stdout);
	return !caught;
}

/* those that seeds seldom catch, as they come: 0, or 1: it survives */
static int play_rare(int m)
{
	if (scene_shows((enum sim_mutant)m))
		return 0;
	printf("%-22s SURVIVED: it is one of the rare ones, and has no scene\n", mutants[m].name);
	return 1;
}

/* every @jobs'th of them, from the @job'th on */
static int run_part(const struct wish *w, uint64_t job, uint64_t jobs)
{
	int bad = 0, tried = 0, mine = 0;

	for (int m = 1; m < MUTANT_COUNT; m++) {
		if (w->rare && !is_rare(m))
			continue;
		if ((uint64_t)tried++ % jobs != job)
			continue;
		int result = is_rare(m) && !w->rare ? play_rare(m) : try_mutant(m, w);
		mine++;
		bad += result != 0;
		if (result > 1)
			break;
	}
	printf("%d mutants of %d, %d survived\n", mine, tried, bad);
	fflush(stdout);
	return bad != 0;
}

static int run_mutants(const struct wish *w)
{
	uint64_t jobs = max_u64(1, w->jobs);
	int status, bad = 0;

	fflush(stdout);
	for (uint64_t job = 1; job < jobs; job++) {
		pid_t child = fork();
		if (child < 0) {
			perror("fork");
			return 1;
		}
		if (child == 0)
			_exit(run_part(w, job, jobs));
	}
	bad = run_part(w, 0, jobs);
	while (wait(&status) > 0)
		bad |= status != 0;
	return bad;
}

static void choose_mutant(const char *name)
{
	for (int m = 0; m < MUTANT_COUNT; m++)
		if (strcmp(mutants[m].name, name) == 0) {
			sim_mutant = (enum sim_mutant)m;
			sim_kind_wanted = shown_by(m);
			return;
		}
	fprintf(stderr, "no mutant has the name %s\n", name);
	exit(2);
}

static void choose_kind(const char *name)
{
	for (int k = 0; k < MEDIUM_KINDS; k++)
		if (strcmp(kinds[k], name) == 0) {
			sim_kind_wanted = (enum medium_kind)k;
			return;
		}
	fprintf(stderr, "no medium has the name %s\n", name);
	exit(2);
}

static void parse(int argc, char **argv, struct wish *w)
{
	const struct {
		const char *name;
		uint64_t *to;
	} numbers[] = {{"--seed", &w->seed},	 {"--seeds", &w->seeds},   {"--steps", &w->steps},
		       {"--floor", &w->floor}, {"--repeat", &w->repeat}, {"--tail", &w->tail},
		       {"--jobs", &w->jobs}};

	for (int i = 1; i < argc; i++) {
		bool known = true;
		if (strcmp(argv[i], "--trace") == 0)
			w->trace = true;
		else if (strcmp(argv[i], "--mutants") == 0)
			w->mutants = true;
		else if (strcmp(argv[i], "--rare") == 0)
			w->mutants = w->rare = true;
		else if (strcmp(argv[i], "--whole") == 0)
			w->whole = true;
		else if (strcmp(argv[i], "--scenes") == 0)
			w->scenes = true;
		else if (strcmp(argv[i], "--mutant") == 0 && i + 1 < argc)
			choose_mutant(argv[++i]);
		else if (strcmp(argv[i], "--kind") == 0 && i + 1 < argc)
			choose_kind(argv[++i]);
		else
			known = false;
		for (size_t n = 0; !known && n < ARRAY_COUNT(numbers); n++)
			if (strcmp(argv[i], numbers[n].name) == 0 && i + 1 < argc) {
				*numbers[n].to = strtoull(argv[++i], NULL, 0);
				known = true;
				break;
			}
		if (!known) {
			fprintf(stderr, "unknown option %s\n", argv[i]);
			exit(2);
		}
	}
	if (w->trace)
		w->seeds = 1;
}

int main(int argc, char **argv)
{
	struct wish w = {.seed = 1, .seeds = 1000, .tail = 60};

	/* heartbeat, lease, suspicion, quarantine, claim: in points a thousandth of each */
	setenv("MEMKV_LEASE_MS", "1,5,10,30,1", 1);
	parse(argc, argv, &w);
	if (w.scenes)
		return scenes_play(sim_mutant, w.trace) != 0;
	return w.mutants ? run_mutants(&w) : run_seeds(&w);
}
