/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request trace in memory: requests in their order, each a chain of references to distinct blocks.
 *
 * A scope is a space of block ids.  Scope 0 is shared by all files with global ids; a conversation file (local ids)
 * has one of its own.  A unit is what one agent takes at a time: one request of scope 0, or a whole conversation.
 * Requests are numbered through all files in the order in which the files were added.
 */
#ifndef CLI_TRACE_H
#define CLI_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRACE_SCOPE_GLOBAL 0
#define TRACE_BLOCK_TOKENS 512 /* of traces that do not say */

/**
 * struct trace_request - one request
 * @first_ref, @refs: its chain, in trace.ref.
 * @timestamp_ms: as recorded; replay does not wait for it.
 * @input_tokens, @output_tokens: as recorded.
 * @block_tokens: tokens of one block.
 */
struct trace_request {
	uint64_t first_ref;
	uint64_t refs;
	uint64_t timestamp_ms;
	uint64_t input_tokens;
	uint64_t output_tokens;
	uint64_t block_tokens;
};

/**
 * struct trace_unit - consecutive requests that stay on one agent
 * @first, @count: the requests.
 * @scope: their scope.
 */
struct trace_unit {
	uint32_t first;
	uint32_t count;
	uint32_t scope;
};

/**
 * struct trace_block - a distinct block
 * @id: as in the file.
 * @scope: what the id means something in.
 */
struct trace_block {
	uint64_t id;
	uint32_t scope;
};

struct trace {
	struct trace_request *request;
	size_t requests, requests_room;
	struct trace_unit *unit;
	size_t units, units_room;
	struct trace_block *block;
	size_t blocks, blocks_room;
	uint32_t *ref; /* indices into block */
	size_t refs, refs_room;
	char **scope;
	size_t scopes;
	uint32_t *table; /* open addressing over block: index + 1, 0 free */
	size_t table_room;
	uint64_t longest; /* refs of the longest request */
	uint64_t lines_skipped;
};

/**
 * trace_init() - an empty trace with the global scope
 * @trace: free with trace_fini(), also after a failure.
 *
 * Return: 0 or -ENOMEM.
 */
int trace_init(struct trace *trace);

/** trace_fini() - free a trace */
void trace_fini(struct trace *trace);

/**
 * trace_add_scope() - a new space of local ids
 * @trace: the trace.
 * @name: told apart from scopes of the same name by "#2" and so on behind it.
 *
 * Return: the scope's number, or -ENOMEM.
 */
int trace_add_scope(struct trace *trace, const char *name);

/**
 * trace_add_request() - append a request
 * @trace: the trace.
 * @scope: its scope; requests of one local scope must be added one after the other.
 * @head: timestamp and tokens; the other fields are set here.
 * @ids, @count: the chain.
 *
 * Return: 0; -ENOMEM; -E2BIG when there are too many.
 */
int trace_add_request(struct trace *trace, uint32_t scope, const struct trace_request *head, const uint64_t *ids,
		      size_t count);

/**
 * trace_cut() - keep only the first requests
 * @trace: the trace.
 * @requests: how many.  Nothing may be added afterwards.
 */
void trace_cut(struct trace *trace, size_t requests);

/**
 * trace_prefix_ceiling() - the part of all references that one agent with unlimited room finds
 * @trace: the trace.
 *
 * Return: 0 to 1, or a negative number when there is no memory.
 */
double trace_prefix_ceiling(const struct trace *trace);

/**
 * trace_read() - add a file's requests
 * @trace: the trace.
 * @path: a .jsonl file of requests or a .json file with "requests".
 * @strict: a broken line is an error; otherwise it is named on stderr, skipped and counted.
 *
 * Return: 0, or an exit code after the error was reported.
 */
int trace_read(struct trace *trace, const char *path, bool strict);

/**
 * struct trace_spec - what trace to make
 * @sessions: conversations, interleaved over time.
 * @turns: requests of each.
 * @prompts: different system prompts that they share.
 * @system: blocks of one.
 * @fresh: most new blocks of a turn.
 * @seed: same seed, same trace.
 */
struct trace_spec {
	uint64_t sessions;
	uint64_t turns;
	uint64_t prompts;
	uint64_t system;
	uint64_t fresh;
	uint64_t seed;
};

/**
 * trace_make() - add made-up requests of the global scope
 * @trace: the trace.
 * @text: "key=value,..." over the defaults, or NULL.
 * @seed: the seed where @text has none.
 *
 * Return: 0, or an exit code after the error was reported.
 */
int trace_make(struct trace *trace, const char *text, uint64_t seed);

/**
 * trace_write() - write a trace of the global scope as .jsonl
 * @trace: the trace.
 * @path: the file to make or replace.
 *
 * Return: 0, or an exit code after the error was reported.
 */
int trace_write(const struct trace *trace, const char *path);

#endif
