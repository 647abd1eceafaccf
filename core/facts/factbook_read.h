/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The factbook's reading half: cells, checkpoints and rings of all slots, folded into what this process knows.
 *
 * Between factbook.c and factbook_read.c.  All of these under the factbook's lock.
 */
#ifndef MEMKV_FACTS_FACTBOOK_READ_H
#define MEMKV_FACTS_FACTBOOK_READ_H

#include "core/facts/factbook.h"

/* factbook_fold() - one record; @factbook: a struct factbook */
void factbook_fold(void *factbook, const struct record *r);

/* factbook_doubt_of() - where the doubt of an incarnation stands, or would */
static inline struct doubt *factbook_doubt_of(const struct factbook *l, uint32_t slot, uint32_t epoch)
{
	return &l->doubts[2 * slot + epoch % 2];
}

/* factbook_read() - factbook_refresh(), without the lock */
bool factbook_read(struct factbook *l);

/* factbook_blind() - is there anything that could not be read, so that everything counts as pinned? */
bool factbook_blind(const struct factbook *l);

/* factbook_tell() - what is known of pins, for looks without the lock */
void factbook_tell(struct factbook *l);

/* factbook_shared() - is this a device that several hosts write to? */
static inline bool factbook_shared(const struct factbook *l) { return l->control->shared; }

/* factbook_unread() - how often the medium did not answer: unchanged over a look, the look was whole */
static inline uint64_t factbook_unread(const struct factbook *l) { return atomic_load(&l->control->media->unread); }

/* log_is_of() - is this the log of that incarnation? */
static inline bool log_is_of(const struct log_identity *log, uint32_t epoch, uint64_t nonce)
{
	return log->epoch == epoch && log->nonce == nonce;
}

#endif
