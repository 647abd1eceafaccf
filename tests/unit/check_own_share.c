/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words of a process on a shared device: other threads of it learn from the logs that a segment was adopted from it, and say so
 * in its word, while one is about to give the segment back.  A word that called it closed would let followers pass over what its new
 * holder puts there.
 */
#include "core/slot/own.h"
#include "tests/unit/fake_media.h"
#include "tests/unit/unit.h"

enum { SEGMENT = 3 };

struct host {
	struct fake_media media;
	struct own_share ops;
	struct slot me;
	bool adopted; /* is read at the moment at which we state something */
};

static const struct owner_word theirs = {.state = OWNER_OPEN, .slot = 1, .epoch = 4};

static void set(const struct control *c, struct owner_word word)
{
	word_publish(control_owner_word(c, SEGMENT), owner_word_encode(word, SEGMENT, c->seed));
}

static bool state(void *context, const struct owned *owned, enum owner_state to)
{
	const struct host *host = context;

	ck_assert_uint_eq(owned->segment, SEGMENT);
	if (host->adopted && to != OWNER_OPEN)
		set(&host->media.control, theirs);
	return true;
}

static void begin(struct host *host, enum owner_state held)
{
	memset(host, 0, sizeof(*host));
	fake_open(&host->media, 2);
	host->me = (struct slot){.number = 0, .epoch = 2};
	host->ops = (struct own_share){.state = state};
	host->media.control.share = &host->ops;
	host->media.control.share_context = host;
	host->media.control.shared = true;
	set(&host->media.control, (struct owner_word){.state = held, .slot = 0, .epoch = 2});
}

static enum owner_state word_is(struct host *host, uint32_t slot)
{
	struct owned now;

	ck_assert(own_look(&host->media.control, SEGMENT, &now));
	ck_assert_uint_eq(now.word.slot, slot);
	return now.word.state;
}

START_TEST(adopted_while_it_is_given_back)
{
	static const enum owner_state held[] = {OWNER_LEAVING, OWNER_SEALED, OWNER_OPEN};
	static const enum owner_state to[] = {OWNER_SEALED, OWNER_LEAVING, OWNER_SEALED};
	struct host host;
	struct owned owned;

	for (unsigned i = 0; i < 3; i++) {
		begin(&host, held[i]);
		host.adopted = true;
		ck_assert(own_look(&host.media.control, SEGMENT, &owned));
		ck_assert(!own_move(&host.media.control, &owned, to[i], &host.me));
		ck_assert_int_eq(word_is(&host, theirs.slot), OWNER_OPEN);
		fake_close(&host.media);
	}
}
END_TEST

/* the logs told of it, and it is ours still: its word was only computed anew */
START_TEST(computed_anew)
{
	struct host host;
	struct owned owned;

	begin(&host, OWNER_LEAVING);
	ck_assert(own_look(&host.media.control, SEGMENT, &owned));
	set(&host.media.control, (struct owner_word){.state = OWNER_SEALED, .turn = 7, .slot = 0, .epoch = 2});
	ck_assert(own_move(&host.media.control, &owned, OWNER_SEALED, &host.me));
	ck_assert_int_eq(word_is(&host, 0), OWNER_SEALED);
	fake_close(&host.media);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {adopted_while_it_is_given_back, computed_anew, NULL};

	return unit_run("own_share", tests);
}
