/* SPDX-License-Identifier: Apache-2.0 */
/* NVMe commands of our own: their fields, how transfers are cut, what a namespace must be like, what results mean. */
#include "core/base/bytes.h"
#include "core/media/nvme_command.h"
#include "core/media/nvme_sysfs.h"

#include "unit.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { ANSWER = 4096 };

/* an answer to Identify Namespace: format @format is chosen, and is the only one that is filled in */
static void make_answer(uint8_t answer[ANSWER], uint64_t blocks, unsigned format, unsigned shift, unsigned metadata)
{
	le64 size = le64_of(blocks);

	memset(answer, 0, ANSWER);
	memcpy(answer, &size, sizeof(size));
	answer[26] = (uint8_t)((format & 0xf) | (format >> 4 & 3) << 5);
	answer[128 + format * 4] = (uint8_t)metadata;
	answer[128 + format * 4 + 1] = (uint8_t)(metadata >> 8);
	answer[128 + format * 4 + 2] = (uint8_t)shift;
}

START_TEST(shape_from_every_format)
{
	uint8_t answer[ANSWER];

	for (unsigned format = 0; format < 64; format++) {
		for (unsigned shift = 0; shift < 16; shift++) {
			struct nvme_shape shape = {0};
			make_answer(answer, 1 << 20, format, shift, 0);
			const char *why = nvme_shape_of(answer, 7, 1ULL << (20 + shift), 1 << 20, 0, &shape);
			if (shift < 9 || shift > 12) {
				ck_assert_msg(why && strstr(why, "logical blocks"), "shift %u: %s", shift, why);
				continue;
			}
			ck_assert_msg(!why, "format %u, shift %u: %s", format, shift, why);
			ck_assert_uint_eq(shape.nsid, 7);
			ck_assert_uint_eq(shape.lba_shift, shift);
			ck_assert_uint_eq(shape.most, 1 << 20);
		}
	}
}
END_TEST

START_TEST(shapes_that_are_refused)
{
	struct nvme_shape shape = {0};
	uint8_t answer[ANSWER];

	for (unsigned metadata = 1; metadata < 1 << 16; metadata <<= 1) {
		make_answer(answer, 1000, 3, 9, metadata);
		const char *why = nvme_shape_of(answer, 1, 512000, 0, 0, &shape);
		ck_assert_msg(why && strstr(why, "metadata"), "%u bytes: %s", metadata, why);
	}
	make_answer(answer, 1000, 0, 9, 0);
	ck_assert_ptr_nonnull(strstr(nvme_shape_of(answer, 1, 512 * 999, 0, 0, &shape), "not as large"));
	ck_assert_ptr_nonnull(strstr(nvme_shape_of(answer, 1, 512000, 2048, 0, &shape), "less than 4 KiB"));
	ck_assert_uint_eq(shape.most, 0); /* nothing was written */
	ck_assert_ptr_null(nvme_shape_of(answer, 1, 512000, 4096, 0, &shape));
	ck_assert_uint_eq(shape.most, 4096);
}
END_TEST

/* bytes, pieces of memory -> what a command carries */
START_TEST(limits_of_a_command)
{
	static const struct {
		uint64_t transfer, segments;
		uint32_t most;
	} cases[] = {
		{0, 0, 128 << 10},	  /* the kernel says nothing */
		{128 << 10, 0, 128 << 10},
		{512 << 10, 127, 512 << 10},
		{1 << 20, 65535, 1 << 20},
		{2 << 20, 65535, (1 << 20) + (64 << 10)},
		{(uint64_t)2147483647 * 1024, 65535, (1 << 20) + (64 << 10)}, /* nvme-tcp's "no limit" */
		{130 << 10, 0, 128 << 10}, /* never a part of a page */
	};
	struct nvme_shape shape;
	uint8_t answer[ANSWER];

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		make_answer(answer, 1 << 20, 0, 12, 0);
		ck_assert_ptr_null(nvme_shape_of(answer, 1, 1ULL << 32, cases[i].transfer, cases[i].segments, &shape));
		ck_assert_msg(shape.most == cases[i].most, "case %zu: %u", i, shape.most);
		ck_assert_uint_eq(shape.segments, cases[i].segments ? cases[i].segments : 32);
	}
}
END_TEST

/* the pages that memory lies in */
static uint64_t pages_of(const struct iovec *pieces, size_t bytes)
{
	uint64_t pages = 0;

	for (; bytes > 0; pieces++) {
		uint64_t from = (uintptr_t)pieces->iov_base, length = pieces->iov_len < bytes ? pieces->iov_len : bytes;
		pages += (from + length - 1) / 4096 - from / 4096 + 1;
		bytes -= length;
	}
	return pages;
}

/* memory in pieces that begin and end anywhere: never too many pages, and as much as can be */
START_TEST(memory_in_pieces)
{
	uint64_t random = 7;

	for (int run = 0; run < 20000; run++) {
		struct nvme_shape shape = {.nsid = 1, .lba_shift = 9 + (unsigned)(random_next(&random) % 4)};
		uint64_t block = 1ULL << shape.lba_shift, all = 0;
		shape.most = 4096 * (1 + (uint32_t)(random_next(&random) % 256));
		shape.segments = 2 + (uint32_t)(random_next(&random) % 130);
		struct iovec pieces[3];
		unsigned count = 1 + (unsigned)(random_next(&random) % 3);
		for (unsigned i = 0; i < count; i++) {
			pieces[i].iov_base = (void *)(uintptr_t)((1 + random_next(&random) % 1000) * 512);
			pieces[i].iov_len = (1 + random_next(&random) % 300) * 4096;
			all += pieces[i].iov_len;
		}
		size_t bytes = nvme_command_bytes(&shape, pieces, count);
		ck_assert(bytes > 0 || shape.segments < count + 1);
		ck_assert(bytes % block == 0 && bytes <= shape.most && bytes <= all);
		ck_assert_uint_le(bytes ? pages_of(pieces, bytes) : 0, shape.segments);
		if (bytes < shape.most && bytes < all)
			ck_assert_uint_gt(pages_of(pieces, bytes + block), shape.segments);
	}
}
END_TEST

/* every transfer, cut into commands, is covered once, in order, and none is too large; fields say what was asked */
START_TEST(transfers_are_cut_and_covered)
{
	uint64_t random = 1;

	for (int run = 0; run < 20000; run++) {
		struct nvme_shape shape = {.nsid = 1 + (uint32_t)(random_next(&random) % 1000),
					   .lba_shift = 9 + (unsigned)(random_next(&random) % 4)};
		uint64_t block = 1ULL << shape.lba_shift;
		shape.most = 4096 * (1 + (uint32_t)(random_next(&random) % 256));
		shape.segments = 1 << 20;
		uint64_t start = random_next(&random) % (1ULL << 50) / 4096 * 4096, at = start;
		uint64_t left = 4096 * (1 + random_next(&random) % 1024), commands = 0;
		uint64_t wanted = div_up(left, shape.most);
		bool write = random_next(&random) & 1;
		while (left > 0) {
			struct nvme_uring_cmd c;
			struct iovec rest = {(void *)(uintptr_t)(at % (1 << 30) / 4096 * 4096), left};
			size_t bytes = nvme_command_bytes(&shape, &rest, 1);
			ck_assert_int_eq(nvme_command_io(&shape, write ? NVME_WRITE : NVME_READ, at, bytes, &c), 0);
			ck_assert_uint_eq(c.opcode, write ? 1 : 2);
			ck_assert_uint_eq(c.nsid, shape.nsid);
			ck_assert_uint_eq(((uint64_t)c.cdw11 << 32 | c.cdw10) * block, at);
			ck_assert_uint_eq(((uint64_t)(c.cdw12 & 0xffff) + 1) * block, bytes);
			ck_assert_uint_eq(c.cdw12 & ~0xffffU, 0);
			ck_assert(c.flags == 0 && c.metadata == 0 && c.metadata_len == 0 && c.cdw13 == 0 && c.cdw14 == 0 &&
				  c.cdw15 == 0 && c.cdw2 == 0 && c.cdw3 == 0 && c.timeout_ms == 0);
			at += bytes;
			left -= bytes;
			commands++;
		}
		ck_assert_uint_eq(commands, wanted);
	}
}
END_TEST

START_TEST(bad_ranges)
{
	struct nvme_shape shape = {.nsid = 1, .lba_shift = 12, .most = 65536, .segments = 17};
	struct nvme_uring_cmd c = {.opcode = 99};

	ck_assert_int_eq(nvme_command_io(&shape, NVME_WRITE, 0, 0, &c), -EINVAL);
	ck_assert_int_eq(nvme_command_io(&shape, NVME_WRITE, 512, 4096, &c), -EINVAL);
	ck_assert_int_eq(nvme_command_io(&shape, NVME_WRITE, 4096, 4096 + 512, &c), -EINVAL);
	ck_assert_int_eq(nvme_command_io(&shape, NVME_WRITE, 4096, 65536 + 4096, &c), -EINVAL);
	ck_assert_uint_eq(c.opcode, 99);
	nvme_command_flush(&shape, &c);
	ck_assert(c.opcode == 0 && c.nsid == 1 && c.cdw10 == 0 && c.cdw12 == 0 && c.addr == 0 && c.data_len == 0);
}
END_TEST

START_TEST(results)
{
	static const struct {
		int result, error;
	} cases[] = {
		{0, 0},
		{-EINTR, -ENOLINK}, /* cancelled */
		{-EINVAL, -ENOLINK},
		{-ENODEV, -ENODEV},
		{0x370, -ENOLINK}, /* host path error */
		{0x4371, -ENOLINK}, /* aborted by the host; do not retry */
		{0x302, -ENOLINK}, /* path inaccessible */
		{0x280, -ENODATA}, /* write fault */
		{0x2281, -ENODATA}, /* unrecovered read error; more */
		{0x282, -EILSEQ},
		{0x284, -EILSEQ},
		{0x286, -EBADE},
		{0x4020, -EROFS},
		{0x80, -ENOSPC},
		{0x4001, -EPROTO},
		{0x4002, -EPROTO},
		{0x400b, -ENODEV},
		{0x6, -EIO},
	};

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
		ck_assert_msg(nvme_command_errno(cases[i].result) == cases[i].error, "0x%x: %d", (unsigned)cases[i].result,
			      nvme_command_errno(cases[i].result));
	/* whatever a device answers is an error, and never one that lets the command go another way */
	for (int status = 1; status < 1 << 15; status++) {
		int err = nvme_command_errno(status);
		ck_assert_msg((status & 0x7ff) ? err < 0 : true, "0x%x", (unsigned)status);
		ck_assert_msg(err != -EAGAIN && err != -EINTR && !nvme_command_refused(err), "0x%x: %d", (unsigned)status, err);
		ck_assert(!nvme_command_refused(status));
	}
	ck_assert(nvme_command_refused(-EACCES) && nvme_command_refused(-EPERM) && nvme_command_refused(-EOPNOTSUPP) &&
		  nvme_command_refused(-ENOTTY) && nvme_command_refused(-ENOSYS));
	ck_assert(!nvme_command_refused(0) && !nvme_command_refused(-EIO) && !nvme_command_refused(-EINTR) &&
		  !nvme_command_refused(-ENOLINK));
}
END_TEST

/* ---- sysfs ---- */

static char root[64];

static void make_file(const char *path, const char *text)
{
	char full[256], command[320];

	snprintf(full, sizeof(full), "%s/%s", root, path);
	snprintf(command, sizeof(command), "mkdir -p \"$(dirname %s)\"", full);
	ck_assert_int_eq(system(command), 0);
	FILE *file = fopen(full, "w");
	ck_assert_ptr_nonnull(file);
	fprintf(file, "%s\n", text);
	fclose(file);
}

static void make_link(const char *path, const char *target)
{
	char full[256], full_target[256];

	snprintf(full, sizeof(full), "%s/%s", root, path);
	snprintf(full_target, sizeof(full_target), "%s/%s", root, target);
	ck_assert_int_eq(symlink(full_target, full), 0);
}

START_TEST(character_device)
{
	char generic[64], command[96];
	uint64_t transfer, segments;
	dev_t number;

	snprintf(root, sizeof(root), "/tmp/memkv-generic-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	make_file("sys/devices/nvme-subsys3/nqn", "x");
	make_file("sys/devices/nvme-subsys4/nqn", "x");
	make_file("sys/class/block/nvme3n12/queue/max_hw_sectors_kb", "512");
	make_file("sys/class/block/nvme3n12/queue/max_segments", "127");
	make_link("sys/class/block/nvme3n12/device", "sys/devices/nvme-subsys3");
	ck_assert(nvme_limits_read(root, "nvme3n12", &transfer, &segments));
	ck_assert(transfer == 512 << 10 && segments == 127);
	ck_assert(!nvme_generic_find(root, "nvme3n12", generic, &number)); /* an old kernel */
	make_file("sys/class/nvme-generic/ng3n12/dev", "241:5");
	make_link("sys/class/nvme-generic/ng3n12/device", "sys/devices/nvme-subsys3");
	ck_assert(nvme_generic_find(root, "nvme3n12", generic, &number));
	ck_assert_str_eq(generic, "ng3n12");
	ck_assert(number == makedev(241, 5));
	/* the same name elsewhere is another's */
	make_file("sys/class/nvme-generic/ng4n1/dev", "241:6");
	make_link("sys/class/nvme-generic/ng4n1/device", "sys/devices/nvme-subsys3");
	make_file("sys/class/block/nvme4n1/queue/max_segments", "127");
	make_link("sys/class/block/nvme4n1/device", "sys/devices/nvme-subsys4");
	ck_assert(!nvme_generic_find(root, "nvme4n1", generic, &number));
	ck_assert(!nvme_generic_find(root, "nvme3n12p1", generic, &number) &&
		  !nvme_limits_read(root, "nvme3n12p1", &transfer, &segments));
	ck_assert(!nvme_limits_read(root, "loop0", &transfer, &segments));
	snprintf(command, sizeof(command), "rm -r %s", root);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

int main(void)
{
	return unit_run("nvme_command",
			(const TTest *const[]){shape_from_every_format, shapes_that_are_refused, limits_of_a_command, memory_in_pieces,
					       transfers_are_cut_and_covered, bad_ranges, results, character_device, NULL});
}
