/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prefill hands a block to decode: the locator travels with the request, and decode uses the bytes where they lie.
 *
 *   memkv pool create /dev/shm/demo.pool --size 64M
 *   ./hand_over /dev/shm/demo.pool
 *
 * Blocks can be held on tmpfs and DAX; elsewhere decode copies.
 */
#include <errno.h>
#include <memkv/memkv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCK_BYTES ((size_t)256 << 10)

static int complain(const char *who, const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", who, what, memkv_error_detail());
	return 1;
}

/* stores the block and writes its locator, as text, into the request */
static int prefill(const char *path, const struct memkv_key *key, int request)
{
	static char block[BLOCK_BYTES] = "attention state of the first 16 tokens";
	char text[MEMKV_LOCATOR_TEXT];
	struct memkv_locator locator;
	struct memkv_pool *pool;

	if (memkv_pool_open(path, NULL, &pool))
		return complain("prefill", "open");
	int rc = memkv_put(pool, key, block, sizeof(block), NULL);
	if (rc && rc != MEMKV_EXISTS)
		return complain("prefill", "put");
	/* for two seconds it can be read, be the pool as full as it likes */
	if (memkv_exists_keep(pool, key, MEMKV_KEEP_MAX_MS, 0, &locator) != 1)
		return complain("prefill", "keep");
	memkv_locator_to_text(&locator, text);
	memkv_pool_close(pool);
	return write(request, text, sizeof(text)) != (ssize_t)sizeof(text);
}

/* where nothing can be held, or not now: a copy, by the same locator */
static int copy_instead(struct memkv_pool *pool, const struct memkv_locator *locator)
{
	struct memkv_locator_info info;

	if (memkv_locator_describe(locator, &info))
		return complain("decode", "locator");
	char *block = aligned_alloc(4096, (info.length + 4095) / 4096 * 4096);
	int64_t bytes = block ? memkv_get_at(pool, locator, block, info.length, NULL) : -ENOMEM;
	printf("decode: copied %lld bytes: \"%s\"\n", (long long)bytes, bytes > 0 ? block : memkv_strerror((int)bytes));
	free(block);
	return bytes < 0;
}

static int decode(const char *path, int request)
{
	char text[MEMKV_LOCATOR_TEXT];
	struct memkv_locator locator;
	struct memkv_pool *pool;
	struct memkv_hold hold;

	if (memkv_pool_open(path, NULL, &pool))
		return complain("decode", "open");
	if (read(request, text, sizeof(text)) != (ssize_t)sizeof(text) || memkv_locator_from_text(text, &locator))
		return complain("decode", "request");
	int rc = memkv_hold_at(pool, &locator, &hold);
	if (rc == -EAGAIN || rc == -EOPNOTSUPP) {
		printf("decode: %s\n", memkv_error_detail());
		rc = copy_instead(pool, &locator);
	} else if (rc) {
		rc = complain("decode", "hold");
	} else {
		char first[64];
		snprintf(first, sizeof(first), "%s", (const char *)hold.data); /* the use */
		/* only now it is known whether what was used were the block's bytes */
		int valid = memkv_hold_valid(pool, &hold);
		printf("decode: held %llu bytes: \"%s\", %s\n", (unsigned long long)hold.length, first,
		       valid == 1 ? "valid" : "lapsed, compute it again");
		memkv_release(pool, &hold);
	}
	memkv_pool_close(pool);
	return rc != 0;
}

int main(int argc, char **argv)
{
	struct memkv_key key;
	int request[2], status;

	if (argc != 2 || memkv_key_from_name("example", "handed over", 11, &key) || pipe(request))
		return 2;
	if (fork() == 0)
		return prefill(argv[1], &key, request[1]);
	close(request[1]);
	int rc = decode(argv[1], request[0]);
	return wait(&status) < 0 || status || rc;
}
