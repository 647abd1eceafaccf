/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory comes from mmap() so that it is page-aligned (the library then needs no copy) and grows by mremap() without
 * one.  A file is written under a temporary name beside its own and renamed when every byte is in it.
 */
#include "cli/blockfile.h"

#include "cli/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_ROOM ((size_t)1 << 20)

int blockfile_alloc(struct blockfile *file, size_t room)
{
	void *data = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (data == MAP_FAILED)
		return -ENOMEM;
	*file = (struct blockfile){.data = data, .room = room};
	return 0;
}

void blockfile_fini(struct blockfile *file)
{
	if (file->data)
		munmap(file->data, file->room);
	*file = (struct blockfile){0};
}

/* Read @fd to its end into @file, at most @most bytes. */
static int read_all(struct blockfile *file, int fd, size_t most)
{
	for (;;) {
		if (file->length > most)
			return -EFBIG;
		if (file->length == file->room) {
			void *data = mremap(file->data, file->room, file->room * 2, MREMAP_MAYMOVE);
			if (data == MAP_FAILED)
				return -ENOMEM;
			file->data = data;
			file->room *= 2;
		}
		ssize_t got = read(fd, (char *)file->data + file->length, file->room - file->length);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (!got)
			return 0;
		file->length += (size_t)got;
	}
}

int blockfile_read(struct blockfile *file, const char *path, size_t most)
{
	struct blockfile made;
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;

	if (fd < 0)
		return -errno;
	int rc = blockfile_alloc(&made, FIRST_ROOM);
	if (!rc) {
		rc = read_all(&made, fd, most);
		if (rc)
			blockfile_fini(&made);
		else
			*file = made;
	}
	if (path)
		close(fd);
	return rc;
}

static int write_all(int fd, const char *data, size_t length)
{
	while (length) {
		ssize_t put = write(fd, data, length);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		data += put;
		length -= (size_t)put;
	}
	return 0;
}

static int write_in_place(const char *path, const void *data, size_t length)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	int rc = write_all(fd, data, length);
	if (close(fd) && !rc)
		rc = -errno;
	return rc;
}

/* Write @temporary (a mkstemp() template) and rename it to @path. */
static int write_and_rename(char *temporary, const char *path, const void *data, size_t length)
{
	int fd = interrupt_make_file(temporary);

	if (fd < 0)
		return fd;
	mode_t mask = umask(0);
	umask(mask);
	int rc = write_all(fd, data, length);
	if (!rc && fchmod(fd, 0666 & ~mask))
		rc = -errno;
	if (close(fd) && !rc)
		rc = -errno;
	if (!rc && rename(temporary, path))
		rc = -errno;
	if (rc)
		unlink(temporary);
	interrupt_keep_file();
	return rc;
}

int blockfile_write(const char *path, const void *data, size_t length)
{
	char target[PATH_MAX], temporary[PATH_MAX + 16];
	struct stat st;

	/* A symbolic link stays; the file that it names is replaced. */
	if (!realpath(path, target)) {
		if (errno != ENOENT)
			return -errno;
		if (snprintf(target, sizeof(target), "%s", path) >= (int)sizeof(target))
			return -ENAMETOOLONG;
	}
	if (!stat(target, &st) && !S_ISREG(st.st_mode))
		return write_in_place(target, data, length);
	snprintf(temporary, sizeof(temporary), "%s.XXXXXX", target);
	return write_and_rename(temporary, target, data, length);
}
