/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a seed decides beforehand: how small the pool is, who uses it, what goes wrong and how often.  One configuration
 * for all: ordinary runs, long runs and runs with mutants draw from the same.
 */
#include "core/format/block_header.h"
#include "core/format/superblock.h"
#include "sim.h"

#include <string.h>

/* one of these, each as likely */
#define ONE_OF(...) one_of((const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static uint32_t one_of(const uint32_t *values, size_t count)
{
	return values[draw((uint32_t)count)];
}

static void choose_geometry(struct setup *s, struct geometry *geo)
{
	uint32_t pages = s->tight ? 1 : 1 + draw(3), blocks = s->tight ? 2 : 2 + draw(4);

	*geo = (struct geometry){
		.segments = MEMKV_SEGMENTS_MIN + draw(s->tight ? 2 : SEGMENTS_LIMIT - MEMKV_SEGMENTS_MIN),
		.entries = blocks,
		.slots = 2 + draw(AGENTS_MAX),
		.ring_bytes = PAGE,
		.checkpoint_bytes = PAGE,
		.heat_units = 64,
	};
	geo->segment_pages = (uint32_t)max_u64(pages + 3, 1 + blocks * 2 + draw(blocks * pages));
	geo->last_pages = draw(4) ? geo->segment_pages : pages + 3;
	s->max_block = (uint32_t)(pages * PAGE - draw(PAGE / 2));
	geo->max_block = s->max_block;
	geo->segment_room = (uint64_t)blocks * geo->max_block;
	struct layout layout;
	if (layout_compute(geo, &layout))
		broken("the simulator's own geometry: %s", memkv_error_detail());
	geo->bytes = layout.offset[REGION_SUPERBLOCK_B] + PAGE;
}

/* a pool that is gone through in no time: what was looked at a moment ago may be something else */
static void tighten(struct setup *s)
{
	s->keys = 3 + draw(8);
	s->hot_keys = 1;
	s->hot = ONE_OF(16000, 45000);
	s->stall = ONE_OF(600, 2000, 5000);
	s->remove = ONE_OF(3000, 16000);
	s->replace = ONE_OF(6000, 30000);
	s->points_end = ONE_OF(60000, 150000);
}

static void choose_faults(struct setup *s)
{
	s->kill = draw(3) ? ONE_OF(20, 60, 200) : 0;
	s->stop = draw(3) ? ONE_OF(20, 60, 200) : 0;
	s->stall = draw(4) ? ONE_OF(50, 300, 1500) : 0;
	s->cut = draw(3) ? 0 : ONE_OF(12, 40);
	s->write_back = s->cut ? ONE_OF(100, 2000) : 0;
	s->clock_jump = draw(3) ? 0 : ONE_OF(10, 100);
	s->late = draw(2) ? ONE_OF(600, 6000) : 0;
	s->io_error = draw(4) ? 0 : ONE_OF(100, 1500);
	s->flush_error = draw(8) ? 0 : 2000;
}

/* what goes wrong at the points that matter, and how far one thread falls behind another */
static void choose_schedule(struct setup *s)
{
	if (s->cut) {
		s->durable = ONE_OF(3000, 30000);
		s->io_error = draw(2) ? s->io_error : ONE_OF(100, 1500);
	}
	if (s->tight && draw(4) == 0) { /* all about a few keys */
		s->keys = 2 + draw(3);
		s->remove = ONE_OF(8000, 20000);
		s->pin = ONE_OF(8000, 25000);
	}
	s->hot_kill = draw(3) ? 0 : ONE_OF(10, 40, 120);
	s->hot_stop = draw(3) ? 0 : ONE_OF(10, 60);
	s->hot_stall = draw(2) ? 0 : ONE_OF(100, 600, 3000);
	s->hot_cut = s->cut && draw(2) ? ONE_OF(6, 30) : 0;
	s->ranked = draw(4) == 0;
	s->brief = draw(6) == 0;
}

static void choose_calls(struct setup *s)
{
	s->durable = s->cut ? 30000 : 1500;
	s->replace = ONE_OF(1000, 6000, 20000);
	s->again = ONE_OF(1000, 8000);
	s->ttl = draw(4) ? 0 : 6000;
	s->hot = ONE_OF(6000, 16000, 40000);
	s->remove = ONE_OF(300, 2000, 6000);
	s->read_only = ONE_OF(0, 4000, 12000);
	s->pin = draw(2) ? 0 : ONE_OF(2000, 8000, 25000);
	if (s->medium == MEDIUM_LINES)
		s->pin = 0; /* not seen by the oracle there */
	if (s->medium == MEDIUM_LINES)
		s->io_error = s->flush_error = 0; /* loads and stores do not fail */
}

/* hosts that claim slots most of the time, few of which there are; misfortunes right behind what others go by; and hosts asleep */
static void crowd(struct setup *s, struct geometry *geo)
{
	s->hot_stall = draw(3) ? 0 : ONE_OF(40, 300);
	s->hot_stop = draw(3) ? 0 : ONE_OF(10, 60);
	s->hot_kill = draw(4) ? 0 : ONE_OF(4, 12);
	s->brief = draw(6) == 0;
	s->sleep = draw(2) ? 0 : ONE_OF(60, 250);
	if (draw(2))
		s->late = ONE_OF(2000, 8000);
	if (draw(3))
		geo->slots = s->agents;
}

/* several hosts: times are those of a lease (sim.c), so runs are longer and misfortunes rarer */
static void share(struct setup *s, struct geometry *geo)
{
	struct layout layout;

	s->agents = 2 + draw(3);
	s->threads = 1;
	s->poller = false;
	s->distance = ONE_OF(3, 10, 30);
	s->points_end = ONE_OF(200000, 400000);
	s->kill /= 4;
	s->stop = draw(4) ? ONE_OF(20, 90) : 0;
	s->stall /= 4;
	s->cut = draw(4) ? 0 : 4;
	s->io_error /= 8;
	s->read_only = ONE_OF(0, 4000);
	s->survivor = draw(3) == 0;
	geo->slots = (uint32_t)max_u64(geo->slots, s->agents);
	crowd(s, geo);
	geo->ring_bytes = 2 * PAGE;
	geo->checkpoint_bytes = 6 * PAGE;
	geo->bytes = 0;
	layout_compute(geo, &layout);
	geo->bytes = layout.offset[REGION_SUPERBLOCK_B] + PAGE;
	for (int i = 0; i < AGENTS_MAX; i++) {
		world.agents[i].rate = 1024 - 100 + draw(200);
		world.agents[i].ahead = draw(1 << 30);
		world.agents[i].boots = 1;
	}
}

enum medium_kind sim_kind_wanted = MEDIUM_KINDS;

void setup_choose(struct setup *s, struct geometry *geo)
{
	*s = (struct setup){
		.medium = (enum medium_kind)ONE_OF(MEDIUM_FILE, MEDIUM_FILE, MEDIUM_FILE, MEDIUM_MEMORY, MEDIUM_BLOCK, MEDIUM_BLOCK),
		.agents = 1 + draw(AGENTS_MAX),
		.threads = draw(3) ? 1 : 1 + draw(THREADS_MAX),
		.hot_keys = 1 + draw(5),
		.distance = ONE_OF(3, 10, 30, 100, 400),
		.points_end = ONE_OF(8000, 16000, 30000, 60000),
		.memory_align = draw(2) ? 1 : 512,
		.sector = draw(2) ? SECTOR : PAGE,
		.misaligned = draw(3) ? 0 : 8,
		.survivor = draw(4) == 0,
		.tight = draw(2) == 0,
	};
	if (sim_kind_wanted < MEDIUM_KINDS)
		s->medium = sim_kind_wanted;
	s->poller = s->threads > 1 && draw(2);
	s->tight |= sites_tight();
	choose_geometry(s, geo);
	/* more keys than fit, mostly: else nothing is ever evicted */
	s->keys = (uint32_t)min_u64(KEYS_LIMIT, 8 + (uint64_t)geo->segments * geo->entries * (1 + draw(4)) / 2);
	choose_faults(s);
	choose_calls(s);
	if (s->tight)
		tighten(s);
	if (s->medium == MEDIUM_SHARED)
		share(s, geo);
	else
		choose_schedule(s);
}

/* a new pool, as create leaves it */
void setup_format(const struct geometry *geo)
{
	struct superblock sb = {
		.major = FORMAT_MAJOR, .minor = FORMAT_MINOR, .version = 1, .seed = world.pool_seed, .geo = *geo, .name = "sim"};

	if (on_shared())
		sb.features_incompatible |= FEATURE_SHARED;
	if (world.setup.medium == MEDIUM_LINES)
		sb.features_incompatible |= FEATURE_INCOHERENT;
	if (!on_shared() && world.pool_seed & 1)
		sb.features_read_only |= FEATURE_GROUPS;
	layout_compute(geo, &world.layout);
	if (geo->bytes / PAGE > IMAGE_PAGES_MAX)
		broken("the simulated pool is too large: %llu pages", (unsigned long long)(geo->bytes / PAGE));
	memset(world.image, 0, geo->bytes);
	superblock_encode(&sb, 0, world.image);
	superblock_encode(&sb, 1, world.image + geo->bytes - PAGE);
	uint64_t *words = (uint64_t *)(void *)(world.image + world.layout.offset[REGION_OWNER_WORDS]);
	for (uint64_t s = 0; s < geo->segments; s++)
		words[s] = owner_word_encode((struct owner_word){.state = OWNER_FREE}, s, world.pool_seed);
	memcpy(world.durable, world.image, geo->bytes);
}
