/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watcher sees each change of shared words and each payload sector that lands, keeps its own picture of the pool,
 * and says when a rule is broken:
 *
 *   - a segment changes hands only as the states allow, never away from an incarnation that lives, and never while
 *     writes into it are on the way; so it has one opener at a time
 *   - no generation is begun twice, and only by the segment's opener
 *   - only the opener submits writes to a segment, and each lands in the generation it was meant for; whoever empties it
 *     writes its header page
 *   - a place is published once in a generation, by the opener, when its block is there byte for byte; then its pages
 *     never change again in that generation
 *   - a removed block never becomes live again
 */
#include "core/pool/handle.h"
#include "oracle.h"
#include "stage.h"

#include <inttypes.h>
#include <string.h>

enum sim_mutant sim_mutant;

/* ---- addresses ---- */

static struct agent *actor(void) { return world.thread->agent; }

uint64_t watch_segment_of_page(uint64_t page)
{
	uint64_t s = layout_segment_of(&world.layout, page);

	return s == UINT64_MAX ? NEVER : s;
}

static uint64_t load(uint64_t offset)
{
	uint64_t value;

	memcpy(&value, world.image + offset, sizeof(value));
	return value;
}

/* ---- who lives ---- */

bool watch_alive(uint32_t slot, uint32_t epoch, const struct agent *but)
{
	for (int i = 0; i < AGENTS_MAX; i++) {
		const struct agent *a = &world.agents[i];
		if (a != but && a->state != AGENT_DOWN && a->attached && a->slot == slot && a->epoch == epoch)
			return true;
	}
	return false;
}

bool watch_holds(const struct agent *a, const struct shadow_segment *s)
{
	return a->attached && s->owner.slot == a->slot && s->owner.epoch == a->epoch;
}

uint32_t watch_takeable(void)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < world.layout.geo.segments; i++) {
		const struct owner_word *o = &world.shadow[i].owner;
		bool held = o->state == OWNER_OPEN || o->state == OWNER_LEAVING;
		n += !held || !watch_alive(o->slot, o->epoch, NULL);
	}
	return n;
}

/* ---- owner words ---- */

/* does a living process use blocks of this segment in place, by a hold that was made? */
static const struct agent *user_of(uint32_t segment, uint64_t generation)
{
	for (int i = 0; i < AGENTS_MAX; i++)
		for (int t = 0; t < THREADS_MAX; t++) {
			const struct thread *thread = &world.agents[i].threads[t];
			if (world.agents[i].state == AGENT_UP && thread->state != THREAD_NONE && thread->state != THREAD_ENDED &&
			    thread->held_segment == segment && thread->held == generation && generation)
				return &world.agents[i];
		}
	return NULL;
}

void watch_cover_take(const struct owner_word *old, const struct owner_word *new)
{
	if (old->state == OWNER_OPEN && new->state == OWNER_OPEN)
		cover(COVER_ADOPTION);
	if (old->state == OWNER_PARKED && new->state == OWNER_OPEN)
		cover(COVER_PARKED);
	if (old->state == OWNER_LEAVING && new->state == OWNER_LEAVING)
		cover(COVER_LEAVING_DEAD);
	if (old->state == OWNER_LEAVING && new->state == OWNER_SEALED)
		cover(COVER_SECOND_CHANCE);
	if (old->state != OWNER_LEAVING || new->state != OWNER_OPEN)
		return;
	cover(COVER_REOPENED);
	for (int i = 0; i < AGENTS_MAX; i++) {
		const struct agent *a = &world.agents[i];
		for (uint32_t s = 0; agent_stopped(a) && s < world.layout.geo.segments; s++)
			if (world.shadow[s].owner.state == OWNER_OPEN && watch_holds(a, &world.shadow[s])) {
				cover(COVER_STOP_OWNER);
				break;
			}
	}
}

static void owner_changed(uint32_t segment)
{
	struct shadow_segment *s = &world.shadow[segment];
	struct owner_word old = s->owner, new;
	uint64_t raw = load(world.layout.offset[REGION_OWNER_WORDS] + segment * 8ULL);
	struct agent *a = actor();

	if (!owner_word_decode(raw, segment, world.pool_seed, &new)) {
		broken("segment %u: an owner word is stored that does not verify", segment);
		return;
	}
	trace(EVENT_OWNER, a, segment, (uint64_t)old.state << 8 | new.state, new.epoch);
	bool held = old.state == OWNER_OPEN || old.state == OWNER_LEAVING;
	if (!a->attached || new.slot != a->slot || new.epoch != a->epoch)
		broken("segment %u: agent %u writes the owner word of slot %u, epoch %u", segment, a->number, new.slot, new.epoch);
	else if (!owner_move_legal(old.state, new.state))
		broken("segment %u: from %s to %s", segment, owner_state_name(old.state), owner_state_name(new.state));
	else if (held && !watch_holds(a, s) && watch_alive(old.slot, old.epoch, NULL))
		broken("segment %u: taken while it is %s, from slot %u, epoch %u, which lives: two openers at once", segment,
		       owner_state_name(old.state), old.slot, old.epoch);
	else if (medium_writes_to(segment, NULL))
		broken("segment %u: from %s to %s while writes into it are on the way", segment, owner_state_name(old.state),
		       owner_state_name(new.state));
	/* a pin may empty one, as room for moves */
	bool pins = world.thread->call.kind == CALL_PIN || world.thread->call.kind == CALL_PIN_SESSION;
	if (new.state == OWNER_OPEN || (new.state == OWNER_LEAVING && !pins))
		drains_writes(a, segment, "takes");
	watch_cover_take(&old, &new);
	if (old.state == OWNER_LEAVING && new.state == OWNER_SEALED && user_of(segment, s->generation))
		cover(COVER_HOLD_SPARED);
	s->owner = new;
}

/* ---- table headers ---- */

/* all generations of a run, hashed */
static uint64_t generations[1 << 13];

static bool seen_before(uint64_t generation)
{
	uint32_t at = (uint32_t)(generation * 0x9E3779B97F4A7C15ULL >> 51);

	for (; generations[at]; at = (at + 1) % (uint32_t)ARRAY_COUNT(generations))
		if (generations[at] == generation)
			return true;
	generations[at] = generation;
	return false;
}

void watch_begins(uint32_t segment, uint64_t generation)
{
	struct shadow_segment *s = &world.shadow[segment];

	s->generation = generation;
	if (generation == s->begun)
		return;
	if (seen_before(generation))
		broken("segment %u: generation %016" PRIx64 " is opened a second time", segment, generation);
	s->begun = generation;
	s->openings++;
	world.reopenings++;
	memset(s->places, 0, sizeof(s->places));
}

static bool has_copy(const struct shadow_segment *s, uint32_t key)
{
	for (uint32_t i = 0; s->generation && i < world.layout.geo.entries; i++)
		if (s->places[i].generation == s->generation && s->places[i].life == SHADOW_LIVE &&
		    s->places[i].instance != UINT32_MAX && world.instances[s->places[i].instance].key == key)
			return true;
	return false;
}

/* what a segment held is given up: is somebody just about to pin some of it? */
static void withdrawn(uint32_t segment)
{
	for (int i = 0; i < AGENTS_MAX; i++)
		for (int k = 0; k < THREADS_MAX; k++) {
			const struct thread *t = &world.agents[i].threads[k];
			if (world.agents[i].state == AGENT_UP && t != world.thread && t->call.kind == CALL_PIN &&
			    has_copy(&world.shadow[segment], t->call.key))
				cover(COVER_PIN_OPEN);
		}
}

static void header_changed(uint32_t segment, uint64_t offset)
{
	struct shadow_segment *s = &world.shadow[segment];
	struct table_header header;

	if (load(offset + 8) == htole64(CHECK_WRITING)) {
		const struct agent *user = user_of(segment, s->generation);
		if (user)
			broken("segment %u: agent %u gives it up while agent %u holds a block of it", segment, actor()->number, user->number);
		withdrawn(segment);
		sites_gone(segment);
		s->generation = 0;
		oracle_pins_hold();
		return;
	}
	if (table_header_decode(world.image + offset, segment, world.pool_seed, &header) != CHECK_GOOD) {
		broken("segment %u: a table header is published that does not verify", segment);
		return;
	}
	trace(EVENT_HEADER, actor(), segment, header.generation, 0);
	/* what power loss has left of a header is mended from the segment's own, before that is written over */
	bool mended = s->owner.state == OWNER_LEAVING && header.generation == s->generation;
	if ((s->owner.state != OWNER_OPEN && !mended) || !watch_holds(actor(), s))
		broken("segment %u: begun by agent %u, which does not own it", segment, actor()->number);
	watch_begins(segment, header.generation);
	oracle_pins_hold();
}

/* ---- entries ---- */

bool watch_block_there(const struct entry *e, uint32_t segment, uint32_t instance)
{
	const struct instance *i = &world.instances[instance];
	const uint8_t *header = world.image + layout_segment(&world.layout, segment) + (uint64_t)e->page * PAGE;
	struct block_header h;

	if (!block_header_decode(header, (size_t)e->header_pages * PAGE, (uint64_t)(header - world.image) / PAGE,
				 world.pool_seed, &h))
		return false;
	return h.birth == e->birth && h.generation == e->generation && h.length == world.versions[i->version].length &&
	       payload_right(header + (uint64_t)e->header_pages * PAGE, h.length, i->version);
}

static void published(uint32_t segment, uint32_t index, const struct entry *e, uint64_t life)
{
	struct shadow_segment *s = &world.shadow[segment];
	struct shadow_place *p = &s->places[index];
	struct thread *t = world.thread;

	if (p->generation == e->generation)
		broken("segment %u, place %u: published a second time in generation %016" PRIx64, segment, index, e->generation);
	*p = (struct shadow_place){.generation = e->generation, .birth = e->birth, .is_void = e->flags & ENTRY_VOID,
				   .life = SHADOW_REMOVED, .instance = UINT32_MAX};
	if (p->is_void) {
		cover(t->call.kind == CALL_PUT && e->length ? COVER_VOIDED : COVER_VOIDED_BY_NEXT);
		return;
	}
	p->page = e->page;
	p->pages = e->header_pages + (uint32_t)block_pages(e->length);
	p->instance = oracle_published(t, e, segment);
	if (p->instance == UINT32_MAX)
		return;
	if (!watch_block_there(e, segment, p->instance))
		broken("segment %u, place %u: the entry of put %u is published before its block is there", segment, index,
		       p->instance);
	p->life = life_read(life, e->birth) == LIFE_LIVE ? SHADOW_LIVE : SHADOW_MOVING;
	if (p->life == SHADOW_LIVE)
		oracle_live(p->instance, segment, index);
	t->call.moving = p->life == SHADOW_MOVING;
}

static void entry_changed(uint32_t segment, uint32_t index, uint64_t offset)
{
	struct shadow_segment *s = &world.shadow[segment];
	struct entry e;

	if (load(offset + 8) == htole64(CHECK_WRITING))
		return;
	if (entry_decode(world.image + offset, segment, index, world.pool_seed, false, &e) != CHECK_GOOD) {
		broken("segment %u, place %u: an entry is published that does not verify", segment, index);
		return;
	}
	trace(EVENT_ENTRY, actor(), (uint64_t)segment << 32 | index, e.birth, e.flags);
	drains_writes(actor(), segment, "publishes in");
	if (s->owner.state != OWNER_OPEN || !watch_holds(actor(), s))
		broken("segment %u, place %u: agent %u publishes, which does not own it", segment, index, actor()->number);
	else if (e.generation != s->generation)
		broken("segment %u, place %u: published for generation %016" PRIx64 ", which is over", segment, index,
		       e.generation);
	published(segment, index, &e, load(offset + ENTRY_LIFE_OFFSET));
}

/* a removal is told of in this order; the numbers are how many steps are left */
enum { TOLD_BELL, TOLD_GROUP, TOLD_PULSE, TOLD_CHANGES, TOLD_NOTHING };

static void life_changed(uint32_t segment, uint32_t index, uint64_t offset)
{
	struct shadow_place *p = &world.shadow[segment].places[index];
	uint64_t raw = load(offset + ENTRY_LIFE_OFFSET);
	enum life life = life_read(raw, p->birth);

	trace(EVENT_LIFE, actor(), (uint64_t)segment << 32 | index, life, p->birth);
	if (p->generation == 0 || world.failed)
		return; /* a place of a generation before: nobody sees it */
	if (life == LIFE_LIVE && p->life != SHADOW_MOVING)
		broken("segment %u, place %u: a life word goes back to live", segment, index);
	if (life == LIFE_LIVE) {
		cover(COVER_MOVE_HOT);
		if (oracle_owed(world.instances[p->instance].key, world.instances[p->instance].session))
			cover(COVER_PIN_MOVED);
		p->life = SHADOW_LIVE;
		oracle_live(p->instance, segment, index);
	} else if (life == LIFE_REMOVING) {
		if (p->life != SHADOW_LIVE)
			broken("segment %u, place %u: put in doubt, and is not live", segment, index);
	} else if (life == LIFE_REMOVED) {
		bool live = p->life == SHADOW_LIVE;
		if (p->life == SHADOW_MOVING)
			cover(COVER_MOVE_REMOVED);
		p->telling = TOLD_NOTHING;
		p->flagged_by = (uint8_t)actor()->number;
		p->untold = p->life == SHADOW_MOVING ? TOLD_NOTHING : 0; /* nobody was given it; who removes it may die before it tells */
		p->life = SHADOW_REMOVED;
		if (live)
			oracle_flagged(p->instance, segment, index);
		oracle_pins_hold();
	} else {
		broken("segment %u, place %u: a life word of no meaning", segment, index);
	}
	world.thread->call.moving = false;
}

/* what is told of in steps has come this far */
static void told(uint64_t segment, uint8_t steps_left)
{
	for (uint32_t i = 0; i < world.layout.geo.entries; i++) {
		struct shadow_place *p = &world.shadow[segment].places[i];
		if (p->untold == steps_left + 1)
			p->untold = steps_left;
		if (p->telling == steps_left + 1)
			p->telling = steps_left;
	}
}

/* who hears the doorbell looks at the groups that have rung, where the pool has such, and there at the pulses */
static void bell_rung(uint64_t at)
{
	uint64_t segments = world.layout.geo.segments, size = div_up(segments, MEMKV_GROUPS);
	bool grouped = world.pool_seed & 1;

	for (uint64_t s = 0; s < segments; s++) {
		if (!grouped || at == STATISTICS_GROUPS + s / size * 8)
			told(s, TOLD_GROUP);
		if (at == STATISTICS_DOORBELL)
			told(s, TOLD_BELL);
	}
}

void watch_died(const struct agent *agent)
{
	for (uint32_t s = 0; s < world.layout.geo.segments && !on_device(); s++)
		for (uint32_t i = 0; i < world.layout.geo.entries; i++) {
			struct shadow_place *p = &world.shadow[s].places[i];
			if (p->telling && p->flagged_by == agent->number)
				p->untold = p->telling;
		}
}

/* ---- logs ---- */

static void ring_stored(uint64_t offset)
{
	if (offset % RECORD_BYTES == 16 && load(offset) >= world.layout.geo.ring_bytes / RECORD_BYTES)
		cover(COVER_RING_LAP);
}

static void checkpoint_stored(uint64_t offset)
{
	if (offset % world.layout.geo.checkpoint_bytes != 8)
		return;
	bool whole = load(world.layout.offset[REGION_CHECKPOINTS] + offset) != htole64(CHECK_WRITING);
	if (whole && actor()->checkpoints)
		cover(actor()->attached ? COVER_CHECKPOINT : COVER_CHECKPOINT_HEIR);
	actor()->checkpoints = !whole;
	if (!whole && !on_device())
		left_withdraws_checkpoint(offset);
}

/* ---- stores ---- */

static void table_stored(enum sim_kind kind, uint64_t offset)
{
	uint64_t within = offset - world.layout.offset[REGION_TABLES];
	uint32_t segment = (uint32_t)(within / world.layout.table_bytes);
	uint64_t at = within % world.layout.table_bytes;
	struct call *call = &world.thread->call;

	if (at == 8) {
		header_changed(segment, offset - 8);
	} else if (at == TABLE_TAIL_OFFSET) {
		call->stage = PUT_RESERVED;
	} else if (at == TABLE_CHANGES_OFFSET) {
		told(segment, TOLD_CHANGES);
	} else if (at >= PAGE) {
		uint32_t index = (uint32_t)((at - PAGE) / ENTRY_BYTES);
		uint64_t word = (at - PAGE) % ENTRY_BYTES;
		uint64_t entry = offset - word;
		if (call->stage == PUT_WRITTEN)
			call->stage = PUT_PUBLISHES;
		if (word == 8)
			entry_changed(segment, index, entry);
		else if (word == ENTRY_LIFE_OFFSET && kind == SIM_SWAP)
			life_changed(segment, index, entry);
		if (word == ENTRY_LIFE_OFFSET)
			left_stored(segment, index);
		if (word == 8 && call->stage == PUT_PUBLISHES && load(entry + 8) != htole64(CHECK_WRITING))
			call->stage = PUT_PUBLISHED;
	}
}

/* words are stored one by one; the one that counts is the check word, or one that is swapped or added to */
static bool is_hot(enum sim_kind kind, uint64_t offset)
{
	const struct layout *l = &world.layout;
	uint64_t at = offset - l->offset[REGION_TABLES];

	if (kind != SIM_STORE || on_shared())
		return true;
	if (at < l->length[REGION_TABLES])
		return at % l->table_bytes == TABLE_TAIL_OFFSET || at % ENTRY_BYTES == 8;
	return offset % RECORD_BYTES == 8 || draw(8) == 0;
}

void sim_after(enum sim_kind kind, const void *at, int done)
{
	const struct layout *l = &world.layout;
	uint64_t offset = (uint64_t)((const uint8_t *)at - world.image);

	if (on_device() && world.thread) {
		const struct media *m = actor()->device;
		offset = m && m->control ? (uint64_t)((const uint8_t *)at - m->control) : NEVER;
		if (offset < l->control_bytes && done) {
			landed_mirror_stored(actor(), kind, offset);
			stage_event(EVENT_WORD, actor(), offset);
			if (is_hot(kind, offset))
				fortune_hot(actor());
		}
		return;
	}
	if (!world.thread || offset >= l->control_bytes)
		return;
	world.steps++;
	trace(EVENT_WORD, actor(), offset, kind, (uint64_t)done);
	bool owner = offset - l->offset[REGION_OWNER_WORDS] < l->length[REGION_OWNER_WORDS];
	bool table = offset - l->offset[REGION_TABLES] < l->length[REGION_TABLES];
	if (!done) {
		cover(owner ? COVER_LOST_TAKE : COVER_LOST_LIFE);
		return;
	}
	medium_mark(offset);
	if (is_hot(kind, offset))
		fortune_hot(actor());
	if (owner)
		owner_changed((uint32_t)((offset - l->offset[REGION_OWNER_WORDS]) / 8));
	else if (table)
		table_stored(kind, offset);
	else if (offset - l->offset[REGION_PULSES] < l->length[REGION_PULSES])
		told((offset - l->offset[REGION_PULSES]) / 8, TOLD_PULSE);
	else if (offset - l->offset[REGION_STATISTICS] < l->length[REGION_STATISTICS])
		bell_rung(offset - l->offset[REGION_STATISTICS]);
	else if (offset - l->offset[REGION_LOG_RINGS] < l->length[REGION_LOG_RINGS])
		ring_stored(offset);
	else if (offset - l->offset[REGION_CHECKPOINTS] < l->length[REGION_CHECKPOINTS])
		checkpoint_stored(offset - l->offset[REGION_CHECKPOINTS]);
}

/* ---- payload ---- */

static bool is_superblock(uint64_t page)
{
	return page == 0 || (page + 1) * PAGE == world.layout.geo.bytes;
}

void watch_submit(struct command *c)
{
	struct call *call = &world.thread->call;
	struct shadow_segment *s;

	c->segment = watch_segment_of_page(c->page);
	if (c->segment != NEVER && c->memory[0])
		oracle_written(world.thread, c->memory[0], c->page);
	if (c->segment == NEVER) {
		bool control = on_device() && c->page * PAGE < world.layout.control_bytes;
		if (!control && !is_superblock(c->page)) /* a writer that attaches mends the bad copy */
			broken("a write to page %" PRIu64 ", which lies in no segment", c->page);
		return;
	}
	s = &world.shadow[c->segment];
	if (c->page * PAGE != layout_segment(&world.layout, c->segment))
		drains_writes(c->agent, c->segment, "writes to");
	c->generation = s->generation;
	if (on_shared()) { /* owner words are each host's own: what counts is that nobody else's write is on the way */
		if (medium_writes_else(c->segment, c->agent))
			broken("segment %" PRIu64 ": agent %u writes to it while another's write into it is on the way", c->segment,
			       c->agent->number);
		return;
	}
	/* a device's owner word goes together with the segment's own header */
	if (on_device() && c->page * PAGE == layout_segment(&world.layout, c->segment))
		return;
	bool header = s->owner.state == OWNER_LEAVING && c->sectors == 1 &&
		      c->page * PAGE == layout_segment(&world.layout, c->segment);
	if ((s->owner.state != OWNER_OPEN && !header) || !watch_holds(c->agent, s))
		broken("segment %" PRIu64 ": agent %u writes to it and does not own it", c->segment, c->agent->number);
	if (call->stage == PUT_RESERVED || call->stage == PUT_WRITTEN)
		call->stage = PUT_WRITES;
}

void watch_land(const struct command *c, uint64_t page, const uint8_t *bytes)
{
	if (c->segment == NEVER) {
		struct superblock sb;
		bool mended;
		if (superblock_decode(bytes, page != 0, &sb, &mended) || mended)
			broken("a superblock is written that is none");
		return;
	}
	const struct shadow_segment *s = &world.shadow[c->segment];
	uint64_t first = layout_segment(&world.layout, c->segment) / PAGE;

	if (!on_device())
		left_lands((uint32_t)c->segment, page, bytes);
	if (s->generation != c->generation) {
		broken("segment %" PRIu64 ": a write for generation %016" PRIx64 " lands in %016" PRIx64, c->segment,
		       c->generation, s->generation);
		return;
	}
	for (uint32_t i = 0; i < world.layout.geo.entries; i++) {
		const struct shadow_place *p = &s->places[i];
		if (p->generation != s->generation || p->is_void || page - first < p->page || page - first >= p->page + p->pages)
			continue;
		/* a device's sectors may come after those that make the block whole: landed.c looks at these */
		if (!on_device() && memcmp(world.image + page * PAGE, bytes, PAGE) != 0)
			broken("segment %" PRIu64 ", place %u: page %" PRIu64 " of a published block is written again", c->segment,
			       i, page);
	}
}

/* ---- the picture as a whole ---- */

/* what a damaged or wiped table header said is told by the segment's own */
static uint64_t generation_on_medium(uint32_t segment)
{
	uint64_t table = layout_table(&world.layout, segment);
	struct table_header header;
	struct segment_header second;
	bool blank = true;

	for (uint64_t at = 0; at < TABLE_HEADER_BYTES; at += 8)
		blank &= load(table + at) == 0;
	if (load(table + 8) == htole64(CHECK_WRITING) || (blank && world.shadow[segment].owner.state == OWNER_FREE))
		return 0;
	if (!blank && table_header_decode(world.image + table, segment, world.pool_seed, &header) != CHECK_BAD)
		return header.generation;
	bool known = segment_header_decode(world.image + layout_segment(&world.layout, segment), segment, world.pool_seed, &second);
	return known ? second.generation : 0;
}

/* from the image alone: after a power cut */
static void rebuild_segment(uint32_t segment)
{
	struct shadow_segment *s = &world.shadow[segment];
	uint64_t table = layout_table(&world.layout, segment);
	struct entry e;
	uint32_t count = 0;

	memset(s->places, 0, sizeof(s->places));
	owner_word_decode(load(world.layout.offset[REGION_OWNER_WORDS] + segment * 8ULL), segment, world.pool_seed, &s->owner);
	/* where the word is older than the table nobody looks at that, and it is begun anew */
	s->generation = s->owner.state == OWNER_FREE && !on_shared() ? 0 : generation_on_medium(segment);
	if (s->generation)
		s->begun = s->left_open = s->generation;
	if (s->generation && tail_decode(load(table + TABLE_TAIL_OFFSET), segment, s->generation, world.pool_seed, &count) == CHECK_BAD)
		count = world.layout.geo.entries;
	for (uint32_t i = 0; i < count; i++) { /* what lies behind the tail was never there */
		uint64_t at = table + PAGE + (uint64_t)i * ENTRY_BYTES;
		struct shadow_place *p = &s->places[i];
		if (load(at + 8) == htole64(CHECK_WRITING) || load(at) == 0 ||
		    entry_decode(world.image + at, segment, i, world.pool_seed, false, &e) != CHECK_GOOD ||
		    e.generation != s->generation)
			continue;
		enum life life = life_read(load(at + ENTRY_LIFE_OFFSET), e.birth);
		*p = (struct shadow_place){
			.generation = e.generation,
			.birth = e.birth,
			.page = e.page,
			.pages = e.header_pages + (uint32_t)block_pages(e.length),
			.is_void = e.flags & ENTRY_VOID,
			.instance = e.flags & ENTRY_VOID ? UINT32_MAX : oracle_published(NULL, &e, segment),
			.life = life_counts(life) ? SHADOW_LIVE : life == LIFE_MOVING ? SHADOW_MOVING : SHADOW_REMOVED,
		};
		if (life == LIFE_SENT && p->instance != UINT32_MAX && !watch_block_there(&e, segment, p->instance))
			p->life = SHADOW_SENT;
		p->damaged = p->instance != UINT32_MAX && !watch_block_there(&e, segment, p->instance);
	}
}

void watch_rebuild(void)
{
	for (uint32_t i = 0; i < world.layout.geo.segments; i++)
		rebuild_segment(i);
	left_reset();
}

void watch_reset(void)
{
	memset(world.shadow, 0, sizeof(world.shadow));
	for (uint32_t i = 0; i < world.layout.geo.segments; i++)
		world.shadow[i].owner = (struct owner_word){.state = OWNER_FREE};
	memset(world.epochs, 0, sizeof(world.epochs));
	memset(generations, 0, sizeof(generations));
	left_reset();
}

void watch_all_takeable(const struct agent *survivor)
{
	for (uint32_t i = 0; i < world.layout.geo.segments; i++) {
		const struct owner_word *o = &world.shadow[i].owner;
		if ((o->state == OWNER_OPEN || o->state == OWNER_LEAVING) && !watch_holds(survivor, &world.shadow[i]))
			broken("segment %u: %s, of slot %u, epoch %u, and nobody else lives: it is lost", i,
			       owner_state_name(o->state), o->slot, o->epoch);
	}
}
