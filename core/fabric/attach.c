/* SPDX-License-Identifier: Apache-2.0 */
/* memkv_fabric_attach(), _detach(): connections made and ended; sysfs says what there is, libnvme changes it. */
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/media/media.h" /* before libnvme, which has macros of the same names */
#include "core/fabric/namespaces.h"
#include "core/fabric/session.h"
#include "core/media/late_write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_AGAIN_MS = 50, GONE_WAIT_MS = 10000 };

static const char port_default[] = "4420";

static int parse_target(const char *text, struct fabric_uri *uri)
{
	int err = memkv_fabric_check(text, 1);

	if (err)
		return err;
	(void)fabric_uri_parse(text, uri);
	if (!uri->port[0])
		snprintf(uri->port, sizeof(uri->port), "%s", port_default);
	return fabric_uri_resolve(uri);
}

static bool leads_there(const struct nvme_controller *c, const struct fabric_uri *uri)
{
	return !strcmp(c->transport, uri->transport) && !strcmp(c->port, uri->port) && !strcmp(c->nqn, uri->nqn) &&
	       fabric_same_address(c->address, uri->address);
}

/* The connection by that very address; false: there is none. */
static bool find_connection(const struct fabric_uri *uri, struct nvme_controller *connection)
{
	struct nvme_controller *all;
	bool found = false;
	int count = nvme_controllers_list("", uri->nqn, &all);

	for (int i = 0; i < count && !found; i++) {
		found = leads_there(&all[i], uri);
		if (found)
			*connection = all[i];
	}
	free(all);
	return found;
}

static void pause_ms(long ms)
{
	struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
}

/* ---- attach ------------------------------------------------------------------------------------------------ */

static bool has_path(const struct nvme_namespace *ns, const char *controller)
{
	for (unsigned i = 0; i < ns->paths; i++)
		if (!strcmp(ns->path[i].name, controller))
			return true;
	return false;
}

/* One of the namespaces that this controller leads to is there, and so is its device. */
static bool has_appeared(const struct fabric_uri *uri, const char *controller)
{
	struct nvme_namespace *all;
	bool there = false;
	int count = nvme_namespaces_list("", &all);

	for (int i = 0; i < count && !there; i++) {
		char path[64];
		snprintf(path, sizeof(path), "/dev/%s", all[i].device);
		there = has_path(&all[i], controller) && (!uri->nsid || all[i].nsid == uri->nsid) && all[i].bytes &&
			!access(path, F_OK);
	}
	free(all);
	return there;
}

static int await_namespaces(const struct fabric_uri *uri, const char *controller, uint32_t wait_ms)
{
	uint64_t end = clock_monotonic_us() + (uint64_t)wait_ms * 1000;
	bool there;

	while (!(there = has_appeared(uri, controller)) && clock_monotonic_us() < end)
		pause_ms(LOOK_AGAIN_MS);
	if (there)
		return 0;
	if (uri->nsid)
		return fail(MEMKV_NO_SUBSYSTEM, "%s has no namespace %u for this host", uri->nqn, uri->nsid);
	return fail(MEMKV_NO_SUBSYSTEM, "%s shows no namespace to this host", uri->nqn);
}

static bool write_seconds(const char *controller, const char *attribute, int32_t seconds)
{
	char path[160], text[16];

	snprintf(path, sizeof(path), "/sys/class/nvme/%s/%s", controller, attribute);
	int length = snprintf(text, sizeof(text), "%d", seconds);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, (size_t)length) == length;
	if (fd >= 0)
		close(fd);
	return done;
}

/*
 * What was asked for, by name or because the connection lets writes land late, is set on the connection that is there.
 * The keep-alive time-out belongs to the connection and cannot be changed.
 */
static bool tune(const struct nvme_controller *c, const struct memkv_fabric_options *asked,
		 const struct memkv_fabric_options *options)
{
	struct late_write late;
	bool changed = false;

	late_write_of_path(c, 0, &late);
	if ((late.unsafe || (asked && asked->reconnect_delay_s)) && c->reconnect_delay_s != options->reconnect_delay_s)
		changed |= write_seconds(c->name, "reconnect_delay", options->reconnect_delay_s);
	if ((late.unsafe || (asked && asked->loss_timeout_s)) && c->ctrl_loss_s != options->loss_timeout_s)
		changed |= write_seconds(c->name, "ctrl_loss_tmo", options->loss_timeout_s);
	if ((late.unsafe || (asked && asked->fast_io_fail_s)) && c->fast_io_fail_s != options->fast_io_fail_s)
		changed |= write_seconds(c->name, "fast_io_fail_tmo", options->fast_io_fail_s);
	return changed;
}

#ifdef MEMKV_HAVE_LIBNVME

/* A kernel that is built without authentication takes the keys, and connects without: that is not what was asked for. */
static int check_authentication(const char *controller, const struct memkv_fabric_options *options)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/class/nvme/%s/dhchap_secret", controller);
	if (!options->dhchap_secret || !access(path, F_OK))
		return 0;
	return fail(MEMKV_NO_FABRIC, "this kernel cannot do DH-HMAC-CHAP (it is built without NVME_AUTH): attach without keys, or use "
				     "another kernel");
}

static int connect_anew(const struct fabric_uri *uri, const struct memkv_fabric_options *options,
			struct nvme_controller *connection)
{
	struct fabric_session session;
	nvme_ctrl_t ctrl;
	int err = fabric_session_begin(&session, options);

	if (err)
		return err;
	err = fabric_session_connect(&session, uri, uri->nqn, options, &ctrl);
	if (!err)
		snprintf(connection->name, sizeof(connection->name), "%s", session.lib->nvme_ctrl_get_name(ctrl));
	if (!err)
		err = check_authentication(connection->name, options);
	if (!err)
		err = await_namespaces(uri, connection->name, options->wait_ms);
	if (err && connection->name[0]) {
		char why[512];
		snprintf(why, sizeof(why), "%s", memkv_error_detail());
		(void)fabric_session_disconnect(&session, connection->name); /* what is of no use does not stay */
		fail(err, "%s", why);
	}
	fabric_session_end(&session);
	return err;
}

#else

static int connect_anew(const struct fabric_uri *uri, const struct memkv_fabric_options *options,
			struct nvme_controller *connection)
{
	(void)uri, (void)options, (void)connection;
	return MEMKV_NO_FABRIC; /* not reached: fabric_ready() said why */
}

#endif

int memkv_fabric_attach(const char *uri, const struct memkv_fabric_options *given, struct memkv_fabric_list **list)
{
	struct memkv_fabric_options options;
	struct nvme_controller connection = {0};
	struct fabric_uri target;
	int outcome = MEMKV_FABRIC_CONNECTED;

	int err = parse_target(uri, &target);
	if (!err)
		err = fabric_options_take(&options, given, "memkv_fabric_attach");
	if (err)
		return err;
	if (find_connection(&target, &connection)) {
		outcome = tune(&connection, given, &options) ? MEMKV_FABRIC_TUNED : MEMKV_FABRIC_ALREADY;
		err = await_namespaces(&target, connection.name, options.wait_ms);
	} else {
		err = fabric_ready(&target, &options);
		if (!err)
			err = connect_anew(&target, &options, &connection);
	}
	if (err)
		return err;
	struct namespace_choice choice = {.nsid = target.nsid};
	memcpy(choice.nqn, target.nqn, sizeof(choice.nqn));
	int count = namespaces_choose(&choice, list);
	if (count > 0) {
		namespaces_mark(*list, connection.name);
		(void)memkv_fabric_identify(*list);
	}
	return count < 0 ? count : outcome;
}

/* ---- detach ------------------------------------------------------------------------------------------------ */

struct connections {
	struct nvme_controller *all;
	int count;
};

static bool is_meant(const struct connections *them, const char *controller)
{
	for (int i = 0; i < them->count; i++)
		if (!strcmp(them->all[i].name, controller))
			return true;
	return false;
}

/* Those that @what stands for; those that are not network connections are left out. */
static int choose_connections(const char *what, struct connections *them)
{
	struct namespace_choice choice;
	struct fabric_uri uri = {0};
	struct memkv_fabric_list *list;
	int kept = 0;

	int err = fabric_uri_is(what) ? parse_target(what, &uri) : namespace_choice_parse(what, &choice);
	if (err)
		return err;
	if (!uri.nqn[0] && !choice.nqn[0]) { /* a device or an identity: its subsystem */
		int found = namespaces_choose(&choice, &list);
		if (found <= 0) {
			if (!found)
				memkv_fabric_free(list);
			return found;
		}
		snprintf(choice.nqn, sizeof(choice.nqn), "%s", memkv_fabric_at(list, 0)->nqn);
		memkv_fabric_free(list);
	}
	them->count = nvme_controllers_list("", uri.nqn[0] ? uri.nqn : choice.nqn, &them->all);
	if (them->count < 0)
		return fail(them->count, "no memory to list controllers");
	for (int i = 0; i < them->count; i++) {
		struct late_write late;
		late_write_of_path(&them->all[i], 0, &late);
		if (late.fabric && (!uri.nqn[0] || leads_there(&them->all[i], &uri)))
			them->all[kept++] = them->all[i];
	}
	them->count = kept;
	return 0;
}

/* Is a namespace that would lose its last path claimed by somebody? */
static int check_claims(const struct connections *them)
{
	struct nvme_namespace *all;
	int count = nvme_namespaces_list("", &all), err = count < 0 ? count : 0;

	for (int i = 0; i < count && !err; i++) {
		char path[64];
		unsigned lost = 0;
		for (unsigned p = 0; p < all[i].paths; p++)
			lost += is_meant(them, all[i].path[p].name);
		if (!lost || lost < all[i].paths)
			continue;
		snprintf(path, sizeof(path), "/dev/%s", all[i].device);
		int fd = media_block_claim(path, O_RDONLY | O_CLOEXEC); /* a killed writer's is given up a moment later */
		if (fd == -EBUSY)
			err = fail(MEMKV_IN_USE, "%s is in use: an agent writes to it, or it is mounted or part of another device", path);
		if (fd >= 0)
			close(fd);
	}
	free(all);
	return err;
}

#ifdef MEMKV_HAVE_LIBNVME

static bool is_there(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/class/nvme/%s", name);
	return !access(path, F_OK);
}

static int end_connections(const struct connections *them)
{
	struct memkv_fabric_options options = {.size = sizeof(options)};
	struct fabric_session session;
	uint64_t end = clock_monotonic_us() + (uint64_t)GONE_WAIT_MS * 1000;
	int err = fabric_session_begin(&session, &options);

	for (int i = 0; i < them->count && !err; i++)
		err = fabric_session_disconnect(&session, them->all[i].name);
	for (int i = 0; i < them->count && !err; i++)
		while (is_there(them->all[i].name) && clock_monotonic_us() < end)
			pause_ms(LOOK_AGAIN_MS);
	fabric_session_end(&session);
	return err;
}

#else

static int end_connections(const struct connections *them)
{
	(void)them;
	return libnvme_load() ? 0 : MEMKV_NO_FABRIC;
}

#endif

int memkv_fabric_detach(const char *what, uint32_t flags)
{
	struct connections them = {0};

	if (!what || flags & ~(uint32_t)MEMKV_FABRIC_FORCE)
		return fail(-EINVAL, "memkv_fabric_detach(): no target, or a flag that there is not");
	int err = choose_connections(what, &them);
	if (!err && them.count && !(flags & MEMKV_FABRIC_FORCE))
		err = check_claims(&them);
	if (!err && them.count)
		err = end_connections(&them);
	free(them.all);
	return err ? err : them.count;
}
