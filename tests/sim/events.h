/* SPDX-License-Identifier: Apache-2.0 */
/* What a run tells: its events, as a person reads them, and how often what was meant to happen has (events.c).  Part of sim.h. */
#ifndef MEMKV_TESTS_SIM_EVENTS_H
#define MEMKV_TESTS_SIM_EVENTS_H

#include "core/base/simulate.h"

#include <stdbool.h>
#include <stdint.h>

struct agent;

/* of core/base/simulate.h */
const char *mutant_name(enum sim_mutant mutant);

enum event { EVENT_CALL, EVENT_RETURN, EVENT_WORD, EVENT_OWNER, EVENT_HEADER, EVENT_ENTRY, EVENT_LIFE, EVENT_SUBMIT, EVENT_LAND,
	     EVENT_COMPLETE, EVENT_FLUSH, EVENT_LOCK, EVENT_KILL, EVENT_GONE, EVENT_STOP, EVENT_STALL, EVENT_CUT, EVENT_CLOCK,
	     EVENT_SPAWN, EVENT_PHASE, EVENT_STATED, EVENT_CELL, EVENT_SITE, EVENT_NONE };

/* remember and hash an event; a and b mean what the kind says */
void trace(enum event event, const struct agent *agent, uint64_t a, uint64_t b, uint64_t c);
void trace_reset(bool print);
uint64_t trace_hash(void);
void sites_event(enum event event, const struct agent *agent);
/* the last events, as a person reads them */
void trace_tail(unsigned count);

/* coverage: X(name, text); what cannot occur yet is listed by NOT_YET */
#define COVERED(X)                                                                                                   \
	X(ADOPTION, "an OPEN segment of a dead agent continued")                                                     \
	X(PARKED, "a PARKED segment continued")                                                                      \
	X(LEAVING_DEAD, "a LEAVING segment of a dead agent taken over")                                              \
	X(KILL_OPEN, "killed while it opened the pool")                                                              \
	X(KILL_CLOSE, "killed while it closed the pool")                                                             \
	X(KILL_PUT_LOOKS, "killed inside put: before a place was reserved")                                          \
	X(KILL_PUT_RESERVED, "killed inside put: place reserved, nothing written")                                   \
	X(KILL_PUT_WRITES, "killed inside put: write in flight")                                                     \
	X(KILL_PUT_WRITTEN, "killed inside put: written, entry not begun")                                           \
	X(KILL_PUT_PUBLISHES, "killed inside put: entry half stored")                                                \
	X(KILL_PUT_PUBLISHED, "killed inside put: entry there, not acknowledged")                                    \
	X(KILL_MOVE, "killed with a copy that is still moving")                                                      \
	X(KILL_REMOVE, "killed inside remove")                                                                       \
	X(STOP_OWNER, "stopped with an OPEN segment while others reopened segments")                                 \
	X(STOP_RECLAIM, "a call during which a segment with a copy of its key was reopened")                         \
	X(LAND_AFTER_KILL, "a write that landed after its process was killed")                                       \
	X(LOST_AFTER_KILL, "a write of which a part never landed")                                                   \
	X(TORN_HEADER, "a block header landed and its payload did not, or the other way round")                      \
	X(HOLD, "a block held, used and released")                                                                   \
	X(HOLD_REFUSED, "a hold refused: the block was on its way out, or half of the pool is held")                 \
	X(HOLD_LAPSED, "a hold that lapsed: its block was removed or replaced")                                      \
	X(HOLD_SPARED, "a hold racing OPEN: a segment that somebody holds was to be emptied, and is not")            \
	X(MOVE_HOT, "a hot block moved")                                                                             \
	X(MOVE_REMOVED, "a block removed while it moved")                                                            \
	X(REMOVE_OK, "a block removed")                                                                              \
	X(PIN, "a key pinned")                                                                                       \
	X(PIN_SESSION, "a session pinned")                                                                           \
	X(PIN_MISS, "a pin of what is not there")                                                                    \
	X(PIN_REFUSED, "a pin refused: too much would be pinned")                                                    \
	X(PIN_MOVED, "relocation of a pinned block")                                                                 \
	X(PIN_OPEN, "a pin racing OPEN: what it pins lay in a segment that was withdrawn meanwhile")                 \
	X(PIN_KEEPS, "a removal, replacement or eviction refused because of a pin")                                  \
	X(PIN_KEEPS_EXPIRED, "a get of an expired block that is pinned")                                             \
	X(RING_LAP, "a log ring that began its next round")                                                          \
	X(CHECKPOINT, "a checkpoint written")                                                                        \
	X(CHECKPOINT_HEIR, "a checkpoint written for the incarnation before")                                        \
	X(CHECKPOINT_KILL, "killed, or cut off, while a checkpoint was written")                                     \
	X(REPLACED, "a block replaced")                                                                              \
	X(LOST_TAKE, "a segment taken by another first (lost compare-and-swap)")                                     \
	X(LOST_LIFE, "a life word changed by another first")                                                         \
	X(SLOT_RACE, "a slot found locked by another while claiming")                                                \
	X(NO_SLOT, "attach refused: every slot taken")                                                               \
	X(NO_ROOM, "put refused: no room")                                                                           \
	X(SECOND_CHANCE, "a victim spared because it was in use")                                                    \
	X(REOPENED, "a segment opened anew")                                                                         \
	X(READ_ERROR, "a read that failed")                                                                          \
	X(WRITE_ERROR, "a write that failed")                                                                        \
	X(FLUSH_ERROR, "a flush that failed")                                                                        \
	X(VOIDED, "a place published as void")                                                                       \
	X(VOIDED_BY_NEXT, "an unfinished place of a dead agent voided by who continued")                             \
	X(CUT, "power cut")                                                                                          \
	X(CUT_MIXED, "power cut that left a page half old, half new")                                                \
	X(CUT_IN_FLIGHT, "power cut with writes in flight")                                                          \
	X(EXISTS, "put answered: there already")                                                                     \
	X(DIFFERS, "put answered: other bytes are there")                                                            \
	X(EXPIRED, "a get of an expired block")                                                                      \
	X(CLOCK_BACK, "clock set back")                                                                              \
	X(SECTORS, "a device's block that landed in parts of 512 bytes")                                             \
	X(SENT_FIRST, "an entry that reached the device before its block")                                           \
	X(KILL_SENT, "a writer killed with such an entry on the device")                                             \
	X(SENT_CONTINUED, "continued: the next writer found that block whole")                                       \
	X(SENT_GONE, "continued: the next writer found that it never landed")                                        \
	X(BY_INDEX_LATE, "a get by the index that returned what this process had not learnt the removal of")          \
	X(OLD_MIRROR, "a read through an index whose segment was opened anew on the device")                         \
	X(CLAIM_HELD, "a second writer of a device refused")                                                         \
	X(CLAIM_FALLEN, "a device taken over from a writer that was killed")                                         \
	X(LATE_IMAGE, "a process died owing the device what nothing waits for")                                      \
	X(PUBLISH_FAILED, "a mirror's write that failed")                                                            \
	X(REFRESH_FAILED, "a mirror's read that failed")                                                             \
	X(DRAINED, "an agent drained")                                                                               \
	X(DRAIN_UNDONE, "a drain undone")                                                                            \
	X(DRAIN_LATE, "a drain that was not done in time")                                                           \
	X(DRAIN_REFUSES, "a put refused, since its agent is drained")                                                \
	X(SITE, "something went wrong at a chosen spot")                                                             \
	X(SURVIVOR, "all but one dead, and the survivor used every segment")                                         \
	X(AGREED, "processes compared with the medium after all was quiet")

/* of hosts that share a device: a run of that kind (sim/shared) has its floor for these */
#define COVERED_SHARED(X)                                                                                            \
	X(GHOST, "shared: a write that its host has given up, and that is on the way")                               \
	X(GHOST_LANDS, "shared: such a write landed")                                                                \
	X(WRONG, "shared: an agent whose segments were adopted while it lives")                                      \
	X(ADOPT, "shared: adoption: a segment adopted")                                                              \
	X(ADOPT_WRONG, "shared: wrong suspicion: its holder lives")                                                  \
	X(ADOPT_CONTENDED, "shared: contended claim: a segment adopted by two at once")                              \
	X(ADOPTER_DIED, "shared: a claim whose winner dies: adopted from one who had adopted it, and ended")         \
	X(LAND_ADOPTED, "shared: a write landing after adoption of its segment")                                     \
	X(REUSED, "shared: a slot passed on though nobody had proven the death of its holder")                       \
	X(REUSED_AWAKE, "shared: who had it woke up after that, and found it lost")                                   \
	X(GIVEN, "shared: a segment passed from one living agent to another")                                        \
	X(DEL, "shared: a removal stated")                                                                           \
	X(DOUBT, "shared: a removal in doubt, as its author states it")                                              \
	X(GIVES_UP, "shared: an OPEN that gives a generation up")

#define NOT_YET(X)                                                                                                   \
	X("of hosts that share a device: sim/shared")

enum covered {
#define COVERED_ENUM(name, text) COVER_##name,
	COVERED(COVERED_ENUM)
	COVER_FLOORED, /* the rows before it are what the floor is for */
	COVERED_SHARED(COVERED_ENUM)
#undef COVERED_ENUM
	COVER_COUNT,
};
extern uint64_t coverage[COVER_COUNT];
static inline void cover(enum covered what) { coverage[what]++; }
/* print the table; the number of rows under @floor */
unsigned coverage_print(uint64_t floor);

#endif
