/* Endpoints of apps: what there is, scale, environment, stop and start. SPDX-License-Identifier:
 * Apache-2.0 */
#include "handlers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <paas/http_page.h>
#include <paas/str.h>

enum { HTTP_PORT = 80 /* is not shown */ };

const struct app_row *call_app(struct call *c) {
    const struct api *api = call_ctx(c);
    const char *name = call_param(c, "app");
    const struct app_row *row = intent_app(api->intent, name);
    if (!row) {
        struct err err;
        err_set(&err, ERR_NOT_FOUND, "there is no app \"%.64s\"", name);
        err_hint(&err, "paas apps lists them");
        call_fail(c, &err);
    }
    return row;
}

void call_tag(struct call *c, const struct app_row *row) {
    char tag[APP_TAG_SIZE];
    app_tag(row, tag);
    call_header_set(c, "ETag", "\"%s\"", tag);
}

void app_url(const struct api *api, const struct app_row *row, char url[URL_SIZE]) {
    const struct route_request *route = row->routes.items;
    url[0] = '\0';
    if (row->routes.count == 0) {
        return;
    }
    if (api->http_port == 0 || api->http_port == HTTP_PORT) {
        snprintf(url, URL_SIZE, "http://%s", route->host);
    } else {
        snprintf(url, URL_SIZE, "http://%s:%d", route->host, api->http_port);
    }
}

static const char *state_of(const struct app_row *row, const struct core_app_view *view) {
    if (row->stopped) {
        return "stopped";
    }
    if (app_rolls(row)) {
        return row->serving ? "rolling" : "starting";
    }
    if (!row->serving) {
        return "failed";
    }
    if (view->healthy >= view->desired) {
        return "running";
    }
    return view->healthy ? "degraded" : "starting";
}

static int add_routes(struct strings *to, const struct app_row *row) {
    const struct route_request *routes = row->routes.items;
    for (size_t i = 0; i < row->routes.count; i++) {
        char text[HOST_SIZE + PATH_SIZE];
        bool all = strcmp(routes[i].path, "/") == 0;
        snprintf(text, sizeof(text), "%s%s", routes[i].host, all ? "" : routes[i].path);
        if (strings_add(to, text) < 0) {
            return -1;
        }
    }
    return 0;
}

/* `out` is to be freed with app_summary_json. */
static int summarize(const struct api *api, const struct app_row *row, struct app_summary *out) {
    struct core_app_view view = { 0 };
    core_view_app(api->core, row->name, &view);
    memset(out, 0, sizeof(*out));
    memcpy(out->name, row->name, sizeof(out->name));
    out->release = row->serving;
    out->desired = view.desired;
    out->healthy = view.healthy;
    app_url(api, row, out->url);
    str_copy(out->state, sizeof(out->state), state_of(row, &view));
    return add_routes(&out->routes, row);
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct app_summary *)a)->name, ((const struct app_summary *)b)->name);
}

enum call_result apps_list(struct call *c) {
    const struct api *api = call_ctx(c);
    struct http_page page;
    if (http_page_begin(&page, c) < 0) {
        return CALL_DONE;
    }
    struct json_array list = { .items = calloc(
                                   api->intent->apps.count + 1, sizeof(struct app_summary)) };
    struct app_summary *rows = list.items;
    bool failed = !rows;
    MAP_FOREACH (e, &api->intent->apps) {
        failed = failed || summarize(api, e->value, &rows[list.count++]) < 0;
    }
    if (failed) {
        json_free_array(&app_summary_json, &list);
        buf_free(&page.text);
        return call_fail_with(c, ERR_NO_MEMORY, "out of memory");
    }
    qsort(rows, list.count, sizeof(*rows), by_name);
    for (size_t i = 0; i < list.count; i++) {
        http_page_row(&page, rows[i].name, &rows[i]);
    }
    http_page_end(&page);
    json_free_array(&app_summary_json, &list);
    return CALL_DONE;
}

enum call_result apps_get(struct call *c) {
    const struct app_row *row = call_app(c);
    if (!row) {
        return CALL_DONE;
    }
    struct app_summary out;
    if (summarize(call_ctx(c), row, &out) < 0) {
        call_fail_with(c, ERR_NO_MEMORY, "out of memory");
    } else {
        call_tag(c, row);
        call_reply(c, &out);
    }
    json_free(&app_summary_json, &out);
    return CALL_DONE;
}

static int destroy(struct app_change *change, struct intent *intent, int64_t now, struct err *err) {
    (void)now;
    return intent_destroy(intent, change->app, &change->answer, err);
}

enum call_result apps_destroy(struct call *c) {
    return change_submit(c, destroy, NULL);
}

static int stop(struct app_change *change, struct intent *intent, int64_t now, struct err *err) {
    (void)now;
    return intent_stop(intent, change->app, &change->answer, err);
}

enum call_result apps_stop(struct call *c) {
    return change_submit(c, stop, NULL);
}

static int start(struct app_change *change, struct intent *intent, int64_t now, struct err *err) {
    (void)now;
    return intent_start(intent, change->app, &change->answer, err);
}

enum call_result apps_start(struct call *c) {
    return change_submit(c, start, NULL);
}

static int scale(struct app_change *change, struct intent *intent, int64_t now, struct err *err) {
    (void)now;
    return intent_scale(intent, change->app, call_body(change->call), &change->answer, err);
}

enum call_result apps_scale(struct call *c) {
    return change_submit(c, scale, NULL);
}

static int autoscale(
    struct app_change *change, struct intent *intent, int64_t now, struct err *err) {
    (void)now;
    return intent_autoscale(intent, change->app, call_body(change->call), &change->answer, err);
}

enum call_result apps_autoscale(struct call *c) {
    return change_submit(c, autoscale, NULL);
}

enum call_result env_get(struct call *c) {
    const struct app_row *row = call_app(c);
    struct env_answer out;
    if (!row) {
        return CALL_DONE;
    }
    out.env = row->env;
    call_tag(c, row);
    return call_reply(c, &out);
}

static int change_env(
    struct app_change *change, struct intent *intent, int64_t now, struct err *err) {
    return intent_env(intent, change->app, call_body(change->call), now, &change->answer, err);
}

enum call_result env_change(struct call *c) {
    return change_submit(c, change_env, NULL);
}
