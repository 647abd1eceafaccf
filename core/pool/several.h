/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An open pool's further namespaces: found when it is opened, watched, and taken in again when they come back.
 *
 * One that is lost takes nothing with it but the segments that lie on it.  Its blocks go from the index, so that a look-up of
 * them is a miss (counted as miss_lost, as is every other miss meanwhile: who knows what is there?); nobody opens a segment
 * there; a removal, and a put that replaces, cannot tell what is there under the same key, and say so.  What this agent had
 * open there stays OPEN in its name, and is settled when the namespace is back, as if its owner had died.
 *
 * Nothing of this is seen to on the get or put path: the follower's thread does it, about every 64th step.
 *
 * Order at a loss:   `failed` (by whoever sees it first) -> the index forgets -> the room forgets -> mourned
 *       at a return: opened and looked at -> in its place -> its words are read -> there -> folded -> the room settles
 */
#ifndef MEMKV_POOL_SEVERAL_H
#define MEMKV_POOL_SEVERAL_H

#include "core/format/superblock.h"
#include "core/pool/lane.h"

#include <pthread.h>

struct memkv_pool;

/* namespaces that are open and not joined yet: a child gives them up as well (fork.c) */
struct namespace_visits {
	struct lane lane;
	struct media *media[NAMESPACES_MAX];
};

struct namespaces {
	struct namespace_visits visits;
	pthread_mutex_t lock; /* one thread tends them at a time */
	bool several;
	unsigned flags; /* with which they are opened: enum media_open_flag */
	struct namespace_watch {
		bool lost;   /* as far as index and room know */
		bool regain; /* there again, but the room has not settled what this agent had open there */
		uint64_t look_us, pause_us; /* when to look for it next; how long to wait after that */
		uint64_t shunned_us;	    /* since when nothing is opened there */
	} watch[NAMESPACES_MAX];
};

/*
 * namespaces_join() - the superblock is read, and tells of further namespaces: pool->media becomes all of them
 *
 * Return: 0, also when some are not there; or a negative code with a sentence.
 */
int namespaces_join(struct memkv_pool *pool, const char *path, unsigned flags);
void namespaces_close(struct memkv_pool *pool);

/* namespaces_mend() - whoever attaches for writing: each one's superblocks say what home's say */
void namespaces_mend(struct memkv_pool *pool);

/* namespaces_tend() - see what is lost, and what is back; not under a lock of the pool */
void namespaces_tend(struct memkv_pool *pool);

/* namespace_find() - open it into @visits, and see that it is the one; 0, or a negative code with a sentence */
int namespace_find(const struct superblock *sb, unsigned number, const char *home_path, unsigned flags,
		   struct namespace_visits *visits);
/* namespace_leave() - close what was found */
void namespace_leave(struct namespace_visits *visits, unsigned number);

/* namespace_describe_place() - the hint and the identity by which a path is found again */
void namespace_describe_place(const char *path, struct namespace_entry *ns);

#endif
