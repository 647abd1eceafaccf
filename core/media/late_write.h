/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How late can a write land?  A write that its writer gave up, or whose writer is gone, may still reach a namespace
 * over the network: it waits in this host while the kernel reconnects, in the network, or in the target.  Whoever wants
 * to put other bytes where it would land has to wait that long (quarantine), unless the writer's connection is known to
 * be dead.  The bound follows from what the connection really has, not from what was asked for.
 *
 * One interruption, seen from the moment at which the write was handed to the kernel:
 *
 *   |-- command time-out --|----- held -----|
 *   write                  given up         failed: the kernel does not send it again
 *                          |------ 2 keep-alives ------|----- drain -----|
 *                          last byte can arrive        association ends  nothing of it is under way in the target
 *
 *   - The *command time-out* (nvme_core.io_timeout, 30 s, or the queue's) is when the kernel at the latest gives up a
 *     command that gets no answer, and begins to reconnect.
 *   - While it reconnects, commands are *held*, to be sent again: until fast_io_fail_tmo where that is set, else until
 *     ctrl_loss_tmo, when the controller is removed; for ever when both are off.  Linux's defaults are off and 600 s.
 *   - The target ends the association of a host that fell silent by its keep-alive timer; since traffic counts as a
 *     sign of life, that can take up to *two* keep-alive periods, and only then are the host's commands ended.  Without
 *     keep-alive it never does.
 *   - What the target has handed to its drive may take until the drive answers: the *drain*, 30 s, Linux's time-out of
 *     a drive's command.
 *
 * They add up, because each may begin when the one before ends.  A link that comes back within "held" sends the command
 * again; then the sum counts from that interruption's end anew.
 */
#ifndef MEMKV_MEDIA_LATE_WRITE_H
#define MEMKV_MEDIA_LATE_WRITE_H

#include "core/media/nvme_sysfs.h"

enum {
	LATE_DRAIN_S = 30,
	/* what `attach` asks for: then a write lands within 30 + 5 + 2 x 5 + 30 = 75 s, or never */
	LATE_KEEP_ALIVE_S = 5,
	LATE_FAST_IO_FAIL_S = 5,
	LATE_CTRL_LOSS_S = 60,
	LATE_RECONNECT_S = 2,
	LATE_HELD_WISHED_S = 60, /* held longer than this is worth a word */
};

/**
 * struct late_write - the answer
 * @fabric: a network is between this host and the namespace; if not, the rest is 0: the kernel ends what it began.
 * @bounded: there is a bound.
 * @seconds: the bound.
 * @held_s: the part of it that this host's kernel holds commands back; NVME_OFF: for ever.
 * @unsafe: not bounded, or held longer than it need be.
 * @controller: of all paths the one with the longest bound; "" without paths.
 * @cause: when @unsafe, the setting that makes it so, to follow the controller's name in a sentence; else "".
 */
struct late_write {
	bool fabric;
	bool bounded;
	unsigned seconds;
	int held_s;
	bool unsafe;
	char controller[32];
	char cause[96];
};

/** late_write_of_path() - the bound for one connection; @io_timeout_s: struct nvme_namespace */
void late_write_of_path(const struct nvme_controller *path, unsigned io_timeout_s, struct late_write *late);

/** late_write_of_namespace() - the longest over all its paths: a write goes by any of them */
void late_write_of_namespace(const struct nvme_namespace *ns, struct late_write *late);

/**
 * late_write_of_device() - the bound for a medium by its path, such as "/dev/nvme0n1" or a link to it
 * @root: "" or where a tree of sysfs is recorded.
 *
 * Return: whether it is a namespace, and @late says something; false: a file, another device, or nothing.
 */
bool late_write_of_device(const char *root, const char *path, struct late_write *late);

enum { LATE_SENTENCE = 320 };

/** late_write_sentence() - what is to be said of an @unsafe one, about @device; returns @text, LATE_SENTENCE bytes */
const char *late_write_sentence(const struct late_write *late, const char *device, char text[LATE_SENTENCE]);

#endif
