/* SPDX-License-Identifier: Apache-2.0 */
/* Pools opened for one verb, keys out of words, and the question before harm. */
#include "cli/access.h"

#include "cli/address.h"
#include "cli/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int access_open(const char *path, enum access_mode mode, struct memkv_pool **pool)
{
	struct memkv_pool_options options = {
		.size = sizeof(options),
		.flags = MEMKV_OPEN_NO_FOLLOWER | (mode == ACCESS_READ ? MEMKV_OPEN_READ_ONLY : MEMKV_OPEN_CLI),
	};
	int rc = memkv_pool_open(path, &options, pool);

	return rc < 0 ? report_library(rc, path) : 0;
}

static int key_of_word(const struct cli_args *args, const struct cli_word *word, struct memkv_key *key)
{
	if (word->is_name) {
		int rc = memkv_key_from_name("", word->text, strlen(word->text), key);
		return rc < 0 ? report_library(rc, "--name") : 0;
	}
	if (memkv_key_from_hex(word->text, key) < 0)
		return report_usage(args->verb, "'%s' is not a key: 64 hex digits, or --name TEXT", word->text);
	return 0;
}

/* The first word that is no name; @at receives where the next one may be. */
static const char *next_plain(const struct cli_args *args, size_t *at)
{
	for (; *at < args->words; (*at)++)
		if (!args->word[*at].is_name)
			return args->word[(*at)++].text;
	return NULL;
}

/* POOL as it stands on the command line; its meaning is looked for when everything else there is right. */
static int take_pool(const struct cli_args *args, size_t *at, const char **path)
{
	*path = next_plain(args, at);
	if (!*path || !**path)
		return report_usage(args->verb, "POOL is missing");
	return 0;
}

static int only_pool(const struct cli_args *args, const char **path)
{
	size_t at = 0;

	if (take_pool(args, &at, path))
		return EXIT_USAGE;
	const char *extra = next_plain(args, &at);
	return extra ? report_usage(args->verb, "'%s' is one word too many", extra) : 0;
}

int access_place(const struct cli_args *args, const char **path)
{
	int rc = only_pool(args, path);

	return rc ? rc : address_place(args->verb, *path, path);
}

int access_pool(const struct cli_args *args, const char **path)
{
	int rc = only_pool(args, path);

	return rc ? rc : address_resolve(args->verb, *path, path);
}

int access_pool_key(const struct cli_args *args, const char **path, struct memkv_key *key, const char **file)
{
	const struct cli_word *name = NULL;
	size_t at = 0;

	if (take_pool(args, &at, path))
		return EXIT_USAGE;
	for (size_t i = 0; i < args->words; i++) {
		if (args->word[i].is_name && name)
			return report_usage(args->verb, "--name is given twice");
		if (args->word[i].is_name)
			name = &args->word[i];
	}
	struct cli_word hex = {.text = name ? NULL : next_plain(args, &at)};
	if (!name && !hex.text)
		return report_usage(args->verb, "KEY is missing: 64 hex digits, or --name TEXT");
	if (key_of_word(args, name ? name : &hex, key))
		return EXIT_USAGE;
	const char *extra = next_plain(args, &at);
	if (file) {
		*file = extra;
		extra = extra ? next_plain(args, &at) : NULL;
	}
	if (extra)
		return report_usage(args->verb, "'%s' is one word too many", extra);
	return address_resolve(args->verb, *path, path);
}

int access_pool_keys(const struct cli_args *args, const char **path, struct memkv_key **keys, size_t *count)
{
	size_t at = 0, found = 0;

	if (take_pool(args, &at, path))
		return EXIT_USAGE;
	struct memkv_key *list = calloc(args->words, sizeof(*list));
	if (!list)
		return report_failed(-ENOMEM, "out of memory");
	for (size_t i = 0; i < args->words; i++) {
		if (i == at - 1)
			continue; /* POOL itself */
		int rc = key_of_word(args, &args->word[i], &list[found++]);
		if (rc) {
			free(list);
			return rc;
		}
	}
	int rc = address_resolve(args->verb, *path, path);
	if (rc) {
		free(list);
		return rc;
	}
	*keys = list;
	*count = found;
	return 0;
}

int access_confirm(const struct cli_args *args, const char *question, ...)
{
	char answer[16], text[1024];
	va_list arguments;

	if (args->given[OPT_YES])
		return 0;
	if (!isatty(STDIN_FILENO))
		return report_usage(args->verb, "this cannot be undone: say --yes (or --dry-run to look first)");
	va_start(arguments, question);
	vsnprintf(text, sizeof(text), question, arguments);
	va_end(arguments);
	report_safe_text(stderr, text);
	fputs(" [y/N] ", stderr);
	if (fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
		return 0;
	return report_failed(-EPERM, "not done");
}
