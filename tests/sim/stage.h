/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scenes: schedules that are written by hand, for bugs that take more coincidences than seeds have.  Nothing is left to chance in
 * them: processes make the calls that they are told to, and one of them goes on, up to a spot in the code, an event or the end of its
 * call, while all the others stand still.  All rules of the simulator hold.
 *
 * A scene is a function of some lines (scenes_*.c).  It is played with the code as it is, which must break no rule, and once more
 * with its bug switched on, which must break the rule that it names.
 */
#ifndef MEMKV_TESTS_SIM_STAGE_H
#define MEMKV_TESTS_SIM_STAGE_H

#include "sim.h"

struct scene {
	enum sim_mutant mutant;
	const char *rule; /* a part of what is said when it is broken */
	enum medium_kind medium;
	void (*play)(void);
	void (*choose)(struct setup *setup, struct geometry *geo); /* NULL: as all; else what is different here */
};

/* a process by its number, the first thread of it; 10 more: its second thread */
typedef uint32_t player;

/* what the scene is at: read by the rest of the simulator */
extern struct stage {
	bool on;
	const struct scene *scene;
	struct thread *runs; /* up to: */
	enum sim_mutant spot;
	enum event event;
	uint64_t from, to; /* of a store to a shared word: between these */
	uint64_t read, load; /* 0: it does not stop at a read, at a load */
	uint32_t left;	     /* so many of these */
	bool reached;
	bool (*fails)(const struct command *command); /* NULL: none does */
	bool (*unread)(const struct agent *agent, uint64_t offset); /* NULL: what a device's mirror asks for is read */
	bool stale; /* who gets does not look before */
	bool by_index; /* it goes by its index */
	uint32_t session; /* of what is put; 0: of none */
	bool (*late)(const struct command *command); /* NULL: none; else it does not land for now */
	const struct agent *unflushed; /* whose flushes fail, and do nothing */
	bool (*sinks)(const struct command *command); /* of what is on the way when its host dies, or power fails, this never lands; NULL: by chance */
	uint32_t (*part)(const struct command *command); /* small sectors: those of the page that land first; NULL: by chance */
	bool (*keeps)(uint64_t offset); /* power loss: have the eight bytes there been written? NULL: all have */
} stage;

/* ---- for scenes ---- */

/* the process starts, and opens the pool; or only starts to */
void opens(player p);
void begins_to_open(player p);
/* a call, with what comes of it; or only its beginning, of which nothing is done yet */
int64_t calls(player p, enum call_kind kind, uint32_t key);
void begins(player p, enum call_kind kind, uint32_t key);
/* it goes on until it comes to the spot for the @nth time, and stands still before it; until the event has happened; until the end */
void goes_to(player p, enum sim_mutant spot, uint32_t nth);
void goes_until(player p, enum event event, uint32_t nth);
/* likewise, or to the end of its call; whether it has come to the spot */
bool gets_to(player p, enum sim_mutant spot, uint32_t nth);
/* until it has stored to one of these bytes for the @nth time; until it waits for a time */
void goes_to_store(player p, uint64_t offset, uint64_t bytes, uint32_t nth);
/* mapped media: up to where it loads this word, and before that */
void goes_to_load(player p, uint64_t offset);
/* a device: until its mirror has read the page at this offset for the @nth time; of what is read together the rest need not be read yet */
void goes_to_read(player p, uint64_t offset, uint32_t nth);
void goes_to_sleep(player p);
int64_t ends(player p);
/* until so much time has passed; false: its call had ended before */
bool goes_for(player p, uint64_t points);
/* nobody does anything for so long, but for the library's own threads of hosts that do not stand still */
void time_passes(uint64_t points);
/* a host stands still, with all its threads, until it is told to do something: else those of the library's own go on while others do */
void stands_still(player p);
/* those threads alone stand still */
void helpers_stand_still(player p);
void closes(player p);
/* it is killed, and what it had on the way has ended */
void dies(player p);
/* all are gone, and what was not flushed may be: stage.keeps */
void power_fails(void);
/*
 * process 0 puts key 0, which is the first one, and flushes nothing behind the table's header; power loss takes that, and nothing else: the
 * segment's own tells.  Which segment that is
 */
uint32_t header_is_lost(void);
/* whoever is there looks, agrees with the medium, reads every key and checks the pool */
void all_look(void);
/* the scene does not go as it is written */
void scene_must(bool so, const char *what);
/* where a live copy of the key lies; UINT32_MAX: nowhere */
uint32_t segment_of_key(uint32_t key);
/* puts_until_anew() - puts keys, the first of them @key, until the segment has been opened anew; the key behind the last */
uint32_t puts_until_anew(player p, uint32_t segment, uint32_t key);
/* a segment in this state; a key that has a live copy in it; UINT32_MAX: there is none */
bool any_segment_is(enum owner_state state);
uint32_t segment_that_is(enum owner_state state);
uint32_t key_in(uint32_t segment);
/* shared: the segment that a log gives up, and the device does not know yet; that a host empties, as its own words say; UINT32_MAX: none */
uint32_t segment_given_up(void);
uint32_t segment_leaving(player p);

/* ---- for the rest of the simulator ---- */

/* all of them, or the one of this bug; how many do not do what they must */
int scenes_play(enum sim_mutant only, bool trace);
/* is there a scene of it, and is it caught there? */
bool scene_shows(enum sim_mutant mutant);
void stage_player(void *context);
void stage_spot(enum sim_mutant spot);
void stage_load(const void *at);
void stage_event(enum event event, const struct agent *agent, uint64_t at);
void stage_answered(const struct thread *thread, int64_t result);
bool stage_fails(const struct command *command);
bool stage_unread(const struct agent *agent, uint64_t offset);
/* a mirror has read this page */
void stage_read(uint64_t page);
bool stage_sinks(const struct command *command);
/* what power loss takes of a page */
void stage_cut(uint64_t page);

/* hosts that share a device with so many slots, all with clocks in step: for a scene's choose */
void hosts(struct setup *setup, struct geometry *geo, uint32_t slots);

/* scenes_*.c; each list ends with one that has no play */
extern const struct scene scenes_files[], scenes_power[], scenes_devices[], scenes_shared[], scenes_overtaken[], scenes_logs[];

#endif
