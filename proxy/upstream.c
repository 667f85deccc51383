/* Connections to instances. SPDX-License-Identifier: Apache-2.0 */
#include "upstream.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "client.h"
#include "tunnel.h"
#include "worker.h"

/* A kept connection ended, or was told to: out of the pool. */
static void pool_leave(struct upstream *u) {
    struct backend *b = u->backend;
    if (!b) {
        return;
    }
    if (!u->client) {
        b->idle_count--;
    }
    list_remove(&u->link);
    u->backend = NULL;
    backend_maybe_free(b);
}

static void close_upstream(struct upstream *u) {
    arena_give(&u->flow.worker->memory, u->arena);
    u->arena = NULL;
    pool_leave(u);
    flow_close(&u->flow);
}

static void on_closed(struct flow *c) {
    struct upstream *u = LIST_ITEM(c, struct upstream, flow);
    struct proxy_worker *w = c->worker;
    u->next = w->spare_upstreams;
    w->spare_upstreams = u;
    worker_maybe_done(w);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf);

void upstream_await(struct upstream *u) {
    const struct exchange *x = &u->client->exchange;
    if (!x->request_whole) {
        flow_timer(&u->client->flow, CLIENT_STALL_TIMEOUT);
    }
    if (x->state == EXCHANGE_ANSWERING) {
        upstream_timer(u, UPSTREAM_STALL_TIMEOUT);
    } else {
        upstream_timer(u, x->request_whole ? UPSTREAM_ANSWER_TIMEOUT : 0);
    }
}

void upstream_read(struct upstream *u) {
    flow_read(&u->flow, on_read);
}

static void on_news(struct flow *c, unsigned news) {
    struct upstream *u = LIST_ITEM(c, struct upstream, flow);
    struct client *client = u->client;
    if (!client || c->closing) {
        return;
    }
    bool tunnel = client->exchange.state == EXCHANGE_TUNNEL;
    if (news & FLOW_BROKEN) {
        /* An instance may answer early and close: what it said is read before this counts. */
        upstream_read(u);
    }
    if (news & FLOW_CONGESTED) {
        flow_pause(&client->flow);
        if (!tunnel && backend_lives(u->backend)) {
            flow_timer(&client->flow, 0); /* it is the instance that does not read */
            flow_watch_progress(c);
        }
    }
    if (news & FLOW_DRAINED) {
        if (tunnel) {
            tunnel_drained(client);
        } else {
            upstream_await(u);
        }
        client_go_on(client);
    }
}

static const struct flow_events events = { .news = on_news, .closed = on_closed };

/* An idle connection closed, or spoke unasked. */
static void idle_ended(struct upstream *u) {
    struct backend *b = u->backend;
    msec idle = worker_now(u->flow.worker) - u->idle_since;
    if (idle > 0 && (b->idle_close == 0 || idle < b->idle_close)) {
        b->idle_close = idle;
    }
    close_upstream(u);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
    struct flow *c = stream->data;
    struct upstream *u = LIST_ITEM(c, struct upstream, flow);
    struct proxy_worker *w = c->worker;
    if (len == 0 || c->closing) {
        return;
    }
    if (len < 0) {
        c->reading = false; /* libuv stopped */
    }
    if (!u->client) {
        idle_ended(u);
    } else if (len > 0) {
        exchange_answer(u->client, buf->base, (size_t)len);
    } else {
        exchange_upstream_ended(u->client, len != UV_EOF);
    }
    flow_settle(w);
}

static void on_timeout(struct wheel_timer *t) {
    struct flow *c = LIST_ITEM(t, struct flow, timer);
    struct upstream *u = LIST_ITEM(c, struct upstream, flow);
    if (!u->client) {
        close_upstream(u);
        return;
    }
    struct client *client = u->client;
    if (backend_lives(u->backend) && flow_made_progress(c)) {
        return; /* it reads the request, if slowly */
    }
    switch (client->exchange.state) {
    case EXCHANGE_CONNECTING:
        exchange_attempt_failed(client, ATTEMPT_NOT_CONNECTED);
        break;
    case EXCHANGE_AWAITING:
        /* One that was stopped will not answer: another may. */
        exchange_attempt_failed(
            client, backend_lives(u->backend) ? ATTEMPT_SILENT : ATTEMPT_CLOSED);
        break;
    case EXCHANGE_ANSWERING:
    case EXCHANGE_TUNNEL:
        client_cut(client, true);
        break;
    case EXCHANGE_NONE:
    case EXCHANGE_HELD:
        break;
    }
}

static void on_connected(uv_connect_t *req, int status) {
    struct upstream *u = LIST_ITEM(req, struct upstream, connect);
    struct proxy_worker *w = u->flow.worker;
    if (u->flow.closing || !u->client) {
        return;
    }
    if (status < 0) {
        exchange_attempt_failed(u->client, ATTEMPT_NOT_CONNECTED);
    } else {
        upstream_read(u);
        exchange_connected(u->client);
    }
    flow_settle(w);
}

void upstream_timer(struct upstream *u, msec after) {
    if (u->backend && backend_lives(u->backend)) {
        flow_timer(&u->flow, after);
    }
}

static struct upstream *take_spare(struct proxy_worker *w) {
    struct upstream *u = w->spare_upstreams;
    if (u) {
        w->spare_upstreams = u->next;
    } else {
        u = malloc(sizeof *u);
    }
    return u;
}

struct upstream *upstream_connect(struct backend *b, struct client *c) {
    struct proxy_worker *w = b->worker;
    struct upstream *u = take_spare(w);
    if (!u) {
        return NULL;
    }
    memset(u, 0, offsetof(struct upstream, next));
    if (flow_init(&u->flow, w, &events, on_timeout) != 0) {
        u->next = w->spare_upstreams;
        w->spare_upstreams = u;
        return NULL;
    }
    list_init(&u->link);
    http_parse_init(&u->parser, HTTP_PARSE_RESPONSES, worker_limits(w));
    if (uv_tcp_connect(&u->connect, &u->flow.tcp, &b->address.any, on_connected) != 0) {
        flow_close(&u->flow);
        return NULL;
    }
    uv_tcp_nodelay(&u->flow.tcp, 1);
    u->backend = b;
    u->client = c;
    list_append(&b->busy, &u->link);
    flow_timer(&u->flow, UPSTREAM_CONNECT_TIMEOUT);
    count_add(&w->counters.upstream_connects_total, 1);
    return u;
}

static bool nothing_to_read(struct upstream *u) {
    uv_os_fd_t fd;
    char byte;
    return uv_fileno((uv_handle_t *)&u->flow.tcp, &fd) == 0 &&
           recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0;
}

/* How long an idle connection can be trusted with a request that must not be sent twice. */
static msec trusted_idle(const struct backend *b) {
    return b->idle_close && b->idle_close / 2 < UPSTREAM_FRESH ? b->idle_close / 2 : UPSTREAM_FRESH;
}

struct upstream *upstream_take(struct backend *b, struct client *c, enum upstream_wish wish) {
    if (list_empty(&b->idle)) {
        return NULL;
    }
    struct upstream *u = LIST_ITEM(b->idle.next, struct upstream, link);
    struct proxy_worker *w = u->flow.worker;
    if (wish == UPSTREAM_SURE &&
        (worker_now(w) - u->idle_since > trusted_idle(b) || !nothing_to_read(u))) {
        return NULL;
    }
    list_remove(&u->link);
    list_append(&b->busy, &u->link);
    b->idle_count--;
    u->client = c;
    u->reused = true;
    flow_timer(&u->flow, 0);
    count_add(&w->counters.upstream_reused_total, 1);
    return u;
}

void upstream_keep(struct upstream *u) {
    struct backend *b = u->backend;
    struct proxy_worker *w = u->flow.worker;
    if (b->idle_count >= UPSTREAM_IDLE_MAX || !b->app || b->state != INSTANCE_HEALTHY ||
        u->flow.queued || u->flow.broken || !u->flow.reading || w->draining) {
        upstream_drop(u);
        return;
    }
    arena_give(&w->memory, u->arena);
    u->arena = NULL;
    u->client = NULL;
    u->idle_since = worker_now(w);
    list_remove(&u->link);
    list_prepend(&b->idle, &u->link);
    b->idle_count++;
    flow_timer(&u->flow, UPSTREAM_IDLE_TIMEOUT);
}

void upstream_drop(struct upstream *u) {
    close_upstream(u);
    u->client = NULL;
}

void upstream_close_idle(struct backend *b) {
    b->idle_count++; /* keeps the backend while its last connection leaves */
    while (!list_empty(&b->idle)) {
        close_upstream(LIST_ITEM(b->idle.next, struct upstream, link));
    }
    b->idle_count--;
}

void upstream_expire_busy(struct backend *b) {
    LIST_FOREACH (item, &b->busy) {
        flow_timer(&LIST_ITEM(item, struct upstream, link)->flow, UPSTREAM_ENDED_GRACE);
    }
}
