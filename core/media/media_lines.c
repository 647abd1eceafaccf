/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that hosts share whose caches are not coherent with each other: CXL memory that several of them map.  There is no
 * compare-and-swap between such hosts, and no word that all see at once; so the pool is used as on a block device, by a
 * mirror of the control region (media_block.c) and one writing process, and only what lies below differs: instead of I/O
 * past the page cache, loads and stores past the caches of the host (cache_lines.h).
 *
 * A device writes and reads whole sectors of 512 bytes.  Memory has words that arrive whole, in lines that arrive in any
 * order, also by themselves.  What upper layers lean on is made up for here:
 *
 *   - writing: of a block only the lines that changed are written.  Structures are told by their check, which is word 1 of
 *     their first line (FORMAT.md, section 1.1).  So every line whose word 1 changes gets the mark of what is being written
 *     there first, one after the other, each of them fenced; then all other words; then these words, from the last line to the
 *     first.  At each moment a structure on the medium is as it was, marked, or as it will be, whatever lines a host
 *     that dies leaves behind.  Regions of words, each for itself, are said to be such (media->words).
 *   - reading: each 512 bytes are read until two looks, each with the lines dropped before it, see the same.  No structure
 *     returns to bytes that it had, so that is what stood there at the moment between them.
 *
 * Payload, and the header pages that go with it, are copied and written back, fenced, before whatever tells of them is
 * published; when read, the lines are dropped first, and digests decide as ever.
 *
 * The writer takes a lock on the medium's node, as it would on a device, which processes of the same host see.  Other hosts
 * do not: that one of them writes is for whoever attaches them to see to.
 */
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/base/simulate.h"
#include "core/media/cache_lines.h"
#include "core/media/media_block.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	LINES_CUT = 1 << 16,
	SECTOR = 512,
	SECTOR_WORDS = SECTOR / sizeof(uint64_t),
	CHECK_AT = 1, /* the word of a line that is a structure's check */
	BLOCK_LINES = MIRROR_BLOCK / CACHE_LINE,
	LOOKS_MAX = 10000,
};

/* what was taken away under the mapping reads as zero, and is noted by the medium below */
static int still_there(struct media_block *b)
{
	if (!atomic_load_explicit(&b->memory->failed, memory_order_relaxed))
		return 0;
	atomic_store(&b->base.failed, true);
	return -EIO;
}

/* ---- the mirror's blocks ---- */

static void load_fresh(void *to, const uint8_t *from, size_t length)
{
	if (!MUTANT(REFRESH_UNDROPPED))
		cache_lines_drop(from, length);
	if (!MUTANT(REFRESH_UNFENCED))
		cache_lines_fence();
	cache_lines_load(to, from, length);
}

/* 0; -EAGAIN: somebody writes there all the time */
static int settle_sector(uint8_t *seen, const uint8_t *from)
{
	uint64_t again[SECTOR_WORDS];

	for (int look = 0; look < LOOKS_MAX; look++) {
		load_fresh(again, from, SECTOR);
		if (memcmp(seen, again, SECTOR) == 0 || MUTANT(REFRESH_ONE_LOOK))
			return 0;
		memcpy(seen, again, SECTOR);
	}
	return -EAGAIN;
}

static int read_settled(struct media_block *b, uint8_t *to, size_t length, uint64_t offset)
{
	const uint8_t *from = b->mapped + offset;
	int err = 0;

	for (size_t at = 0; at < length; at += MIRROR_BLOCK)
		load_fresh(to + at, from + at, MIRROR_BLOCK);
	for (size_t at = 0; at < length && !err; at += SECTOR)
		err = settle_sector(to + at, from + at);
	return err ? err : still_there(b);
}

static bool has_structures(const struct media *media, uint64_t offset)
{
	for (int i = 0; i < MEDIA_WORD_RANGES; i++)
		if (offset >= media->words[i].from && offset < media->words[i].to)
			return false;
	return true;
}

static void put_mark(uint8_t *at, const uint64_t *mark)
{
	cache_lines_store(at, mark, sizeof(*mark));
	if (!MUTANT(MARK_NOT_WRITTEN_BACK))
		cache_lines_write_back(at, sizeof(*mark));
	if (!MUTANT(MARK_UNFENCED))
		cache_lines_fence();
}

static void put_check(uint8_t *at, const uint64_t *check)
{
	cache_lines_store(at, check, sizeof(*check));
	if (!MUTANT(CHECK_NOT_WRITTEN_BACK))
		cache_lines_write_back(at, sizeof(*check));
	if (!MUTANT(CHECK_UNFENCED))
		cache_lines_fence();
}

/* all words of the line but the check, where that goes for itself */
static void put_line(uint8_t *at, const uint64_t *line, bool check_apart)
{
	if (check_apart) {
		cache_lines_store(at, line, CHECK_AT * sizeof(*line));
		cache_lines_store(at + (CHECK_AT + 1) * sizeof(*line), line + CHECK_AT + 1,
				  (CACHE_LINE_WORDS - CHECK_AT - 1) * sizeof(*line));
	} else {
		cache_lines_store(at, line, CACHE_LINE);
	}
	if (!MUTANT(WORDS_NOT_WRITTEN_BACK))
		cache_lines_write_back(at, CACHE_LINE);
}

/* the lines that are not as they are to be; of those, whose check changes */
static uint64_t changed_lines(const uint8_t *at, const uint64_t *image, bool structures, uint64_t *checked)
{
	uint64_t now[MIRROR_WORDS], changed = 0;

	cache_lines_load(now, at, MIRROR_BLOCK); /* what nobody else writes is in no cache but as it is */
	*checked = 0;
	for (unsigned i = 0; i < BLOCK_LINES; i++) {
		const uint64_t *is = now + (size_t)i * CACHE_LINE_WORDS, *will = image + (size_t)i * CACHE_LINE_WORDS;
		changed |= (uint64_t)(memcmp(is, will, CACHE_LINE) != 0) << i;
		*checked |= (uint64_t)(structures && is[CHECK_AT] != will[CHECK_AT]) << i;
	}
	return changed;
}

static int write_block(struct media_block *b, const uint8_t *bytes, uint64_t offset)
{
	const uint64_t *image = (const uint64_t *)(const void *)bytes;
	uint8_t *to = b->mapped + offset;
	uint64_t checked;
	uint64_t changed = changed_lines(to, image, has_structures(&b->base, offset), &checked);

	for (uint64_t rest = MUTANT(MARK_LEFT_OUT) ? 0 : checked; rest; rest &= rest - 1) {
		unsigned i = (unsigned)__builtin_ctzll(rest);
		put_mark(to + (size_t)i * CACHE_LINE + CHECK_AT * sizeof(uint64_t), &b->base.withdrawn);
	}
	for (uint64_t rest = changed; rest; rest &= rest - 1) {
		unsigned i = (unsigned)__builtin_ctzll(rest);
		put_line(to + (size_t)i * CACHE_LINE, image + (size_t)i * CACHE_LINE_WORDS, checked >> i & 1);
	}
	if (changed && !MUTANT(WORDS_UNFENCED))
		cache_lines_fence();
	for (uint64_t rest = checked; rest;) {
		unsigned i = 63 - (unsigned)__builtin_clzll(rest);
		rest &= ~(1ULL << i);
		put_check(to + (size_t)i * CACHE_LINE + CHECK_AT * sizeof(uint64_t), image + (size_t)i * CACHE_LINE_WORDS + CHECK_AT);
	}
	return still_there(b);
}

static int lines_move(struct media_block *b, enum media_direction direction, uint8_t *memory, size_t length, uint64_t offset)
{
	int err = 0;

	if (direction == MEDIA_READ)
		return read_settled(b, memory, length, offset);
	for (size_t at = 0; at < length && !err; at += MIRROR_BLOCK)
		err = write_block(b, memory + at, offset + at);
	return err;
}

/* ---- payload ---- */

static void read_payload(const uint8_t *from, const struct media_io *io)
{
	if (!MUTANT(GET_UNDROPPED))
		cache_lines_drop(from, io->length);
	if (!MUTANT(GET_UNFENCED))
		cache_lines_fence();
	for (uint32_t i = 0; i < io->piece_count; i++) {
		cache_lines_load(io->pieces[i].iov_base, from, io->pieces[i].iov_len);
		from += io->pieces[i].iov_len;
	}
}

static void write_payload(uint8_t *to, const struct media_io *io)
{
	uint8_t *at = to;

	for (uint32_t i = 0; i < io->piece_count; i++) {
		cache_lines_store(at, io->pieces[i].iov_base, io->pieces[i].iov_len);
		at += io->pieces[i].iov_len;
	}
	if (!MUTANT(PAYLOAD_NOT_WRITTEN_BACK))
		cache_lines_write_back(to, io->length);
	if (!MUTANT(PAYLOAD_UNFENCED))
		cache_lines_fence();
}

/* structures that are read past the mirror: each piece is whole blocks */
static int read_structures(struct media_block *b, const struct media_io *io)
{
	uint64_t at = io->offset;
	int err = 0;

	for (uint32_t i = 0; i < io->piece_count && !err; i++) {
		err = read_settled(b, io->pieces[i].iov_base, io->pieces[i].iov_len, at);
		at += io->pieces[i].iov_len;
	}
	return err;
}

static int copy(struct media *media, const struct media_io *io)
{
	struct media_block *b = media_block_of(media);
	uint64_t whole = b->memory->caps.bytes;

	if (io->length > whole || io->offset > whole - io->length)
		return -EIO; /* the medium ends before that */
	if (io->direction == MEDIA_READ && io->offset < b->base.control_bytes)
		return read_structures(b, io);
	if (io->direction == MEDIA_READ)
		read_payload(b->mapped + io->offset, io);
	else
		write_payload(b->mapped + io->offset, io);
	return still_there(b);
}

static int lines_queue_open(struct media *media, unsigned depth, struct media_queue **queue)
{
	(void)depth;
	return queue_instant_open(media, copy, queue);
}

/* ---- the rest of the seam: the medium below has the descriptor and its locks ---- */

static struct media *below(struct media *media) { return media_block_of(media)->memory; }

/* whatever was published or written has left the caches already */
static int lines_flush(struct media *media)
{
	cache_lines_fence();
	return still_there(media_block_of(media));
}

static bool lines_alive(struct media *media)
{
	if (!below(media)->ops->alive(below(media)))
		atomic_store(&media->failed, true);
	return !atomic_load(&media->failed);
}

static int lines_lock(struct media *media, uint64_t offset) { return below(media)->ops->lock(below(media), offset); }
static int lines_unlock(struct media *media, uint64_t offset) { return below(media)->ops->unlock(below(media), offset); }

static int lines_lock_held(struct media *media, uint64_t offset)
{
	return below(media)->ops->lock_held(below(media), offset);
}

static void lines_abandon(struct media *media)
{
	below(media)->ops->abandon(below(media));
}

static int lines_map_payload(struct media *media)
{
	return fail(-EOPNOTSUPP,
		    "%s: blocks of this pool cannot be held in place, for the hosts that share its memory do not see each other's "
		    "stores; copy with get", media->path);
}

static void lines_close(struct media *media)
{
	struct media *memory = media_lines_off(media);

	memory->ops->close(memory);
}

int media_lines_over(struct media *memory, struct media **media)
{
	if (!cache_lines_usable())
		return fail(-EOPNOTSUPP,
			    "%s: this build does not know the cache instructions of its processor, without which hosts that are not "
			    "coherent cannot share memory", memory->path);
	int err = memory->ops->map_control(memory, memory->caps.bytes);
	if (err)
		return err;
	struct media_block *b = media_block_new(memory->path);
	if (!b)
		return fail(-ENOMEM, "%s: no memory to open the pool", memory->path);
	b->memory = memory;
	b->mapped = memory->control;
	b->move = lines_move;
	b->base.caps = memory->caps;
	b->base.caps.mappable = false;
	b->base.caps.coherent = false;
	b->base.caps.cut = LINES_CUT;
	b->ops.name = "incoherent memory";
	b->ops.close = lines_close;
	b->ops.queue_open = lines_queue_open;
	b->ops.flush = lines_flush;
	b->ops.alive = lines_alive;
	b->ops.lock = lines_lock;
	b->ops.unlock = lines_unlock;
	b->ops.lock_held = lines_lock_held;
	b->ops.abandon = lines_abandon;
	b->ops.node = memory->ops->node;
	b->ops.map_payload = lines_map_payload;
	*media = &b->base;
	return 0;
}

int media_lines_claim(struct media *media)
{
	int err = lines_lock(media, MEDIA_WRITER_BYTE);

	if (err == -EAGAIN)
		return fail(MEMKV_NO_SLOT,
			    "%s: another agent writes to it, and memory between hosts that are not coherent has one; stop it, or open "
			    "the pool read-only", media->path);
	if (err)
		return fail(err, "%s: cannot be locked: %s", media->path, strerror(-err));
	media_block_of(media)->writer = true;
	return 0;
}

struct media *media_lines_off(struct media *media)
{
	struct media *memory = below(media);

	media_block_free(media_block_of(media));
	return memory;
}
