/* SPDX-License-Identifier: Apache-2.0 */
/* See signature.h. */
#include "core/media/signature.h"

#include <blkid/blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { SAFE_FOUND = 0, SAFE_NOTHING = 1, SAFE_AMBIVALENT = -2 };

static int probe_all(blkid_probe probe, char *name, size_t name_room)
{
	const char *type = NULL;

	if (blkid_probe_enable_superblocks(probe, 1) || blkid_probe_enable_partitions(probe, 1) ||
	    blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_MAGIC))
		return -EIO;
	int found = blkid_do_safeprobe(probe);
	if (found == SAFE_NOTHING)
		return 0;
	if (found == SAFE_AMBIVALENT) {
		snprintf(name, name_room, "several signatures");
		return 1;
	}
	if (found != SAFE_FOUND)
		return -EIO;
	if (blkid_probe_lookup_value(probe, "TYPE", &type, NULL) && blkid_probe_lookup_value(probe, "PTTYPE", &type, NULL))
		type = "an unnamed signature";
	snprintf(name, name_room, "%s", type);
	return 1;
}

int signature_look(const char *path, char *name, size_t name_room)
{
	int result = -ENOMEM;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); /* another host may have written since it was cached */
	blkid_probe probe = blkid_new_probe();
	if (probe && blkid_probe_set_device(probe, fd, 0, 0) == 0)
		result = probe_all(probe, name, name_room);
	blkid_free_probe(probe);
	close(fd);
	return result;
}
