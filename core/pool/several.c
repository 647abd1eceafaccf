/* SPDX-License-Identifier: Apache-2.0 */
/* See several.h. */
#include "core/pool/several.h"
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/base/log.h"
#include "core/media/media_join.h"
#include "core/media/nvme_sysfs.h"
#include "core/pool/handle.h"
#include "core/pool/target.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_PAUSE_US = 1000000, LOOK_PAUSE_MAX_US = 30000000, SHUN_US = 5000000, IDENTITY_TEXT = 36 };

/* ---- finding one ---- */

static void identity_text(const uint8_t id[16], char text[IDENTITY_TEXT])
{
	for (int i = 0; i < 16; i++)
		snprintf(text + 2 * i, 3, "%02x", id[i]);
}

static bool blank(const uint8_t id[16])
{
	static const uint8_t none[16];

	return memcmp(id, none, sizeof(none)) == 0;
}

/* is that which was opened the namespace in question? */
static int check_identity(struct namespace_visits *visits, const struct superblock *sb, unsigned number)
{
	struct media *media = visits->media[number];
	struct superblock found;
	bool mended;
	int err = lane_open(&visits->lane, media);

	if (err)
		return fail(err, "%s: no queue to the medium: %s", media->path, strerror(-err));
	err = superblocks_read(&visits->lane, &found, &mended);
	lane_close(&visits->lane);
	if (err)
		return err;
	bool ours = memcmp(found.uuid, sb->uuid, sizeof(sb->uuid)) == 0 && found.seed == sb->seed;
	if (!ours || found.ordinal != number)
		return fail(MEMKV_CONFLICT, "%s holds another %s", media->path,
			    !ours ? "pool" : found.ordinal ? "namespace of the pool" : "copy of the pool's first namespace");
	if (found.instance != sb->instance || memcmp(found.id, sb->namespaces[number - 1].id, sizeof(found.id)) != 0)
		return fail(MEMKV_CONFLICT, "%s is a namespace of a copy of this pool, or of an attempt to grow it that failed", media->path);
	return 0;
}

void namespace_leave(struct namespace_visits *visits, unsigned number)
{
	fork_hold();
	if (visits->media[number])
		visits->media[number]->ops->close(visits->media[number]);
	visits->media[number] = NULL;
	fork_release();
}

static int try_place(const char *path, const struct superblock *sb, unsigned number, unsigned flags,
		     struct namespace_visits *visits)
{
	struct media *media;

	fork_hold();
	int err = media_open(path, flags, &media);
	visits->media[number] = err ? NULL : media;
	fork_release();
	if (!err)
		err = check_identity(visits, sb, number);
	if (err)
		namespace_leave(visits, number);
	return err;
}

/* beside home, under the name that it had */
static int try_beside(const char *hint, const struct superblock *sb, unsigned number, const char *home_path, unsigned flags,
		      struct namespace_visits *visits)
{
	const char *slash = strrchr(hint, '/');
	char *directory = target_directory(home_path), *path = NULL;
	int err = -ENOENT;

	if (directory && asprintf(&path, "%s/%s", directory, slash ? slash + 1 : hint) >= 0)
		err = try_place(path, sb, number, flags, visits);
	free(directory);
	free(path);
	return err;
}

/* an NVMe namespace keeps its identity, whatever its device is called now */
static int try_device(const uint8_t device[16], const struct superblock *sb, unsigned number, unsigned flags,
		      struct namespace_visits *visits)
{
	struct nvme_namespace *list = NULL;
	char text[IDENTITY_TEXT], path[sizeof(list->device) + 8];
	int count = blank(device) ? 0 : nvme_namespaces_list("", &list), err = -ENOENT;

	identity_text(device, text);
	for (int i = 0; i < count && err; i++) {
		if (!nvme_namespace_is(&list[i], text))
			continue;
		snprintf(path, sizeof(path), "/dev/%s", list[i].device);
		err = try_place(path, sb, number, flags, visits);
	}
	free(list);
	return err;
}

int namespace_find(const struct superblock *sb, unsigned number, const char *home_path, unsigned flags,
		   struct namespace_visits *visits)
{
	const struct namespace_entry *ns = &sb->namespaces[number - 1];
	int err = ns->path[0] == '/' ? try_place(ns->path, sb, number, flags, visits) : -ENOENT;

	/* the first reason is the best one, unless a later place has something to say about it */
	if (err && try_device(ns->device, sb, number, flags, visits) == 0)
		return 0;
	if (err && ns->path[0] && try_beside(ns->path, sb, number, home_path, flags, visits) == 0)
		return 0;
	return err == -ENOENT ? fail(err, "%s is not there", ns->path) : err;
}

static bool bytes_of(const char *hex, uint8_t id[16])
{
	for (int i = 0; i < 16; i++)
		if (sscanf(hex + 2 * i, "%2hhx", &id[i]) != 1)
			return false;
	return true;
}

void namespace_describe_place(const char *path, struct namespace_entry *ns)
{
	char whole[PATH_MAX];
	struct nvme_namespace device;
	const char *named = realpath(path, whole) ? whole : path, *slash = strrchr(named, '/');

	if (strlen(named) >= sizeof(ns->path) && slash)
		named = slash + 1; /* it is looked for beside the first one */
	memset(ns->path, 0, sizeof(ns->path));
	memset(ns->device, 0, sizeof(ns->device));
	if (strlen(named) < sizeof(ns->path))
		memcpy(ns->path, named, strlen(named));
	if (strncmp(whole, "/dev/", 5) == 0 && nvme_namespace_read("", whole + 5, &device) == 0) {
		const char *identity = device.nguid[0] ? device.nguid : device.uuid;
		if (strlen(identity) != 32 || !bytes_of(identity, ns->device))
			memset(ns->device, 0, sizeof(ns->device));
	}
}

/* ---- joining ---- */

/* home was opened before it was known that there are others; memory is used like any other file then (media_join.h) */
static int open_home_again(struct memkv_pool *pool, const char *path, unsigned *flags)
{
	if (!pool->media->caps.instant)
		return 0;
	*flags |= MEDIA_OPEN_BUFFERED;
	struct media *media;
	int err = media_open(path, *flags, &media);
	if (err)
		return err;
	lane_close(&pool->recover_lane);
	fork_hold();
	pool->media->ops->close(pool->media);
	pool->media = media;
	fork_release();
	return lane_open(&pool->recover_lane, pool->media);
}

static int find_all(struct memkv_pool *pool, struct media_part *parts)
{
	struct namespaces *all = &pool->namespaces;
	const struct superblock *sb = &pool->sb;
	struct layout layout;
	int err = superblock_layout(sb, &layout);

	for (unsigned n = 0; !err && n <= sb->further; n++) {
		const struct extent *e = &layout.extents[n];
		parts[n] = (struct media_part){.base = e->base,
					       .bytes = e->bytes,
					       .control_bytes = e->control_bytes,
					       .removed = !namespace_in_pool(sb, n),
					       .path = n ? sb->namespaces[n - 1].path : pool->media->path};
		if (n == 0) {
			parts[n].medium = pool->media;
		} else if (!parts[n].removed && namespace_find(sb, n, pool->media->path, all->flags, &all->visits)) {
			log_say("%s: namespace %u of the pool is lost, and its blocks are misses until it is back: %s",
				pool->media->path, n, memkv_error_detail());
		}
		if (n)
			parts[n].medium = all->visits.media[n];
		all->watch[n] = (struct namespace_watch){.lost = n && !parts[n].medium, .pause_us = LOOK_PAUSE_US};
	}
	return err;
}

int namespaces_join(struct memkv_pool *pool, const char *path, unsigned flags)
{
	struct media_part parts[NAMESPACES_MAX] = {{0}};
	struct media *joined;

	if (pool->sb.further == 0)
		return 0;
	pthread_mutex_init(&pool->namespaces.lock, NULL);
	pool->namespaces.several = true;
	int err = open_home_again(pool, path, &flags);
	pool->namespaces.flags = flags;
	if (!err)
		err = find_all(pool, parts);
	fork_hold();
	if (!err)
		err = media_join(parts, pool->sb.further + 1, flags, &joined);
	if (!err)
		pool->media = joined;
	for (unsigned n = 1; !err && n <= pool->sb.further; n++)
		pool->namespaces.visits.media[n] = NULL; /* they are the pool's */
	fork_release();
	for (unsigned n = 1; err && n <= pool->sb.further; n++)
		namespace_leave(&pool->namespaces.visits, n);
	if (err)
		return err;
	lane_close(&pool->recover_lane);
	err = lane_open(&pool->recover_lane, pool->media);
	return err ? fail(err, "%s: no queue to the medium: %s", path, strerror(-err)) : 0;
}

void namespaces_close(struct memkv_pool *pool)
{
	if (pool->namespaces.several)
		pthread_mutex_destroy(&pool->namespaces.lock);
}

static void mend_one(struct memkv_pool *pool, unsigned number)
{
	struct lane *lane = &pool->recover_lane;
	const struct extent *e = &pool->control.layout.extents[number];
	struct superblock want = superblock_on(&pool->sb, number), found;
	uint64_t places[2] = {e->base, e->base + e->bytes - PAGE};
	struct iovec piece;
	bool bit, right[2];

	for (unsigned copy = 0; copy < 2; copy++) {
		piece = (struct iovec){lane->header, PAGE};
		right[copy] = lane_transfer(lane, MEDIA_READ, places[copy], &piece, 1) == 0 &&
			      superblock_decode(lane->header, copy, &found, &bit) == 0 && !bit && found.version == want.version;
	}
	for (unsigned copy = 2; copy-- > 0;) {
		if (right[copy])
			continue;
		superblock_encode(&want, copy, lane->header);
		piece = (struct iovec){lane->header, PAGE};
		if (lane_transfer(lane, MEDIA_WRITE, places[copy], &piece, 1))
			return;
	}
}

void namespaces_mend(struct memkv_pool *pool)
{
	if (pool->sb.minor > FORMAT_MINOR || pool->sb.features_compatible & ~FEATURES_COMPATIBLE)
		return; /* there may be more in it than we know */
	for (unsigned n = 1; n <= pool->sb.further; n++)
		if (namespace_in_pool(&pool->sb, n) && media_there(pool->media, n))
			mend_one(pool, n);
}

/* ---- watching ---- */

/* it has answered with an error: when its superblock cannot be read either it is lost */
static void look_at_suspect(struct memkv_pool *pool, unsigned n)
{
	struct media_member *m = &pool->media->members[n];
	struct namespace_watch *w = &pool->namespaces.watch[n];
	struct superblock found;
	bool bit;

	if (!atomic_exchange(&m->suspect, false))
		return;
	struct lane *lane = lane_acquire(&pool->lanes);
	struct iovec piece = {lane->header, PAGE};
	bool good = lane_transfer(lane, MEDIA_READ, m->base, &piece, 1) == 0 &&
		    superblock_decode(lane->header, 0, &found, &bit) == 0 && found.ordinal == n;
	lane_release(&pool->lanes, lane);
	if (!good)
		media_join_lost(pool->media, n);
	atomic_store(&m->suspect, false);
	w->shunned_us = clock_monotonic_us();
}

static void lose(struct memkv_pool *pool, unsigned n)
{
	const struct extent *e = &pool->control.layout.extents[n];
	struct namespace_watch *w = &pool->namespaces.watch[n];

	if (!w->lost) {
		log_say("%s: namespace %u of the pool (%s) is lost: its blocks are misses until it is back", pool->media->path, n,
			pool->sb.namespaces[n - 1].path);
		follower_lose(&pool->follower, e->first_segment, e->segments);
		w->lost = true;
		w->regain = false;
		w->look_us = clock_monotonic_us() + w->pause_us;
		/* what comes and goes all the time is not looked for all the time */
		w->pause_us = min_u64(2 * w->pause_us, LOOK_PAUSE_MAX_US);
	}
	if (pool->read_only || room_lose(&pool->room, e->first_segment, e->segments))
		atomic_store(&pool->media->members[n].mourned, true);
}

/* what is looked at without asking, as when a pool is opened */
static bool refresh_words(const struct memkv_pool *pool, unsigned n)
{
	const struct extent *e = &pool->control.layout.extents[n];
	struct media *m = pool->media->members[n].medium;

	return m->ops->refresh(m, e->owner_words - e->base, e->segments * 8) == 0 &&
	       m->ops->refresh(m, e->ages - e->base, e->segments * 8) == 0 &&
	       m->ops->refresh(m, e->pulses - e->base, e->segments * 8) == 0;
}

/*
 * A device that failed, and works again, is still open, and claimed by that: nobody could open it anew.  Both superblocks are
 * read, of which the second is at its end.
 */
static bool works_again(struct memkv_pool *pool, unsigned n)
{
	struct lane *lane = &pool->namespaces.visits.lane;
	struct media *m = pool->media->members[n].medium;
	const struct namespace_entry *ns = &pool->sb.namespaces[n - 1];
	bool good = !m->caps.mappable && lane_open(lane, m) == 0, bit;
	struct superblock found;

	if (!good)
		return false;
	for (unsigned copy = 0; good && copy < 2; copy++) {
		struct iovec piece = {lane->header, PAGE};
		good = lane_transfer(lane, MEDIA_READ, copy ? ns->geo.bytes - PAGE : 0, &piece, 1) == 0 &&
		       superblock_decode(lane->header, copy, &found, &bit) == 0 && found.ordinal == n && found.seed == pool->sb.seed &&
		       memcmp(found.id, ns->id, sizeof(found.id)) == 0;
	}
	lane_close(lane);
	return good;
}

static int find_again(struct memkv_pool *pool, unsigned n)
{
	struct namespaces *all = &pool->namespaces;

	if (works_again(pool, n))
		return media_join_return(pool->media, n, pool->media->members[n].medium);
	int err = namespace_find(&pool->sb, n, pool->media->path, all->flags, &all->visits);
	fork_hold();
	if (!err)
		err = media_join_return(pool->media, n, all->visits.media[n]);
	fork_release();
	namespace_leave(&all->visits, n);
	return err;
}

static void look_for(struct memkv_pool *pool, unsigned n)
{
	const struct extent *e = &pool->control.layout.extents[n];
	struct namespace_watch *w = &pool->namespaces.watch[n];
	uint64_t now = clock_monotonic_us();

	if (now < w->look_us || !atomic_load(&pool->media->members[n].mourned))
		return;
	w->look_us = now + w->pause_us;
	if (find_again(pool, n) || !refresh_words(pool, n))
		return;
	media_join_there(pool->media, n);
	w->lost = false;
	w->regain = !pool->read_only;
	(void)follower_regain(&pool->follower, e->first_segment, e->segments);
	log_say("%s: namespace %u of the pool (%s) is back", pool->media->path, n, pool->sb.namespaces[n - 1].path);
}

static void tend_one(struct memkv_pool *pool, unsigned n)
{
	struct media_member *m = &pool->media->members[n];
	struct namespace_watch *w = &pool->namespaces.watch[n];
	const struct extent *e = &pool->control.layout.extents[n];
	uint64_t now = clock_monotonic_us();

	look_at_suspect(pool, n);
	if (!media_there(pool->media, n) && (!w->lost || !atomic_load(&m->mourned)))
		lose(pool, n);
	if (w->lost)
		look_for(pool, n);
	if (w->regain && room_regain(&pool->room, e->first_segment, e->segments))
		w->regain = false;
	if (!w->lost && atomic_load(&m->shunned) && now > w->shunned_us + SHUN_US)
		atomic_store(&m->shunned, false);
	if (!w->lost && w->pause_us > LOOK_PAUSE_US && now > w->look_us + LOOK_PAUSE_MAX_US)
		w->pause_us = LOOK_PAUSE_US;
}

void namespaces_tend(struct memkv_pool *pool)
{
	if (!pool->namespaces.several || pthread_mutex_trylock(&pool->namespaces.lock))
		return;
	for (unsigned n = 1; n <= pool->sb.further; n++)
		if (namespace_in_pool(&pool->sb, n))
			tend_one(pool, n);
	pthread_mutex_unlock(&pool->namespaces.lock);
}
