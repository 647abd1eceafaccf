/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The raw side of a benchmark: one O_DIRECT command at a time through io_uring, and nothing else; or, where the medium
 * is memory, one memcpy.
 */
#ifndef CLI_BENCH_RAW_H
#define CLI_BENCH_RAW_H

#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench_raw {
	struct io_uring ring;
	bool open;
	uint8_t *memory; /* the mapped file, or NULL */
};

/** bench_raw_open() - a ring on @fd, or copies from and to @memory when that is not NULL; 0 or -errno */
int bench_raw_open(struct bench_raw *raw, int fd, uint8_t *memory);
void bench_raw_close(struct bench_raw *raw);

/** bench_raw_read(), bench_raw_write() - 0, or -errno (-EIO for a short transfer) */
int bench_raw_read(struct bench_raw *raw, void *to, size_t length, uint64_t offset);
int bench_raw_write(struct bench_raw *raw, const void *from, size_t length, uint64_t offset);

#endif
