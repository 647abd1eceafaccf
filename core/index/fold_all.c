/* SPDX-License-Identifier: Apache-2.0 */
/* See fold_all.h. */
#include "core/index/fold_all.h"
#include "core/base/simulate.h"
#include "core/slot/own.h"

#include <errno.h>
#include <stdlib.h>

/* the medium did not answer: at the next step once more, be nothing rung since, and be the pulse zero */
static void look_again(struct follower *f, uint64_t s)
{
	if (!MUTANT(UNREAD_SEEN))
		f->segments[s].pulse = word_load(control_pulse(f->control, s)) - 1;
	f->doorbell--;
	if (f->groups)
		f->groups[control_group_of(f->control, s)]--;
	follower_stirred(f, s);
}

enum { ATTACH_READ = 1 << 20, ATTACH_TABLES = 256 };
enum { ATTACH_AHEAD = 32 << 20 /* bytes of tables that are fetched ahead */, HEADERS_AHEAD = 256 };

/* mirrored media: the tables from @first on that are brought in by one read, with their owner words around it */
static uint64_t bring_tables(const struct control *c, uint64_t first, struct brought *brought)
{
	const struct extent *e = layout_extent(&c->layout, first);
	uint64_t room = max_u64(1, ATTACH_READ / c->layout.table_bytes);
	uint64_t most = min_u64(min_u64(room, ATTACH_TABLES), e->first_segment + e->segments - first), count = 1;

	while (count < most && (c->shared || !own_is_free(c, first + count)))
		count++;
	for (uint64_t i = 0; i < count; i++)
		brought[i].owner = word_load(control_owner_word(c, first + i));
	bool good = control_refresh(c, control_table(c, first), count * c->layout.table_bytes) &&
		    control_refresh(c, control_owner_word(c, first), count * 8);
	return good ? count : 0;
}

/* mirrored media: the whole pool for the first time */
static void fold_brought(struct follower *f)
{
	struct brought brought[ATTACH_TABLES];
	uint64_t segments = f->control->layout.segments;

	for (uint64_t s = 0; s < segments;) {
		if (follower_pass_over(f, s)) {
			s++;
			continue;
		}
		uint64_t count = bring_tables(f->control, s, brought);
		for (uint64_t i = 0; i < max_u64(count, 1); i++)
			if (!follower_fold(f, s + i, count ? &brought[i] : NULL))
				look_again(f, s + i);
		s += max_u64(count, 1);
	}
}

/*
 * Attach: first how much there is (one page a segment), then the tables themselves, each asked for some way ahead, so
 * that the medium is read in large pieces and the index is made large enough at once.
 */
struct attach {
	struct follower *f;
	uint32_t *counts;
	uint64_t asked; /* first segment that was not asked for yet */
	uint64_t asked_bytes, folded_bytes;
};

static uint64_t table_used_bytes(uint32_t count) { return PAGE + (uint64_t)count * ENTRY_BYTES; }

static void count_tables(struct attach *a)
{
	const struct control *c = a->f->control;
	uint64_t segments = c->layout.segments, total = 0, asked = 0;
	struct table_header header;

	for (uint64_t s = 0; s < segments; s++) {
		for (; asked < segments && asked < s + HEADERS_AHEAD; asked++)
			if (!own_is_free(c, asked))
				c->media->ops->ahead(c->media, layout_table(&c->layout, asked), PAGE);
		if (own_is_free(c, s))
			continue;
		/* what is damaged here is found again, and mended, when the segment is folded */
		if (table_header(c, s, &header) != CHECK_BAD && header.generation)
			a->counts[s] = table_count(c, s, header.generation, NULL);
		total += a->counts[s];
	}
	index_reserve(a->f->index, total);
}

static void fold_tables(struct attach *a)
{
	const struct control *c = a->f->control;

	for (uint64_t s = 0; s < c->layout.segments; s++) {
		for (; a->asked < c->layout.segments && a->asked_bytes < a->folded_bytes + ATTACH_AHEAD; a->asked++) {
			uint32_t count = a->counts[a->asked];
			if (count)
				c->media->ops->ahead(c->media, layout_table(&c->layout, a->asked), table_used_bytes(count));
			a->asked_bytes += count ? table_used_bytes(count) : 0;
		}
		if (!follower_pass_over(a->f, s) && !follower_fold(a->f, s, NULL))
			look_again(a->f, s);
		a->folded_bytes += a->counts[s] ? table_used_bytes(a->counts[s]) : 0;
	}
}

int fold_all(struct follower *f)
{
	struct attach attach = {.f = f, .counts = calloc(f->control->layout.segments, sizeof(*attach.counts))};

	if (!attach.counts)
		return -ENOMEM;
	if (f->control->media->caps.mappable) {
		count_tables(&attach);
		fold_tables(&attach);
	} else {
		fold_brought(f);
	}
	free(attach.counts);
	return 0;
}
