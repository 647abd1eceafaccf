/* SPDX-License-Identifier: Apache-2.0 */
/* See media_join.h. */
#include "core/media/media_join.h"
#include "core/base/fail.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { MEMBERS_MAX = 32 };

struct media_join {
	struct media base;
	struct media_ops ops;
	struct media_member members[MEMBERS_MAX];
	uint64_t control_bytes[MEMBERS_MAX];
	uint8_t *area; /* address space for all of them */
	size_t area_bytes;
};

static struct media_join *join_of(struct media *media)
{
	return CONTAINER_OF(media, struct media_join, base);
}

static struct media *home_of(const struct media *media)
{
	return media->members[0].medium;
}

static bool is_there(const struct media_member *m)
{
	return !atomic_load_explicit(&m->medium->failed, memory_order_acquire);
}

void media_join_lost(struct media *media, unsigned member)
{
	atomic_store(&media->members[member].medium->failed, true);
}

/* ---- the control region ---- */

/* @err: what a publish at @m answered.  Home's failure is the pool's */
static int published(struct media *media, struct media_member *m, int err)
{
	if (!err)
		return 0;
	if (m == media->members)
		atomic_store(&media->unpublished, true);
	else
		media_join_lost(media, (unsigned)(m - media->members));
	return err;
}

/* nothing more is written anywhere once home is not known to have what was written */
static bool takes_words(const struct media *media, const struct media_member *m)
{
	return is_there(m) && !atomic_load(&media->unpublished);
}

static int join_publish(struct media *media, uint64_t offset, size_t length)
{
	struct media_member *m = media_member_at(media, offset);

	if (!takes_words(media, m))
		return -EIO;
	return published(media, m, m->medium->ops->publish(m->medium, offset - m->base, length));
}

static int join_publish_later(struct media *media, uint64_t offset, size_t length)
{
	struct media_member *m = media_member_at(media, offset);

	if (!takes_words(media, m))
		return -EIO;
	return published(media, m, m->medium->ops->publish_later(m->medium, offset - m->base, length));
}

static int join_settle(struct media *media)
{
	int err = atomic_load(&media->unpublished) ? -EIO : 0;

	if (err)
		return err;
	for (unsigned n = 0; n < media->member_count; n++) {
		struct media_member *m = &media->members[n];
		int one = is_there(m) ? published(media, m, m->medium->ops->settle(m->medium)) : 0;
		err = err ? err : one;
	}
	return err;
}

static int join_refresh(struct media *media, uint64_t offset, size_t length)
{
	struct media_member *m = media_member_at(media, offset);
	bool there = is_there(m);
	int err = there ? m->medium->ops->refresh(m->medium, offset - m->base, length) : -EIO;

	if (err)
		atomic_store(&m->suspect, true);
	if (err && there) /* of a lost one it is known that nothing can be read there */
		atomic_fetch_add(&media->unread, 1);
	return err;
}

static void join_forget(struct media *media, uint64_t offset, size_t length)
{
	struct media_member *m = media_member_at(media, offset);

	m->medium->ops->forget(m->medium, offset - m->base, length);
}

static void join_ahead(struct media *media, uint64_t offset, size_t length)
{
	struct media_member *m = media_member_at(media, offset);

	m->medium->ops->ahead(m->medium, offset - m->base, length);
}

/* what all of them can do */
static void common_caps(struct media *media)
{
	media->caps = home_of(media)->caps;
	for (unsigned n = 1; n < media->member_count; n++) {
		const struct media_caps *caps = &media->members[n].medium->caps;
		media->caps.direct = media->caps.direct && caps->direct;
		media->caps.memory_align = (uint32_t)max_u64(media->caps.memory_align, caps->memory_align);
		media->caps.cut = (uint32_t)min_u64(media->caps.cut, caps->cut);
	}
}

static int join_map_control(struct media *media, size_t bytes)
{
	struct media_join *j = join_of(media);
	const struct media_member *last = &j->members[media->member_count - 1];
	int err = 0;

	j->area_bytes = last->base + j->control_bytes[media->member_count - 1];
	void *area = mmap(NULL, j->area_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area == MAP_FAILED)
		return fail(-errno, "%s: no address space for the pool's namespaces (%zu bytes): %s", media->path, j->area_bytes,
			    strerror(errno));
	j->area = area;
	if (madvise(area, j->area_bytes, MADV_DONTFORK))
		return fail(-errno, "%s: cannot keep the mapping out of children: %s", media->path, strerror(errno));
	for (unsigned n = 0; !err && n < media->member_count; n++) {
		struct media *m = j->members[n].medium;
		m->place = j->area + j->members[n].base;
		err = m->ops->map_control(m, n ? j->control_bytes[n] : bytes);
	}
	media->control = j->area;
	media->control_bytes = bytes;
	common_caps(media);
	return err;
}

/* ---- payload ---- */

static int join_queue_open(struct media *media, unsigned depth, struct media_queue **queue)
{
	int fd = media->members[0].fd, err = queue_uring_open(media, fd, NULL, depth, queue);

	if (err == -ENOSYS || err == -EPERM || err == -ENOMEM)
		err = queue_sync_open(media, fd, depth, queue);
	return err;
}

void media_join_suspect(struct media *media, const struct media_io *io)
{
	if (!media->members)
		return;
	struct media_member *m = media_member_at(media, io->offset);
	atomic_store(&m->suspect, true);
	if (io->direction == MEDIA_WRITE)
		atomic_store(&m->shunned, true);
}

static int join_flush(struct media *media)
{
	int err = 0;

	for (unsigned n = 0; n < media->member_count; n++) {
		struct media_member *m = &media->members[n];
		int one = is_there(m)			  ? m->medium->ops->flush(m->medium)
			  : atomic_load(&m->mourned) ? 0
							  : -EIO;
		if (one)
			atomic_store(&m->suspect, true);
		err = err ? err : one;
	}
	return err;
}

/* ---- all of it ---- */

static bool join_alive(struct media *media)
{
	if (!home_of(media)->ops->alive(home_of(media)))
		atomic_store(&media->failed, true);
	for (unsigned n = 1; n < media->member_count; n++)
		if (is_there(&media->members[n]))
			(void)media->members[n].medium->ops->alive(media->members[n].medium);
	return !atomic_load(&media->failed);
}

static int join_lock(struct media *media, uint64_t offset) { return home_of(media)->ops->lock(home_of(media), offset); }
static int join_unlock(struct media *media, uint64_t offset) { return home_of(media)->ops->unlock(home_of(media), offset); }

static int join_lock_held(struct media *media, uint64_t offset)
{
	return home_of(media)->ops->lock_held(home_of(media), offset);
}

static void join_abandon(struct media *media)
{
	for (unsigned n = 0; n < media->member_count; n++)
		media->members[n].medium->ops->abandon(media->members[n].medium);
}

/* home is gone, and with it the lock under which this agent wrote to the others */
static void join_forsake(struct media *media)
{
	for (unsigned n = 0; n < media->member_count; n++)
		if (media->members[n].medium->ops->forsake)
			media->members[n].medium->ops->forsake(media->members[n].medium);
}

static void join_close(struct media *media)
{
	struct media_join *j = join_of(media);

	for (unsigned n = 0; n < media->member_count; n++)
		if (j->members[n].medium)
			j->members[n].medium->ops->close(j->members[n].medium);
	if (j->area)
		munmap(j->area, j->area_bytes);
	free(media->path);
	free(j);
}

static const struct media_ops join_ops = {
	.close = join_close,
	.map_control = join_map_control,
	.publish = join_publish,
	.publish_later = join_publish_later,
	.settle = join_settle,
	.refresh = join_refresh,
	.forget = join_forget,
	.ahead = join_ahead,
	.queue_open = join_queue_open,
	.flush = join_flush,
	.alive = join_alive,
	.lock = join_lock,
	.unlock = join_unlock,
	.lock_held = join_lock_held,
	.abandon = join_abandon,
	.forsake = join_forsake,
};

static bool is_block(const struct media *medium) { return !medium->caps.mappable; }

static int descriptor_of(const struct media *medium)
{
	return is_block(medium) ? media_block_descriptor(medium) : media_file_descriptor(medium);
}

static int same_kind(const struct media *home, const struct media *other)
{
	if (home->caps.instant || other->caps.instant || !home->ops->renew || !other->ops->renew)
		return fail(MEMKV_CONFLICT, "%s: DAX devices cannot be one of several namespaces", other->path);
	if (is_block(home) != is_block(other))
		return fail(MEMKV_CONFLICT, "%s is a %s, and %s is a %s: the namespaces of a pool are all files or all block devices",
			    home->path, home->ops->name, other->path, other->ops->name);
	return 0;
}

static int add_member(struct media_join *j, const struct media_part *part, unsigned flags)
{
	const struct media *home = j->base.member_count ? j->members[0].medium : part->medium;
	struct media_member *m = &j->members[j->base.member_count];
	int err = 0;

	*m = (struct media_member){.base = part->base, .end = part->base + part->bytes, .medium = part->medium, .removed = part->removed};
	if (!part->medium)
		err = is_block(home) ? media_block_lost(part->path, flags, part->bytes, &m->medium)
				     : media_file_lost(part->path, flags, part->bytes, &m->medium);
	else
		err = same_kind(home, part->medium);
	if (err)
		return err;
	atomic_store(&m->mourned, !part->medium);
	m->medium->caps.bytes = part->bytes;
	m->fd = descriptor_of(m->medium);
	j->control_bytes[j->base.member_count++] = part->control_bytes;
	return 0;
}

/* after a failure: the parts that were given stay the caller's */
static void give_up(struct media_join *j, const struct media_part *parts)
{
	for (unsigned n = 0; n < j->base.member_count; n++)
		if (!parts[n].medium)
			j->members[n].medium->ops->close(j->members[n].medium);
	free(j->base.path);
	free(j);
}

int media_join(const struct media_part *parts, unsigned count, unsigned flags, struct media **media)
{
	struct media_join *j = count <= MEMBERS_MAX ? calloc(1, sizeof(*j)) : NULL;
	int err = j ? 0 : fail(-ENOMEM, "%s: no memory", parts[0].medium->path);

	if (err)
		return err;
	j->ops = join_ops;
	j->ops.name = parts[0].medium->ops->name;
	j->base.ops = &j->ops;
	j->base.members = j->members;
	j->base.path = strdup(parts[0].medium->path);
	if (!j->base.path)
		err = fail(-ENOMEM, "%s: no memory", parts[0].medium->path);
	for (unsigned n = 0; !err && n < count; n++)
		err = add_member(j, &parts[n], flags);
	if (err) {
		give_up(j, parts);
		return err;
	}
	j->members[0].medium->fate = &j->base.failed; /* what happens to home happens to the pool */
	common_caps(&j->base);
	*media = &j->base;
	return 0;
}

int media_join_return(struct media *media, unsigned member, struct media *found)
{
	struct media *lost = media->members[member].medium;
	int err = same_kind(home_of(media), found);

	if (!err && found->caps.memory_align > media->caps.memory_align)
		err = fail(MEMKV_CONFLICT, "%s wants memory aligned to %u bytes; open the pool again", found->path,
			   found->caps.memory_align);
	if (!err) {
		err = lost->ops->renew(lost, found);
		if (err)
			fail(err, "%s: cannot be taken in again: %s", found->path, strerror(-err));
	}
	return err;
}

void media_join_there(struct media *media, unsigned member)
{
	struct media_member *m = &media->members[member];

	atomic_store(&m->suspect, false);
	atomic_store(&m->shunned, false);
	atomic_store(&m->mourned, false);
	atomic_store_explicit(&m->medium->failed, false, memory_order_release);
}
