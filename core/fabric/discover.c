/* SPDX-License-Identifier: Apache-2.0 */
/* memkv_fabric_discover(): a connection to the discovery service, its log, and an end. */
#include "core/base/fail.h"
#include "core/fabric/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct entry_text {
	char transport[16], address[257], port[33], nqn[257];
};

struct memkv_fabric_log {
	size_t count;
	struct memkv_fabric_entry *entry;
	struct entry_text *text;
};

const struct memkv_fabric_entry *memkv_fabric_entry_at(const struct memkv_fabric_log *log, size_t nth)
{
	return log && nth < log->count ? &log->entry[nth] : NULL;
}

void memkv_fabric_log_free(struct memkv_fabric_log *log)
{
	if (!log)
		return;
	free(log->entry);
	free(log->text);
	free(log);
}

#ifdef MEMKV_HAVE_LIBNVME

enum { LOG_TRIES = 10 };

/* Fields of the log are filled up with blanks or zeros, and need not end. */
static void copy_field(char *into, const char *field, size_t room)
{
	size_t length = strnlen(field, room);

	while (length && field[length - 1] == ' ')
		length--;
	memcpy(into, field, length);
	into[length] = '\0';
}

static const char *secure_text(uint8_t treq)
{
	return treq & NVMF_TREQ_REQUIRED ? "required" : treq & NVMF_TREQ_NOT_REQUIRED ? "not required" : "not specified";
}

static int keep_log(const struct libnvme *lib, const struct nvmf_discovery_log *raw, struct memkv_fabric_log **log)
{
	size_t count = (size_t)le64toh(raw->numrec);
	struct memkv_fabric_log *made = calloc(1, sizeof(*made));

	if (made) {
		made->entry = calloc(count + 1, sizeof(*made->entry));
		made->text = calloc(count + 1, sizeof(*made->text));
	}
	if (!made || !made->entry || !made->text) {
		memkv_fabric_log_free(made);
		return fail(-ENOMEM, "no memory for what the target offers");
	}
	for (size_t i = 0; i < count; i++) {
		const struct nvmf_disc_log_entry *e = &raw->entries[i];
		struct entry_text *text = &made->text[i];
		const char *transport = lib->nvmf_trtype_str(e->trtype);
		copy_field(text->transport, transport, strnlen(transport, sizeof(text->transport) - 1));
		copy_field(text->address, e->traddr, sizeof(e->traddr));
		copy_field(text->port, e->trsvcid, sizeof(e->trsvcid));
		copy_field(text->nqn, e->subnqn, sizeof(e->subnqn));
		made->entry[i] = (struct memkv_fabric_entry){
			.transport = text->transport,
			.address = text->address,
			.port = text->port,
			.nqn = text->nqn,
			.kind = e->subtype == NVME_NQN_NVME ? "subsystem" : "discovery",
			.secure = secure_text(e->treq),
		};
	}
	made->count = count;
	*log = made;
	return (int)count;
}

static int ask_service(const struct fabric_uri *uri, const struct memkv_fabric_options *options, struct memkv_fabric_log **log)
{
	struct nvmf_discovery_log *raw = NULL;
	struct fabric_session session;
	nvme_ctrl_t ctrl;
	int err = fabric_session_begin(&session, options);

	if (err)
		return err;
	err = fabric_session_connect(&session, uri, NVME_DISC_SUBSYS_NAME, options, &ctrl);
	if (!err) {
		err = session.lib->nvmf_get_discovery_log(ctrl, &raw, LOG_TRIES)
			      ? fail(-EIO, "%s:%s does not say what it offers: %s", uri->address, uri->port, strerror(errno))
			      : keep_log(session.lib, raw, log);
		(void)session.lib->nvme_disconnect_ctrl(ctrl);
		free(raw);
	}
	fabric_session_end(&session);
	return err;
}

#else

static int ask_service(const struct fabric_uri *uri, const struct memkv_fabric_options *options, struct memkv_fabric_log **log)
{
	(void)uri, (void)options, (void)log;
	return MEMKV_NO_FABRIC; /* not reached: fabric_ready() said why */
}

#endif

int memkv_fabric_discover(const char *text, const struct memkv_fabric_options *given, struct memkv_fabric_log **log)
{
	struct memkv_fabric_options options;
	struct fabric_uri uri;
	int err = memkv_fabric_check(text, 0);

	if (err)
		return err;
	(void)fabric_uri_parse(text, &uri);
	if (!uri.port[0]) /* IANA's ports of the discovery service */
		snprintf(uri.port, sizeof(uri.port), "%s", !strcmp(uri.transport, "tcp") ? "8009" : "4420");
	err = fabric_options_take(&options, given, "memkv_fabric_discover");
	if (!err)
		err = fabric_uri_resolve(&uri);
	if (!err)
		err = fabric_ready(&uri, &options);
	return err ? err : ask_service(&uri, &options, log);
}
