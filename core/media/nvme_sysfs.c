/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See nvme_sysfs.h.  What the kernel shows, and how (drivers/nvme/host, Linux 6.1 and later):
 *
 *   /sys/class/nvme/nvme0/{transport,address,subsysnqn,hostnqn,state,kato,fast_io_fail_tmo,ctrl_loss_tmo,...}
 *   /sys/class/block/nvme0n1/{nsid,uuid,nguid,eui,size,queue/...}, and device ->
 *     the controller, where each path is a device of its own (nvme_core.multipath=N, PCIe), or
 *     the subsystem (native multipath), whose entries nvme0, nvme1, ... are its controllers
 *   /sys/class/nvme-generic/ng0n1/{dev,device}: the character device of nvme0n1, whose device -> is the same
 *
 * Numbers of seconds read as decimal or "off"; EUI-64 as hex digits with blanks between.
 */
#include "core/media/nvme_sysfs.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { IO_TIMEOUT_DEFAULT_S = 30 };

/* The first line of a file, without its end and blanks there; false, and "": it cannot be read. */
__attribute__((format(printf, 3, 4))) static bool read_text(char *text, size_t room, const char *format, ...)
{
	char path[PATH_MAX];
	va_list arguments;

	va_start(arguments, format);
	int length = vsnprintf(path, sizeof(path), format, arguments);
	va_end(arguments);
	text[0] = '\0';
	int fd = length < (int)sizeof(path) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t got = fd < 0 ? -1 : read(fd, text, room - 1);
	if (fd >= 0)
		close(fd);
	if (got < 0)
		return false;
	text[got] = '\0';
	text[strcspn(text, "\n")] = '\0';
	for (size_t end = strlen(text); end && isspace((unsigned char)text[end - 1]);)
		text[--end] = '\0';
	return true;
}

static uint64_t read_number(const char *directory, const char *name)
{
	char text[32];

	return read_text(text, sizeof(text), "%s/%s", directory, name) ? strtoull(text, NULL, 10) : 0;
}

static int read_seconds(const char *directory, const char *name)
{
	char text[32];

	if (!read_text(text, sizeof(text), "%s/%s", directory, name) || !text[0])
		return NVME_UNKNOWN;
	if (!strcmp(text, "off"))
		return NVME_OFF;
	long value = strtol(text, NULL, 10);
	return value < 0 ? NVME_OFF : value > INT_MAX ? INT_MAX : (int)value;
}

/* ---- controllers ------------------------------------------------------------------------------------------- */

/* "nvme12", and neither "nvme12n1" nor "nvme-subsys0" */
static bool is_controller(const char *name)
{
	size_t digits = strncmp(name, "nvme", 4) ? 0 : strspn(name + 4, "0123456789");

	return digits && !name[4 + digits] && digits < 10;
}

/* "nvme0n1", and neither its partitions nor the hidden "nvme0c1n1" of one path */
static bool is_namespace(const char *name)
{
	size_t digits = strncmp(name, "nvme", 4) ? 0 : strspn(name + 4, "0123456789");
	const char *rest = name + 4 + digits;

	return digits && rest[0] == 'n' && rest[1] && !rest[1 + strspn(rest + 1, "0123456789")] && strlen(name) < 32;
}

/* "traddr=10.0.0.1,trsvcid=4420,src_addr=..." */
static void take_address(struct nvme_controller *c, char *text)
{
	char *rest = text, *part;

	while ((part = strsep(&rest, ","))) {
		if (!strncmp(part, "traddr=", 7))
			snprintf(c->address, sizeof(c->address), "%s", part + 7);
		else if (!strncmp(part, "trsvcid=", 8))
			snprintf(c->port, sizeof(c->port), "%s", part + 8);
	}
}

/* false: it is gone */
static bool read_controller(const char *root, const char *name, struct nvme_controller *c)
{
	char directory[PATH_MAX], text[512];

	*c = (struct nvme_controller){0};
	snprintf(c->name, sizeof(c->name), "%s", name);
	snprintf(directory, sizeof(directory), "%s/sys/class/nvme/%s", root, c->name);
	if (!read_text(c->transport, sizeof(c->transport), "%s/transport", directory) ||
	    !read_text(c->nqn, sizeof(c->nqn), "%s/subsysnqn", directory))
		return false;
	if (read_text(text, sizeof(text), "%s/address", directory) && strcmp(c->transport, "pcie"))
		take_address(c, text);
	read_text(c->host_nqn, sizeof(c->host_nqn), "%s/hostnqn", directory);
	read_text(c->state, sizeof(c->state), "%s/state", directory);
	c->keep_alive_s = read_seconds(directory, "kato");
	c->fast_io_fail_s = read_seconds(directory, "fast_io_fail_tmo");
	c->ctrl_loss_s = read_seconds(directory, "ctrl_loss_tmo");
	c->reconnect_delay_s = read_seconds(directory, "reconnect_delay");
	unsigned all = (unsigned)read_number(directory, "queue_count");
	c->queues = all ? all - 1 : 0; /* one is the admin queue */
	unsigned depth = (unsigned)read_number(directory, "sqsize");
	c->queue_depth = depth ? depth + 1 : 0; /* counted from 0 */
	return true;
}

static int choose_controllers(const struct dirent *entry)
{
	return is_controller(entry->d_name);
}

static int choose_namespaces(const struct dirent *entry)
{
	return is_namespace(entry->d_name);
}

static void free_entries(struct dirent **entries, int count)
{
	for (int i = 0; i < count; i++)
		free(entries[i]);
	if (count >= 0)
		free(entries);
}

int nvme_controllers_list(const char *root, const char *nqn, struct nvme_controller **list)
{
	struct dirent **entries;
	char directory[PATH_MAX];
	int found = 0;

	*list = NULL;
	snprintf(directory, sizeof(directory), "%s/sys/class/nvme", root);
	int count = scandir(directory, &entries, choose_controllers, versionsort);
	if (count <= 0) {
		free_entries(entries, count);
		return count < 0 && errno == ENOMEM ? -ENOMEM : 0;
	}
	struct nvme_controller *made = calloc((size_t)count, sizeof(*made));
	for (int i = 0; made && i < count; i++)
		if (read_controller(root, entries[i]->d_name, &made[found]) && (!nqn || !strcmp(made[found].nqn, nqn)))
			found++;
	free_entries(entries, count);
	if (!made)
		return -ENOMEM;
	*list = made;
	return found;
}

/* ---- namespaces -------------------------------------------------------------------------------------------- */

int nvme_identity_plain(const char *text, char *plain)
{
	char digits[33] = "";
	int count = 0;

	for (; *text; text++) {
		if (strchr("-: ", *text))
			continue;
		if (!isxdigit((unsigned char)*text) || count == 32)
			return -EINVAL;
		digits[count++] = (char)tolower((unsigned char)*text);
	}
	if (count != 16 && count != 32)
		return -EINVAL;
	memcpy(plain, digits, (size_t)count + 1);
	return count;
}

static void read_identity(const char *directory, const char *name, int digits, char *into)
{
	char text[64], plain[33];

	into[0] = '\0';
	if (read_text(text, sizeof(text), "%s/%s", directory, name) && nvme_identity_plain(text, plain) == digits &&
	    strspn(plain, "0") != (size_t)digits)
		memcpy(into, plain, (size_t)digits + 1);
}

bool nvme_namespace_is(const struct nvme_namespace *ns, const char *plain)
{
	return *plain && (!strcmp(ns->uuid, plain) || !strcmp(ns->nguid, plain) || !strcmp(ns->eui64, plain));
}

static void read_paths(const char *root, const char *directory, struct nvme_namespace *ns)
{
	char device[PATH_MAX + 16], resolved[PATH_MAX];
	struct dirent **entries;

	snprintf(device, sizeof(device), "%s/device", directory);
	if (!realpath(device, resolved))
		return;
	const char *name = strrchr(resolved, '/') + 1;
	if (is_controller(name)) {
		ns->paths = read_controller(root, name, &ns->path[0]);
		return;
	}
	int count = scandir(resolved, &entries, choose_controllers, versionsort);
	for (int i = 0; i < count && ns->paths < NVME_PATHS; i++)
		ns->paths += read_controller(root, entries[i]->d_name, &ns->path[ns->paths]);
	free_entries(entries, count);
}

/* A command's time-out is the queue's where it has one; a device over several paths has none of its own. */
static unsigned read_io_timeout(const char *root, const char *directory)
{
	uint64_t ms = read_number(directory, "queue/io_timeout");
	char text[32];

	if (ms)
		return (unsigned)((ms + 999) / 1000);
	if (read_text(text, sizeof(text), "%s/sys/module/nvme_core/parameters/io_timeout", root) && atoi(text) > 0)
		return (unsigned)atoi(text);
	return IO_TIMEOUT_DEFAULT_S;
}

int nvme_namespace_read(const char *root, const char *device, struct nvme_namespace *ns)
{
	char directory[PATH_MAX], text[32];

	*ns = (struct nvme_namespace){0};
	if (!is_namespace(device))
		return -ENODEV;
	snprintf(ns->device, sizeof(ns->device), "%s", device);
	snprintf(directory, sizeof(directory), "%s/sys/class/block/%s", root, ns->device);
	if (!read_text(text, sizeof(text), "%s/size", directory))
		return -ENODEV;
	ns->bytes = strtoull(text, NULL, 10) * 512; /* in these units whatever the logical block is */
	ns->nsid = (uint32_t)read_number(directory, "nsid");
	read_identity(directory, "uuid", 32, ns->uuid);
	read_identity(directory, "nguid", 32, ns->nguid);
	read_identity(directory, "eui", 16, ns->eui64);
	ns->lba_bytes = (uint32_t)read_number(directory, "queue/logical_block_size");
	ns->max_transfer = (uint32_t)read_number(directory, "queue/max_sectors_kb") * 1024;
	ns->write_back = read_text(text, sizeof(text), "%s/queue/write_cache", directory) && !strcmp(text, "write back");
	ns->io_timeout_s = read_io_timeout(root, directory);
	read_paths(root, directory, ns);
	return 0;
}

int nvme_namespaces_list(const char *root, struct nvme_namespace **list)
{
	struct dirent **entries;
	char directory[PATH_MAX];
	int found = 0;

	*list = NULL;
	snprintf(directory, sizeof(directory), "%s/sys/class/block", root);
	int count = scandir(directory, &entries, choose_namespaces, versionsort);
	if (count <= 0) {
		free_entries(entries, count);
		return count < 0 && errno == ENOMEM ? -ENOMEM : 0;
	}
	struct nvme_namespace *made = calloc((size_t)count, sizeof(*made));
	for (int i = 0; made && i < count; i++)
		found += nvme_namespace_read(root, entries[i]->d_name, &made[found]) == 0;
	free_entries(entries, count);
	if (!made)
		return -ENOMEM;
	*list = made;
	return found;
}

/* ---- commands of one's own --------------------------------------------------------------------------------- */

bool nvme_limits_read(const char *root, const char *device, uint64_t *transfer, uint64_t *segments)
{
	char directory[PATH_MAX];

	if (!is_namespace(device))
		return false;
	snprintf(directory, sizeof(directory), "%s/sys/class/block/%.32s", root, device);
	*transfer = read_number(directory, "queue/max_hw_sectors_kb") * 1024;
	*segments = read_number(directory, "queue/max_segments");
	return true;
}

bool nvme_generic_find(const char *root, const char *device, char generic[64], dev_t *number)
{
	char block[PATH_MAX], character[PATH_MAX], of_block[PATH_MAX], of_character[PATH_MAX], text[32];
	unsigned major, minor;

	if (!is_namespace(device))
		return false;
	snprintf(generic, 64, "ng%.31s", device + 4);
	snprintf(block, sizeof(block), "%s/sys/class/block/%.32s/device", root, device);
	snprintf(character, sizeof(character), "%s/sys/class/nvme-generic/%s/device", root, generic);
	if (!realpath(block, of_block) || !realpath(character, of_character) || strcmp(of_block, of_character) ||
	    !read_text(text, sizeof(text), "%s/sys/class/nvme-generic/%s/dev", root, generic) ||
	    sscanf(text, "%u:%u", &major, &minor) != 2)
		return false;
	*number = makedev(major, minor);
	return true;
}
