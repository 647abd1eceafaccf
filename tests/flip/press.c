/* SPDX-License-Identifier: Apache-2.0 */
/*
 * More blocks than the pool holds (visit.h): by one agent, until every segment was used again; and by two at once,
 * while the word that says whose the segment of one of them is has a flipped bit.
 */
#include "tests/flip/visit.h"

#include "core/format/table_format.h"

#include <string.h>
#include <unistd.h>

enum { PRESS_FIRST = 10000, KEPT = 40, PRESSURE_MAX = 4000 };

static bool all_reopened(const struct visit *v, const uint64_t *generations)
{
	for (uint64_t s = 0; s < SEGMENTS; s++)
		if (generations[s] == v->base->generations[s])
			return false;
	return true;
}

uint64_t visit_generation(const struct visit *v, uint64_t segment)
{
	uint64_t words[TABLE_HEADER_BYTES / 8];
	struct table_header header;

	if (pread(v->fd, words, sizeof(words), (off_t)layout_table(&v->base->layout, segment)) != (ssize_t)sizeof(words))
		return v->base->generations[segment];
	if (words[1] == htole64(CHECK_WRITING))
		return 0;
	return table_header_decode((const uint8_t *)words, segment, v->base->seed, &header) == CHECK_BAD
		       ? v->base->generations[segment] /* damaged as it was */
		       : header.generation;
}

static void read_generations(const struct visit *v, uint64_t *generations)
{
	for (uint64_t s = 0; s < SEGMENTS; s++)
		generations[s] = visit_generation(v, s);
}

static void expect_clean(struct visit *v)
{
	struct memkv_check_report report;
	struct memkv_pool *pool = visit_open(v, MEMKV_OPEN_READ_ONLY);
	enum spot spot = v->hurt->spot;

	if (!pool)
		return;
	if (memkv_pool_check(pool, NULL, &report))
		fault(v, "check at the end: %s", memkv_error_detail());
	else if (report.bad)
		fault(v, "check at the end: %u blocks are bad that were put after the damage", (unsigned)report.bad);
	else if (report.records_bad && spot != SPOT_SUPERBLOCK_A && spot != SPOT_SUPERBLOCK_B && spot != SPOT_SLOT_CELL)
		fault(v, "check at the end: %u records are still bad", (unsigned)report.records_bad);
	memkv_pool_close(pool);
}

/* more blocks than the pool holds: in the end every segment must have been opened anew */
void visit_press(struct visit *v)
{
	uint64_t generations[SEGMENTS];
	struct memkv_pool *pool = visit_open(v, 0);
	uint32_t first = PRESS_FIRST, put = 0;
	bool done = false;

	for (; pool && !done && put < PRESSURE_MAX; put++) {
		int err = block_put(pool, first + put, 0);
		if (err) {
			fault(v, "put %u under pressure: %s: %s", put, memkv_code_name(err), memkv_error_detail());
			break;
		}
		if (put % 8 == 0 && !visit_get(v, pool, first + put))
			fault(v, "block %u is a miss right after its put, under pressure", put);
		if (put % 256 == 255) {
			read_generations(v, generations);
			done = all_reopened(v, generations);
		}
	}
	for (uint32_t i = put > KEPT ? put - KEPT : 0; pool && i < put; i++)
		if (!visit_get(v, pool, first + i))
			fault(v, "block %u of %u, among the youngest, is a miss", i, put);
	memkv_pool_close(pool);
	for (uint64_t s = 0; pool && !done && s < SEGMENTS; s++)
		if (generations[s] == v->base->generations[s])
			fault(v, "segment %u was not used again by %u puts", (unsigned)s, put);
	if (done)
		expect_clean(v);
}

/* ---- two agents ---- */

enum { PAIR_ROUNDS = 40, PAIR_OTHERS = 12, PAIR_FIRST = 100000 };

/* damage the owner word of the segment that @number was put into: a flipped bit, or all of it */
static void flip_owner(struct visit *v, struct memkv_pool *pool, uint32_t number, struct hurt *hurt)
{
	struct memkv_block_info info = {0};
	struct memkv_key key;

	block_key(number, &key);
	if (memkv_stat(pool, &key, &info))
		fault(v, "a block that was just put is a miss");
	*hurt = (struct hurt){.offset = v->base->layout.offset[REGION_OWNER_WORDS] + info.segment * 8,
			      .length = 8,
			      .kind = HURT_RUN,
			      .spot = SPOT_OWNER_WORD};
	if (mix(v->seed + 10) % 2) {
		hurt->offset += mix(v->seed + 11) % 8;
		hurt->length = 1;
		hurt->kind = HURT_BIT;
		hurt->bit = (uint8_t)(1u << mix(v->seed + 12) % 8);
	}
	hurt_write(v->fd, hurt); /* a run of zeros */
}

/* the youngest blocks of both; nobody may have written over them */
static void expect_youngest(struct visit *v, struct memkv_pool *pool, const char *who, uint32_t last, uint32_t count)
{
	uint32_t missing = 0;

	if (memkv_pool_refresh(pool))
		fault(v, "refresh: %s", memkv_error_detail());
	for (uint32_t i = 0; i < count; i++)
		missing += !visit_get(v, pool, last - i);
	if (missing)
		fault(v, "%u of the %u youngest blocks of %s are lost", missing, count, who);
}

/* both put in turns; after every round the youngest blocks of both are there */
static int put_in_turns(struct visit *v, struct memkv_pool *one, struct memkv_pool *two)
{
	uint32_t one_next = PAIR_FIRST, two_next = 2 * PAIR_FIRST;
	int err = 0;

	for (uint32_t round = 1; !err && v->out->faults == 0 && round <= PAIR_ROUNDS; round++) {
		for (int i = 0; !err && i < PAIR_OTHERS; i++)
			err = block_put(two, ++two_next,
					0); /* first, before the owner has a reason to look at its word */
		if (!err)
			err = block_put(one, ++one_next, 0);
		expect_youngest(v, two, "the agent whose segment it was", one_next, round < 8 ? round : 8);
		expect_youngest(v, one, "the other agent", two_next, round < 2 ? PAIR_OTHERS : 2 * PAIR_OTHERS);
	}
	return err;
}

void visit_pair(struct visit *v)
{
	struct memkv_pool *one = visit_open(v, 0), *two = NULL;
	struct hurt hurt;
	int err = one ? block_put(one, PAIR_FIRST, 0) : 0;

	v->out->writing = true;
	if (one && !err) {
		flip_owner(v, one, PAIR_FIRST, &hurt);
		v->hurt = &hurt;
		v->out->kind = hurt.kind;
		v->out->spot = hurt.spot;
		two = visit_open(v, 0);
	}
	if (two)
		err = put_in_turns(v, one, two);
	if (err)
		fault(v, "put beside another agent: %s: %s", memkv_code_name(err), memkv_error_detail());
	memkv_pool_close(one);
	memkv_pool_close(two);
	visit_press(v);
}
