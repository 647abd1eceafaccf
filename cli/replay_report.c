/* SPDX-License-Identifier: Apache-2.0 */
/* What a replay found, as one JSON object or as a table. */
#include "cli/replay_shared.h"
#include "cli/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/**
 * struct totals - all agents together
 */
struct totals {
	struct replay_counts counts;
	struct latency get, put, match, refresh;
	double hit_ratio, ceiling, read_gbps, write_gbps;
};

static double part(double a, double b)
{
	return b > 0 ? a / b : 0;
}

static void add_up(struct totals *totals, const struct replay_plan *plan, const struct replay_shared *shared,
		   const struct replay_outcome *outcome, uint64_t wrong_bytes)
{
	for (uint32_t a = 0; a < plan->agents; a++) {
		const struct replay_agent *agent = &shared->agent[a];
		replay_counts_add(&totals->counts, &agent->counts);
		latency_merge(&totals->get, &agent->get);
		latency_merge(&totals->put, &agent->put);
		latency_merge(&totals->match, &agent->match);
		latency_merge(&totals->refresh, &agent->refresh);
	}
	totals->counts.wrong_bytes += wrong_bytes;
	totals->hit_ratio = part((double)totals->counts.hit_blocks, (double)totals->counts.block_refs);
	totals->ceiling = trace_prefix_ceiling(&plan->trace);
	totals->read_gbps = part((double)totals->counts.bytes_read / 1e9, outcome->seconds);
	totals->write_gbps = part((double)totals->counts.bytes_written / 1e9, outcome->seconds);
}

static void add_latency(struct json_object *document, const char *name, const struct latency *latency)
{
	struct json_object *object = json_object_new_object();

	report_add_real(object, "p50", latency_percentile_us(latency, 50));
	report_add_real(object, "p99", latency_percentile_us(latency, 99));
	json_object_object_add(document, name, object);
}

static void print_json(const struct totals *totals, const struct replay_plan *plan,
		       const struct replay_outcome *outcome)
{
	const struct replay_counts *counts = &totals->counts;
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = {
		{"requests", counts->requests},
		{"block_refs", counts->block_refs},
		{"distinct_blocks", plan->trace.blocks},
		{"block_size", plan->block_size},
		{"hit_blocks", counts->hit_blocks},
		{"late_blocks", counts->late_blocks},
		{"refresh_blocks", counts->refresh_blocks},
		{"puts", counts->puts},
		{"puts_exist", counts->puts_exist},
		{"puts_no_room", counts->puts_no_room},
		{"puts_failed", counts->puts_failed},
		{"gets", counts->gets},
		{"gets_failed", counts->gets_failed},
		{"get_misses_after_match", counts->get_misses_after_match},
		{"bytes_read", counts->bytes_read},
		{"bytes_written", counts->bytes_written},
		{"wrong_bytes", counts->wrong_bytes},
		{"tokens_reused", counts->tokens_reused},
		{"tokens_total", counts->tokens_total},
		{"evicted_blocks", counts->evicted_blocks},
		{"moved_blocks", counts->moved_blocks},
		{"agents", plan->agents},
		{"killed_agents", outcome->killed},
		{"requests_unfinished", plan->trace.requests - counts->requests},
		{"lines_skipped", plan->trace.lines_skipped},
	};
	struct json_object *document = report_document();

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		report_add_number(document, numbers[i].name, numbers[i].value);
	report_add_real(document, "prefix_hit_ratio", totals->hit_ratio);
	report_add_real(document, "prefix_ceiling", totals->ceiling);
	add_latency(document, "get_us", &totals->get);
	add_latency(document, "match_us", &totals->match);
	add_latency(document, "refresh_us", &totals->refresh);
	add_latency(document, "put_us", &totals->put);
	report_add_real(document, "seconds", outcome->seconds);
	report_add_real(document, "read_gbps", totals->read_gbps);
	report_add_real(document, "write_gbps", totals->write_gbps);
	if (outcome->verified) {
		report_add_number(document, "acknowledged", outcome->acknowledged);
		json_object_object_add(document, "lost",
				       plan->room_for_all ? json_object_new_uint64(outcome->lost) : NULL);
	}
	report_print(document);
}

static void print_latency(const char *name, const struct latency *latency)
{
	if (latency->count)
		printf("%-12s p50 %.1f us, p99 %.1f us\n", name, latency_percentile_us(latency, 50),
		       latency_percentile_us(latency, 99));
}

static void print_table(const struct totals *totals, const struct replay_plan *plan,
			const struct replay_outcome *outcome)
{
	const struct replay_counts *counts = &totals->counts;
	char a[REPORT_SIZE_TEXT], b[REPORT_SIZE_TEXT];

	printf("requests     %" PRIu64 " of %zu by %u agents, %u killed, in %.3f s\n", counts->requests,
	       plan->trace.requests, plan->agents, outcome->killed, outcome->seconds);
	printf("blocks       %" PRIu64 " references to %zu distinct blocks of %s\n", counts->block_refs,
	       plan->trace.blocks, report_size_text(plan->block_size, a));
	printf("hits         %" PRIu64 " (%.4f of the references, ceiling %.4f), late %" PRIu64 "\n",
	       counts->hit_blocks, totals->hit_ratio, totals->ceiling, counts->late_blocks);
	printf("tokens       %" PRIu64 " of %" PRIu64 " reused (%.4f)\n", counts->tokens_reused, counts->tokens_total,
	       part((double)counts->tokens_reused, (double)counts->tokens_total));
	printf("gets         %" PRIu64 ", missed after match %" PRIu64 ", failed %" PRIu64 "\n", counts->gets,
	       counts->get_misses_after_match, counts->gets_failed);
	printf("puts         %" PRIu64 ", there already %" PRIu64 ", no room %" PRIu64 ", failed %" PRIu64 "\n",
	       counts->puts, counts->puts_exist, counts->puts_no_room, counts->puts_failed);
	printf("read         %s, %.3f GB/s\n", report_size_text(counts->bytes_read, a), totals->read_gbps);
	printf("written      %s, %.3f GB/s\n", report_size_text(counts->bytes_written, b), totals->write_gbps);
	print_latency("get", &totals->get);
	print_latency("match", &totals->match);
	print_latency("fresh match", &totals->refresh);
	print_latency("put", &totals->put);
	printf("evicted      %" PRIu64 " blocks, moved %" PRIu64 "\n", counts->evicted_blocks, counts->moved_blocks);
	if (plan->trace.lines_skipped)
		printf("skipped      %" PRIu64 " broken lines of the traces\n", plan->trace.lines_skipped);
	if (outcome->verified)
		printf("acknowledged %" PRIu64 " blocks, ", outcome->acknowledged);
	if (outcome->verified && plan->room_for_all)
		printf("lost %" PRIu64 "\n", outcome->lost);
	else if (outcome->verified)
		printf("not there any more %" PRIu64 " (the pool is too small for all)\n", outcome->lost);
	printf("wrong bytes  %" PRIu64 "\n", counts->wrong_bytes);
}

int replay_print(const struct replay_plan *plan, const struct replay_shared *shared,
		 const struct replay_outcome *outcome, uint64_t wrong_bytes)
{
	struct totals *totals = calloc(1, sizeof(*totals));

	if (!totals)
		return report_failed(-ENOMEM, "no memory for the report");
	add_up(totals, plan, shared, outcome, wrong_bytes);
	if (report_json())
		print_json(totals, plan, outcome);
	else
		print_table(totals, plan, outcome);
	bool damage = totals->counts.wrong_bytes || (outcome->verified && plan->room_for_all && outcome->lost);
	free(totals);
	if (outcome->failure.result)
		report_note("%s", outcome->failure.text);
	if (damage)
		return EXIT_DAMAGE;
	return outcome->failure.result ? report_exit_code(outcome->failure.result) : EXIT_DONE;
}
