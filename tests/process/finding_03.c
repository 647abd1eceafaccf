/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding 3: a pin that meets a reclaim is in force, or was refused.
 *
 *   reclaimer: an agent that writes, and empties segments for it, is stopped before each of its stores in turn.  Then
 *              blocks are pinned, by key and by session.  It goes on, or is killed some stores later.
 *   pinner:    an agent that pins is stopped before each of its stores; meanwhile everything that is not pinned is
 *              evicted.  It goes on, or is killed.
 * Afterwards more than the pool holds is written, by an agent that was there and by another: every block whose pin was
 * acknowledged is exact for both, and for a fresh reader; and a check finds nothing.
 *
 * --every N: stop before every N-th store; --deaths D, --step S: then kill before the S-th, 2S-th, ... of the next D.
 */
#include "scene.h"

enum { PINS = 40, CHILD_FIRST = 50000, CHILD_PUTS = 14 };

static struct {
	struct store_watch watch;
	atomic_int pinned[SCENE_BLOCKS]; /* acknowledged, by number */
	atomic_uint_fast64_t moved, session;
} *shared;

static uint64_t rounds, pins_made, refused;

static int fill_segments(struct memkv_pool *pool)
{
	for (uint64_t i = 0; i < CHILD_PUTS; i++)
		if (scene_put(pool, CHILD_FIRST + 3 * i + 1))
			return 1;
	atomic_store(&shared->moved, counters_of(pool).moved_blocks);
	return 0;
}

static void pin_key(struct memkv_pool *pool, uint64_t number)
{
	struct memkv_key key = key_of(number);
	int64_t result = memkv_pin(pool, &key, 1, NULL, NULL);

	EXPECT(result >= 0 || result == MEMKV_PIN_LIMIT, "pin: %s", memkv_code_name((int)result));
	if (result == 1)
		atomic_store(&shared->pinned[number - SCENE_FIRST], 1);
}

/* the oldest that are there, which go first; then a session, a third of all */
static void pin_some(struct memkv_pool *pool, uint64_t count, bool session)
{
	uint64_t pinned = 0;

	for (uint64_t n = SCENE_FIRST; n < SCENE_FIRST + SCENE_BLOCKS && pinned < count; n++)
		if (!scene_in_session(n) && scene_get(pool, n)) {
			pin_key(pool, n);
			pinned++;
		}
	if (!session)
		return;
	int64_t held = memkv_pin_session(pool, SCENE_SESSION, NULL);
	EXPECT(held >= 0, "pin of a session: %s", memkv_code_name((int)held));
	atomic_store(&shared->session, 1);
}

static int pin_in_child(struct memkv_pool *pool)
{
	pin_some(pool, 6, true);
	return 0;
}

/*
 * What of the session is there belongs to what must stay.  Looked at afresh: what lies in a segment that has just been
 * opened anew can be read by who does not know that yet, and is not there.
 */
static void note_session(struct memkv_pool *pool)
{
	if (!atomic_load(&shared->session))
		return;
	memkv_pool_refresh(pool);
	for (uint64_t n = SCENE_FIRST; n < SCENE_FIRST + SCENE_BLOCKS; n++)
		if (scene_in_session(n) && scene_get(pool, n))
			atomic_store(&shared->pinned[n - SCENE_FIRST], 1);
}

static void expect_pinned(struct memkv_pool *pool, const char *who, uint64_t stop_at, uint64_t kill_at)
{
	memkv_pool_refresh(pool);
	for (uint64_t n = 0; n < SCENE_BLOCKS; n++)
		EXPECT(!atomic_load(&shared->pinned[n]) || scene_get(pool, SCENE_FIRST + n),
		       "%s: block %llu is pinned and gone; stopped before store %lld, killed before %lld", who,
		       (unsigned long long)n, (long long)stop_at, (long long)kill_at);
}

static void look_afterwards(struct memkv_pool *pool, uint64_t stop_at, uint64_t kill_at)
{
	note_session(pool);
	refused += scene_flood(pool, scene_room(pool));
	expect_pinned(pool, "an agent that was there", stop_at, kill_at);
	memkv_pool_close(pool);
	pool = scene_attach(0);
	refused += scene_flood(pool, scene_room(pool) / 2);
	expect_pinned(pool, "the next writer", stop_at, kill_at);
	memkv_pool_close(pool);
	pool = scene_attach(MEMKV_OPEN_READ_ONLY);
	expect_pinned(pool, "a fresh reader", stop_at, kill_at);
	pool_expect_clean(pool, "a fresh reader");
	int64_t listed = memkv_pins(pool, NULL, 0);
	EXPECT(listed > 0 || !atomic_load(&shared->session), "pins: %lld are listed", (long long)listed);
	memkv_pool_close(pool);
}

static void forget_pins(void)
{
	for (uint64_t n = 0; n < SCENE_BLOCKS; n++)
		atomic_store(&shared->pinned[n], 0);
	atomic_store(&shared->session, 0);
}

static void count_pins(void)
{
	for (uint64_t n = 0; n < SCENE_BLOCKS; n++)
		pins_made += (uint64_t)atomic_load(&shared->pinned[n]);
	rounds++;
}

/* false: the reclaimer makes fewer stores than @stop_at */
static bool reclaimer_round(uint64_t stop_at, uint64_t kill_at)
{
	scene_reset();
	forget_pins();
	pid_t child = scene_start(&shared->watch, stop_at, kill_at, fill_segments);
	if (!child) {
		EXPECT(atomic_load(&shared->watch.acknowledged), "the reclaimer failed");
		return false;
	}
	struct memkv_pool *pool = scene_attach(0);
	pin_some(pool, PINS, true);
	note_session(pool);
	scene_go_on(child);
	look_afterwards(pool, stop_at, kill_at);
	count_pins();
	return true;
}

static bool pinner_round(uint64_t stop_at, uint64_t kill_at)
{
	scene_reset();
	forget_pins();
	pid_t child = scene_start(&shared->watch, stop_at, kill_at, pin_in_child);
	if (!child) {
		EXPECT(atomic_load(&shared->watch.acknowledged), "the pinner failed");
		return false;
	}
	struct memkv_pool *pool = scene_attach(0);
	note_session(pool);
	scene_flood(pool, scene_room(pool));
	scene_go_on(child);
	look_afterwards(pool, stop_at, kill_at);
	count_pins();
	return true;
}

static void run(const char *name, bool (*round)(uint64_t, uint64_t), uint64_t every, uint64_t deaths, uint64_t step)
{
	rounds = pins_made = refused = 0;
	scene_rounds(round, every, deaths, step);
	EXPECT(pins_made > rounds, "%s: %llu pins in %llu rounds: the test tests little", name, (unsigned long long)pins_made,
	       (unsigned long long)rounds);
	printf("%s: %llu stores, %llu rounds, %llu pins acknowledged, each exact; %llu puts found no room\n", name,
	       (unsigned long long)atomic_load(&shared->watch.stores), (unsigned long long)rounds,
	       (unsigned long long)pins_made, (unsigned long long)refused);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	uint64_t every = argument_number(argc, argv, "--every", 1), deaths = argument_number(argc, argv, "--deaths", 0);
	uint64_t step = argument_number(argc, argv, "--step", 1);

	faults_need();
	shared = shared_alloc(sizeof(*shared));
	scene_make("finding-03", 4);
	run("reclaimer", reclaimer_round, every, deaths, step);
	EXPECT(atomic_load(&shared->moved) > 0, "the reclaimer moved nothing");
	run("pinner", pinner_round, every, deaths, step);
	return 0;
}
