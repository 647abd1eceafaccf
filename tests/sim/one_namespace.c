/* SPDX-License-Identifier: Apache-2.0 */
/* Simulated pools lie on one namespace: what core/pool/several.c and core/media/media_join.c would do for several. */
#include "core/media/media_join.h"
#include "core/pool/several.h"

void media_join_suspect(struct media *media, const struct media_io *io)
{
	(void)media;
	(void)io;
}

int namespaces_join(struct memkv_pool *pool, const char *path, unsigned flags)
{
	(void)pool;
	(void)path;
	(void)flags;
	return 0;
}

void namespaces_close(struct memkv_pool *pool) { (void)pool; }
void namespaces_mend(struct memkv_pool *pool) { (void)pool; }
void namespaces_tend(struct memkv_pool *pool) { (void)pool; }
