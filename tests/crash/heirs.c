/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the dead have stated, passed on by heirs who die at it.
 *
 * An agent pins a session, and leaves; the next one in its slot pins a key, and leaves.  So the first pin stands in a checkpoint
 * alone, the other in a log.  Who takes the slot now writes both into the other checkpoint, before anything is written over, and
 * is killed at each moment of this.  Another one takes the slot after that, and at each moment of this the power fails.
 * Whoever attaches then, and whoever attaches after that one, finds both pins and the block.
 *
 * usage: heirs [--every N] [--device 1]      --every N: each N-th pair of moments
 */
#include "workload.h"

#include "core/pool/handle.h"

#include <memkv/pin.h>

#include <stdlib.h>
#include <string.h>

enum { BLOCK = 1, PINS = 2, WAYS = 30 /* a moment's, to lose what was not flushed */ };

struct heirs {
	struct disk *disk, *left; /* that is recorded; that a cut leaves */
	struct journal journal;
	uint8_t *begin, *killed;
	uint64_t every, pairs, cuts;
};

static struct memkv_pool *attached(const struct disk *disk, const char *who)
{
	struct memkv_pool *pool;

	if (crash_open(disk, 0, &pool))
		crash_fail("%s cannot attach: %s", who, memkv_error_detail());
	return pool;
}

static void begin(struct heirs *h, bool device)
{
	struct memkv_create_options options = {.size = sizeof(options), .blocks = 64, .block_size = BLOCK_BYTES, .slots = 6};
	uint64_t bytes;
	uint8_t *image = scratch_pool(&options, &bytes);
	struct memkv_key key;

	h->disk = disk_of_image(image, bytes, device);
	h->left = disk_of_image(image, bytes, device);
	free(image);
	struct memkv_pool *pool = attached(h->disk, "the first agent");
	uint64_t control_bytes = pool->control.layout.control_bytes;
	if (crash_put(pool, BLOCK, 0, MEMKV_PUT_DURABLE) || memkv_pin_session(pool, "a conversation", NULL) != 0)
		crash_fail("the first agent cannot pin");
	memkv_pool_close(pool);
	pool = attached(h->disk, "the second agent");
	block_name(BLOCK, &key);
	if (memkv_pin(pool, &key, 1, NULL, NULL) != 1)
		crash_fail("the second agent cannot pin");
	memkv_pool_close(pool);
	h->begin = malloc(bytes);
	h->killed = malloc(bytes);
	if (!h->begin || !h->killed)
		abort();
	memcpy(h->begin, h->disk->image, bytes);
	journal_init(&h->journal);
	if (!device)
		journal_watch(&h->journal, h->disk->image, control_bytes, false);
}

/* somebody attaches to what the disk holds: what that does goes behind what is in the journal */
static void record(struct heirs *h)
{
	struct journal *j = &h->journal;

	if (j->control)
		memcpy(j->shadow, h->disk->image, j->control_bytes);
	h->disk->journal = j;
	struct memkv_pool *pool = attached(h->disk, "an heir");
	if (j->control)
		journal_compare(j, 0, j->control_bytes);
	h->disk->journal = NULL;
	memkv_pool_close(pool);
}

/* stores that were found by comparing have no order among themselves */
static bool is_moment(const struct journal *j, uint64_t at)
{
	return at == 0 || at >= j->count || j->events[at].kind != EVENT_STORE || j->events[at - 1].kind != EVENT_STORE;
}

/* a slot passes on when the last command of its holder has ended */
static bool is_quiet(const struct journal *j, uint64_t at)
{
	for (uint64_t i = 0; i < at && i < j->count; i++)
		if (j->events[i].kind == EVENT_WRITE && j->events[i].done_at >= at)
			return false;
	return is_moment(j, at);
}

static void look(const struct heirs *h, const char *who)
{
	struct memkv_pool *pool = attached(h->left, who);
	struct memkv_pin_info pins[PINS + 1];

	if (memkv_pins(pool, pins, PINS + 1) != PINS)
		crash_fail("%s finds %d pins of %d", who, (int)memkv_pins(pool, NULL, 0), PINS);
	if (block_look(pool, BLOCK, 0) != 1)
		crash_fail("%s does not find the block", who);
	memkv_pool_close(pool);
}

static void cut(struct heirs *h, const struct replay *replay, uint64_t first, uint64_t how)
{
	enum cut_mode mode = (enum cut_mode)(JOURNAL_NOTHING + how % (CUT_MODES - JOURNAL_NOTHING));

	snprintf(crash_context, sizeof(crash_context), "killed at event %llu, power cut at event %llu of the next, %s",
		 (unsigned long long)first, (unsigned long long)replay->moment, cut_mode_name(mode));
	memset(h->left->locks, 0, sizeof(h->left->locks));
	replay_cut(replay, mode, how, h->left->image);
	look(h, "who attaches");
	look(h, "the one after");
	h->cuts++;
}

/* one heir was killed at @first, and left h->killed; the power fails under the next */
static void cut_next(struct heirs *h, uint64_t first)
{
	struct replay replay;

	h->journal.count = first; /* of the later ones nothing has happened */
	disk_load(h->disk, h->killed);
	record(h);
	replay_init(&replay, &h->journal, h->begin, h->disk->bytes);
	for (uint64_t at = first; at <= h->journal.count; at++) {
		replay_to(&replay, at);
		if (!is_moment(&h->journal, at) || h->pairs++ % h->every)
			continue;
		for (uint64_t i = 0; i < WAYS; i++)
			cut(h, &replay, first, h->pairs * WAYS + i);
	}
	replay_fini(&replay);
}

static uint64_t number(int argc, char **argv, const char *name, uint64_t otherwise)
{
	for (int i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return strtoull(argv[i + 1], NULL, 0);
	return otherwise;
}

int main(int argc, char **argv)
{
	struct heirs h = {.every = number(argc, argv, "--every", 1)};
	struct replay replay;
	uint64_t events = 1, kills = 0;

	begin(&h, number(argc, argv, "--device", 0));
	for (uint64_t first = 0; first <= events; first++) {
		h.journal.count = 0;
		disk_load(h.disk, h.begin);
		record(&h);
		events = h.journal.count;
		if (!is_quiet(&h.journal, first))
			continue;
		replay_init(&replay, &h.journal, h.begin, h.disk->bytes);
		replay_to(&replay, first);
		replay_cut(&replay, JOURNAL_WHOLE, 0, h.killed);
		replay_fini(&replay);
		cut_next(&h, first);
		kills++;
	}
	printf("%llu heirs killed, %llu power cuts under the next one: both pins were there\n", (unsigned long long)kills,
	       (unsigned long long)h.cuts);
	if (kills < 5 || !h.cuts)
		crash_fail("an attach has only %llu moments", (unsigned long long)kills);
	journal_fini(&h.journal);
	disk_free(h.disk);
	disk_free(h.left);
	free(h.begin);
	free(h.killed);
	return 0;
}
