/* Connections from the world. SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hold.h"
#include "refusal.h"
#include "tunnel.h"
#include "upstream.h"
#include "worker.h"

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf);

/* ---- Ends ---- */

static void close_client(struct client *c, bool reset) {
    struct proxy_worker *w = c->flow.worker;
    if (c->state == CLIENT_GONE) {
        return;
    }
    c->state = CLIENT_GONE;
    list_remove(&c->idle);
    list_remove(&c->link);
    addresses_leave(w->addresses, c->address_slot);
    w->client_count--;
    count_add(&w->counters.connections_open, -1);
    if (reset) {
        flow_reset(&c->flow);
    } else {
        flow_close(&c->flow);
    }
    /* After the close has flushed what pointed into them. */
    block_give(&w->memory, c->in);
    arena_give(&w->memory, c->arena);
    c->in = NULL;
    c->arena = NULL;
    listener_room(w);
}

void client_cut(struct client *c, bool visibly) {
    if (c->state == CLIENT_BUSY) {
        count_add(&c->flow.worker->counters.requests_abandoned_total, 1);
    }
    exchange_abort(c);
    close_client(c, visibly);
}

static void on_closed(struct flow *flow) {
    struct client *c = LIST_ITEM(flow, struct client, flow);
    struct proxy_worker *w = flow->worker;
    if (!c->is_ready) { /* else worker_next_requests() does it */
        c->next = w->spare_clients;
        w->spare_clients = c;
    }
    worker_maybe_done(w);
}

/* The last answer has left: close, at once or after the peer had time to read it. */
static void shut(struct client *c) {
    uv_os_fd_t fd;
    if (!c->linger || uv_fileno((uv_handle_t *)&c->flow.tcp, &fd) != 0) {
        close_client(c, false);
        return;
    }
    c->state = CLIENT_LINGERING;
    shutdown(fd, SHUT_WR);
    flow_read(&c->flow, on_read);
    flow_timer(&c->flow, CLIENT_LINGER);
}

static void flush_and_close(struct client *c) {
    c->state = CLIENT_FLUSHING;
    flow_flush(c->flow.worker);
    if (c->flow.queued == 0 || c->flow.broken) {
        shut(c);
    } else {
        flow_watch_progress(&c->flow);
    }
}

void client_done(struct client *c, bool keep) {
    struct proxy_worker *w = c->flow.worker;
    c->exchange.state = EXCHANGE_NONE;
    if (!keep || c->half_closed || w->draining) {
        /* Unless it said that it would not, the peer may be sending more. */
        c->linger |= !c->exchange.request_whole || c->parser.head.facts.keep_alive;
        flush_and_close(c);
        return;
    }
    /* Trailers of the request may still be in the outbox, but never slices of its arena: those are
     * copied when heads are made. */
    arena_give(&w->memory, c->arena);
    c->arena = NULL;
    c->state = CLIENT_IDLE;
    list_append(&w->idle_clients, &c->idle);
    flow_timer(&c->flow, CLIENT_IDLE_TIMEOUT);
    client_go_on(c);
}

bool client_reap(struct proxy_worker *w) {
    if (list_empty(&w->idle_clients)) {
        return false;
    }
    close_client(LIST_ITEM(w->idle_clients.next, struct client, idle), false);
    count_add(&w->counters.connections_reaped_total, 1);
    return true;
}

void client_drain_idle(struct proxy_worker *w) {
    while (!list_empty(&w->idle_clients)) {
        close_client(LIST_ITEM(w->idle_clients.next, struct client, idle), false);
    }
}

void client_cut_all(struct proxy_worker *w) {
    while (!list_empty(&w->clients)) {
        client_cut(LIST_ITEM(w->clients.next, struct client, link), true);
    }
}

/* ---- What comes in ---- */

void client_go_on(struct client *c) {
    struct proxy_worker *w = c->flow.worker;
    if (c->state == CLIENT_GONE || c->half_closed) {
        return;
    }
    if (!c->in) {
        flow_read(&c->flow, on_read);
    } else if (!c->is_ready) {
        c->is_ready = true;
        c->next = w->ready;
        w->ready = c;
    }
}

static bool begin_head(struct client *c) {
    struct proxy_worker *w = c->flow.worker;
    c->arena = arena_take(&w->memory);
    if (!c->arena) {
        return false;
    }
    http_parse_next(&c->parser, c->arena->bytes);
    list_remove(&c->idle);
    c->state = CLIENT_HEAD;
    c->head_late = false;
    c->exchange.request_whole = false;
    c->exchange.id_len = 0;
    return true;
}

/* True while what comes next can be used. */
static bool takes_more(const struct client *c) {
    switch (c->state) {
    case CLIENT_IDLE:
    case CLIENT_HEAD:
        return c->flow.queued <= FLOW_HIGH; /* else it must read first */
    case CLIENT_BUSY:
        return exchange_takes_more(c);
    case CLIENT_TUNNEL:
    case CLIENT_FLUSHING:
    case CLIENT_LINGERING:
    case CLIENT_GONE:
        break;
    }
    return false;
}

/* More bytes are needed for a head or a body. */
static void wait_for_more(struct client *c) {
    if (c->state == CLIENT_BUSY) {
        flow_timer(&c->flow, CLIENT_STALL_TIMEOUT);
    } else if (!c->head_late) {
        c->head_late = true;
        flow_timer(&c->flow, CLIENT_HEADER_TIMEOUT);
    }
}

static void on_head(struct client *c) {
    c->state = CLIENT_BUSY;
    flow_timer(&c->flow, 0);
    exchange_begin(c);
}

/* Uses bytes until they are all used, or no more can be used now. Returns how many were. */
static size_t consume(struct client *c, const char *bytes, size_t len) {
    size_t used = 0;
    while (takes_more(c)) {
        struct http_result r;
        if (c->state == CLIENT_IDLE && used == len) {
            break;
        }
        if (c->state == CLIENT_IDLE && !begin_head(c)) {
            client_cut(c, true); /* no memory */
            break;
        }
        enum http_event event = http_parse_feed(&c->parser, bytes + used, len - used, &r);
        used += r.consumed;
        switch (event) {
        case HTTP_NEED_MORE:
            wait_for_more(c);
            return used;
        case HTTP_HEAD:
            on_head(c);
            break;
        case HTTP_BODY:
            exchange_body(c, r.body);
            break;
        case HTTP_TRAILERS: /* written by exchange_whole() */
            break;
        case HTTP_END:
            flow_timer(&c->flow, 0);
            exchange_whole(c);
            break;
        case HTTP_ERROR:
            c->linger = true;
            refuse_verdict(c, r.verdict.status, r.verdict.words);
            break;
        }
    }
    return used;
}

/* Keeps what could not be used, and stops reading. */
static void keep_input(struct client *c, const char *bytes, size_t len) {
    struct block *b = block_take(&c->flow.worker->memory);
    if (!b) {
        client_cut(c, true);
        return;
    }
    memcpy(b->data, bytes, len);
    b->len = len;
    c->in = b;
    flow_pause(&c->flow);
}

static void input(struct client *c, const char *bytes, size_t len) {
    switch (c->state) {
    case CLIENT_IDLE:
    case CLIENT_HEAD:
    case CLIENT_BUSY: {
        size_t used = consume(c, bytes, len);
        bool open = c->state == CLIENT_IDLE || c->state == CLIENT_HEAD || c->state == CLIENT_BUSY;
        if (used < len && open) {
            keep_input(c, bytes + used, len - used);
        }
        break;
    }
    case CLIENT_TUNNEL:
        tunnel_from_client(c, bytes, len);
        break;
    case CLIENT_FLUSHING:
    case CLIENT_LINGERING:
    case CLIENT_GONE:
        break;
    }
}

void client_proceed(struct client *c) {
    struct proxy_worker *w = c->flow.worker;
    struct block *b = c->in;
    if (!b) {
        return;
    }
    c->in = NULL;
    input(c, b->data + b->at, b->len);
    flow_flush(w); /* slices of the block may be in the outbox */
    block_give(&w->memory, b);
    if (!c->in && c->state != CLIENT_GONE && !c->half_closed) {
        flow_read(&c->flow, on_read);
    }
}

/* The peer ended its side. One that sent a whole request may still want the answer. */
static void input_ended(struct client *c) {
    switch (c->state) {
    case CLIENT_BUSY:
        if (c->exchange.request_whole && c->exchange.state != EXCHANGE_HELD) {
            c->half_closed = true;
            return;
        }
        break;
    case CLIENT_TUNNEL:
        tunnel_client_ended(c);
        return;
    case CLIENT_FLUSHING: /* our answer leaves all the same */
        c->linger = false;
        return;
    case CLIENT_IDLE:
    case CLIENT_HEAD:
    case CLIENT_LINGERING:
    case CLIENT_GONE:
        break;
    }
    client_cut(c, false);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
    struct flow *flow = stream->data;
    struct client *c = LIST_ITEM(flow, struct client, flow);
    struct proxy_worker *w = flow->worker;
    if (len == 0 || flow->closing) {
        return;
    }
    if (len > 0) {
        input(c, buf->base, (size_t)len);
    } else {
        flow->reading = false; /* libuv stopped */
        if (len == UV_EOF) {
            input_ended(c);
        } else {
            client_cut(c, false);
        }
    }
    flow_settle(w);
}

/* ---- Output ---- */

static void on_news(struct flow *flow, unsigned news) {
    struct client *c = LIST_ITEM(flow, struct client, flow);
    struct upstream *u = c->exchange.upstream;
    if (c->state == CLIENT_GONE) {
        return;
    }
    if (news & FLOW_BROKEN) {
        client_cut(c, false);
        return;
    }
    bool held = c->state == CLIENT_BUSY && c->exchange.state == EXCHANGE_HELD;
    if (held) {
        return; /* its timer is the hold's */
    }
    if (news & FLOW_CONGESTED) {
        flow_watch_progress(flow);
        if (c->state == CLIENT_IDLE || c->state == CLIENT_HEAD) {
            flow_pause(flow); /* it asks, and does not read the answers */
        }
        if (u && c->state != CLIENT_FLUSHING) {
            flow_pause(&u->flow);
            flow_timer(&u->flow, 0);
        }
    }
    if (!(news & FLOW_DRAINED)) {
        return;
    }
    switch (c->state) {
    case CLIENT_FLUSHING:
        shut(c);
        break;
    case CLIENT_TUNNEL:
        flow_timer(flow, 0);
        upstream_read(u);
        tunnel_drained(c);
        break;
    case CLIENT_BUSY:
        flow_timer(flow, 0);
        if (u && c->exchange.state == EXCHANGE_ANSWERING) {
            upstream_read(u);
            upstream_await(u);
        }
        break;
    case CLIENT_IDLE:
        flow_timer(flow, CLIENT_IDLE_TIMEOUT);
        client_go_on(c);
        break;
    case CLIENT_HEAD:
        flow_timer(flow, CLIENT_HEADER_TIMEOUT);
        client_go_on(c);
        break;
    case CLIENT_LINGERING:
    case CLIENT_GONE:
        break;
    }
}

static const struct flow_events events = { .news = on_news, .closed = on_closed };

static void on_timeout(struct wheel_timer *t) {
    struct flow *flow = LIST_ITEM(t, struct flow, timer);
    struct client *c = LIST_ITEM(flow, struct client, flow);
    if (c->state != CLIENT_LINGERING && flow_made_progress(flow)) {
        return; /* it reads, if slowly */
    }
    switch (c->state) {
    case CLIENT_HEAD:
        c->linger = true;
        refuse(c, &(struct refusal){ .status = 408,
                      .code = ERR_REQUEST_TIMEOUT,
                      .detail = "the request's head did not arrive in time",
                      .hint = "" });
        return;
    case CLIENT_BUSY:
        if (c->exchange.state == EXCHANGE_HELD) {
            hold_expired(c);
            return;
        }
        if (!c->exchange.request_whole && c->exchange.state != EXCHANGE_ANSWERING) {
            c->linger = true;
            refuse(c, &(struct refusal){ .status = 408,
                          .code = ERR_REQUEST_TIMEOUT,
                          .detail = "the request's body did not arrive in time",
                          .hint = "" });
            return;
        }
        client_cut(c, true);
        return;
    case CLIENT_TUNNEL:
    case CLIENT_FLUSHING:
        client_cut(c, true);
        return;
    case CLIENT_IDLE:
    case CLIENT_LINGERING:
        client_cut(c, false);
        return;
    case CLIENT_GONE:
        return;
    }
}

/* ---- Begin ---- */

static void write_address(struct client *c, const struct sockaddr *peer) {
    if (peer->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)peer;
        inet_ntop(AF_INET, &v4->sin_addr, c->address, sizeof c->address);
    } else {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)peer;
        const struct in6_addr *a = &v6->sin6_addr;
        if (IN6_IS_ADDR_V4MAPPED(a)) {
            inet_ntop(AF_INET, &a->s6_addr[12], c->address, sizeof c->address);
        } else {
            inet_ntop(AF_INET6, a, c->address, sizeof c->address);
        }
    }
    c->address_len = strlen(c->address);
}

static struct client *take_spare(struct proxy_worker *w) {
    struct client *c = w->spare_clients;
    if (c) {
        w->spare_clients = c->next;
    } else {
        c = malloc(sizeof *c);
    }
    if (c) {
        memset(c, 0, sizeof *c);
    }
    return c;
}

void client_accept(
    struct proxy_worker *w, int fd, const struct sockaddr *peer, unsigned address_slot) {
    struct client *c = take_spare(w);
    if (!c || flow_init(&c->flow, w, &events, on_timeout) != 0) {
        free(c);
        close(fd);
        addresses_leave(w->addresses, address_slot);
        return;
    }
    list_init(&c->link);
    list_init(&c->idle);
    queue_item_init(&c->exchange.held);
    http_parse_init(&c->parser, HTTP_PARSE_REQUESTS, worker_limits(w));
    c->address_slot = address_slot;
    write_address(c, peer);
    list_append(&w->clients, &c->link);
    list_append(&w->idle_clients, &c->idle);
    w->client_count++;
    count_add(&w->counters.connections_total, 1);
    count_add(&w->counters.connections_open, 1);
    if (uv_tcp_open(&c->flow.tcp, fd) != 0) {
        close(fd);
        close_client(c, false);
        return;
    }
    uv_tcp_nodelay(&c->flow.tcp, 1);
    flow_read(&c->flow, on_read);
    flow_timer(&c->flow, CLIENT_IDLE_TIMEOUT);
}
