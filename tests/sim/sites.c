/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Misfortunes at chosen spots.  Each place where a deliberate bug stands marks a delicate spot of the protocol, and it is passed
 * whether that bug is on or not.  In half of the seeds one or two of them are chosen, whichever bug is on; there, some points
 * behind, or some points before the place of the last passage in calls of the same kind, the thread stands still, its process
 * dies, the power goes, or the medium says no - and soon after that, in some seeds, something else goes wrong as well.
 *
 * A thread that stands still is woken when something of a drawn kind has happened elsewhere, or after a time; meanwhile
 * the others are often about its key, or press for room.
 *
 * All of this is drawn from random numbers of its own: the other half of the seeds is as if it were not there.
 */
#include "sim.h"
#include "stage.h"

#include <string.h>
#include <xxhash.h>

enum deed { DEED_NONE, DEED_STALL, DEED_STOP, DEED_KILL, DEED_CUT, DEED_ERRORS, DEEDS };

static uint32_t pick(uint32_t n) { return draw_from(world.sites.random, n); }

static bool likely(uint32_t of_65536) { return of_65536 && pick(65536) < of_65536; }

/* ---- what a seed decides ---- */

/* one of the bits that are set */
static uint32_t some_bit(uint32_t bits)
{
	for (uint32_t skip = pick((uint32_t)__builtin_popcount(bits)); skip; skip--)
		bits &= bits - 1;
	return (uint32_t)__builtin_ctz(bits);
}

static uint64_t names[MUTANT_COUNT];

static void hash_names(void)
{
	for (int m = 1; m < MUTANT_COUNT; m++)
		names[m] = XXH3_64bits(mutant_name((enum sim_mutant)m), strlen(mutant_name((enum sim_mutant)m)));
}

/* what a spot draws by its name: so a new spot leaves all seeds as they were but those that choose it */
static uint64_t lot(enum sim_mutant place, uint64_t number)
{
	uint64_t pair[2];

	random_seed(pair, names[place] ^ number);
	return pair[0];
}

static bool is_passed(int m, enum medium_kind medium)
{
#define ONE(name, text) +1
	/* in the order of core/base/simulate.h: what shows everywhere, on devices, between caches, on shared devices */
	enum { MAPPED = 1 SIM_MAPPED_MUTANTS(ONE), DEVICE = MAPPED SIM_DEVICE_MUTANTS(ONE), LINES = DEVICE SIM_LINES_MUTANTS(ONE) };
#undef ONE

	switch (medium) {
	case MEDIUM_FILE:
	case MEDIUM_MEMORY:
		return m < MAPPED;
	case MEDIUM_BLOCK:
		return m < DEVICE;
	case MEDIUM_LINES:
		return m < LINES;
	default:
		return m < DEVICE || m >= LINES;
	}
}

static enum sim_mutant some_site(void)
{
	uint64_t number = pick(UINT32_MAX), highest = 0;
	enum sim_mutant site = MUTANT_NONE;

	for (int m = 1; m < MUTANT_COUNT; m++) {
		if (!is_passed(m, world.setup.medium))
			continue;
		uint64_t drawn = lot((enum sim_mutant)m, number);
		if (drawn >= highest) {
			highest = drawn;
			site = (enum sim_mutant)m;
		}
	}
	return site;
}

static enum deed some_deed(void)
{
	static const enum deed deeds[] = {DEED_STALL, DEED_STALL, DEED_STALL, DEED_STALL, DEED_STOP,
					  DEED_KILL,  DEED_KILL,  DEED_CUT,   DEED_CUT,	  DEED_ERRORS};
	enum deed deed = deeds[pick(ARRAY_COUNT(deeds))];

	if (deed == DEED_ERRORS && world.setup.medium == MEDIUM_LINES) /* loads and stores do not fail */
		return DEED_STALL;
	return deed == DEED_CUT && on_shared() ? DEED_KILL : deed;
}

/* few keys, few kinds of calls */
static void choose_menu(struct setup *s)
{
	static const enum call_kind kinds[] = {CALL_GET, CALL_REMOVE, CALL_REFRESH, CALL_HOLD, CALL_PIN, CALL_EVICT};
	bool pins = s->medium != MEDIUM_SHARED && s->medium != MEDIUM_LINES;

	if (pick(2))
		return;
	world.sites.menu = 1u << CALL_PUT;
	for (uint32_t i = 0, n = 1 + pick(3); i < n; i++)
		world.sites.menu |= 1u << kinds[pick(ARRAY_COUNT(kinds))];
	if (!pins)
		world.sites.menu &= ~(1u << CALL_PIN | 1u << CALL_EVICT);
	if (world.sites.menu & 1u << CALL_PIN)
		s->pin = 4000;
	if (pick(2))
		s->replace = pick(2) ? 20000 : 60000;
	if (pick(2)) {
		s->keys = 2 + pick(8);
		s->hot_keys = 1 + pick(2);
	}
}

enum call_kind sites_menu(void)
{
	enum { EVICTIONS = 40 };
	uint32_t menu = world.sites.menu;

	if (world.sites.on && world.setup.medium <= MEDIUM_BLOCK && pick(EVICTIONS) == 0)
		return CALL_EVICT;
	return menu && pick(8) ? (enum call_kind)some_bit(menu) : CALL_NONE;
}

bool sites_begin(uint64_t seed)
{
	memset(&world.sites, 0, sizeof(world.sites));
	if (!names[1])
		hash_names();
	random_seed(world.sites.random, ~seed);
	/* not yet of hosts that share a device, unless asked for: there they find what is not mended (README.md) */
	return pick(4) != 0;
}

bool sites_tight(void) { return world.sites.on && pick(3); }

static void choose_deeds(struct setup *s)
{
	struct sites *w = &world.sites;

	w->deeds = pick(2) ? 1u << DEED_STALL : 1u << DEED_STALL | 1u << some_deed() | 1u << some_deed();
	w->wheres = pick(3) ? (1u << SITE_WHERES) - 1 : 1u << pick(SITE_WHERES);
	if (w->deeds >> DEED_CUT & 1 && !s->cut) {
		s->durable = pick(2) ? 30000 : 3000;
		s->write_back = pick(2) ? 100 : 2000;
	}
}

/* a few of them; or all, each the less the more often the run has passed it, so that those count most that are seldom passed */
static void choose_spots(void)
{
	enum { FEW = 3 };
	static const uint32_t chances[] = {65535, 20000, 5000, 1000};
	struct sites *w = &world.sites;
	uint32_t chance = chances[pick(ARRAY_COUNT(chances))];

	w->fades = pick(3);
	for (int m = 1; w->fades && m < MUTANT_COUNT; m++)
		w->sites[m].chance = is_passed(m, world.setup.medium) ? chance : 0;
	for (uint32_t i = 0, n = 1 + pick(FEW); !w->fades && i < n; i++)
		w->sites[some_site()].chance = chances[pick(ARRAY_COUNT(chances))];
}

/* a device's mirror is shared by the threads of one process alone: what they make of it shows when there are some */
static void choose_threads(struct setup *s)
{
	if (s->medium != MEDIUM_BLOCK || pick(2))
		return;
	s->threads = 2 + pick(2);
	s->poller = pick(4) == 0;
	s->agents = (uint32_t)max_u64(s->agents, 2);
}

void sites_choose(struct setup *s)
{
	static const uint32_t fails[] = {20000, 6000, 2000};
	struct sites *w = &world.sites;

	if (!w->on)
		return;
	choose_spots();
	choose_deeds(s);
	bool deaths = w->deeds & (1u << DEED_CUT | 1u << DEED_KILL);
	w->shocks = pick(2) ? 0 : 30000;
	w->about = pick(3) ? 30000 : 0;
	w->press = pick(2) ? 0 : 30000;
	w->again = pick(2) ? 0 : 40000;
	w->ripples = pick(3) ? 0 : 1000;
	w->fails = fails[pick(ARRAY_COUNT(fails))];
	w->sick = s->medium == MEDIUM_LINES || pick(deaths ? 2 : 6) ? 0 : 20000;
	choose_menu(s);
	choose_threads(s);
}

/* ---- what goes wrong ---- */

static void errors(void)
{
	world.sites.fail_until = world.now + (50ULL << pick(8));
}

static void shock_later(void)
{
	struct sites *w = &world.sites;

	if (likely(w->shocks))
		w->shock_at = world.now + (1ULL << pick(13));
}

static void stall(struct thread *t)
{
	static const enum event wakers[] = {EVENT_RETURN, EVENT_OWNER, EVENT_HEADER, EVENT_ENTRY, EVENT_LIFE,
					    EVENT_LAND,	  EVENT_WORD,  EVENT_SPAWN,  EVENT_LOCK,  EVENT_CUT};

	fortune_stall(t);
	t->wakes_on = EVENT_NONE;
	if (pick(3) == 0)
		return;
	t->wakes_on = wakers[pick(ARRAY_COUNT(wakers))];
	t->wakes_left = 1 + pick(1u << pick(5));
	if (!on_shared()) /* there the protocol leaves it to time that nobody stands still for too long */
		t->asleep_until += 1u << pick(15);
	world.sites.sleepers++;
}

/* some come at once, most soon */
static uint32_t soon(void) { return 1 + pick(1u << pick(8)); }

static void about(uint32_t key)
{
	struct sites *w = &world.sites;

	w->key = key;
	w->key_until = world.now + 20000;
}

static void befall(struct thread *t, enum deed deed)
{
	struct sites *w = &world.sites;
	struct agent *a = t->agent;

	if (a->state != AGENT_UP || world.fate)
		return;
	if (t->call.key < KEYS_LIMIT && t->call.kind)
		about(t->call.key);
	cover(COVER_SITE);
	switch (deed) {
	case DEED_STALL:
		stall(t);
		break;
	case DEED_STOP:
		fortune_stop(a);
		break;
	case DEED_KILL:
		world.fate = FATE_KILL;
		break;
	case DEED_CUT:
		world.fate = FATE_CUT;
		break;
	default:
		errors();
		break;
	}
	world.fated = a;
	shock_later();
	/* windows are often several, one behind the other */
	if (deed == DEED_STALL && !t->due && !on_shared() && likely(w->again)) {
		t->due = soon();
		t->due_deed = deed;
	}
	world.budget = -1;
}

/* what was evicted a moment ago is asked for, removed and put again */
void sites_gone(uint32_t segment)
{
	const struct shadow_segment *s = &world.shadow[segment];
	uint32_t first = pick(PLACES_LIMIT);

	for (uint32_t i = 0; world.sites.on && i < PLACES_LIMIT; i++) {
		const struct shadow_place *p = &s->places[(first + i) % PLACES_LIMIT];
		if (p->generation == s->generation && p->life == SHADOW_LIVE && p->instance != UINT32_MAX)
			about(world.instances[p->instance].key);
	}
}

void sites_answered(struct thread *t)
{
	enum deed deed = (enum deed)t->answered;

	t->answered = DEED_NONE;
	if (deed)
		befall(t, deed);
}

void sites_attach(void)
{
	if (likely(world.sites.sick) && world.phase == PHASE_RUN)
		errors();
}

void sites_due(struct thread *t)
{
	befall(t, (enum deed)t->due_deed);
}


static void passed(enum sim_mutant place)
{
	struct site *site = &world.sites.sites[place];
	struct thread *t = world.thread;

	if (!t || world.phase != PHASE_RUN || t->agent->state != AGENT_UP)
		return;
	site->call = t->call.kind;
	site->points = (uint32_t)t->call.points;
	site->passed += world.sites.fades;
	uint64_t drawn = lot(place, world.seed + ((uint64_t)++site->asked << 40));
	if (t->due || drawn >> 48 >= site->chance / (1 + site->passed))
		return;
	uint32_t where = some_bit(world.sites.wheres), deed = some_bit(world.sites.deeds);
	if (where == SITE_BEFORE)
		return;
	trace(EVENT_SITE, t->agent, place, where, 0);
	if (where == SITE_ANSWERED && t->call.kind) {
		t->answered = deed;
		return;
	}
	t->due = where == SITE_AT ? 1 : soon();
	t->due_deed = deed;
}

int sim_site(enum sim_mutant place)
{
	if (stage.on)
		stage_spot(place);
	if (world.sites.sites[place].chance)
		passed(place);
	return sim_mutant == place;
}

/* a call begins of the kind that came by a chosen spot */
void sites_call(struct thread *t)
{
	enum { ONE_OF = 16 };

	if (!world.sites.on || world.phase != PHASE_RUN || !(world.sites.wheres >> SITE_BEFORE & 1))
		return;
	uint64_t number = pick(UINT32_MAX);
	for (int m = 1; m < MUTANT_COUNT; m++) {
		struct site *site = &world.sites.sites[m];
		if (!site->points || site->call != t->call.kind || lot((enum sim_mutant)m, number) >> 48 >= site->chance / ONE_OF)
			continue;
		site->passed += world.sites.fades;
		trace(EVENT_SITE, t->agent, (uint32_t)m, SITE_BEFORE, site->points);
		t->due = 1 + pick(site->points);
		t->due_deed = some_bit(world.sites.deeds);
		return;
	}
}

/* whoever waits for such an event goes on, sometimes while its maker stands still */
void sites_event(enum event event, const struct agent *agent)
{
	for (uint32_t i = 0; i < world.setup.agents; i++)
		for (int k = 0; k < THREADS_ALL; k++) {
			struct thread *t = &world.agents[i].threads[k];
			if (t->wakes_on != event || t->state != THREAD_READY || t == world.thread || t->asleep_until <= world.now ||
			    --t->wakes_left)
				continue;
			t->wakes_on = EVENT_NONE;
			t->asleep_until = 0;
			world.sites.sleepers--;
			if (world.thread && world.thread->agent == agent && world.thread->call.kind && pick(2))
				fortune_stall(world.thread);
			world.budget = -1;
		}
}

/* ---- soon after ---- */

static struct agent *somebody(void)
{
	for (int tries = 0; tries < 8; tries++) {
		struct agent *a = &world.agents[pick(world.setup.agents)];
		if (a->state == AGENT_UP)
			return a;
	}
	return NULL;
}

void sites_befalls(void)
{
	struct sites *w = &world.sites;

	if (!w->shock_at || w->shock_at > world.now)
		return;
	w->shock_at = 0;
	struct agent *a = somebody();
	switch (pick(4)) {
	case 0:
		if (w->deeds >> DEED_CUT & 1 || world.setup.cut)
			fortune_cut();
		else if (a)
			agent_kill(a);
		break;
	case 1:
		if (a)
			agent_kill(a);
		break;
	case 2:
		if (world.setup.medium != MEDIUM_LINES)
			errors();
		break;
	default:
		for (uint32_t i = 0; i < world.setup.agents; i++)
			world.agents[i].up_at = min_u64(world.agents[i].up_at, world.now + pick(50));
		break;
	}
	shock_later();
}

bool sites_fails(void)
{
	return world.sites.fail_until > world.now && likely(world.sites.fails);
}

uint32_t sites_key(uint32_t key)
{
	const struct sites *w = &world.sites;

	return w->key_until > world.now && likely(w->about) ? w->key : key;
}

bool sites_press(void)
{
	const struct sites *w = &world.sites;

	return w->key_until > world.now && likely(w->press);
}

uint32_t sites_ripple(void)
{
	const struct sites *w = &world.sites;

	return w->key_until > world.now ? w->ripples : 0;
}
