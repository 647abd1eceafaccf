/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots and leases on shared devices, where no lock proves anything to other hosts.
 *
 * Claim.  A slot that is virgin, or whose holder has left, or was proven gone long enough ago:
 *
 *   look -> in a page of its own, beside the cell: JOINING, the next epoch, a nonce -> completed within `claim` of the look, else from the start
 *   -> wait 2 x claim: whoever had looked before us has written by now -> read back: that is still ours, both copies are as they were
 *   -> still within `claim` of the last look, else look again
 *   -> copy 0: ACTIVE -> after `claim`: that and JOINING still ours, nobody else in copy 1 -> copy 1      (tests/model/slot_claim_lease.pml)
 *   -> what stands in the log of the incarnation before goes into a checkpoint; until then the cell names that one as well, and
 *   everybody reads its log.  (Before, another might have won, and have a checkpoint there.)  -> both copies, naming nobody
 *
 * Copy 0 tells who holds the slot; nobody but the one who has won writes it.  Who wakes up late in its claim disturbs JOINING, which says
 * nothing of who has the slot; or, having stood still between the last look and the write, copy 0, which its holder writes anew at the
 * next heartbeat; but it joins no more then, and gives up.  Until then, and for ever where nobody holds the slot, copy 1 tells: it is ACTIVE, or
 * LEFT, of a higher epoch, or of that one and another's.  Nobody writes copy 1 who has not won, so any number of late claimers takes
 * no epoch, and no name of a log, with it.  (JOINING was written there once: then two did.  Who takes its claim back still leaves that there; it
 * had found the incarnation before, and names it as owed.)  Three still can: one that gives up, and says so late, over who is past its last
 * look, and that one late with copy 1, and a third; no order of writes to so few pages closes that for any number of claimers (the model has
 * why).  Who leaves says so in copy 1 first, so that nothing of his comes late there.  (unit/lease)  Slots are used up from the first on, with
 * gaps of less than LEASE_STEP: behind that many virgin
 * ones all are virgin.  (A gap is a slot whose claim is just being made by somebody who may be dead: nobody waits for that.)
 *
 * Lease.  The holder writes a counter every `beat`.  Who has not completed a write for `self` promises nothing any more.
 * Whoever watches a counter stand still for `suspect` of his own clock may take over (core/pool/share.h) what the incarnation
 * owns, but is not certain of its death: that is what proofs are for (slot_gone()).  What was open in an incarnation that is
 * gone is written to again only `quarantine` later, when the last of its writes has left the network: the longer of what its cell
 * says of its own connection and what the watcher has.
 *
 * Reuse.  A newcomer that finds every slot taken watches for `suspect` and `quarantine` together; the slot of who was silent all that
 * time is its own then, with the next epoch, though nobody has proven the death of the one before.  Its cell names that one as
 * *unproven*: what that one left open is still written to by nobody, until it is proven; and the slot does not pass on in this way a
 * second time before.  Whoever wakes up after that finds its slot lost (lease_guard()): it asks before it writes to its log, its
 * checkpoint or its cell when it has been out of its lease, once more behind its first heartbeat and each that comes late, which may have
 * gone over the next holder's cell, and once more before it acknowledges; and where that cannot be read, it writes nothing.  What it had written before that is
 * in the log that the next holder has read; the newcomer's log is in the other ring.  That rests on time: who stands still between
 * that question and the write it was for, and longer than `suspect` and `quarantine`, writes over what is another's.
 *
 * All times are the watcher's own, and only how soon something happens depends on them; but for the claim, see above.
 */
#ifndef MEMKV_SLOT_LEASE_H
#define MEMKV_SLOT_LEASE_H

#include "core/slot/slot.h"

enum { LEASE_STEP = 4 };

struct lease_timing {
	uint32_t beat_ms, self_ms, suspect_ms, quarantine_ms, claim_ms;
	bool given; /* by the environment: nothing else changes them */
};

/*
 * lease_timing_read() - the defaults (1 s, 5 s, 10 s, 60 s, 100 ms), or what MEMKV_LEASE_MS says: five numbers of
 * milliseconds in that order, divided by commas; for tests and for networks that are known
 *
 * Return: 0 or -EINVAL with a sentence.
 */
int lease_timing_read(struct lease_timing *timing);

/* what is known of the others, by what was seen when */
struct lease_watch {
	struct {
		uint32_t epoch;
		uint64_t heartbeat, since_us; /* it stands at that since then */
		uint64_t gone_us;	      /* since when it is known to be gone; 0: it is not */
	} slots[SLOTS_MAX];
	uint64_t asked_us; /* when the last look was asked for */
};

/* lease_look() - note how all heartbeats stand now; the cells were refreshed, which was asked for at @asked_us */
void lease_look(struct lease_watch *watch, const struct control *c, uint64_t asked_us);

/* lease_still_us() - for how long an incarnation's heartbeat was seen to stand still, up to the last look; 0: it moves, or is not known */
uint64_t lease_still_us(const struct lease_watch *watch, uint32_t slot, uint32_t epoch);

/* lease_quiet() - proven gone, and nothing of it can still be on the way */
bool lease_quiet(struct lease_watch *watch, const struct control *c, const struct lease_timing *timing, uint32_t slot,
		 uint32_t epoch);

/*
 * lease_reuse_us() - for how long a slot's holder must be silent before its slot is another's, unproven as its death may be;
 * UINT64_MAX: for ever.  lease_reusable() - was it seen to be, and is nobody before it in that slot unproven?
 */
uint64_t lease_reuse_us(const struct lease_timing *timing, const struct slot_cell *cell);
bool lease_reusable(const struct lease_watch *watch, const struct control *c, const struct lease_timing *timing, uint32_t slot);

/* lease_refresh() - bring the cells in: of all slots that were ever used, and LEASE_STEP that were not; how many, or -EIO */
int lease_refresh(const struct control *c);

/*
 * lease_claim() - slot_claim() for shared devices
 *
 * Return: as slot_claim(); MEMKV_IN_USE: another machine with the same machine id is alive (the sentence has the mend).
 */
int lease_claim(const struct control *c, const struct lease_timing *timing, const struct slot_guard *guard,
		struct slot *slot);

/* lease_brought_over() - the log of the incarnation before stands in our checkpoint; 0, MEMKV_IN_USE (see lease_guard()) or -EIO */
int lease_brought_over(const struct control *c, struct slot *slot);

/*
 * lease_guard() - by the holder: is copy 1 as it wrote it?  A late claimer's is written over.  lease_lost() - by what was read last
 *
 * Return: 0; MEMKV_IN_USE: the slot has passed on, nothing of it is to be written any more; -EIO.
 */
int lease_guard(const struct control *c, const struct slot *slot);
bool lease_lost(const struct control *c, const struct slot *slot);

/* lease_beat() - write the next heartbeat, with @log_tail; 0 or -EIO */
int lease_beat(const struct control *c, struct slot *slot, uint64_t log_tail);

#endif
