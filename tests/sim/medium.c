/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulated medium: a file, or memory, that the processes of one machine share.
 *
 * The control region is plain memory.  Payload commands move 4 KiB at a time, each whole, in any order, as late as the
 * scheduler likes; reads as well, so they are torn against writes.  A process that dies leaves its commands behind:
 * each sector of them lands, or never does, and only then its locks are free (that is what exact death means).  What goes
 * wrong with it is in medium_faults.c.
 */
#include "redirect.h"

#include "core/pool/handle.h"
#include "medium_faults.h"
#include "stage.h"

#include <errno.h>

struct sim_media {
	struct media base;
	struct agent *agent;
};

static struct agent *agent_of(const struct media *media)
{
	return CONTAINER_OF((struct media *)(uintptr_t)media, struct sim_media, base)->agent;
}

void medium_reset(void)
{
	for (uint32_t i = 0; i < world.active_count; i++) {
		struct command *c = &world.commands[world.active[i]];
		free(c->kept);
		c->kept = NULL;
	}
	world.active_count = 0;
	world.lock_count = 0;
	world.idle_count = COMMANDS_MAX;
	for (uint32_t i = 0; i < COMMANDS_MAX; i++)
		world.idle[i] = i;
}

/* ---- commands ---- */

void medium_deactivate(uint32_t active)
{
	struct command *c = &world.commands[world.active[active]];

	if (c->kept)
		free(c->kept);
	c->kept = NULL;
	world.idle[world.idle_count++] = world.active[active];
	world.active[active] = world.active[--world.active_count];
}

static void complete(uint32_t active)
{
	struct command *c = &world.commands[world.active[active]];
	struct sim_queue *q = c->queue;

	if (!c->ghost)
		c->agent->in_flight--;
	if (c->fails && c->direction == MEDIA_WRITE && c->segment == NEVER)
		landed_untold(c->agent);
	if (q) {
		c->io->result = c->fails ? -EIO : 0;
		q->done[q->done_count++] = c->io;
		if (q->waiter && q->waiter->state == THREAD_WAITS_IO)
			q->waiter->state = THREAD_READY;
	}
	trace(EVENT_COMPLETE, c->agent, c->direction, c->page, c->fails);
	if (c->direction == MEDIA_WRITE && !c->ghost)
		fortune_hot(c->agent);
	medium_deactivate(active);
}

static void land(const struct command *c, uint64_t page, uint8_t *memory, uint32_t sectors)
{
	uint8_t *at = world.image + page * PAGE;
	uint8_t after[PAGE], before[PAGE];

	world.steps++;
	if (c->direction == MEDIA_READ) {
		copy_sectors(memory, at, sectors);
		return;
	}
	bool control = c->segment == NEVER && on_device();
	memcpy(before, at, PAGE);
	memcpy(after, at, PAGE);
	copy_sectors(after, memory, sectors);
	if (!control)
		watch_land(c, page, after);
	memcpy(at, after, PAGE);
	medium_mark(page * PAGE);
	trace(EVENT_LAND, c->agent, page, c->segment, sectors == ALL_SECTORS ? c->generation : sectors);
	if (control)
		landed_control(c, page, before);
	else if (on_device())
		landed_payload(c, page);
}

/* which part of a page: all that is left of it, or, of a device with small sectors, some of them */
static uint32_t some_sectors(struct command *c, uint32_t page)
{
	uint32_t rest = rest_of(c, page), some = rest;

	if (stage.on && stage.part)
		some = rest & stage.part(c);
	else if (on_device() && world.setup.sector == SECTOR && draw(4) == 0)
		some = rest & draw(ALL_SECTORS);
	if (some == 0 || some == rest) {
		c->left &= ~(1u << page);
		return rest;
	}
	cover(COVER_SECTORS);
	c->rest[page] = (uint8_t)(rest & ~some);
	return some;
}

/* a header without its payload, or payload without header, is what a reader may find now */
static void note_torn(const struct command *c)
{
	if (c->direction == MEDIA_WRITE && c->left && c->left != c->sectors)
		cover(COVER_TORN_HEADER);
}

void medium_event(uint32_t active)
{
	struct command *c = &world.commands[world.active[active]];
	uint32_t n = (uint32_t)__builtin_popcount(c->left), skip = n > 1 ? draw(n) : 0, bits = c->left;

	while (skip--)
		bits &= bits - 1;
	uint32_t sector = (uint32_t)__builtin_ctz(bits);
	uint32_t part = some_sectors(c, sector);
	bool lost = (!c->queue && (stage.on && stage.sinks ? stage_sinks(c) : draw(4) == 0)) || (c->fails && (stage.on || draw(2)));
	if (!c->queue && c->direction == MEDIA_WRITE)
		cover(lost ? COVER_LOST_AFTER_KILL : COVER_LAND_AFTER_KILL);
	if (!c->queue)
		note_torn(c);
	if (c->ghost && !lost)
		cover(COVER_GHOST_LANDS);
	if (!lost)
		land(c, c->page + sector, c->memory[sector], part);
	if (c->left == 0)
		complete(active);
}

bool medium_writes_to(uint64_t segment, const struct agent *but)
{
	for (uint32_t i = 0; i < world.active_count; i++) {
		const struct command *c = &world.commands[world.active[i]];
		if (c->direction == MEDIA_WRITE && c->segment == segment && c->agent != but)
			return true;
	}
	return false;
}

bool medium_writes_else(uint64_t segment, const struct agent *but)
{
	for (uint32_t i = 0; i < world.active_count; i++) {
		const struct command *c = &world.commands[world.active[i]];
		if (c->direction == MEDIA_WRITE && c->segment == segment && (c->agent != but || c->life != but->life))
			return true;
	}
	return false;
}

bool medium_writes_by(uint64_t segment, const struct agent *agent)
{
	for (uint32_t i = 0; i < world.active_count; i++) {
		const struct command *c = &world.commands[world.active[i]];
		if (c->direction == MEDIA_WRITE && c->segment == segment && c->agent == agent)
			return true;
	}
	return false;
}

bool medium_writes_blocks(uint64_t segment)
{
	if (world.setup.medium == MEDIUM_LINES)
		return lines_on_the_way(segment);
	for (uint32_t i = 0; i < world.active_count; i++) {
		const struct command *c = &world.commands[world.active[i]];
		if (c->direction == MEDIA_WRITE && c->segment == segment &&
		    c->page * PAGE != layout_segment(&world.layout, segment))
			return true;
	}
	return false;
}

/* what an index knows is older than what the device has there */
static void note_old_mirror(const struct command *c)
{
	const struct agent *a = c->agent;
	uint64_t s = watch_segment_of_page(c->page);

	if (on_device() && a->pool && s != NEVER && world.shadow[s].generation &&
	    a->pool->follower.segments[s].generation != world.shadow[s].generation)
		cover(COVER_OLD_MIRROR);
}

static void describe(struct command *c, struct sim_queue *q, struct media_io *io)
{
	*c = (struct command){.agent = q->agent, .life = q->agent->life, .queue = q, .io = io, .direction = io->direction, .page = io->offset / PAGE};
	uint32_t n = 0;
	for (uint32_t i = 0; i < io->piece_count; i++)
		for (size_t at = 0; at < io->pieces[i].iov_len; at += PAGE)
			c->memory[n++ % COMMAND_SECTORS] = (uint8_t *)io->pieces[i].iov_base + at;
	if (n > COMMAND_SECTORS || n * PAGE != io->length || io->offset % PAGE || (c->page + n) * PAGE > world.layout.geo.bytes)
		broken("a command of %zu bytes at %llu", io->length, (unsigned long long)io->offset);
	c->sectors = c->left = n == 32 ? UINT32_MAX : (1u << n) - 1;
	c->segment = NEVER;
	if (c->direction == MEDIA_WRITE)
		watch_submit(c);
	else
		note_old_mirror(c);
	trace(EVENT_SUBMIT, c->agent, c->direction, c->page, n);
}

/* memory: the thread itself copies, and may be stopped or killed between two cache lines */
static int copy_now(struct sim_queue *q, struct media_io *io)
{
	struct command c;

	describe(&c, q, io);
	faults_of(&c);
	for (uint32_t s = 0; s < COMMAND_SECTORS && c.left >> s; s++) {
		uint8_t *at = world.image + (c.page + s) * PAGE;
		enum { PIECES = 2, PIECE = PAGE / PIECES };
		world.steps++;
		if (c.direction == MEDIA_WRITE)
			watch_land(&c, c.page + s, c.memory[s]);
		for (int p = 0; p < PIECES; p++) {
			world_point(4);
			if (c.direction == MEDIA_READ)
				memcpy(c.memory[s] + p * PIECE, at + p * PIECE, PIECE);
			else
				memcpy(at + p * PIECE, c.memory[s] + p * PIECE, PIECE);
		}
		if (c.direction == MEDIA_WRITE)
			medium_mark((c.page + s) * PAGE);
	}
	io->result = c.fails ? -EIO : 0;
	q->done[q->done_count++] = io;
	return 0;
}

int medium_submit(struct sim_queue *q, struct media_io *io)
{
	world_point(4);
	if (q->base.used == q->base.depth || world.idle_count == 0)
		return -EAGAIN;
	world.steps++;
	io->length = 0;
	for (uint32_t i = 0; i < io->piece_count; i++)
		io->length += io->pieces[i].iov_len;
	q->base.used++;
	if (world.setup.medium == MEDIUM_MEMORY)
		return copy_now(q, io);
	uint32_t n = world.idle[--world.idle_count];
	struct command *c = &world.commands[n];
	describe(c, q, io);
	faults_of(c);
	world.active[world.active_count++] = n;
	q->agent->in_flight++;
	if (io->direction == MEDIA_WRITE)
		fortune_hot(q->agent);
	return 0;
}

static int sim_submit(struct media_queue *queue, struct media_io *io)
{
	return medium_submit(CONTAINER_OF(queue, struct sim_queue, base), io);
}

static struct media_io *sim_reap(struct media_queue *queue, unsigned wait_for)
{
	struct sim_queue *q = CONTAINER_OF(queue, struct sim_queue, base);

	while (wait_for && q->done_count == 0 && queue->used) {
		q->waiter = world.thread;
		world_pause(THREAD_WAITS_IO);
	}
	if (q->done_count == 0)
		return NULL;
	queue->used--;
	if (queue->used == 0 && world.thread->call.stage == PUT_WRITES)
		world.thread->call.stage = PUT_WRITTEN;
	return q->done[--q->done_count];
}

static void queue_nothing(struct media_queue *queue) { (void)queue; }

static void queue_close(struct media_queue *queue)
{
	if (queue->used)
		broken("a queue is closed with %u commands in flight", queue->used);
	free(CONTAINER_OF(queue, struct sim_queue, base));
}

static const struct media_queue_ops sim_queue_ops = {
	.close = queue_close,
	.submit = sim_submit,
	.kick = queue_nothing,
	.reap = sim_reap,
	.abandon = queue_nothing,
};

static int sim_queue_open(struct media *media, unsigned depth, struct media_queue **queue)
{
	struct sim_queue *q = calloc(1, sizeof(*q));

	if (!q)
		return -ENOMEM;
	q->agent = world.thread->agent;
	q->base = (struct media_queue){.ops = &sim_queue_ops, .media = media, .depth = (unsigned)min_u64(depth, COMMANDS_MAX)};
	if (media->caps.instant)
		q->base.depth = 1;
	*queue = &q->base;
	return 0;
}

int queue_uring_open(struct media *media, int fd, struct nvme_passthrough *nvme, unsigned depth, struct media_queue **queue)
{
	(void)fd, (void)nvme;
	return sim_queue_open(media, depth, queue);
}

int queue_sync_open(struct media *media, int fd, unsigned depth, struct media_queue **queue)
{
	(void)fd;
	return sim_queue_open(media, depth, queue);
}

/* ---- the rest of the seam ---- */

static int sim_map_control(struct media *media, size_t bytes)
{
	media->control = world.image;
	media->control_bytes = bytes;
	return 0;
}

static int sim_flush(struct media *media) { return medium_flush(agent_of(media)); }

static bool sim_alive(struct media *media) { return !atomic_load(&media->failed); }

static struct agent **lock_of(uint64_t offset)
{
	for (uint32_t i = 0; i < world.lock_count; i++)
		if (world.locks[i].offset == offset)
			return &world.locks[i].holder;
	if (world.lock_count == ARRAY_COUNT(world.locks)) {
		broken("more locks than the simulator has");
		return &world.locks[0].holder;
	}
	world.locks[world.lock_count].offset = offset;
	world.locks[world.lock_count].holder = NULL;
	return &world.locks[world.lock_count++].holder;
}

int media_lock(int fd, uint64_t offset)
{
	struct agent *a = world.thread->agent;

	(void)fd; /* a process opens the pool once */
	world_point(4);
	if (on_shared())
		return 0; /* one process a host, and no lock is seen by another host */
	world.steps++;
	struct agent **holder = lock_of(offset);
	trace(EVENT_LOCK, a, offset, *holder ? (*holder)->number : NEVER, 1);
	if (*holder && *holder != a) {
		cover(COVER_SLOT_RACE);
		return -EAGAIN;
	}
	*holder = a;
	return 0;
}

int media_unlock(int fd, uint64_t offset)
{
	struct agent *a = world.thread->agent, **holder;

	(void)fd;
	world_point(4);
	world.steps++;
	if (on_shared())
		return 0;
	holder = lock_of(offset);
	if (*holder == a)
		*holder = NULL;
	trace(EVENT_LOCK, a, offset, NEVER, 0);
	return 0;
}

int media_lock_held(int fd, uint64_t offset)
{
	(void)fd;
	world_point(1);
	if (on_shared())
		return 0;
	struct agent *holder = *lock_of(offset);
	return holder && holder != world.thread->agent;
}

static int sim_lock(struct media *media, uint64_t offset)
{
	(void)media;
	return media_lock(0, offset);
}

static int sim_unlock(struct media *media, uint64_t offset)
{
	(void)media;
	return media_unlock(0, offset);
}

static int sim_lock_held(struct media *media, uint64_t offset)
{
	(void)media;
	return media_lock_held(0, offset);
}

bool medium_locked(uint64_t offset) { return *lock_of(offset) != NULL; }

void medium_unlock_all(struct agent *agent)
{
	for (uint32_t i = 0; i < world.lock_count; i++)
		if (world.locks[i].holder == agent)
			world.locks[i].holder = NULL;
}

static void sim_close(struct media *media)
{
	struct agent *a = agent_of(media);

	medium_unlock_all(a);
	a->media = NULL;
	free(CONTAINER_OF(media, struct sim_media, base));
}

static void sim_abandon(struct media *media) { (void)media; }

static const struct media_ops sim_ops = {
	.name = "simulated",
	.close = sim_close,
	.map_control = sim_map_control,
	.publish = media_range_nothing,
	.publish_later = media_range_nothing,
	.settle = media_settle_nothing,
	.refresh = media_range_nothing,
	.forget = media_forget_nothing,
	.ahead = media_forget_nothing,
	.queue_open = sim_queue_open,
	.flush = sim_flush,
	.alive = sim_alive,
	.lock = sim_lock,
	.unlock = sim_unlock,
	.lock_held = sim_lock_held,
	.abandon = sim_abandon,
};

static int open_simulated(const char *path, unsigned flags, struct media **media)
{
	struct sim_media *m = calloc(1, sizeof(*m));
	bool lines = world.setup.medium == MEDIUM_LINES, memory = lines || world.setup.medium == MEDIUM_MEMORY;

	(void)flags;
	if (!m)
		return -ENOMEM;
	m->agent = world.thread->agent;
	m->agent->media = m;
	m->base = (struct media){
		.ops = &sim_ops,
		.path = (char *)(uintptr_t)path,
		.caps = {.bytes = world.layout.geo.bytes,
			 .logical_block = PAGE,
			 .memory_align = memory ? 1 : world.setup.memory_align,
			 .cut = 1 << 16,
			 .mappable = true,
			 .coherent = true,
			 .exact_death = true,
			 .volatile_cache = true,
			 .direct = true,
			 .instant = memory,
			 .lines = lines},
	};
	*media = &m->base;
	return 0;
}

int media_open(const char *path, unsigned flags, struct media **media)
{
	struct agent *a = world.thread->agent;

	if (!on_device() || world.setup.medium == MEDIUM_LINES)
		return open_simulated(path, flags, media);
	int err = media_block_open(path, flags, media);
	a->device = err ? NULL : *media;
	return err;
}

/* there is no file system below: see core/media/file_system.c for the real question */
int file_system_check(const char *path, const char *where)
{
	(void)path;
	(void)where;
	return 0;
}

int media_node(int fd, uint64_t *device, uint64_t *inode)
{
	(void)fd;
	*device = 1;
	*inode = world.thread->agent->number + 1;
	return 0;
}

/* as in core/media/media_open.c */
int media_range_nothing(struct media *media, uint64_t offset, size_t length)
{
	(void)media;
	(void)offset;
	(void)length;
	return 0;
}

int media_settle_nothing(struct media *media) { return media_range_nothing(media, 0, 0); }

void media_forget_nothing(struct media *media, uint64_t offset, size_t length)
{
	(void)media_range_nothing(media, offset, length);
}

/* holds: what processes see of the medium, in place */
int media_map_payload(struct media *media)
{
	media->payload = world.image;
	return 0;
}
