/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The media seam: moves bytes, never interprets them.
 *
 * A medium has a control region at its start, reached through memory (map), and payload, reached through queues of
 * reads and writes.  What a medium can promise is in its caps; upper layers choose by them.  The file medium is the
 * first implementation; block devices, DAX memory and the simulator stand behind the same ops.
 *
 * Threads: a queue has one user at a time.  Everything else may be called from any thread.
 */
#ifndef MEMKV_MEDIA_H
#define MEMKV_MEDIA_H

#include "core/base/bytes.h"
#include <stdatomic.h>
#include <sys/uio.h>

struct media_caps {
	uint64_t bytes;		 /* size of the medium */
	uint32_t logical_block;	 /* unit and alignment of payload I/O on the medium */
	uint32_t memory_align;	 /* alignment of payload memory */
	uint32_t cut;		 /* bytes a command: longer transfers are cut, a power of two of at least a chunk */
	bool mappable;		 /* control region can be mapped */
	bool coherent;		 /* all hosts see a store at once: compare-and-swap works */
	bool exact_death;	 /* locks prove that an incarnation is gone with all its writes */
	bool volatile_cache;	 /* a completed write may be lost at power cut before flush */
	bool direct;		 /* payload bypasses the page cache */
	bool instant;		 /* a command is a copy: done when it is submitted */
};

enum media_direction { MEDIA_READ, MEDIA_WRITE };
enum { MEDIA_IO_PIECES = 3 };

/* One command: a contiguous range of the medium, scattered over up to three pieces of memory. */
struct media_io {
	enum media_direction direction;
	uint64_t offset;
	struct iovec pieces[MEDIA_IO_PIECES];
	uint32_t piece_count;
	int result;    /* after reap: 0 or -errno; a range that ended early is -EIO */
	size_t length; /* sum of the pieces; set by submit */
	void *owner;   /* the submitter's */
};

struct media;
struct media_queue;

struct media_ops {
	const char *name;
	void (*close)(struct media *media);
	/* map the first @bytes as shared memory; media->control and control_bytes are set */
	int (*map_control)(struct media *media, size_t bytes);
	/* the control region's bytes from @offset will be read soon: begin to fetch them, without waiting */
	void (*ahead)(struct media *media, uint64_t offset, size_t length);
	int (*queue_open)(struct media *media, unsigned depth, struct media_queue **queue);
	/* everything completed before the call survives power loss after it */
	int (*flush)(struct media *media);
	/* is the medium still there and whole?  sets media->failed when not */
	bool (*alive)(struct media *media);
	/* non-blocking exclusive lock on one byte: 0, -EAGAIN (held by another), -errno */
	int (*lock)(struct media *media, uint64_t offset);
	int (*unlock)(struct media *media, uint64_t offset);
	/* 1 held by another descriptor, 0 free, -errno */
	int (*lock_held)(struct media *media, uint64_t offset);
	/* in a forked child: give up everything that would keep the parent's promises alive */
	void (*abandon)(struct media *media);
};

struct media {
	const struct media_ops *ops;
	struct media_caps caps;
	uint8_t *control;
	size_t control_bytes;
	atomic_bool failed; /* once true, stays true: gets are misses, puts are refused */
	char *path;
};

struct media_queue_ops {
	void (*close)(struct media_queue *queue);
	/* take over @io until it is reaped; -EAGAIN when the queue is full */
	int (*submit)(struct media_queue *queue, struct media_io *io);
	/* hand what was submitted to the medium, without waiting; what it cannot take now goes with the next reap */
	void (*kick)(struct media_queue *queue);
	/* hand what was submitted to the medium and return a finished command; NULL: none yet (only when !wait) */
	struct media_io *(*reap)(struct media_queue *queue, bool wait);
	/* in a forked child: close what the queue shares with the parent, touch nothing else */
	void (*abandon)(struct media_queue *queue);
};

struct media_queue {
	const struct media_queue_ops *ops;
	struct media *media;
	unsigned depth, used;
};

enum media_open_flag { MEDIA_OPEN_READ_ONLY = 1 << 0, MEDIA_OPEN_BUFFERED = 1 << 1 };

/*
 * media_file_open() - a regular file as a medium
 * @path: an existing file.
 * @flags: enum media_open_flag.
 *
 * Payload goes by O_DIRECT where the file system takes it, else through the page cache (caps.direct tells).
 *
 * Return: 0 or a negative code with a sentence.
 */
int media_file_open(const char *path, unsigned flags, struct media **media);

/* queue_sync_open() - preadv and pwritev in the caller's thread, where io_uring is not to be had */
int queue_sync_open(struct media *media, int fd, unsigned depth, struct media_queue **queue);
/* queue_uring_open() - io_uring; -ENOSYS or -EPERM where the kernel or a sandbox refuses it */
int queue_uring_open(struct media *media, int fd, unsigned depth, struct media_queue **queue);

#endif
