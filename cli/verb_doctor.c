/* SPDX-License-Identifier: Apache-2.0 */
/* memkv doctor: prints what doctor_local.c and doctor_fabric.c find. */
#include "cli/doctor.h"
#include "cli/report.h"
#include "cli/verbs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const media[] = {"machine", "file", "memory", "block", "nvme-tcp", "nvme-rdma", "cxl", "gpu"};
#define MEDIA (sizeof(media) / sizeof(media[0]))

static const char *const states[] = {[FINDING_OK] = "ok", [FINDING_LACKS] = "lacks", [FINDING_INFO] = "info"};

/* Nothing that the medium needs is lacking. */
static bool is_ready(const struct findings *all, const char *medium)
{
	for (size_t i = 0; i < all->count; i++)
		if (!strcmp(all->finding[i].medium, medium) && all->finding[i].state == FINDING_LACKS)
			return false;
	return true;
}

static void print_json(const struct findings *all)
{
	struct json_object *document = report_document(), *list = json_object_new_array();

	for (size_t m = 0; m < MEDIA; m++) {
		struct json_object *one = json_object_new_object(), *findings = json_object_new_array();
		for (size_t i = 0; i < all->count; i++) {
			const struct finding *found = &all->finding[i];
			if (strcmp(found->medium, media[m]) != 0)
				continue;
			struct json_object *entry = json_object_new_object();
			report_add_text(entry, "what", found->what);
			report_add_text(entry, "state", states[found->state]);
			report_add_text(entry, "said", found->said);
			json_object_object_add(entry, "mend",
					       found->mend[0] ? json_object_new_string(found->mend) : NULL);
			json_object_array_add(findings, entry);
		}
		report_add_text(one, "medium", media[m]);
		report_add_flag(one, "ready", is_ready(all, media[m]));
		json_object_object_add(one, "findings", findings);
		json_object_array_add(list, one);
	}
	json_object_object_add(document, "media", list);
	report_print(document);
}

static void print_table(const struct findings *all)
{
	for (size_t m = 0; m < MEDIA; m++) {
		printf("%s%s\n", media[m], is_ready(all, media[m]) ? "" : ": not everything is there");
		for (size_t i = 0; i < all->count; i++) {
			const struct finding *found = &all->finding[i];
			if (strcmp(found->medium, media[m]) != 0)
				continue;
			printf("  %-5s  %-19s ", found->state == FINDING_INFO ? "" : states[found->state], found->what);
			report_safe_text(stdout, found->said);
			if (found->mend[0])
				printf("\n%29smend: %s", "", found->mend);
			putchar('\n');
		}
	}
}

int verb_doctor(const struct cli_args *args)
{
	const char *directory = args->words ? args->word[0].text : getenv("TMPDIR");
	struct findings *all;

	if (args->words > 1)
		return report_usage(args->verb, "'%s' is one word too many", args->word[1].text);
	all = calloc(1, sizeof(*all));
	if (!all)
		return report_failed(-ENOMEM, "out of memory");
	doctor_machine(all);
	doctor_file(all, directory && *directory ? directory : "/var/tmp");
	doctor_memory(all);
	doctor_block(all);
	doctor_nvme_tcp(all);
	doctor_nvme_rdma(all);
	doctor_cxl(all);
	doctor_gpu(all);
	if (report_json())
		print_json(all);
	else
		print_table(all);
	free(all);
	return EXIT_DONE;
}
