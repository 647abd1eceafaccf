/* SPDX-License-Identifier: Apache-2.0 */
/* See fabric_text.h. */
#include "cli/fabric_text.h"

#include "cli/report.h"

#include <inttypes.h>
#include <string.h>

#define SECONDS_TEXT 24

static const char *seconds_text(int32_t seconds, char text[SECONDS_TEXT])
{
	if (seconds == MEMKV_FABRIC_OFF)
		return "off";
	if (seconds < 0)
		return "unknown";
	snprintf(text, SECONDS_TEXT, "%d s", seconds);
	return text;
}

static void print_line(const char *what, const char *text)
{
	printf("%-16s", what);
	report_safe_text(stdout, text[0] ? text : "-");
	putchar('\n');
}

static void print_path(const struct memkv_fabric_path *path)
{
	char keep[SECONDS_TEXT], fast[SECONDS_TEXT], loss[SECONDS_TEXT], delay[SECONDS_TEXT], where[512];

	snprintf(where, sizeof(where), strchr(path->address, ':') ? "%s, %s [%s]:%s, %s" : "%s, %s %s:%s, %s", path->controller,
		 path->transport, path->address, path->port, path->state);
	print_line("path", where);
	printf("%-16skeep-alive %s, fast-io-fail %s, loss %s, reconnect %s", "", seconds_text(path->keep_alive_s, keep),
	       seconds_text(path->fast_io_fail_s, fast), seconds_text(path->loss_timeout_s, loss),
	       seconds_text(path->reconnect_delay_s, delay));
	if (path->queues)
		printf(", %u queues of %u", path->queues, path->queue_depth);
	putchar('\n');
}

void fabric_text_print(const struct memkv_fabric_namespace *ns)
{
	char a[REPORT_SIZE_TEXT], b[REPORT_SIZE_TEXT];

	print_line("device", ns->device);
	print_line("subsystem", ns->nqn);
	printf("%-16s%u\n", "namespace", ns->nsid);
	print_line("uuid", ns->uuid);
	print_line("nguid", ns->nguid);
	print_line("eui64", ns->eui64);
	printf("%-16s%s, logical blocks of %u bytes\n", "size", report_size_text(ns->bytes, a), ns->lba_bytes);
	if (!ns->identified)
		printf("%-16sat most %s from here; what the controller takes could not be asked\n", "command",
		       report_size_text(ns->max_transfer, a));
	else if (ns->mdts_bytes)
		printf("%-16sat most %s (MDTS), %s from here\n", "command", report_size_text(ns->mdts_bytes, a),
		       report_size_text(ns->max_transfer, b));
	else
		printf("%-16sno limit (MDTS), %s from here\n", "command", report_size_text(ns->max_transfer, b));
	if (ns->identified)
		printf("%-16s%u bytes, over a loss of power %u\n", "atomic write", ns->atomic_bytes, ns->atomic_power_fail_bytes);
	printf("%-16s%s\n", "volatile cache", ns->volatile_cache ? "yes: only durable puts survive the target's power" : "no");
	for (uint32_t i = 0; i < ns->path_count; i++)
		print_path(&ns->paths[i]);
	if (ns->late_write_s > 0)
		printf("%-16sland within %d s of being cut off, or never\n", "late writes", ns->late_write_s);
	else if (ns->late_write_s == MEMKV_FABRIC_OFF)
		printf("%-16scan land at any time\n", "late writes");
}

static void add_seconds(struct json_object *object, const char *name, int32_t seconds)
{
	json_object_object_add(object, name, seconds >= 0 ? json_object_new_int(seconds) : NULL);
}

static struct json_object *path_json(const struct memkv_fabric_path *path)
{
	struct json_object *one = json_object_new_object();

	report_add_text(one, "controller", path->controller);
	report_add_text(one, "transport", path->transport);
	report_add_text(one, "address", path->address);
	report_add_text(one, "port", path->port);
	report_add_text(one, "state", path->state);
	add_seconds(one, "keep_alive_s", path->keep_alive_s);
	add_seconds(one, "fast_io_fail_s", path->fast_io_fail_s);
	add_seconds(one, "loss_timeout_s", path->loss_timeout_s);
	add_seconds(one, "reconnect_delay_s", path->reconnect_delay_s);
	report_add_number(one, "queues", path->queues);
	report_add_number(one, "queue_depth", path->queue_depth);
	return one;
}

struct json_object *fabric_text_json(const struct memkv_fabric_namespace *ns)
{
	struct json_object *one = json_object_new_object(), *paths = json_object_new_array();

	report_add_text(one, "device", ns->device);
	report_add_text(one, "nqn", ns->nqn);
	report_add_text(one, "host_nqn", ns->host_nqn);
	report_add_number(one, "nsid", ns->nsid);
	report_add_text(one, "uuid", ns->uuid);
	report_add_text(one, "nguid", ns->nguid);
	report_add_text(one, "eui64", ns->eui64);
	report_add_number(one, "bytes", ns->bytes);
	report_add_number(one, "lba_bytes", ns->lba_bytes);
	report_add_number(one, "max_transfer", ns->max_transfer);
	report_add_flag(one, "identified", ns->identified);
	report_add_number(one, "mdts_bytes", ns->mdts_bytes);
	report_add_number(one, "atomic_bytes", ns->atomic_bytes);
	report_add_number(one, "atomic_power_fail_bytes", ns->atomic_power_fail_bytes);
	report_add_flag(one, "volatile_cache", ns->volatile_cache);
	add_seconds(one, "late_write_s", ns->late_write_s);
	if (ns->unsafe)
		report_add_text(one, "unsafe", ns->unsafe);
	for (uint32_t i = 0; i < ns->path_count; i++)
		json_object_array_add(paths, path_json(&ns->paths[i]));
	json_object_object_add(one, "paths", paths);
	return one;
}
