/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One process stores a block, another finds it: no server in between.
 *
 *   memkv pool create /var/tmp/demo.pool --size 64M
 *   ./two_hosts /var/tmp/demo.pool
 */
#include <memkv/memkv.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int say(const char *what, long long result)
{
	printf("%s: %s\n", what, result < 0 ? memkv_error_detail() : "done");
	return result < 0;
}

static int prefill(const char *path, const struct memkv_key *key)
{
	static char block[256 << 10] = "attention state of the first 16 tokens";
	struct memkv_pool *pool;

	if (say("prefill: open", memkv_pool_open(path, NULL, &pool)))
		return 1;
	int failed = say("prefill: put", memkv_put(pool, key, block, sizeof(block), NULL));
	memkv_pool_close(pool);
	return failed;
}

int main(int argc, char **argv)
{
	static char block[256 << 10];
	struct memkv_pool *pool;
	struct memkv_key key;
	int status;

	if (argc != 2 || memkv_key_from_name("example", "block 0", 7, &key))
		return 2;
	if (fork() == 0)
		return prefill(argv[1], &key);
	if (wait(&status) < 0 || status || say("decode: open", memkv_pool_open(argv[1], NULL, &pool)))
		return 1;
	int64_t bytes = memkv_get(pool, &key, block, sizeof(block), NULL);
	printf("decode: %lld bytes: \"%s\"\n", (long long)bytes, bytes > 0 ? block : memkv_strerror((int)bytes));
	memkv_pool_close(pool);
	return bytes != sizeof(block);
}
