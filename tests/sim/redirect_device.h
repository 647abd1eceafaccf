/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Included before core/media/media_block.c and block_open.c where these are compiled for the simulator: the device is device.c's.  Whole
 * blocks of the mirror are copied in two pieces instead of word by word, else nothing but that would be simulated.
 */
#ifndef MEMKV_TESTS_SIM_REDIRECT_DEVICE_H
#define MEMKV_TESTS_SIM_REDIRECT_DEVICE_H

#include "redirect.h"

#include "core/base/words.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int device_open(const char *path, int flags, ...);
int device_close(int fd);
ssize_t device_pread(int fd, void *to, size_t length, off_t offset);
ssize_t device_pwrite(int fd, const void *from, size_t length, off_t offset);
int device_ioctl(int fd, unsigned long request, void *to);
int device_fdatasync(int fd);
int device_fstat(int fd, struct stat *st);
int device_statx(int fd, const char *path, int flags, unsigned mask, struct statx *to);
int device_nanosleep(clockid_t clock, int flags, const struct timespec *time, struct timespec *rest);
void device_words_load(void *to, const void *from, size_t count);
void device_words_store(void *to, const void *from, size_t count);

#ifndef SIM_NO_REDIRECT
#define open device_open
#define close device_close
#define pread device_pread
#define pwrite device_pwrite
#define ioctl device_ioctl
#define fdatasync device_fdatasync
#define fstat(fd, to) device_fstat(fd, to)
#define statx(...) device_statx(__VA_ARGS__)
#define clock_nanosleep device_nanosleep
#define words_load device_words_load
#define words_store device_words_store
#endif

#endif
