/* One request of the control server and its answer. SPDX-License-Identifier: Apache-2.0 */
#include "http_call.h"

#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <paas/str.h>

/* ---- Life ---- */

struct call *call_create(struct http_server *s, struct http_conn *conn) {
    struct call *c = malloc(sizeof *c + http_arena_size(&s->limits));
    if (!c) {
        return NULL;
    }
    *c = (struct call){ .server = s, .conn = conn, .began = clock_usec(), .status = 200 };
    buf_init(&c->words, 2 * s->limits.uri + MATCH_PARAMS + MATCH_QUERIES);
    buf_init(&c->fields, CALL_FIELDS_MAX);
    s->open++;
    return c;
}

static void call_free(struct call *c) {
    struct http_server *s = c->server;
    if (c->decoded) {
        json_free(c->row->in, c->decoded);
        free(c->decoded);
    }
    buf_free(&c->words);
    buf_free(&c->body);
    buf_free(&c->fields);
    free(c);
    server_release(s);
}

void call_enter(struct call *c) {
    c->running++;
}

void call_leave(struct call *c) {
    if (--c->running == 0 && c->state == CALL_OVER) {
        call_free(c);
    }
}

static void tell_served(struct call *c) {
    const struct http_server_options *o = &c->server->options;
    if (o->served) {
        struct http_served s = {
            .row = c->row,
            .method = c->head.method_name,
            .path = c->head.target.path,
            .who = c->who.name,
            .status = c->status,
            .bytes_in = c->body_bytes,
            .bytes_out = c->bytes_out,
            .took = clock_usec() - c->began,
        };
        o->served(o->ctx, &s);
    }
}

/* The answer is whole (or is not owed any more): the call ends. */
static enum call_result over(struct call *c) {
    assert(c->state != CALL_OVER);
    call_enter(c);
    c->state = CALL_OVER;
    if (c->conn) {
        struct http_conn *conn = c->conn;
        tell_served(c);
        conn->call = NULL;
        c->conn = NULL;
        conn_finish(conn, c->keep);
    }
    call_leave(c);
    return CALL_DONE;
}

void call_lose(struct call *c) {
    bool with_handler = c->state == CALL_HANDLED || c->state == CALL_STREAMING;
    c->conn = NULL;
    call_enter(c);
    if (!with_handler) {
        c->state = CALL_OVER;
    } else if (c->closed) {
        c->closed(c, c->closed_data);
        c->state = CALL_OVER;
    }
    call_leave(c);
}

/* ---- What a handler reads ---- */

void *call_ctx(const struct call *c) {
    return c->server->options.ctx;
}

uv_loop_t *call_loop(const struct call *c) {
    return c->server->options.loop;
}

const struct http_identity *call_identity(const struct call *c) {
    return &c->who;
}

const struct endpoint *call_endpoint(const struct call *c) {
    return c->row;
}

/* Decodes each value into `words`, which never moves: its room was made before. */
static int decode_pairs(struct call *c, struct match_pair *pairs, size_t count, bool plus) {
    for (size_t i = 0; i < count; i++) {
        char *to = buf_reserve(&c->words, pairs[i].value.len + 1);
        int len = to ? http_unescape(pairs[i].value, plus, to) : -1;
        if (len < 0) {
            return -1;
        }
        pairs[i].value = (struct http_text){ to, (size_t)len };
        c->words.len += (size_t)len + 1;
    }
    return 0;
}

int call_decode_words(struct call *c, struct err *err) {
    if (http_split_query(c->head.target.query, c->queries, &c->query_count)) {
        return err_set(
            err, ERR_BAD_REQUEST, "the query has more than %d parameters", MATCH_QUERIES);
    }
    size_t room = c->head.target.path.len + c->head.target.query.len + MATCH_PARAMS + MATCH_QUERIES;
    if (!buf_reserve(&c->words, room)) {
        return err_no_memory(err);
    }
    if (decode_pairs(c, c->params, c->param_count, false) ||
        decode_pairs(c, c->queries, c->query_count, true)) {
        return err_set(err, ERR_BAD_REQUEST, "the target has a broken %% escape");
    }
    return 0;
}

const char *call_param(const struct call *c, const char *name) {
    for (size_t i = 0; i < c->param_count; i++) {
        if (http_is(c->params[i].name, name)) {
            return c->params[i].value.at;
        }
    }
    assert(!"the row has no such parameter");
    return "";
}

const char *call_query(const struct call *c, const char *name) {
    for (size_t i = 0; i < c->query_count; i++) {
        if (http_is(c->queries[i].name, name)) {
            return c->queries[i].value.at;
        }
    }
    return NULL;
}

int call_query_int(const struct call *c, const char *name, int64_t min, int64_t max,
    int64_t fallback, int64_t *out, struct err *err) {
    const char *text = call_query(c, name);
    *out = fallback;
    return text ? str_int(text, min, max, name, out, err) : 0;
}

struct http_text call_query_text(const struct call *c) {
    return c->head.target.query;
}

struct http_text call_path(const struct call *c) {
    return c->head.target.path;
}

struct http_text call_header(const struct call *c, const char *name) {
    return http_head_get(&c->head, name);
}

enum http_method call_method(const struct call *c) {
    return c->head.method;
}

void *call_body(struct call *c) {
    return c->decoded;
}

struct http_text call_body_bytes(const struct call *c) {
    return (struct http_text){ buf_str(&c->body), c->body.len };
}

int call_if_match(const struct call *c, const char *etag, struct err *err) {
    struct http_text list = call_header(c, "if-match"), one;
    while (http_list_next(&list, &one)) {
        size_t len = strlen(etag);
        bool quoted = one.len == len + 2 && one.at[0] == '"' && one.at[len + 1] == '"' &&
                      memcmp(one.at + 1, etag, len) == 0;
        if (quoted || http_is(one, "*")) {
            return 0;
        }
    }
    return err_set(err, ERR_STALE, "it has changed meanwhile; it is at \"%s\" now", etag);
}

bool call_client_is_gone(const struct call *c) {
    struct pollfd peer = { .fd = -1 };
    if (!c->conn || uv_fileno(&c->conn->io.handle, &peer.fd) != 0) {
        return true;
    }
    return poll(&peer, 1, 0) > 0 && (peer.revents & (POLLHUP | POLLERR));
}

void call_set_data(struct call *c, void *data) {
    c->data = data;
}

void *call_data(const struct call *c) {
    return c->data;
}

void call_on_closed(struct call *c, void (*closed)(struct call *c, void *data), void *data) {
    c->closed = closed;
    c->closed_data = data;
}

void call_on_body(struct call *c, const struct call_body_events *events, void *data) {
    assert(c->row->flags & EP_BODY_STREAM);
    c->body_events = events;
    c->body_data = data;
}

void call_body_pause(struct call *c) {
    if (c->conn) {
        conn_pause(c->conn);
    }
}

void call_body_resume(struct call *c) {
    if (c->conn) {
        conn_resume(c->conn);
    }
}

/* ---- Answers ---- */

void call_header_set(struct call *c, const char *name, const char *value, ...) {
    va_list args;
    size_t start = c->fields.len;
    buf_printf(&c->fields, "%s: ", name);
    va_start(args, value);
    buf_vprintf(&c->fields, value, args);
    va_end(args);
    /* What a handler quotes from its input cannot begin another field. */
    for (size_t i = start; i < c->fields.len; i++) {
        if (!http_byte_is(c->fields.data[i], CLASS_VALUE)) {
            c->fields.data[i] = '?';
        }
    }
    buf_puts(&c->fields, "\r\n");
}

void call_status(struct call *c, int status) {
    c->status = status;
}

static void put_date(struct buf *out) {
    char text[64];
    struct tm tm;
    time_t now = (time_t)(clock_wall_msec() / 1000);
    gmtime_r(&now, &tm);
    strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    buf_printf(out, "Date: %s\r\n", text);
}

/* The head of an answer of `length` bytes; < 0: not known. */
static void put_head(struct call *c, const char *content_type, int64_t length, struct buf *out) {
    bool bodyless = c->status == 204 || c->status == 304;
    bool old = c->head.minor < 1;
    c->chunked = length < 0 && !old && !bodyless;
    c->has_no_body = bodyless || c->head.method == METHOD_HEAD;
    c->keep = c->head.facts.keep_alive && (length >= 0 || !old) && !c->server->group.draining;
    buf_printf(out, "HTTP/1.1 %d %s\r\n", c->status, http_phrase(c->status));
    put_date(out);
    if (content_type && !bodyless) {
        buf_printf(out, "Content-Type: %s\r\n", content_type);
    }
    if (c->chunked) {
        buf_puts(out, "Transfer-Encoding: chunked\r\n");
    } else if (length >= 0 && !bodyless) {
        buf_printf(out, "Content-Length: %lld\r\n", (long long)length);
    }
    buf_append(out, buf_str(&c->fields), c->fields.len);
    if (!c->keep) {
        buf_puts(out, "Connection: close\r\n");
    } else if (old) {
        buf_puts(out, "Connection: keep-alive\r\n");
    }
    buf_puts(out, "\r\n");
}

enum { HEAD_MAX = 1024 + CALL_FIELDS_MAX /* bytes of an answer's head */ };

static enum call_result reply(
    struct call *c, const char *content_type, const void *bytes, size_t len) {
    assert(c->state == CALL_RECEIVING || c->state == CALL_HANDLED);
    if (c->conn) {
        struct buf head;
        buf_init(&head, HEAD_MAX);
        c->head.facts.keep_alive &= conn_can_keep(c->conn);
        put_head(c, content_type, (int64_t)len, &head);
        conn_send(c->conn, buf_str(&head), head.len);
        buf_free(&head);
        if (!c->has_no_body) {
            conn_send(c->conn, bytes, len);
            c->bytes_out = len;
        }
    }
    return over(c);
}

enum call_result call_reply_bytes(
    struct call *c, const char *content_type, const void *bytes, size_t len) {
    return reply(c, content_type, bytes, len);
}

enum call_result call_reply_buf(struct call *c, const char *content_type, struct buf *bytes) {
    if (bytes->failed) {
        buf_free(bytes);
        return call_fail_with(c, ERR_TOO_LARGE, "the answer is larger than its limit");
    }
    enum call_result result = reply(c, content_type, buf_str(bytes), bytes->len);
    buf_free(bytes);
    return result;
}

enum call_result call_reply_empty(struct call *c) {
    if (c->status == 200) {
        c->status = 204;
    }
    return reply(c, NULL, "", 0);
}

enum { REPLY_MAX = 256 << 20 /* bytes of one JSON answer; longer ones are streams */ };

enum call_result call_reply_as(struct call *c, const struct json_type *type, const void *out) {
    struct buf b;
    buf_init(&b, REPLY_MAX);
    json_encode(type, out, &b);
    buf_putc(&b, '\n');
    return call_reply_buf(c, "application/json", &b);
}

enum call_result call_reply(struct call *c, const void *out) {
    return call_reply_as(c, c->row->out, out);
}

enum call_result call_reply_list(struct call *c, const void *items, size_t count) {
    const struct json_type *type = c->row->out;
    bool lines = c->row->flags & EP_LINES;
    struct buf b;
    buf_init(&b, REPLY_MAX);
    if (!lines) {
        json_encode_array(type, items, count, &b);
        buf_putc(&b, '\n');
    }
    for (size_t i = 0; lines && i < count; i++) {
        json_encode(type, (const char *)items + i * type->size, &b);
        buf_putc(&b, '\n');
    }
    return call_reply_buf(c, lines ? "application/x-ndjson" : "application/json", &b);
}

static void put_member(struct buf *out, const char *name, const char *text, size_t len) {
    buf_printf(out, ",\"%s\":", name);
    buf_json_string(out, text, len);
}

void call_problem(struct buf *out, int status, const struct err *err, struct http_text instance) {
    const char *code = err_name(err->code), *title = err_title(err->code);
    buf_printf(out, "{\"type\":\"urn:paas:error:%s\"", code);
    put_member(out, "title", title, strlen(title));
    buf_printf(out, ",\"status\":%d", status);
    put_member(out, "detail", err->text, strlen(err->text));
    put_member(out, "code", code, strlen(code));
    if (err->hint[0]) {
        put_member(out, "hint", err->hint, strlen(err->hint));
    }
    if (instance.at) {
        put_member(out, "instance", instance.at, instance.len);
    }
    buf_puts(out, "}\n");
}

enum call_result call_fail_status(struct call *c, int status, const struct err *err) {
    if (c->state == CALL_STREAMING) {
        return call_stream_abort(c);
    }
    struct buf b;
    buf_init(&b, REPLY_MAX);
    c->status = status;
    call_problem(&b, status, err, c->head.target.path);
    enum call_result result = reply(c, "application/problem+json", buf_str(&b), b.len);
    buf_free(&b);
    return result;
}

enum call_result call_fail(struct call *c, const struct err *err) {
    return call_fail_status(c, err_http_status(err->code), err);
}

enum call_result call_fail_with(struct call *c, enum err_code code, const char *format, ...) {
    struct err err;
    char text[ERR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    err_set(&err, code, "%s", text);
    return call_fail(c, &err);
}

/* ---- Streams ---- */

void call_stream_begin(struct call *c, const char *content_type, int64_t length) {
    assert(c->state == CALL_HANDLED);
    c->state = CALL_STREAMING;
    if (c->conn) {
        struct buf head;
        buf_init(&head, HEAD_MAX);
        put_head(c, content_type, length, &head);
        conn_send(c->conn, buf_str(&head), head.len);
        buf_free(&head);
    }
}

size_t call_stream_write(struct call *c, const void *bytes, size_t len) {
    assert(c->state == CALL_STREAMING);
    if (!c->conn || c->has_no_body || len == 0) {
        return call_stream_queued(c);
    }
    c->bytes_out += len;
    if (c->chunked) {
        char size[20];
        int n = snprintf(size, sizeof size, "%zx\r\n", len);
        conn_send(c->conn, size, (size_t)n);
    }
    conn_send(c->conn, bytes, len);
    if (c->chunked) {
        conn_send(c->conn, "\r\n", 2);
    }
    return call_stream_queued(c);
}

size_t call_stream_queued(const struct call *c) {
    return c->conn ? conn_queued(c->conn) : 0;
}

bool call_is_streaming(const struct call *c) {
    return c->state == CALL_STREAMING;
}

void call_on_writable(struct call *c, void (*writable)(struct call *c, void *data), void *data) {
    c->writable = writable;
    c->writable_data = data;
}

enum call_result call_stream_end(struct call *c) {
    assert(c->state == CALL_STREAMING);
    if (c->conn && c->chunked && !c->has_no_body) {
        conn_send(c->conn, "0\r\n\r\n", 5);
    }
    return over(c);
}

enum call_result call_stream_abort(struct call *c) {
    struct http_conn *conn = c->conn;
    if (conn) {
        tell_served(c);
        conn->call = NULL;
        c->conn = NULL;
        conn_close(conn);
    }
    return over(c);
}
