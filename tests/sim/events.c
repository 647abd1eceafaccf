/* SPDX-License-Identifier: Apache-2.0 */
/* What happened, for people: the last events of a run, a hash over all of them, and what all runs together met. */
#include "core/format/record.h"
#include "sim.h"
#include "stage.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { REMEMBERED = 1 << 13 };

struct line {
	uint64_t now, a, b, c;
	uint32_t event, agent;
};

static struct line lines[REMEMBERED];
static uint64_t line_count, hash;
static bool print_all;
uint64_t coverage[COVER_COUNT];

const char *call_name(enum call_kind kind)
{
	static const char *const names[CALL_KINDS] = {
		[CALL_NONE] = "nothing", [CALL_OPEN] = "open",	   [CALL_CLOSE] = "close",     [CALL_PUT] = "put",
		[CALL_GET] = "get",	 [CALL_RANGES] = "ranges", [CALL_REMOVE] = "remove",   [CALL_MATCH] = "exists",
		[CALL_STAT] = "stat",	 [CALL_CHECK] = "check",   [CALL_REFRESH] = "refresh", [CALL_LIST] = "list",
		[CALL_HOLD] = "hold",
		[CALL_PIN] = "pin",	 [CALL_UNPIN] = "unpin",   [CALL_PINS] = "pins",       [CALL_PIN_SESSION] = "pin session",
		[CALL_EVICT] = "evict",	 [CALL_UNPIN_SESSION] = "unpin session",
		[CALL_DRAIN] = "drain",	 [CALL_TEND] = "tend",
	};

	return kind < CALL_KINDS ? names[kind] : "?";
}

static void word_text(const struct line *l, char *text, size_t room)
{
	static const char *const kinds[] = {"load", "store", "swap", "add"};
	const struct layout *y = &world.layout;
	int r = 0;

	while (r + 1 < REGION_SEGMENTS && l->a >= y->offset[r + 1])
		r++;
	uint64_t at = l->a - y->offset[r];
	if (r == REGION_TABLES && at % y->table_bytes >= PAGE)
		snprintf(text, room, "%s entry %" PRIu64 " word %" PRIu64 " of segment %" PRIu64 "%s", kinds[l->b],
			 (at % y->table_bytes - PAGE) / ENTRY_BYTES, at % ENTRY_BYTES / 8, at / y->table_bytes, l->c ? "" : " LOST");
	else if (r == REGION_TABLES)
		snprintf(text, room, "%s table of segment %" PRIu64 " byte %" PRIu64 "%s", kinds[l->b], at / y->table_bytes,
			 at % y->table_bytes, l->c ? "" : " LOST");
	else
		snprintf(text, room, "%s %s byte %" PRIu64 "%s", kinds[l->b], region_name((enum region)r), at, l->c ? "" : " LOST");
}

static void line_text(const struct line *l, char *text, size_t room)
{
	static const char *const lives[] = {"live", "removed", "moving", "in doubt", "sent", "?", "?", "?"};
	static const char *const phases[] = {"run", "quiet", "look", "read", "survive"};
	static const char *const slots[] = {"virgin", "joining", "active", "leaving", "left"};
	const char *call = call_name((enum call_kind)l->a);

	switch ((enum event)l->event) {
	case EVENT_CALL:
		snprintf(text, room, "%s key %d begins (thread %" PRIu64 ")", call, (int)l->b, l->c);
		return;
	case EVENT_RETURN:
		snprintf(text, room, "%s key %d returns %s (%" PRId64 ")", call, (int)l->b,
			 memkv_code_name((int)(int64_t)l->c), (int64_t)l->c);
		return;
	case EVENT_WORD:
		word_text(l, text, room);
		return;
	case EVENT_OWNER:
		snprintf(text, room, "segment %" PRIu64 ": %s -> %s, epoch %" PRIu64, l->a,
			 owner_state_name((enum owner_state)(l->b >> 8)), owner_state_name((enum owner_state)(l->b & 255)), l->c);
		return;
	case EVENT_HEADER:
		snprintf(text, room, "segment %" PRIu64 ": generation %016" PRIx64 " begins", l->a, l->b);
		return;
	case EVENT_ENTRY:
		snprintf(text, room, "segment %" PRIu64 ", place %u: entry of birth %016" PRIx64 "%s", l->a >> 32, (uint32_t)l->a,
			 l->b, l->c ? " VOID" : "");
		return;
	case EVENT_LIFE:
		snprintf(text, room, "segment %" PRIu64 ", place %u: %s, birth %016" PRIx64, l->a >> 32, (uint32_t)l->a,
			 lives[l->b & 7], l->c);
		return;
	case EVENT_SUBMIT:
		snprintf(text, room, "%s page %" PRIu64 ", %" PRIu64 " pages", l->a == MEDIA_READ ? "reads" : "writes", l->b, l->c);
		return;
	case EVENT_LAND:
		snprintf(text, room, "    page %" PRIu64 " lands (segment %" PRIu64 ", generation %016" PRIx64 ")", l->a, l->b, l->c);
		return;
	case EVENT_COMPLETE:
		snprintf(text, room, "    %s at page %" PRIu64 " is complete%s", l->a == MEDIA_READ ? "read" : "write", l->b,
			 l->c ? ", FAILED" : "");
		return;
	case EVENT_FLUSH:
		snprintf(text, room, "flushes%s", l->a ? ", FAILED" : "");
		return;
	case EVENT_LOCK:
		snprintf(text, room, "%s byte %" PRIu64 ", held by %d", l->c ? "locks" : "unlocks", l->a, (int)l->b);
		return;
	case EVENT_KILL:
		snprintf(text, room, "KILLED (process %" PRIu64 "), %" PRIu64 " commands in flight", l->a, l->b);
		return;
	case EVENT_GONE:
		snprintf(text, room, "gone (process %" PRIu64 ")", l->a);
		return;
	case EVENT_STOP:
		snprintf(text, room, "STOPPED for %" PRIu64 " points", l->a);
		return;
	case EVENT_STALL:
		snprintf(text, room, "thread %" PRIu64 " stalls for %" PRIu64 " points", l->a, l->b);
		return;
	case EVENT_CUT:
		snprintf(text, room, "POWER CUT");
		return;
	case EVENT_CLOCK:
		snprintf(text, room, "the clock jumps to %" PRIu64, l->a);
		return;
	case EVENT_SPAWN:
		snprintf(text, room, "process %" PRIu64 " starts", l->a);
		return;
	case EVENT_STATED:
		snprintf(text, room, "    %u@%u states %s of segment %u, version %" PRIx64, (uint32_t)(l->b >> 32), (uint32_t)l->b,
			 record_kind_name((enum record_kind)(l->a >> 32)), (uint32_t)l->a, l->c);
		return;
	case EVENT_CELL:
		snprintf(text, room, "    slot %u, copy %u: %s, epoch %u, nonce %08x, owes %u", (uint32_t)l->a, (uint32_t)(l->a >> 32),
			 l->b >> 32 < ARRAY_COUNT(slots) ? slots[l->b >> 32] : "?", (uint32_t)l->b, (uint32_t)l->c,
			 (uint32_t)(l->c >> 32));
		return;
	case EVENT_SITE:
		snprintf(text, room, "spot %s", mutant_name((enum sim_mutant)l->a));
		return;
	case EVENT_NONE:
		break;
	case EVENT_PHASE:
		snprintf(text, room, "---- %s ----", phases[l->a % 5]);
		return;
	}
	snprintf(text, room, "?");
}

static void print_line(const struct line *l)
{
	char text[200];

	line_text(l, text, sizeof(text));
	if (l->agent == UINT32_MAX)
		printf("%8" PRIu64 "    %s\n", l->now, text);
	else
		printf("%8" PRIu64 " %*sagent %u: %s\n", l->now, (int)l->agent * 2, "", l->agent, text);
}

void trace(enum event event, const struct agent *agent, uint64_t a, uint64_t b, uint64_t c)
{
	struct line *l = &lines[line_count++ % REMEMBERED];

	*l = (struct line){.now = world.now, .a = a, .b = b, .c = c, .event = event, .agent = agent ? agent->number : UINT32_MAX};
	hash = (hash ^ (world.now + a * 3 + b * 5 + c * 7 + event)) * 0x9E3779B97F4A7C15ULL;
	hash ^= hash >> 29;
	if (print_all)
		print_line(l);
	if (stage.on)
		stage_event(event, agent, a);
	if (world.sites.sleepers)
		sites_event(event, agent);
}

void trace_reset(bool print)
{
	line_count = 0;
	hash = 0;
	print_all = print;
}

uint64_t trace_hash(void) { return hash; }

void trace_tail(unsigned count)
{
	uint64_t from = line_count > count ? line_count - count : 0;

	if (line_count - from > REMEMBERED)
		from = line_count - REMEMBERED;
	for (; from < line_count; from++)
		print_line(&lines[from % REMEMBERED]);
}

unsigned coverage_print(uint64_t floor)
{
	static const char *const texts[COVER_COUNT] = {
#define COVER_TEXT(name, text) text,
		COVERED(COVER_TEXT)
		[COVER_FLOORED] = NULL,
		COVERED_SHARED(COVER_TEXT)
#undef COVER_TEXT
	};
	unsigned under = 0;

	for (int i = 0; i < COVER_COUNT; i++) {
		/* runs of one kind are judged by the rows of that kind */
		bool judged = i != COVER_FLOORED && (i > COVER_FLOORED) == (sim_kind_wanted == MEDIUM_SHARED);
		bool low = judged && coverage[i] < floor;
		if (texts[i] && (i < COVER_FLOORED || coverage[i] || low))
			printf("%12" PRIu64 "  %s%s\n", coverage[i], texts[i], low ? "   <-- under the floor" : "");
		under += low;
	}
#define NOT_YET_ROW(text) printf("     not yet  %s\n", text);
	NOT_YET(NOT_YET_ROW)
#undef NOT_YET_ROW
	return under;
}
