/* SPDX-License-Identifier: Apache-2.0 */
/* Namespaces and their connections, in words and as JSON. */
#ifndef CLI_FABRIC_TEXT_H
#define CLI_FABRIC_TEXT_H

#include <json-c/json.h>
#include <memkv/fabric.h>

/** fabric_text_print() - one namespace, a line for each thing */
void fabric_text_print(const struct memkv_fabric_namespace *ns);

/** fabric_text_json() - the same as an object */
struct json_object *fabric_text_json(const struct memkv_fabric_namespace *ns);

#endif
