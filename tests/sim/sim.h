/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulated world: one pool, the processes that use it, the medium under it, and what the oracle knows.
 *
 * All of it lives in one process and one thread, and follows from a seed.  Time is counted in points: each access to
 * shared words and each medium event is one.
 *
 *   setup.c    what a seed decides beforehand            watch.c    what happens to the pool's memory, and may it?
 *   world.c    the scheduler                             oracle.c   what calls answer, and may they?
 *   fortune.c  kills, stops, stalls, power cuts
 *   sites.c    the same at chosen spots
 *   medium.c   the medium behind core/media/media.h      actor.c    what the processes do
 *   medium_faults.c   what goes wrong with it
 *   device.c   a block device below core/media           landed.c   what reaches a device, and may it?
 *   process.c  memory, locks, clock of a process         events.c   what a person reads; coverage
 *   lines.c    memory of hosts that are not coherent
 *   left.c     what power loss leaves
 *   drains.c   agents that are drained                   oracle_looks.c, oracle_pins.c   likewise, what is found; pins
 *   stated.c   what logs on a shared device say          stamps.c   the bytes of puts
 */
#ifndef MEMKV_TESTS_SIM_SIM_H
#define MEMKV_TESTS_SIM_SIM_H

#include "core/base/simulate.h"
#include "core/format/owner_word.h"
#include "core/format/table_format.h"
#include "core/media/media.h"
#include "events.h"
#include "fiber.h"

#include <memkv/memkv.h>

enum {
	AGENTS_MAX = 5,
	THREADS_MAX = 3,
	THREADS_ALL = THREADS_MAX + 2, /* the last ones: the library's own */
	COMMANDS_MAX = 128,
	COMMAND_SECTORS = 32,
	SEGMENTS_LIMIT = 16,
	PLACES_LIMIT = 8,
	KEYS_LIMIT = 200,
	SESSIONS_MAX = 3,
	INSTANCES_MAX = 3000,
	REMOVALS_MAX = 3000,
	COPIES_MAX = 16,
	RANKS = 1000,
	PAYLOAD_MIN = 16, /* the stamp */
	PAYLOAD_MAX = 6 * PAGE,
	IMAGE_PAGES_MAX = 800,
	SECTOR = 512, /* the smallest piece that a device writes whole */
	PAGE_SECTORS = PAGE / SECTOR,
};
#define ARENA_BYTES (24ULL << 20)
#define NEVER UINT64_MAX

/* ---- what a seed decides beforehand ---- */

enum medium_kind { MEDIUM_FILE, MEDIUM_MEMORY, MEDIUM_BLOCK, MEDIUM_SHARED, MEDIUM_LINES, MEDIUM_KINDS };

struct setup {
	enum medium_kind medium;
	uint32_t agents, threads, hot_keys, keys;
	bool tight;
	bool poller; /* the last thread of each process is its follower */
	uint32_t distance;   /* mean number of points between two switches */
	uint64_t points_end; /* length of the run */
	uint32_t max_block;
	uint32_t memory_align, misaligned; /* of the medium; of the callers' memory */
	uint32_t sector;		   /* of a device: what it writes whole, SECTOR or PAGE */
	/* chances out of 65536 */
	uint32_t kill, stop, stall, cut, write_back, clock_jump; /* a slice */
	uint32_t sleep; /* shared: a host that has nothing to do stands still for longer than its slot is kept for it */
	uint32_t hot_kill, hot_stop, hot_stall, hot_cut;	   /* a hot point: fortune.c */
	bool ranked;						   /* threads have priorities, which change now and then */
	bool brief;						   /* processes do not live long */
	uint32_t late, io_error;				   /* a command */
	uint32_t flush_error;
	uint32_t durable, replace, again, ttl, hot, remove, read_only; /* a call */
	uint32_t pin;	   /* likewise: it is about pins */
	uint32_t survivor; /* the run ends with one that is alone */
};

/* ---- processes ---- */

enum thread_state { THREAD_NONE, THREAD_READY, THREAD_WAITS_IO, THREAD_WAITS_LOCK, THREAD_ENDED };

enum call_kind { CALL_NONE, CALL_OPEN, CALL_CLOSE, CALL_PUT, CALL_GET, CALL_RANGES, CALL_REMOVE, CALL_MATCH, CALL_STAT,
		 CALL_REFRESH, CALL_CHECK, CALL_LIST, CALL_PIN, CALL_UNPIN, CALL_PIN_SESSION, CALL_UNPIN_SESSION, CALL_PINS,
		 CALL_EVICT, CALL_HOLD, CALL_DRAIN, CALL_TEND, CALL_KINDS };
const char *call_name(enum call_kind kind); /* events.c */

/* does a process put, as far as drains tell? */
enum drain_standing { DRAIN_PUTS, DRAIN_DRAINED, DRAIN_UNSURE };

/* how far a put has come, to tell where a kill hit it */
enum put_stage { PUT_LOOKS, PUT_RESERVED, PUT_WRITES, PUT_WRITTEN, PUT_PUBLISHES, PUT_PUBLISHED, PUT_STAGES };

struct call {
	enum call_kind kind;
	uint32_t key, instance, removal; /* UINT32_MAX: none */
	uint64_t begin;			 /* world.order */
	uint64_t points;		 /* made by this call */
	uint64_t clock_low, clock_high;	 /* seen while it ran */
	uint64_t reopened;		 /* world.reopenings when it began */
	uint64_t looked;		 /* its process's when it began */
	enum put_stage stage;
	bool troubled; /* the medium said no meanwhile */
	bool lapsed;   /* hosts that share a device: it was out of its lease at some time meanwhile */
	bool moving;   /* publishes a copy */
	uint32_t pin;  /* of oracle_pins.c; UINT32_MAX: none */
	bool unpins, unpins_session;
	uint32_t unpins_subject;
	enum drain_standing drain_knows; /* drains.c: when a put began */
	uint64_t drain_changes;
};

struct thread {
	struct fiber fiber;
	enum thread_state state;
	struct agent *agent;
	uint32_t number;
	uint64_t asleep_until; /* stalled, or idle */
	uint64_t stood_from, ran; /* since when it has stood still, and how many points it has passed since the last time */
	bool naps;	       /* waits for a time, or for a word */
	uint32_t rank;	       /* the highest of those that can run does, mostly, where threads are ranked */
	void *(*own_run)(void *context); /* of the library's own */
	void *own_context;
	const void *waits_for; /* lock */
	struct call call;
	uint32_t due, due_deed;	       /* sites.c: what befalls it, in so many points */
	uint32_t answered;	       /* likewise: what befalls it when the call has been answered */
	uint32_t wakes_on, wakes_left; /* likewise: the event, and how many of them, that end its standing still */
	uint32_t held_segment; /* a hold that was made, and not released yet */
	uint64_t held;	       /* its generation; 0: none */
};

enum agent_state { AGENT_DOWN, AGENT_UP, AGENT_DYING };

struct agent {
	uint32_t number, life; /* counts processes */
	enum agent_state state;
	uint64_t stopped_until; /* SIGSTOP */
	uint64_t drowsy_until;	/* until then it falls asleep as soon as it has nothing to do */
	uint64_t up_at;		/* when the next process starts */
	struct memkv_pool *pool;
	struct sim_media *media;
	struct media *device; /* of the block kind: its mirror */
	bool read_only, quit;
	enum role { ROLE_ANY, ROLE_LAZY, ROLE_LOOKS, ROLE_REMOVES, ROLE_PUTS, ROLE_PINS, ROLES } role;
	bool rests;    /* waits for the phase to change */
	bool troubled; /* the medium said no to it, once */
	bool attached; /* slot and epoch are right */
	bool slot_lost; /* shared: its slot is another's */
	uint32_t claim_slot, claim_epoch; /* shared: what its last cell that landed is of; epoch 0: none has yet */
	bool lapsed;	/* likewise: it has been out of its lease at some time */
	uint64_t looked; /* world.order when the last fresh look began that has ended */
	bool checkpoints; /* has withdrawn a checkpoint, and not yet written it */
	uint32_t slot, epoch;
	uint32_t calls_left, in_flight, threads_running;
	struct thread threads[THREADS_ALL];
	uint8_t *arena;
	size_t arena_used, arena_last;
	uint8_t *buffers; /* of its threads' calls */
	/* hosts that share a device: the rate of its clock, in 1024ths; what it shows more; how often it was booted */
	uint64_t rate, ahead;
	uint32_t boots;
};

/* ---- the medium ---- */

struct sim_queue {
	struct media_queue base;
	struct agent *agent;
	struct thread *waiter;
	struct media_io *done[COMMANDS_MAX];
	uint32_t done_count;
};

struct command {
	struct agent *agent;
	struct sim_queue *queue;
	struct media_io *io;
	enum media_direction direction;
	uint64_t page;
	uint32_t sectors, left; /* bitmaps of pages */
	uint8_t rest[COMMAND_SECTORS]; /* of each page, bitmaps of what is left; 0: all */
	uint8_t *memory[COMMAND_SECTORS];
	uint64_t late_until;
	uint64_t segment, generation; /* written to; UINT64_MAX: none */
	uint32_t life;		      /* of the agent */
	bool fails;
	bool ghost; /* given up by its host, and still on the way */
	uint8_t *kept; /* then its bytes */
};

/* ---- what the watcher knows of the pool ---- */

/* sent: the entry is there, the block not yet; once it is, the place is live */
enum shadow_life { SHADOW_NONE, SHADOW_LIVE, SHADOW_REMOVED, SHADOW_MOVING, SHADOW_SENT };

struct shadow_place {
	uint64_t generation, birth;
	uint32_t instance, page, pages;
	enum shadow_life life;
	bool is_void;
	bool damaged; /* a power cut took its bytes */
	uint8_t untold; /* not 0: removed by a process that died, or failed, before it told anybody */
	uint64_t whole;	  /* likewise, when its block and its entry were there */
	uint64_t flagged; /* on a device: world.order when the flag landed */
	uint8_t telling; /* steps that are left until others know that it was removed; of a process that may die on the way */
	uint8_t flagged_by;
};

struct shadow_segment {
	struct owner_word owner;
	uint64_t generation; /* 0: none stands */
	uint64_t begun;	     /* the last one: its header may be written again, where power took it */
	uint64_t left_open;  /* on a device: the one in which a place may stay that was reserved and never written */
	uint64_t openings;
	const struct agent *begun_by; /* a device's writer has given it up in its mirror; the device does not know yet */
	struct shadow_place places[PLACES_LIMIT];
};

/* the statement about a segment that counts */
struct stated {
	uint64_t version;
	uint32_t slot, epoch, kind;
	uint64_t gives_up; /* the generation that the last OPEN of it gives up; 0: none */
};

/* ---- what the oracle knows of the calls ---- */

struct version {
	uint32_t key, length;
};

struct copy {
	uint32_t segment, index;
	uint64_t generation;
};

/* one put */
struct instance {
	uint32_t key, version;
	uint64_t begin, acked; /* world.order; acked 0: not */
	uint64_t birth, expires;
	uint64_t written; /* the birth that its header says, as it was sent; 0: none was */
	bool durable, published;
	bool whole;		/* has been on the device, entry and block */
	bool survives, unowed; /* a power cut; may be lost by one */
	uint32_t session;      /* 0: none */
	bool kept;	       /* by a pin of its session, while that is owed */
	uint64_t deleted;      /* hosts that share a device: world.order when a log said that it was removed; 0: none has */
	bool deleted_for_good; /* and that has been flushed, so that no power cut takes it */
	uint32_t copy_count;
	struct copy copies[COPIES_MAX];
};

/* one removal: a remove, or a put that replaces */
struct removal {
	uint32_t key, instance;	 /* key UINT32_MAX: any; the replacing put's, UINT32_MAX: a remove */
	bool forced;		 /* pinned or not */
	uint64_t begin, end;	 /* end NEVER: goes on */
	bool holds;		 /* it was acknowledged: what was there before is gone */
};

/* chosen spots: sites.c */
enum site_where { SITE_AT, SITE_BEHIND, SITE_BEFORE, SITE_ANSWERED, SITE_WHERES };

struct site {
	uint32_t chance;	/* 0: none is chosen there */
	uint32_t passed;	/* so often in this run */
	uint32_t asked;		/* the same, whether it fades or not */
	enum call_kind call; /* the last one that passed it, and after how many of its points */
	uint32_t points;
};

struct sites {
	bool on;
	uint32_t fades; /* not 0: all spots are chosen, and each counts less with each passage */
	uint32_t wheres, deeds; /* bitmaps */
	uint64_t random[2];
	struct site sites[MUTANT_COUNT];
	uint32_t sleepers;
	uint32_t shocks, about, press, again, sick, fails, ripples; /* chances */
	uint32_t menu; /* not 0: a bitmap of calls, which is nearly all that there is */
	uint64_t shock_at, fail_until, key_until;
	uint32_t key;
};

struct world {
	uint64_t seed, random[2], medium_random;
	struct setup setup;
	struct layout layout;
	uint64_t pool_seed;
	uint8_t *image, *durable; /* what processes see; what survives a power cut */
	uint64_t dirty[IMAGE_PAGES_MAX / 64 + 1];
	uint64_t clock;
	uint64_t now, steps, order, slices;
	int64_t budget;
	struct thread *thread; /* runs now */
	struct thread *last;
	enum phase { PHASE_RUN, PHASE_QUIET, PHASE_LOOK, PHASE_READ, PHASE_SURVIVE } phase;
	bool ended, errors_over;
	enum fate { FATE_NONE, FATE_KILL, FATE_CUT } fate; /* decided at a hot point */
	struct agent *fated;
	struct sites sites;
	struct agent agents[AGENTS_MAX];
	struct command commands[COMMANDS_MAX];
	uint32_t active[COMMANDS_MAX], active_count, idle[COMMANDS_MAX], idle_count;
	struct {
		uint64_t offset;
		struct agent *holder;
	} locks[AGENTS_MAX * 4];
	uint32_t lock_count;
	struct shadow_segment shadow[SEGMENTS_LIMIT];
	struct stated stated[SEGMENTS_LIMIT]; /* shared: who holds it, as all logs on the device say */
	uint32_t epochs[SLOTS_MAX];
	uint64_t reopenings, cuts, troubles;
	uint64_t cut_until; /* shortly after a power cut */
	struct version versions[INSTANCES_MAX];
	struct instance instances[INSTANCES_MAX];
	struct removal removals[REMOVALS_MAX];
	uint32_t version_count, instance_count, removal_count;
	uint64_t acks_first_half, acks_second_half;
	bool failed; /* a rule was broken */
	char why[400];
};
extern struct world world;

/* random numbers of the run: below @n */
uint32_t draw(uint32_t n);
uint32_t draw_from(uint64_t random[2], uint32_t n);
void random_seed(uint64_t random[2], uint64_t seed);
static inline bool chance(uint32_t of_65536) { return of_65536 && draw(65536) < of_65536; }

/* setup.c */
extern enum medium_kind sim_kind_wanted; /* all seeds with this medium; MEDIUM_KINDS: as they choose */
void setup_choose(struct setup *setup, struct geometry *geo);
void setup_format(const struct geometry *geo);

/* world.c: run one seed; true: no rule was broken */
bool world_run(uint64_t seed);
/* a pool as @chooses says, and nobody who does anything: for a scene (stage.h) */
void world_stage(uint64_t seed, void (*chooses)(struct setup *setup, struct geometry *geo));
/* processes whose last write has ended: only now their locks are free */
void world_bury(void);
/* a point of the running thread: others may run now */
void world_point(int weight);
void world_pause(enum thread_state state);
void world_sleep(uint64_t points);
/* the rule that is broken; the run ends */
void broken(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool agent_stopped(const struct agent *agent);
void agent_spawn(struct agent *agent);
void agent_kill(struct agent *agent);
void agent_gone(struct agent *agent);
void thread_start(struct thread *thread, void (*run)(void *context));

/* fortune.c: misfortunes, between slices and at hot points */
void fortune_befalls(void);
/* something that others go by has just been changed, or is about to be (by this process) */
void fortune_hot(struct agent *agent);
void fortune_unlocked(void);
void fortune_ranks(void);

void fortune_stall(struct thread *thread);
void fortune_stop(struct agent *agent);
void fortune_cut(void);

/* sites.c: misfortunes at chosen spots */
bool sites_begin(uint64_t seed);
/* a pool that is gone through in no time */
bool sites_tight(void);
void sites_choose(struct setup *setup);
void sites_due(struct thread *thread);
void sites_call(struct thread *thread);
void sites_befalls(void);
bool sites_fails(void);
/* what the next call is about, where a thread stands still at such a spot */
/* chance of a stall at a hot point while one stands still there */
uint32_t sites_ripple(void);
uint32_t sites_key(uint32_t key);
/* what was in a segment is gone, or about to be */
void sites_gone(uint32_t segment);
void sites_answered(struct thread *thread);
/* an agent attaches */
void sites_attach(void);
enum call_kind sites_menu(void);
bool sites_press(void);

/* medium.c */
void medium_reset(void);
/* one event of a command in flight */
void medium_event(uint32_t active);
void medium_write_back(void);
void medium_cut(void);
void medium_mark(uint64_t offset);
/* a dead process's commands: each sector lands or does not, some time */
void medium_orphan(struct agent *agent);
void medium_unlock_all(struct agent *agent);
bool medium_locked(uint64_t offset);
bool medium_writes_to(uint64_t segment, const struct agent *but);
/* likewise, not counting those of the segment's own header */
bool medium_writes_blocks(uint64_t segment);
/* has this process a write into it on the way? */
bool medium_writes_by(uint64_t segment, const struct agent *agent);
/* has any other process, or what has become of one, a write into it on the way? */
bool medium_writes_else(uint64_t segment, const struct agent *but);
/* a queue's command; completed ones are in its done[] */
int medium_submit(struct sim_queue *queue, struct media_io *io);
/* what the running thread calls now need not answer as it would have */
void medium_trouble(void);
int medium_flush(struct agent *agent);

/* device.c */
void device_reset(void);
/* the kernel closes what a dead process had open, when its last write has ended */
void device_close_all(const struct agent *agent);
bool device_has_writer(void);
/* nothing more is acknowledged by this process: a publish failed */
bool device_fenced(const struct agent *agent);

static inline bool on_device(void) { return world.setup.medium >= MEDIUM_BLOCK; }
static inline bool on_shared(void) { return world.setup.medium == MEDIUM_SHARED; }
static inline bool one_writer(void) { return world.setup.medium == MEDIUM_BLOCK || world.setup.medium == MEDIUM_LINES; }

/* lines.c */
void lines_reset(void);
/* what a host that died leaves of what it has stored */
void lines_died(const struct agent *agent, bool booted);
/* has any host payload of a segment in its cache that the memory does not have? */
bool lines_on_the_way(uint64_t segment);
int production_lines_over(struct media *memory, struct media **media);
struct media *production_lines_off(struct media *media);

/* process.c */
uint64_t host_us(const struct agent *agent);
void process_reset(struct agent *agent);

/* watch.c */
void watch_reset(void);
void watch_rebuild(void);
void watch_submit(struct command *command);
void watch_land(const struct command *command, uint64_t page, const uint8_t *bytes);
bool watch_alive(uint32_t slot, uint32_t epoch, const struct agent *but);
uint64_t watch_segment_of_page(uint64_t page);
bool watch_holds(const struct agent *agent, const struct shadow_segment *segment);
/* watch_begins() - a generation begins in a segment, or the header of the one that stands is written again */
void watch_begins(uint32_t segment, uint64_t generation);
bool watch_block_there(const struct entry *entry, uint32_t segment, uint32_t instance);
void watch_cover_take(const struct owner_word *old, const struct owner_word *new);
/* how many segments nobody who lives holds */
uint32_t watch_takeable(void);
void watch_all_takeable(const struct agent *survivor);

/* left.c: blocks that power loss has left, and no entry tells of */
void left_reset(void);
/* a life word was stored or swapped; a page of a segment is about to be written */
void left_stored(uint32_t segment, uint32_t index);
void left_lands(uint32_t segment, uint64_t page, const uint8_t *bytes);
/* a look that was fresh has ended; a checkpoint at this offset of their region is withdrawn */
void left_looked(struct memkv_pool *pool);
void left_withdraws_checkpoint(uint64_t offset);

/* landed.c: the watcher of devices */
void landed_control(const struct command *command, uint64_t page, const uint8_t *before);
void landed_payload(const struct command *command, uint64_t page);
/* a store to the mirror of the running thread's process */
void landed_mirror_stored(struct agent *agent, enum sim_kind kind, uint64_t offset);
void landed_died(const struct agent *agent);
/* what it has begun in its mirror alone the device has as it was */
void landed_left(const struct agent *agent);
void landed_untold(const struct agent *agent);
/* watch_died() - what it flagged and has not told of others need not know */
void watch_died(const struct agent *agent);

/* stated.c: a page of a log ring has landed; a write of a segment has; has the slot passed on, as its cell says on the device? */
bool stated_passed_on(const struct agent *agent);
bool stated_claim_passed_on(const struct agent *agent);
void stated_landed(uint64_t offset, const uint8_t *before);
/* what it says now is durable, where it was @before; power has failed: what was not is not said any more */
void stated_flushed(uint64_t offset, const uint8_t *before);
void stated_cut(void);
void stated_write_landed(const struct command *command);

/* drains.c: a run begins; @possible: on such a medium agents can be drained */
void drains_begin(uint64_t seed, bool possible);
/* between two calls: some are about drains */
void drains_turn(struct thread *t);
void drains_put_begins(struct thread *t);
void drains_put_done(const struct thread *t, int result);
/* somebody may have drained it */
bool drains_may_refuse(const struct agent *agent);
/* it does something that who is drained does not do */
void drains_writes(const struct agent *agent, uint64_t segment, const char *what);

/* actor_pins.c */
void pin_call(struct thread *t, uint32_t key);
void do_evict(struct thread *t);
void do_pin(struct thread *t, uint32_t key);
void do_unpin(struct thread *t, uint32_t key);
void do_pin_session(struct thread *t, uint32_t session);
void do_list_pins(struct thread *t);
void unpin_all(struct thread *t);

/* actor.c */
void call_begin(struct thread *t, enum call_kind kind, uint32_t key);
void call_end(struct thread *t, int64_t result);
void actor_main(void *context);
/* one call, of the thread that runs */
int actor_open(struct thread *t);
void actor_close(struct thread *t);
void actor_call(struct thread *t, enum call_kind kind, uint32_t key);
struct memkv_key key_of(uint32_t key);

#endif
