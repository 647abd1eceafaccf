/* SPDX-License-Identifier: Apache-2.0 */
/* The table of options, the strict parsers of values, and getopt_long() driven by both. */
#include "cli/options.h"

#include "cli/report.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum value_kind {
	KIND_FLAG,
	KIND_TEXT,
	KIND_KEY_NAME,
	KIND_SPEC,
	KIND_COUNT,
	KIND_SIZE,
	KIND_DURATION,
	KIND_DEADLINE,
	KIND_CLASS,
	KIND_PERCENT,
	KIND_RATE, /* a size, or "none" */
	KIND_TIMEOUT, /* a duration, or "off" */
	KIND_YES_NO,
};

/**
 * struct option_row - one option
 * @id: its place in the arrays of struct cli_args.
 * @name, @letter: as written; letter 0: none.
 * @kind: of its value.
 * @least, @most: bounds of a numeric value.
 * @value: what help calls the value.
 * @help: what help says.
 */
struct option_row {
	enum cli_option_id id;
	const char *name;
	char letter;
	enum value_kind kind;
	uint64_t least, most;
	const char *value;
	const char *help;
};

#define BLOCK_MOST (UINT64_C(256) << 20)

static const struct option_row rows[] = {
	{OPT_HELP, "help", 'h', KIND_FLAG, 0, 0, NULL, "print this help"},
	{OPT_JSON, "json", 0, KIND_FLAG, 0, 0, NULL, "print JSON"},
	{OPT_YES, "yes", 'y', KIND_FLAG, 0, 0, NULL, "do not ask"},
	{OPT_DRY_RUN, "dry-run", 'n', KIND_FLAG, 0, 0, NULL, "only say what would be done"},
	{OPT_FORCE, "force", 0, KIND_FLAG, 0, 0, NULL, "format over foreign data, or over a pool that nobody has open"},
	{OPT_POOL_NAME, "name", 0, KIND_TEXT, 0, 0, "NAME", "the pool's name"},
	{OPT_SIZE, "size", 's', KIND_SIZE, 1, INT64_MAX, "SIZE", "size of the file (default 4G)"},
	{OPT_MAX_BLOCK, "max-block", 0, KIND_SIZE, 1, BLOCK_MOST, "SIZE", "largest block (default 16M)"},
	{OPT_SEGMENT, "segment", 0, KIND_SIZE, 1, INT64_MAX, "SIZE", "room of a segment"},
	{OPT_SLOTS, "slots", 0, KIND_COUNT, 1, 65535, "N", "agents that can be attached at a time"},
	{OPT_BLOCKS, "blocks", 0, KIND_COUNT, 1, INT64_MAX, "N", "make room for exactly N blocks of --block-size"},
	{OPT_BLOCK_SIZE, "block-size", 'b', KIND_SIZE, 1, BLOCK_MOST, "SIZE", "size of one block"},
	{OPT_SHARE, "share", 0, KIND_FLAG, 0, 0, NULL, "a device that agents on several hosts write to"},
	{OPT_NAMESPACE, "namespace", 0, KIND_KEY_NAME, 0, 0, "PATH", "a further file or device that the pool lies on; may be repeated"},
	{OPT_EVICT, "evict", 0, KIND_FLAG, 0, 0, NULL, "let blocks go for which there is no room elsewhere, but for pinned ones"},
	{OPT_UNDO, "undo", 0, KIND_FLAG, 0, 0, NULL, "take it back: what was emptied, or drained, may be used again"},
	{OPT_LOST, "lost", 0, KIND_FLAG, 0, 0, NULL, "also one that is lost, with all that is on it"},
	{OPT_COHERENT, "coherent", 0, KIND_YES_NO, 0, 1, "yes|no", "no: memory of hosts that do not see each other's stores"},
	{OPT_REPAIR, "repair", 0, KIND_FLAG, 0, 0, NULL, "put right what is found, while no other agent is attached"},
	{OPT_META_ONLY, "meta-only", 0, KIND_FLAG, 0, 0, NULL, "check headers and tables only, no payload"},
	{OPT_SAMPLE, "sample", 0, KIND_PERCENT, 1, UINT64_C(100) * CLI_PERCENT, "P%", "read P percent of the blocks, chosen at random"},
	{OPT_MAX_RATE, "max-rate", 0, KIND_RATE, 0, INT64_MAX, "SIZE|none", "read at most SIZE bytes a second"},
	{OPT_KEY_NAME, "name", 0, KIND_KEY_NAME, 0, 0, "TEXT", "in place of KEY: the key of this text"},
	{OPT_CLASS, "class", 0, KIND_CLASS, 0, 31, "CLASS", "default, shared, session or 0 to 31"},
	{OPT_SESSION, "session", 0, KIND_TEXT, 0, 0, "S", "the session (conversation or agent run)"},
	{OPT_TTL, "ttl", 0, KIND_DURATION, 1, UINT32_MAX, "TIME", "expire after this long: 90s, 30m, 12h, 7d"},
	{OPT_DURABLE, "durable", 0, KIND_FLAG, 0, 0, NULL, "done only when it survives power loss"},
	{OPT_META, "meta", 0, KIND_TEXT, 0, 0, "FILE", "metadata of your own, up to 1024 bytes"},
	{OPT_REPLACE, "replace", 0, KIND_FLAG, 0, 0, NULL, "replace other bytes under the key"},
	{OPT_DEADLINE, "deadline", 0, KIND_DEADLINE, 1, UINT64_C(86400000000), "TIME", "end after this long, whatever the medium does: 200ms, 2s"},
	{OPT_OUTPUT, "output", 'o', KIND_TEXT, 0, 0, "FILE", "write here; nothing is left when the get fails"},
	{OPT_LIMIT, "limit", 0, KIND_COUNT, 1, INT64_MAX, "N", "at most N"},
	{OPT_AFTER, "after", 0, KIND_TEXT, 0, 0, "KEY", "only keys after this one"},
	{OPT_AGENTS, "agents", 'a', KIND_COUNT, 1, 256, "N", "agent processes (default 4)"},
	{OPT_GENERATE, "generate", 'g', KIND_SPEC, 0, 0, "KEY=VALUE,...", "make a trace instead of reading one"},
	{OPT_WRITE_TRACE, "write-trace", 0, KIND_TEXT, 0, 0, "FILE", "write the trace that --generate made"},
	{OPT_KILL, "kill", 0, KIND_COUNT, 0, 255, "K", "kill K agents halfway, then verify what was acknowledged"},
	{OPT_SEED, "seed", 0, KIND_COUNT, 0, UINT64_MAX, "N", "seed of --kill and --generate (default 1)"},
	{OPT_VERIFY, "verify", 0, KIND_FLAG, 0, 0, NULL, "read back every acknowledged block after the run"},
	{OPT_STRICT, "strict", 0, KIND_FLAG, 0, 0, NULL, "refuse a trace with a broken line instead of skipping it"},
	{OPT_LIVE, "live", 0, KIND_FLAG, 0, 0, NULL, "use the pool although others have it open"},
	{OPT_PREFIX_OF, "prefix-of", 0, KIND_FLAG, 0, 0, NULL, "the longest stored prefix of the keys that follow"},
	{OPT_PIN_TTL, "ttl", 0, KIND_TEXT, 0, 0, "TIME", "how long: 90s, 30m (default), 12h, 7d; none: until it is unpinned"},
	{OPT_PIN, "pin", 0, KIND_FLAG, 0, 0, NULL, "pin it for 30 minutes"},
	{OPT_UNPIN, "unpin", 0, KIND_FLAG, 0, 0, NULL, "also what is pinned"},
	{OPT_BYTES, "bytes", 0, KIND_SIZE, 1, INT64_MAX, "SIZE", "until so much is gone"},
	{OPT_OLDER_THAN, "older-than", 0, KIND_DURATION, 1, UINT32_MAX, "TIME", "only what was stored at least that long ago"},
	{OPT_ALL, "all", 0, KIND_FLAG, 0, 0, NULL, "those that are gone as well"},
	{OPT_PAIRS, "pairs", 0, KIND_COUNT, 0, UINT32_MAX, "N", "pairs of slices a row (default 41)"},
	{OPT_ONLY, "only", 0, KIND_TEXT, 0, 0, "OP,...", "of get, put, digest, match, attach, visibility, memory, full, flood, amplify, amplify_pinned"},
	{OPT_THREADS, "threads", 0, KIND_COUNT, 1, 64, "N", "threads with one operation each (default 1, 4 and 16)"},
	{OPT_HOST_NQN, "host-nqn", 0, KIND_TEXT, 0, 0, "NQN", "this host's name (default /etc/nvme/hostnqn)"},
	{OPT_HOST_ID, "host-id", 0, KIND_TEXT, 0, 0, "UUID", "this host's ID (default /etc/nvme/hostid)"},
	{OPT_QUEUE_DEPTH, "queue-depth", 0, KIND_COUNT, 16, 1024, "N", "entries of an I/O queue (default 128)"},
	{OPT_IO_QUEUES, "io-queues", 0, KIND_COUNT, 1, 1024, "N", "I/O queues (default one a processor)"},
	{OPT_KEEP_ALIVE, "keep-alive", 0, KIND_DURATION, 1, 86400, "TIME", "how often each side shows that it is there (default 5s)"},
	{OPT_FAST_IO_FAIL, "fast-io-fail", 0, KIND_TIMEOUT, 1, 86400, "TIME|off", "keep commands so long while reconnecting (default 5s)"},
	{OPT_LOSS_TIMEOUT, "loss-timeout", 0, KIND_TIMEOUT, 1, 86400, "TIME|off", "give the device up after so long (default 60s)"},
	{OPT_RECONNECT_DELAY, "reconnect-delay", 0, KIND_DURATION, 1, 86400, "TIME", "between two tries to reconnect (default 2s)"},
	{OPT_DHCHAP_SECRET, "dhchap-secret", 0, KIND_TEXT, 0, 0, "FILE", "this host's key (or $MEMKV_DHCHAP_SECRET)"},
	{OPT_DHCHAP_CTRL_SECRET, "dhchap-ctrl-secret", 0, KIND_TEXT, 0, 0, "FILE", "the controller's key (or $MEMKV_DHCHAP_CTRL_SECRET)"},
	{OPT_TLS, "tls", 0, KIND_FLAG, 0, 0, NULL, "TLS, where the kernel has it"},
	{OPT_PERSIST, "persist", 0, KIND_FLAG, 0, 0, NULL, "connect it at each boot (nvme-cli's /etc/nvme/config.json)"},
	{OPT_IN_USE, "force", 0, KIND_FLAG, 0, 0, NULL, "detach although somebody uses the device"},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* Digits at the start of @text into @value; @end receives what follows them. */
static const char *parse_digits(const char *text, uint64_t *value, const char **end)
{
	uint64_t sum = 0;
	const char *c = text;

	for (; isdigit((unsigned char)*c); c++)
		if (__builtin_mul_overflow(sum, 10, &sum) || __builtin_add_overflow(sum, (uint64_t)(*c - '0'), &sum))
			return "is too large";
	if (c == text)
		return *c == '-' ? "is negative" : "does not start with a digit";
	*value = sum;
	*end = c;
	return NULL;
}

const char *cli_parse_count(const char *text, uint64_t *value)
{
	const char *end;
	uint64_t digits;
	const char *wrong = parse_digits(text, &digits, &end);

	if (wrong)
		return wrong;
	if (*end)
		return "is not a number";
	*value = digits;
	return NULL;
}

const char *cli_parse_size(const char *text, uint64_t *value)
{
	static const char letters[] = "KMGT";
	const char *end;
	uint64_t digits;
	const char *wrong = parse_digits(text, &digits, &end);

	if (wrong)
		return wrong;
	if (*end) {
		const char *letter = strchr(letters, toupper((unsigned char)*end));
		if (!letter || end[1])
			return "is not a size: digits and at most one of K M G T";
		if (__builtin_mul_overflow(digits, UINT64_C(1024) << (10 * (letter - letters)), &digits))
			return "is too large";
	}
	*value = digits;
	return NULL;
}

const char *cli_parse_duration(const char *text, uint64_t *value)
{
	static const char letters[] = "smhd";
	static const uint64_t seconds[] = {1, 60, 3600, 86400};
	const char *end;
	uint64_t digits;
	const char *wrong = parse_digits(text, &digits, &end);

	if (wrong)
		return wrong;
	if (*end) {
		const char *letter = strchr(letters, *end);
		if (!letter || end[1])
			return "is not a time: digits and at most one of s m h d";
		if (__builtin_mul_overflow(digits, seconds[letter - letters], &digits))
			return "is too large";
	}
	*value = digits;
	return NULL;
}

const char *cli_parse_deadline(const char *text, uint64_t *value)
{
	static const struct {
		const char *name;
		uint64_t us;
	} units[] = {{"", 1000000}, {"us", 1}, {"ms", 1000}, {"s", 1000000}, {"m", 60000000}};
	const char *end;
	uint64_t digits;
	const char *wrong = parse_digits(text, &digits, &end);

	if (wrong)
		return wrong;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(end, units[i].name))
			continue;
		return __builtin_mul_overflow(digits, units[i].us, value) ? "is too large" : NULL;
	}
	return "is not a time: digits and at most one of us ms s m";
}

const char *cli_parse_percent(const char *text, uint64_t *value)
{
	uint64_t whole, part = 0, unit = CLI_PERCENT;
	const char *end;
	const char *wrong = parse_digits(text, &whole, &end);

	if (wrong)
		return wrong;
	if (*end == '.')
		for (end++; isdigit((unsigned char)*end) && unit > 1; end++)
			part += (uint64_t)(*end - '0') * (unit /= 10);
	if (*end == '%')
		end++;
	if (*end)
		return "is not a percentage: digits, at most six more behind a point, and % if you like";
	if (whole > 100)
		return "is too large";
	*value = whole * CLI_PERCENT + part;
	return NULL;
}

static const char *parse_rate(const char *text, uint64_t *value)
{
	*value = 0;
	if (!strcmp(text, "none"))
		return NULL;
	const char *wrong = cli_parse_size(text, value);
	return wrong ? wrong : *value ? NULL : "is too small";
}

static const char *parse_yes_no(const char *text, uint64_t *value)
{
	*value = strcmp(text, "yes") == 0;
	return *value || strcmp(text, "no") == 0 ? NULL : "is neither yes nor no";
}

static const char *parse_timeout(const char *text, uint64_t *value)
{
	if (strcmp(text, "off") != 0)
		return cli_parse_duration(text, value) ? "is not a time: digits and at most one of s m h d, or off" : NULL;
	*value = CLI_OFF;
	return NULL;
}

static const char *const class_names[] = {
	[MEMKV_CLASS_DEFAULT] = "default",
	[MEMKV_CLASS_SHARED] = "shared",
	[MEMKV_CLASS_SESSION] = "session",
};

#define CLASS_NAMES (sizeof(class_names) / sizeof(class_names[0]))

const char *cli_parse_class(const char *text, uint64_t *value)
{
	for (size_t i = 0; i < CLASS_NAMES; i++) {
		if (!strcmp(text, class_names[i])) {
			*value = i;
			return NULL;
		}
	}
	return cli_parse_count(text, value) ? "is not a class: default, shared, session or 0 to 31" : NULL;
}

const char *cli_class_text(uint32_t class_id, char *text)
{
	if (class_id < CLASS_NAMES)
		snprintf(text, CLI_CLASS_TEXT, "%s", class_names[class_id]);
	else
		snprintf(text, CLI_CLASS_TEXT, "%u", class_id);
	return text;
}

/* NULL: the text is the value */
static const char *(*const parsers[])(const char *text, uint64_t *value) = {
	[KIND_COUNT] = cli_parse_count,
	[KIND_SIZE] = cli_parse_size,
	[KIND_DURATION] = cli_parse_duration,
	[KIND_DEADLINE] = cli_parse_deadline,
	[KIND_CLASS] = cli_parse_class,
	[KIND_PERCENT] = cli_parse_percent,
	[KIND_RATE] = parse_rate,
	[KIND_TIMEOUT] = parse_timeout,
	[KIND_YES_NO] = parse_yes_no,
};

static const char *parse_value(const struct option_row *row, const char *text, uint64_t *value)
{
	if (row->kind >= sizeof(parsers) / sizeof(parsers[0]) || !parsers[row->kind])
		return NULL;
	const char *wrong = parsers[row->kind](text, value);
	if (!wrong && *value < row->least)
		wrong = "is too small";
	if (!wrong && *value > row->most && !(row->kind == KIND_TIMEOUT && *value == CLI_OFF))
		wrong = "is too large";
	return wrong;
}

/* Take one option with its value as getopt_long() found it. */
static int take_option(struct cli_args *args, const struct option_row *row, const char *value)
{
	if (row->kind == KIND_KEY_NAME) {
		args->given[row->id] = true;
		args->word[args->words++] = (struct cli_word){.text = value, .is_name = true};
		return 0;
	}
	if (args->given[row->id] && row->kind != KIND_FLAG)
		return report_usage(args->verb, "--%s is given twice", row->name);
	uint64_t number = 0;
	if (row->kind != KIND_FLAG && row->kind != KIND_SPEC && !*value)
		return report_usage(args->verb, "--%s wants a value", row->name);
	const char *wrong = value ? parse_value(row, value, &number) : NULL;
	if (wrong)
		return report_usage(args->verb, "--%s: '%s' %s", row->name, value, wrong);
	args->given[row->id] = true;
	args->number[row->id] = number;
	args->text[row->id] = value;
	return 0;
}

/* "key=value" right after --generate, without '=' between, is its value as well. */
static const char *spec_word(int argc, char **argv)
{
	if (optind >= argc || argv[optind][0] == '-')
		return NULL;
	const char *c = argv[optind];
	while (islower((unsigned char)*c))
		c++;
	return c > argv[optind] && *c == '=' ? argv[optind++] : NULL;
}

/* The tables that getopt_long() wants; val = 256 + row, so that letters and long options meet in the row. */
static void build_tables(uint64_t allowed, struct option *longs, char *shorts)
{
	*shorts++ = '-'; /* words come as option 1, in their order */
	*shorts++ = ':'; /* a missing value comes as ':' */
	for (size_t i = 0; i < ROWS; i++) {
		if (!(allowed & OPT_BIT(rows[i].id)))
			continue;
		int wants = rows[i].kind == KIND_FLAG	? no_argument
			    : rows[i].kind == KIND_SPEC ? optional_argument
							: required_argument;
		*longs++ = (struct option){rows[i].name, wants, NULL, 256 + (int)i};
		if (rows[i].letter) {
			*shorts++ = rows[i].letter;
			for (int colon = 0; colon < wants; colon++)
				*shorts++ = ':';
		}
	}
	*longs = (struct option){NULL, 0, NULL, 0};
	*shorts = '\0';
}

static const struct option_row *row_of(uint64_t allowed, int got)
{
	if (got >= 256)
		return &rows[got - 256];
	for (size_t i = 0; i < ROWS; i++)
		if (rows[i].letter == got && (allowed & OPT_BIT(rows[i].id)))
			return &rows[i];
	return NULL;
}

static int bad_option(const struct cli_args *args, int got, const char *text)
{
	if (got == ':')
		return report_usage(args->verb, "%s wants a value", text);
	return report_usage(args->verb, "%s is not an option of this verb, or stands for several", text);
}

static int parse_all(struct cli_args *args, uint64_t allowed, int argc, char **argv)
{
	struct option longs[ROWS + 1];
	char shorts[ROWS * 3 + 3];
	int got, rc;

	build_tables(allowed, longs, shorts);
	opterr = 0;
	optind = 0; /* glibc: start anew */
	for (;;) {
		int at = optind ? optind : 1;
		got = getopt_long(argc, argv, shorts, longs, NULL);
		if (got < 0)
			break;
		if (got == 1) {
			args->word[args->words++] = (struct cli_word){.text = optarg};
			continue;
		}
		const struct option_row *row = got == '?' || got == ':' ? NULL : row_of(allowed, got);
		if (!row)
			return bad_option(args, got, at < argc ? argv[at] : "an option");
		const char *value = optarg;
		if (row->kind == KIND_SPEC && !value)
			value = spec_word(argc, argv);
		rc = take_option(args, row, value);
		if (rc)
			return rc;
	}
	for (; optind < argc; optind++)
		args->word[args->words++] = (struct cli_word){.text = argv[optind]};
	return 0;
}

int cli_args_init(struct cli_args *args, const char *verb, uint64_t allowed, int argc, char **argv)
{
	*args = (struct cli_args){.verb = verb};
	args->word = calloc((size_t)argc + 1, sizeof(*args->word));
	if (!args->word)
		return report_failed(-ENOMEM, "out of memory");
	int rc = parse_all(args, allowed | OPT_BIT(OPT_HELP) | OPT_BIT(OPT_JSON), argc, argv);
	if (rc)
		cli_args_fini(args);
	return rc;
}

void cli_args_fini(struct cli_args *args)
{
	free(args->word);
	args->word = NULL;
	args->words = 0;
}

bool cli_option_at(uint64_t allowed, size_t nth, struct cli_option_text *option)
{
	allowed |= OPT_BIT(OPT_HELP) | OPT_BIT(OPT_JSON);
	for (size_t i = 0; i < ROWS; i++) {
		if (!(allowed & OPT_BIT(rows[i].id)) || nth--)
			continue;
		*option = (struct cli_option_text){rows[i].name, rows[i].letter, rows[i].value, rows[i].help};
		return true;
	}
	return false;
}

void cli_options_describe(uint64_t allowed)
{
	struct cli_option_text option;

	for (size_t i = 0; cli_option_at(allowed, i, &option); i++) {
		char left[64], letter[8] = "";
		if (option.letter)
			snprintf(letter, sizeof(letter), "-%c, ", option.letter);
		snprintf(left, sizeof(left), "%s--%s%s%s", letter, option.name, option.value ? " " : "",
			 option.value ? option.value : "");
		printf("  %-28s %s\n", left, option.help);
	}
}

struct json_object *cli_options_json(uint64_t allowed)
{
	struct json_object *list = json_object_new_array();
	struct cli_option_text option;

	for (size_t i = 0; cli_option_at(allowed, i, &option); i++) {
		struct json_object *one = json_object_new_object();
		char letter[2] = {option.letter, '\0'};
		json_object_object_add(one, "name", json_object_new_string(option.name));
		json_object_object_add(one, "letter", option.letter ? json_object_new_string(letter) : NULL);
		json_object_object_add(one, "value", option.value ? json_object_new_string(option.value) : NULL);
		json_object_object_add(one, "help", json_object_new_string(option.help));
		json_object_array_add(list, one);
	}
	return list;
}
