/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors and forks: see fork.c. */
#ifndef MEMKV_POOL_FORK_H
#define MEMKV_POOL_FORK_H

struct memkv_pool;

/* what happens between hold and release, no child sees half of: descriptors that are opened, written down, closed */
void fork_hold(void);
void fork_release(void);
/* between hold and release: a child gives up what this handle has */
void fork_register(struct memkv_pool *pool);
void fork_unregister(struct memkv_pool *pool);

#endif
