/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flip: damage a pool in one place, look whether the promise holds, put the damage right, and so on, once per seed.
 *
 * The seeds are done by a few children that fork takes from this process after it has built the base pools; each has
 * its own files.  What a child finds is written into shared memory, so that a child that crashes or hangs has named
 * its seed: that is a failure of the seed, and the next child goes on behind it.
 */
#include "tests/flip/tally.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { JOBS_MAX = 16, SECONDS_MAX = 120, CRASHES_MAX = 50, WRITE_EVERY = 4, PAIR_EVERY = 16, COMPARE_EVERY = 16 };

struct shared {
	_Atomic uint64_t next;
	struct {
		uint64_t seed; /* at work on it; 0: none */
	} workers[JOBS_MAX];
	struct outcome outcomes[];
};

struct run {
	uint64_t from, to; /* seeds, both included */
	unsigned jobs;
	bool verbose;
	const char *folder;
	struct base bases[BASES];
	struct shared *shared;
};

/* ---- a worker ---- */

struct worker {
	const struct run *run;
	unsigned number;
	char paths[BASES][512];
	int fds[BASES];
	const uint8_t *images[BASES]; /* the files, mapped */
	struct visit visits[BASES];
};

static void write_image(int fd, const struct base *base, uint64_t at, uint64_t length)
{
	while (length > 0) {
		ssize_t put = pwrite(fd, base->image + at, length, (off_t)at);
		if (put <= 0)
			die("cannot write a pool");
		at += (uint64_t)put;
		length -= (uint64_t)put;
	}
}

/* every page that differs is put back; returns how many did */
static uint32_t restore(const struct worker *w, unsigned b)
{
	const struct base *base = &w->run->bases[b];
	const uint64_t stretch = 16 * PAGE;
	uint32_t differ = 0;

	for (uint64_t from = 0; from < base->bytes; from += stretch) {
		uint64_t to = min_u64(from + stretch, base->bytes);
		if (memcmp(w->images[b] + from, base->image + from, to - from) == 0)
			continue;
		for (uint64_t at = from; at < to; at += PAGE) {
			if (memcmp(w->images[b] + at, base->image + at, PAGE) == 0)
				continue;
			write_image(w->fds[b], base, at, PAGE);
			differ++;
		}
	}
	return differ;
}

static void worker_open(struct worker *w, const struct run *run, unsigned number)
{
	*w = (struct worker){.run = run, .number = number};
	for (int b = 0; b < BASES; b++) {
		const struct base *base = &run->bases[b];
		snprintf(w->paths[b], sizeof(w->paths[b]), "%s/flip-%d-%u-%s.pool", run->folder, (int)getppid(), number,
			 base->name);
		w->fds[b] = open(w->paths[b], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (w->fds[b] < 0)
			die("%s: cannot make a pool file", w->paths[b]);
		write_image(w->fds[b], base, 0, base->bytes);
		w->images[b] = mmap(NULL, base->bytes, PROT_READ, MAP_SHARED, w->fds[b], 0);
		if (w->images[b] == MAP_FAILED)
			die("%s: cannot be mapped", w->paths[b]);
		w->visits[b] = (struct visit){
			.base = base,
			.path = w->paths[b],
			.fd = w->fds[b],
			.verbose = run->verbose,
			.lost = calloc(base->block_count, 1),
			.listed = calloc(base->block_count, 1),
			.named = calloc(base->block_count, 1),
		};
	}
}

static void one_seed(struct worker *w, uint64_t seed)
{
	unsigned b = mix(seed + 1) % BASES;
	struct visit *v = &w->visits[b];
	struct outcome *out = &w->run->shared->outcomes[seed - w->run->from];
	struct hurt hurt;

	hurt_choose(v->base, seed, &hurt);
	*out = (struct outcome){.progress = PROGRESS_RUNNING, .spot = hurt.spot, .kind = hurt.kind, .idle = hurt.idle};
	v->hurt = &hurt;
	v->seed = seed;
	v->out = out;
	v->fresh = 0;
	v->under = false;
	bool writing = mix(seed + 2) % WRITE_EVERY == 0, repairing = mix(seed + 2) % WRITE_EVERY == 1;
	if (v->verbose)
		printf("seed %llu: %s of %u bytes at %llu (%s) of the %s pool%s\n", (unsigned long long)seed,
		       hurt_kind_name(hurt.kind), hurt.length, (unsigned long long)hurt.offset, spot_name(hurt.spot),
		       v->base->name, writing ? ", writing" : repairing ? ", repairing" : "");
	if (writing) {
		if (mix(seed + 9) % PAIR_EVERY)
			visit_write(v);
		else
			visit_pair(v);
		restore(w, b);
	} else if (repairing) {
		visit_repair(v);
		restore(w, b);
	} else {
		visit_read(v);
		write_image(v->fd, v->base, hurt.offset, hurt.length);
		if (seed % COMPARE_EVERY == 0 && restore(w, b) > 0)
			fault(v, "a read-only attach has written to the pool");
	}
	out->progress = PROGRESS_DONE;
}

static void work(const struct run *run, unsigned number)
{
	struct worker w;
	uint64_t seed;

	worker_open(&w, run, number);
	while ((seed = atomic_fetch_add(&run->shared->next, 1)) <= run->to) {
		run->shared->workers[number].seed = seed;
		alarm(SECONDS_MAX); /* a hang ends the worker */
		one_seed(&w, seed);
		alarm(0);
		run->shared->workers[number].seed = 0;
	}
	fflush(stdout);
	for (int b = 0; b < BASES; b++)
		unlink(w.paths[b]);
	_exit(0);
}

/* ---- the process that sums up ---- */

static pid_t start(const struct run *run, unsigned number)
{
	fflush(stdout);
	pid_t child = fork();

	if (child == 0)
		work(run, number);
	if (child < 0)
		die("cannot fork");
	return child;
}

/* a worker ended before its time: its seed has failed */
static void blame(const struct run *run, unsigned number, int status)
{
	uint64_t seed = run->shared->workers[number].seed;

	if (seed == 0)
		die("a worker ended without a seed (status %#x)", status);
	struct outcome *out = &run->shared->outcomes[seed - run->from];
	out->progress = PROGRESS_DONE;
	out->faults++;
	if (WIFSIGNALED(status))
		snprintf(out->why, sizeof(out->why), WTERMSIG(status) == SIGALRM ? "HANG" : "CRASH by signal %d",
			 WTERMSIG(status));
	else
		snprintf(out->why, sizeof(out->why), "CRASH: it ended with status %d", WEXITSTATUS(status));
	run->shared->workers[number].seed = 0;
}

static void run_all(const struct run *run)
{
	pid_t children[JOBS_MAX];
	unsigned running = 0, crashes = 0;
	int status;

	for (; running < run->jobs; running++)
		children[running] = start(run, running);
	while (running > 0) {
		pid_t ended = wait(&status);
		for (unsigned n = 0; n < run->jobs; n++) {
			if (children[n] != ended)
				continue;
			children[n] = -1;
			running--;
			if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
				break;
			blame(run, n, status);
			if (++crashes < CRASHES_MAX) {
				children[n] = start(run, n);
				running++;
			}
			break;
		}
	}
}

static void usage(void)
{
	puts("usage: flip [--seeds FROM-TO | --seed N] [--jobs N] [--dir FOLDER] [-v]\n"
	     "Damages a pool in one place a seed and looks whether every promise holds; see README.md.\n"
	     "FOLDER: where the pools lie while they are at work, /dev/shm by default");
}

static int parse(struct run *run, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";
		char *end = NULL;
		if (strcmp(argv[i], "-v") == 0) {
			run->verbose = true;
			continue;
		}
		if (strcmp(argv[i], "--seeds") == 0) {
			run->from = strtoull(value, &end, 10);
			run->to = *end == '-' ? strtoull(end + 1, &end, 10) : run->from;
		} else if (strcmp(argv[i], "--seed") == 0) {
			run->from = run->to = strtoull(value, &end, 10);
		} else if (strcmp(argv[i], "--jobs") == 0) {
			run->jobs = (unsigned)strtoul(value, &end, 10);
		} else if (strcmp(argv[i], "--dir") == 0) {
			run->folder = value;
		} else {
			return -1;
		}
		if (!*value || (end && *end))
			return -1;
		i++;
	}
	return run->from >= 1 && run->from <= run->to && run->jobs >= 1 && run->jobs <= JOBS_MAX ? 0 : -1;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	struct run run = {.from = 1, .to = 400, .jobs = 2, .folder = access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm"};
	char path[512];

	if (parse(&run, argc, argv)) {
		usage();
		return 2;
	}
	uint64_t count = run.to - run.from + 1;
	double start_s = now();
	for (unsigned b = 0; b < BASES; b++) {
		snprintf(path, sizeof(path), "%s/flip-%d-base.pool", run.folder, (int)getpid());
		base_build(&run.bases[b], b, path);
		printf("%s pool: %llu MiB, %u live blocks\n", run.bases[b].name,
		       (unsigned long long)(run.bases[b].bytes >> 20), run.bases[b].live);
	}
	run.shared = mmap(NULL, sizeof(*run.shared) + count * sizeof(struct outcome), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (run.shared == MAP_FAILED)
		die("no memory for %llu outcomes", (unsigned long long)count);
	atomic_store(&run.shared->next, run.from);
	run_all(&run);
	uint64_t failed = tally_print(run.shared->outcomes, run.from, count, now() - start_s);
	for (unsigned b = 0; b < BASES; b++)
		base_free(&run.bases[b]);
	return failed ? 1 : 0;
}
