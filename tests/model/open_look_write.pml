/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must not be lost on media where nothing proves death: "a zombie can only hit what its own log shows open".
 * In the code: core/pool/share.h says the same in short, core/facts/ownership.c and core/pool/adopt.c do it.
 *
 *   owner     look: adopted? stop -> log OPEN, completed -> look once more: adopted? stop -> segment header -> payload,
 *             completed -> acknowledged; when every write in it is resolved: log SEAL. And again
 *   adopter   suspects whenever it likes, rightly or not; is the only one to adopt it (several at once: adopt_marks.pml); reads every
 *             log that may name the segment to its end; logs ADOPT, completed; then, before each OPEN, reads the logs of
 *             those it adopted once more: one of them shows the segment OPEN, and is not proven gone: at risk, not opened.
 *             Else it goes on as an owner
 *
 * Host 0 owns the one segment. Host 1 may adopt it. Host 2 may adopt host 0, or host 1, and with it what that one had won.
 * Each may stop anywhere for ever, or go on after any time; each may be killed, with a write on its way that lands later.
 * Nothing is assumed about how late. Proven gone: killed, and no write on its way (a fence; another boot and T).
 *
 * Left out: several who adopt at once (adopt_marks.pml); other segments; readers, who verify everything; the log as bytes: a record
 * has landed or not, one at a time ("one unresolved log write"), and a log is read in one step.
 *
 * Shown: what was acknowledged and not evicted by whoever has the segment by right is never written over.
 *
 * RUN medium -DOPENS=1
 * RUN long -DOPENS=2
 * MUTANT NO_LOOK the owner does not look between OPEN and its first write
 * MUTANT REOPEN_AT_RISK a segment that the dead log left OPEN is opened
 * MUTANT READ_ONCE the dead log is not read again after ADOPT
 * MUTANT ONLY_THE_LAST who inherits a claim reads the log of the one it inherits from, not that of the first owner
 * MUTANT ONLY_THE_FIRST who inherits a claim reads the log of the first owner, not that of the adopter in between
 * MUTANT SEAL_EARLY SEAL while a write that timed out may still land
 * MUTANT DEAD_PROVES a process that has been seen to die proves that its writes are through
 */
#define HOSTS 3
#define NONE 255
#ifdef MUTANT_DEAD_PROVES
#define PROVEN(host) dead[host]
#else
#define PROVEN(host) (dead[host] && sent[host] == NOTHING)
#endif

mtype { NOTHING, OPEN, SEAL, HEADER, PAYLOAD, ADOPT }

mtype sent[HOSTS] = NOTHING; /* a write on its way; at most one a host */
byte sent_whom[HOSTS];	     /* ADOPT of whom */
bool open[HOSTS];	     /* what a host's log shows about the segment */
bool adopted[HOSTS];	     /* somebody's log says so */
byte claim[HOSTS] = NONE;    /* who has won a host's register */
bool dead[HOSTS];
byte header = NONE, payload = NONE; /* whose generation, whose block lies there */
bool acknowledged[HOSTS];	    /* the block is, and is not evicted */
#ifdef MUTANT_SEAL_EARLY
bool late[HOSTS]; /* a payload that nobody waits for any more */
#endif

#define OTHERS_ACKNOWLEDGED(host) \
	((host != 0 && acknowledged[0]) || (host != 1 && acknowledged[1]) || (host != 2 && acknowledged[2]))

inline complete(what, about)
{
	d_step { sent[me] = what; sent_whom[me] = about };
	sent[me] == NOTHING
}

/* reads one of the logs of those whose segments it has */
inline read_log(host) { d_step { risk = risk || (open[host] && !PROVEN(host)) } }
inline evict(host)
{
	if
	:: !open[host] || PROVEN(host) -> acknowledged[host] = false
	:: else
	fi
}

#ifdef MUTANT_ONLY_THE_LAST
#define READ_0 (from_0 && !from_1)
#else
#define READ_0 from_0
#endif
#ifdef MUTANT_ONLY_THE_FIRST
#define READ_1 false
#else
#define READ_1 from_1
#endif

inline read_logs()
{
	if
	:: READ_0 -> read_log(0)
	:: else
	fi;
	if
	:: READ_1 -> read_log(1)
	:: else
	fi
}

/* the segment is this host's, or so it believes */
inline own()
{
	do
	:: opens > 0 ->
		opens--;
		if
		:: adopted[me] -> break
		:: else
		fi;
#ifndef MUTANT_READ_ONCE
		read_logs();
#endif
#ifndef MUTANT_REOPEN_AT_RISK
		if
		:: risk -> break /* readable, but not opened; asked again one day */
		:: else
		fi;
#endif
		complete(OPEN, 0);
#ifndef MUTANT_NO_LOOK
		if
		:: adopted[me] -> break
		:: else
		fi;
#endif
		d_step {
			acknowledged[me] = false;
			if
			:: READ_0 -> evict(0)
			:: else
			fi;
			if
			:: READ_1 -> evict(1)
			:: else
			fi
		}
		complete(HEADER, 0);
#ifdef MUTANT_SEAL_EARLY
		if
		:: d_step { late[me] = true }; goto seal
		:: skip
		fi;
#endif
		complete(PAYLOAD, 0);
		d_step { assert(header == me && payload == me); acknowledged[me] = true };
seal:		skip;
		complete(SEAL, 0)
	:: else -> break
	od
}

proctype owner(byte me)
{
	byte opens = OPENS;
	bool risk, from_0, from_1;

	{ own() } unless { dead[me] };
	skip;
	d_step { opens = 0; risk = false }
}

proctype adopter(byte me)
{
	byte opens = OPENS;
	bool risk, from_0, from_1;

	{
	d_step { /* takes somebody for dead, and wins the claim */
		if
		:: claim[0] == NONE -> claim[0] = me; from_0 = true
		:: me == 2 && claim[0] == 1 -> claim[1] = me; from_0 = true; from_1 = true
		fi
	}
	read_logs();
	if
	:: from_1 -> complete(ADOPT, 1)
	:: else
	fi;
	complete(ADOPT, 0);
#ifndef MUTANT_READ_ONCE
	risk = false; /* what was OPEN may have been sealed meanwhile */
#endif
	own()
	} unless { dead[me] };
	skip;
	d_step { opens = 0; risk = false; from_0 = false; from_1 = false }
}

inline land(host)
{
	d_step {
		sent[host] != NOTHING ->
		if
		:: sent[host] == OPEN -> open[host] = true
		:: sent[host] == SEAL -> open[host] = false
		:: sent[host] == ADOPT -> adopted[sent_whom[host]] = true
		:: sent[host] == HEADER || sent[host] == PAYLOAD ->
			assert(!OTHERS_ACKNOWLEDGED(host));
			if
			:: sent[host] == HEADER -> header = host
			:: else -> payload = host
			fi
		fi;
		sent[host] = NOTHING;
		sent_whom[host] = 0
	}
}
inline lose(host) { d_step { dead[host] && sent[host] != NOTHING -> sent[host] = NOTHING; sent_whom[host] = 0 } }
inline kill(host) { d_step { !dead[host] -> dead[host] = true } }
#ifdef MUTANT_SEAL_EARLY
inline land_late(host) { d_step { late[host] -> assert(!OTHERS_ACKNOWLEDGED(host)); late[host] = false } }
#endif

active proctype fate()
{
end:	do
	:: land(0)
	:: land(1)
	:: land(2)
	:: lose(0)
	:: lose(1)
	:: lose(2)
	:: kill(0)
	:: kill(1)
	:: kill(2)
#ifdef MUTANT_SEAL_EARLY
	:: land_late(0)
	:: land_late(1)
#endif
	od
}

init {
	atomic {
		run owner(0);
		run adopter(1);
		run adopter(2)
	}
}
