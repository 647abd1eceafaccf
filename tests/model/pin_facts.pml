/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several pinners of one key, of whom some find no block and take their pin back (core/pool/pins.c, core/facts).
 *
 *   state      read all logs -> record with a version one above the highest seen -> flushed
 *   look       is there a copy? (pin_owner_words.pml has how.) None: take the pin back, if it is the fact that holds:
 *              UNPIN with the pin's own version, so that it undoes this pin and none that was stated meanwhile; a miss
 *   look again is the own fact still the one that holds? Else another pin came above it, and may be taken back: state anew
 *
 * Of two facts the one with the higher version holds, then of the higher slot; UNPIN undoes the PIN of the same version and
 * slot. A block is put at any moment; while the fact that holds is a PIN somebody was told of, it stays, else it may go.
 *
 * Left out: ends of pins, deliberate unpins (which take back everybody's), the ring (fact_ring.pml).
 *
 * Shown: who was told that the block is pinned has a fact that holds and says so, and a block.
 *
 * RUN medium -DPINNERS=2 -DROUNDS=2
 * MUTANT UNPIN_ABOVE a pin is taken back with a new version, over another's that was acknowledged meanwhile
 * MUTANT LOOKS_ONCE a pin that was covered by another's, which is taken back
 * MUTANT ANY_PIN_WILL_DO the last look is content with another's pin
 * RUN long -DPINNERS=3 -DROUNDS=2
 */
#define VERSIONS 8

/* the last fact of each slot; its earlier ones are lower */
byte version[PINNERS];
bool pin[PINNERS];
bool told[PINNERS];
bool there; /* the block */

#define ABOVE(a, b) (version[a] > version[b] || (version[a] == version[b] && a > b))
#if PINNERS > 2
#define HOLDS(s) (version[s] && (s == 0 || ABOVE(s, 0)) && (s == 1 || ABOVE(s, 1)) && (s == 2 || ABOVE(s, 2)))
#define PINNED ((HOLDS(0) && pin[0]) || (HOLDS(1) && pin[1]) || (HOLDS(2) && pin[2]))
#define TOLD (told[0] || told[1] || told[2])
#define HIGHEST MAX(version[0], MAX(version[1], version[2]))
#else
#define HOLDS(s) (version[s] && (s == 0 || ABOVE(s, 0)) && (s == 1 || ABOVE(s, 1)))
#define PINNED ((HOLDS(0) && pin[0]) || (HOLDS(1) && pin[1]))
#define TOLD (told[0] || told[1])
#define HIGHEST MAX(version[0], version[1])
#endif
#define MAX(a, b) ((a) > (b) -> (a) : (b))

proctype pinner(byte me)
{
	byte highest, rounds = ROUNDS;
	bool mine, found;

	do
	:: rounds > 0 ->
		rounds--;
state:		highest = HIGHEST;
		if
		:: highest >= VERSIONS -> break /* the bound of this model */
		:: else
		fi;
		d_step { version[me] = highest + 1; pin[me] = true; highest = 0 };
		found = there;
		if
		:: !found ->
			mine = HOLDS(me);
			if
			:: mine ->
#ifdef MUTANT_UNPIN_ABOVE
				highest = HIGHEST;
				version[me] = highest + 1;
				highest = 0;
#endif
				d_step { pin[me] = false; assert(!TOLD || (PINNED && there)) }
			:: else
			fi
		:: else ->
#ifdef MUTANT_LOOKS_ONCE
			mine = true;
#else
#ifdef MUTANT_ANY_PIN_WILL_DO
			mine = PINNED;
#else
			mine = HOLDS(me);
#endif
#endif
			if
			:: !mine -> found = false; goto state
			:: else
			fi;
			d_step { told[me] = true; assert(PINNED && there) };
			break
		fi;
		d_step { mine = false; found = false }
	:: else -> break
	od
}

/* put, evicted, put again; what is pinned stays from the moment that a pinner has seen it (pin_owner_words.pml) */
active proctype block()
{
end:	do
	:: d_step { !there -> there = true }
	:: d_step { there && !PINNED -> there = false }
	od
}

init {
	atomic {
		run pinner(0);
		run pinner(1);
#if PINNERS > 2
		run pinner(2)
#endif
	}
}
