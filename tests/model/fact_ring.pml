/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts in a slot's log ring and checkpoints (core/facts/factbook.c, core/log): a record may be overwritten only when its
 * fact stands in a valid checkpoint, and nobody takes a slot over while its predecessor's ring holds what stands nowhere else.
 *
 *   writer     ring full since the own checkpoint? checkpoint: header withdrawn, facts, header, in the area that does not
 *              hold -> record: withdrawn, whole -> acknowledged
 *   successor  reads everything; the ring says more than its checkpoint? checkpoint as its own, position 0 -> cell
 *   reader     cell -> ring onward until a place does not verify, and is not of a later round; else, and at a new incarnation:
 *              checkpoint (header, facts, header again) -> cell again: another incarnation? once more
 *
 * One slot, rings of two records, one for each parity of the epoch. The writer is killed at any step, and its successor, with the
 * lock that fell to it, at any step as well. Every fact is about another subject and holds for ever; it is a bit.
 *
 * Left out: other slots (a reader does the same for each); power (each record and each half of a checkpoint is flushed before the
 * next step: tests/crash); damage, for which the other area and the positions behind it are read.
 *
 * Shown: what was acknowledged when a refresh began is known when it ends, to readers and to successors.
 *
 * RUN medium -DFACTS=6 -DEPOCHS=3
 * MUTANT END_AT_ONCE a place that is just being written counts as the end of the log, also when it is of a later round
 * MUTANT WINDOW_ONLY likewise, when the places behind it are overwritten as well while one looks
 * MUTANT LAP a record is overwritten though its fact stands in no checkpoint
 * MUTANT SAME_AREA the checkpoint is written over the one that holds
 * MUTANT HEADER_FIRST the checkpoint's header counts before its facts are there
 * MUTANT HEIR_FORGETS the successor writes no checkpoint
 * MUTANT CELL_FIRST the successor takes the cell over before the checkpoint stands
 * MUTANT OWN_FACTS a checkpoint carries its writer's facts alone
 * MUTANT CELL_ONCE the reader does not look at the cell again
 * RUN long -DFACTS=7 -DEPOCHS=4
 */
#define RING 2
#define PLACE(epoch, position) (((epoch) % 2) * RING + (position) % RING)

byte cell = 1; /* epoch: who holds, or held last, the slot */
/* ring of either parity; epoch 0: nothing, or withdrawn */
byte ring_epoch[2 * RING], ring_position[2 * RING], ring_fact[2 * RING];
/* checkpoint areas; sequence 0: not valid */
byte area_sequence[2], area_epoch[2], area_position[2], area_facts[2];
byte stated; /* facts so far */
byte acknowledged;
bool dead;

#define BEST (area_sequence[1] > area_sequence[0] -> 1 : 0)

/* known, who, next and scratch are the reader's */
inline read_checkpoint()
{
	do
	:: atomic {
		area = BEST;
		sequence = area_sequence[area];
		if
		:: sequence == 0 -> area = 0; break /* unreached: behind a lap, where there is one */
		:: else
		fi;
		epoch = area_epoch[area];
		position = area_position[area]
	}
	facts = area_facts[area];
	atomic {
		skip;
		if
		:: area_sequence[area] != sequence -> facts = 0; epoch = 0; position = 0; area = 0; sequence = 0 /* unreached: by heirs */
		:: else ->
			known = known | facts;
			next = (epoch == who && position > next -> position : next);
			facts = 0; epoch = 0; position = 0; area = 0; sequence = 0;
			break
		fi
	}
	od;
	skip
}

/* ring_next() and what follows from it, up to the end of the log */
#define HERE(position) (ring_epoch[PLACE(who, position)] == who)
#define STATED(position) ring_position[PLACE(who, position)]

inline behind(at)
{
	lapped = next;
	read_checkpoint();
	d_step { /* without help: the checkpoint is an heir's, who was killed before it took the cell, and has all */
		next = (next == lapped -> at : next);
		lapped = 0
	}
}

inline read_ring()
{
	do
	:: d_step { HERE(next) && STATED(next) == next -> known = known | (1 << ring_fact[PLACE(who, next)]); next++ }
	:: HERE(next) && STATED(next) > next -> behind(STATED(next) - RING + 1)
	:: HERE(next) && STATED(next) < next -> break /* of the round before: the end */
	:: d_step { !HERE(next) -> withdrawn = STATED(next) };
#ifndef MUTANT_END_AT_ONCE
#ifdef MUTANT_WINDOW_ONLY
		if
		:: HERE(next + 1) && STATED(next + 1) == next + 1 -> behind(next + 1)
		:: else -> break
		fi
#else
		/* being written; for the first time, or for a later round? then the place before it is of that round */
		if
		:: HERE(next + RING - 1) && STATED(next + RING - 1) < next -> break
		:: HERE(next + RING - 1) && STATED(next + RING - 1) > next -> /* the writer has come past */
			if
			:: !HERE(next) -> behind(next + 1)
			:: else
			fi
		:: !HERE(next + RING - 1) -> /* the writer's next one, or nothing at all, or a round later */
			if
			:: !HERE(next) && STATED(next) == withdrawn -> break
			:: else
			fi
		fi;
		withdrawn = 0
#endif
#else
		break
#endif
	od;
	withdrawn = 0
}

inline refresh()
{
	do
	:: if
	   :: who != cell -> atomic { who = cell; next = 0 }; read_checkpoint()
	   :: else
	   fi;
	   read_ring();
#ifdef MUTANT_CELL_ONCE
	   break
#else
	   if
	   :: who == cell -> break
	   :: else
	   fi
#endif
	od;
	skip
}

#ifdef MUTANT_SAME_AREA
#define OTHER_AREA 0
#else
#define OTHER_AREA (area_sequence[BEST] -> 1 - BEST : 0)
#endif

inline write_checkpoint(as, at, what)
{
	d_step { area = OTHER_AREA; sequence = (area_sequence[0] > area_sequence[1] -> area_sequence[0] : area_sequence[1]) + 1 };
#ifdef MUTANT_HEADER_FIRST
	d_step { area_sequence[area] = sequence; area_epoch[area] = as; area_position[area] = at };
	area_facts[area] = what;
#else
	area_sequence[area] = 0;
	area_facts[area] = what;
	d_step { area_sequence[area] = sequence; area_epoch[area] = as; area_position[area] = at };
#endif
	d_step { area = 0; sequence = 0 }
}

#ifdef MUTANT_OWN_FACTS
#define CARRIED own
#define CARRIED_BY_HEIR known
#else
#define CARRIED known
#define CARRIED_BY_HEIR known
#endif

proctype writer()
{
	byte known, own, who, next, area, sequence, epoch, position, facts, lapped, withdrawn, covered, then;

	do
	:: { /* as epoch who; next is where it writes */
		if
		:: who == 0 -> who = cell /* the first of all */
		:: else
		fi;
		do
		:: stated < FACTS ->
#ifndef MUTANT_LAP
			if
			:: next - covered == RING -> write_checkpoint(who, next, CARRIED); covered = next
			:: else
			fi;
#endif
			ring_epoch[PLACE(who, next)] = 0;
			d_step {
				ring_fact[PLACE(who, next)] = stated;
				ring_position[PLACE(who, next)] = next;
				ring_epoch[PLACE(who, next)] = who;
				known = known | (1 << stated);
				own = own | (1 << stated);
				next++;
				stated++
			}
			acknowledged = acknowledged | (1 << (stated - 1))
		:: else -> goto done
		od
	   } unless { atomic { dead -> dead = false } };
succeed:   skip;
	   { /* another process; it knows nothing yet, and has the lock */
		d_step { known = 0; own = 0; who = 0; next = 0; area = 0; sequence = 0; epoch = 0; position = 0;
			 facts = 0; lapped = 0; withdrawn = 0; covered = 0; then = acknowledged };
		refresh();
		d_step { assert((then & ~known) == 0); then = 0 };
#ifdef MUTANT_CELL_FIRST
		cell = who + 1;
#endif
#ifndef MUTANT_HEIR_FORGETS
		if
		:: next > (area_sequence[BEST] && area_epoch[BEST] == who -> area_position[BEST] : 0) ->
			write_checkpoint(who + 1, 0, CARRIED_BY_HEIR)
		:: else
		fi;
#endif
		d_step { cell = who + 1; who = who + 1; next = 0 }
	   } unless { atomic { dead -> dead = false; goto succeed } }
	od;
done:	skip
}

proctype reader()
{
	byte known, who, next, area, sequence, epoch, position, facts, lapped, withdrawn, then;

end:	do
	:: acknowledged & ~known ->
		then = acknowledged;
		refresh();
		d_step { assert((then & ~known) == 0); then = 0 }
	od
}

active proctype fate()
{
	byte kills = EPOCHS - 1;

end:	do
	:: d_step { kills > 0 && !dead -> dead = true; kills-- }
	od
}

init {
	atomic {
		run writer();
		run reader()
	}
}
