/* SPDX-License-Identifier: Apache-2.0 */
/* What this machine's own files, memory and block devices can do (doctor.h). */
#include "cli/doctor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <memkv/memkv.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#define PAGE 4096

void finding_add(struct findings *all, const char *medium, const char *what, enum finding_state state, const char *mend,
		 const char *format, ...)
{
	va_list arguments;

	if (all->count == sizeof(all->finding) / sizeof(all->finding[0]))
		return;
	struct finding *one = &all->finding[all->count++];
	*one = (struct finding){.medium = medium, .what = what, .state = state};
	snprintf(one->mend, sizeof(one->mend), "%s", mend);
	va_start(arguments, format);
	vsnprintf(one->said, sizeof(one->said), format, arguments);
	va_end(arguments);
}

bool doctor_read(const char *path, char *line, size_t room)
{
	FILE *file = fopen(path, "re");
	bool got = file && fgets(line, (int)room, file);

	if (file)
		fclose(file);
	if (got)
		line[strcspn(line, "\n")] = '\0';
	return got;
}

size_t doctor_count(const char *directory, const char *prefix)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;
	size_t count = 0;

	while (dir && (entry = readdir(dir)))
		count += entry->d_name[0] != '.' && !strncmp(entry->d_name, prefix, strlen(prefix));
	if (dir)
		closedir(dir);
	return count;
}

bool doctor_first(const char *directory, char *name, size_t room)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;

	name[0] = '\0';
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' && (!name[0] || strcmp(entry->d_name, name) < 0))
			snprintf(name, room, "%s", entry->d_name);
	if (dir)
		closedir(dir);
	return name[0];
}

/* ---- machine ----------------------------------------------------------------------------------------------- */

static void look_at_uring(struct findings *all)
{
	struct io_uring ring;
	char disabled[16] = "";
	int err = io_uring_queue_init(8, &ring, 0);

	if (!err) {
		io_uring_queue_exit(&ring);
		finding_add(all, "machine", "io_uring", FINDING_OK, "", "a ring can be made");
		return;
	}
	doctor_read("/proc/sys/kernel/io_uring_disabled", disabled, sizeof(disabled));
	finding_add(all, "machine", "io_uring", FINDING_LACKS,
		    disabled[0] && disabled[0] != '0' ? "sysctl kernel.io_uring_disabled=0"
		    : err == -EPERM		      ? "allow io_uring_setup in the sandbox's seccomp profile"
						      : "",
		    "refused: %s; each operation then waits in a thread of its own", strerror(-err));
}

void doctor_machine(struct findings *all)
{
	struct utsname name;
	char nqn[256];

	if (!uname(&name))
		finding_add(all, "machine", "kernel", FINDING_INFO, "", "%s %s %s", name.sysname, name.release, name.machine);
	finding_add(all, "machine", "memkv", FINDING_INFO, "", "library %s", memkv_version());
	finding_add(all, "machine", "privileges", FINDING_INFO, "", "user id %u%s", (unsigned)geteuid(),
		    geteuid() ? "" : " (root)");
	look_at_uring(all);
	if (doctor_read("/etc/nvme/hostnqn", nqn, sizeof(nqn)))
		finding_add(all, "machine", "host NQN", FINDING_OK, "", "%s", nqn);
	else if (doctor_read("/etc/machine-id", nqn, sizeof(nqn)))
		finding_add(all, "machine", "host NQN", FINDING_INFO, "apt install nvme-cli",
			    "no /etc/nvme/hostnqn; one is derived from the machine id");
	else
		finding_add(all, "machine", "host NQN", FINDING_LACKS, "apt install nvme-cli && nvme gen-hostnqn > /etc/nvme/hostnqn",
			    "neither /etc/nvme/hostnqn nor /etc/machine-id");
}

/* ---- file -------------------------------------------------------------------------------------------------- */

/* One page written and read back past the page cache: 0 or -errno. */
static int try_direct(int fd)
{
	uint8_t *page = aligned_alloc(PAGE, PAGE);
	int err = page ? 0 : -ENOMEM;

	if (page)
		memset(page, 0x5a, PAGE);
	if (!err && (pwrite(fd, page, PAGE, 0) != PAGE || pread(fd, page, PAGE, 0) != PAGE))
		err = errno ? -errno : -EIO;
	free(page);
	return err;
}

static void look_at_direct(struct findings *all, const char *directory)
{
	int fd = open(directory, O_TMPFILE | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
	int err = fd < 0 ? -errno : try_direct(fd);

	if (fd >= 0)
		close(fd);
	if (!err)
		finding_add(all, "file", "O_DIRECT", FINDING_OK, "", "a page went to %s and back past the page cache", directory);
	else
		finding_add(all, "file", "O_DIRECT", FINDING_LACKS, "use a directory on ext4, xfs or btrfs",
			    "%s: %s; payload then goes through the page cache", directory, strerror(-err));
}

static void look_at_locks(struct findings *all, const char *directory)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
	int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	bool works = fd >= 0 && fcntl(fd, F_OFD_SETLK, &lock) == 0;
	int err = errno;

	if (fd >= 0)
		close(fd);
	if (works)
		finding_add(all, "file", "locks", FINDING_OK, "", "open file description locks work in %s", directory);
	else
		finding_add(all, "file", "locks", FINDING_LACKS, "use a directory on a local file system", "%s: %s", directory,
			    strerror(err));
}

void doctor_file(struct findings *all, const char *directory)
{
	struct memkv_create_options options = {.size = sizeof(options), .bytes = 64 << 20};
	struct memkv_create_plan plan = {.size = sizeof(plan)};
	struct statvfs vfs;
	char path[4096];

	snprintf(path, sizeof(path), "%s/memkv-doctor-%d.pool", directory, (int)getpid());
	int err = memkv_pool_plan(path, &options, &plan);
	if (!err)
		finding_add(all, "file", "pool", FINDING_OK, "", "a pool can be made in %s", directory);
	else
		finding_add(all, "file", "pool", FINDING_LACKS,
			    err == -EACCES || err == -EPERM ? "give a directory that you may write to: memkv doctor DIR"
			    : err == -ENOENT		    ? "give a directory that is there: memkv doctor DIR"
							    : "",
			    "%s", memkv_error_detail());
	if (access(directory, W_OK | X_OK))
		return;
	look_at_direct(all, directory);
	look_at_locks(all, directory);
	if (!statvfs(directory, &vfs))
		finding_add(all, "file", "room", FINDING_INFO, "", "%.1f GiB free in %s",
			    (double)vfs.f_bavail * (double)vfs.f_frsize / (double)(1 << 30), directory);
}

/* ---- memory ------------------------------------------------------------------------------------------------ */

/* File systems that are mounted with DAX; the first one's place into @place. */
static size_t dax_mounts(char *place, size_t room)
{
	FILE *file = fopen("/proc/self/mounts", "re");
	char line[4096], device[1024], where[1024], kind[64], flags[1024];
	size_t count = 0;

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%1023s %1023s %63s %1023s", device, where, kind, flags) != 4)
			continue;
		char *dax = strstr(flags, "dax");
		if (!dax || (dax != flags && dax[-1] != ',') || !strncmp(dax, "dax=never", 9))
			continue;
		if (!count++)
			snprintf(place, room, "%s", where);
	}
	if (file)
		fclose(file);
	return count;
}

void doctor_memory(struct findings *all)
{
	struct statvfs vfs;
	char place[1024] = "";

	if (!access("/dev/shm", W_OK) && !statvfs("/dev/shm", &vfs))
		finding_add(all, "memory", "tmpfs", FINDING_OK, "", "/dev/shm takes pools; %.1f GiB free",
			    (double)vfs.f_bavail * (double)vfs.f_frsize / (double)(1 << 30));
	else
		finding_add(all, "memory", "tmpfs", FINDING_LACKS, "mount -t tmpfs tmpfs /dev/shm", "/dev/shm: %s",
			    strerror(errno));
	size_t dax = dax_mounts(place, sizeof(place));
	size_t pmem = doctor_count("/sys/class/block", "pmem");
	if (dax)
		finding_add(all, "memory", "DAX file system", FINDING_OK, "", "%zu mounted, %s is one", dax, place);
	else
		finding_add(all, "memory", "DAX file system", FINDING_LACKS,
			    pmem ? "mkfs.ext4 /dev/pmem0 && mount -o dax=always /dev/pmem0 /mnt" : "",
			    pmem ? "%zu persistent memory devices, none mounted with dax" : "none; %zu persistent memory devices",
			    pmem);
}

/* ---- block ------------------------------------------------------------------------------------------------- */

void doctor_block(struct findings *all)
{
	DIR *dir = opendir("/sys/class/block");
	struct dirent *entry;
	size_t devices = 0, readable = 0, writable = 0;

	while (dir && (entry = readdir(dir))) {
		char path[512], sectors[32];
		snprintf(path, sizeof(path), "/sys/class/block/%s/size", entry->d_name);
		if (entry->d_name[0] == '.' || !doctor_read(path, sectors, sizeof(sectors)) || !strcmp(sectors, "0"))
			continue;
		snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
		devices++;
		int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC | O_NONBLOCK);
		readable += fd >= 0;
		if (fd >= 0)
			close(fd);
		writable += !access(path, W_OK);
	}
	if (dir)
		closedir(dir);
	if (!devices)
		finding_add(all, "block", "devices", FINDING_LACKS, "losetup -f --show FILE", "no block device has a size");
	else if (!writable)
		finding_add(all, "block", "devices", FINDING_LACKS, "run as root, or: adduser $USER disk",
			    "%zu, of which %zu can be read and none written by this user", devices, readable);
	else
		finding_add(all, "block", "devices", FINDING_OK, "", "%zu, of which %zu can be read directly and %zu written",
			    devices, readable, writable);
	finding_add(all, "block", "nvme", FINDING_INFO, "", "%zu NVMe controllers", doctor_count("/sys/class/nvme", "nvme"));
}
