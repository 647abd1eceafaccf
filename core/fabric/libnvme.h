/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libnvme, loaded when something is to be attached, discovered or detached, and not before: a process that only uses
 * pools maps neither it nor what it brings along, and a machine without it can do all the rest.
 *
 * Built without libnvme's headers (MEMKV_HAVE_LIBNVME unset), libnvme_load() says so.
 */
#ifndef MEMKV_FABRIC_LIBNVME_H
#define MEMKV_FABRIC_LIBNVME_H

#ifdef MEMKV_HAVE_LIBNVME

/* its inline functions are written less strictly than we compile */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#pragma GCC diagnostic ignored "-Wshadow"
#include <libnvme.h>
#pragma GCC diagnostic pop

/* X(name): the functions of libnvme 1.x that are used */
#define LIBNVME_FUNCTIONS(X)     \
	X(nvme_create_root)      \
	X(nvme_free_tree)        \
	X(nvme_lookup_host)      \
	X(nvme_host_set_dhchap_key) \
	X(nvme_create_ctrl)      \
	X(nvme_free_ctrl)        \
	X(nvme_init_ctrl)        \
	X(nvme_ctrl_get_name)    \
	X(nvme_ctrl_set_dhchap_key) \
	X(nvme_disconnect_ctrl)  \
	X(nvme_identify)         \
	X(nvmf_default_config)   \
	X(nvmf_add_ctrl)         \
	X(nvmf_get_discovery_log) \
	X(nvmf_trtype_str)       \
	X(nvmf_hostnqn_from_file) \
	X(nvmf_hostnqn_generate) \
	X(nvmf_hostid_from_file)

struct libnvme {
#define LIBNVME_MEMBER(name) __typeof__(&name) name;
	LIBNVME_FUNCTIONS(LIBNVME_MEMBER)
#undef LIBNVME_MEMBER
};

#else

struct libnvme;

#endif

/** libnvme_load() - its functions; NULL with a sentence (MEMKV_NO_FABRIC): this build or this machine has none */
const struct libnvme *libnvme_load(void);

#endif
