/* SPDX-License-Identifier: Apache-2.0 */
/* See environ.h.  Whatever cannot be read stays zero: identity is for people and for later checks, never for safety. */
#include "core/base/environ.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

uint64_t clock_utc_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec > 0 ? (uint64_t)now.tv_sec : 0;
}

uint64_t clock_monotonic_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t clock_boot_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void clock_sleep_us(uint64_t us)
{
	struct timespec pause = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, &pause) == EINTR)
		;
}

size_t page_bytes(void)
{
	long bytes = sysconf(_SC_PAGESIZE);

	return bytes > 0 ? (size_t)bytes : 4096;
}

int random_fill(void *to, size_t length)
{
	uint8_t *at = to;

	while (length > 0) {
		ssize_t got = getrandom(at, length, 0);
		if (got < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		at += got;
		length -= (size_t)got;
	}
	return 0;
}

static size_t read_text(const char *path, char *to, size_t room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, to, room - 1);

	if (fd >= 0)
		close(fd);
	to[got > 0 ? got : 0] = 0;
	to[strcspn(to, "\r\n")] = 0;
	return strlen(to);
}

/* 32 hex digits, with or without dashes, into 16 bytes; anything else leaves zeros */
static void uuid_bytes(const char *text, uint8_t bytes[16])
{
	unsigned filled = 0;
	char pair[3] = {0};

	memset(bytes, 0, 16);
	for (; *text && filled < 16; text++) {
		if (*text == '-')
			continue;
		if (!text[1])
			break;
		memcpy(pair, text, 2);
		bytes[filled++] = (uint8_t)strtoul(pair, NULL, 16);
		text++;
	}
}

/* fields of /proc/PID/stat behind the command's name: 3 is the state, 22 the start in clock ticks since boot */
static char *stat_field(char *stat, int wanted)
{
	char *at = strrchr(stat, ')'); /* the name may hold blanks; it ends at the last parenthesis */

	for (int field = 2; at && field < wanted; field++)
		at = strchr(at + 1, ' ');
	return at;
}

static uint64_t process_start_ticks(void)
{
	char stat[1024];

	if (!read_text("/proc/self/stat", stat, sizeof(stat)))
		return 0;
	char *at = stat_field(stat, 22);
	return at ? strtoull(at, NULL, 10) : 0;
}

/* the letter of its state, 0: it is not there */
static char process_state(uint32_t pid, uint64_t process_start)
{
	char path[32], stat[1024];

	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	if (!read_text(path, stat, sizeof(stat)))
		return 0;
	char *state = stat_field(stat, 3), *start = stat_field(stat, 22);
	return state && start && strtoull(start, NULL, 10) == process_start ? state[1] : 0;
}

bool process_stopped(uint32_t pid, uint64_t process_start)
{
	char state = process_state(pid, process_start);

	return state == 'T' || state == 't';
}

bool process_ended(uint32_t pid, uint64_t process_start)
{
	char state = process_state(pid, process_start);

	return state == 0 || state == 'Z' || state == 'X';
}

void pause_us(uint32_t us)
{
	struct timespec pause = {.tv_sec = us / 1000000, .tv_nsec = (long)(us % 1000000) * 1000};

	nanosleep(&pause, NULL);
}

void identity_read(struct identity *id)
{
	char text[256];

	memset(id, 0, sizeof(*id));
	if (read_text("/etc/machine-id", text, sizeof(text)))
		uuid_bytes(text, id->machine);
	if (read_text("/etc/nvme/hostid", text, sizeof(text)))
		uuid_bytes(text, id->host_id);
	if (read_text("/etc/nvme/hostnqn", text, sizeof(text)))
		snprintf(id->host_nqn, sizeof(id->host_nqn), "%.223s", text);
	else if (id->machine[0])
		snprintf(id->host_nqn, sizeof(id->host_nqn),
			 "nqn.2014-08.org.nvmexpress:uuid:%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-"
			 "%02x%02x%02x%02x%02x%02x",
			 id->machine[0], id->machine[1], id->machine[2], id->machine[3], id->machine[4],
			 id->machine[5], id->machine[6], id->machine[7], id->machine[8], id->machine[9],
			 id->machine[10], id->machine[11], id->machine[12], id->machine[13], id->machine[14],
			 id->machine[15]);
	if (read_text("/proc/sys/kernel/random/boot_id", text, sizeof(text)))
		uuid_bytes(text, id->boot);
	id->pid = (uint32_t)getpid();
	id->process_start = process_start_ticks();
}
