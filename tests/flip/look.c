/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that reads, on a damaged pool (visit.h). */
#include "tests/flip/visit.h"

#include "core/format/block_header.h"
#include "core/format/table_format.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { RANGES_EVERY = 17, STAT_EVERY = 13, RANGES = 3 };

static _Alignas(PAGE) uint8_t buffer[BLOCK_SIZE + PAGE];

void fault(struct visit *v, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	if (v->out->faults++ == 0)
		vsnprintf(v->out->why, sizeof(v->out->why), format, arguments);
	va_end(arguments);
	if (!v->verbose)
		return;
	va_start(arguments, format);
	fputs("  FAULT ", stdout);
	vprintf(format, arguments);
	putchar('\n');
	va_end(arguments);
}

/* ---- what the damage hit ---- */

static uint64_t entry_offset(const struct base *base, const struct copy *copy)
{
	return layout_table(&base->layout, copy->segment) + PAGE + (uint64_t)copy->index * ENTRY_BYTES;
}

/* bytes of the block that no second source tells: header, payload, life word */
static bool hit_for_good(const struct visit *v, const struct copy *copy)
{
	return hurt_touches(v->base, v->hurt, copy->page * PAGE, (uint64_t)(copy->header_pages + copy->pages) * PAGE) ||
	       hurt_touches(v->base, v->hurt, entry_offset(v->base, copy) + ENTRY_LIFE_OFFSET, 8);
}

static bool block_hit(const struct visit *v, const struct block *block, bool for_good)
{
	for (uint32_t i = 0; i < block->copy_count; i++) {
		const struct copy *copy = &block->copies[i];
		if (hit_for_good(v, copy) ||
		    (!for_good && hurt_touches(v->base, v->hurt, entry_offset(v->base, copy), ENTRY_BYTES)))
			return true;
	}
	return false;
}

/* its entry is blank now where a place may be blank, or was settled by an agent that came to write: as if never put */
static bool is_hidden(const struct visit *v, const struct block *block)
{
	const struct copy *copy = &block->copies[0];
	uint64_t at = entry_offset(v->base, copy);
	const struct hurt *h = v->hurt;
	bool may_be_blank = copy->use == USE_OPEN || (copy->use == USE_PARKED && v->out->writing);

	if (block->copy_count != 1 || !may_be_blank || h->offset > at || h->offset + h->length < at + ENTRY_BYTES)
		return false;
	for (uint32_t i = 0; i < ENTRY_BYTES; i++)
		if (h->after[at - h->offset + i])
			return false;
	return true;
}

/*
 * Every segment where it lay has been opened anew, or is emptied: no table tells of what was damaged there any more.  What of it was not
 * damaged was evicted, and judge_losses() looks whether that many were.
 */
static bool is_given_up(const struct visit *v, const struct block *block)
{
	for (uint32_t i = 0; i < block->copy_count; i++)
		if (visit_generation(v, block->copies[i].segment) == v->base->generations[block->copies[i].segment])
			return false;
	return true;
}

/* ---- get ---- */

/* did the bytes come from a put of this very key that was its last? */
static void compare(struct visit *v, const struct block *block, const uint8_t *bytes, int64_t length,
		    const uint8_t *meta, size_t meta_length)
{
	static uint8_t expected[BLOCK_SIZE];
	uint8_t expected_meta[MEMKV_META_MAX];
	const uint8_t *payload = block->payload;

	if (!payload) {
		block_fill(block->number, block->version, expected);
		payload = expected;
	}
	if (length != block_length(block->number, block->version) || memcmp(bytes, payload, (size_t)length) != 0) {
		v->out->wrong++;
		fault(v, "get of block %u: WRONG BYTES", block->number);
	} else if (meta_length != block_meta(block->number, expected_meta) ||
		   memcmp(meta, expected_meta, meta_length) != 0) {
		v->out->wrong++;
		fault(v, "get of block %u: WRONG METADATA", block->number);
	}
}

static struct block block_of(const struct visit *v, uint32_t number)
{
	struct block fresh = {.number = number, .fate = FATE_LIVE};

	if (number < v->base->block_count)
		return v->base->blocks[number];
	block_key(number, &fresh.key);
	return fresh;
}

bool visit_get(struct visit *v, struct memkv_pool *pool, uint32_t number)
{
	struct block block = block_of(v, number);
	uint8_t meta[MEMKV_META_MAX], *to = buffer + (number % 3 == 0 ? 11 : 0);
	struct memkv_get_options options = {.size = sizeof(options), .meta = meta, .meta_room = sizeof(meta)};
	bool exact = number % 2 && block.fate == FATE_LIVE;
	size_t room = exact ? block_length(number, block.version) : BLOCK_SIZE;

	options.flags = exact ? 0 : MEMKV_GET_UPTO;
	memset(to, 0xEE, 64);
	int64_t got = memkv_get(pool, &block.key, to, room, &options);
	if (got == MEMKV_MISS) {
		v->misses++;
		return false;
	}
	if (got <= 0) {
		fault(v, "get of block %u: %s", number, memkv_code_name((int)got));
		return false;
	}
	if (block.fate != FATE_LIVE)
		fault(v, "get of block %u: it was %s, and is back", number,
		      block.fate == FATE_REMOVED ? "removed" : "evicted or never put");
	compare(v, &block, to, got, meta, options.meta_length);
	return true;
}

static void get_all(struct visit *v, struct memkv_pool *pool)
{
	const struct base *base = v->base;
	struct memkv_counters c;

	v->misses = 0;
	for (uint32_t i = 0; i < base->block_count; i++)
		v->lost[i] = !visit_get(v, pool, i) && base->blocks[i].fate == FATE_LIVE;
	memkv_pool_counters(pool, &c);
	if (c.miss_absent + c.miss_expired + c.miss_removed + c.miss_damaged + c.miss_reclaimed + c.miss_io !=
	    v->misses)
		fault(v, "misses are not counted one by one");
}

/* three pieces in one call: first bytes, somewhere, last bytes */
static void get_ranges(struct visit *v, struct memkv_pool *pool, const struct block *block)
{
	static uint8_t pieces[RANGES][256];
	uint64_t length = block->length, piece = min_u64(sizeof(pieces[0]), length);
	uint64_t middle = mix(v->seed + block->number) % (length - piece + 1);
	struct memkv_range ranges[RANGES] = {
		{length - piece, piece, pieces[0]}, {middle, piece, pieces[1]}, {0, piece, pieces[2]}};
	int64_t got = memkv_get_ranges(pool, &block->key, ranges, RANGES);

	if (got == MEMKV_MISS && (v->lost[block->number] || v->under))
		return;
	if (got != (int64_t)length) {
		fault(v, "get_ranges of block %u: %s, though get returned it", block->number,
		      memkv_code_name((int)got));
		return;
	}
	for (int i = 0; i < RANGES; i++) {
		if (memcmp(pieces[i], block->payload + ranges[i].offset, piece) == 0)
			continue;
		v->out->wrong++;
		fault(v, "get_ranges of block %u: WRONG BYTES", block->number);
	}
}

static void stat_block(struct visit *v, struct memkv_pool *pool, const struct block *block)
{
	struct memkv_block_info info;
	char session[MEMKV_SESSION_MAX + 1];
	int err = memkv_stat(pool, &block->key, &info);

	block_session(block->number, session);
	if (err == MEMKV_MISS && v->lost[block->number])
		return;
	if (err)
		fault(v, "stat of block %u: %s", block->number, memkv_code_name(err));
	else if (info.length != block->length || info.class_id != block_class(block->number) ||
		 strcmp(info.session, session) != 0 || info.depth != block->number % 100 ||
		 info.has_parent != (block->number % 3 == 1))
		fault(v, "stat of block %u: it is described wrongly", block->number);
}

/* ---- ls and match ---- */

static void list(struct visit *v, struct memkv_pool *pool)
{
	const struct base *base = v->base;
	struct memkv_block_info info;
	struct memkv_iter *it;
	uint32_t fresh = 0;

	memset(v->listed, 0, base->block_count);
	if (memkv_iter_open(pool, NULL, &it)) {
		fault(v, "ls: %s", memkv_error_detail());
		return;
	}
	while (memkv_iter_next(it, &info)) {
		const struct block *block = base_find(base, &info.key);
		if (!block) {
			fresh++;
			continue;
		}
		if (block->fate != FATE_LIVE)
			fault(v, "ls: block %u is back", block->number);
		if (v->listed[block->number])
			fault(v, "ls: block %u twice", block->number);
		v->listed[block->number] = true;
		if (block->fate == FATE_LIVE &&
		    (info.length != block->length || info.class_id != block_class(block->number)))
			fault(v, "ls: block %u is described wrongly", block->number);
	}
	memkv_iter_close(it);
	if (fresh > v->fresh)
		fault(v, "ls: %u blocks that nobody put", fresh - v->fresh);
	uint64_t missing = 0;
	for (uint32_t i = 0; i < base->block_count; i++)
		if (base->blocks[i].fate == FATE_LIVE && !v->listed[i] && !block_hit(v, &base->blocks[i], true) &&
		    ++missing > v->evicted)
			fault(v, "ls: block %u is missing", i);
}

static void match(struct visit *v, struct memkv_pool *pool)
{
	const struct base *base = v->base;
	struct memkv_key chain[64];
	uint32_t length = 0;
	uint64_t missing = 0;

	for (uint32_t i = 0; i < base->block_count; i++) {
		const struct block *block = &base->blocks[i];
		int there = memkv_match(pool, &block->key, 1, 0);
		if (there < 0 || there > 1)
			fault(v, "match: %d", there);
		if (there && block->fate != FATE_LIVE)
			fault(v, "match: block %u is back", i);
		if (!there && block->fate == FATE_LIVE && !block_hit(v, block, true) && ++missing > v->evicted)
			fault(v, "match: block %u is missing", i);
		if (there && length < ARRAY_COUNT(chain))
			chain[length++] = block->key;
	}
	if (memkv_match(pool, chain, length, MEMKV_LOOK_FRESH) != (int)length)
		fault(v, "match: a chain of blocks that are there breaks");
}

/* ---- check ---- */

static void note_bad(void *context, const struct memkv_key *key, uint64_t page, const char *why)
{
	struct visit *v = context;
	const struct block *block = base_find(v->base, key);

	if (v->verbose)
		printf("  check: block %d at page %llu: %s\n", block ? (int)block->number : -1,
		       (unsigned long long)page, why);
	if (block)
		v->named[block->number] = true;
}

static void check(struct visit *v, struct memkv_pool *pool)
{
	const struct hurt *h = v->hurt;
	struct memkv_check_options options = {.size = sizeof(options), .bad_block = note_bad, .context = v};
	struct memkv_check_report report;
	uint32_t unnamed = 0;

	memset(v->named, 0, v->base->block_count);
	if (memkv_pool_check(pool, &options, &report)) {
		fault(v, "check: %s", memkv_error_detail());
		return;
	}
	v->out->found = report.bad || report.records_bad;
	if (v->verbose)
		printf("  check: %llu blocks, %llu bad, records %llu bad, %llu mended, %llu gone\n",
		       (unsigned long long)report.blocks, (unsigned long long)report.bad,
		       (unsigned long long)report.records_bad, (unsigned long long)report.records_mended,
		       (unsigned long long)report.gone);
	if (report.gone)
		fault(v, "check: %u blocks vanished", (unsigned)report.gone);
	for (uint32_t i = 0; i < v->base->block_count; i++) {
		if (v->lost[i] && !v->named[i] && !is_given_up(v, &v->base->blocks[i]))
			unnamed++;
		if (v->named[i] && !block_hit(v, &v->base->blocks[i], true))
			fault(v, "check: block %u is called bad, but nothing of it was damaged", i);
	}
	if (unnamed > report.records_bad + v->out->hidden)
		fault(v, "check: %u lost blocks, of which it names none and counts %u bad records", unnamed,
		      (unsigned)report.records_bad);
	if (v->out->found && (h->idle || (h->length == 1 && h->spot == SPOT_UNUSED)))
		fault(v, "check: finds damage where there is none that matters");
}

/* ---- all of it ---- */

static void judge_losses(struct visit *v)
{
	const struct hurt *h = v->hurt;
	struct outcome *out = v->out;

	uint64_t unhurt = 0;

	out->touched = out->lost = out->hidden = 0;
	for (uint32_t i = 0; i < v->base->block_count; i++) {
		const struct block *block = &v->base->blocks[i];
		out->touched += block->fate == FATE_LIVE && block_hit(v, block, false);
		if (!v->lost[i])
			continue;
		out->lost++;
		out->hidden += is_hidden(v, block) && !is_given_up(v, block);
		if (v->verbose)
			printf("  lost: block %u in segment %u, index %u\n", i, (unsigned)block->copies[0].segment,
			       block->copies[0].index);
		if (!block_hit(v, block, true) && ++unhurt > v->evicted)
			fault(v, "block %u is lost, though another source tells what was damaged", i);
	}
	bool own_bytes = h->spot == SPOT_BLOCK_HEADER || h->spot == SPOT_PAYLOAD;
	if (h->kind == HURT_BIT && out->lost > (own_bytes ? 1 : 0))
		fault(v, "one flipped bit in %s cost %u blocks", spot_name(h->spot), out->lost);
}

void visit_look(struct visit *v, struct memkv_pool *pool)
{
	const struct base *base = v->base;
	bool check_first = mix(v->seed + 5) % 3 == 0;

	struct memkv_counters c;

	memkv_pool_counters(pool, &c);
	v->evicted = c.evicted_blocks;
	memset(v->lost, 0, base->block_count);
	list(v, pool);
	match(v, pool);
	if (check_first)
		check(v, pool); /* and again below, when it is known what is lost */
	get_all(v, pool);
	judge_losses(v);
	for (uint32_t i = (uint32_t)v->seed % RANGES_EVERY; i < base->block_count; i += RANGES_EVERY)
		if (base->blocks[i].fate == FATE_LIVE)
			get_ranges(v, pool, &base->blocks[i]);
	for (uint32_t i = (uint32_t)v->seed % STAT_EVERY; i < base->block_count; i += STAT_EVERY)
		if (base->blocks[i].fate == FATE_LIVE)
			stat_block(v, pool, &base->blocks[i]);
	check(v, pool);
}
