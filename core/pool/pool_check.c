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
#include "core/base/options_take.h"
#include "core/format/cells.h"
#include "core/pool/block_io.h"
#include "core/pool/check_watch.h"
#include "core/pool/deadline.h"
#include "core/pool/repair.h"
#include "core/slot/own.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { REREADS = 4 };

struct check {
	struct memkv_pool *pool;
	const struct memkv_check_options *options;
	struct memkv_check_report *report;
	struct lane *lane; /* while a piece is read */
	struct lane *own;  /* of a deputy, all the time; NULL: one of the pool's, piece by piece */
	uint8_t *payload;
	uint64_t segment, generation; /* at hand */
	bool settled;		      /* nobody is writing to it any more */
	bool closed;		      /* besides, every place in its table was settled by whoever wrote to it */
	struct entry *entries;	      /* its live blocks */
	uint32_t count;
	uint64_t bad, mended; /* records, until it is known that the segment stayed what it was */
	uint64_t chance;      /* of the sample: a block whose number is below it is read */
	uint64_t salt;
	uint64_t started_us, read_bytes; /* for the rate */
	bool stopped;
	bool repair;	    /* nobody else is attached, and what is found is put right */
	uint32_t next_page; /* of the segment: behind the last entry */
};

static void record(struct check *check, bool bad, bool mended)
{
	check->report->records_bad += bad;
	check->report->records_mended += bad && mended;
}

/* a record was bad: @right says that it is not any more */
static void repaired(struct check *check, bool right)
{
	check->report->repaired += right;
	check->report->left += !right;
}

/* piece by piece, so that gets and puts of the same handle come between */
static void take_lane(struct check *check) { check->lane = check->own ? check->own : lane_acquire(&check->pool->lanes); }

static void give_lane(struct check *check)
{
	if (!check->own)
		lane_release(&check->pool->lanes, check->lane);
}

/* ---- structures ---- */

static void check_slots(struct check *check)
{
	struct memkv_pool *pool = check->pool;
	struct slot_cell cell;

	for (uint32_t n = 0; n < pool->sb.geo.slots; n++) {
		enum check_result result = CHECK_BAD;
		for (int i = 0; i < REREADS && result != CHECK_GOOD; i++)
			result = share_read_cell(pool, n, &cell);
		record(check, result != CHECK_GOOD, result == CHECK_MENDED);
		if (check->repair && result != CHECK_GOOD)
			repaired(check, n != pool->slot.number && repair_slot(pool, n));
	}
}

/*
 * Rings and checkpoints, read from the start by somebody who knows nothing yet.  An agent that writes on meanwhile, or hands over to
 * the next in its slot, may overtake the reader: what is damaged stays so when it is read again.
 */
static int check_logs(struct check *check)
{
	uint64_t damaged = UINT64_MAX, mended = 0;

	for (int i = 0; i < REREADS && damaged; i++) {
		struct factbook factbook;
		if (factbook_open(&factbook, &check->pool->control))
			return fail(-ENOMEM, "%s: no memory to check the logs", check->pool->media->path);
		damaged = min_u64(damaged, atomic_load(&factbook.damaged));
		mended = atomic_load(&factbook.mended);
		factbook_close(&factbook);
	}
	check->report->records_bad += damaged + mended;
	check->report->records_mended += mended;
	check->report->left += check->repair ? damaged + mended : 0; /* until the ring comes round, and the next checkpoint */
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

/* ---- pace ---- */

enum { NAP_US = 50000 };

static void tell(struct check *check)
{
	const struct memkv_check_options *o = check->options;

	if (o->progress && o->progress(o->context, check->segment, check->pool->control.layout.segments))
		check->stopped = true;
}

/* in naps, so that whoever wants to stop the check does not wait long */
static void rest(struct check *check, uint64_t until_us)
{
	for (uint64_t now = clock_monotonic_us(); now < until_us && !check->stopped; now = clock_monotonic_us()) {
		uint64_t nap = min_u64(until_us - now, NAP_US);
		struct timespec pause = {.tv_sec = 0, .tv_nsec = (long)nap * 1000};
		nanosleep(&pause, NULL);
		if (nap == NAP_US)
			tell(check);
	}
}

/* a piece of @bytes was read since @from_us */
static void pace(struct check *check, uint64_t from_us, uint64_t bytes)
{
	const struct memkv_check_options *o = check->options;
	uint64_t now = clock_monotonic_us(), until = now;

	check->read_bytes += bytes;
	if (o->pause_percent)
		until = now + (now - from_us) * o->pause_percent / (100 - o->pause_percent);
	if (o->max_rate) {
		uint64_t due_us = (uint64_t)((double)check->read_bytes * 1e6 / (double)o->max_rate);
		until = max_u64(until, check->started_us + due_us);
	}
	rest(check, until);
}

static bool in_sample(const struct check *check, const struct entry *e)
{
	/* the finalizer of MurmurHash3: spreads what differs in few bits */
	uint64_t number = e->birth ^ check->salt;
	number = (number ^ number >> 33) * 0xff51afd7ed558ccdULL;
	number = (number ^ number >> 33) * 0xc4ceb9fe1a85ec53ULL;
	return (number ^ number >> 33) < check->chance;
}

/* the header page in front of the segment's blocks says the same as the table, or may differ at this moment */
static bool segment_header_fits(struct check *check, const struct table_header *header)
{
	struct memkv_pool *pool = check->pool;
	const struct control *c = &pool->control;
	struct iovec piece = {check->lane->header, PAGE};
	struct segment_header found;
	struct table_header again;
	struct owned owned;

	int err = lane_transfer(check->lane, MEDIA_READ, layout_segment(&c->layout, check->segment), &piece, 1);
	bool known = !err && segment_header_decode(check->lane->header, check->segment, pool->sb.seed, &found);
	bool good = known && found.generation == header->generation;
	if (known && !good && !pool->media->caps.mappable)
		return true; /* reopened: the page and the word that says so go to a device together, and its writer may have died then */
	if (good) {
		segment_header_encode(&found, pool->sb.seed, check->lane->tail);
		if (memcmp(check->lane->header, check->lane->tail, SEGMENT_HEADER_LIVE) == 0)
			return true; /* no bit was mended */
	}
	if (table_refresh_header(c, check->segment) && table_header(c, check->segment, &again) != CHECK_BAD &&
	    again.generation != header->generation)
		return true; /* reopened meanwhile */
	if (own_refresh(c, check->segment) && own_look(c, check->segment, &owned) &&
	    (owned.word.state == OWNER_OPEN || owned.word.state == OWNER_LEAVING))
		return true; /* just being reopened: the page goes before the table */
	return !check->closed; /* just being opened, or its opener died at it: the page follows the table */
}

static void check_segment_header(struct check *check, const struct table_header *header)
{
	bool good = false;

	/* once more: it may have been written back, and the segment closed, between the looks at the two */
	for (int i = 0; i < REREADS && !good; i++)
		good = segment_header_fits(check, header);
	record(check, !good, true);
	if (!good && check->repair)
		repaired(check, repair_segment_header(check->pool, check->lane, header));
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

	bool lost = (state == ENTRY_DAMAGED && check->settled) || (state == ENTRY_NOT_YET && check->closed);
	note(check, lost, false);
	if (lost && check->repair)
		repaired(check, check->closed && repair_place(check->pool, check->segment, check->generation, index, check->next_page));
	if (state != ENTRY_HERE)
		return;
	check->next_page = e->page + e->header_pages + (uint32_t)block_pages(e->length);
	note(check, mended, true);
	bool is_void = e->flags & ENTRY_VOID, exact = is_void || table_life_exact(c, check->segment, index, e->birth);
	if (check->repair && check->settled && (mended || !exact))
		repaired(check, repair_entry(check->pool, check->segment, e));
	if (is_void)
		return;
	enum life life = table_life(c, check->segment, index, e->birth);
	note(check, !exact, life != LIFE_OTHER);
	bool removed = c->shared && factbook_removed(&check->pool->factbook, e->key, e->birth);
	if (life_counts(life) && !removed && !(e->expires_s && e->expires_s <= clock_utc_s()))
		check->entries[check->count++] = *e;
}

/* ---- blocks ---- */

static bool landed(const struct check *check, enum life life)
{
	/* on mirrored media what was sent may also have been put in doubt before it landed */
	bool perhaps = life == LIFE_SENT || (life == LIFE_REMOVING && !check->pool->media->caps.mappable);

	return life == LIFE_LIVE || (life == LIFE_REMOVING && !perhaps) || (perhaps && check->closed);
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
	/* on shared devices a removal is a fact, and the entry stays as it is */
	return there && !(check->pool->control.shared && factbook_removed(&check->pool->factbook, e->key, e->birth));
}

static const char *why_bad(enum block_verdict verdict, const struct check *check)
{
	if (verdict == BLOCK_IO)
		return "the medium answered with an error";
	return check->options->meta_only ? "its header does not verify" : "its bytes do not verify";
}

static enum block_verdict read_block(struct check *check, const struct entry *e, struct block_read *read)
{
	struct memkv_pool *pool = check->pool;

	take_lane(check);
	block_read_init(read, pool, check->lane, e->key, place_of_entry(&pool->control, check->segment, e));
	read->any_time = true;
	if (!check->options->meta_only) {
		read->to = check->payload;
		read->length = e->length;
	}
	op_run(&read->op);
	give_lane(check);
	bool other = read->verdict == BLOCK_GOOD && read->header.birth != e->birth;
	return other ? BLOCK_MISMATCH : read->verdict;
}

static void check_block(struct check *check, const struct entry *e)
{
	struct block_read read;
	enum block_verdict verdict = read_block(check, e, &read);
	bool there = verdict == BLOCK_GOOD || still_there(check, e);

	if (verdict != BLOCK_GOOD && there) { /* sent together with its entry, it may have landed after it was read */
		verdict = read_block(check, e, &read);
		there = verdict == BLOCK_GOOD || still_there(check, e);
	}
	if (!there) {
		check->report->gone++;
		return;
	}
	check->report->blocks++;
	check->report->bytes += e->length;
	if (verdict == BLOCK_GOOD)
		return;
	check->report->bad++;
	if (check->repair && verdict != BLOCK_IO)
		check->report->removed += repair_block(check->pool, check->segment, e);
	else
		check->report->left += check->repair;
	if (check->options->bad_block) {
		struct memkv_key key;
		memcpy(key.bytes, e->key, sizeof(key.bytes));
		check->options->bad_block(check->options->context, &key, read.place.page, why_bad(verdict, check));
	}
}

/* nobody knows the table's header: nothing is lost by that where the segment is FREE, for then it describes nothing */
static void note_unknown(struct check *check)
{
	const struct control *c = &check->pool->control;
	bool blank = own_refresh(c, check->segment) && own_is_free(c, check->segment);

	note(check, true, blank);
	if (check->repair)
		repaired(check, blank && repair_blank_table(check->pool, check->segment));
}

/*
 * On shared devices a segment that was adopted is called SEALED, and has the places that its writer left open until somebody opens
 * it anew.
 */
static bool closed_by_writer(const struct check *check)
{
	if (!check->pool->control.shared)
		return true;
	struct holding h = factbook_holding(&check->pool->factbook, check->segment);
	return h.slot == generation_slot(check->generation) && h.epoch == generation_epoch(check->generation);
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
	if (!known)
		note_unknown(check);
	if (!check->generation)
		return true;
	if (c->shared) /* the OPEN of this generation was stated before its header was written */
		(void)factbook_refresh(&pool->factbook);
	uint32_t places = table_count(c, check->segment, header->generation, &tail);
	bool owner_known = own_refresh(c, check->segment) && own_look(c, check->segment, &owned); /* after the count, before the entries: see follower.h */
	check->closed = owner_known && own_closed(c, &owned) && closed_by_writer(check);
	check->settled = check->closed || (owner_known && own_resumable(c, &pool->slot, &owned));
	note(check, tail != CHECK_GOOD, true);
	if (check->repair && tail != CHECK_GOOD && check->settled)
		repaired(check, repair_tail(check->pool, check->segment, header->generation, places));
	bool read = table_refresh(c, check->segment);
	check->next_page = 1;
	table_walk(c, recover, check->segment, header->generation, 0, places, note_entry, check);
	if (!read || !own_refresh(c, check->segment) || !table_refresh_header(c, check->segment))
		return false;
	bool final = table_count(c, check->segment, header->generation, NULL) == places || !check->closed;
	own_look(c, check->segment, &after);
	if (!final || after.raw != owned.raw || !table_header_known(c, recover, check->segment, &again, &mended_again))
		return false;
	/* a table that is being begun, or whose opener died at that, is told by its second source as well, and is no damage */
	bool header_lost = mended && mended_again && !table_withdrawn(c, check->segment);
	note(check, header_lost, true);
	if (check->repair && header_lost && check->settled)
		repaired(check, repair_table_header(check->pool, header));
	return again.generation == header->generation;
}

static void check_segment(struct check *check)
{
	struct memkv_pool *pool = check->pool;
	struct table_header header;
	bool same = false;

	if (!control_there(&pool->control, check->segment))
		return; /* what is lost is not damaged: memkv_pool_namespaces() tells of it */

	bool owner_known = owner_word_good(&pool->control, check->segment);
	record(check, !owner_known, true);
	if (check->repair && !owner_known)
		repaired(check, repair_owner_word(pool, check->segment));
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
	take_lane(check);
	check_segment_header(check, &header);
	give_lane(check);
	for (uint32_t i = 0; i < check->count && !check->stopped; i++) {
		const struct entry *e = &check->entries[i];
		if (check->chance && !in_sample(check, e)) {
			check->report->skipped++;
			continue;
		}
		uint64_t from_us = clock_monotonic_us();
		check_block(check, e);
		pace(check, from_us, (check->options->meta_only ? 0 : e->length) + PAGE);
	}
}

/* what a handle cannot read since its slot has passed on is no damage (shared devices); @look: the logs tell whether it has */
static int keeps_slot(struct memkv_pool *pool, bool look)
{
	if (!pool->control.shared || !pool->slot.epoch || MUTANT(CHECK_FENCED) || (look && factbook_refresh(&pool->factbook)) ||
	    !lease_lost(&pool->control, &pool->slot))
		return 0;
	return fail(MEMKV_FENCED, "%s: this agent was silent for so long that its slot is another's, and it can verify nothing any more; "
				  "open the pool anew, and check again", pool->media->path);
}

static int run(struct check *check)
{
	uint64_t segments = check->pool->control.layout.segments;

	record(check, check->pool->superblock_mended, true);
	if (check->repair && check->pool->superblock_mended) { /* whoever opens for writing mends it */
		repaired(check, true);
		check->pool->superblock_mended = false;
	}
	check_slots(check);
	int err = check_logs(check);
	err = err ? err : keeps_slot(check->pool, true);
	if (err)
		return err;
	for (check->segment = 0; check->segment < segments; check->segment++) {
		tell(check);
		if (check->stopped)
			return fail(-ECANCELED, "%s: the check was stopped", check->pool->media->path);
		if (atomic_load(&check->pool->media->failed))
			return fail(MEMKV_FAILED, "%s: the pool's file is gone or was cut short", check->pool->media->path);
		check_segment(check);
		err = keeps_slot(check->pool, false);
		if (err)
			return err;
	}
	tell(check);
	return keeps_slot(check->pool, true);
}

static int choose_sample(struct check *check)
{
	double percent = check->options->sample_percent;

	if (percent > 0 && percent < 100)
		check->chance = max_u64(1, (uint64_t)(percent / 100 * 0x1p64));
	return check->chance ? random_fill(&check->salt, sizeof(check->salt)) : 0;
}

static int check_all(struct check *check)
{
	struct memkv_pool *pool = check->pool;
	bool repair = check->options->repair;
	size_t bytes = round_up(pool->sb.geo.max_block, PAGE);

	check->started_us = clock_monotonic_us();
	int err = choose_sample(check);
	if (err)
		return err;
	check->entries = calloc(pool->sb.geo.entries, sizeof(*check->entries));
	check->payload = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (check->payload == MAP_FAILED || !check->entries) {
		err = fail(-ENOMEM, "%s: no memory for the check", pool->media->path);
	} else {
		follower_step(&pool->follower);
		err = repair ? repair_begin(pool) : 0;
		check->repair = repair && !err;
		err = err ? err : run(check);
		if (check->repair)
			repair_end(pool);
	}
	if (check->payload != MAP_FAILED)
		munmap(check->payload, bytes);
	free(check->entries);
	return err;
}

static int64_t make_check(struct memkv_pool *pool, struct chore *chore)
{
	struct check_watch *watch = *(struct check_watch *const *)chore->in;
	struct check check = {.pool = pool, .options = &watch->seen, .report = &watch->found, .own = chore->lane};
	int err = check_all(&check);

	check_watch_over(watch);
	return err;
}

static int take_options(const struct memkv_check_options *given, struct memkv_check_options *o)
{
	int err = options_take(o, sizeof(*o), given, "check");

	if (err)
		return err;
	if (!(o->sample_percent >= 0 && o->sample_percent <= 100))
		return fail(-EINVAL, "check: a sample of %g percent; give more than 0 and at most 100", o->sample_percent);
	if (o->pause_percent > 99)
		return fail(-EINVAL, "check: %u percent of the time cannot be rest; give at most 99", o->pause_percent);
	if (o->repair && (o->meta_only || o->sample_percent > 0))
		return fail(-EINVAL, "check: a repair reads everything; leave out the sample and meta_only");
	return 0;
}

int memkv_pool_check(struct memkv_pool *pool, const struct memkv_check_options *options,
		     struct memkv_check_report *report)
{
	bool repair = options && options->size >= offsetof(struct memkv_check_options, repair) + sizeof(int) && options->repair;
	POOL_USE use = pool_enter(pool, repair ? ENTRY_WRITE : ENTRY_CALL);
	struct memkv_check_options o;

	if (!use.inside)
		return use.result;
	if (!report)
		return fail(-EINVAL, "check: a place for the report is needed");
	*report = (struct memkv_check_report){0};
	int err = take_options(options, &o);
	if (err)
		return err;
	if (!o.deadline_us) {
		struct check check = {.pool = pool, .options = &o, .report = report};
		return check_all(&check);
	}
	struct check_watch *watch = check_watch_new(&o);
	if (!watch)
		return fail(-ENOMEM, "%s: no memory for the check", pool->media->path);
	struct chore chore = {.make = make_check, .changes = o.repair, .in = &watch, .in_bytes = sizeof(watch)};
	err = (int)deadline_make(pool, &chore, o.deadline_us);
	check_watch_leave(watch, report, chore.begun);
	return err;
}
