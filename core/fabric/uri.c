/* SPDX-License-Identifier: Apache-2.0 */
/* See uri.h. */
#include "core/fabric/uri.h"

#include "core/base/fail.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <memkv/fabric.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static const char form[] = "nvme+tcp://ADDRESS[:PORT]/NQN[?nsid=N]";

bool fabric_uri_is(const char *text)
{
	return !strncmp(text, "nvme+", 5) || !strncmp(text, "nvme:", 5);
}

static const char *take_transport(const char *text, struct fabric_uri *uri)
{
	static const char *const known[] = {"tcp", "rdma"};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		size_t length = strlen(known[i]);
		if (strncmp(text, "nvme+", 5) || strncmp(text + 5, known[i], length) || strncmp(text + 5 + length, "://", 3))
			continue;
		memcpy(uri->transport, known[i], length + 1);
		return text + 5 + length + 3;
	}
	return NULL;
}

/* [::1] or anything up to ':', '/' or '?'; NULL: fail() was said */
static const char *take_address(const char *text, const char *at, struct fabric_uri *uri)
{
	struct in6_addr six;
	bool bracket = *at == '[';
	size_t length = bracket ? strcspn(++at, "]") : strcspn(at, ":/?");

	if (bracket && at[length] != ']') {
		fail(-EINVAL, "'%s': the bracket around the address is not closed", text);
		return NULL;
	}
	if (!bracket && at[length] == ':') {
		const char *end = at + strcspn(at, "/?");
		if (memchr(at + length + 1, ':', (size_t)(end - at) - length - 1)) {
			fail(-EINVAL, "'%s': an IPv6 address stands in brackets: nvme+tcp://[::1]:4420/NQN", text);
			return NULL;
		}
	}
	if (!length || length >= sizeof(uri->address)) {
		fail(-EINVAL, "'%s': the address is %s; the form is %s", text, length ? "too long" : "missing", form);
		return NULL;
	}
	snprintf(uri->address, sizeof(uri->address), "%.*s", (int)length, at);
	if (bracket && inet_pton(AF_INET6, uri->address, &six) != 1) {
		fail(-EINVAL, "'%s': '%s' is no IPv6 address%s", text, uri->address,
		     strchr(uri->address, '%') ? " (one with a zone cannot be used)" : "");
		return NULL;
	}
	for (const char *c = uri->address; !bracket && *c; c++) {
		if (isalnum((unsigned char)*c) || strchr(".-", *c))
			continue;
		fail(-EINVAL, "'%s': '%s' is no address: a character in it is none of letters, digits, '.' and '-'", text,
		     uri->address);
		return NULL;
	}
	return at + length + bracket;
}

static const char *take_port(const char *text, const char *at, struct fabric_uri *uri)
{
	size_t length = strcspn(++at, "/?");
	char *end;
	unsigned long port = isdigit((unsigned char)*at) ? strtoul(at, &end, 10) : 0;

	if (!isdigit((unsigned char)*at) || end != at + length) {
		fail(-EINVAL, "'%s': the port '%.*s' is not a number", text, (int)length, at);
		return NULL;
	}
	if (!port || port > 65535 || length > 5) {
		fail(-EINVAL, "'%s': the port %.*s is out of range, which is 1 to 65535", text, (int)length, at);
		return NULL;
	}
	snprintf(uri->port, sizeof(uri->port), "%lu", port);
	return at + length;
}

int fabric_nqn_check(const char *what, const char *nqn)
{
	size_t length = strlen(nqn);

	if (strncmp(nqn, "nqn.", 4))
		return fail(-EINVAL, "%s: '%s' is no NQN: those begin with \"nqn.\", as nqn.2026-01.org.example:pool does", what, nqn);
	if (length >= NVME_NQN_ROOM)
		return fail(-EINVAL, "%s: the NQN has %zu bytes, and at most %d are allowed", what, length, NVME_NQN_ROOM - 1);
	for (size_t i = 0; i < length; i++)
		if (!isgraph((unsigned char)nqn[i]) || nqn[i] == ',' || nqn[i] == '"')
			return fail(-EINVAL, "%s: character %zu of the NQN (%#x) cannot stand in one", what, i + 1, (unsigned char)nqn[i]);
	for (size_t i = 4; i < 12; i++) {
		char c = i < length ? nqn[i] : '\0';
		if (i == 8 ? c != '-' : i == 11 ? c != '.' : !isdigit((unsigned char)c))
			return fail(-EINVAL, "%s: '%s' is no NQN: a year, a month and a domain follow \"nqn.\", as in "
					     "nqn.2026-01.org.example:pool", what, nqn);
	}
	return 0;
}

static int take_query(const char *text, const char *query, struct fabric_uri *uri)
{
	char *end = NULL;

	if (strncmp(query, "nsid=", 5))
		return fail(-EINVAL, "'%s': '?%s' is not understood; only ?nsid=N is", text, query);
	unsigned long nsid = isdigit((unsigned char)query[5]) && strlen(query + 5) <= 10 ? strtoul(query + 5, &end, 10) : 0;
	if (!end || *end || !nsid || nsid >= 0xffffffff)
		return fail(-EINVAL, "'%s': '%s' is no number of a namespace, which are 1 to 4294967294", text, query + 5);
	uri->nsid = (uint32_t)nsid;
	return 0;
}

int fabric_uri_parse(const char *text, struct fabric_uri *uri)
{
	*uri = (struct fabric_uri){0};
	const char *at = take_transport(text, uri);

	if (!at)
		return fail(-EINVAL, "'%s' does not begin with nvme+tcp:// or nvme+rdma://; the form is %s", text, form);
	at = take_address(text, at, uri);
	if (at && *at == ':')
		at = take_port(text, at, uri);
	if (!at)
		return -EINVAL;
	if (*at && *at != '/' && *at != '?')
		return fail(-EINVAL, "'%s': '%s' behind the address is not understood; the form is %s", text, at, form);
	if (*at == '/' && at[1] && at[1] != '?') {
		size_t length = strcspn(++at, "?");
		char nqn[512];
		snprintf(nqn, sizeof(nqn), "%.*s", length < sizeof(nqn) ? (int)length : (int)sizeof(nqn) - 1, at);
		if (fabric_nqn_check(text, nqn))
			return -EINVAL;
		snprintf(uri->nqn, sizeof(uri->nqn), "%.*s", NVME_NQN_ROOM - 1, nqn);
		at += length;
	} else if (*at == '/') {
		at++;
	}
	return *at == '?' ? take_query(text, at + 1, uri) : 0;
}

int memkv_fabric_check(const char *uri, int with_nqn)
{
	struct fabric_uri parsed;

	if (!uri)
		return fail(-EINVAL, "memkv_fabric_check(): there is no URI");
	int err = fabric_uri_parse(uri, &parsed);
	if (!err && with_nqn && !parsed.nqn[0])
		err = fail(-EINVAL, "'%s' names no subsystem: its NQN belongs behind the address; 'memkv discover' lists them", uri);
	if (!err && !with_nqn && (parsed.nqn[0] || parsed.nsid))
		err = fail(-EINVAL, "'%s' names a subsystem; to discover, give the address alone", uri);
	return err;
}

int fabric_uri_resolve(struct fabric_uri *uri)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
	char name[sizeof(uri->address)];

	int err = getaddrinfo(uri->address, NULL, &hints, &found);
	if (err)
		return fail(-EHOSTUNREACH, "the address of '%s' cannot be found: %s", uri->address, gai_strerror(err));
	err = getnameinfo(found->ai_addr, found->ai_addrlen, name, sizeof(name), NULL, 0, NI_NUMERICHOST);
	freeaddrinfo(found);
	if (err)
		return fail(-EHOSTUNREACH, "the address of '%s' cannot be told: %s", uri->address, gai_strerror(err));
	memcpy(uri->address, name, sizeof(name));
	return 0;
}

bool fabric_same_address(const char *a, const char *b)
{
	unsigned char one[16], other[16];

	if (inet_pton(AF_INET6, a, one) == 1 && inet_pton(AF_INET6, b, other) == 1)
		return !memcmp(one, other, sizeof(one));
	return !strcmp(a, b);
}
