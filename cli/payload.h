/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contents of a block that follow from its key alone, so that whoever reads it can check every byte.
 *
 * Word i is a bijection of (seed + (i + 1) * odd constant): two keys with different seeds differ in every word, and a
 * piece of a block at the wrong offset differs as well.  Only adds, shifts and XORs, so that it runs at the speed of
 * memory in any vector unit.  The bytes depend on the machine's byte order; that is fine for a test pattern.
 */
#ifndef CLI_PAYLOAD_H
#define CLI_PAYLOAD_H

#include <memkv/key.h>
#include <stddef.h>
#include <stdint.h>

/** payload_fill() - write the contents of @key's block, @length bytes, to @data */
void payload_fill(const struct memkv_key *key, void *data, size_t length);

/** payload_differences() - how many of the @length bytes at @data are not those of @key's block */
uint64_t payload_differences(const struct memkv_key *key, const void *data, size_t length);

#endif
