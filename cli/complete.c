/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See complete.h.  What kind of word may stand where is read from the verb's usage line: its words in capitals, in their
 * order, the last one repeated when it ends in "...".  "--option" in usage is passed over.
 */
#include "cli/complete.h"

#include "cli/address.h"
#include "cli/report.h"
#include "cli/verbs.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIND_BYTES 16

static void offer(const char *typed, const char *candidate, const char *meaning)
{
	if (!strncmp(candidate, typed, strlen(typed)))
		printf("%s\t%s\n", candidate, meaning);
}

/* Verbs, or, behind "pool", the second words of those that have one. */
static void offer_verbs(const char *typed, const char *group)
{
	for (size_t i = 0; i < cli_verb_count; i++) {
		const char *name = cli_verbs[i].name, *space = strchr(name, ' ');
		if (group) {
			if (space && strlen(group) == (size_t)(space - name) && !strncmp(name, group, strlen(group)))
				offer(typed, space + 1, cli_verbs[i].summary);
		} else if (!space) {
			offer(typed, name, cli_verbs[i].summary);
		} else if (!i || strncmp(cli_verbs[i - 1].name, name, (size_t)(space - name) + 1) != 0) {
			char first[32];
			snprintf(first, sizeof(first), "%.*s", (int)(space - name), name);
			offer(typed, first, "verbs on a whole pool");
		}
	}
}

static void offer_options(const char *typed, uint64_t allowed)
{
	struct cli_option_text option;

	for (size_t i = 0; cli_option_at(allowed, i, &option); i++) {
		char text[64];
		snprintf(text, sizeof(text), "--%s", option.name);
		offer(typed, text, option.help);
	}
}

/* Pools by name, once the word begins so: looking for them takes a moment. */
static void offer_pools(const char *typed)
{
	struct found_pools found = {0};

	if (strncmp(typed, "name:", 5)) {
		offer(typed, "name:", "a pool by its name");
		offer(typed, "uuid:", "a pool by its UUID");
		offer(typed, "ns:", "an NVMe namespace by its UUID, NGUID or EUI-64");
		return;
	}
	(void)address_scan_machine(&found);
	for (size_t i = 0; i < found.count; i++) {
		char text[MEMKV_NAME_MAX + 8];
		bool plain = !found.pool[i].result && found.pool[i].label.name[0];
		for (const char *c = found.pool[i].label.name; plain && *c; c++)
			plain = isalnum((unsigned char)*c) || strchr("._-", *c);
		snprintf(text, sizeof(text), "name:%s", found.pool[i].label.name);
		if (plain)
			offer(typed, text, found.pool[i].path);
	}
	found_pools_fini(&found);
}

/* What is attached: subsystems and devices. */
static void offer_attached(const char *typed)
{
	const struct memkv_fabric_namespace *ns;
	struct memkv_fabric_list *list;

	if (memkv_fabric_find(NULL, &list) < 0)
		return;
	for (size_t i = 0; (ns = memkv_fabric_at(list, i)); i++) {
		offer(typed, ns->device, ns->nqn);
		if (!i || strcmp(memkv_fabric_at(list, i - 1)->nqn, ns->nqn) != 0)
			offer(typed, ns->nqn, "all connections to this subsystem");
	}
	memkv_fabric_free(list);
}

/* What usage says about the @nth word, without brackets and dots; false: no such word. */
static bool kind_of_word(const char *usage, size_t nth, char kind[KIND_BYTES])
{
	bool repeats = false, is_value = false; /* the word behind "--option" is its value */
	size_t seen = 0;

	for (const char *c = usage; *c && *c != '|'; c += strspn(c, " ")) {
		const char *word = c + (*c == '[');
		size_t letters = 0;
		while (isupper((unsigned char)word[letters]))
			letters++;
		if (letters > 1 && letters < KIND_BYTES && !is_value) {
			memcpy(kind, word, letters);
			kind[letters] = '\0';
			repeats = strncmp(word + letters, "...", 3) == 0;
			if (seen++ == nth)
				return true;
		}
		is_value = *word == '-';
		c += strcspn(c, " ");
	}
	return repeats;
}

static const char *complete_value(const char *typed, const char *value)
{
	if (!strcmp(value, "CLASS")) {
		offer(typed, "default", "what has no class of its own");
		offer(typed, "shared", "prefixes that many sessions use");
		offer(typed, "session", "one conversation's own state");
	}
	if (!strcmp(value, "TIME|off"))
		offer(typed, "off", "never");
	if (!strcmp(value, "SIZE|none"))
		offer(typed, "none", "no limit");
	return !strcmp(value, "FILE") ? ":files" : ":nothing";
}

/* The option that @word is, and whether it waits for a value in the next word. */
static bool waits_for_value(uint64_t allowed, const char *word, struct cli_option_text *option)
{
	for (size_t i = 0; cli_option_at(allowed, i, option); i++) {
		bool same = word[1] == '-' ? !strcmp(word + 2, option->name) : word[1] == option->letter && !word[2];
		if (same)
			return option->value && strcmp(option->name, "generate") != 0;
	}
	return false;
}

static const char *complete_word(const char *typed, const char *kind)
{
	if (!strcmp(kind, "POOL"))
		offer_pools(typed);
	if (!strcmp(kind, "VERB"))
		offer_verbs(typed, NULL);
	if (!strcmp(kind, "URI")) {
		offer(typed, "nvme+tcp://", "NVMe over TCP");
		offer(typed, "nvme+rdma://", "NVMe over RDMA");
	}
	if (!strcmp(kind, "TARGET"))
		offer_attached(typed);
	if (!strcmp(kind, "DIR"))
		return ":directories";
	return !strcmp(kind, "POOL") || !strcmp(kind, "FILE") || !strcmp(kind, "PATH") || !strcmp(kind, "TRACE")
		       ? ":files"
		       : ":nothing";
}

/* @argv: the words after the verb's name, the last one unfinished. */
static const char *complete_in_verb(const struct cli_verb *verb, int argc, char **argv)
{
	struct cli_option_text option;
	char kind[KIND_BYTES];
	const char *typed = argv[argc - 1];
	size_t words = 0;
	bool only_words = false;

	for (int i = 0; i < argc - 1; i++) {
		if (!only_words && !strcmp(argv[i], "--"))
			only_words = true;
		else if (!only_words && argv[i][0] == '-' && waits_for_value(verb->options, argv[i], &option)) {
			if (i == argc - 2)
				return complete_value(typed, option.value);
			i++;
			words += !strcmp(option.value, "TEXT"); /* --name TEXT stands for a KEY */
		} else if (only_words || argv[i][0] != '-') {
			words++;
		}
	}
	if (!only_words && typed[0] == '-') {
		offer_options(typed, verb->options);
		return ":nothing";
	}
	if (!strcmp(verb->name, "help") && words == 1) {
		offer_verbs(typed, argv[argc - 2]);
		return ":nothing";
	}
	return kind_of_word(verb->usage, words, kind) ? complete_word(typed, kind) : ":nothing";
}

int complete_print(int argc, char **argv)
{
	int words;
	const char *rest = ":nothing";

	if (argc < 1)
		return EXIT_DONE;
	/* the unfinished word is no part of the verb's name, even if it happens to be one */
	const struct cli_verb *verb = cli_verb_find(argc - 1, argv, &words);
	if (verb)
		rest = complete_in_verb(verb, argc - words, argv + words);
	else if (argc == 1)
		offer_verbs(argv[0], NULL);
	else if (argc == 2)
		offer_verbs(argv[1], argv[0]);
	puts(rest);
	return EXIT_DONE;
}
