/* SPDX-License-Identifier: Apache-2.0 */
/* See locate.h and include/memkv/locator.h.  Reading by a locator is in get.c. */
#include "core/pool/locate.h"
#include "core/base/fail.h"

#include <errno.h>
#include <string.h>

_Static_assert((int)MEMKV_LOCATOR_BYTES == (int)LOCATOR_BYTES, "the token is what it is made of");

static const char prefix[] = "mkvl:";
enum { PREFIX = sizeof(prefix) - 1 };
_Static_assert(MEMKV_LOCATOR_TEXT == PREFIX + 2 * LOCATOR_BYTES + 1, "text of a locator");

static int verdict_code(enum locator_verdict verdict)
{
	if (verdict == LOCATOR_GOOD)
		return 0;
	return verdict == LOCATOR_NEWER
		       ? fail(MEMKV_NEWER, "the locator was made by a newer memkv; ask for the block by its key")
		       : fail(MEMKV_LOCATOR, "this is no locator, or it was damaged on its way; ask for the block by its key");
}

static bool place_exists(const struct memkv_pool *pool, const struct locator *l)
{
	const struct geometry *geo = &pool->sb.geo;

	return l->segment < pool->control.layout.segments && l->length <= geo->max_block && l->header_pages <= LANE_HEADER_PAGES &&
	       l->page + l->header_pages + block_pages(l->length) <= layout_segment_pages(&pool->control.layout, l->segment);
}

int locate(const struct memkv_pool *pool, const struct memkv_locator *token, struct located *at)
{
	struct locator *l = &at->l;
	int err = verdict_code(locator_decode(token->bytes, l));

	if (err)
		return err;
	if (memcmp(l->uuid, pool->sb.uuid, sizeof(l->uuid)) != 0 || l->instance != pool->sb.instance)
		return fail(MEMKV_OTHER_POOL, "%s: the locator is of another pool, or of one that was here before; hand it to the "
					      "process that has that one open", pool->media->path);
	if (!place_exists(pool, l))
		return fail(MEMKV_LOCATOR, "%s: the locator names a place that this pool does not have; ask for the block by its key",
			    pool->media->path);
	at->place = (struct place){
		.page = (layout_segment(&pool->control.layout, l->segment) >> PAGE_SHIFT) + l->page,
		.pages = (uint32_t)block_pages(l->length),
		.header_pages = l->header_pages,
	};
	return 0;
}

void locate_make(const struct memkv_pool *pool, struct locator *l, struct memkv_locator *token)
{
	memcpy(l->uuid, pool->sb.uuid, sizeof(l->uuid));
	l->instance = pool->sb.instance;
	locator_encode(l, token->bytes);
}

struct of_block {
	const struct memkv_pool *pool;
	struct memkv_locator *token;
};

static int locate_found(void *context, const struct block_header *h, struct place place)
{
	const struct of_block *of = context;
	uint64_t first = layout_segment(&of->pool->control.layout, h->segment) >> PAGE_SHIFT;
	struct locator l = {
		.header_pages = h->header_pages,
		.length = (uint32_t)h->length,
		.generation = h->generation,
		.birth = h->birth,
		.segment = h->segment,
		.page = (uint32_t)(place.page - first),
	};

	memcpy(l.key, h->key, sizeof(l.key));
	locate_make(of->pool, &l, of->token);
	return 0;
}

int memkv_locator_of(struct memkv_pool *pool, const struct memkv_key *key, struct memkv_locator *locator)
{
	POOL_USE use = pool_enter(pool, ENTRY_GET);
	struct of_block of = {pool, locator};

	if (!use.inside)
		return use.result;
	if (!key || !locator)
		return fail(-EINVAL, "locator: a key and a place for the locator are needed");
	return header_seek(pool, key, NULL, locate_found, &of);
}

int memkv_locator_describe(const struct memkv_locator *locator, struct memkv_locator_info *info)
{
	struct locator l;

	if (!locator || !info)
		return fail(-EINVAL, "locator: a locator and a place for the answer are needed");
	int err = verdict_code(locator_decode(locator->bytes, &l));
	if (err)
		return err;
	*info = (struct memkv_locator_info){
		.length = l.length, .birth = l.birth, .generation = l.generation, .segment = l.segment, .page = l.page};
	memcpy(info->key.bytes, l.key, sizeof(info->key.bytes));
	memcpy(info->pool_uuid, l.uuid, sizeof(info->pool_uuid));
	return 0;
}

void memkv_locator_to_text(const struct memkv_locator *locator, char text[MEMKV_LOCATOR_TEXT])
{
	static const char digits[] = "0123456789abcdef";

	memcpy(text, prefix, PREFIX);
	for (size_t i = 0; i < LOCATOR_BYTES; i++) {
		text[PREFIX + 2 * i] = digits[locator->bytes[i] >> 4];
		text[PREFIX + 2 * i + 1] = digits[locator->bytes[i] & 15];
	}
	text[MEMKV_LOCATOR_TEXT - 1] = 0;
}

/* -1: no hex digit */
static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int memkv_locator_from_text(const char *text, struct memkv_locator *locator)
{
	struct memkv_locator read;
	struct locator l;

	if (!text || !locator)
		return fail(-EINVAL, "locator: a text and a place for the locator are needed");
	if (strlen(text) != MEMKV_LOCATOR_TEXT - 1 || memcmp(text, prefix, PREFIX) != 0)
		return fail(MEMKV_LOCATOR, "\"%.80s\" is no locator: that is \"%s\" and %d hex digits", text, prefix,
			    2 * LOCATOR_BYTES);
	for (size_t i = 0; i < LOCATOR_BYTES; i++) {
		int high = digit(text[PREFIX + 2 * i]), low = digit(text[PREFIX + 2 * i + 1]);
		if (high < 0 || low < 0)
			return fail(MEMKV_LOCATOR, "\"%.80s...\" is no locator: character %zu is not a hex digit", text,
				    PREFIX + 2 * i + (high < 0 ? 1 : 2));
		read.bytes[i] = (uint8_t)(high << 4 | low);
	}
	int err = verdict_code(locator_decode(read.bytes, &l));
	if (!err)
		*locator = read;
	return err;
}
