/* SPDX-License-Identifier: Apache-2.0 */
/* See forming.h. */
#include "core/pool/forming.h"
#include "core/base/fail.h"
#include "core/format/owner_word.h"
#include "core/pool/grow.h"
#include "core/pool/handle.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { ZERO_CHUNK = 1 << 20 };
#define ALLOCATE_CHUNK GIB(1)

static int progress(struct forming *f, uint64_t bytes)
{
	struct forming_progress *p = f->progress;

	p->done += bytes;
	return p->tell && p->tell(p->context, p->done, p->total) ? -ECANCELED : 0;
}

/* what an attempt to add it to this very pool left, which is nobody's */
static bool left_over(struct target *t, const struct superblock *ours)
{
	struct superblock found;

	if (!ours || target_superblock(t, &found)) /* perhaps it has but one of the two */
		return false;
	bool same = memcmp(found.uuid, ours->uuid, sizeof(found.uuid)) == 0 && found.seed == ours->seed && found.ordinal > 0;
	return same && (found.ordinal > ours->further ||
			memcmp(found.id, ours->namespaces[found.ordinal - 1].id, sizeof(found.id)) != 0 ||
			!namespace_in_pool(ours, found.ordinal));
}

/* may it be overwritten? */
static int look_what_is_there(struct forming *f, bool force, const struct superblock *ours)
{
	struct target *t = &f->target;
	char name[64];
	int holds = t->fd < 0 || t->unnamed ? HOLDS_NOTHING : target_look(t, name, sizeof(name));

	if (holds < 0)
		return holds;
	f->holds = (enum target_holds)holds;
	if (holds == HOLDS_POOL && left_over(t, ours))
		return 0;
	if (holds == HOLDS_POOL && !force)
		return fail(MEMKV_POOL_EXISTS, "%s holds a pool already; destroy it first, or use --force", t->path);
	if (holds == HOLDS_POOL)
		return target_check_unused(t);
	if (holds == HOLDS_DATA && !force)
		return fail(MEMKV_FOREIGN, "%s holds data that is not memkv's%s%s%s; use --force to overwrite it", t->path,
			    name[0] ? " (" : "", name, name[0] ? ")" : "");
	return 0;
}

int forming_open(struct forming *f, const char *path, bool look_only, bool force, const struct superblock *ours)
{
	int err = target_open(&f->target, path, look_only);

	if (!err && f->opened)
		err = f->opened(&f->target, f->opened_context);
	if (!err)
		err = look_what_is_there(f, force, ours); /* without a lock, which would get into the way of those who attach */
	if (!err && !look_only)
		err = target_lock(&f->target);
	if (!err && !look_only && !f->target.unnamed)
		err = look_what_is_there(f, force, ours);
	return err;
}

void forming_close(struct forming *f, bool failed)
{
	if (failed && (f->target.made || f->named))
		unlink(f->target.path);
	target_close(&f->target);
}

void forming_choose(struct forming *f, const struct extent *extent, bool thin)
{
	f->extent = *extent;
	f->allocate = f->target.device ? 0 : thin ? extent->control_bytes : extent->bytes;
}

static int cannot_allocate(const struct forming *f, int err)
{
	return fail(err, "%s: cannot allocate %" PRIu64 " bytes: %s; choose a smaller --size or free some space",
		    f->target.path, f->extent.bytes, strerror(-err));
}

int forming_check_space(const struct forming *f)
{
	uint64_t has = f->target.fd < 0 ? 0 : (uint64_t)f->target.st.st_blocks * 512;
	char *directory = target_directory(f->target.path);
	struct statvfs vfs;
	bool known = directory && statvfs(directory, &vfs) == 0;

	free(directory);
	if (known && f->allocate > has && f->allocate - has > (uint64_t)vfs.f_bavail * vfs.f_frsize)
		return cannot_allocate(f, -ENOSPC);
	return 0;
}

static int allocate(struct forming *f)
{
	uint64_t bytes = f->extent.bytes;
	int err = 0;

	if (f->target.size < bytes && ftruncate(f->target.fd, (off_t)bytes))
		err = -errno;
	for (uint64_t at = 0, piece; !err && at < f->allocate; at += piece) {
		piece = min_u64(ALLOCATE_CHUNK, f->allocate - at);
		if (fallocate(f->target.fd, 0, (off_t)at, (off_t)piece))
			err = -errno;
		if (err == -EOPNOTSUPP || err == -ENOSYS)
			return 0; /* no space can be promised; the control region is written below in any case */
		if (err == -EINTR)
			err = 0, piece = 0; /* a signal: whoever caught it says so now, else once more */
		if (!err && progress(f, piece))
			return fail(-ECANCELED, "%s: the create was stopped", f->target.path);
	}
	return err ? cannot_allocate(f, err) : 0;
}

static int zero_chunks(struct forming *f, uint64_t offset, uint64_t end)
{
	uint8_t *zero = aligned_alloc(PAGE, ZERO_CHUNK);
	int err = zero ? 0 : -ENOMEM;

	if (zero)
		memset(zero, 0, ZERO_CHUNK);
	while (!err && offset < end) {
		uint64_t piece = min_u64(ZERO_CHUNK, end - offset);
		err = target_write(&f->target, zero, piece, offset);
		if (!err)
			err = progress(f, piece);
		offset += piece;
	}
	free(zero);
	return err;
}

/* all but the first page, which says what is going on */
static int wipe_control(struct forming *f)
{
	uint64_t length = f->extent.control_bytes - PAGE;
	int err = target_zero_range(&f->target, PAGE, length);

	if (err == -EOPNOTSUPP || err == -ENOSYS || err == -EINTR)
		err = zero_chunks(f, PAGE, f->extent.control_bytes);
	else if (!err)
		err = progress(f, length);
	if (err == -ECANCELED)
		return fail(err, "%s: the create was stopped", f->target.path);
	return err ? fail(err, "%s: cannot write %" PRIu64 " bytes: %s", f->target.path, f->extent.control_bytes,
			  strerror(-err))
		   : 0;
}

int forming_clear(struct forming *f)
{
	int err = allocate(f);

	if (!err)
		err = target_wipe_superblocks(&f->target, true);
	return err ? err : wipe_control(f);
}

static int write_owner_words(struct forming *f, uint64_t seed)
{
	const struct extent *e = &f->extent;
	uint64_t *words = calloc(e->segments, sizeof(*words));

	if (!words)
		return -ENOMEM;
	for (uint64_t i = 0; i < e->segments; i++)
		words[i] = owner_word_encode((struct owner_word){.state = OWNER_FREE}, e->first_segment + i, seed);
	int err = target_write(&f->target, words, e->segments * sizeof(*words), e->owner_words - e->base);
	free(words);
	return err;
}

int forming_superblocks(struct target *t, const struct superblock *sb)
{
	uint8_t page[PAGE];
	int err = 0;

	for (unsigned copy = 2; copy-- > 0 && !err;) {
		superblock_encode(sb, copy, page);
		err = target_write(t, page, sizeof(page), copy ? superblock_bytes(sb) - PAGE : 0);
		if (!err)
			err = target_flush(t);
	}
	return err;
}

int forming_finish(struct forming *f, const struct superblock *sb)
{
	int err = write_owner_words(f, sb->seed);

	if (!err)
		err = target_flush(&f->target);
	if (!err)
		err = forming_superblocks(&f->target, sb);
	return err ? fail(err, "%s: cannot write the pool: %s", f->target.path, strerror(-err)) : 0;
}

/* the directory entry of a new file must survive as well */
static void flush_directory(const char *path)
{
	char *directory = target_directory(path);
	int fd = directory ? open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (fd >= 0) {
		(void)fsync(fd);
		close(fd);
	}
	free(directory);
}

int forming_name(struct forming *f)
{
	bool unnamed = f->target.unnamed;
	int err = target_name(&f->target);

	f->named = unnamed && !err;
	if (!err && !f->target.device)
		flush_directory(f->target.path);
	return err;
}
