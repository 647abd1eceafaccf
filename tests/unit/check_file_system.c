/* SPDX-License-Identifier: Apache-2.0 */
/* Which file systems may carry a pool that is written to. */
#include "core/media/file_system.h"
#include "unit.h"

#include <linux/magic.h>
#include <memkv/error.h>
#include <string.h>

START_TEST(refuses_what_other_machines_serve)
{
	static const struct {
		uint64_t type;
		const char *name;
	} refused[] = {
		{NFS_SUPER_MAGIC, "NFS"}, {SMB_SUPER_MAGIC, "SMB"},    {CIFS_SUPER_MAGIC, "CIFS"},   {SMB2_SUPER_MAGIC, "SMB"},
		{V9FS_MAGIC, "9p"},	  {FUSE_SUPER_MAGIC, "FUSE"},  {CEPH_SUPER_MAGIC, "Ceph"},   {AFS_SUPER_MAGIC, "AFS"},
		{AFS_FS_MAGIC, "AFS"},	  {CODA_SUPER_MAGIC, "Coda"},  {OCFS2_SUPER_MAGIC, "OCFS2"}, {0x01161970, "GFS2"},
	};

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		const char *name = file_system_unfit(refused[i].type);
		ck_assert_msg(name && !strcmp(name, refused[i].name), "%s: %s", refused[i].name, name ? name : "passes");
		/* as the kernel hands it out where f_type is signed and 32 bits wide */
		ck_assert_ptr_eq(file_system_unfit((uint64_t)(int64_t)(int32_t)refused[i].type), name);
	}
}
END_TEST

START_TEST(takes_local_ones)
{
	static const uint64_t fit[] = {EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, TMPFS_MAGIC,
				       OVERLAYFS_SUPER_MAGIC, F2FS_SUPER_MAGIC, 0x2FC12FC1 /* ZFS */, 0};

	for (size_t i = 0; i < sizeof(fit) / sizeof(fit[0]); i++)
		ck_assert_ptr_null(file_system_unfit(fit[i]));
	ck_assert_int_eq(file_system_check("/dev/shm/x.pool", "/dev"), 0);
	ck_assert_int_eq(file_system_check("/nowhere/x.pool", "/nowhere"), 0);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {refuses_what_other_machines_serve, takes_local_ones, NULL};
	return unit_run("file_system", tests);
}
