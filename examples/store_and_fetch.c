/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest whole program: store a block under a name, get it back, with every error told.
 *
 *   memkv pool create /var/tmp/small.pool --size 64M
 *   ./store_and_fetch /var/tmp/small.pool
 */
#include <memkv/memkv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES ((size_t)64 << 10)

static int complain(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, memkv_error_detail());
	return 1;
}

int main(int argc, char **argv)
{
	struct memkv_pool *pool;
	struct memkv_key key;
	/* page-aligned memory goes to and from the medium without a copy */
	char *block = aligned_alloc(4096, BLOCK_BYTES), *back = aligned_alloc(4096, BLOCK_BYTES);

	if (argc != 2 || !block || !back) {
		fprintf(stderr, "usage: store_and_fetch POOL\n");
		return 2;
	}
	if (memkv_pool_open(argv[1], NULL, &pool) < 0)
		return complain("open");

	memset(block, 'k', BLOCK_BYTES);
	memkv_key_from_name("my model", "block 17", 8, &key);
	int rc = memkv_put(pool, &key, block, BLOCK_BYTES, NULL);
	if (rc < 0 && rc != MEMKV_EXISTS) /* there already, with the same bytes: as good */
		return complain("put");

	int64_t got = memkv_get(pool, &key, back, BLOCK_BYTES, NULL);
	if (got == MEMKV_MISS)
		puts("not there any more: compute it again"); /* evicted, expired, or its bytes did not verify */
	else if (got < 0)
		return complain("get");
	else
		printf("found %lld bytes, %s\n", (long long)got, memcmp(block, back, BLOCK_BYTES) ? "wrong" : "the same");

	memkv_pool_close(pool);
	free(block);
	free(back);
	return 0;
}
