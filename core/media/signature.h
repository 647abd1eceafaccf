/* SPDX-License-Identifier: Apache-2.0 */
/* What else is on a device: file systems, partition tables, members of arrays and volume groups (libblkid). */
#ifndef MEMKV_MEDIA_SIGNATURE_H
#define MEMKV_MEDIA_SIGNATURE_H

#include <stddef.h>

/*
 * signature_look() - is there something on the device that somebody else could know?
 * @name: receives its name, for instance "ext4"; "several signatures" when they contradict each other.
 *
 * Reads through the page cache, as libblkid does; nothing of what it read is used otherwise.
 *
 * Return: 1 yes, 0 no, -errno.
 */
int signature_look(const char *path, char *name, size_t name_room);

#endif
