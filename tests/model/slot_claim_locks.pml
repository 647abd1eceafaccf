/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claiming a slot where a lock proves death: files, memory, a block device's exclusive open (core/slot/slot.c).
 *
 *   try_claim()          lock -> read both copies of the cell -> epoch + 1
 *   write_claim()        flush what was found -> the copy that does not hold -> flush -> the other -> flush -> first use
 *   slot_leave()         LEFT into copy 0, not flushed -> unlock
 *   slot_gone()          the lock is free, or the cell shows a newer epoch
 *
 * Processes are killed before any step (the lock falls with them). The power goes at any moment, and takes, of what was
 * not flushed, nothing, all, or leaves it torn. A copy is written in two steps, as checked_store() does: withdrawn, whole.
 *
 * Left out: other slots (each stands alone); what a cell says besides its epoch; flipped bits, since the two copies are
 * for one or the other: with one copy torn, the other is all there is.
 *
 * Shown: no epoch is used twice in the pool's life; wherever anybody stops, the last used epoch is known from a copy; an
 * incarnation that slot_gone() has called gone writes nothing any more.
 *
 * RUN medium -DCLAIMERS=2 -DEPOCHS=3 -DCUTS=1
 * RUN long -DCLAIMERS=2 -DEPOCHS=6 -DCUTS=3
 * MUTANT CLAIM_IN_ORDER copy 0 always first: both are lost
 * MUTANT CLAIM_UNFLUSHED power loss takes an epoch back
 * MUTANT FOUND_UNFLUSHED what a killed predecessor left in the page cache is taken for durable
 * MUTANT LOOK_BEFORE_LOCK the cell is read before the lock is held
 * MUTANT GONE_BY_THE_SAME a cell with the same epoch proves death
 */
#define TORN 255   /* withdrawn, or half written: its check fails */
#define NOBODY 255

byte cache[2], disk[2]; /* the epoch in each copy: as processes see it; as the next boot finds it */
byte lock = NOBODY;
bool alive[CLAIMERS] = true;
byte used;		 /* the highest epoch that was used */
byte runs[CLAIMERS];	 /* as which epoch; 0: none */
byte watched;		 /* one epoch, any */
bool gone;		 /* what slot_gone() has said about it */
byte cuts = CUTS;

/* epoch of the better copy; TORN: neither is known */
#define HOLDS(a, b) ((b) != TORN && ((a) == TORN || (b) > (a)))
#define KNOWN(a, b) (HOLDS(a, b) -> (b) : (a))
#ifdef MUTANT_GONE_BY_THE_SAME
#define NEWER(epoch, than) ((epoch) >= (than))
#else
#define NEWER(epoch, than) ((epoch) > (than))
#endif

inline write_copy(copy)
{
	d_step { cache[copy] = TORN; assert(runs[me] != watched || !gone) }
	d_step { cache[copy] = epoch; assert(runs[me] != watched || !gone) }
}

inline flush()
{
#ifndef MUTANT_CLAIM_UNFLUSHED
	d_step { disk[0] = cache[0]; disk[1] = cache[1] }
#else
	skip
#endif
}

proctype claimer(byte me)
{
	byte a, b, epoch, first;

again:	{
#ifdef MUTANT_LOOK_BEFORE_LOCK
		d_step { a = cache[0]; b = cache[1] }
		d_step { lock == NOBODY -> lock = me }
#else
		d_step { lock == NOBODY -> lock = me }
		d_step { a = cache[0]; b = cache[1] }
#endif
		assert(KNOWN(a, b) != TORN && KNOWN(a, b) >= used);
		if
		:: KNOWN(a, b) == EPOCHS -> lock = NOBODY; goto done /* the bound of this model */
		:: else
		fi;
		d_step {
			epoch = KNOWN(a, b) + 1;
			first = (HOLDS(a, b) -> 0 : 1);
			a = 0; b = 0
#ifdef MUTANT_CLAIM_IN_ORDER
			; first = 0
#endif
		}
#ifndef MUTANT_FOUND_UNFLUSHED
		flush();
#endif
		write_copy(first);
		flush();
		write_copy(1 - first);
		flush();
		d_step { assert(epoch > used); used = epoch; runs[me] = epoch }
		write_copy(0); /* slot_leave() */
		d_step { runs[me] = 0; lock = NOBODY }
	} unless {
		d_step { !alive[me] -> alive[me] = true; a = 0; b = 0; epoch = 0; first = 0 } /* and a new process comes */
	};
	d_step { epoch = 0; first = 0 }
	goto again;
done:	skip
}

inline kill(i)
{
	alive[i] = false;
	runs[i] = 0;
	lock = (lock == i -> NOBODY : lock)
}

/* the kernel writes a page back when it likes; the power may go in the midst of it */
inline write_back(copy, what)
{
	d_step { disk[copy] != cache[copy] -> disk[copy] = what }
}

active proctype fate()
{
	byte i;

end:	do
	:: d_step { alive[0] -> kill(0) }
	:: d_step { alive[1] -> kill(1) }
#if CLAIMERS > 2
	:: d_step { alive[2] -> kill(2) }
#endif
	:: write_back(0, cache[0])
	:: write_back(1, cache[1])
	:: atomic {
		cuts > 0 -> cuts--;
		if
		:: write_back(0, TORN)
		:: true
		fi;
		if
		:: write_back(1, TORN)
		:: true
		fi;
		d_step {
			cache[0] = disk[0];
			cache[1] = disk[1];
			i = 0;
			do
			:: i < CLAIMERS -> kill(i); i++
			:: else -> break
			od;
			i = 0
		}
	}
	od
}

/* slot_gone() about any one epoch: the lock, and when it is held, the cell */
active proctype watcher()
{
	select(watched : 1 .. EPOCHS);
end:	do
	:: used >= watched && !gone ->
		if
		:: d_step { lock == NOBODY -> gone = true }
		:: else ->
			d_step {
				if
				:: KNOWN(cache[0], cache[1]) != TORN && NEWER(KNOWN(cache[0], cache[1]), watched) -> gone = true
				:: else
				fi
			}
		fi
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
