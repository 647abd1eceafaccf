/* SPDX-License-Identifier: Apache-2.0 */
/* See kernel_words.h.  The lines are those of drivers/nvme/host (fabrics.c, tcp.c, rdma.c, auth.c), Linux 6.1 to 6.12. */
#include "core/fabric/kernel_words.h"

#include "core/base/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
	const char *text;
	enum kernel_reason reason;
} known[] = {
	{"is not allowed, hostnqn", REASON_HOST_REFUSED},
	{"Connect Invalid Data Parameter, subsysnqn", REASON_NO_SUBSYSTEM},
	{"Connect Invalid Data Parameter, hostnqn", REASON_HOST_REFUSED},
	{"authentication", REASON_AUTHENTICATION},
	{"no valid PSK found", REASON_TLS},
	{"failed to start TLS", REASON_TLS},
	{"TLS handshake failed", REASON_TLS},
	{"no handler found for transport", REASON_NO_TRANSPORT},
	{"unknown parameter or missing value", REASON_OPTION},
};

/* what stands before an -errno in the lines about addresses */
static const char *const address_errors[] = {
	"failed to connect socket: ",
	"rdma connection establishment failed (",
	"rdma_resolve_addr failed (",
	"rdma_resolve_route failed (",
};

void kernel_words_take(struct kernel_words *words, const char *line)
{
	if (words->reason != REASON_UNKNOWN || !strstr(line, "nvme"))
		return;
	for (size_t i = 0; i < ARRAY_COUNT(known); i++)
		if (strstr(line, known[i].text))
			words->reason = known[i].reason;
	for (size_t i = 0; i < ARRAY_COUNT(address_errors); i++) {
		const char *at = strstr(line, address_errors[i]);
		int error = at ? atoi(at + strlen(address_errors[i])) : 0;
		if (error >= 0)
			continue;
		words->reason = REASON_ADDRESS;
		words->error = error;
	}
	/* such a line repeats the option with its value, which may be a key */
	snprintf(words->line, sizeof(words->line), "%s", words->reason == REASON_OPTION ? "" : line);
}

int kernel_log_open(void)
{
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (log >= 0 && lseek(log, 0, SEEK_END) < 0) {
		close(log);
		log = -1;
	}
	return log;
}

void kernel_log_close(int log, struct kernel_words *words)
{
	char record[8192];
	ssize_t got;

	*words = (struct kernel_words){0};
	if (log < 0)
		return;
	/* one record a read; EPIPE: some were lost, the next read goes on behind them */
	while ((got = read(log, record, sizeof(record) - 1)) > 0 || (got < 0 && errno == EPIPE)) {
		if (got < 0)
			continue;
		record[got] = '\0';
		record[strcspn(record, "\n")] = '\0';
		const char *text = strchr(record, ';');
		if (text)
			kernel_words_take(words, text + 1);
	}
	close(log);
}
