/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several pinners of one key, some for longer than others, and one who unpins (core/facts, core/pool/pins.c).
 *
 *   state      read all logs -> record with a version one above the highest seen, and the version up to which pins are void
 *              as far as that is known -> flushed
 *   look       does what is known now pin the key, at least to the own end? Else state anew
 *   unpin      read all logs -> record with a version one above the highest seen: pins up to that version are void
 *
 * Of the pins that are not void all hold, to the latest of their ends: neither of two that meet shortens the other, and a
 * pinner that dies after its record was written has shortened nothing. Nobody takes back a pin but by unpinning; a pinner that
 * finds no block leaves its fact, for to unpin would make others' void as well.
 *
 * Left out: the block itself (pin_owner_words.pml), the passing of time, the ring (fact_ring.pml).
 *
 * Shown: who was told that the key is pinned, and did not begin before an unpin had ended, has it pinned to its end.
 *
 * RUN medium -DPINNERS=2 -DROUNDS=2
 * MUTANT HIGHEST_HOLDS of two pins the one with the higher version holds alone
 * MUTANT TAKES_BACK a pinner that finds no block unpins
 * RUN long -DPINNERS=3 -DROUNDS=2
 */
#define VERSIONS 8
#define MAX(a, b) ((a) > (b) -> (a) : (b))

/* the last fact of each pinner's log, and the latest end of the ones before it, which are merged alike; the unpinner's */
byte version[PINNERS], end_s[PINNERS];
byte void_to;	   /* what was taken back: everybody reads it with the rest */
byte owed[PINNERS]; /* told, and not over: to which end */
byte unpins;	   /* calls that go on */

inline look(s) {
	/* what is known after all logs were read: one at a time, others write meanwhile */
	highest = 0; last = 0; top = 0;
	seen_void = void_to;
	highest = seen_void;
	s = 0;
	do
	:: s < PINNERS ->
		atomic {
			if
			:: version[s] > seen_void ->
				if
#ifdef MUTANT_HIGHEST_HOLDS
				:: version[s] > top -> last = end_s[s]
#else
				:: end_s[s] > last -> last = end_s[s]
#endif
				:: else
				fi;
				top = MAX(top, version[s])
			:: else
			fi;
			highest = MAX(highest, version[s]);
			s++
		}
	:: else -> break
	od
}

inline all_kept() {
	/* by all that is written now: the latest end, or the mutant's */
	k = 0; kept = 0; top = 0;
	do
	:: k < PINNERS ->
		if
		:: version[k] > void_to ->
#ifdef MUTANT_HIGHEST_HOLDS
			if :: version[k] > top -> kept = end_s[k] :: else fi;
#else
			kept = MAX(kept, end_s[k]);
#endif
			top = MAX(top, version[k])
		:: else
		fi;
		k++
	:: else -> break
	od;
	k = 0;
	do
	:: k < PINNERS -> assert(owed[k] <= kept); k++
	:: else -> break
	od;
	k = 0; kept = 0; top = 0
}

proctype pinner(byte me)
{
	byte highest, last, top, seen_void, s, k, kept, rounds = ROUNDS;
	bool over;

	do
	:: rounds > 0 ->
		rounds--;
		atomic { over = unpins > 0 };
state:		look(s);
		if
		:: highest >= VERSIONS -> break /* the bound of this model */
		:: else
		fi;
		/* longer ones first: a shorter one may come above it */
		atomic {
			end_s[me] = MAX((version[me] > void_to -> end_s[me] : 0), 1 + (PINNERS - me));
			version[me] = highest + 1;
			all_kept()
		};
		look(s);
		if
		:: last < 1 + (PINNERS - me) -> goto state
		:: else
		fi;
		if
		:: true -> /* a copy holds */
			/* an unpin that goes on now, or came in between, may end it */
			atomic {
				if
				:: !over && unpins == 0 && version[me] > void_to -> owed[me] = 1 + (PINNERS - me)
				:: else
				fi;
				all_kept()
			}
		:: true -> /* there is none any more */
#ifdef MUTANT_TAKES_BACK
			look(s);
			atomic { void_to = highest + 1; owed[me] = 0; all_kept() }
#endif
			skip
		:: true -> break /* dead */
		fi
	:: else -> break
	od
}

proctype unpinner()
{
	byte highest, last, top, seen_void, s, k, kept;

	/* from here on nothing that was told is owed */
	atomic {
		unpins++;
		k = 0;
		do
		:: k < PINNERS -> owed[k] = 0; k++
		:: else -> break
		od;
		k = 0
	};
	look(s);
	atomic { void_to = MAX(void_to, highest + 1); all_kept() };
	atomic { unpins-- }
}

init {
	atomic {
		run pinner(0);
		run pinner(1);
#if PINNERS > 2
		run pinner(2);
#endif
		run unpinner()
	}
}
