/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files in and out of memory: what put stores, what get writes. */
#ifndef CLI_BLOCKFILE_H
#define CLI_BLOCKFILE_H

#include <stddef.h>

/**
 * struct blockfile - page-aligned memory that holds a file's bytes
 * @data: the bytes.
 * @length: their number.
 * @room: bytes mapped at @data.
 */
struct blockfile {
	void *data;
	size_t length;
	size_t room;
};

/**
 * blockfile_alloc() - page-aligned memory
 * @file: receives it, length 0; free with blockfile_fini().
 * @room: bytes, at least 1.
 *
 * Return: 0 or -ENOMEM.
 */
int blockfile_alloc(struct blockfile *file, size_t room);

/**
 * blockfile_read() - read a file to its end
 * @file: receives the bytes; free with blockfile_fini().
 * @path: the file, or NULL for standard input.
 * @most: more bytes than this are an error.
 *
 * Return: 0; -EFBIG when there are more than @most; or -errno.
 */
int blockfile_read(struct blockfile *file, const char *path, size_t most);

/**
 * blockfile_write() - write bytes so that the file is there whole or not at all
 * @path: the file to make or replace; what is not a regular file (a device, a pipe) is written to directly.
 * @data, @length: the bytes.
 *
 * A signal that ends the process removes the temporary file (interrupt.h).
 *
 * Return: 0 or -errno.
 */
int blockfile_write(const char *path, const void *data, size_t length);

/** blockfile_fini() - free the memory; the zeroed struct is fine */
void blockfile_fini(struct blockfile *file);

#endif
