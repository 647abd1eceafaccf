/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mapped file that is cut short under us answers a load or store with SIGBUS.  Guarded ranges turn that into
 * zeros and a raised flag: the handler maps anonymous memory over the range's page (of a DAX device: the unit that its mapping
 * consists of) and returns.  Faults outside
 * guarded ranges go to whatever handler was there before.
 */
#ifndef MEMKV_MEDIA_SIGBUS_GUARD_H
#define MEMKV_MEDIA_SIGBUS_GUARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * sigbus_guard_add() - guard a mapping
 * @unit: what the mapping may be cut into: the kernel's page, or a DAX device's alignment; a power of two.
 *
 * Return: 0, or -ENOSPC when all 64 places are taken.
 */
int sigbus_guard_add(void *base, size_t length, size_t unit, atomic_bool *failed);
void sigbus_guard_remove(const void *base);

#endif
