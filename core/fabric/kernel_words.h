/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why the kernel did not connect.  It answers most failures with EIO and writes the reason to its log, so that is where
 * the reason is taken from: lines about NVMe that appeared meanwhile.
 */
#ifndef MEMKV_FABRIC_KERNEL_WORDS_H
#define MEMKV_FABRIC_KERNEL_WORDS_H

#include <stddef.h>

enum kernel_reason {
	REASON_UNKNOWN,	       /* no line that is understood */
	REASON_HOST_REFUSED,   /* the target's list of hosts */
	REASON_NO_SUBSYSTEM,   /* no such NQN there */
	REASON_AUTHENTICATION, /* keys are wrong or missing */
	REASON_TLS,	       /* no key for TLS, or nobody who shakes hands for the kernel */
	REASON_NO_TRANSPORT,   /* no driver for it */
	REASON_OPTION,	       /* an option that this kernel does not know */
	REASON_ADDRESS,	       /* struct kernel_words.error says why */
};

/**
 * struct kernel_words - what the log said
 * @reason: the first line that is understood.
 * @error: with REASON_ADDRESS: the -errno in it.
 * @line: that line, or the last one about NVMe, without its prefix; "" when there was none.
 */
struct kernel_words {
	enum kernel_reason reason;
	int error;
	char line[200];
};

/** kernel_log_open() - from now on; a descriptor, or -1: it may not be read (then there are no words) */
int kernel_log_open(void);

/** kernel_log_close() - what appeared since; @log: from kernel_log_open(), closed here */
void kernel_log_close(int log, struct kernel_words *words);

/** kernel_words_take() - understand one line, as the log has it without its header; the first understood one stays */
void kernel_words_take(struct kernel_words *words, const char *line);

#endif
