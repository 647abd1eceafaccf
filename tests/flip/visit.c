/* SPDX-License-Identifier: Apache-2.0 */
/* A whole iteration (visit.h): damage, attach, look; and for a share of the seeds, write. */
#include "tests/flip/visit.h"

#include <stdlib.h>

enum { FRESH = 3, FRESH_BYTES_MAX = 6000 };

struct memkv_pool *visit_open(struct visit *v, uint32_t flags)
{
	struct memkv_pool_options options = {.size = sizeof(options), .flags = flags, .lanes = 2};
	struct memkv_pool *pool = NULL;
	int err;

	if (mix(v->seed + 3) % 4)
		options.flags |= MEMKV_OPEN_NO_FOLLOWER;
	if (mix(v->seed + 4) % 8 == 0)
		options.flags |= MEMKV_OPEN_BUFFERED;
	err = memkv_pool_open(v->path, &options, &pool);
	if (err)
		fault(v, "attach: %s: %s", memkv_code_name(err), memkv_error_detail());
	return err ? NULL : pool;
}

void visit_read(struct visit *v)
{
	hurt_write(v->fd, v->hurt);
	struct memkv_pool *pool = visit_open(v, MEMKV_OPEN_READ_ONLY);
	if (pool)
		visit_look(v, pool);
	memkv_pool_close(pool);
}

/* what a get returned before the repair it returns after it */
static void expect_kept(struct visit *v, struct memkv_pool *pool, const bool *there)
{
	for (uint32_t n = 0; n < v->base->block_count; n++)
		if (there[n] && !visit_get(v, pool, n))
			fault(v, "block %u was there before the repair and is a miss after it", n);
}

static void check_again(struct visit *v, const struct memkv_check_report *first)
{
	struct memkv_check_report second;
	struct memkv_pool *pool = visit_open(v, MEMKV_OPEN_READ_ONLY);

	if (pool && memkv_pool_check(pool, NULL, &second))
		fault(v, "check after the repair: %s", memkv_error_detail());
	else if (pool && (second.bad || (second.records_bad && !first->left)))
		fault(v, "after a repair of %llu records and %llu blocks, %llu left, a check finds %llu bad blocks and %llu bad records",
		      (unsigned long long)first->repaired, (unsigned long long)first->removed, (unsigned long long)first->left,
		      (unsigned long long)second.bad, (unsigned long long)second.records_bad);
	memkv_pool_close(pool);
}

static void repair(struct visit *v, struct memkv_pool *pool, const bool *there)
{
	struct memkv_check_options options = {.size = sizeof(options), .repair = 1};
	struct memkv_check_report report;
	int err = memkv_pool_check(pool, &options, &report);

	if (err) {
		fault(v, "repair: %s: %s", memkv_code_name(err), memkv_error_detail());
		return;
	}
	expect_kept(v, pool, there);
	check_again(v, &report);
	for (uint32_t n = 0; n < v->base->block_count; n++)
		if (v->base->blocks[n].fate == FATE_LIVE && !there[n] && block_put(pool, n, 0))
			fault(v, "block %u was lost, and cannot be put again after the repair: %s", n, memkv_error_detail());
}

void visit_repair(struct visit *v)
{
	bool *there = calloc(v->base->block_count, sizeof(*there));

	hurt_write(v->fd, v->hurt);
	struct memkv_pool *pool = visit_open(v, MEMKV_OPEN_READ_ONLY);
	for (uint32_t n = 0; pool && n < v->base->block_count; n++)
		there[n] = visit_get(v, pool, n);
	memkv_pool_close(pool);
	pool = visit_open(v, 0);
	if (pool)
		repair(v, pool, there);
	memkv_pool_close(pool);
	free(there);
}

/* the numbers of new blocks: small ones, for which the pools have room without evicting anything */
static uint32_t fresh_number(const struct visit *v, uint32_t which)
{
	uint32_t number = v->base->block_count;

	for (uint32_t passed = 0;; number++)
		if (block_length(number, 0) <= FRESH_BYTES_MAX && passed++ == which)
			return number;
}

static void put_fresh(struct visit *v, struct memkv_pool *pool)
{
	uint32_t number = fresh_number(v, v->fresh);
	int err = block_put(pool, number, 0);

	v->fresh++;
	if (err)
		fault(v, "put of a new block: %s: %s", memkv_code_name(err), memkv_error_detail());
	else if (!visit_get(v, pool, number))
		fault(v, "a block that was just put is a miss");
}

/* one that is there goes, and does not come back */
static uint32_t remove_one(struct visit *v, struct memkv_pool *pool)
{
	uint32_t number = (uint32_t)(mix(v->seed + 6) % v->base->block_count);

	while (v->base->blocks[number].fate != FATE_LIVE)
		number = (number + 1) % v->base->block_count;
	int removed = memkv_remove(pool, &v->base->blocks[number].key);
	if (removed < 1 && !v->lost[number])
		fault(v, "remove of block %u: %s", number, memkv_code_name(removed));
	return number;
}

static void expect_gone(struct visit *v, struct memkv_pool *pool, uint32_t number)
{
	struct memkv_get_options options = {.size = sizeof(options), .flags = MEMKV_GET_UPTO};
	static uint8_t bytes[BLOCK_SIZE];

	if (memkv_get(pool, &v->base->blocks[number].key, bytes, sizeof(bytes), &options) != MEMKV_MISS)
		fault(v, "block %u was removed and is still there", number);
}

/* the damage may have hit a fresh block when it came later */
static void judge_fresh(struct visit *v, struct memkv_pool *pool)
{
	uint32_t missing = 0;

	for (uint32_t i = 0; i < v->fresh; i++)
		missing += !visit_get(v, pool, fresh_number(v, i));
	if (missing && !v->under)
		fault(v, "%u of the new blocks are lost", missing);
	if (missing && v->under && v->hurt->kind == HURT_BIT && v->out->lost + missing > 1)
		fault(v, "one flipped bit cost %u blocks", v->out->lost + missing);
}

void visit_write(struct visit *v)
{
	v->out->writing = true;
	v->under = mix(v->seed + 7) % 2;
	if (!v->under)
		hurt_write(v->fd, v->hurt);
	struct memkv_pool *pool = visit_open(v, 0);
	if (!pool)
		return;
	put_fresh(v, pool);
	if (v->under)
		hurt_write(v->fd, v->hurt);
	while (v->fresh < FRESH)
		put_fresh(v, pool);
	visit_look(v, pool);
	uint32_t removed = remove_one(v, pool);
	expect_gone(v, pool, removed);
	memkv_pool_close(pool);

	pool = visit_open(v, MEMKV_OPEN_READ_ONLY);
	if (!pool)
		return;
	expect_gone(v, pool, removed);
	judge_fresh(v, pool);
	memkv_pool_close(pool);
	if (mix(v->seed + 8) % 2)
		visit_press(v);
}
