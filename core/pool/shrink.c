/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking a namespace out of a pool: one that is drained, or one that is lost.  Like growing (grow.c) it is a change of home's
 * superblocks with no agent attached; with copy B it is made.  Its place in the address space, and the numbers of its segments,
 * stay unused.
 */
#include "core/base/fail.h"
#include "core/pool/forming.h"
#include "core/pool/grow.h"
#include "core/pool/handle.h"

#include <memkv/namespace.h>
#include <memkv/pin.h>

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool id_is(const uint8_t id[16], const char *text)
{
	char plain[33] = "";
	size_t digits = 0;

	for (; *text && digits < 32; text++)
		if (*text != '-')
			plain[digits++] = (char)tolower((unsigned char)*text);
	char want[33];
	for (int i = 0; i < 16; i++)
		snprintf(want + 2 * i, 3, "%02x", id[i]);
	return digits == 32 && !*text && strcmp(plain, want) == 0;
}

static bool path_is(const char *hint, const char *path)
{
	char whole[PATH_MAX];
	const char *named = realpath(path, whole) ? whole : path, *slash = strrchr(named, '/');

	return hint[0] && (strcmp(hint, named) == 0 || (hint[0] != '/' && slash && strcmp(hint, slash + 1) == 0));
}

static int number_of(const struct superblock *sb, const char *home_path, const char *name)
{
	char *end;
	unsigned long number = strtoul(name, &end, 10);

	for (unsigned n = 1; n <= sb->further; n++) {
		const struct namespace_entry *ns = &sb->namespaces[n - 1];
		if (!namespace_in_pool(sb, n))
			continue;
		if ((*name && !*end && number == n) || id_is(ns->id, name) || path_is(ns->path, name) || strcmp(ns->path, name) == 0)
			return (int)n;
	}
	if ((*name && !*end && number == 0) || strcmp(name, home_path) == 0)
		return 0;
	return fail(MEMKV_CONFLICT, "%s has no namespace %s; memkv pool info lists them", home_path, name);
}

int memkv_pool_namespace_of(struct memkv_pool *pool, const char *name)
{
	POOL_USE use = pool_enter(pool, ENTRY_CALL);

	return !use.inside ? use.result : name ? number_of(&pool->sb, pool->media->path, name) : fail(-EINVAL, "a name is needed");
}

/* pins of blocks that are nowhere else; or -errno */
static int64_t pinned_there(struct memkv_pool *pool)
{
	int64_t count = memkv_pins(pool, NULL, 0), missing = 0;
	struct memkv_pin_info *pins = count > 0 ? calloc((size_t)count, sizeof(*pins)) : NULL;

	if (count <= 0)
		return count;
	if (!pins)
		return fail(-ENOMEM, "%s: no memory for the pins", pool->media->path);
	int64_t now = memkv_pins(pool, pins, (size_t)count);
	for (int64_t i = 0; i < now && i < count; i++) /* of a session nobody knows what it had there */
		missing += pins[i].is_session || memkv_exists(pool, &pins[i].key, 0) <= 0;
	free(pins);
	return missing;
}

/* the pool, read by itself: is there nothing left that anybody could want? */
static int check_empty(const char *path, unsigned number, uint32_t flags)
{
	struct memkv_pool_options options = {
		.size = sizeof(options), .flags = MEMKV_OPEN_READ_ONLY | MEMKV_OPEN_NO_FOLLOWER, .lanes = 1};
	struct memkv_namespace list[NAMESPACES_MAX];
	struct memkv_pool *pool;
	int err = memkv_pool_open(path, &options, &pool);

	if (err)
		return err;
	(void)memkv_pool_namespaces(pool, list, NAMESPACES_MAX);
	const struct memkv_namespace *ns = &list[number];
	if (ns->state == MEMKV_NAMESPACE_THERE && ns->segments_retired != ns->segments)
		err = fail(MEMKV_NOT_EMPTY, "%s: namespace %u is not drained: %" PRIu64 " of its %" PRIu64 " segments are in use; drain it first",
			   path, number, ns->segments - ns->segments_retired, ns->segments);
	else if (ns->state == MEMKV_NAMESPACE_LOST && !(flags & MEMKV_SHRINK_LOST))
		err = fail(MEMKV_DEGRADED, "%s: namespace %u (%s) is lost; bring it back, or give up what is on it with --lost", path, number,
			   ns->path);
	else if (ns->state == MEMKV_NAMESPACE_LOST && !(flags & MEMKV_SHRINK_UNPIN)) {
		int64_t pinned = pinned_there(pool);
		err = pinned < 0 ? (int)pinned
		      : pinned	 ? fail(MEMKV_PINNED, "%s: namespace %u is lost, and %" PRId64 " pins are of blocks or sessions that may be "
							"there; unpin them, or use --unpin", path, number, pinned)
				 : 0;
	}
	memkv_pool_close(pool);
	return err;
}

/* its own superblocks and, of a file, itself: as far as it is there.  The pool knows it no more */
static void wipe_removed(const struct superblock *before, unsigned number, const char *home_path)
{
	struct namespace_visits visits = {0};
	struct target t = {.fd = -1};

	if (namespace_find(before, number, home_path, MEDIA_OPEN_READ_ONLY, &visits))
		return;
	char *path = strdup(visits.media[number]->path);
	namespace_leave(&visits, number);
	if (path && target_open_existing(&t, path, false) == 0 && target_lock(&t) == 0)
		(void)target_wipe(&t);
	target_close(&t);
	free(path);
}

int memkv_pool_shrink(const char *path, const char *name, uint32_t flags)
{
	struct target home = {.fd = -1};
	struct superblock before = {0};

	if (!path || !*path || !name)
		return fail(-EINVAL, "shrink: a pool and the name of a namespace are needed");
	int err = target_open_home(&home, path, flags & MEMKV_SHRINK_DRY_RUN, &before);
	int number = err ? err : number_of(&before, path, name);
	if (!err && number == 0)
		err = fail(MEMKV_CONFLICT, "%s: namespace 0 is the pool's home, and stays as long as the pool does", path);
	if (!err && number < 0)
		err = number;
	if (!err)
		err = check_empty(path, (unsigned)number, flags);
	if (!err && !(flags & MEMKV_SHRINK_DRY_RUN)) {
		struct superblock after = before;
		after.namespaces[number - 1].state = NAMESPACE_REMOVED;
		after.version++;
		err = pool_commit(&home, &after, (unsigned)number);
		if (!err)
			wipe_removed(&before, (unsigned)number, path);
	}
	target_close(&home);
	return err;
}
