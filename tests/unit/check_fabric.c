/* SPDX-License-Identifier: Apache-2.0 */
/* URIs taken apart, the kernel's words understood, options checked: what of attaching needs no fabric. */
#include "core/fabric/kernel_words.h"
#include "core/fabric/session.h"
#include "core/fabric/uri.h"

#include "unit.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define NQN "nqn.2026-01.org.example:kv"

START_TEST(good_uris)
{
	static const struct {
		const char *text, *transport, *address, *port, *nqn;
		uint32_t nsid;
	} good[] = {
		{"nvme+tcp://192.0.2.7:4420/" NQN, "tcp", "192.0.2.7", "4420", NQN, 0},
		{"nvme+rdma://192.0.2.7/" NQN, "rdma", "192.0.2.7", "", NQN, 0},
		{"nvme+tcp://[2001:db8::7]:65535/" NQN "?nsid=4294967294", "tcp", "2001:db8::7", "65535", NQN, 4294967294},
		{"nvme+tcp://[::1]/" NQN, "tcp", "::1", "", NQN, 0},
		{"nvme+tcp://storage-1.example:1/" NQN "?nsid=1", "tcp", "storage-1.example", "1", NQN, 1},
		{"nvme+tcp://192.0.2.7:8009", "tcp", "192.0.2.7", "8009", "", 0},
		{"nvme+tcp://192.0.2.7/", "tcp", "192.0.2.7", "", "", 0},
		{"nvme+tcp://h/nqn.2014-08.org.nvmexpress:uuid:1/2", "tcp", "h", "", "nqn.2014-08.org.nvmexpress:uuid:1/2", 0},
	};
	struct fabric_uri uri;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		ck_assert_msg(fabric_uri_parse(good[i].text, &uri) == 0, "%s: %s", good[i].text, memkv_error_detail());
		ck_assert_str_eq(uri.transport, good[i].transport);
		ck_assert_str_eq(uri.address, good[i].address);
		ck_assert_str_eq(uri.port, good[i].port);
		ck_assert_str_eq(uri.nqn, good[i].nqn);
		ck_assert_uint_eq(uri.nsid, good[i].nsid);
	}
}
END_TEST

/* Whatever the text, the parts stay within bounds and carry nothing that the kernel's option string would cut at. */
START_TEST(any_uri)
{
	static const char letters[] = "nvme+tcprdma:/[]?=,nsid01.:-%@\"\n x";
	struct fabric_uri uri;
	uint64_t state = 7;
	int taken = 0;

	for (int run = 0; run < 200000; run++) {
		char text[128] = "nvme+tcp://";
		size_t begin = run % 4 ? 11 : 0, length = random_next(&state) % 60;
		if (run % 8 == 1)
			begin += (size_t)sprintf(text + begin, "192.0.2.7/nqn.2026-01.a");
		for (size_t i = 0; i < length; i++)
			text[begin + i] = letters[random_next(&state) % (sizeof(letters) - 1)];
		if (fabric_uri_parse(text, &uri))
			continue;
		taken++;
		ck_assert(!strpbrk(uri.address, ", /?\n\"") && !strpbrk(uri.nqn, ", \n\"") && strlen(uri.port) <= 5);
		ck_assert(!strcmp(uri.transport, "tcp") || !strcmp(uri.transport, "rdma"));
	}
	ck_assert_int_gt(taken, 100);
}
END_TEST

START_TEST(kernel_lines)
{
	static const struct {
		const char *line;
		enum kernel_reason reason;
		int error;
	} lines[] = {
		{"nvme nvme0: failed to connect socket: -111", REASON_ADDRESS, -ECONNREFUSED},
		{"nvme nvme0: failed to connect socket: -110", REASON_ADDRESS, -ETIMEDOUT},
		{"nvme nvme0: Connect Invalid Data Parameter, subsysnqn \"" NQN "\"", REASON_NO_SUBSYSTEM, 0},
		{"nvme nvme0: Connect for subsystem " NQN " is not allowed, hostnqn: nqn.2014-08.org:x", REASON_HOST_REFUSED, 0},
		{"nvme nvme1: rdma connection establishment failed (-104)", REASON_ADDRESS, -ECONNRESET},
		{"nvme nvme1: rdma_resolve_addr failed (-19).", REASON_ADDRESS, -ENODEV},
		{"nvme_fabrics: no handler found for transport rdma.", REASON_NO_TRANSPORT, 0},
		{"nvme_fabrics: unknown parameter or missing value 'tls' in ctrl creation request", REASON_OPTION, 0},
		{"nvme nvme0: qid 0: authentication failed", REASON_AUTHENTICATION, 0},
		{"nvme nvme0: no valid PSK found", REASON_TLS, 0},
		{"nvme nvme0: queue 0: failed to start TLS: -3", REASON_TLS, 0},
		{"nvme nvme0: queue 0: TLS handshake failed, error -110", REASON_TLS, 0},
		{"nvme nvme0: creating 2 I/O queues.", REASON_UNKNOWN, 0},
		{"sshd: failed to connect socket: -111", REASON_UNKNOWN, 0},
	};
	struct kernel_words words;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		words = (struct kernel_words){0};
		kernel_words_take(&words, lines[i].line);
		ck_assert_msg(words.reason == lines[i].reason, "%s: %d", lines[i].line, words.reason);
		ck_assert_int_eq(words.error, lines[i].error);
	}
	words = (struct kernel_words){0};
	kernel_words_take(&words, "nvme nvme0: Connect for subsystem x is not allowed, hostnqn: y");
	kernel_words_take(&words, "nvme nvme0: failed to connect queue: 0 ret=16772");
	ck_assert_int_eq(words.reason, REASON_HOST_REFUSED);
	words = (struct kernel_words){0};
	kernel_words_take(&words, "nvme_fabrics: unknown parameter or missing value 'dhchap_secret=DHHC-1:00:key:' in ctrl");
	ck_assert_str_eq(words.line, ""); /* a key is not kept */
}
END_TEST

#define KEY "DHHC-1:00:ia6zGodOr4SEG0Zzaw398rpY0wqipUWj4jWjUh4HWUz6aQ2n:"

START_TEST(options)
{
	struct memkv_fabric_options o, given = {.size = sizeof(given)};

	ck_assert_int_eq(fabric_options_take(&o, NULL, "f"), 0);
	ck_assert_int_eq(o.keep_alive_s, 5);
	ck_assert_int_eq(o.fast_io_fail_s, 5);
	ck_assert_int_eq(o.loss_timeout_s, 60);
	ck_assert_int_eq(o.reconnect_delay_s, 2);
#define REFUSED(member, value, word)                                                        \
	do {                                                                                \
		given = (struct memkv_fabric_options){.size = sizeof(given), .member = (value)}; \
		ck_assert_int_eq(fabric_options_take(&o, &given, "f"), -EINVAL);            \
		ck_assert_msg(strstr(memkv_error_detail(), word), "%s", memkv_error_detail()); \
	} while (0)
	REFUSED(keep_alive_s, MEMKV_FABRIC_OFF, "cannot be off");
	REFUSED(reconnect_delay_s, MEMKV_FABRIC_OFF, "cannot be off");
	REFUSED(fast_io_fail_s, -2, "out of range");
	REFUSED(loss_timeout_s, 86401, "out of range");
	REFUSED(queue_depth, 15, "queue depth");
	REFUSED(queue_depth, 1025, "queue depth");
	REFUSED(io_queues, 1025, "I/O queues");
	REFUSED(flags, 1 << 9, "no such flag");
	REFUSED(host_nqn, "nqn.2026-01.a,b", "host NQN");
	REFUSED(host_id, "11111111-2222", "no UUID");
	REFUSED(host_id, "11111111-2222-3333-4444-55555555555,", "no UUID");
	REFUSED(dhchap_secret, "hunter2hunter2hunter2hunter2", "the secret");
	ck_assert(!strstr(memkv_error_detail(), "hunter2"));
	REFUSED(dhchap_secret, "DHHC-1:00:abcd,traddr=1:", "the secret");
	REFUSED(dhchap_ctrl_secret, KEY, "not enough");
	given = (struct memkv_fabric_options){.size = sizeof(given), .dhchap_secret = KEY, .dhchap_ctrl_secret = KEY,
					      .fast_io_fail_s = MEMKV_FABRIC_OFF, .loss_timeout_s = MEMKV_FABRIC_OFF,
					      .host_id = "11111111-2222-3333-4444-555555555555"};
	ck_assert_msg(fabric_options_take(&o, &given, "f") == 0, "%s", memkv_error_detail());
	ck_assert_int_eq(o.fast_io_fail_s, MEMKV_FABRIC_OFF);
}
END_TEST

START_TEST(addresses)
{
	struct fabric_uri uri = {.address = "127.0.0.1"};

	ck_assert(fabric_same_address("2001:db8::7", "2001:0db8:0:0::7"));
	ck_assert(!fabric_same_address("2001:db8::7", "2001:db8::8"));
	ck_assert(fabric_same_address("192.0.2.7", "192.0.2.7") && !fabric_same_address("192.0.2.7", "192.0.2.70"));
	ck_assert_int_eq(fabric_uri_resolve(&uri), 0);
	ck_assert_str_eq(uri.address, "127.0.0.1");
	snprintf(uri.address, sizeof(uri.address), "no-such-host.invalid");
	ck_assert_int_eq(fabric_uri_resolve(&uri), -EHOSTUNREACH);
	ck_assert(strstr(memkv_error_detail(), "no-such-host.invalid") != NULL);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {good_uris, any_uri, kernel_lines, options, addresses, NULL};

	return unit_run("fabric", tests);
}
