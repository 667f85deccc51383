/* The DNS forwarder: questions over UDP. SPDX-License-Identifier: Apache-2.0
 *
 * A question comes in, gets an id and a socket of its own (so its port, too, is the kernel's random
 * choice) and goes to the first server. The answer, if it is one to this question, goes back under
 * the client's id. A server that is silent or unreachable is followed by the next; after the last
 * the client hears SERVFAIL. Beyond a bound, and when it is not understood, a question is dropped.
 */
#include "dns_forward.h"
#include "dns_message.h"

#include <paas/file.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* One server asked; its handle may outlive the query. */
struct attempt {
    uv_udp_t socket;
    struct dns *dns;
    struct query *query; /* NULL once it is given up */
    uint8_t answer[DNS_ANSWER_BYTES];
};

struct query {
    struct list link;
    struct dns *dns;
    struct sockaddr_in client;
    uint16_t client_id;
    unsigned tries;
    struct attempt *attempt; /* the current one, or NULL */
    uv_timer_t timer;
    size_t len;
    size_t question; /* bytes of header and question */
    uint8_t message[DNS_QUERY_BYTES];
};

bool dns_serves(const struct dns *dns, const struct sockaddr *address) {
    const struct sockaddr_in *a = (const struct sockaddr_in *)address;
    return address->sa_family == AF_INET &&
           (a->sin_addr.s_addr & dns->mask) == (dns->network.s_addr & dns->mask);
}

void dns_release(struct dns *dns) {
    dns->held--;
    if (dns->ending && dns->held == 0 && dns->handles == 0) {
        free(dns);
    }
}

/* --- one query --------------------------------------------------------------------------- */

static void on_attempt_closed(uv_handle_t *handle) {
    struct attempt *attempt = handle->data;
    struct dns *dns = attempt->dns;
    free(attempt);
    dns_release(dns);
}

static void drop_attempt(struct query *q) {
    if (q->attempt) {
        q->attempt->query = NULL;
        uv_close((uv_handle_t *)&q->attempt->socket, on_attempt_closed);
        q->attempt = NULL;
    }
}

static void on_timer_closed(uv_handle_t *handle) {
    struct query *q = handle->data;
    struct dns *dns = q->dns;
    free(q);
    dns_release(dns);
}

static void end_query(struct query *q) {
    drop_attempt(q);
    list_remove(&q->link);
    q->dns->query_count--;
    uv_close((uv_handle_t *)&q->timer, on_timer_closed);
}

/* Sends to the client; what does not fit into the socket now is lost, as UDP may be. */
static void reply(struct query *q, uint8_t *message, size_t len) {
    dns_message_set_id(message, q->client_id);
    uv_buf_t out = uv_buf_init((char *)message, (unsigned)len);
    uv_udp_try_send(&q->dns->udp, &out, 1, (struct sockaddr *)&q->client);
}

static void fail_query(struct query *q) {
    q->dns->stats.failed++;
    reply(q, q->message, dns_message_fail(q->message, q->question));
    end_query(q);
}

static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *out) {
    (void)suggested;
    struct attempt *attempt = handle->data;
    *out = uv_buf_init((char *)attempt->answer, sizeof(attempt->answer));
}

static void ask_next(struct query *q);

static void on_answer(uv_udp_t *socket, ssize_t len, const uv_buf_t *in,
    const struct sockaddr *from, unsigned flags) {
    struct attempt *attempt = socket->data;
    struct query *q = attempt->query;
    if (!q || (len == 0 && !from)) { /* nothing more to read */
        return;
    }
    if (len < 0) { /* the server's host says that nobody listens */
        ask_next(q);
        return;
    }
    uint8_t *answer = (uint8_t *)in->base;
    if (!dns_message_answers(q->message, q->question, answer, (size_t)len)) {
        return; /* a guess, or late: the real one may still come */
    }
    q->dns->stats.answered++;
    if (flags & UV_UDP_PARTIAL) {
        reply(q, q->message, dns_message_truncate(q->message, q->question));
    } else {
        reply(q, answer, (size_t)len);
    }
    end_query(q);
}

/* Opens a socket to the server of this try and sends the question. 0 or a libuv error. */
static int ask(struct query *q, const struct sockaddr *server) {
    struct attempt *attempt = calloc(1, sizeof(*attempt));
    if (!attempt) {
        return UV_ENOMEM;
    }
    int failed = uv_udp_init(q->dns->loop, &attempt->socket);
    if (failed) {
        free(attempt);
        return failed;
    }
    attempt->socket.data = attempt;
    attempt->dns = q->dns;
    attempt->query = q;
    q->attempt = attempt;
    q->dns->held++;
    uint16_t id;
    if (getrandom(&id, sizeof(id), 0) != sizeof(id)) {
        return UV_EIO;
    }
    dns_message_set_id(q->message, id);
    uv_buf_t out = uv_buf_init((char *)q->message, (unsigned)q->len);
    if ((failed = uv_udp_connect(&attempt->socket, server)) ||
        (failed = uv_udp_recv_start(&attempt->socket, give_buffer, on_answer))) {
        return failed;
    }
    int sent = uv_udp_try_send(&attempt->socket, &out, 1, NULL);
    return sent < 0 ? sent : 0;
}

static void on_timeout(uv_timer_t *timer) {
    ask_next(timer->data);
}

/* Asks the next server that can be asked at all; fails the query after the last. */
static void ask_next(struct query *q) {
    struct dns *dns = q->dns;
    while (q->tries < DNS_TRIES && dns->server_count > 0) {
        drop_attempt(q);
        const struct sockaddr_storage *server = &dns->servers[q->tries++ % dns->server_count];
        if (ask(q, (const struct sockaddr *)server) == 0) {
            uv_timer_start(&q->timer, on_timeout, DNS_TRY_MS, 0);
            return;
        }
    }
    fail_query(q);
}

/* --- the socket of the instances --------------------------------------------------------- */

static unsigned queries_of(const struct dns *dns, const struct sockaddr_in *client) {
    unsigned count = 0;
    LIST_FOREACH (at, &dns->queries) {
        const struct query *q = LIST_ITEM(at, struct query, link);
        count += q->client.sin_addr.s_addr == client->sin_addr.s_addr;
    }
    return count;
}

static struct query *accept_query(
    struct dns *dns, const uint8_t *message, size_t len, const struct sockaddr *from) {
    const struct sockaddr_in *client = (const struct sockaddr_in *)from;
    size_t question = dns_message_query(message, len);
    if (question == 0 || len > DNS_QUERY_BYTES || !dns_serves(dns, from) ||
        dns->query_count == DNS_QUERIES_MAX || queries_of(dns, client) >= DNS_QUERIES_CLIENT) {
        return NULL;
    }
    struct query *q = calloc(1, sizeof(*q));
    if (!q || uv_timer_init(dns->loop, &q->timer) != 0) {
        free(q);
        return NULL;
    }
    q->timer.data = q;
    q->dns = dns;
    q->client = *client;
    q->client_id = dns_message_id(message);
    q->len = len;
    q->question = question;
    memcpy(q->message, message, len);
    list_append(&dns->queries, &q->link);
    dns->query_count++;
    dns->held++;
    return q;
}

/* One datagram at a time is read and copied, so that one buffer does for all. */
static void give_query_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *out) {
    (void)suggested;
    struct dns *dns = handle->data;
    *out = uv_buf_init((char *)dns->incoming, sizeof(dns->incoming));
}

static void on_query(uv_udp_t *socket, ssize_t len, const uv_buf_t *in, const struct sockaddr *from,
    unsigned flags) {
    struct dns *dns = socket->data;
    if (!from || len < 0) {
        return;
    }
    struct query *q = flags & UV_UDP_PARTIAL
                          ? NULL
                          : accept_query(dns, (const uint8_t *)in->base, (size_t)len, from);
    if (!q) {
        dns->stats.refused++;
        return;
    }
    dns->stats.queries++;
    ask_next(q);
}

/* --- the forwarder ----------------------------------------------------------------------- */

static void on_socket_closed(uv_handle_t *handle) {
    struct dns *dns = handle->data;
    dns->handles--;
    dns->held++;
    dns_release(dns);
}

void dns_destroy(struct dns *dns) {
    if (!dns) {
        return;
    }
    dns->ending = true;
    while (!list_empty(&dns->queries)) {
        end_query(LIST_ITEM(dns->queries.next, struct query, link));
    }
    dns_tcp_end(dns);
    uv_close((uv_handle_t *)&dns->udp, on_socket_closed);
    uv_close((uv_handle_t *)&dns->tcp, on_socket_closed);
}

/* Hands both sockets to the loop; *udp and *tcp are -1 when they are its. 0 or a libuv error. */
static int open_sockets(struct dns *dns, int *udp, int *tcp) {
    int failed = uv_udp_open(&dns->udp, *udp);
    if (failed) {
        return failed;
    }
    *udp = -1;
    if ((failed = uv_tcp_open(&dns->tcp, *tcp))) {
        return failed;
    }
    *tcp = -1;
    if ((failed = uv_udp_recv_start(&dns->udp, give_query_buffer, on_query))) {
        return failed;
    }
    return dns_tcp_listen(dns);
}

struct dns *dns_create(const struct dns_options *options, struct err *err) {
    CLEANUP_FD int udp = options->udp;
    CLEANUP_FD int tcp = options->tcp;
    struct dns *dns = calloc(1, sizeof(*dns));
    if (!dns) {
        err_no_memory(err);
        return NULL;
    }
    dns->loop = options->loop;
    dns->network = options->network;
    dns->mask = htonl(options->bits == 0 ? 0 : UINT32_MAX << (32 - options->bits));
    list_init(&dns->queries);
    list_init(&dns->connections);
    dns_set_servers(dns, options->servers, options->server_count);
    /* Neither makes a socket yet, so neither can fail. */
    uv_udp_init(dns->loop, &dns->udp);
    uv_tcp_init(dns->loop, &dns->tcp);
    dns->udp.data = dns->tcp.data = dns;
    dns->handles = 2;
    int failed = open_sockets(dns, &udp, &tcp);
    if (failed) {
        err_set(err, ERR_SYSTEM, "start the DNS forwarder: %s", uv_strerror(failed));
        dns_destroy(dns);
        return NULL;
    }
    return dns;
}

void dns_set_servers(struct dns *dns, const struct sockaddr_storage *servers, unsigned count) {
    dns->server_count = count < DNS_SERVERS_MAX ? count : DNS_SERVERS_MAX;
    memcpy(dns->servers, servers, dns->server_count * sizeof(*servers));
}

const struct dns_stats *dns_stats(const struct dns *dns) {
    return &dns->stats;
}
