/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cells: small structures with one writer each, in a logical block of their own; their live bytes never cross 512.
 *
 *   slot cell   - who holds a slot: two copies, the higher epoch wins
 *   hold cell   - segments whose blocks a slot's holder uses in place (zero-copy)
 *   claim cell  - one slot's ballot about one ended incarnation (Disk Paxos); a row of them a slot
 *   key cell    - a tenant's wrapped key, overwritten in place
 */
#ifndef MEMKV_FORMAT_CELLS_H
#define MEMKV_FORMAT_CELLS_H

#include "core/format/check.h"
#include "core/format/layout.h"

enum { CELL_LIVE = 512, CELL_WORDS = CELL_LIVE / 8, HOST_NQN_BYTES = 224, HOLDS_PER_CELL = 20, WRAPPED_KEY_BYTES = 128 };

/* is an incarnation drained?  and what one asks of another (core/pool/host_drain.h) */
enum slot_drain { SLOT_DRAIN_NONE = 0, SLOT_DRAIN_UNDER_WAY, SLOT_DRAIN_DONE };
enum slot_ask { SLOT_ASK_NOTHING = 0, SLOT_ASK_DRAIN, SLOT_ASK_UNDO };

enum slot_state { SLOT_VIRGIN = 0, SLOT_JOINING, SLOT_ACTIVE, SLOT_LEAVING, SLOT_LEFT };

struct slot_cell {
	uint32_t slot, state; /* enum slot_state */
	uint32_t epoch;	      /* grows at every attach; 30 bits */
	uint32_t pid;
	uint64_t nonce;	      /* random for every incarnation */
	uint64_t process_start;
	uint64_t attached_s, seen_s; /* UTC; for people */
	uint64_t heartbeat;	     /* counter; media without exact death */
	uint64_t log_tail;	     /* records that are on the medium, at least; also a hint for polling */
	uint8_t machine[16], boot[16];
	char host_nqn[HOST_NQN_BYTES];
	char version[24];
	uint64_t node_device, node_inode; /* shared: the inode that the holder's lock is on; 0: none */
	uint32_t suspect_ms;		  /* shared: without a heartbeat for that long it may be taken for dead */
	/* shared: of this slot, whose log no checkpoint of this incarnation holds yet; epoch 0: nobody's */
	uint32_t owed_epoch;
	uint64_t owed_nonce;
	uint64_t owed_tail;		  /* its log_tail, as who came next found it */
	uint32_t quarantine_ms; /* shared: so long after its end a write of it may land */
	/* shared: an incarnation before, whose slot passed on because it was silent for long: nobody has proven its death; 0: none */
	uint32_t unproven_epoch;
	uint8_t unproven_machine[16], unproven_boot[16];
	uint32_t drain;		/* enum slot_drain */
	uint32_t ask, ask_slot, ask_epoch; /* enum slot_ask, of this incarnation */
};

struct hold {
	uint32_t segment, page; /* page: of the block that the place was taken for; all of the segment is held */
	uint64_t generation;	/* 0: the place is not used */
	uint64_t lease_until; /* the holder's heartbeat counter up to which the hold counts */
};

struct hold_cell {
	uint32_t slot, epoch, count;
	struct hold holds[HOLDS_PER_CELL];
};

struct claim_cell {
	uint32_t slot, epoch; /* the ended incarnation that is claimed */
	uint32_t ballot, accepted_ballot;
	uint64_t accepted; /* slot << 32 | epoch of the incarnation that is to adopt */
};

struct key_cell {
	uint32_t tenant, version, state; /* state 0: none, 1: live, 2: shredded */
	uint32_t wrapped_length;
	uint8_t wrapped[WRAPPED_KEY_BYTES];
	uint8_t salt[16];
};

/* Encoders write CELL_LIVE bytes (claims: CLAIM_BYTES), decoders mend a flipped bit; false: never written or damaged. */
void slot_cell_encode(const struct slot_cell *cell, unsigned copy, uint64_t pool_seed, uint8_t live[CELL_LIVE]);
enum check_result slot_cell_decode(const uint8_t live[CELL_LIVE], unsigned slot, unsigned copy, uint64_t pool_seed,
				   struct slot_cell *cell);
void hold_cell_encode(const struct hold_cell *cell, uint64_t pool_seed, uint8_t live[CELL_LIVE]);
enum check_result hold_cell_decode(const uint8_t live[CELL_LIVE], unsigned slot, uint64_t pool_seed,
				   struct hold_cell *cell);
/* hold_cell_take() - what the words say, right or not: all places, those with generation 0 included */
void hold_cell_take(const uint8_t live[CELL_LIVE], struct hold_cell *cell);
void claim_cell_encode(const struct claim_cell *cell, unsigned claimer, uint64_t pool_seed, uint8_t live[CLAIM_BYTES]);
enum check_result claim_cell_decode(const uint8_t live[CLAIM_BYTES], unsigned claimer, unsigned slot,
				    uint64_t pool_seed, struct claim_cell *cell);
void key_cell_encode(const struct key_cell *cell, uint64_t pool_seed, uint8_t live[CELL_LIVE]);
enum check_result key_cell_decode(const uint8_t live[CELL_LIVE], unsigned tenant, uint64_t pool_seed,
				  struct key_cell *cell);

/* cell_blank() - all bytes zero: never written, which is not damage */
bool cell_blank(const uint8_t *live, size_t length);

#endif
