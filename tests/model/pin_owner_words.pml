/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pin, remove and reclaim on media with owner words (core/pool/pins.c, reclaim.c, move.c, remove.c): in each meeting both
 * sides write first, then look.
 *
 *   emptier   owner word SEALED, or LEAVING of the dead -> LEAVING; facts; what is pinned moves; facts once more: something
 *             pinned is left? back to SEALED; table withdrawn; owner word OPEN; table of a new generation; written over
 *   pinner    the fact; then for a copy in the index: owner word, table's generation, life word. It holds; or the segment
 *             is LEAVING, or the block in doubt: the pinner moves it; or another copy; none: the pin is taken back, a miss
 *   mover     reads; copy published as moving; old life word, and the table it stands in; live; then the old one is retired
 *   remover   live -> removing; facts: pinned? refused, and the doubt stays; else removed; until the index shows no copy
 *
 * One key. Segment 0 is SEALED and has the block; 1 and 2 are OPEN, of the emptiers, who open what they empty and then seal
 * the one before; 3 is the pinner's (with COPIES=2 it is SEALED too, with another copy, and the pinner has none). Anybody stops
 * for ever at any step; emptiers are killed, and seen to be.
 *
 * Left out: the log behind the facts (fact_ring.pml; here a fact is stated in one step), two pinners of one key
 * (pin_facts.pml), power (moves are flushed before the old place goes: tests/crash), a dead agent's OPEN segment going on,
 * damage. The index's look at all tables is one step (follower.h says why). A segment has one entry of the key a generation;
 * where it has one there is no room for a second.
 *
 * Shown: an acknowledged pin has a readable copy, always; a block whose removal was acknowledged is not readable again.
 *
 * RUN medium -DEMPTIERS=2 -DREMOVERS=0 -DPINS=1 -DKILLS=1
 * MUTANT LOOK_BEFORE_LEAVING the emptier looks at the facts, once, and then makes the segment LEAVING
 * MUTANT ORPHAN_UNLOOKED whoever goes on with a dead emptier's segment trusts that it is empty
 * MUTANT PINNER_BLIND the pinner does not look at the owner word
 * MUTANT WITHDRAWN_LATE the owner word says OPEN before the table is withdrawn
 * MUTANT RETIRED_EARLY a moved block loses its old place before the new one is live
 * RUN medium -DEMPTIERS=2 -DREMOVERS=0 -DPINS=1 -DKILLS=0 -DCOPIES=2
 * MUTANT DUPLICATE_DROPPED each emptier leaves a pinned block behind because the other has a copy
 * RUN medium -DEMPTIERS=1 -DREMOVERS=1 -DPINS=2 -DKILLS=0
 * MUTANT REMOVER_BLIND the remover does not look at the facts
 * MUTANT MOVER_BLIND the mover does not look at the old life word
 * MUTANT MOVER_TRUSTS_LIFE the mover does not look whether the old life word still stands in a table
 * RUN medium -DEMPTIERS=0 -DREMOVERS=2 -DPINS=1 -DKILLS=0
 * MUTANT DOUBT_TAKEN_BACK a pinned block in doubt becomes live again: a second doubt looks like the first
 * RUN long -DEMPTIERS=2 -DREMOVERS=1 -DPINS=1 -DKILLS=1
 * RUN long -DEMPTIERS=1 -DREMOVERS=2 -DPINS=2 -DKILLS=0
 */
#define SEGMENTS 4
#define PINNERS 3 /* its segment */
#define NOBODY 255

mtype { OPEN, SEALED, LEAVING }
mtype { NONE, MOVING, LIVE, REMOVING, REMOVED }

mtype word[SEGMENTS] = OPEN;
byte owner[SEGMENTS] = NOBODY;
byte table[SEGMENTS] = 1; /* generation; 0: withdrawn */
byte entry[SEGMENTS];	  /* the generation that the block's entry belongs to; 0: there is none */
mtype life[SEGMENTS] = NONE;
byte bytes[SEGMENTS];	  /* the generation of the block that lies there whole; 0: none does */
byte generation = 1;

bool pinned;	   /* the fact */
bool acknowledged; /* somebody was told so */
bool removed;	   /* somebody was told so */
bool dead[2]; /* emptiers; that a pinner or remover is dead makes no difference to anybody: it just stops */

#define COUNTS(s) (life[s] == LIVE || life[s] == REMOVING)
#define DESCRIBED(s) (entry[s] != 0 && table[s] == entry[s])
#define READABLE(s) (DESCRIBED(s) && COUNTS(s) && bytes[s] == entry[s])
#define SOMEWHERE (READABLE(0) || READABLE(1) || READABLE(2) || READABLE(3))
#define RULES ((!acknowledged || SOMEWHERE) && (!removed || !SOMEWHERE))
#define IS_THERE(s) (DESCRIBED(s) && life[s] != REMOVED)

/* a remover looks at the facts; what is pinned stays in doubt, which readers do not mind */
inline decide(s)
{
	seen = pinned;
	d_step {
		if
		:: life[s] == REMOVING && !seen -> life[s] = REMOVED
#ifdef MUTANT_DOUBT_TAKEN_BACK
		:: life[s] == REMOVING && seen -> life[s] = LIVE
#endif
		:: else
		fi;
		assert(RULES)
	}
}

/* from segment @from, generation @g, to the own segment @to; done: moved, and the old place is retired */
inline move(from, g, to)
{
	if
	:: d_step { bytes[from] == g && entry[to] != table[to] -> entry[to] = table[to]; bytes[to] = table[to]; life[to] = MOVING };
#ifdef MUTANT_RETIRED_EARLY
		d_step { life[from] = REMOVED; assert(RULES) };
#else
#ifndef MUTANT_MOVER_BLIND
		if
		:: entry[from] == g && COUNTS(from) -> skip /* in doubt, too: the remover will look for copies once more */
		:: else -> goto not_moved
		fi;
#endif
#ifndef MUTANT_MOVER_TRUSTS_LIFE
		if
		:: table[from] == g -> skip
		:: else -> goto not_moved
		fi;
#endif
#endif
		d_step {
			done = (life[to] == MOVING);
			life[to] = (done -> LIVE : life[to]);
			assert(RULES)
		}
		if
		:: done -> d_step { /* flushed; moves_settle() */
				life[from] = (entry[from] == g && COUNTS(from) -> REMOVED : life[from]);
				assert(RULES)
			}
		:: else
		fi;
		goto end_of_move;
not_moved:	life[to] = REMOVED;
end_of_move:	skip
	:: else -> skip /* gone, or no room */
	fi
}

inline take(s)
{
	word[s] == SEALED || (word[s] == LEAVING && dead[owner[s]]) -> v = s; orphan = (word[s] == LEAVING); word[s] = LEAVING; owner[s] = me
}

#ifdef MUTANT_ORPHAN_UNLOOKED
#define LOOKS !orphan
#else
#define LOOKS true
#endif
#ifdef MUTANT_DUPLICATE_DROPPED
#define NEEDED(s) !((s != 0 && READABLE(0)) || (s != 1 && READABLE(1)) || (s != 2 && READABLE(2)) || (s != 3 && READABLE(3)))
#else
#define NEEDED(s) true
#endif

proctype emptier(byte me)
{
	byte v, current = me + 1, opens = 1;
	bool orphan, seen, done;

	{
	do
	:: opens > 0 ->
#ifdef MUTANT_LOOK_BEFORE_LEAVING
		bool before = pinned;
#endif
end_full:	atomic {
			if
			:: take(0)
			:: take(1)
			:: take(2)
#if COPIES > 1
			:: take(3)
#endif
			fi
		}
		if
		:: LOOKS ->
#ifdef MUTANT_LOOK_BEFORE_LEAVING
			seen = before;
#else
			seen = pinned;
#endif
			if
			:: DESCRIBED(v) && COUNTS(v) && (!seen || NEEDED(v)) -> /* pinned; or hot */
				if
				:: move(v, table[v], current)
				:: true -> skip
				fi
			:: else
			fi;
#ifndef MUTANT_LOOK_BEFORE_LEAVING
			seen = pinned;
			if
			:: seen && DESCRIBED(v) && COUNTS(v) && NEEDED(v) -> word[v] = SEALED; goto next
			:: else
			fi
#endif
		:: else
		fi;
#ifdef MUTANT_WITHDRAWN_LATE
		word[v] = OPEN;
		d_step { table[v] = 0; assert(RULES) };
#else
		d_step { table[v] = 0; assert(RULES) };
		word[v] = OPEN;
#endif
		d_step { opens--; generation++; table[v] = generation };
		d_step { bytes[v] = 0; word[current] = SEALED; current = v };
next:		atomic { skip; v = 0; orphan = false; seen = false; done = false }
	:: else -> break
	od
	} unless { dead[me] };
	skip;
	d_step { v = 0; current = 0; opens = 0; orphan = false; seen = false; done = false }
}

#ifdef MUTANT_PINNER_BLIND
#define LEAVES false
#else
#define LEAVES leaving
#endif
#ifdef MUTANT_DOUBT_TAKEN_BACK
#define IN_DOUBT(s) false
#else
#define IN_DOUBT(s) (life[s] == REMOVING)
#endif

#if COPIES > 1
#define HAS_ROOM false
#else
#define HAS_ROOM (s != PINNERS)
#endif

proctype pinner()
{
	byte s, g, pins = PINS;
	bool leaving, seen, done;

	do
	:: pins > 0 ->
		d_step { pins--; pinned = true };
look:		atomic { /* any copy that the index shows */
			s = 0; g = 0; leaving = false; seen = false; done = false;
			if
			:: IS_THERE(0) -> s = 0
			:: IS_THERE(1) -> s = 1
			:: IS_THERE(2) -> s = 2
			:: IS_THERE(3) -> s = 3
			:: !(IS_THERE(0) || IS_THERE(1) || IS_THERE(2) || IS_THERE(3)) -> goto none
			fi;
			g = entry[s]
		}
		leaving = (word[s] == LEAVING);
		if
		:: table[s] == g -> skip
		:: else -> goto look
		fi;
		if
		:: entry[s] == g && COUNTS(s) && !LEAVES && !IN_DOUBT(s) -> skip
		:: entry[s] == g && COUNTS(s) && (LEAVES || IN_DOUBT(s)) && HAS_ROOM ->
			move(s, g, PINNERS);
			if
			:: done -> skip
			:: else -> goto look
			fi
		:: entry[s] == g && COUNTS(s) && (LEAVES || IN_DOUBT(s)) && !HAS_ROOM -> goto none
		:: else -> goto look
		fi;
		d_step { acknowledged = true; assert(RULES) };
		d_step { acknowledged = false; pinned = false }; /* unpinned again, sooner or later or never */
		goto next;
none:		pinned = false; /* a miss */
next:		atomic { skip; s = 0; g = 0; leaving = false; seen = false; done = false }
	:: else -> break
	od
}

proctype remover()
{
	byte s;
	bool seen;

	do
	:: atomic {
		if
		:: IS_THERE(0) -> s = 0
		:: IS_THERE(1) -> s = 1
		:: IS_THERE(2) -> s = 2 /* unreached: with one emptier; the long form has two */
		:: IS_THERE(3) -> s = 3
		:: !(IS_THERE(0) || IS_THERE(1) || IS_THERE(2) || IS_THERE(3)) -> break
		fi
	}
	if
	:: d_step { life[s] == MOVING -> life[s] = REMOVED }
	:: life[s] == LIVE || life[s] == REMOVING ->
		d_step { life[s] = (life[s] == LIVE -> REMOVING : life[s]) };
#ifdef MUTANT_REMOVER_BLIND
		d_step { life[s] = (life[s] == REMOVING -> REMOVED : life[s]); assert(RULES) }
#else
		decide(s);
#endif
		if
		:: seen -> goto refused
		:: else
		fi
	:: else
	fi
	od;
	skip;
	d_step { removed = true; assert(RULES) };
refused: skip
}

active proctype fate()
{
	byte kills = KILLS;

end:	do
	:: kills > 0 && !dead[0] -> d_step { dead[0] = true; kills-- }
	:: kills > 0 && !dead[1] -> d_step { dead[1] = true; kills-- }
	od
}

init {
	atomic {
		word[0] = SEALED;
		entry[0] = 1;
		life[0] = LIVE;
		bytes[0] = 1;
#if COPIES > 1
		word[PINNERS] = SEALED; /* and the pinner has no room */
		entry[PINNERS] = 1;
		life[PINNERS] = LIVE;
		bytes[PINNERS] = 1;
#endif
		run pinner();
#if EMPTIERS > 0
		run emptier(0);
#endif
#if EMPTIERS > 1
		run emptier(1);
#endif
#if REMOVERS > 0
		run remover();
#endif
#if REMOVERS > 1
		run remover();
#endif
	}
}
