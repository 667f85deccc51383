/* Host name and path to app: immutable, built aside, swapped whole. SPDX-License-Identifier:
 * Apache-2.0 */
#ifndef PAAS_PROXY_ROUTE_TABLE_H
#define PAAS_PROXY_ROUTE_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include <paas/err.h>
#include <paas/http_words.h>
#include <paas/model.h>

#include "rows.h"

/* Where requests of one host below one path go. */
struct route_target {
    char host[HOST_SIZE];
    char path[PATH_SIZE]; /* "/" for all */
    size_t host_len, path_len;
    struct app_key key;
    bool stopped;
};

struct route_table {
    _Atomic unsigned refs;
    bool fresh; /* from the scheduler; false: from the file of an earlier run */
    size_t count;
    struct route_target *targets; /* by host, then the longest path first */
    uint32_t *index;              /* 1 + the first target of a host, by the host's hash */
    size_t index_size;            /* a power of two */
};

/* Builds a table from the lines of a snapshot, each a route; routes that the checks refuse
 * (a host or path that is none) are left out and counted in *refused. NULL with *err filled when a
 * line is no route, or without memory. */
struct route_table *route_table_build(
    const char *lines, size_t len, bool fresh, size_t *refused, struct err *err);
struct route_table *route_table_ref(struct route_table *t);
void route_table_unref(struct route_table *t); /* NULL is fine */

/* The target for a host, without port, in any case, and a request's path; NULL when there is none.
 * A path matches whole segments: "/a" takes "/a" and "/a/b", not "/ab". */
const struct route_target *route_match(
    const struct route_table *t, struct http_text host, struct http_text path);

#endif
