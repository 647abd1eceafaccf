/* SPDX-License-Identifier: Apache-2.0 */
/* See tally.h. */
#include "tests/flip/tally.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { NAMED_MAX = 20 };

/* what was seen of one place, either by single flipped bits or by larger damage */
struct row {
	uint64_t seeds, found, found_of_lost, lossy, hidden, wrong, faults;
	uint32_t *lost; /* of every seed, sorted before it is shown */
};

static int ascending(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void add(struct row *row, const struct outcome *o)
{
	row->lost[row->seeds++] = o->lost;
	row->found += o->found;
	row->lossy += o->lost > 0;
	row->found_of_lost += o->lost > 0 && o->found;
	row->hidden += o->hidden;
	row->wrong += o->wrong;
	row->faults += o->faults > 0;
}

static void show(const char *name, const char *damage, struct row *row)
{
	if (row->seeds == 0)
		return;
	qsort(row->lost, row->seeds, sizeof(*row->lost), ascending);
	printf("| %-24s | %-6s | %6" PRIu64 " | %4u | %4u | %5" PRIu64 " | %6" PRIu64 " | %6" PRIu64 " |\n", name, damage,
	       row->seeds, row->lost[row->seeds / 2], row->lost[row->seeds - 1], row->wrong, row->found, row->faults);
}

static void show_table(const struct outcome *outcomes, uint64_t count, uint32_t *memory)
{
	printf("| %-24s | %-6s | %6s | %4s | %4s | %5s | %6s | %6s |\n", "place", "damage", "seeds", "lost", "max", "wrong",
	       "found", "failed");
	printf("|--------------------------|--------|-------:|-----:|-----:|------:|-------:|-------:|\n");
	for (int spot = 0; spot < SPOT_COUNT; spot++) {
		struct row bit = {.lost = memory}, more = {.lost = memory + count};
		for (uint64_t i = 0; i < count; i++)
			if (outcomes[i].progress == PROGRESS_DONE && (int)outcomes[i].spot == spot)
				add(outcomes[i].kind == HURT_BIT ? &bit : &more, &outcomes[i]);
		show(spot_name((enum spot)spot), "bit", &bit);
		show(spot_name((enum spot)spot), "larger", &more);
	}
}

/* the most that one flipped bit cost, in all and outside the bytes that nothing else tells */
static void show_sum(const struct outcome *outcomes, uint64_t count, struct row *all, double seconds)
{
	uint32_t worst = 0, worst_covered = 0;
	uint64_t writing = 0, bits = 0;

	for (uint64_t i = 0; i < count; i++) {
		const struct outcome *o = &outcomes[i];
		add(all, o);
		writing += o->writing;
		if (o->kind != HURT_BIT)
			continue;
		bits++;
		worst = o->lost > worst ? o->lost : worst;
		if (o->spot != SPOT_BLOCK_HEADER && o->spot != SPOT_PAYLOAD && o->lost > worst_covered)
			worst_covered = o->lost;
	}
	printf("{\"schema\":1,\"seeds\":%" PRIu64 ",\"single_bits\":%" PRIu64 ",\"writing\":%" PRIu64
	       ",\"wrong_bytes\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"lossy\":%" PRIu64 ",\"lossy_found\":%" PRIu64
	       ",\"lost_hidden\":%" PRIu64 ",\"bit_lost_max\":%u,\"bit_lost_max_second_source\":%u,\"seconds\":%.1f}\n",
	       count, bits, writing, all->wrong, all->faults, all->lossy, all->found_of_lost, all->hidden, worst,
	       worst_covered, seconds);
}

uint64_t tally_print(const struct outcome *outcomes, uint64_t first, uint64_t count, double seconds)
{
	uint32_t *memory = calloc(count * 3, sizeof(*memory));
	struct row all = {.lost = memory + count * 2};
	uint64_t failed = 0;

	if (!memory)
		die("no memory for the table");
	for (uint64_t i = 0; i < count; i++) {
		const struct outcome *o = &outcomes[i];
		bool bad = o->faults > 0 || o->progress != PROGRESS_DONE;
		if (bad && failed++ < NAMED_MAX)
			printf("seed %" PRIu64 " FAILED (%s, %s): %s%s\n", first + i, spot_name(o->spot),
			       hurt_kind_name(o->kind), o->progress == PROGRESS_DONE ? o->why : "never finished",
			       o->faults > 1 ? " (and more)" : "");
	}
	if (failed > NAMED_MAX)
		printf("... and %" PRIu64 " seeds more\n", failed - NAMED_MAX);
	show_table(outcomes, count, memory);
	show_sum(outcomes, count, &all, seconds);
	free(memory);
	return failed;
}
