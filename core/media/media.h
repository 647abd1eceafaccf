/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The media seam: moves bytes, never interprets them.
 *
 * A medium has a control region at its start, reached through memory (map), and payload, reached through queues of
 * reads and writes.  What a medium can promise is in its caps; upper layers choose by them.  Files, files that
 * are memory, DAX devices, memory without coherent caches, and block devices stand behind the same ops.
 *
 * Media that cannot be mapped give the control region as a private mirror of this process: what was stored in it
 * counts when it is *published*, what others published is there after a *refresh*.  A mirror has one writing process,
 * whose own copy is the truth (it took the medium for itself), and any number of reading ones; or, on a *shared* medium,
 * many writing processes, each of which holds the blocks that it alone writes.  On mapped media all of this does
 * nothing, so upper layers call it wherever shared words are changed or are to be fresh.
 *
 * Threads: a queue has one user at a time.  Everything else may be called from any thread.
 */
#ifndef MEMKV_MEDIA_H
#define MEMKV_MEDIA_H

#include "core/base/bytes.h"
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/uio.h>

struct media_caps {
	uint64_t bytes;		 /* size of the medium */
	uint32_t logical_block;	 /* unit and alignment of payload I/O on the medium */
	uint32_t memory_align;	 /* alignment of payload memory */
	/*
	 * Bytes a command: longer transfers are cut; a power of two of at least a chunk.  Small enough that the kernel
	 * need not split it (scattered 4 KiB pages against max_segments): such commands go to a kernel worker first.
	 */
	uint32_t cut;
	uint32_t write_cut;	 /* of writes, where they go another way; 0: the same */
	bool mappable;		 /* control region is mapped; else it is a mirror: publish and refresh */
	bool coherent;		 /* all hosts see a store at once: compare-and-swap works */
	bool exact_death;	 /* locks prove that an incarnation is gone with all its writes */
	bool volatile_cache;	 /* a completed write may be lost at power cut before flush */
	bool direct;		 /* payload bypasses the page cache */
	bool instant;		 /* a command is a copy: done when it is submitted */
	bool lines;		 /* memory: hosts may share it whose caches are not coherent; the superblock tells */
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

/* media_io_measure() - at submit: how much is asked for */
static inline void media_io_measure(struct media_io *io)
{
	io->length = 0;
	for (uint32_t i = 0; i < io->piece_count; i++)
		io->length += io->pieces[i].iov_len;
}

struct media;
struct media_queue;

struct media_ops {
	const char *name;
	void (*close)(struct media *media);
	/* map the first @bytes as shared memory, or mirror them; media->control and control_bytes are set */
	int (*map_control)(struct media *media, size_t bytes);
	/*
	 * Mirrors: the blocks around the range go to the medium, and are there when this returns: 0 or -errno, which
	 * also sets media->unpublished.  Calls that meet in one block share a write.
	 */
	int (*publish)(struct media *media, uint64_t offset, size_t length);
	/* mirrors: the same some time later, at the latest at settle(): nothing may be acknowledged that needs it */
	int (*publish_later)(struct media *media, uint64_t offset, size_t length);
	int (*settle)(struct media *media);
	/* mirrors: the blocks around the range come from the medium, but for what this process writes; 0 or -errno */
	int (*refresh)(struct media *media, uint64_t offset, size_t length);
	/*
	 * Mirrors of a shared medium: from now on this process alone writes the whole blocks in the range, which are read
	 * first; its own copy of them is the truth, until it lets go of them.  0 or -errno.
	 */
	int (*hold)(struct media *media, uint64_t offset, size_t length);
	void (*let_go)(struct media *media, uint64_t offset, size_t length);
	/*
	 * Mirrors: give the memory of the whole blocks in the range back, but for those that publish_later() still owes
	 * the medium; they read as zero until the next refresh.
	 */
	void (*forget)(struct media *media, uint64_t offset, size_t length);
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
	/* which inode the locks are on: in one boot the same for all who see it; 0 or -errno */
	int (*node)(struct media *media, uint64_t *device, uint64_t *inode);
	/*
	 * NULL: nothing to do.  It has failed, and is to be closed: what is stored from now on must not reach what may lie
	 * there by then.  One call, nobody else uses it.
	 */
	void (*forsake)(struct media *media);
	/* make all of the medium readable at media->payload; NULL: this medium cannot.  One call at a time. */
	int (*map_payload)(struct media *media);
	/*
	 * Of one that was lost: @found, just opened, is the same again, and takes its place: under the same descriptor, and,
	 * where there is a control region, at the same addresses.  What was there is forgotten.  @found stays the caller's to
	 * close.  It may be @media itself, where that works again.  0 or -errno; NULL: this medium cannot.
	 */
	int (*renew)(struct media *media, struct media *found);
};

enum { MEDIA_LOCAL_RANGES = 2, MEDIA_WORD_RANGES = 2 };

struct media {
	const struct media_ops *ops;
	struct media_caps caps;
	uint8_t *control;
	size_t control_bytes;
	const uint8_t *payload; /* the whole medium, to be read in place; NULL: not mapped (yet) */
	atomic_bool failed; /* once true, stays true: gets are misses, puts are refused */
	/*
	 * Once true, stays true: a publish failed.  What stands on the medium there is not known, and must not be
	 * written again with other bytes; so nothing more is acknowledged, and this handle writes no more.
	 */
	atomic_bool unpublished;
	atomic_uint_fast64_t unread; /* how many refreshes have failed: what was read meanwhile need not be all there is */
	/*
	 * Shared media: ranges of the control region that are this process's own business.  They are neither published nor
	 * refreshed.
	 */
	struct media_range {
		uint64_t from, to;
	} local[MEDIA_LOCAL_RANGES];
	/*
	 * Where stores do not reach the medium in sectors (media_lines.c): the mark in the check word of what is being written, and
	 * the ranges of the control region that have no such words; each word there is for itself.
	 */
	uint64_t withdrawn;
	struct media_range words[MEDIA_WORD_RANGES];
	char *path;
	/* several in one (media_join.h) */
	struct media_member *members; /* NULL: this is no join of several */
	unsigned member_count;
	void *place;	   /* a member's: where its control region is to be mapped; NULL: anywhere */
	atomic_bool *fate; /* a member's: what is set when its mapping faults; NULL: its own `failed` */
};

/* One of several namespaces that are joined to one medium; the first is home. */
struct media_member {
	uint64_t base, end; /* its part of the address space */
	struct media *medium; /* its `failed` says that it is lost; once it is found again it is not */
	int fd;
	bool removed;	      /* it is no part of the pool any more, and never comes back */
	atomic_bool suspect;  /* it has answered with an error: is it still there? */
	atomic_bool shunned;  /* it took no write: nothing is to be opened there for a while */
	atomic_bool mourned;  /* it is lost, and those who wrote to it know that: a flush need not tell any more */
};

/* media_there() - can a member be reached?  media_takes() - and be written to?  media_whole() - can all be? */
static inline bool media_there(const struct media *media, unsigned member)
{
	return !media->members ||
	       !atomic_load_explicit(&media->members[member].medium->failed, memory_order_acquire);
}

static inline bool media_takes(const struct media *media, unsigned member)
{
	return media_there(media, member) &&
	       !(media->members && atomic_load_explicit(&media->members[member].shunned, memory_order_relaxed));
}

static inline bool media_whole(const struct media *media)
{
	for (unsigned n = 0; n < media->member_count; n++)
		if (!media->members[n].removed && !media_there(media, n))
			return false;
	return true;
}

/* media_member_at() - the member that an offset lies in; only where there are some */
static inline struct media_member *media_member_at(const struct media *media, uint64_t offset)
{
	struct media_member *m = &media->members[media->member_count - 1];

	while (offset < m->base)
		m--;
	return m;
}

/* Where a command goes: a descriptor, and an offset there. */
struct media_spot {
	int fd; /* -1: the namespace is lost */
	uint64_t offset;
};

/* media_spot() - of a queue on @fd; where there are members, that of the member that @offset lies in */
static inline struct media_spot media_spot(const struct media *media, int fd, uint64_t offset)
{
	if (!media || !media->members)
		return (struct media_spot){fd, offset};
	const struct media_member *m = media_member_at(media, offset);
	bool there = !atomic_load_explicit(&m->medium->failed, memory_order_acquire);
	return (struct media_spot){there ? m->fd : -1, offset - m->base};
}

struct media_queue_ops {
	void (*close)(struct media_queue *queue);
	/* take over @io until it is reaped; -EAGAIN when the queue is full */
	int (*submit)(struct media_queue *queue, struct media_io *io);
	/* hand what was submitted to the medium, without waiting; what it cannot take now goes with the next reap */
	void (*kick)(struct media_queue *queue);
	/*
	 * Hand what was submitted to the medium and return a finished command, when none has finished yet after waiting
	 * for @wait_for of those in flight (fewer wake-ups than one for each); NULL: none yet (only when that is 0), or
	 * none was submitted.  A queue that breaks down still hands everything back, and not before the medium is done
	 * with it.
	 */
	struct media_io *(*reap)(struct media_queue *queue, unsigned wait_for);
	/* in a forked child: close what the queue shares with the parent, touch nothing else */
	void (*abandon)(struct media_queue *queue);
};

struct media_queue {
	const struct media_queue_ops *ops;
	struct media *media;
	unsigned depth, used;
};

enum media_open_flag { MEDIA_OPEN_READ_ONLY = 1 << 0, MEDIA_OPEN_BUFFERED = 1 << 1, MEDIA_OPEN_SHARED = 1 << 2 };

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

/*
 * media_block_open() - a block device as a medium
 *
 * For writing it is claimed for this process alone (also against mounts, mkfs and other nodes of the device); not with
 * MEDIA_OPEN_SHARED, where others write as well, on other hosts too.
 *
 * Return: 0; MEMKV_NO_SLOT: another agent writes to it; MEMKV_IN_USE: somebody else has claimed it; or a negative
 * code, each with a sentence.
 */
int media_block_open(const char *path, unsigned flags, struct media **media);

/*
 * media_file_lost(), media_block_lost() - in the place of a file or device that is not there: failed, until it is renewed
 * @bytes: that it has when it is there.
 *
 * Return: 0 or a negative code with a sentence.
 */
int media_file_lost(const char *path, unsigned flags, uint64_t bytes, struct media **media);
int media_block_lost(const char *path, unsigned flags, uint64_t bytes, struct media **media);
/* media_file_descriptor(), media_block_descriptor() - through which a medium of that kind is read and written */
int media_file_descriptor(const struct media *media);
int media_block_descriptor(const struct media *media);

/*
 * media_block_claim() - open a device with O_EXCL besides @flags; -EBUSY when it is somebody else's.  A claim that is
 * just being given up is waited for: of a process that was killed, the kernel ends the I/O first.
 */
int media_block_claim(const char *path, int flags);

/* media_file_is_memory() - are the file's pages the medium itself: tmpfs, a DAX file system? */
bool media_file_is_memory(int fd);

/* media_is_dax() - is it the node of a DAX device (/dev/daxX.Y)? */
bool media_is_dax(const struct stat *st);

/*
 * media_dax_open() - a DAX device as a medium: mapped whole, never through a page cache
 *
 * Its locks hold between processes that open the same node on one host, and not beyond.
 *
 * Return: 0 or a negative code with a sentence.
 */
int media_dax_open(const char *path, unsigned flags, struct media **media);

/*
 * media_lines_over() - memory (caps.lines) as hosts share it whose caches are not coherent: by a mirror, and cache lines
 * @memory: open; from now on it belongs to *@media.
 *
 * For reading; media_lines_claim() makes it one for writing, which one process of a host can have: 0, MEMKV_NO_SLOT or
 * -errno.  media_lines_off() takes it apart and gives @memory back.
 *
 * Return: 0 or a negative code with a sentence; then @memory is as it was.
 */
int media_lines_over(struct media *memory, struct media **media);
int media_lines_claim(struct media *media);
struct media *media_lines_off(struct media *media);

/* media_open() - the medium that is at @path, by what it is */
int media_open(const char *path, unsigned flags, struct media **media);

/*
 * media_map_payload() - payload is to be read in place: where it is, is in media->payload afterwards
 *
 * Return: 0; -EOPNOTSUPP where bytes that others write are not sure to be seen there, with the mend; -errno.
 */
int media_map_payload(struct media *media);

/* for the ops of mapped media: there is nothing to publish, refresh or forget */
int media_range_nothing(struct media *media, uint64_t offset, size_t length);
int media_settle_nothing(struct media *media);
void media_forget_nothing(struct media *media, uint64_t offset, size_t length);

/* media_lock(), media_unlock(), media_lock_held() - the lock ops, by open file description locks on @fd */
int media_lock(int fd, uint64_t offset);
int media_unlock(int fd, uint64_t offset);
int media_lock_held(int fd, uint64_t offset);

/* the byte that is locked by whoever writes to a medium that has one writing agent */
enum { MEDIA_WRITER_BYTE = 1 };

/* queue_instant_open() - for payload that is memory: @copy moves the bytes of one command at submit; 0 or -errno */
typedef int media_copy(struct media *media, const struct media_io *io);
int queue_instant_open(struct media *media, media_copy *copy, struct media_queue **queue);
/* queue_sync_open() - preadv and pwritev in the caller's thread, where io_uring is not to be had */
int queue_sync_open(struct media *media, int fd, unsigned depth, struct media_queue **queue);
/* queue_uring_open() - io_uring; -ENOSYS or -EPERM where the kernel or a sandbox refuses it.  @nvme: or NULL */
struct nvme_passthrough;
int queue_uring_open(struct media *media, int fd, struct nvme_passthrough *nvme, unsigned depth, struct media_queue **queue);

#endif
