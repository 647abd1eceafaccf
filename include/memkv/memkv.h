/* SPDX-License-Identifier: Apache-2.0 */
/* Everything memkv offers. */
#ifndef MEMKV_MEMKV_H
#define MEMKV_MEMKV_H

#include <memkv/error.h>
#include <memkv/fabric.h>
#include <memkv/hold.h>
#include <memkv/host.h>
#include <memkv/key.h>
#include <memkv/locator.h>
#include <memkv/namespace.h>
#include <memkv/pin.h>
#include <memkv/pool.h>
#include <memkv/timed.h>

#endif
