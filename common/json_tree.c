/* JSON text to jansson's tree. SPDX-License-Identifier: Apache-2.0 */
#include "json_tree.h"

#include <stdbool.h>

#include <paas/json_bind.h>

/* The parser recurses on nesting, so its depth is checked before it sees the text. */
static int check_depth(const char *text, size_t len, struct err *err) {
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (quoted) {
            if (c == '\\') {
                i++;
            } else if (c == '"') {
                quoted = false;
            }
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JSON_DEPTH_MAX) {
                return err_set(
                    err, ERR_BAD_REQUEST, "JSON is nested deeper than %d", JSON_DEPTH_MAX);
            }
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return 0;
}

json_t *json_tree(const char *text, size_t len, struct err *err) {
    json_error_t why;
    if (check_depth(text, len, err) < 0) {
        return NULL;
    }
    json_t *tree = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
    /* Without a place, or when it says so, it is memory that was missing. */
    if (!tree && (why.line < 0 || json_error_code(&why) == json_error_out_of_memory)) {
        err_no_memory(err);
    } else if (!tree) {
        err_set(err, ERR_BAD_REQUEST, "not JSON at line %d, column %d: %s", why.line, why.column,
            why.text);
    }
    return tree;
}
