/* SPDX-License-Identifier: Apache-2.0 */
/* See cells.h and FORMAT.md. */
#include "core/format/cells.h"
#include "core/format/owner_word.h"

#include <string.h>

enum { MAGIC_SLOT = 0x544F4C53, MAGIC_HOLD = 0x444C4F48, MAGIC_CLAIM = 0x4D494C43, MAGIC_KEY = 0x5359454B };

struct cell_name {
	le32 magic;
	le16 version, reserved;
	le64 check;
};

struct slot_cell_disk {
	struct cell_name name;
	le32 slot, state, epoch, pid;
	le64 nonce, process_start, attached_s, seen_s, heartbeat, log_tail;
	uint8_t machine[16], boot[16];
	char host_nqn[HOST_NQN_BYTES];
	char version[24];
	le64 node_device, node_inode;
	le32 suspect_ms, owed_epoch;
	le64 owed_nonce;
	le32 quarantine_ms, unproven_epoch;
	uint8_t unproven_machine[16], unproven_boot[16];
	le32 drain, ask, ask_slot, ask_epoch;
	le64 owed_tail;
	uint8_t reserved[56];
};
_Static_assert(sizeof(struct slot_cell_disk) == CELL_LIVE, "slot cell");

struct hold_disk {
	le32 segment, page;
	le64 generation, lease_until;
};

struct hold_cell_disk {
	struct cell_name name;
	le32 slot, epoch, count, reserved0;
	struct hold_disk holds[HOLDS_PER_CELL];
};
_Static_assert(sizeof(struct hold_cell_disk) == CELL_LIVE, "hold cell");

struct claim_cell_disk {
	struct cell_name name;
	le32 slot, epoch, ballot, accepted_ballot;
	le64 accepted;
	uint8_t reserved[24];
};
_Static_assert(sizeof(struct claim_cell_disk) == CLAIM_BYTES, "claim cell");

struct key_cell_disk {
	struct cell_name name;
	le32 tenant, version, state, wrapped_length;
	uint8_t wrapped[WRAPPED_KEY_BYTES], salt[16];
	uint8_t reserved[336];
};
_Static_assert(sizeof(struct key_cell_disk) == CELL_LIVE, "key cell");

static struct cell_name name_of(uint32_t magic)
{
	return (struct cell_name){.magic = le32_of(magic), .version = le16_of(1)};
}

bool cell_blank(const uint8_t *live, size_t length)
{
	return live[0] == 0 && memcmp(live, live + 1, length - 1) == 0;
}

/* verify or mend, then make sure it is the kind of cell that was asked for */
static enum check_result verify(void *disk, size_t length, uint64_t seed, uint32_t magic)
{
	enum check_result result = check_or_mend(disk, length, seed);
	const struct cell_name *name = disk;

	return result != CHECK_BAD && le32_get(name->magic) != magic ? CHECK_BAD : result;
}

void slot_cell_encode(const struct slot_cell *cell, unsigned copy, uint64_t pool_seed, uint8_t live[CELL_LIVE])
{
	struct slot_cell_disk disk = {
		.name = name_of(MAGIC_SLOT),
		.slot = le32_of(cell->slot),
		.state = le32_of(cell->state),
		.epoch = le32_of(cell->epoch),
		.pid = le32_of(cell->pid),
		.nonce = le64_of(cell->nonce),
		.process_start = le64_of(cell->process_start),
		.attached_s = le64_of(cell->attached_s),
		.seen_s = le64_of(cell->seen_s),
		.heartbeat = le64_of(cell->heartbeat),
		.log_tail = le64_of(cell->log_tail),
		.node_device = le64_of(cell->node_device),
		.node_inode = le64_of(cell->node_inode),
		.suspect_ms = le32_of(cell->suspect_ms),
		.owed_epoch = le32_of(cell->owed_epoch),
		.owed_nonce = le64_of(cell->owed_nonce),
		.quarantine_ms = le32_of(cell->quarantine_ms),
		.unproven_epoch = le32_of(cell->unproven_epoch),
		.drain = le32_of(cell->drain),
		.ask = le32_of(cell->ask),
		.ask_slot = le32_of(cell->ask_slot),
		.ask_epoch = le32_of(cell->ask_epoch),
		.owed_tail = le64_of(cell->owed_tail),
	};

	memcpy(disk.unproven_machine, cell->unproven_machine, sizeof(disk.unproven_machine));
	memcpy(disk.unproven_boot, cell->unproven_boot, sizeof(disk.unproven_boot));
	memcpy(disk.machine, cell->machine, sizeof(disk.machine));
	memcpy(disk.boot, cell->boot, sizeof(disk.boot));
	memcpy(disk.host_nqn, cell->host_nqn, sizeof(disk.host_nqn));
	memcpy(disk.version, cell->version, sizeof(disk.version));
	check_set(&disk, sizeof(disk), check_seed(pool_seed, CHECK_SLOT_CELL, cell->slot, copy));
	memcpy(live, &disk, sizeof(disk));
}

enum check_result slot_cell_decode(const uint8_t live[CELL_LIVE], unsigned slot, unsigned copy, uint64_t pool_seed,
				   struct slot_cell *cell)
{
	struct slot_cell_disk disk;

	memcpy(&disk, live, sizeof(disk));
	enum check_result result =
		verify(&disk, sizeof(disk), check_seed(pool_seed, CHECK_SLOT_CELL, slot, copy), MAGIC_SLOT);
	if (result == CHECK_BAD || le32_get(disk.slot) != slot || le32_get(disk.epoch) > EPOCH_MAX)
		return CHECK_BAD;
	*cell = (struct slot_cell){
		.slot = le32_get(disk.slot),
		.state = le32_get(disk.state),
		.epoch = le32_get(disk.epoch),
		.pid = le32_get(disk.pid),
		.nonce = le64_get(disk.nonce),
		.process_start = le64_get(disk.process_start),
		.attached_s = le64_get(disk.attached_s),
		.seen_s = le64_get(disk.seen_s),
		.heartbeat = le64_get(disk.heartbeat),
		.log_tail = le64_get(disk.log_tail),
		.node_device = le64_get(disk.node_device),
		.node_inode = le64_get(disk.node_inode),
		.suspect_ms = le32_get(disk.suspect_ms),
		.owed_epoch = le32_get(disk.owed_epoch),
		.owed_nonce = le64_get(disk.owed_nonce),
		.quarantine_ms = le32_get(disk.quarantine_ms),
		.unproven_epoch = le32_get(disk.unproven_epoch),
		.drain = le32_get(disk.drain),
		.ask = le32_get(disk.ask),
		.ask_slot = le32_get(disk.ask_slot),
		.ask_epoch = le32_get(disk.ask_epoch),
		.owed_tail = le64_get(disk.owed_tail),
	};
	memcpy(cell->unproven_machine, disk.unproven_machine, sizeof(disk.unproven_machine));
	memcpy(cell->unproven_boot, disk.unproven_boot, sizeof(disk.unproven_boot));
	memcpy(cell->machine, disk.machine, sizeof(disk.machine));
	memcpy(cell->boot, disk.boot, sizeof(disk.boot));
	memcpy(cell->host_nqn, disk.host_nqn, sizeof(disk.host_nqn));
	memcpy(cell->version, disk.version, sizeof(disk.version));
	cell->host_nqn[HOST_NQN_BYTES - 1] = cell->version[sizeof(cell->version) - 1] = 0;
	return result;
}

void hold_cell_encode(const struct hold_cell *cell, uint64_t pool_seed, uint8_t live[CELL_LIVE])
{
	struct hold_cell_disk disk = {
		.name = name_of(MAGIC_HOLD),
		.slot = le32_of(cell->slot),
		.epoch = le32_of(cell->epoch),
		.count = le32_of(cell->count),
	};

	for (uint32_t i = 0; i < cell->count && i < HOLDS_PER_CELL; i++)
		disk.holds[i] = (struct hold_disk){le32_of(cell->holds[i].segment), le32_of(cell->holds[i].page),
						   le64_of(cell->holds[i].generation), le64_of(cell->holds[i].lease_until)};
	check_set(&disk, sizeof(disk), check_seed(pool_seed, CHECK_HOLD_CELL, cell->slot, 0));
	memcpy(live, &disk, sizeof(disk));
}

static void hold_cell_fill(const struct hold_cell_disk *disk, uint32_t count, struct hold_cell *cell)
{
	*cell = (struct hold_cell){.slot = le32_get(disk->slot), .epoch = le32_get(disk->epoch), .count = count};
	for (uint32_t i = 0; i < count; i++)
		cell->holds[i] = (struct hold){le32_get(disk->holds[i].segment), le32_get(disk->holds[i].page),
					       le64_get(disk->holds[i].generation), le64_get(disk->holds[i].lease_until)};
}

enum check_result hold_cell_decode(const uint8_t live[CELL_LIVE], unsigned slot, uint64_t pool_seed,
				   struct hold_cell *cell)
{
	struct hold_cell_disk disk;

	memcpy(&disk, live, sizeof(disk));
	enum check_result result =
		verify(&disk, sizeof(disk), check_seed(pool_seed, CHECK_HOLD_CELL, slot, 0), MAGIC_HOLD);
	if (result == CHECK_BAD || le32_get(disk.slot) != slot || le32_get(disk.count) > HOLDS_PER_CELL)
		return CHECK_BAD;
	hold_cell_fill(&disk, le32_get(disk.count), cell);
	return result;
}

void hold_cell_take(const uint8_t live[CELL_LIVE], struct hold_cell *cell)
{
	struct hold_cell_disk disk;

	memcpy(&disk, live, sizeof(disk));
	hold_cell_fill(&disk, HOLDS_PER_CELL, cell);
}

void claim_cell_encode(const struct claim_cell *cell, unsigned claimer, uint64_t pool_seed, uint8_t live[CLAIM_BYTES])
{
	struct claim_cell_disk disk = {
		.name = name_of(MAGIC_CLAIM),
		.slot = le32_of(cell->slot),
		.epoch = le32_of(cell->epoch),
		.ballot = le32_of(cell->ballot),
		.accepted_ballot = le32_of(cell->accepted_ballot),
		.accepted = le64_of(cell->accepted),
	};

	check_set(&disk, sizeof(disk), check_seed(pool_seed, CHECK_CLAIM_CELL, claimer, cell->slot));
	memcpy(live, &disk, sizeof(disk));
}

enum check_result claim_cell_decode(const uint8_t live[CLAIM_BYTES], unsigned claimer, unsigned slot,
				    uint64_t pool_seed, struct claim_cell *cell)
{
	struct claim_cell_disk disk;

	memcpy(&disk, live, sizeof(disk));
	enum check_result result =
		verify(&disk, sizeof(disk), check_seed(pool_seed, CHECK_CLAIM_CELL, claimer, slot), MAGIC_CLAIM);
	if (result == CHECK_BAD || le32_get(disk.slot) != slot)
		return CHECK_BAD;
	*cell = (struct claim_cell){
		.slot = le32_get(disk.slot),
		.epoch = le32_get(disk.epoch),
		.ballot = le32_get(disk.ballot),
		.accepted_ballot = le32_get(disk.accepted_ballot),
		.accepted = le64_get(disk.accepted),
	};
	return result;
}

void key_cell_encode(const struct key_cell *cell, uint64_t pool_seed, uint8_t live[CELL_LIVE])
{
	struct key_cell_disk disk = {
		.name = name_of(MAGIC_KEY),
		.tenant = le32_of(cell->tenant),
		.version = le32_of(cell->version),
		.state = le32_of(cell->state),
		.wrapped_length = le32_of(cell->wrapped_length),
	};

	memcpy(disk.wrapped, cell->wrapped, sizeof(disk.wrapped));
	memcpy(disk.salt, cell->salt, sizeof(disk.salt));
	check_set(&disk, sizeof(disk), check_seed(pool_seed, CHECK_KEY_CELL, cell->tenant, 0));
	memcpy(live, &disk, sizeof(disk));
}

enum check_result key_cell_decode(const uint8_t live[CELL_LIVE], unsigned tenant, uint64_t pool_seed,
				  struct key_cell *cell)
{
	struct key_cell_disk disk;

	memcpy(&disk, live, sizeof(disk));
	enum check_result result =
		verify(&disk, sizeof(disk), check_seed(pool_seed, CHECK_KEY_CELL, tenant, 0), MAGIC_KEY);
	if (result == CHECK_BAD || le32_get(disk.tenant) != tenant || le32_get(disk.wrapped_length) > WRAPPED_KEY_BYTES)
		return CHECK_BAD;
	*cell = (struct key_cell){
		.tenant = le32_get(disk.tenant),
		.version = le32_get(disk.version),
		.state = le32_get(disk.state),
		.wrapped_length = le32_get(disk.wrapped_length),
	};
	memcpy(cell->wrapped, disk.wrapped, sizeof(disk.wrapped));
	memcpy(cell->salt, disk.salt, sizeof(disk.salt));
	return result;
}
