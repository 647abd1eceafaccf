/* SPDX-License-Identifier: Apache-2.0 */
/* See record.h and FORMAT.md. */
#include "core/format/record.h"

#include <string.h>

enum { MAGIC_RECORD = 0x4352, MAGIC_CHECKPOINT = 0x54504B43, RECORD_VERSION = 1 };

struct record_disk {
	le16 magic;
	uint8_t version_of_format, kind;
	le32 reserved0;
	le64 check, position, version;
	uint8_t key[32];
	le64 subject, generation, birth, until_s;
	le32 class_id, tenant, slot, epoch;
	le32 state;
	uint8_t reserved[12];
};
_Static_assert(sizeof(struct record_disk) == RECORD_BYTES, "record");
_Static_assert(offsetof(struct record_disk, check) == 8, "check is word 1");

struct checkpoint_disk {
	le32 magic;
	le16 version, reserved0;
	le64 check;
	le32 slot, epoch;
	le64 nonce, sequence, log_position;
	le32 facts, reserved1;
	uint8_t reserved[72];
};
_Static_assert(sizeof(struct checkpoint_disk) == RECORD_BYTES, "checkpoint header");

static uint64_t record_seed(const struct log_identity *log, uint64_t position, uint64_t pool_seed)
{
	uint64_t whose = check_seed(pool_seed, CHECK_RECORD, (uint64_t)log->slot << 32 | log->epoch, log->nonce);

	return check_seed(whose, CHECK_RECORD, position, log->sequence);
}

void record_encode(const struct record *r, const struct log_identity *log, uint64_t pool_seed,
		   uint8_t bytes[RECORD_BYTES])
{
	struct record_disk disk = {
		.magic = le16_of(MAGIC_RECORD),
		.version_of_format = RECORD_VERSION,
		.kind = (uint8_t)r->kind,
		.position = le64_of(r->position),
		.version = le64_of(r->version),
		.subject = le64_of(r->subject),
		.generation = le64_of(r->generation),
		.birth = le64_of(r->birth),
		.until_s = le64_of(r->until_s),
		.class_id = le32_of(r->class_id),
		.tenant = le32_of(r->tenant),
		.slot = le32_of(r->slot),
		.epoch = le32_of(r->epoch),
		.state = le32_of(r->state),
	};

	memcpy(disk.key, r->key, sizeof(disk.key));
	check_set(&disk, sizeof(disk), record_seed(log, r->position, pool_seed));
	memcpy(bytes, &disk, sizeof(disk));
}

enum check_result record_decode(const uint8_t bytes[RECORD_BYTES], const struct log_identity *log, uint64_t position,
				uint64_t pool_seed, bool mend, struct record *r)
{
	struct record_disk disk;
	uint64_t seed = record_seed(log, position, pool_seed);
	enum check_result result = CHECK_GOOD;

	memcpy(&disk, bytes, sizeof(disk));
	if (!check_holds(&disk, sizeof(disk), seed))
		result = mend ? check_or_mend(&disk, sizeof(disk), seed) : CHECK_BAD;
	if (result == CHECK_BAD || le16_get(disk.magic) != MAGIC_RECORD || le64_get(disk.position) != position ||
	    disk.kind < RECORD_NOP || disk.kind >= RECORD_KINDS)
		return CHECK_BAD;
	*r = (struct record){
		.kind = (enum record_kind)disk.kind,
		.position = position,
		.version = le64_get(disk.version),
		.subject = le64_get(disk.subject),
		.generation = le64_get(disk.generation),
		.birth = le64_get(disk.birth),
		.until_s = le64_get(disk.until_s),
		.class_id = le32_get(disk.class_id),
		.tenant = le32_get(disk.tenant),
		.slot = le32_get(disk.slot),
		.epoch = le32_get(disk.epoch),
		.state = le32_get(disk.state),
	};
	memcpy(r->key, disk.key, sizeof(r->key));
	return result;
}

uint64_t record_position(const void *bytes)
{
	le64 position;

	memcpy(&position, (const uint8_t *)bytes + offsetof(struct record_disk, position), sizeof(position));
	return le64_get(position);
}

const char *record_kind_name(enum record_kind kind)
{
	static const char *const names[RECORD_KINDS] = {
		[RECORD_NOP] = "NOP",	      [RECORD_OPEN] = "OPEN",	  [RECORD_SEAL] = "SEAL",
		[RECORD_DOUBT] = "DOUBT",     [RECORD_XFER] = "XFER",	  [RECORD_ACCEPT] = "ACCEPT",
		[RECORD_ADOPT] = "ADOPT",     [RECORD_WANT] = "WANT",	  [RECORD_PIN] = "PIN",
		[RECORD_UNPIN] = "UNPIN",     [RECORD_DEL] = "DEL",	  [RECORD_SESSION] = "SESSION",
		[RECORD_COMMIT] = "COMMIT",   [RECORD_POLICY] = "POLICY", [RECORD_TENANT] = "TENANT",
		[RECORD_MODEL] = "MODEL",
	};
	return kind >= RECORD_NOP && kind < RECORD_KINDS ? names[kind] : "?";
}

void checkpoint_header_encode(const struct checkpoint_header *h, unsigned area, uint64_t pool_seed,
			      uint8_t bytes[RECORD_BYTES])
{
	struct checkpoint_disk disk = {
		.magic = le32_of(MAGIC_CHECKPOINT),
		.version = le16_of(RECORD_VERSION),
		.slot = le32_of(h->slot),
		.epoch = le32_of(h->epoch),
		.nonce = le64_of(h->nonce),
		.sequence = le64_of(h->sequence),
		.log_position = le64_of(h->log_position),
		.facts = le32_of(h->facts),
	};

	check_set(&disk, sizeof(disk), check_seed(pool_seed, CHECK_CHECKPOINT, h->slot, area));
	memcpy(bytes, &disk, sizeof(disk));
}

enum check_result checkpoint_header_decode(const uint8_t bytes[RECORD_BYTES], unsigned slot, unsigned area,
					   uint64_t pool_seed, struct checkpoint_header *h)
{
	struct checkpoint_disk disk;

	memcpy(&disk, bytes, sizeof(disk));
	enum check_result result = check_or_mend(&disk, sizeof(disk), check_seed(pool_seed, CHECK_CHECKPOINT, slot, area));
	if (result == CHECK_BAD || le32_get(disk.magic) != MAGIC_CHECKPOINT || le32_get(disk.slot) != slot)
		return CHECK_BAD;
	*h = (struct checkpoint_header){
		.slot = slot,
		.epoch = le32_get(disk.epoch),
		.nonce = le64_get(disk.nonce),
		.sequence = le64_get(disk.sequence),
		.log_position = le64_get(disk.log_position),
		.facts = le32_get(disk.facts),
	};
	return result;
}
