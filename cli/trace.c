/* SPDX-License-Identifier: Apache-2.0 */
/* The trace in memory: growing arrays, and a hash table that gives each distinct block of a scope one number. */
#include "cli/trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Make room for one more element behind @count. */
static int grow(void *array, size_t count, size_t *room, size_t element)
{
	void *old, *more;

	if (count < *room)
		return 0;
	size_t next = *room ? *room * 2 : 256;
	memcpy(&old, array, sizeof(old));
	more = reallocarray(old, next, element);
	if (!more)
		return -ENOMEM;
	memcpy(array, &more, sizeof(more));
	*room = next;
	return 0;
}

int trace_init(struct trace *trace)
{
	*trace = (struct trace){0};
	int rc = trace_add_scope(trace, "global");
	return rc < 0 ? rc : 0;
}

void trace_fini(struct trace *trace)
{
	for (size_t i = 0; i < trace->scopes; i++)
		free(trace->scope[i]);
	free(trace->scope);
	free(trace->request);
	free(trace->unit);
	free(trace->block);
	free(trace->ref);
	free(trace->table);
	*trace = (struct trace){0};
}

static bool scope_taken(const struct trace *trace, const char *name)
{
	for (size_t i = 0; i < trace->scopes; i++)
		if (!strcmp(trace->scope[i], name))
			return true;
	return false;
}

int trace_add_scope(struct trace *trace, const char *name)
{
	char **more = reallocarray(trace->scope, trace->scopes + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	trace->scope = more;
	char *unique = strdup(name);
	for (unsigned n = 2; unique && scope_taken(trace, unique); n++) {
		free(unique);
		if (asprintf(&unique, "%s#%u", name, n) < 0)
			unique = NULL;
	}
	if (!unique)
		return -ENOMEM;
	trace->scope[trace->scopes] = unique;
	return (int)trace->scopes++;
}

static size_t slot_of(const struct trace *trace, uint64_t id, uint32_t scope)
{
	uint64_t hash = id ^ ((uint64_t)scope << 40);

	hash = (hash ^ (hash >> 31)) * UINT64_C(0xbf58476d1ce4e5b9);
	hash ^= hash >> 29;
	size_t slot = (size_t)hash & (trace->table_room - 1);
	for (; trace->table[slot]; slot = (slot + 1) & (trace->table_room - 1)) {
		const struct trace_block *block = &trace->block[trace->table[slot] - 1];
		if (block->id == id && block->scope == scope)
			break;
	}
	return slot;
}

/* Keep the table at most half full. */
static int grow_table(struct trace *trace)
{
	if (trace->blocks * 2 < trace->table_room)
		return 0;
	size_t room = trace->table_room ? trace->table_room * 2 : 1024;
	uint32_t *table = calloc(room, sizeof(*table));
	if (!table)
		return -ENOMEM;
	free(trace->table);
	trace->table = table;
	trace->table_room = room;
	for (size_t i = 0; i < trace->blocks; i++)
		table[slot_of(trace, trace->block[i].id, trace->block[i].scope)] = (uint32_t)i + 1;
	return 0;
}

/* Append a reference to the block @id of @scope. */
static int add_ref(struct trace *trace, uint32_t scope, uint64_t id)
{
	if (trace->blocks >= UINT32_MAX - 1)
		return -E2BIG;
	if (grow_table(trace) || grow(&trace->block, trace->blocks, &trace->blocks_room, sizeof(*trace->block)) ||
	    grow(&trace->ref, trace->refs, &trace->refs_room, sizeof(*trace->ref)))
		return -ENOMEM;
	size_t slot = slot_of(trace, id, scope);
	if (!trace->table[slot]) {
		trace->block[trace->blocks++] = (struct trace_block){.id = id, .scope = scope};
		trace->table[slot] = (uint32_t)trace->blocks;
	}
	trace->ref[trace->refs++] = trace->table[slot] - 1;
	return 0;
}

static int add_to_unit(struct trace *trace, uint32_t scope)
{
	struct trace_unit *last = trace->units ? &trace->unit[trace->units - 1] : NULL;

	if (scope != TRACE_SCOPE_GLOBAL && last && last->scope == scope) {
		last->count++;
		return 0;
	}
	if (grow(&trace->unit, trace->units, &trace->units_room, sizeof(*trace->unit)))
		return -ENOMEM;
	trace->unit[trace->units++] =
		(struct trace_unit){.first = (uint32_t)trace->requests, .count = 1, .scope = scope};
	return 0;
}

int trace_add_request(struct trace *trace, uint32_t scope, const struct trace_request *head, const uint64_t *ids,
		      size_t count)
{
	if (trace->requests >= UINT32_MAX - 1)
		return -E2BIG;
	if (grow(&trace->request, trace->requests, &trace->requests_room, sizeof(*trace->request)))
		return -ENOMEM;
	struct trace_request *request = &trace->request[trace->requests];
	*request = *head;
	request->first_ref = trace->refs;
	request->refs = count;
	for (size_t i = 0; i < count; i++) {
		int rc = add_ref(trace, scope, ids[i]);
		if (rc)
			return rc;
	}
	if (add_to_unit(trace, scope))
		return -ENOMEM;
	trace->requests++;
	if (count > trace->longest)
		trace->longest = count;
	return 0;
}

void trace_cut(struct trace *trace, size_t requests)
{
	if (requests >= trace->requests)
		return;
	trace->requests = requests;
	trace->refs = trace->request[requests].first_ref;
	while (trace->units && trace->unit[trace->units - 1].first >= requests)
		trace->units--;
	if (trace->units) {
		struct trace_unit *last = &trace->unit[trace->units - 1];
		if (last->first + last->count > requests)
			last->count = (uint32_t)requests - last->first;
	}
	trace->longest = 0;
	for (size_t i = 0; i < requests; i++)
		if (trace->request[i].refs > trace->longest)
			trace->longest = trace->request[i].refs;
	/* Blocks are numbered by their first reference, so those still referred to come first. */
	size_t blocks = 0;
	for (size_t i = 0; i < trace->refs; i++)
		if (trace->ref[i] >= blocks)
			blocks = (size_t)trace->ref[i] + 1;
	trace->blocks = blocks;
}

double trace_prefix_ceiling(const struct trace *trace)
{
	uint64_t hits = 0;

	if (!trace->refs)
		return 0;
	bool *stored = calloc(trace->blocks, sizeof(*stored));
	if (!stored)
		return -1;
	for (size_t r = 0; r < trace->requests; r++) {
		const uint32_t *chain = &trace->ref[trace->request[r].first_ref];
		uint64_t count = trace->request[r].refs, i = 0;
		for (; i < count && stored[chain[i]]; i++)
			hits++;
		for (; i < count; i++)
			stored[chain[i]] = true;
	}
	free(stored);
	return (double)hits / (double)trace->refs;
}
