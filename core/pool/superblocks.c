/* SPDX-License-Identifier: Apache-2.0 */
/* Reading, and mending, a pool's two superblocks: its first and last page. */
#include "core/base/fail.h"
#include "core/pool/handle.h"

#include <inttypes.h>

static int read_copy(struct lane *lane, unsigned copy, uint64_t offset, struct superblock *sb, bool *mended)
{
	struct iovec piece = {lane->header, PAGE};
	int err = lane_transfer(lane, MEDIA_READ, offset, &piece, 1);

	return err ? err : superblock_decode(lane->header, copy, sb, mended);
}

/* the file is whole: everything that the superblock speaks of is there */
static int check_whole(const struct media *media, const struct superblock *sb)
{
	struct layout layout;
	int err = superblock_layout(sb, &layout);

	if (err)
		return fail_within(MEMKV_DAMAGED, "%s: the superblock verifies, but makes no sense", media->path);
	if (superblock_bytes(sb) > media->caps.bytes)
		return fail(MEMKV_DAMAGED,
			    "%s was cut short: it has %" PRIu64 " bytes, the pool needs %" PRIu64
			    "; restore the file, or make a new pool",
			    media->path, media->caps.bytes, superblock_bytes(sb));
	return 0;
}

static int explain(const struct media *media, int err, const struct superblock *sb)
{
	switch (err) {
	case MEMKV_NOT_A_POOL:
		return fail(err, "%s is not a memkv pool; make one with: memkv pool create", media->path);
	case MEMKV_NEWER:
		return fail(err, "%s was made by a newer memkv (format %u, features %#" PRIx64 "); this one knows format %d",
			    media->path, sb->major, sb->features_incompatible, FORMAT_MAJOR);
	case MEMKV_DAMAGED:
		return fail(err, "%s: both superblocks are damaged; the pool cannot be opened", media->path);
	default:
		return fail(err, "%s: cannot read the superblock: %s", media->path, memkv_strerror(err));
	}
}

/* as it should be: of a newer minor version there may be more in it than we know, so that we leave it alone */
static void mend_copy(struct lane *lane, const struct superblock *sb, unsigned copy, uint64_t offset)
{
	struct superblock found;
	bool bit = false;

	if (read_copy(lane, copy, offset, &found, &bit) == 0 && !bit && found.version == sb->version)
		return;
	/* the copy that tells may be of one who was killed before it flushed that: power loss must not tear both */
	if (lane->media->ops->flush(lane->media))
		return;
	superblock_encode(sb, copy, lane->header);
	struct iovec piece = {lane->header, PAGE};
	(void)lane_transfer(lane, MEDIA_WRITE, offset, &piece, 1);
}

void superblocks_mend(struct lane *lane, const struct superblock *sb)
{
	if (sb->minor > FORMAT_MINOR || sb->features_compatible & ~FEATURES_COMPATIBLE)
		return;
	mend_copy(lane, sb, 0, 0);
	mend_copy(lane, sb, 1, superblock_bytes(sb) - PAGE);
	(void)lane->media->ops->flush(lane->media);
}

int superblocks_read(struct lane *lane, struct superblock *sb, bool *mended)
{
	struct media *media = lane->media;
	struct superblock copies[2] = {0};
	bool bit[2] = {false, false};
	int a = MEMKV_NOT_A_POOL, b = MEMKV_NOT_A_POOL;

	if (media->caps.bytes >= 2 * PAGE) {
		a = read_copy(lane, 0, 0, &copies[0], &bit[0]);
		/* the last page of the medium; where the medium grew since, where the first copy says */
		uint64_t bytes = a == 0 ? superblock_bytes(&copies[0]) : 0;
		uint64_t last = bytes >= 2 * PAGE && bytes <= media->caps.bytes ? bytes : round_down(media->caps.bytes, PAGE);
		b = read_copy(lane, 1, last - PAGE, &copies[1], &bit[1]);
	}
	if (a == MEMKV_NEWER || b == MEMKV_NEWER)
		return explain(media, MEMKV_NEWER, a == MEMKV_NEWER ? &copies[0] : &copies[1]);
	if (a && b)
		return explain(media, a == MEMKV_NOT_A_POOL && b == MEMKV_DAMAGED ? b : a, &copies[0]);
	*mended = a || b || bit[0] || bit[1];
	*sb = a || (!b && copies[1].version > copies[0].version) ? copies[1] : copies[0];
	return check_whole(media, sb);
}
