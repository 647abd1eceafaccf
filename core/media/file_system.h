/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which file systems can carry a pool.  A free lock must prove that its holder is gone with all its writes, and one
 * page cache must be the truth for all: neither holds where other machines, or a process in between, serve the file.
 */
#ifndef MEMKV_MEDIA_FILE_SYSTEM_H
#define MEMKV_MEDIA_FILE_SYSTEM_H

#include <stdint.h>

/*
 * file_system_unfit() - is a file system of this kind unfit for pools that are written to?
 * @type: f_type of statfs().
 *
 * Return: its name for a sentence, such as "NFS"; NULL when it is fit, or unknown.
 */
const char *file_system_unfit(uint64_t type);

/*
 * file_system_check() - refuse what file_system_unfit() names
 * @path: for the sentence.
 * @where: what is asked: @path, or the directory that it would lie in.  What is not there passes.
 *
 * Return: 0, or MEMKV_NETWORK with a sentence.
 */
int file_system_check(const char *path, const char *where);

#endif
