/* Builds the route table. SPDX-License-Identifier: Apache-2.0 */
#include "route_table.h"

#include <stdlib.h>
#include <string.h>

#include <paas/str.h>
#include <paas/stream.h>
#include <paas/wire.h>

#include "hash.h"

static bool target_set(struct route_target *target, const struct route *route) {
    const char *path = route->path[0] ? route->path : "/";
    if (!str_is_host(route->host) || path[0] != '/') {
        return false;
    }
    *target = (struct route_target){ .stopped = route->stopped };
    str_copy(target->host, sizeof target->host, route->host);
    str_copy(target->path, sizeof target->path, path);
    target->host_len = strlen(target->host);
    target->path_len = strlen(target->path);
    while (target->path_len > 1 && target->path[target->path_len - 1] == '/') {
        target->path[--target->path_len] = '\0';
    }
    app_key_set(&target->key, route->app, route->process[0] ? route->process : "web");
    return true;
}

/* By host, the longest path first, then by app: a total order, so that of two equal routes always
 * the same one wins. */
static int by_host(const void *left, const void *right) {
    const struct route_target *a = left, *b = right;
    int order = strcmp(a->host, b->host);
    if (order == 0 && a->path_len != b->path_len) {
        order = a->path_len > b->path_len ? -1 : 1;
    }
    order = order ? order : strcmp(a->path, b->path);
    order = order ? order : strcmp(a->key.app, b->key.app);
    return order ? order : strcmp(a->key.process, b->key.process);
}

static int index_hosts(struct route_table *t) {
    t->index_size = 16;
    while (t->index_size < t->count * 2) {
        t->index_size *= 2;
    }
    t->index = calloc(t->index_size, sizeof *t->index);
    if (!t->index) {
        return -1;
    }
    for (size_t i = 0; i < t->count; i++) {
        const struct route_target *target = &t->targets[i];
        if (i > 0 && strcmp(target->host, t->targets[i - 1].host) == 0) {
            continue;
        }
        size_t at = hash_bytes(HASH_START, target->host, target->host_len) & (t->index_size - 1);
        while (t->index[at]) {
            at = (at + 1) & (t->index_size - 1);
        }
        t->index[at] = (uint32_t)i + 1;
    }
    return 0;
}

static size_t count_lines(const char *lines, size_t len) {
    size_t count = 0;
    for (size_t i = 0; i < len; i++) {
        count += lines[i] == '\n';
    }
    return count + 1;
}

static int read_targets(
    struct route_table *t, const char *lines, size_t len, size_t *refused, struct err *err) {
    struct http_text line;
    while (stream_next_line(&lines, &len, &line)) {
        struct route route;
        if (line.len == 0) {
            continue;
        }
        if (json_decode(&route_json, line.at, line.len, &route, err) < 0) {
            return err_wrap(err, "routes");
        }
        if (target_set(&t->targets[t->count], &route)) {
            t->count++;
        } else {
            ++*refused;
        }
        json_free(&route_json, &route);
    }
    return 0;
}

struct route_table *route_table_build(
    const char *lines, size_t len, bool fresh, size_t *refused, struct err *err) {
    struct route_table *t = calloc(1, sizeof *t);
    *refused = 0;
    if (!t) {
        err_no_memory(err);
        return NULL;
    }
    t->refs = 1;
    t->fresh = fresh;
    t->targets = calloc(count_lines(lines, len), sizeof *t->targets);
    if (!t->targets) {
        err_no_memory(err);
    } else if (read_targets(t, lines, len, refused, err) == 0) {
        qsort(t->targets, t->count, sizeof *t->targets, by_host);
        if (index_hosts(t) == 0) {
            return t;
        }
        err_no_memory(err);
    }
    route_table_unref(t);
    return NULL;
}

struct route_table *route_table_ref(struct route_table *t) {
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void route_table_unref(struct route_table *t) {
    if (t && atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) == 1) {
        free(t->targets);
        free(t->index);
        free(t);
    }
}
