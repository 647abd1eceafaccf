/* SPDX-License-Identifier: Apache-2.0 */
/* The control region as its layers see it: addresses of the shared words and cells in the mapping. */
#ifndef MEMKV_SLOT_CONTROL_H
#define MEMKV_SLOT_CONTROL_H

#include "core/base/words.h"
#include "core/format/check.h"
#include "core/format/layout.h"
#include "core/format/table_format.h"
#include "core/media/media.h"

struct control {
	struct media *media;
	uint8_t *base;
	struct layout layout;
	uint64_t seed;
	bool read_only;
	bool grouped; /* rings also say about which part of the segments: FORMAT.md, section 8 */
	bool shared; /* a device that many hosts write to: FORMAT.md, section 14 */
	/* shared: which inode our locks are on, in which boot of which machine */
	uint64_t node_device, node_inode;
	uint8_t machine[16], boot[16];
	uint64_t pass_us; /* no slot passes on twice in that time */
	const struct own_share *share; /* shared, and we write: how ownership changes (own.h) */
	void *share_context;
	_Atomic uint32_t avoided; /* bitmap of namespaces in which this process takes no segment: it is emptying them */
};

enum { STATISTICS_DOORBELL = 0, STATISTICS_CLOCK = 64, STATISTICS_BELL = 128, STATISTICS_KEPT = 192, STATISTICS_GROUPS = 1024 };

#ifndef MEMKV_GROUPS
#define MEMKV_GROUPS 256 /* simulated pools have fewer segments than that */
#endif

/*
 * On mirrored media (media.h), what was stored counts when it is published, and what others published is seen after a
 * refresh; on mapped ones these do nothing.  Whether publishing worked is asked once, before something is
 * acknowledged: control_published().  control_refresh() tells whether the range is right now.
 */
static inline void control_publish(const struct control *c, const void *at, size_t length)
{
	(void)c->media->ops->publish(c->media, (uint64_t)((const uint8_t *)at - c->base), length);
}

/* control_publish_later() - what no acknowledgement waits for: it goes with what lies beside it, or with the follower's thread */
static inline void control_publish_later(const struct control *c, const void *at, size_t length)
{
	(void)c->media->ops->publish_later(c->media, (uint64_t)((const uint8_t *)at - c->base), length);
}

static inline bool control_refresh(const struct control *c, const void *at, size_t length)
{
	return c->media->ops->refresh(c->media, (uint64_t)((const uint8_t *)at - c->base), length) == 0;
}

/* the range is at hand for writing; shared media: this process alone writes it from now on, until it lets go of it */
static inline bool control_hold(const struct control *c, const void *at, size_t length)
{
	if (!c->shared)
		return control_refresh(c, at, length); /* a mirror cannot publish what it has not read */
	return c->media->ops->hold(c->media, (uint64_t)((const uint8_t *)at - c->base), length) == 0;
}

static inline void control_let_go(const struct control *c, const void *at, size_t length)
{
	if (c->shared)
		c->media->ops->let_go(c->media, (uint64_t)((const uint8_t *)at - c->base), length);
}

static inline bool control_published(const struct control *c) { return !atomic_load(&c->media->unpublished); }

static inline bool control_refresh_regions(const struct control *c, enum region first, enum region last)
{
	uint64_t from = c->layout.offset[first], to = c->layout.offset[last] + c->layout.length[last];

	return c->media->ops->refresh(c->media, from, to - from) == 0;
}

/*
 * Several namespaces (media_join.h).  control_there() - can the one that a segment lies on be reached?  What is seen of one that
 * cannot says nothing.  control_takes() - may a segment there be taken to write to?  control_whole() - are all there?
 */
static inline bool control_there(const struct control *c, uint64_t segment)
{
	return c->layout.extent_count == 1 || media_there(c->media, layout_namespace(&c->layout, segment));
}

static inline bool control_takes(const struct control *c, uint64_t segment)
{
	if (c->layout.extent_count == 1)
		return true;
	unsigned n = layout_namespace(&c->layout, segment);
	return media_takes(c->media, n) && !(atomic_load_explicit(&c->avoided, memory_order_relaxed) >> n & 1);
}

static inline bool control_whole(const struct control *c)
{
	return c->layout.extent_count == 1 || media_whole(c->media);
}

/* control_refresh_words() - owner words, ages and pulses of all namespaces that can be reached, of @which of them */
enum control_words { CONTROL_OWNER_WORDS = 1, CONTROL_AGES = 2, CONTROL_PULSES = 4 };
static inline bool control_refresh_words(const struct control *c, unsigned which)
{
	bool good = true;

	for (unsigned n = 0; n < c->layout.extent_count; n++) {
		const struct extent *e = &c->layout.extents[n];
		struct media *m = c->media;
		if (n && !media_there(m, n))
			continue;
		if (which & CONTROL_AGES)
			good &= m->ops->refresh(m, e->ages, e->segments * 8) == 0;
		if (which & CONTROL_PULSES) /* before the words: fold_all.c */
			good &= m->ops->refresh(m, e->pulses, e->segments * 8) == 0;
		if (which & CONTROL_OWNER_WORDS)
			good &= m->ops->refresh(m, e->owner_words, e->segments * 8) == 0;
	}
	return good;
}

static inline void *control_at(const struct control *c, uint64_t offset) { return c->base + offset; }

static inline void *control_owner_word(const struct control *c, uint64_t segment)
{
	return control_at(c, layout_owner_word(&c->layout, segment));
}

static inline void *control_age(const struct control *c, uint64_t segment)
{
	return control_at(c, layout_age(&c->layout, segment));
}

static inline void *control_pulse(const struct control *c, uint64_t segment)
{
	return control_at(c, layout_pulse(&c->layout, segment));
}

static inline void *control_doorbell(const struct control *c)
{
	return control_at(c, c->layout.offset[REGION_STATISTICS] + STATISTICS_DOORBELL);
}

/* large pools: the segments in MEMKV_GROUPS parts of this many, and the doorbell of each part */
static inline uint64_t control_group_segments(const struct control *c)
{
	return div_up(c->layout.geo.segments, MEMKV_GROUPS);
}

/* control_group_of() - a segment's part; those of further namespaces belong to the last one, which is there whatever is added */
static inline uint64_t control_group_of(const struct control *c, uint64_t segment)
{
	return min_u64(segment, c->layout.geo.segments - 1) / control_group_segments(c);
}

static inline void *control_group(const struct control *c, uint64_t group)
{
	return control_at(c, c->layout.offset[REGION_STATISTICS] + STATISTICS_GROUPS + group * 8);
}

static inline void *control_clock(const struct control *c)
{
	return control_at(c, c->layout.offset[REGION_STATISTICS] + STATISTICS_CLOCK);
}

/* the bell of the control logs: raised by one after every record */
static inline void *control_bell(const struct control *c)
{
	return control_at(c, c->layout.offset[REGION_STATISTICS] + STATISTICS_BELL);
}

/* until when keeping is in use; advisory */
static inline void *control_kept_until(const struct control *c)
{
	return control_at(c, c->layout.offset[REGION_STATISTICS] + STATISTICS_KEPT);
}

static inline uint8_t *control_table(const struct control *c, uint64_t segment)
{
	return control_at(c, layout_table(&c->layout, segment));
}

static inline uint8_t *control_entry(const struct control *c, uint64_t segment, uint32_t index)
{
	return control_table(c, segment) + PAGE + (uint64_t)index * ENTRY_BYTES;
}

static inline _Atomic uint8_t *control_heat(const struct control *c, uint64_t segment, uint32_t page_in_segment)
{
	uint64_t unit = page_in_segment / c->layout.heat_unit_pages;

	return (_Atomic uint8_t *)control_at(c, layout_heat(&c->layout, segment) + unit);
}

/*
 * Structures with a check word: withdrawn -> all other words -> the check word that makes them count.  A writer that
 * dies in between leaves them withdrawn.  Readers take the check word first and last.
 */
enum { CHECK_WORD = 1 };

static inline void checked_withdraw(void *at)
{
	word_publish((uint64_t *)at + CHECK_WORD, htole64(CHECK_WRITING));
}

/* checked_withdraw_seen() - likewise, if its check is still @check, as it was read */
static inline bool checked_withdraw_seen(void *at, uint64_t check)
{
	return word_swap((uint64_t *)at + CHECK_WORD, check, htole64(CHECK_WRITING));
}

static inline bool checked_withdrawn(const void *at)
{
	return word_load((const uint64_t *)at + CHECK_WORD) == htole64(CHECK_WRITING);
}

/* checked_mend() - what lies there does not verify: so it does until it is whole, and at no moment it is withdrawn */
static inline void checked_mend(void *at, const uint64_t *words, size_t count)
{
	uint64_t *to = at;

	for (size_t i = 0; i < count; i++)
		if (i != CHECK_WORD)
			word_publish(to + i, words[i]); /* each after the withdrawal, if there is one */
	word_publish(to + CHECK_WORD, words[CHECK_WORD]);
}

static inline void checked_store(void *at, const uint64_t *words, size_t count)
{
	checked_withdraw(at);
	checked_mend(at, words, count);
}

/* checked_load() - false: its writer is at it, or died there */
static inline bool checked_load(uint64_t *words, const void *at, size_t count)
{
	const uint64_t *from = at;

	words[CHECK_WORD] = word_load(from + CHECK_WORD);
	words_load(words, from, CHECK_WORD);
	words_load(words + CHECK_WORD + 1, from + CHECK_WORD + 1, count - CHECK_WORD - 1);
	return words[CHECK_WORD] != htole64(CHECK_WRITING) && word_load(from + CHECK_WORD) == words[CHECK_WORD];
}

/* in this order: who hears the doorbell looks at the group, and there at the pulses; group and doorbell lie in one page */
static inline void control_raise_bells(const struct control *c, uint64_t segment)
{
	if (c->grouped)
		word_add(control_group(c, control_group_of(c, segment)), 1);
	word_add(control_doorbell(c), 1);
}

/* control_ring() - tell every follower that something about @segment has changed (after it has) */
static inline void control_ring(const struct control *c, uint64_t segment)
{
	word_add(control_pulse(c, segment), 1);
	control_publish(c, control_pulse(c, segment), 8);
	control_raise_bells(c, segment);
	control_publish(c, control_doorbell(c), 8);
}

/*
 * control_ring_entry() - likewise, after a new entry in a segment that is known to be OPEN: on mirrored media, where
 * ringing costs two writes, followers look into the tables of such segments by themselves
 */
static inline void control_ring_entry(const struct control *c, uint64_t segment)
{
	if (c->media->caps.mappable)
		control_ring(c, segment);
}

/*
 * control_ring_later() - likewise, when no acknowledgement depends on it: what is put off goes together, and a follower that
 * meets the new doorbell with the old pulse has not been told
 */
static inline void control_ring_later(const struct control *c, uint64_t segment)
{
	word_add(control_pulse(c, segment), 1);
	control_raise_bells(c, segment);
	control_publish_later(c, control_pulse(c, segment), 8);
	control_publish_later(c, control_doorbell(c), 8);
}

/* control_renew_age() - the segment is the youngest now; age and clock mend each other should one of them get lost */
static inline void control_renew_age(const struct control *c, uint64_t segment)
{
	uint64_t now = word_add(control_clock(c), 1) + 1;

	word_publish(control_age(c, segment), now);
	control_publish_later(c, control_clock(c), 8);
	control_publish_later(c, control_age(c, segment), 8);
}

#endif
