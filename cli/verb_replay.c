/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memkv replay: the traces into memory, the pool found or made, then the run (replay_run.c), the reading back and the
 * report.
 */
#include "cli/address.h"
#include "cli/interrupt.h"
#include "cli/replay_pool.h"
#include "cli/report.h"
#include "cli/verbs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define DEFAULT_AGENTS 4
#define DEFAULT_BLOCK_SIZE ((uint64_t)2 << 20)

static bool ends_in(const char *text, const char *end)
{
	size_t length = strlen(text), tail = strlen(end);

	return length > tail && !strcmp(text + length - tail, end);
}

static bool looks_like_trace(const char *word)
{
	return ends_in(word, ".json") || ends_in(word, ".jsonl");
}

/* The first word is the pool unless it is called like a trace. */
static int sort_words(const struct cli_args *args, const char **pool, size_t *first_trace)
{
	bool has_pool = args->words && !looks_like_trace(args->word[0].text);

	*pool = has_pool ? args->word[0].text : NULL;
	*first_trace = has_pool ? 1 : 0;
	bool traces = args->words > *first_trace;
	if (traces && args->given[OPT_GENERATE])
		return report_usage(args->verb, "--generate and trace files exclude each other");
	if (!traces && !args->given[OPT_GENERATE])
		return report_usage(args->verb, "TRACE is missing: .jsonl or .json files, or --generate");
	if (args->given[OPT_WRITE_TRACE] && !args->given[OPT_GENERATE])
		return report_usage(args->verb, "--write-trace goes with --generate");
	return has_pool ? address_resolve(args->verb, *pool, pool) : 0;
}

static int read_numbers(const struct cli_args *args, struct replay_plan *plan)
{
	plan->agents = args->given[OPT_AGENTS] ? (uint32_t)args->number[OPT_AGENTS] : DEFAULT_AGENTS;
	plan->block_size = args->given[OPT_BLOCK_SIZE] ? args->number[OPT_BLOCK_SIZE] : DEFAULT_BLOCK_SIZE;
	plan->kill = (uint32_t)args->number[OPT_KILL];
	plan->seed = args->given[OPT_SEED] ? args->number[OPT_SEED] : 1;
	if (plan->kill >= plan->agents)
		return report_usage(args->verb, "--kill %u leaves none of %u agents", plan->kill, plan->agents);
	if (getrandom(&plan->run, sizeof(plan->run), 0) != (ssize_t)sizeof(plan->run))
		return report_failed(-errno, "no random number for the run: %s", strerror(errno));
	return 0;
}

static int load_traces(const struct cli_args *args, size_t first_trace, struct replay_plan *plan)
{
	int rc = 0;

	if (args->given[OPT_GENERATE])
		rc = trace_make(&plan->trace, args->text[OPT_GENERATE], plan->seed);
	for (size_t i = first_trace; !rc && i < args->words; i++) {
		rc = trace_read(&plan->trace, args->word[i].text, args->given[OPT_STRICT]);
		if (!rc && interrupt_seen())
			rc = report_failed(-EINTR, "interrupted");
	}
	if (rc)
		return rc;
	if (args->given[OPT_LIMIT])
		trace_cut(&plan->trace, args->number[OPT_LIMIT]);
	if (!plan->trace.requests)
		return report_failed(-EBADMSG, "there is no request in the traces");
	return args->given[OPT_WRITE_TRACE] ? trace_write(&plan->trace, args->text[OPT_WRITE_TRACE]) : 0;
}

/* A key for each distinct block: of "<scope>:<id>:<block size>". */
static int make_keys(struct replay_plan *plan)
{
	const struct trace *trace = &plan->trace;
	char text[512];

	plan->keys = calloc(trace->blocks ? trace->blocks : 1, sizeof(*plan->keys));
	if (!plan->keys)
		return report_failed(-ENOMEM, "no memory for %zu keys", trace->blocks);
	for (size_t b = 0; b < trace->blocks; b++) {
		int length = snprintf(text, sizeof(text), "%s:%" PRIu64 ":%zu", trace->scope[trace->block[b].scope],
				      trace->block[b].id, plan->block_size);
		if (length < 0 || length >= (int)sizeof(text))
			return report_failed(-ENAMETOOLONG, "%s: the name is too long",
					     trace->scope[trace->block[b].scope]);
		int rc = memkv_key_from_name("memkv-replay", text, (size_t)length, &plan->keys[b]);
		if (rc < 0)
			return report_library(rc, "a key");
	}
	return 0;
}

static int run_and_report(const struct cli_args *args, const struct replay_plan *plan)
{
	struct replay_outcome outcome = {0};
	struct replay_shared *shared;
	uint64_t wrong_bytes = 0;
	int rc = replay_shared_open(plan, &shared);

	if (rc)
		return report_failed(rc, "cannot share memory with the agents: %s", strerror(-rc));
	rc = replay_run(plan, shared, &outcome);
	if (!rc && (plan->kill || args->given[OPT_VERIFY]))
		rc = replay_verify(plan, shared, &outcome, &wrong_bytes);
	if (!rc)
		rc = replay_print(plan, shared, &outcome, wrong_bytes);
	replay_shared_close(shared);
	return rc;
}

static int replay_on_pool(const struct cli_args *args, struct replay_plan *plan)
{
	struct scratch_pool scratch = {0};
	int rc = 0;

	if (!plan->pool) {
		rc = scratch_pool_open(&scratch, plan);
		if (rc)
			return rc;
		plan->pool = scratch.path;
	}
	rc = replay_pool_check(plan, args->given[OPT_LIVE]);
	if (!rc)
		rc = run_and_report(args, plan);
	scratch_pool_close(&scratch);
	return rc;
}

int verb_replay(const struct cli_args *args)
{
	struct replay_plan plan = {0};
	size_t first_trace;
	int rc = sort_words(args, &plan.pool, &first_trace);

	if (!rc)
		rc = read_numbers(args, &plan);
	if (rc)
		return rc;
	interrupt_defer();
	rc = trace_init(&plan.trace) ? report_failed(-ENOMEM, "out of memory") : 0;
	if (!rc)
		rc = load_traces(args, first_trace, &plan);
	if (!rc)
		rc = make_keys(&plan);
	if (!rc)
		rc = replay_on_pool(args, &plan);
	trace_fini(&plan.trace);
	free(plan.keys);
	return rc;
}
