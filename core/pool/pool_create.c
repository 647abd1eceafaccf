/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making and destroying pools on files, block devices and DAX devices (target.h).
 *
 * Order of create: forming.h, for all namespaces up to the wipe, then for the further ones, then for the first.
 * Interrupted anywhere before its last steps there is no pool, or still the old one.
 */
#include "core/base/environ.h"
#include "core/base/fail.h"
#include "core/base/log.h"
#include "core/base/options_take.h"
#include "core/pool/forming.h"
#include "core/pool/grow.h"
#include "core/media/cache_lines.h"
#include "core/pool/handle.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct creation {
	struct forming home;
	struct forming further[NAMESPACES_MAX - 1];
	unsigned further_count;
	struct forming_progress progress;
	struct memkv_create_options options;
	struct superblock sb;
	struct layout layout; /* of all of them */
};

static bool is_forced(const struct creation *c) { return c->options.flags & MEMKV_CREATE_FORCE; }

static int choose_home(struct creation *c)
{
	const struct memkv_create_options *o = &c->options;
	const struct target *t = &c->home.target;
	struct geometry_wish wish = {
		.bytes = o->bytes,
		.max_block = o->max_block,
		.segment = o->segment,
		.blocks = o->blocks,
		.block_size = o->block_size,
		.slots = o->slots,
		.shared = o->flags & MEMKV_CREATE_SHARE,
	};

	if (!wish.bytes && !wish.blocks)
		wish.bytes = t->size ? t->size : DEFAULT_BYTES;
	int err = geometry_choose(&wish, &c->sb.geo);
	if (!err)
		err = layout_compute(&c->sb.geo, &c->layout);
	if (!err && t->device && t->size < c->sb.geo.bytes)
		err = fail(MEMKV_GEOMETRY, "%s has %" PRIu64 " bytes, the pool would need %" PRIu64, t->path, t->size,
			   c->sb.geo.bytes);
	return err;
}

static int choose_sizes(struct creation *c)
{
	bool thin = c->options.flags & MEMKV_CREATE_THIN;
	int err = choose_home(c);

	for (unsigned i = 0; !err && i < c->further_count; i++)
		err = namespace_plan(&c->sb, &c->layout, &c->further[i].target, c->options.bytes);
	for (unsigned i = 0; !err && i <= c->further_count; i++)
		forming_choose(i ? &c->further[i - 1] : &c->home, &c->layout.extents[i], thin);
	return err;
}

static int check_options(const struct memkv_create_options *o, const char *path)
{
	if (o->name && strlen(o->name) > MEMKV_NAME_MAX)
		return fail(MEMKV_CONFLICT, "--name is longer than %d bytes", MEMKV_NAME_MAX);
	if (o->namespace_count >= NAMESPACES_MAX)
		return fail(MEMKV_CONFLICT, "%s: a pool has at most %d namespaces", path, NAMESPACES_MAX);
	if (o->namespace_count && o->blocks)
		return fail(MEMKV_CONFLICT, "--blocks sets the size of a pool of one namespace; with --namespace use --size");
	if (o->namespace_count && o->flags & MEMKV_CREATE_INCOHERENT)
		return fail(MEMKV_CONFLICT, "--coherent no is for pools of one namespace: leave --namespace out");
	if (o->namespace_count && o->flags & MEMKV_CREATE_SHARE)
		return fail(MEMKV_CONFLICT, "--share is for pools of one namespace: leave --namespace out");
	for (size_t i = 0; i < o->namespace_count; i++) {
		bool twice = !o->namespaces[i] || strcmp(o->namespaces[i], path) == 0;
		for (size_t j = 0; j < i && !twice; j++)
			twice = strcmp(o->namespaces[i], o->namespaces[j]) == 0;
		if (twice)
			return fail(MEMKV_CONFLICT, "%s is given twice", o->namespaces[i] ? o->namespaces[i] : "a namespace");
	}
	return 0;
}

static int prepare_further(struct creation *c, bool look_only)
{
	int err = 0;

	for (unsigned i = 0; !err && i < c->options.namespace_count; i++) {
		struct forming *f = &c->further[c->further_count++];
		f->progress = &c->progress;
		f->target.fd = -1;
		err = forming_open(f, c->options.namespaces[i], look_only, is_forced(c), NULL);
		if (!err)
			err = namespace_kind(&c->home.target, &f->target);
	}
	return err;
}

/* no compare-and-swap, no page cache: for memory alone */
static int check_incoherent(struct target *t, void *context)
{
	const struct creation *c = context;

	if (!(c->options.flags & MEMKV_CREATE_INCOHERENT))
		return 0;
	if (c->options.flags & MEMKV_CREATE_SHARE)
		return fail(MEMKV_CONFLICT, "%s: --coherent no and --share cannot go together yet: one agent writes to such memory, others "
					    "read", t->path);
	if (!cache_lines_usable())
		return fail(-EOPNOTSUPP, "%s: this build does not know the cache instructions of its processor", t->path);
	t->incoherent = true;
	return t->memory || t->fd < 0 || media_file_is_memory(t->fd)
		       ? 0
		       : fail(MEMKV_CONFLICT, "%s is not memory: --coherent no is for DAX devices (and files on tmpfs or a DAX file system) "
					      "that hosts share whose caches are not coherent", t->path);
}

/* everything up to the first change; with look_only, also whether there would be room */
static int prepare(struct creation *c, const char *path, const struct memkv_create_options *options, bool look_only)
{
	memset(c, 0, sizeof(*c));
	c->home.target.fd = -1;
	c->home.progress = &c->progress;
	c->home.opened = check_incoherent;
	c->home.opened_context = c;
	if (!path || !*path)
		return fail(-EINVAL, "create: a path is needed");
	int err = options_take(&c->options, sizeof(c->options), options, "create");
	if (!err)
		err = check_options(&c->options, path);
	if (!err)
		err = forming_open(&c->home, path, look_only, is_forced(c), NULL);
	if (!err && c->options.flags & MEMKV_CREATE_SHARE && !c->home.target.device)
		err = fail(MEMKV_CONFLICT, "%s is not a block device: --share is for devices that several hosts write to; files and memory "
					   "are shared by the processes of one machine as they are", path);
	if (!err)
		err = prepare_further(c, look_only);
	c->progress.tell = c->options.progress;
	c->progress.context = c->options.context;
	return err ? err : choose_sizes(c);
}

static void finish(struct creation *c, bool failed)
{
	while (c->further_count > 0)
		forming_close(&c->further[--c->further_count], failed);
	forming_close(&c->home, failed);
}

static int describe(struct creation *c)
{
	struct superblock *sb = &c->sb;
	uint64_t random[2];
	int err = random_fill(random, sizeof(random));

	if (!err)
		err = random_fill(sb->uuid, sizeof(sb->uuid));
	sb->uuid[6] = (uint8_t)((sb->uuid[6] & 0x0F) | 0x40); /* RFC 9562 version 4 */
	sb->uuid[8] = (uint8_t)((sb->uuid[8] & 0x3F) | 0x80);
	sb->major = FORMAT_MAJOR;
	sb->minor = FORMAT_MINOR;
	sb->seed = random[0];
	sb->instance = random[1];
	sb->version = 1;
	if (c->options.flags & MEMKV_CREATE_SHARE)
		sb->features_incompatible |= FEATURE_SHARED;
	if (c->options.flags & MEMKV_CREATE_INCOHERENT)
		sb->features_incompatible |= FEATURE_INCOHERENT;
	if (!(c->options.flags & MEMKV_CREATE_SHARE) && sb->geo.segments >= GROUPS_FROM)
		sb->features_read_only |= FEATURE_GROUPS;
	sb->created_s = clock_utc_s();
	sb->home_device = (uint64_t)c->home.target.st.st_dev;
	sb->home_inode = (uint64_t)c->home.target.st.st_ino;
	if (c->options.name)
		memcpy(sb->name, c->options.name, strlen(c->options.name));
	return err ? fail(err, "%s: no random numbers: %s", c->home.target.path, strerror(-err)) : 0;
}

/* the further ones first, under their names: the pool is there when home's superblocks are, and tells of them */
static int format(struct creation *c)
{
	int err = describe(c);

	for (unsigned i = 0; !err && i < c->further_count; i++)
		err = forming_name(&c->further[i]);
	for (unsigned i = 0; !err && i < c->further_count; i++)
		namespace_describe_place(c->further[i].target.path, &c->sb.namespaces[i]);
	for (unsigned i = 0; !err && i < c->further_count; i++) {
		struct superblock on = superblock_on(&c->sb, i + 1);
		err = forming_finish(&c->further[i], &on);
	}
	if (!err)
		err = forming_finish(&c->home, &c->sb);
	return err ? err : forming_name(&c->home);
}

int memkv_pool_create(const char *path, const struct memkv_create_options *options)
{
	struct creation *c = malloc(sizeof(*c));
	int err = c ? prepare(c, path, options, false) : fail(-ENOMEM, "create: no memory");

	if (!c)
		return err;
	c->progress.total = c->home.allocate + c->home.extent.control_bytes - PAGE;
	for (unsigned i = 0; i < c->further_count; i++)
		c->progress.total += c->further[i].allocate + c->further[i].extent.control_bytes - PAGE;
	c->home.target.control_bytes = c->layout.control_bytes;
	if (!err)
		err = forming_clear(&c->home);
	for (unsigned i = 0; !err && i < c->further_count; i++)
		err = forming_clear(&c->further[i]);
	if (!err)
		err = format(c);
	finish(c, err != 0);
	free(c);
	return err;
}

static void fill_plan(const struct creation *c, struct memkv_create_plan *plan)
{
	const struct geometry *geo = &c->sb.geo;
	uint64_t block = c->options.block_size ? c->options.block_size : geo->max_block;
	struct memkv_create_plan made = {
		.size = plan->size,
		.segments = c->layout.segments,
		.segment_room = geo->segment_room,
		.max_block = geo->max_block,
		.entries_per_segment = geo->entries,
		.room_block_size = block,
		.slots = geo->slots,
	};

	for (unsigned i = 0; i <= c->further_count; i++) {
		const struct forming *f = i ? &c->further[i - 1] : &c->home;
		made.bytes += f->extent.bytes;
		made.control_bytes += f->extent.control_bytes;
		made.room_blocks += layout_room(&c->layout, i, block);
		made.over_pool |= f->holds == HOLDS_POOL;
		made.over_data |= f->holds == HOLDS_DATA;
	}
	made.new_file = c->home.target.fd < 0;
	memcpy(plan, &made, min_u64(plan->size, sizeof(made)));
}

int memkv_pool_plan(const char *path, const struct memkv_create_options *options, struct memkv_create_plan *plan)
{
	struct creation *c;

	if (!plan || plan->size < sizeof(plan->size))
		return fail(-EINVAL, "plan: a place for the answer is needed, with its size");
	c = malloc(sizeof(*c));
	int err = c ? prepare(c, path, options, true) : fail(-ENOMEM, "plan: no memory");
	if (!c)
		return err;
	if (!err)
		err = forming_check_space(&c->home);
	for (unsigned i = 0; !err && i < c->further_count; i++)
		err = forming_check_space(&c->further[i]);
	if (!err)
		fill_plan(c, plan);
	finish(c, false);
	free(c);
	return err;
}

int target_wipe(struct target *t)
{
	uint64_t peek = min_u64(t->size, TARGET_PEEK);
	int err = target_wipe_superblocks(t, false);

	if (err)
		return err;
	if (t->device) {
		uint8_t *zero = calloc(1, TARGET_PEEK);
		err = zero ? target_write(t, zero, peek, 0) : -ENOMEM;
		if (!err)
			err = target_write(t, zero, peek, t->size - peek);
		free(zero);
	}
	if (!err)
		err = target_flush(t);
	if (!err && !t->device && unlink(t->path))
		err = -errno;
	return err ? fail(err, "%s: could not be wiped and removed: %s", t->path, strerror(-err)) : 0;
}

static int check_is_pool(struct target *t)
{
	int holds = target_look(t, NULL, 0);

	if (holds == HOLDS_UNFINISHED)
		return fail(MEMKV_NOT_A_POOL, "%s holds a pool that was never finished: nothing was destroyed; create it again%s",
			    t->path, t->device ? "" : ", or remove the file");
	if (holds >= 0 && holds != HOLDS_POOL)
		return fail(MEMKV_NOT_A_POOL, "%s is not a memkv pool: nothing was destroyed", t->path);
	return holds < 0 ? holds : 0;
}

/* the further namespaces, as far as they can be reached; home goes last, so that what is left can be destroyed once more */
static int wipe_further(const struct superblock *sb, const char *home_path, bool dry_run)
{
	struct namespace_visits visits = {0};
	int err = 0;

	for (unsigned n = 1; !err && n <= sb->further; n++) {
		if (!namespace_in_pool(sb, n))
			continue;
		if (namespace_find(sb, n, home_path, MEDIA_OPEN_READ_ONLY, &visits)) {
			log_say("%s: namespace %u of the pool is lost, and stays as it is: %s", home_path, n, memkv_error_detail());
			continue;
		}
		char *path = strdup(visits.media[n]->path);
		struct target t = {.fd = -1};
		namespace_leave(&visits, n);
		err = path ? target_open_existing(&t, path, dry_run) : fail(-ENOMEM, "destroy: no memory");
		if (!err)
			err = target_lock(&t);
		if (!err && !dry_run)
			err = target_wipe(&t);
		target_close(&t);
		free(path);
	}
	return err;
}

int memkv_pool_destroy(const char *path, int dry_run)
{
	struct target t = {.fd = -1};
	struct superblock sb = {0};

	if (!path || !*path)
		return fail(-EINVAL, "destroy: a path is needed");
	int err = target_open_existing(&t, path, dry_run);
	if (!err)
		err = check_is_pool(&t);
	if (!err)
		err = target_lock(&t);
	if (!err)
		err = target_check_unused(&t);
	if (!err && target_superblock(&t, &sb) == 0 && sb.ordinal)
		err = fail(MEMKV_CONFLICT, "%s is namespace %u of the pool%s%s, and not its first one: destroy that, or format over it "
					   "with pool create --force", path, sb.ordinal, sb.name[0] ? " " : "", sb.name);
	if (!err)
		err = wipe_further(&sb, path, dry_run);
	if (!err && !dry_run)
		err = target_wipe(&t);
	target_close(&t);
	return err;
}
