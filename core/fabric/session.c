/* SPDX-License-Identifier: Apache-2.0 */
/* See session.h. */
#include "core/fabric/session.h"

#include "core/base/fail.h"
#include "core/base/options_take.h"
#include "core/fabric/kernel_words.h"
#include "core/media/late_write.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WAIT_DEFAULT_MS = 10000, SECONDS_MOST = 86400, DEPTH_LEAST = 16, DEPTH_MOST = 1024, QUEUES_MOST = 1024 };

static const char fabrics_device[] = "/dev/nvme-fabrics";

/* ---- options ----------------------------------------------------------------------------------------------- */

/* "DHHC-1:NN:BASE64:"; its value appears in no message */
static int check_secret(const char *which, const char *secret)
{
	size_t length = secret ? strlen(secret) : 0;
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";

	if (!secret)
		return 0;
	if (length < 20 || length > 200 || strncmp(secret, "DHHC-1:", 7) || !isxdigit((unsigned char)secret[7]) ||
	    !isxdigit((unsigned char)secret[8]) || secret[9] != ':' || secret[length - 1] != ':' ||
	    strspn(secret + 10, letters) != length - 11)
		return fail(-EINVAL, "%s is no DH-HMAC-CHAP key: those read DHHC-1:NN:BASE64:, as 'nvme gen-dhchap-key' prints them",
			    which);
	return 0;
}

static int check_host_id(const char *id)
{
	char plain[36];

	if (!id || (strlen(id) == 36 && nvme_identity_plain(id, plain) == 32 && !strpbrk(id, ": ")))
		return 0;
	return fail(-EINVAL, "the host ID '%s' is no UUID", id);
}

static int take_seconds(const char *what, int32_t *seconds, int32_t otherwise, bool may_be_off)
{
	if (*seconds == MEMKV_FABRIC_DEFAULT)
		*seconds = otherwise;
	if (*seconds == MEMKV_FABRIC_OFF && !may_be_off)
		return fail(-EINVAL, "%s cannot be off: without it a write that was cut off could land at any time", what);
	if (*seconds < MEMKV_FABRIC_OFF || *seconds > SECONDS_MOST)
		return fail(-EINVAL, "%s of %d s is out of range, which is 1 to %d", what, *seconds, SECONDS_MOST);
	return 0;
}

int fabric_options_take(struct memkv_fabric_options *into, const struct memkv_fabric_options *given, const char *call)
{
	int err = options_take(into, sizeof(*into), given, call);

	if (!err)
		err = take_seconds("the keep-alive time-out", &into->keep_alive_s, LATE_KEEP_ALIVE_S, false);
	if (!err)
		err = take_seconds("fast-io-fail", &into->fast_io_fail_s, LATE_FAST_IO_FAIL_S, true);
	if (!err)
		err = take_seconds("the loss time-out", &into->loss_timeout_s, LATE_CTRL_LOSS_S, true);
	if (!err)
		err = take_seconds("the reconnect delay", &into->reconnect_delay_s, LATE_RECONNECT_S, false);
	if (!err && into->flags & ~(uint32_t)(MEMKV_FABRIC_TLS | MEMKV_FABRIC_FORCE))
		err = fail(-EINVAL, "%s: there is no such flag as %#x", call, into->flags);
	if (!err && into->queue_depth && (into->queue_depth < DEPTH_LEAST || into->queue_depth > DEPTH_MOST))
		err = fail(-EINVAL, "a queue depth of %u is out of range, which is %d to %d", into->queue_depth, DEPTH_LEAST, DEPTH_MOST);
	if (!err && into->io_queues > QUEUES_MOST)
		err = fail(-EINVAL, "%u I/O queues are out of range, which is 1 to %d", into->io_queues, QUEUES_MOST);
	if (!err && into->host_nqn)
		err = fabric_nqn_check("the host NQN", into->host_nqn);
	if (!err)
		err = check_host_id(into->host_id);
	if (!err)
		err = check_secret("the secret", into->dhchap_secret);
	if (!err)
		err = check_secret("the controller's secret", into->dhchap_ctrl_secret);
	if (!err && into->dhchap_ctrl_secret && !into->dhchap_secret)
		err = fail(-EINVAL, "the controller's secret alone is not enough: this host proves itself first, with its own");
	if (!into->wait_ms)
		into->wait_ms = WAIT_DEFAULT_MS;
	return err;
}

/* ---- what it takes ----------------------------------------------------------------------------------------- */

static bool has_entries(const char *directory)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;
	bool any = false;

	while (dir && !any && (entry = readdir(dir)))
		any = entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return any;
}

static bool has_module(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/module/%s", name);
	return !access(path, F_OK);
}

/* Kernels since 5.17 list the options that they know when the device is read; older ones know neither of ours. */
static int check_option(const char *offered, const char *option, const char *meaning)
{
	size_t length = strlen(option);

	for (const char *at = strstr(offered, option); at; at = strstr(at + 1, option))
		if ((at == offered || at[-1] == ',') && strchr(",=\n", at[length]))
			return 0;
	return fail(MEMKV_NO_FABRIC, "this kernel cannot do %s (it does not know the option '%s'); use a newer one, or one "
				     "that is built with it", meaning, option);
}

static int check_kernel_options(const struct fabric_uri *uri, const struct memkv_fabric_options *options)
{
	char offered[4096] = "";
	int err = 0;

	if (options->flags & MEMKV_FABRIC_TLS && strcmp(uri->transport, "tcp"))
		return fail(-EINVAL, "TLS is for TCP, not for RDMA");
	int fd = open(fabrics_device, O_RDWR | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, offered, sizeof(offered) - 1);
	if (fd >= 0)
		close(fd);
	if (got > 0)
		offered[got] = '\0';
	if (options->flags & MEMKV_FABRIC_TLS)
		err = check_option(offered, "tls", "TLS");
	if (!err && options->dhchap_secret)
		err = check_option(offered, "dhchap_secret", "DH-HMAC-CHAP");
	return err;
}

int fabric_ready(const struct fabric_uri *uri, const struct memkv_fabric_options *options)
{
	bool rdma = !strcmp(uri->transport, "rdma");
	char module[32];

	if (!libnvme_load())
		return MEMKV_NO_FABRIC;
	snprintf(module, sizeof(module), "nvme_%s", uri->transport);
	int fd = open(fabrics_device, O_RDWR | O_CLOEXEC);
	int err = fd < 0 ? errno : 0;
	if (fd >= 0)
		close(fd);
	if (err == ENOENT && !has_module(module))
		return fail(MEMKV_NO_FABRIC, "the kernel's module nvme-%s is not loaded: modprobe nvme-%s as root (a kernel without it "
					     "lacks NVMe over Fabrics; Debian's linux-image-amd64 has it)",
			    uri->transport, uri->transport);
	if (err == ENOENT)
		return fail(MEMKV_NO_FABRIC, "there is no %s here although the kernel has the module nvme-%s: in a container, "
					     "give it that device", fabrics_device, uri->transport);
	if (err == EACCES || err == EPERM)
		return fail(-err, "%s may not be opened: attach, detach and discover want root", fabrics_device);
	if (err)
		return fail(MEMKV_NO_FABRIC, "%s cannot be opened: %s", fabrics_device, strerror(err));
	if (rdma && !has_entries("/sys/class/infiniband"))
		return fail(MEMKV_NO_FABRIC, "this machine has no RDMA device: load its driver, or, without such hardware, make one of "
					     "a network interface: modprobe rdma_rxe && rdma link add rxe0 type rxe netdev eth0");
	return check_kernel_options(uri, options);
}

#ifdef MEMKV_HAVE_LIBNVME

/* ---- libnvme ----------------------------------------------------------------------------------------------- */

/* Where there is no hostid, the UUID in the NQN: one that changes with each connection is not let in everywhere. */
static const char *id_of_nqn(const char *nqn)
{
	const char *at = strstr(nqn, "uuid:");

	return at && strlen(at + 5) == 36 ? at + 5 : NULL;
}

int fabric_session_begin(struct fabric_session *session, const struct memkv_fabric_options *options)
{
	*session = (struct fabric_session){.lib = libnvme_load()};
	if (!session->lib)
		return MEMKV_NO_FABRIC;
	session->log = fopen("/dev/null", "we");
	session->root = session->log ? session->lib->nvme_create_root(session->log, -1) : NULL;
	char *own_nqn = options->host_nqn ? NULL : session->lib->nvmf_hostnqn_from_file();
	if (!options->host_nqn && !own_nqn)
		own_nqn = session->lib->nvmf_hostnqn_generate();
	/* the machine's ID goes with the machine's NQN */
	char *own_id = options->host_id || options->host_nqn ? NULL : session->lib->nvmf_hostid_from_file();
	const char *nqn = options->host_nqn ? options->host_nqn : own_nqn;
	const char *id = options->host_id ? options->host_id : own_id ? own_id : nqn ? id_of_nqn(nqn) : NULL;
	int err = session->root ? 0 : fail(-ENOMEM, "no memory to connect");
	if (!err && (!nqn || !*nqn))
		err = fail(MEMKV_NO_FABRIC, "this host has no NQN: nvme gen-hostnqn > /etc/nvme/hostnqn, or say --host-nqn");
	if (!err)
		session->host = session->lib->nvme_lookup_host(session->root, nqn, id);
	if (!err && !session->host)
		err = fail(-ENOMEM, "no memory to connect");
	free(own_nqn);
	free(own_id);
	if (err)
		fabric_session_end(session);
	return err;
}

void fabric_session_end(struct fabric_session *session)
{
	if (session->root)
		session->lib->nvme_free_tree(session->root);
	if (session->log)
		fclose(session->log);
	*session = (struct fabric_session){0};
}

/* The sentence about a connection that did not come about. */
static int explain(const struct fabric_uri *uri, const char *nqn, int err, const struct kernel_words *words)
{
	char where[320];

	snprintf(where, sizeof(where), strchr(uri->address, ':') ? "[%s]:%s by %s" : "%s:%s by %s", uri->address, uri->port,
		 uri->transport);
	if (words->reason == REASON_HOST_REFUSED)
		return fail(MEMKV_HOST_REFUSED, "%s does not let this host into %s: its list of hosts lacks this host's NQN (see 'memkv "
						"doctor', or say --host-nqn)", where, nqn);
	if (words->reason == REASON_NO_SUBSYSTEM)
		return fail(MEMKV_NO_SUBSYSTEM, "%s has no subsystem %s; 'memkv discover' lists what it offers", where, nqn);
	if (words->reason == REASON_AUTHENTICATION)
		return fail(MEMKV_HOST_REFUSED, "%s: %s wants DH-HMAC-CHAP, and the keys are missing or wrong (--dhchap-secret)", where,
			    nqn);
	if (words->reason == REASON_TLS)
		return fail(MEMKV_NO_FABRIC, "%s: no TLS with %s: it wants a pre-shared key for both in the kernel's keyring (newer nvme-cli's "
					     "'gen-tls-key --insert'), and tlshd running; the kernel's log says: %s", where, nqn,
			    words->line);
	if (words->reason == REASON_NO_TRANSPORT)
		return fail(MEMKV_NO_FABRIC, "the kernel has no module nvme-%s", uri->transport);
	if (words->reason == REASON_OPTION)
		return fail(MEMKV_NO_FABRIC, "this kernel does not know one of the options that were asked for; its log names it");
	if (words->reason == REASON_ADDRESS && words->error == -ENODEV && !strcmp(uri->transport, "rdma"))
		return fail(MEMKV_NO_FABRIC, "no RDMA device of this machine leads to %s", uri->address);
	if (words->reason == REASON_ADDRESS && words->error == -ETIMEDOUT) /* that code means busy elsewhere */
		return fail(-EHOSTUNREACH, "%s: nobody answers there", where);
	if (words->reason == REASON_ADDRESS)
		return fail(words->error, "%s: %s", where, strerror(-words->error));
	if (err == ENVME_CONNECT_CONNREFUSED)
		return fail(-ECONNREFUSED, "%s: %s", where, strerror(ECONNREFUSED));
	if (err == ENVME_CONNECT_ALREADY)
		return fail(-EALREADY, "%s: just being connected by somebody else", where);
	if (err == ENVME_CONNECT_ADDRINUSE)
		return fail(-EADDRINUSE, "%s: this host's ID is in use with another NQN (--host-nqn, --host-id)", where);
	return fail(-EIO, "%s: the kernel could not connect to %s%s%s", where, nqn, words->line[0] ? "; its log says: " : "",
		    words->line);
}

int fabric_session_connect(struct fabric_session *session, const struct fabric_uri *uri, const char *nqn,
			   const struct memkv_fabric_options *options, nvme_ctrl_t *ctrl)
{
	struct nvme_fabrics_config config;
	struct kernel_words words;

	nvme_ctrl_t made = session->lib->nvme_create_ctrl(session->root, nqn, uri->transport, uri->address, NULL, NULL, uri->port);
	if (!made)
		return fail(-ENOMEM, "no memory to connect");
	session->lib->nvmf_default_config(&config);
	config.queue_size = (int)options->queue_depth;
	config.nr_io_queues = (int)options->io_queues;
	config.keep_alive_tmo = options->keep_alive_s;
	config.reconnect_delay = options->reconnect_delay_s;
	config.ctrl_loss_tmo = options->loss_timeout_s;
	config.fast_io_fail_tmo = options->fast_io_fail_s > 0 ? options->fast_io_fail_s : 0; /* 0: not said, which is off */
	config.tls = options->flags & MEMKV_FABRIC_TLS;
	if (options->dhchap_secret)
		session->lib->nvme_host_set_dhchap_key(session->host, options->dhchap_secret);
	if (options->dhchap_ctrl_secret)
		session->lib->nvme_ctrl_set_dhchap_key(made, options->dhchap_ctrl_secret);
	int log = kernel_log_open();
	errno = 0;
	int failed = session->lib->nvmf_add_ctrl(session->host, made, &config);
	int err = errno;
	kernel_log_close(log, &words);
	if (!failed) {
		*ctrl = made; /* the tree's from now on */
		return 0;
	}
	if (session->lib->nvme_ctrl_get_name(made)) /* connected, and then not found where it should be */
		(void)session->lib->nvme_disconnect_ctrl(made);
	session->lib->nvme_free_ctrl(made);
	return explain(uri, nqn, err, &words);
}

int fabric_session_disconnect(struct fabric_session *session, const char *name)
{
	struct nvme_controller *all;
	int count = nvme_controllers_list("", NULL, &all), err = -ENOENT;

	for (int i = 0; i < count && err == -ENOENT; i++) {
		if (strcmp(all[i].name, name))
			continue;
		nvme_ctrl_t ctrl = session->lib->nvme_create_ctrl(session->root, all[i].nqn, all[i].transport, all[i].address, NULL,
								 NULL, all[i].port);
		err = ctrl ? 0 : -ENOMEM;
		errno = EIO;
		/* only this one: to look at the whole tree means to ask each device, and a dead one would let us wait */
		if (!err && session->lib->nvme_init_ctrl(session->host, ctrl, atoi(name + 4))) {
			err = -errno;
			session->lib->nvme_free_ctrl(ctrl); /* else it is the tree's */
		}
		if (!err && session->lib->nvme_disconnect_ctrl(ctrl))
			err = -errno;
	}
	free(all);
	if (err == -EACCES || err == -EPERM)
		return fail(err, "%s may not be disconnected: that wants root", name);
	return err && err != -ENOENT ? fail(err, "%s cannot be disconnected: %s", name, strerror(-err)) : 0;
}

#endif
