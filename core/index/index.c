/* SPDX-License-Identifier: Apache-2.0 */
/* See index.h. */
#include "core/index/index.h"
#include "core/base/environ.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#define XXH_INLINE_ALL /* a hash of 32 bytes is a dozen instructions: inlined */
#include <xxhash.h>

enum { TURN_BITS = 20, TAG_BITS = 44, ENTRY_SIZE = 16, SHARD_TARGET = 8192, CAPACITY_STEP = 256 };
/* each takes a page from its first entry on: 64 MiB at most, however few blocks there are in a pool that could hold 10^9 */
enum { SHARD_BITS_MAX = 14 };
#define TURN_MASK ((1ULL << TURN_BITS) - 1)
#define WORD_EMPTY 0ULL
#define WORD_DELETED 1ULL

struct entry_pair {
	_Atomic uint64_t word0, word1;
};

/* where a shard's entries are, in one word so that readers see all of it: half 1 bit, capacity 31, rebuild count 32 */
struct shard {
	_Atomic uint64_t view;
	uint32_t used; /* slots that are not empty, deleted and stale entries included */
};

struct index {
	uint64_t seed;
	uint32_t shard_bits;
	uint32_t capacity_max; /* entries in a half */
	uint32_t segment_pages, segments;
	uint32_t span_count;
	struct span {
		uint64_t first_page, first_segment;
	} spans[INDEX_SPANS_MAX];
	_Atomic uint32_t *turns;
	struct shard *shards;
	uint8_t *arena; /* shards x 2 halves x capacity_max entries of reserved address space */
	size_t arena_bytes;
	_Atomic uint64_t refused;
};

static uint64_t view_make(uint64_t half, uint64_t capacity, uint64_t rebuilds)
{
	return half << 63 | capacity << 32 | (rebuilds & UINT32_MAX);
}
static uint64_t view_half(uint64_t view) { return view >> 63; }
static uint32_t view_capacity(uint64_t view) { return (uint32_t)(view >> 32) & 0x7FFFFFFF; }

struct key_hash index_hash(const struct index *index, const uint8_t key[32])
{
	XXH128_hash_t hash = XXH3_128bits_withSeed(key, 32, index->seed);

	return (struct key_hash){.low = hash.low64, .high = hash.high64};
}

static uint32_t shard_of(const struct index *index, struct key_hash hash)
{
	return index->shard_bits ? (uint32_t)(hash.low >> (64 - index->shard_bits)) : 0;
}

static uint64_t tag_of(struct key_hash hash)
{
	return hash.high >> (64 - TAG_BITS);
}

/* from the tag alone, so that a rebuild needs no key */
static uint32_t home_of(uint64_t tag, uint32_t capacity)
{
	return (uint32_t)(((tag >> (TAG_BITS - 32)) * capacity) >> 32);
}

static struct entry_pair *half_of(const struct index *index, uint32_t shard, uint64_t half)
{
	size_t bytes = (size_t)index->capacity_max * ENTRY_SIZE;

	return (struct entry_pair *)(void *)(index->arena + ((size_t)shard * 2 + half) * bytes);
}

static struct entry_pair *entries_of(const struct index *index, uint32_t shard, uint64_t view)
{
	return half_of(index, shard, view_half(view));
}

static uint64_t segment_of(const struct index *index, uint64_t word1)
{
	const struct span *span = &index->spans[index->span_count - 1];
	uint64_t page = word1 >> 24;

	while (span > index->spans && page < span->first_page)
		span--;
	return span->first_segment + (page - span->first_page) / index->segment_pages;
}

static uint64_t turn_of(const struct index *index, uint64_t segment)
{
	return atomic_load_explicit(&index->turns[segment], memory_order_acquire) & TURN_MASK;
}

static bool is_entry(uint64_t word1) { return word1 > WORD_DELETED; }

static bool is_stale(const struct index *index, uint64_t word0, uint64_t word1)
{
	return (word0 & TURN_MASK) != turn_of(index, segment_of(index, word1));
}

static uint64_t word1_of(struct place place)
{
	return place.page << 24 | (uint64_t)(place.pages - 1) << 8 | place.header_pages;
}

static struct place place_of(uint64_t word1)
{
	return (struct place){
		.page = word1 >> 24,
		.pages = (uint32_t)(word1 >> 8 & UINT16_MAX) + 1,
		.header_pages = (uint32_t)(word1 & UINT8_MAX),
	};
}

int index_open(uint64_t seed, uint64_t entries_max, uint32_t segments, uint64_t first_page, uint32_t segment_pages,
	       struct index **out)
{
	struct index *index = calloc(1, sizeof(*index));

	if (!index)
		return -ENOMEM;
	while (index->shard_bits < SHARD_BITS_MAX && entries_max >> index->shard_bits > SHARD_TARGET)
		index->shard_bits++;
	uint64_t shards = 1ULL << index->shard_bits;
	index->seed = seed;
	index->segments = segments;
	index->spans[0].first_page = first_page;
	index->span_count = 1;
	index->segment_pages = segment_pages;
	/* a half is whole pages of the kernel's, which are given back without touching the other */
	uint64_t step = max_u64(CAPACITY_STEP, page_bytes() / ENTRY_SIZE);
	index->capacity_max = (uint32_t)round_up((entries_max / shards) * 2 + 1024, step);
	index->arena_bytes = shards * 2 * index->capacity_max * ENTRY_SIZE;
	index->turns = calloc(segments, sizeof(*index->turns));
	index->shards = calloc(shards, sizeof(*index->shards));
	index->arena = mmap(NULL, index->arena_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			    -1, 0);
	if (index->arena == MAP_FAILED)
		index->arena = NULL;
	if (!index->arena || !index->turns || !index->shards) {
		index_close(index);
		return -ENOMEM;
	}
	madvise(index->arena, index->arena_bytes, MADV_NOHUGEPAGE); /* halves come and go in small pieces */
	for (uint64_t s = 0; s < shards; s++)
		atomic_init(&index->shards[s].view, view_make(0, CAPACITY_STEP, 0));
	*out = index;
	return 0;
}

void index_add_span(struct index *index, uint64_t first_page, uint64_t first_segment)
{
	if (index->span_count < INDEX_SPANS_MAX)
		index->spans[index->span_count++] = (struct span){first_page, first_segment};
}

void index_close(struct index *index)
{
	if (!index)
		return;
	if (index->arena)
		munmap(index->arena, index->arena_bytes);
	free(index->turns);
	free(index->shards);
	free(index);
}

/* ---- readers ---- */

/* a pair as it stood at one moment; false: the writer is at it */
static bool read_pair(const struct entry_pair *pair, uint64_t *word0, uint64_t *word1)
{
	*word0 = atomic_load_explicit(&pair->word0, memory_order_acquire);
	*word1 = atomic_load_explicit(&pair->word1, memory_order_acquire);
	return atomic_load_explicit(&pair->word0, memory_order_relaxed) == *word0;
}

static bool probe(const struct index *index, const struct entry_pair *entries, uint32_t capacity, uint64_t tag,
		  unsigned skip, struct place *place)
{
	uint32_t at = home_of(tag, capacity);

	for (uint32_t n = 0; n < capacity; n++, at = at + 1 == capacity ? 0 : at + 1) {
		uint64_t word0, word1;
		while (!read_pair(&entries[at], &word0, &word1))
			;
		if (word1 == WORD_EMPTY)
			return false;
		if (word0 >> TURN_BITS != tag || !is_entry(word1) || is_stale(index, word0, word1))
			continue;
		if (skip-- > 0)
			continue;
		*place = place_of(word1);
		place->turn = (uint32_t)(word0 & TURN_MASK);
		return true;
	}
	return false;
}

bool index_find(const struct index *index, struct key_hash hash, unsigned skip, struct place *place)
{
	uint32_t s = shard_of(index, hash);
	const struct shard *shard = &index->shards[s];
	uint64_t view = atomic_load_explicit(&shard->view, memory_order_acquire);

	for (;;) {
		bool found = probe(index, entries_of(index, s, view), view_capacity(view), tag_of(hash), skip, place);
		uint64_t now = atomic_load_explicit(&shard->view, memory_order_acquire);
		if (now == view)
			return found;
		view = now; /* rebuilt meanwhile: what we read may have been wiped */
	}
}

/* ---- writer ---- */

static void store_pair(struct entry_pair *pair, uint64_t word0, uint64_t word1)
{
	atomic_store_explicit(&pair->word0, 0, memory_order_release); /* after what follower.losses tells */
	atomic_store_explicit(&pair->word1, word1, memory_order_release); /* after word 0 was cleared */
	atomic_store_explicit(&pair->word0, word0, memory_order_release);
}

static uint64_t word1_at(const struct entry_pair *pair)
{
	return atomic_load_explicit(&pair->word1, memory_order_relaxed);
}

static uint64_t word0_at(const struct entry_pair *pair)
{
	return atomic_load_explicit(&pair->word0, memory_order_relaxed);
}

/* into the first slot that is not a living entry; returns whether the slot was never used before */
static bool place_entry(const struct index *index, struct entry_pair *entries, uint32_t capacity, uint64_t word0,
			uint64_t word1)
{
	uint32_t at = home_of(word0 >> TURN_BITS, capacity);

	for (;; at = at + 1 == capacity ? 0 : at + 1) {
		uint64_t there = word1_at(&entries[at]);
		if (is_entry(there) && !is_stale(index, word0_at(&entries[at]), there))
			continue;
		store_pair(&entries[at], word0, word1);
		return there == WORD_EMPTY;
	}
}

static uint32_t count_living(const struct index *index, const struct entry_pair *entries, uint32_t capacity)
{
	uint32_t living = 0;

	for (uint32_t i = 0; i < capacity; i++) {
		uint64_t word1 = word1_at(&entries[i]);
		living += is_entry(word1) && !is_stale(index, word0_at(&entries[i]), word1);
	}
	return living;
}

/* a quarter more when over three quarters would be in use, else the same size without the dead */
static uint32_t next_capacity(const struct index *index, uint32_t capacity, uint32_t living)
{
	if (living <= capacity / 4 * 3)
		return capacity;
	return (uint32_t)min_u64(index->capacity_max, round_up(capacity + capacity / 4, CAPACITY_STEP));
}

static void rebuild(struct index *index, uint32_t s)
{
	struct shard *shard = &index->shards[s];
	uint64_t view = atomic_load_explicit(&shard->view, memory_order_relaxed);
	struct entry_pair *old = entries_of(index, s, view);
	uint32_t capacity = view_capacity(view), living = count_living(index, old, capacity);
	uint32_t next = next_capacity(index, capacity, living);
	uint64_t next_view = view_make(!view_half(view), next, (uint32_t)view + 1);
	struct entry_pair *fresh = entries_of(index, s, next_view);

	for (uint32_t i = 0; i < capacity; i++) {
		uint64_t word0 = word0_at(&old[i]), word1 = word1_at(&old[i]);
		if (is_entry(word1) && !is_stale(index, word0, word1))
			place_entry(index, fresh, next, word0, word1);
	}
	shard->used = living;
	atomic_store_explicit(&shard->view, next_view, memory_order_release);
	/* readers that still look at the old half see zeros or leftovers, then see that the view moved */
	madvise(old, (size_t)capacity * ENTRY_SIZE, MADV_DONTNEED);
}

static bool find_exact(const struct index *index, uint32_t s, uint64_t word0, uint64_t word1, uint32_t *at)
{
	uint64_t view = atomic_load_explicit(&index->shards[s].view, memory_order_relaxed);
	struct entry_pair *entries = entries_of(index, s, view);
	uint32_t capacity = view_capacity(view);

	*at = home_of(word0 >> TURN_BITS, capacity);
	for (uint32_t n = 0; n < capacity; n++, *at = *at + 1 == capacity ? 0 : *at + 1) {
		uint64_t there = word1_at(&entries[*at]);
		if (there == WORD_EMPTY)
			return false;
		if (there == word1 && word0_at(&entries[*at]) == word0)
			return true;
	}
	return false;
}

int index_insert(struct index *index, struct key_hash hash, struct place place)
{
	uint32_t s = shard_of(index, hash), at;
	struct shard *shard = &index->shards[s];
	uint64_t word1 = word1_of(place);
	uint64_t word0 = tag_of(hash) << TURN_BITS | turn_of(index, segment_of(index, word1));

	if (find_exact(index, s, word0, word1, &at))
		return 0;
	uint64_t view = atomic_load_explicit(&shard->view, memory_order_relaxed);
	if (shard->used + 1 > view_capacity(view) / 8 * 7) {
		rebuild(index, s);
		view = atomic_load_explicit(&shard->view, memory_order_relaxed);
		if (shard->used + 1 > view_capacity(view) / 8 * 7) {
			atomic_fetch_add(&index->refused, 1);
			return -ENOSPC;
		}
	}
	shard->used += place_entry(index, entries_of(index, s, view), view_capacity(view), word0, word1);
	return 0;
}

void index_reserve(struct index *index, uint64_t entries)
{
	uint64_t mean = entries >> index->shard_bits;
	uint64_t capacity = min_u64(index->capacity_max, round_up(mean + mean / 4 + 1, CAPACITY_STEP));

	for (uint32_t s = 0; s < 1u << index->shard_bits; s++)
		if (index->shards[s].used == 0 && capacity > CAPACITY_STEP)
			atomic_store_explicit(&index->shards[s].view, view_make(0, capacity, 0), memory_order_release);
}

void index_prefetch(const struct index *index, struct key_hash hash)
{
	uint32_t s = shard_of(index, hash);
	uint64_t view = atomic_load_explicit(&index->shards[s].view, memory_order_relaxed);

	__builtin_prefetch(&entries_of(index, s, view)[home_of(tag_of(hash), view_capacity(view))]);
}

void index_forget(struct index *index, struct key_hash hash, struct place found)
{
	uint32_t s = shard_of(index, hash), at;

	if (!find_exact(index, s, tag_of(hash) << TURN_BITS | found.turn, word1_of(found), &at))
		return;
	uint64_t view = atomic_load_explicit(&index->shards[s].view, memory_order_relaxed);
	store_pair(&entries_of(index, s, view)[at], 0, WORD_DELETED);
}

void index_drop(struct index *index, struct key_hash hash, struct place place)
{
	place.turn = (uint32_t)turn_of(index, segment_of(index, word1_of(place)));
	index_forget(index, hash, place);
}

void index_turn(struct index *index, uint64_t segment)
{
	atomic_fetch_add_explicit(&index->turns[segment], 1, memory_order_acq_rel);
}

void index_figures(const struct index *index, struct index_figures *figures)
{
	*figures = (struct index_figures){.refused = atomic_load(&index->refused)};
	for (uint32_t s = 0; s < 1u << index->shard_bits; s++) {
		uint64_t view = atomic_load_explicit(&index->shards[s].view, memory_order_relaxed);
		figures->used += index->shards[s].used;
		figures->capacity += view_capacity(view);
	}
	figures->memory_bytes = figures->capacity * ENTRY_SIZE;
}
