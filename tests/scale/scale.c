/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How attach, match and memory grow with the number of blocks.
 *
 * `build` makes a pool that has only metadata: its tables are filled through the same functions that a put uses, but
 * no payload is written (the file is thin), so that 10^7 blocks take seconds and a gigabyte.  It ends by SIGKILL, as a
 * dead agent would.  `measure` attaches it, the page cache dropped before where it may be, and looks up chains of
 * 1,000 keys of which each has a hole at a random place: every answer is checked.
 *
 *   scale build POOL BLOCKS | scale measure POOL BLOCKS | scale empty POOL BLOCKS (the memory of a pool without blocks)
 */
#include "fill.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHAIN = 1000, BLOCK = 4096, ABSENT = 1 << 30 };

static int create(const char *path, uint64_t blocks)
{
	struct memkv_create_options options = {
		.size = sizeof(options), .flags = MEMKV_CREATE_THIN, .blocks = blocks, .block_size = BLOCK};

	unlink(path);
	return memkv_pool_create(path, &options);
}

static int build(const char *path, uint64_t blocks)
{
	struct memkv_pool_options options = {.size = sizeof(options), .flags = MEMKV_OPEN_NO_FOLLOWER};
	struct memkv_pool *pool;

	if (create(path, blocks) || memkv_pool_open(path, &options, &pool))
		fill_die("build");
	uint64_t number = fill_pool(pool, blocks, BLOCK, 0);
	pool->media->ops->flush(pool->media);
	printf("{\"built\":%" PRIu64 "}\n", number);
	fflush(stdout);
	return raise(SIGKILL);
}

static bool drop_caches(void)
{
	sync();
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, "3", 1) == 1;

	if (fd >= 0)
		close(fd);
	return done;
}

/* a chain of keys that are there up to a hole */
static size_t make_chain(struct memkv_key *chain, uint64_t blocks, uint64_t *seed)
{
	size_t hole = fill_mix(++*seed) % CHAIN;

	for (size_t i = 0; i < CHAIN; i++)
		chain[i] = fill_key(i == hole ? ABSENT + *seed : fill_mix(*seed * CHAIN + i) % blocks);
	return hole;
}

struct looker {
	struct memkv_pool *pool;
	struct memkv_key *keys;
	size_t *holes, chains;
	uint64_t looked, wrong;
	double seconds;
};

static void *look(void *argument)
{
	struct looker *l = argument;
	double start = fill_now_s();

	for (size_t i = 0; i < l->chains; i++) {
		int found = memkv_match(l->pool, l->keys + i * CHAIN, CHAIN, 0);
		l->wrong += (size_t)found != l->holes[i];
		l->looked += l->holes[i] + 1;
	}
	l->seconds = fill_now_s() - start;
	return NULL;
}

static void looker_init(struct looker *l, struct memkv_pool *pool, uint64_t blocks, size_t chains, uint64_t seed)
{
	*l = (struct looker){.pool = pool, .chains = chains};
	l->keys = calloc(chains * CHAIN, sizeof(*l->keys));
	l->holes = calloc(chains, sizeof(*l->holes));
	if (!l->keys || !l->holes)
		fill_die("memory");
	for (size_t i = 0; i < chains; i++)
		l->holes[i] = make_chain(l->keys + i * CHAIN, blocks, &seed);
}

static void looker_fini(struct looker *l)
{
	free(l->keys);
	free(l->holes);
}

/* keys a second of one thread, then of two at once; every answer is checked */
static int measure_match(struct memkv_pool *pool, uint64_t blocks, double *ns, double *scaling)
{
	struct looker one, two[2];
	double rounds[5], pairs[5];
	pthread_t thread;
	uint64_t wrong = 0;

	looker_init(&one, pool, blocks, 1000, 1);
	looker_init(&two[0], pool, blocks, 1000, 1 << 20);
	looker_init(&two[1], pool, blocks, 1000, 1 << 21);
	for (int i = 0; i < 5; i++) {
		one.looked = two[0].looked = two[1].looked = 0;
		look(&one);
		rounds[i] = one.seconds * 1e9 / (double)one.looked;
		if (pthread_create(&thread, NULL, look, &two[1]))
			fill_die("thread");
		look(&two[0]);
		pthread_join(thread, NULL);
		pairs[i] = ((double)two[0].looked / two[0].seconds + (double)two[1].looked / two[1].seconds) * rounds[i] / 1e9;
		wrong += one.wrong + two[0].wrong + two[1].wrong;
	}
	for (int i = 1; i < 5; i++) /* medians of five */
		for (int k = i; k > 0; k--) {
			double a = rounds[k - 1], b = pairs[k - 1];
			if (rounds[k] < a)
				rounds[k - 1] = rounds[k], rounds[k] = a;
			if (pairs[k] < b)
				pairs[k - 1] = pairs[k], pairs[k] = b;
		}
	*ns = rounds[2];
	*scaling = pairs[2];
	looker_fini(&one);
	looker_fini(&two[0]);
	looker_fini(&two[1]);
	return wrong != 0;
}

static int measure(const char *path, uint64_t blocks, bool empty)
{
	struct memkv_pool_options options = {.size = sizeof(options), .flags = MEMKV_OPEN_NO_FOLLOWER, .lanes = 1};
	struct memkv_pool *pool;
	bool dropped = drop_caches();
	long before = fill_status_bytes("RssAnon");
	double start = fill_now_s(), ns = 0, scaling = 0;
	int wrong = 0;

	if (memkv_pool_open(path, &options, &pool))
		fill_die("attach");
	double attach_ms = (fill_now_s() - start) * 1e3;
	long memory = fill_status_bytes("RssAnon") - before;
	if (!empty)
		wrong = measure_match(pool, blocks, &ns, &scaling);
	printf("{\"blocks\":%" PRIu64 ",\"attach_ms\":%.1f,\"cold\":%s,\"anon_bytes\":%ld,\"match_ns\":%.1f,"
	       "\"two_threads\":%.2f,\"wrong\":%d}\n",
	       empty ? 0 : blocks, attach_ms, dropped ? "true" : "false", memory, ns, scaling, wrong);
	memkv_pool_close(pool);
	return wrong;
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: scale build|measure|empty POOL BLOCKS\n");
		return 2;
	}
	uint64_t blocks = strtoull(argv[3], NULL, 10);
	if (strcmp(argv[1], "build") == 0)
		return build(argv[2], blocks);
	if (strcmp(argv[1], "empty") == 0)
		return create(argv[2], blocks) ? (fill_die("create"), 1) : measure(argv[2], blocks, true);
	return measure(argv[2], blocks, false);
}
