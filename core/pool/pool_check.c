/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check: verify every structure and read every block, while the pool is in use.
 *
 * What changes under the check is not damage: a block that fails is looked up again, and only when it still should
 * be there it is bad.  Cells, words and headers that others may be writing right now are read again before they are
 * counted.
 */
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/format/cells.h"
#include "core/pool/block_io.h"
#include "core/slot/own.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { REREADS = 4 };

struct check {
	struct memkv_pool *pool;
	const struct memkv_check_options *options;
	struct memkv_check_report *report;
	struct lane *lane;
	uint8_t *payload;
	uint64_t segment, generation; /* at hand */
	bool settled;		      /* nobody is writing to it any more */
	bool closed;		      /* besides, every place in its table was settled by whoever wrote to it */
	struct entry *entries;	      /* its live blocks */
	uint32_t count;
	uint64_t bad, mended; /* records, until it is known that the segment stayed what it was */
};

static void record(struct check *check, bool bad, bool mended)
{
	check->report->records_bad += bad;
	check->report->records_mended += bad && mended;
}

/* ---- structures ---- */

static void check_slots(struct check *check)
{
	struct memkv_pool *pool = check->pool;
	struct slot_cell cell;

	for (uint32_t n = 0; n < pool->sb.geo.slots; n++) {
		enum check_result result = CHECK_BAD;
		for (int i = 0; i < REREADS && result != CHECK_GOOD; i++)
			result = slot_refresh(&pool->control, n) ? slot_read(&pool->control, n, &cell) : CHECK_BAD;
		record(check, result != CHECK_GOOD, result == CHECK_MENDED);
	}
}

/* rings and checkpoints, read from the start by somebody who knows nothing yet */
static int check_logs(struct check *check)
{
	struct ledger ledger;

	if (ledger_open(&ledger, &check->pool->control))
		return fail(-ENOMEM, "%s: no memory to check the logs", check->pool->media->path);
	uint64_t damaged = atomic_load(&ledger.damaged), mended = atomic_load(&ledger.mended);
	check->report->records_bad += damaged + mended;
	check->report->records_mended += mended;
	ledger_close(&ledger);
	return 0;
}

static bool owner_word_good(const struct control *c, uint64_t segment)
{
	struct owned owned;

	for (int i = 0; i < REREADS; i++)
		if (own_refresh(c, segment) && own_look(c, segment, &owned))
			return true;
	return false;
}

/* the header page in front of the segment's blocks says the same as the table */
static void check_segment_header(struct check *check, const struct table_header *header)
{
	struct memkv_pool *pool = check->pool;
	struct iovec piece = {check->lane->header, PAGE};
	struct segment_header found;
	struct table_header again;

	int err = lane_transfer(check->lane, MEDIA_READ, layout_segment(&pool->control.layout, check->segment), &piece, 1);
	bool good = !err &&
		    segment_header_decode(check->lane->header, check->segment, pool->sb.seed, &found) &&
		    found.generation == header->generation;
	if (good) {
		segment_header_encode(&found, pool->sb.seed, check->lane->tail);
		good = memcmp(check->lane->header, check->lane->tail, SEGMENT_HEADER_LIVE) == 0; /* no bit was mended */
	}
	if (!good && table_refresh_header(&pool->control, check->segment) &&
	    table_header(&pool->control, check->segment, &again) != CHECK_BAD &&
	    again.generation != header->generation)
		return; /* reopened meanwhile */
	if (!good && !check->closed)
		return; /* just being opened, or its opener died at it: the page follows the table */
	record(check, !good, true);
}

static void note(struct check *check, bool bad, bool mended)
{
	check->bad += bad;
	check->mended += bad && mended;
}

static void note_entry(void *context, uint32_t index, enum entry_state state, const struct entry *e, bool mended)
{
	struct check *check = context;
	const struct control *c = &check->pool->control;

	note(check, (state == ENTRY_DAMAGED && check->settled) || (state == ENTRY_NOT_YET && check->closed), false);
	if (state != ENTRY_HERE)
		return;
	note(check, mended, true);
	if (e->flags & ENTRY_VOID)
		return;
	enum life life = table_life(c, check->segment, index, e->birth);
	note(check, !table_life_exact(c, check->segment, index, e->birth), life != LIFE_OTHER);
	if (life_counts(life) && !(e->expires_s && e->expires_s <= clock_utc_s()))
		check->entries[check->count++] = *e;
}

/* ---- blocks ---- */

static bool landed(const struct check *check, enum life life)
{
	return life == LIFE_LIVE || life == LIFE_REMOVING || (life == LIFE_SENT && check->closed);
}

/*
 * Should this very block still be there?  One that was sent together with its entry may never have landed, as long as
 * nobody has continued or closed its segment.
 */
static bool still_there(const struct check *check, const struct entry *e)
{
	struct follower *f = &check->pool->follower;
	struct table_header header;
	bool mended;

	pthread_mutex_lock(&f->lock);
	bool there = table_refresh(f->control, check->segment) &&
		     table_header_known(f->control, &f->recover, check->segment, &header, &mended) &&
		     header.generation == check->generation &&
		     landed(check, table_life(f->control, check->segment, e->index, e->birth));
	follower_give_back(f, check->segment);
	pthread_mutex_unlock(&f->lock);
	return there;
}

static const char *why_bad(enum block_verdict verdict, const struct check *check)
{
	if (verdict == BLOCK_IO)
		return "the medium answered with an error";
	return check->options->meta_only ? "its header does not verify" : "its bytes do not verify";
}

static void check_block(struct check *check, const struct entry *e)
{
	struct memkv_pool *pool = check->pool;
	struct block_read read;

	block_read_init(&read, pool, check->lane, e->key, place_of_entry(&pool->control, check->segment, e));
	read.any_time = true;
	if (!check->options->meta_only) {
		read.to = check->payload;
		read.length = e->length;
	}
	op_run(&read.op);
	bool good = read.verdict == BLOCK_GOOD && read.header.birth == e->birth;
	if (!good && !still_there(check, e)) {
		check->report->gone++;
		return;
	}
	check->report->blocks++;
	check->report->bytes += e->length;
	if (good)
		return;
	check->report->bad++;
	if (check->options->bad_block) {
		struct memkv_key key;
		memcpy(key.bytes, e->key, sizeof(key.bytes));
		check->options->bad_block(check->options->context, &key, read.place.page, why_bad(read.verdict, check));
	}
}

/* one look at the segment's table; false: it changed hands or was opened anew meanwhile, so nothing of it counts */
static bool read_table(struct check *check, struct table_header *header)
{
	struct memkv_pool *pool = check->pool;
	const struct control *c = &pool->control;
	const struct follower_recover *recover = &pool->follower.recover;
	struct owned owned, after;
	struct table_header again;
	enum check_result tail = CHECK_GOOD;
	bool mended, mended_again;

	check->count = 0;
	check->bad = check->mended = 0;
	bool known = table_refresh(c, check->segment) &&
		     table_header_known(c, recover, check->segment, header, &mended);
	check->generation = known ? header->generation : 0;
	note(check, !known || mended, known);
	if (!check->generation)
		return true;
	uint32_t places = table_count(c, check->segment, header->generation, &tail);
	bool owner_known = own_refresh(c, check->segment) && own_look(c, check->segment, &owned); /* after the count, before the entries: see follower.h */
	check->closed = owner_known && owned.word.state != OWNER_OPEN;
	check->settled = check->closed || (owner_known && own_resumable(c, &pool->slot, &owned));
	note(check, tail != CHECK_GOOD, true);
	bool read = table_refresh(c, check->segment);
	table_walk(c, recover, check->segment, header->generation, 0, places, note_entry, check);
	if (!read || !own_refresh(c, check->segment) || !table_refresh_header(c, check->segment))
		return false;
	bool final = table_count(c, check->segment, header->generation, NULL) == places || !check->closed;
	own_look(c, check->segment, &after);
	return final && after.raw == owned.raw && table_header_known(c, recover, check->segment, &again, &mended_again) &&
	       again.generation == header->generation;
}

static void check_segment(struct check *check)
{
	struct memkv_pool *pool = check->pool;
	struct table_header header;
	bool same = false;

	record(check, !owner_word_good(&pool->control, check->segment), true);
	pthread_mutex_lock(&pool->follower.lock); /* second sources; one segment's table at a time */
	for (int i = 0; i < REREADS && !same; i++)
		same = read_table(check, &header);
	follower_give_back(&pool->follower, check->segment);
	pthread_mutex_unlock(&pool->follower.lock);
	if (same) {
		check->report->records_bad += check->bad;
		check->report->records_mended += check->mended;
	}
	if (!check->generation)
		return;
	check_segment_header(check, &header);
	for (uint32_t i = 0; i < check->count; i++)
		check_block(check, &check->entries[i]);
}

static int run(struct check *check)
{
	uint64_t segments = check->pool->sb.geo.segments;

	record(check, check->pool->superblock_mended, true);
	check_slots(check);
	int err = check_logs(check);
	if (err)
		return err;
	for (check->segment = 0; check->segment < segments; check->segment++) {
		if (atomic_load(&check->pool->media->failed))
			return fail(MEMKV_FAILED, "%s: the pool's file is gone or was cut short", check->pool->media->path);
		check_segment(check);
		if (check->options->progress)
			check->options->progress(check->options->context, check->segment + 1, segments);
	}
	return 0;
}

int memkv_pool_check(struct memkv_pool *pool, const struct memkv_check_options *options,
		     struct memkv_check_report *report)
{
	struct memkv_check_options o = {.size = sizeof(o)};
	struct check check = {.pool = pool, .options = &o, .report = report};
	int err = pool_usable(pool);

	if (err)
		return err;
	if (!report)
		return fail(-EINVAL, "check: a place for the report is needed");
	if (options)
		memcpy(&o, options, min_u64(options->size, sizeof(o)));
	*report = (struct memkv_check_report){0};
	size_t bytes = round_up(pool->sb.geo.max_block, PAGE);
	check.entries = calloc(pool->sb.geo.entries, sizeof(*check.entries));
	check.payload = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (check.payload == MAP_FAILED || !check.entries) {
		err = fail(-ENOMEM, "%s: no memory for the check", pool->media->path);
	} else {
		check.lane = lane_acquire(&pool->lanes);
		follower_step(&pool->follower);
		err = run(&check);
		lane_release(&pool->lanes, check.lane);
	}
	if (check.payload != MAP_FAILED)
		munmap(check.payload, bytes);
	free(check.entries);
	return err;
}
