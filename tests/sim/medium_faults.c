/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes wrong with the medium: commands that come late or fail, flushes that fail, what a dead process leaves on
 * the way, what a power cut takes.
 *
 * A power cut keeps what was flushed.  Of everything else each page is as it is, as it was at the last flush, or - in
 * the control region - a mixture of both in words of 8 bytes.
 */
#include "redirect.h"

#include "medium_faults.h"
#include "stage.h"

#include <errno.h>

/* what calls of this process answer now need not be what they would have answered */
void medium_trouble(void)
{
	world.troubles++;
	world.thread->agent->troubled = true;
	for (int t = 0; t < THREADS_MAX; t++)
		world.thread->agent->threads[t].call.troubled = true;
}

/* ---- what is written, and what survives ---- */

void medium_mark(uint64_t offset)
{
	uint64_t page = offset / PAGE;

	world.dirty[page / 64] |= 1ULL << page % 64;
}

static void mark_advisory(void)
{
	if (on_device())
		return; /* in a mirror */
	for (uint64_t at = 0; at < world.layout.length[REGION_HEAT]; at += PAGE)
		medium_mark(world.layout.offset[REGION_HEAT] + at); /* stored to without a hook */
}

static uint64_t next_dirty(uint64_t from)
{
	for (uint64_t page = from; page < IMAGE_PAGES_MAX; page++) {
		uint64_t rest = world.dirty[page / 64] >> page % 64;
		if (rest)
			return page + (uint64_t)__builtin_ctzll(rest);
		page |= 63;
	}
	return NEVER;
}

static void settle_page(uint64_t page)
{
	if (on_shared())
		stated_flushed(page * PAGE, world.durable + page * PAGE);
	memcpy(world.durable + page * PAGE, world.image + page * PAGE, PAGE);
	world.dirty[page / 64] &= ~(1ULL << page % 64);
}

void medium_write_back(void)
{
	uint64_t page = next_dirty(draw((uint32_t)(world.layout.geo.bytes / PAGE)));

	if (page != NEVER)
		settle_page(page);
}

static void mix_words(uint64_t page)
{
	uint64_t *now = (uint64_t *)(void *)(world.image + page * PAGE);
	const uint64_t *old = (const uint64_t *)(const void *)(world.durable + page * PAGE);

	cover(COVER_CUT_MIXED);
	for (size_t i = 0; i < PAGE / sizeof(*now); i++)
		if (draw(2))
			now[i] = old[i];
}

/* a device keeps or loses what it writes whole */
static void mix_sectors(uint64_t page)
{
	uint32_t kept = draw(1 << PAGE_SECTORS);

	cover(COVER_CUT_MIXED);
	copy_sectors(world.image + page * PAGE, world.durable + page * PAGE, kept);
}

static void cut_command(struct command *c)
{
	bool parts = on_device() && world.setup.sector == SECTOR;

	for (uint32_t s = 0; s < COMMAND_SECTORS; s++) {
		if (c->direction != MEDIA_WRITE || !(c->left >> s & 1) || (stage.on && stage.sinks ? stage_sinks(c) : !draw(2)))
			continue;
		copy_sectors(world.image + (c->page + s) * PAGE, c->memory[s], rest_of(c, s) & (parts ? draw(ALL_SECTORS) : ALL_SECTORS));
		medium_mark((c->page + s) * PAGE);
	}
}

void medium_cut(void)
{
	bool device = on_device(), parts = device && world.setup.sector == SECTOR;

	if (world.setup.medium == MEDIUM_LINES) { /* what is in no cache is there */
		memcpy(world.durable, world.image, world.layout.geo.bytes);
		medium_reset();
		return;
	}
	if (world.active_count)
		cover(COVER_CUT_IN_FLIGHT);
	for (uint32_t i = 0; i < world.active_count; i++)
		cut_command(&world.commands[world.active[i]]);
	mark_advisory();
	for (uint64_t page = next_dirty(0); page != NEVER; page = next_dirty(page + 1)) {
		bool control = page * PAGE < world.layout.control_bytes;
		if (stage.on) {
			stage_cut(page);
			continue;
		}
		uint32_t how = draw((device ? parts : control) ? 3 : 2);
		if (how == 1)
			memcpy(world.image + page * PAGE, world.durable + page * PAGE, PAGE);
		else if (how == 2 && device)
			mix_sectors(page);
		else if (how == 2)
			mix_words(page);
	}
	for (uint64_t page = next_dirty(0); page != NEVER && on_shared(); page = next_dirty(page + 1))
		settle_page(page);
	memcpy(world.durable, world.image, world.layout.geo.bytes);
	memset(world.dirty, 0, sizeof(world.dirty));
	medium_reset();
}

/* ---- what a dead process leaves behind ---- */

/*
 * Its host has given the command up: it answered that it failed, or is dead; what is left of it is on the way somewhere in the
 * network, and lands before the quarantine is over, or never.
 */
static void make_ghost(struct command *c)
{
	enum { LATEST = 20000 };

	c->kept = malloc((size_t)COMMAND_SECTORS * PAGE);
	for (uint32_t s = 0; s < COMMAND_SECTORS; s++)
		if (c->left >> s & 1) {
			memcpy(c->kept + s * (size_t)PAGE, c->memory[s], PAGE);
			c->memory[s] = c->kept + s * (size_t)PAGE;
		}
	c->late_until = world.now + draw(LATEST);
	c->ghost = true;
	c->queue = NULL;
	c->agent->in_flight--;
	cover(COVER_GHOST);
}

void medium_orphan(struct agent *agent)
{
	for (uint32_t i = world.active_count; i-- > 0;) {
		struct command *c = &world.commands[world.active[i]];
		if (c->agent != agent || c->ghost)
			continue;
		if (c->direction == MEDIA_WRITE && on_shared() && draw(2)) {
			make_ghost(c);
			continue;
		}
		c->queue = NULL;
		if (c->direction == MEDIA_READ) {
			agent->in_flight--;
			medium_deactivate(i);
		} else if (chance(world.setup.late)) {
			c->late_until = world.now + 100 + draw(4000);
		}
	}
}

/* ---- commands and flushes ---- */

void faults_of(struct command *c)
{
	if (world.errors_over)
		return;
	if (chance(world.setup.late))
		c->late_until = world.now + 100 + draw(4000);
	/* what fails when the power has just come back fails while much is read that nobody has looked at since */
	c->fails = chance(world.setup.io_error * (world.now < world.cut_until ? 8 : 1)) || sites_fails() || stage_fails(c);
	if (!c->fails)
		return;
	cover(c->direction == MEDIA_READ ? COVER_READ_ERROR : COVER_WRITE_ERROR);
	medium_trouble();
}

/* of a write that is not complete the flush need not know; blocks are written once, so this loses nothing older */
static bool overlooked(uint64_t page)
{
	for (uint32_t i = 0; on_device() && i < world.active_count; i++) {
		const struct command *c = &world.commands[world.active[i]];
		if (c->direction == MEDIA_WRITE && c->segment != NEVER && page >= c->page && page < c->page + COMMAND_SECTORS &&
		    c->sectors >> (page - c->page) & 1)
			return draw(2);
	}
	return false;
}

int medium_flush(struct agent *agent)
{
	bool fails = (!world.errors_over && (chance(world.setup.flush_error) || sites_fails())) || (stage.on && stage.unflushed == agent);

	world_point(4);
	world.steps++;
	mark_advisory();
	for (uint64_t page = next_dirty(0); page != NEVER; page = next_dirty(page + 1))
		if ((!fails || (!stage.on && draw(2))) && !overlooked(page))
			settle_page(page);
	trace(EVENT_FLUSH, agent, fails, 0, 0);
	world_point(4); /* what comes to be written meanwhile is not flushed */
	if (!fails)
		return 0;
	cover(COVER_FLUSH_ERROR);
	medium_trouble();
	return -EIO;
}
