/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of namespaces (struct memkv_fabric_list): out of sysfs, completed by what controllers say about themselves. */
#ifndef MEMKV_FABRIC_NAMESPACES_H
#define MEMKV_FABRIC_NAMESPACES_H

#include "core/media/nvme_sysfs.h"
#include <memkv/fabric.h>

/**
 * struct namespace_choice - which namespaces are meant; what is empty does not matter
 * @nqn, @nsid: of a subsystem.
 * @plain: identity (nvme_identity_plain()).
 * @device: its name below /dev.
 * @remote: only those that come over a network.
 */
struct namespace_choice {
	char nqn[NVME_NQN_ROOM];
	uint32_t nsid;
	char plain[36];
	char device[40];
	bool remote;
};

/**
 * namespace_choice_parse() - what memkv_fabric_find() and _detach() are given
 *
 * Return: 0; -EINVAL with a sentence.
 */
int namespace_choice_parse(const char *what, struct namespace_choice *choice);

/** namespaces_choose() - those that are there; how many, or -ENOMEM */
int namespaces_choose(const struct namespace_choice *choice, struct memkv_fabric_list **list);

/** namespaces_mark() - the paths of that controller are what was asked for */
void namespaces_mark(struct memkv_fabric_list *list, const char *controller);

#endif
