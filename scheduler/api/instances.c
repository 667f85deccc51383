/* Endpoints of instances: list, and what is passed on to their node's agent: logs, kill, exec.
 * SPDX-License-Identifier: Apache-2.0 */
#include "handlers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <paas/http_page.h>
#include <paas/str.h>
#include <paas/wire.h>

#include "relay.h"

/* --- list ------------------------------------------------------------------------------------- */

struct listing {
    const char *app; /* NULL: all */
    struct http_page page;
};

/* In the order in which ops->each_instance() gives them. */
static void list_one(void *data, const struct instance *i) {
    struct listing *list = data;
    char key[PAGE_KEY_SIZE];
    if (list->app && strcmp(i->app, list->app) != 0) {
        return;
    }
    snprintf(key, sizeof(key), "%s!%s!%d!%02zu!%s!%s", i->app, i->process,
        i->state == INSTANCE_FROZEN, strlen(i->slot), i->slot, i->id);
    http_page_row(&list->page, key, i);
}

static enum call_result list_instances(struct call *c, const char *app) {
    const struct api *api = call_ctx(c);
    struct listing list = { .app = app };
    if (http_page_begin(&list.page, c) < 0) {
        return CALL_DONE;
    }
    api->ops->each_instance(api->owner, call_query(c, "all") != NULL, list_one, &list);
    return http_page_end(&list.page);
}

enum call_result instances_list(struct call *c) {
    return list_instances(c, NULL);
}

enum call_result instances_of_app(struct call *c) {
    const struct app_row *row = call_app(c);
    return row ? list_instances(c, row->name) : CALL_DONE;
}

/* --- finding one ------------------------------------------------------------------------------ */

struct search {
    const char *app, *wanted; /* id or slot; "" for any */
    char id[ID_SIZE];
    int rank;
};

/* Of several, a healthy web instance is the one that people mean. */
static int rank(const struct instance *instance) {
    int healthy = instance->state == INSTANCE_HEALTHY ? 4 : 0;
    int alive = instance->state == INSTANCE_DRAINING ? 0 : 2;
    return 1 + healthy + alive + (strcmp(instance->process, "web") == 0);
}

static void consider(void *data, const struct instance *instance) {
    struct search *search = data;
    bool named =
        strcmp(instance->id, search->wanted) == 0 || strcmp(instance->slot, search->wanted) == 0;
    if (strcmp(instance->app, search->app) == 0 && (named || !search->wanted[0]) &&
        rank(instance) > search->rank) {
        search->rank = rank(instance);
        memcpy(search->id, instance->id, sizeof(search->id));
    }
}

/* The id of an instance of the app that runs; -1: the call was failed. */
static int find_instance(struct call *c, const char *app, const char *wanted, char id[ID_SIZE]) {
    const struct api *api = call_ctx(c);
    struct search search = { .app = app, .wanted = wanted };
    api->ops->each_instance(api->owner, false, consider, &search);
    if (!search.rank) {
        struct err err;
        if (wanted[0]) {
            err_set(&err, ERR_NOT_FOUND, "app \"%s\" has no instance \"%.80s\"", app, wanted);
        } else {
            err_set(&err, ERR_NOT_FOUND, "no instance of app \"%s\" runs", app);
        }
        err_hint(&err, "paas ps %s lists them", app);
        call_fail(c, &err);
        return -1;
    }
    memcpy(id, search.id, ID_SIZE);
    return 0;
}

/* --- passing on ------------------------------------------------------------------------------- */

static enum call_result pass_on(
    struct call *c, const char *verb, const char *wanted, const struct json_type *type) {
    const struct app_row *row = call_app(c);
    char id[ID_SIZE], path[64];
    if (!row || find_instance(c, row->name, wanted, id) < 0) {
        return CALL_DONE;
    }
    struct buf body;
    buf_init(&body, 4 << 20);
    json_encode(type, call_body(c), &body);
    snprintf(path, sizeof(path), "/v1/instances/%s/%s", id, verb);
    enum call_result result = relay(c, METHOD_POST, path, &body);
    buf_free(&body);
    return result;
}

enum call_result instances_kill(struct call *c) {
    const struct kill_request *request = call_body(c);
    if (request->signal[0] && signal_number(request->signal) < 0) {
        return call_fail_with(c, ERR_BAD_VALUE, "signal: \"%s\" is not a signal", request->signal);
    }
    return pass_on(c, "kill", request->instance, &kill_request_json);
}

enum call_result instances_exec(struct call *c) {
    const struct exec_request *request = call_body(c);
    if (!request->command.count) {
        return call_fail_with(c, ERR_BAD_VALUE, "command: there is none");
    }
    return pass_on(c, "exec", request->instance, &exec_request_json);
}

/* The agent reads the first `app` and `since` of the query: ours. */
static enum call_result ask_of_app(struct call *c, const char *what) {
    const struct app_row *row = call_app(c);
    if (!row) {
        return CALL_DONE;
    }
    struct http_text query = call_query_text(c);
    char path[4096];
    int len = snprintf(path, sizeof(path), "/v1/%s?app=%s&since=%lld%s%.*s", what, row->name,
        (long long)row->created_at, query.len ? "&" : "", (int)query.len,
        query.len ? query.at : "");
    if (len < 0 || (size_t)len >= sizeof(path)) {
        return call_fail_with(c, ERR_URI_TOO_LONG, "the query is too long");
    }
    return relay(c, METHOD_GET, path, NULL);
}

enum call_result instances_logs(struct call *c) {
    return ask_of_app(c, "logs");
}

enum call_result instances_decisions(struct call *c) {
    return ask_of_app(c, "decisions");
}

enum call_result instances_load(struct call *c) {
    return ask_of_app(c, "load");
}
