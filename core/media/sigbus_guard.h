/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mapped file that is cut short under us answers a load or store with SIGBUS.  Guarded ranges turn that into
 * zeros and a raised flag: the handler maps anonymous memory over the range's page and returns.  Faults outside
 * guarded ranges go to whatever handler was there before.
 */
#ifndef MEMKV_MEDIA_SIGBUS_GUARD_H
#define MEMKV_MEDIA_SIGBUS_GUARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* sigbus_guard_add() - 0, or -ENOSPC when all 64 places are taken */
int sigbus_guard_add(void *base, size_t length, atomic_bool *failed);
void sigbus_guard_remove(void *base);

#endif
