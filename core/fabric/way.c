/* SPDX-License-Identifier: Apache-2.0 */
/* How I/O of this process to a namespace goes: for people, before they open a pool there. */
#include "core/base/fail.h"
#include "core/media/nvme_passthrough.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <memkv/fabric.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int memkv_fabric_way(const char *device, char *text, size_t room)
{
	struct nvme_passthrough way;
	uint64_t bytes = 0;

	if (!device || !text || !room)
		return fail(-EINVAL, "way: a device and room for a sentence are needed");
	int fd = open(device, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return fail(-errno, "%s: cannot be opened: %s", device, strerror(errno));
	if (ioctl(fd, BLKGETSIZE64, &bytes)) {
		close(fd);
		return fail(-ENODEV, "%s is not an NVMe namespace", device);
	}
	nvme_passthrough_open(fd, bytes, false, &way);
	close(fd);
	bool commands = nvme_goes(&way, true);
	nvme_passthrough_close(&way);
	if (!way.way[0])
		return fail(-ENODEV, "%s is not an NVMe namespace", device);
	snprintf(text, room, "%s", way.way);
	return commands;
}
