/* Owns the parts of a scheduler: the order in which they start and end. SPDX-License-Identifier:
 * Apache-2.0
 *
 * Start: store; a new term, durable before anything is said; intent, events and known nodes from
 * the store; core; then the server. Stop: no new change is taken, what waits is committed and
 * answered; watchers and server end; then what they used.
 */
#include "scheduler.h"

#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <paas/file.h>
#include <paas/log.h>
#include <paas/reserve.h>
#include <paas/str.h>

/* Room for the term, a few pages of SQLite at each start on a full disk. */
enum { RESERVE_BYTES = 512 << 10, PATH_BYTES = 4096, API_UNIX = 0, API_TCP = 1 };

/* --- store ------------------------------------------------------------------------------------ */

static int load_term(void *data, const char *key, const char *body, size_t len, struct err *err) {
    int64_t *term = data;
    char text[24];
    if (strcmp(key, "term") != 0) {
        return 0;
    }
    if (len >= sizeof(text)) {
        return err_set(err, ERR_SYSTEM, "the store's term can't be read");
    }
    memcpy(text, body, len);
    text[len] = '\0';
    return str_int(text, 0, INT64_MAX - 1, "term", term, err);
}

static int commit_term(struct scheduler *s, struct err *err) {
    char text[24];
    int len = snprintf(text, sizeof(text), "%lld", (long long)s->term);
    struct store_batch *batch = store_batch_create();
    if (batch) {
        store_batch_put(batch, STORE_META, "term", text, (size_t)len);
    }
    return store_commit_now(s->store, batch, err);
}

static struct reserve room_of(const struct scheduler *s, char path[PATH_BYTES]) {
    snprintf(path, PATH_BYTES, "%s/" RESERVE_NAME, s->options->data);
    return (struct reserve){ AT_FDCWD, path, RESERVE_BYTES };
}

void scheduler_reserve(const struct scheduler *s) {
    char path[PATH_BYTES];
    struct reserve room = room_of(s, path);
    reserve_keep(&room);
}

void scheduler_use_reserve(const struct scheduler *s) {
    char path[PATH_BYTES];
    struct reserve room = room_of(s, path);
    reserve_give(&room);
}

/* The term grows at every start, before the first grant of it. On a full disk, too: what can't be
 * changed can still be seen, and it goes on by itself with room again. */
static int take_term(struct scheduler *s, struct err *err) {
    if (store_load(s->store, STORE_META, load_term, &s->term, err) < 0) {
        return -1;
    }
    s->term++;
    int rc = commit_term(s, err);
    if (rc < 0 && err->code == ERR_FULL) {
        log_warn("%s; using the room that was kept for this", err->text);
        scheduler_use_reserve(s);
        rc = commit_term(s, err);
    }
    scheduler_reserve(s);
    return rc;
}

static int load_config(void *data, const char *key, const char *body, size_t len, struct err *err) {
    return intent_load_config(data, key, body, len, err);
}

static int load_app(void *data, const char *key, const char *body, size_t len, struct err *err) {
    return intent_load_app(data, key, body, len, err);
}

static int open_store(struct scheduler *s, struct err *err) {
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "%s/%s", s->options->data, STORE_FILE);
    if (store_open(s->loop, path, &s->store, err) < 0 || take_term(s, err) < 0 ||
        store_load(s->store, STORE_CONFIG, load_config, &s->intent, err) < 0 ||
        store_load(s->store, STORE_APP, load_app, &s->intent, err) < 0) {
        return -1;
    }
    return nodes_load(s, err) < 0 ? -1 : events_load(s, err);
}

/* --- core ------------------------------------------------------------------------------------- */

static int start_core(struct scheduler *s, struct err *err) {
    s->core = core_create();
    if (!s->core || feed_create(s->loop, &s->routes, err) < 0) {
        return s->core ? -1 : err_no_memory(err);
    }
    driver_event(s, &(struct core_event){ .type = CORE_TERM, .term = s->term });
    MAP_FOREACH (e, &s->nodes.records) {
        driver_event(s, &(struct core_event){ .type = CORE_NODE, .node = e->key });
    }
    MAP_FOREACH (e, &s->intent.apps) {
        driver_app(s, e->key);
    }
    return 0;
}

/* --- API -------------------------------------------------------------------------------------- */

static int port_of(const char *address) {
    const char *colon = address ? strrchr(address, ':') : NULL;
    int64_t port;
    return colon && str_int(colon + 1, 1, 65535, "port", &port, NULL) == 0 ? (int)port : 0;
}

static int read_token(struct scheduler *s, struct err *err) {
    char path[PATH_BYTES];
    struct buf text;
    struct err why = { 0 };
    snprintf(path, sizeof(path), "%s/api.token.sha256", s->options->data);
    buf_init(&text, DIGEST_HEX_LENGTH + 1);
    int rc = file_read_whole(AT_FDCWD, path, &text, &why);
    if (rc == 0 && text.len >= DIGEST_HEX_LENGTH) {
        memcpy(s->api.token_hash, text.data, DIGEST_HEX_LENGTH);
    } else if (rc == 0 || why.code != ERR_NOT_FOUND) {
        buf_free(&text);
        return err_set(err, ERR_SYSTEM, "%s: %s", path, rc == 0 ? "it is cut" : why.text);
    }
    buf_free(&text);
    return 0;
}

static int fill_api(struct scheduler *s, struct err *err) {
    struct api *api = &s->api;
    const struct scheduler_options *options = s->options;
    const struct group *group = getgrnam("paas");
    api->ops = &scheduler_ops;
    api->owner = s;
    api->intent = &s->intent;
    api->core = s->core;
    api->client = s->client;
    api->routes = s->routes;
    api->events = s->events.feed;
    api->http_port = port_of(options->http_address);
    api->agent_uid = options->agent_uid;
    api->proxy_uid = options->proxy_uid;
    api->operators = group ? group->gr_gid : (gid_t)-1;
    str_copy(api->node, sizeof(api->node), options->node);
    int len =
        snprintf(api->agent_socket, sizeof(api->agent_socket), "%s/agent/agent.sock", options->run);
    if (len < 0 || (size_t)len >= sizeof(api->agent_socket)) {
        return err_set(err, ERR_USAGE, "--run: the path is too long for a socket's name");
    }
    return read_token(s, err);
}

static void on_served(void *ctx, const struct http_served *served) {
    struct api *api = ctx;
    struct scheduler *s = api->owner;
    s->requests++;
    if (served->status >= 500) {
        log_warn("%.*s %.*s: %d", (int)served->method.len, served->method.at, (int)served->path.len,
            served->path.at, served->status);
    }
}

static int listen_passed(struct scheduler *s, struct err *err) {
    int count = loop_listen_fds();
    bool api = false;
    for (int i = 0; i < count; i++) {
        const char *name = loop_listen_name(i);
        bool tcp = strcmp(name, "api-tcp") == 0;
        if (!tcp && strcmp(name, "api") != 0) {
            return err_set(err, ERR_USAGE, "passed socket \"%s\" is not known", name);
        }
        if (http_server_listen_fd(s->server, LISTEN_FDS_FIRST + i, tcp ? API_TCP : API_UNIX, err) <
            0) {
            return err_wrap(err, "listening on passed socket \"%s\"", name);
        }
        api = api || !tcp;
    }
    if (!api) {
        err_set(err, ERR_USAGE, "no socket named \"api\" was passed (LISTEN_FDS, LISTEN_FDNAMES)");
        return err_hint(err, "paas up starts the scheduler; it is not started by hand");
    }
    return 0;
}

static int start_api(struct scheduler *s, struct err *err) {
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "%s/registry", s->options->data);
    if (api_open(&s->api, s->loop, path, err) < 0 ||
        http_client_create(s->loop, &s->client, err) < 0 || fill_api(s, err) < 0) {
        return -1;
    }
    struct http_server_options options = { .loop = s->loop,
        .endpoints = api_endpoints,
        .ctx = &s->api,
        .identify = api_identify,
        .served = on_served };
    if (http_server_create(&options, &s->server, err) < 0) {
        return -1;
    }
    return listen_passed(s, err);
}

/* --- start and stop --------------------------------------------------------------------------- */

static void on_signal(void *data) {
    scheduler_stop(data);
}

int scheduler_start(struct scheduler *s, uv_loop_t *loop, const struct scheduler_options *options,
    struct err *err) {
    memset(s, 0, sizeof(*s));
    s->options = options;
    s->loop = loop;
    intent_init(&s->intent);
    uv_timer_init(loop, &s->timer);
    s->timer.data = s;
    changes_init(&s->changes, s);
    cleaner_start(s);
    loop_watch_start(&s->watch, loop);
    if (open_store(s, err) < 0 || start_core(s, err) < 0 || start_api(s, err) < 0) {
        return -1;
    }
    if (loop_signals_start(&s->signals, loop, on_signal, s, err) < 0) {
        return -1;
    }
    log_info("term %lld, %zu apps", (long long)s->term, s->intent.apps.count);
    return 0;
}

static void on_server_closed(void *data) {
    struct scheduler *s = data;
    http_client_close(s->client, NULL, NULL);
    api_close(&s->api);
    store_close(s->store);
    changes_close(s);
    cleaner_close(s);
    loop_watch_stop(&s->watch);
    uv_close((uv_handle_t *)&s->timer, NULL);
}

void scheduler_may_close(struct scheduler *s) {
    const struct changes *changes = &s->changes;
    const struct events *events = &s->events;
    if (!s->stopping || s->closing || changes->committing || changes->queued || events->saving ||
        events->unsaved || s->raising_term) {
        return;
    }
    s->closing = true;
    loop_signals_stop(&s->signals);
    feed_destroy(s->routes);
    feed_destroy(s->events.feed);
    MAP_FOREACH (e, &s->nodes.records) {
        struct node_record *record = e->value;
        feed_destroy(record->grants);
        record->grants = NULL;
    }
    http_server_close(s->server, on_server_closed, s);
}

void scheduler_stop(struct scheduler *s) {
    if (!s->stopping) {
        s->stopping = true;
        http_server_drain(s->server);
        uv_timer_stop(&s->timer);
        scheduler_may_close(s);
    }
}

void scheduler_finish(struct scheduler *s) {
    events_free(&s->events);
    nodes_free(&s->nodes);
    core_destroy(s->core);
    intent_free(&s->intent);
}
