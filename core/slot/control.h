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
};

enum { STATISTICS_DOORBELL = 0, STATISTICS_CLOCK = 64 };

static inline void *control_at(const struct control *c, uint64_t offset) { return c->base + offset; }

static inline void *control_owner_word(const struct control *c, uint64_t segment)
{
	return control_at(c, c->layout.offset[REGION_OWNER_WORDS] + segment * 8);
}

static inline void *control_age(const struct control *c, uint64_t segment)
{
	return control_at(c, c->layout.offset[REGION_AGES] + segment * 8);
}

static inline void *control_pulse(const struct control *c, uint64_t segment)
{
	return control_at(c, c->layout.offset[REGION_PULSES] + segment * 8);
}

static inline void *control_doorbell(const struct control *c)
{
	return control_at(c, c->layout.offset[REGION_STATISTICS] + STATISTICS_DOORBELL);
}

static inline void *control_clock(const struct control *c)
{
	return control_at(c, c->layout.offset[REGION_STATISTICS] + STATISTICS_CLOCK);
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

	return (_Atomic uint8_t *)control_at(c, c->layout.offset[REGION_HEAT] +
							segment * c->layout.geo.heat_units + unit);
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

static inline bool checked_withdrawn(const void *at)
{
	return word_load((const uint64_t *)at + CHECK_WORD) == htole64(CHECK_WRITING);
}

static inline void checked_store(void *at, const uint64_t *words, size_t count)
{
	uint64_t *to = at;

	checked_withdraw(at);
	for (size_t i = 0; i < count; i++)
		if (i != CHECK_WORD)
			word_publish(to + i, words[i]); /* each after the withdrawal */
	word_publish(to + CHECK_WORD, words[CHECK_WORD]);
}

/* checked_load() - false: its writer is at it, or died there */
static inline bool checked_load(uint64_t *words, const void *at, size_t count)
{
	const uint64_t *from = at;

	words[CHECK_WORD] = word_load(from + CHECK_WORD);
	for (size_t i = 0; i < count; i++)
		if (i != CHECK_WORD)
			words[i] = word_load(from + i);
	return words[CHECK_WORD] != htole64(CHECK_WRITING) && word_load(from + CHECK_WORD) == words[CHECK_WORD];
}

/* control_ring() - tell every follower that something about @segment has changed (after it has) */
static inline void control_ring(const struct control *c, uint64_t segment)
{
	word_add(control_pulse(c, segment), 1);
	word_add(control_doorbell(c), 1);
}

#endif
