/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claiming a slot of a shared device as core/slot/lease.c does it: JOINING in a page of its own, then copy 0, then copy 1.
 *
 *   choose()   the cell tells that its holder has left; or is one who has given up its claim, and is silent therefore
 *   join()     JOINING, epoch + 1, nonce -> wait -> it stands still, and both copies are as they were
 *   take()     copy 0: ACTIVE -> wait -> that and JOINING still ours, nobody in copy 1 -> copy 1: ACTIVE -> copy 0 still ours -> first use
 *   give_up()  copy 0: LEFT, if it is ours, and nobody has won; take_back(): copy 1 says nothing
 *   holder     heartbeats into copy 0, LEFT into copy 1, then copy 0
 *
 * No clock: a claimer may stop between any two steps for as long as it likes, and the others may take it for given up at any
 * time. (lease.c measures what it can, which makes what is looked for here rare.)  But who is past its claim's last look is not taken
 * for silent: that rests on time.
 *
 * Three claimers can still take an epoch twice (-DCLAIMERS=3 -DTRIES=2 finds it): one writes LEFT late, as it gives up, over who is past
 * its last look, and stands still before copy 1 until another has come and gone, and a third comes late with copy 0.  (With JOINING in copy
 * 1, as it was once, two could.)  An error is still found when who gives up writes nothing; when copy 1 is two pages, for even and for odd
 * epochs; with both; and when, besides, nothing is taken back.  What can be had so is one claimer more for one page more: with loads and
 * stores alone n that wait for nobody's time need n registers (Burns and Lynch, Bounds on shared memory for mutual exclusion, 1993).
 *
 * Left out: death (a claimer that stops for ever is a dead one), adoption, landing after death.
 *
 * Shown: never two holders; no epoch is used twice.
 *
 * RUN medium -DCLAIMERS=2 -DTRIES=3 -DEPOCHS=4
 * MUTANT COPY_0_ALONE after its ACTIVE a claimer looks at copy 0 alone
 * MUTANT NOT_BEFORE the copies are not looked at again before copy 0 is written
 */
#define VIRGIN 255

mtype { LEFT, JOINING, ACTIVE }
byte who[2] = VIRGIN, epoch[2];
mtype state[2] = LEFT;
byte joins = VIRGIN, joins_epoch;
byte claims[CLAIMERS]; /* the epoch that it is about; 0: none */
byte used;
byte holders;

#define BELIEVED (state[1] != JOINING && (epoch[1] > epoch[0] || (epoch[1] == epoch[0] && who[1] != who[0])) -> 1 : 0)
/* whoever takes its claim back leaves JOINING in copy 1: it had found the epoch before, and found that ended */
#define FOUND (state[1] == JOINING && epoch[1] > epoch[0] + 1)
#define LAST (FOUND -> epoch[1] - 1 : epoch[BELIEVED])
#define FREE (FOUND || state[BELIEVED] == LEFT || claims[who[BELIEVED]] != epoch[BELIEVED])

#define STILL_JOINS (joins == me && joins_epoch == mine)

inline write(copy, what)
{
	d_step { who[copy] = me; epoch[copy] = mine; state[copy] = what }
}

proctype claimer(byte me)
{
	byte mine, was_who[2], was_epoch[2], tries = TRIES;
	mtype was_state[2];

	do
	:: tries > 0 && LAST < EPOCHS ->
		tries--;
		d_step {
			if
			:: FREE ->
				mine = LAST + 1;
				claims[me] = mine;
				was_who[0] = who[0]; was_epoch[0] = epoch[0]; was_state[0] = state[0];
				was_who[1] = who[1]; was_epoch[1] = epoch[1]; was_state[1] = state[1]
			:: else -> mine = 0
			fi
		}
		if
		:: mine -> skip
		:: else -> goto next
		fi;
		d_step { joins = me; joins_epoch = mine };
		if
		:: STILL_JOINS -> skip
		:: else -> goto next
		fi;
#ifndef MUTANT_NOT_BEFORE
		if
		:: who[1] == was_who[1] && epoch[1] == was_epoch[1] && state[1] == was_state[1] -> skip
		:: else -> goto next
		fi;
		if
		:: who[0] == was_who[0] && epoch[0] == was_epoch[0] && state[0] == was_state[0] -> skip
		:: else -> goto next
		fi;
#endif
		write(0, ACTIVE);
		if
		:: who[0] == me && epoch[0] == mine -> skip
		:: else -> goto next
		fi;
#ifndef MUTANT_COPY_0_ALONE
		if
		:: STILL_JOINS -> skip
		:: else -> goto give_up
		fi;
		if
		:: state[1] == JOINING || epoch[1] < mine -> skip
		:: else -> goto give_up
		fi;
#endif
		write(1, ACTIVE);
		if
		:: who[0] == me && epoch[0] == mine -> skip
		:: else -> goto take_back
		fi;
		d_step { holders++; assert(holders == 1) };
		d_step { assert(mine > used); used = mine };
		if
		:: write(0, ACTIVE) /* a heartbeat */
		:: true -> skip
		fi;
		holders--;
		write(1, LEFT);
		write(0, LEFT);
		goto next;
give_up:	if
		:: state[1] == JOINING || epoch[1] < mine -> skip
		:: else -> goto next
		fi;
		if
		:: who[0] == me && epoch[0] == mine -> write(0, LEFT)
		:: else -> skip
		fi;
		goto next;
take_back:	if
		:: who[1] == me && epoch[1] == mine -> write(1, JOINING)
		:: else -> skip
		fi;
next:		skip;
		d_step {
			mine = 0; claims[me] = 0;
			was_who[0] = 0; was_epoch[0] = 0; was_state[0] = LEFT;
			was_who[1] = 0; was_epoch[1] = 0; was_state[1] = LEFT
		}
	:: else -> break
	od
}

init {
	atomic {
		run claimer(0);
		run claimer(1);
#if CLAIMERS > 2
		run claimer(2)
#endif
	}
}
