/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target over corpora (corpus.py: an input a line, in hexadecimal), without libFuzzer. */
#include "fuzz.h"

static unsigned inputs;

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void run_line(const char *line, const char *path)
{
	size_t size = strspn(line, "0123456789abcdef") / 2;
	uint8_t *data = malloc(size + !size); /* of its very size: a sanitizer sees a step behind it */

	if (!data || line[2 * size] != '\n') {
		fprintf(stderr, "%s: input %u is not a line of hexadecimal digits\n", path, inputs);
		exit(1);
	}
	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)(digit(line[2 * i]) << 4 | digit(line[2 * i + 1]));
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	inputs++;
}

static void run_corpus(const char *path)
{
	FILE *file = fopen(path, "r");
	char *line = NULL;
	size_t room = 0;

	if (!file) {
		fprintf(stderr, "cannot read %s\n", path);
		exit(1);
	}
	while (getline(&line, &room, file) > 0)
		run_line(line, path);
	free(line);
	fclose(file);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		run_corpus(argv[i]);
	printf("%u inputs\n", inputs);
	return inputs ? 0 : 1;
}
