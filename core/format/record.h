/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of the control logs, and checkpoints.  A record states one absolute fact with a version, so logs may be
 * read in any order, with gaps, twice; merging is a maximum.  128 bytes, self-verifying: the check is seeded with
 * pool, slot, epoch, the incarnation's nonce and the position.
 */
#ifndef MEMKV_FORMAT_RECORD_H
#define MEMKV_FORMAT_RECORD_H

#include "core/format/check.h"

enum { RECORD_BYTES = 128 };

enum record_kind {
	RECORD_NONE = 0, /* not a record */
	RECORD_NOP = 1, /* pads a commit to whole blocks */
	RECORD_OPEN,
	RECORD_SEAL,
	RECORD_DOUBT,
	RECORD_XFER,
	RECORD_ACCEPT,
	RECORD_ADOPT,
	RECORD_WANT,
	RECORD_PIN,
	RECORD_UNPIN,
	RECORD_DEL,
	RECORD_SESSION,
	RECORD_COMMIT,
	RECORD_POLICY,
	RECORD_TENANT,
	RECORD_MODEL,
	RECORD_KINDS,
};

struct record {
	enum record_kind kind;
	uint64_t position; /* number of the record in its incarnation's log */
	uint64_t version;  /* of the fact: the higher one holds */
	uint8_t key[32];
	uint64_t subject;  /* segment, session, group, model or tenant, by kind; PIN, UNPIN: pages of the block */
	uint64_t generation, birth;
	uint64_t until_s;  /* UTC end of a pin or policy; 0: none */
	uint32_t class_id, tenant;
	uint32_t slot, epoch; /* of a fact: who stated it; the other side of XFER, ACCEPT, ADOPT */
	uint32_t state;	      /* enum session_state */
};

enum session_state { SESSION_PLAIN = 0, SESSION_PINNED = 1, SESSION_REMOVED = 2 };

/* Whose log it is: enters every check. */
struct log_identity {
	uint32_t slot, epoch;
	uint64_t nonce;
	uint64_t sequence; /* of the checkpoint that the record stands in; 0: a ring */
};

void record_encode(const struct record *r, const struct log_identity *log, uint64_t pool_seed,
		   uint8_t bytes[RECORD_BYTES]);
enum check_result record_decode(const uint8_t bytes[RECORD_BYTES], const struct log_identity *log, uint64_t position,
				uint64_t pool_seed, bool mend, struct record *r);
/* record_position() - the position that the bytes state, verified or not */
uint64_t record_position(const void *bytes);
const char *record_kind_name(enum record_kind kind);

/* Checkpoint: a header of 128 bytes, then facts as records (position: their number in the checkpoint). */
struct checkpoint_header {
	uint32_t slot, epoch;
	uint64_t nonce;
	uint64_t sequence; /* the higher valid one of A and B holds */
	uint32_t facts;
	uint64_t log_position; /* records before this one may be overwritten */
};

void checkpoint_header_encode(const struct checkpoint_header *h, unsigned area, uint64_t pool_seed,
			      uint8_t bytes[RECORD_BYTES]);
enum check_result checkpoint_header_decode(const uint8_t bytes[RECORD_BYTES], unsigned slot, unsigned area,
					   uint64_t pool_seed, struct checkpoint_header *h);

#endif
