/* The control server: listeners, and one dispatcher. SPDX-License-Identifier: Apache-2.0
 *
 * A request: on_begin (a call is made) -> on_head (row, identity, role, size) -> on_body -> on_end
 * (decode, handler). A refusal waits for the end of a small body, so that the connection lives on;
 * a large or unannounced body is not read: the answer goes out and the connection ends.
 */
#include <paas/http_server.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http_call.h"

enum {
    REFUSED_BODY_MAX = 65536, /* bytes read of a body that nobody wants */
    HEADER_TIMEOUT = 10000,   /* ms */
    IDLE_TIMEOUT = 60000,     /* ms: longer than curl keeps a connection unused */
    STALL_TIMEOUT = 60000,    /* ms */
};

/* ---- Dispatch ---- */

static bool serves(const struct endpoint *row, enum http_method method) {
    return row->method == method || (row->method == METHOD_GET && method == METHOD_HEAD);
}

/* Finds the row of a request; *other becomes true when its path is known with another method. */
static const struct endpoint *find_row(struct call *c, bool *other) {
    for (const struct endpoint *row = c->server->options.endpoints; row->method; row++) {
        c->param_count = 0;
        if (!http_match(row->path, c->head.target.path, c->params, &c->param_count)) {
            continue;
        }
        if (serves(row, c->head.method)) {
            return row;
        }
        *other = true;
    }
    c->param_count = 0;
    return NULL;
}

static void set_allow(struct call *c) {
    char allow[256] = "";
    struct match_pair pairs[MATCH_PARAMS];
    for (const struct endpoint *row = c->server->options.endpoints; row->method; row++) {
        size_t count = 0, used = strlen(allow);
        if (http_match(row->path, c->head.target.path, pairs, &count)) {
            snprintf(allow + used, sizeof allow - used, "%s%s%s", used ? ", " : "",
                http_method_name(row->method), row->method == METHOD_GET ? ", HEAD" : "");
        }
    }
    call_header_set(c, "Allow", "%s", allow);
}

/* The token of "Authorization: Bearer TOKEN", or absent. */
static struct http_text bearer(const struct http_head *head) {
    struct http_text value = http_head_get(head, "authorization");
    if (value.len > 7 && http_is(http_slice(value, 0, 7), "bearer ")) {
        return http_trim(http_slice(value, 7, value.len));
    }
    return (struct http_text){ NULL, 0 };
}

static int authorise(struct call *c, struct err *err) {
    const struct http_server_options *o = &c->server->options;
    struct peer *peer = c->conn->peer;
    if (c->row->flags & EP_PUBLIC) {
        return 0;
    }
    if (!o->identify) {
        return err_set(err, ERR_FORBIDDEN, "nobody may do this here");
    }
    peer->is.token = bearer(&c->head);
    peer->is.host = c->head.facts.host;
    if (o->identify(o->ctx, &peer->is, &c->who, err) < 0) {
        return -1;
    }
    if (!(c->who.roles & c->row->roles)) {
        return err_set(err, ERR_FORBIDDEN, "%s may not do this", c->who.name);
    }
    return 0;
}

static uint64_t body_max(const struct endpoint *row) {
    if (row->body_max) {
        return row->body_max;
    }
    return row->flags & EP_BODY_STREAM ? UINT64_MAX : HTTP_SERVER_BODY_MAX;
}

static int check_size(struct call *c, uint64_t size, struct err *err) {
    uint64_t max = body_max(c->row);
    return size <= max ? 0
                       : err_set(err, ERR_TOO_LARGE, "the body is larger than %llu bytes",
                             (unsigned long long)max);
}

/* Everything that can be said of a request before its body: 0, or -1 with *err and, where it is
 * not the code's own, the status. */
static int judge_head(struct call *c, struct err *err) {
    bool other = false;
    c->row = find_row(c, &other);
    if (!c->row && other) {
        set_allow(c);
        return err_set(err, ERR_METHOD, "%s does not work here", http_method_name(c->head.method));
    }
    if (!c->row) {
        return err_set(err, ERR_NOT_FOUND, "there is nothing at this path");
    }
    if (call_decode_words(c, err) || authorise(c, err)) {
        return -1;
    }
    if (c->row->flags & EP_IF_MATCH && !call_header(c, "if-match").at) {
        c->refusal_status = 428;
        return err_set(err, ERR_STALE, "the change needs If-Match with the state it is made to");
    }
    return check_size(c, c->head.facts.length, err);
}

static void run_handler(struct call *c) {
    c->state = CALL_HANDLED;
    c->conn->eof_is_lost = c->row->flags & EP_WATCH;
    call_enter(c);
    enum call_result result = c->row->handler(c);
    assert(result == CALL_PENDING || c->state == CALL_OVER);
    (void)result;
    call_leave(c);
}

static void refuse(struct call *c) {
    int status = c->refusal_status ? c->refusal_status : err_http_status(c->refusal.code);
    if (status == 401) {
        call_header_set(c, "WWW-Authenticate", "Bearer");
    }
    call_fail_status(c, status, &c->refusal);
}

static bool streams_body(const struct call *c) {
    return c->row->flags & EP_BODY_STREAM;
}

static void *on_begin(struct http_conn *conn) {
    struct call *c = call_create(conn->group->data, conn);
    conn->call = c;
    return c ? c->arena : NULL;
}

static void on_head(struct http_conn *conn) {
    struct call *c = conn->call;
    const struct http_facts *facts = &conn->parser.head.facts;
    c->head = conn->parser.head;
    if (judge_head(c, &c->refusal) < 0) {
        bool small = facts->framing == BODY_NONE ||
                     (facts->framing == BODY_LENGTH && facts->length <= REFUSED_BODY_MAX);
        if (!small || facts->expect_continue) {
            refuse(c);
        }
        return;
    }
    if (streams_body(c)) {
        run_handler(c);
        if (conn->call != c) {
            return;
        }
    }
    buf_init(&c->body, (size_t)(streams_body(c) ? 0 : body_max(c->row)));
    /* A streamed answer that has begun is permission enough. */
    if (facts->expect_continue && c->state != CALL_STREAMING) {
        static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
        conn_send(conn, go_on, sizeof go_on - 1);
    }
}

static void on_body(struct http_conn *conn, struct http_text bytes) {
    struct call *c = conn->call;
    if (!c || c->refusal.code) {
        return;
    }
    c->body_bytes += bytes.len;
    struct err err;
    if (check_size(c, c->body_bytes, &err)) {
        if (c->state == CALL_RECEIVING) {
            call_fail(c, &err);
        } else {
            conn_lose(conn);
        }
        return;
    }
    if (streams_body(c)) {
        if (c->body_events) {
            call_enter(c);
            c->body_events->data(c, c->body_data, bytes.at, bytes.len);
            call_leave(c);
        }
    } else if ((c->row->in || c->row->flags & EP_BODY_RAW) &&
               buf_append(&c->body, bytes.at, bytes.len)) {
        call_fail_with(c, ERR_NO_MEMORY, "no memory for the body");
    }
}

static int decode_body(struct call *c, struct err *err) {
    const struct json_type *type = c->row->in;
    if (!type || (c->body.len == 0 && c->row->flags & EP_BODY_OPTIONAL)) {
        return 0;
    }
    void *decoded = calloc(1, type->size);
    if (!decoded) {
        return err_no_memory(err);
    }
    if (json_decode(type, buf_str(&c->body), c->body.len, decoded, err) < 0) {
        free(decoded);
        return -1;
    }
    c->decoded = decoded;
    return 0;
}

static void on_end(struct http_conn *conn) {
    struct call *c = conn->call;
    if (!c) {
        return;
    }
    struct err err;
    if (c->refusal.code) {
        refuse(c);
    } else if (streams_body(c)) {
        if (c->body_events) {
            call_enter(c);
            c->body_events->end(c, c->body_data);
            call_leave(c);
        }
    } else if (decode_body(c, &err) < 0) {
        call_fail(c, &err);
    } else {
        run_handler(c);
    }
}

static enum err_code code_of(int status) {
    switch (status) {
    case 408:
        return ERR_REQUEST_TIMEOUT;
    case 413:
        return ERR_TOO_LARGE;
    case 414:
        return ERR_URI_TOO_LONG;
    case 431:
        return ERR_HEADERS_TOO_LARGE;
    case 501:
        return ERR_NOT_IMPLEMENTED;
    case 505:
        return ERR_VERSION_NOT_SUPPORTED;
    default:
        return ERR_BAD_REQUEST;
    }
}

static void on_refused(struct http_conn *conn, int status, const char *words) {
    struct call *c = conn->call;
    if (!c || c->state != CALL_RECEIVING) {
        conn_lose(conn); /* the answer is a handler's, or out already */
        return;
    }
    c->head.facts.keep_alive = false;
    if (c->refusal.code) {
        refuse(c);
        return;
    }
    struct err err;
    err_set(&err, code_of(status), "%s", words);
    call_fail_status(c, status, &err);
}

static void on_writable(struct http_conn *conn) {
    struct call *c = conn->call;
    if (c && c->writable) {
        call_enter(c);
        c->writable(c, c->writable_data);
        call_leave(c);
    }
}

static void on_lost(struct http_conn *conn) {
    struct call *c = conn->call;
    if (c) {
        conn->call = NULL;
        call_lose(c);
    }
}

static void close_group_when_empty(struct http_server *s);

static void on_freed(struct http_conn *conn) {
    struct http_server *s = conn->group->data;
    on_lost(conn);
    free(conn->peer);
    close_group_when_empty(s);
}

static const struct conn_events events = {
    .begin = on_begin,
    .head = on_head,
    .body = on_body,
    .end = on_end,
    .refused = on_refused,
    .writable = on_writable,
    .lost = on_lost,
    .freed = on_freed,
};

/* ---- Life ---- */

int http_server_create(
    const struct http_server_options *options, struct http_server **out, struct err *err) {
    struct http_server *s = calloc(1, sizeof *s);
    if (!s) {
        return err_no_memory(err);
    }
    struct http_server_options *o = &s->options;
    *o = *options;
    o->connections_max = o->connections_max ? o->connections_max : HTTP_SERVER_CONNECTIONS;
    s->limits = o->limits ? *o->limits : http_limits_default;
    s->limits.body_max = UINT64_MAX; /* rows bound their bodies */
    list_init(&s->listeners);
    s->group = (struct conn_group){
        .loop = o->loop,
        .events = &events,
        .limits = &s->limits,
        .header_timeout = o->header_timeout ? o->header_timeout : HEADER_TIMEOUT,
        .idle_timeout = o->idle_timeout ? o->idle_timeout : IDLE_TIMEOUT,
        .stall_timeout = o->stall_timeout ? o->stall_timeout : STALL_TIMEOUT,
        .data = s,
    };
    if (conn_group_open(&s->group) < 0) {
        free(s);
        return err_no_memory(err);
    }
    uv_idle_init(o->loop, &s->closer);
    s->closer.data = s;
    s->open = 3; /* the closer and the group's two handles */
    *out = s;
    return 0;
}

void server_release(struct http_server *s) {
    if (--s->open == 0) {
        void (*closed)(void *) = s->closed;
        void *data = s->closed_data;
        free(s);
        if (closed) {
            closed(data);
        }
    }
}

static void on_group_handle_closed(uv_handle_t *handle) {
    struct conn_group *g = handle->data;
    server_release(g->data);
}

static void close_group_when_empty(struct http_server *s) {
    if (s->closing && s->group.count == 0 && !uv_is_closing((uv_handle_t *)&s->group.tick)) {
        conn_group_close(&s->group, on_group_handle_closed);
    }
}

void http_server_drain(struct http_server *s) {
    server_stop_listening(s);
    conn_group_drain(&s->group);
}

static void on_closer_closed(uv_handle_t *handle) {
    server_release(handle->data);
}

static void on_closer(uv_idle_t *idle) {
    struct http_server *s = idle->data;
    s->closing = true;
    LIST_FOREACH_SAFE (item, next, &s->group.all) {
        conn_lose(LIST_ITEM(item, struct http_conn, link));
    }
    close_group_when_empty(s);
    uv_close((uv_handle_t *)idle, on_closer_closed);
}

void http_server_close(struct http_server *s, void (*closed)(void *data), void *data) {
    s->closed = closed;
    s->closed_data = data;
    server_stop_listening(s);
    s->group.draining = true;
    uv_idle_start(&s->closer, on_closer);
}

unsigned http_server_connections(const struct http_server *s) {
    return s->group.count;
}
