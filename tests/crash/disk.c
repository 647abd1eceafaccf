/* SPDX-License-Identifier: Apache-2.0 */
/* See disk.h. */
#include "disk.h"

#include "core/base/fail.h"
#include "core/base/words.h"
#include "core/format/layout.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { HALF_UNIT = 512, LATER_MAX = 64 };

struct disk_media {
	struct media base;
	struct disk *disk;
	bool writer;
	uint64_t later[LATER_MAX]; /* device: pages to publish at the next settle */
	unsigned later_count;
	atomic_uchar *present; /* device: mirrored pages */
	pthread_mutex_t guard; /* device: over the mirror's pages */
};

struct disk_queue {
	struct media_queue base;
	struct disk *disk;
	unsigned count;
	struct {
		struct media_io *io;
		uint64_t event;
		bool late;
	} taken[];
};

static struct disk *disks;

static struct disk_media *of(struct media *media) { return CONTAINER_OF(media, struct disk_media, base); }

/* ---- faults ---- */

/* the next I/O of this kind: 0, or the error that it is to end with; *late: it ends only when it is let go */
static int meet_fault(struct disk *disk, enum disk_io kind, bool *late)
{
	const struct disk_fault *fault = &disk->fault;

	if (!(fault->kinds & 1u << kind) || disk->calm)
		return 0;
	uint64_t n = atomic_fetch_add(&disk->counted, 1);
	if (n < fault->from || n >= fault->to)
		return 0;
	atomic_fetch_add(&disk->struck, 1);
	if (fault->late) {
		*late = true;
		return 0;
	}
	return fault->error;
}

static int refuse(struct disk *disk, enum disk_io kind)
{
	bool late = false;
	int err = meet_fault(disk, kind, &late);

	if (!late)
		return err;
	for (atomic_fetch_add(&disk->waiting, 1); !atomic_load(&disk->go);)
		usleep(100);
	return 0;
}

void disk_strike(struct disk *disk, const struct disk_fault *fault)
{
	disk->fault = fault ? *fault : (struct disk_fault){0};
	atomic_store(&disk->counted, 0);
	atomic_store(&disk->struck, 0);
	atomic_store(&disk->waiting, 0);
	atomic_store(&disk->go, !fault || !fault->late); /* whoever still waits may go on */
}

void disk_let_go(struct disk *disk)
{
	atomic_store(&disk->go, true);
}

/* ---- the journal ---- */

/* what was stored since the last event; @offset, @bytes: where to look */
static void note_stores(struct disk *disk)
{
	struct journal *j = disk->journal;

	if (j && !j->stepping && !disk->device)
		for (uint64_t at = 0; at < j->control_bytes; at += PAGE)
			journal_compare(j, at, PAGE);
}

static uint64_t note_write(struct disk *disk, const struct media_io *io)
{
	uint8_t *whole = malloc(io->length);
	uint64_t at = 0;

	if (!whole)
		abort();
	for (uint32_t i = 0; i < io->piece_count; i++) {
		memcpy(whole + at, io->pieces[i].iov_base, io->pieces[i].iov_len);
		at += io->pieces[i].iov_len;
	}
	note_stores(disk);
	uint64_t event = journal_note(disk->journal, EVENT_WRITE, io->offset, whole, (uint32_t)io->length, 0);
	free(whole);
	return event;
}

/* ---- queues ---- */

static int queue_submit(struct media_queue *queue, struct media_io *io)
{
	struct disk_queue *q = CONTAINER_OF(queue, struct disk_queue, base);
	struct disk *disk = q->disk;

	if (queue->used == queue->depth)
		return -EAGAIN;
	io->length = 0;
	for (uint32_t i = 0; i < io->piece_count; i++)
		io->length += io->pieces[i].iov_len;
	io->result = 0;
	bool late = false;
	int err = meet_fault(disk, io->direction == MEDIA_READ ? DISK_READ : DISK_WRITE, &late);
	if (io->offset % PAGE || io->length % HALF_UNIT)
		err = -EINVAL; /* nothing may ask a medium for that */
	if (io->length > disk->bytes || io->offset > disk->bytes - io->length)
		err = -EIO;
	io->result = err;
	q->taken[q->count].io = io;
	q->taken[q->count].late = late;
	q->taken[q->count].event = disk->journal && io->direction == MEDIA_WRITE ? note_write(disk, io) : UINT64_MAX;
	q->count++;
	queue->used++;
	return 0;
}

static void queue_kick(struct media_queue *queue) { (void)queue; }

static void move(struct disk *disk, const struct media_io *io, uint64_t bytes)
{
	uint64_t at = io->offset;

	for (uint32_t i = 0; i < io->piece_count && bytes > 0; i++) {
		uint64_t length = min_u64(io->pieces[i].iov_len, bytes);
		if (io->direction == MEDIA_READ)
			memcpy(io->pieces[i].iov_base, disk->image + at, length);
		else
			memcpy(disk->image + at, io->pieces[i].iov_base, length);
		at += length;
		bytes -= length;
	}
}

static struct media_io *complete(struct disk_queue *q, unsigned n)
{
	struct disk *disk = q->disk;
	struct media_io *io = q->taken[n].io;
	uint64_t half = round_down(io->length / 2, HALF_UNIT), event = q->taken[n].event;

	if (io->result == 0 || disk->fault.effect == EFFECT_WHOLE)
		move(disk, io, io->length);
	else if (disk->fault.effect == EFFECT_HALF)
		move(disk, io, half);
	q->taken[n] = q->taken[--q->count];
	q->base.used--;
	if (disk->journal && event != UINT64_MAX)
		journal_note(disk->journal, EVENT_DONE, 0, NULL, 0, event);
	return io;
}

static struct media_io *queue_reap(struct media_queue *queue, unsigned wait_for)
{
	struct disk_queue *q = CONTAINER_OF(queue, struct disk_queue, base);

	for (bool met = false; q->count > 0;) {
		unsigned first = (unsigned)(q->disk->seed++ * 7 % q->count);
		for (unsigned i = 0; i < q->count; i++) {
			unsigned n = (first + i) % q->count;
			if (!q->taken[n].late || atomic_load(&q->disk->go))
				return complete(q, n);
		}
		if (!wait_for)
			return NULL;
		if (!met)
			atomic_fetch_add(&q->disk->waiting, 1);
		met = true;
		usleep(100);
	}
	return NULL;
}

static void queue_close(struct media_queue *queue)
{
	while (queue_reap(queue, 1))
		;
	free(CONTAINER_OF(queue, struct disk_queue, base));
}

static const struct media_queue_ops queue_ops = {
	.close = queue_close, .submit = queue_submit, .kick = queue_kick, .reap = queue_reap, .abandon = queue_kick};

static int disk_queue_open(struct media *media, unsigned depth, struct media_queue **queue)
{
	struct disk *disk = of(media)->disk;
	int err = refuse(disk, DISK_QUEUE);
	struct disk_queue *q = err ? NULL : calloc(1, sizeof(*q) + depth * sizeof(q->taken[0]));

	if (!q)
		return err ? err : -ENOMEM;
	q->base = (struct media_queue){.ops = &queue_ops, .media = media, .depth = depth};
	q->disk = disk;
	*queue = &q->base;
	return 0;
}

/* ---- the control region ---- */

static int disk_map_control(struct media *media, size_t bytes)
{
	struct disk_media *m = of(media);
	int err = refuse(m->disk, DISK_MAP);

	if (err)
		return fail(err, "%s: cannot be mapped", media->path);
	media->control_bytes = bytes;
	if (!m->disk->device) {
		media->control = m->disk->image;
		return 0;
	}
	media->control = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	m->present = calloc(div_up(bytes, PAGE), 1);
	if (media->control == MAP_FAILED || !m->present) {
		media->control = media->control == MAP_FAILED ? NULL : media->control;
		return fail(-ENOMEM, "%s: no memory for a mirror", media->path);
	}
	return 0;
}

static int publish_page(struct disk_media *m, uint64_t page)
{
	struct disk *disk = m->disk;
	uint8_t image[PAGE];
	bool stopped = atomic_load(&m->base.unpublished);
	int err = stopped ? -EIO : refuse(disk, DISK_PUBLISH);

	words_load(image, m->base.control + page * PAGE, PAGE / 8);
	if (!err || (disk->fault.effect == EFFECT_WHOLE && !stopped))
		memcpy(disk->image + page * PAGE, image, PAGE);
	else if (disk->fault.effect == EFFECT_HALF && !stopped)
		memcpy(disk->image + page * PAGE, image, PAGE / 2);
	if (disk->journal && !err) {
		uint64_t event = journal_note(disk->journal, EVENT_WRITE, page * PAGE, image, PAGE, 0);
		journal_note(disk->journal, EVENT_DONE, 0, NULL, 0, event);
	}
	if (err)
		atomic_store(&m->base.unpublished, true);
	return err;
}

static int disk_publish(struct media *media, uint64_t offset, size_t length)
{
	struct disk_media *m = of(media);
	int err = 0;

	if (!m->disk->device)
		return 0;
	pthread_mutex_lock(&m->guard);
	for (uint64_t page = offset / PAGE; page < div_up(offset + length, PAGE) && !err; page++) {
		err = m->writer && m->present[page] ? publish_page(m, page) : -EROFS;
		if (err)
			atomic_store(&media->unpublished, true);
	}
	pthread_mutex_unlock(&m->guard);
	return err;
}

static int disk_publish_later(struct media *media, uint64_t offset, size_t length)
{
	struct disk_media *m = of(media);

	if (!m->disk->device)
		return 0;
	pthread_mutex_lock(&m->guard);
	bool room = m->later_count + div_up(length, PAGE) + 1 <= LATER_MAX;
	for (uint64_t page = offset / PAGE; room && page < div_up(offset + length, PAGE); page++)
		m->later[m->later_count++] = page;
	pthread_mutex_unlock(&m->guard);
	return room ? 0 : disk_publish(media, offset, length);
}

static int disk_settle(struct media *media)
{
	struct disk_media *m = of(media);
	int err = 0;

	pthread_mutex_lock(&m->guard);
	for (unsigned i = 0; i < m->later_count && !err; i++)
		err = publish_page(m, m->later[i]);
	m->later_count = 0;
	pthread_mutex_unlock(&m->guard);
	return err;
}

static int disk_refresh(struct media *media, uint64_t offset, size_t length)
{
	struct disk_media *m = of(media);
	int err = m->disk->device ? refuse(m->disk, DISK_REFRESH) : 0;

	if (err)
		atomic_fetch_add(&media->unread, 1);
	if (!m->disk->device || err)
		return err;
	pthread_mutex_lock(&m->guard);
	for (uint64_t page = offset / PAGE; page < div_up(offset + length, PAGE); page++) {
		if (m->writer && m->present[page])
			continue; /* its own copy is the truth */
		words_store(media->control + page * PAGE, m->disk->image + page * PAGE, PAGE / 8);
		m->present[page] = 1;
	}
	pthread_mutex_unlock(&m->guard);
	return 0;
}

/* is it still owed to the medium?  Then it is kept, as media.h asks for */
static bool owed(const struct disk_media *m, uint64_t page)
{
	for (unsigned i = 0; i < m->later_count; i++)
		if (m->later[i] == page)
			return true;
	return false;
}

static void disk_forget(struct media *media, uint64_t offset, size_t length)
{
	struct disk_media *m = of(media);

	if (!m->disk->device)
		return;
	pthread_mutex_lock(&m->guard);
	for (uint64_t page = div_up(offset, PAGE); page < (offset + length) / PAGE; page++) {
		if (owed(m, page))
			continue;
		words_clear(media->control + page * PAGE, PAGE / 8);
		m->present[page] = 0;
	}
	pthread_mutex_unlock(&m->guard);
}

static void disk_ahead(struct media *media, uint64_t offset, size_t length)
{
	(void)media;
	(void)offset;
	(void)length;
}

/* ---- the disk ---- */

static int disk_flush(struct media *media)
{
	struct disk *disk = of(media)->disk;
	int err = refuse(disk, DISK_FLUSH);

	note_stores(disk);
	if (!err && disk->journal)
		journal_note(disk->journal, EVENT_FLUSH, 0, NULL, 0, 0);
	return err;
}

static bool disk_alive(struct media *media) { return !atomic_load(&media->failed); }

static struct disk_lock *lock_at(struct disk *disk, uint64_t offset)
{
	for (size_t i = 0; i < ARRAY_COUNT(disk->locks); i++)
		if (disk->locks[i].holder && disk->locks[i].offset == offset)
			return &disk->locks[i];
	return NULL;
}

static int disk_lock(struct media *media, uint64_t offset)
{
	struct disk *disk = of(media)->disk;
	int err = refuse(disk, DISK_LOCK);

	if (err)
		return err;
	pthread_mutex_lock(&disk->guard);
	struct disk_lock *lock = lock_at(disk, offset);
	err = lock && lock->holder != media ? -EAGAIN : lock ? 0 : -ENOLCK;
	for (size_t i = 0; !lock && err && i < ARRAY_COUNT(disk->locks); i++)
		if (!disk->locks[i].holder) {
			disk->locks[i] = (struct disk_lock){offset, media};
			err = 0;
		}
	pthread_mutex_unlock(&disk->guard);
	return err;
}

static int disk_unlock(struct media *media, uint64_t offset)
{
	struct disk *disk = of(media)->disk;

	pthread_mutex_lock(&disk->guard);
	struct disk_lock *lock = lock_at(disk, offset);
	if (lock && lock->holder == media)
		lock->holder = NULL;
	pthread_mutex_unlock(&disk->guard);
	return 0;
}

static int disk_lock_held(struct media *media, uint64_t offset)
{
	struct disk *disk = of(media)->disk;

	pthread_mutex_lock(&disk->guard);
	struct disk_lock *lock = lock_at(disk, offset);
	int held = lock && lock->holder != media;
	pthread_mutex_unlock(&disk->guard);
	return held;
}

static void disk_abandon(struct media *media) { (void)media; }

static void disk_close(struct media *media)
{
	struct disk_media *m = of(media);
	struct disk *disk = m->disk;

	pthread_mutex_lock(&disk->guard);
	for (size_t i = 0; i < ARRAY_COUNT(disk->locks); i++)
		if (disk->locks[i].holder == media)
			disk->locks[i].holder = NULL;
	pthread_mutex_unlock(&disk->guard);
	if (disk->device && media->control)
		munmap(media->control, media->control_bytes);
	pthread_mutex_destroy(&m->guard);
	free(m->present);
	free(media->path);
	free(m);
	atomic_fetch_sub(&disk->handles, 1); /* from here on it may be freed */
}

static const struct media_ops disk_ops = {
	.name = "simulated disk",
	.close = disk_close,
	.map_control = disk_map_control,
	.publish = disk_publish,
	.publish_later = disk_publish_later,
	.settle = disk_settle,
	.refresh = disk_refresh,
	.forget = disk_forget,
	.ahead = disk_ahead,
	.queue_open = disk_queue_open,
	.flush = disk_flush,
	.alive = disk_alive,
	.lock = disk_lock,
	.unlock = disk_unlock,
	.lock_held = disk_lock_held,
	.abandon = disk_abandon,
};

static int open_disk(struct disk *disk, unsigned flags, struct media **media)
{
	struct disk_media *m = calloc(1, sizeof(*m));
	char *path = strdup(disk->path);

	if (!m || !path) {
		free(m);
		free(path);
		return fail(-ENOMEM, "%s: no memory to open the pool", disk->path);
	}
	atomic_fetch_add(&disk->handles, 1);
	m->disk = disk;
	m->writer = !(flags & MEDIA_OPEN_READ_ONLY);
	pthread_mutex_init(&m->guard, NULL);
	m->base = (struct media){
		.ops = &disk_ops,
		.path = path,
		.caps = {.bytes = disk->bytes,
			 .logical_block = PAGE,
			 .memory_align = HALF_UNIT,
			 .cut = 1 << 18,
			 .mappable = !disk->device,
			 .coherent = !disk->device,
			 .exact_death = true,
			 .volatile_cache = true,
			 .direct = true},
	};
	*media = &m->base;
	return 0;
}

int __real_media_open(const char *path, unsigned flags, struct media **media);
int __wrap_media_open(const char *path, unsigned flags, struct media **media);

int __wrap_media_open(const char *path, unsigned flags, struct media **media)
{
	for (struct disk *disk = disks; disk; disk = disk->next)
		if (strcmp(path, disk->path) == 0)
			return open_disk(disk, flags, media);
	return __real_media_open(path, flags, media);
}

/* nothing is left to chance: pools and incarnations get their numbers from a counter, and time stands still */

int __wrap_random_fill(void *to, size_t length);
uint64_t __wrap_clock_utc_s(void);

int __wrap_random_fill(void *to, size_t length)
{
	static atomic_uint_fast64_t state;
	uint8_t *at = to;

	for (size_t i = 0; i < length; i++) {
		uint64_t z = atomic_fetch_add(&state, 0x9E3779B97F4A7C15ULL);
		z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ULL;
		z = (z ^ z >> 27) * 0x94D049BB133111EBULL;
		at[i] = (uint8_t)(z >> 56);
	}
	return 0;
}

uint64_t __wrap_clock_utc_s(void) { return 1700000000; }

struct disk *disk_of_image(const uint8_t *image, uint64_t bytes, bool device)
{
	static unsigned made;
	struct disk *disk = calloc(1, sizeof(*disk));

	if (!disk)
		abort();
	snprintf(disk->path, sizeof(disk->path), "disk:%u", made++);
	disk->bytes = bytes;
	disk->device = device;
	disk->image = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (disk->image == MAP_FAILED)
		abort();
	memcpy(disk->image, image, bytes);
	pthread_mutex_init(&disk->guard, NULL);
	disk->next = disks;
	disks = disk;
	return disk;
}

void disk_load(struct disk *disk, const uint8_t *image)
{
	memcpy(disk->image, image, disk->bytes);
	memset(disk->locks, 0, sizeof(disk->locks));
}

void disk_free(struct disk *disk)
{
	struct disk **at = &disks;

	while (*at && *at != disk)
		at = &(*at)->next;
	if (*at)
		*at = disk->next;
	munmap(disk->image, disk->bytes);
	pthread_mutex_destroy(&disk->guard);
	free(disk);
}
