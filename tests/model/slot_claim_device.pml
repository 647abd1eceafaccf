/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claiming a slot where nothing proves death: a shared block device, written by several hosts ("nonce, wait, read back").
 * The plain form, one cell for all; core/slot/lease.c takes two copies for it (slot_claim_lease.pml).
 *
 *   look     the cell is nobody's, the own one's, or of one who is known to be gone
 *   write    epoch + 1 and the own nonce; it lands when it likes, also after its writer was killed
 *   wait     longer than heartbeats are apart: a holder writes its cell anew, whatever it finds there
 *   read     the own nonce is still there, and nothing of this epoch or a later one is to be seen: the slot is held
 *
 * No bound is assumed on how late a write lands, nor on how long a claimer stops between two steps; only that holders'
 * heartbeats come in time. (One whose do not is adopted: open_look_write.pml.) A claimer that watched its own clock
 * between look and write was no better off in an earlier form of this model: the heartbeat decides.
 *
 * What a loser leaves is its write, over anything, with an old epoch. So the epoch of a claim is one more than any
 * that is seen anywhere, not in the cell alone: generations in tables, records. What was used can be seen there.
 *
 * Left out: the second copy of the cell; it makes the same mistake rarer, not impossible.
 *
 * Shown: the slot never has two holders, no epoch is used twice.
 *
 * RUN medium -DCLAIMERS=2 -DTRIES=3 -DEPOCHS=5
 * RUN long -DCLAIMERS=3 -DTRIES=2 -DEPOCHS=4
 * MUTANT NO_WAIT two holders: whoever looked at the same moment writes over the first
 * MUTANT HEARTBEAT_YIELDS a holder's heartbeat leaves what it finds: its slot is taken behind a late write
 * MUTANT EPOCH_FROM_CELL a late write takes the cell back to an epoch that was used
 * MUTANT EPOCH_LOOKED_FOR_ONCE the epoch was still unused at the look; a holder used it and left during the wait
 */
#define NOBODY 255

byte cell_who = NOBODY, cell_epoch; /* the nonce in the cell, by whose it is */
byte used;			    /* the highest epoch with which anything was done */
byte holds[CLAIMERS];		    /* epoch, 0: does not */
bool gone[CLAIMERS];
bool sent[CLAIMERS];		    /* a write is on its way; it survives its writer */
byte sent_who[CLAIMERS], sent_epoch[CLAIMERS];

#if CLAIMERS > 2
#define EACH(do_it) do_it(0); do_it(1); do_it(2)
#define HOLDERS ((holds[0] > 0) + (holds[1] > 0) + (holds[2] > 0))
#else
#define EACH(do_it) do_it(0); do_it(1)
#define HOLDERS ((holds[0] > 0) + (holds[1] > 0))
#endif
#define MAX(a, b) ((a) > (b) -> (a) : (b))
#ifdef MUTANT_EPOCH_FROM_CELL
#define LAST cell_epoch
#define MUTANT_EPOCH_LOOKED_FOR_ONCE
#else
#define LAST MAX(cell_epoch, used)
#endif
#ifdef MUTANT_EPOCH_LOOKED_FOR_ONCE
#define UNUSED true
#else
#define UNUSED epoch > used
#endif

#ifdef MUTANT_HEARTBEAT_YIELDS
#define YIELDS(i) cell_who == i
#else
#define YIELDS(i) true
#endif

inline heartbeat(i)
{
	if
	:: holds[i] && YIELDS(i) -> cell_who = i; cell_epoch = holds[i]
	:: else
	fi
}

inline send(who, epoch)
{
	d_step { sent[me] = true; sent_who[me] = who; sent_epoch[me] = epoch }
}

proctype claimer(byte me)
{
	byte epoch, tries = TRIES;

	{
	do
	:: tries > 0 && LAST < EPOCHS ->
		tries--;
		atomic { /* look */
			if
			:: cell_who == NOBODY || cell_who == me || gone[cell_who] ->
				epoch = LAST + 1
			:: else -> goto next
			fi
		}
		send(me, epoch);
		!sent[me]; /* completed */
#ifndef MUTANT_NO_WAIT
		d_step { EACH(heartbeat) } /* once in the wait at least */
#endif
		d_step { /* read */
			if
			:: cell_who == me && cell_epoch == epoch && UNUSED ->
				holds[me] = epoch;
				assert(HOLDERS == 1)
			:: else
			fi
		}
		if
		:: holds[me] -> skip
		:: else -> goto next
		fi;
		d_step { assert(epoch > used); used = epoch }
		if
		:: send(me, epoch); !sent[me] /* a heartbeat */
		:: skip
		fi;
		d_step { holds[me] = 0; sent[me] = true; sent_who[me] = NOBODY; sent_epoch[me] = epoch } /* leave */
		!sent[me];
next:		epoch = 0
	:: else -> break
	od
	} unless { gone[me] };
	skip;
	d_step { epoch = 0; tries = 0; gone[me] = true }
}

inline land(i) { d_step { sent[i] -> cell_who = sent_who[i]; cell_epoch = sent_epoch[i]; sent[i] = false; sent_who[i] = 0; sent_epoch[i] = 0 } }
inline kill(i) { d_step { !gone[i] -> gone[i] = true; holds[i] = 0 } }

active proctype fate()
{
end:	do
	:: land(0)
	:: land(1)
	:: kill(0)
	:: kill(1)
#if CLAIMERS > 2
	:: land(2)
	:: kill(2)
#endif
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
