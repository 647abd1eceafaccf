/* SPDX-License-Identifier: Apache-2.0 */
/* A program as a stranger would write it, against an installed memkv: the block that was put is the block that comes. */
#include <memkv/memkv.h>
#include <stdio.h>
#include <string.h>

static unsigned char block[100000], back[sizeof(block)];

static int fail(const char *what, long long result)
{
	fprintf(stderr, "%s: %lld %s\n", what, result, memkv_error_detail());
	return 1;
}

int main(int argc, char **argv)
{
	struct memkv_create_options create = {.size = sizeof(create), .bytes = 16 << 20};
	struct memkv_pool *pool;
	struct memkv_key key;
	int64_t result;

	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (unsigned char)(i * i >> 3);
	if (argc != 2 || memkv_key_from_name("consumer", "a block", 7, &key))
		return 2;
	if ((result = memkv_pool_create(argv[1], &create)) != 0)
		return fail("create", result);
	if ((result = memkv_pool_open(argv[1], NULL, &pool)) != 0)
		return fail("open", result);
	if ((result = memkv_get(pool, &key, back, sizeof(back), NULL)) != MEMKV_MISS)
		return fail("get of nothing", result);
	if ((result = memkv_put(pool, &key, block, sizeof(block), NULL)) != 0)
		return fail("put", result);
	if ((result = memkv_get(pool, &key, back, sizeof(back), NULL)) != (int64_t)sizeof(block))
		return fail("get", result);
	memkv_pool_close(pool);
	if (memcmp(block, back, sizeof(block)) != 0)
		return fail("compare", 0);
	printf("consumer of memkv %s: %d bytes came back\n", memkv_version(), (int)sizeof(block));
	return 0;
}
