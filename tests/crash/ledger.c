/* SPDX-License-Identifier: Apache-2.0 */
/* See ledger.h. */
#include "ledger.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char crash_context[256];

void crash_fail(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fprintf(stderr, "FAILED (%s): ", crash_context);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "%s%s\n", *memkv_error_detail() ? "; last error: " : "", memkv_error_detail());
	exit(1);
}

uint64_t chance_next(uint64_t *state)
{
	uint64_t z = *state += 0x9E3779B97F4A7C15ULL;

	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ULL;
	z = (z ^ z >> 27) * 0x94D049BB133111EBULL;
	return z ^ z >> 31;
}

/* ---- blocks ---- */

void block_name(uint32_t block, struct memkv_key *key)
{
	uint64_t state = block + 0x626C6F636BULL, words[4];

	for (int i = 0; i < 4; i++)
		words[i] = chance_next(&state);
	memcpy(key->bytes, words, sizeof(key->bytes));
}

size_t block_bytes(uint32_t block, uint32_t version, uint8_t *to)
{
	uint64_t state = (uint64_t)block << 32 | version, word;
	size_t length = 1 + chance_below(&state, BLOCK_BYTES);

	if (block % 4 == 0)
		length = BLOCK_BYTES;
	for (size_t at = 0; at < BLOCK_BYTES; at += sizeof(word)) {
		word = chance_next(&state);
		memcpy(to + at, &word, sizeof(word));
	}
	return length;
}

int block_look(struct memkv_pool *pool, uint32_t block, uint32_t newest)
{
	static _Alignas(4096) uint8_t found[BLOCK_BYTES], expected[BLOCK_BYTES];
	struct memkv_get_options options = {.size = sizeof(options), .flags = MEMKV_GET_UPTO};
	struct memkv_key key;

	block_name(block, &key);
	int64_t got = memkv_get(pool, &key, found, sizeof(found), &options);
	if (got == MEMKV_MISS)
		return 0;
	for (uint32_t version = 0; got > 0 && version <= newest; version++)
		if (block_bytes(block, version, expected) == (size_t)got && memcmp(found, expected, (size_t)got) == 0)
			return (int)version + 1;
	return -1;
}

/* ---- calls ---- */

void ledger_init(struct ledger *l, uint64_t (*now)(void *context), void *context)
{
	*l = (struct ledger){.now = now, .context = context, .calls = calloc(CALLS_MAX, sizeof(*l->calls))};
	if (!l->calls)
		abort();
}

void ledger_fini(struct ledger *l)
{
	free(l->calls);
}

uint32_t ledger_begin(struct ledger *l, enum call_kind kind, uint32_t block, bool durable, bool replace)
{
	if (l->count == CALLS_MAX || l->versions[block] + 1 == VERSIONS_MAX)
		crash_fail("the workload is longer than the ledger");
	l->calls[l->count] = (struct call){.kind = kind, .block = block, .durable = durable, .replace = replace,
					   .begin = l->now(l->context), .end = UINT64_MAX};
	if (kind == CALL_PUT && block >= l->blocks)
		l->blocks = block + 1;
	return l->count++;
}

void ledger_end(struct ledger *l, uint32_t call, int result)
{
	l->calls[call].end = l->now(l->context);
	l->calls[call].result = result;
}

void ledger_observe(struct ledger *l, uint32_t call, struct memkv_pool *pool)
{
	if (memkv_pool_refresh(pool))
		crash_fail("the observer cannot refresh");
	for (uint32_t block = 0; block < l->blocks; block++) {
		int found = block_look(pool, block, l->versions[block]);
		struct expectation x;
		ledger_expect(l, block, UINT64_MAX - 1, true, &x);
		if (found < 0 || (found > 0 && !x.versions[found - 1]))
			crash_fail("block %u, looked at while all is well: %d", block, found - 1);
		if (found)
			l->calls[call].live[block / 8] |= (uint8_t)(1 << block % 8);
	}
}

void ledger_observe_index(struct ledger *l, uint32_t call, struct memkv_pool *pool)
{
	struct memkv_key key;

	if (memkv_pool_refresh(pool))
		crash_fail("the observer cannot refresh");
	for (uint32_t block = 0; block < l->blocks; block++) {
		block_name(block, &key);
		if (memkv_exists(pool, &key, 0))
			l->calls[call].live[block / 8] |= (uint8_t)(1 << block % 8);
	}
}

static void only(struct expectation *x, bool absent)
{
	*x = (struct expectation){.absent = absent};
}

/* a call that had returned before the moment */
static void returned(const struct call *c, bool kill, struct expectation *x)
{
	bool sure = c->durable || kill;

	if (c->kind == CALL_REMOVE) {
		/* an -errno: it is in force, and could not be flushed */
		if (c->result > 0 || c->result == MEMKV_MISS || (c->result > -MEMKV_CODE_BASE && kill))
			only(x, true);
		else
			x->absent = true;
	} else if (c->result == 0 || c->result == MEMKV_EXISTS) {
		if (sure)
			only(x, false);
		else if (c->replace)
			x->absent = true;
		x->versions[c->version] = true;
	} else if (c->result == MEMKV_UNKNOWN) {
		x->versions[c->version] = true;
		x->absent |= c->replace;
	}
}

/* one that was on the way */
static void on_the_way(const struct call *c, struct expectation *x)
{
	if (c->kind == CALL_REMOVE)
		x->absent = true;
	if (c->kind != CALL_PUT)
		return;
	x->versions[c->version] = true;
	if (c->replace && !c->durable)
		x->absent = true;
}

void ledger_expect(const struct ledger *l, uint32_t block, uint64_t moment, bool kill, struct expectation *x)
{
	const uint32_t bit = 1u << block % 8;
	bool known = false;

	only(x, true);
	for (uint32_t i = 0; i < l->count && (l->calls[i].begin < moment || l->calls[i].end == 0); i++) {
		const struct call *c = &l->calls[i];
		bool done = c->end <= moment;
		if (c->block == block && c->kind != CALL_OTHER) {
			if (done)
				returned(c, kill, x);
			else
				on_the_way(c, x);
		}
		/* evicted: it was found before, and is not when a call has returned that may have been at it */
		known |= c->block == block && c->kind == CALL_PUT;
		if (known && c->end != UINT64_MAX && !(c->live[block / 8] & bit))
			x->absent = true;
	}
}

/* ---- a pool to begin with ---- */

uint8_t *scratch_pool(const struct memkv_create_options *options, uint64_t *bytes)
{
	char path[] = "/dev/shm/memkv-crash-XXXXXX", other[] = "./memkv-crash-XXXXXX";
	char *name = path;
	struct stat st;
	int fd = mkstemp(path);

	if (fd < 0) {
		name = other;
		fd = mkstemp(other);
	}
	if (fd < 0 || memkv_pool_create(name, options) || fstat(fd, &st))
		crash_fail("no pool can be made in %s", name);
	uint8_t *image = aligned_alloc(4096, (size_t)st.st_size);
	if (!image || pread(fd, image, (size_t)st.st_size, 0) != st.st_size)
		crash_fail("the pool in %s cannot be read", name);
	close(fd);
	unlink(name);
	*bytes = (uint64_t)st.st_size;
	return image;
}
