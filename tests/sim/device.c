/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A block device, as core/media/media_block.c asks the operating system for it: opened exclusively or not, read and
 * written past every cache in sectors, each whole, in any order.  That source runs as it is, so mirrors, what is put off, and
 * writes that share a block are the production's own; each process has its mirror in its own memory, as if it were
 * another host's.
 *
 * The exclusive claim ends with the process that has it, when the last write of that has ended.
 */
#define SIM_NO_REDIRECT
#include "redirect_device.h"

#include "core/media/nvme_passthrough.h"
#include "stage.h"

#include <errno.h>

enum { DESCRIPTORS_MAX = 4 * AGENTS_MAX, FIRST_DESCRIPTOR = 1000 };

static struct {
	const struct agent *holder; /* of each descriptor */
	bool exclusive;
} descriptors[DESCRIPTORS_MAX];
static bool claim_fell; /* the last writer was killed */

void device_reset(void)
{
	memset(descriptors, 0, sizeof(descriptors));
	claim_fell = false;
}

bool device_has_writer(void)
{
	if (world.setup.medium == MEDIUM_LINES)
		return medium_locked(MEDIA_WRITER_BYTE);
	for (int i = 0; i < DESCRIPTORS_MAX; i++)
		if (descriptors[i].holder && descriptors[i].exclusive)
			return true;
	return false;
}

void device_close_all(const struct agent *agent)
{
	for (int i = 0; i < DESCRIPTORS_MAX; i++)
		if (descriptors[i].holder == agent) {
			claim_fell |= descriptors[i].exclusive;
			descriptors[i].holder = NULL;
		}
}

bool device_fenced(const struct agent *agent)
{
	return agent->device && atomic_load(&agent->device->unpublished);
}

int device_open(const char *path, int flags, ...)
{
	(void)path;
	world_point(4);
	if (flags & O_EXCL && device_has_writer()) {
		errno = EBUSY;
		return -1;
	}
	for (int i = 0; i < DESCRIPTORS_MAX; i++) {
		if (descriptors[i].holder)
			continue;
		descriptors[i].holder = world.thread->agent;
		descriptors[i].exclusive = flags & O_EXCL;
		if (flags & O_EXCL && claim_fell)
			cover(COVER_CLAIM_FALLEN);
		claim_fell &= !(flags & O_EXCL);
		return FIRST_DESCRIPTOR + i;
	}
	broken("more descriptors than the simulator has");
	errno = EMFILE;
	return -1;
}

int device_close(int fd)
{
	world_point(4);
	if (descriptors[fd - FIRST_DESCRIPTOR].holder != world.thread->agent)
		broken("a descriptor is closed that is not open");
	if (world.thread->agent->device && descriptors[fd - FIRST_DESCRIPTOR].exclusive)
		medium_unlock_all(world.thread->agent);
	descriptors[fd - FIRST_DESCRIPTOR].holder = NULL;
	return 0;
}

static int says_no(enum covered what)
{
	cover(what);
	medium_trouble();
	errno = EIO;
	return -1;
}

/* a block, or the two parts of it that were read before and after somebody wrote */
static void read_page(uint8_t *to, uint64_t page)
{
	const uint8_t *from = world.image + page * PAGE;
	size_t first = world.setup.sector == SECTOR && draw(8) == 0 ? SECTOR * (1 + draw(PAGE_SECTORS - 1)) : PAGE;

	world_point(1);
	memcpy(to, from, first);
	stage_read(page);
	if (first == PAGE)
		return;
	world_point(1);
	memcpy(to + first, from + first, PAGE - first);
}

ssize_t device_pread(int fd, void *to, size_t length, off_t offset)
{
	uint64_t pages = length / PAGE, begin = draw((uint32_t)pages);

	(void)fd;
	world.steps++;
	if (length % PAGE || offset % PAGE || (uint64_t)offset + length > world.layout.geo.bytes)
		broken("a read of %zu bytes at %lld of the device", length, (long long)offset);
	for (uint64_t i = 0; i < pages && !world.failed; i++) {
		uint64_t n = (begin + i) % pages;
		if (i)
			SIM_SITE(BROUGHT_IN_ORDER); /* what has landed in between is in one part and not in the other */
		read_page((uint8_t *)to + n * PAGE, (uint64_t)offset / PAGE + n);
	}
	if ((!world.errors_over && (chance(world.setup.io_error) || sites_fails())) ||
	    stage_unread(world.thread->agent, (uint64_t)offset))
		return says_no(COVER_REFRESH_FAILED);
	return (ssize_t)length;
}

ssize_t device_pwrite(int fd, const void *from, size_t length, off_t offset)
{
	struct sim_queue q = {.base = {.depth = 1}, .agent = world.thread->agent};
	struct media_io io = {
		.direction = MEDIA_WRITE,
		.offset = (uint64_t)offset,
		.pieces = {{(void *)(uintptr_t)from, length}},
		.piece_count = 1,
	};

	(void)fd;
	while (medium_submit(&q, &io) == -EAGAIN)
		world_sleep(10);
	while (q.done_count == 0) {
		q.waiter = world.thread;
		world_pause(THREAD_WAITS_IO);
	}
	return io.result ? says_no(COVER_PUBLISH_FAILED) : (ssize_t)length;
}

int device_ioctl(int fd, unsigned long request, void *to)
{
	(void)fd;
	if (request == BLKGETSIZE64)
		*(uint64_t *)to = world.layout.geo.bytes;
	else if (request == BLKSSZGET)
		*(int *)to = (int)world.setup.sector;
	else
		broken("an ioctl that the simulated device does not know");
	return 0;
}

int device_fdatasync(int fd)
{
	(void)fd;
	int err = medium_flush(world.thread->agent);
	errno = -err;
	return err ? -1 : 0;
}

/* each host has a node of its own */
int device_fstat(int fd, struct stat *st)
{
	(void)fd;
	memset(st, 0, sizeof(*st));
	st->st_mode = S_IFBLK;
	st->st_dev = 1;
	st->st_ino = st->st_rdev = world.thread->agent->number + 1;
	return 0;
}

int device_statx(int fd, const char *path, int flags, unsigned mask, struct statx *to)
{
	(void)fd;
	(void)path;
	(void)flags;
	to->stx_mask = mask;
#ifdef STATX_DIOALIGN
	to->stx_dio_mem_align = world.setup.memory_align;
#endif
	return 0;
}

int device_nanosleep(clockid_t clock, int flags, const struct timespec *time, struct timespec *rest)
{
	(void)clock;
	(void)flags;
	(void)time;
	(void)rest;
	world_sleep(20);
	return 0;
}

/* whole words in rising order, with somebody else in between once */
static void copy_words(uint8_t *to, const uint8_t *from, size_t count)
{
	size_t first = draw((uint32_t)count + 1) * sizeof(uint64_t), all = count * sizeof(uint64_t);

	memcpy(to, from, first);
	world_point(1);
	memcpy(to + first, from + first, all - first);
}

void device_words_load(void *to, const void *from, size_t count) { copy_words(to, from, count); }
void device_words_store(void *to, const void *from, size_t count) { copy_words(to, from, count); }

/* ---- no NVMe: commands of one's own are the lab's ---- */

void nvme_passthrough_open(int block, uint64_t bytes, bool read_only, bool shared, struct nvme_passthrough *p)
{
	(void)block, (void)bytes, (void)read_only, (void)shared;
	*p = (struct nvme_passthrough){.fd = -1};
}

void nvme_passthrough_close(struct nvme_passthrough *p)
{
	(void)p;
}

void nvme_passthrough_renew(struct nvme_passthrough *p, const struct nvme_passthrough *found)
{
	(void)p, (void)found;
}

int nvme_passthrough_write(struct nvme_passthrough *p, const void *memory, size_t bytes, uint64_t offset)
{
	(void)p, (void)memory, (void)bytes, (void)offset;
	broken("a write by a device that is none");
	return -EIO;
}

int nvme_passthrough_flush(struct nvme_passthrough *p)
{
	return nvme_passthrough_write(p, NULL, 0, 0);
}
