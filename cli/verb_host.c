/* SPDX-License-Identifier: Apache-2.0 */
/* memkv host ls, host fence, host drain: who is attached. */
#include "cli/access.h"
#include "cli/in_time.h"
#include "cli/report.h"
#include "cli/verbs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *state_text(int state)
{
	static const char *const names[] = {
		[MEMKV_HOST_UNUSED] = "unused", [MEMKV_HOST_ALIVE] = "alive", [MEMKV_HOST_STOPPED] = "stopped",
		[MEMKV_HOST_SILENT] = "silent",
		[MEMKV_HOST_LEFT] = "left",	[MEMKV_HOST_DEAD] = "dead",   [MEMKV_HOST_DAMAGED] = "damaged",
		[MEMKV_HOST_DRAINING] = "draining", [MEMKV_HOST_DRAINED] = "drained",
	};

	return names[state];
}

static const char *hex_of(const uint8_t bytes[16], char text[33])
{
	for (int i = 0; i < 16; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	return text;
}

static void add_id(struct json_object *line, const char *name, const uint8_t bytes[16])
{
	static const uint8_t zero[16];
	char text[33];

	if (memcmp(bytes, zero, sizeof(zero)))
		report_add_text(line, name, hex_of(bytes, text));
	else
		json_object_object_add(line, name, NULL);
}

static void print_host_json(const struct memkv_host *host)
{
	struct json_object *line = report_document();
	char id[32];

	snprintf(id, sizeof(id), "%u@%u", host->slot, host->epoch);
	report_add_text(line, "id", id);
	report_add_number(line, "slot", host->slot);
	report_add_number(line, "epoch", host->epoch);
	report_add_text(line, "state", state_text(host->state));
	report_add_number(line, "pid", host->pid);
	report_add_number(line, "process_start", host->process_start);
	report_add_flag(line, "local", host->local);
	report_add_text(line, "nqn", host->nqn);
	add_id(line, "host_id", host->host_id);
	add_id(line, "machine", host->machine);
	add_id(line, "boot", host->boot);
	report_add_text(line, "version", host->version);
	report_add_time(line, "attached_s", host->attached_s);
	report_add_time(line, "seen_s", host->seen_s);
	report_add_number(line, "segments", host->segments);
	report_add_number(line, "bytes", host->bytes);
	report_add_number(line, "pins", host->pins);
	report_add_number(line, "holds", host->holds);
	report_print(line);
}

static void print_host(const struct memkv_host *host)
{
	time_t seconds = (time_t)host->attached_s;
	char id[32], size[REPORT_SIZE_TEXT], since[32] = "-";
	struct tm tm;

	snprintf(id, sizeof(id), "%u@%u", host->slot, host->epoch);
	if (host->attached_s && gmtime_r(&seconds, &tm))
		strftime(since, sizeof(since), "%Y-%m-%dT%H:%M:%SZ", &tm);
	printf("%-12s %-8s %8u %-20s %3" PRIu64 " %10s %4" PRIu64 " %5" PRIu64 " %-8s ", id, state_text(host->state), host->pid, since,
	       host->segments, report_size_text(host->bytes, size), host->pins, host->holds, host->version[0] ? host->version : "-");
	report_safe_text(stdout, host->nqn[0] ? host->nqn : "-");
	putchar('\n');
}

/* the living, and with --all everybody else who ever was there */
static bool shown(const struct cli_args *args, const struct memkv_host *host)
{
	if (args->given[OPT_ALL])
		return host->state != MEMKV_HOST_UNUSED;
	return host->state == MEMKV_HOST_ALIVE || host->state == MEMKV_HOST_STOPPED || host->state == MEMKV_HOST_DAMAGED || host->state == MEMKV_HOST_SILENT ||
	       host->state == MEMKV_HOST_DRAINING || host->state == MEMKV_HOST_DRAINED || host->segments || host->pins;
}

static int64_t call_hosts(struct memkv_pool *pool, struct in_time *job)
{
	int64_t slots = memkv_hosts_by(pool, NULL, 0, in_time_left(job));
	struct memkv_host *hosts = slots > 0 ? calloc((size_t)slots, sizeof(*hosts)) : NULL;

	if (slots > 0)
		slots = hosts ? memkv_hosts_by(pool, hosts, (size_t)slots, in_time_left(job)) : -ENOMEM;
	if (slots > 0 && in_time_add(job, hosts, (size_t)slots * sizeof(*hosts)))
		slots = -ENOMEM;
	free(hosts);
	return slots;
}

static void print_one(const struct cli_args *args, const void *one)
{
	if (!shown(args, one))
		return;
	if (report_json())
		print_host_json(one);
	else
		print_host(one);
}

int verb_host_ls(const struct cli_args *args) { return in_time_list(args, call_hosts, sizeof(struct memkv_host), print_one); }

/* POOL SLOT@EPOCH */
static int take_incarnation(const struct cli_args *args, const char **path, uint32_t *slot, uint32_t *epoch)
{
	if (args->words != 2 || args->word[0].is_name || args->word[1].is_name)
		return report_usage(args->verb, "POOL and SLOT@EPOCH are needed; 'memkv host ls' shows them");
	*path = args->word[0].text;
	const char *text = args->word[1].text;
	char *end = NULL, *last = NULL;
	unsigned long first = strtoul(text, &end, 10), second = *end == '@' ? strtoul(end + 1, &last, 10) : 0;
	if (*text < '0' || *text > '9' || *end != '@' || end[1] < '0' || end[1] > '9' || *last || first > UINT16_MAX ||
	    second > UINT32_MAX || second == 0)
		return report_usage(args->verb, "'%s' is not SLOT@EPOCH, such as 3@17", text);
	*slot = (uint32_t)first;
	*epoch = (uint32_t)second;
	return 0;
}

int verb_host_fence(const struct cli_args *args)
{
	struct memkv_pool *pool = NULL;
	uint32_t slot = 0, epoch = 0;
	const char *path = NULL;

	int rc = take_incarnation(args, &path, &slot, &epoch);
	if (!rc)
		rc = access_open(path, ACCESS_READ, &pool);
	if (rc)
		return rc;
	rc = memkv_host_fence(pool, slot, epoch);
	if (rc == MEMKV_MISS) {
		rc = report_failed(MEMKV_MISS, "%s: there was no %u@%u", path, slot, epoch);
	} else if (rc < 0) {
		rc = report_library(rc, path);
	} else if (report_json()) {
		struct json_object *document = report_document();
		report_add_flag(document, "gone", true);
		report_add_number(document, "quarantine_s", 0);
		report_print(document);
	} else {
		printf("%u@%u is gone, and its lock proves that none of its writes is on the way: nothing to do, no quarantine\n",
		       slot, epoch);
	}
	memkv_pool_close(pool);
	return rc;
}

static void report_host_drained(uint32_t slot, uint32_t epoch, bool gone, bool undone, bool dry_run)
{
	if (report_json()) {
		struct json_object *document = report_document();
		report_add_flag(document, "drained", !gone && !undone && !dry_run);
		report_add_flag(document, "undone", !gone && undone && !dry_run);
		report_add_flag(document, "gone", gone);
		report_add_flag(document, "dry_run", dry_run);
		report_print(document);
	} else if (gone) {
		printf("%u@%u is gone: nothing to do\n", slot, epoch);
	} else if (dry_run) {
		printf("%u@%u would %s\n", slot, epoch, undone ? "put again" : "be drained");
	} else if (undone) {
		printf("%u@%u puts again\n", slot, epoch);
	} else {
		printf("%u@%u is drained: it puts no more and writes to no segment; it can be stopped, and leaves nothing behind\n", slot,
		       epoch);
	}
}

static int opened_drain(const char *path, enum access_mode mode, uint32_t slot, uint32_t epoch, uint32_t flags)
{
	struct memkv_host_drain_options options = {.size = sizeof(options), .flags = flags};
	struct memkv_pool *pool;
	int rc = access_open(path, mode, &pool);

	if (rc)
		return -rc;
	rc = memkv_host_drain(pool, slot, epoch, &options);
	if (rc == MEMKV_MISS)
		rc = -report_failed(MEMKV_MISS, "%s: there was no %u@%u", path, slot, epoch);
	else if (rc < 0)
		rc = -report_library(rc, path);
	memkv_pool_close(pool);
	return rc;
}

int verb_host_drain(const struct cli_args *args)
{
	uint32_t slot = 0, epoch = 0, flags = args->given[OPT_UNDO] ? MEMKV_HOST_DRAIN_UNDO : 0;
	bool dry_run = args->given[OPT_DRY_RUN];
	const char *path = NULL;
	int rc = take_incarnation(args, &path, &slot, &epoch);

	if (rc)
		return rc;
	/* reading first: whether it could be needs no slot, and on a medium with one writer there is none to be had */
	int done = opened_drain(path, ACCESS_READ, slot, epoch, flags | MEMKV_HOST_DRAIN_DRY_RUN);
	if (done > 0 && !dry_run)
		done = opened_drain(path, ACCESS_WRITE, slot, epoch, flags);
	if (done < 0)
		return -done;
	report_host_drained(slot, epoch, done == 0, args->given[OPT_UNDO], dry_run);
	return EXIT_DONE;
}
