/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See cache_lines.h.  libpmem2 has functions of this kind, but they answer another question, whether a store survives
 * power loss: where the platform keeps its caches alive for that (eADR) they write nothing back, and another host would
 * wait for ever.  Nor does libpmem2 know of invalidation.
 *
 * x86-64 (Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, at each instruction, and volume 1,
 * "Caching of Temporal vs. Non-Temporal Data"; AMD64 Architecture Programmer's Manual, volume 3):
 *   - CLFLUSHOPT and CLFLUSH invalidate a line in all caches of the coherence domain, and write it back if it is
 *     modified.  CLFLUSHOPT is ordered with fences and with stores to the same line, and not with other loads: hence MFENCE
 *     behind it.  Whatever is prefetched from then on is at least as new as that.
 *   - CLWB writes a modified line back and may keep it.  It is ordered by store fences, MFENCE among them.
 *   - MOVNTI and MOVNTDQ go through write-combining buffers, and evict the line if some cache has it.  These buffers empty
 *     by themselves and at every fence, interrupt and change of process; a word in them arrives whole.
 *   CLFLUSH is part of SSE2; the others are asked of CPUID.
 * ARM64 (Arm Architecture Reference Manual for A-profile, DDI 0487, "A64 System instructions for cache maintenance"): DC CIVAC cleans and invalidates to the point of coherency, DC CVAC cleans to
 * it; DSB waits for them.  Linux permits them to programs (SCTLR_EL1.UCI), and to read the length of a line (CTR_EL0).  Stores are
 * ordinary there: STNP is a hint only.  Whether the point of coherency lies beyond all that a host has between its cores and
 * shared memory is its maker's affair.
 */
#include "core/media/cache_lines.h"

#include <stdatomic.h>
#include <string.h>

enum { WORDS_AT_MOST = 4096 }; /* control structures, word by word; of payload only the digests tell */

#if defined(__x86_64__)

#include <cpuid.h>
#include <emmintrin.h>

enum { LEAF_FEATURES = 7, BIT_CLFLUSHOPT = 1 << 23, BIT_CLWB = 1 << 24, KNOWN = 1 };

static unsigned features(void)
{
	static atomic_uint asked;
	unsigned found = atomic_load_explicit(&asked, memory_order_relaxed), a, b, c, d;

	if (!found) {
		found = KNOWN;
		if (__get_cpuid_count(LEAF_FEATURES, 0, &a, &b, &c, &d))
			found |= b & (BIT_CLFLUSHOPT | BIT_CLWB);
		atomic_store_explicit(&asked, found, memory_order_relaxed);
	}
	return found;
}

static void store_word(uint64_t *to, uint64_t word)
{
	_mm_stream_si64((long long *)(void *)to, (long long)word);
}

/* @to lies on a line, @length is whole lines */
static void store_lines(uint8_t *to, const uint8_t *from, size_t length)
{
	for (size_t at = 0; at < length; at += sizeof(__m128i))
		_mm_stream_si128((__m128i *)(void *)(to + at), _mm_loadu_si128((const __m128i *)(const void *)(from + at)));
}

static size_t line_bytes(void) { return CACHE_LINE; }

static void drop_line(const uint8_t *line)
{
	if (features() & BIT_CLFLUSHOPT)
		__asm__ volatile("clflushopt %0" : : "m"(*line) : "memory");
	else
		_mm_clflush(line);
}

static void write_back_line(const uint8_t *line)
{
	if (features() & BIT_CLWB)
		__asm__ volatile("clwb %0" : : "m"(*line) : "memory");
	else
		drop_line(line);
}

void cache_lines_fence(void) { _mm_mfence(); }

bool cache_lines_usable(void) { return true; }

const char *cache_lines_instructions(void)
{
	unsigned found = features();

	return found & BIT_CLWB	      ? "CLFLUSHOPT, CLWB"
	       : found & BIT_CLFLUSHOPT ? "CLFLUSHOPT"
					: "CLFLUSH";
}

#elif defined(__aarch64__)

static void store_word(uint64_t *to, uint64_t word)
{
	atomic_store_explicit((_Atomic uint64_t *)(void *)to, word, memory_order_relaxed);
}

static void store_lines(uint8_t *to, const uint8_t *from, size_t length)
{
	uint64_t word;

	if (length > WORDS_AT_MOST) {
		memcpy(to, from, length);
		return;
	}
	for (size_t at = 0; at < length; at += sizeof(word)) {
		memcpy(&word, from + at, sizeof(word));
		store_word((uint64_t *)(void *)(to + at), word);
	}
}

static size_t line_bytes(void)
{
	uint64_t type;

	__asm__("mrs %0, ctr_el0" : "=r"(type));
	return (size_t)4 << (type >> 16 & 0xF);
}

static void drop_line(const uint8_t *line) { __asm__ volatile("dc civac, %0" : : "r"(line) : "memory"); }

static void write_back_line(const uint8_t *line) { __asm__ volatile("dc cvac, %0" : : "r"(line) : "memory"); }

void cache_lines_fence(void) { __asm__ volatile("dsb sy" : : : "memory"); }

bool cache_lines_usable(void) { return true; }

const char *cache_lines_instructions(void) { return "DC CIVAC, DC CVAC"; }

#else

static void store_word(uint64_t *to, uint64_t word) { *to = word; }
static void store_lines(uint8_t *to, const uint8_t *from, size_t length) { memcpy(to, from, length); }
static size_t line_bytes(void) { return CACHE_LINE; }
static void drop_line(const uint8_t *line) { (void)line; }
static void write_back_line(const uint8_t *line) { (void)line; }
void cache_lines_fence(void) { atomic_thread_fence(memory_order_seq_cst); }
bool cache_lines_usable(void) { return false; }
const char *cache_lines_instructions(void) { return "none that this build knows"; }

#endif

void cache_lines_load(void *to, const void *from, size_t length)
{
	if (length > WORDS_AT_MOST || ((uintptr_t)to | (uintptr_t)from | length) % sizeof(uint64_t)) {
		memcpy(to, from, length);
		return;
	}
	for (size_t i = 0; i < length / sizeof(uint64_t); i++)
		((uint64_t *)to)[i] = atomic_load_explicit((const _Atomic uint64_t *)from + i, memory_order_acquire);
}

/* less than a word, or from one word into the next: the bytes around it are ours as well */
static void store_part(uint8_t *to, const uint8_t *from, size_t length)
{
	uint8_t *first = (uint8_t *)((uintptr_t)to & ~(uintptr_t)(sizeof(uint64_t) - 1));
	uint64_t word;

	memcpy(&word, first, sizeof(word));
	memcpy((uint8_t *)&word + (to - first), from, length);
	store_word((uint64_t *)(void *)first, word);
}

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

void cache_lines_store(void *to, const void *from, size_t length)
{
	enum { WORD = sizeof(uint64_t) };
	uint8_t *at = to, *end = at + length;
	const uint8_t *source = from;

	while (at < end) {
		size_t into = (uintptr_t)at % WORD, rest = (size_t)(end - at), step;
		if (into || rest < WORD) {
			step = smaller(WORD - into, rest);
			store_part(at, source, step);
		} else if ((uintptr_t)at % CACHE_LINE || rest < CACHE_LINE) {
			uint64_t word;
			step = WORD;
			memcpy(&word, source, WORD);
			store_word((uint64_t *)(void *)at, word);
		} else {
			step = rest / CACHE_LINE * CACHE_LINE;
			store_lines(at, source, step);
		}
		at += step;
		source += step;
	}
}

void cache_lines_write_back(const void *at, size_t length)
{
	size_t step = line_bytes();
	const uint8_t *end = (const uint8_t *)at + length;

	for (const uint8_t *line = (const uint8_t *)((uintptr_t)at & ~(uintptr_t)(step - 1)); line < end; line += step)
		write_back_line(line);
}

void cache_lines_drop(const void *at, size_t length)
{
	size_t step = line_bytes();
	const uint8_t *end = (const uint8_t *)at + length;

	for (const uint8_t *line = (const uint8_t *)((uintptr_t)at & ~(uintptr_t)(step - 1)); line < end; line += step)
		drop_line(line);
}
