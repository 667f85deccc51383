/* The DNS forwarder: questions over TCP. SPDX-License-Identifier: Apache-2.0
 *
 * A connection of an instance is joined to one to a server, and bytes are passed on in both
 * directions, a buffer at a time: nothing is read from one side before the other has taken what was
 * read last. It ends when either side ends or fails, after a silence, and after its time. A server
 * that can't be reached is followed by the next.
 */
#include "dns_forward.h"

#include <stdlib.h>
#include <string.h>

enum {
    RELAY_BYTES = 4096, /* under way in each direction */
    BACKLOG = 64,
};

struct relay;

/* One direction. */
struct flow {
    struct relay *relay;
    uv_tcp_t *from;
    uv_tcp_t *to;
    uv_write_t write;
    char bytes[RELAY_BYTES];
};

struct relay {
    struct list link;
    struct dns *dns;
    struct in_addr client_address;
    uv_tcp_t client;
    uv_tcp_t server;
    uv_timer_t timer;
    uv_connect_t connect;
    struct flow up, down;
    unsigned open; /* handles that are not closed yet */
    unsigned tries;
    uint64_t deadline; /* uv_now() at which it ends, whatever happens */
    bool ending;
};

static void on_closed(uv_handle_t *handle) {
    struct relay *r = handle->data;
    if (--r->open == 0) {
        struct dns *dns = r->dns;
        free(r);
        dns_release(dns);
    }
}

static void end_relay(struct relay *r) {
    if (r->ending) {
        return;
    }
    r->ending = true;
    list_remove(&r->link);
    r->dns->connection_count--;
    uv_close((uv_handle_t *)&r->client, on_closed);
    uv_close((uv_handle_t *)&r->timer, on_closed);
    if (!uv_is_closing((uv_handle_t *)&r->server)) {
        uv_close((uv_handle_t *)&r->server, on_closed);
    }
}

static void on_timer(uv_timer_t *timer) {
    end_relay(timer->data);
}

/* Something passed: silence begins anew, within the relay's time. */
static void touch(struct relay *r) {
    uint64_t now = uv_now(r->dns->loop);
    uint64_t left = r->deadline > now ? r->deadline - now : 0;
    uv_timer_start(
        &r->timer, on_timer, left < DNS_CONNECTION_IDLE_MS ? left : DNS_CONNECTION_IDLE_MS, 0);
}

static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *out) {
    (void)suggested;
    struct relay *r = handle->data;
    struct flow *flow = (uv_tcp_t *)handle == &r->client ? &r->up : &r->down;
    *out = uv_buf_init(flow->bytes, sizeof(flow->bytes));
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *in);

static void on_written(uv_write_t *write, int status) {
    struct flow *flow = write->data;
    if (flow->relay->ending) {
        return;
    }
    if (status != 0 || uv_read_start((uv_stream_t *)flow->from, give_buffer, on_read) != 0) {
        end_relay(flow->relay);
    }
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *in) {
    struct relay *r = stream->data;
    struct flow *flow = (uv_tcp_t *)stream == &r->client ? &r->up : &r->down;
    if (len == 0) {
        return;
    }
    if (len < 0) {
        end_relay(r);
        return;
    }
    touch(r);
    uv_read_stop(stream);
    uv_buf_t out = uv_buf_init(in->base, (unsigned)len);
    if (uv_write(&flow->write, (uv_stream_t *)flow->to, &out, 1, on_written) != 0) {
        end_relay(r);
    }
}

static void connect_next(struct relay *r);

static void on_failed_closed(uv_handle_t *handle) {
    struct relay *r = handle->data;
    if (r->ending) {
        on_closed(handle);
        return;
    }
    r->open--;
    connect_next(r);
}

static void on_connected(uv_connect_t *connect, int status) {
    struct relay *r = connect->data;
    if (r->ending) {
        return;
    }
    if (status != 0) {
        uv_close((uv_handle_t *)&r->server, on_failed_closed);
        return;
    }
    touch(r);
    if (uv_read_start((uv_stream_t *)&r->client, give_buffer, on_read) != 0 ||
        uv_read_start((uv_stream_t *)&r->server, give_buffer, on_read) != 0) {
        end_relay(r);
    }
}

/* Goes on to the next server; its handle is closed, or was never opened. */
static void connect_next(struct relay *r) {
    struct dns *dns = r->dns;
    bool more = r->tries < DNS_TRIES && dns->server_count > 0;
    uv_tcp_init(dns->loop, &r->server);
    r->server.data = r;
    r->open++;
    if (!more) {
        end_relay(r);
        return;
    }
    const struct sockaddr_storage *server = &dns->servers[r->tries++ % dns->server_count];
    if (uv_tcp_connect(&r->connect, &r->server, (const struct sockaddr *)server, on_connected)) {
        uv_close((uv_handle_t *)&r->server, on_failed_closed);
    }
}

static unsigned connections_of(const struct dns *dns, struct in_addr client) {
    unsigned count = 0;
    LIST_FOREACH (at, &dns->connections) {
        count += LIST_ITEM(at, struct relay, link)->client_address.s_addr == client.s_addr;
    }
    return count;
}

/* Whether the accepted client may have its relay; remembers its address. */
static bool admit(struct relay *r) {
    struct sockaddr_storage peer = { 0 };
    int len = sizeof(peer);
    if (uv_tcp_getpeername(&r->client, (struct sockaddr *)&peer, &len) != 0 ||
        !dns_serves(r->dns, (const struct sockaddr *)&peer)) {
        return false;
    }
    r->client_address = ((const struct sockaddr_in *)&peer)->sin_addr;
    return r->dns->connection_count < DNS_CONNECTIONS_MAX &&
           connections_of(r->dns, r->client_address) < DNS_CONNECTIONS_CLIENT;
}

static void on_connection(uv_stream_t *listener, int status) {
    struct dns *dns = listener->data;
    struct relay *r = status == 0 ? calloc(1, sizeof(*r)) : NULL;
    if (!r) {
        return; /* it stays with libuv, which accepts no more: without memory UDP has to do */
    }
    r->dns = dns;
    r->deadline = uv_now(dns->loop) + DNS_CONNECTION_LIFE_MS;
    r->up = (struct flow){ .relay = r, .from = &r->client, .to = &r->server };
    r->down = (struct flow){ .relay = r, .from = &r->server, .to = &r->client };
    r->up.write.data = &r->up;
    r->down.write.data = &r->down;
    r->connect.data = r;
    uv_tcp_init(dns->loop, &r->client);
    uv_timer_init(dns->loop, &r->timer);
    r->client.data = r->timer.data = r;
    r->open = 2;
    bool admitted = uv_accept(listener, (uv_stream_t *)&r->client) == 0 && admit(r);
    list_append(&dns->connections, &r->link);
    dns->connection_count++;
    dns->held++;
    if (!admitted) {
        dns->stats.refused++;
        r->tries = DNS_TRIES; /* to no server at all: it ends at once */
    } else {
        dns->stats.connections++;
        touch(r);
    }
    connect_next(r);
}

int dns_tcp_listen(struct dns *dns) {
    return uv_listen((uv_stream_t *)&dns->tcp, BACKLOG, on_connection);
}

void dns_tcp_end(struct dns *dns) {
    while (!list_empty(&dns->connections)) {
        end_relay(LIST_ITEM(dns->connections.next, struct relay, link));
    }
}
