/* SPDX-License-Identifier: Apache-2.0 */
/* See file_system.h.  The numbers are those that the kernels and the file systems themselves publish. */
#include "core/media/file_system.h"
#include "core/base/bytes.h"
#include "core/base/fail.h"

#include <stddef.h>
#include <sys/vfs.h>

static const struct {
	uint32_t type;
	const char *name;
} unfit[] = {
	{0x6969, "NFS"},
	{0x517B, "SMB"},
	{0xFF534D42, "CIFS"},
	{0xFE534D42, "SMB"},
	{0x01021997, "9p"},
	{0x65735546, "FUSE"}, /* sshfs, s3fs, virtiofs, ...: even a local one has a process in between */
	{0x00C36400, "Ceph"},
	{0x0BD00BD0, "Lustre"},
	{0x47504653, "GPFS"},
	{0x5346414F, "AFS"},
	{0x6B414653, "AFS"},
	{0x73757245, "Coda"},
	{0x01161970, "GFS2"},
	{0x7461636F, "OCFS2"},
	{0x19830326, "BeeGFS"},
	{0x20030528, "OrangeFS"},
	{0xAAD7AAEA, "PanFS"},
	{0xBEEFDEAD, "StorNext"},
	{0x786F4256, "VirtualBox shared folders"},
	{0xBACBACBC, "VMware shared folders"},
	{0x7C7C6673, "Parallels shared folders"},
	{0x564C, "NCP"},
};

const char *file_system_unfit(uint64_t type)
{
	for (size_t i = 0; i < ARRAY_COUNT(unfit); i++)
		if (unfit[i].type == (uint32_t)type) /* f_type may come sign-extended */
			return unfit[i].name;
	return NULL;
}

int file_system_check(const char *path, const char *where)
{
	struct statfs fs;
	const char *name = statfs(where, &fs) ? NULL : file_system_unfit((uint64_t)fs.f_type);

	if (!name)
		return 0;
	return fail(MEMKV_NETWORK,
		    "%s lies on %s, where a lock does not prove that its holder is gone: a pool there would not be safe; "
		    "use a local file system or a block device",
		    path, name);
}
