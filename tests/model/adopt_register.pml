/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who adopts an ended incarnation, on media without compare-and-swap: Disk Paxos on single-writer claim cells, one
 * register an incarnation ("Adopting", "a claim falls with the incarnation that won it and passes to whoever adopts that one").
 * In the code: core/slot/claims.c (the ballots), core/pool/adopt.c.
 *
 *   ballot   own cell: ballot b -> all other cells: a higher ballot? give up; the accepted value with the highest ballot
 *            counts, else the own incarnation
 *   accept   own cell: accepted ballot b, value -> all other cells once more: a higher ballot? give up; else decided
 *   won      by another: is that one ended too? Then its register is the next to be won, and what it had won comes with it
 *   ADOPT    from the last won back to the first: read the dead log to its end -> log ADOPT with that end. What the dead
 *            log says behind its end moves no ownership
 *
 * Incarnation 0 has ended; 1.. are claimers. Each may stop at any step for ever, with its last write landing later or never,
 * or be taken for ended although it is not, and go on (wrong suspicion). Cells are read one after the other.
 *
 * Left out: that a cell may be torn (it verifies, or counts as not read: then a claimer waits); facts and segments
 * (open_look_write.pml). A duel of ballots may go on for ever, as in every Paxos: so what is asked is that one who claims
 * alone, after all others have stopped anywhere, adopts.
 *
 * Shown: all decisions about a register agree; among everything that was logged at most one ADOPT of each counts, whoever
 * reads in whatever order; one survivor can adopt, whatever the others left.
 *
 * RUN medium -DCLAIMERS=2 -DBALLOTS=2
 * RUN long -DCLAIMERS=3 -DBALLOTS=2
 * MUTANT ONE_READ the cells are not read again after accept: two decisions
 * MUTANT OWN_VALUE an accepted value that is there is not taken over
 * MUTANT NO_REGISTER adopted on suspicion alone: two adopters
 * MUTANT USED_UP who finds the register won by somebody who has ended gives up: nobody adopts ever
 * MUTANT FIRST_BEFORE_LAST what the heir's dead winner may have adopted is logged before the winner's own end
 * MUTANT ENDLESS_LOG records behind the end count too
 */
#define HEIR (CLAIMERS + 1) /* comes when everybody else has stopped */
#define N (CLAIMERS + 2)
#define NONE 255
#define CELL (about * N + me) /* the claim cell of claimer me about incarnation about */
#define THEIRS (about * N + other)

#ifdef MUTANT_ENDLESS_LOG
#define BEFORE_END true
#else
#define BEFORE_END i < cut[w]
#endif
#ifdef MUTANT_OWN_VALUE
#define TAKEN_OVER false
#else
#define TAKEN_OVER true
#endif

/* what stands in the claim cells */
byte ballot[N * N], accepted[N * N], value[N * N];
byte decided[N] = NONE;
/* the logs: records "ADOPT whom, whose log ends at" */
byte whom[N * N], ends[N * N], length[N];
bool curfew; /* 1 .. CLAIMERS have stopped, each wherever it was */

/* what counts, for whoever reads all logs: a log up to where a record that counts says that it ends */
byte cut[N], next_cut[N], count[N], adopter[N]; /* zero outside of a step */
byte i, w, r;

inline fold()
{
	for (w : 0 .. N - 1) { cut[w] = NONE }
	for (r : 0 .. N) { /* each round knows one link more of the chain */
		for (w : 0 .. N - 1) { next_cut[w] = NONE; count[w] = 0; adopter[w] = NONE }
		for (w : 0 .. N - 1) {
			i = 0;
			do
			:: i < length[w] && BEFORE_END ->
				count[whom[w * N + i]]++;
				adopter[whom[w * N + i]] = w;
				if
				:: ends[w * N + i] < next_cut[whom[w * N + i]] -> next_cut[whom[w * N + i]] = ends[w * N + i]
				:: else
				fi;
				i++
			:: else -> break
			od
		}
		for (w : 0 .. N - 1) { cut[w] = next_cut[w] }
	}
	i = 0; w = 0; r = 0
}
inline forget()
{
	for (w : 0 .. N - 1) { cut[w] = 0; next_cut[w] = 0; count[w] = 0; adopter[w] = 0 }
	i = 0; w = 0
}

/* all other cells, one by one, in any order */
inline read_cells()
{
	unread = (1 << N) - 1 - (1 << me) - 1 - (me == HEIR -> 0 : 1 << HEIR);
	do
	:: unread == 0 -> break
	:: unread != 0 ->
		if
		:: (unread & 2) -> other = 1
		:: (unread & 4) -> other = 2
#if CLAIMERS > 2
		:: (unread & 8) -> other = 3
#endif
		fi;
		d_step {
			unread = unread - (1 << other);
			higher = higher || ballot[THEIRS] > mine;
			if
			:: accepted[THEIRS] > best && TAKEN_OVER -> best = accepted[THEIRS]; wins = value[THEIRS]
			:: else
			fi;
			other = 0
		}
	od
}

inline claim_and_adopt()
{
claim:	do
#ifdef MUTANT_NO_REGISTER
	:: wins = me; break
#endif
	:: round < BALLOTS || me == HEIR ->
		d_step {
			round++;
			mine = round * N + me;
			ballot[CELL] = mine;
			higher = false;
			best = accepted[CELL];
			wins = (best -> value[CELL] : me)
		}
		read_cells();
		if
		:: higher -> goto again
		:: else
		fi;
		d_step { accepted[CELL] = mine; value[CELL] = wins; best = NONE }
#ifndef MUTANT_ONE_READ
		read_cells();
#endif
		if
		:: higher -> goto again
		:: else
		fi;
		d_step { assert(decided[about] == NONE || decided[about] == wins); decided[about] = wins };
		break;
again:		skip;
		d_step { best = 0; wins = 0; higher = false }
	:: else -> goto stop /* it has had its turns */
	od;
	path[level] = about;
	if
	:: wins == me -> skip
#ifndef MUTANT_USED_UP
	:: wins != me -> /* takes the winner for ended; rightly, or not */
		d_step { about = wins; level++; round = 0; best = 0; wins = 0; mine = 0; higher = false }
		goto claim
#endif
	:: wins != me && me != HEIR -> goto stop /* somebody else does it */
	fi;
	d_step { best = 0; wins = 0; mine = 0; round = 0; higher = false };
#ifdef MUTANT_FIRST_BEFORE_LAST
	byte top = level;
	level = 0;
#endif
	do
	:: d_step {
		about = path[level];
		fold();
		end = (count[about] -> NONE : length[about]) /* read to its end; who has been adopted for us already is passed by */;
		forget()
	}
	if
	:: end != NONE ->
		d_step {
			whom[me * N + length[me]] = about;
			ends[me * N + length[me]] = end;
			length[me]++;
			fold();
			for (i : 0 .. N - 1) { assert(count[i] <= 1) }
			end = 0;
			forget()
		}
	:: else -> end = 0
	fi;
#ifdef MUTANT_FIRST_BEFORE_LAST
	if
	:: level < top -> level++
	:: else -> break
	fi
#else
	if
	:: level > 0 -> level--
	:: else -> break
	fi
#endif
	od;
stop:	skip
}

#define OWN \
	byte about, mine, best, wins, other, unread, round, end, level; \
	byte path[N]; \
	bool higher

proctype claimer(byte me)
{
	OWN;

	{ claim_and_adopt() } unless { curfew };
	skip;
	d_step { about = 0; mine = 0; best = 0; wins = 0; other = 0; unread = 0; round = 0; end = 0; level = 0; higher = false }
}

proctype heir(byte me)
{
	OWN;

	atomic { /* nobody else moves any more */
		claim_and_adopt();
		d_step { /* whoever adopted incarnation 0, and whoever adopted that one, and so on: it is the heir */
			fold();
			i = adopter[0];
			do
			:: i != HEIR && i != NONE -> i = adopter[i]
			:: else -> break
			od;
			assert(i == HEIR);
			forget()
		}
	}
}

init {
	atomic {
		run claimer(1);
		run claimer(2);
#if CLAIMERS > 2
		run claimer(3)
#endif
	}
	atomic { true -> curfew = true; run heir(HEIR) }
}
