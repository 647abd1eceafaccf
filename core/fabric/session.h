/* SPDX-License-Identifier: Apache-2.0 */
/* One use of libnvme: loaded, this host's identity known, ready to connect; and the sentence when it does not. */
#ifndef MEMKV_FABRIC_SESSION_H
#define MEMKV_FABRIC_SESSION_H

#include "core/fabric/libnvme.h"
#include "core/fabric/uri.h"
#include <memkv/fabric.h>
#include <stdio.h>

/** fabric_options_take() - @given, or defaults, with defaults filled in and everything checked; 0 or with a sentence */
int fabric_options_take(struct memkv_fabric_options *into, const struct memkv_fabric_options *given, const char *call);

/**
 * fabric_ready() - does this machine have what connecting by @uri's transport takes?
 *
 * Return: 0; MEMKV_NO_FABRIC or -EACCES, -EPERM with a sentence that names what is missing, and the mend.
 */
int fabric_ready(const struct fabric_uri *uri, const struct memkv_fabric_options *options);

#ifdef MEMKV_HAVE_LIBNVME

struct fabric_session {
	const struct libnvme *lib;
	nvme_root_t root;
	nvme_host_t host;
	FILE *log; /* libnvme's own messages go nowhere: the sentences are ours */
};

/** fabric_session_begin() - 0, or a negative code with a sentence; end with fabric_session_end() */
int fabric_session_begin(struct fabric_session *session, const struct memkv_fabric_options *options);
void fabric_session_end(struct fabric_session *session);

/**
 * fabric_session_connect() - make a controller
 * @nqn: the subsystem's, or the discovery service's.
 * @ctrl: receives it; it stays connected when the session ends.
 *
 * Return: 0, or a negative code with a sentence as of memkv_fabric_attach().
 */
int fabric_session_connect(struct fabric_session *session, const struct fabric_uri *uri, const char *nqn,
			   const struct memkv_fabric_options *options, nvme_ctrl_t *ctrl);

/** fabric_session_disconnect() - take the controller @name ("nvme0") away; 0 or -errno with a sentence */
int fabric_session_disconnect(struct fabric_session *session, const char *name);

#endif
#endif
