/* SPDX-License-Identifier: Apache-2.0 */
/* What media have in common: locks on the pool's file, and the ops that have nothing to do on some of them. */
#include "core/media/media.h"

#include "core/base/fail.h"

#include <errno.h>
#include <fcntl.h>

int media_map_payload(struct media *media)
{
	if (media->ops->map_payload)
		return media->ops->map_payload(media);
	return fail(-EOPNOTSUPP, "%s: blocks on this medium cannot be held in place, for it cannot be mapped; copy with get",
		    media->path);
}

int media_range_nothing(struct media *media, uint64_t offset, size_t length)
{
	(void)media;
	(void)offset;
	(void)length;
	return 0;
}

int media_settle_nothing(struct media *media)
{
	return media_range_nothing(media, 0, 0);
}

void media_forget_nothing(struct media *media, uint64_t offset, size_t length)
{
	(void)media_range_nothing(media, offset, length);
}

static int lock_command(int fd, int command, short type, uint64_t offset, struct flock *lock)
{
	*lock = (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)offset, .l_len = 1};
	if (fcntl(fd, command, lock) == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

int media_lock(int fd, uint64_t offset)
{
	struct flock lock;

	return lock_command(fd, F_OFD_SETLK, F_WRLCK, offset, &lock);
}

int media_unlock(int fd, uint64_t offset)
{
	struct flock lock;

	return lock_command(fd, F_OFD_SETLK, F_UNLCK, offset, &lock);
}

int media_lock_held(int fd, uint64_t offset)
{
	struct flock lock;
	int err = lock_command(fd, F_OFD_GETLK, F_WRLCK, offset, &lock);

	return err ? err : lock.l_type != F_UNLCK;
}
