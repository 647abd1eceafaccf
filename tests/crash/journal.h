/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What could have reached the medium, in order: the recording half of the power cut tests.
 *
 * The model.  A machine loses power between any two events.  Then the medium holds:
 *   - all that was flushed: commands that had completed, and stores that had been made, when a flush began;
 *   - of a command since, completed or not, any of its 512 byte sectors, each or not;
 *   - of stores into the mapped control region since, any older state of any part: the kernel writes a page back
 *     when it likes, as often as it likes.  A part is a page (it was written back as a whole), a sector of it (the write
 *     back was torn), or a word (it was written back while it was being stored to).  Each part stands at a moment of its
 *     own; within a part, time has passed evenly: what was stored later is not there before what was stored earlier.
 * So what a cut leaves is one choice for each part; JOURNAL_WHOLE and JOURNAL_NOTHING are the two ends.
 */
#ifndef MEMKV_TESTS_CRASH_JOURNAL_H
#define MEMKV_TESTS_CRASH_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>

enum event_kind {
	EVENT_STORE, /* into the control region, seen by everybody at once */
	EVENT_WRITE, /* a command was handed to the medium */
	EVENT_DONE,  /* it completed: @of */
	EVENT_FLUSH, /* a flush began, and came back without an error */
};

struct event {
	enum event_kind kind;
	uint32_t length;
	uint64_t offset;
	uint64_t bytes_at; /* in journal->bytes */
	uint64_t of;	   /* EVENT_DONE: index of the write */
	uint64_t done_at;  /* EVENT_WRITE: index of its completion, UINT64_MAX: none yet */
};

struct journal {
	struct event *events;
	uint64_t count, room;
	uint8_t *bytes;
	uint64_t used, bytes_room;
	/* stores are found by comparing with what was there: pages of this many bytes from @control on */
	uint8_t *control, *shadow;
	uint64_t control_bytes;
	bool stepping; /* each store is an event of its own (stores.h), else what changed between two others is one */
};

/* what of the unflushed a cut leaves */
enum cut_mode {
	JOURNAL_WHOLE,	 /* everything: as a kill */
	JOURNAL_NOTHING, /* only what was flushed */
	JOURNAL_STORES,	 /* all stores, no command */
	JOURNAL_COMMANDS, /* all commands, no store */
	JOURNAL_PAGES,	 /* chance, by pages */
	JOURNAL_SECTORS, /* chance, by sectors */
	JOURNAL_WORDS,	 /* chance, by words */
	CUT_MODES,
};

void journal_init(struct journal *j);
void journal_fini(struct journal *j);
/* journal_watch() - stores into @control are found from now on */
void journal_watch(struct journal *j, uint8_t *control, uint64_t bytes, bool stepping);
/* journal_compare() - note what was stored into the page-aligned range since it was last compared */
void journal_compare(struct journal *j, uint64_t offset, uint64_t bytes);
/* journal_note() - one event; returns its index */
uint64_t journal_note(struct journal *j, enum event_kind kind, uint64_t offset, const void *bytes, uint32_t length, uint64_t of);

/* where a replay stands: moments only ever go forward */
struct replay {
	const struct journal *journal;
	uint8_t *flushed; /* what is certain at the last flush before the moment */
	uint64_t bytes;
	uint64_t pending; /* first event that is not in @flushed (some later ones may be) */
	uint64_t moment;
	uint8_t *settled; /* a byte an event: is in @flushed */
};

void replay_init(struct replay *r, const struct journal *j, const uint8_t *image, uint64_t bytes);
void replay_fini(struct replay *r);
/* replay_to() - the moment before event @moment */
void replay_to(struct replay *r, uint64_t moment);
/* replay_cut() - what a cut at this moment may leave, into @image */
void replay_cut(const struct replay *r, enum cut_mode mode, uint64_t seed, uint8_t *image);
const char *cut_mode_name(enum cut_mode mode);

#endif
