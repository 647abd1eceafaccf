/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The block medium: a raw block device, never through the page cache, which no other host would see.
 *
 * The control region is a mirror in private memory: publish writes whole blocks of it, refresh reads them, both with
 * O_DIRECT.  Payload goes by the same queues as on files.
 *
 * One writing process.  It opens the device exclusively: that claim belongs to the device, not to one of its nodes,
 * so that it also holds against containers with a /dev of their own, mounts and mkfs; and, like the slot's lock, it
 * is there as long as the description is, queued I/O included.  Other hosts do not see it: until hosts share devices
 * by a protocol of their own, whoever attaches a device to several hosts must see to it that one of them writes.
 * The writer's byte is locked besides, so that others can tell a writing agent from a mount.
 *
 * On a shared device there is no such claim: many processes write, also on other hosts, each to blocks that are its own
 * (core/slot/own.h says how it comes by them).  Those it *holds*; their mirror is the truth, and only they are published.
 *
 * The one writer's mirror is the truth for every block of it that is present; it reads only what it has given back.
 * Readers read again whatever they refresh.  Words are stored whole (words.h), so that others in this process never
 * see half of one.
 */
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/base/words.h"
#include "core/media/media_block.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the mirror ---- */

static bool is_local(const struct media *media, uint64_t offset, size_t length)
{
	for (int i = 0; i < MEDIA_LOCAL_RANGES; i++)
		if (offset >= media->local[i].from && offset + length <= media->local[i].to)
			return true;
	return false;
}

static bool is_present(const struct media_block *b, uint64_t block)
{
	return atomic_load(&b->present[block / 64]) >> block % 64 & 1;
}

static int move_whole(int fd, enum media_direction direction, uint8_t *memory, size_t length, uint64_t offset)
{
	while (length > 0) {
		ssize_t moved = direction == MEDIA_READ ? pread(fd, memory, length, (off_t)offset)
							: pwrite(fd, memory, length, (off_t)offset);
		if (moved < 0 && errno == EINTR)
			continue;
		if (moved < 0)
			return -errno;
		if (moved == 0)
			return -EIO; /* the device ends here */
		memory += moved;
		offset += (uint64_t)moved;
		length -= (size_t)moved;
	}
	return 0;
}

/* a block of the mirror to the medium: so that it fails at once, rather than land late, where that can be */
static int write_image(struct media_block *b, uint8_t *image, uint64_t offset)
{
	int err = nvme_goes(&b->nvme, true) ? nvme_passthrough_write(&b->nvme, image, MIRROR_BLOCK, offset) : -ENOSYS;

	return nvme_command_refused(err) ? move_whole(b->fd, MEDIA_WRITE, image, MIRROR_BLOCK, offset) : err;
}

static int device_move(struct media_block *b, enum media_direction direction, uint8_t *memory, size_t length, uint64_t offset)
{
	return direction == MEDIA_WRITE ? write_image(b, memory, offset)
					: move_whole(b->fd, direction, memory, length, offset);
}

static int block_map_control(struct media *media, size_t bytes)
{
	struct media_block *b = media_block_of(media);
	uint64_t blocks = div_up(bytes, MIRROR_BLOCK);
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (media->place ? MAP_FIXED : 0);
	void *mirror = mmap(media->place, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);

	if (mirror == MAP_FAILED)
		return fail(-errno, "%s: no memory for a mirror of %zu bytes", media->path, bytes);
	media->control = mirror;
	media->control_bytes = bytes;
	b->present = calloc(div_up(blocks, 64), sizeof(*b->present));
	b->held = calloc(div_up(blocks, 64), sizeof(*b->held));
	if (!b->present || !b->held || madvise(mirror, bytes, MADV_DONTFORK))
		return fail(-ENOMEM, "%s: no memory for a mirror of %zu bytes", media->path, bytes);
	return 0;
}

static bool all_zero(const uint8_t *bytes)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, MIRROR_BLOCK - 1) == 0;
}

static int read_blocks(struct media_block *b, uint64_t first, uint64_t count)
{
	int err = b->move(b, MEDIA_READ, b->bounce, count * MIRROR_BLOCK, first * MIRROR_BLOCK);

	for (uint64_t i = 0; !err && i < count; i++) {
		const uint8_t *image = b->bounce + i * MIRROR_BLOCK;
		uint64_t block = first + i;
		/* what was never there is zero already, and costs no memory as long as nothing is stored */
		if (is_present(b, block) || !all_zero(image))
			words_store(b->base.control + block * MIRROR_BLOCK, image, MIRROR_WORDS);
		atomic_fetch_or(&b->present[block / 64], 1ULL << block % 64);
	}
	return err;
}

/* does the mirror know better than the medium? */
static bool own_truth(const struct media_block *b, uint64_t block)
{
	if (is_local(&b->base, block * MIRROR_BLOCK, MIRROR_BLOCK))
		return true;
	if (b->shared)
		return atomic_load(&b->held[block / 64]) >> block % 64 & 1;
	return b->writer && is_present(b, block);
}

static int block_refresh(struct media *media, uint64_t offset, size_t length)
{
	struct media_block *b = media_block_of(media);
	uint64_t at = offset / MIRROR_BLOCK, end = div_up(offset + length, MIRROR_BLOCK);
	int err = 0;

	while (at < end && own_truth(b, at))
		at++;
	if (at == end)
		return 0;
	pthread_mutex_lock(&b->refresh_lock);
	while (at < end && !err) {
		uint64_t count = 0;
		while (at + count < end && count < REFRESH_BYTES / MIRROR_BLOCK && !own_truth(b, at + count))
			count++;
		if (count)
			err = read_blocks(b, at, count);
		at += count ? count : 1;
	}
	if (err)
		atomic_fetch_add(&media->unread, 1);
	pthread_mutex_unlock(&b->refresh_lock);
	return err;
}

static int block_hold(struct media *media, uint64_t offset, size_t length)
{
	struct media_block *b = media_block_of(media);
	uint64_t first = offset / MIRROR_BLOCK, end = div_up(offset + length, MIRROR_BLOCK);
	bool there = false;

	while (!there) {
		int err = block_refresh(media, offset, length);
		if (!b->shared || err)
			return err;
		/* no refresh is on the way that would store what it has read before; and nobody has forgotten what we have read */
		pthread_mutex_lock(&b->refresh_lock);
		there = true;
		for (uint64_t block = first; block < end; block++)
			there &= is_present(b, block);
		for (uint64_t block = first; there && block < end; block++)
			atomic_fetch_or(&b->held[block / 64], 1ULL << block % 64);
		pthread_mutex_unlock(&b->refresh_lock);
	}
	return 0;
}

static void block_let_go(struct media *media, uint64_t offset, size_t length)
{
	struct media_block *b = media_block_of(media);
	uint64_t first = offset / MIRROR_BLOCK, end = div_up(offset + length, MIRROR_BLOCK);

	for (uint64_t block = first; b->shared && block < end; block++)
		atomic_fetch_and(&b->held[block / 64], ~(1ULL << block % 64));
}

static void forget_blocks(struct media_block *b, uint64_t first, uint64_t end)
{
	if (first >= end)
		return;
	for (uint64_t block = first; block < end; block++)
		atomic_fetch_and(&b->present[block / 64], ~(1ULL << block % 64));
	(void)madvise(b->base.control + first * MIRROR_BLOCK, (end - first) * MIRROR_BLOCK, MADV_DONTNEED);
}

/* the first block from @first on, below @end, that is still to be published; @end when there is none */
static uint64_t next_later(const struct media_block *b, uint64_t first, uint64_t end)
{
	for (unsigned i = 0; i < b->later_count; i++)
		if (b->later[i] >= first && b->later[i] < end)
			end = b->later[i];
	return end;
}

static void block_forget(struct media *media, uint64_t offset, size_t length)
{
	struct media_block *b = media_block_of(media);
	uint64_t page = page_bytes(); /* the kernel gives back whole pages of its own */
	uint64_t first = round_up(offset, page) / MIRROR_BLOCK, end = round_down(offset + length, page) / MIRROR_BLOCK;

	pthread_mutex_lock(&b->settle_lock); /* nothing is being settled: what is to be published is on the list */
	pthread_mutex_lock(&b->refresh_lock);
	pthread_mutex_lock(&b->later_lock);
	for (uint64_t block = first; b->shared && block < end; block++)
		if (own_truth(b, block))
			end = first; /* it is written to */
	while (first < end) {
		uint64_t stop = MUTANT(OWED_FORGOTTEN) ? end : next_later(b, first, end);
		forget_blocks(b, first, stop);
		first = stop + 1;
	}
	pthread_mutex_unlock(&b->later_lock);
	pthread_mutex_unlock(&b->refresh_lock);
	pthread_mutex_unlock(&b->settle_lock);
}

/* what has been given back in the meantime is zero here, and would wipe what stands on the medium */
static int take_image(struct media_block *b, struct passage *p, uint64_t block)
{
	int err = 0;

	pthread_mutex_lock(&b->refresh_lock);
	if (is_present(b, block))
		words_load(p->image, b->base.control + block * MIRROR_BLOCK, MIRROR_WORDS);
	else
		err = -EROFS;
	pthread_mutex_unlock(&b->refresh_lock);
	return err;
}

/*
 * The image is taken after the request, so it has what the caller stored.  Whoever finds that an image which was
 * taken after its own request has been written meanwhile has nothing left to do.
 */
static int publish_block(struct media_block *b, uint64_t block)
{
	struct passage *p = &b->passages[block % PASSAGES];
	uint64_t ticket = atomic_fetch_add(&p->asked, 1) + 1;
	int err = 0;

	pthread_mutex_lock(&p->lock);
	if (atomic_load(&b->base.unpublished)) {
		err = -EIO;
	} else if (p->block != block || p->covered < ticket) {
		uint64_t covered = atomic_load(&p->asked);
		err = take_image(b, p, block);
		err = err ? err : b->move(b, MEDIA_WRITE, p->image, MIRROR_BLOCK, block * MIRROR_BLOCK);
		p->block = block;
		p->covered = err ? 0 : MUTANT(IMAGE_BEFORE) ? atomic_load(&p->asked) : covered;
	}
	if (err)
		atomic_store(&b->base.unpublished, true); /* before anybody else writes this block */
	pthread_mutex_unlock(&p->lock);
	return err;
}

static int block_publish(struct media *media, uint64_t offset, size_t length)
{
	struct media_block *b = media_block_of(media);
	uint64_t end = div_up(offset + length, MIRROR_BLOCK);
	int err = 0;

	if (is_local(media, offset, length))
		return 0;
	for (uint64_t block = offset / MIRROR_BLOCK; block < end && !err; block++) {
		if (!b->writer || !is_present(b, block) || !own_truth(b, block))
			err = -EROFS; /* it would wipe what it does not know */
		else
			err = publish_block(b, block);
	}
	if (err)
		atomic_store(&media->unpublished, true);
	return err;
}

/* false: there is no place left to remember it */
static bool put_off(struct media_block *b, uint64_t block)
{
	unsigned i = 0;

	pthread_mutex_lock(&b->later_lock);
	while (i < b->later_count && b->later[i] != block)
		i++;
	if (i == b->later_count && i < LATER_MAX)
		b->later[b->later_count++] = block;
	pthread_mutex_unlock(&b->later_lock);
	return i < LATER_MAX;
}

static int block_publish_later(struct media *media, uint64_t offset, size_t length)
{
	uint64_t end = div_up(offset + length, MIRROR_BLOCK);
	int err = 0;

	if (is_local(media, offset, length))
		return 0;
	for (uint64_t block = offset / MIRROR_BLOCK; block < end && !err; block++)
		if (!put_off(media_block_of(media), block))
			err = block_publish(media, block * MIRROR_BLOCK, MIRROR_BLOCK);
	return err;
}

/* the blocks of @blocks that go by different passages, in the order of these; their number */
static unsigned choose_apart(uint64_t *blocks, unsigned *count, uint64_t chosen[PASSAGES])
{
	bool taken[PASSAGES] = {false};
	unsigned left = 0, n = 0;

	for (unsigned i = 0; i < *count; i++) {
		unsigned passage = blocks[i] % PASSAGES;
		if (taken[passage])
			blocks[left++] = blocks[i];
		else
			chosen[passage] = blocks[i];
		taken[passage] = true;
	}
	*count = left;
	for (unsigned p = 0; p < PASSAGES; p++)
		if (taken[p])
			chosen[n++] = chosen[p];
	return n;
}

/* likewise publish_block(), of blocks of different passages, all on the way together */
static int publish_together(struct media_block *b, const uint64_t *blocks, unsigned count)
{
	struct media_io ios[PASSAGES];
	uint64_t covered[PASSAGES];
	unsigned submitted = 0;
	int err = 0;

	for (unsigned i = 0; i < count; i++) { /* in ascending order, as everybody who takes more than one */
		struct passage *p = &b->passages[blocks[i] % PASSAGES];
		pthread_mutex_lock(&p->lock);
		covered[i] = atomic_load(&p->asked);
		words_load(p->image, b->base.control + blocks[i] * MIRROR_BLOCK, MIRROR_WORDS);
		ios[i] = (struct media_io){.direction = MEDIA_WRITE,
					   .offset = blocks[i] * MIRROR_BLOCK,
					   .pieces = {{p->image, MIRROR_BLOCK}},
					   .piece_count = 1};
	}
	if (atomic_load(&b->base.unpublished))
		err = -EIO;
	while (!err && submitted < count && !(err = b->queue->ops->submit(b->queue, &ios[submitted])))
		submitted++;
	for (unsigned i = 0; i < submitted; i++) {
		struct media_io *io = b->queue->ops->reap(b->queue, submitted - i);
		if (!io || io->result)
			err = io ? io->result : -EIO;
	}
	if (err)
		atomic_store(&b->base.unpublished, true); /* before anybody else writes these blocks */
	for (unsigned i = 0; i < count; i++) {
		struct passage *p = &b->passages[blocks[i] % PASSAGES];
		p->block = blocks[i];
		p->covered = err ? 0 : covered[i];
		pthread_mutex_unlock(&p->lock);
	}
	return err;
}

/* likewise, where nothing is ever on the way */
static int publish_each(struct media_block *b, const uint64_t *blocks, unsigned count)
{
	int err = 0;

	for (unsigned i = 0; i < count && !err; i++)
		err = publish_block(b, blocks[i]);
	return err;
}

static bool all_own(const struct media_block *b, const uint64_t *blocks, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (!own_truth(b, blocks[i]))
			return false; /* it would wipe what it does not know */
	return true;
}

static int block_settle(struct media *media)
{
	struct media_block *b = media_block_of(media);
	uint64_t blocks[LATER_MAX], chosen[PASSAGES];
	int err = 0;

	pthread_mutex_lock(&b->settle_lock);
	pthread_mutex_lock(&b->later_lock);
	unsigned count = b->later_count;
	memcpy(blocks, b->later, sizeof(blocks));
	b->later_count = 0;
	pthread_mutex_unlock(&b->later_lock);
	if (!all_own(b, blocks, count)) {
		err = -EROFS;
		atomic_store(&media->unpublished, true);
	}
	while (count > 0 && !err) {
		unsigned n = choose_apart(blocks, &count, chosen);
		err = b->queue ? publish_together(b, chosen, n) : publish_each(b, chosen, n);
	}
	pthread_mutex_unlock(&b->settle_lock);
	return err;
}

/* ---- the device ---- */

static int block_queue_open(struct media *media, unsigned depth, struct media_queue **queue)
{
	struct media_block *b = media_block_of(media);
	int err = queue_uring_open(media, b->fd, &b->nvme, depth, queue);

	if (err == -ENOSYS || err == -EPERM || err == -ENOMEM)
		err = queue_sync_open(media, b->fd, depth, queue);
	return err;
}

static int block_flush(struct media *media)
{
	struct media_block *b = media_block_of(media);
	int err = nvme_goes(&b->nvme, true) ? nvme_passthrough_flush(&b->nvme) : -ENOSYS;

	if (!nvme_command_refused(err))
		return err;
	return fdatasync(b->fd) ? -errno : 0;
}

/* what the mirror knows is of another life; what was put off is not written any more */
static int block_renew(struct media *media, struct media *found)
{
	struct media_block *b = media_block_of(media);
	int err = 0;

	pthread_mutex_lock(&b->settle_lock);
	for (int i = 0; i < PASSAGES; i++)
		pthread_mutex_lock(&b->passages[i].lock);
	pthread_mutex_lock(&b->refresh_lock);
	pthread_mutex_lock(&b->later_lock);
	if (found != media && dup3(media_block_of(found)->fd, b->fd, O_CLOEXEC) < 0)
		err = -errno;
	if (found != media && !err)
		nvme_passthrough_renew(&b->nvme, &media_block_of(found)->nvme);
	b->later_count = err ? b->later_count : 0;
	if (!err && media->control)
		forget_blocks(b, 0, div_up(media->control_bytes, MIRROR_BLOCK));
	for (int i = 0; i < PASSAGES; i++) {
		b->passages[i].covered = err ? b->passages[i].covered : 0;
		pthread_mutex_unlock(&b->passages[i].lock);
	}
	if (!err)
		atomic_store(&media->unpublished, false);
	pthread_mutex_unlock(&b->later_lock);
	pthread_mutex_unlock(&b->refresh_lock);
	pthread_mutex_unlock(&b->settle_lock);
	return err;
}

static bool block_alive(struct media *media)
{
	uint64_t bytes = 0;

	if (ioctl(media_block_of(media)->fd, BLKGETSIZE64, &bytes) || bytes < media->caps.bytes)
		atomic_store(&media->failed, true);
	return !atomic_load(&media->failed);
}

static int block_lock(struct media *media, uint64_t offset) { return media_lock(media_block_of(media)->fd, offset); }
static int block_unlock(struct media *media, uint64_t offset) { return media_unlock(media_block_of(media)->fd, offset); }

static int block_lock_held(struct media *media, uint64_t offset)
{
	return media_lock_held(media_block_of(media)->fd, offset);
}

static int block_node(struct media *media, uint64_t *device, uint64_t *inode)
{
	struct stat st;

	if (fstat(media_block_of(media)->fd, &st))
		return -errno;
	*device = (uint64_t)st.st_dev;
	*inode = (uint64_t)st.st_ino;
	return 0;
}

static void block_abandon(struct media *media)
{
	struct media_block *b = media_block_of(media);

	if (b->queue)
		b->queue->ops->abandon(b->queue);
	b->queue = NULL;
	nvme_passthrough_close(&b->nvme);
	if (b->fd >= 0)
		close(b->fd);
	b->fd = -1;
}

void media_block_free(struct media_block *b)
{
	struct media *media = &b->base;

	if (media->control)
		munmap(media->control, media->control_bytes);
	if (b->queue)
		b->queue->ops->close(b->queue);
	b->queue = NULL;
	block_abandon(media);
	pthread_mutex_destroy(&b->settle_lock);
	for (int i = 0; i < PASSAGES; i++)
		pthread_mutex_destroy(&b->passages[i].lock);
	pthread_mutex_destroy(&b->refresh_lock);
	pthread_mutex_destroy(&b->later_lock);
	free(b->present);
	free(b->held);
	free(b->images);
	free(b->bounce);
	free(media->path);
	free(b);
}

static void block_close(struct media *media)
{
	media_block_free(media_block_of(media));
}

static const struct media_ops block_ops = {
	.name = "block device",
	.close = block_close,
	.map_control = block_map_control,
	.ahead = media_forget_nothing,
	.publish = block_publish,
	.publish_later = block_publish_later,
	.settle = block_settle,
	.refresh = block_refresh,
	.hold = block_hold,
	.let_go = block_let_go,
	.forget = block_forget,
	.queue_open = block_queue_open,
	.flush = block_flush,
	.alive = block_alive,
	.lock = block_lock,
	.unlock = block_unlock,
	.lock_held = block_lock_held,
	.abandon = block_abandon,
	.node = block_node,
	.renew = block_renew,
};

int media_block_descriptor(const struct media *media)
{
	return CONTAINER_OF(media, const struct media_block, base)->fd;
}

struct media_block *media_block_new(const char *path)
{
	struct media_block *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->base.path = strdup(path);
	b->images = aligned_alloc(MIRROR_BLOCK, (size_t)PASSAGES * MIRROR_BLOCK);
	b->bounce = aligned_alloc(MIRROR_BLOCK, REFRESH_BYTES);
	pthread_mutex_init(&b->refresh_lock, NULL);
	pthread_mutex_init(&b->later_lock, NULL);
	pthread_mutex_init(&b->settle_lock, NULL);
	for (int i = 0; i < PASSAGES; i++) {
		pthread_mutex_init(&b->passages[i].lock, NULL);
		b->passages[i].image = b->images + (size_t)i * MIRROR_BLOCK;
	}
	b->ops = block_ops;
	b->base.ops = &b->ops;
	b->move = device_move;
	b->fd = b->nvme.fd = -1;
	if (b->base.path && b->images && b->bounce)
		return b;
	block_close(&b->base);
	return NULL;
}
