/* SPDX-License-Identifier: Apache-2.0 */
/* Which medium a path is. */
#include "core/media/media.h"

#include "core/base/log.h"
#include "core/media/late_write.h"

#include <sys/stat.h>

/* A connection that lets writes land late works, and makes everybody wait longer where waiting is what makes it safe. */
static void warn_of_late_writes(const char *path)
{
	char sentence[LATE_SENTENCE];
	struct late_write late;

	if (late_write_of_device("", path, &late) && late.unsafe)
		log_say("%s", late_write_sentence(&late, path, sentence));
}

int media_open(const char *path, unsigned flags, struct media **media)
{
	struct stat st;

	if (stat(path, &st) == 0) {
		if (S_ISBLK(st.st_mode)) {
			int err = media_block_open(path, flags, media);
			if (!err)
				warn_of_late_writes(path);
			return err;
		}
		if (media_is_dax(&st))
			return media_dax_open(path, flags, media);
	}
	return media_file_open(path, flags, media);
}
