/* SPDX-License-Identifier: Apache-2.0 */
/* See libnvme.h. */
#include "core/fabric/libnvme.h"

#include "core/base/fail.h"

#ifndef MEMKV_HAVE_LIBNVME

const struct libnvme *libnvme_load(void)
{
	fail(MEMKV_NO_FABRIC, "this memkv was built without libnvme and cannot attach over a network: build it where "
			      "libnvme-dev is installed, or attach with nvme-cli");
	return (const struct libnvme *)0;
}

#else

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

#define LIBRARY "libnvme.so.1"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct libnvme loaded;
static char wrong[200]; /* "" when it is loaded */

static void load(void)
{
	void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

	if (!handle) {
		snprintf(wrong, sizeof(wrong), LIBRARY " cannot be loaded: apt install libnvme1");
		return;
	}
#define LIBNVME_FIND(name)                                                                             \
	*(void **)&loaded.name = dlsym(handle, #name);                                                 \
	if (!loaded.name)                                                                              \
		snprintf(wrong, sizeof(wrong), LIBRARY " has no %s(): apt install libnvme1", #name);
	LIBNVME_FUNCTIONS(LIBNVME_FIND)
#undef LIBNVME_FIND
}

const struct libnvme *libnvme_load(void)
{
	pthread_once(&once, load);
	if (!wrong[0])
		return &loaded;
	fail(MEMKV_NO_FABRIC, "%s", wrong);
	return NULL;
}

#endif
