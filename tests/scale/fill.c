/* SPDX-License-Identifier: Apache-2.0 */
/* See fill.h. */
#include "fill.h"
#include "core/base/environ.h"
#include "core/format/owner_word.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

double fill_now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

uint64_t fill_mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9ULL;
	x = (x ^ x >> 27) * 0x94D049BB133111EBULL;
	return x ^ x >> 31;
}

struct memkv_key fill_key(uint64_t number)
{
	struct memkv_key key;
	uint64_t words[4] = {fill_mix(number + 1), fill_mix(number + 2), number, ~number};

	memcpy(key.bytes, words, sizeof(words));
	return key;
}

void fill_die(const char *what)
{
	fprintf(stderr, "scale: %s: %s\n", what, memkv_error_detail());
	exit(1);
}

long fill_status_bytes(const char *field)
{
	char line[256];
	long kib = 0;
	size_t length = strlen(field);
	FILE *f = fopen("/proc/self/status", "r");

	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, field, length) == 0 && sscanf(line + length, ": %ld", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib * 1024;
}

static void write_at(int fd, const void *bytes, size_t length, uint64_t offset)
{
	if (pwrite(fd, bytes, length, (off_t)offset) != (ssize_t)length) {
		perror("scale: pwrite");
		exit(1);
	}
}

void fill_sparse(const char *path, const struct geometry_wish *wish)
{
	struct superblock sb = {.major = FORMAT_MAJOR, .minor = FORMAT_MINOR, .version = 1, .instance = 1, .created_s = clock_utc_s()};
	uint8_t page[PAGE];
	struct layout layout;

	unlink(path);
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (geometry_choose(wish, &sb.geo) || layout_compute(&sb.geo, &layout) || random_fill(&sb.seed, sizeof(sb.seed)))
		fill_die("geometry");
	sb.features_read_only = sb.geo.segments >= GROUPS_FROM && !getenv("SCALE_UNGROUPED") ? FEATURE_GROUPS : 0;
	uint64_t *words = calloc(sb.geo.segments, sizeof(*words));
	if (fd < 0 || !words || ftruncate(fd, (off_t)sb.geo.bytes)) {
		perror("scale: a sparse file");
		exit(1);
	}
	for (uint64_t s = 0; s < sb.geo.segments; s++)
		words[s] = owner_word_encode((struct owner_word){.state = OWNER_FREE}, s, sb.seed);
	write_at(fd, words, sb.geo.segments * sizeof(*words), layout.offset[REGION_OWNER_WORDS]);
	free(words);
	memset(sb.uuid, 1, sizeof(sb.uuid));
	superblock_encode(&sb, 1, page);
	write_at(fd, page, sizeof(page), layout.offset[REGION_SUPERBLOCK_B]);
	superblock_encode(&sb, 0, page);
	write_at(fd, page, sizeof(page), 0);
	close(fd);
}

struct filling {
	struct memkv_pool *pool;
	uint64_t number, blocks, block_size, per_segment;
};

static void fill_segment(struct filling *f, struct owned *owned)
{
	const struct control *c = &f->pool->control;
	struct table_header header = {.generation = slot_new_generation(&f->pool->slot), .segment = (uint32_t)owned->segment};
	uint32_t pages = layout_segment_pages(&c->layout, owned->segment), page = 1, n = 0;
	uint32_t headers = header_pages(f->block_size, 0), step = headers + (uint32_t)block_pages(f->block_size);

	control_renew_age(c, owned->segment);
	table_begin(c, &header, 0);
	for (; n < f->per_segment && page + step <= pages && f->number < f->blocks; n++, f->number++, page += step) {
		struct memkv_key key = fill_key(f->number);
		struct entry e = {.index = n,
				  .header_pages = (uint8_t)headers,
				  .generation = header.generation,
				  .birth = slot_new_birth(&f->pool->slot),
				  .page = page,
				  .length = (uint32_t)f->block_size};
		memcpy(e.key, key.bytes, sizeof(e.key));
		table_publish(c, owned->segment, &e);
	}
	table_reserve(c, owned->segment, header.generation, n);
}

uint64_t fill_pool(struct memkv_pool *pool, uint64_t blocks, uint64_t block_size, uint64_t per_segment)
{
	struct filling f = {.pool = pool, .blocks = blocks, .block_size = block_size};
	const struct control *c = &pool->control;
	struct owned owned;

	f.per_segment = per_segment && per_segment < c->layout.geo.entries ? per_segment : c->layout.geo.entries;
	for (uint64_t s = 0; s < c->layout.geo.segments && f.number < blocks; s++) {
		if (!own_look(c, s, &owned) || owned.word.state != OWNER_FREE || !own_move(c, &owned, OWNER_OPEN, &pool->slot))
			continue;
		fill_segment(&f, &owned);
		own_move(c, &owned, OWNER_SEALED, &pool->slot);
	}
	return f.number;
}
