/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watcher of logs: what hosts that share a device state, as it lands.  From it the simulator knows what was removed (there
 * no life word says so), who holds which segment for whoever reads all logs, and what has happened to a segment on the way.
 */
#include "core/facts/ownership.h"
#include "core/format/cells.h"
#include "oracle.h"

#include <string.h>

static uint64_t load64(const uint8_t *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return le64toh(value);
}

static uint32_t load32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return le32toh(value);
}

/* FORMAT.md, section 10; whose log it is, and so the check, does not matter here */
static bool record_of(const uint8_t *at, struct record *r)
{
	*r = (struct record){
		.kind = at[3],
		.version = load64(at + 24),
		.subject = load64(at + 64),
		.generation = load64(at + 72),
		.birth = load64(at + 80),
		.slot = load32(at + 104),
		.epoch = load32(at + 108),
		.state = load32(at + 112),
	};
	return memcmp(at, "RC", 2) == 0 && load64(at + 8) != CHECK_WRITING;
}

static bool passed_on(uint32_t slot, uint32_t epoch)
{
	struct slot_cell cell;

	for (unsigned copy = 0; copy < SLOT_COPIES; copy++) {
		const uint8_t *at = world.image + layout_slot_cell(&world.layout, copy, slot);
		if (slot_cell_decode(at, slot, copy, world.pool_seed, &cell) != CHECK_BAD && cell.epoch > epoch &&
		    !(cell.state == SLOT_JOINING && cell.epoch == epoch + 1))
			return true;
	}
	return false;
}

bool stated_passed_on(const struct agent *a) { return a->attached && passed_on(a->slot, a->epoch); }

/* the same of who has not been answered yet that it has one */
bool stated_claim_passed_on(const struct agent *a) { return a->claim_epoch && passed_on(a->claim_slot, a->claim_epoch); }

/* the last one with such an incarnation, dead or alive */
static const struct agent *alive(uint32_t slot, uint32_t epoch)
{
	for (uint32_t i = 0; i < world.setup.agents; i++) {
		const struct agent *a = &world.agents[i];
		if (a->state == AGENT_UP && a->attached && a->slot == slot && a->epoch == epoch)
			return a;
	}
	return NULL;
}

static bool above(const struct stated *a, const struct record *r)
{
	if (a->version != r->version)
		return a->version > r->version;
	return a->slot != r->slot ? a->slot > r->slot : a->epoch >= r->epoch;
}

static void owner_stated(const struct record *r)
{
	struct stated *held = &world.stated[r->subject];
	bool same = held->slot == r->slot && held->epoch == r->epoch;

	if (r->kind == RECORD_ADOPT && !same) {
		cover(COVER_ADOPT);
		if (held->kind == RECORD_ADOPT && held->version == r->version)
			cover(COVER_ADOPT_CONTENDED);
		else if (held->version < r->version && alive(held->slot, held->epoch))
			cover(COVER_ADOPT_WRONG);
		else if (held->version < r->version && held->kind == RECORD_ADOPT)
			cover(COVER_ADOPTER_DIED);
	}
	if (r->kind == RECORD_ACCEPT && !same)
		cover(COVER_GIVEN);
	if (!above(held, r))
		*held = (struct stated){.version = r->version, .slot = r->slot, .epoch = r->epoch, .kind = r->kind,
					.gives_up = held->gives_up};
	if (r->kind == RECORD_OPEN && r->generation) {
		held->gives_up = r->generation;
		cover(COVER_GIVES_UP);
	}
}

/* each is read once as a page lands; pages land again with every record */
static void removal_stated(const struct record *r)
{
	for (uint32_t n = world.instance_count; n-- > 0;) {
		struct instance *i = &world.instances[n];
		if (i->birth != r->birth || i->deleted)
			continue;
		i->deleted = ++world.order;
		cover(COVER_DEL);
		if (!oracle_asked(n))
			broken("key %u: put %u is stated to be removed, and nobody asked for that", i->key, n);
		oracle_pins_hold();
	}
}

void stated_landed(uint64_t offset, const uint8_t *before)
{
	struct record r;

	for (uint64_t at = 0; at < PAGE; at += RECORD_BYTES) {
		if (memcmp(world.image + offset + at, before + at, RECORD_BYTES) == 0 || !record_of(world.image + offset + at, &r))
			continue;
		trace(EVENT_STATED, NULL, (uint64_t)r.kind << 32 | r.subject, incarnation_value(r.slot, r.epoch), r.version);
		if (r.kind == RECORD_DEL)
			removal_stated(&r);
		else if (r.kind == RECORD_DOUBT && r.birth)
			cover(COVER_DOUBT);
		else if (ownership_about(&r) && r.subject < world.layout.geo.segments)
			owner_stated(&r);
	}
}

static bool of_rings(uint64_t offset)
{
	return offset - world.layout.offset[REGION_LOG_RINGS] < world.layout.length[REGION_LOG_RINGS];
}

/*
 * A removal that has landed is in force for whoever reads it; but until it is flushed a power cut may take it, and then nothing was
 * removed: its author was not answered yet, and who has answered by it has stated it once more (factbook_vouch()), or flushed.  The block
 * stands, and may be pinned.  What was flushed once no power cut takes; and a log's next round begins when its checkpoint is flushed.
 */
void stated_flushed(uint64_t offset, const uint8_t *before)
{
	struct record r;

	for (uint64_t at = 0; of_rings(offset) && at < PAGE; at += RECORD_BYTES) {
		if (memcmp(world.image + offset + at, before + at, RECORD_BYTES) == 0 || !record_of(world.image + offset + at, &r) ||
		    r.kind != RECORD_DEL)
			continue;
		for (uint32_t n = 0; n < world.instance_count; n++)
			world.instances[n].deleted_for_good |= world.instances[n].birth == r.birth;
	}
}

/*
 * What it left is flushed.  A removal that was on its way may have landed with it: then that stands as well, for all who come, be it that
 * nobody was answered.  What it took of segments' statements stays known, and what landed of them so does not become known: rules go by
 * it only as far as they are milder then, or as whoever reads the logs moves what it pins, or refuses.
 */
void stated_cut(void)
{
	for (uint32_t n = 0; n < world.instance_count; n++) {
		struct instance *i = &world.instances[n];
		bool landed = i->deleted_for_good && !i->deleted;
		i->deleted = landed ? ++world.order : i->deleted_for_good ? i->deleted : 0;
		if (landed && !oracle_asked(n))
			broken("key %u: put %u is stated to be removed, and nobody asked for that", i->key, n);
	}
}

/* a write lands: has its segment another holder by now than the host that sent it? */
void stated_write_landed(const struct command *c)
{
	const struct stated *held = &world.stated[c->segment];
	const struct agent *a = c->agent;
	bool here = a->attached && a->life == c->life && !c->ghost;
	uint32_t slot = here ? a->slot : generation_slot(c->generation);
	uint32_t epoch = here ? a->epoch : generation_epoch(c->generation);

	if (held->version && (held->slot != slot || held->epoch != epoch))
		cover(COVER_LAND_ADOPTED);
}
