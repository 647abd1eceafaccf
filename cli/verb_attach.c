/* SPDX-License-Identifier: Apache-2.0 */
/* memkv attach, detach, discover. */
#include "cli/access.h"
#include "cli/fabric_text.h"
#include "cli/persist.h"
#include "cli/report.h"
#include "cli/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECRET_BYTES 256

static const char *const outcomes[] = {
	[MEMKV_FABRIC_CONNECTED] = "connected",
	[MEMKV_FABRIC_ALREADY] = "already",
	[MEMKV_FABRIC_TUNED] = "tuned",
};

/* ---- what was given ---------------------------------------------------------------------------------------- */

struct given {
	struct memkv_fabric_options options;
	char secret[SECRET_BYTES], ctrl_secret[SECRET_BYTES];
};

static void forget_secrets(struct given *given)
{
	explicit_bzero(given->secret, sizeof(given->secret));
	explicit_bzero(given->ctrl_secret, sizeof(given->ctrl_secret));
}

/* A key out of a file that is for its owner alone, or of the environment; @into stays empty when there is none. */
static int take_secret(const struct cli_args *args, enum cli_option_id id, const char *variable, char into[SECRET_BYTES])
{
	const char *path = args->text[id], *value = getenv(variable);
	struct stat st;

	if (!args->given[id]) {
		if (value && strlen(value) >= SECRET_BYTES)
			return report_usage(args->verb, "$%s is too long for a key", variable);
		snprintf(into, SECRET_BYTES, "%s", value ? value : "");
		return 0;
	}
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st)) {
		int err = errno;
		if (fd >= 0)
			close(fd);
		return report_failed(-err, "%s: %s", path, strerror(err));
	}
	ssize_t got = -1;
	bool is_private = !(st.st_mode & 077);
	if (is_private)
		got = read(fd, into, SECRET_BYTES - 1);
	int err = errno;
	close(fd);
	if (!is_private)
		return report_failed(-EPERM, "%s: a key that others may read is none: chmod 600 it", path);
	if (got < 0)
		return report_failed(-err, "%s: %s", path, strerror(err));
	into[got] = '\0';
	into[strcspn(into, " \t\r\n")] = '\0';
	return into[0] ? 0 : report_usage(args->verb, "%s has no key in its first line", path);
}

static int32_t seconds_of(const struct cli_args *args, enum cli_option_id id)
{
	if (!args->given[id])
		return MEMKV_FABRIC_DEFAULT;
	return args->number[id] == CLI_OFF ? MEMKV_FABRIC_OFF : (int32_t)args->number[id];
}

static int take_given(const struct cli_args *args, struct given *given)
{
	*given = (struct given){.options = {
					.size = sizeof(given->options),
					.flags = args->given[OPT_TLS] ? MEMKV_FABRIC_TLS : 0,
					.queue_depth = (uint32_t)args->number[OPT_QUEUE_DEPTH],
					.io_queues = (uint32_t)args->number[OPT_IO_QUEUES],
					.keep_alive_s = seconds_of(args, OPT_KEEP_ALIVE),
					.fast_io_fail_s = seconds_of(args, OPT_FAST_IO_FAIL),
					.loss_timeout_s = seconds_of(args, OPT_LOSS_TIMEOUT),
					.reconnect_delay_s = seconds_of(args, OPT_RECONNECT_DELAY),
					.host_nqn = args->text[OPT_HOST_NQN],
					.host_id = args->text[OPT_HOST_ID],
				}};
	int rc = take_secret(args, OPT_DHCHAP_SECRET, "MEMKV_DHCHAP_SECRET", given->secret);
	if (!rc)
		rc = take_secret(args, OPT_DHCHAP_CTRL_SECRET, "MEMKV_DHCHAP_CTRL_SECRET", given->ctrl_secret);
	given->options.dhchap_secret = given->secret[0] ? given->secret : NULL;
	given->options.dhchap_ctrl_secret = given->ctrl_secret[0] ? given->ctrl_secret : NULL;
	return rc;
}

/* The only word; @what: what it is called. */
static int take_word(const struct cli_args *args, const char *what, const char **word)
{
	*word = "";
	if (!args->words)
		return report_usage(args->verb, "%s is missing", what);
	if (args->words > 1)
		return report_usage(args->verb, "'%s' is one word too many", args->word[1].text);
	*word = args->word[0].text;
	return 0;
}

static int report_fabric(const struct cli_args *args, int result, const char *what)
{
	return result == -EINVAL ? report_usage(args->verb, "%s", memkv_error_detail()) : report_library(result, what);
}

/* Root's modprobe, when the kernel has not loaded the transport yet; whether it helped is seen afterwards. */
static void load_module(const char *uri)
{
	static char *const environment[] = {(char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
	const char *name = !strncmp(uri, "nvme+rdma", 9) ? "nvme-rdma" : "nvme-tcp";
	char *const words[] = {(char *)"modprobe", (char *)"-q", (char *)name, NULL};
	static const char *const programs[] = {"/usr/sbin/modprobe", "/sbin/modprobe", "/bin/modprobe"};
	posix_spawn_file_actions_t quiet;
	pid_t child;
	int status;

	if (geteuid() || (!access("/dev/nvme-fabrics", F_OK) &&
			  !access(name[5] == 'r' ? "/sys/module/nvme_rdma" : "/sys/module/nvme_tcp", F_OK)))
		return;
	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&quiet, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		if (!access(programs[i], X_OK) && !posix_spawn(&child, programs[i], &quiet, NULL, words, environment)) {
			(void)waitpid(child, &status, 0);
			break;
		}
	posix_spawn_file_actions_destroy(&quiet);
}

/* ---- discover ---------------------------------------------------------------------------------------------- */

static void uri_of_entry(const struct memkv_fabric_entry *entry, char *text, size_t room)
{
	snprintf(text, room, strchr(entry->address, ':') ? "nvme+%s://[%s]:%s/%s" : "nvme+%s://%s:%s/%s", entry->transport,
		 entry->address, entry->port, entry->nqn);
}

static void print_offers(const char *uri, const struct memkv_fabric_log *log)
{
	struct json_object *document = NULL, *list = NULL;
	const struct memkv_fabric_entry *entry;
	char text[768];

	if (report_json()) {
		document = report_document();
		list = json_object_new_array();
	}
	for (size_t i = 0; (entry = memkv_fabric_entry_at(log, i)); i++) {
		uri_of_entry(entry, text, sizeof(text));
		if (!list) {
			report_safe_text(stdout, text);
			puts(strcmp(entry->kind, "discovery") ? "" : "  (discovery)");
			continue;
		}
		struct json_object *one = json_object_new_object();
		report_add_text(one, "uri", text);
		report_add_text(one, "kind", entry->kind);
		report_add_text(one, "transport", entry->transport);
		report_add_text(one, "address", entry->address);
		report_add_text(one, "port", entry->port);
		report_add_text(one, "nqn", entry->nqn);
		report_add_text(one, "secure", entry->secure);
		json_object_array_add(list, one);
	}
	if (document) {
		report_add_text(document, "target", uri);
		json_object_object_add(document, "offers", list);
		report_print(document);
	}
}

int verb_discover(const struct cli_args *args)
{
	struct memkv_fabric_log *log;
	struct given given;
	const char *uri;

	int rc = take_word(args, "URI", &uri);
	if (!rc)
		rc = take_given(args, &given);
	if (rc)
		return rc;
	int result = memkv_fabric_check(uri, 0);
	if (!result) {
		load_module(uri);
		result = memkv_fabric_discover(uri, &given.options, &log);
	}
	if (result < 0)
		return report_fabric(args, result, uri);
	if (!result)
		report_note("%s offers nothing to this host", uri);
	print_offers(uri, log);
	memkv_fabric_log_free(log);
	return EXIT_DONE;
}

/* ---- attach ------------------------------------------------------------------------------------------------ */

/* A URI's address without brackets, port and name; it has passed memkv_fabric_check(). */
struct uri_parts {
	char transport[8], address[256], port[8], nqn[256];
};

static void split_uri(const char *uri, struct uri_parts *parts)
{
	const char *at = strstr(uri, "://"), *host = at + 3;

	*parts = (struct uri_parts){.port = "4420"};
	snprintf(parts->transport, sizeof(parts->transport), "%.*s", (int)(at - uri) - 5, uri + 5);
	bool bracket = *host == '[';
	size_t length = strcspn(host + bracket, bracket ? "]" : ":/?");
	snprintf(parts->address, sizeof(parts->address), "%.*s", (int)length, host + bracket);
	at = host + length + 2 * bracket;
	if (*at == ':') {
		length = strcspn(at + 1, "/?");
		snprintf(parts->port, sizeof(parts->port), "%.*s", (int)length, at + 1);
		at += 1 + length;
	}
	if (*at == '/')
		snprintf(parts->nqn, sizeof(parts->nqn), "%.*s", (int)strcspn(at + 1, "?"), at + 1);
}

/* The connection that was asked for. */
static const struct memkv_fabric_path *path_asked_for(const struct memkv_fabric_list *list)
{
	const struct memkv_fabric_namespace *ns;

	for (size_t i = 0; (ns = memkv_fabric_at(list, i)); i++)
		for (uint32_t p = 0; p < ns->path_count; p++)
			if (ns->paths[p].asked)
				return &ns->paths[p];
	return NULL;
}

static int print_attached(const char *uri, int outcome, bool persistent, const struct memkv_fabric_list *list)
{
	const struct memkv_fabric_namespace *ns;

	if (report_json()) {
		struct json_object *document = report_document(), *all = json_object_new_array();
		for (size_t i = 0; (ns = memkv_fabric_at(list, i)); i++)
			json_object_array_add(all, fabric_text_json(ns));
		report_add_text(document, "target", uri);
		report_add_text(document, "outcome", outcomes[outcome]);
		report_add_flag(document, "persistent", persistent);
		json_object_object_add(document, "namespaces", all);
		report_print(document);
	} else {
		if (outcome == MEMKV_FABRIC_ALREADY)
			report_note("%s is attached already", uri);
		if (outcome == MEMKV_FABRIC_TUNED)
			report_note("%s is attached already; its time-outs were set anew", uri);
		for (size_t i = 0; (ns = memkv_fabric_at(list, i)); i++) {
			if (i)
				putchar('\n');
			fabric_text_print(ns);
		}
	}
	for (size_t i = 0; (ns = memkv_fabric_at(list, i)); i++)
		if (ns->unsafe)
			report_note("%s", ns->unsafe);
	return EXIT_DONE;
}

static int attach(const struct cli_args *args, const char *uri, const struct memkv_fabric_options *options)
{
	struct memkv_fabric_list *list;
	bool persist = args->given[OPT_PERSIST];
	int rc = persist ? persist_check(options->host_nqn, options->host_id) : 0;

	if (rc)
		return rc;
	load_module(uri);
	int outcome = memkv_fabric_attach(uri, options, &list);
	if (outcome < 0)
		return report_fabric(args, outcome, uri);
	const struct memkv_fabric_path *path = path_asked_for(list);
	if (persist && path)
		rc = persist_add(path, memkv_fabric_at(list, 0)->nqn, options);
	if (!rc)
		rc = print_attached(uri, outcome, persist, list);
	memkv_fabric_free(list);
	return rc;
}

int verb_attach(const struct cli_args *args)
{
	struct given given;
	const char *uri;

	int rc = take_word(args, "URI", &uri);
	if (!rc && memkv_fabric_check(uri, 1))
		rc = report_usage(args->verb, "%s", memkv_error_detail());
	if (rc)
		return rc;
	rc = take_given(args, &given);
	if (!rc)
		rc = attach(args, uri, &given.options);
	forget_secrets(&given);
	return rc;
}

/* ---- detach ------------------------------------------------------------------------------------------------ */

/* What --persist noted: of a URI that connection, else all of the subsystem. */
static int forget_noted(const char *target, const char *nqn)
{
	struct uri_parts parts;

	if (strncmp(target, "nvme+", 5) != 0)
		return nqn[0] ? persist_remove(NULL, nqn) : 0;
	split_uri(target, &parts);
	struct memkv_fabric_path path = {.transport = parts.transport, .address = parts.address, .port = parts.port};
	return persist_remove(&path, parts.nqn);
}

int verb_detach(const struct cli_args *args)
{
	struct memkv_fabric_list *list = NULL;
	const char *target;
	char nqn[256] = "";

	int rc = take_word(args, "TARGET (a URI, an NQN, a device or ns:ID)", &target);
	if (rc)
		return rc;
	if (!strncmp(target, "nqn.", 4))
		snprintf(nqn, sizeof(nqn), "%s", target);
	else if (memkv_fabric_find(target, &list) > 0)
		snprintf(nqn, sizeof(nqn), "%s", memkv_fabric_at(list, 0)->nqn);
	memkv_fabric_free(list);
	int ended = memkv_fabric_detach(target, args->given[OPT_IN_USE] ? MEMKV_FABRIC_FORCE : 0);
	if (ended < 0)
		return report_fabric(args, ended, target);
	int forgotten = forget_noted(target, nqn);
	if (!ended && forgotten <= 0)
		return report_failed(MEMKV_MISS, "%s is not attached here", target);
	if (report_json()) {
		struct json_object *document = report_document();
		report_add_text(document, "target", target);
		report_add_number(document, "connections", (uint64_t)ended);
		report_add_number(document, "forgotten", forgotten > 0 ? (uint64_t)forgotten : 0);
		report_print(document);
	} else {
		report_safe_text(stdout, target);
		printf(": %d connection%s ended%s\n", ended, ended == 1 ? "" : "s",
		       forgotten > 0 ? ", and not made at boot any more" : "");
	}
	return forgotten < 0 ? EXIT_DAMAGE : EXIT_DONE;
}
