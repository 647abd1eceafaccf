/* SPDX-License-Identifier: Apache-2.0 */
/* See claims.h. */
#include "core/slot/claims.h"

enum { PHASE_BALLOT, PHASE_ACCEPT, PHASE_DECIDE };

void claim_begin(struct claim *claim, uint32_t me, uint32_t slots, uint32_t slot, uint32_t epoch, uint64_t wish)
{
	*claim = (struct claim){.me = me, .slots = slots, .slot = slot, .epoch = epoch, .wish = wish};
}

static bool about_us(const struct claim *claim, const struct claim_cell *cell)
{
	return cell->ballot && cell->epoch == claim->epoch;
}

/* the highest ballot of all that was seen; *accepted: the cell with the highest accepted one, NULL: none */
static uint32_t survey(const struct claim *claim, const struct claim_cell *cells, const struct claim_cell **accepted)
{
	uint32_t highest = 0;

	*accepted = NULL;
	for (uint32_t n = 0; n < claim->slots; n++) {
		const struct claim_cell *cell = &cells[n];
		if (!about_us(claim, cell))
			continue;
		if (cell->ballot > highest)
			highest = cell->ballot;
		if (cell->accepted_ballot && (!*accepted || cell->accepted_ballot > (*accepted)->accepted_ballot))
			*accepted = cell;
	}
	return highest;
}

static enum claim_step new_ballot(struct claim *claim, const struct claim_cell *mine, uint32_t highest)
{
	claim->cell = (struct claim_cell){.slot = claim->slot, .epoch = claim->epoch};
	if (about_us(claim, mine)) { /* what we, or who had the slot before us, have accepted stays accepted */
		claim->cell.accepted_ballot = mine->accepted_ballot;
		claim->cell.accepted = mine->accepted;
	}
	/* ballots of different slots differ */
	claim->cell.ballot = (highest / claim->slots + 1) * claim->slots + claim->me;
	claim->phase = PHASE_ACCEPT;
	return CLAIM_WRITE;
}

enum claim_step claim_look(struct claim *claim, const struct claim_cell *cells)
{
	const struct claim_cell *accepted;
	uint32_t highest = survey(claim, cells, &accepted);

	for (uint32_t n = 0; n < claim->slots; n++)
		if (cells[n].ballot && cells[n].epoch > claim->epoch)
			return CLAIM_OVER;
	if (claim->phase == PHASE_BALLOT)
		return new_ballot(claim, &cells[claim->me], highest);
	if (highest > claim->cell.ballot) {
		claim->phase = PHASE_BALLOT;
		return CLAIM_AGAIN;
	}
	if (claim->phase == PHASE_DECIDE)
		return CLAIM_DECIDED;
	claim->cell.accepted = accepted ? accepted->accepted : claim->wish;
	claim->cell.accepted_ballot = claim->cell.ballot;
	claim->phase = PHASE_DECIDE;
	return CLAIM_WRITE;
}
