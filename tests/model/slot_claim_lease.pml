/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claiming a slot of a shared device as core/slot/lease.c does it: JOINING in copy 1, which nobody believes, then copy 0.
 *
 *   choose()   the cell tells that its holder has left; a claim in copy 1 that stands still for long has been given up
 *   join()     copy 0 as it was -> copy 1: JOINING, epoch + 1, nonce -> wait -> copy 1 still ours, copy 0 still as it was
 *   take()     copy 0: ACTIVE -> wait -> both copies still ours -> copy 1: ACTIVE -> first use
 *   holder     heartbeats and LEFT into copy 0 alone
 *
 * No clock: a claimer may stop between any two steps for as long as it likes, and the others may take it for given up at any
 * time. (lease.c measures what it can, which makes what is looked for here rare.)
 *
 * Left out: death (a claimer that stops for ever is a dead one), adoption, landing after death.
 *
 * Shown: never two holders; no epoch is used twice.
 *
 * RUN medium -DCLAIMERS=2 -DTRIES=2 -DEPOCHS=4
 * RUN long -DCLAIMERS=3 -DTRIES=2 -DEPOCHS=4
 * MUTANT COPY_0_ALONE after its ACTIVE a claimer looks at copy 0 alone
 * MUTANT NOT_BEFORE copy 0 is not looked at again before it is written
 */
#define VIRGIN 255

mtype { LEFT, JOINING, ACTIVE }
byte who[2] = VIRGIN, epoch[2];
mtype state[2] = LEFT;
byte used;
byte holders;

#define BELIEVED (state[1] != JOINING && epoch[1] > epoch[0] -> 1 : 0)

inline write(copy, what)
{
	d_step { who[copy] = me; epoch[copy] = mine; state[copy] = what }
}

proctype claimer(byte me)
{
	byte mine, was_who, was_epoch, tries = TRIES;

	do
	:: tries > 0 && epoch[BELIEVED] < EPOCHS ->
		tries--;
		atomic {
			if
			:: state[BELIEVED] == LEFT -> mine = epoch[BELIEVED] + 1; was_who = who[0]; was_epoch = epoch[0]
			:: else -> goto next
			fi
		}
		write(1, JOINING);
		if
		:: who[1] == me && epoch[1] == mine && state[1] == JOINING -> skip
		:: else -> goto next
		fi;
#ifndef MUTANT_NOT_BEFORE
		if
		:: who[0] == was_who && epoch[0] == was_epoch && state[0] == LEFT -> skip
		:: else -> goto next
		fi;
#endif
		write(0, ACTIVE);
		if
		:: who[0] == me && epoch[0] == mine && state[0] == ACTIVE -> skip
		:: else -> goto next
		fi;
#ifndef MUTANT_COPY_0_ALONE
		if
		:: who[1] == me && epoch[1] == mine -> skip
		:: else -> goto next
		fi;
#endif
		write(1, ACTIVE);
		d_step { holders++; assert(holders == 1) };
		d_step { assert(mine > used); used = mine };
		if
		:: write(0, ACTIVE) /* a heartbeat */
		:: true -> skip
		fi;
		d_step { holders--; who[0] = me; epoch[0] = mine; state[0] = LEFT };
next:		skip;
		d_step { mine = 0; was_who = 0; was_epoch = 0 }
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
