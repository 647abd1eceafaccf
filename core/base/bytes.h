/* SPDX-License-Identifier: Apache-2.0 */
/* Little-endian wrapper types for structures on the media, and small arithmetic that everybody needs. */
#ifndef MEMKV_CORE_BYTES_H
#define MEMKV_CORE_BYTES_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct { uint16_t raw; } le16;
typedef struct { uint32_t raw; } le32;
typedef struct { uint64_t raw; } le64;

static inline uint16_t le16_get(le16 v) { return le16toh(v.raw); }
static inline uint32_t le32_get(le32 v) { return le32toh(v.raw); }
static inline uint64_t le64_get(le64 v) { return le64toh(v.raw); }
static inline le16 le16_of(uint64_t v) { return (le16){htole16((uint16_t)v)}; }
static inline le32 le32_of(uint64_t v) { return (le32){htole32((uint32_t)v)}; }
static inline le64 le64_of(uint64_t v) { return (le64){htole64(v)}; }

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)

static inline uint64_t round_up(uint64_t v, uint64_t unit) { return (v + unit - 1) / unit * unit; }
static inline uint64_t round_down(uint64_t v, uint64_t unit) { return v / unit * unit; }
static inline uint64_t div_up(uint64_t v, uint64_t unit) { return (v + unit - 1) / unit; }
static inline uint64_t min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline uint64_t max_u64(uint64_t a, uint64_t b) { return a > b ? a : b; }

#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

#endif
