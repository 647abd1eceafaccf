/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Traces for those who have none: conversations over a few shared system prompts.
 *
 * A turn's chain is the system prompt's blocks, then all blocks of the turns before it, then a few new ones, so that
 * an id always stands for the whole chain up to it.  Sessions start at random times and pause at random between
 * turns; the requests of all of them are sorted by time.
 */
#include "cli/options.h"
#include "cli/report.h"
#include "cli/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAUSE_MIN_MS 2000
#define PAUSE_SPREAD_MS 20000
#define START_SPREAD_MS 2000 /* times the number of sessions */
#define REFS_MOST (UINT64_C(1) << 26)

struct turn {
	uint64_t time_ms;
	uint32_t session;
	uint32_t number;
};

struct session {
	uint64_t *id; /* the chain so far */
	uint64_t count;
};

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static int take_pair(struct trace_spec *spec, char *pair)
{
	const struct {
		const char *name;
		uint64_t *value;
		uint64_t least, most;
	} known[] = {
		{"sessions", &spec->sessions, 1, 1000000}, {"turns", &spec->turns, 1, 100000},
		{"prompts", &spec->prompts, 1, 1000000},   {"system", &spec->system, 0, 100000},
		{"new", &spec->fresh, 1, 100000},	   {"seed", &spec->seed, 0, UINT64_MAX},
	};
	char *value = strchr(pair, '=');
	uint64_t number;

	if (!value)
		return report_usage("replay", "--generate: '%s' is not KEY=VALUE", pair);
	*value++ = '\0';
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(pair, known[i].name))
			continue;
		const char *wrong = cli_parse_count(value, &number);
		if (!wrong && (number < known[i].least || number > known[i].most))
			wrong = number < known[i].least ? "is too small" : "is too large";
		if (wrong)
			return report_usage("replay", "--generate: %s: '%s' %s", pair, value, wrong);
		*known[i].value = number;
		return 0;
	}
	return report_usage("replay", "--generate: '%s' is not one of sessions, turns, prompts, system, new, seed",
			    pair);
}

static int parse_spec(struct trace_spec *spec, const char *text)
{
	char *copy = strdup(text ? text : ""), *rest = copy, *pair;
	int rc = copy ? 0 : report_failed(-ENOMEM, "out of memory");

	while (!rc && (pair = strsep(&rest, ",")))
		if (*pair)
			rc = take_pair(spec, pair);
	free(copy);
	/* Every session could add spec->fresh blocks a turn: refs of all turns of all sessions. */
	double refs = (double)spec->sessions * (double)spec->turns *
		      ((double)spec->system + (double)spec->turns * (double)spec->fresh / 2);
	if (!rc && refs > (double)REFS_MOST)
		rc = report_usage("replay", "--generate: that makes %.3g block references, more than %" PRIu64, refs,
				  REFS_MOST);
	return rc;
}

static int by_time(const void *a, const void *b)
{
	const struct turn *x = a, *y = b;

	if (x->time_ms != y->time_ms)
		return x->time_ms < y->time_ms ? -1 : 1;
	if (x->session != y->session)
		return x->session < y->session ? -1 : 1;
	return x->number < y->number ? -1 : 1;
}

static struct turn *schedule(const struct trace_spec *spec, uint64_t *random)
{
	struct turn *turns = calloc(spec->sessions * spec->turns, sizeof(*turns));

	if (!turns)
		return NULL;
	for (uint32_t s = 0; s < spec->sessions; s++) {
		uint64_t time_ms = next_random(random) % (spec->sessions * START_SPREAD_MS);
		for (uint32_t t = 0; t < spec->turns; t++) {
			turns[s * spec->turns + t] = (struct turn){.time_ms = time_ms, .session = s, .number = t};
			time_ms += PAUSE_MIN_MS + next_random(random) % PAUSE_SPREAD_MS;
		}
	}
	qsort(turns, spec->sessions * spec->turns, sizeof(*turns), by_time);
	return turns;
}

/* One turn: extend the session's chain and make a request of it.  Ids 0.. are the system prompts'. */
static int add_turn(struct trace *trace, const struct trace_spec *spec, struct session *session,
		    const struct turn *turn, uint64_t *next_id, uint64_t *random)
{
	if (!session->id) {
		session->id = calloc(spec->system + spec->turns * spec->fresh, sizeof(*session->id));
		if (!session->id)
			return -ENOMEM;
		uint64_t prompt = next_random(random) % spec->prompts;
		for (uint64_t i = 0; i < spec->system; i++)
			session->id[session->count++] = prompt * spec->system + i;
	}
	for (uint64_t fresh = 1 + next_random(random) % spec->fresh; fresh; fresh--)
		session->id[session->count++] = (*next_id)++;
	struct trace_request head = {
		.timestamp_ms = turn->time_ms,
		/* The last block need not be full. */
		.input_tokens = session->count * TRACE_BLOCK_TOKENS - next_random(random) % TRACE_BLOCK_TOKENS,
		.output_tokens = 1 + next_random(random) % 800,
		.block_tokens = TRACE_BLOCK_TOKENS,
	};
	return trace_add_request(trace, TRACE_SCOPE_GLOBAL, &head, session->id, session->count);
}

int trace_make(struct trace *trace, const char *text, uint64_t seed)
{
	struct trace_spec spec = {.sessions = 40, .turns = 6, .prompts = 4, .system = 8, .fresh = 5, .seed = seed};
	int rc = parse_spec(&spec, text);

	if (rc)
		return rc;
	uint64_t random = spec.seed, next_id = spec.prompts * spec.system;
	struct session *sessions = calloc(spec.sessions, sizeof(*sessions));
	struct turn *turns = schedule(&spec, &random);
	if (!sessions || !turns)
		rc = -ENOMEM;
	for (uint64_t i = 0; !rc && i < spec.sessions * spec.turns; i++)
		rc = add_turn(trace, &spec, &sessions[turns[i].session], &turns[i], &next_id, &random);
	for (uint64_t s = 0; sessions && s < spec.sessions; s++)
		free(sessions[s].id);
	free(sessions);
	free(turns);
	return rc ? report_failed(rc, "cannot make the trace: %s", strerror(-rc)) : 0;
}

int trace_write(const struct trace *trace, const char *path)
{
	FILE *out = fopen(path, "we");

	if (!out)
		return report_failed(-errno, "cannot write %s: %s", path, strerror(errno));
	for (size_t r = 0; r < trace->requests; r++) {
		const struct trace_request *request = &trace->request[r];
		fprintf(out,
			"{\"timestamp\": %" PRIu64 ", \"input_length\": %" PRIu64 ", \"output_length\": %" PRIu64
			", \"hash_ids\": [",
			request->timestamp_ms, request->input_tokens, request->output_tokens);
		for (uint64_t i = 0; i < request->refs; i++)
			fprintf(out, "%s%" PRIu64, i ? ", " : "", trace->block[trace->ref[request->first_ref + i]].id);
		fputs("]}\n", out);
	}
	bool failed = ferror(out) != 0;
	errno = 0;
	if (fclose(out) || failed)
		return report_failed(errno ? -errno : -EIO, "cannot write %s: %s", path, strerror(errno));
	return 0;
}
