/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle: what was put, removed and pinned, and whether what calls answer may be (oracle.c).
 */
#ifndef MEMKV_TESTS_SIM_ORACLE_H
#define MEMKV_TESTS_SIM_ORACLE_H

#include "sim.h"

/* ---- stamps.c ---- */

void payload_fill(uint8_t *to, uint32_t version);
bool payload_right(const uint8_t *bytes, uint64_t length, uint32_t version);
/* by its stamp alone */
uint32_t payload_version(const uint8_t *bytes, int64_t length);

/* ---- oracle.c ---- */

uint32_t oracle_put(struct thread *t, uint32_t key, uint32_t version, uint64_t expires, bool durable, bool replace);
void oracle_put_in(struct thread *t, uint32_t session);
void oracle_put_done(struct thread *t, int result, bool replace);
uint32_t oracle_version(uint32_t key, uint32_t length);
/* a live block is flagged as removed: by whoever removes it, or as the old place of a copy */
void oracle_flagged(uint32_t instance, uint32_t segment, uint32_t index);
/* @key UINT32_MAX: whatever it likes, and says nothing of; @force: pinned or not */
void oracle_remove(struct thread *t, uint32_t key, bool force);
void oracle_remove_done(struct thread *t, int result);
void oracle_died(struct thread *t);
void oracle_before_cut(void);
void oracle_after_cut(void);
/* a copy of a block was published (moving or live), made live */
uint32_t oracle_published(struct thread *t, const struct entry *entry, uint32_t segment);
/* its entry is stored: from now on its birth is known */
void oracle_born(struct thread *t, const struct entry *entry);
/* a page is sent: is it the header of what is put? */
void oracle_written(const struct thread *t, const uint8_t *bytes, uint64_t page);
void oracle_live(uint32_t instance, uint32_t segment, uint32_t index);
bool oracle_present(const struct instance *instance);
/* has any call asked for the removal of this put? */
bool oracle_asked(uint32_t instance);
/* acknowledged, nothing came after it that could take it, and it is still there; likewise, also where a power cut may have taken it */
bool oracle_firm(const struct instance *instance, uint64_t before);
bool oracle_stays(const struct instance *instance, uint64_t before);
/* was it acknowledged before a removal began that was acknowledged before @before?  NULL: no */
const struct removal *oracle_gone_before(const struct instance *instance, uint64_t before);
/* could such bytes have been there at some time during the call? */
bool oracle_plausible(const struct thread *t, uint32_t key, uint32_t version);

/* ---- oracle_looks.c ---- */

void oracle_get_done(struct thread *t, int64_t result, const uint8_t *bytes, const uint32_t *instance, bool fresh);
/* likewise, but what was removed may be returned: the bytes of one put of that very key */
void oracle_get_by_index_done(struct thread *t, int64_t result, const uint8_t *bytes, const uint32_t *instance, bool fresh);
void oracle_found(struct thread *t, int found, bool fresh);
/* a fresh look, which began with the call, has just ended */
void oracle_looked(struct thread *t);
void oracle_unlocked(const struct thread *t);
/* every process that has looked agrees with the medium */
void oracle_agreed(void);

/* ---- oracle_pins.c ---- */

struct memkv_pin_info;
void oracle_pins_reset(void);
bool oracle_pins_room(void);
void session_name(uint32_t session, char name[16]);
/* a call pins, has returned; @done: it said so */
void oracle_pin(struct thread *t, bool is_session, uint32_t subject, uint64_t ttl);
void oracle_pin_done(struct thread *t, bool done);
/* a call begins that may end pins, has ended */
void oracle_unpin(struct thread *t, bool is_session, uint32_t subject);
void oracle_unpin_done(struct thread *t);
void oracle_pins_clock(void);
void oracle_pins_before_cut(void);
/* a put of a session was acknowledged */
void oracle_kept(struct instance *instance);
/* after anything was taken away: is every pin kept? */
void oracle_pins_hold(void);
void oracle_listed(struct thread *t, const struct memkv_pin_info *infos, int64_t count);
/* may a block of this key have been pinned at some time? */
bool oracle_pinnable(uint32_t key);
/* must it be, by key or session; by key, from before? */
bool oracle_owed(uint32_t key, uint32_t session);
bool oracle_owed_key(uint32_t key, uint64_t before);
/* is there a live copy of the key? */
bool oracle_there(uint32_t key);

#endif
