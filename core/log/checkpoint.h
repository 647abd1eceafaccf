/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints: the live control facts of the whole pool, as one agent knows them, in one of two areas of its slot.
 *
 * The valid one of areas A and B with the higher sequence holds.  The other one is written: header withdrawn -> facts
 * -> flush -> header -> flush.  Its records are bound to its sequence, so what is left of an older one is not taken for
 * them.  A reader looks at the header, reads the facts, looks at the header again.
 *
 * A checkpoint says itself which incarnation wrote it, so it stays readable when the slot has passed on.
 */
#ifndef MEMKV_LOG_CHECKPOINT_H
#define MEMKV_LOG_CHECKPOINT_H

#include "core/format/record.h"
#include "core/slot/control.h"

/* checkpoint_records() - facts that an area holds */
uint32_t checkpoint_records(const struct control *c);

/* checkpoint_hold() - shared devices: the slot's areas are this process's to write; checkpoint_let_go() - no more */
bool checkpoint_hold(const struct control *c, uint32_t slot);
void checkpoint_let_go(const struct control *c, uint32_t slot);

/* checkpoint_best() - the header that holds; false: the slot has none */
bool checkpoint_best(const struct control *c, uint32_t slot, struct checkpoint_header *h, unsigned *area);

/* checkpoint_withdraw() - before anything of an area is changed */
void checkpoint_withdraw(const struct control *c, uint32_t slot, unsigned area);

/*
 * checkpoint_write() - the facts, then the header; each flushed
 * @facts: h->facts of them; their positions are set.
 *
 * Return: 0 or -errno; then what held before still holds.
 */
int checkpoint_write(const struct control *c, unsigned area, const struct checkpoint_header *h, struct record *facts);

/*
 * checkpoint_read() - visit every fact of the checkpoint that holds
 * @damaged, @mended: raised for each record that did not verify, or not at first.
 *
 * When some are damaged the other area is visited as well.  What is visited is always a fact that was stated.
 *
 * Return: whether there is one; then *h is its header.
 */
bool checkpoint_read(const struct control *c, uint32_t slot, void (*visit)(void *context, const struct record *r),
		     void *context, struct checkpoint_header *h, uint64_t *damaged, uint64_t *mended);

#endif
