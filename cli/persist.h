/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that are made at each boot, by nvme-cli's own means: /etc/nvme/config.json lists them, and
 * nvmf-autoconnect.service runs "nvme connect-all", which reads it.  Why this file and not discovery.conf: of the two
 * only config.json can say fast_io_fail_tmo (nvme-cli 2.3).
 *
 * Debian 12's unit starts only when one of both files is *missing* (its conditions are negated by mistake), and does not
 * ask for the network; so there is a drop-in that sets both right, from the memkv package or written here.
 */
#ifndef CLI_PERSIST_H
#define CLI_PERSIST_H

#include <memkv/fabric.h>

/**
 * persist_check() - could a connection be noted?  To be asked before it is made
 * @host_nqn, @host_id: as given on the command line, or NULL.
 *
 * Return: 0, or an exit code after the error was reported.
 */
int persist_check(const char *host_nqn, const char *host_id);

/**
 * persist_add() - note a connection, or bring what is noted up to date
 * @path: it.
 * @nqn: of the subsystem.
 * @options: as it was made.
 *
 * Everything else in the file stays; the file is replaced at once, and is for root alone when there are keys in it.
 *
 * Return: 0, or an exit code after the error was reported.
 */
int persist_add(const struct memkv_fabric_path *path, const char *nqn, const struct memkv_fabric_options *options);

/**
 * persist_remove() - forget a connection
 * @path: its address; NULL: all of @nqn.
 *
 * Return: how many were forgotten, or -1 after a note that the file could not be changed.
 */
int persist_remove(const struct memkv_fabric_path *path, const char *nqn);

#endif
