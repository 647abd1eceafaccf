/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of a verb: one table of all options, each with the kind of its value, of which a verb names those
 * that it takes.  Values are parsed strictly: what is not wholly understood is a usage error that says what would be.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cli_option_id {
	OPT_HELP,
	OPT_JSON,
	OPT_YES,
	OPT_DRY_RUN,
	OPT_FORCE,
	OPT_POOL_NAME,
	OPT_SIZE,
	OPT_MAX_BLOCK,
	OPT_SEGMENT,
	OPT_SLOTS,
	OPT_BLOCKS,
	OPT_BLOCK_SIZE,
	OPT_META_ONLY,
	OPT_REPAIR,
	OPT_SAMPLE,
	OPT_MAX_RATE,
	OPT_KEY_NAME, /* becomes a word, see struct cli_word */
	OPT_CLASS,
	OPT_SESSION,
	OPT_TTL,
	OPT_DURABLE,
	OPT_META,
	OPT_REPLACE,
	OPT_DEADLINE,
	OPT_OUTPUT,
	OPT_LIMIT,
	OPT_AFTER,
	OPT_AGENTS,
	OPT_GENERATE,
	OPT_WRITE_TRACE,
	OPT_KILL,
	OPT_SEED,
	OPT_VERIFY,
	OPT_STRICT,
	OPT_LIVE,
	OPT_PAIRS,
	OPT_ONLY,
	OPT_THREADS,
	OPT_HOST_NQN,
	OPT_HOST_ID,
	OPT_QUEUE_DEPTH,
	OPT_IO_QUEUES,
	OPT_KEEP_ALIVE,
	OPT_FAST_IO_FAIL,
	OPT_LOSS_TIMEOUT,
	OPT_RECONNECT_DELAY,
	OPT_DHCHAP_SECRET,
	OPT_DHCHAP_CTRL_SECRET,
	OPT_TLS,
	OPT_PERSIST,
	OPT_IN_USE, /* --force of detach */
	OPT_PREFIX_OF,
	OPT_PIN_TTL,
	OPT_PIN,
	OPT_UNPIN,
	OPT_BYTES,
	OPT_OLDER_THAN,
	OPT_ALL,
	OPT_SHARE,
	OPT_NAMESPACE, /* becomes a word, as OPT_KEY_NAME does */
	OPT_EVICT,
	OPT_UNDO,
	OPT_LOST,
	OPT_COHERENT,
	OPT_COUNT,
};

#define OPT_BIT(id) (UINT64_C(1) << (id))
_Static_assert(OPT_COUNT <= 64, "a verb's options are the bits of one word");

#define CLI_OFF UINT64_MAX /* a time-out that is switched off */

/**
 * struct cli_word - an argument that is no option
 * @text: it.
 * @is_name: it came with --name: text to make a key of; or with --namespace: a place.
 */
struct cli_word {
	const char *text;
	bool is_name;
};

/**
 * struct cli_args - a parsed command line
 * @verb: the verb's full name, for messages.
 * @word, @words: the words in their order.
 * @given: by enum cli_option_id, whether the option was there.
 * @number: values of options that are a size, count, duration, deadline (in microseconds), time-out (seconds, or CLI_OFF),
 *          class, rate (bytes a second, 0 for none), yes or no (1, 0) or percentage (in units of 1 / CLI_PERCENT).
 * @text: values as written.
 */
struct cli_args {
	const char *verb;
	struct cli_word *word;
	size_t words;
	bool given[OPT_COUNT];
	uint64_t number[OPT_COUNT];
	const char *text[OPT_COUNT];
};

/**
 * cli_args_init() - parse a verb's command line
 * @args: receives it; free with cli_args_fini().
 * @verb: the verb's full name.
 * @allowed: OPT_BIT() of the options that the verb takes (--help and --json always are).
 * @argc, @argv: the arguments after the verb.
 *
 * Return: 0, or an exit code after the error was reported (nothing to free).
 */
int cli_args_init(struct cli_args *args, const char *verb, uint64_t allowed, int argc, char **argv);

/** cli_args_fini() - free what cli_args_init() allocated */
void cli_args_fini(struct cli_args *args);

/** cli_options_describe() - print one line for each option of @allowed to stdout */
void cli_options_describe(uint64_t allowed);

/** cli_options_json() - the same as an array of {"name", "letter", "value", "help"} */
struct json_object *cli_options_json(uint64_t allowed);

/**
 * struct cli_option_text - an option as shell completion sees it
 * @name, @letter: as written; letter 0: none.
 * @value: what help calls its value; NULL: it takes none.
 * @help: what help says.
 */
struct cli_option_text {
	const char *name;
	char letter;
	const char *value;
	const char *help;
};

/** cli_option_at() - the @nth option of @allowed (--help and --json always are); false: there are fewer */
bool cli_option_at(uint64_t allowed, size_t nth, struct cli_option_text *option);

/**
 * cli_parse_count() - read a number: decimal digits only
 * @text: it.
 * @value: receives it.
 *
 * Return: NULL, or what is wrong with it, to follow the quoted text in a sentence.
 */
const char *cli_parse_count(const char *text, uint64_t *value);

/** cli_parse_size() - the same for digits and at most one of K M G T (powers of 1024, either case) */
const char *cli_parse_size(const char *text, uint64_t *value);

/** cli_parse_duration() - the same for digits and at most one of s m h d; @value is in seconds */
const char *cli_parse_duration(const char *text, uint64_t *value);

/** cli_parse_deadline() - the same for digits and at most one of us ms s m; @value is in microseconds */
const char *cli_parse_deadline(const char *text, uint64_t *value);

/** cli_parse_class() - the same for default, shared, session or 0 to 31 */
const char *cli_parse_class(const char *text, uint64_t *value);

/** cli_parse_percent() - the same for a percentage up to 100, with or without '%'; in units of 1 / CLI_PERCENT */
const char *cli_parse_percent(const char *text, uint64_t *value);

#define CLI_PERCENT 1000000
#define CLI_CLASS_TEXT 16

/** cli_class_text() - the reverse of cli_parse_class(); returns @text, CLI_CLASS_TEXT bytes */
const char *cli_class_text(uint32_t class_id, char *text);

#endif
