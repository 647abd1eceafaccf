/* SPDX-License-Identifier: Apache-2.0 */
/* RDMA devices, as the kernel shows them and as programs reach them (rdma-core's verbs); see doctor.h. */
#include "cli/doctor.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#ifdef MEMKV_HAVE_VERBS
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include <infiniband/verbs.h>
#pragma GCC diagnostic pop
#endif

#define MAKE_ONE "without such hardware: modprobe rdma_rxe && rdma link add rxe0 type rxe netdev eth0"

/* What nvme-rdma goes by: the kernel's own list, and whether a port of a device works. */
static void look_at_kernel(struct findings *all)
{
	char first[64], path[256], state[64] = "unknown";
	size_t devices = doctor_count("/sys/class/infiniband", "");

	if (!devices || !doctor_first("/sys/class/infiniband", first, sizeof(first))) {
		finding_add(all, "nvme-rdma", "RDMA devices", FINDING_LACKS, MAKE_ONE, "none");
		return;
	}
	snprintf(path, sizeof(path), "/sys/class/infiniband/%s/ports/1/state", first);
	(void)doctor_read(path, state, sizeof(state));
	bool active = strstr(state, "ACTIVE") != NULL;
	finding_add(all, "nvme-rdma", "RDMA devices", active ? FINDING_OK : FINDING_LACKS,
		    active ? "" : "bring its network interface up: ip link set eth0 up", "%zu; %s, port 1: %s", devices, first, state);
}

#ifdef MEMKV_HAVE_VERBS

/* What programs find: needs the kernel's ib_uverbs and a provider for each kind of device. */
static void look_at_verbs(struct findings *all)
{
	void *handle = dlopen("libibverbs.so.1", RTLD_NOW | RTLD_LOCAL);
	__typeof__(&ibv_get_device_list) get_list;
	__typeof__(&ibv_free_device_list) free_list;
	__typeof__(&ibv_get_device_name) get_name;
	int count = 0;

	if (!handle) {
		finding_add(all, "nvme-rdma", "verbs", FINDING_LACKS, "apt install libibverbs1 ibverbs-providers",
			    "libibverbs.so.1 cannot be loaded");
		return;
	}
	*(void **)&get_list = dlsym(handle, "ibv_get_device_list");
	*(void **)&free_list = dlsym(handle, "ibv_free_device_list");
	*(void **)&get_name = dlsym(handle, "ibv_get_device_name");
	errno = 0;
	struct ibv_device **list = get_list && free_list && get_name ? get_list(&count) : NULL;
	if (list && count > 0)
		finding_add(all, "nvme-rdma", "verbs", FINDING_OK, "", "%d device%s, %s first", count, count == 1 ? "" : "s",
			    get_name(list[0]));
	else /* the kernel's initiator does without; programs that send by RDMA themselves do not */
		finding_add(all, "nvme-rdma", "verbs", FINDING_INFO, doctor_count("/sys/class/infiniband", "") ? "modprobe ib_uverbs" : "",
			    "no device for programs%s%s", errno ? ": " : "", errno ? strerror(errno) : "");
	if (list)
		free_list(list);
}

#else

static void look_at_verbs(struct findings *all)
{
	finding_add(all, "nvme-rdma", "verbs", FINDING_INFO, "build memkv where libibverbs-dev is installed",
		    "this memkv was built without rdma-core");
}

#endif

void doctor_nvme_rdma(struct findings *all)
{
	doctor_module(all, "nvme-rdma", "nvme_rdma");
	look_at_kernel(all);
	look_at_verbs(all);
	doctor_fabrics(all, "nvme-rdma");
}
