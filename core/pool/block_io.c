/* SPDX-License-Identifier: Apache-2.0 */
/* See block_io.h. */
#include "core/pool/block_io.h"
#include "core/base/environ.h"
#include "core/format/cells.h"

#include <string.h>

enum { STATE_START, STATE_HEADER, STATE_WHOLE, STATE_STAGED, STATE_LIFE, STATE_WRITTEN };

void op_run(struct op *op)
{
	while (op->step(op) == OP_WAIT)
		while (!lane_idle(op->lane))
			lane_advance(op->lane);
}

static bool reachable(const struct lane *lane, const void *memory)
{
	return (uintptr_t)memory % lane->media->caps.memory_align == 0;
}

/* ---- reading ---- */

static enum op_progress read_done(struct block_read *r, enum block_verdict verdict)
{
	r->verdict = verdict;
	return OP_DONE;
}

static uint64_t header_bytes(const struct block_read *r)
{
	return (uint64_t)r->place.header_pages * PAGE;
}

/* could a block of this many pages have the size that the caller expects? */
static bool size_possible(const struct block_read *r)
{
	return r->upto ? (uint64_t)(r->place.pages - 1) * PAGE < r->length : block_pages(r->length) == r->place.pages;
}

/* whole pages that fit into the caller's memory; the last one may have to go through the lane */
static uint64_t body_bytes(const struct block_read *r)
{
	uint64_t pages = r->place.pages;

	return (r->length >= pages * PAGE ? pages : pages - 1) * PAGE;
}

/* ---- the life word ---- */

static bool mirrored(const struct block_read *r)
{
	return !r->pool->media->caps.mappable;
}

static uint64_t segment_of(const struct block_read *r)
{
	return layout_segment_of(&r->pool->control.layout, r->place.page);
}

static uint64_t entry_offset(const struct block_read *r, uint32_t index)
{
	return layout_table(&r->pool->control.layout, segment_of(r)) + PAGE + (uint64_t)index * ENTRY_BYTES;
}

static uint64_t entry_block(const struct block_read *r, uint32_t index)
{
	return round_down(entry_offset(r, index), PAGE);
}

static void join_life(struct block_read *r, uint64_t block)
{
	r->life_asked = true;
	r->life_block = block;
	lane_join(r->op.lane, block, r->op.lane->life, PAGE);
}

/*
 * Blocks are often alike, and a block of a table holds 32 entries: then the place of the payload tells the place of
 * the entry well enough to read both at once.  Where guesses fail, they are soon rare.
 */
enum { GUESSES_TRUSTED = 16, GUESS_ANYWAY = 64 };

static void guess_life(struct block_read *r)
{
	struct memkv_pool *pool = r->pool;
	uint64_t first = layout_segment(&pool->control.layout, segment_of(r)) / PAGE + 1;
	uint64_t index = (r->place.page - first) / (r->place.header_pages + r->place.pages);

	if (!mirrored(r) || r->place.page < first || index >= pool->sb.geo.entries)
		return;
	if (atomic_load_explicit(&pool->life_guesses, memory_order_relaxed) < 0 && (r->place.page & (GUESS_ANYWAY - 1)))
		return;
	join_life(r, entry_block(r, (uint32_t)index));
}

/* the header tells which entry it is: was the guess right? */
static bool guessed(struct block_read *r, uint32_t index)
{
	bool right = r->life_asked && r->life_block == entry_block(r, index);
	int trust = atomic_load_explicit(&r->pool->life_guesses, memory_order_relaxed);

	if (r->life_asked && right && trust < GUESSES_TRUSTED)
		atomic_store_explicit(&r->pool->life_guesses, trust + 1, memory_order_relaxed);
	if (r->life_asked && !right && trust > -GUESSES_TRUSTED)
		atomic_store_explicit(&r->pool->life_guesses, trust - 1, memory_order_relaxed);
	return right;
}

/* the header has landed: one more command for the entry's block, in which its life word stands */
static void ask_life_early(struct block_read *r)
{
	uint32_t index = block_header_index(r->op.lane->header);

	if (!mirrored(r) || r->by_index || index >= r->pool->sb.geo.entries || guessed(r, index) || r->life_asked)
		return; /* a wrong guess is on the way to the same memory: ask when it has landed */
	join_life(r, entry_block(r, index));
	lane_kick(r->op.lane);
}

/* false: it has been read for this very entry already */
static bool ask_life(struct block_read *r)
{
	struct iovec piece = {r->op.lane->life, PAGE};
	uint64_t block = entry_block(r, r->header.index);

	if (r->life_asked && r->life_block == block)
		return false;
	r->life_asked = true;
	r->life_block = block;
	lane_begin(r->op.lane, MEDIA_READ, block, &piece, 1);
	return true;
}

/* a device's one writer, or who writes to this segment of a shared one, knows best */
static bool knows_best(const struct block_read *r)
{
	const struct control *c = &r->pool->control;

	if (c->shared)
		return c->share && c->share->writing(c->share_context, segment_of(r));
	return !mirrored(r) || !r->pool->read_only;
}

/*
 * The table's header from the medium, together with the block: what an entry said of a segment that was opened anew stays
 * there until the next entry in its place, and no removal meets it any more.
 */
static void ask_table(struct block_read *r)
{
	/* a writer that could not publish has a mirror that is ahead of what counts */
	r->table_asked = mirrored(r) && (!knows_best(r) || !control_published(&r->pool->control));
	if (r->table_asked)
		lane_join(r->op.lane, layout_table(&r->pool->control.layout, segment_of(r)), r->op.lane->table, PAGE);
}

/* does the table still describe the generation that the block is of?  Where its header is lost nobody knows, and it does */
static bool generation_stands(const struct block_read *r)
{
	const struct block_header *h = &r->header;
	const uint8_t *at = r->op.lane->table;
	struct table_header header;
	uint64_t check;

	/* the mirror need not have that table; but where a block is still on its way one of a generation before may lie there, of this key */
	if (r->by_index && !knows_best(r))
		return h->generation == follower_generation(&r->pool->follower, h->segment) || MUTANT(INDEX_OF_BEFORE);
	if (!r->table_asked || MUTANT(HEADER_FROM_MIRROR))
		return table_stands(&r->pool->control, h->segment, h->generation);
	memcpy(&check, at + CHECK_WORD * sizeof(check), sizeof(check));
	if (check == htole64(CHECK_WRITING))
		return false;
	return cell_blank(at, TABLE_HEADER_BYTES) ||
	       table_header_decode(at, h->segment, r->pool->sb.seed, &header) == CHECK_BAD ||
	       header.generation == h->generation;
}

static enum life life_of(const struct block_read *r)
{
	const struct block_header *h = &r->header;
	uint64_t raw;

	/* ... as far as its mirror has the entry; the rest of that reads as zero */
	enum life life = !knows_best(r) && !MUTANT(LIFE_FROM_MIRROR)
				 ? LIFE_OTHER
				 : table_life(&r->pool->control, h->segment, h->index, h->birth);
	if (!mirrored(r) || life != LIFE_OTHER)
		return life;
	if (r->by_index)
		return LIFE_LIVE;
	memcpy(&raw, r->op.lane->life + entry_offset(r, h->index) % PAGE + ENTRY_LIFE_OFFSET, sizeof(raw));
	return life_read(raw, h->birth);
}

/* ---- removals on shared devices ---- */

/*
 * A removal that was acknowledged stands in a log whose tail its author's cell tells.  The cells of all slots that were ever
 * used, and the first that was not, are read together with the block: so after that we know whether we know all of them.
 */
static void ask_cells(struct block_read *r)
{
	enum { PIECE = 64 };
	struct memkv_pool *pool = r->pool;

	if (!pool->control.shared || !r->op.lane->cells)
		return;
	r->cells = (uint32_t)min_u64(atomic_load(&pool->factbook.used), pool->sb.geo.slots);
	for (uint32_t n = 0; n < r->cells; n += PIECE)
		lane_join(r->op.lane, layout_slot_cell(&pool->control.layout, 0, n), r->op.lane->cells + (size_t)n * PAGE,
			  min_u64(r->cells - n, PIECE) * PAGE);
}

static bool cells_current(const struct block_read *r)
{
	const struct memkv_pool *pool = r->pool;
	struct slot_cell cell;
	uint32_t virgins = 0;

	/* our own cell says nothing once the slot may have passed on: a late heartbeat of ours may stand there, over its next holder's */
	if (pool->slot.epoch && !share_in_lease(pool) && !MUTANT(OWN_CELL_BELIEVED))
		return false;
	for (uint32_t n = 0; n < r->cells; n++) {
		const uint8_t *live = r->op.lane->cells + (size_t)n * PAGE;
		virgins++;
		if (cell_blank(live, CELL_LIVE))
			continue;
		virgins = 0;
		if (slot_cell_decode(live, n, 0, pool->sb.seed, &cell) == CHECK_BAD ||
			 !factbook_current(&pool->factbook, &cell))
			return false;
	}
	return r->cells == pool->sb.geo.slots || virgins >= LEASE_STEP;
}

/* BLOCK_GOOD: it was not, before the read began; BLOCK_IO: nobody can tell now */
static enum block_verdict removed_by_anybody(struct block_read *r)
{
	struct factbook *book = &r->pool->factbook;

	if (!r->pool->control.shared)
		return BLOCK_GOOD;
	bool known = r->by_index || cells_current(r) || factbook_refresh(book) || MUTANT(LOGS_UNREAD);
	if (factbook_removed(book, r->header.key, r->header.birth))
		return BLOCK_REMOVED;
	return known ? BLOCK_GOOD : BLOCK_IO;
}

/* may the block be handed out? (life word and, unless any_time, expiry) */
static enum block_verdict alive(struct block_read *r)
{
	const struct block_header *h = &r->header;
	enum life life = life_of(r);

	r->sent = life == LIFE_SENT;
	if (!life_counts(life))
		return life == LIFE_REMOVED ? BLOCK_REMOVED : life == LIFE_MOVING ? BLOCK_MOVING : BLOCK_MISMATCH;
	/* a place that was given up keeps its life word: whoever removes the block afterwards does not come here */
	if (!MUTANT(GENERATION_UNSEEN) && !generation_stands(r))
		return BLOCK_MISMATCH;
	enum block_verdict stated = removed_by_anybody(r);
	if (stated != BLOCK_GOOD)
		return stated;
	if (!r->any_time && h->expires_s && clock_utc_s() >= h->expires_s)
		return BLOCK_EXPIRED;
	return BLOCK_GOOD;
}

static enum op_progress judged(struct block_read *r)
{
	enum block_verdict verdict = MUTANT(LIFE_UNSEEN) ? BLOCK_GOOD : alive(r);

	return read_done(r, verdict == BLOCK_GOOD ? r->otherwise : verdict);
}

/* all is verified: what remains is whether it lives.  @otherwise: the verdict when it does */
static enum op_progress judge(struct block_read *r, enum block_verdict otherwise)
{
	if (r->header.segment != segment_of(r) || r->header.index >= r->pool->sb.geo.entries)
		return read_done(r, BLOCK_MISMATCH);
	r->otherwise = otherwise;
	if (!mirrored(r) || r->by_index || !ask_life(r))
		return judged(r);
	r->state = STATE_LIFE;
	return OP_WAIT;
}

/* ---- header and payload ---- */

/* payload bytes have landed: digest the chunks that are whole in them, while the rest is on the way */
static void digest_landed(void *context, uint64_t offset, uint64_t length)
{
	struct block_read *r = context;
	uint64_t end = offset + length;

	if (offset == 0)
		ask_life_early(r);
	for (uint64_t at = round_up(offset, r->chunk_bytes); at + r->chunk_bytes <= end; at += r->chunk_bytes) {
		uint64_t chunk = at / r->chunk_bytes;
		r->op.lane->digests[chunk] = chunk_digest(r->to + at, r->chunk_bytes);
		r->digested[chunk / 64] |= 1ULL << chunk % 64;
	}
}

static enum op_progress read_start(struct block_read *r)
{
	struct lane *lane = r->op.lane;
	uint64_t body = body_bytes(r), all = (uint64_t)r->place.pages * PAGE;
	struct iovec pieces[MEDIA_IO_PIECES] = {{lane->header, header_bytes(r)}};
	uint32_t count = 1;

	if (r->place.header_pages == 0 || r->place.header_pages > LANE_HEADER_PAGES)
		return read_done(r, BLOCK_MISMATCH);
	if (!r->to || !size_possible(r)) {
		r->state = STATE_HEADER;
	} else if (reachable(lane, r->to)) {
		pieces[count++] = (struct iovec){r->to, body};
		pieces[count++] = (struct iovec){lane->tail, all - body};
		r->state = STATE_WHOLE;
	} else {
		pieces[count++] = (struct iovec){lane->staging, min_u64(all, LANE_STAGING)};
		r->state = STATE_STAGED;
	}
	lane_begin(lane, MEDIA_READ, r->place.page * PAGE, pieces, count);
	if (r->state == STATE_WHOLE && !r->upto) {
		r->chunk_bytes = chunk_bytes_for(r->length);
		lane_watch(lane, digest_landed, r);
	}
	if (!r->by_index) {
		ask_table(r);
		guess_life(r);
		ask_cells(r);
	}
	return OP_WAIT;
}

/* is what was read the header of the block that we are looking for, at this very place? */
static bool header_is_ours(struct block_read *r)
{
	return block_header_decode(r->op.lane->header, header_bytes(r), r->place.page, r->pool->sb.seed, &r->header) &&
	       r->header.header_pages == r->place.header_pages && block_pages(r->header.length) == r->place.pages &&
	       memcmp(r->header.key, r->key, sizeof(r->header.key)) == 0;
}

static bool size_right(const struct block_read *r)
{
	return r->upto ? r->header.length <= r->length : r->header.length == r->length;
}

/* a chunk's digest: known since it landed, when the block is cut as expected; else of the bytes in memory */
static uint64_t digest_of(const struct block_read *r, uint32_t chunk)
{
	uint64_t offset;
	uint32_t length;

	chunk_extent(&r->header, chunk, &offset, &length);
	if (r->chunk_bytes == r->header.chunk_bytes && length == r->chunk_bytes && chunk < 256 &&
	    r->digested[chunk / 64] >> chunk % 64 & 1)
		return r->op.lane->digests[chunk];
	return chunk_digest(r->to + offset, length);
}

static enum op_progress read_verify(struct block_read *r)
{
	const struct block_header *h = &r->header;

	for (uint32_t i = 0; i < h->chunks; i++)
		if (chunk_bind(digest_of(r, i), h->key, h->birth, i) != le64_get(h->digests[i]))
			return read_done(r, BLOCK_MISMATCH);
	return judge(r, BLOCK_GOOD);
}

static enum op_progress read_header_done(struct block_read *r)
{
	if (!header_is_ours(r))
		return read_done(r, BLOCK_MISMATCH);
	return judge(r, r->to ? BLOCK_SIZE : BLOCK_GOOD);
}

static enum op_progress read_whole_done(struct block_read *r)
{
	uint64_t body = body_bytes(r);

	if (!header_is_ours(r))
		return read_done(r, BLOCK_MISMATCH);
	if (!size_right(r))
		return read_done(r, BLOCK_SIZE);
	if (r->header.length > body)
		memcpy(r->to + body, r->op.lane->tail, r->header.length - body);
	return read_verify(r);
}

static enum op_progress read_staged_piece(struct block_read *r)
{
	struct lane *lane = r->op.lane;

	if (r->done == 0) {
		if (!header_is_ours(r))
			return read_done(r, BLOCK_MISMATCH);
		if (!size_right(r))
			return read_done(r, BLOCK_SIZE);
	}
	uint64_t piece = min_u64(r->header.length - r->done, LANE_STAGING);
	memcpy(r->to + r->done, lane->staging, piece);
	r->done += piece;
	if (r->done == r->header.length)
		return read_verify(r);
	struct iovec next = {lane->staging, min_u64(round_up(r->header.length - r->done, PAGE), LANE_STAGING)};
	lane_begin(lane, MEDIA_READ, (r->place.page + r->place.header_pages) * PAGE + r->done, &next, 1);
	return OP_WAIT;
}

static enum op_progress read_step(struct op *op)
{
	struct block_read *r = CONTAINER_OF(op, struct block_read, op);

	if (r->state == STATE_START)
		return read_start(r);
	if (op->lane->transfer.result)
		return read_done(r, BLOCK_IO);
	switch (r->state) {
	case STATE_LIFE:
		return judged(r);
	case STATE_HEADER:
		return read_header_done(r);
	case STATE_WHOLE:
		return read_whole_done(r);
	default:
		return read_staged_piece(r);
	}
}

void block_read_init(struct block_read *read, struct memkv_pool *pool, struct lane *lane, const uint8_t *key,
		     struct place place)
{
	*read = (struct block_read){
		.op = {.step = read_step, .lane = lane}, .pool = pool, .key = key, .place = place};
}

bool block_kept(const struct block_read *read)
{
	factbook_poll(&read->pool->factbook); /* what was acknowledged has rung */
	return factbook_pins(&read->pool->factbook, read->header.key, read->header.session_id);
}

/* ---- pieces ---- */

static bool touches(const struct memkv_range *range, uint64_t offset, uint32_t length)
{
	return range->length && range->offset < offset + length && offset < range->offset + range->length;
}

static void copy_touched(const struct memkv_range *range, uint64_t offset, uint32_t length, const uint8_t *bytes)
{
	uint64_t from = max_u64(range->offset, offset);
	uint64_t to = min_u64(range->offset + range->length, offset + length);

	memcpy((uint8_t *)range->dst + (from - range->offset), bytes + (from - offset), to - from);
}

/*
 * One chunk through the staging memory.  Uniform chunks begin on pages and are at most as large as it; larger ones
 * come only with writer-chosen ends, which no caller can choose yet.
 */
static enum block_verdict read_chunk(struct block_read *r, uint32_t chunk, const uint8_t **bytes)
{
	struct lane *lane = r->op.lane;
	uint64_t offset;
	uint32_t length;

	chunk_extent(&r->header, chunk, &offset, &length);
	uint64_t first = round_down(offset, PAGE), end = round_up(offset + length, PAGE);
	if (end - first > LANE_STAGING)
		return BLOCK_MISMATCH;
	struct iovec piece = {lane->staging, end - first};
	if (lane_transfer(lane, MEDIA_READ, (r->place.page + r->place.header_pages) * PAGE + first, &piece, 1))
		return BLOCK_IO;
	*bytes = lane->staging + (offset - first);
	uint64_t digest = chunk_bind(chunk_digest(*bytes, length), r->header.key, r->header.birth, chunk);
	return digest == le64_get(r->header.digests[chunk]) ? BLOCK_GOOD : BLOCK_MISMATCH;
}

enum block_verdict block_read_ranges(struct block_read *r, const struct memkv_range *ranges, size_t count)
{
	op_run(&r->op);
	if (r->verdict != BLOCK_GOOD)
		return r->verdict;
	for (size_t i = 0; i < count; i++)
		if (ranges[i].offset > r->header.length || ranges[i].length > r->header.length - ranges[i].offset)
			return BLOCK_SIZE;
	for (uint32_t chunk = 0; chunk < r->header.chunks; chunk++) {
		uint64_t offset;
		uint32_t length;
		const uint8_t *bytes = NULL;
		chunk_extent(&r->header, chunk, &offset, &length);
		for (size_t i = 0; i < count; i++) {
			if (!touches(&ranges[i], offset, length))
				continue;
			enum block_verdict verdict = bytes ? BLOCK_GOOD : read_chunk(r, chunk, &bytes);
			if (verdict != BLOCK_GOOD)
				return verdict;
			copy_touched(&ranges[i], offset, length, bytes);
		}
	}
	r->life_asked = false; /* look once more, after the bytes */
	if (mirrored(r) && ask_life(r))
		while (!lane_idle(r->op.lane))
			lane_advance(r->op.lane);
	return r->op.lane->transfer.result ? BLOCK_IO : alive(r);
}

enum block_verdict block_read_bytes(struct block_read *r)
{
	const uint8_t *bytes;

	op_run(&r->op);
	for (uint32_t chunk = 0; r->verdict == BLOCK_GOOD && chunk < r->header.chunks; chunk++)
		r->verdict = read_chunk(r, chunk, &bytes);
	return r->verdict;
}

/* ---- writing ---- */

static enum op_progress write_start(struct block_write *w)
{
	struct lane *lane = w->op.lane;
	uint64_t body = round_down(w->length, PAGE), all = round_up(w->length, PAGE);
	uint64_t header = w->header_later ? 0 : (uint64_t)w->header_pages * PAGE;
	uint64_t at = w->header_later ? w->page + w->header_pages : w->page;
	struct iovec pieces[MEDIA_IO_PIECES] = {{lane->header, header}};
	uint32_t count = 1;

	if (reachable(lane, w->from)) {
		if (all > body) {
			memcpy(lane->tail, w->from + body, w->length - body);
			memset(lane->tail + (w->length - body), 0, all - w->length);
		}
		pieces[count++] = (struct iovec){(void *)(uintptr_t)w->from, body};
		pieces[count++] = (struct iovec){lane->tail, all - body};
		w->done = w->length;
	}
	w->state = STATE_WRITTEN;
	lane_begin(lane, MEDIA_WRITE, at * PAGE, pieces, count);
	return OP_WAIT;
}

bool block_write_direct(const struct lane *lane, const void *from)
{
	return reachable(lane, from);
}

static enum op_progress write_step(struct op *op)
{
	struct block_write *w = CONTAINER_OF(op, struct block_write, op);
	struct lane *lane = op->lane;

	if (w->state == STATE_START)
		return write_start(w);
	w->result = lane->transfer.result;
	if (w->result || w->done == w->length)
		return OP_DONE;
	/* memory that the medium cannot reach goes through the lane, a piece at a time */
	uint64_t piece = min_u64(w->length - w->done, LANE_STAGING), padded = round_up(piece, PAGE);
	memcpy(lane->staging, w->from + w->done, piece);
	memset(lane->staging + piece, 0, padded - piece);
	struct iovec next = {lane->staging, padded};
	lane_begin(lane, MEDIA_WRITE, (w->page + w->header_pages) * PAGE + w->done, &next, 1);
	w->done += piece;
	return OP_WAIT;
}

void block_write_init(struct block_write *write, struct lane *lane, uint64_t page, uint32_t header_pages,
		      const void *from, uint64_t length)
{
	*write = (struct block_write){
		.op = {.step = write_step, .lane = lane},
		.page = page,
		.header_pages = header_pages,
		.from = from,
		.length = length,
	};
}

/* ---- heat ---- */

unsigned heat_read(const struct memkv_pool *pool, uint64_t segment, uint32_t page_in_segment)
{
	unsigned heat = atomic_load_explicit(control_heat(&pool->control, segment, page_in_segment), memory_order_relaxed);

	return heat < HEAT_MAX ? heat : HEAT_MAX; /* more was never written: damage must not keep a block for ever */
}

void heat_set(const struct memkv_pool *pool, uint64_t segment, uint32_t page_in_segment, unsigned heat)
{
	atomic_store_explicit(control_heat(&pool->control, segment, page_in_segment), (uint8_t)heat, memory_order_relaxed);
}

void heat_touch(const struct memkv_pool *pool, struct place place)
{
	const struct layout *layout = &pool->control.layout;
	uint64_t segment = layout_segment_of(layout, place.page);
	uint32_t page = (uint32_t)(place.page - (layout_segment(layout, segment) >> PAGE_SHIFT));

	if (pool->read_only)
		return;
	unsigned heat = heat_read(pool, segment, page);
	if (heat < HEAT_MAX)
		heat_set(pool, segment, page, heat + 1);
}
