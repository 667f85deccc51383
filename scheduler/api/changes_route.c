/* Changes of routes. SPDX-License-Identifier: Apache-2.0 */
#include "changes.h"

#include <stdlib.h>
#include <string.h>

#include <paas/str.h>
#include <paas/wire.h>

static bool same_route(const struct route_request *route, const char *host, const char *path) {
    return strcmp(route->host, host) == 0 && strcmp(route->path, path) == 0;
}

static bool holds_route(const struct app_row *row, const char *host, const char *path) {
    const struct route_request *routes = row->routes.items;
    for (size_t i = 0; i < row->routes.count; i++) {
        if (same_route(&routes[i], host, path)) {
            return true;
        }
    }
    return false;
}

/* The other app that has this host and path; NULL: none. */
static const char *route_owner(
    const struct intent *intent, const char *app, const char *host, const char *path) {
    for (size_t i = 0; i < intent->staged_count; i++) {
        const struct app_row *row = intent->staged[i].row;
        if (row && strcmp(row->name, app) != 0 && intent_newest(intent, row->name) == row &&
            holds_route(row, host, path)) {
            return row->name;
        }
    }
    MAP_FOREACH (e, &intent->apps) {
        const struct app_row *row = e->value;
        if (strcmp(row->name, app) != 0 && intent_newest(intent, row->name) == row &&
            holds_route(row, host, path)) {
            return row->name;
        }
    }
    return NULL;
}

static int check_route(const char *host, const char *path, struct err *err) {
    if (!str_is_host(host)) {
        return err_set(
            err, ERR_BAD_VALUE, "host: \"%.100s\" is not a host name in lower case", host);
    }
    if (path[0] != '/' || strstr(path, "//") || strpbrk(path, "?#%\\ ") || strstr(path, "/../")) {
        return err_set(err, ERR_BAD_VALUE, "path: \"%.100s\" is not a plain path", path);
    }
    for (const char *p = path; *p; p++) {
        if ((unsigned char)*p < 0x21 || (unsigned char)*p > 0x7e) {
            return err_set(err, ERR_BAD_VALUE, "path: only visible ASCII is allowed");
        }
    }
    return 0;
}

/* Adds a route unless the app has it. */
int change_add_route(struct intent *intent, struct app_row *row, const char *host, const char *path,
    struct err *err) {
    if (holds_route(row, host, path)) {
        return 0;
    }
    if (check_route(host, path, err) < 0) {
        return -1;
    }
    const char *owner = route_owner(intent, row->name, host, path);
    if (owner) {
        err_set(err, ERR_CONFLICT, "%s%s belongs to app \"%s\"", host,
            strcmp(path, "/") == 0 ? "" : path, owner);
        return err_hint(err, "paas route rm %s %s gives it up", owner, host);
    }
    if (row->routes.count >= ROUTES_PER_APP) {
        return err_set(err, ERR_TOO_LARGE, "an app has at most %d routes", ROUTES_PER_APP);
    }
    struct route_request *route = change_array_add(&row->routes, sizeof(*route), err);
    if (!route) {
        return -1;
    }
    str_copy(route->host, sizeof(route->host), host);
    str_copy(route->path, sizeof(route->path), path);
    return change_note(intent, "route-added", row, 0, err, "%s%s", host, path);
}

int intent_route_add(struct intent *intent, const char *app, const struct route_request *request,
    struct change_answer *out, struct err *err) {
    struct app_row *row = intent_edit(intent, app, err);
    const char *path = request->path[0] ? request->path : "/";
    if (!row || change_add_route(intent, row, request->host, path, err) < 0) {
        return -1;
    }
    change_answer_fill(row, change_current(row), out);
    return 0;
}

int intent_route_remove(struct intent *intent, const char *app, const char *host, const char *path,
    struct change_answer *out, struct err *err) {
    struct app_row *row = intent_edit(intent, app, err);
    if (!row) {
        return -1;
    }
    struct route_request *routes = row->routes.items;
    for (size_t i = 0; i < row->routes.count; i++) {
        if (same_route(&routes[i], host, path)) {
            change_array_remove(&row->routes, sizeof(*routes), i);
            change_answer_fill(row, change_current(row), out);
            return change_note(intent, "route-removed", row, 0, err, "%.200s%.50s", host, path);
        }
    }
    return err_set(
        err, ERR_NOT_FOUND, "app \"%s\" has no route %.253s%.200s", row->name, host, path);
}
