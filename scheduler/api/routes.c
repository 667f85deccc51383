/* Endpoints of routes, for people and for proxies. SPDX-License-Identifier: Apache-2.0 */
#include "handlers.h"

#include <stdlib.h>
#include <string.h>

#include <paas/str.h>

enum call_result routes_list(struct call *c) {
    const struct app_row *row = call_app(c);
    if (!row) {
        return CALL_DONE;
    }
    const struct route_request *routes = row->routes.items;
    struct route_summary list[ROUTES_PER_APP];
    size_t count = row->routes.count;
    memset(list, 0, sizeof(list));
    for (size_t i = 0; i < count; i++) {
        memcpy(list[i].host, routes[i].host, sizeof(list[i].host));
        memcpy(list[i].path, routes[i].path, sizeof(list[i].path));
        memcpy(list[i].app, row->name, sizeof(list[i].app));
        str_copy(list[i].process, sizeof(list[i].process), "web");
    }
    call_tag(c, row);
    return call_reply_list(c, list, count);
}

static int add(struct app_change *change, struct intent *intent, int64_t now, struct err *err) {
    (void)now;
    return intent_route_add(intent, change->app, call_body(change->call), &change->answer, err);
}

enum call_result routes_add(struct call *c) {
    return change_submit(c, add, NULL);
}

static int take_away(
    struct app_change *change, struct intent *intent, int64_t now, struct err *err) {
    const char *host = call_query(change->call, "host");
    const char *path = call_query(change->call, "path");
    (void)now;
    if (!host || !host[0]) {
        return err_set(err, ERR_BAD_REQUEST, "?host= is needed");
    }
    return intent_route_remove(
        intent, change->app, host, path && path[0] ? path : "/", &change->answer, err);
}

enum call_result routes_remove(struct call *c) {
    return change_submit(c, take_away, NULL);
}

enum call_result routes_watch(struct call *c) {
    const struct api *api = call_ctx(c);
    return feed_watch(api->routes, c);
}
