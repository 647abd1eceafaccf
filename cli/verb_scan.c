/* SPDX-License-Identifier: Apache-2.0 */
/* memkv pool scan. */
#include "cli/address.h"
#include "cli/pool_text.h"
#include "cli/report.h"
#include "cli/verbs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool is_pool(const struct found_pool *pool)
{
	return !pool->result || pool->result == MEMKV_NEWER || pool->result == MEMKV_DAMAGED;
}

/* a further namespace of a pool is no pool of its own */
static bool is_member(const struct found_pool *pool)
{
	return !pool->result && pool->label.namespace_number;
}

static void add_member(struct json_object *list, const struct found_pool *pool)
{
	struct json_object *one = json_object_new_object();
	char uuid[POOL_UUID_TEXT];

	pool_uuid_text(pool->label.uuid, uuid);
	report_add_text(one, "path", pool->path);
	report_add_text(one, "uuid", uuid);
	report_add_number(one, "number", pool->label.namespace_number);
	report_add_number(one, "bytes", pool->label.bytes);
	json_object_array_add(list, one);
}

static void add_pool(struct json_object *list, const struct found_pool *pool)
{
	struct json_object *one = json_object_new_object();
	char uuid[POOL_UUID_TEXT];

	report_add_text(one, "path", pool->path);
	report_add_text(one, "state", pool->result ? memkv_code_name(pool->result) : "OK");
	if (!pool->result) {
		pool_uuid_text(pool->label.uuid, uuid);
		report_add_text(one, "name", pool->label.name);
		report_add_text(one, "uuid", uuid);
		report_add_number(one, "bytes", pool->label.bytes);
		report_add_number(one, "format_major", pool->label.format_major);
		report_add_number(one, "format_minor", pool->label.format_minor);
		report_add_time(one, "created_s", pool->label.created_s);
		report_add_number(one, "namespaces", pool->label.namespaces);
	}
	json_object_array_add(list, one);
}

static void print_json(const struct found_pools *found)
{
	struct json_object *document = report_document();
	struct json_object *pools = json_object_new_array(), *unread = json_object_new_array();
	struct json_object *members = json_object_new_array();

	for (size_t i = 0; i < found->count; i++) {
		if (is_member(&found->pool[i])) {
			add_member(members, &found->pool[i]);
			continue;
		}
		if (is_pool(&found->pool[i])) {
			add_pool(pools, &found->pool[i]);
			continue;
		}
		struct json_object *one = json_object_new_object();
		report_add_text(one, "path", found->pool[i].path);
		report_add_text(one, "why", memkv_strerror(found->pool[i].result));
		json_object_array_add(unread, one);
	}
	report_add_number(document, "places", found->places);
	json_object_object_add(document, "pools", pools);
	json_object_object_add(document, "members", members);
	json_object_object_add(document, "unread", unread);
	report_print(document);
}

static void print_pool(const struct found_pool *pool)
{
	char uuid[POOL_UUID_TEXT] = "-", size[REPORT_SIZE_TEXT] = "-";

	if (!pool->result) {
		pool_uuid_text(pool->label.uuid, uuid);
		report_size_text(pool->label.bytes, size);
	}
	printf("%-36s  %12s  ", uuid, size);
	report_safe_text(stdout, !pool->result && pool->label.name[0] ? pool->label.name : "-");
	printf("  ");
	report_safe_text(stdout, pool->path);
	if (pool->result)
		printf("  (%s)", memkv_strerror(pool->result));
	else if (is_member(pool))
		printf("  (namespace %u of that pool)", pool->label.namespace_number);
	else if (pool->label.namespaces > 1)
		printf("  (the first of %u namespaces)", pool->label.namespaces);
	putchar('\n');
}

static void print_table(const struct found_pools *found)
{
	size_t unread = 0, members = 0;

	for (size_t i = 0; i < found->count; i++) {
		members += is_member(&found->pool[i]);
		if (is_pool(&found->pool[i])) {
			print_pool(&found->pool[i]);
		} else {
			unread++;
			report_note("%s: %s", found->pool[i].path, memkv_strerror(found->pool[i].result));
		}
	}
	report_note("%zu places looked at, %zu pools, %zu not readable", found->places, found->count - unread - members, unread);
}

int verb_pool_scan(const struct cli_args *args)
{
	struct found_pools found = {0};
	int rc = args->words ? 0 : address_scan_machine(&found);

	for (size_t i = 0; !rc && i < args->words; i++) {
		rc = address_scan_path(&found, args->word[i].text);
		if (rc && rc != -ENOMEM) {
			rc = report_failed(rc, "%s: %s", args->word[i].text, strerror(-rc));
			found_pools_fini(&found);
			return rc;
		}
	}
	if (rc)
		rc = report_failed(rc, "no memory for the list");
	else if (report_json())
		print_json(&found);
	else
		print_table(&found);
	found_pools_fini(&found);
	return rc;
}
