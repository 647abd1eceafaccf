/* SPDX-License-Identifier: Apache-2.0 */
/*
 * put: look whether the block is there -> reserve a place -> write header and payload, wait for completion -> publish
 * the entry -> acknowledged.  A crash before the entry: nothing happened.  A write that fails leaves a void entry in
 * its place, so that nobody ever wonders about it.
 *
 * "There already" is answered only after a look at that block's own header and its life word.  The digests that a
 * header stores are bound to the block's birth, so the comparison uses the payload digest, which is not.
 *
 * Where publishing is a write to the medium (mirrored media), the entry goes together with the block, marked as sent,
 * and is made live once both have landed; a crash leaves an entry that counts if its block verifies.
 *
 * durable: payload complete -> flush -> entry published -> flush -> what it replaces is removed -> flush -> acknowledged.
 */
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/base/options_take.h"
#include "core/pool/block_io.h"
#include "core/pool/deadline.h"
#include "core/pool/pin_hold.h"
#include "core/pool/remove.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <xxhash.h>

#ifndef MEMKV_OVERLAP_MIN
#define MEMKV_OVERLAP_MIN (256 << 10) /* below, one command more costs what the overlap saves; simulated blocks are smaller */
#endif

enum { COPIES_MAX = 32, LOOKS = 4 /* each needs another change of the same key meanwhile, or damage */ };
enum { CHUNKS_MAX = 256, OVERLAP_MIN = MEMKV_OVERLAP_MIN };

struct put {
	struct memkv_pool *pool;
	const struct memkv_key *key;
	const void *data;
	uint64_t length;
	const struct memkv_put_options *options;
	atomic_int *gate; /* or NULL */
	struct lane *lane;
	struct block_header header;
	bool digested;
	uint64_t digests[CHUNKS_MAX];
	uint32_t digested_chunks; /* from the first */
	bool sent;		  /* the entry goes together with the block */
	struct room_place place;
};

uint64_t session_id_of(const char *session)
{
	if (!session || !*session)
		return 0;
	uint64_t id = XXH3_64bits(session, strlen(session));
	return id ? id : 1;
}

static int check_arguments(const struct memkv_pool *pool, const struct memkv_key *key, const void *data, size_t length,
			   const struct memkv_put_options *o)
{
	uint64_t max_block = pool->sb.geo.max_block;

	if (pool->read_only)
		return fail(MEMKV_READ_ONLY, "%s was opened read-only; put needs it open for writing", pool->media->path);
	if (!key || !data || length == 0)
		return fail(-EINVAL, "put: a key and at least one byte are needed");
	if (length > max_block)
		return fail(MEMKV_TOO_LARGE,
			    "%s: a block of %zu bytes is larger than this pool's largest (%" PRIu64
			    "); split it, or make a pool with a larger --max-block",
			    pool->media->path, length, max_block);
	if (o->meta_length > MEMKV_META_MAX)
		return fail(-EINVAL, "put: %zu bytes of metadata are more than %d", o->meta_length, MEMKV_META_MAX);
	if (o->session && strlen(o->session) > MEMKV_SESSION_MAX)
		return fail(-EINVAL, "put: the session's name is longer than %d bytes", MEMKV_SESSION_MAX);
	if (o->class_id > 31)
		return fail(-EINVAL, "put: class %u is over 31", o->class_id);
	return 0;
}

static void digest_payload(struct put *put)
{
	struct block_header *h = &put->header;

	if (put->digested)
		return;
	put->digested = true;
	for (uint32_t i = put->digested_chunks; i < h->chunks; i++) {
		uint64_t offset = (uint64_t)i * h->chunk_bytes;
		uint64_t bytes = min_u64(h->chunk_bytes, put->length - offset);
		put->digests[i] = chunk_digest((const uint8_t *)put->data + offset, bytes);
	}
	payload_digest(put->digests, h->chunks, h->length, h->payload_digest);
}

static void describe_block(struct put *put)
{
	const struct memkv_put_options *o = put->options;
	struct block_header *h = &put->header;
	uint64_t now = clock_utc_s();

	*h = (struct block_header){
		.length = put->length,
		.chunk_bytes = chunk_bytes_for(put->length),
		.header_pages = header_pages(put->length, (uint32_t)o->meta_length),
		.class_id = (uint8_t)o->class_id,
		.depth = o->depth,
		.session_id = session_id_of(o->session),
		.stored_s = now,
		.expires_s = o->ttl_s ? (o->ttl_s > UINT64_MAX - now ? UINT64_MAX : now + o->ttl_s) : 0,
		.meta = o->meta,
		.meta_length = (uint32_t)o->meta_length,
	};
	h->chunks = chunk_count(h->length, h->chunk_bytes);
	memcpy(h->key, put->key->bytes, sizeof(h->key));
	if (o->parent) {
		memcpy(h->parent, o->parent->bytes, sizeof(h->parent));
		h->flags |= BLOCK_HAS_PARENT;
	}
	if (o->session)
		memcpy(h->session, o->session, strlen(o->session));
}

/* compare with a stored block: its header is in @read */
static int compare(const struct put *put, const struct block_header *stored)
{
	const struct block_header *h = &put->header;
	bool same = stored->length == h->length && stored->chunk_bytes == h->chunk_bytes &&
		    stored->payload_digest[0] == h->payload_digest[0] && stored->payload_digest[1] == h->payload_digest[1];

	return same ? MEMKV_EXISTS : MEMKV_DIFFERS;
}

/* MEMKV_EXISTS or MEMKV_DIFFERS when a readable copy is there, else 0 */
static int look(struct put *put)
{
	struct memkv_pool *pool = put->pool;
	struct place places[COPIES_MAX];
	struct block_read read;
	bool gone = true; /* a copy had just been removed, or moved: what took its place is indexed by now */

	for (int looks = 0; gone && looks < LOOKS; looks++) {
		follower_step(&pool->follower);
		uint32_t count = follower_copies(&pool->follower, put->key->bytes, places, COPIES_MAX);
		gone = false;
		for (uint32_t i = 0; i < count; i++) {
			block_read_init(&read, pool, put->lane, put->key->bytes, places[i]);
			op_run(&read.op);
			gone |= read.verdict == BLOCK_REMOVED || read.verdict == BLOCK_MOVING ||
				read.verdict == BLOCK_MISMATCH;
			if ((read.verdict != BLOCK_GOOD && !(read.verdict == BLOCK_EXPIRED && block_kept(&read))) || read.sent)
				continue;
			digest_payload(put);
			int result = compare(put, &read.header);
			if (result == MEMKV_EXISTS)
				heat_touch(pool, places[i]);
			return result;
		}
	}
	return 0;
}

static int flush_if(const struct put *put)
{
	struct media *media = put->pool->media;

	return put->options->flags & MEMKV_PUT_DURABLE ? media->ops->flush(media) : 0;
}

/* while the block is on the way: what a put waits for then is the slower of two writes and not their sum */
static void send_entry(struct put *put)
{
	struct entry entry;

	if (!put->sent)
		return;
	entry_of_header(&put->header, put->place.page, &entry);
	if (MUTANT(SENT_BEFORE_BLOCK))
		table_publish(&put->pool->control, put->place.segment, &entry);
	else
		table_publish_sent(&put->pool->control, put->place.segment, &entry);
}

static void publish(struct put *put, bool good)
{
	struct memkv_pool *pool = put->pool;
	struct entry entry;

	entry_of_header(&put->header, put->place.page, &entry);
	if (!good)
		entry.flags |= ENTRY_VOID;
	if (MUTANT(RING_EARLY))
		control_ring_entry(&pool->control, put->place.segment);
	if (put->sent && good)
		table_landed(&pool->control, put->place.segment, entry.index, entry.birth);
	else
		table_publish(&pool->control, put->place.segment, &entry);
	if (!MUTANT(RING_EARLY))
		control_ring_entry(&pool->control, put->place.segment);
	if (good && control_published(&pool->control) && control_there(&pool->control, put->place.segment))
		follower_add(&pool->follower, put->place.segment, &entry);
}

/* bytes were copied to the medium, so they are in the cache: digest the chunks that are whole, in order */
static void digest_copied(void *context, uint64_t offset, uint64_t length)
{
	struct put *put = context;
	uint32_t chunk_bytes = put->header.chunk_bytes;
	uint64_t end = offset + length;

	while ((put->digested_chunks + 1ULL) * chunk_bytes <= end) {
		uint64_t at = (uint64_t)put->digested_chunks * chunk_bytes;
		put->digests[put->digested_chunks++] = chunk_digest((const uint8_t *)put->data + at, chunk_bytes);
	}
}

/* the digests are computed, and the header that holds them is sent, while the payload is on the way */
static void send_payload_first(struct put *put, struct block_write *write)
{
	write->op.step(&write->op);
	if (!put->pool->media->caps.instant) {
		lane_kick(put->lane);
		return;
	}
	lane_watch(put->lane, digest_copied, put);
	while (!lane_idle(put->lane))
		lane_advance(put->lane);
}

/*
 * A replacing put's birth is above those of all that it replaces.  So whatever is removed for another block is lower than
 * that one, and among puts that meet the highest always stays (remove.c).  How far above is left to chance: two that replace
 * the same block do not get the same.
 */
static uint64_t new_birth(struct put *put, const struct births *replaced)
{
	uint64_t birth = slot_new_birth(&put->pool->slot), highest = 0;

	for (uint32_t i = 0; replaced && i < replaced->count; i++)
		highest = max_u64(highest, replaced->births[i]);
	uint64_t above = highest + 1 + (birth * 0x9E3779B97F4A7C15ULL >> 32);
	return birth > highest || above < highest ? birth : above;
}

/*
 * What leads to a durable block is written with it, and so flushed with it: a mirrored medium may have lost its volatile cache
 * since, and come back, with this process none the wiser and its mirror ahead.  A failure shows in control_published().
 */
static void anchor(const struct put *put)
{
	const struct control *c = &put->pool->control;

	if (c->media->caps.mappable || !(put->options->flags & MEMKV_PUT_DURABLE))
		return;
	control_publish_later(c, control_owner_word(c, put->place.segment), 8);
	control_publish_later(c, control_table(c, put->place.segment), PAGE);
	(void)c->media->ops->settle(c->media);
}

static int write_block(struct put *put, const struct births *replaced)
{
	struct memkv_pool *pool = put->pool;
	struct block_header *h = &put->header;
	struct block_write write;
	uint64_t pages = h->header_pages + block_pages(h->length);
	int err = pins_admit(pool, h->session_id, pages);

	if (!err)
		err = room_reserve(&pool->room, (uint32_t)pages, &put->place);
	if (err)
		return err;
	h->generation = put->place.generation;
	h->birth = new_birth(put, replaced);
	h->segment = (uint32_t)put->place.segment;
	h->index = put->place.index;
	h->page = (layout_segment(&pool->control.layout, h->segment) >> PAGE_SHIFT) + put->place.page;
	if (!gate_pass(put->gate)) {
		publish(put, false);
		room_release(&pool->room, &put->place);
		return MEMKV_TIMEDOUT;
	}
	block_write_init(&write, put->lane, h->page, h->header_pages, put->data, put->length);
	write.header_later =
		!put->digested && put->length >= OVERLAP_MIN && block_write_direct(put->lane, put->data);
	if (write.header_later)
		send_payload_first(put, &write);
	digest_payload(put);
	block_header_encode(h, put->digests, pool->sb.seed, put->lane->header);
	if (write.header_later)
		lane_join(put->lane, h->page * PAGE, put->lane->header, (size_t)h->header_pages * PAGE);
	else
		write.op.step(&write.op);
	put->sent = !pool->media->caps.mappable && !pool->media->caps.instant && !(put->options->flags & MEMKV_PUT_DURABLE);
	if (!pool->media->caps.mappable || put->place.prepare || put->place.open)
		lane_kick(put->lane); /* the block first: it goes while we do something else */
	send_entry(put);
	anchor(put);
	room_ahead(&pool->room, &put->place);
	if (MUTANT(PUBLISH_EARLY))
		publish(put, true);
	while (!lane_idle(put->lane) && !MUTANT(ACK_EARLY))
		lane_advance(put->lane);
	if (!MUTANT(ACK_EARLY))
		op_run(&write.op);
	err = write.result && !MUTANT(ACK_FAILED_WRITE) ? write.result : flush_if(put);
	if (!MUTANT(PUBLISH_EARLY))
		publish(put, err == 0);
	if ((err == 0 || put->sent) && !control_published(&pool->control))
		err = MEMKV_UNKNOWN; /* the entry may have reached the medium or not, and a failed one's void place likewise */
	if (err == 0 && !share_in_lease(pool))
		err = MEMKV_UNKNOWN;
	if (err == 0 && !MUTANT(ACK_UNFLUSHED) && flush_if(put))
		err = MEMKV_UNKNOWN; /* others may have seen it, power loss may take it */
	if (err == 0 && !control_there(&pool->control, put->place.segment))
		err = MEMKV_UNKNOWN; /* its namespace was lost before that could be told */
	room_release(&pool->room, &put->place);
	return err;
}

/* what a replacing put will remove; a pinned block is refused before anything is written */
static int note_replaced(struct put *put, struct births *before)
{
	struct memkv_pool *pool = put->pool;
	int err = births_note(pool, put->key->bytes, before);

	if (err)
		return err;
	factbook_refresh(&pool->factbook);
	return factbook_pinned(&pool->factbook, put->key->bytes, before->session_id) ? MEMKV_PINNED : 0;
}

/* its segment may be closed by now, and mirrored media have given its table back */
static bool kill_own(const struct put *put)
{
	struct memkv_pool *pool = put->pool;
	struct follower *f = &pool->follower;

	pthread_mutex_lock(&f->lock);
	bool good = table_refresh(&pool->control, put->place.segment);
	if (good)
		table_kill(&pool->control, put->place.segment, put->place.index, put->header.birth);
	follower_give_back(f, put->place.segment);
	pthread_mutex_unlock(&f->lock);
	return good;
}

/* only when the new block is there for good; and they must not come back */
static int remove_replaced(const struct put *put, const struct births *before)
{
	struct memkv_pool *pool = put->pool;
	enum pins_copy copy = PINS_COPY_NONE;
	int removed = MEMKV_PINNED;

	for (int looks = 0; removed == MEMKV_PINNED && copy == PINS_COPY_NONE && looks < LOOKS; looks++) {
		removed = births_remove(pool, put->key->bytes, before, put->header.birth, false);
		if (removed != MEMKV_PINNED || pool->control.shared)
			break;
		SIM_SITE(GONE_BELIEVED);
		/*
		 * Pinned in between: what was there stays, and what came goes.  But whoever pinned may have seen only what
		 * came, and what was there may have lain in a segment that was just being emptied; or it was moved from there
		 * meanwhile, and unpinned: so it is looked for once more.
		 */
		copy = pins_copy_of(pool, put->key->bytes, before, put->header.birth);
		if (copy == PINS_COPY_HOLDS)
			return kill_own(put) && control_published(&pool->control) ? removed : MEMKV_UNKNOWN;
		if (copy == PINS_COPY_NONE && MUTANT(GONE_BELIEVED))
			removed = 0;
	}
	return removed >= 0 && control_published(&pool->control) && flush_if(put) == 0 ? 0 : MEMKV_UNKNOWN;
}

static int count_result(struct memkv_pool *pool, uint64_t length, int result)
{
	struct pool_counters *c = &pool->counters;

	switch (result) {
	case 0:
		count(&c->puts, 1);
		count(&c->put_bytes, length);
		return 0;
	case MEMKV_EXISTS:
		count(&c->puts_exist, 1);
		return result;
	case MEMKV_DIFFERS:
		count(&c->puts_differ, 1);
		return fail(result, "%s: other bytes are stored under this key; remove the block first, or put with replace",
			    pool->media->path);
	case MEMKV_PINNED:
		count(&c->puts_differ, 1);
		return fail(result, "%s: the block under this key is pinned and cannot be replaced; unpin it first",
			    pool->media->path);
	case MEMKV_NO_ROOM:
	case MEMKV_PIN_LIMIT:
		count(&c->puts_no_room, 1);
		return result;
	case MEMKV_DRAINED:
		count(&c->puts_failed, 1);
		return result;
	default:
		count(&c->puts_failed, 1);
		return fail(result, "%s: the block could not be written: %s", pool->media->path,
			    memkv_strerror(result));
	}
}

int put_block(struct memkv_pool *pool, struct lane *lane, const struct memkv_key *key, const void *data, uint64_t length,
	      const struct memkv_put_options *o, atomic_int *gate)
{
	struct put put = {
		.pool = pool, .key = key, .data = data, .length = length, .options = o, .lane = lane, .gate = gate};
	struct births before;

	describe_block(&put);
	int there = look(&put);
	/* also when nothing could be compared: what cannot be read now may be readable later */
	bool replace = o->flags & MEMKV_PUT_REPLACE && there != MEMKV_EXISTS;
	if (there && !replace)
		return there == MEMKV_EXISTS && flush_if(&put) ? -EIO : there;
	/*
	 * What was there before goes once the new block is there.  What turns up in between is another's replacing put: of
	 * two at once one stays (remove.c).
	 */
	int result = replace && !control_whole(&pool->control) ? MEMKV_DEGRADED : replace ? note_replaced(&put, &before) : 0;
	if (!result)
		result = write_block(&put, replace ? &before : NULL);
	return !result && replace ? remove_replaced(&put, &before) : result;
}

int memkv_put(struct memkv_pool *pool, const struct memkv_key *key, const void *data, size_t length,
	      const struct memkv_put_options *options)
{
	POOL_USE use = pool_enter(pool, ENTRY_WRITE);
	struct memkv_put_options o;

	if (!use.inside) {
		if (use.result == MEMKV_FAILED)
			count(&pool->counters.puts_failed, 1);
		return use.result;
	}
	int result = options_take(&o, sizeof(o), options, "put");
	if (!result)
		result = check_arguments(pool, key, data, length, &o);
	if (result)
		return result;
	if (o.deadline_us)
		return count_result(pool, length, deadline_put(pool, key, data, length, &o));
	struct lane *lane = lane_acquire(&pool->lanes);
	result = put_block(pool, lane, key, data, length, &o, NULL);
	lane_release(&pool->lanes, lane);
	return count_result(pool, length, result);
}
