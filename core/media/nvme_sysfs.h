/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVMe as the kernel shows it in sysfs: namespaces, their identity, and the controllers (paths) that lead to them.
 *
 * Everything is read below a root, "" for this machine's; recorded trees are read the same way.  Nothing here needs
 * privileges, a library or a command to the device.
 */
#ifndef MEMKV_MEDIA_NVME_SYSFS_H
#define MEMKV_MEDIA_NVME_SYSFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	NVME_NQN_ROOM = 224, /* 223 bytes and the end */
	NVME_PATHS = 32,     /* controllers of a namespace that are looked at */
	NVME_OFF = -1,	     /* a time-out that is switched off */
	NVME_UNKNOWN = -2,   /* the kernel does not say */
};

/**
 * struct nvme_controller - a connection to a subsystem
 * @name: for instance "nvme0".
 * @transport: "tcp", "rdma", "pcie", "loop", ...
 * @address, @port: where it leads; "" where the transport has none.
 * @nqn, @host_nqn: of the subsystem, and of this host towards it.
 * @state: "live", "connecting", ...
 * @keep_alive_s, @fast_io_fail_s, @ctrl_loss_s, @reconnect_delay_s: or NVME_OFF, NVME_UNKNOWN.
 * @queues, @queue_depth: I/O queues and entries of each; 0: the kernel does not say.
 */
struct nvme_controller {
	char name[32];
	char transport[16];
	char address[256];
	char port[32];
	char nqn[NVME_NQN_ROOM];
	char host_nqn[NVME_NQN_ROOM];
	char state[32];
	int keep_alive_s;
	int fast_io_fail_s;
	int ctrl_loss_s;
	int reconnect_delay_s;
	unsigned queues;
	unsigned queue_depth;
};

/**
 * struct nvme_namespace - a namespace, as one block device of this machine
 * @device: its name below /dev.
 * @nsid: its number in the subsystem.
 * @uuid, @nguid, @eui64: identity in lower-case hex digits without marks; "" when it has none.
 * @bytes, @lba_bytes: its size and its logical block's.
 * @max_transfer: bytes that one command carries on this host.
 * @io_timeout_s: when the kernel gives a command up.
 * @write_back: the kernel knows of a volatile write cache.
 * @path, @paths: controllers that lead to it: several with native multipath.
 */
struct nvme_namespace {
	char device[40];
	uint32_t nsid;
	char uuid[36];
	char nguid[36];
	char eui64[20];
	uint64_t bytes;
	uint32_t lba_bytes;
	uint32_t max_transfer;
	unsigned io_timeout_s;
	bool write_back;
	struct nvme_controller path[NVME_PATHS];
	unsigned paths;
};

/**
 * nvme_namespaces_list() - all of this machine's, by name
 * @root: "" or where a tree is recorded.
 * @list: receives them; free() it.
 *
 * Return: how many; -ENOMEM.
 */
int nvme_namespaces_list(const char *root, struct nvme_namespace **list);

/** nvme_namespace_read() - one of them by its device's name; 0, or -ENODEV when it is none (any more) */
int nvme_namespace_read(const char *root, const char *device, struct nvme_namespace *ns);

/**
 * nvme_controllers_list() - all of this machine's, by name
 * @nqn: of one subsystem only; NULL: all.
 * @list: receives them; free() it.
 *
 * Return: how many; -ENOMEM.
 */
int nvme_controllers_list(const char *root, const char *nqn, struct nvme_controller **list);

/**
 * nvme_identity_plain() - bring an identity into the form of struct nvme_namespace
 * @text: hex digits with or without '-', ':', ' ' between them, either case; 32 of them (UUID, NGUID) or 16 (EUI-64).
 * @plain: receives the digits; at least 33 bytes.
 *
 * Return: the number of digits, or -EINVAL.
 */
int nvme_identity_plain(const char *text, char *plain);

/**
 * nvme_limits_read() - what one command carries to a namespace
 * @device: its block device's name.
 * @transfer, @segments: receive the bytes and the pieces of memory; 0: the kernel does not say.
 *
 * Return: whether it is a namespace.
 */
bool nvme_limits_read(const char *root, const char *device, uint64_t *transfer, uint64_t *segments);

/**
 * nvme_generic_find() - the character device of a namespace
 * @device: its block device's name, "nvme0n1".
 * @generic: receives the name, "ng0n1".
 * @number: receives the number that its node must have.
 *
 * Return: whether the kernel has one, of the same controller or subsystem.
 */
bool nvme_generic_find(const char *root, const char *device, char generic[64], dev_t *number);

/** nvme_namespace_is() - does one of its identities equal @plain (nvme_identity_plain())? */
bool nvme_namespace_is(const struct nvme_namespace *ns, const char *plain);

#endif
