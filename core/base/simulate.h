/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a simulator puts in between when these sources are compiled once more with -DMEMKV_SIM (tests/sim).  In
 * production all of it is nothing.
 *
 * sim_point() stands before each access to words that processes share: others may run, stop or die there.
 * sim_after() stands behind those that may change something: the simulator looks what did.
 * sim_pass() says how many of the next loads pass before anybody else can run: those need no sim_point().
 *
 * MUTANT(name) is a deliberate bug, there to prove that the simulator would find it.  At most one is switched on, by
 * the simulator; in production the constant 0 takes the code away.  Where it stands is a spot at which something may go
 * wrong, also while no bug is on: in a share of the seeds one or two of these are chosen, and misfortunes come there
 * (tests/sim/sites.c).  SIM_SITE(name) is such a spot where it lies elsewhere than the bug.
 */
#ifndef MEMKV_CORE_SIMULATE_H
#define MEMKV_CORE_SIMULATE_H

#include <stddef.h>

enum sim_kind { SIM_LOAD, SIM_STORE, SIM_SWAP, SIM_ADD };

/* X(name, what is wrong) */
#define SIM_MAPPED_MUTANTS(X)                                                                                          \
	X(ACK_EARLY, "a put is acknowledged before its data has landed")                                               \
	X(PUBLISH_EARLY, "an entry is published before its block is written")                                          \
	X(ACK_FAILED_WRITE, "a put is acknowledged though its write failed")                                           \
	X(ACK_UNFLUSHED, "a durable put is acknowledged before its entry is flushed")                                  \
	X(CLAIM_UNFLUSHED, "a slot is used before its claim is flushed")                                               \
	X(CLAIM_IN_ORDER, "a claim begins with the first copy of the slot cell, be it the only whole one")             \
	X(GENERATION_REUSED, "a generation is opened twice")                                                           \
	X(TAKE_LIVE, "an OPEN segment is taken without the proof that its owner is dead")                              \
	X(EPOCH_IGNORED, "an owner word is taken for the slot's holder whatever its epoch")                            \
	X(PLACES_NOT_VOIDED, "who continues a dead agent's segment leaves its unfinished places as they are")          \
	X(REST_NOT_CLEARED, "who continues a segment leaves entries behind its tail, which power loss left there")     \
	X(BIRTHS_COUNTED, "births count up, and one that is a bit off counts as the same")                             \
	X(KILL_BY_PLACE, "a removal flags whatever block is described in the place by now")                            \
	X(REMOVE_ONCE, "a removal does not look again for copies that turned up meanwhile")                            \
	X(NOTE_ONCE, "a replacing put does not look again for what moved while it noted what is there")                \
	X(OUTDONE_FORCED, "a replacing put that gives way to a higher one does so though it is pinned by now")         \
	X(GONE_BELIEVED, "a replacing put that no pinned copy holds against does not look again for what was moved meanwhile") \
	X(MISS_UNFLUSHED, "a removal that finds nothing any more does not see to it that this lasts")                  \
	X(REMOVE_SPARES_MOVING, "a removal passes over copies that are just being moved")                              \
	X(MOVE_BLIND, "a mover does not look whether the block was removed meanwhile")                                 \
	X(MOVE_LIVE, "a moved copy counts before its mover has looked")                                                \
	X(MOVE_FROM_WITHDRAWN, "who moves a block out of another's segment does not look whether that is given up by now") \
	X(RING_ONE_LOOK, "a log record that is just being written is taken for lost when the next one is there a moment later") \
	X(PIN_LOOK_AT_RETIRE_ONLY, "who empties a segment looks for pins before it says so, and not after")         \
	X(PIN_BLIND, "a pinner does not look whether the block's segment is being emptied")                         \
	X(LEFT_OVER_CONTINUED, "a table that power loss left in a FREE segment is continued when an opening fails")      \
	X(BLANK_LEFT_OVER, "a FREE segment without a table's header is taken as it is, though its own header tells of blocks") \
	X(ONLY_SOURCE_OVERWRITTEN, "a segment's header is written over though it alone tells what its table describes")  \
	X(BEHIND_TAIL_LEFT, "a victim is opened anew though power loss left entries behind its tail")                     \
	X(OWN_HEADER_UNFLUSHED, "a segment whose table was withdrawn is begun before its own header is flushed")         \
	X(MEND_WITHDRAWS, "a table's header is withdrawn for a moment while it is mended")                            \
	X(PIN_UNTOLD, "who pins a block of which its writer has not told does not tell either")                        \
	X(PIN_DROPPED_AT_MOVE, "a moved block is not of its session any more, and so not pinned")                   \
	X(RING_LAP_BEFORE_CHECKPOINT, "a log ring begins its next round before its facts stand in a checkpoint")    \
	X(LIFE_UNSEEN, "a get does not look at the life word after it has read")                                       \
	X(GENERATION_UNSEEN, "a get does not look whether the segment was opened anew")                                \
	X(FORGET_BY_PLACE, "a copy that failed is forgotten though its place holds the next block of the key by now")  \
	X(MOVED_UNFLUSHED, "a segment is opened anew before what moved away from it is flushed")                       \
	X(RING_EARLY, "followers are told of an entry before it is there")                                             \
	X(SEAL_EARLY, "a segment is sealed while writes into it are on the way")                                       \
	X(HOLDS_AT_RETIRE, "holds are looked for when a segment is chosen, and nobody looks again")                              \
	X(HOLDS_UNSEEN, "who opens a segment anew does not look whether it is held")                                   \
	X(FOLD_ONCE, "a follower that sees a segment opened anew does not look where its blocks have moved")           \
	X(SILENT_RESUMED, "who continues a dead agent's segment takes what did not answer for free")                   \
	X(LEFT_OVER_FOLDED, "a ring makes followers fold a table that power loss left in a FREE segment")               \
	X(LIVES_LEFT, "who continues a segment leaves life words there that power loss left of blocks which nobody finds")     \
	X(CAME_BACK_LEFT, "who continues a segment leaves life words there that go with whole entries of another generation") \
	X(VICTIMS_LIVES_LEFT, "a victim is opened anew though power loss left life words there of blocks which nobody finds") \
	X(UNSEEN_NOT_LOST, "a follower that sees a segment for the first time thinks that nothing came and went there") \
	X(FOLD_NO_SECOND_LOOK, "a follower does not look whether the segment was reopened while it folded it") \
	X(FOLD_LOOKS_BEFORE, "a follower looks whether the segment was reopened before it reads the entries, and not behind that") \
	X(MEND_UNSEEN, "a table's header that was mended while somebody looked at its second source counts as not begun") \
	X(CELLS_TORN, "who finds a slot's cell just being written, first the one copy, then the other, takes it for nobody's")

/* what only a device shows */
#define SIM_DEVICE_MUTANTS(X)                                                                                          \
	X(DOORBELL_EARLY, "an opening's ring goes to a device together with what it tells of")                         \
	X(LEAVING_SETTLED, "a device's segment that may just be begun anew counts as one that nobody writes to")       \
	X(RING_UNSETTLED, "who continues a segment rings before the device says that it is OPEN again")                \
	X(DROP_UNSETTLED, "a copy is forgotten though it was read before its block had landed, and is there now")      \
	X(DROP_SENT, "a copy that each step brings back is forgotten, under somebody who has just looked")              \
	X(BEGUN_UNSETTLED, "a removal passes over what is just being opened anew, before the device says so")          \
	X(SILENCE_BELIEVED, "a follower, or a removal, takes a source that does not answer for one that knows nothing") \
	X(LOG_UNREAD_ENDS, "a log that the medium does not answer for counts as read to its end")                       \
	X(GROWTH_NOT_LOST, "a follower does not look where the blocks of an OPEN segment have moved that it had not met yet") \
	X(CHECKPOINT_UNFLUSHED, "a checkpoint is written over the older one though the newer may not be flushed")        \
	X(UNREAD_SEEN, "a segment that could not be read at attach is not looked at again until it rings")             \
	X(BROUGHT_IN_ORDER, "a table that was read as a whole counts as read in the order of its parts")               \
	X(PLACES_NOT_GIVEN_BACK, "who spares a segment that was just being opened anew leaves its reserved places")    \
	X(FLAG_UNLOCKED, "a block is flagged, or its table withdrawn, and others take that for done before it is on the device") \
	X(PIN_UNWRITTEN, "a pin is acknowledged though the place that it holds by could not be written")               \
	X(PIN_SENT, "a pin holds a block of which only the entry is known to be there")                                \
	X(PIN_UNPUBLISHED, "a pin holds a block whose entry is in the writer's mirror alone")                          \
	X(SENT_BEFORE_BLOCK, "an entry counts as live before its block has landed")                                    \
	X(SENT_TRUSTED, "who continues a dead agent's segment does not look whether the sent blocks have landed")      \
	X(LIFE_FROM_MIRROR, "a get believes its own mirror of a life word")                                            \
	X(HEADER_FROM_MIRROR, "a get does not ask the device whether the segment was opened anew")                     \
	X(TABLE_UNSETTLED, "a segment is written to before the device knows its table")                                \
	X(TAIL_UNPUBLISHED, "the tail is raised in the mirror alone")                                                  \
	X(OWED_FORGOTTEN, "a mirror's memory is given back though the device is still owed it")                        \
	X(IMAGE_BEFORE, "a write of a mirror's block counts for what was stored after its image was taken")                    \
	X(RETIRED_UNTOLD, "the old place of a moved block is flagged, and who removes the block does not wait until others are told")

/* what only memory between hosts shows whose caches are not coherent: each write-back, drop and fence left out; and what shows there soonest */
#define SIM_LINES_MUTANTS(X)                                                                                           \
	X(MARK_LEFT_OUT, "the lines of a structure are written over without a mark that it is being written")          \
	X(MARK_NOT_WRITTEN_BACK, "that mark stays in the host's caches while the lines are written over")              \
	X(MARK_UNFENCED, "the lines are written over before that mark is there for sure")                              \
	X(WORDS_NOT_WRITTEN_BACK, "the words of what is published stay in the host's caches")                          \
	X(WORDS_UNFENCED, "a check is stored before the words that it checks are there for sure")                      \
	X(CHECK_NOT_WRITTEN_BACK, "the check of what is published stays in the host's caches")                         \
	X(CHECK_UNFENCED, "a publish does not wait until its check is there")                                          \
	X(REFRESH_UNDROPPED, "a refresh takes what the host's caches have")                                            \
	X(REFRESH_UNFENCED, "a refresh loads before the lines are dropped for sure")                                   \
	X(REFRESH_ONE_LOOK, "a refresh takes lines from before and after a write for one structure")                   \
	X(PAYLOAD_NOT_WRITTEN_BACK, "payload stays in the host's caches when its entry is published")                  \
	X(PAYLOAD_UNFENCED, "payload is written back, and its entry does not wait for it")                             \
	X(GET_UNDROPPED, "a get takes payload that the host's caches have from before")                                \
	X(GET_UNFENCED, "a get loads payload before its lines are dropped for sure")

/* what only hosts show that share a device */
#define SIM_SHARED_MUTANTS(X)                                                                                          \
	X(TWO_ADOPTERS, "of those who adopted the same segment only who holds it counts as writing to it")              \
	X(OWN_EPOCH_IGNORED, "what the one before in our slot has left open counts as ours")                           \
	X(LOG_EPOCH_IGNORED, "who reads a slot's log goes on in it though the slot has another incarnation by now")    \
	X(REOPEN_AT_RISK, "a segment is opened though somebody has it open who is not proven gone")                    \
	X(NO_LOOK_AFTER_OPEN, "nobody looks into the logs of the others once more after OPEN")                         \
	X(DEL_FORGOTTEN_EARLY, "a removal is forgotten when the own mirror of the table says so, and not the device")  \
	X(STALE_CLAIM_BELIEVED, "who stood still in its claim of a slot, and wrote over the cell of its holder, is believed") \
	X(LOGS_UNREAD, "a get returns a block though the logs that may tell of its removal could not be read")         \
	X(ADOPTED_SETTLED, "a segment that was adopted while we write to it counts as closed at once")                \
	X(CHOSEN_BELIEVED, "a slot is claimed by what its cell said before it was found free, though it says something else by then") \
	X(ATTACH_UNGUARDED, "who stood still between its claim and its first heartbeat writes to a slot that has passed on")  \
	X(LATE_BEAT_BELIEVED, "the first heartbeat, and a late one, counts though the slot may have passed on before it")       \
	X(PINS_UNREAD, "the list of pins is of what is known, whether the logs could be read or not")                   \
	X(KEPT_UNREAD, "who cannot read whether its slot has passed on writes its heartbeat all the same")                \
	X(OWN_CELL_BELIEVED, "who gets or removes goes by its host's own cell, which says that it holds the slot, though it is out of its lease") \
	X(PIN_BY_ENTRY, "shared: who pins goes by a copy's entry, and does not read the block, which power loss may have taken")  \
	X(JOINED_IN_CELL, "who claims a slot says so in the cell of who had it last")                                     \
	X(LEFT_ONCE, "who leaves says so in one copy of its cell alone")                                             \
	X(PEEK_BELIEVED, "a device that could not be read is opened as one writer's, though hosts share it")               \
	X(GIVE_WAITED_FOR, "a put waits for other hosts to give it room, each time that it finds none")                    \
	X(CHECK_FENCED, "a check takes for damage what it cannot read since its agent's slot has passed on")           \
	X(WORD_BY_FORCE, "who gives back a segment that was adopted meanwhile calls it closed, which its new holder has open") \
	X(INDEX_OF_BEFORE, "a get by the index returns what lay in the place before its segment was opened anew, of the same key") \
	X(RESERVED_OF_OWN, "who holds too little to keep room for moves free does not look what the dead have left")   \
	X(TWIN_AT_ONCE, "the last heartbeat before a boot, which lands late, is taken for another machine of that id")  \
	X(SLOT_LOST_UNSEEN, "who was silent for so long that its slot is another's goes on in it")                     \
	X(SILENCE_GUESSED, "who stood still itself takes that time for the silence of the others")                     \
	X(THIRD_LOG_SKIPPED, "the logs of the first two slots are read before a get, an opening, an adoption, and no others") \
	X(DEL_BY_PLACE, "a removal that is read in a log takes whatever block lies in that place by now")              \
	X(OWED_LOG_UNREAD, "the log of a slot's last holder is not read while its next one has no checkpoint yet")      \
	X(DROP_AND_MEET, "a get tries a copy that fails, and that its table tells of each time, until it has tried enough")   \
	X(UNTOLD_BELIEVED, "who stated a removal that could not be told of goes on, and goes by it")                   \
	X(NOT_VOUCHED, "a removal that met another's, not acknowledged yet, takes it for done")                        \
	X(DEL_UNFLUSHED, "shared: a removal is acknowledged before its record is flushed")                              \
	X(ADDED_UNASKED, "shared: who has put a block takes it into its index though a log has said meanwhile that it was removed") \
	X(GONE_UNREAD, "shared: a block that cannot be read when a log says that it was removed stays in the index") \
	X(GONE_LATE, "shared: a block that does not tell that it is the one which was removed stays in the index up to the next look") \
	X(REOPENED_UNREAD, "shared: a segment that is opened anew while it is folded counts as one that could not be read")    \
	X(STANDS_FROM_MIRROR, "a mover believes its own mirror that a segment was not adopted and opened anew meanwhile") \
	X(RESUMED_UNSEEN, "who continues another's segment does not look what that one has put there since")           \
	X(GAP_SKIPPED, "a log record that is still on its way is taken for lost when others behind it have landed") \
	X(PIN_OPEN_UNSEEN, "shared: a pinner does not look whether somebody has opened the block's segment anew")     \
	X(PIN_OWNER_LOG_ONLY, "shared: a pinner reads again only the log of who holds the block's segment")           \
	X(PIN_LOGS_UNREAD, "shared: a pinner does not read the logs again when its pin is stated")                    \
	X(PIN_UNSEEN_AFTER_OPEN, "shared: who opens a segment anew does not look for pins once its OPEN is stated")   \
	X(REMOVE_UNDOUBTED, "shared: a removal looks for pins, and then states itself, in one go")                    \
	X(HEIR_WITHOUT_FACTS, "shared: who has got a slot lets go of what the log before says")                        \
	X(ELSEWHERE_UNREAD, "shared: who empties a segment goes by the entry of a pinned block's other copy, and does not read that") \
	X(CELL_HALFWAY, "a check looks at its own slot's cell while another thread of its process writes that") \
	X(OWED_TAIL_IGNORED, "shared: what a host was just writing to its log when it died is missed there once its slot has passed on") \
	X(ROUND_BY_FIRST, "a put that finds each segment too full goes on until the first of them comes again") \
	X(LAPSE_ASKED_LATE, "a pinner that was out of its lease when it moved a block asks for that when it answers, and calls it an error")

#define SIM_MUTANTS(X) SIM_MAPPED_MUTANTS(X) SIM_DEVICE_MUTANTS(X) SIM_LINES_MUTANTS(X) SIM_SHARED_MUTANTS(X)

#ifdef MEMKV_SIM

enum sim_mutant {
	MUTANT_NONE,
#define SIM_MUTANT_ENUM(name, text) MUTANT_##name,
	SIM_MUTANTS(SIM_MUTANT_ENUM)
#undef SIM_MUTANT_ENUM
	MUTANT_COUNT,
};
extern enum sim_mutant sim_mutant;

void sim_point(enum sim_kind kind, const void *at);
size_t sim_pass(size_t loads);
/* @done: false: a swap that came too late */
void sim_after(enum sim_kind kind, const void *at, int done);
int sim_site(enum sim_mutant site);
/* sim_owner_log() - for a pinner: does this slot hold a segment with what it pins?  For everybody else: yes */
int sim_owner_log(unsigned slot);
#define MUTANT(name) sim_site(MUTANT_##name)
#define SIM_SITE(name) ((void)sim_site(MUTANT_##name))

#else

static inline void sim_point(enum sim_kind kind, const void *at)
{
	(void)kind;
	(void)at;
}

static inline size_t sim_pass(size_t loads)
{
	(void)loads;
	return 0;
}

static inline int sim_owner_log(unsigned slot)
{
	(void)slot;
	return 1;
}

static inline void sim_after(enum sim_kind kind, const void *at, int done)
{
	(void)kind;
	(void)at;
	(void)done;
}
#define MUTANT(name) 0
#define SIM_SITE(name) ((void)0)

#endif
#endif
