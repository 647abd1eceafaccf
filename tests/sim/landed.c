/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watcher of devices.  There nothing is shared but what has landed, so the picture of the pool follows from what
 * lands, sector by sector, and mirrors are their processes' own business.  The rules:
 *
 *   - an owner word is written by whoever it names, and not while blocks of that segment are on the way, unless it
 *     says that the segment is OPEN
 *   - no generation is begun twice; nothing is written to a segment before the device says that it is OPEN and its writer's
 *   - a place has one block in a generation
 *   - what is marked as live is there byte for byte; what is marked as sent counts once it is
 *   - what is removed stays removed
 *   - what is sealed has no place that is reserved and empty
 */
#include "core/pool/handle.h"
#include "oracle.h"

#include <inttypes.h>
#include <string.h>

static uint64_t load(const uint8_t *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static const uint8_t *table_of(uint32_t segment)
{
	return world.image + layout_table(&world.layout, segment);
}

/* ---- owner words ---- */

/* nobody comes to a place again that is reserved in a sealed segment: each has its entry, or is void */
static void sealed(const struct agent *a, uint32_t segment)
{
	struct shadow_segment *s = &world.shadow[segment];
	uint32_t count = 0, i = 0;

	if (!s->generation || s->left_open == s->generation ||
	    tail_decode(load(table_of(segment) + TABLE_TAIL_OFFSET), segment, s->generation, world.pool_seed, &count) == CHECK_BAD)
		return;
	while (i < count && s->places[i].generation == s->generation)
		i++;
	if (i == count)
		return;
	if (!a->troubled)
		broken("segment %u is sealed, and its place %u of %u was never written", segment, i, count);
	s->left_open = s->generation; /* who seals it could not tell what is there */
}

static void owner_landed(const struct agent *a, uint32_t segment)
{
	struct shadow_segment *s = &world.shadow[segment];
	struct owner_word old = s->owner, new;
	uint64_t raw = load(world.image + world.layout.offset[REGION_OWNER_WORDS] + segment * 8ULL);

	if (!owner_word_decode(raw, segment, world.pool_seed, &new)) {
		broken("segment %u: an owner word lands that does not verify", segment);
		return;
	}
	trace(EVENT_OWNER, a, segment, (uint64_t)old.state << 8 | new.state, new.epoch);
	if (!a->attached || new.slot != a->slot || new.epoch != a->epoch)
		broken("segment %u: agent %u writes the owner word of slot %u, epoch %u", segment, a->number, new.slot, new.epoch);
	else if (new.state != OWNER_OPEN && medium_writes_blocks(segment))
		broken("segment %u: from %s to %s while writes into it are on the way", segment, owner_state_name(old.state),
		       owner_state_name(new.state));
	if (new.state == OWNER_SEALED && !on_shared())
		sealed(a, segment);
	watch_cover_take(&old, &new);
	if (old.state == OWNER_SEALED && new.state == OWNER_OPEN)
		cover(COVER_REOPENED); /* LEAVING never reached the device */
	s->owner = new;
}

/* ---- table headers ---- */

static void header_landed(const struct agent *a, uint32_t segment)
{
	struct shadow_segment *s = &world.shadow[segment];
	struct table_header header;

	/* an image that was taken while it was stored: another follows */
	if (load(table_of(segment) + 8) == htole64(CHECK_WRITING) ||
	    table_header_decode(table_of(segment), segment, world.pool_seed, &header) != CHECK_GOOD) {
		s->generation = 0;
		oracle_pins_hold();
		return;
	}
	trace(EVENT_HEADER, a, segment, header.generation, 0);
	if (!a->attached && !on_shared())
		broken("segment %u: begun by agent %u, which has no slot", segment, a->number);
	s->begun_by = NULL;
	watch_begins(segment, header.generation);
	oracle_pins_hold();
}

/* ---- entries ---- */

static void now_whole(struct shadow_place *p)
{
	if (p->life != SHADOW_LIVE)
		p->whole = world.order;
	p->life = SHADOW_LIVE;
	world.instances[p->instance].whole = true;
}

static void first_time(struct shadow_place *p, const struct entry *e, uint32_t segment)
{
	*p = (struct shadow_place){.generation = e->generation, .birth = e->birth, .is_void = e->flags & ENTRY_VOID,
				   .life = SHADOW_REMOVED, .instance = UINT32_MAX};
	if (p->is_void)
		return;
	p->page = e->page;
	p->pages = e->header_pages + (uint32_t)block_pages(e->length);
	p->instance = oracle_published(NULL, e, segment);
	p->life = SHADOW_NONE;
}

static void life_landed(struct shadow_place *p, const struct entry *e, uint32_t segment, enum life life)
{
	bool there = life_counts(life) && (p->damaged || watch_block_there(e, segment, p->instance));
	bool flagged = life == LIFE_REMOVED && p->life == SHADOW_LIVE;

	if (life_counts(life) && p->life == SHADOW_REMOVED)
		broken("segment %u, place %u: a life word goes back to live", segment, e->index);
	else if (life == LIFE_LIVE && !there)
		broken("segment %u, place %u: put %u is live before its block is there", segment, e->index, p->instance);
	else if (life == LIFE_OTHER)
		broken("segment %u, place %u: a life word of no meaning", segment, e->index);
	if (life == LIFE_REMOVED && p->life == SHADOW_MOVING)
		cover(COVER_MOVE_REMOVED);
	if (life == LIFE_LIVE && p->life == SHADOW_MOVING) {
		cover(COVER_MOVE_HOT);
		if (oracle_owed(world.instances[p->instance].key, world.instances[p->instance].session))
			cover(COVER_PIN_MOVED);
	}
	if (there)
		now_whole(p);
	else if (life == LIFE_SENT)
		p->life = SHADOW_SENT;
	else
		p->life = life == LIFE_MOVING ? SHADOW_MOVING : SHADOW_REMOVED;
	if (life == LIFE_SENT && !there)
		cover(COVER_SENT_FIRST);
	if (flagged)
		p->flagged = world.order;
	if (flagged && !(on_shared() && world.instances[p->instance].deleted)) /* a log's removal, written down where it was */
		oracle_flagged(p->instance, segment, e->index);
	if (flagged)
		oracle_pins_hold();
}

static void entry_landed(const struct agent *a, uint32_t segment, uint32_t index)
{
	struct shadow_segment *s = &world.shadow[segment];
	struct shadow_place *p = &s->places[index];
	const uint8_t *at = table_of(segment) + PAGE + (uint64_t)index * ENTRY_BYTES;
	struct entry e;

	/* an image that was taken while it was stored: another follows */
	if (load(at + 8) == htole64(CHECK_WRITING) ||
	    entry_decode(at, segment, index, world.pool_seed, false, &e) != CHECK_GOOD) {
		if (p->generation == s->generation)
			p->life = SHADOW_REMOVED; /* being made void */
		return;
	}
	trace(EVENT_ENTRY, a, (uint64_t)segment << 32 | index, e.birth, e.flags);
	if (e.generation != s->generation)
		return; /* of a generation before, in a table that is just being begun */
	bool known = p->generation == e.generation;
	if (known && !p->is_void && p->birth != e.birth && !(e.flags & ENTRY_VOID))
		broken("segment %u, place %u: a second block in generation %016" PRIx64, segment, index, e.generation);
	if (!known || p->birth != e.birth || (e.flags & ENTRY_VOID))
		first_time(p, &e, segment);
	if (p->is_void)
		cover(s->owner.slot == generation_slot(e.generation) && s->owner.epoch == generation_epoch(e.generation)
			      ? COVER_VOIDED
			      : COVER_VOIDED_BY_NEXT);
	else if (p->instance != UINT32_MAX)
		life_landed(p, &e, segment, life_read(load(at + ENTRY_LIFE_OFFSET), e.birth));
	/* who moves a block tells of its old place some time later, and with no order */
	bool moved = p->instance != UINT32_MAX && oracle_present(&world.instances[p->instance]);
	p->untold |= p->life == SHADOW_REMOVED && (a->state != AGENT_UP || moved);
}

/* ---- what has landed ---- */

static void table_landed_at(const struct agent *a, uint64_t offset, const uint8_t *before)
{
	uint64_t within = offset - world.layout.offset[REGION_TABLES];
	uint32_t segment = (uint32_t)(within / world.layout.table_bytes);
	uint64_t at = within % world.layout.table_bytes;
	const uint8_t *now = world.image + offset;

	if (at == 0) {
		if (memcmp(now, before, TABLE_HEADER_BYTES) != 0)
			header_landed(a, segment);
		return;
	}
	uint32_t first = (uint32_t)((at - PAGE) / ENTRY_BYTES);
	for (uint32_t i = 0; i < PAGE / ENTRY_BYTES && first + i < world.layout.geo.entries && !world.failed; i++)
		if (memcmp(now + i * ENTRY_BYTES, before + i * ENTRY_BYTES, ENTRY_BYTES) != 0)
			entry_landed(a, segment, first + i);
}

/* what it says of who has the slot, or wants it; heartbeats are many */
static void cell_landed(const struct command *c, uint64_t page, const uint8_t *before)
{
	struct agent *a = c->agent;
	uint64_t n = page - world.layout.offset[REGION_SLOT_CELLS] / PAGE, slots = world.layout.geo.slots;
	unsigned copy = (unsigned)(n / slots);
	struct slot_cell now, then;

	if (slot_cell_decode(world.image + page * PAGE, (unsigned)(n % slots), copy, world.pool_seed, &now) != CHECK_GOOD)
		return;
	if (a->life == c->life && !c->ghost) {
		a->claim_slot = now.slot;
		a->claim_epoch = now.epoch;
	}
	if (slot_cell_decode(before, (unsigned)(n % slots), copy, world.pool_seed, &then) != CHECK_GOOD || now.epoch != then.epoch ||
	    now.nonce != then.nonce || now.state != then.state || now.owed_epoch != then.owed_epoch)
		trace(EVENT_CELL, a, (uint64_t)copy << 32 | now.slot, (uint64_t)now.state << 32 | now.epoch,
		      (uint64_t)now.owed_epoch << 32 | (uint32_t)now.nonce);
}

void landed_control(const struct command *c, uint64_t page, const uint8_t *before)
{
	const struct layout *l = &world.layout;
	uint64_t offset = page * PAGE;

	if (offset - l->offset[REGION_TABLES] < l->length[REGION_TABLES])
		table_landed_at(c->agent, offset, before);
	if (on_shared() && offset - l->offset[REGION_SLOT_CELLS] < l->length[REGION_SLOT_CELLS])
		cell_landed(c, page, before);
	if (on_shared() && offset - l->offset[REGION_LOG_RINGS] < l->length[REGION_LOG_RINGS])
		stated_landed(offset, before);
	if (offset - l->offset[REGION_OWNER_WORDS] >= l->length[REGION_OWNER_WORDS])
		return;
	uint32_t first = (uint32_t)((offset - l->offset[REGION_OWNER_WORDS]) / 8);
	for (uint32_t i = 0; i < PAGE / 8 && first + i < l->geo.segments && !world.failed; i++)
		if (load(world.image + offset + i * 8ULL) != load(before + i * 8ULL))
			owner_landed(c->agent, first + i);
}

void landed_payload(const struct command *c, uint64_t page)
{
	struct shadow_segment *s = &world.shadow[c->segment];
	uint64_t in_segment = page - layout_segment(&world.layout, c->segment) / PAGE;
	struct entry e;

	if (on_shared() && c->segment != NEVER)
		stated_write_landed(c);
	for (uint32_t i = 0; i < world.layout.geo.entries; i++) {
		struct shadow_place *p = &s->places[i];
		if (p->generation != s->generation || p->instance == UINT32_MAX || in_segment < p->page ||
		    in_segment >= p->page + p->pages)
			continue;
		const uint8_t *at = table_of((uint32_t)c->segment) + PAGE + (uint64_t)i * ENTRY_BYTES;
		bool there = entry_decode(at, c->segment, i, world.pool_seed, false, &e) == CHECK_GOOD &&
			     watch_block_there(&e, (uint32_t)c->segment, p->instance);
		if (there && p->life == SHADOW_SENT)
			now_whole(p);
		else if (!there && p->life == SHADOW_LIVE && !p->damaged)
			broken("segment %" PRIu64 ", place %u: page %" PRIu64 " of a published block is written again", c->segment,
			       i, page);
	}
}

/* ---- mirrors ---- */

static void entry_stored(struct thread *t, uint64_t segment, uint32_t index, const uint8_t *at)
{
	struct entry e;

	if (load(at + 8) == htole64(CHECK_WRITING) ||
	    entry_decode(at, segment, index, world.pool_seed, false, &e) != CHECK_GOOD || e.flags & ENTRY_VOID)
		return;
	oracle_born(t, &e);
	t->call.moving = life_read(load(at + ENTRY_LIFE_OFFSET), e.birth) == LIFE_MOVING;
	if (t->call.stage == PUT_PUBLISHES)
		t->call.stage = PUT_PUBLISHED;
}

static void life_stored(struct thread *t, uint64_t segment, uint32_t index, const uint8_t *at)
{
	const struct shadow_place *p = &world.shadow[segment].places[index];
	enum life life = life_read(load(at + ENTRY_LIFE_OFFSET), p->birth);
	const struct owner_word *o = &world.shadow[segment].owner;
	bool ours = generation_slot(p->generation) == t->agent->slot && generation_epoch(p->generation) == t->agent->epoch;

	t->call.moving = false;
	if (p->generation && !ours && o->state == OWNER_OPEN && life == LIFE_LIVE)
		cover(COVER_SENT_CONTINUED);
	if (p->generation && !ours && o->state == OWNER_OPEN && life == LIFE_REMOVED && p->life == SHADOW_SENT)
		cover(COVER_SENT_GONE);
}

/* given up when it is withdrawn; who continues a segment may write the very header again */
static void header_stored(const struct agent *a, uint32_t segment)
{
	struct shadow_segment *s = &world.shadow[segment];
	const uint8_t *at = a->device->control + layout_table(&world.layout, segment);
	struct table_header header;
	bool whole = table_header_decode(at, segment, world.pool_seed, &header) == CHECK_GOOD;

	s->begun_by = whole && header.generation == s->generation ? NULL : a;
	if (s->begun_by)
		sites_gone(segment);
	if (whole && s->begun_by)
		oracle_pins_hold();
}

void landed_mirror_stored(struct agent *a, enum sim_kind kind, uint64_t offset)
{
	const struct layout *l = &world.layout;
	uint64_t within = offset - l->offset[REGION_TABLES], at = within % l->table_bytes, segment = within / l->table_bytes;
	struct call *call = &world.thread->call;

	if (within >= l->length[REGION_TABLES])
		return;
	if (at == 8) {
		header_stored(a, (uint32_t)segment);
	} else if (at == TABLE_TAIL_OFFSET) {
		call->stage = PUT_RESERVED;
	} else if (at >= PAGE) {
		uint32_t index = (uint32_t)((at - PAGE) / ENTRY_BYTES);
		uint64_t word = (at - PAGE) % ENTRY_BYTES;
		if (call->stage == PUT_WRITTEN)
			call->stage = PUT_PUBLISHES;
		if (word == 8)
			entry_stored(world.thread, segment, index, a->device->control + offset - word);
		else if (word == ENTRY_LIFE_OFFSET && kind == SIM_SWAP)
			life_stored(world.thread, segment, index, a->device->control + offset - word);
	}
}

static void note_owed(const struct agent *a)
{
	const struct layout *l = &world.layout;
	const uint64_t from = l->offset[REGION_OWNER_WORDS], bytes = l->geo.segments * 8ULL;

	if (memcmp(a->device->control + from, world.image + from, bytes) != 0)
		cover(COVER_LATE_IMAGE);
}

/* by its key, or an eviction that has flagged it */
static bool removes(const struct agent *a, const struct shadow_place *p)
{
	for (int i = 0; i < THREADS_MAX; i++) {
		const struct thread *t = &a->threads[i];
		if (t->state != THREAD_NONE && t->call.removal != UINT32_MAX &&
		    (world.removals[t->call.removal].key == world.instances[p->instance].key ||
		     (t->call.kind == CALL_EVICT && p->flagged >= t->call.begin)))
			return true;
	}
	return false;
}

/* what it removes just now others need not be told of */
void landed_untold(const struct agent *a)
{
	for (uint32_t s = 0; s < world.layout.geo.segments && on_device(); s++)
		for (uint32_t i = 0; i < world.layout.geo.entries; i++) {
			struct shadow_place *p = &world.shadow[s].places[i];
			p->untold |= p->life == SHADOW_REMOVED && p->instance != UINT32_MAX && removes(a, p);
		}
}

void landed_left(const struct agent *a)
{
	for (uint32_t s = 0; s < world.layout.geo.segments; s++)
		if (world.shadow[s].begun_by == a)
			world.shadow[s].begun_by = NULL;
}

void landed_died(const struct agent *a)
{
	landed_untold(a);
	landed_left(a);
	for (uint32_t s = 0; s < world.layout.geo.segments; s++) {
		const struct shadow_segment *segment = &world.shadow[s];
		for (uint32_t i = 0; a->attached && i < world.layout.geo.entries; i++)
			if (segment->places[i].life == SHADOW_SENT && watch_holds(a, segment))
				cover(COVER_KILL_SENT);
	}
	if (a->attached && a->device && a->device->control)
		note_owed(a);
}
