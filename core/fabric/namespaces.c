/* SPDX-License-Identifier: Apache-2.0 */
/* See namespaces.h. */
#include "core/fabric/namespaces.h"

#include "core/base/fail.h"
#include "core/fabric/libnvme.h"
#include "core/fabric/uri.h"
#include "core/media/late_write.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct item {
	struct nvme_namespace raw;
	struct memkv_fabric_namespace shown;
	struct memkv_fabric_path path[NVME_PATHS];
	char device[64];
	char uuid[40]; /* with '-' */
	char unsafe[LATE_SENTENCE];
};

struct memkv_fabric_list {
	size_t count;
	struct item item[];
};

/* ---- which ones -------------------------------------------------------------------------------------------- */

static int take_device(const char *what, struct namespace_choice *choice)
{
	char resolved[PATH_MAX];

	if (!realpath(what, resolved))
		return fail(-errno, "%s: %s", what, strerror(errno));
	snprintf(choice->device, sizeof(choice->device), "%s", strrchr(resolved, '/') + 1);
	return 0;
}

int namespace_choice_parse(const char *what, struct namespace_choice *choice)
{
	struct fabric_uri uri;

	*choice = (struct namespace_choice){0};
	if (fabric_uri_is(what)) {
		int err = memkv_fabric_check(what, 1);
		if (err)
			return err;
		(void)fabric_uri_parse(what, &uri);
		memcpy(choice->nqn, uri.nqn, sizeof(choice->nqn));
		choice->nsid = uri.nsid;
		return 0;
	}
	if (!strncmp(what, "nqn.", 4)) {
		if (fabric_nqn_check(what, what))
			return -EINVAL;
		snprintf(choice->nqn, sizeof(choice->nqn), "%s", what);
		return 0;
	}
	const char *id = !strncmp(what, "ns:", 3) ? what + 3 : !strncmp(what, "nguid:", 6) ? what + 6 : NULL;
	if (!id)
		return take_device(what, choice);
	if (nvme_identity_plain(id, choice->plain) < 0)
		return fail(-EINVAL, "'%s' is no identity of a namespace: a UUID or NGUID of 32 hex digits, or an EUI-64 of 16", what);
	return 0;
}

static bool is_chosen(const struct nvme_namespace *ns, const struct namespace_choice *choice)
{
	struct late_write late;

	if (choice->nsid && ns->nsid != choice->nsid)
		return false;
	if (choice->nqn[0] && (!ns->paths || strcmp(ns->path[0].nqn, choice->nqn)))
		return false;
	if (choice->plain[0] && !nvme_namespace_is(ns, choice->plain))
		return false;
	if (choice->device[0] && strcmp(ns->device, choice->device))
		return false;
	late_write_of_namespace(ns, &late);
	return !choice->remote || late.fabric;
}

/* ---- what the controller says about itself ----------------------------------------------------------------- */

#ifdef MEMKV_HAVE_LIBNVME

enum { MDTS_UNIT = 4096, ANSWER_MS = 2000 }; /* fabrics controllers count in pages of 4 KiB */

static bool identify(const struct libnvme *lib, int fd, enum nvme_identify_cns cns, uint32_t nsid, void *data)
{
	struct nvme_identify_args args = {
		.args_size = sizeof(args),
		.fd = fd,
		.timeout = ANSWER_MS,
		.cns = cns,
		.csi = NVME_CSI_NVM,
		.nsid = nsid,
		.cntid = NVME_CNTLID_NONE,
		.cns_specific_id = NVME_CNSSPECID_NONE,
		.uuidx = NVME_UUID_NONE,
		.data = data,
	};

	return lib->nvme_identify(&args) == 0;
}

static void take_answers(struct item *item, const struct nvme_id_ctrl *ctrl, const struct nvme_id_ns *ns)
{
	uint32_t lba = item->raw.lba_bytes;
	bool own = ns->nsfeat & 2; /* NSABP: the namespace has atomic units of its own; they count from 0 */

	item->shown.identified = 1;
	item->shown.mdts_bytes = ctrl->mdts && ctrl->mdts < 20 ? (uint32_t)MDTS_UNIT << ctrl->mdts : 0;
	item->shown.volatile_cache = ctrl->vwc & 1;
	item->shown.atomic_bytes = lba * (le16toh(own && ns->nawun ? ns->nawun : ctrl->awun) + 1u);
	item->shown.atomic_power_fail_bytes = lba * (le16toh(own && ns->nawupf ? ns->nawupf : ctrl->awupf) + 1u);
}

/* Asked by the first path that works: one that reconnects would let us wait. */
static void ask_controller(struct item *item)
{
	struct nvme_id_ctrl *ctrl = NULL;
	struct nvme_id_ns *ns = NULL;
	char path[64];
	int fd = -1;

	for (unsigned i = 0; fd < 0 && i < item->raw.paths; i++) {
		snprintf(path, sizeof(path), "/dev/%s", item->raw.path[i].name);
		if (!strcmp(item->raw.path[i].state, "live"))
			fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	const struct libnvme *lib = fd < 0 ? NULL : libnvme_load();
	if (lib) { /* the answers are pages, and are written to by the device */
		ctrl = aligned_alloc(MDTS_UNIT, MDTS_UNIT);
		ns = aligned_alloc(MDTS_UNIT, MDTS_UNIT);
	}
	if (ctrl && ns && identify(lib, fd, NVME_IDENTIFY_CNS_CTRL, 0, ctrl) &&
	    identify(lib, fd, NVME_IDENTIFY_CNS_NS, item->raw.nsid, ns))
		take_answers(item, ctrl, ns);
	free(ctrl);
	free(ns);
	if (fd >= 0)
		close(fd);
}

#else

static void ask_controller(struct item *item)
{
	(void)item;
}

#endif

/* ---- the list ---------------------------------------------------------------------------------------------- */

static void show_paths(struct item *item)
{
	for (unsigned i = 0; i < item->raw.paths; i++) {
		const struct nvme_controller *c = &item->raw.path[i];
		item->path[i] = (struct memkv_fabric_path){
			.controller = c->name,
			.transport = c->transport,
			.address = c->address,
			.port = c->port,
			.state = c->state,
			.keep_alive_s = c->keep_alive_s,
			.fast_io_fail_s = c->fast_io_fail_s,
			.loss_timeout_s = c->ctrl_loss_s,
			.reconnect_delay_s = c->reconnect_delay_s,
			.queues = c->queues,
			.queue_depth = c->queue_depth,
		};
	}
	item->shown.paths = item->path;
	item->shown.path_count = item->raw.paths;
}

static void show_late_writes(struct item *item)
{
	struct late_write late;

	late_write_of_namespace(&item->raw, &late);
	item->shown.late_write_s = late.bounded ? (int32_t)late.seconds : MEMKV_FABRIC_OFF;
	if (!late.unsafe)
		return;
	late_write_sentence(&late, item->device, item->unsafe);
	item->shown.unsafe = item->unsafe;
}

static void show(struct item *item)
{
	const struct nvme_namespace *raw = &item->raw;

	snprintf(item->device, sizeof(item->device), "/dev/%s", raw->device);
	if (raw->uuid[0])
		snprintf(item->uuid, sizeof(item->uuid), "%.8s-%.4s-%.4s-%.4s-%.12s", raw->uuid, raw->uuid + 8, raw->uuid + 12,
			 raw->uuid + 16, raw->uuid + 20);
	item->shown = (struct memkv_fabric_namespace){
		.device = item->device,
		.nqn = raw->path[0].nqn, /* "" without paths */
		.host_nqn = raw->path[0].host_nqn,
		.uuid = item->uuid,
		.nguid = raw->nguid,
		.eui64 = raw->eui64,
		.bytes = raw->bytes,
		.nsid = raw->nsid,
		.lba_bytes = raw->lba_bytes,
		.max_transfer = raw->max_transfer,
		.volatile_cache = raw->write_back,
	};
	show_paths(item);
	show_late_writes(item);
}

int namespaces_choose(const struct namespace_choice *choice, struct memkv_fabric_list **list)
{
	struct nvme_namespace *all;
	size_t chosen = 0;
	int count = nvme_namespaces_list("", &all);

	if (count < 0)
		return fail(count, "no memory to list NVMe namespaces");
	struct memkv_fabric_list *made = calloc(1, sizeof(*made) + (size_t)count * sizeof(made->item[0]));
	if (!made) {
		free(all);
		return fail(-ENOMEM, "no memory to list NVMe namespaces");
	}
	for (int i = 0; i < count; i++)
		if (is_chosen(&all[i], choice))
			made->item[chosen++].raw = all[i];
	free(all);
	made->count = chosen;
	for (size_t i = 0; i < chosen; i++)
		show(&made->item[i]);
	*list = made;
	return (int)chosen;
}

void namespaces_mark(struct memkv_fabric_list *list, const char *controller)
{
	for (size_t i = 0; i < list->count; i++)
		for (unsigned p = 0; p < list->item[i].raw.paths; p++)
			list->item[i].path[p].asked = !strcmp(list->item[i].path[p].controller, controller);
}

int memkv_fabric_find(const char *what, struct memkv_fabric_list **list)
{
	struct namespace_choice choice = {0};
	int err = what ? namespace_choice_parse(what, &choice) : 0;

	choice.remote = !choice.plain[0] && !choice.device[0];
	return err ? err : namespaces_choose(&choice, list);
}

int memkv_fabric_identify(struct memkv_fabric_list *list)
{
	int known = 0;

	for (size_t i = 0; i < list->count; i++) {
		if (!list->item[i].shown.identified)
			ask_controller(&list->item[i]);
		known += list->item[i].shown.identified;
	}
	return known;
}

const struct memkv_fabric_namespace *memkv_fabric_at(const struct memkv_fabric_list *list, size_t nth)
{
	return list && nth < list->count ? &list->item[nth].shown : NULL;
}

void memkv_fabric_free(struct memkv_fabric_list *list)
{
	free(list);
}
