/* SPDX-License-Identifier: Apache-2.0 */
/* See checkpoint.h. */
#include "core/log/checkpoint.h"
#include "core/format/cells.h"
#include "core/slot/own.h"

#include <errno.h>

enum { RECORD_WORDS = RECORD_BYTES / 8, REREADS = 4 };

uint32_t checkpoint_records(const struct control *c)
{
	return c->layout.geo.checkpoint_bytes / RECORD_BYTES - 1;
}

static uint8_t *area_at(const struct control *c, uint32_t slot, unsigned area)
{
	return control_at(c, layout_checkpoint(&c->layout, slot, area));
}

bool checkpoint_hold(const struct control *c, uint32_t slot)
{
	return control_hold(c, area_at(c, slot, 0), (size_t)c->layout.geo.checkpoint_bytes * CHECKPOINTS_PER_SLOT);
}

void checkpoint_let_go(const struct control *c, uint32_t slot)
{
	control_let_go(c, area_at(c, slot, 0), (size_t)c->layout.geo.checkpoint_bytes * CHECKPOINTS_PER_SLOT);
}

static bool header_at(const struct control *c, uint32_t slot, unsigned area, struct checkpoint_header *h)
{
	uint64_t words[RECORD_WORDS];

	return control_refresh(c, area_at(c, slot, area), RECORD_BYTES) &&
	       checked_load(words, area_at(c, slot, area), RECORD_WORDS) && !cell_blank((const uint8_t *)words, sizeof(words)) &&
	       checkpoint_header_decode((const uint8_t *)words, slot, area, c->seed, h) != CHECK_BAD &&
	       h->facts <= checkpoint_records(c);
}

bool checkpoint_best(const struct control *c, uint32_t slot, struct checkpoint_header *h, unsigned *area)
{
	struct checkpoint_header found;
	bool any = false;

	for (unsigned a = 0; a < CHECKPOINTS_PER_SLOT; a++) {
		if (!header_at(c, slot, a, &found) || (any && found.sequence < h->sequence))
			continue;
		*h = found;
		*area = a;
		any = true;
	}
	return any;
}

void checkpoint_withdraw(const struct control *c, uint32_t slot, unsigned area)
{
	checked_withdraw(area_at(c, slot, area));
	control_publish(c, area_at(c, slot, area), RECORD_BYTES);
}

static struct log_identity identity_of(const struct checkpoint_header *h)
{
	return (struct log_identity){.slot = h->slot, .epoch = h->epoch, .nonce = h->nonce, .sequence = h->sequence};
}

/* on shared devices: whoever stood still may have lost the slot, and all of this is another's by now */
static bool still_ours(const struct control *c)
{
	return !c->share || MUTANT(ATTACH_UNGUARDED) || c->share->still(c->share_context);
}

int checkpoint_write(const struct control *c, unsigned area, const struct checkpoint_header *h, struct record *facts)
{
	const struct log_identity who = identity_of(h);
	uint64_t words[RECORD_WORDS];
	uint8_t *at = area_at(c, h->slot, area);

	/* where it is mirrored, what lies there must be known before any of it is written again */
	if (!control_refresh(c, at, c->layout.geo.checkpoint_bytes) || !still_ours(c))
		return -EIO;
	checkpoint_withdraw(c, h->slot, area);
	for (uint32_t i = 0; i < h->facts; i++) {
		facts[i].position = i;
		record_encode(&facts[i], &who, c->seed, (uint8_t *)words);
		checked_store(at + (i + 1ULL) * RECORD_BYTES, words, RECORD_WORDS);
	}
	if (!still_ours(c))
		return -EIO;
	control_publish(c, at, (h->facts + 1ULL) * RECORD_BYTES);
	int err = control_published(c) ? c->media->ops->flush(c->media) : -EIO;
	if (!err && !still_ours(c))
		err = -EIO;
	if (err)
		return err;
	checkpoint_header_encode(h, area, c->seed, (uint8_t *)words);
	checked_store(at, words, RECORD_WORDS);
	control_publish(c, at, RECORD_BYTES);
	return control_published(c) ? c->media->ops->flush(c->media) : -EIO;
}

static uint64_t visit_facts(const struct control *c, unsigned area, const struct checkpoint_header *h,
			    void (*visit)(void *context, const struct record *r), void *context, uint64_t *mended)
{
	const struct log_identity who = identity_of(h);
	uint64_t words[RECORD_WORDS], damaged = 0;
	uint8_t *at = area_at(c, h->slot, area);
	struct record r;

	if (!control_refresh(c, at, (h->facts + 1ULL) * RECORD_BYTES))
		return h->facts;
	for (uint32_t i = 0; i < h->facts; i++) {
		enum check_result result = CHECK_BAD;
		if (checked_load(words, at + (i + 1ULL) * RECORD_BYTES, RECORD_WORDS) &&
		    record_position(words) <= checkpoint_records(c))
			result = record_decode((const uint8_t *)words, &who, i, c->seed, true, &r);
		damaged += result == CHECK_BAD;
		*mended += result == CHECK_MENDED;
		if (result != CHECK_BAD)
			visit(context, &r);
	}
	return damaged;
}

bool checkpoint_read(const struct control *c, uint32_t slot, void (*visit)(void *context, const struct record *r),
		     void *context, struct checkpoint_header *h, uint64_t *damaged, uint64_t *mended)
{
	struct checkpoint_header other;
	uint64_t lost = 0, healed = 0;
	unsigned area = 0;

	for (int i = 0; i < REREADS; i++) {
		if (!checkpoint_best(c, slot, h, &area))
			return false;
		healed = 0;
		lost = visit_facts(c, area, h, visit, context, &healed);
		if (header_at(c, slot, area, &other) && other.sequence == h->sequence)
			break; /* it stayed what it was */
	}
	if (lost && header_at(c, slot, !area, &other))
		(void)visit_facts(c, !area, &other, visit, context, &healed);
	*damaged += lost;
	*mended += healed;
	return true;
}
