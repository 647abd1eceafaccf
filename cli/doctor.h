/* SPDX-License-Identifier: Apache-2.0 */
/* What doctor looks at: one function a medium, each of which tries things out and says what came of it. */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>

enum finding_state {
	FINDING_OK,	 /* it is there and works */
	FINDING_LACKS,	 /* the medium cannot be used (fully) without it */
	FINDING_INFO,	 /* neither good nor bad */
};

/**
 * struct finding - one thing that was tried
 * @medium: what it is for: "machine", "file", "memory", "block", "nvme-tcp", "nvme-rdma", "cxl", "gpu".
 * @what: the thing.
 * @said: what came of it.
 * @mend: a command that mends it; "" when there is nothing to mend, or no way.
 */
struct finding {
	const char *medium;
	const char *what;
	enum finding_state state;
	char said[256];
	char mend[192];
};

struct findings {
	struct finding finding[96];
	size_t count;
};

/** finding_add() - note one; @mend "" for none; @format: what came of it, printf style */
void finding_add(struct findings *all, const char *medium, const char *what, enum finding_state state, const char *mend,
		 const char *format, ...) __attribute__((format(printf, 6, 7)));

/* doctor_local.c */
void doctor_machine(struct findings *all);
void doctor_file(struct findings *all, const char *directory);
void doctor_memory(struct findings *all);
void doctor_block(struct findings *all);

/* doctor_fabric.c, doctor_rdma.c */
void doctor_nvme_tcp(struct findings *all);
void doctor_nvme_rdma(struct findings *all);

/** doctor_fabrics() - what every transport of NVMe over Fabrics needs */
void doctor_fabrics(struct findings *all, const char *medium);
void doctor_gpu(struct findings *all);

/* doctor_cxl.c */
void doctor_cxl(struct findings *all);

/** doctor_count() - how many entries a directory has whose names begin with @prefix; 0 when there is none */
size_t doctor_count(const char *directory, const char *prefix);

/** doctor_first() - the first entry of a directory by name; false: there is none */
bool doctor_first(const char *directory, char *name, size_t room);

/** doctor_read() - the first line of a small file; false: there is none */
bool doctor_read(const char *path, char *line, size_t room);

/** doctor_has_program() - is it to be found in $PATH, or where programs of root are? */
bool doctor_has_program(const char *name);

/** doctor_program() - note whether a program is there, which a Debian package brings */
void doctor_program(struct findings *all, const char *medium, const char *program, const char *package);

/** doctor_library() - can it be loaded? */
bool doctor_library(const char *name);

/**
 * doctor_module() - note whether a kernel module is there
 * @name: with underscores.
 *
 * Return: whether it is loaded or built in.
 */
bool doctor_module(struct findings *all, const char *medium, const char *name);

#endif
