/* SPDX-License-Identifier: Apache-2.0 */
/* What this machine has for NVMe-oF, CXL memory and GPUs (doctor.h). */
#include "cli/doctor.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <memkv/fabric.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#ifdef MEMKV_HAVE_LIBNVME
enum { BUILT_WITH_LIBNVME = 1 };
#else
enum { BUILT_WITH_LIBNVME = 0 };
#endif

bool doctor_has_program(const char *name)
{
	const char *path = getenv("PATH");
	char *list = NULL, *rest, *part, full[4096];
	bool found = false;

	if (asprintf(&list, "%s:/usr/sbin:/sbin", path ? path : "/usr/bin:/bin") < 0)
		return false;
	rest = list;
	while (!found && (part = strsep(&rest, ":"))) {
		snprintf(full, sizeof(full), "%s/%s", part, name);
		found = !access(full, X_OK);
	}
	free(list);
	return found;
}

bool doctor_library(const char *name)
{
	void *handle = dlopen(name, RTLD_LAZY | RTLD_LOCAL);

	if (handle)
		dlclose(handle);
	return handle != NULL;
}

/* Is the module in a list of the running kernel's modules?  There '-' and '_' are the same. */
static bool in_module_list(const char *list, const char *name)
{
	struct utsname kernel;
	char path[512], line[4096];
	bool found = false;

	if (uname(&kernel))
		return false;
	snprintf(path, sizeof(path), "/lib/modules/%s/%s", kernel.release, list);
	FILE *file = fopen(path, "re");
	while (file && !found && fgets(line, sizeof(line), file)) {
		line[strcspn(line, ":\n")] = '\0';
		char *base = strrchr(line, '/');
		if (!base)
			continue;
		char *dot = strstr(base, ".ko");
		if (!dot)
			continue;
		*dot = '\0';
		for (char *c = base; *c; c++)
			*c = *c == '-' ? '_' : *c;
		found = !strcmp(base + 1, name);
	}
	if (file)
		fclose(file);
	return found;
}

bool doctor_module(struct findings *all, const char *medium, const char *name)
{
	char path[256], mend[128];

	snprintf(path, sizeof(path), "/sys/module/%s", name);
	if (!access(path, F_OK) || in_module_list("modules.builtin", name)) {
		finding_add(all, medium, name, FINDING_OK, "", "the kernel has it");
		return true;
	}
	snprintf(mend, sizeof(mend), "modprobe %s", name);
	if (in_module_list("modules.dep", name))
		finding_add(all, medium, name, FINDING_LACKS, mend, "the module is installed, but not loaded");
	else
		finding_add(all, medium, name, FINDING_LACKS, "apt install linux-image-amd64 (and boot it)",
			    "the running kernel has no such module");
	return false;
}

/* what a Debian package brings; @there and @lacks: what to say */
static void look_for(struct findings *all, const char *medium, const char *what, const char *package, bool found,
		     const char *there, const char *lacks)
{
	char mend[64];

	snprintf(mend, sizeof(mend), "apt install %s", package);
	finding_add(all, medium, what, found ? FINDING_OK : FINDING_LACKS, found ? "" : mend, "%s", found ? there : lacks);
}

void doctor_program(struct findings *all, const char *medium, const char *program, const char *package)
{
	look_for(all, medium, program, package, doctor_has_program(program), "the program is there", "no such program");
}

static void look_for_library(struct findings *all, const char *medium, const char *library, const char *package)
{
	look_for(all, medium, library, package, doctor_library(library), "the library can be loaded", "no such library");
}

/* Options that a connection may want; kernels since 5.17 list what they know when the device is read. */
static void look_at_options(struct findings *all, const char *medium, int fd)
{
	char offered[4096] = "";
	ssize_t got = read(fd, offered, sizeof(offered) - 1);

	if (got <= 0)
		return;
	offered[got] = '\0';
	if (!strcmp(medium, "nvme-tcp"))
		finding_add(all, medium, "TLS", FINDING_INFO, "", "the kernel %s it",
			    strstr(offered, ",tls") ? "knows" : "does not know");
	finding_add(all, medium, "fast_io_fail_tmo", strstr(offered, "fast_io_fail_tmo") ? FINDING_OK : FINDING_LACKS, "",
		    strstr(offered, "fast_io_fail_tmo") ? "the kernel can end commands soon: late writes are bounded"
							 : "the kernel cannot end commands soon: late writes are bounded by ctrl_loss_tmo");
}

void doctor_fabrics(struct findings *all, const char *medium)
{
	int fd = open("/dev/nvme-fabrics", O_RDWR | O_CLOEXEC);
	int err = fd < 0 ? errno : 0;

	if (!err)
		finding_add(all, medium, "/dev/nvme-fabrics", FINDING_OK, "", "it can be opened");
	else
		finding_add(all, medium, "/dev/nvme-fabrics", FINDING_LACKS,
			    err == EACCES || err == EPERM ? "run as root" : "modprobe nvme_fabrics", "%s", strerror(err));
	if (fd >= 0) {
		look_at_options(all, medium, fd);
		close(fd);
	}
	if (BUILT_WITH_LIBNVME)
		look_for_library(all, medium, "libnvme.so.1", "libnvme1");
	else
		finding_add(all, medium, "libnvme.so.1", FINDING_LACKS, "build memkv where libnvme-dev is installed",
			    "this memkv was built without libnvme, and cannot attach");
	doctor_program(all, medium, "nvme", "nvme-cli");
}

static void look_at_multipath(struct findings *all)
{
	char value[16];

	if (!doctor_read("/sys/module/nvme_core/parameters/multipath", value, sizeof(value)))
		return;
	if (value[0] == 'Y')
		finding_add(all, "nvme-tcp", "native multipath", FINDING_OK, "", "several paths to a namespace are one device");
	else
		finding_add(all, "nvme-tcp", "native multipath", FINDING_INFO, "boot with nvme_core.multipath=Y",
			    "it is off: each path to a namespace is a device of its own");
}

/* What is attached, and what about it lets writes land late. */
static void look_at_attached(struct findings *all)
{
	const struct memkv_fabric_namespace *ns;
	struct memkv_fabric_list *list;
	int count = memkv_fabric_find(NULL, &list);

	if (count < 0)
		return;
	finding_add(all, "nvme-tcp", "attached", FINDING_INFO, "", "%d namespace%s over a network", count, count == 1 ? "" : "s");
	for (size_t i = 0; (ns = memkv_fabric_at(list, i)); i++) {
		char device[300], way[320];
		snprintf(device, sizeof(device), "/dev/%s", ns->device + (strncmp(ns->device, "/dev/", 5) ? 0 : 5));
		int commands = memkv_fabric_way(device, way, sizeof(way));
		if (commands >= 0)
			finding_add(all, "nvme-tcp", "passthrough", commands ? FINDING_OK : FINDING_INFO, "", "%s: %s", device, way);
		if (ns->unsafe)
			finding_add(all, "nvme-tcp", "late writes", FINDING_LACKS, "memkv attach it again, with its URI", "%s",
				    ns->unsafe);
	}
	memkv_fabric_free(list);
}

void doctor_nvme_tcp(struct findings *all)
{
	doctor_module(all, "nvme-tcp", "nvme_tcp");
	doctor_fabrics(all, "nvme-tcp");
	look_at_multipath(all);
	look_at_attached(all);
}

/* ---- gpu --------------------------------------------------------------------------------------------------- */

/* Display and 3D controllers (PCI class 03) of NVIDIA (vendor 10de). */
static size_t nvidia_devices(void)
{
	DIR *dir = opendir("/sys/bus/pci/devices");
	struct dirent *entry;
	size_t count = 0;

	while (dir && (entry = readdir(dir))) {
		char path[512], class_code[32] = "", vendor[32] = "";
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/class", entry->d_name);
		doctor_read(path, class_code, sizeof(class_code));
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vendor", entry->d_name);
		doctor_read(path, vendor, sizeof(vendor));
		count += !strncmp(class_code, "0x03", 4) && !strcmp(vendor, "0x10de");
	}
	if (dir)
		closedir(dir);
	return count;
}

static void look_at_cuda(struct findings *all)
{
	void *cuda = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	int (*init)(unsigned), (*get_count)(int *);
	int devices = 0;

	if (!cuda) {
		finding_add(all, "gpu", "libcuda.so.1", FINDING_LACKS, "apt install libcuda1 (non-free)", "no such library");
		return;
	}
	*(void **)&init = dlsym(cuda, "cuInit");
	*(void **)&get_count = dlsym(cuda, "cuDeviceGetCount");
	int err = init && get_count ? init(0) : -1;
	if (!err)
		err = get_count(&devices);
	if (!err && devices > 0)
		finding_add(all, "gpu", "CUDA", FINDING_OK, "", "%d devices", devices);
	else
		finding_add(all, "gpu", "CUDA", FINDING_LACKS, "apt install nvidia-driver (non-free)",
			    "the library is there, but finds no device (error %d)", err);
	dlclose(cuda);
}

/* Between a GPU's memory and a drive (nvidia_fs, libcufile), or a network card (nvidia_peermem), past the host's. */
static void look_at_gpu_direct(struct findings *all, bool cards)
{
	bool storage = !access("/proc/driver/nvidia-fs", F_OK), network = !access("/sys/module/nvidia_peermem", F_OK);

	if (storage)
		finding_add(all, "gpu", "GPUDirect Storage", FINDING_OK, "", "the kernel has nvidia_fs");
	else
		finding_add(all, "gpu", "GPUDirect Storage", FINDING_LACKS, cards ? "install nvidia-fs of CUDA" : "",
			    "the kernel has no nvidia_fs");
	if (doctor_library("libcufile.so.0"))
		finding_add(all, "gpu", "libcufile.so.0", FINDING_OK, "", "the library can be loaded");
	else
		finding_add(all, "gpu", "libcufile.so.0", FINDING_LACKS, cards ? "install libcufile of CUDA" : "", "no such library");
	if (network)
		finding_add(all, "gpu", "GPUDirect RDMA", FINDING_OK, "", "the kernel has nvidia_peermem");
	else
		finding_add(all, "gpu", "GPUDirect RDMA", cards ? FINDING_LACKS : FINDING_INFO, cards ? "modprobe nvidia_peermem" : "",
			    "the kernel has no nvidia_peermem");
}

void doctor_gpu(struct findings *all)
{
	size_t cards = nvidia_devices();

	if (cards)
		finding_add(all, "gpu", "NVIDIA cards", FINDING_OK, "", "%zu", cards);
	else
		finding_add(all, "gpu", "NVIDIA cards", FINDING_LACKS, "", "none on the PCI bus");
	look_at_cuda(all);
	look_at_gpu_direct(all, cards > 0);
}
