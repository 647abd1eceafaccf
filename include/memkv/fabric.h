/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVMe over Fabrics: find what a target offers, attach its namespaces, see how they are connected, detach them.
 *
 * Attaching makes this machine's kernel connect to the target; the namespace is then a block device, on which pools are
 * made and opened like on any other.  It takes privileges (root, or CAP_SYS_ADMIN with access to /dev/nvme-fabrics) and
 * libnvme, which is loaded by the first call that needs it; to look at what is attached takes neither.
 *
 * A target is written as a URI:
 *
 *     nvme+tcp://ADDRESS[:PORT]/NQN[?nsid=N]
 *     nvme+rdma://ADDRESS[:PORT]/NQN[?nsid=N]
 *
 * ADDRESS is an IPv4 address, an IPv6 address in brackets, or a host's name; PORT is 4420 unless given (8009 to discover
 * by TCP); without "?nsid=" all namespaces of the subsystem are meant.
 *
 * Threads: every call may be made from any thread.  Lists belong to the caller; what is read out of them lives as long.
 */
#ifndef MEMKV_FABRIC_H
#define MEMKV_FABRIC_H

#include <memkv/error.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct memkv_fabric_list; /* namespaces */
struct memkv_fabric_log;  /* what a target says it offers */

enum memkv_fabric_flag {
	MEMKV_FABRIC_TLS = 1 << 0,   /* TCP with TLS, where the kernel has it */
	MEMKV_FABRIC_FORCE = 1 << 1, /* detach although somebody uses the namespace */
};

enum memkv_fabric_seconds {
	MEMKV_FABRIC_DEFAULT = 0,
	MEMKV_FABRIC_OFF = -1,	   /* never */
	MEMKV_FABRIC_UNKNOWN = -2, /* in answers only: the kernel does not say */
};

/**
 * struct memkv_fabric_options - how to connect
 * @size: sizeof(struct memkv_fabric_options).
 * @flags: enum memkv_fabric_flag.
 * @host_nqn, @host_id: who this host is to the target; NULL: /etc/nvme/hostnqn and hostid, else derived from the machine.
 *          Where only an NQN is given, the ID is the UUID in it, or else one that follows from it, always the same.
 * @queue_depth, @io_queues: entries of a queue, number of queues; 0: the kernel's choice (128, one a processor).
 * @keep_alive_s: how often each side shows that it is there; 0: 5.
 * @fast_io_fail_s: how long the kernel keeps commands while it reconnects, before it ends them with an error; 0: 5.
 * @loss_timeout_s: how long it tries to reconnect before it gives the device up; 0: 60; MEMKV_FABRIC_OFF: for ever.
 * @reconnect_delay_s: between two tries; 0: 2.
 * @dhchap_secret, @dhchap_ctrl_secret: DH-HMAC-CHAP keys (DHHC-1:...) of this host, and of the controller for
 *          authentication both ways; or NULL.  They appear in no message.
 * @wait_ms: how long to wait for the namespaces to appear; 0: 10000.
 *
 * The default time-outs keep a write that was cut off from landing late; longer ones work, and make
 * memkv_fabric_namespace.late_write_s grow.
 */
struct memkv_fabric_options {
	size_t size;
	uint32_t flags;
	uint32_t queue_depth;
	uint32_t io_queues;
	int32_t keep_alive_s;
	int32_t fast_io_fail_s;
	int32_t loss_timeout_s;
	int32_t reconnect_delay_s;
	uint32_t wait_ms;
	const char *host_nqn;
	const char *host_id;
	const char *dhchap_secret;
	const char *dhchap_ctrl_secret;
};

/**
 * struct memkv_fabric_path - one connection that leads to a namespace
 * @controller: the kernel's name for it, such as "nvme0".
 * @transport, @address, @port: where it leads.
 * @state: "live" when it works.
 * @keep_alive_s, @fast_io_fail_s, @loss_timeout_s, @reconnect_delay_s: what it has, or MEMKV_FABRIC_OFF or _UNKNOWN.
 * @queues, @queue_depth: or 0 when the kernel does not say.
 * @asked: not 0: it is the connection that memkv_fabric_attach() was asked for.
 */
struct memkv_fabric_path {
	const char *controller;
	const char *transport;
	const char *address;
	const char *port;
	const char *state;
	int32_t keep_alive_s;
	int32_t fast_io_fail_s;
	int32_t loss_timeout_s;
	int32_t reconnect_delay_s;
	uint32_t queues;
	uint32_t queue_depth;
	int asked;
};

/**
 * struct memkv_fabric_namespace - a namespace and how it is connected
 * @device: its block device, to be used as a pool's.
 * @nqn, @nsid: which it is in which subsystem.
 * @host_nqn: who this host is to the subsystem.
 * @uuid, @nguid, @eui64: its identity as hex digits, that of a UUID with '-'; "" when it has none.  It stays when
 *          devices are named anew.
 * @bytes, @lba_bytes: its size, and its logical block's.
 * @max_transfer: bytes that this host sends in one command.
 * @mdts_bytes: bytes that the controller takes in one command; 0: it sets no limit.
 * @atomic_bytes, @atomic_power_fail_bytes: a write of at most so many bytes is seen whole or not at all, by others and
 *          after a loss of power.
 * @volatile_cache: not 0: a completed write may be lost with the target's power until it is flushed.
 * @identified: not 0: @mdts_bytes, @atomic_* and @volatile_cache are the controller's own answers; else it was not or
 *          could not be asked (memkv_fabric_identify()), and they are zero but for @volatile_cache: the kernel's word.
 * @paths, @path_count: its connections; several with native multipath.
 * @late_write_s: a write that was cut off lands within so many seconds or never; MEMKV_FABRIC_OFF: there is no bound;
 *          0: no network is between.
 * @unsafe: not NULL: what about a connection lets writes land (needlessly) late, as a sentence.
 */
struct memkv_fabric_namespace {
	const char *device;
	const char *nqn;
	const char *host_nqn;
	const char *uuid;
	const char *nguid;
	const char *eui64;
	uint64_t bytes;
	uint32_t nsid;
	uint32_t lba_bytes;
	uint32_t max_transfer;
	uint32_t mdts_bytes;
	uint32_t atomic_bytes;
	uint32_t atomic_power_fail_bytes;
	int volatile_cache;
	int identified;
	int32_t late_write_s;
	uint32_t path_count;
	const struct memkv_fabric_path *paths;
	const char *unsafe;
};

/**
 * struct memkv_fabric_entry - one thing that a target offers
 * @transport, @address, @port, @nqn: where and what.
 * @kind: "subsystem" or "discovery".
 * @secure: "required", "not required" or "not specified": TLS or the like.
 */
struct memkv_fabric_entry {
	const char *transport;
	const char *address;
	const char *port;
	const char *nqn;
	const char *kind;
	const char *secure;
};

/**
 * memkv_fabric_check() - is it a well-formed URI, and of what?
 * @uri: as above.
 * @with_nqn: not 0: it must name a subsystem; 0: it must not, and is an address to discover at.
 *
 * Return: 0; -EINVAL, with a sentence that says what is wrong.
 */
int memkv_fabric_check(const char *uri, int with_nqn);

/**
 * memkv_fabric_discover() - ask a target's discovery service
 * @uri: without a subsystem's name.
 * @options: or NULL; of them the host's identity and the flags matter.
 * @log: receives the answer; free with memkv_fabric_log_free().
 *
 * Return: how many entries; else as memkv_fabric_attach().
 */
int memkv_fabric_discover(const char *uri, const struct memkv_fabric_options *options, struct memkv_fabric_log **log);

/** memkv_fabric_entry_at() - the @nth entry; NULL: there are fewer */
const struct memkv_fabric_entry *memkv_fabric_entry_at(const struct memkv_fabric_log *log, size_t nth);

/** memkv_fabric_log_free() - free it; NULL is fine */
void memkv_fabric_log_free(struct memkv_fabric_log *log);

enum memkv_fabric_outcome {
	MEMKV_FABRIC_CONNECTED = 0, /* there is a new connection: the first, or one more path */
	MEMKV_FABRIC_ALREADY = 1,   /* this very connection was there */
	MEMKV_FABRIC_TUNED = 2,	    /* likewise, and its time-outs were brought to what was asked for */
};

/**
 * memkv_fabric_attach() - connect to a subsystem, if that connection is not there already
 * @uri: with the subsystem's name.
 * @options: or NULL.
 * @list: receives the subsystem's namespaces (or the one of "?nsid="), at least one; free with memkv_fabric_free().
 *
 * A subsystem that is attached by another address gets one more path.  With native multipath
 * (nvme_core.multipath=Y) its namespaces stay the same devices; without, each path makes devices of its own.
 *
 * Return: enum memkv_fabric_outcome; -EINVAL: the URI or an option; MEMKV_NO_FABRIC: this machine or this build lacks
 * something, which the sentence names with the mend; -EACCES or -EPERM: privileges; MEMKV_NO_SUBSYSTEM: the target has
 * none of that name, or none of its namespaces appeared; MEMKV_HOST_REFUSED: it does not let this host in;
 * -ECONNREFUSED, -EHOSTUNREACH (also when nobody answers), ...: the address; or another -errno.
 * Context: waits for the network, seconds when nobody answers.
 */
int memkv_fabric_attach(const char *uri, const struct memkv_fabric_options *options, struct memkv_fabric_list **list);

/**
 * memkv_fabric_find() - what is attached already
 * @what: a URI (the subsystem that it names, by whatever address), an NQN, a namespace's identity as "ns:ID" or
 *        "nguid:ID" (its UUID, NGUID or EUI-64, with or without '-'), an NVMe device, or NULL for all.  Of them those
 *        that come over a network; by identity or device also others.
 * @list: receives them; free with memkv_fabric_free().
 *
 * Reads what the kernel shows; needs no privileges, no libnvme, and no answer from the target.
 *
 * Return: how many; -EINVAL, -ENOENT.
 */
int memkv_fabric_find(const char *what, struct memkv_fabric_list **list);

/**
 * memkv_fabric_identify() - let the controllers say what only they know (struct memkv_fabric_namespace, @identified)
 * @list: from memkv_fabric_find(); what memkv_fabric_attach() gives is so already.
 *
 * Wants access to the controllers' devices (root) and libnvme; who does not answer within 2 s is left out.
 *
 * Return: how many namespaces it is known of.
 */
int memkv_fabric_identify(struct memkv_fabric_list *list);

/** memkv_fabric_at() - the @nth namespace; NULL: there are fewer */
const struct memkv_fabric_namespace *memkv_fabric_at(const struct memkv_fabric_list *list, size_t nth);

/** memkv_fabric_free() - free it; NULL is fine */
void memkv_fabric_free(struct memkv_fabric_list *list);

/**
 * memkv_fabric_way() - how I/O of this process to a namespace would go
 * @device: its block device, such as "/dev/nvme0n1"; over a network or not.
 * @text: receives it as a sentence without its full stop, and, for block I/O, why; cut to @room bytes.
 *
 * Writes go as NVMe commands of our own where the kernel has the namespace's character device (/dev/ng0n1) and lets this
 * process send them; such a write fails when its connection is lost, and is never sent again.  Else as block I/O.
 *
 * Return: 1: as commands; 0: as block I/O; -ENODEV: it is no NVMe namespace; -errno: it cannot be opened.
 */
int memkv_fabric_way(const char *device, char *text, size_t room);

/**
 * memkv_fabric_detach() - end connections
 * @what: a URI: the connection to that very address; or an NQN, or a namespace's device or identity as for
 *        memkv_fabric_find(): all connections to the subsystem.
 * @flags: MEMKV_FABRIC_FORCE, or 0.
 *
 * Return: how many were ended; 0: there was none; MEMKV_IN_USE: it is the last path to a namespace that somebody has
 * claimed (an agent that writes, a mount); -EINVAL, -EACCES, or as memkv_fabric_attach().
 */
int memkv_fabric_detach(const char *what, uint32_t flags);

#ifdef __cplusplus
}
#endif
#endif
