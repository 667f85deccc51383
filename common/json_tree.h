/* JSON text to jansson's tree. SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_JSON_TREE_H
#define PAAS_JSON_TREE_H

#include <jansson.h>

#include <paas/err.h>

/* The tree of `len` bytes, which the caller gives back with json_decref. NULL with ERR_BAD_REQUEST
 * (line and column; or nested deeper than JSON_DEPTH_MAX) or ERR_NO_MEMORY. */
json_t *json_tree(const char *text, size_t len, struct err *err);

#endif
