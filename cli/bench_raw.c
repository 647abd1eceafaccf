/* SPDX-License-Identifier: Apache-2.0 */
/* See bench_raw.h. */
#include "cli/bench_raw.h"

#include <errno.h>
#include <string.h>

int bench_raw_open(struct bench_raw *raw, int fd, uint8_t *memory)
{
	raw->memory = memory;
	if (memory)
		return 0;
	int err = io_uring_queue_init(4, &raw->ring, 0);
	if (err)
		return err;
	raw->open = true;
	return io_uring_register_files(&raw->ring, &fd, 1);
}

void bench_raw_close(struct bench_raw *raw)
{
	if (raw->open)
		io_uring_queue_exit(&raw->ring);
	raw->open = false;
}

static int run(struct bench_raw *raw, struct io_uring_sqe *sqe, size_t length)
{
	struct io_uring_cqe *cqe;

	sqe->flags |= IOSQE_FIXED_FILE;
	int err = io_uring_submit_and_wait(&raw->ring, 1);
	if (err < 0)
		return err;
	err = io_uring_wait_cqe(&raw->ring, &cqe);
	if (err)
		return err;
	int moved = cqe->res;
	io_uring_cqe_seen(&raw->ring, cqe);
	return moved < 0 ? moved : (size_t)moved == length ? 0 : -EIO;
}

int bench_raw_read(struct bench_raw *raw, void *to, size_t length, uint64_t offset)
{
	if (raw->memory) {
		memcpy(to, raw->memory + offset, length);
		return 0;
	}
	struct io_uring_sqe *sqe = io_uring_get_sqe(&raw->ring);
	io_uring_prep_read(sqe, 0, to, (unsigned)length, offset);
	return run(raw, sqe, length);
}

int bench_raw_write(struct bench_raw *raw, const void *from, size_t length, uint64_t offset)
{
	if (raw->memory) {
		memcpy(raw->memory + offset, from, length);
		return 0;
	}
	struct io_uring_sqe *sqe = io_uring_get_sqe(&raw->ring);
	io_uring_prep_write(sqe, 0, from, (unsigned)length, offset);
	return run(raw, sqe, length);
}
