/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memkv - the command line tool: finds the verb, parses its command line, runs it, and makes sure that the output
 * arrived.  The tool stands on the public headers alone.
 */
#include "cli/complete.h"
#include "cli/interrupt.h"
#include "cli/report.h"
#include "cli/verbs.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/*
 * A descriptor 0, 1 or 2 that the caller closed would be given to the next file opened, a pool perhaps, and messages
 * would land in it.  /dev/null opened the wrong way round keeps the number and makes the use fail.
 */
static void fill_standard_descriptors(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			(void)!open("/dev/null", fd ? O_RDONLY : O_WRONLY);
}

static void print_verb_json(const struct cli_verb *verb, struct json_object *into)
{
	report_add_text(into, "verb", verb->name);
	report_add_text(into, "usage", verb->usage);
	report_add_text(into, "summary", verb->summary);
	if (verb->text)
		report_add_text(into, "text", verb->text);
	json_object_object_add(into, "options", cli_options_json(verb->options));
}

static int help_verb(const struct cli_verb *verb)
{
	if (report_json()) {
		struct json_object *document = report_document();
		print_verb_json(verb, document);
		report_print(document);
		return EXIT_DONE;
	}
	printf("memkv %s %s - %s\n\n", verb->name, verb->usage, verb->summary);
	if (verb->text)
		printf("%s\n", verb->text);
	cli_options_describe(verb->options);
	return EXIT_DONE;
}

/* All verbs, or those whose first word is @group. */
static int help_list(const char *group)
{
	if (report_json()) {
		struct json_object *document = report_document(), *list = json_object_new_array();
		for (size_t i = 0; i < cli_verb_count; i++) {
			struct json_object *one = json_object_new_object();
			print_verb_json(&cli_verbs[i], one);
			json_object_array_add(list, one);
		}
		json_object_object_add(document, "verbs", list);
		report_print(document);
		return EXIT_DONE;
	}
	puts("usage: memkv VERB ...\n");
	for (size_t i = 0; i < cli_verb_count; i++) {
		const struct cli_verb *verb = &cli_verbs[i];
		char left[96];
		if (group && strncmp(verb->name, group, strlen(group)))
			continue;
		snprintf(left, sizeof(left), "%s %s", verb->name, verb->usage);
		printf("  %-48s %s\n", left, verb->summary);
	}
	puts("\nPOOL is a path, a device, dax:/dev/daxX.Y, name:NAME, uuid:UUID or ns:ID (an NVMe namespace's identity).\n"
	     "KEY is 64 hex digits or --name TEXT.  URI is nvme+tcp://ADDRESS[:PORT]/NQN[?nsid=N], or nvme+rdma://...\n"
	     "Sizes take K M G T.  Every verb takes --json.\n"
	     "Exit codes: 0 done, 1 not there, 2 usage, 3 refused, 4 damage, 5 busy or unknown, 6 no space,\n"
	     "130 interrupted.  \'memkv help VERB\' and \'man memkv-VERB\' say more.");
	return EXIT_DONE;
}

int verb_help(const struct cli_args *args)
{
	char *name[2] = {NULL, NULL};
	int words;

	if (!args->words)
		return help_list(NULL);
	if (args->words > 2)
		return report_usage("help", "'%s' is one word too many", args->word[2].text);
	for (size_t i = 0; i < args->words; i++)
		name[i] = (char *)args->word[i].text;
	const struct cli_verb *verb = cli_verb_find((int)args->words, name, &words);
	if (verb && (size_t)words == args->words)
		return help_verb(verb);
	if (args->words == 1 && !strcmp(name[0], "pool"))
		return help_list("pool ");
	return report_usage(NULL, "'%s%s%s' is not a verb", name[0], name[1] ? " " : "", name[1] ? name[1] : "");
}

int verb_version(const struct cli_args *args)
{
	if (args->words)
		return report_usage("version", "'%s' is one word too many", args->word[0].text);
	if (report_json()) {
		struct json_object *document = report_document();
		report_add_text(document, "version", memkv_version());
		report_print(document);
	} else {
		printf("memkv %s\n", memkv_version());
	}
	return EXIT_DONE;
}

static int unknown_pool_verb(const char *word)
{
	char names[256] = "";
	size_t used = 0;

	for (size_t i = 0; i < cli_verb_count && used < sizeof(names); i++)
		if (!strncmp(cli_verbs[i].name, "pool ", 5))
			used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", used ? ", " : "",
						 cli_verbs[i].name + 5);
	return word ? report_usage("pool", "'%s' is not one of %s", word, names)
		    : report_usage("pool", "it is one of %s", names);
}

static int unknown_verb(int argc, char **argv)
{
	if (!strcmp(argv[0], "pool") && argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
		return help_list("pool ");
	if (!strcmp(argv[0], "pool"))
		return unknown_pool_verb(argc > 1 ? argv[1] : NULL);
	for (size_t i = 0; i < cli_verb_count; i++)
		if (!strncmp(cli_verbs[i].name, "pool ", 5) && !strcmp(cli_verbs[i].name + 5, argv[0]))
			return report_usage(NULL, "'%s' is not a verb, but '%s' is", argv[0], cli_verbs[i].name);
	return report_usage(NULL, "'%s' is not a verb", argv[0]);
}

/* What the library has to say beside results; once, however often a verb opens the pool. */
static void note_once(void *context, const char *sentence)
{
	static char last[512];

	(void)context;
	if (!strncmp(last, sentence, sizeof(last) - 1))
		return;
	snprintf(last, sizeof(last), "%s", sentence);
	report_note("%s", sentence);
}

static int run_verb(int argc, char **argv)
{
	struct cli_args args;
	int words = 0;

	/* What people type before they know any verb. */
	if (argc >= 1 && (!strcmp(argv[0], "--help") || !strcmp(argv[0], "-h")))
		return help_list(NULL);
	if (argc >= 1 && (!strcmp(argv[0], "--version") || !strcmp(argv[0], "-V")))
		argv[0] = (char *)"version";
	if (argc < 1)
		return report_usage(NULL, "a verb is missing");
	if (!strcmp(argv[0], "--complete")) /* what the shells' completion asks, see complete.h */
		return complete_print(argc - 1, argv + 1);
	const struct cli_verb *verb = cli_verb_find(argc, argv, &words);
	if (!verb)
		return unknown_verb(argc, argv);
	/* argv[words - 1] stands where getopt_long() expects the program's name. */
	int rc = cli_args_init(&args, verb->name, verb->options, argc - words + 1, argv + words - 1);
	if (rc)
		return rc;
	rc = args.given[OPT_HELP] ? help_verb(verb) : verb->run(&args);
	cli_args_fini(&args);
	return rc;
}

int main(int argc, char **argv)
{
	bool json = false;

	fill_standard_descriptors();
	/* Known before anything else, so that an error in the command line is JSON as well. */
	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
		json |= !strcmp(argv[i], "--json");
	report_init(json);
	memkv_set_log(note_once, NULL);
	interrupt_init();
	if (json)
		interrupt_say("{\"schema\":1,\"error\":{\"code\":\"EINTR\",\"message\":\"interrupted\"}}\n");
	signal(SIGPIPE, SIG_IGN); /* what is half done must be ended; report_finish() sees the closed pipe */
	argc--;
	argv++;
	for (; argc && !strcmp(argv[0], "--json"); argc--)
		argv++;
	return report_finish(run_verb(argc, argv));
}
