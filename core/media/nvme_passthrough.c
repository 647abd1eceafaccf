/* SPDX-License-Identifier: Apache-2.0 */
/* See nvme_passthrough.h. */
#include "core/media/nvme_passthrough.h"
#include "core/base/bytes.h"
#include "core/base/log.h"
#include "core/media/nvme_sysfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <liburing.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { IDENTIFY = 0x06, IDENTIFY_BYTES = 4096 };

__attribute__((format(printf, 2, 3))) static void say(struct nvme_passthrough *p, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(p->way, sizeof(p->way), format, arguments);
	va_end(arguments);
}

/* ---- the character device ---- */

/* the block device's name in the kernel, whatever its node is called: "nvme0n1"; false: it is no namespace */
static bool name_of(int block, char name[64], uint64_t *transfer, uint64_t *segments)
{
	char link[64], resolved[PATH_MAX];
	struct stat st;

	if (fstat(block, &st) || !S_ISBLK(st.st_mode))
		return false;
	snprintf(link, sizeof(link), "/sys/dev/block/%u:%u", major(st.st_rdev), minor(st.st_rdev));
	if (!realpath(link, resolved))
		return false;
	snprintf(name, 64, "%.63s", strrchr(resolved, '/') + 1);
	return nvme_limits_read("", name, transfer, segments);
}

/* the node must be what the kernel says it is: an old one may have another device's number */
static int open_node(struct nvme_passthrough *p, const char *name, char generic[64], bool read_only)
{
	char node[80];
	dev_t number;
	struct stat st;

	if (!nvme_generic_find("", name, generic, &number)) {
		say(p, "by block I/O: the kernel shows no character device for %s", name);
		return -1;
	}
	snprintf(node, sizeof(node), "/dev/%s", generic);
	int fd = open(node, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (fd < 0) {
		say(p, "by block I/O: %s cannot be opened: %s", node, strerror(errno));
		return -1;
	}
	if (fstat(fd, &st) || !S_ISCHR(st.st_mode) || st.st_rdev != number) {
		say(p, "by block I/O: %s is not the node of that device", node);
		close(fd);
		return -1;
	}
	return fd;
}

static bool learn_shape(struct nvme_passthrough *p, const char *generic, uint64_t bytes, uint64_t transfer, uint64_t segments)
{
	uint8_t *answer = aligned_alloc(IDENTIFY_BYTES, IDENTIFY_BYTES);
	int nsid = ioctl(p->fd, NVME_IOCTL_ID);
	const char *why = NULL;
	int result = answer && nsid > 0 ? 0 : -ENODEV;

	if (!result) {
		struct nvme_admin_cmd identify = {
			.opcode = IDENTIFY, .nsid = (uint32_t)nsid, .addr = (uint64_t)(uintptr_t)answer, .data_len = IDENTIFY_BYTES};
		result = ioctl(p->fd, NVME_IOCTL_ADMIN_CMD, &identify);
		result = result < 0 ? -errno : result;
	}
	if (result)
		say(p, "by block I/O: %s cannot be asked what it is: %s%s", generic,
		    strerror(-nvme_command_errno(result)),
		    nvme_command_refused(result) ? " (before Linux 6.2, root only)" : "");
	else if ((why = nvme_shape_of(answer, (uint32_t)nsid, bytes, transfer, segments, &p->shape)))
		say(p, "by block I/O: %s %s", generic, why);
	free(answer);
	return !result && !why;
}

/* ---- does the kernel take commands by io_uring, and from us? ---- */

void nvme_passthrough_prepare(const struct nvme_passthrough *p, const struct nvme_uring_cmd *command, bool list,
			      struct io_uring_sqe *sqe)
{
	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, p->fd, NULL, 0, 0);
	sqe->cmd_op = list ? NVME_URING_CMD_IO_VEC : NVME_URING_CMD_IO;
	/* the command lies over the entry's end and what follows it */
	memcpy((uint8_t *)sqe + offsetof(struct io_uring_sqe, cmd), command, sizeof(*command));
}

static int try_command(const struct nvme_passthrough *p, void *memory, size_t bytes)
{
	struct io_uring ring;
	struct io_uring_cqe *cqe;
	struct nvme_uring_cmd command;
	int err = nvme_command_io(&p->shape, NVME_READ, 0, bytes, &command);

	if (!err)
		err = io_uring_queue_init(1, &ring, IORING_SETUP_SQE128 | IORING_SETUP_CQE32);
	if (err)
		return err;
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
	command.addr = (uint64_t)(uintptr_t)memory;
	command.data_len = (uint32_t)bytes;
	nvme_passthrough_prepare(p, &command, false, sqe);
	do
		err = io_uring_submit_and_wait(&ring, 1);
	while (err == -EINTR);
	if (err >= 0)
		err = io_uring_wait_cqe(&ring, &cqe);
	if (!err)
		err = cqe->res;
	io_uring_queue_exit(&ring);
	return err;
}

static bool command_works(struct nvme_passthrough *p, const char *generic)
{
	size_t bytes = (size_t)1 << p->shape.lba_shift;
	void *memory = aligned_alloc(bytes, bytes);
	int result = memory ? try_command(p, memory, bytes) : -ENOMEM;

	free(memory);
	if (!result)
		return true;
	say(p, "by block I/O: the kernel takes no commands by io_uring for %s: %s%s", generic,
	    strerror(result < 0 ? -result : -nvme_command_errno(result)),
	    result == -EINVAL		   ? " (before Linux 5.19, none)"
	    : nvme_command_refused(result) ? " (before Linux 6.2, root only)"
					   : "");
	return false;
}

/* ---- open and close ---- */

/* is no network between? */
static bool is_local(const char *name)
{
	struct nvme_namespace ns;

	if (nvme_namespace_read("", name, &ns))
		return false;
	for (unsigned i = 0; i < ns.paths; i++)
		if (strcmp(ns.path[i].transport, "pcie"))
			return false;
	return ns.paths > 0;
}

void nvme_passthrough_open(int block, uint64_t bytes, bool read_only, bool shared, struct nvme_passthrough *p)
{
	const char *wish = getenv("MEMKV_PASSTHROUGH");
	char name[64], generic[64];
	uint64_t transfer, segments;

	*p = (struct nvme_passthrough){.fd = -1};
	if (!name_of(block, name, &transfer, &segments))
		return;
	bool local = is_local(name);
	p->reads = wish ? !strcmp(wish, "all") : local;
	p->writes = !read_only && (wish || local || shared);
	if (wish && !strcmp(wish, "off")) {
		say(p, "by block I/O: MEMKV_PASSTHROUGH is off");
		return;
	}
	if (!p->reads && !p->writes) {
		say(p, "by block I/O");
		return;
	}
	p->fd = open_node(p, name, generic, read_only);
	if (p->fd >= 0 && !(learn_shape(p, generic, bytes, transfer, segments) && command_works(p, generic)))
		nvme_passthrough_close(p);
	if (p->fd >= 0)
		say(p, "%sNVMe passthrough (/dev/%s)%s%s", read_only ? "reads by " : p->reads ? "reads and writes by " : "writes by ",
		    generic, wish || local ? "" : " where several hosts write", p->reads ? "" : ", reads by block I/O");
}

void nvme_passthrough_renew(struct nvme_passthrough *p, const struct nvme_passthrough *found)
{
	if (p->fd < 0)
		return; /* block I/O, as before */
	/* other logical blocks: a command that is being built beside this would go to another place */
	if (found->fd < 0 || found->shape.lba_shift != p->shape.lba_shift || dup3(found->fd, p->fd, O_CLOEXEC) < 0)
		atomic_store(&p->refused, true);
	else
		p->shape = found->shape;
}

void nvme_passthrough_close(struct nvme_passthrough *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}

/* ---- single commands ---- */

static int send_command(const struct nvme_passthrough *p, const struct nvme_uring_cmd *c)
{
	struct nvme_passthru_cmd64 command = {
		.opcode = c->opcode,
		.nsid = c->nsid,
		.addr = c->addr,
		.data_len = c->data_len,
		.cdw10 = c->cdw10,
		.cdw11 = c->cdw11,
		.cdw12 = c->cdw12,
	};
	int result = ioctl(p->fd, NVME_IOCTL_IO64_CMD, &command);

	return result < 0 ? -errno : result;
}

static int outcome(struct nvme_passthrough *p, int result)
{
	if (nvme_command_refused(result))
		nvme_passthrough_refuse(p, result);
	return nvme_command_errno(result);
}

int nvme_passthrough_write(struct nvme_passthrough *p, const void *memory, size_t bytes, uint64_t offset)
{
	struct nvme_uring_cmd command;
	int err = nvme_command_io(&p->shape, NVME_WRITE, offset, bytes, &command);

	if (err)
		return err;
	command.addr = (uint64_t)(uintptr_t)memory;
	command.data_len = (uint32_t)bytes;
	return outcome(p, send_command(p, &command));
}

int nvme_passthrough_flush(struct nvme_passthrough *p)
{
	struct nvme_uring_cmd command;

	nvme_command_flush(&p->shape, &command);
	return outcome(p, send_command(p, &command));
}

void nvme_passthrough_refuse(struct nvme_passthrough *p, int result)
{
	if (!atomic_exchange(&p->refused, true))
		log_say("the kernel refuses NVMe passthrough by now (%s): from here on all goes by block I/O", strerror(-result));
}
