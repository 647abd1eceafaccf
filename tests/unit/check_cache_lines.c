/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory by cache lines, with this processor's own instructions: what is stored is there and nothing beside it; a mirror
 * sees what another has published; and while structures are written over, each look finds them whole or marked.
 *
 * One machine is coherent, so that a write-back or a drop is missing does not show here; tests/sim --kind lines shows it.
 */
#include "core/base/words.h"
#include "core/media/cache_lines.h"
#include "core/media/media.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <memkv/error.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

enum { ROOM = 2048, FILE_BYTES = 64 << 12, CONTROL = 4 << 12, MARK = 0x4B52414D, CHECK_AT = 1 };

START_TEST(stores_what_it_is_given_and_nothing_else)
{
	static _Alignas(CACHE_LINE) uint8_t memory[ROOM], expected[ROOM];
	uint8_t source[ROOM], back[ROOM];
	uint64_t random = 1;

	for (int round = 0; round < 5000; round++) {
		size_t at = random_next(&random) % (ROOM / 2), length = random_next(&random) % (ROOM / 2);
		size_t from = random_next(&random) % 16;
		if (length + from > ROOM)
			length = ROOM - from;
		random_bytes(&random, source + from, length < 64 ? length : 64);
		cache_lines_store(memory + at, source + from, length);
		cache_lines_write_back(memory + at, length);
		cache_lines_fence();
		memcpy(expected + at, source + from, length);
		ck_assert_mem_eq(memory, expected, ROOM);
		cache_lines_drop(memory + at, length);
		cache_lines_fence();
		cache_lines_load(back, memory + at, length);
		ck_assert_mem_eq(back, expected + at, length);
	}
}
END_TEST

static char path[64];

static struct media *mirror(bool writes)
{
	struct media *memory, *media;

	ck_assert_int_eq(media_open(path, writes ? 0 : MEDIA_OPEN_READ_ONLY, &memory), 0);
	ck_assert(memory->caps.lines);
	ck_assert_int_eq(media_lines_over(memory, &media), 0);
	ck_assert(!media->caps.coherent && !media->caps.mappable);
	ck_assert_int_eq(media->ops->map_control(media, CONTROL), 0);
	media->withdrawn = MARK;
	media->words[0] = (struct media_range){CONTROL - 4096, CONTROL};
	if (writes) {
		ck_assert_int_eq(media_lines_claim(media), 0);
		ck_assert_int_eq(media->ops->refresh(media, 0, CONTROL), 0);
	}
	return media;
}

static void make_file(void)
{
	snprintf(path, sizeof(path), "/dev/shm/memkv-lines-%d", (int)getpid());
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert(fd >= 0 && ftruncate(fd, FILE_BYTES) == 0);
	close(fd);
}

START_TEST(mirrors_meet_in_the_memory)
{
	make_file();
	struct media *writer = mirror(true), *reader = mirror(false), *second, *memory;
	const uint64_t value = 4711;

	words_store(writer->control + 512, &value, 1);
	ck_assert_int_eq(reader->ops->refresh(reader, 512, 8), 0);
	ck_assert_uint_eq(word_load(reader->control + 512), 0); /* stored, and not published */
	ck_assert_int_eq(writer->ops->publish(writer, 512, 8), 0);
	ck_assert_uint_eq(word_load(reader->control + 512), 0); /* published, and not looked at */
	ck_assert_int_eq(reader->ops->refresh(reader, 512, 8), 0);
	ck_assert_uint_eq(word_load(reader->control + 512), value);
	words_store(writer->control + 4096, &value, 1);
	ck_assert_int_eq(writer->ops->publish_later(writer, 4096, 8), 0);
	ck_assert_int_eq(writer->ops->settle(writer), 0);
	ck_assert_int_eq(reader->ops->refresh(reader, 4096, 8), 0);
	ck_assert_uint_eq(word_load(reader->control + 4096), value);
	ck_assert_int_ne(reader->ops->publish(reader, 512, 8), 0); /* who only reads publishes nothing */
	ck_assert_int_eq(media_map_payload(reader), -EOPNOTSUPP);
	ck_assert_int_eq(media_open(path, 0, &memory), 0);
	ck_assert_int_eq(media_lines_over(memory, &second), 0);
	ck_assert_int_eq(media_lines_claim(second), MEMKV_NO_SLOT);
	second->ops->close(second);
	reader->ops->close(reader);
	writer->ops->close(writer);
	second = mirror(true); /* the claim went with the writer */
	second->ops->close(second);
	unlink(path);
}
END_TEST

enum { STRUCTURE_WORDS = 16, STRUCTURES = 4096 / 8 / STRUCTURE_WORDS };

static uint64_t check_of(const uint64_t *words)
{
	uint64_t sum = 0x9E3779B97F4A7C15ULL;

	for (int i = 0; i < STRUCTURE_WORDS; i++)
		sum = i == CHECK_AT ? sum : (sum ^ words[i]) * 0x100000001B3ULL;
	return sum;
}

static atomic_bool stop;
static atomic_uint published;

static void *write_over(void *context)
{
	struct media *writer = context;
	uint64_t words[STRUCTURE_WORDS], random = 3;

	while (!atomic_load(&stop)) {
		uint8_t *at = writer->control + random_next(&random) % STRUCTURES * sizeof(words);
		for (int i = 0; i < STRUCTURE_WORDS; i++)
			words[i] = random_next(&random);
		words[CHECK_AT] = check_of(words);
		words_store(at, words, STRUCTURE_WORDS);
		if (writer->ops->publish(writer, (uint64_t)(at - writer->control), sizeof(words)))
			break;
		atomic_fetch_add(&published, 1);
	}
	return NULL;
}

START_TEST(each_look_finds_structures_whole_or_marked)
{
	enum { LOOKS = 5000, PUBLISHED_AT_LEAST = 1000, LOOKS_AT_MOST = 100 * LOOKS };
	make_file();
	struct media *writer = mirror(true), *reader = mirror(false);
	pthread_t thread;
	unsigned whole = 0, marked = 0;

	ck_assert_int_eq(pthread_create(&thread, NULL, write_over, writer), 0);
	for (int look = 0; (look < LOOKS || atomic_load(&published) < PUBLISHED_AT_LEAST) && look < LOOKS_AT_MOST; look++) {
		int err = reader->ops->refresh(reader, 0, 4096);
		ck_assert(err == 0 || err == -EAGAIN);
		for (int n = 0; !err && n < STRUCTURES; n++) {
			uint64_t words[STRUCTURE_WORDS];
			memcpy(words, reader->control + (size_t)n * sizeof(words), sizeof(words));
			bool never = words[0] == 0 && words[CHECK_AT] == 0;
			marked += words[CHECK_AT] == MARK;
			whole += words[CHECK_AT] != MARK && !never;
			ck_assert_msg(never || words[CHECK_AT] == MARK || words[CHECK_AT] == check_of(words),
				      "look %d: structure %d is torn", look, n);
		}
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	ck_assert_uint_ge(atomic_load(&published), PUBLISHED_AT_LEAST);
	printf("%u published, %u looks found a structure whole, %u marked (%s)\n", atomic_load(&published), whole, marked,
	       cache_lines_instructions());
	reader->ops->close(reader);
	writer->ops->close(writer);
	unlink(path);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {stores_what_it_is_given_and_nothing_else, mirrors_meet_in_the_memory,
				      each_look_finds_structures_whole_or_marked, NULL};

	if (!cache_lines_usable())
		unit_skip("no cache instructions are known for this processor");
	if (access("/dev/shm", W_OK))
		unit_skip("no /dev/shm to write to");
	return unit_run("cache_lines", tests);
}
