/* SPDX-License-Identifier: Apache-2.0 */
/* See owner_word.h. */
#include "core/format/owner_word.h"

#define MASK(bits) ((1ULL << (bits)) - 1)

static const uint8_t legal_moves[8] = {
	[OWNER_FREE] = 1 << OWNER_OPEN | 1 << OWNER_RETIRED,
	[OWNER_RETIRED] = 1 << OWNER_FREE,
	[OWNER_OPEN] = 1 << OWNER_SEALED | 1 << OWNER_PARKED | 1 << OWNER_OPEN,
	[OWNER_SEALED] = 1 << OWNER_LEAVING,
	[OWNER_LEAVING] = 1 << OWNER_OPEN | 1 << OWNER_SEALED | 1 << OWNER_LEAVING | 1 << OWNER_FREE |
			  1 << OWNER_RETIRED,
	[OWNER_PARKED] = 1 << OWNER_OPEN | 1 << OWNER_SEALED,
};

/*
 * CRC-12, x^12 + x^8 + x^7 + x^6 + x^5 + x^4 + 1, of the 52 bits above the check: any two words differ in at least
 * five bits, so that up to four flipped bits never pass.  Twelve bits of a hash would let one flip in 4096 through.
 */
static uint64_t crc12(uint64_t bits)
{
	static const uint16_t steps[16] = {0x000, 0x1F1, 0x3E2, 0x213, 0x7C4, 0x635, 0x426, 0x5D7,
					   0xF88, 0xE79, 0xC6A, 0xD9B, 0x84C, 0x9BD, 0xBAE, 0xA5F};
	uint64_t crc = 0;

	for (int shift = 48; shift >= 0; shift -= 4)
		crc = (crc << 4 & MASK(OWNER_CHECK_BITS)) ^ steps[(crc >> 8) ^ (bits >> shift & 15)];
	return crc;
}

/* the CRC finds flips; the hash of the place finds words of another segment or pool */
static uint64_t word_check(uint64_t payload, uint64_t segment, uint64_t pool_seed)
{
	return crc12(payload >> OWNER_CHECK_BITS) ^
	       (check_seed(pool_seed, CHECK_OWNER_WORD, segment, 0) & MASK(OWNER_CHECK_BITS));
}

uint64_t owner_word_encode(struct owner_word word, uint64_t segment, uint64_t pool_seed)
{
	uint64_t payload = (uint64_t)word.state << 61 | (word.turn & MASK(OWNER_TURN_BITS)) << 52 |
			   (word.slot & MASK(OWNER_SLOT_BITS)) << 42 | (word.epoch & MASK(OWNER_EPOCH_BITS)) << 12;

	return htole64(payload | word_check(payload, segment, pool_seed));
}

bool owner_word_decode(uint64_t raw, uint64_t segment, uint64_t pool_seed, struct owner_word *word)
{
	uint64_t value = le64toh(raw), payload = value & ~MASK(OWNER_CHECK_BITS);

	*word = (struct owner_word){
		.state = (enum owner_state)(value >> 61),
		.turn = (uint32_t)(value >> 52 & MASK(OWNER_TURN_BITS)),
		.slot = (uint32_t)(value >> 42 & MASK(OWNER_SLOT_BITS)),
		.epoch = (uint32_t)(value >> 12 & MASK(OWNER_EPOCH_BITS)),
	};
	return word->state >= OWNER_FREE && word->state <= OWNER_RETIRED &&
	       word_check(payload, segment, pool_seed) == (value & MASK(OWNER_CHECK_BITS));
}

bool owner_word_mend(uint64_t raw, uint64_t segment, uint64_t pool_seed, struct owner_word *word)
{
	for (int bit = 0; bit < 64; bit++)
		if (owner_word_decode(raw ^ 1ULL << bit, segment, pool_seed, word))
			return true;
	return false;
}

bool owner_move_legal(enum owner_state from, enum owner_state to)
{
	return (legal_moves[from] >> to) & 1;
}

const char *owner_state_name(enum owner_state state)
{
	static const char *const names[] = {
		[OWNER_FREE] = "free",	     [OWNER_OPEN] = "open",	[OWNER_SEALED] = "sealed",
		[OWNER_LEAVING] = "leaving", [OWNER_PARKED] = "parked",
		[OWNER_RETIRED] = "retired",
	};
	return state >= OWNER_FREE && state <= OWNER_RETIRED ? names[state] : "damaged";
}
