/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growing a pool by a namespace.
 *
 * Nobody else is attached for writing (the lock of those who format, target.h).  The new namespace is formed first, with
 * superblocks that tell of it; then home's are written, B and then A: of two good copies the one with the higher version holds,
 * so with B the pool has grown.  Killed before that, what was formed is nobody's: the next attempt takes it.  The other
 * namespaces' superblocks follow; what is missing there is made up for by whoever attaches for writing next.
 */
#include "core/pool/grow.h"
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/base/options_take.h"
#include "core/pool/forming.h"
#include "core/pool/handle.h"

#include <memkv/namespace.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int namespace_kind(const struct target *home, const struct target *other)
{
	if (home->memory || other->memory)
		return fail(MEMKV_CONFLICT, "%s: DAX devices cannot be one of several namespaces", other->memory ? other->path : home->path);
	if (home->device != other->device)
		return fail(MEMKV_CONFLICT, "%s is a %s and %s is a %s: the namespaces of a pool are all files or all block devices",
			    home->path, home->device ? "block device" : "file", other->path, other->device ? "block device" : "file");
	return 0;
}

int namespace_plan(struct superblock *sb, struct layout *layout, const struct target *t, uint64_t bytes)
{
	struct namespace_entry *ns = &sb->namespaces[sb->further];
	uint64_t size = t->device ? t->size : bytes ? bytes : t->size ? t->size : DEFAULT_BYTES;
	int err = namespace_choose(layout, size, &ns->geo);

	if (!err)
		err = layout_add(layout, &ns->geo);
	if (err)
		return fail_within(err, "%s", t->path);
	ns->state = NAMESPACE_USED;
	sb->features_incompatible |= FEATURE_NAMESPACES;
	sb->further++;
	err = random_fill(ns->id, sizeof(ns->id));
	return err ? fail(err, "%s: no random numbers: %s", t->path, strerror(-err)) : 0;
}

struct growth {
	struct target home;
	struct forming added;
	struct forming_progress progress;
	struct memkv_grow_options options;
	struct superblock sb;
	struct layout layout;
};

int target_superblock(struct target *t, struct superblock *sb)
{
	struct superblock copies[2] = {0};
	bool mended;
	int result[2];
	uint64_t last = round_down(t->size, PAGE);

	result[0] = target_read(t, PAGE, 0) == PAGE ? superblock_decode(t->pages, 0, &copies[0], &mended) : -EIO;
	if (result[0] == 0 && superblock_bytes(&copies[0]) >= 2 * PAGE && superblock_bytes(&copies[0]) <= t->size)
		last = superblock_bytes(&copies[0]);
	result[1] = last >= 2 * PAGE && target_read(t, PAGE, last - PAGE) == PAGE ? superblock_decode(t->pages, 1, &copies[1], &mended)
										   : MEMKV_NOT_A_POOL;
	if (result[0] && result[1])
		return fail(result[0], "%s: %s", t->path, memkv_strerror(result[0]));
	*sb = result[0] || (!result[1] && copies[1].version > copies[0].version) ? copies[1] : copies[0];
	return 0;
}

int target_open_home(struct target *t, const char *path, bool look_only, struct superblock *sb)
{
	int err = target_open_existing(t, path, look_only);

	if (!err)
		err = target_lock(t);
	if (!err)
		err = target_check_unused(t);
	if (!err)
		err = target_superblock(t, sb);
	if (!err && sb->ordinal)
		err = fail(MEMKV_CONFLICT, "%s is namespace %u of a pool, and not its first one: name that", path, sb->ordinal);
	if (!err && (sb->minor > FORMAT_MINOR || sb->features_compatible & ~FEATURES_COMPATIBLE ||
		     sb->features_read_only & ~FEATURES_READ_ONLY))
		err = fail(MEMKV_NEWER, "%s was made by a newer memkv, which has to do this", path);
	return err;
}

/* the further namespaces that can be reached: what they have now is told by the next who attaches, as far as this fails */
static void tell_others(const struct superblock *sb, unsigned but, const char *home_path)
{
	struct namespace_visits visits = {0};

	for (unsigned n = 1; n <= sb->further; n++) {
		if (n == but || !namespace_in_pool(sb, n) || namespace_find(sb, n, home_path, MEDIA_OPEN_READ_ONLY, &visits))
			continue;
		char *path = strdup(visits.media[n]->path);
		struct superblock on = superblock_on(sb, n);
		struct target t = {.fd = -1};
		namespace_leave(&visits, n);
		if (path && target_open_existing(&t, path, false) == 0 && target_lock(&t) == 0)
			(void)forming_superblocks(&t, &on);
		target_close(&t);
		free(path);
	}
}

int pool_commit(struct target *home, const struct superblock *sb, unsigned but)
{
	int err = forming_superblocks(home, sb);

	if (err)
		return fail(err, "%s: the superblock cannot be written: %s", home->path, strerror(-err));
	tell_others(sb, but, home->path);
	return 0;
}

/* is what is to be added a namespace of this pool already? */
static int check_new(struct growth *g, const char *path)
{
	struct superblock found;
	struct target *t = &g->added.target;

	if (t->fd < 0 || t->unnamed || g->added.holds != HOLDS_POOL || target_superblock(t, &found))
		return 0;
	bool same = memcmp(found.uuid, g->sb.uuid, sizeof(found.uuid)) == 0 && found.seed == g->sb.seed;
	bool used = found.ordinal == 0 || (found.ordinal <= g->sb.further && namespace_in_pool(&g->sb, found.ordinal) &&
					   memcmp(found.id, g->sb.namespaces[found.ordinal - 1].id, sizeof(found.id)) == 0);
	return same && used ? fail(MEMKV_POOL_EXISTS, "%s is namespace %u of this pool already", path, found.ordinal) : 0;
}

static int plan_growth(struct growth *g, const char *path, const char *name)
{
	bool force = g->options.flags & MEMKV_CREATE_FORCE, look_only = g->options.dry_run;
	int err = target_open_home(&g->home, path, look_only, &g->sb);

	if (!err && g->sb.features_incompatible & FEATURE_SHARED)
		err = fail(MEMKV_CONFLICT, "%s is shared by several hosts, and such a pool has one namespace", path);
	if (!err)
		err = superblock_layout(&g->sb, &g->layout);
	if (!err && strcmp(path, name) == 0)
		err = fail(MEMKV_POOL_EXISTS, "%s is namespace 0 of this pool already", path);
	if (!err)
		err = forming_open(&g->added, name, look_only, false, &g->sb);
	if (err == MEMKV_POOL_EXISTS || err == MEMKV_FOREIGN) {
		int again = check_new(g, name);
		if (again || !force)
			return again ? again : err;
		target_close(&g->added.target);
		err = forming_open(&g->added, name, look_only, true, &g->sb);
	}
	if (!err)
		err = namespace_kind(&g->home, &g->added.target);
	if (!err)
		err = namespace_plan(&g->sb, &g->layout, &g->added.target, g->options.bytes);
	if (err)
		return err;
	forming_choose(&g->added, &g->layout.extents[g->sb.further], g->options.flags & MEMKV_CREATE_THIN);
	g->sb.version++;
	return forming_check_space(&g->added);
}

static int grow(struct growth *g)
{
	unsigned number = g->sb.further;
	int err = forming_clear(&g->added);

	if (!err)
		err = forming_name(&g->added);
	if (err)
		return err;
	namespace_describe_place(g->added.target.path, &g->sb.namespaces[number - 1]);
	struct superblock on = superblock_on(&g->sb, number);
	err = forming_finish(&g->added, &on);
	if (err)
		return err;
	g->added.named = g->added.target.made = false; /* from now on the pool may tell of it, and it stays */
	return pool_commit(&g->home, &g->sb, number);
}

int memkv_pool_grow(const char *path, const char *name, const struct memkv_grow_options *options)
{
	if (!path || !*path || !name || !*name)
		return fail(-EINVAL, "grow: a pool and a path for the new namespace are needed");
	struct growth *g = calloc(1, sizeof(*g));
	if (!g)
		return fail(-ENOMEM, "grow: no memory");
	g->home.fd = g->added.target.fd = -1;
	g->added.progress = &g->progress;
	int err = options_take(&g->options, sizeof(g->options), options, "grow");
	if (!err && g->options.flags & MEMKV_CREATE_SHARE)
		err = fail(MEMKV_CONFLICT, "--share is for pools of one namespace");
	if (!err)
		err = plan_growth(g, path, name);
	g->progress = (struct forming_progress){g->options.progress, g->options.context, 0,
						g->added.allocate + g->added.extent.control_bytes - PAGE};
	if (!err && !g->options.dry_run)
		err = grow(g);
	int number = (int)g->sb.further;
	forming_close(&g->added, err != 0);
	target_close(&g->home);
	free(g);
	return err ? err : number;
}
