/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for libnvme.so.1 where the kernel has no fabric: connects and disconnects by running $FAKE_NVME_SCRIPT
 * ("connect TRANSPORT ADDRESS PORT NQN", "disconnect NAME"), whose exit status is an errno or 200 + the instance.
 * The options that the kernel would get are appended to $FAKE_NVME_LOG.
 */
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#include <errno.h>
#include <libnvme.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

struct nvme_host {
	char nqn[256], id[64], key[256];
};

struct nvme_ctrl {
	char name[32], nqn[256], transport[16], address[256], port[16], key[256];
};

struct nvme_root {
	struct nvme_host host;
};

/* a controller that is connected belongs to the tree, any other to whoever made it */
static nvme_ctrl_t of_tree[16];
static int of_tree_count;

nvme_root_t nvme_create_root(FILE *file, int level) { return calloc(1, sizeof(struct nvme_root)); }
void nvme_free_tree(nvme_root_t root)
{
	while (of_tree_count)
		free(of_tree[--of_tree_count]);
	free(root);
}
void nvme_free_ctrl(nvme_ctrl_t c) { free(c); }
const char *nvme_ctrl_get_name(nvme_ctrl_t c) { return c->name[0] ? c->name : NULL; }
void nvme_host_set_dhchap_key(nvme_host_t h, const char *key) { snprintf(h->key, sizeof(h->key), "%s", key); }
void nvme_ctrl_set_dhchap_key(nvme_ctrl_t c, const char *key) { snprintf(c->key, sizeof(c->key), "%s", key); }
char *nvmf_hostnqn_generate(void) { return NULL; }

static char *first_line(const char *path)
{
	char line[256] = "";
	FILE *file = fopen(path, "r");

	if (!file)
		return NULL;
	bool got = fgets(line, sizeof(line), file) != NULL;
	fclose(file);
	line[strcspn(line, "\n")] = '\0';
	return got ? strdup(line) : NULL;
}

char *nvmf_hostnqn_from_file(void) { return first_line("/etc/nvme/hostnqn"); }
char *nvmf_hostid_from_file(void) { return first_line("/etc/nvme/hostid"); }

nvme_host_t nvme_lookup_host(nvme_root_t root, const char *nqn, const char *id)
{
	snprintf(root->host.nqn, sizeof(root->host.nqn), "%s", nqn);
	snprintf(root->host.id, sizeof(root->host.id), "%s", id ? id : "-");
	return &root->host;
}

nvme_ctrl_t nvme_create_ctrl(nvme_root_t root, const char *nqn, const char *transport, const char *address,
			     const char *host_address, const char *host_iface, const char *port)
{
	nvme_ctrl_t c = calloc(1, sizeof(*c));

	snprintf(c->nqn, sizeof(c->nqn), "%s", nqn);
	snprintf(c->transport, sizeof(c->transport), "%s", transport);
	snprintf(c->address, sizeof(c->address), "%s", address);
	snprintf(c->port, sizeof(c->port), "%s", port);
	return c;
}

void nvmf_default_config(struct nvme_fabrics_config *cfg)
{
	memset(cfg, 0, sizeof(*cfg));
	cfg->tos = -1;
	cfg->ctrl_loss_tmo = NVMF_DEF_CTRL_LOSS_TMO;
}

static int run(const char *format, const char *a, const char *b, const char *c, const char *d)
{
	char command[2048];

	int length = snprintf(command, sizeof(command), "%s ", getenv("FAKE_NVME_SCRIPT"));
	snprintf(command + length, sizeof(command) - (size_t)length, format, a, b, c, d);
	int status = system(command);
	return WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
}

int nvmf_add_ctrl(nvme_host_t h, nvme_ctrl_t c, const struct nvme_fabrics_config *cfg)
{
	FILE *log = fopen(getenv("FAKE_NVME_LOG"), "a");

	if (log) {
		fprintf(log, "%s host=%s id=%s queues=%d depth=%d kato=%d delay=%d loss=%d fast=%d tls=%d key=%s ctrl_key=%s\n", c->nqn,
			h->nqn, h->id, cfg->nr_io_queues, cfg->queue_size, cfg->keep_alive_tmo, cfg->reconnect_delay,
			cfg->ctrl_loss_tmo, cfg->fast_io_fail_tmo, cfg->tls, h->key, c->key);
		fclose(log);
	}
	int status = run("connect %s %s %s %s", c->transport, c->address, c->port, c->nqn);
	if (status >= 200) {
		of_tree[of_tree_count++] = c;
		snprintf(c->name, sizeof(c->name), "nvme%d", status - 200);
		return 0;
	}
	errno = status == ECONNREFUSED ? ENVME_CONNECT_CONNREFUSED : ENVME_CONNECT_WRITE;
	return -1;
}

int nvme_init_ctrl(nvme_host_t h, nvme_ctrl_t c, int instance)
{
	of_tree[of_tree_count++] = c;
	snprintf(c->name, sizeof(c->name), "nvme%d", instance);
	return 0;
}

int nvme_disconnect_ctrl(nvme_ctrl_t c)
{
	return run("disconnect %s", c->name, "", "", "") ? -1 : 0;
}

const char *nvmf_trtype_str(__u8 type)
{
	return type == NVMF_TRTYPE_TCP ? "tcp" : type == NVMF_TRTYPE_RDMA ? "rdma" : "unrecognized";
}

/* Fields are filled up as targets do it: one with blanks, one with zeros, one to its very end. */
int nvmf_get_discovery_log(nvme_ctrl_t c, struct nvmf_discovery_log **log, int tries)
{
	struct nvmf_discovery_log *made = calloc(1, sizeof(*made) + 3 * sizeof(made->entries[0]));

	made->numrec = htole64(3);
	for (int i = 0; i < 3; i++) {
		struct nvmf_disc_log_entry *e = &made->entries[i];
		e->trtype = i == 1 ? NVMF_TRTYPE_RDMA : NVMF_TRTYPE_TCP;
		e->subtype = i == 2 ? NVME_NQN_CURR : NVME_NQN_NVME;
		e->treq = i == 1 ? NVMF_TREQ_REQUIRED : 0;
		memset(e->traddr, i == 0 ? ' ' : 0, sizeof(e->traddr));
		memset(e->trsvcid, i == 0 ? ' ' : 0, sizeof(e->trsvcid));
		memcpy(e->traddr, i == 1 ? "2001:db8::7" : "192.0.2.7", i == 1 ? 11 : 9);
		memcpy(e->trsvcid, "4420", 4);
		memset(e->subnqn, i == 2 ? 'n' : 0, sizeof(e->subnqn));
		if (i < 2)
			strcpy(e->subnqn, "nqn.2026-01.org.example:kv");
	}
	*log = made;
	return 0;
}

int nvme_identify(struct nvme_identify_args *args)
{
	memset(args->data, 0, 4096);
	if (args->cns == NVME_IDENTIFY_CNS_CTRL) {
		struct nvme_id_ctrl *id = args->data;
		id->mdts = 8;
		id->vwc = 1;
		id->awun = htole16(3);
	} else {
		struct nvme_id_ns *ns = args->data;
		ns->nsfeat = 2;
		ns->nawupf = htole16(7);
	}
	return 0;
}
