/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device errors: a run over every public call, once for each of its I/Os, with that one I/O (read, write, flush, publish,
 * refresh, opening a queue, mapping, locking) refused; and in pairs, with the next one refused as well.
 *
 * Each time: the call that met it says so with a code of its own, or is a miss that is counted as the medium's; a put
 * that failed is not there, one that answered UNKNOWN may be; no other block is disturbed, none has wrong bytes; a mapped
 * pool goes on as if nothing had been, a mirrored one may say FAILED to what writes; and whoever attaches afterwards
 * finds everything that was acknowledged, and check nothing.
 *
 * usage: errors [--every N] [--device 1] [--seed N]
 */
#include "disk.h"
#include "ledger.h"
#include "workload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BASE_BLOCKS = 250, RUN_BLOCKS = 60, HURT_MAX = 8 };

struct sweep {
	struct disk *disk;
	uint8_t *base;
	uint64_t bytes;
	struct ledger ledger;
	struct memkv_pool *pool, *observer;
	uint64_t clock, struck_seen;
	uint64_t ios, runs, struck, errors, misses, failed_opens, unknown, refused, late, unlisted;
};

static uint64_t number(int argc, char **argv, const char *name, uint64_t otherwise)
{
	for (int i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return strtoull(argv[i + 1], NULL, 0);
	return otherwise;
}

static uint64_t tick(void *context)
{
	struct sweep *s = context;

	return ++s->clock;
}

static uint64_t struck(const struct sweep *s) { return atomic_load(&s->disk->struck); }

static struct memkv_counters counters(struct memkv_pool *pool)
{
	struct memkv_counters c;

	if (memkv_pool_counters(pool, &c))
		crash_fail("counters");
	return c;
}

/* an answer that is an error must be that of the fault, and only a call that met one may give it */
static void judge(struct sweep *s, const char *call, int result, uint64_t struck_before)
{
	bool met = struck(s) != struck_before;
	bool after = s->disk->device && struck(s) > 0; /* a publish failed: what writes is refused from then on */

	if (result >= 0 || result == MEMKV_MISS || result == MEMKV_EXISTS || result == MEMKV_DIFFERS)
		return;
	s->errors++;
	s->unknown += result == MEMKV_UNKNOWN;
	s->refused += result == MEMKV_FAILED;
	if (!met && !(after && result == MEMKV_FAILED))
		crash_fail("%s: %s, though nothing failed", call, memkv_code_name(result));
	if (!*memkv_error_detail() || !memkv_strerror(result)[0])
		crash_fail("%s: %s without a sentence", call, memkv_code_name(result));
}

/* ---- calls ---- */

/*
 * What could not be told to followers (the ring failed) shows to whoever attaches: a segment that was opened anew, and with
 * it the old blocks in it gone.
 */
static void observe(struct sweep *s, uint32_t call)
{
	s->disk->calm = true;
	if (s->disk->device && struck(s) != s->struck_seen) {
		memkv_pool_close(s->observer);
		if (crash_open(s->disk, MEMKV_OPEN_READ_ONLY, &s->observer))
			crash_fail("the observer cannot attach");
		s->struck_seen = struck(s);
	}
	ledger_observe_index(&s->ledger, call, s->observer);
	s->disk->calm = false;
}

static void put(struct sweep *s, uint32_t block, uint32_t version, uint32_t flags)
{
	struct ledger *l = &s->ledger;
	struct memkv_counters before = counters(s->pool), after;
	uint64_t struck_before = struck(s);
	uint32_t call = ledger_begin(l, CALL_PUT, block, flags & MEMKV_PUT_DURABLE, flags & MEMKV_PUT_REPLACE);

	l->calls[call].version = version;
	if (version > l->versions[block])
		l->versions[block] = version;
	int result = crash_put(s->pool, block, version, flags);
	ledger_end(l, call, result);
	judge(s, "put", result, struck_before);
	after = counters(s->pool);
	bool good = result == 0 || result == MEMKV_EXISTS || result == MEMKV_DIFFERS;
	if (!good && after.puts_failed + after.puts_no_room != before.puts_failed + before.puts_no_room + 1)
		crash_fail("put: %s is not counted", memkv_code_name(result));
	observe(s, call);
}

static void take_away(struct sweep *s, uint32_t block)
{
	struct memkv_key key;
	uint64_t struck_before = struck(s);
	uint32_t call = ledger_begin(&s->ledger, CALL_REMOVE, block, true, false);

	block_name(block, &key);
	int result = memkv_remove(s->pool, &key);
	ledger_end(&s->ledger, call, result);
	judge(s, "remove", result, struck_before);
	observe(s, call);
}

/* exact, or a miss that was to be expected, or one of the medium */
static void get(struct sweep *s, struct memkv_pool *pool, uint32_t block, const char *when)
{
	struct expectation x;
	struct memkv_counters before = counters(pool), after;
	uint64_t struck_before = struck(s);

	ledger_expect(&s->ledger, block, UINT64_MAX - 1, true, &x);
	int found = block_look(pool, block, s->ledger.versions[block]);
	if (found < 0 || (found && !x.versions[found - 1]))
		crash_fail("%s: block %u: %s", when, block, found < 0 ? "WRONG BYTES" : "it was removed or replaced");
	if (found || x.absent)
		return;
	after = counters(pool);
	if (struck(s) == struck_before) {
		/* a mirror that could not be filled when it was attached: the next look does it */
		s->disk->calm = true;
		if (!s->disk->device || !struck(s) || memkv_pool_refresh(pool) || !block_look(pool, block, s->ledger.versions[block]))
			crash_fail("%s: block %u is LOST", when, block);
		s->disk->calm = false;
		s->late++;
		return;
	}
	if (after.miss_io != before.miss_io + 1)
		crash_fail("%s: block %u: a miss, but not counted as the medium's", when, block);
	s->misses++;
}

static void get_pieces(struct sweep *s, uint32_t block)
{
	uint8_t first[64], last[64], whole[BLOCK_BYTES];
	struct memkv_key key;
	struct expectation x;
	uint64_t struck_before = struck(s);

	ledger_expect(&s->ledger, block, UINT64_MAX - 1, true, &x);
	if (x.absent)
		return;
	size_t length = block_bytes(block, s->ledger.versions[block], whole);
	size_t piece = length < 64 ? length : 64;
	struct memkv_range ranges[2] = {{length - piece, piece, last}, {0, piece, first}};
	block_name(block, &key);
	int64_t got = memkv_get_ranges(s->pool, &key, ranges, 2);
	if (got == MEMKV_MISS && struck(s) != struck_before)
		return;
	if (got != (int64_t)length || memcmp(first, whole, piece) || memcmp(last, whole + length - piece, piece))
		crash_fail("get_ranges of block %u: %lld", block, (long long)got);
}

/* how many blocks are listed; *unread receives how many segments could not be read, each of which is said */
static uint32_t list(struct sweep *s, uint32_t *unread)
{
	struct memkv_block_info block;
	struct memkv_iter *it = NULL;
	uint32_t listed = 0;
	int got;

	*unread = 0;
	if (memkv_iter_open(s->pool, NULL, &it))
		crash_fail("iterate");
	for (uint64_t struck_before = struck(s); (got = memkv_iter_next(it, &block)) != 0; struck_before = struck(s)) {
		if (got < 0)
			judge(s, "iterate", got, struck_before);
		listed += got > 0;
		*unread += got == -EIO;
		if (got < 0 && got != -EIO)
			break;
	}
	memkv_iter_close(it);
	return listed;
}

/* the calls that look at everything: they may miss what cannot be read, and must end */
static void survey(struct sweep *s)
{
	struct memkv_check_report report;
	struct memkv_pool_info info;
	struct memkv_block_info block;
	struct memkv_key key;
	uint32_t unread, none;
	uint64_t struck_before = struck(s);

	block_name(3, &key);
	int result = memkv_stat(s->pool, &key, &block);
	if (result && result != MEMKV_MISS)
		judge(s, "stat", result, struck_before);
	struck_before = struck(s);
	judge(s, "describe", memkv_pool_describe(s->pool, &info), struck_before);
	judge(s, "refresh", memkv_pool_refresh(s->pool), struck_before);
	if (memkv_exists(s->pool, &key, MEMKV_LOOK_FRESH) < 0)
		crash_fail("exists");
	uint32_t listed = list(s, &unread);
	s->disk->calm = true;
	uint32_t all = list(s, &none);
	s->disk->calm = false;
	if (listed < BASE_BLOCKS / 2 || (listed != all && !unread) || none)
		crash_fail("ls: %u blocks of %u, though only %u segments were said to be unreadable", listed, all, unread);
	s->unlisted += all - listed;
	struck_before = struck(s);
	result = memkv_pool_check(s->pool, NULL, &report);
	judge(s, "check", result, struck_before);
	if (!result && struck(s) == 0 && (report.bad || report.records_bad))
		crash_fail("check: %u blocks, %u records", (unsigned)report.bad, (unsigned)report.records_bad);
}

/* ---- a run ---- */

static bool attach(struct sweep *s)
{
	uint64_t struck_before = struck(s);
	int result = crash_open(s->disk, 0, &s->pool);

	if (result == 0)
		return true;
	judge(s, "open", result, struck_before);
	s->failed_opens++;
	result = crash_open(s->disk, 0, &s->pool); /* the fault has passed, or the next one comes */
	if (result)
		judge(s, "open again", result, struck_before);
	return result == 0;
}

static void calls(struct sweep *s)
{
	uint32_t fresh = BASE_BLOCKS;

	for (uint32_t block = 0; block < BASE_BLOCKS; block += 7)
		get(s, s->pool, block, "get");
	put(s, fresh++, 0, 0);
	put(s, fresh++, 0, MEMKV_PUT_DURABLE);
	put(s, 5, 0, 0);
	put(s, 5, 0, MEMKV_PUT_DURABLE);
	put(s, 6, 1, 0);
	put(s, 6, 1, MEMKV_PUT_REPLACE);
	put(s, 8, 1, MEMKV_PUT_REPLACE | MEMKV_PUT_DURABLE);
	get_pieces(s, 9);
	get_pieces(s, 12);
	take_away(s, 14);
	take_away(s, 6);
	survey(s);
	for (uint32_t i = 0; i < RUN_BLOCKS; i++) {
		put(s, fresh++, 0, i % 5 ? 0 : MEMKV_PUT_DURABLE);
		get(s, s->pool, (i * 37) % fresh, "get");
		if (i % 9 == 8)
			take_away(s, fresh - 4);
	}
	for (uint32_t block = 0; block < fresh; block++)
		get(s, s->pool, block, "get");
}

static void afterwards(struct sweep *s)
{
	struct memkv_check_report report;

	disk_strike(s->disk, NULL);
	if (crash_open(s->disk, 0, &s->pool))
		crash_fail("afterwards: the pool cannot be attached");
	for (uint32_t block = 0; block < s->ledger.blocks; block++)
		get(s, s->pool, block, "afterwards");
	/* a segment whose header page could not be written has it in its table, and gets it when it is continued */
	if (memkv_pool_check(s->pool, NULL, &report) || report.bad || report.records_bad != report.records_mended)
		crash_fail("afterwards: check: %u blocks bad, %u records bad, %u mended", (unsigned)report.bad,
			   (unsigned)report.records_bad, (unsigned)report.records_mended);
	put(s, s->ledger.blocks, 0, MEMKV_PUT_DURABLE);
	get(s, s->pool, s->ledger.blocks - 1, "afterwards");
	memkv_pool_close(s->pool);
}

static void begin(struct sweep *s)
{
	s->struck_seen = 0;
	disk_load(s->disk, s->base);
	s->disk->seed = 1;
	ledger_init(&s->ledger, tick, s);
	for (uint32_t block = 0; block < BASE_BLOCKS; block++) {
		uint32_t call = ledger_begin(&s->ledger, CALL_PUT, block, true, false);
		memset(s->ledger.calls[call].live, 0xFF, sizeof(s->ledger.calls[call].live));
		ledger_end(&s->ledger, call, 0);
	}
	disk_strike(s->disk, NULL);
	if (crash_open(s->disk, MEMKV_OPEN_READ_ONLY, &s->observer))
		crash_fail("the observer cannot attach");
}

static void run(struct sweep *s, const struct disk_fault *fault)
{
	begin(s);
	disk_strike(s->disk, fault);
	bool open = attach(s);
	if (open) {
		calls(s);
		memkv_pool_close(s->pool);
	}
	s->ios = atomic_load(&s->disk->counted);
	s->struck += struck(s);
	s->runs++;
	afterwards(s);
	memkv_pool_close(s->observer);
	ledger_fini(&s->ledger);
}

/*
 * A medium that takes no write any more, but can be read: every put is refused, and however many are tried, nothing is
 * evicted for them.
 */
static void takes_nothing(struct sweep *s)
{
	struct disk_fault fault = {.kinds = 1u << DISK_WRITE, .to = UINT64_MAX, .error = -EIO};
	uint32_t there = 0;

	snprintf(crash_context, sizeof(crash_context), "%s: takes no write", s->disk->device ? "device" : "file");
	begin(s);
	if (crash_open(s->disk, 0, &s->pool))
		crash_fail("attach");
	disk_strike(s->disk, &fault);
	for (uint32_t i = 0; i < 4 * BASE_BLOCKS; i++) {
		int err = crash_put(s->pool, BASE_BLOCKS + i % 100, 0, 0);
		if (err == 0 || err == MEMKV_NO_ROOM)
			crash_fail("put: %s", memkv_code_name(err));
	}
	for (uint32_t block = 0; block < BASE_BLOCKS; block++)
		there += block_look(s->pool, block, 0) == 1;
	if (there != BASE_BLOCKS || counters(s->pool).evicted_blocks)
		crash_fail("%u of %u blocks are left", there, BASE_BLOCKS);
	disk_strike(s->disk, NULL);
	put(s, BASE_BLOCKS, 0, MEMKV_PUT_DURABLE);
	get(s, s->pool, BASE_BLOCKS, "when it writes again");
	memkv_pool_close(s->pool);
	memkv_pool_close(s->observer);
	ledger_fini(&s->ledger);
}

static void fill(struct sweep *s)
{
	struct memkv_pool *pool;

	if (crash_open(s->disk, 0, &pool))
		crash_fail("the new pool cannot be opened");
	for (uint32_t block = 0; block < BASE_BLOCKS; block++)
		if (crash_put(pool, block, 0, 0))
			crash_fail("the pool cannot be filled");
	memkv_pool_close(pool);
	memcpy(s->base, s->disk->image, s->bytes);
}

static const struct variant {
	const char *name;
	int error;
	enum disk_effect effect;
	unsigned burst;
} variants[] = {
	{"EIO, nothing was done", -EIO, EFFECT_NONE, 1},
	{"EIO, half of it was done", -EIO, EFFECT_HALF, 1},
	{"EIO, all of it was done", -EIO, EFFECT_WHOLE, 1},
	{"no space", -ENOSPC, EFFECT_NONE, 1},
	{"EIO, and the next five", -EIO, EFFECT_NONE, 6},
};

static void sweep_variant(struct sweep *s, const struct variant *v, uint64_t total, uint64_t every, uint64_t first)
{
	for (uint64_t n = first % every; n < total; n += every) {
		struct disk_fault fault = {
			.kinds = DISK_ALL, .from = n, .to = n + v->burst, .error = v->error, .effect = v->effect};
		snprintf(crash_context, sizeof(crash_context), "%s, I/O %llu: %s", s->disk->device ? "device" : "file",
			 (unsigned long long)n, v->name);
		run(s, &fault);
	}
}

int main(int argc, char **argv)
{
	struct memkv_create_options options = {.size = sizeof(options), .blocks = 256, .block_size = BLOCK_BYTES, .slots = 6};
	static struct sweep s;
	uint64_t every = number(argc, argv, "--every", 1), seed = number(argc, argv, "--seed", 0);

	s.base = scratch_pool(&options, &s.bytes);
	s.disk = disk_of_image(s.base, s.bytes, number(argc, argv, "--device", 0));
	fill(&s);
	struct disk_fault none = {.kinds = DISK_ALL, .from = UINT64_MAX, .to = UINT64_MAX};
	snprintf(crash_context, sizeof(crash_context), "without a fault");
	run(&s, &none);
	uint64_t total = s.ios;
	for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++)
		sweep_variant(&s, &variants[i], total, every, seed + i);
	takes_nothing(&s);
	printf("%s: %llu I/Os a run; %llu runs in which %llu failed: %llu calls said so (%llu of them UNKNOWN, %llu FAILED), %llu "
	       "misses, %llu found late, %llu opens; lists told of %llu blocks less, and said so; 0 wrong, 0 lost\n", s.disk->device ? "device" : "file", (unsigned long long)total,
	       (unsigned long long)s.runs, (unsigned long long)s.struck, (unsigned long long)s.errors,
	       (unsigned long long)s.unknown, (unsigned long long)s.refused, (unsigned long long)s.misses, (unsigned long long)s.late,
	       (unsigned long long)s.failed_opens, (unsigned long long)s.unlisted);
	if (!s.errors || !s.misses || !s.failed_opens || (s.disk->device && !s.unlisted))
		crash_fail("no fault was ever seen");
	disk_free(s.disk);
	free(s.base);
	return 0;
}
