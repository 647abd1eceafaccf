/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who writes to a segment that several adopt at once, on media where nothing proves death and nothing is compared and swapped
 * (core/facts/ownership.h says why no register is needed; core/pool/share_segments.c, core/pool/adopt.c do it).
 *
 *   adopt    suspects the holder whenever it likes, rightly or not: reads all logs -> ADOPT, a level above, completed
 *   open     reads all logs: the holder, and nobody else's mark but of those proven gone? -> OPEN, completed -> reads all logs
 *            once more: still so? -> writes -> SEAL when every write is resolved. Else SEAL at once
 *   raise    a mark of one who is gone has our level: ADOPT from ourselves first, and look again
 *
 * A log is what its author stated last about the one segment, and the version of its last OPEN. Nobody has had it; all may adopt it, from
 * each other as well, at the same time and with equal versions. Each may stop anywhere for ever, or go on after any time; each may be
 * killed, with a write on its way that lands later. Logs are read one by one. Proven gone: killed, and no write on its way.
 *
 * Left out: other segments; the log as bytes; a slot that passes on; readers, who verify everything.
 *
 * Shown: never two write to it.
 *
 * RUN medium -DHOSTS=2 -DTURNS=2
 * RUN long -DHOSTS=3 -DTURNS=1
 * MUTANT NO_LOOK the logs are not read once more after OPEN
 * MUTANT LOOK_EARLY they are read before OPEN is completed
 * MUTANT HIGHEST_ONLY of several marks the one with the highest OPEN counts: the second adopter's is overlooked
 * MUTANT REOPEN_AT_RISK a mark is void as soon as its author has been seen to die
 * MUTANT SEAL_EARLY SEAL while a write that timed out may still land
 */
#define NONE 255
#define LEVEL 8 /* versions are level * LEVEL + count */
#define LEVEL_OF(version) ((version) / LEVEL)
#ifdef MUTANT_REOPEN_AT_RISK
#define PROVEN(host) dead[host]
#else
#define PROVEN(host) (dead[host] && !going[host] && !writing[host])
#endif

mtype { NOTHING, OPEN, REST }

mtype kind[HOSTS] = NOTHING;  /* of the last statement of each, on the medium */
byte version[HOSTS], opened[HOSTS];
mtype next_kind[HOSTS] = NOTHING; /* on its way */
byte next_version[HOSTS];
bool going[HOSTS], dead[HOSTS], writing[HOSTS];

#define WRITERS (writing[0] + writing[1] + (HOSTS > 2 -> writing[HOSTS - 1] : 0))

/* somebody's statement lands, or a dead one's never does */
#define LANDS(h) \
	:: d_step { going[h] -> kind[h] = next_kind[h]; version[h] = next_version[h]; \
		    opened[h] = (kind[h] == OPEN -> version[h] : opened[h]); going[h] = false; next_kind[h] = NOTHING; next_version[h] = 0 } \
	:: d_step { going[h] && dead[h] -> going[h] = false; next_kind[h] = NOTHING; next_version[h] = 0 } \
	:: d_step { writing[h] && dead[h] -> writing[h] = false } /* its last write has ended */

proctype medium()
{
end:	do
	LANDS(0)
	LANDS(1)
#if HOSTS > 2
	LANDS(2)
#endif
	od
}

inline state(what, number)
{
	d_step { next_kind[me] = what; next_version[me] = number; going[me] = true }
}
inline complete()
{
	!going[me]
}

/* all logs, one by one: who holds it, at which version, and is anybody else's mark on it? */
inline look()
{
	d_step { at = 0; holder = NONE; top = 0; highest = 0; risk = false; raise = false; who = NONE }
	do
	:: at < HOSTS ->
		d_step {
			if
			:: kind[at] != NOTHING && version[at] >= top -> holder = at; top = version[at]
			:: else
			fi;
			if
			:: opened[at] >= highest -> highest = opened[at]; who = at
			:: else
			fi;
			seen_kind[at] = kind[at];
			seen_version[at] = version[at];
			proven[at] = PROVEN(at);
			at++
		}
	:: else -> break
	od;
	skip;
	d_step {
		at = 0;
		do
		:: at < HOSTS ->
			if
#ifdef MUTANT_HIGHEST_ONLY
			:: at != me && seen_kind[at] == OPEN && at == who && seen_version[at] == highest ->
#else
			:: at != me && seen_kind[at] == OPEN && LEVEL_OF(seen_version[at]) >= LEVEL_OF(highest) ->
#endif
				risk = risk || !proven[at];
				raise = raise || LEVEL_OF(seen_version[at]) >= LEVEL_OF(top)
			:: else
			fi;
			at++
		:: else -> break
		od;
		at = 0
	}
}
inline forget()
{
	d_step {
		at = 0;
		do
		:: at < HOSTS -> seen_kind[at] = NOTHING; seen_version[at] = 0; proven[at] = false; at++
		:: else -> break
		od;
		at = 0; holder = NONE; top = 0; highest = 0; risk = false; raise = false; who = NONE
	}
}

proctype host(byte me)
{
	byte turns, at, holder = NONE, top, highest, mine, who = NONE;
	bool risk, raise;
	mtype seen_kind[HOSTS] = NOTHING;
	byte seen_version[HOSTS];
	bool proven[HOSTS];

	{
		do
		:: turns < TURNS -> turns++;
			look();
			if
			:: holder != me -> /* suspects it */
				mine = (LEVEL_OF(top) + 1) * LEVEL;
				forget();
				state(REST, mine);
				complete();
				look()
			:: holder == me
			fi;
			if
			:: holder == me && !risk && raise ->
				mine = (LEVEL_OF(top) + 1) * LEVEL;
				forget();
				state(REST, mine);
				complete();
				look()
			:: else
			fi;
			if
			:: holder == me && !risk && !raise ->
				mine = top + 1;
				forget();
				state(OPEN, mine);
#ifdef MUTANT_LOOK_EARLY
				look();
				complete();
#else
				complete();
#ifdef MUTANT_NO_LOOK
				holder = me; top = mine;
#else
				look();
#endif
#endif
				if
#ifdef MUTANT_LOOK_EARLY
				:: (holder == me || holder == NONE) && !risk ->
#else
				:: holder == me && top == mine && !risk ->
#endif
					d_step { writing[me] = true; assert(WRITERS == 1) }
#ifdef MUTANT_SEAL_EARLY
					state(REST, mine + 1); /* it is given up, and may still land */
					complete();
					writing[me] = false
#else
					writing[me] = false;
					state(REST, mine + 1);
					complete()
#endif
				:: else ->
					state(REST, mine + 1);
					complete()
				fi
			:: else
			fi;
			mine = 0;
			forget()
		:: else -> break
		od
	} unless { dead[me] };
	skip
}

/* kills */
proctype fate()
{
end:	do
	:: !dead[0] -> dead[0] = true
	:: !dead[1] -> dead[1] = true
#if HOSTS > 2
	:: !dead[2] -> dead[2] = true
#endif
	od
}

init {
	atomic {
		run medium();
		run fate();
		run host(0);
		run host(1);
#if HOSTS > 2
		run host(2)
#endif
	}
}
