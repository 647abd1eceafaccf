/* SPDX-License-Identifier: Apache-2.0 */
/* See address.h.  Looking means to read two pages of each place; what cannot be read is kept in the list as such. */
#include "cli/address.h"

#include "cli/pool_text.h"
#include "cli/report.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DEFAULT_POOL_PATH "/var/lib/memkv"

static int keep(struct found_pools *found, const char *path, int result, const struct memkv_pool_label *label)
{
	if (found->count == found->room) {
		size_t room = found->room ? found->room * 2 : 16;
		struct found_pool *more = reallocarray(found->pool, room, sizeof(*more));
		if (!more)
			return -ENOMEM;
		found->pool = more;
		found->room = room;
	}
	char *copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	found->pool[found->count++] = (struct found_pool){.path = copy, .result = result, .label = *label};
	return 0;
}

static bool known_already(const struct found_pools *found, const char *path)
{
	for (size_t i = 0; i < found->count; i++)
		if (!strcmp(found->pool[i].path, path))
			return true;
	return false;
}

static int look_at(struct found_pools *found, const char *path)
{
	struct memkv_pool_label label = {.size = sizeof(label)};

	if (known_already(found, path))
		return 0;
	found->places++;
	int result = memkv_pool_probe(path, &label);
	if (result == MEMKV_NOT_A_POOL || result == -ENOMEDIUM || result == -ENXIO || result == -ENOENT)
		return 0;
	return keep(found, path, result, &label);
}

/* The regular files and block devices of a directory, in the order of their names. */
static int look_into(struct found_pools *found, const char *directory)
{
	struct dirent **entries;
	int count = scandir(directory, &entries, NULL, alphasort), rc = 0;

	if (count < 0)
		return -errno;
	for (int i = 0; i < count; i++) {
		char path[PATH_MAX];
		struct stat st;
		bool fits = snprintf(path, sizeof(path), "%s/%s", directory, entries[i]->d_name) < (int)sizeof(path);
		if (!rc && fits && !stat(path, &st) && (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)))
			rc = look_at(found, path);
		free(entries[i]);
	}
	free(entries);
	return rc;
}

int address_scan_path(struct found_pools *found, const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return -errno;
	return S_ISDIR(st.st_mode) ? look_into(found, path) : look_at(found, path);
}

static bool device_has_size(const char *name)
{
	char path[PATH_MAX];
	unsigned long long sectors = 0;

	snprintf(path, sizeof(path), "/sys/class/block/%s/size", name);
	FILE *file = fopen(path, "re");
	if (!file)
		return false;
	bool known = fscanf(file, "%llu", &sectors) == 1;
	fclose(file);
	return known && sectors > 0;
}

static int scan_devices(struct found_pools *found)
{
	struct dirent **entries;
	int count = scandir("/sys/class/block", &entries, NULL, alphasort), rc = 0;

	for (int i = 0; i < count; i++) {
		char path[PATH_MAX];
		struct stat st;
		snprintf(path, sizeof(path), "/dev/%s", entries[i]->d_name);
		for (char *c = path + 5; *c; c++)
			if (*c == '!')
				*c = '/'; /* as the kernel writes a slash there */
		if (!rc && entries[i]->d_name[0] != '.' && device_has_size(entries[i]->d_name) && !stat(path, &st) &&
		    S_ISBLK(st.st_mode))
			rc = look_at(found, path);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
	return rc;
}

int address_scan_machine(struct found_pools *found)
{
	const char *given = getenv("MEMKV_POOL_PATH");
	char *list = strdup(given ? given : DEFAULT_POOL_PATH), *rest = list, *part;
	int rc = list ? scan_devices(found) : -ENOMEM;

	while (!rc && (part = strsep(&rest, ":"))) {
		int looked = *part ? address_scan_path(found, part) : 0;
		if (looked == -ENOMEM)
			rc = looked;
		else if (looked && looked != -ENOENT)
			rc = keep(found, part, looked, &(struct memkv_pool_label){0});
	}
	free(list);
	return rc;
}

void found_pools_fini(struct found_pools *found)
{
	for (size_t i = 0; i < found->count; i++)
		free(found->pool[i].path);
	free(found->pool);
	*found = (struct found_pools){0};
}

/* ---- addresses --------------------------------------------------------------------------------------------- */

static bool answers_to(const struct found_pool *pool, const char *address)
{
	char uuid[POOL_UUID_TEXT];

	if (pool->result || pool->label.namespace_number)
		return false; /* of several namespaces the first stands for the pool */
	if (!strncmp(address, "name:", 5))
		return !strcmp(pool->label.name, address + 5);
	pool_uuid_text(pool->label.uuid, uuid);
	return !strcasecmp(uuid, address + 5);
}

static int report_several(const char *verb, const struct found_pools *found, const char *address)
{
	char text[900] = "";
	size_t used = 0;

	for (size_t i = 0; i < found->count; i++) {
		char uuid[POOL_UUID_TEXT];
		if (!answers_to(&found->pool[i], address))
			continue;
		pool_uuid_text(found->pool[i].label.uuid, uuid);
		int put = snprintf(text + used, sizeof(text) - used, "%s%s (uuid:%s)", used ? ", " : "", found->pool[i].path,
				   uuid);
		used += put > 0 && (size_t)put < sizeof(text) - used ? (size_t)put : 0;
	}
	return report_usage(verb, "%s stands for several pools: %s; give a path", address, text);
}

static int report_none(const struct found_pools *found, const char *address)
{
	size_t closed = 0;

	for (size_t i = 0; i < found->count; i++)
		closed += found->pool[i].result == -EACCES || found->pool[i].result == -EPERM;
	if (closed)
		return report_failed(-ENOENT,
				     "there is no pool %s among the %zu places looked at, of which %zu could not be read "
				     "without more privileges; see memkv pool scan",
				     address, found->places, closed);
	return report_failed(-ENOENT,
			     "there is no pool %s among this machine's block devices and in $MEMKV_POOL_PATH (%s); see "
			     "memkv pool scan",
			     address, getenv("MEMKV_POOL_PATH") ? getenv("MEMKV_POOL_PATH") : DEFAULT_POOL_PATH);
}

/* ---- namespaces -------------------------------------------------------------------------------------------- */

static bool is_fabric_uri(const char *address)
{
	return !strncmp(address, "nvme+", 5) || !strncmp(address, "nvme:", 5);
}

static bool is_identity(const char *address)
{
	return !strncmp(address, "ns:", 3) || !strncmp(address, "nguid:", 6);
}

static bool is_live(const struct memkv_fabric_namespace *ns)
{
	for (uint32_t i = 0; i < ns->path_count; i++)
		if (!strcmp(ns->paths[i].state, "live"))
			return true;
	return false;
}

/* Without native multipath a namespace is a device for each path; the first that works serves.  @nsid: 0 they differ. */
static const struct memkv_fabric_namespace *choose_namespace(const struct memkv_fabric_list *list, uint32_t *nsid)
{
	const struct memkv_fabric_namespace *ns, *first = memkv_fabric_at(list, 0), *live = NULL;

	*nsid = first->nsid;
	for (size_t i = 0; (ns = memkv_fabric_at(list, i)); i++) {
		if (ns->nsid != first->nsid)
			*nsid = 0;
		if (!live && is_live(ns))
			live = ns;
	}
	return live ? live : first;
}

static int resolve_namespace(const char *verb, const char *address, char *resolved, size_t room)
{
	struct memkv_fabric_list *list;
	uint32_t nsid;
	int count = memkv_fabric_find(address, &list);

	if (count == -EINVAL)
		return report_usage(verb, "%s", memkv_error_detail());
	if (count < 0)
		return report_library(count, address);
	if (!count) {
		memkv_fabric_free(list);
		return is_identity(address)
			       ? report_failed(-ENOENT, "no NVMe namespace of this machine has the identity %s", address)
			       : report_failed(-ENOENT, "%s is not attached here: memkv attach '%s' first", address, address);
	}
	const struct memkv_fabric_namespace *ns = choose_namespace(list, &nsid);
	int rc = 0;
	if (!nsid && is_fabric_uri(address))
		rc = report_usage(verb, "%s has %d namespaces; say which with ?nsid=N", address, count);
	else
		snprintf(resolved, room, "%s", ns->device);
	memkv_fabric_free(list);
	return rc;
}

int address_place(const char *verb, const char *address, const char **path)
{
	static char resolved[PATH_MAX];

	*path = address;
	if (is_fabric_uri(address) && strncmp(verb, "pool ", 5))
		return report_usage(verb, "only attach and the pool verbs take a fabric URI: give the device that 'memkv attach' "
					  "prints, or ns:ID, name:NAME or uuid:UUID");
	if (is_fabric_uri(address) || is_identity(address)) {
		*path = resolved;
		return resolve_namespace(verb, address, resolved, sizeof(resolved));
	}
	return 0;
}

int address_resolve(const char *verb, const char *address, const char **path)
{
	static char resolved[PATH_MAX];
	struct found_pools found = {0};
	size_t answers = 0;

	int rc = address_place(verb, address, path);
	if (rc || *path != address)
		return rc;
	if (strncmp(address, "name:", 5) && strncmp(address, "uuid:", 5))
		return 0;
	if (!address[5])
		return report_usage(verb, "'%s' names nothing", address);
	rc = address_scan_machine(&found);
	for (size_t i = 0; !rc && i < found.count; i++) {
		if (!answers_to(&found.pool[i], address))
			continue;
		answers++;
		snprintf(resolved, sizeof(resolved), "%s", found.pool[i].path);
	}
	if (rc)
		rc = report_failed(rc, "no memory to look for %s", address);
	else if (answers > 1)
		rc = report_several(verb, &found, address);
	else if (!answers)
		rc = report_none(&found, address);
	else
		*path = resolved;
	found_pools_fini(&found);
	return rc;
}
