/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools by name: where to look on this machine, and what "name:NAME", "uuid:UUID", "ns:ID" (a namespace's identity, also
 * "nguid:ID") and, for the pool verbs, a fabric URI stand for.
 *
 * Looked at are the block devices that the kernel shows, and the files and directories (not below them) of
 * $MEMKV_POOL_PATH, separated by colons; /var/lib/memkv when it is not set.
 */
#ifndef CLI_ADDRESS_H
#define CLI_ADDRESS_H

#include <memkv/memkv.h>
#include <stdbool.h>
#include <stddef.h>

/**
 * struct found_pool - what stands at a place
 * @path: the place; belongs to the list.
 * @result: 0 a pool; MEMKV_NEWER or MEMKV_DAMAGED: one that cannot be opened; or -errno: it could not be read.
 * @label: of a pool.
 */
struct found_pool {
	char *path;
	int result;
	struct memkv_pool_label label;
};

/**
 * struct found_pools - a list of them
 * @places: looked at, pools or not.
 */
struct found_pools {
	struct found_pool *pool;
	size_t count, room;
	size_t places;
};

/** address_scan_machine() - the block devices and $MEMKV_POOL_PATH; 0 or -ENOMEM */
int address_scan_machine(struct found_pools *found);

/**
 * address_scan_path() - a file, a device, or the files of a directory
 *
 * Return: 0; -ENOMEM; or -errno when there is no such path.
 */
int address_scan_path(struct found_pools *found, const char *path);

/** found_pools_fini() - free the list */
void found_pools_fini(struct found_pools *found);

/** address_place() - as address_resolve(), for a place that need not hold a pool: only namespaces and fabric URIs are looked for */
int address_place(const char *verb, const char *address, const char **path);

/**
 * address_resolve() - the path that a POOL on the command line stands for
 * @verb: for messages.
 * @address: as written; a path, or "dax:/dev/daxX.Y", stands for itself.
 * @path: receives it; it stays until the next call.
 *
 * Return: 0, or an exit code after the error was reported: nothing is called so, or several are.
 */
int address_resolve(const char *verb, const char *address, const char **path);

#endif
