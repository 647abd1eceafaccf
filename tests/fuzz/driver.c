/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target over every file of the folders (or files) that it is given, without libFuzzer. */
#include "fuzz.h"

#include <dirent.h>
#include <sys/stat.h>

static unsigned inputs;

static void run_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	struct stat st;

	if (!file || fstat(fileno(file), &st)) {
		fprintf(stderr, "cannot read %s\n", path);
		exit(1);
	}
	size_t size = (size_t)st.st_size;
	uint8_t *data = malloc(size + !size); /* of its very size: a sanitizer sees a step behind it */
	if (!data || fread(data, 1, size, file) != size)
		exit(1);
	fclose(file);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	inputs++;
}

static void run_folder(const char *folder)
{
	DIR *dir = opendir(folder);
	char path[4096];

	if (!dir) {
		run_file(folder);
		return;
	}
	for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		run_file(path);
	}
	closedir(dir);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		run_folder(argv[i]);
	printf("%u inputs\n", inputs);
	return inputs ? 0 : 1;
}
