/* SPDX-License-Identifier: Apache-2.0 */
/* "nvme+tcp://ADDRESS[:PORT]/NQN[?nsid=N]" taken apart; strictly, since its parts go into the kernel's option string. */
#ifndef MEMKV_FABRIC_URI_H
#define MEMKV_FABRIC_URI_H

#include "core/media/nvme_sysfs.h"

/**
 * struct fabric_uri - the parts
 * @transport: "tcp" or "rdma".
 * @address: an IPv4 or IPv6 address without brackets, or a host's name.
 * @port: digits; "" when not given.
 * @nqn: "" when not given.
 * @nsid: 0 when not given.
 */
struct fabric_uri {
	char transport[8];
	char address[256];
	char port[8];
	char nqn[NVME_NQN_ROOM];
	uint32_t nsid;
};

/** fabric_uri_is() - does it begin like one ("nvme" and "+" or ":"), so that it cannot be meant as anything else? */
bool fabric_uri_is(const char *text);

/** fabric_uri_parse() - 0, or -EINVAL with a sentence */
int fabric_uri_parse(const char *text, struct fabric_uri *uri);

/** fabric_nqn_check() - @nqn as a name of a subsystem or host; 0, or -EINVAL with a sentence that begins with @what */
int fabric_nqn_check(const char *what, const char *nqn);

/**
 * fabric_uri_resolve() - replace a host's name by its address
 *
 * Return: 0; -EHOSTUNREACH with a sentence.
 */
int fabric_uri_resolve(struct fabric_uri *uri);

/** fabric_same_address() - are two addresses the same, however IPv6 is written? */
bool fabric_same_address(const char *a, const char *b);

#endif
