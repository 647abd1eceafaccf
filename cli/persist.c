/* SPDX-License-Identifier: Apache-2.0 */
/* See persist.h. */
#include "cli/persist.h"

#include "cli/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NVME_DIRECTORY "/etc/nvme"
#define CONFIG NVME_DIRECTORY "/config.json"
#define UNIT "nvmf-autoconnect.service"
#define DROP_IN_DIRECTORY "/etc/systemd/system/" UNIT ".d"

enum { DEFAULT_KEEP_ALIVE_S = 5, DEFAULT_FAST_IO_FAIL_S = 5, DEFAULT_LOSS_S = 60, DEFAULT_RECONNECT_S = 2 };

static const char drop_in[] =
	"# Written by memkv attach --persist.  nvme-cli 2.3 has the conditions negated, and does not ask for the network.\n"
	"[Unit]\n"
	"ConditionPathExists=\n"
	"ConditionPathExists=|" CONFIG "\n"
	"ConditionPathExists=|" NVME_DIRECTORY "/discovery.conf\n"
	"Wants=network-online.target\n";

/* The first line of a file; false: there is none, or it is empty. */
static bool read_line(const char *path, char *line, size_t room)
{
	FILE *file = fopen(path, "re");
	bool got = file && fgets(line, (int)room, file);

	if (file)
		fclose(file);
	if (got)
		line[strcspn(line, " \t\r\n")] = '\0';
	return got && line[0];
}

/* What the file holds, an empty list when there is none; NULL: it is something else. */
static struct json_object *load_config(void)
{
	struct json_object *hosts = json_object_from_file(CONFIG);

	if (!hosts && access(CONFIG, F_OK) && errno == ENOENT)
		return json_object_new_array();
	if (hosts && json_object_is_type(hosts, json_type_array))
		return hosts;
	json_object_put(hosts);
	return NULL;
}

int persist_check(const char *host_nqn, const char *host_id)
{
	char own[256];

	if (!read_line(NVME_DIRECTORY "/hostnqn", own, sizeof(own)))
		return report_failed(MEMKV_NO_FABRIC, "--persist: " NVME_DIRECTORY "/hostnqn is missing, and at boot nothing says who this "
						      "host is: apt install nvme-cli");
	if (host_nqn && strcmp(host_nqn, own))
		return report_failed(MEMKV_CONFLICT, "--persist: at boot this host is %s, as " NVME_DIRECTORY "/hostnqn says, and not %s; "
						     "write it there", own, host_nqn);
	if (host_id && (!read_line(NVME_DIRECTORY "/hostid", own, sizeof(own)) || strcmp(host_id, own)))
		return report_failed(MEMKV_CONFLICT, "--persist: at boot this host's ID is what " NVME_DIRECTORY "/hostid says, and not %s; "
						     "write it there", host_id);
	if (access(NVME_DIRECTORY, W_OK))
		return report_failed(-errno, "--persist: " NVME_DIRECTORY " cannot be written to: %s", strerror(errno));
	struct json_object *hosts = load_config();
	if (!hosts)
		return report_failed(MEMKV_CONFLICT, "--persist: " CONFIG " cannot be read as nvme-cli's list of connections; mend it or "
						     "move it away");
	json_object_put(hosts);
	return 0;
}

/* ---- the file ---------------------------------------------------------------------------------------------- */

static int write_whole(int fd, const char *text)
{
	size_t left = strlen(text);

	while (left) {
		ssize_t wrote = write(fd, text, left);
		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote < 0)
			return -errno;
		text += wrote;
		left -= (size_t)wrote;
	}
	return fsync(fd) ? -errno : 0;
}

/* The file is replaced whole or not at all; @secret: it holds keys. */
static int replace_file(const char *directory, const char *path, const char *text, bool secret)
{
	char made[512];
	struct stat st;

	snprintf(made, sizeof(made), "%s.XXXXXX", path);
	int fd = mkostemp(made, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	mode_t mode = stat(path, &st) ? 0644 : st.st_mode & 0777;
	int err = write_whole(fd, text);
	if (!err && fchmod(fd, secret ? mode & 0600 : mode))
		err = -errno;
	close(fd);
	if (!err && rename(made, path))
		err = -errno;
	if (err) {
		unlink(made);
		return err;
	}
	int dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0) {
		(void)fsync(dir);
		close(dir);
	}
	return 0;
}

static bool has_keys(struct json_object *hosts)
{
	const char *text = json_object_to_json_string(hosts);

	return text && strstr(text, "\"dhchap_");
}

static int save_config(struct json_object *hosts)
{
	const char *text = json_object_to_json_string_ext(hosts, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);

	return text ? replace_file(NVME_DIRECTORY, CONFIG, text, has_keys(hosts)) : -ENOMEM;
}

static const char *text_of(struct json_object *object, const char *name)
{
	struct json_object *value = NULL;

	return json_object_object_get_ex(object, name, &value) ? json_object_get_string(value) : NULL;
}

static bool has_text(struct json_object *object, const char *name, const char *text)
{
	const char *value = text_of(object, name);

	return value && !strcmp(value, text);
}

static struct json_object *list_of(struct json_object *object, const char *name)
{
	struct json_object *list = NULL;

	if (json_object_object_get_ex(object, name, &list) && json_object_is_type(list, json_type_array))
		return list;
	list = json_object_new_array();
	json_object_object_add(object, name, list);
	return list;
}

/* The object of a list in which @name is @text; made when there is none. */
static struct json_object *object_in(struct json_object *list, const char *name, const char *text)
{
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *one = json_object_array_get_idx(list, i);
		if (has_text(one, name, text))
			return one;
	}
	struct json_object *made = json_object_new_object();
	json_object_object_add(made, name, json_object_new_string(text));
	json_object_array_add(list, made);
	return made;
}

static bool is_port(struct json_object *port, const struct memkv_fabric_path *path)
{
	return has_text(port, "transport", path->transport) && has_text(port, "traddr", path->address) &&
	       has_text(port, "trsvcid", path->port);
}

/* ---- connections ------------------------------------------------------------------------------------------- */

static void put_text(struct json_object *object, const char *name, const char *text)
{
	if (text)
		json_object_object_add(object, name, json_object_new_string(text));
	else
		json_object_object_del(object, name);
}

static void put_number(struct json_object *object, const char *name, int32_t given, int32_t otherwise)
{
	int32_t value = given ? given : otherwise;

	if (value)
		json_object_object_add(object, name, json_object_new_int(value));
	else
		json_object_object_del(object, name);
}

static void fill_port(struct json_object *port, const struct memkv_fabric_path *path, const struct memkv_fabric_options *o)
{
	put_text(port, "transport", path->transport);
	put_text(port, "traddr", path->address);
	put_text(port, "trsvcid", path->port);
	put_text(port, "dhchap_key", o->dhchap_secret);
	put_text(port, "dhchap_ctrl_key", o->dhchap_ctrl_secret);
	put_number(port, "nr_io_queues", (int32_t)o->io_queues, 0);
	put_number(port, "queue_size", (int32_t)o->queue_depth, 0);
	put_number(port, "keep_alive_tmo", o->keep_alive_s, DEFAULT_KEEP_ALIVE_S);
	put_number(port, "reconnect_delay", o->reconnect_delay_s, DEFAULT_RECONNECT_S);
	put_number(port, "ctrl_loss_tmo", o->loss_timeout_s, DEFAULT_LOSS_S);
	put_number(port, "fast_io_fail_tmo", o->fast_io_fail_s == MEMKV_FABRIC_OFF ? 0 : o->fast_io_fail_s,
		   o->fast_io_fail_s == MEMKV_FABRIC_OFF ? 0 : DEFAULT_FAST_IO_FAIL_S);
	if (o->flags & MEMKV_FABRIC_TLS)
		json_object_object_add(port, "tls", json_object_new_boolean(true));
	else
		json_object_object_del(port, "tls");
}

/* This host's entry: nvme connect-all looks for the one with both names. */
static struct json_object *own_host(struct json_object *hosts)
{
	char nqn[256], id[64];

	if (!read_line(NVME_DIRECTORY "/hostnqn", nqn, sizeof(nqn)))
		return NULL;
	if (!read_line(NVME_DIRECTORY "/hostid", id, sizeof(id)))
		return object_in(hosts, "hostnqn", nqn);
	for (size_t i = 0; i < json_object_array_length(hosts); i++) {
		struct json_object *one = json_object_array_get_idx(hosts, i);
		if (has_text(one, "hostnqn", nqn) && has_text(one, "hostid", id))
			return one;
	}
	struct json_object *made = json_object_new_object();
	json_object_object_add(made, "hostnqn", json_object_new_string(nqn));
	json_object_object_add(made, "hostid", json_object_new_string(id));
	json_object_array_add(hosts, made);
	return made;
}

static bool any_exists(const char *const *paths)
{
	for (; *paths; paths++)
		if (!access(*paths, F_OK))
			return true;
	return false;
}

/* What makes the unit start at boot, unless it is there. */
static void write_drop_in(void)
{
	static const char *const units[] = {"/lib/systemd/system/" UNIT, "/usr/lib/systemd/system/" UNIT,
					    "/etc/systemd/system/" UNIT, NULL};
	static const char *const present[] = {DROP_IN_DIRECTORY "/memkv.conf", "/usr/lib/systemd/system/" UNIT ".d/memkv.conf",
					      "/usr/local/lib/systemd/system/" UNIT ".d/memkv.conf", NULL};

	if (!any_exists(units))
		report_note("nothing here reads " CONFIG " at boot: apt install nvme-cli");
	if (any_exists(present))
		return;
	(void)mkdir("/etc/systemd", 0755);
	(void)mkdir("/etc/systemd/system", 0755);
	(void)mkdir(DROP_IN_DIRECTORY, 0755);
	int err = replace_file(DROP_IN_DIRECTORY, DROP_IN_DIRECTORY "/memkv.conf", drop_in, false);
	if (err)
		report_note(DROP_IN_DIRECTORY "/memkv.conf cannot be written (%s): " UNIT " may not start at boot", strerror(-err));
}

int persist_add(const struct memkv_fabric_path *path, const char *nqn, const struct memkv_fabric_options *options)
{
	struct json_object *hosts = load_config(), *port = NULL;
	struct json_object *host = hosts ? own_host(hosts) : NULL;

	if (!host) {
		json_object_put(hosts);
		return report_failed(-EPROTO, "attached, but not noted for the next boot: " CONFIG " or the host's NQN is not as it "
					      "should be");
	}
	struct json_object *ports = list_of(object_in(list_of(host, "subsystems"), "nqn", nqn), "ports");
	for (size_t i = 0; i < json_object_array_length(ports) && !port; i++)
		if (is_port(json_object_array_get_idx(ports, i), path))
			port = json_object_array_get_idx(ports, i);
	if (!port) {
		port = json_object_new_object();
		json_object_array_add(ports, port);
	}
	fill_port(port, path, options);
	int err = save_config(hosts);
	json_object_put(hosts);
	if (err)
		return report_failed(err, "attached, but not noted for the next boot: " CONFIG ": %s", strerror(-err));
	write_drop_in();
	return 0;
}

static int remove_ports(struct json_object *subsystem, const struct memkv_fabric_path *path)
{
	struct json_object *ports = list_of(subsystem, "ports");
	int removed = 0;

	for (size_t i = json_object_array_length(ports); i-- > 0;) {
		if (path && !is_port(json_object_array_get_idx(ports, i), path))
			continue;
		json_object_array_del_idx(ports, i, 1);
		removed++;
	}
	return removed;
}

int persist_remove(const struct memkv_fabric_path *path, const char *nqn)
{
	if (access(CONFIG, F_OK))
		return 0;
	struct json_object *hosts = load_config();
	int removed = 0, err = 0;

	for (size_t h = 0; hosts && h < json_object_array_length(hosts); h++) {
		struct json_object *subsystems = list_of(json_object_array_get_idx(hosts, h), "subsystems");
		for (size_t s = json_object_array_length(subsystems); s-- > 0;) {
			struct json_object *one = json_object_array_get_idx(subsystems, s);
			if (!has_text(one, "nqn", nqn))
				continue;
			removed += remove_ports(one, path);
			if (!json_object_array_length(list_of(one, "ports")))
				json_object_array_del_idx(subsystems, s, 1);
		}
	}
	if (!hosts)
		report_note(CONFIG " cannot be read as nvme-cli's list of connections, and was left as it is");
	if (removed && (err = save_config(hosts)))
		report_note(CONFIG " cannot be changed: %s", strerror(-err));
	json_object_put(hosts);
	return !hosts || err ? -1 : removed;
}
