/* Bytes both ways. SPDX-License-Identifier: Apache-2.0 */
#include "tunnel.h"

#include <sys/socket.h>

#include "client.h"
#include "upstream.h"
#include "worker.h"

static void alive(struct client *c) {
    upstream_timer(c->exchange.upstream, TUNNEL_IDLE_TIMEOUT);
}

void tunnel_begin(struct client *c) {
    struct upstream *u = c->exchange.upstream;
    c->state = CLIENT_TUNNEL;
    c->exchange.state = EXCHANGE_TUNNEL;
    flow_timer(&c->flow, 0);
    alive(c);
    count_add(&c->flow.worker->counters.tunnels_total, 1);
    if (c->half_closed) {
        tunnel_client_ended(c);
    } else {
        client_go_on(c);
    }
    u->half_closed = false;
}

void tunnel_from_client(struct client *c, const char *bytes, size_t len) {
    flow_put(&c->exchange.upstream->flow, bytes, len);
    alive(c);
}

void tunnel_from_upstream(struct client *c, const char *bytes, size_t len) {
    flow_put(&c->flow, bytes, len);
    alive(c);
}

static void shut_output(struct flow *flow) {
    uv_os_fd_t fd;
    flow_flush(flow->worker);
    if (flow->queued == 0 && uv_fileno((uv_handle_t *)&flow->tcp, &fd) == 0) {
        shutdown(fd, SHUT_WR);
    }
}

/* Both ends are passed on, and nothing waits: the tunnel is over. */
static bool over(struct client *c) {
    struct upstream *u = c->exchange.upstream;
    return c->half_closed && u->half_closed && c->flow.queued == 0 && u->flow.queued == 0;
}

void tunnel_client_ended(struct client *c) {
    c->half_closed = true;
    shut_output(&c->exchange.upstream->flow);
    if (over(c)) {
        client_cut(c, false);
    }
}

void tunnel_upstream_ended(struct client *c) {
    c->exchange.upstream->half_closed = true;
    shut_output(&c->flow);
    if (over(c)) {
        client_cut(c, false);
    }
}

void tunnel_drained(struct client *c) {
    struct upstream *u = c->exchange.upstream;
    if (c->half_closed) {
        shut_output(&u->flow);
    }
    if (u->half_closed) {
        shut_output(&c->flow);
    }
    if (over(c)) {
        client_cut(c, false);
    }
}
