/* SPDX-License-Identifier: Apache-2.0 */
/* What the processes do about pins: by key and by session, removals that are told to, evictions, the list. */
#include "core/pool/handle.h"
#include "oracle.h"
#include "stage.h"

#include <memkv/pin.h>

#include <errno.h>
#include <string.h>

static void troubled_or(struct thread *t, bool allowed, int64_t result, const char *what)
{
	if (on_shared() && result == -EAGAIN)
		return; /* of a remover that is dead nobody knows yet how it has decided */
	if (drains_may_refuse(t->agent))
		return; /* for a pin there may be no room to move a block to */
	if (!allowed && !t->call.troubled && !device_fenced(t->agent))
		broken("%s fails with %s (%s), and nothing was wrong", what, memkv_code_name((int)result), memkv_error_detail());
}

/* some end within the run's jumps of the clock, some never */
static uint64_t some_ttl(void) { return draw(3) ? 0 : 10 + draw(60); }

static struct memkv_pin_options options_of(uint64_t ttl)
{
	return (struct memkv_pin_options){
		.size = sizeof(struct memkv_pin_options), .flags = ttl ? 0 : MEMKV_PIN_FOR_EVER, .ttl_s = ttl};
}

void do_pin(struct thread *t, uint32_t key)
{
	struct memkv_key k = key_of(key);
	uint64_t ttl = some_ttl();
	struct memkv_pin_options o = options_of(ttl);
	int one = -1;

	call_begin(t, CALL_PIN, key);
	oracle_pin(t, false, key, ttl);
	int64_t result = memkv_pin(t->agent->pool, &k, 1, &o, &one);
	if (result == 0 && one == MEMKV_MISS)
		cover(COVER_PIN_MISS);
	else if (result == MEMKV_PIN_LIMIT)
		cover(COVER_PIN_REFUSED);
	else
		troubled_or(t, result == 1 && one == 0, result, "pin");
	oracle_pin_done(t, result == 1);
	call_end(t, result);
}

void do_unpin(struct thread *t, uint32_t key)
{
	struct memkv_key k = key_of(key);

	call_begin(t, CALL_UNPIN, key);
	oracle_unpin(t, false, key);
	int64_t result = memkv_unpin(t->agent->pool, &k, 1, NULL);
	troubled_or(t, result >= 0, result, "unpin");
	oracle_unpin_done(t);
	call_end(t, result);
}

void do_pin_session(struct thread *t, uint32_t session)
{
	uint64_t ttl = some_ttl();
	struct memkv_pin_options o = options_of(ttl);
	char name[16];

	session_name(session, name);
	call_begin(t, CALL_PIN_SESSION, session);
	oracle_pin(t, true, session, ttl);
	int64_t result = memkv_pin_session(t->agent->pool, name, &o);
	if (result == MEMKV_PIN_LIMIT)
		cover(COVER_PIN_REFUSED);
	else
		troubled_or(t, result >= 0, result, "pin session");
	oracle_pin_done(t, result >= 0);
	call_end(t, result);
}

static void do_unpin_session(struct thread *t, uint32_t session)
{
	char name[16];

	session_name(session, name);
	call_begin(t, CALL_UNPIN_SESSION, session);
	oracle_unpin(t, true, session);
	int result = memkv_unpin_session(t->agent->pool, name);
	troubled_or(t, result == 0 || result == MEMKV_MISS, result, "unpin session");
	oracle_unpin_done(t);
	call_end(t, result);
}

static void do_force(struct thread *t, uint32_t key)
{
	struct memkv_key k = key_of(key);

	call_begin(t, CALL_REMOVE, key);
	oracle_remove(t, key, true);
	int result = memkv_remove_with(t->agent->pool, &k, MEMKV_REMOVE_UNPIN);
	if (result == MEMKV_PINNED)
		broken("key %u: a removal that was told to is refused because of a pin", key);
	oracle_remove_done(t, result);
	call_end(t, result);
}

void do_evict(struct thread *t)
{
	struct memkv_evict_options o = {.size = sizeof(o), .bytes = 1 + (stage.on ? 0 : draw(4 * PAGE))};
	struct memkv_evict_report report;

	call_begin(t, CALL_EVICT, UINT32_MAX);
	oracle_remove(t, UINT32_MAX, false);
	int result = memkv_evict(t->agent->pool, &o, &report);
	if (result == MEMKV_PINNED)
		cover(COVER_PIN_KEEPS);
	troubled_or(t, result == 0 || result == MEMKV_PINNED, result, "evict");
	oracle_remove_done(t, MEMKV_MISS);
	call_end(t, result);
}

void do_list_pins(struct thread *t)
{
	struct memkv_pin_info infos[64];

	call_begin(t, CALL_PINS, UINT32_MAX);
	int64_t count = memkv_pins(t->agent->pool, infos, ARRAY_COUNT(infos));
	/* hosts that share a device: it says so when it cannot tell */
	bool untold = on_shared() && ((count == -EIO && t->call.troubled) || (count == MEMKV_FENCED && stated_passed_on(t->agent)));
	if (count < 0 && untold)
		;
	else if (count < 0 || count > (int64_t)ARRAY_COUNT(infos))
		broken("the list of pins says %lld", (long long)count);
	else
		oracle_listed(t, infos, count);
	call_end(t, count);
}

void pin_call(struct thread *t, uint32_t key)
{
	uint32_t what = draw(100), session = 1 + draw(SESSIONS_MAX);

	if (what < 45)
		do_pin(t, key);
	else if (what < 68)
		do_unpin(t, key);
	else if (what < 76)
		do_pin_session(t, session);
	else if (what < 83)
		do_unpin_session(t, session);
	else if (what < 88)
		do_force(t, key);
	else if (what < 92)
		do_evict(t);
	else
		do_list_pins(t);
}

void unpin_all(struct thread *t)
{
	do_list_pins(t);
	for (uint32_t key = 0; world.setup.pin && key < world.setup.keys && !world.failed; key++)
		do_unpin(t, key);
	for (uint32_t session = 1; world.setup.pin && session <= SESSIONS_MAX && !world.failed; session++)
		do_unpin_session(t, session);
}
