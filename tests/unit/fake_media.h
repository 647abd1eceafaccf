/* SPDX-License-Identifier: Apache-2.0 */
/* A medium that is only memory: the control region of a small pool, for what stands on the media seam alone. */
#ifndef MEMKV_TESTS_FAKE_MEDIA_H
#define MEMKV_TESTS_FAKE_MEDIA_H

#include "core/format/owner_word.h"
#include "core/slot/slot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FAKE_SEED = 0x5EED };

struct fake_media {
	struct media base;
	bool locked[SLOTS_MAX];
	struct control control;
};

static inline struct fake_media *fake_of(struct media *media) { return CONTAINER_OF(media, struct fake_media, base); }

static inline uint64_t fake_slot(struct media *media, uint64_t offset)
{
	return (offset - fake_of(media)->control.layout.offset[REGION_SLOT_CELLS]) / PAGE;
}

static inline int fake_flush(struct media *media)
{
	(void)media;
	return 0;
}

static inline int fake_lock(struct media *media, uint64_t offset)
{
	bool *locked = &fake_of(media)->locked[fake_slot(media, offset)];

	if (*locked)
		return -EAGAIN;
	*locked = true;
	return 0;
}

static inline int fake_unlock(struct media *media, uint64_t offset)
{
	fake_of(media)->locked[fake_slot(media, offset)] = false;
	return 0;
}

static inline int fake_lock_held(struct media *media, uint64_t offset)
{
	return fake_of(media)->locked[fake_slot(media, offset)];
}

static inline int fake_range(struct media *media, uint64_t offset, size_t length)
{
	(void)media;
	(void)offset;
	(void)length;
	return 0;
}

/* a pool of @slots slots, zero but for its owner words; rings and checkpoints are as small as they can be */
static inline void fake_open(struct fake_media *f, uint32_t slots)
{
	static const struct media_ops ops = {
		.name = "fake",
		.publish = fake_range,
		.publish_later = fake_range,
		.refresh = fake_range,
		.flush = fake_flush,
		.lock = fake_lock,
		.unlock = fake_unlock,
		.lock_held = fake_lock_held,
	};
	struct geometry_wish wish = {.bytes = MIB(16), .max_block = KIB(64), .slots = slots};
	struct geometry geo;

	*f = (struct fake_media){.base = {.ops = &ops, .path = (char *)"fake", .caps = {.mappable = true, .coherent = true}}};
	if (geometry_choose(&wish, &geo))
		abort();
	geo.ring_bytes = geo.checkpoint_bytes = PAGE; /* 32 records */
	geo.bytes += MIB(4);
	f->control = (struct control){.media = &f->base, .seed = FAKE_SEED};
	if (layout_compute(&geo, &f->control.layout))
		abort();
	f->control.base = aligned_alloc(PAGE, f->control.layout.control_bytes);
	if (!f->control.base)
		abort();
	memset(f->control.base, 0, f->control.layout.control_bytes);
}

static inline void fake_close(struct fake_media *f) { free(f->control.base); }

#endif
