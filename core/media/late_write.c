/* SPDX-License-Identifier: Apache-2.0 */
/* See late_write.h. */
#include "core/media/late_write.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_fabric(const struct nvme_controller *path)
{
	return !strcmp(path->transport, "tcp") || !strcmp(path->transport, "rdma") || !strcmp(path->transport, "fc");
}

/* How long commands are held while the kernel reconnects: the first of two time-outs, either of which may be off. */
static int held_of(const struct nvme_controller *path)
{
	int fast = path->fast_io_fail_s, loss = path->ctrl_loss_s;

	if (fast < 0) /* a kernel that does not know fast_io_fail_tmo has none */
		return loss < 0 ? NVME_OFF : loss;
	return loss >= 0 && loss < fast ? loss : fast;
}

void late_write_of_path(const struct nvme_controller *path, unsigned io_timeout_s, struct late_write *late)
{
	*late = (struct late_write){.fabric = is_fabric(path), .bounded = true};
	snprintf(late->controller, sizeof(late->controller), "%s", path->name);
	if (!late->fabric)
		return;
	late->held_s = held_of(path);
	late->bounded = late->held_s >= 0 && path->keep_alive_s > 0;
	late->unsafe = !late->bounded || late->held_s > LATE_HELD_WISHED_S || path->fast_io_fail_s < 0;
	if (late->bounded)
		late->seconds = io_timeout_s + (unsigned)late->held_s + 2 * (unsigned)path->keep_alive_s + LATE_DRAIN_S;
	if (late->held_s < 0)
		snprintf(late->cause, sizeof(late->cause), "has fast_io_fail_tmo and ctrl_loss_tmo off");
	else if (path->keep_alive_s <= 0)
		snprintf(late->cause, sizeof(late->cause), "has no keep-alive");
	else if (path->fast_io_fail_s < 0)
		snprintf(late->cause, sizeof(late->cause), "has fast_io_fail_tmo off and ctrl_loss_tmo %d", path->ctrl_loss_s);
	else if (late->unsafe)
		snprintf(late->cause, sizeof(late->cause), "has fast_io_fail_tmo %d", path->fast_io_fail_s);
}

void late_write_of_namespace(const struct nvme_namespace *ns, struct late_write *late)
{
	*late = (struct late_write){.bounded = true};
	for (unsigned i = 0; i < ns->paths; i++) {
		struct late_write one;
		late_write_of_path(&ns->path[i], ns->io_timeout_s, &one);
		if (!i || (late->bounded && !one.bounded) || (late->bounded == one.bounded && one.seconds > late->seconds))
			*late = one;
	}
}

bool late_write_of_device(const char *root, const char *path, struct late_write *late)
{
	char resolved[PATH_MAX];
	struct nvme_namespace ns;

	if (!realpath(path, resolved) || nvme_namespace_read(root, strrchr(resolved, '/') + 1, &ns))
		return false;
	late_write_of_namespace(&ns, late);
	return true;
}

const char *late_write_sentence(const struct late_write *late, const char *device, char text[LATE_SENTENCE])
{
	char when[32] = "at any time";

	if (late->bounded)
		snprintf(when, sizeof(when), "up to %u s later", late->seconds);
	snprintf(text, LATE_SENTENCE, "%s, by %s, %s: a write that is cut off can land %s; attach it again to mend that", device,
		 late->controller, late->cause, when);
	return text;
}
