/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two versions of the software on one pool.  The newer one is staged: an agent of this version is attached, and the
 * superblocks are written with a feature bit that this version does not know, as an upgrade does that the agent took
 * part in.  What another process of this version then may do:
 *   compatible bit    - everything; the bit stays, and so does a part of the superblock that it does not know
 *   read-only bit     - read, while the attached agent goes on writing; to open for writing is refused, with the mend
 *   incompatible bit, - nothing: refused, and not a byte is changed; create and destroy by force know it for a pool
 *   next major version
 */
#include "helpers.h"

#include "core/format/superblock.h"

#include <fcntl.h>
#include <unistd.h>

enum { LENGTH = 20000, BLOCKS = 8 };

static const char *path;

static void transfer(unsigned copy, uint64_t bytes, uint8_t page[PAGE], bool write)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	off_t at = copy ? (off_t)(bytes - PAGE) : 0;

	EXPECT(fd >= 0, "open");
	EXPECT((write ? pwrite(fd, page, PAGE, at) : pread(fd, page, PAGE, at)) == PAGE, "superblock %u", copy);
	close(fd);
}

static struct superblock read_superblock(unsigned copy, uint64_t bytes)
{
	uint8_t page[PAGE];
	struct superblock sb;
	bool mended;

	transfer(copy, bytes, page, false);
	int err = superblock_decode(page, copy, &sb, &mended);
	EXPECT(err == 0, "superblock %u: %s", copy, memkv_code_name(err));
	return sb;
}

/* @first: as this version has made it */
static void upgrade(const struct superblock *first, struct superblock (*change)(struct superblock))
{
	for (unsigned copy = 0; copy < 2; copy++) {
		uint8_t page[PAGE];
		struct superblock sb = change(*first);
		superblock_encode(&sb, copy, page);
		transfer(copy, sb.geo.bytes, page, true);
	}
}

static struct superblock plain(struct superblock sb)
{
	return sb;
}
static struct superblock compatible(struct superblock sb)
{
	sb.features_compatible = 1ULL << 40;
	return sb;
}
static struct superblock only_to_read(struct superblock sb)
{
	sb.features_read_only = 1ULL << 41;
	return sb;
}
static struct superblock incompatible(struct superblock sb)
{
	sb.features_incompatible = 1ULL << 42;
	return sb;
}
static struct superblock next_major(struct superblock sb)
{
	sb.major = FORMAT_MAJOR + 1;
	return sb;
}

static void put_one(struct memkv_pool *pool, uint64_t number)
{
	uint8_t bytes[LENGTH];
	struct memkv_key key = key_of(number);

	payload_fill(bytes, LENGTH, number, 1);
	EXPECT(memkv_put(pool, &key, bytes, LENGTH, NULL) == 0, "put %llu", (unsigned long long)number);
}

static void expect_there(struct memkv_pool *pool, uint64_t count)
{
	uint8_t bytes[LENGTH];

	memkv_pool_refresh(pool);
	for (uint64_t number = 0; number < count; number++) {
		struct memkv_key key = key_of(number);
		EXPECT(memkv_get(pool, &key, bytes, LENGTH, NULL) == LENGTH && payload_right(bytes, LENGTH, number, 1),
		       "block %llu", (unsigned long long)number);
	}
}

static void expect_refused(uint32_t flags, const char *what)
{
	struct memkv_pool_options options = {.size = sizeof(options), .flags = flags};
	struct memkv_pool *pool = NULL;
	int err = memkv_pool_open(path, &options, &pool);

	EXPECT(err == MEMKV_NEWER && !pool, "%s: %s", what, memkv_code_name(err));
	EXPECT(strstr(memkv_error_detail(), path) && strlen(memkv_error_detail()) > strlen(path) + 20, "%s: '%s'", what,
	       memkv_error_detail());
}

int main(void)
{
	path = scratch_path("versions");
	pool_make_bytes(path, MIB(16), KIB(64));
	struct memkv_pool *newer = pool_attach(path, 0);
	uint64_t bytes = describe_of(newer).bytes, count = 0;

	struct superblock first = read_superblock(0, bytes);
	put_one(newer, count++);
	upgrade(&first, compatible);
	struct memkv_pool *older = pool_attach(path, 0);
	put_one(older, count++);
	put_one(newer, count++);
	expect_there(older, count);
	expect_there(newer, count);
	memkv_pool_close(older);
	for (unsigned copy = 0; copy < 2; copy++)
		EXPECT(read_superblock(copy, bytes).features_compatible == 1ULL << 40, "the unknown bit of copy %u is gone", copy);

	upgrade(&first, only_to_read);
	expect_refused(0, "to write, with a read-only bit");
	older = pool_attach(path, MEMKV_OPEN_READ_ONLY);
	put_one(newer, count++);
	expect_there(older, count);
	memkv_pool_close(older);

	static struct superblock (*const refused[])(struct superblock) = {incompatible, next_major};
	for (int i = 0; i < 2; i++) {
		upgrade(&first, refused[i]);
		uint8_t before[2][PAGE], after[PAGE];
		transfer(0, bytes, before[0], false);
		transfer(1, bytes, before[1], false);
		expect_refused(0, "to write");
		expect_refused(MEMKV_OPEN_READ_ONLY, "to read");
		struct memkv_create_options create = {.size = sizeof(create), .bytes = MIB(16)};
		EXPECT(memkv_pool_create(path, &create) == MEMKV_POOL_EXISTS, "create over it: %s", memkv_error_detail());
		for (unsigned copy = 0; copy < 2; copy++) {
			transfer(copy, bytes, after, false);
			EXPECT(memcmp(before[copy], after, PAGE) == 0, "superblock %u was changed", copy);
		}
		put_one(newer, count++); /* who is attached knows what the pool is */
		expect_there(newer, count);
	}
	upgrade(&first, plain);
	memkv_pool_close(newer);
	older = pool_attach(path, 0);
	expect_there(older, count);
	pool_expect_clean(older, "in the end");
	memkv_pool_close(older);
	printf("compatible: read and written, the bit stayed; read-only: read beside a writer; incompatible and next major: refused, "
	       "unchanged; %llu blocks there\n", (unsigned long long)count);
	return 0;
}
