/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is a device: CXL, DAX; and memory that hosts share (doctor.h). */
#include "cli/doctor.h"

#include <ctype.h>
#include <dirent.h>
#include <memkv/memkv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* has the word its place in a line of words? */
static bool has_word(const char *line, const char *word)
{
	size_t length = strlen(word);

	for (const char *at = line; (at = strstr(at, word)); at += length)
		if ((at == line || isspace((unsigned char)at[-1])) && (!at[length] || isspace((unsigned char)at[length])))
			return true;
	return false;
}

/* the first line of /proc/cpuinfo that begins with @name; false: there is none */
static bool processor_line(const char *name, char *line, size_t room)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	bool found = false;

	while (file && !found && fgets(line, (int)room, file))
		found = !strncmp(line, name, strlen(name));
	if (file)
		fclose(file);
	return found;
}

/* what memory is read and written with whose hosts are not coherent */
static void look_at_instructions(struct findings *all)
{
	static char line[16384];
	struct utsname machine;
	const char *what = "cache instructions";

	if (uname(&machine))
		return;
	if (!strcmp(machine.machine, "aarch64")) {
		finding_add(all, "cxl", what, FINDING_OK, "", "DC CIVAC, DC CVAC");
	} else if (!strcmp(machine.machine, "x86_64") && processor_line("flags", line, sizeof(line))) {
		bool opt = has_word(line, "clflushopt"), back = has_word(line, "clwb");
		finding_add(all, "cxl", what, FINDING_OK, "", "%s, %s", opt ? "CLFLUSHOPT" : "CLFLUSH (slow)",
			    back ? "CLWB" : "no CLWB: lines that are written back leave the caches");
	} else {
		finding_add(all, "cxl", what, FINDING_LACKS, "", "none that memkv knows on %s; pool create --coherent no is refused",
			    machine.machine);
	}
}

static const char *coherence(const char *path)
{
	struct memkv_pool_options options = {
		.size = sizeof(options), .flags = MEMKV_OPEN_READ_ONLY | MEMKV_OPEN_NO_FOLLOWER, .lanes = 1};
	struct memkv_pool_info info;
	struct memkv_pool *pool;

	if (memkv_pool_open(path, &options, &pool))
		return "no pool that can be opened";
	bool coherent = memkv_pool_describe(pool, &info) == 0 && info.coherent;
	memkv_pool_close(pool);
	return coherent ? "a pool for one host, or hosts that are coherent (if they are not: pool create --coherent no)"
			: "a pool for hosts that are not coherent";
}

static void look_at_device(struct findings *all, const char *name)
{
	char path[300], text[64] = "";
	struct memkv_pool_label label = {.size = sizeof(label)};

	snprintf(path, sizeof(path), "/sys/bus/dax/devices/%s/size", name);
	doctor_read(path, text, sizeof(text));
	double gib = (double)strtoull(text, NULL, 10) / (double)(1 << 30);
	snprintf(path, sizeof(path), "/dev/%s", name);
	if (access(path, R_OK | W_OK))
		finding_add(all, "cxl", "DAX device", FINDING_LACKS, "run as root, or give the device's node to your group",
			    "%s, %.1f GiB, cannot be read and written by this user", path, gib);
	else
		finding_add(all, "cxl", "DAX device", FINDING_OK, "", "%s, %.1f GiB: %s", path, gib,
			    memkv_pool_probe(path, &label) ? "no pool" : coherence(path));
}

void doctor_cxl(struct findings *all)
{
	size_t memory = doctor_count("/sys/bus/cxl/devices", "mem"), dax = doctor_count("/dev", "dax");
	DIR *dir = dax ? opendir("/dev") : NULL;
	struct dirent *entry;

	finding_add(all, "cxl", "CXL memory devices", FINDING_INFO, "", "%zu", memory);
	if (dax)
		finding_add(all, "cxl", "/dev/dax*", FINDING_OK, "", "%zu", dax);
	else
		finding_add(all, "cxl", "/dev/dax*", FINDING_LACKS,
			    doctor_count("/sys/bus/dax/devices", "dax") ? "daxctl reconfigure-device --mode=devdax dax0.0" : "",
			    "none");
	while (dir && (entry = readdir(dir)))
		if (!strncmp(entry->d_name, "dax", 3))
			look_at_device(all, entry->d_name);
	if (dir)
		closedir(dir);
	doctor_module(all, "cxl", "device_dax");
	doctor_module(all, "cxl", "cxl_mem");
	doctor_program(all, "cxl", "daxctl", "daxctl");
	doctor_program(all, "cxl", "ndctl", "ndctl");
	doctor_program(all, "cxl", "cxl", "ndctl");
	look_at_instructions(all);
}
