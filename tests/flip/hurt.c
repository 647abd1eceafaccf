/* SPDX-License-Identifier: Apache-2.0 */
/* See hurt.h. */
#include "tests/flip/hurt.h"

#include <string.h>
#include <unistd.h>

enum { SECTOR = 512, RUN_MAX = 64 };

static const char *const spot_names[SPOT_COUNT] = {
#define SPOT_TEXT(name, text) text,
	SPOTS(SPOT_TEXT)
#undef SPOT_TEXT
};

const char *spot_name(enum spot spot)
{
	return spot_names[spot];
}

const char *hurt_kind_name(enum hurt_kind kind)
{
	static const char *const names[HURT_KINDS] = {"bit", "byte", "run", "sector zero", "sector other", "page zero"};
	return names[kind];
}

static uint64_t next(uint64_t *state)
{
	*state += 0x9E3779B97F4A7C15ULL;
	return mix(*state);
}

static uint64_t aim(const struct base *base, uint64_t *state)
{
	const struct layout *l = &base->layout;
	uint64_t r = next(state), s = next(state), t = next(state);

	if (r % 2) {
		enum region region = (enum region)(s % REGIONS);
		return l->offset[region] + t % l->length[region];
	}
	for (;;) {
		enum spot spot = (enum spot)(s % SPOT_COUNT);
		uint32_t first = base->first_target[spot], count = base->first_target[spot + 1] - first;
		if (count) {
			const struct target *target = &base->targets[first + t % count];
			return target->offset + next(state) % target->length;
		}
		s = next(state);
	}
}

/* what the damage is counted under: where it was aimed at, or the first thing of use that it covers */
static enum spot spot_of(const struct base *base, const struct hurt *hurt, uint64_t aimed)
{
	enum spot spot = base_spot(base, aimed);

	for (uint32_t at = 0; at < hurt->length && (spot == SPOT_UNUSED || spot == SPOT_DEAD); at += 8)
		spot = base_spot(base, hurt->offset + at);
	return spot;
}

static enum hurt_kind choose_kind(uint64_t r)
{
	return r % 2 ? HURT_BIT : (enum hurt_kind)(HURT_BYTE + (r >> 1) % (HURT_KINDS - HURT_BYTE));
}

void hurt_choose(const struct base *base, uint64_t seed, struct hurt *hurt)
{
	uint64_t state = mix(seed ^ 0xF11Bull << 48);
	uint64_t at = aim(base, &state), other;

	*hurt = (struct hurt){.offset = at, .length = 1, .kind = choose_kind(next(&state))};
	if (hurt->kind == HURT_RUN)
		hurt->length = 2 + (uint32_t)(next(&state) % (RUN_MAX - 1));
	if (hurt->kind == HURT_SECTOR_ZERO || hurt->kind == HURT_SECTOR_OTHER)
		hurt->length = SECTOR;
	if (hurt->kind == HURT_PAGE_ZERO)
		hurt->length = PAGE;
	if (hurt->length >= SECTOR)
		hurt->offset = round_down(at, hurt->length);
	hurt->length = (uint32_t)min_u64(hurt->length, base->bytes - hurt->offset);
	hurt->spot = spot_of(base, hurt, at);
	memcpy(hurt->after, base->image + hurt->offset, hurt->length);
	if (hurt->kind == HURT_BIT)
		hurt->after[0] ^= hurt->bit = (uint8_t)(1u << (next(&state) % 8));
	if (hurt->kind == HURT_BYTE || hurt->kind == HURT_RUN)
		for (uint32_t i = 0; i < hurt->length; i++)
			hurt->after[i] = (uint8_t)next(&state);
	if (hurt->kind == HURT_SECTOR_ZERO || hurt->kind == HURT_PAGE_ZERO)
		memset(hurt->after, 0, hurt->length);
	if (hurt->kind == HURT_SECTOR_OTHER) {
		other = next(&state) % 2 ? round_down(aim(base, &state), SECTOR)
					 : next(&state) % (base->bytes / SECTOR) * SECTOR;
		memcpy(hurt->after, base->image + other, SECTOR);
	}
	hurt->idle = memcmp(hurt->after, base->image + hurt->offset, hurt->length) == 0;
}

void hurt_write(int fd, const struct hurt *hurt)
{
	uint8_t byte;

	if (hurt->kind == HURT_BIT) {
		if (pread(fd, &byte, 1, (off_t)hurt->offset) != 1)
			die("cannot read a pool");
		byte ^= hurt->bit;
		if (pwrite(fd, &byte, 1, (off_t)hurt->offset) != 1 || fdatasync(fd))
			die("cannot write the damage");
		return;
	}
	if (pwrite(fd, hurt->after, hurt->length, (off_t)hurt->offset) != (ssize_t)hurt->length || fdatasync(fd))
		die("cannot write the damage");
}

bool hurt_touches(const struct base *base, const struct hurt *hurt, uint64_t offset, uint64_t length)
{
	uint64_t from = max_u64(offset, hurt->offset), to = min_u64(offset + length, hurt->offset + hurt->length);

	return from < to && memcmp(base->image + from, hurt->after + (from - hurt->offset), to - from) != 0;
}
