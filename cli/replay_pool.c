/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool of a replay.
 *
 * The look at a pool happens in a child process, because agents are forked afterwards and an open pool must not go
 * through a fork.
 */
#include "cli/replay_pool.h"

#include "cli/progress.h"
#include "cli/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE UINT64_C(4096)
#define SLOTS_OF_SMALL_POOL 16 /* a pool of 64 segments has so many without being told */

/* ---- scratch ----------------------------------------------------------------------------------------------- */

/* Every distinct block, and slack for each agent's unfinished segment of the 64 or more that a pool has. */
static uint64_t scratch_blocks(const struct replay_plan *plan)
{
	uint64_t blocks = plan->trace.blocks ? plan->trace.blocks : 1;
	uint64_t slack = blocks / 4, open = blocks * (plan->agents + 4) / 64;

	return blocks + (slack > open ? slack : open) + 2 * (uint64_t)plan->agents + 16;
}

static int check_free_space(const char *directory, const struct replay_plan *plan, uint64_t blocks)
{
	char need_text[REPORT_SIZE_TEXT], free_text[REPORT_SIZE_TEXT];
	struct statvfs vfs;
	uint64_t need;

	if (statvfs(directory, &vfs))
		return report_failed(-errno, "%s: %s", directory, strerror(errno));
	uint64_t usable = (uint64_t)vfs.f_bavail * vfs.f_frsize / 10 * 9;
	if (!__builtin_mul_overflow(blocks, (plan->block_size + 2 * PAGE) & ~(PAGE - 1), &need) && need <= usable)
		return 0;
	uint64_t per_block = usable / blocks / PAGE * PAGE, fits = per_block > PAGE ? per_block - PAGE : 0;
	if (!fits)
		return report_failed(-ENOSPC,
				     "a scratch pool for %" PRIu64 " blocks does not fit in %s; "
				     "set TMPDIR to where there is more room, or use --limit",
				     blocks, directory);
	return report_failed(-ENOSPC,
			     "the scratch pool would take %s, %s has %s to spare; use --block-size %" PRIu64
			     " or less, --limit, or set TMPDIR",
			     report_size_text(need, need_text), directory, report_size_text(usable, free_text), fits);
}

int scratch_pool_open(struct scratch_pool *scratch, const struct replay_plan *plan)
{
	const char *where = getenv("TMPDIR");
	struct scratch_pool made;

	if (!where || !*where)
		where = "/var/tmp";
	uint64_t blocks = scratch_blocks(plan);
	int rc = check_free_space(where, plan, blocks);
	if (rc)
		return rc;
	if (snprintf(made.directory, sizeof(made.directory), "%s/memkv-replay-XXXXXX", where) >= PATH_MAX)
		return report_failed(-ENAMETOOLONG, "TMPDIR is too long");
	if (!mkdtemp(made.directory))
		return report_failed(-errno, "cannot make a scratch pool in %s: %s", where, strerror(errno));
	snprintf(made.path, sizeof(made.path), "%s/pool", made.directory);
	struct memkv_create_options options = {
		.size = sizeof(options),
		.slots = plan->agents >= SLOTS_OF_SMALL_POOL ? plan->agents + 1 : 0,
		.blocks = blocks,
		.block_size = plan->block_size,
		.name = "replay scratch",
		.progress = progress_step,
		.context = (void *)"scratch pool, bytes",
	};
	rc = memkv_pool_create(made.path, &options);
	progress_end();
	if (rc < 0) {
		rc = report_library(rc, made.path);
		scratch_pool_close(&made);
		return rc;
	}
	*scratch = made;
	return 0;
}

void scratch_pool_close(struct scratch_pool *scratch)
{
	if (!scratch->directory[0])
		return;
	/* Not memkv_pool_destroy(): a killed agent's lock may outlive it by some milliseconds. */
	unlink(scratch->path);
	if (rmdir(scratch->directory))
		report_note("%s is left over: %s", scratch->directory, strerror(errno));
	scratch->directory[0] = '\0';
}

/* ---- the look ---------------------------------------------------------------------------------------------- */

/**
 * struct look - what the child found
 * @failure: why it could not look.
 * @max_block, @live, @blocks: of the pool.
 * @room: blocks of the replay's size.
 * @fits: largest block size with room for the longest request; 0: none.
 */
struct look {
	struct replay_failure failure;
	uint64_t max_block;
	uint64_t live;
	uint64_t blocks;
	uint64_t room;
	uint64_t fits;
};

/* Room grows as blocks shrink: search the largest number of pages. */
static uint64_t largest_fitting(struct memkv_pool *pool, uint64_t max_block, uint64_t longest)
{
	uint64_t good = 0, bad = max_block / PAGE + 1;

	while (good + 1 < bad) {
		uint64_t middle = good + (bad - good) / 2;
		if (memkv_pool_room(pool, middle * PAGE) >= longest)
			good = middle;
		else
			bad = middle;
	}
	return good * PAGE;
}

static void look_at_pool(const struct replay_plan *plan, struct look *look)
{
	struct memkv_pool_options options = {.size = sizeof(options),
					     .flags = MEMKV_OPEN_READ_ONLY | MEMKV_OPEN_NO_FOLLOWER};
	struct memkv_pool_info info;
	struct memkv_pool *pool;
	int rc = memkv_pool_open(plan->pool, &options, &pool);

	if (!rc) {
		rc = memkv_pool_describe(pool, &info);
		if (!rc) {
			look->max_block = info.max_block;
			look->live = info.slots_live;
			look->blocks = info.blocks;
			look->room = memkv_pool_room(pool, plan->block_size);
			look->fits = largest_fitting(pool, info.max_block, plan->trace.longest);
		}
	}
	if (rc < 0) {
		const char *detail = memkv_error_detail();
		replay_fail(&look->failure, rc, detail[0] ? detail : memkv_strerror(rc));
	}
	if (!rc)
		memkv_pool_close(pool);
}

/* look_at_pool() in a child. */
static int look_from_afar(const struct replay_plan *plan, struct look *look)
{
	struct look *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;

	if (shared == MAP_FAILED)
		return report_failed(-ENOMEM, "out of memory");
	fflush(NULL);
	pid_t pid = fork();
	if (!pid) {
		look_at_pool(plan, shared);
		_exit(0);
	}
	int rc = pid < 0 ? -errno : 0;
	while (!rc && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			rc = -errno;
	if (!rc && (!WIFEXITED(status) || WEXITSTATUS(status)))
		rc = -EIO;
	*look = *shared;
	munmap(shared, sizeof(*shared));
	if (rc)
		return report_failed(rc, "cannot look at %s: %s", plan->pool, strerror(-rc));
	if (look->failure.result)
		return report_failed(look->failure.result, "%s", look->failure.text);
	return 0;
}

int replay_pool_check(struct replay_plan *plan, bool live)
{
	struct look look;
	int rc = look_from_afar(plan, &look);

	if (rc)
		return rc;
	if (look.live && !live)
		return report_failed(MEMKV_IN_USE,
				     "%s: %" PRIu64 " others have the pool open; --live replays all the same",
				     plan->pool, look.live);
	bool too_large = plan->block_size > look.max_block;
	if ((too_large || look.room < plan->trace.longest) && !look.fits)
		return report_failed(MEMKV_NO_ROOM,
				     "%s has no room for the longest request's %" PRIu64 " blocks, however small",
				     plan->pool, plan->trace.longest);
	if (too_large)
		return report_failed(MEMKV_TOO_LARGE,
				     "%s takes blocks of at most %" PRIu64 " bytes; use --block-size %" PRIu64
				     " or less",
				     plan->pool, look.max_block, look.fits);
	if (look.room < plan->trace.longest)
		return report_failed(MEMKV_NO_ROOM,
				     "%s has room for %" PRIu64 " blocks of this size, the longest request has %" PRIu64
				     "; use --block-size %" PRIu64 " or less",
				     plan->pool, look.room, plan->trace.longest, look.fits);
	plan->room_for_all = look.room >= look.blocks + plan->trace.blocks;
	return 0;
}
