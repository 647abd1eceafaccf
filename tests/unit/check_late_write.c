/* SPDX-License-Identifier: Apache-2.0 */
/* How late a write can land, from recorded trees of sysfs and from every combination of settings. */
#include "core/base/log.h"
#include "core/media/late_write.h"

#include "unit.h"

#include <errno.h>
#include <memkv/error.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- trees ------------------------------------------------------------------------------------------------- */

static char root[64];

static void make_folders(char *path)
{
	for (char *c = path + 1; *c; c++) {
		if (*c != '/')
			continue;
		*c = '\0';
		if (mkdir(path, 0700))
			ck_assert_int_eq(errno, EEXIST);
		*c = '/';
	}
}

/* "path = value" is a file, "path -> path" a link */
static void make_entry(char *line)
{
	char path[512], target[512];
	char *link = strstr(line, " -> "), *value = strstr(line, " =");

	if (link) {
		*link = '\0';
		snprintf(target, sizeof(target), "%s/%s", root, link + 4);
	} else {
		*value = '\0';
	}
	snprintf(path, sizeof(path), "%s/%s", root, line);
	make_folders(path);
	if (link) {
		ck_assert_int_eq(symlink(target, path), 0);
		return;
	}
	FILE *file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	fprintf(file, "%s\n", value[2] ? value + 3 : "");
	fclose(file);
}

static void tree_make(const char *name)
{
	char path[512], line[1024];

	snprintf(root, sizeof(root), "/tmp/memkv-sysfs-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	if (!name)
		return;
	snprintf(path, sizeof(path), "%s/sysfs/%s.txt", UNIT_DIRECTORY, name);
	FILE *file = fopen(path, "r");
	ck_assert_msg(file != NULL, "%s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] != '#')
			make_entry(line);
	}
	fclose(file);
}

static void tree_remove(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", root);
	ck_assert_int_eq(system(command), 0);
}

static void change(const char *path, const char *value)
{
	char line[512];

	snprintf(line, sizeof(line), "%s = %s", path, value);
	make_entry(line);
}

START_TEST(native_multipath)
{
	struct nvme_namespace *list;
	struct late_write late;

	tree_make("native_multipath");
	ck_assert_int_eq(nvme_namespaces_list(root, &list), 1);
	ck_assert_str_eq(list[0].device, "nvme0n1");
	ck_assert_uint_eq(list[0].nsid, 1);
	ck_assert_uint_eq(list[0].bytes, 128 << 20);
	ck_assert_uint_eq(list[0].lba_bytes, 512);
	ck_assert_uint_eq(list[0].max_transfer, 1 << 20);
	ck_assert_uint_eq(list[0].io_timeout_s, 30); /* the module's: the device has no queue time-out of its own */
	ck_assert(list[0].write_back);
	ck_assert_str_eq(list[0].uuid, "09f796cc85e3443ab7598e968737a6a7");
	ck_assert_str_eq(list[0].nguid, "");
	ck_assert_uint_eq(list[0].paths, 3);
	const struct nvme_controller *rdma = &list[0].path[1];
	ck_assert_str_eq(rdma->name, "nvme1");
	ck_assert_str_eq(rdma->transport, "rdma");
	ck_assert_str_eq(rdma->address, "10.0.2.15");
	ck_assert_str_eq(rdma->port, "4420");
	ck_assert_str_eq(rdma->state, "live");
	ck_assert_str_eq(rdma->nqn, "nqn.2026-01.org.example:lab");
	ck_assert_int_eq(rdma->keep_alive_s, 7);
	ck_assert_int_eq(rdma->fast_io_fail_s, 20);
	ck_assert_int_eq(rdma->ctrl_loss_s, NVME_OFF);
	ck_assert_int_eq(rdma->reconnect_delay_s, 2);
	ck_assert_uint_eq(rdma->queues, 2);
	ck_assert_uint_eq(rdma->queue_depth, 128);
	late_write_of_namespace(&list[0], &late);
	ck_assert(late.fabric && late.bounded && late.unsafe);
	ck_assert_str_eq(late.controller, "nvme2"); /* the one with Linux's defaults decides for all */
	ck_assert_uint_eq(late.seconds, 30 + 600 + 2 * 5 + 30);
	ck_assert_str_eq(late.cause, "has fast_io_fail_tmo off and ctrl_loss_tmo 600");
	free(list);
	tree_remove();
}
END_TEST

START_TEST(separate_paths)
{
	static const struct {
		unsigned seconds;
		bool unsafe;
	} wanted[] = {{75, false}, {30 + 20 + 14 + 30, false}, {670, true}};
	struct nvme_namespace *list, one;
	struct late_write late;

	tree_make("separate_paths");
	ck_assert_int_eq(nvme_namespaces_list(root, &list), 3);
	for (int i = 0; i < 3; i++) {
		ck_assert_uint_eq(list[i].paths, 1);
		ck_assert_str_eq(list[i].uuid, list[0].uuid);
		late_write_of_namespace(&list[i], &late);
		ck_assert_uint_eq(late.seconds, wanted[i].seconds);
		ck_assert_int_eq(late.unsafe, wanted[i].unsafe);
	}
	free(list);
	ck_assert_int_eq(nvme_namespace_read(root, "nvme2n1", &one), 0);
	ck_assert_str_eq(one.path[0].name, "nvme2");
	ck_assert_int_eq(nvme_namespace_read(root, "nvme3n1", &one), -ENODEV);
	ck_assert_int_eq(nvme_namespace_read(root, "sda", &one), -ENODEV);
	ck_assert_int_eq(nvme_namespace_read(root, "nvme0n1p1", &one), -ENODEV);
	tree_remove();
}
END_TEST

START_TEST(what_a_connection_really_has)
{
	struct nvme_namespace ns;
	struct late_write late;

	tree_make("separate_paths");
	change("sys/devices/virtual/nvme-fabrics/ctl/nvme0/nvme0n1/queue/io_timeout", "4001");
	change("sys/devices/virtual/nvme-fabrics/ctl/nvme0/kato", "3");
	change("sys/devices/virtual/nvme-fabrics/ctl/nvme0/fast_io_fail_tmo", "9");
	ck_assert_int_eq(nvme_namespace_read(root, "nvme0n1", &ns), 0);
	late_write_of_namespace(&ns, &late);
	ck_assert_uint_eq(late.seconds, 5 + 9 + 2 * 3 + 30);
	ck_assert(!late.unsafe);
	change("sys/devices/virtual/nvme-fabrics/ctl/nvme0/fast_io_fail_tmo", "off");
	change("sys/devices/virtual/nvme-fabrics/ctl/nvme0/ctrl_loss_tmo", "off");
	ck_assert_int_eq(nvme_namespace_read(root, "nvme0n1", &ns), 0);
	late_write_of_namespace(&ns, &late);
	ck_assert(!late.bounded && late.unsafe);
	change("sys/devices/virtual/nvme-fabrics/ctl/nvme0/transport", "pcie");
	ck_assert_int_eq(nvme_namespace_read(root, "nvme0n1", &ns), 0);
	late_write_of_namespace(&ns, &late);
	ck_assert(!late.fabric && late.bounded && !late.unsafe);
	ck_assert_uint_eq(late.seconds, 0);
	tree_remove();
}
END_TEST

START_TEST(by_path)
{
	char node[128], other[128];
	struct late_write late;

	tree_make("native_multipath");
	change("dev/nvme0n1", "");
	change("dev/sda", "");
	snprintf(node, sizeof(node), "%s/dev/nvme0n1", root);
	ck_assert(late_write_of_device(root, node, &late));
	ck_assert_uint_eq(late.seconds, 670);
	snprintf(other, sizeof(other), "%s/dev/kv", root);
	ck_assert_int_eq(symlink(node, other), 0);
	ck_assert(late_write_of_device(root, other, &late));
	ck_assert_uint_eq(late.seconds, 670);
	snprintf(other, sizeof(other), "%s/dev/sda", root);
	ck_assert(!late_write_of_device(root, other, &late));
	ck_assert(!late_write_of_device(root, "/nowhere", &late));
	tree_remove();
}
END_TEST

START_TEST(controllers)
{
	struct nvme_controller *list;

	tree_make("native_multipath");
	ck_assert_int_eq(nvme_controllers_list(root, NULL, &list), 3);
	ck_assert_str_eq(list[2].name, "nvme2");
	free(list);
	ck_assert_int_eq(nvme_controllers_list(root, "nqn.2026-01.org.example:lab", &list), 3);
	free(list);
	ck_assert_int_eq(nvme_controllers_list(root, "nqn.2026-01.org.example:la", &list), 0);
	free(list);
	tree_remove();
	tree_make(NULL);
	struct nvme_namespace *none;
	ck_assert_int_eq(nvme_namespaces_list(root, &none), 0);
	ck_assert_int_eq(nvme_controllers_list(root, NULL, &list), 0);
	tree_remove();
}
END_TEST

/* ---- settings ---------------------------------------------------------------------------------------------- */

static struct late_write late_of(const char *transport, int keep_alive, int fast, int loss)
{
	struct nvme_controller c = {.name = "nvme5", .keep_alive_s = keep_alive, .fast_io_fail_s = fast, .ctrl_loss_s = loss};
	struct late_write late;

	snprintf(c.transport, sizeof(c.transport), "%s", transport);
	late_write_of_path(&c, 30, &late);
	return late;
}

START_TEST(every_combination)
{
	static const int values[] = {NVME_UNKNOWN, NVME_OFF, 0, 1, 5, 60, 61, 600};
	enum { VALUES = sizeof(values) / sizeof(values[0]) };

	for (int k = 0; k < VALUES; k++)
		for (int f = 0; f < VALUES; f++)
			for (int l = 0; l < VALUES; l++) {
				struct late_write late = late_of("tcp", values[k], values[f], values[l]);
				bool held = values[f] >= 0 || values[l] >= 0;
				ck_assert_int_eq(late.bounded, held && values[k] > 0);
				ck_assert(late.bounded || (late.unsafe && late.cause[0] && !late.seconds));
				if (!late.bounded)
					continue;
				unsigned shorter = values[f] < 0 ? (unsigned)values[l]
						   : values[l] < 0 || values[f] < values[l] ? (unsigned)values[f]
											    : (unsigned)values[l];
				ck_assert_uint_eq(late.seconds, 30 + shorter + 2 * (unsigned)values[k] + 30);
				ck_assert_int_eq(late.unsafe, values[f] < 0 || shorter > 60);
				ck_assert_int_eq(late.unsafe, late.cause[0] != '\0');
			}
}
END_TEST

START_TEST(a_path_without_bound_outweighs_all)
{
	struct nvme_namespace ns = {.io_timeout_s = 30, .paths = 3};
	struct late_write late;

	for (unsigned i = 0; i < 3; i++) {
		ns.path[i] = (struct nvme_controller){.transport = "rdma", .keep_alive_s = 5, .fast_io_fail_s = 5, .ctrl_loss_s = 60};
		snprintf(ns.path[i].name, sizeof(ns.path[i].name), "nvme%u", i);
	}
	late_write_of_namespace(&ns, &late);
	ck_assert_uint_eq(late.seconds, 75); /* what attach asks for */
	ck_assert(!late.unsafe);
	ns.path[1].keep_alive_s = 0;
	ns.path[2].fast_io_fail_s = 50;
	late_write_of_namespace(&ns, &late);
	ck_assert(!late.bounded);
	ck_assert_str_eq(late.controller, "nvme1");
	ns.paths = 0;
	late_write_of_namespace(&ns, &late);
	ck_assert(!late.fabric && late.bounded);
}
END_TEST

START_TEST(sentences)
{
	char text[LATE_SENTENCE];
	struct late_write late = late_of("tcp", 5, NVME_OFF, 600);

	ck_assert_str_eq(late_write_sentence(&late, "/dev/nvme0n1", text),
			 "/dev/nvme0n1, by nvme5, has fast_io_fail_tmo off and ctrl_loss_tmo 600: a write that is cut off can land up to "
			 "670 s later; attach it again to mend that");
	late = late_of("tcp", 5, NVME_OFF, NVME_OFF);
	ck_assert(strstr(late_write_sentence(&late, "/dev/nvme0n1", text), "can land at any time; attach") != NULL);
}
END_TEST

static int heard;

static void hear(void *context, const char *sentence)
{
	heard++;
	ck_assert_ptr_eq(context, &heard);
	ck_assert_str_eq(sentence, "one of 2 things");
}

START_TEST(log_is_heard)
{
	log_say("nobody asked");
	memkv_set_log(hear, &heard);
	log_say("one of %d things", 2);
	memkv_set_log(NULL, NULL);
	log_say("nobody asks any more");
	ck_assert_int_eq(heard, 1);
}
END_TEST

START_TEST(identities)
{
	struct nvme_namespace ns = {.uuid = "09f796cc85e3443ab7598e968737a6a7", .eui64 = "0025385b71b00d47"};
	char plain[36] = "";

	ck_assert_int_eq(nvme_identity_plain("09F796CC-85e3-443a-b759-8e968737a6a7", plain), 32);
	ck_assert(nvme_namespace_is(&ns, plain));
	ck_assert_int_eq(nvme_identity_plain("00 25 38 5b 71 b0 0d 47", plain), 16);
	ck_assert(nvme_namespace_is(&ns, plain));
	ck_assert_int_eq(nvme_identity_plain("00:25:38:5b:71:b0:0d:48", plain), 16);
	ck_assert(!nvme_namespace_is(&ns, plain));
	ck_assert(!nvme_namespace_is(&ns, ""));
	ck_assert_int_eq(nvme_identity_plain("09f796cc-85e3-443a-b759-8e968737a6a7f", plain), -EINVAL);
	ck_assert_int_eq(nvme_identity_plain("09f796cc", plain), -EINVAL);
	ck_assert_int_eq(nvme_identity_plain("", plain), -EINVAL);
	ck_assert_int_eq(nvme_identity_plain("g025385b71b00d47", plain), -EINVAL);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {native_multipath, separate_paths, what_a_connection_really_has, by_path, controllers, every_combination,
				      a_path_without_bound_outweighs_all, sentences, log_is_heard, identities, NULL};

	return unit_run("late_write", tests);
}
