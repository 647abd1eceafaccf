/* SPDX-License-Identifier: Apache-2.0 */
/* Who is attached: memkv_hosts, memkv_host_fence. */
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/pool/deadline.h"
#include "core/slot/own.h"

#include <memkv/host.h>
#include <memkv/timed.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_me(const struct memkv_pool *pool, uint32_t slot)
{
	return pool->slot.epoch && pool->slot.number == slot;
}

static bool here(const struct identity *id, const struct slot_cell *cell)
{
	return memcmp(id->machine, cell->machine, sizeof(id->machine)) == 0 &&
	       memcmp(id->boot, cell->boot, sizeof(id->boot)) == 0;
}

/* one that lives: may it be stopped, since it has been drained? */
static int living(const struct slot_cell *cell, bool stopped)
{
	if (cell->drain == SLOT_DRAIN_DONE)
		return MEMKV_HOST_DRAINED;
	return stopped ? MEMKV_HOST_STOPPED : cell->drain ? MEMKV_HOST_DRAINING : MEMKV_HOST_ALIVE;
}

static int state_of(struct memkv_pool *pool, uint32_t slot, const struct slot_cell *cell, bool local)
{
	if (cell->epoch == 0)
		return MEMKV_HOST_UNUSED;
	if (is_me(pool, slot))
		return living(cell, false);
	if (pool->control.shared && slot_locked(&pool->control, slot))
		return share_silent(pool, slot) ? MEMKV_HOST_SILENT : MEMKV_HOST_ALIVE;
	if (slot_locked(&pool->control, slot))
		return living(cell, local && process_stopped(cell->pid, cell->process_start));
	return cell->state == SLOT_LEFT ? MEMKV_HOST_LEFT : MEMKV_HOST_DEAD;
}

static bool is_there(const struct memkv_host *host)
{
	return host->state == MEMKV_HOST_ALIVE || host->state == MEMKV_HOST_STOPPED || host->state == MEMKV_HOST_DRAINING ||
	       host->state == MEMKV_HOST_DRAINED;
}

/* @epoch: as for slot_read_by() */
static void read_host(struct memkv_pool *pool, const struct identity *id, uint32_t slot, uint32_t epoch, struct memkv_host *host)
{
	struct slot_cell cell;
	enum check_result read = pool->media->caps.mappable ? slot_read_by(&pool->control, slot, epoch, &cell)
							     : share_read_cell(pool, slot, &cell);

	*host = (struct memkv_host){.slot = slot};
	if (read == CHECK_BAD) {
		host->state = MEMKV_HOST_DAMAGED;
		return;
	}
	host->epoch = cell.epoch;
	host->is_me = is_me(pool, slot);
	host->local = cell.epoch && here(id, &cell);
	host->state = state_of(pool, slot, &cell, host->local);
	host->pid = cell.pid;
	host->process_start = cell.process_start;
	host->attached_s = cell.attached_s;
	host->seen_s = cell.seen_s;
	memcpy(host->machine, cell.machine, sizeof(host->machine));
	memcpy(host->boot, cell.boot, sizeof(host->boot));
	if (host->local)
		memcpy(host->host_id, id->host_id, sizeof(host->host_id));
	memcpy(host->nqn, cell.host_nqn, sizeof(host->nqn));
	memcpy(host->version, cell.version, sizeof(host->version));
	if (pool->media->caps.mappable && is_there(host))
		host->holds = hold_cell_count(&pool->control, slot, cell.epoch);
}

/* segments that living and dead incarnations write to, or empty */
static void add_segments(struct memkv_pool *pool, struct memkv_host *hosts, uint32_t slots)
{
	const struct layout *layout = &pool->control.layout;
	struct owned owned;

	for (uint64_t s = 0; s < layout->segments; s++) {
		if (!own_look(&pool->control, s, &owned) ||
		    (owned.word.state != OWNER_OPEN && owned.word.state != OWNER_LEAVING) || owned.word.slot >= slots)
			continue;
		struct memkv_host *host = &hosts[owned.word.slot];
		if (host->epoch != owned.word.epoch)
			continue; /* of an incarnation before that one */
		host->segments++;
		host->bytes += (layout_segment_pages(layout, s) - 1ULL) * PAGE;
	}
}

static int add_pins(struct memkv_pool *pool, struct memkv_host *hosts, uint32_t slots)
{
	uint64_t now = clock_utc_s();

	factbook_refresh(&pool->factbook);
	uint32_t room = factbook_copy(&pool->factbook, NULL, 0) + 64;
	struct record *facts = calloc(room, sizeof(*facts));
	if (!facts)
		return -ENOMEM;
	uint32_t count = (uint32_t)min_u64(factbook_copy(&pool->factbook, facts, room), room);
	for (uint32_t i = 0; i < count; i++)
		if (facts_pins(&facts[i], now) && facts[i].slot < slots && hosts[facts[i].slot].epoch == facts[i].epoch)
			hosts[facts[i].slot].pins++;
	free(facts);
	return 0;
}

static int64_t make_hosts(struct memkv_pool *pool, struct chore *chore)
{
	uint32_t slots = pool->sb.geo.slots;
	struct identity id;

	struct memkv_host *all = calloc(slots, sizeof(*all));
	if (!all)
		return fail(-ENOMEM, "%s: no memory for %u slots", pool->media->path, slots);
	if (!control_refresh_words(&pool->control, CONTROL_OWNER_WORDS)) {
		free(all);
		return fail(-EIO, "%s: the pool's control structures cannot be read", pool->media->path);
	}
	identity_read(&id);
	if (pool->control.shared)
		share_listen(pool);
	for (uint32_t slot = 0; slot < slots; slot++)
		read_host(pool, &id, slot, 0, &all[slot]);
	add_segments(pool, all, slots);
	int err = add_pins(pool, all, slots);
	if (!err && chore->out)
		memcpy(chore->out, all, min_u64(chore->number, slots) * sizeof(*all));
	free(all);
	return err ? fail(err, "%s: no memory for the pins", pool->media->path) : (int64_t)slots;
}

int64_t memkv_hosts_by(struct memkv_pool *pool, struct memkv_host *hosts, size_t room, uint64_t deadline_us)
{
	POOL_USE use = pool_enter(pool, ENTRY_CALL);

	if (!use.inside)
		return use.result;
	room = hosts ? (size_t)min_u64(room, pool->sb.geo.slots) : 0;
	struct chore chore = {.make = make_hosts, .number = room, .out = hosts, .out_bytes = room * sizeof(*hosts)};
	return deadline_make(pool, &chore, deadline_us);
}

int64_t memkv_hosts(struct memkv_pool *pool, struct memkv_host *hosts, size_t room) { return memkv_hosts_by(pool, hosts, room, 0); }

int memkv_host_fence(struct memkv_pool *pool, uint32_t slot, uint32_t epoch)
{
	POOL_USE use = pool_enter(pool, ENTRY_CALL);
	struct memkv_host host;
	struct identity id;

	if (!use.inside)
		return use.result;
	if (slot >= pool->sb.geo.slots || epoch == 0)
		return MEMKV_MISS;
	identity_read(&id);
	if (pool->control.shared)
		share_listen(pool);
	read_host(pool, &id, slot, epoch, &host);
	if (host.state == MEMKV_HOST_SILENT)
		return fail(MEMKV_IN_USE, "%s: %u@%u is silent, and its death cannot be proven from here (host %s, process %u); end the "
					  "process there, or boot that host again: then its slot and what it had open are free",
			    pool->media->path, slot, epoch, host.nqn[0] ? host.nqn : "unknown", host.pid);
	if (host.state == MEMKV_HOST_DAMAGED)
		return fail(-EIO, "%s: whose slot %u is cannot be told: what says so is damaged; memkv pool check says more", pool->media->path,
			    slot);
	if (host.epoch < epoch)
		return MEMKV_MISS;
	if (host.epoch > epoch || host.state == MEMKV_HOST_LEFT || host.state == MEMKV_HOST_DEAD)
		return 0;
	if (!host.local)
		return fail(MEMKV_IN_USE, "%s: %u@%u is alive: process %u on another machine or in another boot; end it there",
			    pool->media->path, slot, epoch, host.pid);
	return fail(MEMKV_IN_USE,
		    "%s: %u@%u is alive%s: process %u of this machine; end it (kill %u, or kill -9 %u when it is stopped), and its "
		    "slot and segments are free at once", pool->media->path, slot, epoch,
		    host.state == MEMKV_HOST_STOPPED ? ", but stopped" : "", host.pid, host.pid, host.pid);
}
