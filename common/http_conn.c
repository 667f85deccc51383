/* One HTTP/1.1 connection of a server. SPDX-License-Identifier: Apache-2.0
 *
 * Happy path: accept -> WAIT -(byte)-> HEAD -(head)-> BODY -(end)-> ANSWER -(conn_finish)-> WAIT.
 * A refusal, an answer that ends the connection, or one that was given before the body had come
 * goes to FLUSH -(sent)-> LINGER -(peer's end, or time)-> CLOSING: closing with unread input would
 * reset the connection and destroy the answer on its way.
 * A reset, a failed write, a peer that reads nothing: `lost`, and CLOSING at once.
 */
#include "http_conn.h"

#include <paas/http_server.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void run(struct http_conn *c);

/* ---- Time ---- */

static msec timeout_of(const struct http_conn *c) {
    switch (c->state) {
    case CONN_WAIT:
        return c->group->idle_timeout;
    case CONN_HEAD:
        return c->group->header_timeout;
    case CONN_BODY:
        return c->paused ? 0 : c->group->stall_timeout;
    case CONN_ANSWER:
    case CONN_FLUSH:
        return conn_queued(c) ? c->group->stall_timeout : 0;
    case CONN_LINGER:
        return CONN_LINGER_MS;
    case CONN_CLOSING:
        break;
    }
    return 0;
}

/* Begins the present state's time anew: something moved. */
static void touch(struct http_conn *c) {
    msec timeout = timeout_of(c);
    c->deadline = timeout ? (msec)uv_now(c->group->loop) + timeout : 0;
}

static void enter(struct http_conn *c, enum conn_state state) {
    c->state = state;
    touch(c);
}

/* ---- Ends ---- */

static void on_closed(uv_handle_t *handle) {
    struct http_conn *c = handle->data;
    struct conn_group *g = c->group;
    list_remove(&c->link);
    list_remove(&c->ready);
    if (--g->count == 0) {
        uv_timer_stop(&g->tick);
    }
    buf_free(&c->in);
    buf_free(&c->out);
    buf_free(&c->sending);
    g->events->freed(c);
    free(c);
}

void conn_close(struct http_conn *c) {
    if (c->state != CONN_CLOSING) {
        enter(c, CONN_CLOSING);
        uv_close(&c->io.handle, on_closed);
    }
}

void conn_lose(struct http_conn *c) {
    bool busy = c->state == CONN_HEAD || c->state == CONN_BODY || c->state == CONN_ANSWER;
    if (c->state == CONN_CLOSING) {
        return;
    }
    conn_close(c);
    if (busy) {
        c->group->events->lost(c);
    }
}

static void wake(struct http_conn *c);

static void on_shutdown(uv_shutdown_t *req, int status) {
    (void)req;
    (void)status; /* the read side tells of a peer that is gone */
}

static void linger(struct http_conn *c) {
    buf_reset(&c->in);
    enter(c, CONN_LINGER);
    if (c->eof || uv_shutdown(&c->shutdown, &c->io.stream, on_shutdown)) {
        conn_close(c);
    }
}

/* ---- Output ---- */

size_t conn_queued(const struct http_conn *c) {
    return c->out.len + c->sending.len;
}

/* Empties a buffer, and gives its memory back if it is large. */
static void release(struct buf *b) {
    if (b->cap > CONN_READ) {
        buf_free(b);
    } else {
        buf_reset(b);
    }
}

static void after_progress(struct http_conn *c) {
    touch(c);
    if (c->full && conn_queued(c) <= HTTP_STREAM_LOW) {
        c->full = false;
        c->group->events->writable(c);
    }
}

static void on_written(uv_write_t *req, int status) {
    struct http_conn *c = req->data;
    release(&c->sending);
    if (c->state == CONN_CLOSING) {
        return;
    }
    if (status < 0) {
        conn_lose(c);
        return;
    }
    after_progress(c);
    run(c);
}

/* Sends what is queued: at once what the socket takes, the rest when it can. */
static void flush(struct http_conn *c) {
    if (c->sending.len || !c->out.len || c->state == CONN_CLOSING) {
        return;
    }
    if (c->out.failed) {
        conn_lose(c); /* an answer with a hole must not look whole */
        return;
    }
    uv_buf_t bytes = uv_buf_init(c->out.data, (unsigned)c->out.len);
    int sent = uv_try_write(&c->io.stream, &bytes, 1);
    if (sent < 0 && sent != UV_EAGAIN) {
        conn_lose(c);
        return;
    }
    if (sent == (int)c->out.len) {
        release(&c->out);
        after_progress(c);
        return;
    }
    struct buf empty = c->sending;
    c->sending = c->out;
    c->out = empty;
    size_t from = sent > 0 ? (size_t)sent : 0;
    bytes = uv_buf_init(c->sending.data + from, (unsigned)(c->sending.len - from));
    if (uv_write(&c->write, &c->io.stream, &bytes, 1, on_written)) {
        conn_lose(c);
    } else if (sent > 0) {
        touch(c);
    }
}

void conn_send(struct http_conn *c, const void *bytes, size_t len) {
    if (c->state == CONN_CLOSING) {
        return;
    }
    bool was_empty = conn_queued(c) == 0;
    buf_append(&c->out, bytes, len);
    c->full |= conn_queued(c) > HTTP_STREAM_HIGH;
    if (was_empty) {
        touch(c);
    }
    wake(c);
}

bool conn_can_keep(const struct http_conn *c) {
    return c->state == CONN_ANSWER ||
           (c->state == CONN_BODY && c->parser.head.facts.framing == BODY_NONE);
}

void conn_finish(struct http_conn *c, bool keep) {
    if (c->state == CONN_CLOSING) {
        return;
    }
    c->full = c->paused = c->eof_is_lost = false;
    if (keep && c->state == CONN_BODY && conn_can_keep(c)) {
        c->answered = true; /* the end of the request is the next event */
        return;
    }
    keep = keep && c->state == CONN_ANSWER && !c->group->draining && !c->out.failed;
    enter(c, keep ? CONN_WAIT : CONN_FLUSH);
    wake(c);
}

/* ---- Input ---- */

/* A client that reads no answers has no more requests parsed. */
static bool wants_input(const struct http_conn *c) {
    switch (c->state) {
    case CONN_WAIT:
    case CONN_HEAD:
        return conn_queued(c) <= HTTP_STREAM_HIGH;
    case CONN_BODY:
        return !c->paused;
    case CONN_ANSWER:
    case CONN_FLUSH:
    case CONN_LINGER:
    case CONN_CLOSING:
        break;
    }
    return false;
}

static bool begin_request(struct http_conn *c) {
    void *arena = c->group->events->begin(c);
    if (!arena) {
        conn_close(c);
        return false;
    }
    http_parse_next(&c->parser, arena);
    enter(c, CONN_HEAD);
    return true;
}

static void on_event(struct http_conn *c, enum http_event event, const struct http_result *r) {
    const struct conn_events *events = c->group->events;
    switch (event) {
    case HTTP_NEED_MORE:
    case HTTP_TRAILERS:
        break;
    case HTTP_HEAD:
        enter(c, CONN_BODY);
        events->head(c);
        break;
    case HTTP_BODY:
        touch(c);
        events->body(c, r->body);
        break;
    case HTTP_END:
        enter(c, CONN_ANSWER);
        if (c->answered) {
            c->answered = false;
            conn_finish(c, true);
        } else {
            events->end(c);
        }
        break;
    case HTTP_ERROR:
        events->refused(c, r->verdict.status, r->verdict.words);
        break;
    }
}

/* Parses while the state takes input; returns how many bytes went. */
static size_t parse(struct http_conn *c, const char *bytes, size_t len) {
    size_t used = 0;
    enum http_event event = HTTP_HEAD;
    while (wants_input(c) && (used < len || event != HTTP_NEED_MORE)) {
        struct http_result r;
        if (c->state == CONN_WAIT) {
            if (used == len || !begin_request(c)) {
                break;
            }
        }
        event = http_parse_feed(&c->parser, bytes + used, len - used, &r);
        used += r.consumed;
        on_event(c, event, &r);
        if (event == HTTP_ERROR) {
            break;
        }
    }
    return used;
}

static void on_eof(struct http_conn *c) {
    c->eof = true;
    switch (c->state) {
    case CONN_WAIT:
        if (!c->in.len) {
            enter(c, CONN_FLUSH);
        }
        break;
    case CONN_HEAD:
    case CONN_BODY:
        /* What waits unparsed may yet make it whole. */
        if (!c->in.len) {
            c->group->events->refused(c, 400, "the request was cut");
        }
        break;
    case CONN_ANSWER:
        if (c->eof_is_lost) {
            conn_lose(c);
        }
        break;
    case CONN_LINGER:
        conn_close(c);
        break;
    case CONN_FLUSH:
    case CONN_CLOSING:
        break;
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    (void)suggested;
    struct http_conn *c = handle->data;
    *buf = uv_buf_init(c->group->scratch, CONN_READ);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    struct http_conn *c = stream->data;
    if (n < 0) {
        if (n == UV_EOF) {
            uv_read_stop(stream);
            c->reading = false;
            on_eof(c);
            run(c);
        } else {
            conn_lose(c);
        }
        return;
    }
    if (n == 0 || c->state >= CONN_FLUSH) {
        return; /* nothing, or nobody wants it */
    }
    size_t used = c->in.len ? 0 : parse(c, buf->base, (size_t)n);
    if (c->state < CONN_FLUSH && buf_append(&c->in, buf->base + used, (size_t)n - used)) {
        conn_lose(c);
        return;
    }
    run(c);
}

static void update_reading(struct http_conn *c) {
    bool want = !c->eof && c->state != CONN_CLOSING && c->in.len < CONN_READ &&
                !(c->state == CONN_BODY && c->paused);
    if (want && !c->reading) {
        c->reading = uv_read_start(&c->io.stream, on_alloc, on_read) == 0;
    } else if (!want && c->reading && c->state != CONN_CLOSING) {
        uv_read_stop(&c->io.stream);
        c->reading = false;
    }
}

/* ---- Turns ---- */

/* The present turn does what the connection was woken for. */
static void settle(struct http_conn *c) {
    list_remove(&c->ready);
    if (list_empty(&c->group->ready)) {
        uv_idle_stop(&c->group->idle);
    }
}

/* Parses what waits; false when nothing of it went. */
static bool parse_waiting(struct http_conn *c) {
    size_t used = c->in.len && wants_input(c) ? parse(c, c->in.data, c->in.len) : 0;
    buf_consume(&c->in, used);
    if (c->in.len == 0) {
        release(&c->in);
    }
    return used > 0;
}

/* Goes on as far as the present state allows. */
static void run(struct http_conn *c) {
    settle(c);
    do {
        flush(c);
    } while (parse_waiting(c));
    if (c->eof && !c->in.len && wants_input(c)) {
        on_eof(c);
    }
    flush(c);
    if (c->state == CONN_FLUSH && conn_queued(c) == 0) {
        linger(c);
    }
    if (c->state != CONN_CLOSING) {
        update_reading(c);
    }
}

static void on_idle(uv_idle_t *idle) {
    struct conn_group *g = idle->data;
    /* Those who become ready meanwhile have their turn after the next poll. */
    struct list now;
    list_init(&now);
    while (!list_empty(&g->ready)) {
        struct list *first = g->ready.next;
        list_remove(first);
        list_append(&now, first);
    }
    while (!list_empty(&now)) {
        struct http_conn *c = LIST_ITEM(now.next, struct http_conn, ready);
        list_remove(&c->ready);
        if (c->state != CONN_CLOSING) {
            run(c);
        }
    }
    if (list_empty(&g->ready)) {
        uv_idle_stop(&g->idle);
    }
}

/* Gives the connection a turn of its own, outside of whoever calls. */
static void wake(struct http_conn *c) {
    if (list_empty(&c->ready)) {
        list_append(&c->group->ready, &c->ready);
        uv_idle_start(&c->group->idle, on_idle);
    }
}

void conn_pause(struct http_conn *c) {
    c->paused = true;
    touch(c);
    wake(c);
}

void conn_resume(struct http_conn *c) {
    c->paused = false;
    touch(c);
    wake(c);
}

static void on_deadline(struct http_conn *c) {
    switch (c->state) {
    case CONN_WAIT:
    case CONN_LINGER:
        conn_close(c);
        break;
    case CONN_HEAD:
        c->group->events->refused(c, 408, "the request did not arrive in time");
        break;
    case CONN_BODY:
        c->group->events->refused(c, 408, "the body did not arrive in time");
        break;
    case CONN_ANSWER:
    case CONN_FLUSH:
        conn_lose(c);
        break;
    case CONN_CLOSING:
        break;
    }
}

static void on_tick(uv_timer_t *timer) {
    struct conn_group *g = timer->data;
    msec now = (msec)uv_now(g->loop);
    LIST_FOREACH_SAFE (item, next, &g->all) {
        struct http_conn *c = LIST_ITEM(item, struct http_conn, link);
        if (c->deadline && now >= c->deadline) {
            on_deadline(c);
        }
    }
}

/* ---- Beginnings ---- */

int conn_group_open(struct conn_group *g) {
    list_init(&g->all);
    list_init(&g->ready);
    g->count = 0;
    g->draining = false;
    g->scratch = malloc(CONN_READ);
    if (!g->scratch) {
        return -1;
    }
    g->idle.data = g->tick.data = g;
    uv_idle_init(g->loop, &g->idle);
    uv_timer_init(g->loop, &g->tick);
    return 0;
}

void conn_group_close(struct conn_group *g, uv_close_cb closed) {
    assert(g->count == 0);
    free(g->scratch);
    g->scratch = NULL;
    uv_close((uv_handle_t *)&g->idle, closed);
    uv_close((uv_handle_t *)&g->tick, closed);
}

struct http_conn *conn_accept(struct conn_group *g, uv_stream_t *listener) {
    struct http_conn *c = calloc(1, sizeof *c);
    if (!c) {
        return NULL;
    }
    c->group = g;
    list_init(&c->ready);
    buf_init(&c->in, 2 * CONN_READ);
    buf_init(&c->out, SIZE_MAX / 4);
    buf_init(&c->sending, SIZE_MAX / 4);
    http_parse_init(&c->parser, HTTP_PARSE_REQUESTS, g->limits);
    if (listener->type == UV_TCP) {
        uv_tcp_init(g->loop, &c->io.tcp);
    } else {
        uv_pipe_init(g->loop, &c->io.pipe, 0);
    }
    c->io.handle.data = c->write.data = c->shutdown.data = c;
    list_append(&g->all, &c->link);
    if (g->count++ == 0) {
        uv_timer_start(&g->tick, on_tick, CONN_TICK, CONN_TICK);
    }
    if (uv_accept(listener, &c->io.stream)) {
        conn_close(c);
        return NULL;
    }
    if (listener->type == UV_TCP) {
        uv_tcp_nodelay(&c->io.tcp, 1);
    }
    enter(c, CONN_WAIT);
    wake(c);
    return c;
}

void conn_group_drain(struct conn_group *g) {
    g->draining = true;
    LIST_FOREACH (item, &g->all) {
        struct http_conn *c = LIST_ITEM(item, struct http_conn, link);
        if (c->state == CONN_WAIT) {
            enter(c, CONN_FLUSH);
            wake(c);
        }
    }
}
