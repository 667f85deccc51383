/* Finds a request's route. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "hash.h"
#include "route_table.h"

static bool path_below(const struct route_target *target, struct http_text path) {
    size_t len = target->path_len;
    if (len == 1) {
        return true; /* "/", also for the target "*" */
    }
    return path.len >= len && memcmp(path.at, target->path, len) == 0 &&
           (path.len == len || path.at[len] == '/');
}

/* Lower case without a trailing dot (a rooted name is the same name); false when it can't be a
 * route's host. */
static bool host_fold(struct http_text host, char folded[HOST_SIZE], size_t *len) {
    if (host.len > 1 && host.at[host.len - 1] == '.') {
        host.len--;
    }
    if (host.len == 0 || host.len >= HOST_SIZE) {
        return false;
    }
    for (size_t i = 0; i < host.len; i++) {
        char c = host.at[i];
        folded[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    *len = host.len;
    return true;
}

const struct route_target *route_match(
    const struct route_table *t, struct http_text host, struct http_text path) {
    char folded[HOST_SIZE];
    size_t len;
    if (t->count == 0 || !host_fold(host, folded, &len)) {
        return NULL;
    }
    size_t at = hash_bytes(HASH_START, folded, len) & (t->index_size - 1);
    for (; t->index[at]; at = (at + 1) & (t->index_size - 1)) {
        size_t i = t->index[at] - 1;
        if (t->targets[i].host_len != len || memcmp(t->targets[i].host, folded, len) != 0) {
            continue;
        }
        for (; i < t->count && t->targets[i].host_len == len &&
               memcmp(t->targets[i].host, folded, len) == 0;
             i++) {
            if (path_below(&t->targets[i], path)) {
                return &t->targets[i];
            }
        }
        return NULL;
    }
    return NULL;
}
